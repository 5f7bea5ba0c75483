"""Whether a fit reaches its data: where they lie in the cloud of its predictive runs.

The distance of the data from the mean of the runs, squared and in the runs' own covariance, is set beside that of each
run. Data beyond all runs, and by half as much again, are out of reach: the model cannot make them, or the method has
not found where it does, and either way its parameters are not to be read. The runs' own distances are the yardstick, so
that moments need not be Gaussian; and they hold what is not known of the parameters, so that a wide posterior is not
taken for a wrong model.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from scipy.special import ndtri

from ..calibration.fit import Fit

_MARGIN = 1.5
_PER_MOMENT = 3
"""Runs a moment that a covariance takes; with fewer, the largest gap of any moment is looked at."""
_FEWEST = 20


@dataclass(frozen=True)
class Reached:
    """`distance` of the data, squared; `farthest`, that of the farthest run; `p`: the share of runs that are farther,
    the data among them; `moments`, how many were looked at.
    """

    distance: float
    farthest: float
    p: float
    moments: int

    @property
    def yes(self) -> bool:
        """Whether the data are reached."""
        return self.distance <= _MARGIN * self.farthest

    def sentence(self) -> str:
        """In words."""
        if self.yes:
            return f"The data lie among the fit's predictive runs: {100 * self.p:.2g} % of these are farther out."
        times = self.distance / self.farthest
        return (
            f"the data lie outside all that the fitted model makes, {times:.3g} times as far out (squared) as the "
            "farthest of its predictive runs."
        )

    def record(self) -> dict[str, float]:
        """As JSON."""
        return {"distance": self.distance, "farthest": self.farthest, "p": self.p}


def reached(fit: Fit) -> Reached:
    """Where the data lie in a fit's predictive runs."""
    target = fit.problem.target
    use = np.flatnonzero(target.fitted)
    runs = fit.moments[~fit.excluded][:, use]
    runs = runs[np.isfinite(runs).all(1)]
    if len(runs) < _FEWEST:
        return Reached(0.0, 0.0, 1.0, use.size)
    centre = runs.mean(0)
    both = np.concatenate([runs, target.values[use][None]]) - centre
    scale = np.maximum(runs.std(0), 1e-9 * (1.0 + np.abs(centre)))
    both = both / scale
    if len(runs) >= _PER_MOMENT * use.size:
        spread = np.atleast_2d(np.cov(both[:-1].T)) + 1e-9 * np.eye(use.size)
        levels = (scipy.linalg.solve_triangular(np.linalg.cholesky(spread), both.T, lower=True) ** 2).sum(0)
    else:
        levels = (both**2).max(1)
    own, data = levels[:-1], float(levels[-1])
    return Reached(data, float(own.max()), float((levels >= data).mean()), use.size)


def typical(fit: Fit) -> int:
    """The draw in the middle: nearest to the median of all, in units of their spread. The mean of draws from a ridge
    lies beside it.
    """
    unit = np.asarray(fit.problem.space.cdf({n: jnp.asarray(v) for n, v in fit.draws.items()}), np.float64)
    scale = ndtri(np.clip(unit, 1e-4, 1.0 - 1e-4))
    away = ((scale - np.median(scale, axis=0)) / np.maximum(scale.std(0), 1e-9)) ** 2
    return int(away.sum(1).argmin())
