"""The verb `plan`: an instrument for the good of all, found with agents who learn to live with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree
from rich.progress import Progress as Display

from .._errors import MethodError
from .._results import Band, BandPanel, Figure, Points, Result, Section, Table, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.fingerprint import fingerprint
from ..core.host import joined, taken
from ..core.noise import host_generator
from ..core.policy import Policy
from ..core.progress import display
from ..core.rounds import Done
from .algorithm import Algorithm
from .deviations import repeated
from .game import Game, Policies
from .learn import rest_verdict, unstacked
from .plan_findings import against_fixed, against_rule, with_agents_anew
from .plan_longer import TIMES, Longer, still_learning, taught_longer
from .plan_search import Sought, sought
from .planner import Office, Planner, office, seeing
from .planning import Teaching
from .policies import FixedPolicy
from .proof import Proof, proved
from .response_surface import Peak
from .statistics import Middle, middle_of


@dataclass(frozen=True)
class Planned(Result):
    """What a planner found, and what agents who begin anew make of it.

    `game`: the agents' game with the planner in it, as `learn` and `audit_policy` take it; `policy`: what decides at
    the planner's site; `agents`: one set of their policies a fresh training. `chosen` (m,): the instrument as numbers
    where it is always the same, else empty, with its standard `error` (m,) where a parabola says it (`peak`); `steady`
    (m,): the best that is always the same, also of a planner that sees. `tried` (rounds, candidates, m), `welfare`
    (rounds, candidates): the search. `proof`: trainings from fresh seeds, with the plan and without, and under fixed
    instruments; `longer`: trainings of more updates; `gain`: of welfare a step over that without, with its 95 %
    interval.
    """

    game: Game
    planner: Planner
    policy: Policy
    agents: tuple[Policies, ...]
    chosen: np.ndarray
    error: np.ndarray
    steady: np.ndarray
    peak: Peak | None
    tried: np.ndarray
    welfare: np.ndarray
    proof: Proof
    longer: Longer
    gain: Middle
    done: Done
    verdicts: dict[str, Verdict]

    def plugs(self, seed: int = 0) -> tuple[Any, ...]:
        """What makes the planner and the agents of one fresh training decide, for `pop.simulate` and the like."""
        return self.game.with_policies(self.agents[seed])

    def sections(self) -> tuple[Section, ...]:
        text = [f"At '{self.planner.site}': {self.done.sentence}, with agents who learned anew to live with each."]
        if self.chosen.size:
            text.append(
                f"The instrument is {self._said()}. The error is that of the search; how far agents who had not "
                "learned enough moved it, a verdict says."
            )
        if self.planner.hidden is not None:
            text.append(f"It answers what is seen. The search began near the best fixed one: {_numbers(self.steady)}.")
        verdicts = tuple(self.verdicts.values())
        return (Section("What was planned", tuple(text), verdicts, (self._figure(),), (self._table(),)),)

    def record(self) -> dict[str, Any]:
        return {
            "site": self.planner.site,
            "done": self.done.sentence,
            "chosen": self.chosen.tolist(),
            "error": self.error.tolist(),
            "steady": self.steady.tolist(),
            "search": self.welfare.tolist(),
            "gain": list(self.gain),
            "welfare": {
                "plan": self.proof.plan.welfare().mean(1).tolist(),
                "without": self.proof.without.welfare().mean(1).tolist(),
                "fixed": self.proof.fixed.welfare().mean(1).tolist(),
            },
            "verdicts": {subject: verdict.record() for subject, verdict in self.verdicts.items()},
        }

    def _said(self) -> str:
        if not self.error.size:
            return _numbers(self.chosen)
        return ", ".join(f"{x:.4g} (error {e:.1g})" for x, e in zip(self.chosen, self.error, strict=True))

    def _figure(self) -> Figure:
        caption = (
            "Welfare a step in the rounds of the search, where agents learn anew to live with each candidate; the "
            "level lines are means of fresh trainings."
        )
        if self.chosen.size != 1 or self.peak is None:
            return Figure("plan", caption, (self._search(),))
        caption += (
            " Right: what the later candidates brought, each round moved to one level, and the parabola through it."
        )
        return Figure("plan", caption, (self._search(), self._curve(self.peak)))

    def _search(self) -> BandPanel:
        at = np.arange(1, len(self.welfare) + 1)
        band = Band("candidates", at, np.median(self.welfare, 1), {1.0: (self.welfare.min(1), self.welfare.max(1))})
        lines = [
            Band(name, at, np.full(at.size, scores.welfare().mean()), {}, line="mean")
            for name, scores in (("with the plan", self.proof.plan), ("without", self.proof.without))
        ]
        return BandPanel("The search", "round", "welfare a step", (band, *lines))

    def _curve(self, top: Peak) -> BandPanel:
        late = len(self.welfare) // 2
        tried, welfare = self.tried[late:], self.welfare[late:]
        below = np.stack([top.below(one) for one in tried])
        level = welfare.mean() - below.mean()
        points = Points(
            "candidates", tried.ravel(), (welfare - (welfare - below).mean(1, keepdims=True) + level).ravel()
        )
        x = np.linspace(tried.min(), tried.max(), 60)
        band = Band("parabola", x, level + top.below(x[:, None]), {}, line="fit")
        return BandPanel("The instrument", self.planner.site, "welfare a step", (band,), (points,))

    def _table(self) -> Table:
        rows = [
            ("the plan", *_span(self.proof.plan.welfare().mean(1))),
            ("without", *_span(self.proof.without.welfare().mean(1))),
        ]
        means = self.proof.fixed.welfare().mean(1)
        rows += [(f"always {name}", float(w), None, None) for name, w in zip(self.proof.names, means, strict=True)]
        note = "Welfare a step with agents who began anew: means, and the lowest and highest of the trainings."
        return Table("Agents anew", ("instrument", "welfare", "lowest", "highest"), tuple(rows), note)


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _span(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.mean()), float(values.min()), float(values.max())


def plan(
    game: Game,
    planner: Planner,
    algorithm: Algorithm,
    key: Key,
    *,
    budget: int,
    seeds: int = 4,
    runs: int = 32,
    points: int = 8,
    folder: Path | str | None = None,
    progress: bool | Display | None = None,
) -> Planned:
    """Find what an instrument should be, given that agents answer it.

    The planner tries candidates; under each the agents of the game learn anew, all with the same luck, and the planner
    moves towards those that brought most welfare. An instrument that is one and the same number all the time ends at
    the top of a parabola through what the later candidates brought, if it has one. Then the proof: agents from fresh
    seeds under what was found, under the site's rule, and under fixed instruments that cover what it may be; and
    agents who learn three times as long, under what was found and what lies beside it.

    A planner that sees is searched as one that does not, and then again from what was found.

    **Arguments:**

    - `game`: of the agents, with its `welfare` declared (what a tax takes from them and does not destroy belongs to
      it). Nobody learns at the planner's site.
    - `algorithm`, `budget`: how agents learn, and how many runs of the game each training learns from.
    - `seeds`: fresh trainings of the proof, with the plan and without.
    - `runs`: fresh runs that welfare is scored in.
    - `points`: fixed instruments on an interval; of options all are tried.
    - `folder`, `progress`: as of `learn`; a checkpoint is written after each round.

    **Returns:** a `Planned`.

    **Raises:** `MethodError`, `UnknownSiteError`, `UnknownParameterError`, `DomainError` before any training; as
    `learn` does.
    """
    if seeds < 2 or runs < 8 or points < 2:
        raise MethodError(f"plan(seeds={seeds}, runs={runs}, points={points}): 2 seeds, 8 runs, 2 points are the least")
    updates = budget // algorithm.runs
    if updates < 1:
        raise MethodError(f"plan(budget={budget}): one update takes {algorithm.runs} runs; give many")
    made, teaching = office(game, planner), Teaching(algorithm, updates, runs)
    with display(progress) as shown:
        steps = _Steps(game, teaching, key, shown, None if folder is None else Path(folder))
        steady = found = steps.searched(made, "plan", 0)
        if planner.hidden is not None:
            found = steps.searched(steps.seeing(steady), "plan-seeing", 4)
        fixed = made.fixed(points)
        if planner.hidden is not None:
            fixed = joined([fixed, steady.policy])
        proof, longer = steps.proved(found, fixed, seeds)
    gain = middle_of(proof.plan.welfare() - proof.without.welfare(), host_generator(jr.fold_in(key, 3)))
    own, fixed_one = taken(found.policy, 0), np.asarray(ravel_pytree(steady.policy)[0], np.float64)
    return Planned(
        game=planner.instrument.placed(game, planner.actions, own),
        planner=planner,
        policy=own,
        agents=unstacked(proof.agents),
        chosen=fixed_one if planner.hidden is None else np.zeros(0),
        error=np.zeros(0) if found.top is None else found.top.error,
        steady=fixed_one,
        peak=found.top,
        tried=found.x,
        welfare=found.state.welfare,
        proof=proof,
        longer=longer,
        gain=gain,
        done=found.done,
        verdicts=_judged(planner.site, gain, found, proof, longer),
    )


class _Steps(NamedTuple):
    """What `plan` does, in turn."""

    game: Game
    teaching: Teaching
    key: Key
    shown: Display | None
    folder: Path | None

    def searched(self, made: Office, name: str, number: int) -> Sought:
        planner, model = made.planner, type(self.game.model).__name__
        whole = planner.rounds * planner.candidates * self.teaching.calls
        ticker = Ticker(
            self.shown, f"{name} at {planner.site}: {type(self.teaching.algorithm).__name__} in {model}", whole
        )
        folder = None if self.folder is None else self.folder / name
        identity = {"game": fingerprint(self.game), "planner": fingerprint(planner)}
        return sought(made, self.teaching, self._key(number), ticker, folder, identity)

    def seeing(self, steady: Sought) -> Office:
        """Agents learn to live with what was found, to see what the planner then sees."""
        made, block = steady.office, steady.office.planner.candidates
        learning, looking = jr.split(jr.fold_in(self.key, 5))
        frozen = made.plugs(repeated(steady.policy, block))
        keys = taken(learning[None], np.zeros(block, int))
        ticker = Ticker(self.shown, "what is seen", block * self.teaching.calls)
        answer = self.teaching.answered(made, frozen, keys, looking, ticker)
        return seeing(made, steady.middle, taken(answer.policies, 0), looking)

    def proved(self, found: Sought, fixed: FixedPolicy, seeds: int) -> tuple[Proof, Longer]:
        points = jax.tree.leaves(fixed)[0].shape[0]
        more = 2 * (1 + TIMES) * found.office.planner.candidates
        ticker = Ticker(self.shown, "agents anew", (2 * seeds + points + more) * self.teaching.calls)
        proof = proved(found.office, self.teaching, found.policy, fixed, self._key(1), seeds, ticker)
        return proof, taught_longer(found, self.teaching, jr.fold_in(self.key, 6), ticker)

    def _key(self, number: int) -> Key:
        """Of the search and of the proof."""
        return jr.split(self.key)[number] if number < 2 else jr.fold_in(self.key, number)


def _judged(site: str, gain: Middle, found: Sought, proof: Proof, longer: Longer) -> dict[str, Verdict]:
    verdicts = [against_rule(site, gain), with_agents_anew(found.state.welfare, proof), against_fixed(site, proof)]
    verdicts.append(still_learning(site, found, longer, proof))
    verdicts += [rest_verdict(path, curve) for path, curve in proof.curves.items()]
    return {verdict.subject: verdict for verdict in verdicts}
