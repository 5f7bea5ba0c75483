"""What every case of `identification_cases.py` is made of: its nouns, and laws that several cases draw from.

A simulator makes one data set a run: the numbers that the data are summarised by. The data are one run at the truth;
their covariance is that of replicates at the truth, as a user would have it from replicates at a pilot fit.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int

import populace as pop
from populace.core import quantiles
from populace.core.executor import Ticker

Parameters = dict[str, Array]
Simulate = Callable[[Parameters, Any], dict[str, Array]]

REPLICATES = 1_000
"""Runs at the truth that the covariance of a case's moments is taken from."""
DEAR = 4_000
"""What a fit may spend on a case whose paths are long: some 2 ms a run."""


@dataclass(frozen=True)
class Known:
    """A combination that the data know: a product of powers of its members, or a sum of multiples of them.

    `members`: names; `parts`: the power of each (where they multiply) or its factor (where they add), at the truth and
    up to a common factor; `exact`: whether it is so all along the ridge, or only near the truth.
    """

    members: tuple[str, ...]
    parts: tuple[float, ...]
    multiplies: bool
    exact: bool = True

    @property
    def text(self) -> str:
        """Such as `a x b`, `b / sigma`, `beta x b^2`, `w1 + w2`."""
        join, back = (" x ", " / ") if self.multiplies else (" + ", " - ")
        words = ""
        for member, part in zip(self.members, self.parts, strict=True):
            size = abs(part)
            factor = f"^{size:.2g}" if self.multiplies else f"{size:.2g} "
            plain = size == 1.0
            word = member if plain else member + factor if self.multiplies else factor + member
            sign = back if part < 0 else join
            words += word if not words else sign + word
        return words

    def value(self, draws: Mapping[str, np.ndarray]) -> np.ndarray:
        """The combination (n,) of draws (n,) each: its logarithm where the members multiply."""
        each = [np.log(draws[m]) if self.multiplies else draws[m] for m in self.members]
        return sum((part * one for part, one in zip(self.parts, each, strict=True)), np.zeros(1))


def product(*members: str, parts: tuple[float, ...] = (), exact: bool = True) -> Known:
    """A product of powers, 1 each unless `parts` says otherwise."""
    return Known(members, parts or (1.0,) * len(members), multiplies=True, exact=exact)


def ratio(over: str, under: str) -> Known:
    return Known((over, under), (1.0, -1.0), multiplies=True)


def total(*members: str, parts: tuple[float, ...] = (), exact: bool = True) -> Known:
    """A sum of multiples, 1 each unless `parts` says otherwise."""
    return Known(members, parts or (1.0,) * len(members), multiplies=False, exact=exact)


@dataclass(frozen=True)
class Case:
    """A problem of which it is known what the data decide.

    `problem(key)`: the data are drawn with this key at `truth`; `expected`: parameter to the classes that are right;
    `combinations`: what must be named; `budget`: calls of the simulator that a fit may spend.
    """

    name: str
    about: str
    problem: Callable[[Any], pop.Problem]
    truth: dict[str, float]
    expected: dict[str, frozenset[str]]
    combinations: tuple[Known, ...]
    budget: int


def classes(**by_class: str) -> dict[str, frozenset[str]]:
    """From class to parameters (`not_identified="mu sigma"`) to parameter to class."""
    found = {}
    for name, parameters in by_class.items():
        found.update({p: frozenset({name.replace("_", " ")}) for p in parameters.split()})
    return found


def wide(truth: Mapping[str, float]) -> pop.Space:
    """Each rate uniform on [0, 4 x truth]."""
    return pop.Space({name: dist.Uniform(0.0, 4.0 * value) for name, value in truth.items()})


def boxed(**ends: tuple[float, float]) -> pop.Space:
    """Each uniform between its ends."""
    return pop.Space({name: dist.Uniform(*pair) for name, pair in ends.items()})


def case(
    name: str,
    about: str,
    simulate: Simulate,
    space: pop.Space,
    truth: dict[str, float],
    expected: dict[str, frozenset[str]],
    combinations: tuple[Known, ...] = (),
    *,
    budget: int = 10_000,
    world: Simulate | None = None,
) -> Case:
    """A case whose data are a run of `simulate` at the truth, or of `world` where that is something else."""
    problem = functools.partial(
        _problem, pop.Traceable(simulate), pop.Traceable(world or simulate), space, _Fixed(truth)
    )
    return Case(name, about, problem, truth, expected, combinations, budget)


