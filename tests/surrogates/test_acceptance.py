"""Which runs are acceptable: the threshold by enumeration, what acquisitions look for, and what the networks learn."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.noise import host_generator
from populace.surrogates.acceptance import accepted, f1_threshold
from populace.surrogates.acquisitions import entropy, reflected, shaken
from populace.testing.acceptance import disc


def test_a_failed_run_is_not_acceptable():
    assert accepted(np.array([0.5, 1.0, 1.01, np.nan, np.inf])).tolist() == [True, True, False, False, False]


def test_the_threshold_is_the_best_of_all():
    """For many points F1 of expectations is the expected F1: no other threshold does better on drawn labels."""
    rng = np.random.default_rng(0)
    p = rng.beta(0.2, 2.0, 20_000)
    threshold, expected = f1_threshold(p)
    labels = rng.random(p.size) < p

    def f1(at):
        said = p >= at
        return 2.0 * (said & labels).sum() / (said.sum() + labels.sum())

    assert f1(threshold) == pytest.approx(expected, abs=0.02)
    assert f1(threshold) > max(f1(at) for at in np.linspace(0.02, 0.98, 49)) - 0.01
    assert threshold < 0.4  # with acceptance as rare as that, a half is too much to ask for
    assert f1_threshold(np.array([1.0, 1.0, 0.0])) == (1.0, 1.0)


def test_a_shaken_choice_is_drawn_in_proportion_to_its_scores():
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    rng, n = np.random.default_rng(1), 8_000
    first = np.array([shaken(np.log(weights), 1, rng)[0] for _ in range(n)])
    share = np.bincount(first, minlength=4) / n
    assert (np.abs(share - weights / 10.0) < 4.0 * np.sqrt(0.25 / n)).all()


def test_what_each_acquisition_looks_for():
    """Candidates of which members agree on a half, agree on none, and contradict each other."""
    said = np.repeat(np.array([[0.5, 0.0, 0.05], [0.5, 0.0, 0.95]]), 100, axis=1)
    kinds = np.repeat(["coin", "never", "doubt"], 100)

    def counted(acquisition):
        chosen = kinds[acquisition.choose(said, 90, np.random.default_rng(2))]
        return {kind: int((chosen == kind).sum()) for kind in ("coin", "never", "doubt")}

    by_entropy = counted(pop.Entropy())
    assert by_entropy["never"] == 0 and min(by_entropy["coin"], by_entropy["doubt"]) > 25
    assert counted(pop.Disagreement())["doubt"] == 90  # what a seed decides alone is not asked for again
    assert counted(pop.Straddle())["doubt"] == 90
    assert 15 < counted(pop.Passive())["never"] < 45


def test_the_published_scheme_takes_positives_and_then_entropy():
    said = np.array([[0.9, 0.8, 0.7, 0.5, 0.45, 0.2, 0.1]])
    rng = np.random.default_rng(3)
    assert sorted(pop.PositivesThenEntropy().choose(said, 5, rng)) == [0, 1, 2, 3, 4]
    two = [frozenset(pop.PositivesThenEntropy().choose(said, 2, rng).tolist()) for _ in range(60)]
    assert set(two) == {frozenset(pair) for pair in ((0, 1), (0, 2), (1, 2))}


def test_candidates_evolve_around_the_best_runs():
    rng = np.random.default_rng(4)
    inputs = rng.random((200, 3))
    ratios = np.where(np.arange(200) < 5, 0.5, np.nan)
    points = pop.Evolving(everywhere=0, near=400, best=5).points(inputs, ratios, rng)
    moved, crossed = points[:400], points[400:]
    apart = np.sqrt(((moved[:, None] - inputs[None, :5]) ** 2).sum(2)).min(1)
    assert np.quantile(apart, 0.95) < 0.35
    shared = (crossed[:, None] == inputs[None, :5]).mean(2).max(1)
    assert shared.mean() > 0.6
    assert reflected(np.array([-0.1, 0.3, 1.2])) == pytest.approx([0.1, 0.3, 0.8])
    assert entropy(np.array([0.5]))[0] == pytest.approx(np.log(2.0))


def test_a_margin_says_more_than_a_label():
    """On few runs, networks on distances beat trees on labels; and where runs fail is learned with it."""
    inputs = pop.Sobol().sequence(jr.key(0), 2, 0, 128)
    rng = host_generator(jr.key(1))
    ratios, _ = disc(inputs, rng)
    points = rng.random((4_000, 2))
    fresh = accepted(disc(points, rng)[0])

    def surprise(classifier):
        p = np.clip(classifier.fit(inputs, ratios, jr.key(2)).probabilities(points).mean(0), 1e-4, 1.0 - 1e-4)
        return float(-np.where(fresh, np.log(p), np.log1p(-p)).mean()), p

    network, p = surprise(pop.MarginEnsemble(members=4, width=32, steps=400))
    trees, _ = surprise(pop.AcceptingTrees())
    assert network < 0.9 * trees
    right = (points[:, 0] > 0.85) & (np.abs(points[:, 1] - 0.5) < 0.1)
    assert p[right].mean() < 0.35
