"""Where to run next: what acquisitions are worth, for the best fit, for a posterior and for a region.

Best fit: two functions of two and five parameters, three and six moments, each seen through noise as large as the
data's standard errors; and a market of Brock and Hommes, whose data are the expected moments at known parameters.
Simple regret is g' V^-1 g of the *expected* moments at the point that is reported (its least value is 0), after 200
calls.
Beside the acquisitions: random search, which reports the run that came nearest; the same surrogate on a Sobol design;
and the same method with a surrogate of the distance alone.

Posterior: `pop.SurrogatePosterior` by each rule, on the banana with Gaussian noise and on two moons (whose noise is no
Gaussian, so that no rule comes to 0). The error is the Wasserstein distance to exact draws, the mean over directions of
the whitened plane.

Region: a noisy ring in three parameters; the error is the mean gap of the said to the exact probability.

    python benchmarks/acquisitions.py [--json] [--quick] [--keys 10] [--only optimum|market|posterior|region]
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from measure import finish, show
from posterior_tasks import two_moons
from scipy.stats import norm

import populace as pop
from populace.core.executor import Ticker
from populace.problem.distances import wasserstein
from populace.zoo.brock_hommes import BrockHommes

CALLS = 200
QUICK = (pop.GaussianProcess(starts=1),)


@dataclass(frozen=True)
class Function:
    """Expected moments (n, k) of points (n, d) of a box, in standard errors of the data, and the best point."""

    name: str
    of: Callable[[np.ndarray], np.ndarray]
    low: tuple[float, ...]
    high: tuple[float, ...]
    best: tuple[float, ...]

    @property
    def space(self) -> pop.Space:
        pairs = zip(self.low, self.high, strict=True)
        return pop.Space({f"x{i}": dist.Uniform(low, high) for i, (low, high) in enumerate(pairs)})

    @property
    def data(self) -> np.ndarray:
        return self.of(np.array([self.best]))[0]

    def simulate(self, parameters: dict[str, Any], key: Any) -> dict[str, np.ndarray]:
        at = np.array([[float(parameters[f"x{i}"]) for i in range(len(self.low))]])
        noise = np.random.default_rng(np.asarray(jr.key_data(key)).tolist()).standard_normal(self.data.size)
        return {"y": self.of(at)[0] + noise}

    def distance(self, parameters: dict[str, Any], key: Any) -> dict[str, np.ndarray]:
        gap = self.simulate(parameters, key)["y"] - self.data
        return {"y": np.array([np.sqrt((gap**2).sum())])}

    def problem(self) -> pop.Problem:
        target = pop.Target({"y": self.data}, [pop.level("y")])
        return pop.Problem(self.simulate, self.space, target.with_covariance(np.eye(self.data.size), "known"))

    def of_distances(self) -> pop.Problem:
        target = pop.Target({"y": np.zeros(1)}, [pop.level("y")])
        return pop.Problem(self.distance, self.space, target.with_covariance(np.eye(1), "known"))

    def regret(self, flat: np.ndarray) -> float:
        return float(((self.of(flat[None])[0] - self.data) ** 2).sum())


def banana(x: np.ndarray) -> np.ndarray:
    a, b = x.T
    return np.stack([10.0 * (b - a**2), 4.0 * a, 6.0 * np.sin(3.0 * b)], axis=1)


_MIX = np.random.default_rng(0).standard_normal((3, 6, 5))


def five(x: np.ndarray) -> np.ndarray:
    return 8.0 * (x - 0.5) @ _MIX[0].T + 6.0 * np.sin(3.0 * (x - 0.5) @ _MIX[1].T) + 4.0 * ((x - 0.5) @ _MIX[2].T) ** 2


FUNCTIONS = (
    Function("banana, 2-d", banana, (-2.0, -1.0), (2.0, 3.0), (0.7, 0.6)),
    Function("mixed, 5-d", five, (0.0,) * 5, (1.0,) * 5, (0.3, 0.6, 0.45, 0.7, 0.35)),
)

ACQUISITIONS = {
    "expected improvement": pop.ExpectedImprovement(),
    "Thompson": pop.Thompson(),
    "knowledge gradient": pop.KnowledgeGradient(),
    "bandit": pop.Bandit((pop.ExpectedImprovement(), pop.Thompson(), pop.KnowledgeGradient())),
}


def optimised(
    task: pop.Problem, acquisition: Any, key: int, *, first: int | None = None, rounds: int = 8
) -> np.ndarray:
    """The point (d,) that is reported after 200 calls."""
    method = pop.BayesianOptimisation(acquisition, first=first, rounds=rounds, regressors=QUICK)
    fit = pop.calibrate(task, method, jr.key(key), budget=CALLS, predictive=2)
    real = jnp.asarray(fit.estimate.centre(task)[None], jnp.float32)
    return np.asarray(task.space.flat(task.space.from_real(real)), np.float64)[0]


def nearest(task: pop.Problem, key: int) -> np.ndarray:
    """The run of 200 at random points that came nearest."""
    points = task.space.sample(jr.key(key), CALLS)
    seen = task.simulate(points, jr.split(jr.key(key + 1_000), CALLS), Ticker(None, "", CALLS))
    best = int(((seen.moments - task.target.values) ** 2).sum(1).argmin())
    return np.asarray(task.space.flat(points), np.float64)[best]


def contestants(task: pop.Problem, alone: pop.Problem | None) -> dict[str, Callable[[int], np.ndarray]]:
    """Name to what is reported by a key."""
    found: dict[str, Callable[[int], np.ndarray]] = {"random search": lambda key: nearest(task, key)}
    passive = {"first": CALLS - 21, "rounds": 1}  # all but one of the runs that are learned from
    found["Sobol and surrogate"] = lambda key: optimised(task, pop.ExpectedImprovement(), key, **passive)
    if alone is not None:
        found["surrogate of the distance"] = lambda key: optimised(alone, pop.ExpectedImprovement(), key)
    for name, acquisition in ACQUISITIONS.items():
        found[name] = lambda key, acquisition=acquisition: optimised(task, acquisition, key)
    return found


def regrets(
    name: str, by: dict[str, Callable[[int], np.ndarray]], regret: Callable[[np.ndarray], float], keys: int
) -> list[list[Any]]:
    rows = []
    for who, reported in by.items():
        start = time.process_time()
        each = [regret(reported(key)) for key in range(keys)]
        low, middle, high = np.quantile(each, [0.25, 0.5, 0.75])
        spent = (time.process_time() - start) / keys
        rows.append([name, who, float(middle), float(low), float(high), keys, spent])
        print(f"  {name}, {who}: {middle:.3g} ({low:.3g} to {high:.3g}), {spent:.1f} s", flush=True)
    return rows


def optimum(keys: int) -> list[list[Any]]:
    rows = []
    for one in FUNCTIONS:
        rows += regrets(one.name, contestants(one.problem(), one.of_distances()), one.regret, keys)
    return rows


def market(keys: int) -> list[list[Any]]:
    """Trends and biases of two types, from five moments of 200 deviations; regret by 2,000 fresh runs."""
    moments = [pop.mean("x"), pop.standard_deviation("x"), pop.autocorrelation("x", lags=[1, 2, 3])]
    box = {name: dist.Uniform(0.0, 1.0) for name in ("g2", "g3", "b2")}
    space = pop.Space({**box, "b3": dist.Uniform(-1.0, 0.0)})
    blank = pop.Target({"x": 0.1 * np.random.default_rng(0).standard_normal(200)}, moments)
    task = pop.Problem(pop.Simulation(BrockHommes(), 200), space, blank)
    truth = jnp.array([0.9, 0.9, 0.2, -0.2])

    def runs(flat: Any, seed: int, count: int) -> np.ndarray:
        points = space.unflat(jnp.broadcast_to(jnp.asarray(flat, jnp.float32), (count, 4)))
        seen = task.simulate(points, jr.split(jr.key(seed), count), Ticker(None, "", count))
        return seen.moments[~seen.excluded]

    known = runs(truth, 1, 2_000)
    target = blank.with_values(known.mean(0)).with_covariance(np.cov(known, rowvar=False), "of runs at the truth")
    root = np.linalg.inv(np.linalg.cholesky(np.cov(known, rowvar=False)))

    def regret(flat: np.ndarray) -> float:
        gaps = (runs(flat, 2, 2_000) - target.values) @ root.T
        return float((gaps.mean(0) ** 2).sum() - gaps.var(0, ddof=1).sum() / len(gaps))

    return regrets("market, 4-d", contestants(task.with_target(target), None), regret, keys)


RULES = {
    "share of doubt": pop.ShareOfDoubt(),
    "truncated": pop.Truncated(),
    "expected integrated variance": pop.ExpectedIntegratedVariance(),
    "bandit": pop.Bandit((pop.ShareOfDoubt(), pop.Truncated(), pop.ExpectedIntegratedVariance())),
}


def grid(low: np.ndarray, high: np.ndarray, log_likelihood: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """4,000 exact draws (n, 2) under a uniform prior."""
    ticks = (np.arange(800) + 0.5) / 800
    points = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2) * (high - low) + low
    levels = log_likelihood(points)
    weights = np.exp(levels - levels.max())
    return points[np.random.default_rng(0).choice(len(points), 4_000, p=weights / weights.sum())]


def apart(draws: np.ndarray, exact: np.ndarray) -> float:
    """The Wasserstein distance, the mean over 32 directions, in units of the exact draws' spread."""
    root = np.linalg.inv(np.linalg.cholesky(np.cov(exact, rowvar=False)))
    turns = np.pi * np.arange(32) / 32
    axes = root.T @ np.stack([np.cos(turns), np.sin(turns)])
    return float(
        np.mean([wasserstein(one, other) for one, other in zip((draws @ axes).T, (exact @ axes).T, strict=True)])
    )


