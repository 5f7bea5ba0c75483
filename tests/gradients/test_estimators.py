"""Every unbiased estimator against exact derivatives: every kind of draw, feedback, masks, continuous noise."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.gradients.known import AT, EveryKind, Outbreak, Walk, every_kind, outbreak, walk

import populace as pop

UNBIASED = {
    "differences": (pop.Differences(step=0.05, richardson=True), 4_000),
    "random directions": (pop.RandomDirections(step=0.1, directions=4), 8_000),
    "score": (pop.Score(), 16_000),
    "score, learned baseline": (pop.Score(pop.Learned(), group=32), 16_000),
    "twin": (pop.Twin(), 6_000),
    "twin, candidates": (pop.Twin(candidates=3, importance=1.0), 4_000),
    "shared twin": (pop.SharedTwin(), 24_000),
    "shared twin, candidates": (pop.SharedTwin(candidates=2, importance=1.0), 24_000),
    "guided": (pop.Guided(step=0.1), 16_000),
}
Z = 4.0


def slopes(function, at, h=1e-4):
    """Central differences of an exact expectation, in float64."""
    found = {}
    for name, value in at.items():
        value = np.asarray(value, np.float64)
        slope = np.zeros(value.shape)
        for i in np.ndindex(value.shape):
            ends = []
            for sign in (1.0, -1.0):
                moved = value.copy()
                moved[i] += sign * h
                ends.append(function({**at, name: moved}))
            slope[i] = (ends[0] - ends[1]) / (2 * h)
        found[name] = slope
    return found


def agrees(found: pop.Gradient, exact, *, power: float):
    """Within 4 standard errors everywhere, and these errors small enough to see a gradient that is off."""
    for name, slope in exact.items():
        error = np.maximum(found.error[name], 1e-3 * (1 + np.abs(slope)))
        assert (np.abs(found.gradient[name] - slope) < Z * error).all(), (name, found.gradient[name], slope, error)
        assert (found.error[name] < power * (1 + np.abs(slope))).all(), name


@pytest.mark.parametrize("name", [name for name in UNBIASED if "candidates" not in name])
def test_every_kind_of_draw(name):
    estimator, keys = UNBIASED[name]
    at = {k: np.asarray(v, np.float64) for k, v in AT.items()}
    model = EveryKind(**{k: jnp.asarray(v) for k, v in AT.items()})
    loss = pop.ExpectedLoss(pop.Simulation(model, 1), lambda seen: seen["total"])
    found = pop.differentiate(loss, estimator, jr.key(7), keys=keys)
    agrees(found, slopes(every_kind, at), power=0.8)
    if name in {"score", "twin"}:  # the others average the loss over points beside the one that was asked
        assert abs(found.value - every_kind(at)) < Z * found.value_error


@pytest.mark.parametrize("name", UNBIASED)
def test_an_outbreak_with_masks_and_continuous_noise(name):
    estimator, keys = UNBIASED[name]
    at = {"beta": 0.8, "gamma": 0.3, "noise": 0.5}
    model = Outbreak(5, **at)
    loss = pop.ExpectedLoss(pop.Simulation(model, 4), lambda seen: seen["ill"] ** 2 + seen["level"] ** 2)
    found = pop.differentiate(loss, estimator, jr.key(8), keys=keys)
    exact = slopes(lambda a: outbreak(**{k: float(v) for k, v in a.items()}, people=5, steps=4), at)
    agrees(found, exact, power=0.12)


@pytest.mark.parametrize("name", ["score", "twin", "shared twin"])
def test_a_walk_that_feeds_back(name):
    estimator, keys = UNBIASED[name]
    loss = pop.ExpectedLoss(pop.Simulation(Walk(p=3.0), 12), lambda seen: seen["total"] ** 2)
    found = pop.differentiate(loss, estimator, jr.key(9), keys=keys)
    agrees(found, slopes(lambda at: walk(float(at["p"]), 12), {"p": 3.0}), power=0.2)


def test_reward_to_go_spares_the_past():
    """A loss by rows and its sum have one gradient; the rows' has less spread."""
    simulation = pop.Simulation(Outbreak(5, beta=0.8, gamma=0.3, noise=0.5), 6)
    rows = pop.ExpectedLoss(simulation, lambda seen: seen["ill"])
    whole = pop.ExpectedLoss(simulation, lambda seen: seen["ill"].sum())
    by_rows, at_once = (pop.differentiate(loss, pop.Score(), jr.key(3), keys=8_000) for loss in (rows, whole))
    assert by_rows.error["gamma"] < 0.8 * at_once.error["gamma"]
    gap = abs(by_rows.gradient["gamma"] - at_once.gradient["gamma"])
    assert gap < Z * at_once.error["gamma"]


