"""What a sum over contacts costs: blocks of four against a sorted edge list, forward and reverse.

    python topologies.py [--json]

Every figure is the processor time of one application inside a compiled loop of ten (as in a simulation; alone, the
memory that XLA takes anew each time counts more than the work), the least of five, all in one process.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from populace.core.draw import Draw
from populace.interact.generators import random_network, small_world
from populace.interact.mixing import ContactMatrix, WellMixed
from populace.interact.network import Network
from populace.interact.places import households, workplaces
from populace.interact.preferential import preferential_attachment

TURNS = 10


def cost(function: Callable[..., Any], values: Any, *data: Any) -> float:
    """Milliseconds of processor time a turn."""

    @jax.jit
    def loop(x, *data):
        return jax.lax.fori_loop(0, TURNS, lambda i, x: function(x, *data) * 0.1, x)

    jax.block_until_ready(loop(values, *data))
    least = np.inf
    for _ in range(5):
        start = time.process_time()
        jax.block_until_ready(loop(values, *data))
        least = min(least, time.process_time() - start)
    return 1e3 * least / TURNS


def edge_list(x, senders, receivers, weights):
    taken = x[senders] if weights is None else x[senders] * weights
    return jax.ops.segment_sum(taken, receivers, num_segments=x.shape[0], indices_are_sorted=True)


def reverse(function):
    return lambda x, *data: jax.linear_transpose(lambda v: function(v, *data), x)(x)[0]


def met(x, topology):
    """The key hangs on the values, so that no number is drawn before the loop."""
    key = jr.fold_in(jr.key(0), jax.lax.bitcast_convert_type(x[0], jnp.int32))
    return topology.neighbour(Draw(key), "meet").take(x)


def pulled(x, topology):
    return jax.vjp(topology.sum, x)[1](x)[0]


def networks(size: int) -> dict[str, Network]:
    key = jr.key(0)
    made = random_network(key, size, 10)
    senders, receivers, _ = made.edges()
    once = senders < receivers
    weights = np.random.default_rng(0).random(once.sum())
    return {
        "random, 2 contacts": random_network(key, size, 2),
        "random, 10": made,
        "small world, 10": small_world(key, size, degree=10, rewire=0.1),
        "preferential, 10": preferential_attachment(key, size, links=5),
        "weighted, 10": Network.from_edges(senders[once], receivers[once], size, weights=weights),
        "directed, 10": Network.from_edges(senders, receivers, size, directed=True),
        "100,000 agents, random, 10": random_network(key, size // 10, 10),
        "100,000 agents, random, 100": random_network(key, size // 10, 100),
    }


def rows(size: int):
    for name, network in networks(size).items():
        x = jnp.full(network.size, 0.1)
        senders, receivers, weights = network.edges()
        listed = (jnp.asarray(senders), jnp.asarray(receivers), None if weights is None else jnp.asarray(weights))
        yield {
            "topology": name,
            "edge list": cost(edge_list, x, *listed),
            "sum": cost(lambda x, n: n.sum(x), x, network),
            "edge list reversed": cost(reverse(edge_list), x, *listed),
            "blocks reversed by JAX": cost(reverse(lambda x, n: n.inward.product(x)), x, network),
            "sum reversed": cost(pulled, x, network),
            "neighbour": cost(met, x, network),
        }
    ages = np.random.default_rng(0).integers(0, 16, size)
    mixing = {
        "well mixed": WellMixed(size),
        "households": households(jr.key(0), size, [0.3, 0.35, 0.15, 0.13, 0.07]),
        "workplaces of 20": workplaces(jr.key(0), size, mean_size=20, participation=0.5),
        "16 ages, matrix": ContactMatrix(ages, np.ones((16, 16))),
    }
    for name, topology in mixing.items():
        x = jnp.full(size, 0.1)
        yield {
            "topology": name,
            "sum": cost(lambda x, n: n.sum(x), x, topology),
            "sum reversed": cost(pulled, x, topology),
            "neighbour": cost(met, x, topology),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=int, default=1_000_000)
    asked = parser.parse_args()
    columns = ["edge list", "sum", "edge list reversed", "blocks reversed by JAX", "sum reversed", "neighbour"]
    print(f"{asked.size} agents; ms of processor time".ljust(32) + "".join(c.rjust(24) for c in columns))
    found = []
    for row in rows(asked.size):
        found.append(row)
        cells = (f"{row[c]:.1f}" if c in row else "" for c in columns)
        print(row["topology"].ljust(32) + "".join(cell.rjust(24) for cell in cells), flush=True)
    if asked.json:
        print(json.dumps({"size": asked.size, "rows": found}))


if __name__ == "__main__":
    main()
