"""The list of a model's sites, and what no gradient passes downstream of each."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._results import Result, Section, Table
from .distributions import Decision
from .flow import Flow, Loss, join, mark, mark_mask, settle, walk
from .model import Model, settled
from .plug import Plug, Proceed
from .simulate import first_state, next_state
from .site import Frame, Listed, Site

_SHOWN = 4


@dataclass(frozen=True)
class SiteRow:
    """One site: `phase` "init" or "step"; its `path`, `kind` and the population's `shape`; how often it is drawn a
    step (`repeats`); whether a gradient `passes` from it to an observation, now or at a later step; and where it is
    `lost`, wholly or in part: what is done there, with the line of the model.
    """

    phase: str
    path: str
    kind: str
    shape: tuple[int, ...]
    repeats: int
    passes: bool
    lost: tuple[str, ...]

    @property
    def gradient(self) -> str:
        """The finding in words."""
        more = len(self.lost) - _SHOWN
        places = ", ".join(self.lost[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        if self.passes:
            return f"partly lost at: {places}" if places else "passes"
        return f"no gradient passes: {places or 'no observation depends on it'}"


@dataclass(frozen=True)
class Sites(Result):
    """A model's sites in the order in which they are drawn: `rows`, one a site."""

    model: str
    rows: tuple[SiteRow, ...]

    def __str__(self) -> str:
        table = self._table()
        lines = [table.columns, *(tuple(map(str, row)) for row in table.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(table.columns))]
        shown = ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([f"Sites of {self.model}", *(f"  {line}".rstrip() for line in shown)])

    def __getitem__(self, path: str) -> SiteRow:
        """The row of a path, the step's where `init` has one of that name too."""
        return {row.path: row for row in self.rows}[path]

    def sections(self) -> tuple[Section, ...]:
        return (Section(f"Sites of {self.model}", tables=(self._table(),)),)

    def record(self) -> dict[str, Any]:
        rows = [dataclasses.asdict(row) | {"gradient": row.gradient} for row in self.rows]
        return {
            "model": self.model,
            "sites": [{**row, "shape": list(row["shape"]), "lost": list(row["lost"])} for row in rows],
        }

    def _table(self) -> Table:
        columns = ("when", "site", "kind", "population", "draws a step", "gradient")
        rows = tuple(
            (row.phase, row.path, row.kind, " x ".join(map(str, row.shape)) or "one", row.repeats, row.gradient)
            for row in self.rows
        )
        return Table("Sites", columns, rows, note="The gradient goes from a site's value to the observations.")


class _Marking(Plug):
    """Marks what each site is given and what it gives, for the walk."""

    phase: str = eqx.field(static=True)

    def sites(self) -> tuple[str, ...]:
        return ()

    def around(self, site: Site, proceed: Proceed) -> Any:
        name = f"{self.phase}:{site.path}"
        if site.where is not None:
            site = dataclasses.replace(site, where=mark_mask(site.where, name))
        causes = [] if isinstance(site.mechanism, Decision) else jax.tree.leaves(site.mechanism)
        return jax.tree.map(lambda leaf: mark(leaf, causes, name), proceed(site))


def sites(model: Model) -> Sites:
    """Every site of a model in call order, and what no gradient passes downstream of it.

    The model is traced, not run. From each site's value the trace is followed through the step, later steps and
    `observe`, on the understanding that every site passes a gradient from its parameters to its value (a relaxation
    sees to that). Comparisons, integer casts, argmax, the order of a sort, floor, `stop_gradient` and the like, and
    integers used as indices, end it: a total loss means a gradient of exactly 0, whatever the relaxation. A draw's
    own mask is not counted as a loss where a gradient passes elsewhere.

    **Raises:** `SiteError` and `StateError`, as running it would.
    """
    model = settled(model)
    arrays, static = eqx.partition(model, eqx.is_array)
    listed: dict[str, dict[str, Listed]] = {}

    def at_first(arrays: Any, key: Any) -> Any:
        frame = Frame()
        state = first_state(eqx.combine(arrays, static), key, (_Marking("init"),), frame)
        listed["init"] = frame.listed
        return state

    def at_step(arrays: Any, key: Any, time: Any, state: Any) -> Any:
        frame, whole = Frame(), eqx.combine(arrays, static)
        after = next_state(whole, key, time, state, (_Marking("step"),), frame)
        listed["step"] = frame.listed
        return after, whole.observe(after)

    key, time = jr.key(0), jnp.int32(1)
    start, state = jax.make_jaxpr(at_first, return_shape=True)(arrays, key)
    step = jax.make_jaxpr(at_step)(arrays, key, time, state)
    seen = _follow(start.jaxpr, step.jaxpr, len(jax.tree.leaves(state)))
    rows = [_row(phase, row, seen) for phase in ("init", "step") for row in listed[phase].values()]
    return Sites(type(model).__name__, tuple(rows))


def _follow(start: Any, step: Any, leaves: int) -> Flow:
    """What the observations of all steps together depend on; with no observation, the state."""
    others = [Flow()] * (len(step.invars) - leaves)
    state = settle(
        lambda state: walk(step, others + state)[:leaves],
        walk(start, [Flow()] * len(start.invars)),
    )
    out = walk(step, others + state)
    seen = join(out[leaves:] or out)
    kept = frozenset((site, Loss("", "integer state")) for flow in out[:leaves] for site in flow.whole)
    integers = frozenset((site, Loss("", "integer observation")) for flow in out[leaves:] for site in flow.whole)
    return Flow(seen.smooth, seen.whole, seen.lost | kept | integers)


def _row(phase: str, listed: Listed, seen: Flow) -> SiteRow:
    name = f"{phase}:{listed.path}"
    losses = sorted({loss for site, loss in seen.lost if site == name}, key=Loss.order)
    passes = name in seen.smooth
    of_user = [loss for loss in losses if not loss.ours]
    shown = of_user if of_user or passes else losses
    return SiteRow(
        phase, listed.path, listed.kind, listed.shape, listed.repeats, passes, tuple(dict.fromkeys(map(str, shown)))
    )
