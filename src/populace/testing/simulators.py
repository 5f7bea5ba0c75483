"""What every simulator must do: the laws of `populace.Simulator`, for those who write their own."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._errors import PopulaceError
from .._types import Key
from ..core.executor import Ticker
from ..core.model import Parameter
from ..problem.simulators import Batch, Simulator
from ..problem.space import Space

RUNS = 6
"""Runs of a batch."""


def check_simulator(simulator: Simulator, space: Space, key: Key) -> None:
    """Check every law that `Simulator` states; return if all hold.

    Four batches of RUNS runs at draws from `space`, one of them with a run whose parameters are NaN.

    **Arguments:** `space`: parameters at which most runs can be used.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    parameters, keys = space.sample(key, RUNS), jr.split(jr.fold_in(key, 1), RUNS)
    _knows_its_parameters(simulator, space)
    described = _describes_itself(simulator)
    work = Work(parameters, keys, _simulated(simulator, parameters, keys))
    for law in LAWS:
        law(simulator, work)
    _require(_describes_itself(simulator) == described, simulator, "describe changes when runs were made")


@dataclass(frozen=True)
class Work:
    """A batch: what was asked, and what came back."""

    parameters: dict[str, Array]
    keys: Key
    batch: Batch


Law = Callable[[Simulator, Work], None]


def _knows_its_parameters(simulator: Simulator, space: Space) -> None:
    known = simulator.parameters()
    _require(isinstance(known, Mapping), simulator, f"parameters returns a {type(known).__name__}, not a mapping")
    for name, parameter in known.items():
        sound = isinstance(parameter, Parameter) and parameter.name == name
        _require(sound, simulator, f"parameters['{name}'] is not the Parameter of that name: {parameter}")
        inside = parameter.domain.contains(np.asarray(parameter.value))
        _require(inside, simulator, f"'{name}' lies outside its own domain {parameter.domain}")
    try:
        space.check(known)
    except PopulaceError as error:
        raise AssertionError(f"{_name(simulator)}: the space does not fit its parameters: {error}") from error


def _describes_itself(simulator: Simulator) -> str:
    told = [simulator.describe(), simulator.describe()]
    _require(isinstance(told[0], dict), simulator, f"describe returns a {type(told[0]).__name__}, not a dict")
    try:
        texts = [json.dumps(one, sort_keys=True, allow_nan=False) for one in told]
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{_name(simulator)}: describe holds what JSON cannot: {error}") from error
    _require(texts[0] == texts[1], simulator, "describe says something else each time")
    lasting = " at 0x" not in texts[0]
    _require(lasting, simulator, f"describe holds an address, another after a restart: {texts[0]}")
    return texts[0]


def _simulated(simulator: Simulator, parameters: Mapping[str, Array], keys: Key) -> Batch:
    ticker = Ticker(None, "", RUNS)
    batch = simulator.simulate(parameters, keys, ticker)
    _require(isinstance(batch, Batch), simulator, f"simulate returns a {type(batch).__name__}, not a Batch")
    _require(ticker.done == RUNS, simulator, f"{RUNS} runs advance the ticker by {ticker.done}")
    return batch


def _returns_a_batch(simulator: Simulator, work: Work) -> None:
    seen = work.batch.observations
    _require(bool(seen) and all(isinstance(name, str) for name in seen), simulator, "there are no observations by name")
    for name, values in seen.items():
        array = isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.number)
        _require(array, simulator, f"observation '{name}' is a {type(values).__name__}, not a numpy array of numbers")
        rows = values.shape[:1]
        _require(rows == (RUNS,), simulator, f"observation '{name}' has {rows} runs on its leading axis, not {RUNS}")


def _counts_what_it_excludes(simulator: Simulator, work: Work) -> None:
    excluded, reasons = work.batch.excluded, work.batch.reasons
    mask = isinstance(excluded, np.ndarray) and excluded.dtype == bool and excluded.shape == (RUNS,)
    _require(mask, simulator, f"excluded is not a numpy array of {RUNS} booleans: {excluded!r}")
    told = all(isinstance(why, str) and why and count > 0 for why, count in reasons.items())
    _require(told, simulator, f"reasons are not sentences with counts: {reasons}")
    counts = (int(excluded.sum()), sum(reasons.values()))
    message = f"{counts[0]} runs are excluded and the reasons count {counts[1]}: each excluded run has one"
    _require(counts[0] == counts[1], simulator, message)
    _require(not excluded.all(), simulator, f"no run can be used, take another space: {reasons}")
    for name, values in work.batch.observations.items():
        finite = np.isfinite(values.reshape(RUNS, -1)).all(axis=1)
        message = f"'{name}' is NaN or infinite in a run that is not excluded"
        _require(bool((finite | excluded).all()), simulator, message)


def _repeats_itself(simulator: Simulator, work: Work) -> None:
    again = _simulated(simulator, work.parameters, work.keys)
    _require(_same(work.batch, again, slice(None)), simulator, "the same parameters and keys give other numbers")


def _keeps_runs_apart(simulator: Simulator, work: Work) -> None:
    """In reverse order the same runs come back, in reverse order."""
    back = {name: values[::-1] for name, values in work.parameters.items()}
    again = _simulated(simulator, back, work.keys[::-1])
    message = "in another order the runs have other numbers: a run hangs on its own parameters and key alone"
    _require(_same(work.batch, again, slice(None, None, -1)), simulator, message)


def _survives_a_bad_run(simulator: Simulator, work: Work) -> None:
    """The first usable run gets NaN for its parameters: it is excluded, or usable, and the others are as they were."""
    bad = int(np.argmin(work.batch.excluded))
    sick = {name: values.at[bad].set(jnp.nan) for name, values in work.parameters.items()}
    try:
        batch = _simulated(simulator, sick, work.keys)
    except (PopulaceError, ArithmeticError, ValueError) as error:
        raise AssertionError(
            f"{_name(simulator)}: one run that cannot be made ends the batch ({type(error).__name__}: {error}); "
            "exclude it, and count why"
        ) from error
    _returns_a_batch(simulator, Work(sick, work.keys, batch))
    _counts_what_it_excludes(simulator, Work(sick, work.keys, batch))
    others = np.flatnonzero(np.arange(RUNS) != bad)
    same = all(
        np.array_equal(values[others], batch.observations[name][others], equal_nan=True)
        for name, values in work.batch.observations.items()
    )
    _require(same, simulator, "a run whose parameters are NaN changes the other runs")


LAWS: tuple[Law, ...] = (
    _returns_a_batch,
    _counts_what_it_excludes,
    _repeats_itself,
    _keeps_runs_apart,
    _survives_a_bad_run,
)
"""The laws of a batch, each a function of the simulator and of what it did."""


def _same(one: Batch, other: Batch, order: slice) -> bool:
    if one.observations.keys() != other.observations.keys():
        return False
    numbers = all(
        np.array_equal(values, other.observations[name][order], equal_nan=True)
        for name, values in one.observations.items()
    )
    return numbers and bool(np.array_equal(one.excluded, other.excluded[order])) and one.reasons == other.reasons


def _name(simulator: Simulator) -> str:
    return type(simulator).__name__


def _require(holds: bool, simulator: Simulator, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{_name(simulator)}: {otherwise}")
