"""The study of the S&P 500 at a small budget: what it finds, and that it says how weak its test is."""

import functools
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from scipy import stats

import populace as pop
from populace.core.executor import Ticker
from populace.studies import brock_hommes as study


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The study with half of its networks: it learns what so few runs tell all the same."""
    folder = tmp_path_factory.mktemp("brock-hommes")
    half = functools.partial(pop.AcceptableRegion, classifier=pop.MarginEnsemble(members=4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "AcceptableRegion", half)
        return folder, pop.run_study(study.BrockHommes(), folder, budget=200, progress=False)


def test_the_data_are_the_last_hundred_returns():
    returns = study.data()
    assert returns.shape == (100,)
    assert returns.min() == pytest.approx(-0.0402, abs=1e-4)  # 24 August 2015
    assert returns[-1] == pytest.approx(np.log(2077.070068 / 2091.689941), abs=1e-6)


def test_the_box_holds_as_many_acceptable_markets_as_were_counted():
    """By brute force elsewhere: .120 count and .050 are acceptable; .00135 with the larger noise."""
    task, n = study.problem(), 6_000
    seen = task.simulate(task.space.sample(jr.key(0), n), jr.split(jr.key(1), n), Ticker(None, "", n))
    near = study.DISTANCE(seen.moments, task.target) <= study.TOLERANCE
    assert abs((~seen.excluded).mean() - 0.12) < 0.015
    assert abs(near.mean() - 0.05) < 0.01
    runs = seen.moments[near & ~seen.excluded][:20, task.target.columns("ranked")]
    assert all(stats.ks_2samp(run, study.data()).pvalue > 0.05 for run in runs)


def test_the_region_is_found_and_checked(done: tuple[Path, Any]):
    summary = done[1].summary
    assert 0.02 < summary["acceptable_share"] < 0.1
    assert summary["acceptable_runs"] > 2 * 200 * 0.05
    assert summary["predicted_acceptable"] > 4 * 0.05
    assert any("fresh runs at draws of the region" in note for note in summary["notes"])
    assert summary["verdicts"]["memory"]["class"] in ("prior returned", "not identified")


def test_it_says_how_weak_the_test_is(done: tuple[Path, Any]):
    findings = done[1].findings
    assert done[1].summary["normal_noise_passes"] > 0.8
    assert "It is a weak test: " in findings.headline[-1]
    assert done[1].summary["moments"]["kurtosis(returns)"]["class"] == "held out, unmatched"
    assert "kurtosis(returns) is" in findings.headline[-1]
    report = (done[0] / "report.html").read_text()
    assert "<script" not in report and "with no trader in them" in report
