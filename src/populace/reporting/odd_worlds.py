"""Where the agents of a model live and who meets whom, in sentences."""

from collections.abc import Iterator
from functools import singledispatch
from typing import Any

import equinox as eqx
import numpy as np

from ..core.model import Model
from ..interact.box import Box
from ..interact.dynamic_network import DynamicNetwork
from ..interact.grid import Grid
from ..interact.layers import Layered
from ..interact.mixing import ContactMatrix, Groups, WellMixed
from ..interact.network import Network
from ..interact.topology import Topology
from ..zoo.sublattices import Sublattices
from .cells import number


@singledispatch
def world_sentence(world: Any) -> str:
    """What a world is, in words without a full stop."""
    name = type(world).__name__
    return f"{name} of {number(world.size)} agents" if isinstance(world, Topology) else name


@world_sentence.register
def _(world: Grid) -> str:
    near = f"{type(world.near).__name__} neighbourhood of radius {world.near.radius}"
    return f"{_closed(world.periodic)} grid of {world.rows} x {world.columns} cells, {near}"


@world_sentence.register
def _(world: Box) -> str:
    sides = " x ".join(number(side) for side in world.sides)
    return f"{_closed(world.periodic)} continuous space of {sides}"


@world_sentence.register
def _(world: Sublattices) -> str:
    return f"periodic lattice of {world.rows} x {world.columns} cells, updated one by one"


@world_sentence.register
def _(world: Network) -> str:
    degree = np.asarray(world.degree(), np.float64)
    kind = "directed" if world.directed else "undirected"
    weights = "" if world.cumulative is None else " with weights"
    spread = f"{number(float(degree.min()))} to {number(float(degree.max()))}"
    return f"{kind} network{weights} of {number(world.size)} agents, mean degree {number(degree.mean())} ({spread})"


@world_sentence.register
def _(world: DynamicNetwork) -> str:
    return f"network whose ties change, at the start an {world_sentence(world.network())}"


@world_sentence.register
def _(world: WellMixed) -> str:
    return f"well-mixed population of {number(world.size)} agents: everybody meets everybody"


@world_sentence.register
def _(world: Groups) -> str:
    count = np.asarray(world.members.count)
    return (
        f"{number(world.size)} agents in {number(count.size)} groups of {number(count.min())} to "
        f"{number(count.max())}, who meet the others of their group"
    )


@world_sentence.register
def _(world: ContactMatrix) -> str:
    return f"{number(world.size)} agents in {number(world.members.groups)} groups that mix by a contact matrix"


@world_sentence.register
def _(world: Layered) -> str:
    parts = "; ".join(f"{name}: {world_sentence(layer)}" for name, layer in world.layers.items())
    return f"{len(world.layers)} layers over the same agents ({parts})"


def worlds(model: Model) -> dict[str, Any]:
    """The topologies and spaces that a model holds, by dotted name, those inside others left out."""
    return dict(_found(model, ""))


def _found(tree: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Topology | Box | Sublattices):
        yield prefix, tree
        return
    for name, child in children(tree):
        yield from _found(child, f"{prefix}.{name}" if prefix else name)


def children(tree: Any) -> list[tuple[str, Any]]:
    """What a module, dictionary or list holds, by name; nothing for anything else."""
    match tree:
        case eqx.Module():
            return [(name, getattr(tree, name, None)) for name in type(tree).__dataclass_fields__]
        case dict():
            return [(str(name), child) for name, child in tree.items()]
        case tuple() if hasattr(tree, "_fields"):
            return list(tree._asdict().items())  # pyright: ignore[reportAttributeAccessIssue]
        case list() | tuple():
            return [(str(place), child) for place, child in enumerate(tree)]
        case _:
            return []


def _closed(periodic: bool) -> str:
    return "periodic" if periodic else "bounded"
