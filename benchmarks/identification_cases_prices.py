"""Cases of `identification_cases.py` among prices: beliefs that are chosen by what they earned, chartists and
fundamentalists.
"""

import jax
import jax.numpy as jnp
import jax.random as jr
from identification_recipes import (
    DEAR,
    Case,
    Parameters,
    Simulate,
    boxed,
    case,
    classes,
    correlations,
    product,
    ratio,
    total,
)
from jaxtyping import Array, Float

import populace as pop
from populace.zoo.franke_westerhoff import FrankeWesterhoff

LONG = 5_000


# Beliefs about a price: William Brock and Cars Hommes (1998), Journal of Economic Dynamics and Control 22(8-9)

INTEREST = 1.001
_FEATURES = 9


def _prices(beta: Array, g: Array, b: Array, sigma: Array, key: Array, times: int) -> Float[Array, " times"]:
    """Prices from 0, with 100 times left out at the start."""

    def step(past: tuple[Array, Array, Array], noise: Array) -> tuple[tuple[Array, Array, Array], Array]:
        one, two, three = past
        paid = (one - INTEREST * two) * (g * three + b - INTEREST * two)
        x = (jax.nn.softmax(beta * paid) * (g * one + b)).sum() / INTEREST + sigma * noise
        return (x, one, two), x

    zero = jnp.float32(0.0)
    return jax.lax.scan(step, (zero, zero, zero), jr.normal(key, (100 + times,)))[1][100:]


def _regressed(x: Float[Array, " times"], unit: float) -> dict[str, Array]:
    """The least-squares coefficients of x on what beliefs and profits are made of, in units of `unit`, and the log
    spread of what is left: an auxiliary model (Gourieroux, Monfort and Renault 1993).
    """
    y, one, two, three = (x[3 - k : x.size - k] / unit for k in range(4))
    d = jnp.tanh(one - INTEREST * two)
    columns = (jnp.ones_like(y), one, d, d * one, d * three, d * one * three, d * d, d * d * one, d * d * d)
    a = jnp.stack(columns, axis=1)
    gram = a.T @ a / y.size + 1e-4 * jnp.eye(_FEATURES)
    weights = jnp.linalg.solve(gram, a.T @ y / y.size)
    return {"coefficient": weights, "log spread": 0.5 * jnp.log(((y - a @ weights) ** 2).mean() + 1e-12)}


def market(unit: float, times: int, sigma: float) -> Simulate:
    """Fundamentalists and two kinds of believers with their own slopes and biases."""

    def run(at: Parameters, key: Array) -> dict[str, Array]:
        g = jnp.stack([0.0, at["g2"], at["g3"]])
        b = jnp.stack([0.0, at["b2"], at["b3"]])
        x = _prices(at["beta"], g, b, jnp.float32(sigma), key, times)
        return _regressed(x, unit)

    return run


def standardised(at: Parameters, key: Array) -> dict[str, Array]:
    """Two kinds of mirrored believers; of the price only its course in units of its own spread is seen."""
    g, b = jnp.array([0.0, 0.9, 0.9]), jnp.stack([0.0, at["b"], -at["b"]])
    x = _prices(at["beta"], g, b, at["sigma"], key, LONG)
    x = x / jnp.maximum(x.std(), 1e-12)
    return _regressed(x, 0.3)


# Chartists and fundamentalists: Reiner Franke and Frank Westerhoff (2012), Journal of Economic Dynamics and Control
# 36(8)

DAYS = 6_866
_LAGS = (1, 5, 10, 25, 50, 100)


_SHORT = {"sf": "sigma_f", "sc": "sigma_c", "alpha0": "alpha_0", "an": "alpha_n", "ap": "alpha_p"}


def _returns(at: Parameters, key: Array) -> Float[Array, " days"]:
    """Returns of the zoo's market, whose traders here know the new price when they decide who trades next."""
    market = FrankeWesterhoff(**{_SHORT.get(name, name): value for name, value in at.items()})

    def step(past: tuple[Array, Array, Array], noise: Array) -> tuple[tuple[Array, Array, Array], Array]:
        attitude, one, two = past
        share = market.share(attitude)
        mean, spread = market.expected(share, one, two)
        price = mean + spread * noise
        return (market.attitude(share, price), price, one), price - one

    start = market.alpha_0, jnp.float32(0.0), jnp.float32(0.0)
    return 100.0 * jax.lax.scan(step, start, jr.normal(key, (200 + DAYS,)))[1][200:]


