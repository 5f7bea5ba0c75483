"""Whether two samples are of one law: how well a classifier tells them apart, on rows that it has not seen.

David Lopez-Paz and Maxime Oquab (2017), arXiv:1610.06545. An accuracy of .5 is that of a coin, 1 tells all apart.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array
from scipy.stats import norm

from .._errors import MethodError
from .._results import Result, Section
from .._types import Key
from ..core.noise import host_generator
from ..surrogates import networks, training
from ..surrogates.networks import Weights

_FEWEST = 100
_EPOCHS = 40


@dataclass(frozen=True)
class TwoSample(Result):
    """How well two samples are told apart.

    `accuracy`: of `folds` classifiers on the rows that each left out; `error`: its standard error were they of one law;
    `p`: the chance of so high an accuracy then.
    """

    accuracy: float
    error: float
    rows: int

    @property
    def p(self) -> float:
        return float(norm.sf((self.accuracy - 0.5) / self.error))

    def sections(self) -> tuple[Section, ...]:
        text = (
            f"A classifier tells {100 * self.accuracy:.1f} % of {self.rows} unseen rows right; a coin does 50 % "
            f"(standard error {100 * self.error:.1f} %, p = {self.p:.2g})."
        )
        return (Section("Two samples", (text,)),)

    def record(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy, "error": self.error, "p": self.p, "rows": self.rows}


def classifier_two_sample(
    one: np.ndarray, other: np.ndarray, key: Key, *, folds: int = 5, width: int | None = None
) -> TwoSample:
    """Tell two samples (n, d) and (m, d) apart; the larger is cut, by chance, to the other's size.

    **Arguments:** `folds`: classifiers, each of which leaves its share of the rows out and is judged there; `width`: of
    their two hidden layers (ten a column if None, at least 32). Each stops where its likelihood on the rows left out
    is best, so that equal samples are not told apart by learning them by heart.

    **Raises:** `MethodError` for fewer than 100 rows, other columns, or numbers that are not finite.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.ndim != 2 or one.shape[1:] != other.shape[1:]:
        raise MethodError(f"samples of shapes {one.shape} and {other.shape} have not the same columns")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise MethodError("a sample holds numbers that are not finite")
    n = min(len(one), len(other))
    if n < _FEWEST:
        raise MethodError(f"{n} rows show nothing: give {_FEWEST} or more of each")
    cut, split, start = jr.split(key, 3)
    rng = host_generator(cut)
    both = np.concatenate([rows[rng.permutation(len(rows))[:n]] for rows in (one, other)])
    scale = both[:n].std(0)
    x = training.padded((both - both[:n].mean(0)) / np.where(scale > 0, scale, 1.0))
    y = training.padded(np.repeat([0.0, 1.0], n))
    rows = training.folds(2 * n, folds, host_generator(split), x.shape[0])
    hidden = width or max(32, 10 * one.shape[1])
    batch = min(256, n)
    weights, _ = training.trained(
        training.Plan(max(600, _EPOCHS * 2 * n // batch // 20 * 20), batch, 3e-3),
        networks.First((one.shape[1], hidden, hidden, 1)),
        _entropy,
        _entropy,
        (x, y),
        rows,
        jnp.full(folds, 1e-3, jnp.float32),
        jr.split(start, folds),
    )
    right = _right(weights, x, y, rows)
    accuracy = float(np.asarray(right).sum() / (2 * n))
    return TwoSample(accuracy, 0.5 / np.sqrt(2 * n), 2 * n)


def _entropy(weights: Weights, rows: tuple[Array, Array], key: Key) -> Array:
    x, y = rows
    says = networks.perceptron(weights, x)[:, 0]
    return jax.nn.softplus(says) - y * says


@jax.jit
def _right(weights: Weights, x: Array, y: Array, rows: training.Rows) -> Array:
    """How many of the rows it left out each classifier gets right, (folds,)."""

    def one(weights: Weights, rows: training.Rows) -> Array:
        says = networks.perceptron(weights, x[rows.hold])[:, 0] > 0
        counted = jnp.arange(rows.hold.shape[0]) < rows.hold_count
        return jnp.where(counted, says == (y[rows.hold] > 0.5), False).sum()

    return jax.vmap(one)(weights, rows)
