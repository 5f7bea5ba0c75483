"""The verb `forecast`: a fit's posterior run on beyond the last time of the data.

A run under one key is the same run when it is longer, so that each draw of the posterior goes on from where its own run
stands at the last time, and that is not where the data stand: the posterior knows parameters, and not the path. Keeping
the runs whose last values are nearest conditions on the path too (rejection, as in approximate Bayesian computation:
Jean-Michel Marin and others 2012, Statistics and Computing 22, 1167-1180), and how far off they still start is said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import MethodError, SimulatorError, did_you_mean
from .._results import Band, BandPanel, Code, Figure, Points, Result, Section, Table, Verdict, quantiles
from .._types import Key
from ..calibration.fit import Fit
from ..core.executor import Ticker
from ..core.host import split
from ..core.progress import display
from ..core.record import AtTimes, EveryStep, Recording
from ..problem.plugged import changed, innermost
from ..problem.series import Series
from ..problem.simulators import Callable as CallableSimulator
from ..problem.simulators import Simulation, Simulator
from .forecasts import SampleForecasts

_FEWEST = 20
_LEVELS = np.array([0.025, 0.25, 0.5, 0.75, 0.975])
_OFF = 1.0
"""Of the data's own change from one time to the next: a mean start farther away is called away."""


@dataclass(frozen=True)
class Forecast(Result):
    """What a fit foretells; n runs at draws of the posterior.

    `horizon`; `paths`: series name to (n, times + horizon), runs from the first time on; `data`: the series; `made`:
    how many runs there were, of which the nearest n are kept; `excluded`: how many of them do not count.
    """

    horizon: int
    paths: dict[str, np.ndarray]
    data: dict[str, Series]
    time_unit: str
    made: int
    excluded: int

    def of(self, name: str) -> SampleForecasts:
        """The forecast of a series as a record of one origin, its last time, for `score_forecasts`; records of several
        fits are joined by `SampleForecasts.joined`.
        """
        if name not in self.paths:
            raise MethodError(f"'{name}' is not foretold; {did_you_mean(name, list(self.paths))}")
        ahead = np.arange(1, self.horizon + 1)
        return SampleForecasts(np.array([self.data[name].length - 1]), ahead, self.ahead(name).T[None])

    def ahead(self, name: str) -> np.ndarray:
        """The runs after the last time of the data, (n, horizon)."""
        return self.paths[name][:, self.data[name].length :]

    def start(self, name: str) -> tuple[float, float]:
        """The mean distance of the runs from the data at the last time that these have, and the data's own mean change
        from one time to the next.
        """
        one = self.data[name]
        here = np.flatnonzero(one.present)
        away = np.abs(self.paths[name][:, here[-1]] - one.values[here[-1]])
        steps = np.abs(np.diff(one.values))[one.present[1:] & one.present[:-1]]
        return float(np.mean(away)), float(np.mean(steps)) if steps.size else 0.0

    def verdicts(self) -> tuple[Verdict, ...]:
        """A series each: whether its runs start where the data end."""
        found = []
        for name in self.paths:
            away, own = self.start(name)
            numbers = {"away": away, "the data's own change": own}
            text = f"{name}: runs miss the last value by {away:.3g} on average; the data change by {own:.3g} a time"
            code = Code.STARTS_OFF if away > _OFF * own and away > 0 else Code.STARTS_THERE
            more = ": short horizons are worth less than the last value itself." if code is Code.STARTS_OFF else "."
            found.append(Verdict(name, code, text + more, numbers))
        return tuple(found)

    def sections(self) -> tuple[Section, ...]:
        kept = len(next(iter(self.paths.values())))
        text = [f"{kept} runs at draws of the posterior, {self.horizon} times beyond the data."]
        if kept + self.excluded < self.made:
            text.append(f"They are those of {self.made} whose last values are nearest to the data's.")
        else:
            text.append(
                "Each goes on from its own state: what the data were at the last time is known by the posterior only."
            )
        if self.excluded:
            text.append(f"{self.excluded} runs could not be used.")
        panels = tuple(self._panel(name) for name in self.paths)
        figure = Figure("forecast", "Runs through the data and beyond: median, 50 % and 95 % of them.", panels)
        tables = tuple(self._table(name) for name in self.paths)
        return (Section("Forecast", tuple(text), self.verdicts(), (figure,), tables),)

    def _panel(self, name: str) -> BandPanel:
        one, paths = self.data[name], self.paths[name]
        x = np.arange(1.0, paths.shape[1] + 1)
        q = quantiles(paths, _LEVELS)
        band = Band("model", x, q[2], {0.95: (q[0], q[4]), 0.5: (q[1], q[3])})
        points = Points("data", x[: one.length][one.present], one.values[one.present])
        label = name.replace("_", " ")
        return BandPanel(label, self.time_unit, label, (band,), (points,))

    def _table(self, name: str) -> Table:
        q = quantiles(self.ahead(name), _LEVELS).T
        rows = tuple((str(i + 1), *map(float, row)) for i, row in enumerate(q))
        return Table(name.replace("_", " "), ("ahead", "2.5 %", "25 %", "median", "75 %", "97.5 %"), rows)

    def record(self) -> dict[str, Any]:
        return {
            "horizon": self.horizon,
            "runs": {"made": self.made, "kept": len(next(iter(self.paths.values()))), "excluded": self.excluded},
            "verdicts": {one.subject: one.record() for one in self.verdicts()},
            "quantiles": {
                name: {f"{p:g}": np.quantile(self.ahead(name), p, axis=0).tolist() for p in _LEVELS}
                for name in self.paths
            },
        }


