"""Equations learned from runs: on laws that are known, with noise that goes together in time as runs' noise does."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.coarse.library import Monomials
from populace.coarse.trajectories import reach, solve, solve_with_slopes

TIMES = np.linspace(0.0, 12.0, 61)


def logistic(rate=0.8, most=0.5, start=0.05):
    return most / (1 + (most / start - 1) * np.exp(-rate * TIMES))


def noisy(mean, size, runs=40, seed=0):
    """Runs around a mean, each off by a walk that begins at 0 and is drawn back."""
    generator = np.random.default_rng(seed)
    off = np.zeros((runs, mean.size))
    for t in range(1, mean.size):
        off[:, t] = 0.95 * off[:, t - 1] + size * generator.normal(size=runs)
    return mean + off


def test_terms_and_their_slopes():
    library = Monomials.up_to(("x", "y"), 3)
    assert library.labels == ("1", "x", "y", "x^2", "x y", "y^2", "x^3", "x^2 y", "x y^2", "y^3")
    at = np.array([[0.3, -0.7], [0.0, 2.0]])
    for i in range(2):
        step = 1e-6 * np.eye(2)[i]
        slope = (library.values(at + step) - library.values(at - step)) / 2e-6
        np.testing.assert_allclose(library.slopes(at)[..., i], slope, atol=1e-8)


def test_solutions_and_their_slopes():
    """Two variables, against differences; and the logistic curve."""
    library = Monomials.up_to(("s", "i"), 2)
    numbers = np.zeros((1, 14))
    numbers[0, 4], numbers[0, 6 + 4], numbers[0, 6 + 2], numbers[0, 12:] = -0.9, 0.9, -0.4, (0.9, 0.1)
    _, far = reach(np.array([[0.0, 0.0], [1.0, 1.0]]))
    path, slopes = solve_with_slopes(library, numbers, TIMES, far)
    np.testing.assert_allclose(path, solve(library, numbers, TIMES, far))
    for j in (4, 8, 10, 12, 13):
        moved = numbers + 1e-6 * np.eye(14)[j]
        difference = (solve(library, moved, TIMES, far) - path) / 1e-6
        np.testing.assert_allclose(slopes[..., j], difference, rtol=1e-3, atol=1e-4)
    one = Monomials.up_to(("c",), 2)
    found = solve(one, np.array([[0.0, 0.8, -1.6, 0.05]]), TIMES, np.array([[-1.0], [2.0]]))
    np.testing.assert_allclose(found[0, :, 0], logistic(), atol=1e-6)


@pytest.fixture(scope="module")
def learned():
    series = pop.MeanSeries(TIMES, {"c": noisy(logistic(), 0.005)})
    return pop.learn_equation(series, jr.key(0), degree=4)


def test_the_law_is_among_those_that_tie(learned):
    """c' = .8 c - 1.6 c^2, within four standard errors, and its solution lies in the noise of the mean."""
    mine = [e for e in learned.equations if e.mask[0].tolist() == [False, True, True, False, False]]
    assert mine
    assert np.all(np.abs(mine[0].coefficients[0, 1:3] - [0.8, -1.6]) < 4 * mine[0].errors[0, 1:3])
    assert all(e.rmse < 2 * learned.noise for e in learned.equations)
    np.testing.assert_allclose(mine[0].solve(mine[0].start, TIMES)[:, 0], learned.series.mean[:, 0], atol=0.01)


def test_several_tie_and_part_outside(learned):
    assert len(learned.equations) > 1
    assert learned.spread_outside > 2 * learned.spread_inside
    assert learned.verdicts["form"].code is pop.Code.TIED
    assert learned.verdicts["outside"].code is pop.Code.APART_OUTSIDE
    assert "do not extrapolate" in str(learned)
    counts = [int(e.mask.sum()) for e in learned.equations]
    assert counts == sorted(counts)
    assert set(learned.shared).isdisjoint(learned.open)
    assert learned.record()["verdicts"]["form"]["class"] == "several equations tie"
    assert learned.sections()[0].tables[0].rows


