"""What every plug must do: the laws of `populace.Plug`, for those who write their own."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._errors import PopulaceError
from .._types import Key
from ..core.choice import Choice
from ..core.ensemble import OneRun, Outcome, one_run
from ..core.model import Model
from ..core.plug import Plug, Proceed
from ..core.record import EveryStep
from ..core.simulate import Run, simulate
from ..core.site import Site

STEPS = 4
"""Steps of a checked run."""


def check_plug(plug: Plug, model: Model, key: Key, *, unchanged: bool = False) -> None:
    """Check every law that `Plug` states, around the sites of a model; return if all hold.

    **Arguments:** `model`: small, with the sites that the plug names; `unchanged`: the plug may change no value at
    any site, as a relaxation or a recorder.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    _names_its_sites(plug)
    _holds_no_plain_numbers(plug)
    try:
        run = simulate(model, key, STEPS, plugs=(Watching(plug),))
    except PopulaceError as error:
        raise AssertionError(f"{_name(plug)}: with it the model cannot be run. {error}") from error
    _keeps_to_its_sites(plug, run, unchanged)
    _keeps_masks(plug, run)
    _goes_on_where_it_stopped(plug, model, key, run)
    _serves_many_runs(plug, model, key)


class Watching(Plug):
    """Stands around another plug, and notes at each site what it does to the value."""

    plug: Plug

    def sites(self) -> tuple[str, ...]:
        return self.plug.sites()

    def around(self, site: Site, proceed: Proceed) -> Any:
        value = self.plug.around(site, proceed)
        plain = proceed(site)
        one, other = _kinds(value), _kinds(plain)
        if one != other:
            raise AssertionError(
                f"{_name(self.plug)}: at site '{site.path}' it turns {other} into {one}: keep structure, shapes, dtypes"
            )
        site.emit({"same": _same(value, plain), "masked": _masked(site, value)})
        return value


def _names_its_sites(plug: Plug) -> None:
    named = plug.sites()
    sound = isinstance(named, tuple) and all(isinstance(path, str) and path for path in named)
    _require(sound, plug, f"sites() is {named!r}, not a tuple of paths (empty if none must exist)")


def _holds_no_plain_numbers(plug: Plug) -> None:
    plain = [leaf for leaf in jax.tree.leaves(plug) if isinstance(leaf, (bool, int, float, complex))]
    message = f"it holds {plain[:1]} as a plain number, which compiles anew for each value: convert to an array"
    _require(not plain, plug, message)


def _keeps_to_its_sites(plug: Plug, run: Run, unchanged: bool) -> None:
    named = plug.sites()
    for path, note in run.tape.items():
        foreign = bool(named) and path not in named
        same = bool(np.asarray(note["same"]).all())
        _require(same or not foreign, plug, f"it changes site '{path}', and its sites() are {named}")
        _require(same or not unchanged, plug, f"it changes the value of site '{path}', and must change none")


def _keeps_masks(plug: Plug, run: Run) -> None:
    for path, note in run.tape.items():
        kept = bool(np.asarray(note["masked"]).all())
        message = f"at site '{path}' an agent whose where is 0 gets a value: use site.mask()"
        _require(kept, plug, message)


def _goes_on_where_it_stopped(plug: Plug, model: Model, key: Key, run: Run) -> None:
    chunked = simulate(model, key, STEPS, plugs=(plug,), chunk=STEPS // 2)
    same = _bytes((run.observations, run.final)) == _bytes((chunked.observations, chunked.final))
    message = "compiled again, and stopped and resumed, the run is another: memory goes into the frame"
    _require(same, plug, message)


def _serves_many_runs(plug: Plug, model: Model, key: Key) -> None:
    arrays, static = eqx.partition(OneRun(model, (plug,), EveryStep(), STEPS), eqx.is_array)

    def many(arrays: OneRun, keys: Key) -> Outcome:
        return jax.vmap(lambda one: one_run(eqx.combine(arrays, static), (one, {})))(keys)

    try:
        jax.eval_shape(many, arrays, jr.split(key, 2))
    except (PopulaceError, jax.errors.JAXTypeError, NotImplementedError) as error:
        raise AssertionError(f"{_name(plug)}: it cannot be vectorised over runs. {error}") from error


def _same(value: Any, plain: Any) -> Array:
    pairs = zip(jax.tree.leaves(value), jax.tree.leaves(plain), strict=True)
    return jnp.stack([(one == other).all() for one, other in pairs]).all()


def _masked(site: Site, value: Any) -> Array:
    """Whether all masked agents have 0, or the choice of no option."""
    if site.where is None:
        return jnp.array(True)
    out = site.where <= 0

    def zero(leaf: Any) -> Array:
        if isinstance(leaf, Choice):
            return zero(leaf.one_hot) & (~out | (leaf.index == leaf.one_hot.shape[-1])).all()
        where = out.reshape(out.shape + (1,) * (jnp.ndim(leaf) - out.ndim))
        return (~where | (leaf == 0)).all()

    leaves = jax.tree.leaves(value, is_leaf=lambda node: isinstance(node, Choice))
    return jnp.stack([zero(leaf) for leaf in leaves]).all()


def _kinds(value: Any) -> tuple[Any, ...]:
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(value)]
    return jax.tree.structure(value), *((leaf.shape, leaf.dtype.name) for leaf in leaves)


def _bytes(tree: Any) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_array_like))]


def _name(plug: Plug) -> str:
    return type(plug).__name__


def _require(holds: bool, plug: Plug, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{_name(plug)}: {otherwise}")
