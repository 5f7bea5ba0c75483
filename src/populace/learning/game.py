"""What agents learn in: a model, who decides where, what they are paid, and what must hold. The model is not touched.

Rewards, welfare, limits and ledgers are functions of a `Step`, declared beside the model, so that the same model can be
asked with other rewards, and so that nothing that is learned from can leak into how the model moves.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int

from .._errors import MethodError, UnknownSiteError, did_you_mean
from .._types import Key, State
from ..core.choice import Choice
from ..core.draw import Draw
from ..core.model import Model
from ..core.plug import Deciding, Plug, Record
from ..core.policy import Policy
from ..core.shapes import zeros
from ..core.simulate import initial, next_state
from ..core.site import Frame
from .actions import Actions
from .policies import leaf_names

_LITTLE, _LONGER = 0.05, 4

Policies: TypeAlias = Mapping[str, Policy]
"""Site path to what decides there; at a site that is not named the rule does."""


class Step(eqx.Module):
    """One step of a model: the state `before` and `after` it, and the `actions` of the whole population, site by site
    (what the site returned, whoever decided).
    """

    before: State
    actions: dict[str, Any]
    after: State


PerAgent: TypeAlias = Callable[[Step], Float[Array, " agents"]]


class Learner(eqx.Module):
    """Who learns at a site, and for what.

    **Arguments:**

    - `reward`: from a `Step` to each agent's pay in it, (agents,); finite whatever anybody does.
    - `actions`: what an agent may do: `Continuous`, `Discrete`, `Mixed`.
    - `discount`: of the next step's pay, 0 to 1.
    - `who`: (agents,) 1 for a learner, 0 for one who keeps to the rule; None: all learn.
    - `types`: (agents,) integers from 0: agents of one type share one policy. None: all share one;
      `jnp.arange(agents)`: each has its own.
    - `ends`: from a `Step` to (agents,), 1 where the agent's life ended with it, so that no later pay is its own. None:
      where it decided, and is masked at the next step. A site at which agents take turns needs it, and so does one
      whose slots can be born again at once.
    - `hidden`: names of the parts of the view that an agent in the world could not know, as a leaf of the view is
      called ("tomorrow", "rivals.cost"): the audit asks what hangs on them.
    - `critic`: from a state to (features,) or (agents, features) that only the critic sees, beside the agent's view: a
      central critic.
    """

    reward: PerAgent
    actions: Actions
    discount: float = eqx.field(static=True, default=0.99)
    who: Float[Array, " agents"] | None = None
    types: Int[Array, " agents"] | None = None
    ends: PerAgent | None = None
    hidden: tuple[str, ...] = eqx.field(static=True, default=())
    critic: Callable[[State], Array] | None = None
    groups: int = eqx.field(static=True, init=False, default=1)

    def __post_init__(self) -> None:
        if self.types is not None:
            self.types = jnp.asarray(self.types, jnp.int32)
            self.groups = int(self.types.max()) + 1

    def __check_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise MethodError(f"Learner(discount={self.discount}): a discount lies between 0 and 1")

    def types_of(self, agents: int) -> Int[Array, " agents"]:
        """Each agent's type; 0 where all share a policy."""
        return jnp.zeros(agents, jnp.int32) if self.types is None else self.types

    def learns(self, agents: int) -> Float[Array, " agents"]:
        """1 for each who learns."""
        return jnp.ones(agents) if self.who is None else self.who

    def alike(self, policy: Any) -> Any:
        """The same policy for every type, types on the leading axis; as it is where all share one."""
        if self.types is None:
            return policy
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (self.groups, *jnp.shape(leaf))), policy)

    def spread(self, policies: Any) -> Any:
        """Policies, one a type on the leading axis, as one an agent; a policy that all share as it is."""
        return policies if self.types is None else jax.tree.map(lambda leaf: leaf[self.types], policies)


