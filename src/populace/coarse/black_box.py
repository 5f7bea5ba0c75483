"""Any function that moves macro variables on, as a source of bursts."""

from collections.abc import Callable, Mapping

import equinox as eqx
import numpy as np

from .._errors import MethodError
from .._types import Key
from .stepper import CoarseStepper, check_within

Function = Callable[[np.ndarray, dict[str, np.ndarray], Key], np.ndarray]


class CoarseFunction(CoarseStepper):
    """Bursts of a black box: a simulator that lifts, runs and restricts in its own way.

    **Arguments:**

    - `function`: `function(macro, parameters, key)` with macro (bursts, variables) and parameters name to (bursts,):
      where each burst came to, (bursts, variables), or what it passed at even times, (bursts, times, variables). Each
      burst must have random numbers of its own.
    - `within`: the macro variables, each with the lowest and highest value that can be lifted.
    - `values`: parameters that the function takes, with their values.
    - `time`: the time of a burst.
    - `times`: how many times a burst is looked at; 1 where only its end is returned.
    """

    function: Function = eqx.field(static=True)
    ranges: tuple[tuple[str, float, float], ...] = eqx.field(static=True)
    values: tuple[tuple[str, float], ...] = eqx.field(static=True)
    time: float = eqx.field(static=True)
    times: int = eqx.field(static=True)

    def __init__(
        self,
        function: Function,
        *,
        within: Mapping[str, tuple[float, float]],
        values: Mapping[str, float] | None = None,
        time: float = 1.0,
        times: int = 1,
    ):
        check_within(within)
        if times < 1 or not time > 0:
            raise MethodError(f"a burst takes time, and is looked at once at least: not {time=}, {times=}")
        self.function = function
        self.ranges = tuple((name, float(low), float(high)) for name, (low, high) in within.items())
        self.values = tuple((name, float(value)) for name, value in (values or {}).items())
        self.time, self.times = float(time), times

    def within(self) -> dict[str, tuple[float, float]]:
        return {name: (low, high) for name, low, high in self.ranges}

    def parameters(self) -> dict[str, float]:
        return dict(self.values)

    def interval(self) -> float:
        return self.time / self.times

    def rows(self) -> int:
        return self.times + 1

    def run(self, starts: np.ndarray, varied: Mapping[str, np.ndarray], key: Key) -> np.ndarray:
        fixed = {name: np.full(len(starts), value) for name, value in self.values}
        out = np.asarray(self.function(starts, {**fixed, **varied}, key), np.float64)
        path = out[:, None, :] if out.ndim == 2 else out
        return np.concatenate([starts[:, None, :], path], axis=1)
