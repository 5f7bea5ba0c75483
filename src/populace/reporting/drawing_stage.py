"""Looks as panels: one stage for all frames of a film, so that colours, shades and places mean the same in each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._errors import OutputError
from .._results import BarPanel, Marks, Panel, ScenePanel
from ..interact.box import Box
from ..interact.dynamic_network import DynamicNetwork
from ..interact.grid import Grid
from ..interact.look import Layer, Look
from ..interact.topology import Topology
from .cells import number
from .drawing_network import Map, laid_out, linked

CROWD = 4_000
"""Points from which on a plane is drawn as numbers of agents a tile, and a network with a point for several agents."""
_TILES = 100
_SPARSE = 2_500
"""Cells up to which agents on a grid are points; beyond it cells are coloured by who is on them."""
_FEW = 500
"""Agents up to which they are points on a grid of any size."""
_BARS = 30


@dataclass(frozen=True)
class Stage:
    """What is common to all frames: the `world`, and the numbers between which shades run (`span`); `places`: where
    the agents of a topology are drawn; `edges`, `top`: the bars of a distribution.
    """

    world: Grid | Box | Topology | None
    span: tuple[float, float]
    places: Map | None = None
    edges: np.ndarray | None = None
    top: float = 0.0

    def panel(self, look: Look, title: str) -> Panel:
        """A look of this stage as a panel."""
        look = Look(look.world, tuple(_valued(layer) for layer in look.layers))
        if isinstance(self.world, Grid):
            return _grid(self, self.world, look, title)
        if isinstance(self.world, Box):
            return _plane(self, self.world, look, title)
        if self.edges is not None:
            return _distribution(self, self.edges, look, title)
        return _agents(self, look, title)


def stage_for(looks: Sequence[Look]) -> Stage:
    """The stage of some looks of one model.

    **Raises:** `OutputError` where they are not of one world.
    """
    world = looks[0].world
    if any(type(look.world) is not type(world) or len(look.layers) != len(looks[0].layers) for look in looks):
        raise OutputError("the looks of a film have one world and the same layers: draw the others on their own")
    shades = [np.asarray(layer.values)[_there(layer)] for look in looks for layer in look.layers if _shaded(layer)]
    span = _span(shades)
    if isinstance(world, Box) and _crowded(looks[0]):
        tiles = [_tiles(world, layer) for look in looks for layer in look.layers]
        span = (0.0, float(max(tile.max() for tile in tiles)))
    if isinstance(world, Grid | Box):
        return Stage(world, _on_cells(world, looks, span))
    if shades and world is None:
        edges = _bars(np.concatenate([values.ravel() for values in shades]))
        counts = [np.histogram(values, edges)[0].max() for values in shades]
        return Stage(world, span, edges=edges, top=float(max(counts)))
    latest = looks[-1].world
    if isinstance(latest, DynamicNetwork):  # who is tied in the end stands together from the beginning
        return Stage(world, span, laid_out(latest))
    return Stage(world, span, None if world is None else laid_out(world))


def _valued(layer: Layer) -> Layer:
    """Of cells or of a topology's agents, who are only there or not, this is what they are."""
    if layer.values is not None or layer.at is not None:
        return layer
    return Layer(layer.name, _there(layer).astype(float), ("nobody", layer.name))


def _shaded(layer: Layer) -> bool:
    return layer.values is not None and not layer.kinds


def _there(layer: Layer) -> np.ndarray:
    """Who of a layer is there, bool."""
    array = next(np.asarray(a) for a in (layer.present, layer.values, layer.at, layer.way) if a is not None)
    return array > 0 if layer.present is not None else np.ones(array.shape[:1], bool)


def _span(shades: Sequence[np.ndarray]) -> tuple[float, float]:
    flat = np.concatenate([np.zeros(0), *(np.ravel(np.asarray(values, np.float64)) for values in shades)])
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        return 0.0, 1.0
    low, high = float(flat.min()), float(np.quantile(flat, 0.995))
    return (low, high) if high > low else (low, max(float(flat.max()), low + 1.0))


