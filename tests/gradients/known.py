"""Models whose expected losses are known exactly, and their derivatives."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import stats

import populace as pop

AT = {"coin": 0.3, "share": 0.6, "rate": 1.7, "stop": 0.4, "logits": [0.5, -0.5, 0.0]}
VALUES = np.array([1.0, 4.0, 9.0])


class Seen(eqx.Module):
    total: Float[Array, ""]


class EveryKind(pop.Model):
    """One draw of every discrete kind and of a continuous one, seen through squares."""

    coin: Float[Array, ""] = pop.parameter(domain=pop.unit)
    share: Float[Array, ""] = pop.parameter(domain=pop.unit)
    rate: Float[Array, ""] = pop.parameter(domain=pop.positive)
    stop: Float[Array, ""] = pop.parameter(domain=pop.unit)
    logits: Float[Array, " three"] = pop.parameter()

    def init(self, draw: pop.Draw) -> Seen:
        return Seen(jnp.float32(0))

    def step(self, draw: pop.Draw, state: Seen) -> Seen:
        coins = draw.bernoulli("coin", self.coin, size=2).sum()
        counts = draw.child("counts")
        binomial = counts.binomial("binomial", 4.0, self.share, size=()) ** 2
        poisson = counts.poisson("poisson", self.rate, size=()) ** 2
        geometric = counts.geometric("geometric", self.stop, size=()) ** 2
        chosen = draw.child("choice").categorical("which", self.logits, size=()).take(jnp.asarray(VALUES, jnp.float32))
        return Seen(state.total + coins**2 + (binomial + poisson + geometric + chosen))

    def observe(self, state: Seen) -> dict[str, Array]:
        return {"total": state.total}


def every_kind(at: dict[str, np.ndarray]) -> float:
    """E of the total after one step."""
    p, q, rate, stop = (float(at[name]) for name in ("coin", "share", "rate", "stop"))
    k = np.arange(200)
    counted = sum(
        float((law.pmf(k) * k**2).sum()) for law in (stats.binom(4, q), stats.poisson(rate), stats.geom(stop))
    )
    shares = np.exp(at["logits"]) / np.exp(at["logits"]).sum()
    return 2 * p + 2 * p**2 + counted + float(shares @ VALUES)


class Walk(pop.Model):
    """Steps of +1 with probability exp(-x / p), else -1, reflected at 0: chance that feeds back on itself."""

    p: Float[Array, ""] = pop.parameter(domain=pop.positive)

    def init(self, draw: pop.Draw) -> Seen:
        return Seen(jnp.float32(0))

    def step(self, draw: pop.Draw, state: Seen) -> Seen:
        up = draw.bernoulli("up", jnp.exp(-state.total / self.p), size=())
        return Seen(jnp.abs(state.total + 2.0 * up - 1.0))

    def observe(self, state: Seen) -> dict[str, Array]:
        return {"total": state.total}


def walk(p: float, steps: int) -> float:
    """E of the sum of squares of all positions, by the chain's law."""
    law = np.zeros(steps + 2)
    law[0] = 1.0
    total = 0.0
    x = np.arange(steps + 2)
    for _ in range(steps):
        up = np.exp(-x / p)
        after = np.zeros_like(law)
        after[1:] += (law * up)[:-1]
        np.add.at(after, np.abs(x - 1), law * (1 - up))
        law = after
        total += float((law * x**2).sum())
    return total


class Outbreak(pop.Model):
    """A well-mixed SIR of a few people, and continuous noise that a parameter scales."""

    people: int = eqx.field(static=True)
    beta: Float[Array, ""] = pop.parameter(domain=pop.positive)
    gamma: Float[Array, ""] = pop.parameter(domain=pop.unit)
    noise: Float[Array, ""] = pop.parameter(domain=pop.positive)

    def init(self, draw: pop.Draw) -> tuple[Array, Array, Array]:
        ill = draw.bernoulli("seed", 0.4, size=self.people)
        return ill, 0 * ill, jnp.float32(0)

    def step(self, draw: pop.Draw, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        ill, well, level = state
        p = -jnp.expm1(-self.beta * ill.sum() / self.people)
        caught = draw.bernoulli("infect", p, where=1 - ill - well)
        healed = draw.bernoulli("recover", self.gamma, where=ill)
        level = level + draw.child("air").normal("noise", 0.0, self.noise, size=())
        return ill + caught - healed, well + healed, level

    def observe(self, state: tuple[Array, Array, Array]) -> dict[str, Array]:
        return {"ill": state[0].sum(), "level": state[2]}


def outbreak(beta: float, gamma: float, noise: float, people: int, steps: int) -> float:
    """E of the sum over steps of ill^2 + level^2, by matrix powers over (ill, well)."""
    law = np.zeros((people + 1, people + 1))
    for seeds in range(people + 1):
        law[seeds, 0] = stats.binom.pmf(seeds, people, 0.4)
    total = 0.0
    for step in range(1, steps + 1):
        after = np.zeros_like(law)
        for ill in range(people + 1):
            for well in range(people + 1 - ill):
                if law[ill, well] == 0:
                    continue
                free = people - ill - well
                caught = stats.binom.pmf(np.arange(free + 1), free, -np.expm1(-beta * ill / people))
                healed = stats.binom.pmf(np.arange(ill + 1), ill, gamma)
                for c in range(free + 1):
                    for h in range(ill + 1):
                        after[ill + c - h, well + h] += law[ill, well] * caught[c] * healed[h]
        law = after
        total += float((law.sum(1) * np.arange(people + 1) ** 2).sum()) + step * noise**2
    return total
