"""What a run keeps of its observations."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from .._errors import ModelError
from .shapes import zeros


class Recording(eqx.Module):
    """Decides what is kept. Each step's observation passes through `emit`; `times` says which rows `collect` keeps."""

    @abc.abstractmethod
    def start(self, observation: Any) -> Any:
        """What is carried from step to step, made from an observation's shapes."""

    @abc.abstractmethod
    def emit(self, carry: Any, time: Int[Array, ""], observation: Any) -> tuple[Any, Any]:
        """The new carry, and what is stacked over steps (None for nothing)."""

    @abc.abstractmethod
    def collect(self, carry: Any, stacked: Any, first: int, steps: int) -> Any:
        """The rows to keep of a stretch of `steps` steps, the first of which is step `first` (both static)."""

    @abc.abstractmethod
    def times(self, first: int, steps: int) -> np.ndarray:
        """The step of each row that `collect` keeps of that stretch."""

    @abc.abstractmethod
    def finish(self, carry: Any, rows: list[Any]) -> Any:
        """The observations of the run, from the last carry and the rows of its stretches in order."""


def _join(rows: list[Any]) -> Any:
    return rows[0] if len(rows) == 1 else jax.tree.map(lambda *parts: jnp.concatenate(parts), *rows)


class _Rows(Recording):
    """Keeps rows of the stacked observations; which ones is `times`' business."""

    def start(self, observation: Any) -> Any:
        return ()

    def emit(self, carry: Any, time: Int[Array, ""], observation: Any) -> tuple[Any, Any]:
        return carry, observation

    def collect(self, carry: Any, stacked: Any, first: int, steps: int) -> Any:
        kept = self.times(first, steps) - first
        return jax.tree.map(lambda rows: rows[kept], stacked) if kept.size != steps else stacked

    def finish(self, carry: Any, rows: list[Any]) -> Any:
        return _join(rows)


class EveryStep(_Rows):
    """Every observation, or every `every`-th: steps every, 2 every, ..."""

    every: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        if self.every < 1:
            raise ModelError(f"EveryStep(every={self.every}): the stride is at least 1")

    def times(self, first: int, steps: int) -> np.ndarray:
        all_times = np.arange(first, first + steps)
        return all_times[all_times % self.every == 0]


class AtTimes(_Rows):
    """The observations after the given steps, in rising order."""

    at: tuple[int, ...] = eqx.field(static=True, converter=lambda times: tuple(sorted({int(t) for t in times})))

    def __check_init__(self) -> None:
        if not self.at or self.at[0] < 1:
            raise ModelError(f"AtTimes({list(self.at)}): observations are made after steps 1, 2, ...")

    def times(self, first: int, steps: int) -> np.ndarray:
        return np.array([t for t in self.at if first <= t < first + steps], dtype=np.int64)


class Last(Recording):
    """The last observation only (one row)."""

    def start(self, observation: Any) -> Any:
        return zeros(observation)

    def emit(self, carry: Any, time: Int[Array, ""], observation: Any) -> tuple[Any, Any]:
        return observation, None

    def collect(self, carry: Any, stacked: Any, first: int, steps: int) -> Any:
        return None

    def times(self, first: int, steps: int) -> np.ndarray:
        return np.array([first + steps - 1])

    def finish(self, carry: Any, rows: list[Any]) -> Any:
        return jax.tree.map(lambda leaf: leaf[None], carry)


class Reduced(Recording):
    """A running summary instead of a series: `update(summary, observation)`, from `initial`; one row.

    For a run that is too long to keep. `Reduced.mean(after=1000)` is the time average after a burn-in.
    """

    initial: Callable[[Any], Any] = eqx.field(static=True)
    update: Callable[[Any, Int[Array, ""], Any], Any] = eqx.field(static=True)
    result: Callable[[Any], Any] = eqx.field(static=True)

    def start(self, observation: Any) -> Any:
        return self.initial(observation)

    def emit(self, carry: Any, time: Int[Array, ""], observation: Any) -> tuple[Any, Any]:
        return self.update(carry, time, observation), None

    def collect(self, carry: Any, stacked: Any, first: int, steps: int) -> Any:
        return None

    def times(self, first: int, steps: int) -> np.ndarray:
        return np.array([first + steps - 1])

    def finish(self, carry: Any, rows: list[Any]) -> Any:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], self.result(carry))


def time_mean(after: int = 0) -> Reduced:
    """The mean over the steps later than `after` (NaN when there is none), by compensated running means."""
    return Reduced(_MeanStart(), _MeanUpdate(after), _MeanResult())


class _MeanStart(eqx.Module):
    def __call__(self, observation: Any) -> Any:
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), observation)
        return jnp.int32(0), zeros, zeros


class _MeanUpdate(eqx.Module):
    """Adds (x - mean) / count to the mean; what rounding added too much (Kahan) is taken off the next time."""

    after: int = eqx.field(static=True)

    def __call__(self, carry: Any, time: Int[Array, ""], observation: Any) -> Any:
        count, mean, excess = carry
        seen = time > self.after
        count = count + seen
        step = jnp.where(seen, 1.0 / jnp.maximum(count, 1), 0.0)
        change = jax.tree.map(lambda m, e, x: jnp.where(seen, (x - m + e) * step, 0.0) - e, mean, excess, observation)
        after = jax.tree.map(lambda m, c: m + c, mean, change)
        return count, after, jax.tree.map(lambda a, m, c: (a - m) - c, after, mean, change)


class _MeanResult(eqx.Module):
    def __call__(self, carry: Any) -> Any:
        count, mean, _ = carry
        return jax.tree.map(lambda m: jnp.where(count > 0, m, jnp.nan), mean)
