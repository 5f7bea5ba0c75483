"""Equations for the mean of a population, learned from runs: not one, but all that the runs cannot tell apart.

Every choice of terms is an equation; each is fitted to the mean over runs by its solution, and judged on runs left out
(`candidates.py`). What ties with the best is the ensemble. Sparse regression on such data gives equations of degree 2,
3 and 4 that fit as well, with very different coefficients (Nardini and others 2021, Journal of the Royal Society
Interface 18:20200987): a single one of them says more than the data do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import MethodError, did_you_mean
from .._results import Band, BandPanel, Code, Figure, Points, Result, Section, Table, Verdict
from .._types import Key
from ..core.noise import host_generator
from .candidates import Candidates, candidates
from .library import Monomials
from .series import MeanSeries
from .trajectories import reach, solve

_SHOWN = 12
_BEYOND = 0.5
"""How far outside what was visited equations are compared, in ranges."""
_NEAR = 0.02
_APART = 0.1
"""Of the largest rate visited: more disagreement than this is said."""


@dataclass(frozen=True)
class Equation:
    """du/dt = c theta(u). `coefficients`, `errors`, `mask` (variables, terms): 0 where a term is not in it; `start`
    (variables,): its value at the first time; `rmse`: of its solution against the mean; `held_out`: the same on runs
    left out, over the range of each variable.
    """

    library: Monomials
    coefficients: np.ndarray
    errors: np.ndarray
    mask: np.ndarray
    start: np.ndarray
    rmse: float
    held_out: float

    def rate(self, at: np.ndarray) -> np.ndarray:
        """The right-hand side at points (..., variables)."""
        return np.einsum("dt,...t->...d", self.coefficients, self.library.values(np.asarray(at, np.float64)))

    def solve(self, start: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Its solution (T, variables) from `start` (variables,) at the first of `times` (T,), which should be close:
        two steps of integration are taken between them. Where it runs away it is held at 1e12.
        """
        start = np.atleast_1d(np.asarray(start, np.float64))
        numbers = np.concatenate([self.coefficients.ravel(), start])[None]
        far = np.stack([np.full(start.size, -1e12), np.full(start.size, 1e12)])
        return solve(self.library, numbers, np.asarray(times, np.float64), far)[0]

    def texts(self) -> tuple[str, ...]:
        """Each variable's equation in a line, coefficients with their standard errors."""
        lines = []
        for i, name in enumerate(self.library.names):
            parts = [
                f"{self.coefficients[i, t]:+.4g}({self.errors[i, t]:.1g})" + ("" if label == "1" else f" {label}")
                for t, label in enumerate(self.library.labels)
                if self.mask[i, t]
            ]
            lines.append(f"d{name}/dt = {' '.join(parts).removeprefix('+')}")
        return tuple(lines)


