"""A class and a sentence a parameter: what the data say of it, given the prior box and the fitted moments.

The rules, in this order; spreads are standard deviations on the prior's probability scale.

- *out of reach*: the data lie outside all that the fitted model makes, and then no parameter is read;
- *identified*: the data took away three quarters of the prior's spread or more;
- *only in combination*: with others it makes a product, ratio, sum, difference or curve that is known, and beyond that
  the data add nothing: at one end a bound ends it, its own or that of one which follows it; or along the ridge its
  spread is that of the prior where the combination has its value, but for a quarter at the most;
- *one of several points*: draws lie in groups, each as narrow as an identified parameter's;
- *bounded on one side*: the data took away a fifth or more, but end one side only; at the other its own bound, or that
  of a parameter that follows it, does. Where bounds end both sides, it is *not identified*;
- *weak*: the data took away a fifth or more; else *not identified*, or *prior returned* where nothing changed at all.

The last part of the rule for combinations tells a ridge that only the prior's bounds end from one that the data end.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .._results import Code, Verdict
from .combinations import Combination, Draws, contraction, ranks_in
from .relations import Relation, relation

STRONG, SOME = 0.75, 0.2
_NONE = 0.05
_EDGE = 0.025
_TAIL = 0.1
"""The outermost draws at an end, of which it is asked what ends them."""
_RIM, _LEANS = 0.05, 0.3
"""A bound ends them where so many lie in the outermost part of a prior, and of another's, more than twice as many as of
all draws.
"""
_PILED = 0.2
_SLAB = 0.05
"""The prior is looked at where a combination's prior rank is so near to its value, or as near as draws are."""
_ALONG = 0.75
_FEW = 60
_GROUP = 0.1
_APART = 4.0


@dataclass(frozen=True)
class Seen:
    """Draws by label of posterior (n,) and prior (m,), what the posterior's draws are worth, and the combinations."""

    posterior: dict[str, np.ndarray]
    prior: dict[str, np.ndarray]
    worth: float
    combinations: tuple[Combination, ...]

    def ranks(self, label: str) -> np.ndarray:
        """Posterior draws as prior probabilities, (n,)."""
        return self._ranks[label]

    @functools.cached_property
    def _ranks(self) -> dict[str, np.ndarray]:
        return {label: ranks_in(draws, self.prior[label]) for label, draws in self.posterior.items()}


def verdict(label: str, seen: Seen) -> Verdict:
    """The verdict of one parameter, for a model that reaches the data."""
    posterior = seen.posterior[label]
    low, middle, high = (float(q) for q in np.quantile(posterior, [0.025, 0.5, 0.975]))
    share = contraction(posterior, seen.prior[label])
    said = _Said(label, share, low, middle, high)
    if share > STRONG:
        return said(Code.IDENTIFIED, f"{label} is identified: {said.shown}; {said.taken}.")
    ends = [_ended(label, seen, upper) for upper in (False, True)]
    for one in seen.combinations:
        if label in one.members and (any(ends) or _ridge(label, one.value, seen)):
            return said(Code.COMBINATION, _together(said, one))
    groups = several(seen.ranks(label), posterior)
    if groups:
        listed = " or ".join(f"{g:.3g}" for g in groups)
        return said(Code.SEVERAL, f"{label} is one of {len(groups)} points that fit alike: {listed}.")
    curve = _curve(label, seen)
    if curve is not None:
        return said(Code.COMBINATION, _along(said, curve))
    return _alone(said, seen, ends)


def unreachable(label: str, seen: Seen, why: str) -> Verdict:
    """The verdict of a parameter of a model that does not reach the data."""
    low, middle, high = (float(q) for q in np.quantile(seen.posterior[label], [0.025, 0.5, 0.975]))
    said = _Said(label, contraction(seen.posterior[label], seen.prior[label]), low, middle, high)
    return said(Code.OUT_OF_REACH, f"{label} is not to be read: {why}")


@dataclass(frozen=True)
class _Said:
    """A parameter's numbers, and its verdict from a code and a sentence."""

    label: str
    share: float
    low: float
    middle: float
    high: float

    @property
    def shown(self) -> str:
        return f"{self.middle:.3g} ({self.low:.3g} to {self.high:.3g})"

    @property
    def taken(self) -> str:
        return f"the data take away {100 * self.share:.0f} % of the prior's spread"

    def __call__(self, code: Code, sentence: str) -> Verdict:
        numbers = {"contraction": self.share, "median": self.middle, "low": self.low, "high": self.high}
        return Verdict(self.label, code, sentence, numbers)


def _together(said: _Said, one: Combination) -> str:
    return (
        f"{said.label} is known only in combination: the data fix {one.text} at {one.middle:.3g} ({one.low:.3g} to "
        f"{one.high:.3g}), and {said.label} itself may be anywhere from {said.low:.3g} to {said.high:.3g}."
    )


def _along(said: _Said, curve: Relation) -> str:
    return (
        f"{said.label} is known only in combination: the data tie it to {curve.others} by a curve, known which it "
        f"follows to {100 * curve.left:.0f} % of its spread; by itself it may be anywhere from {said.low:.3g} to "
        f"{said.high:.3g}."
    )


