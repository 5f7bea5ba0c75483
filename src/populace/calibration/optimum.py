"""The best point that a surrogate of the moments has found: how sure it is, its sampling error, and what speaks against
it.
"""

import equinox as eqx
import jax.random as jr
import numpy as np

from .._results import Table
from .._types import Key
from ..core.noise import host_generator
from ..problem.problem import Problem, Simulated
from ..surrogates.confirm import confirmed
from ..surrogates.guard import Guarded, guarded
from ..surrogates.optimum_acquisitions import Foreseen
from ..surrogates.surrogate import Surrogate
from .accepted import real_of
from .composite import DRAWS, Composite
from .estimates import Estimate, Point
from .judgement import at_ends, offsets, overidentified, scales
from .pairs import Products
from .sandwich import LEAST, Linearised, sandwich

_FINE, _REACH = 0.01, 0.5
"""Half widths of differences, in spreads of the prior: of expected moments, and the longest of draws of them."""
_SURE = 3.0
_SHOWN = 0.02


class Optimum(Estimate):
    """The point of least g' V^-1 g, g the gap of expected moments to the data.

    `real` (d,); `covariance` (d, d) of its sampling error, from the data's error and the surrogate's doubt, NaN where
    the moments do not react to a combination of parameters; `loss`: g' V^-1 g there; `optima` (n, d): the best points
    of draws of the surrogate; `shared`: runs and yields of each acquisition.
    """

    real: np.ndarray
    covariance: np.ndarray
    loss: float
    optima: np.ndarray
    surrogate: Surrogate = eqx.field(static=True)
    guarded: Guarded = eqx.field(static=True)
    shared: Table = eqx.field(static=True)
    remarks: tuple[str, ...] = eqx.field(static=True)

    def draws(self, problem: Problem, key: Key, count: int) -> np.ndarray:
        """Gaussian draws with the covariance; where that is not known, best points of draws of the surrogate."""
        if np.isfinite(self.covariance).all():
            return Point(self.real, self.covariance, self.loss, ()).draws(problem, key, count)
        return self.optima[host_generator(key).integers(0, len(self.optima), count)]

    def centre(self, problem: Problem) -> np.ndarray:
        return self.real

    def notes(self) -> tuple[str, ...]:
        return self.remarks


def optimum(
    loss: Composite,
    best: np.ndarray,
    points: np.ndarray,
    said: Foreseen,
    held: Simulated,
    shared: Table,
    notes: list[str],
) -> Optimum:
    """The estimate.

    **Arguments:** `best` (d,) and `points` (m, d): the best point, and those that a better one was looked for among,
    with what is `said` of these; `held`: fresh runs at the best.
    """
    task, space = loss.task, loss.task.space
    least = said.losses.argmin(1)
    optima, real = real_of(task, points[least]), real_of(task, best[None])[0]
    middle, spread = scales(space)
    near = linearised_at(loss, (real - middle) / spread, middle, spread)
    covariance = sandwich(near, 1.0) * np.outer(spread, spread)
    point = space.from_real(real[None])
    batch = space.from_real(optima)
    equal = np.full(len(optima), 1.0 / len(optima))
    guard = guarded(task.target, loss.surrogate, batch, equal, confirmed(task.target, loss.surrogate, point, held))
    value = float((near.gap**2).sum())
    at = int(np.abs(points - best).max(1).argmin())
    regret = float((said.losses[:, at] - said.losses.min(1)).mean())
    remarks = [
        *notes,
        f"g' V^-1 g of the expected moments is {value:.3g} at the best point{_seen(loss, held)}.",
        _spread(task, batch, regret),
        *([overidentified(near)] if near.rank else []),
        *_flat(loss, near),
        *at_ends(space, real),
        *(verdict.sentence for verdict in guard.verdicts()),
    ]
    return Optimum(real, covariance, value, optima, loss.surrogate, guard, shared, tuple(remarks))


def linearised_at(loss: Composite, v: np.ndarray, middle: np.ndarray, spread: np.ndarray) -> Linearised:
    """The surrogate near a point v (d,), in spreads of the prior from its middle; `noise`: the surrogate's doubt of the
    gaps there.

    A direction counts if steps of a standard error along it (half a spread of the prior, where that is shorter) move
    the moments: if its squared slope lies above 0 by 3 standard deviations over draws of the surrogate.
    """
    space, d = loss.task.space, v.size

    def unit(steps: np.ndarray) -> np.ndarray:
        real = middle + (v + steps) * spread
        return np.asarray(space.cdf(space.from_real(real)), np.float64)

    gaps = loss.gaps(unit(offsets(d, (_FINE,))))[0]
    slope = ((gaps[1 : d + 1] - gaps[d + 1 :]) / (2.0 * _FINE)).T
    squares, directions = np.linalg.eigh(slope.T @ slope)
    squares, directions = squares[::-1], directions[:, ::-1]
    reach = np.minimum(1.0 / np.sqrt(np.maximum(squares, 1e-12)), _REACH)
    steps = np.concatenate([np.zeros((1, d)), (directions * reach).T, -(directions * reach).T])
    drawn = loss.white(loss.surrogate.functions_unit(unit(steps), jr.key(0), DRAWS))
    slopes = (drawn[:, 1 : d + 1] - drawn[:, d + 1 :]) / (2.0 * reach[:, None])
    errors = (slopes**2).sum(2).std(0)
    counted = (squares > _SURE * errors) & (squares > LEAST)
    rank = int(counted.size if counted.all() else np.argmin(counted))
    both = np.concatenate([slope, gaps[:1].T], axis=1)
    doubt = np.atleast_2d(np.cov(drawn[:, 0], rowvar=False))
    exact = Products(both.T @ both, np.zeros((1, d + 1, d + 1)))
    return Linearised(slope, gaps[0], doubt, exact, squares, errors, directions, rank, 1)


def _seen(loss: Composite, held: Simulated) -> str:
    """What fresh runs say of the loss, the noise of their mean taken out."""
    gaps = loss.white(held.moments[~held.excluded])
    if len(gaps) < 2:
        return ""
    square = float((gaps.mean(0) ** 2).sum() - gaps.var(0, ddof=1).sum() / len(gaps))
    return f"; {len(gaps)} fresh runs there say {square:.3g}, the noise of their mean taken out"


def _spread(task: Problem, optima: dict, regret: float) -> str:
    """How sure the surrogate is of the best point, in words."""
    flat = np.asarray(task.space.flat(optima), np.float64)
    low, high = np.quantile(flat, [0.05, 0.95], axis=0)
    listed = ", ".join(f"{n} {a:.4g} to {b:.4g}" for n, a, b in zip(task.space.labels, low, high, strict=True))
    return (
        f"Of draws of the surrogate 90 % have their best point within {listed}; on average that is {regret:.2g} better "
        "in g' V^-1 g: what more runs could still gain."
    )


def _flat(loss: Composite, near: Linearised) -> list[str]:
    """A sentence for every direction of which the surrogate does not know whether the moments react to it."""
    labels = loss.task.space.labels
    found = []
    for i in range(near.rank, near.squares.size):
        change = near.directions[:, i] / near.directions[np.abs(near.directions[:, i]).argmax(), i]
        parts = " with ".join(f"{n} by {c:+.2g}" for n, c in zip(labels, change, strict=True) if abs(c) > _SHOWN)
        found.append(
            f"It is not known whether any moment reacts to changing {parts} (spreads of their priors): the estimate is "
            "one of many, and it has no covariance."
        )
    return found
