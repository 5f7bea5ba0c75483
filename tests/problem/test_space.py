"""Spaces: the laws that every prior must obey, and what is refused."""

import json
import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from populace._errors import DomainError, SpaceError
from populace.core.domain import Domain, interval, nonnegative, positive, real, unit
from populace.core.model import Parameter
from populace.problem.prior import Prior
from populace.problem.space import Space

ONE = jnp.ones(2)
EPS = 2.0**-24

# What each prior is, and scipy's distribution of its first number.
PRIORS: dict[str, tuple[Any, Any]] = {
    "uniform": (dist.Uniform(-1.0, 3.0), stats.uniform(-1, 4)),
    "log-uniform": (dist.LogUniform(1e-3, 10.0), stats.loguniform(1e-3, 10)),
    "normal": (dist.Normal(2.0, 3.0), stats.norm(2, 3)),
    "log-normal": (dist.LogNormal(0.0, 1.0), stats.lognorm(1.0)),
    "half-normal": (dist.HalfNormal(2.0), stats.halfnorm(0, 2)),
    "beta": (dist.Beta(2.0, 3.0), stats.beta(2, 3)),
    "gamma": (dist.Gamma(2.0, 3.0), stats.gamma(2, scale=1 / 3)),
    "exponential": (dist.Exponential(0.5), stats.expon(scale=2)),
    "truncated": (dist.TruncatedNormal(0.0, 1.0, low=-1.0, high=2.0), stats.truncnorm(-1, 2)),
    "truncated below": (dist.TruncatedNormal(1.0, 2.0, low=0.0), stats.truncnorm(-0.5, np.inf, 1, 2)),
    "truncated above": (dist.TruncatedNormal(0.0, 1.0, high=-1.0), stats.truncnorm(-np.inf, -1)),
    "stretched": (
        dist.TransformedDistribution(dist.Uniform(0.0, 1.0), dist.transforms.AffineTransform(2.0, -3.0)),
        stats.uniform(-1, 3),
    ),
    "logit-normal": (dist.TransformedDistribution(dist.Normal(0.0, 1.0), dist.transforms.SigmoidTransform()), None),
    "Kumaraswamy": (dist.Kumaraswamy(2.0, 3.0), None),
    "expanded": (dist.LogUniform(0.1, 1.0).expand([2, 2]), stats.loguniform(0.1, 1)),
    "batch": (dist.Normal(jnp.array([0.0, 5.0, 1.0]), ONE.mean()), stats.norm(0, 1)),
    "event": (dist.Uniform(jnp.array([0.0, 5.0]), jnp.array([1.0, 6.0])).to_event(1), stats.uniform(0, 1)),
    "multivariate": (dist.MultivariateNormal(ONE, jnp.array([[1.0, 0.9], [0.9, 1.0]])), stats.norm(1, 1)),
}


@pytest.fixture(scope="module", params=PRIORS)
def case(request: pytest.FixtureRequest) -> tuple[Space, Any, dict[str, Any]]:
    prior, reference = PRIORS[request.param]
    space = Space(theta=prior)
    return space, reference, space.sample(jr.key(0), 1000)


def test_draws_are_strong_float32_inside_the_support(case: Any):
    space, reference, batch = case
    theta = batch["theta"]
    assert theta.dtype == jnp.float32 and not theta.weak_type and theta.shape == (1000, *space.shapes["theta"])
    low, high = space.bounds()
    flat = np.asarray(space.flat(batch), np.float64)
    assert flat.shape == (1000, space.size) and np.all(flat > low) and np.all(flat < high)
    if reference is not None:
        assert stats.kstest(flat[:, 0], reference.cdf).pvalue > 1e-4
        np.testing.assert_allclose([low[0], high[0]], reference.support(), rtol=2 * EPS)


def test_the_real_line_and_back(case: Any):
    space, _, batch = case
    real_line = space.to_real(batch)
    assert real_line.shape == (1000, space.size) and bool(jnp.isfinite(real_line).all())
    back = space.from_real(real_line)["theta"]
    # A rounding of the real number moves theta by the slope of the map, which is at most |z| times its size or width.
    size = np.abs(batch["theta"]) + np.ptp(np.asarray(batch["theta"]), axis=0)
    assert np.all(np.abs(back - batch["theta"]) <= 16 * EPS * size * (1 + np.abs(real_line).max()))
    far = jnp.concatenate([jnp.full((1, space.size), -90.0), jnp.full((1, space.size), 90.0)])
    ends = np.asarray(space.flat(space.from_real(far)), np.float64)
    low, high = space.bounds()
    assert np.isfinite(ends).all() and np.all(ends > low) and np.all(ends < high)


