"""Policy gradients straight through the model: what each agent earns, differentiated by its own weights.

N. Heess, G. Wayne, D. Silver, T. Lillicrap, T. Erez and Y. Tassa (2015), "Learning continuous control policies by
stochastic value gradients", NeurIPS; in economics, L. Maliar, S. Maliar and P. Winant (2021), "Deep learning for
solving dynamic economic models", Journal of Monetary Economics 122, 76-101.
"""

from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.plug import Plug
from ..core.simulate import NEVER
from .actions import Actions, Discrete, Mixed
from .algorithm import Algorithm, News
from .climbing import Climber, Copies, at_play, climbed, first_climbers, handed_out
from .game import Policies, Watched
from .rollout import Rollout, rolled


class ModelGradient(Algorithm):
    """Runs are differentiated by the weights of one learner in each, and all climb the mean of what is found.

    Of run w the slope is d R_i / d w_i for one agent i of each site, drawn anew, while the others' weights are held:
    each one's own advantage, as in a Nash equilibrium, what others answer through the state included. With `together`
    it is the slope of the sum of all returns by the weights of all: what a planner would have them do.

    It takes far fewer runs than what only looks at returns, and needs a model that a derivative passes through: kinks
    and chances at sites take relaxations (`Game(plugs=(RelaxedAt(...),))`), and options have no slope. `audit_slopes`
    holds it against differences. Pay behind the end of a run is not seen.

    **Arguments:** `worlds`: runs an update learns from; `rate`: the first step of Adam, which falls as the square of
    what is left; `hidden`: the layers; `memory`: how many numbers an agent remembers; `together`.
    """

    worlds: int = eqx.field(static=True, default=32)
    rate: float = eqx.field(static=True, default=0.05)
    hidden: tuple[int, ...] = eqx.field(static=True, default=(8,))
    memory: int = eqx.field(static=True, default=0)
    together: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        if self.worlds < 1 or self.rate <= 0:
            raise MethodError("ModelGradient: worlds from 1, rate above 0")

    @property
    def runs(self) -> int:
        return self.worlds

    def begin(self, watched: Watched, key: Key) -> dict[str, Climber]:
        for path, learner in watched.game.learners.items():
            if _has_options(learner.actions):
                raise MethodError(
                    f"ModelGradient at '{path}': options have no slope; learn with PPO, or let the model take a number"
                )
        return first_climbers(watched, key, self.hidden, self.memory)

    def update(
        self,
        watched: Watched,
        learned: dict[str, Climber],
        key: Key,
        progress: Float[Array, ""],
        frozen: tuple[Plug, ...],
    ) -> tuple[dict[str, Climber], News]:
        sites = {path: Copies(watched, path, climber.policy) for path, climber in learned.items()}
        keys = jr.split(key, self.worlds)
        slopes = own_slopes if not self.together else joint_slopes
        found, returns, runs = jax.vmap(lambda k, n: slopes(watched, sites, k, n, frozen))(keys, jnp.arange(keys.size))
        after, mean, broken = {}, {}, jnp.int32(0)
        for path, climber in learned.items():
            of_type, count = (leaf.sum(0) for leaf in found[path])
            slope = of_type / jnp.maximum(count, 1.0)[:, None]
            broken += (~jnp.isfinite(slope)).any() + (~jnp.isfinite(returns[path])).any()
            after[path] = climbed(climber, slope, runs.notes[path], self.rate, progress, watched.game.learners[path])
            learns = sites[path].learns
            mean[path] = (returns[path] * learns).mean(0).sum() / jnp.maximum(learns.sum(), 1.0)
        return after, News(mean, (runs.fault != NEVER).sum(), broken)

    def playing(self, watched: Watched, learned: dict[str, Climber]) -> Policies:
        return at_play(learned)

    def policies(self, watched: Watched, learned: dict[str, Climber]) -> Policies:
        return handed_out(learned)


def _has_options(actions: Actions) -> bool:
    if isinstance(actions, Mixed):
        return any(_has_options(part) for part in actions.parts.values())
    return isinstance(actions, Discrete)


Found: TypeAlias = tuple[dict[str, tuple[Array, Array]], dict[str, Array], Rollout]
"""Site to (types, parameters) sums of slopes and (types,) how many; site to (agents,) returns; the run."""


def _pulled(watched: Watched, sites: dict[str, Copies], luck: Key, frozen: tuple[Plug, ...]) -> Any:
    """One run: returns by site; what takes weights on them back to slopes by site, (agents, parameters); the run."""

    def earned(shifts: dict[str, Array]) -> tuple[dict[str, Array], Rollout]:
        plugs = tuple(site.shifted(shifts[path]) for path, site in sites.items())
        run = rolled(watched, watched.around(plugs, frozen), luck, watched.game.steps)
        return {path: site.returns(run.seen[f"reward:{path}"]) for path, site in sites.items()}, run

    return jax.vjp(earned, {path: jnp.zeros(site.shape) for path, site in sites.items()}, has_aux=True)


def own_slopes(watched: Watched, sites: dict[str, Copies], key: Key, number: Array, frozen: tuple[Plug, ...]) -> Found:
    """Of one run: at each site the slope of one agent's return by its own weights. `number`: of the run; types take
    turns by it.
    """
    luck, picking = jr.split(key)
    returns, pull, run = _pulled(watched, sites, luck, frozen)
    nothing = {path: jnp.zeros_like(own) for path, own in returns.items()}
    found = {}
    for count, (path, site) in enumerate(sites.items()):
        turn = site.learns * (site.types == number % site.groups)
        agent = jr.categorical(jr.fold_in(picking, count), jnp.log(turn))
        alone = jax.nn.one_hot(agent, turn.size) * (turn.sum() > 0)
        (slopes,) = pull({**nothing, path: alone})
        of_type = jax.nn.one_hot(site.types[agent], site.groups) * alone.sum()
        found[path] = of_type[:, None] * slopes[path][agent], of_type
    return found, returns, run


def joint_slopes(
    watched: Watched, sites: dict[str, Copies], key: Key, number: Array, frozen: tuple[Plug, ...]
) -> Found:
    """Of one run: the slope of the sum of all learners' returns by each type's weights."""
    luck, _ = jr.split(key)
    returns, pull, run = _pulled(watched, sites, luck, frozen)
    (slopes,) = pull({path: site.learns for path, site in sites.items()})
    found = {}
    for path, site in sites.items():
        of_type = (site.types == jnp.arange(site.groups)[:, None]) * site.learns
        found[path] = of_type @ slopes[path], jnp.ones(site.groups)
    return found, returns, run
