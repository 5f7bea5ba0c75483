"""What an audit asks at one site."""

import operator
from dataclasses import dataclass
from typing import TypeAlias

import jax
import numpy as np

from .._results import Verdict
from .._types import Key
from . import findings
from .actions import probes
from .algorithm import Algorithm
from .deviations import Deviation, Play, cross_play, deviators, fixed_deviation, said, trained_deviation
from .exchange import Reliance, leaks, reliances
from .policies import FixedPolicy, RandomPolicy
from .rollout import Score, score
from .statistics import Middle, middle_of

_LITTLE = 0.02
"""Where baselines differ by less than this part of what luck does to one agent's return, they do not differ."""

Baselines: TypeAlias = tuple[tuple[str, float, float, float, float], ...]


@dataclass(frozen=True)
class AtSite:
    """What is asked at one site. `gain`: over the rule; `scale`: of returns there; the rest as in `PolicyAudit`."""

    gain: Middle
    scale: float
    baselines: Baselines
    deviations: list[Deviation]
    from_rule: list[Deviation]
    matrix: np.ndarray | None
    reliances: list[Reliance]
    verdicts: list[Verdict]


def at_site(
    pair: tuple[Play, Play],
    elsewhere: tuple[Score, Score],
    path: str,
    points: int,
    training: tuple[Algorithm, Key, int] | None,
    generator: np.random.Generator,
) -> AtSite:
    """`pair`: the policies and the rule at play; `elsewhere`: their scores with random numbers of another generator;
    `training`: of a deviator, with its key and budget.
    """
    play, by_rule = pair
    streams = (play.scores, by_rule.scores), elsewhere
    baselines, scale = _compared(pair, path, points, generator)
    gain = middle_of(findings.gains(play.made, play.scores, by_rule.scores, path), generator)
    who = deviators(play.made, path)
    from_rule = [fixed_deviation(by_rule, path, agent, points) for agent in who]
    tried = [[fixed_deviation(play, path, agent, points)] for agent in who]
    if training is not None:
        for of_agent, agent in zip(tried, who, strict=True):
            of_agent.append(trained_deviation(play, path, agent, *training))
    verdicts = [findings.against_rule(path, gain, from_rule, scale)]
    verdicts += [findings.deviation(of_agent, scale) for of_agent in tried]
    matrix = None
    if len(play.policies) > 1 and play.made.agents[path] > 1:
        matrix = cross_play(play, path, who[0]).mean(2)
        verdicts.append(findings.with_others(path, matrix, scale))
    found = reliances(pair, path, generator)
    verdicts += leaks(path, gain, found, scale)
    here, there = (findings.gains(play.made, learned, rule, path) for learned, rule in streams)
    verdicts.append(findings.stream(path, here, there, scale))
    deviations = [one for of_agent in tried for one in of_agent]
    return AtSite(gain, scale, baselines, deviations, from_rule, matrix, found, verdicts)


def _compared(
    pair: tuple[Play, Play], path: str, points: int, generator: np.random.Generator
) -> tuple[Baselines, float]:
    """Rows of returns and welfare of all baselines at a site; and the scale of returns there: how far apart chance, the
    rule, the learned and the best fixed action are, or, where pay only changes hands, how much luck is worth to one.
    """
    made, keys = pair[0].made, pair[0].keys
    learner = made.game.learners[path]
    tried = probes(learner.actions, points)
    count = jax.tree.leaves(tried)[0].shape[0]
    fixed = score(made, {path: jax.vmap(learner.alike)(FixedPolicy(tried))}, keys, sets=count)
    best = int(findings.learners_mean(made, fixed, path).mean(1).argmax())
    scores = {
        "learned": pair[0].scores,
        "the rule": pair[1].scores,
        "chance": score(made, {path: learner.alike(RandomPolicy(learner.actions))}, keys),
        f"all always {said(jax.tree.map(operator.itemgetter(best), tried))}": fixed.of(best),
    }
    rows = []
    for who, each in scores.items():
        returns = middle_of(findings.learners_mean(made, each, path), generator)
        rows.append((who, *returns, float(each.welfare().mean())))
    apart = float(np.ptp([row[1] for row in rows]))
    luck = float(scores["chance"].returns(path).std(axis=1).mean())
    return tuple(rows), max(apart if apart > _LITTLE * luck else luck, 1e-12)
