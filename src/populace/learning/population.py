"""Players with a population of policies each: who they are, what their mixtures play, what policies earn."""

import itertools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..core.plug import Deciding
from ..core.policy import Policy
from .deviations import deviators
from .game import Policies, Watched
from .meta_solvers import MetaGame
from .policy_mixture import PolicyMixture
from .rollout import score

_CELLS = 2**22
"""Returns that a table of policies against policies holds at most."""
_BLOCK = 16
"""Games of policies that are simulated at a time: one compiled program serves all."""


@dataclass(frozen=True)
class Player:
    """Those who draw from one mixture: a type at a site. `agent`: the one of them who tries responses."""

    path: str
    kind: int
    agent: int

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.path}/{self.kind}"


@dataclass(frozen=True)
class Seats:
    """The players of a game and the seats of all who learn: `sites` and `agents` (seats,), and `players` (seats,), by
    number.
    """

    made: Watched
    all: tuple[Player, ...]
    sites: tuple[str, ...]
    agents: np.ndarray
    players: np.ndarray

    @property
    def count(self) -> int:
        """How many agents learn."""
        return self.agents.size

    def mixtures(self, members: tuple[Policy, ...], chances: np.ndarray) -> Policies:
        """Site to the policy that draws from what its players know. `members` of each; `chances` (players, n)."""
        out = {}
        for path, learner in self.made.game.learners.items():
            mine = [
                PolicyMixture(jnp.asarray(chances[i], jnp.float32), jax.tree.map(jnp.asarray, members[i]))
                for i, player in enumerate(self.all)
                if player.path == path
            ]
            out[path] = mine[0] if learner.types is None else jax.tree.map(lambda *leaves: jnp.stack(leaves), *mine)
        return out

    def earned(self, members: tuple[Policy, ...], profiles: np.ndarray, keys: Key) -> np.ndarray:
        """(profiles, seats, runs): what each seat earns where seats play so, (profiles, seats) numbers of members."""
        parts = []
        for start in range(0, len(profiles), _BLOCK):
            block = profiles[np.minimum(np.arange(start, start + _BLOCK), len(profiles) - 1)]
            plugs = tuple(self._seated(path, members, block) for path in self.made.game.learners)
            scores = score(self.made, {}, keys, frozen=plugs, sets=_BLOCK)
            of_seats = [scores.returns(path)[:, :, a] for path, a in zip(self.sites, self.agents, strict=True)]
            parts.append(np.stack(of_seats, axis=1)[: len(profiles) - start])
        return np.concatenate(parts)

    def _seated(self, path: str, members: tuple[Policy, ...], profiles: np.ndarray) -> Deciding:
        """What decides at a site where each agent has the policy of its seat; profiles on the leading axis."""
        learner, agents = self.made.game.learners[path], self.made.agents[path]
        which = np.zeros((len(profiles), agents), int)
        here = np.array([site == path for site in self.sites])
        which[:, self.agents[here]] = profiles[:, here]
        kinds = np.asarray(learner.types_of(agents))
        mine = [members[i] for i, player in enumerate(self.all) if player.path == path]
        # Picked on the host: what has been picked always has the same shapes, and from how many is no matter.
        pick = lambda *leaves: jnp.asarray(np.stack([np.asarray(x) for x in leaves])[kinds, which])  # noqa: E731
        who = None if learner.who is None else jnp.asarray(np.broadcast_to(np.asarray(learner.who), which.shape))
        return Deciding(path, jax.tree.map(pick, *mine), who, individual=True)


def seats_of(made: Watched) -> Seats:
    """The players of a game.

    **Raises:** `MethodError` for a type of which nobody learns.
    """
    players: list[Player] = []
    sites: list[str] = []
    agents: list[int] = []
    numbers: list[int] = []
    for path, learner in made.game.learners.items():
        first, count = deviators(made, path), made.agents[path]
        kinds = np.asarray(learner.types_of(count))
        if len(first) < learner.groups:
            raise MethodError(f"Learner at '{path}': of some of its {learner.groups} types nobody learns")
        mine = len(players)
        players += [Player(path, kind, agent) for kind, agent in enumerate(first)]
        for agent in np.flatnonzero(np.asarray(learner.learns(count)) > 0).tolist():
            sites.append(path)
            agents.append(agent)
            numbers.append(mine + int(kinds[agent]))
    return Seats(made, tuple(players), tuple(sites), np.array(agents), np.array(numbers))


def first_table(seats: Seats, most: int, runs: int) -> np.ndarray:
    """(seats, runs, most, ..., most) of nothing yet.

    **Raises:** `MethodError` where the table would be too large.
    """
    if seats.count * runs * float(most) ** seats.count > _CELLS:
        raise MethodError(
            f"{seats.count} agents with {most} policies each make {most}**{seats.count} games of policies: take fewer "
            "rounds, or solver=FictitiousSelfPlay(), which asks for no table"
        )
    return np.zeros((seats.count, runs, *(most for _ in range(seats.count))))


def filled(seats: Seats, table: np.ndarray, members: tuple[Policy, ...], size: int, keys: Key) -> np.ndarray:
    """The table with the games in which the last of `size` policies is played."""
    every = itertools.product(range(size), repeat=seats.count)
    profiles = np.array([profile for profile in every if size - 1 in profile])
    table = table.copy()
    for profile, earned in zip(profiles, seats.earned(members, profiles, keys), strict=True):
        table[(slice(None), slice(None), *profile)] = earned
    return table


def meta_game(seats: Seats, table: np.ndarray, size: int) -> MetaGame:
    """The game of the first `size` policies of each player."""
    part = table[(slice(None), slice(None), *(slice(size) for _ in range(seats.count)))]
    return MetaGame(part.mean(1), seats.players)


def gained_in(seats: Seats, table: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """(players, runs): what policy n earns more than a mixture of the n before it, `chances` (players, n), while all
    others draw from the mixtures.
    """
    size = chances.shape[1]
    wide = np.pad(chances, ((0, 0), (0, 1)))
    part = table[(slice(None), slice(None), *(slice(size + 1) for _ in range(seats.count)))]
    worths = [MetaGame(part[:, run], seats.players).worth(wide) for run in range(part.shape[1])]
    return np.stack([worth[:, size] - (worth * wide).sum(1) for worth in worths], axis=1)


def scales_in(seats: Seats, table: np.ndarray, size: int) -> np.ndarray:
    """(players,): the range of what the first `size` policies earn."""
    mean = meta_game(seats, table, size).table
    return np.array([np.ptp(mean[seats.players == player]) for player in range(len(seats.all))])


def placed(members: Any, policy: Any, number: int) -> Any:
    """The members of a player with this policy in the place of one."""
    return jax.tree.map(lambda all_, one: jnp.asarray(all_).at[number].set(one), members, policy)
