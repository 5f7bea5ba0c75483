"""Curves that a parameter may follow: periods, splines, random walks, networks of covariates."""

import abc
import itertools
import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._errors import ModelError, ParameterError
from ..core.model import Module, parameter


class Curve(Module):
    """The value of a parameter at each time, on the real line; `Varying` brings it into the parameter's domain.

    A curve declares its numbers with `parameter`, of such a scale that a N(0, 1) prior for each is sensible.
    """

    @abc.abstractmethod
    def at(self, time: Array) -> Array:
        """The value at a time (0 in `init`, t in the step to t), before the link; of the parameter's shape."""


class Steps(Curve):
    """Constant between dates: `centre` + `width` times the value of the period.

    **Arguments:** `dates`: the times at which another period begins; `values` (periods, ...): one more than dates.
    """

    dates: tuple[int, ...] = eqx.field(static=True)
    values: Float[Array, "periods ..."] = parameter(doc="of each period, in widths from the centre")
    centre: float = eqx.field(static=True, default=0.0)
    width: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        _ordered("dates", self.dates)
        _rows("dates", len(self.dates) + 1, self.values)

    def at(self, time: Array) -> Array:
        return self.centre + self.width * self.values[jnp.searchsorted(jnp.asarray(self.dates), time, side="right")]


class Spline(Curve):
    """A natural cubic spline through values at knots, straight beyond them.

    **Arguments:** `knots`: times, at least two; `values` (knots, ...): in widths from the centre.
    """

    knots: tuple[float, ...] = eqx.field(static=True)
    values: Float[Array, "knots ..."] = parameter(doc="at the knots, in widths from the centre")
    centre: float = eqx.field(static=True, default=0.0)
    width: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        _ordered("knots", self.knots)
        if len(self.knots) < 2:
            raise ModelError("a spline takes two knots or more")
        _rows("knots", len(self.knots), self.values)

    def at(self, time: Array) -> Array:
        rows = jnp.asarray(_cubic(np.asarray(self.knots, np.float64)), jnp.float32)
        knots = jnp.asarray(self.knots, jnp.float32)
        inside = jnp.clip(time.astype(jnp.float32), knots[0], knots[-1])
        i = jnp.clip(jnp.searchsorted(knots, inside, side="right") - 1, 0, knots.size - 2)
        gap, u = knots[i + 1] - knots[i], inside - knots[i]
        bend = jnp.tensordot(rows, self.values, 1)  # second derivatives at the knots
        here, there = self.values[i], self.values[i + 1]
        slope = (there - here) / gap - gap * (2.0 * bend[i] + bend[i + 1]) / 6.0
        value = here + u * (slope + u * (bend[i] / 2.0 + u * (bend[i + 1] - bend[i]) / (6.0 * gap)))
        end = slope + u * (bend[i] + u * (bend[i + 1] - bend[i]) / (2.0 * gap))
        return self.centre + self.width * (value + (time.astype(jnp.float32) - inside) * end)


class Walk(Curve):
    """A random walk, or one that is drawn back: `centre` + x, with x `width` times the first value at the start and

        x' = kept x + step increment

    in each period; with `kept` 1 the walk rests where its increments are 0, below it returns to the centre.

    **Arguments:** `increments` (periods, ...): standardised; `every`: steps a period; after the last the walk rests.
    """

    first: Float[Array, "..."] = parameter(doc="at the start, in widths from the centre")
    increments: Float[Array, "periods ..."] = parameter(doc="of each period, standardised")
    step: Float[Array, ""] = parameter(default=0.2, doc="standard deviation of an increment")
    every: int = eqx.field(static=True, default=1)
    centre: float = eqx.field(static=True, default=0.0)
    width: float = eqx.field(static=True, default=1.0)
    kept: float = eqx.field(static=True, default=1.0)

    def at(self, time: Array) -> Array:
        periods = self.increments.shape[0]
        now = jnp.minimum(time // self.every, periods)
        age = now - 1 - jnp.arange(periods)  # since each increment; negative before it
        weight = jnp.where(age >= 0, jnp.float32(self.kept) ** age, 0.0)
        moved = self.step * jnp.tensordot(weight, self.increments, 1)
        return self.centre + jnp.float32(self.kept) ** now * self.width * self.first + moved


class Neural(Curve):
    """A small neural network from covariates to the parameter; its weights are one vector, each N(0, 1) before data.

    With covariates (units, features) it gives a value a unit, always the same; with (steps + 1, features), `over_time`,
    one for each time; with (steps + 1, units, features) both. They should be standardised. Weights are scaled by the
    root of the inputs of their layer, so that the output varies by about `width` around `centre` under the prior.
    """

    covariates: Float[Array, "*shape features"]
    weights: Float[Array, " count"] = parameter(doc="of the network, in one row")
    hidden: int = eqx.field(static=True, default=8)
    over_time: bool = eqx.field(static=True, default=False)
    centre: float = eqx.field(static=True, default=0.0)
    width: float = eqx.field(static=True, default=1.0)

    @staticmethod
    def of(
        covariates: Any, *, hidden: int = 8, over_time: bool = False, centre: float = 0.0, width: float = 1.0
    ) -> "Neural":
        """A network with small random weights for these covariates."""
        given = jnp.asarray(covariates, jnp.float32)
        if given.ndim < 2 - (not over_time) or not bool(jnp.isfinite(given).all()):
            raise ModelError("covariates are finite, with their features on the last axis")
        count = hidden * (given.shape[-1] + 2) + 1
        return Neural(given, 0.3 * jr.normal(jr.key(0), (count,)), hidden, over_time, centre, width)

    def __check_init__(self) -> None:
        count = self.hidden * (self.covariates.shape[-1] + 2) + 1
        if self.weights.shape != (count,):
            raise ParameterError(f"the network has {count} weights, and {self.weights.shape} were given")

    def at(self, time: Array) -> Array:
        seen = self.covariates
        if self.over_time:
            seen = seen[jnp.clip(time, 0, seen.shape[0] - 1)]
        features, n = seen.shape[-1], self.hidden
        first, bias, last = jnp.split(self.weights[:-1], [n * features, n * features + n])
        inner = jnp.tanh(seen @ first.reshape(features, n) / math.sqrt(features) + bias)
        return self.centre + self.width * (inner @ last / math.sqrt(n) + self.weights[-1])


def _cubic(knots: np.ndarray) -> np.ndarray:
    """From values at the knots to the second derivatives there of the natural spline, (knots, knots)."""
    n, gaps = knots.size, np.diff(knots)
    left, right = np.eye(n), np.zeros((n, n))
    for i in range(1, n - 1):
        left[i, i - 1 : i + 2] = gaps[i - 1] / 6.0, (gaps[i - 1] + gaps[i]) / 3.0, gaps[i] / 6.0
        right[i, i - 1 : i + 2] = 1.0 / gaps[i - 1], -1.0 / gaps[i - 1] - 1.0 / gaps[i], 1.0 / gaps[i]
    return np.linalg.solve(left, right)


def _ordered(what: str, times: tuple[float, ...]) -> None:
    if any(b <= a for a, b in itertools.pairwise(times)):
        raise ModelError(f"{what} rise from one to the next, and {times} do not")


def _rows(what: str, wanted: int, values: Any) -> None:
    if jnp.shape(values)[:1] != (wanted,):
        raise ParameterError(f"{what} ask for {wanted} values, and {jnp.shape(values)} were given")
