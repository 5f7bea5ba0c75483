"""What turns parameters and keys into observations: a model, any Python callable, or either behind observers."""

import abc
import dataclasses
import hashlib
import inspect
from collections.abc import Callable as CallableOf
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._errors import SimulatorError
from .._types import Key, Parameters
from ..core import executor
from ..core.draw import Draw
from ..core.ensemble import OneRun, one_run, outcomes
from ..core.executor import Ticker
from ..core.fingerprint import fingerprint
from ..core.growth import Growth
from ..core.host import by_groups, placed
from ..core.model import Model, Parameter, bind, parameters
from ..core.plug import Plug
from ..core.record import EveryStep, Recording
from ..core.simulate import NEVER
from ..core.site import stable_hash
from .observation import ObservationModel
from .rows import Row, attempt, raised, split


@dataclass(frozen=True)
class Batch:
    """Runs that came back: observations name to (runs, ...), which runs do not count, and why, a sentence a kind.

    `told`: why each run does not count, empty where it does; None where the simulator does not say whose a reason is.
    """

    observations: dict[str, np.ndarray]
    excluded: np.ndarray
    reasons: dict[str, int]
    told: tuple[str, ...] | None = None

    def why(self) -> tuple[str, ...]:
        """Why each run does not count, empty where it does; all that it may be where nothing says whose a reason is."""
        if self.told is not None:
            return self.told
        any_of_them = "; or ".join(self.reasons) or "no reason was given"
        return tuple(any_of_them if out else "" for out in self.excluded.tolist())


