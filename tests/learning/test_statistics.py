"""The interquartile mean and its interval."""

import numpy as np
import pytest

from populace.learning.statistics import bootstrap, interquartile_mean


def test_the_middle_half_is_averaged():
    assert interquartile_mean(np.array([-100.0, 1, 2, 3, 4, 5, 6, 1000])) == pytest.approx(3.5)


def test_the_interval_covers_in_nineteen_of_twenty():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        values = rng.normal(size=(8, 1)) + 0.5 * rng.normal(size=(8, 16))
        low, high = bootstrap(values, lambda v: float(v.mean()), rng)
        hits += low < 0 < high
    assert hits >= 85  # eight trainings are few: the nominal 95 less what a bootstrap of eight loses
