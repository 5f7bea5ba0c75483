"""The proof of a plan: agents who begin anew, under it, without it, and under instruments that are always the same."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.random as jr
import numpy as np

from .._types import Key
from ..core.executor import Ticker
from ..core.host import joined, taken
from ..core.policy import Policy
from .deviations import repeated, said
from .game import Policies
from .planner import Office
from .planning import Answer, Teaching
from .policies import FixedPolicy
from .rollout import Score


@dataclass(frozen=True)
class Proof:
    """Scores of fresh trainings: under the `plan` and `without` (seeds, runs), with the same luck seed by seed; under
    each `fixed` instrument (points, runs), with the luck of the first seed. `actions` (points, m) and `names` of these;
    `agents`: those who learned under the plan, seeds on the leading axis, and the `curves` of their trainings.
    """

    plan: Score
    without: Score
    fixed: Score
    actions: np.ndarray
    names: tuple[str, ...]
    agents: Policies
    curves: dict[str, np.ndarray]

    def scale(self) -> float:
        """The range of welfare over fixed instruments."""
        return max(float(np.ptp(self.fixed.welfare().mean(1))), 1e-12)


def proved(
    office: Office, teaching: Teaching, policy: Policy, fixed: FixedPolicy, key: Key, seeds: int, ticker: Ticker
) -> Proof:
    """`policy`: one set of it; `fixed`: instruments that are always the same, on the leading axis."""
    training, luck = jr.split(key)
    keys = jr.split(training, seeds)
    tried = jax.tree.leaves(fixed)[0].shape[0]
    both, decides = repeated(policy, 2 * seeds), np.repeat([1.0, 0.0], seeds)
    every, first = joined([keys, keys]), taken(keys, np.zeros(tried, int))
    asked = [(both, decides, every), (fixed, np.ones(tried), first)]
    if isinstance(policy, FixedPolicy):  # one structure: all in one go
        asked = [(joined([both, fixed]), np.concatenate([decides, np.ones(tried)]), joined([every, first]))]
    answers = _joined([answered(office, teaching, one, luck, ticker) for one in asked])
    part = lambda start, stop: Score(_cut(answers.scores.numbers, slice(start, stop)))  # noqa: E731
    actions = np.concatenate([np.asarray(leaf).reshape(tried, -1) for leaf in jax.tree.leaves(fixed)], axis=1)
    names = tuple(said(_cut(fixed.action, number)) for number in range(tried))
    return Proof(
        plan=part(0, seeds),
        without=part(seeds, 2 * seeds),
        fixed=part(2 * seeds, 2 * seeds + tried),
        actions=actions.astype(np.float64),
        names=names,
        agents=taken(answers.policies, slice(seeds)),
        curves=_cut(answers.curves, slice(seeds)),
    )


def answered(
    office: Office,
    teaching: Teaching,
    asked: tuple[Policy, np.ndarray, Key],
    luck: Key,
    ticker: Ticker,
) -> Answer:
    """Answers to many instruments, as many at a time as there are candidates, the last ones filled up: all go through
    the program that the search went through. `asked`: policies, whether they decide, and the keys of the trainings.
    """
    policies, decides, keys = asked
    parts, block = [], office.planner.candidates
    for start in range(0, decides.size, block):
        rows = np.minimum(np.arange(start, start + block), decides.size - 1)
        frozen = office.plugs(taken(policies, rows), decides[rows])
        answer = teaching.answered(office, frozen, taken(keys, rows), luck, ticker)
        kept = slice(min(block, decides.size - start))
        parts.append(
            Answer(taken(answer.policies, kept), _cut(answer.curves, kept), Score(_cut(answer.scores.numbers, kept)))
        )
    return _joined(parts)


def _joined(parts: list[Answer]) -> Answer:
    side = lambda *leaves: np.concatenate(leaves)  # noqa: E731
    curves = jax.tree.map(side, *(part.curves for part in parts))
    numbers = jax.tree.map(side, *(part.scores.numbers for part in parts))
    return Answer(joined([part.policies for part in parts]), curves, Score(numbers))


def _cut(tree: Any, rows: Any) -> Any:
    """Rows of arrays on the host."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], tree)