def crescents(points: np.ndarray) -> np.ndarray:
    """The exact log-likelihood of two moons at (0, 0)."""
    one, other = points.T
    x = np.abs(one + other) / np.sqrt(2.0) - 0.25
    y = (one - other) / np.sqrt(2.0)
    r = np.hypot(x, y)
    with np.errstate(divide="ignore"):
        return np.where(x > 0, norm.logpdf(r, 0.1, 0.01) - np.log(r), -np.inf)


def posterior(keys: int, budgets: tuple[int, ...]) -> list[list[Any]]:
    one, moons = FUNCTIONS[0], two_moons()
    tasks = {
        one.name: (
            one.problem(),
            grid(np.array(one.low), np.array(one.high), lambda at: -0.5 * ((one.of(at) - one.data) ** 2).sum(1)),
        ),
        moons.name: (moons.problem(np.zeros(2)), grid(-np.ones(2), np.ones(2), crescents)),
    }
    rows = []
    for name, (task, exact) in tasks.items():
        for calls in budgets:
            for who, rule in {"prior alone": None, **RULES}.items():
                start, each = time.process_time(), []
                for key in range(keys):
                    method = pop.SurrogatePosterior(0 if rule is None else 3, QUICK, rule or pop.ShareOfDoubt())
                    fit = pop.calibrate(task, method, jr.key(key), budget=calls, predictive=2)
                    real = jnp.asarray(fit.estimate.draws(task, jr.key(1), 2_000), jnp.float32)
                    draws = np.asarray(task.space.flat(task.space.from_real(real)), np.float64)
                    each.append(apart(draws, exact))
                low, middle, high = np.quantile(each, [0.25, 0.5, 0.75])
                spent = (time.process_time() - start) / keys
                rows.append([f"{name}, {calls} calls", who, float(middle), float(low), float(high), keys, spent])
                print(
                    f"  {name}, {calls} calls, {who}: {middle:.3f} ({low:.3f} to {high:.3f}), {spent:.1f} s", flush=True
                )
    return rows


