"""The rounds of planning: candidates for an instrument, agents who learn to live with each, a step to what did well.

The outer loop is a separable natural evolution strategy: T. Schaul, T. Glasmachers and J. Schmidhuber (2011), "High
dimensions and heavy tails for natural evolution strategies", GECCO. A leader who reckons with what followers answer: H.
von Stackelberg (1934), "Marktform und Gleichgewicht"; learned on two levels, S. Zheng et al. (2022), "The AI Economist:
taxation policy design via two-level deep multiagent reinforcement learning", Science Advances 8, eabk2607.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jaxtyping import Float

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.executor import Ticker
from ..core.host import placed, taken
from ..core.plug import Plug
from ..core.rounds import Ask, Done, Method
from .algorithm import Algorithm, Lesson, Updates, begun, refuse_broken
from .game import Policies
from .planner import Office
from .rollout import Score, score

_REST = 0.02
"""A search whose candidates have come this near each other, in parts of the first spread, has ended."""


class Answer(eqx.Module):
    """What agents answer to some instruments, those on the leading axis: `policies`, site to the `curves` of their
    training (sets, updates), and how the game goes with them.
    """

    policies: Policies
    curves: dict[str, np.ndarray]
    scores: Score


class Teaching(eqx.Module):
    """How agents answer an instrument: they learn anew, by `times` as many as `updates` of an `algorithm`, and are
    scored in `runs`.
    """

    algorithm: Algorithm
    updates: int = eqx.field(static=True)
    runs: int = eqx.field(static=True)
    times: int = eqx.field(static=True, default=1)

    @property
    def calls(self) -> int:
        """Runs that one training learns from."""
        return self.times * self.updates * self.algorithm.runs

    def answered(self, office: Office, frozen: tuple[Plug, ...], keys: Key, luck: Key, ticker: Ticker) -> Answer:
        """Trainings under frozen instruments, sets on the leading axis. `keys` (sets,): trainings with one key have the
        same luck; `luck`: of the runs that all are scored in.
        """
        sets, whole = keys.shape[0], self.times * self.updates
        starts, *goes = (jax.vmap(lambda k, n=n: jr.fold_in(k, n))(keys) for n in range(1 + self.times))
        learned, curves = begun(self.algorithm, office.made, starts), []
        for part, keys_of_part in enumerate(goes):  # of one length: longer trainings share the program
            done = (np.arange(self.updates, dtype=np.float32) + part * self.updates) / whole
            progress = placed(np.broadcast_to(done, (sets, self.updates)))
            ask = Updates(self.algorithm, learned, keys_of_part, progress)
            learned, news = ask.answer(Lesson(office.made, sets, frozen), ticker)
            refuse_broken(news)
            curves.append({path: np.asarray(returns) for path, returns in news.returns.items()})
        policies = _handed_out(self.algorithm, office, learned)
        scores = score(office.made, policies, jr.split(luck, self.runs), frozen=frozen, sets=sets)
        return Answer(policies, {path: np.concatenate([c[path] for c in curves], axis=1) for path in curves[0]}, scores)


@eqx.filter_jit
def _handed_out(algorithm: Algorithm, office: Office, learned: Any) -> Policies:
    return jax.vmap(lambda one: algorithm.policies(office.made, one))(learned)


class Search(eqx.Module):
    """Where planning stands: the `mean` (d,) and `spread` (d,) of candidates; those `tried` (rounds, candidates, d),
    the `welfare` (rounds, candidates) that each brought, and the data of the `keys` of all trainings of a round
    (rounds, words).
    """

    mean: np.ndarray
    spread: np.ndarray
    tried: np.ndarray
    welfare: np.ndarray
    keys: np.ndarray


class Candidates(Ask):
    """Instruments, and the welfare of agents who have learned to live with each: all trainings with the same luck."""

    teaching: Teaching
    numbers: np.ndarray
    training: Key
    luck: Key

    def calls(self) -> int:
        return len(self.numbers) * self.teaching.calls

    def answer(self, task: Office, ticker: Ticker) -> np.ndarray:
        keys = taken(self.training[None], np.zeros(len(self.numbers), int))
        frozen = task.plugs(task.policies(self.numbers))
        return self.teaching.answered(task, frozen, keys, self.luck, ticker).scores.welfare().mean(1)


class Planning(Method[Office, Search, Search]):
    """The rounds."""

    teaching: Teaching
    rounds: int = eqx.field(static=True)
    candidates: int = eqx.field(static=True)

    def start(self, task: Office, key: Key, budget: int) -> Search:
        mean, nothing = np.zeros(task.size), np.zeros((0, self.candidates))
        tried, keys = np.zeros((*nothing.shape, mean.size)), np.asarray(jr.key_data(key))[None][:0]
        return Search(mean, np.full(mean.size, task.spread), tried, nothing, keys)

    def ask(self, task: Office, state: Search, key: Key) -> Ask:
        steps = mirrored(jr.fold_in(key, 1), self.candidates, state.mean.size)
        return Candidates(self.teaching, state.mean + state.spread * steps, *jr.split(key))

    def tell(self, task: Office, state: Search, ask: Any, answer: np.ndarray) -> Search:
        if not np.isfinite(answer).all():
            raise MethodError("plan: welfare is not finite: it must be, whatever anybody does")
        mean, spread = moved(state.mean, state.spread, (ask.numbers - state.mean) / state.spread, answer)
        tried = np.concatenate([state.tried, ask.numbers[None]])
        keys = np.concatenate([state.keys, np.asarray(jr.key_data(ask.training))[None]])
        return Search(mean, spread, tried, np.concatenate([state.welfare, answer[None]]), keys)

    def done(self, task: Office, state: Search, left: int) -> Done | None:
        made = len(state.welfare)
        if (state.spread < _REST * task.spread).all():
            return Done(Code.CONVERGED, f"after {made} rounds the candidates hardly differ any more")
        if made >= self.rounds:
            return Done(Code.BUDGET_SPENT, f"{made} rounds of {self.candidates} candidates were tried")
        return None

    def finish(self, task: Office, state: Search, key: Key) -> Search:
        return state


def mirrored(key: Key, count: int, size: int) -> Float[np.ndarray, "count size"]:
    """Normal draws in pairs that mirror each other, with a mean square of 1 along each axis."""
    half = np.asarray(jr.normal(key, (count // 2, size)), np.float64)
    half = half / np.sqrt((half**2).mean(0))
    return np.concatenate([half, -half])


def moved(mean: np.ndarray, spread: np.ndarray, steps: np.ndarray, worth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread after candidates mean + spread * steps (count, d) were worth so much (count,): by ranks, so that
    units do not matter; who ties shares what the places are worth.
    """
    count, size = steps.shape
    places = np.maximum(math.log(count / 2 + 1) - np.log(np.arange(1, count + 1)), 0.0)
    places = places / places.sum() - 1.0 / count
    _, where, many = np.unique(-worth, return_inverse=True, return_counts=True)
    utility = (np.add.reduceat(places, np.concatenate([[0], np.cumsum(many)[:-1]])) / many)[where]
    rate = (3 + math.log(size)) / (5 * math.sqrt(size))
    grown = np.exp(np.clip(0.5 * rate * (utility @ (steps**2 - 1.0)), -1.0, 1.0))
    return mean + spread * (utility @ steps), spread * grown
