"""Large populations here, for `large.py`: answers seeds as `large_peers.py` does, and says what compiling took.

python large_models.py CASE SIZES_AS_JSON
"""

import json
import math
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import populace as pop
from populace.core.simulate import begin
from populace.interact.mixing import WellMixed
from populace.interact.network import Network
from populace.zoo.boltzmann_wealth import BoltzmannWealth, Gifts
from populace.zoo.layered_epidemic import LayeredEpidemic
from populace.zoo.layered_town import synthetic_town
from populace.zoo.sir import SIR, People

Sizes = dict[str, Any]
Series = dict[str, np.ndarray]
Made = tuple[pop.Model, Callable[[Series], dict[str, float]]]


def wealth(sizes: Sizes, seed: int) -> Made:
    """Everybody who owns something pays somebody else a unit, all at the same time."""
    del seed
    agents = sizes["agents"]

    def summaries(seen: Series) -> dict[str, float]:
        gini = seen["gini"]
        mean = {"penniless, mean": seen["penniless"].mean(), "gini, mean": gini.mean()}
        return {**mean, "gini, end": gini[-1], "units": seen["units"][-1], "agent-steps": agents * len(gini)}

    return BoltzmannWealth(Gifts(WellMixed(agents)), agents=agents), summaries


class Daily(SIR):
    """Starsim's order of a day, and Covasim's: who is infected infects, and then recovers, new cases among them."""

    def step(self, draw: pop.Draw, people: People) -> People:
        susceptible = 1 - people.infected - people.recovered
        pressure = self.contacts.sum(people.infected)
        caught = draw.bernoulli("infect", -jnp.expm1(-self.beta * pressure), where=susceptible)
        ill = people.infected + caught
        healed = draw.bernoulli("recover", self.gamma, where=ill)
        return People(ill - healed, people.recovered + healed)


def epidemic(sizes: Sizes, seed: int) -> Made:
    """On Starsim's network: an agent has `half` contacts that it picked, and others that picked it, for good."""
    agents, half = sizes["agents"], sizes["half"]
    picked = np.random.default_rng(seed).integers(0, agents, agents * half)
    network = Network.from_edges(np.repeat(np.arange(agents), half), picked, agents, loops=True, repeats=True)
    hazard, recovery = -math.log1p(-sizes["beta"]), -math.expm1(-1.0 / sizes["days_ill"])

    def summaries(seen: Series) -> dict[str, float]:
        """Starsim counts the recovered before the day's infections: a day later than here."""
        ever = seen["infected"] + seen["recovered"]
        days = {f"ever infected, day {day}": ever[day - 1] for day in sizes["days"]}
        last = {"recovered, end": seen["recovered"][-2], "edges": len(picked), "agent-steps": agents * len(ever)}
        return {**days, **last}

    return Daily(network, hazard, recovery, sizes["seeded"]), summaries


def layered(sizes: Sizes, seed: int) -> Made:
    """A town of homes, classes, teams and encounters, made anew for each seed."""
    model = LayeredEpidemic(synthetic_town(jr.key(seed), sizes["agents"]), seeded=0.001)

    def summaries(seen: Series) -> dict[str, float]:
        ever, ill = seen["infections"], seen["ill"].max()
        return {"ever infected, end": ever[-1], "ill, most": ill, "agent-steps": sizes["agents"] * len(ever)}

    return model, summaries


CASES = {"wealth": wealth, "epidemic": epidemic, "layered": layered}


def answer(make: Callable[[Sizes, int], Made], sizes: Sizes, seed: int) -> dict[str, Any]:
    """A run: the network and the first state are set-up, the steps with an observation each are the run."""
    clock = time.process_time()
    model, summaries = make(sizes, seed)
    start = jax.block_until_ready(begin(model, jr.key(seed)))
    setup = time.process_time() - clock
    clock, wall = time.process_time(), time.perf_counter()
    run = pop.simulate(model, jr.key(seed), sizes["steps"], start=start)
    seen = {name: np.asarray(values, np.float64) for name, values in run.observations.items()}
    seconds = {"setup": setup, "run": time.process_time() - clock, "wall": time.perf_counter() - wall}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = {name: float(value) for name, value in summaries(seen).items()}
    return {**seconds, "peak_gb": peak, "summaries": found}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(CASES[sys.argv[1]], json.loads(sys.argv[2]), int(line))), flush=True)
