"""Whether `pop.placebo` says of models what is known of them.

    python benchmarks/placebo.py [--keys N] [--json] [--quick]

Each case has one expected word a placebo, and is drawn and fitted anew with each key:

- an epidemic model (Poisson cases, three parameters) on curves of its own: not its placebos;
- an autoregression on series of its own, by mean, variance and autocorrelations: not permuted series, and the moments
  cannot see amplitude-adjusted or reversed ones, which are the same to second order;
- the same by mean and variance alone: the moments cannot see permuted series, and autocorrelation is named;
- a polynomial with as many coefficients as moments: fits anything;
- a constant level on numbers that vary five times as much: fits neither;
- the boarding school of 1978 (real counts, the simple epidemic model of the study): not permuted or reversed.

`right`: the share of verdicts that are the expected word; `words`: how often each; `times`: how many times as far off
as the data the placebos are (median).
"""

import argparse
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import measure

DATA, ANYTHING = "fits the data and not their placebos", "fits anything"
NEITHER, UNSEEN = "fits neither the data nor their placebos", "the moments cannot see the difference"
QUICK = ("polynomial", "memory", "memory unseen")


@dataclass(frozen=True)
class Case:
    """`draw`: from a key to a problem; `expected`: the name of a placebo to the right words."""

    draw: Callable[[Any], Any]
    method: Any
    budget: int
    placebos: tuple[Any, ...]
    expected: dict[str, str]
    named: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="three cases and one key, about a minute")
    parser.add_argument("--keys", type=int, default=4, help="data sets a case (default 4)")
    given = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if given.quick:
        measure.hasty()
    all_ = cases()
    wanted = {name: all_[name] for name in (QUICK if given.quick else all_)}
    found = {name: judged(case, 1 if given.quick else given.keys) for name, case in wanted.items()}
    rows = [
        (
            name,
            placebo,
            one["expected"],
            one["right"],
            _listed(one["words"]),
            one["times"] or "",
            found[name]["seconds"],
        )
        for name in found
        for placebo, one in found[name]["placebos"].items()
    ]
    columns = ("case", "placebo", "expected", "right", "found", "times as far off", "seconds a data set")
    measure.show("Placebos", columns, rows)
    right = statistics.mean(row[3] for row in rows)
    print(f"\nright: {right:.3f}")
    measure.finish(given, {"right": right, "cases": found})


def judged(case: Case, keys: int) -> dict[str, Any]:
    """What is said of one case over keys."""
    import jax.random as jr
    import numpy as np

    import populace as pop

    words: dict[str, Counter[str]] = {name: Counter() for name in case.expected}
    times: dict[str, list[float]] = {name: [] for name in case.expected}
    named, started = 0, time.perf_counter()
    for number in range(keys):
        data, key = jr.split(jr.key(number))
        found = pop.placebo(
            case.draw(data),
            case.method,
            key,
            budget=case.budget,
            placebos=case.placebos,
            predictive=300,
            progress=False,
        )
        for name in case.expected:
            kind = found.of(name)
            words[name][kind.verdict(found.data).code.value] += 1
            if kind.scores:
                times[name].append(float(np.median(kind.times(found.data))))
            named += bool(case.named and kind.telltales and case.named in kind.telltales[0].label)
    return {
        "placebos": {
            name: {
                "expected": case.expected[name],
                "right": words[name][case.expected[name]] / keys,
                "words": dict(words[name]),
                "times": statistics.median(times[name]) if times[name] else None,
            }
            for name in case.expected
        },
        "named": named / keys if case.named else None,
        "seconds": (time.perf_counter() - started) / keys,
    }


