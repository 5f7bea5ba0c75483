"""What every moment must do: the laws of `populace.Moment`, for those who write their own."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._errors import TargetError
from ..problem.moment import Moment
from ..problem.target import Target

ROUNDING = 1e-4
"""How far compiled and plain results may be apart, relative to the largest number."""

Runs = Mapping[str, Array]


def check_moment(moment: Moment, observations: Mapping[str, Any]) -> None:
    """Check every law that `Moment` states; return if all hold.

    **Arguments:** `observations`: series name to (runs, times, ...), of two runs or more in which the moment is
    defined; series that it does not read may be among them.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    runs = {name: jnp.asarray(values, jnp.float32) for name, values in observations.items()}
    count = min((values.shape[0] for values in runs.values()), default=0)
    _require(count >= 2, moment, "it is checked on two runs or more: observations (runs, times, ...)")
    _says_what_it_reads(moment, runs)
    runs = {name: runs[name] for name in moment.series()}
    for law in LAWS:
        law(moment, runs)


Law = Callable[[Moment, Runs], None]


def _says_what_it_reads(moment: Moment, runs: Runs) -> None:
    _require(isinstance(moment.name, str) and bool(moment.name), moment, "its name is empty, or no text")
    _require(isinstance(moment.regular, bool), moment, "`regular` is neither True nor False")
    read = moment.series()
    named = isinstance(read, tuple) and bool(read) and all(isinstance(name, str) for name in read)
    _require(named, moment, f"series() is {read!r}, not a tuple of names")
    absent = [name for name in read if name not in runs]
    _require(not absent, moment, f"it reads {absent}, and the observations hold {list(runs)}")
    try:
        moment({name: runs[name][0] for name in read})
    except KeyError as error:
        raise AssertionError(f"{moment.name}: it reads series {error}, which series() does not name") from error


def _labels_its_numbers(moment: Moment, runs: Runs) -> None:
    one = _run(runs, 0)
    shapes = {name: jax.ShapeDtypeStruct(values.shape, values.dtype) for name, values in one.items()}
    times = _times(one, moment)
    labels = moment.labels(one, times)
    text = isinstance(labels, tuple) and all(isinstance(label, str) and label for label in labels)
    _require(text, moment, f"labels are {labels!r}, not a tuple of texts")
    _require(len(set(labels)) == len(labels), moment, f"labels are not unique: {labels}")
    same = moment.labels(shapes, times) == labels
    _require(same, moment, "labels hang on the numbers: of shapes alone (jax.ShapeDtypeStruct) they are others")
    value = moment(one)
    fits = jnp.shape(value) == (len(labels),)
    _require(fits, moment, f"{len(labels)} labels and a value of shape {jnp.shape(value)}: return ({len(labels)},)")
    _require(jnp.asarray(value).dtype == jnp.float32, moment, f"its value is {jnp.asarray(value).dtype}, not float32")


def _is_finite(moment: Moment, runs: Runs) -> None:
    for i in range(_count(runs)):
        value = np.asarray(moment(_run(runs, i)))
        message = f"it is {value} in run {i}: check it on runs in which it is defined (NaN says where it is not)"
        _require(bool(np.isfinite(value).all()), moment, message)


def _compiles_and_vectorises(moment: Moment, runs: Runs) -> None:
    plain = np.stack([np.asarray(moment(_run(runs, i))) for i in range(_count(runs))])
    try:
        compiled = jax.jit(lambda one: moment(one))(_run(runs, 0))
        batch = jax.jit(jax.vmap(lambda one: moment(one)))(dict(runs))
    except jax.errors.JAXTypeError as error:
        raise AssertionError(f"{moment.name}: it cannot be compiled; write it in jax.numpy. {error}") from error
    _close(moment, "under jit it changes", compiled, plain[0])
    _close(moment, "under vmap it changes", batch, plain)


def _serves_a_target(moment: Moment, runs: Runs) -> None:
    one = {name: np.asarray(values) for name, values in _run(runs, 0).items()}
    try:
        target = Target(one, [moment])
        seen = target.summarise({name: np.asarray(values) for name, values in runs.items()})
    except TargetError as error:
        raise AssertionError(f"{moment.name}: no target can hold it: {error}") from error
    wanted = np.stack([np.asarray(moment(_run(runs, i))) for i in range(_count(runs))])
    _close(moment, "a target summarises runs otherwise", seen, wanted)


def _minds_gaps_as_it_says(moment: Moment, runs: Runs) -> None:
    """One that is not `regular` takes what is left when the data miss times."""
    if moment.regular or any(values.shape[1] < 4 for values in runs.values()):
        return
    gappy = {name: values[:, ::2] for name, values in runs.items()}
    value, labels = moment(_run(gappy, 0)), moment.labels(_run(gappy, 0), _times(_run(gappy, 0), moment))
    message = f"with times missing it has {len(labels)} labels and shape {jnp.shape(value)}; or say regular=True"
    _require(jnp.shape(value) == (len(labels),), moment, message)


LAWS: tuple[Law, ...] = (
    _labels_its_numbers,
    _is_finite,
    _compiles_and_vectorises,
    _serves_a_target,
    _minds_gaps_as_it_says,
)
"""The laws, each a function of the moment and of runs that hold the series it reads."""


def _count(runs: Runs) -> int:
    return next(iter(runs.values())).shape[0]


def _run(runs: Runs, i: int) -> dict[str, Array]:
    return {name: values[i] for name, values in runs.items()}


def _times(one: Mapping[str, Array], moment: Moment) -> tuple[str, ...]:
    return tuple(str(t + 1) for t in range(one[moment.series()[0]].shape[0]))


def _close(moment: Moment, law: str, found: Any, wanted: np.ndarray) -> None:
    worst = float(np.max(np.abs(np.asarray(found, np.float64) - wanted), initial=0.0))
    allowed = ROUNDING * max(1.0, float(np.max(np.abs(wanted), initial=0.0)))
    _require(worst <= allowed, moment, f"{law} (off by {worst:.3g}, rounding allows {allowed:.3g})")


def _require(holds: bool, moment: Moment, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{moment.name or type(moment).__name__}: {otherwise}")
