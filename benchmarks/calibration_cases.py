"""Four published calibration cases: a random walk, an epidemic on a network, and two asset markets.

Each is fitted to data that its own model made at a known truth. Where blackbirds (PyPI, PyTorch) is there, it fits the
same data with the same loss and prior; both answers are then judged by the same fresh runs of our simulator: the loss
at draws of each posterior (median), beside the loss at the truth, which no fit can be expected to beat.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from gradient_accuracy import Epidemic
from jaxtyping import Array, Float

import populace as pop
from populace.zoo.brock_hommes import BrockHommes
from populace.zoo.cont_volatility import ContVolatility
from populace.zoo.random_walk import RandomWalk

PUBLISHED = {"network SIR": 352.0, "Brock-Hommes": 264.0, "Cont volatility": 206.0}
"""Seconds that were published for blackbirds, pathwise."""
TEN = np.log(10.0)


@dataclass(frozen=True)
class Case:
    """A case: our simulation, prior, loss of a run, the truth, and what the peer has to know."""

    name: str
    simulation: pop.Simulation
    space: pop.Space
    truth: dict[str, float]
    data: np.ndarray
    loss: Callable[[dict[str, Array]], Array]
    weight: float
    estimator: pop.Estimator
    log10: bool
    peer: dict[str, Any]
    epochs: int


def squared(data: np.ndarray, name: str) -> Callable[[dict[str, Array]], Array]:
    """The mean squared gap to a series."""
    target = jnp.asarray(data, jnp.float32)
    return lambda seen: ((seen[name] - target) ** 2).mean()


def discrepancy(data: np.ndarray, name: str) -> Callable[[dict[str, Array]], Array]:
    """The maximum mean discrepancy between the values of two series, with a Gaussian kernel of the data's median
    squared distance (unbiased, without the data's own constant).
    """
    y = jnp.asarray(data, jnp.float32)
    apart = lambda a, b: (a[:, None] - b[None, :]) ** 2  # noqa: E731
    width, n = jnp.median(apart(y, y)), y.size

    def loss(seen: dict[str, Array]) -> Float[Array, ""]:
        x = seen[name]
        among = (jnp.exp(-apart(x, x) / width).sum() - n) / (n * (n - 1))
        return among - 2.0 * jnp.exp(-apart(x, y) / width).mean()

    return loss


def tenth_power(mean: float, sd: float, high: float | None = None) -> dist.Distribution:
    """10 to a Gaussian power, cut off where the power reaches `high`."""
    power = dist.Normal(mean, sd) if high is None else dist.TruncatedNormal(mean, sd, high=high)
    transforms = [dist.transforms.AffineTransform(0.0, TEN), dist.transforms.ExpTransform()]
    return dist.TransformedDistribution(power, transforms)


def observed(simulation: pop.Simulation, name: str, seed: int) -> np.ndarray:
    return np.asarray(pop.simulate(simulation.model, jr.key(seed), simulation.steps).observations[name], np.float64)


def epidemic(*, quick: bool) -> Case:
    agents, steps = 1_000, 30 if quick else 100
    town = pop.small_world(jr.key(0), agents, degree=10, rewire=0.1)
    truth = {"seeded": 0.05, "beta": 0.05, "gamma": 0.05}

    class Counted(Epidemic):
        """The epidemic of the gradient table, observed by its count of infected."""

        def observe(self, people: Any) -> dict[str, Array]:
            return {"infected": people.infected.sum()}

    simulation = pop.Simulation(Counted(town, **truth), steps)
    data = observed(simulation, "infected", 5)
    space = pop.Space({name: tenth_power(-2.0, 1.0, 0.0) for name in truth})
    edges = np.stack(town.edges()[:2], axis=1)
    peer = {"agents": agents, "steps": steps, "edges": edges.tolist(), "loss": "squared"}
    estimator = pop.Differences(step=0.05, scale={"v": 1.0})
    loss = squared(data, "infected")
    return Case("network SIR", simulation, space, truth, data, loss, 1.0, estimator, True, peer, 250)


def traders(*, quick: bool) -> Case:
    truth = {"g2": 0.9, "g3": 0.9, "b2": 0.2, "b3": -0.2}
    simulation = pop.Simulation(BrockHommes(), 100)
    data = observed(simulation, "x", 5)
    space = pop.Space({name: dist.Uniform(*((-1.0, 0.0) if name == "b3" else (0.0, 1.0))) for name in truth})
    peer = {"steps": 100, "beta": 120.0, "sigma": 0.04, "loss": "mmd"}
    loss, estimator = discrepancy(data, "x"), pop.Differences(step=0.1, scale={"v": 1.0})
    return Case("Brock-Hommes", simulation, space, truth, data, loss, 500.0, estimator, False, peer, 351)


def volatility(*, quick: bool) -> Case:
    truth = {"location": 0.1, "scale": 0.5, "news": 0.5, "depth": 0.2}
    simulation = pop.Simulation(ContVolatility(1_000, **truth, s=0.1), 100)
    data = observed(simulation, "returns", 5)
    space = pop.Space({name: tenth_power(-0.5, 0.5) for name in truth})
    peer = {"agents": 1_000, "steps": 100, "s": 0.1, "loss": "mmd"}
    loss, estimator = discrepancy(data, "returns"), pop.Differences(step=0.1, scale={"v": 1.0})
    return Case("Cont volatility", simulation, space, truth, data, loss, 500.0, estimator, True, peer, 600)


def walk(paths: int) -> list[Any]:
    """One path of 100 steps fitted by its end, and several."""
    steps, errors, apart, calls, start = 100, [], [], 0, time.process_time()
    for seed in range(paths):
        simulation = pop.Simulation(RandomWalk(p=0.25), steps, pop.Last())
        end = np.asarray(
            pop.simulate(simulation.model, jr.key(seed), steps, record=pop.Last()).observations["position"]
        )
        target = pop.Target({"position": end}, [pop.final("position")])
        target = target.with_covariance(np.array([[4.0 * steps * 0.25 * 0.75]]), "the walk's own variance")
        problem = pop.Problem(simulation, pop.Space(p=dist.Uniform(0.0, 1.0)), target)
        method = pop.GradientDescent(pop.Pathwise(recompute=None), starts=1, judged=30)
        fit = pop.calibrate(problem, method, jr.key(100 + seed), budget=6_000, predictive=2)
        found = float(np.median(fit.draws["p"]))
        errors.append(abs(found - (float(end[-1]) / steps + 1.0) / 2.0))
        apart.append(found - 0.25)
        calls += fit.calls
    note = f"to its own frequency, at most of {paths} paths; to .25 on average {np.mean(apart):+.3f}"
    spent = (time.process_time() - start) / paths
    return ["random walk", "GradientDescent", max(errors), note, spent, calls // paths, None, None]


def fitted(case: Case, draws: int, budget: int) -> tuple[np.ndarray, float, int, tuple[str, ...]]:
    """Our posterior's draws (n, d), processor seconds (compilation included), and runs."""
    target = pop.Target({next(iter(_seen(case))): case.data}, [pop.level(next(iter(_seen(case))))])
    problem = pop.Problem(case.simulation, case.space, target.with_covariance(np.eye(case.data.size), "none needed"))
    method = pop.Variational(
        pop.RunLoss(case.loss, weight=case.weight), case.estimator, pop.FlowFamily(layers=2), draws, replicates=1
    )
    start = time.process_time()
    fit = pop.calibrate(problem, method, jr.key(7), budget=budget, predictive=200)
    found = np.stack([fit.draws[name] for name in case.truth], axis=1)
    return found.astype(np.float64), time.process_time() - start, fit.calls, fit.estimate.notes()


def _seen(case: Case) -> Mapping[str, Any]:
    return pop.simulate(case.simulation.model, jr.key(0), 1).observations


def losses(case: Case, draws: np.ndarray, runs: int = 8) -> np.ndarray:
    """The expected loss at each of the draws (n, d), by fresh runs of our simulator; (n,)."""
    expected = pop.ExpectedLoss(case.simulation, case.loss)

    @jax.jit
    def at(values: Array) -> Array:
        point = dict(zip(case.truth, values, strict=True))
        return jax.lax.map(lambda key: expected.one(point, key), jr.split(jr.key(99), runs)).mean()

    return np.asarray(jax.lax.map(at, jnp.asarray(draws, jnp.float32)), np.float64)


def peer(case: Case, python: str, *, quick: bool) -> dict[str, Any]:
    """What blackbirds finds: its draws in our units, seconds and runs."""
    size, mean = len(case.truth), {"network SIR": -2.0, "Brock-Hommes": 0.0, "Cont volatility": -0.5}[case.name]
    sd = {"network SIR": 1.0, "Brock-Hommes": 1.7, "Cont volatility": 0.5}[case.name]  # 1.7: a logistic law, nearly
    request = {
        **case.peer,
        "name": case.name,
        "data": case.data.tolist(),
        "weight": case.weight,
        "prior_mean": [mean] * size,
        "prior_sd": [sd] * size,
        "epochs": 20 if quick else case.epochs,
    }
    script = Path(__file__).with_name("calibration_cases_blackbirds.py")
    out = subprocess.run([python, str(script)], input=json.dumps(request), text=True, capture_output=True, check=False)
    if out.returncode:
        raise RuntimeError(f"blackbirds failed on {case.name}: {out.stderr[-2000:]}")
    found = json.loads(out.stdout.splitlines()[-1])
    draws = np.array(found["draws"])
    if case.name == "Brock-Hommes":
        return {**found, "draws": 1.0 / (1.0 + np.exp(-draws)) * np.array([1.0, 1.0, 1.0, -1.0])}
    return {
        **found,
        "draws": np.minimum(10.0**draws, 1.0 if case.name == "network SIR" else np.inf) if case.log10 else draws,
    }


def row(case: Case, python: str | None, *, quick: bool) -> tuple[list[Any], tuple[str, ...]]:
    """Our fit of a case and the peer's, judged alike."""
    found, seconds, calls, notes = fitted(case, 16, 20_000 if quick else 60_000)
    ours = losses(case, found[:200])
    truth = float(losses(case, np.array([list(case.truth.values())]), 400)[0])
    theirs = None if python is None else peer(case, python, quick=quick)
    error = _error(case, found)
    entry = [case.name, "Variational", error, f"loss {np.median(ours):.4g} (at the truth {truth:.4g})", seconds, calls]
    if theirs is None:
        return [*entry, f"published: {PUBLISHED[case.name]:.0f} s", None], notes
    judged = losses(case, theirs["draws"])
    said = f"loss {np.median(judged):.4g}, error {_error(case, theirs['draws']):.2g}, {theirs['runs']} runs"
    return [*entry, said, theirs["processor"]], notes


def _error(case: Case, draws: np.ndarray) -> float:
    """The largest distance of the posterior's median to the truth, in powers of ten or the parameters' units."""
    middle, truth = np.median(draws, axis=0), np.array(list(case.truth.values()))
    return float(np.abs(np.log10(middle / truth) if case.log10 else middle - truth).max())


def contest(*, quick: bool, python: str | None = None) -> dict[str, Any]:
    """A row a case: error, loss, processor seconds, runs; and the peer's."""
    cases: Sequence[Case] = [make(quick=quick) for make in (epidemic, traders, volatility)]
    rows, notes = [walk(2 if quick else 20)], []
    for case in cases:
        found, said = row(case, python, quick=quick)
        rows.append(found)
        notes += [f"{case.name}: {' '.join(said)}"]
    columns = ["case", "by", "error", "judged", "processor s", "runs", "blackbirds", "its processor s"]
    return {"title": "Published cases", "columns": columns, "rows": rows, "notes": notes}
