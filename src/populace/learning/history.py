"""How a training went: its policies of earlier and later against each other, and how far they still moved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._results import Code, Table, Verdict
from .._types import Key
from .deviations import Play, cross_play, deviators
from .game import Policies, Watched
from .metagame import Flow, alpha_rank, find_cycle, flow
from .rollout import rollout

_EARLY, _LATE = 4, 8
"""Moments of the first third of a training, and of the rest, that are held against each other at most."""
_SURE = 3.0
"""Standard errors by which one must beat another."""
_SMALL = 0.02
_MOVES = 0.1
"""Steps above this part of the longest way between two moments are no rest."""
_OPEN = 0.3
_VIEWS = 256
"""Views on which policies are compared."""


@dataclass(frozen=True)
class Moments:
    """One training at one site, `moments` of it held against each other.

    `moments` (c,): their numbers in the history; `returns` (c, c): what one agent with the policy of the row earns
    among the others of the column, the mean over types; `table` (c, c): by how much more than the other way round,
    with its `error`; `flow`: that table as a ranking and what goes round; `cycle`: moments after the first third, each
    of which beats the next and the last the first, () for none; `open`: of the pairs of these moments, the part that
    acts differently and cannot be told apart by what it earns; `shares` (c,): alpha-rank; `apart` (c, c): how
    differently they act on the same views, 0 to 1.
    """

    path: str
    moments: np.ndarray
    returns: np.ndarray
    table: np.ndarray
    error: np.ndarray
    flow: Flow
    cycle: tuple[int, ...]
    open: float
    shares: np.ndarray
    apart: np.ndarray

    def moved(self) -> float:
        """The mean step from one moment to the next in the last third, in parts of the longest way between two."""
        steps = np.diagonal(self.apart, offset=1)
        longest = float(self.apart.max())
        return float(steps[-max(1, steps.size // 3) :].mean()) / longest if longest > 0 else 0.0

    def as_table(self, name: str) -> Table:
        """For the page."""
        own = np.diag(self.returns)
        rows = tuple(
            (int(m), float(own[i]), float(self.flow.ratings[i]), float(self.shares[i]), float(self.apart[i, -1]))
            for i, m in enumerate(self.moments)
        )
        columns = ("round", "return among its own", "gain on the others", "alpha-rank", "from the last")
        note = (
            "Gain: what one agent of this moment earns among agents of another more than the other way round, the mean "
            "over all others. From the last: how differently they act on the same views, 0 to 1."
        )
        return Table(name, columns, rows, note)


def moments(made: Watched, history: Sequence[Policies], path: str, key: Key, runs: int) -> Moments:
    """Hold some moments of one training against each other: every one among the others' policies of every other."""
    chosen, late = _chosen(len(history))
    sets = tuple(history[number] for number in chosen)
    playing, acting = jr.split(key)
    play = Play(made, sets, jr.split(playing, runs))
    who = deviators(made, path)
    returns = np.mean([cross_play(play, path, agent) for agent in who], axis=0)
    gains = returns - returns.transpose(1, 0, 2)
    table, error = gains.mean(2), gains.std(2, ddof=1) / np.sqrt(runs)
    size = max(float(np.ptp(returns.mean(2))), 1e-12)
    beats = table > np.maximum(_SURE * error, _SMALL * size)
    both = late & late[:, None]
    cycle = find_cycle(beats & both)
    shares = alpha_rank(np.where(table > _SURE * error, table / size, 0.0))
    apart = _apart(made, play.together, path, acting)
    unsaid = (both & ~beats & ~beats.T & (apart > _MOVES)).sum() / max(1, both.sum() - late.sum())
    numbers = tuple(int(chosen[i]) for i in cycle)
    return Moments(path, chosen, returns.mean(2), table, error, flow(table), numbers, float(unsaid), shares, apart)


