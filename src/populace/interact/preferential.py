"""Networks that grow by preferential attachment, with the heavy-tailed degrees of Barabási and Albert (1999)."""

import numpy as np

from .._errors import ModelError
from .._types import Key
from ..core.noise import host_generator
from .network import Network


def preferential_attachment(key: Key, size: int, *, links: int) -> Network:
    """Agents join one by one and link to `links` others in proportion to their degrees (Barabási & Albert 1999).

    The first links + 1 agents all know each other, so that nobody has fewer than `links` neighbours; agents are
    numbered by age. In the limit P(degree = k) = 2 m (m + 1) / (k (k + 1) (k + 2)) with m = links (Bollobás et al.
    2001), and the mean degree is 2 m.

    A target is an end of an earlier edge taken at random (Batagelj & Brandes 2005): the chance is then proportional to
    the degree. Here it is done for many agents at once: ends not yet known are followed to what they copy, and an
    agent that hit somebody twice takes the next of its random numbers, until nothing changes.

    **Arguments:** `size`: agents; `links`: 1 or more, below `size`.

    **Raises:** `ModelError` if `links` is not.
    """
    if not 1 <= links < size:
        raise ModelError(f"links lies between 1 and size - 1 = {size - 1}, not {links}")
    rng = host_generator(key)
    lower, upper = np.triu_indices(links + 1, 1)
    core = len(lower)
    ends = np.empty(2 * (core + (size - links - 1) * links), np.int64)
    ends[0 : 2 * core : 2], ends[1 : 2 * core : 2] = lower, upper
    ends[2 * core :: 2] = np.repeat(np.arange(links + 1, size), links)
    born = links + 1
    while born < size:
        until = min(2 * born, size)
        _grow(rng, ends, core + (born - links - 1) * links, until - born, links)
        born = until
    return Network.from_edges(ends[0::2], ends[1::2], size)


def _grow(rng: np.random.Generator, ends: np.ndarray, first: int, agents: int, links: int) -> None:
    """Let `agents` agents join, their edges beginning with number `first`: write their targets into `ends`.

    Edge e has the ends 2 e (who joined) and 2 e + 1 (the target). An agent copies ends older than its own edges.
    """
    older = 2 * (first + links * np.arange(agents))
    pointers = (rng.random((agents, links)) * older[:, None]).astype(np.int64)
    tried: dict[int, list[list[int]]] = {}
    changed = True
    while changed:
        targets = _followed(pointers.ravel(), ends, first)
        ends[2 * first + 1 : 2 * (first + agents * links) : 2] = targets
        ranked = np.sort(targets.reshape(agents, links), axis=1)
        for agent in np.flatnonzero((ranked[:, 1:] == ranked[:, :-1]).any(axis=1)):
            tried.setdefault(int(agent), [[int(p)] for p in pointers[agent]])
        changed = False
        for agent, attempts in tried.items():
            picked = _distinct(rng, ends, attempts, int(older[agent]))
            changed |= picked != pointers[agent].tolist()
            pointers[agent] = picked


def _followed(pointers: np.ndarray, ends: np.ndarray, first: int) -> np.ndarray:
    """The agents that `pointers` (edges,) copy; a pointer to a target of this very batch is followed on."""
    at = pointers.copy()
    open_ = np.flatnonzero((at % 2 == 1) & (at >= 2 * first))
    while len(open_):
        at[open_] = pointers[at[open_] // 2 - first]
        open_ = open_[(at[open_] % 2 == 1) & (at[open_] >= 2 * first)]
    return ends[at]


def _distinct(rng: np.random.Generator, ends: np.ndarray, attempts: list[list[int]], older: int) -> list[int]:
    """For each link of one agent the first attempt that hits somebody new; attempts are added as they are needed."""
    hit: set[int] = set()
    picked = []
    for pointers in attempts:
        tries = 0
        while int(ends[pointers[tries]]) in hit:
            tries += 1
            if tries == len(pointers):
                pointers.append(int(rng.integers(older)))
        hit.add(int(ends[pointers[tries]]))
        picked.append(pointers[tries])
    return picked
