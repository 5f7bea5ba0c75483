"""The verb `calibrate`: a problem and a method in, a fit with its checks out."""

from pathlib import Path

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import MethodError, TargetError
from .._types import Key
from ..core.executor import Ticker
from ..core.host import split
from ..core.progress import display
from ..core.rounds import Finished, Method, rounds
from ..problem.covariance import shrunk
from ..problem.distances import Standardised
from ..problem.problem import Problem
from .estimates import Estimate, Posterior
from .fit import Fit
from .sequential_abc import SequentialABC

_PILOT_SHARE = 0.2
_REPLICATES = 500
_OUTLIER = 3.5
_FLOOR = 0.05
_COARSE = 0.2
_NEAREST = 0.1


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

    Where the target's covariance is not known and the method needs it, a fifth of the budget goes to a pilot: a coarse
    fit in prior-predictive units, and replicates at its centre, whose covariance then measures all distances. The fit
    says so.

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
        if problem.target.covariance is None and method.needs_covariance:
            problem, spent = with_pilot_covariance(problem, keys["pilot"], budget, where, shown)
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
    batch = problem.space.from_real(real)
    prior = problem.space.sample(prior_key, 4000)
    ticker = Ticker(shown, "predictive check", predictive)
    seen = problem.simulate(batch, jr.split(simulate, predictive), ticker, keep=True)
    return Fit(
        problem=problem,
        by=method,
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
    problem: Problem, key: Key, whole: int, folder: Path | None, shown: Progress | None
) -> tuple[Problem, int]:
    """The problem with the covariance of its moments estimated at a pilot fit, and the calls that took: a fifth of the
    `whole` budget, or what a pilot needs at least.

    Two passes, each a coarse fit and replicates at its centre. The first measures each moment by how far runs from the
    prior are from the data (root of the median square), so that none counts more than another for being small; the
    second by how it varies among the first's replicates. The centre is the mean of the nearest tenth of the particles:
    all of them together may still straddle several kinds of run.
    """
    least = 20 * problem.space.size
    scouts = max(100, whole // 50)
    replicates = int(np.clip(whole // 40, max(100, 2 * len(problem.target.labels)), _REPLICATES))
    budget = max(int(_PILOT_SHARE * whole), scouts + 2 * (replicates + 3 * least))
    if budget > 0.6 * whole:
        raise MethodError(
            f"a budget of {whole} calls leaves too little after the {budget} that it takes to estimate the moments' "
            f"covariance: give at least {2 * budget}, or give the target a covariance"
        )
    fitting = (budget - scouts - 2 * replicates) // 2
    particles = int(np.clip(fitting // 8, least, 200))
    ticker = Ticker(shown, "pilot for the moments' covariance", budget)
    scout_key, *passes = jr.split(key, 3)
    sample = problem.space.sample(scout_key, scouts)
    seen = problem.simulate(sample, jr.split(scout_key, scouts), ticker).moments
    around = problem.target.values
    scale = spread(seen, around, problem.target.labels)
    calls = scouts
    for number, pass_key in enumerate(passes):
        units = scale if number == 0 else np.maximum(spread_or_zero(seen, around), _COARSE * scale)
        rough = _in_units(problem, units)
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
        centre = jnp.asarray(_among_nearest(rough, done.estimate), jnp.float32)
        batch = problem.space.from_real(jnp.broadcast_to(centre, (replicates, centre.size)))
        seen = problem.simulate(batch, split(replicate_key, replicates), ticker).moments
        around = np.nanmedian(seen, axis=0)
        calls += done.calls + replicates
    ticker.advance(budget - ticker.done)
    matrix, source = replicate_covariance(seen, scale)
    return problem.with_target(problem.target.with_covariance(matrix, f"{source} at a pilot fit")), calls


def _among_nearest(problem: Problem, estimate: Posterior) -> np.ndarray:
    """The mean (d,), on the real scale, of the particles whose runs came nearest."""
    distance = Standardised()(estimate.moments, problem.target)
    nearest = np.argsort(distance, kind="stable")[: max(5, int(_NEAREST * distance.size))]
    return estimate.real[nearest].mean(0)


def replicate_covariance(moments: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, str]:
    """The covariance (k, k) of replicates' moments (n, k), robust, and where it comes from in words.

    A moment that is the same in all replicates gets a twentieth of `scale` (k,), what it varies by under the prior, for
    its standard error: it is not known without error only because it did not vary in so many runs.
    """
    tamed, share = winsorised(moments[np.isfinite(moments).all(1)])
    varies = np.ptp(tamed, axis=0) > 0
    matrix = np.diag((_FLOOR * scale) ** 2)
    inner, intensity = shrunk(tamed[:, varies])
    matrix[np.ix_(varies, varies)] = inner
    source = f"from {tamed.shape[0]} simulated replicates (shrinkage {intensity:.2g})"
    if share:
        source += f", {100 * share:.1f} % of values drawn in to {_OUTLIER} robust standard deviations,"
    if not varies.all():
        source += (
            f", {int((~varies).sum())} moments that never varied given {_FLOOR:g} of their spread under the prior,"
        )
    return matrix, source


def winsorised(moments: np.ndarray) -> tuple[np.ndarray, float]:
    """Moments (n, k) with outliers drawn in to 3.5 robust standard deviations from the median (1.4826 times the median
    absolute deviation), and the share that was: a few outbreaks that die out must not set the scale of the rest.
    """
    middle = np.median(moments, axis=0)
    spread = 1.4826 * np.median(np.abs(moments - middle), axis=0)
    reach = np.where(spread > 0, _OUTLIER * spread, np.inf)
    tamed = np.clip(moments, middle - reach, middle + reach)
    return tamed, float((tamed != moments).mean())


def spread(moments: np.ndarray, around: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """How far moments (n, k) lie from some values (k,): 1.4826 times the median absolute deviation, or the root mean
    square where that is 0.

    **Raises:** `TargetError` for a moment that never differs.
    """
    scale = spread_or_zero(moments, around)
    dead = np.flatnonzero(~(scale > 0))
    if dead.size:
        raise TargetError(f"'{labels[dead[0]]}' is the same in every run: it can fit nothing; leave it out")
    return scale


def spread_or_zero(moments: np.ndarray, around: np.ndarray) -> np.ndarray:
    """As `spread`, with 0 for a moment that never differs."""
    gaps = np.abs(moments - around)
    scale = 1.4826 * np.nanmedian(gaps, axis=0)
    return np.where(scale > 0, scale, np.sqrt(np.nanmean(gaps**2, axis=0)))


def _in_units(problem: Problem, scale: np.ndarray) -> Problem:
    """The problem with moments taken as independent, with the given standard errors."""
    target = problem.target
    return problem.with_target(target.with_covariance(np.diag(scale**2), "the spread of simulated moments"))
