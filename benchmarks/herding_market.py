"""The market of chartists and fundamentalists of Reiner Franke and Frank Westerhoff (2012), Journal of Economic
Dynamics and Control 36(8), 1193-1211, made for hundreds of thousands of runs, and rivals of it.

Paths are compiled, and the nine moments of daily returns are taken on the host: about 0.4 ms a run instead of 2.5.
"""

import functools
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from identification_cases_prices import _LAGS, DAYS, _returns
from jaxtyping import Array, Float

import populace as pop
from populace.core.executor import Ticker
from populace.problem.simulators import Batch

_TOGETHER = 512
_TAIL = 0.05

TRUTH = {
    "mu": 0.01,
    "beta": 1.0,
    "phi": 0.12,
    "chi": 1.5,
    "sf": 0.758,
    "sc": 2.087,
    "alpha0": -0.327,
    "an": 1.79,
    "ap": 18.43,
}
SEVEN = ("phi", "chi", "sf", "sc", "alpha0", "an", "ap")
NAMES = (
    "autocorrelation of returns",
    "mean size",
    "Hill index",
    *(f"autocorrelation of sizes, lag {lag}" for lag in _LAGS),
)


def herding(at: Mapping[str, Array], key: Any) -> Float[Array, " days"]:
    """Returns of their market; parameters that are not given are at their estimates."""
    return _returns({**{name: jnp.float32(value) for name, value in TRUTH.items()}, **at}, key)


def clustered(at: Mapping[str, Array], key: Any) -> Float[Array, " days"]:
    """GARCH(1, 1) returns with Gaussian noise, of about the same size: volatility clusters, and nobody herds."""
    noise = jr.normal(key, (200 + DAYS,))

    def step(last: Array, z: Array) -> tuple[Array, Array]:
        r = jnp.sqrt(last) * z
        return 0.009 + 0.09 * r**2 + 0.90 * last, r

    return jax.lax.scan(step, jnp.float32(0.9), noise)[1][200:]


def fat_tailed(at: Mapping[str, Array], key: Any) -> Float[Array, " days"]:
    """A random walk whose steps are Student's t of 4, of about the same size: fat tails, and nothing clusters."""
    return 0.74 * jr.t(key, 4.0, (DAYS,))


class Market(pop.Simulator):
    """Returns of `law`, of which nine moments are observed, each a number."""

    law: Any = eqx.field(static=True)

    def parameters(self) -> Mapping[str, Any]:
        return {}

    def simulate(self, parameters: Mapping[str, Array], keys: Any, ticker: Ticker) -> Batch:
        count, rows = keys.shape[0], []
        for start in range(0, count, _TOGETHER):
            part = np.minimum(np.arange(start, start + _TOGETHER), count - 1)
            at = {name: jnp.asarray(np.asarray(value)[part], jnp.float32) for name, value in parameters.items()}
            rows.append(nine(np.asarray(_paths(self.law)(at, keys[part])))[: count - start])
            ticker.advance(len(rows[-1]))
        seen = np.concatenate(rows).astype(np.float32)
        excluded = np.array(~np.isfinite(seen).all(1))
        reasons = {"a moment is not finite": int(excluded.sum())} if excluded.any() else {}
        return Batch({name: seen[:, i] for i, name in enumerate(NAMES)}, excluded, reasons)

    def describe(self) -> dict[str, Any]:
        return {"kind": "market", "law": self.law.__name__}


@functools.cache
def _paths(law: Any) -> Any:
    return jax.jit(jax.vmap(law))


def nine(returns: np.ndarray) -> np.ndarray:
    """Their nine moments (n, 9) of returns (n, days)."""
    days = returns.shape[1]
    size = np.abs(returns)
    k = int(_TAIL * days)
    top = np.partition(size, days - k - 1, axis=1)[:, days - k - 1 :].astype(np.float64)
    least = top.min(1, keepdims=True)
    hill = k / np.maximum(np.log(top / least).sum(1), 1e-300)
    columns = [_correlation(returns, (1,)), size.mean(1), hill]
    for lag in _LAGS:
        columns.append(_correlation(size, (lag,) if lag == 1 else (lag - 1, lag, lag + 1)))
    return np.stack(columns, axis=1)


def _correlation(x: np.ndarray, lags: tuple[int, ...]) -> np.ndarray:
    """The mean of the autocorrelations (n,) at some lags."""
    d = x - x.mean(1, keepdims=True)
    each = [np.einsum("nt,nt->n", d[:, : d.shape[1] - lag], d[:, lag:]) for lag in lags]
    return np.mean(each, axis=0) / np.maximum(np.einsum("nt,nt->n", d, d), 1e-30)


def moments(law: Any, at: Mapping[str, float], key: Any, runs: int) -> np.ndarray:
    """The nine moments (runs, 9) of runs at one parameter."""
    given = {name: jnp.full(runs, value) for name, value in at.items()}
    batch = Market(law).simulate(given, jr.split(key, runs), Ticker(None, "", runs))
    return np.stack([batch.observations[name] for name in NAMES], axis=1).astype(np.float64)


def target(seen: np.ndarray, replicates: np.ndarray) -> pop.Target:
    """A target of the nine moments of one data set, with the covariance (9, 9) of replicates."""
    bare = pop.Target(dict(zip(NAMES, seen, strict=True)), [pop.final(name) for name in NAMES])
    known = pop.FromReplicates(replicates)
    return bare.with_covariance(known.matrix(bare), known.source())
