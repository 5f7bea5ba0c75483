"""The verb `learn`: a game and an algorithm in, policies with their record out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
from rich.progress import Progress as Display

from .._errors import MethodError
from .._results import Band, BandPanel, Code, Figure, Result, Section, Table, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.fingerprint import fingerprint
from ..core.host import taken
from ..core.plug import Plug
from ..core.progress import display
from ..core.rounds import Done, rounds
from .algorithm import SMALL, Algorithm, Lesson, Training
from .game import Game, Policies, watched
from .rollout import Score, score
from .statistics import rise

_POINTS = 50
"""Points a learning curve is drawn with at most."""


@dataclass(frozen=True)
class LearnedPolicies(Result):
    """What agents have learned.

    `policies`: one set a seed, site to policy, that no longer explore; of a learner with types, one a type on the
    leading axis. `curve`: site to (seeds, updates), the mean return of the runs that each update learned from, in which
    the policies explore. `scores`: of the policies, and `rule`: of the rules, in fresh runs with common random numbers.
    `verdicts`: site to whether learning had come to rest. `history`: seed by seed the policies at play before the first
    round of updates and after each, exploring as they did: what an audit asks for cycles.
    """

    game: Game
    algorithm: str
    policies: tuple[Policies, ...]
    curve: dict[str, np.ndarray]
    scores: Score
    rule: Score
    done: Done
    verdicts: dict[str, Verdict]
    history: tuple[tuple[Policies, ...], ...]

    def plugs(self, seed: int = 0) -> tuple[Any, ...]:
        """What makes the policies of one seed decide, for `pop.simulate` and the like."""
        return self.game.with_policies(self.policies[seed])

    def sections(self) -> tuple[Section, ...]:
        text = (f"{self.algorithm} with {len(self.policies)} seeds: {self.done.sentence}.",)
        figures = tuple(self._curve(path) for path in self.curve)
        tables = tuple(self._table(path) for path in self.curve)
        return (Section("What was learned", text, tuple(self.verdicts.values()), figures, tables),)

    def record(self) -> dict[str, Any]:
        return {
            "algorithm": self.algorithm,
            "seeds": len(self.policies),
            "done": self.done.sentence,
            "returns": {p: self.scores.returns(p).mean((1, 2)).tolist() for p in self.curve},
            "rule": {p: float(self.rule.returns(p).mean()) for p in self.curve},
            "verdicts": {path: verdict.record() for path, verdict in self.verdicts.items()},
        }

    def _curve(self, path: str) -> Figure:
        curve = self.curve[path]
        block = -(-curve.shape[1] // _POINTS)
        blocks = curve.shape[1] // block
        means = curve[:, : blocks * block].reshape(curve.shape[0], blocks, block).mean(2)
        at = (np.arange(blocks) + 0.5) * block
        ends = (means.min(0), means.max(0))
        band = Band("learners", at, np.median(means, axis=0), {1.0: ends})
        rule = np.full(blocks, self.rule.returns(path).mean())
        rules = Band("the rule", at, rule, {}, line="mean")
        panel = BandPanel(f"Returns at {path}", "update", "mean discounted pay of a run", (band, rules))
        caption = "Learners explore while they learn; the band spans all seeds."
        return Figure(f"learning-{path.replace('/', '-')}", caption, (panel,))

    def _table(self, path: str) -> Table:
        returns, welfare = self.scores.returns(path).mean((1, 2)), self.scores.welfare().mean(1)
        rows = [(f"seed {s}", float(r), float(w)) for s, (r, w) in enumerate(zip(returns, welfare, strict=True))]
        rows.append(("the rule", float(self.rule.returns(path).mean()), float(self.rule.welfare().mean())))
        note = f"{self.scores.welfare().shape[1]} fresh runs each, the same random numbers for all."
        return Table(f"At {path}", ("who", "return", "welfare a step"), tuple(rows), note)


def learn(
    game: Game,
    algorithm: Algorithm,
    key: Key,
    *,
    budget: int,
    seeds: int = 4,
    runs: int = 64,
    frozen: tuple[Plug, ...] = (),
    patience: int = 0,
    folder: Path | str | None = None,
    progress: bool | Display | None = None,
) -> LearnedPolicies:
    """Train policies inside a model.

    **Arguments:**

    - `budget`: runs of the game that each seed may learn from.
    - `seeds`: trainings, from first policies of their own and with numbers of their own. One training says nothing
      about another.
    - `runs`: fresh runs to score what was learned, and the rules, by.
    - `frozen`: plugs that decide for those who do not learn, in place of the rule; seeds on the leading axis of their
      arrays.
    - `patience`: stop once the last so many rounds (there are twenty at most) have not brought returns significantly
      above those of as many before. 0: spend the budget. Where steps fall over a training (`PPO`,
      `EvolutionStrategies`), one that stops early has kept long ones.
    - `folder`: checkpoints, to go on from after an interruption. `progress`: show it (True, False, None for where there
      is a terminal), or a running display.

    **Returns:** a `LearnedPolicies`.

    **Raises:** `MethodError`, `UnknownSiteError` before any run; `FaultError` when a site is given a number outside its
    domain, `MethodError` when a reward is not finite; `CheckpointError`.
    """
    if seeds < 1 or runs < 2:
        raise MethodError(f"learn(seeds={seeds}, runs={runs}): one seed and two runs are the least")
    made = watched(game)
    training, scoring = jr.split(key)
    with display(progress) as shown:
        trained = train(Lesson(made, seeds, frozen), algorithm, training, budget, folder, shown, patience)
    keys = jr.split(scoring, runs)
    return LearnedPolicies(
        game=game,
        algorithm=type(algorithm).__name__,
        policies=unstacked(trained.policies),
        curve=trained.curve,
        scores=score(made, trained.policies, keys, frozen=frozen, sets=seeds),
        rule=score(made, {}, keys, frozen=taken(frozen, 0)),
        done=trained.done,
        verdicts={path: rest_verdict(path, curve) for path, curve in trained.curve.items()},
        history=tuple(unstacked(one) for one in unstacked(trained.history)),
    )


def unstacked(tree: Any) -> tuple[Any, ...]:
    """Trees that stand on the leading axis of the arrays of one."""
    count = jax.tree.leaves(tree)[0].shape[0]
    return tuple(taken(tree, one) for one in range(count))


@dataclass(frozen=True)
class Trained:
    """The end of a training: `policies` with seeds on the leading axis, the `curve`, the `history` with seeds and
    rounds on the leading axes, and why it ended.
    """

    policies: Policies
    curve: dict[str, np.ndarray]
    history: Policies
    done: Done


def train(
    lesson: Lesson,
    algorithm: Algorithm,
    key: Key,
    budget: int,
    folder: Path | str | None = None,
    shown: Display | None = None,
    patience: int = 0,
) -> Trained:
    """Train, and no more: nothing is scored."""
    game = lesson.watched.game
    ended = rounds(
        Training(algorithm, patience),
        lesson,
        key,
        budget=budget,
        ticker=Ticker(shown, f"{type(algorithm).__name__} in {type(game.model).__name__}", budget),
        folder=None if folder is None else Path(folder),
        identity={"game": fingerprint(game), "seeds": lesson.seeds, "frozen": fingerprint(lesson.frozen)},
    )
    state = ended.estimate
    policies = jax.vmap(lambda learned: algorithm.policies(lesson.watched, learned))(state.learned)
    return Trained(policies, state.curve, state.history, ended.done)


def rest_verdict(path: str, curve: np.ndarray) -> Verdict:
    """Whether returns had come to rest: the last quarter of a curve (seeds, updates) against the one before.

    Still changing, up or down: by more than two standard errors, of means over blocks of updates, and more than 2 % of
    the range that the curve covered.
    """
    quarter = curve.shape[1] // 4
    if quarter < 4:
        return Verdict(
            path, Code.UNJUDGED, f"{path}: {curve.shape[1]} updates are too few to say whether it is at rest."
        )
    change, error = rise(curve[:, -2 * quarter : -quarter], curve[:, -quarter:])
    span = float(np.ptp(np.median(curve, axis=0)))
    numbers = {"rise": change, "error": error, "span": span}
    if abs(change) > 2 * error and abs(change) > SMALL * span:
        way = "rose" if change > 0 else "fell"
        sentence = (
            f"{path}: returns still {way} by {abs(change):.3g} (error {error:.2g}) in the last quarter of the updates."
        )
        return Verdict(path, Code.STILL_CHANGING, sentence, numbers)
    sentence = f"{path}: over the last quarter of the updates returns changed by {change:.2g} (error {error:.2g})."
    return Verdict(path, Code.CONVERGED, sentence, numbers)
