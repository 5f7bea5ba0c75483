"""A snapshot on disk comes back bit for bit, or is refused in words."""

import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

from populace._errors import CheckpointError, OutputError
from populace._types import Key
from populace.core.draw import Draw
from populace.core.model import Model, parameter
from populace.core.plug import Deciding
from populace.core.policy import Act, Policy
from populace.core.simulate import Snapshot, simulate
from populace.core.snapshot_io import load_snapshot, save_snapshot

DTYPES = ["bool", "int8", "uint8", "int16", "int32", "uint32", "float16", "bfloat16", "float32", "complex64"]


class Many(Model):
    """A state of every dtype, with scalars, empty arrays and odd floats in it."""

    size: int = eqx.field(static=True, default=3)
    names: tuple[str, ...] = eqx.field(static=True, default=tuple(DTYPES))
    rate: Array = parameter(default=1.0)

    def init(self, draw: Draw) -> dict[str, Any]:
        arrays = {name: jnp.arange(self.size).astype(name) for name in self.names}
        odd = jnp.array([jnp.nan, jnp.inf, -0.0, 1e-40])
        return {"each": arrays, "none": None, "odd": odd, "empty": jnp.zeros((0, 2)), "total": jnp.float32(0)}

    def step(self, draw: Draw, state: dict[str, Any]) -> dict[str, Any]:
        fish = draw.decide("fish", jnp.ones(3), lambda view, inner: inner.uniform("x", size=3))
        return {**state, "total": state["total"] + self.rate * fish.sum()}

    def observe(self, state: dict[str, Any]) -> dict[str, Array]:
        return {"total": state["total"]}


class Counting(Policy):
    def memory(self) -> Any:
        return jnp.float32(5)

    def act(self, view: Array, memory: Any, key: Key) -> Act:
        return Act(memory, memory + jax.random.uniform(key))


PLUGS = (Deciding("fish", Counting()),)


def bits(tree: Any) -> list[tuple[str, tuple[int, ...], bytes]]:
    return [(str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(tree)]


@pytest.fixture(scope="module")
def here() -> Snapshot:
    return simulate(Many(), jr.key(0), 4).final


def test_every_dtype_comes_back_bit_for_bit(tmp_path: Path, here: Snapshot):
    path = save_snapshot(here, tmp_path / "deep" / "run.npz")
    back = load_snapshot(path, Many())
    assert bits(back) == bits(here)
    assert jax.tree.structure(back) == jax.tree.structure(here)
    assert all(isinstance(leaf, jax.Array) and not leaf.weak_type for leaf in jax.tree.leaves(back))


@pytest.mark.parametrize("plugs", [(), PLUGS], ids=["plain", "with memory"])
def test_a_run_taken_up_from_disk_goes_on_bit_for_bit(tmp_path: Path, plugs: Any):
    whole = simulate(Many(), jr.key(0), 6, plugs=plugs)
    half = simulate(Many(), jr.key(0), 4, plugs=plugs)
    back = load_snapshot(save_snapshot(half.final, tmp_path / "run.npz"), Many(), plugs)
    rest = simulate(Many(), jr.key(0), 2, plugs=plugs, start=back)
    np.testing.assert_array_equal(rest.observations["total"], whole.observations["total"][4:])
    assert bits(rest.final) == bits(whole.final)


def test_a_snapshot_of_another_parameter_is_welcome(tmp_path: Path, here: Snapshot):
    path = save_snapshot(here, str(tmp_path / "run.npz"))
    assert bits(load_snapshot(str(path), Many(rate=3.0))) == bits(here)


def test_what_does_not_fit_is_refused(tmp_path: Path, here: Snapshot):
    path = save_snapshot(here, tmp_path / "run.npz")
    with pytest.raises(CheckpointError, match=r"another model.*bfloat16\[3\].*'bfloat16'.*bfloat16\[4\]"):
        load_snapshot(path, Many(4))
    with pytest.raises(CheckpointError, match=r"holds int8\[3\] .*'int8'.*the model none"):
        load_snapshot(path, Many(names=tuple(name for name in DTYPES if name != "int8")))
    with pytest.raises(CheckpointError, match=r"holds no .*'int64x'"):
        load_snapshot(path, Renamed())
    with pytest.raises(CheckpointError, match=r"other plugs.*memory.*fish"):
        load_snapshot(path, Many(), PLUGS)


class Renamed(Many):
    def init(self, draw: Draw) -> dict[str, Any]:
        state = super().init(draw)
        return {**state, "each": {**state["each"], "int64x": jnp.zeros(2)}}


def test_what_cannot_be_read_is_refused(tmp_path: Path, here: Snapshot):
    path = save_snapshot(here, tmp_path / "run.npz")
    whole = path.read_bytes()
    other = tmp_path / "other.npz"
    for broken in (b"", b"hello", whole[: len(whole) // 2], whole[:-1]):
        other.write_bytes(broken)
        with pytest.raises(CheckpointError, match=r"cannot be read.*save it again"):
            load_snapshot(other, Many())
    np.savez(other, head=np.frombuffer(b'{"format": 1}', np.uint8))
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_snapshot(other, Many())
    np.savez(other, head=np.frombuffer(b'{"format": 99, "leaves": []}', np.uint8))
    with pytest.raises(CheckpointError, match="format 99"):
        load_snapshot(other, Many())
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_snapshot(tmp_path / "nowhere.npz", Many())


def test_writing_is_whole_or_not_at_all(tmp_path: Path, here: Snapshot, monkeypatch: pytest.MonkeyPatch):
    path = save_snapshot(here, tmp_path / "run.npz")
    before = path.read_bytes()

    def refuse(*args: Any) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError):
        save_snapshot(simulate(Many(), jr.key(1), 1).final, path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["run.npz"]
