"""Rivals of one law are not told apart, rivals of others are; and what separates them is what was made to."""

import json
from dataclasses import replace

import jax.random as jr
import numpy as np
import pytest
from tests.identification.rival_cases import CHEAP, SLOPE, bent, exact, other_later, plain, problem

import populace as pop
from populace.calibration.estimates import Point
from populace.core.executor import Ticker
from populace.identification.weighing import weigh

DATA = np.array([0.3, 0.4, 0.9])
BUDGET = 500


@pytest.fixture(scope="module")
def alike():
    """The same law of what is fitted, and another of what is held out."""
    problems = {"steady": problem(plain, DATA, True), "restless": problem(other_later, DATA, True)}
    return pop.compare(problems, CHEAP, jr.key(0), budget=BUDGET, predictive=200)


@pytest.fixture(scope="module")
def apart():
    problems = {"straight": problem(plain, 1.5 * SLOPE), "bent": problem(bent, 1.5 * SLOPE)}
    return pop.compare(problems, CHEAP, jr.key(1), budget=BUDGET, predictive=200)


def test_equal_laws_are_not_told_apart(alike):
    """The Bayes factor is 1, the accuracy .5, and both stay in the set."""
    weighing = alike.weighing
    other = 1 - weighing.best
    assert [v.code for v in weighing.verdicts()] == [pop.Code.NOT_TOLD_APART] * 2
    assert set(alike.tied()) == {"steady", "restless"} and weighing.held.kept.all()
    lag, error = weighing.lag(other)
    assert lag < 4 * error and error < 0.5
    first, second, _ = weighing.leads(other)
    assert abs(first.lag - second.lag) < 4 * np.hypot(first.drawn, second.drawn) and second.drawn < 0.3
    lag, error = weighing.classified_lag(other)
    assert abs(lag) < 4 * error and weighing.classified.calibrated
    test = alike.alike[0].fitted
    assert abs(test.accuracy - 0.5) < 4 * test.error


def test_evidences_are_those_of_the_closed_form(alike, apart):
    for found, data in ((alike, DATA), (apart, 1.5 * SLOPE)):
        for one, cooled in list(zip(found.weighing.evidences, found.weighing.tempered, strict=True))[
            : 2 if found is alike else 1
        ]:
            assert abs(one.log - exact(data)) < 4 * one.error
            assert abs(cooled.log - exact(data)) < 4 * np.hypot(one.error, cooled.error)


def test_what_is_held_out_tells_them_apart(alike):
    test = alike.alike[0].held_out
    assert test.accuracy > 0.5 + 4 * test.error


def test_other_laws_are_told_apart(apart):
    """The exact odds are beyond 10 : 1; the other leaves the set."""
    wanted = exact(1.5 * SLOPE) - exact(1.5 * SLOPE, slope=SLOPE * [1, 1, -1])
    assert wanted > 4 * np.log(10.0)
    assert apart.best == "straight" and apart.tied() == ("straight",)
    assert [v.code for v in apart.weighing.verdicts()] == [pop.Code.TOLD_APART] * 2
    assert apart.weighing.held.kept.tolist() == [True, False]
    assert "contradict" in " ".join(apart.sections()[0].text)


def test_ways_that_differ_settle_nothing(apart):
    """Populations that were to find a hill for the lesser rival, which importance draws missed."""
    weighing = apart.weighing
    i, one = 1 - weighing.best, weighing.tempered
    moved = [replace(t, log=t.log + (weighing.lag(i)[0] if j == i else 0.0)) for j, t in enumerate(one)]
    found = replace(weighing, tempered=tuple(moved))
    first, second, third = found.leads(i)
    assert first.sure and third.sure and not second.sure and not first.agrees(second)
    assert found.code(i) is pop.Code.UNSETTLED and "not settled" in found.verdicts()[1].sentence
    near = [replace(t, log=weighing.evidences[j].log) for j, t in enumerate(one)]
    assert replace(weighing, tempered=tuple(near)).leads(i)[1].lag == pytest.approx(first.lag)