def _crowded(look: Look) -> bool:
    return sum(int(_there(layer).sum()) for layer in look.layers) > CROWD


# --- one function a kind of world


def _grid(stage: Stage, grid: Grid, look: Look, title: str) -> ScenePanel:
    size = {"title": title, "width": float(grid.columns), "height": float(grid.rows), "brick": grid.near.offset}
    ground = [layer for layer in look.layers if layer.at is None]
    movers = [layer for layer in look.layers if layer.at is not None]
    cells, kinds, of = None, (), ""
    if ground:
        values = np.where(_there(ground[0]), np.asarray(ground[0].values, np.float64), np.nan)
        cells, kinds, of = values.reshape(grid.rows, grid.columns), ground[0].kinds, ground[0].name
    if movers and not _as_points(grid, look):
        cells, kinds = _who_is_where(grid, movers)
        of = f"{movers[0].name} a cell"
        movers = []
    if cells is None:
        cells, kinds = np.zeros((grid.rows, grid.columns)), ("ground",)
    marks = tuple(each for turn, layer in enumerate(movers) for each in _standing(grid, layer, turn, len(movers)))
    return ScenePanel(cells=cells, kinds=kinds, of=of, span=stage.span, marks=marks, **size)


def _as_points(grid: Grid, look: Look) -> bool:
    agents = sum(int(_there(layer).sum()) for layer in look.layers if layer.at is not None)
    return agents <= (CROWD if grid.size <= _SPARSE else _FEW)


def _on_cells(world: Grid | Box, looks: Sequence[Look], span: tuple[float, float]) -> tuple[float, float]:
    """The span where one sort of agents is counted by cell: from none to the most."""
    movers = [layer for look in looks for layer in look.layers if layer.at is not None]
    alone = isinstance(world, Grid) and len({layer.name for layer in movers}) == 1
    if not (isinstance(world, Grid) and alone) or _as_points(world, looks[0]):
        return span
    return 0.0, float(max(_counted(world, layer).max() for layer in movers))


def _counted(grid: Grid, layer: Layer) -> np.ndarray:
    at = np.asarray(layer.at)[_there(layer)].astype(int)
    return np.bincount(at[(at >= 0) & (at < grid.size)], minlength=grid.size)


