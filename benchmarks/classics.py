"""The classics against Mesa: flocking, Schelling, wolf-sheep and forest fire, small and large.

Sizes and rules are those of the public comparison of frameworks (JuliaDynamics/ABMFrameworksComparison). Both sides
take simultaneous steps (Mesa by looking first and acting then; wolves and sheep one after another in random order,
which is the same law); birds and neighbours act in turn as well, in random order on both sides. No time without a
proof of the same work: over 30 seeds the means of agent-steps and of a few summaries agree within three standard
errors, or the row is not printed. The same holds for a prototype in plain JAX (`classics_plain.py`), a yardstick
for the core: `plain_ratio` is how many times as long it takes.

Times are processor time. Apart: set-up (the first state), compilation (the first call less a later one), and the steady
run from the first state, with an observation a step on both sides; medians over seeds, populace before and after Mesa.

Mesa runs in an environment of its own:

    python3 -m venv mesa-env && mesa-env/bin/pip install "mesa>=3.3,<4"
    python benchmarks/classics.py --mesa mesa-env/bin/python [--json] [--quick]

`--quick` runs the small sizes. Without `--mesa` nothing is compared, and only populace's times are printed.
"""

import argparse
import json
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
from classics_plain import MODELS
from measure import finish, show, timed

import populace as pop
from populace.core.simulate import begin
from populace.interact.box import Box
from populace.interact.grid import Grid
from populace.interact.neighbourhood import Moore, VonNeumann
from populace.zoo.flocking import Flocking
from populace.zoo.forest_fire import ForestFire
from populace.zoo.schelling import FewerThan, Schelling
from populace.zoo.wolf_sheep import WolfSheep

SEEDS = 30
ERRORS = 3.0
PEER = Path(__file__).with_name("classics_mesa.py")

Series = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A row: the peer's model and sizes, the model here, and its summaries by the names that the peer gives them."""

    peer: str
    sizes: dict[str, Any]
    model: pop.Model
    summaries: Callable[[Series], dict[str, float]]
    plugs: tuple[pop.Plug, ...] = ()
    rooms: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return int(self.sizes["steps"])


def in_turn(one_by_one: bool) -> pop.Activation | None:
    return pop.RandomSequential() if one_by_one else None


def flocking(side: float, birds: int, vision: float, one_by_one: bool = False) -> Case:
    def summaries(seen: Series) -> dict[str, float]:
        order = seen["order"]
        means = {"order, first half": order[:50].mean(), "order, end": order[-10:].mean()}
        return {**means, "agent-steps": birds * len(order)}

    sizes = {"side": side, "birds": birds, "vision": vision, "steps": 100, "in_turn": one_by_one}
    model = Flocking(Box((side, side), periodic=True), birds, vision, activation=in_turn(one_by_one))
    return Case("flocking", sizes, model, summaries)


def schelling(side: int, people: int, radius: int, wanted: int, one_by_one: bool = False) -> Case:
    def summaries(seen: Series) -> dict[str, float]:
        moved = seen["moved"]
        moves = {"moves, first three": moved[:3].sum(), "moves, all": moved.sum()}
        return {"alike, end": seen["alike"][-1], **moves, "agent-steps": people * len(moved)}

    sizes = {"side": side, "people": people, "radius": radius, "wanted": wanted, "steps": 20, "in_turn": one_by_one}
    model = Schelling(Grid(side, side, Moore(radius)), density=people / side**2, activation=in_turn(one_by_one))
    site = "turn/leave" if one_by_one else "leave"
    return Case("schelling", sizes, model, summaries, (pop.Replace(site, FewerThan(float(wanted))),))


