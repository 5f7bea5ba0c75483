"""Logit choice with social influence: people who do what pays, what others do, and what chance has them do.

William Brock and Steven Durlauf (2001, Review of Economic Studies 68:235); with random sequential choice it is the
mean-field magnet of Pierre Curie and Pierre Weiss in a heat bath. Each of N agents holds an opinion +1 or -1 and
redraws it at rate 1, to +1 with probability (1 + tanh(beta h + beta J m)) / 2, where m is the mean opinion. A step of
`dt` redraws an opinion with probability 1 - exp(-dt), so that the mean of the next step is

    E[m' | m] = m + (1 - exp(-dt)) (tanh(beta h + beta J m) - m)

for every N: states of rest, and the folds where they vanish, are those of dm/dt = -m + tanh(beta h + beta J m) exactly.

Facts it must reproduce (tests/zoo): states of rest solve m = tanh(beta h + beta J m); about a stable one
N Var m = (1 - m^2) / (1 - beta J (1 - m^2)) and the mean relaxes at rate 1 - beta J (1 - m^2); where beta J > 1 two
folds lie at m = +-sqrt(1 - 1/(beta J)), beta h = artanh(m) - beta J m.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import nonnegative, unit
from ..core.draw import Draw
from ..core.model import Model, parameter


class LogitChoice(Model):
    """Sites: `first`, the opinions at the start, and `choose`: redraw and choice in one (who does not redraw keeps
    the old opinion). Observed: `mean`, the mean opinion.
    """

    agents: int = eqx.field(static=True, default=1000)
    beta: Float[Array, ""] = parameter(default=1.0, domain=nonnegative, doc="intensity of choice")
    h: Float[Array, ""] = parameter(default=0.1, doc="what pays: the private gain of +1 over -1, halved")
    J: Float[Array, ""] = parameter(default=0.8, doc="strength of social influence")
    begin: Float[Array, ""] = parameter(default=0.5, domain=unit, doc="share that holds +1 at the start")
    dt: float = eqx.field(static=True, default=0.05)

    def init(self, draw: Draw) -> Float[Array, " agents"]:
        return 2.0 * draw.bernoulli("first", self.begin, size=self.agents) - 1.0

    def step(self, draw: Draw, opinions: Float[Array, " agents"]) -> Float[Array, " agents"]:
        pull = jnp.tanh(self.beta * (self.h + self.J * opinions.mean()))
        redraw = -jnp.expm1(-jnp.float32(self.dt))
        up = 0.5 * (1.0 + opinions) * (1.0 - redraw) + redraw * 0.5 * (1.0 + pull)
        return 2.0 * draw.bernoulli("choose", up) - 1.0

    def observe(self, opinions: Float[Array, " agents"]) -> dict[str, Array]:
        return {"mean": opinions.mean()}

    def at(self, mean: Float[Array, ""]) -> Float[Array, " agents"]:
        """Opinions with a given mean, as near as whole agents allow: a lift, and since agents differ in nothing but
        their opinion there is no other.
        """
        holders = jnp.round(0.5 * (1.0 + mean) * self.agents)
        return jnp.where(jnp.arange(self.agents) < holders, 1.0, -1.0)
