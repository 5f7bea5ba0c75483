"""Descent on a model's own gradients: it finds what is known, chooses by audit, and mends what bias it had."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from jaxtyping import Array, Float

import populace as pop

PEOPLE = 400


class Town(pop.Model):
    """Two groups that fall ill at rates of their own and recover."""

    rates: Float[Array, " groups"] = pop.parameter(domain=pop.positive)
    recovery: Float[Array, ""] = pop.parameter(domain=pop.unit)

    def init(self, draw: pop.Draw) -> Array:
        return jnp.zeros((self.rates.size, PEOPLE))

    def step(self, draw: pop.Draw, ill: Array) -> Array:
        p = jnp.broadcast_to(-jnp.expm1(-self.rates)[:, None], ill.shape)
        fell = draw.bernoulli("fall", p, where=1 - ill)
        return ill + fell - draw.bernoulli("recover", self.recovery, where=ill)

    def observe(self, ill: Array) -> dict[str, Array]:
        return {"ill": ill.sum(1)}


def expected(rates: np.ndarray, recovery: float, steps: int) -> np.ndarray:
    """The expected number of ill, (steps, groups)."""
    level, rows = np.zeros(rates.size), []
    for _ in range(steps):
        level = level + (1 - level) * -np.expm1(-rates) - level * recovery
        rows.append(level * PEOPLE)
    return np.array(rows)


def problem(groups: int, steps: int = 8) -> pop.Problem:
    """Data are the expected numbers themselves, so that the minimum is the truth."""
    rates = np.linspace(0.1, 0.3, groups)
    data = expected(rates, 0.2, steps)
    target = pop.Target({"ill": data}, [pop.moment("level", lambda ill: ill.reshape(-1), of="ill")])
    target = target.with_covariance(np.diag(0.25 * data.reshape(-1)), "half of Poisson's")
    space = pop.Space(rates=dist.LogUniform(0.02, 1.0).expand([groups]), recovery=dist.Uniform(0.05, 0.6))
    model = Town(rates=jnp.asarray(rates), recovery=jnp.float32(0.2))
    return pop.Problem(pop.Simulation(model, steps), space, target)


METHOD = pop.GradientDescent(pop.Pathwise(recompute=None), starts=2, judged=60)


@pytest.fixture(scope="module")
def fit():
    return pop.calibrate(problem(2), METHOD, jr.key(1), budget=16_000, predictive=20)


def test_it_finds_the_truth_within_its_errors(fit):
    truth = {"rates": jnp.array([[0.1, 0.3]]), "recovery": jnp.array([0.2])}
    real = np.asarray(fit.problem.space.to_real(truth))[0]
    errors = np.sqrt(np.diag(fit.estimate.covariance))
    assert (np.abs(fit.estimate.real - real) < 4 * errors).all()
    assert (errors < 0.5).all()


def test_it_says_what_it_did(fit):
    notes = " ".join(fit.estimate.notes())
    assert "Gradients by Pathwise(StraightThrough), as asked" in notes
    assert "Judged without the bias of its gradients" in notes


def test_differences_mend_a_biased_end():
    """At a temperature of 5 the relaxation's derivative is far off; the end is the truth all the same."""
    kind = pop.GumbelSoftmax(5.0)
    method = pop.GradientDescent(pop.Pathwise((kind,), None), starts=1, judged=60)
    found = pop.calibrate(problem(2), method, jr.key(2), budget=12_000, predictive=20)
    truth = np.asarray(found.problem.space.to_real({"rates": jnp.array([[0.1, 0.3]]), "recovery": jnp.array([0.2])}))[0]
    errors = np.sqrt(np.diag(found.estimate.covariance))
    assert (np.abs(found.estimate.real - truth) < 4 * errors).all()


def test_the_audit_chooses_when_nothing_is_said():
    method = pop.GradientDescent(starts=1, judged=40, audited=64)
    found = pop.calibrate(problem(1, steps=4), method, jr.key(3), budget=30_000, predictive=20)
    assert "which an audit on this problem chose" in found.estimate.notes()[0]
    low, _, high = found.interval("recovery")
    assert low < 0.2 < high


def test_many_parameters_are_not_judged_and_have_no_covariance():
    method = pop.GradientDescent(pop.Pathwise(recompute=None), optimiser=optax.adam(0.2, b1=0.5, b2=0.9), starts=1)
    found = pop.calibrate(problem(40, steps=4), method, jr.key(4), budget=2_500, predictive=20)
    assert not np.isfinite(found.estimate.covariance).any()
    assert any("no covariance" in note for note in found.estimate.notes())
    truth = np.linspace(0.1, 0.3, 40)
    rates = np.asarray(found.problem.space.from_real(jnp.asarray(found.estimate.real)[None])["rates"])[0]
    assert np.corrcoef(truth, rates)[0, 1] > 0.9


def test_it_goes_on_where_it_stopped(tmp_path, monkeypatch):
    whole = pop.calibrate(problem(2), METHOD, jr.key(1), budget=9_000, predictive=20, folder=tmp_path / "whole")
    told, ticks = type(METHOD).tell, []

    def stop(self, task, state, ask, answer):
        ticks.append(1)
        if len(ticks) == 20:
            raise KeyboardInterrupt
        return told(self, task, state, ask, answer)

    monkeypatch.setattr(type(METHOD), "tell", stop)
    with pytest.raises(KeyboardInterrupt):
        pop.calibrate(problem(2), METHOD, jr.key(1), budget=9_000, predictive=20, folder=tmp_path / "cut")
    monkeypatch.undo()
    again = pop.calibrate(problem(2), METHOD, jr.key(1), budget=9_000, predictive=20, folder=tmp_path / "cut")
    np.testing.assert_array_equal(again.estimate.real, whole.estimate.real)
    np.testing.assert_array_equal(again.moments, whole.moments)


def test_what_it_cannot_do_is_said():
    with pytest.raises(pop.MethodError, match="too small for"):
        pop.calibrate(problem(2), METHOD, jr.key(1), budget=500, predictive=20)
    black_box = pop.Problem(
        lambda parameters, key: {"x": np.ones(3)},
        pop.Space(a=dist.Uniform(0, 1)),
        pop.Target({"x": np.arange(3.0)}, [pop.level("x")]).with_covariance(np.eye(3), "given"),
    )
    with pytest.raises(pop.GradientError, match="DifferencesDescent"):
        pop.calibrate(black_box, METHOD, jr.key(1), budget=10_000)


def test_one_compilation_serves_all_rounds():
    """However many starts are left, a round's function is traced once."""
    traced = []

    class Counted(pop.Pathwise):
        def one(self, expected, at, key):
            traced.append(1)
            return super().one(expected, at, key)

    method = pop.GradientDescent(Counted(recompute=None), starts=2, judged=40)
    pop.calibrate(problem(2), method, jr.key(1), budget=6_000, predictive=20)
    assert len(traced) <= 3
