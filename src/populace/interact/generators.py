"""Random networks: Erdős-Rényi and Watts-Strogatz. Made on the host, in seconds for a million agents."""

import numpy as np

from .._errors import ModelError
from .._types import Key
from ..core.noise import host_generator
from .network import Network

_PATIENCE = 50


def random_network(key: Key, size: int, degree: float) -> Network:
    """Every set of round(size * degree / 2) edges alike: the Erdős-Rényi network G(n, m) (Erdős & Rényi 1959).

    The number of edges is fixed, so that networks of other keys use the same compiled code; degrees are Poisson of
    mean `degree` when `size` is large.

    **Arguments:** `size`: agents; `degree`: the mean number of contacts of an agent.

    **Raises:** `ModelError` if there are not so many pairs of agents.
    """
    edges = round(size * degree / 2)
    pairs = size * (size - 1) // 2
    if size < 1 or not 0 <= edges <= pairs:
        raise ModelError(f"{size} agents have {max(pairs, 0)} pairs, not {edges}: degree lies between 0 and size - 1")
    rng = host_generator(key)
    if 2 * edges <= pairs:
        codes = _distinct_pairs(rng, size, edges)
    else:
        left_out = _distinct_pairs(rng, size, pairs - edges)
        kept = np.triu(np.ones((size, size), bool), 1)
        kept[left_out >> 32, left_out & 0xFFFFFFFF] = False
        codes = _coded(*np.nonzero(kept))
    return _joined(codes, size)


def small_world(key: Key, size: int, *, degree: int, rewire: float) -> Network:
    """A ring whose agents know the `degree` nearest others, some edges rewired at random (Watts & Strogatz 1998).

    Each edge keeps one end and, with probability `rewire`, gets another agent for the other; no edge joins an agent to
    itself or doubles another, so that there are always size * degree / 2. With `rewire` 0 the clustering is
    3 (degree - 2) / (4 (degree - 1)).

    Edges are rewired at once and not in Watts and Strogatz' order: those that clash are drawn again, and an edge that
    clashes fifty times gives up its other end too (only where nearly everyone knows everyone).

    **Arguments:** `size`: agents; `degree`: even, below `size`; `rewire`: a probability.

    **Raises:** `ModelError` if an argument is outside its range.
    """
    if degree % 2 or not 0 <= degree < size:
        raise ModelError(f"degree is even and between 0 and size - 1 = {size - 1}, not {degree}")
    if not 0.0 <= rewire <= 1.0:
        raise ModelError(f"rewire is a probability, not {rewire}")
    rng = host_generator(key)
    agent = np.arange(size, dtype=np.int64)
    ends = np.tile(agent, degree // 2)
    ring = _coded(ends, np.concatenate([(agent + d) % size for d in range(1, degree // 2 + 1)] or [agent[:0]]))
    moved = rng.random(len(ring)) < rewire
    if size * degree == size * (size - 1):
        moved[:] = False
    return _joined(_rewired(rng, ring[~moved], ends[moved], ring[moved], size), size)


def _rewired(rng: np.random.Generator, kept: np.ndarray, ends: np.ndarray, old: np.ndarray, size: int) -> np.ndarray:
    """The codes `kept`, and for each of `ends` (moved,) a new edge: none of them, nor of the others, nor its `old`."""
    taken = np.sort(kept)
    for attempt in range(10**6):
        if not len(ends):
            break
        if attempt >= _PATIENCE:
            ends = rng.integers(size, size=len(ends))
        other = rng.integers(size, size=len(ends))
        codes = _coded(ends, other)
        good = np.zeros(len(ends), bool)
        good[np.unique(codes, return_index=True)[1]] = True
        good &= (ends != other) & (codes != old) & ~_contains(taken, codes)
        taken = np.sort(np.concatenate([taken, codes[good]]))
        ends, old = ends[~good], old[~good]
    return taken


def _distinct_pairs(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    """The codes of `count` distinct pairs of agents, every set alike; quick up to half of all pairs."""
    codes = np.empty(0, np.int64)
    while len(codes) < count:
        ends = rng.integers(size, size=(2, count - len(codes)))
        fresh = _coded(ends[0], ends[1])[ends[0] != ends[1]]
        codes = np.sort(np.concatenate([codes, fresh]))
        codes = codes[np.diff(codes, prepend=-1) > 0]
    return codes


def _contains(known: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Which of `codes` are among the sorted `known`."""
    if not len(known):
        return np.zeros(len(codes), bool)
    return known[np.minimum(np.searchsorted(known, codes), len(known) - 1)] == codes


def _coded(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """An undirected edge as one int64, the lower agent first."""
    return (np.minimum(one, other).astype(np.int64) << 32) | np.maximum(one, other)


def _joined(codes: np.ndarray, size: int) -> Network:
    return Network.from_edges(codes >> 32, codes & 0xFFFFFFFF, size)
