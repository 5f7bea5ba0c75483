"""What one agent gains by leaving the others: fixed deviations, trained deviators, strange policies."""

import operator
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._types import Key
from .actions import probes
from .algorithm import Algorithm
from .game import Game, Policies, watched
from .learn import learn
from .policies import FixedPolicy
from .rollout import score


@dataclass(frozen=True)
class Deviation:
    """One agent's gain by acting otherwise at a site while all others keep to their policies.

    `own` (sets, runs): its returns as it was, and `best`, deviating; `how`: what the best deviation was, in words.
    """

    path: str
    agent: int
    how: str
    own: np.ndarray
    best: np.ndarray

    @property
    def gain(self) -> float:
        """The mean gain."""
        return float((self.best - self.own).mean())

    @property
    def error(self) -> float:
        """Its standard error, over sets and paired runs."""
        gains = self.best - self.own
        within = gains.var(axis=1, ddof=1).mean() / gains.size
        between = gains.mean(1).var(ddof=1) / gains.shape[0] if gains.shape[0] > 1 else 0.0
        return float(np.sqrt(max(within, between)))


def stacked(sets: tuple[Any, ...]) -> Any:
    """Trees of one structure as one, sets on the leading axis of the arrays."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *sets)


def _repeated(tree: Any, times: int) -> Any:
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, times, axis=0) if eqx.is_array(leaf) else leaf, tree)


def _own(game: Game, policies: tuple[Policies, ...], path: str, agent: int, keys: Key) -> np.ndarray:
    return score(watched(game), stacked(policies), keys, sets=len(policies)).returns(path)[:, :, agent]


def fixed_deviation(
    game: Game, policies: tuple[Policies, ...], path: str, agent: int, keys: Key, points: int
) -> Deviation:
    """The best fixed action of one agent among the others' policies, set by set: chosen by the first half of the keys,
    scored by the second, so that choosing the luckiest of many gains nothing.
    """
    alone = watched(game.deviating(path, agent))
    actions = probes(game.learners[path].actions, points)
    count, sets = jax.tree.leaves(actions)[0].shape[0], len(policies)
    tried = jax.tree.map(lambda leaf: jnp.tile(leaf, (sets, *(1 for _ in leaf.shape[1:]))), actions)
    others = _repeated(stacked(tuple(game.with_policies(one) for one in policies)), count)
    out = score(alone, {path: FixedPolicy(tried)}, keys, frozen=others, sets=sets * count).returns(path)[:, :, agent]
    out = out.reshape(sets, count, -1)
    half = out.shape[2] // 2
    chosen = out[:, :, :half].mean(2).argmax(1)
    best = out[np.arange(sets), chosen][:, half:]
    own = _own(game, policies, path, agent, keys)[:, half:]
    named = [said(jax.tree.map(operator.itemgetter(c), actions)) for c in sorted(set(chosen.tolist()))]
    how = f"always {named[0]}" if len(named) == 1 else f"a fixed action ({named[0]} to {named[-1]})"
    return Deviation(path, agent, how, own, best)


def said(action: Any) -> str:
    """An action in a few words."""
    if isinstance(action, dict):
        return ", ".join(f"{name} {said(value)}" for name, value in action.items())
    return " ".join(f"{value:.3g}" for value in np.ravel(action))


def trained_deviation(
    game: Game,
    policies: tuple[Policies, ...],
    path: str,
    agent: int,
    keys: Key,
    algorithm: Algorithm,
    key: Key,
    budget: int,
) -> Deviation:
    """The gain of one agent who learns, from the start, among the others' policies: a best response as far as the
    algorithm finds it. A gain is proof that there is one; none is not proof that there is none.
    """
    alone = game.deviating(path, agent)
    others = stacked(tuple(game.with_policies(one) for one in policies))
    found = learn(alone, algorithm, key, budget=budget, seeds=len(policies), runs=2, frozen=others, progress=False)
    out = score(watched(alone), stacked(found.policies), keys, frozen=others, sets=len(policies))
    own = _own(game, policies, path, agent, keys)
    return Deviation(path, agent, "a policy trained against the others", own, out.returns(path)[:, :, agent])


def cross_play(game: Game, policies: tuple[Policies, ...], path: str, agent: int, keys: Key) -> np.ndarray:
    """(sets, sets): the mean return of one agent with the policy of training `row` among the others of `column`."""
    sets = len(policies)
    learner = game.learners[path]
    mine = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(one[path] for one in policies))
    if learner.types is not None:
        group = int(np.asarray(learner.types)[agent])
        mine = jax.tree.map(lambda leaf: leaf[:, group], mine)
    alone = watched(game.deviating(path, agent))
    others = stacked(tuple(game.with_policies(one) for one in policies))
    others = jax.tree.map(lambda leaf: jnp.tile(leaf, (sets, *(1 for _ in leaf.shape[1:]))), others)
    out = score(alone, {path: _repeated(mine, sets)}, keys, frozen=others, sets=sets * sets)
    return out.returns(path)[:, :, agent].reshape(sets, sets, -1).mean(2)


def deviators(game: Game, path: str) -> tuple[int, ...]:
    """The first learner of each type."""
    learner = game.learners[path]
    agents = watched(game).agents[path]
    types = np.zeros(agents, int) if learner.types is None else np.asarray(learner.types)
    learns = np.ones(agents, bool) if learner.who is None else np.asarray(learner.who) > 0
    return tuple(
        int(np.flatnonzero((types == t) & learns)[0]) for t in range(learner.groups) if ((types == t) & learns).any()
    )
