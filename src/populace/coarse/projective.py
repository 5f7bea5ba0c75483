"""Running ahead: short bursts say how fast the macro variables move, and they are leapt forward at that speed.

Projective integration (William Gear and Ioannis Kevrekidis 2003, SIAM Journal on Scientific Computing 24:1091): a few
copies are lifted and run for a burst; a line through the last part of their mean path is drawn on for the length of the
leap; there copies are lifted again, and a second burst says how the speed has changed on the way. The leap is then made
with the speed's mean over it (second order, after Karl Heun). It leaps over slow motion only: a leap longer than twice
the time in which deviations die out blows up. The check beside it: what the second burst corrected. A correction that
is small against the leap leaves an error smaller by that share again, which the error bars hold.
"""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Band, BandPanel, Code, Figure, Result, Section, Table, Verdict
from .._types import Key
from .implicit import LEVEL, quantile
from .stepper import CoarseStepper, bounds, burst

_ALLOWED = 0.1
"""What may have to be corrected of a leap, as a share of how far the path goes."""


@dataclass(frozen=True)
class Projected(Result):
    """A path that ran ahead.

    `times` (rows,); `path`, `error` (rows, variables): the mean over copies, and its standard error with what leaps
    may have got wrong, passed on from leap to leap; `corrected` (leaps, variables): what the second burst corrected;
    `simulated`: the time simulated, for one copy, as a share of the time gone; `bursts`.
    """

    variables: tuple[str, ...]
    times: np.ndarray
    path: np.ndarray
    error: np.ndarray
    corrected: np.ndarray
    simulated: float
    bursts: int
    verdict: Verdict

    def sections(self) -> tuple[Section, ...]:
        half = quantile(10_000) * self.error
        panels = tuple(
            BandPanel(
                "",
                "time",
                name,
                (Band("mean", self.times, x, {LEVEL: (x - half[:, i], x + half[:, i])}, "estimate"),),
            )
            for i, name in enumerate(self.variables)
            for x in (self.path[:, i],)
        )
        share = f"{100 * self.simulated:.0f} %"
        text = (f"{self.bursts} bursts: simulated time is {share} of the time gone.",)
        figure = Figure("path", "The mean path, with 90 % intervals.", panels)
        columns = ("time", *self.variables, *(f"error of {v}" for v in self.variables))
        rows = tuple(
            (float(t), *map(float, x), *map(float, e))
            for t, x, e in zip(self.times, self.path, self.error, strict=True)
        )
        return (Section("Running ahead", text, (self.verdict,), (figure,), (Table("Path", columns, rows),)),)

    def record(self) -> dict[str, Any]:
        return {
            "times": self.times.tolist(),
            "path": self.path.tolist(),
            "error": self.error.tolist(),
            "simulated": self.simulated,
            "bursts": self.bursts,
            **self.verdict.record(),
        }


def projective(
    stepper: CoarseStepper, key: Key, *, start: Any, time: float, leap: float, copies: int = 100
) -> Projected:
    """The mean path of the macro variables over a long time, most of it leapt over.

    **Arguments:**

    - `start` (variables,): where it begins.
    - `time`: how far to go; `leap`: the time of a leap, beyond the burst before it.
    - `copies`: bursts at each landing, whose mean speed is drawn on.

    **Returns:** `Projected`; its verdict says whether the leaps were short enough. **Raises:** `MethodError`.
    """
    low, high = bounds(stepper)
    here = np.asarray(start, np.float64).reshape(-1)
    rows = stepper.rows()
    length = stepper.interval() * (rows - 1)
    if here.shape != low.shape or copies < 2 or not leap > 0 or not time > length:
        raise MethodError(
            f"running ahead takes a start of {len(low)} numbers, copies >= 2, leap > 0 and a time beyond one burst "
            f"({length:g}): not {here.tolist()}, {copies=}, {leap=}, {time=}"
        )
    walk = _Walk([0.0], [here], [np.zeros(len(low))], [])
    variance, slack, turn = np.zeros(len(low)), np.zeros(len(low)), 0
    while walk.times[-1] < time:
        end, slope = _pushed(stepper, here, copies, jr.fold_in(key, 2 * turn))
        walk.times.append(walk.times[-1] + length + (leap if turn else 0.0))
        walk.path.append(end.mean(0))
        walk.errors.append(np.sqrt(variance + end.var(0, ddof=1) / copies + slack**2))
        there = np.clip(end.mean(0) + leap * slope.mean(0), low, high)
        _, later = _pushed(stepper, there, copies, jr.fold_in(key, 2 * turn + 1))
        share = (0.5 * leap + 0.25 * length) / (leap + length)
        mean = slope + share * (later.mean(0) - slope.mean(0))
        landed = end + leap * mean
        walk.corrected.append(leap * share * (later.mean(0) - slope.mean(0)))
        noise = landed.var(0, ddof=1) / copies + (leap * share) ** 2 * later.var(0, ddof=1) / copies
        moved = np.where(np.abs(there - end.mean(0)) > 1e-12, there - end.mean(0), 1.0)
        change = np.clip((later.mean(0) - slope.mean(0)) / moved * (leap + length), -1.0, 1.0)
        grown = 1.0 + change + 0.5 * change**2
        variance = variance * grown**2 + noise
        slack = slack * np.abs(grown) + np.abs(walk.corrected[-1] * change) / 3.0
        here, turn = np.clip(landed.mean(0), low, high), turn + 1
    return _judged(stepper, walk, leap, copies)


@dataclass
class _Walk:
    """The path so far."""

    times: list[float]
    path: list[np.ndarray]
    errors: list[np.ndarray]
    corrected: list[np.ndarray]


def _pushed(stepper: CoarseStepper, here: np.ndarray, copies: int, key: Key) -> tuple[np.ndarray, np.ndarray]:
    """Where each copy's burst from a place ends and how fast it moves there (copies, variables)."""
    return _drawn_on(burst(stepper, np.tile(here, (copies, 1)), {}, key).paths, stepper.interval())


def _drawn_on(paths: np.ndarray, interval: float) -> tuple[np.ndarray, np.ndarray]:
    """Where each copy's burst ends and how fast it moves there (copies, variables), by the last half of its path."""
    half = max(1, (paths.shape[1] - 1) // 2)
    return paths[:, -1], (paths[:, -1] - paths[:, -1 - half]) / (half * interval)


def _judged(stepper: CoarseStepper, walk: _Walk, leap: float, copies: int) -> Projected:
    places, errors = np.asarray(walk.path), np.asarray(walk.errors)
    corrected = np.asarray(walk.corrected)
    whole = np.maximum(np.ptp(places, axis=0), 1e-12)
    worst = float((np.abs(corrected) / whole).max())
    noise = float((errors[-1] / whole).max())
    code = Code.STEP_HOLDS if worst <= _ALLOWED + 2.0 * noise else Code.STEP_TOO_LONG
    way = "short enough" if code is Code.STEP_HOLDS else "too long"
    sentence = (
        f"Leaps of {leap:.3g} are {way}: at worst a leap along a straight line had to be corrected by "
        f"{100 * worst:.2g} % of the whole path."
    )
    verdict = Verdict("leaps", code, sentence, {"worst": worst, "leap": leap})
    length, turns = stepper.interval() * (stepper.rows() - 1), len(corrected)
    share = 2.0 * length * turns / walk.times[-1]
    names = tuple(stepper.within())
    return Projected(names, np.asarray(walk.times), places, errors, corrected, share, 2 * copies * turns, verdict)
