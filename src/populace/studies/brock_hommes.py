"""A market of two beliefs and the S&P 500: which of nine parameters give returns like the index's, and what that shows.

The data are the 100 daily log-returns of the S&P 500 up to 7 December 2015. A point of the box is acceptable when a
Kolmogorov-Smirnov test at 5 % does not tell its 100 returns from them: the problem of Lamperti, Roventini and Sani
(2018, Journal of Economic Dynamics and Control 90:366). The study learns the whole region of such points, checks it by
fresh runs, says which parameters it narrows, and holds out what the test does not look at: the order of returns. It
also says how often the test passes returns that no trader made.
"""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array
from rich.progress import Progress

from .._results import Code
from .._types import Key
from ..calibration.acceptable_region import AcceptableRegion
from ..calibration.accepted import AcceptedRegion
from ..calibration.calibrate import calibrate
from ..calibration.fit import Fit
from ..core.noise import host_generator
from ..identification.identify import Identification, identify
from ..problem.distances import BetweenSamples, kolmogorov_smirnov, kolmogorov_smirnov_critical
from ..problem.moments import autocorrelation, derived, kurtosis, moment
from ..problem.problem import Problem
from ..problem.simulators import Simulation
from ..problem.space import Space
from ..problem.target import Target
from ..surrogates.acceptance import accepted
from ..zoo.two_beliefs import TwoBeliefs
from .study import Findings, Study, read_table

DAYS = 100
LEVEL = 0.05
TOLERANCE = kolmogorov_smirnov_critical(DAYS, DAYS, LEVEL)
"""The largest distance that the test lets pass."""
DISTANCE = BetweenSamples(kolmogorov_smirnov, ("ranked",))
BOX = {
    **{"beta": (0.0, 10.0), "b1": (-2.0, 2.0), "b2": (-2.0, 2.0), "g1": (-2.0, 2.0), "g2": (-2.0, 2.0)},
    **{"cost": (0.0, 5.0), "memory": (0.0, 1.0), "aversion": (0.0, 100.0), "gross": (1.01, 1.1)},
}
_TRIES = 2_000


def data() -> np.ndarray:
    """The last 100 daily log-returns."""
    return np.diff(np.log(read_table("sp500_close.csv")["close"]))[-DAYS:]


def problem(*, variance: float = 0.002, noise: float = 0.005) -> Problem:
    """Nine parameters, uniform on the published box, and the returns in order of size. What that leaves out is held
    out: autocorrelations of the returns and of their sizes; and their kurtosis, which it knows and the test does not
    weigh.

    **Arguments:** of the model. With variance 0.01 and noise 0.1 one point in about 700 is acceptable.
    """
    sizes = derived("|returns|", jnp.abs, "returns", autocorrelation("|returns|", [1]))
    held_out = [autocorrelation("returns", [1]), sizes, kurtosis("returns")]
    return Problem(
        Simulation(TwoBeliefs(variance=variance, noise=noise), DAYS),
        Space({name: dist.Uniform(*ends) for name, ends in BOX.items()}),
        Target({"returns": data()}, [moment("ranked", jnp.sort, of="returns")], held_out, time_unit="day"),
        derived={"spread": _spread},
    )


def _spread(parameters: Any) -> Array:
    """How far apart the two types' forecasts lie at x = 1."""
    return jnp.abs(parameters["g1"] + parameters["b1"] - parameters["g2"] - parameters["b2"])


class BrockHommes(Study):
    """The region of acceptable parameters, its checks, and what an acceptable run leaves open."""

    name = "brock-hommes"
    title = "A market of two beliefs and the S&P 500, 2015"
    question = "Which of nine parameters give returns like those of the index, and what does it show if they do?"
    budget = 2_500
    files = ("sp500_close.csv",)

    def run(self, key: Key, budget: int, folder: Path, progress: Progress | None) -> Findings:
        fitting, checking, trying = jr.split(key, 3)
        task = problem()
        method = AcceptableRegion(TOLERANCE, DISTANCE)
        fit = calibrate(task, method, fitting, budget=budget, folder=folder, progress=progress or False)
        found = identify(task, fit, checking)
        passing = noise_passes(trying)
        return Findings(_headline(fit, found, passing), (fit, found), {"region": fit}, _summary(fit, found, passing))


def noise_passes(key: Key, tries: int = _TRIES) -> float:
    """The share of samples of independent normal returns, with mean and spread of the data's, that the test passes."""
    returns = data()
    drawn = returns.mean() + returns.std() * host_generator(key).standard_normal((tries, DAYS))
    return float(np.mean([kolmogorov_smirnov(one, returns) <= TOLERANCE for one in drawn]))


def _region(fit: Fit) -> AcceptedRegion:
    assert isinstance(fit.estimate, AcceptedRegion)
    return fit.estimate


def _predicted(fit: Fit) -> float:
    """The share of fresh runs at draws of the region that are acceptable."""
    return float((DISTANCE(fit.moments, fit.problem.target) <= TOLERANCE).mean())


def _headline(fit: Fit, found: Identification, passing: float) -> tuple[str, ...]:
    region = _region(fit)
    yes, runs = int(accepted(region.ratios).sum()), region.ratios.size
    if not yes:
        return region.notes()
    told = [name for name, v in found.verdicts.items() if v.code in (Code.IDENTIFIED, Code.WEAK, Code.COMBINATION)]
    silent = [name for name in found.verdicts if name not in told]
    open_ones = f"; of {', '.join(silent)} it says little or nothing" if silent else ""
    return (
        f"Of the box {100 * region.share:.1f} % give returns that a Kolmogorov-Smirnov test at {100 * LEVEL:.0f} % "
        f"cannot tell from the index's; {yes} of {runs} runs are of that kind, where chance would have found about "
        f"{runs * region.share:.0f}.",
        f"Of fresh runs at draws of the region {100 * _predicted(fit):.0f} % are: the rest is what a seed decides and "
        "what the region's edge blurs.",
        f"Acceptance narrows {', '.join(told) if told else 'no parameter'}{open_ones}.",
        f"It is a weak test: {100 * passing:.0f} % of samples of independent normal returns pass it, with no trader in "
        f"them. {_beyond(found)}",
    )


def _beyond(found: Identification) -> str:
    """What of the returns' order and tails the region's runs show, in words."""
    report, ends = found.moments, {"ranked[0]": "the least return", f"ranked[{DAYS - 1}]": "the largest return"}
    rows = [
        f"{ends.get(label, label)} is {report.data[i]:.2g} in the data, {report.simulated[i]:.2g} in the region's runs"
        for i, label in enumerate(report.labels)
        if report.codes[i] is Code.HELD_OUT_UNMATCHED or (label in ends and report.codes[i] is Code.UNMATCHED)
    ]
    if not rows:
        return "What it does not weigh, the order and the tails of returns, does not contradict the region either."
    return f"And it does not see that {'; '.join(rows)}."


def _summary(fit: Fit, found: Identification, passing: float) -> dict[str, Any]:
    region = _region(fit)
    return {
        "acceptable_share": region.share,
        "acceptable_share_spread": region.share_spread,
        "threshold": region.threshold,
        "acceptable_runs": int(accepted(region.ratios).sum()),
        "runs": region.ratios.size,
        "predicted_acceptable": _predicted(fit),
        "normal_noise_passes": passing,
        "notes": list(region.notes()),
        "verdicts": {label: v.record() for label, v in found.verdicts.items()},
        "combinations": found.record()["combinations"],
        "moments": {label: row for label, row in found.moments.record().items() if row["held_out"]},
        "model": found.moments.verdict().record(),
        "fit": fit.record(),
    }
