"""What a problem's moments can say of its parameters near a point: the spectrum of their derivative, how exactly each
parameter is known alone and jointly, what each estimate leans on, and what may be changed at will.

With J the derivative of the expected moments by v, parameters in spreads of their priors, and V the moments'
covariance, the information is J' V^-1 J. Noise in J would add to it, and make directions look known that are not; it is
taken out (see `calibration/pairs.py`). An eigenvalue of 1 is a standard error as wide as the prior.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import MethodError
from .._results import Cell, Figure, IntervalPanel, Result, Section, Table, cell
from .._types import Key
from ..calibration.descent import FEWEST
from ..calibration.judgement import flat_direction, scales, whitened
from ..calibration.pairs import products
from ..calibration.sandwich import LEAST, linearised
from ..core.executor import Ticker
from ..core.progress import display
from ..problem.covariance import factor
from ..problem.problem import Problem
from .derivatives import UNIT, derivatives, units_at
from .moment_sensitivity import MomentSensitivity, moment_sensitivity
from .parameter_errors import ParameterErrors, parameter_errors
from .rank_test import RankTest, rank_test
from .symmetries import Symmetry, symmetries

_SHOWN = 0.2
"""Parts of a direction smaller than this are left out of its sentence."""
_WIDER = 3.0
"""The second look's differences along sloppy directions are wider, by so much at the most."""


