"""The list of sites, and the places that no gradient passes: found, named, and not invented."""

import inspect
import json
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

from populace._errors import SiteError
from populace.core.draw import Draw
from populace.core.flow import Flow, Loss, walk
from populace.core.model import Model, parameter
from populace.core.population import Population, births, deaths, founders
from populace.core.simulate import simulate
from populace.core.sites import Sites, sites

N = 6
THIS = __file__.rpartition("/")[2]


def line_of(text: str) -> str:
    """`file:number` of the only line of this file that ends with the marker `# text`."""
    with open(__file__, encoding="utf-8") as file:
        found = [number for number, line in enumerate(file, 1) if line.rstrip().endswith(f"# {text}")]
    assert len(found) == 1, text
    return f"{THIS}:{found[0]}"


class People(eqx.Module):
    infected: Array
    recovered: Array


class SIR(Model):
    beta: Array = parameter(default=0.4)
    gamma: Array = parameter(default=0.2)

    def init(self, draw: Draw) -> People:
        ill = draw.bernoulli("seed", 0.2, size=N)
        return People(ill, 0 * ill)

    def step(self, draw: Draw, people: People) -> People:
        susceptible = 1 - people.infected - people.recovered
        pressure = jnp.roll(people.infected, 1) + jnp.roll(people.infected, -1)
        caught = draw.bernoulli("infect", -jnp.expm1(-self.beta * pressure), where=susceptible)
        healed = draw.bernoulli("recover", self.gamma, where=people.infected)
        return People(people.infected + caught - healed, people.recovered + healed)

    def observe(self, people: People) -> dict[str, Array]:
        return {"infected": people.infected.sum(), "recovered": people.recovered.sum()}


def test_everything_passes_in_a_model_of_floats():
    """Masks compare inside the draw: that is not the model's comparison, and not reported as one."""
    found = sites(SIR())
    assert [(row.phase, row.path, row.kind, row.shape, row.repeats) for row in found.rows] == [
        ("init", "seed", "bernoulli", (N,), 1),
        ("step", "infect", "bernoulli", (N,), 1),
        ("step", "recover", "bernoulli", (N,), 1),
    ]
    assert all(row.passes and not row.lost and row.gradient == "passes" for row in found.rows)


class One(Model):
    """One site "x"; `after(x, draw)` is the next state, a tree of arrays like `first`, and `seen` what is observed."""

    after: Callable[..., Any] = eqx.field(static=True)
    first: Callable[[], Any] = eqx.field(static=True, default=lambda: jnp.zeros(N))
    seen: Callable[..., Any] = eqx.field(static=True, default=lambda state: {"y": state})
    kind: str = eqx.field(static=True, default="normal")

    def init(self, draw: Draw) -> Any:
        return self.first()

    def step(self, draw: Draw, state: Any) -> Any:
        if self.kind == "permutation":
            return self.after(draw.permutation("x", N), draw)
        if self.kind == "categorical":
            return self.after(draw.categorical("x", jnp.zeros((N, 3))), draw)
        return self.after(draw.normal("x", size=N), draw)

    def observe(self, state: Any) -> dict[str, Array]:
        return self.seen(state)


def compare(x: Array, draw: Draw) -> Array:
    return (x > 0).astype(jnp.float32)  # the comparison


def best(x: Array, draw: Draw) -> Array:
    return jnp.zeros(N).at[jnp.argmax(x)].set(1.0)  # the argmax


def order(x: Array, draw: Draw) -> Array:
    return jnp.arange(1.0, N + 1)[jnp.argsort(x)]  # the argsort


def cast(x: Array, draw: Draw) -> Array:
    return x.astype(jnp.int32).astype(jnp.float32)  # the cast


def stopped(x: Array, draw: Draw) -> Array:
    return jax.lax.stop_gradient(x)  # the stop


def steps(x: Array, draw: Draw) -> Array:
    return jnp.floor(x) + jnp.sign(x)  # the steps


def gathered(x: Array, draw: Draw) -> Array:
    return jnp.arange(1.0, N + 1)[x]  # the gather


def where(x: Array, draw: Draw) -> Array:
    return jnp.where(x > 0, jnp.ones(N), 0.0)  # the where