def test_the_jacobian_is_the_derivatives_determinant(case: Any):
    space, _, batch = case
    z = space.to_real(batch)[:50]
    one = lambda row: space.flat(space.from_real(row[None]))[0]  # noqa: E731
    jacobians = np.asarray(jax.jit(jax.vmap(jax.jacfwd(one)))(z), np.float64)
    expected = np.linalg.slogdet(jacobians)[1]
    np.testing.assert_allclose(space.log_jacobian(z), expected, atol=1e-4)


def test_the_density_is_a_density(case: Any):
    space, reference, batch = case
    density = np.asarray(space.log_prob(batch), np.float64)
    assert density.shape == (1000,) and np.isfinite(density).all()
    if reference is not None and space.size == 1:
        np.testing.assert_allclose(density, reference.logpdf(np.asarray(batch["theta"], np.float64)), atol=2e-4)
    low, high = space.bounds()
    for end, side in ((low, -1), (high, 1)):
        for i in np.flatnonzero(np.isfinite(end)):
            outside = np.asarray(space.flat(batch))[:1].copy()
            outside[0, i] = end[i] + side * 0.1
            value, slope = jax.value_and_grad(lambda x: space.log_prob(space.unflat(x))[0])(jnp.asarray(outside))
            assert float(value) == -np.inf and not np.isnan(slope).any()
    nan = space.unflat(jnp.full((1, space.size), jnp.nan))
    assert float(space.log_prob(nan)[0]) == -np.inf


def test_the_probability_scale_is_uniform(case: Any):
    space, reference, batch = case
    u = np.asarray(space.cdf(batch), np.float64)
    assert u.shape == (1000, space.size) and u.min() >= 0 and u.max() <= 1
    assert min(stats.kstest(column, "uniform").pvalue for column in u.T) > 1e-4
    if reference is not None:
        exact = reference.cdf(np.asarray(space.flat(batch), np.float64)[:, 0])
        by_rank = space.shapes["theta"] and "MultivariateNormal" in space.describe()["theta"]["family"]
        assert np.abs(u[:, 0] - exact).max() < (4 * 0.0035 if by_rank else 1e-5)


def test_quantiles_undo_the_probability_scale(case: Any):
    space, _, batch = case
    if "Multivariate" in str(space.describe()):
        with pytest.raises(SpaceError, match="depend on each other"):
            space.from_unit(space.cdf(batch))
        return
    grid = jnp.tile(jnp.linspace(0.01, 0.99, 99)[:, None], (1, space.size))
    u = np.asarray(space.cdf(space.from_unit(grid)))
    assert np.abs(u - grid).max() < 5 * 0.0035
    ends = space.flat(space.from_unit(jnp.array([[0.0], [1.0]]) * jnp.ones(space.size)))
    assert bool(jnp.isfinite(ends).all())


def test_everything_is_plain_jax(case: Any):
    space, _, batch = case
    traced = []

    @jax.jit
    def everything(z: Any) -> Any:
        traced.append(z.shape)
        theta = space.from_real(z)
        return space.log_prob(theta) + space.log_jacobian(z) + space.cdf(theta).sum(1) + space.to_real(theta).sum(1)

    z = space.to_real(batch)
    first = everything(z)
    assert bool(jnp.isfinite(first).all()) and first.dtype == jnp.float32
    everything(z + 0.01)
    assert len(traced) == 1


def test_a_multivariate_prior_keeps_its_correlation():
    space = Space(pair=PRIORS["multivariate"][0])
    pair = np.asarray(space.sample(jr.key(1), 2000)["pair"])
    r = np.corrcoef(pair, rowvar=False)[0, 1]
    assert abs(np.arctanh(r) - np.arctanh(0.9)) < 4 / np.sqrt(2000)  # Fisher's z


def test_a_log_scale_stays_one_on_the_real_line():
    """Spread over eight decades, the real line sees them alike: numpyro's own map would put half of them at one end."""
    z = np.asarray(Space(a=dist.LogUniform(1e-8, 1.0)).to_real({"a": jnp.logspace(-7, -1, 7)}))[:, 0]
    np.testing.assert_allclose(z + z[::-1], 0.0, atol=1e-4)
    assert z[-1] - z[0] == pytest.approx(2 * np.log(7), rel=1e-3)


def test_an_end_of_the_support_has_a_finite_place():
    z = Space(a=dist.Uniform(0.0, 1.0), b=dist.HalfNormal(1.0)).to_real({"a": jnp.array([0.0, 1.0]), "b": jnp.zeros(2)})
    assert z.tolist() == [[-40.0, -40.0], [40.0, -40.0]]
    assert np.isnan(Space(b=dist.LogNormal(0.0, 1.0)).to_real({"b": jnp.array([-1.0])})).all()


