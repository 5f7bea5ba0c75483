"""Matching with the derivative of a soft matching: Sinkhorn's, two-sided, or attention, one-sided.

M. Cuturi, Sinkhorn distances, NeurIPS 2013 (arXiv:1306.0895); G. Mena, D. Belanger, S. Linderman and J. Snoek,
Learning latent permutations with Gumbel-Sinkhorn networks, ICLR 2018 (arXiv:1802.08665). The derivative is that of
the fixed point (implicit function theorem), so that nothing of the iteration is kept.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.distributions import Match
from ..core.domain import positive
from ..core.site import Site
from .relaxation import Relaxation, hard_but_soft, setting

_RIDGE = 1e-5

Matrix = Float[Array, "rows columns"]


class SoftMatch(Relaxation):
    """The derivative of the matching P that maximises <P, scores> + width x entropy(P).

    P adds up to at most 1 in each row and column, and to 1 along the shorter side: P = exp(scores / width + a + b), a
    and b the prices at which nobody is asked for more than once, found by `rounds` of Sinkhorn's iteration. Raising
    all scores alike moves nothing; who is wanted more crowds others out. The iteration needs more rounds where the
    width is small against the scores, and the derivative a linear system in rows + columns: for hundreds, as the
    matching itself.

    **Arguments:** `width`: in units of the scores, above 0; `rounds`: a plain integer.
    """

    width: Float[Array, ""]
    rounds: int = eqx.field(static=True)

    def __init__(self, width: float | Array = 0.1, rounds: int = 200):
        self.width, self.rounds = setting("the width of SoftMatch", width, positive), rounds

    def sites(self) -> tuple[str, ...]:
        return ()

    def soft(self, site: Site, value: Array) -> Array | None:
        match site.mechanism:
            case Match(scores=scores):
                return soft_matching(scores, jax.lax.stop_gradient(self.width), self.rounds)
            case _:
                return None


class AttentionMatch(Relaxation):
    """The derivative of softmax(scores / width) over the columns: each row looks for itself, and nobody is crowded out.

    Cheaper than `SoftMatch`, in rows x columns, and blind to competition; right where columns are many.
    """

    width: Float[Array, ""]

    def __init__(self, width: float | Array = 0.1):
        self.width = setting("the width of AttentionMatch", width, positive)

    def sites(self) -> tuple[str, ...]:
        return ()

    def soft(self, site: Site, value: Array) -> Array | None:
        match site.mechanism:
            case Match(scores=scores):
                return jax.nn.softmax(scores / jax.lax.stop_gradient(self.width), axis=-1)
            case _:
                return None


def soft_matching(scores: Matrix, width: Float[Array, ""], rounds: int) -> Matrix:
    """The soft matching, differentiable in the scores."""
    rows, columns = scores.shape
    if rows > columns:
        return soft_matching(scores.T, width, rounds).T
    fixed = jax.lax.stop_gradient(scores) / width
    of_rows, of_columns = _prices(fixed, rounds)
    shares = jnp.exp(fixed + of_rows + of_columns)
    full = jnp.ones(columns) if rows == columns else (of_columns[0] < 0.0).astype(jnp.float32)
    return hard_but_soft(shares, _moved(shares, full, scores / width))


def _prices(scores: Matrix, rounds: int) -> tuple[Float[Array, "rows 1"], Float[Array, "1 columns"]]:
    """The prices a and b, by Sinkhorn's iteration on logarithms; a column that is left over has the price 0."""
    rows, columns = scores.shape

    def of_rows(of_columns: Array) -> Array:
        return -jax.nn.logsumexp(scores + of_columns, axis=1, keepdims=True)

    def turn(_: int, of_columns: Array) -> Array:
        wanted = jax.nn.logsumexp(scores + of_rows(of_columns), axis=0, keepdims=True)
        return -(wanted if rows == columns else jnp.maximum(wanted, 0.0))

    of_columns = jax.lax.fori_loop(0, rounds, turn, jnp.zeros((1, columns)))
    return of_rows(of_columns), of_columns


def _moved(shares: Matrix, full: Float[Array, " columns"], scores: Matrix) -> Matrix:
    """An array whose derivative is dP = P (d scores + da + db), with da and db such that what is full stays full.

    They solve a linear system that is singular where shares are all 0 or 1, along prices that move nothing there: a
    small ridge keeps it solvable.
    """
    rows, columns = shares.shape
    inner = shares * full
    coupled = jnp.block([[jnp.zeros((rows, rows)), inner], [inner.T, jnp.zeros((columns, columns))]])
    own = jnp.concatenate([shares.sum(1), jnp.where(full > 0, shares.sum(0), 1.0)])
    pushed = shares * scores
    wanted = jnp.concatenate([pushed.sum(1), full * pushed.sum(0)])
    price = -jnp.linalg.solve(coupled + jnp.diag(own + _RIDGE), wanted)
    return shares * (scores + price[:rows, None] + price[rows:])
