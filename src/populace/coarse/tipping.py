"""Tipping points: where a stable and an unstable state of rest meet as a parameter moves, and both are gone beyond.

There the rates of the macro variables vanish, and so does their derivative along one direction. Both are read off one
polynomial in variables and parameter, fitted to all bursts; see `Surface`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Band, BandPanel, Code, Figure, Points, Result, Section, Table, Verdict
from .._types import Key
from .design import gathered, spread
from .implicit import Place, fold, place, solve
from .stepper import Bursts, CoarseStepper, burst, check_parameters
from .surface import Surface, fit_enough, fit_surface, terms

_SHARES = (0.2, 0.2, 0.6)
"""Of the budget: the look over the whole range, and two rounds about the fold."""
_WIDTHS = (1.0, 0.75, 0.75)
"""Half the range of a variable that each looks at, as shares of half of all."""
_PILOT, _DEGREE = 6, 4
_TAKEN = 1.1
_TRIES = 25


@dataclass(frozen=True)
class TippingPoint(Result):
    """A fold, or the finding that there is none.

    `at` (variables + 1,): the variables and the parameter at the fold, NaN where there is none; `error`, `half`:
    standard errors, and half of the 90 % intervals; `covariance`; `others`: further folds that the first look at the
    whole range showed, less exactly, (folds, variables + 1); `branch`: parameter, lower and upper state of rest about
    the fold on the fitted surface, for one variable.
    """

    variables: tuple[str, ...]
    parameter: str
    at: np.ndarray
    error: np.ndarray
    half: np.ndarray
    covariance: np.ndarray
    others: np.ndarray
    bursts: int
    verdict: Verdict
    branch: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the numbers of `at` are."""
        return (*self.variables, self.parameter)

    def sections(self) -> tuple[Section, ...]:
        if self.verdict.code is not Code.TIPS:
            return (Section("Tipping point", (f"{self.bursts} bursts.",), (self.verdict,)),)
        rows = [(n, float(a), float(e), float(a - h), float(a + h)) for n, a, e, h in self._rows()]
        columns = ("at the tipping point", "estimate", "standard error", "5 %", "95 %")
        text = [f"{self.bursts} bursts. Intervals hold 90 %."]
        for other in self.others:
            about = ", ".join(f"{n} = {v:.2g}" for n, v in zip(self.names, other, strict=True))
            text.append(f"Another seems to lie near {about}.")
        table = Table("Where it tips", columns, tuple(rows))
        return (Section("Tipping point", tuple(text), (self.verdict,), self._figures(), (table,)),)

    def _rows(self) -> list[tuple[str, float, float, float]]:
        return list(zip(self.names, self.at, self.error, self.half, strict=True))

    def _figures(self) -> tuple[Figure, ...]:
        if self.branch is None:
            return ()
        p, lower, upper = self.branch
        bands = (Band("lower state", p, lower, {}, "line"), Band("upper state", p, upper, {}, "line"))
        tip = Points("tipping point", self.at[-1:], self.at[:1], self.error[:1])
        panel = BandPanel("", self.parameter, self.variables[0], bands, (tip,))
        return (Figure("fold", "States of rest about the fold, on the fitted surface.", (panel,)),)

    def record(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {n: {"at": a, "error": e, "half": h} for n, a, e, h in self._rows()}
        found = self.verdict.code is Code.TIPS
        return {"bursts": self.bursts, "fold": numbers if found else None, **self.verdict.record()}


def tipping_point(
    stepper: CoarseStepper,
    parameter: str,
    key: Key,
    *,
    span: tuple[float, float],
    within: Mapping[str, tuple[float, float]] | None = None,
    near: Any = None,
    budget: int = 500,
) -> TippingPoint:
    """The tipping point as a parameter moves through `span`.

    Bursts first look over the whole range of variables and parameter, then gather about the fold.

    **Arguments:**

    - `parameter`: its name; `span`: the lowest and highest value to look at.
    - `within`: a narrower range of the variables to look at, by name.
    - `near`: which fold, where the range may hold several: the variables and the parameter, about. Otherwise the one
      nearest to the middle of the range.
    - `budget`: bursts in all.

    **Returns:** `TippingPoint`; its verdict says so if the range shows none. **Raises:** `MethodError`,
    `UnknownParameterError`.
    """
    check_parameters(stepper, (parameter,))
    low, high = _box(stepper, span, within)
    d = len(low) - 1
    counts = [int(share * budget) for share in _SHARES[:2]]
    counts.append(budget - sum(counts))
    if counts[0] < 2 * len(terms(d, 1, _pilot_degree(d))):
        raise MethodError(f"budget={budget} is too few bursts to look over the whole range with")
    if near is not None and np.shape(near) != low.shape:
        raise MethodError(f"near holds the variables and the parameter, {d + 1} numbers, not {near}")
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    pool = _round(stepper, parameter, jr.fold_in(key, 0), middle, half, counts[0])
    surface = fit_surface(*pool.moves(stepper.interval()), middle, half * 1.05, _pilot_degree(d))
    seen = _folds(surface, jr.fold_in(key, 1), low, high)
    if not len(seen):
        return _none(stepper, parameter, low, high, surface, len(pool))
    aim = middle if near is None else np.asarray(near, np.float64)
    order = np.argsort((((seen - aim) / half) ** 2).sum(1))
    at, others = seen[order[0]], seen[order[1:]]
    width = half
    for turn in (1, 2):
        width = _narrowed(surface, at, width * _WIDTHS[turn], half)
        pool = pool + _round(stepper, parameter, jr.fold_in(key, 1 + turn), at, width, counts[turn], low, high)
        surface = fit_enough(*pool.moves(stepper.interval()), at, width * _TAKEN, _DEGREE if d == 1 else 3)
        found = solve(fold(surface), surface, at, width)
        if found is None or (np.abs(found - at) > 1.5 * width).any() or ((found < low) | (found > high)).any():
            return _none(stepper, parameter, low, high, surface, len(pool))
        at = found
    found = place(fold(surface), surface, at, width)
    if (found.half > half).any():  # a fold that may be anywhere is none
        return _none(stepper, parameter, low, high, surface, len(pool))
    return _point(stepper, parameter, surface, found, others, len(pool))


def _pilot_degree(variables: int) -> int:
    return _PILOT if variables == 1 else 3


def _box(
    stepper: CoarseStepper, span: tuple[float, float], within: Mapping[str, tuple[float, float]] | None
) -> tuple[np.ndarray, np.ndarray]:
    ranges = dict(stepper.within())
    for name, pair in (within or {}).items():
        if name not in ranges:
            raise MethodError(f"no macro variable '{name}'; there are {list(ranges)}")
        ranges[name] = pair
    pairs = np.asarray([*ranges.values(), span], np.float64)
    if not (pairs[:, 0] < pairs[:, 1]).all():
        raise MethodError(f"each range has a low and a high end: not {pairs.tolist()}")
    return pairs[:, 0], pairs[:, 1]


def _round(
    stepper: CoarseStepper,
    parameter: str,
    key: Key,
    centre: np.ndarray,
    width: np.ndarray,
    count: int,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> Bursts:
    """Bursts about a place: in turn towards the ends, where variables tell most of a slope, and towards the centre,
    where they tell the value.
    """
    z = spread(jr.fold_in(key, 0), count, len(centre))
    z[::2, :-1] = np.sin(0.5 * np.pi * z[::2, :-1])
    z[1::2, :-1] = gathered(z[1::2, :-1])
    sent = centre + z * width
    if low is not None and high is not None:
        sent = np.clip(sent, low, high)
    return burst(stepper, sent[:, :-1], {parameter: sent[:, -1]}, jr.fold_in(key, 1))


def _narrowed(surface: Surface, at: np.ndarray, width: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Of the parameter, no more than what moves states of rest by `width` of the variables: as at a fold, by the
    square of that; and no less than three errors of the place.
    """
    d = len(at) - 1
    error = place(fold(surface), surface, at, width).error[-1]
    step = 0.25 * width[:d]
    bend = np.abs(surface.value(at + np.append(step, 0.0)) + surface.value(at - np.append(step, 0.0))).max() * 8.0
    by_parameter = np.abs(surface.slope(at)[:, d]).max()
    enough = 0.25 * bend / by_parameter if by_parameter > 0 else width[d]
    return np.append(width[:d], np.clip(max(enough, 3.0 * error), 0.02 * most[d], width[d]))


def _folds(surface: Surface, key: Key, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Folds of a surface within a box, (folds, variables + 1)."""
    found: list[np.ndarray] = []
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    for z in spread(key, _TRIES, len(low)):
        at = solve(fold(surface), surface, middle + z * half, half)
        inside = at is not None and bool(((at >= low) & (at <= high)).all())
        if at is not None and inside and not any((np.abs(at - one) < 0.02 * half).all() for one in found):
            found.append(at)
    return np.asarray(found).reshape(-1, len(low))


def _none(
    stepper: CoarseStepper, parameter: str, low: np.ndarray, high: np.ndarray, surface: Surface, bursts: int
) -> TippingPoint:
    names = (*stepper.within(), parameter)
    ranges = ", ".join(f"{n} from {a:.3g} to {b:.3g}" for n, a, b in zip(names, low, high, strict=True))
    verdict = Verdict(parameter, Code.NO_TIPPING, f"No tipping point shows with {ranges}.", {"bursts": float(bursts)})
    gone = np.full(len(names), np.nan)
    square = np.full((len(names), len(names)), np.nan)
    return TippingPoint(names[:-1], parameter, gone, gone, gone, square, np.zeros((0, len(names))), bursts, verdict)


def _point(
    stepper: CoarseStepper, parameter: str, surface: Surface, found: Place, others: np.ndarray, bursts: int
) -> TippingPoint:
    names = (*stepper.within(), parameter)
    shown = [f"{n} = {a:.4g} +- {h:.2g}" for n, a, h in zip(names, found.at, found.half, strict=True)]
    side = _gone(surface, found)
    sentence = f"A state of rest at {', '.join(shown[:-1])} is lost once {parameter} {side}passes {shown[-1]}."
    numbers = {f"{n}": float(a) for n, a in zip(names, found.at, strict=True)}
    numbers |= {f"error of {n}": float(e) for n, e in zip(names, found.error, strict=True)}
    verdict = Verdict(parameter, Code.TIPS, sentence, numbers)
    return TippingPoint(
        names[:-1],
        parameter,
        found.at,
        found.error,
        found.half,
        found.covariance,
        others,
        bursts,
        verdict,
        _branch(surface, found) if len(names) == 2 else None,
    )


def _gone(surface: Surface, found: Place) -> str:
    """Whether states are lost as the parameter rises or falls, of one variable: where drift and bend have one sign."""
    if len(found.at) != 2:
        return ""
    step = 0.25 * surface.width[0]
    shift = np.array([step, 0.0])
    bend = float((surface.value(found.at + shift) + surface.value(found.at - shift))[0])
    return "rises and " if bend * float(surface.slope(found.at)[0, 1]) > 0 else "falls and "


def _branch(surface: Surface, found: Place) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The states of rest on either side of the fold, for parameters at which both are within the surface's width."""
    tip, there = found.at, surface.slope(found.at)[0, 1]
    step = np.array([0.25 * surface.width[0], 0.0])
    bend = float((surface.value(tip + step) + surface.value(tip - step))[0])
    side = -np.sign(bend * there)
    p = tip[1] + side * surface.width[1] * np.linspace(0.0, 1.0, 41)[1:] ** 2
    x = surface.centre[0] + surface.width[0] * np.linspace(-1.0, 1.0, 801)
    grid = np.stack(np.broadcast_arrays(x[None, :], p[:, None]), -1)
    rate = surface.value(grid)[..., 0]
    crossed = rate[:, :-1] * rate[:, 1:] <= 0
    below, above = crossed & (x[:-1] <= tip[0]), crossed & (x[:-1] > tip[0])
    both = below.any(1) & above.any(1)
    if not both.any():
        return None
    low = x[below.shape[1] - 1 - np.argmax(below[:, ::-1], 1)][both]
    high = x[np.argmax(above, 1)][both]
    p, low, high = (np.append(first, rest_) for first, rest_ in ((tip[1], p[both]), (tip[0], low), (tip[0], high)))
    order = np.argsort(p)
    return p[order], low[order], high[order]
