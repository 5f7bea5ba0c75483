"""Cases of `identification_cases.py` among crowds: herding, social influence, contagion."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from identification_recipes import (
    DEAR,
    Case,
    Parameters,
    boxed,
    case,
    chain_law,
    chain_path,
    chain_rest,
    classes,
    correlations,
    product,
    ratio,
    total,
    wide,
)
from jaxtyping import Array, Float

PATHS, UNITS, LONG = 200, 20, 5_000


# Herding: Alan Kirman (1993), Ants, rationality, and recruitment, Quarterly Journal of Economics 108(1)

ANTS = 50


def _rates(at: Parameters) -> tuple[Array, Array]:
    n = jnp.arange(ANTS + 1.0)
    return (ANTS - n) * (at["a1"] + at["b"] * n), n * (at["a2"] + at["b"] * (ANTS - n))


def kirman_mean(at: Parameters, key: Array) -> dict[str, Array]:
    """Mean shares of 200 paths from 0."""
    law = chain_law(*_rates(at))
    z = chain_path(key, law, jnp.zeros(PATHS, jnp.int32), UNITS) / ANTS
    return {"mean share": z.mean(1)[jnp.array([0, 1, 3, 5, 8, 11, 15, 19])]}


def kirman_rest(at: Parameters, key: Array) -> dict[str, Array]:
    """Mean and variance over 200 paths that begin in the stationary law, all times together."""
    up, down = _rates(at)
    first, then = jr.split(key)
    z = chain_path(then, chain_law(up, down), chain_rest(first, up, down, (PATHS,)), UNITS) / ANTS
    return {"mean": z.mean(), "log variance": jnp.log(z.var() + 1e-6)}


def kirman_path(at: Parameters, key: Array) -> dict[str, Array]:
    """Mean, variance and autocorrelations of a long path."""
    up, down = _rates(at)
    first, then = jr.split(key)
    z = chain_path(then, chain_law(up, down), chain_rest(first, up, down, ()), LONG) / ANTS
    seen = {"mean": z.mean(), "log variance": jnp.log(z.var() + 1e-6)}
    return {**seen, "autocorrelation": correlations(z, (1, 2, 4, 8))}


# Social influence: William Brock and Steven Durlauf (2001), Review of Economic Studies 68(2)

CROWD = 10_000
PARTS = 2
"""Steps a unit of time."""


def _crowd(at: Parameters, key: Array) -> Float[Array, " units"]:
    """Net opinions m at whole times, in the limit of many: dm = (tanh(field + coupling m) - m) dt + noise of variance
    2 (1 - m tanh) / N a time. A step solves the equation linearised where it begins (Ozaki 1992), so that rests, their
    variance and how fast they are come back to are exact. It begins undecided and is left to settle for 200 units.
    """

    def step(m: Array, noise: Array) -> Array:
        pull = jnp.tanh(at["field"] + at["coupling"] * m)
        slope = jnp.maximum(1.0 - at["coupling"] * (1.0 - pull**2), -1.0)
        slope = jnp.where(jnp.abs(slope) < 1e-4, 1e-4, slope)
        gone, spread = (-jnp.expm1(-k * slope / PARTS) / (k * slope) for k in (1.0, 2.0))
        noise = jnp.sqrt(2.0 * (1.0 - m * pull) / CROWD * spread) * noise
        return jnp.clip(m + (pull - m) * gone + noise, -1.0, 1.0)

    def unit(m: Array, k: Any) -> tuple[Array, Array]:
        for noise in jr.normal(k, (PARTS,)):
            m = step(m, noise)
        return m, m

    return jax.lax.scan(unit, jnp.float32(0.0), jr.split(key, 200 + LONG))[1][200:]


def _three(at: Parameters) -> Parameters:
    return {"field": at["beta"] * at["h"], "coupling": at["beta"] * at["J"]}


def logit_line(at: Parameters, key: Array) -> dict[str, Array]:
    return {"mean": _crowd(at, key).mean()}


def logit_mean(at: Parameters, key: Array) -> dict[str, Array]:
    return logit_line(_three(at), key)


def logit_moves(at: Parameters, key: Array) -> dict[str, Array]:
    """The equilibrium with its fluctuations: their size and how fast they die away."""
    m = _crowd(_three(at), key)
    seen = {"mean": m.mean(), "log variance": jnp.log(CROWD * m.var() + 1e-6)}
    return {**seen, "autocorrelation": correlations(m, (1, 2, 4))}


# Contagion where all meet all

PEOPLE = 1_000
_DT = 0.05


def _sick(b: Array, g: Array, key: Array, start: float, times: int, every: int) -> Float[Array, "times systems"]:
    """Shares of 200 systems, `every` steps apart; counts of a step are taken for Gaussian."""

    def step(x: Array, k: Array) -> tuple[Array, None]:
        caught, healed = b * x * (1.0 - x) * _DT, g * x * _DT
        x = x + caught - healed + jnp.sqrt((caught + healed) / PEOPLE) * jr.normal(k, x.shape)
        return jnp.clip(x, 0.0, 1.0), None

    def row(x: Array, k: Array) -> tuple[Array, Array]:
        x = jax.lax.scan(step, x, jr.split(k, every))[0]
        return x, x

    return jax.lax.scan(row, jnp.full(PATHS, start), jr.split(key, times))[1]


def _settled(at: Parameters, key: Array) -> Float[Array, " systems"]:
    """In time counted in recoveries, so that the law depends on b / g alone, as the stationary one does."""
    return _sick(at["b"] / jnp.maximum(at["g"], 1e-6), jnp.float32(1.0), key, 0.5, 1, 600)[0]


def sis_mean(at: Parameters, key: Array) -> dict[str, Array]:
    return {"mean": _settled(at, key).mean()}


def sis_rest(at: Parameters, key: Array) -> dict[str, Array]:
    x = _settled(at, key)
    return {"mean": x.mean(), "log variance": jnp.log(PEOPLE * x.var() + 1e-3)}


def sis_path(at: Parameters, key: Array) -> dict[str, Array]:
    """Means of the 200 systems on their way from .05, at 2, 4, .. 20."""
    return {"mean share": _sick(at["b"], at["g"], key, 0.05, 10, 40).mean(1)}


_KIRMAN = {"a1": 0.1, "a2": 0.15, "b": 0.2}
_LOGIT = {"beta": 1.0, "h": 0.1, "J": 0.8}
_SIS = {"b": 1.0, "g": 0.5}
CROWDS: list[Case] = [
    case(
        "Kirman, mean path",
        "means of 200 paths: the mean does not feel the herding",
        kirman_mean,
        wide(_KIRMAN),
        _KIRMAN,
        classes(identified="a1 a2", not_identified="b"),
    ),
    case(
        "Kirman, stationary",
        "mean and variance of the stationary law: the rates' ratios alone",
        kirman_rest,
        wide(_KIRMAN),
        _KIRMAN,
        classes(combination="a1 a2 b"),
        (ratio("a1", "a2"), ratio("a1", "b"), ratio("a2", "b")),
    ),
    case(
        "Kirman, autocorrelation",
        "mean, variance and autocorrelations of a path of 5,000 units",
        kirman_path,
        wide(_KIRMAN),
        _KIRMAN,
        classes(identified="a1 a2 b"),
    ),
    case(
        "logit, line",
        "one equilibrium, field beta h and coupling beta J: a line",
        logit_line,
        boxed(field=(0.0, 0.4), coupling=(0.0, 1.2)),
        {"field": 0.1, "coupling": 0.8},
        classes(combination="field coupling"),
        (total("field", "coupling", parts=(1.0, 0.3905)),),
        budget=DEAR,
    ),
    case(
        "logit, mean",
        "one equilibrium, by beta, h and J: one equation for three",
        logit_mean,
        wide(_LOGIT),
        _LOGIT,
        {name: frozenset({"not identified", "combination"}) for name in _LOGIT},
        (product("beta", "h", "J", parts=(1.0, 0.242, 0.758), exact=False),),
        budget=DEAR,
    ),
    case(
        "logit, fluctuations",
        "the equilibrium with variance and relaxation: beta h and beta J",
        logit_moves,
        wide(_LOGIT),
        _LOGIT,
        classes(combination="beta h J"),
        (product("beta", "h"), product("beta", "J"), ratio("h", "J")),
        budget=DEAR,
    ),
    case(
        "SIS, mean",
        "the stationary mean: b / g alone",
        sis_mean,
        wide(_SIS),
        _SIS,
        classes(combination="b g"),
        (ratio("b", "g"),),
    ),
    case(
        "SIS, mean and variance",
        "a stationary law does not know how fast time goes: b / g alone",
        sis_rest,
        wide(_SIS),
        _SIS,
        classes(combination="b g"),
        (ratio("b", "g"),),
    ),
    case(
        "SIS, transient",
        "means on the way there",
        sis_path,
        wide(_SIS),
        _SIS,
        classes(identified="b g"),
    ),
]
