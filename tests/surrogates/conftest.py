"""Functions with known noise, and runs of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop

ERRORS = 4.0
"""Standard errors within which an average must lie."""


def square(d: int) -> pop.Space:
    return pop.Space({f"x{i}": dist.Uniform(0.0, 1.0) for i in range(d)})


def wave(unit: np.ndarray) -> np.ndarray:
    """A smooth function on the unit square, of size about 1."""
    return np.sin(2 * np.pi * unit[:, 0]) + (unit[:, 1] - 0.5) ** 2


def noisy_runs(n: int, sd: float | Callable[[np.ndarray], np.ndarray], seed: int) -> pop.Runs:
    """Runs of `wave` at Sobol points, with Gaussian noise of standard deviation `sd`."""
    import jax.random as jr

    unit = pop.Sobol().sequence(jr.key(seed), 2, 0, n)
    random = np.random.default_rng(seed)
    size = sd if isinstance(sd, float) else sd(unit)
    moments = wave(unit) + size * random.standard_normal(n)
    return pop.Runs(square(2), unit, moments[:, None], np.ones(n, bool), ("wave",), {})


@pytest.fixture(scope="session")
def noisy() -> Any:
    return noisy_runs


@pytest.fixture(scope="session")
def grid() -> np.ndarray:
    """Points (400, 2) away from the rim."""
    ticks = np.linspace(0.05, 0.95, 20)
    return np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)


def predicted(runs: pop.Runs, seed: int = 0, regressors: Any = None) -> pop.Surrogate:
    import jax.random as jr

    return pop.fit_surrogate(runs, jr.key(seed), regressors=regressors)


@pytest.fixture(scope="session")
def learned() -> pop.Surrogate:
    """A Gaussian process on 120 runs of `wave` with noise 0.1."""
    return predicted(noisy_runs(120, 0.1, 1), regressors=[pop.GaussianProcess(starts=2)])
