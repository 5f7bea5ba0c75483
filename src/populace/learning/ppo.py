"""Proximal policy optimisation, for agents who learn at once: shared, a policy a type, or each on its own.

J. Schulman, F. Wolski, P. Dhariwal, A. Radford and O. Klimov (2017), "Proximal policy optimization algorithms",
arXiv:1707.06347. Several agents: C. Schroeder de Witt et al. (2020), "Is independent learning all you need in the
StarCraft multi-agent challenge?", arXiv:2011.09533; with a critic that sees the state, C. Yu et al. (2022), "The
surprising effectiveness of PPO in cooperative multi-agent games", NeurIPS. With a memory, trained on whole runs: T. Ni,
B. Eysenbach and R. Salakhutdinov (2022), "Recurrent model-free RL can be a strong baseline for many POMDPs", ICML.
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
from ..core.simulate import NEVER
from ..surrogates.networks import First
from .algorithm import Algorithm, News
from .by_type import flat, for_types, masked_mean, mean_return, of_agents, over_axes
from .critic import Critic, at_scale, rescaled
from .game import Game, Learner, Policies, Watched
from .policies import Network, as_vector, first_policy, first_recurrent, no_scale
from .returns import generalised_advantages, life_goes_on
from .rollout import Rollout, rollout

_FAR = 10.0
"""Log odds are held within this: beyond it nothing is learned from an action, and nothing overflows."""

_LATE = 0.6
"""From this part of the training on, weights are averaged (B. T. Polyak and A. B. Juditsky 1992, "Acceleration of
stochastic approximation by averaging", SIAM Journal on Control and Optimization 30, 838-855)."""


class Brain(eqx.Module):
    """What one type has learned at one site. `mean`: the policy's weights, averaged over the later updates, `count` of
    them: what is handed out in the end.
    """

    policy: Network
    critic: Critic
    optimiser: Any
    mean: Any
    count: Float[Array, ""]


class Batch(eqx.Module):
    """What an update learns from at one site: rows of agents over a span of steps, (rows, span, agents, ...). A row is
    a step, with a span of 1, or a whole run where agents remember.
    """

    view: Any
    vector: Float[Array, "rows span agents d"]
    raw: Any
    acted: Float[Array, "rows span agents"]
    lived: Float[Array, "rows span agents"]
    kept: Float[Array, "rows span agents"]
    log_prob: Float[Array, "rows span agents"]
    advantage: Float[Array, "rows span agents"]
    target: Float[Array, "rows span agents"]


class PPO(Algorithm):
    """Runs of all learners at once, then several passes over them that raise the odds of what turned out better than
    the critic thought, as long as the policy stays near the one that ran.

    **Arguments:**

    - `worlds`: runs an update learns from.
    - `epochs`, `minibatches`: passes over them, and in how many parts.
    - `near`: how far the odds of an action may move in an update before nothing more is gained by moving them.
    - `decay`: of the advantages' weights (`generalised_advantages`).
    - `rate`: the first step of Adam; it falls as the square of what is left, to a hundredth.
    - `entropy`: what the law's entropy is worth at first, in standard deviations of the advantage; it falls to nothing.
      `Continuous` actions go on trying without it (`least`); laws over options may settle early, which .1 puts off.
    - `hidden`: the layers of policy and critic.
    - `longest`: the largest norm of a gradient.
    - `memory`: how many numbers an agent remembers of its own life (`RecurrentPolicy`), 0 for none. Slopes then run
      back through whole runs, of which minibatches are made; the critic sees what the agent remembered.
    """

    worlds: int = eqx.field(static=True, default=32)
    epochs: int = eqx.field(static=True, default=4)
    minibatches: int = eqx.field(static=True, default=4)
    near: float = eqx.field(static=True, default=0.2)
    decay: float = eqx.field(static=True, default=0.9)
    rate: float = eqx.field(static=True, default=5e-3)
    entropy: float = eqx.field(static=True, default=0.0)
    hidden: tuple[int, ...] = eqx.field(static=True, default=(32, 32))
    longest: float = eqx.field(static=True, default=0.5)
    memory: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        if min(self.worlds, self.epochs, self.minibatches) < 1 or not self.hidden or self.memory < 0:
            raise MethodError("PPO takes one world, epoch, minibatch and hidden layer or more, and no memory below 0")
        if not (0 < self.near < 1 and 0 <= self.decay <= 1 and self.rate > 0 and self.longest > 0):
            raise MethodError("PPO: near lies between 0 and 1, decay from 0 to 1, rate and longest above 0")

    @property
    def runs(self) -> int:
        return self.worlds

    def begin(self, watched: Watched, key: Key) -> dict[str, Brain]:
        return {
            path: for_types(lambda k: self._brain(watched, path, k), learner, jr.fold_in(key, number))  # noqa: B023
            for number, (path, learner) in enumerate(watched.game.learners.items())
        }

    def update(
        self,
        watched: Watched,
        learned: dict[str, Brain],
        key: Key,
        progress: Float[Array, ""],
        frozen: tuple[Plug, ...],
    ) -> tuple[dict[str, Brain], News]:
        game = watched.game
        policies = {path: brain.policy for path, brain in learned.items()}
        keys = jr.split(jr.fold_in(key, 0), self.worlds)
        runs = jax.vmap(lambda k: rollout(watched, policies, k, game.steps + 1, frozen))(keys)
        after, returns = {}, {}
        for number, (path, brain) in enumerate(learned.items()):
            learner = game.learners[path]
            brain, batch, returns[path] = self._batch(game, path, brain, runs)
            after[path] = self._improved(learner, brain, batch, jr.fold_in(key, number + 1), progress)
        rewards = [runs.seen[f"reward:{path}"] for path in learned]
        broken = sum((~jnp.isfinite(r)).sum() for r in rewards)
        return after, News(returns, (runs.fault != NEVER).sum(), jnp.asarray(broken))

    def playing(self, watched: Watched, learned: dict[str, Brain]) -> Policies:
        return {path: brain.policy for path, brain in learned.items()}

    def policies(self, watched: Watched, learned: dict[str, Brain]) -> Policies:
        return {path: _settled(brain) for path, brain in learned.items()}

    def _brain(self, watched: Watched, path: str, key: Key) -> Brain:
        acting, judging = jr.split(key)
        learner = watched.game.learners[path]
        view, actions = watched.views[path], learner.actions
        policy: Network = first_policy(acting, view, actions, self.hidden)
        if self.memory:
            policy = first_recurrent(acting, view, actions, self.hidden, self.memory, explores=True)
        size = policy.scale.mean.size + watched.extra[path] + self.memory
        weights = First((size, *self.hidden, 1), last=0.1)(judging)
        critic = Critic(weights, no_scale(size), jnp.float32(0.0), jnp.float32(1.0), jnp.float32(0.0))
        state = self._optimiser().init(_weights(policy, critic))
        return Brain(policy, critic, state, policy.weights, jnp.float32(0.0))

    def _optimiser(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.longest), optax.scale_by_adam())

    def _batch(self, game: Game, path: str, brain: Brain, runs: Rollout) -> tuple[Brain, Batch, Array]:
        """What the runs teach at a site, the brain in their units, and their mean return."""
        learner, note = game.learners[path], runs.notes[path]
        steps, asked = game.steps, note["where"]
        vectors = over_axes(as_vector, 3)(note["view"])
        extra = runs.seen.get(f"critic:{path}")
        remembered = (note["info"]["memory"],) if self.memory else ()
        judged = jnp.concatenate([vectors, *(() if extra is None else (extra,)), *remembered], axis=-1)
        kept = asked if learner.who is None else asked * learner.who
        lived = jnp.ones_like(asked) if learner.ends is not None else asked
        # What others see and earn is another matter: a critic that learned it too would bend at their views.
        lived = lived if learner.who is None else lived * learner.who
        brain = _seeing(brain, vectors, judged, lived, learner)
        values = over_axes(of_agents(learner, lambda c, x: c(x), learner.spread(brain.critic)), 2)(judged)
        rewards = runs.seen[f"reward:{path}"][:, :steps]
        ends = runs.seen[f"ends:{path}"][:, :steps] if learner.ends is not None else None
        goes_on = jax.vmap(lambda a, e: life_goes_on(a, e, game.finite))(asked, ends)
        advantages = jax.vmap(lambda r, v, g: generalised_advantages(r, v, g, learner.discount, self.decay))(
            rewards, values, goes_on
        )
        acted = note["acting"]
        parts = dict(view=note["view"], vector=judged, raw=note["info"]["raw"], acted=acted, lived=lived, kept=kept)
        rows = jax.tree.map(lambda leaf: self._rows(leaf[:, :steps]), parts)
        log_prob, _ = _said(learner, brain.policy, rows["view"], rows["raw"], rows["kept"])
        gains, targets = self._rows(advantages), self._rows(advantages + values[:, :steps])
        batch = Batch(**rows, log_prob=log_prob, advantage=gains, target=targets)
        return brain, batch, mean_return(rewards, acted[:, :steps], learner.discount)

    def _rows(self, leaf: Array) -> Array:
        """Runs (runs, steps, ...) as the rows of a batch."""
        return leaf if self.memory else flat(leaf)[:, None]

    def _improved(self, learner: Learner, brain: Brain, batch: Batch, key: Key, progress: Array) -> Brain:
        brain = eqx.tree_at(
            lambda b: b.critic, brain, rescaled(brain.critic, flat(batch.target), flat(batch.lived), learner)
        )
        batch = _standardised(batch, learner)
        optimiser = self._optimiser()
        change = optimiser.update if learner.types is None else jax.vmap(optimiser.update)
        rate = self.rate * jnp.maximum((1.0 - progress) ** 2, 0.01)
        rows = batch.acted.shape[0]
        size = max(1, rows // self.minibatches)

        def one(carry: tuple[Any, Any], index: Array) -> tuple[tuple[Any, Any], None]:
            weights, state = carry
            part = jax.tree.map(lambda leaf: leaf[index], batch)
            slope = jax.grad(self._loss)(weights, brain, learner, part, 1.0 - progress)
            updates, state = change(slope, state)
            return (jax.tree.map(lambda w, u: w - rate * u, weights, updates), state), None

        order = jax.vmap(lambda k: jr.permutation(k, rows)[: size * (rows // size)])(jr.split(key, self.epochs))
        start = (_weights(brain.policy, brain.critic), brain.optimiser)
        (weights, state), _ = jax.lax.scan(one, start, order.reshape(-1, size))
        return _averaged(_with_weights(brain, weights, state), progress)

    def _loss(self, weights: Any, brain: Brain, learner: Learner, batch: Batch, left: Array) -> Array:
        brain = _with_weights(brain, weights, brain.optimiser)
        critic = learner.spread(brain.critic)
        log_prob, entropy = _said(learner, brain.policy, batch.view, batch.raw, batch.kept)
        odds = jnp.exp(jnp.clip(log_prob - batch.log_prob, -_FAR, _FAR))
        held = jnp.clip(odds, 1.0 - self.near, 1.0 + self.near)
        gain = jnp.minimum(odds * batch.advantage, held * batch.advantage) + self.entropy * left * entropy
        off = over_axes(of_agents(learner, lambda c, x, t: (c(x) - t) / c.spread, critic), 2)
        missed = masked_mean(flat(0.5 * off(batch.vector, batch.target) ** 2), flat(batch.lived), learner)
        return missed - masked_mean(flat(gain), flat(batch.acted), learner)


def _said(learner: Learner, policy: Network, view: Any, raw: Any, kept: Array) -> tuple[Array, Array]:
    """The log-density of each raw draw, and each law's entropy, (rows, span, agents)."""

    def one(policy: Network, view: Any, raw: Any, kept: Array) -> tuple[Array, Array]:
        return jax.vmap(policy.actions.log_prob)(policy.laws(view, kept), view, raw)

    def row(view: Any, raw: Any, kept: Array) -> tuple[Array, Array]:
        by_agent = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), (view, raw, kept))
        log_prob, entropy = of_agents(learner, one, learner.spread(policy))(*by_agent)
        return log_prob.T, entropy.T

    return jax.vmap(row)(view, raw, kept)


def _weights(policy: Network, critic: Critic) -> Any:
    return {"policy": policy.weights, "critic": critic.weights}


def _with_weights(brain: Brain, weights: Any, state: Any) -> Brain:
    at = lambda b: (b.policy.weights, b.critic.weights, b.optimiser)  # noqa: E731
    return eqx.tree_at(at, brain, (weights["policy"], weights["critic"], state))


def _seeing(brain: Brain, vectors: Array, judged: Array, lived: Array, learner: Learner) -> Brain:
    """The brain whose scales have seen these vectors."""
    policy = at_scale(brain.policy, vectors, lived, learner)
    return eqx.tree_at(lambda b: (b.policy, b.critic), brain, (policy, at_scale(brain.critic, judged, lived, learner)))


def _averaged(brain: Brain, progress: Array) -> Brain:
    """The brain with its policy's weights in the mean, which starts anew until `_LATE` of the training is done."""
    count = jnp.where(progress < _LATE, 0.0, brain.count) + 1.0
    step = (1.0 / count).reshape(-1)[0]
    mean = jax.tree.map(lambda m, w: m + step * (w - m), brain.mean, brain.policy.weights)
    return eqx.tree_at(lambda b: (b.mean, b.count), brain, (mean, count))


def _settled(brain: Brain) -> Network:
    return eqx.tree_at(lambda p: p.weights, brain.policy, brain.mean).settled()


def _standardised(batch: Batch, learner: Learner) -> Batch:
    """Advantages in standard deviations: of all, or of each agent's own where there are types."""
    axis = None if learner.types is None else (0, 1)
    mass = jnp.maximum(batch.acted.sum(axis), 1.0)
    mean = (batch.acted * batch.advantage).sum(axis) / mass
    variance = (batch.acted * (batch.advantage - mean) ** 2).sum(axis) / mass
    return eqx.tree_at(lambda b: b.advantage, batch, (batch.advantage - mean) / jnp.sqrt(variance + 1e-12))
