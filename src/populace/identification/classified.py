"""The odds between models at the data, by a classifier of runs: no likelihood, and no shape of noise assumed.

Runs of each model are drawn from its prior, cut to where its posterior lies, and a classifier learns whose a run is.
With equal numbers of runs its odds at the data are the ratio of p(x | model, region); times the prior's mass in each
region they are the ratio of evidences, since next to no likelihood lies outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..calibration.fit import Fit
from ..calibration.regions import Region, Scale, proposed
from ..core.executor import Ticker
from ..core.host import split
from ..core.noise import host_generator
from .logistic import logistic

_FEWEST = 60
_FORM = 1.3
"""By which the errors are multiplied, since odds are quadratic in the moments only in the small (benchmarks/rivals.py).
"""


@dataclass(frozen=True)
class Classified:
    """What the classifier says, in the models' order.

    `log_odds` (models,) of the data, each against the first; `error` (models, models): standard errors of the log-odds
    of each against each; `slope` and its standard error: the factor by which left-out log-odds have to be multiplied to
    be calibrated, 1 where they are; `excluded` (models,): how many runs did not count.
    """

    log_odds: np.ndarray
    error: np.ndarray
    slope: tuple[float, float]
    excluded: np.ndarray

    @property
    def calibrated(self) -> bool:
        """Whether left-out runs bear the odds out."""
        return abs(self.slope[0] - 1.0) < max(3.0 * self.slope[1], 0.25)


@dataclass(frozen=True)
class _Near:
    """Runs of one model near its posterior: moments (n, k), what each weighs, the logarithm of the mass that all stand
    for, and how many did not count.
    """

    moments: np.ndarray
    weights: np.ndarray
    log_mass: float
    excluded: int


def classified(fits: Mapping[str, Fit], key: Key, runs: int, ticker: Ticker) -> Classified:
    """Odds at the data from `runs` further runs of each model.

    **Raises:** `MethodError` where fewer than 60 of them count.
    """
    near = [_near(fit, jr.fold_in(key, i), runs, ticker) for i, fit in enumerate(fits.values())]
    for name, one in zip(fits, near, strict=True):
        if len(one.moments) < _FEWEST:
            raise MethodError(
                f"{len(one.moments)} of {runs} runs of '{name}' near its fit count: a classifier needs {_FEWEST}; "
                "raise the budget"
            )
    classes = np.repeat(np.arange(len(near)), [len(one.moments) for one in near])
    rows = np.concatenate([one.moments for one in near])
    learned = logistic(rows, classes, jr.fold_in(key, len(near)), np.concatenate([one.weights for one in near]))
    target = next(iter(fits.values())).problem.target
    data = target.values[target.fitted]
    said = learned(data[None])[0] + np.array([one.log_mass for one in near])
    errors = _FORM * learned.errors(data)
    slope = _slope(learned.left_out, classes)
    return Classified(said - said[0], errors, slope, np.array([one.excluded for one in near]))


def _near(fit: Fit, key: Key, runs: int, ticker: Ticker) -> _Near:
    problem, scale = fit.problem, Scale.of(fit.problem.space)
    place, simulate = jr.split(key)
    unit = np.asarray(problem.space.cdf({n: jnp.asarray(v, jnp.float32) for n, v in fit.draws.items()}), np.float64)
    region, v = proposed(scale, (), Region.around(scale.rows(unit)), host_generator(place), runs)
    parameters = problem.space.from_real(scale.real(v))
    seen = problem.simulate(parameters, split(simulate, len(v)), ticker, none=True)
    weights = np.exp(scale.log_prior(v) - region.log_density(scale, v))
    good = ~seen.excluded
    mass = float(np.log(max(float(weights[good].sum()), 1e-300) / len(v)))
    return _Near(seen.moments[good][:, problem.target.fitted], weights[good], mass, int((~good).sum()))


def _slope(left_out: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """The power of the left-out probabilities that makes them likeliest, and its standard error: Newton's steps."""
    power, bend, own = 1.0, 0.0, left_out[np.arange(len(classes)), classes]
    for _ in range(20):
        tempered = power * left_out
        said = np.exp(tempered - tempered.max(1, keepdims=True))
        said /= said.sum(1, keepdims=True)
        mean = (said * left_out).sum(1)
        bend = float(((said * left_out**2).sum(1) - mean**2).sum())
        if bend < 1e-9:
            return 1.0, float("inf")
        step = float((own - mean).sum()) / bend
        power += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-6:
            break
    return power, float(1.0 / np.sqrt(bend))
