"""Gumbel-softmax: a hard choice with the derivative of a soft one that shares its noise.

E. Jang, S. Gu and B. Poole, Categorical reparameterization with Gumbel-softmax, ICLR 2017 (arXiv:1611.01144);
C. Maddison, A. Mnih and Y. W. Teh, The concrete distribution, ICLR 2017 (arXiv:1611.00712).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.distributions import Bernoulli, Categorical
from ..core.domain import positive
from ..core.site import Site
from .relaxation import RAREST, Relaxation, hard_but_soft, mean, setting, sloped

_TINY = float(jnp.finfo(jnp.float32).tiny)

Numbers = Float[Array, "..."]


class GumbelSoftmax(Relaxation):
    """dX = d softmax((logits + G) / tau) with the Gumbel numbers G of the draw itself, so that the soft choice leans to
    the hard one; the value stays the hard one. A coin is a choice of two, with the logistic number of its uniform.

    The temperature `tau` trades bias for spread. Near 0 the derivative has the right mean for a readout's
    differences and a spread like tau^-1/2; at 1 it is calm, and overstates rare events, 2.8 times at p = .01 and
    4.9 times at p = .001 (docs/howto/relaxations.md). `tau` is an array: another temperature compiles nothing anew, and
    `Annealed` lowers it with the rounds of an optimisation. Counts have no Gumbel numbers; they get the derivative of
    their mean.
    """

    tau: Float[Array, ""]

    def __init__(self, tau: float | Array = 0.1):
        """`tau`: the temperature, above 0."""
        self.tau = setting("the temperature of GumbelSoftmax", tau, positive)

    def sites(self) -> tuple[str, ...]:
        return ()

    def soft(self, site: Site, value: Array) -> Array | None:
        tau = jax.lax.stop_gradient(self.tau)
        match site.mechanism:
            case Bernoulli(p=p):
                u, fixed = site.noise.uniform(site.shape), jax.lax.stop_gradient(p)
                score = log_above_0(fixed) - log_above_0(1.0 - fixed) + jnp.log1p(-u) - jnp.log(u)
                return sloped(p, (concrete_slope(p, score, tau), p))
            case Categorical(logits=logits):
                soft = jax.nn.softmax((logits + site.noise.gumbel(logits.shape)) / tau, axis=-1)
                return hard_but_soft(jax.nn.softmax(logits, axis=-1), soft)
            case other:
                return mean(other)


def concrete_slope(p: Numbers, score: Numbers, tau: Numbers) -> Numbers:
    """The derivative of sigmoid(score / tau) along p, where d score = d log(p / (1 - p)) = dp / (p (1 - p)).

    A sum of logarithms, because 1 / p and the sigmoid's slope may each be beyond float32 where their product is not.
    Where the draw cannot be 1, or cannot be 0, it is 1: what the mean of the slopes comes to next to there.
    """
    p = jax.lax.stop_gradient(p)
    soft = jax.nn.log_sigmoid(score / tau) + jax.nn.log_sigmoid(-score / tau) - jnp.log(tau)
    slope = jnp.exp(soft - log_above_0(p) - log_above_0(1.0 - p))
    return jnp.where((p > RAREST) & (p < 1.0), slope, 1.0)


def log_above_0(p: Numbers) -> Numbers:
    """The logarithm, and at 0 that of the smallest number."""
    return jnp.log(jnp.maximum(p, _TINY))
