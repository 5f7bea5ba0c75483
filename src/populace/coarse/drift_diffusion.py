"""Drift and diffusion of one variable, from single runs: what fluctuations say that the mean does not.

dz = f(z) dt + sqrt(D(z)) dW for the variable of a single run. Over a short time h the mean of dz / h given z is f, and
that of (dz - f h)^2 / h is D, each up to terms of first order in h. Both are regressed on powers of z, over h and 2 h,
and the terms of first order taken off (twice the one less the other; Richardson). Errors are from how runs differ,
since numbers of one run go together (a review: Friedrich, Peinke, Sahimi and Tabar 2011, Physics Reports 506:87).
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import MethodError
from .._results import Band, BandPanel, Figure, Points, Result, Section, Table
from .series import MeanSeries

_BINS = 12
_LEAST = 50
"""Numbers in a bin that is shown."""


@dataclass(frozen=True)
class Regressed:
    """A polynomial with its errors: `coefficients` (powers,), of z^0, z^1, ...; `covariance` (powers, powers);
    `binned`: the places, means and errors in bins of z that it is compared with.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    binned: tuple[np.ndarray, np.ndarray, np.ndarray]

    @property
    def errors(self) -> np.ndarray:
        """Standard errors of the coefficients, (powers,)."""
        return np.sqrt(np.diag(self.covariance))

    def at(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Its value and standard error at points (n,)."""
        powers = np.power.outer(np.asarray(z, np.float64), np.arange(self.coefficients.size))
        return powers @ self.coefficients, np.sqrt(np.einsum("np,pq,nq->n", powers, self.covariance, powers))

    def text(self, name: str) -> str:
        """The polynomial with errors in brackets."""
        labels = ["", f" {name}", *(f" {name}^{p}" for p in range(2, self.coefficients.size))]
        parts = [f"{c:+.4g}({e:.1g}){x}" for c, e, x in zip(self.coefficients, self.errors, labels, strict=False)]
        return " ".join(parts).removeprefix("+")


@dataclass(frozen=True)
class DriftDiffusion(Result):
    """`drift` f and `diffusion` D of `variable`; `visited`: the range of z in which nearly all numbers lie."""

    variable: str
    drift: Regressed
    diffusion: Regressed
    visited: tuple[float, float]

    def __str__(self) -> str:
        z = self.variable
        low, high = self.visited
        return f"drift {self.drift.text(z)}\ndiffusion {self.diffusion.text(z)}\nfor {z} in [{low:.3g}, {high:.3g}]"

    def sections(self) -> tuple[Section, ...]:
        both = {"drift": self.drift, "diffusion": self.diffusion}
        panels, rows = [], []
        at = np.linspace(*self.visited, 81)
        for name, one in both.items():
            middle, error = one.at(at)
            band = Band("polynomial", at, middle, {0.95: (middle - 1.96 * error, middle + 1.96 * error)}, "estimate")
            points = Points("in bins", *one.binned)
            panels.append(BandPanel(name.capitalize(), self.variable, name, (band,), (points,)))
            numbers = zip(one.coefficients, one.errors, strict=True)
            rows += [(name, p, float(c), float(e)) for p, (c, e) in enumerate(numbers)]
        table = Table("Coefficients", ("of", f"power of {self.variable}", "coefficient", "standard error"), tuple(rows))
        caption = "What is expected of a single run, and how much it scatters, where it is; 95 % intervals."
        figure = Figure("drift", caption, tuple(panels))
        return (Section("Drift and diffusion", (str(self),), (), (figure,), (table,)),)

    def record(self) -> dict[str, Any]:
        both = {"drift": self.drift, "diffusion": self.diffusion}
        return {
            "variable": self.variable,
            "visited": list(self.visited),
            **{n: {"coefficients": r.coefficients.tolist(), "errors": r.errors.tolist()} for n, r in both.items()},
        }


def drift_and_diffusion(
    series: MeanSeries, variable: str | None = None, *, drift_degree: int = 3, diffusion_degree: int = 2
) -> DriftDiffusion:
    """Drift and diffusion of one variable as polynomials, from its single runs.

    **Arguments:** `series`: runs at evenly spaced times, close together beside the time in which the variable relaxes;
    `variable`: which; the only one by default; `drift_degree`, `diffusion_degree`: of the polynomials.

    **Raises:** `MethodError`.
    """
    if variable is None and len(series.names) == 1:
        variable = series.names[0]
    if variable is None or variable not in series.names:
        raise MethodError(f"say which variable: one of {', '.join(series.names)}, not {variable}")
    steps = np.diff(series.times)
    if np.ptp(steps) > 1e-6 * steps.mean() or steps.size < 6:
        raise MethodError("drift and diffusion want runs at 7 evenly spaced times or more")
    if min(drift_degree, diffusion_degree) < 0:
        raise MethodError(f"degrees are 0 or more, not {drift_degree} and {diffusion_degree}")
    z, h = series.runs[variable], float(steps.mean())
    found = [_moments(z, h, lag, drift_degree, diffusion_degree) for lag in (1, 2)]
    low, high = np.quantile(z, [0.005, 0.995])
    if not high > low:
        raise MethodError(f"{variable} never moves")
    drift, diffusion = (_extrapolated(found[0][i], found[1][i], z, (low, high)) for i in range(2))
    return DriftDiffusion(variable, drift, diffusion, (float(low), float(high)))


@dataclass(frozen=True)
class _Moment:
    """A regression: coefficients, what each run adds to them (powers, runs), and what was regressed (runs, times)."""

    coefficients: np.ndarray
    influence: np.ndarray
    values: np.ndarray


def _moments(z: np.ndarray, h: float, lag: int, drift: int, diffusion: int) -> tuple[_Moment, _Moment]:
    """Drift and diffusion over a time lag x h."""
    here, moved = z[:, :-lag], z[:, lag:] - z[:, :-lag]
    first = _regressed(here, moved / (lag * h), drift)
    expected = np.power.outer(here, np.arange(drift + 1)) @ first.coefficients * lag * h
    return first, _regressed(here, (moved - expected) ** 2 / (lag * h), diffusion)


def _regressed(here: np.ndarray, values: np.ndarray, degree: int) -> _Moment:
    design = np.power.outer(here, np.arange(degree + 1))
    gram = np.einsum("rtp,rtq->pq", design, design)
    inverse = np.linalg.pinv(gram, hermitian=True)
    found = inverse @ np.einsum("rtp,rt->p", design, values)
    influence = inverse @ np.einsum("rtp,rt->pr", design, values - design @ found)
    return _Moment(found, influence, values)


def _extrapolated(one: _Moment, two: _Moment, z: np.ndarray, visited: tuple[float, float]) -> Regressed:
    influence = 2 * one.influence - two.influence
    coefficients = 2 * one.coefficients - two.coefficients
    return Regressed(coefficients, influence @ influence.T, _binned(one, two, z, visited))


def _binned(
    one: _Moment, two: _Moment, z: np.ndarray, visited: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means in bins that hold many numbers, over h and 2 h, extrapolated likewise."""
    edges = np.linspace(*visited, _BINS + 1)
    at, middle, error = [], [], []
    for low, high in itertools.pairwise(edges):
        inside = [(here >= low) & (here < high) for here in (z[:, : m.values.shape[1]] for m in (one, two))]
        if inside[1].sum() < _LEAST:
            continue
        each = [m.values[kept] for m, kept in zip((one, two), inside, strict=True)]
        errors = [numbers.std() / np.sqrt(numbers.size) for numbers in each]
        at.append(z[:, : inside[1].shape[1]][inside[1]].mean())
        middle.append(2 * each[0].mean() - each[1].mean())
        error.append(np.hypot(2 * errors[0], errors[1]))
    return np.array(at), np.array(middle), np.array(error)
