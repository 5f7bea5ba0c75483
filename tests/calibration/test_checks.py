"""Simulation-based calibration finds what is right, too narrow, too wide, and nothing at all."""

import json
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import ndtri

from populace._errors import MethodError
from populace._results import BandPanel, Code
from populace.calibration import uniformity
from populace.calibration.checks import Calibration, Trials, _places, simulation_based_calibration
from populace.calibration.estimates import Estimate, Posterior
from populace.calibration.reference_points import distances
from populace.calibration.regions import Scale
from populace.calibration.sequential_abc import SequentialABC
from populace.core.rounds import Done, Method
from populace.problem.covariance import Given
from populace.problem.moments import level
from populace.problem.problem import Problem, Simulate
from populace.problem.space import Space
from populace.problem.target import Target

ERRORS = 4.0


def _two(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    """The first parameter with noise 0.5; nothing about the second."""
    noise = ndtri(u)
    return {"m": np.stack([parameters["a"] + 0.5 * noise[:, 0], noise[:, 1]], axis=1)}


@pytest.fixture(scope="module")
def two(numpy_simulator: Any) -> Problem:
    """a ~ N(0, 2^2) seen with error 0.5; b ~ N(0, 1) not seen at all."""
    space = Space(a=dist.Normal(0.0, 2.0), b=dist.Normal(0.0, 1.0))
    target = Target({"m": np.zeros(2)}, [level("m")], covariance=Given([0.5, 1.0]))
    return Problem(numpy_simulator(_two, 2), space, target)


class Exact(Method[Problem, Any, Estimate]):
    """The posterior of `two` in closed form, made wrong on demand: `narrow` and `shift` posterior deviations of `a`.

    `blind` hands back the prior; `frail` refuses data above it; `series` reads
    the data and not their moments.
    """

    narrow: float = eqx.field(static=True, default=1.0)
    shift: float = eqx.field(static=True, default=0.0)
    blind: bool = eqx.field(static=True, default=False)
    frail: float = eqx.field(static=True, default=np.inf)
    series: bool = eqx.field(static=True, default=False)

    def start(self, task: Problem, key: Any, budget: int) -> Any:
        if task.target.values[0] > self.frail:
            raise MethodError("these data are too much")
        return np.array(0)

    def ask(self, task: Problem, state: Any, key: Any) -> Simulate:
        return Simulate({"a": jnp.zeros(1), "b": jnp.zeros(1)}, jr.split(key, 1))

    def tell(self, task: Problem, state: Any, ask: Any, answer: Any) -> Any:
        return np.array(1)

    def done(self, task: Problem, state: Any, left: int) -> Done | None:
        return Done(Code.CONVERGED, "exact") if int(state) else None

    def finish(self, task: Problem, state: Any, key: Any) -> Estimate:
        gain = 4.0 / 4.25
        seen = task.target.series["m"].values[0] if self.series else task.target.values[0]
        mean, sd = (0.0, 2.0) if self.blind else (gain * seen, 0.5 * gain**0.5)
        noise = np.asarray(jr.normal(key, (400, 2)), np.float64)
        real = np.stack([mean + sd * (self.narrow * noise[:, 0] + self.shift), noise[:, 1]], axis=1)
        return Posterior(real, np.full(400, 1 / 400), np.zeros((400, 2)), ())


def calibrated(problem: Problem, method: Method, datasets: int = 200, seed: int = 0, **more: Any) -> Calibration:
    return simulation_based_calibration(
        problem, method, jr.key(seed), datasets=datasets, budget=more.pop("budget", 1), draws=50, progress=False, **more
    )


def codes(found: Calibration) -> dict[str, Code]:
    return {verdict.subject: verdict.code for verdict in found.verdicts()}


JOINTLY = "all parameters jointly"
AROUND = "around reference points"


def test_the_exact_posterior_is_calibrated_and_what_is_not_seen_is_the_prior(two: Problem):
    found = calibrated(two, Exact())
    fine = Code.CALIBRATED
    assert codes(found) == {"a": fine, "b": Code.PRIOR_RETURNED, JOINTLY: fine, AROUND: fine}
    for probability in (0.5, 0.8, 0.95):
        error = np.sqrt(probability * (1 - probability) / found.fitted)
        assert (np.abs(found.coverage(probability) - probability) < ERRORS * error).all()
    spread = 0.5 * (4.0 / 4.25) ** 0.5 / 2.0  # of a's posterior, in the prior's; its mean density follows
    left = np.sqrt(12.0) * spread / np.sqrt(2.0 * np.pi * (1.0 + 4.0 / 4.25))
    assert abs(found.contraction[:, 0].mean() - (1.0 - left)) < 0.02 and abs(found.contraction[:, 1].mean()) < 0.02
    assert "says nothing" in {v.subject: v.sentence for v in found.verdicts()}["b"]
    assert found.stops == {Code.CONVERGED: 200} and not found.left_out and found.repeats < 0.2


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (Exact(narrow=0.6), Code.OVER_CONFIDENT),
        (Exact(narrow=1.8), Code.TOO_WIDE),
        (Exact(shift=1.2), Code.OVER_CONFIDENT),
        (Exact(blind=True), Code.PRIOR_RETURNED),
    ],
)
def test_what_is_wrong_is_found(two: Problem, method: Exact, code: Code):
    found = codes(calibrated(two, method, seed=1))
    assert found == {"a": code, "b": Code.PRIOR_RETURNED, JOINTLY: code, AROUND: Code.NOT_POSTERIOR}


