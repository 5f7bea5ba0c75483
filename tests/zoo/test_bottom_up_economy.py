"""The bottom-up economy: books that close in every quarter, credit by hand, and the facts that it shows.

One ensemble serves all tests of facts: it hands out whole states, so that every quarter of every run is looked at.
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.draw import Draw
from populace.zoo.bottom_up_accounts import Economy, Firms
from populace.zoo.bottom_up_credit import Applications, alike, applied, levied, settled, soundest_first, typical
from populace.zoo.bottom_up_economy import LOTS, BottomUpEconomy

RUNS, STEPS, BURN_IN, LEAKS, DRY = 8, 170, 60, 161, 166
MODEL = BottomUpEconomy(households=100, firms=20)


def half_at_last(paid: Any, draw: Draw) -> Any:
    """The bank books half of the interest that it is paid, from quarter LEAKS on."""
    return jnp.where(draw.time >= LEAKS, paid // 2, paid)


def by_number_then_nothing(seen: Applications, draw: Draw) -> jax.Array:
    """The model's rule until quarter LEAKS; then odd firms get more than they ask for; from DRY on nobody anything."""
    odd = (jnp.arange(seen.asks.shape[0]) % 2) * (2 * seen.asks + 5)
    return jnp.where(draw.time >= LEAKS, jnp.where(draw.time >= DRY, -5, odd), soundest_first(seen, draw))


class Bared(pop.Model):
    """The model, observed at all that its state holds."""

    def init(self, draw: Draw) -> Economy:
        return MODEL.init(draw)

    def step(self, draw: Draw, state: Economy) -> Economy:
        return MODEL.step(draw, state)

    def observe(self, state: Economy) -> dict[str, jax.Array]:
        return {str(place): leaf for place, leaf in enumerate(jax.tree.leaves(state))} | MODEL.observe(state)


@pytest.fixture(scope="module")
def all_seen() -> dict[str, np.ndarray]:
    """Each (runs, steps, ...)."""
    leak = (pop.Replace("interest", half_at_last), pop.Replace("lend", by_number_then_nothing))
    runs = [pop.simulate(Bared(), key, STEPS, plugs=leak).observations for key in jr.split(jr.key(3), RUNS)]
    return {name: np.stack([np.asarray(run[name]) for run in runs]) for name in runs[0]}


