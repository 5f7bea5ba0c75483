"""Each distribution against scipy: what it draws, its log-probabilities, its domain and its derivatives."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as st

from populace.core import distributions as d
from populace.core.choice import chosen
from populace.core.noise import Noise, as_float

N = 20_000


@eqx.filter_jit
def sample(mechanism: d.Mechanism, n: int = N, seed: int = 5) -> Any:
    return mechanism.sample(Noise(jr.key(seed)), (n,))


def f(*values: Any) -> list[jax.Array]:
    return [as_float(value) for value in values]


CASES: dict[str, tuple[d.Distribution, Any]] = {
    "bernoulli": (d.Bernoulli(*f(0.3)), st.bernoulli(0.3)),
    "binomial, summed": (d.Binomial(*f(12, 0.2)), st.binom(12, 0.2)),
    "binomial, flipped": (d.Binomial(*f(12, 0.8)), st.binom(12, 0.8)),
    "binomial, expanded": (d.Binomial(*f(400, 0.3)), st.binom(400, 0.3)),
    "poisson, summed": (d.Poisson(*f(2.5)), st.poisson(2.5)),
    "poisson, expanded": (d.Poisson(*f(70)), st.poisson(70)),
    "geometric": (d.Geometric(*f(0.15)), st.geom(0.15)),
    "exponential": (d.Exponential(*f(0.4)), st.expon(scale=2.5)),
    "normal": (d.Normal(*f(-1.0, 2.0)), st.norm(-1.0, 2.0)),
    "uniform": (d.Uniform(*f(-1.0, 3.0)), st.uniform(-1.0, 4.0)),
}
DISCRETE = [name for name, (_, law) in CASES.items() if isinstance(law.dist, st.rv_discrete)]
CONTINUOUS = [name for name in CASES if name not in DISCRETE]


@pytest.mark.parametrize("name", CASES)
def test_moments(name: str):
    mechanism, law = CASES[name]
    drawn = sample(mechanism)
    assert drawn.dtype == jnp.float32 and not drawn.weak_type
    values = np.asarray(drawn, np.float64)
    mean, variance, kurtosis = law.stats("mvk")
    assert abs(values.mean() - mean) < 4 * np.sqrt(variance / N)
    assert abs(values.var() - variance) < 4 * variance * np.sqrt((kurtosis + 2) / N)


@pytest.mark.parametrize("name", DISCRETE)
def test_frequencies(name: str):
    mechanism, law = CASES[name]
    values = np.asarray(sample(mechanism), np.int64)
    low, high = int(law.ppf(0.002)), int(law.ppf(0.998))
    edges = np.arange(low, high + 1)
    expected = N * np.concatenate([[law.cdf(low)], law.pmf(edges[1:-1]), [law.sf(high - 1)]][: max(1, len(edges))])
    counts = np.bincount(np.clip(values, low, high) - low, minlength=len(edges))
    if len(edges) == 2:
        expected = N * np.array([law.cdf(low), law.sf(low)])
    freedom = len(edges) - 1
    assert abs(((counts - expected) ** 2 / expected).sum() - freedom) < 4 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_distribution_function(name: str):
    mechanism, law = CASES[name]
    assert st.kstest(np.asarray(sample(mechanism)), law.cdf).statistic * np.sqrt(N) < 2.2  # 1 in 8,000


def test_geometric_counts_trials_from_one():
    assert float(sample(d.Geometric(*f(0.7))).min()) == 1.0
    assert (sample(d.Geometric(*f(1.0))) == 1.0).all()


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certain_events(p: float):
    """Exactly, whatever the number, at the ends of the probabilities."""
    assert (sample(d.Bernoulli(*f(p))) == p).all()
    assert (sample(d.Binomial(*f(9, p))) == 9 * p).all()


def test_a_logit_of_minus_infinity_is_never_chosen():
    logits = as_float([0.0, -jnp.inf, jnp.log(3.0), -jnp.inf])
    index = np.asarray(sample(d.Categorical(logits)).index)
    counts = np.bincount(index, minlength=4)
    assert counts[1] == counts[3] == 0
    assert abs(counts[0] / N - 0.25) < 4 * np.sqrt(0.25 * 0.75 / N)


def test_categorical_frequencies_per_agent():
    logits = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    picked = np.asarray(sample(d.Categorical(jnp.asarray(np.repeat(logits, 5000, axis=0))), 15_000).index)
    for row, logit in enumerate(logits):
        p = sp.softmax(logit)
        counts = np.bincount(picked[row * 5000 : (row + 1) * 5000], minlength=4)
        assert (np.abs(counts / 5000 - p) < 4 * np.sqrt(p * (1 - p) / 5000)).all()


def test_an_unlikely_option_can_win():
    """Its Gumbel number must be able to lead by 20: the probability 1e-9 is not rounded to nothing."""

    class Given(Noise):
        def bits(self, shape: tuple[int, ...]) -> jax.Array:
            return jnp.asarray(np.array([[2**32 - 2, 0], [2**31, 2**31]], np.uint32))

    choice = d.Categorical(as_float([0.0, np.log(1e-9)])).sample(Given(jr.key(0)), (2,))
    assert choice.index.tolist() == [1, 0]


VALUES = {
    "bernoulli": [0, 1],
    "binomial, summed": [0, 1, 5, 12],
    "binomial, expanded": [90, 120, 150],
    "poisson, summed": [0, 1, 2, 9],
    "poisson, expanded": [50, 70, 100],
    "geometric": [1, 2, 30],
    "exponential": [0.0, 0.1, 5.0, -1.0],
    "normal": [-4.0, 0.0, 7.0],
    "uniform": [-1.0, 0.0, 2.9, 3.5],
}


@pytest.mark.parametrize("name", VALUES)
def test_log_prob(name: str):
    mechanism, law = CASES[name]
    values = np.array(VALUES[name], np.float32)
    expected = law.logpmf(values) if name in DISCRETE else law.logpdf(values)
    np.testing.assert_allclose(mechanism.log_prob(jnp.asarray(values)), expected, rtol=2e-5, atol=3e-5)


def test_log_prob_of_a_choice():
    logits = as_float([[0.0, 1.0, -jnp.inf], [2.0, 0.0, 0.0]])
    expected = np.asarray(jax.nn.log_softmax(logits))
    got = d.Categorical(logits).log_prob(chosen(jnp.array([1, 0]), 3))
    np.testing.assert_allclose(got, [expected[0, 1], expected[1, 0]], rtol=1e-5)
    shared = d.Categorical(logits[1]).log_prob(chosen(jnp.array([0, 2, 3]), 3))
    np.testing.assert_allclose(shared, [expected[1, 0], expected[1, 2], 0.0], rtol=1e-5)  # 3: nothing was chosen


def test_log_prob_is_exact_at_the_ends():
    for p, value in ((0.0, 0.0), (1.0, 1.0)):
        assert float(d.Bernoulli(*f(p)).log_prob(as_float(value))) == 0.0
        assert float(d.Bernoulli(*f(p)).log_prob(as_float(1 - value))) == -np.inf
        assert float(d.Binomial(*f(4, p)).log_prob(as_float(4 * value))) == pytest.approx(0.0, abs=1e-6)
    assert float(d.Poisson(*f(0)).log_prob(as_float(0))) == pytest.approx(0.0, abs=1e-6)
    assert float(d.Poisson(*f(0)).log_prob(as_float(1))) == -np.inf
    assert float(d.Geometric(*f(1)).log_prob(as_float(1))) == 0.0


NAN, INF = np.nan, np.inf
VALIDITY = [
    (d.Bernoulli, (0.0,), True),
    (d.Bernoulli, (1.0,), True),
    (d.Bernoulli, (1.0 + 1e-7,), True),  # rounding of a sum
    (d.Bernoulli, (1.001,), False),
    (d.Bernoulli, (-1e-6,), False),
    (d.Bernoulli, (NAN,), False),
    (d.Binomial, (3.0, 0.5), True),
    (d.Binomial, (3.0000002, 0.5), True),
    (d.Binomial, (2.5, 0.5), False),
    (d.Binomial, (-1.0, 0.5), False),
    (d.Binomial, (3.0, NAN), False),
    (d.Binomial, (NAN, 0.5), False),
    (d.Poisson, (0.0,), True),
    (d.Poisson, (-0.1,), False),
    (d.Poisson, (INF,), False),
    (d.Poisson, (NAN,), False),
    (d.Geometric, (1.0,), True),
    (d.Geometric, (0.0,), False),
    (d.Geometric, (NAN,), False),
    (d.Exponential, (1e-9,), True),
    (d.Exponential, (0.0,), False),
    (d.Exponential, (NAN,), False),
    (d.Normal, (0.0, 0.0), True),
    (d.Normal, (0.0, -1.0), False),
    (d.Normal, (NAN, 1.0), False),
    (d.Uniform, (1.0, 1.0), True),
    (d.Uniform, (1.0, 0.0), False),
    (d.Uniform, (NAN, 0.0), False),
    (d.Categorical, ([0.0, -INF],), True),
    (d.Categorical, ([-INF, -INF],), False),
    (d.Categorical, ([0.0, NAN],), False),
    (d.Categorical, ([0.0, INF],), False),
    (d.Threshold, (0.0,), True),
    (d.Threshold, (NAN,), False),
    (d.Sort, ([1.0, NAN],), False),
    (d.Match, ([[1.0, NAN]],), False),
]


@pytest.mark.parametrize(("mechanism", "parameters", "expected"), VALIDITY)
def test_domain(mechanism: type[d.Mechanism], parameters: tuple[Any, ...], expected: bool):
    assert bool(mechanism(*f(*parameters)).valid().all()) is expected


def test_domain_of_a_subset():
    weights = as_float([1.0, 2.0, 0.0])
    assert bool(d.Subset(jnp.log(weights), 2).valid())
    assert not bool(d.Subset(jnp.log(weights), 3).valid())
    assert not bool(d.Subset(as_float([0.0, NAN, 0.0]), 2).valid())
    assert not bool(d.Subset(as_float([0.0, INF, 0.0]), 2).valid())


def test_pathwise_derivatives():
    """Continuous draws move with their parameters; counts are constant between their steps."""

    def total(x: jax.Array, make: Any) -> jax.Array:
        return make(x).sample(Noise(jr.key(0)), (8,)).sum()

    noise = Noise(jr.key(0))
    grad = eqx.filter_jit(jax.grad(total))
    half = as_float(0.5)
    assert float(grad(half, lambda x: d.Normal(x, x))) == pytest.approx(float((1 + noise.normal((8,))).sum()), rel=1e-5)
    assert float(grad(half, lambda x: d.Uniform(x, 2 * x))) == pytest.approx(
        float((1 + noise.uniform((8,))).sum()), rel=1e-5
    )
    expected = -float((noise.exponential((8,)) / 0.25).sum())
    assert float(grad(half, lambda x: d.Exponential(x))) == pytest.approx(expected, rel=1e-5)
    for make in (
        d.Bernoulli,
        d.Geometric,
        d.Poisson,
        lambda x: d.Poisson(50 * x),
        lambda x: d.Binomial(as_float(9), x),
    ):
        assert float(grad(half, make)) == 0.0


def test_a_rate_of_zero_never_comes_and_harms_no_gradient():
    rate = as_float([0.0, 2.0])
    drawn, back = jax.vjp(lambda r: d.Exponential(r).sample(Noise(jr.key(0)), (2,)), rate)
    assert drawn[0] == np.inf
    assert np.isfinite(back(as_float([0.0, 1.0]))[0]).all()
