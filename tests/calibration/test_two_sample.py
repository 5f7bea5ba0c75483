"""A classifier tells two samples apart as well as anything can, and no better."""

import jax.random as jr
import numpy as np
import pytest
from scipy.stats import norm

import populace as pop


@pytest.mark.parametrize(("shift", "best"), [(0.0, 0.5), (1.0, norm.cdf(0.5))])
def test_the_accuracy_is_that_of_the_best_classifier(shift, best):
    one, other = np.random.default_rng(0).standard_normal((2, 1_000, 2))
    found = pop.classifier_two_sample(one, other + np.array([shift, 0.0]), jr.key(1))
    assert abs(found.accuracy - best) < 4 * found.error
    assert (found.p < 1e-6) == (shift > 0)
    assert found.record()["rows"] == 2_000 and "2000 unseen rows" in found.sections()[0].text[0]


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (np.zeros((200, 2)), np.zeros((200, 3)), "not the same columns"),
        (np.zeros((50, 2)), np.zeros((200, 2)), "50 rows show nothing"),
        (np.full((200, 2), np.nan), np.zeros((200, 2)), "not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(one, other, why):
    with pytest.raises(pop.MethodError, match=why):
        pop.classifier_two_sample(one, other, jr.key(0))
