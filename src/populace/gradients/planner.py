"""How to take a derivative in the memory there is: everything kept, steps or stretches computed again, or forwards.

What a way needs is not guessed: each is compiled, and the compiler's own plan of its buffers is read.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import jax
import jax.random as jr
from jaxtyping import Array

from .._errors import GradientError
from .._results import Cell, Result, Section, Table
from ..core.executor import free_memory
from ..core.plug import Plug
from ..core.simulate import Recompute
from .differences import Differences, count
from .estimator import PerKey
from .loss import ExpectedLoss
from .pathwise import ForwardMode, Pathwise
from .straight_through import StraightThrough

_SHARE = 0.5


@final
@dataclass(frozen=True)
class Way:
    """A way to take the derivative: `bytes` at the peak beside the model itself, `cost` in forward runs (nominal)."""

    name: str
    estimator: PerKey
    bytes: int
    cost: float


@final
@dataclass(frozen=True)
class GradientPlan(Result):
    """The ways to take a derivative, which one was chosen, and in what memory."""

    ways: tuple[Way, ...]
    chosen: int
    memory: int

    @property
    def estimator(self) -> PerKey:
        """The chosen way as an estimator."""
        return self.ways[self.chosen].estimator

    @property
    def sentence(self) -> str:
        """What was chosen, and why."""
        way = self.ways[self.chosen]
        return (
            f"{way.name}: {_size(way.bytes)} of the {_size(self.memory)} that may be used, about {way.cost:.3g} "
            "forward runs a gradient; of the ways that fit it is the cheapest."
        )

    def sections(self) -> tuple[Section, ...]:
        rows: list[tuple[Cell, ...]] = [
            (way.name, way.bytes / 2**20, way.cost, "chosen" if i == self.chosen else _fits(way, self.memory))
            for i, way in enumerate(self.ways)
        ]
        table = Table("Ways to take the derivative", ("way", "MB at the peak", "forward runs", ""), tuple(rows))
        return (Section("Gradient plan", (self.sentence,), tables=(table,)),)

    def record(self) -> dict[str, Any]:
        return {
            "chosen": self.ways[self.chosen].name,
            "memory": self.memory,
            "ways": {way.name: {"bytes": way.bytes, "cost": way.cost} for way in self.ways},
        }


def plan_gradient(
    expected: ExpectedLoss,
    *,
    at: Mapping[str, Any] | None = None,
    memory: int | None = None,
    relaxations: tuple[Plug, ...] = (StraightThrough(),),
) -> GradientPlan:
    """Choose how to differentiate one run: the cheapest way whose compiled buffers fit the memory.

    **Arguments:** `at`: as for `differentiate`; `memory`: bytes that a gradient may use beside the model (half of the
    free memory by default); `relaxations`: of the pathwise ways.

    **Returns:** a `GradientPlan`; its `estimator` is for `differentiate` and for `GradientDescent`.

    **Raises:** `GradientError` when nothing fits, with what the least hungry way needs.
    """
    point = expected.at(at)
    limit = int(free_memory() * _SHARE) if memory is None else memory
    size, steps = count(point), expected.simulation.steps
    root = max(2, math.isqrt(steps))
    ways = [
        _way("reverse, everything kept", Pathwise(relaxations, None), expected, point, 3.0),
        _way("reverse, steps computed again", Pathwise(relaxations, Recompute()), expected, point, 4.0),
        _way(f"reverse, {root} stretches run again", Pathwise(relaxations, Recompute(root)), expected, point, 5.0),
        _way("forward", ForwardMode(relaxations), expected, point, 1.0 + 1.5 * size),
        _way("differences", Differences(), expected, point, 2.0 * size),
    ]
    pathwise = [i for i, way in enumerate(ways[:-1]) if way.bytes <= limit]
    fitting = pathwise or [i for i, way in enumerate(ways) if way.bytes <= limit]
    if not fitting:
        least = min(ways, key=lambda way: way.bytes)
        raise GradientError(
            f"no way fits {_size(limit)}: {least.name} takes {_size(least.bytes)}; give more memory, or fewer agents"
        )
    return GradientPlan(tuple(ways), min(fitting, key=lambda i: ways[i].cost), limit)


def _way(name: str, one: PerKey, expected: ExpectedLoss, at: dict[str, Array], cost: float) -> Way:
    compiled = jax.jit(lambda at, key: one.one(expected, at, key)).lower(at, jr.key(0)).compile()
    plan = compiled.memory_analysis()
    if plan is None:
        raise GradientError("this device does not say what memory a gradient takes: choose `recompute` yourself")
    return Way(name, one, int(plan.temp_size_in_bytes + plan.output_size_in_bytes), cost)


def _fits(way: Way, memory: int) -> str:
    return "fits" if way.bytes <= memory else "too large"


def _size(count: int) -> str:
    return f"{count / 2**30:.2g} GB" if count >= 2**29 else f"{count / 2**20:.3g} MB"
