"""A run step by step, with its tape: what estimators need that let copies run along or weigh every draw."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array

from .._types import Key, State
from ..core.ensemble import OneRun
from ..core.plug import Plug
from ..core.simulate import initial, next_state, start_recording
from ..core.site import Frame


class Place(eqx.Module):
    """A run between two steps: state, memory of its policies, carry of its recording."""

    state: State
    memory: dict[str, Any]
    carry: Any


def first(run: OneRun, key: Key, plugs: tuple[Plug, ...], given: dict[str, Any]) -> tuple[Place, dict[str, Any]]:
    """After `init`, with `plugs` innermost and the values `given` for sites; and the tape."""
    frame = Frame(given=given)
    here, _ = initial(run.model, key, (*run.plugs, *plugs), frame)
    return Place(here.state, here.memory, start_recording(run.model, here, run.record)), frame.tape


def following(
    run: OneRun, key: Key, time: Array, place: Place, plugs: tuple[Plug, ...], given: dict[str, Any]
) -> tuple[Place, Any, dict[str, Any]]:
    """After the step to `time`; the row of it, and the tape."""
    frame = Frame(given=given, memory=place.memory)
    state = next_state(run.model, jr.fold_in(key, time), time, place.state, (*run.plugs, *plugs), frame)
    carry, row = run.record.emit(place.carry, time, run.model.observe(state))
    return Place(state, {**place.memory, **frame.memory_after}, carry), row, frame.tape


def observed(run: OneRun, place: Place, rows: Any) -> dict[str, Array]:
    """The observations of the whole run, from the last place and the stacked rows."""
    return run.record.finish(place.carry, [run.record.collect(place.carry, rows, 1, run.steps)])


def walked(run: OneRun, key: Key, plugs: tuple[Plug, ...]) -> tuple[dict[str, Array], dict[str, Any], dict[str, Any]]:
    """A whole run: observations, the tape of `init`, and the tape of the steps (steps on the leading axis)."""
    place, tape0 = first(run, key, plugs, {})

    def one(place: Place, time: Array) -> tuple[Place, Any]:
        place, row, tape = following(run, key, time, place, plugs, {})
        return place, (row, tape)

    place, (rows, tape) = jax.lax.scan(one, place, jnp.arange(1, run.steps + 1, dtype=jnp.int32))
    return observed(run, place, rows), tape0, tape
