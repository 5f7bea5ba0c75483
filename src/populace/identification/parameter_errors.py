"""How exactly each parameter is known near a point: with all others fixed, and jointly with them.

With A (k, d) the derivative of expected moments in independent units, by parameters in spreads of their priors (see
`calibration/sandwich.py`), the standard error of parameter j is (A'A)_jj^-1/2 where all others are known, and
((A'A)^-1)_jj^1/2 where none is. Their ratio is the root of the variance inflation factor 1 / (1 - R^2), R^2 that of
column j of A on the others (David Belsley, Edwin Kuh and Roy Welsch 1980, Regression Diagnostics). A parameter with
weight in a direction that the moments do not react to has no joint error, and is said to have none; one beside all
such directions has.
"""

from dataclasses import dataclass

import numpy as np

from ..calibration.pairs import Products
from ..calibration.sandwich import Linearised

_SURE = 3.0
_WEIGHT = 0.1
"""A parameter with a larger part than this in a flat direction, or one that is larger than 3 of its own standard
errors, has no joint error."""
_ROUNDING = 1e-3
_MIMICS = 0.5
"""Below this collinearity nothing is said to mimic a parameter."""
_SHOWN = 0.2


@dataclass(frozen=True)
class ParameterErrors:
    """Arrays (d,) by parameter, in its own units: `values`, where the model was looked at; `alone` and `joint`, its
    standard errors with the others fixed and free, with the jackknife errors `alone_error` and `joint_error` of these;
    `collinearity`, the R^2 of its effect on the others' effects; NaN where there is none. `reasons`: label to a
    sentence, of those without a joint error; `mimics`: label to the others that undo its effect, a text each;
    `covariance` (d, d): that of the parameters that have a joint error, NaN elsewhere.
    """

    labels: tuple[str, ...]
    values: np.ndarray
    alone: np.ndarray
    alone_error: np.ndarray
    joint: np.ndarray
    joint_error: np.ndarray
    collinearity: np.ndarray
    reasons: dict[str, str]
    mimics: dict[str, str]
    covariance: np.ndarray

    def relative(self, errors: np.ndarray) -> np.ndarray:
        """Errors (d,) in per cent of the values; NaN at 0."""
        size = np.abs(self.values)
        return np.where(size > 0.0, 100.0 * errors / np.where(size > 0.0, size, 1.0), np.nan)


@dataclass(frozen=True)
class Known:
    """The combinations that the moments react to: `directions` (d, c), with the covariance (d, d) of parameters inside
    their span, in spreads of priors; `leak` (d,): the part of each parameter outside it, and `doubt` (d,), the standard
    error of that part.
    """

    directions: np.ndarray
    covariance: np.ndarray
    leak: np.ndarray
    doubt: np.ndarray

    @property
    def lost(self) -> np.ndarray:
        """Which parameters (d,) have no joint error."""
        return (self.leak > _WEIGHT) | (self.leak > _SURE * self.doubt + _ROUNDING)


def known(near: Linearised) -> Known:
    """What is known jointly near a point. Only the matrix of the combinations that count is solved with, so that no
    flat one is hidden.

    How far a flat direction may be from where it is seen is by first-order perturbation: M changing by dM, a direction
    u with eigenvalue a leans towards a flat n with eigenvalue b by n'dM u / (a - b).
    """
    d, rank = near.squares.size, near.rank
    counted, flat = near.directions[:, :rank], near.directions[:, rank:]
    covariance = (counted / near.squares[:rank]) @ counted.T
    leak = np.sqrt((flat**2).sum(1))
    if not rank or rank == d:
        return Known(counted, covariance, leak, np.zeros(d))
    turned = np.einsum("dq,rde,ec->rqc", flat, near.products.changes[:, :-1, :-1], counted, optimize=True)
    turned = turned / np.maximum(near.squares[:rank] - near.squares[rank:, None], 1e-300)
    doubt = np.sqrt(near.products.variance(turned @ counted.T).sum(0))
    return Known(counted, covariance, leak, doubt)


