"""Do agents learn the answers that are known? The fish war, Cournot's market and the commons, eight trainings each.

What is learned is compared with the closed forms: shares of the stock, quantities, efforts. The fishery of five starts
from policies that ask for more than there is: there the question is whether the audit names the ration. Rock, paper,
scissors: whether the average of play is near a third each, and whether the audit says that play goes round. Firms that
learn prices by tables: 100 sessions, as published, and what is left of their collusion among strangers and against a
best response, which dynamic programming finds exactly. A planner over agents who learn: the tax on effort that brings
two and five players of the commons to what one owner would do.

Policies in response to each other (learning_known_responses.py): mixtures of rock, paper, scissors, fair and biased,
with what the best move would gain; averages of play and the last play alone; a crowd on a beach against its mean-field
equilibrium. Networks (learning_known_networks.py): the worth of machines against value iteration; a sign that only who
remembers can name.

    python benchmarks/learning_known.py [--quick] [--only TEXT] [--json]
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.random as jr
import numpy as np
from learning_known_networks import remembered, valued
from learning_known_responses import BIASED, FAIR, QUARTERS, THIRDS, crowd, mixed

import populace as pop
from populace.studies.fishery import game as fishery
from populace.zoo.commons import Commons
from populace.zoo.cournot import Cournot
from populace.zoo.fishery import cooperative_share, nash_share
from populace.zoo.pricing import Pricing, one_period_price, pricing
from populace.zoo.rock_paper_scissors import RockPaperScissors

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


def cases(quick: bool) -> dict[str, tuple[pop.Game, str, float, pop.Algorithm, int]]:
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
    # The same by slopes through the model, each for itself and all together.
    own, joint = pop.ModelGradient(), pop.ModelGradient(together=True)
    long, both = fishery(1, steps=128), fishery(2, 0.3, steps=128)
    out["fishery, n = 1, slopes"] = (long, "harvest", nash_share(1), own, 200 // share)
    out["fishery, n = 2, together"] = (both, "harvest", cooperative_share(2), joint, 200 // share)
    return {name: out[name] for name in HASTY} if quick else out


HASTY = ("fishery, n = 1", "Cournot, n = 2")
"""What is left of these for a quick look."""


def learn_case(game: pop.Game, site: str, answer: float, algorithm: pop.Algorithm, updates: int) -> dict[str, Any]:
    begun = time.perf_counter()
    learned = pop.learn(game, algorithm, jr.key(0), budget=algorithm.runs * updates, seeds=SEEDS, progress=False)
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


def turning(quick: bool) -> dict[str, Any]:
    """Rock, paper, scissors by multiplicative weights: averages of play, and what the audit says of each training."""
    begun = time.perf_counter()
    learner = pop.Learner(lambda step: step.after.paid, pop.Discrete(3), discount=0.9, types=jax.numpy.arange(2))
    game = pop.Game(RockPaperScissors(), 8, {"move": learner})
    algorithm = pop.MultiplicativeWeights()
    budget = algorithm.runs * (300 if quick else 1000)
    learned = pop.learn(game, algorithm, jr.key(0), budget=budget, seeds=SEEDS, progress=False)
    audit = pop.audit_policy(game, learned.policies, jr.key(1), history=learned.history, progress=False)
    chances = np.stack([np.asarray(policies["move"].chances) for policies in learned.policies])
    last = np.stack([np.asarray(history[-1]["move"].chances) for history in learned.history])
    verdict = audit.verdicts["cycles at move"]
    return {
        **{
            "value": float(np.abs(chances - 1 / 3).max()),
            "expected": 0.0,
            "error": float(np.abs(chances - 1 / 3).max()),
        },
        **{"last": float(np.abs(last - 1 / 3).max()), "verdict": verdict.code.value, "says": verdict.sentence},
        **{"found": verdict.numbers["found"], "seeds": SEEDS, "seconds": time.perf_counter() - begun},
    }


def colluding(quick: bool) -> dict[str, Any]:
    """Q-learners that set prices: the profit gain, among their own and among strangers, and the best response."""
    begun = time.perf_counter()
    market, sessions = pricing(), 16 if quick else 100
    grid, discount = np.asarray(market.prices, np.float64), 0.95
    profits = profit_table(market)
    learner = pop.Learner(profit, pop.Discrete(15), discount=discount, types=jax.numpy.arange(2))
    game = pop.Game(market, 10_000, {"price": learner})
    against_chance = profits.mean(1) / (1.0 - discount)
    algorithm = pop.QLearning((15, 15), rate=0.15, fade=4e-6, first=against_chance, patience=100_000)
    learned = pop.learn(game, algorithm, jr.key(0), budget=400, seeds=sessions, runs=2, progress=False)
    seconds = time.perf_counter() - begun
    plays = np.stack([np.asarray(p["price"].table).argmax(-1).reshape(2, 15, 15) for p in learned.policies])
    nash, cartel = (float(market.profits(np.full(2, p))[0]) for p in (one_period_price(2), one_period_price(2, 2)))
    gain = lambda first, second: (at_rest(first, second, profits) - nash) / (cartel - nash)  # noqa: E731
    own = gain(plays[:, 0], plays[:, 1])
    strangers = gain(plays[:, 0], np.roll(plays[:, 1], 1, axis=0))
    best, once = best_responses(plays, profits, discount)
    audit = audited_pricing(market, learned.policies[:8])
    return {
        **{"value": float(own.mean()), "expected": 0.856, "error": float(own.mean() / 0.856 - 1.0)},
        **{"standard_error": float(own.std(ddof=1) / np.sqrt(sessions)), "spread": float(own.std(ddof=1))},
        **{"cross_play": float(strangers.mean()), "best_response": best, "one_shot": once, "audit": audit},
        **{"prices": [float(grid[0]), float(grid[-1])], "rest": learned.done.sentence},
        **{"seeds": sessions, "seconds": seconds, "all_seconds": time.perf_counter() - begun},
    }


PLANNED = ((2, pop.ModelGradient(worlds=16)), (5, pop.ModelGradient(worlds=16)), (5, pop.PPO(decay=0.0, hidden=(8,))))
"""Players of the commons, and how they learn under a planner."""


def planned(n: int, agents: pop.Algorithm, quick: bool) -> dict[str, Any]:
    """A planner's tax on the commons, (n - 1) / (2 n) of what the first unit of effort earns: some searches."""
    begun, searches = time.perf_counter(), 2 if quick else 4
    fishers = pop.Learner(profit, pop.Continuous(0.0, 1.0, first=0.8 / n), discount=0.0)
    game = pop.Game(Commons(n), 4, {"effort": fishers}, welfare=kept)
    planner, answer = pop.Planner("planner/tax", pop.Continuous(0.0, 0.8)), 0.8 * (n - 1) / (2 * n)
    budget, taxes, errors, sound = agents.runs * (200 if quick else 300), [], [], 0
    for key in range(searches):
        found = pop.plan(game, planner, agents, jr.key(key), budget=budget, progress=False)
        taxes.append(float(found.chosen[0]))
        errors.append(float(found.error[0]) if found.error.size else float("nan"))
        wanted = (pop.Code.BETTER, pop.Code.PLAN_HOLDS, pop.Code.PLAN_UNBEATEN)
        sound += set(wanted) <= {verdict.code for verdict in found.verdicts.values()}
    return {
        **{"value": float(np.mean(taxes)), "expected": answer, "error": float(np.mean(taxes) / answer - 1.0)},
        **{"worst": float(np.abs(np.array(taxes) / answer - 1.0).max()), "said": float(np.median(errors))},
        **{"sound": sound, "searches": searches, "seconds": (time.perf_counter() - begun) / searches},
    }


