"""Does a planner over agents who learn find the instruments that are known, and say when agents learned too little?

Taxes, quotas, a subsidy and a share of the stock are held against their closed forms, some searches each. The same tax
is searched with agents who learn too little and enough: how far it is off, and what the verdict on how long agents
learned says. A tax that answers a price which swings is held against the best rule and the best tax that is always the
same: 0 is as good as that one, 1 as good as the rule (p q K - w) (n - 1) / (2 n).

    python benchmarks/planner.py [--quick] [--json]
"""

import argparse
import json
import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import populace as pop
from populace.zoo.commons import Commons, Shore, untaxed
from populace.zoo.cournot import Cournot
from populace.zoo.fishery import Fishery

NETWORKS = pop.ModelGradient(worlds=16)
LINES = pop.ModelGradient(worlds=8, hidden=(), rate=0.1)
UPDATES = (100, 200, 300)


class Case(NamedTuple):
    """An instrument whose answer is known; `updates`: of each training."""

    game: pop.Game
    planner: pop.Planner
    answer: float
    agents: pop.Algorithm
    updates: int


def commons(n: int) -> pop.Game:
    def kept(step: pop.Step) -> jax.Array:
        return step.after.profit.sum() + step.after.revenue

    fishers = pop.Learner(lambda step: step.after.profit, pop.Continuous(0.0, 1.0, first=0.8 / n), discount=0.0)
    return pop.Game(Commons(n), 4, {"effort": fishers}, welfare=kept)


def market(n: int) -> pop.Game:
    """Welfare is what buyers would have paid for all units, less what these cost. Units cost more than the subsidy that
    is right: otherwise firms would make as many as they can, be the price 0.
    """
    model = pop.bind(Cournot(n), {"cost": 60.0})

    def surplus(step: pop.Step) -> jax.Array:
        total = step.after.quantity.sum()
        return (model.intercept - model.cost - total / 2.0) * total

    firms = pop.Learner(lambda step: step.after.profit, pop.Continuous(0.0, 45.0), discount=0.0)
    return pop.Game(model, 4, {"quantity": firms}, welfare=surplus)


def waters(n: int, steps: int) -> pop.Game:
    def utility(step: pop.Step) -> jax.Array:
        return jnp.log(jnp.maximum(step.after.catch, 1e-6))

    harvesters = pop.Learner(utility, pop.Continuous(0.0, 1.0), discount=0.96)
    return pop.Game(Fishery(n), steps, {"harvest": harvesters}, welfare=lambda step: utility(step).sum())


def best_share(steps: int, elasticity: float = 0.36) -> float:
    """The constant share of the stock with the largest mean of log catch over so many steps from a start that all
    share: log x_k = a^k log x_0 + (1 + a + ... + a^k) a log(1 - s) / a, so that 1 / s = m / (1 - s) with m the mean of
    a (1 - a^k) / (1 - a) over k = 0 ... steps - 1.
    """
    weight = elasticity / (1 - elasticity) * float(np.mean(1 - elasticity ** np.arange(steps)))
    return 1 / (1 + weight)


def cases() -> dict[str, Case]:
    tax = pop.Planner("planner/tax", pop.Continuous(0.0, 0.8))
    out = {}
    for n in (2, 5):
        out[f"tax, commons, n = {n}"] = Case(commons(n), tax, 0.4 * (n - 1) / n, NETWORKS, 600)
    each = pop.Planner(pop.Quota("effort"), pop.Continuous(0.0, 0.24))
    out["quota each, commons, n = 5"] = Case(commons(5), each, 0.4 / 5, NETWORKS, 100)
    shared = pop.Planner(pop.SharedQuota("effort"), pop.Continuous(0.0, 1.2))
    out["quota of all, commons, n = 2"] = Case(commons(2), shared, 0.4, NETWORKS, 100)
    for n, updates in ((2, 300), (3, 900)):
        subsidy = pop.Planner(pop.Setting("subsidy"), pop.Continuous(0.0, 40.0))
        out[f"subsidy, Cournot, n = {n}"] = Case(market(n), subsidy, 40 / n, LINES, updates)
    share = pop.Planner(pop.SharedQuota("harvest"), pop.Continuous(0.2, 0.9))
    out["share of the stock, fishery"] = Case(waters(2, 32), share, best_share(32), LINES, 100)
    return out


def searched(case: Case, keys: int) -> dict[str, Any]:
    begun, values, said, sound, still = time.perf_counter(), [], [], 0, 0
    wanted = {pop.Code.BETTER, pop.Code.PLAN_HOLDS, pop.Code.PLAN_UNBEATEN, pop.Code.AGENTS_LEARNED}
    for key in range(keys):
        budget = case.agents.runs * case.updates
        found = pop.plan(case.game, case.planner, case.agents, jr.key(key), budget=budget, progress=False)
        values.append(float(found.chosen[0]))
        said.append(float(found.error[0]) if found.error.size else float("nan"))
        codes = {verdict.code for verdict in found.verdicts.values()}
        sound, still = sound + (wanted <= codes), still + (pop.Code.AGENTS_STILL_LEARNING in codes)
    off = np.array(values) / case.answer - 1.0
    return {
        **{"value": float(np.median(values)), "expected": case.answer, "error": float(np.median(off))},
        **{"worst": float(np.abs(off).max()), "said": float(np.median(said)), "sound": sound, "still": still},
        **{"searches": keys, "seconds": (time.perf_counter() - begun) / keys},
    }


