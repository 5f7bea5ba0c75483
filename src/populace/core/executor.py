"""Many runs of one compiled function: in chunks that fit memory, over every local device.

One run's function is written for one run. Here it is vectorised over a chunk of runs, split over the local devices,
and called chunk after chunk; what comes out is handed on as it comes, so that nothing needs to hold all of it.
"""

import functools
import math
import operator
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import Mesh, PartitionSpec
from rich.progress import Progress, TaskID

from .._errors import MethodError
from .host import shape_of_one, taken

_MEMORY_SHARE = 0.25
_LANES = 1024
_SIZES = (16, 128, 1024)
"""Runs a chunk may hold: few sizes, so that rounds of any size share a few compiled functions."""
_ENTRIES_AT_ONCE = 2**21


def use_all_cores() -> None:
    """Let JAX's CPU backend show each core as a device, so that ensembles use them all.

    For programs, called before anything is computed (the command line does); a library's import never does this.
    It changes nothing where the user has set a number of devices, or once JAX has started.
    """
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    except RuntimeError as error:
        if "initialized" not in str(error) and "before" not in str(error):
            raise


@functools.cache
def _mesh() -> Mesh:
    return Mesh(np.array(jax.local_devices()), ("runs",))


_compiled: "weakref.WeakKeyDictionary[Callable[..., Any], Callable[..., Any]]" = weakref.WeakKeyDictionary()


def batched(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`function(shared, one)` for one run, as a compiled function of (shared, many): runs on the leading axis.

    The runs are split over the local devices; their number must be a multiple of the devices'. On each device they
    go through in groups, as many at once as keep the largest array of a group near two million entries: enough to
    pay for the calls, little enough for the caches. Compiled once for each shape.
    """
    known = _compiled.get(function)
    if known is not None:
        return known

    @eqx.filter_jit
    def run(shared: Any, many: Any) -> Any:
        arrays = eqx.filter(shared, eqx.is_array)
        traced = _trace(function, shared, shape_of_one(many))
        lanes = _lanes(traced.jaxpr.jaxpr)

        def on_device(arrays: Any, many: Any) -> Any:
            group = min(lanes, jax.tree.leaves(many)[0].shape[0])
            return jax.lax.map(lambda one: traced(arrays, one), many, batch_size=group)

        spec = PartitionSpec("runs")
        return jax.shard_map(
            on_device, mesh=_mesh(), in_specs=(PartitionSpec(), spec), out_specs=spec, check_vma=False
        )(arrays, many)

    _compiled[function] = run
    return run


class _Traced(NamedTuple):
    """A function of one run as a program: what it does, and how its results hang together."""

    jaxpr: Any
    results: Any

    def __call__(self, arrays: Any, one: Any) -> Any:
        out = jaxpr_as_fun(self.jaxpr)(*jax.tree.leaves((arrays, one)))
        return jax.tree.unflatten(jax.tree.structure(self.results), out)

    def bytes(self) -> int:
        """Of one run's results."""
        return int(sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.results)))


_KEPT = 64
_traces: "OrderedDict[Any, _Traced]" = OrderedDict()
"""The last few functions that were traced: their size is asked before they are compiled, and a model's rules take
longer to trace than to count.
"""


def _trace(function: Callable[[Any, Any], Any], shared: Any, one: Any) -> _Traced:
    """The program of `function(shared, one)`, traced once for each shape of the arguments."""
    arrays, static = eqx.partition(shared, eqx.is_array)
    dynamic = jax.tree.map(_shape, (arrays, one))
    leaves, structure = jax.tree.flatten((dynamic, static), is_leaf=lambda x: isinstance(x, jax.ShapeDtypeStruct))
    mark = (function, structure, tuple(leaves))
    found = _traces.pop(mark, None)
    if found is None:
        made = jax.make_jaxpr(lambda a, x: function(eqx.combine(a, static), x), return_shape=True)
        found = _Traced(*made(*dynamic))
    _traces[mark] = found
    while len(_traces) > _KEPT:
        _traces.popitem(last=False)
    return found


