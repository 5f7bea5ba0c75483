"""A choice: a gather forwards, a product with the one-hot rows backwards, and nothing where nothing was chosen."""

import jax
import jax.numpy as jnp
import numpy as np

from populace.core.choice import Choice, chosen

INDEX = jnp.array([2, 0, 3, 1])  # of 3 options: the third agent chose nothing
VALUES = jnp.array([10.0, 20.0, 30.0])
TABLE = jnp.arange(12.0).reshape(4, 3)


def test_chosen():
    choice = chosen(INDEX, 3)
    np.testing.assert_array_equal(choice.one_hot, [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0]])
    assert choice.one_hot.dtype == jnp.float32 and choice.index.dtype == jnp.int32


def test_take_and_pick():
    choice = chosen(INDEX, 3)
    assert choice.take(VALUES).tolist() == [30.0, 10.0, 0.0, 20.0]
    assert choice.pick(TABLE).tolist() == [2.0, 3.0, 0.0, 10.0]
    rows = choice.take(jnp.stack([VALUES, -VALUES], axis=-1))
    assert rows.tolist() == [[30.0, -30.0], [10.0, -10.0], [0.0, 0.0], [20.0, -20.0]]


def test_take_keeps_the_dtype():
    choice = chosen(INDEX, 3)
    assert choice.take(jnp.array([7, 8, 9])).tolist() == [9, 7, 0, 8]
    assert choice.take(jnp.array([7, 8, 9])).dtype == jnp.int32
    assert choice.take(jnp.array([True, False, True])).tolist() == [True, True, False, False]
    assert choice.pick(jnp.ones((4, 3), jnp.int32)).dtype == jnp.int32


def test_infinite_values_of_other_options_do_no_harm():
    assert chosen(jnp.array([0, 1]), 2).take(jnp.array([1.0, jnp.inf])).tolist() == [1.0, np.inf]
    assert chosen(jnp.array([0, 0]), 2).take(jnp.array([1.0, jnp.nan])).tolist() == [1.0, 1.0]


def test_derivatives():
    choice = chosen(INDEX, 3)

    def taken(one_hot: jax.Array, values: jax.Array) -> jax.Array:
        return Choice(one_hot, INDEX).take(values)

    def picked(one_hot: jax.Array, table: jax.Array) -> jax.Array:
        return Choice(one_hot, INDEX).pick(table)

    d_one_hot, d_values = jax.jit(jax.jacrev(taken, argnums=(0, 1)))(choice.one_hot, VALUES)
    np.testing.assert_array_equal(d_values, choice.one_hot)
    np.testing.assert_array_equal(d_one_hot, np.eye(4)[:, :, None] * np.asarray(VALUES))
    d_one_hot, d_table = jax.jit(jax.jacfwd(picked, argnums=(0, 1)))(choice.one_hot, TABLE)
    np.testing.assert_array_equal(d_one_hot, np.eye(4)[:, :, None] * np.asarray(TABLE)[:, None, :])
    np.testing.assert_array_equal(d_table, np.eye(4)[:, :, None] * np.asarray(choice.one_hot)[:, None, :])


def test_whole_values_have_no_derivative():
    grad = jax.grad(lambda one_hot: Choice(one_hot, INDEX).take(jnp.array([1, 2, 3])).astype(jnp.float32).sum())
    assert (grad(chosen(INDEX, 3).one_hot) == 0).all()
