"""How far each relaxation's mean gradient is from the truth, and how much it spreads, by distribution and readout.

Ten coins of one probability p, and four readouts: how many fall on 1 (linear), its square, whether any does
(1 - product of 1 - x), and a chain, in which an agent has ten chances to catch it once and is masked after the first
(`where=`). Then ten choices among three options, one of them with probability p, by its logit; and counts, with the
readouts X, X^2 and exp(-X / 2).

Last an epidemic: 1,000 agents with 10 contacts on a small world, rates and share of .05 a day, and the share infected,
its mean over 30 days and on day 20. Its truth is by central differences with common random numbers.

Elsewhere the truth is exact: all outcomes are enumerated. A relaxation's gradient is averaged over `--runs` draws, and
divided by the truth: 1 is unbiased, 0 blind, negative the wrong sign. Its standard error follows, and in brackets its
spread, the standard deviation of one draw's gradient over the truth.

    python benchmarks/relaxation_bias.py [--json] [--quick] [--runs 100000]
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
from populace.core.ensemble import OneRun, one_run
from populace.zoo.sir import SIR

COINS = 10
RARE = (0.5, 0.1, 0.01, 0.001)
QUICK = (0.1, 0.01)
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
    found = jax.jit(along)(jnp.float32(where))
    for readout, truth in truths.items():
        shares = np.asarray(found[readout], np.float64) / truth
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


EPIDEMIC = ("d mean / d beta", "d day 20 / d beta", "d mean / d gamma", "d day 20 / d gamma")
STEP = 0.005


def infected(model: pop.Model, plugs: tuple[pop.Plug, ...], at: Any, key: Any) -> Any:
    """Share infected of an epidemic with parameters (beta, gamma): the mean over 30 days, and on day 20."""
    seen = one_run(OneRun(model, plugs, pop.EveryStep(), 30), (key, {"beta": at[0], "gamma": at[1]})).observations
    return jnp.stack([seen["infected"].mean(), seen["infected"][19]]) / 1_000


def epidemic(runs: int) -> list[dict[str, Any]]:
    """A row a derivative and relaxation, as numbers and not as shares; the first relaxation is none: the truth."""
    at = jnp.array([0.05, 0.05])
    model = SIR(pop.small_world(jr.key(0), 1_000, degree=10, rewire=0.1), 0.05, 0.05, 0.05)

    def differences(key: Any) -> Any:
        sides = [[infected(model, (), at.at[i].add(sign * STEP), key) for i in range(2)] for sign in (1, -1)]
        return jnp.stack([(high - low) / (2 * STEP) for high, low in zip(*sides, strict=True)], axis=-1)

    def along(name: str) -> Callable[[Any], Any]:
        return lambda key: jax.jacfwd(lambda x: infected(model, (RELAXATIONS[name],), x, key))(at)

    rows = []
    for name, slopes, count in [("truth", differences, 4 * runs), *((n, along(n), runs) for n in RELAXATIONS)]:
        keys = jr.split(jr.key(2), count)
        found = np.asarray(jax.jit(lambda keys, f=slopes: jax.lax.map(f, keys, batch_size=8))(keys), np.float64)
        for column, readout in enumerate(EPIDEMIC):
            one = found[:, column % 2, column // 2]
            numbers = {"gradient": one.mean(), "error": one.std() / np.sqrt(count), "spread": one.std()}
            kind = {"distribution": "epidemic", "parameter": 0.05, "readout": readout, "relaxation": name}
            rows.append({**kind, **{key: float(number) for key, number in numbers.items()}})
    return rows


def table(title: str, rows: list[dict[str, Any]]) -> None:
    """A line a parameter and relaxation, a column a readout."""
    readouts = list(dict.fromkeys(row["readout"] for row in rows))
    lines: dict[tuple[float, str], dict[str, str]] = {}
    for row in rows:
        mean = row["share"] if "share" in row else row["gradient"]
        cell = f"{mean:.3g} +- {row['error']:.2g} ({row['spread']:.2g})"
        lines.setdefault((row["parameter"], row["relaxation"]), {})[row["readout"]] = cell
    cells = [(f"{at:g}", name, *(line[each] for each in readouts)) for (at, name), line in lines.items()]
    show(f"{title} +- error (spread of a draw)", ("at", "relaxation", *readouts), cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws, and half of the probabilities")
    parser.add_argument("--runs", type=int, default=100_000, help="draws a gradient (default 100000)")
    given = parser.parse_args()
    runs = given.runs // 10 if given.quick else given.runs
    record: list[dict[str, Any]] = []
    of_choices = [name for name in RELAXATIONS if name not in ("Smoothed(0)", "Smoothed(1)")]  # Smoothed() to them
    for title, make, names in (("Ten coins", coins, RELAXATIONS), ("Ten choices of three", choices, of_choices)):
        chances = QUICK if given.quick else RARE
        rows = [row for p in chances for name in names for row in measured(make(p, runs), name, 1)]
        table(f"{title}: share of the true gradient", rows)
        record += rows
    for name, (_, _, at) in COUNTS.items():
        rows = [
            row
            for a in at[: 1 if given.quick else 2]
            for own in OF_COUNTS
            for row in measured(counts(name, a, runs), own, 1)
        ]
        table(f"{name}: share of the true gradient", rows)
        record += rows
    rows = epidemic(runs=50 if given.quick else 300)
    table("Epidemic: the gradient itself", rows)
    record += rows
    finish(given, {"runs": runs, "rows": record})


if __name__ == "__main__":
    main()