class _Fixed(dict[str, float]):
    """A truth that a cache can know."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


def _problem(model: pop.Traceable, world: pop.Traceable, space: pop.Space, truth: _Fixed, key: Any) -> pop.Problem:
    seen = {name: value[0] for name, value in _runs(world, truth, key, 1).items()}
    bare = pop.Target(seen, [_moment(name, value) for name, value in seen.items()])
    covariance = pop.FromReplicates(bare.summarise(_replicates(world, truth)))
    return pop.Problem(model, space, bare.with_covariance(covariance.matrix(bare), covariance.source()))


def _moment(name: str, value: np.ndarray) -> pop.Moment:
    return pop.level(name) if np.ndim(value) else pop.moment(name, _last, of=name)


def _last(x: Array) -> Array:
    return x[-1]


@functools.cache
def _replicates(world: pop.Traceable, truth: _Fixed) -> dict[str, np.ndarray]:
    return _runs(world, truth, jr.key(2_026), REPLICATES)


def _runs(simulator: pop.Traceable, truth: Mapping[str, float], key: Any, runs: int) -> dict[str, np.ndarray]:
    at = {name: jnp.full(runs, value) for name, value in truth.items()}
    return simulator.simulate(at, jr.split(key, runs), Ticker(None, "", runs)).observations


# Laws


def counts(key: Any, mean: Array) -> Float[Array, "..."]:
    """Poisson numbers, by inversion: under common random numbers they change as little as they can."""
    return quantiles.poisson(jr.uniform(key, mean.shape), mean)


def binomial(key: Any, n: Array, p: Array) -> Float[Array, "..."]:
    """Binomial numbers, by inversion."""
    return quantiles.binomial(jr.uniform(key, n.shape), n, p)


def gamma(key: Any, shape: Array) -> Float[Array, "..."]:
    """Gamma numbers of whole shapes: cubes of Gaussian ones (Wilson and Hilferty 1931); exact at shape 1."""
    cube = 1.0 - 1.0 / (9.0 * shape) + jr.normal(key, shape.shape) / (3.0 * jnp.sqrt(shape))
    first = jr.exponential(jr.fold_in(key, 1), shape.shape)
    return jnp.where(shape > 1.0, shape * jnp.maximum(cube, 0.0) ** 3, first)


def chain_law(up: Float[Array, " states"], down: Float[Array, " states"], doublings: int = 11) -> Array:
    """The transition law over one unit of time, cumulated over ends (states, states), of a chain that moves by one.

    exp(Q) = exp(Q / 2^s)^(2^s) with Q / 2^s = A - c, A without negative entries, so that its series e^-c sum A^k / k!
    loses nothing to cancellation; rows are set to sum 1 after each squaring. Rates above 2^s leave the series short.
    """
    out = (up + down) / 2.0**doublings
    c = out.max()
    a = jnp.diag(c - out) + (jnp.diag(up[:-1], 1) + jnp.diag(down[1:], -1)) / 2.0**doublings
    one = jnp.eye(up.size)
    law = one
    for k in range(8, 0, -1):
        law = one + a @ law / k
    for _ in range(doublings):
        law = law / law.sum(1, keepdims=True)
        law = law @ law
    return jnp.cumsum(law / law.sum(1, keepdims=True), axis=1)


def chain_path(key: Any, law: Array, start: Int[Array, "..."], units: int) -> Int[Array, "units ..."]:
    """Paths of chains observed at times 1, 2, ..., by inversion."""

    def step(state: Array, k: Any) -> tuple[Array, Array]:
        u = jr.uniform(k, state.shape)[..., None]
        state = jnp.minimum((law[state] < u).sum(-1), law.shape[0] - 1)
        return state, state

    return jax.lax.scan(step, start, jr.split(key, units))[1]


def chain_rest(key: Any, up: Array, down: Array, shape: tuple[int, ...]) -> Int[Array, "..."]:
    """Draws from the stationary law of such a chain, by detailed balance: pi(n + 1) / pi(n) = up(n) / down(n + 1)."""
    steps = jnp.log(jnp.maximum(up[:-1], 1e-30)) - jnp.log(jnp.maximum(down[1:], 1e-30))
    levels = jnp.concatenate([jnp.zeros(1), jnp.cumsum(steps)])
    table = jnp.cumsum(jax.nn.softmax(levels))
    return jnp.searchsorted(table, jr.uniform(key, shape) * table[-1]).clip(0, up.size - 1)


def correlations(x: Float[Array, " times"], lags: tuple[int, ...]) -> Float[Array, " lags"]:
    """Autocorrelations of a series."""
    d = x - x.mean()
    return jnp.stack([(d[: d.size - lag] * d[lag:]).sum() for lag in lags]) / jnp.maximum((d**2).sum(), 1e-30)
