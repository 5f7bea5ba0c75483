"""Simulated minimum distance against closed forms: of linear models, of time series, and where the rank fails."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import ndtri

from populace._errors import MethodError, TargetError
from populace._results import Code
from populace.calibration.minimum_distance import SimulatedMinimumDistance
from populace.calibration.restarts import Agreement, Restarts
from populace.calibration.trust_region import TrustRegion
from populace.problem.covariance import Given
from populace.problem.moments import level
from populace.problem.problem import Problem
from populace.problem.space import Space
from populace.problem.target import Target

ERRORS = 4.0


def noted(estimate: Any, words: str) -> bool:
    return any(words in note for note in estimate.notes())


def problem_of(simulator: Any, space: Space, data: Any, covariance: Any = None) -> Problem:
    known = None if covariance is None else Given(covariance)
    return Problem(simulator, space, Target({"m": np.asarray(data)}, [level("m")], covariance=known))


# A linear model whose moments move together

DESIGN = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [1.0, -1.0]])
ROOT = np.array([[0.3, 0.0, 0.0, 0.0], [0.27, 0.1, 0.0, 0.0], [0.0, 0.1, 0.4, 0.0], [-0.2, 0.0, 0.1, 0.05]])
COVARIANCE = ROOT @ ROOT.T
DATA = np.array([1.0, 0.9, -0.5, 1.3])


def _linear(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    return {"m": np.stack([parameters["a"], parameters["b"]], 1) @ DESIGN.T + ndtri(u) @ ROOT.T}


def _solution(weight: np.ndarray) -> np.ndarray:
    """The matrix (d, k) that turns the data into the least g' W g."""
    return np.linalg.solve(DESIGN.T @ weight @ DESIGN, DESIGN.T @ weight)


@pytest.fixture(scope="module")
def line(numpy_simulator: Any) -> Callable[[bool], Problem]:
    def make(known: bool) -> Problem:
        space = Space(a=dist.Normal(0.0, 2.0), b=dist.Normal(0.0, 2.0))
        return problem_of(numpy_simulator(_linear, 4), space, DATA, COVARIANCE if known else None)

    return make


@pytest.fixture(scope="module")
def fitted(line: Any, ended: Any) -> dict[bool, Any]:
    """By the optimal weight, and by the diagonal one."""
    task = line(True)
    return {optimal: ended(SimulatedMinimumDistance(optimal=optimal), task, 0, 3_000) for optimal in (True, False)}


@pytest.mark.parametrize("optimal", [True, False])
def test_a_linear_model_gets_estimate_errors_and_j_of_the_weight(fitted: dict[bool, Any], optimal: bool):
    """Both formulas of the standard errors, and a J that is the same by either weight; S = V here."""
    end = fitted[optimal]
    found, count = end.estimate, len(end.state.last)
    weight = np.linalg.inv(COVARIANCE) if optimal else np.diag(1.0 / np.diag(COVARIANCE))
    solution = _solution(weight)
    exact = solution @ COVARIANCE @ solution.T
    gap = found.real - solution @ DATA
    assert gap @ np.linalg.solve(exact / count, gap) < 2.0 + ERRORS * 2.0  # chi-squared, 2 degrees of freedom
    error = np.sqrt(2.0 / count) / count  # of the simulation's covariance
    np.testing.assert_allclose(found.covariance, (1 + 1 / count) * exact, rtol=ERRORS * error + 1e-3, atol=1e-4)
    assert end.done.code is Code.CONVERGED and end.calls <= 3_000
    least = _gap(_solution(np.linalg.inv(COVARIANCE)) @ DATA)
    (told,) = (note for note in found.notes() if "degrees of freedom" in note)
    assert "J = " in told and "on 2 degrees" in told
    j = float(told.split("J = ")[1].split(" ")[0])
    assert abs(j - least) < ERRORS * 2.0 * np.sqrt((least + 2.0) / count)
    assert noted(found, "Two steps" if optimal else "One step")
    assert noted(found, "Of 8 restarts 8 ended at the estimate") and noted(found, "standard errors: a ")


def _gap(at: np.ndarray) -> float:
    gap = DESIGN @ at - DATA
    return float(gap @ np.linalg.solve(COVARIANCE, gap))


def test_the_optimal_weight_scatters_less(fitted: dict[bool, Any]):
    """Over data sets, by closed form; and what a fit says of its errors is what they scatter, by either weight."""
    truth = np.array([0.5, -0.2])
    rows = DESIGN @ truth + np.random.default_rng(0).standard_normal((20_000, 4)) @ ROOT.T
    by = {True: np.linalg.inv(COVARIANCE), False: np.diag(1.0 / np.diag(COVARIANCE))}
    scatter = {optimal: (rows @ _solution(weight).T).std(0) for optimal, weight in by.items()}
    assert (scatter[True] < 0.7 * scatter[False]).any() and (scatter[True] < scatter[False]).all()
    for optimal, errors in scatter.items():
        said = np.sqrt(np.diag(fitted[optimal].estimate.covariance))
        np.testing.assert_allclose(said, errors, rtol=ERRORS / np.sqrt(2 * len(rows)) + 0.01)


