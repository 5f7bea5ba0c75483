"""What history matching leaves of the prior, where that is known in closed form."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.calibration.history_matching import Waves, _missed_sentence
from populace.calibration.implausibility import cut
from populace.calibration.tally import Tally

QUICK = (pop.Polynomial(degree=2),)
SPREAD = 0.1


def straight(parameters, key):
    """a + b and a - b, with noise; `c` does nothing; runs with a below -1.9 fail."""
    a, b = parameters["a"], parameters["b"]
    one, other = SPREAD * jr.normal(key, (2,))
    return {"sum": jnp.where(a < -1.9, jnp.nan, a + b + one), "difference": a - b + other}


def problem(total=0.0, difference=0.0, given=True):
    box = dist.Uniform(-2.0, 2.0)
    target = pop.Target({"sum": total, "difference": difference}, [pop.final("sum"), pop.final("difference")])
    if given:
        target = target.with_covariance(np.diag([SPREAD**2] * 2), "given")
    return pop.Problem(pop.Traceable(straight), pop.Space(a=box, b=box, c=dist.Uniform(0.0, 1.0)), target)


EXACT = (2.0 * 3.0 * SPREAD) ** 2 / 2.0 / 16.0
"""The share of the prior in which both gaps are below 3 standard deviations: a square turned by 45 degrees."""


@pytest.fixture(scope="module")
def fit():
    return pop.calibrate(problem(), pop.HistoryMatching(regressors=QUICK), jr.key(1), budget=600, predictive=400)


def test_what_is_left_is_the_square(fit):
    left = fit.estimate
    assert (
        isinstance(left, pop.NonImplausible) and not left.empty and 0.85 * EXACT < left.share < 1.5 * EXACT
    )  # the surrogate's doubt can only add to it
    a, b, c = (np.asarray(fit.draws[name]) for name in "abc")
    assert (np.maximum(abs(a + b), abs(a - b)) < 3.5 * SPREAD).all()
    assert abs(c.mean() - 0.5) < 4.0 * np.sqrt(1 / 12 / 400) and abs(c.std() - np.sqrt(1 / 12)) < 0.03
    for side in (a + b, a - b):  # all over it: uniform between -.3 and .3
        assert abs(side.mean()) < 0.06 and abs(side.std() - 0.6 * np.sqrt(1 / 12)) < 0.03


def test_points_are_implausible_by_their_gap(fit):
    points = {"a": jnp.array([0.0, 0.25, 0.0, 0.5, 5.0]), "b": jnp.array([0.0, 0.0, 0.25, 0.0, 0.0])}
    points["c"] = jnp.full(5, 0.5)
    said = fit.estimate.implausibility(fit.problem, points)
    assert said[:4] == pytest.approx([0.0, 2.5, 2.5, 5.0], abs=0.6) and said[4] == np.inf


def test_it_stops_when_more_runs_would_rule_out_little(fit):
    assert fit.calls < 600  # of four waves, whose doubt was small before the last
    said = " ".join(fit.estimate.notes())
    assert "more runs would rule out little more" in said and "it may be believed" in said and "no posterior" in said
    assert "runs were excluded" in said
    assert fit.done.code is pop.Code.CONVERGED and "% of the prior" in fit.done.sentence


def test_data_without_a_covariance_are_one_run():
    found = pop.calibrate(
        problem(given=False), pop.HistoryMatching(2, regressors=QUICK), jr.key(2), budget=400, predictive=50
    )
    assert isinstance(found.estimate, pop.NonImplausible) and 0.6 * EXACT < found.estimate.share < 2.0 * EXACT


def test_what_the_model_cannot_make_leaves_nothing():
    """a + b = 3.6 and a - b = 3.6 ask for a = 3.6, beyond the prior."""
    method = pop.HistoryMatching(regressors=QUICK)
    found = pop.calibrate(problem(3.6, 3.6), method, jr.key(3), budget=600, predictive=50).estimate
    assert isinstance(found, pop.NonImplausible)
    assert found.empty and found.share == 0.0
    said = " ".join(found.notes())
    assert "Nothing is left" in said and "No point is as near" in said and "final(" in said
    wider = pop.HistoryMatching(regressors=QUICK, beyond=(1.0, 1.0))
    assert (
        not pop.calibrate(problem(3.6, 3.6), wider, jr.key(3), budget=600, predictive=50)
        .estimate.notes()[0]
        .startswith("Nothing")
    )


def test_a_rare_region_is_found_and_its_share_measured():
    def levels(unit):
        return np.linalg.norm(unit - 0.3, axis=1) / 0.01

    rng = np.random.default_rng(0)
    found = cut(levels, rng.random((2_000, 4)), 1.0, rng)
    exact = np.pi**2 / 2 * 0.01**4  # the volume of a ball: 5e-8
    assert not found.empty and 0.5 < found.share / exact < 2.0
    away = np.linalg.norm(found.points - 0.3, axis=1) / 0.01
    assert away.max() <= 1.0 and abs(away.mean() - 0.8) < 0.03
    nothing = cut(lambda unit: 4.0 + levels(unit), rng.random((500, 4)), 3.0, rng)
    assert nothing.empty and np.linalg.norm(nothing.points - 0.3, axis=1).max() < 0.1


@pytest.mark.parametrize(("far", "sentence"), [(3, "may be believed"), (40, "over-confident")])
def test_surrogates_that_miss_fresh_runs_are_not_believed(far, sentence):
    none, nothing = np.zeros((0, 1)), np.zeros(0)
    missed = np.array([[0.0, 0.0], [far, 400.0]])
    state = Waves(
        none, none, nothing, none, none, nothing, nothing, missed, np.array(False), none, np.array(0), Tally.empty()
    )
    assert sentence in _missed_sentence(state)


@pytest.mark.parametrize(
    ("method", "budget", "mend"),
    [
        (pop.HistoryMatching(), 100, "take fewer waves"),
        (pop.HistoryMatching(0), 1_000, "a wave at the least"),
        (pop.HistoryMatching(beyond=(1.0,)), 1_000, "a number a fitted moment, 2 of them"),
    ],
)
def test_what_cannot_be_worked_with_is_refused(method, budget, mend):
    with pytest.raises(pop.MethodError, match=mend):
        pop.calibrate(problem(), method, jr.key(0), budget=budget)
