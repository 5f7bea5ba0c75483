"""Four published calibration cases: a random walk, an epidemic on a network, and two asset markets.

Each is fitted to data that its own model made at a known truth, by `Variational` (a posterior, as the peer's) and by
`DifferencesDescent` (a point). Where blackbirds (PyPI, PyTorch) is there, it fits the same data with the same loss and
prior. No comparison without a proof of the same work: summaries of runs at the truth agree within four standard
errors, or the row says that they do not. All answers are then judged by the same fresh runs of our simulator, at draws
of the posterior (median) and at its mean, beside the loss at the truth.

The loss of the epidemic is the mean squared gap of infected counts of one run, its own noise included. That of the
markets is the maximum mean discrepancy between the values of two series, with a Gaussian kernel, less the data's own
constant; the descent takes its random Fourier features as moments.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from gradient_accuracy import Epidemic, People
from jaxtyping import Array, Float
from measure import timed

import populace as pop
from populace.zoo.brock_hommes import BrockHommes
from populace.zoo.cont_volatility import ContVolatility
from populace.zoo.random_walk import RandomWalk

PUBLISHED = {"network SIR": "352 (score 187)", "Brock-Hommes": "264", "Cont volatility": "206 (score 99)"}
"""Wall-clock seconds that were published for blackbirds along the path, and by the score function."""
TEN = np.log(10.0)
ERRORS = 4.0
FEATURES = 32
DRAWS = 200

Loss = Callable[[dict[str, Array]], Array]


@dataclass(frozen=True)
class Case:
    """A case: our simulation, prior, loss of a run at what `weight`, moments of the descent, calls; and the peer's.

    `family`: of our posterior; `request`: what the peer has to know; `epochs` of five runs; `theirs`: draws of its
    posterior (n, d) in our parameters.
    """

    name: str
    simulation: pop.Simulation
    space: pop.Space
    truth: dict[str, float]
    series: str
    data: np.ndarray
    loss: Loss
    weight: float
    moments: list[pop.Moment]
    unit: float
    powers: bool
    calls: int
    family: pop.Family
    request: dict[str, Any]
    epochs: int
    theirs: Callable[[np.ndarray], np.ndarray]

    def values(self, real: np.ndarray) -> np.ndarray:
        """The parameters (n, d) of rows on the real scale of the space."""
        found = self.space.from_real(jnp.asarray(real))
        return np.stack([np.asarray(found[name], np.float64) for name in self.truth], axis=1)

    def middle(self, draws: np.ndarray) -> np.ndarray:
        """Their mean (d,), of powers of ten where these are the parameters."""
        return 10.0 ** np.log10(draws).mean(0) if self.powers else draws.mean(0)

    def error(self, at: np.ndarray) -> float:
        """The largest distance to the truth, in powers of ten or in the parameters' own units."""
        truth = np.array(list(self.truth.values()))
        return float(np.abs(np.log10(at / truth) if self.powers else at - truth).max())


@dataclass(frozen=True)
class Answer:
    """Draws (n, d) that a fit ended with, what it cost, and what it says."""

    by: str
    draws: np.ndarray
    wall: float
    processor: float
    compiling: float | None
    runs: int
    notes: tuple[str, ...] = ()


class CappedEpidemic(Epidemic):
    """The epidemic of the gradient table, observed by its count of infected. blackbirds counts five infected contacts
    at the most; so does this, for the same work.
    """

    def step(self, draw: pop.Draw, people: People) -> People:
        susceptible = 1 - people.infected - people.recovered
        met = jnp.minimum(self.contacts.sum(people.infected), 5.0)
        caught = draw.bernoulli("infect", -jnp.expm1(met * jnp.log1p(-self.beta)), where=susceptible)
        healed = draw.bernoulli("recover", self.gamma, where=people.infected)
        return People(people.infected + caught - healed, people.recovered + healed)

    def observe(self, people: People) -> dict[str, Array]:
        return {"infected": people.infected.sum()}


def squared(data: np.ndarray, name: str) -> Loss:
    """The mean squared gap to a series."""
    target = jnp.asarray(data, jnp.float32)
    return lambda seen: ((seen[name] - target) ** 2).mean()


def _apart(a: Array, b: Array) -> Array:
    return (a[:, None] - b[None, :]) ** 2


def kernel_width(data: np.ndarray) -> float:
    """The median squared distance of the data, which the peer's kernel takes."""
    y = jnp.asarray(data, jnp.float32)
    return float(jnp.median(_apart(y, y)))


def discrepancy(data: np.ndarray, name: str) -> Loss:
    """The maximum mean discrepancy between the values of two series (unbiased, without the data's own constant)."""
    y, width, n = jnp.asarray(data, jnp.float32), kernel_width(data), data.size

    def loss(seen: dict[str, Array]) -> Float[Array, ""]:
        x = seen[name]
        among = (jnp.exp(-_apart(x, x) / width).sum() - n) / (n * (n - 1))
        return among - 2.0 * jnp.exp(-_apart(x, y) / width).mean()

    return loss


