"""One twin a run for all parameters: a flip is proposed without regard to them, and weighed by reverse mode.

The twin of `twin.py` keeps a flip in proportion to its weight, which is another one for each parameter, so that a run
takes a copy a parameter. Here a flip is kept in proportion to q, how fast it comes about when its own distribution
moves by a unit (p (1 - p) of a coin: its logit by one). It counts w / q times, w = dp being the weight that a parameter
gives it. The chain of w back to the parameters is one backward pass of the run, however many there are:

    d E[f] = E[ (S / q) (f with the flip - f) dp ],    S the sum of all q.

Gaurav Arya, Moritz Schauer, Frank Schaefer and Christopher Rackauckas (2022), NeurIPS 35, with importance sampling of
the flip.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._types import Key
from ..core.distributions import Bernoulli, Binomial, Categorical, Geometric, Mechanism, Poisson
from .estimator import PerKey
from .flips import Flips, flips
from .loss import ExpectedLoss
from .one_flip import Noted
from .twins import Course, Twins, ahead
from .walk import Place, first, following

_TAG = 0x57A1


class SharedTwin(PerKey):
    """The twin for many parameters: its cost does not grow with their number, its spread does.

    Unbiased where `Twin` is, but that a draw of probability exactly 0 or 1 is never flipped.

    **Arguments:** `candidates`, `importance`: as for `Twin`.
    """

    unbiased: ClassVar[bool] = True
    differentiates: ClassVar[bool] = True
    candidates: int = eqx.field(static=True, default=1)
    importance: Float[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32), default=0.0)

    def one(self, expected: ExpectedLoss, at: dict[str, Array], key: Key) -> tuple[Array, dict[str, Array]]:
        matters = ahead(expected, self.importance)
        picks = jr.split(jr.fold_in(key, _TAG), self.candidates)
        course = Course(expected, jax.lax.stop_gradient(at), key, picks)

        def followed(at: dict[str, Array]) -> tuple[Array, Array]:
            """A number with the derivative wanted; and the loss."""
            start, _ = _stepped(course, at, None, jnp.int32(0), matters[0])
            step = jax.checkpoint(lambda pair, time: _stepped(course, at, pair, time, matters[time]))
            times = jnp.arange(1, expected.simulation.steps + 1, dtype=jnp.int32)
            (place, twins), (rows, seen) = jax.lax.scan(step, start, times)
            value = course.loss(place, rows)
            gaps = course.gaps(twins, seen, rows, value)
            return value + (twins.worth * jax.lax.stop_gradient(gaps)).mean(), jax.lax.stop_gradient(value)

        gradient, value = jax.grad(followed, has_aux=True)(at)
        return value, gradient

    def runs(self, at: Mapping[str, Array]) -> float:
        return 4.0 + self.candidates

    @property
    def name(self) -> str:
        return "SharedTwin" if self.candidates == 1 else f"SharedTwin({self.candidates} candidates)"


def _stepped(
    course: Course, at: dict[str, Array], pair: tuple[Place, Twins] | None, time: Array, matters: Array
) -> tuple[tuple[Place, Twins], Any]:
    """Run and twins a step on. The run and what its flips are worth carry derivatives, the twins none."""
    run = course.expected.bound(at)
    if pair is None:
        after, tape = first(run, course.key, (Noted(),), {})
        here, twins, row = None, None, None
    else:
        here, twins = pair
        after, row, tape = following(run, course.key, time, here, (Noted(),), {})
    sizes, worth = {}, {}
    for path, note in tape.items():
        if "mechanism" not in note:
            continue
        mechanism = jax.lax.stop_gradient(note["mechanism"])
        moved = jax.tree.map(jnp.subtract, note["mechanism"], mechanism)  # 0, with the derivative of the numbers
        ways = flips(mechanism, moved, note["value"], note["where"])
        paces = _paces(mechanism, note["value"], note["where"])
        if ways is not None and paces is not None:
            size = matters * jnp.abs(paces.weight)
            sizes[path] = Flips(size, paces.value)
            worth[path] = jnp.where(size > 0, ways.weight / jnp.where(size > 0, size, 1.0), 0.0)
    twins, seen = course.stepped(time, jax.lax.stop_gradient(here), twins, sizes, worth)
    return (after, twins), (row, seen)


def _paces(mechanism: Mechanism, value: Any, where: Array) -> Flips | None:
    """The flips of a site, weighed by how fast they come about when a logit, or the logarithm of a rate, moves by one;
    of a choice by the probability of each other option.
    """
    match mechanism:
        case Bernoulli(p=p):
            return flips(mechanism, Bernoulli(p * (1.0 - p)), value, where)
        case Binomial(n=n, p=p):
            return flips(mechanism, Binomial(jnp.zeros_like(n), p * (1.0 - p)), value, where)
        case Geometric(p=p):
            return flips(mechanism, Geometric(p * (1.0 - p)), value, where)
        case Poisson(rate=rate):
            return flips(mechanism, Poisson(rate), value, where)
        case Categorical(logits=logits):
            ways = flips(mechanism, mechanism, value, where)
            other = jnp.arange(logits.shape[-1]) != value.index[..., None]
            size = jnp.where((where > 0)[..., None] & other, jax.nn.softmax(logits), 0.0)
            return None if ways is None else Flips(jnp.moveaxis(size, -1, 0), ways.value)
        case _:
            return None
