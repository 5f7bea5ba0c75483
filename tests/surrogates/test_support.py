"""The guard, reach, bounds, and the simulation that confirms."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop

from .conftest import predicted, square, wave

PROCESS = pop.GaussianProcess(starts=2)


def at(unit: np.ndarray) -> dict[str, Any]:
    return {f"x{i}": jnp.asarray(column, jnp.float32) for i, column in enumerate(unit.T)}


def test_points_among_the_runs_are_inside(learned: pop.Surrogate):
    fresh = np.random.default_rng(0).random((500, 2))
    said = learned.support(at(fresh))
    assert said.inside.mean() > 0.85 and said.extrapolating.mean() < 0.03
    assert ((said.inside.astype(int) + said.edge + said.extrapolating) == 1).all()


def test_points_beyond_the_priors_are_extrapolating(learned: pop.Surrogate):
    said = learned.support({"x0": jnp.array([0.5, 1.2]), "x1": jnp.array([0.5, 0.5])})
    assert said.extrapolating.tolist() == [False, True]
    verdict = said.verdict(1)
    assert verdict.code is pop.Code.EXTRAPOLATING and "outside the support" in verdict.sentence
    assert said.verdict(0).code is pop.Code.INSIDE


def test_a_hole_in_the_design_is_seen(noisy: Any):
    """No run in the right upper quarter: its middle is outside, and what lies near runs is not."""
    runs = noisy(300, 0.1, 6)
    kept = runs.taken(~((runs.unit > 0.55).all(1)))
    made = predicted(kept, regressors=[PROCESS])
    said = made.support(at(np.array([[0.85, 0.85], [0.3, 0.3], [0.2, 0.8]])))
    assert said.extrapolating.tolist() == [True, False, False]
    assert "nearest run" in said.verdict(0).sentence
    assert said.record()["extrapolating"] == 1 and said.sections()[0].tables[0].rows[2][1] == 1


def test_what_is_known_of_nothing_is_not_read():
    """Too rough for 64 runs: nothing is learned, and the variance says so."""
    unit = pop.Sobol().sequence(jr.key(0), 2, 0, 64)
    rough = np.sin(40 * unit[:, 0]) * np.sin(40 * unit[:, 1])
    runs = pop.Runs(square(2), unit, rough[:, None], np.ones(64, bool), ("rough",), {})
    made = predicted(runs, regressors=[PROCESS])
    assert made.tried[0].squared > 0.8  # nothing is explained of runs left out
    between = np.random.default_rng(1).random((500, 2))
    assert made.predict(at(between)).variance.mean() > 0.5 * rough.var()


SPACE = pop.Space(a=dist.Uniform(0.0, 1.0), b=dist.Uniform(0.0, 1.0))
MOMENTS = [pop.level("m")]


def bowl(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    """Two moments on a curve, with noise: the second is the square of the first."""
    a, b = parameters["a"], parameters["b"]
    return {"m": jnp.stack([a + b, (a + b) ** 2]) + 0.02 * jr.normal(key, (2,))}


def problem(data: list[float]) -> pop.Problem:
    return pop.Problem(pop.Traceable(bowl), SPACE, pop.Target({"m": np.array(data)}, MOMENTS))


@pytest.fixture(scope="module")
def runs() -> pop.Runs:
    return pop.run_design(problem([1.0, 1.0]), pop.design(SPACE, jr.key(0), 200), jr.key(1))


def test_data_on_the_curve_are_within_reach(runs: pop.Runs):
    said = pop.reach(runs, problem([1.0, 1.0]).target)
    assert said.verdict().code is pop.Code.WITHIN_REACH and said.p > 0.1


def test_data_beyond_all_runs_are_out_of_reach_and_the_moment_is_named(runs: pop.Runs):
    verdict = pop.reach(runs, problem([2.5, 6.2]).target).verdict()
    assert verdict.code is pop.Code.OUT_OF_REACH and "m[1]" in verdict.sentence


def test_data_off_the_curve_are_out_of_reach_though_each_moment_is_reached(runs: pop.Runs):
    verdict = pop.reach(runs, problem([1.0, 2.5]).target).verdict()
    assert verdict.code is pop.Code.OUT_OF_REACH and "not these together" in verdict.sentence


def test_runs_of_the_simulator_are_seldom_called_out_of_reach(runs: pop.Runs):
    """False alarms among 300 data sets, at a size of 2 %: at most 2 % and four standard errors."""
    fresh = pop.run_design(
        problem([1.0, 1.0]), pop.design(SPACE, jr.key(5), 300, sampler=pop.RandomPoints()), jr.key(6)
    )
    target = problem([1.0, 1.0]).target
    alarms = [pop.reach(runs, target.with_values(row)).p < 0.02 for row in fresh.moments]
    assert np.mean(alarms) < 0.02 + 4 * np.sqrt(0.02 * 0.98 / 300)


def test_a_posterior_at_a_bound_is_named():
    random = np.random.default_rng(0)
    unit = np.stack([random.beta(1, 30, 2000), random.random(2000)], axis=1)
    (verdict,) = pop.at_bounds(SPACE, unit)
    assert verdict.subject == "a" and verdict.code is pop.Code.AT_BOUND and "lower bound 0" in verdict.sentence
    assert pop.at_bounds(SPACE, random.random((2000, 2))) == ()
    assert pop.at_bounds(pop.Space(a=dist.Normal(0.0, 1.0)), unit[:, :1]) == ()


def test_a_simulation_confirms_what_is_right(runs: pop.Runs):
    made = predicted(runs, regressors=[PROCESS])
    said = pop.confirm(problem([1.0, 1.0]), made, {"a": 0.4, "b": 0.6}, jr.key(9), runs=20)
    assert said.verdict().code is pop.Code.CONFIRMED and said.valid == 20
    assert np.allclose(said.said, [1.0, 1.0], atol=0.05)


def test_a_simulation_refutes_a_surrogate_of_something_else(runs: pop.Runs):
    shifted = pop.Runs(SPACE, runs.unit, runs.moments + np.array([0.3, 0.0]), runs.valid, runs.labels, {})
    made = predicted(shifted, regressors=[PROCESS])
    verdict = pop.confirm(problem([1.0, 1.0]), made, {"a": 0.4, "b": 0.6}, jr.key(9)).verdict()
    assert verdict.code is pop.Code.REFUTED and "m[1]" in verdict.sentence


def test_an_answer_at_which_runs_fail_is_none(runs: pop.Runs):
    def fails(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
        found = bowl(parameters, key)["m"]
        return {"m": jnp.where(jr.bernoulli(key, 0.8), jnp.nan, found)}

    made = predicted(runs, regressors=[PROCESS])
    failing = pop.Problem(pop.Traceable(fails), SPACE, problem([1.0, 1.0]).target)
    verdict = pop.confirm(failing, made, {"a": 0.4, "b": 0.6}, jr.key(1)).verdict()
    assert verdict.code is pop.Code.REFUTED and "failed" in verdict.sentence
    with pytest.raises(pop.MethodError, match="confirm nothing"):
        pop.confirm(failing, made, {"a": 0.4, "b": 0.6}, jr.key(1), runs=2)


def test_runs_of_a_longer_design_begin_with_the_shorter():
    task, short = problem([1.0, 1.0]), pop.design(SPACE, jr.key(3), 20)
    done = pop.run_design(task, short, jr.key(4))
    more = pop.run_design(task, short.extended(12), jr.key(4), done=done)
    whole = pop.run_design(task, pop.design(SPACE, jr.key(3), 32), jr.key(4))
    assert np.array_equal(more.moments, whole.moments) and more.size == 32
    assert np.array_equal(done.moments, whole.moments[:20])
    with pytest.raises(pop.ProblemError, match="first points"):
        pop.run_design(task, pop.design(SPACE, jr.key(8), 30), jr.key(4), done=done)


def test_failed_runs_are_kept_as_such():
    def breaks(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
        if parameters["a"] > 0.5:
            raise ValueError("diverged")
        return {"m": np.array([parameters["a"], 1.0])}

    task = pop.Problem(breaks, SPACE, problem([1.0, 1.0]).target)
    seen = pop.run_design(task, pop.design(SPACE, jr.key(0), 64), jr.key(1))
    assert seen.valid.sum() == 32 and np.isnan(seen.moments[~seen.valid]).all()
    assert seen.sections()[0].verdicts[0].code is pop.Code.EXCLUDED
    assert np.allclose(seen.taken(seen.valid).unit[:, 0], seen.moments[seen.valid, 0], atol=1e-6)
    assert wave(seen.unit).shape == (64,)


def test_every_result_is_written(runs: pop.Runs, tmp_path: Any):
    task = problem([1.0, 1.0])
    made = predicted(runs, regressors=[PROCESS])
    results = {
        "design": pop.design(SPACE, jr.key(0), 20),
        "runs": runs,
        "reach": pop.reach(runs, task.target),
        "support": made.support({"a": jnp.array([0.5, 2.0]), "b": jnp.array([0.5, 0.5])}),
        "confirmation": pop.confirm(task, made, {"a": 0.4, "b": 0.6}, jr.key(9), runs=5),
    }
    for name, result in results.items():
        for kind in ("html", "json"):
            pop.write(result, tmp_path / f"{name}.{kind}")
            assert (tmp_path / f"{name}.{kind}").stat().st_size > 50
