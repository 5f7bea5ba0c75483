"""What every topology must do: the laws of `populace.Topology`, for those who write their own."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._errors import ModelError
from .._types import Key
from ..core.draw import Draw
from ..interact.topology import Neighbour, Topology

LARGEST = 500
"""Agents in a topology that is checked: its matrix is written out."""
DRAWS = 1_000
"""Neighbours drawn for each agent."""
SIGMAS = 4.0
"""How far the drawn neighbours may be off, in standard deviations."""

Law = Callable[[Topology, np.ndarray, Key], None]


def check_topology(topology: Topology, key: Key) -> None:
    """Check every law that `Topology` states; return if all hold.

    The matrix A of weights is read from `topology.sum` of the unit vectors. Sums and derivatives are then compared
    with products of A, to the rounding of float32; the neighbours of DRAWS draws with the shares A[i, j] / degree[i],
    by a chi-square statistic over all agents that may lie SIGMAS standard deviations above its mean.

    **Arguments:** `topology`: of at most LARGEST agents; one with an isolated agent is the better test; `key`: for
    the numbers that are tried.

    **Raises:** `AssertionError` that names the law and what was found; `ModelError` if the topology is too large.
    """
    if topology.size > LARGEST:
        raise ModelError(f"{topology.size} agents: build one of {LARGEST} or fewer to check the class")
    matrix = _matrix(topology)
    for law, keys in zip(LAWS, jr.split(key, len(LAWS)), strict=True):
        law(topology, matrix, keys)


@eqx.filter_jit
def _sum(topology: Topology, values: Array) -> Array:
    return topology.sum(values)


def _matrix(topology: Topology) -> np.ndarray:
    unit = jnp.eye(topology.size, dtype=jnp.float32)
    found = _sum(topology, unit)
    _require(found.shape == unit.shape, topology, f"sum of values {unit.shape} has shape {found.shape}, not the same")
    _require(found.dtype == jnp.float32, topology, f"sum of float32 values is {found.dtype}, not float32")
    matrix = np.asarray(found, np.float64)
    _require(
        bool((np.isfinite(matrix) & (matrix >= 0)).all()), topology, "a weight is negative or not finite: sum(unit)"
    )
    return matrix


def _linear(topology: Topology, matrix: np.ndarray, key: Key) -> None:
    values = jr.normal(key, (2, topology.size))
    total = _sum(topology, 2.0 * values[0] - values[1])
    apart = 2.0 * _sum(topology, values[0]) - _sum(topology, values[1])
    _close(topology, "sum is not linear: sum(2u - v) against 2 sum(u) - sum(v)", total, apart, matrix, 3.0)
    _close(topology, "sum(u) is not A @ u", _sum(topology, values[0]), matrix @ np.asarray(values[0]), matrix)


def _dtypes(topology: Topology, matrix: np.ndarray, key: Key) -> None:
    some = jr.bernoulli(key, 0.5, (topology.size,))
    for values in (some, some.astype(jnp.int32), some.astype(jnp.float32)):
        found = _sum(topology, values)
        _require(found.dtype == jnp.float32, topology, f"sum of {values.dtype} values is {found.dtype}, not float32")
        _close(topology, f"sum of {values.dtype} values", found, matrix @ np.asarray(some), matrix)


def _shapes(topology: Topology, matrix: np.ndarray, key: Key) -> None:
    values = jr.normal(key, (topology.size, 2, 3))
    flat = np.asarray(values).reshape(topology.size, 6)
    found = _sum(topology, values)
    _require(found.shape == values.shape, topology, f"sum of values {values.shape} has shape {found.shape}")
    _close(topology, "trailing axes are mixed up", found.reshape(flat.shape), matrix @ flat, matrix, 4.0)
    for wrong in (jnp.zeros(topology.size + 1), jnp.zeros(())):
        refused = _refuses(topology, wrong)
        _require(refused, topology, f"values of shape {wrong.shape} are summed; raise ModelError (per_agent)")


def _refuses(topology: Topology, values: Array) -> bool:
    try:
        topology.sum(values)
    except ModelError:
        return True
    return False


def _degree(topology: Topology, matrix: np.ndarray, key: Key) -> None:
    del key
    degree = topology.degree()
    wanted = (topology.size,)
    _require(degree.shape == wanted, topology, f"degree has shape {degree.shape}, not {wanted}")
    _require(degree.dtype == jnp.float32, topology, f"degree is {degree.dtype}, not float32")
    _close(topology, "degree is not the sum of ones", degree, matrix.sum(axis=1), matrix)


def _derivatives(topology: Topology, matrix: np.ndarray, key: Key) -> None:
    def total(x: Array) -> Array:
        return topology.sum(x)

    @jax.jit
    def derivatives(at: Array, along: Array, back: Array) -> tuple[Array, ...]:
        tangent = jax.jvp(total, (at,), (along,))[1]
        cotangent = jax.vjp(total, at)[1](back)[0]
        linearised = jax.linearize(total, at)[1](along)
        kept = jax.grad(lambda x: jnp.vdot(jax.checkpoint(total)(x), back))(at)
        mixed = jax.jvp(jax.grad(lambda x: 0.5 * (total(x) ** 2).sum()), (at,), (along,))[1]
        return tangent, cotangent, linearised, kept, mixed, jnp.vdot(tangent, back) - jnp.vdot(along, cotangent)

    at, along, back = jr.normal(key, (3, topology.size))
    pushed, pulled = matrix @ np.asarray(along), matrix.T @ np.asarray(back)
    tangent, cotangent, linearised, kept, mixed, gap = derivatives(at, along, back)
    _close(topology, "the forward derivative (jvp) is not A @ tangent", tangent, pushed, matrix)
    _close(topology, "the reverse derivative (vjp) is not A' @ cotangent", cotangent, pulled, matrix)
    _close(topology, "<A v, w> is not <v, A' w>: jvp and vjp disagree", gap, 0.0, matrix, 4.0 * topology.size)
    _close(topology, "the linearised sum is not the jvp", linearised, pushed, matrix)
    _close(topology, "under jax.checkpoint the gradient changes", kept, pulled, matrix)
    scale = 4.0 * max(1.0, matrix.sum(axis=1).max(), matrix.sum(axis=0).max())
    _close(topology, "second derivatives fail", mixed, matrix.T @ pushed, matrix, scale)


def _transformations(topology: Topology, matrix: np.ndarray, key: Key) -> None:
    def total(x: Array) -> Array:
        return topology.sum(x)

    @jax.jit
    def jitted(values: Array) -> tuple[Array, Array, Array]:
        pulled = jax.vmap(jax.grad(lambda x: topology.sum(x)[0]))(values)
        return topology.sum(values[0]), jax.vmap(total)(values), pulled

    values = jr.normal(key, (3, topology.size))
    wanted = np.asarray(values) @ matrix.T
    one, batch, pulled = jitted(values)
    _close(topology, "under jit the sum changes", one, wanted[0], matrix)
    _close(topology, "under vmap the sum changes", jax.vmap(total)(values), wanted, matrix)
    _close(topology, "under jit of vmap the sum changes", batch, wanted, matrix)
    _close(topology, "under vmap the gradient changes", pulled, np.tile(matrix[0], (3, 1)), matrix)


def _one_neighbour(topology: Topology, matrix: np.ndarray, key: Key) -> None:
    found, again = (jax.jit(lambda k: topology.neighbour(Draw(k), "meet"))(key) for _ in range(2))
    _require(isinstance(found, Neighbour), topology, f"neighbour returns {type(found).__name__}, not Neighbour")
    wanted = (topology.size,)
    for part, array, dtype in (("index", found.index, jnp.int32), ("present", found.present, jnp.float32)):
        fits = array.shape == wanted and array.dtype == dtype
        _require(fits, topology, f"{part} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {wanted}")
    index, present = np.asarray(found.index), np.asarray(found.present)
    met = matrix.sum(axis=1) > 0
    _require(bool((present == met).all()), topology, "present is 1 exactly where the degree is positive")
    _require(bool((index[~met] == 0).all()), topology, "where no neighbour is present, the index is 0")
    same = bool((np.asarray(again.index) == index).all())
    _require(same, topology, "one key and one name meet different neighbours")


def _all_neighbours(topology: Topology, matrix: np.ndarray, key: Key) -> None:
    draws = jax.jit(jax.vmap(lambda k: topology.neighbour(Draw(k), "meet").index))(jr.split(key, DRAWS))
    met = np.flatnonzero(matrix.sum(axis=1) > 0)
    if not len(met):
        return
    index = np.asarray(draws)[:, met]
    _require(bool(((index >= 0) & (index < topology.size)).all()), topology, "the index of a neighbour is no agent")
    code = index + topology.size * np.arange(len(met))
    counts = np.bincount(code.ravel(), minlength=len(met) * topology.size).reshape(len(met), topology.size)
    wrong = counts[matrix[met] == 0].sum()
    _require(wrong == 0, topology, f"{wrong} neighbours were drawn whose weight is 0")
    off = _surprise(counts, matrix[met] / matrix[met].sum(axis=1, keepdims=True))
    message = f"neighbours are not drawn by weight: chi-square {off:.1f} standard deviations above its mean"
    _require(off < SIGMAS, topology, message)


def _surprise(counts: np.ndarray, shares: np.ndarray) -> float:
    """How many standard deviations the chi-square statistic of all agents lies above its mean (Wilson & Hilferty 1931).

    Rare neighbours of an agent, expected less than five times, are counted together.
    """
    rare = (shares > 0) & (shares * DRAWS < 5)
    counts = np.column_stack([np.where(rare, 0, counts), np.where(rare, counts, 0).sum(axis=1)])
    shares = np.column_stack([np.where(rare, 0.0, shares), np.where(rare, shares, 0.0).sum(axis=1)])
    kept = shares * DRAWS >= 5
    freedom = float((1.0 - shares[kept]).sum())
    if freedom < 0.5:
        return 0.0
    statistic = float(((counts[kept] - DRAWS * shares[kept]) ** 2 / (DRAWS * shares[kept])).sum())
    spread = 2.0 / (9.0 * freedom)
    return (np.cbrt(statistic / freedom) - (1.0 - spread)) / np.sqrt(spread)


LAWS: tuple[Law, ...] = (
    _linear,
    _dtypes,
    _shapes,
    _degree,
    _derivatives,
    _transformations,
    _one_neighbour,
    _all_neighbours,
)
"""The laws, each a function of the topology, its matrix and a key."""


def _name(topology: Topology) -> str:
    return type(topology).__name__


def _require(holds: bool, topology: Topology, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{_name(topology)}: {otherwise}")


def _close(
    topology: Topology,
    law: str,
    found: Array | float,
    wanted: Array | np.ndarray | float,
    matrix: np.ndarray,
    scale: float = 1.0,
) -> None:
    """Equal up to the rounding of float32: 16 steps of the largest sum of a row or column, times `scale`."""
    largest = max(matrix.sum(axis=1).max(), matrix.sum(axis=0).max(), matrix.max())
    allowed = 16.0 * scale * float(np.finfo(np.float32).eps) * max(largest, 1.0)
    worst = float(np.max(np.abs(np.asarray(found, np.float64) - np.asarray(wanted, np.float64)), initial=0.0))
    if not worst <= allowed:
        raise AssertionError(f"{_name(topology)}: {law} (off by {worst:.3g}, rounding allows {allowed:.3g})")