@pytest.fixture(scope="module")
def mixed() -> Space:
    weights = dist.Uniform(0.0, 1.0).expand([2])
    return Space({"household.beta": dist.Uniform(0.0, 2.0)}, gamma=dist.Exponential(2.0), weights=weights)


def test_names_sizes_and_labels(mixed: Space):
    space = mixed
    assert space.names == ("household.beta", "gamma", "weights") and space.size == 4
    assert space.labels == ("household.beta", "gamma", "weights[0]", "weights[1]")
    assert Space(m=dist.Normal(0, 1).expand([2, 2])).labels == ("m[0, 0]", "m[0, 1]", "m[1, 0]", "m[1, 1]")
    low, high = space.bounds()
    assert low.tolist() == [0.0] * 4 and high.tolist() == [2.0, np.inf, 1.0, 1.0] and low.dtype == np.float64
    assert Space(x=dist.Normal(0, 1)).bounds()[1].tolist() == [np.inf]


def test_columns_follow_the_labels(mixed: Space):
    space = mixed
    batch = space.sample(jr.key(2), 6)
    flat = space.flat(batch)
    np.testing.assert_array_equal(flat[:, 0], batch["household.beta"])
    np.testing.assert_array_equal(flat[:, 2:], batch["weights"])
    for name, value in space.unflat(flat).items():
        np.testing.assert_array_equal(value, batch[name])
    density = -np.log(2.0) + np.log(2.0) - 2.0 * batch["gamma"]  # the weights' is 1
    np.testing.assert_allclose(space.log_prob(batch), density, rtol=1e-6, atol=1e-6)


def test_a_parameters_draws_do_not_depend_on_its_neighbours(mixed: Space):
    alone = Space(gamma=dist.Exponential(2.0)).sample(jr.key(3), 5)["gamma"]
    np.testing.assert_array_equal(mixed.sample(jr.key(3), 5)["gamma"], alone)
    twins = Space(a=dist.Uniform(0.0, 1.0), b=dist.Uniform(0.0, 1.0)).sample(jr.key(3), 5)
    assert not np.array_equal(twins["a"], twins["b"])


