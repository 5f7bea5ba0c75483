"""Policies that were trained elsewhere, as policies of ours: functions of JAX, and any other ones."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.policy import Act, Policy
from .actions import Actions, Continuous, Discrete, Mixed
from .policies import as_vector

_PIECE = 2**14
"""Numbers that are handed to the host in one array: so few are copied at once, and nothing waits."""


def legal(actions: Actions, given: Any, lead: tuple[int, ...] = ()) -> Any:
    """What was decided elsewhere, as actions that the model takes.

    `Continuous`: float32, held between `low` and `high`. `Discrete`: int32, held between 0 and `count` - 1; whether the
    option is `allowed` now is not asked: what the model makes of it holds. `Mixed`: a dictionary of these.

    **Arguments:** `given`: numpy, JAX or Python numbers, (*lead, *shape of one action), or with one more axis of
    length 1; `lead`: the axes before one action's.

    **Raises:** `MethodError` for other shapes or other names.
    """
    match actions:
        case Mixed(parts=parts):
            if not isinstance(given, Mapping) or set(given) != set(parts):
                said = sorted(given) if isinstance(given, Mapping) else type(given).__name__
                raise MethodError(f"an action is a dictionary of {sorted(parts)}, not {said}")
            return {name: legal(part, given[name], lead) for name, part in parts.items()}
        case Discrete(count=count):
            return jnp.clip(_shaped(given, lead).astype(jnp.int32), 0, count - 1)
        case Continuous(low=low, high=high, shape=shape):
            return jnp.clip(_shaped(given, (*lead, *shape)).astype(jnp.float32), low, high)
        case _:
            return jax.tree.map(jnp.asarray, given)


def _shaped(given: Any, shape: tuple[int, ...]) -> Array:
    array = jnp.asarray(given)
    if array.shape not in (shape, (*shape, 1)):
        raise MethodError(f"actions have shape {array.shape}, not {shape}: the population first, then one agent's axes")
    return array.reshape(shape)


class FunctionPolicy(Policy):
    """A function of JAX that was trained elsewhere decides: from one agent's view as a float32 vector (d,) to its
    action, which is clipped and converted as `actions` say (see `legal`).

    **Arguments:** `function`: a plain function, or a module of arrays (an `equinox` network), which then are arrays of
    the policy: with `Learner(types=)` types stand on their leading axis. The vector holds the view's leaves one after
    the other, dictionaries by sorted names, as in the environments.
    """

    actions: Actions
    arrays: Any
    rest: Any = eqx.field(static=True)

    def __init__(self, function: Callable[[Float[Array, " d"]], Any], actions: Actions):
        self.actions = actions
        arrays, self.rest = eqx.partition(function, lambda leaf: isinstance(leaf, (jax.Array, np.ndarray)))
        self.arrays = jax.tree.map(jnp.asarray, arrays)

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        return Act(legal(self.actions, eqx.combine(self.arrays, self.rest)(as_vector(view))))


class CallbackPolicy(Policy):
    """A function outside JAX decides (PyTorch, scikit-learn, a table): from the views of many agents, float32 numpy
    (agents, d), to their actions, (agents, ...) or for `Mixed` a dictionary of these, clipped and converted as
    `actions` say (see `legal`).

    It is called on the host once a step with the whole population; where runs go side by side, with the agents of all
    of them. So it must treat each row by itself, give the same for the same, and not call JAX, which waits for it.
    What it raises comes out as JAX's own error, with its message. No gradient passes.
    """

    function: Callable[[np.ndarray], Any] = eqx.field(static=True)
    actions: Actions

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        blank = jnp.zeros(self.actions.width)
        one = jax.eval_shape(lambda view: self.actions.action(self.actions.mode(blank, view)), view)

        found = _together(self.function, one)(as_vector(view)[None])
        return Act(legal(self.actions, jax.tree.map(lambda leaf: leaf[0], found)))


def _together(function: Callable[[np.ndarray], Any], one: Any) -> Callable[[Float[Array, "rows d"]], Any]:
    """A function on the host as one of JAX, (rows, d) to a tree of (rows, ...) shaped like `one`; vectorised, it is
    called once with all rows.

    The rows travel in small pieces: a large one JAX copies in one of the threads that the callbacks block, and with a
    device a core waits for ever (jax-ml/jax#24255).
    """

    @jax.custom_batching.custom_vmap
    def asked(rows: Array) -> Any:
        wanted = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows.shape[0], *leaf.shape), leaf.dtype), one)
        numbers, shape = rows.ravel(), rows.shape

        def on_host(*pieces: Any) -> Any:
            return _as_wanted(function(np.concatenate([np.asarray(piece) for piece in pieces]).reshape(shape)), wanted)

        pieces = [numbers[start : start + _PIECE] for start in range(0, numbers.size, _PIECE)]
        return jax.pure_callback(on_host, wanted, *pieces)

    @asked.def_vmap
    def _(size: int, batched: Any, rows: Array) -> Any:
        found = asked(rows.reshape(-1, rows.shape[-1]))
        spread = jax.tree.map(lambda leaf: leaf.reshape(size, -1, *leaf.shape[1:]), found)
        return spread, jax.tree.map(lambda leaf: True, found)

    return asked


def _as_wanted(found: Any, wanted: Any) -> Any:
    """What a function on the host returned, as numpy arrays of these shapes and dtypes."""
    if isinstance(wanted, dict):
        return {name: _as_wanted(found[name], part) for name, part in wanted.items()}
    array = np.asarray(found)
    if array.shape not in (wanted.shape, (*wanted.shape, 1)):
        raise MethodError(f"CallbackPolicy: the function returned an array of shape {array.shape}, not {wanted.shape}")
    return array.reshape(wanted.shape).astype(wanted.dtype)
