"""Sobol, Morris and PAWN on functions whose measures are known, and beside an identification."""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.identification.sensitivity import NOT_THE_SAME
from populace.identification.sensitivity_methods import blocks, distances, shares, trajectories

SPACE = pop.Space({name: dist.Uniform(0.0, 1.0) for name in "xyz"})
ALONE = np.array([0.3139, 0.4424, 0.0])
TOTAL = np.array([0.5576, 0.4424, 0.2437])
"""Ishigami's function with a = 7, b = 0.1: Var E(y | x_i) / Var y and E Var(y | others) / Var y, in closed form."""


def ishigami(unit: np.ndarray) -> np.ndarray:
    x, y, z = ((2.0 * unit - 1.0) * np.pi).T
    return np.sin(x) + 7.0 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x)


def seen(unit: np.ndarray) -> np.ndarray:
    """Ishigami's function, a linear one, and a constant."""
    return np.stack([ishigami(unit), unit @ [1.0, 2.0, 0.0], np.ones(len(unit))], axis=1)


@dataclass(frozen=True)
class Exact:
    """Stands for a surrogate that knows its function; a draw of it adds `doubt` times a normal number times z."""

    runs: Any
    doubt: float = 0.0
    space: Any = SPACE

    def predict_unit(self, unit: np.ndarray) -> Any:
        return self.predict({name: unit[:, i] for i, name in enumerate("xyz")})

    def predict(self, points: Any) -> Any:
        mean = seen(np.stack([np.asarray(points[n], np.float64) for n in "xyz"], axis=1))
        return pop.Emulated(mean, np.zeros_like(mean), np.zeros_like(mean), np.ones(len(mean)))

    def functions(self, points: Any, key: Any, draws: int) -> np.ndarray:
        normal = np.asarray(jr.normal(key, (draws, 1, 1)))
        return self.predict(points).mean + self.doubt * normal * np.asarray(points["z"], np.float64)[:, None]


@pytest.fixture(scope="module")
def runs() -> pop.Runs:
    unit = pop.design(SPACE, jr.key(0), 2048).unit
    return pop.Runs(SPACE, unit, seen(unit), np.ones(2048, bool), ("ishigami", "linear", "still"), {})


def within(measure: Any, moment: int, truth: np.ndarray, spare: float = 0.0) -> None:
    """The interval, twice as wide, holds the truth: four standard errors."""
    value, low, high = (part[moment] for part in (measure.value, measure.low, measure.high))
    assert (truth >= value - 2 * (value - low) - spare).all(), (value, low, high)
    assert (truth <= value + 2 * (high - value) + spare).all(), (value, low, high)


def test_sobol_indices_of_ishigami_and_of_a_line(runs):
    alone, total = pop.SobolIndices(points=512).measure(runs, Exact(runs), jr.key(1))  # type: ignore[arg-type]
    within(alone, 0, ALONE)
    within(total, 0, TOTAL)
    assert (alone.high[0] - alone.low[0]).max() < 0.1
    for one in (alone, total):
        within(one, 1, np.array([0.2, 0.8, 0.0]), 1e-6)
        assert np.isnan(one.value[2]).all()


def test_shares_at_many_points_come_near_the_closed_form():
    unit = blocks(np.random.default_rng(0).random((200_000, 6)))
    alone, total = shares(seen(unit.reshape(-1, 3)).reshape(5, -1, 3))
    np.testing.assert_allclose(alone[0], ALONE, atol=0.015)  # 4 standard errors of 200,000 random points
    np.testing.assert_allclose(total[0], TOTAL, atol=0.015)


def test_what_a_surrogate_does_not_know_widens_the_interval(runs):
    """The line's third index is 0 for sure; were c ~ N(0, 1) its slope, it would be c^2 / (5 + c^2)."""
    sure, unsure = (
        pop.SobolIndices().measure(runs, Exact(runs, doubt), jr.key(1))[1]  # type: ignore[arg-type]
        for doubt in (0.0, 1.0)
    )
    assert sure.high[1, 2] < 1e-6
    c = 1.96**2
    assert 0.25 < unsure.high[1, 2] / (c / (5 + c)) < 2.0


def test_paths_move_one_parameter_at_a_time():
    paths, moves = trajectories(jr.key(3), 4, 50, 4)
    steps = np.diff(paths, axis=0)
    assert ((np.abs(steps) > 1e-9).sum(2) == 1).all()
    assert paths.min() > 0.009 and paths.max() < 0.991
    assert (np.sort(np.abs(moves), axis=0) == np.arange(1, 5)[:, None]).all()


