"""Summaries over runs that are kept up to date as runs come in, so that no ensemble needs to be held whole."""

import abc
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np

from .._errors import ModelError

Rows = Mapping[str, np.ndarray]


class Reducer(eqx.Module):
    """Takes runs in chunks: observations name to (runs, ...). Three methods; the state is host data."""

    name: eqx.AbstractVar[str]

    @abc.abstractmethod
    def start(self) -> Any:
        """The state before any run."""

    @abc.abstractmethod
    def update(self, state: Any, rows: Rows) -> Any:
        """The state with a further chunk of runs."""

    @abc.abstractmethod
    def finish(self, state: Any) -> dict[str, np.ndarray]:
        """The summary of each observation."""


class Mean(Reducer):
    """The mean over runs, in float64."""

    name: str = eqx.field(static=True, default="mean")

    def start(self) -> Any:
        return (0, {})

    def update(self, state: Any, rows: Rows) -> Any:
        count, sums = state
        n = next(iter(rows.values())).shape[0]
        return count + n, {k: sums.get(k, 0.0) + v.astype(np.float64).sum(0) for k, v in rows.items()}

    def finish(self, state: Any) -> dict[str, np.ndarray]:
        count, sums = state
        return {k: total / count for k, total in sums.items()}


class StandardDeviation(Reducer):
    """The standard deviation over runs (n - 1), by merging centred sums (Chan, Golub and LeVeque 1983)."""

    name: str = eqx.field(static=True, default="sd")

    def start(self) -> Any:
        return {}

    def update(self, state: Any, rows: Rows) -> Any:
        merged = dict(state)
        for k, chunk in rows.items():
            x = chunk.astype(np.float64)
            n, mean = x.shape[0], x.mean(0)
            spread = ((x - mean) ** 2).sum(0)
            if k in merged:
                m, old, squares = merged[k]
                shift = mean - old
                merged[k] = (m + n, old + shift * n / (m + n), squares + spread + shift**2 * m * n / (m + n))
            else:
                merged[k] = (n, mean, spread)
        return merged

    def finish(self, state: Any) -> dict[str, np.ndarray]:
        return {k: np.sqrt(s / (n - 1)) if n > 1 else np.full_like(s, np.nan) for k, (n, _, s) in state.items()}


class Quantiles(Reducer):
    """Quantiles over runs: exact up to `keep` runs, then of a uniform random sample of `keep` of them.

    The sample is of whole runs (Vitter 1985, algorithm R), so its error is that of `keep` runs:
    sqrt(p (1 - p) / keep) in probability. Summaries have the probabilities on their leading axis.
    """

    probabilities: tuple[float, ...] = eqx.field(static=True, default=(0.05, 0.5, 0.95))
    keep: int = eqx.field(static=True, default=4096)
    name: str = eqx.field(static=True, default="quantiles")

    def __check_init__(self) -> None:
        if not all(0.0 <= p <= 1.0 for p in self.probabilities):
            raise ModelError(f"Quantiles: probabilities lie in [0, 1], not {self.probabilities}")

    def start(self) -> Any:
        return (0, {}, np.random.default_rng(20251))

    def update(self, state: Any, rows: Rows) -> Any:
        seen, kept, rng = state
        n = next(iter(rows.values())).shape[0]
        fits = max(0, min(n, self.keep - seen))
        if fits:
            kept = {k: np.concatenate([kept[k], v[:fits]]) if k in kept else v[:fits].copy() for k, v in rows.items()}
        for i in range(fits, n):
            slot = int(rng.integers(0, seen + i + 1))
            if slot < self.keep:
                for k, v in rows.items():
                    kept[k][slot] = v[i]
        return seen + n, kept, rng

    def finish(self, state: Any) -> dict[str, np.ndarray]:
        return {k: np.quantile(v, self.probabilities, axis=0) for k, v in state[1].items()}
