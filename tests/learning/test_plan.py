"""A planner finds the tax that brings a commons to its owner's effort, and says when it was not found."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core import checkpoint
from populace.learning.plan_findings import against_fixed, with_agents_anew
from populace.learning.plan_longer import Longer
from populace.learning.planner import office, seeing
from populace.learning.planning import mirrored, moved
from populace.learning.proof import Proof
from populace.learning.response_surface import peak
from populace.learning.rollout import Score
from populace.zoo.commons import Commons

AGENTS = pop.ModelGradient(worlds=8, hidden=(), rate=0.1)
TAX = pop.Planner("planner/tax", pop.Continuous(0.0, 0.8), rounds=6)


def welfare(step: pop.Step) -> jax.Array:
    """What the players keep and what the tax takes from them."""
    return step.after.profit.sum() + step.after.revenue


def commons(**declared: Any) -> pop.Game:
    fishers = pop.Learner(lambda step: step.after.profit, pop.Continuous(0.0, 1.0, first=0.4), discount=0.0)
    return pop.Game(Commons(2), 2, {"effort": fishers}, **declared)


GAME = commons(welfare=welfare)


def planned(folder: Path | None = None, updates: int = 300, key: int = 0) -> pop.Planned:
    return pop.plan(GAME, TAX, AGENTS, jr.key(key), budget=8 * updates, seeds=2, runs=8, points=4, folder=folder)


@pytest.fixture(scope="module")
def plan() -> pop.Planned:
    return planned()


def test_two_players_are_taxed_to_the_owner_s_effort(plan: pop.Planned):
    """(p q K - w) (n - 1) / (2 n) = .2 a unit of effort; welfare .16, where it is .1422 without."""
    assert plan.chosen == pytest.approx([0.2], rel=0.03)
    assert plan.error[0] < 0.01
    assert plan.gain.middle == pytest.approx(0.16 - 0.8 * 1.6 / 3 + (1.6 / 3) ** 2, rel=0.03)
    assert plan.verdicts["planner/tax"].code is pop.Code.BETTER
    assert plan.verdicts["agents anew"].code is pop.Code.PLAN_HOLDS
    assert plan.verdicts["fixed instruments at planner/tax"].code is pop.Code.PLAN_UNBEATEN
    assert plan.verdicts["how long agents learned"].code is pop.Code.AGENTS_LEARNED


def test_agents_who_learned_too_little_are_named():
    """Of the same trainings, a fifteenth."""
    plans = [planned(updates=20, key=key) for key in range(3)]
    codes = [plan.verdicts["how long agents learned"].code for plan in plans]
    assert codes == [pop.Code.AGENTS_STILL_LEARNING] * 3
    assert abs(plans[0].chosen[0] - 0.2) > 3 * plans[0].error[0], "the search's own error does not say it"


def longer(slope: np.ndarray, noise: float = 0.0) -> Longer:
    """Pairs at both sides, and welfare that grows along `slope` with longer trainings."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 1, slope.size)) * np.array([[[1.0], [-1.0]]])
    level = {"welfare": np.zeros((8, 2)), "effort": np.zeros((8, 2))}
    return Longer(x, level, {**level, "welfare": x @ slope + noise * rng.normal(size=(8, 2))})


def test_how_far_the_top_moves_is_the_change_of_slope_over_the_bend():
    bend, slope = np.array([[-4.0, 1.0], [1.0, -2.0]]), np.array([0.3, -0.2])
    exact, noisy = longer(slope).move(bend), longer(slope, 0.05).move(bend)
    assert exact is not None and noisy is not None
    assert exact[0] == pytest.approx(-np.linalg.solve(bend, slope)) and exact[1] == pytest.approx(0.0, abs=1e-9)
    assert (np.abs(noisy[0] - exact[0]) < 2 * noisy[1]).all() and (noisy[1] > 0.003).all()
    assert longer(np.ones(8)).move(-np.eye(8)) is None, "too few pairs"


