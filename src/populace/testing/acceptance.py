"""What classifiers of runs, acquisitions and sources of candidates must do: for those who write their own."""

import jax.random as jr
import numpy as np

from .._types import Key
from ..core.noise import host_generator
from ..surrogates.acceptance import Classifier, accepted
from ..surrogates.acquisitions import Acquisition, Candidates
from ..surrogates.samplers import Sobol

INPUTS, RUNS, POINTS = 2, 256, 2_000
_CLOSE = 1e-3
_BIAS = 0.05
_GAIN = 0.5
_CHOSEN = 40


def disc(inputs: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Distances over the tolerance, and whether a run fails: acceptable within about 0.3 of the middle; a run fails
    with probability 0.8 beyond 0.85 on the first axis.
    """
    apart = np.sqrt(((inputs - 0.5) ** 2).sum(1)) / 0.3
    noisy = apart * np.exp(0.15 * generator.standard_normal(len(inputs)))
    failed = (inputs[:, 0] > 0.85) & (generator.random(len(inputs)) < 0.8)
    return np.where(failed, np.nan, noisy), failed


def check_classifier(classifier: Classifier, key: Key) -> None:
    """Check what `Classifier` and `FittedClassifier` state; return if all hold.

    It learns a disc in the square from 256 runs, some of which fail, and what is all of one kind.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    data, learn = jr.split(key)
    generator = host_generator(data)
    inputs = Sobol().sequence(data, INPUTS, 0, RUNS)
    ratios, _ = disc(inputs, generator)
    points = generator.random((POINTS, INPUTS))
    fresh = accepted(disc(points, generator)[0])
    fitted = classifier.fit(inputs, ratios, learn)
    said = fitted.probabilities(points)
    shape = said.ndim == 2 and said.shape[1] == POINTS and said.dtype == np.float64
    _require(shape, classifier, f"probabilities are {said.dtype} {said.shape}, not float64 (members, points)")
    _require(bool(((said >= 0.0) & (said <= 1.0)).all()), classifier, "a probability lies outside [0, 1]")
    some = fitted.probabilities(points[3:8])
    _require(_near(some, said[:, 3:8]), classifier, "what it says of a point hangs on the other points")
    again = classifier.fit(inputs, ratios, learn).probabilities(points)
    _require(np.array_equal(again, said), classifier, "the same key learns something else")
    mean, share = said.mean(0), float(fresh.mean())
    _require(abs(mean.mean() - share) < _BIAS, classifier, f"it takes {mean.mean():.2f} of runs for {share:.2f}")
    gain = _cross_entropy(mean, fresh) / _cross_entropy(np.full(POINTS, share), fresh)
    _require(gain < _GAIN, classifier, f"it leaves {gain:.2f} of the surprise that the share alone leaves")
    for kind, ratio in (("acceptable", 0.5), ("rejected", 2.0), ("failed", np.nan)):
        one = classifier.fit(inputs, np.full(RUNS, ratio), learn).probabilities(points).mean()
        right = one > 0.9 if kind == "acceptable" else one < 0.1
        _require(bool(right), classifier, f"where all runs are {kind}, it says {one:.2f}")


def check_acquisition(acquisition: Acquisition, key: Key) -> None:
    """Check that a choice is of as many different candidates as are asked for, by nothing but its generator; with
    members that are sure, that are not, and that are one.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    generator = host_generator(key)
    for said in (generator.random((4, 300)), np.zeros((4, 300)), np.ones((4, 300)), generator.random((1, 300))):
        for count in (1, _CHOSEN, 300):
            chosen = acquisition.choose(said, count, host_generator(key))
            _require(chosen.shape == (count,), acquisition, f"{chosen.shape} were chosen, not ({count},)")
            inside = bool(((chosen >= 0) & (chosen < 300)).all())
            _require(inside and np.unique(chosen).size == count, acquisition, "a candidate is chosen twice, or is none")
            again = acquisition.choose(said, count, host_generator(key))
            _require(np.array_equal(chosen, again), acquisition, "the same generator chooses others")


def check_candidates(candidates: Candidates, key: Key) -> None:
    """Check that candidates lie in the unit cube, that none was run, and that they hang on nothing but the generator;
    after runs that count, and after none did.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    inputs = candidates.points(np.full((1, INPUTS), 0.5), np.ones(1), host_generator(key))[:60]
    for ratios in (disc(inputs, host_generator(key))[0], np.full(len(inputs), np.nan)):
        found = candidates.points(inputs, ratios, host_generator(key))
        _require(found.ndim == 2 and found.shape[1] == INPUTS, candidates, f"points have shape {found.shape}")
        _require(bool(((found >= 0.0) & (found <= 1.0)).all()), candidates, "a point lies outside the unit cube")
        again = candidates.points(inputs, ratios, host_generator(key))
        _require(np.array_equal(found, again), candidates, "the same generator makes others")
        old = {point.tobytes() for point in inputs}
        repeated = sum(point.tobytes() in old for point in found)
        _require(repeated < 0.5 * len(found), candidates, f"{repeated} of {len(found)} points were run already")


def _cross_entropy(said: np.ndarray, seen: np.ndarray) -> float:
    held = np.clip(said, 1e-4, 1.0 - 1e-4)
    return float(-np.where(seen, np.log(held), np.log1p(-held)).mean())


def _near(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(one - other).max() < _CLOSE)


def _require(holds: bool, subject: object, what: str) -> None:
    if not holds:
        raise AssertionError(f"{type(subject).__name__}: {what}")
