"""The surrogate whole: mixing, intervals, series, failures, and what it refuses."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.surrogates.basis import Basis
from populace.surrogates.conformal import Conformal
from populace.surrogates.cross_validation import left_out, parts_of
from populace.surrogates.scores import Score
from populace.surrogates.validity import validity

from .conftest import ERRORS, predicted, square, wave

PROCESS = pop.GaussianProcess(starts=2)


def at(unit: np.ndarray) -> dict[str, Any]:
    return {f"x{i}": jnp.asarray(column, jnp.float32) for i, column in enumerate(unit.T)}


def test_the_better_regressor_gets_the_larger_share(noisy: Any, grid: np.ndarray):
    class Flat(pop.Regressor):
        name = "the mean"

        def least(self, inputs: int) -> int:
            return 2

        def fit(self, inputs: np.ndarray, outputs: np.ndarray, key: Any) -> pop.Fitted:
            return FlatFit(outputs)

    class FlatFit(pop.Fitted):
        def __init__(self, outputs: np.ndarray):
            self.mean, self.noise = outputs.mean(0), outputs.var(0)

        def predict(self, inputs: np.ndarray) -> pop.Prediction:
            rows = np.ones((inputs.shape[0], 1))
            return pop.Prediction(rows * self.mean, rows * self.noise, 1e-6 * rows * self.noise)

        def sample(self, inputs: np.ndarray, key: Any, draws: int) -> np.ndarray:
            return np.broadcast_to(self.mean, (draws, inputs.shape[0], self.mean.size)).copy()

        def relevance(self) -> np.ndarray:
            return np.ones(2)

    for score in (pop.SquaredError(), pop.LogScore()):
        made = pop.fit_surrogate(noisy(100, 0.1, 2), jr.key(0), regressors=[Flat(), PROCESS], score=score)
        flat, process = made.tried
        assert process.share > 0.95 and flat.squared == pytest.approx(1.0, abs=0.05)
        assert process.squared < 0.1 and process.log < flat.log
        assert score.name in made.sections()[0].text[0]


@pytest.mark.parametrize("score", [pop.SquaredError(), pop.LogScore()], ids=["square", "log"])
def test_two_that_err_apart_are_mixed(score: Score):
    random = np.random.default_rng(0)
    truth = random.standard_normal((4000, 1))
    variance = np.full((4000, 1), 0.25)
    said = [pop.Prediction(truth + 0.5 * random.standard_normal((4000, 1)), variance, 0 * variance) for _ in range(2)]
    shares = score.shares(said, truth)
    # Each share is known to sqrt(1 / 4000) and less: the optimum is one half.
    assert shares.sum() == pytest.approx(1.0) and shares[0] == pytest.approx(0.5, abs=ERRORS / np.sqrt(4000))


def test_points_within_and_beyond(learned: pop.Surrogate, grid: np.ndarray):
    said = learned.predict(at(grid))
    assert np.abs(said.mean[:, 0] - wave(grid)).max() < 0.25
    assert (said.valid > 0.98).all()
    outside = learned.predict({"x0": jnp.array([1.5]), "x1": jnp.array([0.5])})
    rim = learned.predict({"x0": jnp.array([1.0]), "x1": jnp.array([0.5])})
    assert np.allclose(outside.mean, rim.mean)


def test_emulated_runs_have_the_variance_that_is_said(learned: pop.Surrogate, grid: np.ndarray):
    said, runs = learned.predict(at(grid[:50])), learned.sample(at(grid[:50]), jr.key(3), 4000)
    assert runs.shape == (4000, 50, 1)
    ratio = runs.var(0) / said.variance
    assert np.abs(ratio - 1).max() < 6 * np.sqrt(2 / 4000)  # the largest of 50


def test_intervals_hold_what_they_promise_even_where_the_variance_lies():
    """Heavy tails, and a variance a hundred times too small: mean coverage over 200 corrections."""
    random = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        seen = random.standard_t(3, (100, 1))
        said = pop.Prediction(np.zeros((100, 1)), np.full((100, 1), 0.01), np.zeros((100, 1)))
        interval = Conformal.of(said, seen, "a test").interval(said, 0.9)
        fresh = random.standard_t(3, (100, 1))
        covered.append(((fresh > interval[0]) & (fresh < interval[1])).mean())
    # Split-conformal coverage is ceil(101 * 0.9) / 101 on average.
    error = np.std(covered) / np.sqrt(200)
    assert abs(np.mean(covered) - 91 / 101) < ERRORS * error


def test_a_surrogate_s_own_intervals_cover(noisy: Any):
    runs, fresh = noisy(150, 0.2, 11), noisy(2048, 0.2, 12)
    made = predicted(runs, regressors=[PROCESS]).conformed(noisy(200, 0.2, 13))
    low, high = made.interval(at(fresh.unit), 0.9)
    share = ((fresh.moments >= low) & (fresh.moments <= high)).mean()
    # Given 200 kept runs coverage is a Beta number around 0.9 with this spread.
    assert abs(share - 0.9) < ERRORS * np.sqrt(0.09 / 200 + 0.09 / 2048)
    with pytest.raises(pop.MethodError, match="it takes 999"):
        made.interval(at(fresh.unit), 0.999)


def test_replicates_are_never_parted():
    points = pop.Replicated(pop.Sobol(), share=0.5).sequence(jr.key(0), 2, 0, 60)
    parts = parts_of(points, jr.key(1))
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(60))
    owners = [{tuple(row) for row in points[part]} for part in parts]
    assert all(not (owners[i] & owners[j]) for i in range(5) for j in range(i))


def test_left_out_runs_are_left_out():
    """A regressor that remembers: what it says of a left-out run must not be the run."""
    unit, outputs = np.random.default_rng(0).random((40, 2)), np.arange(40.0)[:, None]
    parts = parts_of(unit, jr.key(0))
    said = left_out(pop.GaussianProcess(starts=1), unit, outputs, parts, jr.key(1))
    assert np.abs(said.mean[:, 0] - outputs[np.concatenate(parts), 0]).min() > 1e-3


def series_runs(n: int) -> pop.Runs:
    """Series of 30 times: two shapes, with weights that hang on the parameters, and white noise."""
    unit = pop.Sobol().sequence(jr.key(1), 2, 0, n)
    t = np.linspace(0, 1, 30)
    noise = 0.02 * np.random.default_rng(3).standard_normal((n, 30))
    moments = np.outer(wave(unit), np.sin(np.pi * t)) + np.outer(unit[:, 1], t) + noise
    return pop.Runs(square(2), unit, moments, np.ones(n, bool), tuple(f"y[{i}]" for i in range(30)), {})


def test_series_are_learned_by_their_shapes():
    runs = series_runs(120)
    made = predicted(runs, regressors=[PROCESS])
    assert 2 <= made.basis.shapes.shape[0] < 12
    point = np.array([[0.3, 0.6]])
    t = np.linspace(0, 1, 30)
    said = made.predict(at(point))
    assert np.abs(said.mean[0] - (wave(point) * np.sin(np.pi * t) + 0.6 * t)).max() < 0.05
    assert np.sqrt(said.variance[0]).mean() == pytest.approx(0.02, rel=0.5)
    drawn = made.sample(at(point), jr.key(0), 200)
    assert drawn.shape == (200, 1, 30)


def test_what_a_basis_leaves_out_is_noise():
    moments = series_runs(200).moments
    basis = Basis.of(moments)
    back = basis.moments(basis.weights(moments))
    left = ((moments - back) ** 2).mean(0)
    assert np.allclose(left, basis.lost * basis.standard.scale**2)
    assert left.sum() < 2e-3 * moments.var(0).sum()
    rows = pop.Prediction(
        basis.weights(moments), np.zeros((200, basis.shapes.shape[0])), np.zeros((200, basis.shapes.shape[0]))
    )
    assert np.allclose(basis.back(rows).mean, back) and np.allclose(basis.back(rows).noise[0], left)


def circle(unit: np.ndarray) -> np.ndarray:
    """Runs fail outside a circle."""
    return ((unit - 0.5) ** 2).sum(1) < 0.16


def test_where_runs_fail_is_learned_and_taints_no_response():
    unit = pop.Sobol().sequence(jr.key(2), 2, 0, 256)
    valid = circle(unit)
    moments = np.where(valid, wave(unit) + 0.05 * np.random.default_rng(0).standard_normal(256), np.nan)[:, None]
    runs = pop.Runs(square(2), unit, moments, valid, ("wave",), {"it diverged": int((~valid).sum())})
    made = predicted(runs, regressors=[PROCESS])
    fresh = np.random.default_rng(1).random((2000, 2))
    said, truth = made.predict(at(fresh)), circle(fresh)
    assert ((said.valid > 0.5) == truth).mean() > 0.93
    assert (-np.log(np.where(truth, said.valid, 1 - said.valid))).mean() < 0.2
    assert np.abs(said.mean[truth, 0] - wave(fresh[truth])).mean() < 0.1
    far = ((fresh - 0.5) ** 2).sum(1) > 0.3
    assert made.support(at(fresh[far])).extrapolating.all()
    assert any("failed" in text for text in made.sections()[0].text)


def test_probabilities_of_failing_are_calibrated_where_chance_decides():
    """Runs count with probability x0: among 4,000 fresh ones, each tenth of the predictions holds its share."""
    random = np.random.default_rng(4)
    unit = pop.Sobol().sequence(jr.key(5), 2, 0, 512)
    learned = validity(unit, random.random(512) < unit[:, 0], jr.key(6))
    fresh = random.random((4000, 2))
    assert np.abs(learned(fresh) - fresh[:, 0]).mean() < 0.1


def test_a_thinned_kind_keeps_its_odds():
    unit = np.random.default_rng(0).random((1500, 2))
    valid = np.random.default_rng(1).random(1500) < 0.9
    said = validity(unit, valid, jr.key(0))(unit)
    assert said.mean() == pytest.approx(valid.mean(), abs=0.03)


def test_with_next_to_no_failures_one_rate_is_said():
    valid = np.ones(98, bool)
    assert np.allclose(validity(np.random.default_rng(0).random((98, 2)), valid, jr.key(0))(np.zeros((3, 2))), 0.99)


def test_too_few_runs_are_refused_with_how_many_it_takes(noisy: Any):
    with pytest.raises(pop.MethodError, match=r"takes (\d+)") as refused:
        predicted(noisy(8, 0.1, 0), regressors=[PROCESS])
    needed = int(str(refused.value).split("takes ")[1].split(";")[0])
    predicted(noisy(needed, 0.1, 0), regressors=[PROCESS])


def test_the_same_key_learns_the_same(noisy: Any, grid: np.ndarray):
    runs = noisy(40, 0.1, 5)
    one, two = (predicted(runs, seed=3, regressors=[PROCESS]) for _ in range(2))
    assert np.array_equal(one.predict(at(grid)).mean, two.predict(at(grid)).mean)


def test_a_surrogate_is_reported(learned: pop.Surrogate, tmp_path: Any):
    for kind in ("html", "json", "md"):
        pop.write(learned, tmp_path / f"surrogate.{kind}")
    assert (tmp_path / "surrogate.html").stat().st_size > 1000