class Simulator(eqx.Module):
    """Parameters and keys in, observations out. Three methods."""

    @abc.abstractmethod
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters that a space may bind, by name; empty when any name will do."""

    @abc.abstractmethod
    def simulate(self, parameters: Parameters, keys: Key, ticker: Ticker) -> Batch:
        """Run at each of many parameter sets: name to (runs, ...), keys (runs,)."""

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """What makes this simulator give the numbers it gives, as JSON values; the same after a restart."""


class Simulation(Simulator):
    """A model as a simulator: `steps` steps, observed as `record` says, with `plugs` around its sites.

    A plug's declared parameters may be bound too, such as a rival rule's own: `plugs.0.rule.threshold`.

    A run that outgrows a population is excluded and counted; with `growth` it is made again with more room, and only a
    run that outgrows the limit is excluded.
    """

    model: Model
    steps: int = eqx.field(static=True)
    record: Recording = eqx.field(default_factory=EveryStep)
    plugs: tuple[Plug, ...] = ()
    growth: Growth | None = None

    def parameters(self) -> Mapping[str, Parameter]:
        return self.one().parameters()

    def one(self) -> OneRun:
        """One run of it, less key and parameters."""
        return OneRun(self.model, self.plugs, self.record, self.steps)

    def simulate(self, parameters: Parameters, keys: Key, ticker: Ticker) -> Batch:
        shared = self.one()
        rows = (keys, {name: placed(value) for name, value in parameters.items()})
        size = executor.chunk_size(one_run, shared, rows)
        out = executor.stack_rows(list(outcomes(shared, rows, size, self.growth, ticker)))
        reasons = {"a site was given a number outside its domain": out.fault != NEVER}
        reasons["a population outgrew its capacity"] = out.needed > 0
        return _judge(out.observations, reasons)

    def describe(self) -> dict[str, Any]:
        grows = {} if self.growth is None else {"growth": repr(self.growth)}
        return {
            "kind": "model",
            "model": type(self.model).__qualname__,
            "source": source_hash(type(self.model)),
            "state": fingerprint(self.model),
            "steps": self.steps,
            "record": repr(self.record),
            "plugs": [type(plug).__qualname__ + " " + fingerprint(plug) for plug in self.plugs],
            **grows,
        }


class Callable(Simulator):
    """Any Python function `(parameters, key) -> observations` as a simulator, a run at a time.

    The function gets a dict of Python floats (arrays where a prior is a vector) and a typed JAX key
    (`int(jax.random.bits(key))` makes a seed of it), and returns a dict of arrays, all runs alike. A run that raises
    an `Exception`, returns NaN or another shape is excluded and counted; when every run fails, that is a
    `SimulatorError`.
    """

    function: CallableOf[[dict[str, Any], Key], Mapping[str, Any]] = eqx.field(static=True)

    def parameters(self) -> Mapping[str, Parameter]:
        return {}

    def simulate(self, parameters: Parameters, keys: Key, ticker: Ticker) -> Batch:
        results: list[Row | None] = []
        failures: list[str] = []
        for i, one in enumerate(split(parameters, keys.shape[0])):
            row, error = attempt(self.function, one, keys[i])
            results.append(row)
            failures.append("" if error is None else raised(error))
            ticker.advance(1)
        return assemble(results, failures)

    def describe(self) -> dict[str, Any]:
        return {"kind": "callable", "name": _name(self.function), "source": source_hash(self.function)}


class Traceable(Simulator):
    """A function `(parameters, key) -> observations` written in JAX: compiled, and vectorised over runs."""

    function: CallableOf[[dict[str, Array], Key], dict[str, Array]] = eqx.field(static=True)

    def parameters(self) -> Mapping[str, Parameter]:
        return {}

    def simulate(self, parameters: Parameters, keys: Key, ticker: Ticker) -> Batch:
        rows = (keys, {name: placed(value) for name, value in parameters.items()})
        call = _traceable(self.function)
        size = executor.chunk_size(call, None, rows)
        return _judge(executor.stack_rows(list(executor.chunks(call, None, rows, size=size, progress=ticker))), {})

    def describe(self) -> dict[str, Any]:
        return {"kind": "traceable", "name": _name(self.function), "source": source_hash(self.function)}


class Observed(Simulator):
    """A simulator seen through observation models, applied in order to each run.

    `observers`: name to observation model. Their parameters are the simulator's too, as `name.parameter`, so that a
    space may bind a reporting share beside a rate of infection.
    """

    simulator: Simulator
    observers: dict[str, ObservationModel]

    def parameters(self) -> Mapping[str, Parameter]:
        return {**self.simulator.parameters(), **_observer_parameters(self.observers)}

    def simulate(self, parameters: Parameters, keys: Key, ticker: Ticker) -> Batch:
        return self.observed(self.simulator.simulate(self.inner(parameters), keys, ticker), parameters, keys)

    def inner(self, parameters: Parameters) -> Parameters:
        """The parameters that are those of the simulator, and not of an observation model."""
        own = _observer_parameters(self.observers)
        return {k: v for k, v in parameters.items() if k not in own}

    def observed(self, inner: Batch, parameters: Parameters, keys: Key) -> Batch:
        """What the observation models make of the simulator's runs with these parameters and keys."""
        own = _observer_parameters(self.observers)
        values = {k: placed(v) for k, v in parameters.items() if k in own}
        many = (values, keys, inner.observations)
        seen, fault = executor.stack_rows(list(by_groups(partial(_observe, self.observers), many)))
        reasons = {"an observation model was given a number outside its domain": fault & ~inner.excluded}
        outer = _judge(seen, reasons, known=inner)
        return Batch(outer.observations, outer.excluded, {**inner.reasons, **outer.reasons}, outer.told)

    def describe(self) -> dict[str, Any]:
        observers = {k: {"source": source_hash(type(v)), "state": fingerprint(v)} for k, v in self.observers.items()}
        return {"kind": "observed", "simulator": self.simulator.describe(), "observers": observers}


def _observer_parameters(observers: dict[str, ObservationModel]) -> dict[str, Parameter]:
    found = {f"{name}.{p}": spec for name, model in observers.items() for p, spec in parameters(model).items()}
    return {name: dataclasses.replace(spec, name=name) for name, spec in found.items()}


