"""The suite of relaxations finds what it is there to find."""

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest

import populace as pop
from populace.core.distributions import Bernoulli, Categorical, Geometric
from populace.gradients.relaxation import hard_but_soft, mean, sloped
from populace.testing.relaxations import check_relaxation
from populace.zoo.sir import SIR


class Faulty(pop.Relaxation):
    def sites(self):
        return ()


class Backwards(Faulty):
    """The derivative of failures before the first success, taken with the sign of a probability."""

    def soft(self, site, value):
        match site.mechanism:
            case Geometric(p=p):
                return sloped(value, (1.0 / p**2, p))


class Blind(Faulty):
    """A choice that its logits do not move."""

    def soft(self, site, value):
        return jnp.zeros_like(value) if isinstance(site.mechanism, Categorical) else None


class Uncentred(Faulty):
    """Each option flips at the rate of its own logit, without what the others lose."""

    def soft(self, site, value):
        match site.mechanism:
            case Categorical(logits=logits):
                p = jax.nn.softmax(logits)
                return sloped(value, (p, logits))


class Logarithmic(Faulty):
    """The slope of a logit, which is infinite at 0 and 1."""

    def soft(self, site, value):
        match site.mechanism:
            case Bernoulli(p=p):
                odds = jax.lax.stop_gradient(p * (1 - p))
                return odds * (jnp.log(p) - jnp.log1p(-p))


class Shared(Faulty):
    """Everybody gets the mean probability."""

    def soft(self, site, value):
        match site.mechanism:
            case Bernoulli(p=p):
                return jnp.broadcast_to(p.mean(), p.shape)


class Ours(pop.Plug):
    """Straight-through without the base class, with a say in the mask."""

    def sites(self):
        return ()

    def around(self, site, proceed):
        value = proceed(site)
        if not isinstance(site.mechanism, Bernoulli):
            return value
        return self.relaxed(value, jnp.broadcast_to(mean(site.mechanism), site.shape), site.mask())


class Comparing(Ours):
    def relaxed(self, value, p, where):
        return hard_but_soft(value, jnp.where(where > 0, p, 0.0))


class Maskless(Ours):
    def relaxed(self, value, p, where):
        return hard_but_soft(value, p)


class Spoilt(Ours):
    def relaxed(self, value, p, where):
        return hard_but_soft(value, p * where)


class Softening(Ours):
    def relaxed(self, value, p, where):
        fixed = jax.lax.stop_gradient(jnp.nan_to_num(p))
        return 0.9 * hard_but_soft(value, where * jnp.where(where > 0, p, fixed))


FAULTS = {
    Backwards: "at a geometric site the mean has a negative derivative, and here it is ",
    Blind: "at a categorical site the mean has a positive derivative, and here it is ",
    Uncentred: "the gradient along the logits must sum to 0",
    Logarithmic: "at a bernoulli site with 0.0 the jvp is not finite",
    Shared: "an agent has a derivative of another's parameters",
    Comparing: "`where` has no derivative of its own",
    Maskless: "agents whose where is 0 get a derivative",
    Spoilt: "a NaN of an agent whose where is 0 spoils the gradient",
    Softening: "it changes the value of site '.*', and must change none",
}


@pytest.mark.parametrize("faulty", FAULTS, ids=lambda faulty: faulty.__name__)
def test_a_fault_is_found(faulty: type[pop.Plug]):
    with pytest.raises(AssertionError, match=f"{faulty.__name__}: .*{FAULTS[faulty]}"):
        check_relaxation(faulty(), jr.key(0), (SIR(pop.WellMixed(20), 0.1, 0.2, 0.5),))