def _chosen(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Moments out of so many, from first to last, and which of them lie after the first third."""
    third = (count - 1) / 3
    early = np.linspace(0, third, _EARLY, endpoint=False)
    chosen = np.unique(np.append(early, np.linspace(third, count - 1, _LATE)).round().astype(int))
    return chosen, chosen >= third


def _apart(made: Watched, sets: Policies, path: str, key: Key) -> np.ndarray:
    """(sets, sets): of options, how often two decide differently with the same random numbers; of numbers, how far
    apart they are on average, in the range of all that any does.
    """
    acts = jax.tree.leaves(_acts(made, sets, path, key))
    return np.mean([_between(np.asarray(leaf)) for leaf in acts], axis=0)


def _between(acts: np.ndarray) -> np.ndarray:
    """`acts`: (sets, views, ...), one number or option each."""
    flat = acts.reshape(acts.shape[0], -1)
    pairs = flat[:, None] - flat
    if np.issubdtype(acts.dtype, np.integer):
        return (pairs != 0).mean(2)
    return np.abs(pairs).mean(2) / max(float(np.ptp(flat)), 1e-12)


@eqx.filter_jit
def _acts(made: Watched, sets: Policies, path: str, key: Key) -> Any:
    """What every set does on views that agents meet under the last one, with the same keys: (sets, views, ...)."""
    last = jax.tree.map(lambda leaf: leaf[-1], dict(sets))
    run = rollout(made, last, key, made.game.steps, ())
    note, learner = run.notes[path], made.game.learners[path]
    agents = made.agents[path]
    number = min(_VIEWS, made.game.steps * agents)
    which = jr.choice(jr.fold_in(key, 1), made.game.steps * agents, (number,), replace=False)
    step, agent = which // agents, which % agents
    views = jax.tree.map(lambda leaf: leaf[step, agent], note["view"])
    types = learner.types_of(agents)
    keys = jax.vmap(lambda i: jr.fold_in(key, i))(2 + jnp.arange(number))

    def of_set(policy: Any) -> Any:
        def one(view: Any, kind: Array, k: Key) -> Any:
            mine = policy if learner.types is None else jax.tree.map(lambda leaf: leaf[kind], policy)
            return mine.act(view, mine.memory(), k).action

        return jax.vmap(one)(views, types[agent], keys)

    return jax.vmap(of_set)(sets[path])


def over_training(path: str, trainings: Sequence[Moments]) -> list[Verdict]:
    """Whether play goes round, and whether policies had come to rest."""
    return [_cycles(path, trainings), _rest(path, trainings)]


def _cycles(path: str, trainings: Sequence[Moments]) -> Verdict:
    found = [one for one in trainings if one.cycle]
    cyclic = float(np.mean([one.flow.cyclic for one in trainings]))
    numbers = {"found": float(len(found)), "trainings": float(len(trainings)), "cyclic": cyclic}
    subject = f"cycles at {path}"
    if 2 * len(found) >= len(trainings):
        one = min(found, key=lambda m: len(m.cycle))
        round_ = " beats ".join(str(number) for number in (*one.cycle, one.cycle[0]))
        sentence = (
            f"{path}: learning goes round, in {len(found)} of {len(trainings)} trainings: of the policies after its "
            f"rounds, {round_}. No one of them is what such agents come to do."
        )
        return Verdict(subject, Code.CYCLES, sentence, numbers)
    unsaid = float(np.mean([one.open for one in trainings]))
    if unsaid > _OPEN:
        sentence = (
            f"{path}: whether learning goes round cannot be said: after the first third of a training "
            f"{100 * unsaid:.0f} % of pairs of its moments act differently and cannot be told apart by what they earn. "
            "Take more runs."
        )
        return Verdict(subject, Code.UNJUDGED, sentence, numbers | {"open": unsaid})
    sentence = (
        f"{path}: after the first third of a training no moments beat each other in a round, in "
        f"{len(trainings) - len(found)} of {len(trainings)} trainings."
    )
    return Verdict(subject, Code.NO_CYCLE, sentence, numbers | {"open": unsaid})


def _rest(path: str, trainings: Sequence[Moments]) -> Verdict:
    moved = np.array([one.moved() for one in trainings])
    numbers = {"moved": float(moved.mean()), "worst": float(moved.max())}
    subject = f"policies at {path} over training"
    restless = int((moved > _MOVES).sum())
    said = f"{100 * numbers['moved']:.2g} % of the longest way between two of them"
    if restless > len(trainings) / 2:
        sentence = (
            f"{path}: policies still move in the last third of a training, from one moment to the next by {said}: "
            "whoever learns here meets others who change."
        )
        return Verdict(subject, Code.STILL_CHANGING, sentence, numbers)
    sentence = f"{path}: in the last third of a training policies move from one moment to the next by {said}."
    return Verdict(subject, Code.CONVERGED, sentence, numbers)