@eqx.filter_jit
def _observe(
    observers: dict[str, ObservationModel], many: tuple[dict[str, Array], Key, dict[str, Any]]
) -> tuple[dict[str, Array], Array]:
    def one(values: dict[str, Array], key: Key, seen: dict[str, Array]) -> tuple[dict[str, Array], Array]:
        wrong = jnp.array(False)
        for name, model in observers.items():
            mine = {k.removeprefix(f"{name}."): v for k, v in values.items() if k.startswith(f"{name}.")}
            draw = Draw(jr.fold_in(key, stable_hash(f"observe {name}")))
            seen = bind(model, mine)(seen, draw)
            draw.close()
            wrong = wrong | draw.faulty()
        return seen, wrong

    return jax.vmap(one)(*many)


_wrapped: dict[Any, CallableOf[[Any, Any], Any]] = {}


def _traceable(function: CallableOf[..., Any]) -> CallableOf[[Any, Any], Any]:
    """One wrapper a function, so that its compiled form is found again."""
    if function not in _wrapped:
        _wrapped[function] = lambda _, one: {k: jnp.asarray(v) for k, v in function(one[1], one[0]).items()}
    return _wrapped[function]


def _judge(observations: dict[str, np.ndarray], reasons: dict[str, np.ndarray], known: Batch | None = None) -> Batch:
    """A batch in which runs with a reason against them, or with a number that is not finite, are excluded; `reasons`
    counts those that were not excluded already, in the batch that is `known`.
    """
    runs = next(iter(observations.values())).shape[0]
    excluded = np.zeros(runs, bool) if known is None else known.excluded.copy()
    told = np.array([""] * runs if known is None else known.why(), object)
    counted = {}
    finite = np.ones(runs, bool)
    for values in observations.values():
        finite &= np.isfinite(values.reshape(runs, -1)).all(1)
    for reason, which in {**reasons, "an observation is NaN or infinite": ~finite}.items():
        new = np.asarray(which) & ~excluded
        if new.any():
            counted[reason] = int(new.sum())
            told[new] = reason
            excluded |= new
    return Batch(observations, excluded, counted, tuple(told.tolist()))


def assemble(results: list[Row | None], failures: list[str]) -> Batch:
    """Runs made one at a time as a batch; the commonest set of shapes is taken to be the right one.

    **Arguments:** `failures`: a sentence a run, empty where it came back; the sentence is put in for a run of another
    shape.

    **Raises:** `SimulatorError` when no run came back, or none with an observation.
    """
    shapes = [None if r is None else tuple(sorted((k, v.shape) for k, v in r.items())) for r in results]
    seen = [s for s in shapes if s is not None]
    if not seen:
        raise SimulatorError(f"all {len(results)} runs failed; the first: {failures[0]}")
    usual = max(set(seen), key=seen.count)
    if not usual:
        raise SimulatorError("the simulator returned no observations: it must return a dict of arrays by name")
    for i, shape in enumerate(shapes):
        if shape is not None and shape != usual:
            failures[i] = f"the simulator returned shapes {dict(shape)}, not {dict(usual)}"
    blank = {name: np.full(shape, np.nan, np.float32) for name, shape in usual}
    rows = [blank if why else row for row, why in zip(results, failures, strict=True)]
    observations = {name: np.stack([row[name] for row in rows]) for name in blank}  # type: ignore[index]
    kinds = {why: np.array([f == why for f in failures]) for why in dict.fromkeys(failures) if why}
    return _judge(observations, kinds)


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)


def source_hash(thing: Any) -> str:
    """A hash of the source text of a class or function; of its bytecode where there is no text."""
    try:
        text = inspect.getsource(thing).encode()
    except (OSError, TypeError):
        code = getattr(thing, "__code__", None)
        text = code.co_code if code is not None else repr(_name(thing)).encode()
    return hashlib.sha256(text).hexdigest()[:16]
