"""Observation models: what stands between what happens in a model and what the data record of it.

Counts are whole numbers held in float32. Every chance event is a site of a draw, so that runs share their numbers,
and what a site takes (a relaxation, an intervention) it takes here.
"""

import abc
from collections.abc import Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._errors import DomainError, SimulatorError, did_you_mean
from .._types import Observations
from ..core.domain import positive, unit
from ..core.draw import Draw
from ..core.model import Module, parameter
from .densities import log_binomial, log_negative_binomial, log_normal

_PROPOSALS = 8
"""Proposals for a gamma number, each accepted with probability .95 or more: all fail once in 2.6e10."""
_ROUNDING = 1e-5


class ObservationModel(Module):
    """From the observations of one run to other observations of it. Parameters are declared with `parameter`."""

    @abc.abstractmethod
    def __call__(self, observations: Observations, draw: Draw) -> dict[str, Array]:
        """What is recorded.

        **Arguments:** `observations`: series name to an array (times, ...); `draw`: of its own. Each model asks a
        child of it, named after its class and series; two models of one class on one series need different draws.

        **Returns:** all series, those it does not touch as they were.

        **Raises:** `SimulatorError` for a series that is absent or does not fit.
        """


class Recorded(ObservationModel):
    """An observation model of one series, `series`, that records each time by itself, with a density that is known:
    what a particle filter weighs by. Implement `log_density` beside the call.
    """

    series: eqx.AbstractVar[str]

    @abc.abstractmethod
    def log_density(self, happened: Float[Array, "..."], recorded: Float[Array, "..."]) -> Float[Array, "..."]:
        """The log-density of each recorded number given what happened in the model at that time."""


