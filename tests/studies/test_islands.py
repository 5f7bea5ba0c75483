"""The islands inverted: the data and the problem, and, with a quick model in the place of the islands, what is said."""

import json
from typing import Any

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace._results import DensityPanel
from populace.problem.simulators import Batch, Simulator
from populace.studies import islands as study
from populace.studies.study import Findings


class Sums(Simulator):
    """Every parameter in parts of its range, and their sum, with noise of a tenth: in numpy, nothing is compiled."""

    def parameters(self) -> dict[str, Any]:
        return {}

    def simulate(self, parameters: Any, keys: Any, ticker: Any) -> Batch:
        parts = [(np.asarray(parameters[name]) - low) / (high - low) for name, (low, high) in study.BOX.items()]
        seeds = np.asarray(jr.key_data(keys), np.uint64)
        noise = np.stack([np.random.default_rng(seed.tolist()).standard_normal(7) for seed in seeds])
        return Batch({"m": np.stack([*parts, sum(parts)], 1) + 0.1 * noise}, np.zeros(len(seeds), bool), {})

    def describe(self) -> dict[str, Any]:
        return {"kind": "sums"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    exact = np.array([(study.TRUTH[name] - low) / (high - low) for name, (low, high) in study.BOX.items()])
    space = pop.Space({name: dist.Uniform(*ends) for name, ends in study.BOX.items()})
    task = pop.Problem(Sums(), space, pop.Target({"m": np.append(exact, exact.sum())}, [pop.level("m")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "problem", lambda: task)
        patch.setattr(study, "posterior", lambda: pop.SurrogatePosterior(0, (pop.Polynomial(degree=2),)))
        return study.IslandsInverted().run(jr.key(0), 3_400, tmp_path_factory.mktemp("islands"), None)


def test_the_data_are_a_run_that_grows():
    task = study.problem()
    assert task.target.labels[0] == "growth" and 0.2 < task.target.values[0] < 2.0
    assert int(task.target.fitted.sum()) == 7 and np.isfinite(task.target.values).all()
    assert all(low < study.TRUTH[name] < high for name, (low, high) in study.BOX.items())


def test_it_says_where_the_truth_lies(done: Findings):
    """The data are what the truth makes but for noise: it is where the posterior is densest."""
    summary = done.summary
    assert set(summary["ranks"]) == set(study.TRUTH) == set(summary["verdicts"])
    assert summary["inside_90"] and summary["joint"] > 0.5
    assert summary["held_90"] == {name: 0.05 <= rank <= 0.95 for name, rank in summary["ranks"].items()}
    assert summary["held_90"]["pi"] and abs(summary["ranks"]["pi"] - 0.5) < 0.2
    assert "The truth lies in the posterior's 90 % set" in done.headline[0]
    (section,) = done.results[0].sections()
    marks = [panel.marks["truth"] for panel in section.figures[0].panels if isinstance(panel, DensityPanel)]
    assert marks == list(study.TRUTH.values())


def test_the_baseline_stands_beside_it(done: Findings):
    row = json.loads(json.dumps(done.summary))["minimum_distance"]["pi"]
    assert row["low"] < study.TRUTH["pi"] < row["high"] and abs(row["errors_away"]) < 1.0
    assert "hold the truth of 6 of 6 parameters" in done.headline[-1]
    assert set(done.fits) == {"posterior", "minimum-distance"}
    assert done.results[-1].sections()[0].title == "The baseline: simulated minimum distance"


def test_a_truth_among_the_least_likely_draws_is_outside():
    draws = {name: np.linspace(*ends, 101) for name, ends in study.BOX.items()}
    nothing = dict.fromkeys(study.TRUTH, (0.0, np.nan, np.nan, np.nan))
    halves, held = dict.fromkeys(study.TRUTH, 0.5), dict.fromkeys(study.TRUTH, True)
    out = study.Inversion(halves, held, 0.04, nothing, draws, draws)
    assert out.verdict().code is pop.Code.OVER_CONFIDENT and "outside" in out.verdict().sentence
    assert out.record()["minimum_distance"]["rho"]["low"] is None
