"""The suite for topologies passes what is right and finds what is wrong, each flaw by its law."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

from populace._errors import ModelError
from populace.core.draw import Draw
from populace.interact.topology import Neighbour, Topology, per_agent, sampled
from populace.testing.topologies import LARGEST, check_topology


class Ring(Topology):
    """Agents 0 to size - 2 on a ring; the last one is isolated. Sound, and as plain as can be."""

    size: int = eqx.field(static=True)

    def sum(self, values: Array) -> Array:
        values = per_agent(values, self.size)
        ring = values[:-1]
        return jnp.concatenate([jnp.roll(ring, 1, 0) + jnp.roll(ring, -1, 0), jnp.zeros_like(values[:1])])

    def degree(self) -> Array:
        return jnp.full(self.size, 2.0).at[-1].set(0.0)

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        side = sampled(draw.uniform(name, size=self.size), jnp.full(self.size, 2, jnp.int32))
        index = (jnp.arange(self.size, dtype=jnp.int32) + 2 * side - 1) % (self.size - 1)
        there = jnp.arange(self.size) < self.size - 1
        return Neighbour(jnp.where(there, index, 0), there.astype(jnp.float32))


class Wrapped(Topology):
    """Sound, by a ring inside; flaws override one method."""

    ring: Ring
    size: int = eqx.field(static=True)

    def __init__(self, size: int = 12):
        self.ring, self.size = Ring(size), size

    def sum(self, values: Array) -> Array:
        return self.ring.sum(values)

    def degree(self) -> Array:
        return self.ring.degree()

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        return self.ring.neighbour(draw, name)


class Squared(Wrapped):
    def sum(self, values):
        return self.ring.sum(values) ** 2


class NoGradient(Wrapped):
    def sum(self, values):
        return jax.lax.stop_gradient(self.ring.sum(values))


@jax.custom_vjp
def halved(x):
    return x


halved.defvjp(lambda x: (x, None), lambda _, g: (0.5 * g,))


class NoForward(Wrapped):
    def sum(self, values):
        return halved(self.ring.sum(values))


class WrongReverse(Wrapped):
    """Receives from the left only, and says it is its own transpose."""

    def sum(self, values):
        def left(x):
            ring = x[:-1]
            return jnp.concatenate([jnp.roll(ring, 1, 0), jnp.zeros_like(x[:1])])

        def keep(x):
            return x

        values = per_agent(values, self.size)
        return jax.lax.custom_linear_solve(keep, values, lambda _, x: left(x), symmetric=True)

    def degree(self):
        return jnp.ones(self.size).at[-1].set(0.0)


class Whole(Wrapped):
    def sum(self, values):
        return self.ring.sum(values).astype(jnp.asarray(values).dtype)


class Mixed(Wrapped):
    def sum(self, values):
        found = self.ring.sum(values)
        return found if found.ndim < 3 else found[:, ::-1]


class Lenient(Wrapped):
    def sum(self, values):
        return self.ring.sum(jnp.resize(values, (self.size, *jnp.shape(values)[1:])))


class Negative(Wrapped):
    def sum(self, values):
        return -self.ring.sum(values)


class WrongDegree(Wrapped):
    def degree(self):
        return 1.0 + self.ring.degree()


class DoubleDegree(Wrapped):
    def degree(self):
        return np.asarray(self.ring.degree(), np.float64)


class Ghost(Wrapped):
    def neighbour(self, draw, name):
        found = self.ring.neighbour(draw, name)
        return Neighbour(found.index, jnp.ones_like(found.present))


class Astray(Wrapped):
    def neighbour(self, draw, name):
        found = self.ring.neighbour(draw, name)
        return Neighbour(jnp.where(found.present > 0, found.index, 5), found.present)


class Biased(Wrapped):
    def neighbour(self, draw, name):
        found = self.ring.neighbour(draw, name)
        left = (jnp.arange(self.size, dtype=jnp.int32) - 1) % (self.size - 1)
        often = draw.bernoulli(f"{name} often", 0.1, size=self.size) * found.present
        return Neighbour(jnp.where(often > 0, left, found.index), found.present)


class Stranger(Wrapped):
    def neighbour(self, draw, name):
        found = self.ring.neighbour(draw, name)
        there = found.present > 0
        return Neighbour(jnp.where(there, (found.index + 1) % (self.size - 1), 0), found.present)


class Floating(Wrapped):
    def neighbour(self, draw, name):
        found = self.ring.neighbour(draw, name)
        return Neighbour(found.index.astype(jnp.float32), found.present)


class Restless(Wrapped):
    def neighbour(self, draw, name):
        return self.ring.neighbour(Draw(jr.key(np.random.default_rng().integers(2**31))), name)


@pytest.mark.parametrize("topology", [Ring(12), Wrapped(12)], ids=["ring", "wrapped"])
def test_what_is_sound_passes(topology: Topology):
    check_topology(topology, jr.key(0))


FLAWS = {
    Squared: "not linear",
    NoGradient: "forward derivative",
    NoForward: None,
    WrongReverse: "reverse derivative",
    Whole: "sum of bool values is bool",
    Mixed: "trailing axes",
    Lenient: "are summed; raise ModelError",
    Negative: "a weight is negative",
    WrongDegree: "not the sum of ones",
    DoubleDegree: "degree is float64",
    Ghost: "present is 1 exactly where",
    Astray: "the index is 0",
    Biased: "not drawn by weight",
    Stranger: "whose weight is 0",
    Floating: "index is float32",
    Restless: "meet different neighbours",
}


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
def test_a_flaw_is_found(flaw: type[Wrapped]):
    if flaw is NoForward:
        with pytest.raises(TypeError, match="jvp"):
            check_topology(flaw(), jr.key(0))
        return
    with pytest.raises(AssertionError, match=f"{flaw.__name__}: .*{re.escape(FLAWS[flaw])}"):
        check_topology(flaw(), jr.key(0))


def test_a_large_topology_is_refused():
    with pytest.raises(ModelError, match="build one of 500 or fewer"):
        check_topology(Wrapped(LARGEST + 1), jr.key(0))