def _alone(said: _Said, seen: Seen, ends: list[str]) -> Verdict:
    """Weak, not identified, or worse, of a parameter that no ridge explains; `ends`: what ends it below and above."""
    label, share, ranks = said.label, said.share, seen.ranks(said.label)
    below, above = float((ranks < _EDGE).mean()), float((ranks > 1 - _EDGE).mean())
    none = max(_NONE, 2.0 * np.sqrt(0.2 / seen.worth))  # two standard errors of the contraction of a prior returned
    if share >= none and max(below, above) > _PILED:
        end = "lower" if below > above else "upper"
        part = f"{100 * max(below, above):.0f} % of draws"
        return said(
            Code.AT_BOUND,
            f"{label} piles up at the {end} end of its prior ({part}): {said.shown} is the prior's doing.",
        )
    if share > SOME:
        if any(ends):
            return _one_sided(said, ends)
        return said(Code.WEAK, f"{label} is only weakly identified: {said.shown}; {said.taken}.")
    if share < none and abs(float(ranks.mean()) - 0.5) < max(_NONE, 2.0 * np.sqrt(1.0 / 12.0 / seen.worth)):
        return said(
            Code.PRIOR_RETURNED,
            f"{label}: the prior came back ({said.shown}); the fitted moments say nothing about it.",
        )
    return said(
        Code.NOT_IDENTIFIED, f"{label} is not identified: {said.shown} is little more than the prior; {said.taken}."
    )


def _one_sided(said: _Said, ends: list[str]) -> Verdict:
    """The verdict where bounds end one side, or both: `ends`, lower and upper, which bound does, or nothing."""
    label = said.label
    if all(ends):
        text = f"{label} is not identified: {ends[0]} ends it below and {ends[1]} above, not the data; {said.taken}."
        return said(Code.NOT_IDENTIFIED, text)
    known = f"at the most {said.high:.3g}" if ends[0] else f"at the least {said.low:.3g}"
    text = f"{label} is bounded on one side only: the data say {known}; at the other {ends[0] or ends[1]} ends it."
    return said(Code.ONE_SIDED, text)


def _ended(label: str, seen: Seen, upper: bool) -> str:
    """Which bound ends the posterior of a parameter on one side: its own, or that of another which cannot follow any
    farther; nothing where the data do.
    """
    ranks = seen.ranks(label)
    order = np.argsort(ranks, kind="stable")
    count = max(3, int(_TAIL * len(order)))
    tail = order[-count:] if upper else order[:count]
    for other in (label, *(name for name in seen.posterior if name != label)):
        theirs = seen.ranks(other)
        for end, rim in (("lower", theirs < _RIM), ("upper", theirs > 1.0 - _RIM)):
            least = _LEANS if other == label else max(_LEANS, 2.0 * float(rim.mean()))
            if rim[tail].mean() > least:
                return f"the {end} bound of {other}"
    return ""


def several(ranks: np.ndarray, values: np.ndarray) -> tuple[float, ...]:
    """The medians of the groups that draws lie in, where there are two or three, narrow and far apart; else none.

    Groups are cut at the widest gaps between the ranks of all draws but the outermost.
    """
    order = np.argsort(ranks, kind="stable")
    sorted_ranks = ranks[order]
    n, least = len(ranks), max(3, int(_GROUP * len(ranks)))
    gaps = np.diff(sorted_ranks)
    gaps[: least - 1], gaps[n - least :] = 0.0, 0.0
    for count in (2, 3):
        cuts = np.sort(np.argsort(-gaps)[: count - 1]) + 1
        parts = np.split(np.arange(n), cuts)
        if min(len(p) for p in parts) < least:
            continue
        widths = [np.sqrt(12.0) * sorted_ranks[p].std() for p in parts]
        open_ = gaps[cuts - 1] * np.sqrt(12.0)
        if max(widths) < 1.0 - STRONG and open_.min() > _APART * max(widths) / 2.0:
            return tuple(float(np.median(values[order][p])) for p in parts)
    return ()


def _ridge(label: str, value: Callable[[Draws], np.ndarray], seen: Seen) -> bool:
    """Whether the prior, where the combination has its value, is as wide in the parameter as the posterior is."""
    all_of_them = [c.value for c in seen.combinations if label in c.members]
    return _as_wide(label, [value], seen) or _as_wide(label, all_of_them, seen)


def _as_wide(label: str, values: Sequence[Callable[[Draws], np.ndarray]], seen: Seen) -> bool:
    """Whether draws are as wide, but for a quarter, as those of the prior where combinations have their values."""
    inside = np.ones(len(seen.prior[label]), bool)
    for value in values:
        was, now = value(seen.prior), value(seen.posterior)
        order = np.sort(was)
        here, there = ranks_in(now, order), ranks_in(was, order)
        middle, reach = np.median(here), max(_SLAB, 2.0 * float(here.std()))
        inside &= np.abs(there - middle) <= reach
    if inside.sum() < _FEW:
        return True  # too few of the prior's draws to say: the combination is known, and that is what counts
    prior = seen.prior[label]
    was = np.sqrt(12.0) * ranks_in(prior[inside], prior).std()
    now = np.sqrt(12.0) * seen.ranks(label).std()
    return bool(now > _ALONG * was)


def _curve(label: str, seen: Seen) -> Relation | None:
    """What ties the parameter to others that are not identified either, if anything does."""
    loose = [n for n in seen.posterior if contraction(seen.posterior[n], seen.prior[n]) <= STRONG]
    if label not in loose or len(loose) < 2:
        return None
    found = relation(label, loose, seen.posterior, seen.prior)
    if found is None or not _as_wide(label, [found.value], seen):
        return None
    return found
