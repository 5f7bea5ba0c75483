"""What an estimator is worth beside the truth: a class, a sentence, and the work that an accuracy costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from .._results import Code, Verdict
from .directions import Compared
from .truth import Truth

_APART = 4.0
"""Standard errors by which a gap is no accident."""
_CLOSE = 0.1
"""A relative bias that does no harm to a fit or a reading."""
_POWER = 0.25
"""Relative error beyond which a comparison says nothing."""
_ACCURACY = 0.1
_ORDER = (Code.BELIEVE, Code.DIRECTION_ONLY, Code.TOO_NOISY, Code.NO_DERIVATIVE, Code.BLIND, Code.WRONG_SIGN)


@final
@dataclass(frozen=True)
class Judged:
    """`z` (p,): gaps to the truth in standard errors; `bias`: length of the gap as a share of the gradient's, in units
    of the parameters; `noise`: the same of its standard error; `work`: forward runs for a relative error of a tenth
    (bias and spread together; infinite where the bias alone is larger).
    """

    code: Code
    sentence: str
    z: np.ndarray
    bias: float
    noise: float
    work: float


def judged(truth: Truth, gradients: np.ndarray, compared: Compared, cost: float, *, unbiased: bool) -> Judged:
    """Compare estimates of the whole gradient (keys, d) with the truth (k,) about what is compared of it.

    **Arguments:** `cost`: forward runs a key; `unbiased`: whether theory says so. Of an estimator that is not, it takes
    evidence to believe it: not to be seen to be off is not enough where the errors would hide it.
    """
    samples, unit, names = compared.of(gradients), compared.unit, compared.names
    mean, error = samples.mean(0), samples.std(0, ddof=1) / np.sqrt(len(samples))
    gap, doubt = mean - truth.value, np.hypot(error, truth.error)
    z = gap / np.maximum(doubt, 1e-30)
    length = float(np.linalg.norm(truth.value * unit))
    bias = _share(_beyond(gap, doubt) * unit, length)
    noise = _share(doubt * unit, length)
    share = compared.spread(gradients) / max(_ACCURACY * compared.length(truth.value), 1e-30)
    work = cost * max(1.0, share**2)
    if bias > _ACCURACY or not truth.exists.all() or not samples.any():  # 0 in every run has no spread, and no use
        work = float("inf")
    room = noise if unbiased else _share(gap * unit, length) + 2.0 * noise
    code, sentence = _class(truth, mean, error, z, bias, room, names)
    return Judged(code, sentence, z, bias, noise, work)


def _share(vector: np.ndarray, length: float) -> float:
    return float(np.linalg.norm(vector)) / max(length, 1e-30)


def _beyond(gap: np.ndarray, doubt: np.ndarray) -> np.ndarray:
    """The gap, where it is no accident."""
    return np.where(np.abs(gap) > _APART * doubt, gap, 0.0)


def _class(
    truth: Truth, mean: np.ndarray, error: np.ndarray, z: np.ndarray, bias: float, room: float, names: Sequence[str]
) -> tuple[Code, str]:
    if not truth.exists.all():
        missing = ", ".join(name for name, ok in zip(names, truth.exists, strict=True) if not ok)
        return Code.NO_DERIVATIVE, f"the expected loss has no derivative in {missing}: it is a staircase"
    certain = (np.abs(truth.value) > _APART * truth.error) & (np.abs(mean) > _APART * error)
    against = certain & (np.sign(mean) != np.sign(truth.value)) & (np.abs(z) > _APART)
    if against.any():
        i = int(np.flatnonzero(against)[0])
        return Code.WRONG_SIGN, f"{names[i]} comes out as {mean[i]:.3g}, the truth is {truth.value[i]:.3g}"
    worst = int(np.argmax(np.abs(z)))
    if bias > _CLOSE and not mean.any() and not error.any():
        return Code.BLIND, f"it is 0 in every run, where the truth by {names[worst]} is {truth.value[worst]:.3g}"
    if bias > _CLOSE:
        factor = mean[worst] / truth.value[worst] if truth.value[worst] else float("inf")
        return Code.DIRECTION_ONLY, f"{names[worst]} is {factor:.2g} times the truth ({abs(z[worst]):.0f} errors off)"
    if room > _POWER:
        return Code.TOO_NOISY, f"it may be off by {100 * room:.0f} % of the gradient's length: more keys would tell"
    if bias > 0.0:
        return Code.BELIEVE, f"off by {100 * bias:.0f} % of the gradient's length, which does no harm"
    return Code.BELIEVE, f"within {abs(z[worst]):.1f} standard errors of the truth"


_WORDS = {
    Code.BELIEVE: "can be believed",
    Code.DIRECTION_ONLY: "gives a direction only",
    Code.TOO_NOISY: "is too noisy to judge",
    Code.NO_DERIVATIVE: "has nothing to estimate",
    Code.BLIND: "sees nothing",
    Code.WRONG_SIGN: "has the wrong sign",
}


def overall(name: str, cases: Sequence[Judged]) -> Verdict:
    """The worst of the cases, in words."""
    worst = max(cases, key=lambda one: _ORDER.index(one.code))
    same = sum(one.code is worst.code for one in cases)
    where = "" if same == len(cases) else f" in {same} of {len(cases)} cases"
    numbers = {"bias": max(one.bias for one in cases), "noise": max(one.noise for one in cases)}
    return Verdict(name, worst.code, f"{name} {_WORDS[worst.code]}{where}: {worst.sentence}.", numbers)
