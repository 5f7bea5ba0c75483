"""How long a burst has to be: until what the lift got wrong has healed, and until the drift is known well enough.

A lift fixes the macro variables and guesses all else. If these variables do say all that matters, everything else soon
follows them, and from then on stretches of a burst, early or late, give one drift at one place. So the drift is fitted
as one surface for all stretches, with a level and a slope of its own for each part of the burst, which are held
against the last part's: a part in which they differ had not healed. If the last but one still differs, the burst is too
short to tell, or a variable is missing: what moves slowly and is not among the macro variables.
"""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from scipy import stats

from .._errors import MethodError
from .._results import Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from .._types import Key
from .design import spread
from .implicit import quantile
from .stepper import CoarseStepper, bounds, burst
from .surface import basis, terms

_LEVEL = 0.01


@dataclass(frozen=True)
class BurstLength(Result):
    """How long to heal and to run.

    `ends` (parts,): the time at which each part of the burst ended; `shifts`, `errors` (parts, 1 + variables,
    variables): level and slopes, by each variable over half its range, of the drift of each part beyond the last one's;
    `heal`: the time after which parts agree, NaN if the last two do not; `length`: the time after healing that gives
    the drift at a place to within `wanted` of its typical size with the bursts used.
    """

    variables: tuple[str, ...]
    ends: np.ndarray
    shifts: np.ndarray
    errors: np.ndarray
    heal: float
    length: float
    wanted: float
    bursts: int
    verdict: Verdict

    def sections(self) -> tuple[Section, ...]:
        z, panels = quantile(self.bursts), []
        starts = np.append(0.0, self.ends[:-1])
        names = tuple(f"{a:.3g} to {b:.3g}" for a, b in zip(starts, self.ends, strict=True))
        for i, variable in enumerate(self.variables):
            for k, what in enumerate(("level", *(f"slope by {v}" for v in self.variables))):
                middle, half = self.shifts[:, k, i], z * self.errors[:, k, i]
                title, low, high = f"{variable}: {what}", middle - half, middle + half
                panels.append(IntervalPanel(title, "beyond the last part's", names, middle, low, high, reference=0.0))
        caption = "The drift in each part of a burst, held against the last part at the same place; 90 % intervals."
        rows = (
            ("time to heal", self.heal if np.isfinite(self.heal) else None),
            ("time of a burst after that", self.length),
        )
        share = f"{100 * self.wanted:.0f} %"
        note = f"The second is for the drift at a place to {share} of its typical size, with {self.bursts} bursts."
        table = Table("How long", ("what", "time"), rows, note)
        return (
            Section("Length of a burst", (), (self.verdict,), (Figure("parts", caption, tuple(panels)),), (table,)),
        )

    def record(self) -> dict[str, Any]:
        return {
            "ends": self.ends.tolist(),
            "shifts": self.shifts.tolist(),
            "errors": self.errors.tolist(),
            "heal": self.heal if np.isfinite(self.heal) else None,
            "length": self.length,
            "bursts": self.bursts,
            **self.verdict.record(),
        }


