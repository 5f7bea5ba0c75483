"""What a verdict's class means at a glance: good, take care, bad, or nothing said."""

import enum

from populace._results import Code


class Tone(enum.Enum):
    """A class's tone; `.value` names it in style sheets, `.mark` shows it without colour."""

    GOOD = "good"
    CARE = "care"
    BAD = "bad"
    QUIET = "quiet"

    @property
    def mark(self) -> str:
        """One character that tells the tones apart where colour does not."""
        return {Tone.GOOD: "✓", Tone.CARE: "!", Tone.BAD: "✗", Tone.QUIET: "–"}[self]


_TONES: dict[Code, Tone] = {
    Code.IDENTIFIED: Tone.GOOD,
    Code.WEAK: Tone.CARE,
    Code.COMBINATION: Tone.CARE,
    Code.SEVERAL: Tone.CARE,
    Code.AGREE: Tone.GOOD,
    Code.DISAGREE: Tone.BAD,
    Code.NOT_IDENTIFIED: Tone.BAD,
    Code.PRIOR_RETURNED: Tone.BAD,
    Code.AT_BOUND: Tone.CARE,
    Code.MATCHED: Tone.GOOD,
    Code.UNMATCHED: Tone.BAD,
    Code.HELD_OUT_MATCHED: Tone.GOOD,
    Code.HELD_OUT_UNMATCHED: Tone.BAD,
    Code.UNJUDGED: Tone.QUIET,
    Code.CALIBRATED: Tone.GOOD,
    Code.OVER_CONFIDENT: Tone.BAD,
    Code.NOT_POSTERIOR: Tone.BAD,
    Code.LEARNED: Tone.GOOD,
    Code.NOT_LEARNED: Tone.CARE,
    Code.TOO_WIDE: Tone.CARE,
    Code.CONVERGED: Tone.GOOD,
    Code.BUDGET_SPENT: Tone.CARE,
    Code.EXCLUDED: Tone.CARE,
    Code.SUPPORTED: Tone.GOOD,
    Code.CONTRADICTED: Tone.BAD,
    Code.INSIDE: Tone.GOOD,
    Code.EDGE: Tone.CARE,
    Code.EXTRAPOLATING: Tone.BAD,
    Code.WITHIN_REACH: Tone.GOOD,
    Code.OUT_OF_REACH: Tone.BAD,
    Code.CONFIRMED: Tone.GOOD,
    Code.REFUTED: Tone.BAD,
    Code.BELIEVE: Tone.GOOD,
    Code.DIRECTION_ONLY: Tone.CARE,
    Code.BLIND: Tone.BAD,
    Code.WRONG_SIGN: Tone.BAD,
    Code.TOO_NOISY: Tone.CARE,
    Code.NO_DERIVATIVE: Tone.BAD,
    Code.STILL_CHANGING: Tone.CARE,
    Code.BETTER: Tone.GOOD,
    Code.NO_BETTER: Tone.CARE,
    Code.DILEMMA: Tone.CARE,
    Code.DEVIATION_PAYS: Tone.BAD,
    Code.NO_DEVIATION_PAYS: Tone.GOOD,
    Code.CYCLES: Tone.BAD,
    Code.NO_CYCLE: Tone.GOOD,
    Code.WITH_ANYONE: Tone.GOOD,
    Code.PAIR_SPECIFIC: Tone.BAD,
    Code.FAITHFUL: Tone.GOOD,
    Code.UNFAITHFUL: Tone.BAD,
    Code.LEAK: Tone.BAD,
    Code.NO_LEAK: Tone.GOOD,
    Code.STREAM: Tone.BAD,
    Code.ANY_STREAM: Tone.GOOD,
    Code.LEANS_ON_LIMIT: Tone.BAD,
    Code.WITHIN_LIMITS: Tone.GOOD,
    Code.BREAKS_LEDGER: Tone.BAD,
    Code.LEDGER_HOLDS: Tone.GOOD,
    Code.PROXY: Tone.BAD,
    Code.ARTEFACT: Tone.BAD,
    Code.GAIN_REMAINS: Tone.GOOD,
    Code.STABLE: Tone.GOOD,
    Code.UNSTABLE: Tone.CARE,
    Code.STABILITY_OPEN: Tone.CARE,
    Code.TIPS: Tone.CARE,
    Code.NO_TIPPING: Tone.QUIET,
    Code.HEALED: Tone.GOOD,
    Code.NOT_HEALED: Tone.BAD,
    Code.UNVISITED: Tone.CARE,
    Code.STEP_HOLDS: Tone.GOOD,
    Code.STEP_TOO_LONG: Tone.BAD,
    Code.BOUNDED: Tone.GOOD,
    Code.ONE_SIDED: Tone.CARE,
    Code.FLAT: Tone.BAD,
    Code.CUT: Tone.BAD,
    Code.PART: Tone.GOOD,
    Code.WHOLE_PRIOR: Tone.BAD,
    Code.EMPTY: Tone.BAD,
    Code.CLEAR_GAP: Tone.GOOD,
    Code.NO_GAP: Tone.CARE,
    Code.ONE_EQUATION: Tone.GOOD,
    Code.TIED: Tone.CARE,
    Code.AGREE_OUTSIDE: Tone.GOOD,
    Code.APART_OUTSIDE: Tone.BAD,
    Code.CLOSED: Tone.GOOD,
    Code.NOT_CLOSED: Tone.BAD,
    Code.TOLD_APART: Tone.GOOD,
    Code.NOT_TOLD_APART: Tone.CARE,
    Code.UNSETTLED: Tone.CARE,
    Code.ANY_ORDER: Tone.GOOD,
    Code.ORDER_DECIDES: Tone.BAD,
    Code.ORDER_OPEN: Tone.CARE,
    Code.SEPARATES: Tone.GOOD,
    Code.NOTHING_SEPARATES: Tone.BAD,
    Code.FITS_DATA: Tone.GOOD,
    Code.FITS_ANYTHING: Tone.BAD,
    Code.FITS_NEITHER: Tone.BAD,
    Code.FITS_SOME_PLACEBOS: Tone.CARE,
    Code.PLACEBO_UNSEEN: Tone.CARE,
    Code.ABOUT_ALL_SEEN: Tone.GOOD,
    Code.MORE_TO_SEE: Tone.CARE,
    Code.IDENTICAL: Tone.GOOD,
    Code.ALMOST_IDENTICAL: Tone.GOOD,
    Code.DIFFERS: Tone.BAD,
    Code.MADE_ALIKE: Tone.GOOD,
    Code.MADE_OTHERWISE: Tone.CARE,
    Code.BEST_CHOICE: Tone.GOOD,
    Code.CHOICE_OPEN: Tone.CARE,
    Code.MODELS_AGREE: Tone.GOOD,
    Code.MODELS_DIFFER_IN_SIZE: Tone.BAD,
    Code.MODELS_DIFFER_IN_SIGN: Tone.BAD,
    Code.MODELS_UNSETTLED: Tone.CARE,
    Code.SAME_CHOICE: Tone.GOOD,
    Code.OTHER_CHOICE: Tone.BAD,
    Code.BEATS_NAIVE: Tone.GOOD,
    Code.LIKE_NAIVE: Tone.CARE,
    Code.BEATEN_BY_NAIVE: Tone.BAD,
    Code.LEANS: Tone.BAD,
    Code.FORECAST_NARROW: Tone.BAD,
    Code.FORECAST_WIDE: Tone.CARE,
    Code.STARTS_THERE: Tone.GOOD,
    Code.STARTS_OFF: Tone.CARE,
    Code.PAYS: Tone.GOOD,
    Code.DOES_NOT_PAY: Tone.BAD,
    Code.CLEAR_OPTIMUM: Tone.GOOD,
    Code.FLAT_OPTIMUM: Tone.CARE,
    Code.WORTH_MEASURING: Tone.GOOD,
    Code.CHANGES_NOTHING: Tone.QUIET,
    Code.WORTH_OPEN: Tone.CARE,
    Code.PLAN_HOLDS: Tone.GOOD,
    Code.PLAN_FAILS: Tone.BAD,
    Code.PLAN_UNBEATEN: Tone.GOOD,
    Code.PLAN_OUTDONE: Tone.CARE,
    Code.REWARD_DECIDES: Tone.BAD,
    Code.ANY_REWARD: Tone.GOOD,
    Code.REWARD_OPEN: Tone.CARE,
    Code.REWARD_ALONE: Tone.BAD,
    Code.MODEL_COUNTS: Tone.GOOD,
}
_WORDS: dict[str, Tone] = {code.value: tone for code, tone in _TONES.items()}


def tone(code: Code) -> Tone:
    """The tone of a class."""
    return _TONES[code]


def tone_of_word(word: object) -> Tone | None:
    """The tone of a table cell that is the word of a class; None for any other cell."""
    return _WORDS.get(word) if isinstance(word, str) else None
