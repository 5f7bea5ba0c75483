"""Runs and differences around a point, and what they say of it in words: shared by the descents."""

import jax.random as jr
import numpy as np
import scipy.linalg

from .._errors import MethodError
from ..problem.covariance import factor
from ..problem.problem import Problem, Simulated
from ..problem.space import Space
from .sandwich import Linearised, overidentification

_PRIOR_DRAWS = 4000
_EDGE = 0.001
"""A prior probability this near to 0 or 1 is the prior's end."""


def scales(space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Median and spread (d,) of the prior on the real scale; the spread is half the width of the middle 68 %."""
    real = np.asarray(space.to_real(space.sample(jr.key(0), _PRIOR_DRAWS)), np.float64)
    low, middle, high = np.quantile(real, [0.16, 0.5, 0.84], axis=0)
    return middle, (high - low) / 2.0


def offsets(d: int, widths: tuple[float, ...]) -> np.ndarray:
    """The points around a centre, (1 + 2 d len(widths), d): itself, then +h e_i and -h e_i for each width h."""
    return np.concatenate([np.zeros((1, d)), *(sign * h * np.eye(d) for h in widths for sign in (1.0, -1.0))])


def whitened(task: Problem, moments: np.ndarray) -> np.ndarray:
    """Gaps (n, k) of moments (n, all) to the data, in independent units; 0 for a run without moments."""
    use = np.flatnonzero(task.target.fitted)
    if task.target.covariance is None:
        raise MethodError("the loss measures gaps in standard errors: give the target a covariance")
    lower = factor(task.target.covariance[np.ix_(use, use)], [task.target.labels[i] for i in use])
    gaps = np.nan_to_num(moments[:, use] - task.target.values[use])
    return scipy.linalg.solve_triangular(lower, gaps.T, lower=True).T


def replicates_of(
    task: Problem, answer: Simulated, centres: int, widths: tuple[float, ...], count: int
) -> list[np.ndarray]:
    """Of each centre, derivatives and gap (R, k, d + 1) of the replicates of which every run counts."""
    d = task.space.size
    rows = whitened(task, answer.moments).reshape(centres, -1, count, int(task.target.fitted.sum()))
    sides = rows[:, 1:].reshape(centres, len(widths), 2, d, count, -1)
    slopes = [(sides[:, i, 0] - sides[:, i, 1]) / (2.0 * h) for i, h in enumerate(widths)]
    slope = slopes[0] if len(slopes) == 1 else (4.0 * slopes[1] - slopes[0]) / 3.0
    both = np.concatenate([slope, rows[:, :1]], axis=1).transpose(0, 2, 3, 1)
    sound = np.asarray(~answer.excluded.reshape(centres, -1, count).any(1))
    return [one[ok] for one, ok in zip(both, sound, strict=True)]


def overidentified(near: Linearised, data: np.ndarray | None = None) -> str:
    """Hansen's J in words; `data` as in `overidentification`."""
    found = overidentification(near, data)
    if not found.freedom:
        return "The moments are as many as the combinations of parameters they react to: nothing is left to test."
    chance = f"J = {found.statistic:.3g} on {found.freedom} degrees of freedom, p = {found.p:.2g}"
    verdict = "the moments contradict the model" if found.p < 0.05 else "the moments do not contradict the model"
    return f"{chance}: {verdict}."


def flat_direction(space: Space, ends: np.ndarray, replicates: int) -> str:
    """A sentence on a direction that the moments do not react to, in the parameters' own units.

    **Arguments:** `ends` (2, d): a point on either side, on the real scale; `replicates`: how many looked at it.

    Parameters that cannot be negative change by per cent, so that a product shows as one up and the other down by as
    much; others by parts of the prior's spread. The largest change is called 1, and less than a fiftieth is left out.
    """
    low, high = np.asarray(space.flat(space.from_real(ends)), np.float64)
    relative = space.bounds()[0] >= 0.0
    drawn = np.asarray(space.flat(space.sample(jr.key(0), _PRIOR_DRAWS)), np.float64)
    unit = np.where(relative, (low + high) / 2.0, np.diff(np.quantile(drawn, [0.16, 0.84], axis=0), axis=0)[0] / 2.0)
    change = (high - low) / unit
    change = change / change[np.argmax(np.abs(change))]
    parts = [
        f"{label} by {part:+.2g} {'%' if share else 'hundredths of its prior spread'}"
        for label, part, share in zip(space.labels, change, relative, strict=True)
        if abs(part) > 0.02
    ]
    return (
        f"In {replicates} replicates no moment reacts to changing {' with '.join(parts)}: the estimate is one of "
        "many, and it has no covariance."
    )


def at_ends(space: Space, real: np.ndarray) -> list[str]:
    """A sentence for every parameter at an end of its prior."""
    place = np.asarray(space.cdf(space.from_real(real[None])))[0]
    return [
        f"{label} lies at the {'lower' if p < 0.5 else 'upper'} end of its prior."
        for label, p in zip(space.labels, place, strict=True)
        if min(p, 1.0 - p) < _EDGE
    ]
