"""The check of a method on a problem: does what it says of parameters hold, where the truth is known?

Simulation-based calibration (Sean Talts et al. 2018, arXiv:1804.06788). Draw parameters from the prior, data from the
model at these, and fit the data as if they were real. If the method is right, the place of the true value among the
draws of its posterior is uniform, for every parameter, over the whole prior; and an interval of 95 % holds the truth in
95 % of the data sets. It is necessary and not sufficient: a method that hands back the prior passes. So contraction is
shown beside it, and calibration without contraction is called what it is.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import scipy.linalg
from rich.progress import Progress
from scipy.stats import norm

from .._errors import MethodError, SimulatorError
from .._results import Band, BandPanel, Code, Figure, Points, Result, Section, Table, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.progress import display
from ..core.rounds import Method, rounds
from ..problem.problem import Problem
from . import uniformity
from .estimates import Estimate

_LEVELS = (0.5, 0.8, 0.95)
_SIZE = 0.05
"""The chance that a right method fails on any of its parameters."""
_CONTRACTED = 0.05
"""Below this part of the prior's spread taken away, the prior is returned."""
_JOINTLY = "all parameters jointly"


@dataclass(frozen=True)
class Calibration(Result):
    """What simulation-based calibration found; N data sets were fitted.

    `labels` (d,); `places` (N, d): the share of the posterior below the true value; `joint` (N,): the share within the
    ellipsoid around the posterior's mean that has the truth on its rim; `contraction` (N, d): 1 - the posterior's over
    the prior's standard deviation, on the prior's probability scale; `stops`: why fits ended, counted; `left_out`: why
    data sets were, counted; `repeats`: the median share of draws that repeat another.
    """

    method: str
    datasets: int
    budget: int
    labels: tuple[str, ...]
    places: np.ndarray
    joint: np.ndarray
    contraction: np.ndarray
    stops: dict[Code, int]
    left_out: dict[str, int]
    repeats: float

    @property
    def fitted(self) -> int:
        """N: how many data sets were fitted."""
        return self.joint.size

    def coverage(self, probability: float) -> np.ndarray:
        """The share of data sets whose truth lies in the central interval; last, in the joint ellipsoid; (d + 1,)."""
        central = np.abs(2.0 * self.places - 1.0) <= probability
        return np.append(central.mean(0), (self.joint <= probability).mean())

    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each parameter, and one for all jointly."""
        depths = [np.abs(2.0 * place - 1.0) for place in self.places.T]
        ones = [self._judged(*each) for each in zip(self.labels, self.places.T, depths, self._shrunk(), strict=True)]
        return (*ones, self._judged(_JOINTLY, self.joint, self.joint, float(self._shrunk().max())))

    def _shrunk(self) -> np.ndarray:
        return self.contraction.mean(0)

    def _judged(self, subject: str, uniform: np.ndarray, depth: np.ndarray, contraction: float) -> Verdict:
        """The verdict from numbers (N,) that should be uniform; `depth`, too, large where the truth is far out.

        Two tests, each at 5 % over the tests of all subjects: of the whole distribution function, and of mean depth.
        """
        n, level = self.fitted, _SIZE / (2 * (len(self.labels) + 1))
        p = uniformity.p_value(uniform)
        excess = float((depth.mean() - 0.5) * np.sqrt(12.0 * n))
        inside = int((depth <= 0.95).sum())
        numbers = {"p": p, "excess": excess, "coverage 95 %": inside / n, "contraction": float(contraction)}
        held = f"95 % regions hold the truth in {inside} of {n} data sets"
        if p < level or 2.0 * norm.sf(abs(excess)) < level:
            wide = excess < -2.0
            how = "lies in the middle of the posterior too often" if wide else "lies outside the posterior too often"
            code = Code.TOO_WIDE if wide else Code.OVER_CONFIDENT
            return Verdict(subject, code, f"{subject}: the truth {how}; {held}.", numbers)
        gain = f"the data take away {100 * contraction:.0f} % of the prior's spread"
        if contraction < _CONTRACTED:
            why = f"{subject}: calibrated, and this says nothing, for the posterior is the prior ({gain})."
            return Verdict(subject, Code.PRIOR_RETURNED, why, numbers)
        best = gain if subject != _JOINTLY else f"{gain} of the parameter that they say most of"
        return Verdict(subject, Code.CALIBRATED, f"{subject}: {held}; {best}.", numbers)

    def sections(self) -> tuple[Section, ...]:
        figure = Figure(
            "calibration",
            "Share of data sets in which the posterior has less than so much below the true value, minus that number: "
            "0 for a right method, which stays inside the band in 95 of 100 checks. A rise before a fall means that "
            "intervals are too narrow.",
            tuple(self._panel(*each) for each in zip(self.labels, self.places.T, strict=True)),
        )
        return (Section("Calibration", self._text(), self.verdicts(), (figure,), (self._table(),)),)

    def _text(self) -> tuple[str, ...]:
        ends = ", ".join(f"{count} {code.value}" for code, count in self.stops.items())
        how = f"with {self.budget} runs each fitted" if self.budget else "was read off at"
        ended = f" ({ends})" if self.budget else ""
        text = [
            f"{self.method} {how} {self.fitted} of {self.datasets} data sets that were simulated at parameters from "
            f"the prior{ended}.",
            "Calibration without contraction says nothing: a posterior that returns the prior is calibrated.",
        ]
        if self.left_out:
            why = "; ".join(f"{count} x {reason}" for reason, count in self.left_out.items())
            text.append(f"Left out: {why}. What is said holds for the others.")
        if self.repeats > 0.5:
            text.append(
                f"{100 * self.repeats:.0f} % of posterior draws repeat another: places are coarse, and raising the "
                "budget or the number of particles comes before reading them."
            )
        return tuple(text)

    def _panel(self, label: str, places: np.ndarray) -> BandPanel:
        z = uniformity.points(self.fitted)
        low, high = uniformity.band(self.fitted, 0.95)
        band = Band("uniform", z, 0.0 * z, {0.95: (low - z, high - z)}, "expectation")
        points = Points("found", z, uniformity.below(places) / self.fitted - z)
        return BandPanel(label, "posterior below the true value", "excess share of data sets", (band,), (points,))

    def _table(self) -> Table:
        covered = np.stack([self.coverage(level) for level in _LEVELS], axis=1)
        gains = np.append(self._shrunk(), np.nan)
        rows = [
            (name, *(float(c) for c in row), None if np.isnan(gain) else float(gain))
            for name, row, gain in zip((*self.labels, _JOINTLY), covered, gains, strict=True)
        ]
        errors = ", ".join(f"{np.sqrt(p * (1 - p) / self.fitted):.2g}" for p in _LEVELS)
        columns = ("parameter", *(f"coverage of {100 * p:.0f} %" for p in _LEVELS), "contraction")
        return Table("Coverage and contraction", columns, tuple(rows), f"One standard error of coverage: {errors}.")

    def record(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "datasets": {"asked": self.datasets, "fitted": self.fitted, "left out": self.left_out},
            "budget": self.budget,
            "stopped": {code.value: count for code, count in self.stops.items()},
            "verdicts": {verdict.subject: verdict.record() for verdict in self.verdicts()},
            "coverage": {
                f"{level:g}": dict(zip((*self.labels, _JOINTLY), self.coverage(level).tolist(), strict=True))
                for level in _LEVELS
            },
            "contraction": dict(zip(self.labels, self._shrunk().tolist(), strict=True)),
        }


def simulation_based_calibration(
    problem: Problem,
    method: Method[Problem, Any, Any],
    key: Key,
    *,
    datasets: int,
    budget: int,
    draws: int = 100,
    progress: bool | Progress | None = None,
) -> Calibration:
    """Fit data whose parameters are known, many times.

    The data are runs of the problem's own simulator: their moments stand in for those of the target, whose covariance
    stays. Data sets in which a fitted moment is not defined are left out, as runs are in a fit.

    **Arguments:** `datasets`: how many; coverage of 95 % is known to 0.022 with 100 of them (one standard error);
    `budget`: simulator calls of each fit; `draws`: of each posterior, to rank the truth among.

    **Returns:** a `Calibration`.

    **Raises:** `MethodError` for a target without the covariance that the method needs, or when no data set can be
    fitted; `SimulatorError` when none can be simulated.
    """
    if problem.target.covariance is None and method.needs_covariance:
        raise MethodError("every data set is fitted with one covariance: give the target one")

    def fitted(moments: np.ndarray, key: Key, count: int, ticker: Ticker) -> tuple[np.ndarray, Code]:
        task = _given(problem, moments)
        done = rounds(method, task, jr.fold_in(key, 0), budget=budget, ticker=ticker)
        return np.asarray(done.estimate.draws(task, jr.fold_in(key, 1), count), np.float64), done.done.code

    name = type(method).__name__
    return _checked(problem, fitted, key, name, datasets=datasets, budget=budget, draws=draws, progress=progress)


def amortised_calibration(
    problem: Problem,
    estimate: Estimate,
    key: Key,
    *,
    datasets: int,
    draws: int = 100,
    progress: bool | Progress | None = None,
) -> Calibration:
    """The same for an estimate that can be read off at any data (`NeuralPosterior(rounds=1)`): nothing is fitted anew,
    so that a thousand data sets cost a thousand runs.

    **Arguments:** `datasets`, `draws`: as in `simulation_based_calibration`.

    **Returns:** a `Calibration`.

    **Raises:** `MethodError` for an estimate that holds for its own data only; `SimulatorError`.
    """

    def read(moments: np.ndarray, key: Key, count: int, ticker: Ticker) -> tuple[np.ndarray, Code]:
        found = estimate.draws(_given(problem, moments), key, count)
        return np.asarray(found, np.float64), Code.CONVERGED

    name = type(estimate).__name__
    return _checked(problem, read, key, name, datasets=datasets, budget=0, draws=draws, progress=progress)


def _given(problem: Problem, moments: np.ndarray) -> Problem:
    """The problem with other data."""
    target = problem.target
    return problem.with_target(target.with_values(np.where(target.fitted, moments, target.values)))


def _checked(
    problem: Problem,
    drawn: Callable[[np.ndarray, Key, int, Ticker], tuple[np.ndarray, Code]],
    key: Key,
    name: str,
    *,
    datasets: int,
    budget: int,
    draws: int,
    progress: bool | Progress | None,
) -> Calibration:
    """`drawn`: from a data set's moments, a key, a count and a ticker to draws on the real scale, and why they ended.
    Twice as many draws are taken as are ranked.
    """
    if datasets < 10 or draws < 10:
        raise MethodError(f"{datasets} data sets and {draws} draws show nothing: take 10 of each at the least")
    prior, simulate, fit, place = jr.split(key, 4)
    truths = problem.space.sample(prior, datasets)
    samples: dict[int, np.ndarray] = {}
    stops: list[Code] = []
    with display(progress) as shown:
        ticker = Ticker(shown, "simulation-based calibration", datasets * (budget + 1))
        data = problem.simulate(truths, jr.split(simulate, datasets), ticker)
        left_out = Counter(data.reasons)
        for i in np.flatnonzero(~data.excluded).tolist():
            try:
                samples[i], code = drawn(data.moments[i], jr.fold_in(fit, i), 2 * draws, ticker)
                stops.append(code)
            except (MethodError, SimulatorError) as error:
                left_out[f"the fit failed: {error}"] += 1
            ticker.advance(max(datasets + (int(i) + 1) * budget - ticker.done, 0))
    if not samples:
        raise MethodError(f"no data set can be fitted: {'; '.join(left_out)}")
    used = np.array(list(samples))
    found = np.stack(list(samples.values()))
    real = np.asarray(problem.space.to_real(truths), np.float64)[used]
    repeats = [1.0 - len(np.unique(one, axis=0)) / len(one) for one in found[:, :draws]]
    return Calibration(
        method=name,
        datasets=datasets,
        budget=budget,
        labels=problem.space.labels,
        places=_places(jr.fold_in(place, 0), found[:, :draws], real),
        joint=_joint(jr.fold_in(place, 1), found, real),
        contraction=_contraction(problem, found),
        stops=dict(Counter(stops)),
        left_out=dict(left_out),
        repeats=float(np.median(repeats)),
    )


def _places(key: Key, draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The share of draws (N, L, ...) below the truth (N, ...): uniform on [0, 1], exactly, where truth and draws are
    alike; the L + 1 ranks are spread over it, and ties broken, by chance.
    """
    less, equal = (draws < truth[:, None]).sum(1), (draws == truth[:, None]).sum(1)
    chance = np.asarray(jr.uniform(key, truth.shape), np.float64)
    return (less + chance * (equal + 1)) / (draws.shape[1] + 1)


