"""Birth, death and migration on a lattice: against counting, the mean field, and one event at a time."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.testing.models import check_model
from populace.zoo.birth_death_migration import BirthDeathMigration, turns_for
from populace.zoo.sublattices import STAR, Sublattices

SMALL, TURNS = Sublattices(12, 12), 84  # the same of all, so that one program serves them


def test_the_laws_of_a_model():
    check_model(BirthDeathMigration(SMALL, 20, birth=0.2, death=0.1), jr.key(0))


def test_a_lattice_is_cut_and_put_together():
    cells = jnp.arange(9 * 12.0).reshape(9, 12)
    lattice = Sublattices(9, 12)
    np.testing.assert_array_equal(lattice.join(lattice.split(cells)), cells)
    with pytest.raises(pop.ModelError, match="stride"):
        Sublattices(10, 12)


@pytest.mark.parametrize("stride", [3, 4])
def test_a_visit_meets_the_four_neighbours(stride):
    """What is written to neighbours arrives where they are on the whole lattice, at its rims too."""
    lattice = Sublattices(12, 12, stride)
    cells = np.arange(144.0).reshape(12, 12)
    for which in range(stride**2):
        seen = {}

        def update(here, around, seen=seen):
            seen["here"], seen["around"] = here, around
            return here + 1_000, around + 10_000 * jnp.arange(1.0, 5.0)[:, None, None]

        after = lattice.join(lattice.visit(lattice.split(jnp.asarray(cells)), jnp.int32(which), update))
        wanted = cells.copy()
        at = np.zeros((12, 12), bool)
        at[which // stride :: stride, which % stride :: stride] = True
        wanted[at] += 1_000
        for k, (down, right) in enumerate(STAR):
            np.testing.assert_array_equal(
                seen["around"][k], np.roll(cells, (-down, -right), (0, 1))[at].reshape(lattice.plane)
            )
            wanted[np.roll(at, (down, right), (0, 1))] += 10_000 * (k + 1)
        np.testing.assert_array_equal(after, wanted)


def test_migration_loses_nobody_and_mixes():
    """Without births and deaths; from a block at one side to a share of pairs as by chance, n (n - 1) / N (N - 1)."""
    model = BirthDeathMigration(SMALL, TURNS, birth=0.0, death=0.0, start=0.5, interval=4.0)
    seen = pop.ensemble(model, jr.key(1), 16, runs=200).observations
    np.testing.assert_array_equal(seen["density"], 0.5)
    pairs = np.asarray(seen["pairs"][0, :, 6:], np.float64).mean(1)
    assert abs(pairs.mean() - 72 * 71 / (144 * 143)) < 4 * pairs.std() / np.sqrt(200)


def exact(side, birth, death, times, runs, generator):
    """The process one event at a time (Gillespie), with unit rate of moving: densities (runs, times)."""
    out = np.zeros((runs, len(times)))
    for run in range(runs):
        cells = np.zeros(side * side, bool)
        cells[generator.permutation(side * side)[: side * side // 4]] = True
        time, k = 0.0, 0
        while k < len(times):
            agents = np.flatnonzero(cells)
            time += generator.exponential(1 / ((1 + birth + death) * max(1, agents.size))) if agents.size else np.inf
            while k < len(times) and time >= times[k]:
                out[run, k], k = cells.mean(), k + 1
            if not agents.size:
                break
            here, event = agents[generator.integers(agents.size)], generator.uniform(0, 1 + birth + death)
            down, right = STAR[generator.integers(4)]
            there = (here // side + down) % side * side + (here % side + right) % side
            if event < death:
                cells[here] = False
            elif not cells[there]:
                cells[there] = True
                cells[here] = event < death + birth
    return out


def test_many_cells_at_a_time_is_one_event_at_a_time():
    """Births as frequent as moves, so that agents cluster; from a quarter of the cells."""
    times = np.array([1.0, 2.0, 4.0])
    one = exact(12, 1.0, 0.3, times, 100, np.random.default_rng(5))
    model = BirthDeathMigration(SMALL, TURNS, birth=1.0, death=0.3, start=0.25, interval=1.0)
    seen = np.asarray(pop.ensemble(model, jr.key(2), 16, runs=600).observations["density"][0], np.float64)
    many = seen[:, [0, 1, 3]]
    error = np.sqrt(one.var(0) / len(one) + many.var(0) / len(many))
    assert turns_for(2.3, 1.0, 0.25) <= TURNS
    assert np.all(np.abs(one.mean(0) - many.mean(0)) < 4 * error)
    field = 0.7 / (1 + (0.7 / 0.25 - 1) * np.exp(-0.7 * 4.0))  # the mean field at time 4, far above
    assert many.mean(0)[2] < field - 5 * error[2]


def test_growth_is_what_comes():
    """`growth` is the expected rate: its integral is the mean density, whatever the correlations."""
    model = BirthDeathMigration(SMALL, TURNS, birth=0.5, death=0.25, start=0.2, interval=0.25)
    seen = pop.ensemble(model, jr.key(3), 16, runs=400).observations
    density, growth = (np.asarray(seen[name][0], np.float64) for name in ("density", "growth"))
    gap = density[:, -1] - density[:, 0] - 0.25 * (growth[:, 1:] + growth[:, :-1]).sum(1) / 2
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(400)


def test_turns_that_are_too_few_are_a_fault():
    with pytest.raises(pop.FaultError, match="busy"):
        pop.simulate(BirthDeathMigration(SMALL, 4), jr.key(4), 2)