def burst_length(
    stepper: CoarseStepper,
    key: Key,
    *,
    centre: Any = None,
    width: float = 1.0,
    budget: int = 200,
    parts: int = 6,
    wanted: float = 0.1,
) -> BurstLength:
    """How long bursts must heal before drifts are read, and how long they must then run.

    **Arguments:**

    - `centre` (variables,): about which bursts start, the middle of the range by default; `width`: how far from it, as
      a share of half the range.
    - `budget`: bursts, each as long as `stepper` makes them: take it generously long for this.
    - `parts`: into how many parts a burst is cut.
    - `wanted`: the error of a drift at a place, as a share of its typical size over these bursts.

    **Returns:** `BurstLength`. **Raises:** `MethodError`.
    """
    low, high = bounds(stepper)
    rows = stepper.rows() - 1
    if parts < 2 or rows < parts or budget < 30 or not 0 < width <= 1:
        raise MethodError(
            f"{budget} bursts (30 or more) of {rows} stretches cannot be cut into {parts} parts, with {width=}: "
            "take longer bursts or look at them more often"
        )
    middle = 0.5 * (low + high) if centre is None else np.asarray(centre, np.float64)
    half = 0.5 * width * (high - low)
    made = burst(stepper, middle + spread(jr.fold_in(key, 0), budget, len(low)) * half, {}, jr.fold_in(key, 1))
    where, rates, of = made.moves(stepper.interval())
    part = np.tile(np.arange(rows) * parts // rows, budget)
    shifts, covariance, noise, left = _shifts(
        where, rates, of, part, parts, middle, np.maximum(half, np.abs(where - middle).max(0))
    )
    ends = stepper.interval() * np.array([(np.arange(rows) * parts // rows <= k).sum() for k in range(parts)])
    heal = _healed(shifts, covariance, ends, budget)
    size = np.sqrt(np.mean(left**2, axis=0))
    need = float(np.max(noise**2 * stepper.interval() / np.maximum(wanted * size, 1e-12) ** 2)) * _LEVERAGE / budget
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).reshape(shifts.shape)
    variables = tuple(stepper.within())
    verdict = _judge(variables, heal, ends)
    return BurstLength(variables, ends, shifts, error, heal, max(need, stepper.interval()), wanted, budget, verdict)


_LEVERAGE = 4.0
"""A cubic's variance at a place, in units of a mean's."""


def _shifts(
    where: np.ndarray,
    rates: np.ndarray,
    of: np.ndarray,
    part: np.ndarray,
    parts: int,
    centre: np.ndarray,
    width: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Level and slopes (parts, 1 + variables, variables) against the last part, with the covariance of each part's,
    flat; the noise of a stretch (variables,); the fitted drift of the last part (stretches, variables).
    """
    d, bursts = rates.shape[1], int(of.max()) + 1
    z = (where - centre) / width
    surface = basis(z, terms(d, 0, 5 if d == 1 else 3))
    lines = np.concatenate([np.ones((len(z), 1)), z], 1)
    marks = ((part[:, None] == np.arange(parts - 1))[:, :, None] * lines[:, None, :]).reshape(len(z), -1)
    phi = np.concatenate([surface, marks], 1)
    inverse = np.linalg.pinv(phi.T @ phi)
    beta = inverse @ phi.T @ rates
    off = rates - phi @ beta
    scores = np.zeros((bursts, phi.shape[1], d))
    np.add.at(scores, of, phi[:, :, None] * off[:, None, :])
    pushed = np.einsum("ij,bjd->bid", inverse, scores)[:, surface.shape[1] :].reshape(bursts, parts - 1, -1)
    covariance = np.einsum("bpd,bpe->pde", pushed, pushed) * bursts / (bursts - 1)
    shifts = beta[surface.shape[1] :].reshape(parts - 1, 1 + d, d)
    size = (1 + d) * d
    covariance = np.concatenate([covariance, np.zeros((1, size, size))])
    return np.concatenate([shifts, np.zeros((1, 1 + d, d))]), covariance, off.std(0), surface @ beta[: surface.shape[1]]


def _healed(shifts: np.ndarray, covariance: np.ndarray, ends: np.ndarray, bursts: int) -> float:
    """The end of the last part that differs; 0 if none does, NaN if the last but one does."""
    flat, heal = shifts.reshape(len(shifts), -1), 0.0
    count = flat.shape[1]
    for k in range(len(flat) - 1):
        size = float(flat[k] @ np.linalg.pinv(covariance[k]) @ flat[k])
        if stats.f.sf(size / count, count, bursts - count) < _LEVEL / (len(flat) - 1):
            heal = float(ends[k])
    return float("nan") if heal == float(ends[-2]) else heal


def _judge(variables: tuple[str, ...], heal: float, ends: np.ndarray) -> Verdict:
    numbers = {"heal": heal} if np.isfinite(heal) else {}
    subject = ", ".join(variables)
    if not np.isfinite(heal):
        sentence = (
            f"The drift at one place still changes at the end of a burst of {ends[-1]:.3g}: the lift has not healed, "
            f"or {subject} do not say all that matters."
        )
        return Verdict(subject, Code.NOT_HEALED, sentence, numbers)
    after = "at once" if heal == 0 else f"after {heal:.3g}"
    sentence = f"The drift at one place is the same in all later parts of a burst {after}."
    return Verdict(subject, Code.HEALED, sentence, numbers)
