"""The verb `calibrate`: a problem and a method in, a fit with its checks out."""

from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import MethodError, TargetError
from .._types import Key
from ..core.executor import Ticker
from ..core.progress import display
from ..core.rounds import Finished, Method, rounds
from ..problem.covariance import FromReplicates, Given
from ..problem.problem import Problem
from .estimates import Estimate
from .fit import Fit
from .sequential_abc import SequentialABC

_PILOT_SHARE = 0.2
_REPLICATES = 500
_OUTLIER = 3.5


def calibrate(
    problem: Problem,
    method: Method,
    key: Key,
    *,
    budget: int,
    predictive: int = 1000,
    folder: Path | str | None = None,
    progress: bool | Progress | None = None,
) -> Fit:
    """Fit a problem.

    Where the target's covariance is not known, a fifth of the budget goes to a pilot: a coarse fit in prior-predictive
    units, and replicates at its centre, whose covariance then measures all distances. The fit says so.

    **Arguments:** `budget`: simulator calls for pilot and method; `predictive`: further runs, one at each of as many
    draws of the estimate, to check it by; `folder`: checkpoints, to go on from after an interruption; `progress`:
    show it (True, False, None for where there is a terminal) or a running display.

    **Returns:** a `Fit`.

    **Raises:** `MethodError`, `SimulatorError`, `TargetError`, `CheckpointError`.
    """
    if predictive < 2:
        raise MethodError(f"predictive={predictive}: the check of a fit takes at least two runs")
    where = None if folder is None else Path(folder)
    keys = dict(zip(("pilot", "method", "predictive", "prior"), jr.split(key, 4), strict=True))
    with display(progress) as shown:
        spent = 0
        if problem.target.covariance is None:
            share = max(int(budget * _PILOT_SHARE), 1)
            problem, spent = with_pilot_covariance(problem, keys["pilot"], share, where, shown)
        ticker = Ticker(shown, type(method).__name__, budget - spent)
        done = rounds(
            method,
            problem,
            keys["method"],
            budget=budget - spent,
            ticker=ticker,
            folder=None if where is None else where / "method",
            identity=problem.identity(),
        )
        return fitted(problem, method, done, keys["predictive"], keys["prior"], predictive, spent, shown)


def fitted(
    problem: Problem,
    method: Method,
    done: Finished[Estimate],
    key: Key,
    prior_key: Key,
    predictive: int,
    spent: int,
    shown: Progress | None,
) -> Fit:
    """A fit from a finished loop: draws of the estimate, and a fresh run at each."""
    draw, simulate = jr.split(key)
    real = done.estimate.draws(problem, draw, predictive)
    batch = problem.space.from_real(jnp.asarray(real, jnp.float32))
    prior = problem.space.sample(prior_key, 4000)
    ticker = Ticker(shown, "predictive check", predictive)
    seen = problem.simulate(batch, jr.split(simulate, predictive), ticker, keep=True)
    return Fit(
        problem=problem,
        method=type(method).__name__,
        estimate=done.estimate,
        draws={name: np.asarray(value) for name, value in batch.items()},
        derived=problem.derive(batch),
        prior={name: np.asarray(value) for name, value in prior.items()},
        prior_derived=problem.derive(prior),
        moments=seen.moments,
        observations=seen.observations,
        excluded=seen.excluded,
        reasons=seen.reasons,
        done=done.done,
        rounds=done.rounds,
        calls=done.calls + spent,
    )


def with_pilot_covariance(
    problem: Problem, key: Key, budget: int, folder: Path | None, shown: Progress | None
) -> tuple[Problem, int]:
    """The problem with the covariance of its moments estimated at a pilot fit, and the calls that took.

    Two passes, each a coarse fit and replicates at its centre. The first measures each moment by how far runs from the
    prior are from the data (root of the median square), so that none counts more than another for being small; the
    second by how it varies among the first's replicates.
    """
    ticker = Ticker(shown, "pilot for the moments' covariance", budget)
    scouts = max(200, budget // 10)
    replicates = min(_REPLICATES, budget // 8)
    particles = max(20 * problem.space.size, min(200, budget // 20))
    fitting = (budget - scouts - 2 * replicates) // 2
    if fitting < 3 * particles or replicates < 2 * len(problem.target.labels):
        wanted = 10 * (4 * particles + 2 * max(_REPLICATES, 2 * len(problem.target.labels)))
        raise MethodError(
            f"a fifth of the budget, {budget} calls, is too small for a pilot: raise the budget to about {wanted}, or give "
            "the target a covariance"
        )
    scout_key, *passes = jr.split(key, 3)
    sample = problem.space.sample(scout_key, scouts)
    seen = problem.simulate(sample, jr.split(scout_key, scouts), ticker).moments
    around = problem.target.values
    calls = scouts
    for number, pass_key in enumerate(passes):
        rough = _in_units_of(problem, seen, around)
        fit_key, replicate_key = jr.split(pass_key)
        done = rounds(
            SequentialABC(particles=particles, adjust=False),
            rough,
            fit_key,
            budget=fitting,
            ticker=ticker,
            folder=None if folder is None else folder / f"pilot{number + 1}",
            identity=rough.identity(),
        )
        centre = jnp.asarray(done.estimate.centre(rough), jnp.float32)
        batch = problem.space.from_real(jnp.broadcast_to(centre, (replicates, centre.size)))
        seen = problem.simulate(batch, jr.split(replicate_key, replicates), ticker).moments
        around = np.nanmedian(seen, axis=0)
        calls += done.calls + replicates
    ticker.advance(budget - ticker.done)
    tamed, share = winsorised(seen[np.isfinite(seen).all(1)])
    covariance = FromReplicates(tamed)
    clipped = f", {100 * share:.1f} % of values drawn in to {_OUTLIER} robust standard deviations" if share else ""
    source = f"{covariance.source()} at a pilot fit{clipped}"
    return problem.with_target(problem.target.with_covariance(covariance.matrix(problem.target), source)), calls


def winsorised(moments: np.ndarray) -> tuple[np.ndarray, float]:
    """Moments (n, k) with outliers drawn in to 3.5 robust standard deviations from the median (1.4826 times the median
    absolute deviation), and the share that was: a few outbreaks that die out must not set the scale of the rest."""
    middle = np.median(moments, axis=0)
    spread = 1.4826 * np.median(np.abs(moments - middle), axis=0)
    reach = np.where(spread > 0, _OUTLIER * spread, np.inf)
    tamed = np.clip(moments, middle - reach, middle + reach)
    return tamed, float((tamed != moments).mean())


def _in_units_of(problem: Problem, moments: np.ndarray, around: np.ndarray) -> Problem:
    """The problem in units of the moments' robust spread around some values (1.4826 times the median absolute
    deviation; the root mean square where that is 0), taken as independent."""
    scale = 1.4826 * np.nanmedian(np.abs(moments - around), axis=0)
    scale = np.where(scale > 0, scale, np.sqrt(np.nanmean((moments - around) ** 2, axis=0)))
    dead = np.flatnonzero(~(scale > 0))
    if dead.size:
        raise TargetError(
            f"'{problem.target.labels[dead[0]]}' is the same in every run: it can fit nothing; leave it out"
        )
    target = problem.target
    return problem.with_target(target.with_covariance(Given(scale).matrix(target), "the spread of simulated moments"))


def as_batch(problem: Problem, values: dict[str, float], runs: int) -> dict[str, jax.Array]:
    """One parameter set, repeated for each of many runs."""
    return {name: jnp.broadcast_to(jnp.asarray(v, jnp.float32), (runs, *np.shape(v))) for name, v in values.items()}
