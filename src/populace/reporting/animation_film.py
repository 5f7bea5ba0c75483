"""A run that is watched: its states every so many steps, and how they look."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.progress import Progress

from .._errors import ModelError
from .._results import Figure, Panel, Result, Section
from .._types import Key, State
from ..core.executor import Ticker
from ..core.model import Model
from ..core.plug import Plug
from ..core.progress import display
from ..core.simulate import Run, Snapshot, begin, simulate
from ..interact.look import Look
from .drawing_guess import guess
from .drawing_stage import Stage, stage_for

Looking = Callable[[State], Look]

_FRAMES = 60
_STILLS = 6


@dataclass(frozen=True)
class Film(Result):
    """A run that was watched.

    `model`: its name; `snapshots` (frames,): the run at rest at each frame, from which it can go on; `looks` (frames,):
    what is drawn of each; `run`: its observations at every step, and its end.
    """

    model: str
    snapshots: tuple[Snapshot, ...]
    looks: tuple[Look, ...]
    run: Run

    @property
    def times(self) -> np.ndarray:
        """The step of each frame, (frames,), from 0."""
        return np.array([int(snapshot.time) for snapshot in self.snapshots])

    @functools.cached_property
    def stage(self) -> Stage:
        """What is common to all frames."""
        return stage_for(self.looks)

    def panels(self, frames: np.ndarray) -> tuple[Panel, ...]:
        """The panels of some frames."""
        times = self.times
        return tuple(self.stage.panel(self.looks[i], f"step {times[i]}") for i in frames)

    def sections(self) -> tuple[Section, ...]:
        frames = np.unique(np.linspace(0, len(self.looks) - 1, _STILLS).round().astype(int))
        stills = Figure("stills", f"{self.model}, from step 0 to step {self.times[-1]}.", self.panels(frames))
        return (Section(self.model, figures=(stills,)), *self.run.sections())

    def record(self) -> dict[str, Any]:
        return {"model": self.model, "frames": self.times.tolist(), "run": self.run.record()}


def film(
    model: Model,
    key: Key,
    steps: int,
    *,
    every: int | None = None,
    plugs: tuple[Plug, ...] = (),
    look: Looking | None = None,
    progress: bool | Progress | None = None,
) -> Film:
    """Run a model once, as `simulate` does, and keep its state at step 0 and after every so many steps.

    **Arguments:**

    - `every`: steps between frames; so many by default that there are about 60.
    - `plugs`: what stands around sites.
    - `look`: from a state to what is drawn of it; by default the model's own method `look`, or else a guess.
    - `progress`: show it (True, False, None for where there is a terminal), or a running display.

    **Returns:** a `Film`; `pop.write` draws stills of it, `pop.animate` moves it.

    **Raises:** `OutputError` where nothing of the state can be drawn; and what `simulate` raises.
    """
    every = max(1, steps // _FRAMES) if every is None else every
    if steps < 1 or every < 1:
        raise ModelError(f"a film takes one step or more, and one between frames: not steps={steps}, every={every}")
    snapshots = [begin(model, key, plugs)]
    _looks(model, snapshots, look)  # what cannot be drawn is said before it is run
    runs: list[Run] = []
    with display(progress) as shown:
        ticker = Ticker(shown, f"film of {type(model).__name__}", steps)
        for done in range(0, steps, every):
            many = min(every, steps - done)
            start = snapshots[-1] if runs else None
            runs.append(simulate(model, key, many, plugs=plugs, start=start))
            snapshots.append(runs[-1].final)
            ticker.advance(many)
    return Film(type(model).__name__, tuple(snapshots), _looks(model, snapshots, look), _one(runs))


def _looks(model: Model, snapshots: list[Snapshot], look: Looking | None) -> tuple[Look, ...]:
    own: Looking | None = getattr(model, "look", None) if look is None else look
    states = [snapshot.state for snapshot in snapshots]
    if own is None:
        return guess(model, states)
    looks = tuple(own(state) for state in states)
    if not all(isinstance(one, Look) for one in looks):
        raise ModelError(f"look(state) of {type(model).__name__} returns a pop.Look, not a {type(looks[0]).__name__}")
    return looks


def _one(runs: list[Run]) -> Run:
    """Stretches of one run as one."""
    observations = {name: jnp.concatenate([run.observations[name] for run in runs]) for name in runs[0].observations}
    return Run(np.concatenate([run.times for run in runs]), observations, runs[-1].final, {}, {})