@jax.jit
def inner(x: Array) -> Array:
    return (x < 1) * 1.0  # inside a jit


def jitted(x: Array, draw: Draw) -> Array:
    return inner(x)


def scanned(x: Array, draw: Draw) -> Array:
    def body(carry: Array, y: Array) -> tuple[Array, Array]:
        carry = carry + jnp.round(y)  # inside a scan
        return carry, carry

    return jax.lax.scan(body, jnp.float32(0), x)[1]


def waited(x: Array, draw: Draw) -> Array:
    return jax.lax.while_loop(lambda c: c.sum() < x.sum(), lambda c: c + 1.0, jnp.zeros(N))  # the predicate


def branched(x: Array, draw: Draw) -> Array:
    return jax.lax.cond(x.sum() >= 0, jnp.ones_like, jnp.zeros_like, jnp.ones(N))  # the branch


LOST = {
    "comparison": (compare, "the comparison", "> ({})"),
    "argmax": (best, "the argmax", "argmax ({})"),
    "argsort": (order, "the argsort", "argsort ({})"),
    "cast": (cast, "the cast", "integer cast ({})"),
    "stop_gradient": (stopped, "the stop", "stop_gradient ({})"),
    "steps": (steps, "the steps", "floor ({0}), sign ({0})"),
    "where": (where, "the where", "> ({})"),
    "jit": (jitted, "inside a jit", "< ({})"),
    "scan": (scanned, "inside a scan", "round ({})"),
    "while": (waited, "the predicate", "< ({})"),
    "cond": (branched, "the branch", ">= ({}), integer cast ({})"),
}


@pytest.mark.parametrize(("after", "marker", "expected"), LOST.values(), ids=LOST.keys())
def test_a_total_loss_is_named_with_its_line(after: Callable[..., Any], marker: str, expected: str):
    row = sites(One(after))["x"]
    assert not row.passes
    line = line_of(marker)
    assert row.gradient.startswith("no gradient passes: ") and f"({line})" in row.gradient
    assert row.gradient.removeprefix("no gradient passes: ").partition(" (")[0] == expected.partition(" (")[0]
    if expected.count("{}") == 1 or "{0}" in expected:
        assert row.gradient == f"no gradient passes: {expected.format(line)}"


@pytest.mark.parametrize(("after", "marker", "expected"), LOST.values(), ids=LOST.keys())
def test_what_is_lost_beside_a_path_that_passes_is_a_part(after: Callable[..., Any], marker: str, expected: str):
    row = sites(One(lambda x, draw: x + after(x, draw)))["x"]
    assert row.passes and row.gradient.startswith("partly lost at: ") and line_of(marker) in row.gradient


@pytest.mark.parametrize("after", [entry[0] for entry in LOST.values()], ids=LOST.keys())
def test_a_total_loss_is_a_gradient_of_zero(after: Callable[..., Any]):
    """The finding against JAX's own derivative."""
    tangent = jax.jvp(lambda x: after(x, None), (jnp.linspace(-1, 1, N),), (jnp.ones(N),))[1]
    assert (np.asarray(tangent) == 0).all()


PASSES = {
    "arithmetic": lambda x, draw: jnp.exp(x) * 2 + x**2,
    "max": lambda x, draw: jnp.maximum(x, 0) + jnp.clip(x, -1, 1) + jnp.abs(x),
    "relu": lambda x, draw: jax.nn.relu(x) + jax.nn.softplus(x),
    "sort": lambda x, draw: jnp.sort(x),
    "scatter": lambda x, draw: jnp.zeros(N).at[jnp.arange(N)].add(x)[::-1],
    "scan": lambda x, draw: jax.lax.scan(lambda c, y: (c + y, c), 0.0, x)[1],
    "remat": lambda x, draw: jax.checkpoint(jnp.sin)(x),
    "softmax": lambda x, draw: jax.nn.softmax(x) - jax.nn.logsumexp(x),
    "of jax": lambda x, draw: jnp.mod(x, 1.0) + jnp.interp(x, jnp.arange(3.0), jnp.arange(3.0)) - jnp.median(x),
    "loop": lambda x, draw: draw.loop("l", 2, lambda e, i, c: c * x + e.normal("y", size=N), x),
}


