"""Who descends from whom: what a register of births says after the run."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._errors import CapacityError, ModelError
from .._results import BarPanel, Figure, Result, Section, Table, cell
from .pedigree import UNKNOWN, Register

_BARS = 40
_KIN = 5_000
"""Relatives of whom kinship is worked out, at the most: a matrix of so many rows takes 200 MB."""


@dataclass(frozen=True)
class Pedigree(Result):
    """All who were ever born, in the order of their births: parents come before children.

    `identity`, `mother`, `father`, `birthday` (entries,): identities, -1 for a parent that is not known, and steps.
    Methods take identities and hand them back; they raise `ModelError` for one that was never born.
    """

    identity: np.ndarray
    mother: np.ndarray
    father: np.ndarray
    birthday: np.ndarray

    def lineage(self, identity: int) -> np.ndarray:
        """An agent and its mothers, up to a founder."""
        line = [self._row(identity)]
        while (row := int(self._parents[line[-1], 0])) != UNKNOWN:
            line.append(row)
        return self.identity[line]

    def ancestors(self, identity: int) -> np.ndarray:
        """All of whom an agent descends, by both parents, in the order of their births."""
        found: set[int] = set()
        waiting = [self._row(identity)]
        while waiting:
            parents = {int(row) for row in self._parents[waiting.pop()] if row != UNKNOWN} - found
            found |= parents
            waiting += parents
        return self.identity[sorted(found)]

    def descendants(self, identity: int) -> np.ndarray:
        """All who descend from an agent, in the order of their births."""
        first = self._row(identity)
        marked = np.zeros(len(self.identity) + 1, bool)  # the last entry stands for a parent that is not known
        marked[first] = True
        for row in range(first + 1, len(self.identity)):
            marked[row] = marked[self._parents[row]].any()
        return self.identity[first + 1 :][marked[first + 1 : -1]]

    def common_ancestor(self, identities: Iterable[int]) -> int | None:
        """The latest born of whom all descend, or who is one of them; None where their lines do not meet."""
        met = self._met(identities)
        return None if met is None else int(self.identity[met[0]])

    def coalescence(self, identities: Iterable[int]) -> int | None:
        """The step at which the lines of all meet, going back: the birth by which the last of them joins the common
        ancestor's, who may be older. The birthday of the agent itself for a single one; None where they do not meet.
        """
        met = self._met(identities)
        return None if met is None else int(self.birthday[met[1]])

    def _met(self, identities: Iterable[int]) -> tuple[int, int] | None:
        """The row of the common ancestor, and that of its child, or of itself, by whom the last line joins.

        Lines are followed back one birth at a time, the latest first: parents are born before children, so that the
        first at whom all lines have arrived is the latest.
        """
        rows = sorted({self._row(one) for one in identities})
        if not rows:
            raise ModelError("the common ancestor of nobody: give one identity or more")
        whose = {row: 1 << place for place, row in enumerate(rows)}
        joined = dict.fromkeys(rows, rows[-1])
        heap = [-row for row in rows]
        heapq.heapify(heap)
        while heap:
            row = -heapq.heappop(heap)
            lines = whose.pop(row)
            if lines == (1 << len(rows)) - 1:
                return row, joined[row]
            for parent in {int(p) for p in self._parents[row] if p != UNKNOWN}:
                if parent not in whose:
                    heapq.heappush(heap, -parent)
                if whose.get(parent, 0) | lines != whose.get(parent, 0):
                    joined[parent] = row
                whose[parent] = whose.get(parent, 0) | lines
        return None

    def generation_length(self) -> float:
        """The mean age, in steps, of parents at births; NaN where no parent is known."""
        child, which = np.nonzero(self._parents != UNKNOWN)
        if not child.size:
            return float("nan")
        return float((self.birthday[child] - self.birthday[self._parents[child, which]]).mean())

    def kinship(self, identities: Sequence[int]) -> np.ndarray:
        """The probability that a gene of one and the gene at that place of another are copies of one of a founder's,
        (agents, agents) float64; with oneself (1 + F) / 2. Parents that are not known are taken to be unrelated.

        The tabular method (Emik and Terrill 1949, Journal of Heredity 40:51): in the order of births, the kinship of a
        child with anybody born before is the mean of its parents'.

        **Raises:** `ModelError` for more than 5,000 relatives.
        """
        rows = [self._row(one) for one in identities]
        kin = sorted({*rows, *self._rows_above(rows)})
        if len(kin) > _KIN:
            raise ModelError(f"kinship of {len(kin)} relatives: ask of agents with {_KIN} ancestors at the most")
        place = {row: k for k, row in enumerate(kin)} | {UNKNOWN: len(kin)}
        phi = np.zeros((len(kin) + 1, len(kin) + 1))
        for k, row in enumerate(kin):
            mother, father = (place[int(parent)] for parent in self._parents[row])
            phi[k, :k] = phi[:k, k] = (phi[mother, :k] + phi[father, :k]) / 2.0
            phi[k, k] = (1.0 + phi[mother, father]) / 2.0
        chosen = [place[row] for row in rows]
        return phi[np.ix_(chosen, chosen)]

    def inbreeding(self, identities: Sequence[int]) -> np.ndarray:
        """The kinship of each agent's parents, (agents,): Wright's coefficient F."""
        return 2.0 * np.diag(self.kinship(identities)) - 1.0

    def sections(self) -> tuple[Section, ...]:
        depth = self._depth
        rows = (
            ("born, with founders", len(self.identity)),
            ("founders", int((self._parents == UNKNOWN).all(1).sum())),
            ("most generations since a founder, by mothers", int(depth.max(initial=0))),
            ("generation length, steps", cell(self.generation_length())),
        )
        return (Section("Pedigree", figures=self._births(), tables=(Table("Who was born", ("what", "number"), rows),)),)

    def record(self) -> dict[str, Any]:
        columns = {name: getattr(self, name).tolist() for name in ("identity", "mother", "father", "birthday")}
        return {**columns, "generation_length": cell(self.generation_length())}

    def _births(self) -> tuple[Figure, ...]:
        """How many were born when; founders aside."""
        born = self.birthday[self.birthday > 0]
        if not born.size:
            return ()
        last = int(born.max())
        width = -(-last // _BARS)
        edges = np.arange(0.5, last + width + 0.5, width)
        counts = np.histogram(born, edges)[0]
        steps = "births in a step" if width == 1 else f"births in {width} steps"
        panel = BarPanel("Births", "step", steps, edges, counts, top=1.05 * float(counts.max()))
        return (Figure("births", "How many were born when, founders aside.", (panel,)),)

    @cached_property
    def _rows(self) -> dict[int, int]:
        return {int(identity): row for row, identity in enumerate(self.identity)}

    @cached_property
    def _parents(self) -> np.ndarray:
        """The rows of mother and father, (entries, 2)."""
        rows = {**self._rows, UNKNOWN: UNKNOWN}
        pairs = np.stack([self.mother, self.father], axis=1)
        return np.array([[rows[int(one)] for one in pair] for pair in pairs], np.int64).reshape(-1, 2)

    @property
    def _depth(self) -> np.ndarray:
        """Generations since a founder, by mothers, (entries,)."""
        depth = np.zeros(len(self.identity), np.int64)
        for row, mother in enumerate(self._parents[:, 0]):
            depth[row] = 0 if mother == UNKNOWN else depth[mother] + 1
        return depth

    def _row(self, identity: int) -> int:
        row = self._rows.get(int(identity))
        if row is None:
            raise ModelError(f"nobody with identity {identity} was registered; there are {len(self.identity)}")
        return row

    def _rows_above(self, rows: Iterable[int]) -> set[int]:
        return {self._rows[int(one)] for row in set(rows) for one in self.ancestors(int(self.identity[row]))}


def pedigree(register: Register) -> Pedigree:
    """The pedigree of a register, as it stands in the state of a run: `pop.pedigree(run.final.state.register)`.

    **Raises:** `CapacityError` if births found no room; `ModelError` if a parent was never registered.
    """
    count, capacity = int(register.needed), register.capacity
    if count > capacity:
        raise CapacityError(f"{count} births were to be registered: give the register capacity={count}")
    columns = [np.asarray(column)[:count] for column in (register.identity, register.mother, register.father)]
    identity, mother, father = columns
    unseen = np.setdiff1d(np.concatenate([mother, father]), [UNKNOWN, *identity])
    if unseen.size:
        raise ModelError(
            f"{unseen.size} parents were never registered (the first: {unseen[0]}): call pop.registered after each "
            "pop.births"
        )
    return Pedigree(identity, mother, father, np.asarray(register.birthday)[:count])
