"""Places that equations on a fitted surface define, with their errors: states of rest, folds, points of a branch.

s solves G(s; c) = 0, where c are the surface's coefficients; to first order ds = -G_s^-1 G_c dc, so that the covariance
of c gives that of s.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from .surface import Surface

Equations = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(unknowns, coefficients) to (unknowns,): 0 at the place that is sought."""

LEVEL = 0.9
"""The probability of all intervals."""
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Place:
    """A solution: `at` (unknowns,), its `covariance`, and the degrees of freedom of it."""

    at: np.ndarray
    covariance: np.ndarray
    freedom: int

    @property
    def error(self) -> np.ndarray:
        """Standard errors (unknowns,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def half(self) -> np.ndarray:
        """Half the 90 % intervals (unknowns,)."""
        return quantile(self.freedom) * self.error


def quantile(freedom: int, level: float = LEVEL) -> float:
    """How many standard errors half an interval is."""
    return float(stats.t.ppf(0.5 + 0.5 * level, freedom))


def rest(surface: Surface) -> Equations:
    """No variable moves; the unknowns are the variables, or variables and parameters of which some are given."""
    return lambda at, coefficients: surface.value(at, coefficients)


def fold(surface: Surface) -> Equations:
    """No variable moves, and a state of rest is about to vanish: the derivative by the variables is singular. The
    unknowns are the variables and one parameter.
    """
    d = surface.coefficients.shape[1]

    def both(at: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        slope = surface.slope(at, coefficients)[:, :d]
        return np.append(surface.value(at, coefficients), np.linalg.det(slope))

    return both


def solve(equations: Equations, surface: Surface, start: np.ndarray, unit: np.ndarray) -> np.ndarray | None:
    """A solution by Newton's method from `start` with unknowns in `unit`s, or None."""

    def scaled(z: np.ndarray) -> np.ndarray:
        return equations(start + z * unit, surface.coefficients)

    size = np.abs(_derivative(scaled, np.zeros(len(start)))).max(1)
    size = np.where(size > 0, size, 1.0)
    found = optimize.root(lambda z: scaled(z) / size, np.zeros(len(start)))
    if not found.success and np.abs(found.fun).max() > _TOLERANCE:
        return None
    return start + found.x * unit


def place(equations: Equations, surface: Surface, at: np.ndarray, unit: np.ndarray) -> Place:
    """A solution with its error."""
    moved = unit[:, None] * _moved(equations, surface, at, unit)
    return Place(at, moved @ surface.covariance @ moved.T, surface.freedom)


def _moved(equations: Equations, surface: Surface, at: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """How a solution moves with the coefficients, (unknowns, coefficients), in `unit`s of the unknowns."""
    by_place = _derivative(lambda z: equations(at + z * unit, surface.coefficients), np.zeros(len(at)))
    return -np.linalg.pinv(by_place) @ _by_coefficient(lambda c: equations(at, c), surface)


def _by_coefficient(function: Callable[[np.ndarray], np.ndarray], surface: Surface) -> np.ndarray:
    """The derivative by the coefficients, (outputs, coefficients), over steps as long as these are known."""
    shape = surface.coefficients.shape
    spread = np.sqrt(np.maximum(np.diag(surface.covariance), 0.0))
    spread = np.where(spread > 0, spread, 1e-12)
    found = _derivative(lambda c: function(surface.coefficients + (c * spread).reshape(shape)), np.zeros(spread.size))
    return found / spread


def eigenvalues(slope: np.ndarray, interval: float) -> np.ndarray:
    """Rates of the flow, slowest decay first, of a map whose derivative is 1 + interval x slope."""
    values = np.linalg.eigvals(np.asarray(slope, np.float64))
    flow = np.log(1.0 + interval * values.astype(complex)) / interval
    return flow[np.argsort(-flow.real, kind="stable")]


def leading(
    equations: Equations, surface: Surface, found: Place, variables: int, interval: float
) -> tuple[complex, float]:
    """The eigenvalue with the largest real part at a place, and the standard error of that part: the coefficients'
    own, and what they do by moving the place.
    """

    def real(at: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        inputs = at[: len(surface.centre)]
        return np.real(eigenvalues(surface.slope(inputs, coefficients)[:, :variables], interval)[:1])

    unit = surface.width if len(surface.width) == len(found.at) else np.ones(len(found.at))
    through = _derivative(lambda z: real(found.at + z * unit, surface.coefficients), np.zeros(len(found.at)))
    direct = _by_coefficient(lambda c: real(found.at, c), surface)
    total = direct + through @ _moved(equations, surface, found.at, unit)
    value = eigenvalues(surface.slope(found.at[: len(surface.centre)])[:, :variables], interval)[0]
    return complex(value), float(np.sqrt(max(0.0, (total @ surface.covariance @ total.T)[0, 0])))


def _derivative(function: Callable[[np.ndarray], np.ndarray], at: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Central differences (outputs, inputs)."""
    columns = []
    for i in range(len(at)):
        shift = np.zeros(len(at))
        shift[i] = step
        columns.append((function(at + shift) - function(at - shift)) / (2.0 * step))
    return np.stack(columns, 1)
