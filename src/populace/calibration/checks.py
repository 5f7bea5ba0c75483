"""The check of a method on a problem: does what it says of parameters hold, where the truth is known?

Simulation-based calibration (Sean Talts et al. 2018, arXiv:1804.06788). Draw parameters from the prior, data from the
model at these, and fit the data as if they were real. If the method is right, the place of the true value among the
draws of its posterior is uniform, for every parameter, over the whole prior; and an interval of 95 % holds the truth in
95 % of the data sets. It is necessary and not sufficient: a method that hands back the prior passes. So contraction is
shown beside it, and calibration without contraction is called what it is; and the same draws are compared with the
truth around points that know the data (`reference_points.py`), which the prior does not pass where the data say more.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
from ..problem.problem import Problem, Simulated
from . import uniformity
from .estimates import Estimate
from .reference_points import distances
from .regions import Scale

_LEVELS = (0.5, 0.8, 0.95)
_SIZE = 0.05
"""The chance that a right method fails on any of its parameters."""
_CONTRACTED = 0.05
"""Below this part of the prior's spread taken away, the prior is returned."""
_JOINTLY = "all parameters jointly"
_AROUND = "around reference points"


@dataclass(frozen=True)
class Trials:
    """N data sets whose truth is known, and what a method said of each: `moments` (N, k), all of the target's; `truths`
    (N, d) and `draws` (N, L, d) on the real scale. Other checks read them too, so that nothing is fitted twice.
    """

    moments: np.ndarray
    truths: np.ndarray
    draws: np.ndarray


