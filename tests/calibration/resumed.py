"""What the kill test runs in a process of its own: a fit with a checkpoint, whose numbers go to a file at the end."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import numpyro.distributions as dist

from populace.calibration.sequential_abc import SequentialABC
from populace.core.executor import Ticker
from populace.core.rounds import rounds
from populace.problem.covariance import Given
from populace.problem.moments import level
from populace.problem.problem import Problem
from populace.problem.simulators import Batch, Simulator
from populace.problem.space import Space
from populace.problem.target import Target


class Slow(Simulator):
    """The mean of a normal sample; a round takes its time, so that a process can be killed within it."""

    def parameters(self) -> dict[str, Any]:
        return {}

    def simulate(self, parameters: Mapping[str, Any], keys: Any, ticker: Ticker) -> Batch:
        time.sleep(0.02)
        noise = np.asarray(jax.random.key_data(keys)[:, 0], np.float64) / 2.0**32 - 0.5
        mean = np.asarray(parameters["theta"], np.float64) + noise
        return Batch({"mean": mean[:, None].astype(np.float32)}, np.zeros(mean.size, bool), {})

    def describe(self) -> dict[str, Any]:
        return {"kind": "slow"}


def run(folder: Path | None, seed: int = 0) -> np.ndarray:
    """The fit's numbers in one array: particles, weights, moments, and what it cost."""
    target = Target({"mean": np.ones(1)}, [level("mean")], covariance=Given([0.3]))
    problem = Problem(Slow(), Space(theta=dist.Normal(0.0, 2.0)), target)
    done = rounds(
        SequentialABC(particles=100),
        problem,
        jr.key(seed),
        budget=3_500,
        ticker=Ticker(None, "", 0),
        folder=folder,
        identity=problem.identity(),
    )
    found = done.estimate
    return np.concatenate([found.real.ravel(), found.weights, found.moments.ravel(), [done.rounds, done.calls]])


if __name__ == "__main__":
    np.save(Path(sys.argv[1]) / "numbers.npy", run(Path(sys.argv[1])))
