"""The draw: names make numbers. What a site gets hangs on the key, the time and its name, and on nothing else."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from populace.core.choice import Choice
from populace.core.draw import Draw
from populace.core.noise import Noise
from populace.core.site import stable_hash

KEY = jr.key(11)


def draw(time: int = 1) -> Draw:
    return Draw(jr.fold_in(KEY, time), time)


def drawn(function: Callable[[Draw], Any], time: int = 1) -> Any:
    """What `function(draw)` returns, compiled as a whole."""
    return jax.jit(lambda key: function(Draw(jr.fold_in(key, time), time)))(KEY)


CHANCE: dict[str, Callable[..., Any]] = {
    "bernoulli": lambda d, **k: d.bernoulli("x", 0.4, **k),
    "binomial": lambda d, **k: d.binomial("x", 7, 0.4, **k),
    "poisson": lambda d, **k: d.poisson("x", 3.0, **k),
    "geometric": lambda d, **k: d.geometric("x", 0.4, **k),
    "exponential": lambda d, **k: d.exponential("x", 0.4, **k),
    "normal": lambda d, **k: d.normal("x", **k),
    "uniform": lambda d, **k: d.uniform("x", **k),
}


def equal(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_a_number_is_folded_from_key_time_and_name():
    noise = Noise(jr.fold_in(jr.fold_in(KEY, 3), stable_hash("infect")))
    got = drawn(lambda d: d.bernoulli("infect", 0.25, size=50), time=3)
    np.testing.assert_array_equal(got, (noise.uniform((50,)) < 0.25).astype(jnp.float32))


def test_draws_are_what_they_were():
    """Common across processes, machines and versions: a change here changes every recorded run."""
    got = drawn(
        lambda d: (
            d.bernoulli("infect", 0.5, size=8),
            d.poisson("births", 3.0, size=8),
            d.categorical("move", jnp.zeros(5), size=8).index,
            d.permutation("order", 8),
            d.child("wolves").child(3).binomial("hunt", 9, 0.5, size=8),
        )
    )
    assert [row.tolist() for row in got] == GOLDEN


def test_numbers_are_float32_of_the_population():
    sizes = {5: (5,), (5, 2): (5, 2), (): (), np.int64(4): (4,)}
    for kind, call in CHANCE.items():
        got = jax.eval_shape(lambda call=call: [call(draw(), size=size) for size in sizes])
        assert [leaf.shape for leaf in got] == list(sizes.values()), kind
        assert all(leaf.dtype == jnp.float32 and not leaf.weak_type for leaf in got), kind


def test_reordering_and_adding_sites_changes_nothing():
    def other(d: Draw) -> Any:
        d.poisson("new", 3.0, size=4)
        d.child("more").uniform("a", size=9)
        return d.normal("b", size=4), d.uniform("a", size=4)

    one = drawn(lambda d: (d.uniform("a", size=4), d.normal("b", size=4)))
    assert equal(one, drawn(other)[::-1])


def all_kinds(**how: Any) -> list[Any]:
    choice = draw().categorical("x", jnp.zeros(3), **how)
    return [choice, *(call(draw(), **how) for call in CHANCE.values())]


def test_capacity_changes_nothing():
    small, large = (jax.jit(lambda n=n: all_kinds(size=n))() for n in (5, 64))
    assert equal(small, jax.tree.map(lambda leaf: leaf[:5], large))


def test_times_keys_names_children_and_turns_differ():
    ways = [
        lambda d: d.uniform("a", size=3),
        lambda d: d.uniform("b", size=3),
        lambda d: d.child("a").uniform("a", size=3),
        lambda d: d.child(0).uniform("a", size=3),
        lambda d: d.child(1).uniform("a", size=3),
        lambda d: d.child("1").uniform("a", size=3),
        lambda d: d.loop("a", 3, lambda e, i, c: c.at[i].set(e.uniform("a", size=3)), jnp.zeros((3, 3))),
    ]

    def all_ways() -> list[jax.Array]:
        others = ways[0](draw(2)), ways[0](Draw(jr.fold_in(jr.key(12), 1)))
        return [x.reshape(-1) for x in (*(way(draw()) for way in ways), *others)]

    seen = np.concatenate(jax.jit(all_ways)())
    assert len(np.unique(seen)) == seen.size == 33


def test_time_is_the_step():
    assert int(draw(7).time) == 7 and draw(7).time.dtype == jnp.int32


def test_where_masks():
    where = jnp.array([1.0, 0.0, 1.0, 0.0])

    @jax.jit
    def ways() -> list[Any]:
        return [all_kinds(size=4), all_kinds(where=where), all_kinds(where=where > 0)]

    (_, *free), (choice, *masked), by_truth = ways()
    for one, other in zip(free, masked, strict=True):
        np.testing.assert_array_equal(other, np.where(where > 0, one, 0.0))
    assert equal(by_truth, [choice, *masked])
    assert choice.index[1] == choice.index[3] == 3 and (choice.one_hot.sum(-1) == where).all()
    assert choice.take(jnp.arange(1.0, 4.0))[1] == 0


def test_where_masks_a_decision():
    def rule(view: jax.Array, inner: Draw) -> Any:
        return {"bid": view + 1, "side": inner.categorical("side", jnp.zeros(2), size=3), "both": jnp.ones((3, 2))}

    action = drawn(lambda d: d.decide("trade", jnp.arange(3.0), rule, where=jnp.array([0, 1, 1])))
    assert action["bid"].tolist() == [0.0, 2.0, 3.0]
    assert action["both"].tolist() == [[0, 0], [1, 1], [1, 1]]
    assert int(action["side"].index[0]) == 2


def test_no_gradient_reaches_a_masked_parameter():
    calls = [
        lambda d, x, w: d.bernoulli("x", x, where=w),
        lambda d, x, w: d.binomial("x", 3, x, where=w),
        lambda d, x, w: d.poisson("x", x, where=w),
        lambda d, x, w: d.geometric("x", x, where=w),
        lambda d, x, w: d.exponential("x", x, where=w),
        lambda d, x, w: d.normal("x", x, x, where=w),
        lambda d, x, w: d.uniform("x", x, 2.0, where=w),
    ]

    @jax.jit
    def gradients(x: jax.Array) -> list[jax.Array]:
        where = jnp.array([1.0, 0.0, 0.0])
        return [jax.grad(lambda y, call=call: call(draw(), y, where).sum())(x) for call in calls]

    for got in gradients(jnp.array([0.5, 0.0, jnp.nan])):
        assert np.isfinite(got).all() and (got[1:] == 0).all()


def test_parameters_may_be_shared_or_one_each():
    rates = jnp.array([0.0, 1e-9, 5.0])
    shapes = jax.eval_shape(
        lambda: [
            draw().poisson("x", rates),
            draw().binomial("x", jnp.array([0, 1, 2]), 0.5),
            draw().normal("x", 0.0, jnp.ones(3)),
            draw().categorical("x", jnp.zeros((3, 2))).index,
        ]
    )
    assert [leaf.shape for leaf in shapes] == [(3,)] * 4


# Numbers that follow their agents


def test_numbers_follow_agents_and_not_slots():
    identity = jnp.array([7, 3, 12, 5])
    order = np.array([2, 0, 3, 1])

    @jax.jit
    def numbers(ids: jax.Array) -> list[Any]:
        return [call(draw().child("wolves", follow=ids), size=4) for call in CHANCE.values()]

    for here, moved in zip(numbers(identity), numbers(identity[order]), strict=True):
        np.testing.assert_array_equal(moved, here[order])


def test_followed_choices_and_pairs():
    identity = jnp.array([7, 3, 12, 5])
    order = np.array([2, 0, 3, 1])

    @jax.jit
    def both(ids: jax.Array) -> Any:
        here = draw().child("wolves", follow=ids)
        return here.categorical("a", jnp.zeros((4, 3))), here.uniform("b", size=(4, 2))

    assert equal(both(identity[order]), jax.tree.map(lambda leaf: leaf[order], both(identity)))


def test_followed_numbers_do_not_hang_on_who_else_lives():
    few = drawn(lambda d: d.child("wolves", follow=jnp.array([7, 3])).uniform("x", size=2))
    many = drawn(lambda d: d.child("wolves", follow=jnp.array([1, 3, 9, 7])).uniform("x", size=4))
    assert few.tolist() == [many[3], many[1]]


def test_rules_and_loops_follow_too():
    identity, order = jnp.array([7, 3, 12, 5]), np.array([2, 0, 3, 1])

    @jax.jit
    def both(ids: jax.Array) -> Any:
        here = draw().child("wolves", follow=ids)
        decided = here.decide("go", jnp.zeros(4), lambda view, inner: inner.uniform("x", size=4))
        looped = here.loop("rounds", 2, lambda inner, i, carry: carry + inner.uniform("x", size=4), jnp.zeros(4))
        return decided, looped

    assert equal(both(identity[order]), jax.tree.map(lambda leaf: leaf[order], both(identity)))


def test_one_number_for_all_is_allowed_to_a_following_draw():
    one = drawn(lambda d: d.child("wolves", follow=jnp.array([7, 3])).uniform("x", size=()))
    other = drawn(lambda d: d.child("wolves", follow=jnp.array([3, 7, 8])).uniform("x", size=()))
    assert float(one) == float(other)


# Structure


def test_a_child_has_its_own_population():
    def three(d: Draw) -> list[jax.Array]:
        return [
            d.uniform("x", size=3),
            d.child("others").uniform("x", size=5),
            d.loop("turns", 2, lambda e, i, c: c + e.uniform("x", size=7), jnp.zeros(7)),
        ]

    assert [leaf.shape for leaf in jax.eval_shape(lambda: three(draw()))] == [(3,), (5,), (7,)]


def test_a_loop_is_a_loop():
    def body(inner: Draw, i: jax.Array, carry: jax.Array) -> jax.Array:
        return carry.at[i].add(inner.uniform("x", size=()))

    looped, short, none = drawn(lambda _: [draw().loop("turns", n, body, jnp.zeros(4)) for n in (4, 2, 0)])
    key = jr.fold_in(jr.fold_in(KEY, 1), stable_hash("turns"))
    for i in range(4):
        by_hand = Noise(jr.fold_in(jr.fold_in(key, i), stable_hash("x"))).uniform(())
        assert float(looped[i]) == float(by_hand)
    np.testing.assert_array_equal(short[:2], looped[:2])
    assert (none == 0).all()


def test_loops_nest_with_children():
    def outer(d: Draw, i: jax.Array, carry: jax.Array) -> jax.Array:
        return d.child("inside").loop("again", 3, lambda e, j, c: c.at[i, j].set(e.uniform("x", size=())), carry)

    assert len(np.unique(drawn(lambda d: d.loop("turns", 2, outer, jnp.zeros((2, 3)))))) == 6


def test_a_rule_draws_by_its_own_names():
    """Its sites lie under the decision's, so that they clash with no other's."""

    def rule(view: jax.Array, inner: Draw) -> jax.Array:
        return inner.uniform("x", size=3)

    here = draw()
    outside = here.uniform("x", size=3)
    assert not np.array_equal(outside, here.decide("go", jnp.zeros(3), rule))


def test_a_choice_comes_back_as_one():
    assert isinstance(jax.eval_shape(lambda: draw().categorical("x", jnp.zeros((3, 2)))), Choice)
    assert isinstance(jax.eval_shape(lambda: draw().match("x", jnp.zeros((3, 2)))), Choice)


def test_faulty_sees_what_was_drawn_so_far():
    here = draw()
    assert not bool(here.faulty())
    here.bernoulli("fine", 0.5, size=2)
    assert not bool(here.faulty())
    here.child("others").bernoulli("wrong", jnp.nan, size=2)
    assert bool(here.faulty())


def test_compiled_draws_are_the_same():
    def normal(d: Draw) -> jax.Array:
        return d.normal("x", size=9)

    np.testing.assert_allclose(normal(draw()), drawn(normal), rtol=1e-6)


def test_every_public_method_says_what_it_does():
    for name, member in inspect.getmembers(Draw):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name


GOLDEN = [
    [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0],
    [3.0, 5.0, 4.0, 7.0, 0.0, 4.0, 2.0, 2.0],
    [1, 3, 2, 0, 2, 3, 4, 0],
    [5, 4, 0, 6, 7, 3, 2, 1],
    [6.0, 5.0, 7.0, 6.0, 4.0, 9.0, 3.0, 5.0],
]