def test_what_was_planned_runs_in_the_model(plan: pop.Planned):
    run = pop.simulate(GAME.model, jr.key(1), 3, plugs=plan.plugs(seed=1))
    assert float(run.observations["effort"][-1]) == pytest.approx(0.4, rel=0.02)
    assert float(run.final.state.revenue) == pytest.approx(0.2 * 0.4, rel=0.04)
    assert plan.game.learners.keys() == {"effort"} and len(plan.game.plugs) == 1


def test_it_reads_as_a_page_and_a_record(plan: pop.Planned):
    (section,) = plan.sections()
    assert len(section.figures[0].panels) == 2 and len(section.tables[0].rows) == 2 + 4
    assert plan.record()["chosen"] == plan.chosen.tolist()


def test_an_interrupted_plan_ends_with_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: pop.Planned
):
    save = checkpoint.Checkpoint.save

    def stop(self: checkpoint.Checkpoint, state: object, number: int, calls: int) -> None:
        save(self, state, number, calls)
        if number == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        planned(tmp_path)
    monkeypatch.setattr(checkpoint.Checkpoint, "save", save)
    parts = planned(tmp_path)
    assert (parts.welfare == plan.welfare).all() and (parts.chosen == plan.chosen).all()


def test_a_planner_may_answer_what_it_sees():
    """A straight line from two things seen to one number; the scale knows the views under what was found."""
    steady, agents = office(GAME, dataclasses.replace(TAX, hidden=())), {"effort": pop.FixedPolicy(jnp.float32(0.3))}
    made = seeing(steady, np.array([-1.0]), agents, jr.key(0))
    assert made.size == 2 + 1 and made.policy is not None
    assert float(made.policy.scale.count) == 8 * GAME.steps
    two: Any = made.policies(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    seen = {"stock": jnp.float32(0.4), "effort": jnp.float32(0.8)}
    taxes = jax.vmap(lambda one: one.act(seen, (), jr.key(0)).action)(two)
    assert float(taxes[0]) == pytest.approx(0.8 / (1 + np.e)), "it begins at what was found"
    assert float(taxes[1]) > float(taxes[0]) + 0.01


def test_a_planner_that_sees_is_held_against_the_best_that_does_not():
    seeing = dataclasses.replace(TAX, hidden=(), rounds=4)
    found = pop.plan(GAME, seeing, AGENTS, jr.key(0), budget=8 * 20, seeds=2, runs=8, points=4)
    assert found.chosen.size == found.error.size == 0 and 0.0 < found.steady[0] < 0.8
    assert len(found.proof.names) == 4 + 1
    assert float(found.proof.actions[-1, 0]) == pytest.approx(found.steady[0])
    run = pop.simulate(found.game.model, jr.key(1), 3, plugs=(pop.Record(("planner/tax",)), *found.plugs()))
    assert np.ptp(np.asarray(run.tape["planner/tax"]["value"])) > 0.0
    assert "answers what is seen" in found.sections()[0].text[-1]


def test_the_top_of_a_parabola_is_found_whatever_the_level_of_each_round():
    """In two dimensions, with a ridge, and noise: the answer within four standard errors."""
    rng = np.random.default_rng(0)
    top, bend = np.array([0.3, -1.0]), np.array([[-4.0, 1.0], [1.0, -2.0]])
    x = top + 0.2 + rng.normal(scale=0.5, size=(6, 8, 2))
    exact = 0.5 * np.einsum("rni,ij,rnj->rn", x - top, bend, x - top) + rng.normal(size=(6, 1))
    clean, noisy = peak(x, exact), peak(x, exact + rng.normal(scale=0.1, size=exact.shape))
    assert clean is not None and noisy is not None
    assert clean.at == pytest.approx(top, abs=1e-9)
    assert clean.below(x[0]) == pytest.approx(exact[0] - exact[0].mean() + clean.below(x[0]).mean())
    assert (np.abs(noisy.at - top) < 4 * noisy.error).all() and (noisy.error > 0.003).all()
    assert peak(x, -exact) is None, "a valley has no top"
    assert peak(x + 10.0, x[..., 0] - 0.1 * x[..., 0] ** 2 - x[..., 1] ** 2) is None, "it lies outside"
    assert peak(x[:1, :4], exact[:1, :4]) is None, "too few points"


def test_the_search_moves_to_what_is_worth_more_and_nowhere_where_all_is_alike():
    steps = mirrored(jr.key(0), 8, 3)
    assert steps.mean(0) == pytest.approx(0.0) and (steps**2).mean(0) == pytest.approx(1.0)
    mean, spread = moved(np.zeros(3), np.ones(3), steps, np.ones(8))
    assert mean == pytest.approx(0.0, abs=1e-12) and spread == pytest.approx(1.0)
    mean, _ = moved(np.zeros(3), np.ones(3), steps, steps[:, 1])
    assert mean[1] > 0.5
    target, at, wide = np.array([2.0, -1.0, 0.5]), np.zeros(3), np.ones(3)
    for number in range(120):
        steps = mirrored(jr.key(number), 8, 3)
        at, wide = moved(at, wide, steps, -((at + wide * steps - target) ** 2).sum(1))
    assert at == pytest.approx(target, abs=0.05) and (wide < 0.1).all()


def proof(plan: float, without: float, fixed: list[float], spread: float = 0.0) -> Proof:
    """Welfare of four trainings and of fixed instruments, sixteen runs each."""
    noise = np.random.default_rng(0).normal(scale=1e-3, size=16)
    score = lambda means: Score({"welfare": np.asarray(means)[:, None] + noise})  # noqa: E731
    trainings = plan + spread * np.array([-1.0, 1.0, -1.0, 1.0])
    names = tuple(f"{number}" for number in range(len(fixed)))
    return Proof(score(trainings), score([without] * 4), score(fixed), np.zeros((2, 1)), names, {}, {})


def test_what_fails_with_fresh_agents_or_is_outdone_is_said():
    search = np.full((8, 4), 1.0)
    assert with_agents_anew(search, proof(1.0, 0.5, [0.4, 0.9])).code is pop.Code.PLAN_HOLDS
    assert with_agents_anew(search, proof(0.8, 0.5, [0.4, 0.9])).code is pop.Code.PLAN_FAILS
    assert with_agents_anew(search, proof(0.8, 0.5, [0.4, 0.9], spread=0.3)).code is pop.Code.PLAN_HOLDS, "within luck"
    assert against_fixed("tax", proof(1.0, 0.5, [0.4, 0.9])).code is pop.Code.PLAN_UNBEATEN
    outdone = against_fixed("tax", proof(0.8, 0.5, [0.4, 0.9]))
    assert outdone.code is pop.Code.PLAN_OUTDONE and "always 1" in outdone.sentence


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (lambda: pop.Planner("planner/tax", pop.Continuous(0.0, 1.0), candidates=5), "even number"),
        (lambda: pop.Planner("planner/tax", pop.Continuous(0.0, 1.0), spread=0.0), "above 0"),
        (lambda: office(commons(), TAX), "declare it"),
        (lambda: office(GAME, pop.Planner("effort", TAX.actions)), "site of its own"),
        (lambda: pop.plan(GAME, TAX, AGENTS, jr.key(0), budget=7), "one update"),
        (lambda: pop.plan(GAME, TAX, AGENTS, jr.key(0), budget=80, seeds=1), "2 seeds"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Any, says: str):
    with pytest.raises(pop.MethodError, match=says):
        run()


def test_a_site_that_is_not_there_is_named():
    with pytest.raises(pop.UnknownSiteError, match="planner/tax"):
        office(GAME, pop.Planner("planner/tex", TAX.actions))
