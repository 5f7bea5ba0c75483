"""Problems whose answers are known, simulated in a microsecond a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import ndtri

from populace.core.executor import Ticker
from populace.core.rounds import Done, Method
from populace.problem.covariance import Given
from populace.problem.moments import level
from populace.problem.problem import Problem
from populace.problem.simulators import Batch, Simulator, source_hash
from populace.problem.space import Space
from populace.problem.target import Target


class Numpy(Simulator):
    """A function of parameters (runs, ...) and uniform numbers (runs, chances), in numpy: nothing is compiled.

    A run whose moments are not finite is excluded.
    """

    function: Callable[[Mapping[str, np.ndarray], np.ndarray], dict[str, np.ndarray]] = eqx.field(static=True)
    chances: int = eqx.field(static=True, default=1)

    def parameters(self) -> dict[str, Any]:
        return {}

    def simulate(self, parameters: Mapping[str, Any], keys: Any, ticker: Ticker) -> Batch:
        values = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
        found = self.function(values, uniforms(keys, self.chances))
        rows = {name: np.asarray(value, np.float32) for name, value in found.items()}
        excluded = ~np.logical_and.reduce([np.isfinite(row).all(1) for row in rows.values()])
        ticker.advance(excluded.size)
        return Batch(rows, excluded, {"a moment is NaN": int(excluded.sum())} if excluded.any() else {})

    def describe(self) -> dict[str, Any]:
        return {"kind": "numpy", "source": source_hash(self.function), "chances": self.chances}


def uniforms(keys: Any, chances: int) -> np.ndarray:
    """Uniform numbers (runs, chances) between 0 and 1, of keys (runs,): splitmix64 (Steele, Lea and Flood 2014)."""
    high, low = np.asarray(jax.random.key_data(keys), np.uint64).T
    with np.errstate(over="ignore"):
        z = ((high << np.uint64(32)) | low)[:, None] + np.arange(1, chances + 1, dtype=np.uint64) * 0x9E3779B97F4A7C15
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


@dataclass(frozen=True)
class Normal:
    """The mean of a normal sample, by its sufficient moment: mean | theta ~ N(theta, error^2), theta ~ N(0, prior^2).

    `gain`: how far the posterior mean follows the data; `mean`, `sd`: the posterior.
    """

    prior: float = 2.0
    error: float = 0.5
    data: float = 1.0

    @property
    def gain(self) -> float:
        return self.prior**2 / (self.prior**2 + self.error**2)

    @property
    def mean(self) -> float:
        return self.gain * self.data

    @property
    def sd(self) -> float:
        return self.gain**0.5 * self.error


def _normal(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    return {"mean": parameters["theta"][:, None] + 0.5 * ndtri(u)}


@pytest.fixture(scope="session")
def normal() -> tuple[Problem, Normal]:
    case = Normal()
    target = Target({"mean": np.array([case.data])}, [level("mean")], covariance=Given([case.error]))
    return Problem(Numpy(_normal), Space(theta=dist.Normal(0.0, case.prior)), target), case


def _coins(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    return {"heads": (u < parameters["bias"][:, None]).sum(1, keepdims=True)}


@pytest.fixture(scope="session")
def coins() -> Problem:
    """6 heads of 20 and a uniform prior: the bias is Beta(7, 15)."""
    target = Target({"heads": np.array([6.0])}, [level("heads")], covariance=Given([2.0]))
    return Problem(Numpy(_coins, 20), Space(bias=dist.Uniform(0.0, 1.0)), target)


DESIGN = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [1.0, -1.0]])
ERRORS = np.array([0.1, 0.1, 0.2, 0.1])


@dataclass(frozen=True)
class Linear:
    """Moments `design` @ theta + noise, with data errors `errors`: the least g' V^-1 g and its covariance."""

    design: np.ndarray
    errors: np.ndarray
    data: np.ndarray

    @property
    def gram(self) -> np.ndarray:
        return self.design.T @ np.diag(self.errors**-2) @ self.design

    @property
    def minimum(self) -> np.ndarray:
        return np.linalg.solve(self.gram, self.design.T @ np.diag(self.errors**-2) @ self.data)

    @property
    def loss(self) -> float:
        gap = (self.design @ self.minimum - self.data) / self.errors
        return float(gap @ gap)


def _linear(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    return {"m": np.stack([parameters["a"], parameters["b"]], 1) @ DESIGN.T + 0.1 * ndtri(u)}


@pytest.fixture(scope="session")
def linear() -> tuple[Problem, Linear]:
    case = Linear(DESIGN, ERRORS, np.array([1.0, 0.8, -0.5, 1.3]))
    target = Target({"m": case.data}, [level("m")], covariance=Given(case.errors))
    return Problem(Numpy(_linear, 4), Space(a=dist.Normal(0.0, 2.0), b=dist.Normal(0.0, 2.0)), target), case


@dataclass(frozen=True)
class Ended:
    """A fit that was run to its end, with the last state."""

    state: Any
    estimate: Any
    done: Done
    calls: int


def run_to_end(method: Method, problem: Problem, seed: int, budget: int) -> Ended:
    """As `rounds` does, but for handing out the last state."""
    key, calls, number = jr.key(seed), 0, 0
    state = method.start(problem, jr.fold_in(key, 0), budget)
    while (why := method.done(problem, state, budget - calls)) is None:
        number += 1
        ask = method.ask(problem, state, jr.fold_in(key, number))
        state = method.tell(problem, state, ask, ask.answer(problem, Ticker(None, "", 0)))
        calls += ask.calls()
    return Ended(state, method.finish(problem, state, jr.fold_in(key, 2**31 - 1)), why, calls)


@pytest.fixture(scope="session")
def ended() -> Any:
    return run_to_end


@pytest.fixture(scope="session")
def numpy_simulator() -> type[Numpy]:
    return Numpy
