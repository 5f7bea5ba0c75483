"""Evolution strategies: policies whose weights are shaken, agent by agent, and moved towards what earned more.

T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever (2017), "Evolution strategies as a scalable alternative to
reinforcement learning", arXiv:1703.03864; the gradient of a smoothed objective by mirrored draws: Y. Nesterov and V.
Spokoiny (2017), "Random gradient-free minimization of convex functions", Foundations of Computational Mathematics 17,
527-566.
"""

import operator
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.plug import Deciding, Plug
from ..core.simulate import NEVER
from .algorithm import Algorithm, News
from .game import Learner, Policies, Watched
from .policies import NetworkPolicy, RecurrentPolicy, as_vector, first_policy, first_recurrent
from .rollout import Rollout, rolled

Network: TypeAlias = NetworkPolicy | RecurrentPolicy

_LATE = 0.6
"""From this part of the training on, weights are averaged."""
_LEAST = 0.1
"""The part of the spread that is left in the end: others who are shaken much are not the others that will play."""
_ROWS = 4096
"""Views of an update that set the scale of a policy's inputs at most."""


class Shaken(eqx.Module):
    """What one type, or all, have learned at one site: the `policy`, Adam's `state`, and the `mean` of the weights over
    the later updates, `count` of them.
    """

    policy: Network
    state: Any
    mean: Any
    count: Float[Array, ""]


class EvolutionStrategies(Algorithm):
    """In each pair of runs every learner's weights are shaken by a draw of its own, once one way and once the other,
    and the weights of all move by what the difference in each one's own return says.

    What is climbed is d/dw E[R_i(w + s e_i)] for agent i's own draw e_i while the others' draws are independent of it:
    each one's own advantage, as in a Nash equilibrium; with `together` the return of all is put in its place, and what
    is found is what a planner would have them do. Nothing is differentiated and no value is learned, so rewards may
    come late and models jump. The price: more runs than PPO takes where it works, pay behind the end of a run is not
    seen, and shaken others are not quite the others (docs/design/learning.md has figures).

    **Arguments:** `worlds`: pairs of runs an update learns from; `spread`: s, of the shaking at first; it falls to a
    tenth; `rate`: the first step of Adam, which falls as the square of what is left; `hidden`: the layers; `memory`:
    how many numbers an agent remembers (`RecurrentPolicy`), 0 for none; `together`.
    """

    worlds: int = eqx.field(static=True, default=32)
    spread: float = eqx.field(static=True, default=0.2)
    rate: float = eqx.field(static=True, default=0.05)
    hidden: tuple[int, ...] = eqx.field(static=True, default=(8,))
    memory: int = eqx.field(static=True, default=0)
    together: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        if self.worlds < 1 or self.spread <= 0 or self.rate <= 0:
            raise MethodError("EvolutionStrategies: worlds from 1, spread and rate above 0")

    @property
    def runs(self) -> int:
        return 2 * self.worlds

    def begin(self, watched: Watched, key: Key) -> dict[str, Shaken]:
        out = {}
        for number, (path, learner) in enumerate(watched.game.learners.items()):

            def one(k: Key, path: str = path, learner: Learner = learner) -> Shaken:
                view, actions = watched.views[path], learner.actions
                if self.memory:
                    policy = first_recurrent(k, view, actions, self.hidden, self.memory)
                else:
                    policy = first_policy(k, view, actions, self.hidden).settled()
                return Shaken(policy, optax.scale_by_adam().init(policy.weights), policy.weights, jnp.float32(0.0))

            own = jr.fold_in(key, number)
            out[path] = one(own) if learner.types is None else jax.vmap(one)(jr.split(own, learner.groups))
        return out

    def update(
        self,
        watched: Watched,
        learned: dict[str, Shaken],
        key: Key,
        progress: Float[Array, ""],
        frozen: tuple[Plug, ...],
    ) -> tuple[dict[str, Shaken], News]:
        sites = {path: _Site(watched, path, shaken.policy) for path, shaken in learned.items()}
        spread = self.spread * jnp.maximum(1.0 - progress, _LEAST)

        def pair(key: Key) -> tuple[dict[str, Array], Rollout]:
            """Both runs of a pair share their luck and their draws, turned round in the second."""
            luck, shaking = jr.split(key)
            draws = {p: jr.normal(jr.fold_in(shaking, n), site.shape) for n, (p, site) in enumerate(sites.items())}

            def run(sign: Array) -> Rollout:
                plugs = tuple(site.deciding(sign * spread * draws[p]) for p, site in sites.items())
                return rolled(watched, watched.around(plugs, frozen), luck, watched.game.steps)

            return draws, jax.vmap(run)(jnp.array([1.0, -1.0]))

        draws, both = jax.vmap(pair)(jr.split(key, self.worlds))
        returns = {p: site.returns(both.seen[f"reward:{p}"]) for p, site in sites.items()}
        after, mean = {}, {}
        for path, shaken in learned.items():
            own = returns[path]
            worth = sum(r.sum(-1, keepdims=True) for r in returns.values()) if self.together else own
            learns = both.notes[path]["acting"].max((0, 1, 2)) > 0
            slope = self._slope(sites[path], draws[path], jnp.broadcast_to(worth, own.shape), learns)
            seen = _some(both.notes[path])
            after[path] = self._moved(shaken, slope, seen, progress, watched.game.learners[path])
            mean[path] = (own * learns).sum() / (own[..., 0].size * jnp.maximum(learns.sum(), 1.0))
        broken = jnp.stack([(~jnp.isfinite(r)).sum() for r in returns.values()]).sum()
        return after, News(mean, (both.fault != NEVER).sum(), broken)

    def playing(self, watched: Watched, learned: dict[str, Shaken]) -> Policies:
        return {path: shaken.policy for path, shaken in learned.items()}

    def policies(self, watched: Watched, learned: dict[str, Shaken]) -> Policies:
        return {path: eqx.tree_at(lambda p: p.weights, one.policy, one.mean) for path, one in learned.items()}

    def _slope(self, site: "_Site", draws: Array, worth: Array, learns: Array) -> Float[Array, "types parameters"]:
        """The estimated slope of each type's weights, in standard deviations of the differences. `draws` (worlds,
        agents, parameters); `worth` (worlds, 2, agents).
        """
        change = (worth[:, 0] - worth[:, 1]) * learns
        of_type = (site.types == jnp.arange(site.groups)[:, None]) * learns
        mass = jnp.maximum(of_type.sum(1), 1.0)
        size = jnp.sqrt((of_type * (change**2).mean(0)).sum(1) / mass)
        slopes = jnp.einsum("ta,wa,wap->tp", of_type, change, draws) / (mass * draws.shape[0])[:, None]
        return slopes / jnp.maximum(size, 1e-12)[:, None]

    def _moved(self, shaken: Shaken, slope: Array, seen: Any, progress: Array, learner: Learner) -> Shaken:
        rate = self.rate * jnp.maximum((1.0 - progress) ** 2, 0.01)

        def one(shaken: Shaken, slope: Array) -> Shaken:
            flat, back = ravel_pytree(shaken.policy.weights)
            steps, state = optax.scale_by_adam().update(back(slope), shaken.state)
            weights = back(flat + rate * ravel_pytree(steps)[0])
            count = jnp.where(progress < _LATE, 0.0, shaken.count) + 1.0
            mean = jax.tree.map(lambda m, w: m + (w - m) / count, shaken.mean, weights)
            return Shaken(eqx.tree_at(lambda p: p.weights, shaken.policy, weights), state, mean, count)

        moved = one(shaken, slope[0]) if learner.types is None else jax.vmap(one)(shaken, slope)
        scale = moved.policy.scale
        scale = scale if learner.types is None else jax.tree.map(operator.itemgetter(0), scale)
        # The scale of what is seen is learned at first only: later it would move the policy by itself.
        vectors, weights = seen
        scale = jax.tree.map(lambda new, old: jnp.where(progress < 0.2, new, old), scale.with_(vectors, weights), scale)
        return eqx.tree_at(lambda s: s.policy.scale, moved, learner.alike(scale))


