"""A surrogate's posterior, added runs near the answer, and what the guard says at the end."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

import populace as pop
from populace.calibration.surrogate_posterior import log_likelihoods

NOISE = 0.1
METHOD = pop.SurrogatePosterior(rounds=2, regressors=(pop.GaussianProcess(starts=2),))


def seen(parameters, key):
    """A sum and a product, seen through noise."""
    a, b = parameters["a"], parameters["b"]
    return {"y": jnp.stack([a + b, a * b]) + NOISE * jr.normal(key, (2,))}


def problem(data):
    space = pop.Space(a=dist.Uniform(0.0, 2.0), b=dist.Uniform(-1.0, 1.0))
    return pop.Problem(pop.Traceable(seen), space, pop.Target({"y": np.array(data)}, [pop.level("y")]))


def exact(data):
    """Mean and standard deviation of (a, b), and the logarithm of the evidence, by a fine grid."""
    a, b = np.meshgrid(np.linspace(0.0, 2.0, 401), np.linspace(-1.0, 1.0, 401), indexing="ij")
    logs = norm.logpdf(data[0], a + b, NOISE) + norm.logpdf(data[1], a * b, NOISE)
    evidence = np.log(np.exp(logs).mean())
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    means = [(weights * one).sum() for one in (a, b)]
    spreads = [np.sqrt((weights * (one - m) ** 2).sum()) for one, m in zip((a, b), means, strict=True)]
    return np.array(means), np.array(spreads), evidence


@pytest.fixture(scope="module")
def fit():
    return pop.calibrate(problem([0.9, -0.5]), METHOD, jr.key(1), budget=300, predictive=400)


def test_the_posterior_is_the_exact_one(fit):
    means, spreads, evidence = exact([0.9, -0.5])
    draws = np.stack([fit.draws["a"], fit.draws["b"]], axis=1)
    assert (np.abs(draws.mean(0) - means) < 0.5 * spreads).all()
    assert draws.std(0) == pytest.approx(spreads, rel=0.3)
    assert abs(fit.estimate.log_evidence - evidence) < 0.5
    assert fit.calls == 300 and fit.done.code is pop.Code.CONVERGED


def test_runs_were_added_near_the_answer_and_fresh_ones_made_at_it(fit):
    notes = fit.estimate.notes()
    assert "140 over the prior and 140 added near the answer" in notes[0]
    assert fit.estimate.guarded.sound and fit.estimate.guarded.confirmation.runs == 20
    added = fit.estimate.surrogate.runs.unit[140:]
    assert (added.std(0) < 0.8 * np.sqrt(1 / 12)).all()
    assert pop.identify(fit.problem, fit, jr.key(3)).sections()
    assert fit.estimate.effective_size == pytest.approx(1 / (fit.estimate.weights**2).sum())


def test_data_that_no_run_shows_are_contradicted():
    """Sum 0.5 and product 0.9: each is reached, both together by no real numbers."""
    fit = pop.calibrate(problem([0.5, 0.9]), METHOD, jr.key(2), budget=200, predictive=20)
    codes = {verdict.code for verdict in fit.estimate.guarded.verdicts()}
    assert pop.Code.CONTRADICTED in codes or pop.Code.OUT_OF_REACH in codes
    assert not fit.estimate.guarded.sound


def test_the_likelihood_holds_what_the_surrogate_does_not_know(fit):
    """At the data's own point it is lower than with known noise alone, and never sharper."""
    surrogate, target = fit.estimate.surrogate, fit.problem.target
    real = fit.estimate.real[:5]
    said = surrogate.predict(fit.problem.space.from_real(jnp.asarray(real, jnp.float32)))
    variance = said.noise + said.epistemic
    plain = norm.logpdf(target.values, said.mean, np.sqrt(variance)).sum(1)
    assert log_likelihoods(surrogate, target, real) == pytest.approx(plain, abs=0.5)  # moments hardly correlate here


def test_too_small_a_budget_is_refused():
    with pytest.raises(pop.MethodError, match="too small for 2 parameters"):
        pop.calibrate(problem([0.9, -0.5]), METHOD, jr.key(0), budget=100)


def test_other_rules_choose_other_runs_and_a_bandit_says_who_did(fit):
    """A few draws each; with one rule nothing is said of it."""
    bandit = pop.Bandit((pop.ShareOfDoubt(), pop.Truncated(), pop.ExpectedIntegratedVariance(points=40, functions=60)))
    method = pop.SurrogatePosterior(2, (pop.Polynomial(degree=2),), bandit)
    found = pop.calibrate(fit.problem, method, jr.key(1), budget=180, predictive=20)
    said = next(note for note in found.estimate.notes() if note.startswith("Runs by acquisition"))
    counts = [int(words.split()[1]) for words in said.split(": ")[1].split(", ")]
    assert sum(counts) == 80 and "ShareOfDoubt" in said and "none known" not in said
    means, spreads, _ = exact([0.9, -0.5])
    draws = np.stack([found.draws["a"], found.draws["b"]], axis=1)
    assert (np.abs(draws.mean(0) - means) < 1.0 * spreads).all()
    assert not any("acquisition" in note for note in fit.estimate.notes())


def test_a_rule_of_another_question_is_refused():
    method = pop.SurrogatePosterior(acquisition=pop.Thompson())
    with pytest.raises(pop.MethodError, match="Thompson does not look for a posterior"):
        pop.calibrate(problem([0.9, -0.5]), method, jr.key(0), budget=300)
