"""Smoothed perturbation: a draw's derivative is what it could flip to, times how fast it flips.

G. Arya, M. Schauer, F. Schaefer and C. Rackauckas, Automatic differentiation of programs with discrete randomness,
NeurIPS 2022 (arXiv:2210.08572): the smoothed stochastic triple.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.distributions import Bernoulli, Binomial, Categorical, Geometric, Poisson
from ..core.domain import unit
from ..core.site import Site
from .relaxation import RAREST, Relaxation, bounded, mean, setting, sloped

Numbers = Float[Array, "..."]


class Smoothed(Relaxation):
    """dX = (rate of flips given X) x (what a flip changes).

    When a probability moves by dp, a draw flips up or down to the next value. To count the flips upward alone, or
    those downward alone, is right in the mean; the relaxation weights them with `upward` and 1 - `upward`:

    | kind | upward flips | downward flips |
    |---|---|---|
    | Bernoulli | (1 - X) / (1 - p) dp | X / p dp |
    | binomial | (n - X) / (1 - p) dp + p dn | X / p dp + X / n dn |
    | Poisson | d rate | X / rate d rate |
    | geometric | -X / p dp | -(X - 1) / (p (1 - p)) dp |

    All have the derivative of the mean for mean, so linear readouts are unbiased whatever `upward`. With one half
    (the default) a readout f sees (f'(X) + f'(X + 1)) / 2 where f(X + 1) - f(X) counts: the trapezoid rule, exact for
    squares, at a spread that grows like 1 / sqrt(p) for rare events. At p = 0 and 1 only one direction is possible,
    and is taken.

    Where the value decides who exists, a derivative must be carried by those who do: with `upward` 0 by those
    who drew a 1, at the site of `pop.births` (who is not born has no slot), and with `upward` 1 by those who drew a 0,
    which leaves little spread if a 1 is rare, where agents die (a dead slot is filled again).

    A categorical choice D flips to every other option k at the rate of the difference of logits,

        dX = 1/2 sum_k softmax(l)_k (e_k - D) (dl_k - dl_D),

    which has no upward; it is ReinMax (see `ReinMax`). The mask's derivative is multiplied by X, and by the mean where
    nothing was drawn.
    """

    upward: Float[Array, ""]

    def __init__(self, upward: float | Array = 0.5):
        """`upward`: the weight of upward flips, 0 to 1."""
        self.upward = setting("the share of upward flips", upward, unit)

    def sites(self) -> tuple[str, ...]:
        return ()

    def soft(self, site: Site, value: Array) -> Array | None:
        mechanism, up = site.mechanism, jax.lax.stop_gradient(self.upward)
        expected = mean(mechanism)
        if expected is None:
            return None
        x = value
        stand_in = jnp.where(_draws(site, x), x, expected)
        match mechanism:
            case Bernoulli(p=p):
                return sloped(stand_in, (_of_trials(jnp.ones_like(p), p, x, up), p))
            case Binomial(n=n, p=p):
                added = p * up + _ratio(x, n) * (1.0 - up)
                return sloped(stand_in, (_of_trials(n, p, x, up), p), (jnp.where(n > 0, added, p), n))
            case Poisson(rate=rate):
                return sloped(stand_in, (jnp.where(rate > RAREST, up + (1.0 - up) * _ratio(x, rate), 1.0), rate))
            case Geometric(p=p):
                return sloped(stand_in, (-_of_waiting(p, x, up), p))
            case Categorical(logits=logits):
                return sloped(stand_in, *_of_options(x, logits))
            case _:
                return None


def _draws(site: Site, like: Array) -> Array:
    draws = site.mask() > 0
    return draws.reshape(draws.shape + (1,) * (like.ndim - draws.ndim))


def _of_trials(n: Numbers, p: Numbers, x: Numbers, up: Numbers) -> Numbers:
    """The derivative along p of `x` successes in `n` trials."""
    up = jnp.where(p > RAREST, jnp.where(p < 1, up, 0.0), 1.0)
    return up * _ratio(n - x, 1.0 - p) + (1.0 - up) * _ratio(x, p)


def _of_waiting(p: Numbers, x: Numbers, up: Numbers) -> Numbers:
    """Less the derivative along p of a first success in trial `x`."""
    up = jnp.where(p < 1, up, 1.0)
    return up * bounded(x / p) + (1.0 - up) * bounded(_ratio(x - 1.0, 1.0 - p) / p)


def _ratio(a: Numbers, b: Numbers) -> Numbers:
    """The ratio a / b, and 0 where nothing is divided."""
    some = (a > 0) & (b > 0)
    return jnp.where(some, a / jnp.where(some, b, 1.0), 0.0)


def _of_options(chosen: Numbers, logits: Numbers) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The sum over k of softmax(l)_k (e_k - D) (dl_k - dl_D) / 2, for the one-hot choices D.

    With dlog p = dl - sum_k p_k dl_k it is half of dp, and half of (D - p) dlog p_D.
    """
    log_p = jax.nn.log_softmax(logits, axis=-1)
    p = jnp.exp(log_p)
    of_chosen = jnp.where(chosen > 0, log_p, 0.0).sum(-1, keepdims=True)
    return (jnp.full_like(p, 0.5), p), (0.5 * (chosen - p), of_chosen)
