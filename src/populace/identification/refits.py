"""Many data sets of one model, each fitted by minimising the distance of expected moments to it.

Parameters move along the combinations that the moments react to, as many as the rank of their derivative; along others
they are held where they are, for a fit that may go there gains by the luck of runs and by nothing else. Expected
moments are learned from runs around a point by one polynomial, and runs are added where the fits end, wave by wave: a
step that is linear from the point would not do where moments bend.
"""

import dataclasses
from dataclasses import dataclass

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..calibration.ensemble_smoother import gaps_of
from ..calibration.sandwich import Linearised
from ..core.executor import Ticker
from ..core.host import split
from ..core.noise import host_generator
from ..problem.problem import Problem
from .response_surface import REACH, Frame, ResponseSurface

_SPREADS = (1.0, 2.0)
"""First runs: half of them so many standard errors around the point."""
_LEAST = 60
_EDGE = 0.95


@dataclass(frozen=True)
class Refits:
    """Of n data sets, `wanted` (n, k), as gaps to the data in independent units: `ends` (n, r), where each fit ended
    along the combinations of a design; `residuals` (n, k), the gap of expected moments to its data there; `missed`: by
    how much the distances are too large, judged by fresh runs at the ends, and the standard error of that; `calls`.
    """

    surface: ResponseSurface
    wanted: np.ndarray
    ends: np.ndarray
    residuals: np.ndarray
    missed: tuple[float, float] = (0.0, 0.0)
    calls: int = 0

    @property
    def distances(self) -> np.ndarray:
        """The least g' V^-1 g of each, (n,)."""
        return (self.residuals**2).sum(1)

    def without(self, gone: np.ndarray, row: int = 0) -> tuple[float, np.ndarray]:
        """The least distance of one data set when its gap along `gone` (k,), a combination of moments in independent
        units, is not counted; and the whole gap (k,) at that fit. NaN where that fit lies beyond the runs.
        """
        unit = gone / np.sqrt((gone**2).sum())
        rest = np.eye(unit.size) - np.outer(unit, unit)
        frame, wanted = self.surface.frame, self.wanted[[row]]
        x = self.surface.fitted(frame.inside(self.ends[[row]]), wanted, rest)
        gap = self.surface.at(x)[0][0] - wanted[0]
        if (x**2).sum() > (_EDGE * REACH) ** 2:
            return float("nan"), np.full(unit.size, np.nan)
        return float(((gap @ rest) ** 2).sum()), gap


@dataclass(frozen=True)
class Design:
    """Runs around a point `centre` (d,) of the real scale: at centre + `across` (d, r) y for y (N, r), with gaps `seen`
    (N, k) to the data in independent units.
    """

    problem: Problem
    centre: np.ndarray
    across: np.ndarray
    y: np.ndarray
    seen: np.ndarray

    def run(self, y: np.ndarray, key: Key, ticker: Ticker) -> np.ndarray:
        """Gaps (n, k) of one run at each of y (n, r), NaN where it does not count."""
        real = jnp.asarray(self.centre + y @ self.across.T, jnp.float32)
        seen = self.problem.simulate(self.problem.space.from_real(real), split(key, len(y)), ticker)
        return gaps_of(self.problem, np.where(seen.excluded[:, None], np.nan, seen.moments))


def design(
    problem: Problem,
    near: Linearised,
    rank: int,
    centre: np.ndarray,
    spread: np.ndarray,
    count: int,
    key: Key,
    ticker: Ticker,
) -> Design:
    """Runs around `centre` (d,) along the first `rank` directions of `near`, as wide as data and prior together leave
    them: the prior counts as 1 in units of its `spread` (d,).
    """
    if not rank:
        raise MethodError("the moments react to no parameter at this point: nothing can be fitted")
    across = spread[:, None] * near.directions[:, :rank] / np.sqrt(1.0 + np.maximum(near.squares[:rank], 0.0))
    y = host_generator(key).standard_normal((count, rank)) * np.where(np.arange(count) % 2, *_SPREADS)[:, None]
    bare = Design(problem, centre, across, y, np.zeros((0, 0)))
    return dataclasses.replace(bare, seen=bare.run(y, jr.fold_in(key, 1), ticker))


def refits(first: Design, wanted: np.ndarray, key: Key, waves: int, ticker: Ticker) -> Refits:
    """Fits to data sets (n, k), with a run more at the end of each in every wave.

    The last runs are used for no fit: they judge. With f one of them, b = f - m its gap to the surface and r the
    residual, the distance is too large by -2 E r'b to first order.
    """
    y, seen = first.y, first.seen
    fits = _fitted(Frame.of(y), y, seen, np.zeros((len(wanted), y.shape[1])), wanted)
    for wave in range(waves):
        fresh = first.run(fits.ends, jr.fold_in(key, wave), ticker)
        y, seen = np.concatenate([y, fits.ends]), np.concatenate([seen, fresh])
        fits = _fitted(Frame.of(np.concatenate([fits.ends, first.y[:_LEAST]])), y, seen, fits.ends, wanted)
    fresh = first.run(fits.ends, jr.fold_in(key, waves), ticker)
    each = -2.0 * (fits.residuals * (fresh - wanted - fits.residuals)).sum(1)
    each = each[np.isfinite(each)]
    missed = float(each.mean()), float(each.std() / np.sqrt(max(each.size, 1)))
    return dataclasses.replace(fits, missed=missed, calls=(waves + 1) * len(wanted))


def _fitted(frame: Frame, y: np.ndarray, seen: np.ndarray, starts: np.ndarray, wanted: np.ndarray) -> Refits:
    """Fits from `starts` (n, r) by what runs at y (N, r) say."""
    sound = np.isfinite(seen).all(1)
    if sound.sum() < _LEAST:
        raise MethodError("too few runs around this point can be compared with the data: look for a better fit")
    surface = ResponseSurface.learned(frame, y[sound], seen[sound])
    x = surface.fitted(frame.inside(starts), wanted)
    return Refits(surface, wanted, frame.outside(x), surface.at(x)[0] - wanted)
