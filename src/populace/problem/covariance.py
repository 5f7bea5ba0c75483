"""How exactly the data determine their moments: the covariance of the data's moments, and how it is known.

All of it is float64 on the host.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, final

import equinox as eqx
import jax.random as jr
import numpy as np
import scipy.linalg

from .._errors import TargetError
from .._types import Key
from .series import Series

_RANK = 1e-9
"""Smallest eigenvalue of a correlation matrix that counts: below, a combination of moments is known 3e4 times as well
as they are, which is the rounding of float32 moments and no knowledge."""


class Summarised(Protocol):
    """What a covariance may ask of a target: its moments, and how to compute them for other series."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> np.ndarray: ...
    @property
    def series(self) -> Mapping[str, Series]: ...
    def summarise(self, observations: Mapping[str, Any]) -> np.ndarray: ...


class Covariance(eqx.Module):
    """How the covariance of the data's moments is known."""

    @abc.abstractmethod
    def matrix(self, target: Summarised) -> np.ndarray:
        """The covariance (k, k) of all moments of a target, float64.

        **Raises:** `TargetError` when it does not fit the target, or cannot be had from these data.
        """

    @abc.abstractmethod
    def source(self) -> str:
        """Where it comes from, as a clause for a report."""


@final
class Given(Covariance):
    """Known beforehand.

    **Arguments:** `values`: standard errors (k,) of independent moments, or a covariance matrix (k, k), in the order
    of `Target.labels`; `origin`: where they come from, for the report.
    """

    values: np.ndarray = eqx.field(converter=lambda v: np.asarray(v, np.float64))
    origin: str = eqx.field(static=True, default="given")

    def matrix(self, target: Summarised) -> np.ndarray:
        if self.values.ndim == 1:
            if not (np.isfinite(self.values).all() and (self.values > 0).all()):
                raise TargetError("standard errors are numbers above 0; leave out a moment whose error is not known")
            return checked(np.diag(self.values**2), target.labels)
        return checked(self.values, target.labels)

    def source(self) -> str:
        return self.origin