def test_a_covariance_that_is_not_known_is_simulated_at_the_first_estimate(line: Any, ended: Any):
    end = ended(SimulatedMinimumDistance(), line(False), 0, 3_000)
    said = np.sqrt(np.diag(end.estimate.covariance))
    exact = np.sqrt(np.diag(np.linalg.inv(DESIGN.T @ np.linalg.solve(COVARIANCE, DESIGN))))
    np.testing.assert_allclose(said, exact, rtol=0.25)  # 300 replicates, correlations a little shrunk
    assert noted(end.estimate, "of 300 runs at the first estimate")
    assert noted(end.estimate, "do not contradict")


# Series whose estimators are known

TIMES = 300


def _shocks(u: np.ndarray) -> np.ndarray:
    return ndtri(u)


def _autoregressive(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    phi, e = parameters["theta"], _shocks(u)
    x = np.empty_like(e)
    x[:, 0] = e[:, 0] / np.sqrt(1.0 - phi**2)
    for t in range(1, e.shape[1]):
        x[:, t] = phi * x[:, t - 1] + e[:, t]
    return {"m": _slope(x)}


def _moving_average(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    e = _shocks(u)
    return {"m": _slope(e[:, 1:] + parameters["theta"][:, None] * e[:, :-1])}


def _slope(x: np.ndarray) -> np.ndarray:
    """The regression of each value on the one before it, (n, 1)."""
    before, now = x[:, :-1], x[:, 1:]
    before = before - before.mean(1, keepdims=True)
    return (before * now).sum(1, keepdims=True) / (before**2).sum(1, keepdims=True)


def _bartlett(rho: float, slope: float) -> float:
    """The error of theta by the first autocorrelation of a moving average, that varies by 1 - 3 rho^2 + 4 rho^4."""
    return float(np.sqrt((1.0 - 3.0 * rho**2 + 4.0 * rho**4) / TIMES) / slope)


@pytest.mark.parametrize(
    ("model", "truth", "statistic", "error"),
    [
        (_autoregressive, 0.6, 0.6, np.sqrt((1.0 - 0.6**2) / TIMES)),
        (_moving_average, 0.4, 0.4 / 1.16, _bartlett(0.4 / 1.16, (1.0 - 0.16) / 1.16**2)),
    ],
)
def test_the_errors_of_series_are_the_asymptotic_ones(
    numpy_simulator: Any, ended: Any, model: Any, truth: float, statistic: float, error: float
):
    """The second is indirect inference: the moment is the coefficient of a model that is wrong."""
    space = Space(theta=dist.Uniform(-0.95, 0.95))
    end = ended(SimulatedMinimumDistance(), problem_of(numpy_simulator(model, TIMES), space, [statistic]), 0, 3_000)
    batch = space.from_real(jnp.asarray(end.estimate.draws(end, jr.key(0), 20_000)))
    drawn = np.asarray(batch["theta"], np.float64)
    assert (
        abs(drawn.std() / error - 1.0) < 0.15
    )  # a variance of 300 replicates, and what is not asymptotic in 300 times
    assert abs(np.median(drawn) - truth) < 0.25 * error  # the data are the mean but for terms in 1 / times
    assert noted(end.estimate, "nothing is left to test")


# Where there is not one answer


def _product(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    return {"m": (parameters["a"] * parameters["b"])[:, None] * np.array([1.0, 2.0, 3.0]) + 0.05 * ndtri(u)}


def test_a_product_is_named_and_gets_no_covariance(numpy_simulator: Any, ended: Any):
    space = Space(a=dist.Uniform(0.0, 5.0), b=dist.Uniform(0.0, 5.0))
    problem = problem_of(numpy_simulator(_product, 3), space, [1.0, 2.0, 3.0], np.full(3, 0.05))
    end = ended(SimulatedMinimumDistance(), problem, 0, 3_000)
    values = space.from_real(jnp.asarray(end.estimate.real[None]))
    error = 0.05 / np.sqrt(14 * len(end.state.last))
    assert abs(float(values["a"][0] * values["b"][0]) - 1.0) < ERRORS * error + 0.002
    assert np.isnan(end.estimate.covariance).all() and noted(end.estimate, "it has no covariance")
    assert noted(end.estimate, "on 2 degrees of freedom")  # k - rank, not k - 2 = 1
    assert noted(end.estimate, "answers lie along a ridge") and not noted(end.estimate, "standard errors: ")


def _wavy(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    theta = parameters["theta"]
    return {"m": (theta + 2.0 * np.sin(3.0 * theta))[:, None] + 0.1 * ndtri(u)}


def test_restarts_that_end_elsewhere_are_counted(numpy_simulator: Any, ended: Any):
    """theta + 2 sin 3 theta is 6 at several thetas."""
    problem = problem_of(numpy_simulator(_wavy), Space(theta=dist.Normal(0.0, 3.0)), [6.0], [0.1])
    end = ended(SimulatedMinimumDistance(), problem, 0, 3_000)
    assert abs(float(_wavy({"theta": end.estimate.real}, np.full((1, 1), 0.5))["m"][0, 0]) - 6.0) < 0.1
    assert noted(end.estimate, "there may be several answers")


# Its parts


def test_a_step_that_does_not_lessen_the_loss_is_taken_back_and_shortened():
    """g = v^2 - 1 at v = 3: the step to 5/3 is long, and cut; told of a larger loss it goes back, and tries less."""
    at = np.array([3.0])

    def replicates(v: float, worse: float = 0.0) -> np.ndarray:
        return np.broadcast_to(np.array([[[2.0 * v, v**2 - 1.0 + worse]]]), (4, 1, 2))

    first = TrustRegion.none(1, 1).at(at).told(replicates(3.0))
    assert (first.centre, first.tried, first.level) == ([3.0], [2.5], 64.0)  # -4/3, cut to .5
    back = first.told(replicates(2.5, worse=100.0))
    assert (back.centre, back.tried, back.level) == ([3.0], [2.875], 64.0)
    on = first.told(replicates(2.5))
    np.testing.assert_allclose((on.centre, on.tried), ([2.5], [2.5 - 1.0]))  # -1.05, cut to twice the radius
    assert not on.settled and first.at(np.array([1.001])).told(replicates(1.001)).settled
    none = first.at(at).told(np.zeros((0, 1, 2)))
    assert not len(none.kept) and not none.settled


def test_a_flat_direction_is_not_stepped_along():
    rng = np.random.default_rng(0)
    slope = np.array([[1.0, 1.0], [2.0, 2.0]])
    rows = np.concatenate([slope, np.array([[1.0], [2.0]])], axis=1) + 1e-6 * rng.standard_normal((5, 2, 3))
    told = TrustRegion.none(2, 2).at(np.zeros(2)).told(rows)
    np.testing.assert_allclose(told.tried, [-0.5, -0.5], atol=1e-5)


def test_a_restart_that_fails_makes_room_for_the_next():
    two = Restarts(np.array([[0.0], [1.0]]), np.array([1.0, 2.0]), np.zeros(2), np.array(4))
    assert two.best == 0 and two.without_best().best == 1


def test_restarts_do_not_agree_where_nothing_reacts():
    assert "is not known: no moment reacts" in Agreement(8, 8, 0, 0, False).sentence
    assert Agreement(8, 5, 0, 2, True).sentence.endswith(
        "5 ended at the estimate, within the errors, and 3 farther from the data."
    )


def test_what_cannot_work_is_refused(line: Any):
    task = line(True)
    with pytest.raises(MethodError, match=r"too small for 2 parameters and 8 restarts: give 660"):
        SimulatedMinimumDistance().start(task, jr.key(0), 659)
    with pytest.raises(MethodError, match="one restart or more"):
        SimulatedMinimumDistance(restarts=0).start(task, jr.key(0), 5_000)
    twice = task.with_target(task.target.with_covariance(np.ones((4, 4)), "made up"))
    with pytest.raises(TargetError, match="repeat each other"):
        SimulatedMinimumDistance().start(twice, jr.key(0), 5_000)


def test_runs_that_fail_are_left_out_and_counted(numpy_simulator: Any, ended: Any):
    def fails(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
        rows = _linear(parameters, u[:, :4])["m"]
        return {"m": np.where(((u[:, 4] < 0.1) | (parameters["a"] > 2.0))[:, None], np.nan, rows)}

    space = Space(a=dist.Normal(0.0, 2.0), b=dist.Normal(0.0, 2.0))
    end = ended(SimulatedMinimumDistance(), problem_of(numpy_simulator(fails, 5), space, DATA, COVARIANCE), 0, 3_000)
    exact = np.linalg.inv(DESIGN.T @ np.linalg.solve(COVARIANCE, DESIGN))
    gap = end.estimate.real - _solution(np.linalg.inv(COVARIANCE)) @ DATA
    assert gap @ np.linalg.solve(exact / len(end.state.last), gap) < 2.0 + ERRORS * 2.0
    assert noted(end.estimate, "runs were excluded")
