"""One run of a Python function at a time: what it is given, what it returns, and what goes wrong.

Nothing here imports JAX, so that a worker process which makes such runs starts in a tenth of a second.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Row = dict[str, np.ndarray]
"""The observations of one run, by name, in float32."""


def attempt(function: Callable[[Any, Any], Any], parameters: dict[str, Any], key: Any) -> tuple[Row | None, Any]:
    """One run: its observations and None, or None and the exception that it raised."""
    try:
        return {name: np.asarray(value, np.float32) for name, value in function(parameters, key).items()}, None
    except Exception as error:
        return None, error


def raised(error: BaseException) -> str:
    """The sentence for a run that raised."""
    return f"the simulator raised {type(error).__name__}: {error}"


def split(parameters: Mapping[str, Any], runs: int) -> list[dict[str, Any]]:
    """Parameters (runs, ...) as a dict a run: Python floats, and arrays where a parameter is a vector."""
    host = {name: np.asarray(value) for name, value in parameters.items()}
    return [{name: float(v[i]) if v.ndim == 1 else v[i] for name, v in host.items()} for i in range(runs)]
