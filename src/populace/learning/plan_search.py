"""The search of a planner: rounds of candidates, and the top of a parabola through the later ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree

from .._types import Key
from ..core.executor import Ticker
from ..core.fingerprint import fingerprint
from ..core.host import placed, taken
from ..core.policy import Policy
from ..core.rounds import Done, rounds
from .planner import Office
from .planning import Planning, Search, Teaching
from .response_surface import Peak, peak


@dataclass(frozen=True)
class Sought:
    """How a search ended: its `state`, why it is `done`, the instruments tried as numbers, `x` (rounds, candidates, m),
    m = 0 where they are no numbers or not always the same; the `top` of the parabola through what the later half of
    them brought, if it has one, and the `policy` found, one set of it: there, or in the middle of these candidates.
    """

    office: Office
    state: Search
    done: Done
    x: np.ndarray
    top: Peak | None
    policy: Policy

    @property
    def late(self) -> int:
        """The round from which candidates count."""
        return len(self.state.welfare) // 2

    @property
    def middle(self) -> np.ndarray:
        """(size,): the mean of the numbers that were tried in the later half."""
        return self.state.tried[self.late :].mean((0, 1))

    def luck(self, count: int) -> Key:
        """(count,) keys: those that the trainings of the last rounds had, in turn."""
        keys = self.state.keys
        return jr.wrap_key_data(jax.device_put(keys[-1 - np.arange(count) % len(keys)]))

    def near(self, steps: np.ndarray) -> tuple[np.ndarray, Policy]:
        """Instruments around the top, `steps` (n, m) of the later candidates' spread away, none of them beyond what was
        tried: where they are, and what they are.
        """
        assert self.top is not None
        low, high = self.x.min((0, 1)), self.x.max((0, 1))
        x = np.clip(self.top.at + self.top.scale * steps, low, high)
        return x, _always(self.office, x)


def sought(
    office: Office, teaching: Teaching, key: Key, ticker: Ticker, folder: Path | None, identity: dict[str, Any]
) -> Sought:
    """Search. **Arguments:** `folder`, `identity`: of the checkpoint."""
    planner = office.planner
    ended = rounds(
        Planning(teaching, planner.rounds, planner.candidates),
        office,
        key,
        budget=planner.rounds * planner.candidates * teaching.calls,
        ticker=ticker,
        folder=folder,
        identity={**identity, "office": fingerprint(office)},
    )
    state = ended.estimate
    x, late = _numbers(office, state), len(state.welfare) // 2
    policy = office.policies(state.tried[late:].mean((0, 1))[None])
    top = peak(x[late:], state.welfare[late:]) if x.shape[2] else None
    policy = policy if top is None else _always(office, top.at[None])
    return Sought(office, state, ended.done, x, top, policy)


def _always(office: Office, x: np.ndarray) -> Policy:
    """Instruments of numbers, (n, m)."""
    _, back = ravel_pytree(taken(office.policies(np.zeros((1, office.size))), 0))
    return jax.vmap(back)(placed(x))


def _numbers(office: Office, state: Search) -> np.ndarray:
    """(rounds, candidates, m): what a parabola may be drawn through."""
    count, candidates, size = state.tried.shape
    leaves = jax.tree.leaves(office.policies(state.tried.reshape(-1, size)))
    if office.policy is not None or not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves):
        return np.zeros((count, candidates, 0))
    return np.concatenate([np.asarray(leaf).reshape(count, candidates, -1) for leaf in leaves], axis=-1).astype(float)
