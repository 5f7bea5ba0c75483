"""Networks: agents joined by edges."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped
from numpy.typing import ArrayLike

from .._errors import ModelError
from ..core.draw import Draw
from .blocks import WIDTH, Blocks, build, first_blocks, laid_out, linear
from .topology import Neighbour, Topology, below, first_above, per_agent, sampled


class Network(Topology):
    """Agents joined by edges; built by `Network.from_edges`, by a generator, or by `from_networkx`.

    An edge from sender j to receiver i lets j count for i: A[i, j] is its weight, 1 if the network has no weights.
    The matrix is kept by rows in blocks of four (see blocks.py) and, if it is not symmetric, by columns too, so that
    gradients cost what the simulation does. With ten neighbours an agent it takes 6.5 bytes an entry of the matrix, 17
    with weights; a directed network 13 and 26.
    """

    size: int = eqx.field(static=True)
    inward: Blocks
    outward: Blocks | None
    first: Int[Array, " agents"]
    count: Int[Array, " agents"]
    cumulative: Float[Array, "four blocks"] | None
    halvings: Int[Array, ""]

    def __init__(self, senders: np.ndarray, receivers: np.ndarray, weights: np.ndarray | None, size: int, mutual: bool):
        """Of edges that were checked and sorted by receiver; use `Network.from_edges`."""
        count = np.bincount(receivers, minlength=size)
        self.size = size
        self.inward = build(receivers, senders, weights, size)
        self.outward = None if mutual else _transposed(senders, receivers, weights, size)
        self.first = jnp.asarray(first_blocks(count)[:-1].astype(np.int32))
        self.count = jnp.asarray(count.astype(np.int32))
        self.cumulative = None if weights is None else jnp.asarray(_cumulated(weights, receivers, size))
        self.halvings = jnp.asarray(int(count.max(initial=1)).bit_length(), jnp.int32)

    @classmethod
    def from_edges(
        cls,
        senders: ArrayLike,
        receivers: ArrayLike,
        size: int,
        *,
        weights: ArrayLike | None = None,
        directed: bool = False,
        loops: bool = False,
        repeats: bool = False,
    ) -> "Network":
        """The network of `size` agents with the given edges, on the host.

        **Arguments:** `senders`, `receivers`: (edges,) integers in 0 .. size - 1; `weights`: (edges,) finite and not
        negative; `directed`: whether an edge counts from sender to receiver only, otherwise it is listed once and
        counts both ways; `loops`: whether an edge may join an agent to itself (it then counts once); `repeats`:
        whether an edge may be listed more often than once, and then counts as often (refused otherwise, because a
        list that holds both directions of an undirected edge would count double).

        **Raises:** `ModelError` if the edges are not what was said.
        """
        if size < 1:
            raise ModelError(f"a network has one agent or more, not {size}")
        ids = [_checked_ids("senders", senders, size), _checked_ids("receivers", receivers, size)]
        if len(ids[0]) != len(ids[1]):
            raise ModelError(f"{len(ids[0])} senders and {len(ids[1])} receivers: an edge has one of each")
        heavy = None if weights is None else _checked_weights(weights, len(ids[0]))
        own = ids[0] == ids[1]
        if own.any() and not loops:
            raise ModelError(f"{own.sum()} edges join an agent to itself: leave them out, or say loops=True")
        if not directed:
            once = ~own
            ids = [np.concatenate([ids[0], ids[1][once]]), np.concatenate([ids[1], ids[0][once]])]
            heavy = None if heavy is None else np.concatenate([heavy, heavy[once]])
        return cls(*_sorted(ids[0], ids[1], heavy, repeats), size, mutual=not directed)

    @property
    def directed(self) -> bool:
        """Whether edges count one way only."""
        return self.outward is not None

    def edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Senders, receivers (int32) and weights (float32, or None) on the host, sorted by receiver; an undirected
        edge appears in both directions.
        """
        slots = np.asarray(self.inward.slots).T.ravel()
        kept = slots < self.size
        weights = None if self.inward.weights is None else np.asarray(self.inward.weights).T.ravel()[kept]
        return slots[kept], np.repeat(np.asarray(self.inward.owner), WIDTH)[kept], weights

    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        inward, outward = jax.lax.stop_gradient((self.inward, self.outward))
        back = inward if outward is None else outward
        return linear(inward.product, back.product, per_agent(values, self.size))

    def degree(self) -> Float[Array, " agents"]:
        if self.cumulative is None:
            return self.count.astype(jnp.float32)
        return jnp.where(self.count > 0, self._at(self.cumulative, self.count - 1), 0.0)

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        share = jax.lax.stop_gradient(draw.uniform(name, 0.0, 1.0, size=self.size))
        degree = self.degree()
        if self.cumulative is None:
            place = sampled(share, self.count)
        else:
            table = self.cumulative
            level = below(degree, share)
            place = first_above(lambda j: self._at(table, j), level, self.count, self.halvings)
        present = degree > 0
        index = jnp.where(present, self._at(self.inward.slots, place), 0)
        return Neighbour(index, present.astype(jnp.float32))

    def _at(self, table: Shaped[Array, "four blocks"], place: Int[Array, " agents"]) -> Shaped[Array, " agents"]:
        """The entry of `table` at the given place among each agent's edges."""
        return table.at[place % WIDTH, self.first + place // WIDTH].get(mode="clip")


def _checked_ids(what: str, ids: ArrayLike, size: int) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.ndim != 1 or not (np.issubdtype(ids.dtype, np.integer) or ids.size == 0):
        raise ModelError(f"{what} are a row of whole numbers, not {ids.dtype} of shape {ids.shape}")
    if ids.size and not (ids.min() >= 0 and ids.max() < size):
        raise ModelError(
            f"{what} run from {ids.min()} to {ids.max()}, and a network of {size} agents numbers them 0 to {size - 1}"
        )
    return ids.astype(np.int64)


def _checked_weights(weights: ArrayLike, edges: int) -> np.ndarray:
    heavy = np.asarray(weights).astype(np.float32)
    if heavy.shape != (edges,):
        raise ModelError(f"weights have shape {heavy.shape}, and there are {edges} edges: one each")
    if not (np.isfinite(heavy) & (heavy >= 0.0)).all():
        raise ModelError("a weight is negative or not finite: leave such edges out, or give them weight 0")
    return heavy


def _sorted(
    senders: np.ndarray, receivers: np.ndarray, weights: np.ndarray | None, repeats: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The edges by receiver, then sender; a `ModelError` if one is listed twice and must not be."""
    code = (receivers << 32) | senders
    if weights is None:
        code.sort()
    else:
        order = np.argsort(code, kind="stable")
        code, weights = code[order], weights[order]
    receivers, senders = code >> 32, code & 0xFFFFFFFF
    twice = np.flatnonzero(code[1:] == code[:-1])
    if len(twice) and not repeats:
        raise ModelError(
            f"{len(twice)} edges are listed again, the first from {senders[twice[0]]} to {receivers[twice[0]]}: an "
            "undirected edge is listed once; leave the others out, or say repeats=True to count them as often"
        )
    return senders, receivers, weights


def _transposed(senders: np.ndarray, receivers: np.ndarray, weights: np.ndarray | None, size: int) -> Blocks:
    receivers, senders, weights = _sorted(receivers, senders, weights, repeats=True)
    return build(senders, receivers, weights, size)


def _cumulated(weights: np.ndarray, receivers: np.ndarray, size: int) -> np.ndarray:
    """Each agent's weights added up along its edges, float64 inside, as float32 (4, blocks)."""
    count = np.bincount(receivers, minlength=size)
    running = np.cumsum(weights, dtype=np.float64)
    before = np.concatenate([[0.0], running])[np.cumsum(count) - count]
    return laid_out((running - np.repeat(before, count)).astype(np.float32), receivers, size, 0.0)
