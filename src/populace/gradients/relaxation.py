"""What a relaxation is: a plug that keeps the value of a site and gives it another derivative."""

import abc
from typing import Any, cast, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._errors import ModelError, SiteError
from ..core.choice import Choice
from ..core.distributions import Bernoulli, Binomial, Categorical, Geometric, Mechanism, Poisson, Threshold
from ..core.domain import Domain
from ..core.noise import Noise, as_float
from ..core.plug import Plug, Proceed
from ..core.site import Site, stable_hash

_OWN = stable_hash("relaxation")
_LARGEST = 2.0**100

RAREST = 2.0**-32
"""Below this probability a draw is never 1: its uniform number is larger (`populace.core.noise`)."""


@jax.custom_jvp
def hard_but_soft(hard: Array, soft: Array) -> Array:
    """The value of `hard` with the derivative of `soft`; both of one shape.

    It stands at module level: closed over tracers, a custom derivative breaks under the gradient of a jit.
    """
    return hard


@hard_but_soft.defjvp
def _hard_but_soft_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return hard_but_soft(*primals), tangents[1]


def sloped(value: Array, *slopes: tuple[Array, Array]) -> Array:
    """`value` as a constant, with the derivative sum of slope * d parameter over the pairs (slope, parameter)."""
    soft = sum(jax.lax.stop_gradient(slope) * parameter for slope, parameter in slopes)
    return hard_but_soft(jax.lax.stop_gradient(value), cast(Array, soft))


def bounded(slope: Array) -> Array:
    """A slope that is at least 0, up to 2^100: where the true one is beyond float32, sums of it stay finite."""
    return jnp.minimum(slope, _LARGEST)


class Relaxation(Plug):
    """Keeps what a site draws, bit for bit, and replaces its derivative. Implement `soft` and `sites`.

    A draw X has no derivative; a relaxation gives it one, dX, of which the expectation is that of the mean of X, or
    near it. Where X goes on linearly the gradient of the whole is then right; where it does not it is biased, by an
    amount that depends on the relaxation and on the model (docs/howto/relaxations.md has measured tables). With a
    mask w the value is w X, and its derivative

        d(w X) = w dX + x dw,    x a stand-in for X: its mean, most often.

    An agent that does not draw passes no derivative to its parameters, and the mask passes its own: who has been
    infected cannot be infected again. Only to compare a mask with 0 forgets that, and the derivative of an epidemic
    comes out thirty times too large.

    In the tuple of plugs a relaxation stands last, innermost: what an intervention overrides then has no derivative,
    and what it scales has the scaled one. Several relaxations may stand side by side, each for the kinds of sites that
    it knows; where two know a site, the first has the last word (see `RelaxedAt`).
    """

    @abc.abstractmethod
    def soft(self, site: Site, value: Array) -> Array | None:
        """An array of the value's shape, whose derivative replaces the draw's. None: the site keeps the one it has.

        Its own numbers multiply the mask's derivative (x above). They are the mean of the draw or have that mean; the
        mean itself has less spread, and on an epidemic it had less bias. Random numbers for the relaxation alone come
        from `own_noise`, so that no draw is changed. Every derivative must be finite, also at probabilities of 0 and 1.

        **Arguments:** `site`: its parameters have the population's shape, and are finite constants for agents that do
        not draw; `value`: what was drawn (of a `Choice` the one-hot), 0 for agents that do not draw.
        """

    @final
    def around(self, site: Site, proceed: Proceed) -> Any:
        value = proceed(site)
        hard = value.one_hot if isinstance(value, Choice) else value
        soft = self.soft(site.with_mechanism(guarded(site)), jax.lax.stop_gradient(hard))
        if soft is None:
            return value
        relaxed = _relaxed(site, hard, soft)
        return Choice(relaxed, value.index) if isinstance(value, Choice) else relaxed


def _relaxed(site: Site, hard: Array, soft: Array) -> Array:
    if soft.shape != hard.shape:
        raise SiteError(f"site '{site.path}': a relaxation of shape {soft.shape} does not fit the value {hard.shape}")
    if site.where is None:
        return hard_but_soft(hard, soft)
    gate = hard_but_soft((site.where > 0).astype(jnp.float32), site.where)
    return hard_but_soft(hard, _over(gate, soft) * soft)


def mean(mechanism: Mechanism) -> Float[Array, "..."] | None:
    """The mean of a discrete distribution with its derivative (of a choice: the probabilities); None of any other."""
    match mechanism:
        case Bernoulli(p=p):
            return p
        case Binomial(n=n, p=p):
            return n * p
        case Poisson(rate=rate):
            return rate
        case Geometric(p=p):
            return sloped(bounded(1.0 / p), (-bounded(1.0 / p / p), p))
        case Categorical(logits=logits):
            return jax.nn.softmax(logits, axis=-1)
        case _:
            return None


def setting(what: str, value: float | Array, domain: Domain) -> Float[Array, ""]:
    """A relaxation's number as an array, so that another compiles nothing anew; where it is known it is checked.

    **Raises:** `ModelError` if it lies outside the domain.
    """
    number = as_float(value)
    if not isinstance(number, Tracer) and not domain.contains(np.asarray(number)):
        raise ModelError(f"{what} lies in {domain}, and {value} does not")
    return number


def own_noise(site: Site) -> Noise:
    """Random numbers for a relaxation at a site, apart from those of the draw."""
    return Noise(jr.fold_in(site.key, _OWN), site.follow)


def guarded(site: Site) -> Mechanism:
    """The site's mechanism with parameters of the population's shape.

    They are constants for agents that do not draw (neutral ones where they lie outside the domain), and so are
    options excluded by a logit of minus infinity: nothing that is no number gets into a derivative.
    """
    mechanism = site.mechanism
    match mechanism:
        case Categorical(logits=logits):
            logits = jnp.broadcast_to(logits, (*site.shape, logits.shape[-1]))
            spread: Mechanism = Categorical(jnp.where(logits > -jnp.inf, logits, -jnp.inf))
        case Bernoulli() | Binomial() | Poisson() | Geometric() | Threshold():
            spread = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, site.shape), mechanism)
        case _:
            return mechanism
    if site.where is None:
        return spread
    draws, usable = site.where > 0, spread.valid()
    neutral = 1.0 if isinstance(spread, Geometric) else 0.0

    def held(leaf: Array) -> Array:
        constant = jax.lax.stop_gradient(jnp.where(_over(usable, leaf), leaf, neutral))
        return jnp.where(_over(draws, leaf), leaf, constant)

    return jax.tree.map(held, spread)


def _over(mask: Array, leaf: Array) -> Array:
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))


class RelaxedAt(Relaxation):
    """A relaxation for one site, where another suits it better than the one of all the others.

    It stands before that one: `(pop.RelaxedAt("lambs/split", pop.Smoothed(upward=0.0)), pop.StraightThrough())`.
    """

    site: str = eqx.field(static=True)
    relaxation: Relaxation

    def sites(self) -> tuple[str, ...]:
        return (self.site,)

    def soft(self, site: Site, value: Array) -> Array | None:
        return self.relaxation.soft(site, value) if site.path == self.site else None