class Waves(eqx.Module):
    """Means of cosines and sines of a series, at frequencies that make up a Gaussian kernel (Rahimi and Recht 2007,
    NeurIPS 20): the squared gap of two series' means is the discrepancy between them, and 0 where no moment differs.
    """

    width: float = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        quantiles = (jnp.arange(FEATURES) + 0.5) / FEATURES / 2.0 + 0.5
        angles = x[:, None] * jax.scipy.stats.norm.ppf(quantiles) * jnp.sqrt(2.0 / self.width)
        return jnp.concatenate([jnp.cos(angles).mean(0), jnp.sin(angles).mean(0)])


def tenth_power(mean: float, sd: float, high: float | None = None) -> dist.Distribution:
    """10 to a Gaussian power, cut off where the power reaches `high`."""
    power = dist.Normal(mean, sd) if high is None else dist.TruncatedNormal(mean, sd, high=high)
    transforms = [dist.transforms.AffineTransform(0.0, TEN), dist.transforms.ExpTransform()]
    return dist.TransformedDistribution(power, transforms)


def observed(simulation: pop.Simulation, name: str, seed: int) -> np.ndarray:
    return np.asarray(pop.simulate(simulation.model, jr.key(seed), simulation.steps).observations[name], np.float64)


def epidemic() -> Case:
    agents, steps = 1_000, 100
    town = pop.small_world(jr.key(0), agents, degree=10, rewire=0.1)
    truth = {"seeded": 0.05, "beta": 0.05, "gamma": 0.05}
    simulation = pop.Simulation(CappedEpidemic(town, **truth), steps)
    data = observed(simulation, "infected", 5)
    edges = np.stack(town.edges()[:2], axis=1).tolist()
    bent = [float(-np.log(np.expm1(-2.0 * np.log10(one))) / 2.0) for one in truth.values()]
    request = {"model": "sir", "agents": agents, "steps": steps, "edges": edges, "at": bent}
    return Case(
        "network SIR",
        simulation,
        pop.Space({name: tenth_power(-2.0, 1.0, 0.0) for name in truth}),
        truth,
        *("infected", data, squared(data, "infected"), 1.0, [pop.level("infected")], float(steps), True),
        12_000,
        pop.FlowFamily(layers=1),
        {**request, "prior_mean": [-2.0] * 3, "prior_sd": [1.0] * 3},
        250,
        lambda draws: 10.0 ** (-np.log1p(np.exp(-2.0 * draws)) / 2.0),  # its soft minimum with 0, inside the model
    )


def market(name: str, simulation: pop.Simulation, space: pop.Space, truth: dict[str, float], **rest: Any) -> Case:
    """A case that is judged by the discrepancy of its one series."""
    series = "x" if "g2" in truth else "returns"
    data = observed(simulation, series, 5)
    waves = pop.moment("waves", Waves(kernel_width(data)), of=series)
    loss, unit = discrepancy(data, series), FEATURES / 500.0
    return Case(name, simulation, space, truth, series, data, loss, 500.0, [waves], unit, **rest)


def traders() -> Case:
    truth = {"g2": 0.9, "g3": 0.9, "b2": 0.2, "b3": -0.2}
    box = np.array([1.0, 1.0, 1.0, -1.0])
    share = np.array(list(truth.values())) / box
    request = {"model": "brock-hommes", "steps": 100, "beta": 120.0, "sigma": 0.04}
    return market(
        "Brock-Hommes",
        pop.Simulation(BrockHommes(), 100),
        pop.Space({name: dist.Uniform(min(end, 0.0), max(end, 0.0)) for name, end in zip(truth, box, strict=True)}),
        truth,
        powers=False,
        calls=24_000,
        family=pop.GaussianFamily(),
        # A Gaussian of spread 1.7 is nearly the logistic law, which is uniform on the box.
        request={**request, "at": np.log(share / (1 - share)).tolist(), "prior_mean": [0.0] * 4, "prior_sd": [1.7] * 4},
        epochs=351,
        theirs=lambda draws: box / (1.0 + np.exp(-draws)),
    )


def volatility() -> Case:
    truth = {"location": 0.1, "scale": 0.5, "news": 0.5, "depth": 0.2}
    request = {"model": "cont", "agents": 1_000, "steps": 100, "s": 0.1, "at": np.log10(list(truth.values())).tolist()}
    return market(
        "Cont volatility",
        pop.Simulation(ContVolatility(1_000, **truth, s=0.1), 100),
        pop.Space({name: tenth_power(-0.5, 0.5) for name in truth}),
        truth,
        powers=True,
        calls=20_000,
        family=pop.FlowFamily(layers=1),
        request={**request, "prior_mean": [-0.5] * 4, "prior_sd": [0.5] * 4},
        epochs=600,
        theirs=lambda draws: 10.0**draws,
    )


