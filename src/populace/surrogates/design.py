"""A design: where a simulator is run to learn what it does everywhere."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._errors import SpaceError
from .._results import Figure, Result, ScatterPanel, Section
from .._types import Key, Parameters
from ..problem.space import Space
from .samplers import Allowed, Sampler, Sobol

_PATIENCE = 1000
"""How many points of a sequence may be tried for each that is wanted, before a constraint is called empty."""
_SHOWN = 3


@dataclass(frozen=True)
class Design(Result):
    """Points of a space, and the sequence that they begin.

    `unit` (n, d) float64: the points on the priors' probability scale; `sampler`, `key`: the sequence; `taken`: how
    many of its points were looked at; `allowed`: the constraint, or None; `added`: how many points are not of the
    sequence.
    """

    space: Space
    unit: np.ndarray
    sampler: Sampler
    key: Key
    taken: int
    allowed: Allowed | None = None
    added: int = 0

    @property
    def size(self) -> int:
        """How many points, n."""
        return self.unit.shape[0]

    @property
    def parameters(self) -> dict[str, Any]:
        """The points as a batch: name to (n, ...)."""
        return self.space.from_unit(self.unit)

    def extended(self, count: int) -> "Design":
        """`count` further points of the same sequence behind those that are there.

        **Raises:** `SpaceError` where the constraint leaves next to nothing.
        """
        fresh, taken = _drawn(self, count)
        return replace(self, unit=np.concatenate([self.unit, fresh]), taken=taken)

    def with_points(self, points: Parameters) -> "Design":
        """Points chosen elsewhere behind those that are there: name to (n, ...). A constraint is not asked.

        **Raises:** `SpaceError` for a point outside the priors' support.
        """
        added = unit_of(self.space, points)
        return replace(self, unit=np.concatenate([self.unit, added]), added=self.added + added.shape[0])

    def sections(self) -> tuple[Section, ...]:
        text = [f"{self.size} points of {type(self.sampler).__name__} in {self.space.size} numbers."]
        drawn = self.size - self.added
        if self.added:
            text.append(f"{self.added} of them were added by hand.")
        if self.allowed is not None:
            text.append(f"A constraint turned {self.taken - drawn} of {self.taken} points away.")
        distinct = np.unique(self.unit, axis=0).shape[0]
        if distinct < self.size:
            text.append(f"{self.size - distinct} points repeat another, so that what a seed does is seen.")
        labels = self.space.labels
        pairs = [(i, i + 1) for i in range(min(len(labels) - 1, _SHOWN))]
        panels = tuple(
            ScatterPanel(f"{labels[i]}, {labels[j]}", labels[i], labels[j], self.unit[:, i], self.unit[:, j])
            for i, j in pairs
        )
        caption = "The design on the priors' probability scale, pairs of neighbours."
        figures = (Figure("design", caption, panels),) if panels else ()
        return (Section("Design", tuple(text), figures=figures),)

    def record(self) -> dict[str, Any]:
        return {
            "sampler": type(self.sampler).__name__,
            "labels": list(self.space.labels),
            "points": self.size,
            "added": self.added,
            "taken": self.taken,
            "unit": self.unit.tolist(),
        }


def design(
    space: Space, key: Key, count: int, *, sampler: Sampler | None = None, allowed: Allowed | None = None
) -> Design:
    """The first `count` points of a sequence in a space.

    **Arguments:** `sampler`: a scrambled Sobol sequence unless said otherwise; `Replicated(...)` repeats a share of its
    points; `allowed`: a constraint, from the parameters, name to (n, ...), to (n,) bool: points that it turns away are
    left out and others drawn in their place.

    **Raises:** `SpaceError` where the constraint leaves next to nothing, or where numbers of one prior depend on each
    other.
    """
    if count < 1:
        raise SpaceError(f"a design of {count} points: ask for one at the least")
    empty = Design(space, np.zeros((0, space.size)), Sobol() if sampler is None else sampler, key, 0, allowed)
    return empty.extended(count)


def unit_of(space: Space, points: Parameters) -> np.ndarray:
    """A batch of points on the priors' probability scale, (n, d) float64.

    **Raises:** `SpaceError` for a point outside the priors' support.
    """
    if not bool(np.isfinite(np.asarray(space.log_prob(points))).all()):
        raise SpaceError("a point lies outside the support of its prior: widen the prior or drop the point")
    return np.asarray(space.cdf(points), np.float64)


def _drawn(design: Design, count: int) -> tuple[np.ndarray, int]:
    """`count` further points that the constraint lets pass, and how many of the sequence were then looked at."""
    d, taken, kept, found = design.space.size, design.taken, [np.zeros((0, design.space.size))], 0
    while found < count:
        wanted = count - found
        batch = wanted if design.allowed is None else max(64, 2 * wanted)
        points = design.sampler.sequence(design.key, d, taken, batch)
        passed = np.flatnonzero(_passes(design, points))[:wanted]
        # Only what lies before the last point that is needed counts as looked at: an extension goes on right there.
        taken += batch if passed.size < wanted else int(passed[-1]) + 1
        kept.append(points[passed])
        found += passed.size
        if taken - design.taken > _PATIENCE * count:
            raise SpaceError(
                f"the constraint let {found} of {taken - design.taken} points pass, and {count} are wanted: "
                "narrow the priors to where it holds"
            )
    return np.concatenate(kept), taken


def _passes(design: Design, points: np.ndarray) -> np.ndarray:
    if design.allowed is None:
        return np.ones(points.shape[0], bool)
    batch = design.space.from_unit(points)
    verdict = np.asarray(design.allowed({name: np.asarray(value) for name, value in batch.items()}))
    if verdict.shape != (points.shape[0],) or verdict.dtype != bool:
        raise SpaceError(
            f"the constraint returned {verdict.dtype} of shape {verdict.shape}, not {points.shape[0]} truth values"
        )
    return verdict
