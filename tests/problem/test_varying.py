"""Varying parameters: the inner model's own runs, curves through their knots, and fits that find what varied."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline

import populace as pop
from populace.problem.varying import linked, unlinked
from populace.testing.models import check_model
from populace.zoo.random_walk import RandomWalk
from populace.zoo.sir import SIR


class Towns(pop.Model):
    """People of several towns fall ill at their town's rate, and are well again next day."""

    people: int = eqx.field(static=True)
    rate: Float[Array, " towns"] = pop.parameter(domain=pop.positive)

    def init(self, draw: pop.Draw) -> Array:
        return jnp.zeros(self.rate.size)

    def step(self, draw: pop.Draw, state: Array) -> Array:
        return draw.binomial("ill", jnp.full(self.rate.size, float(self.people)), -jnp.expm1(-self.rate))

    def observe(self, state: Array) -> dict[str, Array]:
        return {"ill": state}


class Mixed(pop.Model):
    """A town of 20,000 who all meet: susceptible, infected, and who was caught today."""

    beta: Float[Array, ""] = pop.parameter(domain=pop.positive)

    def init(self, draw: pop.Draw) -> Array:
        return jnp.array([19_800.0, 200.0, 0.0])

    def step(self, draw: pop.Draw, state: Array) -> Array:
        caught = draw.binomial("infect", state[0], -jnp.expm1(-self.beta * state[1] / 20_000.0), size=())
        healed = draw.binomial("recover", state[1], 0.2, size=())
        return jnp.stack([state[0] - caught, state[1] + caught - healed, caught])

    def observe(self, state: Array) -> dict[str, Array]:
        return {"caught": state[2]}


TOWN = pop.small_world(jr.key(0), 60, degree=6, rewire=0.2)


def test_a_constant_curve_changes_nothing():
    level = jnp.float32(-2.3)
    model = SIR(TOWN, beta=jnp.exp(level), gamma=0.2, seeded=0.1)
    varying = pop.Varying(model, {"beta": pop.Steps((), jnp.asarray([level]))})
    one, other = (pop.simulate(m, jr.key(1), 15).observations["infected"] for m in (model, varying))
    np.testing.assert_array_equal(one, other)
    assert {"model.gamma", "curves.beta.values"} <= set(pop.parameters(varying))


def test_the_laws_of_a_model():
    model = SIR(TOWN, beta=0.1, gamma=0.2, seeded=0.1)
    check_model(pop.Varying(model, {"beta": pop.Walk(0.0, jnp.zeros(5), every=2, centre=-2.0)}), jr.key(1))


def test_a_measure_changes_the_rate_from_its_date_on():
    model = Towns(5_000, rate=jnp.array([0.1]))
    curve = pop.Steps((3,), unlinked(pop.positive, jnp.array([[0.1], [0.4]])))
    ill = np.asarray(pop.simulate(pop.Varying(model, {"rate": curve}), jr.key(2), 5).observations["ill"])[:, 0]
    share = -np.expm1(-np.array([0.1, 0.1, 0.4, 0.4, 0.4]))
    assert (np.abs(ill - 5_000 * share) < 4 * np.sqrt(5_000 * share * (1 - share))).all()


def test_a_spline_is_the_natural_one_and_straight_beyond():
    knots, values = (0.0, 3.0, 7.0, 12.0), np.array([0.0, 1.0, -1.0, 0.5])
    curve = pop.Spline(knots, values, centre=2.0, width=0.5)
    exact = CubicSpline(knots, values, bc_type="natural")
    times = np.arange(13)
    found = jax.vmap(curve.at)(jnp.asarray(times))
    np.testing.assert_allclose(found, 2.0 + 0.5 * exact(times), atol=1e-5)
    beyond = float(curve.at(jnp.int32(15)) - curve.at(jnp.int32(12))) / 3.0
    assert beyond == pytest.approx(0.5 * float(exact(12.0, 1)), abs=1e-4)


def test_a_walk_sums_its_increments_and_then_rests():
    curve = pop.Walk(1.0, jnp.array([1.0, -2.0, 0.5]), step=0.1, every=2, centre=3.0, width=2.0)
    found = [float(curve.at(jnp.int32(t))) for t in (0, 1, 2, 4, 6, 9)]
    assert found == pytest.approx([5.0, 5.0, 5.1, 4.9, 4.95, 4.95])


def test_a_walk_that_is_drawn_back_returns():
    curve = pop.Walk(1.0, jnp.array([1.0, 0.0, 0.0]), step=0.5, kept=0.5)
    found = [float(curve.at(jnp.int32(t))) for t in range(5)]
    assert found == pytest.approx([1.0, 1.0, 0.5, 0.25, 0.25])


@pytest.mark.parametrize("domain", [pop.positive, pop.unit, pop.real, pop.interval(-2.0, 5.0)], ids=str)
def test_links_stay_in_the_domain_and_come_back(domain):
    real = jnp.array([-3.0, 0.0, 2.0])
    value = linked(domain, real)
    assert domain.contains(np.asarray(value))
    np.testing.assert_allclose(unlinked(domain, value), real, atol=1e-4)


def test_a_network_gives_a_value_a_unit_a_time_or_both():
    rng = np.random.default_rng(0)
    assert pop.Neural.of(rng.normal(size=(7, 2))).at(jnp.int32(3)).shape == (7,)
    assert pop.Neural.of(rng.normal(size=(9, 2)), over_time=True).at(jnp.int32(3)).shape == ()
    both = pop.Neural.of(rng.normal(size=(9, 7, 2)), over_time=True)
    assert both.at(jnp.int32(3)).shape == (7,) and bool((both.at(jnp.int32(3)) != both.at(jnp.int32(4))).all())
    draws = jax.vmap(lambda w: eqx.tree_at(lambda c: c.weights, both, w).at(jnp.int32(0)))(
        jr.normal(jr.key(0), (500, both.weights.size))
    )
    assert 0.5 < float(draws.std()) < 2.0


