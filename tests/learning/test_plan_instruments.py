"""Quotas and parameters are instruments like any site: what they do to a model, and that a planner finds them."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.learning.planner import office
from populace.zoo.commons import Commons
from populace.zoo.cournot import Cournot

SHARE = pop.Continuous(0.0, 1.0)
LINES = pop.ModelGradient(worlds=8, hidden=(), rate=0.1)


def commons(players: int = 2) -> pop.Game:
    fishers = pop.Learner(lambda step: step.after.profit, pop.Continuous(0.0, 1.0, first=0.4), discount=0.0)
    return pop.Game(Commons(players), 2, {"effort": fishers}, welfare=lambda step: step.after.profit.sum())


def always(value: Any) -> pop.FixedPolicy:
    return pop.FixedPolicy(jnp.float32(value))


class Asks(pop.Policy):
    """The first asks for .6, the second for .2."""

    effort: jax.Array

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Any) -> pop.Act:
        return pop.Act(self.effort)


ASKS = pop.Deciding("effort", Asks(jnp.float32([0.6, 0.2])), individual=True)


@pytest.mark.parametrize(
    ("instrument", "quota", "left"),
    [
        (pop.Quota("effort"), 0.3, [0.3, 0.2]),
        (pop.SharedQuota("effort"), 0.4, [0.3, 0.1]),
        (pop.SharedQuota("effort"), 1.0, [0.6, 0.2]),
    ],
)
def test_a_quota_holds_whoever_decides(instrument: pop.Instrument, quota: float, left: list[float]):
    game = instrument.placed(commons(), SHARE, always(quota))
    run = pop.simulate(game.model, jr.key(0), 1, plugs=(pop.Record(("effort",)), ASKS, *game.plugs))
    assert run.final.state.effort == pytest.approx(left)
    assert np.asarray(run.tape["effort"]["value"])[0] == pytest.approx(left), "what is paid for is what was done"


@pytest.mark.parametrize("instrument", [pop.SharedQuota("effort"), pop.Setting("cost")])
def test_without_a_planner_nothing_changes(instrument: pop.Instrument):
    plain, governed = commons().model, instrument.governed(commons().model, SHARE)
    runs = [pop.simulate(model, jr.key(1), 20) for model in (plain, governed)]
    for name, series in runs[0].observations.items():
        assert np.array_equal(series, runs[1].observations[name]), name
    assert instrument.site in {row.path for row in pop.sites(governed).rows}


def test_a_parameter_is_set_in_init_and_in_every_step():
    """The first efforts hang on the growth rate, and so does the stock of every step."""
    setting = pop.Setting("growth")
    bound = setting.placed(commons(), SHARE, always(0.5)).model
    governed = setting.governed(commons().model, SHARE)
    plug = pop.Deciding(setting.site, always(0.5))
    runs = [pop.simulate(model, jr.key(1), 5, plugs=p).observations for model, p in ((bound, ()), (governed, (plug,)))]
    assert isinstance(bound, Commons) and float(bound.growth) == 0.5
    for name, series in runs[0].items():
        assert np.array_equal(series, runs[1][name]), name


def test_a_quota_may_answer_what_is_seen():
    quota = pop.Quota("effort", sees=lambda shore: {"stock": shore.stock[None]})

    class Half(pop.Policy):
        def memory(self) -> Any:
            return ()

        def act(self, view: Any, memory: Any, key: Any) -> pop.Act:
            return pop.Act(0.5 * view["stock"])

    game = quota.placed(commons(), SHARE, Half())
    states = [pop.simulate(game.model, jr.key(0), steps, plugs=(ASKS, *game.plugs)).final.state for steps in (1, 2)]
    assert states[1].effort == pytest.approx(np.minimum([0.6, 0.2], 0.5 * float(states[0].stock)))


def test_the_quota_of_three_players_is_a_third_of_the_owner_s_effort():
    """Who may do no more than .4 / 3 does that; more brings less."""
    planner = pop.Planner(pop.Quota("effort"), pop.Continuous(0.0, 0.4), rounds=6)
    found = pop.plan(commons(3), planner, LINES, jr.key(0), budget=8 * 40, seeds=2, runs=8, points=4)
    assert found.chosen == pytest.approx([0.4 / 3], rel=0.01)
    codes = {verdict.code for verdict in found.verdicts.values()}
    assert {pop.Code.BETTER, pop.Code.PLAN_HOLDS, pop.Code.PLAN_UNBEATEN, pop.Code.AGENTS_LEARNED} <= codes
    run = pop.simulate(found.game.model, jr.key(1), 2, plugs=found.plugs(seed=1))
    assert float(run.final.state.effort.sum()) == pytest.approx(0.4, rel=0.01)


@pytest.mark.parametrize("firms", [2, 3])
def test_a_subsidy_brings_firms_to_what_price_takers_make(firms: int):
    """s = m / n with m = A - c: the best reply of each to the others' m / n is m / n."""
    model = pop.bind(Cournot(firms), {"cost": 60.0, "subsidy": 40.0 / firms})
    seen = pop.simulate(model, jr.key(0), 200).observations
    assert float(seen["quantity"][-1]) == pytest.approx(40.0, rel=1e-4)
    assert float(seen["profit"][-1]) == pytest.approx(40.0**2 / firms, rel=1e-3), "the price is the cost"


@pytest.mark.parametrize(
    ("instrument", "actions", "error", "says"),
    [
        (pop.Quota("efort"), SHARE, pop.UnknownSiteError, "effort"),
        (pop.Quota("first"), SHARE, pop.UnknownSiteError, "nobody decides"),
        (pop.Setting("prise"), SHARE, pop.UnknownParameterError, "price"),
        (pop.Setting("price"), pop.Continuous(-1.0, 1.0), pop.DomainError, "narrow"),
        (pop.Setting("price"), pop.Discrete(3), pop.MethodError, "Continuous"),
        (pop.Setting("price"), pop.Continuous(0.5, 1.0, shape=(2,)), pop.MethodError, "decides"),
    ],
)
def test_what_does_not_fit_is_refused(instrument: pop.Instrument, actions: pop.Actions, error: Any, says: str):
    with pytest.raises(error, match=says):
        office(commons(), pop.Planner(instrument, actions))