@pytest.mark.parametrize("after", PASSES.values(), ids=PASSES.keys())
def test_what_passes_is_not_reported(after: Callable[..., Any]):
    """JAX's own functions compare and stop inside (softmax its maximum) where no derivative is lost by it."""
    assert sites(One(after))["x"].gradient == "passes"


# What a site hands on through other sites


def test_a_gradient_passes_through_the_parameters_of_other_sites():
    """Each site is trusted to pass a gradient from its parameters to its value: a relaxation sees to that."""

    def chained(x: Array, draw: Draw) -> Array:
        a = draw.bernoulli("a", jax.nn.sigmoid(x))
        b = draw.poisson("b", jnp.exp(a))
        c = draw.categorical("c", b[:, None] * jnp.ones(3)).take(jnp.arange(3.0))
        d = draw.threshold("d", c - 1.0)
        e = draw.top_k("e", d, 2) + draw.sort("f", d)
        return draw.match("g", e[:, None] * jnp.ones((N, N))).pick(jnp.ones((N, N)))

    found = sites(One(chained))
    assert [row.path for row in found.rows] == ["x", *"abcdefg"]
    assert {row.gradient for row in found.rows} == {"passes"}


def test_a_site_that_acts_only_through_a_mask_says_so():
    def masked(x: Array, draw: Draw) -> Array:
        return draw.bernoulli("y", 0.5, where=x)

    found = sites(One(masked))
    assert found["x"].gradient == "no gradient passes: where= of 'y'"
    assert found["y"].gradient == "passes"
    truth = sites(One(lambda x, draw: draw.bernoulli("y", 0.5, where=x > 0)))["x"]  # a truth value
    assert truth.gradient == f"no gradient passes: > ({line_of('a truth value')})"


def test_a_choice_passes_by_take_and_loses_by_index():
    assert sites(One(lambda x, draw: x.take(jnp.arange(3.0)), kind="categorical"))["x"].gradient == "passes"
    assert sites(One(lambda x, draw: x.one_hot[:, 0], kind="categorical"))["x"].gradient == "passes"
    row = sites(One(lambda x, draw: jnp.arange(1.0, 4.0)[x.index], kind="categorical"))["x"]  # by index
    assert row.gradient == f"no gradient passes: integer value ({line_of('by index')})"


def test_a_permutation_is_whole_numbers():
    row = sites(One(gathered, kind="permutation"))["x"]
    assert row.gradient == f"no gradient passes: integer value ({line_of('the gather')})"


def test_a_rule_loses_by_its_own_lines():
    def raise_price(view: Array, draw: Draw) -> Array:
        return view * jnp.where(view > 10, 1.02, 0.98)  # the rule

    def jump(view: Array, draw: Draw) -> Array:
        return (view > draw.normal("whim", size=N)) * 1.0  # the jump

    kept = sites(One(lambda x, draw: draw.decide("price", x, raise_price)))
    assert kept["price"].gradient == "passes"
    assert kept["x"].gradient == f"partly lost at: > ({line_of('the rule')})"
    lost = sites(One(lambda x, draw: draw.decide("price", x, jump)))
    assert [row.path for row in lost.rows] == ["x", "price", "price/whim"]
    assert lost["x"].gradient == lost["price/whim"].gradient == f"no gradient passes: > ({line_of('the jump')})"


# What is kept from step to step


def integers() -> Array:
    return jnp.zeros(N, jnp.int32)


def test_a_state_of_integers_loses():
    cast_ = sites(One(lambda x, draw: x.astype(jnp.int32), integers, lambda s: {"y": s.astype(jnp.float32)}))["x"]
    assert not cast_.passes and "integer cast" in cast_.gradient
    held = sites(One(lambda x, draw: x.index, integers, lambda s: {"y": jnp.zeros(2)}, kind="categorical"))["x"]
    assert held.gradient == "no gradient passes: integer state"
    shown = sites(One(lambda x, draw: x, integers, lambda s: {"y": s}, kind="permutation"))["x"]
    assert "integer observation" in shown.gradient and not shown.passes


