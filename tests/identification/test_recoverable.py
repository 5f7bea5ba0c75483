"""What runs alone say of identification, on tables whose answer is known in closed form."""

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.identification.at_data import at_data
from populace.identification.cross_predictions import Ranks
from populace.identification.recoverable import recoverability


def made(space, key, n, summaries, labels):
    """Runs at Sobol points; `summaries` from parameters (name to (n,)) and a generator to (n, k)."""
    design = pop.design(space, key, n)
    points = {name: np.asarray(value, np.float64) for name, value in design.parameters.items()}
    moments = summaries(points, np.random.default_rng(5))
    return pop.Runs(space, design.unit, moments, np.ones(n, bool), labels, {})


def product(p, rng):
    """a b and c, each with a little noise; e does nothing; six summaries are noise."""
    n = p["a"].size
    seen = [p["a"] * p["b"] + 0.05 * rng.standard_normal(n), p["c"] + 0.1 * rng.standard_normal(n)]
    return np.stack([*seen, *rng.standard_normal((6, n))], axis=1)


@pytest.fixture(scope="module")
def box():
    return pop.Space({name: dist.Uniform(0.0, 2.0) for name in "abce"})


@pytest.fixture(scope="module")
def runs(box):
    labels = ("product", "sight", *(f"noise{i}" for i in range(6)))
    return made(box, jr.key(0), 1024, product, labels)


@pytest.fixture(scope="module")
def found(runs):
    return recoverability(runs, jr.key(1))


def test_a_product_is_known_and_its_factors_are_not(found):
    assert [c.text for c in found.combinations] == ["a x b"]
    assert found.combinations[0].performance.value > 0.8
    for name in "ab":
        assert found.verdicts[name].code is pop.Code.COMBINATION
        assert "a x b" in found.verdicts[name].sentence
    assert found.verdicts["c"].code is pop.Code.IDENTIFIED
    assert found.verdicts["e"].code is pop.Code.NOT_IDENTIFIED
    assert found.performance["e"].high < 0.1


def test_a_noisy_reading_is_told_as_well_as_it_can_be(found):
    """c + N(0, .1) over a box of width 2: but for the ends the error is .1, and the prior's 2 / sqrt 12."""
    one = found.performance["c"]
    best = 1.0 - 0.1 / (2.0 / np.sqrt(12.0))
    assert one.low < one.value < one.high
    assert best - 0.08 < one.value < best + 3 * (one.high - one.low) / 4


def test_the_report_says_that_it_is_an_average(found, tmp_path):
    (section,) = found.sections()
    assert any("Averaged over the prior box" in text for text in section.text)
    assert len(section.figures) == 2
    (path,) = pop.write(found, tmp_path / "x.html")
    assert "not identified" in path.read_text()
    pop.write(found, tmp_path / "x.json")


def test_a_sum_gives_its_members_the_share_that_theory_says():
    """S = w1 + w2 + N(0, 1): the best performance of either is 1 - 1 / sqrt 2."""
    space = pop.Space(w1=dist.Uniform(80.0, 150.0), w2=dist.Uniform(80.0, 150.0))

    def total(p, rng):
        return (p["w1"] + p["w2"] + rng.standard_normal(p["w1"].size))[:, None]

    found = recoverability(made(space, jr.key(2), 1024, total, ("S",)), jr.key(3))
    for name in ("w1", "w2"):
        one = found.performance[name]
        assert abs(one.value - (1.0 - 1.0 / np.sqrt(2.0))) < 4 * (one.high - one.low) / 3.92
        assert abs(one.contraction - 0.5) < 0.06
        assert found.verdicts[name].code is pop.Code.COMBINATION
    assert found.combinations[0].text == "w1 + w2"


def test_members_with_other_units_are_added_on_their_own_scales():
    space = pop.Space(small=dist.Uniform(0.0, 1.0), large=dist.Uniform(0.0, 1000.0))

    def total(p, rng):
        return (p["small"] + p["large"] / 1000.0)[:, None]

    found = recoverability(made(space, jr.key(2), 256, total, ("S",)), jr.key(3))
    assert found.combinations[0].text == "small + 0.001 x large"


def test_replicates_give_nothing_away():
    """A summary that tells points apart and says nothing of where they are: a run beside its replicate knows all."""
    space = pop.Space(x=dist.Uniform(0.0, 1.0))
    unit = np.repeat(pop.design(space, jr.key(4), 200).unit, 4, axis=0)
    moments = np.repeat(np.random.default_rng(6).standard_normal((200, 2)), 4, axis=0)
    runs = pop.Runs(space, unit, moments, np.ones(800, bool), ("s1", "s2"), {})
    found = recoverability(runs, jr.key(5))
    assert found.verdicts["x"].code is pop.Code.NOT_IDENTIFIED
    parted = pop.Runs(space, unit + 1e-9 * np.arange(800)[:, None], moments, np.ones(800, bool), ("s1", "s2"), {})
    assert recoverability(parted, jr.key(5)).performance["x"].value > 0.5  # what the guard is against


