"""What a sum over contacts costs: blocks of four against a sorted edge list, forward and reverse.

    python topologies.py [--changing] [--json]

`--changing`: only the last table, of ties that change: sums and neighbours of a list without order against the blocks
of a network, what it costs to redirect some or all ties at random (no loops, no doubles), and what it would cost to
sort the list anew after each change; partnerships; and who stands near whom on a grid.

Every figure is the processor time of one application inside a compiled loop of ten (as in a simulation; alone, the
memory that XLA takes anew each time counts more than the work), the least of five, all in one process.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from populace.core.draw import Draw
from populace.interact.dynamic_network import DynamicNetwork
from populace.interact.generators import random_network, small_world
from populace.interact.grid import Grid
from populace.interact.mixing import ContactMatrix, WellMixed
from populace.interact.network import Network
from populace.interact.pairing import paired
from populace.interact.partnerships import Partnerships
from populace.interact.places import households, workplaces
from populace.interact.preferential import preferential_attachment
from populace.interact.rewiring import rewire
from populace.interact.standing import Standing

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


def fresh(x) -> Draw:
    """A draw that hangs on the values, so that no number is drawn before the loop."""
    return Draw(jr.fold_in(jr.key(0), jax.lax.bitcast_convert_type(x[0], jnp.int32)))


def met(x, topology):
    return topology.neighbour(fresh(x), "meet").take(x)


def redirected(share: float):
    def changed(x, network):
        ties = rewire(fresh(x), "rewire", network, share).network.ties
        return x + 1e-9 * (ties.one[0] + ties.other[0])

    return changed


def sorted_anew(x, network):
    """Both directions of each tie by receiver, and the sum that follows: the order must hang on what changes."""
    ends = network.ties.one + (0 * x[0]).astype(jnp.int32), network.ties.other
    receivers, senders = jnp.concatenate(ends), jnp.concatenate(ends[::-1])
    receivers, senders = jax.lax.sort((receivers, senders), num_keys=1, is_stable=False)
    return edge_list(x, senders, receivers, None)


def standing(x, grid, cell):
    """With laying out who stands where, as a step must."""
    return Standing(grid, cell + (0 * x[0]).astype(jnp.int32)).sum(x)


def couples(x, couples):
    """A tenth of the singles meet."""
    draw = fresh(x)
    seeks = draw.bernoulli("seek", 0.1, where=1 - couples.coupled)
    return x + 1e-9 * couples.formed(paired(draw, "meet", couples.size, where=seeks), 1).partner


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


def changing(size: int):
    """Rows of what changes, a tenth of `size` agents, 10 contacts each."""
    agents = size // 10
    network = random_network(jr.key(0), agents, 10)
    ties = DynamicNetwork.of(network)
    senders, receivers, _ = network.edges()
    once = np.random.default_rng(0).permutation(np.flatnonzero(senders < receivers))
    ties = eqx.tree_at(
        lambda n: (n.ties.one, n.ties.other), ties, (jnp.asarray(senders[once]), jnp.asarray(receivers[once]))
    )
    x = jnp.full(agents, 0.1)
    for name, each in {"network": network, "ties that change": ties}.items():
        yield {"topology": name, "sum": cost(lambda x, n: n.sum(x), x, each), "neighbour": cost(met, x, each)}
    yield {"topology": "  1 % redirected", "change": cost(redirected(0.01), x, ties)}
    yield {"topology": "  10 % redirected", "change": cost(redirected(0.1), x, ties)}
    yield {"topology": "  all redirected", "change": cost(redirected(1.0), x, ties)}
    yield {"topology": "  sorted anew, and summed", "change": cost(sorted_anew, x, ties)}
    start = Partnerships.none(agents).formed(paired(Draw(jr.key(1)), "meet", agents, where=np.arange(agents) % 3), 0)
    yield {
        "topology": "partnerships",
        "sum": cost(lambda x, n: n.sum(x), x, start),
        "change": cost(couples, x, start),
    }
    side = round(agents**0.5)
    grid, cell = Grid(side, side), jr.randint(jr.key(2), (agents,), 0, side * side)
    yield {
        "topology": "standing on a grid",
        "sum": cost(lambda x, n: n.sum(x), x, Standing(grid, cell)),
        "neighbour": cost(met, x, Standing(grid, cell)),
        "change": cost(standing, x, grid, cell),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--changing", action="store_true")
    asked = parser.parse_args()
    columns = ["edge list", "sum", "edge list reversed", "blocks reversed by JAX", "sum reversed", "neighbour"]
    found = [] if asked.changing else shown(rows(asked.size), asked.size, columns)
    changed = shown(changing(asked.size), asked.size // 10, ["sum", "neighbour", "change"])
    if asked.json:
        print(json.dumps({"size": asked.size, "rows": found, "changing": changed}))


def shown(rows, agents: int, columns: list[str]) -> list[dict[str, Any]]:
    """The rows, each printed when it is there."""
    print(f"{agents} agents; ms of processor time".ljust(40) + "".join(c.rjust(24) for c in columns))
    found = []
    for row in rows:
        found.append(row)
        cells = (f"{row[c]:.1f}" if c in row else "" for c in columns)
        print(row["topology"].ljust(40) + "".join(cell.rjust(24) for cell in cells), flush=True)
    return found


if __name__ == "__main__":
    main()
