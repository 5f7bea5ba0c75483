"""The state of a descent from several starts side by side, and what its rounds say together."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .pairs import products
from .tally import Tally

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
        apart = self.mean_gradient / np.maximum(error, 1e-300)
        return bool(np.sqrt((apart**2).mean()) < _NEAR)


def _histories(state: Descent) -> list[np.ndarray]:
    return [state.path, state.gradients, state.variances, state.stiffness, state.losses, state.counted]


def _by_start(state: Descent) -> list[Any]:
    return [state.at, *jax.tree.leaves(state.optimiser), *_histories(state)]
