"""The single-flip twin: a copy of the run that differs by one flipped draw and goes on with the same numbers.

Every draw that a parameter moves could have come out otherwise, at a rate (see `flips.py`); the derivative of an
expected loss is the mean of the sum over all of them of weight times (loss with the flip - loss without). One flip is
kept a run, in proportion to its weight (a reservoir over sites, agents and steps), and stands for all. Continuous
numbers carry their ordinary derivative beside it.

Gaurav Arya, Moritz Schauer, Frank Schaefer and Christopher Rackauckas (2022), NeurIPS 35 (stochastic triples);
smoothed perturbation analysis: Wei-Bo Gong and Yu-Chi Ho (1987), IEEE Transactions on Automatic Control 32.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._types import Key
from ..core.distributions import Mechanism
from ..core.ensemble import OneRun
from ..core.plug import Forced, Plug, Proceed
from ..core.site import Site
from .estimator import PerKey
from .flips import Flips, flips
from .loss import ExpectedLoss
from .score import DISCRETE
from .walk import Place, first, following, observed

_TAG = 0x7717
_AT_ONCE = 8


class Twin(PerKey):
    """The twin, one a parameter and candidate.

    Unbiased for models whose jumps are all chance events of the discrete kinds, with continuous draws and states
    besides as long as no jump hangs on a continuous number that a parameter moves (the lint of `pop.sites` names
    such places). At a `decide` site the rule's own draws are flipped; a policy's are not.

    **Arguments:** `candidates`: flips followed a run and parameter; the mean over them is taken.
    """

    unbiased: ClassVar[bool] = True
    differentiates: ClassVar[bool] = True
    candidates: int = eqx.field(static=True, default=1)

    def one(self, expected: ExpectedLoss, at: dict[str, Array], key: Key) -> tuple[Array, dict[str, Array]]:
        flat, unravel = ravel_pytree(at)
        shared = expected.simulation.one()

        def along(i: Array) -> tuple[Array, Array]:
            tangent = unravel((jnp.arange(flat.size) == i).astype(jnp.float32))
            picks = jr.split(jr.fold_in(jr.fold_in(key, _TAG), i), self.candidates)
            return _derivative(expected, shared, at, tangent, key, picks)

        values, slopes = jax.lax.map(along, jnp.arange(flat.size), batch_size=min(_AT_ONCE, flat.size))
        return values[0], unravel(slopes)

    def runs(self, at: Mapping[str, Array]) -> float:
        return float(sum(value.size for value in at.values()) * (2 + self.candidates))

    @property
    def name(self) -> str:
        return "Twin" if self.candidates == 1 else f"Twin({self.candidates} candidates)"


class _Noted(Plug):
    """Puts every discrete draw on the tape: value, mask, and the mechanism with a number an agent."""

    def sites(self) -> tuple[str, ...]:
        return ()

    def around(self, site: Site, proceed: Proceed) -> Any:
        value = proceed(site)
        if isinstance(site.mechanism, DISCRETE):
            wide = jax.tree.map(lambda leaf: _spread(site.mechanism, leaf, site.shape), site.mechanism)
            site.emit({"value": value, "where": site.mask(), "mechanism": wide})
        return value


def _spread(mechanism: Mechanism, leaf: Array, shape: tuple[int, ...]) -> Array:
    own = leaf.shape[len(mechanism.batch) :] if leaf.ndim > len(mechanism.batch) else ()
    return jnp.broadcast_to(leaf, (*shape, *own))


class _Pair(eqx.Module):
    """The run, its tangent, and its twins (candidates on the leading axis)."""

    real: Place
    tangent: Any
    twin: Place
    total: Float[Array, ""]
    signed: Float[Array, " candidates"]
    since: Float[Array, " candidates"]


@dataclass(frozen=True)
class _Task:
    """What a derivative is taken of, and along what."""

    expected: ExpectedLoss
    shared: OneRun
    at: dict[str, Array]
    tangent: dict[str, Array]
    key: Key

    def real(self, pair: _Pair | None, time: Array) -> tuple[tuple[Place, Any], tuple[Any, Any], dict[str, Flips]]:
        """The run's next place and row, their tangents, and every way to flip a draw on the way there."""
        here, slope = (None, None) if pair is None else (pair.real, pair.tangent)

        def recorded(values: Any, place: Place | None) -> tuple[tuple[Place, Any], dict[str, Any]]:
            run = self.expected.bound(values)
            if place is None:
                after, tape = first(run, self.key, (_Noted(),), {})
                return (after, None), tape
            after, row, tape = following(run, self.key, time, place, (_Noted(),), {})
            return (after, row), tape

        (now, tape), (d_now, d_tape) = eqx.filter_jvp(recorded, (self.at, here), (self.tangent, slope))
        return now, d_now, _options(tape, d_tape)

    def twin(self, time: Array, start: Place | None, given: dict[str, Any]) -> tuple[Place, Any]:
        """A twin's next place and row, with what is forced of its draws."""
        run = self.expected.bound(self.at)
        if start is None:
            return first(run, self.key, (Forced(),), given)[0], None
        place, row, _ = following(run, self.key, time, start, (Forced(),), given)
        return place, row

    def loss(self, place: Place, rows: Any) -> Array:
        """The loss of a whole run."""
        return self.expected.terms(observed(self.shared, place, rows)).sum()


