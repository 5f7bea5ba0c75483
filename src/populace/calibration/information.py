"""What a problem's moments can say of its parameters near a point: the Gauss-Newton information and its spectrum.

With J the derivative of the expected moments by v, parameters in spreads of their priors, and V the moments'
covariance, the information is J' V^-1 J. Noise in J would add to it, and make directions look known that are not; it is
taken out (see `pairs.py`). An eigenvalue of 1 is a standard error as wide as the prior.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import MethodError
from .._results import Cell, Result, Section, Table
from .._types import Key
from ..core.executor import Ticker
from ..core.progress import display
from ..problem.problem import Problem
from .descent import FEWEST
from .judgement import flat_direction, offsets, replicates_of, scales, whitened
from .sandwich import linearised

_SHOWN = 0.2
"""Parts of a direction smaller than this are left out of its sentence."""


@dataclass(frozen=True)
class Information(Result):
    """`matrix` (d, d), J' V^-1 J by v; `values` (d,), falling, with `errors`: its eigenvalues; `directions` (d, d), one
    a column; `rank`: how many eigenvalues are above 0 beyond doubt; `flat`: a sentence for each direction beyond.
    """

    labels: tuple[str, ...]
    at: dict[str, np.ndarray]
    matrix: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    directions: np.ndarray
    rank: int
    flat: tuple[str, ...]

    def sections(self) -> tuple[Section, ...]:
        rows: list[tuple[Cell, ...]] = []
        for i, value in enumerate(self.values):
            known = float(value**-0.5) if i < self.rank else None
            rows.append((self.named(i), float(value), float(self.errors[i]), known))
        columns = ("direction", "information", "standard error", "known to, in prior spreads")
        table = Table("Spectrum", columns, tuple(rows), "Stiff directions first; sloppy ones last.")
        first = f"The moments react to {self.rank} of {len(self.values)} directions beyond doubt, near this point."
        return (Section("Information", (first, *self.flat), tables=(table,)),)

    def named(self, i: int) -> str:
        """A direction in words: its larger parts, in spreads of the priors."""
        column = self.directions[:, i]
        column = column * np.sign(column[np.argmax(np.abs(column))])
        order = np.argsort(-np.abs(column))
        parts = [f"{column[j]:+.2f} {self.labels[j]}" for j in order if abs(column[j]) > _SHOWN]
        return " ".join(parts[:4]) + (" ..." if len(parts) > 4 else "")

    def record(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "values": self.values.tolist(),
            "errors": self.errors.tolist(),
            "directions": self.directions.T.tolist(),
            "rank": self.rank,
            "flat": list(self.flat),
        }


def information(
    problem: Problem,
    key: Key,
    *,
    at: Mapping[str, Any] | None = None,
    replicates: int = 100,
    difference: float = 0.1,
    progress: bool | Progress | None = None,
) -> Information:
    """The information that the fitted moments hold near a point, for any simulator: (1 + 4 d) x replicates runs.

    **Arguments:** `at`: parameter name to value (the prior's median if None); `replicates`: runs at each of the points
    around it; `difference`: between these, in spreads of the priors.

    **Raises:** `MethodError` without a covariance, or with too few replicates or usable runs.
    """
    whitened(problem, np.zeros((1, len(problem.target.labels))))
    if replicates < FEWEST or not difference > 0:
        raise MethodError(f"take {FEWEST} replicates or more, and a difference above 0")
    space = problem.space
    middle, spread = scales(space)
    centre = middle
    if at is not None:
        given = {name: jnp.asarray(value, jnp.float32)[None] for name, value in at.items()}
        centre = np.asarray(space.to_real(given), np.float64)[0]
    widths = (difference, difference / 2.0)
    points = np.repeat(centre + offsets(space.size, widths) * spread, replicates, axis=0)
    keys = jr.split(key, replicates)[np.tile(np.arange(replicates), len(points) // replicates)]
    with display(progress) as shown:
        ticker = Ticker(shown, "information", len(points))
        seen = problem.simulate(space.from_real(jnp.asarray(points, jnp.float32)), keys, ticker)
    found = replicates_of(problem, seen, 1, widths, replicates)[0]
    if len(found) < FEWEST:
        raise MethodError(f"only {len(found)} of {replicates} replicates can be used around this point")
    near = linearised(found)
    rest = [near.directions[:, i] for i in range(near.rank, near.squares.size)]
    ends = [centre + 1e-2 * np.stack([-one, one]) * spread for one in rest]
    flat = tuple(flat_direction(space, end, len(found)) for end in ends)
    point = {k: np.asarray(v[0]) for k, v in space.from_real(jnp.asarray(centre, jnp.float32)[None]).items()}
    matrix = near.products.value[:-1, :-1]
    return Information(space.labels, point, matrix, near.squares, near.errors, near.directions, near.rank, flat)
