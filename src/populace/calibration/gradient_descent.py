"""Gradient descent on a native model's own derivatives: for many parameters, where differences cost too much.

The loss is that of `differences.py`, g' V^-1 g, in the same units. Gradients come from an estimator of the gradients
room, chosen by an audit on this problem unless it is said. A biased gradient may steer all the same: where
there are few parameters the end is judged, and mended, by differences (a Gauss-Newton step on unbiased slopes).
"""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from .._errors import MethodError
from .._types import Key
from ..core.host import split
from ..core.rounds import Ask, Done, Method
from ..gradients.estimator import Estimator
from ..problem.problem import Problem, Simulate, Simulated
from .descent import FEWEST, Descent, flat_directions, rungs_of, started
from .estimates import Point
from .gradient_choice import AskAudit, Choice, candidates
from .gradients_asked import AskGradients, Slopes, Unscaled, keys_a_round, native
from .judgement import at_ends, offsets, overidentified, replicates_of, scales, whitened
from .sandwich import linearised, sandwich

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
        if min(self.replicates, self.judged) < FEWEST or self.starts < 1 or not self.difference > 0:
            raise MethodError(f"take a start or more, {FEWEST} replicates or more, and a difference above 0")
        d = task.space.size
        left = budget if self.estimator else budget - self._audit(task, *scales(task.space), key).calls()
        descent = started(
            task,
            key,
            self.optimiser,
            starts=self.starts,
            replicates=self.replicates,
            budget=left,
            reserve=self._reserve(d),
            calls=self._least(d),
        )
        return Track(descent, np.array(0 if self.estimator else -1))

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

    def _audit(self, task: Problem, middle: np.ndarray, spread: np.ndarray, key: Key) -> AskAudit:
        """At the prior's median."""
        points = jnp.zeros((1, middle.size))
        return AskAudit(points, key, self._through(task, middle, spread), self.audited)

    def _chosen(self, state: Track) -> Estimator:
        return self._candidates(state.descent.middle.size)[int(state.chosen)]

    def ask(self, task: Problem, state: Track, key: Key) -> Ask:
        descent = state.descent
        through = self._through(task, descent.middle, descent.spread)
        if int(state.chosen) < 0:
            return self._audit(task, descent.middle, descent.spread, key)
        if int(descent.phase) == 1:
            points = descent.average[None] + offsets(descent.middle.size, (self.difference, self.difference / 2))
            real = np.repeat(descent.real(points), self.judged, axis=0)
            keys = split(key, self.judged)[np.tile(np.arange(self.judged), len(points))]
            return Simulate(task.space.from_real(real), keys)
        estimator = self._chosen(state)
        weighing, sloping = jr.split(key)
        count = keys_a_round(estimator, self.replicates)
        v = jnp.asarray(descent.at, jnp.float32)
        return AskGradients(v, split(weighing, count), split(sloping, count), through, estimator)

    def tell(self, task: Problem, state: Track, ask: Any, answer: Any) -> Track:
        if isinstance(answer, Choice):
            return Track(state.descent, np.array(answer.index))
        descent = state.descent.spent(ask.calls())
        if isinstance(answer, Simulated):
            found = replicates_of(task, answer, 1, (self.difference, self.difference / 2), self.judged)[0]
            descent = descent.counting(answer)
            descent.alive(np.array([len(found)]))
            return Track(eqx.tree_at(lambda s: (s.phase, s.last), descent, (np.array(2), found)), state.chosen)
        return Track(self._stepped(task, self._chosen(state), descent.counting(answer.seen), answer), state.chosen)

    def _stepped(self, task: Problem, estimator: Estimator, descent: Descent, answer: Slopes) -> Descent:
        alive, d = descent.alive(answer.counted), task.space.size
        parts = (answer.gradients, answer.variances, 0.0 * answer.variances, answer.losses, answer.counted)
        descent = descent.only(alive).with_gradients(*(part[alive] for part in parts)).moved(self.optimiser)
        share = (int(descent.budget) - self._reserve(d)) // rungs_of(self.starts)
        return descent.planned(self._calls(estimator, d), self._reserve(d), share, judged=d <= JUDGED_MOST)

    def done(self, task: Problem, state: Track, left: int) -> Done | None:
        return state.descent.done()

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
            *flat_directions(task.space, descent, near),
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
