"""Laws over actions: densities, ranges, what is allowed, and what is tried."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.learning.actions import probes

LAW = jnp.array([0.3, -0.4])


@pytest.mark.parametrize("low", [-np.inf, 0.0])
@pytest.mark.parametrize("high", [np.inf, 2.0])
def test_numbers_keep_to_their_range_and_the_law_is_normal(low: float, high: float):
    actions = pop.Continuous(low, high, spread=0.8)
    raw = jax.vmap(lambda k: actions.sample(LAW, None, k))(jr.split(jr.key(0), 500))
    made = jax.vmap(actions.action)(raw)
    assert (made > low).all() and (made < high).all()
    law = dist.Normal(0.3, 0.8 * np.exp(-0.4))
    log_prob, entropy = actions.log_prob(LAW, None, raw[0])
    assert float(log_prob) == pytest.approx(float(law.log_prob(raw[0])), rel=1e-4)
    assert float(entropy) == pytest.approx(float(law.entropy()), rel=1e-4)
    assert float(raw.mean()) == pytest.approx(0.3, abs=4 * 0.54 / 500**0.5)


@pytest.mark.parametrize(
    ("low", "high", "first"), [(0, 1, 0.2), (0, np.inf, 3.0), (-np.inf, 2, -1.0), (-np.inf, np.inf, 5)]
)
def test_the_first_law_lies_around_first(low: float, high: float, first: float):
    actions = pop.Continuous(low, high, first=first)
    assert float(actions.action(actions.mode(jnp.zeros(2), None))) == pytest.approx(first, rel=1e-5)


def test_a_law_goes_on_trying():
    actions = pop.Continuous(least=0.1)
    raw = jax.vmap(lambda k: actions.sample(jnp.array([0.0, -20.0]), None, k))(jr.split(jr.key(1), 1000))
    assert float(raw.std()) == pytest.approx(0.1, rel=0.1)


def test_options_are_categorical():
    actions, law = pop.Discrete(3), jnp.array([0.0, 1.0, -1.0])
    log_prob, entropy = actions.log_prob(law, None, jnp.int32(1))
    share = np.exp(law) / np.exp(law).sum()
    assert float(log_prob) == pytest.approx(np.log(share[1]), rel=1e-5)
    assert float(entropy) == pytest.approx(-(share * np.log(share)).sum(), rel=1e-5)
    assert int(actions.mode(law, None)) == 1


def test_what_is_not_allowed_is_never_done():
    actions = pop.Discrete(3, allowed=lambda view: view["open"])
    view, law = {"open": jnp.array([1.0, 0.0, 1.0])}, jnp.array([0.0, 9.0, 1.0])
    drawn = jax.vmap(lambda k: actions.sample(law, view, k))(jr.split(jr.key(2), 300))
    assert set(np.unique(drawn).tolist()) == {0, 2}
    assert int(actions.mode(law, view)) == 2
    _, entropy = actions.log_prob(law, view, jnp.int32(0))
    assert np.isfinite(float(entropy))


def test_mixed_actions_are_independent():
    one, other = pop.Continuous(0, 1), pop.Discrete(2)
    both = pop.Mixed({"price": one, "enter": other})
    law = jnp.array([0.1, 0.2, 0.3, 0.4])
    raw = both.sample(law, None, jr.key(3))
    parts = one.log_prob(law[:2], None, raw["price"]), other.log_prob(law[2:], None, raw["enter"])
    for whole, (first, second) in zip(both.log_prob(law, None, raw), zip(*parts, strict=True), strict=True):
        assert float(whole) == pytest.approx(float(first + second), rel=1e-6)
    assert set(both.action(raw)) == {"price", "enter"}


def test_probes_cover_what_can_be_done():
    assert probes(pop.Discrete(4), 9).tolist() == [0, 1, 2, 3]
    line = np.asarray(probes(pop.Continuous(2, 4), 5))
    assert line[0] == pytest.approx(2.002) and line[-1] == pytest.approx(3.998) and len(line) == 5
    free = probes(pop.Mixed({"a": pop.Continuous(), "b": pop.Discrete(2)}), 50)
    assert free["a"].shape == (50,) and float(free["a"].std()) > 1.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: pop.Continuous(1, 1),
        lambda: pop.Continuous(spread=0.01),
        lambda: pop.Continuous(0, 1, first=2.0),
        lambda: pop.Discrete(1),
        lambda: pop.Mixed({}),
    ],
)
def test_actions_that_make_no_sense_are_refused(make: object):
    with pytest.raises(pop.MethodError):
        make()  # type: ignore[operator]