def test_a_method_that_reads_the_series_meets_those_of_each_data_set(two: Problem):
    found, same = calibrated(two, Exact(series=True), datasets=20), calibrated(two, Exact(), datasets=20)
    np.testing.assert_allclose(found.trials.draws, same.trials.draws, atol=1e-5)


def test_the_prior_passes_all_but_the_points_that_know_the_data(two: Problem):
    found = calibrated(two, Exact(blind=True), seed=1)
    last = found.verdicts()[-1]
    assert "the posterior is the prior, and the data say more than it makes of them" in last.sentence
    assert last.numbers["farther than half of the draws"] < 0.25  # the truth is nearer than draws of the prior
    assert (found.around[:20] > 0.5).mean() > 0.2  # while there is nothing to learn from, points know nothing


def test_where_data_say_nothing_the_prior_is_the_posterior(two: Problem, numpy_simulator: Any):
    problem = Problem(numpy_simulator(_noise, 2), two.space, two.target)
    assert codes(calibrated(problem, Exact(blind=True), seed=2)) == {
        "a": Code.PRIOR_RETURNED,
        "b": Code.PRIOR_RETURNED,
        JOINTLY: Code.PRIOR_RETURNED,
        AROUND: Code.CALIBRATED,
    }


def _noise(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    return {"m": ndtri(u)}


def test_shares_around_points_are_uniform_for_a_right_method(two: Problem):
    """Points hang on the data sets before theirs: exact draws (20 a data set) must not show it."""
    rng, scale, chances = np.random.default_rng(4), Scale.of(two.space), []
    for seed in range(150):
        moments = rng.standard_normal((60, 2))
        both = 0.9 * moments[:, None] + 0.4 * rng.standard_normal((60, 21, 2))
        found = distances(scale, moments, both[:, 0], both[:, 1:], jr.key(seed))
        chances.append(uniformity.p_value(_places(jr.key(seed), found[:, 1:], found[:, 0])))
    for size in (0.05, 0.2):
        assert (np.array(chances) < size).mean() < size + ERRORS * np.sqrt(size * (1 - size) / len(chances))


@pytest.mark.parametrize("datasets", [20, 100])
def test_a_right_method_seldom_fails(datasets: int):
    """At 5 % over all parameters together, by uniform places themselves."""
    rng, times, failed = np.random.default_rng(0), 300, 0
    for _ in range(times):
        shape = (datasets, 2)
        places, (joint, around) = rng.uniform(size=shape), rng.uniform(size=(2, datasets))
        none = Trials(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 0, 2)))
        rest = (np.full(shape, 0.5), {}, {}, 0.0, none)
        found = Calibration("exact", datasets, 1, ("a", "b"), places, joint, around, *rest)
        failed += set(codes(found).values()) != {Code.CALIBRATED}
    assert 0 < failed / times < 0.05 + ERRORS * np.sqrt(0.05 * 0.95 / times)


def test_sequential_abc_is_calibrated(normal: Any):
    found = calibrated(normal[0], SequentialABC(particles=40, check=40), datasets=15, budget=360)
    assert codes(found) == {"theta": Code.CALIBRATED, JOINTLY: Code.CALIBRATED, AROUND: Code.CALIBRATED}
    assert found.fitted == 15 and sum(found.stops.values()) == 15


class Shrunk(Method[Problem, Any, Estimate]):
    """Another method, whose draws it pulls to their mean: over-confident."""

    method: SequentialABC

    def start(self, task: Problem, key: Any, budget: int) -> Any:
        return self.method.start(task, key, budget)

    def ask(self, task: Problem, state: Any, key: Any) -> Simulate:
        return self.method.ask(task, state, key)

    def tell(self, task: Problem, state: Any, ask: Any, answer: Any) -> Any:
        return self.method.tell(task, state, ask, answer)

    def done(self, task: Problem, state: Any, left: int) -> Done | None:
        return self.method.done(task, state, left)

    def finish(self, task: Problem, state: Any, key: Any) -> Estimate:
        found = self.method.finish(task, state, key)
        centre = found.centre(task)
        return eqx.tree_at(lambda e: e.real, found, centre + 0.3 * (found.real - centre))


def test_an_over_confident_method_is_found(normal: Any):
    found = calibrated(normal[0], Shrunk(SequentialABC(particles=40, adjust=False)), datasets=20, budget=320)
    assert codes(found)["theta"] is codes(found)[JOINTLY] is Code.OVER_CONFIDENT


