"""Combinations that the data know better than their members: products, ratios, sums, differences.

Two parameters that the data know only together lie on a ridge of the posterior. Each candidate combination is judged by
how far it contracts from prior to posterior, and by how much tighter it is than either member (both on a logarithmic
scale for products and ratios). Of several forms for one pair the first is named unless a later one is a tenth
tighter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations as pairs_of

import numpy as np

_CONTRACTED = 0.9
_TIGHTER = 0.6
_PREFERRED = 0.9


@dataclass(frozen=True)
class Combination:
    """A combination of two parameters: its text, members, contraction, and its spread over that of its tighter member;
    `low`, `middle`, `high`: its central 95 % interval.
    """

    text: str
    members: tuple[str, str]
    contraction: float
    tightness: float
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class _Form:
    """One way of combining: text, each member's part, and whether the parts multiply (else they add)."""

    text: str
    first: Callable[[np.ndarray], np.ndarray]
    second: Callable[[np.ndarray], np.ndarray]
    multiplies: bool


def contraction(posterior: np.ndarray, prior: np.ndarray) -> float:
    """1 - Var(u) / (1/12), where u is the prior probability below a posterior draw: the share of the prior's spread
    that
    the data took away. It is the same for every monotone reparameterisation; 0 where the posterior is the prior.
    """
    ranks = np.searchsorted(np.sort(prior), posterior, side="right") / prior.size
    return float(1.0 - 12.0 * ranks.var())


def combinations(posterior: Mapping[str, np.ndarray], prior: Mapping[str, np.ndarray]) -> tuple[Combination, ...]:
    """The combinations of two parameters that are known much better than their members.

    **Arguments:** name to draws (n,), of posterior and prior.
    """
    found = []
    for a, b in pairs_of(posterior, 2):
        best = None
        for form in _forms(a, b, prior[a], prior[b]):
            one = _judge(form, (a, b), posterior, prior)
            if one is not None and (best is None or one.tightness < _PREFERRED * best.tightness):
                best = one
        if best is not None:
            found.append(best)
    return tuple(sorted(found, key=lambda c: c.tightness))


def _forms(a: str, b: str, prior_a: np.ndarray, prior_b: np.ndarray) -> list[_Form]:
    def same(x: np.ndarray) -> np.ndarray:
        return x

    def inverse(x: np.ndarray) -> np.ndarray:
        return 1.0 / x

    def rest(x: np.ndarray) -> np.ndarray:
        return 1.0 - x

    forms = []
    share_a, share_b = (p.min() >= 0 and p.max() <= 1 for p in (prior_a, prior_b))
    if share_a and share_b:
        forms.append(_Form(f"(1 - {a}) x (1 - {b})", rest, rest, True))
    forms += [_Form(f"{a} + {b}", same, same, False), _Form(f"{a} - {b}", same, np.negative, False)]
    if prior_a.min() >= 0 and prior_b.min() >= 0:
        forms += [_Form(f"{a} x {b}", same, same, True), _Form(f"{a} / {b}", same, inverse, True)]
    if share_b and prior_a.min() >= 0:
        forms.append(_Form(f"{a} x (1 - {b})", same, rest, True))
    if share_a and prior_b.min() >= 0:
        forms.append(_Form(f"(1 - {a}) x {b}", rest, same, True))
    return forms


def _judge(
    form: _Form, members: tuple[str, str], posterior: Mapping[str, np.ndarray], prior: Mapping[str, np.ndarray]
) -> Combination | None:
    def parts(draws: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        a, b = (np.asarray(draws[m], np.float64) for m in members)
        with np.errstate(divide="ignore", invalid="ignore"):
            return form.first(a), form.second(b)

    after, before = parts(posterior), parts(prior)
    join = np.multiply if form.multiplies else np.add
    value, was = join(*after), join(*before)
    if not (np.isfinite(value).all() and np.isfinite(was).all()):
        return None
    if form.multiplies and not all((part > 0).all() for part in after):
        return None
    scale = np.log if form.multiplies else np.asarray
    spreads = [float(scale(part).std()) for part in after]
    tightness = float(scale(value).std()) / max(min(spreads), 1e-300)
    shrunk = contraction(value, was)
    if shrunk < _CONTRACTED or tightness > _TIGHTER:
        return None
    low, middle, high = np.quantile(value, [0.025, 0.5, 0.975])
    return Combination(form.text, members, shrunk, tightness, float(low), float(middle), float(high))
