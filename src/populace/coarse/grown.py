"""A lift that the model makes itself: it runs from its own beginning until a variable has the value that is wanted."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._errors import MethodError
from .._types import State
from ..core.draw import Draw
from ..core.model import Model
from .coarse import Lift


def grown(model: Model, variable: str, steps: int) -> Lift:
    """States as the model comes to them: what lies on its own way has the correlations that the model makes.

    **Arguments:** `variable`: the observation that says when to stop, at the value of the macro variable of that name;
    `steps`: how many at the most. A run that does not get there stays where it ends: its drift is then compared at the
    value that it has.
    """
    if steps < 1:
        raise MethodError(f"a state grows for one step at least, not {steps}")

    def lift(macro: dict[str, Array], draw: Draw) -> State:
        state = model.init(draw.child("begin"))
        first = model.observe(state)[variable]
        way = jnp.where(first < macro[variable], 1.0, -1.0)

        def on(draw: Draw, _: Array, state: State) -> State:
            there = way * (model.observe(state)[variable] - macro[variable]) >= 0
            after = model.step(draw, state)
            return jax.tree.map(lambda old, new: jnp.where(there, old, new), state, after)

        return draw.loop("grow", steps, on, state)

    return lift
