"""The codes of verdicts: what a check may find, and what to do about it."""

import enum


class Code(enum.Enum):
    """What a check found; `.value` is the word on the page, `.mend` the advice that goes with it."""

    IDENTIFIED = "identified"
    WEAK = "weak"
    COMBINATION = "only in combination"
    NOT_IDENTIFIED = "not identified"
    SEVERAL = "one of several points"
    PRIOR_RETURNED = "prior returned"
    AGREE = "equivalent fits agree"
    DISAGREE = "equivalent fits disagree"
    AT_BOUND = "at the prior's bound"
    MATCHED = "matched"
    UNMATCHED = "unmatched"
    HELD_OUT_MATCHED = "held out, matched"
    HELD_OUT_UNMATCHED = "held out, unmatched"
    UNJUDGED = "not judged"
    CALIBRATED = "calibrated"
    OVER_CONFIDENT = "over-confident"
    TOO_WIDE = "too wide"
    NOT_POSTERIOR = "not the posterior"
    LEARNED = "learned"
    NOT_LEARNED = "not learned"
    CONVERGED = "converged"
    BUDGET_SPENT = "budget spent"
    EXCLUDED = "runs excluded"
    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INSIDE = "inside the design"
    EDGE = "at the edge of the design"
    EXTRAPOLATING = "extrapolating"
    WITHIN_REACH = "within reach"
    OUT_OF_REACH = "out of reach"
    CONFIRMED = "confirmed by simulation"
    REFUTED = "refuted by simulation"
    BELIEVE = "believe"
    DIRECTION_ONLY = "direction only"
    BLIND = "blind"
    WRONG_SIGN = "wrong sign"
    TOO_NOISY = "too noisy"
    NO_DERIVATIVE = "no derivative"
    STILL_CHANGING = "still changing"
    BETTER = "better than the rule"
    NO_BETTER = "no better than the rule"
    DILEMMA = "worse than the rule, and none would keep to it"
    DEVIATION_PAYS = "a deviation pays"
    NO_DEVIATION_PAYS = "no deviation found that pays"
    CYCLES = "cycles"
    NO_CYCLE = "does not cycle"
    WITH_ANYONE = "plays alike with others"
    PAIR_SPECIFIC = "specific to its partners"
    FAITHFUL = "faithful"
    UNFAITHFUL = "not faithful"
    LEAK = "leans on what it could not know"
    NO_LEAK = "leans on nothing hidden"
    STREAM = "hangs on the random numbers' source"
    ANY_STREAM = "the same with other random numbers"
    LEANS_ON_LIMIT = "leans on a limit"
    WITHIN_LIMITS = "within the limits"
    BREAKS_LEDGER = "breaks a ledger"
    LEDGER_HOLDS = "ledger holds"
    SPLIT_PAYS = "standing as several pays"
    SPLIT_GAINS_NOTHING = "standing as several gains nothing"
    FORBIDDEN_DONE = "what is forbidden is done"
    FORBIDDEN_UNSEEN = "what is forbidden passes unseen"
    FORBIDDEN_REFUSED = "what is forbidden is refused"
    PROXY = "pay up, welfare down"
    ARTEFACT = "artefact"
    GAIN_REMAINS = "the gain remains"
    ONE_EQUATION = "one equation"
    TIED = "several equations tie"
    AGREE_OUTSIDE = "agree outside too"
    APART_OUTSIDE = "part outside"
    CLOSED = "closed"
    NOT_CLOSED = "not closed"
    TOLD_APART = "told apart"
    NOT_TOLD_APART = "not told apart"
    UNSETTLED = "not settled"
    SEPARATES = "separates them"
    NOTHING_SEPARATES = "nothing offered separates them"
    STABLE = "stable"
    UNSTABLE = "unstable"
    STABILITY_OPEN = "stability undecided"
    TIPS = "tips"
    NO_TIPPING = "no tipping point in range"
    HEALED = "healed"
    NOT_HEALED = "lifting not healed"
    UNVISITED = "not visited"
    STEP_HOLDS = "leaps hold"
    STEP_TOO_LONG = "leaps too long"
    BOUNDED = "bounded by the data"
    ONE_SIDED = "bounded on one side"
    FLAT = "flat"
    CUT = "cut by another parameter's bound"
    PART = "part of the prior"
    WHOLE_PRIOR = "the whole prior"
    EMPTY = "empty"
    CLEAR_GAP = "clear gap"
    NO_GAP = "no clear gap"
    FITS_DATA = "fits the data and not their placebos"
    FITS_ANYTHING = "fits anything"
    FITS_NEITHER = "fits neither the data nor their placebos"
    FITS_SOME_PLACEBOS = "fits some placebos as well"
    PLACEBO_UNSEEN = "the moments cannot see the difference"
    ABOUT_ALL_SEEN = "about all is seen"
    MORE_TO_SEE = "more is to be seen"
    IDENTICAL = "identical"
    ALMOST_IDENTICAL = "equal but for rounding"
    DIFFERS = "differs"
    MADE_ALIKE = "made alike"
    MADE_OTHERWISE = "made otherwise"
    BEST_CHOICE = "the best choice"
    CHOICE_OPEN = "the best choice is open"
    MODELS_AGREE = "models agree"
    MODELS_DIFFER_IN_SIZE = "models differ in size"
    MODELS_DIFFER_IN_SIGN = "models differ in sign"
    MODELS_UNSETTLED = "whether models agree is open"
    SAME_CHOICE = "models choose alike"
    OTHER_CHOICE = "models choose differently"
    BEATS_NAIVE = "better than the naive forecast"
    LIKE_NAIVE = "not told apart from the naive forecast"
    BEATEN_BY_NAIVE = "worse than the naive forecast"
    LEANS = "leans to one side"
    FORECAST_NARROW = "forecasts too narrow"
    FORECAST_WIDE = "forecasts too wide"
    STARTS_THERE = "starts where the data end"
    STARTS_OFF = "starts away from where the data end"
    PAYS = "better than doing nothing"
    DOES_NOT_PAY = "not better than doing nothing"
    CLEAR_OPTIMUM = "clear optimum"
    FLAT_OPTIMUM = "flat optimum"
    WORTH_MEASURING = "worth measuring"
    CHANGES_NOTHING = "changes no decision"
    WORTH_OPEN = "worth within its error"
    ORDER_DECIDES = "hangs on who acts when"
    ANY_ORDER = "the same whoever acts when"
    ORDER_OPEN = "open whether the order decides"
    PLAN_HOLDS = "holds with agents anew"
    PLAN_FAILS = "fails with agents anew"
    PLAN_UNBEATEN = "no fixed instrument found that does better"
    PLAN_OUTDONE = "a fixed instrument does better"
    AGENTS_LEARNED = "agents had learned enough"
    AGENTS_STILL_LEARNING = "agents were still learning"
    REWARD_DECIDES = "the declared reward decides"
    ANY_REWARD = "the same under other rewards"
    REWARD_OPEN = "open whether the declared reward decides"
    REWARD_ALONE = "the declared reward alone decides"
    MODEL_COUNTS = "the model counts"

    @property
    def mend(self) -> str:
        """What to do about it; empty where nothing needs doing."""
        return _MENDS.get(self, "")