def parameter_errors(
    near: Linearised, effects: Products, labels: tuple[str, ...], values: np.ndarray, units: np.ndarray
) -> ParameterErrors:
    """The standard errors of parameters near a point.

    **Arguments:** `near`: where directions known to be flat are projected out of derivatives; `effects`: the products
    of these as they were; `values` (d,): the point; `units` (d,): how much of each parameter is a spread of its prior.
    """
    found = known(near)
    size = np.diag(effects.value)
    noise = np.sqrt(effects.variance(np.einsum("rii->ri", effects.changes)))
    seen = size > _SURE * noise
    alone = np.where(seen, np.where(seen, size, 1.0) ** -0.5, np.nan)
    covariance = np.where(found.lost[:, None] | found.lost, np.nan, found.covariance)
    joint = np.sqrt(np.diag(covariance))
    scale = np.abs(units)
    alone_error = alone**3 / 2.0 * noise
    collinearity = np.where(found.lost, 1.0, 1.0 - np.clip((alone / joint) ** 2, 0.0, 1.0))
    partners = {label: _partners(near, found, j) for j, label in enumerate(labels)}
    mimics = {
        label: _words(partners[label], size, labels, j)
        for j, label in enumerate(labels)
        if seen[j] and collinearity[j] > _MIMICS
    }
    return ParameterErrors(
        labels,
        values,
        alone * scale,
        alone_error * scale,
        joint * scale,
        _joint_errors(near, found) * scale,
        np.where(seen, collinearity, np.nan),
        {label: _reason(near, found, j, bool(seen[j]), mimics.get(label, "")) for j, label in _lost(labels, found)},
        mimics,
        covariance * np.outer(units, units),
    )


def _lost(labels: tuple[str, ...], found: Known) -> list[tuple[int, str]]:
    return [(j, label) for j, label in enumerate(labels) if found.lost[j]]


def _joint_errors(near: Linearised, found: Known) -> np.ndarray:
    """Jackknife errors (d,) of the joint standard errors: to first order, C changes by -C dM C."""
    half = np.einsum("ij,rjk,ki->ri", found.covariance, near.products.changes[:, :-1, :-1], found.covariance)
    variance = np.diag(found.covariance)
    error = np.sqrt(near.products.variance(half)) / (2.0 * np.sqrt(np.maximum(variance, 1e-300)))
    return np.where(found.lost, np.nan, error)


def _partners(near: Linearised, found: Known, j: int) -> np.ndarray:
    """How others must move (d,) so that the moments change least while parameter j moves by 1, in prior spreads."""
    if found.lost[j]:
        flat = near.directions[:, near.rank :]
        return flat @ flat[j] / max(float((flat[j] ** 2).sum()), 1e-300)
    return found.covariance[:, j] / found.covariance[j, j]


def _words(partners: np.ndarray, size: np.ndarray, labels: tuple[str, ...], j: int) -> str:
    """The others whose moves undo most of parameter j's effect, the strongest first, with signs."""
    effect = np.abs(partners) * np.sqrt(np.maximum(size, 0.0))
    effect[j] = 0.0
    order = [i for i in np.argsort(-effect) if effect[i] > _SHOWN * np.sqrt(max(size[j], 0.0))]
    return ", ".join(f"{labels[i]} {partners[i]:+.2g}" for i in order[:4])


def _reason(near: Linearised, found: Known, j: int, seen: bool, mimicked: str) -> str:
    """Why a parameter has no joint error."""
    if not seen:
        return f"no moment reacts to it beyond doubt in {near.replicates} replicates"
    how = f": moving {mimicked} (per prior spread of its own) undoes it" if mimicked else ""
    return (
        f"{100.0 * found.leak[j] ** 2:.0f} % of it lies in combinations that no moment reacts to beyond doubt in "
        f"{near.replicates} replicates{how}"
    )