class Memory(One):
    """The state of the last step goes through `later` on its way to the observation."""

    later: Callable[[Array], Array] = eqx.field(static=True, default=lambda x: x)

    def init(self, draw: Draw) -> Any:
        return {"x": draw.uniform("first", size=N), "y": jnp.zeros(N)}

    def step(self, draw: Draw, state: Any) -> Any:
        return {"x": state["x"] + draw.normal("x", size=N), "y": self.later(state["x"])}

    def observe(self, state: Any) -> dict[str, Array]:
        return {"y": state["y"]}


def test_a_loss_at_a_later_step_is_found():
    """What a draw leaves in the state is followed through the next steps to the observations."""
    found = sites(Memory(compare, later=lambda x: (x > 1) * 1.0))  # a step later
    for path in ("first", "x"):
        assert found[path].gradient == f"no gradient passes: > ({line_of('a step later')})"
    found = sites(Memory(compare, later=jnp.sin))
    assert {row.gradient for row in found.rows} == {"passes"}
    assert [row.phase for row in found.rows] == ["init", "step"]


def test_a_site_that_nothing_depends_on():
    found = sites(One(lambda x, draw: jnp.zeros(N)))["x"]
    assert found.gradient == "no gradient passes: no observation depends on it"


def test_what_is_computed_and_thrown_away_is_no_loss():
    def checked(x: Array, draw: Draw) -> Array:
        _ = (x > 0).any()
        return x

    assert sites(One(checked))["x"].gradient == "passes"


def test_without_observations_the_state_counts():
    assert sites(One(lambda x, draw: x, seen=lambda state: {}))["x"].passes
    assert not sites(One(compare, seen=lambda state: {}))["x"].passes


# Models that were caught


class Schelling(Model):
    """Movers go to the best of their options."""

    tolerance: Array = parameter(default=0.3)

    def init(self, draw: Draw) -> dict[str, Array]:
        kind = draw.bernoulli("kind", 0.5, size=N)
        return {"kind": kind, "place": jnp.arange(N, dtype=jnp.float32)}

    def step(self, draw: Draw, state: dict[str, Array]) -> dict[str, Array]:
        alike = 1 - jnp.abs(state["kind"] - jnp.roll(state["kind"], 1))
        unhappy = (alike < self.tolerance).astype(jnp.float32)  # unhappy
        noise = draw.uniform("noise", size=(N, N))
        goal = jnp.argmax(noise + alike[:, None], axis=1)  # goal
        moves = draw.bernoulli("moves", 0.5, where=unhappy)
        return {"kind": state["kind"], "place": jnp.where(moves > 0, goal, state["place"])}  # moves

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"mean place": state["place"].mean()}


def test_schelling():
    found = sites(Schelling())
    assert found["noise"].gradient == f"no gradient passes: argmax ({line_of('goal')})"
    assert found["moves"].gradient == f"no gradient passes: > ({line_of('moves')})"
    assert found["kind"].gradient == f"no gradient passes: < ({line_of('unhappy')}), argmax ({line_of('goal')})"


class Wolves(Population):
    energy: Array


class Births(Model):
    """Births by a comparison of energy, or by a draw whose probability rises with it."""

    smooth: bool = eqx.field(static=True)

    def init(self, draw: Draw) -> Wolves:
        return Wolves(**founders(3, N), energy=draw.uniform("energy", size=N))

    def step(self, draw: Draw, pack: Wolves) -> Wolves:
        fed = eqx.tree_at(lambda w: w.energy, pack, pack.energy + draw.normal("meal", size=N))
        if self.smooth:
            bred = draw.bernoulli("breed", jax.nn.sigmoid(fed.energy), where=pack.alive)
        else:
            bred = pack.alive * (fed.energy > 1)  # born by comparison
        return deaths(births(fed, fed, bred), draw.bernoulli("starve", 0.1, where=pack.alive))

    def observe(self, pack: Wolves) -> dict[str, Array]:
        return {"alive": pack.alive.sum()}


def test_births():
    hard, soft = sites(Births(False)), sites(Births(True))
    assert hard["meal"].gradient == f"no gradient passes: > ({line_of('born by comparison')})"
    assert hard["energy"].gradient == hard["meal"].gradient and hard["starve"].gradient == "passes"
    assert {row.gradient for row in soft.rows} == {"passes"}


# The list itself


