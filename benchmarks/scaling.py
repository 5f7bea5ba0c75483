"""What a step costs with more agents, and a run with more steps: exponents of processor time, fitted.

Seconds a step of wealth (everybody pays somebody), of the epidemic on a random network with ten contacts, and of the
epidemic in households (groups, no edges), at agents from 10^4 to 10^7; and of a run of 100,000 agents from 25 to 400
steps. Each time is the least of several runs of a compiled program; sizes take turns, so that what disturbs one
disturbs the others. The exponent is the slope of log seconds on log agents, with its standard error and the slopes
between neighbouring sizes: an exponent of 1 is linear. Below 1 a fixed cost of a step counts; above 1 memory does.

    python scaling.py [--json] [--quick] [--figure FILE.png]

`--quick` stops at 10^6 agents.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
from measure import finish, show, timed

import populace as pop
from populace._results import BandPanel, Figure, Points
from populace.core.simulate import begin
from populace.interact.mixing import WellMixed
from populace.reporting.figures import draw
from populace.zoo.boltzmann_wealth import BoltzmannWealth, Gifts
from populace.zoo.sir import SIR

WANTED = 0.05
SIZES = tuple(round(10 ** (half / 2)) // 32 * 32 for half in range(8, 15))
"""Multiples of 32: loops of odd lengths are not vectorised (docs/design/large.md)."""
STEPS, AGENTS = (25, 50, 100, 200, 400), 100_000
MODELS = ("wealth", "network", "households")
AGENT_STEPS = 1e7


def model(name: str, agents: int) -> pop.Model:
    if name == "wealth":
        return BoltzmannWealth(Gifts(WellMixed(agents)), agents=agents)
    if name == "network":
        return SIR(pop.random_network(jr.key(0), agents, degree=10), beta=0.02, gamma=0.1)
    return SIR(pop.Groups(np.arange(agents, dtype=np.int32) // 4), beta=0.05, gamma=0.1, seeded=0.05)


class Timed:
    """A compiled run of a model, from its first state: the seconds of each time it was asked."""

    def __init__(self, made: pop.Model, steps: int):
        self.model, self.steps, self.key = made, steps, jr.key(1)
        self.start = jax.block_until_ready(begin(made, self.key))
        self.seconds: list[float] = []
        self.once()

    def once(self) -> float:
        def run() -> None:
            jax.block_until_ready(pop.simulate(self.model, self.key, self.steps, start=self.start).final)

        return timed(run)[1]

    def again(self) -> None:
        self.seconds.append(self.once())

    @property
    def least(self) -> float:
        return min(self.seconds)


def exponent(x: np.ndarray, seconds: np.ndarray) -> dict[str, Any]:
    """The slope of log seconds on log x, its standard error, and the slopes from each x to the next."""
    a, b = np.log(x), np.log(seconds)
    centred = a - a.mean()
    slope = (centred * b).sum() / (centred**2).sum()
    left = b - b.mean() - slope * centred
    error = np.sqrt((left**2).sum() / (len(a) - 2) / (centred**2).sum())
    return {"exponent": float(slope), "error": float(error), "local": (np.diff(b) / np.diff(a)).tolist()}


def linear_range(sizes: np.ndarray, seconds: np.ndarray) -> dict[str, Any]:
    """The longest range of three sizes or more over which the exponent is within WANTED of 1."""
    for length in range(len(sizes), 2, -1):
        for first in range(len(sizes) - length + 1):
            part = slice(first, first + length)
            found = exponent(sizes[part], seconds[part])
            if abs(found["exponent"] - 1.0) <= WANTED:
                return {"from": int(sizes[part][0]), "to": int(sizes[part][-1]), "exponent": found["exponent"]}
    return {}


def by_agents(name: str, sizes: tuple[int, ...], repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds a step at each size. One size at a time is held: the largest networks fill the memory."""
    found = []
    for agents in sizes:
        steps = int(np.clip(AGENT_STEPS / agents, 5, 1000))
        run = Timed(model(name, agents), steps)
        for _ in range(repeats):
            run.again()
        found.append(run.least / steps)
        print(f"{name}, {agents:,} agents: {1e9 * found[-1] / agents:.2f} ns an agent and step", flush=True)
        del run
        jax.clear_caches()
    return np.array(sizes, float), np.array(found)


def by_steps(name: str, repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of runs of several lengths, in turn."""
    made = model(name, AGENTS)
    runs = [Timed(made, steps) for steps in STEPS]
    for _ in range(repeats):
        for run in runs:
            run.again()
    return np.array(STEPS, float), np.array([run.least for run in runs])


def figure(agents: dict[str, Any]) -> Figure:
    points = tuple(
        Points(name, np.log10(each["sizes"]), 1e9 * np.array(each["seconds"]) / np.array(each["sizes"]))
        for name, each in agents.items()
    )
    note = "Flat is linear: an exponent of 1."
    panel = BandPanel("Cost of an agent and step", "agents, log10", "ns of processor time", points=points, note=note)
    return Figure("scaling", "Processor time of an agent and step against the number of agents.", (panel,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="to 10^6 agents")
    parser.add_argument("--figure", metavar="FILE", type=Path, help="draw the costs into a PNG file")
    given = parser.parse_args()
    sizes, repeats = (SIZES[:5], 2) if given.quick else (SIZES, 4)
    agents: dict[str, Any] = {}
    steps: dict[str, Any] = {}
    for name in MODELS:
        x, seconds = by_agents(name, sizes, repeats)
        agents[name] = {**exponent(x, seconds), "sizes": x.tolist(), "seconds": seconds.tolist()}
        agents[name]["linear"] = linear_range(x, seconds)
        steps[name] = exponent(*by_steps(name, repeats))
        jax.clear_caches()
    rows = []
    for name in MODELS:
        found = agents[name]
        within = f"{found['linear']['from']:,} to {found['linear']['to']:,}" if found["linear"] else "nowhere"
        rows.append((name, found["exponent"], found["error"], within, steps[name]["exponent"], steps[name]["error"]))
    columns = ("model", "agents", "error", f"within {WANTED} of 1", f"steps, {STEPS[0]} to {STEPS[-1]}", "error")
    show(f"Exponents of cost, {sizes[0]:,} to {sizes[-1]:,} agents", columns, rows)
    if given.figure is not None:
        draw(figure(agents)).savefig(given.figure)
    finish(given, {"agents_exponent": agents, "steps_exponent": steps})


if __name__ == "__main__":
    main()
