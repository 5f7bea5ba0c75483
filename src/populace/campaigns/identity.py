"""What a run is known by: one hash of all that defines it.

Two runs with one identity have the same numbers, so that the second need not be made. What counts is the simulator
(what it says of itself, and its code), the parameters to the last bit, and the random key.
"""

import dataclasses
import functools
import hashlib
import inspect
import json
import types
from collections.abc import Iterator, Mapping
from typing import Any, cast

import jax
import numpy as np
from jaxtyping import Array

from .._errors import SimulatorError
from .._types import Key
from ..core.fingerprint import fingerprint
from ..core.plug import Plug, Window
from ..problem.simulators import Simulation, Simulator

_PLAIN = (bool, int, float, complex, str, bytes, tuple, np.ndarray, jax.Array)


@dataclasses.dataclass(frozen=True)
class Identified:
    """Runs as they are asked for: on the host, with their identities.

    `parameters`: name to (runs, ...), a parameter of one number as float64; `words` (runs, ...) uint32: the keys' data,
    of the `generator`; `ids` (runs,).
    """

    parameters: dict[str, np.ndarray]
    words: np.ndarray
    generator: str
    ids: tuple[str, ...]

    def key(self, rows: np.ndarray) -> Key:
        """The keys of these rows. Taking them out of an array of keys costs JAX milliseconds each time."""
        return jax.random.wrap_key_data(cast(Array, self.words[rows]), impl=self.generator)

    def some(self, rows: np.ndarray) -> dict[str, Any]:
        """The parameters of these rows, name to (rows, ...)."""
        return {name: value[rows] for name, value in self.parameters.items()}

    def one_key(self, row: int) -> Key:
        """The key of a row, as one run wants it."""
        return jax.random.wrap_key_data(cast(Array, self.words[row]), impl=self.generator)

    def told(self, row: int) -> tuple[str, str]:
        """The parameters and the key of a row as text: JSON, and the generator with its data."""
        values = json.dumps({name: value[row].tolist() for name, value in self.parameters.items()})
        return values, f"{self.generator} {' '.join(f'{word:08x}' for word in self.words[row].ravel())}"


