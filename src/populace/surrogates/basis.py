"""A reduced basis: whole series by the few shapes that they are made of (principal components)."""

from dataclasses import dataclass

import numpy as np

from .regressor import Prediction, Standard

_FEW = 8
"""Up to so many moments are learned one by one."""
_LOST = 1e-3
"""The share of the standardised moments' variance that the basis may leave out."""
_MOST = 20


@dataclass(frozen=True)
class Basis:
    """Moments (n, k) as weights (n, r) of r shapes.

    y = c + s (w S + e): c, s centre and scale (k,), S the `shapes` (r, k), orthonormal, e what is left out, of variance
    `lost` (k,), which counts as noise of every prediction.
    """

    standard: Standard
    shapes: np.ndarray
    lost: np.ndarray

    @staticmethod
    def of(moments: np.ndarray, few: int = _FEW) -> "Basis":
        """Of moments (n, k): the moments themselves up to `few` of them, else as many shapes as leave out 0.1 % of the
        variance, 20 at the most.
        """
        standard = Standard.of(moments)
        k = moments.shape[1]
        if k <= few:
            return Basis(standard, np.eye(k), np.zeros(k))
        scaled = standard(moments)
        _, sizes, shapes = np.linalg.svd(scaled, full_matrices=False)
        left = 1.0 - np.cumsum(sizes**2) / max((sizes**2).sum(), 1e-300)
        count = min(int(np.argmax(left <= _LOST)) + 1, _MOST)
        kept = shapes[:count]
        return Basis(standard, kept, (scaled - (scaled @ kept.T) @ kept).var(0))

    def weights(self, moments: np.ndarray) -> np.ndarray:
        """(n, r)."""
        return self.standard(moments) @ self.shapes.T

    def moments(self, weights: np.ndarray) -> np.ndarray:
        """Weights (..., r) back as moments (..., k)."""
        return self.standard.centre + self.standard.scale * (weights @ self.shapes)

    def back(self, weights: Prediction) -> Prediction:
        """A prediction of weights, whose errors are taken as independent, as one of moments."""
        squared = self.shapes**2
        mixed = weights.noise @ squared + self.lost
        return self.standard.back(weights.mean @ self.shapes, mixed, weights.epistemic @ squared)
