"""What is drawn of a state: a world and what stands in it. Nothing of a model's dynamics reads it."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import ArrayLike

from .._errors import ModelError
from .box import Box
from .grid import Grid
from .topology import Topology


@dataclass(frozen=True)
class Layer:
    """Agents or cells of a look.

    **Arguments:**

    - `name`: what they are called ("sheep", "opinion").
    - `values`: a number each, (agents,) or (cells,): with `kinds` the place of each one's kind in that list, the first
      of which is the ground that others stand out from; without, a number drawn as a shade. None: all alike.
    - `kinds`: what the numbers stand for ("empty", "tree", "burning").
    - `at`: where they are: on a grid the number of each one's cell (agents,); in a box positions (agents, axes), of
      which the first two are drawn. None: `values` are the cells', or the topology's agents' in order.
    - `way`: where each is heading, (agents, axes).
    - `present`: who is there, (agents,) 0 or 1; None: all.
    """

    name: str
    values: ArrayLike | None = None
    kinds: tuple[str, ...] = ()
    at: ArrayLike | None = None
    way: ArrayLike | None = None
    present: ArrayLike | None = None

    def __post_init__(self) -> None:
        sizes = {name: np.shape(getattr(self, name))[:1] for name in ("values", "at", "way", "present")}
        found = {name: size for name, size in sizes.items() if size}
        if not found:
            raise ModelError(f"layer '{self.name}' has no array: give it values, or at= where its agents are")
        if len(set(found.values())) > 1:
            raise ModelError(f"layer '{self.name}': shapes do not fit: {found}; each has an entry an agent (or a cell)")


@dataclass(frozen=True)
class Look:
    """What is drawn of a state.

    A model says it in a method `look(state)`, which nothing else calls; a function of the state does as well
    (`pop.film(..., look=...)`). Without either it is guessed from the state (`docs/howto/look.md`).

    **Arguments:** `world`: a grid, a box or a topology; None: agents are nowhere, and their numbers are drawn as a
    distribution; `layers`: what stands in it, one or more, the first lowest.
    """

    world: Grid | Box | Topology | None
    layers: tuple[Layer, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.layers:
            raise ModelError("a look has one layer or more: pop.Look(world, (pop.Layer('agents', ...),))")
