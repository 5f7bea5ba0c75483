"""Policies that look at nothing and draw one of a few actions, and what each of these earns among others' policies."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.plug import Deciding, Plug
from ..core.policy import Act, Policy
from ..core.simulate import NEVER
from .actions import probes
from .algorithm import News
from .game import Watched
from .policies import FixedPolicy
from .rollout import rolled


class MixedPolicy(Policy):
    """Draws one of some actions, whatever it sees. `chances`: their probabilities; `options`: the actions, on a leading
    axis.
    """

    chances: Float[Array, " options"]
    options: Any = eqx.field(converter=lambda tree: jax.tree.map(jnp.asarray, tree))

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        which = jr.categorical(key, jnp.log(self.chances))
        return Act(jax.tree.map(lambda leaf: leaf[which], self.options))


class Mixing(eqx.Module):
    """Mixed policies at the one site of a game: `options` on a leading axis, their number, the number of types, and
    whether all are one type, whose policy has no leading axis.
    """

    path: str = eqx.field(static=True)
    options: Any
    count: int = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    shared: bool = eqx.field(static=True)

    def policies(self, chances: Float[Array, "types options"]) -> dict[str, MixedPolicy]:
        """As policies."""
        made = lambda row: MixedPolicy(row, self.options)  # noqa: E731
        return {self.path: made(chances[0]) if self.shared else jax.vmap(made)(chances)}


def mixing(watched: Watched, points: int) -> Mixing:
    """What is mixed in a game: every option, or `points` actions over an interval.

    **Raises:** `MethodError` where agents learn at several sites.
    """
    if len(watched.game.learners) != 1:
        raise MethodError(f"mixed policies are learned at one site, not at {sorted(watched.game.learners)}")
    ((path, learner),) = watched.game.learners.items()
    options = probes(learner.actions, points)
    return Mixing(path, options, jax.tree.leaves(options)[0].shape[0], learner.groups, learner.types is None)


def first_chances(first: Array | None, shape: tuple[int, int], key: Key) -> Float[Array, "types options"]:
    """Given ones, for all types or each; or near to all alike, each training's own."""
    if first is None:
        return jax.nn.softmax(0.5 * jr.normal(key, shape))
    try:
        return jnp.broadcast_to(first / first.sum(-1, keepdims=True), shape)
    except ValueError as error:
        raise MethodError(f"first chances have shape {first.shape}; {shape} is types by options") from error


def payoffs(
    watched: Watched,
    mixed: Mixing,
    chances: Float[Array, "types options"],
    key: Key,
    worlds: int,
    frozen: tuple[Plug, ...],
) -> tuple[Float[Array, "types options"], News]:
    """What one agent of each type earns by each option while all others keep to the mixed policies, and the news.

    Every option meets the same random numbers, in worlds // (types x options) runs.

    **Raises:** `MethodError` where there are too few worlds to try each once.
    """
    cells = mixed.groups * mixed.count
    if worlds < cells:
        raise MethodError(f"{mixed.count} options for each of {mixed.groups} types take {cells} worlds, not {worlds}")
    learner = watched.game.learners[mixed.path]
    agents = watched.agents[mixed.path]
    types, learns = learner.types_of(agents), learner.learns(agents)
    others = watched.game.deciding(mixed.path, mixed.policies(chances)[mixed.path])
    weights = learner.discount ** jnp.arange(watched.game.steps)

    def one(cell: Array, key: Key) -> tuple[Array, Array, Array]:
        group, option = cell // mixed.count, cell % mixed.count
        agent = jnp.argmax((types == group) & (learns > 0))
        alone = FixedPolicy(jax.tree.map(lambda leaf: leaf[option], mixed.options))
        deviator = Deciding(mixed.path, alone, (jnp.arange(agents) == agent).astype(jnp.float32))
        run = rolled(watched, watched.around((deviator, others), frozen), key, watched.game.steps)
        reward = run.seen[f"reward:{mixed.path}"]
        return weights @ reward[:, agent], run.fault != NEVER, (~jnp.isfinite(reward)).any()

    keys = jr.split(key, worlds // cells)
    earned, faults, broken = jax.vmap(lambda cell: jax.vmap(lambda k: one(cell, k))(keys))(jnp.arange(cells))
    table = earned.mean(1).reshape(mixed.groups, mixed.count)
    news = News({mixed.path: (chances * table).sum(1).mean()}, faults.sum(), broken.sum())
    return table, news