def kept(step: pop.Step) -> jax.Array:
    """Welfare on the commons: what players keep, and what the tax takes from them."""
    return step.after.profit.sum() + step.after.revenue


def profit_table(market: Pricing) -> np.ndarray:
    """(own, rival): what a firm earns in a period, by the numbers of both prices."""
    prices = np.asarray(market.prices)
    pairs = np.stack(np.meshgrid(prices, prices, indexing="ij"), axis=-1).reshape(-1, 2)
    earned = jax.vmap(market.profits)(jax.numpy.asarray(pairs))[:, 0]
    return np.asarray(earned, np.float64).reshape(prices.size, prices.size)


def path(first: np.ndarray, second: np.ndarray, periods: int) -> tuple[np.ndarray, np.ndarray]:
    """(sessions, periods): the prices' numbers of both firms. Each table is by the own and the rival's last price."""
    one = other = np.full(len(first), 7)
    rows, everyone = [], np.arange(len(first))
    for _ in range(periods):
        one, other = first[everyone, one, other], second[everyone, other, one]
        rows.append((one, other))
    return np.stack([a for a, _ in rows], axis=1), np.stack([b for _, b in rows], axis=1)


def at_rest(first: np.ndarray, second: np.ndarray, profits: np.ndarray) -> np.ndarray:
    """(sessions,): mean profit of both over a long stretch, once play has settled on a price or a round of prices."""
    one, other = (prices[:, 500:] for prices in path(first, second, 1000))
    return 0.5 * (profits[one, other] + profits[other, one]).mean(1)


