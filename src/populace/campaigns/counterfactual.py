"""What if: a measure at a site, over the posterior, with common random numbers.

Each posterior draw is run twice with the same key, with the measure and without. As every number is folded from key,
time and site, the two runs share all their chance events, and their difference is the measure's doing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._results import Figure, IntervalPanel, Result, Section, Table
from .._types import Key
from ..calibration.fit import Fit
from ..core.executor import Ticker
from ..core.plug import Plug
from ..core.progress import display
from ..problem.plugged import before

Outcome = Callable[[Mapping[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Counterfactual(Result):
    """Outcomes with and without each measure, paired by run.

    `baseline` (n,): the outcome without any measure; `outcomes`: measure to (n,), the outcome of the same draw and the
    same key with it; `spared` = baseline - outcome. `excluded`: runs left out because one of the pair was.
    """

    outcome: str
    baseline: np.ndarray
    outcomes: dict[str, np.ndarray]
    excluded: int

    def spared(self, measure: str) -> np.ndarray:
        """How much of the outcome the measure takes away in each pair of runs, (n,)."""
        return self.baseline - self.outcomes[measure]

    def sections(self) -> tuple[Section, ...]:
        rows, stats = [], []
        for name in self.outcomes:
            s = _summary(self.spared(name))
            unpaired = float(np.sqrt(self.baseline.var() + self.outcomes[name].var()))
            gain = unpaired / max(float(self.spared(name).std()), 1e-12)
            rows.append((name, s["median"], s["low"], s["high"], s["mean"], s["error"], s["helps"], gain))
            stats.append(s)
        columns = (
            "measure",
            "spared, median",
            "2.5 %",
            "97.5 %",
            "mean",
            "its noise",
            "share of runs it helps",
            "gain of pairing",
        )
        note = (
            f"Spared: {self.outcome} without the measure minus with it, in pairs of runs with the same parameters and "
            "the "
            "same random numbers. Gain of pairing: how much wider the spread would be with independent runs."
        )
        middle, low, high = (np.array([s[k] for s in stats]) for k in ("median", "low", "high"))
        names = tuple(self.outcomes)
        panel = IntervalPanel("Spared by each measure", self.outcome, names, middle, low, high, reference=0.0)
        text = tuple(
            f"{name}: {s['median']:.0f} spared (95 % interval {s['low']:.0f} to {s['high']:.0f})."
            for name, s in zip(self.outcomes, stats, strict=True)
        )
        if self.excluded:
            text += (f"{self.excluded} pairs were left out because a run of the pair could not be used.",)
        caption = f"Effect on {self.outcome}: median and 95 % interval over posterior and chance."
        figure = Figure("counterfactual", caption, (panel,))
        return (Section("What if", text, figures=(figure,), tables=(Table("Measures", columns, tuple(rows), note),)),)

    def record(self) -> dict[str, Any]:
        base = _summary(self.baseline)
        measures = {name: _summary(self.spared(name)) for name in self.outcomes}
        return {
            "outcome": self.outcome,
            "baseline": {k: base[k] for k in ("low", "median", "high")},
            "spared": measures,
        }


def counterfactual(
    fit: Fit,
    measures: Mapping[str, tuple[Plug, ...]],
    key: Key,
    *,
    outcome: str,
    of: Outcome,
    draws: int = 500,
    progress: bool | Progress | None = None,
) -> Counterfactual:
    """Run a fit's posterior with and without measures.

    **Arguments:** `measures`: name to the plugs that make it; `outcome`: what is counted, in words; `of`: the outcome
    of each run, from observations name to (runs, times, ...) to (runs,); `draws`: posterior draws, each with one key.

    **Returns:** a `Counterfactual`.

    **Raises:** `SimulatorError` when the simulator has no sites; `UnknownSiteError` for a measure at no site.
    """
    pick, run = jr.split(key)
    real = fit.estimate.draws(fit.problem, pick, draws)
    batch = fit.problem.space.from_real(real)
    keys = jr.split(run, draws)
    results: dict[str, np.ndarray] = {}
    used = np.ones(draws, bool)
    with display(progress) as shown:
        ticker = Ticker(shown, "counterfactuals", draws * (len(measures) + 1))
        for name, plugs in {"": (), **measures}.items():
            simulator, bound = before(fit.problem.simulator, plugs, batch)
            seen = simulator.simulate(bound, keys, ticker)
            results[name] = np.asarray(of(seen.observations), np.float64)
            used &= ~seen.excluded
    kept = {name: values[used] for name, values in results.items()}
    baseline = kept.pop("")
    return Counterfactual(outcome, baseline, kept, int((~used).sum()))


def _summary(values: np.ndarray) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return {
        "low": float(low),
        "median": float(middle),
        "high": float(high),
        "mean": float(values.mean()),
        "error": float(values.std(ddof=1) / np.sqrt(values.size)),
        "helps": float((values > 0).mean()),
    }
