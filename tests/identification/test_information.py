"""The information of a problem's moments where it is known, what is told of parameters, and exact symmetries."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop

ERRORS = 4.0
SLOPE = np.array([[2.0, 0.5], [0.0, 1.0], [1.0, -1.0]])
SPREAD = np.array([0.5, 0.8, 0.4])


def straight(parameters, key):
    """Three numbers, SLOPE theta, and noise that grows with theta, so that differences are noisy."""
    theta = jnp.stack([parameters["a"], parameters["b"]])
    return {"x": jnp.asarray(SLOPE) @ theta + (0.3 + 0.2 * theta.sum()) * jr.normal(key, (3,))}


@pytest.fixture(scope="module")
def known():
    target = pop.Target({"x": np.zeros(3)}, [pop.level("x")], covariance=pop.Given(SPREAD))
    task = pop.Problem(pop.Traceable(straight), pop.Space(a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 3.0)), target)
    return pop.information(task, jr.key(1), at={"a": 0.4, "b": -0.3}, replicates=400)


def exact():
    """The covariance of estimates, in the parameters' own units, and their sensitivity to moments."""
    g = SLOPE / SPREAD[:, None]
    inverse = np.linalg.inv(g.T @ g)
    return g, inverse, inverse @ g.T / SPREAD


def test_errors_alone_and_jointly_are_those_of_a_regression(known):
    g, inverse, _ = exact()
    found = known.parameters
    for seen, error, right in (
        (found.alone, found.alone_error, np.diag(g.T @ g) ** -0.5),
        (found.joint, found.joint_error, np.diag(inverse) ** 0.5),
    ):
        assert (np.abs(seen - right) < ERRORS * error).all() and (error < 0.05 * right).all()
    r2 = (g[:, 0] @ g[:, 1]) ** 2 / ((g[:, 0] ** 2).sum() * (g[:, 1] ** 2).sum())
    np.testing.assert_allclose(found.collinearity, r2, atol=0.05)
    assert not found.reasons
    np.testing.assert_allclose(found.relative(found.joint), 100 * found.joint / np.array([0.4, 0.3]), rtol=1e-5)


def test_the_spectrum_has_intervals_that_hold(known):
    g, _, _ = exact()
    right = np.linalg.svd(g * known_spreads(), compute_uv=False)
    value, low, high = known.singular.T
    assert ((low < right) & (right < high)).all() and (value > low).all()
    assert known.rank == 2 and not known.flat and not known.symmetries
    assert known.test.rank == 2 and known.test.p[-1] < 1e-3
    assert "the rank is 2" in known.test.sentence()


def known_spreads():
    from populace.calibration.judgement import scales

    return scales(pop.Space(a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 3.0)))[1]


def test_sensitivity_to_moments_is_that_of_andrews_gentzkow_and_shapiro(known):
    _, inverse, right = exact()
    found = known.sensitivity
    standard = right * SPREAD / np.sqrt(np.diag(inverse))[:, None]
    assert (np.abs(found.standard - standard) < ERRORS * found.error).all()
    assert (found.error < 0.05).all() and (found.error > 0.0).all()
    np.testing.assert_allclose(found.raw * SPREAD / known.parameters.joint[:, None], found.standard, rtol=1e-6)
    assert found.of("a", "x[1]") == found.standard[0, 0] > 0.5  # more in the data, more in the estimate


def test_a_report_shows_all_of_it(known):
    spectrum, errors, leaning = known.sections()
    assert (spectrum.title, errors.title, leaning.title) == ("Information", "Standard errors", "Moment sensitivity")
    assert "2 of 2 directions" in spectrum.text[0]
    assert len(leaning.figures[0].panels) == 2
    assert known.record()["parameters"]["a"]["joint"] == known.parameters.joint[0]


