"""What every method must do: the laws of `populace.Method` on a `Problem`, for those who write their own."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Code
from .._types import Key, Parameters
from ..calibration.estimates import Estimate, Posterior
from ..core.checkpoint import Checkpoint
from ..core.executor import Ticker
from ..core.rounds import Ask, Done, Method, rounds
from ..problem.problem import Problem
from ..problem.simulators import Batch, Simulator

BUDGET = 2_000
"""Simulator calls of a fit, unless said otherwise."""
DRAWS = 50
"""Draws of the estimate that are looked at."""
EXCLUDED = 10
"""One of as many runs is excluded, where it is tried whether a method bears it."""


def check_method(method: Method[Problem, Any, Any], problem: Problem, key: Key, *, budget: int = BUDGET) -> None:
    """Check every law that `Method` states; return if all hold.

    The method is run round by round with all that passes watched, again by `rounds`, again with its state written to a
    checkpoint and read back after every round, and again with some runs excluded: a few fits in all, so take a problem
    that is quick to simulate.

    **Arguments:** `problem`: with the covariance that the method needs; `budget`: simulator calls of each fit.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    _refuses_an_empty_budget(method, problem, key)
    watched = _watched(method, problem, key, budget)
    for law in LAWS:
        law(method, problem, key, watched)


class Counted(Simulator):
    """A simulator that counts its runs, and excludes one in `one_in` of them (0: none)."""

    simulator: Simulator
    one_in: int = eqx.field(static=True, default=0)
    runs: list[int] = eqx.field(static=True, default_factory=list)

    def parameters(self) -> Any:
        return self.simulator.parameters()

    def simulate(self, parameters: Parameters, keys: Key, ticker: Ticker) -> Batch:
        self.runs.append(keys.shape[0])
        batch = self.simulator.simulate(parameters, keys, ticker)
        if not self.one_in:
            return batch
        hit = np.asarray(jax.vmap(lambda key: jr.randint(jr.fold_in(key, 1), (), 0, self.one_in))(keys)) == 0
        new = hit & ~batch.excluded
        reasons = {**batch.reasons, "excluded to try the method": int(new.sum())}
        return Batch(batch.observations, batch.excluded | hit, reasons)

    def describe(self) -> dict[str, Any]:
        return self.simulator.describe()


@dataclass(frozen=True)
class Watched:
    """A fit that was run round by round: its states (the first is `start`'s), why it stopped, and its estimate."""

    budget: int
    states: list[Any] = field(default_factory=list)
    estimate: Any = None
    done: Done | None = None
    calls: int = 0


Law = Callable[[Method[Problem, Any, Any], Problem, Key, Watched], None]


def _refuses_an_empty_budget(method: Method[Problem, Any, Any], problem: Problem, key: Key) -> None:
    try:
        method.start(problem, key, 0)
    except MethodError:
        return
    raise AssertionError(
        f"{_name(method)}: a budget of 0 calls is taken; raise MethodError that says how many it needs"
    )


def _watched(method: Method[Problem, Any, Any], problem: Problem, key: Key, budget: int) -> Watched:
    """Run the method as `rounds` does, looking at each step."""
    counted = Counted(problem.simulator)
    task = _with(problem, counted)
    state = method.start(task, jr.fold_in(key, 0), budget)
    states, calls, number = [state], 0, 0
    while (why := method.done(task, state, budget - calls)) is None:
        before = _bytes(state)
        ask = method.ask(task, state, jr.fold_in(key, number + 1))
        _require(isinstance(ask, Ask), method, f"ask returns a {type(ask).__name__}, not an Ask")
        wanted = ask.calls()
        _require(wanted >= 1, method, "it asks for no work and does not stop")
        _require(wanted <= budget - calls, method, f"the budget is exceeded: {wanted} calls with {budget - calls} left")
        answer = ask.answer(task, Ticker(None, "", 0))
        made = sum(counted.runs) - calls
        _require(made == wanted, method, f"the ask says {wanted} calls and makes {made}")
        told = (_bytes(ask), _bytes(vars(answer)))
        after = method.tell(task, state, ask, answer)
        same = before == _bytes(state) and told == (_bytes(ask), _bytes(vars(answer)))
        _require(same, method, "ask or tell changes the state, the ask or the answer in place: return a new state")
        state, calls, number = after, calls + wanted, number + 1
        states.append(state)
        if jax.tree.structure(state) != jax.tree.structure(states[0]):  # the next round could only stumble over it
            _require(False, method, f"the state after round {number} has another structure than at the start")
    _require(sum(counted.runs) == calls, method, "start or done simulates: only an ask may")
    before = _bytes(state)
    estimate = method.finish(task, state, jr.fold_in(key, 2**31 - 1))
    _require(before == _bytes(state), method, "finish changes the state in place")
    return Watched(budget, states, estimate, why, calls)


def _keeps_its_structure(method: Method[Problem, Any, Any], problem: Problem, key: Key, watched: Watched) -> None:
    first = watched.states[0]
    for number, state in enumerate(watched.states):
        same = jax.tree.structure(state) == jax.tree.structure(first)
        _require(same, method, f"the state after round {number} has another structure than at the start")
        for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(state), strict=True):
            array = isinstance(other, jax.Array | np.ndarray)
            _require(array, method, f"the state holds a {type(other).__name__}; a checkpoint holds arrays only")
            alike = (one.dtype, one.ndim) == (other.dtype, other.ndim)
            _require(alike, method, f"an array of the state turns from {_kind(one)} to {_kind(other)}")


