"""Several regressors that have learned, as one."""

from dataclasses import dataclass

import jax.random as jr
import numpy as np

from .._types import Key
from ..core.noise import host_generator
from .regressor import Fitted, Prediction, normalised


@dataclass(frozen=True)
class Mixture(Fitted):
    """`parts` with `shares` that add up to 1. The mean is the shares' mean; what the parts' means differ by counts
    as epistemic variance.
    """

    parts: tuple[Fitted, ...]
    shares: np.ndarray

    def predict(self, inputs: np.ndarray) -> Prediction:
        return mixed([part.predict(inputs) for part in self.parts], self.shares)

    def sample(self, inputs: np.ndarray, key: Key, draws: int) -> np.ndarray:
        """Each draw is one of a part, drawn by the shares."""
        pick, inner = jr.split(key)
        which = host_generator(pick).choice(len(self.parts), draws, p=self.shares)
        out: np.ndarray | None = None
        for i, part in enumerate(self.parts):
            rows = np.flatnonzero(which == i)
            drawn = part.sample(inputs, jr.fold_in(inner, i), rows.size)
            out = np.empty((draws, *drawn.shape[1:])) if out is None else out
            out[rows] = drawn
        assert out is not None
        return out

    def relevance(self) -> np.ndarray:
        each = np.stack([part.relevance() for part in self.parts])
        return normalised(np.sqrt(self.shares @ each**2))


def mixed(predictions: list[Prediction], shares: np.ndarray) -> Prediction:
    """The prediction of a mixture."""
    mean = sum(share * one.mean for share, one in zip(shares, predictions, strict=True))
    noise = sum(share * one.noise for share, one in zip(shares, predictions, strict=True))
    epistemic = sum(
        share * (one.epistemic + (one.mean - mean) ** 2) for share, one in zip(shares, predictions, strict=True)
    )
    return Prediction(np.asarray(mean), np.asarray(noise), np.asarray(epistemic))
