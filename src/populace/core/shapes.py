"""What fits: a site's name, the shapes of its arguments and its mask; and a tree that goes round a loop."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import SiteError, StateError
from .._types import State
from . import distributions as d
from .choice import Choice


def check_name(kind: str, name: str | int) -> None:
    """Names join to paths, so they hold no "/"."""
    if name == "" or "/" in str(name):
        raise SiteError(f"a {kind}'s name is a text without '/', not {name!r}")


def check_shapes(path: str, mechanism: d.Mechanism, shape: tuple[int, ...]) -> None:
    """Each parameter of a site is a scalar or has the population's shape."""
    if isinstance(mechanism, d.Decision):
        for leaf in jax.tree.leaves(mechanism.view):
            if leaf.shape[:1] != shape[:1]:
                raise SiteError(
                    f"site '{path}': a part of the view has shape {leaf.shape}; every part has agents "
                    f"({shape[0] if shape else 'none'}) on its leading axis (jnp.broadcast_to what all share)"
                )
    if isinstance(mechanism, (d.Decision, d.Subset, d.Permutation, d.Match)):
        return
    cut = 1 if isinstance(mechanism, d.Categorical) else 0
    leaves = jax.tree.leaves(mechanism)
    for leaf in leaves:
        batch = leaf.shape[: leaf.ndim - cut]
        if batch not in ((), shape):
            raise SiteError(
                f"site '{path}' ({mechanism.kind}): parameters of shapes {[leaf.shape for leaf in leaves]} "
                f"do not fit a population {shape}; each is a scalar or has the population's shape"
            )


def zeros(shapes: Any) -> Any:
    """A tree of zeros with the shapes and dtypes of another, whose leaves may be shapes only."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def masked(path: str, value: Any, where: Float[Array, "..."]) -> Any:
    """0, or the choice of no option, where `where` is 0."""
    active = where > 0
    if isinstance(value, Choice):
        options = value.one_hot.shape[-1]
        return Choice(value.one_hot * active[..., None], jnp.where(active, value.index, options))

    def one(leaf: Any) -> Any:
        if isinstance(leaf, Choice):
            return masked(path, leaf, where)
        leaf = jnp.asarray(leaf)
        if leaf.shape[: where.ndim] != where.shape:
            raise SiteError(f"site '{path}': a value of shape {leaf.shape} does not fit where {where.shape}")
        return jnp.where(active.reshape(active.shape + (1,) * (leaf.ndim - active.ndim)), leaf, jnp.zeros_like(leaf))

    return jax.tree.map(one, value, is_leaf=lambda leaf: isinstance(leaf, Choice))


def strong(leaf: Any) -> Array:
    """An array whose dtype is its own: no weak type of a Python number."""
    leaf = jnp.asarray(leaf)
    return jax.lax.convert_element_type(leaf, leaf.dtype)


def same_tree(who: str, what: str, before: State, after: State) -> State:
    """The tree after a turn, checked to have the structure, shapes and dtypes that it had before.

    **Raises:** `StateError` that says which part changes from what to what.
    """
    old_structure, new_structure = jax.tree.structure(before), jax.tree.structure(after)
    if old_structure != new_structure:
        raise StateError(
            f"{who} returns another structure than it was given: {new_structure} instead of {old_structure}"
        )

    def one(path: Any, old: Array, new: Any) -> Array:
        new = jnp.asarray(new)
        fits = new.dtype == old.dtype or (new.weak_type and jnp.result_type(old, new) == old.dtype)
        if new.shape != old.shape or not fits:
            raise StateError(
                f"{who} changes {what}{jax.tree_util.keystr(path)} from {old.dtype}{list(old.shape)} "
                f"to {new.dtype}{list(new.shape)}: begin with what it comes to, or cast with .astype"
            )
        return new.astype(old.dtype)

    return jax.tree_util.tree_map_with_path(one, before, after)
