"""One large population over several devices: its agents are split, everything else is on each of them.

The program is that of one device. JAX is told where the arrays lie, its compiler (GSPMD; Xu et al. 2021,
arXiv:2105.04663) divides the work and puts in what must cross, and what comes out is the same by construction: a wrong
guess of what holds agents costs time, never a number. Random numbers are folded from a counter, and a device makes
those of its own agents.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from .._errors import ModelError
from .._types import State
from .draw import Draw
from .model import Model

AXIS = "agents"


@dataclass(frozen=True)
class Shards:
    """Split the agents of one run over devices, as in `simulate(model, key, steps, shards=Shards())`.

    **Arguments:**

    - `devices`: where to; all local ones if not said. `jax.config.update("jax_num_cpu_devices", 2)`, before JAX
      starts, makes two of a processor.
    - `agents`: how many agents there are, or several numbers for several populations: what has so many entries on its
      leading axis is split. If not said, the shapes of the model's sites say it: the largest population, and others
      that the devices divide.

    Counts and choices are those of one device, exactly. Sums of floats are added up in another order: the same within
    1e-6 of their size, or as far as a chaotic model drives such a difference apart.

    **Raises:** `ModelError`, in `simulate`, if no population is found or the devices do not divide it.
    """

    devices: tuple[jax.Device, ...] | None = None  # pyright: ignore[reportInvalidTypeForm]
    agents: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        found = self.places
        if not found or len(set(found)) < len(found):
            raise ModelError(f"agents are split over one device or more, each named once, not over {list(found)}")

    @property
    def places(self) -> tuple[jax.Device, ...]:  # pyright: ignore[reportInvalidTypeForm]
        """The devices."""
        return tuple(jax.local_devices() if self.devices is None else self.devices)


class Spread(Model):
    """A model whose state is kept split: the leading axis of what holds `populations` agents, over the mesh."""

    model: Model
    mesh: Mesh = eqx.field(static=True)
    populations: tuple[int, ...] = eqx.field(static=True)

    def init(self, draw: Draw) -> State:
        return self._split(self.model.init(draw))

    def step(self, draw: Draw, state: State) -> State:
        return self._split(self.model.step(draw, state))

    def observe(self, state: State) -> dict[str, Array]:
        return self.model.observe(state)

    def placed(self, tree: Any) -> Any:
        """A state, or a memory, on the devices."""
        return jax.tree.map(lambda leaf: jax.device_put(leaf, self._lies(leaf)), tree)

    def _split(self, state: State) -> State:
        def one(leaf: Any) -> Any:
            return jax.lax.with_sharding_constraint(leaf, self._lies(leaf)) if eqx.is_array(leaf) else leaf

        return jax.tree.map(one, state)

    def _lies(self, leaf: Any) -> NamedSharding:
        split = np.ndim(leaf) > 0 and np.shape(leaf)[0] in self.populations
        return NamedSharding(self.mesh, PartitionSpec(AXIS) if split else PartitionSpec())


def spread(model: Model, shards: Shards, shapes: list[tuple[int, ...]], state: State) -> Spread:
    """The model on the devices: its arrays of the size of a population, and larger ones, are split too.

    **Arguments:** `shapes`: of the model's sites; `state`: arrays, or their shapes, as `init` makes them.
    """
    mesh = Mesh(np.array(shards.places), (AXIS,))
    held = {leaf.shape[0] for leaf in jax.tree.leaves(state) if getattr(leaf, "shape", ())}
    populations = _populations(shards, {shape[0] for shape in shapes if shape}, held)
    arrays, rest = eqx.partition(model, eqx.is_array)
    arrays = jax.tree.map(
        lambda leaf: jax.device_put(leaf, NamedSharding(mesh, _cut(leaf, mesh.size, populations))), arrays
    )
    return Spread(eqx.combine(arrays, rest), mesh, populations)


def _populations(shards: Shards, sites: set[int], held: set[int]) -> tuple[int, ...]:
    """The sizes of what is split: those said, or those that both the sites and the state have."""
    count = len(shards.places)
    if shards.agents is None:
        found = sorted(sites & held)
        if not found:
            raise ModelError(
                f"no site of the model is drawn for as many agents as its state holds (sites {sorted(sites)}, leading "
                f"axes of the state {sorted(held)}): say how many there are, Shards(agents=...)"
            )
        _divides(found[-1], count)
        return tuple(size for size in found if size % count == 0)
    said = (shards.agents,) if isinstance(shards.agents, int) else tuple(shards.agents)
    for size in said:
        if size not in held:
            raise ModelError(
                f"Shards(agents={shards.agents}): nothing in the state has {size} entries on its leading axis, which "
                f"has {sorted(held)}: say one of these, or leave agents out"
            )
        _divides(size, count)
    return said


def _divides(agents: int, count: int) -> None:
    if agents % count:
        below = agents - agents % count
        fewer = max(n for n in range(1, count) if agents % n == 0)
        raise ModelError(
            f"{agents} agents do not split evenly over {count} devices: simulate {below or count} or {below + count}, "
            f"or split over {fewer}, Shards(devices=tuple(jax.local_devices()[:{fewer}]))"
        )


def _cut(leaf: Array, count: int, populations: tuple[int, ...]) -> PartitionSpec:
    """How an array of the model lies: split along its agents, or, if it is large (edges), along its longest axis."""
    whole = PartitionSpec()
    if not leaf.ndim:
        return whole
    axis = 0 if leaf.shape[0] in populations else int(np.argmax(leaf.shape))
    large = leaf.shape[0] in populations or leaf.size >= max(populations)
    if not large or leaf.shape[axis] % count:
        return whole
    return PartitionSpec(*(AXIS if at == axis else None for at in range(leaf.ndim)))
