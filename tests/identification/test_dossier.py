"""All parts of a dossier, of a level that is known and a parameter that is not seen; and parts that cannot be made."""

import dataclasses
import json

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop

TITLES = ["Information", "Specification test", "Profiles", "Robust set", "Walks", "Equivalent fits", "Placebos"]


def level(parameters, key):
    """Two numbers with mean a; `b` enters nowhere."""
    one, other = 0.1 * jr.normal(key, (2,))
    return {"one": parameters["a"] + one, "other": parameters["a"] + other}


@pytest.fixture(scope="module")
def fit():
    space = pop.Space(a=dist.Uniform(-1.0, 1.0), b=dist.Uniform(-1.0, 1.0))
    moments = [pop.final("one"), pop.final("other")]
    target = pop.Target({"one": 0.2, "other": 0.3}, moments, covariance=pop.Given(np.array([0.1, 0.1])))
    task = pop.Problem(pop.Traceable(level), space, target)
    return pop.calibrate(task, pop.EnsembleSmoother(draws=100), jr.key(0), budget=1_000, predictive=200)


def test_a_dossier_holds_all_parts_and_they_agree(fit):
    found = pop.dossier(fit, jr.key(1), budget=600)
    titles = [section.title for section in found.sections()]
    assert titles[:2] == ["Moments", "Identification"] and [t for t in titles if t in TITLES] == TITLES[:-1]
    assert found.verdicts["a"].code is pop.Code.IDENTIFIED
    local, test, profiles, kept, *_, placebos = found.beside
    assert isinstance(local, pop.Information) and local.rank == 1
    assert isinstance(test, pop.SpecificationTest) and test.freedom == 1 and test.p > 0.05
    assert isinstance(profiles, pop.Profiles) and profiles.profiles["b"].verdict.code is pop.Code.FLAT
    assert isinstance(kept, pop.RobustSet) and kept.interval("a")[0] < 0.25 < kept.interval("a")[1]
    assert isinstance(placebos, pop.LeftOut) and "AnotherPlace" in placebos.why  # numbers are no series
    json.dumps(found.record())


def test_without_a_covariance_parts_are_left_out_with_the_reason(fit):
    target = pop.Target({"one": 0.2, "other": 0.3}, [pop.final("one"), pop.final("other")])
    bare = dataclasses.replace(fit, problem=fit.problem.with_target(target))
    found = pop.dossier(bare, jr.key(1), budget=600)
    left = {one.title: one.why for one in found.beside if isinstance(one, pop.LeftOut)}
    assert {"Information", "Specification test", "Profiles", "Robust set", "Equivalent fits"} <= set(left)
    assert all("covariance" in why for title, why in left.items() if title != "Placebo fits")
    assert "Left out: " in next(s for s in found.sections() if s.title == "Profiles").text[0]
