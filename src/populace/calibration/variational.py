"""Variational inference with flows: the member of a family nearest to a generalised posterior, by its gradients.

Over v, parameters in spreads of their priors, the bound

    F(q) = E_q[loss(v)] + KL(q || prior) >= -log E_prior[exp(-loss)]

is made small (Knoblauch, Jewson and Damoulas 2022, Journal of Machine Learning Research 23:132; for agent-based models
Quera-Bofarull, Chopra, Calinescu, Wooldridge and Dyer 2023). Its gradient passes from the loss through draws of q where
the model has gradients; where it has none, each draw's log-density is weighed by its loss.
"""

import functools
import math
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from flowjax.distributions import AbstractDistribution
from jaxtyping import Array, Float

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.rounds import Ask, Done, Method
from ..gradients.estimator import Estimator
from ..problem.problem import Problem
from ..problem.simulators import Simulation
from ..problem.space import Space
from .estimates import Posterior
from .families import Family, FlowFamily
from .generalised import GeneralLoss, Keyed, Levels, MomentLoss, log_prior
from .gradient_choice import AskAudit, Choice, candidates
from .gradients_asked import Slopes, Unscaled
from .judgement import at_ends, scales
from .pareto import GOOD, pareto_shape
from .tally import Tally

_WINDOW = 30
"""Rounds that are compared with as many before them."""
_HALVINGS = 4
"""How often the rate is halved before a fit that no longer falls is done."""
_MEMORY = 50
"""Rounds that the running mean of the family's arrays looks back."""
_CHECKED = 128
_DRAWN = 16 * _CHECKED  # as often as need be by the program that draws for the check
_MOST_LOST = 10
_FEWEST_ROUNDS = 10


class Course(eqx.Module):
    """Where the fit stands.

    `member`: the family's arrays; `average`: their running mean, over `behind` rounds since the rate was halved last;
    `optimiser`: its state; `middle`, `spread` (d,): the prior's, on the real scale; `bounds` (T,): F of each round;
    `since`: the round of the last halving, `halvings`; `chosen`: of the candidates for gradients, -1 until the audit
    has said; `left`: calls unspent; `lost`: rounds that gave no gradient; `phase`: 0 fitting, 1 to be checked,
    2 done; `levels`, `noise`, `excess` (n,): of the check, loss at draws of q, its variance, and log q - log prior.
    """

    member: Any
    average: Any
    behind: np.ndarray
    optimiser: Any
    middle: np.ndarray
    spread: np.ndarray
    bounds: np.ndarray
    since: np.ndarray
    halvings: np.ndarray
    chosen: np.ndarray
    left: np.ndarray
    lost: np.ndarray
    phase: np.ndarray
    levels: np.ndarray
    noise: np.ndarray
    excess: np.ndarray
    tally: Tally


class LossesOnly(eqx.Module):
    """No gradients of the model: draws of q are weighed by their losses, compared with each other's.

    It works for any simulator, and its noise grows with the spread of q.
    """