def test_one_summary_among_many_is_found():
    space = pop.Space(x=dist.Uniform(0.0, 1.0), y=dist.Uniform(0.0, 1.0))

    def one_of_many(p, rng):
        n = p["x"].size
        return np.concatenate([(p["x"] + 0.03 * rng.standard_normal(n))[:, None], rng.standard_normal((n, 60))], axis=1)

    runs = made(space, jr.key(6), 512, one_of_many, tuple(f"s{i}" for i in range(61)))
    found = recoverability(runs, jr.key(7))
    assert found.performance["x"].value > 0.7
    assert found.verdicts["y"].code is pop.Code.NOT_IDENTIFIED


def test_data_decide_what_the_average_does_not(box, runs):
    """At a b = 1 and c = 0.5: the posterior holds them, and intervals near the data are as wide as they should be."""
    data = np.concatenate([[1.0, 0.5], np.zeros(6)])
    both = pop.identify(runs, jr.key(1), data=data)
    at = both.at
    assert at is not None
    assert at.reach.verdict().code is pop.Code.WITHIN_REACH
    assert at.check().code is pop.Code.CALIBRATED
    assert both.verdicts["c"].code is pop.Code.IDENTIFIED
    assert abs(np.median(at.draws["c"]) - 0.5) < 4 * 0.1 / np.sqrt(40)
    assert abs(np.median(at.draws["a"] * at.draws["b"]) - 1.0) < 0.1
    assert both.verdicts["e"].code is pop.Code.NOT_IDENTIFIED
    assert both.sections()[0].title == "Reach"
    assert set(both.record()) == {"average", "at the data"}


def test_one_verb_takes_runs_and_tables_and_a_fit_of_neither(runs):
    """Tables that were read are runs; other data need nothing learned anew; arguments of a fit are refused."""
    few = runs.taken(np.arange(120))
    data = np.concatenate([[1.0, 0.5], np.zeros(6)])
    found = pop.identify(few, jr.key(2))
    assert found.at is None and set(found.verdicts) == set("abce")
    at = pop.identify(pop.RunTable(few, ()), jr.key(2), data=data)
    assert at.record() == found.given(data).record()
    for call in (
        lambda: pop.identify(few, jr.key(0), replicates=10),
        lambda: pop.identify(few, jr.key(0), jr.key(1)),
    ):
        with pytest.raises(pop.ProblemError, match="runs"):
            call()


def test_data_that_no_run_comes_near_are_said_to_be(found):
    at = at_data(found, np.concatenate([[40.0, 0.5], np.zeros(6)]))
    assert at.reach.verdict().code is pop.Code.OUT_OF_REACH
    assert any("do not read" in text for section in at.sections() for text in section.text)
    assert all(verdict.code is pop.Code.UNJUDGED for verdict in at.verdicts.values())


def test_an_answer_at_an_end_of_the_prior_is_said(found):
    at = at_data(found, np.concatenate([[1.0, 2.0], np.zeros(6)]))
    assert [verdict.subject for verdict in at.bounds] == ["c"]


def test_what_depends_on_where_the_data_lie():
    """y ~ N(t1, t2 / 10) where both are above 2, else N(0, 1): identified in one region, and not in the other."""
    space = pop.Space(t1=dist.Uniform(0.1, 5.0), t2=dist.Uniform(0.1, 5.0))

    def local(p, rng):
        seen = (p["t1"] > 2) & (p["t2"] > 2)
        y = rng.standard_normal((p["t1"].size, 100))
        y = np.where(seen[:, None], p["t1"][:, None] + 0.1 * p["t2"][:, None] * y, y)
        return np.stack([y.mean(1), y.std(1)], axis=1)

    found = recoverability(made(space, jr.key(8), 2048, local, ("mean", "sd")), jr.key(9))
    inside, outside = at_data(found, np.array([3.5, 0.35])), at_data(found, np.array([0.0, 1.0]))
    assert inside.verdicts["t1"].code is pop.Code.IDENTIFIED
    assert outside.verdicts["t1"].code in (pop.Code.NOT_IDENTIFIED, pop.Code.WEAK)
    assert inside.contractions["t1"] > outside.contractions["t1"] + 0.4


def test_the_scale_of_ranks():
    scale = Ranks(np.array([[1.0], [2.0], [2.0], [5.0]]))
    assert scale(np.array([[0.0], [2.0], [3.0], [9.0]]))[:, 0].tolist() == [0.0, 0.5, 0.75, 1.0]


def test_too_few_runs_are_refused(runs):
    with pytest.raises(pop.MethodError, match="make 50 or more"):
        recoverability(runs.taken(np.arange(30)), jr.key(0))


def test_data_of_another_length_are_refused(found):
    with pytest.raises(pop.ProblemError, match="8 finite numbers"):
        at_data(found, np.zeros(3))
