"""Where a better fit may be: improvements in closed form, batches that do not huddle, and noise."""

import numpy as np
import pytest
from scipy.stats import norm

import populace as pop

RNG = np.random.default_rng


def foreseen(losses, noise=0.0, made=1):
    """Losses (draws, m) of one moment, whose gaps are their roots."""
    gaps = np.sqrt(losses)[:, :, None]
    return pop.Foreseen(gaps, np.full(gaps.shape[1:], noise), np.ones(losses.shape[1]), made)


def test_improvement_is_the_one_of_normal_losses():
    """E max(best - L, 0) of L ~ N(m, s^2) is (best - m) Phi(u) + s phi(u), u = (best - m) / s."""
    means, spreads, best = np.array([31.0, 30.5, 29.7, 32.0]), np.array([1.0, 0.2, 0.1, 4.0]), 30.0
    u = (best - means) / spreads
    exact = (best - means) * norm.cdf(u) + spreads * norm.pdf(u)
    losses = means + spreads * RNG(0).standard_normal((20_000, 4))
    said = foreseen(np.concatenate([np.full((20_000, 1), best), losses], axis=1))
    assert pop.ExpectedImprovement().choose(said, 1, RNG(1))[0] == 1 + exact.argmax() == 4
    rare = pop.Foreseen(said.gaps, said.noise, np.array([1.0, 1.0, 1.0, 1.0, 0.1]), 1)
    assert pop.ExpectedImprovement().choose(rare, 1, RNG(1))[0] == 3  # where runs fail, a tenth of it is left


def test_the_best_so_far_is_a_draw_s_and_not_the_mean_s():
    """A point that moves with the best one promises nothing, though its own losses fall below the best's mean."""
    best = 10.0 + 2.0 * RNG(0).standard_normal(5_000)
    with_it, own = best + 0.1, 10.1 + 0.5 * RNG(1).standard_normal(5_000)
    said = foreseen(np.stack([best, with_it, own], axis=1))
    assert pop.ExpectedImprovement().choose(said, 1, RNG(2))[0] == 2


def test_a_batch_does_not_huddle():
    one, other = 10.0 + 2.0 * RNG(0).standard_normal((2, 5_000))
    said = foreseen(np.stack([np.full(5_000, 10.0), one, one + 1e-3, other + 0.5], axis=1))
    assert pop.ExpectedImprovement().choose(said, 2, RNG(1)).tolist() == [1, 3]
    every = pop.ExpectedImprovement().choose(said, 7, RNG(1))  # more than there are: some twice, but never the one made
    assert set(every[:3]) == {1, 2, 3} and every.size == 7


def test_thompson_takes_points_as_often_as_they_are_the_best():
    chance = np.array([0.0, 0.6, 0.3, 0.1])
    best = RNG(0).choice(4, 4_000, p=chance)
    losses = 1.0 + 0.1 * RNG(1).random((4_000, 4))
    losses[np.arange(4_000), best] = 0.5
    share = np.bincount(pop.Thompson().choose(foreseen(losses, noise=9.0), 4_000, RNG(2)), minlength=4) / 4_000
    assert (np.abs(share - chance) < 4.0 * np.sqrt(0.25 / 4_000)).all()
    apart = pop.Thompson().choose(foreseen(losses), 3, RNG(2))  # without noise nothing is run again
    assert sorted(apart) == [1, 2, 3]


def after(mean, doubt, noise, best):
    """E min(best, loss) once a gap N(mean, doubt) was seen with noise."""
    moved = doubt / np.sqrt(doubt + noise)
    z, w = np.polynomial.hermite_e.hermegauss(60)
    loss = (mean + moved * z) ** 2 + doubt - moved**2
    return (w / w.sum()) @ np.minimum(best, loss)


def test_the_knowledge_gradient_knows_that_runs_are_noisy():
    """What is in great doubt but too noisy to learn of is left to the other, which expected improvement does not do."""
    means, doubts, noises = np.array([1.0, 2.0, 1.4]), np.array([1e-8, 4.0, 0.5]), np.array([1.0, 400.0, 0.1])
    exact = [after(m, v, n, 1.0) for m, v, n in zip(means, doubts, noises, strict=True)]
    gaps = means + np.sqrt(doubts) * RNG(0).standard_normal((8_000, 3))
    said = pop.Foreseen(gaps[:, :, None], noises[:, None], np.ones(3), 1)
    assert pop.KnowledgeGradient(outcomes=200).choose(said, 1, RNG(1))[0] == int(np.argmin(exact)) == 2
    assert pop.ExpectedImprovement().choose(said, 1, RNG(1))[0] == 1


def test_the_knowledge_gradient_repeats_a_point_until_it_is_known():
    gaps = np.array([1.0, 1.2]) + np.array([1e-4, 1.0]) * RNG(0).standard_normal((4_000, 2))
    noise = np.array([[1.0], [1.0]])
    said = pop.Foreseen(gaps[:, :, None], noise, np.ones(2), 1)
    assert pop.KnowledgeGradient(outcomes=64).choose(said, 3, RNG(1)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("acquisition", [pop.ExpectedImprovement(), pop.Thompson(), pop.KnowledgeGradient()])
def test_a_choice_hangs_on_its_generator_alone(acquisition):
    gaps = RNG(0).standard_normal((50, 30, 2))
    said = pop.Foreseen(gaps, np.full((30, 2), 0.5), np.ones(30), 5)
    one, other = (acquisition.choose(said, 8, RNG(3)) for _ in range(2))
    assert one.shape == (8,) and np.array_equal(one, other) and ((one >= 0) & (one < 30)).all()
