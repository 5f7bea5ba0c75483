"""Which moments would see the difference between data and their placebo, where those of the target do not."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..problem.moment import Moment
from ..problem.moments import (
    autocorrelation,
    derived,
    final,
    growth_rate,
    maximum,
    peak_time,
    quantile,
    skewness,
    total,
    variance,
)
from ..problem.series import Series
from ..problem.summary import Summary
from ..problem.target import Target
from .placebos import AmplitudeAdjusted, Permuted, Placebo

_DRAWS = 128
_SEES = 3.0
"""Standard deviations of the placebo's draws from which on a moment is said to see the difference."""
_LONG = 20
"""Times from which on longer lags are tried."""


@dataclass(frozen=True)
class Telltale:
    """A moment that sees the difference: its label, the data's value, the placebo's, and how many standard deviations
    of such series lie between.
    """

    label: str
    data: float
    placebo: float
    apart: float


def telltales(target: Target, placebo: Placebo, generator: np.random.Generator) -> tuple[Telltale, ...]:
    """Moments of the library by which the data differ from the placebo, the most telling first; none where no candidate
    does.

    Differences are measured in standard deviations of the placebo over its draws. Of one without chance, in those of
    amplitude-adjusted series (which know no direction of time), or of permuted ones where times are missing.
    """
    moving = {name: one for name, one in target.series.items() if not one.at_end and one.length > 1}
    if not moving:
        return ()
    gaps = any(one.missing for one in moving.values())
    yardstick = placebo if placebo.chance else (Permuted() if gaps else AmplitudeAdjusted())
    summary = Summary([moment for one in moving.values() for moment in _candidates(one, gaps)], moving)
    many = [yardstick.draw(target, generator) for _ in range(_DRAWS)]
    drawn = summary({name: np.stack([draw[name] for draw in many]) for name in moving})
    data = summary.of_data()
    centre = drawn.mean(0)
    if not placebo.chance:
        centre = summary({name: array[None] for name, array in placebo.draw(target, generator).items()})[0]
    scale = drawn.std(0)
    sound = np.isfinite(data) & np.isfinite(centre) & np.isfinite(scale)
    sound &= scale > 1e-6 * (1e-30 + np.abs(np.where(sound, data, 0.0)))
    apart = np.where(sound, np.abs(data - centre) / np.where(sound, scale, 1.0), 0.0)
    known = set(target.labels)
    order = np.argsort(-apart, kind="stable")
    return tuple(
        Telltale(summary.labels[i], float(data[i]), float(centre[i]), float(apart[i]))
        for i in order
        if apart[i] > _SEES and summary.labels[i] not in known
    )


def _candidates(one: Series, gaps: bool) -> list[Moment]:
    name = one.name
    found: list[Moment] = [variance(name), skewness(name), quantile(name, [0.1, 0.5, 0.9])]
    found += [total(name), maximum(name), final(name)]
    if gaps:
        return found
    lags = [lag for lag in (1, 2, 5, 10) if lag < one.length // 2 and (lag <= 2 or one.length >= _LONG)]
    changes = f"changes of {name}"
    found += [peak_time(name), derived(changes, _changes, name, variance(changes))]
    found += [derived(changes, _changes, name, skewness(changes))]
    if lags:
        found.append(autocorrelation(name, lags))
    if (one.values >= 0).all():
        found.append(growth_rate(name))
    return found


def _changes(x: Array) -> Array:
    return jnp.diff(x, axis=0)
