"""Names for the arrays and trees that pass between rooms."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

Key: TypeAlias = PRNGKeyArray
"""A typed JAX random key (`jax.random.key`), scalar unless said otherwise."""

State: TypeAlias = PyTree[Any]
"""What the next step needs: any pytree of arrays."""

Observations: TypeAlias = Mapping[str, Array]
"""What `observe` returns each step; after a run every array has time as its leading axis."""

Parameters: TypeAlias = Mapping[str, Array]
"""Parameter values by (dotted) name; in a batch every array has runs as its leading axis."""

Table2D: TypeAlias = np.ndarray
"""A host array of shape (rows, columns)."""
