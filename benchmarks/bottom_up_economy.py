"""The bottom-up economy at its own size: what it shows over seeds, what dearer credit does, and what a run takes.

500 households, 100 firms, quarters after 100 of running in. Facts are means over runs with their standard errors; for
other rates of interest and another requirement of the bank's equity, differences to the run with the same numbers.

The peer is bamengine (the same model with ten banks, in numpy, without closed books), in an environment of its own:

    python3 -m venv peer && peer/bin/pip install bamengine
    python benchmarks/bottom_up_economy.py --peer peer/bin/python [--json] [--quick]
"""

import argparse
import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from measure import finish, show, timed

import populace as pop
from populace.core.draw import Draw
from populace.zoo.bottom_up_accounts import Economy
from populace.zoo.bottom_up_economy import BottomUpEconomy

PEER = Path(__file__).with_name("bottom_up_economy_peer.py")
BURN_IN = 100
SETTINGS: dict[str, dict[str, float]] = {
    "as it is": {},
    "rate 0": {"rate": 0.0},
    "rate .04": {"rate": 0.04},
    "rate .08": {"rate": 0.08},
    "rate .16": {"rate": 0.16},
    "v .05": {"v": 0.05},
    "v .2": {"v": 0.2},
}
SHOWN = ("bankruptcies", "loans", "bad_debts", "equity", "saved", "unemployment", "output", "price")


class Closer(pop.Model):
    """The economy, observed firm by firm too, and whether the bank was given equity."""

    model: BottomUpEconomy

    def init(self, draw: Draw) -> Economy:
        return self.model.init(draw)

    def step(self, draw: Draw, state: Economy) -> Economy:
        return self.model.step(draw, state)

    def observe(self, state: Economy) -> dict[str, jax.Array]:
        firms = {"made": state.firms.made, "leverage": self.model.leverage(state), "failed": state.firms.failed}
        free = (state.households.employer < 0) | (state.households.contract == 0)
        bound = state.bank.loans * self.model.v > 0.97 * state.bank.equity
        bank = {"saved": 1.0 * (state.flows.capital[2] > 0), "bound": 1.0 * bound}
        return {**self.model.observe(state), **firms, **bank, "free": free.mean(dtype=jnp.float32)}


def seen(settings: dict[str, float], runs: int, quarters: int) -> dict[str, np.ndarray]:
    """Observations after running in, (runs, quarters, ...); the same numbers whatever the settings."""
    model = Closer(BottomUpEconomy(**{name: jnp.float32(value) for name, value in settings.items()}))
    made = [pop.simulate(model, jr.key(run), BURN_IN + quarters).observations for run in range(runs)]
    return {name: np.stack([np.asarray(one[name])[BURN_IN:] for one in made]) for name in made[0]}


def mean(values: np.ndarray) -> dict[str, float]:
    """Over runs, with its standard error."""
    return {"mean": float(values.mean()), "error": float(values.std(ddof=1) / np.sqrt(len(values)))}


