"""What may stand in for a rule at a `decide` site."""

import abc
from typing import Any

import equinox as eqx

from .._types import Key


class Act(eqx.Module):
    """One agent's decision: the action, its memory for the next time, and whatever a learner wants on the tape."""

    action: Any
    memory: Any = ()
    info: Any = ()


class Policy(eqx.Module):
    """Decides for one agent; the draw vectorises it over the population."""

    @abc.abstractmethod
    def memory(self) -> Any:
        """One agent's memory before its first decision; () for none."""

    @abc.abstractmethod
    def act(self, view: Any, memory: Any, key: Key) -> Act:
        """The decision on one agent's view. The action has the structure, shapes and dtypes of the rule's."""