@final
class BlockBootstrap(Covariance):
    """The moving block bootstrap of the data's series (Kuensch 1989).

    Blocks of `block` consecutive times begin anywhere with equal chance and are laid end to end up to the length of
    the data; all series are cut at the same places. The moments of `repetitions` such series have the covariance that
    is taken. It holds for moments of a stationary series, with blocks longer than its memory and much shorter than it.

    Two checks refuse what it cannot do. A moment that moves by more than one standard error when the series is
    rotated depends on when things happen (the level on a day, the time of a peak): blocks destroy it. A moment whose
    bootstrap is centred more than two standard errors from the data's own value has lost its dependence to the joints.

    **Arguments:** `key`; `block`: times a block; `repetitions`.
    """

    key: Key
    block: int = eqx.field(static=True)
    repetitions: int = eqx.field(static=True, default=1000)

    def source(self) -> str:
        return f"from a moving block bootstrap of the data (blocks of {self.block}, {self.repetitions} repetitions)"

    def matrix(self, target: Summarised) -> np.ndarray:
        length = self._length(target)
        if self.repetitions <= len(target.labels) + 1:
            raise TargetError(
                f"{self.repetitions} repetitions cannot show the covariance of {len(target.labels)} moments: take more"
            )
        pieces = -(-length // self.block)
        starts = np.asarray(jr.randint(self.key, (self.repetitions, pieces), 0, length - self.block + 1))
        index = (starts[:, :, None] + np.arange(self.block)).reshape(self.repetitions, -1)[:, :length]
        moments = self._moments(target, index)
        if not np.isfinite(moments).all():
            label = target.labels[int(np.argmin(np.isfinite(moments).all(0)))]
            raise TargetError(
                f"'{label}' is not defined on some of the resampled series: take longer blocks, or FromReplicates"
            )
        matrix = checked(np.atleast_2d(np.cov(moments, rowvar=False)), target.labels)
        self._check(target, moments.mean(0), np.sqrt(np.diag(matrix)), length)
        return matrix

    def _length(self, target: Summarised) -> int:
        for one in target.series.values():
            if one.at_end or one.missing:
                what = "is one number" if one.at_end else f"misses {len(one.missing)} times"
                raise TargetError(
                    f"series '{one.name}' {what}: a block bootstrap cannot resample it; use Given or FromReplicates"
                )
        lengths = {one.length for one in target.series.values()}
        if len(lengths) > 1:
            raise TargetError(
                f"series of different lengths ({sorted(lengths)}) cannot be cut at the same places; use FromReplicates"
            )
        length = lengths.pop()
        if not 1 <= self.block <= length // 2:
            raise TargetError(f"blocks of {self.block} for {length} times: take 1 to {length // 2}")
        return length

    def _moments(self, target: Summarised, index: np.ndarray) -> np.ndarray:
        return target.summarise({name: one.values[index] for name, one in target.series.items()})

    def _check(self, target: Summarised, centre: np.ndarray, errors: np.ndarray, length: int) -> None:
        turns = np.unique(np.linspace(0, length, 18)[1:-1].astype(int))
        rotated = self._moments(target, (np.arange(length) + turns[:, None]) % length)
        moved = np.abs(rotated - target.values).max(0) / errors
        biased = np.abs(centre - target.values) / errors
        if not moved.max() <= 1.0:
            raise TargetError(
                f"'{target.labels[int(moved.argmax())]}' depends on when things happen (rotating the series moves it "
                f"by {moved.max():.1f} standard errors): blocks in another order say nothing about it; use Given or "
                "FromReplicates"
            )
        if not biased.max() <= 2.0:
            raise TargetError(
                f"the bootstrap of '{target.labels[int(biased.argmax())]}' is centred {biased.max():.1f} standard "
                f"errors from the data's own value: take blocks longer than {self.block}, or FromReplicates"
            )


@final
class FromReplicates(Covariance):
    """The covariance of simulated replicates at a pilot parameter: what the data would vary by if the model were true.

    The sample covariance is shrunk towards its diagonal (see `shrunk`); replicates with a moment that is not finite
    are left out, and counted in the source.

    **Arguments:** `samples`: (n, k) moments of n replicates, in the order of `Target.labels`.
    """

    samples: np.ndarray = eqx.field(converter=lambda v: np.asarray(v, np.float64))

    def _sound(self) -> np.ndarray:
        return self.samples[np.isfinite(self.samples).all(1)]

    def matrix(self, target: Summarised) -> np.ndarray:
        if self.samples.ndim != 2 or self.samples.shape[1] != len(target.labels):
            raise TargetError(
                f"replicates of shape {self.samples.shape} do not fit {len(target.labels)} moments: give (n, "
                f"{len(target.labels)})"
            )
        return checked(shrunk(self._sound(), target.labels)[0], target.labels)

    def source(self) -> str:
        sound, intensity = self._sound(), shrunk(self._sound())[1]
        left_out = self.samples.shape[0] - sound.shape[0]
        more = f", {left_out} left out" if left_out else ""
        return f"from {sound.shape[0]} simulated replicates (shrinkage {intensity:.2g}{more})"


def shrunk(samples: np.ndarray, labels: Sequence[str] = ()) -> tuple[np.ndarray, float]:
    """The sample covariance with its correlations shrunk towards 0 (Schaefer and Strimmer 2005, target D).

    With z the standardised samples, w_kij = z_ki z_kj, wbar their mean over the n samples and r = n/(n-1) wbar the
    correlations, the intensity is lambda = sum_{i != j} Var(r_ij) / sum_{i != j} r_ij^2, cut to [0, 1], where
    Var(r_ij) = n/(n-1)^3 sum_k (w_kij - wbar_ij)^2. The variances stay as they are, so that units do not matter.

    **Arguments:** `samples` (n, k), finite, n >= 4; `labels` (k,): for messages.

    **Returns:** the matrix (k, k) and lambda.

    **Raises:** `TargetError` for too few samples, or a moment that does not vary.
    """
    samples = np.asarray(samples, np.float64)
    n, k = samples.shape
    if n < 4:
        raise TargetError(
            f"{n} usable replicates cannot show a covariance: give 4 at the least, better many more than moments"
        )
    centred = samples - samples.mean(0)
    errors = np.sqrt((centred**2).sum(0) / (n - 1))
    flat = np.flatnonzero(~(np.ptp(samples, axis=0) > 0))
    if flat.size:
        called = f"'{labels[flat[0]]}'" if len(labels) == k else f"moment {flat[0]}"
        raise TargetError(f"{called} is the same in all {n} replicates: it has no standard error; leave it out")
    z = centred / errors
    products, squares = z.T @ z, (z**2).T @ (z**2)
    correlation = products / (n - 1)
    spread = n / (n - 1) ** 3 * (squares - products**2 / n)
    off = ~np.eye(k, dtype=bool)
    strength = (correlation[off] ** 2).sum()
    intensity = float(np.clip(spread[off].sum() / strength, 0.0, 1.0)) if strength > 0 else float(k > 1)
    correlation = np.where(off, (1.0 - intensity) * correlation, 1.0)
    return correlation * np.outer(errors, errors), intensity


def checked(matrix: Any, labels: Sequence[str]) -> np.ndarray:
    """A covariance matrix (k, k) as float64, read only, if it is one: finite, symmetric, with positive variances and no
    negative eigenvalue beyond rounding. It may be singular.

    **Raises:** `TargetError` that names the moment.
    """
    matrix = np.array(matrix, np.float64)
    k = len(labels)
    if matrix.shape != (k, k):
        raise TargetError(
            f"a covariance of shape {matrix.shape} does not fit {k} moments: give ({k},) standard errors or ({k}, {k})"
        )
    if not np.isfinite(matrix).all():
        raise TargetError("the covariance holds numbers that are not finite")
    variances = np.diag(matrix)
    if not (variances > 0).all():
        label = labels[int(np.argmin(variances))]
        raise TargetError(
            f"'{label}' has no variance, so that nothing could be said of a gap in it: leave it out, or give its "
            "standard error"
        )
    errors = np.sqrt(variances)
    correlation = matrix / np.outer(errors, errors)
    if np.abs(correlation - correlation.T).max() > 1e-8:
        raise TargetError("the covariance is not symmetric")
    if np.linalg.eigvalsh((correlation + correlation.T) / 2)[0] < -1e-8 * k:
        raise TargetError(
            "the covariance has a negative eigenvalue: it is no covariance; check how it was put together"
        )
    matrix = (matrix + matrix.T) / 2
    matrix.setflags(write=False)
    return matrix


def factor(matrix: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """The lower Cholesky factor L of a covariance (k, k), in float64: L L' = V.

    **Raises:** `TargetError` when the moments repeat each other (the smallest eigenvalue of their correlations is
    below 1e-9 of the largest), naming those that take part. A matrix of lower rank is never inverted.
    """
    errors = np.sqrt(np.diag(matrix))
    correlation = matrix / np.outer(errors, errors)
    values, vectors = np.linalg.eigh(correlation)
    if values[0] <= _RANK * values[-1]:
        weight = np.abs(vectors[:, 0])
        part = [labels[i] for i in np.argsort(-weight) if weight[i] > 0.1 * weight.max()]
        rank = int((values > _RANK * values[-1]).sum())
        named = ", ".join(f"'{label}'" for label in part[:6]) + (", ..." if len(part) > 6 else "")
        raise TargetError(
            f"the covariance of {len(labels)} moments has rank {rank}: {named} repeat each other; leave one of them "
            "out, or estimate it from more replicates than there are moments"
        )
    return errors[:, None] * scipy.linalg.cholesky(correlation, lower=True)
