"""Descent on differences: against closed forms, exact gradients, and models that hide something."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from scipy.special import ndtri

from populace._errors import MethodError, TargetError
from populace._results import Code
from populace.calibration.descent import Descent
from populace.calibration.differences import DifferencesDescent
from populace.core.executor import Ticker
from populace.core.rounds import rounds
from populace.problem.covariance import Given
from populace.problem.moments import level
from populace.problem.problem import Problem
from populace.problem.space import Space
from populace.problem.target import Target

ERRORS = 4.0


def problem_of(simulator: Any, space: Space, data: list[float], errors: Any) -> Problem:
    return Problem(simulator, space, Target({"m": np.array(data)}, [level("m")], covariance=Given(errors)))


def noted(estimate: Any, words: str) -> bool:
    return any(words in note for note in estimate.notes())


@pytest.mark.parametrize(
    "optimiser",
    [optax.adam(0.1, b1=0.5, b2=0.9), optax.chain(optax.clip_by_global_norm(10.0), optax.sgd(1e-3, momentum=0.9))],
)
def test_a_linear_model_gets_the_answer_of_gmm(linear: Any, ended: Any, optimiser: optax.GradientTransformation):
    """The minimiser but for the simulation's error, and the covariance of data and simulation. S is 0.1^2 here."""
    problem, case = linear
    end = ended(DifferencesDescent(optimiser, starts=2), problem, 0, 8_000)
    found, bread = end.estimate, np.linalg.inv(case.gram)
    half = bread @ case.design.T @ np.diag(case.errors**-2)
    simulation = half @ (0.1**2 * np.eye(4)) @ half.T / end.state.behind
    assert end.done.code is Code.CONVERGED
    gap = found.real - case.minimum
    assert gap @ np.linalg.solve(simulation, gap) < 2 + ERRORS * 2.0  # chi-squared, 2 degrees of freedom
    error = np.sqrt(2.0 / 99) * np.abs(simulation).max()
    np.testing.assert_allclose(found.covariance, bread + simulation, atol=ERRORS * error + 1e-4 * bread.max())
    assert noted(found, "on 2 degrees of freedom") and noted(found, "do not contradict")
    assert abs(found.loss - case.loss) < ERRORS * 2.0 * np.sqrt(case.loss * 0.01 / (0.1**2) / 100 + 4 / 100**2)
    assert end.calls <= 8_000 and noted(found, "replicates of the simulation")


def _curved(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    a, b, noise = parameters["a"], parameters["b"], ndtri(u)
    first = a**2 + 0.5 * b + (1.0 + 0.3 * a) * noise[:, 0]
    return {"m": np.stack([first, a * b + (1.0 + 0.5 * b) * noise[:, 1], a - b + 0.5 * noise[:, 0]], axis=1)}


def test_gradient_and_loss_are_unbiased(numpy_simulator: Any):
    """At one point, over 120 rounds, against the exact gradient. Moments are quadratic: central differences are exact.

    The noise depends on the parameters, so that the gradient of the mean squared gap would be off by its derivative.
    """
    space = Space(a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 1.0))
    problem = problem_of(numpy_simulator(_curved, 2), space, [1.0, 0.5, 0.0], [0.5, 1.0, 0.5])
    method = DifferencesDescent(starts=1, replicates=6)
    state = method.start(problem, jr.key(1), 20_000)
    (a, b), spread = state.real(state.at[0]), state.spread
    gap = np.array([a**2 + 0.5 * b - 1.0, a * b - 0.5, a - b]) / [0.5, 1.0, 0.5]
    slope = np.array([[2 * a, 0.5], [b, a], [1.0, -1.0]]) / np.array([[0.5], [1.0], [0.5]]) * spread
    rows = []
    for number in range(120):
        ask = method.ask(problem, state, jr.key(number))
        told = method.tell(problem, state, ask, ask.answer(problem, Ticker(None, "", 0)))
        rows.append((*told.gradients[0, 0], told.losses[0, 0], *told.variances[0, 0]))
    found = np.array(rows)
    exact = np.append(2.0 * slope.T @ gap, gap @ gap)
    error = found[:, :3].std(0) / np.sqrt(len(found))
    assert (np.abs(found[:, :3].mean(0) - exact) < ERRORS * error).all()
    noise = (np.array([(1 + 0.3 * a) / 0.5, 1 + 0.5 * b, 1.0]) ** 2).sum() / 6
    assert noise > ERRORS * error[2]  # what a plain mean would add to the loss
    ratio = found[:, 3:].mean(0) / found[:, :2].var(0)
    spread = ERRORS * np.sqrt(2 / len(found))
    assert (ratio > 1 - spread).all() and (ratio < 2 * 5 / 4 * (1 + spread)).all()  # see `pairs.py`