@dataclass(frozen=True)
class LearnedEquation(Result):
    """All equations that tie, the one with the fewest terms first.

    `equations`; `series`; `tried`: how many were fitted; `noise`: the standard error of the mean, over all times;
    `spread_inside`, `spread_outside`: the largest difference between the rates of two tied equations, over the largest
    rate visited, on what was visited and half a range beyond.
    """

    equations: tuple[Equation, ...]
    series: MeanSeries
    tried: int
    noise: float
    spread_inside: float
    spread_outside: float

    @property
    def simplest(self) -> Equation:
        """The tied equation with the fewest terms; of several the one that predicts best."""
        return self.equations[0]

    @property
    def shared(self) -> tuple[str, ...]:
        """The terms that are in all tied equations, as `dC/dt: C^2`."""
        common = np.all([e.mask for e in self.equations], axis=0)
        return tuple(self._term(i, t) for i, t in np.argwhere(common))

    @property
    def open(self) -> tuple[str, ...]:
        """The terms that are in some of them only."""
        masks = np.array([e.mask for e in self.equations])
        return tuple(self._term(i, t) for i, t in np.argwhere(masks.any(0) & ~masks.all(0)))

    def _term(self, i: int, t: int) -> str:
        library = self.simplest.library
        return f"d{library.names[i]}/dt: {library.labels[t]}" if len(library.names) > 1 else library.labels[t]

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """`form`: whether one equation is left; `outside`: whether those left agree beyond what was visited."""
        return {"form": self._form(), "outside": self._outside()}

    def _form(self) -> Verdict:
        count = len(self.equations)
        if self.tried == 1:
            sentence = (
                f"The form was given: its solution has RMSE {self.simplest.rmse:.2g} ({self.noise:.2g} is noise)."
            )
            return Verdict("form", Code.UNJUDGED, sentence, {"rmse": self.simplest.rmse, "noise": self.noise})
        fits = f"RMSE {self.simplest.rmse:.2g}, where the mean itself has an error of {self.noise:.2g}"
        numbers = {"tied": float(count), "tried": float(self.tried), "rmse": self.simplest.rmse, "noise": self.noise}
        if count == 1:
            sentence = f"Of {self.tried} equations one predicts runs left out best, and no other ties with it ({fits})."
            return Verdict("form", Code.ONE_EQUATION, sentence, numbers)
        shared = f"They share the terms {', '.join(self.shared)}" if self.shared else "They share no term"
        rest = f"; {', '.join(self.open)} are in some of them only" if self.open else ""
        sentence = f"{count} of {self.tried} equations predict runs left out equally well ({fits}). {shared}{rest}."
        return Verdict("form", Code.TIED, sentence, numbers)

    def _outside(self) -> Verdict:
        where = "; ".join(f"{name} in [{a:.3g}, {b:.3g}]" for name, (a, b) in self.series.visited.items())
        numbers = {"inside": self.spread_inside, "outside": self.spread_outside}
        inside = (
            f"Where runs went, {where}, rates differ by {_share(self.spread_inside)} of the largest rate at the most"
        )
        if len(self.equations) == 1:
            sentence = f"Runs went to {where}: with one equation left there is nothing to compare outside."
            return Verdict("outside", Code.UNJUDGED, sentence, numbers)
        if self.spread_outside > max(_APART, 2 * self.spread_inside):
            sentence = (
                f"{inside}; outside, half a range on, by up to {_share(self.spread_outside)}: do not extrapolate."
            )
            return Verdict("outside", Code.APART_OUTSIDE, sentence, numbers)
        sentence = f"{inside}; outside, half a range on, by {_share(self.spread_outside)}."
        return Verdict("outside", Code.AGREE_OUTSIDE, sentence, numbers)

    def __str__(self) -> str:
        lines = [verdict.sentence for verdict in self.verdicts.values()]
        for equation in self.equations[:_SHOWN]:
            lines += [f"{'; '.join(equation.texts())}    (RMSE {equation.rmse:.2g})"]
        more = len(self.equations) - _SHOWN
        return "\n".join(lines + ([f"and {more} more"] if more > 0 else []))

    def sections(self) -> tuple[Section, ...]:
        rows = tuple((int(e.mask.sum()), "; ".join(e.texts()), e.rmse, e.held_out) for e in self.equations[:_SHOWN])
        more = len(self.equations) - len(rows)
        note = (
            "Standard errors in brackets, from how runs differ. RMSE: the solution against the mean over runs. Left "
            "out: its error on runs that it was not fitted to, in ranges of the variables."
        ) + (f" {more} more tie." if more > 0 else "")
        table = Table("Equations that tie", ("terms", "equation", "RMSE", "left out"), rows, note)
        names = self.series.names
        caption = "Left: the mean over runs and what the tied equations make of it. Right: their rates."
        panels = [self._solution(i) for i in range(len(names))]
        panels += [self._rates()] if len(names) == 1 else []
        figure = Figure("equations", caption if len(names) == 1 else "Means and the tied equations.", tuple(panels))
        return (Section("Equations", (), tuple(self.verdicts.values()), (figure,), (table,)),)

    def _solution(self, i: int) -> BandPanel:
        times, name = self.series.times, self.series.names[i]
        solved = np.array([e.solve(e.start, times)[:, i] for e in self.equations])
        band = Band("tied equations", times, solved[0], {1.0: (solved.min(0), solved.max(0))}, "the simplest")
        kept = np.unique(np.linspace(0, times.size - 1, 25).astype(int))
        data = Points("mean over runs", times[kept], self.series.mean[kept, i], self.series.error[kept, i])
        return BandPanel(f"Mean {name}", "time", name, (band,), (data,))

    def _rates(self) -> BandPanel:
        name = self.series.names[0]
        low, high = self.series.visited[name]
        at = np.linspace(low - _BEYOND * (high - low), high + _BEYOND * (high - low), 121)
        rates = np.array([e.rate(at[:, None])[:, 0] for e in self.equations])
        band = Band("tied equations", at, rates[0], {1.0: (rates.min(0), rates.max(0))}, "the simplest")
        visited = Points("ends of what was visited", np.array([low, high]), np.interp([low, high], at, rates[0]))
        return BandPanel(f"d{name}/dt", name, "rate", (band,), (visited,))

    def record(self) -> dict[str, Any]:
        return {
            "verdicts": {name: verdict.record() for name, verdict in self.verdicts.items()},
            "shared": list(self.shared),
            "equations": [
                {"text": list(e.texts()), "rmse": e.rmse, "held_out": e.held_out, "terms": int(e.mask.sum())}
                for e in self.equations
            ],
        }


