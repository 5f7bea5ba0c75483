"""How far each relaxation's mean gradient is from the truth, and how much it spreads, by distribution and readout.

Ten coins of one probability p, and what is made of how many fall on 1: their number (linear), its square, whether any does
(1 - product of 1 - x), and a chain: a single agent has ten chances to catch it once, masked after the first
(`where=`). Then ten choices among three options, one with probability p, by the logit of that option; and single counts with the readouts X,
X^2 and exp(-X / 2). The truth is exact: enumeration of all outcomes. A relaxation's gradient is averaged over `--runs`
draws. "share" is mean / truth: 1 is unbiased, 0 blind, negative the wrong sign; "error" its standard error; "spread" the
standard deviation of one draw's gradient over the truth.

    python benchmarks/relaxation_bias.py [--json] [--quick] [--runs 200000]
"""

import argparse
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from measure import finish, show
from scipy import stats

import populace as pop
from populace.core.draw import Draw

COINS = 10
RARE = (0.5, 0.1, 0.01, 0.001)
RELAXATIONS: dict[str, pop.Relaxation] = {
    "StraightThrough()": pop.StraightThrough(),
    "Smoothed()": pop.Smoothed(),
    "Smoothed(0)": pop.Smoothed(0.0),
    "Smoothed(1)": pop.Smoothed(1.0),
    "GumbelSoftmax(1)": pop.GumbelSoftmax(1.0),
    "GumbelSoftmax(.1)": pop.GumbelSoftmax(0.1),
    "GumbelRao(.1, 16)": pop.GumbelRao(0.1, samples=16),
}
OF_COUNTS = ("StraightThrough()", "Smoothed()", "Smoothed(0)", "Smoothed(1)")

Case = tuple[str, float, Callable[[Draw, Any], dict[str, Any]], float, dict[str, float]]
"""Distribution, its parameter, the readouts of a draw, where to differentiate, and the true derivatives."""


def slope(expected: Callable[[float], float], at: float) -> float:
    """The derivative of a polynomial-like expectation in float64, by Richardson's central differences."""
    h = 1e-3 * min(at, 1 - at) if at < 1 else 1e-3 * at

    def central(h: float) -> float:
        return (expected(at + h) - expected(at - h)) / (2 * h)

    return (4 * central(h / 2) - central(h)) / 3


def over_coins(readout: Callable[[tuple[int, ...]], float], p: float) -> float:
    """E readout of COINS coins, over all 2^COINS outcomes."""
    faces = np.array(list(itertools.product((0, 1), repeat=COINS)))
    chances = p ** faces.sum(1) * (1 - p) ** (COINS - faces.sum(1))
    return float(chances @ np.array([readout(tuple(row)) for row in faces]))


def first_of(faces: tuple[int, ...]) -> float:
    """The chain: whether any of the chances is taken; coins after the first 1 are not tossed."""
    return float(max(faces))


def coins(p: float, runs: int) -> Case:
    def readouts(draw: Draw, p: Any) -> dict[str, Any]:
        x = draw.bernoulli("coins", p, size=(runs, COINS))
        caught = jnp.zeros(runs)
        for chance in range(COINS):
            caught = caught + draw.bernoulli(f"chance {chance}", p, where=1 - caught)
        k = x.sum(1)
        return {"linear": k, "square": k**2, "any": 1 - (1 - x).prod(1), "chain": caught}

    exact = {"linear": sum, "square": lambda f: sum(f) ** 2, "any": first_of, "chain": first_of}
    truths = {name: slope(lambda p, f=f: over_coins(f, p), p) for name, f in exact.items()}
    return "coins", p, readouts, p, truths


def choices(p: float, runs: int) -> Case:
    logit = float(np.log(2 * p / (1 - p)))

    def readouts(draw: Draw, logit: Any) -> dict[str, Any]:
        logits = jnp.stack([logit, 0.0 * logit, 0.0 * logit])
        k = draw.categorical("option", logits, size=(runs, COINS)).one_hot[..., 0].sum(1)
        return {"linear": k, "square": k**2}

    def chance(logit: float) -> float:
        return float(np.exp(logit) / (np.exp(logit) + 2))

    def expected(power: int, logit: float) -> float:
        k = np.arange(COINS + 1)
        return float(stats.binom.pmf(k, COINS, chance(logit)) @ k.astype(float) ** power)

    truths = {}
    for name, power in (("linear", 1), ("square", 2)):
        truths[name] = slope(lambda p, n=power: expected(n, np.log(2 * p / (1 - p))), p) * p * (1 - p)
    return "choices", p, readouts, logit, truths


