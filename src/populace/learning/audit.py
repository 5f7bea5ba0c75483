"""The verb `audit_policy`: what must be asked of learned policies before anyone reads economics off them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import MethodError
from .._results import Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.noise import host_generator
from ..core.progress import display
from . import findings
from .algorithm import Algorithm
from .at_site import AtSite, Baselines, at_site
from .deviations import Deviation, Play, deviators
from .exchange import Reliance, as_table
from .forbidden import forbidden
from .game import Game, Policies, watched
from .history import Moments, moments, over_training
from .rollout import score
from .splitting import Split, split_play, splitting
from .statistics import middle_of

OBJECTIONS = (
    *(Code.DEVIATION_PAYS, Code.PAIR_SPECIFIC, Code.LEANS_ON_LIMIT, Code.BREAKS_LEDGER),
    *(Code.PROXY, Code.ARTEFACT, Code.NO_BETTER, Code.CYCLES, Code.LEAK, Code.STREAM),
    *(Code.SPLIT_PAYS, Code.FORBIDDEN_DONE),
)
"""Classes that speak against reading the policies."""


@dataclass(frozen=True)
class PolicyAudit(Result):
    """What an audit found.

    `verdicts`: subject to verdict; `baselines`: site to rows (who, return with its 95 % interval, welfare a step);
    `deviations`: what single agents gain by leaving the others, and the rule; `matrices`: site to (sets, sets), the
    return of one agent with the policy of the row among others of the column; `reliances`: site to what becomes of
    the gain without each part of the view; `moments`: site to the trainings' moments held against each other, where a
    history was given.
    """

    verdicts: dict[str, Verdict]
    baselines: dict[str, Baselines]
    deviations: tuple[Deviation, ...]
    from_rule: tuple[Deviation, ...]
    matrices: dict[str, np.ndarray]
    reliances: dict[str, tuple[Reliance, ...]]
    moments: dict[str, tuple[Moments, ...]]
    sets: int
    runs: int

    def objections(self) -> tuple[Verdict, ...]:
        """The verdicts that speak against reading these policies."""
        return tuple(v for v in self.verdicts.values() if v.code in OBJECTIONS)

    @property
    def sound(self) -> bool:
        """Whether nothing that was asked speaks against the policies."""
        return not self.objections()

    def sections(self) -> tuple[Section, ...]:
        objections = self.objections()
        text = (
            f"{self.sets} set{'s' if self.sets != 1 else ''} of policies, {self.runs} fresh runs each, the same random "
            "numbers for all who are compared.",
            "Nothing that was asked speaks against these policies. What was not declared was not asked."
            if self.sound
            else "1 objection: do not read the policies before it is answered."
            if len(objections) == 1
            else f"{len(objections)} objections: do not read the policies before they are answered.",
        )
        ordered = sorted(self.verdicts.values(), key=lambda v: v.code not in OBJECTIONS)
        figures = tuple(self._figure(path) for path in self.baselines)
        tables = [self._baselines(path) for path in self.baselines]
        if self.deviations or self.from_rule:
            tables.append(self._deviations())
        tables += [self._matrix(path) for path in self.matrices]
        tables += [as_table(path, found) for path, found in self.reliances.items() if found]
        for path, trainings in self.moments.items():
            tables += [one.as_table(f"Training {n} at {path}") for n, one in enumerate(trainings)]
        return (Section("Audit of the policies", text, tuple(ordered), figures, tuple(tables)),)

    def record(self) -> dict[str, Any]:
        return {
            "sound": self.sound,
            "sets": self.sets,
            "verdicts": {subject: verdict.record() for subject, verdict in self.verdicts.items()},
            "baselines": {path: [list(row) for row in rows] for path, rows in self.baselines.items()},
            "deviations": [
                {"site": d.path, "agent": d.agent, "how": d.how, "gain": d.gain, "error": d.error}
                for d in self.deviations
            ],
            "cross_play": {path: matrix.tolist() for path, matrix in self.matrices.items()},
            "over_training": {path: [one.table.tolist() for one in many] for path, many in self.moments.items()},
        }

    def _figure(self, path: str) -> Figure:
        rows = self.baselines[path]
        middle, low, high = (np.array([row[i] for row in rows]) for i in (1, 2, 3))
        emphasis = tuple(row[0] == "learned" for row in rows)
        reference = next(row[1] for row in rows if row[0] == "the rule")
        panel = IntervalPanel(
            f"At {path}", "return", tuple(row[0] for row in rows), middle, low, high, emphasis, reference
        )
        caption = "Interquartile means with 95 % intervals; the line is the rule's."
        return Figure(f"baselines-{path.replace('/', '-')}", caption, (panel,))

    def _baselines(self, path: str) -> Table:
        columns = ("who", "return", "2.5 %", "97.5 %", "welfare a step")
        note = "Returns: discounted pay of a run, interquartile mean; intervals by bootstrap over trainings and runs."
        return Table(f"Against baselines at {path}", columns, self.baselines[path], note)

    def _deviations(self) -> Table:
        rows = [("the learned", d.path, d.agent, d.how, d.gain, d.error) for d in self.deviations]
        rows += [("the rule", d.path, d.agent, d.how, d.gain, d.error) for d in self.from_rule]
        columns = ("leaving", "site", "agent", "for", "gain", "error")
        return Table("One agent deviates", columns, tuple(rows), "The gain in that agent's own return.")

    def _matrix(self, path: str) -> Table:
        matrix = self.matrices[path]
        columns = ("policy of", *(f"among {c}" for c in range(matrix.shape[1])))
        rows = tuple((f"training {r}", *(float(v) for v in row)) for r, row in enumerate(matrix))
        return Table(
            f"Cross-play at {path}", columns, rows, "The return of one agent among others of another training."
        )


def audit_policy(
    game: Game,
    policies: Policies | Sequence[Policies],
    key: Key,
    *,
    runs: int = 64,
    points: int = 21,
    deviator: Algorithm | None = None,
    budget: int = 0,
    variants: Mapping[str, Game] | None = None,
    splits: Mapping[str, Split] | None = None,
    beyond: float = 0.0,
    history: Sequence[Sequence[Policies]] = (),
    progress: bool | Progress | None = None,
) -> PolicyAudit:
    """Audit policies in a game.

    Asked is: whether they do better than the rule, than chance and than any fixed action; whether one agent gains by
    deviating; whether they play alike with agents of other trainings; what of the gain hangs on each part of what
    agents see, and on the source of random numbers; how often the game's limits bind under them and under the rule;
    whether its ledgers hold; whether welfare falls while pay rises; what remains of the gain in variants in which a
    loophole is closed; what the model makes of actions that are not allowed; whether an agent that stands as several
    earns more; and whether training went round, or had come to rest.

    Where the game goes on, runs are as long as it takes until later pay counts for little (`Game.to_the_end`).

    **Arguments:**

    - `policies`: one set, site to policy, or one a training (`LearnedPolicies.policies`), of the same structure.
    - `runs`: fresh runs for every comparison.
    - `points`: how many fixed actions are tried on an interval.
    - `deviator`, `budget`: an algorithm that trains one agent against the others' frozen policies, and its runs. None:
      only fixed deviations are tried.
    - `variants`: name to a game with the same sites in which a loophole is closed: a finer time step or grid, a cap
      lifted, a birth without a subsidy.
    - `splits`: name to the game in which some agents stand as several (`Split`).
    - `beyond`: how far outside the ends of an interval one agent's actions are tried, in parts of the interval; 0: not
      at all. Options that `Discrete(allowed=)` masks are tried always; those inside `Mixed` are not.
    - `history`: of each training its policies at several moments (`LearnedPolicies.history`): they are held against
      each other.

    **Returns:** a `PolicyAudit`. What it says holds for what was declared: a limit that nobody named is not counted.

    **Raises:** `MethodError`, `UnknownSiteError` before any run; `FaultError` when a run meets one.
    """
    sets = (policies,) if isinstance(policies, Mapping) else tuple(policies)
    _check(game, sets, runs, deviator, budget, beyond)
    made = watched(game.to_the_end())
    closed = {name: watched(variant.to_the_end()) for name, variant in (variants or {}).items()}
    run_key, train_key, boot_key = jr.split(key, 3)
    past_key = jr.fold_in(key, 3)
    keys, generator = jr.split(run_key, runs), host_generator(boot_key)
    with display(progress) as shown:
        ticker = Ticker(shown, "audit of the policies", len(game.learners) * (1 + len(history)) + 1)
        pair = Play(made, sets, keys), Play(made, ({},), keys)
        divided = {name: (split, split_play(name, pair[0], split)) for name, split in (splits or {}).items()}
        learned, rule = (play.scores for play in pair)
        other = _other_stream(run_key, runs)
        elsewhere = score(made, pair[0].together, other, sets=len(sets)), score(made, {}, other)
        ticker.advance(1)
        at: dict[str, AtSite] = {}
        for number, path in enumerate(game.learners):
            training = None if deviator is None else (deviator, jr.fold_in(train_key, number), budget)
            at[path] = at_site(pair, elsewhere, path, points, training, generator)
            ticker.advance(1)
        past: dict[str, tuple[Moments, ...]] = {}
        for path in game.learners if history else ():
            past[path] = ()
            for number, one in enumerate(history):
                past[path] += (moments(made, one, path, jr.fold_in(past_key, number), runs),)
                ticker.advance(1)
        verdicts = [verdict for site in at.values() for verdict in site.verdicts]
        verdicts += [verdict for path, trainings in past.items() for verdict in over_training(path, trainings)]
        verdicts += [findings.limit(name, learned, rule) for name in game.limits]
        verdicts += [findings.ledger(name, learned, rule) for name in game.conserved]
        if game.welfare is not None:
            change = middle_of(learned.welfare() - rule.welfare(), generator)
            verdicts += findings.proxy(change, {path: site.gain for path, site in at.items()})
        scales = {path: site.scale for path, site in at.items()}
        verdicts += _liberties(pair[0], divided, scales, points, beyond, generator)
        for name, variant in closed.items():
            there = score(variant, pair[0].together, keys, sets=len(sets)), score(variant, {}, keys)
            for path, site in at.items():
                left = middle_of(findings.gains(variant, *there, path), generator)
                verdicts.append(findings.remains(f"{path}, {name}", site.gain, left))
    return PolicyAudit(
        verdicts={verdict.subject: verdict for verdict in verdicts},
        baselines={path: site.baselines for path, site in at.items()},
        deviations=tuple(deviation for site in at.values() for deviation in site.deviations),
        from_rule=tuple(deviation for site in at.values() for deviation in site.from_rule),
        matrices={path: site.matrix for path, site in at.items() if site.matrix is not None},
        reliances={path: tuple(site.reliances) for path, site in at.items()},
        moments=past,
        sets=len(sets),
        runs=runs,
    )


def _liberties(
    play: Play,
    divided: Mapping[str, tuple[Split, Play]],
    scales: Mapping[str, float],
    points: int,
    beyond: float,
    generator: np.random.Generator,
) -> list[Verdict]:
    """What becomes of forbidden actions, and of agents who stand as several. `scales`: site to that of returns."""
    verdicts = []
    for path, scale in scales.items():
        for agent in deviators(play.made, path):
            verdicts += forbidden(play, path, agent, beyond, (scale, generator))
    for name, (split, parts) in divided.items():
        for path, owners in split.owners.items():
            verdicts.append(splitting(name, (play, parts), owners, points, (path, scales[path])))
    return verdicts


def _other_stream(key: Key, runs: int) -> Key:
    """Keys of another generator than JAX's own."""
    numbers = jr.bits(key, (4,))
    return jr.split(jr.wrap_key_data(numbers, impl="rbg"), runs)


def _check(
    game: Game, sets: tuple[Policies, ...], runs: int, deviator: Algorithm | None, budget: int, beyond: float
) -> None:
    if not sets or not sets[0]:
        raise MethodError("there is no policy to audit: give one set, site to policy, or one a training")
    if runs < 8:
        raise MethodError(f"audit_policy(runs={runs}): 8 are the least to tell a difference from noise")
    if beyond < 0:
        raise MethodError(f"audit_policy(beyond={beyond}): a distance outside the interval is 0 or more")
    if deviator is not None and budget < deviator.runs:
        raise MethodError(
            f"audit_policy(budget={budget}): the deviator needs {deviator.runs} runs an update; give many"
        )
    if any(jax.tree.structure(one) != jax.tree.structure(sets[0]) for one in sets):
        raise MethodError(
            "sets of policies that are judged together have one structure: the same sites, the same sizes"
        )
    game.with_policies(sets[0])
