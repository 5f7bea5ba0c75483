"""A sentence a finding: what an audit makes of scores."""

from collections.abc import Mapping, Sequence

import numpy as np

from .._results import Code, Verdict
from .deviations import Deviation
from .game import Watched
from .rollout import Score
from .statistics import Middle

_SURE = 4.0
_SMALL = 0.02
_SPECIFIC = 0.1
_OFTEN = 0.05
ROUNDING = 1e-4
"""Relative changes of a ledger in a step that 32-bit numbers make by themselves."""
_HALF = 0.5


def learners_mean(made: Watched, scores: Score, path: str) -> np.ndarray:
    """(sets, runs): returns at a site, the mean over those who learn there."""
    returns, who = scores.returns(path), made.game.learners[path].who
    return returns.mean(2) if who is None else returns[:, :, np.asarray(who) > 0].mean(2)


def gains(made: Watched, learned: Score, rule: Score, path: str) -> np.ndarray:
    """(sets, runs): what those who learn at a site gain over the rule, in runs with the same numbers."""
    return learners_mean(made, learned, path) - learners_mean(made, rule, path)


def against_rule(path: str, gain: Middle, from_rule: Sequence[Deviation], scale: float) -> Verdict:
    """Whether the policies earn more than the rule; and where they earn less, whether the rule would last."""
    numbers = {"gain": gain.middle, "low": gain.low, "high": gain.high, "share_of_scale": gain.middle / scale}
    interval = f"{gain.middle:+.3g} (95 %: {gain.low:+.3g} to {gain.high:+.3g})"
    if gain.low > 0:
        return Verdict(path, Code.BETTER, f"{path}: the policies earn {interval} more than the rule in a run.", numbers)
    if gain.high >= 0:
        sentence = f"{path}: the policies cannot be told from the rule by what they earn: {interval} in a run."
        return Verdict(path, Code.NO_BETTER, sentence, numbers)
    sentence = f"{path}: the policies earn less than the rule: {interval} in a run."
    leaving = max(from_rule, key=lambda d: d.gain)
    if not leaving.pays(scale):
        return Verdict(path, Code.NO_BETTER, sentence, numbers)
    sentence += (
        f" But where all keep to the rule, one agent gains {leaving.gain:.3g} (error {leaving.error:.2g}) by leaving "
        f"it for {leaving.how}."
    )
    return Verdict(path, Code.DILEMMA, sentence, numbers)


def deviation(tried: Sequence[Deviation], scale: float) -> Verdict:
    """Whether one agent gains by leaving the others, by the best of what was tried."""
    best = max(tried, key=lambda d: d.gain)
    subject = f"deviation at {best.path} by agent {best.agent}"
    numbers = {"gain": best.gain, "error": best.error, "share_of_scale": best.gain / scale}
    if best.pays(scale):
        sentence = (
            f"Agent {best.agent} gains {best.gain:.3g} (error {best.error:.2g}) at {best.path} by leaving the others' "
            f"way for {best.how}: this is no equilibrium."
        )
        return Verdict(subject, Code.DEVIATION_PAYS, sentence, numbers)
    what = "fixed actions" if len(tried) == 1 else "fixed actions and a deviator trained against the others"
    sentence = (
        f"Agent {best.agent} at {best.path}: of {what} none gains more than {max(best.gain, 0.0):.2g} (error "
        f"{best.error:.2g}), {100 * max(best.gain, 0.0) / scale:.1f} % of the scale of returns. That is a lower bound."
    )
    return Verdict(subject, Code.NO_DEVIATION_PAYS, sentence, numbers)


def with_others(path: str, matrix: np.ndarray, scale: float) -> Verdict:
    """Whether a policy plays among agents of another training as among its own."""
    sets = matrix.shape[0]
    home = np.diag(matrix)
    away = (matrix.sum(0) - home) / (sets - 1)
    loss = home - away
    error = float(loss.std(ddof=1) / np.sqrt(sets))
    middle = float(loss.mean())
    numbers = {"loss": middle, "error": error, "share_of_scale": middle / scale}
    if middle > 2 * error and middle > _SPECIFIC * scale:
        sentence = (
            f"{path}: a policy put among agents of another training earns {middle:.3g} (error {error:.2g}) less than "
            "the agent whose place it takes: what was learned is an understanding among those who learned together."
        )
        return Verdict(f"cross-play at {path}", Code.PAIR_SPECIFIC, sentence, numbers)
    sentence = (
        f"{path}: a policy put among agents of another training earns {-middle:+.2g} (error {error:.2g}) against the "
        "agent whose place it takes."
    )
    return Verdict(f"cross-play at {path}", Code.WITH_ANYONE, sentence, numbers)


