"""What stands around sites: interventions, rival rules, recordings, forced numbers, and their order."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

from populace._errors import SiteError, UnknownSiteError
from populace.core import distributions as d
from populace.core.draw import Draw
from populace.core.model import Model, parameter
from populace.core.plug import Forced, Override, Plug, Proceed, Record, Replace, Scale, Window
from populace.core.simulate import Run, begin, simulate
from populace.core.site import Frame, Site

N, T = 12, 8
TRACES = {"step": 0}


def ask_more(view: Array, draw: Draw) -> Array:
    return view + draw.uniform("whim", size=N)


class Shop(Model):
    """Sites of several sorts, as many as a test needs: numbers come from names, so the others change nothing."""

    parts: tuple[str, ...] = eqx.field(static=True, converter=lambda text: tuple(text.split()))
    rate: Array = parameter(default=3.0)

    def init(self, draw: Draw) -> dict[str, Array]:
        state = dict.fromkeys(self.parts, jnp.zeros(N))
        return {**state, "price": draw.uniform("first", 1.0, 2.0, size=N)} if "price" in self.parts else state

    def step(self, draw: Draw, state: dict[str, Array]) -> dict[str, Array]:
        TRACES["step"] += 1
        sites = {
            "rain": lambda: draw.bernoulli("rain", 0.3, size=N),
            "sold": lambda: draw.poisson("sold", self.rate, where=OPEN),
            "street": lambda: draw.categorical("street", jnp.zeros((N, 3))).take(jnp.array([1.0, 2.0, 3.0])),
            "turn": lambda: draw.loop("turns", 2, lambda e, i, c: c + e.uniform("luck", size=N), jnp.zeros(N)),
            "price": lambda: draw.decide("price", state["price"], ask_more, where=OPEN),
        }
        return {part: sites[part]() for part in self.parts}

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return state


OPEN = jnp.ones(N).at[0].set(0.0)
WHO = jnp.arange(N) % 3 == 0


def run(parts: str, *plugs: Plug, **others: Any) -> Run:
    return simulate(Shop(parts), jr.key(1), T, plugs=plugs, **others)


@pytest.fixture(scope="module")
def plain() -> dict[str, np.ndarray]:
    return {name: np.asarray(rows) for name, rows in run("rain sold street turn price").observations.items()}


def same(got: Run, plain: dict[str, np.ndarray], names: str, times: slice = slice(None)) -> None:
    for name in names.split():
        np.testing.assert_array_equal(got.observations[name][times], plain[name][times], err_msg=name)


# Override


def test_override_in_its_window(plain: dict[str, np.ndarray]):
    got = run("rain sold", Override("sold", 9.0, Window(start=3, stop=5)))
    same(got, plain, "rain")
    same(got, plain, "sold", slice(0, 2))
    same(got, plain, "sold", slice(5, None))
    np.testing.assert_array_equal(got.observations["sold"][2:5], np.tile(9.0 * OPEN, (3, 1)))  # the masked stay masked


def test_override_for_some_with_one_value_each(plain: dict[str, np.ndarray]):
    value = jnp.arange(N) / N
    got = run("rain street", Override("street", jnp.arange(N) % 3), Override("rain", value, Window(who=WHO)))
    np.testing.assert_array_equal(got.observations["rain"], np.where(WHO, value, plain["rain"]))
    np.testing.assert_array_equal(got.observations["street"], np.tile(1.0 + np.arange(N) % 3, (T, 1)))


def test_override_of_a_category(plain: dict[str, np.ndarray]):
    got = run("street", Override("street", 2, Window(start=4, who=WHO)))
    same(got, plain, "street", slice(0, 3))
    np.testing.assert_array_equal(got.observations["street"][3:], np.where(WHO, 3.0, plain["street"][3:]))


def test_override_of_a_decision(plain: dict[str, np.ndarray]):
    got = run("price", Override("price", 2.0, Window(start=2, who=WHO)))
    same(got, plain, "price", slice(0, 1))
    assert (got.observations["price"][1:, 3::3] == 2.0).all()
    assert (got.observations["price"][:, 0] == 0.0).all()  # it does not decide
    np.testing.assert_array_equal(got.observations["price"][:, ~WHO], plain["price"][:, ~WHO])


def test_override_inside_loops_and_rules_and_at_the_beginning():
    sets = Override("turns/luck", 1.0), Override("price/whim", 0.0), Override("first", 2.0)
    got = run("turn price", *sets).observations
    assert (got["turn"] == 2.0).all()
    np.testing.assert_array_equal(got["price"], np.tile(2.0 * OPEN, (T, 1)))


def test_a_window_from_step_1_leaves_the_beginning_alone():
    late, plain = (begin(Shop("price"), jr.key(1), plugs).state["price"] for plugs in ((AFTER,), ()))
    np.testing.assert_array_equal(late, plain)
    assert (begin(Shop("price"), jr.key(1), (Override("first", 2.0),)).state["price"] == 2.0).all()


AFTER = Override("first", 2.0, Window(start=1))


def test_new_values_of_an_intervention_compile_nothing():
    def scenario(value: float, start: int, stop: int, share: float) -> None:
        window = Window(start=start, stop=stop, who=jnp.arange(N) < share * N)
        run("rain", Override("rain", value, window), Scale("rain", value, window))

    scenario(0.5, 1, 5, 0.3)
    before = TRACES["step"]
    scenario(0.25, 2, 6, 0.5)
    scenario(0.75, 0, 2**31 - 1, 1.0)
    assert TRACES["step"] == before


def test_who_must_fit_the_population():
    with pytest.raises(SiteError, match=r"'rain'.*`who` has shape \(5,\).*\(12,\)"):
        run("rain", Override("rain", 1.0, Window(who=jnp.ones(5))))


# Scale


def test_scale_is_the_scaled_parameter():
    """A factor on the rate is the model with that rate: common random numbers make it so to the bit."""
    doubled = simulate(Shop("sold", 6.0), jr.key(1), T)
    np.testing.assert_array_equal(run("sold", Scale("sold", 2.0)).observations["sold"], doubled.observations["sold"])


def test_scale_in_its_window_and_for_some(plain: dict[str, np.ndarray]):
    got = run("rain", Scale("rain", 0.0, Window(start=3, who=WHO)))
    same(got, plain, "rain", slice(0, 2))
    np.testing.assert_array_equal(got.observations["rain"][2:], np.where(WHO, 0.0, plain["rain"][2:]))
    some = run("rain", Scale("rain", jnp.where(WHO, 0.0, 1.0))).observations
    np.testing.assert_array_equal(some["rain"], np.where(WHO, 0.0, plain["rain"]))


SCALABLE = {
    "bernoulli": (d.Bernoulli, (0.3,), (0.15,)),
    "binomial": (d.Binomial, (5.0, 0.3), (5.0, 0.15)),
    "geometric": (d.Geometric, (0.3,), (0.15,)),
    "poisson": (d.Poisson, (2.0,), (1.0,)),
    "exponential": (d.Exponential, (2.0,), (1.0,)),
    "normal": (d.Normal, (2.0, 3.0), (1.0, 3.0)),
}


def around(plug: Plug, mechanism: d.Mechanism, shape: tuple[int, ...] = (3,), **others: Any) -> Any:
    """What a plug does at one site, and the mechanism that it draws from."""
    seen = []
    site = Site("x", mechanism, None, shape, jr.key(0), jnp.int32(1), None, Frame(**others))
    value = plug.around(site, lambda inner: (seen.append(inner.mechanism), jnp.zeros(shape))[1])
    return value, seen, site


@pytest.mark.parametrize(("made", "before", "after"), SCALABLE.values(), ids=SCALABLE.keys())
def test_what_scale_scales(made: Any, before: tuple[float, ...], after: tuple[float, ...]):
    _, (scaled,), _ = around(Scale("x", 0.5), made(*map(jnp.float32, before)))
    assert type(scaled) is made
    assert [float(leaf) for leaf in jax.tree.leaves(scaled)] == pytest.approx(list(after))


def test_what_scale_cannot_scale():
    with pytest.raises(SiteError, match=r"'x' is of kind uniform.*use Override"):
        around(Scale("x", 0.5), d.Uniform(jnp.float32(0), jnp.float32(1)))
    with pytest.raises(SiteError, match=r"'x'.*factor.*\(4,\).*\(3,\)"):
        around(Scale("x", jnp.ones(4)), d.Poisson(jnp.float32(1)))


# Replace


def stay(view: Array, draw: Draw) -> Array:
    return view


def heavier(mechanism: d.Poisson) -> d.Poisson:
    return d.Poisson(2.0 * mechanism.rate)


def certain(mechanism: d.Poisson) -> d.Normal:
    return d.Normal(mechanism.rate, jnp.float32(0.0))


def test_a_rival_rule():
    start = begin(Shop("price"), jr.key(1)).state["price"]
    got = run("price", Replace("price", stay)).observations["price"]
    np.testing.assert_array_equal(got, np.tile(start * OPEN, (T, 1)))


def test_a_rival_mechanism(plain: dict[str, np.ndarray]):
    """The outer plug changes what the inner one is given."""
    same(run("sold", Scale("sold", 0.5), Replace("sold", heavier)), plain, "sold")


def test_a_rival_of_another_kind():
    got = run("sold", Replace("sold", certain)).observations["sold"]
    np.testing.assert_allclose(got, np.tile(3.0 * OPEN, (T, 1)), rtol=1e-6)


# Record


def test_the_tape_has_steps_turns_and_agents_on_its_axes(plain: dict[str, np.ndarray]):
    got = run("rain sold street turn price", Record())
    same(got, plain, "rain sold street turn price")
    assert set(got.tape) == {"rain", "sold", "street", "turns/luck", "price", "price/whim"}
    shapes = {path: notes["where"].shape for path, notes in got.tape.items()}
    assert shapes.pop("turns/luck") == (T, 2, N)
    assert set(shapes.values()) == {(T, N)}
    np.testing.assert_array_equal(got.tape["sold"]["value"], plain["sold"])
    np.testing.assert_array_equal(got.tape["sold"]["where"], np.tile(OPEN, (T, 1)))
    np.testing.assert_allclose(np.asarray(got.tape["turns/luck"]["value"]).sum(1), plain["turn"], rtol=1e-6)
    assert got.tape["street"]["value"].one_hot.shape == (T, N, 3)
    assert got.tape["sold"]["mechanism"].rate.shape == (T,)
    np.testing.assert_array_equal(got.tape["price"]["view"][1:], plain["price"][:-1])


def test_recording_some_sites_in_chunks():
    names = ("rain", "turns/luck")
    whole, parts = (run("rain turn", Record(names), chunk=chunk).tape for chunk in (None, 4))
    assert set(whole) == set(names)
    assert eqx.tree_equal(whole, parts)


def test_many_rounds_of_loops():
    class Deep(Model):
        def init(self, draw: Draw) -> Array:
            return jnp.zeros(2)

        def step(self, draw: Draw, state: Array) -> Array:
            def outer(e: Draw, i: Array, c: Array) -> Array:
                return e.loop("in", 4, lambda g, j, x: x + g.child("w").normal("z", size=2), c)

            return draw.loop("out", 3, outer, state)

        def observe(self, state: Array) -> dict[str, Array]:
            return {"x": state}

    got = simulate(Deep(), jr.key(0), 5, plugs=(Record(),))
    assert got.tape["out/in/w/z"]["value"].shape == (5, 3, 4, 2)
    total = np.asarray(got.tape["out/in/w/z"]["value"]).sum((1, 2)).cumsum(0)
    np.testing.assert_allclose(got.observations["x"], total, rtol=1e-4, atol=1e-5)


# Forced


@jax.jit
def forced(given: dict[str, Any]) -> tuple[Array, Array, Array]:
    draw = Draw(jr.key(3), 1, plugs=(Forced(),), frame=Frame(given=given))
    a = draw.bernoulli("a", 0.5, size=6)
    b = draw.bernoulli("b", 0.5, size=6)
    rounds = draw.loop("rounds", 3, lambda e, i, c: c.at[i].set(e.bernoulli("c", 0.5, size=6)), jnp.zeros((3, 6)))
    return a, b, rounds


def test_forcing_flips_one_draw_and_no_other():
    a, b, rounds = forced({})
    flipped = forced({"a": {"mask": jnp.arange(6) == 2, "value": 1 - a}})
    np.testing.assert_array_equal(flipped[0] - a, jnp.where(jnp.arange(6) == 2, 1 - 2 * a, 0))
    np.testing.assert_array_equal(flipped[1], b)
    np.testing.assert_array_equal(flipped[2], rounds)


def test_loops_slice_what_is_forced():
    a, _, rounds = forced({})
    mask = jnp.zeros((3, 6), bool).at[1, 4].set(True)
    flipped = forced({"rounds/c": {"mask": mask, "value": 1 - rounds}})
    np.testing.assert_array_equal(np.asarray(flipped[2] != rounds), mask)
    np.testing.assert_array_equal(flipped[0], a)


# Order, unknown names


def test_the_first_plug_has_the_last_word():
    one, two = Override("rain", 1.0), Override("rain", 0.0)
    assert (run("rain", one, two).observations["rain"] == 1).all()
    assert (run("rain", two, one).observations["rain"] == 0).all()


def test_a_recording_sees_what_stands_inside_it(plain: dict[str, np.ndarray]):
    note, put = Record(("rain",)), Override("rain", 1.0)
    assert (run("rain", note, put).tape["rain"]["value"] == 1).all()
    np.testing.assert_array_equal(run("rain", put, note).tape["rain"]["value"], plain["rain"])


class Twice(Plug):
    """Asks for a site's value twice: both times it is the same."""

    def sites(self) -> tuple[str, ...]:
        return ()

    def around(self, site: Site, proceed: Proceed) -> Any:
        first = proceed(site)
        return jax.tree.map(lambda a, b: 0.5 * (a + b) if a.dtype == jnp.float32 else b, first, proceed(site))


