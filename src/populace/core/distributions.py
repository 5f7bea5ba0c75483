"""What happens at a site: distributions, and the kinks that are sites too.

Each is a module of float32 parameters; scalars are shared by the population. `sample` draws by inversion of one
uniform number an agent (Gumbel numbers for categories), so that common random numbers couple runs as tightly as can be.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float

from . import quantiles
from .choice import Choice, chosen
from .noise import Noise

_SLACK = 1e-6
_ROUNDING = 1e-2


def _times_log(count: Array, p: Array) -> Array:
    """The number count log p, with 0 log 0 = 0 and no derivative there (0/0 would be NaN)."""
    some = count != 0.0
    return jnp.where(some, count * jnp.log(jnp.where(some, p, 1.0)), 0.0)


def _times_log1p(count: Array, minus_p: Array) -> Array:
    """The number count log(1 + minus_p), likewise."""
    some = count != 0.0
    return jnp.where(some, count * jnp.log1p(jnp.where(some, minus_p, 0.0)), 0.0)


class Mechanism(eqx.Module):
    """What decides a site's value. `kind` names it; `batch` is the shape that its parameters give the population."""

    kind: eqx.AbstractClassVar[str]

    @property
    @abc.abstractmethod
    def batch(self) -> tuple[int, ...]:
        """The common shape of the non-scalar parameters, () when all are scalars."""

    @abc.abstractmethod
    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Any:
        """A value for a population of the given shape."""

    @abc.abstractmethod
    def valid(self) -> Bool[Array, "..."]:
        """Whether the parameters lie in the domain, an entry each (broadcastable to the population)."""


class Distribution(Mechanism):
    """A mechanism with a probability (or density) for each value."""

    @abc.abstractmethod
    def log_prob(self, value: Any) -> Float[Array, "..."]:
        """The log-probability of `value`, an entry each."""


class Bernoulli(Distribution):
    """1 with probability `p`, else 0."""

    kind: ClassVar[str] = "bernoulli"
    p: Float[Array, "..."]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.p.shape

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return (noise.uniform(shape) < self.p).astype(jnp.float32)

    def valid(self) -> Bool[Array, "..."]:
        return (self.p >= 0.0) & (self.p <= 1.0 + _SLACK)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        return _times_log(value, self.p) + _times_log1p(1.0 - value, -self.p)


class Binomial(Distribution):
    """The number of successes in `n` trials of probability `p`; `n` is a whole number, up to rounding."""

    kind: ClassVar[str] = "binomial"
    n: Float[Array, "..."]
    p: Float[Array, "..."]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.n.shape or self.p.shape

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Float[Array, "..."]:
        n = jnp.broadcast_to(jax.lax.stop_gradient(jnp.round(self.n)), shape)
        p = jnp.broadcast_to(jax.lax.stop_gradient(self.p), shape)
        return quantiles.binomial(noise.uniform(shape), n, p)

    def valid(self) -> Bool[Array, "..."]:
        whole = jnp.abs(self.n - jnp.round(self.n)) <= _ROUNDING
        return (self.n >= 0.0) & whole & (self.p >= 0.0) & (self.p <= 1.0 + _SLACK)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        ways = gammaln(self.n + 1.0) - gammaln(value + 1.0) - gammaln(self.n - value + 1.0)
        return ways + _times_log(value, self.p) + _times_log1p(self.n - value, -self.p)


class Poisson(Distribution):
    """A count with mean `rate`."""

    kind: ClassVar[str] = "poisson"
    rate: Float[Array, "..."]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.rate.shape

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return quantiles.poisson(noise.uniform(shape), jnp.broadcast_to(jax.lax.stop_gradient(self.rate), shape))

    def valid(self) -> Bool[Array, "..."]:
        return (self.rate >= 0.0) & jnp.isfinite(self.rate)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        return _times_log(value, self.rate) - self.rate - gammaln(value + 1.0)


class Geometric(Distribution):
    """The number of trials of probability `p` until the first success: 1, 2, ..."""

    kind: ClassVar[str] = "geometric"
    p: Float[Array, "..."]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.p.shape

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Float[Array, "..."]:
        p = jax.lax.stop_gradient(jnp.minimum(self.p, 1.0))
        return jnp.maximum(jnp.ceil(noise.exponential(shape) / -jnp.log1p(-p)), 1.0)

    def valid(self) -> Bool[Array, "..."]:
        return (self.p > 0.0) & (self.p <= 1.0 + _SLACK)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        return jnp.log(self.p) + _times_log1p(value - 1.0, -self.p)


class Exponential(Distribution):
    """A waiting time with hazard `rate`."""

    kind: ClassVar[str] = "exponential"
    rate: Float[Array, "..."]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.rate.shape

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Float[Array, "..."]:
        usable = self.rate > 0.0
        wait = noise.exponential(shape) / jnp.where(usable, self.rate, 1.0)
        return jnp.where(usable, wait, jnp.inf)

    def valid(self) -> Bool[Array, "..."]:
        return (self.rate > 0.0) & jnp.isfinite(self.rate)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        return jnp.where(value >= 0.0, jnp.log(self.rate) - self.rate * value, -jnp.inf)


class Normal(Distribution):
    """Gaussian with mean `mean` and standard deviation `sd`."""

    kind: ClassVar[str] = "normal"
    mean: Float[Array, "..."]
    sd: Float[Array, "..."]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.mean.shape or self.sd.shape

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return self.mean + self.sd * noise.normal(shape)

    def valid(self) -> Bool[Array, "..."]:
        return jnp.isfinite(self.mean) & (self.sd >= 0.0) & jnp.isfinite(self.sd)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        return jax.scipy.stats.norm.logpdf(value, self.mean, self.sd)