def test_a_learned_baseline_has_less_spread():
    simulation = pop.Simulation(Outbreak(5, beta=0.8, gamma=0.3, noise=0.5), 6)
    loss = pop.ExpectedLoss(simulation, lambda seen: seen["ill"])
    plain, learned = (
        pop.differentiate(loss, pop.Score(baseline, group=64), jr.key(3), keys=8_000)
        for baseline in (pop.LeaveOneOut(), pop.Learned())
    )
    assert learned.error["gamma"] < 0.9 * plain.error["gamma"]


def test_reverse_and_forward_mode_are_one_derivative():
    loss = pop.ExpectedLoss(pop.Simulation(Outbreak(5, beta=0.8, gamma=0.3, noise=0.5), 6), lambda seen: seen["ill"])
    back, along = (pop.differentiate(loss, one, jr.key(1), keys=16) for one in (pop.Pathwise(), pop.ForwardMode()))
    for name in back.gradient:
        np.testing.assert_allclose(back.samples[name], along.samples[name], rtol=1e-4, atol=1e-4)


def test_without_relaxations_only_continuous_draws_have_a_derivative():
    loss = pop.ExpectedLoss(
        pop.Simulation(Outbreak(5, beta=0.8, gamma=0.3, noise=0.5), 3), lambda seen: seen["level"] ** 2 + seen["ill"]
    )
    found = pop.differentiate(loss, pop.Pathwise(()), jr.key(1), keys=4_000)
    assert found.gradient["beta"] == 0.0 and found.gradient["gamma"] == 0.0
    assert abs(found.gradient["noise"] - 2 * 0.5 * (1 + 2 + 3)) < Z * found.error["noise"]


def test_one_key_one_set_of_runs():
    """Estimators and points that are given one key meet the same runs, however they are grouped."""
    loss = pop.ExpectedLoss(pop.Simulation(Outbreak(5, beta=0.8, gamma=0.3, noise=0.5), 3), lambda seen: seen["ill"])
    one = pop.differentiate(loss, pop.Pathwise(), jr.key(5), keys=48)
    other = pop.differentiate(loss, pop.Score(), jr.key(5), keys=48)
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.values, pop.differentiate(loss, pop.Pathwise(), jr.key(5), keys=48).values)


def test_an_interval_at_the_end_of_a_domain():
    """Differences are drawn in to the domain: a probability of 1 is never left."""
    at = {"gamma": 1.0}
    model = Outbreak(5, beta=0.8, gamma=1.0, noise=0.5)
    loss = pop.ExpectedLoss(pop.Simulation(model, 2), lambda seen: seen["ill"] ** 2 + seen["level"] ** 2)
    found = pop.differentiate(loss, pop.Differences(step=0.1), jr.key(5), at=at, keys=8_000)
    low, high = (outbreak(0.8, gamma, 0.5, 5, 2) for gamma in (0.9, 1.0))
    assert abs(found.gradient["gamma"] - (high - low) / 0.1) < Z * found.error["gamma"]
    assert found.error["gamma"] < 0.1 * abs(found.gradient["gamma"])


def test_errors_say_the_mend():
    loss = pop.ExpectedLoss(pop.Simulation(Outbreak(5, beta=0.8, gamma=0.3, noise=0.5), 3), lambda seen: seen["ill"])
    with pytest.raises(pop.GradientError, match="16 keys or more"):
        pop.differentiate(loss, pop.Score(), jr.key(0), keys=8)
    with pytest.raises(pop.UnknownParameterError, match="did you mean 'beta'"):
        pop.differentiate(loss, pop.Pathwise(), jr.key(0), at={"bta": 1.0})
    table = pop.ExpectedLoss(loss.simulation, lambda seen: seen["ill"][:, None, None] * jnp.ones((3, 2)))
    with pytest.raises(pop.GradientError, match="one for each row"):
        pop.differentiate(table, pop.Pathwise(), jr.key(0), keys=4)
    undefined = pop.ExpectedLoss(loss.simulation, lambda seen: jnp.log(seen["ill"] - 10.0))
    with pytest.raises(pop.GradientError, match="NaN"):
        pop.differentiate(undefined, pop.Pathwise(), jr.key(0), keys=4)
