"""What is drawn of a model that does not say it: guessed from its worlds and from the names and numbers of its state.

Arrays of 0 and 1 that exclude each other are kinds (infected, recovered, neither); an array that fits the grid is drawn
on it; whole numbers called `cell` are where agents stand; pairs of numbers in a box are positions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from .._errors import OutputError
from ..core.model import Model
from ..core.population import Population
from ..interact.box import Box
from ..interact.flags import WORD, Flags
from ..interact.grid import Grid
from ..interact.look import Layer, Look
from ..interact.neighbourhood import VonNeumann
from ..interact.seats import Seats
from ..interact.topology import Topology
from ..zoo.sublattices import Sublattices
from .odd_worlds import children, worlds

_MASKS = ("present", "alive")
_PLACES = ("cell", "cells", "place", "at")
_FEW = 6
"""A whole number of so many values at the most is a kind."""
_SMALLEST = 8
"""Rows and columns from which on a table in a state is taken for a map, where the model holds no world."""


@dataclass
class Group:
    """Arrays that stand side by side in a state, name to (frames, ...); `seats` (frames, slots), if they have any."""

    name: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    seats: np.ndarray | None = None

    @property
    def mask(self) -> np.ndarray | None:
        """Who is there, (frames, agents)."""
        return next((self.arrays[name] for name in _MASKS if name in self.arrays), None)


def guess(model: Model, states: Sequence[Any]) -> tuple[Look, ...]:
    """A look for each of a model's states.

    **Raises:** `OutputError` where nothing can be drawn.
    """
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *states)
    groups = [group for group in _groups(stacked, "", len(states)) if group.arrays]
    world, layers = _world(model, groups)
    if not layers:
        raise OutputError(
            f"nothing in the state of {type(model).__name__} can be drawn as agents or cells: say what is to be, in a "
            "method look(state) of the model or by look=, as a pop.Look"
        )
    return tuple(Look(world, tuple(_at(layer, frame) for layer in layers)) for frame in range(len(states)))


def _at(layer: Layer, frame: int) -> Layer:
    """One frame of a layer whose arrays hold all."""
    parts = (layer.values, layer.at, layer.way, layer.present)
    values, at, way, present = (None if part is None else np.asarray(part)[frame] for part in parts)
    return Layer(layer.name, values, layer.kinds, at, way, present)


def _groups(tree: Any, name: str, frames: int) -> Iterator[Group]:
    """The state's arrays by the module or dictionary that holds them."""
    own = Group(name)
    skipped = ("identity",) if isinstance(tree, Population) else ()
    inner: list[tuple[str, Any]] = []
    for child, node in children(tree) or [("", tree)]:
        match node:
            case _ if child in skipped:
                continue
            case Flags():
                own.arrays[child] = _unpacked(node)
            case Seats():
                own.seats = np.asarray(node.cell)
            case np.ndarray() if node.ndim > 1:
                own.arrays[child] = node
            case _ if child and children(node):
                inner.append((f"{name}.{child}" if name else child, node))
    yield own
    for path, node in inner:
        yield from _groups(node, path, frames)


def _unpacked(flags: Flags) -> np.ndarray:
    """Sets of cells as numbers 0 and 1, (frames, cells)."""
    bits = (np.asarray(flags.words)[..., None] >> np.arange(WORD, dtype=np.uint32)) & 1
    grid = flags.grid
    return bits.reshape(len(bits), grid.rows, -1)[..., : grid.columns].reshape(len(bits), -1)


def _world(model: Model, groups: list[Group]) -> tuple[Grid | Box | Topology | None, tuple[Layer, ...]]:
    """The first world on which something can be drawn, and what."""
    held = list(worlds(model).values())
    for world in [world for kind in (Grid, Sublattices, Box, Topology) for world in held if isinstance(world, kind)]:
        if isinstance(world, Sublattices):
            grid = Grid(world.rows, world.columns, VonNeumann(), periodic=True)
            layers = _on_grid(grid, [_joined(world, group) for group in groups])
            world = grid
        elif isinstance(world, Grid):
            layers = _on_grid(world, groups)
        elif isinstance(world, Box):
            layers = _in_box(world, groups)
        else:
            layers = _of_agents(groups, world.size)
        if layers:
            return world, layers
    table = next((a for g in groups for a in g.arrays.values() if a.ndim == 3 and min(a.shape[1:]) >= _SMALLEST), None)
    if table is not None:
        grid = Grid(*table.shape[1:])
        return grid, _on_grid(grid, groups)
    sizes = [a.shape[1] for group in groups for a in group.arrays.values() if a.ndim == 2 and a.shape[1] > 1]
    return None, _of_agents(groups, sizes[0]) if sizes else ()


def _joined(world: Sublattices, group: Group) -> Group:
    """The group with planes of a lattice put together."""
    planes = (world.stride**2, *world.plane)
    arrays = {
        name: np.stack([np.asarray(world.join(one)) for one in array]) if array.shape[1:] == planes else array
        for name, array in group.arrays.items()
    }
    return Group(group.name, arrays, group.seats)


