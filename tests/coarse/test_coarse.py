"""Bursts of a model and of a black box."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace._errors import MethodError
from populace.coarse.stepper import burst
from populace.zoo.logit_choice import LogitChoice

PEOPLE = LogitChoice(agents=200, J=1.5)


def lift(macro, draw):
    return PEOPLE.at(macro["mean"])


def view(**other):
    return pop.Coarse(PEOPLE, **{"lift": lift, "within": {"mean": (-1.0, 1.0)}, "steps": 4, "step_time": 0.05, **other})


@pytest.fixture(scope="module")
def made():
    return burst(view(), np.array([[-0.5], [0.2], [0.2], [3.0]]), {"h": np.array([0.0, 0.1, 0.1, 0.2])}, jr.key(0))


def test_a_burst_begins_where_it_was_sent(made):
    assert made.paths.shape == (4, 5, 1)
    np.testing.assert_allclose(made.paths[:, 0, 0], [-0.5, 0.2, 0.2, 1.0], atol=1e-6)  # 3 is drawn into the range
    np.testing.assert_allclose(made.varied[:, 0], [0.0, 0.1, 0.1, 0.2])


def test_each_burst_has_numbers_of_its_own_and_the_same_again(made):
    assert not np.array_equal(made.paths[1], made.paths[2])
    again = burst(view(), np.array([[-0.5], [0.2], [0.2], [3.0]]), {"h": np.array([0.0, 0.1, 0.1, 0.2])}, jr.key(0))
    np.testing.assert_array_equal(again.paths, made.paths)


def test_a_burst_is_the_model_run_on():
    """The same steps as `simulate` makes of the lifted state, seen every other step and after healing."""
    start = pop.Snapshot(PEOPLE.at(jnp.float32(0.2)), {}, jnp.int32(0))
    key = jr.fold_in(jr.key(3), 0)
    run = pop.simulate(eqx.tree_at(lambda m: m.h, PEOPLE, jnp.float32(0.3)), key, 6, start=start)
    path = burst(view(heal=2, every=2), np.array([[0.2]]), {"h": np.array([0.3])}, jr.key(3)).paths[0, :, 0]
    np.testing.assert_allclose(path, np.asarray(run.observations["mean"])[[1, 3, 5]], atol=1e-6)


def test_moves_are_the_stretches_between_rows(made):
    where, rates, of = made.moves(0.05)
    assert where.shape == (16, 2) and rates.shape == (16, 1)
    np.testing.assert_array_equal(of, np.repeat(np.arange(4), 4))
    np.testing.assert_allclose(where[5], [made.paths[1, 1, 0], 0.1])
    np.testing.assert_allclose(rates[5, 0], (made.paths[1, 2, 0] - made.paths[1, 1, 0]) / 0.05)


def test_restrict_may_be_given():
    seen = view(restrict=lambda opinions: {"up": (opinions > 0).mean()}, within={"up": (0.0, 1.0)}, lift=lifted_share)
    path = burst(seen, np.array([[0.3]]), {}, jr.key(1)).paths
    assert path[0, 0, 0] == pytest.approx(0.3, abs=1e-6)


def lifted_share(macro, draw):
    return PEOPLE.at(2.0 * macro["up"] - 1.0)


def test_a_black_box_may_return_ends_only():
    box = pop.CoarseFunction(lambda x, p, key: x * p["a"][:, None], within={"x": (-1, 1)}, values={"a": 0.5}, time=2.0)
    made = burst(box, np.array([[0.4], [0.8]]), {"a": np.array([0.5, 0.25])}, jr.key(0))
    np.testing.assert_allclose(made.paths[:, :, 0], [[0.4, 0.2], [0.8, 0.2]])
    assert box.interval() == 2.0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"steps": 3, "every": 2}, "multiple of every"),
        ({"within": {}}, "at least one macro variable"),
        ({"within": {"mean": (1.0, 1.0)}}, "is empty"),
        ({"step_time": 0.0}, "time"),
    ],
)
def test_what_cannot_be_is_said(wrong, says):
    with pytest.raises(MethodError, match=says):
        view(**wrong)


def test_an_unknown_variable_and_parameter_are_named():
    with pytest.raises(Exception, match="mood"):
        burst(
            view(within={"mood": (0.0, 1.0)}, lift=lambda macro, draw: PEOPLE.at(macro["mood"])), [[0.5]], {}, jr.key(0)
        )
    with pytest.raises(Exception, match="did you mean 'h'"):
        burst(view(), [[0.5]], {"hh": np.array([0.1])}, jr.key(0))


def test_bursts_that_are_not_finite_are_refused():
    box = pop.CoarseFunction(lambda x, p, key: x * np.nan, within={"x": (-1, 1)})
    with pytest.raises(Exception, match="came back with NaN"):
        burst(box, np.array([[0.4]]), {}, jr.key(0))
    flat = pop.CoarseFunction(lambda x, p, key: x, within={"x": (-1, 1)}, times=3)
    with pytest.raises(Exception, match="came back with shape"):
        burst(flat, np.array([[0.4]]), {}, jr.key(0))
