"""Firms that buy from each other, hold stocks of what they buy, and hand a shock on when these run out.

An input-output model with inventories after Hallegatte (2008, Risk Analysis 28:779) on a network of firms, as in
Henriet, Hallegatte and Tabourier (2012, Journal of Economic Dynamics and Control 36:150) and Inoue and Todo (2019,
Nature Sustainability 2:841). A firm b makes x_b a day in equilibrium and takes a_e of each supplier's good for a unit
of its own; x solves x = (what others take) + f. Each day, with S_e the stock that b holds of the good of edge e and n_b
its target in days:

    demand of i     f_i N / 100, N Poisson of mean 100: final customers come one by one
    order on e      a_e p_b + (n_b a_e x_b - S_e) / tau,  0 at the least,  p_b: what b made the day before
    limit by e      min(x_b S_e / (psi n_b a_e x_b), S_e / a_e): stocks are eked out once below psi of the target
    production      p_b = min(capacity, all that was ordered of b, the limits of all its inputs)
    delivery on e   in proportion to orders, and S_e gains it and loses a_e p_b

Capacity is 1.25 x times the share of a firm's machines that work. A shock breaks some; each is repaired with the firm's
own probability a day.

Facts it must reproduce (tests/zoo): without a shock everybody makes x, but for the customers' noise; deliveries never
exceed production, and stocks are never negative; a shock is felt by firms that it did not hit, by their customers and
their suppliers; larger stocks lessen what is lost.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._types import Key
from ..core.domain import nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..core.noise import host_generator

CUSTOMERS = 100.0
"""Final customers of a firm a day, on average."""
SLACK = 1.25
"""What a firm can make with all its machines, over what it makes in equilibrium."""


class Economy(eqx.Module):
    """`stock` (edges,): of each input; `made` (firms,): the last production; `broken` (firms,): machines that stand."""

    stock: Float[Array, " edges"]
    made: Float[Array, " firms"]
    broken: Float[Array, " firms"]


class SupplyChain(Model):
    """Built by `supply_chain`. Sites: `customers`, `repaired`. Observed: `production` of each firm over its output in
    equilibrium, and `value`, all that is made over what is made in equilibrium.

    Edges are sorted by buyer. `need` is a_e, `output` is x, `final` is f, `hit` how many machines the shock breaks.
    """

    suppliers: Int[Array, " edges"]
    buyers: Int[Array, " edges"]
    need: Float[Array, " edges"]
    output: Float[Array, " firms"]
    final: Float[Array, " firms"]
    hit: Float[Array, " firms"]
    machines: int = eqx.field(static=True)
    stocks: Float[Array, " firms"] = parameter(unit="day", domain=positive, doc="inventories that a firm aims at")
    repair: Float[Array, " firms"] = parameter(unit="1/day", domain=unit, doc="probability that a machine is repaired")
    tau: Float[Array, ""] = parameter(
        default=6.0, unit="day", domain=positive, doc="time to make up for a gap in stocks"
    )
    psi: Float[Array, ""] = parameter(default=0.8, domain=nonnegative, doc="share of the target that is eked out")

    def init(self, draw: Draw) -> Economy:
        return Economy(self._target(), self.output, self.hit)

    def step(self, draw: Draw, economy: Economy) -> Economy:
        firms = self.output.size
        bought = draw.poisson("customers", jnp.full(firms, CUSTOMERS)) / CUSTOMERS * self.final
        orders = self.need * economy.made[self.buyers] + (self._target() - economy.stock) / self.tau
        orders = jnp.maximum(orders, 0.0)
        asked = jax.ops.segment_sum(orders, self.suppliers, firms) + bought
        made = self._made(economy, asked)
        share = made / jnp.maximum(asked, 1e-6)
        used = self.need * made[self.buyers]
        stock = jnp.maximum(economy.stock + orders * share[self.suppliers] - used, 0.0)
        mended = draw.binomial("repaired", economy.broken, self.repair)
        return Economy(stock, made, economy.broken - mended)

    def observe(self, economy: Economy) -> dict[str, Array]:
        return {"production": economy.made / self.output, "value": economy.made.sum() / self.output.sum()}

    def _target(self) -> Float[Array, " edges"]:
        return self.stocks[self.buyers] * self.need * self.output[self.buyers]

    def _made(self, economy: Economy, asked: Float[Array, " firms"]) -> Float[Array, " firms"]:
        usual = self.output[self.buyers]
        eked = usual * economy.stock / jnp.maximum(self.psi * self._target(), 1e-6)
        limits = jnp.minimum(eked, economy.stock / self.need)
        by_inputs = jax.ops.segment_min(limits, self.buyers, self.output.size, indices_are_sorted=True)
        capacity = SLACK * self.output * (self.machines - economy.broken) / self.machines
        return jnp.minimum(jnp.minimum(capacity, asked), by_inputs)


def supply_chain(
    key: Key,
    firms: int,
    *,
    suppliers: int = 4,
    inputs: float = 0.5,
    machines: int = 10,
    struck: float = 0.1,
    stocks: Float[Array, " firms"] | float = 6.0,
    repair: Float[Array, " firms"] | float = 0.1,
) -> SupplyChain:
    """A random economy: each firm has so many suppliers among the others, drawn from `key`.

    **Arguments:** `inputs`: what a firm buys for a unit of output, in all; `struck`: share of firms that a shock hits,
    of whose machines it breaks between half and all; `stocks`, `repair`: a number for all firms, or (firms,).
    """
    rng = host_generator(key)
    others = np.stack([rng.choice(firms - 1, suppliers, replace=False) for _ in range(firms)])
    senders = (others + (others >= np.arange(firms)[:, None])).reshape(-1)
    buyers = np.repeat(np.arange(firms), suppliers)
    need = rng.dirichlet(np.full(suppliers, 3.0), size=firms).reshape(-1) * inputs
    final = rng.uniform(0.5, 1.5, firms)
    output = final.copy()
    for _ in range(200):  # x = A x + f, a contraction, as each firm buys less than it makes
        output = final + np.bincount(senders, need * output[buyers], firms)
    hits = (rng.random(firms) < struck) * np.ceil(machines * rng.uniform(0.5, 1.0, firms))
    return SupplyChain(
        suppliers=jnp.asarray(senders, jnp.int32),
        buyers=jnp.asarray(buyers, jnp.int32),
        need=jnp.asarray(need, jnp.float32),
        output=jnp.asarray(output, jnp.float32),
        final=jnp.asarray(final, jnp.float32),
        hit=jnp.asarray(hits, jnp.float32),
        machines=machines,
        stocks=jnp.broadcast_to(jnp.asarray(stocks, jnp.float32), (firms,)),
        repair=jnp.broadcast_to(jnp.asarray(repair, jnp.float32), (firms,)),
    )
