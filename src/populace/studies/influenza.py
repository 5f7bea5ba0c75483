"""Influenza in an English boarding school, January and February 1978: 763 boys, one of the best observed outbreaks.

The data are boys confined to bed, and convalescent, on each of fourteen days, and that 512 boys were ever in bed
(British Medical Journal 1978, 1:587). The model that textbooks fit to the boys in bed has them infect while in bed and
recover at a constant rate. It fits the curve, and infects nearly everybody. The study fits it, holds out what it was
not fitted to, and lets the reader see that it fails; then it fits a rival in which some boys cannot be infected and
some infect without falling ill (and stays in bed vary less than exponential times do: three stages), which reaches
both, and says what of the rival the data decide.
"""

from collections.abc import Mapping
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
from ..calibration.calibrate import calibrate
from ..calibration.fit import Fit
from ..calibration.sequential_abc import SequentialABC
from ..campaigns.counterfactual import Counterfactual, counterfactual
from ..core.plug import Replace
from ..core.record import EveryStep
from ..identification.identify import Identification, identify
from ..identification.moment_report import MomentReport
from ..identification.rivals import rivals
from ..problem.moments import final, level
from ..problem.problem import Problem
from ..problem.simulators import Simulation
from ..problem.space import Space
from ..problem.target import Target
from ..zoo.school_epidemic import IsolateFirst, SchoolEpidemic, VaccinateShare
from .study import Findings, Part, Study, read_table

EVER_IN_BED = 512.0
"""Boys who were in bed at any time, as the report says."""

MEASURES = {
    "isolate the first 50 from day 4": (Replace("isolate", IsolateFirst(50, 3.0)),),
    "isolate the first 200 from day 5": (Replace("isolate", IsolateFirst(200, 4.0)),),
    "isolate everybody in bed from day 5": (Replace("isolate", IsolateFirst(763, 4.0)),),
    "vaccinate 25 % beforehand": (Replace("vaccinate", VaccinateShare(0.25)),),
    "vaccinate 50 % beforehand": (Replace("vaccinate", VaccinateShare(0.5)),),
}
"""Measures at sites of the model. Time 0 of the model is day 1 of the data."""


def data() -> dict[str, Any]:
    """The observed series from day 2 on (day 1, with three boys in bed, is where the model starts), and the final
    size.
    """
    table = read_table("influenza_school_1978.csv")
    return {"in_bed": table["in_bed"][1:], "convalescent": table["convalescent"][1:], "ever_in_bed": EVER_IN_BED}


def problem(*, rival: bool) -> Problem:
    """The problem of the simple model, or of its rival with immune and silent shares.

    The simple model is fitted to the boys in bed; the rival to the number ever in bed as well. The convalescent are
    held out of both.
    """
    model = SchoolEpidemic(jnp.float32(1.7), jnp.float32(0.45), stages=3 if rival else 1)
    priors = {
        "beta": dist.LogUniform(0.3, 10.0),
        "recovery": dist.LogUniform(0.1, 2.0),
        "convalescence": dist.LogUniform(0.1, 2.0),
    }
    fitted, held_out = [level("in_bed")], [final("ever_in_bed"), level("convalescent")]
    if rival:
        priors |= {"immune": dist.Uniform(0.0, 0.7), "silent": dist.Uniform(0.0, 0.7)}
        fitted, held_out = [level("in_bed"), final("ever_in_bed")], [level("convalescent")]
    days = len(data()["in_bed"])
    times = {"in_bed": _days(days), "convalescent": _days(days), "ever_in_bed": ("end",)}
    return Problem(
        Simulation(model, days * model.steps_per_day, EveryStep(model.steps_per_day)),
        Space(priors),
        Target(data(), fitted, held_out, times=times, time_unit="day"),
        derived={"R0": _r0, "infectious_days": _infectious_days},
    )


def _days(count: int) -> tuple[str, ...]:
    return tuple(str(day) for day in range(2, count + 2))


def _r0(parameters: Mapping[str, Array]) -> Array:
    """Infections by the first infectious boy if all others were susceptible."""
    return parameters["beta"] / parameters["recovery"]


def _infectious_days(parameters: Mapping[str, Array]) -> Array:
    return 1.0 / parameters["recovery"]


def _ever_in_bed(observations: Mapping[str, np.ndarray]) -> np.ndarray:
    return observations["ever_in_bed"][:, -1]


