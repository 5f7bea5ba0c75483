"""Where a population of logit choosers tips, without its equation: errors, bursts, and whether intervals cover.

The truth is known: states of rest solve m = tanh(h + J m); at J = 1.5 and h = .1 the unstable one is -.20604, and the
upper branch ends in a fold at m = sqrt(1 - 1/J) = .57735, h = artanh(m) - J m = -.20755 (intensity of choice 1).

The baseline is what one writes first: bursts of length 1 with the same random numbers at each end of a difference, and
Newton's method; the root from about 2,000 bursts, the fold from 5,000. Its bursts are drawn as binomial counts, which
is the same law. Ours are `pop.steady_states` and `pop.tipping_point` on the agents, from a tenth of its bursts; they
are six and five times as long, so that the time simulated is three fifths and half.

    python benchmarks/tipping.py [--json] [--quick] [--repetitions 200]

`--quick` repeats 5 times, which tells errors roughly and says little of coverage.
"""

import argparse
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from measure import finish, hasty, show, timed

import populace as pop
from populace.zoo.logit_choice import LogitChoice

AGENTS, J, H = 10_000, 1.5, 0.1
ROOT = np.array([-0.2060383])
FOLD = np.array([np.sqrt(1 - 1 / J), np.arctanh(np.sqrt(1 - 1 / J)) - J * np.sqrt(1 - 1 / J)])
DT, LENGTHS = 0.1, {"unstable root": 6.0, "fold": 5.0}
ROOT_BURSTS, FOLD_BURSTS = 200, 500
COPIES, STEP = 200, 0.05


def main() -> None:
    given = _arguments()
    if given.quick:
        hasty()
    repetitions = 5 if given.quick else given.repetitions
    root, fold = _ours()
    contests: dict[str, tuple[Callable[[int], Any], np.ndarray]] = {
        "unstable root, ours": (root, ROOT),
        "unstable root, baseline": (baseline_root, ROOT),
        "fold, ours": (fold, FOLD),
        "fold, baseline": (baseline_fold, FOLD),
    }
    rows, found = [], {}
    for name, (work, truth) in contests.items():
        found[name] = repeated(work, truth, repetitions)
        one = found[name]
        for i, what in enumerate(("m", "h")[: len(truth)]):
            cover = "" if one["coverage"] is None else one["coverage"][i]
            rows.append(
                [name, what, one["rmse"][i], one["bias"][i], one["spread"][i], cover, one["bursts"], one["seconds"]]
            )
        show("so far", ["what", "number", "rmse", "bias", "spread", "coverage", "bursts", "seconds each"], rows[-2:])
    columns = ["what", "number", "rmse", "bias", "spread", "coverage", "bursts", "seconds each"]
    show(f"Tipping of the logit model, {repetitions} repetitions", columns, rows)
    finish(given, _record(found, repetitions))


def _record(found: dict[str, dict[str, Any]], repetitions: int) -> dict[str, Any]:
    def error(what: str) -> dict[str, Any]:
        return {
            who: {k: found[f"{what}, {who}"][k] for k in ("rmse", "bias", "spread")} for who in ("ours", "baseline")
        }

    root, fold = found["unstable root, ours"], found["fold, ours"]
    return {
        "root_error": error("unstable root"),
        "fold_error": error("fold"),
        "bursts": {
            what: {who: found[f"{what}, {who}"]["bursts"] for who in ("ours", "baseline")}
            for what in ("unstable root", "fold")
        },
        "coverage": {"root": root["coverage"][0], "fold_m": fold["coverage"][0], "fold_h": fold["coverage"][1]},
        "failed": {name: one["failed"] for name, one in found.items()},
        "repetitions": repetitions,
        "burst_length": {"ours": LENGTHS, "baseline": 1.0},
        "seconds": {name: one["seconds"] for name, one in found.items()},
    }


