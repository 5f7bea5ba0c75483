"""Evidence with its error against closed forms: coverage, false separations of equal rivals, and power.

Three numbers are Gaussian around a line, N(m a, 1/4), with m ~ N(0, 1); a rival has another slope in the third. Data
sets are drawn from the one or the other. Each rival is fitted by `pop.SurrogatePosterior` on a polynomial and weighed
twice: against a copy of itself, which has the same evidence, and against the other, for which the odds are known. An
error bar of the right size holds the exact number within one error 68 times of 100, within two 95 times. Tempered
populations average the same likelihood as importance draws, so that the two may differ by the errors of draws alone.

Beside it, how often a known evidence is held where the posterior has two narrow hills: by importance draws from a
Gaussian around the one, as a fit that had found it would take them, and by tempering. No simulator is run.
"""

import argparse
import os
from dataclasses import dataclass, field

import measure


@dataclass
class Seen:
    """Standardised misses of evidences, by importance draws and by tempering, of both against each other, and of the
    classifier's log-odds; and what was said of pairs.
    """

    evidence: list[float] = field(default_factory=list)
    tempered: list[float] = field(default_factory=list)
    two_ways: list[float] = field(default_factory=list)
    drawn: list[float] = field(default_factory=list)
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
    record = summary(seen, sets) | hills(5 if given.quick else 150)
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


def hills(repeats: int) -> dict[str, float]:
    """Two Gaussian hills at random places under a wide prior, of which a proposal knows one."""
    import jax.random as jr
    import numpy as np
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    from populace.calibration.population import log_kernels
    from populace.identification.tempered import tempered

    wide, narrow, rng = 5.0, 0.05, np.random.default_rng(1)
    misses: dict[str, list[float]] = {"one proposal": [], "tempering": []}
    held, said = dict.fromkeys(misses, 0), []

    def prior(points: np.ndarray) -> np.ndarray:
        return multivariate_normal.logpdf(points, np.zeros(2), wide**2 * np.eye(2)).reshape(-1)

    for i in range(repeats):
        centres = wide * rng.standard_normal((2, 2))
        both = multivariate_normal.logpdf(centres, np.zeros(2), (wide**2 + narrow**2) * np.eye(2))
        exact = float(logsumexp(both) - np.log(2.0))
        near = multivariate_normal(centres[0], (1.5 * narrow) ** 2 * np.eye(2))
        points = near.rvs(1500, random_state=rng)
        logs = log_kernels(points, centres, narrow * np.eye(2)) + prior(points) - near.logpdf(points)
        one = float(logsumexp(logs) - np.log(1500))
        error = float(np.sqrt((np.exp(logs - logsumexp(logs)) ** 2).sum() - 1 / 1500))
        found = tempered(
            lambda at, centres=centres: log_kernels(at, centres, narrow * np.eye(2)),
            prior,
            lambda n: wide * rng.standard_normal((n, 2)),
            jr.key(i),
        )
        for name, log, e in (("one proposal", one, error), ("tempering", found.log, found.error)):
            misses[name].append(log - exact)
            held[name] += abs(log - exact) < 2 * e
        said.append(found.error)
    out = {f"two hills, {name}: median size of the miss": float(np.median(np.abs(m))) for name, m in misses.items()}
    out |= {f"two hills, {name}: share within 2 errors": held[name] / repeats for name in misses}
    return out | {"two hills, tempering: median error": float(np.median(said))}


def noted(seen: Seen, null, pair, exact: dict[str, float], code) -> None:
    """What one data set adds."""
    import numpy as np

    for one, name in zip((*null.evidences, pair.evidences[1]), ("straight", "straight", "bent"), strict=True):
        seen.evidence.append((one.log - exact[name]) / one.error)
        seen.misses.append(one.log - exact[name])
    for weighing, j, name in ((null, 0, "straight"), (null, 1, "straight"), (pair, 1, "bent")):
        one, cooled = weighing.evidences[j], weighing.tempered[j]
        seen.tempered.append((cooled.log - exact[name]) / np.linalg.norm([cooled.error, one.doubt, one.noise]))
        seen.two_ways.append((cooled.log - one.log) / np.hypot(cooled.error, one.sampling))
        seen.drawn.append(cooled.error)
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
    out["tempering, median error of the draws"] = float(np.median(seen.drawn))
    ways = (
        ("evidence", seen.evidence),
        ("evidence by tempering", seen.tempered),
        ("importance and tempering apart", seen.two_ways),
        ("log odds", seen.odds),
        ("classifier's log odds", seen.classifier),
    )
    for name, z in ways:
        for k in (1, 2):
            out[f"{name}, share within {k} error{'s' if k > 1 else ''}"] = float(np.mean(np.abs(z) < k))
    out |= {"equal pairs": float(sets), "equal pairs told apart": float(seen.accused)}
    out |= {"equal pairs not settled": float(seen.unsettled)}
    out |= {"pairs with exact odds beyond 100 : 1": float(seen.clear), "of these told apart": float(seen.told)}
    return out | {"told apart in favour of the lesser": float(seen.wrong)}


if __name__ == "__main__":
    main()
