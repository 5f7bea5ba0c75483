"""Gumbel-Rao: Gumbel-softmax with its noise averaged out, given what was drawn.

M. Paulus, C. Maddison and A. Krause, Rao-Blackwellizing the straight-through Gumbel-softmax gradient estimator, ICLR
2021 (arXiv:2010.04838).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import ModelError
from ..core.distributions import Bernoulli, Categorical
from ..core.domain import positive
from ..core.noise import Noise
from ..core.site import Site
from .gumbel_softmax import concrete_slope, log_above_0
from .relaxation import Relaxation, hard_but_soft, mean, own_noise, setting, sloped

Numbers = Float[Array, "..."]


class GumbelRao(Relaxation):
    """The mean of Gumbel-softmax's derivative over `samples` fresh noises that would all have drawn the same.

    It has the bias of `GumbelSoftmax` at the same temperature and less spread, so that lower temperatures can be
    used. Work and memory at a site grow with `samples`. Counts get the derivative of their mean.
    """

    tau: Float[Array, ""]
    samples: int = eqx.field(static=True)

    def __init__(self, tau: float | Array = 0.1, samples: int = 16):
        """`tau`: the temperature, above 0; `samples`: how many noises, a plain integer from 1."""
        if samples < 1:
            raise ModelError(f"GumbelRao averages over at least one noise, not {samples}")
        self.tau, self.samples = setting("the temperature of GumbelRao", tau, positive), samples

    def sites(self) -> tuple[str, ...]:
        return ()

    def soft(self, site: Site, value: Array) -> Array | None:
        tau, noise = jax.lax.stop_gradient(self.tau), own_noise(site)
        match site.mechanism:
            case Bernoulli(p=p):
                score = score_given(value[..., None], p[..., None], noise.uniform((*site.shape, self.samples)))
                return sloped(p, (concrete_slope(p[..., None], score, tau).mean(-1), p))
            case Categorical(logits=logits):
                shape = (*site.shape, self.samples, logits.shape[-1])
                fixed = gumbels_given(value, jax.lax.stop_gradient(logits), noise, shape)
                soft = jax.nn.softmax((logits[..., None, :] + fixed) / tau, axis=-1).mean(-2)
                return hard_but_soft(jax.nn.softmax(logits, axis=-1), soft)
            case other:
                return mean(other)


def score_given(x: Numbers, p: Numbers, u: Numbers) -> Numbers:
    """The log-odds of a coin plus the logistic number with which it fell on `x`, from a fresh uniform number `u`.

    The coin is 1 where its own uniform number is below p: given a 1 that number is p u, given a 0 it is 1 - (1 - p) u.
    """
    p = jax.lax.stop_gradient(p)
    one = jnp.log1p(-p * u) - log_above_0(1.0 - p) - jnp.log(u)
    zero = jnp.log(u) - jnp.log1p(-(1.0 - p) * u) + log_above_0(p)
    return jnp.where(x > 0, one, zero)


def gumbels_given(one_hot: Numbers, logits: Numbers, noise: Noise, shape: tuple[int, ...]) -> Numbers:
    """Gumbel numbers (agents..., samples, options) with which the choice `one_hot` wins at `logits`; 0 where excluded.

    The largest perturbed logit is -log E, with E exponential at the rate of all options; another, at its own rate, is
    what is left below it (Maddison, Tarlow and Minka 2014).
    """
    waits = jnp.log(noise.exponential(shape))
    one_hot, log_p = one_hot[..., None, :], jax.nn.log_softmax(logits, axis=-1)[..., None, :]
    first = jnp.sum(one_hot * waits, axis=-1, keepdims=True)
    perturbed = -jnp.where(one_hot > 0, first, jnp.logaddexp(waits - log_p, first))
    return jnp.where(log_p > -jnp.inf, perturbed - log_p, 0.0)
