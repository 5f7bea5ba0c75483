"""How the estimate would move if a moment of the data were another.

An estimate minimises g' V^-1 g, g the model's moments minus the data's. When the data's moment i rises by e, so that
g_i falls by e, the estimate moves to first order by L_ji e, with L = (G' V^-1 G)^-1 G' V^-1 and G the derivative of the
model's moments. (Isaiah Andrews, Matthew Gentzkow and Jesse Shapiro 2017, Quarterly Journal of Economics 132,
1553-1592, write -(G'WG)^-1 G'W; their g is the data's moments minus the model's, and their G minus ours.) A moment that
is wrong by so much, through an error of measurement or of the model, puts the estimate wrong by L times that.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from .._results import Cell, Figure, IntervalPanel, Section, Table
from ..calibration.sandwich import Linearised
from .parameter_errors import ParameterErrors, known

_PANELS = 9
_ROWS = 15
_MOST = 4


@dataclass(frozen=True)
class MomentSensitivity:
    """`raw` (d, k): change of an estimate, in its own unit, per unit of the data's moment; `standard` (d, k): in its
    own joint standard errors per standard error of the moment, with `error` (d, k), that of its measurement
    (jackknife). NaN for a parameter without a joint error; `reasons`: label to why.
    """

    labels: tuple[str, ...]
    moments: tuple[str, ...]
    raw: np.ndarray
    standard: np.ndarray
    error: np.ndarray
    reasons: dict[str, str]

    def of(self, label: str, moment: str) -> float:
        """Standard errors of the estimate per standard error of the moment; NaN where it is withheld."""
        return float(self.standard[self.labels.index(label), self.moments.index(moment)])

    def section(self) -> Section:
        """As a person reads it."""
        text = [
            "What the estimates lean on: by how much each moves when a moment of the data rises by one of its standard "
            "errors, to first order. 1 is a standard error of the estimate."
        ]
        if self.reasons:
            text.append(f"Withheld for {', '.join(self.reasons)}, which have no joint standard error (see there why).")
        shown = [i for i, label in enumerate(self.labels) if label not in self.reasons]
        if not shown:
            return Section("Moment sensitivity", tuple(text))
        return Section("Moment sensitivity", tuple(text), (), (self._figure(shown),), (self._table(shown),))

    def _figure(self, shown: list[int]) -> Figure:
        most = np.abs(self.standard[shown]).max(0)
        rows = np.sort(np.argsort(-most, kind="stable")[:_ROWS])
        note = "" if rows.size == len(self.moments) else f" The {rows.size} moments that move any of them most."
        panels = tuple(
            IntervalPanel(
                self.labels[i],
                "standard errors of the estimate",
                tuple(self.moments[j] for j in rows),
                self.standard[i, rows],
                self.standard[i, rows] - 1.96 * self.error[i, rows],
                self.standard[i, rows] + 1.96 * self.error[i, rows],
                reference=0.0,
            )
            for i in shown[:_PANELS]
        )
        caption = f"Change of each estimate per standard error of a moment; bars are 95 % intervals of it.{note}"
        return Figure("moment_sensitivity", caption, panels)

    def _table(self, shown: list[int]) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for i in shown:
            for j in np.argsort(-np.abs(self.standard[i]), kind="stable")[:_MOST]:
                numbers = (self.standard[i, j], self.error[i, j], self.raw[i, j])
                rows.append((self.labels[i], self.moments[j], *(float(x) for x in numbers)))
        columns = ("parameter", "moment", "standard errors", "error of that", "in units, per unit of the moment")
        return Table("Moment sensitivity", columns, tuple(rows), f"The {_MOST} that move a parameter most, or fewer.")

    def record(self) -> dict[str, dict[str, float | None]]:
        """As JSON: parameter to moment to standard errors per standard error; None where withheld."""
        return {
            label: {moment: float(x) if np.isfinite(x) else None for moment, x in zip(self.moments, row, strict=True)}
            for label, row in zip(self.labels, self.standard, strict=True)
        }


def moment_sensitivity(
    near: Linearised,
    slopes: np.ndarray,
    errors: ParameterErrors,
    units: np.ndarray,
    moments: tuple[str, ...],
    lower: np.ndarray,
) -> MomentSensitivity:
    """The sensitivity of estimates to moments near a point.

    **Arguments:** `slopes` (R, k, d): the replicates behind `near`; `units` (d,): how much of each parameter is a
    spread of its prior; `lower` (k, k): the Cholesky factor L of the moments' covariance, by which they were whitened.

    With C the covariance of what is known, it is C A' in independent units and C A' L^-1 in the moments' own. C is free
    of noise bias and A a mean, so that the noise of both is all that is in it; its error is by leaving out replicates.
    """
    found = known(near)
    lost = found.lost
    inverse = scipy.linalg.solve_triangular(lower, np.eye(len(lower)), lower=True)
    sizes = np.sqrt((lower**2).sum(1))
    raw = units[:, None] * (found.covariance @ near.slope.T @ inverse)
    raw[lost] = np.nan
    standard = raw * sizes / errors.joint[:, None]
    error = _errors(near, slopes, found.covariance, inverse * sizes)
    error[lost] = np.nan
    return MomentSensitivity(errors.labels, moments, raw, standard, error, errors.reasons)


def _errors(near: Linearised, slopes: np.ndarray, covariance: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Jackknife errors (d, k) of C A' / sqrt(diag C) in standard errors of moments: leaving out r changes A by
    (A - A_r) / (R - 1), C by -C dM C, and the root of its diagonal with it.
    """
    root = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    change = -np.einsum("ij,rjk,kl->ril", covariance, near.products.changes[:, :-1, :-1], covariance, optimize=True)
    scaled = change - np.einsum("rii,ij->rij", change, covariance) / (2.0 * root**2)[:, None]
    moved = (near.slope - slopes) / (len(slopes) - 1)
    both = scaled @ near.slope.T + np.einsum("ij,rkj->rik", covariance, moved)
    return np.sqrt(near.products.variance(both @ back)) / root[:, None]
