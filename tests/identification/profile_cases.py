"""Problems whose profiles and sets are known in closed form, with a simulator that costs next to nothing."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import numpy as np
import numpyro.distributions as dist

import populace as pop
from populace.calibration.estimates import Point
from populace.calibration.fit import Fit
from populace.core.noise import host_generator
from populace.core.rounds import Done
from populace.problem.simulators import Batch, Simulator


class Noisy(Simulator):
    """Moments `means` of the parameters, each with Gaussian noise of standard deviation `noise` (k,): all runs at once
    in numpy.
    """

    means: Callable[[Mapping[str, np.ndarray]], list[Any]] = eqx.field(static=True)
    noise: tuple[float, ...] = eqx.field(static=True)

    def parameters(self):
        return {}

    def simulate(self, parameters, keys, ticker):
        values = self.means({name: np.asarray(value, np.float64) for name, value in parameters.items()})
        rng = host_generator(keys.reshape(-1)[0])
        runs = keys.shape[0]
        seen = {
            f"y{i}": np.asarray(value + error * rng.standard_normal(runs), np.float32)
            for i, (value, error) in enumerate(zip(values, self.noise, strict=True))
        }
        ticker.advance(runs)
        return Batch(seen, np.zeros(runs, bool), {})

    def describe(self):
        return {"kind": "noisy"}


def problem(means, data, errors, noise=None, **ends) -> pop.Problem:
    """Moments `means` with data and their standard errors; a run's noise is as large unless it is given."""
    names = [f"y{i}" for i in range(len(data))]
    target = pop.Target(
        {name: np.float64(value) for name, value in zip(names, data, strict=True)},
        [pop.final(name) for name in names],
        covariance=pop.Given(np.array(errors)),
    )
    space = pop.Space({name: dist.Uniform(*pair) for name, pair in ends.items()})
    return pop.Problem(Noisy(means, tuple(float(error) for error in noise or errors)), space, target)


def fitted(task: pop.Problem, **draws) -> Fit:
    """A fit with these draws, and no runs of its own."""
    values = {name: np.asarray(value, np.float32) for name, value in draws.items()}
    n = len(next(iter(values.values())))
    k = len(task.target.labels)
    point = Point(np.zeros(task.space.size), np.full((task.space.size,) * 2, np.nan), 0.0, ())
    done = Done(pop.Code.CONVERGED, "by hand")
    nothing = np.full((n, k), np.nan)
    return Fit(
        task, pop.EnsembleSmoother(), point, values, {}, values, {}, nothing, {}, np.ones(n, bool), {}, done, 0, 0
    )
