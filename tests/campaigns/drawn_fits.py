"""Fits without a method: draws of the prior stand for a posterior."""

import jax.random as jr
import numpy as np

import populace as pop


def fitted(simulator, space, data, moments, size=64, key=7):
    """A fit whose posterior is `size` draws of the prior."""
    spread = pop.Given(np.ones(len(moments)))
    problem = pop.Problem(simulator, space, pop.Target(data, moments, covariance=spread))
    real = np.asarray(space.to_real(space.sample(jr.key(key), size)), np.float64)
    estimate = pop.Posterior(real, np.full(size, 1.0 / size), np.full((size, 1), np.nan), ())
    done = pop.Done(pop.Code.CONVERGED, "drawn")
    empty, none = np.zeros((0, 1)), np.zeros(0, bool)
    return pop.Fit(problem, pop.SequentialABC(), estimate, {}, {}, {}, {}, empty, {}, none, {}, done, 1, 0)
