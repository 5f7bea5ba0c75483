"""Parameters that vary: over time, or with covariates, without touching the model.

`Varying(model, {"beta": curve})` is a model whose steps are the inner model's with `beta` set to the curve's value at
that time. What the curve is made of are its own declared parameters, so that a space binds them and a gradient reaches
them like any others.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from .._errors import ParameterError, UnknownParameterError, did_you_mean
from ..core.domain import Domain
from ..core.draw import Draw
from ..core.model import Model, bind, parameters
from .curves import Curve


class Varying(Model):
    """A model some of whose parameters follow curves.

    Its parameters are the inner model's others as `model.gamma`, and the curves' as `curves.beta.values`. Sites, their
    random numbers and the observations are the inner model's own.

    **Arguments:** `model`; `curves`: parameter name to its curve. A value on the real line goes through the link of the
    parameter's domain: the exponential above a bound, the logistic function between two, none on the whole line.

    **Raises:** `UnknownParameterError`; `ParameterError` for a curve of another shape than its parameter.
    """

    model: Model
    curves: dict[str, Curve]

    def __check_init__(self) -> None:
        known = parameters(self.model)
        for name, curve in self.curves.items():
            if name not in known:
                raise UnknownParameterError(f"no parameter '{name}'; {did_you_mean(name, list(known))}")
            found, wanted = jax.eval_shape(curve.at, jnp.int32(1)).shape, jnp.shape(known[name].value)
            if found != wanted:
                raise ParameterError(f"the curve of '{name}' has shape {found}, the parameter {wanted}")

    def init(self, draw: Draw) -> Any:
        return self._now(draw.time).init(draw)

    def step(self, draw: Draw, state: Any) -> Any:
        return self._now(draw.time).step(draw, state)

    def observe(self, state: Any) -> dict[str, Array]:
        return self.model.observe(state)

    def _now(self, time: Array) -> Model:
        return bind(self.model, self.values(time))

    def values(self, time: Array) -> dict[str, Array]:
        """What each varying parameter is at a time, in its domain."""
        known = parameters(self.model)
        return {name: linked(known[name].domain, curve.at(time)) for name, curve in self.curves.items()}

    def priors(self) -> dict[str, dist.Distribution]:
        """N(0, 1) for each number of the curves, by the names that a `Space` takes."""
        own = {name: p for name, p in parameters(self).items() if name.startswith("curves.")}
        return {name: dist.Normal(0.0, 1.0).expand(jnp.shape(p.value)) for name, p in own.items()}


def linked(domain: Domain, real: Array) -> Array:
    """A number on the real line brought into a domain."""
    low, high = domain.low, domain.high
    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) * jax.nn.sigmoid(real)
    if math.isfinite(low):
        return low + jnp.exp(real)
    return high - jnp.exp(-real) if math.isfinite(high) else real


def unlinked(domain: Domain, value: Any) -> Array:
    """The real number that `linked` brings to a value inside the domain."""
    value, low, high = jnp.asarray(value, jnp.float32), domain.low, domain.high
    if math.isfinite(low) and math.isfinite(high):
        share = (value - low) / (high - low)
        return jnp.log(share) - jnp.log1p(-share)
    if math.isfinite(low):
        return jnp.log(value - low)
    return -jnp.log(high - value) if math.isfinite(high) else value
