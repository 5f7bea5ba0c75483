"""Schelling's segregation: the facts that its docstring lists."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

import populace as pop
from populace.core.simulate import begin
from populace.interact.grid import Grid
from populace.interact.neighbourhood import Hexagonal, Moore, VonNeumann
from populace.testing.models import check_model
from populace.zoo.beta_law import beta_quantile
from populace.zoo.schelling import FewerThan, Schelling

TOWN = Grid(30, 30)
ERRORS = 4.0


def ends(model: Schelling, runs: int = 12, steps: int = 60) -> np.ndarray:
    """The share of like neighbours at the end of each run."""
    seen = pop.ensemble(model, jr.key(1), steps, runs=runs, record=pop.Last()).observations
    return np.asarray(seen["alike"][0, :, 0])


def test_it_keeps_the_laws_of_models():
    check_model(Schelling(Grid(8, 9), spread=0.2), jr.key(0))


def test_mild_wishes_segregate():
    """Half of the neighbours are alike at the start, two thirds and more at the end, where a third would do."""
    start = pop.ensemble(Schelling(TOWN, tolerance=0.0), jr.key(1), 1, runs=12).observations["alike"][0, :, 0]
    assert abs(float(start.mean()) - 0.5) < ERRORS * float(start.std(ddof=1)) / np.sqrt(12) + 1 / 720
    found = ends(Schelling(TOWN, tolerance=0.334))
    assert found.min() > 2 / 3
    wished = ends(Schelling(TOWN, tolerance=0.5))
    assert wished.mean() - found.mean() > ERRORS * np.sqrt((found.var(ddof=1) + wished.var(ddof=1)) / 12)


def test_once_all_are_content_nobody_moves():
    run = pop.simulate(Schelling(TOWN, tolerance=0.4), jr.key(2), 80)
    moved, people = np.asarray(run.observations["moved"]), run.final.state
    assert moved[0] > 50 and moved[-1] == 0
    still = np.argmax(moved == 0)
    assert (moved[still:] == 0).all()
    seen, present = people.seen, np.asarray(people.present) > 0
    content = np.asarray(seen.alike >= 0.4 * seen.all - 1e-3)
    assert content[present].all()


def test_one_person_a_cell_and_nobody_is_lost():
    run = pop.simulate(Schelling(TOWN, density=0.95, tolerance=0.6, minority=0.25), jr.key(3), 20)
    people = run.final.state
    assert sorted(np.asarray(people.seats.cell).tolist()) == list(range(900))
    assert (float(people.present.sum()), float((people.present * people.kind).sum())) == (855.0, 214.0)
    assert np.asarray(run.observations["moved"]).max() <= 45


def test_what_people_see_is_what_surrounds_them():
    people = pop.simulate(Schelling(Grid(7, 6, Moore(2)), density=0.7), jr.key(4), 3).final.state
    grid, kinds = Grid(7, 6, Moore(2)), np.full(42, -1)
    kinds[np.asarray(people.seats.cell)] = np.where(people.present > 0, people.kind, -1)
    near = np.asarray(grid.sum(jnp.eye(42))) > 0
    for slot in np.flatnonzero(people.present):
        around = kinds[near[int(people.seats.cell[slot])]]
        assert float(people.seen.all[slot]) == (around >= 0).sum()
        assert float(people.seen.alike[slot]) == (around == int(people.kind[slot])).sum()


def test_a_common_tolerance_is_felt_at_a_few_values_only():
    """No fraction of up to eight neighbours lies between 1/3 and 3/8: the runs are the same ones."""

    def moves(tolerance: float, spread: float = 0.0) -> np.ndarray:
        model = pop.bind(Schelling(TOWN), {"tolerance": tolerance, "spread": spread})
        return np.asarray(pop.simulate(model, jr.key(5), 30).observations["alike"])

    np.testing.assert_array_equal(moves(0.335), moves(0.374))
    assert (moves(0.374) != moves(0.376)).any()
    assert (moves(0.335, 0.05) != moves(0.374, 0.05)).any()


def test_who_counts_neighbours_instead_of_shares():
    run = pop.simulate(Schelling(TOWN), jr.key(6), 60, plugs=(pop.Replace("leave", FewerThan(3.0)),))
    people = run.final.state
    assert float(run.observations["moved"][-1]) == 0
    assert float(jnp.where(people.present > 0, people.seen.alike, 9.0).min()) == 3.0


@pytest.mark.parametrize(("mean", "spread"), [(0.35, 0.05), (0.5, 1 / 3), (0.3, 0.001), (0.2, 0.3), (0.9, 0.1)])
def test_quantiles_of_a_beta_law(mean: float, spread: float):
    share = np.linspace(0.001, 0.999, 500)
    weight = (1 - spread) / spread
    wanted = stats.beta.ppf(share, mean * weight, (1 - mean) * weight)
    found = beta_quantile(jnp.asarray(share, jnp.float32), jnp.float32(mean), jnp.float32(spread))
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_tolerances_without_spread_are_common_and_derivatives_are_those_of_the_quantile():
    share = jnp.array([0.1, 0.5, 0.9])
    assert (beta_quantile(share, jnp.float32(0.3), jnp.float32(0.0)) == jnp.float32(0.3)).all()

    def quantile(mean: float, spread: float) -> np.ndarray:
        weight = (1 - spread) / spread
        return stats.beta.ppf(np.asarray(share), mean * weight, (1 - mean) * weight)

    at = jnp.float32(0.4), jnp.float32(0.1)
    for argument, step in ((0, np.array([1e-4, 0])), (1, np.array([0, 1e-4]))):
        found = jax.jacfwd(lambda m, s: beta_quantile(share, m, s), argnums=argument)(*at)
        wanted = (quantile(0.4 + step[0], 0.1 + step[1]) - quantile(0.4 - step[0], 0.1 - step[1])) / 2e-4
        np.testing.assert_allclose(found, wanted, rtol=0.03, atol=0.01)
    common = jax.grad(lambda m, s: beta_quantile(share, m, s).sum(), argnums=(0, 1))(jnp.float32(0.3), jnp.float32(0.0))
    np.testing.assert_allclose(common, [3.0, 0.0])


@pytest.mark.parametrize("town", [Grid(6, 7), Grid(8, 6, Hexagonal(), periodic=True), Grid(9, 8, VonNeumann(2))])
def test_in_turn_people_see_who_has_moved_before_them(town: Grid):
    """With one empty cell nobody has a choice, and a plain loop says where everybody goes."""
    model = Schelling(town, density=1 - 1 / town.size, tolerance=0.5, activation=pop.InOrder())
    run = pop.simulate(model, jr.key(8), 3)
    start, end = begin(model, jr.key(8)).state, run.final.state
    matrix = np.stack([np.asarray(town.sum(row)) for row in jnp.eye(town.size)])
    cell, kind, present = (np.array(x) for x in (start.seats.cell, start.kind, start.present))
    moves = []
    for _ in range(3):
        moves.append(0)
        for slot in np.flatnonzero(present):
            near = [other for other in np.flatnonzero(present) if matrix[cell[slot], cell[other]]]
            alike = sum(kind[other] == kind[slot] for other in near)
            if alike < 0.5 * len(near) - 1e-3:
                hole = int(np.flatnonzero(present == 0)[0])
                cell[slot], cell[hole] = cell[hole], cell[slot]
                moves[-1] += 1
    assert np.asarray(run.observations["moved"]).tolist() == [float(count) for count in moves] and moves[0] > 5
    assert (np.asarray(end.seats.cell) == cell).all()


def test_groups_of_people_move_at_once_and_in_turn_they_segregate_too():
    for activation in (pop.RandomBlocks(3), pop.RandomSequential()):
        run = pop.simulate(Schelling(Grid(20, 20), activation=activation), jr.key(9), 30)
        assert sorted(np.asarray(run.final.state.seats.cell).tolist()) == list(range(400))
        assert float(run.observations["alike"][-1]) > 0.65 and float(run.observations["moved"][-1]) == 0
