"""Sequential ABC against posteriors in closed form.

A tolerance is a number of standard errors of the sample, with the effective sample size for its size. What ABC itself
changes is either computed exactly (the posterior given that the moment lies within the tolerance) or bounded: with a
posterior mean that is linear in the moment with slope c, runs within e of the data shift the mean by at most c e and
add at most c^2 e^2 / 3 to the variance if the moment is flat there.
"""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import ndtri
from scipy.stats import beta, truncnorm

from populace._errors import MethodError, SimulatorError, TargetError
from populace._results import Code
from populace.calibration.sequential_abc import SequentialABC
from populace.core.executor import Ticker
from populace.core.rounds import rounds
from populace.problem.covariance import Given
from populace.problem.distances import BetweenSamples, wasserstein
from populace.problem.moments import level
from populace.problem.problem import Problem
from populace.problem.simulators import Callable
from populace.problem.space import Space
from populace.problem.target import Target

ERRORS = 4.0
"""How many standard errors a posterior mean or standard deviation may be off."""


def mean_and_sd(estimate: Any, values: np.ndarray) -> tuple[float, float]:
    mean = float(estimate.weights @ values)
    return mean, float(np.sqrt(estimate.weights @ (values - mean) ** 2))


def close(estimate: Any, values: np.ndarray, mean: float, sd: float, bias: float = 0.0, wider: float = 1.0) -> None:
    """Mean and standard deviation within standard errors, beyond what ABC may add."""
    found, spread = mean_and_sd(estimate, values)
    error = sd * wider / np.sqrt(estimate.effective_size)
    assert abs(found - mean) < ERRORS * error + bias
    assert sd - ERRORS * error / np.sqrt(2.0) < spread < sd * wider + ERRORS * error / np.sqrt(2.0)


def test_unadjusted_particles_follow_the_posterior_given_the_tolerance(normal: Any, ended: Any):
    """Exactly: theta = c m + noise, with m normal and cut to within the tolerance of the data."""
    problem, case = normal
    end = ended(SequentialABC(particles=200, adjust=False), problem, 0, 3_000)
    reach = float(end.state.tolerance) * case.error
    marginal = np.hypot(case.prior, case.error)
    cut = truncnorm((case.data - reach) / marginal, (case.data + reach) / marginal, scale=marginal)
    close(end.estimate, end.estimate.real[:, 0], case.gain * cut.mean(), np.hypot(case.sd, case.gain * cut.std()))


def test_particles_nearly_follow_the_posterior(normal: Any, ended: Any):
    problem, case = normal
    end = ended(SequentialABC(particles=200), problem, 2, 5_000)
    reach = case.gain * float(end.state.tolerance) * case.error
    assert reach < 0.25 * case.sd
    values = end.estimate.real[:, 0]
    close(end.estimate, values, case.mean, case.sd, reach, float(np.hypot(case.sd, reach / 3**0.5) / case.sd))
    assert any("adjustment was kept" in note for note in end.estimate.notes())


def test_counts_are_hit_exactly(coins: Problem, ended: Any):
    """A discrete moment: the tolerance falls to 0, where ABC is exact; it stops by its own rule."""
    end = ended(SequentialABC(particles=200), coins, 0, 8_000)
    assert float(end.state.tolerance) == 0.0
    assert end.done.code is Code.CONVERGED
    bias = np.asarray(coins.space.from_real(jnp.asarray(end.estimate.real))["bias"], np.float64)
    posterior = beta(7, 15)
    close(end.estimate, bias, posterior.mean(), posterior.std())


def test_weights_are_weights(normal: Any, ended: Any):
    problem, _ = normal
    estimate = ended(SequentialABC(particles=200), problem, 3, 3_000).estimate
    assert estimate.weights.shape == (200,) and (estimate.weights > 0).all()
    np.testing.assert_allclose(estimate.weights.sum(), 1.0, rtol=1e-12)
    assert 1.0 <= estimate.effective_size <= 200.0


@pytest.fixture(scope="session")
def three(numpy_simulator: Any) -> dict[int, Problem]:
    """Three means with a wide prior, in units of 1 and of 1024."""

    def of(scale: int) -> Problem:
        target = Target({"m": np.full(3, float(scale))}, [level("m")], covariance=Given(np.full(3, 0.1 * scale)))
        simulator = numpy_simulator(lambda p, u: {"m": p["theta"] + 0.1 * scale * ndtri(u)}, 3)
        return Problem(simulator, Space(theta=dist.Normal(0.0, 2.0 * scale).expand([3])), target)

    return {1: of(1), 1024: of(1024)}


def test_the_adjustment_narrows_a_posterior_that_the_tolerance_widens(three: Any, ended: Any):
    """In three dimensions the tolerance stays near 1: particles are too wide, and the regression knows by how much."""
    gain = 4.0 / 4.01
    plain, adjusted = (
        ended(SequentialABC(particles=200, adjust=adjust), three[1], 0, 5_000).estimate for adjust in (False, True)
    )
    for i in range(3):
        close(adjusted, adjusted.real[:, i], gain, gain**0.5 * 0.1)
        wide = mean_and_sd(plain, plain.real[:, i])[1] / (gain**0.5 * 0.1) - 1.0
        assert wide > ERRORS / np.sqrt(2.0 * plain.effective_size)
    assert any("adjustment was kept" in note for note in adjusted.notes())


def test_units_do_not_matter(three: Any, ended: Any):
    """The particles left from earlier rounds weigh the same whatever the parameters are measured in."""
    one, other = (ended(SequentialABC(particles=200, adjust=False), three[s], 1, 4_000).estimate for s in (1, 1024))
    np.testing.assert_allclose(other.weights, one.weights, rtol=0.02)
    np.testing.assert_allclose(other.real / 1024, one.real, rtol=1e-3, atol=1e-3)
    assert one.effective_size > 100


