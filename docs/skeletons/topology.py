"""Skeleton of a topology; copy to `src/populace/interact/`.

A ring: agents stand in a circle and each meets its neighbour on either side. A topology is a matrix A of weights,
where A[i, j] is how much j counts for i, and it never writes the matrix down.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

import populace as pop
from populace.interact.topology import per_agent
from populace.testing.topologies import check_topology


class Ring(pop.Topology):
    """`size` agents in a circle, each with two neighbours."""

    # 1. The number of agents is static: it is a shape.
    size: int = eqx.field(static=True)

    # 2. A @ values, for values (agents, ...). It is linear, and JAX differentiates it; `per_agent` checks the shape.
    def sum(self, values):
        values = per_agent(values, self.size)
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


if __name__ == "__main__":
    # 5. The laws of the interface: sums, derivatives, and partners met in proportion to their weights.
    check_topology(Ring(20), jr.key(0))
