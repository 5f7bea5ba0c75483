"""What an agent may do at a site, and how a network's outputs become a law over it.

Laws are written for one agent. `raw` is what is drawn, before it is bent into the action's range: log-densities are of
`raw`, and a ratio of two of them is that of the actions.
"""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key

_LOG_2PI = math.log(2.0 * math.pi)
_INSIDE = 1e-3
"""How far inside an interval's ends a grid over it ends, in parts of the interval."""
_NEVER = -1e9
"""The log odds of what is not allowed."""
_MOST = 1.0
"""Log standard deviations are held below this."""


class Actions(eqx.Module):
    """The actions of one agent, as a family of laws with `width` real parameters."""

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """How many numbers a law takes."""

    @abc.abstractmethod
    def sample(self, law: Float[Array, " width"], view: Any, key: Key) -> Any:
        """A raw draw. `view`: what the agent sees, which may say what is allowed."""

    @abc.abstractmethod
    def mode(self, law: Float[Array, " width"], view: Any) -> Any:
        """The raw draw at the middle of the law: what a policy does when it no longer explores."""

    @abc.abstractmethod
    def log_prob(self, law: Float[Array, " width"], view: Any, raw: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The log-density of a raw draw, and the law's entropy."""

    @abc.abstractmethod
    def action(self, raw: Any) -> Any:
        """The action of a raw draw."""


class Continuous(Actions):
    """Numbers between `low` and `high`, either of which may be infinite: a normal law, bent into the interval.

    **Arguments:** `shape`: of one agent's action, () for one number; `first`: the action at the middle of the first law
    (the interval's own middle, or one from a finite end, by default); `spread`: the first law's standard deviation on
    the unbent scale, where 1 spans most of a finite interval; `least`: the smallest one. It is not 0, so that the law
    goes on trying: without that, what others do drowns what an action of one's own does.
    """

    low: float = eqx.field(static=True, default=-math.inf)
    high: float = eqx.field(static=True, default=math.inf)
    shape: tuple[int, ...] = eqx.field(static=True, default=())
    first: float | None = eqx.field(static=True, default=None)
    spread: float = eqx.field(static=True, default=0.5)
    least: float = eqx.field(static=True, default=0.06)

    def __check_init__(self) -> None:
        if not self.low < self.high:
            raise MethodError(f"Continuous({self.low}, {self.high}): the lower end comes first")
        if not 0 < self.least <= self.spread:
            raise MethodError(
                f"Continuous(spread={self.spread}, least={self.least}): 0 < least <= spread, or it never tries"
            )
        if self.first is not None and not self.low < self.first < self.high:
            raise MethodError(f"Continuous(first={self.first}): it lies between {self.low} and {self.high}")

    @property
    def width(self) -> int:
        return 2 * math.prod(self.shape)

    def sample(self, law: Float[Array, " width"], view: Any, key: Key) -> Array:
        mean, log_sd = self._law(law)
        return mean + jnp.exp(log_sd) * jr.normal(key, self.shape)

    def mode(self, law: Float[Array, " width"], view: Any) -> Array:
        return self._law(law)[0]

    def log_prob(self, law: Float[Array, " width"], view: Any, raw: Any) -> tuple[Array, Array]:
        mean, log_sd = self._law(law)
        unit = (raw - mean) * jnp.exp(-log_sd)
        density = -0.5 * unit**2 - log_sd - 0.5 * _LOG_2PI
        return density.sum(), (log_sd + 0.5 * (1.0 + _LOG_2PI)).sum()

    def action(self, raw: Any) -> Array:
        raw = raw + self._start()
        if math.isfinite(self.low) and math.isfinite(self.high):
            return self.low + (self.high - self.low) * jax.nn.sigmoid(raw)
        if math.isfinite(self.low):
            return self.low + jax.nn.softplus(raw)
        if math.isfinite(self.high):
            return self.high - jax.nn.softplus(raw)
        return raw

    def _start(self) -> float:
        """Where `first` lies on the unbent scale."""
        first = self.first
        if first is None:
            return 0.0
        if math.isfinite(self.low) and math.isfinite(self.high):
            return math.log((first - self.low) / (self.high - first))
        if math.isfinite(self.low):
            return first - self.low + math.log(-math.expm1(self.low - first))
        if math.isfinite(self.high):
            return self.high - first + math.log(-math.expm1(first - self.high))
        return first

    def _law(self, law: Array) -> tuple[Array, Array]:
        mean, log_sd = law[: law.size // 2], law[law.size // 2 :]
        log_sd = jnp.clip(log_sd + math.log(self.spread), math.log(self.least), _MOST)
        return mean.reshape(self.shape), log_sd.reshape(self.shape)


class Discrete(Actions):
    """One of `count` options, an int32 from 0.

    **Arguments:** `allowed`: from one agent's view to a mask (count,) of what it may do now; all where None.
    """

    count: int = eqx.field(static=True)
    allowed: Any = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.count < 2:
            raise MethodError(f"Discrete({self.count}): a choice is between two options or more")

    @property
    def width(self) -> int:
        return self.count

    def sample(self, law: Float[Array, " width"], view: Any, key: Key) -> Array:
        return jr.categorical(key, self._logits(law, view)).astype(jnp.int32)

    def mode(self, law: Float[Array, " width"], view: Any) -> Array:
        return jnp.argmax(self._logits(law, view)).astype(jnp.int32)

    def log_prob(self, law: Float[Array, " width"], view: Any, raw: Any) -> tuple[Array, Array]:
        logs = jax.nn.log_softmax(self._logits(law, view))
        share = jnp.exp(logs)
        return jnp.take(logs, raw), -jnp.where(share > 0, share * logs, 0.0).sum()

    def action(self, raw: Any) -> Array:
        return raw

    def may(self, view: Any) -> Float[Array, " count"]:
        """1 for each option that is allowed now."""
        return jnp.ones(self.count) if self.allowed is None else jnp.asarray(self.allowed(view) > 0, jnp.float32)

    def any_of(self, uniform: Float[Array, ""], view: Any) -> Array:
        """The option that a number from 0 to 1 falls on, where all that are allowed share that interval alike."""
        if self.allowed is None:
            return jnp.minimum((uniform * self.count).astype(jnp.int32), self.count - 1)
        mass = jnp.cumsum(self.may(view))
        return jnp.argmax(mass > jnp.floor(uniform * mass[-1])).astype(jnp.int32)

    def _logits(self, law: Array, view: Any) -> Array:
        return law if self.allowed is None else jnp.where(self.may(view) > 0, law, _NEVER)


class Mixed(Actions):
    """Several actions at one site, by name: a dictionary of actions, drawn independently given the view."""

    parts: dict[str, Actions]

    def __check_init__(self) -> None:
        if not self.parts:
            raise MethodError("Mixed({}): name one action or more")

    @property
    def width(self) -> int:
        return sum(part.width for part in self.parts.values())

    def sample(self, law: Float[Array, " width"], view: Any, key: Key) -> dict[str, Any]:
        keys = jr.split(key, len(self.parts))
        return {name: part.sample(own, view, k) for k, (name, part, own) in zip(keys, self._split(law), strict=True)}

    def mode(self, law: Float[Array, " width"], view: Any) -> dict[str, Any]:
        return {name: part.mode(own, view) for name, part, own in self._split(law)}

    def log_prob(self, law: Float[Array, " width"], view: Any, raw: Any) -> tuple[Array, Array]:
        both = [part.log_prob(own, view, raw[name]) for name, part, own in self._split(law)]
        return sum((one for one, _ in both), jnp.float32(0)), sum((other for _, other in both), jnp.float32(0))

    def action(self, raw: Any) -> dict[str, Any]:
        return {name: part.action(raw[name]) for name, part in self.parts.items()}

    def _split(self, law: Array) -> list[tuple[str, Actions, Array]]:
        out, start = [], 0
        for name, part in self.parts.items():
            out.append((name, part, law[start : start + part.width]))
            start += part.width
        return out


def probes(actions: Actions, points: int) -> Any:
    """Fixed actions that cover what an agent may do, on a leading axis: every option; a grid over a finite interval,
    just inside its ends; else draws of the first law, three times as wide.
    """
    if isinstance(actions, Discrete):
        return jnp.arange(actions.count, dtype=jnp.int32)
    if isinstance(actions, Continuous) and math.isfinite(actions.low) and math.isfinite(actions.high):
        line = actions.low + (actions.high - actions.low) * jnp.linspace(_INSIDE, 1.0 - _INSIDE, points)
        return jnp.broadcast_to(line.reshape(-1, *(1 for _ in actions.shape)), (points, *actions.shape))
    keys = jr.split(jr.key(points), points)
    return jax.vmap(lambda key: actions.action(_wide(actions, key)))(keys)


def _wide(actions: Actions, key: Key) -> Any:
    law = jnp.zeros(actions.width)
    raw, middle = actions.sample(law, None, key), actions.mode(law, None)
    floats = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.inexact)  # noqa: E731
    return jax.tree.map(lambda r, m: m + 3.0 * (r - m) if floats(r) else r, raw, middle)