def _names(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


@final
class Reporting(Recorded):
    """Every event is reported with probability `share`, independently: a count n becomes Binomial(n, share)."""

    series: str = eqx.field(static=True)
    share: Float[Array, ""] = parameter(domain=unit, doc="probability that an event is reported")

    def __call__(self, observations: Observations, draw: Draw) -> dict[str, Array]:
        count = _series(observations, self.series)
        seen = draw.child(f"reporting of {self.series}").binomial("reported", count, self.share)
        return {**observations, self.series: seen}

    def log_density(self, happened: Float[Array, "..."], recorded: Float[Array, "..."]) -> Float[Array, "..."]:
        return log_binomial(recorded, happened, self.share)


@final
class Delay(ObservationModel):
    """Every event is reported d steps later with probability `probabilities[d]`, independently.

    A count splits into a multinomial: at delay d, of those left, Binomial(left, p_d / (p_d + p_{d+1} + ... + never))
    are reported. `never` is what the probabilities lack to 1. Reports that fall after the last time are not
    seen, and events before the first time are not known, so that the first values are too low unless the run starts
    before anything happens.

    `probabilities` (delays,): from delay 0 on; of sum 1 or less, which is checked when it is built.
    """

    series: str = eqx.field(static=True)
    probabilities: Float[Array, " delays"] = parameter(domain=unit, doc="probability of each reporting delay")

    def __check_init__(self) -> None:
        _check_delays(self.series, self.probabilities)

    def __call__(self, observations: Observations, draw: Draw) -> dict[str, Array]:
        left = _series(observations, self.series)
        own = draw.child(f"delay of {self.series}")
        lacking = 1.0 - self.probabilities.sum()
        never = jnp.where(lacking < _ROUNDING, 0.0, lacking)
        later = jnp.cumsum(self.probabilities[::-1])[::-1] + never
        reported = jnp.zeros_like(left)
        for delay in range(min(self.probabilities.shape[0], left.shape[0])):
            share = jnp.where(later[delay] > 0, self.probabilities[delay] / jnp.maximum(later[delay], 1e-30), 0.0)
            seen = own.binomial(f"after {delay}", left, jnp.minimum(share, 1.0))
            left = left - seen
            reported = reported + _later(seen, delay)
        return {**observations, self.series: reported}


@final
class ExpectedDelay(ObservationModel):
    """The mean of `Delay`: the series convolved with the delay probabilities, without chance and smooth in them."""

    series: str = eqx.field(static=True)
    probabilities: Float[Array, " delays"] = parameter(domain=unit, doc="probability of each reporting delay")

    def __check_init__(self) -> None:
        _check_delays(self.series, self.probabilities)

    def __call__(self, observations: Observations, draw: Draw) -> dict[str, Array]:
        count = _series(observations, self.series)
        delays = range(min(self.probabilities.shape[0], count.shape[0]))
        parts = [self.probabilities[delay] * _later(count, delay) for delay in delays]
        return {**observations, self.series: jnp.stack(parts).sum(0)}


@final
class OverDispersion(Recorded):
    """Recorded counts vary more than Poisson ones: negative binomial with the count as its mean m and variance
    m + dispersion m^2.

    Drawn as Poisson(m g), g Gamma-distributed with mean 1 and variance `dispersion`, by Marsaglia and Tsang (2000);
    with shape 1/dispersion below 1, Gamma(a) = Gamma(a + 1) U^(1/a).
    """

    series: str = eqx.field(static=True)
    dispersion: Float[Array, ""] = parameter(domain=positive, doc="squared coefficient of variation beyond Poisson")

    def __call__(self, observations: Observations, draw: Draw) -> dict[str, Array]:
        count = _series(observations, self.series)
        own = draw.child(f"over-dispersion of {self.series}")
        recorded = own.poisson("recorded", count * _gamma(own, 1.0 / self.dispersion, count.shape))
        return {**observations, self.series: recorded}

    def log_density(self, happened: Float[Array, "..."], recorded: Float[Array, "..."]) -> Float[Array, "..."]:
        return log_negative_binomial(recorded, happened, self.dispersion)


@final
class MeasurementError(Recorded):
    """Every number is recorded with an independent Gaussian error of standard deviation `sd`."""

    series: str = eqx.field(static=True)
    sd: Float[Array, ""] = parameter(domain=positive, doc="standard deviation of the recording error")

    def __call__(self, observations: Observations, draw: Draw) -> dict[str, Array]:
        value = _series(observations, self.series)
        error = draw.child(f"error of {self.series}").normal("error", 0.0, self.sd, size=value.shape)
        return {**observations, self.series: value + error}

    def log_density(self, happened: Float[Array, "..."], recorded: Float[Array, "..."]) -> Float[Array, "..."]:
        return log_normal(recorded, happened, self.sd)


@final
class Aggregate(ObservationModel):
    """Sums over blocks of `every` times, such as weekly cases from daily ones: for what happens between two times.

    `series`: a name, or several; the others keep their times.
    """

    series: tuple[str, ...] = eqx.field(static=True, converter=_names)
    every: int = eqx.field(static=True)

    def __call__(self, observations: Observations, draw: Draw) -> dict[str, Array]:
        return {**observations, **{name: _blocks(observations, name, self.every).sum(1) for name in self.series}}


@final
class Subsample(ObservationModel):
    """The last value of each block of `every` times, such as Sunday's from daily ones: for what is there at a time.

    `series`: a name, or several; the others keep their times.
    """

    series: tuple[str, ...] = eqx.field(static=True, converter=_names)
    every: int = eqx.field(static=True)

    def __call__(self, observations: Observations, draw: Draw) -> dict[str, Array]:
        return {**observations, **{name: _blocks(observations, name, self.every)[:, -1] for name in self.series}}


def _series(observations: Observations, name: str) -> Float[Array, "times ..."]:
    if name not in observations:
        raise SimulatorError(f"the observation model reads '{name}'; {did_you_mean(name, list(observations))}")
    value = jnp.asarray(observations[name], jnp.float32)
    if value.ndim == 0:
        raise SimulatorError(f"the observation model reads '{name}', which is one number and not a series (times, ...)")
    return value


def _blocks(observations: Observations, name: str, every: int) -> Float[Array, "blocks every ..."]:
    value = _series(observations, name)
    if every < 1 or value.shape[0] % every:
        raise SimulatorError(
            f"'{name}' has {value.shape[0]} times, which are no blocks of {every}: set the simulator's steps to a "
            "multiple"
        )
    return value.reshape((-1, every, *value.shape[1:]))


def _later(count: Float[Array, "times ..."], delay: int) -> Float[Array, "times ..."]:
    """The series `delay` steps later, 0 before."""
    return jnp.concatenate([jnp.zeros_like(count[:delay]), count[: count.shape[0] - delay]])


def _check_delays(series: str, probabilities: Array) -> None:
    if isinstance(probabilities, Tracer) or not isinstance(probabilities, jax.Array):  # nothing to be seen yet
        return
    given = np.asarray(probabilities, np.float64)
    if given.ndim != 1 or given.size == 0 or given.sum() > 1.0 + _ROUNDING:
        raise DomainError(
            f"the delays of '{series}' have probabilities of shape {given.shape} and sum {given.sum():g}: give "
            "(delays,) numbers that sum to 1, or to less if some events are never reported"
        )


def _gamma(draw: Draw, shape: Float[Array, ""], size: tuple[int, ...]) -> Float[Array, "*size"]:
    """Gamma numbers of the given shape parameter, divided by it, so that their mean is 1."""
    raised = jnp.where(shape < 1.0, shape + 1.0, shape)
    d = raised - 1.0 / 3.0
    normal = draw.normal("proposal", size=(*size, _PROPOSALS))
    level = jnp.log(draw.uniform("acceptance", size=(*size, _PROPOSALS)))
    step = normal / jnp.sqrt(9.0 * d)
    excess = jnp.where(step > -1.0, step * (3.0 + step * (3.0 + step)), 0.0)  # (1 + step)^3 - 1
    accepted = (step > -1.0) & (level < 0.5 * normal**2 + d * (jnp.log1p(excess) - excess))
    first = jnp.argmax(accepted, axis=-1, keepdims=True)
    drawn = d * (1.0 + jnp.take_along_axis(excess, first, axis=-1)[..., 0])
    lowered = jnp.where(shape < 1.0, draw.uniform("lowering", size=size) ** (1.0 / shape), 1.0)
    return drawn * lowered / shape
