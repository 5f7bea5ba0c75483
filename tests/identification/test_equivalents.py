"""Equivalent fits: far apart on a ridge, confirmed by simulation, and honest on where they disagree."""

import dataclasses

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop


def seen(parameters, key, times=1.0):
    """The data show a b; what a alone does is held out, and so is the product, seen again."""
    one, two = jr.split(key)
    product = parameters["a"] * parameters["b"]
    return {
        "y": product * times + 0.05 * jr.normal(one),
        "alone": parameters["a"] + 0.1 * jr.normal(two),
        "again": product * times + 0.05 * jr.normal(jr.fold_in(two, 1)),
    }


def later(parameters, key):
    return seen(parameters, key, times=3.0)


@pytest.fixture(scope="module")
def fit():
    target = pop.Target(
        {"y": np.float64(1.0), "alone": np.float64(1.0), "again": np.float64(1.0)},
        [pop.final("y")],
        held_out=[pop.final("alone"), pop.final("again")],
        covariance=pop.Given(np.array([0.05, 0.1, 0.05])),
    )
    problem = pop.Problem(pop.Traceable(seen), pop.Space(a=dist.Uniform(0.2, 5), b=dist.Uniform(0.2, 5)), target)
    return pop.calibrate(problem, pop.EnsembleSmoother(), jr.key(1), budget=4_000, predictive=300, progress=False)


@pytest.fixture(scope="module")
def found(fit):
    return pop.equivalents(fit, jr.key(2), replicates=50, elsewhere={"later": pop.Traceable(later)})


def test_they_are_far_apart_and_fit_alike(found):
    a, b = found.parameters["a"], found.parameters["b"]
    assert np.ptp(a) > 2.0 and np.ptp(b) > 2.0
    # Draws of the ridge are off it by the data's own error, and three standard errors of fifty runs.
    assert a * b == pytest.approx(1.0, abs=3.5 * 0.05 + 3 * 0.05 / np.sqrt(50))


def test_they_disagree_on_what_the_data_do_not_fix_and_agree_on_what_they_do(found):
    codes = {v.subject: v.code for v in found.verdicts()}
    assert codes["final(alone)"] is pop.Code.DISAGREE
    assert found.disagreement("final(alone)") > 20.0
    assert codes["final(alone), later"] is pop.Code.DISAGREE
    assert set(found.predictions) == {
        "final(alone)",
        "final(again)",
        *(f"final({n}), later" for n in ("y", "alone", "again")),
    }


def test_a_set_that_does_not_fit_is_left_out(fit):
    """One draw is moved off the ridge: it is the farthest away, and is simulated, and left out."""
    draws = {name: values.copy() for name, values in fit.draws.items()}
    draws["a"][0], draws["b"][0] = 4.9, 4.9
    moved = type(fit)(**{**vars(fit), "draws": draws})
    found = pop.equivalents(moved, jr.key(2), replicates=50)
    assert found.left_out >= 1
    assert (found.parameters["a"] * found.parameters["b"]).max() < 1.5


def test_many_that_agree_are_told_as_one(found):
    means = {
        f"held {i}": np.stack([np.full(len(found.loss), 1.0 + i), np.full(len(found.loss), 0.1)], 1) for i in range(9)
    }
    many = dataclasses.replace(
        found, predictions={**found.predictions, **means}, scatter={**found.scatter, **dict.fromkeys(means, 1.0)}
    )
    (section,) = many.sections()
    told = [v for v in section.verdicts if v.code is pop.Code.AGREE]
    assert len(told) == 1 and len(section.verdicts) - 1 == sum(v.code is pop.Code.DISAGREE for v in many.verdicts())
    assert len(section.figures) == 4 and "final(alone)" in section.figures[0].caption + section.figures[1].caption


def test_it_is_a_page(found, tmp_path):
    pop.write(found, tmp_path / "equivalents.html")
    pop.write(found, tmp_path / "equivalents.json")


def test_bad_input_is_refused_before_work(fit):
    with pytest.raises(pop.MethodError, match="2 members"):
        pop.equivalents(fit, jr.key(0), members=1)
    bare = pop.Target(
        {"y": np.float64(1.0), "alone": np.float64(1.0), "again": np.float64(1.0)},
        [pop.final("y")],
        held_out=[pop.final("alone"), pop.final("again")],
    )
    with pytest.raises(pop.MethodError, match="give the target a covariance"):
        pop.equivalents(type(fit)(**{**vars(fit), "problem": fit.problem.with_target(bare)}), jr.key(0))
