"""The ensemble smoother: exact where moments are linear on the normal scale, along ridges, and at several answers."""

from typing import Any

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import ndtri
from tests.calibration.conftest import Numpy

import populace as pop
from populace.calibration.ensemble_smoother import EnsembleSmoother, arrived


def problem(function: Any, data: dict[str, float], errors: list[float], space: pop.Space) -> pop.Problem:
    target = pop.Target(
        {k: np.float64(v) for k, v in data.items()},
        [pop.final(k) for k in data],
        covariance=pop.Given(np.array(errors)),
    )
    return pop.Problem(Numpy(function, 3), space, target)


def fitted(task: pop.Problem, budget: int = 6_000, **settings: int) -> pop.Fit:
    return pop.calibrate(task, EnsembleSmoother(**settings), jr.key(2), budget=budget, predictive=300, progress=False)


def test_a_linear_problem_has_its_exact_posterior():
    """x = a + b and y = a - 3 b with priors N(0, 1), seen with errors of .5 and 1: Gaussian, by conjugacy."""

    def seen(p, u):
        z = ndtri(u)
        return {"x": (p["a"] + p["b"] + 0.5 * z[:, 0])[:, None], "y": (p["a"] - 3 * p["b"] + z[:, 1])[:, None]}

    space = pop.Space(a=dist.Normal(0, 1), b=dist.Normal(0, 1))
    fit = fitted(problem(seen, {"x": 1.0, "y": 2.0}, [0.5, 1.0], space), budget=12_000)
    slopes = np.array([[1.0, 1.0], [1.0, -3.0]]) / np.array([[0.5], [1.0]])
    covariance = np.linalg.inv(np.eye(2) + slopes.T @ slopes)
    mean = covariance @ slopes.T @ np.array([2.0, 2.0])
    real = fit.estimate.real
    sd = np.sqrt(np.diag(covariance))
    # The regression knows the expected moments to about a fifth of the data's own error.
    assert real.mean(0) == pytest.approx(mean, abs=4 * sd.max() / np.sqrt(len(real)) + 0.2 * sd.max())
    assert np.cov(real.T) / np.outer(sd, sd) == pytest.approx(
        covariance / np.outer(sd, sd), abs=0.1 + 4 * np.sqrt(2 / len(real))
    )


def test_a_thin_curved_ridge_is_covered_from_end_to_end():
    """a b is known to a thousandth, and a and b are not: draws lie on the hyperbola between the bounds of the box."""

    def seen(p, u):
        return {"y": (p["a"] * p["b"] + 1e-3 * ndtri(u[:, 0]))[:, None]}

    space = pop.Space(a=dist.Uniform(0, 5), b=dist.Uniform(0, 5))
    fit = fitted(problem(seen, {"y": 1.0}, [1e-3], space), budget=8_000)
    a, b = fit.draws["a"].astype(float), fit.draws["b"].astype(float)
    assert (a * b).std() < 3e-3
    assert abs((a * b).mean() - 1.0) < 1e-3
    assert a.min() < 0.3 and a.max() > 4.0


def test_two_answers_are_both_found():
    def seen(p, u):
        return {"y": (p["x"] ** 2 + 0.1 * ndtri(u[:, 0]))[:, None]}

    fit = fitted(problem(seen, {"y": 2.25}, [0.1], pop.Space(x=dist.Uniform(-3, 3))), budget=4_000, draws=200)
    x = fit.draws["x"].astype(float)
    assert (abs(abs(x) - 1.5) < 0.2).mean() > 0.95
    assert 0.2 < (x > 0).mean() < 0.8


def test_what_nothing_depends_on_keeps_its_prior():
    def seen(p, u):
        return {"y": (p["x"] + 0.1 * ndtri(u[:, 0]))[:, None]}

    space = pop.Space(x=dist.Uniform(-3, 3), idle=dist.Uniform(0, 1))
    fit = fitted(problem(seen, {"y": 1.0}, [0.1], space), budget=6_000)
    idle = fit.draws["idle"].astype(float)
    # A standard deviation of n uniform numbers is known to .45 of itself over the root of n.
    assert idle.std() * np.sqrt(12) == pytest.approx(1.0, abs=4 * 0.45 / np.sqrt(300) + 0.05)


def test_draws_far_from_the_data_are_left_out():
    losses = np.concatenate([np.full(90, 5.0), np.full(10, 500.0)])
    assert arrived(losses, 3).sum() == 90


def test_a_small_budget_and_a_missing_covariance_are_refused_before_work():
    def seen(p, u):
        raise AssertionError("nothing is simulated")

    space = pop.Space(x=dist.Uniform(-3, 3))
    task = problem(seen, {"y": 1.0}, [0.1], space)
    with pytest.raises(pop.MethodError, match="too few for 1 parameters: give"):
        fitted(task, budget=50)
    bare = pop.Problem(task.simulator, space, pop.Target({"y": np.float64(1.0)}, [pop.final("y")]))
    with pytest.raises(pop.MethodError, match="give the target a covariance"):
        EnsembleSmoother().start(bare, jr.key(0), 10_000)
    with pytest.raises(pop.MethodError, match="draws and"):
        fitted(task, draws=2)
