"""How likely the data are under a model and its prior, with the error of that number.

The evidence is Z = E[p(x | theta)] over the prior, x the fitted moments of the data. Its likelihood is that of a
surrogate (`SurrogatePosterior`), and the mean is taken by importance sampling: from kernels around posterior draws, as
wide as the posterior, and a share of prior draws, so that the same draws serve data that were simulated beside it.

What the surrogate says near the posterior is corrected by the fit's predictive sample, n fresh runs that it has not
learned from: by their shift, linear in d parameters, their variances and their correlations.

Three errors add up. That of sampling is the spread of the weights. That of doubt is how log Z varies over what the
mean function may be, as the surrogate has it, and at least what n runs leave open of the shift, (1 + d) |w|^2 / n, w
the data's whitened gap. That of noise is what n runs leave open of k variances and their correlations (a Wishart's):
(|w|^4 - 2 |w|^2 + k) / 2n.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.special import logsumexp

from .._types import Key
from ..calibration.estimates import root_of, weighted_covariance
from ..calibration.population import log_kernels, log_prior
from ..calibration.surrogate_posterior import surrogate_draws
from ..core.noise import host_generator
from ..problem.space import Space
from ..problem.target import Target
from ..surrogates.surrogate import Surrogate
from .tempered import Tempered, tempered

_DRAWS = 1_500
_CENTRES = 300
_PRIOR = 0.2
"""The share of importance draws that come from the prior."""
_FUNCTIONS = 64
_POINTS = 200
_AT_ONCE = 1 << 22
_ODD = 6.0
"""Standard deviations beyond which a fresh run counts as no farther from the others."""
_FAR = 3.0
_PER_TERM = 20
"""Fresh runs that a coefficient takes, at the least."""
_SHRUNK = 0.02
"""By which correlations are drawn towards none, so that they have a Cholesky factor."""


@dataclass(frozen=True)
class Evidence:
    """`log`: the logarithm of the data's density under a model and its prior; `sampling`, `doubt` and `noise`: standard
    errors of it, by where they come from; `effective`: how many draws of the posterior the importance draws are worth.
    """

    log: float
    sampling: float
    doubt: float
    noise: float
    effective: float

    @property
    def error(self) -> float:
        """One standard error, all together."""
        return float(np.sqrt(self.sampling**2 + self.doubt**2 + self.noise**2))


class Weighed(NamedTuple):
    """Importance draws of one model, at which the likelihood of any data can be had.

    `real` (n, d); `mean` (n, k); `inverse` (n, k, k): of the Cholesky factors of the moments' covariances; `constant`
    (n,): the logarithms of their normalisation, times prior over proposal.
    """

    real: np.ndarray
    mean: np.ndarray
    inverse: np.ndarray
    constant: np.ndarray

    def levels(self, data: np.ndarray) -> np.ndarray:
        """Logarithms of the weights (m, n) for data (m, k)."""
        n, k = self.mean.shape
        out = np.empty((len(data), n))
        for rows in np.array_split(np.arange(n), max(1, n * k * len(data) // _AT_ONCE)):
            gaps = data[None] - self.mean[rows][:, None]
            z = gaps @ np.swapaxes(self.inverse[rows], 1, 2)
            out[:, rows] = (self.constant[rows][:, None] - 0.5 * (z**2).sum(-1)).T
        return out

    def log_evidence(self, data: np.ndarray) -> np.ndarray:
        """Of each of the data (m, k), (m,)."""
        return logsumexp(self.levels(data), axis=1) - np.log(len(self.mean))


class Near(NamedTuple):
    """What fresh runs say of the surrogate near a posterior, in its own standard deviations: the shift of the fitted
    moments, linear in the parameters about `centre` (d,) in units `unit` (d,), with coefficients `shift` (1 + d, k);
    `scale` (k,) and `correlation` (k, k) about it; how many `runs`.
    """

    centre: np.ndarray
    unit: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    correlation: np.ndarray
    runs: int

    @staticmethod
    def of(surrogate: Surrogate, target: Target, draws: Mapping[str, np.ndarray], moments: np.ndarray) -> "Near":
        """From a run's moments (n, k) at each of n draws, NaN where one failed."""
        used = target.fitted
        good = np.isfinite(moments[:, used]).all(1)
        points = {name: jnp.asarray(value[good], jnp.float32) for name, value in draws.items()}
        real, said = np.asarray(surrogate.space.to_real(points), np.float64), surrogate.predict(points)
        z = (moments[good][:, used] - said.mean[:, used]) / np.sqrt(said.noise[:, used])
        middle = np.median(z, axis=0)
        z = np.clip(z, middle - _ODD, middle + _ODD)
        unit = np.where(real.std(0) > 0, real.std(0), 1.0)
        rough = Near(real.mean(0), unit, np.zeros(0), np.zeros(0), np.zeros(0), len(z))
        terms = rough.terms(real) if len(z) >= _PER_TERM * (1 + real.shape[1]) else np.ones((len(z), 1))
        shift = np.linalg.lstsq(terms, z, rcond=None)[0]
        left = z - terms @ shift
        scale = np.maximum(np.sqrt((left**2).sum(0) / (len(z) - len(shift))), 1e-3)
        correlation = (1.0 - _SHRUNK) * np.atleast_2d(np.corrcoef(left, rowvar=False))
        np.fill_diagonal(correlation, 1.0)
        return rough._replace(shift=shift, scale=scale, correlation=correlation)

    def terms(self, real: np.ndarray) -> np.ndarray:
        """A constant and the parameters, no farther out than the runs lie, at points (n, d) on the real scale."""
        held = np.clip((real - self.centre) / self.unit, -_FAR, _FAR)
        return np.concatenate([np.ones((len(real), 1)), held], axis=1)

    def shifts(self, real: np.ndarray) -> np.ndarray:
        """(n, k)."""
        return self.terms(real)[:, : len(self.shift)] @ self.shift