def _who_is_where(grid: Grid, movers: Sequence[Layer]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Cells by the sort of agents that most of its agents are; numbers of agents where there is one sort."""
    counts = np.stack([_counted(grid, layer) for layer in movers])
    if len(movers) == 1:
        return counts[0].reshape(grid.rows, grid.columns).astype(float), ()
    kinds = np.where(counts.any(axis=0), counts.argmax(axis=0) + 1, 0)
    return kinds.reshape(grid.rows, grid.columns), ("nobody", *(layer.name for layer in movers))


def _standing(grid: Grid, layer: Layer, turn: int, turns: int) -> tuple[Marks, ...]:
    """Agents on their cells, a little beside the middle, so that those who share one are seen."""
    at = np.asarray(layer.at).astype(int)
    slot = np.arange(at.size)
    angle = 2 * np.pi * ((slot * 0.618) % 1.0 + turn / max(turns, 1))
    off = 0.24 * np.sqrt((slot * 0.755) % 1.0)
    row, column = np.divmod(at, grid.columns)
    shift = np.where(row % 2 == 1, 0.5, 0.0) if grid.near.offset else 0.0
    x, y = column + 0.5 + shift + off * np.cos(angle), grid.rows - row - 0.5 + off * np.sin(angle)
    return _sorted_by_kind(layer, x, y)


def _tiles(box: Box, layer: Layer) -> np.ndarray:
    """How many agents are on each tile of a plane, the first row on top."""
    at = np.asarray(layer.at, np.float64)[_there(layer)][:, :2]
    rows = max(1, round(_TILES * box.sides[1] / box.sides[0]))
    counts = np.histogram2d(at[:, 1], at[:, 0], (rows, _TILES), ((0, box.sides[1]), (0, box.sides[0])))[0]
    return counts[::-1]


def _plane(stage: Stage, box: Box, look: Look, title: str) -> ScenePanel:
    width, height = box.sides[:2]
    if _crowded(look):
        total = np.sum([_tiles(box, layer) for layer in look.layers], axis=0)
        return ScenePanel(title, width, height, cells=total, of="agents a tile", span=stage.span)
    marks = tuple(each for layer in look.layers for each in _sorted_by_kind(layer, *_position(layer)))
    note = "The third axis is not drawn." if len(box.sides) == 3 else ""
    kinds = next((layer.kinds for layer in look.layers if layer.kinds), ())
    shown = {"kinds": kinds, "of": look.layers[0].name, "span": stage.span, "note": note}
    return ScenePanel(title, width, height, marks=marks, **shown)


def _position(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    at = np.asarray(layer.at, np.float64)
    return at[:, 0], at[:, 1]


def _sorted_by_kind(layer: Layer, x: np.ndarray, y: np.ndarray) -> tuple[Marks, ...]:
    """Points by kind, the ground's lowest; or in one, with a shade each."""
    there = _there(layer)
    way = None if layer.way is None else np.asarray(layer.way, np.float64)[:, :2]
    if not layer.kinds:
        shade = None if layer.values is None else np.asarray(layer.values, np.float64)[there]
        return (Marks(layer.name, x[there], y[there], None if way is None else way[there], shade),)
    codes = np.asarray(layer.values).astype(int)
    picked = [(kind, there & (codes == place)) for place, kind in enumerate(layer.kinds)]
    return tuple(Marks(kind, x[who], y[who], None if way is None else way[who]) for kind, who in picked)


def _agents(stage: Stage, look: Look, title: str) -> ScenePanel:
    """Agents of a topology at their places, or of none in rows."""
    layer = look.layers[0]
    many = int(_there(layer).shape[0])
    if stage.places is None:
        columns = int(np.ceil(np.sqrt(many)))
        rows = -(-many // columns)
        cells = np.full(rows * columns, np.nan)
        cells[:many] = np.where(_there(layer), np.asarray(layer.values, np.float64), np.nan)
        shown = {"cells": cells.reshape(rows, columns), "kinds": layer.kinds, "of": layer.name, "span": stage.span}
        return ScenePanel(title, columns, rows, note="Agents in rows.", **shown)
    places = stage.places
    if isinstance(look.world, DynamicNetwork):
        places = linked(places, look.world)
    each = max(1, -(-many // CROWD))
    x, y, note = places.x, places.y, ""
    if each > 1:
        shown = np.arange(many) % each == 0
        layer = Layer(layer.name, np.asarray(layer.values)[shown], layer.kinds, present=_there(layer)[shown])
        x, y, note = x[shown], y[shown], f"One of {number(each)} agents is drawn."
    marks = _sorted_by_kind(layer, x, y)
    shown = {"links": places.links, "strength": places.strength, "note": note}
    return ScenePanel(title, 1.0, 1.0, kinds=layer.kinds, of=layer.name, span=stage.span, marks=marks, **shown)


def _bars(values: np.ndarray) -> np.ndarray:
    """Edges of bars; one a whole number where the numbers are whole and few."""
    values = values[np.isfinite(values)]
    if not values.size:
        return np.array([0.0, 1.0])
    low, high = float(values.min()), float(np.quantile(values, 0.999))
    if (values == np.round(values)).all():
        step = max(1, int(np.ceil((high - low + 1) / _BARS)))
        return np.arange(low - 0.5, high + 0.5 + step, step)
    return np.linspace(low, high if high > low else low + 1.0, _BARS + 1)


def _distribution(stage: Stage, edges: np.ndarray, look: Look, title: str) -> BarPanel:
    layer = look.layers[0]
    values = np.asarray(layer.values, np.float64)[_there(layer)].ravel()
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    above = int((values > edges[-1]).sum())
    note = f"The last bar holds {number(above)} beyond it." if above else ""
    return BarPanel(title, layer.name, "agents", edges, counts, stage.top, note)