def repeated(work: Callable[[int], Any], truth: np.ndarray, repetitions: int) -> dict[str, Any]:
    """Errors over repetitions; `work` returns estimate, half of the 90 % interval or None, and bursts."""
    work(10_000)
    estimates, halves, bursts, seconds = [], [], [], []
    for repetition in range(repetitions):
        wall, _, (at, half, used) = timed(lambda: work(repetition))  # noqa: B023
        estimates.append(at)
        halves.append(half)
        bursts.append(used)
        seconds.append(wall)
    off = np.asarray(estimates) - truth
    good = np.isfinite(off).all(1)
    covered = None
    if halves[0] is not None:
        inside = np.abs(off) <= np.asarray(halves)  # one that found nothing has not covered
        covered = [float(v) for v in inside.mean(0)]
    return {
        "rmse": np.sqrt((off[good] ** 2).mean(0)).tolist(),
        "bias": off[good].mean(0).tolist(),
        "spread": off[good].std(0, ddof=1).tolist(),
        "coverage": covered,
        "bursts": float(np.mean(bursts)),
        "failed": int((~good).sum()),
        "seconds": float(np.median(seconds)),
    }


def _ours() -> tuple[Callable[[int], Any], Callable[[int], Any]]:
    model = LogitChoice(agents=AGENTS, J=jnp.float32(J), h=jnp.float32(H), dt=DT)
    coarse = {
        what: pop.Coarse(
            model,
            lift=lambda macro, draw: model.at(macro["mean"]),
            within={"mean": (-1.0, 1.0)},
            steps=round(length / DT),
            step_time=DT,
        )
        for what, length in LENGTHS.items()
    }

    def root(repetition: int) -> Any:
        found = pop.steady_states(coarse["unstable root"], jr.key(repetition), starts=[[-0.3]], budget=ROOT_BURSTS)
        if not found.states:
            return np.array([np.nan]), np.array([np.nan]), found.bursts
        return found.states[0].at, found.states[0].half, found.bursts

    def fold(repetition: int) -> Any:
        key = jr.key(1_000_000 + repetition)
        box = {"mean": (0.0, 1.0)}
        found = pop.tipping_point(coarse["fold"], "h", key, span=(-0.5, 0.3), within=box, budget=FOLD_BURSTS)
        return found.at, found.half, found.bursts

    return root, fold


def displacement(m: float, h: float, seed: int) -> float:
    """The mean displacement over bursts of length 1 from m, agents counted by opinion."""
    generator = np.random.default_rng(seed)
    first = np.full(COPIES, round(0.5 * (1.0 + m) * AGENTS))
    up, redraw = first.copy(), 1.0 - np.exp(-STEP)
    for _ in range(round(1.0 / STEP)):
        pull = np.tanh(h + J * (2.0 * up / AGENTS - 1.0))
        left, joined = 0.5 * redraw * (1 - pull), 0.5 * redraw * (1 + pull)
        up = up - generator.binomial(up, left) + generator.binomial(AGENTS - up, joined)
    return float(2.0 * (up - first).mean() / AGENTS)


def baseline_root(repetition: int) -> Any:
    """Newton with central differences, the same random numbers all along."""
    m, e, used = -0.3, 0.02, 0
    for _ in range(5):
        up, down = (displacement(m + side * e, H, repetition) for side in (1, -1))
        used += 2 * COPIES
        m -= float(np.clip(e * (up + down) / (up - down), -0.2, 0.2))
    return np.array([m]), None, used


def baseline_fold(repetition: int) -> Any:
    """Newton for displacement and derivative both 0, with central differences."""
    at, e, used = np.array([0.5, -0.2]), np.array([0.1, 0.05]), 0
    for _ in range(5):
        (m, h), seed = at, repetition
        here, up, down = (displacement(m + side * e[0], h, seed) for side in (0, 1, -1))
        up_on, down_on = (displacement(m + side * e[0], h + e[1], seed) for side in (1, -1))
        used += 5 * COPIES
        slope, bend = (up - down) / (2 * e[0]), (up - 2 * here + down) / e[0] ** 2
        by_h = (0.5 * (up_on + down_on) - 0.5 * (up + down)) / e[1]
        both = ((up_on - down_on) / (2 * e[0]) - slope) / e[1]
        move = np.linalg.solve(np.array([[slope, by_h], [bend, both]]), -np.array([here, slope]))
        at = at + np.clip(move, -0.1, 0.1)
    return at, None, used


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Where a population of logit choosers tips, without its equation.")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="5 repetitions")
    parser.add_argument("--repetitions", type=int, default=200, help="default 200")
    return parser.parse_args()


if __name__ == "__main__":
    main()