_MENDS: dict[Code, str] = {
    Code.WEAK: "add data or moments that react to it, or narrow its prior with outside evidence",
    Code.COMBINATION: "report the combination, and fix one member from outside evidence to learn the others",
    Code.SEVERAL: "report all of them; a moment that differs between them would decide",
    Code.NOT_IDENTIFIED: "do not read its value; find a moment or an experiment that reacts to it",
    Code.DISAGREE: "do not read this prediction off one fit: report its range, or measure it, and fit it too",
    Code.PRIOR_RETURNED: "add a moment that reacts to it, or report its prior as the assumption that it is",
    Code.AT_BOUND: "widen the prior where the domain allows, or explain why the bound is real",
    Code.UNMATCHED: "the model does not produce this moment at the fit: change a rule, not a number",
    Code.HELD_OUT_UNMATCHED: "the fit does not predict this moment: try a rival rule that could",
    Code.OVER_CONFIDENT: "raise the budget or lower the final tolerance before trusting intervals",
    Code.TOO_WIDE: "lower the final tolerance: intervals are wider than they need be",
    Code.NOT_POSTERIOR: "do not read it: raise the budget, or take another method, or moments that say more",
    Code.NOT_LEARNED: "give more runs or another encoder; or these series do not react to it, and its prior comes back",
    Code.BUDGET_SPENT: "raise the budget: the method stopped before its own stopping rule",
    Code.EXCLUDED: "look at the excluded parameters: the simulator fails there",
    Code.CONTRADICTED: "do not use this model for questions that hang on the contradicted moments",
    Code.EDGE: "simulate some points nearby, and fit the surrogate again",
    Code.EXTRAPOLATING: "do not read the surrogate there: simulate there, or extend the design to it",
    Code.OUT_OF_REACH: "no parameters bring the model near these data: widen the priors, or change a rule",
    Code.REFUTED: "add these runs to the design, fit the surrogate again, and ask again",
    Code.DIRECTION_ONLY: "descend with it, and take its size from differences; do not read it as a sensitivity",
    Code.WRONG_SIGN: "do not use it here: it leads away from the answer",
    Code.BLIND: "no derivative passes there: relax the site too (pop.sites lists what stops it), or take differences",
    Code.TOO_NOISY: "give it more keys, or take an estimator with less spread",
    Code.NO_DERIVATIVE: "let the parameter differ between agents, or calibrate without gradients",
    Code.STILL_CHANGING: "raise the budget before reading anything off these policies",
    Code.NO_BETTER: "keep the rule: learning adds nothing to it here",
    Code.DILEMMA: "read it as what follows where nobody can bind the others; the rule holds only if it is enforced",
    Code.DEVIATION_PAYS: "do not call it an equilibrium: train longer, or from another start",
    Code.CYCLES: "do not read the last policy, play goes round: report the average of play, and how it turns",
    Code.PAIR_SPECIFIC: "do not read it as what such agents do: it holds only among those who learned together",
    Code.UNFAITHFUL: "do not read the policy off it: give the student more depth or terms, or keep the policy",
    Code.LEAK: "take it out of what agents see, and train again: nobody in the world has this information",
    Code.STREAM: "mend the model's use of random numbers: what was learned reads them",
    Code.LEANS_ON_LIMIT: "close the loophole, or argue that the limit is real, before reading economics off it",
    Code.BREAKS_LEDGER: "mend the model: what is declared to be conserved is made or destroyed",
    Code.SPLIT_PAYS: "let the rule that counts heads count what they own, or argue that heads cannot be made",
    Code.FORBIDDEN_DONE: "let the model refuse it, or clip it and count that as a limit: a mask binds only the polite",
    Code.FORBIDDEN_UNSEEN: "let the model refuse it, or declare a limit that counts where it is clipped",
    Code.PROXY: "pay what is wanted: agents take what the reward says, and welfare pays for it",
    Code.STABILITY_OPEN: "give it more bursts, or longer ones: the rate's interval holds 0",
    Code.NO_TIPPING: "look at a wider range of the parameter or of the variable, or give it more bursts",
    Code.NOT_HEALED: "heal longer before drifts are read (heal=), or add the macro variable that is still moving",
    Code.ONE_SIDED: "report it as a limit; nothing but the prior keeps it on the other side",
    Code.FLAT: "do not read its value: no value of it fits worse than another; find a moment that reacts to it",
    Code.CUT: "do not read this interval as the data's: report the combination, or defend the bound that cuts it",
    Code.WHOLE_PRIOR: "find moments that react to the parameters: these data reject nothing of the prior",
    Code.EMPTY: "no parameters make these moments: widen the priors, or change a rule",
    Code.UNVISITED: "send bursts there before reading anything off it",
    Code.STEP_TOO_LONG: "leap a shorter time, or average over more copies",
    Code.NO_GAP: "do not trust the count of variables: give it more snapshots, or other features",
    Code.TIED: "report all of them, and no coefficient that they do not share",
    Code.APART_OUTSIDE: "do not extrapolate: make runs that go there, and learn again",
    Code.NOT_CLOSED: "no equation in these variables holds: add the variable that is named, or stay with the model",
    Code.ARTEFACT: "do not read the gain: it goes when the loophole is closed",
    Code.NOT_TOLD_APART: "report what follows under each of them, and ask pop.separating what would tell them apart",
    Code.UNSETTLED: "raise the budget: two ways to weigh the evidence disagree, so that neither is to be believed",
    Code.FITS_ANYTHING: "do not take the fit for evidence: fit moments that placebos do not share, or fewer parameters",
    Code.FITS_NEITHER: "do not read this fit: what it matches of the data it matches of placebos too",
    Code.FITS_SOME_PLACEBOS: "claim for the model only what the placebos that it does not fit have lost",
    Code.PLACEBO_UNSEEN: "add a moment that sees it before claiming anything of what this placebo destroys",
    Code.MORE_TO_SEE: "raise the budget before saying what the model cannot do",
    Code.DIFFERS: "go back to what it was made with, a difference at a time, or report what the change does",
    Code.CHOICE_OPEN: "take more draws, or choose among those not told apart by what is not counted here",
    Code.MODELS_DIFFER_IN_SIZE: "report what each model says; what tells the models apart (pop.separating) comes first",
    Code.MODELS_DIFFER_IN_SIGN: "do not act on one of these models: it helps in one and harms in the other",
    Code.MODELS_UNSETTLED: "take more draws: the difference between models is not beyond its Monte-Carlo error",
    Code.OTHER_CHOICE: "tell the models apart first (pop.separating), or take what loses least in the worst of them",
    Code.LIKE_NAIVE: "do not claim skill: score more origins, or report the naive forecast",
    Code.BEATEN_BY_NAIVE: "report the naive forecast, and ask which rule of the model loses the present state",
    Code.LEANS: "look for what drifts: a rate that changed since the fit, or a start away from where the data end",
    Code.FORECAST_NARROW: "add what the intervals leave out: parameters' doubt, chance, errors of observation",
    Code.FORECAST_WIDE: "intervals are wider than they need be: condition on the last values, or narrow the priors",
    Code.STARTS_OFF: "keep fewer of more runs (nearest=, draws=), or fit moments that hold the last values",
    Code.DOES_NOT_PAY: "do not intervene on this evidence: look at other measures, their costs, or more draws",
    Code.FLAT_OPTIMUM: "choose among those not told apart by what the objective leaves out, not by the last decimals",
    Code.WORTH_OPEN: "give more draws: whether it is worth more than it costs lies within the error",
    Code.CHANGES_NOTHING: "decide now: nothing that was offered to be measured would change the choice by enough",
    Code.ORDER_DECIDES: "say which order is meant and why the world has it, or do not claim this conclusion",
    Code.ORDER_OPEN: "give it more runs, or say how small a difference matters (margin=)",
    Code.PLAN_FAILS: "do not act on it: agents end elsewhere by the luck of their training; look at each of them",
    Code.PLAN_OUTDONE: "search longer, or with more candidates, or take the fixed instrument",
    Code.AGENTS_STILL_LEARNING: "raise the budget: the plan answers agents who are on their way",
    Code.REWARD_DECIDES: "keep the rule: the result restates the declared reward, unless evidence picks that one",
    Code.REWARD_ALONE: "keep the rule: the result is what the reward asks for, whatever the model says",
    Code.REWARD_OPEN: "give it more seeds or a longer training, or say how small a difference matters (margin=)",
    Code.NOTHING_SEPARATES: "offer other moments, more repeats or an intervention, or keep all of them",
}