def test_three_null_pairs_and_none_is_accused():
    """Of the evidence alone, at data from the model."""
    rng, accused = np.random.default_rng(5), 0
    for i in range(3):
        one = problem(plain, rng.normal() * SLOPE + 0.5 * rng.normal(size=3))
        fits = {
            n: pop.calibrate(one, CHEAP, jr.key(10 * i + j), budget=350, predictive=200) for j, n in enumerate("ab")
        }
        found = weigh(fits, jr.key(i), 150, Ticker(None, "", 300))
        accused += pop.Code.NOT_TOLD_APART is not found.verdicts()[1].code
    assert accused == 0


@pytest.fixture(scope="module")
def separation(alike):
    return pop.separating(
        alike,
        jr.key(3),
        moments=[pop.final("later"), pop.moment("first", lambda x: x[0], of="x")],
        interventions={"twenty fold": lambda simulator: pop.Traceable(_twenty)},
        repeats=(1, 10),
        costs={"twenty fold": 30.0},
        draws=200,
    )


def _twenty(at, key):
    """The same of both rivals."""
    seen = plain(at, key)
    return {name: 20.0 * series for name, series in seen.items()}


def test_the_moment_that_separates(separation):
    """Only what is not alike, often enough, and where it is."""
    best = separation.cheapest
    assert (best.moment, best.intervention, best.repeats, best.cost) == ("final(later)", "as observed", 10, 10.0)
    assert separation.verdict().code is pop.Code.SEPARATES
    assert best.information <= 1.0 + 4 * best.error
    others = [e for e in separation.experiments if e.moment == "first" or e.intervention == "twenty fold"]
    assert len(others) == 6 and not any(e.separates for e in others)
    assert all(e.information < 4 * max(e.error, 0.005) for e in others)
    assert {e.cost for e in others} == {1.0, 10.0, 31.0, 310.0}


def test_a_gain_is_that_of_the_closed_form(separation):
    """N(m, 1/4) against N(m, 25/4), seen once, with m at its posterior N(mu, s^2)."""
    once = next(e for e in separation.experiments if e.moment == "final(later)" and e.repeats == 1)
    grid, precision = np.linspace(-25, 25, 5001), 1.0 + SLOPE @ SLOPE / 0.25
    laws = [np.exp(-0.5 * grid**2 / v) / np.sqrt(2 * np.pi * v) for v in (0.25 + 1 / precision, 6.25 + 1 / precision)]
    p, q = (np.maximum(law, 1e-300) for law in laws)
    bits = [np.trapezoid(a * np.log2(2 * a / (p + q)), grid) for a in (p, q)]
    assert abs(once.information - np.mean(bits)) < 4 * once.error + 0.03


def test_nothing_separates(alike):
    one = pop.separating(alike, jr.key(4), moments=[pop.moment("first", lambda x: x[0], of="x")], draws=150)
    assert one.cheapest is None and one.verdict().code is pop.Code.NOTHING_SEPARATES


@pytest.mark.parametrize("name", ["alike", "apart", "separation"])
def test_results_can_be_read(name, request):
    result = request.getfixturevalue(name)
    json.dumps(result.record(), allow_nan=False)
    assert all(v.sentence and v.numbers for section in result.sections() for v in section.verdicts)


def test_what_is_refused(alike):
    one = problem(plain, DATA)
    for problems, why in (({"one": one}, "no rival"), ({"a": one, "b": problem(plain, 2 * DATA)}, "same target")):
        with pytest.raises(pop.ProblemError, match=why):
            pop.compare(problems, CHEAP, jr.key(0), budget=BUDGET)
    with pytest.raises(pop.MethodError, match="100"):
        pop.compare({"a": one, "b": one}, CHEAP, jr.key(0), budget=BUDGET, predictive=10)
    with pytest.raises(pop.SimulatorError, match="observes no 'x2'"):
        pop.separating(alike, jr.key(0), moments=[pop.final("x2")])
    with pytest.raises(pop.MethodError, match="moments to choose from"):
        pop.separating(alike, jr.key(0), moments=[])
    with pytest.raises(pop.SimulatorError, match="no sites"):
        pop.separating(alike, jr.key(0), moments=[pop.final("x")], interventions={"cap": (pop.Override("y", 0.0),)})
    fit = alike.fits["steady"]
    with pytest.raises(pop.MethodError, match="take SurrogatePosterior"):
        weigh({"a": _by_abc(fit)}, jr.key(0), 100, Ticker(None, "", 1))


def _by_abc(fit):
    point = Point(np.zeros(1), np.eye(1), 0.0, ())
    return replace(fit, estimate=point)
