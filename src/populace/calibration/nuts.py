"""Draws from a density that can be differentiated, by the No-U-Turn sampler of blackjax.

Matthew Hoffman and Andrew Gelman (2014), Journal of Machine Learning Research 15:1593. Chains begin at draws that were
found by importance sampling, and walk in coordinates in which these have covariance I: they start where the density
lives and know its scale.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._types import Key
from .estimates import root_of, systematic, weighted_covariance
from .mixing import effective_size, split_r_hat
from .population import Found

_WARM = 150
_AT_ONCE = 100
_DOUBLINGS = 7
_MIXED = 1.05
_DIVERGENT = 0.02

LogDensity = Callable[[Float[Array, " d"]], Float[Array, ""]]
"""A module whose call gives the log-density at one point; its arrays are arguments of what is compiled."""


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


def levels(density: LogDensity, points: np.ndarray) -> np.ndarray:
    """Log-densities (n,) at points (n, d), minus infinity where there is none."""
    found = np.asarray(_each(density, jnp.asarray(points, jnp.float32)), np.float64)
    return np.where(np.isfinite(found), found, -np.inf)


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
    root = root_of(weighted_covariance(start.points, start.weights))
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


def faults(chains: Chains) -> list[str]:
    """What makes chains not to be believed, a sentence each."""
    r_hat, _ = chains.worst()
    notes = []
    if r_hat > _MIXED:
        notes.append(f"The chains do not agree (split R-hat {r_hat:.2f}): do not read the posterior; give more draws.")
    if chains.divergent > _DIVERGENT:
        notes.append(
            f"{100 * chains.divergent:.0f} % of the steps diverged: the posterior has corners that the chains "
            "cannot turn, and may be wrong there."
        )
    return notes
