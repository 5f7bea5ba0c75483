"""Scores of forecasts: closed forms, exact relations, and what a naive forecast can and cannot be beaten at."""

import jax.random as jr
import numpy as np
import pytest
from scipy.stats import norm, t

import populace as pop
from populace.campaigns.scoring_rules import HUB_LEVELS, crps, interval_scores
from populace.campaigns.skill import mean_error, skill

RNG = np.random.default_rng
MANY = (np.arange(400) + 0.5) / 400


def gaussian_crps(mean, sd, y):
    z = (y - mean) / sd
    return sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))


def test_crps_of_a_gaussian_and_of_few_of_its_samples():
    y = np.array([-1.0, 0.4, 3.0])
    exact = gaussian_crps(0.5, 2.0, y)
    many = crps(np.broadcast_to(norm.ppf(MANY, 0.5, 2.0), (3, 400)), y)
    assert np.allclose(many, exact, atol=0.01)
    few = crps(RNG(0).normal(0.5, 2.0, (20_000, 3, 4)), y)
    assert (np.abs(few.mean(0) - exact) < 4 * few.std(0) / np.sqrt(20_000)).all()


def test_interval_score_of_an_ensemble_is_the_crps_of_its_steps():
    """Exactly, at the levels (i - 1/2) / s: the CRPS of the ensemble's own distribution function."""
    samples, y = np.sort(RNG(1).normal(size=(50, 7)), axis=1), RNG(2).normal(size=50)
    levels = (np.arange(7) + 0.5) / 7
    steps = np.abs(samples - y[:, None]).mean(1) - np.abs(samples[:, :, None] - samples[:, None]).mean((1, 2)) / 2
    assert np.allclose(interval_scores(samples, levels, y).sum(-1), steps)


def test_interval_score_tends_to_the_crps_and_splits_by_side():
    y = np.array([-4.0, 0.0, 4.0])
    parts = interval_scores(np.broadcast_to(norm.ppf(MANY), (3, 400)), MANY, y)
    assert np.allclose(parts.sum(-1), gaussian_crps(0.0, 1.0, y), atol=0.005)
    assert parts[0, 2] == 0.0 < parts[0, 1] and parts[2, 1] == 0.0 < parts[2, 2]
    one = interval_scores(np.array([1.0, 2.0, 5.0]), np.array([0.1, 0.5, 0.9]), np.array(7.0))
    assert np.allclose(one, np.array([0.2 / 2 * 4, 0.0, 2.0 + 0.5 * 5.0]) / 1.5)  # by hand, from the definition


def test_error_of_a_mean_holds_for_overlapping_differences():
    """Sums of four neighbours: independent errors would make the interval half as wide as it has to be."""
    noise = RNG(3).normal(size=(2_000, 33))
    series = np.stack([noise[:, i : i + 30] for i in range(4)]).sum(0)
    found = [mean_error(one) for one in series]
    rejected = np.mean([abs(one.mean()) > t.ppf(0.975, df) * e for one, (e, df) in zip(series, found, strict=True)])
    assert abs(rejected - 0.05) < 0.02
    assert skill(np.full((9, 2), 3.0), np.full((9, 2), 4.0)).value == pytest.approx(0.25)


def walk(n, seed):
    return 50.0 + RNG(seed).normal(size=n).cumsum()


def ideal(truth, origins, horizons, seed, sd=1.0, shift=0.0):
    noise = RNG(seed).normal(size=(origins.size, horizons.size, 200))
    spread = sd * np.sqrt(horizons)[None, :, None]
    return pop.SampleForecasts(origins, horizons, truth[origins][:, None, None] + shift + spread * noise)


ORIGINS, AHEAD = np.arange(30, 120), np.array([1, 2, 3])


def test_a_random_walk_is_not_beaten():
    truth = walk(124, 4)
    found = pop.score_forecasts(ideal(truth, ORIGINS, AHEAD, 5), truth, jr.key(0))
    assert found.verdict().code is pop.Code.LIKE_NAIVE and found.hardest.name == "like the last value"
    assert abs(found.skill(found.hardest).value) < 0.05
    assert found.honesty().code is pop.Code.CALIBRATED
    assert found.skill(found.naive[1]).value > 0.5, "any value so far is no forecast of a walk"
    assert 0.9 < found.ours.row()[-1] <= 1.0


