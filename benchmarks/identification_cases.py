"""Cases of which it is known what the data identify: CASES, by name, and the check of what is said of them.

Wide priors are uniform from 0 to four times the truth. Data sizes: 200 replicate paths of 20 units of time (fewer
where a case says so) for means and variances, one path of 5,000 units for autocorrelations.

    python benchmarks/identification_cases.py [--json] [--quick] [--only CASE]

prints, for each case, standard errors in linear approximation, relative to the truth, of each parameter jointly with
the others and alone, from differences of many runs under common random numbers; and what the posterior is, from a
brute-force sampler that shares nothing with `pop.identify`: spreads over the prior's, of parameters and of the
combinations that should be known, and the class that follows. `--quick` takes the first three cases.
"""

import jax
import jax.numpy as jnp
import jax.random as jr
from identification_cases_crowds import CROWDS
from identification_cases_prices import PRICES
from identification_recipes import Case, Parameters, binomial, boxed, case, classes, counts, gamma, product, total, wide
from jaxtyping import Array, Float

PATHS = 200


# Small laws


def product_run(at: Parameters, key: Array) -> dict[str, Array]:
    """600 pairs of y = a b x + .05 e, x ~ Exp(1), as a regression through the origin sees them."""
    first, second = jr.split(key)
    x = jr.exponential(first, (600,))
    y = at["a"] * at["b"] * x + 0.05 * jr.normal(second, (600,))
    slope = (x * y).sum() / (x * x).sum()
    spread = jnp.sqrt(((y - slope * x) ** 2).sum() / 599.0)
    return {"slope": slope, "log residual sd": jnp.log(spread), "mean of y": y.mean()}


def sum_run(at: Parameters, key: Array) -> dict[str, Array]:
    return {"S": at["w1"] + at["w2"] + jr.normal(key)}


def nothing_run(at: Parameters, key: Array) -> dict[str, Array]:
    """Three readings of x; mu and sigma are not used."""
    return {"S": at["x"] + jr.normal(key, (3,))}


def local_run(at: Parameters, key: Array) -> dict[str, Array]:
    """100 draws of N(t1, t2^2) where both are above 2, of N(0, 1) elsewhere."""
    both = (at["t1"] > 2.0) & (at["t2"] > 2.0)
    y = jnp.where(both, at["t1"], 0.0) + jnp.where(both, at["t2"], 1.0) * jr.normal(key, (100,))
    return {"mean": y.mean(), "sd": y.std(ddof=1)}


def square_run(at: Parameters, key: Array) -> dict[str, Array]:
    """The mean of 100 draws of N(x^2, 1): two points fit alike."""
    return {"mean": at["x"] ** 2 + 0.1 * jr.normal(key)}


# Births and deaths


def _grown(key: Array, n: Array, births: Array, deaths: Array, t: float) -> Array:
    """Populations after a time t, by the law of the linear process (Kendall 1948, Ann. Math. Stat. 19).

    With r = l - m, E = e^(rt), D = (l E - m) / r and q = (E - 1) / r: a line dies out with probability m q / D, and one
    that lives has 1 + Geometric members, whose excess has odds l q against 1.
    """
    r = births - deaths
    r = jnp.where(jnp.abs(r) < 1e-5, 1e-5, r)
    grown = jnp.expm1(r * t)
    q = grown / r
    over = 1.0 + births * q
    alone, many, number = jr.split(key, 3)
    lines = binomial(alone, n, jnp.broadcast_to(jnp.exp(r * t) / over, n.shape))
    spread = gamma(many, jnp.maximum(lines, 1.0)) * births * q
    return jnp.where(lines > 0, lines + counts(number, spread), 0.0)


def _herds(at: Parameters, key: Array, start: Array) -> Float[Array, "times paths"]:
    """Populations at times 2, 5 and 10."""
    seen, n, now = [], start, 0.0
    for k, t in zip(jr.split(key, 3), (2.0, 5.0, 10.0), strict=True):
        n, now = _grown(k, n, at["l"], at["m"], t - now), t
        seen.append(n)
    return jnp.stack(seen)


def herd_mean(at: Parameters, key: Array) -> dict[str, Array]:
    """Log means of 200 paths from 50 each: their sum is one path from 10,000."""
    return {"log mean": jnp.log1p(_herds(at, key, jnp.full(1, 50.0 * PATHS))[:, 0] / PATHS)}


def herd_spread(at: Parameters, key: Array) -> dict[str, Array]:
    """And log variances over the paths."""
    n = _herds(at, key, jnp.full(PATHS, 50.0))
    return {"log mean": jnp.log1p(n.mean(1)), "log variance": jnp.log1p(n.var(1, ddof=1))}


def herd_that_stops(at: Parameters, key: Array) -> dict[str, Array]:
    """Births fall to the deaths' rate at time 5: no birth and death rates that stay make such means."""
    first, second = jr.split(key)
    early = _herds(at, first, jnp.full(1, 50.0 * PATHS))[:2, 0]
    late = _grown(second, early[1:], at["m"], at["m"], 5.0)
    return {"log mean": jnp.log1p(jnp.concatenate([early, late]) / PATHS)}


