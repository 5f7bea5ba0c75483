"""Likelihoods from runs, against closed forms: a Gaussian's density, Kalman's filter, exact posteriors."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array, Float

from populace._errors import MethodError, TargetError
from populace.calibration.calibrate import calibrate
from populace.calibration.importance_sampling import ImportanceSampling
from populace.calibration.kernel_likelihood import KernelLikelihood
from populace.calibration.particle_filter import ParticleFilter
from populace.calibration.synthetic_likelihood import SyntheticLikelihood, unbiased_log_density
from populace.core.executor import Ticker
from populace.core.model import Model, parameter
from populace.problem.moments import autocorrelation, mean
from populace.problem.observation import Delay, MeasurementError
from populace.problem.problem import Problem
from populace.problem.simulators import Callable, Observed, Simulation
from populace.problem.space import Space
from populace.problem.target import Target

SHOCK, ERROR = 0.6, 0.5


class Hidden(Model):
    """An autoregression of one number, started at 0."""

    phi: Float[Array, ""] = parameter()

    def init(self, draw: Any) -> Any:
        return jnp.float32(0.0)

    def step(self, draw: Any, state: Any) -> Any:
        return self.phi * state + draw.normal("shock", 0.0, SHOCK, size=())

    def observe(self, state: Any) -> dict[str, Array]:
        return {"x": state}


def _kalman(phi: float, data: np.ma.MaskedArray) -> float:
    """The log-likelihood of numbers recorded with error; masked ones are not known."""
    m, v, level = 0.0, 0.0, 0.0
    for value, missing in zip(data.data, np.ma.getmaskarray(data), strict=True):
        m, v = phi * m, phi**2 * v + SHOCK**2
        if missing:
            continue
        s = v + ERROR**2
        level += -0.5 * (value - m) ** 2 / s - 0.5 * np.log(2.0 * np.pi * s)
        m, v = m + v / s * (value - m), v * ERROR**2 / s
    return level


@pytest.fixture(scope="module")
def recorded() -> Problem:
    rng = np.random.default_rng(0)
    x, seen = 0.0, []
    for _ in range(30):
        x = 0.7 * x + SHOCK * rng.standard_normal()
        seen.append(x + ERROR * rng.standard_normal())
    data = np.ma.masked_array(np.array(seen), mask=np.arange(30) == 12)
    simulator = Observed(Simulation(Hidden(jnp.float32(0.5)), 30), {"error": MeasurementError("x", jnp.float32(ERROR))})
    return Problem(simulator, Space(phi=dist.Uniform(-1.0, 1.0)), Target({"x": data}, [mean("x")]))


def test_a_filter_s_likelihood_is_kalman_s(recorded: Problem):
    points = np.array([-0.3, 0.2, 0.6, 0.9])
    data = recorded.target.data["x"]
    masked = np.ma.masked_array(data.values, mask=~data.present)
    exact = np.array([_kalman(phi, masked) for phi in points])
    repeats = 60
    real = np.repeat(np.asarray(recorded.space.to_real({"phi": jnp.asarray(points)})), repeats, axis=0)
    found = ParticleFilter(60).weigh(recorded, real, jr.key(4), Ticker(None, "", 1)).levels.reshape(4, repeats)
    ratio = np.exp(found - exact[:, None])  # the likelihood, not its logarithm, is unbiased
    assert np.all(np.abs(ratio.mean(1) - 1.0) < 4.0 * ratio.std(1, ddof=1) / np.sqrt(repeats))
    assert ratio.std(1).max() < 2.0


def test_a_filter_s_posterior_is_the_exact_one(recorded: Problem):
    fit = calibrate(recorded, ImportanceSampling(ParticleFilter(40), rounds=3), jr.key(1), budget=20_000, predictive=20)
    data = recorded.target.data["x"]
    masked = np.ma.masked_array(data.values, mask=~data.present)
    grid = np.linspace(-0.999, 0.999, 400)
    levels = np.array([_kalman(phi, masked) for phi in grid])
    weights = np.exp(levels - levels.max())
    weights /= weights.sum()
    centre = float(weights @ grid)
    spread = float(np.sqrt(weights @ (grid - centre) ** 2))
    draws = np.asarray(fit.problem.space.from_real(fit.estimate.draws(fit.problem, jr.key(0), 2_000))["phi"])
    assert fit.estimate.effective_size > 50
    assert abs(draws.mean() - centre) < 5.0 * spread / np.sqrt(fit.estimate.effective_size)
    assert 0.7 * spread < draws.std() < 1.4 * spread
    assert not any("luck" in note for note in fit.estimate.notes())


def test_a_filter_wants_a_law_of_recording(recorded: Problem):
    space, target = recorded.space, recorded.target
    bare = Problem(Simulation(Hidden(jnp.float32(0.5)), 30), space, target)
    with pytest.raises(MethodError, match="noise of a known law"):
        ParticleFilter().check(bare)
    late = Observed(Simulation(Hidden(jnp.float32(0.5)), 30), {"late": Delay("x", jnp.array([0.5, 0.5]))})
    with pytest.raises(MethodError, match="Delay has no density"):
        ParticleFilter().check(Problem(late, space, target))
    short = Observed(Simulation(Hidden(jnp.float32(0.5)), 20), {"error": MeasurementError("x", jnp.float32(1.0))})
    with pytest.raises(TargetError, match="30 times, and the simulation records 20"):
        ParticleFilter().check(Problem(short, space, target))


def test_the_density_is_unbiased():
    rng = np.random.default_rng(1)
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    at = np.array([0.7, -1.0])
    gap = at - np.array([0.2, 0.1])
    exact = np.exp(-0.5 * gap @ np.linalg.solve(covariance, gap)) / (2.0 * np.pi * np.sqrt(np.linalg.det(covariance)))
    samples = rng.multivariate_normal([0.2, 0.1], covariance, size=(20_000, 8))
    found = np.exp([unbiased_log_density(sample, at) for sample in samples])
    assert abs(found.mean() - exact) < 4.0 * found.std() / np.sqrt(found.size)
    far = np.array([9.0, 9.0])
    assert unbiased_log_density(samples[0], far) == -np.inf


def test_a_synthetic_posterior_is_the_exact_one(normal: Any):
    problem, case = normal
    fit = calibrate(
        problem, ImportanceSampling(SyntheticLikelihood(30), rounds=3), jr.key(2), budget=20_000, predictive=20
    )
    draws = fit.estimate.draws(problem, jr.key(0), 2_000)[:, 0]
    effective = fit.estimate.effective_size
    assert effective > 80
    assert abs(draws.mean() - case.mean) < 5.0 * case.sd / np.sqrt(effective)
    assert 0.7 * case.sd < draws.std() < 1.4 * case.sd
    assert not any("contradict" in note for note in fit.estimate.notes())


def _series(parameters: dict[str, Any], key: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    shocks, x, path = rng.standard_normal(200), 0.0, []
    for shock in shocks:
        x = parameters.get("phi", 0.0) * x + shock
        path.append(parameters["level"] + x)
    return {"x": np.array(path)}


def test_a_kernel_likelihood_finds_the_level_and_says_when_times_remember():
    data = _series({"level": 1.0, "phi": 0.0}, jr.key(5))["x"]
    space = Space(level=dist.Uniform(-2.0, 4.0))
    problem = Problem(Callable(_series), space, Target({"x": data}, [mean("x"), autocorrelation("x", 1)]))
    method = ImportanceSampling(KernelLikelihood(2), rounds=3)
    fit = calibrate(problem, method, jr.key(2), budget=300, predictive=10)
    draws = np.asarray(space.from_real(fit.estimate.draws(problem, jr.key(0), 500))["level"])
    assert abs(draws.mean() - data.mean()) < 0.2
    assert not any("contradict" in note for note in fit.estimate.notes())
    moving = Problem(Callable(_remembering), space, problem.target)
    said = calibrate(moving, method, jr.key(2), budget=300, predictive=10).estimate.notes()
    assert any("contradict" in note for note in said)


def _remembering(parameters: dict[str, Any], key: Any) -> dict[str, np.ndarray]:
    return _series({**parameters, "phi": 0.6}, key)


def test_too_few_runs_are_refused(normal: Any):
    problem, _ = normal
    with pytest.raises(MethodError, match="do not give the covariance of 1 moments"):
        SyntheticLikelihood(4).check(problem)
    with pytest.raises(MethodError, match="a point costs 50 runs"):
        calibrate(problem, ImportanceSampling(SyntheticLikelihood()), jr.key(0), budget=5_000)


def test_luck_is_named(normal: Any):
    """With seven runs of which half are excluded there are hardly any left, and estimates jump about."""
    problem, _ = normal
    shaky = eqx.tree_at(lambda m: m.likelihood, ImportanceSampling(SyntheticLikelihood(30), rounds=2), _Shaky())
    notes = calibrate(problem, shaky, jr.key(0), budget=200, predictive=5).estimate.notes()
    assert any("luck chooses" in note for note in notes)
    assert any("Few points have the weight" in note for note in notes)


class _Shaky(SyntheticLikelihood):
    """A likelihood of pure noise."""

    def runs(self) -> int:
        return 1

    def check(self, task: Problem) -> None:
        return None

    def weigh(self, task: Problem, real: np.ndarray, key: Any, ticker: Ticker) -> Any:
        from populace.calibration.run_likelihood import Weighed

        noise = 5.0 * np.asarray(jr.normal(key, (len(real),)), np.float64)
        return Weighed(noise, np.full(len(real), np.nan), np.zeros(len(real), bool))