_SHARE = pop.hill("r", 0.05)


def nine(at: Parameters, key: Array) -> dict[str, Array]:
    """Their nine moments of daily returns."""
    r = _returns({"mu": jnp.float32(0.01), "beta": jnp.float32(1.0), **at}, key)
    size = jnp.abs(r)
    lags = tuple(k for lag in _LAGS for k in ((lag,) if lag == 1 else (lag - 1, lag, lag + 1)))
    each = correlations(size, lags)
    around = jnp.concatenate([each[:1], each[1:].reshape(-1, 3).mean(1)])
    seen = {"autocorrelation of returns": correlations(r, (1,))[0], "mean size": size.mean()}
    return {**seen, "Hill index": _SHARE({"r": r})[0], "autocorrelation of sizes": around}


_WEAK = {"beta": 0.5, "g2": 0.4, "b2": 0.3, "g3": -0.4, "b3": -0.3}
_STRONG = {"beta": 120.0, "g2": 0.9, "b2": 0.2, "g3": 0.9, "b3": -0.2}
_SEVEN = {"phi": 0.12, "chi": 1.5, "sf": 0.758, "sc": 2.087, "alpha0": -0.327, "an": 1.79, "ap": 18.43}
_SEVEN_BOX = {
    "phi": (0.0, 0.48),
    "chi": (0.0, 6.0),
    "sf": (0.0, 3.032),
    "sc": (0.0, 5.0),
    "alpha0": (-1.0, 1.0),
    "an": (0.0, 2.0),
    "ap": (0.0, 20.0),
}

_UNKNOWN = classes(not_identified="phi chi an ap")
_TIED = frozenset({"combination", "not identified"})
"""Of parameters in the two stiffest directions (.96 sf - .25 sc, .86 sc - .38 alpha0; known to 3 and 8 % of the prior's
spread, `spectrum.py`), and of the scales that these are known up to: combinations of them are identified.
"""

PRICES: list[Case] = [
    case(
        "Brock-Hommes (i)",
        "standardised prices: biases, noise and choice scale together",
        standardised,
        boxed(b=(0.0, 0.8), sigma=(0.0, 0.16), beta=(0.0, 480.0)),
        {"b": 0.2, "sigma": 0.04, "beta": 120.0},
        classes(combination="b sigma beta"),
        (ratio("b", "sigma"), product("beta", "b", parts=(1.0, 2.0)), product("beta", "sigma", parts=(1.0, 2.0))),
    ),
    case(
        "Brock-Hommes (ii)",
        "slow choice, beta = .5: all but lost in noise",
        market(0.1, LONG, 0.1),
        boxed(beta=(0.0, 2.0), g2=(0.0, 1.6), b2=(0.0, 1.2), g3=(-1.6, 0.0), b3=(-1.2, 0.0)),
        _WEAK,
        {
            **classes(combination="b2 b3", not_identified="beta"),
            **{name: frozenset({"combination", "not identified"}) for name in ("g2", "g3")},
        },
        (total("g2", "g3"), total("b2", "b3")),
    ),
    case(
        "Brock-Hommes (iii)",
        "fast choice, beta = 120",
        market(0.3, LONG, 0.04),
        boxed(beta=(0.0, 480.0), g2=(0.0, 1.0), b2=(0.0, 1.0), g3=(0.0, 1.0), b3=(-1.0, 0.0)),
        _STRONG,
        classes(identified="beta g2 b2 g3 b3"),
    ),
    case(
        "Franke-Westerhoff, seven",
        "nine moments of returns over 6,866 days",
        nine,
        boxed(**_SEVEN_BOX),
        _SEVEN,
        _UNKNOWN | dict.fromkeys(("sf", "sc", "alpha0"), _TIED),
        budget=DEAR,
    ),
    case(
        "Franke-Westerhoff, nine",
        "the same, with two scales free that change no path",
        nine,
        boxed(mu=(0.0, 0.04), beta=(0.0, 4.0), **_SEVEN_BOX),
        {"mu": 0.01, "beta": 1.0, **_SEVEN},
        _UNKNOWN | dict.fromkeys(("mu", "beta", "sf", "sc", "alpha0"), _TIED),
        budget=DEAR,
    ),
]
