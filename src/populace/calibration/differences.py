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

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.rounds import Done, Method
from ..problem.problem import Problem, Simulate, Simulated
from .descent import Descent
from .estimates import Point
from .judgement import at_ends, flat_direction, offsets, overidentified, replicates_of, scales, updated, whitened
from .sandwich import Linearised, linearised, sandwich

_REACH = 8.0
"""How far iterates may go from the prior's median, in its spreads: beyond, float32 knows bounded parameters no more."""
_FEWEST = 3
"""Replicates of which all runs count that a start needs: an error takes three."""
_ROUNDS = 10
"""The fewest rounds that the last start gets, and with more starts left twice..."""
_RUNG = 2
"""...the fewest between two droppings."""
_PATIENCE = 3
"""Rounds in a row in which the average must be settled."""


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
        if min(self.replicates, self.judged) < _FEWEST or self.starts < 1 or not self.difference > 0:
            raise MethodError(f"take a start or more, {_FEWEST} replicates or more, and a difference above 0")
        d, rungs = task.space.size, math.ceil(math.log2(self.starts)) + 1
        needed = self._reserve(d) + self._calls(d) * max(_RUNG * self.starts * rungs, _ROUNDS)
        if budget < needed:
            raise MethodError(
                f"a budget of {budget} calls is too small for {self.starts} starts of {d} parameters with "
                f"{self.replicates} replicates: give {needed}, or take fewer starts"
            )
        middle, spread = scales(task.space)
        real = np.asarray(task.space.to_real(task.space.sample(key, self.starts)), np.float64)
        at = np.clip((real - middle) / spread, -_REACH, _REACH)
        first = jax.tree.map(np.asarray, jax.vmap(self.optimiser.init)(jnp.asarray(at, jnp.float32)))
        return Descent.begin((middle, spread), at, first, int(task.target.fitted.sum()), budget, self._share(d, budget))

    def _calls(self, d: int) -> int:
        """What a round of one start costs."""
        return (1 + 2 * d) * self.replicates

    def _reserve(self, d: int) -> int:
        """What the judgement costs."""
        return (1 + 4 * d) * self.judged

    def _share(self, d: int, budget: int) -> int:
        return (budget - self._reserve(d)) // (math.ceil(math.log2(self.starts)) + 1)

    def _plan(self, state: Descent) -> tuple[np.ndarray, tuple[float, ...], int]:
        """Where the next runs are: centres (n, d), step widths, replicates."""
        if int(state.phase) == 1:
            return state.average[None], (self.difference, self.difference / 2), self.judged
        return state.at, (self.difference,), self.replicates

    def ask(self, task: Problem, state: Descent, key: Key) -> Simulate:
        centres, widths, count = self._plan(state)
        points = (centres[:, None] + offsets(centres.shape[1], widths)).reshape(-1, centres.shape[1])
        real = np.repeat(state.real(points), count, axis=0)
        keys = jr.split(key, count)[np.tile(np.arange(count), len(points))]
        return Simulate(task.space.from_real(jnp.asarray(real)), keys)

    def tell(self, task: Problem, state: Descent, ask: Simulate, answer: Simulated) -> Descent:
        centres, widths, count = self._plan(state)
        found = replicates_of(task, answer, len(centres), widths, count)
        state = eqx.tree_at(
            lambda s: (s.tally, s.left, s.rung_left),
            state,
            (state.tally.with_(answer), *(np.array(int(n) - ask.calls()) for n in (state.left, state.rung_left))),
        )
        alive = [i for i, one in enumerate(found) if len(one) >= _FEWEST]
        if not alive:
            raise MethodError(
                f"no start is left of which {_FEWEST} replicates in a round can be used: {state.tally.sentence()}"
            )
        if int(state.phase) == 1:
            return eqx.tree_at(lambda s: (s.phase, s.last), state, (np.array(2), found[0]))
        state = state.only(alive).with_round([found[i] for i in alive])
        return self._planned(task.space.size, self._moved(state))

    def _moved(self, state: Descent) -> Descent:
        gradient, at = (jnp.asarray(a, jnp.float32) for a in (state.gradients[:, -1], state.at))
        step, after = updated(self.optimiser, gradient, state.optimiser, at)
        moved = np.clip(state.at + np.asarray(step, np.float64), -_REACH, _REACH)
        return eqx.tree_at(lambda s: (s.at, s.optimiser), state, (moved, jax.tree.map(np.asarray, after)))

    def _planned(self, d: int, state: Descent) -> Descent:
        """The state with starts dropped where their share of the budget is spent, and with its phase."""
        share, calls = self._share(d, int(state.budget)), self._calls(d)
        while state.starts > 1 and int(state.rung_left) < state.starts * calls:
            state = eqx.tree_at(lambda s: s.rung_left, state.better_half(), np.array(int(state.rung_left) + share))
        calm = int(state.calm) + 1 if state.starts == 1 and state.settled else 0
        over = calm >= _PATIENCE or int(state.left) - self._reserve(d) < calls
        return eqx.tree_at(
            lambda s: (s.calm, s.phase), state, (np.array(calm), np.array(int(state.starts == 1 and over)))
        )

    def done(self, task: Problem, state: Descent, left: int) -> Done | None:
        if int(state.phase) < 2:
            return None
        where = f"over rounds {state.rounds // 2 + 1} to {state.rounds}"
        if int(state.calm) >= _PATIENCE:
            return Done(Code.CONVERGED, f"stopped by its own rule: {where} the mean gradient is 0 within its error")
        return Done(Code.BUDGET_SPENT, f"the budget ran out while {where} the mean gradient was not 0 within its error")

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
            *(flat_direction(task.space, state, near.directions[:, i]) for i in range(near.rank, real.size)),
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