def test_the_result_reads(two: Problem):
    found = calibrated(two, Exact(), datasets=40)
    (section,) = found.sections()
    assert any("Calibration without contraction says nothing" in text for text in section.text)
    assert [verdict.subject for verdict in section.verdicts] == ["a", "b", JOINTLY, AROUND]
    (figure,), (table,) = section.figures, section.tables
    assert [panel.title for panel in figure.panels] == ["a", "b", JOINTLY, AROUND]
    for panel in figure.panels:
        assert isinstance(panel, BandPanel)
        (band,), (points,) = panel.bands, panel.points
        low, high = band.intervals[0.95]
        assert band.x.shape == points.y.shape == low.shape and (low <= 0).all() and (high >= 0).all()
    assert table.columns == ("parameter", "coverage of 50 %", "coverage of 80 %", "coverage of 95 %", "contraction")
    assert [row[0] for row in table.rows] == ["a", "b", JOINTLY] and table.rows[-1][-1] is None
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert record["coverage"]["0.95"]["a"] == found.coverage(0.95)[0]
    assert record["verdicts"]["b"]["class"] == "prior returned"


def test_the_same_key_gives_the_same_numbers(two: Problem):
    one, same, other = (calibrated(two, Exact(), datasets=12, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.places, same.places)
    np.testing.assert_array_equal(one.joint, same.joint)
    np.testing.assert_array_equal(one.around, same.around)
    assert not np.array_equal(one.places, other.places)


def test_fits_that_fail_are_counted(two: Problem):
    found = calibrated(two, Exact(frail=1.0), datasets=40)
    count = 40 - found.fitted
    assert 0 < count < 40 and found.left_out == {"the fit failed: these data are too much": count}
    assert any("Left out" in text for text in found.sections()[0].text)
    with pytest.raises(MethodError, match="no data set can be fitted: the fit failed: these data"):
        calibrated(two, Exact(frail=-100.0), datasets=12)


def test_what_cannot_work_is_refused(two: Problem):
    bare = two.with_target(Target({"m": np.zeros(2)}, [level("m")]))
    with pytest.raises(MethodError, match="give the target one"):
        calibrated(bare, Exact())
    with pytest.raises(MethodError, match="10 of each"):
        calibrated(two, Exact(), datasets=9)


def _gaps(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    return {"m": np.where(parameters["a"][:, None] > 2.0, np.nan, _two(parameters, u)["m"])}


def test_data_sets_that_cannot_be_simulated_are_left_out(two: Problem, numpy_simulator: Any):
    problem = Problem(numpy_simulator(_gaps, 2), two.space, two.target)
    found = calibrated(problem, Exact(), datasets=60)
    assert found.left_out == {"a moment is NaN": 60 - found.fitted}
    assert abs(60 - found.fitted - 60 * 0.159) < ERRORS * np.sqrt(60 * 0.159 * 0.841)


def test_held_out_moments_stay_the_data_s(two: Problem):
    """Data are replaced where a fit may look, and nowhere else."""
    held = Target({"m": np.zeros(2), "n": np.ones(2)}, [level("m")], [level("n")], covariance=Given(np.ones(4)))
    moments = np.array([5.0, 6.0, np.nan, 7.0])
    other = held.with_values(np.where(held.fitted, moments, held.values))
    assert other.values.tolist() == [5.0, 6.0, 1.0, 1.0]


# Uniformity


def test_uniform_numbers_pass_as_often_as_said():
    rng, times = np.random.default_rng(0), 2_000
    chances = np.array([uniformity.p_value(rng.uniform(size=60)) for _ in range(times)])
    for size in (0.01, 0.05, 0.2):
        assert abs((chances < size).mean() - size) < ERRORS * np.sqrt(2 * size * (1 - size) / times)  # of both samples


def test_the_band_holds_the_whole_function_as_often_as_said():
    rng, times, n = np.random.default_rng(1), 2_000, 40
    low, high = uniformity.band(n, 0.95)
    shares = np.array([uniformity.below(rng.uniform(size=n)) / n for _ in range(times)])
    inside = ((shares >= low) & (shares <= high)).all(1).mean()
    assert 0.95 - ERRORS * np.sqrt(2 * 0.05 * 0.95 / times) < inside < 0.98


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (2.0, 2.0), (1.6, 1.0)])
def test_what_is_not_uniform_fails(a: float, b: float):
    assert uniformity.p_value(np.random.default_rng(2).beta(a, b, size=300)) < 0.001


def test_the_ranks_are_uniform_with_few_draws_and_with_ties():
    rng, times = np.random.default_rng(3), 3_000
    draws, truth = rng.integers(0, 3, size=(times, 4)), rng.integers(0, 3, size=times)
    assert uniformity.p_value(_places(jr.key(0), draws, truth)) > 0.01
    assert jnp.asarray(_places(jr.key(0), draws, truth)).max() <= 1.0
