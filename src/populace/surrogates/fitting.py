"""The verb `fit_surrogate`: runs in, a surrogate out, its regressors mixed as cross-validation says."""

from collections.abc import Sequence
from functools import lru_cache

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..core.fingerprint import fingerprint
from .basis import Basis
from .bends import Bent
from .conformal import Conformal
from .cross_validation import left_out, parts_of
from .gaussian_process import GaussianProcess, VaryingNoise
from .mixture import Mixture, mixed
from .neural_ensemble import NeuralEnsemble
from .regressor import Prediction, Regressor
from .runs import Runs
from .scores import LogScore, Score, SquaredError
from .support import Guard
from .surrogate import Surrogate, Tried, inflated
from .validity import validity

_PROCESS = 2000
"""Up to so many runs a Gaussian process is tried, and up to so many numbers in all (runs times outputs)."""
_NUMBERS = 4000
_NETWORK = 150
"""From so many runs on a neural ensemble is tried."""
_INFLATION = (0.2, 25.0)
_SHRUNK = 0.05


def fit_surrogate(
    runs: Runs, key: Key, *, regressors: Sequence[Regressor] | None = None, score: Score | None = None
) -> Surrogate:
    """Learn moments from runs.

    Each regressor says what it thinks of runs that it did not learn from (every fifth in turn; a fifth once, from 1,000
    runs on), and the surrogate is the mixture of them that `score` likes best. What is left out also sets the
    size of the variances and corrects the intervals. Failed runs teach where runs fail, and nothing else.

    **Arguments:** `regressors`: to be tried; by default Gaussian processes, up to 2,000 runs, and an ensemble of neural
    networks, from 150 on; `score`: `SquaredError()`, by default, or `LogScore()`.

    **Returns:** a `Surrogate`.

    **Raises:** `MethodError` for too few runs that count, with how many it takes.
    """
    score = SquaredError() if score is None else score
    split, validate, refit, where = jr.split(key, 4)
    used = runs.taken(runs.valid)
    basis = Basis.of(used.moments) if used.size > 1 else None
    outputs = 1 if basis is None else basis.shapes.shape[0]
    tried = _able(usual(used.size, outputs) if regressors is None else tuple(regressors), used)
    assert basis is not None
    weights = basis.weights(used.moments)
    parts = parts_of(used.unit, split)
    rows = np.concatenate(parts)
    said = [left_out(one, used.unit, weights, parts, jr.fold_in(validate, i)) for i, one in enumerate(tried)]
    shares = score.shares(said, weights[rows])
    kept = [i for i in range(len(tried)) if shares[i] > 0]
    fitted = [tried[i].fit(used.unit, weights, jr.fold_in(refit, i)) for i in kept]
    mixture = Mixture(tuple(fitted), shares[kept])
    seen = used.moments[rows]
    blend = basis.back(mixed([said[i] for i in kept], shares[kept]))
    inflation = np.clip((_missed(blend, seen) ** 2).mean(0), *_INFLATION)
    blend = inflated(blend, inflation)
    return Surrogate(
        runs=runs,
        basis=basis,
        fitted=mixture,
        inflation=inflation,
        correlation=_correlation(_missed(blend, seen)),
        validity=validity(runs.unit, runs.valid, where),
        conformal=Conformal.of(blend, seen, f"{rows.size} left-out runs"),
        guard=Guard.of(used.unit, mixture.relevance(), blend.epistemic, _spread(used.moments)),
        score=score.name,
        tried=_table(tried, shares, [basis.back(one) for one in said], seen),
        checked=(blend, seen),
    )


class _Work:
    """Runs and regressors as a key, by what they hold."""

    def __init__(self, runs: Runs, regressors: tuple[Regressor, ...] | None) -> None:
        self.runs, self.regressors = runs, regressors
        self._digest = fingerprint([runs.unit, runs.moments, runs.space.describe(), runs.labels, regressors])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Work) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)


def learned(runs: Runs, regressors: tuple[Regressor, ...] | None) -> Surrogate:
    """A surrogate of runs; the same runs give the same one. It is remembered, as methods ask again for the last."""
    return _learned(_Work(runs, regressors))


@lru_cache(maxsize=16)
def _learned(work: _Work) -> Surrogate:
    return fit_surrogate(work.runs, jr.key(work.runs.size), regressors=work.regressors)


def usual(runs: int, outputs: int) -> tuple[Regressor, ...]:
    """The regressors that are tried where none are named, by the numbers of valid runs and of outputs."""
    found: list[Regressor] = []
    if runs <= _PROCESS and runs * outputs <= _NUMBERS:
        found += [Bent(GaussianProcess()), Bent(GaussianProcess(noise=VaryingNoise()))]
    if runs >= _NETWORK or not found:
        found.append(NeuralEnsemble())
    return tuple(found)


def _able(regressors: tuple[Regressor, ...], used: Runs) -> tuple[Regressor, ...]:
    """Those that can learn from four fifths of the runs."""
    if not regressors:
        raise MethodError("no regressor was named: leave `regressors` out, or name one")
    d = used.space.size
    able = tuple(one for one in regressors if one.least(d) <= used.size - int(np.ceil(used.size / 5)))
    if not able:
        easiest = min(regressors, key=lambda one: one.least(d))
        needed = int(np.ceil(1.25 * easiest.least(d))) + 1
        raise MethodError(
            f"{used.size} runs that count are too few for a surrogate of {d} parameters: {easiest.name}, tested on "
            f"runs left out, takes {needed}; extend the design"
        )
    return able


def _missed(said: Prediction, seen: np.ndarray) -> np.ndarray:
    """Left-out runs less predictions, in standard deviations, (n, k)."""
    return (seen - said.mean) / np.sqrt(np.maximum(said.variance, 1e-300))


def _spread(moments: np.ndarray) -> np.ndarray:
    spread = moments.std(0)
    return np.where(spread > 0, spread, 1.0)


def _correlation(missed: np.ndarray) -> np.ndarray:
    """Of moments about their mean, (k, k), drawn a little towards none so that it has a Cholesky factor."""
    spread = np.where(missed.std(0) > 0, missed.std(0), 1.0)
    centred = (missed - missed.mean(0)) / spread
    matrix = (1.0 - _SHRUNK) * (centred.T @ centred) / missed.shape[0]
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _table(
    tried: tuple[Regressor, ...], shares: np.ndarray, said: list[Prediction], seen: np.ndarray
) -> tuple[Tried, ...]:
    square, log = SquaredError(), LogScore()
    return tuple(
        Tried(one.name, float(share), square.loss(its, seen), log.loss(its, seen))
        for one, share, its in zip(tried, shares, said, strict=True)
    )
