"""How fast the macro variables move, as a local polynomial fitted to all bursts at once.

Newton's method on differences of noisy bursts throws most of what they tell away: each derivative is taken from bursts
at two points and forgotten. Here every stretch of every path that passes near the place of interest is one equation,

    (x(t + w) - x(t)) / w = polynomial in (x(t), parameters) + noise,

whose noise has mean zero given the past, wherever the path has strayed to: nothing is lost when a burst drifts off, and
no curvature is averaged over. Degrees of parameters count double, as they do at a fold, where a change e of the
parameter moves states by the root of e. Errors allow for noise that differs from place to place and hangs together
within a burst (the sandwich of Kung-Yee Liang and Scott Zeger 1986, Biometrika 73:13, with bursts as clusters, in the
form of the jackknife, which does not forget that a burst pulls the surface towards itself).
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .._errors import MethodError

_SIGNIFICANT = 0.01


@dataclass(frozen=True)
class Surface:
    """A fitted polynomial of (variables, parameters).

    `centre`, `width` (inputs,): what it is a polynomial of is (input - centre) / width; `powers` (terms, inputs);
    `coefficients` (terms, variables); `covariance` (terms x variables, same), of the coefficients row by row; `rows`,
    `bursts`: what it was fitted to; `noise` (variables,): the standard deviation of a stretch's rate about it.
    """

    centre: np.ndarray
    width: np.ndarray
    powers: np.ndarray
    coefficients: np.ndarray
    covariance: np.ndarray
    rows: int
    bursts: int
    noise: np.ndarray

    @property
    def freedom(self) -> int:
        """Degrees of freedom of its errors."""
        return max(1, self.bursts - len(self.powers))

    def value(self, at: np.ndarray, coefficients: np.ndarray | None = None) -> np.ndarray:
        """The rates (..., variables) at inputs (..., inputs)."""
        beta = self.coefficients if coefficients is None else coefficients
        return basis(self._scaled(at), self.powers) @ beta

    def slope(self, at: np.ndarray, coefficients: np.ndarray | None = None) -> np.ndarray:
        """Derivatives (..., variables, inputs) of the rates."""
        beta = self.coefficients if coefficients is None else coefficients
        z, columns = self._scaled(at), []
        for i in range(len(self.centre)):
            lowered = self.powers.copy()
            lowered[:, i] = np.maximum(lowered[:, i] - 1, 0)
            columns.append(basis(z, lowered) * self.powers[:, i] @ beta / self.width[i])
        return np.stack(columns, -1)

    def error(self, at: np.ndarray) -> np.ndarray:
        """Standard errors (..., variables) of the rates."""
        phi, d = basis(self._scaled(at), self.powers), self.coefficients.shape[1]
        blocks = self.covariance.reshape(len(self.powers), d, len(self.powers), d)
        return np.sqrt(np.maximum(np.einsum("...i,iaja,...j->...a", phi, blocks, phi), 0.0))

    def _scaled(self, at: np.ndarray) -> np.ndarray:
        return (np.asarray(at, np.float64) - self.centre) / self.width


def basis(z: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Monomials (..., terms) of z (..., inputs)."""
    return np.prod(z[..., None, :] ** powers, axis=-1)


def terms(variables: int, parameters: int, degree: int) -> np.ndarray:
    """The powers (terms, inputs) of all monomials to this degree, a parameter's counted double."""
    weights = np.array([1] * variables + [2] * parameters)
    every = itertools.product(*(range(degree // int(w) + 1) for w in weights))
    return np.array(sorted((p for p in every if weights @ np.array(p) <= degree), key=lambda p: (weights @ p, p)))


def fit_surface(
    where: np.ndarray, rates: np.ndarray, of: np.ndarray, centre: np.ndarray, width: np.ndarray, degree: int
) -> Surface:
    """Least squares over the stretches that begin within `width` of `centre`, all inputs at once.

    **Arguments:** as `Bursts.moves` returns them; `centre`, `width` (inputs,); `degree` of the polynomial.

    **Raises:** `MethodError` where fewer bursts than terms passed there.
    """
    d = rates.shape[1]
    powers = terms(d, where.shape[1] - d, degree)
    near = (np.abs(where - centre) <= width * (1.0 + 1e-9)).all(1)
    names, group = np.unique(of[near], return_inverse=True)
    if len(names) <= len(powers):
        raise MethodError(
            f"{len(names)} bursts passed within {width.tolist()} of {centre.tolist()}, too few for {len(powers)} "
            "terms: raise the budget, or look at a wider range"
        )
    phi, y = basis((where[near] - centre) / width, powers), rates[near]
    inverse = np.linalg.pinv(phi.T @ phi)
    beta = inverse @ phi.T @ y
    left = y - phi @ beta
    covariance = _jackknife(phi, left, group, len(names), inverse)
    return Surface(centre, width, powers, beta, covariance, len(phi), len(names), left.std(0))


def _jackknife(phi: np.ndarray, left: np.ndarray, group: np.ndarray, groups: int, inverse: np.ndarray) -> np.ndarray:
    """The covariance of least-squares coefficients (terms, variables), flat, by leaving out each burst in turn."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(groups))
    phi, left = phi[order], left[order]
    count, d = phi.shape[1], left.shape[1]
    scores = np.add.reduceat(phi[:, :, None] * left[:, None, :], starts)
    squares = np.add.reduceat(phi[:, :, None] * phi[:, None, :], starts)
    pushed = np.linalg.solve(np.eye(count) - squares @ inverse, scores)
    moved = (inverse @ pushed).reshape(groups, count * d)
    return (groups - 1) / groups * moved.T @ moved


def fit_enough(
    where: np.ndarray,
    rates: np.ndarray,
    of: np.ndarray,
    centre: np.ndarray,
    width: np.ndarray,
    degree: int,
    more: int = 2,
) -> Surface:
    """`fit_surface` with as high a degree as the bursts ask for: from `degree` on, one more for as long as the terms
    that it adds are not all 0 (a Wald test at 1 %), and `more` at most. A surface too stiff would be sure of a wrong
    place.
    """
    surface = fit_surface(where, rates, of, centre, width, degree)
    for higher in range(degree + 1, degree + 1 + more):
        if surface.bursts <= 3 * len(terms(rates.shape[1], where.shape[1] - rates.shape[1], higher)):
            break
        richer = fit_surface(where, rates, of, centre, width, higher)
        if not _needed(richer, surface):
            break
        surface = richer
    return surface


def _needed(richer: Surface, poorer: Surface) -> bool:
    d = richer.coefficients.shape[1]
    old = {tuple(p) for p in poorer.powers}
    extra = np.repeat([tuple(p) not in old for p in richer.powers], d)
    found, covariance = richer.coefficients.ravel()[extra], richer.covariance[np.ix_(extra, extra)]
    count = int(extra.sum())
    size = float(found @ np.linalg.pinv(covariance) @ found) / count
    return bool(stats.f.sf(size, count, richer.freedom) < _SIGNIFICANT)
