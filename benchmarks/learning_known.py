"""Do agents learn the answers that are known? The fish war, Cournot's market and the commons, eight trainings each.

What is learned is compared with the closed forms: shares of the stock, quantities, efforts. The fishery of five starts
from policies that ask for more than there is: there the question is whether the audit names the ration.

    python benchmarks/learning_known.py [--quick] [--json]
"""

import argparse
import json
import time
from typing import Any

import jax
import jax.random as jr
import numpy as np

import populace as pop
from populace.studies.fishery import game as fishery
from populace.zoo.commons import Commons
from populace.zoo.cournot import Cournot
from populace.zoo.fishery import nash_share

SEEDS = 8


def profit(step: pop.Step) -> jax.Array:
    return step.after.profit


def one_shot(model: pop.Model, site: str, high: float) -> pop.Game:
    return pop.Game(model, 8, {site: pop.Learner(profit, pop.Continuous(0.0, high), discount=0.0)})


def found(learned: pop.LearnedPolicies, site: str) -> np.ndarray:
    """What each training's agents do on average in a run's later half."""
    game, values = learned.game, []
    for seed in range(len(learned.policies)):
        plugs = (pop.Record((site,)), *learned.plugs(seed))
        tape = pop.simulate(game.model, jr.key(11), game.steps, plugs=plugs).tape
        values.append(float(tape[site]["value"][game.steps // 2 :].mean()))
    return np.array(values)


def cases(quick: bool) -> dict[str, tuple[pop.Game, str, float, pop.PPO, int]]:
    """Name to game, site, answer, algorithm, updates."""
    share = 3 if quick else 1
    slow, fast = pop.PPO(worlds=64, decay=0.8), pop.PPO(worlds=64, decay=0.0)
    out = {
        f"fishery, n = {n}": (fishery(n, first), "harvest", nash_share(n), slow, 300 // share)
        for n, first in ((1, None), (2, 0.3), (3, 0.2))
    }
    out |= {
        f"Cournot, n = {n}": (one_shot(Cournot(n), "quantity", 90.0), "quantity", 90 / (n + 1), fast, 200 // share)
        for n in (2, 3, 5)
    }
    out |= {
        f"commons, n = {n}": (one_shot(Commons(n), "effort", 1.0), "effort", 0.8 / (n + 1), fast, 200 // share)
        for n in (1, 2)
    }
    return out


def learn_case(game: pop.Game, site: str, answer: float, algorithm: pop.PPO, updates: int) -> dict[str, Any]:
    begun = time.perf_counter()
    learned = pop.learn(game, algorithm, jr.key(0), budget=algorithm.worlds * updates, seeds=SEEDS, progress=False)
    seconds = time.perf_counter() - begun
    values = found(learned, site)
    return {
        **{"value": float(values.mean()), "expected": answer, "error": float(values.mean() / answer - 1.0)},
        **{"worst": float(np.abs(values / answer - 1.0).max()), "seeds": SEEDS, "seconds": seconds},
        "rest": learned.verdicts[site].code.value,
    }


def grabbing(quick: bool) -> dict[str, Any]:
    """The fishery of five from first policies in the middle of the interval, and what the audit says of each."""
    begun = time.perf_counter()
    game = fishery(5)
    algorithm = pop.PPO(decay=0.8)
    learned = pop.learn(game, algorithm, jr.key(0), budget=32 * (60 if quick else 150), seeds=SEEDS, progress=False)
    named = 0
    for policies in learned.policies:
        audit = pop.audit_policy(game, policies, jr.key(1), progress=False)
        named += audit.verdicts["limit 'ration'"].code is pop.Code.LEANS_ON_LIMIT
    values = found(learned, "harvest")
    return {
        **{"value": named, "expected": int((5 * values > float(game.model.most)).sum()), "error": 0.0, "seeds": SEEDS},
        **{"asked": float(5 * values.mean()), "seconds": time.perf_counter() - begun},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a third of the updates")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    asked = parser.parse_args()
    pop.use_all_cores()
    results: dict[str, Any] = {}
    print(f"{'case':18} {'found':>9} {'answer':>9} {'error':>8} {'worst':>8} {'s':>6}  at rest")
    for name, case in cases(asked.quick).items():
        row = results[name] = learn_case(*case)
        numbers = f"{row['value']:9.4f} {row['expected']:9.4f} {100 * row['error']:+7.2f}% {100 * row['worst']:7.2f}%"
        print(f"{name:18} {numbers} {row['seconds']:6.1f}  {row['rest']}", flush=True)
    row = results["fishery, n = 5, rationed"] = grabbing(asked.quick)
    print(
        f"fishery, n = 5: asked for {row['asked']:.2f} of the stock; {row['expected']} of {SEEDS} trainings live on "
        f"the ration, the audit names it in {row['value']} ({row['seconds']:.0f} s)"
    )
    if asked.json:
        print(json.dumps({"cases": results}))


if __name__ == "__main__":
    main()
