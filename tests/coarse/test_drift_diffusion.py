"""Drift and diffusion from single runs: of a known process, and of herding, whose diffusion sees its strength."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.zoo.kirman import Kirman


def test_a_known_process():
    """dz = (1 - 2 z) dt + sqrt(.1 + .2 z^2) dW in steps of a hundredth, looked at every tenth."""
    generator = np.random.default_rng(0)
    z, kept = np.full(800, 0.5), []
    for step in range(500):
        z = z + 0.01 * (1 - 2 * z) + np.sqrt(0.01 * (0.1 + 0.2 * z**2)) * generator.normal(size=800)
        if step % 5 == 0:
            kept.append(z)
    runs = np.stack(kept, axis=1)
    found = pop.drift_and_diffusion(pop.MeanSeries(0.05 * np.arange(100), {"z": runs}), drift_degree=1)
    assert np.all(np.abs(found.drift.coefficients - [1.0, -2.0]) < 4 * found.drift.errors)
    assert np.all(np.abs(found.diffusion.coefficients - [0.1, 0.0, 0.2]) < 4 * found.diffusion.errors)
    assert found.drift.errors.max() < 0.2
    assert found.diffusion.errors[0] < 0.01
    places, means, errors = found.diffusion.binned
    assert np.mean(np.abs(means - (0.1 + 0.2 * places**2)) < 3 * errors + 0.002) > 0.8


@pytest.mark.parametrize("b", [0.0, 0.1])
def test_diffusion_sees_the_strength_of_herding(b):
    """D = a1 / N + (a2 - a1) z / N + 2 b z (1 - z), while the drift a1 - (a1 + a2) z is the same for every b."""
    model = Kirman(agents=20, turns=8, a1=0.2, a2=0.3, start=0.4, interval=0.1, b=b)
    seen = pop.ensemble(model, jr.key(1), 60, runs=300)
    found = pop.drift_and_diffusion(pop.MeanSeries.of(seen, ["share"], interval=0.1), drift_degree=1)
    exact = np.array([0.2 / 20, 0.1 / 20 + 2 * b, -2 * b])
    assert np.all(np.abs(found.diffusion.coefficients - exact) < 4 * found.diffusion.errors)
    assert np.all(np.abs(found.drift.coefficients - [0.2, -0.5]) < 4 * found.drift.errors)
    assert found.diffusion.errors[2] < 0.05
    assert found.sections()[0].figures
    assert found.record()["variable"] == "share"


def test_misuse():
    uneven = pop.MeanSeries(np.array([0.0, 1, 2, 3, 4, 5, 6, 8]), {"z": np.random.default_rng(0).normal(size=(5, 8))})
    with pytest.raises(pop.MethodError, match="evenly"):
        pop.drift_and_diffusion(uneven)
    with pytest.raises(pop.MethodError, match="which variable"):
        pop.drift_and_diffusion(uneven, "y")