def _listed(words: dict[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in words.items())


def cases() -> dict[str, Case]:
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np
    import numpyro.distributions as dist

    import populace as pop
    from populace.studies import influenza

    smoother, particles = pop.EnsembleSmoother(draws=100), pop.SequentialABC(particles=60, adjust=False)
    shuffled, smoothed, back = pop.Permuted(), pop.AmplitudeAdjusted(), pop.Reversed()

    def epidemic(at, key):
        def day(state, key):
            s, i = state
            new = s * -jnp.expm1(-at["beta"] * i / 10_000.0)
            i = i + new - i * -jnp.expm1(-at["gamma"])
            return (s - new, i), jr.poisson(key, at["seen"] * new + 1e-3).astype(jnp.float32)

        return {"cases": jax.lax.scan(day, (9_990.0, 10.0), jr.split(key, 60))[1]}

    def memory(at, key):
        def step(x, e):
            x = at["phi"] * x + e
            return x, x

        return {"y": at["mu"] + jax.lax.scan(step, jnp.float32(0.0), jr.normal(key, (200,)))[1]}

    def polynomial(at, key):
        x = jnp.linspace(-1.0, 1.0, 100)
        return {"y": sum(at["c"][i] * x**i for i in range(5)) + 0.1 * jr.normal(key, (100,))}

    def constant(at, key):
        return {"y": at["mu"] + jr.normal(key, (100,))}

    def fifths(y):
        return y.reshape(5, -1).mean(1)

    def of(simulator, data, moments, errors, **priors):
        target = pop.Target(data, moments, covariance=None if errors is None else pop.Given(np.array(errors)))
        return pop.Problem(pop.Traceable(simulator), pop.Space(priors), target)

    def curve(key):
        seen = {k: np.asarray(v) for k, v in epidemic({"beta": 0.5, "gamma": 0.25, "seen": 0.2}, key).items()}
        moments = [pop.derived("weeks", lambda x: x[:56].reshape(8, 7).sum(1), "cases", pop.level("weeks"))]
        priors = {"beta": dist.Uniform(0.1, 1.0), "gamma": dist.Uniform(0.05, 0.6), "seen": dist.Uniform(0.05, 0.6)}
        return of(epidemic, seen, moments, None, **priors)

    def wave(key, moments, errors):
        seen = {"y": np.asarray(memory({"phi": 0.8, "mu": 1.0}, key)["y"])}
        return of(memory, seen, moments, errors, phi=dist.Uniform(-0.95, 0.95), mu=dist.Uniform(-3.0, 3.0))

    linear = [pop.mean("y"), pop.variance("y"), pop.autocorrelation("y", [1, 2])]

    def trend(key):
        y = np.asarray(5.0 * jnp.sin(jnp.linspace(0.0, 4.0, 100)) + jr.normal(key, (100,)))
        prior = {"c": dist.Uniform(-40.0, 40.0).expand([5])}
        return of(polynomial, {"y": y}, [pop.moment("fifths", fifths, of="y")], [0.2] * 5, **prior)

    def wild(key):
        y = {"y": np.asarray(5.0 * jr.normal(key, (100,)))}
        return of(constant, y, [pop.moment("fifths", fifths, of="y")], [0.22] * 5, mu=dist.Uniform(-5.0, 5.0))

    return {
        "epidemic": Case(curve, particles, 2_000, (shuffled, back), dict.fromkeys([shuffled.name, back.name], DATA)),
        "memory": Case(
            lambda key: wave(key, linear, [0.35, 0.7, 0.06, 0.08]),
            particles,
            1_000,
            (shuffled, smoothed, back),
            {shuffled.name: DATA, smoothed.name: UNSEEN, back.name: UNSEEN},
        ),
        "memory unseen": Case(
            lambda key: wave(key, linear[:2], [0.35, 0.7]),
            particles,
            1_000,
            (shuffled,),
            {shuffled.name: UNSEEN},
            named="autocorrelation(y)[1]",
        ),
        "polynomial": Case(
            trend, smoother, 1_500, (shuffled, back), dict.fromkeys([shuffled.name, back.name], ANYTHING)
        ),
        "constant": Case(wild, particles, 1_000, (shuffled,), {shuffled.name: NEITHER}),
        "boarding school": Case(
            lambda key: influenza.problem(rival=False),
            pop.SequentialABC(particles=60),
            3_000,
            (shuffled, back),
            dict.fromkeys([shuffled.name, back.name], DATA),
        ),
    }


if __name__ == "__main__":
    main()
