"""Draws from a density that can be worked out and differentiated: found by importance sampling, then by NUTS.

Draws of the prior are drawn closer in tempered rounds, each from kernels around the last (Olivier Cappe, Arnaud
Guillin, Jean-Michel Marin and Christian Robert 2004, population Monte Carlo). From there chains of the No-U-Turn
sampler (Matthew Hoffman and Andrew Gelman 2014, JMLR 15:1593; blackjax) walk in coordinates in which the draws so far
have covariance I, so that they start where the density lives and know its scale.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float
from scipy.special import logsumexp

from .._types import Key
from ..core.noise import host_generator
from .estimates import systematic, weighted_covariance
from .mixing import effective_size, split_r_hat

_FIRST = 2_000
_NEXT = 500
_ROUNDS = 12
_ENOUGH = 0.2
"""The effective share of draws that a temperature keeps."""
_WARM = 150
_AT_ONCE = 100
_DOUBLINGS = 7

LogDensity = Callable[[Float[Array, " d"]], Float[Array, ""]]
"""A module whose call gives the log-density at one point; its arrays are arguments of what is compiled."""


class Found(NamedTuple):
    """Weighted draws: points (n, d), weights (n,) summing to 1, and the logarithm of the density's integral."""

    points: np.ndarray
    weights: np.ndarray
    log_integral: float

    @property
    def effective(self) -> float:
        """How many equally weighted draws they are worth."""
        return float(1.0 / (self.weights**2).sum())


class Chains(NamedTuple):
    """Chains (s, T, d) after warm-up, and the share of steps that diverged."""

    path: np.ndarray
    divergent: float

    def worst(self) -> tuple[float, float]:
        """The largest split R-hat and the smallest effective size of any number."""
        return float(split_r_hat(self.path).max()), float(effective_size(self.path).min())


@eqx.filter_jit
def _each(density: LogDensity, points: Float[Array, "n d"]) -> Float[Array, " n"]:
    return jax.lax.map(density, points, batch_size=_AT_ONCE)


def _levels(density: LogDensity, points: np.ndarray) -> np.ndarray:
    """Log-densities (n,), minus infinity where there is none."""
    found = np.asarray(_each(density, jnp.asarray(points, jnp.float32)), np.float64)
    return np.where(np.isfinite(found), found, -np.inf)


def found(density: LogDensity, prior: LogDensity, first: Callable[[int], np.ndarray], key: Key) -> Found:
    """Weighted draws of a density.

    **Arguments:** `density`, `prior`: log-densities of a point (d,), the first of which is that of interest, and the
    second one that `first(n)` draws from.
    """
    rng = host_generator(key)
    points = first(_FIRST)
    now = _weighed(density, prior, points, _levels(prior, points), last=False)
    for left in reversed(range(_ROUNDS)):
        points, proposed = _around(now[0], rng)
        now = _weighed(density, prior, points, proposed, last=left == 0)
        if now[1] >= 1.0 and now[0].effective >= _ENOUGH * len(points):
            break
    return now[0]


def _weighed(
    density: LogDensity, prior: LogDensity, points: np.ndarray, proposed: np.ndarray, last: bool
) -> tuple[Found, float]:
    """Points with weights at the temperature that they bear, 1 at the last, and that temperature."""
    levels, before = _levels(density, points), _levels(prior, points)
    heat = 1.0 if last else _heat(levels, before, proposed)
    logs = before + heat * np.where(np.isfinite(levels), levels - before, -np.inf) - proposed
    total = logsumexp(logs)
    weights = np.exp(logs - total)
    return Found(points, weights / weights.sum(), float(total - np.log(len(points)))), heat


def _heat(levels: np.ndarray, before: np.ndarray, proposed: np.ndarray) -> float:
    """The largest power of the likelihood, up to 1, at which a share of the draws still counts."""

    def share(heat: float) -> float:
        logs = before + heat * np.where(np.isfinite(levels), levels - before, -np.inf) - proposed
        weights = np.exp(logs - logs.max())
        return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))

    if share(1.0) >= _ENOUGH:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(middle) >= 0.5 * _ENOUGH else (low, middle)
    return low


def _around(now: Found, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws from kernels around weighted ones, and the log-density that they were drawn from."""
    d = now.points.shape[1]
    width = (4.0 / (d + 2.0)) ** (1.0 / (d + 4.0)) * min(now.effective, _NEXT) ** (-1.0 / (d + 4.0))
    spread = weighted_covariance(now.points, now.weights)
    root = width * np.linalg.cholesky(spread + (1e-9 * np.trace(spread) / d + 1e-12) * np.eye(d))
    centres = now.points[rng.choice(len(now.points), _NEXT, p=now.weights)]
    drawn = centres + rng.standard_normal((_NEXT, d)) @ root.T
    back = np.linalg.inv(root)
    gaps = (drawn @ back.T)[:, None] - (centres @ back.T)[None]
    each = -0.5 * (gaps**2).sum(-1) - 0.5 * d * np.log(2.0 * np.pi) - np.log(np.diag(root)).sum()
    return drawn, logsumexp(each, axis=1) - np.log(_NEXT)


class _Whitened(eqx.Module):
    """A density in coordinates z with x = middle + root z."""

    density: LogDensity
    middle: Float[Array, " d"]
    root: Float[Array, "d d"]

    def __call__(self, z: Float[Array, " d"]) -> Float[Array, ""]:
        return self.density(self.middle + self.root @ z)


def walked(density: LogDensity, start: Found, key: Key, chains: int, draws: int) -> Chains:
    """Chains from where draws were found, each of `draws` after its warm-up."""
    pick, walk = jr.split(key)
    d = start.points.shape[1]
    spread = weighted_covariance(start.points, start.weights)
    root = np.linalg.cholesky(spread + (1e-9 * np.trace(spread) / d + 1e-12) * np.eye(d))
    middle = start.weights @ start.points
    first = np.linalg.solve(root, (start.points[systematic(pick, start.weights, chains)] - middle).T).T
    white = _Whitened(density=density, middle=jnp.asarray(middle, jnp.float32), root=jnp.asarray(root, jnp.float32))
    path, divergent = _walked(white, jnp.asarray(first, jnp.float32), jr.split(walk, chains), draws)
    return Chains(middle + np.asarray(path, np.float64) @ root.T, float(np.asarray(divergent).mean()))


@eqx.filter_jit
def _walked(
    density: LogDensity, first: Float[Array, "s d"], keys: Key, draws: int
) -> tuple[Float[Array, "s draws d"], Array]:
    import blackjax  # it starts JAX's devices

    kernel = blackjax.nuts.build_kernel()

    def chain(start: Array, key: Key) -> tuple[Array, Array]:
        warm, go = jr.split(key)
        warmed: Any = blackjax.window_adaptation(blackjax.nuts, density, max_num_doublings=_DOUBLINGS).run
        (state, found), _ = warmed(warm, start, _WARM)

        def step(state: Any, key: Key) -> tuple[Any, Any]:
            state, info = kernel(
                key, state, density, found["step_size"], found["inverse_mass_matrix"], max_num_doublings=_DOUBLINGS
            )
            return state, (state.position, info.is_divergent)

        return jax.lax.scan(step, state, jr.split(go, draws))[1]

    return jax.vmap(chain)(first, keys)
