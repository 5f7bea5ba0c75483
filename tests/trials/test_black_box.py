"""Trial 6: a plain Python function is calibrated like a model, and what it cannot compute is counted."""

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop


def queue(parameters, key):
    """Customers in a shop after each hour, as somebody without JAX would write it; overloaded it breaks down."""
    rng = np.random.default_rng(int(jr.bits(key)))
    waiting, seen = 0, []
    for _ in range(24):
        waiting = max(0, waiting + rng.poisson(10 * parameters["load"]) - rng.poisson(10))
        seen.append(waiting if waiting < 60 else np.nan)
    if parameters["load"] > 1.9:
        raise RuntimeError("the clerk has left")
    return {"waiting": np.array(seen)}


@pytest.fixture
def problem():
    data = queue({"load": 0.9}, jr.key(7))
    target = pop.Target(data, [pop.mean("waiting"), pop.maximum("waiting")])
    return pop.Problem(queue, pop.Space(load=dist.Uniform(0.0, 2.0)), target)


def test_a_black_box_is_fitted_and_its_failures_counted(problem):
    fit = pop.calibrate(problem, pop.SequentialABC(particles=40, check=40), jr.key(0), budget=1200, predictive=100)
    low, high = np.quantile(fit.draws["load"], [0.025, 0.975])
    assert low < 0.9 < high < 1.3
    notes = " ".join(fit.estimate.notes())
    assert "NaN or infinite" in notes and "RuntimeError: the clerk has left" in notes


def test_what_is_excluded_is_a_row_of_nan(problem):
    from populace.core.executor import Ticker

    loads = np.array([0.5, 1.95, 1.85, 0.8], np.float32)
    seen = problem.simulate({"load": loads}, jr.split(jr.key(1), 4), Ticker(None, "", 4))
    np.testing.assert_array_equal(seen.excluded, [False, True, True, False])
    assert np.isnan(seen.moments[1:3]).all() and np.isfinite(seen.moments[[0, 3]]).all()
    assert sorted(seen.reasons.values()) == [1, 1]
