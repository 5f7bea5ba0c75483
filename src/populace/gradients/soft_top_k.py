"""The k largest, softly: entropic transport between scores and two places, in and out.

Y. Xie, H. Dai, M. Chen, B. Dai, T. Zhao, H. Zha, W. Wei and T. Pfister, Differentiable top-k with optimal transport,
NeurIPS 2020 (arXiv:2002.06504).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.distributions import TopK
from ..core.domain import positive
from ..core.site import Site
from .relaxation import Relaxation, hard_but_soft, setting

_HALVINGS = 40
_BEYOND = 20.0


class SoftTopK(Relaxation):
    """The derivative of sigmoid((scores - t) / width), with the bar t at which k are chosen in all.

    It is the solution of optimal transport with entropy: the bar moves with the scores, so who gains takes from others
    near the bar, and raising all scores alike changes nothing. In time O(agents); k of 0 and of all have no
    derivative. The width plays the part that it plays in `SoftThreshold`.

    `draw.sort` needs no relaxation: sorted values move with the values, and their own derivative is the right one.

    **Arguments:** `width`: in units of the scores, above 0.
    """

    width: Float[Array, ""]

    def __init__(self, width: float | Array = 0.1):
        self.width = setting("the width of SoftTopK", width, positive)

    def sites(self) -> tuple[str, ...]:
        return ()

    def soft(self, site: Site, value: Array) -> Array | None:
        match site.mechanism:
            case TopK(scores=scores, k=k):
                return soft_top_k(scores, k, jax.lax.stop_gradient(self.width))
            case _:
                return None


def soft_top_k(scores: Float[Array, " agents"], k: int, width: Float[Array, ""]) -> Float[Array, " agents"]:
    """Shares in 0 .. 1 that add up to `k`, higher for higher scores; differentiable in the scores."""
    if k in (0, scores.shape[0]):
        return jnp.full_like(scores, float(k > 0))
    fixed = jax.lax.stop_gradient(scores)
    at = (fixed - _bar(fixed, k, width)) / width
    slope = jax.nn.sigmoid(at) * jax.nn.sigmoid(-at) / width
    total = slope.sum()
    share = jnp.where(total > 0.0, slope / jnp.where(total > 0.0, total, 1.0), 0.0)
    return hard_but_soft(jax.nn.sigmoid(at), slope * (scores - (share * scores).sum()))


def _bar(scores: Float[Array, " agents"], k: int, width: Float[Array, ""]) -> Float[Array, ""]:
    """The bar t at which sum sigmoid((scores - t) / width) = k, by halving."""

    def halved(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        above = jax.nn.sigmoid((scores - middle) / width).sum() > k
        return jnp.where(above, middle, low), jnp.where(above, high, middle)

    reach = _BEYOND * width
    some = jnp.isfinite(scores)
    ends = (jnp.where(some, scores, jnp.inf).min() - reach, jnp.where(some, scores, -jnp.inf).max() + reach)
    low, high = jax.lax.fori_loop(0, _HALVINGS, halved, ends)
    return 0.5 * (low + high)