@dataclass(frozen=True)
class Calibration(Result):
    """What simulation-based calibration found; N data sets were fitted.

    `labels` (d,); `places` (N, d): the share of the posterior below the true value; `joint` (N,): the share within the
    ellipsoid around the posterior's mean that has the truth on its rim; `around` (N,): the share nearer to a reference
    point than the truth; `contraction` (N, d): 1 - the posterior's over the prior's standard deviation, on the prior's
    probability scale; `stops`: why fits ended, counted; `left_out`: why data sets were, counted; `repeats`: the median
    share of draws that repeat another; `trials`: what all this was worked out from.
    """

    method: str
    datasets: int
    budget: int
    labels: tuple[str, ...]
    places: np.ndarray
    joint: np.ndarray
    around: np.ndarray
    contraction: np.ndarray
    stops: dict[Code, int]
    left_out: dict[str, int]
    repeats: float
    trials: Trials

    @property
    def fitted(self) -> int:
        """N: how many data sets were fitted."""
        return self.joint.size

    def coverage(self, probability: float) -> np.ndarray:
        """The share of data sets whose truth lies in the central interval; last, in the joint ellipsoid; (d + 1,)."""
        central = np.abs(2.0 * self.places - 1.0) <= probability
        return np.append(central.mean(0), (self.joint <= probability).mean())

    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each parameter, one for all jointly, and one for distances from reference points."""
        depths = [np.abs(2.0 * place - 1.0) for place in self.places.T]
        ones = [self._judged(*each) for each in zip(self.labels, self.places.T, depths, self._shrunk(), strict=True)]
        return (*ones, self._judged(_JOINTLY, self.joint, self.joint, float(self._shrunk().max())), self._reference())

    def _shrunk(self) -> np.ndarray:
        return self.contraction.mean(0)

    def _tested(self, uniform: np.ndarray, depth: np.ndarray) -> tuple[float, float, bool]:
        """Of numbers (N,) that should be uniform, `depth` too: the p-value of the whole distribution function, the
        excess of mean depth in standard errors, and whether one of both tests fails, each at 5 % over all subjects.
        """
        level = _SIZE / (2 * (len(self.labels) + 2))
        p = uniformity.p_value(uniform)
        excess = float((depth.mean() - 0.5) * np.sqrt(12.0 * self.fitted))
        return p, excess, p < level or bool(2.0 * norm.sf(abs(excess)) < level)

    def _reference(self) -> Verdict:
        """Where the truth lies nearer to what the data point at than draws do, or farther, these are not the
        posterior's, whatever it is.
        """
        p, excess, fails = self._tested(self.around, self.around)
        numbers = {"p": p, "excess": excess, "farther than half of the draws": float((self.around > 0.5).mean())}
        subject, farther = _AROUND, int((self.around > 0.5).sum())
        where = f"the truth is farther from where the data point than half of the draws in {farther} of {self.fitted}"
        if not fails:
            return Verdict(subject, Code.CALIBRATED, f"{subject}: {where} data sets, as it should be.", numbers)
        why = ", which should be half"
        if self._shrunk().max() < _CONTRACTED:
            why += ": the posterior is the prior, and the data say more than it makes of them"
        elif abs(excess) < 2.0:
            why = ", and neither near nor far often enough"
        return Verdict(subject, Code.NOT_POSTERIOR, f"{subject}: {where} data sets{why}.", numbers)

    def _judged(self, subject: str, uniform: np.ndarray, depth: np.ndarray, contraction: float) -> Verdict:
        """The verdict from numbers (N,) that should be uniform; `depth`, too, large where the truth is far out."""
        n = self.fitted
        p, excess, fails = self._tested(uniform, depth)
        inside = int((depth <= 0.95).sum())
        numbers = {"p": p, "excess": excess, "coverage 95 %": inside / n, "contraction": float(contraction)}
        held = f"95 % regions hold the truth in {inside} of {n} data sets"
        if fails:
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
            "intervals are too narrow. Then the same for the share nearer to the posterior's centre than the truth, "
            "where a fall means too narrow, and for the share nearer to a reference point.",
            (
                *(self._panel(*each, "below the true value") for each in zip(self.labels, self.places.T, strict=True)),
                self._panel(_JOINTLY, self.joint, "nearer to its centre"),
                self._panel(_AROUND, self.around, "nearer to the point"),
            ),
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

    def _panel(self, label: str, places: np.ndarray, share: str) -> BandPanel:
        z = uniformity.points(self.fitted)
        low, high = uniformity.band(self.fitted, 0.95)
        band = Band("uniform", z, 0.0 * z, {0.95: (low - z, high - z)}, "expectation")
        points = Points("found", z, uniformity.below(places) / self.fitted - z)
        return BandPanel(label, f"posterior {share}", "excess share of data sets", (band,), (points,))

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

    def fitted(task: Problem, key: Key, count: int, ticker: Ticker) -> tuple[np.ndarray, Code]:
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

    def read(task: Problem, key: Key, count: int, ticker: Ticker) -> tuple[np.ndarray, Code]:
        found = estimate.draws(task, key, count)
        return np.asarray(found, np.float64), Code.CONVERGED

    name = type(estimate).__name__
    return _checked(problem, read, key, name, datasets=datasets, budget=0, draws=draws, progress=progress)


def _given(problem: Problem, data: Simulated, i: int) -> Problem:
    """The problem with run `i` in the place of its data."""
    target, run = problem.target, {name: array[i] for name, array in data.observations.items()}
    return problem.with_target(target.with_values(np.where(target.fitted, data.moments[i], target.values), run))


def _checked(
    problem: Problem,
    drawn: Callable[[Problem, Key, int, Ticker], tuple[np.ndarray, Code]],
    key: Key,
    name: str,
    *,
    datasets: int,
    budget: int,
    draws: int,
    progress: bool | Progress | None,
) -> Calibration:
    """`drawn`: from the problem with other data, a key, a count and a ticker to draws on the real scale, and why they
    ended. Twice as many draws are taken as are ranked.
    """
    if datasets < 10 or draws < 10:
        raise MethodError(f"{datasets} data sets and {draws} draws show nothing: take 10 of each at the least")
    prior, simulate, fit, place = jr.split(key, 4)
    truths = problem.space.sample(prior, datasets)
    samples: dict[int, np.ndarray] = {}
    stops: list[Code] = []
    with display(progress) as shown:
        ticker = Ticker(shown, "simulation-based calibration", datasets * (budget + 1))
        data = problem.simulate(truths, jr.split(simulate, datasets), ticker, keep=True)
        left_out = Counter(data.reasons)
        for i in np.flatnonzero(~data.excluded).tolist():
            try:
                samples[i], code = drawn(_given(problem, data, i), jr.fold_in(fit, i), 2 * draws, ticker)
                stops.append(code)
            except (MethodError, SimulatorError) as error:
                left_out[f"the fit failed: {error}"] += 1
            ticker.advance(max(datasets + (int(i) + 1) * budget - ticker.done, 0))
    if not samples:
        raise MethodError(f"no data set can be fitted: {'; '.join(left_out)}")
    used = np.array(list(samples))
    found = np.stack(list(samples.values()))
    real = np.asarray(problem.space.to_real(truths), np.float64)[used]
    unit = unit_of(problem, np.concatenate([real[:, None], found], axis=1))
    scale = Scale.of(problem.space)
    v = scale.rows(unit.reshape(-1, unit.shape[2])).reshape(unit.shape)
    away = distances(scale, data.moments[used][:, problem.target.fitted], v[:, 0], v[:, 1:][:, :draws], place)
    repeats = [1.0 - len(np.unique(one, axis=0)) / len(one) for one in found[:, :draws]]
    return Calibration(
        method=name,
        datasets=datasets,
        budget=budget,
        labels=problem.space.labels,
        places=_places(jr.fold_in(place, 0), found[:, :draws], real),
        joint=_joint(jr.fold_in(place, 1), found, real),
        around=_places(jr.fold_in(place, 2), away[:, 1:], away[:, 0]),
        contraction=1.0 - np.sqrt(12.0) * unit[:, 1:].std(1, ddof=1),
        stops=dict(Counter(stops)),
        left_out=dict(left_out),
        repeats=float(np.median(repeats)),
        trials=Trials(data.moments[used], real, found),
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


def unit_of(problem: Problem, rows: np.ndarray) -> np.ndarray:
    """Rows (N, L, d) of the real scale on the prior's probability scale, where its standard deviation is 12^-1/2."""
    flat = problem.space.from_real(rows.reshape(-1, rows.shape[2]))
    return np.asarray(problem.space.cdf(flat), np.float64).reshape(rows.shape)
