"""J where its law is exact: chi-squared on data of the model, noncentral on a rival's, and a curved model refitted."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import chi2, ncx2

import populace as pop
from populace.identification.response_surface import Frame, ResponseSurface

ERRORS = 4.0
NOISE, SHIFT = 0.3, 2.5
SLOPE = np.random.default_rng(0).normal(size=(4, 1))
OUT = np.linalg.qr(np.concatenate([SLOPE, np.eye(4)[:, :3]], axis=1))[0][:, 1]


def line(parameters, key):
    return {"m": jnp.asarray(SLOPE[:, 0]) * parameters["a"] + NOISE * jr.normal(key, (4,))}


def shifted(parameters, key):
    return {"m": jnp.asarray(NOISE * SHIFT * OUT) + NOISE * jr.normal(key, (4,))}


def bent(parameters, key):
    """A curve: (a, a^2, a b, b) seen with noise, as curved over a standard error as it is steep."""
    a, b = parameters["a"], parameters["b"]
    return {"m": jnp.stack([a, a**2, a * b, b]) + NOISE * jr.normal(key, (4,))}


def task(law, seen, **priors):
    target = pop.Target({"m": np.asarray(seen)}, [pop.level("m")], covariance=pop.Given(np.full(4, NOISE)))
    return pop.Problem(pop.Traceable(law), pop.Space(priors), target)


@pytest.fixture(scope="module")
def tested():
    seen = SLOPE[:, 0] * 0.5 + NOISE * np.array([1.0, -0.5, 0.3, 2.5])
    problem = task(line, seen, a=dist.Normal(0.0, 1.0))
    found = pop.specification_test(
        problem, {"a": 0.5}, jr.key(1), repetitions=800, rivals={"shifted": pop.Traceable(shifted)}
    )
    return seen, found


def least(seen):
    z, g = seen / NOISE, SLOPE[:, 0] / NOISE
    return float(z @ z - (g @ z) ** 2 / (g @ g))


def test_j_is_the_least_distance_and_its_p_that_of_chi_squared(tested):
    seen, found = tested
    right = least(seen)
    assert found.freedom == 3 and found.rank == 1
    assert abs(found.statistic - right) < 0.3  # the surface rests on 3,000 runs
    p = chi2.sf(found.statistic, 3)
    assert found.asymptotic == pytest.approx(p)
    assert abs(found.p - p) < ERRORS * np.sqrt(p * (1 - p) / 800) + 0.01


def test_size_and_power_are_those_of_the_exact_law(tested):
    _, found = tested
    size, error = found.size()
    assert abs(size - 0.05) < ERRORS * error
    assert abs(found.made.mean() - 3.0) < ERRORS * np.sqrt(6.0 / 800) + 0.1
    exact = ncx2.sf(chi2.isf(0.05, 3), 3, SHIFT**2)
    assert abs((found.rivals["shifted"] > chi2.isf(0.05, 3)).mean() - exact) < ERRORS * np.sqrt(
        exact * (1 - exact) / 800
    )
    assert abs(found.missed[0]) < ERRORS * found.missed[1] + 0.1


def test_what_a_moment_adds_is_j_less_j_without_it(tested):
    seen, found = tested
    for i in range(4):
        rest = np.delete(np.arange(4), i)
        g, z = SLOPE[rest, 0] / NOISE, seen[rest] / NOISE
        right = least(seen) - float(z @ z - (g @ z) ** 2 / (g @ g))
        if i == int(np.argmax(np.abs(SLOPE))):  # what the fit rests on: without it, it goes where no runs are
            assert np.isnan(found.adds[i]) or abs(found.adds[i] - right) < 1.0
            continue
        assert abs(found.adds[i] - right) < 0.1 * right + 0.3
        assert abs(found.implied[i] - SLOPE[i, 0] * (g @ z) / (g @ g)) < 0.1
    assert int(np.nanargmax(found.adds)) == 3


def test_the_report_says_what_passing_is_worth(tested):
    _, found = tested
    (section,) = found.sections()
    assert section.verdicts[0].code is (pop.Code.CONTRADICTED if found.p < 0.05 else pop.Code.SUPPORTED)
    assert "3 degrees of freedom" in section.text[0] and "may be read" in section.text[0]
    assert [table.title for table in section.tables] == ["Moments", "Power"]
    assert found.record()["power"]["shifted"]["share"] == found.power("shifted")[0]


def test_a_curved_model_is_refitted_and_not_linearised():
    """At a = b = 0 two of four moments have no slope: by linear steps J would have lost nothing to the curve."""
    problem = task(bent, np.array([0.1, 0.0, 0.0, 0.1]), a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 1.0))
    found = pop.specification_test(problem, {"a": 1.0, "b": -1.0}, jr.key(2), repetitions=600)
    assert found.freedom == 2
    size, error = found.size()
    assert abs(size - 0.05) < 0.02 + ERRORS * error
    assert abs(found.missed[0]) < ERRORS * found.missed[1] + 0.15
    assert (found.p < 0.01 and found.verdict().code is pop.Code.CONTRADICTED) or found.statistic < 10.0


def test_a_rank_that_fails_takes_no_degree_of_freedom():
    def product(parameters, key):
        return {"m": jnp.full(4, parameters["a"] * parameters["b"]) + NOISE * jr.normal(key, (4,))}

    uniform = dist.Uniform(0.0, 5.0)
    found = pop.specification_test(
        task(product, np.ones(4), a=uniform, b=uniform), {"a": 1.0, "b": 1.0}, jr.key(3), repetitions=400
    )
    assert (found.rank, found.held, found.freedom) == (1, 1, 3)
    assert abs(found.size()[0] - 0.05) < 0.02 + ERRORS * found.size()[1]


def test_what_it_needs_is_said():
    problem = task(line, np.ones(4), a=dist.Normal(0.0, 1.0))
    with pytest.raises(pop.MethodError, match="repetitions"):
        pop.specification_test(problem, {"a": 0.5}, jr.key(1), repetitions=10)


def test_a_surface_finds_a_cubic_and_its_least_distance():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(400, 2)) @ np.array([[1.0, 0.4], [0.0, 0.3]]) + 1.0

    def moments(z):
        return np.stack([z[:, 0] + z[:, 1] ** 3, z[:, 0] * z[:, 1], z[:, 1]], axis=1)

    frame = Frame.of(z)
    surface = ResponseSurface.learned(frame, z, moments(z) + 1e-3 * rng.normal(size=(400, 3)))
    there = z[:5]
    np.testing.assert_allclose(surface.at(frame.inside(there))[0], moments(there), atol=5e-3)
    ends = frame.outside(surface.fitted(np.zeros((5, 2)), moments(there)))
    np.testing.assert_allclose(ends, there, atol=2e-2)
    x, h = frame.inside(there), 1e-5
    for i in range(2):
        step = h * np.eye(2)[i]
        slope = (surface.at(x + step)[0] - surface.at(x - step)[0]) / (2 * h)
        np.testing.assert_allclose(surface.at(x)[1][:, :, i], slope, atol=1e-6)