REFUSED = {
    "a number": (0.5, "not a numpyro distribution"),
    "a tuple": ((0.0, 1.0), "is a tuple, not a numpyro distribution"),
    "a point": (dist.Delta(1.0), "one point: bind the value"),
    "counts": (dist.Poisson(3.0), "is discrete"),
    "shares": (dist.Dirichlet(jnp.ones(3)), "binds its numbers to each other.*Gamma weights"),
    "an order": (dist.TransformedDistribution(
        dist.Normal(0.0, 1.0).expand([3]).to_event(1), dist.transforms.OrderedTransform()
    ), "binds its numbers"),
    "ends in the wrong order": (dist.Uniform(1.0, 0.0, validate_args=False), "the first must be less"),
    "a log of 0": (dist.LogUniform(0.0, 1.0, validate_args=False), "NaN or infinity"),
    "improper": (dist.ImproperUniform(dist.constraints.real, (), ()), "cannot be sampled"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_prior_is_refused_in_words(case: str):
    prior, words = REFUSED[case]
    with pytest.raises(SpaceError, match=words):
        Space(beta=prior)


def test_a_space_has_each_name_once_and_one_at_least():
    with pytest.raises(SpaceError, match="at least one"):
        Space()
    with pytest.raises(SpaceError, match="'beta' is given two priors"):
        Space({"beta": dist.Normal(0, 1)}, beta=dist.Normal(0, 1))


def test_batches_that_do_not_fit_are_refused_in_words(mixed: Space):
    space = mixed
    batch = space.sample(jr.key(4), 3)
    with pytest.raises(SpaceError, match="holds no 'gamma'; did you mean 'gama'"):
        space.flat({**{k: v for k, v in batch.items() if k != "gamma"}, "gama": batch["gamma"]})
    with pytest.raises(SpaceError, match=r"'weights' has shape \(3, 3\) in the batch, not \(n, 2\)"):
        space.log_prob({**batch, "weights": jnp.ones((3, 3))})
    with pytest.raises(SpaceError, match="no batch of 4 numbers"):
        space.from_real(jnp.ones((3, 5)))
    assert set(space.unflat(space.flat({**batch, "more": jnp.ones(3)}))) == set(space.names)


def held(name: str, domain: Domain, value: Any = 0.5) -> dict[str, Parameter]:
    return {
        name: Parameter(name, jnp.asarray(value, jnp.float32), "", domain, ""),
        "other": Parameter("other", ONE, "", real, ""),
    }


FITS = {
    "positive": (dist.LogNormal(0.0, 1.0), positive),
    "an end that only the prior includes": (dist.Uniform(0.0, 1.0), positive),
    "a share": (dist.Beta(1.0, 1.0), unit),
    "rounded ends": (dist.Uniform(jnp.float32(0.1), jnp.float32(0.3)), interval(0.1, 0.3)),
    "nonnegative": (dist.Exponential(1.0), nonnegative),
    "anything": (dist.Cauchy(0.0, 1.0), real),
}

LEAVES = {
    "a normal of a rate": (dist.Normal(1.0, 0.1), positive, r"from -inf to inf, outside .* \(0, inf\): take LogNormal"),
    "a share above 1": (dist.Uniform(0.0, 1.1), unit, r"from 0 to 1.1, .* \[0, 1\]: take Uniform\(0, 1\)"),
    "a tail": (dist.LogNormal(0.0, 1.0), unit, r"from 0 to inf"),
    "a half line": (dist.Normal(0.0, 1.0), Domain(high=3.0), "truncate it"),
    "a stretched uniform": (PRIORS["stretched"][0], positive, "from -1 to 2"),
}


@pytest.mark.parametrize("case", FITS)
def test_a_prior_inside_the_domain_passes(case: str):
    prior, domain = FITS[case]
    Space(beta=prior).check(held("beta", domain))


@pytest.mark.parametrize("case", LEAVES)
def test_a_prior_that_leaves_the_domain_is_refused_with_another(case: str):
    prior, domain, words = LEAVES[case]
    with pytest.raises(DomainError, match=words):
        Space(beta=prior).check(held("beta", domain))


def test_unknown_names_and_other_shapes_are_refused_in_words():
    space = Space(beta=dist.Uniform(0.0, 1.0))
    with pytest.raises(SpaceError, match="no parameter 'beta'; did you mean 'beta1'"):
        space.check(held("beta1", real))
    with pytest.raises(SpaceError, match=r"shape \(\), the parameter \(3,\): expand the prior, .expand\(\[3\]\)"):
        space.check(held("beta", real, np.ones(3)))
    space.check({})  # a plain function takes any name


def test_its_description_is_json_and_changes_with_what_matters():
    spaces = [
        Space(a=dist.Uniform(0.0, 1.0)),
        Space(b=dist.Uniform(0.0, 1.0)),
        Space(a=dist.Uniform(0.0, 2.0)),
        Space(a=dist.Normal(0.0, 1.0)),
        Space(a=dist.Uniform(0.0, 1.0).expand([1])),
        Space(a=PRIORS["stretched"][0]),
    ]
    texts = [json.dumps(space.describe(), allow_nan=False) for space in spaces]
    assert len(set(texts)) == len(spaces)
    assert json.dumps(Space(a=dist.Uniform(0.0, 1.0)).describe()) == texts[0]


def test_its_description_is_the_same_in_every_process():
    """Numbers stand in the order of their names; that of numpyro's trees comes from a set, and changes."""
    space = Space(a=dist.Normal(3.0, 2.0), b=dist.Cauchy(1.0, 4.0), c=dist.Gamma(5.0, 6.0), d=dist.Laplace(8.0, 7.0))
    assert [one["numbers"] for one in space.describe().values()] == [[3.0, 2.0], [1.0, 4.0], [5.0, 6.0], [8.0, 7.0]]


def test_priors_of_one_family_share_their_programs():
    """A function compiled for one prior is not compiled again for other numbers or another name."""
    made: list[Any] = []

    @jax.jit
    def density(prior: Any, value: Any) -> Any:
        made.append(prior)
        return prior.log_prob(value)

    value = jnp.array([0.5])
    for low in (0.1, 0.2):
        for name in ("a", "b"):
            prior = Prior(name, dist.LogUniform(low, 1.0))
            assert float(density(prior, value)[0]) == pytest.approx(-math.log(0.5 * math.log(1.0 / low)), rel=1e-5)
    assert len(made) == 1
    assert float(density(Prior("a", dist.Uniform(0.1, 1.0)), value)[0]) == pytest.approx(-math.log(0.9), rel=1e-5)
    assert len(made) == 2


def test_a_distribution_of_ones_own_keeps_what_numpyro_does_not_carry():
    class Wider(dist.Uniform):
        def __init__(self, times: float):
            self.times = times
            super().__init__(0.0, 1.0)

        def sample(self, key: Any, sample_shape: Any = ()) -> Any:
            return super().sample(key, sample_shape) * self.times

    drawn = Space(a=Wider(0.25)).sample(jr.key(0), 500)["a"]
    assert 0.2 < float(drawn.max()) < 0.25
