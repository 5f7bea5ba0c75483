"""Every regressor: means, noise and epistemic variance on a function with known noise."""

from typing import Any

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.surrogates.bends import Bend

from .conftest import ERRORS, wave

FAST = pop.NeuralEnsemble(members=6, width=32, steps=1000, decays=(0.1,))
REGRESSORS: dict[str, pop.Regressor] = {
    "process": pop.GaussianProcess(starts=2),
    "varying": pop.GaussianProcess(starts=2, noise=pop.VaryingNoise()),
    "bent": pop.Bent(pop.GaussianProcess(starts=2)),
    "networks": FAST,
    "trees": pop.BoostedTrees(),
}
ROUGH = {"networks": 3.0, "trees": 12.0}
"""How many times the error of a Gaussian process is let pass."""


@pytest.fixture(scope="module")
def fits(noisy: Any) -> dict[str, pop.Fitted]:
    runs = noisy(300, 0.2, 3)
    return {name: one.fit(runs.unit, runs.moments, jr.key(4)) for name, one in REGRESSORS.items()}


@pytest.mark.parametrize("name", REGRESSORS)
def test_the_mean_is_learned_within_what_the_epistemic_variance_says(fits: Any, name: str, grid: np.ndarray):
    said = fits[name].predict(grid)
    missed = (said.mean[:, 0] - wave(grid)) ** 2
    # About 40 effective numbers are learned from 300 runs of noise 0.2: an error of 0.04 * 40 / 300.
    assert missed.mean() < 0.04 * 40 / 300 * ROUGH.get(name, 1.0)
    # Neighbouring points miss together: about 20 independent errors, four of their standard errors in the logarithm.
    assert abs(np.log(missed.mean() / said.epistemic.mean())) < ERRORS * np.sqrt(2 / 20)


@pytest.mark.parametrize("name", REGRESSORS)
def test_the_noise_variance_is_that_of_the_seed(fits: Any, name: str, grid: np.ndarray):
    """The variance of 300 residuals is known to sqrt(2 / 300); trees put a part of their own error there."""
    said = fits[name].predict(grid).noise.mean()
    assert (
        0.04 * (1 - ERRORS * np.sqrt(2 / 300))
        < said
        < 0.04 * (1 + ERRORS * np.sqrt(2 / 300)) * (1.5 if name == "trees" else 1.0)
    )


@pytest.mark.parametrize("name", REGRESSORS)
def test_draws_of_the_mean_have_its_mean_and_variance(fits: Any, name: str, grid: np.ndarray):
    said, drawn = fits[name].predict(grid), fits[name].sample(grid, jr.key(5), 2000)
    assert drawn.shape == (2000, 400, 1)
    error = np.sqrt(said.epistemic / 2000)
    allowed = 6.0 * error + 0.002  # the largest of 400, and the jitter of the factor
    assert (np.abs(drawn.mean(0) - said.mean) < allowed).all()
    assert drawn.var(0).mean() == pytest.approx(said.epistemic.mean(), rel=ERRORS * np.sqrt(2 / 2000) + 0.05)
    assert np.array_equal(drawn, fits[name].sample(grid, jr.key(5), 2000))


@pytest.mark.parametrize("name", REGRESSORS)
def test_neighbours_are_drawn_together(fits: Any, name: str):
    near = np.array([[0.5, 0.5], [0.5005, 0.5]])
    drawn = fits[name].sample(near, jr.key(6), 500)[..., 0]
    assert np.corrcoef(drawn.T)[0, 1] > 0.95


@pytest.mark.parametrize("name", REGRESSORS)
def test_what_changes_faster_is_more_relevant(fits: Any, name: str):
    found = fits[name].relevance()
    assert found[0] > 2 * found[1] > 0
    assert (found**2).mean() == pytest.approx(1.0)


@pytest.mark.parametrize("name", REGRESSORS)
def test_too_few_points_are_refused_with_their_number(name: str):
    one = REGRESSORS[name]
    least = one.least(2)
    with pytest.raises(pop.MethodError, match=f"give {least} or more"):
        one.fit(np.zeros((least - 1, 2)), np.zeros((least - 1, 1)), jr.key(0))


@pytest.mark.parametrize("name", ["varying", "networks"])
def test_noise_that_varies_is_seen_to_vary(noisy: Any, name: str):
    """Standard deviation 0.05 on the left and 0.4 on the right: a factor of 64 in variance."""
    runs = noisy(512, lambda unit: np.where(unit[:, 0] < 0.5, 0.05, 0.4), 7)
    said = REGRESSORS[name].fit(runs.unit, runs.moments, jr.key(8)).predict(np.array([[0.2, 0.5], [0.8, 0.5]]))
    assert said.noise[1, 0] / said.noise[0, 0] > 8
    assert said.noise[1, 0] == pytest.approx(0.16, rel=0.5)


def test_several_outputs_are_learned_side_by_side(noisy: Any, grid: np.ndarray):
    runs = noisy(200, 0.1, 9)
    outputs = np.concatenate([runs.moments, 1e6 - 1e3 * runs.moments], axis=1)
    for one in (REGRESSORS["process"], FAST):
        said = one.fit(runs.unit, outputs, jr.key(0)).predict(grid)
        assert np.corrcoef(said.mean.T)[0, 1] < -0.98
        assert said.noise[:, 1].mean() / said.noise[:, 0].mean() == pytest.approx(1e6, rel=0.3)


def test_a_bend_is_undone_in_closed_form():
    """Mean and variances of sinh of a Gaussian number with two parts, against a million draws."""
    bend = Bend(np.array([2.0]), np.array([3.0]), np.array([1.0]))
    random = np.random.default_rng(0)
    f = 0.7 + 0.5 * random.standard_normal(1_000_000)
    y = 2.0 + 3.0 * np.sinh(f + 0.4 * random.standard_normal(f.size))
    inner = pop.Prediction(np.array([[0.7]]), np.array([[0.16]]), np.array([[0.25]]))
    said = bend.back(inner)
    assert said.mean[0, 0] == pytest.approx(y.mean(), abs=ERRORS * y.std() / 1000)
    mean_of_f = 2.0 + 3.0 * np.exp(0.08) * np.sinh(f)
    assert said.epistemic[0, 0] == pytest.approx(mean_of_f.var(), rel=0.02)
    assert said.variance[0, 0] == pytest.approx(y.var(), rel=0.02)
