"""One prior: a numpyro distribution seen as a list of numbers, each with its ends and its way to the real line."""

import functools
import math
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, final

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform, biject_to
from numpyro.distributions.util import lazy_property

from .._errors import SpaceError
from .._types import Key

_DRAWS = 20_000
"""Draws behind the probability scale of a prior whose distribution function numpyro does not know."""
_TRIED = 100
"""Draws that a prior is tried with when it is built."""
_FAR = 40.0
"""Where on the real line an end of a closed support is put; its image is the end, to float32."""


@jax.tree_util.register_pytree_node_class
@final
class Prior:
    """A prior of `size` numbers in an array of shape `shape`.

    The way to the real line is that of the prior's own construction: one made by transforming another (a `LogUniform`
    is the exponential of a `Uniform`) is taken back to the other first, then by numpyro's bijection from its support.
    So what is spread over decades stays so on the real line.

    To JAX it is a tree of numbers: a compiled function of it and of values serves all priors of its family and shape,
    whatever their names. One that needs more than its numbers (draws for a rank, attributes that numpyro does not
    carry over) is a tree without leaves, which compiles for itself alone.

    **Attributes:** `low`, `high`: arrays `shape`, float64, the ends of the support, infinite where there is none;
    `has_cdf`: whether numpyro knows the distribution function.
    """

    name: str
    shape: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray
    has_cdf: bool

    def __init__(self, name: str, prior: Any):
        _check_kind(name, prior)
        self.name = name
        self._joint: Any = prior.to_event(len(prior.batch_shape)) if prior.batch_shape else prior
        self.shape = tuple(self._joint.event_shape)
        self._core = _unwrapped(self._joint)
        self._way = _way(name, self._core)
        self.low, self.high = _ends(self._core, self._way, self.shape)
        self._narrow = self.low.astype(np.float32), self.high.astype(np.float32)
        self._inside = _inside(self.low, self.high)
        self._point = np.zeros(self.shape, np.float32)
        self.has_cdf, self._has_icdf = self._knows("cdf"), self._knows("icdf")
        self._tree = self._flattened()
        self._point = self._tried()[0]
        self._tree = self._flattened()

    def tree_flatten(self) -> tuple[Sequence[Any], Any]:
        """The numbers, and what else makes the prior."""
        return self._tree

    @classmethod
    def tree_unflatten(cls, rest: Any, numbers: Iterable[Any]) -> "Prior":
        """A prior without a name, for functions of values."""
        if isinstance(rest, Prior):
            return rest
        made = object.__new__(cls)
        made.shape, structure = rest
        made.has_cdf = made._has_icdf = True
        made._joint, made._way, made._narrow, made._inside, made._point = jax.tree.unflatten(structure, numbers)
        made._core = _unwrapped(made._joint)
        return made

    @property
    def size(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)

    @property
    def labels(self) -> tuple[str, ...]:
        """`name`, or `name[0]`, `name[0, 1]`, ..."""
        if not self.shape:
            return (self.name,)
        return tuple(f"{self.name}[{', '.join(map(str, index))}]" for index in np.ndindex(*self.shape))

    def sample(self, key: Key, n: int) -> Float[Array, "n ..."]:
        """Draws (n, *shape), strong float32, strictly inside the support."""
        return jnp.clip(jnp.asarray(self._joint.sample(key, (n,)), jnp.float32), *self._inside)

    def own(self, key: Key) -> Key:
        """The key of this name, so that its numbers do not depend on other parameters."""
        return jr.fold_in(key, zlib.crc32(self.name.encode()))

    def log_prob(self, value: Float[Array, "n ..."]) -> Float[Array, " n"]:
        """The log-density (n,); minus infinity outside the support."""
        low, high = self._narrow
        held = (value >= jnp.asarray(low, value.dtype)) & (value <= jnp.asarray(high, value.dtype))
        inside = _rows(held).all(1)
        safe = jnp.where(inside.reshape((-1,) + (1,) * len(self.shape)), value, jnp.asarray(self._point, value.dtype))
        return jnp.where(inside, self._joint.log_prob(safe), -jnp.inf)

    def to_real(self, value: Float[Array, "n ..."]) -> Float[Array, "n size"]:
        """The numbers on the real line, (n, size); an end of the support is put at +-40; NaN outside."""
        inner: Any = value
        for transform in reversed(self._way):
            inner = transform.inv(inner)
        return jnp.nan_to_num(_rows(jnp.asarray(inner)), nan=jnp.nan, posinf=_FAR, neginf=-_FAR)

    def from_real(self, real: Float[Array, "n size"]) -> Float[Array, "n ..."]:
        """The inverse of `to_real`, strictly inside the support."""
        value: Any = real.reshape((real.shape[0], *self.shape))
        for transform in self._way:
            value = transform(value)
        return jnp.clip(value, *self._inside)

    def log_jacobian(self, real: Float[Array, "n size"]) -> Float[Array, " n"]:
        """Log |det d from_real / d real|, (n,)."""
        value: Any = real.reshape((real.shape[0], *self.shape))
        total = jnp.zeros(real.shape[0], real.dtype)
        for transform in self._way:
            after = transform(value)
            total = total + _rows(jnp.asarray(transform.log_abs_det_jacobian(value, after))).sum(1)
            value = after
        return total

    def log_prob_real(self, real: Float[Array, "n size"]) -> Float[Array, " n"]:
        """The log-density on the real line, (n,)."""
        return self.log_prob(self.from_real(real)) + self.log_jacobian(real)

    def cdf(self, value: Float[Array, "n ..."]) -> Float[Array, "n size"]:
        """The prior probability of a smaller number, one by one, (n, size)."""
        if self.has_cdf:
            bounded = jnp.clip(value, *(jnp.asarray(end, value.dtype) for end in self._narrow))
            return jnp.clip(_rows(jnp.asarray(self._core.cdf(bounded))), 0.0, 1.0)
        ranked = jnp.asarray(self._ranked)
        below = jax.vmap(lambda draws, x: jnp.searchsorted(draws, x, side="right"), in_axes=1, out_axes=1)
        return below(ranked, _rows(value)) / jnp.float32(ranked.shape[0])

    def from_unit(self, unit: Float[Array, "n size"]) -> Float[Array, "n ..."]:
        """The quantiles: the inverse of `cdf`, for priors whose numbers are independent of each other."""
        if self._core.event_shape:
            raise SpaceError(
                f"the numbers of the prior of '{self.name}' depend on each other, so that probabilities one by one do "
                "not place them: sample from it instead"
            )
        inner = jnp.clip(unit.reshape((unit.shape[0], *self.shape)), 1e-7, 1.0 - 1e-7)
        if self._has_icdf:
            value = jnp.asarray(self._core.icdf(inner))
        else:
            ranked = jnp.asarray(self._ranked)
            places = (jnp.arange(ranked.shape[0], dtype=jnp.float32) + 0.5) / ranked.shape[0]
            interpolate = jax.vmap(lambda u, draws: jnp.interp(u, places, draws), in_axes=1, out_axes=1)
            value = interpolate(_rows(inner), ranked).reshape(inner.shape)
        return jnp.clip(jnp.asarray(value, jnp.float32), *self._inside)

    def describe(self) -> dict[str, Any]:
        """The family, from the outside in, its shape and its numbers, as plain JSON."""
        families, inner = [], self._joint
        while inner is not None:
            families.append(type(inner).__name__)
            inner = getattr(inner, "base_dist", None)
        numbers = [float(x) for array in _numbers(self._joint) for x in np.ravel(np.asarray(array, np.float64))]
        plain = [x if math.isfinite(x) else str(x) for x in numbers]
        return {"family": families, "shape": list(self.shape), "numbers": plain}

    @functools.cached_property
    def _ranked(self) -> np.ndarray:
        """Draws in rising order, number by number, (_DRAWS, size): made when first needed, be it inside a `jit`."""
        with jax.ensure_compile_time_eval():
            return np.sort(np.asarray(_rows(self.sample(self.own(jr.key(0)), _DRAWS))), axis=0)

    def _flattened(self) -> tuple[Sequence[Any], Any]:
        if self.has_cdf and self._has_icdf and _carried(self._joint):
            parts = self._joint, self._way, self._narrow, self._inside, self._point
            numbers, structure = jax.tree.flatten(parts)
            return [_on_device(number) for number in numbers], (self.shape, structure)
        return (), self

    def _knows(self, function: str) -> bool:
        """Whether numpyro has this function for the prior; only its shapes are worked out."""
        if self._core.event_shape:
            return False
        try:
            jax.eval_shape(getattr(self._core, function), jnp.full(self.shape, 0.5, jnp.float32))
        except (NotImplementedError, ImportError):  # some quantiles of numpyro need tensorflow_probability
            return False
        return True

    def _tried(self) -> np.ndarray:
        """Some draws; refuses a prior that cannot be drawn from, or whose draws are no points of its own density."""
        if not (self.low < self.high).all():
            raise SpaceError(
                f"the prior of '{self.name}' reaches from {self.low} to {self.high}: the first must be less"
            )
        try:
            drawn, density = _trial(self, self.own(jr.key(0)))
        except NotImplementedError as error:
            raise SpaceError(f"the prior of '{self.name}' cannot be sampled: take a proper distribution") from error
        if not (np.isfinite(np.asarray(drawn)).all() and np.isfinite(np.asarray(density)).all()):
            raise SpaceError(f"the prior of '{self.name}' draws or weighs NaN or infinity: check its parameters")
        return np.asarray(drawn)


