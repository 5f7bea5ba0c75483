"""States of rest of a population, stable or not, found by Newton's method on one surface for all bursts."""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Band, BandPanel, Code, Figure, Points, Result, Section, Table, Verdict
from .._types import Key
from .design import gathered, spread
from .implicit import LEVEL, leading, place, quantile, rest, solve
from .stepper import Bursts, CoarseStepper, bounds, burst
from .surface import Surface, fit_enough, fit_surface, terms

_ROUNDS = 3
_REACH = 2.5
"""A path's stretches count where it is within so many widths of the centre."""
_SCAN = 7
"""Degree of the polynomial over the whole range in which a scan looks for changes of sign."""
_SCANNED = 0.3


@dataclass(frozen=True)
class SteadyState:
    """A state of rest.

    `at` (variables,); `error`, `half` (variables,): standard error, and half of the 90 % interval; `rate`: the
    eigenvalue with the largest real part, a unit of time, and `rate_error` that of its real part; `verdict`.
    """

    at: np.ndarray
    error: np.ndarray
    half: np.ndarray
    rate: complex
    rate_error: float
    bursts: int
    verdict: Verdict


@dataclass(frozen=True)
class SteadyStates(Result):
    """What was found, and what was not.

    `states`: in rising order of the first variable; `lost`: starts (variables,) from which no state of rest was
    reached; `bursts`: how many were run in all; `drift`: the rate over the whole range with its error, where it was
    scanned: places, rates and errors (points,) each.
    """

    variables: tuple[str, ...]
    states: tuple[SteadyState, ...]
    lost: tuple[np.ndarray, ...]
    bursts: int
    drift: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def sections(self) -> tuple[Section, ...]:
        columns = ("state", *self.variables, *(f"error of {v}" for v in self.variables), "rate", "error of rate")
        rows = tuple(
            (s.verdict.code.value, *map(float, s.at), *map(float, s.error), s.rate.real, s.rate_error)
            for s in self.states
        )
        note = "Rate: how fast the slowest deviation grows (above 0) or dies out (below 0), a unit of time."
        tables = (Table("States of rest", columns, rows, note),) if rows else ()
        text = [f"{self.bursts} bursts. Intervals hold 90 %."]
        text += [f"No state of rest was reached from {_said(self.variables, one)}." for one in self.lost]
        if not self.states:
            text.append("No state of rest was found within the range that was looked at.")
        return (Section("States of rest", tuple(text), tuple(s.verdict for s in self.states), self._figures(), tables),)

    def _figures(self) -> tuple[Figure, ...]:
        if self.drift is None:
            return ()
        x, rate, error = self.drift
        name, half = self.variables[0], quantile(10_000) * error
        at = np.array([s.at[0] for s in self.states])
        found = (Points("state of rest", at, np.zeros(len(at))),) if len(at) else ()
        band = Band("drift", x, rate, {LEVEL: (rate - half, rate + half)}, "estimate")
        panel = BandPanel("", name, f"rate of change of {name}", (band,), found)
        return (Figure("drift", "The scan of the whole range; states of rest are where the drift is 0.", (panel,)),)

    def record(self) -> dict[str, Any]:
        return {
            "bursts": self.bursts,
            "states": [
                {
                    "at": dict(zip(self.variables, s.at.tolist(), strict=True)),
                    "error": dict(zip(self.variables, s.error.tolist(), strict=True)),
                    "rate": s.rate.real,
                    "frequency": s.rate.imag,
                    "rate_error": s.rate_error,
                    **s.verdict.record(),
                }
                for s in self.states
            ],
            "lost": [one.tolist() for one in self.lost],
        }


def steady_states(
    stepper: CoarseStepper, key: Key, *, starts: Any = None, budget: int = 600, width: float = 0.1
) -> SteadyStates:
    """The states of rest of a population's macro variables, the unstable ones too, which no run ever shows.

    Bursts gather around the root of a polynomial that is fitted to all of them, round after round; see `Surface`.

    **Arguments:**

    - `starts`: guesses (starts, variables). None, for one variable: the whole range is scanned for changes of sign.
    - `budget`: bursts in all.
    - `width`: how far about a start the first bursts go, as a share of the range.

    **Returns:** `SteadyStates`. **Raises:** `MethodError`.
    """
    low, high = bounds(stepper)
    need = 4 * _ROUNDS * len(terms(len(low), 0, _degree(len(low))))
    if not 0 < width <= 1:
        raise MethodError(f"width is a share of the range, not {width}")
    scan, drift = None, None
    if starts is None:
        scan = _scan(stepper, jr.fold_in(key, 0), int(_SCANNED * budget))
        guesses, drift = _changes(scan, stepper.interval(), low, high)
    else:
        guesses = np.atleast_2d(np.asarray(starts, np.float64))
        if guesses.shape[1] != len(low):
            raise MethodError(f"starts has shape {guesses.shape}, not (starts, {len(low)})")
    spent = 0 if scan is None else len(scan)
    each = (budget - spent) // max(1, len(guesses))
    if each < need:
        raise MethodError(
            f"budget={budget} leaves {each} bursts for each of {len(guesses)} states: {need} are the least"
        )
    found, lost = [], []
    for i, guess in enumerate(guesses):
        one, used = _newton(stepper, jr.fold_in(key, 1 + i), guess, each, width * (high - low), scan)
        spent += used
        if one is None:
            lost.append(guess)
        elif not any((np.abs(one.at - other.at) < 2.0 * (one.half + other.half)).all() for other in found):
            found.append(one)
    states = tuple(sorted(found, key=lambda s: s.at[0]))
    return SteadyStates(tuple(stepper.within()), states, tuple(lost), spent, drift)


