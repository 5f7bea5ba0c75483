"""A strength that changes with time: of a measure that is tightened, eased and lifted."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from .._errors import SiteError


class Schedule(eqx.Module):
    """`values[i]` from step `starts[i]` on, until the next begins; before the first nothing is changed.

    It stands where `Override` takes a value, or `Scale` a factor: `Scale("infect", Schedule((10, 30, 60), (0.5, 0.2,
    1.0)))` halves a probability from step 10 on, takes four fifths of it from step 30 on, and lets go from step 60 on.

    **Arguments:** `starts` (n,): rising steps (init is step 0); `values` (n, ...): a number each, or an array of the
    population's shape each.

    **Raises:** `SiteError` where they do not fit each other, or steps do not rise.
    """

    starts: Int[Array, " n"] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.int32))
    values: Float[Array, "n ..."] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32))

    def __check_init__(self) -> None:
        starts, values = self.starts, self.values
        if starts.ndim != 1 or not starts.size or values.shape[:1] != starts.shape:
            raise SiteError(f"a schedule has a value for each start: not {values.shape} values for {starts.shape}")
        if not isinstance(starts, Tracer) and (np.diff(np.asarray(starts)) <= 0).any():
            raise SiteError(f"the starts of a schedule rise: not {np.asarray(starts).tolist()}")

    def at(self, time: Int[Array, ""]) -> tuple[Float[Array, "..."], Bool[Array, ""]]:
        """The value at a step, and whether the first has begun."""
        place = jnp.searchsorted(self.starts, time, side="right") - 1
        return self.values[jnp.maximum(place, 0)], place >= 0


def at_time(strength: Any, time: Int[Array, ""]) -> tuple[Any, Bool[Array, ""]]:
    """A strength at a step, and whether it is in force: one that does not change always is."""
    return strength.at(time) if isinstance(strength, Schedule) else (strength, jnp.array(True))
