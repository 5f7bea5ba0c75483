"""Combinations that the data know better than their members: products, ratios, powers, sums, differences.

Parameters that the data know only together lie on a ridge of the posterior. Each candidate combination is judged by how
far it contracts from prior to posterior, and by how much tighter it is than any of its members (both on a logarithmic
scale for products and powers). A combination of fewer members and smaller powers is named before another unless that
is tighter by more than its length makes up for; of s parameters no more than s - 1 combinations are named.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations as subsets
from itertools import product as every
from math import gcd

import numpy as np

_CONTRACTED = 0.8
_TIGHTER = 0.6
_LENGTH = 0.15
"""By so much a combination must be tighter for each step of complexity."""
_SAME = 0.98
_POWERS = (-2, -1, 1, 2)
_TRIPLES = 9
"""Up to so many parameters, combinations of three are looked at."""

Draws = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Combination:
    """A combination of parameters: its text; its members; how far it contracts; its spread over that of its tightest
    member; `low`, `middle`, `high`: its central 95 % interval; `powers`: those of its members where it is a product of
    powers, else empty.
    """

    text: str
    members: tuple[str, ...]
    contraction: float
    tightness: float
    low: float
    middle: float
    high: float
    powers: tuple[int, ...] = ()
    value: Callable[[Draws], np.ndarray] = lambda draws: np.zeros(0)


@dataclass(frozen=True)
class _Form:
    """One way of combining: text, members, each member's part, whether the parts multiply (else they add), steps of
    complexity, and powers.
    """

    text: str
    members: tuple[str, ...]
    parts: tuple[Callable[[np.ndarray], np.ndarray], ...]
    multiplies: bool
    steps: int
    powers: tuple[int, ...] = ()

    def each(self, draws: Draws) -> list[np.ndarray]:
        """The parts of draws."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return [part(np.asarray(draws[m], np.float64)) for m, part in zip(self.members, self.parts, strict=True)]

    def value(self, draws: Draws) -> np.ndarray:
        """The combination of draws."""
        return reduce(np.multiply if self.multiplies else np.add, self.each(draws))


def contraction(posterior: np.ndarray, prior: np.ndarray) -> float:
    """1 - sd(u) / sqrt(1/12), where u is the prior probability below a posterior draw: the share of the prior's spread
    that the data took away. It is the same for every monotone reparameterisation; 0 where the posterior is the prior,
    1 where it is a point.
    """
    return float(1.0 - np.sqrt(12.0) * ranks_in(posterior, prior).std())


