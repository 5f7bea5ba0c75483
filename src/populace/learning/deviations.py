"""What one agent gains by leaving the others: fixed deviations, trained deviators, strange policies."""

import operator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._types import Key
from ..core.plug import Plug
from .actions import probes
from .algorithm import Algorithm, Lesson
from .game import Policies, Watched
from .learn import train
from .policies import FixedPolicy
from .rollout import Score, score

_SMALL = 0.02
"""Gains below this part of the scale of returns are not worth a deviation."""


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

    def pays(self, scale: float) -> bool:
        """Whether the gain is more than noise, and more than a fiftieth of the scale of returns."""
        return self.gain > max(2 * self.error, _SMALL * scale)


class Play:
    """Sets of policies, one a training, in the runs of some keys: how the game goes as long as nobody deviates."""

    def __init__(self, made: Watched, policies: tuple[Policies, ...], keys: Key):
        self.made, self.policies, self.keys = made, policies, keys
        self.together: Policies = _stacked(policies)
        self.others: tuple[Plug, ...] = _stacked(tuple(made.game.with_policies(one) for one in policies))
        self.scores: Score = score(made, self.together, keys, sets=len(policies))

    def own(self, path: str, agent: int) -> np.ndarray:
        """(sets, runs): one agent's returns."""
        return self.scores.returns(path)[:, :, agent]


def _stacked(sets: tuple[Any, ...]) -> Any:
    """Trees of one structure as one, sets on the leading axis of the arrays."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *sets)


def repeated(tree: Any, times: int) -> Any:
    """Each set so many times, one after the other."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, times, axis=0), tree)


def tiled(tree: Any, times: int) -> Any:
    """All sets so many times, one round after the other."""
    return jax.tree.map(lambda leaf: jnp.tile(leaf, (times, *(1 for _ in leaf.shape[1:]))), tree)


def fixed_plays(play: Play, path: str, agents: tuple[int, ...], points: int) -> tuple[Any, np.ndarray]:
    """Fixed actions on a leading axis, and (sets, actions, runs): what some agents earn together who all take one of
    them, while the others keep to their policies.
    """
    alone, sets = play.made.deviating(path, *agents), len(play.policies)
    actions = probes(play.made.game.learners[path].actions, points)
    count = jax.tree.leaves(actions)[0].shape[0]
    tried, others = FixedPolicy(tiled(actions, sets)), repeated(play.others, count)
    out = score(alone, {path: tried}, play.keys, frozen=others, sets=sets * count).returns(path)
    return actions, out[:, :, list(agents)].sum(2).reshape(sets, count, -1)


def fixed_deviation(play: Play, path: str, agent: int, points: int) -> Deviation:
    """The best fixed action of one agent among the others' policies, set by set: chosen by the first half of the keys,
    scored by the second, so that choosing the luckiest of many gains nothing.
    """
    sets = len(play.policies)
    actions, out = fixed_plays(play, path, (agent,), points)
    half = out.shape[2] // 2
    chosen = out[:, :, :half].mean(2).argmax(1)
    best = out[np.arange(sets), chosen][:, half:]
    named = [said(jax.tree.map(operator.itemgetter(c), actions)) for c in sorted(set(chosen.tolist()))]
    how = f"always {named[0]}" if len(named) == 1 else f"a fixed action ({named[0]} to {named[-1]})"
    return Deviation(path, agent, how, play.own(path, agent)[:, half:], best)


def said(action: Any) -> str:
    """An action in a few words."""
    if isinstance(action, dict):
        return ", ".join(f"{name} {said(value)}" for name, value in action.items())
    return " ".join(f"{value:.3g}" for value in np.ravel(action))


def trained_deviation(play: Play, path: str, agent: int, algorithm: Algorithm, key: Key, budget: int) -> Deviation:
    """The gain of one agent who learns, from the start, among the others' policies: a best response as far as the
    algorithm finds it. A gain is proof that there is one; none is not proof that there is none.
    """
    alone, sets = play.made.deviating(path, agent), len(play.policies)
    training, _ = jr.split(key)  # the same training as `learn` makes of this key
    found = train(Lesson(alone, sets, play.others), algorithm, training, budget)
    best = score(alone, found.policies, play.keys, frozen=play.others, sets=sets).returns(path)[:, :, agent]
    return Deviation(path, agent, "a policy trained against the others", play.own(path, agent), best)


def cross_play(play: Play, path: str, agent: int) -> np.ndarray:
    """(sets, sets, runs): the returns of one agent with the policy of set `row` among the others of set `column`."""
    sets, types = len(play.policies), play.made.game.learners[path].types
    mine = play.together[path]
    if types is not None:
        mine = jax.tree.map(lambda leaf: leaf[:, types[agent]], mine)
    others = tiled(play.others, sets)
    out = score(play.made.deviating(path, agent), {path: repeated(mine, sets)}, play.keys, frozen=others, sets=sets**2)
    return out.returns(path)[:, :, agent].reshape(sets, sets, -1)


def deviators(made: Watched, path: str) -> tuple[int, ...]:
    """The first learner of each type."""
    learner, agents = made.game.learners[path], made.agents[path]
    types, learns = np.asarray(learner.types_of(agents)), np.asarray(learner.learns(agents)) > 0
    of_types = [np.flatnonzero((types == t) & learns) for t in range(learner.groups)]
    return tuple(int(found[0]) for found in of_types if found.size)