@pytest.fixture(scope="module")
def seen(all_seen: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Before there is a leak."""
    return {name: series[:, : LEAKS - 1] for name, series in all_seen.items()}


def rebuilt(series: dict[str, np.ndarray]) -> Economy:
    """A state whose arrays are (runs, steps, ...)."""
    shape = jax.eval_shape(lambda: MODEL.init(Draw(jr.key(0))))
    return jax.tree.unflatten(jax.tree.structure(shape), [series[str(i)] for i in range(len(jax.tree.leaves(shape)))])


@pytest.fixture(scope="module")
def states(seen: dict[str, np.ndarray]) -> Economy:
    """The states before there is a leak."""
    return rebuilt(seen)


def at(states: Economy, run: int, step: int) -> Economy:
    """One of them."""
    return jax.tree.map(lambda leaf: leaf[run, step], states)


def test_all_books_close_in_every_quarter_of_every_run(states: Economy):
    for run in range(RUNS):
        for step in range(LEAKS - 1):
            assert MODEL.books(at(states, run, step)).gaps == {}
    flows, bank, firms = states.flows, states.bank, states.firms
    gets = flows.interest + flows.capital + flows.dividends + flows.written_off
    assert (np.diff(bank.equity, axis=1) == gets[:, 1:, 2]).all()
    assert (bank.reserves == bank.equity + bank.deposits - bank.loans).all() and np.ptp(bank.reserves) == 0
    assert (flows.capital.sum(-1) == 0).all() and (flows.capital[..., 2] > 0).any()  # a bank was given equity
    eaten = states.households.eaten.sum(-1)
    assert (eaten + (firms.spoiled + firms.made - firms.produced).sum(-1) == 0).all() and (np.diff(eaten) > 0).all()


def test_interest_that_is_paid_and_not_received_is_found_when_it_is(all_seen: dict[str, np.ndarray]):
    states, found = rebuilt(all_seen), 0
    lost = states.flows.interest.sum(-1)
    assert (lost[:, : LEAKS - 1] == 0).all()
    for run in range(RUNS):
        if not lost[run].any():
            continue
        first = int(np.argmax(lost[run] != 0))
        for step in (first - 1, first):
            state, gone = at(states, run, step), int(lost[run, step])
            totals = {name: int(np.asarray(ledger(state)).sum()) for name, ledger in MODEL.conserved().items()}
            assert totals == {"deposits": 0, "loans": 0, "equity": -gone, "goods": 0}
            assert MODEL.books(state).gaps == ({"interest": gone, "bank": gone} if step == first else {})
        found += 1
    assert found > RUNS / 2


def test_rules_hold_for_everybody(states: Economy):
    people, firms, bank, market, _ = states
    assert min(people.money.min(), firms.money.min(), firms.debt.min()) >= 0
    works = people.employer >= 0
    assert (people.wage[works] >= np.round(market.floor)[..., None].repeat(100, -1)[works]).all()
    assert (people.contract[works] < MODEL.contract).all() and (people.contract >= 0).all()
    for run in range(RUNS):
        for step in range(LEAKS - 1):
            on = works[run, step]
            firm = people.employer[run, step][on]
            np.testing.assert_array_equal(firms.made[run, step], LOTS * np.bincount(firm, minlength=20))
            paid = np.bincount(firm, weights=people.wage[run, step][on], minlength=20)
            np.testing.assert_array_equal(firms.bill[run, step], paid)
    worth = firms.money + firms.bill - firms.debt
    assert (firms.debt <= MODEL.limit * worth + 1).all() and (firms.debt > 0).any()
    assert (MODEL.v * bank.loans <= bank.equity + 1).all()
    assert ((firms.interest >= np.floor(MODEL.rate * firms.debt)) & (firms.interest <= 0.0241 * firms.debt + 1)).all()


def test_another_rule_lends_to_whom_it_likes_and_no_more_than_is_asked_for(all_seen: dict[str, np.ndarray]):
    firms, bank = rebuilt(all_seen).firms, rebuilt(all_seen).bank
    picked, dry = firms.debt[:, LEAKS - 1 : DRY - 1], slice(DRY - 1, None)
    assert (picked[..., ::2] == 0).all() and (picked[..., 1::2] > 0).any()
    assert (firms.money[firms.debt > 0] == 0).all()  # who borrows has nothing left once wages are paid
    assert (firms.debt[:, dry] == 0).all() and (bank.loans[:, dry] == 0).all() and (firms.made[:, dry] > 0).any()


def t(values: np.ndarray) -> float:
    """A mean by its standard error."""
    return values.mean() / (values.std(ddof=1) / np.sqrt(len(values)))


def test_it_swings_firms_fail_and_wages_rise_less_when_more_are_out_of_work(seen: dict[str, np.ndarray]):
    out, output = seen["unemployment"][:, BURN_IN:], np.log(seen["output"][:, BURN_IN:])
    assert 0.02 < out.mean() < 0.2 and out.max() < 0.6
    assert (out[:, -50:].std(1) > 0.005).all() and (output[:, -50:].std(1) > 0.005).all()
    assert (seen["bankruptcies"].sum(1) > 0).all() and 0.005 < seen["bankruptcies"].mean() < 0.08
    assert (seen["bad_debts"].sum(1) > 0).all()
    rises = np.diff(np.log(seen["wage"]))[:, BURN_IN - 1 :]
    phillips = np.array([np.corrcoef(rise, idle)[0, 1] for rise, idle in zip(rises, out, strict=True)])
    assert phillips.mean() < -0.2 and t(phillips) < -4


def test_firms_are_skew_in_size_and_fail_more_with_more_leverage(states: Economy):
    size = states.firms.made[:, BURN_IN::10].astype(float)
    centred = size - size.mean(-1, keepdims=True)
    skew = (centred**3).mean(-1) / (centred**2).mean(-1) ** 1.5
    assert t(np.asarray(skew.mean(1))) > 4 and skew.mean() > 0.5
    firms = states.firms
    leverage = firms.debt / np.maximum(firms.money + firms.bill - firms.debt, 1)
    fails = firms.failed[:, 1:]

    def share(low: float, high: float) -> np.ndarray:
        """Of those in between, those that fail in the next quarter, a number a run."""
        some = (leverage[:, :-1] > low) & (leverage[:, :-1] <= high)
        return np.asarray((fails * some).sum((1, 2)) / some.sum((1, 2)))

    none, little, much = share(-1, 0), share(0, 0.75), share(0.75, 10)
    assert t(little - none) > 3 and t(much - little) > 3 and much.mean() > 5 * none.mean()


def test_the_matrices_name_a_sector_that_counts_otherwise(states: Economy):
    end = at(states, 0, -1)
    assert int(end.bank.loans) > 0
    short = end._replace(flows=end.flows._replace(interest=end.flows.interest - np.array([0, 0, 3])))
    assert MODEL.books(short).gaps == {"interest": -3, "bank": -3}
    hidden = end._replace(bank=end.bank._replace(loans=end.bank.loans - 1))
    assert MODEL.books(hidden).gaps == {"loans": -1}
    sheet = MODEL.books(end).tables()[0].rows
    assert [one[0] for one in sheet] == ["deposits", "loans", "reserves", "goods", "net worth"]
    assert sheet[-1][3] == -int(end.bank.equity)


def firms(**columns: list[int]) -> Firms:
    nothing = jnp.zeros(len(next(iter(columns.values()))), jnp.int32)
    return Firms(**{name: jnp.int32(columns[name]) if name in columns else nothing for name in Firms._fields})


def test_debts_end_as_they_do_by_hand():
    """One pays all; one all but a tick of interest; one half of its debt; of two that made nothing one has a wage."""
    columns = {"money": [150, 101, 50, 30, 30], "debt": [100, 100, 100, 0, 0], "interest": [2, 2, 2, 0, 0]}
    ends = jax.jit(settled)(firms(**columns, made=[5, 5, 5, 0, 0], wage=[200, 200, 200, 31, 30]))
    by_hand = {"repaid": [100, 100, 50, 0, 0], "interest": [2, 1, 0, 0, 0], "lost": [0, 0, 50, 0, 0]}
    for name, values in {**by_hand, "left": [48, 0, 0, 30, 30]}.items():
        np.testing.assert_array_equal(getattr(ends, name), values)
    np.testing.assert_array_equal(ends.fails, [False, True, True, True, False])


def test_the_bank_lends_to_the_soundest_first_as_far_as_its_equity_goes():
    asked = jax.jit(applied)(
        jnp.int32([100, 150, 400, 90]), jnp.int32([50, 120, 100, 100]), jnp.int32(9), jnp.float32(0.1), jnp.float32(2.0)
    )
    np.testing.assert_array_equal(asked.asks, [50, 30, 200, 0])
    np.testing.assert_array_equal(asked.supply, [90] * 4)
    lend = jax.jit(lambda seen: soundest_first(seen, Draw(jr.key(0))))
    np.testing.assert_array_equal(lend(asked), [50, 30, 10, 0])
    np.testing.assert_array_equal(lend(Applications(asked.asks, asked.worth, 0 * asked.supply)), [0] * 4)


def test_owners_pay_what_they_have():
    money, levy, share = jnp.int32([1000, 0, 1, 400, 2**30]), jax.jit(levied), jax.jit(alike)
    paid = np.asarray(levy(money, jnp.float32(2**29)))
    assert (paid <= np.asarray(money) / 2).all() and abs(paid.sum() / 2**29 - 1) < 1e-5
    np.testing.assert_array_equal(levy(jnp.int32([1000, 0, 1, 400, 0]), jnp.float32(1e9)), [500, 0, 0, 200, 0])
    np.testing.assert_array_equal(share(jnp.int32(10), jnp.int32([0, 1, 0, 1])), [0, 5, 0, 5])
    np.testing.assert_array_equal(share(jnp.int32(0), jnp.int32([0] * 4)), [0] * 4)
    values, median = jnp.int32([9, 1, 5, 7]), jax.jit(typical)
    some = np.array([True, False, True, True])
    assert [int(median(values, counts)) for counts in (some, ~some, some & False)] == [7, 1, 5]


@pytest.mark.parametrize("settings", [{"firms": 3}, {"households": 60_000}, {"contract": 0}, {"shops": 1}])
def test_economies_that_do_not_work_are_refused(settings: dict[str, Any]):
    with pytest.raises(pop.ModelError):
        BottomUpEconomy(**settings)
