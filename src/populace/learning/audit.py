"""The verb `audit_policy`: what must be asked of learned policies before anyone reads economics off them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
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
from .actions import probes
from .algorithm import Algorithm
from .deviations import Deviation, cross_play, deviators, fixed_deviation, said, stacked, trained_deviation
from .game import Game, Policies, Watched, watched
from .policies import FixedPolicy, RandomPolicy
from .rollout import Score, score
from .statistics import bootstrap, interquartile_mean

OBJECTIONS = (
    *(Code.DEVIATION_PAYS, Code.PAIR_SPECIFIC, Code.LEANS_ON_LIMIT, Code.BREAKS_LEDGER),
    *(Code.PROXY, Code.ARTEFACT, Code.NO_BETTER),
)
"""Classes that speak against reading the policies."""


@dataclass(frozen=True)
class PolicyAudit(Result):
    """What an audit found.

    `verdicts`: subject to verdict; `baselines`: site to rows (who, return with its 95 % interval, welfare a step);
    `deviations`: what single agents gain by leaving the others, and the rule; `matrices`: site to (sets, sets), the
    return of one agent with the policy of the row among others of the column.
    """

    verdicts: dict[str, Verdict]
    baselines: dict[str, tuple[tuple[str, float, float, float, float], ...]]
    deviations: tuple[Deviation, ...]
    from_rule: tuple[Deviation, ...]
    matrices: dict[str, np.ndarray]
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
            else f"{len(objections)} objection{'s' if len(objections) != 1 else ''}: do not read the policies before "
            "they are answered.",
        )
        ordered = sorted(self.verdicts.values(), key=lambda v: v.code not in OBJECTIONS)
        figures = tuple(self._figure(path) for path in self.baselines)
        tables = [self._baselines(path) for path in self.baselines]
        if self.deviations or self.from_rule:
            tables.append(self._deviations())
        tables += [self._matrix(path) for path in self.matrices]
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
    progress: bool | Progress | None = None,
) -> PolicyAudit:
    """Audit policies in a game.

    Asked is: whether they do better than the rule, than chance and than any fixed action; whether one agent gains by
    deviating; whether they play alike with agents of other trainings; how often the game's limits bind under them and
    under the rule; whether its ledgers hold; whether welfare falls while pay rises; and what remains of the gain in
    variants in which a loophole is closed.

    **Arguments:**

    - `policies`: one set, site to policy, or one a training (`LearnedPolicies.policies`), of the same structure.
    - `runs`: fresh runs for every comparison.
    - `points`: how many fixed actions are tried on an interval.
    - `deviator`, `budget`: an algorithm that trains one agent against the others' frozen policies, and its runs. None:
      only fixed deviations are tried.
    - `variants`: name to a game with the same sites in which a loophole is closed: a finer time step or grid, a cap
      lifted, a birth without a subsidy.

    **Returns:** a `PolicyAudit`. What it says holds for what was declared: a limit that nobody named is not counted.

    **Raises:** `MethodError`, `UnknownSiteError` before any run; `FaultError` when a run meets one.
    """
    sets = (policies,) if isinstance(policies, Mapping) else tuple(policies)
    _check(game, sets, runs, deviator, budget)
    made = watched(game)
    closed = {name: watched(variant) for name, variant in (variants or {}).items()}
    run_key, train_key, boot_key = jr.split(key, 3)
    keys, generator = jr.split(run_key, runs), host_generator(boot_key)
    with display(progress) as shown:
        ticker = Ticker(shown, "audit of the policies", len(game.learners) + 1)
        learned, rule = score(made, stacked(sets), keys, sets=len(sets)), score(made, {}, keys)
        ticker.advance(1)
        verdicts: dict[str, Verdict] = {}
        baselines, deviations, from_rule, matrices = {}, [], [], {}
        for number, path in enumerate(game.learners):
            rows, scale = _compared(made, path, learned, rule, keys, points, generator)
            baselines[path] = rows
            leaving = [fixed_deviation(game, ({},), path, agent, keys, points) for agent in deviators(game, path)]
            from_rule += leaving
            verdicts[path] = findings.against_rule(path, learned, rule, leaving, scale, generator)
            for agent in deviators(game, path):
                tried = [fixed_deviation(game, sets, path, agent, keys, points)]
                if deviator is not None:
                    trained = jr.fold_in(train_key, number)
                    tried.append(trained_deviation(game, sets, path, agent, keys, deviator, trained, budget))
                deviations += tried
                subject = f"deviation at {path} by agent {agent}"
                verdicts[subject] = findings.deviation(subject, tried, scale)
            if len(sets) > 1 and made.agents[path] > 1:
                matrices[path] = cross_play(game, sets, path, deviators(game, path)[0], keys)
                verdicts[f"cross-play at {path}"] = findings.with_others(path, matrices[path], scale)
            ticker.advance(1)
        for name in game.limits:
            verdicts[f"limit '{name}'"] = findings.limit(name, learned, rule)
        for name in game.conserved:
            verdicts[f"ledger '{name}'"] = findings.ledger(name, learned, rule)
        verdicts |= findings.proxy(made, learned, rule, generator)
        for name, variant in closed.items():
            there = score(variant, stacked(sets), keys, sets=len(sets)), score(variant, {}, keys)
            for path in game.learners:
                subject = f"{path}, {name}"
                verdicts[subject] = findings.remains(subject, path, (learned, rule), there, generator)
    return PolicyAudit(verdicts, baselines, tuple(deviations), tuple(from_rule), matrices, sets=len(sets), runs=runs)


def _check(game: Game, sets: tuple[Policies, ...], runs: int, deviator: Algorithm | None, budget: int) -> None:
    if not sets or not sets[0]:
        raise MethodError("there is no policy to audit: give one set, site to policy, or one a training")
    if runs < 8:
        raise MethodError(f"audit_policy(runs={runs}): 8 are the least to tell a difference from noise")
    if deviator is not None and budget < deviator.runs:
        raise MethodError(
            f"audit_policy(budget={budget}): the deviator needs {deviator.runs} runs an update; give many"
        )
    if any(jax.tree.structure(one) != jax.tree.structure(sets[0]) for one in sets):
        raise MethodError(
            "sets of policies that are judged together have one structure: the same sites, the same sizes"
        )
    game.with_policies(sets[0])


def _compared(
    made: Watched, path: str, learned: Score, rule: Score, keys: Key, points: int, generator: np.random.Generator
) -> tuple[tuple[tuple[str, float, float, float, float], ...], float]:
    """Rows of returns and welfare of all baselines at a site; and the scale of returns there: how far apart chance, the
    rule, the learned and the best fixed action are.
    """
    actions = made.game.learners[path].actions
    typed = made.game.learners[path].types is not None
    chance = _for_all(RandomPolicy(actions), made.game.learners[path].groups) if typed else RandomPolicy(actions)
    tried = probes(actions, points)
    count = jax.tree.leaves(tried)[0].shape[0]
    if typed:
        groups = made.game.learners[path].groups
        tried = jax.tree.map(lambda leaf: jnp.repeat(leaf[:, None], groups, axis=1), tried)
    fixed = score(made, {path: FixedPolicy(tried)}, keys, sets=count)
    best = int(findings.learners_mean(made, fixed, path).mean(1).argmax())
    scores = {"learned": learned, "the rule": rule, "chance": score(made, {path: chance}, keys)}
    action = said(jax.tree.map(lambda leaf: np.ravel(leaf[best])[:1] if typed else leaf[best], tried))
    scores[f"all always {action}"] = Score({name: leaf[best : best + 1] for name, leaf in fixed.numbers.items()})
    rows = []
    for who, each in scores.items():
        returns = findings.learners_mean(made, each, path)
        low, high = bootstrap(returns, interquartile_mean, generator)
        rows.append((who, interquartile_mean(returns), low, high, float(each.welfare().mean())))
    middle = np.array([row[1] for row in rows])
    return tuple(rows), max(float(np.ptp(middle)), 1e-12)


def _for_all(policy: Any, groups: int) -> Any:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (groups, *jnp.shape(leaf))), policy)
