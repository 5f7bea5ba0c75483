"""Ledgers: what a model declares that no step changes, and the step at which it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._errors import ModelError
from .._results import Band, BandPanel, Code, Figure, Result, Section, Table, Verdict, cell
from .._types import Key, State
from ..core.draw import Draw
from ..core.model import Model
from ..core.plug import Plug
from ..core.simulate import begin, simulate

Ledgers: TypeAlias = Mapping[str, Callable[[State], Array]]
"""What is conserved: name to a function from a state to a number, or to what each agent holds, whose sum it is. The
same declaration as `Game(conserved=)`. A model says it in a method `conserved()`, which nothing else calls.
"""


@dataclass(frozen=True)
class LedgerAudit(Result):
    """Whether what is declared to be conserved is.

    `verdicts`: one a ledger, *ledger holds* or *breaks a ledger*; `broke`: name to the first step that changed it by
    more than it may, for those that broke; `totals`: name to the total at the start and after each step (steps + 1,),
    int64 where it is counted in whole numbers, float64 otherwise.
    """

    steps: int
    verdicts: tuple[Verdict, ...]
    broke: dict[str, int]
    totals: dict[str, np.ndarray]

    @property
    def holds(self) -> bool:
        """Whether all of them are conserved."""
        return not self.broke

    def sections(self) -> tuple[Section, ...]:
        rows = tuple(
            (name, cell(total[0]), cell(total[-1]), cell(np.abs(np.diff(total)).max()), self.broke.get(name))
            for name, total in self.totals.items()
        )
        columns = ("ledger", "at the start", "at the end", "largest change in a step", "first broken at step")
        table = Table(f"Ledgers over {self.steps} steps", columns, rows)
        figures = tuple(self._figure(name) for name in self.broke)
        return (Section("What is conserved", verdicts=self.verdicts, figures=figures, tables=(table,)),)

    def record(self) -> dict[str, Any]:
        totals = {name: [cell(x) for x in total] for name, total in self.totals.items()}
        verdicts = {verdict.subject: verdict.record() for verdict in self.verdicts}
        return {"steps": self.steps, "verdicts": verdicts, "broke": self.broke, "totals": totals}

    def _figure(self, name: str) -> Figure:
        band = Band(name, np.arange(self.steps + 1), self.totals[name].astype(np.float64), {}, "one run")
        return Figure(f"ledger-{name}", f"'{name}' over time.", (BandPanel(name, "step", "", (band,)),))


def audit_ledgers(
    model: Model,
    key: Key,
    steps: int,
    *,
    conserved: Ledgers | None = None,
    plugs: tuple[Plug, ...] = (),
    tolerance: float = 1e-5,
) -> LedgerAudit:
    """Run a model and find the first step that makes or destroys what is declared to be conserved.

    What is counted in whole numbers must not change at all; what each holds is summed in 64 bits, so that an account
    that passes 2^31 and turns over is found. Floating numbers may change in a step by `tolerance` of their size, and
    over the run by that times the root of its steps, as rounding does; where the total is about 0, take a ledger that
    is not.

    **Arguments:** `conserved`: what is conserved; None: what `model.conserved()` says; `plugs`: as of `simulate`, since
    a policy or a measure can break what the rules keep.

    **Raises:** `ModelError` if nothing is declared; what `simulate` raises.
    """
    declared = conserved if conserved is not None else _declared(model)
    if not declared:
        raise ModelError(
            f"{type(model).__name__} declares nothing that is conserved: give it a method conserved() that returns "
            "{'money': lambda state: state.money}, or say conserved= here"
        )
    watched = _Totals(model, dict(declared))
    first = watched.observe(begin(watched, key, plugs).state)
    run = simulate(watched, key, steps, plugs=plugs)
    totals = {name: _summed(first[name], run.observations[name]) for name in declared}
    found = {name: _first_break(total, tolerance) for name, total in totals.items()}
    verdicts = tuple(_verdict(name, totals[name], found[name], steps) for name in declared)
    return LedgerAudit(steps, verdicts, {name: at for name, at in found.items() if at is not None}, totals)


def _declared(model: Model) -> Ledgers:
    says: Callable[[], Ledgers] | None = getattr(model, "conserved", None)
    return {} if says is None else says()


class _Totals(Model):
    """The model, observed at what it is to conserve."""

    model: Model
    ledgers: dict[str, Callable[[State], Array]]

    def init(self, draw: Draw) -> State:
        return self.model.init(draw)

    def step(self, draw: Draw, state: State) -> State:
        return self.model.step(draw, state)

    def observe(self, state: State) -> dict[str, Array]:
        return {name: jnp.asarray(ledger(state)) for name, ledger in self.ledgers.items()}


def _summed(first: Array, rest: Array) -> np.ndarray:
    """The total at the start and after each step, (steps + 1,)."""
    held = np.concatenate([np.asarray(jax.device_get(first))[None], np.asarray(jax.device_get(rest))])
    wide = np.float64 if np.issubdtype(held.dtype, np.floating) else np.int64
    return held.reshape(len(held), -1).astype(wide).sum(axis=1)


def _first_break(total: np.ndarray, tolerance: float) -> int | None:
    """The first step that changes a total, or takes it away from the start, by more than it may."""
    if np.issubdtype(total.dtype, np.integer):
        wrong = np.diff(total) != 0
    else:
        size = tolerance * np.maximum(np.abs(total[:-1]), 1e-6)
        far = tolerance * max(abs(total[0]), 1e-6) * np.sqrt(np.arange(1, len(total)))
        with np.errstate(invalid="ignore"):
            kept = (np.abs(np.diff(total)) <= size) & (np.abs(total[1:] - total[0]) <= far)
        wrong = ~kept
    return int(np.argmax(wrong)) + 1 if wrong.any() else None


def _verdict(name: str, total: np.ndarray, at: int | None, steps: int) -> Verdict:
    subject, exact = f"ledger '{name}'", np.issubdtype(total.dtype, np.integer)
    if at is None:
        drift = float(np.abs(total - total[0]).max())
        said = "to the last unit" if exact else f"to {drift / max(abs(float(total[0])), 1e-6):.1g} of its size"
        numbers = {"total": float(total[0]), "drift": drift}
        return Verdict(subject, Code.LEDGER_HOLDS, f"'{name}' is conserved {said} over {steps} steps.", numbers)
    before, after = float(total[at - 1]), float(total[at])
    change = f"{before:.9g} to {after:.9g}"
    sentence = f"'{name}' is declared to be conserved, and step {at} is the first that changes it: {change}."
    return Verdict(subject, Code.BREAKS_LEDGER, sentence, {"step": float(at), "before": before, "after": after})
