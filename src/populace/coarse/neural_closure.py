"""A network as the right-hand side: what an equation may be where no polynomial is asked for.

du/dt = span / T x network((u - middle) / span), fitted in integral form along the data and then by the solution (Chen,
Rubanova, Bettencourt and Duvenaud 2018, Advances in Neural Information Processing Systems 31), from several first
weights. Networks alike agree where there are no data too: so they are compared with the polynomials that tie.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array

from .._errors import MethodError
from .._results import Band, BandPanel, Code, Figure, Points, Result, Section, Verdict
from .._types import Key
from .equations import LearnedEquation, beyond
from .series import MeanSeries

_APART = 0.1
_BOUND = 10.0
_PACE = 1e-2


class Rate(eqx.Module):
    """A right-hand side (variables,) to (variables,), in the units of the data."""

    network: eqx.nn.MLP
    middle: Array
    span: Array
    time: Array

    def __call__(self, u: Array) -> Array:
        scaled = jnp.clip((u - self.middle) / self.span, -_BOUND, _BOUND)
        return self.network(scaled) * self.span / self.time


@dataclass(frozen=True)
class NeuralClosure(Result):
    """Members fitted from different first weights.

    `paths` (members, T, variables): their solutions; `rmse` (members,): against the mean; `noise`: the standard error
    of the mean; `spread_inside`, `spread_outside`: the largest difference between two right-hand sides, of networks and
    of the polynomials that tie, over the largest rate visited, on what was visited and half a range beyond.
    """

    series: MeanSeries
    members: Rate
    paths: np.ndarray
    rmse: np.ndarray
    noise: float
    spread_inside: float
    spread_outside: float

    def rates(self, at: np.ndarray) -> np.ndarray:
        """The members' right-hand sides at points (n, variables): (members, n, variables)."""
        return np.asarray(_rates(self.members, jnp.asarray(at, jnp.float32)), np.float64)

    @property
    def verdict(self) -> Verdict:
        """Whether members agree beyond what was visited."""
        numbers = {"inside": self.spread_inside, "outside": self.spread_outside, "rmse": float(self.rmse.max())}
        sentence = (
            f"{len(self.rmse)} networks follow the mean with RMSE {self.rmse.min():.2g} to {self.rmse.max():.2g}, "
            f"where it has an error of {self.noise:.2g}; they and the polynomials that tie differ by "
            f"{100 * self.spread_inside:.0f} % of the largest rate where runs went, and by up to "
            f"{100 * self.spread_outside:.0f} % half a range beyond"
        )
        if self.spread_outside > max(_APART, 2 * self.spread_inside):
            return Verdict("outside", Code.APART_OUTSIDE, f"{sentence}: do not extrapolate.", numbers)
        return Verdict("outside", Code.AGREE_OUTSIDE, f"{sentence}.", numbers)

    def __str__(self) -> str:
        return self.verdict.sentence

    def sections(self) -> tuple[Section, ...]:
        times, mean, error = self.series.times, self.series.mean, self.series.error
        panels = []
        for i, name in enumerate(self.series.names):
            mine = self.paths[:, :, i]
            band = Band("networks", times, np.median(mine, 0), {1.0: (mine.min(0), mine.max(0))})
            panels.append(
                BandPanel(f"Mean {name}", "time", name, (band,), (Points("runs", times, mean[:, i], error[:, i]),))
            )
        figure = Figure("networks", "The mean over runs, and what networks make of it.", tuple(panels))
        return (Section("Neural closure", (), (self.verdict,), (figure,)),)

    def record(self) -> dict[str, Any]:
        return {"verdict": self.verdict.record(), "rmse": self.rmse.tolist()}


@eqx.filter_jit
def _rates(members: Rate, at: Array) -> Array:
    return eqx.filter_vmap(lambda one: jax.vmap(one)(at))(members)


