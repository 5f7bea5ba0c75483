"""What populace costs over JAX written by hand: a network SIR of a million agents, ten contacts each, fifty steps.

Both sides simulate the same rules on the same edge list, in the same run, turn and turn about. Before a time counts,
their mean epidemic curves over a few keys must agree within four standard errors. The hand-written side is what one
would write: a scan over steps, `jax.random.bernoulli`, and `jax.ops.segment_sum` over edges sorted by receiver.

    python benchmarks/overhead.py [--agents N] [--steps T] [--repeats R] [--json]
"""

import argparse
import json
import statistics
import time

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import populace as pop
from populace.zoo.sir import SIR

BETA, GAMMA, SEEDED, DEGREE = 0.05, 0.1, 0.01, 10


def by_hand(senders, receivers, agents, steps):
    """The same epidemic as a compiled function of key and parameters."""

    @jax.jit
    def run(key, beta, gamma, seeded):
        first, rest = jr.split(key)
        infected = jr.bernoulli(first, seeded, (agents,)).astype(jnp.float32)

        def step(state, key):
            infected, recovered = state
            k1, k2 = jr.split(key)
            susceptible = 1 - infected - recovered
            pressure = jax.ops.segment_sum(infected[senders], receivers, agents, indices_are_sorted=True)
            caught = susceptible * jr.bernoulli(k1, -jnp.expm1(-beta * pressure))
            healed = infected * jr.bernoulli(k2, gamma, (agents,))
            after = (infected + caught - healed, recovered + healed)
            return after, (after[0].sum(), after[1].sum())

        return jax.lax.scan(step, (infected, jnp.zeros_like(infected)), jr.split(rest, steps))[1]

    return run


def same_work(ours, theirs, keys):
    """The largest gap between the mean curves, in standard errors of their difference."""
    a = np.array([np.asarray(ours(k), np.float64) for k in keys])
    b = np.array([np.asarray(theirs(k), np.float64) for k in keys])
    error = np.sqrt((a.var(0, ddof=1) + b.var(0, ddof=1)) / len(keys))
    return float(np.max(np.abs(a.mean(0) - b.mean(0)) / np.maximum(error, 1.0)))


def timed(call, key):
    start = time.perf_counter()
    jax.block_until_ready(call(key))
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    args = parser.parse_args()

    network = pop.random_network(jr.key(0), args.agents, DEGREE)
    senders, receivers, _ = network.edges()
    hand = by_hand(jnp.asarray(senders), jnp.asarray(receivers), args.agents, args.steps)
    parameters = tuple(jnp.float32(x) for x in (BETA, GAMMA, SEEDED))
    model = SIR(network, *parameters)

    def ours(key):
        return pop.simulate(model, key, args.steps).observations["infected"]

    def theirs(key):
        return hand(key, *parameters)[0]

    first_ours, first_theirs = timed(ours, jr.key(1)), timed(theirs, jr.key(1))
    gap = same_work(ours, theirs, [jr.key(s) for s in range(10, 16)])
    pairs = [(timed(ours, jr.key(s)), timed(theirs, jr.key(s))) for s in range(args.repeats)]
    us, them = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    result = {
        "over_handwritten": ratio,
        "agent_steps_per_second": args.agents * args.steps / us,
        "compile_seconds": first_ours - us,
        "handwritten_agent_steps_per_second": args.agents * args.steps / them,
        "handwritten_compile_seconds": first_theirs - them,
        "same_work_gap_in_standard_errors": gap,
        "repeats": args.repeats,
    }
    for name, value in result.items():
        print(f"{name:40} {value:.4g}")
    if gap > 4:
        raise SystemExit("the two sides do not do the same work: no time counts")
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
