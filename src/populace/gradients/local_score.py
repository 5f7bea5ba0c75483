"""The score function on a network, where nothing travels faster than one edge a step.

A draw of agent i at time t can change what is seen of agent j at time t' only if j lies within t' - t edges of i: its
light cone. Of a loss that is a sum over agents and times, each draw's log-probability is weighed by the terms in its
cone alone. The terms left out have expectation 0 and the more spread, the more agents there are. A cone cut off at a
radius leaves out terms that have not: less spread still, for a bias that shrinks with the radius.

After the cone of influence of spatial processes, as in the localised policy gradients of Guannan Qu, Adam Wierman and
Na Li (2020), L4DC.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float

from .._errors import GradientError
from .._types import Key
from ..core.plug import Plug, Proceed
from ..core.site import Site
from ..interact.network import Network
from .estimator import Estimator, Sample
from .loss import ExpectedLoss
from .score import DISCRETE, log_prob
from .walk import walked

_MOST_PAIRS = 20_000_000


class LightCone(eqx.Module):
    """Who can be reached in how many steps: `shells[d - 1]` joins agents that are exactly d edges apart."""

    size: int = eqx.field(static=True)
    shells: tuple[Network, ...]

    @staticmethod
    def of(network: Network, radius: int) -> "LightCone":
        """The cones of a network's agents up to a radius, on the host.

        **Raises:** `GradientError` where so many pairs are within it that their sums would cost more than they spare.
        """
        senders, receivers, _ = network.edges()
        size = network.size
        step = scipy.sparse.csr_matrix((np.ones(len(senders), bool), (senders, receivers)), shape=(size, size))
        reached = scipy.sparse.eye(size, dtype=bool, format="csr")
        shells = []
        for d in range(1, radius + 1):
            further = ((reached @ step) + reached).astype(bool)
            if further.nnz > _MOST_PAIRS:
                raise GradientError(f"{further.nnz} pairs lie within {d} edges: take a radius of {d - 1}, or Score")
            new = (further.astype(np.int8) - reached.astype(np.int8)).tocoo()
            keep = new.data > 0
            # A draw of the sender is weighed by what is seen of those it reaches: summed towards the sender.
            shells.append(Network.from_edges(new.col[keep], new.row[keep], size, directed=True))
            reached = further
        return LightCone(size, tuple(shells))


class _ScoredEach(Plug):
    """Puts each agent's log-probability on the tape, and the sum of those of other populations."""

    agents: int = eqx.field(static=True)

    def sites(self) -> tuple[str, ...]:
        return ()

    def around(self, site: Site, proceed: Proceed) -> Any:
        value = proceed(site)
        if isinstance(site.mechanism, DISCRETE):
            logs = log_prob(site.mechanism, site, jax.lax.stop_gradient(value))
            own = logs.shape == (self.agents,)
            site.emit({"each": logs} if own else {"all": logs.sum()})
        return value


class LocalScore(Estimator):
    """The score function with each draw weighed by its light cone, and compared with the same draw of other runs.

    The loss returns terms by row and agent, (rows, agents), and agents meet along the network only, one edge a step;
    draws of other populations than the agents are weighed by all that comes after. Where that holds and the radius
    reaches as far as the run is long it has no bias; a smaller one has. The audit says how much.

    **Arguments:** `cone`: from `LightCone.of(network, radius)`; `group`: runs that are compared with each other.
    """

    unbiased: ClassVar[bool] = False
    differentiates: ClassVar[bool] = True
    cone: LightCone
    group: int = eqx.field(static=True, default=16)

    def least(self) -> int:
        return self.group

    def runs(self, at: Mapping[str, Array]) -> float:
        return 4.0

    def sample(self, expected: ExpectedLoss, at: dict[str, Array], keys: Key) -> Sample:
        agents = self.cone.size

        def seen(values: dict[str, Array], key: Key) -> tuple[tuple[Array, Array, Array], Array]:
            run = expected.bound(values)
            observations, tape0, tape = walked(run, key, (_ScoredEach(agents),))
            each = jnp.concatenate([_summed(tape0, "each", 1, agents), _summed(tape, "each", run.steps, agents)])
            rest = jnp.concatenate([_summed(tape0, "all", 1, 1), _summed(tape, "all", run.steps, 1)])
            local = expected.local(observations, agents)
            return (local.sum(), each, rest), local

        (loss, _, _), pull, local = jax.vmap(lambda key: jax.vjp(lambda v: seen(v, key), at, has_aux=True))(keys)
        to_go = jax.vmap(lambda terms: _to_go(expected, terms))(jax.lax.stop_gradient(local))
        cones = jax.vmap(self._weights)(to_go)
        n = keys.shape[0]
        luck, rest = ((one - one.mean(0)) * (n / (n - 1.0)) for one in (cones, to_go.sum(-1, keepdims=True)))
        (gradients,) = jax.vmap(lambda back, *cotangents: back(cotangents))(pull, jnp.ones(n), luck, rest)
        return Sample(loss, gradients)

    def _weights(self, to_go: Float[Array, "times agents"]) -> Float[Array, "times agents"]:
        """Of each draw what is still to come in its cone: d edges away, from d steps later on."""
        total = to_go
        for d, shell in enumerate(self.cone.shells, start=1):
            later = jnp.concatenate([to_go[d:], jnp.zeros((min(d, len(to_go)), to_go.shape[1]))])
            total = total + shell.sum(later.T).T
        return total

    @property
    def name(self) -> str:
        return f"LocalScore(radius {len(self.cone.shells)})"


def _summed(tape: dict[str, Any], what: str, times: int, width: int) -> Float[Array, "times width"]:
    total = jnp.zeros((times, width))
    for note in tape.values():
        if isinstance(note, dict) and what in note:
            total = total + note[what].reshape(times, -1, width).sum(1)
    return total


def _to_go(expected: ExpectedLoss, terms: Float[Array, "rows agents"]) -> Float[Array, "times agents"]:
    """The terms that are seen at times 0, 1, ... or later."""
    times = np.asarray(expected.rows())
    later = times[None, :] >= np.arange(expected.simulation.steps + 1)[:, None]
    return jnp.asarray(later, jnp.float32) @ terms
