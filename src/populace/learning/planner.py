"""Who decides about an instrument for the good of all: a tax, a quota, a price, a parameter of the model."""

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
from ..core.host import taken
from ..core.plug import Deciding
from ..core.policy import Policy
from .actions import Actions, Continuous, Mixed, probes
from .by_type import over_axes
from .game import Game, Learner, Policies, Step, Watched, watched
from .plan_instruments import AtSite, Instrument
from .policies import FixedPolicy, NetworkPolicy, as_vector, first_policy
from .rollout import rollout

_VIEWED = 8
"""Runs in which it is seen how large views are."""
_NARROWER = 0.3
"""Candidates of a planner that sees are at first so much nearer each other: they begin at a good place."""


class Planner(eqx.Module):
    """Who decides about an instrument, for the game's welfare.

    **Arguments:**

    - `instrument`: the path of a `decide` site of the model at which nobody learns, asked once a step, of one row or
      more (regions, say; all follow one policy): its rule is what holds without a planner. Or a `Quota`, a
      `SharedQuota`, a `Setting` of a parameter, which need no site.
    - `actions`: what the instrument may be.
    - `hidden`: None: one action, always the same. (): what is seen decides along a straight line, before it is bent
      into the interval; (8,): by a network with such layers. Both begin at the best that is always the same.
    - `candidates`: instruments that are tried side by side in a round, an even number.
    - `rounds`: how often the planner moves, at most; one that sees as often again.
    - `spread`: how far apart candidates are at first, on the unbent scale, where 1 spans most of a finite interval.
    """

    instrument: Instrument = eqx.field(converter=lambda given: AtSite(given) if isinstance(given, str) else given)
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

    @property
    def site(self) -> str:
        """Where the instrument is asked for."""
        return self.instrument.site


class Office(eqx.Module):
    """A planner at its place in a model: how numbers become its policy.

    `made`: the watched game of the agents, with the planner's site; `planner`; `policy`: None where the action is
    always the same, else a network at which the search begins; `rows`: how many rows the site asks; `spread`: how far
    apart candidates are at first.
    """

    made: Watched
    planner: Planner
    policy: NetworkPolicy | None
    rows: int = eqx.field(static=True)
    spread: float = eqx.field(static=True)

    @property
    def size(self) -> int:
        """How many numbers make a policy."""
        if self.policy is None:
            return int(counts(self.planner.actions).sum())
        return int(_searched(self.policy).sum())

    def policies(self, numbers: Float[np.ndarray, "sets size"]) -> Policy:
        """Policies of numbers, on the leading axis; 0 is where the search begins."""
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
            law = jnp.zeros(actions.width).at[np.flatnonzero(counts(actions))].set(own)
            return FixedPolicy(actions.action(actions.mode(law, None)))
        flat, back = ravel_pytree(office.policy.weights)
        weights = back(flat.at[np.flatnonzero(_searched(office.policy))].add(own))
        return eqx.tree_at(lambda p: p.weights, office.policy, weights)

    return jax.vmap(one)(numbers)


def counts(actions: Actions) -> np.ndarray:
    """(width,): which of a law's numbers move its middle; of a normal law the spreads do not."""
    if isinstance(actions, Mixed):
        return np.concatenate([counts(part) for part in actions.parts.values()])
    whole = np.ones(actions.width, bool)
    if isinstance(actions, Continuous):
        whole[actions.width // 2 :] = False
    return whole


def _searched(policy: NetworkPolicy) -> np.ndarray:
    """(weights,): all of a network but what only its laws' spreads hang on."""
    kept = counts(policy.actions)
    before = [np.ones(leaf.size, bool) for leaf in jax.tree.leaves(policy.weights[:-1])]
    return np.concatenate([*before, *(np.broadcast_to(kept, leaf.shape).ravel() for leaf in policy.weights[-1])])


def office(game: Game, planner: Planner) -> Office:
    """Check that planner and game fit each other.

    **Raises:** `UnknownSiteError`, `UnknownParameterError`, `DomainError`, `MethodError` before any training.
    """
    site = planner.site
    if site in game.learners:
        raise MethodError(f"Planner at '{site}': agents learn there; a planner has a site of its own")
    if game.welfare is None:
        raise MethodError("plan: a planner acts for the game's welfare; declare it, Game(welfare=...)")
    governed = dataclasses.replace(game, model=planner.instrument.governed(game.model, planner.actions))
    rows = _with_planner(governed, planner).agents[site]
    return Office(watched(governed), planner, None, rows, planner.spread)


def _with_planner(game: Game, planner: Planner) -> Watched:
    """The watched game in which the planner counts as one who learns: its views are noted."""

    def nothing(step: Step) -> Array:
        return jnp.zeros(jax.tree.leaves(step.actions[planner.site])[0].shape[0])

    return watched(
        dataclasses.replace(game, learners={**game.learners, planner.site: Learner(nothing, planner.actions)})
    )


def seeing(steady: Office, numbers: Float[np.ndarray, " size"], agents: Policies, key: Key) -> Office:
    """The office of a planner that sees, whose policies begin at an instrument that is always the same.

    What is seen is measured from its mean in standard deviations, both as they are under that instrument with agents
    who have learned to live with it. **Arguments:** `numbers` (size,): of that instrument; `agents`: one set.
    """
    planner = steady.planner
    ruled = _with_planner(steady.made.game, planner)
    assert planner.hidden is not None
    policy = first_policy(key, ruled.views[planner.site], planner.actions, planner.hidden).settled()
    fixed = taken(steady.policies(numbers[None]), 0)
    vectors = _seen(ruled, planner.site, {**agents, planner.site: fixed}, jr.split(jr.fold_in(key, 1), _VIEWED))
    matrix, shift = policy.weights[-1]
    law = jnp.zeros(shift.shape).at[np.flatnonzero(counts(planner.actions))].set(jnp.asarray(numbers, jnp.float32))
    scale = policy.scale.with_(vectors, jnp.ones(len(vectors)))
    policy = eqx.tree_at(lambda p: (p.weights[-1], p.scale), policy, ((0.0 * matrix, law), scale))
    return Office(steady.made, planner, policy, steady.rows, _NARROWER * planner.spread)


@eqx.filter_jit
def _seen(ruled: Watched, site: str, policies: Policies, keys: Key) -> Float[Array, "rows d"]:
    """What is seen at a site in runs of policies."""
    runs = jax.vmap(lambda key: rollout(ruled, policies, key, ruled.game.steps, ()).notes)(keys)
    view = runs[site]["view"]
    return over_axes(as_vector, 3)(view).reshape(-1, sum(math.prod(leaf.shape[3:]) for leaf in jax.tree.leaves(view)))
