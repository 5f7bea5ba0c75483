"""The closure test: does an equation in these variables exist at all?

States that agree in the macro variables and differ in all else (mixed, clustered, sorted, grown by the model itself)
are run for a while. If the macro variables then move differently, their rate is no function of them, and no equation in
them exists, however well one fits a curve: a variable is missing. Candidates are tried in turn: the one that makes
rates agree again is the one to add. Lifts are first given time to heal, since every equation for few variables is for
states that have (Kevrekidis and others 2003, Communications in Mathematical Sciences 1:715).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._errors import FaultError, MethodError, did_you_mean
from .._results import Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from .._types import Key
from ..core import executor
from ..core.host import split
from ..core.model import Model, settled
from ..core.simulate import NEVER
from .closure_bursts import Lifts, observed, one_lifted
from .coarse import Lift, Restrict

_SURE = 2.0
_ENOUGH = 0.7
"""Of the squared differences between lifts: who explains more is named as the missing variable."""


@dataclass(frozen=True)
class Closure(Result):
    """How fast the macro variables move from each lift.

    `lifts` (l,); `variables` (d,); `at` (a, d); `rates`, `errors` (l, a, d): brought to the common values `at`, with
    standard errors; `size` (d,): the root mean square rate; `apart`, `apart_error`: the largest difference between two
    lifts (root mean square over macro states, noise taken off) over `size`, and its error; `between`: those two;
    `explained`: candidate to the share of the squared differences between lifts that goes when it is added; `left`:
    candidate to what is left of `apart` then; `healed`, `burst`: times; `tolerance`.
    """

    lifts: tuple[str, ...]
    variables: tuple[str, ...]
    at: np.ndarray
    rates: np.ndarray
    errors: np.ndarray
    size: np.ndarray
    apart: float
    apart_error: float
    between: tuple[str, str]
    explained: dict[str, float]
    left: dict[str, float]
    healed: float
    burst: float
    tolerance: float

    @property
    def closed(self) -> bool | None:
        """Whether an equation in these variables exists, to the tolerance; None where noise leaves it open.

        Not closed: the difference less two errors is above the tolerance. Closed: with two errors more it is below one
        and a half tolerances.
        """
        if self.apart - _SURE * self.apart_error > self.tolerance:
            return False
        return True if self.apart + _SURE * self.apart_error <= 1.5 * self.tolerance else None

    @property
    def missing(self) -> str | None:
        """The candidate that makes rates agree; None where the variables are closed, or no candidate does."""
        if self.closed is not False or not self.explained:
            return None
        best = max(self.explained, key=lambda name: self.explained[name])
        return best if self.explained[best] >= _ENOUGH else None

    @property
    def verdict(self) -> Verdict:
        """Closed or not, and what is missing."""
        names = ", ".join(self.variables)
        pair = " and ".join(self.between)
        found = f"{100 * self.apart:.0f} ({100 * self.apart_error:.1g}) % of the rate"
        numbers = {"apart": self.apart, "error": self.apart_error, "tolerance": self.tolerance}
        if self.closed:
            sentence = (
                f"{names} is closed: {self.healed:g} after lifting, rates from {', '.join(self.lifts)} differ by "
                f"{found} at the most; an equation in {names} exists to that accuracy."
            )
            return Verdict(names, Code.CLOSED, sentence, numbers)
        if self.closed is None:
            sentence = f"Open whether {names} is closed: rates from {pair} differ by {found}: give it more copies."
            return Verdict(names, Code.UNJUDGED, sentence, numbers)
        sentence = (
            f"{names} is not closed: {self.healed:g} after lifting, rates from {pair} still differ by {found} at the "
            f"same {names}; no equation in {names} alone exists. {self._name_it()}"
        )
        return Verdict(names, Code.NOT_CLOSED, sentence, numbers)

    def _name_it(self) -> str:
        if not self.explained:
            return "No candidates were given: observe more of the state, and name it in candidates=."
        best = max(self.explained, key=lambda name: self.explained[name])
        share = f"{100 * self.explained[best]:.0f} % of the squared differences"
        if self.missing is None:
            return f"None of {', '.join(self.explained)} mends it; the best, {best}, takes away {share}."
        return f"Add {best}: with it {share} go, and {100 * self.left[best]:.0f} % of the rate is left of them."

    def __str__(self) -> str:
        return self.verdict.sentence

    def sections(self) -> tuple[Section, ...]:
        panels, rows = [], []
        for a, j in np.ndindex(len(self.at), len(self.variables)):
            where = ", ".join(f"{name} = {x:.3g}" for name, x in zip(self.variables, self.at[a], strict=True))
            middle, error = self.rates[:, a, j], self.errors[:, a, j]
            panels.append(
                IntervalPanel(
                    f"At {where}",
                    f"d{self.variables[j]}/dt",
                    self.lifts,
                    middle,
                    middle - _SURE * error,
                    middle + _SURE * error,
                    note="Bars are two standard errors.",
                )
            )
            for name, rate, e in zip(self.lifts, middle, error, strict=True):
                rows.append((where, self.variables[j], name, float(rate), float(e)))
        columns = ("at", "variable", "lifted as", "rate", "standard error")
        over = f"over {self.burst:g}" if self.burst else "as expected from the states"
        note = f"After {self.healed:g} of healing, {over}; brought to the same values of the variables."
        tables = [Table("Rates from each lift", columns, tuple(rows), note)]
        if self.explained:
            added = tuple((name, self.explained[name], self.left[name]) for name in self.explained)
            what = ("candidate", "share of differences explained", "left, over the rate")
            tables.append(Table("What adding a variable does", what, added))
        figure = Figure("closure", "How fast the variables move, from states that differ in all else.", tuple(panels))
        return (Section("Closure", (), (self.verdict,), (figure,), tuple(tables)),)

    def record(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict.record(),
            "closed": self.closed,
            "missing": self.missing,
            "explained": dict(self.explained),
            "rates": {name: self.rates[i].tolist() for i, name in enumerate(self.lifts)},
            "errors": {name: self.errors[i].tolist() for i, name in enumerate(self.lifts)},
        }


def closure_test(
    model: Model,
    lifts: Mapping[str, Lift],
    key: Key,
    *,
    at: Sequence[Mapping[str, float]],
    candidates: Sequence[str] = (),
    rates: Mapping[str, str] | None = None,
    restrict: Restrict | None = None,
    heal: int,
    steps: int = 1,
    copies: int = 64,
    interval: float = 1.0,
    tolerance: float = 0.1,
) -> Closure:
    """Lift the same macro state in several ways, and compare how it moves.

    **Arguments:**

    - `lifts`: name to `lift(macro, draw)`, as in `Coarse`: at least two. `grown` makes one of the model's own way.
    - `at`: macro states, each variable by name; three or more along the way of the model, so that rates can be brought
      to the same values.
    - `candidates`: observations that may be missing from the macro variables.
    - `rates`: variable to the observation that says how fast it is expected to move from a state as it is, where the
      model knows that: far less noise than a difference over `steps`, which are then not run.
    - `restrict`: `restrict(state)`, variables and candidates by name; what the model observes by default.
    - `heal`, `steps`: steps that are thrown away, and steps over which the rate is taken. Healing should be short
      beside the time in which the variables themselves move, and long enough for what is fast.
    - `copies`: states a lift and macro state.
    - `interval`: the time that a step takes.
    - `tolerance`: of the rate: less difference than this is called closed.

    **Raises:** `MethodError`, `FaultError`.
    """
    names = _checked(lifts, at, heal, steps, copies, rates)
    points = np.array([[state[name] for name in names] for state in at], np.float64)
    macro = jnp.asarray(np.repeat(points, copies, axis=0), jnp.float32)
    steps = 0 if rates else steps
    expected = tuple(rates[name] for name in names) if rates else ()
    others = (*candidates, *expected)
    cells = []
    for i, lift in enumerate(lifts.values()):
        shared = Lifts(settled(model), lift, restrict, names, others, heal, steps)
        cells.append(_bursts(shared, (split(jr.fold_in(key, i), len(macro)), macro)))
    seen = np.stack(cells).reshape(len(lifts), len(points), copies, 2, -1)
    d, time = len(names), steps * interval
    ends = seen[..., :d]
    moved = seen[..., 0, -d:] if rates else (ends[..., 1, :] - ends[..., 0, :]) / time
    mean, error = moved.mean(2), moved.std(2, ddof=1) / np.sqrt(copies)
    at_start = seen[..., 0, :].mean(2)
    found = np.stack([_brought(at_start[..., :d], mean[..., j], error[..., j], points) for j in range(d)], axis=-1)
    size = np.sqrt((found**2).mean((0, 1)))
    apart, its_error, pair = _largest(found, error, size)
    explained, left = {}, {}
    for k, name in enumerate(candidates):
        rest = [_leftover(at_start, d, k, mean[..., j], error[..., j], points) for j in range(d)]
        after = np.stack(rest, axis=-1)
        gone = ((after - after.mean(0)) / size) ** 2
        explained[name] = float(1 - gone.sum() / (((found - found.mean(0)) / size) ** 2).sum())
        left[name] = _largest(after, error, size)[0]
    between = tuple(list(lifts)[i] for i in pair)
    return Closure(
        tuple(lifts), names, points, found, error, size, apart, its_error, (between[0], between[1]), explained, left,
        heal * interval, time, tolerance,
    )  # fmt: skip


def _checked(
    lifts: Mapping[str, Lift],
    at: Sequence[Mapping[str, float]],
    heal: int,
    steps: int,
    copies: int,
    rates: Mapping[str, str] | None,
) -> tuple[str, ...]:
    if len(lifts) < 2:
        raise MethodError("a closure test compares lifts: give it two or more")
    if not at or any(set(state) != set(at[0]) for state in at):
        raise MethodError("at= holds one macro state or more, all in the same variables")
    if heal < 0 or steps < 1 or copies < 8:
        raise MethodError(f"heal from 0, one step and 8 copies at least: not {heal=}, {steps=}, {copies=}")
    if rates is not None and set(rates) != set(at[0]):
        raise MethodError(f"rates= is of {sorted(rates)}, the variables are {sorted(at[0])}")
    return tuple(at[0])


def _bursts(shared: Lifts, many: tuple[Array, Array]) -> np.ndarray:
    """What is observed at both ends of each burst, (bursts, 2, variables + others)."""
    first = (many[0][0], many[1][0])
    known = observed(shared, first)
    for name in (*shared.names, *shared.others):
        if name not in known:
            raise MethodError(f"nothing called '{name}' is observed; {did_you_mean(name, sorted(known))}")
    size = executor.chunk_size(one_lifted, shared, many)
    out = executor.stack_rows(list(executor.chunks(one_lifted, shared, many, size=size)))
    if (out["fault"] != NEVER).any():
        raise FaultError(
            "a lifted run gave a site a number outside its domain: mend the lift, or stay closer to states"
        )
    return np.asarray(out["ends"], np.float64)


def _design(variables: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Columns by which a rate may change with the variables around the points: linear, and squares with 4 or more."""
    centred = variables - points.mean(0)
    columns = [centred, centred**2] if len(points) >= 4 else [centred] if len(points) >= 2 else [centred[..., :0]]
    return np.concatenate(columns, axis=-1)


