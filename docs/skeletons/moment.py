"""Skeleton of a moment; copy to `src/populace/problem/`.

Most moments are one call, `pop.moment("range", lambda x: x.max() - x.min(), "infected")`. A class is for a moment
with settings of its own, such as this one: the shares of a total that fall into equal parts of the time.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp

import populace as pop
from populace.testing.moments import check_moment


class Shares(pop.Moment):
    """The share of a series' total in each of `parts` stretches of (nearly) equal length; they sum to 1."""

    of: str = eqx.field(static=True)
    parts: int = eqx.field(static=True, default=4)

    # 1. What people call it, and whether missing times would change its meaning (then data with gaps are refused).
    @property
    def name(self) -> str:
        return f"shares({self.of})"

    @property
    def regular(self) -> bool:
        return True

    # 2. The series it reads: it is given these and no others.
    def series(self) -> tuple[str, ...]:
        return (self.of,)

    # 3. One run in, k numbers out, in jax.numpy: `Target` vectorises over runs and takes derivatives through it.
    def __call__(self, observations):
        pieces = jnp.array_split(observations[self.of], self.parts)
        totals = jnp.stack([piece.sum() for piece in pieces])
        return totals / totals.sum()

    # 4. A label a number, unique within a target.
    def labels(self, observations: Mapping[str, Any], times: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{self.name}[{part + 1} of {self.parts}]" for part in range(self.parts))


if __name__ == "__main__":
    # 5. The laws that every moment keeps, on a few runs (runs, times).
    cases = {"cases": jnp.array([[1.0, 3, 9, 12, 7, 2, 1, 0, 0], [2.0, 2, 3, 9, 9, 4, 0, 1, 0]])}
    check_moment(Shares("cases", parts=3), cases)
    print(Shares("cases", parts=3)({"cases": cases["cases"][0]}))