class Game(eqx.Module):
    """A model in which agents learn.

    **Arguments:**

    - `model`; `steps`: of a run; `learners`: site path to `Learner`.
    - `finite`: the run's last step is the game's, and nothing is worth anything after it. By default the game goes on
      and the run is only a window on it.
    - `welfare`: from a `Step` to one number, what the modeller cares for; by default the sum of all rewards.
    - `limits`: name to a function from a `Step` to (agents,) or (), 1 where a cap, a ration, a rounding, an edge, a
      birth or a death decided and not the agent. The audit counts them.
    - `conserved`: name to a function from a state to a number that no step may change, or to what each agent holds, of
      which the sum is (`pop.audit_ledgers` names the step at which a model breaks one).
    - `plugs`: what else stands around sites.
    """

    model: Model
    steps: int = eqx.field(static=True)
    learners: dict[str, Learner]
    finite: bool = eqx.field(static=True, default=False)
    welfare: Callable[[Step], Float[Array, ""]] | None = None
    limits: dict[str, PerAgent] = eqx.field(default_factory=dict)
    conserved: dict[str, Callable[[State], Float[Array, ""]]] = eqx.field(default_factory=dict)
    plugs: tuple[Plug, ...] = ()

    def __check_init__(self) -> None:
        if self.steps < 2:
            raise MethodError(f"Game(steps={self.steps}): a game takes two steps or more")
        if not self.learners:
            raise MethodError("Game(learners={}): name the site of one learner or more")

    def with_policies(self, policies: Policies) -> tuple[Plug, ...]:
        """The plugs that make these policies decide, for `pop.simulate` and the like.

        **Raises:** `UnknownSiteError` for a site at which nobody learns.
        """
        for path in policies:
            if path not in self.learners:
                raise UnknownSiteError(f"nobody learns at '{path}'; {did_you_mean(path, list(self.learners))}")
        return (*(self.deciding(path, policy) for path, policy in policies.items()), *self.plugs)

    def to_the_end(self) -> "Game":
        """The game with a window so long that what lies behind it counts for little: a policy that lives off the future
        looks good where the future is not counted. At most four times as long; as it is, where it is finite or where
        later pay counts in full.
        """
        discount = max(learner.discount for learner in self.learners.values())
        if self.finite or not 0 < discount < 1:
            return self
        wanted = math.ceil(math.log(_LITTLE) / math.log(discount))
        return dataclasses.replace(self, steps=min(max(self.steps, wanted), _LONGER * self.steps))

    def deciding(self, path: str, policy: Policy) -> Deciding:
        """One policy at its site, for those who learn there."""
        learner = self.learners[path]
        return Deciding(path, learner.spread(policy), learner.who, learner.types is not None)


class Watching(eqx.Module):
    """The state of a watched model: the step that led here, and site by site who was asked in it, (agents,)."""

    step: Step
    asked: dict[str, Float[Array, " agents"]]


class Watched(Model):
    """The game's model, whose state also holds the step that led to it, so that each step's pay can be observed.

    `blank`: site path to actions of nobody yet; `views`: to what one agent sees, as zeros; `extra`: to how many numbers
    its critic sees beside that.

    Observations: `reward:<site>` and `ends:<site>` (agents,), `critic:<site>` (agents, features), `welfare` (),
    `limit:<name>` (agents,) or (), `residual:<name>` (): the change of what is conserved, over its size. Who is masked
    is paid nothing, unless the learner says when lives end.
    """

    game: Game
    blank: dict[str, Any]
    views: dict[str, Any]
    extra: dict[str, int]

    def init(self, draw: Draw) -> Watching:
        state = self.game.model.init(draw)
        return Watching(Step(state, self.blank, state), {path: jnp.zeros(n) for path, n in self.agents.items()})

    def step(self, draw: Draw, state: Watching) -> Watching:
        before = state.step.after
        after = self.game.model.step(draw, before)
        notes = {path: draw.tape[path] for path in self.blank}
        actions = {path: note["value"] for path, note in notes.items()}
        return Watching(Step(before, actions, after), {path: note["where"] for path, note in notes.items()})

    def observe(self, state: Watching) -> dict[str, Array]:
        game, step, seen = self.game, state.step, {}
        total = jnp.float32(0.0)
        for path, learner in game.learners.items():
            asked = state.asked[path]
            reward = _per_agent(learner.reward(step), path, "reward", asked)
            if learner.ends is None:
                reward = jnp.where(asked > 0, reward, 0.0)
            else:
                seen[f"ends:{path}"] = _per_agent(learner.ends(step), path, "ends", asked)
            seen[f"reward:{path}"] = reward
            if learner.critic is not None:
                features = _floats(learner.critic(step.before))
                seen[f"critic:{path}"] = jnp.broadcast_to(features, (*asked.shape, features.shape[-1]))
            total = total + reward.sum()
        seen["welfare"] = total if game.welfare is None else _floats(game.welfare(step))
        for name, limit in game.limits.items():
            seen[f"limit:{name}"] = _floats(limit(step))
        for name, ledger in game.conserved.items():
            before, after = _floats(ledger(step.before)).sum(), _floats(ledger(step.after)).sum()
            seen[f"residual:{name}"] = jnp.abs(after - before) / jnp.maximum(jnp.abs(before), 1e-6)
        return seen

    @property
    def agents(self) -> dict[str, int]:
        """Site path to the number of agents that it asks."""
        return {path: jax.tree.leaves(value)[0].shape[0] for path, value in self.blank.items()}

    def deviating(self, path: str, *agents: int) -> "Watched":
        """The game in which one agent alone, or some, learn at one site. What else stands at sites is left to who plays
        it.
        """
        game, learner = self.game, self.game.learners[path]
        who = jnp.isin(jnp.arange(self.agents[path]), jnp.array(agents)).astype(jnp.float32)
        alone = Learner(
            learner.reward, learner.actions, learner.discount, who=who, ends=learner.ends, critic=learner.critic
        )
        only = {path: alone}
        narrowed = [{path: by_site[path]} for by_site in (self.blank, self.views, self.extra)]
        return Watched(Game(game.model, game.steps, only, game.finite, game.welfare), *narrowed)

    def plugs(self, policies: Policies, frozen: tuple[Plug, ...] = ()) -> tuple[Plug, ...]:
        """The plugs of a watched run; the outermost sees what was done in the end. `frozen`: what decides for those who
        do not learn, in place of the rule.
        """
        return self.around(tuple(self.game.deciding(path, policy) for path, policy in policies.items()), frozen)

    def around(self, deciding: tuple[Plug, ...], frozen: tuple[Plug, ...] = ()) -> tuple[Plug, ...]:
        """The same, of the plugs that decide for the learners."""
        return (Record(tuple(self.blank)), *deciding, *frozen, *self.game.plugs)