def _joint(key: Key, draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The share of draws (N, 2 L, d) nearer to the posterior's centre than the truth (N, d), in Mahalanobis distance.

    Centre and covariance come from the second half of the draws and the first half is ranked, so that the truth is to
    it as any of the draws is, and the shares are uniform whatever the posterior's form (Modrak et al. 2023). The share
    at or below p is the expected coverage of the ellipsoids that hold p.
    """
    ranked, shape = np.split(draws, 2, axis=1)
    both = np.concatenate([truth[:, None], ranked], axis=1)
    distance = np.empty(both.shape[:2])
    for i, (rows, form) in enumerate(zip(both, shape, strict=True)):
        scale = np.maximum(form.std(0), 1e-12)
        spread = np.atleast_2d(np.cov(form / scale, rowvar=False)) + 1e-9 * np.eye(scale.size)
        white = scipy.linalg.solve_triangular(np.linalg.cholesky(spread), ((rows - form.mean(0)) / scale).T, lower=True)
        distance[i] = (white**2).sum(0)
    return _places(key, distance[:, 1:], distance[:, 0])


def _contraction(problem: Problem, draws: np.ndarray) -> np.ndarray:
    """1 - the posterior's over the prior's (12^-1/2) standard deviation, on the prior's probability scale, (N, d)."""
    n, size, d = draws.shape
    flat = problem.space.from_real(jnp.asarray(draws.reshape(-1, d)))
    scale = np.asarray(problem.space.cdf(flat), np.float64).reshape(n, size, d)
    return 1.0 - np.sqrt(12.0) * scale.std(1, ddof=1)