def ranks_in(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The share of `among` (m,) at or below each value, (n,)."""
    return np.searchsorted(np.sort(among), values, side="right") / among.size


def combinations(posterior: Draws, prior: Draws) -> tuple[Combination, ...]:
    """The combinations that are known much better than their members, the tightest first.

    **Arguments:** name to draws (n,), of posterior and prior.
    """
    known = []
    for form in _forms(tuple(posterior), prior):
        one = _judged(form, posterior, prior)
        if one is not None:
            known.append((one.tightness * (1.0 + _LENGTH * form.steps), form.steps, one))
    found: list[Combination] = []
    for _, _, one in sorted(known, key=lambda each: each[:2]):
        linked, count = _linked(one, found)
        if count < len(linked) - 1 and not _follows(one, found, prior):
            found.append(one)
    return tuple(sorted(found, key=lambda c: c.tightness))


def _linked(one: Combination, found: Sequence[Combination]) -> tuple[set[str], int]:
    """The parameters that a combination and those it shares members with, and theirs, hold; and how many these are."""
    names, mine = set(one.members), []
    while more := [c for c in found if c not in mine and names & set(c.members)]:
        mine += more
        names |= {m for c in more for m in c.members}
    return names, len(mine)


def _follows(one: Combination, found: Sequence[Combination], prior: Draws) -> bool:
    """Whether a combination is a function of others, as far as a linear one of their logarithms or values tells."""
    mine = [other for other in found if set(other.members) & set(one.members)]
    if not mine:
        return False
    columns = [_scale(other.value(prior), bool(other.powers)) for other in mine]
    target = _scale(one.value(prior), bool(one.powers))
    design = np.stack([np.ones_like(target), *columns], axis=1)
    left = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return bool(left.var() < (1.0 - _SAME) * target.var())


def _scale(value: np.ndarray, logarithm: bool) -> np.ndarray:
    return np.log(np.maximum(value, 1e-300)) if logarithm else value


def _forms(names: tuple[str, ...], prior: Draws) -> Iterator[_Form]:
    positive = tuple(n for n in names if prior[n].min() >= 0)
    for a, b in subsets(names, 2):
        yield from _pairs(a, b, prior)
    for size in (2, 3) if len(names) <= _TRIPLES else (2,):
        for members in subsets(positive, size):
            for powers in every(_POWERS, repeat=size):
                if powers[0] > 0 and reduce(gcd, powers) == 1 and (size > 2 or max(map(abs, powers)) > 1):
                    yield _powers(members, powers)
    if len(names) <= _TRIPLES:
        for members in subsets(names, 3):
            for signs in ((1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1)):
                text = members[0] + "".join(
                    f" {'+' if s > 0 else '-'} {m}" for m, s in zip(members[1:], signs[1:], strict=True)
                )
                parts = tuple(_same if s > 0 else np.negative for s in signs)
                yield _Form(text, members, parts, False, 3)


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _rest(x: np.ndarray) -> np.ndarray:
    return 1.0 - x


def _pairs(a: str, b: str, prior: Draws) -> Iterator[_Form]:
    share_a, share_b = (prior[n].min() >= 0 and prior[n].max() <= 1 for n in (a, b))
    positive_a, positive_b = (prior[n].min() >= 0 for n in (a, b))
    if share_a and share_b:
        yield _Form(f"(1 - {a}) x (1 - {b})", (a, b), (_rest, _rest), True, 0)
    yield _Form(f"{a} + {b}", (a, b), (_same, _same), False, 0)
    yield _Form(f"{a} - {b}", (a, b), (_same, np.negative), False, 0)
    if positive_a and positive_b:
        yield _powers((a, b), (1, 1))
        yield _powers((a, b), (1, -1))
    if share_b and positive_a:
        yield _Form(f"{a} x (1 - {b})", (a, b), (_same, _rest), True, 1)
    if share_a and positive_b:
        yield _Form(f"(1 - {a}) x {b}", (a, b), (_rest, _same), True, 1)


def _powers(members: tuple[str, ...], powers: tuple[int, ...]) -> _Form:
    words = ""
    for member, power in zip(members, powers, strict=True):
        word = member if abs(power) == 1 else f"{member}^{abs(power)}"
        words += word if not words else f" {'x' if power > 0 else '/'} {word}"
    parts = tuple(_power(p) for p in powers)
    steps = 2 * (len(members) - 2) + sum(abs(p) > 1 for p in powers)
    return _Form(words, members, parts, True, steps, powers)


def _power(p: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x ** float(p)


def _judged(form: _Form, posterior: Draws, prior: Draws) -> Combination | None:
    parts = form.each(posterior)
    if not all(np.isfinite(part).all() and (not form.multiplies or (part > 0).all()) for part in parts):
        return None
    spreads = [float(_scale(part, form.multiplies).std()) for part in parts]
    value = form.value(posterior)
    tightness = float(_scale(value, form.multiplies).std()) / max(min(spreads), 1e-300)
    if not tightness <= _TIGHTER:
        return None
    was = form.value(prior)
    if not (np.isfinite(value).all() and np.isfinite(was).all()):
        return None
    shrunk = contraction(value, was)
    if shrunk < _CONTRACTED:
        return None
    low, middle, high = (float(q) for q in np.quantile(value, [0.025, 0.5, 0.975]))
    return Combination(form.text, form.members, shrunk, tightness, low, middle, high, form.powers, form.value)


def symmetry(found: Sequence[Combination], names: Sequence[str]) -> str:
    """In words, what may be changed at will where products of powers are all that is known of some parameters: one
    scale; empty where there is none, or more than one.
    """
    powers = [c for c in found if c.powers and set(c.members) <= set(names)]
    if not powers:
        return ""
    used = [n for n in names if any(n in c.members for c in powers)]
    rows = np.array([[dict(zip(c.members, c.powers, strict=True)).get(n, 0) for n in used] for c in powers], float)
    _, values, right = np.linalg.svd(rows)
    rank = int((values > 1e-9).sum())
    if len(used) - rank != 1:
        return ""
    flat = right[-1] / np.abs(right[-1]).max()
    flat = flat * np.sign(flat[np.argmax(np.abs(flat))])
    for scale in (1, 2, 3, 4):
        whole = np.round(scale * flat)
        if np.abs(scale * flat - whole).max() < 1e-6:
            words = [f"{n} by {_by(int(p))}" for n, p in zip(used, whole, strict=True) if p]
            return (
                f"Within the posterior one may multiply {listed(words)}, and the fitted moments stay as near to the "
                "data."
            )
    return ""


def _by(power: int) -> str:
    word = "c" if abs(power) == 1 else f"c^{abs(power)}"
    return word if power > 0 else f"1/{word}"


def listed(words: list[str]) -> str:
    """Names in a sentence; nothing for none."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
