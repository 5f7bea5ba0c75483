"""The one interface of gradient estimators, and the verb that runs them."""

import abc
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float
from rich.progress import Progress

from .._errors import GradientError
from .._results import Cell, Result, Section, Table
from .._types import Key
from ..core import executor
from ..core.progress import display
from .loss import ExpectedLoss


class Sample(eqx.Module):
    """Independent estimates, one a key: `values` (keys,) of the loss, `gradients`: name to (keys, ...)."""

    values: Float[Array, " keys"]
    gradients: dict[str, Array]


class Estimator(eqx.Module):
    """How to estimate the gradient of an expected loss.

    `unbiased` says whether the expectation of `gradients` is the gradient, for models whose every chance event is a
    site that the estimator knows (see each leaf); `differentiates` whether it takes derivatives of runs, so that its
    cost has to be measured.
    """

    unbiased: eqx.AbstractClassVar[bool]
    differentiates: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def sample(self, expected: ExpectedLoss, at: dict[str, Array], keys: Key) -> Sample:
        """Estimates inside a trace, one for each of `keys` (n,). `at`: parameter name to value."""

    @abc.abstractmethod
    def runs(self, at: Mapping[str, Array]) -> float:
        """Model runs that one key takes; a copy that runs along counts as one, a backward pass as three and a forward
        tangent as one (audits measure what they really take).
        """

    def least(self) -> int:
        """The fewest keys a group may have."""
        return 1

    @property
    def name(self) -> str:
        """What tables call it."""
        return type(self).__name__


class PerKey(Estimator):
    """An estimator that treats keys one by one."""

    unbiased: eqx.AbstractClassVar[bool]
    differentiates: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def one(self, expected: ExpectedLoss, at: dict[str, Array], key: Key) -> tuple[Array, dict[str, Array]]:
        """Loss and gradient from one key."""

    def sample(self, expected: ExpectedLoss, at: dict[str, Array], keys: Key) -> Sample:
        return Sample(*jax.vmap(lambda key: self.one(expected, at, key))(keys))


@dataclass(frozen=True)
class Gradient(Result):
    """A loss and its gradient, with Monte-Carlo errors.

    `value`, `value_error`: the expected loss and its standard error; `gradient`, `error`: parameter name to arrays of
    the parameter's shape; `samples`: name to (keys, ...), the independent estimates that these are means of; `runs`:
    model runs made.
    """

    estimator: str
    value: float
    value_error: float
    gradient: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    values: np.ndarray
    samples: dict[str, np.ndarray]
    runs: float

    def sections(self) -> tuple[Section, ...]:
        rows: list[tuple[Cell, ...]] = [("loss", self.value, self.value_error)]
        for name, slope in self.gradient.items():
            flat, errors = slope.reshape(-1), self.error[name].reshape(-1)
            for i in range(min(flat.size, _SHOWN)):
                label = name if slope.ndim == 0 else f"{name}[{i}]"
                rows.append((f"d loss / d {label}", float(flat[i]), float(errors[i])))
            if flat.size > _SHOWN:
                rows.append((f"... {flat.size - _SHOWN} more of {name}", None, None))
        table = Table(f"{self.estimator}, {self.values.size} keys", ("", "mean", "standard error"), tuple(rows))
        return (Section("Gradient", tables=(table,)),)

    def record(self) -> dict[str, Any]:
        return {
            "estimator": self.estimator,
            "value": self.value,
            "value_error": self.value_error,
            "gradient": {k: v.tolist() for k, v in self.gradient.items()},
            "error": {k: v.tolist() for k, v in self.error.items()},
            "runs": self.runs,
        }


_SHOWN = 20
_GROUP = 64
_ENTRIES = 2**21


def differentiate(
    expected: ExpectedLoss,
    estimator: Estimator,
    key: Key,
    *,
    at: Mapping[str, Any] | None = None,
    keys: int = 64,
    progress: bool | Progress | None = None,
) -> Gradient:
    """The gradient of an expected loss at a point, with its Monte-Carlo errors.

    **Arguments:** `at`: parameter name to value, the point and what to differentiate by (all parameters, as the model
    has them, if None); `keys`: independent estimates to average, key i being `fold_in(key, i)`, so that estimators
    and points that are given one key meet the same runs.

    **Returns:** a `Gradient`.

    **Raises:** `GradientError`, `UnknownParameterError`.
    """
    point = expected.at(at)
    least = estimator.least()
    if keys < max(2, least):
        raise GradientError(f"{estimator.name} takes {max(2, least)} keys or more: an error takes two, not keys={keys}")
    group = group_size(expected, estimator, point, keys)
    groups = -(-keys // group)
    many = jax.vmap(lambda i: jr.fold_in(key, i))(jnp.arange(groups * group)).reshape(groups, group)
    rows = (many, {name: jnp.broadcast_to(value, (groups, *value.shape)) for name, value in point.items()})
    with display(progress) as shown:
        ticker = executor.Ticker(shown, f"gradient by {estimator.name}", groups)
        size = _devices(groups)
        parts = list(executor.chunks(_one_group, (expected, estimator), rows, size=size, progress=ticker))
    found = executor.stack_rows(parts)
    values = found.values.reshape(-1)[:keys].astype(np.float64)
    samples = {k: v.reshape(-1, *v.shape[2:])[:keys].astype(np.float64) for k, v in found.gradients.items()}
    if not np.isfinite(values).all():
        raise GradientError(
            f"the loss is NaN or infinite in {int((~np.isfinite(values)).sum())} of {keys} runs: run the model there "
            "with pop.simulate to see why"
        )
    return summarised(estimator, values, samples, keys * estimator.runs(point))


def summarised(estimator: Estimator, values: np.ndarray, samples: dict[str, np.ndarray], runs: float) -> Gradient:
    """Means and standard errors of independent estimates."""
    root = math.sqrt(values.size)
    return Gradient(
        estimator=estimator.name,
        value=float(values.mean()),
        value_error=float(values.std(ddof=1) / root),
        gradient={name: one.mean(0) for name, one in samples.items()},
        error={name: one.std(0, ddof=1) / root for name, one in samples.items()},
        values=values,
        samples=samples,
        runs=runs,
    )


def _one_group(shared: tuple[ExpectedLoss, Estimator], one: tuple[Key, dict[str, Array]]) -> Sample:
    expected, estimator = shared
    keys, at = one
    return estimator.sample(expected, at, keys)


def group_size(expected: ExpectedLoss, estimator: Estimator, at: Mapping[str, Array], keys: int) -> int:
    """How many keys to treat side by side: as many as keep a run's arrays in the caches, in whole groups."""
    wide = side_by_side(lambda key: expected.one(at, key), jr.key(0))
    return max(estimator.least(), min(wide, keys))


def side_by_side(run: Callable[[Key], Any], key: Key) -> int:
    """How many runs to take at once: as many as keep their arrays in the caches."""
    return int(np.clip(_ENTRIES // executor.largest(run, key), 1, _GROUP))


def _devices(groups: int) -> int:
    devices = len(jax.local_devices())
    return devices * max(1, min(16, groups // devices))