@pytest.mark.parametrize(
    ("sd", "shift", "code"),
    [(0.3, 0.0, "FORECAST_NARROW"), (3.0, 0.0, "FORECAST_WIDE"), (1.0, 1.5, "LEANS")],
)
def test_stated_uncertainty_that_is_wrong_is_named(sd, shift, code):
    truth = walk(124, 4)
    found = pop.score_forecasts(ideal(truth, ORIGINS, AHEAD, 5, sd, shift), truth, jr.key(0))
    assert found.honesty().code is pop.Code[code]
    assert found.verdict().code is not pop.Code.BEATS_NAIVE


def test_who_knows_more_beats_it_and_who_knows_less_loses():
    rng, n = RNG(6), 160
    season = 20.0 + 10.0 * np.sin(2 * np.pi * np.arange(n) / 13) + rng.normal(size=n)
    at = ORIGINS[:, None] + AHEAD
    mean = 20.0 + 10.0 * np.sin(2 * np.pi * at / 13)
    knows = pop.SampleForecasts(ORIGINS, AHEAD, mean[..., None] + rng.normal(size=(*at.shape, 100)))
    found = pop.score_forecasts(knows, season, jr.key(0), period=13)
    assert found.verdict().code is pop.Code.BEATS_NAIVE
    assert {one.name for one in found.naive} == {
        "like the last value",
        "like the last season",
        "like this time of any season",
    }
    stale = pop.SampleForecasts(ORIGINS, AHEAD, mean[..., None] + 8.0 + rng.normal(size=(*at.shape, 100)))
    assert pop.score_forecasts(stale, season, jr.key(0), period=13).verdict().code is pop.Code.BEATEN_BY_NAIVE


def test_quantiles_from_a_table_and_what_has_not_come(tmp_path):
    truth, levels = walk(100, 7), np.array(HUB_LEVELS)
    origins = np.arange(40, 100, 2)
    rows = ["origin,horizon,quantile,value"]
    for origin in origins:
        for h in (1, 2):
            values = truth[origin] + norm.ppf(levels) * np.sqrt(h)
            rows += [f"{origin},{h},{p},{v}" for p, v in zip(levels, values, strict=True)]
    (tmp_path / "hub.csv").write_text("\n".join(rows) + "\n")
    record = pop.read_forecasts(tmp_path / "hub.csv")
    assert isinstance(record, pop.QuantileForecasts) and record.values.shape == (30, 2, 23)
    truth[60] = np.nan
    found = pop.score_forecasts(record, truth, jr.key(1))
    assert found.rule == "weighted interval score" and np.isnan(found.ours.score[-1, 1]) and found.left_out == 0
    assert np.isnan(found.ours.score[origins == 58, 1]).all() and np.isfinite(found.ours.score).sum() == 58
    assert found.honesty().code is pop.Code.CALIBRATED and found.verdict().code is pop.Code.LIKE_NAIVE
    pop.write(found, tmp_path / "scores.html")
    assert found.record()["skill"]["like the last value"]["all"]["origins"] == 30


def test_counts_with_ties_have_uniform_places():
    rng = RNG(8)
    counts = rng.poisson(2.0, 300).astype(float)
    origins = np.arange(20, 290)
    record = pop.SampleForecasts(origins, np.array([1]), rng.poisson(2.0, (origins.size, 1, 30)).astype(float))
    assert pop.score_forecasts(record, counts, jr.key(2)).honesty().code is pop.Code.CALIBRATED


def test_what_is_no_record_is_refused(tmp_path):
    values = np.zeros((2, 1, 3))
    with pytest.raises(pop.MethodError, match="rise"):
        pop.SampleForecasts(np.array([3, 3]), np.array([1]), values)
    with pytest.raises(pop.MethodError, match="pairs"):
        pop.QuantileForecasts(np.array([3, 4]), np.array([1]), values, np.array([0.1, 0.5, 0.8]))
    with pytest.raises(pop.MethodError, match="do not fall"):
        pop.QuantileForecasts(np.array([3]), np.array([1]), np.array([[[1.0, 3.0, 2.0]]]), np.array([0.1, 0.5, 0.9]))
    with pytest.raises(pop.MethodError, match="can be scored"):
        pop.score_forecasts(pop.SampleForecasts(np.array([3]), np.array([1]), values[:1]), np.arange(5.0), jr.key(0))
    (tmp_path / "bad.csv").write_text("origin,horizon,value\n1,1,2\n")
    with pytest.raises(pop.ProblemError, match="quantile"):
        pop.read_forecasts(tmp_path / "bad.csv")
