"""An asset market of trend followers, contrarians and fundamentalists, who switch to what paid.

Brock and Hommes (1998, Journal of Economic Dynamics and Control 22:1235), with four types. x is the price's deviation
from its fundamental value; a type expects g x + b. With R the gross return of the safe asset,

    U_h = (x[t-1] - R x[t-2]) (g_h x[t-3] + b_h - R x[t-2]),    n = softmax(beta U),
    x[t] = (sum over h of n_h (g_h x[t-1] + b_h) + sigma e[t]) / R,    e[t] ~ N(0, 1), x before the start 0.

Type 1 is the fundamentalist (0, 0), type 4 follows the trend (1.01, 0); types 2 and 3 are free.

Facts it must reproduce (tests/zoo): the transition is Gaussian, with the log-likelihood below; without switching
(beta = 0), bias or trend of types 2 and 3, the deviation is an AR(1) with slope 1.01 / 4 R and noise sigma / R; every
derivative passes, as nothing jumps.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import nonnegative, positive
from ..core.draw import Draw
from ..core.model import Model, parameter

TREND = 1.01
"""What the fourth type makes of a deviation."""


class BrockHommes(Model):
    """The state is x at the last three times, the latest first. Site: `noise`. Observed: `x`."""

    g2: Float[Array, ""] = parameter(default=0.9, doc="trend of type 2")
    g3: Float[Array, ""] = parameter(default=0.9, doc="trend of type 3")
    b2: Float[Array, ""] = parameter(default=0.2, doc="bias of type 2")
    b3: Float[Array, ""] = parameter(default=-0.2, doc="bias of type 3")
    beta: Float[Array, ""] = parameter(default=120.0, domain=nonnegative, doc="intensity of choice")
    sigma: Float[Array, ""] = parameter(default=0.04, domain=positive, doc="standard deviation of the noise, times R")
    gross: Float[Array, ""] = parameter(default=1.01, domain=positive, doc="R, gross return of the safe asset")

    def init(self, draw: Draw) -> Float[Array, " three"]:
        return jnp.zeros(3)

    def step(self, draw: Draw, x: Float[Array, " three"]) -> Float[Array, " three"]:
        now = draw.normal("noise", self.expected(x), self.sigma / self.gross, size=())
        return jnp.stack([now, x[0], x[1]])

    def observe(self, x: Float[Array, " three"]) -> dict[str, Array]:
        return {"x": x[0]}

    def expected(self, x: Float[Array, " three"]) -> Float[Array, ""]:
        """The mean of the next x, after the last three."""
        zero = jnp.zeros_like(self.g2)
        g = jnp.stack([zero, self.g2, self.g3, zero + TREND])
        b = jnp.stack([zero, self.b2, self.b3, zero])
        fitness = (x[0] - self.gross * x[1]) * (g * x[2] + b - self.gross * x[1])
        share = jax.nn.softmax(self.beta * fitness)
        return (share * (g * x[0] + b)).sum() / self.gross


def log_likelihood(model: BrockHommes, series: Float[Array, " steps"]) -> Float[Array, ""]:
    """The log-density of x at times 1, 2, ..., which is exact: each x is Gaussian given the three before it."""
    before = jnp.concatenate([jnp.zeros(3), series])
    last = jnp.stack([before[2:-1], before[1:-2], before[:-3]], axis=1)
    mean = eqx.filter_vmap(model.expected)(last)
    return jax.scipy.stats.norm.logpdf(series, mean, model.sigma / model.gross).sum()