class Uniform(Distribution):
    """Evenly spread between `low` and `high`."""

    kind: ClassVar[str] = "uniform"
    low: Float[Array, "..."]
    high: Float[Array, "..."]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.low.shape or self.high.shape

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return self.low + (self.high - self.low) * noise.uniform(shape)

    def valid(self) -> Bool[Array, "..."]:
        return (self.high >= self.low) & jnp.isfinite(self.high - self.low)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        inside = (value >= self.low) & (value <= self.high)
        return jnp.where(inside, -jnp.log(self.high - self.low), -jnp.inf)


class Categorical(Distribution):
    """One of several options, with probabilities softmax(`logits`) over the last axis; minus infinity excludes one."""

    kind: ClassVar[str] = "categorical"
    logits: Float[Array, "*agents options"]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.logits.shape[:-1]

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Choice:
        options = self.logits.shape[-1]
        scores = jax.lax.stop_gradient(self.logits) + noise.gumbel((*shape, options))
        return chosen(jnp.argmax(scores, axis=-1), options)

    def valid(self) -> Bool[Array, "..."]:
        best = self.logits.max(-1)
        return jnp.isfinite(best) & ~jnp.isnan(self.logits).any(-1)

    def log_prob(self, value: Choice) -> Float[Array, "..."]:
        table = jnp.broadcast_to(jax.nn.log_softmax(self.logits), value.one_hot.shape)
        return value.pick(table)


class Subset(Mechanism):
    """`count` distinct options of `options`, one by one in proportion to exp(`log_weights`) (options,).

    Efraimidis and Spirakis (2006): the largest of Gumbel-perturbed log-weights. Returns indices (count,) int32.
    """

    kind: ClassVar[str] = "subset"
    log_weights: Float[Array, " options"]
    count: int = eqx.field(static=True)

    @property
    def batch(self) -> tuple[int, ...]:
        return (self.count,)

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Array:
        return jax.lax.top_k(self.log_weights + noise.gumbel(self.log_weights.shape), self.count)[1]

    def valid(self) -> Bool[Array, "..."]:
        known = self.log_weights < jnp.inf
        return known.all() & ((self.log_weights > -jnp.inf).sum() >= self.count)


class Permutation(Mechanism):
    """The numbers 0 to `options` - 1 in random order, int32."""

    kind: ClassVar[str] = "permutation"
    options: int = eqx.field(static=True)

    @property
    def batch(self) -> tuple[int, ...]:
        return (self.options,)

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Array:
        return jnp.argsort(noise.bits(shape)).astype(jnp.int32)

    def valid(self) -> Bool[Array, "..."]:
        return jnp.array(True)


class Threshold(Mechanism):
    """A kink: 1 where `margin` > 0, else 0."""

    kind: ClassVar[str] = "threshold"
    margin: Float[Array, "..."]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.margin.shape

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return jnp.broadcast_to((self.margin > 0.0).astype(jnp.float32), shape)

    def valid(self) -> Bool[Array, "..."]:
        return ~jnp.isnan(self.margin)


class TopK(Mechanism):
    """A kink: 1 for the `k` largest of `scores` (agents,), else 0."""

    kind: ClassVar[str] = "top_k"
    scores: Float[Array, " agents"]
    k: int = eqx.field(static=True)

    @property
    def batch(self) -> tuple[int, ...]:
        return self.scores.shape

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Float[Array, " agents"]:
        best = jax.lax.top_k(jax.lax.stop_gradient(self.scores), self.k)[1]
        return jnp.zeros(self.scores.shape, jnp.float32).at[best].set(1.0)

    def valid(self) -> Bool[Array, "..."]:
        return ~jnp.isnan(self.scores)


class Sort(Mechanism):
    """A kink: `values` (agents,) in rising order."""

    kind: ClassVar[str] = "sort"
    values: Float[Array, " agents"]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.values.shape

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Float[Array, " agents"]:
        return jnp.sort(self.values)

    def valid(self) -> Bool[Array, "..."]:
        return ~jnp.isnan(self.values)


class Match(Mechanism):
    """A kink: the one-to-one assignment of rows to columns with the largest total of `scores` (rows, columns).

    With more rows than columns the rows left over choose nothing. The Hungarian method: cubic, for hundreds.
    """

    kind: ClassVar[str] = "match"
    scores: Float[Array, "rows columns"]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.scores.shape[:1]

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Choice:
        rows, columns = self.scores.shape
        row, column = optax.assignment.hungarian_algorithm(-jax.lax.stop_gradient(self.scores))
        return chosen(jnp.full((rows,), columns, jnp.int32).at[row].set(column.astype(jnp.int32)), columns)

    def valid(self) -> Bool[Array, "..."]:
        return jnp.isfinite(self.scores).all(-1)


class Decision(Mechanism):
    """What an agent does on what it sees: `rule(view, draw)` for the whole population, unless a policy stands in."""

    kind: ClassVar[str] = "decision"
    view: Any
    rule: Callable[..., Any]

    @property
    def batch(self) -> tuple[int, ...]:
        leading = [jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(self.view) if jnp.ndim(leaf)]
        return leading[0] if leading else ()

    def sample(self, noise: Noise, shape: tuple[int, ...]) -> Any:
        raise TypeError("a decision is made by its rule or a policy, not by noise alone")

    def valid(self) -> Bool[Array, "..."]:
        return jnp.array(True)