def tied(parameters, key):
    """A product, a sum, a number of its own, and a mood that enters nowhere."""
    product, total = parameters["a"] * parameters["b"], parameters["up"] + parameters["down"]
    return {"x": jnp.stack([product, total, parameters["own"]]) + 0.1 * jr.normal(key, (3,))}


@pytest.fixture(scope="module")
def tie():
    positive, shift = dist.LogUniform(0.3, 4.0), dist.Uniform(0.0, 3.0)
    space = pop.Space(a=positive, b=positive, up=shift, down=shift, own=shift, mood=dist.Uniform(0.0, 1.0))
    target = pop.Target({"x": np.ones(3)}, [pop.level("x")], covariance=pop.Given(np.full(3, 0.1)))
    at = {"a": 1.2, "b": 0.8, "up": 1.0, "down": 1.1, "own": 1.0, "mood": 0.3}
    return pop.Problem(pop.Traceable(tied), space, target), at


def test_exact_symmetries_are_named(tie):
    task, at = tie
    found = pop.information(task, jr.key(2), at=at, replicates=30)
    assert found.rank == 3 and not found.flat
    said = [one.words() for one in found.symmetries]
    assert said == [
        "scaling mood by any c",
        "scaling (a, b) by (c, 1/c)",
        "adding (c, -c) to (up, down)",
    ]
    product = found.symmetries[1]
    assert product.low < 0.5 and product.high > 2.0 and product.moved < 1e-4
    ends = [1.2 * product.low, 1.2 * product.high, 0.8 / product.low, 0.8 / product.high]
    assert min(ends) > 0.3 and max(ends) < 4.0  # never beyond the priors
    lost = found.parameters.reasons
    assert list(lost) == ["a", "b", "up", "down", "mood"] and lost["b"] == f"{said[1]} is an exact symmetry"
    assert np.isnan(found.parameters.joint[[0, 1, 2, 3, 5]]).all()
    np.testing.assert_allclose(found.parameters.joint[4], 0.1, rtol=1e-3)  # beside all that is flat
    assert found.parameters.mimics["a"].startswith("b -")
    shown = {row[0]: row for row in found.sections()[1].tables[0].rows}
    assert shown["a"][4] is None and found.record()["sensitivity"]["a"]["x[1]"] is None


def near_tie(parameters, key):
    """What looks like a product at the point only: a b + (a - b)^2, with a third that shows the product itself."""
    a, b = parameters["a"], parameters["b"]
    return {"x": jnp.stack([a * b + (a - b) ** 2, a * b]) + 0.1 * jr.normal(key, (2,))}


def test_what_only_touches_the_ridge_is_no_symmetry():
    space = pop.Space(a=dist.LogUniform(0.3, 4.0), b=dist.LogUniform(0.3, 4.0))
    target = pop.Target({"x": np.ones(2)}, [pop.level("x")], covariance=pop.Given(np.full(2, 0.1)))
    task = pop.Problem(pop.Traceable(near_tie), space, target)
    found = pop.information(task, jr.key(3), at={"a": 1.0, "b": 1.0}, replicates=20)
    assert found.rank == 1 and not found.symmetries
    assert len(found.flat) == 1 and "a by +" in found.flat[0] + found.flat[0].replace("a by -", "b by -")
    assert "lies in combinations that no moment reacts to" in found.parameters.reasons["a"]


def test_a_second_look_says_the_same(known):
    target = pop.Target({"x": np.zeros(3)}, [pop.level("x")], covariance=pop.Given(SPREAD))
    space = pop.Space(a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 3.0))
    task = pop.Problem(pop.Traceable(straight), space, target)
    again = pop.information(task, jr.key(5), at={"a": 0.4, "b": -0.3}, replicates=20, second=200)
    assert (np.abs(again.matrix - known.matrix) < 0.1 * np.abs(known.matrix).max()).all()
    assert again.rank == 2


def test_what_it_needs_is_said(tie):
    with pytest.raises(pop.MethodError, match="replicates or more"):
        pop.information(tie[0], jr.key(1), replicates=2)
