"""What a run keeps: every recording against the whole series, in one go, in chunks and in parts."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

from populace._errors import ModelError
from populace.core.draw import Draw
from populace.core.model import Model
from populace.core.record import AtTimes, EveryStep, Last, Recording, Reduced, time_mean
from populace.core.simulate import simulate

T = 12


class Walkers(Model):
    def init(self, draw: Draw) -> Array:
        return jnp.zeros(3)

    def step(self, draw: Draw, state: Array) -> Array:
        return state + draw.uniform("x", -1.0, 1.0, size=3)

    def observe(self, state: Array) -> dict[str, Array]:
        return {"x": state, "mean": state.mean(), "up": (state > 0).sum(), "any": (state > 0).any()}


def run(record: Recording = EveryStep(), steps: int = T, **others: Any) -> Any:
    return simulate(Walkers(), jr.key(0), steps, record=record, **others)


@pytest.fixture(scope="module")
def whole() -> dict[str, np.ndarray]:
    return {name: np.asarray(rows) for name, rows in run().observations.items()}


KEPT = {
    "every": (EveryStep(), range(1, T + 1)),
    "every third": (EveryStep(3), (3, 6, 9, 12)),
    "at times": (AtTimes((9, 2, 2, 5)), (2, 5, 9)),
    "last": (Last(), (T,)),
}


@pytest.mark.parametrize("chunk", [None, 4])
@pytest.mark.parametrize(("record", "times"), KEPT.values(), ids=KEPT.keys())
def test_rows_are_rows_of_the_whole(whole: dict[str, np.ndarray], record: Recording, times: Any, chunk: int | None):
    got = run(record, chunk=chunk)
    assert got.times.tolist() == list(times)
    assert set(got.observations) == set(whole)
    for name, rows in got.observations.items():
        np.testing.assert_array_equal(rows, whole[name][np.array(times) - 1])
        assert rows.dtype == whole[name].dtype


@pytest.mark.parametrize(("record", "chunk"), [(EveryStep(3), 5), (time_mean(4), 1), (time_mean(4), 50)])
def test_chunks_change_no_bit(record: Recording, chunk: int):
    one, other = run(record), run(record, chunk=chunk)
    assert one.times.tolist() == other.times.tolist()
    for name in one.observations:
        np.testing.assert_array_equal(one.observations[name], other.observations[name])


@pytest.mark.parametrize("record", [EveryStep(5), AtTimes((2, 5, 9))], ids=["fifth", "at"])
def test_two_parts_make_the_whole(record: Recording):
    one, first = run(record), run(record, T // 2)
    second = run(record, T // 2, start=first.final)
    assert [*first.times, *second.times] == one.times.tolist()
    for name, rows in one.observations.items():
        parts = [first.observations[name], second.observations[name]]
        np.testing.assert_array_equal(np.concatenate(parts), rows)


def test_nothing_in_reach_is_recorded_as_nothing():
    got = run(EveryStep(100))
    assert got.times.tolist() == [] and got.observations["x"].shape == (0, 3)
    assert got.sections()[0].text and got.record()["times"] == []


def test_time_mean(whole: dict[str, np.ndarray]):
    for after in (0, 4, T - 1):
        got = run(time_mean(after))
        assert got.times.tolist() == [T]
        for name, rows in got.observations.items():
            assert rows.shape == (1, *whole[name].shape[1:]) and rows.dtype == jnp.float32
            np.testing.assert_allclose(rows[0], whole[name][after:].mean(0), rtol=1e-5, atol=1e-6)


def test_time_mean_of_no_step_is_nan_and_its_record_is_null():
    got = run(time_mean(T))
    assert np.isnan(got.observations["x"]).all()
    assert got.record()["observations"]["mean"] == [None]


class Cycle(Model):
    """A large number with a small cycle on it."""

    def init(self, draw: Draw) -> Array:
        return jnp.int32(0)

    def step(self, draw: Draw, state: Array) -> Array:
        return state + 1

    def observe(self, state: Array) -> dict[str, Array]:
        return {"x": 1000.0 + jnp.where(state > 100_000, 1.0, 0.0)}


def test_time_mean_stays_exact_over_many_steps():
    """Half at 1000, then half at 1001: plain running means get stuck, for 1e-5 added to 1000 is nothing."""
    got = simulate(Cycle(), jr.key(0), 200_000, record=time_mean(), chunk=100_000)
    assert float(got.observations["x"][0]) == pytest.approx(1000.5, abs=2e-4)


def test_before_the_burn_in_anything_may_happen():
    class Late(Cycle):
        def observe(self, state: Array) -> dict[str, Array]:
            return {"x": jnp.where(state > 3, 2.0, jnp.nan)}

    assert float(simulate(Late(), jr.key(0), 9, record=time_mean(3)).observations["x"][0]) == 2.0


def test_a_summary_of_ones_own():
    largest = Reduced(
        lambda shapes: {name: jnp.full(leaf.shape, -jnp.inf) for name, leaf in shapes.items()},
        lambda best, time, seen: {name: jnp.maximum(best[name], seen[name]) for name in best},
        lambda best: best,
    )
    got = run(largest).observations
    np.testing.assert_array_equal(got["x"][0], np.asarray(run().observations["x"]).max(0))


def test_recordings_that_make_no_sense():
    with pytest.raises(ModelError, match="every=0"):
        EveryStep(0)
    for times in ((), (0, 3), (-1,)):
        with pytest.raises(ModelError, match="steps 1, 2"):
            AtTimes(times)