class Influenza(Study):
    """The boarding school, fitted, doubted, refitted, and asked what would have helped."""

    name = "influenza"
    title = "Influenza in a boarding school, 1978"
    question = "763 boys, fourteen days: what do the counts of boys in bed decide, and what do they leave open?"
    budget = 40_000
    files = ("influenza_school_1978.csv",)

    def run(self, key: Key, budget: int, folder: Path, progress: Progress | None) -> Findings:
        keys: dict[str, Key] = dict(zip(("simple", "rival", "check", "what if"), jr.split(key, 4), strict=True))
        shown = progress or False
        method = SequentialABC(particles=max(100, budget // 130))
        calls = {"simple": 2 * budget // 5, "rival": 3 * budget // 5}
        fits = {
            name: calibrate(
                problem(rival=name == "rival"),
                method,
                keys[name],
                budget=calls[name],
                folder=folder / name,
                progress=shown,
            )
            for name in calls
        }
        found = {name: identify(fit.problem, fit, keys["check"]) for name, fit in fits.items()}
        effects = {
            name: counterfactual(
                fit, MEASURES, keys["what if"], outcome="boys ever in bed", of=_ever_in_bed, draws=400, progress=shown
            )
            for name, fit in fits.items()
        }
        sides = rivals({"the simple model": found["simple"], "the rival (immune and silent shares)": found["rival"]})
        results = (
            Part("Simple model", fits["simple"]),
            Part("Simple model", found["simple"]),
            sides,
            Part("Rival", fits["rival"]),
            Part("Rival", found["rival"]),
            Part("Simple model", effects["simple"]),
            Part("Rival", effects["rival"]),
        )
        return Findings(_headline(fits, found, effects), results, fits, _summary(fits, found, effects))


def _headline(
    fits: dict[str, Fit], found: dict[str, Identification], effects: dict[str, Counterfactual]
) -> tuple[str, ...]:
    low, middle, high = fits["simple"].interval("R0")
    sentences = [
        f"Fitted to the boys in bed, the simple model has R0 {middle:.1f} ({low:.1f} to {high:.1f}) and an infectious "
        f"period of {fits['simple'].interval('infectious_days')[1]:.1f} days.",
        *_the_end(found["simple"].moments, found["rival"].moments),
    ]
    sentences += [v.sentence for v in found["rival"].verdicts.values() if v.code.value == "only in combination"][:1]
    low, middle, high = fits["rival"].interval("R0")
    sentences.append(
        f"In the rival R0 is {middle:.1f} ({low:.1f} to {high:.1f}): the number depends on what is believed of the "
        "boys who were never seen in bed."
    )
    sentences += _disagreement(effects)
    return tuple(sentences)


_FINAL = "final(ever_in_bed)"


def _the_end(simple: MomentReport, rival: MomentReport) -> list[str]:
    """What either says about how many were ever in bed, as its report judges it."""
    at = simple.labels.index(_FINAL)
    sends = (
        f"it sends {simple.simulated[at]:.0f} boys to bed, and {EVER_IN_BED:.0f} went "
        f"({abs(simple.gap[at]):.1f} standard errors apart)."
    )
    if simple.codes[at] is Code.HELD_OUT_UNMATCHED:
        first = f"It is wrong about the end: {sends} Do not use it for how many will fall ill."
    else:
        first = f"At this budget the fit is too wide to contradict it about the end: {sends}"
    reached = rival.simulated[rival.labels.index(_FINAL)]
    bent = "With some boys immune, some infected without symptoms, and stays in bed that vary less, the rival reaches"
    if rival.verdict().code is Code.SUPPORTED:
        return [first, f"{bent} {reached:.0f} and the curve of boys in bed."]
    return [first, f"{bent} {reached:.0f}, but not all of the curve: {rival.sentence()}"]


def _disagreement(effects: dict[str, Counterfactual]) -> list[str]:
    """The measure on which simple model and rival differ most, in words."""
    medians = {n: {m: float(np.median(e.spared(m))) for m in e.outcomes} for n, e in effects.items()}
    worst = max(MEASURES, key=lambda m: abs(medians["simple"][m] - medians["rival"][m]))
    return [
        f"They disagree on what helps: '{worst}' spares {medians['simple'][worst]:.0f} boys in the simple model and "
        f"{medians['rival'][worst]:.0f} in the rival."
    ]


def _summary(
    fits: dict[str, Fit], found: dict[str, Identification], effects: dict[str, Counterfactual]
) -> dict[str, Any]:
    def one(name: str) -> dict[str, Any]:
        low, middle, high = fits[name].interval("R0")
        report = found[name].moments
        return {
            "r0_median": middle,
            "r0_interval": [low, high],
            "infectious_days_median": fits[name].interval("infectious_days")[1],
            "moments": {
                label: {"gap": row["gap"], "held_out": row["held_out"]} for label, row in report.record().items()
            },
            "model": report.verdict().record(),
            "verdicts": {label: v.record() for label, v in found[name].verdicts.items()},
            "combinations": found[name].record()["combinations"],
            "counterfactual": effects[name].record(),
            "fit": fits[name].record(),
        }

    return {**one("simple"), "rival": one("rival")}
