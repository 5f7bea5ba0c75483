"""What a model can do: cells, the search for new ones beside an even design, whether it is all, where the data lie."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import chi2

import populace as pop
from populace.identification.cells import Cells, cells_over, growth, hits, unseen
from populace.identification.novelty import medians
from populace.reporting.figures import draw

SQUARE = pop.Space(a=dist.Uniform(0.0, 1.0), b=dist.Uniform(0.0, 1.0))


def disc(parameters, key, noise=0.0):
    """The unit disc, its middle far more often than its rim: radius a^4, angle 2 pi b. `c` goes from 0 to 1."""
    x, y = parameters["a"] ** 4, 2.0 * jnp.pi * parameters["b"]
    e = noise * jr.normal(key, (2,))
    return {"x": x * jnp.cos(y) + e[0], "y": x * jnp.sin(y) + e[1], "c": parameters["b"]}


def noisy(parameters, key):
    """A run strays by .02."""
    return disc(parameters, key, 0.02)


def sixteen(parameters, key):
    """Four by four outcomes, and no more."""
    del key
    return {"x": jnp.floor(4.0 * parameters["a"]), "y": jnp.floor(4.0 * parameters["b"]), "c": jnp.float32(0.5)}


def broken(parameters, key):
    """Nothing comes of b above a half."""
    seen = disc(parameters, key)
    return {**seen, "x": jnp.where(parameters["b"] > 0.5, jnp.nan, seen["x"])}


def problem(simulator, x=0.2, y=0.2, c=0.5):
    target = pop.Target({"x": x, "y": y, "c": c}, [pop.final("x"), pop.final("y")], [pop.final("c")])
    return pop.Problem(pop.Traceable(simulator), SQUARE, target)


def asked(of, budget=2_000, replicates=1, **more):
    return pop.pattern_space(of, jr.key(0), budget=budget, replicates=replicates, progress=False, **more)


@pytest.fixture(scope="module")
def off():
    """Data beside the disc, of which every single moment but `c` is within range."""
    return problem(disc, x=0.9, y=0.9, c=2.0)


@pytest.fixture(scope="module")
def found(off):
    return asked(off)


# Cells


def test_cells_cover_the_middle_of_the_first_points_and_go_on():
    points = np.stack([np.arange(1001.0), -np.arange(1001.0)], axis=1)
    grid = cells_over(points, ["x", "y"], 10, np.zeros(2))
    np.testing.assert_allclose(grid.low, [25.0, -975.0])
    np.testing.assert_allclose(grid.width, 95.0)
    assert grid.of(np.array([[24.0, -975.0], [974.9, 1e30]])).tolist() == [[-1, 0], [9, 2**40]]
    np.testing.assert_allclose(grid.centres(np.array([[0, 0]])), [[72.5, -927.5]])
    assert cells_over(points, ["x", "y"], 10, np.array([200.0, 0.0])).width.tolist() == [200.0, 95.0]


def test_hits_and_growth():
    cells = np.array([[0, 0], [0, 1], [0, 0], [2, 2], [0, 1]])
    distinct, member, count = hits(cells)
    assert distinct.tolist() == [[0, 0], [0, 1], [2, 2]]
    assert member.tolist() == [0, 1, 0, 2, 1] and count.tolist() == [2, 2, 1]
    assert growth(cells).tolist() == [1, 2, 2, 3, 3]


def test_the_unseen_are_estimated_by_those_hit_once_and_twice():
    """f1 = 3, f2 = 2: 3 x 2 / (2 x 3) = 1, with variance 1 + 75/36 + 9 x 2 x 4/(4 x 81)."""
    one = unseen(np.array([1, 1, 1, 2, 2, 7]))
    assert one.count == pytest.approx(1.0)
    assert one.error == pytest.approx(np.sqrt(1.0 + 75.0 / 36.0 + 72.0 / 324.0))
    assert unseen(np.array([3, 4])).count == 0.0


def test_the_estimate_is_right_for_even_chances_and_so_is_its_error():
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(300):
        count = np.bincount(rng.integers(0, 100, 150), minlength=100)
        found = unseen(count[count > 0])
        rows.append((found.count - (count == 0).sum(), found.error))
    gap, error = np.array(rows).T
    assert gap.mean() == pytest.approx(0.0, abs=4 * gap.std() / np.sqrt(300) + 0.5)  # even chances leave no bias
    assert error.mean() == pytest.approx(gap.std(), rel=0.3)


def test_the_pattern_of_replicates_is_their_median_where_half_count():
    runs = np.array([[1.0, 5.0, 2.0], [np.nan, 4.0, 6.0], [np.nan, np.nan, 3.0]])[:, :, None]
    np.testing.assert_array_equal(medians(runs)[:, 0], [2.0, 5.0, np.nan])


# The search


def test_every_cell_found_is_attainable_and_the_rim_is_found_by_the_search(found):
    """A cell meets the disc where its point nearest to the middle is inside."""
    low = found.grid.low + found.cells * found.grid.width
    nearest = np.clip(0.0, low, low + found.grid.width)
    assert ((nearest**2).sum(1) < 1.0 + 1e-5).all()
    assert found.by_search > 1.2 * found.by_design
    # What an example led to lies in its cell.
    radius, angle = found.examples["a"] ** 4, 2.0 * np.pi * found.examples["b"]
    again = found.grid.of(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))
    assert (np.abs(again - found.cells).max(1) == 0).mean() > 0.99  # float32 at the edges of cells


def test_budgets_are_equal_and_spent(found):
    curves = found.growth
    assert len(curves["search"]) == len(curves["Sobol points"])
    assert 1_900 < found.calls <= 2_000
    assert curves["search"][-1] == found.by_search and curves["Sobol points"][-1] == found.by_design
    assert found.by_search + found.by_design - found.by_both == len(found.cells)
    assert found.hits.sum() == 2_000 - found.confirmed.cells - (2_000 - found.calls)


def test_a_model_without_chance_repeats_itself(found):
    assert found.confirmed.same == found.confirmed.cells > 100
    assert found.saturation().code is pop.Code.MORE_TO_SEE


def test_where_the_data_lie(found):
    """The data at (.9, .9) are off the disc, c = 2 beyond its range; x and y alone are within theirs."""
    assert found.place().code is pop.Code.OUT_OF_REACH
    gap = (0.9 - np.sqrt(0.5)) / found.grid.width
    assert found.data.away >= np.floor(gap.min())
    assert [one.label for one in found.out_of_reach()] == ["final(c)"]
    assert found.moments[2].high == pytest.approx(1.0, abs=0.01)
    assert found.reach.verdict().code is pop.Code.OUT_OF_REACH


def test_it_reads_as_a_page(found, tmp_path):
    pop.write(found, tmp_path / "patterns.html")
    pop.write(found, tmp_path / "patterns.json")
    draw(found.sections()[0].figures[0]).savefig(tmp_path / "patterns.png")
    assert "times as many" in found.sections()[0].text[0]


def test_all_is_seen_where_there_is_little():
    found = asked(problem(sixteen, x=2.0, y=1.0), cells=4)
    assert found.by_search == found.by_design == 16 and found.unseen.count == 0.0
    assert found.saturation().code is pop.Code.ABOUT_ALL_SEEN and found.late == 0.0
    assert found.place().code is pop.Code.WITHIN_REACH and found.data.away == 0


def test_medians_stand_up_to_other_keys():
    beyond = problem(noisy, x=1.01, y=0.0)  # the disc ends at 1, and a run strays by .02
    found = asked(beyond, budget=3_000, replicates=5, cells=10)
    assert found.confirmed.touched == found.confirmed.cells
    assert found.confirmed.same > 0.6 * found.confirmed.cells
    np.testing.assert_allclose(found.scatter * found.grid.width, 0.02, rtol=0.1)
    assert found.place().code is pop.Code.WITHIN_REACH and found.moments[0].reached
    edge = asked(beyond, budget=1_200, replicates=5, cells=100)
    # Three standard errors of the median of five, at the upper quartile of sample deviations (chi-squared, 4 freedoms),
    # which 24 of them know to 8 %.
    loud = 0.02 * np.sqrt(chi2.ppf(0.75, 4) / 4.0)
    np.testing.assert_allclose(edge.grid.width, 3.0 * 1.2533 * loud / np.sqrt(5.0), rtol=0.32)
    assert edge.confirmed.touched > 0.95 * edge.confirmed.cells


def test_what_fails_is_counted_and_left_out():
    found = asked(problem(broken), budget=600)
    assert found.failed > 100 and "NaN" in found.why
    assert (found.examples["b"] <= 0.5).all()


class Killed(BaseException):
    """What no simulator catches."""


def test_a_killed_search_goes_on_where_it_stopped(off, tmp_path):
    calls, stop = [0], [10**9]

    def simulator(parameters, key):
        calls[0] += 1
        if calls[0] > stop[0]:
            raise Killed
        return {"x": parameters["a"], "y": parameters["a"] * parameters["b"], "c": 0.5}

    of = pop.Problem(simulator, off.space, off.target)
    whole = asked(of, 400, cells=5, folder=tmp_path / "whole").record()
    calls[0], stop[0] = 0, 200
    with pytest.raises(Killed):
        asked(of, 400, cells=5, folder=tmp_path / "killed")
    calls[0], stop[0] = 0, 10**9
    assert asked(of, 400, cells=5, folder=tmp_path / "killed").record() == whole
    assert calls[0] < 250


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"axes": ("final(x)", "final(q)")}, "no moment 'final\\(q\\)'"),
        ({"axes": ("final(x)",)}, "two different axes"),
        ({"axes": ("final(x)", "final(x)")}, "two different axes"),
        ({"cells": 1}, "2 cells"),
        ({"budget": 50}, "too few: give"),
    ],
)
def test_bad_input_is_refused(off, changed, match):
    with pytest.raises(pop.MethodError, match=match):
        asked(off, **changed)


def test_a_budget_that_is_named_suffices(off):
    with pytest.raises(pop.MethodError, match="give") as said:
        asked(off, budget=50)
    enough = int(str(said.value).split("give ")[1].split()[0])
    assert asked(off, budget=enough, cells=5).calls <= enough


def test_a_moment_that_never_changes_makes_no_axis():
    with pytest.raises(pop.MethodError, match="'final\\(c\\)' is the same"):
        asked(problem(sixteen), budget=600, axes=("final(x)", "final(c)"))


def test_a_grid_without_a_point_in_common_holds_far_ones_apart():
    grid = Cells(np.zeros(2), np.ones(2))
    assert grid.of(np.array([[-np.inf, np.inf]])).tolist() == [[-(2**40), 2**40]]