def test_the_gradient_of_a_curve_is_the_closed_form():
    """E[x] = sum over t of 2 p(t) - 1, with two steps in the first period and three in the second; a derivative of
    each value is 2 p (1 - p) times its period's steps, which straight-through has exactly.
    """
    values = jnp.array([-0.5, 1.0])
    varying = pop.Varying(RandomWalk(walkers=20), {"p": pop.Steps((3,), values)})
    loss = pop.ExpectedLoss(pop.Simulation(varying, 5), lambda seen: seen["position"][-1])
    sample = pop.Pathwise(recompute=None).sample(loss, {"curves.p.values": values}, jr.split(jr.key(5), 2))
    p = 1.0 / (1.0 + np.exp(-np.asarray(values)))
    exact = np.array([2.0, 3.0]) * 2.0 * p * (1.0 - p)
    np.testing.assert_allclose(sample.gradients["curves.p.values"], np.stack([exact, exact]), rtol=1e-5)


def test_the_rates_before_and_after_a_measure_are_found_within_errors():
    """An epidemic in a mixed town whose rate falls from .5 to .15 on day 12."""
    truth = np.log([0.5, 0.15])
    varying = pop.Varying(Mixed(0.5), {"beta": pop.Steps((12,), jnp.zeros(2), centre=-1.5, width=0.7)})
    at = pop.bind(varying, {"curves.beta.values": jnp.asarray((truth + 1.5) / 0.7, jnp.float32)})
    data = np.asarray(pop.ensemble(at, jr.key(6), 24, runs=1).observations["caught"])[0, 0]
    weeks = pop.moment("weekly", lambda caught: caught.reshape(6, 4).sum(1), of="caught")
    problem = pop.Problem(
        pop.Simulation(varying, 24), pop.Space(varying.priors()), pop.Target({"caught": data}, [weeks])
    )
    method = pop.GradientDescent(pop.Pathwise(recompute=None), starts=1, judged=60)
    fit = pop.calibrate(problem, method, jr.key(7), budget=3_000, predictive=2)
    found, errors = np.asarray(fit.estimate.real), np.sqrt(np.diag(fit.estimate.covariance))
    assert (errors < 0.3).all() and (np.abs(found - (truth + 1.5) / 0.7) < 4 * errors).all()


def test_neural_calibration_finds_how_covariates_make_the_rate():
    """Towns fall ill at exp(-2 + x1 - x2 / 2): the fit's rates are near that, also in towns it did not see."""
    covariates = np.random.default_rng(1).normal(size=(60, 2))
    real = -2.0 + 0.8 * covariates[:, 0] - 0.4 * covariates[:, 1]
    seen = np.arange(60) < 40
    model = Towns(400, rate=jnp.asarray(np.exp(real[seen]), jnp.float32))
    data = np.asarray(pop.ensemble(model, jr.key(3), 1, runs=20).observations["ill"])[0].mean(0)
    varying = pop.Varying(model, {"rate": pop.Neural.of(covariates[seen], hidden=8, centre=-2.0)})
    target = pop.Target({"ill": data}, [pop.moment("ill", lambda ill: ill[0], of="ill")])
    problem = pop.Problem(
        pop.Simulation(varying, 1),
        pop.Space(varying.priors()),
        target.with_covariance(np.diag(data[0] + 1.0), "Poisson"),
    )
    method = pop.GradientDescent(pop.Pathwise(recompute=None), optax.adam(0.05), starts=1, replicates=4)
    fit = pop.calibrate(problem, method, jr.key(4), budget=6_000, predictive=2)
    weights = np.asarray(fit.problem.space.from_real(jnp.asarray(fit.estimate.real)[None])["curves.rate.weights"])[0]
    whole = eqx.tree_at(lambda c: c.weights, pop.Neural.of(covariates, hidden=8, centre=-2.0), jnp.asarray(weights))
    error = np.asarray(whole.at(jnp.int32(1))) - real
    assert np.abs(error[seen]).mean() < 0.15 and np.abs(error[~seen]).mean() < 0.3


def test_what_does_not_fit_is_said():
    model = SIR(TOWN, beta=0.1, gamma=0.2)
    with pytest.raises(pop.UnknownParameterError, match="did you mean 'beta'"):
        pop.Varying(model, {"bet": pop.Steps((), jnp.zeros(1))})
    with pytest.raises(pop.ParameterError, match=r"shape \(2,\), the parameter \(\)"):
        pop.Varying(model, {"beta": pop.Steps((), jnp.zeros((1, 2)))})
    with pytest.raises(pop.ModelError, match="rise from one to the next"):
        pop.Steps((4, 2), jnp.zeros(3))
    with pytest.raises(pop.ParameterError, match="3 values"):
        pop.Steps((2, 4), jnp.zeros(2))
    with pytest.raises(pop.ParameterError, match="weights"):
        pop.Neural(jnp.zeros((3, 2)), jnp.zeros(4))


def test_priors_are_standard_normal_and_bind():
    model = pop.Varying(SIR(TOWN, beta=0.1, gamma=0.2), {"beta": pop.Spline((0.0, 9.0), jnp.zeros(2), centre=-2.0)})
    priors = model.priors()
    assert set(priors) == {"curves.beta.values"} and isinstance(priors["curves.beta.values"].base_dist, dist.Normal)
    bound = pop.bind(model, {"curves.beta.values": jnp.array([0.0, 1.0])})
    assert float(bound.values(jnp.int32(9))["beta"]) == pytest.approx(np.exp(-1.0), rel=1e-4)