def test_proceeding_twice_draws_the_same(plain: dict[str, np.ndarray]):
    same(run("rain street price", Twice()), plain, "rain street price")


@pytest.mark.parametrize(
    "plug",
    [Override("ran", 1.0), Scale("ran", 1.0), Replace("ran", stay), Record(("sold", "ran"))],
    ids=lambda plug: type(plug).__name__,
)
def test_an_unknown_site_is_an_error(plug: Plug):
    with pytest.raises(UnknownSiteError, match=f"{type(plug).__name__}.*no site 'ran'; did you mean 'rain'.*'sold'"):
        run("rain sold", plug)


def test_an_unknown_site_is_an_error_after_a_snapshot_too():
    here = begin(Shop("price"), jr.key(1))
    with pytest.raises(UnknownSiteError, match="'pric'; did you mean 'price'"):
        run("price", Override("pric", 1.0), start=here)
    run("price", Override("first", 1.0), start=here)  # a site of init exists, though it is not drawn again


def test_notes_about_one_site_add_up():
    value, _, site = around(Record(), d.Poisson(jnp.float32(1)))
    site.emit({"more": value})
    assert set(site.frame.tape["x"]) == {"value", "where", "mechanism", "more"}
    site.emit(value)
    assert site.frame.tape["x"] is value
