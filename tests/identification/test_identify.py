"""The report on cases with known answers: what is identified, what only as a product, what is the prior returned."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.identification.moment_report import MomentReport, moment_report

RUNS = 40


def simulated(parameters, key):
    """y ~ Normal(a b, 0.5): 40 of them; c does nothing; `odd` is what the data contradict."""
    y = parameters["a"] * parameters["b"] + 0.5 * jr.normal(key, (RUNS,))
    return {"y": y, "odd": jnp.full(1, 7.0) + 0.1 * jr.normal(jr.fold_in(key, 1), (1,))}


@pytest.fixture(scope="module")
def problem():
    y = 1.0 + 0.5 * np.asarray(jr.normal(jr.key(99), (RUNS,)))
    target = pop.Target(
        {"y": y, "odd": np.array([9.0])},
        [pop.mean("y")],
        held_out=[pop.final("odd"), pop.standard_deviation("y")],
        covariance=pop.Given(np.array([0.5 / np.sqrt(RUNS), 0.1, 0.06])),
    )
    space = pop.Space(a=dist.Uniform(0.01, 5.0), b=dist.Uniform(0.01, 5.0), c=dist.Uniform(0.0, 1.0))
    return pop.Problem(pop.Traceable(simulated), space, target, derived={"ab": _product})


def _product(parameters):
    return parameters["a"] * parameters["b"]


@pytest.fixture(scope="module")
def found(problem):
    fit = pop.calibrate(problem, pop.SequentialABC(particles=400), jr.key(3), budget=12_000, progress=False)
    return pop.identify(problem, fit, jr.key(4))


def test_a_product_is_known_and_its_factors_are_not(found):
    assert found.verdicts["a"].code is pop.Code.COMBINATION
    assert found.verdicts["b"].code is pop.Code.COMBINATION
    assert found.combinations[0].text == "a x b"
    assert found.combinations[0].low < 1.0 < found.combinations[0].high
    assert "a x b" in found.verdicts["a"].sentence


def test_what_enters_nowhere_returns_the_prior(found):
    assert found.verdicts["c"].code is pop.Code.PRIOR_RETURNED
    assert abs(found.contractions["c"]) < 0.3


def test_held_out_moments_are_judged_apart(found):
    report = found.moments
    codes = dict(zip(report.labels, report.codes, strict=True))
    assert codes["mean(y)"] is pop.Code.MATCHED
    assert codes["final(odd)"] is pop.Code.HELD_OUT_UNMATCHED
    assert codes["standard_deviation(y)"] is pop.Code.HELD_OUT_MATCHED
    # The data say 9, the model 7 with standard deviation 0.1.
    assert report.of("final(odd)") == pytest.approx(-20.0, abs=3.0)
    assert report.verdict().code is pop.Code.CONTRADICTED
    assert "final(odd)" in report.verdict().sentence


def test_the_record_is_json_and_every_verdict_has_a_sentence(found, tmp_path):
    pop.write(found, tmp_path / "report.json")
    pop.write(found, tmp_path / "report.html")
    assert all(v.sentence.endswith(".") for v in found.verdicts.values())


def test_a_fit_of_another_problem_is_refused(problem, found):
    other = pop.Problem(
        pop.Traceable(simulated), pop.Space(a=dist.Uniform(0.0, 1.0), b=dist.Uniform(0.0, 1.0)), problem.target
    )
    fit = pop.calibrate(other, pop.SequentialABC(particles=60, adjust=False), jr.key(1), budget=400, progress=False)
    with pytest.raises(pop.ProblemError, match="another problem"):
        pop.identify(problem, fit, jr.key(0))


def test_coverage_of_the_model_on_its_own_data(problem):
    """A model that is true has its fitted moments in their bands about as often as it says."""
    fit = pop.calibrate(problem, pop.SequentialABC(particles=100), jr.key(5), budget=2_000, progress=False)
    report = moment_report(fit, jr.key(6), 200)
    assert report.ceiling[0] == pytest.approx(0.95, abs=0.04)
    assert report.coverage == 1.0


def test_of_many_moments_the_farthest_apart_are_drawn():
    k = 60
    gap = np.linspace(0.0, 1.9, k)
    fitted = np.arange(k) > 0
    codes = tuple(pop.Code.MATCHED if one else pop.Code.HELD_OUT_MATCHED for one in fitted)
    ones = np.ones(k)
    labels = tuple(f"m{i}" for i in range(k))
    report = MomentReport(labels, ones, ones, ones, ones, ones, gap, fitted, codes, 1.0, (0.95, 0.9))
    section = report.sections()[0]
    panel = section.figures[0].panels[0]
    assert panel.names == ("m0", *(f"m{i}" for i in range(21, k)))  # the held out one, and the farthest in order
    assert "The 40 farthest apart; all are in the table." in panel.note
    assert len(section.tables[0].rows) == k
