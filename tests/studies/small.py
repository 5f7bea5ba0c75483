"""A study of milliseconds, in numpy, which can be interrupted at a call."""

from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import numpyro.distributions as dist

import populace as pop
from populace.studies.study import Findings, Part, Study

COUNT = {"calls": 0, "stop at": 0}


def noisy(parameters: dict[str, float], key: Any) -> dict[str, np.ndarray]:
    """A number near theta; the call that is the one to stop at is interrupted."""
    COUNT["calls"] += 1
    if COUNT["calls"] == COUNT["stop at"]:
        raise KeyboardInterrupt
    noise = np.random.default_rng(np.asarray(jr.key_data(key))).normal(size=3)
    return {"y": parameters["theta"] + 0.1 * noise}


class Small(Study):
    """The mean of three numbers."""

    name = "small"
    title = "A small study"
    question = "How large is theta?"
    budget = 240

    def run(self, key: Any, budget: int, folder: Path, progress: Any) -> Findings:
        target = pop.Target({"y": np.full(3, 0.5)}, [pop.mean("y")], covariance=pop.Given([0.06]))
        problem = pop.Problem(pop.Callable(noisy), pop.Space(theta=dist.Normal(0, 1)), target)
        method = pop.SequentialABC(particles=40)
        fit = pop.calibrate(problem, method, key, budget=budget, folder=folder, predictive=20, progress=False)
        low, middle, high = fit.interval("theta")
        summary = {"theta": [low, middle, high]}
        return Findings(("Theta is near a half.",), (Part("Small", fit),), {"small": fit}, summary)