class Tide(eqx.Module):
    """The shore, and the price in the step to come."""

    shore: Shore
    price: jax.Array


class SwingingCommons(pop.Model):
    """A commons whose price is drawn anew from `low` to `high` each step, for all to see. Sites as of `Commons`."""

    commons: Commons
    low: float = eqx.field(static=True, default=0.5)
    high: float = eqx.field(static=True, default=1.5)

    def init(self, draw: pop.Draw) -> Tide:
        return Tide(self.commons.init(draw), draw.uniform("price", self.low, self.high, size=()))

    def step(self, draw: pop.Draw, tide: Tide) -> Tide:
        shore, n = tide.shore, self.commons.players
        seen = {"stock": shore.stock[None], "effort": shore.effort.sum()[None], "price": tide.price[None]}
        tax = draw.child("planner").decide("tax", seen, untaxed)[0]
        view = {"effort": shore.effort, "price": jnp.broadcast_to(tide.price, (n,))}
        effort = draw.decide("effort", view, lambda view, inner: view["effort"])
        after = pop.bind(self.commons, {"price": tide.price}).settled(effort, tax)
        return Tide(after, draw.uniform("price", self.low, self.high, size=()))

    def observe(self, tide: Tide) -> dict[str, jax.Array]:
        return {"effort": tide.shore.effort.sum(), "price": tide.price}


def swinging(n: int) -> pop.Game:
    def kept(step: pop.Step) -> jax.Array:
        return step.after.shore.profit.sum() + step.after.shore.revenue

    fishers = pop.Learner(lambda step: step.after.shore.profit, pop.Continuous(0.0, 1.0, first=0.3), discount=0.0)
    return pop.Game(SwingingCommons(Commons(n)), 8, {"effort": fishers}, welfare=kept)


def answered(taxes: np.ndarray, prices: np.ndarray, n: int) -> float:
    """Mean welfare where players answer a tax at each price as the Nash equilibrium has it."""
    effort = np.clip((1 - (0.2 + taxes) / prices) * n / (n + 1), 0.0, 1.0)
    return float(np.mean((prices * (1 - effort) - 0.2) * effort))


def seeing(keys: int) -> dict[str, Any]:
    """Of the welfare between the best tax that is always the same and the best rule, the part that is found."""
    begun, n, prices = time.perf_counter(), 2, np.linspace(0.5, 1.5, 501)
    best = answered((prices - 0.2) * (n - 1) / (2 * n), prices, n)
    steady = max(answered(np.full(prices.size, tax), prices, n) for tax in np.linspace(0.0, 0.6, 301))
    planner, parts, unbeaten = pop.Planner("planner/tax", pop.Continuous(0.0, 0.8), hidden=()), [], 0
    for key in range(keys):
        found = pop.plan(swinging(n), planner, LINES, jr.key(key), budget=LINES.runs * 200, progress=False)
        at = {"stock": jnp.full(501, 0.6), "effort": jnp.full(501, 0.4), "price": jnp.asarray(prices, jnp.float32)}
        taxes = jax.vmap(lambda seen, policy=found.policy: policy.act(seen, (), jr.key(0)).action)(at)
        parts.append((answered(np.asarray(taxes, np.float64), prices, n) - steady) / (best - steady))
        codes = {verdict.code for verdict in found.verdicts.values()}
        unbeaten += {pop.Code.PLAN_UNBEATEN, pop.Code.PLAN_HOLDS} <= codes
    return {
        **{"value": float(np.median(parts)), "worst": float(min(parts)), "rule": best, "steady": steady},
        **{"sound": unbeaten, "searches": keys, "seconds": (time.perf_counter() - begun) / keys},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three instruments, two searches each")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    asked = parser.parse_args()
    pop.use_all_cores()
    keys, results = (2 if asked.quick else 4), {}
    chosen = list(cases().items())
    print(f"{'instrument':30} {'found':>8} {'answer':>8} {'error':>8} {'worst':>7} {'said':>8} {'s':>6}  sound")
    for name, case in chosen[:: 3 if asked.quick else 1]:
        row = results[name] = searched(case, keys)
        numbers = f"{row['value']:8.4f} {row['expected']:8.4f} {100 * row['error']:+7.2f}% {100 * row['worst']:6.2f}%"
        said = 100 * row["said"] / case.answer
        print(f"{name:30} {numbers} {said:7.2f}% {row['seconds']:6.1f}  {row['sound']} of {keys}", flush=True)
    print(
        f"\n{'tax, n = 2, updates':30} {'found':>8} {'answer':>8} {'error':>8} {'worst':>7}  agents were still learning"
    )
    _, taxed = chosen[0]
    for updates in UPDATES[:1] if asked.quick else UPDATES:
        row = results[f"tax after {updates}"] = searched(taxed._replace(updates=updates), keys)
        numbers = f"{row['value']:8.4f} {row['expected']:8.4f} {100 * row['error']:+7.2f}% {100 * row['worst']:6.2f}%"
        print(f"{updates:30} {numbers}  {row['still']} of {keys}", flush=True)
    print()
    if not asked.quick:
        row = results["seeing"] = seeing(keys)
        print(
            f"tax that sees the price, by a line: {row['value']:.3f} of the way from {row['steady']:.4f} to "
            f"{row['rule']:.4f}, worst {row['worst']:.3f}, sound in {row['sound']} of {keys} ({row['seconds']:.1f} s)",
            flush=True,
        )
    if asked.json:
        print(json.dumps({"cases": results}))


if __name__ == "__main__":
    main()
