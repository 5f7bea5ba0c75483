"""What a description is of: a model, read once, with what its author wrote and the problem that it stands in."""

from dataclasses import dataclass
from typing import Any

from ..core.model import Model
from ..core.plug import Plug
from ..problem.problem import Problem
from ..problem.simulators import Observed, Simulation, Simulator
from .odd_trace import Traced, traced
from .odd_words import own_words, words_of_module
from .odd_worlds import world_sentence, worlds

_FACTS = ("Facts", "Patterns")
_LISTS = ("Sites:", "Observed:", "Site:")
_ASIDE = ("- ", "**Arguments:**", "**Raises:**")
"""Lists, and what stands for programmers, are no part of what a model is for."""


@dataclass(frozen=True)
class Subject:
    """A model as a description needs it.

    `purpose`: what the file of a published model is headed by, and what its class says first; `details`: what it says
    besides; `background` and `patterns`: what the file says of its principles and of what it must reproduce; `worlds`:
    dotted name to topology or space, and what it is in words; `plugs`, `steps`: of the simulation, where there is one.
    """

    model: Model
    traced: Traced
    purpose: str
    details: tuple[str, ...]
    background: tuple[str, ...]
    patterns: tuple[str, ...]
    worlds: dict[str, tuple[Any, str]]
    plugs: tuple[Plug, ...] = ()
    steps: int | None = None

    @property
    def name(self) -> str:
        """The name of the model's class."""
        return type(self.model).__name__


def subject_of(model: Model, plugs: tuple[Plug, ...] = (), steps: int | None = None) -> Subject:
    """Read a model and what is written about it."""
    own, file = own_words(type(model)), words_of_module(type(model))
    told = [part.partition(" **Arguments:**")[0] for part in own if not part.startswith((*_LISTS, *_ASIDE))]
    patterns = tuple(_after_label(part) for part in file if part.startswith(_FACTS))
    background = tuple(part for part in file if not part.startswith(_FACTS))
    title = background[:1] if patterns or not told else ()  # a file of one model is headed by what that is
    return Subject(
        model,
        traced(model),
        " ".join([*title, *told[:1]]),
        tuple(told[1:]),
        background[len(title) :],
        patterns,
        {name: (world, world_sentence(world)) for name, world in worlds(model).items()},
        plugs,
        steps,
    )


def _after_label(part: str) -> str:
    """What stands behind `Facts it must reproduce:`, as a sentence."""
    rest = part.partition(": ")[2] or part
    return rest[0].upper() + rest[1:]


def simulation_of(problem: Problem) -> Simulation | None:
    """The simulation of a model that a problem's simulator is, or stands around; None for a black box."""
    simulator: Simulator = problem.simulator
    while isinstance(simulator, Observed):
        simulator = simulator.simulator
    return simulator if isinstance(simulator, Simulation) else None
