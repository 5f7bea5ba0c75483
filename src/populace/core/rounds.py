"""The one outer loop: rounds of ask, answer, tell, with a checkpoint after each.

Calibration and learning are both rounds. A method asks for work, the work is done, the method is told; what it knows
is a tree of arrays that is written down after each round, so that a killed loop goes on where it stopped and, as every
round's key is folded from its number, ends with the same numbers.
"""

import abc
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax.random as jr

from .._errors import MethodError
from .._results import Code
from .._types import Key
from .checkpoint import Checkpoint
from .executor import Ticker
from .fingerprint import fingerprint

Task = TypeVar("Task")
State = TypeVar("State")
Estimate = TypeVar("Estimate")


class Ask(eqx.Module):
    """A round's work, as a method asks for it. A leaf knows how to get itself answered."""

    @abc.abstractmethod
    def calls(self) -> int:
        """How many simulator calls the answer costs."""

    @abc.abstractmethod
    def answer(self, task: Any, ticker: Ticker) -> Any:
        """Do the work."""


@dataclass(frozen=True)
class Done:
    """Why a method stops: `CONVERGED` by its own rule, or `BUDGET_SPENT`."""

    code: Code
    sentence: str


class Method(eqx.Module, Generic[Task, State, Estimate]):
    """How to fit, or to learn: five methods around a state.

    The state is a tree of arrays (numpy or JAX) whose structure never changes; shapes may. Anything random comes from
    the key of the round.
    """

    @property
    def needs_covariance(self) -> bool:
        """Whether it measures moments in standard errors, so that what calls it has to know or find these first."""
        return True

    @abc.abstractmethod
    def start(self, task: Task, key: Key, budget: int) -> State:
        """The state before the first round. Raises `MethodError` when the task or the budget cannot be worked with."""

    @abc.abstractmethod
    def ask(self, task: Task, state: State, key: Key) -> Ask:
        """What to work out next."""

    @abc.abstractmethod
    def tell(self, task: Task, state: State, ask: Any, answer: Any) -> State:
        """The state with the answer taken in."""

    @abc.abstractmethod
    def done(self, task: Task, state: State, left: int) -> Done | None:
        """Why to stop now, with `left` calls of the budget unspent; None to go on."""

    @abc.abstractmethod
    def finish(self, task: Task, state: State, key: Key) -> Estimate:
        """The estimate that the last state holds."""


@dataclass(frozen=True)
class Finished(Generic[Estimate]):
    """How a loop ended: the estimate, why it stopped, rounds and calls spent."""

    estimate: Estimate
    done: Done
    rounds: int
    calls: int


def rounds(
    method: Method[Task, Any, Estimate],
    task: Task,
    key: Key,
    *,
    budget: int,
    ticker: Ticker,
    folder: Path | None = None,
    identity: dict[str, Any] | None = None,
) -> Finished[Estimate]:
    """Run a method to its end.

    **Arguments:** `budget`: simulator calls that may be spent; `folder`: where to checkpoint, and to go on from when
    it holds the checkpoint of the same work (`identity`: what makes it the same: problem, method, key, budget).

    **Raises:** `CheckpointError` when the folder holds other work; `MethodError` when a method asks for nothing, or for
    more than is left.
    """
    state = method.start(task, jr.fold_in(key, 0), budget)
    number, calls = 0, 0
    checkpoint = None if folder is None else Checkpoint(folder, _digest(method, key, budget, identity or {}))
    if checkpoint is not None:
        saved = checkpoint.load(state)
        if saved is not None:
            state, number, calls = saved.state, saved.number, saved.calls
            ticker.advance(calls)
    while True:
        why = method.done(task, state, budget - calls)
        if why is not None:
            return Finished(method.finish(task, state, jr.fold_in(key, 2**31 - 1)), why, number, calls)
        ask = method.ask(task, state, jr.fold_in(key, number + 1))
        wanted = ask.calls()
        if wanted < 1:
            raise MethodError(f"{type(method).__name__} asked for no work and did not stop")
        if wanted > budget - calls:
            raise MethodError(f"{type(method).__name__} asked for {wanted} calls with {budget - calls} left")
        answer = ask.answer(task, ticker)
        state = method.tell(task, state, ask, answer)
        number, calls = number + 1, calls + wanted
        if checkpoint is not None:
            checkpoint.save(state, number, calls)


def _digest(method: Any, key: Key, budget: int, identity: dict[str, Any]) -> str:
    what = {
        "method": fingerprint(method),
        "key": fingerprint(key),
        "budget": budget,
        **identity,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()
