"""Whether a derivative through relaxations can be read as a sensitivity: held against differences, key by key."""

from collections.abc import Mapping

import numpy as np

from .._results import Code, Verdict

_APART = 4.0
"""Standard errors by which a gap is no accident."""
_CLOSE = 0.1
"""A bias, as a share of the derivative's length, that does no harm to a reading."""
_POWER = 0.25
"""What gap and error together may come to, as a share of the length, for the comparison to say something."""


def checked(
    label: str, found: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], seen: Mapping[str, np.ndarray]
) -> Verdict:
    """A derivative `found` beside differences, `truth`, with the same keys: observation to (keys, rows, ...).

    All observations and rows are judged together, each observation in units of the largest expectation of what is
    `seen`. Paired by key, the luck that both have in common drops out. Belief takes evidence: a gap that is not seen
    because the errors would hide it is too noisy.
    """
    units = {name: float(np.abs(value.mean(0)).max()) or 1.0 for name, value in seen.items()}
    ours, real = (_flat(samples, units) for samples in (found, truth))
    if not np.isfinite(ours).all():
        sentence = f"the derivative by {label} is not finite in every run: its tangents grow without end."
        return Verdict(label, Code.TOO_NOISY, sentence, {"bias": float("inf"), "noise": float("inf")})
    gap, doubt = ours.mean(0) - real.mean(0), standard_error(ours - real)
    length = max(float(np.linalg.norm(real.mean(0))), 1e-30)
    bias = float(np.linalg.norm(np.where(np.abs(gap) > _APART * doubt, gap, 0.0))) / length
    noise = float(np.linalg.norm(doubt)) / length
    along = ours @ real.mean(0) / length
    against = along.mean() < -_APART * float(standard_error(along))
    room = float(np.linalg.norm(gap)) / length + 2.0 * noise
    code, words = _class(ours, bias, room, against=bool(against))
    return Verdict(label, code, f"the derivative by {label} {words}.", {"bias": bias, "noise": noise})


def _class(ours: np.ndarray, bias: float, room: float, *, against: bool) -> tuple[Code, str]:
    if bias > _CLOSE and not ours.any():
        return Code.BLIND, "is 0 in every run, and differences are not"
    if bias > _CLOSE and against:
        return Code.WRONG_SIGN, "points against differences"
    if bias > _CLOSE:
        return Code.DIRECTION_ONLY, f"is off by {100 * bias:.0f} % of its length from differences"
    if room > _POWER:
        return Code.TOO_NOISY, f"may be off by {100 * room:.0f} % of its length: more keys would tell"
    return Code.BELIEVE, "agrees with differences"


def _flat(samples: Mapping[str, np.ndarray], units: Mapping[str, float]) -> np.ndarray:
    """All numbers of each key in their units, (keys, numbers)."""
    return np.concatenate([(v / units[name]).reshape(len(v), -1) for name, v in sorted(samples.items())], axis=1)


def standard_error(samples: np.ndarray) -> np.ndarray:
    """Of the mean of samples (keys, ...)."""
    return samples.std(0, ddof=1) / np.sqrt(len(samples))
