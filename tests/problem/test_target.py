"""Targets: what data are accepted, what is compared, and what is compiled."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from populace._errors import SimulatorError, TargetError
from populace.problem import moments as m
from populace.problem.covariance import FromReplicates, Given
from populace.problem.target import UNKNOWN, Target

FLU = {
    "in_bed": np.array([3.0, 8, 28, 75, 221, 291, 255, 235, 190, 126, 70, 28, 12, 5]),
    "convalescent": np.array([0.0, 0, 0, 0, 9, 17, 105, 162, 176, 166, 150, 85, 47, 20]),
    "ever_in_bed": 512,
}


def school(**more: Any) -> Target:
    return Target(FLU, [m.level("in_bed"), m.final_size("ever_in_bed")], [m.peak_time("convalescent")], **more)


def runs(n: int = 5, times: int = 14, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    cases = rng.integers(0, 100, size=(n, times)).astype(float)
    return {"in_bed": cases, "convalescent": cases[:, ::-1], "ever_in_bed": cases.cumsum(1)}


def test_fitted_moments_come_first_and_the_held_out_are_marked():
    target = school()
    assert target.labels[:2] == ("in_bed[1]", "in_bed[2]")
    assert target.labels[-2:] == ("final_size(ever_in_bed)", "peak_time(convalescent)")
    assert target.fitted.tolist() == [True] * 15 + [False]
    assert target.values.tolist() == [*FLU["in_bed"], 512.0, 9.0]
    assert target.values.dtype == np.float64 and not target.values.flags.writeable


def test_a_batch_is_summarised_run_by_run():
    batch = runs()
    out = school().summarise({**batch, "not asked for": np.zeros(3)})
    assert out.shape == (5, 16) and out.dtype == np.float64
    np.testing.assert_array_equal(out[:, :14], batch["in_bed"])
    np.testing.assert_array_equal(out[:, 14], batch["ever_in_bed"][:, -1])
    np.testing.assert_array_equal(out[:, 15], batch["convalescent"].argmax(1) + 1)


def test_the_data_meet_themselves_at_no_distance():
    target = school()
    again = {**{k: np.asarray(v)[None] for k, v in FLU.items()}}
    np.testing.assert_array_equal(target.summarise(again)[0], target.values)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_one_number_is_the_value_at_the_end(kind: Any):
    """As 0-d, or of length one beside longer series; simulated as a series, or as one number a run."""
    batch = {k: kind(v.astype(np.float32)) for k, v in runs().items()}
    expected = np.asarray(batch["ever_in_bed"])[:, -1]
    for given in (512, np.array(512), [512.0], np.ma.masked_invalid([512.0])):
        target = Target(
            {**FLU, "ever_in_bed": given}, [m.level("in_bed"), m.final("ever_in_bed"), m.level("ever_in_bed")]
        )
        assert target.labels[-2:] == ("final(ever_in_bed)", "ever_in_bed[14]")
        for simulated in (batch["ever_in_bed"], batch["ever_in_bed"][:, -1], batch["ever_in_bed"][:, -1:]):
            out = target.summarise({**batch, "ever_in_bed": simulated})
            np.testing.assert_array_equal(out[:, -2:], np.stack([expected, expected], 1))


def test_a_series_of_one_time_is_no_end_when_nothing_is_longer():
    target = Target({"x": [3.0]}, [m.level("x")])
    assert target.summarise({"x": np.ones((2, 1))}).tolist() == [[1.0], [1.0]]
    with pytest.raises(SimulatorError, match="has 14 times, the data have 1"):
        target.summarise({"x": np.ones((2, 14))})
    assert Target({"x": 3.0}, [m.final("x")]).summarise({"x": np.arange(6.0).reshape(2, 3)}).tolist() == [[2.0], [5.0]]


def masked(*missing: int) -> np.ma.MaskedArray:
    values = FLU["in_bed"].copy()
    values[list(missing)] = np.nan
    return np.ma.masked_invalid(values)


def test_missing_times_are_left_out_of_data_and_runs_alike():
    target = Target({"in_bed": masked(3, 9)}, [m.level("in_bed"), m.total("in_bed"), m.mean("in_bed")])
    there = np.delete(np.arange(14), [3, 9])
    assert target.labels[:12] == tuple(f"in_bed[{i + 1}]" for i in there)
    assert target.values[12] == FLU["in_bed"][there].sum()
    batch = runs()
    batch["in_bed"][:, 3] = np.nan  # what the data miss is not looked at
    out = target.summarise(batch)
    np.testing.assert_array_equal(out[:, 12], batch["in_bed"][:, there].sum(1))
    assert target.missing == {"in_bed": 2}
    assert "'in_bed' misses 2 of 14 times (4, 10)" in target.sentence()


def test_series_of_one_moment_stay_aligned():
    data = {"a": masked(0), "b": FLU["convalescent"], "end": 2.0}
    ratio = m.moment("ratio", lambda a, b, end: (a * b).sum() / end[0], ("a", "b", "end"), regular=False)
    target = Target(data, [ratio, m.total("b")])
    both = FLU["in_bed"] * FLU["convalescent"]
    assert target.values.tolist() == [both[1:].sum() / 2, FLU["convalescent"].sum()]


def test_a_time_with_any_missing_entry_is_missing():
    table = np.ma.masked_array(np.arange(8.0).reshape(4, 2), mask=np.eye(4, 2) > 0)
    target = Target({"x": table}, [m.level("x")])
    assert target.values.tolist() == [4.0, 5.0, 6.0, 7.0] and target.missing == {"x": 2}
    assert target.labels == ("x[3, 0]", "x[3, 1]", "x[4, 0]", "x[4, 1]")


def test_moments_that_need_every_time_refuse_gaps():
    with pytest.raises(TargetError, match=r"needs every time, and the data miss some.*in_bed.*1"):
        Target({"in_bed": masked(3)}, [m.autocorrelation("in_bed", [1])])
    with pytest.raises(TargetError, match="needs every time"):
        Target({"in_bed": masked(3)}, [m.derived("rise", jnp.diff, "in_bed", m.mean("rise"))])


def test_times_have_names():
    days = np.arange("1978-01-22", "1978-02-05", dtype="datetime64[D]")
    target = Target({"in_bed": masked(1), "ever": 512}, [m.level("in_bed"), m.level("ever")], times=days)
    assert target.labels[:2] == ("in_bed[1978-01-22]", "in_bed[1978-01-24]")
    assert target.labels[-1] == "ever[1978-02-04]"
    weekly = {"x": np.arange(14.0), "w": np.arange(2.0)}
    each = Target(weekly, [m.level("w")], times={"w": ["week 1", "week 2"]})
    assert each.labels == ("w[week 1]", "w[week 2]") and each.data["x"].times[-1] == "14"


WRONG_DATA = {
    "no mapping": ([1.0], {}, "name of each series"),
    "empty": ({}, {}, "is empty"),
    "text": ({"x": ["a", "b"]}, {}, "'x' holds no numbers"),
    "a NaN": ({"x": [1.0, np.nan, np.nan]}, {}, r"'x' holds nan at index 1 \(2 such in all\).*masked_invalid"),
    "an infinity": ({"x": [[1.0, 2.0], [3.0, -np.inf]]}, {}, "holds -inf at index 1, 1"),
    "a NaN number": ({"x": np.nan}, {}, "one number"),
    "nothing": ({"x": []}, {}, "'x' has no value"),
    "all missing": ({"x": np.ma.masked_all(3)}, {}, "'x' has no value"),
    "missing in every row": ({"x": np.ma.masked_array(np.ones((2, 2)), np.eye(2))}, {}, "at every time"),
    "labels too few": ({"x": [1.0, 2.0]}, {"times": ["a"]}, "2 times, and 1 labels"),
    "labels twice": ({"x": [1.0, 2.0]}, {"times": ["a", "a"]}, "'a' is given twice"),
    "labels of nobody": ({"x": [1.0, 2.0]}, {"times": {"y": ["a", "a"]}}, "'y', which is no series"),
}


@pytest.mark.parametrize("case", WRONG_DATA)
def test_data_that_cannot_be_used_are_refused_in_words(case: str):
    data, more, words = WRONG_DATA[case]
    with pytest.raises(TargetError, match=words):
        Target(data, [m.level("x")], **more)


DATA = {"x": [1.0, 2.0, 4.0], "flat": [7.0, 7.0, 7.0], "short": [1.0, 2.0], "gap": np.ma.masked_equal([1, 0, 3], 0)}
GAP = {"gap": np.ma.masked_equal([1, 0, 3], 0), "other": np.ma.masked_equal([0, 2, 0], 0)}

WRONG_MOMENTS = {
    "none": (DATA, {"moments": []}, "at least one moment"),
    "no list": (DATA, {"moments": m.level("x")}, r"is a list: \[level\(x\)\]"),
    "no moment": (DATA, {"moments": [np.mean]}, r"not a moment; make one: moment\("),
    "another series": (DATA, {"moments": [m.level("shorts")]}, "the data do not hold; did you mean 'short'"),
    "no series": (DATA, {"moments": [m.moment("a", lambda: 1.0, ())]}, "reads no series"),
    "twice": (DATA, {"moments": [m.mean("x")], "held_out": [m.mean("x")]}, r"both called 'mean\(x\)'"),
    "not defined": (DATA, {"moments": [m.autocorrelation("flat", [1])]}, "series 'flat' never changes"),
    "lengths and gaps": (
        DATA,
        {"moments": [m.moment("a", lambda a, b: a[0], ("gap", "short"), regular=False)]},
        "different lengths.*'gap' 3, 'short' 2",
    ),
    "nothing in common": (
        GAP,
        {"moments": [m.moment("a", lambda a, b: a[0], ("gap", "other"), regular=False)]},
        "no time in common",
    ),
    "a bare matrix": (DATA, {"moments": [m.level("x")], "covariance": np.eye(3)}, "not ndarray"),
}


@pytest.mark.parametrize("case", WRONG_MOMENTS)
def test_moments_that_do_not_fit_are_refused_in_words(case: str):
    data, more, words = WRONG_MOMENTS[case]
    with pytest.raises(TargetError, match=words):
        Target(data, **more)


def test_a_moment_must_keep_its_word():
    class Liar(m.Moment):
        @property
        def name(self) -> str:
            return "liar"

        @property
        def regular(self) -> bool:
            return False

        def series(self) -> tuple[str, ...]:
            return ("x",)

        def __call__(self, observations: Any) -> Any:
            return observations["x"]

        def labels(self, observations: Any, times: Any) -> tuple[str, ...]:
            return ("one",)

    with pytest.raises(TargetError, match=r"'liar' has 1 labels and returns shape \(3,\)"):
        Target(DATA, [Liar()])


WRONG_RUNS = {
    "absent": ({"in_bed": np.ones((2, 14)), "in_beds": np.ones((2, 14))}, "no 'ever_in_bed'"),
    "misspelt": ({"in_beds": np.ones((2, 14))}, "no 'in_bed', which the data hold; did you mean 'in_beds'"),
    "too long": ({**runs(), "in_bed": np.ones((5, 20))}, "has 20 times, the data have 14.*steps to 14"),
    "no runs": ({**runs(), "in_bed": np.ones(14)}, r"shape \(14,\).*\(n, 14\)"),
    "an axis more": ({**runs(), "in_bed": np.ones((5, 14, 2))}, r"shape \(5, 14, 2\)"),
    "a number with an axis": ({**runs(), "ever_in_bed": np.ones((5, 14, 2))}, r"shape \(5, 1, 2\)"),
    "other runs": ({**runs(), "in_bed": np.ones((4, 14))}, "different numbers of runs"),
}


@pytest.mark.parametrize("case", WRONG_RUNS)
def test_runs_that_do_not_fit_are_refused_in_words(case: str):
    batch, words = WRONG_RUNS[case]
    with pytest.raises(SimulatorError, match=words):
        school().summarise(batch)


def test_what_is_not_finite_is_nan_and_counted():
    target = Target({"x": [1.0, 2.0, 4.0], "y": [1.0, 2.0, 3.0]}, [m.maximum("x"), m.skewness("x")], [m.skewness("y")])
    x = np.array([[1.0, 2, 3], [1, np.nan, 3], [1, np.inf, 3], [5, 5, 5], [1, 2, 4], [1, 1e300, 2]])
    y = np.array([[1.0, 2, 3]] * 4 + [[2, 2, 2]] + [[1, 2, 3]])
    out = target.summarise({"x": x, "y": y})
    assert np.isnan(out[[1, 2, 5], :2]).all() and np.isfinite(out[0]).all()
    excluded, counts = target.undefined(out)
    assert excluded.tolist() == [False, True, True, True, False, True]
    assert counts == {"maximum(x)": 3, "skewness(x)": 4, "skewness(y)": 1}


def test_a_function_of_ones_own_cannot_hide_a_nan():
    target = Target({"x": [1.0, 2.0]}, [m.moment("first", lambda x: x[0], "x")])
    assert np.isnan(target.summarise({"x": np.array([[1.0, np.nan]])})).all()


def test_nothing_is_compiled_twice():
    traced = []

    def count(x: Any) -> Any:
        traced.append(x.shape)
        return x.sum()

    target = Target({"x": np.arange(5.0)}, [m.moment("sum", count, "x")])
    traced.clear()
    rng = np.random.default_rng(0)
    for n in (100, 128, 65, 128):
        x = rng.integers(0, 9, size=(n, 5)).astype(float)
        np.testing.assert_array_equal(target.summarise({"x": x})[:, 0], x.sum(1))
    assert len(traced) == 1
    known = target.with_covariance(np.eye(1), "a guess")
    known.summarise({"x": np.ones((90, 5))})
    assert len(traced) == 1
    x = rng.integers(0, 9, size=(3000, 5)).astype(float)  # more than a block of 1024: two full ones and 952 runs
    np.testing.assert_array_equal(known.summarise({"x": x})[:, 0], x.sum(1))
    assert len(traced) == 2
    assert known.summarise({"x": np.ones((0, 5))}).shape == (0, 1)


def test_the_covariance_is_known_or_it_is_said_not_to_be():
    target = school()
    assert target.covariance is None and target.standard_errors is None
    assert target.covariance_source == UNKNOWN and UNKNOWN in target.sentence()
    errors = np.arange(1.0, 17.0)
    given = school(covariance=Given(errors, "from the nurse's notes"))
    np.testing.assert_allclose(given.standard_errors, errors)
    assert "from the nurse's notes" in given.sentence()
    replicates = target.summarise(runs(200))
    known = target.with_covariance(FromReplicates(replicates).matrix(target), "from a pilot")
    assert known.covariance.shape == (16, 16) and known.covariance_source == "from a pilot"
    assert target.covariance is None and known.labels == target.labels
    with pytest.raises(TargetError, match="does not fit 16"):
        target.with_covariance(np.eye(3), "wrong")


def test_columns_find_a_moment():
    target = school()
    assert target.columns("level(in_bed)").tolist() == list(range(14))
    assert target.columns("peak_time(convalescent)").tolist() == [15]
    with pytest.raises(TargetError, match=r"did you mean 'level\(in_bed\)'"):
        target.columns("level(in_bedd)")


def test_a_target_does_not_change():
    with pytest.raises(AttributeError):
        school().covariance = np.eye(16)
    with pytest.raises(TypeError):
        school().data["more"] = np.ones(3)


def test_its_description_is_json_and_changes_with_what_matters():
    def said(target: Target) -> str:
        return json.dumps(target.describe(), allow_nan=False)

    same = said(school())
    assert said(school()) == same
    other = {**FLU, "ever_in_bed": 513}
    variants = [
        Target(other, [m.level("in_bed"), m.final_size("ever_in_bed")], [m.peak_time("convalescent")]),
        Target(FLU, [m.level("in_bed"), m.final_size("ever_in_bed"), m.peak_time("convalescent")]),
        Target(FLU, [m.level("in_bed"), m.final("ever_in_bed")], [m.peak_time("convalescent")]),
        Target(
            {**FLU, "in_bed": masked(2)},
            [m.level("in_bed"), m.final_size("ever_in_bed")],
            [m.peak_time("convalescent")],
        ),
        school(covariance=Given(np.ones(16))),
        school(covariance=Given(2 * np.ones(16))),
        school(times=range(14)),
        school().with_values(school().values + 1),
    ]
    texts = [said(variant) for variant in variants]
    assert len({same, *texts}) == 9


def test_a_run_may_stand_for_the_data():
    target = Target({**FLU, "in_bed": masked(2)}, [m.level("in_bed"), m.final_size("ever_in_bed")])
    run = {name: 2.0 * np.asarray(series, np.float64) for name, series in FLU.items()}
    values = target.summarise({name: series[None] for name, series in run.items()})[0]
    other = target.with_values(values, run)
    assert not other.told and other.summary is target.summary
    np.testing.assert_array_equal(other.values, values)
    expected = np.where(target.data["in_bed"].present, run["in_bed"], 0.0)
    np.testing.assert_array_equal(other.series["in_bed"].values, expected)
    assert other.series["in_bed"].missing == target.series["in_bed"].missing
    assert other.data["convalescent"] is target.data["convalescent"]  # no moment reads it


def test_other_moments_may_stand_for_the_data():
    target = school(covariance=Given(np.arange(1.0, 17.0)))
    mine = target.values + 1.0
    other = target.with_values(mine)
    mine[:] = 0.0
    np.testing.assert_array_equal(other.values, target.values + 1.0)
    assert other.summary is target.summary and other.labels == target.labels
    np.testing.assert_array_equal(other.covariance, target.covariance)
    assert other.covariance_source == target.covariance_source and not other.values.flags.writeable
    assert other.told and not target.told and other.with_covariance(np.eye(16), "given").told
    for wrong in (np.ones(15), np.full(16, np.nan)):
        with pytest.raises(TargetError, match="no 16 finite numbers"):
            target.with_values(wrong)