def limit(name: str, learned: Score, rule: Score) -> Verdict:
    """How often a limit binds under the policies, and under the rule."""
    ours, theirs = learned.bound(name), rule.bound(name)
    each = ours.mean(1)
    share, usual = float(each.mean()), float(theirs.mean())
    more = (ours - theirs).mean(1)
    error = float(more.std(ddof=1) / np.sqrt(more.size)) if more.size > 1 else 0.0
    bad = int((each > usual + _OFTEN).sum())
    numbers = {"share": share, "rule": usual, "sets": float(bad)}
    said = f"'{name}' decides in {100 * share:.3g} % of agent-steps, {100 * usual:.3g} % under the rule"
    if bad and (share - usual > 2 * error or bad == each.size):
        where = "every training" if bad == each.size else f"{bad} of {each.size} trainings"
        return Verdict(f"limit '{name}'", Code.LEANS_ON_LIMIT, f"The limit {said}; more often in {where}.", numbers)
    return Verdict(f"limit '{name}'", Code.WITHIN_LIMITS, f"The limit {said}.", numbers)


def ledger(name: str, learned: Score, rule: Score) -> Verdict:
    """Whether what is declared to be conserved is."""
    worst, usual = float(learned.residual(name).max()), float(rule.residual(name).max())
    numbers = {"worst": worst, "rule": usual}
    if worst > ROUNDING:
        by_rule = " The rule breaks it too." if usual > ROUNDING else " Under the rule it holds."
        sentence = f"'{name}' is declared to be conserved, and changes by up to {100 * worst:.2g} % in a step.{by_rule}"
        return Verdict(f"ledger '{name}'", Code.BREAKS_LEDGER, sentence, numbers)
    sentence = f"'{name}' is conserved to {worst:.1g} of its size in every step."
    return Verdict(f"ledger '{name}'", Code.LEDGER_HOLDS, sentence, numbers)


def proxy(change: Middle, gained: Mapping[str, Middle]) -> list[Verdict]:
    """Where pay rises and declared welfare falls. `change`: of welfare a step; `gained`: site to the gain in pay."""
    return [
        Verdict(
            f"welfare and {path}",
            Code.PROXY,
            f"{path}: pay is up by {gain.middle:.3g} a run and declared welfare down by {-change.middle:.3g} a step "
            f"(95 %: {-change.high:.3g} to {-change.low:.3g}), against the rule.",
            {"gain": gain.middle, "welfare": change.middle, "low": change.low, "high": change.high},
        )
        for path, gain in gained.items()
        if gain.low > 0 > change.high
    ]


def stream(path: str, here: np.ndarray, there: np.ndarray, scale: float) -> Verdict:
    """Whether the gain, (sets, runs), is the same where random numbers come from another generator."""
    change = float(there.mean() - here.mean())
    error = float(np.sqrt(sum(_error(gain) ** 2 for gain in (here, there))))
    numbers = {"gain": float(here.mean()), "other": float(there.mean()), "error": error}
    subject = f"random numbers at {path}"
    both = f"{numbers['gain']:+.3g} and {numbers['other']:+.3g} (error of the difference {error:.2g})"
    if abs(change) > _SURE * error and abs(change) > _SMALL * scale:
        sentence = f"{path}: with random numbers of another generator the gain over the rule is another: {both}."
        return Verdict(subject, Code.STREAM, sentence, numbers)
    sentence = f"{path}: the gain over the rule with random numbers of two generators: {both}."
    return Verdict(subject, Code.ANY_STREAM, sentence, numbers)


def _error(gains: np.ndarray) -> float:
    """The standard error of a mean over sets and runs that all sets share."""
    by_run = gains.mean(0)
    return float(by_run.std(ddof=1) / np.sqrt(by_run.size))


def remains(subject: str, gain: Middle, left: Middle) -> Verdict:
    """What is `left` of the gain over the rule where a loophole is closed."""
    numbers = {"gain": gain.middle, "remains": left.middle, "low": left.low, "high": left.high}
    if gain.low <= 0:
        both = f"{gain.middle:+.2g}; here {left.middle:+.2g}"
        sentence = f"{subject}: there is no gain over the rule to be asked after ({both})."
        return Verdict(subject, Code.UNJUDGED, sentence, numbers)
    share = (
        f"{100 * left.middle / gain.middle:.3g} % ({left.middle:+.3g} of {gain.middle:+.3g}; 95 %: {left.low:+.3g} to "
        f"{left.high:+.3g})"
    )
    code = Code.ARTEFACT if left.high < _HALF * gain.middle else Code.GAIN_REMAINS
    return Verdict(subject, code, f"{subject}: of the gain over the rule remains {share}.", numbers)
