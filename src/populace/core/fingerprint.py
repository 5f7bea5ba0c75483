"""What an object is made of, as one short text: equal after a restart, another when any number in it is another."""

import dataclasses
import functools
import hashlib
import inspect
import re
import types
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def fingerprint(thing: Any) -> str:
    """A hash (SHA-256, hexadecimal) of settings: of a method, an optimiser, a function.

    Arrays count by their entries, dataclasses and modules by their fields, functions by their source text together
    with their defaults and what they close over (there optax keeps its learning rates), the rest by its `repr` without
    addresses.
    """
    digest = hashlib.sha256()
    _walk(thing, digest, ())
    return digest.hexdigest()


def _walk(thing: Any, digest: Any, above: tuple[int, ...]) -> None:
    """Feed `thing` to the digest; `above` are the functions it stands in, which may close over themselves."""

    def add(kind: str, *parts: Any) -> None:
        digest.update(f"<{kind} {len(parts)}>".encode())
        for part in parts:
            _walk(part, digest, above)

    match thing:
        case str() | bytes() | int() | float() | bool() | None:
            digest.update(f"{type(thing).__name__} {thing!r};".encode())
        case jax.Array() if jnp.issubdtype(thing.dtype, jax.dtypes.prng_key):
            add("key", str(jax.random.key_impl(thing)), np.asarray(jax.random.key_data(thing)))
        case jax.Array() | np.ndarray():
            array = np.asarray(thing)
            add("array", str(array.dtype), str(array.shape), np.ascontiguousarray(array).tobytes())
        case Mapping():
            add("mapping", *[part for item in sorted(thing.items(), key=lambda pair: repr(pair[0])) for part in item])
        case list() | tuple():
            add(type(thing).__qualname__, *thing)
        case functools.partial():
            add("partial", thing.func, thing.args, thing.keywords)
        case type():
            add("class", f"{thing.__module__}.{thing.__qualname__}")
        case _ if dataclasses.is_dataclass(thing):
            fields = [(field.name, getattr(thing, field.name)) for field in dataclasses.fields(thing)]
            add("object", type(thing), *[part for pair in fields for part in pair])
        case set() | frozenset():
            add("set", *sorted(thing, key=repr))
        case types.FunctionType():
            _function(thing, digest, above)
        case types.MethodType():
            add("method", thing.__func__, thing.__self__)
        case _ if callable(thing) and hasattr(thing, "__wrapped__"):
            add("wrapped", type(thing), inspect.unwrap(thing))
        case _:
            add("other", type(thing), re.sub(r" at 0x[0-9a-fA-F]+", "", repr(thing)))


def _function(function: types.FunctionType, digest: Any, above: tuple[int, ...]) -> None:
    digest.update(f"<function {function.__module__}.{function.__qualname__}>".encode())
    if id(function) in above:
        return
    code = function.__code__
    try:
        text = inspect.getsource(code).encode()
    except OSError:
        text = code.co_code + repr(code.co_names).encode()
    cells = [cell for cell in function.__closure__ or () if cell != types.CellType()]
    held = [cell.cell_contents for cell in cells]
    for part in (text, function.__defaults__, function.__kwdefaults__, held):
        _walk(part, digest, (*above, id(function)))