def facts(series: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """What the model shows, a number a run each."""
    rise, idle = np.diff(np.log(series["wage"])), series["unemployment"][:, 1:]
    size = series["made"][:, ::10].astype(float)
    centred = size - size.mean(-1, keepdims=True)
    leverage, fails = series["leverage"][:, :-1], series["failed"][:, 1:]

    def share(low: float, high: float) -> np.ndarray:
        some = (leverage > low) & (leverage <= high)
        return (fails * some).sum((1, 2)) / some.sum((1, 2))

    log = np.log(series["output"])
    return {
        "unemployment, mean": mean(series["unemployment"].mean(1)),
        "unemployment, standard deviation": mean(series["unemployment"].std(1)),
        "without work or at the end of a contract": mean(series["free"].mean(1)),
        "log output, standard deviation": mean(log.std(1)),
        "log output, correlation with last quarter's": mean(paired(log[:, 1:], log[:, :-1])),
        "loans and unemployment, correlation": mean(paired(series["loans"], series["unemployment"])),
        "and three quarters later": mean(paired(series["loans"][:, :-3], series["unemployment"][:, 3:])),
        "lends all that it may, share of quarters": mean(series["bound"].mean(1)),
        "wage growth and unemployment, correlation": mean(paired(rise, idle)),
        "with those at the end of a contract": mean(paired(rise, series["free"][:, 1:])),
        "sizes, skewness": mean(((centred**3).mean(-1) / (centred**2).mean(-1) ** 1.5).mean(1)),
        "fail in the next quarter: without debt": mean(share(-1.0, 0.0)),
        "leverage up to 1/2": mean(share(0.0, 0.5)),
        "1/2 to 1": mean(share(0.5, 1.0)),
        "1 to 2": mean(share(1.0, 10.0)),
        "a bank without equity, share of quarters": mean(series["saved"].mean(1)),
    }


def paired(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A correlation a run."""
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(one, other, strict=True)])


def cost(quarters: int, repeats: int) -> dict[str, float]:
    """Seconds of the clock and of processor time to compile and to run."""
    model = BottomUpEconomy()

    def run(key: int) -> Any:
        return jax.block_until_ready(pop.simulate(model, jr.key(key), quarters).observations)

    first = timed(lambda: run(0))
    again = [timed(lambda at=at: run(1 + at)) for at in range(repeats)]
    wall, processor = (statistics.median(one[place] for one in again) for place in (0, 1))
    many = lambda key: np.asarray(pop.ensemble(model, jr.key(key), quarters, runs=8).observations["output"])  # noqa: E731
    many(0)
    eight = statistics.median(timed(lambda at=at: many(1 + at))[1] for at in range(repeats))
    return {
        "compile": first[0] - wall,
        "compile, processor": first[1] - processor,
        f"{quarters} quarters": wall,
        "milliseconds of processor a quarter": 1e3 * processor / quarters,
        "in an ensemble of 8": 1e3 * eight / (8 * quarters),
    }


def peer(python: str, runs: int, quarters: int) -> dict[str, Any]:
    """What bamengine shows at the same size, and milliseconds of processor time a quarter."""
    sizes = [str(x) for x in (runs, BURN_IN, quarters, 100, 500)]
    done = subprocess.run([python, str(PEER), *sizes], check=True, stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    took = 1e3 * statistics.median(told.pop("seconds"))
    return {"milliseconds a quarter": took, **{name: mean(np.asarray(values)) for name, values in told.items()}}


def main() -> None:
    """Print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peer", help="a Python with bamengine")
    given = parser.parse_args()
    runs, quarters = (6, 120) if given.quick else (12, 300)
    took = cost(200, 3 if given.quick else 5)
    all_seen = {name: seen(settings, runs, quarters) for name, settings in SETTINGS.items()}
    shown = facts(all_seen["as it is"])
    base = all_seen["as it is"]
    effects = {
        name: {what: mean((series[what] - base[what] * (name != "as it is")).mean(1)) for what in SHOWN}
        for name, series in all_seen.items()
    }
    print(f"{runs} runs of {quarters} quarters; seconds: " + ", ".join(f"{k} {v:.2f}" for k, v in took.items()))
    show("Facts", ("", "mean", "error"), [(name, x["mean"], x["error"]) for name, x in shown.items()])
    rows = [(name, *(f"{x['mean']:.3g} ({x['error']:.1g})" for x in row.values())) for name, row in effects.items()]
    show("What it is, and differences to it (errors)", ("", *SHOWN), rows)
    record = {"runs": runs, "quarters": quarters, "seconds": took, "facts": shown, "effects": effects}
    if given.peer:
        record["peer"] = peer(given.peer, runs, quarters)
        rows = [(name, *(x.values() if isinstance(x, dict) else (x, ""))) for name, x in record["peer"].items()]
        show("bamengine", ("", "mean", "error"), rows)
    finish(given, record)


if __name__ == "__main__":
    main()
