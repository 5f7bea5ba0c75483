"""Two parameters a firm, fitted to what each firm made after a shock: gradients, ABC, SPSA and CMA-ES.

The loss is the expected squared gap of a run's windowed production, firm by firm, to the data in standard deviations
of a run: all methods see single runs of it, and all answers are judged by the same fresh runs. Gradients are taken
through the run (`Pathwise`), 300 of them; SPSA and CMA-ES get the processor time that these took, ABC 30,000 runs.
Compilation is outside the time of everybody. CMA-ES is the package `cma` (`pip install cma`), its diagonal variant.

    python benchmarks/supply_chain.py [--json] [--quick]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import optax
from jaxtyping import Array, Float
from measure import show

import populace as pop
from populace.calibration.gradients_asked import Unscaled
from populace.calibration.judgement import scales
from populace.zoo.supply_chain import SupplyChain, supply_chain

WINDOW = 10
GRADIENTS = 300
RATES = (0.03, 0.1)


@dataclass(frozen=True)
class Task:
    """The problem over v, all parameters in spreads of their priors."""

    problem: pop.Problem
    expected: pop.ExpectedLoss
    truth: np.ndarray

    @property
    def size(self) -> int:
        return self.problem.space.size

    @cached_property
    def one(self) -> Callable[[Array, Array], Array]:
        """The loss of a run."""
        return jax.jit(lambda v, key: self.expected.one({"v": v}, key))

    @cached_property
    def many(self) -> Callable[[Array, Array], Array]:
        """The loss of a run at each of several points."""
        return jax.jit(lambda v, keys: jax.lax.map(lambda row: self.expected.one({"v": row[0]}, row[1]), (v, keys)))

    def judged(self, v: np.ndarray, runs: int = 64) -> float:
        """The expected loss, by fresh runs that are the same for all."""
        return float(
            np.mean(
                self.many(jnp.broadcast_to(jnp.asarray(v, jnp.float32), (runs, v.size)), jr.split(jr.key(999), runs))
            )
        )


def windowed(production: Float[Array, "steps firms"]) -> Float[Array, " moments"]:
    """Means over windows of days, firm by firm."""
    return production.reshape(-1, WINDOW, production.shape[1]).mean(1).reshape(-1)


def task(firms: int, steps: int) -> Task:
    rng = np.random.default_rng(3)
    stocks, repair = (
        np.exp(rng.uniform(np.log(2.0), np.log(20.0), firms)),
        np.exp(rng.uniform(np.log(0.03), np.log(0.3), firms)),
    )
    model: SupplyChain = supply_chain(
        jr.key(1), firms, struck=0.3, stocks=jnp.asarray(stocks), repair=jnp.asarray(repair)
    )
    runs = np.asarray(pop.ensemble(model, jr.key(2), steps, runs=64).observations["production"][0])
    spread = np.maximum(np.asarray(jax.vmap(windowed)(jnp.asarray(runs))).std(0, ddof=1), 0.01)
    data = np.asarray(pop.simulate(model, jr.key(3), steps).observations["production"])
    space = pop.Space(
        stocks=dist.LogUniform(2.0, 20.0).expand([firms]), repair=dist.LogUniform(0.03, 0.3).expand([firms])
    )
    target = pop.Target({"production": data}, [pop.moment("windows", windowed, of="production")])
    problem = pop.Problem(
        pop.Simulation(model, steps), space, target.with_covariance(np.diag(spread**2), "64 runs at the truth")
    )
    goal, unit = windowed(jnp.asarray(data)), jnp.asarray(spread, jnp.float32)
    middle, width = scales(space)
    through = Unscaled(jnp.asarray(middle, jnp.float32), jnp.asarray(width, jnp.float32), space)
    loss = lambda seen: (((windowed(seen["production"]) - goal) / unit) ** 2).mean()  # noqa: E731
    real = np.asarray(space.to_real({"stocks": jnp.asarray(stocks)[None], "repair": jnp.asarray(repair)[None]}))[0]
    return Task(problem, pop.ExpectedLoss(problem.simulator, loss, through), (real - middle) / width)


def descend(
    now: Task, estimator: pop.Estimator, rate: float, *, rounds: int | None, seconds: float | None
) -> tuple[np.ndarray, int, float]:
    """Adam from the prior's median; the mean of the last half of the iterates, rounds, and processor seconds."""
    optimiser = optax.adam(rate, b1=0.9, b2=0.99)

    @jax.jit
    def step(v: Array, state: Any, key: Array) -> tuple[Array, Any]:
        _, gradient = estimator.one(now.expected, {"v": v}, key)
        move, state = optimiser.update(gradient["v"], state)
        return jnp.clip(v + move, -1.8, 1.8), state

    v = jnp.zeros(now.size)
    state = optimiser.init(v)
    jax.block_until_ready(step(v, state, jr.key(0)))
    start, path = time.process_time(), []
    while len(path) < rounds if rounds is not None else time.process_time() - start < seconds:
        v, state = step(v, state, jr.fold_in(jr.key(4), len(path)))
        path.append(np.asarray(v))
    return np.mean(path[len(path) // 2 :], axis=0), len(path), time.process_time() - start


def evolve(now: Task, seconds: float, population: int | None) -> tuple[np.ndarray, int]:
    """CMA-ES with a diagonal covariance from the prior's median, for so many processor seconds; answer and runs."""
    try:
        import cma
    except ImportError as error:
        raise SystemExit("CMA-ES is the package cma: pip install cma") from error
    options = {"CMA_diagonal": True, "verbose": -9, "seed": 5, "bounds": [-1.8, 1.8]}
    if population is not None:
        options["popsize"] = population
    search = cma.CMAEvolutionStrategy(np.zeros(now.size), 0.3, options)
    size, runs = search.popsize, 0
    jax.block_until_ready(now.many(jnp.zeros((size, now.size)), jr.split(jr.key(0), size)))
    start = time.process_time()
    while time.process_time() - start < seconds:
        points = search.ask()
        keys = jr.split(jr.fold_in(jr.key(6), runs), size)
        search.tell(points, np.asarray(now.many(jnp.asarray(np.stack(points), jnp.float32), keys), np.float64).tolist())
        runs += size
    return np.asarray(search.result.xfavorite), runs


def rejection(now: Task, runs: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The best of so many draws from the prior, the mean of the best hundred, and processor seconds."""
    batch, kept, losses = 500, [], []
    start = time.process_time()
    for number in range(runs // batch):
        real = now.problem.space.to_real(now.problem.space.sample(jr.fold_in(jr.key(7), number), batch))
        v = (real - now.expected.through.middle) / now.expected.through.spread
        losses.append(np.asarray(now.many(v, jr.split(jr.fold_in(jr.key(8), number), batch))))
        kept.append(np.asarray(v))
        best = np.argsort(np.concatenate(losses))[:100]
        kept, losses = [np.concatenate(kept)[best]], [np.concatenate(losses)[best]]
    return kept[0][0], kept[0].mean(0), time.process_time() - start


def audited(now: Task, steps: int) -> list[str]:
    """What the audit says of the two gradients at the prior's median."""
    audit = pop.audit_gradient(
        now.expected,
        [pop.Pathwise(), pop.RandomDirections(scale={"v": 1.0})],
        jr.key(10),
        at=[{"v": np.zeros(now.size)}],
        horizons=[steps],
        keys=256,
        step=0.2,
        progress=False,
    )
    return [verdict.sentence for verdict in audit.verdicts.values()]


def forward(now: Task, runs: int) -> float:
    """Processor seconds of so many runs, one after the other as gradients are taken."""
    now.one(jnp.zeros(now.size), jr.key(0)).block_until_ready()
    start = time.process_time()
    for i in range(runs):
        now.one(jnp.zeros(now.size), jr.fold_in(jr.key(9), i)).block_until_ready()
    return time.process_time() - start


def contest(*, quick: bool) -> dict[str, Any]:
    """Who reaches what loss, with how many runs and in what time."""
    firms, steps, abc = (30, 30, 1_000) if quick else (1_000, 60, 30_000)
    now = task(firms, steps)
    verdicts = [] if quick else audited(now, steps)
    rates = RATES[1:] if quick else RATES
    found = {rate: descend(now, pop.Pathwise(recompute=None), rate, rounds=GRADIENTS, seconds=None) for rate in rates}
    ours, _, seconds = min(found.values(), key=lambda one: now.judged(one[0]))
    cost = seconds / forward(now, GRADIENTS)
    rows = [
        ["truth", 0, None, now.judged(now.truth)],
        ["prior's median", 0, None, now.judged(np.zeros(now.size))],
        [f"Pathwise, Adam, {GRADIENTS} gradients", round(GRADIENTS * cost), seconds, now.judged(ours)],
    ]
    spsa = pop.RandomDirections(step=0.2, scale={"v": jnp.ones(())})
    tries = {
        rate: descend(now, spsa, rate, rounds=None, seconds=seconds)
        for rate in ((0.01,) if quick else (0.003, 0.01, 0.03))
    }
    best = min(tries, key=lambda rate: now.judged(tries[rate][0]))
    rows.append([f"SPSA, Adam at {best:g}", 2 * tries[best][1], tries[best][2], now.judged(tries[best][0])])
    for population in (None,) if quick else (None, 100):
        end, runs = evolve(now, seconds, population)
        rows.append([f"CMA-ES, population {population or 'as it is'}", runs, seconds, now.judged(end)])
    first, mean, spent = rejection(now, abc)
    rows.append(["ABC by rejection, best run", abc, spent, now.judged(first)])
    rows.append(["ABC by rejection, mean of 100", abc, spent, now.judged(mean)])
    losses = {row[0]: row[3] for row in rows}
    ours_loss = rows[2][3]
    rivals = {name: loss for name, loss in losses.items() if name not in ("truth", "prior's median", rows[2][0])}
    notes = [
        *verdicts,
        "pop.SequentialABC takes no part: it wants 20 particles a parameter, more than the runs there are.",
        f"A gradient takes {cost:.2g} forward runs; the loss at the truth is what noise alone leaves.",
        f"Below all rivals: {'yes' if ours_loss < min(rivals.values()) else 'no'}.",
    ]
    columns = ["by", "runs", "processor s", "loss on fresh runs"]
    title = f"{firms} firms, {now.size} parameters"
    return {"title": title, "columns": columns, "rows": rows, "notes": notes, "ours": ours_loss, "rivals": rivals}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="a few firms, under a minute")
    given = parser.parse_args(sys.argv[1:])
    found = contest(quick=given.quick)
    show(found["title"], found["columns"], found["rows"])
    print("\n".join(found["notes"]))
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