def wolf_sheep(
    side: int, sheep: int, wolves: int, regrowth: int, chances: tuple[float, float], rooms: tuple[int, int]
) -> Case:
    def summaries(seen: Series) -> dict[str, float]:
        steps = sheep + wolves + seen["sheep"][:-1].sum() + seen["wolves"][:-1].sum()
        means = {"sheep, mean": seen["sheep"].mean(), "wolves, mean": seen["wolves"].mean()}
        return {**means, "grazed": seen["grazed"].sum(), "hunted": seen["hunted"].sum(), "agent-steps": steps}

    sizes = {"side": side, "sheep": sheep, "wolves": wolves, "regrowth": regrowth, "steps": 100}
    sizes |= {"lambing": chances[0], "cubbing": chances[1]}
    model = WolfSheep(Grid(side, side), sheep, wolves, *rooms)
    model = pop.bind(model, {"regrowth": regrowth, "lambing": chances[0], "cubbing": chances[1]})
    return Case("wolf-sheep", sizes, model, summaries, rooms={"rooms": rooms})


def forest_fire(side: int, density: float) -> Case:
    def summaries(seen: Series) -> dict[str, float]:
        """Those that have burned acted once each."""
        burned = seen["burned"][-1]
        return {"burned": burned, "burning": seen["burning"][-1], "agent-steps": burned}

    model = ForestFire(Grid(side, side, VonNeumann()), density=density)
    return Case("forest-fire", {"side": side, "density": density, "steps": 100}, model, summaries)


def cases(quick: bool) -> dict[str, Case]:
    small = {
        "flocking-small": flocking(100.0, 200, 5.0),
        "schelling-small": schelling(40, 1000, 1, 3),
        "wolf-sheep-small": wolf_sheep(25, 60, 40, 20, (0.2, 0.1), (600, 400)),
        "forest-fire-small": forest_fire(100, 0.7),
        "flocking-small, in turn": flocking(100.0, 200, 5.0, one_by_one=True),
        "schelling-small, in turn": schelling(40, 1000, 1, 3, one_by_one=True),
    }
    large = {
        "flocking-large": flocking(150.0, 400, 15.0),
        "schelling-large": schelling(100, 8000, 2, 8),
        "wolf-sheep-large": wolf_sheep(100, 1000, 500, 10, (0.4, 0.2), (6000, 6000)),
        "forest-fire-large": forest_fire(500, 0.9),
        "flocking-large, in turn": flocking(150.0, 400, 15.0, one_by_one=True),
        "schelling-large, in turn": schelling(100, 8000, 2, 8, one_by_one=True),
    }
    return small if quick else {**small, **large}


class Ours:
    """The model here: run by seed, and what it took."""

    def __init__(self, case: Case):
        self.case = case
        self.setup: list[float] = []
        self.run: list[float] = []
        self.summaries: list[dict[str, float]] = []
        first = timed(lambda: self.once(0))[1]
        self.once(0)
        warm = min(timed(lambda: self.once(0))[1] for _ in range(3))
        self.compile = first - warm

    def once(self, seed: int) -> tuple[float, float, Series]:
        """A run: seconds of set-up and of the steps, and the series."""
        case, key = self.case, jr.key(seed)
        _, setup, start = timed(lambda: jax.block_until_ready(begin(case.model, key, case.plugs)))
        _, run, seen = timed(lambda: self._steps(key, start))
        return setup, run, seen

    def _steps(self, key: Any, start: pop.Snapshot) -> Series:
        run = pop.simulate(self.case.model, key, self.case.steps, start=start, plugs=self.case.plugs)
        return {name: np.asarray(values, np.float64) for name, values in run.observations.items()}

    def seeds(self, first: int, last: int) -> None:
        """Runs of several seeds, kept."""
        for seed in range(first, last):
            setup, run, seen = self.once(seed)
            self.setup.append(setup)
            self.run.append(run)
            self.summaries.append(self.case.summaries(seen))


