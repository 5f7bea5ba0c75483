"""Forecasts of a fit: the same runs, longer; nearer to the data where that is asked for."""

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.campaigns.forecast import _longer
from populace.zoo.random_walk import RandomWalk


@pytest.fixture(scope="module")
def fit():
    model = RandomWalk(walkers=4)
    data = pop.simulate(model, jr.key(3), steps=12, record=pop.EveryStep(2)).observations["position"]
    target = pop.Target({"position": np.asarray(data)}, [pop.final("position")], covariance=pop.Given(np.array([0.5])))
    problem = pop.Problem(pop.Simulation(model, 13, pop.EveryStep(2)), pop.Space(p=dist.Uniform(0.2, 0.8)), target)
    return pop.calibrate(problem, pop.SequentialABC(particles=40), jr.key(0), budget=400, predictive=40, progress=False)


def test_runs_go_on(fit):
    """By one up or down a step and walker: 2 steps change the mean of 4 walkers by 2 at the most."""
    found = pop.forecast(fit, jr.key(1), horizon=3, draws=128, progress=False)
    paths = found.paths["position"]
    assert paths.shape == (128, 9) and np.abs(np.diff(paths, axis=1)).max() <= 2.0
    record = found.of("position")
    assert record.origins.tolist() == [5] and record.values.shape == (1, 3, 128)
    longer = pop.forecast(fit, jr.key(1), horizon=5, draws=128, progress=False)
    assert (longer.paths["position"][:, :9] == paths).all(), "one key, one run"


def test_the_nearest_runs_start_where_the_data_end(fit, tmp_path):
    end = fit.problem.target.data["position"].values[-1]
    away = {}
    for nearest in (None, 40):
        found = pop.forecast(fit, jr.key(1), horizon=2, draws=512, nearest=nearest, progress=False)
        away[nearest] = np.abs(found.paths["position"][:, 5] - end).mean()
    assert away[40] < 0.2 * away[None]
    assert found.verdicts()[0].code is pop.Code.STARTS_THERE
    pop.write(found, tmp_path / "forecast.html")
    assert found.record()["runs"] == {"made": 512, "kept": 40, "excluded": 0}


def test_records_join_over_origins(fit):
    one = pop.forecast(fit, jr.key(1), horizon=2, draws=128, progress=False).of("position")
    other = pop.SampleForecasts(np.array([2]), np.array([1, 2]), np.zeros((1, 2, 60)))
    both = pop.SampleForecasts.joined([one, other])
    assert both.origins.tolist() == [2, 5] and both.values.shape == (2, 2, 60) and (both.values[0] == 0).all()
    with pytest.raises(pop.MethodError, match="twice"):
        pop.SampleForecasts.joined([one, one])


def test_a_simulator_that_cannot_be_lengthened_is_given_longer(fit):
    def run(parameters, key, times=6):
        return {"position": np.random.default_rng(0).normal(parameters["p"], 1.0, times)}

    problem = pop.Problem(run, fit.problem.space, fit.problem.target)
    other = pop.Fit(**{**{n: getattr(fit, n) for n in fit.__dataclass_fields__}, "problem": problem})
    with pytest.raises(pop.SimulatorError, match="simulator="):
        pop.forecast(other, jr.key(0), horizon=2, draws=20, progress=False)
    found = pop.forecast(other, jr.key(0), horizon=2, draws=20, simulator=lambda p, k: run(p, k, 8), progress=False)
    assert found.paths["position"].shape == (20, 8)
    with pytest.raises(pop.SimulatorError, match="beyond make 9"):
        pop.forecast(other, jr.key(0), horizon=3, draws=20, simulator=lambda p, k: run(p, k, 8), progress=False)


def test_records_are_lengthened_by_their_own_stride():
    assert _longer(pop.EveryStep(3), 10, 2) == (pop.EveryStep(3), 5)
    assert _longer(pop.AtTimes((2, 6, 10)), 10, 2) == (pop.AtTimes((2, 6, 10, 14, 18)), 8)
    with pytest.raises(pop.SimulatorError, match="no regular times"):
        _longer(pop.AtTimes((2, 3, 10)), 10, 2)
