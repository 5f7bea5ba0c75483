"""A posterior by a learned ratio, where the exact one is known."""

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import ndtri
from scipy.stats import truncnorm

import populace as pop
from populace.calibration import neural_ratio
from populace.calibration.neural_likelihood import Inputs

SMALL = pop.ContrastiveRatio(contrasts=4, members=2, width=16, depth=2, steps=200)
NOISE = 0.3
DATA = np.array([0.5, 0.4, 0.8])
SPREAD = NOISE / np.sqrt(3.0)


def seen(parameters, u):
    """Three looks at `a` through noise; `b` does nothing."""
    return {"y": parameters["a"][:, None] + NOISE * ndtri(u)}


def problem(simulator, data=DATA):
    target = pop.Target({"y": data}, [pop.level("y")])
    return pop.Problem(simulator(seen, 3), pop.Space(a=dist.Uniform(-2.0, 2.0), b=dist.Normal(1.0, 2.0)), target)


def exact(data=DATA):
    mean = data.mean()
    return truncnorm((-2.0 - mean) / SPREAD, (2.0 - mean) / SPREAD, mean, SPREAD)


@pytest.fixture(scope="module", params=[1, 2])
def fit(request, numpy_simulator):
    method = pop.NeuralRatio(SMALL, rounds=request.param)
    return pop.calibrate(problem(numpy_simulator), method, jr.key(1), budget=1_000, predictive=300)


def test_the_posterior_is_the_exact_one(fit):
    a, b = fit.draws["a"], fit.draws["b"]
    assert abs(a.mean() - exact().mean()) < 0.3 * exact().std()
    assert a.std() == pytest.approx(exact().std(), rel=0.25)
    assert abs(b.mean() - 1.0) < 0.5 and b.std() == pytest.approx(2.0, rel=0.2)
    assert fit.done.code is pop.Code.CONVERGED and fit.calls == 1_000
    assert fit.problem.target.covariance is None


def test_what_it_rests_on_is_said(fit):
    first, drawn, *others = fit.estimate.notes()
    assert "learned from 1000 runs" in first and "independent ones" in drawn
    assert any("Runs from the prior come as near to the data" in note for note in others)
    assert not any("sums to" in note for note in others)


def test_other_data_take_runs_from_the_whole_prior(fit, numpy_simulator):
    other = problem(numpy_simulator, DATA - 1.0)
    if fit.estimate.anywhere:
        draws = other.space.from_real(fit.estimate.draws(other, jr.key(2), 500))["a"]
        assert abs(float(draws.mean()) - exact(DATA - 1.0).mean()) < 0.4 * exact().std()
    else:
        with pytest.raises(pop.MethodError, match="learned near other data: fit anew, or with rounds=1"):
            fit.estimate.draws(other, jr.key(2), 10)


def test_chains_and_importance_draws_are_of_one_posterior(fit, monkeypatch):
    """As if importance sampling were worth too little."""
    if not fit.estimate.anywhere:
        return
    monkeypatch.setattr(neural_ratio, "_WORTH", 2.0)
    ratio, space = fit.estimate.ratio.at(fit.estimate.data), fit.problem.space
    found = neural_ratio._drawn(neural_ratio._Posterior(ratio, Inputs.of(space)), jr.key(5), 400, (4, 100))
    kept = fit.estimate.real
    assert (np.abs(found.real.mean(0) - kept.mean(0)) < 0.3 * kept.std(0)).all()
    assert found.real.std(0) == pytest.approx(kept.std(0), rel=0.25)
    assert found.notes[0].startswith("4 chains of NUTS")


def test_a_ratio_that_does_not_sum_to_one_is_named():
    assert neural_ratio._summed(0.1) == []
    (note,) = neural_ratio._summed(np.log(0.2))
    assert "sums to 0.2 at these data" in note


def test_what_cannot_work_is_refused(numpy_simulator):
    task = problem(numpy_simulator)
    with pytest.raises(pop.MethodError, match="too small for 2 rounds of 100 or more: give 200"):
        pop.calibrate(task, pop.NeuralRatio(), jr.key(0), budget=150)
    with pytest.raises(pop.MethodError, match="two chains or more"):
        pop.calibrate(task, pop.NeuralRatio(chains=1), jr.key(0), budget=500)
