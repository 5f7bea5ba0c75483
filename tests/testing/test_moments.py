"""The suite for moments passes every moment of the library and finds what is wrong, each flaw by its law."""

import re

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.problem.moments import derived
from populace.testing.moments import check_moment

RUNS = {
    "cases": jr.poisson(jr.key(0), 4 + jnp.arange(30.0), (3, 30)).astype(jnp.float32),
    "price": jnp.exp(0.02 * jnp.cumsum(jr.normal(jr.key(1), (3, 30)), axis=1)),
    "ages": jr.uniform(jr.key(2), (3, 30, 4)),
}

SOUND = [
    pop.level("cases"),
    pop.level("ages"),
    pop.total("cases"),
    pop.final("ages"),
    pop.final_size("cases"),
    pop.maximum("cases"),
    pop.peak_time("cases"),
    pop.mean("price"),
    pop.variance("price"),
    pop.standard_deviation("ages"),
    pop.skewness("price"),
    pop.kurtosis("price"),
    pop.growth_rate("cases"),
    pop.autocorrelation("price", [1, 5], width=3),
    pop.cross_correlation("price", "cases", [-1, 0, 2]),
    pop.quantile("ages", [0.1, 0.9]),
    pop.hill("price", share=0.2),
    pop.moment("range", lambda x: x.max(0) - x.min(0), "cases", regular=False),
    derived("returns", lambda p: jnp.diff(jnp.log(p)), "price", pop.variance("returns")),
]


@pytest.mark.parametrize("moment", SOUND, ids=lambda moment: moment.name)
def test_what_is_sound_passes(moment: pop.Moment):
    check_moment(moment, RUNS)


class Peak(pop.Moment):
    """Sound; flaws override one method."""

    of: str = eqx.field(static=True, default="cases")

    @property
    def name(self):
        return "peak"

    @property
    def regular(self):
        return False

    def series(self):
        return (self.of,)

    def __call__(self, observations):
        return observations[self.of].max(0, keepdims=True)

    def labels(self, observations, times):
        return ("peak",)


class Unnamed(Peak):
    @property
    def name(self):
        return ""


class Undecided(Peak):
    @property
    def regular(self):
        return None


class Unread(Peak):
    def series(self):
        return self.of


class Elsewhere(Peak):
    def series(self):
        return ("beds",)


class Prying(Peak):
    def __call__(self, observations):
        return observations["price"].max(0, keepdims=True)


class Bare(Peak):
    def __call__(self, observations):
        return observations[self.of].max()


class Whole(Peak):
    def __call__(self, observations):
        return super().__call__(observations).astype(jnp.int32)


class Doubled(Peak):
    def labels(self, observations, times):
        return ("peak", "peak")


class Looking(Peak):
    """Labels by what it sees."""

    def labels(self, observations, times):
        seen = observations[self.of]
        return (f"peak of {seen.max() if hasattr(seen, 'max') else 'unknown'}",)


class Undefined(Peak):
    def __call__(self, observations):
        return jnp.log(-super().__call__(observations))


class OnHost(Peak):
    def __call__(self, observations):
        return jnp.asarray(np.max(np.asarray(observations[self.of]), keepdims=True))


class Mixing(Peak):
    """One number for all runs, and another when compiled."""

    def __call__(self, observations):
        import jax

        seen = super().__call__(observations)
        return seen + isinstance(seen, jax.core.Tracer)


class Gapless(Peak):
    def __call__(self, observations):
        return observations[self.of][29:30]


class Untold(Peak):
    """One label too few once times are missing."""

    def __call__(self, observations):
        seen = observations[self.of]
        return seen[:1] if seen.shape[0] == 30 else seen[:2]


FLAWS = {
    Unnamed: "its name is empty",
    Undecided: "`regular` is neither",
    Unread: "not a tuple of names",
    Elsewhere: "it reads ['beds']",
    Prying: "it reads series 'price', which series() does not name",
    Bare: "1 labels and a value of shape (): return (1,)",
    Whole: "its value is int32, not float32",
    Doubled: "labels are not unique",
    Looking: "labels hang on the numbers",
    Undefined: "it is [nan] in run 0",
    OnHost: "it cannot be compiled; write it in jax.numpy",
    Mixing: "under jit it changes",
    Gapless: "with times missing it has 1 labels and shape (0,)",
    Untold: "with times missing it has 1 labels and shape (2,)",
}


def test_the_plain_one_is_sound():
    check_moment(Peak(), RUNS)


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
def test_a_flaw_is_found(flaw: type[Peak]):
    with pytest.raises(AssertionError, match=re.escape(FLAWS[flaw])):
        check_moment(flaw(), RUNS)


def test_one_run_is_too_few():
    with pytest.raises(AssertionError, match="two runs or more"):
        check_moment(Peak(), {name: values[:1] for name, values in RUNS.items()})
