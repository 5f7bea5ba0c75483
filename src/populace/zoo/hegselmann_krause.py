"""Bounded confidence: people who take the mean of all opinions near their own, and end in few camps.

Hegselmann and Krause (2002, Journal of Artificial Societies and Social Simulation 5(3):2). An opinion is a number from
0 to 1; all at once take the mean of the opinions that are no further than epsilon from their own, which is one of them.

Opinions are whole multiples of 2^-24, and so are means, rounded: sums are exact, and what the paper proves holds to the
last bit. Agents are sorted and means read off cumulative sums, in a time of N log N.

Facts it must reproduce (tests/zoo): the order of opinions stays; after finitely many steps nothing moves, and
opinions are equal or further apart than epsilon; the range of opinions never grows; with epsilon = 1 all agree on the
mean after a step; from even opinions about 1 / (2 epsilon) camps are left, and one above about .25; the mean is
kept where all see alike, and roughly from even opinions.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.domain import unit
from ..core.draw import Draw
from ..core.model import Model, parameter

TICKS = 2**24
"""In so many parts opinions from 0 to 1 are divided."""
_HALF = 2**12
_MOST = 2**17


class Opinions(eqx.Module):
    """What an agent forms an opinion from, (agents,) float32: its own, and the mean of those near it."""

    own: Float[Array, " agents"]
    near: Float[Array, " agents"]


class HegselmannKrause(Model):
    """Sites: `opinion` in init; `form` in a step, where a rival rule (stubborn people, say) may stand.

    Observed: `clusters`, groups of opinions with gaps above epsilon between them; `mean` and `range` of opinions;
    `moved`, the largest way that an opinion went in the step.
    """

    agents: int = eqx.field(static=True, default=1000)
    epsilon: Float[Array, ""] = parameter(default=0.1, domain=unit, doc="how far an opinion may be to be heard")

    def __check_init__(self) -> None:
        if not 1 <= self.agents <= _MOST:
            raise ModelError(f"opinions are summed exactly for 1 to {_MOST} agents, not {self.agents}")

    def init(self, draw: Draw) -> dict[str, Array]:
        opinion = _counted(draw.uniform("opinion", size=self.agents)).astype(jnp.float32) / TICKS
        return {"opinion": opinion, "moved": jnp.float32(0.0)}

    def step(self, draw: Draw, state: dict[str, Array]) -> dict[str, Array]:
        own = state["opinion"]
        formed = draw.decide("form", Opinions(own, near_mean(own, self.epsilon)), take_the_mean)
        return {"opinion": formed, "moved": jnp.abs(formed - own).max()}

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        opinion = state["opinion"]
        ordered = jnp.sort(_counted(opinion))
        gaps = ordered[1:] - ordered[:-1] > _counted(self.epsilon)
        clusters, range_ = gaps.sum() + 1, (ordered[-1] - ordered[0]).astype(jnp.float32) / TICKS
        return {"clusters": clusters, "mean": opinion.mean(), "range": range_, "moved": state["moved"]}


def take_the_mean(opinions: Opinions, draw: Draw) -> Float[Array, " agents"]:
    """The mean of the opinions near one's own."""
    return opinions.near


def near_mean(opinion: Float[Array, " agents"], epsilon: Float[Array, ""]) -> Float[Array, " agents"]:
    """For each agent the mean of all opinions within epsilon of its own, to the nearest tick.

    Of a sorted row of ticks an agent hears those in places `low` to `high`. A sum of ticks is kept in two int32, of
    multiples of 2^12 and of the rest, and divided as one divides by hand.
    """
    order = jnp.argsort(opinion)
    ticks, reach = _counted(opinion)[order], _counted(epsilon)
    low, high = jnp.searchsorted(ticks, ticks - reach), jnp.searchsorted(ticks, ticks + reach, side="right")
    count = (high - low).astype(jnp.int32)
    upper, lower = (_between(part, low, high) for part in (ticks // _HALF, ticks % _HALF))
    mean = upper // count * _HALF + (upper % count * _HALF + lower + count // 2) // count
    return jnp.zeros_like(opinion).at[order].set(mean.astype(jnp.float32) / TICKS)


def _counted(share: Float[Array, "..."]) -> Int[Array, "..."]:
    """Numbers from 0 to 1 in ticks."""
    return jnp.round(share * TICKS).astype(jnp.int32)


def _between(part: Int[Array, " agents"], low: Array, high: Array) -> Int[Array, " agents"]:
    """The sums of the places from `low` up to, and without, `high`."""
    total = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(part)])
    return total[high] - total[low]
