"""Posteriors learned from runs, where the exact one is known."""

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import truncnorm

import populace as pop

NOISE = 0.3
DATA = np.array([0.5, 0.4, 0.8])


def seen(parameters, key):
    """Three looks at `a` through noise; `b` does nothing."""
    return {"y": parameters["a"] + NOISE * jr.normal(key, (3,))}


def problem(data=DATA, low=-2.0):
    target = pop.Target({"y": data}, [pop.level("y")])  # without a covariance: nothing is measured in errors
    return pop.Problem(pop.Traceable(seen), pop.Space(a=dist.Uniform(low, 2.0), b=dist.Normal(1.0, 2.0)), target)


def exact(data=DATA, low=-2.0):
    spread = NOISE / np.sqrt(3.0)
    return truncnorm((low - data.mean()) / spread, (2.0 - data.mean()) / spread, data.mean(), spread)


@pytest.fixture(scope="module", params=[1, 2])
def fit(request):
    return pop.calibrate(
        problem(), pop.NeuralPosterior(rounds=request.param), jr.key(1), budget=2_000, predictive=1_000
    )


def test_the_posterior_is_the_exact_one(fit):
    a, b = fit.draws["a"], fit.draws["b"]
    assert abs(a.mean() - exact().mean()) < 0.25 * exact().std()
    assert a.std() == pytest.approx(exact().std(), rel=0.2)
    assert abs(b.mean() - 1.0) < 0.4 and b.std() == pytest.approx(2.0, rel=0.15)
    assert fit.done.code is pop.Code.CONVERGED and fit.calls == 2_000
    assert fit.problem.target.covariance is None
    assert pop.identify(fit.problem, fit, jr.key(3)).sections()


def test_what_it_rests_on_is_said(fit):
    notes = " ".join(fit.estimate.notes())
    assert "Runs from the prior come as near to the data" in notes
    rounds = 1 if "from the prior." in fit.estimate.notes()[0] else 2
    assert rounds == 1 or "those of 2 rounds near the data" in notes


def test_other_data_take_runs_from_the_whole_prior(fit):
    other = problem(DATA - 1.0)
    if "from the prior." in fit.estimate.notes()[0]:
        draws = other.space.from_real(fit.estimate.draws(other, jr.key(2), 1_000))["a"]
        assert abs(float(draws.mean()) - exact(DATA - 1.0).mean()) < 0.3 * exact().std()
    else:
        with pytest.raises(pop.MethodError, match="learned near other data: fit anew, or with rounds=1"):
            fit.estimate.draws(other, jr.key(2), 10)


def test_one_round_is_calibrated_over_the_prior(fit):
    if "from the prior." not in fit.estimate.notes()[0]:
        with pytest.raises(pop.MethodError, match="no data set can be fitted"):
            pop.amortised_calibration(problem(), fit.estimate, jr.key(3), datasets=10)
        return
    found = pop.amortised_calibration(problem(), fit.estimate, jr.key(3), datasets=100)
    codes = [verdict.code for verdict in found.verdicts()]
    assert codes[:2] == [pop.Code.CALIBRATED, pop.Code.PRIOR_RETURNED]
    assert "LearnedPosterior was read off at 100 of 100 data sets" in found.sections()[0].text[0]


def test_a_bound_is_kept_and_named():
    """The data pull `a` below its prior: the exact posterior is a tail cut off at the bound."""
    low = 0.6
    task = problem(np.array([0.5, 0.5, 0.5]), low)
    fit = pop.calibrate(task, pop.NeuralPosterior(rounds=1), jr.key(4), budget=2_000, predictive=1_000)
    assert fit.draws["a"].min() >= low
    assert abs(fit.draws["a"].mean() - exact(np.full(3, 0.5), low).mean()) < 0.05
    assert any("at its lower bound 0.6" in note for note in fit.estimate.notes())


def test_data_that_no_run_reaches_are_told():
    task = problem(np.array([0.5, 0.4, 30.0]))
    fit = pop.calibrate(task, pop.NeuralPosterior(rounds=1), jr.key(5), budget=2_000, predictive=10)
    assert any("The data lie where the simulator does not go" in note for note in fit.estimate.notes())


def test_too_small_a_budget_is_refused():
    with pytest.raises(pop.MethodError, match="too small for 3 rounds of 100 or more: give 300"):
        pop.calibrate(problem(), pop.NeuralPosterior(rounds=3), jr.key(0), budget=250)