def ring(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    return {"r": jnp.hypot(parameters["a"], parameters["b"]) + 0.1 * jr.normal(key)}


def region(keys: int) -> list[list[Any]]:
    space = pop.Space(a=dist.Uniform(-2.0, 2.0), b=dist.Uniform(-2.0, 2.0), c=dist.Uniform(0.0, 1.0))
    target = pop.Target({"r": 1.0}, [pop.final("r")]).with_covariance(np.array([[0.1**2]]), "given")
    task = pop.Problem(pop.Traceable(ring), space, target)
    a, b = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-1.98, 1.98, 100)] * 2))
    points = {"a": jnp.asarray(a), "b": jnp.asarray(b), "c": jnp.full(a.size, 0.5)}
    r = np.hypot(a, b)
    exact = norm.cdf((1.1 - r) / 0.1) - norm.cdf((0.9 - r) / 0.1)
    parts = {"entropy": pop.Entropy(), "disagreement": pop.Disagreement(), "positives": pop.PositivesThenEntropy()}
    rows = []
    for who, rule in {
        **parts,
        "passive": pop.Passive(),
        "bandit": pop.Bandit((*parts.values(), pop.Passive())),
    }.items():
        start, each, found = time.process_time(), [], []
        for key in range(keys):
            quick = pop.MarginEnsemble(members=4, steps=400, decays=(0.5,))
            method = pop.AcceptableRegion(1.0, classifier=quick, acquisition=rule, check=0)
            learned: Any = pop.calibrate(task, method, jr.key(key), budget=300, predictive=2).estimate
            each.append(float(np.abs(learned.probability(task, points) - exact).mean()))
            found.append(float((learned.ratios <= 1.0).sum()))
        low, middle, high = np.quantile(each, [0.25, 0.5, 0.75])
        spent = (time.process_time() - start) / keys
        name = f"{who} ({np.median(found):.0f} acceptable runs)"
        rows.append(["ring, 300 calls", name, float(middle), float(low), float(high), keys, spent])
        print(f"  ring, {name}: {middle:.3f} ({low:.3f} to {high:.3f}), {spent:.1f} s", flush=True)
    return rows


COLUMNS = ["task", "by", "median", "quarter", "three quarters", "keys", "processor s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="one key, for a look of a minute or two")
    parser.add_argument("--keys", type=int, default=10, help="of the best fit; half of them elsewhere")
    parser.add_argument("--only", choices=("optimum", "market", "posterior", "region"), help="one of the four")
    given = parser.parse_args()
    many, few = (1, 1) if given.quick else (given.keys, max(given.keys // 2, 1))
    parts = {
        "optimum": ("Regret after 200 calls", lambda: optimum(many)),
        "market": ("Regret after 200 calls", lambda: market(few)),
        "posterior": ("Error of the posterior", lambda: posterior(few, (160,) if given.quick else (160, 300))),
        "region": ("Error of the probability", lambda: region(few)),
    }
    record = {}
    for name, (title, work) in parts.items():
        if given.only in (None, name):
            record[name] = work()
            show(title, COLUMNS, record[name])
    finish(given, {"columns": COLUMNS, **record})


if __name__ == "__main__":
    main()
