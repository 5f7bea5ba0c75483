"""Skeleton of a topology; copy to `src/populace/interact/`.

A ring: agents stand in a circle and each meets its neighbour on either side. A topology is a matrix A of weights,
where A[i, j] is how much j counts for i, and it never writes the matrix down.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

import populace as pop


class Ring(pop.Topology):
    """`size` agents in a circle, each with two neighbours."""

    # 1. The number of agents is static: it is a shape.
    size: int = eqx.field(static=True)

    # 2. A @ values, for values (agents, ...). It is linear, and JAX differentiates it.
    def sum(self, values):
        values = jnp.asarray(values, jnp.float32)
        return jnp.roll(values, 1, axis=0) + jnp.roll(values, -1, axis=0)

    # 3. The sum of ones.
    def degree(self):
        return jnp.full(self.size, 2.0)

    # 4. One neighbour at random, j for i with probability A[i, j] / degree[i]: one chance event, asked by name.
    def neighbour(self, draw, name):
        right = draw.bernoulli(name, 0.5, size=self.size)
        step = jnp.where(right > 0, 1, -1)
        index = (jnp.arange(self.size) + step) % self.size
        return pop.Neighbour(index.astype(jnp.int32), jnp.ones(self.size))


# 5. A model that uses it sees only the interface.
class Meetings(pop.Model):
    """Each agent meets one neighbour at each step; the state is whom."""

    contacts: pop.Topology

    def init(self, draw):
        return jnp.zeros(self.contacts.size, jnp.int32)

    def step(self, draw, partner):
        return self.contacts.neighbour(draw, "partner").index

    def observe(self, partner):
        return {"partner": partner}


# 6. The laws of the interface, on the matrix that the sums reveal.
def obeys_the_laws(topology, steps=2_000, errors=5.0):
    """`degree` is the sum of ones, no weight is negative, and partners are met in proportion to their weights."""
    matrix = topology.sum(jnp.eye(topology.size))
    degree = topology.degree()
    assert (matrix >= 0).all()
    assert jnp.allclose(degree, matrix.sum(axis=1))
    partners = pop.simulate(Meetings(topology), jr.key(0), steps=steps).observations["partner"]
    met = (partners[:, :, None] == jnp.arange(topology.size)).mean(axis=0)
    wanted = matrix / degree[:, None]
    assert (abs(met - wanted) <= errors * jnp.sqrt(wanted * (1 - wanted) / steps)).all()


if __name__ == "__main__":
    obeys_the_laws(Ring(20))
