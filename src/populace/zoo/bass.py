"""A new product: some buy by themselves, others because those around them own one.

Bass (1969, Management Science 15:215), customer by customer. Who does not own one yet buys at rate p + q s, where s is
the share of owners among those that it knows. In a step of `dt` it does so with probability

    (p + q s) (E - 1) / ((p + q s) E + q (1 - s)),    E = exp((p + q) dt),

which is 1 minus the exponential of the rate summed over the step, while s grows as it does in a large population that
mixes: there the steps may be long.

Facts it must reproduce (tests/zoo): in a large population that mixes, the share of owners after time t is
F(t) = (1 - exp(-(p + q) t)) / (1 + (q / p) exp(-(p + q) t)), for every dt; sales are highest at
t* = log(q / p) / (p + q), where F = 1/2 - p / (2 q); on a ring, where those whom one knows know each other, it takes
longer.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import nonnegative, positive
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.mixing import WellMixed
from ..interact.topology import Topology


class Bass(Model):
    """The defaults are Bass's estimates for room air conditioners in the United States, 1946-1961.

    Site: `buy`. Observed: `share`, of agents who own one; `bought`, of agents who bought in the step.
    """

    contacts: Topology = eqx.field(default_factory=lambda: WellMixed(2000))
    p: Float[Array, ""] = parameter(default=0.0104, unit="1/year", domain=positive, doc="coefficient of innovation")
    q: Float[Array, ""] = parameter(default=0.4185, unit="1/year", domain=nonnegative, doc="coefficient of imitation")
    dt: float = eqx.field(static=True, default=0.25)

    def init(self, draw: Draw) -> dict[str, Float[Array, " agents"]]:
        nobody = jnp.zeros(self.contacts.size)
        return {"owns": nobody, "bought": nobody}

    def step(self, draw: Draw, state: dict[str, Float[Array, " agents"]]) -> dict[str, Float[Array, " agents"]]:
        owns = state["owns"]
        share = self.contacts.sum(owns) / jnp.maximum(self.contacts.degree(), 1e-30)
        rate, grown = self.p + self.q * share, (self.p + self.q) * self.dt
        chance = rate * jnp.expm1(grown) / (rate * jnp.exp(grown) + self.q * (1.0 - share))
        bought = draw.bernoulli("buy", chance, where=1.0 - owns)
        return {"owns": owns + bought, "bought": bought}

    def observe(self, state: dict[str, Float[Array, " agents"]]) -> dict[str, Array]:
        return {"share": state["owns"].mean(), "bought": state["bought"].mean()}