def _share(x: float) -> str:
    return f"{100 * x:.0f} %" if x < 10 else f"{x:.0f} times"


def learn_equation(
    series: MeanSeries,
    key: Key,
    *,
    degree: int = 4,
    zero: bool = False,
    form: Mapping[str, Sequence[str]] | None = None,
) -> LearnedEquation:
    """Every equation du/dt = polynomial(u) that the runs cannot tell from the best.

    **Arguments:**

    - `series`: runs of one law; their mean is what the equation is for.
    - `key`: how runs are dealt into parts to be left out.
    - `degree`: of the polynomials, at the most.
    - `zero`: without a constant term, as where nothing comes of nothing.
    - `form`: variable to its terms, as `{"S": ["S I"], "I": ["I", "S I"]}`: fit this equation and no other.

    **Returns:** a `LearnedEquation`. An equation may fit and still not exist: see `closure_test`.

    **Raises:** `MethodError` if the mean does not move, or the library of terms is too large.
    """
    shuffled = host_generator(key).permutation(series.array.shape[0])
    masks = None if form is None else _mask_of(Monomials.up_to(series.names, degree), form)[None]
    return ensemble_of(candidates(series, shuffled, degree=degree, zero=zero, masks=masks))


def _mask_of(library: Monomials, form: Mapping[str, Sequence[str]]) -> np.ndarray:
    """The choice of terms (variables, terms) that a form writes out."""
    if set(form) != set(library.names):
        raise MethodError(f"form= is of {sorted(form)}, the variables are {sorted(library.names)}")
    for term in {term for terms in form.values() for term in terms}:
        if term not in library.labels:
            raise MethodError(f"no term is called '{term}'; {did_you_mean(term, list(library.labels))}")
    return np.array([np.isin(library.labels, form[name]) for name in library.names])


def ensemble_of(found: Candidates) -> LearnedEquation:
    """The tied ones of candidates."""
    order = np.lexsort((found.held_out.mean(1), found.terms))
    kept = [int(b) for b in order if found.tied[b]]
    if not kept:
        raise MethodError("no equation could be solved along the data: take a lower degree, or more times")
    equations = tuple(_equation(found, b) for b in kept)
    inside, outside = _spreads(equations, found.series.mean)
    noise = float(np.sqrt((found.series.error**2).mean()))
    return LearnedEquation(equations, found.series, len(found.masks), noise, inside, outside)


def _equation(found: Candidates, b: int) -> Equation:
    mask = found.masks[b]
    errors = np.zeros(mask.shape)
    errors[mask] = np.sqrt(np.diag(found.covariance(b)))
    held_out = float(np.sqrt(found.held_out[b].mean()))
    start = found.fitted.numbers[b, mask.size :]
    return Equation(found.library, found.coefficients(b) * mask, errors, mask, start, float(found.rmse[b]), held_out)


def beyond(path: np.ndarray) -> np.ndarray:
    """Points half a range away from a path (T, d) in one variable, save those that come near it again."""
    span, _ = reach(path)
    shifts = [sign * _BEYOND * span * row for row in np.eye(path.shape[1]) for sign in (-1.0, 1.0)]
    points = np.concatenate([path + shift for shift in shifts])
    near = np.min([np.abs((points - point) / span).max(1) for point in path], axis=0)
    return points[near > _NEAR]


def _spreads(equations: tuple[Equation, ...], path: np.ndarray) -> tuple[float, float]:
    """How far the rates of equations are apart at most, inside and outside what was visited."""
    size = np.abs(np.mean([e.rate(path) for e in equations], axis=0)).max(0) + 1e-300
    inside, outside = (
        float((np.ptp([e.rate(points) for e in equations], axis=0) / size).max()) for points in (path, beyond(path))
    )
    return inside, outside
