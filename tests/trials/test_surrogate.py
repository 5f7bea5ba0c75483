"""Trial 3: a surrogate method on the loop of rounds: a quadratic response surface that proposes its minimum.

Box and Wilson (1951): fit each moment by a quadratic in the parameters, find where the fitted moments come nearest to
the data, simulate there, and fit again.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.optimize import minimize

import populace as pop
from populace.core.executor import Ticker
from populace.core.rounds import rounds
from populace.problem.problem import Simulate


class Seen(eqx.Module):
    """What was simulated so far: parameters (n, d) on the real scale, moments (n, k)."""

    real: np.ndarray
    moments: np.ndarray


class ResponseSurface(pop.Method):
    """`first` runs from the prior, then `batch` runs a round around the minimum of the surface."""

    first: int = eqx.field(static=True, default=60)
    batch: int = eqx.field(static=True, default=20)

    def start(self, task, key, budget):
        d, k = task.space.size, len(task.target.labels)
        if self.first < 2 * _features(np.zeros((1, d))).shape[1]:
            raise pop.MethodError(f"first={self.first} runs are too few for a quadratic in {d} parameters")
        return Seen(np.zeros((0, d)), np.zeros((0, k)))

    def ask(self, task, state, key):
        propose, run = jr.split(key)
        if not state.real.size:
            batch = task.space.sample(propose, self.first)
        else:
            noise = np.asarray(jr.normal(propose, (self.batch, task.space.size)), np.float64)
            spread = 0.5 * state.real.std(0) * self.first / state.real.shape[0]
            batch = task.space.from_real(jnp.asarray(self._minimum(task, state) + spread * noise, jnp.float32))
        return Simulate(batch, jr.split(run, next(iter(batch.values())).shape[0]))

    def tell(self, task, state, ask, answer):
        kept = ~answer.excluded
        real = np.asarray(task.space.to_real(ask.parameters), np.float64)[kept]
        return Seen(np.concatenate([state.real, real]), np.concatenate([state.moments, answer.moments[kept]]))

    def done(self, task, state, left):
        if left >= (self.batch if state.real.size else self.first):
            return None
        return pop.Done(pop.Code.BUDGET_SPENT, f"{state.real.shape[0]} runs carry the response surface")

    def finish(self, task, state, key):
        best = self._minimum(task, state)
        unknown = np.full((best.size, best.size), np.nan)
        return pop.Point(best, unknown, float(self._loss(task, state)(best)), ())

    def _loss(self, task, state):
        slope = np.linalg.lstsq(_features(state.real), state.moments, rcond=None)[0]
        target = task.target
        return lambda at: (((_features(at[None])[0] @ slope - target.values) / target.standard_errors) ** 2).sum()

    def _minimum(self, task, state):
        start = state.real[np.argmin([self._loss(task, state)(row) for row in state.real])]
        box = np.stack([state.real.min(0), state.real.max(0)], axis=1)
        return minimize(self._loss(task, state), start, bounds=box).x


def _features(real):
    pairs = np.triu_indices(real.shape[1])
    return np.concatenate([np.ones((real.shape[0], 1)), real, real[:, pairs[0]] * real[:, pairs[1]]], axis=1)


def noisy(parameters, key):
    """Two moments that are nearly quadratic in two unknowns."""
    a, b = parameters["a"], parameters["b"]
    return {"x": jnp.stack([a + 0.3 * b**2, b - 0.2 * a * b]) + 0.01 * jr.normal(key, (2,))}


@pytest.fixture
def problem():
    truth = {"a": jnp.float32(0.4), "b": jnp.float32(-0.3)}
    data = noisy(truth, jr.key(9))["x"]
    target = pop.Target({"x": np.asarray(data)}, [pop.level("x")], covariance=pop.Given(1e-4 * np.eye(2)))
    return pop.Problem(pop.Traceable(noisy), pop.Space(a=dist.Uniform(-1, 1), b=dist.Uniform(-1, 1)), target)


def solved(problem, folder=None, stop=None):
    ticker = Ticker(None, "", 200) if stop is None else Killed(stop)
    return rounds(ResponseSurface(), problem, jr.key(1), budget=200, ticker=ticker, folder=folder)


class Killed(Ticker):
    """Stands for a machine that goes down after so many calls."""

    def __init__(self, after):
        super().__init__(None, "", 200)
        self.after = after

    def advance(self, amount):
        super().advance(amount)
        if self.done > self.after:
            raise KeyboardInterrupt


def test_the_surface_finds_the_truth(problem):
    fit = pop.calibrate(problem, ResponseSurface(), jr.key(0), budget=200, predictive=50)
    assert fit.calls == 200 and fit.done.code is pop.Code.BUDGET_SPENT
    found = {name: float(values[0]) for name, values in fit.draws.items()}
    assert abs(found["a"] - 0.4) < 0.05 and abs(found["b"] + 0.3) < 0.05


@pytest.mark.parametrize("calls", [61, 130])
def test_a_killed_fit_goes_on_to_the_same_numbers(problem, tmp_path, calls):
    whole = solved(problem)
    with pytest.raises(KeyboardInterrupt):
        solved(problem, tmp_path, stop=calls)
    again = solved(problem, tmp_path)
    assert (again.rounds, again.calls) == (whole.rounds, whole.calls) == (8, 200)
    np.testing.assert_array_equal(again.estimate.real, whole.estimate.real)
