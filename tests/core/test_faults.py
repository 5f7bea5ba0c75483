"""A number outside a site's domain is an error that names site and step, or data on the run; never silence."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace._errors import FaultError, RunError
from populace.core.draw import Draw
from populace.core.model import Model, parameter
from populace.core.plug import Override, Scale, Window
from populace.core.simulate import raise_for, simulate


class Walk(Model):
    """`sites(draw, x)` is what a step does; the first parameter goes wrong at step `at`, `wrong` being the number."""

    kind: str = eqx.field(static=True)
    wrong: jax.Array = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32), default=jnp.nan)
    at: jax.Array = eqx.field(converter=lambda x: jnp.asarray(x, jnp.int32), default=3)
    base: jax.Array = parameter(default=0.5)

    def number(self, draw: Draw) -> jax.Array:
        return jnp.where(draw.time >= self.at, self.wrong, self.base) * jnp.ones(4)

    def init(self, draw: Draw) -> jax.Array:
        if self.kind == "init":
            return draw.bernoulli("first", self.number(draw))
        return jnp.zeros(4)

    def step(self, draw: Draw, state: jax.Array) -> jax.Array:
        p = self.number(draw)
        if self.kind == "masked":
            return draw.bernoulli("x", p, where=jnp.zeros(4))
        if self.kind == "one":
            return draw.bernoulli("x", p, where=jnp.array([0, 0, 1, 0]))
        if self.kind == "loop":
            return draw.loop("turns", 3, lambda d, i, c: c + d.bernoulli("x", jnp.where(i == 1, p, 0.5)), state)
        if self.kind == "rule":
            return draw.decide("go", p, lambda view, inner: inner.bernoulli("x", view))
        if self.kind == "chain":
            z = draw.bernoulli("z", p)
            return draw.normal("a", jnp.where(jnp.isnan(p), jnp.nan, z), 1.0)
        if self.kind == "init":
            return state
        return getattr(draw, self.kind)("x", p)

    def observe(self, state: jax.Array) -> dict[str, jax.Array]:
        return {"x": state.sum()}


def faults(model: Model, **others: Any) -> dict[str, int]:
    return simulate(model, jr.key(0), 5, throw=False, **others).faults


BAD = [
    ("bernoulli", np.nan),
    ("bernoulli", 1.1),
    ("bernoulli", -0.1),
    ("poisson", -1.0),
    ("poisson", np.inf),
    ("geometric", 0.0),
    ("exponential", 0.0),
    ("exponential", -2.0),
    ("normal", np.nan),
    ("threshold", np.nan),
    ("sort", np.nan),
]


@pytest.mark.parametrize(("kind", "wrong"), BAD)
def test_a_fault_names_site_and_step(kind: str, wrong: float):
    run = simulate(Walk(kind, wrong), jr.key(0), 5, throw=False)
    assert run.faults == {"x": 3}
    with pytest.raises(FaultError, match=r"'x'.*step 3.*where="):
        raise_for(run)
    assert run.observations["x"].shape == (5,)


def test_throwing_is_the_default():
    assert issubclass(FaultError, RunError)
    with pytest.raises(FaultError, match=r"'x'.*step 3"):
        simulate(Walk("bernoulli"), jr.key(0), 5)
    assert simulate(Walk("bernoulli", at=9), jr.key(0), 5).faults == {}


def test_a_masked_number_may_be_anything():
    assert faults(Walk("masked")) == {}
    assert faults(Walk("one")) == {"x": 3}


@pytest.mark.parametrize(
    ("kind", "path"), [("loop", "turns/x"), ("rule", "go/x"), ("init", "first")], ids=["loop", "rule", "init"]
)
def test_faults_inside(kind: str, path: str):
    assert faults(Walk(kind, at=0 if kind == "init" else 2)) == {path: 0 if kind == "init" else 2}


def test_the_cause_is_named_and_not_what_follows_from_it():
    """Of two faults at one step it is the site that was asked first, although "a" sorts before "z"."""
    run = simulate(Walk("chain"), jr.key(0), 5, throw=False)
    assert run.faults == {"z": 3, "a": 3} and list(run.faults) == ["z", "a"]
    with pytest.raises(FaultError, match="'z'"):
        raise_for(run)


def test_faults_do_not_hang_on_chunks():
    assert faults(Walk("chain"), chunk=2) == {"z": 3, "a": 3}
    with pytest.raises(FaultError, match=r"'z'.*step 3"):
        simulate(Walk("chain"), jr.key(0), 5, chunk=2)


def test_faults_of_interventions():
    """A probability that an intervention pushes above 1 is a fault; a value that it sets is not looked at."""
    model = Walk("bernoulli", at=9)
    assert faults(model, plugs=(Scale("x", 3.0, Window(start=2)),)) == {"x": 2}
    assert faults(model, plugs=(Override("x", 7.0, Window(start=2)),)) == {}


def test_a_missing_option_is_a_fault():
    class Pick(Walk):
        def step(self, draw: Draw, state: jax.Array) -> jax.Array:
            return draw.categorical("x", jnp.zeros((4, 3))).take(jnp.arange(3.0))

    assert faults(Pick("x"), plugs=(Override("x", 2),)) == {}
    assert faults(Pick("x"), plugs=(Override("x", 3, Window(start=4)),)) == {"x": 4}
    assert faults(Pick("x"), plugs=(Override("x", -1),)) == {"x": 1}
