"""Gradient-boosted trees (extra `trees`) that learn which runs are acceptable, by their labels alone.

The surrogate of Lamperti, Roventini and Sani (2018, Journal of Economic Dynamics and Control 90:366), with XGBoost.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.random as jr
import numpy as np

from .._types import Key
from ..core.noise import host_generator
from .acceptance import Classifier, FittedClassifier, accepted
from .boosted_trees import load_xgboost


class AcceptingTrees(Classifier):
    """Boosted trees.

    **Arguments:** `bags`: how many models, the first on all runs and further ones on bootstrap samples; `rounds`,
    `rate`, `depth`: of each.
    """

    bags: int = eqx.field(static=True, default=1)
    rounds: int = eqx.field(static=True, default=100)
    rate: float = eqx.field(static=True, default=0.1)
    depth: int = eqx.field(static=True, default=5)

    @property
    def name(self) -> str:
        return "boosted trees"

    def fit(self, inputs: np.ndarray, ratios: np.ndarray, key: Key) -> "FittedAcceptingTrees":
        xgboost, labels = load_xgboost(), accepted(ratios).astype(float)
        generator = host_generator(key)
        settings = {
            **{"objective": "binary:logistic", "eta": self.rate, "max_depth": self.depth},
            **{"nthread": 1, "verbosity": 0, "seed": int(jr.bits(key)) % 2**31},
        }
        if 0.0 < labels.mean() < 1.0:
            settings["base_score"] = float(labels.mean())
        n, models = labels.size, []
        for bag in range(self.bags):
            drawn = np.arange(n) if bag == 0 else generator.integers(0, n, n)
            models.append(xgboost.train(settings, xgboost.DMatrix(inputs[drawn], labels[drawn]), self.rounds))
        return FittedAcceptingTrees(tuple(models))


@dataclass(frozen=True)
class FittedAcceptingTrees(FittedClassifier):
    """Trees that have learned."""

    models: tuple[Any, ...]

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        rows = load_xgboost().DMatrix(inputs)
        return np.stack([model.predict(rows) for model in self.models]).astype(np.float64)