def forecast(
    fit: Fit,
    key: Key,
    *,
    horizon: int,
    draws: int = 500,
    nearest: int | None = None,
    last: int = 1,
    simulator: Simulator | Callable[[dict[str, Any], Key], Mapping[str, Any]] | None = None,
    progress: bool | Progress | None = None,
) -> Forecast:
    """Run a fit's posterior on, `horizon` times beyond the last time of its data.

    **Arguments:** `draws`: runs, one at each draw of the posterior; `nearest`: keep so many of them, the nearest to the
    data's `last` values (each series in units of the runs' own spread there); None keeps all;
    `simulator`: the longer simulator, where the problem's is no model with regular records, which is lengthened by
    itself: of the same parameters, and `horizon` times more.

    **Returns:** a `Forecast` of every series of numbers that the data hold over time.

    **Raises:** `SimulatorError` for a simulator that cannot be lengthened, or one that returns other lengths.
    """
    if horizon < 1 or draws < _FEWEST or (nearest is not None and not _FEWEST <= nearest <= draws) or last < 1:
        raise MethodError(
            f"give a horizon of 1 or more, {_FEWEST} draws or more, and nearest= of {_FEWEST} up to draws"
        )
    data = {name: one for name, one in fit.problem.target.data.items() if not one.at_end and one.values.ndim == 1}
    if not data:
        raise MethodError("the data hold no series over time: there is nothing to foretell")
    further = _further(fit.problem.simulator, horizon) if simulator is None else (
        simulator if isinstance(simulator, Simulator) else CallableSimulator(simulator)
    )  # fmt: skip
    pick, run = jr.split(key)
    batch = fit.problem.space.from_real(fit.estimate.draws(fit.problem, pick, draws))
    with display(progress) as shown:
        seen = further.simulate(batch, split(run, draws), Ticker(shown, "forecast", draws))
    used = np.flatnonzero(~seen.excluded)
    if used.size < _FEWEST:
        raise SimulatorError(f"{used.size} of {draws} runs beyond the data can be used: {seen.reasons}")
    paths = {name: _path(name, one, seen.observations, horizon)[used] for name, one in data.items()}
    if nearest is not None and nearest < used.size:
        rows = np.argsort(_distance(paths, data, last), kind="stable")[:nearest]
        paths = {name: path[np.sort(rows)] for name, path in paths.items()}
    return Forecast(horizon, paths, data, fit.problem.target.time_unit, draws, draws - used.size)


def _further(simulator: Simulator, horizon: int) -> Simulator:
    """The simulator with `horizon` more records at the distance of those that it has."""
    found = innermost(simulator)
    if not isinstance(found, Simulation):
        raise SimulatorError(
            f"a {type(found).__name__} does not say how to run longer: pass simulator=, which returns {horizon} times "
            "more"
        )

    def lengthened(one: Simulation) -> Simulation:
        record, more = _longer(one.record, one.steps, horizon)
        return Simulation(one.model, one.steps + more, record, one.plugs, one.growth)

    return changed(simulator, lengthened)


def _longer(record: Recording, steps: int, horizon: int) -> tuple[Recording, int]:
    """A recording with more rows, and how many more steps it takes."""
    if isinstance(record, EveryStep):
        return record, record.every * horizon - steps % record.every
    if isinstance(record, AtTimes) and len(record.at) > 1 and len(set(np.diff(record.at))) == 1:
        gap = record.at[1] - record.at[0]
        at = (*record.at, *(record.at[-1] + gap * (i + 1) for i in range(horizon)))
        return AtTimes(at), max(at[-1] - steps, 0)
    raise SimulatorError(
        f"{eqx.tree_pformat(record)} has no regular times to go on with: pass simulator=, with the further times"
    )


def _path(name: str, one: Series, observations: Mapping[str, np.ndarray], horizon: int) -> np.ndarray:
    if name not in observations:
        raise SimulatorError(f"the simulator returns no '{name}'; {did_you_mean(name, list(observations))}")
    path = np.asarray(observations[name], np.float64)
    if path.ndim != 2 or path.shape[1] != one.length + horizon:
        raise SimulatorError(
            f"simulated '{name}' has shape {path.shape} (runs first), and {one.length} times of the data and {horizon} "
            f"beyond make {one.length + horizon}"
        )
    return path


def _distance(paths: Mapping[str, np.ndarray], data: Mapping[str, Series], last: int) -> np.ndarray:
    """How far each run is from the last values, (n,)."""
    total = np.zeros(len(next(iter(paths.values()))))
    for name, one in data.items():
        at = np.flatnonzero(one.present)[-last:]
        off = paths[name][:, at] - one.values[at]
        spread = paths[name][:, at].std(0)
        total += ((off / np.where(spread > 0, spread, 1.0)) ** 2).mean(1)
    return total
