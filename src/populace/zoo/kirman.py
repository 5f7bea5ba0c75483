"""Herding: agents of two opinions who change their minds alone, or because they met another.

Kirman (1993, Quarterly Journal of Economics 108:137), in continuous time (Alfarano, Lux and Wagner 2008, Journal of
Economic Dynamics and Control 32:101). Of N agents n hold the first opinion, and

    n -> n + 1 at rate (N - n)(a1 + b n),        n -> n - 1 at rate n (a2 + b (N - n)).

A step is an interval of time in `turns` turns of equal length, and a turn holds one change at the most, with
probability h times its rate. A birth-and-death chain in discrete time has the stationary law of the one in continuous
time, whatever h; and since h = (1 - exp(-s dt)) / s with s = a1 + a2 and dt the length of a turn, its mean and its
autocorrelation are those of continuous time at the end of every step, and not only for short turns.

Facts it must reproduce (tests/zoo), for every N and b: dE z/dt = a1 - (a1 + a2) E z for the share z = n / N; a
stationary law beta-binomial(N, a1/b, a2/b), with mean a1/(a1+a2) and variance
zbar (1 - zbar) [1/N + (1 - 1/N) / (1 + (a1 + a2)/b)]; autocorrelation exp(-(a1 + a2) t).
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter


class Kirman(Model):
    """`turns` must be so many that a turn's probabilities do not exceed 1: about
    interval x N (max(a1, a2) + b N / 2), or the site `join` or `leave` faults.

    Sites: `turn/join`, `turn/leave`. Observed: `share`, of agents with the first opinion.
    """

    agents: int = eqx.field(static=True, default=50)
    turns: int = eqx.field(static=True, default=200)
    a1: Float[Array, ""] = parameter(default=0.1, domain=positive, unit="1/time", doc="own turns to the first opinion")
    a2: Float[Array, ""] = parameter(default=0.15, domain=positive, unit="1/time", doc="own turns to the second")
    b: Float[Array, ""] = parameter(default=0.02, domain=nonnegative, unit="1/time", doc="herding strength")
    start: Float[Array, ""] = parameter(default=0.0, domain=unit, doc="share of the first opinion at time 0")
    interval: Float[Array, ""] = parameter(default=0.5, domain=positive, unit="time", doc="length of a step")

    def init(self, draw: Draw) -> Float[Array, ""]:
        return jnp.round(self.start * self.agents)

    def step(self, draw: Draw, first: Float[Array, ""]) -> Float[Array, ""]:
        total = self.a1 + self.a2
        length = -jnp.expm1(-total * self.interval / self.turns) / total

        def turn(draw: Draw, _: Array, n: Float[Array, ""]) -> Float[Array, ""]:
            up = length * (self.agents - n) * (self.a1 + self.b * n)
            down = length * n * (self.a2 + self.b * (self.agents - n))
            join = draw.bernoulli("join", up, size=())
            leave = draw.bernoulli("leave", down / jnp.maximum(1.0 - up, 1e-6), where=1.0 - join, size=())
            return n + join - leave

        return draw.loop("turn", self.turns, turn, first)

    def observe(self, first: Float[Array, ""]) -> dict[str, Array]:
        return {"share": first / self.agents}
