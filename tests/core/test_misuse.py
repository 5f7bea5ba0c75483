"""Misuse of a draw is an error at trace time that names the site and says what to do instead."""

import re
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace._errors import ModelError, SiteError, StateError
from populace.core import draw as draw_module
from populace.core.distributions import Bernoulli
from populace.core.draw import Draw
from populace.core.model import Model
from populace.core.plug import Replace
from populace.core.simulate import simulate

Asked = Callable[[Draw], Any]


def ask(asked: Asked, **others: Any) -> Any:
    """Traces `asked(draw)`; nothing is computed."""

    def traced() -> Any:
        got = asked(Draw(jr.key(0), **others))
        return got if isinstance(got, jax.Array) else None

    return jax.eval_shape(traced)


def refused(asked: Asked, *words: str, **others: Any) -> None:
    with pytest.raises(SiteError) as caught:
        ask(asked, **others)
    for word in words:
        assert re.search(word, str(caught.value)), f"'{word}' is not in: {caught.value}"


def u(d: Draw, name: str = "x", size: Any = 3) -> jax.Array:
    return d.uniform(name, size=size)


# Names


def twice(d: Draw) -> None:
    u(d)
    u(d)


def test_a_name_is_drawn_once():
    refused(twice, "'x' is drawn twice")
    refused(lambda d: twice(d.child("wolves")), "'wolves/x' is drawn twice")
    refused(lambda d: (d.child("a"), d.child("a")), "'a' is drawn twice")
    refused(lambda d: (u(d, "a"), d.child("a")), "'a' is drawn twice")
    refused(lambda d: (u(d, "a"), d.loop("a", 2, lambda e, i, c: c, 0)), "'a' is drawn twice")
    refused(lambda d: d.loop("a", 2, lambda e, i, c: (twice(e), c)[1], 0), "'a/x' is drawn twice")
    refused(lambda d: d.decide("go", jnp.zeros(3), lambda view, e: twice(e)), "'go/x' is drawn twice")
    ask(lambda d: (u(d), u(d.child("a")), u(d.child("b"))))


def test_children_whose_paths_would_be_one():
    refused(lambda d: (d.child(0), d.child("0")), "'0' is drawn twice")
    ask(lambda d: (d.child(0), d.child(1), d.child("one")))


