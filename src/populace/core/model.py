"""A model: rules as an equinox module, with declared parameters addressed by name."""

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .._errors import DomainError, ParameterError, UnknownParameterError, did_you_mean
from .domain import Domain, real
from .draw import Draw

M = TypeVar("M", bound=eqx.Module)
_MARK = "populace.parameter"


@dataclasses.dataclass(frozen=True)
class Declared:
    """What `parameter(...)` wrote down about a field."""

    unit: str
    domain: Domain
    doc: str


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of a model as it stands: its dotted name, value (float32), unit, domain and meaning."""

    name: str
    value: Array
    unit: str
    domain: Domain
    doc: str


def as_parameter(value: Any) -> Any:
    """A strong float32 array of what is given; what is no number (a placeholder of a tree operation) passes."""
    if isinstance(value, (str, bytes, complex)):
        raise ParameterError(f"a parameter holds numbers, not {value!r}")
    if isinstance(value, (bool, int, float, list, tuple, np.ndarray, np.generic, jax.Array)):
        try:
            return jnp.asarray(value, dtype=jnp.float32)
        except (TypeError, ValueError) as error:
            raise ParameterError(f"a parameter holds numbers, not {value!r}") from error
    return value


def parameter(*, default: Any = dataclasses.MISSING, unit: str = "", domain: Domain = real, doc: str = "") -> Any:
    """Declare a field of a module as a parameter: what a `Space` may bind and a gradient may reach.

    The value is cast to a strong float32 array, so that new values never recompile, and checked against the domain.

    **Arguments:** `default`: the value where none is given; `unit`: for people; `domain`: where the value may lie;
    `doc`: its meaning in a few words.

    **Raises:** `ParameterError` for what is no number. (`DomainError` is raised by the model's constructor and `bind`.)
    """
    metadata = {_MARK: Declared(unit, domain, doc)}
    if default is dataclasses.MISSING:
        return eqx.field(converter=as_parameter, metadata=metadata)
    value = np.asarray(default, dtype=np.float32)
    if value.ndim == 0:
        return eqx.field(converter=as_parameter, metadata=metadata, default=float(value))
    return eqx.field(converter=as_parameter, metadata=metadata, default_factory=lambda: value)


class Module(eqx.Module):
    """A module whose declared parameters are checked when it is built; observation models and layers use it too."""

    def __check_init__(self) -> None:
        for field in dataclasses.fields(self):
            declared = field.metadata.get(_MARK)
            if declared is not None:
                _check(type(self).__name__, field.name, declared.domain, getattr(self, field.name))


class Model(Module):
    """The rules of a population: how it starts, how it steps, what is seen of it.

    Implement three methods; each is written for one run, and whatever is random or chosen asks the draw.
    """

    @abc.abstractmethod
    def init(self, draw: Draw, /) -> Any:
        """The state at time 0: a pytree of arrays."""

    @abc.abstractmethod
    def step(self, draw: Draw, state: Any, /) -> Any:
        """The next state; structure, shapes and dtypes stay as `init` made them."""

    @abc.abstractmethod
    def observe(self, state: Any, /) -> dict[str, Array]:
        """What is recorded of a state, by name."""


def _check(owner: str, name: str, domain: Domain, value: Any) -> None:
    if isinstance(value, Tracer) or not isinstance(value, (jax.Array, np.ndarray)):
        return
    if not domain.contains(np.asarray(value)):
        raise DomainError(f"{owner}.{name} = {np.asarray(value)} lies outside its domain {domain}")


def _walk(tree: Any, prefix: str, found: dict[str, tuple[Any, str, Declared]]) -> None:
    for name, child in children(tree):
        path = f"{prefix}{name}"
        if isinstance(tree, eqx.Module):
            declared = type(tree).__dataclass_fields__[name].metadata.get(_MARK)
            if declared is not None:
                found[path] = (tree, name, declared)
                continue
        _walk(child, f"{path}.", found)


def children(tree: Any) -> list[tuple[str, Any]]:
    """The parts of a module or container in which parameters may be, by name."""
    if isinstance(tree, eqx.Module):
        fields = [f for f in dataclasses.fields(tree) if not f.metadata.get("static", False)]
        return [(f.name, getattr(tree, f.name, None)) for f in fields]
    if isinstance(tree, Mapping):
        return [(str(key), child) for key, child in tree.items()]
    if isinstance(tree, (list, tuple)):
        return [(str(index), child) for index, child in enumerate(tree)]
    return []


def parameters(module: eqx.Module) -> dict[str, Parameter]:
    """Every declared parameter by its dotted name, in the order of declaration."""
    found: dict[str, tuple[Any, str, Declared]] = {}
    _walk(module, "", found)
    return {
        path: Parameter(path, getattr(owner, name), declared.unit, declared.domain, declared.doc)
        for path, (owner, name, declared) in found.items()
    }


def bind(module: M, values: Mapping[str, Any]) -> M:
    """The module with some parameters replaced.

    **Arguments:** `values`: dotted name to value; each must have the shape of the parameter it replaces.

    **Raises:** `UnknownParameterError`, `ParameterError` (shape), `DomainError` (concrete values only: inside a
    compiled function the domain cannot be seen).
    """
    known = parameters(module)
    for name, value in values.items():
        if name not in known:
            raise UnknownParameterError(
                f"{type(module).__name__} has no parameter '{name}'; {did_you_mean(name, list(known))}"
            )
        shape, wanted = jnp.shape(as_parameter(value)), jnp.shape(known[name].value)
        if shape != wanted:
            raise ParameterError(f"parameter '{name}' has shape {wanted}, the value given has {shape}")
        _check(type(module).__name__, name, known[name].domain, as_parameter(value))
    return _replaced(module, values)


def settled(module: M) -> M:
    """The module with every parameter a strong float32 array in its domain again.

    `equinox.tree_at` skips the converters and checks of the constructor; a Python float that it put in would compile
    anew for each value. Verbs settle what they are given.
    """
    found = parameters(module)
    for name, known in found.items():
        _check(type(module).__name__, name, known.domain, as_parameter(known.value))
    return _replaced(module, {name: known.value for name, known in found.items() if not _settled(known.value)})


def _settled(value: Any) -> bool:
    return isinstance(value, jax.Array) and value.dtype == jnp.float32 and not value.weak_type


def _replaced(module: M, values: Mapping[str, Any]) -> M:
    if not values:
        return module
    names = list(values)
    return eqx.tree_at(
        lambda tree: [at_path(tree, name) for name in names],
        module,
        [as_parameter(values[name]) for name in names],
        is_leaf=lambda leaf: leaf is None,
    )


def at_path(tree: Any, path: str) -> Any:
    """The part of a tree of modules and containers that a dotted name leads to."""
    for piece in path.split("."):
        if isinstance(tree, Mapping):
            tree = tree[piece]
        elif isinstance(tree, (list, tuple)):
            tree = tree[int(piece)]
        else:
            tree = getattr(tree, piece)
    return tree


def describe_parameter(parameter: Parameter) -> str:
    """One line for people: name, value, unit, domain, meaning."""
    value = np.asarray(parameter.value)
    shown = f"{float(value):g}" if value.ndim == 0 else f"array{value.shape}"
    unit = f" {parameter.unit}" if parameter.unit else ""
    meaning = f": {parameter.doc}" if parameter.doc else ""
    return f"{parameter.name} = {shown}{unit} in {parameter.domain}{meaning}"


def size_of(parameters_: Mapping[str, Parameter]) -> int:
    """How many numbers the parameters hold together."""
    return sum(math.prod(jnp.shape(p.value)) for p in parameters_.values())
