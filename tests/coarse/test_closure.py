"""The closure test: on a model whose mean has an equation, and one whose density needs the share of pairs."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.zoo.birth_death_migration import BirthDeathMigration, turns_for
from populace.zoo.kirman import Kirman
from populace.zoo.sublattices import Sublattices

AT = [{"density": density} for density in (0.2, 0.25, 0.3)]


def lattice(birth, move, interval):
    turns = turns_for(move + 1.5 * birth, interval, 1.0)
    return BirthDeathMigration(
        Sublattices(12, 12), turns, birth=birth, death=birth / 2, move=move, start=0.1, interval=interval
    )


def lifts(model):
    def mixed(macro, draw):
        return model.filled(draw.uniform("where", size=(12, 12)), macro["density"])

    def clustered(macro, draw):
        blocks = draw.uniform("where", size=(6, 6))
        return model.filled(jnp.repeat(jnp.repeat(blocks, 2, 0), 2, 1), macro["density"])

    return {"mixed": mixed, "clustered": clustered}


def run_test(model, lifts, heal):
    return pop.closure_test(
        model,
        lifts,
        jr.key(0),
        at=AT,
        candidates=("pairs",),
        rates={"density": "growth"},
        heal=heal,
        copies=96,
        interval=float(model.interval),
        tolerance=0.15,
    )


@pytest.fixture(scope="module")
def crowded():
    """Births half as frequent as moves; with states that the model has grown itself."""
    model = lattice(0.5, 1.0, 0.4)
    return run_test(model, {"grown": pop.grown(model, "density", 30), **lifts(model)}, 1)


def test_many_births_are_not_closed_in_the_density(crowded):
    assert crowded.closed is False
    assert crowded.missing == "pairs"
    assert crowded.left["pairs"] < 1e-3  # the exact equation is linear in density and pairs
    assert crowded.verdict.code is pop.Code.NOT_CLOSED
    assert "Add pairs" in str(crowded)
    assert crowded.record()["missing"] == "pairs"
    assert len(crowded.sections()[0].tables) == 2


def test_grown_states_lie_between_mixed_and_clustered(crowded):
    rate = dict(zip(crowded.lifts, crowded.rates[..., 0], strict=True))
    assert np.all(rate["clustered"] < rate["grown"])
    assert np.all(rate["grown"] < rate["mixed"])


def test_much_movement_closes_it():
    """Births of a fiftieth of moves, healed for a fifth of the density's own time."""
    model = lattice(0.02, 1.0, 4.0)
    found = run_test(model, lifts(model), 5)
    assert found.closed is True
    assert found.missing is None


def test_herding_is_closed_without_rates_that_are_known():
    """One number is the whole state of herding: two ways to write it down are no difference."""
    model = Kirman(agents=50, turns=20, a1=0.5, a2=0.5, b=0.0, interval=0.25)

    def lift(macro, draw):
        return jnp.round(macro["share"] * 50)

    found = pop.closure_test(
        model, {"one": lift, "other": lift}, jr.key(1), at=[{"share": 0.1}, {"share": 0.3}], heal=0, steps=2,
        copies=1000, interval=0.25,
    )  # fmt: skip
    assert found.closed is True
    assert found.missing is None
    exact = (0.5 - np.array([0.1, 0.3])) * (1 - np.exp(-0.5)) / 0.5
    assert np.all(np.abs(found.rates[..., 0] - exact) < 4 * found.errors[..., 0])


def test_misuse():
    model = lattice(0.5, 1.0, 0.2)
    with pytest.raises(pop.MethodError, match="two or more"):
        pop.closure_test(model, {"one": lifts(model)["mixed"]}, jr.key(3), at=AT, heal=0)
    with pytest.raises(pop.MethodError, match="did you mean 'density'"):
        pop.closure_test(model, lifts(model), jr.key(3), at=AT, candidates=("densit",), heal=0)
    with pytest.raises(pop.MethodError, match="rates"):
        pop.closure_test(model, lifts(model), jr.key(3), at=AT, rates={"pairs": "growth"}, heal=0)
