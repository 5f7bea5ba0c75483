"""Growth on islands, inverted: data that the model made at parameters we know, and whether they are found again.

The model of Fagiolo and Dosi (2003) has six parameters; Lamperti, Roventini and Sani (2018, Journal of Economic
Dynamics and Control 90:366) made it a test of surrogates. Here one run of a hundred steps, at known parameters and by a
fixed key, stands for data. A posterior by a surrogate and the econometric baseline, simulated minimum distance, look at
the same seven moments of it, and the study says where the truth lies in what they say, and which parameters these
moments decide at all. A method that cannot find what it is known to be there is not to be asked what nobody knows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from rich.progress import Progress
from scipy.stats import norm

from .._results import Code, DensityPanel, Figure, Result, Section, Table, Verdict, cell
from .._types import Key
from ..calibration.calibrate import calibrate
from ..calibration.fit import Fit
from ..calibration.minimum_distance import SimulatedMinimumDistance
from ..calibration.population import log_prior
from ..calibration.surrogate_posterior import EmulatedPosterior, SurrogatePosterior, log_likelihoods
from ..core.model import bind
from ..core.simulate import simulate
from ..identification.identify import Identification, identify
from ..problem.moments import autocorrelation, derived, kurtosis, mean, moment, standard_deviation
from ..problem.problem import Problem
from ..problem.simulators import Simulation
from ..problem.space import Space
from ..problem.target import Target
from ..zoo.islands import Islands
from .study import Findings, Study

STEPS = 100
SEA = 2003
"""The seed of the run that stands for data."""
TRUTH = {"rho": 0.5, "lambda_": 1.0, "alpha": 1.5, "phi": 0.4, "pi": 0.4, "eps": 0.1}
BOX = {
    **{"rho": (0.0, 10.0), "lambda_": (0.0, 5.0), "alpha": (0.8, 2.0)},
    **{"phi": (0.0, 1.0), "pi": (0.0, 1.0), "eps": (0.0, 1.0)},
}
"""The published ranges."""
_LEARNING = 0.2
"""The share of the budget that the posterior takes; the baseline has the rest."""
_INTERVAL = 0.9


def data() -> dict[str, np.ndarray]:
    """One run of the model at the truth."""
    model = bind(Islands(), {name: jnp.float32(value) for name, value in TRUTH.items()})
    seen = simulate(model, jr.key(SEA), STEPS).observations
    return {name: np.asarray(seen[name]) for name in ("log_output", "miners", "explorers")}


def problem() -> Problem:
    """Six parameters, uniform over the published ranges, and moments of growth and of what firms do. Held out are the
    tails of growth, and how much of it falls into the first half.
    """
    moments = [
        moment("growth", _growth, of="log_output"),
        derived("rates", jnp.diff, "log_output", standard_deviation("rates")),
        derived("rates", jnp.diff, "log_output", autocorrelation("rates", [1])),
        mean("miners"),
        standard_deviation("miners"),
        mean("explorers"),
        standard_deviation("explorers"),
    ]
    held_out = [
        derived("rates", jnp.diff, "log_output", kurtosis("rates")),
        moment("early growth", _early, of="log_output"),
    ]
    space = Space({name: dist.Uniform(*ends) for name, ends in BOX.items()})
    return Problem(Simulation(Islands(), STEPS), space, Target(data(), moments, held_out, time_unit="step"))


def _growth(log_output: Any) -> Any:
    return (log_output[-1] - log_output[0]) / (log_output.shape[0] - 1)


def _early(log_output: Any) -> Any:
    half = log_output.shape[0] // 2
    return (log_output[half] - log_output[0]) / half


@dataclass(frozen=True)
class Inversion(Result):
    """Where the truth lies in what was found.

    `ranks`: label to the share of the posterior's draws below the truth; `held`: whether its central 90 % interval
    holds it; `joint`: the share of draws whose posterior density is lower than the truth's (below .1 the truth is
    outside the 90 % set of highest density); `point`: label to the baseline's estimate, its 90 % interval, and how many
    standard errors the truth is away, NaN where it has no errors. `draws`, `prior`: label to (n,).
    """

    ranks: dict[str, float]
    held: dict[str, bool]
    joint: float
    point: dict[str, tuple[float, float, float, float]]
    draws: dict[str, np.ndarray]
    prior: dict[str, np.ndarray]

    @property
    def inside(self) -> bool:
        """Whether the truth lies in the posterior's joint 90 % set."""
        return self.joint >= 1.0 - _INTERVAL

    def verdict(self) -> Verdict:
        """On the posterior, by the joint set. One data set: it says nothing of how often."""
        numbers = {"joint": self.joint, "held": float(sum(self.held.values()))}
        of = f"{sum(self.held.values())} of {len(self.held)} parameters lie in their 90 % intervals"
        if self.inside:
            said = (
                f"The truth lies in the posterior's 90 % set: {100 * self.joint:.0f} % of draws are less likely; {of}."
            )
            return Verdict("the posterior", Code.CONFIRMED, said, numbers)
        said = (
            f"The truth lies outside the posterior's 90 % set, where one right posterior in ten leaves it: "
            f"{100 * self.joint:.0f} % of draws are less likely; {of}."
        )
        return Verdict("the posterior", Code.OVER_CONFIDENT, said, numbers)

    def sections(self) -> tuple[Section, ...]:
        return (Section("The truth in what was found", (), (self.verdict(),), (self._figure(),), (self._table(),)),)

    def _figure(self) -> Figure:
        panels = [
            DensityPanel(
                name,
                name,
                {"prior": self.prior[name], "posterior": self.draws[name]},
                marks={"truth": TRUTH[name], "minimum distance": self.point[name][0]},
            )
            for name in TRUTH
        ]
        caption = "Prior and posterior, the truth that made the data, and the estimate of simulated minimum distance."
        return Figure("inversion", caption, tuple(panels))

    def _table(self) -> Table:
        rows = []
        for name, true in TRUTH.items():
            tail = 50.0 * (1.0 - _INTERVAL)
            low, middle, high = np.percentile(self.draws[name], [tail, 50.0, 100.0 - tail])
            ends = [cell(x) for x in self.point[name]]
            rows.append((name, true, float(middle), float(low), float(high), self.ranks[name], *ends))
        columns = ("parameter", "truth", "median", "5 %", "95 %", "rank of the truth")
        columns += ("minimum distance", "its 5 %", "its 95 %", "truth away, errors")
        note = "Rank: the share of the posterior's draws below the truth. Empty: the baseline has no standard errors."
        return Table("Truth, posterior and baseline", columns, tuple(rows), note)

    def record(self) -> dict[str, Any]:
        return {
            "truth": dict(TRUTH),
            "ranks": dict(self.ranks),
            "held_90": dict(self.held),
            "joint": self.joint,
            "inside_90": self.inside,
            "minimum_distance": {
                name: dict(zip(("estimate", "low", "high", "errors_away"), map(cell, row), strict=True))
                for name, row in self.point.items()
            },
        }