def _fitted(columns: np.ndarray, rate: np.ndarray, error: np.ndarray, *, by_lift: bool) -> np.ndarray:
    """Weighted least squares of a rate (l, a): an intercept, one a lift or one in all, and the columns' slopes."""
    lifts, points = rate.shape
    own = np.repeat(np.eye(lifts), points, axis=0) if by_lift else np.ones((lifts * points, 1))
    design = np.concatenate([columns.reshape(lifts * points, -1), own], axis=1)
    weight = 1 / np.maximum(error.reshape(-1), 1e-3 * error.mean() + 1e-300)
    found = np.linalg.lstsq(design * weight[:, None], rate.reshape(-1) * weight, rcond=None)[0]
    return found[: columns.shape[-1]]


def _brought(start: np.ndarray, rate: np.ndarray, error: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Rates (l, a) brought from where bursts began (l, a, d) to the points (a, d), by slopes common to all lifts."""
    columns = _design(start, points)
    slopes = _fitted(columns, rate, error, by_lift=True)
    return rate - (columns - _design(points, points)) @ slopes


def _leftover(start: np.ndarray, d: int, k: int, rate: np.ndarray, error: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Rates (l, a) with what the variables and candidate `k` say of them taken away."""
    extra = start[..., d + k, None]
    columns = np.concatenate([_design(start[..., :d], points), extra], axis=-1)
    slopes = _fitted(columns, rate, error, by_lift=False)
    return rate - columns @ slopes


def _largest(rates: np.ndarray, errors: np.ndarray, size: np.ndarray) -> tuple[float, float, tuple[int, int]]:
    """The largest difference between two lifts over the size of the rate, its error, and which two.

    A difference is the root mean square over macro states, with what noise alone would make of it taken off.
    """
    best = (-1.0, 0.0, (0, 1))
    for one in range(len(rates)):
        for other in range(one + 1, len(rates)):
            gap = ((rates[one] - rates[other]) / size) ** 2
            noise = (errors[one] ** 2 + errors[other] ** 2) / size**2
            square = float(np.maximum(gap.mean() - noise.mean(), 0.0))
            if square > best[0]:
                best = (square, float(np.sqrt(noise.mean() / noise.size)), (one, other))
    return float(np.sqrt(best[0])), best[1], best[2]
