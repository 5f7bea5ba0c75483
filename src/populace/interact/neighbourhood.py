"""Which cells of a grid lie near a cell: squares, diamonds and hexagons of a radius."""

import abc

import equinox as eqx

from .._errors import ModelError


class Neighbourhood(eqx.Module):
    """Which cells are neighbours: in each row a run of columns, the same around every cell.

    Implement `span`. The relation must be mutual, and the row of the cell itself must run from -radius to radius; the
    cell itself is never its own neighbour.
    """

    radius: eqx.AbstractVar[int]
    """How far it reaches in rows and columns, static."""

    @abc.abstractmethod
    def span(self, down: int, odd: bool) -> tuple[int, int]:
        """The first and last column, relative to the cell's own, of the neighbours `down` rows below a cell.

        **Arguments:** `down`: -radius .. radius; `odd`: whether the cell stands in an odd row (rows count from 0).
        """

    @property
    def offset(self) -> bool:
        """Whether odd rows differ from even ones: a periodic grid then needs an even number of rows."""
        return any(self.span(down, False) != self.span(down, True) for down in range(-self.radius, self.radius + 1))

    @property
    def reach(self) -> int:
        """How many neighbours a cell has that is far from any border."""
        spans = (self.span(down, False) for down in range(-self.radius, self.radius + 1))
        return sum(last - first + 1 for first, last in spans) - 1


class Moore(Neighbourhood):
    """The square around a cell: 8 neighbours with radius 1, 24 with radius 2 (Chebyshev distance)."""

    radius: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        _checked(self.radius)

    def span(self, down: int, odd: bool) -> tuple[int, int]:
        return -self.radius, self.radius


class VonNeumann(Neighbourhood):
    """The diamond around a cell: 4 neighbours with radius 1, 12 with radius 2 (taxicab distance)."""

    radius: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        _checked(self.radius)

    def span(self, down: int, odd: bool) -> tuple[int, int]:
        return abs(down) - self.radius, self.radius - abs(down)


class Hexagonal(Neighbourhood):
    """Hexagonal cells, odd rows half a cell to the right: 6 neighbours with radius 1, 18 with radius 2."""

    radius: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        _checked(self.radius)

    def span(self, down: int, odd: bool) -> tuple[int, int]:
        # In axial coordinates q = column - (row - row % 2) / 2 the row holds the q with |q| <= r and |q + down| <= r.
        shift = (down + odd - (down + odd) % 2) // 2
        return max(-self.radius, -self.radius - down) + shift, min(self.radius, self.radius - down) + shift


def _checked(radius: int) -> None:
    if isinstance(radius, bool) or not isinstance(radius, int) or radius < 1:
        raise ModelError(f"the radius of a neighbourhood is a whole number from 1, not {radius!r}")