def inverted(fit: Fit, baseline: Fit) -> Inversion:
    """Where the truth lies in a posterior by a surrogate, and beside a point."""
    estimate, space = fit.estimate, fit.problem.space
    assert isinstance(estimate, EmulatedPosterior)
    true = {name: jnp.full(1, value, jnp.float32) for name, value in TRUTH.items()}
    at = np.asarray(space.to_real(true), np.float64)
    drawn = np.asarray(space.to_real({name: jnp.asarray(v) for name, v in fit.draws.items()}), np.float64)
    levels = [_density(fit, estimate, points) for points in (at, drawn)]
    ranks = {name: float((fit.draws[name] < value).mean()) for name, value in TRUTH.items()}
    held = {name: abs(rank - 0.5) <= 0.5 * _INTERVAL for name, rank in ranks.items()}
    return Inversion(ranks, held, float((levels[1] < levels[0]).mean()), _point(baseline, at[0]), fit.draws, fit.prior)


def _density(fit: Fit, estimate: EmulatedPosterior, real: np.ndarray) -> np.ndarray:
    """The logarithm of the posterior's density (n,), but for a constant, over the parameters themselves."""
    space = fit.problem.space
    stretch = np.asarray(space.log_jacobian(real), np.float64)
    return log_prior(space, real) - stretch + log_likelihoods(estimate.surrogate, fit.problem.target, real)