def plainly(case: Case) -> tuple[list[float], list[dict[str, float]]] | None:
    """Seconds and summaries of the plain prototype, over the seeds; None for rows in turn, of which there is none."""
    sizes = dict(case.sizes)
    if sizes.pop("in_turn", False):
        return None
    run = jax.jit(MODELS[case.peer](**sizes, **case.rooms))
    jax.block_until_ready(run(jr.key(0)))
    seconds, summaries = [], []
    for seed in range(1, SEEDS + 1):
        _, spent, seen = timed(lambda: jax.block_until_ready(run(jr.key(seed))))  # noqa: B023
        seconds.append(spent)
        summaries.append(case.summaries({name: np.asarray(values, np.float64) for name, values in seen.items()}))
    return seconds, summaries


def theirs(case: Case, python: str) -> list[dict[str, Any]]:
    """Mesa's runs, a row a seed."""
    command = [python, str(PEER), case.peer, json.dumps(case.sizes), str(SEEDS)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def gaps(ours: list[dict[str, float]], peers: list[dict[str, float]]) -> dict[str, float]:
    """For each summary the difference of means in standard errors of the difference."""
    assert set(ours[0]) == set(peers[0]), f"{set(ours[0])} and {set(peers[0])} are not the same summaries"
    found = {}
    for name in ours[0]:
        one, other = (np.array([row[name] for row in rows], np.float64) for rows in (ours, peers))
        error = np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
        off = abs(one.mean() - other.mean())
        found[name] = 0.0 if off == 0 else float("inf") if error == 0 else float(off / error)
    return found


def median(seconds: list[float]) -> float:
    """In milliseconds."""
    return 1e3 * statistics.median(seconds)


def row(name: str, case: Case, python: str | None) -> dict[str, Any] | None:
    """One row of the table; None if the work is not the same."""
    ours = Ours(case)
    half = SEEDS // 2
    ours.seeds(1, half + 1)
    peers = None if python is None else theirs(case, python)
    ours.seeds(half + 1, SEEDS + 1)
    found: dict[str, Any] = {
        "cpu_ms": median(ours.run),
        "setup_ms": median(ours.setup),
        "compile_ms": 1e3 * ours.compile,
    }
    plain = plainly(case)
    if plain is not None:
        off = gaps(ours.summaries, plain[1])
        if max(off.values()) > ERRORS:
            print(f"{name}: the plain prototype does not do the same work. Standard errors apart: {off}")
        else:
            found |= {"plain_ms": median(plain[0]), "plain_ratio": median(plain[0]) / found["cpu_ms"]}
    if peers is None:
        return found
    apart = gaps(ours.summaries, [each["summaries"] for each in peers])
    found["same_work"] = max(apart.values())
    if found["same_work"] > ERRORS:
        print(f"{name}: not the same work, no row. Standard errors apart: {apart}")
        return None
    found["mesa_ms"] = median([each["run"] for each in peers])
    found["mesa_setup_ms"] = median([each["setup"] for each in peers])
    found["mesa_ratio"] = found["mesa_ms"] / found["cpu_ms"]
    saved = found["mesa_ms"] + found["mesa_setup_ms"] - found["cpu_ms"] - found["setup_ms"]
    found["runs_to_break_even"] = found["compile_ms"] / saved if saved > 0 else float("inf")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="the small sizes only")
    parser.add_argument("--only", metavar="ROW", nargs="+", help="some rows, such as flocking-large")
    parser.add_argument("--mesa", metavar="PYTHON", help="the Python of an environment with mesa")
    given = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    for name, case in cases(given.quick).items():
        found = row(name, case, given.mesa) if given.only is None or name in given.only else None
        if found is not None:
            rows[name] = found
            print(
                f"{name}: {found['cpu_ms']:.3g} ms, {found.get('mesa_ratio', float('nan')):.3g} times Mesa", flush=True
            )
    columns = list(dict.fromkeys(column for found in rows.values() for column in found))
    show(
        "The classics",
        ["model", *columns],
        [(name, *(found.get(column, float("nan")) for column in columns)) for name, found in rows.items()],
    )
    finish(given, {"seeds": SEEDS, "compared": given.mesa is not None, "rows": rows})


if __name__ == "__main__":
    main()
