"""Whether what `pop.counterfactual` says of an intervention is so, where the truth is known.

    python benchmarks/counterfactual.py [--datasets N] [--draws N] [--json] [--quick]

An outbreak in a school of 200. Parameters are drawn from the prior and make a data set; one amortised posterior is read
off at it; interventions are asked under that posterior; and the truth is run with and without them, with a new key.

- `coverage_90`: how often the 90 % interval of the effect holds the truth's effect, by intervention and over all;
- `paired_variance_ratio`: how many times the variance of the effect would be with independent runs (median over data
  sets, contacts less by a tenth; the others in the table);
- `disagreement_flagged`: two models that give the same counts of boys in bed, one with immune boys, one with boys who
  infect unseen, both fitted: how often `models differ in size` is said of isolating those in bed (the truth: they do);
  `false_alarms`: the same of two fits of one model; `inside`: how often the data's moments lie in the 95 % predictive
  intervals of either fit;
- `seconds_exact`, `seconds_fast`: the best of 21 doses of a vaccine in a school of 2,000 by running all over the
  posterior, and by a surrogate of the loss over parameters and dose, with its guard, and runs at the doses that
  decide; `regret_fast`: by how much the fast choice loses more, as a share of what the best dose gains.
"""

import argparse
import dataclasses
import functools
import os
import statistics
import time
from typing import Any

import measure

STEPS = 30
DIFFER = ("models differ in size", "models differ in sign")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="few data sets, about a minute")
    parser.add_argument("--datasets", type=int, default=200, help="default 200")
    parser.add_argument("--draws", type=int, default=200, help="of each posterior (default 200)")
    given = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if given.quick:
        measure.hasty()
        given.datasets, given.draws = 20, 100
    begun = time.perf_counter()
    fit = learned(immune=0.0, silent=0.0, key=0, quick=given.quick)
    speed = answers(fit, 300 if given.quick else 2_000, given.quick)
    measure.show("A dose", tuple(speed), [tuple(speed.values())])
    covered = coverage(fit, given.datasets, given.draws)
    rows = [(name, one["coverage"], one["error"], one["ratio"]) for name, one in covered.items()]
    measure.show("Effects", ("intervention", "coverage of 90 %", "its error", "variance ratio"), rows)
    rivals = disagreement(3 if given.quick else 20, given.draws, given.quick)
    measure.show("Rivals", tuple(rivals), [tuple(rivals.values())])
    record = {
        "coverage_90": statistics.mean(one["coverage"] for one in covered.values()),
        "paired_variance_ratio": covered["contacts less by a tenth"]["ratio"],
        **speed,
        **rivals,
        "interventions": covered,
        "datasets": given.datasets,
        "seconds": time.perf_counter() - begun,
    }
    print(f"\ncoverage_90: {record['coverage_90']:.3f}   seconds: {record['seconds']:.0f}")
    measure.finish(given, record)


