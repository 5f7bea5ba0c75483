"""Families of distributions that a variational fit chooses from, over v: parameters in spreads of their priors."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from flowjax.bijections import RationalQuadraticSpline, TriangularAffine
from flowjax.distributions import AbstractDistribution, StandardNormal, Transformed
from flowjax.flows import coupling_flow, masked_autoregressive_flow

from .._types import Key


class Family(eqx.Module):
    """A family; its members are flowjax distributions with the same tree structure. The first stands near N(0, 1)."""

    @abc.abstractmethod
    def first(self, size: int, key: Key) -> AbstractDistribution:
        """The member to start from, over `size` numbers."""


class GaussianFamily(Family):
    """Gaussians with any covariance: cheap, and enough where the posterior is near one."""

    def first(self, size: int, key: Key) -> AbstractDistribution:
        return Transformed(StandardNormal((size,)), TriangularAffine(jnp.zeros(size), jnp.eye(size)))


class FlowFamily(Family):
    """Normalising flows: coupling layers of rational-quadratic splines on a Gaussian with any covariance.

    **Arguments:** `layers`, `width`: of the flow; `knots`: of each spline, between -`reach` and `reach` prior spreads.

    Conor Durkan, Artur Bekasov, Iain Murray and George Papamakarios (2019), NeurIPS 32 (neural spline flows).
    """

    layers: int = eqx.field(static=True, default=4)
    width: int = eqx.field(static=True, default=32)
    knots: int = eqx.field(static=True, default=8)
    reach: float = eqx.field(static=True, default=5.0)

    def first(self, size: int, key: Key) -> AbstractDistribution:
        make = masked_autoregressive_flow if size == 1 else coupling_flow  # one number has nothing to be coupled with
        spline = RationalQuadraticSpline(knots=self.knots, interval=self.reach)
        base = StandardNormal((size,))
        flow = make(key, base_dist=base, transformer=spline, flow_layers=self.layers, nn_width=self.width)
        # Networks that say next to nothing leave the splines at the identity.
        quiet = jax.tree.map(lambda leaf: _QUIET * leaf if eqx.is_inexact_array(leaf) else leaf, flow)
        return Transformed(quiet, TriangularAffine(jnp.zeros(size), jnp.eye(size)))


_QUIET = 0.1
