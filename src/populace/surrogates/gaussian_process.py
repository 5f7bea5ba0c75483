"""A Gaussian process with an ARD Matern-5/2 kernel on bent inputs, a process an output.

Its numbers are the largest of the marginal likelihood over several starts (L-BFGS-B, exact gradients, float64): from
random starts on a part of the points, and from the best of these on all. Up to about 2,000 points: the work grows with
their cube.
"""

import abc
from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax.random as jr
import numpy as np
import scipy.linalg
from scipy.optimize import minimize

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from . import matern
from .matern import Hyper
from .regressor import Fitted, Prediction, Regressor, Standard, check_enough, normalised
from .threads import a_core_each

_MOST = 4000
_PART = 300
"""Points that random starts are tried on."""
_STEPS, _FINAL = 80, 40
"""Steps of the optimiser on the part and on all points."""
_LOG_CHI2 = 1.2704
"""Minus the mean of the logarithm of a squared standard Gaussian number."""
_LOG_CHI2_VARIANCE = np.pi**2 / 2.0
"""And its variance: the noise of the process that learns them, which is therefore known."""
_SPREAD = 100.0
"""How far a point's noise variance may lie from the common one, as a factor."""


class Noise(eqx.Module):
    """What is assumed of the noise variance over the inputs. One method."""

    @abc.abstractmethod
    def model(self, inputs: np.ndarray, residuals: np.ndarray, key: Key) -> "Process | None":
        """A process for the logarithm of the noise variance relative to the common one, from what leaving a point out
        misses it by, (n,), standardised; None where it is everywhere the same.
        """


class SameNoise(Noise):
    """The same everywhere."""

    def model(self, inputs: np.ndarray, residuals: np.ndarray, key: Key) -> "Process | None":
        return None


class VaryingNoise(Noise):
    """It varies smoothly: a second process learns the logarithm of squared left-out residuals (Goldberg, Williams and
    Bishop 1998; Kersting and others 2007), and the first is fitted again with what it says.
    """

    def model(self, inputs: np.ndarray, residuals: np.ndarray, key: Key) -> "Process | None":
        logs = np.log(np.maximum(residuals**2, 1e-6)) + _LOG_CHI2
        return learned(inputs, logs - logs.mean(), np.ones(logs.size), 2, key, noise=float(_LOG_CHI2_VARIANCE))


class Process(NamedTuple):
    """A process that has learned outputs (n,): its numbers, bent inputs (n, d), Cholesky factor (n, n) and weights."""

    hyper: Hyper
    bent: np.ndarray
    lower: np.ndarray
    weights: np.ndarray

    @staticmethod
    def of(hyper: Hyper, inputs: np.ndarray, outputs: np.ndarray, relative: np.ndarray) -> "Process":
        bent = hyper.bent(inputs)
        lower = hyper.factored(bent, relative)
        return Process(hyper, bent, lower, scipy.linalg.cho_solve((lower, True), outputs))

    def mean(self, inputs: np.ndarray) -> np.ndarray:
        """(m,)."""
        return self.hyper.covariance(self.hyper.bent(inputs), self.bent) @ self.weights

    def variance(self, inputs: np.ndarray) -> np.ndarray:
        """Of the function, (m,)."""
        across = self.hyper.covariance(self.bent, self.hyper.bent(inputs))
        known = scipy.linalg.solve_triangular(self.lower, across, lower=True)
        return np.maximum(self.hyper.signal - (known**2).sum(0), 0.0)

    def covariance(self, inputs: np.ndarray) -> np.ndarray:
        """Of the function, (m, m)."""
        bent = self.hyper.bent(inputs)
        known = scipy.linalg.solve_triangular(self.lower, self.hyper.covariance(self.bent, bent), lower=True)
        return self.hyper.covariance(bent, bent) - known.T @ known

    def left_out(self) -> np.ndarray:
        """What each output is missed by when its point is left out, (n,): weights over the inverse's diagonal."""
        inverse = scipy.linalg.solve_triangular(self.lower, np.eye(self.weights.size), lower=True)
        return self.weights / (inverse**2).sum(0)


