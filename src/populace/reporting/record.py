"""A result's record as strict JSON."""

import json
import math
from typing import Any

import numpy as np

from populace._errors import OutputError


def to_json(record: Any) -> bytes:
    """`record` as JSON that any reader of the standard accepts.

    **Raises:** `OutputError` that names the key whose value JSON does not have: a NaN, an infinity, another object.
    """
    return (json.dumps(_plain(record, ""), allow_nan=False, ensure_ascii=False, indent=2) + "\n").encode()


def _plain(value: Any, key: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict):
        return {_name(name, key): _plain(inner, f"{key}.{name}" if key else str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{key}[{i}]") for i, inner in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise OutputError(
            f"cannot write '{key}' as JSON: its value is {value}, which JSON does not have; "
            "record None there, or leave the key out"
        )
    if value is None or isinstance(value, str | int | float):
        return value
    raise OutputError(
        f"cannot write '{key or 'the record'}' as JSON: it is a {type(value).__name__}; "
        "a record holds numbers, strings, lists and dicts"
    )


def _name(name: Any, key: str) -> str:
    if not isinstance(name, str):
        raise OutputError(
            f"cannot write '{key or 'the record'}' as JSON: its key {name!r} is no string; name it by one"
        )
    return name
