"""Gradient descent on a native model's own derivatives: for many parameters, where differences cost too much.

The loss is that of `differences.py`, g' V^-1 g, in the same units. Gradients come from an estimator of the gradients
room, chosen by an audit on this problem unless it is said. A biased gradient may steer all the same: where
there are few parameters the end is judged, and mended, by differences (a Gauss-Newton step on unbiased slopes).
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.rounds import Ask, Done, Method
from ..gradients.estimator import Estimator
from ..problem.problem import Problem, Simulate, Simulated
from .descent import Descent
from .estimates import Point
from .gradient_choice import AskAudit, Choice, candidates
from .gradients_asked import AskGradients, Slopes, Unscaled, keys_a_round, native
from .judgement import at_ends, flat_direction, offsets, overidentified, replicates_of, scales, updated, whitened
from .sandwich import linearised, sandwich

_REACH = 8.0
_FEWEST = 3
_ROUNDS = 10
_RUNG = 2
_PATIENCE = 3
JUDGED_MOST = 32
"""Numbers up to which the end is judged by differences, all parameters one by one."""


class Track(eqx.Module):
    """A descent, and which of the candidates gives its gradients: -1 until the audit has said."""

    descent: Descent
    chosen: np.ndarray


class GradientDescent(Method[Problem, Track, Point]):
    """Descent from several starts on gradients of the model itself.

    Starts are dropped by halves as in `DifferencesDescent`, and the end is the same: the mean of the last half of the
    iterates, which stops when the mean gradient over them is 0 within its error. With up to 32 parameters it is then
    judged by differences with common random numbers: a last Gauss-Newton step takes out what bias the gradients had,
    and the covariance is the sandwich's. With more there is none, and the fit says so.

    **Arguments:**

    - `estimator`: where gradients come from; None to have candidates audited on this problem first, and the cheapest
      one that can be believed taken.
    - `optimiser`: any optax optimiser that needs no more than gradients; its rate is in prior spreads a round.
    - `starts`: how many; `replicates`: runs a round and start, once for the moments and once for their gradient.
    - `difference`, `judged`: of the judgement, as in `DifferencesDescent`.
    - `audited`: runs that the audit spends on each candidate and point.
    """

    estimator: Estimator | None = None
    optimiser: optax.GradientTransformation = eqx.field(default_factory=lambda: optax.adam(0.1, b1=0.5, b2=0.9))
    starts: int = eqx.field(static=True, default=4)
    replicates: int = eqx.field(static=True, default=16)
    difference: float = eqx.field(static=True, default=0.1)
    judged: int = eqx.field(static=True, default=100)
    audited: int = eqx.field(static=True, default=128)

    def start(self, task: Problem, key: Key, budget: int) -> Track:
        native(task)
        whitened(task, np.zeros((1, len(task.target.labels))))
        if min(self.replicates, self.judged) < _FEWEST or self.starts < 1 or not self.difference > 0:
            raise MethodError(f"take a start or more, {_FEWEST} replicates or more, and a difference above 0")
        d = task.space.size
        middle, spread = scales(task.space)
        real = np.asarray(task.space.to_real(task.space.sample(key, self.starts)), np.float64)
        at = np.clip((real - middle) / spread, -_REACH, _REACH)
        first = jax.tree.map(np.asarray, jax.vmap(self.optimiser.init)(jnp.asarray(at, jnp.float32)))
        left = budget - (0 if self.estimator else self._audit(task, middle, spread).calls())
        needed = self._reserve(d) + self._least(d) * max(_RUNG * self.starts * self._rungs(), _ROUNDS)
        if left < needed:
            raise MethodError(
                f"a budget of {budget} calls is too small for {self.starts} starts of {d} parameters with "
                f"{self.replicates} replicates: give {needed + budget - left}, or take fewer starts"
            )
        share = (left - self._reserve(d)) // self._rungs()
        descent = Descent.begin((middle, spread), at, first, int(task.target.fitted.sum()), left, share)
        return Track(descent, np.array(0 if self.estimator else -1))

    def _rungs(self) -> int:
        return math.ceil(math.log2(self.starts)) + 1

    def _reserve(self, d: int) -> int:
        """What the judgement costs."""
        return (1 + 4 * d) * self.judged if d <= JUDGED_MOST else 0

    def _least(self, d: int) -> int:
        """The least that a round of one start may cost, whoever is chosen."""
        return min(self._calls(one, d) for one in self._candidates(d))

    def _candidates(self, d: int) -> tuple[Estimator, ...]:
        return (self.estimator,) if self.estimator else candidates(d)

    def _calls(self, estimator: Estimator, d: int) -> int:
        each = 1 + estimator.runs({"v": jnp.zeros(d)})
        return math.ceil(keys_a_round(estimator, self.replicates) * each)

    def _through(self, task: Problem, middle: np.ndarray, spread: np.ndarray) -> Unscaled:
        return Unscaled(jnp.asarray(middle, jnp.float32), jnp.asarray(spread, jnp.float32), task.space)

    def _audit(self, task: Problem, middle: np.ndarray, spread: np.ndarray) -> AskAudit:
        points = jnp.zeros((1, middle.size))
        return AskAudit(points, jr.key(0), self._through(task, middle, spread), self.audited)

    def _chosen(self, state: Track) -> Estimator:
        return self._candidates(state.descent.middle.size)[int(state.chosen)]

    def ask(self, task: Problem, state: Track, key: Key) -> Ask:
        descent = state.descent
        through = self._through(task, descent.middle, descent.spread)
        if int(state.chosen) < 0:
            return AskAudit(jnp.asarray(descent.at[:1] * 0.0, jnp.float32), key, through, self.audited)
        if int(descent.phase) == 1:
            points = descent.average[None] + offsets(descent.middle.size, (self.difference, self.difference / 2))
            real = np.repeat(descent.real(points), self.judged, axis=0)
            keys = jr.split(key, self.judged)[np.tile(np.arange(self.judged), len(points))]
            return Simulate(task.space.from_real(jnp.asarray(real)), keys)
        estimator = self._chosen(state)
        weighing, sloping = jr.split(key)
        count = keys_a_round(estimator, self.replicates)
        v = jnp.asarray(descent.at, jnp.float32)
        return AskGradients(v, jr.split(weighing, count), jr.split(sloping, count), through, estimator)

    def tell(self, task: Problem, state: Track, ask: Any, answer: Any) -> Track:
        if isinstance(answer, Choice):
            return Track(state.descent, np.array(answer.index))
        descent = self._spent(state.descent, ask.calls())
        if isinstance(answer, Simulated):
            widths = (self.difference, self.difference / 2)
            found = replicates_of(task, answer, 1, widths, self.judged)[0]
            if len(found) < _FEWEST:
                raise MethodError("too few runs at the end of the descent can be used to judge it")
            judged = eqx.tree_at(
                lambda s: (s.phase, s.last, s.tally), descent, (np.array(2), found, descent.tally.with_(answer))
            )
            return Track(judged, state.chosen)
        return Track(self._moved(task, state, descent, answer), state.chosen)

    def _spent(self, descent: Descent, calls: int) -> Descent:
        left = (np.array(int(n) - calls) for n in (descent.left, descent.rung_left))
        return eqx.tree_at(lambda s: (s.left, s.rung_left), descent, tuple(left))

    def _moved(self, task: Problem, state: Track, descent: Descent, answer: Slopes) -> Descent:
        descent = eqx.tree_at(lambda s: s.tally, descent, descent.tally.with_(answer.seen))
        alive = np.flatnonzero(answer.counted >= _FEWEST)
        if not alive.size:
            raise MethodError(f"no start is left with {_FEWEST} runs that count: {descent.tally.sentence()}")
        parts = (answer.gradients, answer.variances, 0.0 * answer.variances, answer.losses, answer.counted)
        descent = descent.only(alive).with_gradients(*(part[alive] for part in parts))
        gradient, at = (jnp.asarray(a, jnp.float32) for a in (descent.gradients[:, -1], descent.at))
        step, after = updated(self.optimiser, gradient, descent.optimiser, at)
        moved = np.clip(descent.at + np.asarray(step, np.float64), -_REACH, _REACH)
        descent = eqx.tree_at(lambda s: (s.at, s.optimiser), descent, (moved, jax.tree.map(np.asarray, after)))
        return self._planned(task.space.size, self._chosen(state), descent)

    def _planned(self, d: int, estimator: Estimator, descent: Descent) -> Descent:
        """The descent with starts dropped where their share of the budget is spent, and with its phase."""
        calls = self._calls(estimator, d)
        share = (int(descent.budget) - self._reserve(d)) // self._rungs()
        while descent.starts > 1 and int(descent.rung_left) < descent.starts * calls:
            left = np.array(int(descent.rung_left) + share)
            descent = eqx.tree_at(lambda s: s.rung_left, descent.better_half(), left)
        calm = int(descent.calm) + 1 if descent.starts == 1 and descent.settled else 0
        over = calm >= _PATIENCE or int(descent.left) - self._reserve(d) < descent.starts * calls
        phase = 0 if not (descent.starts == 1 and over) else 1 if d <= JUDGED_MOST else 2
        return eqx.tree_at(lambda s: (s.calm, s.phase), descent, (np.array(calm), np.array(phase)))

    def done(self, task: Problem, state: Track, left: int) -> Done | None:
        descent = state.descent
        if int(descent.phase) < 2:
            return None
        where = f"over rounds {descent.rounds // 2 + 1} to {descent.rounds}"
        if int(descent.calm) >= _PATIENCE:
            return Done(Code.CONVERGED, f"stopped by its own rule: {where} the mean gradient is 0 within its error")
        return Done(Code.BUDGET_SPENT, f"the budget ran out while {where} the mean gradient was not 0 within its error")

    def finish(self, task: Problem, state: Track, key: Key) -> Point:
        descent, estimator = state.descent, self._chosen(state)
        how = "as asked" if self.estimator else "which an audit on this problem chose"
        notes = [f"Gradients by {estimator.name}, {how}; the best of {self.starts} starts, {descent.rounds} rounds."]
        if descent.tally.excluded:
            notes.append(descent.tally.sentence())
        if not descent.last.size:
            return self._unjudged(task, descent, notes)
        near = linearised(descent.last)
        step, short = np.zeros(descent.at.shape[1]), np.zeros(descent.at.shape[1])
        if near.full:
            newton = -near.solve(near.products.value[:-1, -1])
            far = float(np.abs(newton).max())
            step, short = (newton, short) if far <= 5.0 * self.difference else (step, newton)
            said = f"differences at the end moved it by {far:.2g} prior spreads"
            if short.any():
                said = f"differences say that the minimum lies {far:.2g} prior spreads away, beyond their reach"
            notes.append(f"Judged without the bias of its gradients: {said}.")
        real = descent.real(descent.average + step)
        covariance = sandwich(near, float(len(descent.last))) + np.outer(short, short)
        loss, error = near.loss(step)
        notes += [
            f"g' V^-1 g is {loss:.3g} without the simulation's noise (standard error {error:.2g}).",
            overidentified(near),
            *(flat_direction(task.space, descent, near.directions[:, i]) for i in range(near.rank, real.size)),
            *at_ends(task.space, real),
        ]
        return Point(real, covariance * np.outer(descent.spread, descent.spread), loss, tuple(notes))

    def _unjudged(self, task: Problem, descent: Descent, notes: list[str]) -> Point:
        d = descent.middle.size
        real = descent.real(descent.average)
        loss = float(descent.losses[0, descent.rounds // 2 :].mean())
        notes.append(
            f"With {d} parameters the end was not judged by differences, and it has no covariance: do not read single "
            f"parameters. g' V^-1 g was {loss:.3g} on average over the last half of the rounds."
        )
        return Point(real, np.full((d, d), np.nan), loss, tuple(notes + at_ends(task.space, real)[:5]))