def _product(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    return {"m": (parameters["a"] * parameters["b"])[:, None] * np.array([1.0, 2.0, 3.0]) + 0.05 * ndtri(u)}


def test_a_product_is_named_and_gets_no_covariance(numpy_simulator: Any, ended: Any):
    space = Space(a=dist.Uniform(0.0, 5.0), b=dist.Uniform(0.0, 5.0))
    problem = problem_of(numpy_simulator(_product, 3), space, [1.0, 2.0, 3.0], np.full(3, 0.002))
    end = ended(DifferencesDescent(starts=2), problem, 0, 8_000)
    found = end.estimate
    values = problem.space.from_real(jnp.asarray(found.real[None]))
    error = 0.05 / np.sqrt(14 * end.state.behind)
    assert abs(float(values["a"][0] * values["b"][0]) - 1.0) < ERRORS * error + 0.002
    assert np.isnan(found.covariance).all() and noted(found, "has no covariance")
    (sentence,) = (note for note in found.notes() if "no moment reacts" in note)
    assert ("a by +1 % with b by -1 %" in sentence) or ("a by -1 % with b by +1 %" in sentence)
    assert noted(found, "on 2 degrees of freedom")  # k - rank, not k - 2 = 1
    assert (found.draws(problem, jr.key(0), 5) == found.real).all()


def _wavy(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    theta = parameters["theta"]
    return {"m": (theta + 2.0 * np.sin(3.0 * theta))[:, None] + 0.1 * ndtri(u)}


def test_starts_are_halved_by_equal_shares_of_the_budget(numpy_simulator: Any):
    """A loss with many minima, where starts differ."""
    problem = problem_of(numpy_simulator(_wavy), Space(theta=dist.Normal(0.0, 3.0)), [6.0], [0.1])
    method = DifferencesDescent(starts=4, replicates=4, judged=20)
    key, budget, calls, number = jr.key(0), 1_000, 0, 0
    state = method.start(problem, key, budget)
    widths = []
    while method.done(problem, state, budget - calls) is None:
        widths.append(state.starts)
        ask = method.ask(problem, state, jr.fold_in(key, number))
        state = method.tell(problem, state, ask, ask.answer(problem, Ticker(None, "", 0)))
        calls, number = calls + ask.calls(), number + 1
        assert {leaf.shape[0] for leaf in jax.tree.leaves(state.optimiser)} == {state.starts}
    assert calls <= budget and sorted(set(widths), reverse=True) == [4, 2, 1] == list(dict.fromkeys(widths))
    shares = [width * widths.count(width) * 12 for width in (4, 2)]
    assert max(shares) <= 300 + 4 * 12 and min(shares) > 300 - 4 * 12  # a third of what the judgement leaves


def test_the_better_half_is_kept():
    """By the latter half of the rounds since the last dropping: neither early rounds nor the last one alone."""
    at, count = np.arange(5.0)[:, None], np.arange(5.0)
    state = Descent.begin((np.zeros(1), np.ones(1)), at, {"count": count}, 2, 100, 50)
    losses = np.array([[9, 9, 1, 1, 1.5], [0, 0, 9, 9, 0.0], [5, 5, 5, 1, 1.2], [1, 1, 1, 3, 4.0], [2, 2, 2, 2, 2.0]])
    histories = [np.repeat(at[:, None], 5, axis=1)] * 4
    fields = (*histories, losses, np.full((5, 5), 8.0), np.array(1))
    state = eqx.tree_at(
        lambda s: (s.path, s.gradients, s.variances, s.stiffness, s.losses, s.counted, s.rung), state, fields
    )
    after = state.better_half()  # means of the last two of four: 1.25, 4.5, 1.1, 3.5, 2
    assert after.at[:, 0].tolist() == [0.0, 2.0, 4.0] == after.optimiser["count"].tolist()
    assert after.path[:, 0, 0].tolist() == [0.0, 2.0, 4.0] and int(after.rung) == 5


def test_it_says_when_the_minimum_is_not_reached(linear: Any, ended: Any):
    problem, _ = linear
    end = ended(DifferencesDescent(optax.sgd(1e-9), starts=1, judged=10), problem, 0, 500)
    assert end.done.code is Code.BUDGET_SPENT and "ran out" in end.done.sentence
    assert noted(end.estimate, "The minimum is not reached")
    short = end.estimate.real - linear[1].minimum
    assert (np.abs(short) < ERRORS * np.sqrt(np.diag(end.estimate.covariance))).all()
    np.testing.assert_allclose(end.estimate.covariance, np.outer(short, short), rtol=0.1)
    np.testing.assert_array_equal(end.estimate.real, end.state.real(end.state.average))


def _saturated(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    return {"m": parameters["share"][:, None] + 0.01 * ndtri(u)}


def test_it_says_when_a_parameter_lies_at_its_bound(numpy_simulator: Any, ended: Any):
    problem = problem_of(numpy_simulator(_saturated), Space(share=dist.Uniform(0.0, 1.0)), [1.5], [0.1])
    end = ended(DifferencesDescent(optax.adam(0.5), starts=1, judged=10), problem, 0, 2_000)
    assert noted(end.estimate, "share lies at the upper end of its prior")


# What cannot work, and runs that do not count


def test_what_cannot_work_is_refused(linear: Any):
    problem, case = linear
    bare = problem.with_target(Target({"m": case.data}, [level("m")]))
    with pytest.raises(MethodError, match="give the target a covariance"):
        DifferencesDescent().start(bare, jr.key(0), 10_000)
    twice = problem.with_target(problem.target.with_covariance(np.ones((4, 4)), "made up"))
    with pytest.raises(TargetError, match="repeat each other"):
        DifferencesDescent().start(twice, jr.key(0), 10_000)
    with pytest.raises(MethodError, match="3 replicates or more"):
        DifferencesDescent(replicates=2).start(problem, jr.key(0), 10_000)
    with pytest.raises(MethodError, match=r"too small for 8 starts of 2 parameters with 8 replicates: give 3460"):
        DifferencesDescent().start(problem, jr.key(0), 3_459)
    assert DifferencesDescent().start(problem, jr.key(0), 3_460).starts == 8


def _fails(share: float, beyond: float) -> Any:
    """Fails for a share of replicates, at all points of it, and for every run where `a` is beyond a bound."""

    def run(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
        a, b = parameters["a"], parameters["b"]
        rows = np.stack([a + b, a - b, a], axis=1) + 0.1 * ndtri(u[:, :3])
        return {"m": np.where(((u[:, 3] < share) | (a > beyond))[:, None], np.nan, rows)}

    return run


SPACE = Space(a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 1.0))


def test_replicates_that_fail_are_left_out_and_counted(numpy_simulator: Any, ended: Any):
    problem = problem_of(numpy_simulator(_fails(0.2, np.inf), 4), SPACE, [0.5, 0.1, 0.3], np.full(3, 0.1))
    end = ended(DifferencesDescent(starts=1, replicates=16, judged=50), problem, 0, 3_000)
    counted, tally = end.state.counted, end.state.tally
    assert abs(counted.mean() - 12.8) < ERRORS * np.sqrt(16 * 0.16 / counted.size)
    assert int(tally.runs) == end.calls and abs(tally.excluded / end.calls - 0.2) < 0.05
    assert tally.sentence() in end.estimate.notes()
    np.testing.assert_allclose(end.estimate.real, [0.3, 0.2], atol=ERRORS * 0.1 / np.sqrt(end.state.behind))


def test_a_start_where_all_fails_is_dropped(numpy_simulator: Any):
    problem = problem_of(numpy_simulator(_fails(0.0, 0.5), 4), SPACE, [0.0, 0.0, 0.0], np.full(3, 0.1))
    method = DifferencesDescent(starts=8)
    state = method.start(problem, jr.key(0), 10_000)
    alive = int((state.real(state.at)[:, 0] + 0.11 < 0.5).sum())
    assert 0 < alive < 8
    ask = method.ask(problem, state, jr.key(1))
    after = method.tell(problem, state, ask, ask.answer(problem, Ticker(None, "", 0)))
    assert after.starts == alive == after.path.shape[0] == jax.tree.leaves(after.optimiser)[0].shape[0]
    assert after.tally.excluded > 0


def test_when_all_starts_fail_that_is_an_error(numpy_simulator: Any):
    """Of nine in ten replicates no start keeps three."""
    problem = problem_of(numpy_simulator(_fails(0.9, np.inf), 4), SPACE, [0.0, 0.0, 0.0], np.full(3, 0.1))
    with pytest.raises(MethodError, match=r"no start is left.*runs were excluded: .* x a moment is NaN"):
        rounds(DifferencesDescent(starts=2), problem, jr.key(0), budget=5_000, ticker=Ticker(None, "", 0))
