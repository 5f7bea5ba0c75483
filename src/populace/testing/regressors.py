"""What every regressor must do: the laws of `populace.Regressor`, for those who write their own."""

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from ..surrogates.regressor import Fitted, Prediction, Regressor
from ..surrogates.samplers import Sobol

INPUTS, OUTPUTS = 2, 2
RUNS, POINTS, DRAWS = 96, 20, 400
CLOSE = 1e-3
"""How far numbers that should be the same may lie apart, in standard deviations of the outputs."""


def check_regressor(regressor: Regressor, key: Key) -> None:
    """Check every law that `Regressor` and `Fitted` state; return if all hold.

    It learns two noisy functions of two inputs from 96 runs, three times.

    **Raises:** `AssertionError` that names the law and what was found; `MethodError` if it wants more runs.
    """
    data, learn, draw = jr.split(key, 3)
    inputs = Sobol().sequence(data, INPUTS, 0, RUNS)
    noise = host_generator(data).standard_normal((RUNS, OUTPUTS))
    outputs = np.stack([np.sin(4.0 * inputs[:, 0]), inputs.sum(1)], axis=1) + 0.1 * noise
    points = host_generator(draw).random((POINTS, INPUTS))
    fitted = regressor.fit(inputs, outputs, learn)
    said = fitted.predict(points)
    _shapes(regressor, said)
    _rows(regressor, fitted, points, said)
    _same_key(regressor, regressor.fit(inputs, outputs, learn).predict(points), said)
    _units(regressor, regressor.fit(inputs, 50.0 - 1000.0 * outputs, learn).predict(points), said)
    _draws(regressor, fitted, points, said, draw)
    _relevance(regressor, fitted)
    _refuses(regressor, inputs, outputs, learn)


def _shapes(regressor: Regressor, said: Prediction) -> None:
    for name in ("mean", "noise", "epistemic"):
        found = getattr(said, name)
        _require(found.shape == (POINTS, OUTPUTS), regressor, f"{name} has shape {found.shape}, not (points, outputs)")
        _require(found.dtype == np.float64, regressor, f"{name} is {found.dtype}, not float64")
        _require(bool(np.isfinite(found).all()), regressor, f"{name} is not finite")
    _require(bool((said.noise >= 0).all() and (said.epistemic >= 0).all()), regressor, "a variance is negative")
    _require(bool((said.variance > 0).all()), regressor, "it is certain of a noisy function")


def _rows(regressor: Regressor, fitted: Fitted, points: np.ndarray, said: Prediction) -> None:
    some = fitted.predict(points[3:8])
    _require(_near(some.mean, said.mean[3:8]), regressor, "what it says of a point hangs on the other points")


def _same_key(regressor: Regressor, again: Prediction, said: Prediction) -> None:
    same = np.array_equal(again.mean, said.mean) and np.array_equal(again.variance, said.variance)
    _require(same, regressor, "the same key learns something else")


def _units(regressor: Regressor, other: Prediction, said: Prediction) -> None:
    _require(_near((50.0 - other.mean) / 1000.0, said.mean, 0.05), regressor, "means hang on the outputs' units")
    _require(
        _near(np.sqrt(other.variance) / 1000.0, np.sqrt(said.variance), 0.05), regressor, "variances hang on units"
    )


def _draws(regressor: Regressor, fitted: Fitted, points: np.ndarray, said: Prediction, key: Key) -> None:
    drawn = fitted.sample(points, key, DRAWS)
    wanted = (DRAWS, POINTS, OUTPUTS)
    _require(drawn.shape == wanted, regressor, f"draws have shape {drawn.shape}, not {wanted}")
    _require(np.array_equal(drawn, fitted.sample(points, key, DRAWS)), regressor, "the same key draws something else")
    error = np.sqrt(drawn.var(0) / DRAWS)
    far = np.abs(drawn.mean(0) - said.mean) > 6.0 * error + CLOSE
    _require(not far.any(), regressor, "draws of the mean do not have the predicted mean")
    ratio = drawn.var(0).mean() / max(said.epistemic.mean(), 1e-12)
    _require(0.5 < ratio < 2.0, regressor, f"draws vary {ratio:.2g} times as much as the epistemic variance says")


def _relevance(regressor: Regressor, fitted: Fitted) -> None:
    found = fitted.relevance()
    _require(found.shape == (INPUTS,), regressor, f"relevance has shape {found.shape}, not (inputs,)")
    square = float((found**2).mean())
    _require(bool((found > 0).all()) and abs(square - 1.0) < CLOSE, regressor, "relevance is not of mean square 1")


def _refuses(regressor: Regressor, inputs: np.ndarray, outputs: np.ndarray, key: Key) -> None:
    few = regressor.least(INPUTS) - 1
    try:
        regressor.fit(inputs[:few], outputs[:few], key)
    except MethodError as error:
        _require(str(few + 1) in str(error), regressor, "the error does not say how many points it takes")
        return
    _require(False, regressor, f"{few} points are learned from, fewer than least()")


def _near(one: np.ndarray, other: np.ndarray, within: float = CLOSE) -> bool:
    return bool(np.abs(one - other).max() < within)


def _require(holds: bool, regressor: Regressor, what: str) -> None:
    if not holds:
        raise AssertionError(f"{type(regressor).__name__}: {what}")