def _ledges(parameters: dict[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    """Near 0 the moment is twice theta; farther out it is right on narrow ledges, and else far off."""
    theta = parameters["theta"][:, None]
    mean = np.where(np.abs(theta) < 1.0, 2.0 * theta, np.where(np.abs(theta) % 2.0 < 0.2, 0.0, 60.0))
    return {"m": mean + ndtri(u)}


def test_an_adjustment_that_leads_away_is_dropped(numpy_simulator: Any, ended: Any):
    """Two kinds of particles: the slope of the one sends the others over the edges of their ledges."""
    target = Target({"m": np.zeros(1)}, [level("m")], covariance=Given([1.0]))
    problem = Problem(numpy_simulator(_ledges), Space(theta=dist.Normal(0.0, 6.0)), target)
    end = ended(SequentialABC(particles=200), problem, 2, 1_500)
    assert float(end.state.gain) < -ERRORS
    assert any("adjustment was dropped" in note for note in end.estimate.notes())
    np.testing.assert_array_equal(end.estimate.real, end.state.real)


@pytest.mark.parametrize(
    ("method", "budget", "says"),
    [
        (SequentialABC(particles=500), 1_700, "too small for 500 particles"),
        (SequentialABC(particles=10), 5_000, "at least 20"),
        (SequentialABC(particles=100, check=10), 5_000, "20 or more"),
    ],
)
def test_what_cannot_work_is_refused(normal: Any, method: SequentialABC, budget: int, says: str):
    with pytest.raises(MethodError, match=says):
        rounds(method, normal[0], jr.key(0), budget=budget, ticker=Ticker(None, "", 0))


def test_the_adjustment_needs_a_covariance_before_anything_is_simulated(normal: Any):
    problem, _ = normal
    bare = problem.with_target(Target({"mean": np.ones(1)}, [level("mean")]))
    with pytest.raises(MethodError, match="needs a covariance"):
        SequentialABC().start(bare, jr.key(0), 10_000)
    two = Target({"m": np.zeros(2)}, [level("m")], covariance=Given(np.ones((2, 2))))
    with pytest.raises(TargetError, match="repeat each other"):
        SequentialABC().start(problem.with_target(two), jr.key(0), 10_000)


def test_another_distance_needs_no_covariance(three: Any, ended: Any):
    problem = three[1].with_target(Target({"m": np.array([1.0, 1.1, 0.9])}, [level("m")]))
    method = SequentialABC(particles=100, distance=BetweenSamples(wasserstein, ("level(m)",)), adjust=False)
    end = ended(method, problem, 0, 1_000)
    assert np.isfinite(float(end.state.tolerance)) and end.calls == 1_000


def test_it_says_when_the_budget_ran_out(normal: Any, ended: Any):
    problem, _ = normal
    spent = ended(SequentialABC(particles=100, adjust=False), problem, 0, 500)
    assert spent.done.code is Code.BUDGET_SPENT and spent.calls == 500
    assert "budget ran out" in spent.done.sentence
    patient = ended(SequentialABC(particles=200, adjust=False, stop=0.3), problem, 0, 5_000)
    assert patient.done.code is Code.CONVERGED and patient.calls < 5_000


# Runs that do not count


def unreliable(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    """Of ten runs one raises, one returns NaN, and one another shape."""
    luck = int(jr.bits(key, dtype=np.uint8)) % 10
    if luck == 0:
        raise ValueError("no luck")
    value = np.full(2 if luck == 1 else 1, np.nan if luck == 2 else parameters["theta"])
    return {"mean": value}


def test_excluded_runs_are_counted(normal: Any, ended: Any):
    problem = Problem(Callable(unreliable), normal[0].space, normal[0].target)
    end = ended(SequentialABC(particles=100, adjust=False), problem, 0, 800)
    tally = end.state.tally
    assert int(tally.runs) == 800 and sum(tally.reasons.values()) == tally.excluded
    assert abs(tally.excluded - 240) < ERRORS * np.sqrt(800 * 0.3 * 0.7)
    assert any("no luck" in why for why in tally.reasons)
    assert any("NaN" in why for why in tally.reasons)
    assert any("shapes" in why for why in tally.reasons)
    assert tally.sentence() in end.estimate.notes()
    assert np.isfinite(end.estimate.real).all() and np.isfinite(end.estimate.moments).all()


def always_nan(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    return {"mean": np.full(1, np.nan)}


def always_wrong(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    raise RuntimeError("broken")


@pytest.mark.parametrize("function", [always_nan, always_wrong])
def test_when_no_run_counts_that_is_an_error(normal: Any, function: Any):
    problem = Problem(Callable(function), normal[0].space, normal[0].target)
    with pytest.raises(SimulatorError, match=r"NaN|broken"):
        rounds(SequentialABC(particles=50), problem, jr.key(0), budget=2_000, ticker=Ticker(None, "", 0))


def seldom(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    return {"mean": np.full(1, parameters["theta"] if parameters["theta"] > 3.0 else np.nan)}


def test_when_too_few_runs_count_that_is_an_error(normal: Any):
    problem = Problem(Callable(seldom), normal[0].space, normal[0].target)
    with pytest.raises(MethodError, match="runs from the prior can be used, and 100 particles are wanted"):
        rounds(SequentialABC(particles=100), problem, jr.key(0), budget=2_000, ticker=Ticker(None, "", 0))
