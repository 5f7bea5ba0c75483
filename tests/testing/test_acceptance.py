"""The suites of acceptance pass what is right and find what is wrong, each flaw by its law."""

import equinox as eqx
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.testing.acceptance import check_acquisition, check_candidates, check_classifier


@pytest.mark.parametrize(
    "classifier", [pop.MarginEnsemble(members=3, width=32, depth=2, steps=300), pop.AcceptingTrees(bags=2)]
)
def test_the_house_s_classifiers_are_sound(classifier):
    check_classifier(classifier, jr.key(0))


@pytest.mark.parametrize(
    "acquisition",
    [pop.Entropy(), pop.Disagreement(), pop.Straddle(), pop.PositivesThenEntropy(), pop.Passive()],
)
def test_the_house_s_acquisitions_are_sound(acquisition):
    check_acquisition(acquisition, jr.key(0))


@pytest.mark.parametrize("candidates", [pop.Evolving(everywhere=200, near=100), pop.Pool(1_000)])
def test_the_house_s_candidates_are_sound(candidates):
    check_candidates(candidates, jr.key(0))


class Nearest(pop.Classifier):
    """The share of acceptable runs among the twelve nearest, with one flaw by choice."""

    flaw: str = eqx.field(static=True, default="")
    name = "neighbours"

    def fit(self, inputs, ratios, key):
        if self.flaw == "another every time":
            inputs = inputs + 0.01 * np.random.default_rng().standard_normal(inputs.shape)
        return FittedNearest(inputs, ratios, self.flaw)


class FittedNearest(pop.FittedClassifier):
    def __init__(self, inputs, ratios, flaw):
        self.inputs, self.flaw = inputs, flaw
        ratios = np.nan_to_num(ratios, nan=0.0) if flaw == "failed" else ratios
        self.yes = np.isfinite(ratios) & (np.nan_to_num(ratios, nan=9.0) <= 1.0)

    def probabilities(self, inputs):
        apart = ((inputs[:, None] - self.inputs[None]) ** 2).sum(2)
        share = self.yes[np.argsort(apart, axis=1)[:, :12]].mean(1)[None]
        flawed = {
            "shape": share[0],
            "sum": 2.0 * share,
            "others": share - share.mean() / 2.0 + 0.1 if inputs.shape[0] < 10 else share,
            "biased": np.sqrt(share),
            "blind": np.full_like(share, self.yes.mean()),
        }
        return flawed.get(self.flaw, share)


def test_neighbours_are_sound():
    check_classifier(Nearest(), jr.key(0))


@pytest.mark.parametrize(
    ("flaw", "law"),
    [
        ("shape", "not float64 \\(members, points\\)"),
        ("sum", "outside"),
        ("others", "hangs on the other points"),
        ("another every time", "the same key learns something else"),
        ("biased", "of runs for"),
        ("blind", "of the surprise"),
        ("failed", "it takes|of the surprise|all runs are failed"),
    ],
)
def test_a_flaw_is_found_by_its_law(flaw, law):
    with pytest.raises(AssertionError, match=f"Nearest: .*({law})"):
        check_classifier(Nearest(flaw), jr.key(0))


class Chosen(pop.Acquisition):
    flaw: str = eqx.field(static=True, default="")

    def choose(self, said, count, generator):
        if self.flaw == "twice":
            return generator.integers(0, said.shape[1], count)
        if self.flaw == "few":
            return np.arange(min(count, 10))
        return np.random.default_rng().permutation(said.shape[1])[:count]


@pytest.mark.parametrize(("flaw", "law"), [("twice", "twice"), ("few", "were chosen"), ("luck", "chooses others")])
def test_a_flawed_choice_is_found(flaw, law):
    with pytest.raises(AssertionError, match=f"Chosen: .*{law}"):
        check_acquisition(Chosen(flaw), jr.key(0))


class Offered(pop.Candidates):
    flaw: str = eqx.field(static=True, default="")

    def points(self, inputs, ratios, generator):
        if self.flaw == "outside":
            return 2.0 * generator.random((100, inputs.shape[1]))
        if self.flaw == "luck":
            return np.random.default_rng().random((100, inputs.shape[1]))
        return np.concatenate([inputs, generator.random((len(inputs) // 2 + 1, inputs.shape[1]))])


@pytest.mark.parametrize(("flaw", "law"), [("outside", "outside"), ("luck", "makes others"), ("old", "run already")])
def test_flawed_candidates_are_found(flaw, law):
    with pytest.raises(AssertionError, match=f"Offered: .*{law}"):
        check_candidates(Offered(flaw), jr.key(0))