def problem(case: Case) -> pop.Problem:
    """The squared gap of moments, in units of `case.unit`."""
    target = pop.Target({case.series: case.data}, case.moments)
    covariance = case.unit * np.eye(len(target.labels))
    return pop.Problem(case.simulation, case.space, target.with_covariance(covariance, "the loss"))


def fitted(case: Case, by: str, method: pop.Method, calls: int) -> Answer:
    """Our fit, with what it cost; compilation is in it, and also apart."""
    task, compiling = problem(case), [0.0]

    def heard(event: str, seconds: float, **_: Any) -> None:
        compiling[0] += seconds if event.startswith("/jax/core/compile/") and "trace" not in event else 0.0

    jax.monitoring.register_event_duration_secs_listener(heard)
    wall, processor, fit = timed(lambda: pop.calibrate(task, method, jr.key(7), budget=calls, predictive=2))
    jax.monitoring.unregister_event_duration_listener(heard)
    point = isinstance(fit.estimate, pop.Point)
    real = fit.estimate.real[None] if point else fit.estimate.draws(task, jr.key(3), DRAWS)
    return Answer(by, case.values(real), wall, processor, compiling[0], fit.calls, fit.estimate.notes())


def judge(case: Case) -> Callable[[np.ndarray, int], np.ndarray]:
    """What gives the expected loss at each of some draws (n, d), by as many fresh runs of our simulator (in tens)."""
    expected = pop.ExpectedLoss(case.simulation, case.loss)

    @jax.jit
    def at(values: Array, keys: Array) -> Array:
        point = dict(zip(case.truth, values, strict=True))
        return jax.vmap(lambda key: expected.one(point, key))(keys).mean()

    def losses(draws: np.ndarray, runs: int) -> np.ndarray:
        groups = list(jr.split(jr.key(99), (runs // 10, 10)))
        rows = [jnp.asarray(one, jnp.float32) for one in draws]
        return np.array([np.mean([float(at(row, keys)) for keys in groups]) for row in rows])

    return losses


def peer(case: Case, python: str, **work: int) -> dict[str, Any]:
    """What blackbirds makes of a case, by the script beside this one."""
    script = Path(__file__).with_name("calibration_cases_blackbirds.py")
    request = {**case.request, "data": case.data.tolist(), "weight": case.weight, "draws": DRAWS, **work}
    out = subprocess.run([python, str(script)], input=json.dumps(request), text=True, capture_output=True, check=False)
    if out.returncode:
        raise RuntimeError(f"blackbirds failed on {case.name}: {out.stderr[-2000:]}")
    return json.loads(out.stdout.splitlines()[-1])


def summaries(series: np.ndarray) -> np.ndarray:
    """What runs (n, times) are compared by (n, 4): level, spread, roughness and end."""
    rough = np.abs(np.diff(series, axis=1)).mean(1)
    return np.stack([series.mean(1), series.std(1), rough, series[:, -1]], axis=1)


def same_work(case: Case, python: str, runs: int) -> tuple[float, int]:
    """The largest distance, in standard errors, between summaries of runs at the truth, the peer's and ours; and how
    many of the peer's are not finite, and left out.
    """
    series = np.array(peer(case, python, runs=runs, epochs=0)["series"], np.float64)
    sound = np.isfinite(series).all(1)
    theirs = summaries(series[sound])
    many = pop.ensemble(case.simulation.model, jr.key(11), case.simulation.steps, runs=10 * runs)
    ours = summaries(np.asarray(many.observations[case.series][0], np.float64))
    error = np.sqrt(ours.var(0, ddof=1) / len(ours) + theirs.var(0, ddof=1) / len(theirs))
    return float((np.abs(ours.mean(0) - theirs.mean(0)) / error).max()), int((~sound).sum())


def answers(case: Case, python: str | None) -> list[Answer]:
    """Our posterior, our point, and the peer's posterior."""
    differences = pop.Differences(step=0.1, scale={"v": 1.0})
    loss = pop.RunLoss(case.loss, weight=case.weight)
    methods: dict[str, pop.Method] = {
        f"Variational, {type(case.family).__name__}": pop.Variational(
            loss, differences, case.family, draws=16, replicates=1
        ),
        "DifferencesDescent": pop.DifferencesDescent(starts=4, judged=100),
    }
    found = [fitted(case, by, method, case.calls) for by, method in methods.items()]
    if python is not None:
        theirs = peer(case, python, runs=0, epochs=case.epochs)
        spent = (theirs["seconds"], theirs["processor"], None, theirs["runs"])
        found.append(Answer("blackbirds", case.theirs(np.array(theirs["draws"])), *spent))
    return found


def judged(case: Case, found: list[Answer]) -> list[dict[str, Any]]:
    """A row a fit; the loss at the truth and at means from 400 runs, at draws from 20."""
    losses = judge(case)
    truth = float(losses(np.array([list(case.truth.values())]), 400)[0])
    rows = []
    for one in found:
        middle = case.middle(one.draws)
        each = losses(one.draws[:DRAWS], 20)
        rows.append(
            {
                "case": case.name,
                "by": one.by,
                "error": case.error(middle),
                "loss": float(np.median(each)),
                "loss at the mean": float(losses(middle[None], 400)[0]),
                "at the truth": truth,
                "seconds": one.wall,
                "processor s": one.processor,
                "compiling s": one.compiling,
                "calls": one.runs,
            }
        )
    return rows


def walk(paths: int) -> tuple[dict[str, Any], str]:
    """Paths of 100 steps, each fitted by its end, and judged by its own frequency of steps up."""
    steps, errors, apart, calls, seconds = 100, [], [], 0, []
    simulation = pop.Simulation(RandomWalk(p=0.25), steps, pop.Last())
    method = pop.GradientDescent(pop.Pathwise(recompute=None), starts=1, judged=200)
    for seed in range(paths):
        run = pop.simulate(simulation.model, jr.key(seed), steps, record=pop.Last())
        end = np.asarray(run.observations["position"])
        target = pop.Target({"position": end}, [pop.final("position")])
        target = target.with_covariance(np.array([[4.0 * steps * 0.25 * 0.75]]), "the walk's own variance")
        task = pop.Problem(simulation, pop.Space(p=dist.Uniform(0.0, 1.0)), target)
        wall, processor, fit = timed(
            lambda: pop.calibrate(task, method, jr.key(100 + seed), budget=6_000, predictive=2)  # noqa: B023
        )
        found = float(fit.problem.space.from_real(jnp.asarray(fit.estimate.centre(task)[None]))["p"][0])
        errors.append(abs(found - (float(end[-1]) / steps + 1.0) / 2.0))
        apart.append(found - 0.25)
        calls, seconds = calls + fit.calls, [*seconds, (wall, processor)]
    spread = np.sqrt(0.25 * 0.75 / (steps * paths))
    note = (
        f"random walk: of {paths} paths the worst is {max(errors):.3f} from its own frequency of steps up; to .25 they "
        f"are {np.mean(apart):+.3f} on average (standard error {spread:.3f}). The published fit of one path gave .363."
    )
    took = np.mean(seconds, axis=0)
    row = {"case": "random walk", "by": "GradientDescent", "error": max(errors), "calls": calls // paths}
    return {**row, "seconds": float(took[0]), "processor s": float(took[1])}, note


COLUMNS = ("case", "by", "error", "loss", "loss at the mean", "at the truth")
COSTS = ("seconds", "processor s", "compiling s", "calls")


def contest(*, quick: bool, python: str | None = None) -> dict[str, Any]:
    """A row a fit (the walk only in a hurry); and by case who did the same work, and our loss and time as shares of the
    peer's.
    """
    first, note = walk(1 if quick else 20)
    rows, notes, cases = [first], [note], {}
    for make in () if quick else (epidemic, traders, volatility):
        case = make()
        found = answers(case, python)
        mine = judged(case, found)
        rows += mine
        notes += [f"{case.name}, {one.by}: {' '.join(one.notes)}" for one in found if one.notes]
        notes.append(f"{case.name}: published for blackbirds, seconds: {PUBLISHED[case.name]}.")
        if python is not None:
            apart, lost = same_work(case, python, 100)
            said = "the same work" if apart < ERRORS else "NOT the same work: its row compares nothing"
            notes.append(f"{case.name}: runs at the truth differ by {apart:.1f} standard errors at most: {said}.")
            if lost:
                notes.append(f"{case.name}: {lost} of 100 runs of the peer's are not finite.")
            cases[case.name] = {"same_work": apart, **_shares(mine)}
    columns = [*COLUMNS, *COSTS]
    table = [[row.get(name) for name in columns] for row in rows]
    return {"title": "Published cases", "columns": columns, "rows": table, "notes": notes, "cases": cases}


def _shares(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of `Variational`, the first row, beside blackbirds, the last: time as a share, excess loss over the truth's."""
    ours, theirs = rows[0], rows[-1]
    return {
        "seconds": ours["seconds"] / theirs["seconds"],
        "processor": ours["processor s"] / theirs["processor s"],
        "loss": ours["loss"] - ours["at the truth"],
        "their_loss": theirs["loss"] - theirs["at the truth"],
    }