def _degree(variables: int) -> int:
    return 4 if variables == 1 else 2


def _scan(stepper: CoarseStepper, key: Key, count: int) -> Bursts:
    """Bursts from all over the range."""
    low, high = bounds(stepper)
    if len(low) != 1:
        raise MethodError("a scan for all states of rest takes one macro variable: give starts=")
    return burst(stepper, low + 0.5 * (spread(key, count, 1) + 1.0) * (high - low), {}, key)


def _changes(
    scan: Bursts, interval: float, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Where the drift over the whole range changes sign, (roots, 1); and that drift for a figure."""
    surface = fit_surface(*scan.moves(interval), 0.5 * (low + high), 0.5 * (high - low), _SCAN)
    grid = np.linspace(low[0], high[0], 201)[:, None]
    rate, error = surface.value(grid)[:, 0], surface.error(grid)[:, 0]
    at = np.flatnonzero(rate[:-1] * rate[1:] <= 0)
    share = rate[at] / (rate[at] - rate[at + 1] + 1e-300)
    return grid[at] + share[:, None] * (grid[at + 1] - grid[at]), (grid[:, 0], rate, error)


def _newton(
    stepper: CoarseStepper, key: Key, guess: np.ndarray, budget: int, width: np.ndarray, known: Bursts | None
) -> tuple[SteadyState | None, int]:
    """Rounds of bursts about the latest root. Bursts of a scan count too, where they pass."""
    low, high = bounds(stepper)
    d, centre, pool, spent = len(low), np.clip(guess, low, high), known, 0
    for turn in range(_ROUNDS):
        count = (budget - spent) // (_ROUNDS - turn)
        z = gathered(spread(jr.fold_in(key, 2 * turn), count, d))
        new = burst(stepper, centre + z * width, {}, jr.fold_in(key, 2 * turn + 1))
        pool, spent = new if pool is None else pool + new, spent + count
        surface = fit_surface(*pool.moves(stepper.interval()), centre, _REACH * width, _degree(d) - (turn == 0))
        root = solve(rest(surface), surface, centre, width)
        aim = centre if root is None else root
        far = root is None or bool((np.abs(aim - centre) > _REACH * width).any())
        centre = np.clip(np.clip(aim, centre - 2.0 * width, centre + 2.0 * width), low, high)
        wander = surface.noise * stepper.interval() * np.sqrt(stepper.rows() - 1)
        width = width if far else np.maximum(0.6 * width, np.minimum(width, 3.0 * wander))
    assert pool is not None
    surface = fit_enough(*pool.moves(stepper.interval()), centre, _REACH * width, _degree(d))
    root = solve(rest(surface), surface, centre, width)
    if root is None or (np.abs(root - centre) > _REACH * width).any() or ((root < low) | (root > high)).any():
        return None, spent
    return _state(stepper, surface, root, width), spent


def _state(stepper: CoarseStepper, surface: Surface, root: np.ndarray, width: np.ndarray) -> SteadyState:
    equations = rest(surface)
    found = place(equations, surface, root, width)
    rate, error = leading(equations, surface, found, len(root), stepper.interval())
    verdict = judged(_said(tuple(stepper.within()), root, found.half), rate, error, found.freedom)
    return SteadyState(found.at, found.error, found.half, rate, error, surface.bursts, verdict)


def judged(subject: str, rate: complex, error: float, freedom: int) -> Verdict:
    """Whether deviations die out, by the interval of the slowest one's rate."""
    half = quantile(freedom) * error
    code = Code.STABLE if rate.real + half < 0 else Code.UNSTABLE if rate.real - half > 0 else Code.STABILITY_OPEN
    way = "die out" if code is Code.STABLE else "grow" if code is Code.UNSTABLE else "may grow or die out"
    turning = f", turning with period {2.0 * np.pi / abs(rate.imag):.3g}" if rate.imag else ""
    sentence = f"{subject} is {code.value}: deviations {way} at rate {rate.real:.3g} +- {half:.2g}{turning}."
    return Verdict(subject, code, sentence, {"rate": rate.real, "rate_error": error, "frequency": rate.imag})


def _said(variables: tuple[str, ...], at: np.ndarray, half: np.ndarray | None = None) -> str:
    more = [""] * len(at) if half is None else [f" +- {h:.2g}" for h in half]
    return ", ".join(f"{v} = {a:.4g}{m}" for v, a, m in zip(variables, at, more, strict=True))
