"""Langevin chains where the posterior is Gaussian and known, and what is said of chains that have not mixed."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.calibration.test_variational import DATA, SPREAD, exact, problem

import populace as pop
from populace.calibration.mixing import effective_size, split_r_hat

SCALE = jnp.asarray(SPREAD, jnp.float32)
LOSS = pop.RunLoss(lambda seen: (((seen["x"][-1] - jnp.asarray(DATA)) / SCALE) ** 2).sum() / 2.0)
EXACT = pop.Pathwise((), None)


@pytest.fixture(scope="module")
def fit():
    return pop.calibrate(problem(), pop.Langevin(LOSS, EXACT, replicates=2), jr.key(1), budget=90_000, predictive=20)


def test_the_law_of_the_chains_is_the_posterior(fit):
    """The gradients' own noise is large here: added on top it would make the posterior wider."""
    mean, sd, _ = exact(SPREAD)
    draws = fit.estimate.real
    worth = float(fit.estimate.notes()[0].split("worth ")[1].split(" ")[0])
    assert worth > 300
    assert (np.abs(draws.mean(0) - mean) < 4 * sd / np.sqrt(worth)).all()
    assert (np.abs(draws.std(0) / sd - 1.0) < 4 / np.sqrt(2 * worth) + 0.03).all(), draws.std(0) / sd
    assert fit.trusted and "R-hat" in fit.done.sentence


def test_chains_that_have_not_mixed_are_not_to_be_read():
    method = pop.Langevin(LOSS, EXACT, replicates=2, step=0.002, chains=4)
    found = pop.calibrate(problem(), method, jr.key(2), budget=3_000, predictive=20)
    assert not found.trusted
    assert any("do not read the posterior" in note for note in found.estimate.notes())


def test_diagnostics_of_known_chains():
    """An AR(1) of coefficient .6 is worth (1 - .6) / (1 + .6) of its length; a shifted chain has a large R-hat."""
    rng = np.random.default_rng(0)
    chains = np.zeros((8, 4_000, 1))
    for t in range(1, 4_000):
        chains[:, t] = 0.6 * chains[:, t - 1] + rng.standard_normal((8, 1))
    assert effective_size(chains)[0] == pytest.approx(8 * 4_000 * 0.25, rel=0.1)
    assert split_r_hat(chains)[0] < 1.01
    chains[0] += 3.0
    assert split_r_hat(chains)[0] > 1.1


def test_what_cannot_be_done_is_said():
    with pytest.raises(pop.MethodError, match="too small for 50 rounds"):
        pop.calibrate(problem(), pop.Langevin(LOSS, EXACT), jr.key(1), budget=500)
    with pytest.raises(pop.MethodError, match="two chains or more"):
        pop.calibrate(problem(), pop.Langevin(LOSS, EXACT, chains=1), jr.key(1), budget=50_000)
