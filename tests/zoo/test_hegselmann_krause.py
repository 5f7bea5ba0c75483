"""Bounded confidence: the facts that its docstring lists."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.simulate import begin
from populace.testing.models import check_model
from populace.zoo.hegselmann_krause import TICKS, HegselmannKrause, near_mean

AGENTS, EPSILONS, RUNS = 400, (0.05, 0.1, 0.15, 0.3), 8
ERRORS = 4.0
MEANS = eqx.filter_jit(near_mean)


@pytest.fixture(scope="module")
def found() -> dict[str, np.ndarray]:
    """Observations (epsilons, runs, steps)."""
    model = HegselmannKrause(AGENTS)
    seen = pop.ensemble(model, jr.key(1), 60, runs=RUNS, parameters={"epsilon": EPSILONS}).observations
    return {name: np.asarray(values, np.float64) for name, values in seen.items()}


def test_it_keeps_the_laws_of_models():
    check_model(HegselmannKrause(20), jr.key(0))


@pytest.mark.parametrize("epsilon", [0.0, 0.07, 0.3, 1.0])
def test_the_mean_of_who_is_near_is_exact(epsilon):
    """Against sums over all pairs, in whole numbers."""
    ticks = np.random.default_rng(3).integers(0, TICKS + 1, 257)
    near = abs(ticks[:, None] - ticks) <= round(np.float32(epsilon) * TICKS)
    total, count = (near * ticks).sum(1), near.sum(1)
    opinion = jnp.asarray(ticks / TICKS, jnp.float32)
    np.testing.assert_array_equal(MEANS(opinion, jnp.float32(epsilon)) * TICKS, (total + count // 2) // count)


def test_order_stays_and_all_comes_to_rest_in_camps_that_do_not_hear_each_other():
    model = HegselmannKrause(AGENTS, epsilon=0.08)
    end = pop.simulate(model, jr.key(4), 60).final.state
    order = np.argsort(begin(model, jr.key(4)).state["opinion"], kind="stable")
    camps = np.asarray(end["opinion"], np.float64)[order]
    assert (np.diff(camps) >= 0).all() and float(end["moved"]) == 0.0
    gaps = np.diff(camps)
    assert (gaps[gaps > 0] > 0.08).all()


def test_the_range_never_grows(found):
    assert (np.diff(found["range"], axis=-1) <= 0).all()


def test_the_fewer_camps_the_more_confidence(found):
    """About 1 / (2 epsilon), and one from .25 on."""
    camps = found["clusters"][..., -1].mean(1)
    assert (np.diff(camps) < 0).all()
    np.testing.assert_allclose(camps[:3], 1 / (2 * np.array(EPSILONS[:3])), rtol=0.35)
    assert (found["clusters"][-1, :, -1] == 1).all() and (found["clusters"][2, :, -1] >= 2).all()


def test_the_mean_is_kept_roughly(found):
    """Runs are symmetric about 1/2: over runs the mean is kept."""
    moved = found["mean"][..., -1] - 0.5
    assert (abs(moved.mean(1)) < ERRORS * moved.std(1, ddof=1) / np.sqrt(RUNS)).all()


def test_all_who_hear_all_agree_on_the_mean_after_a_step():
    run = pop.simulate(HegselmannKrause(AGENTS, epsilon=1.0), jr.key(4), 60)
    assert float(run.observations["range"][0]) == 0.0 and float(run.observations["moved"][1]) == 0.0


def test_more_agents_than_sums_hold_are_named():
    with pytest.raises(pop.ModelError, match="summed exactly"):
        HegselmannKrause(10**6)