class Structured(One):
    def step(self, draw: Draw, state: Array) -> Array:
        def turn(e: Draw, i: Array, c: Array) -> Array:
            return e.loop("in", 4, lambda g, j, x: x + g.child("w").normal("z", size=2).sum(), c)

        one = draw.uniform("one", size=())
        return state + one + draw.child("wolves").child(3).loop("out", 3, turn, jnp.zeros(N))


def test_paths_repeats_and_shapes():
    found = sites(Structured(compare))
    assert [(row.path, row.shape, row.repeats) for row in found.rows] == [
        ("one", (), 1),
        ("wolves/3/out/in/w/z", (2,), 12),
    ]
    assert {row.gradient for row in found.rows} == {"passes"}


def test_one_name_in_init_and_step():
    class Both(SIR):
        def init(self, draw: Draw) -> People:
            ill = (draw.uniform("infect", size=N) < 0.2) * 1.0
            return People(ill, 0 * ill)

    rows = sites(Both()).rows
    assert [(row.phase, row.path, row.passes) for row in rows[:2]] == [
        ("init", "infect", False),
        ("step", "infect", True),
    ]


def test_printing():
    shown = str(sites(Schelling())).splitlines()
    assert shown[0] == "Sites of Schelling"
    assert shown[1].split() == ["when", "site", "kind", "population", "draws", "a", "step", "gradient"]
    assert shown[3].split()[:6] == ["step", "noise", "uniform", "6", "x", "6"]
    starts = {
        line.index(word) for line, word in zip(shown[1:], ("kind", "bernoulli", "uniform", "bernoulli"), strict=True)
    }
    assert len(starts) == 1 and not any(line.endswith(" ") for line in shown)


def test_a_result_like_any_other():
    found = sites(Schelling())
    assert isinstance(found, Sites)
    record = json.loads(json.dumps(found.record()))
    assert record["model"] == "Schelling" and [row["path"] for row in record["sites"]] == ["kind", "noise", "moves"]
    assert record["sites"][1]["shape"] == [N, N] and record["sites"][1]["passes"] is False
    assert record["sites"][1]["gradient"] == found["noise"].gradient
    (table,) = found.sections()[0].tables
    assert len(table.rows) == 3


def test_many_losses_are_cut_short():
    def many(x: Array, draw: Draw) -> Array:
        a, b, c = jnp.floor(x), jnp.ceil(x), jnp.round(x)
        return a + b + c + jnp.sign(x) + (x > 0) + (x < 1)

    row = sites(One(many))["x"]
    assert len(row.lost) == 6 and row.gradient.endswith(" and 2 more") and row.gradient.count("(") == 4


def test_listing_draws_nothing_and_leaves_the_model_as_it_was():
    model = SIR()
    before = simulate(model, jr.key(0), 3).observations
    sites(model)
    assert eqx.tree_equal(simulate(model, jr.key(0), 3).observations, before)


def test_a_misused_draw_is_the_error_it_would_be():
    def twice(x: Array, draw: Draw) -> Array:
        return x + draw.normal("x", size=N)

    with pytest.raises(SiteError, match="'x' is drawn twice"):
        sites(One(twice))


def test_the_walk_by_itself():
    """On a plain trace without sites: what goes in with a derivative, and what comes out."""
    jaxpr = jax.make_jaxpr(lambda a, b: (a * b, a > b, jnp.floor(a) + b))(1.0, 1.0).jaxpr
    product, truth, mixed = walk(jaxpr, [Flow(frozenset("a")), Flow(frozenset("b"))])
    assert product.smooth == {"a", "b"} and not product.lost
    assert not truth.smooth and {(site, loss.what) for site, loss in truth.lost} == {("a", ">"), ("b", ">")}
    assert mixed.smooth == {"b"} and {loss.what for _, loss in mixed.lost} == {"floor"}
    assert sorted([Loss("b.py:9", ">"), Loss("", "x"), Loss("b.py:10", ">"), Loss("a.py:99", ">")], key=Loss.order) == [
        Loss("a.py:99", ">"),
        Loss("b.py:9", ">"),
        Loss("b.py:10", ">"),
        Loss("", "x"),
    ]


def test_sites_takes_a_model_and_nothing_else():
    assert list(inspect.signature(sites).parameters) == ["model"]
