"""Evidence with its error against closed forms: coverage, false separations of equal rivals, and power.

Three numbers are Gaussian around a line, N(m a, 1/4), with m ~ N(0, 1); a rival has another slope in the third. Data
sets are drawn from the one or the other. Each rival is fitted by `pop.SurrogatePosterior` on a polynomial and weighed
twice: against a copy of itself, which has the same evidence, and against the other, for which the odds are known. An
error bar of the right size holds the exact number within one error 68 times of 100, within two 95 times.
"""

import argparse
import os
from dataclasses import dataclass, field

import measure


@dataclass
class Seen:
    """Standardised misses of evidences and of the classifier's log-odds, and what was said of pairs."""

    evidence: list[float] = field(default_factory=list)
    odds: list[float] = field(default_factory=list)
    classifier: list[float] = field(default_factory=list)
    misses: list[float] = field(default_factory=list)
    accused: int = 0
    unsettled: int = 0
    clear: int = 0
    told: int = 0
    wrong: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="few data sets, in under a minute")
    parser.add_argument("--sets", type=int, default=60, help="data sets (default 60)")
    parser.add_argument("--budget", type=int, default=600, help="simulator calls a rival (default 600)")
    given = parser.parse_args()
    if given.quick:
        measure.hasty()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sets = 5 if given.quick else given.sets
    seen = run(sets, given.budget)
    record = summary(seen, sets)
    rows = [[name, value] for name, value in record.items()]
    measure.show(f"Rivals: {sets} data sets, {given.budget} calls a rival", ("", ""), rows)
    measure.finish(given, record)


def run(sets: int, budget: int) -> Seen:
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np
    import numpyro.distributions as dist
    from scipy.stats import multivariate_normal

    import populace as pop
    from populace.core.executor import Ticker
    from populace.identification.weighing import weigh

    slopes = {"straight": np.array([1.0, 0.5, 2.0]), "bent": np.array([1.0, 0.5, 0.7])}
    method = pop.SurrogatePosterior(rounds=1, regressors=(pop.Polynomial(3),))
    space, more = pop.Space(m=dist.Normal(0.0, 1.0)), int(0.3 * budget)

    def simulator(slope):
        line = jnp.asarray(slope, jnp.float32)
        return pop.Traceable(lambda at, key: {"x": at["m"] * line + 0.5 * jr.normal(key, (3,))})

    simulators = {name: simulator(slope) for name, slope in slopes.items()}
    laws = {n: multivariate_normal(np.zeros(3), 0.25 * np.eye(3) + np.outer(a, a)) for n, a in slopes.items()}
    rng, seen = np.random.default_rng(0), Seen()
    for i in range(sets):
        truth = list(slopes)[i % 2]
        values = laws[truth].rvs(random_state=rng).astype(np.float32)
        target = pop.Target({"x": values}, [pop.level("x")])
        fits = {
            name: pop.calibrate(
                pop.Problem(simulators[name.split()[0]], space, target),
                method,
                jr.fold_in(jr.key(i), j),
                budget=budget - more,
                predictive=300,
            )
            for j, name in enumerate(("straight", "straight again", "bent"))
        }
        ticker = Ticker(None, "", 4 * more)
        null = weigh({n: fits[n] for n in ("straight", "straight again")}, jr.key(1000 + i), more, ticker)
        pair = weigh({n: fits[n] for n in ("straight", "bent")}, jr.key(2000 + i), more, ticker)
        noted(seen, null, pair, {n: float(law.logpdf(values)) for n, law in laws.items()}, pop.Code)
    return seen


def noted(seen: Seen, null, pair, exact: dict[str, float], code) -> None:
    """What one data set adds."""
    import numpy as np

    for one, name in zip((*null.evidences, pair.evidences[1]), ("straight", "straight", "bent"), strict=True):
        seen.evidence.append((one.log - exact[name]) / one.error)
        seen.misses.append(one.log - exact[name])
    wanted, first, second = exact["straight"] - exact["bent"], *pair.evidences
    seen.odds.append((first.log - second.log - wanted) / np.hypot(first.error, second.error))
    for weighing, truth in ((null, 0.0), (pair, wanted)):
        error = weighing.classified.error[0, 1]
        seen.classifier.append((-weighing.classified.log_odds[1] - truth) / error)
    seen.accused += null.code(1 - null.best) is code.TOLD_APART
    seen.unsettled += null.code(1 - null.best) is code.UNSETTLED
    told = pair.code(1 - pair.best) is code.TOLD_APART
    seen.clear += abs(wanted) > 2 * np.log(10.0)
    seen.told += bool(told and abs(wanted) > 2 * np.log(10.0))
    seen.wrong += bool(told and (wanted > 0) != (pair.names[pair.best] == "straight"))


def summary(seen: Seen, sets: int) -> dict[str, float]:
    import numpy as np

    out: dict[str, float] = {"evidence, root mean square miss": float(np.sqrt(np.mean(np.square(seen.misses))))}
    for name, z in (("evidence", seen.evidence), ("log odds", seen.odds), ("classifier's log odds", seen.classifier)):
        for k in (1, 2):
            out[f"{name}, share within {k} error{'s' if k > 1 else ''}"] = float(np.mean(np.abs(z) < k))
    out |= {"equal pairs": float(sets), "equal pairs told apart": float(seen.accused)}
    out |= {"equal pairs not settled": float(seen.unsettled)}
    out |= {"pairs with exact odds beyond 100 : 1": float(seen.clear), "of these told apart": float(seen.told)}
    return out | {"told apart in favour of the lesser": float(seen.wrong)}


if __name__ == "__main__":
    main()