def _derivative(
    expected: ExpectedLoss, shared: OneRun, at: dict[str, Array], tangent: dict[str, Array], key: Key, picks: Key
) -> tuple[Array, Array]:
    """Loss, and derivative of the expected loss along `tangent`, from one run and its twins."""
    task = _Task(expected, shared, at, tangent, key)
    times = jnp.arange(1, shared.steps + 1, dtype=jnp.int32)

    def one(pair: _Pair, time: Array) -> tuple[_Pair, Any]:
        return _stepped(task, pair, time, picks)

    start, _ = _stepped(task, None, jnp.int32(0), picks)
    pair, (rows, d_rows, seen) = jax.lax.scan(one, start, times)
    value, path = eqx.filter_jvp(task.loss, (pair.real, rows), (pair.tangent, d_rows))

    def other(place: Place, mine: Any, since: Array) -> Array:
        """A twin's rows count from its flip on; before, it was the run."""
        later = times >= since
        mixed = jax.tree.map(lambda a, b: jnp.where(later.reshape((-1,) + (1,) * (a.ndim - 1)), a, b), mine, rows)
        return task.loss(place, mixed)

    others = jax.vmap(other, in_axes=(0, 1, 0))(pair.twin, seen, pair.since)
    jumps = jnp.where(pair.total > 0, pair.total * pair.signed * (others - value), 0.0)
    return value, path + jumps.mean()


def _stepped(task: _Task, pair: _Pair | None, time: Array, picks: Key) -> tuple[_Pair, Any]:
    """Run and twins a step on: each twin goes on, or starts anew from the run with one of this step's flips.

    A flip of this step is kept in proportion to its weight among all weights so far (a reservoir).
    """
    (after, row), (d_after, d_row), options = task.real(pair, time)
    size = sum((jnp.abs(way.weight).sum() for way in options.values()), jnp.float32(0))
    total = size if pair is None else pair.total + size

    def twin(pick: Key, before: Place | None, signed: Array, since: Array) -> tuple[Place, Any, Array, Array]:
        choose, replace = jr.split(jr.fold_in(pick, time))
        anew = jr.uniform(replace) * total < size
        given, sign = _one_flip(options, choose, anew)
        real = None if pair is None else pair.real
        start = None if real is None else jax.tree.map(lambda a, b: jnp.where(anew, a, b), real, before)
        place, seen = task.twin(time, start, given)
        return place, seen, jnp.where(anew, sign, signed), jnp.where(anew, time, since)

    if pair is None:
        none = jnp.zeros(picks.shape[0])
        places, seen, signed, since = jax.vmap(lambda p, s, t: twin(p, None, s, t))(picks, none, none)
    else:
        places, seen, signed, since = jax.vmap(twin)(picks, pair.twin, pair.signed, pair.since)
    tangent = _zeros(after, d_after)
    return _Pair(after, tangent, places, total, signed, since), (row, _zeros(row, d_row), seen)


def _zeros(value: Any, tangent: Any) -> Any:
    """The tangent of every floating array of `value`, zeros where it has none; None for all else."""
    is_none = lambda leaf: leaf is None  # noqa: E731
    return jax.tree.map(
        lambda v, t: None if not eqx.is_inexact_array(v) else jnp.zeros_like(v) if t is None else t,
        value,
        tangent,
        is_leaf=is_none,
    )


def _options(tape: dict[str, Any], change: dict[str, Any]) -> dict[str, Flips]:
    """The flips of every site on the tape."""
    found = {}
    for path, note in tape.items():
        if "mechanism" in note:
            slope = _zeros(note["mechanism"], change[path]["mechanism"])
            ways = flips(note["mechanism"], slope, note["value"], note["where"])
            if ways is not None:
                found[path] = ways
    return found


def _one_flip(options: dict[str, Flips], key: Key, wanted: Array) -> tuple[dict[str, Any], Array]:
    """What to force for one flip among all, if `wanted`, and the sign of its weight.

    The site first, then way and agent: a float32 cumulative sum over millions of numbers would be coarse.
    """
    if not options:
        return {}, jnp.float32(0)
    which, where = jr.split(key)
    sizes = jnp.stack([jnp.abs(ways.weight).sum() for ways in options.values()])
    site = picked(sizes, jr.uniform(which, (2,)))
    given, sign = {}, jnp.float32(0)
    for number, (path, ways) in enumerate(options.items()):
        here = wanted & (site == number)
        at = picked(jnp.abs(ways.weight).reshape(-1), jr.uniform(jr.fold_in(where, number), (2,)))
        shape = ways.weight.shape[1:]
        agents = math.prod(shape)
        mask = (jnp.arange(agents) == at % agents).reshape(shape) & here
        given[path] = {"mask": mask, "value": ways.value(at // agents)}
        sign = jnp.where(here, jnp.sign(ways.weight.reshape(-1)[at]), sign)
    return given, sign


_COLUMNS = 1024


def picked(weights: Float[Array, " n"], uniform: Float[Array, " two"]) -> Array:
    """An index drawn in proportion to `weights`, by rows of a thousand and then within the row."""
    rows = -(-weights.size // _COLUMNS)
    if rows == 1:
        return _inverted(weights, uniform[0])
    table = jnp.pad(weights, (0, rows * _COLUMNS - weights.size)).reshape(rows, _COLUMNS)
    row = _inverted(table.sum(1), uniform[0])
    return row * _COLUMNS + _inverted(table[row], uniform[1])


def _inverted(weights: Float[Array, " n"], uniform: Array) -> Array:
    up_to = jnp.cumsum(weights)
    found = jnp.searchsorted(up_to, uniform * up_to[-1], side="right")
    return jnp.minimum(found, weights.size - 1).astype(jnp.int32)
