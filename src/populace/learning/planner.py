"""Who decides about an instrument for the good of all: a tax, a quota, a price, at a site of its own."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.plug import Deciding
from ..core.policy import Policy
from .actions import Actions, probes
from .by_type import over_axes
from .game import Game, Learner, Step, Watched, watched
from .policies import FixedPolicy, NetworkPolicy, as_vector, first_policy
from .rollout import rollout


class Planner(eqx.Module):
    """Who decides at a site nobody learns at, for the game's welfare.

    **Arguments:**

    - `site`: a `decide` site of the model, asked once a step, of one row or more (regions, say; all follow one policy).
      Its rule is what holds without a planner: no tax, a quota that nobody meets.
    - `actions`: what the instrument may be.
    - `hidden`: None: one action, always the same. (): what is seen decides along a straight line, before it is bent
      into the interval; (8,): by a network with such layers.
    - `candidates`: instruments that are tried side by side in a round, an even number.
    - `rounds`: how often the planner moves, at most.
    - `spread`: how far apart candidates are at first, on the unbent scale, where 1 spans most of a finite interval.
    """

    site: str = eqx.field(static=True)
    actions: Actions
    hidden: tuple[int, ...] | None = eqx.field(static=True, default=None)
    candidates: int = eqx.field(static=True, default=8)
    rounds: int = eqx.field(static=True, default=8)
    spread: float = eqx.field(static=True, default=0.7)

    def __check_init__(self) -> None:
        if self.candidates < 4 or self.candidates % 2 or self.rounds < 4:
            raise MethodError(
                f"Planner(candidates={self.candidates}, rounds={self.rounds}): an even number of candidates from 4, "
                "and 4 rounds or more"
            )
        if self.spread <= 0:
            raise MethodError(f"Planner(spread={self.spread}): it lies above 0, or nothing else is tried")


class Office(eqx.Module):
    """A planner at its place in a model: how numbers become its policy.

    `made`: the watched game of the agents; `policy`: a network that has learned nothing and knows how large views are,
    None where the action is always the same; `rows`: how many rows the site asks.
    """

    made: Watched
    planner: Planner
    policy: NetworkPolicy | None
    rows: int = eqx.field(static=True)

    @property
    def first(self) -> Float[np.ndarray, " size"]:
        """The numbers that the search begins with."""
        if self.policy is None:
            return np.zeros(self.planner.actions.width)
        return np.asarray(ravel_pytree(self.policy.weights)[0], np.float64)

    def policies(self, numbers: Float[np.ndarray, "sets size"]) -> Policy:
        """Policies of numbers, on the leading axis."""
        return _policies(self, jnp.asarray(numbers, jnp.float32))

    def fixed(self, points: int) -> FixedPolicy:
        """Instruments that are always the same and cover what it may be, on the leading axis."""
        return FixedPolicy(probes(self.planner.actions, points))

    def plugs(self, policies: Policy, decides: Float[np.ndarray, " sets"] | None = None) -> tuple[Deciding, ...]:
        """What makes policies decide, sets on the leading axis; where `decides` is 0, the rule does."""
        sets = jax.tree.leaves(policies)[0].shape[0]
        decides = np.ones(sets) if decides is None else decides
        who = jnp.asarray(np.repeat(decides[:, None], self.rows, axis=1), jnp.float32)
        return (Deciding(self.planner.site, policies, who),)


@eqx.filter_jit
def _policies(office: Office, numbers: Float[Array, "sets size"]) -> Policy:
    def one(own: Array) -> Policy:
        if office.policy is None:
            actions = office.planner.actions
            return FixedPolicy(actions.action(actions.mode(own, None)))
        _, back = ravel_pytree(office.policy.weights)
        return eqx.tree_at(lambda p: p.weights, office.policy, back(own))

    return jax.vmap(one)(numbers)


def office(game: Game, planner: Planner, key: Key) -> Office:
    """Check that planner and game fit each other, and see how large the planner's views are under the rules.

    **Raises:** `UnknownSiteError`, `MethodError` before any training.
    """
    site = planner.site
    if site in game.learners:
        raise MethodError(f"Planner at '{site}': agents learn there; a planner has a site of its own")
    if game.welfare is None:
        raise MethodError("plan: a planner acts for the game's welfare; declare it, Game(welfare=...)")

    def nothing(step: Step) -> Array:
        return jnp.zeros(jax.tree.leaves(step.actions[site])[0].shape[0])

    both = dataclasses.replace(game, learners={**game.learners, site: Learner(nothing, planner.actions)})
    ruled = watched(both)
    policy = None
    if planner.hidden is not None:
        policy = first_policy(key, ruled.views[site], planner.actions, planner.hidden).settled()
        vectors = _seen(ruled, site, jr.fold_in(key, 1))
        policy = eqx.tree_at(lambda p: p.scale, policy, policy.scale.with_(vectors, jnp.ones(len(vectors))))
    return Office(watched(game), planner, policy, ruled.agents[site])


@eqx.filter_jit
def _seen(ruled: Watched, site: str, key: Key) -> Float[Array, "rows d"]:
    """What is seen at a site in a run of the rules."""
    view = rollout(ruled, {}, key, ruled.game.steps, ()).notes[site]["view"]
    return over_axes(as_vector, 2)(view).reshape(-1, sum(math.prod(leaf.shape[2:]) for leaf in jax.tree.leaves(view)))
