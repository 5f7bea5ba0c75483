"""A batch shared by what runs have yielded."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.surrogates.bandit import Credit, chosen, names
from populace.testing.acceptance import check_acquisition

BOTH = pop.Bandit((pop.Entropy(), pop.Passive()))
SAID = np.random.default_rng(9).random((3, 200))


def played(bandit, chances, rounds, credit=None, seed=0):
    """Rounds of 20 runs whose yields are coins, a chance an acquisition; and the shares of each in the last five."""
    rng, credit, last = np.random.default_rng(seed), Credit.empty() if credit is None else credit, []
    for _ in range(rounds):
        _, by = chosen(bandit, SAID, 20, rng, credit)
        credit = credit.with_runs(by)
        credit = credit.judged((rng.random(20) < np.asarray(chances)[by]).astype(float))
        last.append(np.bincount(by, minlength=len(chances)) / 20)
    return credit, np.mean(last[-5:], axis=0)


def test_counts_forget():
    credit = Credit.empty().with_runs(np.array([-1, -1])).judged(np.array([1.0, 1.0]))
    credit = credit.with_runs(np.array([0, 1])).judged(np.array([1.0, 0.25]))
    credit = credit.with_runs(np.array([0, 0])).judged(np.array([0.5, np.nan]))  # the last one failed
    good, bad = credit.with_runs(np.array([1])).counts(2, 0.5)  # and one of which nothing is known yet
    assert good == pytest.approx([0.5 * 0.5 + 0.25, 0.25 * 0.25])
    assert bad == pytest.approx([0.5 * 1.5, 0.25 * 0.75])


def test_runs_go_to_what_yields_and_come_back_when_it_does_no_more():
    credit, share = played(BOTH, (0.8, 0.3), 15)
    assert share[0] > 0.75
    _, later = played(BOTH, (0.1, 0.6), 25, credit, seed=1)
    assert later[1] > 0.75
    _, even = played(BOTH, (0.5, 0.5), 40)
    assert 0.05 < even[0] < 0.95


def test_a_shared_batch_keeps_the_laws():
    check_acquisition(BOTH, jr.key(0))
    check_acquisition(pop.Bandit((pop.PositivesThenEntropy(), pop.Straddle(), pop.Disagreement())), jr.key(1))
    rows, by = chosen(BOTH, SAID, 60, np.random.default_rng(3), Credit.empty())
    assert set(by) == {0, 1} and np.unique(rows).size == 60
    alone, nobody = chosen(pop.Entropy(), SAID, 60, np.random.default_rng(3), Credit.empty())
    assert np.array_equal(alone, pop.Entropy().choose(SAID, 60, np.random.default_rng(3))) and not nobody.any()


def test_it_says_what_each_was_given_and_yielded():
    credit = Credit.empty().with_runs(np.array([0, 0, 0])).judged(np.array([1.0, 0.0, 0.5]))
    table = credit.table(names(BOTH))
    assert table.rows == (("Entropy", 3, 1.5, 0.5), ("Passive", 0, 0.0, None))
    assert "Entropy 3 runs (0.5), Passive 0 runs (none known)" in credit.sentence(names(BOTH), "coins")


def test_what_is_no_bandit_is_refused():
    with pytest.raises(pop.MethodError, match="two acquisitions or more"):
        pop.Bandit((pop.Entropy(),))
    with pytest.raises(pop.MethodError, match="none of which is a bandit"):
        pop.Bandit((BOTH, pop.Entropy()))
    with pytest.raises(pop.MethodError, match="between 0 and 1"):
        pop.Bandit((pop.Entropy(), pop.Passive()), memory=2.0)
