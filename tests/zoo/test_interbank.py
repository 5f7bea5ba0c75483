"""Banks that owe each other: the facts that its docstring lists."""

import jax.random as jr
import numpy as np
import pytest
from scipy import optimize

import populace as pop
from populace.testing.models import check_model
from populace.zoo.interbank import Interbank, clearing_vector, random_banks

OWES = np.array([[0.0, 10.0, 0.0], [0.0, 0.0, 8.0], [5.0, 5.0, 0.0]])
ROUNDS = 40


@pytest.fixture(scope="module")
def banks() -> Interbank:
    return random_banks(jr.key(1), 20, links=3, capital=0.03)


def books(model: Interbank, **parameters: float) -> tuple[dict[str, np.ndarray], Interbank]:
    """What is observed round by round, and the books at the end."""
    run = pop.simulate(pop.bind(model, parameters), jr.key(2), ROUNDS)
    return {name: np.asarray(values) for name, values in run.observations.items()}, run.final.state


def test_it_keeps_the_laws_of_models():
    model = random_banks(jr.key(0), 5, links=2)
    check_model(pop.bind(model, {"alpha": 0.1, "r": 0.05}), jr.key(0))


def test_the_worked_example():
    """Every number is a whole multiple of 1/2: all sums are exact."""
    model = Interbank(OWES, np.ones(3), np.zeros(3), shock=0.0)
    run = pop.simulate(model, jr.key(0), 5)
    end = run.final.state
    np.testing.assert_array_equal(end.paid, [5.5, 8.0, 9.0])
    np.testing.assert_array_equal(clearing_vector(OWES, np.ones(3)), [5.5, 8.0, 9.0])
    np.testing.assert_array_equal(run.observations["defaults"], [2, 2, 2, 2, 2])
    received = np.asarray(model.claims(end.paid))
    assert received.sum() == end.paid.sum() == 22.5
    np.testing.assert_array_equal(1.0 + received - np.asarray(end.paid), [0.0, 3.0, 0.0])  # what is left is the equity


@pytest.mark.parametrize("seed", range(6))
def test_the_clearing_vector_is_that_of_linear_programming_and_keeps_all_money(seed):
    """Of all p <= min(pbar, e + Pi' p) the one with the largest sum (Eisenberg and Noe, lemma 4)."""
    rng = np.random.default_rng(seed)
    owes = rng.exponential(size=(12, 12)) * (rng.random((12, 12)) < 0.4)
    np.fill_diagonal(owes, 0.0)
    cash, owed = rng.exponential(0.4, 12), owes.sum(1)
    share = owes / np.maximum(owed, 1e-300)[:, None]
    best = optimize.linprog(-np.ones(12), np.eye(12) - share.T, cash, bounds=list(zip(np.zeros(12), owed, strict=True)))
    paid = clearing_vector(owes, cash)
    np.testing.assert_allclose(paid, best.x, atol=1e-8)
    received = share.T @ paid
    assert received.sum() == pytest.approx(paid.sum(), rel=1e-14)
    left = cash + received - paid
    assert 0 < (paid < owed).sum() < 12 and abs(left[paid < owed]).max() < 1e-12 and left.min() > -1e-12


def test_rounds_come_down_to_the_clearing_vector(banks):
    """Without sales, with the struck bank's cash gone; defaults come round by round."""
    seen, end = books(banks)
    cash = np.asarray(end.cash + banks.holdings, np.float64)
    wanted = clearing_vector(banks.owes, cash)
    np.testing.assert_allclose(end.paid, wanted, rtol=1e-5)
    assert (np.diff(seen["paid"]) <= 0).all() and (np.diff(seen["defaults"]) >= 0).all()
    assert seen["defaults"][-1] == (wanted < np.asarray(banks.owes.sum(1)) * (1 - 1e-5)).sum() > seen["defaults"][0]
    assert float(banks.claims(end.paid).sum()) == pytest.approx(float(end.paid.sum()), rel=1e-6)


def test_fire_sales_lengthen_a_cascade(banks):
    calm, _ = books(banks)
    sold, end = books(banks, alpha=0.02, r=0.05)
    assert (np.diff(sold["price"]) <= 0).all() and sold["price"][-1] < 1.0
    assert sold["defaults"][-1] > calm["defaults"][-1] and sold["lost"][-1] > calm["lost"][-1]
    assert sold["price"][-1] == pytest.approx(np.exp(-0.02 * float(end.sold.sum())), rel=1e-5)


def test_a_bank_sells_just_as_much_as_it_must():
    """Capital 1 - debts: with claims 2, holdings 4, cash 1 and debts 6 it is 1; a tenth of what is at risk allows 10,
    a fifth 5 of 6, so that a quarter of the holdings goes.
    """
    owes = np.zeros((2, 2))
    owes[0, 1], owes[1, 0] = 6.0, 2.0
    for r, sold in ((0.1, 0.0), (0.2, 1.0), (0.5, 4.0)):
        model = Interbank(owes, np.array([1.0, 9.0]), np.array([4.0, 0.0]), shock=0.0, r=r)
        end = pop.simulate(model, jr.key(0), 1).final.state
        assert float(end.sold[0]) == pytest.approx(sold, abs=1e-5)


def test_what_cannot_be_settled_is_named():
    circle = np.array([[0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert (clearing_vector(circle, [0.0, 0.0, 0.0])[:2] == 2.0).all()  # the greatest: they pay each other in a circle
    with pytest.raises(pop.ModelError, match="one row and one column"):
        Interbank(OWES, np.ones(2), np.zeros(2))
    with pytest.raises(pop.ModelError, match="links"):
        random_banks(jr.key(0), 4, links=4)
