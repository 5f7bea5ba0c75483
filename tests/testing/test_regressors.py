"""The suite for regressors passes what is right and finds what is wrong, each flaw by its law."""

import equinox as eqx
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import PRNGKeyArray

import populace as pop
from populace._errors import MethodError
from populace.testing.regressors import check_regressor

HOUSE = {
    "process": pop.GaussianProcess(starts=1),
    "bent": pop.Bent(pop.GaussianProcess(starts=1, noise=pop.VaryingNoise())),
    "networks": pop.NeuralEnsemble(members=5, width=16, depth=2, steps=400, decays=(0.1,)),
    "trees": pop.BoostedTrees(bags=4, rounds=50),
}


@pytest.mark.parametrize("regressor", HOUSE.values(), ids=HOUSE.keys())
def test_the_house_s_regressors_are_sound(regressor: pop.Regressor):
    check_regressor(regressor, jr.key(0))


class Line(pop.Regressor):
    """A straight line by least squares, with one flaw by choice."""

    flaw: str = eqx.field(static=True, default="")
    name = "a line"

    def least(self, inputs: int) -> int:
        return inputs + 2

    def fit(self, inputs: np.ndarray, outputs: np.ndarray, key: PRNGKeyArray) -> "LineFit":
        n, d = inputs.shape
        if n < self.least(d) and self.flaw != "learns from too few":
            raise MethodError(f"a line takes {self.least(d)} points")
        design = np.c_[np.ones(n), inputs]
        weights = np.linalg.lstsq(design, outputs, rcond=None)[0]
        if self.flaw == "another every time":
            weights = weights + np.random.default_rng().standard_normal(weights.shape)
        if self.flaw == "units":
            weights = weights / (1.0 + 0.1 * np.abs(weights))
        noise = ((outputs - design @ weights) ** 2).sum(0) / max(n - d - 1, 1)
        return LineFit(weights, np.linalg.inv(design.T @ design + 1e-9 * np.eye(d + 1)), noise, self.flaw)


class LineFit(pop.Fitted):
    def __init__(self, weights: np.ndarray, spread: np.ndarray, noise: np.ndarray, flaw: str):
        self.weights, self.spread, self.noise, self.flaw = weights, spread, noise, flaw

    def predict(self, inputs: np.ndarray) -> pop.Prediction:
        rows = np.c_[np.ones(inputs.shape[0]), inputs]
        epistemic = np.outer((rows @ self.spread * rows).sum(1), self.noise)
        mean = rows @ self.weights + (rows.mean() if self.flaw == "rows" else 0.0)
        noise = np.broadcast_to(self.noise, mean.shape)
        return pop.Prediction(mean, -noise if self.flaw == "negative" else noise, epistemic)

    def sample(self, inputs: np.ndarray, key: PRNGKeyArray, draws: int) -> np.ndarray:
        rows = np.c_[np.ones(inputs.shape[0]), inputs]
        lower = np.linalg.cholesky(self.spread)
        normal = np.asarray(jr.normal(key, (draws, 3, self.noise.size)), np.float64)
        drawn = rows @ (self.weights + np.sqrt(self.noise) * (lower @ normal))
        return drawn + 1.0 if self.flaw == "shifted draws" else drawn

    def relevance(self) -> np.ndarray:
        return np.full(2, 3.0) if self.flaw == "relevance" else np.ones(2)


def test_a_plain_line_is_sound():
    check_regressor(Line(), jr.key(1))


FLAWS = {
    "learns from too few": "fewer than least",
    "another every time": "same key",
    "units": "units",
    "rows": "other points",
    "negative": "negative",
    "shifted draws": "predicted mean",
    "relevance": "mean square 1",
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_is_found_by_its_law(flaw: str):
    with pytest.raises(AssertionError, match=FLAWS[flaw]):
        check_regressor(Line(flaw), jr.key(1))
