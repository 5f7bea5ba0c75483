"""A fish war: harvesters who learn, against their manager's rule, the Nash shares and cooperation.

D. Levhari and L. J. Mirman (1980, Bell Journal of Economics 11:322) solved the game, so that what is learned can be set
beside the answer; then the first training is read, as a rule of one term. Two harvesters learn the Nash shares, and
with them the tragedy. Five who begin by asking for more than there is learn something else: to live on the ration, a
rule of the model's and not of the paper's. The audit has to tell one from the other.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array
from rich.progress import Progress

from .._results import Code, Figure, IntervalPanel, Result, Section, Table
from .._types import Key
from ..core.ensemble import ensemble
from ..core.plug import Deciding, Plug
from ..learning.actions import Continuous
from ..learning.audit import PolicyAudit, audit_policy
from ..learning.distillation import Distilled, distil
from ..learning.game import Game, Learner, Step
from ..learning.learn import LearnedPolicies, learn
from ..learning.policies import FixedPolicy
from ..learning.ppo import PPO
from ..learning.students import Formula
from ..zoo.fishery import Fishery, cooperative_share, nash_share
from .study import Findings, Part, Study

DISCOUNT = 0.96
STEPS = 64
SEEDS = 4
RUNS = 64
LEAST = 1e-6
"""The catch below which utility falls no further: a reward is finite whatever anybody does."""


def game(harvesters: int, first: float | None = None, steps: int = STEPS) -> Game:
    """Utility log c of the own catch; the ration is declared as a limit.

    **Arguments:** `first`: the share of the stock that first policies ask for, a half if None.
    """
    model = Fishery(harvesters)

    def utility(step: Step) -> Array:
        return jnp.log(jnp.maximum(step.after.catch, LEAST))

    def ration(step: Step) -> Array:
        return step.actions["harvest"].sum() > model.most

    learner = Learner(utility, Continuous(0.0, 1.0, first=first), discount=DISCOUNT)
    return Game(model, steps, {"harvest": learner}, limits={"ration": ration})


@dataclass(frozen=True)
class Shares(Result):
    """Who takes what: rows (who, catch as a part of the stock, stock, catch a harvester), means of the later halves of
    runs. `learned`: training by training.
    """

    harvesters: int
    rows: dict[str, tuple[float, float, float]]
    learned: tuple[tuple[float, float, float], ...]

    def sections(self) -> tuple[Section, ...]:
        columns = ("who", "part of the stock taken", "stock", "catch a harvester")
        trained = {f"learned, training {s}": row for s, row in enumerate(self.learned)}
        table = Table("What is taken", columns, tuple((who, *row) for who, row in {**self.rows, **trained}.items()))
        names = (*self.rows, "learned")
        taken = np.array([row[0] for row in self.learned])
        middle = np.array([*(row[0] for row in self.rows.values()), np.median(taken)])
        low, high = middle.copy(), middle.copy()
        low[-1], high[-1] = taken.min(), taken.max()
        emphasis = tuple(name == "learned" for name in names)
        panel = IntervalPanel("All harvesters together", "part of the stock taken", names, middle, low, high, emphasis)
        figure = Figure(f"shares-{self.harvesters}", "The bar spans all trainings.", (panel,))
        return (Section("What is taken", figures=(figure,), tables=(table,)),)

    def record(self) -> dict[str, Any]:
        return {"taken": {who: row[0] for who, row in self.rows.items()}, "learned": [row[0] for row in self.learned]}


def shares(learned: LearnedPolicies, key: Key) -> Shares:
    """The learned beside the rule, the Nash shares and cooperation, under the same random numbers."""
    model = learned.game.model
    assert isinstance(model, Fishery)
    n = model.harvesters

    def row(plugs: tuple[Plug, ...]) -> tuple[float, float, float]:
        seen = ensemble(model, key, STEPS, runs=RUNS, plugs=plugs, progress=False).observations
        caught, stock = (seen[name][0][:, STEPS // 2 :] for name in ("caught", "stock"))
        before = seen["stock"][0][:, STEPS // 2 - 1 : -1]
        return float((caught / before).mean()), float(stock.mean()), float(caught.mean() / n)

    def always(share: float) -> tuple[Plug, ...]:
        return (Deciding("harvest", FixedPolicy(share)),)

    rows = {"the rule": row(()), "Nash": row(always(nash_share(n))), "cooperation": row(always(cooperative_share(n)))}
    return Shares(n, rows, tuple(row(learned.plugs(s)) for s in range(len(learned.policies))))


class FishWar(Study):
    """Two harvesters from modest first policies, and five from greedy ones: trained, compared, audited."""

    name = "fishery"
    title = "A fish war: harvesters who learn, and the audit of what they learned"
    question = "Do harvesters who learn come to the Nash shares, and does the audit notice when they do not?"
    budget = 9_600
    waters: tuple[tuple[int, float], ...] = ((2, 0.3), (5, 0.5))
    """Harvesters, and the share that their first policies ask for."""

    def run(self, key: Key, budget: int, folder: Path, progress: Progress | None) -> Findings:
        results: list[Result] = []
        headline: list[str] = []
        summary: dict[str, Any] = {}
        for number, (n, first) in enumerate(self.waters):
            training, auditing, comparing, reading = jr.split(jr.fold_in(key, number), 4)
            learned = learn(
                game(n, first),
                PPO(decay=0.8),
                training,
                budget=budget,
                seeds=SEEDS,
                folder=folder / f"harvesters{n}",
                progress=progress or False,
            )
            audit = audit_policy(learned.game, learned.policies, auditing, runs=RUNS, progress=progress or False)
            taken = shares(learned, comparing)
            read = distil(learned.game, learned.policies[0], reading, into=Formula(terms=1))
            title = f"{n} harvesters who first ask for {first:g} of the stock each"
            results += [Part(title, taken), Part(title, audit), Part(title, read), Part(title, learned)]
            headline += [*_headline(taken, audit), _read(n, read)]
            parts = {"audit": audit.record(), "rule": read.record(), "learning": learned.record()}
            summary[f"harvesters_{n}"] = {**taken.record(), **parts}
        return Findings(tuple(headline), tuple(results), {}, summary)


def _headline(taken: Shares, audit: PolicyAudit) -> list[str]:
    n, rows = taken.harvesters, taken.rows
    middle = float(np.median([row[0] for row in taken.learned]))
    catch = float(np.median([row[2] for row in taken.learned]))
    text = (
        f"{n} harvesters learn to take {100 * middle:.1f} % of the stock together, where the Nash shares are "
        f"{100 * rows['Nash'][0]:.1f} % and cooperation {100 * rows['cooperation'][0]:.1f} %; each catches "
        f"{100 * (1 - catch / rows['cooperation'][2]):.0f} % less than under cooperation."
    )
    ration = audit.verdicts["limit 'ration'"]
    if ration.code is Code.LEANS_ON_LIMIT:
        return [text, f"This is not the game of the paper: {ration.sentence[0].lower()}{ration.sentence[1:]}"]
    found = "finds nothing against it." if audit.sound else f"objects: {audit.objections()[0].sentence}"
    return [text, f"The audit {found}"]


def _read(harvesters: int, read: Distilled) -> str:
    """What the first training learned, in one line."""
    lines = "; ".join(read.texts["harvest"])
    held = "It can stand for" if read.faithful else "It cannot stand for"
    return f"The first training of {harvesters} reads: {lines}. {held} the policy: {read.verdicts['harvest'].sentence}"