def best_responses(plays: np.ndarray, profits: np.ndarray, discount: float) -> tuple[float, float]:
    """What a firm gains, in parts of its value, by the exact best response to its rival's table, and by deviating in
    one period only; from where play settles, the mean over firms and sessions.
    """
    best, once = [], []
    for firm in (0, 1):
        mine, rival = plays[:, firm], plays[:, 1 - firm]
        answers = np.swapaxes(rival, 1, 2)  # by my last price and the rival's
        everyone = np.arange(len(mine))[:, None, None]
        kept = optimal = np.zeros(mine.shape)
        for _ in range(600):
            kept = profits[mine, answers] + discount * kept[everyone, mine, answers]
            choices = profits[:, answers].transpose(1, 2, 3, 0) + discount * _at(optimal, answers)
            optimal = choices.max(-1)
        deviating = (profits[:, answers].transpose(1, 2, 3, 0) + discount * _at(kept, answers)).max(-1)
        one, other = (prices[:, 500:] for prices in path(mine, rival, 1000))
        rows = np.arange(len(mine))[:, None]
        best.append((optimal[rows, one, other] / kept[rows, one, other] - 1.0).mean())
        once.append((deviating[rows, one, other] / kept[rows, one, other] - 1.0).mean())
    return float(np.mean(best)), float(np.mean(once))


def _at(values: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """(sessions, own, rival, new): the value after each own new price and the rival's answer."""
    everyone = np.arange(len(values))[:, None, None, None]
    return values[everyone, np.arange(15), answers[..., None]]


def audited_pricing(market: Pricing, policies: Any) -> dict[str, str]:
    """What the audit says of eight sessions, in runs of 200 periods, with a deviator that learns by a table too."""
    learner = pop.Learner(profit, pop.Discrete(15), discount=0.95, types=jax.numpy.arange(2))
    game = pop.Game(market, 200, {"price": learner})
    deviator = pop.QLearning((15, 15), rate=0.3, first=profit_table(market).mean(1) / 0.05)
    audit = pop.audit_policy(game, policies, jr.key(2), runs=32, deviator=deviator, budget=1000, progress=False)
    return {subject: f"{v.code.value}: {v.sentence}" for subject, v in audit.verdicts.items()}


Rows = dict[str, tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], str]]]
"""Name to what finds a row, and what is said of it behind its numbers."""


def rows(quick: bool) -> Rows:
    """All with an answer that is a number."""
    seeds, least = (2, 1) if quick else (SEEDS, SEEDS)
    out: Rows = {
        name: (partial(learn_case, *case), lambda row: f"at rest: {row['rest']}") for name, case in cases(quick).items()
    }
    for n, agents in PLANNED[: 1 if quick else None]:
        sound = lambda row: f"sound in {row['sound']} of {row['searches']}"  # noqa: E731
        out[f"tax, n = {n}, {type(agents).__name__}"] = partial(planned, n, agents, quick), sound
    for name, game in {"fair": (FAIR, THIRDS), "biased": (BIASED, QUARTERS)}.items():
        out[f"responses, {name}"] = partial(mixed, *game, pop.RegretMatching(), 6, seeds), exploited
    out["crowd, 60 bathers"] = (
        partial(crowd, 8 if quick else 20, least),
        lambda row: f"shares within {row['shares_off']:.3f}; {exploited(row)}",
    )
    out["machines, deep Q"] = (
        partial(valued, 100 if quick else 200, SEEDS),
        lambda row: (
            f"chooses as value iteration in {row['same']} of {row['seeds']}, worst {100 * row['policy']:+.2f} %"
        ),
    )
    for memory in (4,) if quick else (4, 0):
        told = lambda row: f"always named in {row['told']} of {row['seeds']}"  # noqa: E731
        out[f"a sign, memory {memory}"] = partial(remembered, memory, 60 if quick else 100, SEEDS), told
    return out


