"""The state of a descent from several starts side by side, and what its rounds say together."""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.rounds import Done
from ..problem.problem import Problem, Simulated
from ..problem.space import Space
from .judgement import flat_direction, scales
from .pairs import products
from .sandwich import Linearised
from .tally import Tally

REACH = 8.0
"""How far iterates may go from the prior's median, in its spreads: beyond, float32 knows bounded parameters no more."""
FEWEST = 3
"""Replicates of which all runs count that a start needs: an error takes three."""
_ROUNDS = 10
"""The fewest rounds that the last start gets, and with more starts left twice..."""
_RUNG = 2
"""...the fewest between two droppings."""
_PATIENCE = 3
"""Rounds in a row in which the average must be settled."""

_NEAR = 1.5
"""A gradient is 0 within its error if its root mean square over parameters, in standard errors, is less than this."""
_FINE = 0.01
"""Nor need a parameter be known to less than this part of its standard error, with all others held."""
_FEWEST = 10
"""Rounds before an average is asked whether it is settled."""


class Descent(eqx.Module):
    """Where the descent stands; s starts are left after T rounds.

    `middle`, `spread` (d,): the prior's, on the real scale; all else is in v = (real - middle) / spread.
    `at` (s, d): the iterates; `optimiser`: its state, a row a start; `path`, `gradients`, `variances`, `stiffness`
    (s, T, d): iterates, gradients of the loss there, their variances, and the diagonal of A'A (see `sandwich.py`);
    `losses` (s, T); `counted` (s, T): replicates that count; `budget`, `left`: calls, in all and unspent; `rung`: the
    round since which as many starts run, `rung_left`: calls until some are dropped; `calm`: rounds in a row that found
    the average settled; `phase`: 0 descending, 1 the average is to be judged, 2 done; `last` (R, k, d + 1): derivatives
    and gap of the replicates that judge it.
    """

    middle: np.ndarray
    spread: np.ndarray
    at: np.ndarray
    optimiser: Any
    path: np.ndarray
    gradients: np.ndarray
    variances: np.ndarray
    stiffness: np.ndarray
    losses: np.ndarray
    counted: np.ndarray
    budget: np.ndarray
    left: np.ndarray
    rung: np.ndarray
    rung_left: np.ndarray
    calm: np.ndarray
    phase: np.ndarray
    last: np.ndarray
    tally: Tally

    @staticmethod
    def begin(
        scales: tuple[np.ndarray, np.ndarray], at: np.ndarray, optimiser: Any, moments: int, budget: int, share: int
    ) -> "Descent":
        """Before the first round. `scales`: middle and spread; `share`: calls until the first starts are dropped."""
        s, d = at.shape
        return Descent(
            *scales,
            at,
            optimiser,
            *(np.zeros((s, 0, d)) for _ in range(4)),
            *(np.zeros((s, 0)) for _ in range(2)),
            *(np.array(n) for n in (budget, budget, 0, share, 0, 0)),
            np.zeros((0, moments, d + 1)),  # pyright: ignore[reportCallIssue]
            Tally.empty(),  # pyright: ignore[reportCallIssue]
        )

    def real(self, v: np.ndarray) -> np.ndarray:
        """Parameters (..., d) on the real scale of the space."""
        return self.middle + v * self.spread

    def beside(self, direction: np.ndarray) -> np.ndarray:
        """A point on either side of the average along a direction (d,), a hundredth away: (2, d) on the real scale."""
        return self.real(self.average + 1e-2 * np.stack([-direction, direction]))

    @property
    def starts(self) -> int:
        """How many are left."""
        return self.at.shape[0]

    @property
    def rounds(self) -> int:
        """How many have been."""
        return self.losses.shape[1]

    def only(self, rows: Sequence[int] | np.ndarray) -> "Descent":
        """The descent of some of the starts."""
        rows = np.asarray(rows, int)
        return eqx.tree_at(_by_start, self, [leaf[rows] for leaf in _by_start(self)])

    def with_round(self, replicates: Sequence[np.ndarray]) -> "Descent":
        """The descent with a round more; `replicates`: of each start, derivatives and gaps (R, k, d + 1)."""
        found = [products(one) for one in replicates]
        gradients = np.stack([2.0 * one.value[:-1, -1] for one in found])
        variances = np.stack([one.variance(2.0 * one.changes[:, :-1, -1]) for one in found])
        stiffness = np.stack([np.diag(one.value)[:-1] for one in found])
        losses = np.array([one.value[-1, -1] for one in found])
        counted = np.array([float(len(one)) for one in replicates])
        return self.with_gradients(gradients, variances, stiffness, losses, counted)

    def with_gradients(
        self,
        gradients: np.ndarray,
        variances: np.ndarray,
        stiffness: np.ndarray,
        losses: np.ndarray,
        counted: np.ndarray,
    ) -> "Descent":
        """The descent with a round more, of which the gradients are known."""
        new = (self.at, gradients, variances, stiffness, losses, counted)
        return eqx.tree_at(
            lambda s: (s.path, s.gradients, s.variances, s.stiffness, s.losses, s.counted),
            self,
            [np.concatenate([old, one[:, None]], axis=1) for old, one in zip(_histories(self), new, strict=True)],
        )

    def better_half(self) -> "Descent":
        """The descent of the starts with the smaller loss, averaged over the latter half of the rounds of this rung."""
        here = self.losses[:, int(self.rung) :]
        scores = here[:, here.shape[1] // 2 :].mean(1)
        better = np.argsort(scores, kind="stable")[: -(-scores.size // 2)]
        return eqx.tree_at(lambda s: s.rung, self.only(np.sort(better)), np.array(self.rounds))

    def spent(self, calls: int) -> "Descent":
        """The descent with so many calls less to spend."""
        left = tuple(np.array(int(n) - calls) for n in (self.left, self.rung_left))
        return eqx.tree_at(lambda s: (s.left, s.rung_left), self, left)

    def counting(self, answer: Simulated) -> "Descent":
        """The descent with a batch of runs counted."""
        return eqx.tree_at(lambda s: s.tally, self, self.tally.with_(answer))

    def alive(self, counted: np.ndarray) -> np.ndarray:
        """The starts of which enough replicates count.

        **Raises:** `MethodError` where there are none.
        """
        rows = np.flatnonzero(counted >= FEWEST)
        if not rows.size:
            raise MethodError(
                f"no start is left of which {FEWEST} replicates in a round can be used: {self.tally.sentence()}"
            )
        return rows

    def moved(self, optimiser: optax.GradientTransformation) -> "Descent":
        """The descent after a step of the optimiser along the last gradients."""
        gradient, at = (jnp.asarray(a, jnp.float32) for a in (self.gradients[:, -1], self.at))
        step, after = _updated(optimiser, gradient, self.optimiser, at)
        moved = np.clip(self.at + np.asarray(step, np.float64), -REACH, REACH)
        return eqx.tree_at(lambda s: (s.at, s.optimiser), self, (moved, jax.tree.map(np.asarray, after)))

    def planned(self, calls: int, reserve: int, share: int, *, judged: bool) -> "Descent":
        """The descent with starts dropped where their share of the budget is spent, and with its phase.

        **Arguments:** `calls`: what a round of one start costs; `reserve`: what the judgement does; `judged`: whether
        there will be one.
        """
        now = self
        while now.starts > 1 and int(now.rung_left) < now.starts * calls:
            now = eqx.tree_at(lambda s: s.rung_left, now.better_half(), np.array(int(now.rung_left) + share))
        calm = int(now.calm) + 1 if now.starts == 1 and now.settled else 0
        over = calm >= _PATIENCE or int(now.left) - reserve < calls
        phase = (1 if judged else 2) if now.starts == 1 and over else 0
        return eqx.tree_at(lambda s: (s.calm, s.phase), now, (np.array(calm), np.array(phase)))

    def done(self) -> Done | None:
        """Why it stopped, once it has."""
        if int(self.phase) < 2:
            return None
        where = f"over rounds {self.rounds // 2 + 1} to {self.rounds}"
        if int(self.calm) >= _PATIENCE:
            return Done(Code.CONVERGED, f"stopped by its own rule: {where} the mean gradient is 0 within its error")
        return Done(Code.BUDGET_SPENT, f"the budget ran out while {where} the mean gradient was not 0 within its error")

    # The last half of the rounds, of the first start

    @property
    def average(self) -> np.ndarray:
        """The mean iterate (d,): the estimate (Polyak and Juditsky 1992)."""
        return self.path[0, self.rounds // 2 :].mean(0)

    @property
    def mean_gradient(self) -> np.ndarray:
        """The mean gradient (d,): the gradient at the mean iterate, where the loss is quadratic."""
        return self.gradients[0, self.rounds // 2 :].mean(0)

    @property
    def behind(self) -> float:
        """How many replicates the mean gradient is an average over."""
        return float(self.counted[0, self.rounds // 2 :].sum())

    @property
    def settled(self) -> bool:
        """Whether the mean gradient is 0 within its error."""
        if self.rounds < _FEWEST:
            return False
        variances = self.variances[0, self.rounds // 2 :]
        stiffness = np.maximum(self.stiffness[0, self.rounds // 2 :].mean(0), 0.0)
        error = np.sqrt(variances.mean(0) / len(variances) + (2.0 * _FINE) ** 2 * stiffness)
        apart = np.minimum(np.abs(self.mean_gradient) / np.maximum(error, 1e-100), 1e100)
        return bool(np.sqrt((apart**2).mean()) < _NEAR)


def _histories(state: Descent) -> list[np.ndarray]:
    return [state.path, state.gradients, state.variances, state.stiffness, state.losses, state.counted]


def _by_start(state: Descent) -> list[Any]:
    return [state.at, *jax.tree.leaves(state.optimiser), *_histories(state)]


@eqx.filter_jit
def _updated(optimiser: optax.GradientTransformation, gradient: Any, state: Any, at: Any) -> tuple[Any, Any]:
    return jax.vmap(optimiser.update)(gradient, state, at)


def started(
    task: Problem,
    key: Key,
    optimiser: optax.GradientTransformation,
    *,
    starts: int,
    replicates: int,
    budget: int,
    reserve: int,
    calls: int,
) -> Descent:
    """A descent at draws from the prior.

    **Arguments:** `budget`: calls to spend, of which `reserve` go to the judgement; `calls`: what a round of one start
    costs at the least.

    **Raises:** `MethodError` where the budget is too small.
    """
    rungs = rungs_of(starts)
    needed = reserve + calls * max(_RUNG * starts * rungs, _ROUNDS)
    if budget < needed:
        raise MethodError(
            f"a budget of {budget} calls is too small for {starts} starts of {task.space.size} parameters with "
            f"{replicates} replicates: give {needed}, or take fewer starts"
        )
    middle, spread = scales(task.space)
    real = np.asarray(task.space.to_real(task.space.sample(key, starts)), np.float64)
    at = np.clip((real - middle) / spread, -REACH, REACH)
    first = jax.tree.map(np.asarray, jax.vmap(optimiser.init)(jnp.asarray(at, jnp.float32)))
    share = (budget - reserve) // rungs
    return Descent.begin((middle, spread), at, first, int(task.target.fitted.sum()), budget, share)


def rungs_of(starts: int) -> int:
    """Into how many shares the budget is cut: one for each halving of the starts down to one."""
    return math.ceil(math.log2(starts)) + 1


def flat_directions(space: Space, descent: Descent, near: Linearised) -> list[str]:
    """A sentence for every direction from the average that the moments do not react to."""
    rest = [near.directions[:, i] for i in range(near.rank, near.squares.size)]
    return [flat_direction(space, descent.beside(direction), len(descent.last)) for direction in rest]
