"""Counterfactuals: paired by common random numbers, right where the answer is known, and refused before work starts."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from tests.campaigns.drawn_fits import fitted

import populace as pop
from populace.campaigns.manifest import manifest
from populace.campaigns.sources import Sources
from populace.zoo.school_epidemic import IsolateFirst, SchoolEpidemic, VaccinateShare

N = 400


def three(observations):
    return np.full(len(observations["in_bed"]), 3.0)


def ever_in_bed(observations):
    return observations["ever_in_bed"][:, -1]


@pytest.fixture(scope="module")
def school():
    """Sixteen points that fit, without a method: what is tested comes after the fit."""
    model = SchoolEpidemic(jnp.float32(1.7), jnp.float32(0.45), boys=60, steps_per_day=1)
    space = pop.Space(beta=dist.LogUniform(1.0, 3.0), recovery=dist.LogUniform(0.3, 0.6))
    return fitted(pop.Simulation(model, 14), space, {"in_bed": np.ones(14)}, [pop.maximum("in_bed")], 16)


SCHOOL = {
    "nothing": (pop.Replace("isolate", IsolateFirst(0, 0.0)),),
    "everybody": (pop.Replace("vaccinate", VaccinateShare(1.0)),),
    "half": pop.Intervention((pop.Replace("vaccinate", VaccinateShare(0.5)),), cost=three),
    "mild": pop.Intervention(parameters={"beta": pop.Times(0.0001)}),
}  # fmt: skip


@pytest.fixture(scope="module")
def effects(school):
    asked = {name: SCHOOL[name] for name in SCHOOL}
    return pop.counterfactual(
        school, asked, jr.key(5), outcome="boys", of=ever_in_bed, draws=64, price=1.0, progress=False
    )


def test_a_measure_that_does_nothing_changes_no_run(effects):
    assert (effects.spared("nothing") == 0).all()


def test_perfect_measures_leave_the_first_boys(effects):
    assert (effects.outcomes["everybody"] == 3).all()
    assert (effects.outcomes["mild"] == 3).all()


def test_half_a_measure_lies_between(effects):
    assert 0 < np.median(effects.spared("half")) < np.median(effects.spared("everybody"))


def test_costs_of_runs_are_counted(effects):
    at = effects.options.index("half")
    np.testing.assert_allclose(effects.decision.losses[:, at], effects.outcomes["half"] + 3.0)


def test_ties_are_shared(effects):
    share, _ = effects.decision.probabilities()
    at = [effects.options.index(name) for name in ("everybody", "mild")]
    np.testing.assert_allclose(share[at], 0.5, atol=0.02)
    assert effects.decision.verdict("boys").code is pop.Code.CHOICE_OPEN


def test_pairs_share_their_numbers(effects, school):
    again = pop.counterfactual(
        school, {"half": SCHOOL["half"]}, jr.key(5), outcome="boys", of=ever_in_bed, draws=64, progress=False
    )
    assert (again.spared("half") == effects.spared("half")).all()


def test_the_report_and_the_record(effects, tmp_path):
    pop.write(effects, tmp_path / "what-if.html")
    record = effects.record()
    assert set(record["spared"]) == set(SCHOOL)
    assert record["baseline"]["low"] <= record["baseline"]["median"] <= record["baseline"]["high"]


def test_an_unknown_site_is_named_before_anything_is_run(school):
    wrong = {"right": SCHOOL["nothing"], "wrong": (pop.Replace("isolat", IsolateFirst(1, 1.0)),)}
    with pytest.raises(pop.UnknownSiteError, match="isolate"):
        pop.counterfactual(school, wrong, jr.key(0), outcome="boys", of=never, draws=20, progress=False)


def never(observations):
    raise AssertionError("nothing should have been run")


# Closed forms, by a function of two parameters: no sites, no model


def linear(parameters, key):
    """Outcome a + b e, with e N(0, 1): with a times 0.5 it is a / 2 less in every pair."""
    e = jr.normal(key, (1,))
    return {"y": parameters["a"][None] + parameters["b"][None] * e, "e": e}


def final(observations):
    return observations["y"][:, -1]


@pytest.fixture(scope="module")
def line():
    space = pop.Space(a=dist.Normal(2.0, 1.0), b=dist.Uniform(0.5, 1.5))
    return fitted(pop.Traceable(linear), space, {"y": np.array([2.0])}, [pop.final("y")], 4000)


def asked(fit, interventions, **others):
    given = {"outcome": "y", "of": final, "draws": N, "progress": False, **others}
    return pop.counterfactual(fit, interventions, jr.key(3), **given)


def test_shifts_of_a_black_box_act_in_every_pair(line):
    shifts = {
        "half": pop.Intervention(parameters={"a": pop.Times(0.5)}),
        "less": pop.Intervention(parameters={"a": pop.Plus(-3.0)}),
        "fixed": pop.Intervention(parameters={"a": 1.0}),
        "bent": pop.Intervention(parameters={"a": lambda a: a**2}),
        "other": pop.Intervention(simulator=lambda at, key: {"y": np.array([at["a"] - 1.0])}),
    }
    found = asked(line, shifts)
    a, noise = found.draws["a"], found.baseline - found.draws["a"]
    for name, expected in {"half": 0.5 * a, "less": 3.0 + 0 * a, "fixed": a - 1.0, "bent": a - a**2}.items():
        np.testing.assert_allclose(found.spared(name), expected, atol=1e-5)
    np.testing.assert_allclose(found.spared("other"), 1.0 + noise, atol=1e-5)


def test_the_decision_table_is_that_of_two_gaussians(line):
    """Gain a - 2 - cost with a ~ N(2, 1): best half the time, regret E max(0, +-Z) = 0.399, and nothing leads."""
    found = asked(line, {"set": pop.Intervention(parameters={"a": 2.0})}, draws=4000)
    (share, other), (error, _) = found.decision.probabilities()
    assert abs(share - 0.5) < 4 * error and share + other == pytest.approx(1.0)
    assert error == pytest.approx(0.5 / np.sqrt(4000), rel=0.05)
    (regret, _), (doubt, _) = found.decision.regrets()
    assert abs(regret - 1 / np.sqrt(2 * np.pi)) < 4 * doubt
    value, _ = found.decision.information()
    assert value <= regret + 1e-9
    low, middle, high = found.interval("set")
    assert high - low == pytest.approx(2 * 1.645, rel=0.08) and abs(middle) < 0.1


def test_prices_costs_and_higher_is_better(line):
    dear = pop.Intervention(parameters={"a": pop.Plus(1.0)}, cost=3.0)
    for price, best in ((2.0, "as it is"), (4.0, "dear")):
        found = asked(line, {"dear": dear}, higher_is_better=True, price=price, cost_unit="pounds")
        assert found.options[found.decision.best] == best
        assert found.decision.lead(1 if best == "as it is" else 0) == (
            pytest.approx(1.0, abs=1e-4),
            pytest.approx(0, abs=1e-4),
        )
    np.testing.assert_allclose(found.gain("dear"), 1.0, atol=1e-5)
    benefits = found.benefits()
    np.testing.assert_allclose(benefits["dear"] - benefits["as it is"], 1.0, atol=1e-4)
    row = found.decision_table().rows[1]
    assert row[2] == 3.0 and row[3] == pytest.approx(3.0, rel=1e-4)  # each of the gained costs 3


def test_few_particles_widen_the_error():
    """Of 4 distinct draws, 400 rows are worth 4: the error is that of a mean of 4."""
    space = pop.Space(a=dist.Normal(2.0, 1.0), b=dist.Uniform(0.5, 1.5))
    few = fitted(pop.Traceable(linear), space, {"y": np.array([2.0])}, [pop.final("y")], 4)
    found = asked(few, {"half": pop.Intervention(parameters={"a": pop.Times(0.5)})})
    four = np.unique(found.gain("half").round(5))
    assert found.mean("half")[1] == pytest.approx(four.std(ddof=1) / 2.0, rel=0.05)


def test_a_point_says_that_only_chance_is_in_it(line):
    found = asked(fitted_at_a_point(line), {"louder": pop.Intervention(parameters={"b": pop.Times(2.0)})})
    assert found.fixed and "chance only" in found.sections()[0].text[-1]
    assert found.gain("louder").std() == pytest.approx(float(found.draws["b"][0]), rel=0.15)


def fitted_at_a_point(fit):
    point = pop.Point(np.array([2.0, 0.0]), np.full((2, 2), np.nan), 0.0, ())
    return pop.Fit(**{**vars(fit), "estimate": point})


def test_runs_that_fail_are_left_out_with_their_reason(line):
    def fails(at, key):
        return {"y": jnp.where(at["a"] > 3.0, jnp.nan, at["a"])[None]}

    found = asked(line, {"risky": pop.Intervention(simulator=pop.Traceable(fails)), "half": HALF})
    assert found.excluded == N - len(found.baseline) == found.reasons["an observation is NaN or infinite (risky)"]
    assert (found.draws["a"] <= 3.0).all() and len(found.gain("half")) == len(found.baseline)
    with pytest.raises(pop.SimulatorError, match=r"only .* can be used .* Weaken"):
        asked(line, {"worse": pop.Intervention(parameters={"a": pop.Plus(1.5)}, simulator=pop.Traceable(fails))})


HALF = pop.Intervention(parameters={"a": pop.Times(0.5)})


def test_what_cannot_be_done_is_said_before_anything_is_run(line, school):
    no_sites = (pop.Override("infect", 0.0),)
    for fit, intervention, error, match in (
        (line, no_sites, pop.SimulatorError, "no sites"),
        (line, pop.Intervention(parameters={"c": 1.0}), pop.UnknownParameterError, "'a', 'b'"),
        (line, pop.Intervention(parameters={"a": lambda a: a[:3]}), pop.DomainError, "an array"),
        (school, pop.Intervention(parameters={"beta": pop.Plus(-2.0)}), pop.DomainError, r"plus -2.* of 20 draws"),
        (school, pop.Intervention(parameters={"silent": 1.5}), pop.DomainError, "domain"),
        (school, pop.Intervention(model=lambda model: Other()), pop.SpaceError, "beta"),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            pop.counterfactual(fit, {"x": intervention}, jr.key(0), outcome="x", of=never, draws=20, progress=False)
    with pytest.raises(pop.MethodError, match="one intervention"):
        asked(line, {})
    with pytest.raises(pop.ProblemError, match="one number a run"):
        asked(line, {"half": HALF}, of=lambda seen: seen["y"])


class Other(pop.Model):
    rate: jax.Array = pop.parameter(default=1.0)

    def init(self, draw):
        return jnp.zeros(())

    def step(self, draw, state):
        return state

    def observe(self, state):
        return {"in_bed": state}


# Several models


@pytest.fixture(scope="module")
def twins(line):
    """The same baseline; of the second, an action on `b` turns the outcome round."""

    def turned(at, key):
        e = jr.normal(key, (1,))
        return {"y": at["a"][None] + jnp.where(at["b"] > 0.0, at["b"], 5.0) * e + jnp.where(at["b"] > 0.0, 0.0, 9.0)}

    space = pop.Space(a=dist.Normal(2.0, 1.0), b=dist.Uniform(0.5, 1.5))
    return {"one": line, "other": fitted(pop.Traceable(turned), space, {"y": np.array([2.0])}, [pop.final("y")], 4000)}


def test_models_that_agree_and_models_that_do_not(twins, tmp_path):
    acts = {"half": HALF, "fix b": pop.Intervention(parameters={"b": 0.0, "a": pop.Plus(-1.0)})}
    found = asked(twins, acts)
    assert found.apart("half").code is pop.Code.MODELS_AGREE
    apart = found.apart("fix b")  # spares 1 in one model; costs 8 in the other
    assert apart.code is pop.Code.MODELS_DIFFER_IN_SIGN and (apart.lower, apart.higher) == ("other", "one")
    assert abs(apart.gap - 9.0) < 4 * apart.error
    codes = [v.code for v in found.verdicts()]
    assert pop.Code.MODELS_DIFFER_IN_SIGN in codes and found.weighed == "with equal weights"
    pop.write(found, tmp_path / "models.html")
    assert found.record()["verdicts"]["fix b"]["class"] == "models differ in sign"


def test_weights_make_the_pool(twins):
    act = {"fix b": pop.Intervention(parameters={"b": 0.0, "a": pop.Plus(-1.0)})}
    found = asked(twins, act, weights={"one": 3.0, "other": 1.0})
    means = [found.models[name].mean("fix b")[0] for name in ("one", "other")]
    base, other = found.decision.means
    assert base - other == pytest.approx(0.75 * means[0] + 0.25 * means[1])
    assert found.decision.worst()[1] == pytest.approx(-means[1]) and found.choice().code is pop.Code.OTHER_CHOICE


@pytest.mark.parametrize("kind", [pop.Comparison, pop.TiedRules])
def test_rivals_bring_their_tied_models_and_weights(twins, kind):
    """Evidences 3 : 1 and a third, told apart, which is not asked."""
    odds = [np.log(3.0), 0.0, -50.0]
    weighing = SimpleNamespace(
        names=("one", "other", "worse"),
        evidences=[SimpleNamespace(log=log) for log in odds],
        best=0,
        tied=lambda: ("one", "other"),
    )
    fits = {**twins, "worse": twins["one"]}
    rules = kind is pop.TiedRules
    compared: Any = kind("action", (), fits, weighing, {}) if rules else kind(fits, weighing, (), None)
    found = asked(compared, {"half": HALF}, draws=20)
    assert found.weights == {"one": pytest.approx(0.75), "other": pytest.approx(0.25)}
    alone = asked({"one": twins["one"]}, {"half": HALF}, draws=20)
    assert [v.subject for v in alone.verdicts()] == ["the choice"] and alone.sections()
    with pytest.raises(pop.ProblemError, match="two or more"):
        alone.apart("half")


def test_a_difference_in_size_is_told_from_one_that_is_open(twins):
    each = {"strong": {"one": pop.Intervention(parameters={"a": pop.Plus(-9.0)}), "other": HALF}}
    assert asked(twins, each).apart("strong").code is pop.Code.MODELS_DIFFER_IN_SIZE
    assert asked(twins, each, draws=10).apart("strong").share > 0.2
    with pytest.raises(pop.MethodError, match="weights are of all models"):
        asked(twins, each, weights={"one": 1.0, "third": 2.0})
    with pytest.raises(pop.MethodError, match="says nothing for the model 'other'"):
        asked(twins, {"strong": {"one": HALF}})


def test_equivalent_fits_are_asked_one_by_one(line):
    alike = pop.Equivalents({"a": np.array([1.0, 3.0]), "b": np.ones(2)}, np.zeros(2), 1, 0, 10, {}, {})
    found = asked(pop.members(line, alike), {"half": HALF})
    means = {name: one.mean("half")[0] for name, one in found.models.items()}
    assert means == {"set 1": pytest.approx(0.5, abs=1e-4), "set 2": pytest.approx(1.5, abs=1e-4)}
    assert found.apart("half").code is pop.Code.MODELS_DIFFER_IN_SIZE
    with pytest.raises(pop.ProblemError, match="another fit"):
        pop.members(line, pop.Equivalents({"a": np.ones(2)}, np.zeros(2), 1, 0, 10, {}, {}))


# The manifest


def test_the_manifest_is_the_same_twice_and_holds_no_path():
    first, second = (manifest(seed=1, budget=2, sources=Sources({}, {}, ())) for _ in range(2))
    assert first == second
    assert first["versions"]["jax"] and first["random"]["generator"]
    assert "/" not in str(first["machine"])
