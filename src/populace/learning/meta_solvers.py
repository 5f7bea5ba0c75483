"""The game whose moves are the policies found so far, and how often each should be played in it.

Policy-space response oracles differ in this alone: M. Lanctot et al. (2017), "A unified game-theoretic approach to
multiagent reinforcement learning", NeurIPS.
"""

import abc
from dataclasses import dataclass

import equinox as eqx
import numpy as np

from .._errors import MethodError


@dataclass(frozen=True)
class MetaGame:
    """What policies earn against policies.

    `table`: (seats, n, ..., n) with an axis of n policies a seat: what the one in each seat earns; `players` (seats,):
    who sits there. All seats of a player draw from one mixture, each for itself.
    """

    table: np.ndarray
    players: np.ndarray

    def worth(self, mixtures: np.ndarray) -> np.ndarray:
        """(players, n): what each policy earns, the mean over a player's seats, while all other seats draw from
        `mixtures` (players, n).
        """
        out = np.zeros(mixtures.shape)
        for seat, player in enumerate(self.players):
            earned = self.table[seat]
            for other in reversed(range(self.players.size)):
                if other != seat:
                    earned = np.tensordot(earned, mixtures[self.players[other]], axes=([other], [0]))
            out[player] += earned / (self.players == player).sum()
        return out

    def gaps(self, mixtures: np.ndarray) -> np.ndarray:
        """(players,): what the best of the policies earns more than the mixture."""
        worth = self.worth(mixtures)
        return worth.max(1) - (worth * mixtures).sum(1)


class MetaSolver(eqx.Module):
    """How often each policy is played. Implement two methods."""

    @property
    @abc.abstractmethod
    def tabulates(self) -> bool:
        """Whether it asks what policies earn against each other."""

    @abc.abstractmethod
    def mixtures(self, players: int, policies: int, game: MetaGame | None) -> np.ndarray:
        """(players, policies): chances. `game`: None for a solver that does not tabulate."""


class RegretMatching(MetaSolver):
    """A Nash equilibrium of the policies, by regrets: each policy is played as much as it is regretted, and what is
    handed out is the average of play, later play counting more.

    Right in games of two whose pay sums to a constant, and where what is dominated leaves one equilibrium; elsewhere
    the average of play may be none, and the gains of responses say so.

    S. Hart and A. Mas-Colell (2000), "A simple adaptive procedure leading to correlated equilibrium", Econometrica 68,
    1127-1150; regrets that never fall below nothing, one player after the other: O. Tammelin, N. Burch, M. Johanson and
    M. Bowling (2015), "Solving heads-up limit Texas hold'em", IJCAI.

    **Arguments:** `steps`: rounds of play.
    """

    steps: int = eqx.field(static=True, default=2000)

    def __check_init__(self) -> None:
        if self.steps < 1:
            raise MethodError("RegretMatching(steps=): one or more")

    @property
    def tabulates(self) -> bool:
        return True

    def mixtures(self, players: int, policies: int, game: MetaGame | None) -> np.ndarray:
        assert game is not None
        regrets = np.zeros((players, policies))
        play = np.full((players, policies), 1.0 / policies)
        average = np.zeros((players, policies))
        for step in range(1, self.steps + 1):
            for player in range(players):
                worth = game.worth(play)[player]
                regrets[player] = np.maximum(regrets[player] + worth - worth @ play[player], 0.0)
                mass = regrets[player].sum()
                play[player] = regrets[player] / mass if mass > 0 else play[player]
            average += step * play
        return average / average.sum(1, keepdims=True)


class FictitiousSelfPlay(MetaSolver):
    """All policies alike: each response is to the average of play so far.

    J. Heinrich, M. Lanctot and D. Silver (2015), "Fictitious self-play in extensive-form games", ICML. Among many alike
    this averages the flow of the whole population, the fictitious play of mean-field games: S. Perrin et al. (2020),
    "Fictitious play for mean field games: continuous time analysis and applications", NeurIPS.
    """

    @property
    def tabulates(self) -> bool:
        return False

    def mixtures(self, players: int, policies: int, game: MetaGame | None) -> np.ndarray:
        return np.full((players, policies), 1.0 / policies)


class SelfPlay(MetaSolver):
    """The last policy alone: each response is to the one before. It goes round where no policy is best."""

    @property
    def tabulates(self) -> bool:
        return False

    def mixtures(self, players: int, policies: int, game: MetaGame | None) -> np.ndarray:
        return np.broadcast_to(np.eye(policies)[-1], (players, policies)).copy()
