"""A sentence a finding: what an audit makes of scores."""

from collections.abc import Sequence

import numpy as np

from .._results import Code, Verdict
from .deviations import Deviation
from .game import Watched
from .rollout import Score
from .statistics import bootstrap, interquartile_mean

_SMALL = 0.02
"""Gains below this part of the scale of returns are not worth a deviation."""
_SPECIFIC = 0.1
_OFTEN = 0.05
_ROUNDING = 1e-4
"""Relative changes of a ledger in a step that 32-bit numbers make by themselves."""
_HALF = 0.5


def learners_mean(made: Watched, scores: Score, path: str) -> np.ndarray:
    """(sets, runs): returns at a site, the mean over those who learn there."""
    returns, who = scores.returns(path), made.game.learners[path].who
    return returns.mean(2) if who is None else returns[:, :, np.asarray(who) > 0].mean(2)


def _gains(learned: Score, rule: Score, path: str) -> np.ndarray:
    """(sets, runs): the mean gain of the agents at a site over the rule, in runs with the same numbers."""
    return (learned.returns(path) - rule.returns(path)).mean(2)


def against_rule(
    path: str,
    learned: Score,
    rule: Score,
    from_rule: Sequence[Deviation],
    scale: float,
    generator: np.random.Generator,
) -> Verdict:
    """Whether the policies earn more than the rule; and where they earn less, whether the rule would last."""
    gains = _gains(learned, rule, path)
    middle, (low, high) = interquartile_mean(gains), bootstrap(gains, interquartile_mean, generator)
    numbers = {"gain": middle, "low": low, "high": high, "share_of_scale": middle / scale}
    interval = f"{middle:+.3g} (95 %: {low:+.3g} to {high:+.3g})"
    if low > 0:
        return Verdict(path, Code.BETTER, f"{path}: the policies earn {interval} more than the rule in a run.", numbers)
    if high < 0:
        sentence = f"{path}: the policies earn less than the rule: {interval} in a run."
        leaving = max(from_rule, key=lambda d: d.gain)
        if leaving.gain > 2 * leaving.error and leaving.gain > _SMALL * scale:
            sentence += (
                f" But where all keep to the rule, one agent gains {leaving.gain:.3g} (error {leaving.error:.2g}) by "
                f"leaving it for {leaving.how}."
            )
            return Verdict(path, Code.DILEMMA, sentence, numbers)
        return Verdict(path, Code.NO_BETTER, sentence, numbers)
    sentence = f"{path}: the policies cannot be told from the rule by what they earn: {interval} in a run."
    return Verdict(path, Code.NO_BETTER, sentence, numbers)


def deviation(subject: str, tried: Sequence[Deviation], scale: float) -> Verdict:
    """Whether one agent gains by leaving the others, by the best of what was tried."""
    best = max(tried, key=lambda d: d.gain)
    numbers = {"gain": best.gain, "error": best.error, "share_of_scale": best.gain / scale}
    if best.gain > 2 * best.error and best.gain > _SMALL * scale:
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
    numbers = {"share": share, "rule": usual, "sets": float((each > usual + _OFTEN).sum())}
    said = f"'{name}' decides in {100 * share:.3g} % of agent-steps, {100 * usual:.3g} % under the rule"
    bad = int((each > usual + _OFTEN).sum())
    if bad and (share - usual > 2 * error or bad == each.size):
        where = "every training" if bad == each.size else f"{bad} of {each.size} trainings"
        return Verdict(f"limit '{name}'", Code.LEANS_ON_LIMIT, f"The limit {said}; more often in {where}.", numbers)
    return Verdict(f"limit '{name}'", Code.WITHIN_LIMITS, f"The limit {said}.", numbers)


def ledger(name: str, learned: Score, rule: Score) -> Verdict:
    """Whether what is declared to be conserved is."""
    worst, usual = float(learned.residual(name).max()), float(rule.residual(name).max())
    numbers = {"worst": worst, "rule": usual}
    if worst > _ROUNDING:
        by_rule = " The rule breaks it too." if usual > _ROUNDING else " Under the rule it holds."
        sentence = f"'{name}' is declared to be conserved, and changes by up to {100 * worst:.2g} % in a step.{by_rule}"
        return Verdict(f"ledger '{name}'", Code.BREAKS_LEDGER, sentence, numbers)
    sentence = f"'{name}' is conserved to {worst:.1g} of its size in every step."
    return Verdict(f"ledger '{name}'", Code.LEDGER_HOLDS, sentence, numbers)


def proxy(made: Watched, learned: Score, rule: Score, generator: np.random.Generator) -> dict[str, Verdict]:
    """Whether pay rises at some site while declared welfare falls; nothing where no welfare is declared."""
    if made.game.welfare is None:
        return {}
    change = learned.welfare() - rule.welfare()
    middle, (low, high) = interquartile_mean(change), bootstrap(change, interquartile_mean, generator)
    found = {}
    for path in made.game.learners:
        gains = _gains(learned, rule, path)
        gain, (least, _) = interquartile_mean(gains), bootstrap(gains, interquartile_mean, generator)
        if least > 0 and high < 0:
            sentence = (
                f"{path}: pay is up by {gain:.3g} a run and declared welfare down by {-middle:.3g} a step (95 %: "
                f"{-high:.3g} to {-low:.3g}), against the rule."
            )
            numbers = {"gain": gain, "welfare": middle, "low": low, "high": high}
            found[f"welfare and {path}"] = Verdict(f"welfare and {path}", Code.PROXY, sentence, numbers)
    return found


def remains(
    subject: str, path: str, here: tuple[Score, Score], there: tuple[Score, Score], generator: np.random.Generator
) -> Verdict:
    """What is left of the gain over the rule where a loophole is closed."""
    gains, left = _gains(*here, path), _gains(*there, path)
    gain, (low, _) = interquartile_mean(gains), bootstrap(gains, interquartile_mean, generator)
    rest, (least, most) = interquartile_mean(left), bootstrap(left, interquartile_mean, generator)
    numbers = {"gain": gain, "remains": rest, "low": least, "high": most}
    if low <= 0:
        sentence = f"{subject}: there is no gain over the rule to be asked after ({gain:+.2g}; here {rest:+.2g})."
        return Verdict(subject, Code.UNJUDGED, sentence, numbers)
    share = f"{100 * rest / gain:.3g} % ({rest:+.3g} of {gain:+.3g}; 95 %: {least:+.3g} to {most:+.3g})"
    if most < _HALF * gain:
        return Verdict(subject, Code.ARTEFACT, f"{subject}: of the gain over the rule remains {share}.", numbers)
    return Verdict(subject, Code.GAIN_REMAINS, f"{subject}: of the gain over the rule remains {share}.", numbers)
