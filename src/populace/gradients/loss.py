"""What is differentiated: the expectation of a loss of the observations, as a function of parameters."""

from collections.abc import Callable, Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import GradientError, UnknownParameterError, did_you_mean
from .._types import Key
from ..core.ensemble import OneRun, one_run
from ..core.plug import Plug
from ..core.simulate import Recompute
from ..problem.simulators import Simulation
from ..problem.summary import Summary


@final
class ExpectedLoss(eqx.Module):
    """E[loss(observations)] over the runs of a model.

    **Arguments:** `simulation`: the model, its steps and what is recorded; `loss`: a JAX function of the observations
    of one run (a dict of arrays, rows on the leading axis), differentiable in them. It returns a number, or (rows,)
    terms of a sum, one for each row recorded, or (rows, agents), one for each agent in it: estimators that know that a
    draw cannot change what was before it, or what is too far away, then do without those terms; `through`: what the
    parameters go through before they are bound to the model (a dict of arrays to a dict of the model's parameters,
    differentiable): a change of scale, a network that maps covariates to parameters, a spline over time. None: they are
    the model's own.
    """

    simulation: Simulation
    loss: Callable[[dict[str, Array]], Array]
    through: Callable[[dict[str, Array]], dict[str, Array]] | None = None

    def terms(self, observations: dict[str, Array]) -> Float[Array, " terms"]:
        """The terms of one run's loss: one, or one a row."""
        found = jnp.asarray(self.loss(observations), jnp.float32)
        if found.ndim > 2:
            raise GradientError(
                f"a loss returns a number, one for each row recorded, or one for each row and agent, not an array "
                f"{found.shape}"
            )
        return jnp.atleast_1d(found) if found.ndim < 2 else found.sum(1)

    def local(self, observations: dict[str, Array], agents: int) -> Float[Array, "rows agents"]:
        """The terms of one run's loss by row and agent.

        **Raises:** `GradientError` where the loss does not return them.
        """
        found, wanted = jnp.asarray(self.loss(observations), jnp.float32), (len(self.rows()), agents)
        if found.shape != wanted:
            raise GradientError(
                f"terms by row and agent have the shape {wanted}, and the loss returned {found.shape}: observe each "
                "agent, and let the loss return its terms without summing them"
            )
        return found

    def one(
        self, at: Mapping[str, Array], key: Key, plugs: tuple[Plug, ...] = (), recompute: Recompute | None = None
    ) -> Float[Array, ""]:
        """The loss of one run, inside a trace, with further `plugs` innermost; `recompute`: see `Pathwise`."""
        run = self.bound(at)
        around = OneRun(run.model, (*run.plugs, *plugs), run.record, run.steps, recompute)
        return self.terms(one_run(around, (key, {})).observations).sum()

    def bound(self, at: Mapping[str, Array]) -> OneRun:
        """A run with its parameters, less the key."""
        return self.simulation.one().bind(dict(at) if self.through is None else self.through(dict(at)))

    def rows(self) -> Any:
        """The step of each row recorded, (rows,) int."""
        return self.simulation.record.times(1, self.simulation.steps)

    def at(self, values: Mapping[str, Any] | None) -> dict[str, Array]:
        """The point: the given parameters as strong float32 arrays; all of the simulation's where none are given.

        **Raises:** `UnknownParameterError`; `GradientError` where they are not known.
        """
        known = self.simulation.parameters()
        if self.through is not None:
            if values is None:
                raise GradientError("parameters that go through a function have no values of their own: pass at={...}")
            return {name: jnp.asarray(jnp.asarray(value), jnp.float32) for name, value in values.items()}
        given = {name: p.value for name, p in known.items()} if values is None else values
        for name in given:
            if name not in known:
                raise UnknownParameterError(f"no parameter '{name}'; {did_you_mean(name, list(known))}")
        return {name: jnp.asarray(jnp.asarray(value), jnp.float32) for name, value in given.items()}


@final
class WeighedMoments(eqx.Module):
    """The loss w' m(observations): a weighted sum of the moments of a target.

    With w = 2 V^-1 (E[m] - data) from other runs its gradient is that of (E[m] - data)' V^-1 (E[m] - data), without
    the bias that the square of one batch would have.
    """

    summary: Summary
    weights: Float[Array, " moments"]

    def __call__(self, observations: dict[str, Array]) -> Float[Array, ""]:
        return self.summary.of_run(observations) @ jax.lax.stop_gradient(self.weights)
