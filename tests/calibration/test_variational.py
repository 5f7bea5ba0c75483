"""Variational fits where everything is known: a Gaussian posterior, its evidence, and the gradient on the way there."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array, Float

import populace as pop
from populace.calibration.pareto import pareto_shape
from populace.testing.methods import check_method

DATA = np.array([1.2, -0.8])
SPREAD = np.array([0.5, 0.8])


class Pair(pop.Model):
    """Two numbers seen with noise."""

    theta: Float[Array, " two"] = pop.parameter()

    def init(self, draw: pop.Draw) -> Array:
        return jnp.zeros(2)

    def step(self, draw: pop.Draw, state: Array) -> Array:
        return draw.normal("noise", self.theta, jnp.full(2, 0.3))

    def observe(self, state: Array) -> dict[str, Array]:
        return {"x": state}


def problem(simulator=None) -> pop.Problem:
    """Prior N(0, 1), likelihood N(theta, SPREAD^2) of the expected moments."""
    target = pop.Target({"x": DATA[None]}, [pop.moment("level", lambda x: x[-1], of="x")])
    target = target.with_covariance(np.diag(SPREAD**2), "given")
    model = pop.Simulation(Pair(theta=jnp.zeros(2)), 1) if simulator is None else simulator
    return pop.Problem(model, pop.Space(theta=dist.Normal(0.0, 1.0).expand([2])), target)


def exact(spread: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and spread of the posterior, and the log of E_prior[exp(-loss)]."""
    variance = 1.0 / (1.0 + spread**-2)
    evidence = 0.5 * np.log(spread**2 / (1.0 + spread**2)) - 0.5 * DATA**2 / (1.0 + spread**2)
    return variance * DATA / spread**2, np.sqrt(variance), float(evidence.sum())


def agrees(fit: pop.Fit, spread: np.ndarray, tolerance: float) -> None:
    mean, sd, _ = exact(spread)
    draws = fit.estimate.real
    assert (np.abs(draws.mean(0) - mean) < tolerance * sd).all(), (draws.mean(0), mean)
    assert (np.abs(draws.std(0) / sd - 1.0) < tolerance).all(), (draws.std(0), sd)


@pytest.fixture(scope="module")
def fit():
    method = pop.Variational(estimator=pop.Pathwise((), None), family=pop.GaussianFamily(), draws=16, replicates=2)
    return pop.calibrate(problem(), method, jr.key(1), budget=160_000, predictive=20)


def test_a_gaussian_posterior_is_found(fit):
    assert fit.trusted
    agrees(fit, SPREAD, 0.1)
    assert "Pareto" in " ".join(fit.estimate.notes())


def test_the_bound_at_the_end_is_the_evidence(fit):
    (said,) = (note for note in fit.estimate.notes() if note.startswith("The log-evidence"))
    bound, error = float(said.split()[5]), float(said.split("error ")[1].split(")")[0])
    assert abs(bound - exact(SPREAD)[2]) < 4 * error + 0.02 and error < 0.2


def test_a_flow_finds_it_too_by_losses_of_a_run():
    """E (x - y)^2 / 2 s^2 is the same loss up to a constant: the variance of x."""
    scale = jnp.asarray(SPREAD, jnp.float32)
    loss = pop.RunLoss(lambda seen: (((seen["x"][-1] - jnp.asarray(DATA)) / scale) ** 2).sum() / 2.0)
    method = pop.Variational(loss, pop.Pathwise((), None), pop.FlowFamily(layers=2, width=8), draws=16, replicates=2)
    found = pop.calibrate(problem(), method, jr.key(2), budget=30_000, predictive=20)
    agrees(found, SPREAD, 0.15)


def test_the_weight_of_a_loss_is_its_rate():
    scale = jnp.asarray(SPREAD, jnp.float32)
    loss = pop.RunLoss(lambda seen: (((seen["x"][-1] - jnp.asarray(DATA)) / scale) ** 2).sum() / 2.0, weight=4.0)
    method = pop.Variational(loss, pop.Pathwise((), None), pop.GaussianFamily(), draws=16, replicates=2)
    agrees(pop.calibrate(problem(), method, jr.key(3), budget=60_000, predictive=20), SPREAD / 2.0, 0.12)


def seen(parameters, key):
    return {"x": (parameters["theta"] + 0.3 * jr.normal(key, (2,)))[None]}


def test_losses_alone_do_for_a_black_box():
    method = pop.Variational(family=pop.GaussianFamily(), draws=32, replicates=3)
    found = pop.calibrate(problem(pop.Traceable(seen)), method, jr.key(4), budget=120_000, predictive=20)
    assert "losses alone" in found.estimate.notes()[0]
    agrees(found, SPREAD, 0.15)


@pytest.mark.parametrize("way", ["along", "scored"])
def test_the_gradient_of_the_bound(way):
    """At q = N(0, 1), the prior: dF / d mean = -y / s^2 and dF / d sd = 1 / s^2, by each number."""
    from populace.calibration.gradients_asked import Unscaled
    from populace.calibration.variational import _gradient

    task, family = problem(), pop.GaussianFamily()
    parts = eqx.partition(family.first(2, jr.key(0)), eqx.is_inexact_array)
    through = Unscaled(jnp.zeros(2), jnp.ones(2), task.space)

    def one(key: Array) -> Array:
        v, _ = eqx.combine(*parts).sample_and_log_prob(key, (16,))
        gap = (v - DATA) / SPREAD**2
        losses = 0.5 * ((v - DATA) ** 2 / SPREAD**2).sum(1)
        slopes = gap if way == "along" else None
        _, gradient = _gradient(parts, key, through, losses, jnp.ones(16, bool), slopes)
        return gradient.bijection.loc

    found = np.asarray(jax.vmap(one)(jr.split(jr.key(5), 2_000)), np.float64)
    error = found.std(0, ddof=1) / np.sqrt(len(found))
    assert (np.abs(found.mean(0) + DATA / SPREAD**2) < 4 * error).all()
    assert (error < 0.1).all()


def test_the_laws_of_a_method():
    method = pop.Variational(estimator=pop.LossesOnly(), family=pop.GaussianFamily(), draws=8, replicates=3)
    check_method(method, problem(pop.Traceable(seen)), jr.key(6), budget=2_000)


def test_the_pareto_shape_of_known_tails():
    """exp(k E), E exponential, has a Pareto tail of shape k."""
    draws = np.asarray(jr.exponential(jr.key(7), (4_000,)), np.float64)
    for shape in (0.2, 1.0):
        assert pareto_shape(shape * draws) == pytest.approx(shape, abs=0.25)
    assert pareto_shape(np.zeros(100)) == -np.inf


def test_what_cannot_be_done_is_said():
    with pytest.raises(pop.MethodError, match="too small for 10 rounds"):
        pop.calibrate(problem(), pop.Variational(), jr.key(1), budget=500)
    with pytest.raises(pop.MethodError, match="two draws or more"):
        pop.calibrate(problem(), pop.Variational(draws=1), jr.key(1), budget=5_000)
