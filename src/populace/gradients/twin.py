"""The single-flip twin: a copy of the run that differs by one flipped draw and goes on with the same numbers.

Every draw that a parameter moves could have come out otherwise, at a rate (see `flips.py`); the derivative of an
expected loss is the mean of the sum over all of them of weight times (loss with the flip - loss without). One flip is
kept a run (see `twins.py`), and stands for all. Continuous numbers carry their ordinary derivative beside it.

Gaurav Arya, Moritz Schauer, Frank Schaefer and Christopher Rackauckas (2022), NeurIPS 35 (stochastic triples);
smoothed perturbation analysis: Wei-Bo Gong and Yu-Chi Ho (1987), IEEE Transactions on Automatic Control 32.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._types import Key
from .estimator import PerKey
from .flips import Flips, flips
from .loss import ExpectedLoss
from .one_flip import Noted
from .twins import Course, Twins, ahead
from .walk import Place, first, following

_TAG = 0x7717
_AT_ONCE = 8


class Twin(PerKey):
    """The twin, one a parameter and candidate: flips are kept in proportion to their own weights.

    Unbiased for models whose jumps are all chance events of the discrete kinds, with continuous draws and states
    besides as long as no jump hangs on a continuous number that a parameter moves (the lint of `pop.sites` names
    such places). At a `decide` site the rule's own draws are flipped; a policy's are not.

    **Arguments:** `candidates`: flips followed a run and parameter; the mean over them is taken; `importance`: flips
    are preferred by the number of rows that they can still change, to this power (0: by their weights alone).
    """

    unbiased: ClassVar[bool] = True
    differentiates: ClassVar[bool] = True
    candidates: int = eqx.field(static=True, default=1)
    importance: Float[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32), default=0.0)

    def one(self, expected: ExpectedLoss, at: dict[str, Array], key: Key) -> tuple[Array, dict[str, Array]]:
        flat, unravel = ravel_pytree(at)
        matters = ahead(expected, self.importance)

        def along(i: Array) -> tuple[Array, Array]:
            tangent = unravel((jnp.arange(flat.size) == i).astype(jnp.float32))
            picks = jr.split(jr.fold_in(jr.fold_in(key, _TAG), i), self.candidates)
            return _derivative(Course(expected, at, key, picks), tangent, matters)

        values, slopes = jax.lax.map(along, jnp.arange(flat.size), batch_size=min(_AT_ONCE, flat.size))
        return values[0], unravel(slopes)

    def runs(self, at: Mapping[str, Array]) -> float:
        return float(sum(value.size for value in at.values()) * (2 + self.candidates))

    @property
    def name(self) -> str:
        return "Twin" if self.candidates == 1 else f"Twin({self.candidates} candidates)"


class _Pair(eqx.Module):
    """The run, its tangent, and its twins."""

    real: Place
    tangent: Any
    twins: Twins


def _derivative(course: Course, tangent: dict[str, Array], matters: Array) -> tuple[Array, Array]:
    """Loss, and derivative of the expected loss along `tangent`, from one run and its twins."""

    def one(pair: _Pair, time: Array) -> tuple[_Pair, Any]:
        return _stepped(course, tangent, pair, time, matters[time])

    start, _ = _stepped(course, tangent, None, jnp.int32(0), matters[0])
    times = jnp.arange(1, course.expected.simulation.steps + 1, dtype=jnp.int32)
    pair, (rows, d_rows, seen) = jax.lax.scan(one, start, times)
    value, path = eqx.filter_jvp(course.loss, (pair.real, rows), (pair.tangent, d_rows))
    return value, path + (pair.twins.worth * course.gaps(pair.twins, seen, rows, value)).mean()


def _stepped(
    course: Course, tangent: dict[str, Array], pair: _Pair | None, time: Array, matters: Array
) -> tuple[_Pair, Any]:
    """Run, tangent and twins a step on; the rows of each."""
    here, slope = (None, None) if pair is None else (pair.real, pair.tangent)

    def recorded(values: Any, place: Place | None) -> tuple[tuple[Place, Any], dict[str, Any]]:
        run = course.expected.bound(values)
        if place is None:
            after, tape = first(run, course.key, (Noted(),), {})
            return (after, None), tape
        after, row, tape = following(run, course.key, time, place, (Noted(),), {})
        return (after, row), tape

    (now, tape), (change, d_tape) = eqx.filter_jvp(recorded, (course.at, here), (tangent, slope))
    (after, row), (d_after, d_row) = now, change
    options = _options(tape, d_tape)
    sizes = {path: Flips(matters * ways.weight, ways.value) for path, ways in options.items()}
    worth = {path: jnp.sign(ways.weight) / matters for path, ways in options.items()}
    twins, seen = course.stepped(time, here, None if pair is None else pair.twins, sizes, worth)
    return _Pair(after, _zeros(after, d_after), twins), (row, _zeros(row, d_row), seen)


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