class Variational(Method[Problem, Course, Posterior]):
    """A posterior by optimisation: cheap where the model has gradients, and only as good as its family.

    It stops when the bound F has not fallen over 30 rounds beyond its noise, at a rate that was halved four times. Then
    fresh runs at draws of the end say how near it came: the estimate of -F with its error, and the Pareto shape of
    the weights that would make posterior draws of it.

    **Arguments:**

    - `loss`: half of g' V^-1 g of the fitted moments (`MomentLoss`), or any loss of a run (`RunLoss`).
    - `estimator`: of the loss's gradient; `LossesOnly()` for none; None to have candidates audited on this problem
      first (for a simulator that is no native model: `LossesOnly`).
    - `family`: what q is chosen from; `draws` of q a round, `replicates` runs at each (of a `MomentLoss` once for the
      moments and once for the gradient).
    - `optimiser`: any optax optimiser that needs no more than gradients; its steps are halved with the rate.
    - `audited`: runs that the audit spends on each candidate.
    """

    loss: GeneralLoss = MomentLoss()
    estimator: Estimator | LossesOnly | None = None
    family: Family = FlowFamily()
    draws: int = eqx.field(static=True, default=8)
    replicates: int = eqx.field(static=True, default=4)
    optimiser: optax.GradientTransformation = eqx.field(
        default_factory=lambda: optax.chain(optax.clip_by_global_norm(10.0), optax.adam(0.02))
    )
    audited: int = eqx.field(static=True, default=64)

    @property
    def needs_covariance(self) -> bool:
        return self.loss.needs_covariance

    def start(self, task: Problem, key: Key, budget: int) -> Course:
        self.loss.check(task)
        if self.draws < 2 or self.replicates < 1:
            raise MethodError("take two draws or more a round, and a run or more at each")
        d, chosen = task.space.size, 0
        if self.estimator is None and isinstance(task.simulator, Simulation):
            chosen = -1
        middle, spread = scales(task.space)
        state = self._course(d, middle, spread, key, chosen)
        first = self._audit(task, state, key).calls() if chosen < 0 else 0
        each = max(self._calls(task, one, d) for one in self._candidates(task, d))
        needed = first + _FEWEST_ROUNDS * each + self._check_calls()
        if budget < needed:
            raise MethodError(
                f"a budget of {budget} calls is too small for {_FEWEST_ROUNDS} rounds of {each} calls, an audit of "
                f"{first} and a check of {self._check_calls()}: give {needed} or more"
            )
        return eqx.tree_at(lambda s: s.left, state, np.array(budget))

    def _course(self, d: int, middle: np.ndarray, spread: np.ndarray, key: Key, chosen: int) -> Course:
        member, _ = _parts(self.family, d)
        return Course(
            *(member, member, np.array(0), jax.tree.map(np.asarray, self.optimiser.init(member)), middle, spread),
            *(np.zeros(0), np.array(0), np.array(0), np.array(chosen), np.array(0), np.array(0), np.array(0)),
            *(np.zeros(0), np.zeros(0), np.zeros(0), Tally.empty()),
        )

    def _member(self, arrays: Any, d: int) -> AbstractDistribution:
        return cast(AbstractDistribution, eqx.combine(arrays, _parts(self.family, d)[1]))

    def _check_calls(self) -> int:
        return _CHECKED * max(4, 2 * self.replicates)

    def _candidates(self, task: Problem, d: int) -> tuple[Estimator | LossesOnly, ...]:
        if self.estimator is not None:
            return (self.estimator,)
        return candidates(d) if isinstance(task.simulator, Simulation) else (LossesOnly(),)

    def _calls(self, task: Problem, estimator: Estimator | LossesOnly, d: int) -> int:
        return self._work(estimator, jnp.zeros((self.draws, d)), jr.key(0), _nowhere(task.space)).calls()

    def _work(self, estimator: Estimator | LossesOnly, v: Array, key: Key, through: Unscaled) -> Ask:
        if isinstance(estimator, LossesOnly):
            return self.loss.levels(v, key, through, max(self.replicates, 3))
        return self.loss.gradients(v, key, through, estimator, self.replicates)

    def _audit(self, task: Problem, state: Course, key: Key) -> AskAudit:
        points = jnp.zeros((1, task.space.size))
        return AskAudit(points, key, _through(task, state), self.audited)

    def ask(self, task: Problem, state: Course, key: Key) -> Ask:
        if int(state.chosen) < 0:
            return self._audit(task, state, key)
        noise, runs = jr.split(key)
        d, through = task.space.size, _through(task, state)
        if int(state.phase) == 1:
            v, _ = _drawn(self._member(state.average, d), noise, _CHECKED)
            return Keyed(self.loss.levels(v, runs, through, max(4, 2 * self.replicates)), noise)
        v, _ = _drawn(self._member(state.member, d), noise, self.draws)
        return Keyed(self._work(self._candidates(task, d)[int(state.chosen)], v, runs, through), noise)

    def tell(self, task: Problem, state: Course, ask: Any, answer: Any) -> Course:
        state = eqx.tree_at(lambda s: s.left, state, np.array(int(state.left) - ask.calls()))
        if isinstance(answer, Choice):
            return eqx.tree_at(lambda s: s.chosen, state, np.array(answer.index))
        state = eqx.tree_at(lambda s: s.tally, state, state.tally.with_(answer.seen))
        if int(state.phase) == 1:
            return self._checked(task, state, ask, answer)
        sound = np.isfinite(answer.losses) & (answer.counted > 0)
        if sound.sum() < 2 and int(state.lost) >= _MOST_LOST:
            raise MethodError(
                f"in {_MOST_LOST} rounds fewer than two of {self.draws} draws could be simulated: "
                f"{state.tally.sentence()} Tighten the prior or take more draws a round"
            )
        d = task.space.size
        slopes = answer.gradients if isinstance(answer, Slopes) else np.zeros((self.draws, d))
        found = _gradient(
            (state.member, _parts(self.family, d)[1]),
            ask.key,
            _through(task, state),
            *(jnp.asarray(np.where(sound, self.loss.rate() * answer.losses, 0.0), jnp.float32), jnp.asarray(sound)),
            jnp.asarray(self.loss.rate() * slopes, jnp.float32) if isinstance(answer, Slopes) else None,
        )
        now = self._moved(state, *found, enough=bool(sound.sum() > 1))
        if int(now.left) < ask.calls() + self._check_calls():
            now = eqx.tree_at(lambda s: s.phase, now, np.array(1))
        return now

    def _moved(self, state: Course, bound: Array, gradient: Any, *, enough: bool) -> Course:
        usable = all(np.isfinite(leaf).all() for leaf in [bound, *jax.tree.leaves(gradient)])
        if not usable or not enough:
            return eqx.tree_at(lambda s: s.lost, state, np.array(int(state.lost) + 1))
        rate = jnp.float32(0.5 ** int(state.halvings))
        member, optimiser = _stepped(self.optimiser, state.member, gradient, state.optimiser, rate)
        n = int(state.behind)
        part = 1.0 / min(n + 1, _MEMORY)
        average = jax.tree.map(lambda old, new: old + part * (np.asarray(new) - old), state.average, member)
        bounds = np.append(state.bounds, float(bound))
        now = eqx.tree_at(
            lambda s: (s.member, s.average, s.optimiser, s.bounds, s.behind),
            state,
            (*(jax.tree.map(np.asarray, tree) for tree in (member, average, optimiser)), bounds, np.array(n + 1)),
        )
        if not _flat(bounds[int(state.since) :]):
            return now
        halved, restart = np.array(int(now.halvings) + 1), (np.array(len(bounds)), np.array(0))
        if int(halved) > _HALVINGS:
            return eqx.tree_at(lambda s: (s.halvings, s.phase), now, (halved, np.array(1)))
        return eqx.tree_at(lambda s: (s.halvings, s.since, s.behind), now, (halved, *restart))

    def _checked(self, task: Problem, state: Course, ask: Any, answer: Levels) -> Course:
        v, log_q = _drawn(self._member(state.average, task.space.size), ask.key, _CHECKED)
        excess = log_q - log_prior(_through(task, state), v)
        rate = self.loss.rate()
        parts = (np.array(2), rate * answer.losses, rate**2 * answer.variances, np.asarray(excess, np.float64))
        return eqx.tree_at(lambda s: (s.phase, s.levels, s.noise, s.excess), state, parts)

    def done(self, task: Problem, state: Course, left: int) -> Done | None:
        if int(state.phase) == 2:
            if int(state.halvings) > _HALVINGS:
                return Done(Code.CONVERGED, f"stopped by its own rule: over {_WINDOW} rounds the bound did not fall")
            return Done(Code.BUDGET_SPENT, "the budget ran out while the bound was still falling")
        return None

    def finish(self, task: Problem, state: Course, key: Key) -> Posterior:
        d = task.space.size
        member = self._member(state.average, d)
        v = np.concatenate([_drawn(member, one, _CHECKED)[0] for one in jr.split(key, _DRAWN // _CHECKED)])
        real = state.middle + v.astype(np.float64) * state.spread
        source = self._candidates(task, d)[int(state.chosen)]
        name = "losses alone" if isinstance(source, LossesOnly) else f"gradients by {source.name}"
        how = "which an audit on this problem chose" if self.estimator is None else "as asked"
        notes = [f"A {type(self.family).__name__} fitted by {name}, {how}, in {len(state.bounds)} rounds."]
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        if int(state.lost):
            notes.append(f"{int(state.lost)} rounds were left out: too few of their draws could be simulated.")
        notes += [*_check(state), *at_ends(task.space, np.median(real, axis=0))]
        return Posterior(
            real, np.full(_DRAWN, 1.0 / _DRAWN), np.full((_DRAWN, len(task.target.labels)), np.nan), tuple(notes)
        )


@functools.cache
def _parts(family: Family, size: int) -> tuple[Any, Any]:
    """The first member's arrays, and all else of it: the same objects each time, so that nothing compiles anew."""
    arrays, rest = eqx.partition(family.first(size, jr.key(0)), eqx.is_inexact_array)
    return jax.tree.map(np.asarray, arrays), rest


def _through(task: Problem, state: Course) -> Unscaled:
    return Unscaled(jnp.asarray(state.middle, jnp.float32), jnp.asarray(state.spread, jnp.float32), task.space)


def _nowhere(space: Space) -> Unscaled:
    return Unscaled(jnp.zeros(space.size), jnp.ones(space.size), space)


@eqx.filter_jit
def _drawn(member: AbstractDistribution, key: Key, count: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    return member.sample_and_log_prob(key, (count,))


@eqx.filter_jit
def _gradient(
    parts: tuple[Any, Any], noise: Key, through: Unscaled, losses: Array, sound: Array, slopes: Array | None
) -> tuple[Array, Any]:
    """F from this round's draws, and its gradient by the member's arrays.

    With `slopes`, the loss's gradients (s, d): along the draws, d F = E[(d loss - d log prior + d log q) dv], with q
    itself held still, as its own part is 0 on average and noise (Roeder, Wu and Duvenaud 2017); without, E[(F_v - mean
    of the others') d log q(v)], F_v = loss + log q - log prior at a draw.
    """
    arrays, rest = parts
    drawn, _ = cast(AbstractDistribution, eqx.combine(arrays, rest)).sample_and_log_prob(noise, losses.shape)
    sound = sound & jnp.isfinite(log_prior(through, drawn)) & jnp.isfinite(drawn).all(1)
    weight = sound / jnp.maximum(sound.sum(), 1)

    def held(v: Array) -> Array:
        """Draws that do not count at 0, so that no NaN comes back from them."""
        return jnp.where(sound[:, None], v, 0.0)

    def along(arrays: Any) -> tuple[Array, Array]:
        v, _ = cast(AbstractDistribution, eqx.combine(arrays, rest)).sample_and_log_prob(noise, losses.shape)
        v, still = held(v), cast(AbstractDistribution, eqx.combine(jax.lax.stop_gradient(arrays), rest))
        gap = still.log_prob(v) - log_prior(through, v)
        pulled = 0.0 if slopes is None else (jax.lax.stop_gradient(slopes) * v).sum(1)
        return (weight * (gap + pulled)).sum(), (weight * (gap + losses)).sum()

    def scored(arrays: Any) -> tuple[Array, Array]:
        member = cast(AbstractDistribution, eqx.combine(arrays, rest))
        v = held(jax.lax.stop_gradient(drawn))
        log_q = member.log_prob(v)
        each = jax.lax.stop_gradient(log_q - log_prior(through, v) + losses)
        mean = (weight * each).sum()
        luck = (each - mean) / (1.0 - weight.max())
        return (weight * luck * log_q).sum(), mean

    (_, bound), gradient = jax.value_and_grad(scored if slopes is None else along, has_aux=True)(arrays)
    return bound, gradient


@eqx.filter_jit
def _stepped(
    optimiser: optax.GradientTransformation, member: Any, gradient: Any, state: Any, rate: Array
) -> tuple[Any, Any]:
    step, after = optimiser.update(gradient, state, member)
    return jax.tree.map(lambda a, b: a + rate * b, member, step), after


def _flat(bounds: np.ndarray) -> bool:
    """Whether the last rounds are no lower than those before them, within their noise."""
    if len(bounds) < 2 * _WINDOW:
        return False
    before, last = bounds[-2 * _WINDOW : -_WINDOW], bounds[-_WINDOW:]
    fall = np.median(before) - np.median(last)
    noise = 1.25 * math.hypot(_spread(before), _spread(last)) / math.sqrt(_WINDOW)
    return bool(fall < noise)


def _spread(values: np.ndarray) -> float:
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low) / 1.349


def _check(state: Course) -> list[str]:
    """What fresh runs at draws of q say of it."""
    sound = np.isfinite(state.levels) & np.isfinite(state.noise)
    logs = -(state.levels + state.excess)[sound]
    if sound.sum() < _CHECKED // 2:
        return [f"Only {int(sound.sum())} of {_CHECKED} draws of q could be simulated: it was not checked."]
    noise = state.noise[sound]
    error = logs.std(ddof=1) / math.sqrt(logs.size)
    found = [f"The log-evidence is at least {logs.mean():.4g} (standard error {error:.2g}): the bound at the end."]
    shape, doubt = pareto_shape(logs), float(np.median(noise))
    if shape <= GOOD:
        found.append(f"q reaches the posterior: the weights that would mend it have the Pareto shape {shape:.2f}.")
    elif doubt > 0.25:
        found.append(
            f"Whether q reaches the posterior is hidden by the noise of the losses (variance {doubt:.2g}, Pareto shape "
            f"{shape:.2f}): take more replicates to see."
        )
    else:
        found.append(
            f"q does not reach the posterior: the weights that would mend it have the Pareto shape {shape:.2f}, above "
            f"{GOOD}. Take a richer family (FlowFamily with more layers), more rounds, or SequentialABC."
        )
    return found
