"""The best fit by a surrogate of the moments, where it is known in closed form."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import ndtri

import populace as pop

LINES = (pop.Polynomial(degree=1),)


@pytest.fixture(scope="module")
def straight(linear):
    return pop.calibrate(
        linear[0], pop.BayesianOptimisation(rounds=2, regressors=LINES), jr.key(1), budget=200, predictive=400
    )


def test_the_minimum_and_its_covariance_are_those_of_least_squares(straight, linear):
    case, found = linear[1], straight.estimate
    exact = np.linalg.inv(case.gram)
    assert (np.abs(found.real - case.minimum) < 4.0 * np.sqrt(np.diag(exact) * 4 / 100)).all()
    assert found.covariance == pytest.approx(exact, rel=0.3, abs=0.1 * exact.max())
    assert abs(found.loss - case.loss) < 1.0
    draws = np.stack([straight.draws["a"], straight.draws["b"]], axis=1)
    assert draws.std(0) == pytest.approx(np.sqrt(np.diag(exact)), rel=0.3)
    assert np.array_equal(found.centre(linear[0]), found.real)
    assert straight.calls == 200 and straight.done.code is pop.Code.CONVERGED


def test_the_notes_say_how_sure_it_is(straight):
    said = " ".join(straight.estimate.notes())
    for words in ("50 runs over the prior, 130 chosen", "ExpectedImprovement 130 runs", "20 fresh runs there say"):
        assert words in said
    assert "90 % have their best point within a" in said and "J = " in said and "degrees of freedom" in said
    assert straight.estimate.guarded.confirmation.runs == 20 and straight.estimate.guarded.sound
    assert straight.estimate.shared.rows[0][1] == 130
    assert straight.estimate.optima.std(0).max() < 0.1


def banana(parameters, u):
    """Two moments that are matched at (.7, .6), in a curved valley; runs with b above 2.8 fail; `c` does nothing."""
    a, b = parameters["a"], parameters["b"]
    y = np.stack([10.0 * (b - a**2), 4.0 * a], axis=1) + ndtri(u)
    return {"y": np.where(b[:, None] > 2.8, np.nan, y)}


@pytest.fixture(scope="module")
def valley(numpy_simulator):
    space = pop.Space(a=dist.Uniform(-2.0, 2.0), b=dist.Uniform(-1.0, 3.0), c=dist.Uniform(0.0, 1.0))
    target = pop.Target({"y": np.array([1.1, 2.8])}, [pop.level("y")]).with_covariance(np.eye(2), "given")
    return pop.Problem(numpy_simulator(banana, 2), space, target)


@pytest.fixture(scope="module")
def shared(valley):
    bandit = pop.Bandit((pop.ExpectedImprovement(), pop.Thompson(), pop.KnowledgeGradient(outcomes=8)))
    method = pop.BayesianOptimisation(bandit, rounds=4, regressors=(pop.GaussianProcess(starts=1),))
    return pop.calibrate(valley, method, jr.key(2), budget=140, predictive=200)


def test_a_curved_valley_is_followed_to_its_end(shared, valley):
    """Some hundred runs know the point as the data do to a fraction of their error: regret well below 1."""
    a, b, _ = np.asarray(valley.space.flat(valley.space.from_real(jnp.asarray(shared.estimate.real[None]))))[0]
    assert (10.0 * (b - a**2) - 1.1) ** 2 + (4.0 * a - 2.8) ** 2 < 0.5
    unit, right = shared.estimate.surrogate.runs.unit[:, :2], np.array([0.675, 0.4])
    assert np.median(np.abs(unit[35:] - right).max(1)) < 0.5 * np.median(np.abs(unit[:35] - right).max(1))


def test_a_bandit_says_who_chose_what(shared):
    rows = shared.estimate.shared.rows
    assert [row[0] for row in rows] == ["ExpectedImprovement", "Thompson", "KnowledgeGradient"]
    assert sum(row[1] for row in rows) == 85 and all(row[3] is None or 0.0 <= row[3] <= 1.0 for row in rows)
    assert "Thompson" in shared.estimate.notes()[0] and "runs were excluded" in shared.estimate.notes()[1]


def test_a_parameter_that_does_nothing_leaves_no_covariance(shared):
    assert np.isnan(shared.estimate.covariance).all()
    flat = next(note for note in shared.estimate.notes() if note.startswith("It is not known whether"))
    assert "c by +1" in flat
    assert np.std(shared.draws["c"]) > 3.0 * np.std(shared.draws["a"])  # best points of draws lie all along it


@pytest.mark.parametrize(
    ("method", "budget", "said"),
    [
        (pop.BayesianOptimisation(pop.Entropy()), 200, "Entropy does not look for an optimum"),
        (pop.BayesianOptimisation(pop.Bandit((pop.Thompson(), pop.Truncated()))), 200, "Truncated does not look"),
        (pop.BayesianOptimisation(rounds=0), 200, "a round or more"),
        (pop.BayesianOptimisation(), 40, "give 58 or more"),
    ],
)
def test_what_cannot_work_is_refused(valley, method, budget, said):
    with pytest.raises(pop.MethodError, match=said):
        pop.calibrate(valley, method, jr.key(0), budget=budget)
