"""The region of acceptable parameters, where it is known in closed form."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

import populace as pop
from populace.calibration.acceptable_region import checked
from populace.calibration.accepted import walked

NOISE, TOLERANCE = 0.1, 1.0
SMALL = pop.MarginEnsemble(members=3, steps=300, decays=(0.5,))


def ring(parameters, key):
    """The distance to the origin, seen with noise; a run beyond b = 1.8 fails. `c` does nothing."""
    r = jnp.sqrt(parameters["a"] ** 2 + parameters["b"] ** 2)
    return {"r": jnp.where(parameters["b"] > 1.8, jnp.nan, r + NOISE * jr.normal(key))}


def problem(at=1.0, box=2.0):
    space = pop.Space(a=dist.Uniform(-box, box), b=dist.Uniform(-box, box), c=dist.Uniform(0.0, 1.0))
    target = pop.Target({"r": at}, [pop.final("r")]).with_covariance(np.array([[0.2**2]]), "given")
    return pop.Problem(pop.Traceable(ring), space, target)


def truth(a, b, at=1.0):
    """P(|r + noise - at| <= 0.2), 0 where runs fail."""
    r = np.hypot(a, b)
    inside = norm.cdf((at + 0.2 - r) / NOISE) - norm.cdf((at - 0.2 - r) / NOISE)
    return np.where(b > 1.8, 0.0, inside)


@pytest.fixture(scope="module")
def fit():
    method = pop.AcceptableRegion(TOLERANCE, classifier=SMALL, first=60)
    return pop.calibrate(problem(), method, jr.key(1), budget=600, predictive=1_000)


def test_the_region_is_the_ring(fit):
    region = fit.estimate
    grid = np.linspace(-1.98, 1.98, 100)
    a, b = (axis.ravel() for axis in np.meshgrid(grid, grid))
    points = {"a": a, "b": b, "c": np.full(a.size, 0.5)}
    points = {name: jnp.asarray(value, jnp.float32) for name, value in points.items()}
    exact, said = truth(a, b), region.probability(fit.problem, points)
    assert abs(region.share - exact.mean()) < 0.04
    assert np.abs(said - exact).mean() < 0.06
    labels = np.random.default_rng(0).random(a.size) < exact
    called = region.acceptable(fit.problem, points)
    f1 = 2.0 * (called & labels).sum() / (called.sum() + labels.sum())
    assert f1 > 0.9 * 2.0 * (labels & (exact > 0.4)).sum() / ((exact > 0.4).sum() + labels.sum())
    outside = {name: value + 10.0 for name, value in points.items()}
    assert not region.probability(fit.problem, outside).any()


def test_its_draws_are_the_prior_within_the_tolerance(fit):
    a, b, c = (np.asarray(fit.draws[name]) for name in "abc")
    grid = np.linspace(-2.0, 2.0, 400)
    whole = truth(*np.meshgrid(grid, grid))
    best = (
        whole**2
    ).sum() / whole.sum()  # the mean of a probability over draws in proportion to it: .72, and .16 of all
    said = fit.estimate.probability(fit.problem, fit.draws).mean()
    assert truth(a, b).mean() > 0.75 * best and abs(said - truth(a, b).mean()) < 0.1
    assert abs(c.mean() - 0.5) < 0.06 and abs(c.std() - np.sqrt(1 / 12)) < 0.04
    angle = np.arctan2(b, a)
    assert min(np.histogram(angle, 8, (-np.pi, np.pi))[0]) > 50  # all of the ring, not the part first found


def test_it_spends_its_runs_where_they_teach(fit):
    region = fit.estimate
    assert region.ratios.size == fit.calls == 600
    assert (region.ratios <= 1.0).mean() > 1.5 * region.share
    assert (
        region.probability(fit.problem, fit.problem.space.from_real(jnp.asarray(region.centre(fit.problem)[None])))[0]
        > 0.6
    )
    said = " ".join(region.notes())
    assert "of the prior is acceptable" in said and "confirmed by simulation" in said and "inside the design" in said
    assert fit.done.code is pop.Code.CONVERGED


def test_a_region_that_was_said_wrongly_is_refuted():
    said = np.full(100, 0.9)
    assert checked(np.stack([said, np.arange(100) < 91])).code is pop.Code.CONFIRMED
    wrong = checked(np.stack([said, np.arange(100) < 50]))
    assert wrong.code is pop.Code.REFUTED and "the region was too large" in wrong.sentence
    assert "too small" in checked(np.stack([np.full(100, 0.1), np.arange(100) < 50])).sentence


def test_a_round_of_which_every_run_fails_costs_its_runs_only():
    def seen(parameters, key):
        return {"x": jnp.where(parameters["a"] > 0.05, jnp.nan, parameters["a"])}

    target = pop.Target({"x": 0.0}, [pop.final("x")]).with_covariance(np.array([[0.01**2]]), "given")
    task = pop.Problem(pop.Traceable(seen), pop.Space(a=dist.Uniform(0.0, 1.0)), target)
    method = pop.AcceptableRegion(
        TOLERANCE, classifier=SMALL, acquisition=pop.Passive(), first=40, batch=2, growth=0.0, check=0
    )
    fit = pop.calibrate(task, method, jr.key(6), budget=60, predictive=50)
    assert np.isnan(fit.estimate.ratios[40:]).reshape(10, 2).all(1).any() and fit.estimate.ratios.size == 60
    none = pop.Problem(pop.Traceable(lambda p, key: {"x": p["a"] * jnp.nan}), task.space, target)
    with pytest.raises(pop.SimulatorError, match="none of 40 runs can be used"):
        pop.calibrate(none, method, jr.key(6), budget=60)


def test_data_out_of_reach_are_told():
    method = pop.AcceptableRegion(TOLERANCE, classifier=SMALL, first=40, check=0)
    fit = pop.calibrate(problem(at=9.0), method, jr.key(2), budget=120, predictive=20)
    assert "No run is acceptable: the nearest lies" in fit.estimate.notes()[-1]
    assert fit.estimate.share < 0.01


def test_a_bandit_shares_the_rounds_and_says_so():
    """Of these two only the one that looks for the edge finds acceptable runs that were not expected."""
    bandit = pop.Bandit((pop.Entropy(), pop.Passive()))
    method = pop.AcceptableRegion(
        TOLERANCE,
        classifier=pop.MarginEnsemble(members=2, width=32, depth=2, steps=200, decays=(0.5,)),
        acquisition=bandit,
        first=40,
        batch=40,
        growth=0.0,
        check=0,
    )
    fit = pop.calibrate(problem(), method, jr.key(7), budget=200, predictive=20)
    said = next(note for note in fit.estimate.notes() if note.startswith("Runs by acquisition"))
    counts = {words.split()[0]: int(words.split()[1]) for words in said.split(": ")[1].split(", ")}
    assert sum(counts.values()) == 160 and counts["Entropy"] > counts["Passive"] > 0
    wrong = pop.AcceptableRegion(TOLERANCE, acquisition=pop.Bandit((pop.Entropy(), pop.Thompson())))
    with pytest.raises(pop.MethodError, match="Thompson does not choose where to run for a region"):
        pop.calibrate(problem(), wrong, jr.key(0), budget=600)


def test_a_walk_fills_a_region_that_the_prior_hardly_meets():
    """One part in 40,000 of the cube: its draws come from one run in it, and are even."""

    class Corner(pop.FittedClassifier):
        def probabilities(self, inputs):
            return (np.abs(inputs - 0.3) < 0.0146).all(1).astype(float)[None]

    rng = np.random.default_rng(3)
    draws = walked(Corner(), np.full((4, 3), 0.3) + 0.001 * rng.random((4, 3)), np.full(4, 0.5), rng, 2_000)
    assert (np.abs(draws - 0.3) < 0.0146).all()
    assert np.abs(draws.mean(0) - 0.3).max() < 0.002
    assert draws.std(0) == pytest.approx(0.0146 / np.sqrt(3.0), rel=0.15)


def test_where_nothing_is_acceptable_a_walk_stays_in_the_cube():
    class Nowhere(pop.FittedClassifier):
        def probabilities(self, inputs):
            return np.zeros((2, len(inputs)))

    draws = walked(Nowhere(), np.full((4, 3), 0.3), np.full(4, 2.0), np.random.default_rng(0), 500)
    assert draws.shape == (500, 3) and ((draws > 0.0) & (draws < 1.0)).all()


def test_distances_between_samples_need_no_covariance():
    seen = lambda parameters, key: {"x": parameters["m"] + jr.normal(key, (40,))}  # noqa: E731
    data = 0.5 + np.random.default_rng(4).standard_normal(60)
    target = pop.Target({"x": data[:40]}, [pop.level("x")])
    task = pop.Problem(pop.Traceable(seen), pop.Space(m=dist.Uniform(-3.0, 3.0)), target)
    method = pop.AcceptableRegion(
        pop.kolmogorov_smirnov_critical(40, 40),
        pop.BetweenSamples(pop.kolmogorov_smirnov, ("level(x)",)),
        classifier=SMALL,
        first=40,
    )
    fit = pop.calibrate(task, method, jr.key(5), budget=150, predictive=200)
    assert fit.calls == 150 and fit.problem.target.covariance is None
    low, middle, high = fit.interval("m")
    assert abs(middle - data[:40].mean()) < 0.3 and high - low < 1.8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tolerance": 0.0}, "above 0"),
        ({"first": 5}, "first=20 runs or more"),
        ({"check": 5}, "check nothing"),
        ({"first": 700}, "give 760 or more"),
    ],
)
def test_what_cannot_work_is_refused(change, said):
    method = pop.AcceptableRegion(**{"tolerance": TOLERANCE, "check": 60, **change})
    with pytest.raises(pop.MethodError, match=said):
        pop.calibrate(problem(), method, jr.key(0), budget=600)
