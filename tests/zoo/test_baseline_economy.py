"""Lengnick's economy: books that balance, and the curves that it shows."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.draw import Draw
from populace.zoo.baseline_economy import BaselineEconomy, Economy

BURN_IN = 60


@pytest.fixture(scope="module")
def run() -> pop.Run:
    """Twenty years."""
    return pop.simulate(BaselineEconomy(households=300, firms=30, days=6, output=jnp.float32(10.5)), jr.key(0), 300)


def test_unemployment_is_low_and_never_settles_and_the_two_curves_fall(run):
    """Correlations over 240 months, means of 6 of them, since months follow each other."""
    seen = {name: np.asarray(series) for name, series in run.observations.items()}
    out = seen["unemployment"][BURN_IN:]
    assert 0.0005 < out.mean() < 0.05 and out.max() < 0.15 and out.std() > 0.001 and out[-60:].std() > 0
    inflation = np.diff(np.log(seen["wage"]))[BURN_IN - 1 :]
    halves = {
        name: series.reshape(-1, 6).mean(axis=1)
        for name, series in {"out": out, "open": seen["vacancies"][BURN_IN:], "up": inflation}.items()
    }
    for other in ("open", "up"):
        assert np.corrcoef(halves["out"], halves[other])[0, 1] < -0.3
    assert seen["price"].max() < 2 * seen["price"].min()


def test_firms_differ_in_size_and_a_few_are_large(run):
    model = BaselineEconomy(households=300, firms=30)
    people = run.final.state.households
    workers = np.asarray(model.workers(people))
    assert workers.sum() == (np.asarray(people.employer) >= 0).sum()
    assert workers.max() > 1.6 * workers.mean() > 3 * max(workers.min(), 1)
    assert all(len(set(row)) == 7 for row in np.asarray(people.shops))


def test_the_matrices_add_up(run):
    end: Economy = run.final.state
    books = BaselineEconomy(households=300, firms=30).books(end)
    assert books.gaps == {} and [v.code for v in books.verdicts] == [pop.Code.LEDGER_HOLDS]
    assert books.flows["wages"][0] > 0 and books.flows["consumption"][1] > 0
    sheet, flows = books.tables()
    worth = sum(sum(row) for row in books.stocks.values())
    assert [row[-1] for row in flows.rows] == [0] * 5 and flows.rows[-1] == ("sum", 0, 0, 0)
    assert sheet.rows[-1] == ("net worth", *(-sum(row[i] for row in books.stocks.values()) for i in (0, 1)), -worth)
    people = end.households._replace(wages=2 * end.households.wages)
    twice = BaselineEconomy(households=300, firms=30).books(Economy(people, end.firms))
    paid = books.flows["wages"][0]
    assert twice.gaps == {"wages": paid, "households": paid}
    assert (np.asarray(end.households.money) >= 0).all() and (np.asarray(end.firms.money) >= 0).all()
    assert (np.asarray(end.firms.stock) >= 0).all()


def twice_at_last(owed: jax.Array, draw: Draw) -> jax.Array:
    """What each household is handed: its wage, and from month 36 on as much again."""
    return jnp.where(draw.time >= 36, 2, 1) * owed


def test_no_tick_and_no_lot_is_made_or_lost_until_wages_are_paid_twice():
    economy = BaselineEconomy(households=60, firms=8, days=4)
    audit = pop.audit_ledgers(economy, jr.key(1), 40, plugs=(pop.Replace("payday", twice_at_last),))
    assert audit.broke == {"money": 36} and set(audit.totals) == {"money", "goods"}
    assert len(set(audit.totals["money"][:36])) == 1 and len(set(audit.totals["goods"])) == 1


@pytest.mark.parametrize("settings", [{"firms": 3}, {"households": 20_000}, {"days": 0}])
def test_economies_that_do_not_work_are_refused(settings):
    with pytest.raises(pop.ModelError):
        BaselineEconomy(**settings)
