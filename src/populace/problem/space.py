"""The space of parameters: what is not known, by name, and what is believed of it beforehand."""

import math
from collections.abc import Callable, Mapping
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .._errors import DomainError, SpaceError, did_you_mean
from .._types import Key, Parameters
from ..core.domain import Domain
from ..core.host import by_rooms, joined, placed, traced
from ..core.model import Parameter
from .prior import Prior

_Function = Callable[[Prior, Array], Array]

_sample = jax.jit(Prior.sample, static_argnums=2)
_log_prob = by_rooms(Prior.log_prob)
_log_jacobian = by_rooms(Prior.log_jacobian)
_log_prob_real = by_rooms(Prior.log_prob_real)
_to_real, _from_real = by_rooms(Prior.to_real), by_rooms(Prior.from_real)
_cdf, _from_unit = by_rooms(Prior.cdf), by_rooms(Prior.from_unit)


@final
class Space:
    """Named parameters with priors, independent of each other.

    `Space(beta=dist.LogUniform(0.01, 1.0))`, or, for dotted names, `Space({"household.beta": dist.Uniform(0, 1)})`.

    A prior is a continuous numpyro distribution: a scalar, or an array (`dist.Uniform(0, 1).expand([3])`, a
    multivariate normal). A batch maps each name to an array (n, *shape of its prior). All functions of batches are
    plain JAX (float32, for `jit` and `grad`) with runs on the leading axis; d numbers in all, in the order of `labels`.

    **Raises:** `SpaceError` for what is no such prior, or a name given twice.
    """

    def __init__(self, priors: Mapping[str, Any] | None = None, /, **named: Any):
        dotted = dict(priors or {})
        twice = sorted(dotted.keys() & named.keys())
        if twice:
            raise SpaceError(f"'{twice[0]}' is given two priors: keep one")
        self._priors = {name: Prior(name, prior) for name, prior in {**dotted, **named}.items()}
        if not self._priors:
            raise SpaceError("a space has at least one parameter: Space(beta=numpyro.distributions.Uniform(0.0, 1.0))")

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, as they were given."""
        return tuple(self._priors)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter, () for a scalar."""
        return {name: prior.shape for name, prior in self._priors.items()}

    @property
    def size(self) -> int:
        """d: how many numbers in all."""
        return sum(prior.size for prior in self._priors.values())

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each number, (d,): `beta`, or `weights[0]`, `weights[1]`, ..."""
        return tuple(label for prior in self._priors.values() for label in prior.labels)

    def extended(self, priors: Mapping[str, Any]) -> "Space":
        """The space with further parameters behind its own.

        **Raises:** `SpaceError` for a name that it has, or what is no prior.
        """
        more = Space(priors)
        twice = sorted(self._priors.keys() & more._priors.keys())
        if twice:
            raise SpaceError(f"the space has a '{twice[0]}' already: give the further parameter another name")
        more._priors = {**self._priors, **more._priors}
        return more

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the priors' supports, (d,) each, float64, infinite where there is none."""
        low = np.concatenate([prior.low.ravel() for prior in self._priors.values()])
        return low, np.concatenate([prior.high.ravel() for prior in self._priors.values()])

    def has_cdf(self) -> np.ndarray:
        """Whose distribution function numpyro knows, (d,) bool: `cdf` has derivatives there."""
        return np.concatenate([np.full(prior.size, prior.has_cdf) for prior in self._priors.values()])

    def sample(self, key: Key, n: int) -> dict[str, Float[Array, "n ..."]]:
        """N draws from the prior, strong float32, strictly inside its support.

        A parameter's draws depend on the key and its own name only: adding another changes none.
        """
        return {name: _sample(prior, prior.own(key), int(n)) for name, prior in self._priors.items()}

    def log_prob(self, batch: Parameters) -> Float[Array, " n"]:
        """The log-density of the prior; minus infinity outside its support."""
        return self._sum(_log_prob, self._given(batch))

    def flat(self, batch: Parameters) -> Float[Array, "n d"]:
        """The batch as a matrix."""
        given = list(self._given(batch).values())
        if not traced(given):
            return placed(np.concatenate([np.asarray(value).reshape(len(value), -1) for value in given], axis=1))
        return jnp.concatenate([value.reshape((value.shape[0], -1)) for value in given], axis=1)

    def unflat(self, matrix: Float[ArrayLike, "n d"]) -> dict[str, Float[Array, "n ..."]]:
        """The batch of a matrix: the inverse of `flat`."""
        parts = self._each(lambda prior, part: part.reshape((part.shape[0], *prior.shape)), self._parts(matrix))
        return {name: placed(part) for name, part in parts.items()}

    def to_real(self, batch: Parameters) -> Float[Array, "n d"]:
        """The batch on the real line, number by number, without bounds.

        Each prior's way is numpyro's bijection from its support, after taking back what the prior is a transform of
        (a `LogUniform` goes by the logarithm). An end of a closed support is put at +-40; outside it is NaN.
        """
        return self._columns(_to_real, self._given(batch))

    def from_real(self, real: Float[ArrayLike, "n d"]) -> dict[str, Float[Array, "n ..."]]:
        """The inverse of `to_real`, strictly inside the support."""
        return self._each(_from_real, self._parts(real))

    def log_jacobian(self, real: Float[ArrayLike, "n d"]) -> Float[Array, " n"]:
        """Log |det d from_real / d real|."""
        return self._sum(_log_jacobian, self._parts(real))

    def log_prob_real(self, real: Float[ArrayLike, "n d"]) -> Float[Array, " n"]:
        """The log-density of the prior on the real line."""
        return self._sum(_log_prob_real, self._parts(real))

    def cdf(self, batch: Parameters) -> Float[Array, "n d"]:
        """Each number on its prior's probability scale, in [0, 1].

        By numpyro's distribution function; where there is none (several dependent numbers, some rare families), by
        the rank among 20,000 draws under a fixed key, whose error is at most 0.0035 (one standard error).
        """
        return self._columns(_cdf, self._given(batch))

    def from_unit(self, unit: Float[ArrayLike, "n d"]) -> dict[str, Float[Array, "n ..."]]:
        """The batch at given prior probabilities, the inverse of `cdf`: it turns a design on the unit cube into one
        that follows the prior. Where numpyro has no quantiles, by interpolation in 20,000 draws.

        **Raises:** `SpaceError` where numbers of one prior depend on each other.
        """
        return self._each(_from_unit, self._parts(unit))

    def check(self, parameters: Mapping[str, Parameter]) -> None:
        """Whether the space fits a simulator's parameters; one that names none takes any.

        **Raises:** `SpaceError` for an unknown name or another shape; `DomainError` where the prior's support leaves
        the parameter's domain. An end that only the prior includes is no matter: no draw falls on it.
        """
        if not parameters:
            return
        for name, prior in self._priors.items():
            if name not in parameters:
                raise SpaceError(f"the simulator has no parameter '{name}'; {did_you_mean(name, list(parameters))}")
            wanted = tuple(jnp.shape(parameters[name].value))
            if prior.shape != wanted:
                raise SpaceError(
                    f"the prior of '{name}' has shape {prior.shape}, the parameter {wanted}: expand the prior, "
                    f".expand({list(wanted)}), or give one number"
                )
            _check_domain(prior, parameters[name].domain)

    def describe(self) -> dict[str, Any]:
        """Each prior's family, shape and numbers, in order, as plain JSON: for a fingerprint."""
        return {name: prior.describe() for name, prior in self._priors.items()}

    # Inside

    def _given(self, batch: Parameters) -> dict[str, Array]:
        given = {}
        for name, prior in self._priors.items():
            if name not in batch:
                raise SpaceError(f"the batch holds no '{name}'; {did_you_mean(name, list(batch))}")
            value = placed(batch[name])
            if value.shape[1:] != prior.shape or value.ndim == 0:
                raise SpaceError(
                    f"'{name}' has shape {value.shape} in the batch, not (n, {', '.join(map(str, prior.shape))})"
                )
            given[name] = value
        return given

    def _parts(self, matrix: Float[ArrayLike, "n d"]) -> dict[str, Array]:
        on: Any = jnp if traced(matrix) else np  # on the device each number of rows would be split by its own program
        rows = on.asarray(matrix, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.size:
            raise SpaceError(
                f"a matrix of shape {rows.shape} is no batch of {self.size} numbers: give (n, {self.size})"
            )
        cuts = np.cumsum([prior.size for prior in self._priors.values()])[:-1]
        return dict(zip(self._priors, on.split(rows, cuts, axis=1), strict=True))

    def _each(self, of: _Function, values: dict[str, Array]) -> dict[str, Array]:
        return {name: of(prior, values[name]) for name, prior in self._priors.items()}

    def _sum(self, of: _Function, values: dict[str, Array]) -> Array:
        terms = list(self._each(of, values).values())
        return jnp.stack(terms).sum(0) if traced(terms) else jax.device_put(np.stack(terms).sum(0))

    def _columns(self, of: _Function, values: dict[str, Array]) -> Array:
        columns = list(self._each(of, values).values())
        return jnp.concatenate(columns, axis=1) if traced(columns) else joined(columns, axis=1)


def _check_domain(prior: Prior, domain: Domain) -> None:
    low, high = np.float32(prior.low.min()), np.float32(prior.high.max())
    if low >= np.float32(domain.low) and high <= np.float32(domain.high):
        return
    if math.isinf(domain.high) and domain.low == 0:
        mend = "take LogNormal, Gamma, LogUniform, or TruncatedNormal(..., low=0)"
    elif math.isfinite(domain.low) and math.isfinite(domain.high):
        ends = f"{domain.low:g}, {domain.high:g}"
        mend = f"take Uniform({ends}), or TruncatedNormal(..., low=..., high=...) with these ends"
    else:
        mend = "truncate it: TruncatedNormal(..., low=..., high=...)"
    raise DomainError(
        f"the prior of '{prior.name}' reaches from {low:g} to {high:g}, outside the parameter's domain {domain}: {mend}"
    )
