"""Cross-validation: what each regressor says of runs that it did not learn from."""

from collections.abc import Sequence

import jax.random as jr
import numpy as np

from .._types import Key
from ..core.noise import host_generator
from .regressor import Prediction, Regressor

_MANY = 1000
"""With so many runs one fifth is left out once; with fewer every fifth in turn."""
_PARTS = 5


def parts_of(inputs: np.ndarray, key: Key) -> list[np.ndarray]:
    """Rows to leave out in turn, as index arrays. Replicates of a point are never parted: the regressor would have
    seen the point.
    """
    _, point = np.unique(inputs, axis=0, return_inverse=True)
    point = point.ravel()
    order = host_generator(key).permutation(int(point.max()) + 1)
    groups = [np.flatnonzero(np.isin(point, chosen)) for chosen in np.array_split(order, _PARTS)]
    return groups[:1] if inputs.shape[0] > _MANY else groups


def left_out(
    regressor: Regressor, inputs: np.ndarray, outputs: np.ndarray, parts: Sequence[np.ndarray], key: Key
) -> Prediction:
    """What a regressor says of the rows of `parts`, one part after another, each time having learned all others."""
    said = []
    for i, part in enumerate(parts):
        rest = np.setdiff1d(np.arange(inputs.shape[0]), part)
        fitted = regressor.fit(inputs[rest], outputs[rest], jr.fold_in(key, i))
        said.append(fitted.predict(inputs[part]))
    return Prediction(
        *(np.concatenate([getattr(one, field) for one in said]) for field in ("mean", "noise", "epistemic"))
    )
