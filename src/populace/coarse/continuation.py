"""A branch of states of rest followed through parameters, round folds where it turns back.

Pseudo-arclength continuation (Herbert Keller 1977): from a point of the branch a step is taken along its tangent in
variables and parameter together, and the branch is met again at right angles to the tangent. Here each meeting is on a
polynomial that is fitted to the bursts about the new point and to all earlier ones that pass there.
"""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import BandPanel, Code, Figure, Points, Result, Section, Table, Verdict
from .._types import Key
from .design import spread
from .implicit import Place, fold, leading, place, quantile, rest, solve
from .steady import judged
from .stepper import Bursts, CoarseStepper, bounds, burst, check_parameters
from .surface import Surface, fit_enough, terms

_TRIES = 3
"""A branch that is not met is looked for again with more bursts, half a step away."""
_ABOUT = 2.0
"""How far about a fold bursts count, in steps."""


@dataclass(frozen=True)
class BranchPoint:
    """A state of rest on a branch.

    `at` (variables + 1,): variables and parameter; `error` (variables + 1,): standard errors at right angles to the
    branch, along which a point may lie anywhere; `rate`, `rate_error`: of the slowest deviation.
    """

    at: np.ndarray
    error: np.ndarray
    rate: complex
    rate_error: float
    verdict: Verdict


@dataclass(frozen=True)
class Branch(Result):
    """A branch, from its start on.

    `points`; `folds`: where it turns back, (place, standard errors) of variables and parameter each; `ended`: why it
    goes no further; `bursts`: how many were run.
    """

    variables: tuple[str, ...]
    parameter: str
    points: tuple[BranchPoint, ...]
    folds: tuple[tuple[np.ndarray, np.ndarray], ...]
    ended: str
    bursts: int

    @property
    def names(self) -> tuple[str, ...]:
        """What the numbers of a place are."""
        return (*self.variables, self.parameter)

    def sections(self) -> tuple[Section, ...]:
        text = [f"{len(self.points)} points from {self.bursts} bursts; {self.ended}."]
        for at, error in self.folds:
            z = quantile(10_000)
            shown = ", ".join(f"{n} = {a:.4g} +- {z * e:.2g}" for n, a, e in zip(self.names, at, error, strict=True))
            text.append(f"The branch turns back at {shown}.")
        columns = (*self.names, *(f"error of {v}" for v in self.variables), "rate", "error of rate", "state")
        rows = tuple(
            (*map(float, p.at), *map(float, p.error[:-1]), p.rate.real, p.rate_error, p.verdict.code.value)
            for p in self.points
        )
        tables = (Table("Points of the branch", columns, rows, "Errors are at right angles to the branch."),)
        return (Section("Branch", tuple(text), (), self._figures(), tables),)

    def _figures(self) -> tuple[Figure, ...]:
        if not self.points:
            return ()
        panels = tuple(self._panel(i, name) for i, name in enumerate(self.variables))
        return (Figure("branch", "States of rest along the branch, with one standard error.", panels),)

    def _panel(self, i: int, name: str) -> BandPanel:
        shown = []
        for code in (Code.STABLE, Code.UNSTABLE, Code.STABILITY_OPEN):
            mine = [p for p in self.points if p.verdict.code is code]
            if mine:
                at, error = (np.array([getattr(p, what) for p in mine]) for what in ("at", "error"))
                shown.append(Points(code.value, at[:, -1], at[:, i], error[:, i]))
        if self.folds:
            at, error = (np.array([one[k] for one in self.folds]) for k in (0, 1))
            shown.append(Points("fold", at[:, -1], at[:, i], error[:, i]))
        return BandPanel("", self.parameter, name, (), tuple(shown))

    def record(self) -> dict[str, Any]:
        return {
            "bursts": self.bursts,
            "ended": self.ended,
            "points": [
                {
                    "at": dict(zip(self.names, p.at.tolist(), strict=True)),
                    "error": dict(zip(self.names, p.error.tolist(), strict=True)),
                    "rate": p.rate.real,
                    "rate_error": p.rate_error,
                    "class": p.verdict.code.value,
                }
                for p in self.points
            ],
            "folds": [
                {"at": dict(zip(self.names, at.tolist(), strict=True)), "error": error.tolist()}
                for at, error in self.folds
            ],
        }