def exploited(row: dict[str, Any]) -> str:
    """What a best move gains on what is played."""
    return (
        f"a best move gains {row['gap']:.3f} (worst {row['worst_gap']:.3f}), as said {row['said']:.3f} "
        f"(error {row['said_error']:.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows, a third of the updates")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    asked = parser.parse_args()
    pop.use_all_cores()
    results: dict[str, Any] = {}
    print(f"{'case':24} {'found':>9} {'answer':>9} {'error':>8} {'worst':>8} {'s':>6}")
    for name, (find, say) in rows(asked.quick).items():
        if asked.only in name:
            row = results[name] = find()
            numbers = (
                f"{row['value']:9.4f} {row['expected']:9.4f} {100 * row['error']:+7.2f}% {100 * row['worst']:7.2f}%"
            )
            print(f"{name:24} {numbers} {row['seconds']:6.1f}  {say(row)}", flush=True)
    told: dict[str, Callable[[bool], dict[str, Any]]] = {
        "self-play": played,
        "fishery, n = 5, rationed": rationed,
        "rock, paper, scissors": turned,
        "pricing": collusion,
    }
    for name, tell in told.items():
        if asked.only in name and not (asked.quick and tell in (rationed, turned)):
            results[name] = tell(asked.quick)
    if asked.json:
        print(json.dumps({"cases": results}))


def played(quick: bool) -> dict[str, Any]:
    """Responses to the average of all before, and to the last alone."""
    rounds, seeds = (6, 1) if quick else (12, SEEDS)
    average = mixed(FAIR, THIRDS, pop.FictitiousSelfPlay(), rounds, seeds)
    last = mixed(FAIR, THIRDS, pop.SelfPlay(), 6, seeds)
    print(
        f"self-play: the answer to the last move gains {last['gap']:.2f} for ever (2); to the average of {rounds} "
        f"{average['gap']:.3f} (worst {average['worst_gap']:.3f} of {seeds} searches, as said {average['said']:.3f}, "
        f"error {average['said_error']:.3f}; {average['seconds'] + last['seconds']:.0f} s)",
        flush=True,
    )
    return {"last": last, "average": average, "value": last["gap"], "expected": 2.0, "error": last["gap"] / 2.0 - 1.0}


def rationed(quick: bool) -> dict[str, Any]:
    row = grabbing(quick)
    print(
        f"fishery, n = 5: asked for {row['asked']:.2f} of the stock; {row['expected']} of {SEEDS} trainings live on "
        f"the ration, the audit names it in {row['value']} ({row['seconds']:.0f} s)",
        flush=True,
    )
    return row


def turned(quick: bool) -> dict[str, Any]:
    row = turning(quick)
    print(
        f"rock, paper, scissors: averages of play at most {row['error']:.3f} from a third, play itself "
        f"{row['last']:.2f} ({row['seconds']:.0f} s); {row['verdict']}: {row['says']}",
        flush=True,
    )
    return row


def collusion(quick: bool) -> dict[str, Any]:
    row = colluding(quick)
    print(
        f"pricing: profit gain {row['value']:.3f} (error {row['standard_error']:.3f}, {row['seeds']} sessions, "
        f"{row['seconds']:.0f} s; published .856), among strangers {row['cross_play']:.3f} (.139); best response "
        f"{100 * row['best_response']:+.1f} % (16), in one period {100 * row['one_shot']:+.2f} % (.3)"
    )
    for sentence in row["audit"].values():
        print(f"    {sentence}")
    return row


if __name__ == "__main__":
    main()