def _on_grid(grid: Grid, groups: list[Group]) -> tuple[Layer, ...]:
    """Cells as kinds or shades, and agents on them."""
    cells: dict[str, np.ndarray] = {}
    mask: np.ndarray | None = None
    movers: list[tuple[Group, np.ndarray]] = []
    for group in groups:
        at = _cells_of(grid, group)
        if at is not None:
            movers.append((group, at))
        for name, array in group.arrays.items():
            if array.shape[1:] in ((grid.size,), (grid.rows, grid.columns)) and not (
                at is not None and name in _PLACES
            ):
                flat = array.reshape(len(array), -1)
                flat = flat if group.seats is None else _laid(group.seats, flat)
                if name not in _MASKS:
                    cells.setdefault(name, flat)
                elif mask is None and at is None:
                    mask = flat
    ground = _kinds_or_shade(cells, mask, of="cells")
    return (*ground, *(_mover(group, at, alone=len(movers) == 1) for group, at in movers))


def _mover(group: Group, at: np.ndarray, alone: bool) -> Layer:
    """Agents on the cells of a grid; by kind where they are the only sort of agents and have kinds."""
    name = group.name or "agents"
    own = {n: a for n, a in group.arrays.items() if a.shape == at.shape and n not in (*_MASKS, *_PLACES)}
    found = _kinds_or_shade(own, None, of=name) if alone and own else ()
    if found and found[0].kinds:
        return Layer(name, found[0].values, found[0].kinds, at, present=group.mask)
    return Layer(name, at=at, present=group.mask)


def _cells_of(grid: Grid, group: Group) -> np.ndarray | None:
    """The cell of each agent of a group, (frames, agents), where it holds one."""
    for name in _PLACES:
        array = group.arrays.get(name)
        if array is None or not np.issubdtype(array.dtype, np.integer):
            continue
        if array.ndim == 2:
            return array
        if array.ndim == 3 and array.shape[2] == 2:
            return array[..., 0] * grid.columns + array[..., 1]
    return None


def _laid(seats: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What belongs to slots, on their cells, frame by frame."""
    laid = np.zeros_like(values)
    np.put_along_axis(laid, seats, values, axis=1)
    return laid


def _in_box(box: Box, groups: list[Group]) -> tuple[Layer, ...]:
    """Agents at their positions, coloured by their kinds, or by a number."""
    layers = []
    for group in groups:
        pairs = [(n, a) for n, a in group.arrays.items() if a.ndim == 3 and a.shape[2] == len(box.sides)]
        if not pairs:
            continue
        inside = [n for n, a in pairs if (a >= -1e-3).all() and (a <= np.asarray(box.sides) + 1e-3).all()]
        place = inside[0] if inside else pairs[0][0]
        way = next((array for name, array in pairs if name != place), None)
        at = group.arrays[place]
        own = {n: a for n, a in group.arrays.items() if a.ndim == 2 and a.shape[1] == at.shape[1] and n not in _MASKS}
        values, kinds = None, ()
        if own:
            (found,) = _kinds_or_shade(own, None, of=group.name or "agents")
            values, kinds = found.values, found.kinds
        layers.append(Layer(group.name or "agents", values, kinds, at, way, group.mask))
    return tuple(layers)


def _of_agents(groups: list[Group], size: int) -> tuple[Layer, ...]:
    """Agents in their order, by kind or by a number."""
    own: dict[str, np.ndarray] = {}
    mask: np.ndarray | None = None
    for group in groups:
        for name, array in group.arrays.items():
            if array.ndim == 2 and array.shape[1] == size:
                if name in _MASKS:
                    mask = array if mask is None else mask
                else:
                    own.setdefault(name, array)
    return _kinds_or_shade(own, mask, of="agents")


def _kinds_or_shade(arrays: dict[str, np.ndarray], mask: np.ndarray | None, of: str) -> tuple[Layer, ...]:
    """One layer of kinds, made of those arrays of 0 and 1 that exclude each other; else of a few whole numbers; else of
    the first array's numbers.
    """
    arrays = {"" if name.isdigit() and len(arrays) == 1 else name: array for name, array in arrays.items()}
    flags = {name: array > 0 for name, array in arrays.items() if _is_flag(array, mask)}
    chosen: dict[str, np.ndarray] = {}
    for name, flag in flags.items():
        if flag.any() and not any((flag & other).any() for other in chosen.values()):
            chosen[name] = flag
    if chosen:
        codes = sum((place + 1) * flag for place, flag in enumerate(chosen.values()))
        return (_masked(of, np.asarray(codes), _called(list(chosen), mask is not None), mask),)
    if mask is not None and not arrays:
        return (Layer(of, mask > 0, ("empty", "present")),)
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.integer) and 0 <= array.min() < array.max() < _FEW:
            kinds = tuple(f"{name} {value}".strip() for value in range(int(array.max()) + 1))
            return (_masked(of, array, kinds, mask),)
    return tuple(Layer(name or "number", array, present=mask) for name, array in list(arrays.items())[:1])


def _called(names: list[str], masked: bool) -> tuple[str, ...]:
    """The names of kinds that are flags, with a name for those who have no flag before them."""
    if len(names) > 1:
        return ("neither" if len(names) == 2 else "none of these", *names)
    name = names[0]
    return (f"{name} 0".strip(), f"{name} 1".strip()) if masked or not name else (f"not {name}", name)


def _masked(of: str, codes: np.ndarray, kinds: tuple[str, ...], mask: np.ndarray | None) -> Layer:
    if mask is None:
        return Layer(of, codes, kinds)
    return Layer(of, np.where(mask > 0, codes + 1, 0), ("empty", *kinds))


def _is_flag(array: np.ndarray, mask: np.ndarray | None) -> bool:
    """Whether it holds 0 and 1 only, and not all alike among those who are there."""
    if not ((array == 0) | (array == 1)).all():
        return False
    seen = array if mask is None or mask.shape != array.shape else array[mask > 0]
    return bool(seen.size) and seen.min() != seen.max()
