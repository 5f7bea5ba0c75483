"""Counterfactuals: paired by common random numbers, and refused where there is no site to intervene at."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.campaigns.manifest import manifest
from populace.zoo.school_epidemic import IsolateFirst, SchoolEpidemic, VaccinateShare


def ever_in_bed(observations):
    return observations["ever_in_bed"][:, -1]


@pytest.fixture(scope="module")
def fit():
    model = SchoolEpidemic(jnp.float32(1.7), jnp.float32(0.45), boys=120, steps_per_day=2)
    data = pop.simulate(model, jr.key(8), steps=28, record=pop.EveryStep(2)).observations
    problem = pop.Problem(
        pop.Simulation(model, 28, pop.EveryStep(2)),
        pop.Space(beta=dist.LogUniform(0.5, 5.0), recovery=dist.LogUniform(0.2, 1.0)),
        pop.Target({"in_bed": np.asarray(data["in_bed"])}, [pop.maximum("in_bed"), pop.total("in_bed")]),
    )
    return pop.calibrate(
        problem, pop.SequentialABC(particles=60), jr.key(2), budget=1500, predictive=200, progress=False
    )


@pytest.fixture(scope="module")
def effects(fit):
    measures = {
        "nothing": (pop.Replace("isolate", IsolateFirst(0, 0.0)),),
        "everybody": (pop.Replace("vaccinate", VaccinateShare(1.0)),),
        "half": (pop.Replace("vaccinate", VaccinateShare(0.5)),),
    }
    return pop.counterfactual(fit, measures, jr.key(5), outcome="boys", of=ever_in_bed, draws=100, progress=False)


def test_a_measure_that_does_nothing_changes_no_run(effects):
    assert (effects.spared("nothing") == 0).all()


def test_a_perfect_measure_leaves_the_first_boys(effects):
    assert (effects.outcomes["everybody"] == 3).all()


def test_half_a_measure_lies_between(effects):
    assert 0 < np.median(effects.spared("half")) < np.median(effects.spared("everybody"))


def test_pairs_share_their_numbers(effects, fit):
    again = pop.counterfactual(
        fit,
        {"half": (pop.Replace("vaccinate", VaccinateShare(0.5)),)},
        jr.key(5),
        outcome="boys",
        of=ever_in_bed,
        draws=100,
        progress=False,
    )
    assert (again.spared("half") == effects.spared("half")).all()


def test_the_report_and_the_record(effects, tmp_path):
    pop.write(effects, tmp_path / "what-if.html")
    record = effects.record()
    assert set(record["spared"]) == {"nothing", "everybody", "half"}
    assert record["baseline"]["low"] <= record["baseline"]["median"] <= record["baseline"]["high"]


def test_an_unknown_site_is_named(fit):
    with pytest.raises(pop.UnknownSiteError, match="isolate"):
        pop.counterfactual(
            fit,
            {"x": (pop.Replace("isolat", IsolateFirst(1, 1.0)),)},
            jr.key(0),
            outcome="boys",
            of=ever_in_bed,
            draws=20,
            progress=False,
        )


def test_a_simulator_without_sites_is_refused():
    problem = pop.Problem(
        pop.Traceable(_flip),
        pop.Space(p=dist.Uniform(0.0, 1.0)),
        pop.Target({"x": np.array([0.5])}, [pop.final("x")], covariance=pop.Given(np.array([0.1]))),
    )
    fit = pop.calibrate(problem, pop.SequentialABC(particles=40), jr.key(0), budget=500, predictive=50, progress=False)
    with pytest.raises(pop.SimulatorError, match="no sites"):
        pop.counterfactual(fit, {}, jr.key(0), outcome="x", of=lambda o: o["x"][:, -1], progress=False)


def _flip(parameters, key):
    return {"x": parameters["p"][None] + 0.1 * jr.normal(key, (1,))}


def test_the_manifest_is_the_same_twice_and_holds_no_path():
    first, second = (manifest(seed=1, budget=2, problems={}) for _ in range(2))
    assert first == second
    assert first["versions"]["jax"] and first["random"]["generator"]
    assert "/" not in str(first["machine"])
