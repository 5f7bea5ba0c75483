"""The cases of an audit: points and horizons, each with the loss to differentiate there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array
from numpy import ma

from .._errors import GradientError
from .._types import Key
from ..core.executor import Ticker
from ..problem.covariance import factor, shrunk
from ..problem.problem import Problem
from ..problem.simulators import Simulation
from ..problem.target import Target
from .loss import ExpectedLoss, WeighedMoments

_DRAWS = 2


@final
@dataclass(frozen=True)
class Case:
    """One point and horizon: the loss, the parameters to differentiate by, and what to call it."""

    title: str
    expected: ExpectedLoss
    at: dict[str, Array]


def cases_of(
    what: Problem | ExpectedLoss,
    key: Key,
    at: Sequence[Mapping[str, Any]] | None,
    horizons: Sequence[int] | None,
    keys: int,
) -> list[Case]:
    """Every point at every horizon."""
    simulation = simulation_of(what)
    steps = _horizons(simulation, horizons, cut=isinstance(what, Problem))
    through = what.through if isinstance(what, ExpectedLoss) else None
    points, found = _points(what, key, at), []
    for horizon in steps:
        whole = horizon == simulation.steps
        shorter = Simulation(simulation.model, horizon, simulation.record, simulation.plugs)
        cut = what if isinstance(what, ExpectedLoss) or whole else _shortened(what, shorter)
        for number, (title, point) in enumerate(points):
            loss = cut.loss if isinstance(cut, ExpectedLoss) else weighed(cut, point, jr.fold_in(key, number), keys)
            expected = ExpectedLoss(shorter, loss, through)
            found.append(Case(f"{title}, {horizon} steps", expected, expected.at(point)))
    return found


def simulation_of(what: Problem | ExpectedLoss) -> Simulation:
    """The native model to differentiate.

    **Raises:** `GradientError` for a simulator that is none.
    """
    simulator = what.simulation if isinstance(what, ExpectedLoss) else what.simulator
    if not isinstance(simulator, Simulation):
        raise GradientError(
            f"a {type(simulator).__name__} has no sites to differentiate through: give pop.Simulation(model, steps), "
            "or calibrate it without gradients"
        )
    return simulator


def _horizons(simulation: Simulation, given: Sequence[int] | None, *, cut: bool) -> list[int]:
    steps = simulation.steps
    wanted = sorted({max(1, -(-steps // 3)), steps} if given is None else set(given))
    for horizon in wanted:
        if not 1 <= horizon <= steps:
            raise GradientError(f"a horizon lies between 1 and the simulation's {steps} steps, not at {horizon}")
        if cut and horizon < steps and not len(simulation.record.times(1, horizon)):
            raise GradientError(f"nothing is recorded in the first {horizon} steps: take a longer horizon")
    return wanted


def _points(
    what: Problem | ExpectedLoss, key: Key, at: Sequence[Mapping[str, Any]] | None
) -> list[tuple[str, dict[str, Any]]]:
    if at is not None:
        return [(f"point {i + 1}" if len(at) > 1 else "the point", dict(point)) for i, point in enumerate(at)]
    if isinstance(what, ExpectedLoss):
        if what.through is not None:
            raise GradientError("parameters that go through a function have no values of their own: pass at=[{...}]")
        return [("the model as it is", {k: p.value for k, p in what.simulation.parameters().items()})]
    half = what.space.from_unit(jnp.full((1, what.space.size), 0.5))
    draws = what.space.sample(jr.fold_in(key, 0xD2A), _DRAWS)
    points = [("the prior's median", {k: v[0] for k, v in half.items()})]
    return points + [(f"prior draw {i + 1}", {k: v[i] for k, v in draws.items()}) for i in range(_DRAWS)]


def weighed(problem: Problem, at: Mapping[str, Any], key: Key, runs: int) -> WeighedMoments:
    """The loss whose gradient is that of g' V^-1 g at a point, g = E[m] - data, from runs of its own.

    V is the target's covariance where it is known; otherwise that of the runs.
    """
    target = problem.target
    parameters = {k: jnp.broadcast_to(jnp.asarray(v, jnp.float32), (runs, *jnp.shape(v))) for k, v in at.items()}
    seen = problem.simulate(parameters, jr.split(key, runs), Ticker(None, "", runs))
    use = np.flatnonzero(target.fitted)
    moments = seen.moments[~seen.excluded][:, use]
    if len(moments) < 2:
        raise GradientError("fewer than two runs can be used at this point: choose another with at=[...]")
    gap = moments.mean(0) - target.values[use]
    covariance = shrunk(moments)[0] if target.covariance is None else target.covariance[np.ix_(use, use)]
    varies = np.diag(covariance) > 0
    weights = np.zeros(len(target.labels))
    inner = covariance[np.ix_(varies, varies)]
    lower = factor(inner, [target.labels[i] for i in use[varies]])
    weights[use[varies]] = 2.0 * np.linalg.solve(lower.T, np.linalg.solve(lower, gap[varies]))
    return WeighedMoments(target.summary, jnp.asarray(weights, jnp.float32))


def _shortened(problem: Problem, simulation: Simulation) -> Problem:
    """The problem with the rows that a shorter simulation records; moments of a run's end lose their data."""
    target = problem.target
    rows = len(simulation.record.times(1, simulation.steps))
    data, times = {}, {}
    for name, series in target.data.items():
        if series.at_end:
            continue
        values = np.asarray(series.values)[:rows]
        there = np.broadcast_to(_column(series.present[:rows], values), values.shape)
        data[name] = ma.masked_array(values, mask=~there)
        times[name] = list(series.times)[:rows]
    kept = [moment for moment in target.moments if all(name in data for name in moment.series())]
    if not kept:
        raise GradientError("no fitted moment is left at this horizon: pass horizons=[the simulation's steps]")
    return Problem(simulation, problem.space, Target(data, kept, times=times))


def _column(present: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.asarray(present).reshape((-1,) + (1,) * (values.ndim - 1))