def test_errors_of_coefficients_are_how_they_vary():
    """Over data drawn again: the mean of 30 squared z-scores of either coefficient is near 1."""
    law = np.array([[[False, True, True]]])
    from populace.coarse.candidates import candidates

    z = []
    for seed in range(30):
        series = pop.MeanSeries(TIMES[::3], {"c": noisy(logistic(), 0.005, seed=seed + 100)[:, ::3]})
        found = candidates(series, np.arange(40), degree=2, zero=False, masks=law)
        off = found.coefficients(0)[0, 1:] - [0.8, -1.6]
        z.append(off / np.sqrt(np.diag(found.covariance(0))))
    square = np.mean(np.square(z), axis=0)
    assert np.all(np.abs(square - 1) < 4 * np.sqrt(2 / 30))


def test_a_wrong_form_does_not_tie():
    """A law with a cube, nearly without noise: no equation of degree 1 is left, and the cube is in every one."""
    library = Monomials.up_to(("c",), 3)
    mean = solve(library, np.array([[0.0, 0.5, 0.0, -1.0, 0.05]]), TIMES, np.array([[-1.0], [2.0]]))[0, :, 0]
    series = pop.MeanSeries(TIMES, {"c": noisy(mean, 1e-5)})
    found = pop.learn_equation(series, jr.key(1), degree=3, zero=True)
    assert "c^3" in found.shared
    assert "c" in found.shared


def test_two_variables():
    """s' = - s i, i' = s i - .3 i: the law ties, and its coefficients are right."""
    library = Monomials.up_to(("s", "i"), 2)
    numbers = np.zeros((1, 14))
    numbers[0, 4], numbers[0, 6 + 4], numbers[0, 6 + 2], numbers[0, 12:] = -1.0, 1.0, -0.3, (0.95, 0.05)
    mean = solve(library, numbers, TIMES, np.array([[-1.0, -1.0], [2.0, 2.0]]))[0]
    runs = {name: noisy(mean[:, j], 2e-4, seed=j) for j, name in enumerate("si")}
    found = pop.learn_equation(pop.MeanSeries(TIMES, runs), jr.key(2), degree=2, zero=True)
    law = np.zeros((2, 6), bool)
    law[0, 4] = law[1, 4] = law[1, 2] = True
    mine = [e for e in found.equations if np.array_equal(e.mask, law)]
    assert mine
    np.testing.assert_allclose(mine[0].coefficients[law], [-1.0, -0.3, 1.0], rtol=0.02)


def test_a_form_that_is_given():
    series = pop.MeanSeries(TIMES, {"c": noisy(logistic(), 0.005)})
    found = pop.learn_equation(series, jr.key(4), degree=2, form={"c": ["c", "c^2"]})
    assert found.tried == 1
    assert found.verdicts["form"].code is pop.Code.UNJUDGED
    assert np.all(np.abs(found.simplest.coefficients[0, 1:] - [0.8, -1.6]) < 4 * found.simplest.errors[0, 1:])
    with pytest.raises(pop.MethodError, match="did you mean 'c"):
        pop.learn_equation(series, jr.key(4), degree=2, form={"c": ["c^3"]})


def test_what_cannot_be_learned_from_is_refused():
    with pytest.raises(pop.MethodError, match="hardly moves"):
        pop.learn_equation(pop.MeanSeries(TIMES, {"c": noisy(0 * TIMES, 0.01)}), jr.key(3))
    with pytest.raises(pop.MethodError, match="4 runs or more"):
        pop.MeanSeries(TIMES, {"c": np.zeros((2, 61))})
    with pytest.raises(pop.MethodError, match="rising"):
        pop.MeanSeries(TIMES[::-1], {"c": np.zeros((5, 61))})
    with pytest.raises(pop.MethodError, match="not finite"):
        pop.MeanSeries(TIMES, {"c": np.full((5, 61), np.nan)})