@jax.jit
def _trial(prior: Prior, key: Key) -> tuple[Array, Array]:
    drawn = prior.sample(key, _TRIED)
    return drawn, prior._joint.log_prob(drawn)


def _carried(part: Any) -> bool:
    """Whether numpyro takes a distribution apart and puts it together again without losing an attribute."""
    if not isinstance(part, dist.Distribution):
        return True
    known = {*type(part).gather_pytree_data_fields(), *type(part).gather_pytree_aux_fields(), "reparametrized_params"}
    lazy = {name for name in vars(part) if isinstance(getattr(type(part), name, None), lazy_property)}
    return vars(part).keys() - lazy <= known and all(map(_carried, vars(part).values()))


def _on_device(number: Any) -> Any:
    """An array of float32 for what is a float on the host; whole numbers stay as they are."""
    real = isinstance(number, float | np.floating) or (isinstance(number, np.ndarray) and number.dtype.kind == "f")
    return jax.device_put(np.asarray(number, np.float32)) if real else number


def _numbers(part: Any) -> list[Any]:
    """The numbers that a distribution or transform is made with, by name from the outside in.

    numpyro's own order, that of the leaves of its trees, is that of a set of strings: another in every process.
    """
    if isinstance(part, dist.Distribution):
        names = sorted(type(part).gather_pytree_data_fields())
        return [a for name in names for a in _numbers(getattr(part, name, None))]
    if isinstance(part, Transform | constraints.Constraint):
        return [a for name, value in sorted(vars(part).items()) if name[0] != "_" for a in _numbers(value)]
    if isinstance(part, list | tuple):
        return [a for one in part for a in _numbers(one)]
    return [part] if isinstance(part, int | float | np.ndarray | np.generic | jax.Array) else []