def test_names_that_share_a_hash(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(draw_module, "stable_hash", lambda name: len(str(name)))
    refused(lambda d: (u(d, "aa"), u(d, "bb")), "'bb'", "'aa'", "share a hash", "rename")
    refused(lambda d: (u(d, "aa"), d.child("bb")), "share a hash")
    ask(lambda d: (u(d, "aa"), u(d.child("c"), "aa")))


@pytest.mark.parametrize("name", ["", "a/b", "/", 3, None, b"x"])
def test_a_site_has_a_plain_name(name: Any):
    refused(lambda d: u(d, name), "a site's name is a text", re.escape(repr(name)))


def test_children_and_loops_have_plain_names_too():
    refused(lambda d: d.child("a/b"), "child's name", "'a/b'")
    refused(lambda d: d.child(""), "child's name")
    refused(lambda d: d.loop("a/b", 2, lambda e, i, c: c, 0), "loop's name")
    for name in (True, 1.5, None, np.zeros(2)):
        refused(lambda d: d.child(name), "child", "plain integer", type(name).__name__)  # noqa: B023


def test_a_traced_child_is_refused():
    """`child(i)` of a loop's counter would let a raw loop under a vmap slip through."""
    refused(lambda d: d.child(jnp.int32(3)), "plain integer", "draw.loop")
    refused(lambda d: jax.lax.fori_loop(0, 3, lambda i, c: c + u(d.child(i), size=()), 0.0), "plain integer")


@pytest.mark.parametrize("turns", [-1, 2.0, True, None])
def test_a_loop_has_a_plain_number_of_turns(turns: Any):
    refused(lambda d: d.loop("rounds", turns, lambda e, i, c: c, 0), "'rounds'", "plain integer")
    refused(lambda d: d.loop("rounds", jnp.int32(2), lambda e, i, c: c, 0), "'rounds'", "plain integer")


# Foreign traces

FOREIGN = {
    "vmap": lambda d: jax.vmap(lambda x: x + u(d, size=()))(jnp.zeros(3)),
    "vmap, parameter batched": lambda d: jax.vmap(lambda p: d.bernoulli("x", p, size=()))(jnp.zeros(3)),
    "filter_vmap": lambda d: eqx.filter_vmap(lambda x: x + u(d, size=()))(jnp.zeros(3)),
    "scan": lambda d: jax.lax.scan(lambda c, i: (c + u(d, size=()), None), 0.0, jnp.arange(3)),
    "fori_loop": lambda d: jax.lax.fori_loop(0, 3, lambda i, c: c + u(d, size=()), 0.0),
    "while_loop": lambda d: jax.lax.while_loop(lambda c: c < 3, lambda c: c + u(d, size=()), 0.0),
    "map": lambda d: jax.lax.map(lambda i: u(d, size=()), jnp.arange(3)),
    "cond": lambda d: jax.lax.cond(d.time > 0, lambda: u(d), lambda: jnp.zeros(3)),
    "switch": lambda d: jax.lax.switch(d.time, [lambda: u(d), lambda: jnp.zeros(3)]),
    "jit": lambda d: jax.jit(lambda: u(d))(),
    "checkpoint": lambda d: jax.checkpoint(lambda x: x + u(d))(jnp.zeros(3)),
    "grad": lambda d: jax.grad(lambda p: d.bernoulli("x", p, size=3).sum())(0.5),
    "jvp": lambda d: jax.jvp(lambda p: d.bernoulli("x", p, size=3), (0.5,), (1.0,)),
    "linearize": lambda d: jax.linearize(lambda p: d.bernoulli("x", p, size=3), 0.5),
}


@pytest.mark.parametrize("asked", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_draw_in_a_foreign_trace_is_refused(asked: Asked):
    refused(asked, "'x'", "another trace", "whole population", "draw.loop", "where=")


@pytest.mark.parametrize(
    "asked",
    [
        lambda d: jax.vmap(lambda x, e=d.child("before"): x + u(e, size=()))(jnp.zeros(3)),
        lambda d: jax.vmap(lambda x: x + u(d.child("inside"), size=()))(jnp.zeros(3)),
        lambda d: jax.lax.scan(lambda c, i: (c + u(d.child("inside"), size=()), None), 0.0, jnp.arange(3)),
        lambda d: jax.vmap(lambda x: d.loop("turns", 2, lambda e, i, c: c, x))(jnp.zeros(3)),
        lambda d: jax.vmap(lambda x: x + d.time)(jnp.zeros(3)),
        lambda d: d.loop("turns", 2, lambda e, i, c: c + u(d, size=()), 0.0),
        lambda d: d.loop("turns", 2, lambda e, i, c: jax.vmap(lambda x: x + u(e, size=()))(c), jnp.zeros(3)),
        lambda d: d.decide("go", jnp.zeros(3), lambda view, e: jax.vmap(lambda v: v + u(e, size=()))(view)),
    ],
    ids=["child before", "child inside", "child in scan", "loop", "time", "outer in loop", "vmap in loop", "in a rule"],
)
def test_children_loops_and_rules_in_a_foreign_trace(asked: Asked):
    refused(asked, "another trace")


def test_what_is_computed_from_draws_may_be_transformed():
    def asked(d: Draw) -> jax.Array:
        x = u(d)
        return jax.vmap(jnp.sin)(x) + jax.jit(jnp.cos)(x) + jax.grad(lambda y: (y * x).sum())(x)

    assert ask(asked).shape == (3,)


# Draws kept too long


def test_a_closed_draw_is_refused():
    here = Draw(jr.key(0))
    child, inside = here.child("wolves"), []
    here.decide("go", jnp.zeros(3), lambda view, inner: (inside.append(inner), view)[1])
    here.close()
    for kept, path in ((here, "x"), (child, "wolves/x"), (inside[0], "go/x")):
        with pytest.raises(SiteError, match=f"'{path}'.*closed"):
            u(kept)
        with pytest.raises(SiteError, match="closed"):
            kept.child("more")
    with pytest.raises(SiteError, match="closed"):
        _ = here.time


class Keeper(Model):
    """Keeps the draw of `init` and uses it in `step`."""

    kept: list[Draw] = eqx.field(static=True, default_factory=list)
    how: str = eqx.field(static=True, default="draw")

    def init(self, draw: Draw) -> jax.Array:
        self.kept.append(draw if self.how == "draw" else draw.child("more"))
        return jnp.zeros(3)

    def step(self, draw: Draw, state: jax.Array) -> jax.Array:
        return state + u(self.kept[0])

    def observe(self, state: jax.Array) -> dict[str, jax.Array]:
        return {"x": state}


class Slots(list):  # a list that hashes, to be static
    __hash__ = object.__hash__


@pytest.mark.parametrize("how", ["draw", "child"])
def test_a_draw_of_init_is_refused_in_step(how: str):
    with pytest.raises(SiteError, match=r"x'.*closed"):
        simulate(Keeper(kept=Slots(), how=how), jr.key(0), 2)


# Shapes


def test_scalars_need_a_size():
    refused(lambda d: d.bernoulli("x", 0.5), "'x'", "every argument is shared", r"size=\(\)")
    refused(lambda d: d.categorical("x", jnp.zeros(4)), "'x'", "shared")
    refused(lambda d: d.normal("x"), "'x'", "shared")
    assert ask(lambda d: d.bernoulli("x", 0.5, size=())).shape == ()
    assert ask(lambda d: d.threshold("x", 0.5)).shape == ()


def test_shapes_that_do_not_fit():
    four, three = jnp.ones(4), jnp.ones(3)
    refused(lambda d: d.bernoulli("x", four, where=three), "'x'", r"parameters \(4,\)", r"where \(3,\)")
    refused(lambda d: d.bernoulli("x", 0.5, where=three, size=4), "'x'", r"where \(3,\)", r"size \(4,\)")
    refused(lambda d: d.bernoulli("x", four, size=3), "'x'", r"size \(3,\)")
    refused(lambda d: d.bernoulli("x", four, size=()), "'x'", r"size \(\)")
    refused(lambda d: d.normal("x", four, three), "'x'", "normal", "parameters of shapes")
    refused(lambda d: d.binomial("x", four, three), "'x'", "binomial")
    refused(lambda d: d.categorical("x", jnp.zeros((4, 2)), where=three), "'x'", r"where \(3,\)")
    refused(lambda d: d.bernoulli("x", jnp.ones((4, 1)), where=four), "'x'", r"where \(4,\)")
    refused(lambda d: d.sort("x", jnp.ones((4, 2))), "'x'", "sort")
    refused(lambda d: d.top_k("x", four, 5), "'x'", "k <= agents")
    refused(lambda d: d.top_k("x", jnp.ones((4, 2)), 1), "'x'", "top_k")
    refused(lambda d: d.match("x", four), "'x'", "match")
    refused(lambda d: d.choice("x", 3, 4), "'x'", "cannot choose 4 of 3")
    refused(lambda d: d.choice("x", 3, 2, weights=four), "'x'", "weights")


def test_a_sub_population_needs_a_child():
    refused(lambda d: (u(d, "x", 3), u(d, "y", 5)), "'y' has 5 agents", "3", "draw.child")
    refused(lambda d: u(d.child("w", follow=jnp.arange(4)), "y", 5), "'w/y' has 5 agents", "4")
    ask(lambda d: (u(d, "x", 3), u(d, "y", (3, 2)), u(d, "z", ()), d.choice("c", 9, 2), d.permutation("p", 9)))


def test_a_decision_sees_agents_on_the_leading_axis():
    view = {"price": jnp.ones(4), "mean": jnp.ones(())}
    refused(lambda d: d.decide("go", view, lambda v, e: v["price"]), "'go'", "view", r"\(4\)", "broadcast_to")
    refused(lambda d: d.decide("go", jnp.ones(4), lambda v, e: v, where=jnp.ones(3)), "'go'", r"where \(3,\)")
    refused(
        lambda d: d.decide("go", jnp.ones(4), lambda v, e: v[:2], where=jnp.ones(4)), "'go'", r"\(2,\)", r"where \(4,\)"
    )


def test_a_rival_mechanism_must_fit_too():
    rival = Replace("x", lambda mechanism: Bernoulli(jnp.ones(5)))
    refused(lambda d: d.bernoulli("x", jnp.ones(4)), "'x'", "do not fit", plugs=(rival,))


def test_misuse_is_a_model_error_and_comes_through_simulate():
    class Twice(Keeper):
        def step(self, draw: Draw, state: jax.Array) -> jax.Array:
            return state + u(draw) + u(draw)

    with pytest.raises(ModelError, match="'x' is drawn twice"):
        simulate(Twice(kept=Slots()), jr.key(0), 2)


@pytest.mark.parametrize(
    ("carry", "body", "message"),
    [
        (
            0,
            lambda e, i, c: c + e.uniform("x", size=()),
            r"loop 'turns' changes carry from int32\[\] to float32\[\].*astype",
        ),
        (0.0, lambda e, i, c: c + e.uniform("x", size=3), r"from float32\[\] to float32\[3\]"),
        ({"a": 0.0}, lambda e, i, c: {"a": 1}, None),
        ({"a": 0}, lambda e, i, c: {"a": 1.5}, r"carry\['a'\] from int32\[\] to float32"),
        ((0.0, 0.0), lambda e, i, c: c[0], "loop 'turns' returns another structure"),
    ],
)
def test_a_carry_that_changes_is_an_error_in_words(carry: Any, body: Any, message: str | None):
    if message is None:
        ask(lambda d: d.loop("turns", 2, body, carry))
        return
    with pytest.raises(StateError, match=message):
        ask(lambda d: d.loop("turns", 2, body, carry))
