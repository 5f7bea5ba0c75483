"""Sequential activation of many agents at a time: those who do not see each other act at once.

Where an agent reads and writes what lies within `reach` ties of it, agents that lie farther apart do not notice whether
they act at once or one after the other. Colours divide the agents so that none of a colour are that near; each step
takes the colours in random order. It is a random sequential order in which agents of a colour follow each other.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int
from scipy.sparse import coo_array, csr_array, hstack

from .._errors import ModelError
from ..core.activation import Activation, Acts, in_groups
from ..core.draw import Draw
from .network import Network
from .topology import Topology

_PROBED = 256


class Coloured(Activation):
    """Each acts once in a step, a colour at a time, colours in an order drawn anew. Made by `Coloured.of(topology)`."""

    colour: Int[Array, " agents"]
    colours: int = eqx.field(static=True)

    @staticmethod
    def of(topology: Topology, reach: int = 1) -> "Coloured":
        """Colours for agents who read what lies within `reach` ties of them, and write themselves: greedily, those with
        most ties first.

        **Raises:** `ModelError` for a reach below 1.
        """
        if reach < 1:
            raise ModelError(f"agents who see nobody (reach {reach}) may all act at once: take Synchronous()")
        near = _ties(topology)
        near = ((near + near.T) > 0).astype(np.int32)
        within = near
        for _ in range(reach - 1):
            within = ((within + within @ near) > 0).astype(np.int32)
        colour = _greedy(csr_array(within))
        return Coloured(jnp.asarray(colour), int(colour.max()) + 1)

    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        if self.colour.shape != (acts.agents,):
            raise ModelError(
                f"{self.colour.shape[0]} colours for {acts.agents} agents: colour the topology of the model"
            )
        return in_groups(draw, state, acts, self.colour, draw.permutation("order", self.colours))


def _ties(topology: Topology) -> csr_array:
    """Who counts for whom, (agents, agents) of 0 and 1."""
    n = topology.size
    if isinstance(topology, Network):
        senders, receivers, _ = topology.edges()
        return csr_array(coo_array((np.ones(len(senders), np.int32), (receivers, senders)), shape=(n, n)))
    total = jax.jit(topology.sum)
    parts = []
    for start in range(0, n, _PROBED):  # columns of the matrix, some at a time
        probe = np.zeros((n, _PROBED), np.float32)
        width = min(_PROBED, n - start)
        probe[start + np.arange(width), np.arange(width)] = 1.0
        parts.append(csr_array((np.asarray(total(probe))[:, :width] > 0).astype(np.int32)))
    return csr_array(hstack(parts))


def _greedy(near: csr_array) -> np.ndarray:
    """The smallest colour that no neighbour has, agents with most neighbours first."""
    starts, ends = np.asarray(near.indptr), np.asarray(near.indices)
    degree = np.diff(starts)
    colour = np.full(degree.size, -1)
    for agent in np.argsort(-degree, kind="stable"):
        taken = set(colour[ends[starts[agent] : starts[agent + 1]]].tolist())
        mine = 0
        while mine in taken:
            mine += 1
        colour[agent] = mine
    return colour
