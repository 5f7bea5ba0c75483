"""How near a learned likelihood comes to the exact posterior: four series whose likelihood is known.

Ours is `pop.NeuralLikelihood` with 1,000 and 10,000 runs. The peer is the kernel-density likelihood of Jakob Grazzini,
Matteo Richiardi and Mike Tsionas (2017) in a Metropolis chain that spends 150,000 runs: the density of what the model
makes is estimated from runs at each proposal, the data are taken for independent draws of it. It is given the best of
several step sizes and numbers of runs a proposal, judged by the very distance that is reported.

Wasserstein distance between 1,000 draws and 1,000 of the exact posterior, in units of the posterior's own standard
deviations; `floor`: that between two such samples of the exact one.

    python benchmarks/posterior_exact.py [--json] [--quick] [--only CASE]

`--quick` takes one case and 500 runs, in small networks.
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from exact_cases import CASES, Case
from measure import finish, hasty, show, timed
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import populace as pop

CALLS = (1_000, 10_000)
DATA = (0, 1)
PEER_CALLS = 150_000
PEER_RUNS = (1, 10)
PEER_STEPS = (0.05, 0.1, 0.2)
PEER_CHAINS = 4
DRAWS = 1_000
COLUMNS = ["case", "data", "runs", "ours", "kernel density, 150,000", "floor", "ours / peer", "seconds", "agree"]


def main() -> None:
    given = _arguments()
    if given.quick:
        hasty()
    chosen = [case for case in CASES if given.only in (None, case.name)]
    chosen = chosen[2:3] if given.quick and given.only is None else chosen
    budgets, numbers = ((500,), (0,)) if given.quick else (CALLS, DATA)
    rows, found = [], {}
    for case in chosen:
        entry = found.setdefault(case.name, {calls: {"ours": [], "baseline": [], "floor": []} for calls in budgets})
        for number in numbers:
            data = case.data(number)
            exact = case.exact(data, 200_000) if given.quick else case.exact(data)
            rng = np.random.default_rng(number)
            one, other = (exact[rng.permutation(len(exact))[:DRAWS]] for _ in range(2))
            floor = wasserstein(one, other, exact.std(0))
            peer = kernel_density(case, data, one, exact.std(0), given.quick)
            for calls in budgets:
                seconds, draws, agree = ours(case, data, calls, given.quick)
                mine = wasserstein(one, draws, exact.std(0))
                for name, value in (("ours", mine), ("baseline", peer), ("floor", floor)):
                    entry[calls][name].append(value)
                rows.append([case.name, number, calls, mine, peer, floor, mine / peer, seconds, agree])
                show("so far", COLUMNS, rows[-1:])
    show("Wasserstein distance to the exact posterior, in its standard deviations", COLUMNS, rows)
    mean = {
        case: {calls: {k: sum(v) / len(v) for k, v in one.items()} | {"each": one} for calls, one in entry.items()}
        for case, entry in found.items()
    }
    finish(given, {"wasserstein": mean, "columns": COLUMNS, "rows": rows})


def wasserstein(one: np.ndarray, other: np.ndarray, scale: np.ndarray) -> float:
    """The mean distance of the best pairing of two samples of the same size, each number in units of `scale`."""
    gaps = cdist(one / scale, other / scale)
    return float(gaps[linear_sum_assignment(gaps)].mean())


def ours(case: Case, data: np.ndarray, calls: int, quick: bool) -> tuple[float, np.ndarray, bool]:
    """Seconds of the whole fit, draws, and whether its own check of the chains is content."""
    small = pop.Transitions(members=2, width=32, depth=2, steps=500)
    method = pop.NeuralLikelihood(small, draws=250) if quick else pop.NeuralLikelihood()
    problem = case.problem(data)
    seconds, _, fit = timed(
        lambda: pop.calibrate(problem, method, jr.key(11), budget=calls, predictive=DRAWS, progress=False)
    )
    agree = not any("do not agree" in note for note in fit.estimate.notes())
    return seconds, np.asarray(fit.draws["theta"], np.float64), agree


def kernel_density(case: Case, data: np.ndarray, exact: np.ndarray, scale: np.ndarray, quick: bool) -> float:
    """The best distance of the peer's chains."""
    seen, d = jnp.asarray(data, jnp.float32), len(case.box)
    width = case.high - case.low

    @functools.partial(jax.jit, static_argnums=(1, 2))
    def chain(key: Any, runs: int, steps: int, step: float) -> jax.Array:
        def level(theta: jax.Array, key: Any) -> jax.Array:
            made = jax.vmap(lambda k: case.simulate(theta, k))(jr.split(key, runs)).reshape(-1, seen.shape[1])
            n, m = made.shape
            h = n ** (-1.0 / (m + 4.0)) * made.std(0) + 1e-6
            z = (seen[:, None] - made[None]) / h
            each = jax.scipy.special.logsumexp(-0.5 * (z**2).sum(-1), axis=1) - jnp.log(n) - jnp.log(h).sum()
            return jnp.nan_to_num(each.sum(), nan=-jnp.inf)

        def move(now: tuple[jax.Array, jax.Array], key: Any) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
            (theta, here), (shake, run, toss) = now, jr.split(key, 3)
            new = theta + step * width * jr.normal(shake, (d,))
            inside = ((new > case.low) & (new < case.high)).all()
            there = jnp.where(inside, level(new, run), -jnp.inf)
            go = jnp.log(jr.uniform(toss)) < there - here
            now = jnp.where(go, new, theta), jnp.where(go, there, here)
            return now, now[0]

        begin, run, walk = jr.split(key, 3)
        starts = case.low + width * jr.uniform(begin, (100, d))
        levels = jax.vmap(level)(starts, jr.split(run, 100))
        best = jnp.argmax(levels)
        return jax.lax.scan(move, (starts[best], levels[best]), jr.split(walk, steps))[1]

    least = float("inf")
    for runs in PEER_RUNS[-1:] if quick else PEER_RUNS:
        for step in PEER_STEPS[:1] if quick else PEER_STEPS:
            steps = PEER_CALLS // runs // PEER_CHAINS
            path = jax.vmap(lambda key, runs=runs, steps=steps, step=step: chain(key, runs, steps, step))(
                jr.split(jr.key(3), PEER_CHAINS)
            )
            kept = np.asarray(path, np.float64)[:, steps // 5 :].reshape(-1, d)
            drawn = kept[np.random.default_rng(0).choice(len(kept), DRAWS)]
            least = min(least, wasserstein(exact, drawn, scale))
    return least


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="one case, 500 runs, small networks")
    parser.add_argument("--only", help="one case")
    return parser.parse_args()


if __name__ == "__main__":
    main()
