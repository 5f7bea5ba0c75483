"""How agents learn: an algorithm's updates, driven by the one loop of rounds."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._errors import FaultError, MethodError
from .._results import Code
from .._types import Key
from ..core import executor
from ..core.host import joined
from ..core.plug import Plug
from ..core.rounds import Ask, Done, Method
from .game import Policies, Watched
from .statistics import rise

SMALL = 0.02
"""A change of returns of less than this part of all that was gained is none."""
_ROUNDS = 20
"""Rounds, and checkpoints, a training is divided into at most."""


class News(eqx.Module):
    """What an update says: the mean return of its runs at each site, over runs and learners; how many of its runs met a
    fault, and how many of its rewards were not finite; `rest`: that nothing more would change, so that the training may
    end when all seeds say so.
    """

    returns: dict[str, Float[Array, ""]]
    faults: Int[Array, ""]
    broken: Int[Array, ""]
    rest: Bool[Array, ""] = eqx.field(default_factory=lambda: jnp.array(False))


class Algorithm(eqx.Module):
    """How policies get better. Implement five methods; what has been learned is a tree of arrays.

    All are written for one training and traced; the driver vectorises them over seeds.
    """

    @property
    @abc.abstractmethod
    def runs(self) -> int:
        """How many runs of the game an update takes."""

    @abc.abstractmethod
    def begin(self, watched: Watched, key: Key) -> Any:
        """What is known before the first update: a tree of arrays."""

    @abc.abstractmethod
    def update(
        self, watched: Watched, learned: Any, key: Key, progress: Float[Array, ""], frozen: tuple[Plug, ...]
    ) -> tuple[Any, News]:
        """One update. `progress`: the part of the training that is done, 0 to 1; `frozen`: the plugs that decide
        for those who do not learn.
        """

    @abc.abstractmethod
    def playing(self, watched: Watched, learned: Any) -> Policies:
        """The policies as they play at this moment, exploring or not: what the training's history keeps."""

    @abc.abstractmethod
    def policies(self, watched: Watched, learned: Any) -> Policies:
        """What has been learned, as policies that no longer explore; of a learner with types, one a type on the leading
        axis.
        """


class Lesson(eqx.Module):
    """What a training is of: the watched game, how many seeds at once, and who plays without learning.

    `frozen`: plugs that decide for those who do not learn, seeds on the leading axis of their arrays.
    """

    watched: Watched
    seeds: int = eqx.field(static=True)
    frozen: tuple[Plug, ...] = ()


