"""Gradient descent on central differences with common random numbers.

The loss of parameters theta is L = g' V^-1 g, with g = E[m(theta)] - data over the fitted moments and V the covariance
of the target. A round runs R replicates at theta and at theta +- h e_i, all with the same R keys, so that a difference
shows the parameter and not the luck. With g_r and G_r the gap and its central difference in replicate r,

    gradient = 2 / (R (R - 1)) sum over r != s of G_r' V^-1 g_s,
    loss     = 1 / (R (R - 1)) sum over r != s of g_r' V^-1 g_s:

g and its derivative never come from the same replicate (see `pairs.py`). Both are unbiased for the loss of expected
moments, up to the h^2 of central differences; the square of a mean over all replicates would instead add the
simulation's own variance to the loss, and lead towards parameters where the model is merely quiet.

Parameters move on the real scale of the space, in spreads of the prior there: v = (real - median) / spread.
"""

import equinox as eqx
import numpy as np
import optax

from .._errors import MethodError
from .._types import Key
from ..core.host import split
from ..core.rounds import Done, Method
from ..problem.problem import Problem, Simulate, Simulated
from .descent import FEWEST, Descent, flat_directions, rungs_of, started
from .estimates import Point
from .judgement import at_ends, offsets, overidentified, replicates_of, whitened
from .sandwich import Linearised, linearised, sandwich


class DifferencesDescent(Method[Problem, Descent, Point]):
    """Gradient descent from several starts, on differences with common random numbers.

    Starts are draws from the prior and run side by side. The budget is cut into equal shares, one for each halving of
    the starts down to one: at the end of a share the half with the larger loss is dropped (successive halving; Jamieson
    and Talwalkar 2016). What is left then descends until the budget is spent, or until the mean gradient over the last
    half of the rounds is 0 within its own error, in three rounds running. The estimate is the mean of these iterates
    (Polyak and Juditsky 1992) and, where the rank is full and the step within reach of the differences, one
    Gauss-Newton step on from there, -(G' V^-1 G)^-1 times half their mean gradient: as exact as all their replicates
    make it, whatever the optimiser's rate was. Where that step is too long to be trusted it is not made, and its square
    is added to the covariance. Fresh replicates at the mean give G and the checks of `sandwich.py`.

    **Arguments:**

    - `optimiser`: any optax optimiser that needs no more than gradients; its rate is in prior spreads a round. The
      default is Adam with a memory of ten rounds: gradients of a squared loss fall by orders of magnitude on the way,
      and with its usual memory of a thousand the first of them would slow down the whole descent.
    - `starts`: how many; `replicates`: R, three at the least.
    - `difference`: h, in prior spreads. The bias of a gradient grows as h^2; the variance of one of counts as 1/h.
    - `judged`: replicates at the mean, with differences at h and at h/2, of which the h^2 is taken out (Richardson).
    """

    optimiser: optax.GradientTransformation = eqx.field(default_factory=lambda: optax.adam(0.1, b1=0.5, b2=0.9))
    starts: int = eqx.field(static=True, default=8)
    replicates: int = eqx.field(static=True, default=8)
    difference: float = eqx.field(static=True, default=0.1)
    judged: int = eqx.field(static=True, default=100)

    def start(self, task: Problem, key: Key, budget: int) -> Descent:
        whitened(task, np.zeros((1, len(task.target.labels))))
        if min(self.replicates, self.judged) < FEWEST or self.starts < 1 or not self.difference > 0:
            raise MethodError(f"take a start or more, {FEWEST} replicates or more, and a difference above 0")
        d = task.space.size
        return started(
            task,
            key,
            self.optimiser,
            starts=self.starts,
            replicates=self.replicates,
            budget=budget,
            reserve=self._reserve(d),
            calls=self._calls(d),
        )

    def _calls(self, d: int) -> int:
        """What a round of one start costs."""
        return (1 + 2 * d) * self.replicates

    def _reserve(self, d: int) -> int:
        """What the judgement costs."""
        return (1 + 4 * d) * self.judged

    def _plan(self, state: Descent) -> tuple[np.ndarray, tuple[float, ...], int]:
        """Where the next runs are: centres (n, d), step widths, replicates."""
        if int(state.phase) == 1:
            return state.average[None], (self.difference, self.difference / 2), self.judged
        return state.at, (self.difference,), self.replicates

    def ask(self, task: Problem, state: Descent, key: Key) -> Simulate:
        centres, widths, count = self._plan(state)
        points = (centres[:, None] + offsets(centres.shape[1], widths)).reshape(-1, centres.shape[1])
        real = np.repeat(state.real(points), count, axis=0)
        keys = split(key, count)[np.tile(np.arange(count), len(points))]
        return Simulate(task.space.from_real(real), keys)

    def tell(self, task: Problem, state: Descent, ask: Simulate, answer: Simulated) -> Descent:
        centres, widths, count = self._plan(state)
        found = replicates_of(task, answer, len(centres), widths, count)
        state = state.spent(ask.calls()).counting(answer)
        alive = state.alive(np.array([len(one) for one in found]))
        if int(state.phase) == 1:
            return eqx.tree_at(lambda s: (s.phase, s.last), state, (np.array(2), found[0]))
        state = state.only(alive).with_round([found[i] for i in alive]).moved(self.optimiser)
        d = task.space.size
        share = (int(state.budget) - self._reserve(d)) // rungs_of(self.starts)
        return state.planned(self._calls(d), self._reserve(d), share, judged=True)

    def done(self, task: Problem, state: Descent, left: int) -> Done | None:
        return state.done()

    def finish(self, task: Problem, state: Descent, key: Key) -> Point:
        near = linearised(state.last)
        step, short, remark = self._step(state, near)
        real = state.real(state.average + step)
        covariance = (sandwich(near, state.behind) + np.outer(short, short)) * np.outer(state.spread, state.spread)
        loss, error = near.loss(step)
        notes = [
            f"The best of {self.starts} starts, after {state.rounds} rounds. g' V^-1 g is {loss:.3g}, of which the "
            f"simulation's noise is taken out (standard error {error:.2g}). {remark}",
            overidentified(near),
            *flat_directions(task.space, state, near),
            *at_ends(task.space, real),
        ]
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        return Point(real, covariance, loss, tuple(notes))

    def _step(self, state: Descent, near: Linearised) -> tuple[np.ndarray, np.ndarray, str]:
        """The last step (d,), by how much (d,) the estimate then falls short of the minimum, and what to say of it."""
        still = np.zeros(state.at.shape[1])
        if not near.full:
            return still, still, "The estimate is the mean of the last half of the iterates."
        step = -near.solve(state.mean_gradient) / 2.0
        far = float(np.abs(step).max())
        if far > self.difference:
            remark = (
                f"The minimum is not reached: by the linear model it lies {far:.2g} spreads of the prior away, and "
                f"differences reach {self.difference:g}. The square of that distance is added to the covariance."
            )
            return still, step, remark
        return step, still, f"Its errors count the data and {state.behind:.0f} replicates of the simulation."