COUNTS: dict[str, tuple[Callable[[Draw, Any, int], Any], Callable[[Any, float], Any], tuple[float, ...]]] = {
    "binomial(20, p)": (
        lambda d, p, n: d.binomial("s", 20, p, size=n),
        lambda k, p: stats.binom.pmf(k, 20, p),
        (0.3, 0.01),
    ),
    "poisson": (lambda d, r, n: d.poisson("s", r, size=n), stats.poisson.pmf, (3.0, 0.1)),
    "geometric": (lambda d, p, n: d.geometric("s", p, size=n), stats.geom.pmf, (0.7, 0.2)),
}


def counts(name: str, at: float, runs: int) -> Case:
    ask, mass, _ = COUNTS[name]
    numbers = np.arange(2_000)
    exact = {"linear": numbers, "square": numbers**2.0, "exp(-X/2)": np.exp(-numbers / 2)}

    def readouts(draw: Draw, at: Any) -> dict[str, Any]:
        x = ask(draw, at, runs)
        return {"linear": x, "square": x**2, "exp(-X/2)": jnp.exp(-x / 2)}

    truths = {key: slope(lambda a, f=f: float(mass(numbers, a) @ f), at) for key, f in exact.items()}
    return name, at, readouts, at, truths


def measured(case: Case, name: str, seed: int) -> list[dict[str, Any]]:
    """A row a readout."""
    distribution, at, readouts, where, truths = case

    def along(parameter: Any) -> dict[str, Any]:
        def values(x: Any) -> dict[str, Any]:
            return readouts(Draw(jr.key(seed), 1, plugs=(RELAXATIONS[name],)), x)

        return jax.jvp(values, (parameter,), (jnp.ones(()),))[1]

    rows = []
    for readout, slopes in jax.jit(along)(jnp.float32(where)).items():
        shares = np.asarray(slopes, np.float64) / truths[readout]
        rows.append(
            {
                "distribution": distribution,
                "parameter": at,
                "readout": readout,
                "relaxation": name,
                "share": float(shares.mean()),
                "error": float(shares.std() / np.sqrt(shares.size)),
                "spread": float(shares.std()),
            }
        )
    return rows


def table(title: str, rows: list[dict[str, Any]]) -> None:
    """A line a parameter and relaxation, a column a readout."""
    readouts = list(dict.fromkeys(row["readout"] for row in rows))
    lines: dict[tuple[float, str], dict[str, str]] = {}
    for row in rows:
        cell = f"{row['share']:.3g} +- {row['error']:.2g} ({row['spread']:.2g})"
        lines.setdefault((row["parameter"], row["relaxation"]), {})[row["readout"]] = cell
    cells = [(f"{at:g}", name, *(line[each] for each in readouts)) for (at, name), line in lines.items()]
    show(f"{title}: share of the true gradient +- error (spread of a draw)", ("at", "relaxation", *readouts), cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws")
    parser.add_argument("--runs", type=int, default=200_000, help="draws a gradient (default 200000)")
    given = parser.parse_args()
    runs = given.runs // 10 if given.quick else given.runs
    record: list[dict[str, Any]] = []
    for title, make in (("Ten coins", coins), ("Ten choices of three", choices)):
        rows = [row for p in RARE for name in RELAXATIONS for row in measured(make(p, runs), name, 1)]
        table(title, rows)
        record += rows
    for name, (_, _, at) in COUNTS.items():
        rows = [row for a in at for own in OF_COUNTS for row in measured(counts(name, a, runs), own, 1)]
        table(name, rows)
        record += rows
    finish(given, {"runs": runs, "rows": record})


if __name__ == "__main__":
    main()