class Updates(Ask):
    """Some updates of every seed at once, compiled as one."""

    algorithm: Algorithm
    learned: Any
    keys: Key
    progress: Float[Array, "seeds updates"]

    def calls(self) -> int:
        return self.progress.shape[1] * self.algorithm.runs

    def answer(self, task: Lesson, ticker: executor.Ticker) -> tuple[Any, News]:
        arrays, static = eqx.partition(task.frozen, eqx.is_array)
        devices = len(jax.local_devices())
        size = -(-task.seeds // devices) * devices
        many = (self.learned, self.keys, self.progress, arrays)
        (out,) = executor.chunks(_updated, (self.algorithm, task.watched, static), many, size=size)
        ticker.advance(self.calls())
        return out


def _updated(shared: tuple[Algorithm, Watched, Any], one: Any) -> tuple[Any, News]:
    algorithm, watched, static = shared
    learned, key, progress, arrays = one
    frozen = eqx.combine(arrays, static)

    def step(learned: Any, at: tuple[Array, Array]) -> tuple[Any, News]:
        number, done = at
        return algorithm.update(watched, learned, jr.fold_in(key, number), done, frozen)

    return jax.lax.scan(step, learned, (jnp.arange(progress.size), progress))


def refuse_broken(news: News) -> None:
    """Stop where what was learned from was broken.

    **Raises:** `FaultError`, `MethodError`.
    """
    if news.faults.any():
        raise FaultError(
            f"{int(news.faults.sum())} runs gave a site a number outside its domain while the agents learned: look "
            "for an action that the model's formulas do not bear, and narrow the actions or mend the formula"
        )
    if news.broken.any():
        raise MethodError(
            f"{int(news.broken.sum())} rewards, or slopes of them, were not finite: a reward must be finite "
            "whatever anybody does (of log(c) at c = 0, say which floor it has)"
        )


class Progress(eqx.Module):
    """Where a training stands: what each seed has learned, seeds on the leading axis; the `curve` of mean returns, site
    to (seeds, updates); the `history` of the policies at play, at first and after each round, (seeds, rounds, ...); and
    which seeds are at rest.
    """

    learned: Any
    curve: dict[str, np.ndarray]
    history: Policies
    rest: np.ndarray
    updates: np.ndarray


@eqx.filter_jit
def begun(algorithm: Algorithm, watched: Watched, keys: Key) -> Any:
    """What each seed knows at first."""
    return jax.vmap(lambda key: algorithm.begin(watched, key))(keys)


@eqx.filter_jit
def _playing(algorithm: Algorithm, watched: Watched, learned: Any) -> Policies:
    """What each seed plays now, (seeds, 1, ...)."""
    return jax.vmap(lambda one: jax.tree.map(lambda leaf: leaf[None], algorithm.playing(watched, one)))(learned)


class Training(Method[Lesson, Progress, Progress]):
    """An algorithm on the loop of rounds: the budget counts runs of the game, for each seed."""

    algorithm: Algorithm
    patience: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        if self.patience < 0 or 2 * self.patience > _ROUNDS:
            raise MethodError(f"learn(patience={self.patience}): from 0 to {_ROUNDS // 2} rounds")

    def start(self, task: Lesson, key: Key, budget: int) -> Progress:
        updates = budget // self.algorithm.runs
        if updates < 1:
            raise MethodError(f"a budget of {budget} runs is less than one update takes: give {self.algorithm.runs}")
        keys = jr.split(key, task.seeds)
        learned = begun(self.algorithm, task.watched, keys)
        empty = {path: np.zeros((task.seeds, 0), np.float32) for path in task.watched.game.learners}
        history = _playing(self.algorithm, task.watched, learned)
        return Progress(learned, empty, history, np.zeros(task.seeds, bool), np.array(updates))

    def ask(self, task: Lesson, state: Progress, key: Key) -> Ask:
        done, whole = self._done(state), int(state.updates)
        some = min(-(-whole // _ROUNDS), whole - done)
        progress = (done + jnp.arange(some)) / whole
        shape = (task.seeds, some)
        keys = jr.split(key, task.seeds)
        return Updates(self.algorithm, state.learned, keys, jnp.broadcast_to(progress, shape).astype(jnp.float32))

    def tell(self, task: Lesson, state: Progress, ask: Any, answer: tuple[Any, News]) -> Progress:
        learned, news = answer
        refuse_broken(news)
        curve = {path: np.concatenate([state.curve[path], news.returns[path]], axis=1) for path in state.curve}
        now = _playing(self.algorithm, task.watched, learned)
        history = joined([state.history, now], axis=1)
        return Progress(learned, curve, history, np.asarray(news.rest)[:, -1], state.updates)

    def done(self, task: Lesson, state: Progress, left: int) -> Done | None:
        done = self._done(state)
        if state.rest.all():
            return Done(Code.CONVERGED, f"nothing has changed for long, in any seed, after {done} updates")
        if done < int(state.updates):
            return self._still(state)
        return Done(Code.BUDGET_SPENT, f"{done} updates of {self.algorithm.runs} runs each were made")

    def _still(self, state: Progress) -> Done | None:
        """Whether no site's returns still rise."""
        stretch = max(4, self.patience * -(-int(state.updates) // _ROUNDS))
        if not self.patience or self._done(state) < 2 * stretch:
            return None
        for curve in state.curve.values():
            change, error = rise(curve[:, -2 * stretch : -stretch], curve[:, -stretch:])
            if change > 2 * error and change > SMALL * np.ptp(np.median(curve, axis=0)):
                return None
        return Done(Code.CONVERGED, f"returns no longer rise, after {self._done(state)} of {state.updates} updates")

    def finish(self, task: Lesson, state: Progress, key: Key) -> Progress:
        return state

    def _done(self, state: Progress) -> int:
        return next(iter(state.curve.values())).shape[1]
