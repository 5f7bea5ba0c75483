"""Orders a second of the order book, beside two in plain Python, and what the other markets take.

A stream of orders: every other one is a limit order of 1 to 9 lots around a price that drifts, and every other one
cancels the order that was sent `wait` orders before, if it still rests, so that about `wait` / 2 rest at most. All
books get the same stream, and no time counts before all agree on the number of trades, the lots and the turnover, to
the last unit. `64 books` are as many streams of 100 orders at once, as in an ensemble of runs.

Then a whole model, zero intelligence, in an ensemble and in plain Python, whose mean efficiencies must agree within
three standard errors; and what the other markets take.

The peer runs in an environment of its own:

    python3 -m venv peer && peer/bin/pip install lightmatchingengine
    python benchmarks/markets.py --peer peer/bin/python [--json] [--quick]

Times are processor time, medians over repeats; compiling is apart.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from measure import finish, show, timed

import populace as pop
from populace.core.draw import Draw
from populace.zoo.zero_intelligence import ZeroIntelligence

PEERS = Path(__file__).with_name("markets_peers.py")


def stream(orders: int, wait: int, seed: int) -> np.ndarray:
    """Size, price and what is cancelled, (orders, 3)."""
    rng = np.random.default_rng(seed)
    place = np.arange(orders)
    new = place % 2 == 0
    size = np.where(new, rng.integers(1, 10, orders) * rng.choice([-1, 1], orders), 0)
    drift = np.cumsum(rng.normal(0.0, 0.2, orders))
    price = np.maximum(np.round(10_000 + drift - np.sign(size) * rng.normal(8.0, 8.0, orders)), 1)
    cancels = np.where(~new & (place > wait), place - wait - 1, -1)
    return np.column_stack([size, np.where(new, price, 1), cancels]).astype(int)


def orders_of(rows: np.ndarray) -> pop.Orders:
    """The stream as orders, all of one owner so that any may be cancelled."""
    size, price, cancels = rows.T
    return pop.Orders.limit(np.zeros(len(rows), int), size, price, cancels=cancels)


def book(rows: np.ndarray, capacity: int, repeats: int) -> dict[str, Any]:
    """Ours: summaries, seconds to compile, seconds of a call."""
    orders = orders_of(rows)
    traded = jax.jit(lambda orders: pop.OrderBook.empty(capacity).trade(orders))
    first = timed(lambda: jax.block_until_ready(traded(orders)))[1]
    runs = [timed(lambda: jax.block_until_ready(traded(orders))) for _ in range(repeats)]
    after, trades = runs[0][2]
    if int(after.needed) > capacity:
        raise SystemExit(f"the book wanted room for {int(after.needed)} orders")
    price, lots = (np.asarray(x, np.int64) for x in (trades.price, trades.quantity))
    seconds = statistics.median(run[1] for run in runs)
    made = {"trades": int((lots > 0).sum()), "lots": int(lots.sum()), "turnover": int((price * lots).sum())}
    return {**made, "seconds": seconds, "compile": first - seconds, "rested": int(after.needed)}


def batch(wait: int, capacity: int, repeats: int, books: int = 64, orders: int = 100) -> float:
    """Microseconds an order, of many books at once."""
    streams = [orders_of(stream(orders, wait, seed)) for seed in range(books)]
    many = jax.tree.map(lambda *leaves: jnp.stack(leaves), *streams)
    traded = jax.jit(jax.vmap(lambda orders: pop.OrderBook.empty(capacity).trade(orders)))
    jax.block_until_ready(traded(many))
    seconds = [timed(lambda: jax.block_until_ready(traded(many)))[1] for _ in range(repeats)]
    return 1e6 * statistics.median(seconds) / (books * orders)


def models(runs: int, turns: int, repeats: int) -> dict[str, float]:
    """Microseconds a shout of zero intelligence, ours and in plain Python."""
    model = ZeroIntelligence(turns=turns)
    work = lambda seed: np.asarray(pop.ensemble(model, jr.key(seed), 1, runs=runs).observations["efficiency"])  # noqa: E731
    ours = work(0).ravel()
    theirs = np.array(plain("zero", str(runs), str(turns))["efficiency"])
    error = np.sqrt(ours.var(ddof=1) / runs + theirs.var(ddof=1) / runs)
    if abs(ours.mean() - theirs.mean()) > 3 * error:
        raise SystemExit(f"efficiencies {ours.mean():.4f} and {theirs.mean():.4f} differ by more than 3 x {error:.4f}")
    seconds = {
        "an ensemble": statistics.median(timed(lambda: work(1))[1] for _ in range(repeats)),
        "plain Python": statistics.median(plain("zero", str(runs), str(turns))["seconds"] for _ in range(repeats)),
    }
    return {name: 1e6 * one / (runs * turns) for name, one in seconds.items()}


def plain(*arguments: str) -> dict[str, Any]:
    """What `markets_peers.py` says with our Python."""
    command = [sys.executable, str(PEERS), *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def peer(python: str, name: str, rows: np.ndarray, repeats: int) -> dict[str, Any]:
    """A book in plain Python: summaries, seconds of a call."""
    given = json.dumps({"orders": rows.tolist()})
    runs = []
    for _ in range(repeats):
        done = subprocess.run([python, str(PEERS), name], input=given, check=True, stdout=subprocess.PIPE, text=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return {**runs[0], "seconds": statistics.median(run["seconds"] for run in runs)}


def books(given: argparse.Namespace, repeats: int) -> list[dict[str, Any]]:
    """A row a size: microseconds an order of each book, on the same stream."""
    rows = []
    for wait, capacity in ((100, 64), (400, 256), (1600, 1024)):
        orders = stream(given.orders, wait, seed=wait)
        found = {"ours": book(orders, capacity, repeats), "heaps": peer(sys.executable, "heaps", orders, repeats)}
        if given.peer:
            found["lightmatchingengine"] = peer(given.peer, "lightmatchingengine", orders, repeats)
        for name, other in found.items():
            same = all(other[what] == found["ours"][what] for what in ("trades", "lots", "turnover"))
            if not same:
                raise SystemExit(f"{name} did other work: {other} and {found['ours']}")
        each = {name: 1e6 * one["seconds"] / given.orders for name, one in found.items()}
        each["64 books"] = batch(wait, capacity, repeats)
        about = {key: found["ours"][key] for key in ("trades", "lots", "rested", "compile")}
        rows.append({"capacity": capacity, **about, "us": each})
    return rows


def others(repeats: int) -> dict[str, float]:
    """Microseconds of processor time of the other markets, one call each."""
    rng = np.random.default_rng(0)
    size = rng.integers(1, 10, 10_000) * rng.choice([-1, 1], 10_000)
    called = pop.Orders.limit(np.arange(10_000), size, rng.integers(900, 1_100, 10_000))
    one, other = (jnp.asarray(rng.normal(size=(500, 500)), jnp.float32) for _ in range(2))
    posted = {"price": jnp.asarray(rng.integers(1, 50, 100)), "stock": jnp.full(100, 60)}
    wants = {"wanted": jnp.full(1_000, 5), "limit": jnp.full(1_000, 40)}

    def shop(key: Any) -> Any:
        draw = Draw(key)
        seen = pop.offers_seen(draw, "see", 1_000, 100, 3)
        return pop.posted_prices(draw, "queue", seen=seen, **posted, **wants)

    cleared = jax.jit(pop.call_auction)
    works: dict[str, Callable[[Any], Any]] = {
        "call auction, 10,000 orders": lambda key: cleared(called),
        "stable matching, 500 and 500": jax.jit(lambda key: pop.stable_matching(Draw(key), "m", one, other)),
        "stable matching, 500 and 50 of 10 seats": jax.jit(
            lambda key: pop.stable_matching(Draw(key), "m", one[:, :50], other[:50], room=10)
        ),
        "posted prices, 1,000 buyers who see 3": jax.jit(shop),
        "pairs within 100 groups, 10,000 agents": jax.jit(
            lambda key: pop.paired(Draw(key), "m", 10_000, group=jnp.arange(10_000) % 100, groups=100)
        ),
    }
    found = {}
    for name, work in works.items():
        jax.block_until_ready(work(jr.key(0)))
        seconds = [timed(lambda: jax.block_until_ready(work(jr.key(i))))[1] for i in range(repeats)]  # noqa: B023
        found[name] = 1e6 * statistics.median(seconds)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Orders a second, and what other markets take.")
    parser.add_argument("--peer", help="the Python of an environment with lightmatchingengine")
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="10,000 orders and three repeats")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    given = parser.parse_args()
    if given.quick:
        given.orders = 10_000
    repeats = 3 if given.quick else 7
    rows, markets = books(given, repeats), others(repeats)
    whole = models(500, 1000, repeats)
    names = list(rows[0]["us"])
    show(
        f"Microseconds of processor time an order, {given.orders} orders",
        ("room", "rested", "trades", "compile s", *names),
        [(r["capacity"], r["rested"], r["trades"], r["compile"], *(r["us"][name] for name in names)) for r in rows],
    )
    show("Microseconds of processor time a call", ("market", "us"), list(markets.items()))
    show("Microseconds a shout of zero intelligence, 500 runs of 1,000", ("", "us"), list(whole.items()))
    finish(given, {"books": rows, "models": whole, "markets": markets})


if __name__ == "__main__":
    main()
