"""The rounds of policy-space response oracles: respond to what is played, take the responses in, mix anew."""

import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._results import Code
from .._types import Key
from ..core.executor import Ticker
from ..core.plug import Plug
from ..core.policy import Policy
from ..core.rounds import Ask, Done, Method
from .algorithm import Algorithm, Lesson
from .deviations import repeated
from .game import Policies, Watched
from .learn import train
from .meta_solvers import MetaSolver
from .population import Player, Seats, filled, first_table, gained_in, meta_game, placed, scales_in
from .rollout import score

_ROUNDING = 5e-4
"""What a solver and 32-bit numbers leave over, in parts of the range of returns."""


class Populations(eqx.Module):
    """Where the rounds stand: the `members` of each player, on a leading axis that has room for all, of which `size`
    are there; `table` of what they earn; `chances` (players, room); `gains`, `errors` (rounds, players); `scales`
    (players,): the range of what the last games of policies paid; `keys`: the numbers of the key that all these share.
    """

    members: tuple[Policy, ...]
    size: np.ndarray
    table: np.ndarray
    chances: np.ndarray
    gains: np.ndarray
    errors: np.ndarray
    scales: np.ndarray
    keys: np.ndarray


class Respond(Ask):
    """A response of every player to the mixtures, what each gains, and what it earns among the policies there are."""

    oracle: "ResponseOracle"
    state: Populations
    key: Key

    def calls(self) -> int:
        return len(self.state.members) * self.oracle.budget

    def answer(self, task: Seats, ticker: Ticker) -> Any:
        oracle, state = self.oracle, self.state
        playing, training = jr.split(self.key)
        mixtures, keys = task.mixtures(state.members, state.chances), jr.split(playing, 2 * oracle.runs)
        others = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], task.made.game.with_policies(mixtures))
        responses, gained, scales = [], np.zeros((0, oracle.runs)), np.zeros(0)
        for number, player in enumerate(task.all):
            known = (state.members[number], np.zeros(0) if oracle.solver.tabulates else state.chances[number])
            policy, gain, scale = oracle.response(task.made, others, player, known, keys, jr.fold_in(training, number))
            responses.append(policy)
            gained, scales = np.vstack([gained, gain]), np.append(scales, scale)
            ticker.advance(oracle.budget)
        size, table = int(state.size), state.table
        members = tuple(placed(old, new, size) for old, new in zip(state.members, responses, strict=True))
        if oracle.solver.tabulates:
            table = filled(task, table, members, size + 1, oracle.meeting(state))
            gained = gained_in(task, table, state.chances[:, :size])[:, oracle.runs :]
            scales = scales_in(task, table, size + 1)
        errors = np.sqrt(gained.var(1, ddof=1) / oracle.runs)
        return members, table, gained.mean(1), np.maximum(errors, _ROUNDING * scales), scales


class ResponseOracle(Method[Seats, Populations, Populations]):
    """The rounds: respond, take the responses in, solve the game of all policies, and again."""

    algorithm: Algorithm
    solver: MetaSolver
    budget: int = eqx.field(static=True)
    most: int = eqx.field(static=True)
    seeds: int = eqx.field(static=True)
    runs: int = eqx.field(static=True)
    least: float = eqx.field(static=True)

    def start(self, task: Seats, key: Key, budget: int) -> Populations:
        table, meeting = np.zeros(0), jr.fold_in(key, 2**30)
        if self.solver.tabulates:
            table = first_table(task, self.most + 1, 2 * self.runs)
        members = tuple(self._first(task.made, p, jr.fold_in(key, n)) for n, p in enumerate(task.all))
        if self.solver.tabulates:
            table = filled(task, table, members, 1, jr.split(meeting, 2 * self.runs))
        chances = np.zeros((len(task.all), self.most + 1))
        chances[:, 0] = 1.0
        nothing = np.zeros((0, len(task.all)))
        return Populations(
            members, np.array(1), table, chances, nothing, nothing, nothing.sum(0), np.asarray(jr.key_data(meeting))
        )

    def ask(self, task: Seats, state: Populations, key: Key) -> Ask:
        return Respond(self, state, key)

    def tell(self, task: Seats, state: Populations, ask: Any, answer: Any) -> Populations:
        members, table, gain, error, scales = answer
        gains, errors = np.vstack([state.gains, gain]), np.vstack([state.errors, error])
        size, chances = int(state.size), state.chances
        if size < self.most and not self.at_rest(gain, error):
            size += 1
            # By the first half of the runs: what responses gain is asked of the second.
            game = meta_game(task, table[:, : self.runs], size) if self.solver.tabulates else None
            chances = np.zeros_like(chances)
            chances[:, :size] = self.solver.mixtures(len(task.all), size, game)
        return Populations(members, np.array(size), table, chances, gains, errors, scales, state.keys)

    def done(self, task: Seats, state: Populations, left: int) -> Done | None:
        made = len(state.gains)
        if made and self.at_rest(state.gains[-1], state.errors[-1]):
            return Done(Code.CONVERGED, f"after {made} rounds no response gains more than its error")
        if made >= self.most:
            return Done(Code.BUDGET_SPENT, f"{made} rounds of responses were made")
        return None

    def finish(self, task: Seats, state: Populations, key: Key) -> Populations:
        return state

    def meeting(self, state: Populations) -> Key:
        """The keys of all games of policies: the same luck for every pair."""
        return jr.split(jr.wrap_key_data(jnp.asarray(state.keys)), 2 * self.runs)

    def at_rest(self, gains: np.ndarray, errors: np.ndarray) -> bool:
        """Whether no player's response gains more than its error, or than what is worth having."""
        return bool((gains <= np.maximum(errors, self.least)).all())

    def response(
        self,
        made: Watched,
        others: tuple[Plug, ...],
        player: Player,
        known: tuple[Policy, np.ndarray],
        keys: Key,
        key: Key,
    ) -> tuple[Policy, np.ndarray, float]:
        """The best of some responses of one agent to what all others play, chosen by the first half of the runs of
        `keys`; what it earns in each of the second half more than the player's mixture; and the range of all that was
        earned. `others`: one set, on a leading axis; `known`: the player's policies and their chances, of which those
        above 0 are tried in the same runs, so that the agent's own draw adds no noise; () where a table says it.
        """
        path, agent, seeds = player.path, player.agent, self.seeds
        alone, members, chances = made.deviating(path, agent), *known
        found = train(Lesson(alone, seeds, repeated(others, seeds)), self.algorithm, key, self.budget).policies[path]
        played = np.flatnonzero(chances)
        tried = jax.tree.map(lambda new, old: jnp.concatenate([new, jnp.asarray(old)[played]]), found, members)
        sets = seeds + played.size
        scores = score(alone, {path: tried}, keys, frozen=repeated(others, sets), sets=sets)
        returns = scores.returns(path)[:, :, agent]
        best = int(returns[:seeds, : self.runs].mean(1).argmax())
        gains = (returns[best] - chances[played] @ returns[seeds:])[self.runs :]
        return jax.tree.map(operator.itemgetter(best), found), gains, float(np.ptp(returns))

    def _first(self, made: Watched, player: Player, key: Key) -> Policy:
        """Room for all policies of a player, filled with one that has learned nothing."""
        policy = _untaught(self.algorithm, made.deviating(player.path, player.agent), key)[player.path]
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (self.most + 1, *leaf.shape)), policy)


@eqx.filter_jit
def _untaught(algorithm: Algorithm, alone: Watched, key: Key) -> Policies:
    return algorithm.policies(alone, algorithm.begin(alone, key))