def weighed(surrogate: Surrogate, target: Target, near: Near, key: Key) -> Weighed:
    """Importance draws for a surrogate's posterior at a target."""
    find, draw = jr.split(key)
    found = surrogate_draws(surrogate, target, find)
    real, proposed = _drawn(surrogate.space, found.points, found.weights, draw)
    return _at(surrogate, target, near, real, log_prior(surrogate.space, real) - proposed)


def evidence(surrogate: Surrogate, target: Target, near: Near, at: Weighed, key: Key) -> Evidence:
    """The evidence of the target's fitted moments, with its errors."""
    data = target.values[target.fitted]
    logs = at.levels(data[None])[0]
    total = logsumexp(logs)
    weights = np.exp(logs - total)
    effective = 1.0 / (weights**2).sum()
    sampling = np.sqrt(max(1.0 / effective - 1.0 / len(logs), 0.0))
    doubt, noise = _doubt(surrogate, target, near, at, weights, key)
    return Evidence(float(total - np.log(len(logs))), float(sampling), doubt, noise, float(effective))


def cooled(surrogate: Surrogate, target: Target, near: Near, key: Key) -> Tempered:
    """The evidence of the target's fitted moments by the same likelihood and without importance draws: by populations
    that cool from the prior.
    """
    space, data = surrogate.space, target.values[target.fitted][None]
    draw, walk = jr.split(key)

    def likelihood(real: np.ndarray) -> np.ndarray:
        return _at(surrogate, target, near, real, np.zeros(len(real))).levels(data)[0]

    def first(count: int) -> np.ndarray:
        return np.asarray(space.to_real(space.sample(draw, count)), np.float64)

    return tempered(likelihood, partial(log_prior, space), first, walk)


def _drawn(space: Space, points: np.ndarray, weights: np.ndarray, key: Key) -> tuple[np.ndarray, np.ndarray]:
    """Draws (n, d) on the real scale from kernels around weighted points and from the prior, and the logarithm of the
    density that they were drawn from.
    """
    rng, d = host_generator(key), points.shape[1]
    root = root_of(weighted_covariance(points, weights))
    centres = points[rng.choice(len(points), _CENTRES, p=weights)]
    near = int((1.0 - _PRIOR) * _DRAWS)
    kernels = centres[rng.integers(_CENTRES, size=near)] + rng.standard_normal((near, d)) @ root.T
    wide = np.asarray(space.to_real(space.sample(key, _DRAWS - near)), np.float64)
    real = np.concatenate([kernels, wide])
    kernel = log_kernels(real, centres, root)
    return real, np.logaddexp(np.log1p(-_PRIOR) + kernel, np.log(_PRIOR) + log_prior(space, real))


def _at(surrogate: Surrogate, target: Target, near: Near, real: np.ndarray, ratio: np.ndarray) -> Weighed:
    said = surrogate.predict(surrogate.space.from_real(real))
    used, k = target.fitted, int(target.fitted.sum())
    own = np.sqrt(said.noise[:, used])
    spread = own * near.scale
    covariance = near.correlation * spread[:, :, None] * spread[:, None, :]
    covariance[:, range(k), range(k)] += said.epistemic[:, used] + 1e-12 * (spread**2).mean(1)[:, None]
    lower = np.linalg.cholesky(covariance)
    inverse = np.linalg.inv(lower)
    constant = ratio - np.log(lower[:, range(k), range(k)]).sum(1) - 0.5 * k * np.log(2.0 * np.pi)
    mean = said.mean[:, used] + near.shifts(real) * own
    return Weighed(real, mean, inverse, constant + np.log(np.maximum(said.valid, 1e-12)))


def _doubt(
    surrogate: Surrogate, target: Target, near: Near, at: Weighed, weights: np.ndarray, key: Key
) -> tuple[float, float]:
    """How far log Z varies with what the mean function may be, and with how well variances are known: the one by a mean
    over the posterior of likelihood ratios, of each function that may be to all of them.
    """
    pick, draw = jr.split(key)
    chosen = np.unique(host_generator(pick).choice(len(at.real), _POINTS, p=weights))
    share = weights[chosen] / weights[chosen].sum()
    points = surrogate.space.from_real(at.real[chosen])
    used, k = target.fitted, int(target.fitted.sum())
    moved = surrogate.functions(points, draw, _FUNCTIONS)[..., used] - surrogate.predict(points).mean[:, used]
    inverse, gaps = at.inverse[chosen], target.values[used] - at.mean[chosen]
    w = np.einsum("nij,nj->ni", inverse, gaps)
    other = np.einsum("nij,snj->sni", inverse, gaps - moved)
    square = (w**2).sum(1)
    each = np.asarray(logsumexp(0.5 * (square - (other**2).sum(2)), b=share, axis=1))
    doubt = np.sqrt(max(float(each.var()), float(share @ square) * len(near.shift) / near.runs))
    noise = np.sqrt(max(float(share @ (square**2 - 2.0 * square + k)), 0.0) / (2.0 * near.runs))
    return float(doubt), float(noise)
