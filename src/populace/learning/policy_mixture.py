"""A policy that is drawn from several and kept: what a population of policies plays."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._types import Key
from ..core.policy import Act, Policy


class PolicyMixture(Policy):
    """Draws one of some policies where an agent decides for the first time in its life, and keeps to it.

    `chances`: of each; `members`: policies of one structure, on the leading axis of their arrays.
    """

    chances: Float[Array, " members"]
    members: Policy

    def memory(self) -> Any:
        return {"member": jnp.int32(-1), "own": self.member(jnp.int32(0)).memory()}

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        drawing, acting = jr.split(key)
        drawn = jr.categorical(drawing, jnp.log(self.chances)).astype(jnp.int32)
        which = jnp.where(memory["member"] < 0, drawn, memory["member"])
        act = self.member(which).act(view, memory["own"], acting)
        return Act(act.action, {"member": which, "own": act.memory}, act.info)

    def member(self, which: Any) -> Policy:
        """One of them."""
        arrays, static = eqx.partition(self.members, eqx.is_array)
        return eqx.combine(jax.tree.map(lambda leaf: leaf[which], arrays), static)