def _per_agent(value: Any, path: str, what: str, asked: Array) -> Array:
    if jnp.shape(value) != asked.shape:
        raise MethodError(f"Learner at '{path}': its {what} has shape {jnp.shape(value)}, not {asked.shape}")
    return _floats(value)


def _floats(value: Any) -> Array:
    return jnp.asarray(value, jnp.float32)


def watched(game: Game) -> Watched:
    """The game's model, watched; checks that learners and model fit each other.

    **Raises:** `UnknownSiteError`, `MethodError` before any run.
    """
    values, views = _decisions(game)
    for path, learner in game.learners.items():
        _check(path, learner, values[path], views[path])
    seen_by_one = {path: zeros(_of_one(view)) for path, view in views.items()}
    bare = Watched(game, zeros(values), seen_by_one, dict.fromkeys(game.learners, 0))
    seen = _checked(bare)
    extra = {path: seen[f"critic:{path}"].shape[-1] if f"critic:{path}" in seen else 0 for path in game.learners}
    return eqx.tree_at(lambda w: w.extra, bare, extra)


def _decisions(game: Game) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is decided at the learners' sites, and seen there, as shapes."""
    plugs = (Record(), *game.plugs)

    def once(key: Key) -> tuple[dict[str, Any], dict[str, Any]]:
        here, _ = initial(game.model, key, game.plugs)
        frame = Frame(memory=here.memory)
        next_state(game.model, key, jnp.int32(1), here.state, plugs, frame)
        for path in game.learners:
            if path not in frame.listed:
                raise UnknownSiteError(f"a step has no site '{path}'; {did_you_mean(path, sorted(frame.listed))}")
            site = frame.listed[path]
            if site.kind != "decision" or site.repeats != 1 or not site.shape:
                raise MethodError(
                    f"site '{path}': agents learn at a `decide` site that is asked once a step, of agents on the "
                    "leading axis of its view"
                )
        notes = {path: frame.tape[path] for path in game.learners}
        values, views = ({path: note[part] for path, note in notes.items()} for part in ("value", "view"))
        return values, views

    return jax.eval_shape(once, jr.key(0))


def _check(path: str, learner: Learner, value: Any, view: Any) -> None:
    if any(isinstance(leaf, Choice) for leaf in jax.tree.leaves(value, is_leaf=lambda x: isinstance(x, Choice))):
        raise MethodError(f"site '{path}': let the rule return the option's number (`.index`), not the Choice")

    def one(law: Array, view: Any) -> Any:
        return learner.actions.action(learner.actions.mode(law, view))

    law = jax.ShapeDtypeStruct((learner.actions.width,), jnp.float32)
    made, wanted = jax.eval_shape(one, law, _of_one(view)), _of_one(value)
    if jax.tree.structure(made) != jax.tree.structure(wanted) or _kinds(made) != _kinds(wanted):
        raise MethodError(
            f"site '{path}': the rule decides {_said(wanted)} an agent, the learner's actions are {_said(made)}"
        )
    seen = leaf_names(view)
    for part in learner.hidden:
        if part not in seen:
            raise MethodError(
                f"Learner at '{path}': hidden='{part}' is no part of its view; {did_you_mean(part, seen)}"
            )
    agents = jax.tree.leaves(value)[0].shape[:1]
    for name, field in (("who", learner.who), ("types", learner.types)):
        if field is not None and field.shape != agents:
            raise MethodError(f"Learner at '{path}': `{name}` has shape {field.shape}, not {agents}")


def _of_one(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), tree)


def _kinds(tree: Any) -> list[tuple[tuple[int, ...], str]]:
    return [(leaf.shape, leaf.dtype.name) for leaf in jax.tree.leaves(tree)]


def _said(tree: Any) -> str:
    return ", ".join(f"{dtype}{list(shape)}" for shape, dtype in _kinds(tree))


def _checked(made: Watched) -> dict[str, Any]:
    """What is observed of a step, as shapes, which are those that they should be."""

    def once(key: Key) -> dict[str, Array]:
        here, _ = initial(made, key, made.plugs({}))
        return made.observe(here.state)

    seen = jax.eval_shape(once, jr.key(0))
    for name in ("welfare", *(f"residual:{name}" for name in made.game.conserved)):
        if seen[name].shape != ():
            raise MethodError(f"Game: {name.replace(':', ' ')} has shape {seen[name].shape}; it is one number a step")
    return seen