def test_morris_on_a_line_is_its_slopes_and_sees_interaction(runs):
    size, spread = pop.Morris().measure(runs, Exact(runs), jr.key(2))  # type: ignore[arg-type]
    unit = runs.moments[:, 1].std()
    np.testing.assert_allclose(size.value[1], np.array([1.0, 2.0, 0.0]) / unit, atol=1e-6)
    np.testing.assert_allclose(spread.value[1], 0.0, atol=1e-6)
    assert (spread.low[0] > 0.2).all()  # each of Ishigami's arguments bends or interacts
    assert np.isnan(size.value[2]).all()


def test_an_odd_number_of_levels_is_refused():
    with pytest.raises(pop.MethodError, match="even number of levels"):
        pop.Morris(levels=5)


def test_pawn_finds_what_moves_and_not_what_does_not(runs):
    (one,) = pop.Pawn().measure(runs, None, jr.key(4))
    assert one.mark is not None
    assert (one.low[0, :2] > one.mark).all()
    assert one.value[1, 1] > one.value[1, 0] > one.mark > one.value[1, 2]
    np.testing.assert_allclose(one.value[2], 0.0, atol=1e-12)


def test_pawn_of_a_known_step():
    """y = (x > 1/2): in a slice y is 0 or 1, over all each half of the time: the distance is 1/2."""
    unit = (np.arange(1000)[:, None] + 0.5) / 1000
    np.testing.assert_allclose(distances(unit, (unit > 0.5).astype(float), 10), 0.5, atol=1e-6)


def test_both_measures_are_those_of_salib(runs):
    """Where it is installed: PAWN of the same runs, and Sobol's indices of the same function."""
    pawn = pytest.importorskip("SALib.analyze.pawn")
    problem = {"num_vars": 3, "names": list("xyz"), "bounds": [[0.0, 1.0]] * 3}
    theirs = pawn.analyze(problem, runs.unit, runs.moments[:, 0], S=10, print_to_console=False)["median"]
    np.testing.assert_allclose(distances(runs.unit, runs.moments, 10)[0], theirs, atol=0.01)
    sampled = pytest.importorskip("SALib.sample.sobol").sample(problem, 1024, calc_second_order=False, seed=1)
    sobol = pytest.importorskip("SALib.analyze.sobol")
    theirs = sobol.analyze(problem, ishigami(sampled), calc_second_order=False, print_to_console=False)
    ours = pop.SobolIndices().measure(runs, Exact(runs), jr.key(1))  # type: ignore[arg-type]
    for one, name in zip(ours, ("S1", "ST"), strict=True):
        within(one, 0, theirs[name], float(np.max(theirs[f"{name}_conf"])))


def test_influential_is_not_identified():
    """A moment a b: both move it, and neither is known from it; the sentence names them."""
    space = pop.Space(a=dist.Uniform(0.5, 2.0), b=dist.Uniform(0.5, 2.0), idle=dist.Uniform(0.0, 1.0))
    design = pop.design(space, jr.key(5), 256)
    p = {name: np.asarray(value, np.float64) for name, value in design.parameters.items()}
    runs = pop.Runs(space, design.unit, (p["a"] * p["b"])[:, None], np.ones(256, bool), ("m",), {})
    found = pop.identify(runs, jr.key(6)).average
    said = pop.global_sensitivity(runs, jr.key(7), methods=(pop.Pawn(),), identification=found)
    assert said.influential() == ("a", "b")
    assert [v.subject for v in said.verdicts()] == ["a", "b"]
    assert all(v.code is pop.Code.COMBINATION for v in said.verdicts())
    (section,) = said.sections()
    assert NOT_THE_SAME in section.text and "Not seen to move any: idle." in section.text
    assert said.record()["influential"] == ["a", "b"]


def test_a_surrogate_is_learned_where_one_is_needed(tmp_path):
    space = pop.Space(x=dist.Uniform(0.0, 1.0), y=dist.Uniform(0.0, 1.0))
    unit = pop.design(space, jr.key(8), 40).unit
    moments = (unit @ [2.0, 1.0] + 0.05 * np.random.default_rng(1).standard_normal(40))[:, None]
    runs = pop.Runs(space, unit, moments, np.ones(40, bool), ("m",), {})
    surrogate = pop.fit_surrogate(runs, jr.key(9), regressors=[pop.GaussianProcess(starts=1)])
    said = pop.global_sensitivity(surrogate, jr.key(10), methods=(pop.SobolIndices(points=64), pop.Morris()))
    within(said.of("Sobol, total"), 0, np.array([0.8, 0.2]))
    assert 0.0 < said.noise[0] < 0.05
    assert not said.verdicts()
    (path,) = pop.write(said, tmp_path / "x.html")
    assert "Influential is not identified" in path.read_text()
    with pytest.raises(pop.MethodError, match="was not measured"):
        said.of("PAWN")


def test_no_method_is_refused(runs):
    with pytest.raises(pop.MethodError, match="name a method"):
        pop.global_sensitivity(runs, jr.key(0), methods=())