def _lanes(jaxpr: Any) -> int:
    return int(np.clip(_ENTRIES_AT_ONCE // max(1, _largest(jaxpr)), 1, _LANES))


def _largest(jaxpr: Any) -> int:
    """The entries of the largest array that a program makes, shared inputs aside."""
    most = 1
    for equation in jaxpr.eqns:
        for out in equation.outvars:
            most = max(most, math.prod(getattr(out.aval, "shape", ())))
        for inner in _inner(equation):
            most = max(most, _largest(inner))
    return most


def largest(function: Callable[..., Any], *arguments: Any) -> int:
    """The entries of the largest array that a function makes of these arguments."""
    return _largest(jax.make_jaxpr(function)(*arguments).jaxpr)


def _inner(equation: Any) -> Iterator[Any]:
    for value in equation.params.values():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            closed = getattr(item, "jaxpr", item)
            if hasattr(closed, "eqns"):
                yield closed


def chunk_size(function: Callable[[Any, Any], Any], shared: Any, many: Any, memory: int | None = None) -> int:
    """How many of the `many` runs to hold at a time: their results take at most a quarter of the free memory.

    **Arguments:** `memory`: bytes to use instead of the machine's free ones.
    """
    runs = jax.tree.leaves(many)[0].shape[0]
    each = _trace(function, shared, shape_of_one(many)).bytes()
    budget = memory if memory is not None else int(free_memory() * _MEMORY_SHARE)
    fits = max(1, int(budget // max(1, each)))
    devices = len(jax.local_devices())
    wanted = next(size for size in _SIZES if runs <= 8 * size or size == _SIZES[-1])
    return max(devices, min(wanted, fits) // devices * devices)


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    weak = bool(getattr(leaf, "weak_type", False))
    return jax.ShapeDtypeStruct(jnp.shape(leaf), getattr(leaf, "dtype", None) or jnp.result_type(leaf), weak_type=weak)


def free_memory() -> int:
    """Bytes that the machine has free, or 2 GB where it does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 2**31


def chunks(
    function: Callable[[Any, Any], Any],
    shared: Any,
    many: Any,
    *,
    size: int,
    progress: "Ticker | None" = None,
) -> Iterator[Any]:
    """The results of `function(shared, one)` over `many`, chunk by chunk as host arrays (runs, ...).

    The last chunk is filled up with repeats, which are dropped, so that one compiled function serves all.
    """
    runs = jax.tree.leaves(many)[0].shape[0]
    devices = len(jax.local_devices())
    if size % devices:
        raise MethodError(f"a chunk of {size} runs does not split over {devices} devices")
    call = batched(function)
    for start in range(0, runs, size):
        rows = np.minimum(np.arange(start, start + size), runs - 1)
        out = call(shared, taken(many, rows))
        kept = min(size, runs - start)
        yield jax.tree.map(operator.itemgetter(slice(kept)), jax.tree.map(np.asarray, out))
        if progress is not None:
            progress.advance(kept)


class Ticker:
    """Counts work done on a line of a progress display; without a display it only counts."""

    def __init__(self, display: Progress | None, text: str, total: int):
        self._display = display
        self._task: TaskID | None = display.add_task(text, total=total) if display is not None else None
        self.done = 0

    def advance(self, amount: int) -> None:
        """`amount` more is done."""
        self.done += amount
        if self._display is not None and self._task is not None:
            self._display.advance(self._task, amount)

    def say(self, text: str) -> None:
        """Change the line's text."""
        if self._display is not None and self._task is not None:
            self._display.update(self._task, description=text)


def stack_rows(parts: list[Any]) -> Any:
    """Chunks of a tree of host arrays, joined along runs."""
    return parts[0] if len(parts) == 1 else jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