def neural_closure(
    learned: LearnedEquation, key: Key, *, members: int = 4, width: int = 16, depth: int = 2, steps: int = 1500
) -> NeuralClosure:
    """Fit networks as the right-hand side of the mean's equation, beside the polynomials that were learned of it.

    **Arguments:** `learned`: of `learn_equation`, with the runs that it was learned from; `members`: how many, from
    different first weights; `width`, `depth`: of each; `steps`: of Adam, along the data and again by the solution;
    their size falls to 0 as a cosine.

    **Raises:** `MethodError`.
    """
    if members < 2 or width < 1 or depth < 1 or steps < 1:
        raise MethodError(f"two members and one step at least, not {members=}, {width=}, {depth=}, {steps=}")
    series = learned.series
    path = series.mean
    span = np.ptp(path, axis=0)
    data, times = jnp.asarray(path, jnp.float32), jnp.asarray(np.diff(series.times), jnp.float32)
    scale = (data.mean(0), jnp.asarray(span, jnp.float32), times.sum())
    d = path.shape[1]
    networks = eqx.filter_vmap(lambda k: Rate(eqx.nn.MLP(d, d, width, depth, jax.nn.tanh, key=k), *scale))(
        jr.split(key, members)
    )
    fitted, paths = _fitted(networks, data, times, steps)
    solved = np.asarray(paths, np.float64)
    rmse = np.sqrt(((solved - path) ** 2).mean((1, 2)))
    size = np.abs(np.asarray(_rates(fitted, data), np.float64).mean(0)).max(0) + 1e-300
    spreads = []
    for points in (path, beyond(path)):
        rates = np.asarray(_rates(fitted, jnp.asarray(points, jnp.float32)), np.float64)
        every = np.concatenate([rates, [equation.rate(points) for equation in learned.equations]])
        spreads.append(float((np.ptp(every, axis=0) / size).max()))
    noise = float(np.sqrt((series.error**2).mean()))
    return NeuralClosure(series, fitted, solved, rmse, noise, *spreads)


def _solved(rate: Rate, start: Array, times: Array) -> Array:
    """The solution (T, variables), a step of Runge and Kutta's fourth order between times."""

    def step(u: Array, h: Array) -> tuple[Array, Array]:
        k1 = rate(u)
        k2 = rate(u + h / 2 * k1)
        k3 = rate(u + h / 2 * k2)
        u = u + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(u + h * k3))
        return u, u

    return jnp.concatenate([start[None], jax.lax.scan(step, start, times)[1]])


@eqx.filter_jit
def _fitted(networks: Rate, data: Array, times: Array, steps: int) -> tuple[Rate, Array]:
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(_PACE, steps)))

    def one(rate: Rate) -> tuple[Rate, Array]:
        weights, rest = eqx.partition(rate.network, eqx.is_inexact_array)

        def whole(weights: Any) -> Rate:
            return eqx.tree_at(lambda r: r.network, rate, eqx.combine(weights, rest))

        def along_the_data(weights: Any) -> Array:
            rates = jax.vmap(whole(weights))(data)
            gone = jnp.cumsum((rates[1:] + rates[:-1]) / 2 * times[:, None], axis=0)
            return (((data[0] + gone - data[1:]) / rate.span) ** 2).mean()

        def by_solution(weights: Any) -> Array:
            return (((_solved(whole(weights), data[0], times) - data) / rate.span) ** 2).mean()

        for loss in (along_the_data, by_solution):

            def step(carry: Any, _: None, loss: Callable[[Any], Array] = loss) -> tuple[Any, None]:
                weights, state = carry
                updates, state = optimiser.update(jax.grad(loss)(weights), state)
                return (optax.apply_updates(weights, updates), state), None

            weights = jax.lax.scan(step, (weights, optimiser.init(weights)), None, steps)[0][0]
        return whole(weights), _solved(whole(weights), data[0], times)

    return eqx.filter_vmap(one)(networks)
