"""Advantages from rewards and values."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def generalised_advantages(
    rewards: Float[Array, "steps *agents"],
    values: Float[Array, "steps_and_one *agents"],
    goes_on: Float[Array, "steps *agents"],
    discount: float | Array,
    decay: float | Array,
) -> Float[Array, "steps *agents"]:
    """Exponentially weighted sums of temporal differences.

    A_t = d_t + g l c_t A_(t+1) with d_t = r_t + g c_t V_(t+1) - V_t, for a discount g, a decay l and c_t = 1 where the
    agent's life goes on after step t, else 0. With l = 1 they are discounted sums of rewards less the value, with l = 0
    one-step differences.

    J. Schulman, P. Moritz, S. Levine, M. Jordan and P. Abbeel (2016), "High-dimensional continuous control using
    generalized advantage estimation", ICLR.
    """
    differences = rewards + discount * goes_on * values[1:] - values[:-1]

    def back(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        difference, on = now
        here = difference + discount * decay * on * later
        return here, here

    _, advantages = jax.lax.scan(back, jnp.zeros_like(rewards[0]), (differences, goes_on), reverse=True)
    return advantages


def life_goes_on(
    asked: Float[Array, "steps_and_one agents"], ends: Float[Array, "steps agents"] | None, finite: bool
) -> Float[Array, "steps agents"]:
    """1 where what follows a step is still the same agent's. `ends`: where the learner says so itself."""
    on = asked[1:] * asked[:-1] if ends is None else 1.0 - ends
    return on.at[-1].set(0.0) if finite else on
