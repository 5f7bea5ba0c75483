"""Sugarscape: the facts that its docstring lists."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.interact.grid import Grid
from populace.zoo.sugarscape import GRAIN, Sugarscape, one_good


def test_people_see_farther_need_less_or_trade_and_more_of_them_live_on():
    """Six worlds under common keys a setting; gaps are above 3 standard errors of paired differences."""
    world = Grid(24, 24, periodic=True)
    sets = {"vision": [5.0, 1.0, 5.0], "sugar_need": [5.0, 5.0, 3.0], "spice_need": [5.0, 5.0, 3.0]}
    alone, traded = (
        pop.ensemble(
            Sugarscape(world=world, people=80, trade=trade), jr.key(1), 90, runs=6, parameters=sets
        ).observations
        for trade in (False, True)
    )
    end = {name: np.asarray(seen["population"])[:, :, -1] for name, seen in (("alone", alone), ("traded", traded))}

    def sure(gap: np.ndarray) -> bool:
        return gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(len(gap))

    for each in end.values():
        far, near, frugal = each
        assert sure(far - near) and sure(frugal - far)
        assert (frugal < 75).all() and (near > 3).all()
    more = end["traded"] - end["alone"]
    assert sure(more[1]) and sure(more.mean(0))
    kept = {name: np.asarray(alone[name])[0] for name in ("vision", "metabolism")}
    assert sure(kept["vision"][:, -1] - kept["vision"][:, 0])
    assert sure(kept["metabolism"][:, 0] - kept["metabolism"][:, -1])
    assert (np.asarray(alone["trades"]) == 0).all()

    many, logs, spread = (np.asarray(traded[name])[0] for name in ("trades", "log_price", "spread"))
    early, late = slice(0, 20), slice(60, 90)
    assert abs((many * logs)[:, late].sum() / many[:, late].sum()) < 0.15
    assert (many * spread)[:, late].sum() / many[:, late].sum() < 0.6 * spread[:, early].mean()


def test_not_a_grain_is_lost_and_wealth_grows_skew_where_the_old_make_room():
    """With everything that can happen, some acting before others; and of one good, where the book's Gini coefficient
    goes from .230 to .503. It is no ledger, so that the audit must call it broken. One program runs both.
    """
    world = Grid(50, 50, periodic=True)
    busy = Sugarscape(world=world, people=250, ages=True, replaced=True, activation=pop.RandomBlocks(2))
    alone = pop.bind(busy, {"vision": 6.0, "sugar_need": 4.0, "spice_need": 0.0, "poorest": 5.0, "richest": 25.0})
    watched = {**busy.conserved(), "gini": lambda state: busy.observe(state)["gini"]}
    watched["crowded"] = lambda state: (world.totals(state.folk.cell, state.folk.alive) > 1).sum()
    watched["people"] = lambda state: state.folk.alive.sum().astype(int)
    for model in (busy, alone):
        audit = pop.audit_ledgers(model, jr.key(3), 220, conserved=watched)
        assert set(audit.broke) == {"gini"}
        assert (audit.totals["crowded"] == 0).all() and (audit.totals["people"] == 250).all()
    gini = audit.totals["gini"]
    assert 0.2 < gini[0] < 0.27 and 0.43 < gini[-100:].mean() < 0.57
    assert (audit.totals["spice"] == 0).all()


def test_the_land_has_two_hills_of_each_good():
    land = np.asarray(Sugarscape().capacity()).reshape(50, 50, 2) // GRAIN
    assert land[15, 35].tolist() == [4, 0] and land[15, 15].tolist() == [0, 4]
    np.testing.assert_array_equal(land[15, 35:45, 0], land[15, 35:25:-1, 0])
    np.testing.assert_array_equal(land[:, :, 0], land[:, :, 0].T)
    assert (np.asarray(one_good().capacity())[:, 1] == 0).all() and not one_good().trade
    assert set(land.ravel()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    "settings", [{"world": Grid(9, 10, periodic=True)}, {"world": Grid(20, 20)}, {"people": 2501}, {"farthest": 25}]
)
def test_worlds_that_do_not_work_are_refused(settings):
    with pytest.raises(pop.ModelError):
        Sugarscape(**settings)
