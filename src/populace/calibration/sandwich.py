"""What a linearised model says at its minimum: which combinations of parameters the moments react to, with what
covariance these are known, and whether the moments contradict the model.

All is in independent units: moments whitened by the Cholesky factor L of their covariance V = L L', parameters in
spreads of their priors. A (k, d) is then the derivative of expected moments, g (k,) their gap to the data, and the loss
g' V^-1 g is |g|^2. Float64.

Lars Peter Hansen (1982), Econometrica 50, 1029-1054; Daniel McFadden (1989), Econometrica 57, 995-1026, and Darrell
Duffie and Kenneth Singleton (1993), Econometrica 61, 929-952, for simulated moments.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import scipy.linalg
from scipy.stats import chi2

from .pairs import Products, products

_SURE = 3.0
"""By how many of its standard errors a squared singular value must lie above 0 to count."""
LEAST = 0.01
"""Squared singular values below this do not count, unless one asks: the combination's standard error would be ten
spreads of the prior, and what is measured so small is the rounding of float32 moments and the fourth order of the
differences."""


@final
@dataclass(frozen=True)
class Linearised:
    """A model near a point, from R replicates.

    `slope` (k, d) and `gap` (k,): means of A and g; `noise` (k, k): covariance of g between replicates; `products`
    (d + 1, d + 1): E[A, g]'E[A, g] without noise bias, so that its corner is the loss; `squares` (d,), falling, with
    `errors` (d,) and `directions` (d, d), one a column: the squared singular values of E[A]; `rank`: how many of them
    lie above 0 beyond doubt.
    """

    slope: np.ndarray
    gap: np.ndarray
    noise: np.ndarray
    products: Products
    squares: np.ndarray
    errors: np.ndarray
    directions: np.ndarray
    rank: int
    replicates: int

    @property
    def full(self) -> bool:
        """Whether the moments react to every combination of parameters."""
        return self.rank == self.squares.size

    def solve(self, right: np.ndarray) -> np.ndarray:
        """(A'A)^-1 times `right` (d, ...), A'A free of noise bias; only where the rank is full. Nothing is inverted."""
        assert self.full
        return scipy.linalg.cho_solve(scipy.linalg.cho_factor(self.products.value[:-1, :-1], lower=True), right)

    def loss(self, step: np.ndarray) -> tuple[float, float]:
        """The loss after a step (d,) from the point, by the linear model and free of noise bias, and its error."""
        along = np.append(step, 1.0)
        changes = np.einsum("d,rde,e->r", along, self.products.changes, along)
        return float(along @ self.products.value @ along), float(np.sqrt(self.products.variance(changes)))


def linearised(replicates: np.ndarray, least: float = LEAST) -> Linearised:
    """The model near a point.

    **Arguments:** `replicates` (R, k, d + 1): A and g of each replicate side by side, R >= 3; `least`: squared singular
    values below this never count.

    With mean(A)'mean(A) the noise of differences would make any model look identified: it adds its own variance to
    every singular value. Products over pairs of different replicates have none of it, and a direction counts only if
    its squared singular value is more than 3 standard errors (jackknife) above 0.
    """
    found = products(replicates)
    squares, directions = np.linalg.eigh(found.value[:-1, :-1])
    squares, directions = squares[::-1], directions[:, ::-1]
    moved = np.einsum("di,rde,ei->ri", directions, found.changes[:, :-1, :-1], directions)
    errors = np.sqrt(found.variance(moved))
    counted = (squares > _SURE * errors) & (squares > least)
    rank = int(counted.size if counted.all() else np.argmin(counted))
    mean, gaps = replicates.mean(0), replicates[:, :, -1]
    noise = np.atleast_2d(np.cov(gaps, rowvar=False))
    return Linearised(mean[:, :-1], mean[:, -1], noise, found, squares, errors, directions, rank, replicates.shape[0])


def sandwich(at: Linearised, behind: float, data: np.ndarray | None = None) -> np.ndarray:
    """The covariance (d, d) of the minimiser of g' V^-1 g, from two sides: the data's error and the simulation's.

        (A'A)^-1  A' (I + S / R) A  (A'A)^-1,    I the data's covariance V and S the simulation's, both whitened.

    Where a simulated moment varies as the data's does (S = I) that is (1 + 1/R) (G' V^-1 G)^-1. NaN throughout where
    the rank is not full: the error of a flat combination is not a number, and a pseudo-inverse would call it 0.

    **Arguments:** `behind`: R, the replicates that the minimiser is an average over; `data` (k, k): the data's
    covariance, where gaps were not whitened by it but by another weight, and it stands in the place of I.
    """
    size = at.squares.size
    if not at.full:
        return np.full((size, size), np.nan)
    half = at.solve(at.slope.T)
    known = at.solve(np.eye(size)) if data is None else half @ data @ half.T
    covariance = known + half @ at.noise @ half.T / behind
    return (covariance + covariance.T) / 2.0


@final
@dataclass(frozen=True)
class Overidentification:
    """Hansen's J: `statistic`, `freedom` (k minus the rank), and the chance `p` of more; NaN without freedom."""

    statistic: float
    freedom: int
    p: float


def overidentification(at: Linearised, data: np.ndarray | None = None) -> Overidentification:
    """Whether the combinations of moments that no parameter can move are what the data say.

    J = z' (N' (I + S / R) N)^-1 z with z = N' g, where the columns of N (k, k - rank) are orthogonal to A. To first
    order it is the least g' W g over the parameters, W the inverse of the gap's own covariance, and it does not ask
    the point to be that minimum: N' g is the same all along A. Chi-squared with k - rank degrees of freedom if the
    model is true, V is known and moments are Gaussian; not k - d, for a flat direction takes none. By another weight it
    is the same number, where `data` (k, k) is the data's covariance in its units, in the place of I.
    """
    k = at.gap.size
    freedom = max(k - at.rank, 0)
    if freedom == 0:
        return Overidentification(float("nan"), 0, float("nan"))
    moving = at.slope @ at.directions[:, : at.rank]
    complement = np.linalg.qr(moving, mode="complete")[0][:, at.rank :] if at.rank else np.eye(k)
    z = complement.T @ at.gap
    spread = complement.T @ ((np.eye(k) if data is None else data) + at.noise / at.replicates) @ complement
    statistic = float(z @ scipy.linalg.cho_solve(scipy.linalg.cho_factor(spread, lower=True), z))
    return Overidentification(statistic, freedom, float(chi2.sf(statistic, freedom)))