def school(immune: float = 0.0, silent: float = 0.0, boys: int = 200) -> Any:
    import jax.numpy as jnp

    from populace.zoo.school_epidemic import SchoolEpidemic

    rates = jnp.float32(1.7), jnp.float32(0.45)
    shares = jnp.float32(immune), jnp.float32(silent)
    return SchoolEpidemic(
        *rates, immune=shares[0], silent=shares[1], boys=boys, first=max(5, boys // 40), steps_per_day=1
    )


def problem(model: Any) -> Any:
    import jax.random as jr
    import numpy as np
    import numpyro.distributions as dist

    import populace as pop

    seen = pop.simulate(model, jr.key(9), STEPS).observations
    moments = [pop.maximum("in_bed"), pop.peak_time("in_bed"), pop.total("in_bed")]
    return pop.Problem(
        pop.Simulation(model, STEPS),
        pop.Space(beta=dist.LogUniform(0.8, 4.0), recovery=dist.LogUniform(0.3, 0.8)),
        pop.Target({"in_bed": np.asarray(seen["in_bed"])}, moments),
    )


def learned(*, immune: float, silent: float, key: int, quick: bool) -> Any:
    """A posterior that can be read off at any data."""
    import jax.random as jr

    import populace as pop
    from populace.surrogates.flow_matching import FlowMatching

    density = FlowMatching(members=2, steps=600) if quick else FlowMatching(members=2, steps=1_500)
    method = pop.NeuralPosterior(density, rounds=1)
    task = problem(school(immune, silent))
    return pop.calibrate(task, method, jr.key(key), budget=1_024 if quick else 3_072, predictive=16, progress=False)


def at(fit: Any, data: Any, i: int) -> Any:
    """The fit of run i in the place of the data."""
    target = fit.problem.target
    run = {name: values[i] for name, values in data.observations.items()}
    return dataclasses.replace(fit, problem=fit.problem.with_target(target.with_values(data.moments[i], run)))


def interventions() -> dict[str, Any]:
    import populace as pop
    from populace.zoo.school_epidemic import IsolateFirst, VaccinateShare

    return {
        "contacts less by a tenth": pop.Intervention(parameters={"beta": pop.Times(0.9)}),
        "recover sooner by a fifth": pop.Intervention(parameters={"recovery": pop.Times(1.2)}),
        "vaccinate a tenth": pop.Intervention((pop.Replace("vaccinate", VaccinateShare(0.1)),)),
        "isolate 100 from day 6": pop.Intervention((pop.Replace("isolate", IsolateFirst(100, 6.0)),)),
    }


def days_in_bed(observations: Any) -> Any:
    return observations["in_bed"].sum(1)


def ever_in_bed(observations: Any) -> Any:
    return observations["ever_in_bed"][:, -1]


def coverage(fit: Any, datasets: int, draws: int) -> dict[str, dict[str, float]]:
    import jax.random as jr
    import numpy as np

    import populace as pop
    from populace.campaigns.interventions import prepared
    from populace.core.executor import Ticker

    draw, make, true, ask = jr.split(jr.key(1), 4)
    truths = fit.problem.space.sample(draw, datasets)
    data = fit.problem.simulate(truths, jr.split(make, datasets), Ticker(None, "", datasets), keep=True)
    keys, ticker = jr.split(true, datasets), Ticker(None, "", 0)
    what = interventions()

    def outcomes(one: Any) -> Any:
        ready = prepared("truth", one, fit, truths, keys)
        return days_in_bed(ready.simulator.simulate(ready.batch, keys, ticker).observations)

    base = outcomes(())
    effects = {name: base - outcomes(one) for name, one in what.items()}
    held: dict[str, list[float]] = {name: [] for name in what}
    ratio: dict[str, list[float]] = {name: [] for name in what}
    for i in range(datasets):
        key = jr.fold_in(ask, i)
        found = pop.counterfactual(
            at(fit, data, i), what, key, outcome="days in bed", of=days_in_bed, draws=draws, progress=False
        )
        for name in what:
            low, _, high = found.interval(name)
            held[name].append(float(low <= effects[name][i] <= high))
            ratio[name].append(found.pairing(name))
    return {
        name: {
            "coverage": float(np.mean(held[name])),
            "error": float(np.sqrt(0.09 / datasets)),
            "ratio": statistics.median(ratio[name]),
        }
        for name in what
    }


def disagreement(datasets: int, draws: int, quick: bool) -> dict[str, float]:
    """On data of large outbreaks in the school with immune boys."""
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np

    import populace as pop
    from populace.core.executor import Ticker
    from populace.zoo.school_epidemic import IsolateFirst

    fits = {
        "immune": learned(immune=0.4, silent=0.0, key=2, quick=quick),
        "silent": learned(immune=0.0, silent=0.4, key=3, quick=quick),
        "immune again": learned(immune=0.4, silent=0.0, key=4, quick=quick),
    }
    truths = {"beta": jnp.full(datasets, 2.5), "recovery": jnp.full(datasets, 0.45)}
    task = fits["immune"].problem
    data = task.simulate(truths, jr.split(jr.key(5), datasets), Ticker(None, "", datasets), keep=True)
    isolate = {"isolate": (pop.Replace("isolate", IsolateFirst(200, 6.0)),)}
    flagged, alarms, shares, inside = [], [], [], []
    for i in range(datasets):
        here = {name: at(fit, data, i) for name, fit in fits.items()}
        given = {"outcome": "ever in bed", "of": ever_in_bed, "draws": draws, "progress": False}
        found = pop.counterfactual(here, isolate, jr.key(i), **given)
        apart = found.between("isolate", "immune", "silent")
        flagged.append(apart.code.value in DIFFER)
        shares.append(apart.share)
        alarms.append(found.between("isolate", "immune", "immune again").code.value in DIFFER)
        for name in ("immune", "silent"):
            real = here[name].estimate.draws(here[name].problem, jr.key(i), draws)
            batch = here[name].problem.space.from_real(real)
            seen = here[name].problem.simulate(batch, jr.split(jr.key(50 + i), draws), Ticker(None, "", draws)).moments
            low, high = np.quantile(seen, [0.025, 0.975], axis=0)
            inside.append(((low <= data.moments[i]) & (data.moments[i] <= high)).mean())
    return {
        "disagreement_flagged": statistics.mean(flagged),
        "false_alarms": statistics.mean(alarms),
        "share_of_variance": statistics.median(shares),
        "inside": float(np.mean(inside)),
    }


def answers(fit: Any, boys: int, quick: bool) -> dict[str, float]:
    """The best dose of a vaccine: exactly, and fast."""
    import jax.random as jr
    import numpy as np
    import numpyro.distributions as dist

    import populace as pop

    draws, price = 100 if quick else 500, 200.0
    task = problem(school(boys=boys))
    prior = np.asarray(task.space.to_real(task.space.sample(jr.key(6), 64)), np.float64)
    real = prior.mean(0) + 0.3 * (prior - prior.mean(0))  # a posterior a third as wide as the prior
    estimate = pop.Posterior(real, np.full(64, 1 / 64), np.full((64, 1), np.nan), ())
    here = dataclasses.replace(fit, problem=task, estimate=estimate)
    doses = np.linspace(0.0, 1.0, 21)
    exact(here, doses[:2], draws, boys, price)  # compile
    space = task.space.extended({"plugs.0.rule.share": dist.Uniform(0.0, float(doses[-1]))})
    fast(here, space, doses, draws, boys, price, 150)  # compile
    one, slow, table = measure.timed(lambda: exact(here, doses, draws, boys, price))
    two, quickly, (chosen, runs) = measure.timed(lambda: fast(here, space, doses, draws, boys, price, 150))
    means = table.means[1:]
    gained = float(table.means[0] - means.min())
    return {
        "boys": boys,
        "seconds_exact": one,
        "seconds_fast": two,
        "processor_exact": slow,
        "processor_fast": quickly,
        "runs_exact": draws * (1 + len(doses)),
        "runs_fast": runs,
        "best dose": float(doses[int(means.argmin())]),
        "fast dose": float(doses[chosen]),
        "regret_fast": float(means[chosen] - means.min()) / gained,
    }


def vaccines(doses: Any, boys: int) -> dict[str, Any]:
    import populace as pop
    from populace.zoo.school_epidemic import VaccinateShare

    return {
        f"{100 * dose:.0f} %": pop.Intervention(
            (pop.Replace("vaccinate", VaccinateShare(dose)),), cost=100.0 * boys * float(dose)
        )
        for dose in doses
    }


def exact(fit: Any, doses: Any, draws: int, boys: int, price: float) -> Any:
    import jax.random as jr

    import populace as pop

    asked = vaccines(doses, boys)
    given = {"outcome": "ever in bed", "of": ever_in_bed, "price": price, "draws": draws, "progress": False}
    return pop.counterfactual(fit, asked, jr.key(7), **given).decision


def fast(fit: Any, space: Any, doses: Any, draws: int, boys: int, price: float, runs: int) -> tuple[int, int]:
    """The number of the dose chosen, and the runs made: a design over parameters and dose, a surrogate of the outcome,
    its mean over the posterior at each dose, and runs at the best of these and those within two errors of it.
    """
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np

    import populace as pop
    from populace.core.executor import Ticker
    from populace.surrogates.runs import Runs

    learn, pick = jr.split(jr.key(8))
    plugs = (pop.Replace("vaccinate", dosed(0.0)),)
    simulator = pop.Simulation(fit.problem.simulator.model, STEPS, plugs=plugs)
    points = pop.design(space, learn, runs).parameters
    seen = simulator.simulate(points, jr.split(learn, runs), Ticker(None, "", runs))
    outcome = ever_in_bed(seen.observations)[:, None]
    surrogate = pop.fit_surrogate(
        Runs.of(space, points, outcome, ("ever in bed",)), learn, regressors=(pop.Polynomial(),)
    )
    batch = fit.problem.space.from_real(fit.estimate.draws(fit.problem, pick, draws))
    losses, doubts, outside = [], [], []
    for dose in doses:
        there = {**batch, "plugs.0.rule.share": jnp.full(draws, dose)}
        said = surrogate.predict(there)
        losses.append(price * said.mean[:, 0].mean() + 100.0 * boys * dose)
        doubts.append(price * np.sqrt(said.epistemic[:, 0].mean()))
        outside.append(float(surrogate.support(there).extrapolating.mean()))
    losses, best = np.array(losses), int(np.argmin(losses))
    near = np.argsort(losses - losses[best], kind="stable")[:5]
    near = np.array([i for i in near if losses[i] - losses[best] <= 2 * doubts[i] or outside[i] > 0.1 or i == best])
    confirmed = exact(fit, doses[near], draws, boys, price)
    return int(near[int(confirmed.means[1:].argmin())]), runs + draws * (1 + len(near))


@functools.cache
def dosed(share: float) -> Any:
    """The vaccine with its share as a parameter, so that a design may move it."""
    import equinox as eqx

    import populace as pop

    class Dosed(eqx.Module):
        share: Any = pop.parameter(default=0.0, domain=pop.unit)

        def __call__(self, boys: Any, draw: Any) -> Any:
            return draw.bernoulli("dose", self.share, size=boys.shape[0])

    return Dosed(share)


if __name__ == "__main__":
    main()
