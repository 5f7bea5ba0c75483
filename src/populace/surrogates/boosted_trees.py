"""Gradient-boosted trees (extra `trees`): robust where the response jumps, coarse where it is smooth.

Bags of XGBoost models (Chen and Guestrin 2016, arXiv:1603.02754) on bootstrap samples (Breiman 1996). Their spread is
the epistemic variance; what each run is missed by, by the models that did not see it, is learned in turn and is, less
that spread, the noise variance.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.random as jr
import numpy as np

from .._errors import MissingExtraError
from .._types import Key
from ..core.noise import host_generator
from .regressor import Fitted, Prediction, Regressor, Standard, check_enough, normalised

_FLOOR = 1e-4
"""The least squared residual that is learned, outputs standardised."""


class BoostedTrees(Regressor):
    """Bags of gradient-boosted trees.

    **Arguments:** `bags`: how many models; `rounds`, `rate`, `depth`: of each.
    """

    bags: int = eqx.field(static=True, default=10)
    rounds: int = eqx.field(static=True, default=300)
    rate: float = eqx.field(static=True, default=0.05)
    depth: int = eqx.field(static=True, default=5)

    @property
    def name(self) -> str:
        return "boosted trees"

    def least(self, inputs: int) -> int:
        return max(20, 5 + 2 * inputs)

    def fit(self, inputs: np.ndarray, outputs: np.ndarray, key: Key) -> "FittedTrees":
        check_enough(self, inputs)
        xgboost = load_xgboost()
        standard = Standard.of(outputs)
        columns = [
            self._column(xgboost, inputs, column, jr.fold_in(key, i)) for i, column in enumerate(standard(outputs).T)
        ]
        gains = [_gain(model, inputs.shape[1]) for bags, _ in columns for model in bags]
        relevances = normalised(np.stack(gains).mean(0))
        return FittedTrees(tuple(columns), standard, relevances)

    def _column(self, xgboost: Any, inputs: np.ndarray, outputs: np.ndarray, key: Key) -> tuple[tuple[Any, ...], Any]:
        """The models of one output, and the model of its noise variance."""
        n, generator = outputs.size, host_generator(key)
        settings = {"eta": self.rate, "max_depth": self.depth, "subsample": 0.8, "nthread": 1, "verbosity": 0}
        said, unseen, models = np.zeros((self.bags, n)), np.zeros((self.bags, n), bool), []
        for i in range(self.bags):
            drawn = generator.integers(0, n, n)
            settings["seed"] = int(generator.integers(2**31))
            models.append(xgboost.train(settings, xgboost.DMatrix(inputs[drawn], outputs[drawn]), self.rounds))
            said[i], unseen[i] = models[-1].predict(xgboost.DMatrix(inputs)), True
            unseen[i, drawn] = False
        seen_by_none = unseen.sum(0)
        rows = np.flatnonzero(seen_by_none)
        missed = outputs[rows] - (said * unseen).sum(0)[rows] / seen_by_none[rows]
        own = said.var(0, ddof=1)[rows]
        residual = np.maximum(missed**2 - own, _FLOOR)
        gamma = {
            "objective": "reg:gamma",
            "eta": 0.05,
            "max_depth": 3,
            "min_child_weight": 5,
            "nthread": 1,
            "verbosity": 0,
        }
        return tuple(models), xgboost.train(gamma, xgboost.DMatrix(inputs[rows], residual), 60)


@dataclass(frozen=True)
class FittedTrees(Fitted):
    """Trees that have learned: models and the model of the noise, an output each."""

    columns: tuple[tuple[tuple[Any, ...], Any], ...]
    standard: Standard
    relevances: np.ndarray

    def predict(self, inputs: np.ndarray) -> Prediction:
        rows = load_xgboost().DMatrix(inputs)
        each = self._each(rows)
        noise = np.stack([model.predict(rows) for _, model in self.columns], axis=1).astype(np.float64)
        return self.standard.back(each.mean(0), noise, each.var(0, ddof=1))

    def sample(self, inputs: np.ndarray, key: Key, draws: int) -> np.ndarray:
        """A Gaussian draw with the models' mean and covariance."""
        each = self._each(load_xgboost().DMatrix(inputs))
        centre = each.mean(0)
        mixed = host_generator(key).standard_normal((draws, each.shape[0])) / np.sqrt(each.shape[0] - 1)
        functions = centre + np.tensordot(mixed, each - centre, axes=1)
        return functions * self.standard.scale + self.standard.centre

    def relevance(self) -> np.ndarray:
        return self.relevances

    def _each(self, rows: Any) -> np.ndarray:
        """What every model says, (bags, m, k), standardised."""
        columns = [np.stack([model.predict(rows) for model in bags]) for bags, _ in self.columns]
        return np.stack(columns, axis=2).astype(np.float64)


def _gain(model: Any, inputs: int) -> np.ndarray:
    """How much each input takes part in the splits, (d,): the square root of its share of the total gain."""
    gain = model.get_score(importance_type="total_gain")
    found = np.array([gain.get(f"f{i}", 0.0) for i in range(inputs)], np.float64)
    return np.sqrt(found / max(found.sum(), 1e-300))


def load_xgboost() -> Any:
    """The package.

    **Raises:** `MissingExtraError`.
    """
    try:
        import xgboost
    except ImportError as error:
        raise MissingExtraError("xgboost", "trees") from error
    return xgboost