class GaussianProcess(Regressor):
    """ARD Matern-5/2 Gaussian processes.

    **Arguments:** `starts`: random starts of the search; `noise`: `SameNoise()` or `VaryingNoise()`.
    """

    starts: int = eqx.field(static=True, default=4)
    noise: Noise = eqx.field(default_factory=SameNoise)

    @property
    def name(self) -> str:
        return "a Gaussian process" + (" with varying noise" if isinstance(self.noise, VaryingNoise) else "")

    def least(self, inputs: int) -> int:
        return 5 + 2 * inputs

    def fit(self, inputs: np.ndarray, outputs: np.ndarray, key: Key) -> "FittedProcess":
        check_enough(self, inputs)
        if inputs.shape[0] > _MOST:
            raise MethodError(f"a Gaussian process of {inputs.shape[0]} points: take NeuralEnsemble() above {_MOST}")
        standard = Standard.of(outputs)
        pairs = [(column, jr.fold_in(key, i)) for i, column in enumerate(standard(outputs).T)]
        columns = a_core_each(lambda pair: self._column(inputs, *pair), pairs)
        return FittedProcess(tuple(first for first, _ in columns), tuple(second for _, second in columns), standard)

    def _column(self, inputs: np.ndarray, outputs: np.ndarray, key: Key) -> tuple[Process, Process | None]:
        search, noise = jr.split(key)
        first = learned(inputs, outputs, np.ones(outputs.size), self.starts, search)
        second = self.noise.model(inputs, first.left_out(), noise)
        if second is None:
            return first, None
        theta = best(inputs, outputs, _relative(second, inputs), _theta(first.hyper), _FINAL, None)
        return Process.of(Hyper.of(theta), inputs, outputs, _relative(second, inputs)), second


@dataclass(frozen=True)
class FittedProcess(Fitted):
    """Processes that have learned, one an output; `noises`: of the logarithm of relative noise variance, or None."""

    processes: tuple[Process, ...]
    noises: tuple[Process | None, ...]
    standard: Standard

    def predict(self, inputs: np.ndarray) -> Prediction:
        means = np.stack([one.mean(inputs) for one in self.processes], axis=1)
        epistemic = np.stack(a_core_each(lambda one: one.variance(inputs), self.processes), axis=1)
        noise = [
            np.full(inputs.shape[0], one.hyper.noise) * (1.0 if varying is None else _relative(varying, inputs))
            for one, varying in zip(self.processes, self.noises, strict=True)
        ]
        return self.standard.back(means, np.stack(noise, axis=1), epistemic)

    def sample(self, inputs: np.ndarray, key: Key, draws: int) -> np.ndarray:
        out = np.empty((draws, inputs.shape[0], len(self.processes)))
        for i, one in enumerate(self.processes):
            covariance = one.covariance(inputs)
            covariance[np.diag_indices_from(covariance)] += 1e-6 * one.hyper.signal
            lower = np.linalg.cholesky(covariance)
            normal = host_generator(jr.fold_in(key, i)).standard_normal((draws, inputs.shape[0]))
            out[:, :, i] = one.mean(inputs) + normal @ lower.T
        return out * self.standard.scale + self.standard.centre

    def relevance(self) -> np.ndarray:
        """By 1 / l, a process weighted by its signal; bends are not counted."""
        total = sum(
            one.hyper.signal / (one.hyper.signal + one.hyper.noise) / one.hyper.scales**2 for one in self.processes
        )
        return normalised(np.sqrt(total))


def learned(
    inputs: np.ndarray, outputs: np.ndarray, relative: np.ndarray, starts: int, key: Key, *, noise: float | None = None
) -> Process:
    """A process with the numbers of largest marginal likelihood; `noise`: its variance, where it is known."""
    n, d = inputs.shape
    generator = host_generator(key)
    part = generator.permutation(n)[:_PART]
    found = []
    for _ in range(starts):
        lengths = np.log(generator.uniform(0.3, 3.0, d))
        share = np.log(generator.choice([0.01, 0.1, 0.5]) if noise is None else noise)
        theta = np.concatenate([lengths, [0.0, share], 0.3 * generator.standard_normal(2 * d)])
        theta = best(inputs[part], outputs[part], relative[part], theta, _STEPS, noise)
        found.append((matern.loss(theta, inputs[part], outputs[part], relative[part])[0], theta))
    theta = min(found, key=lambda pair: pair[0])[1]
    if n > part.size:
        theta = best(inputs, outputs, relative, theta, _FINAL, noise)
    return Process.of(Hyper.of(theta), inputs, outputs, relative)


def best(
    inputs: np.ndarray,
    outputs: np.ndarray,
    relative: np.ndarray,
    theta: np.ndarray,
    steps: int,
    noise: float | None,
) -> np.ndarray:
    """The numbers that a search from `theta` ends at."""
    found = minimize(
        matern.loss,
        theta,
        (inputs, outputs, relative),
        jac=True,
        method="L-BFGS-B",
        bounds=matern.bounds(inputs.shape[1], noise),
        options={"maxiter": steps},
    )
    return found.x


def _theta(hyper: Hyper) -> np.ndarray:
    return np.log(np.concatenate([hyper.scales, [hyper.signal, hyper.noise], hyper.a, hyper.b]))


def _relative(process: Process, inputs: np.ndarray) -> np.ndarray:
    """Noise variance relative to the common one, (m,)."""
    return np.clip(np.exp(process.mean(inputs)), 1.0 / _SPREAD, _SPREAD)