@dataclass(frozen=True)
class Information(Result):
    """`matrix` (d, d), J' V^-1 J by v; `values` (d,), falling, with `errors`: its eigenvalues; `directions` (d, d), one
    a column; `rank`: how many eigenvalues are above 0 beyond doubt; `flat`: a sentence for each direction beyond;
    `test`: of the rank; `parameters`: how exactly each is known; `sensitivity`: to each moment; `symmetries`: exact.
    """

    labels: tuple[str, ...]
    at: dict[str, np.ndarray]
    matrix: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    directions: np.ndarray
    rank: int
    flat: tuple[str, ...]
    test: RankTest
    parameters: ParameterErrors
    sensitivity: MomentSensitivity
    symmetries: tuple[Symmetry, ...]

    @property
    def singular(self) -> np.ndarray:
        """The singular values of V^-1/2 J, falling, with their 95 % intervals: (d, 3), value, low, high; 0 where noise
        is all that was seen.
        """
        ends = np.stack([self.values, self.values - 1.96 * self.errors, self.values + 1.96 * self.errors], axis=1)
        return np.sqrt(np.maximum(ends, 0.0))

    def sections(self) -> tuple[Section, ...]:
        first = f"The moments react to {self.rank} of {len(self.values)} directions beyond doubt, near this point."
        text = (first, self.test.sentence(), *(one.sentence() for one in self.symmetries), *self.flat)
        spectrum = Section("Information", text, (), (self._figure(),), (self._spectrum(),))
        return (spectrum, self._parameters(), self.sensitivity.section())

    def _spectrum(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for i, (value, low, high) in enumerate(self.singular):
            known = float(1.0 / value) if i < self.rank else None
            rows.append((self.named(i), float(value), float(low), float(high), known))
        columns = ("direction", "singular value", "2.5 %", "97.5 %", "known to, in prior spreads")
        note = "Stiff directions first; sloppy ones last. What noise in the derivative adds is taken out (jackknife)."
        return Table("Spectrum", columns, tuple(rows), note)

    def _figure(self) -> Figure:
        floor = max(float(self.singular[:, 0].max()), 1.0) * 1e-4
        value, low, high = np.log10(np.maximum(self.singular, floor)).T
        panel = IntervalPanel(
            "Spectrum",
            "log10 of the singular value",
            tuple(self.named(i) for i in range(len(value))),
            value,
            low,
            high,
            tuple(i >= self.rank for i in range(len(value))),
            reference=0.0,
            note="At 0 the data say as much as the prior. Emphasised: not beyond doubt; no effect stands at the left.",
        )
        return Figure("spectrum", "What the moments react to, by direction of parameters in prior spreads.", (panel,))

    def _parameters(self) -> Section:
        found = self.parameters
        alone, joint = found.relative(found.alone), found.relative(found.joint)
        arrays = (found.values, found.alone, alone, found.joint, joint, found.joint_error, found.collinearity)
        rows = tuple(
            (label, *(cell(x) for x in numbers), found.mimics.get(label, ""))
            for label, *numbers in zip(self.labels, *arrays, strict=True)
        )
        columns = ("parameter", "value", "SE alone", "alone, %", "SE jointly", "jointly, %", "its error")
        note = (
            "SE: standard error, in the parameter's unit and in % of its value; alone: with all others fixed. "
            "Collinearity: R² of the parameter's effect on the others' effects. Undone by: how others move, in "
            "prior spreads, when this moves by one, so that the moments change least."
        )
        table = Table("Standard errors", (*columns, "collinearity", "undone by"), rows, note)
        text = tuple(f"{label} has no joint standard error: {why}." for label, why in found.reasons.items())
        return Section("Standard errors", text, (), (), (table,))

    def named(self, i: int) -> str:
        """A direction in words: its larger parts, in spreads of the priors."""
        column = self.directions[:, i]
        column = column * np.sign(column[np.argmax(np.abs(column))])
        order = np.argsort(-np.abs(column))
        parts = [f"{column[j]:+.2f} {self.labels[j]}" for j in order if abs(column[j]) > _SHOWN]
        return " ".join(parts[:4]) + (" ..." if len(parts) > 4 else "")

    def record(self) -> dict[str, Any]:
        found = self.parameters
        names = ("values", "alone", "joint", "joint_error", "collinearity")
        return {
            "labels": list(self.labels),
            "values": self.values.tolist(),
            "errors": self.errors.tolist(),
            "directions": self.directions.T.tolist(),
            "rank": self.rank,
            "flat": list(self.flat),
            "rank test": {"rank": self.test.rank, "p": list(self.test.p), "freedom": list(self.test.freedom)},
            "parameters": {
                label: {
                    **{name.replace("_", " "): cell(getattr(found, name)[j]) for name in names},
                    "withheld": found.reasons.get(label, ""),
                    "undone by": found.mimics.get(label, ""),
                }
                for j, label in enumerate(self.labels)
            },
            "sensitivity": self.sensitivity.record(),
            "symmetries": [one.record() for one in self.symmetries],
        }


def information(
    problem: Problem,
    key: Key,
    *,
    at: Mapping[str, Any] | None = None,
    replicates: int = 100,
    difference: float = 0.1,
    second: int = 0,
    least: float = LEAST,
    progress: bool | Progress | None = None,
) -> Information:
    """The information that the fitted moments hold near a point, for any simulator: (1 + 4 d) x replicates runs, and a
    tenth more where a symmetry is conjectured.

    **Arguments:** `at`: parameter name to value (the prior's median if None); `replicates`: runs at each of the points
    around it; `difference`: between these, in spreads of the priors; `second`: replicates of a second look, along the
    directions that the first one found, with differences up to three times as wide along sloppy ones: for spectra of
    many decades, whose small end drowns in the noise of differences along the axes; `least`: eigenvalues below this
    never count as known.

    **Raises:** `MethodError` without a covariance, or with too few replicates or usable runs.
    """
    k = len(problem.target.labels)
    whitened(problem, np.zeros((1, k)))
    if replicates < FEWEST or not difference > 0 or (second and second < FEWEST):
        raise MethodError(f"take {FEWEST} replicates or more, and a difference above 0")
    space = problem.space
    centre, spread = scales(space)
    if at is not None:
        given = {name: jnp.asarray(value, jnp.float32)[None] for name, value in at.items()}
        centre = np.asarray(space.to_real(given), np.float64)[0]
    d = space.size
    one, two, three = jr.split(key, 3)
    with display(progress) as shown:
        ticker = Ticker(shown, "information", (1 + 4 * d) * (replicates + second))
        found = derivatives(problem, one, centre, spread, np.eye(d), np.full(d, difference), replicates, ticker)
        near = linearised(found, least)
        if second:
            ratio = near.squares[0] / np.maximum(near.squares, 1e-12 * abs(near.squares[0]) + 1e-300)
            widths = difference * np.clip(ratio**0.25, 1.0, _WIDER)
            found = derivatives(problem, two, centre, spread, near.directions, widths, second, ticker)
            near = linearised(found, least)
        point, units = units_at(space, centre, spread)
        same = symmetries(problem, near, point, units, three, ticker)
    return _found(problem, centre, spread, found, least, (point, units), same)


def _found(
    problem: Problem,
    centre: np.ndarray,
    spread: np.ndarray,
    rows: np.ndarray,
    least: float,
    here: tuple[np.ndarray, np.ndarray],
    same: tuple[Symmetry, ...],
) -> Information:
    """All that derivatives (R, k, d + 1) say. Those along exact symmetries are 0: their noise is projected out."""
    space, target = problem.space, problem.target
    point, units = here
    free = [one.tangent(space.labels, point, units) for one in same]
    basis = np.linalg.qr(np.stack(free, axis=1))[0] if free else np.zeros((space.size, 0))
    slopes = rows[:, :, :-1]
    clean = slopes - slopes @ basis @ basis.T
    near = linearised(np.concatenate([clean, rows[:, :, -1:]], axis=2), least)
    rest = [near.directions[:, i] for i in range(near.rank, space.size)]
    rest = [one for one in rest if ((one @ basis) ** 2).sum() < 0.5]
    ends = [centre + UNIT * np.stack([-one, one]) * spread for one in rest]
    flat = tuple(flat_direction(space, end, near.replicates) for end in ends)
    use = np.flatnonzero(target.fitted)
    moments = tuple(target.labels[i] for i in use)
    assert target.covariance is not None
    lower = factor(target.covariance[np.ix_(use, use)], moments)
    errors = _symmetric(parameter_errors(near, products(slopes), space.labels, point, units), same)
    leaning = moment_sensitivity(near, clean, errors, units, moments, lower)
    at = {k: np.asarray(v[0]) for k, v in space.from_real(jnp.asarray(centre, jnp.float32)[None]).items()}
    matrix = near.products.value[:-1, :-1]
    spectrum = (near.squares, near.errors, near.directions, near.rank, flat)
    return Information(space.labels, at, matrix, *spectrum, rank_test(clean), errors, leaning, same)


def _symmetric(errors: ParameterErrors, same: tuple[Symmetry, ...]) -> ParameterErrors:
    """The same, with symmetries as the reasons of those that these move."""
    moved = {label: one.words() for one in reversed(same) for label in one.powers}
    reasons = {
        label: f"{moved[label]} is an exact symmetry" if label in moved else why
        for label, why in errors.reasons.items()
    }
    return dataclasses.replace(errors, reasons=reasons)
