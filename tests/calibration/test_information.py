"""The information of a problem's moments where it is known, and a direction that they do not see."""

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from tests.calibration.test_variational import SPREAD, problem, seen

import populace as pop


def test_a_linear_models_information_is_known():
    """Moments are theta with covariance SPREAD^2, priors N(0, 1): information 1 / SPREAD^2, noise or not."""
    found = pop.information(problem(pop.Traceable(seen)), jr.key(1), replicates=50)
    np.testing.assert_allclose(found.values, np.sort(SPREAD**-2.0)[::-1], rtol=0.05)
    assert found.rank == 2 and not found.flat
    assert found.named(0) in ("+1.00 theta[0]", "+1.00 theta[1]")


def product(parameters, key):
    return {"x": (parameters["a"] * parameters["b"] + 0.1 * jr.normal(key))[None]}


def test_a_product_leaves_a_direction_that_nothing_reacts_to():
    target = pop.Target({"x": np.array([1.0])}, [pop.final("x")]).with_covariance(np.array([[0.01]]), "given")
    task = pop.Problem(
        pop.Traceable(product), pop.Space(a=dist.LogUniform(0.5, 2.0), b=dist.LogUniform(0.5, 2.0)), target
    )
    found = pop.information(task, jr.key(2), at={"a": 1.0, "b": 1.0}, replicates=60)
    assert found.rank == 1 and len(found.flat) == 1
    assert ("a by +" in found.flat[0]) != ("b by +" in found.flat[0])  # one up and the other down, by as much
    assert "1 of 2 directions" in found.sections()[0].text[0]
    fit = pop.calibrate(task, pop.SequentialABC(particles=60), jr.key(3), budget=1_500, predictive=50)
    told = pop.identify(task, fit, jr.key(4), replicates=50, information=found)
    assert told.sections()[-1].title == "Information" and "information" in told.record()


def test_what_it_needs_is_said():
    with pytest.raises(pop.MethodError, match="replicates or more"):
        pop.information(problem(), jr.key(1), replicates=2)
