"""What the right-hand side of an equation is made of: products of powers of the variables."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._errors import MethodError

_MOST = 40


@dataclass(frozen=True)
class Monomials:
    """The terms 1, x, y, x^2, x y, ... up to a degree. `powers` (terms, variables): whole numbers."""

    names: tuple[str, ...]
    powers: np.ndarray

    @classmethod
    def up_to(cls, names: Sequence[str], degree: int) -> "Monomials":
        """All products of powers whose sum is at most `degree`, low powers first."""
        if degree < 1:
            raise MethodError(f"an equation has terms of degree 1 at least, not {degree}")
        every = itertools.product(range(degree + 1), repeat=len(names))
        kept = sorted((p for p in every if sum(p) <= degree), key=lambda p: (sum(p), tuple(-x for x in p)))
        if len(kept) > _MOST:
            raise MethodError(
                f"{len(kept)} terms of {len(names)} variables up to degree {degree} are more than {_MOST}: "
                "take fewer variables or a lower degree"
            )
        return cls(tuple(names), np.array(kept))

    @property
    def size(self) -> int:
        """How many terms."""
        return len(self.powers)

    @property
    def degrees(self) -> np.ndarray:
        """The degree of each term, (terms,)."""
        return self.powers.sum(1)

    @property
    def labels(self) -> tuple[str, ...]:
        """Each term as it is written."""
        return tuple(self._label(row) for row in self.powers)

    def _label(self, row: np.ndarray) -> str:
        parts = [n if p == 1 else f"{n}^{p}" for n, p in zip(self.names, row, strict=True) if p]
        return " ".join(parts) or "1"

    def values(self, at: np.ndarray) -> np.ndarray:
        """The terms at points: (..., variables) to (..., terms)."""
        powers = self._powers(at)
        return self._product([powers[self.powers[:, i], ..., i] for i in range(at.shape[-1])])

    def slopes(self, at: np.ndarray) -> np.ndarray:
        """Their derivatives: (..., variables) to (..., terms, variables)."""
        return self.both(at)[1]

    def both(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and slopes."""
        powers, d = self._powers(at), at.shape[-1]
        factors = [powers[self.powers[:, i], ..., i] for i in range(d)]
        slopes = []
        for j in range(d):
            p = self.powers[:, j]
            times = p.reshape(-1, *(1,) * (at.ndim - 1))
            bent = times * powers[np.maximum(p - 1, 0), ..., j]
            slopes.append(self._product([*factors[:j], bent, *factors[j + 1 :]]))
        return self._product(factors), np.stack(slopes, axis=-1)

    def _product(self, factors: list[np.ndarray]) -> np.ndarray:
        """Of arrays (terms, ...), as (..., terms)."""
        out = factors[0]
        for factor in factors[1:]:
            out = out * factor
        return np.moveaxis(out, 0, -1)

    def _powers(self, at: np.ndarray) -> np.ndarray:
        """0th, 1st, ... power of the points, on a first axis."""
        found = np.empty((int(self.powers.max()) + 1, *at.shape))
        found[0] = 1.0
        for p in range(1, len(found)):
            np.multiply(found[p - 1], at, out=found[p])
        return found
