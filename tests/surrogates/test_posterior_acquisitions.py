"""Which draws of a posterior are run: shares in closed form, and the integrated variance by enumeration."""

import numpy as np
import pytest
from scipy.stats import norm

import populace as pop
from populace.surrogates.posterior_acquisitions import _log_square

RNG = np.random.default_rng


def weighed(weights, *, levels=None, gaps=None, noise=None, epistemic=None, functions=None):
    m = len(weights)
    flat = np.zeros(m)
    given = [np.ones((m, 1)) if one is None else one for one in (noise, epistemic)]
    return pop.WeighedDraws(
        np.asarray(weights) / np.sum(weights),
        flat if levels is None else levels,
        flat,
        np.zeros((m, 1)) if gaps is None else gaps,
        *given,
        functions or (lambda rows, draws: np.zeros((draws, len(rows), 1))),
    )


def test_the_share_of_doubt_weighs_draws():
    said = weighed([1.0, 1.0, 2.0], noise=np.array([[1.0], [3.0], [1.0]]))
    exact = np.array([0.5, 0.25, 1.0]) / 1.75
    share = np.bincount(pop.ShareOfDoubt().choose(said, 20_000, RNG(0)), minlength=3) / 20_000
    assert (np.abs(share - exact) < 4.0 * np.sqrt(0.25 / 20_000)).all()


def test_truncation_gives_the_prior_within_the_posterior():
    """Draws of a standard Gaussian posterior under a flat prior: even between the ends of its 99 %."""
    x = RNG(0).standard_normal(20_000)
    chosen = x[pop.Truncated().choose(weighed(np.ones(x.size), levels=-0.5 * x**2), 4_000, RNG(1))]
    end = norm.ppf(0.995)
    assert np.abs(chosen).max() < end + 0.15
    assert abs(chosen.mean()) < 0.15 and chosen.std() == pytest.approx(end / np.sqrt(3.0), rel=0.06)
    assert np.abs(np.histogram(chosen, 4, (-end, end))[0] / 4_000 - 0.25).max() < 0.05


def test_the_expected_square_of_the_likelihood_is_the_closed_form():
    """E N(g + sqrt(t) z; s + e - t)^2 by quadrature."""
    z, w = np.polynomial.hermite_e.hermegauss(80)
    for gap, width, gone in ((0.3, 1.0, 0.4), (2.0, 1.5, 0.1), (1.0, 0.7, 0.6)):
        exact = (w / w.sum()) @ norm.pdf(gap + np.sqrt(gone) * z, scale=np.sqrt(width - gone)) ** 2
        said = _log_square(np.array([gap]), np.array([width]), np.array([gone]))
        none = _log_square(np.array([gap]), np.array([width]), np.array([0.0]))
        assert np.exp(said - none) == pytest.approx(exact / norm.pdf(gap, scale=np.sqrt(width)) ** 2, rel=1e-4)


def test_a_run_is_made_where_it_tells_of_most_of_the_posterior():
    """Three groups of draws, known together: a large one, a small one, and one that is in doubt but too noisy."""
    group = np.repeat([0, 1, 2], [100, 40, 60])
    noise = np.where(group == 2, 50.0, 0.1)[:, None]

    def functions(rows, draws):
        return RNG(0).standard_normal((draws, 3))[:, group[rows], None]

    said = weighed(np.ones(200), noise=noise, functions=functions)
    rule = pop.ExpectedIntegratedVariance(points=200, functions=300)
    first = group[rule.choose(said, 4, RNG(1))]
    assert first[0] == 0 and first[1] == 1 and 2 not in first[:2]
    quiet = weighed(np.ones(200), gaps=np.where(group == 0, 12.0, 0.0)[:, None], noise=noise, functions=functions)
    assert group[rule.choose(quiet, 1, RNG(1))][0] == 1  # far from the data, variance of the likelihood is none


@pytest.mark.parametrize("rule", [pop.ShareOfDoubt(), pop.Truncated(), pop.ExpectedIntegratedVariance(30, 50)])
def test_a_choice_hangs_on_its_generator_alone(rule):
    def functions(rows, draws):
        return RNG(0).standard_normal((draws, 60, 1))[:, rows]

    said = weighed(RNG(1).random(60), levels=RNG(2).random(60), functions=functions)
    one, other = (rule.choose(said, 9, RNG(3)) for _ in range(2))
    assert one.shape == (9,) and np.array_equal(one, other) and ((one >= 0) & (one < 60)).all()
