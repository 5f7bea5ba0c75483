"""Designs: even, keyed, extended, constrained, with replicates."""

import warnings

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.surrogates.samplers import Sampler

SAMPLERS = {
    "sobol": pop.Sobol(),
    "latin": pop.LatinHypercube(),
    "random": pop.RandomPoints(),
    "replicated": pop.Replicated(pop.Sobol(), share=0.25),
    "twice": pop.Replicated(pop.RandomPoints(), share=0.5),
}
SPACE = pop.Space(a=dist.LogUniform(0.01, 1.0), b=dist.Normal(0.0, 2.0), c=dist.Uniform(-1.0, 1.0).expand([2]))


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_points_lie_in_the_open_cube_and_hang_on_the_key(sampler: Sampler):
    points = sampler.sequence(jr.key(0), 3, 0, 100)
    assert points.shape == (100, 3) and points.dtype == np.float64
    assert ((points > 0) & (points < 1)).all()
    assert np.array_equal(points, sampler.sequence(jr.key(0), 3, 0, 100))
    assert not np.array_equal(points, sampler.sequence(jr.key(1), 3, 0, 100))


@pytest.mark.parametrize("name", ["sobol", "random", "replicated", "twice"])
@pytest.mark.parametrize("pieces", [(100, 28), (1, 127), (64, 64), (77, 1, 50)])
def test_an_extended_design_is_the_longer_design(name: str, pieces: tuple[int, ...]):
    extended = pop.design(SPACE, jr.key(2), pieces[0], sampler=SAMPLERS[name])
    for piece in pieces[1:]:
        extended = extended.extended(piece)
    whole = pop.design(SPACE, jr.key(2), sum(pieces), sampler=SAMPLERS[name])
    assert np.array_equal(extended.unit, whole.unit)
    assert extended.taken == whole.taken


def test_a_latin_hypercube_has_one_point_a_slice_and_so_has_its_extension():
    one = pop.design(SPACE, jr.key(3), 50, sampler=pop.LatinHypercube())
    two = one.extended(30)
    for block, size in ((two.unit[:50], 50), (two.unit[50:], 30)):
        assert np.array_equal(np.sort(np.floor(block * size), axis=0), np.repeat(np.arange(size)[:, None], 4, 1))
    assert np.array_equal(two.unit[:50], one.unit)


def test_a_sobol_design_is_more_even_than_chance():
    """Each of 16 slices of each number holds exactly a sixteenth of 256 points."""
    points = pop.design(SPACE, jr.key(4), 256).unit
    counts = np.stack([np.histogram(column, bins=16, range=(0, 1))[0] for column in points.T])
    assert (counts == 16).all()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_the_share_that_is_asked_for_is_repeated(share: float):
    points = pop.design(SPACE, jr.key(5), 400, sampler=pop.Replicated(pop.Sobol(), share=share)).unit
    assert np.unique(points, axis=0).shape[0] == pytest.approx(400 * (1 - share), abs=1)


def test_with_a_half_repeated_points_stand_in_pairs():
    points = pop.Replicated(pop.RandomPoints(), share=0.5).sequence(jr.key(0), 2, 0, 10)
    assert np.array_equal(points[::2], points[1::2]) and np.unique(points, axis=0).shape[0] == 5


def test_parameters_follow_the_prior():
    made = pop.design(SPACE, jr.key(6), 1024)
    assert np.allclose(np.asarray(SPACE.cdf(made.parameters)), made.unit, atol=2e-5)
    assert np.log10(np.asarray(made.parameters["a"])).mean() == pytest.approx(-1.0, abs=1e-3)


def triangle(batch: dict) -> np.ndarray:
    return np.asarray(batch["x"]) + np.asarray(batch["y"]) < 1.0


PLANE = pop.Space(x=dist.Uniform(0.0, 1.0), y=dist.Uniform(0.0, 1.0))


def test_a_constraint_turns_points_away_and_others_are_drawn():
    made = pop.design(PLANE, jr.key(7), 300, allowed=triangle)
    assert made.size == 300 and (made.unit.sum(1) < 1).all()
    free = pop.Sobol().sequence(jr.key(7), 2, 0, made.taken)
    assert np.array_equal(made.unit, free[free.sum(1) < 1])
    longer = made.extended(100)
    assert np.array_equal(longer.unit, pop.design(PLANE, jr.key(7), 400, allowed=triangle).unit)
    assert "turned" in longer.sections()[0].text[1]


def test_a_constraint_that_leaves_nothing_says_so():
    with pytest.raises(pop.SpaceError, match="narrow the priors"):
        pop.design(PLANE, jr.key(8), 5, allowed=lambda batch: np.asarray(batch["x"]) > 2.0)
    with pytest.raises(pop.SpaceError, match="truth values"):
        pop.design(PLANE, jr.key(8), 5, allowed=lambda batch: np.asarray(batch["x"]))


def test_points_chosen_elsewhere_are_added():
    made = pop.design(PLANE, jr.key(9), 10).with_points({"x": jnp.array([0.25]), "y": jnp.array([0.5])})
    assert made.size == 11 and made.added == 1
    assert np.allclose(made.unit[-1], [0.25, 0.5])
    assert made.extended(2).size == 13
    with pytest.raises(pop.SpaceError, match="outside the support"):
        made.with_points({"x": jnp.array([1.5]), "y": jnp.array([0.5])})


@pytest.mark.parametrize("count", [1, 2, 3, 100, 1000])
def test_no_count_makes_a_warning(count: int):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pop.design(PLANE, jr.key(10), count).size == count


def test_misuse_is_refused():
    with pytest.raises(pop.SpaceError, match="ask for one"):
        pop.design(PLANE, jr.key(0), 0)
    with pytest.raises(pop.SpaceError, match="every one of them"):
        pop.Replicated(pop.Sobol(), share=0.7)
    dependent = pop.Space(z=dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)))
    with pytest.raises(pop.SpaceError, match="depend on each other"):
        _ = pop.design(dependent, jr.key(0), 4).parameters