def _point(fit: Fit, true: np.ndarray) -> dict[str, tuple[float, float, float, float]]:
    """Estimate, 90 % interval, and how many standard errors the truth (d,) on the real scale is away."""
    problem, covariance = fit.problem, np.asarray(fit.estimate.covariance)  # type: ignore[attr-defined]
    centre, errors = fit.estimate.centre(problem), np.sqrt(np.diag(covariance))
    reach = norm.isf(0.5 * (1.0 - _INTERVAL)) * errors
    rows = np.stack([centre, centre - reach, centre + reach])
    flat = np.asarray(problem.space.flat(problem.space.from_real(rows)), np.float64)
    away = (true - centre) / errors
    return {name: (*map(float, flat[:, i]), float(away[i])) for i, name in enumerate(TRUTH)}  # type: ignore[misc]


class IslandsInverted(Study):
    """A truth, one run of it, and whether posterior and baseline find it again."""

    name = "islands"
    title = "Growth on islands: a known truth, found again"
    question = "From one run of a model of growth at known parameters: which of the six can be found again?"
    budget = 3_000

    def run(self, key: Key, budget: int, folder: Path, progress: Progress | None) -> Findings:
        learning, matching, checking = jr.split(key, 3)
        task, shown = problem(), progress or False
        calls = int(_LEARNING * budget)
        baseline = calibrate(
            task,
            SimulatedMinimumDistance(),
            matching,
            budget=budget - calls,
            predictive=200,
            folder=folder / "baseline",
            progress=shown,
        )
        fit = calibrate(task, posterior(), learning, budget=calls, folder=folder / "posterior", progress=shown)
        found, truth = identify(task, fit, checking), inverted(fit, baseline)
        results = (truth, fit, found, Baseline(baseline))
        return Findings(
            _headline(truth, fit, found, baseline),
            results,
            {"posterior": fit, "minimum-distance": baseline},
            _summary(truth, fit, found, baseline),
        )


def posterior() -> SurrogatePosterior:
    """The method behind the posterior: as it comes, but for one round of added runs where it takes three."""
    return SurrogatePosterior(rounds=1)


@dataclass(frozen=True)
class Baseline(Result):
    """The econometric baseline under a heading of its own: what the method says."""

    fit: Fit

    def sections(self) -> tuple[Section, ...]:
        stop = Verdict("the method", self.fit.done.code, self.fit.done.sentence)
        return (Section("The baseline: simulated minimum distance", self.fit.estimate.notes(), (stop,)),)

    def record(self) -> dict[str, Any]:
        return {"baseline": self.fit.record(), "notes": list(self.fit.estimate.notes())}


def _headline(truth: Inversion, fit: Fit, found: Identification, baseline: Fit) -> tuple[str, ...]:
    told = [name for name, v in found.verdicts.items() if v.code in (Code.IDENTIFIED, Code.WEAK, Code.COMBINATION)]
    silent = [name for name in found.verdicts if name not in told]
    rest = f"; of {', '.join(silent)} they say little or nothing" if silent else ""
    objections = fit.estimate.guarded.objections()  # type: ignore[attr-defined]
    guard = objections[0].sentence if objections else "the guard finds nothing against the surrogate."
    return (
        truth.verdict().sentence,
        f"Seven moments of one run narrow {', '.join(told) if told else 'no parameter'}{rest}.",
        f"Checked by fresh runs and by where runs were made: {guard[0].lower()}{guard[1:]}",
        _beside(truth, baseline),
    )


def _beside(truth: Inversion, baseline: Fit) -> str:
    """The baseline in a sentence."""
    away = np.array([row[3] for row in truth.point.values()])
    if not np.isfinite(away).all():
        return (
            "Simulated minimum distance gives a point without standard errors: the moments do not react to every "
            "combination of parameters, and it says which."
        )
    reach = norm.isf(0.5 * (1.0 - _INTERVAL))
    held = int((np.abs(away) <= reach).sum())
    ended = "" if baseline.trusted else ", though it did not come to its end"
    return f"Intervals of simulated minimum distance (90 %) hold the truth of {held} of {away.size} parameters{ended}."


def _summary(truth: Inversion, fit: Fit, found: Identification, baseline: Fit) -> dict[str, Any]:
    return {
        **truth.record(),
        "guard": fit.estimate.guarded.record(),  # type: ignore[attr-defined]
        "verdicts": {label: v.record() for label, v in found.verdicts.items()},
        "combinations": found.record()["combinations"],
        "moments": found.moments.record(),
        "model": found.moments.verdict().record(),
        "fit": fit.record(),
        **Baseline(baseline).record(),
    }