def _goes_on_from_a_checkpoint(method: Method[Problem, Any, Any], problem: Problem, key: Key, watched: Watched) -> None:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder), "check")
        state = method.start(problem, jr.fold_in(key, 0), watched.budget)
        for number in range(len(watched.states)):
            checkpoint.save(state, number, 0)
            saved = checkpoint.load(method.start(problem, jr.fold_in(key, 0), watched.budget))
            assert saved is not None
            state = saved.state
            message = f"resumed from the checkpoint of round {number}, it is in another state"
            _require(_bytes(state) == _bytes(watched.states[number]), method, message)
            if number + 1 < len(watched.states):
                ask = method.ask(problem, state, jr.fold_in(key, number + 1))
                state = method.tell(problem, state, ask, ask.answer(problem, Ticker(None, "", 0)))
        estimate = method.finish(problem, state, jr.fold_in(key, 2**31 - 1))
        _require(_bytes(estimate) == _bytes(watched.estimate), method, "resumed, it ends with another estimate")


def _repeats_itself(method: Method[Problem, Any, Any], problem: Problem, key: Key, watched: Watched) -> None:
    done = rounds(method, problem, key, budget=watched.budget, ticker=Ticker(None, "", 0))
    same = _bytes(done.estimate) == _bytes(watched.estimate) and done.estimate.notes() == watched.estimate.notes()
    _require(same, method, "the same key ends with another estimate")
    _require((done.done, done.calls) == (watched.done, watched.calls), method, "the same key stops elsewhere")


def _says_why_it_stops(method: Method[Problem, Any, Any], problem: Problem, key: Key, watched: Watched) -> None:
    why = watched.done
    sound = isinstance(why, Done) and why.code in (Code.CONVERGED, Code.BUDGET_SPENT) and bool(why.sentence)
    _require(sound, method, f"it stops with {why}: give CONVERGED or BUDGET_SPENT, and a sentence")
    again = method.done(problem, watched.states[-1], watched.budget - watched.calls)
    _require(again == why, method, "asked again, it does not stop, or for another reason")


def _ends_with_an_estimate(method: Method[Problem, Any, Any], problem: Problem, key: Key, watched: Watched) -> None:
    estimate, d = watched.estimate, problem.space.size
    _require(isinstance(estimate, Estimate), method, f"finish returns a {type(estimate).__name__}, not an Estimate")
    draws = estimate.draws(problem, key, DRAWS)
    sound = np.shape(draws) == (DRAWS, d) and bool(np.isfinite(draws).all())
    _require(sound, method, f"draws are not {(DRAWS, d)} finite numbers (real scale)")
    again = np.array_equal(draws, estimate.draws(problem, key, DRAWS))
    _require(again, method, "the same key gives other draws")
    centre = estimate.centre(problem)
    sound = np.shape(centre) == (d,) and bool(np.isfinite(centre).all())
    _require(sound, method, f"the centre is not {d} finite numbers (real scale)")
    notes = estimate.notes()
    sound = isinstance(notes, tuple) and all(isinstance(note, str) and note for note in notes)
    _require(sound, method, "notes are not a tuple of sentences")
    if isinstance(estimate, Posterior):
        n, weights = estimate.real.shape[0], estimate.weights
        sound = weights.shape == (n,) and bool((weights >= 0).all()) and abs(float(weights.sum()) - 1.0) < 1e-9
        _require(sound, method, "the weights are not non-negative with sum 1")
        moments = (n, len(problem.target.labels))
        _require(estimate.moments.shape == moments, method, f"moments are {estimate.moments.shape}, not {moments}")


def _bears_excluded_runs(method: Method[Problem, Any, Any], problem: Problem, key: Key, watched: Watched) -> None:
    task = _with(problem, Counted(problem.simulator, EXCLUDED))
    try:
        done = rounds(method, task, key, budget=watched.budget, ticker=Ticker(None, "", 0))
    except MethodError:
        return
    sound = bool(np.isfinite(done.estimate.draws(task, key, DRAWS)).all())
    _require(sound, method, f"with 1 of {EXCLUDED} runs excluded (their moments are NaN), draws are not finite")
    told = any("excluded" in note for note in done.estimate.notes())
    _require(told, method, "runs were excluded and no note of the estimate says so: see `Tally`")


LAWS: tuple[Law, ...] = (
    _keeps_its_structure,
    _says_why_it_stops,
    _ends_with_an_estimate,
    _repeats_itself,
    _goes_on_from_a_checkpoint,
    _bears_excluded_runs,
)
"""The laws, each a function of the method, the problem, a key and the fit that was watched."""


def _with(problem: Problem, simulator: Simulator) -> Problem:
    return Problem(simulator, problem.space, problem.target, derived=problem.derived)


def _bytes(tree: Any) -> list[tuple[str, bytes]]:
    """The arrays of a tree, as they are to the last bit."""
    found = []
    for leaf in jax.tree.leaves(tree):
        typed = isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(leaf) if typed else leaf)
        found.append((_kind(array), array.tobytes()))
    return found


def _kind(array: Any) -> str:
    return f"{array.dtype} {array.shape}"


def _name(method: Any) -> str:
    return type(method).__name__


def _require(holds: bool, method: Any, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{_name(method)}: {otherwise}")
