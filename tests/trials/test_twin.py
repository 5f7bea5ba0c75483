"""Trial 2: a twin that differs from its run by one flipped draw gives an unbiased derivative.

A draw of probability p that came out x would have come out otherwise, had the parameter moved by e, with probability
e w: w = dp / (1 - p) where dp > 0 and x = 0, w = -dp / p where dp < 0 and x = 1. So dE[Y] is the mean of the sum of
w (Y flipped - Y) over all draws. One draw is kept, in proportion to w, with the sum W of all weights: a reservoir
over sites, agents and steps. Arya, Schauer, Schaefer and Rackauckas (2022), NeurIPS 35.
"""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree

import populace as pop
from populace.core.simulate import first_state, next_state
from populace.core.site import Frame

STEPS, RUNS = 8, 2000


def weights(note, change):
    """The flip rate of every draw of a site, 0 where it is masked or certain."""
    p, dp, x = note["mechanism"].p, change["mechanism"].p, note["value"]
    p, dp = jnp.broadcast_to(p, x.shape), jnp.broadcast_to(dp, x.shape)
    up = jnp.where((x == 0) & (dp > 0) & (p < 1), dp / (1 - p), 0.0)
    down = jnp.where((x == 1) & (dp < 0) & (p > 0), -dp / p, 0.0)
    return (up + down) * (note["where"] > 0)


def stepped(model, key, time, state, plugs, given):
    """State and tape after `init` (no state yet) or a step."""
    frame = Frame(given=given)
    if state is None:
        return first_state(model, key, plugs, frame), frame.tape
    return next_state(model, jr.fold_in(key, time), time, state, plugs, frame), frame.tape


def turn(model, along, key, pick, time, real, twin, total):
    """One step of run and twin: their states, the sum of weights so far, and whether the twin was started anew."""

    def recorded(values):
        return stepped(pop.bind(model, values), key, time, real, (pop.Record(),), {})

    values = {name: parameter.value for name, parameter in pop.parameters(model).items()}
    (after, tape), (_, change) = jax.jvp(recorded, (values,), (along,))
    rates, unravel = ravel_pytree({path: weights(note, change[path]) for path, note in tape.items()})
    grown = total + rates.sum()
    choose, replace = jr.split(pick)
    anew = jr.uniform(replace) * grown < rates.sum()
    flips = unravel(jnp.zeros(rates.shape).at[jr.categorical(choose, jnp.log(rates))].set(1.0) * anew)
    given = {path: {"mask": flips[path] > 0, "value": 1 - note["value"]} for path, note in tape.items()}
    before = None if real is None else jax.tree.map(lambda a, b: jnp.where(anew, a, b), real, twin)
    return after, stepped(model, key, time, before, (pop.Forced(),), given)[0], grown, anew


def derivative(model, along, key):
    """One unbiased estimate of the derivative of the summed prevalence, in the direction `along` of the parameters."""
    shared, picks = jr.split(key)

    def seen(state):
        return model.observe(state)["infected"]

    def one(carry, time):
        real, twin, total, y, z = carry
        real, twin, total, anew = turn(model, along, shared, jr.fold_in(picks, time), time, real, twin, total)
        return (real, twin, total, y + seen(real), jnp.where(anew, y, z) + seen(twin)), None

    nothing = jnp.float32(0)
    real, twin, total, _ = turn(model, along, shared, jr.fold_in(picks, 0), jnp.int32(0), None, None, nothing)
    (_, _, total, y, z), _ = jax.lax.scan(one, (real, twin, total, nothing, nothing), jnp.arange(1, STEPS + 1))
    return total * (z - y)


def test_the_twin_agrees_with_differences(sir):
    """For a rate and for a share of `init`, in one compiled function."""
    model = sir(40)
    names = list(pop.parameters(model))

    @jax.jit
    def many(along, keys):
        return jax.lax.map(lambda key: derivative(model, along, key), keys, batch_size=500)

    for name in ("beta", "seeded"):
        along = {other: jnp.float32(other == name) for other in names}
        twins = np.asarray(many(along, jr.split(jr.key(5), RUNS)))
        value, half = float(getattr(model, name)), 0.02
        ends = {name: jnp.array([value - half, value + half])}
        seen = pop.ensemble(model, jr.key(6), STEPS, runs=RUNS, parameters=ends).observations["infected"].sum(-1)
        pairs = (seen[1] - seen[0]) / (2 * half)
        error = np.sqrt(twins.var() / twins.size + pairs.var() / pairs.size)
        assert abs(twins.mean() - pairs.mean()) < 4 * error, name
        assert error < 0.1 * abs(pairs.mean()), name


def test_nothing_flipped_is_the_same_run(sir):
    """Forced with an empty mask, and recorded, a step is what it was."""
    model, key, time = sir(40), jr.key(1), jnp.int32(1)
    state = pop.simulate(model, key, 3).final.state

    @jax.jit
    def both(state):
        after, tape = stepped(model, key, time, state, (pop.Record(),), {})
        none = {path: {"mask": 0 * n["value"] > 0, "value": 1 - n["value"]} for path, n in tape.items()}
        return after, stepped(model, key, time, state, (pop.Forced(),), none)[0]

    after, again = both(state)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(again), strict=True))