def _rows(value: Array) -> Array:
    return jnp.reshape(value, (value.shape[0], -1))


def _check_kind(name: str, prior: Any) -> None:
    if not isinstance(prior, dist.Distribution):
        raise SpaceError(
            f"the prior of '{name}' is a {type(prior).__name__}, not a numpyro distribution: write for example "
            "numpyro.distributions.Uniform(0.0, 1.0); a number that is known is bound in the model, not given a prior"
        )
    if isinstance(prior, dist.Delta):
        raise SpaceError(f"the prior of '{name}' is one point: bind the value in the model instead")
    if prior.is_discrete:
        raise SpaceError(
            f"the prior of '{name}' ({type(prior).__name__}) is discrete, and parameters are real numbers: take a "
            "continuous prior, and round inside the model"
        )


def _unwrapped(prior: Any) -> Any:
    while isinstance(prior, (dist.Independent, dist.ExpandedDistribution)):
        prior = prior.base_dist
    return prior


def _transformed(core: Any) -> bool:
    """Whether the prior transforms another, number by number."""
    return isinstance(core, dist.TransformedDistribution) and not core.event_shape and not core.base_dist.event_shape


def _way(name: str, core: Any) -> tuple[Transform, ...]:
    support = _unwrapped(core.base_dist).support if _transformed(core) else core.support
    try:
        first = biject_to(support)
    except NotImplementedError as error:
        raise SpaceError(
            f"the prior of '{name}' has the support {support}, from which numpyro knows no way to the reals"
        ) from error
    if _interval(support) is None:
        raise SpaceError(
            f"the prior of '{name}' ({type(core).__name__}) binds its numbers to each other (support {support}): give "
            "each a prior of its own (for shares: Gamma weights, which the model divides by their sum)"
        )
    return (first, *core.transforms) if _transformed(core) else (first,)


def _interval(support: Any) -> tuple[Any, Any] | None:
    """The two ends of a support that is an interval for each number; None for any other."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if isinstance(support, type(constraints.real)):
        return -math.inf, math.inf
    low, high = getattr(support, "lower_bound", None), getattr(support, "upper_bound", None)
    if low is None and high is None:
        return None
    return -math.inf if low is None else low, math.inf if high is None else high


def _ends(core: Any, way: tuple[Transform, ...], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the support. numpyro gives a transformed prior the range of its last transform (a stretched Uniform
    has "all reals"), so the ends of what is transformed are followed through; rounding is taken off where both agree.
    """
    declared = [np.asarray(end, np.float64) for end in _interval(core.support) or (-math.inf, math.inf)]
    if _transformed(core):
        ends = [jnp.asarray(end, jnp.float32) for end in _interval(_unwrapped(core.base_dist).support) or ()]
        for transform in way[1:]:
            ends = [transform(end) for end in ends]
        followed = np.sort(np.stack(np.broadcast_arrays(*(np.asarray(end, np.float64) for end in ends))), axis=0)
        declared = [np.where(np.isclose(a, b, 1e-6, 1e-30), a, b) for a, b in zip(declared, followed, strict=True)]
    return np.broadcast_to(declared[0], shape).copy(), np.broadcast_to(declared[1], shape).copy()


def _inside(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The float32 numbers next to the ends, inwards; no denormal numbers, which processors take for 0."""
    tiny, infinite = np.finfo(np.float32).tiny, np.float32(np.inf)
    low, high = low.astype(np.float32), high.astype(np.float32)
    above = np.where(low == 0, tiny, np.nextafter(low, infinite))
    below = np.where(high == 0, -tiny, np.nextafter(high, -infinite))
    return above, below
