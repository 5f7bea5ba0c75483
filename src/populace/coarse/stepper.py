"""Bursts: what everything without equations is made of.

A few numbers, the macro variables, are thought to say all that matters of a population. They are *lifted* to a state of
the whole population, the model runs for a short while, and the state is *restricted* to the macro variables again. Many
such bursts stand for an equation of motion that nobody wrote down (Ioannis Kevrekidis and others 2003, Communications
in Mathematical Sciences 1:715).
"""

import abc
from collections.abc import Mapping
from dataclasses import dataclass

import equinox as eqx
import numpy as np

from .._errors import MethodError, UnknownParameterError, did_you_mean
from .._types import Key


@dataclass(frozen=True)
class Bursts:
    """Bursts that came back, one a row.

    `paths` (bursts, rows, variables): the macro variables from the end of healing on, at even times; `varied`
    (bursts, parameters): the values of the parameters that were varied, in the order asked for.
    """

    paths: np.ndarray
    varied: np.ndarray

    def __add__(self, other: "Bursts") -> "Bursts":
        return Bursts(np.concatenate([self.paths, other.paths]), np.concatenate([self.varied, other.varied]))

    def __len__(self) -> int:
        return self.paths.shape[0]

    def moves(self, interval: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each stretch between two rows of a path.

        **Returns:** where it began, variables then varied parameters (moves, variables + parameters); how fast the
        variables moved (moves, variables), a unit of time; and the burst that it is of (moves,).
        """
        before, after = self.paths[:, :-1], self.paths[:, 1:]
        n, rows, d = before.shape
        varied = np.broadcast_to(self.varied[:, None, :], (n, rows, self.varied.shape[1]))
        where = np.concatenate([before, varied], axis=2).reshape(n * rows, -1)
        return where, ((after - before) / interval).reshape(n * rows, d), np.repeat(np.arange(n), rows)


class CoarseStepper(eqx.Module):
    """Runs bursts. Five methods."""

    @abc.abstractmethod
    def within(self) -> Mapping[str, tuple[float, float]]:
        """The macro variables by name, each with the lowest and the highest value that can be lifted."""

    @abc.abstractmethod
    def parameters(self) -> Mapping[str, float]:
        """The parameters that can be varied, with their values as they stand."""

    @abc.abstractmethod
    def interval(self) -> float:
        """The time between two rows of a path."""

    @abc.abstractmethod
    def rows(self) -> int:
        """The rows of a path: one more than the stretches between them."""

    @abc.abstractmethod
    def run(self, starts: np.ndarray, varied: Mapping[str, np.ndarray], key: Key) -> np.ndarray:
        """A burst from each of `starts` (bursts, variables), at the values of `varied`, name to (bursts,).

        **Returns:** paths (bursts, rows, variables); the first row is where the burst stood once healed, which need not
        be where it was sent. Each burst has a key of its own, folded from `key` and its place.
        """


def burst(stepper: CoarseStepper, starts: np.ndarray, varied: Mapping[str, np.ndarray], key: Key) -> Bursts:
    """Bursts from `starts` (bursts, variables), drawn into what can be lifted.

    **Raises:** `MethodError` for numbers that are not finite, `UnknownParameterError`.
    """
    check_parameters(stepper, tuple(varied))
    low, high = bounds(stepper)
    sent = np.clip(np.asarray(starts, np.float64), low, high)
    paths = np.asarray(stepper.run(sent, varied, key), np.float64)
    expected = (len(sent), stepper.rows(), len(low))
    if paths.shape != expected:
        raise MethodError(f"bursts came back with shape {paths.shape}, not (bursts, rows, variables) = {expected}")
    if not np.isfinite(paths).all():
        first = int(np.flatnonzero(~np.isfinite(paths).all((1, 2)))[0])
        raise MethodError(
            f"the burst from {sent[first].tolist()} came back with NaN or infinity: narrow the range that may be lifted"
        )
    columns = [np.asarray(v, np.float64) for v in varied.values()]
    return Bursts(paths, np.stack(columns, 1) if columns else np.zeros((len(sent), 0)))


def bounds(stepper: CoarseStepper) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest values that can be lifted, (variables,) each."""
    pairs = np.asarray(list(stepper.within().values()), np.float64)
    return pairs[:, 0], pairs[:, 1]


def check_parameters(stepper: CoarseStepper, names: tuple[str, ...]) -> None:
    """**Raises:** `UnknownParameterError` for a name that the stepper has not."""
    known = stepper.parameters()
    for name in names:
        if name not in known:
            raise UnknownParameterError(f"no parameter '{name}'; {did_you_mean(name, list(known))}")


def check_within(within: Mapping[str, tuple[float, float]]) -> None:
    """**Raises:** `MethodError` for a range that is none."""
    if not within:
        raise MethodError("a coarse view has at least one macro variable: within={'name': (lowest, highest)}")
    for name, (low, high) in within.items():
        if not low < high:
            raise MethodError(f"macro variable '{name}': the range ({low}, {high}) is empty")
