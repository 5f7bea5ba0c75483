"""What a moment is: a named summary of what a run shows, the same function for the data and for a simulated run."""

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._errors import TargetError
from .._types import Observations


class Moment(eqx.Module):
    """A named summary of one run: k numbers, written for one run in `jax.numpy` (`Target` vectorises over runs).

    Where a summary is not defined (an autocorrelation of a constant series) it is NaN: `Target` refuses it for data,
    and excludes and counts a simulated run.
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What people call it; moments of one name may stand in one target if their labels differ."""

    @property
    @abc.abstractmethod
    def regular(self) -> bool:
        """Whether it needs a complete, regularly spaced series: it then refuses a series with missing times."""

    @abc.abstractmethod
    def series(self) -> tuple[str, ...]:
        """The names of the observed series that it reads."""

    @abc.abstractmethod
    def __call__(self, observations: Observations) -> Float[Array, " k"]:
        """The summary of one run.

        **Arguments:** `observations`: series name to a float32 array (times, ...), of the names in `series()`; times
        that the data miss are already left out.
        """

    @abc.abstractmethod
    def labels(self, observations: Mapping[str, Any], times: tuple[str, ...]) -> tuple[str, ...]:
        """The k names of its numbers, unique within a target.

        **Arguments:** `observations`: arrays, or `jax.ShapeDtypeStruct`s, of the shapes that `__call__` will see;
        `times`: the label of each time of the (first) series.
        """


def _shapes(observations: Mapping[str, Any], names: Sequence[str]) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct(np.shape(observations[name]), jnp.float32) for name in names]


def _indexed(name: str, tags: Sequence[str], trailing: Sequence[int]) -> tuple[str, ...]:
    """`name[tag]` for every tag, and for every index of the trailing axes: `name[tag, 0, 1]`."""
    heads = [[tag] for tag in tags] or [[]]
    parts = [[*head, *map(str, index)] for head in heads for index in np.ndindex(*trailing)]
    return tuple(f"{name}[{', '.join(part)}]" if part else name for part in parts)


class Level(Moment):
    """Every value of a series; see `level`."""

    of: str = eqx.field(static=True)

    @property
    def name(self) -> str:
        return f"level({self.of})"

    @property
    def regular(self) -> bool:
        return False

    def series(self) -> tuple[str, ...]:
        return (self.of,)

    def __call__(self, observations: Observations) -> Float[Array, " k"]:
        return jnp.ravel(observations[self.of])

    def labels(self, observations: Mapping[str, Any], times: tuple[str, ...]) -> tuple[str, ...]:
        return _indexed(self.of, times, np.shape(observations[self.of])[1:])


class Statistic(Moment):
    """A function of one or more series: the leaf behind the named constructors and `moment`.

    `function` takes the arrays named in `of`, (times, ...) each, and returns a number or an array, which is read row
    by row; `tags` name its leading axis, if it has one to be named; `given` names everything. `called` is its name,
    `complete` whether it refuses missing times.
    """

    called: str = eqx.field(static=True)
    of: tuple[str, ...] = eqx.field(static=True)
    function: Callable[..., Array] = eqx.field(static=True)
    complete: bool = eqx.field(static=True)
    tags: tuple[str, ...] = eqx.field(static=True, default=())
    given: tuple[str, ...] | None = eqx.field(static=True, default=None)

    @property
    def name(self) -> str:
        return self.called

    @property
    def regular(self) -> bool:
        return self.complete

    def series(self) -> tuple[str, ...]:
        return self.of

    def __call__(self, observations: Observations) -> Float[Array, " k"]:
        return jnp.ravel(jnp.asarray(self.function(*[observations[name] for name in self.of]), jnp.float32))

    def labels(self, observations: Mapping[str, Any], times: tuple[str, ...]) -> tuple[str, ...]:
        result = jax.eval_shape(lambda *arrays: jnp.asarray(self.function(*arrays)), *_shapes(observations, self.of))
        if self.given is not None:
            if len(self.given) != math.prod(result.shape):
                raise TargetError(
                    f"moment '{self.name}' has {len(self.given)} labels and {math.prod(result.shape)} numbers: give a "
                    "label a number, or none"
                )
            return self.given
        return _indexed(self.name, self.tags, result.shape[1:] if self.tags else result.shape)


class Derived(Moment):
    """A moment of a series that is computed from observed ones; see `derived`."""

    called: str = eqx.field(static=True)
    function: Callable[..., Array] = eqx.field(static=True)
    of: tuple[str, ...] = eqx.field(static=True)
    moment: Moment
    across: bool = eqx.field(static=True)

    def __check_init__(self) -> None:
        if set(self.moment.series()) != {self.called}:
            raise TargetError(
                f"derived series '{self.called}': its moment reads {list(self.moment.series())}; make the moment of "
                f"'{self.called}' alone"
            )

    @property
    def name(self) -> str:
        return self.moment.name

    @property
    def regular(self) -> bool:
        return self.across or self.moment.regular

    def series(self) -> tuple[str, ...]:
        return self.of

    def _make(self, observations: Observations) -> Array:
        return self.function(*[observations[name] for name in self.of])

    def __call__(self, observations: Observations) -> Float[Array, " k"]:
        return self.moment({self.called: self._make(observations)})

    def labels(self, observations: Mapping[str, Any], times: tuple[str, ...]) -> tuple[str, ...]:
        made = jax.eval_shape(self._make, dict(zip(self.of, _shapes(observations, self.of), strict=True)))
        if len(made.shape) == 0:
            raise TargetError(f"derived series '{self.called}' is one number; a series has times on its leading axis")
        if made.shape[0] != len(times):
            times = tuple(str(i + 1) for i in range(made.shape[0]))
        return self.moment.labels({self.called: made}, times)