def simulator_digest(simulator: Simulator) -> str:
    """The SHA-256 (hexadecimal) of a simulator: what `describe` says, and the code that it reaches.

    Code is that of the functions which the simulator holds (with defaults, and what they close over) or which its model
    and its plugs are made of, of the functions and classes of the same modules that these call by name, and of these
    modules' constants (plain values named in capitals). What other modules do does not count.

    **Raises:** `SimulatorError` when `describe` holds what is no JSON value.
    """
    try:
        told = json.dumps(simulator.describe(), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SimulatorError(
            f"{type(simulator).__name__}.describe() holds what JSON does not ({error}): return plain values"
        ) from error
    code = sorted(set(_code(simulator)))
    return hashlib.sha256(json.dumps([told, code]).encode()).hexdigest()


def identified(digest: str, parameters: Mapping[str, Any], keys: Key) -> Identified:
    """Give runs their identities: the SHA-256 of the simulator's digest, of each parameter's name, kind, shape and
    bits, in the order of the names, and of the key's kind and data.

    A parameter of one number counts by its value as float64, whatever it is held in.
    """
    host = {name: np.asarray(value) for name, value in parameters.items()}
    host = {name: value.astype(np.float64) if value.ndim == 1 else value for name, value in host.items()}
    words, generator = np.asarray(jax.random.key_data(keys)), str(jax.random.key_impl(keys))
    names = sorted(host)
    kinds = [(name, host[name].dtype.str, host[name].shape[1:]) for name in names]
    head = hashlib.sha256(json.dumps([digest, kinds, generator, words.dtype.str]).encode())
    rows = np.concatenate([_bytes(host[name]) for name in names] + [_bytes(words)], axis=1)
    ids = []
    for row in rows:
        one = head.copy()
        one.update(row.tobytes())
        ids.append(one.hexdigest())
    return Identified(host, words, generator, tuple(ids))


def _bytes(values: np.ndarray) -> np.ndarray:
    """Each row's bytes, (rows, bytes)."""
    flat = np.ascontiguousarray(values.reshape(values.shape[0], -1))
    return flat.view(np.uint8).reshape(values.shape[0], -1)


def _code(simulator: Simulator) -> Iterator[str]:
    """Fingerprints of the code that a simulator is made of, those inside it included."""
    if isinstance(simulator, Simulation):
        for kind in type(simulator.model).__mro__:
            if not _foreign(kind.__module__):
                yield from _reached(kind, set())
        yield from _of_plugs(simulator.plugs)
        return
    for field in dataclasses.fields(simulator):
        value = getattr(simulator, field.name)
        if isinstance(value, Simulator):
            yield from _code(value)
        elif callable(value):
            yield from _reached(value, set())


def _of_plugs(plugs: tuple[Plug, ...]) -> Iterator[str]:
    """Code of plugs that are not the house's, and of the functions and rules that plugs hold."""
    for plug in plugs:
        held = [getattr(plug, field.name) for field in dataclasses.fields(plug)]
        held += [held_in.who for held_in in held if isinstance(held_in, Window)]
        for thing in [type(plug), *(one for one in held if callable(one))]:
            if not _foreign(getattr(thing, "__module__", type(thing).__module__)):
                yield from _reached(thing, set())


def _foreign(module: str) -> bool:
    """Whether code is of the libraries underneath, whose versions are not a run's to keep."""
    return module.split(".", maxsplit=1)[0] in ("builtins", "equinox", "jax", "abc", "typing", "populace")


def _reached(thing: Any, known: set[int]) -> Iterator[str]:
    """Fingerprints of a function or class, and of what of its own module it names, and so on."""
    thing = inspect.unwrap(thing)
    thing = thing.__func__ if isinstance(thing, types.MethodType) else thing
    if id(thing) in known:
        return
    known.add(id(thing))
    match thing:
        case functools.partial():
            yield fingerprint((thing.args, thing.keywords))
            yield from _reached(thing.func, known)
        case type():
            for member in vars(thing).values():
                inner = getattr(member, "__func__", getattr(member, "fget", member))
                if isinstance(inner, types.FunctionType) and inner.__module__ == thing.__module__:
                    yield from _reached(inner, known)
        case types.FunctionType():
            yield from _function(thing, known)
        case _:  # an object that can be called: its class, and what it holds
            yield fingerprint(thing)
            yield from _reached(type(thing), known)


def _function(function: types.FunctionType, known: set[int]) -> Iterator[str]:
    """A function itself, what it closes over, and what it names. That of its module does not count, as a script has
    another when it is imported.
    """
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType()]
    held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *cells]
    plain = [value for value in held if not isinstance(value, types.FunctionType)]
    yield f"{function.__qualname__} {_text(function)} {fingerprint(plain)}"
    for value in held:
        if isinstance(value, types.FunctionType):
            yield from _reached(value, known)
    for name in sorted(_names(function.__code__)):
        value = function.__globals__.get(name)
        if name.isupper() and isinstance(value, _PLAIN):
            yield f"{name} {fingerprint(value)}"
        elif callable(value) and getattr(value, "__module__", None) == function.__module__:
            yield from _reached(value, known)


def _text(function: types.FunctionType) -> str:
    """A hash of a function's text; of its bytecode and constants where it has none, as at a prompt."""
    try:
        return fingerprint(inspect.getsource(function))
    except (OSError, TypeError):
        return fingerprint(_bytecode(function.__code__))


def _bytecode(code: types.CodeType) -> list[Any]:
    inner = [_bytecode(one) if isinstance(one, types.CodeType) else repr(one) for one in code.co_consts]
    return [code.co_code, code.co_names, *inner]


def _names(code: types.CodeType) -> set[str]:
    """The global names that code uses, in functions written inside it too."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found