def continuation(
    stepper: CoarseStepper,
    parameter: str,
    key: Key,
    *,
    start: Any,
    span: tuple[float, float],
    step: float = 0.1,
    points: int = 30,
    bursts: int = 40,
    rising: bool = True,
) -> Branch:
    """Follow a branch of states of rest.

    **Arguments:**

    - `parameter`: its name; `span`: the branch ends where it leaves this range, or that of a variable.
    - `start`: a state of rest (variables,), about, at the parameter's value as the model has it.
    - `step`: how far from point to point, as a share of the ranges of variables and parameter.
    - `points`: how many at most; `bursts`: how many about each.
    - `rising`: whether the parameter rises from the start.

    **Returns:** `Branch`. **Raises:** `MethodError`, `UnknownParameterError`.
    """
    check_parameters(stepper, (parameter,))
    low, high = bounds(stepper)
    low, high = np.append(low, span[0]), np.append(high, span[1])
    here = np.append(np.asarray(start, np.float64).reshape(-1), stepper.parameters()[parameter])
    if here.shape != low.shape or not (low < high).all() or not 0 < step <= 0.5:
        raise MethodError(f"continuation takes a start of {len(low) - 1} numbers, a span and 0 < step <= 0.5")
    if bursts < len(terms(len(low) - 1, 1, 2)) + 2:
        raise MethodError(f"bursts={bursts} about a point are too few for a quadratic surface")
    tangent = np.append(np.zeros(len(low) - 1), 1.0 if rising else -1.0)
    followed = _Follower(stepper, parameter, low, high, high - low, step, bursts)
    made: list[BranchPoint] = []
    turns: list[tuple[np.ndarray, np.ndarray]] = []
    ended = f"it was followed for {points} points"
    for i in range(points):
        met = followed.on(here, tangent, jr.fold_in(key, i), first=i == 0)
        if met is None:
            ended = "it was lost: more bursts a point, or a shorter step"
            break
        point, ahead = met
        if ((point.at < low) | (point.at > high)).any():
            ended = "it left the range"
            break
        if made and ahead[-1] * tangent[-1] < 0:
            turns += followed.turn(made[-1].at, point.at)
        made.append(point)
        here, tangent = point.at, ahead
    pool = followed.pool
    run = 0 if pool is None else len(pool)
    return Branch(tuple(stepper.within()), parameter, tuple(made), tuple(turns), ended, run)


@dataclass
class _Follower:
    """Meets the branch near a place, and remembers all bursts."""

    stepper: CoarseStepper
    parameter: str
    low: np.ndarray
    high: np.ndarray
    unit: np.ndarray
    step: float
    bursts: int
    pool: Bursts | None = None

    def on(self, here: np.ndarray, tangent: np.ndarray, key: Key, first: bool) -> tuple[BranchPoint, np.ndarray] | None:
        """The next point and the direction there; the first one is where one stands."""
        for turn in range(_TRIES):
            ahead = 0.0 if first else 0.5**turn * self.step
            aim = np.clip(here + ahead * tangent * self.unit, self.low, self.high)
            met = self.meet(aim, tangent, jr.fold_in(key, turn))
            if met is not None:
                return met
        return None

    def meet(self, aim: np.ndarray, tangent: np.ndarray, key: Key) -> tuple[BranchPoint, np.ndarray] | None:
        """The branch where it crosses, through a place, the plane at right angles to its tangent."""
        width, d = self.step * self.unit, len(aim) - 1
        sent = np.clip(aim + spread(jr.fold_in(key, 0), self.bursts, d + 1) * width, self.low, self.high)
        new = burst(self.stepper, sent[:, :-1], {self.parameter: sent[:, -1]}, jr.fold_in(key, 1))
        self.pool = new if self.pool is None else self.pool + new
        surface = fit_enough(*self.pool.moves(self.stepper.interval()), aim, 1.5 * width, 3 if d == 1 else 2)

        def across(at: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
            return np.append(rest(surface)(at, coefficients), ((at - aim) / self.unit) @ tangent)

        root = solve(across, surface, aim, width)
        if root is None or (np.abs(root - aim) > 2.0 * width).any():
            return None
        met = place(across, surface, root, width)
        rate, error = leading(across, surface, met, d, self.stepper.interval())
        names = (*self.stepper.within(), self.parameter)
        subject = ", ".join(f"{v} = {a:.4g}" for v, a in zip(names, root, strict=True))
        point = BranchPoint(root, met.error, rate, error, judged(subject, rate, error, met.freedom))
        return point, self._ahead(surface, root, tangent)

    def _ahead(self, surface: Surface, at: np.ndarray, tangent: np.ndarray) -> np.ndarray:
        """The branch's direction at a point, in units of the ranges: the null vector of the slopes."""
        ahead = np.linalg.svd(surface.slope(at) * self.unit)[2][-1]
        return ahead if ahead @ tangent > 0 else -ahead

    def turn(self, before: np.ndarray, after: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The fold between two points, if one is found, on a surface about both."""
        assert self.pool is not None
        middle, width = 0.5 * (before + after), _ABOUT * self.step * self.unit
        surface = fit_enough(*self.pool.moves(self.stepper.interval()), middle, width, 4 if len(middle) == 2 else 3)
        at = solve(fold(surface), surface, middle, width)
        if at is None or (np.abs(at - middle) > width).any():
            return []
        found: Place = place(fold(surface), surface, at, width)
        return [(found.at, found.error)]
