"""The verb `plan`: an instrument for the good of all, found with agents who learn to live with it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree
from rich.progress import Progress as Display

from .._errors import MethodError
from .._results import Band, BandPanel, Figure, Points, Result, Section, Table, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.fingerprint import fingerprint
from ..core.host import placed, taken
from ..core.noise import host_generator
from ..core.plug import Deciding
from ..core.policy import Policy
from ..core.progress import display
from ..core.rounds import Done, rounds
from .algorithm import Algorithm
from .game import Game, Policies
from .learn import rest_verdict, unstacked
from .plan_findings import against_fixed, against_rule, with_agents_anew
from .planner import Office, Planner, office
from .planning import Planning, Search, Teaching
from .policies import FixedPolicy
from .proof import Proof, proved
from .response_surface import Peak, peak
from .statistics import Middle, middle_of


@dataclass(frozen=True)
class Planned(Result):
    """What a planner found, and what agents who begin anew make of it.

    `game`: the agents' game with the planner in it, as `learn` and `audit_policy` take it; `policy`: what decides at
    the planner's site; `agents`: one set of their policies a fresh training. `chosen` (m,): the instrument as numbers
    where it is always the same, else empty, with its standard `error` (m,) where a parabola says it (`peak`). `tried`
    (rounds, candidates, m), `welfare` (rounds, candidates): the search. `proof`: trainings from fresh seeds, with the
    plan and without, and under fixed instruments; `gain`: of welfare a step over that without, with its 95 % interval.
    """

    game: Game
    planner: Planner
    policy: Policy
    agents: tuple[Policies, ...]
    chosen: np.ndarray
    error: np.ndarray
    peak: Peak | None
    tried: np.ndarray
    welfare: np.ndarray
    proof: Proof
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
                f"The instrument is {self._said()}. The error is that of the search, not of agents who had not learned "
                "enough: a larger budget shows these."
            )
        verdicts = tuple(self.verdicts.values())
        return (Section("What was planned", tuple(text), verdicts, (self._figure(),), (self._table(),)),)

    def record(self) -> dict[str, Any]:
        return {
            "site": self.planner.site,
            "done": self.done.sentence,
            "chosen": self.chosen.tolist(),
            "error": self.error.tolist(),
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
        errors = self.error if self.error.size else np.full(self.chosen.size, np.nan)
        parts = [f"{x:.4g}" + (f" (error {e:.1g})" if e > 0 else "") for x, e in zip(self.chosen, errors, strict=True)]
        return ", ".join(parts)

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
    seeds under what was found, under the site's rule, and under fixed instruments that cover what it may be.

    **Arguments:**

    - `game`: of the agents, with its `welfare` declared (what a tax takes from them and does not destroy belongs to
      it). Nobody learns at the planner's site.
    - `algorithm`, `budget`: how agents learn, and how many runs of the game each training learns from.
    - `seeds`: fresh trainings of the proof, with the plan and without.
    - `runs`: fresh runs that welfare is scored in.
    - `points`: fixed instruments on an interval; of options all are tried.
    - `folder`, `progress`: as of `learn`; a checkpoint is written after each round.

    **Returns:** a `Planned`.

    **Raises:** `MethodError`, `UnknownSiteError` before any training; as `learn` does.
    """
    if seeds < 2 or runs < 8 or points < 2:
        raise MethodError(f"plan(seeds={seeds}, runs={runs}, points={points}): 2 seeds, 8 runs, 2 points are the least")
    updates = budget // algorithm.runs
    if updates < 1:
        raise MethodError(f"plan(budget={budget}): one update takes {algorithm.runs} runs; give many")
    made = office(game, planner, jr.fold_in(key, 2))
    teaching = Teaching(algorithm, updates, runs)
    searching, proving = jr.split(key)
    whole = planner.rounds * planner.candidates * teaching.calls
    with display(progress) as shown:
        ended = rounds(
            Planning(teaching, planner.rounds, planner.candidates, planner.spread),
            made,
            searching,
            budget=whole,
            ticker=Ticker(
                shown, f"plan at {planner.site}: {type(algorithm).__name__} in {type(game.model).__name__}", whole
            ),
            folder=None if folder is None else Path(folder),
            identity={"game": fingerprint(game), "planner": fingerprint(planner)},
        )
        tried = _actions(made, ended.estimate)
        top, policy = _ended(made, ended.estimate, tried)
        ticker = Ticker(shown, "agents anew", (2 * seeds + points) * teaching.calls)
        proof = proved(made, teaching, policy, proving, (seeds, points, planner.candidates), ticker)
    gain = middle_of(proof.plan.welfare() - proof.without.welfare(), host_generator(jr.fold_in(key, 3)))
    own = taken(policy, 0)
    return Planned(
        game=dataclasses.replace(game, plugs=(Deciding(planner.site, own), *game.plugs)),
        planner=planner,
        policy=own,
        agents=unstacked(proof.agents),
        chosen=np.asarray(ravel_pytree(own.action)[0], np.float64) if isinstance(own, FixedPolicy) else np.zeros(0),
        error=np.zeros(0) if top is None else top.error,
        peak=top,
        tried=tried,
        welfare=ended.estimate.welfare,
        proof=proof,
        gain=gain,
        done=ended.done,
        verdicts=_judged(planner.site, gain, ended.estimate, proof),
    )


def _judged(site: str, gain: Middle, state: Search, proof: Proof) -> dict[str, Verdict]:
    verdicts = [against_rule(site, gain), with_agents_anew(state.welfare, proof), against_fixed(site, proof)]
    verdicts += [rest_verdict(path, curve) for path, curve in proof.curves.items()]
    return {verdict.subject: verdict for verdict in verdicts}


def _actions(made: Office, state: Search) -> np.ndarray:
    """(rounds, candidates, m): the instruments tried, as numbers; m = 0 where they are no numbers, or not the same."""
    count, candidates, size = state.tried.shape
    if made.policy is not None:
        return np.zeros((count, candidates, 0))
    fixed = made.policies(state.tried.reshape(-1, size))
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(fixed)]
    return np.concatenate([leaf.reshape(count, candidates, -1) for leaf in leaves], axis=-1).astype(np.float64)


def _ended(made: Office, state: Search, tried: np.ndarray) -> tuple[Peak | None, Policy]:
    """The parabola over the later half of the rounds, if it has a top, and the policy found, one set of it."""
    late = len(state.welfare) // 2
    last = state.tried[late:].mean((0, 1))
    policy = made.policies(last[None])
    numbers = all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(policy))
    top = peak(tried[late:], state.welfare[late:]) if tried.shape[2] and numbers else None
    if top is None or not isinstance(policy, FixedPolicy):
        return None, policy
    _, back = ravel_pytree(taken(policy.action, 0))
    return top, FixedPolicy(taken(back(placed(top.at)), np.newaxis))