class _Site:
    """A site's policy as a copy an agent, to be shaken; `shape` of the draws, (agents, parameters)."""

    def __init__(self, watched: Watched, path: str, policy: Network):
        learner, agents = watched.game.learners[path], watched.agents[path]
        self.path, self.learner, self.steps = path, learner, watched.game.steps
        self.groups = learner.groups
        self.types = jnp.zeros(agents, jnp.int32) if learner.types is None else learner.types
        alike = lambda leaf: jnp.broadcast_to(leaf, (agents, *leaf.shape))  # noqa: E731
        self.policy = jax.tree.map(alike, policy) if learner.types is None else learner.spread(policy)
        self.shape = (agents, sum(leaf[0].size for leaf in jax.tree.leaves(self.policy.weights)))

    def deciding(self, shift: Float[Array, "agents parameters"]) -> Deciding:
        """Each agent with its own weights, shaken."""

        def one(policy: Network, shift: Array) -> Network:
            flat, back = ravel_pytree(policy.weights)
            return eqx.tree_at(lambda p: p.weights, policy, back(flat + shift))

        return Deciding(self.path, jax.vmap(one)(self.policy, shift), self.learner.who, individual=True)

    def returns(self, rewards: Float[Array, "worlds pair steps agents"]) -> Float[Array, "worlds pair agents"]:
        """Discounted."""
        return jnp.einsum("wpta,t->wpa", rewards, self.learner.discount ** jnp.arange(self.steps))


def _some(note: Any) -> tuple[Float[Array, "rows d"], Float[Array, " rows"]]:
    """Views of the runs as vectors, and 1 for those of learners."""
    acting = note["acting"].reshape(-1)
    views = jax.tree.map(lambda leaf: leaf.reshape(acting.size, *leaf.shape[4:]), note["view"])
    every = -(-acting.size // _ROWS)
    return jax.vmap(as_vector)(jax.tree.map(lambda leaf: leaf[::every], views)), acting[::every]
