"""Segregation: people of two kinds who move when too few of their neighbours are like them.

Schelling (1971, Journal of Mathematical Sociology 1:143), with jumps to empty cells at random, all at the same time,
and with tolerances common to all or drawn from a Beta law.

Facts it must reproduce (tests/zoo): people who are content with a third of their neighbours end among two thirds or
more who are like them, where half were so at the start; once everybody is content nobody moves again; with a common
tolerance a run does not change between two fractions that a neighbourhood can show (on a Moore neighbourhood none lies
between 1/3 and 3/8), and with tolerances that differ the mean tolerance is felt everywhere.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..core.activation import Activation, Acts
from ..core.domain import Domain, nonnegative, unit
from ..core.draw import Draw
from ..core.model import Model, Module, parameter
from ..interact.grid import Grid
from ..interact.look import Layer, Look
from ..interact.seats import Seats, order_of
from ..interact.topology import sampled
from .beta_law import beta_quantile

SLACK = 1e-3
"""Of a neighbour: what rounding may not decide."""


class Neighbours(eqx.Module):
    """What a person sees, (slots,) float32: how many neighbours there are, how many are like oneself, and the share
    that one wants.
    """

    all: Float[Array, " slots"]
    alike: Float[Array, " slots"]
    wanted: Float[Array, " slots"]


class Residents(eqx.Module):
    """One slot a cell: `present` says which slots have a person, `kind` 0 or 1, `moved` who left in the last step."""

    seats: Seats
    present: Float[Array, " slots"]
    kind: Float[Array, " slots"]
    seen: Neighbours
    moved: Float[Array, " slots"]


_Now = tuple[Residents, Float[Array, " cells"]]
"""People in the midst of a step, and what is on each cell (`_laid`)."""


class Free(NamedTuple):
    """The slots without a person, first places first, and how many they are."""

    slots: Int[Array, " slots"]
    total: Int[Array, ""]


class Schelling(Model):
    """People on a grid, one a cell. Who is not content jumps to an empty cell at random; all move at the same time,
    or as `activation` says (in turn: a cell that somebody leaves is open to whoever comes next).

    Rule of the house: leave if fewer than `wanted` of the neighbours are alike; who has no neighbours stays. To
    count neighbours instead of shares put another rule in its place: `pop.Replace("leave", FewerThan(3))`.

    Sites: `present`, `kind`, `settle`, `tolerance` in init; `leave`, `leave/unlike`, `to` in a step, at `turn/...`
    under an activation. With more who leave than there are empty cells, who goes is decided by lot.
    """

    town: Grid
    tolerance: Float[Array, ""] = parameter(
        default=0.35, domain=unit, doc="mean share of like neighbours that a person wants"
    )
    spread: Float[Array, ""] = parameter(
        default=0.0,
        domain=Domain(0.0, 1.0, high_open=True),
        doc="variance of tolerances over the largest that their mean allows; 0: one tolerance for all",
    )
    density: Float[Array, ""] = parameter(default=0.8, domain=unit, doc="share of cells with a person")
    minority: Float[Array, ""] = parameter(default=0.5, domain=unit, doc="share of people who are of the first kind")
    activation: Activation | None = None

    def init(self, draw: Draw) -> Residents:
        cells = self.town.size
        slot = jnp.arange(cells) + 0.5
        people = self.density * cells
        present = draw.threshold("present", people - slot)
        kind = draw.threshold("kind", self.minority * people - slot)
        seats = Seats.shuffled(draw, "settle", cells)
        wanted = beta_quantile(draw.uniform("tolerance", size=cells), self.tolerance, self.spread)
        return Residents(seats, present, kind, self._seen(seats, present, kind, wanted), jnp.zeros(cells))

    def step(self, draw: Draw, people: Residents) -> Residents:
        if self.activation is None:
            return self._move(draw, people, people.present)
        empty = people.present <= 0
        free = Free(order_of(empty, jnp.arange(self.town.size, dtype=jnp.int32)), empty.sum())
        acts = Acts(
            self.town.size,
            (lambda draw, now, who: (self._move(draw, now[0], who * now[0].present), now[1]),),
            lambda now: now[0].present,
            lambda draw, now, slot: self._move_one(draw, now, slot, free),
        )
        start = eqx.tree_at(lambda p: p.moved, people, jnp.zeros_like(people.moved))
        end, _ = self.activation.activate(draw, (start, _laid(people)), acts)
        seen = self._seen(end.seats, end.present, end.kind, end.seen.wanted)
        return eqx.tree_at(lambda p: p.seen, end, seen)

    def _move(self, draw: Draw, people: Residents, who: Float[Array, " slots"]) -> Residents:
        """After all of `who` have moved at once."""
        present, kind = people.present, people.kind
        leaves = draw.decide("leave", people.seen, leave_if_few_alike, where=who)
        seats = people.seats.jump(draw, "to", leaves, present)
        moved = jnp.where(who > 0, (seats.cell != people.seats.cell) * present, people.moved)
        return Residents(seats, present, kind, self._seen(seats, present, kind, people.seen.wanted), moved)

    def _move_one(self, draw: Draw, now: _Now, slot: Int[Array, ""], free: Free) -> _Now:
        """After one has moved, who exchanges cells with an empty slot at random."""
        people, kinds = now
        cell = people.seats.cell
        here, own = cell[slot], 2 - people.kind[slot]
        cells, inside = self.town.around(here)
        near = kinds[cells] * inside
        seen = ((near > 0).sum(), (near == own).sum(), people.seen.wanted[slot])
        asked = people.present[slot] * (free.total > 0)
        view = Neighbours(*(jnp.asarray(x, jnp.float32)[None] for x in seen))
        leaves = draw.decide("leave", view, leave_if_few_alike, where=asked[None])[0] > 0
        other = free.slots[sampled(draw.uniform("to", size=1)[0], free.total)]
        to = cell[other]
        # Both ends at once: of two updates, one after the other, XLA would make copies of all.
        ends, slots = jnp.stack([here, to]), jnp.stack([slot, other])
        kinds = kinds.at[ends].set(jnp.where(leaves, jnp.stack([0.0, own]), kinds[ends]))
        cell = cell.at[slots].set(jnp.where(leaves, ends[::-1], ends))
        moved = people.moved.at[slot].set(leaves.astype(jnp.float32))
        return eqx.tree_at(lambda p: (p.seats.cell, p.moved), people, (cell, moved)), kinds

    def observe(self, people: Residents) -> dict[str, Array]:
        share = people.seen.alike / jnp.maximum(people.seen.all, 1.0)
        met = people.present * (people.seen.all > 0)
        return {"alike": (met * share).sum() / jnp.maximum(met.sum(), 1.0), "moved": people.moved.sum()}

    def look(self, people: Residents) -> Look:
        return Look(self.town, (Layer("people", _laid(people), ("empty", "first kind", "second kind")),))

    def _seen(self, seats: Seats, present: Array, kind: Array, wanted: Array) -> Neighbours:
        """Two sums over neighbours, read at each person's cell."""
        of_first = self.town.sum(seats.lay(present * kind))
        everyone = self.town.sum(seats.lay(present))
        first, all_ = seats.read(of_first), seats.read(everyone)
        return Neighbours(all_, jnp.where(kind > 0, first, all_ - first), wanted)


def _laid(people: Residents) -> Float[Array, " cells"]:
    """What is on each cell: 0 nobody, 1 the first kind, 2 the second."""
    return people.seats.lay(people.present * (2 - people.kind))


def leave_if_few_alike(seen: Neighbours, draw: Draw) -> Float[Array, " slots"]:
    """1 for who has a smaller share of like neighbours than is wanted."""
    return draw.threshold("unlike", seen.wanted * seen.all - seen.alike - SLACK)


class FewerThan(Module):
    """The rule of people who want `count` like neighbours, however many neighbours there are."""

    count: Float[Array, ""] = parameter(domain=nonnegative, doc="like neighbours that a person wants")

    def __call__(self, seen: Neighbours, draw: Draw) -> Float[Array, " slots"]:
        return draw.threshold("unlike", self.count - SLACK - seen.alike)
