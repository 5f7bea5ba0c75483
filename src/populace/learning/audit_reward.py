"""The verb `audit_reward`: whether a result is the model's, or only the reward's that was declared for it.

Agents do what they are paid for. Where another reward that would have told the same story leads elsewhere, the choice
among the two made the result: a degree of freedom of the modeller, as those of J. Simmons, L. Nelson and U. Simonsohn
(2011), "False-positive psychology", Psychological Science 22, 1359-1366.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from jaxtyping import Array, Float
from rich.progress import Progress

from .._errors import MethodError
from .._results import Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from .._types import Key
from ..core.noise import host_generator
from ..core.progress import display
from .algorithm import Algorithm, Lesson
from .game import Game, Step, Watched, watched
from .learn import train
from .rollout import score
from .statistics import Middle, middle_of

_HALF = 0.5


@dataclass(frozen=True)
class Retold:
    """The outcome a step of agents who learned in one game: its `level`, its `effect` against the rule and its `change`
    against that under the declared reward, each an interquartile mean with a 95 % interval; `kind`: what differs there,
    "reward" or "model".
    """

    name: str
    kind: str
    level: Middle
    effect: Middle
    change: Middle


@dataclass(frozen=True)
class RewardAudit(Result):
    """What an audit of a declared reward found.

    `rule`: the outcome a step under the rules; `declared`: under the declared reward; `others`: under other rewards,
    and in other models; `margin`: a change of less than this is none; `verdicts`: by subject.
    """

    rule: float
    declared: Retold
    others: tuple[Retold, ...]
    margin: float
    verdicts: dict[str, Verdict]
    seeds: int
    runs: int

    def sections(self) -> tuple[Section, ...]:
        text = (
            f"{self.seeds} trainings of each, with the same luck; {self.runs} fresh runs. A change of the outcome of "
            f"less than {self.margin:.3g} a step counts as none.",
            "Other rewards are those that were given: what nobody gave was not asked.",
        )
        verdicts = tuple(self.verdicts.values())
        return (Section("The declared reward", text, verdicts, (self._figure(),), (self._table(),)),)

    def record(self) -> dict[str, Any]:
        every = (self.declared, *self.others)
        return {
            "rule": self.rule,
            "margin": self.margin,
            "outcomes": {f"{one.kind}: {one.name}": list(one.level) for one in every},
            "changes": {f"{one.kind}: {one.name}": list(one.change) for one in self.others},
            "verdicts": {subject: verdict.record() for subject, verdict in self.verdicts.items()},
        }

    def _figure(self) -> Figure:
        every = (self.declared, *self.others)
        low, middle, high = (np.array([getattr(one.level, end) for one in every]) for end in ("low", "middle", "high"))
        names = tuple(one.name if one.kind == "reward" else f"{one.name} (model)" for one in every)
        emphasis = tuple(one is self.declared for one in every)
        panel = IntervalPanel("Outcome", "outcome a step", names, middle, low, high, emphasis, reference=self.rule)
        return Figure(
            "rewards", "The outcome by what agents were paid; the line is the rule. 95 % intervals.", (panel,)
        )

    def _table(self) -> Table:
        rows = [("the rule", "", self.rule, None, None, None)]
        rows += [(one.name, one.kind, one.level.middle, *one.change) for one in (self.declared, *self.others)]
        columns = ("who learned", "what differs", "outcome", "change", "low", "high")
        return Table("Outcomes", columns, tuple(rows), "The change against the declared reward, with a 95 % interval.")


def audit_reward(
    game: Game,
    algorithm: Algorithm,
    key: Key,
    *,
    rewards: Mapping[str, Game],
    budget: int,
    outcome: Callable[[Step], Float[Array, ""]] | None = None,
    models: Mapping[str, Game] | None = None,
    margin: float | None = None,
    seeds: int = 4,
    runs: int = 64,
    progress: bool | Progress | None = None,
) -> RewardAudit:
    """Ask whether a headline result follows from the model, or from the reward that was declared.

    Agents learn under the declared reward and under each other one that tells the same story: other coefficients where
    no data fix them, another discount, a proxy of what is meant. All trainings have the same luck. If the outcome moves
    by more than a margin, the declared reward decides it, and the advice is to keep the rule. With other `models`, in
    which the result should differ if it is the model's, the audit also says whether the declared reward alone decides.

    **Arguments:**

    - `game`: with the declared reward; `rewards`: name to a game with the same sites and another reward.
    - `algorithm`, `budget`: how agents learn, and how many runs of the game each training learns from.
    - `outcome`: from a `Step` to the number of the headline; by default the game's welfare.
    - `models`: name to a game with the declared reward in another model.
    - `margin`: a change of the outcome that matters; by default half of what learning under the declared reward moved
      it away from the rule's.
    - `seeds`, `runs`: trainings of each, and fresh runs.

    **Returns:** a `RewardAudit`.

    **Raises:** `MethodError`, `UnknownSiteError` before any training; as `learn` does.
    """
    models = models or {}
    if not rewards or seeds < 2 or runs < 8:
        raise MethodError(
            f"audit_reward(seeds={seeds}, runs={runs}): name one other reward or more; 2 seeds and 8 runs are the least"
        )
    if budget < algorithm.runs:
        raise MethodError(f"audit_reward(budget={budget}): one update takes {algorithm.runs} runs; give many")
    if margin is not None and margin <= 0:
        raise MethodError(f"audit_reward(margin={margin}): a change that matters lies above 0")
    headline = outcome or game.welfare
    if headline is None:
        raise MethodError("audit_reward: say what the result is, a number of a step: outcome=, or Game(welfare=)")
    told = {"the declared reward": game, **rewards}
    if len(told) != 1 + len(rewards):
        raise MethodError("audit_reward: 'the declared reward' is the game's own; call the other one otherwise")
    cases = [(name, "reward", one) for name, one in told.items()] + [(n, "model", one) for n, one in models.items()]
    made = [(name, kind, _asked(name, game, one, headline)) for name, kind, one in cases]
    training, running, drawing = jr.split(key, 3)
    keys, levels = jr.split(running, runs), []
    with display(progress) as shown:
        for _, _, here in made:
            policies = train(Lesson(here, seeds), algorithm, training, budget, shown=shown).policies
            levels.append((score(here, policies, keys, sets=seeds).welfare(), score(here, {}, keys).welfare()))
    generator, (first, rule) = host_generator(drawing), levels[0]
    every = [
        Retold(name, kind, *(middle_of(x, generator) for x in (level, level - by_rule, level - first)))
        for (name, kind, _), (level, by_rule) in zip(made, levels, strict=True)
    ]
    verdicts = judged(every[0], every[1:], margin)
    least = _HALF * abs(every[0].effect.middle) if margin is None else margin
    named = {verdict.subject: verdict for verdict in verdicts}
    return RewardAudit(float(rule.mean()), every[0], tuple(every[1:]), least, named, seeds, runs)


def _asked(name: str, game: Game, other: Game, headline: Callable[[Step], Array]) -> Watched:
    """A game whose welfare is the headline."""
    if other.learners.keys() != game.learners.keys():
        raise MethodError(
            f"audit_reward: in '{name}' agents learn at {sorted(other.learners)}, not at {sorted(game.learners)}"
        )
    return watched(dataclasses.replace(other, welfare=headline))


def judged(declared: Retold, others: list[Retold], margin: float | None) -> list[Verdict]:
    """A verdict on each other reward, and one on all of them against other models."""
    effect = declared.effect
    rewards = [one for one in others if one.kind == "reward"]
    models = [one for one in others if one.kind == "model"]
    if margin is None and effect.low <= 0 <= effect.high:
        sentence = (
            f"Learning moves the outcome by {effect.middle:+.2g} a step (95 %: {effect.low:+.2g} to "
            f"{effect.high:+.2g}) from the rule's: there is no result to be asked after; say what change matters "
            "(margin=)."
        )
        return [Verdict("the declared reward", Code.UNJUDGED, sentence, {"effect": effect.middle})]
    least = _HALF * abs(effect.middle) if margin is None else margin
    verdicts = [_of_reward(one, effect, least) for one in rewards]
    return [*verdicts, _of_models(verdicts, rewards, models, least)] if models else verdicts


def _moves(change: Middle, least: float) -> bool | None:
    """Whether a change is beyond what counts as none; None where its interval does not say."""
    if change.low > least or change.high < -least:
        return True
    return False if -least < change.low and change.high < least else None


def _of_reward(one: Retold, effect: Middle, least: float) -> Verdict:
    change = one.change
    numbers = {
        "effect": effect.middle,
        "change": change.middle,
        "low": change.low,
        "high": change.high,
        "margin": least,
    }
    sentence = (
        f"Under '{one.name}' learning moves the outcome by {one.effect.middle:+.3g} a step, under the declared reward "
        f"by {effect.middle:+.3g}: a change of {change.middle:+.3g} (95 %: {change.low:+.3g} to {change.high:+.3g})."
    )
    code = {True: Code.REWARD_DECIDES, False: Code.ANY_REWARD, None: Code.REWARD_OPEN}[_moves(change, least)]
    return Verdict(f"reward '{one.name}'", code, sentence, numbers)


def _of_models(verdicts: list[Verdict], rewards: list[Retold], models: list[Retold], least: float) -> Verdict:
    """Whether the declared reward alone decides: other rewards move the outcome, and no other model does."""
    most = [max((abs(one.change.middle) for one in some), default=0.0) for some in (rewards, models)]
    numbers = {"rewards": most[0], "models": most[1], "margin": least}
    both = f"Other rewards move the outcome by up to {most[0]:.3g} a step, other models by up to {most[1]:.3g}"
    moves = [_moves(one.change, least) for one in models]
    subject = "reward against model"
    if True in moves:
        return Verdict(subject, Code.MODEL_COUNTS, f"{both}.", numbers)
    if None in moves or Code.REWARD_OPEN in {verdict.code for verdict in verdicts}:
        return Verdict(subject, Code.UNJUDGED, f"{both}; the intervals do not say whether that matters.", numbers)
    if Code.REWARD_DECIDES in {verdict.code for verdict in verdicts}:
        sentence = f"{both}, which counts as nothing: the result is what the declared reward asks for, in any of them."
        return Verdict(subject, Code.REWARD_ALONE, sentence, numbers)
    return Verdict(subject, Code.ANY_REWARD, f"{both}: nothing that was tried moves it.", numbers)
