"""Summaries that are learned, where the best ones are known."""

import json
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import ndtri
from scipy.stats import norm

import populace as pop
from populace.calibration.learned_summaries import _apart, _reached, _target
from populace.core.executor import Ticker

TIMES = 40


def walk(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    """x' = a x + noise, from 0; `b` does nothing."""
    noise, x, held = ndtri(u), np.zeros(len(u)), []
    for now in noise.T:
        x = parameters["a"] * x + now
        held.append(x)
    return {"x": np.stack(held, axis=1)}


RNG = np.random.default_rng(3)
DATA = walk({"a": np.array([0.5])}, RNG.uniform(size=(1, TIMES)))["x"][0]


def problem(simulator: Any, data: np.ndarray = DATA) -> pop.Problem:
    """By moments that say nothing of `a`'s sign alone: they are to be held out."""
    space = pop.Space(a=dist.Uniform(-1.0, 1.0), b=dist.Normal(0.0, 1.0))
    return pop.Problem(simulator(walk, TIMES), space, pop.Target({"x": data}, [pop.mean("x"), pop.variance("x")]))


def exact() -> tuple[float, float]:
    """Mean and standard deviation of `a` by a fine grid."""
    a = np.linspace(-1.0, 1.0, 2_001)
    logs = norm.logpdf(DATA, a[:, None] * np.append(0.0, DATA[:-1])).sum(1)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    mean = weights @ a
    return mean, np.sqrt(weights @ (a - mean) ** 2)


@pytest.fixture(scope="module")
def learned(numpy_simulator: Any) -> Any:
    encoder = pop.Recurrent(width=8)
    return pop.learned_summaries(
        problem(numpy_simulator), encoder, jr.key(0), budget=800, members=2, steps=300, progress=False
    )


def test_the_posterior_is_nearly_as_narrow_as_that_of_the_exact_likelihood(learned: Any):
    """Within 25 %: of runs from the prior, those whose summaries of `a` are nearest to the data's."""
    task = learned.problem
    draws = task.space.sample(jr.key(1), 16_000)
    seen = task.simulate(draws, jr.split(jr.key(2), 16_000), Ticker(None, "", 0)).moments[:, 0]
    near = np.argsort(np.abs(seen - task.target.values[0]))[:300]
    kept = np.asarray(draws["a"])[near]
    mean, spread = exact()
    assert abs(kept.mean() - mean) < 0.6 * spread
    assert 0.75 * spread < kept.std() < 1.25 * spread


def test_what_was_learned_is_said(learned: Any):
    a, b, *data = learned.verdicts()
    assert a.code is pop.Code.LEARNED and b.code is pop.Code.NOT_LEARNED
    assert 0.7 < learned.r_squared[0] < 1.0 and learned.r_squared[1] < 0.05
    assert [one.code for one in data] == [pop.Code.WITHIN_REACH] * 2
    assert learned.calls == 800 and "800 calls beside those of a fit" in learned.sections()[0].text[0]
    assert json.loads(json.dumps(learned.record(), allow_nan=False))["R2"]["a"] > 0.7
    target = learned.problem.target
    assert target.labels == ("learned(a)", "learned(b)", "mean(x)", "variance(x)")
    assert target.fitted.tolist() == [True, True, False, False]


def test_runs_left_out_are_judged_by_networks_that_left_them_out(learned: Any):
    """The moment is the mean of members, most of which learned a run: it says more of it than `said` does."""
    a = learned.truths[:, 0]
    assert np.corrcoef(a, learned.said[:, 0])[0, 1] > 0.8
    assert learned.truths.shape == learned.said.shape == (800, 2)


def test_data_from_elsewhere_are_named_and_times_that_they_miss_are_missed_by_runs_too(numpy_simulator: Any):
    missing = np.arange(TIMES) % 5 == 2
    far = problem(numpy_simulator, np.ma.masked_array(40.0 + DATA, missing))
    rng = np.random.default_rng(1)
    unit = rng.uniform(size=(120, 2))
    seen = walk({"a": 2.0 * unit[:, 0] - 1.0}, rng.uniform(size=(120, TIMES)))
    (verdict,) = _reached(far.space, unit, seen, {"your moments": far.target})
    assert verdict.code is pop.Code.OUT_OF_REACH and verdict.sentence.startswith("your moments: ")
    raw = _target(far.target, [pop.level("x")])
    (series,) = _apart(raw, ("x",), raw.summarise(seen))
    np.testing.assert_allclose(series, seen["x"][:, ~missing], rtol=1e-6)
    assert raw.missing == {"x": 8}


ENCODERS = {
    "recurrent": (pop.Recurrent(width=4), (9, 2)),
    "convolutional": (pop.Convolutional(width=4, kernel=3), (9, 2)),
    "spatial": (pop.Spatial(width=4), (3, 6, 5)),
    "set": (pop.DeepSet(width=4), (9, 2)),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_reads_what_it_says(name: str):
    encoder, shape = ENCODERS[name]
    network = encoder.network(encoder.arranged([jnp.zeros(shape)]).shape, jr.key(1))

    @jax.jit
    def looked(series: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = network(encoder.arranged([series]))
        return features, jax.grad(lambda x: network(encoder.arranged([x])).sum())(series)

    features, slopes = looked(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    assert features.ndim == 1 and bool(jnp.isfinite(features).all())
    assert (np.abs(slopes).reshape(shape[0], -1).max(1) > 0).all()  # it sees every time


def test_a_set_has_no_order_and_a_series_has():
    rows = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    for encoder, alike in ((pop.DeepSet(), True), (pop.Recurrent(), False)):
        network = encoder.network((50, 2), jr.key(2))
        seen = jax.jit(lambda series, e=encoder, n=network: n(e.arranged([series])))
        one, other = seen(rows), seen(np.random.default_rng(1).permutation(rows))
        assert np.array_equal(one, other) if alike else np.abs(one - other).max() > 1e-3


def test_what_cannot_be_learned_is_refused(numpy_simulator: Any):
    task = problem(numpy_simulator)
    with pytest.raises(pop.MethodError, match="budget=50, members=3: take 100 runs"):
        pop.learned_summaries(task, pop.Recurrent(), jr.key(0), budget=50)
    with pytest.raises(pop.MethodError, match="reads fields"):
        pop.learned_summaries(task, pop.Spatial(), jr.key(0), budget=100)
    with pytest.raises(pop.MethodError, match="an odd kernel"):
        pop.learned_summaries(task, pop.Convolutional(kernel=4), jr.key(0), budget=100)
