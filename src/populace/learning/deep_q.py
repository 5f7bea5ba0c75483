"""Deep Q-learning: a network says what every action is worth on what an agent sees, and learns from what is replayed.

V. Mnih et al. (2015), "Human-level control through deep reinforcement learning", Nature 518, 529-533; the action chosen
by one network and valued by the other: H. van Hasselt, A. Guez and D. Silver (2016), "Deep reinforcement learning with
double Q-learning", AAAI; a second network that follows the first slowly: T. P. Lillicrap et al. (2016), "Continuous
control with deep reinforcement learning", ICLR.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.plug import Plug
from ..core.policy import Act, Policy
from ..core.simulate import NEVER
from ..surrogates.networks import First
from .actions import Discrete
from .algorithm import Algorithm, News
from .by_type import flat, for_types, masked_mean, mean_return, of_agents, over_axes
from .critic import Critic, at_scale, rescaled
from .game import Game, Learner, Policies, Watched
from .policies import NetworkPolicy, as_vector, no_scale
from .replay import Ring, Transitions, empty_ring, transitions
from .returns import life_goes_on
from .rollout import Rollout, rollout


class TryingPolicy(Policy):
    """Does what another policy does, or, with a chance of `tries`, any of what is allowed."""

    policy: NetworkPolicy
    tries: Float[Array, ""]

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        whether, what = jr.uniform(key, (2,))
        actions = _options(self.policy.actions)
        settled = self.policy.act(view, memory, key).action
        return Act(jnp.where(whether < self.tries, actions.any_of(what, view), settled))


class Valuer(eqx.Module):
    """What one type has learned at one site: the worth of every action, as the network that learns says and as the one
    that follows it does; and the state of the steps.
    """

    values: Critic
    slow: Critic
    optimiser: Any


class Valued(eqx.Module):
    """Where one training stands: site to what is learned there, types on the leading axis, and to what is replayed."""

    valuers: dict[str, Valuer]
    rings: dict[str, Ring]


class DeepQLearning(Algorithm):
    """Runs in which agents take the best action they know, or at times any, are put into a ring; then a network moves
    towards Q(s, a) = reward + discount x Q'(s', argmax Q(s', .)) on rows drawn from it, step by step, and Q' follows Q.

    For `Discrete` actions and views of any kind: `QLearning` without tables. What is earned between an agent's
    decisions is all the reward of the earlier one. The maximum is over what is allowed. With `Learner(types=)` each
    type has a network of its own. Handed out is the network that followed.

    **Arguments:**

    - `worlds`: runs an update takes in.
    - `kept`: steps of runs that the ring holds, the last ones.
    - `batches`, `rows`: steps of Adam an update makes, each on so many rows drawn from the ring.
    - `tries`, `least`, `fade`: how often an agent tries at first and in the end; the fall, in a straight line, takes
      this part of the training.
    - `follow`: the part of the way that Q' moves to Q at each step.
    - `rate`: the first step of Adam; it falls as the square of what is left, to a hundredth.
    - `hidden`: the layers; `longest`: the largest norm of a gradient.
    """

    worlds: int = eqx.field(static=True, default=8)
    kept: int = eqx.field(static=True, default=8192)
    batches: int = eqx.field(static=True, default=32)
    rows: int = eqx.field(static=True, default=64)
    tries: float = eqx.field(static=True, default=1.0)
    least: float = eqx.field(static=True, default=0.05)
    fade: float = eqx.field(static=True, default=0.5)
    follow: float = eqx.field(static=True, default=0.02)
    rate: float = eqx.field(static=True, default=3e-3)
    hidden: tuple[int, ...] = eqx.field(static=True, default=(32, 32))
    longest: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        if min(self.worlds, self.kept, self.batches, self.rows) < 1 or not self.hidden:
            raise MethodError("DeepQLearning takes one world, row, batch and hidden layer or more")
        if not 0 <= self.least <= self.tries <= 1 or not 0 < self.fade <= 1:
            raise MethodError("DeepQLearning: 0 <= least <= tries <= 1, and fade lies above 0, up to 1")
        if not 0 < self.follow <= 1 or self.rate <= 0 or self.longest <= 0:
            raise MethodError("DeepQLearning: follow lies above 0, up to 1; rate and longest above 0")

    @property
    def runs(self) -> int:
        return self.worlds

    def begin(self, watched: Watched, key: Key) -> Valued:
        needed = self.worlds * watched.game.steps
        if needed > self.kept:
            raise MethodError(f"DeepQLearning(kept={self.kept}): an update makes {needed} steps; keep so many or more")
        valuers, rings = {}, {}
        for number, (path, learner) in enumerate(watched.game.learners.items()):
            if not isinstance(learner.actions, Discrete):
                raise MethodError(f"DeepQLearning at '{path}': it values Discrete actions; give such, or take PPO")
            valuers[path] = for_types(lambda k: self._valuer(watched, path, k), learner, jr.fold_in(key, number))  # noqa: B023
            rings[path] = empty_ring(self.kept, watched.agents[path], watched.views[path])
        return Valued(valuers, rings)

    def update(
        self, watched: Watched, learned: Valued, key: Key, progress: Float[Array, ""], frozen: tuple[Plug, ...]
    ) -> tuple[Valued, News]:
        game = watched.game
        share = jnp.minimum(progress / self.fade, 1.0)
        tries = self.tries + share * (self.least - self.tries)
        policies = {
            path: TryingPolicy(_greedy(valuer.values, game.learners[path]), game.learners[path].alike(tries))
            for path, valuer in learned.valuers.items()
        }
        keys = jr.split(jr.fold_in(key, 0), self.worlds)
        runs = jax.vmap(lambda k: rollout(watched, policies, k, game.steps + 1, frozen))(keys)
        valuers, rings, returns = {}, {}, {}
        for number, (path, valuer) in enumerate(learned.valuers.items()):
            learner = game.learners[path]
            new, returns[path] = _done(game, path, runs)
            rings[path] = learned.rings[path].with_(new)
            valuer = self._in_units(learner, valuer, new)
            valuers[path] = self._improved(learner, valuer, rings[path], jr.fold_in(key, number + 1), progress)
        rewards = [runs.seen[f"reward:{path}"] for path in valuers]
        broken = jnp.stack([(~jnp.isfinite(r)).sum() for r in rewards]).sum()
        return Valued(valuers, rings), News(returns, (runs.fault != NEVER).sum(), broken)

    def playing(self, watched: Watched, learned: Valued) -> Policies:
        return {p: _greedy(valuer.values, watched.game.learners[p]) for p, valuer in learned.valuers.items()}

    def policies(self, watched: Watched, learned: Valued) -> Policies:
        return {p: _greedy(valuer.slow, watched.game.learners[p]) for p, valuer in learned.valuers.items()}

    def _valuer(self, watched: Watched, path: str, key: Key) -> Valuer:
        size = sum(leaf.size for leaf in jax.tree.leaves(watched.views[path]))
        weights = First((size, *self.hidden, watched.game.learners[path].actions.width), last=0.1)(key)
        values = Critic(weights, no_scale(size), jnp.float32(0.0), jnp.float32(1.0), jnp.float32(0.0))
        return Valuer(values, values, self._optimiser().init(weights))

    def _optimiser(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.longest), optax.scale_by_adam())

    def _in_units(self, learner: Learner, valuer: Valuer, new: Transitions) -> Valuer:
        """The networks in the units of what new rows say, without a change of what they say of anything seen."""
        vectors = over_axes(as_vector, 2)(new.view)
        values = at_scale(valuer.values, vectors, new.learns, learner)
        slow = eqx.tree_at(lambda c: c.scale, valuer.slow, values.scale)
        targets = _targets(learner, values, slow, new)
        values, slow = (rescaled(one, targets, new.learns, learner) for one in (values, slow))
        return Valuer(values, slow, valuer.optimiser)

    def _improved(self, learner: Learner, valuer: Valuer, ring: Ring, key: Key, progress: Array) -> Valuer:
        optimiser = self._optimiser()
        change = optimiser.update if learner.types is None else jax.vmap(optimiser.update)
        rate = self.rate * jnp.maximum((1.0 - progress) ** 2, 0.01)

        def one(valuer: Valuer, key: Key) -> tuple[Valuer, None]:
            part = ring.drawn(key, self.rows)
            targets = _targets(learner, valuer.values, valuer.slow, part)
            slope = jax.grad(_loss)(valuer.values.weights, valuer.values, learner, part, targets)
            updates, state = change(slope, valuer.optimiser)
            weights = jax.tree.map(lambda w, u: w - rate * u, valuer.values.weights, updates)
            slow = jax.tree.map(lambda s, w: s + self.follow * (w - s), valuer.slow.weights, weights)
            at = lambda v: (v.values.weights, v.slow.weights, v.optimiser)  # noqa: E731
            return eqx.tree_at(at, valuer, (weights, slow, state)), None

        return jax.lax.scan(one, valuer, jr.split(key, self.batches))[0]


def _options(actions: Any) -> Discrete:
    assert isinstance(actions, Discrete)  # `begin` refuses others
    return actions


def _greedy(values: Critic, learner: Learner) -> NetworkPolicy:
    """The policy that takes what is worth most: units change nothing about which action that is."""
    return NetworkPolicy(values.weights, values.scale, learner.actions, explores=False)


def _done(game: Game, path: str, runs: Rollout) -> tuple[Transitions, Array]:
    """The decisions of the runs at a site, and their mean return."""
    learner, note, steps = game.learners[path], runs.notes[path], game.steps
    rewards = runs.seen[f"reward:{path}"][:, :steps]
    ends = runs.seen[f"ends:{path}"][:, :steps] if learner.ends is not None else None
    goes_on = jax.vmap(lambda a, e: life_goes_on(a, e, game.finite))(note["where"], ends)
    parts = (note["view"], note["action"], rewards, note["where"], note["acting"], goes_on)
    found = jax.vmap(lambda v, a, r, w, m, g: transitions(v, a, r, w, m, g, learner.discount))(*parts)
    return jax.tree.map(flat, found), mean_return(rewards, note["acting"][:, :steps], learner.discount)


def _targets(learner: Learner, values: Critic, slow: Critic, part: Transitions) -> Float[Array, "rows agents"]:
    """What decisions are seen to be worth: the next action is chosen by one network and valued by the other."""
    actions = _options(learner.actions)

    def next_worth(both: tuple[Critic, Critic], view: Any) -> Array:
        seen = as_vector(view)
        return both[1].heads(seen)[actions.mode(both[0].heads(seen), view)]

    worth = jax.vmap(of_agents(learner, next_worth, learner.spread((values, slow))))(part.later)
    return jax.lax.stop_gradient(part.reward + part.weight * worth)


def _loss(weights: Any, values: Critic, learner: Learner, part: Transitions, targets: Array) -> Array:
    """Half the mean square of what is missed, in the network's units."""
    values = eqx.tree_at(lambda c: c.weights, values, weights)

    def missed(values: Critic, view: Any, action: Array, target: Array) -> Array:
        return (values.heads(as_vector(view))[action] - target) / values.spread

    units = jax.vmap(of_agents(learner, missed, learner.spread(values)))(part.view, part.action, targets)
    return masked_mean(0.5 * units**2, part.learns, learner)