# An epidemic

_NUMBER = 1e5
_STEPS = 8


def epidemic(days: int, window: int, known: dict[str, float] | None = None):
    """Reported cases, Poisson, summed over windows of some days, under a square root (whose noise is then even)."""

    def run(at: Parameters, key: Array) -> dict[str, Array]:
        b, g, rho, first_ill = (
            jnp.asarray({**(known or {}), **at}[name], jnp.float32) for name in ("b", "g", "rho", "I0")
        )

        def slope(state: Array) -> Array:
            caught = b * state[0] * state[1] / _NUMBER
            return jnp.stack([-caught, caught - g * state[1], caught])

        def step(state: Array, _: None) -> tuple[Array, None]:
            h = 1.0 / _STEPS
            one = slope(state)
            two = slope(state + h / 2 * one)
            three = slope(state + h / 2 * two)
            four = slope(state + h * three)
            return state + h / 6 * (one + 2 * two + 2 * three + four), None

        def day(state: Array, _: None) -> tuple[Array, Array]:
            state = jax.lax.scan(step, state.at[2].set(0.0), None, length=_STEPS)[0]
            return state, state[2]

        first = jnp.stack([_NUMBER - first_ill, first_ill, jnp.float32(0.0)])
        new = jax.lax.scan(day, first, None, length=days)[1]
        expected = rho * jnp.maximum(new, 0.0).reshape(-1, window).sum(1)
        return {"root of cases": 2.0 * jnp.sqrt(counts(key, expected) + 0.375)}

    return run


_RATES = {"b": 0.5, "g": 0.25, "rho": 0.2, "I0": 50.0}
_EARLY = (total("b", "g", parts=(1.0, -1.0)), product("b", "rho", "I0"))
_SIR = [
    case(
        f"SIR T = {days}",
        f"reported cases of {days} days of an epidemic of 1e5",
        epidemic(days, window),
        wide(_RATES),
        _RATES,
        classes(**{found: "b g rho I0"}),
        _EARLY if days < 50 else (),
    )
    for days, window, found in (
        (20, 1, "combination"),
        (30, 2, "combination"),
        (40, 2, "weak"),
        (60, 3, "identified"),
        (100, 5, "identified"),
    )
]
_TWO = {"b": 0.5, "g": 0.25}
_HERD = {"l": 0.2, "m": 0.1}

_LISTED = [
    case(
        "product",
        "only the product of two slopes is seen",
        product_run,
        boxed(a=(0.0, 5.0), b=(0.0, 5.0)),
        {"a": 1.0, "b": 1.0},
        classes(combination="a b"),
        (product("a", "b"),),
    ),
    case(
        "sum",
        "only the sum of two weights is seen",
        sum_run,
        boxed(w1=(80.0, 150.0), w2=(80.0, 150.0)),
        {"w1": 100.0, "w2": 120.0},
        classes(combination="w1 w2"),
        (total("w1", "w2"),),
    ),
    case(
        "nothing",
        "two parameters that nothing depends on",
        nothing_run,
        boxed(x=(0.0, 50.0), mu=(0.0, 50.0), sigma=(0.0, 25.0)),
        {"x": 20.0, "mu": 25.0, "sigma": 10.0},
        classes(identified="x", not_identified="mu sigma"),
    ),
    case(
        "local, seen",
        "data from the region in which both parameters act",
        local_run,
        boxed(t1=(0.1, 5.0), t2=(0.1, 5.0)),
        {"t1": 3.5, "t2": 2.6},
        classes(identified="t1 t2"),
    ),
    case(
        "local, not seen",
        "data from the region in which neither acts",
        local_run,
        boxed(t1=(0.1, 5.0), t2=(0.1, 5.0)),
        {"t1": 1.0, "t2": 1.0},
        classes(not_identified="t1 t2"),
    ),
    case(
        "square",
        "the sign is not seen (ours)",
        square_run,
        boxed(x=(-3.0, 3.0)),
        {"x": 1.5},
        classes(several_points="x"),
    ),
    case(
        "birth-death, mean",
        "means of 200 paths: only the difference of the rates",
        herd_mean,
        wide(_HERD),
        _HERD,
        classes(combination="l m"),
        (total("l", "m", parts=(1.0, -1.0)),),
    ),
    case(
        "birth-death, mean and variance",
        "the variance tells births from deaths",
        herd_spread,
        wide(_HERD),
        _HERD,
        classes(identified="l m"),
    ),
    case(
        "birth-death, out of reach",
        "means that stop growing, which no pair of rates makes (ours)",
        herd_mean,
        wide(_HERD),
        _HERD,
        classes(unreachable="l m"),
        world=herd_that_stops,
    ),
    *_SIR,
    case(
        "SIR T = 20, two known",
        "with the reporting rate and the first cases known",
        epidemic(20, 1, {"rho": 0.2, "I0": 50.0}),
        wide(_TWO),
        _TWO,
        classes(identified="b g"),
    ),
    *CROWDS,
    *PRICES,
]
CASES: dict[str, Case] = {one.name: one for one in _LISTED}


if __name__ == "__main__":
    from identification_checks import main

    main(CASES)
