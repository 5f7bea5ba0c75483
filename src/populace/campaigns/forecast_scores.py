"""The verb `score_forecasts`: a record of forecasts against what came, always beside naive ones.

A forecast that hits is not thereby good: the next value is usually like the last, and who says no more than that hits
as well. So what counts is skill, 1 - score / the naive forecast's, with its error over origins, and whether the stated
uncertainty is right: the probability of less than what came should be uniform (A. Philip Dawid 1984, Journal of the
Royal Statistical Society A 147, 278-292).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import BarPanel, Cell, Code, Figure, IntervalPanel, Result, Section, Table, Verdict, cell
from .._types import Key
from ..calibration import uniformity
from ..core.noise import host_generator
from .forecasts import Forecasts, QuantileForecasts, SampleForecasts
from .naive_forecasts import NaiveForecast, usual
from .scoring_rules import gaussian_log_score, interval_scores
from .skill import FEWEST, Skill, skill

_SIZE = 0.05
_COVERED = (0.5, 0.8, 0.95)
_SAMPLES = 1_000
_BARS = 10
OURS = "the forecast"


@dataclass(frozen=True)
class Scored:
    """How one forecaster did, NaN where nothing was said or nothing came.

    `name`; `score` (o, h), by the record's own rule; `parts` (o, h, 3): the weighted interval score as spread,
    over-prediction and under-prediction; `log` (o, h): minus the log density of the Gaussian with the samples' mean and
    variance, NaN of quantiles; `inside` (o, h, 3): whether the central 50, 80 and 95 % held what came, NaN where these
    levels were not given.
    """

    name: str
    score: np.ndarray
    parts: np.ndarray
    log: np.ndarray
    inside: np.ndarray

    def row(self) -> tuple[float, ...]:
        """Means: score, interval score, its parts, log score, coverages."""
        used = np.isfinite(self.score)
        parts = self.parts[used].mean(0)
        ends = (self.log[used].mean(), *self.inside[used].mean(0))
        return (float(self.score[used].mean()), float(parts.sum()), *map(float, parts), *map(float, ends))


@dataclass(frozen=True)
class ForecastScores(Result):
    """What a record of forecasts is worth.

    `rule`: the score in words; `origins` (o,), `horizons` (h,); `ours`: the record's; `naive`: those of each naive
    forecast; `places` (o, h): the forecast probability of less than what came; `left_out`: origins without a score.
    """

    rule: str
    origins: np.ndarray
    horizons: np.ndarray
    ours: Scored
    naive: tuple[Scored, ...]
    places: np.ndarray
    left_out: int

    def skill(self, naive: Scored, horizon: int | None = None) -> Skill:
        """Against a naive forecast: of all horizons together, or of one."""
        at = slice(None) if horizon is None else np.flatnonzero(self.horizons == horizon)
        return skill(self.ours.score[:, at], naive.score[:, at])

    @property
    def hardest(self) -> Scored:
        """The naive forecast with the least score."""
        return min(self.naive, key=lambda one: one.row()[0])

    def verdict(self) -> Verdict:
        """Better than all naive forecasts, worse than one of them, or neither. Each comparison is at 5 % where it has
        to hold for all, and all together where it is enough that it holds for one.
        """
        skills, hard = [self.skill(one) for one in self.naive], self.skill(self.hardest)
        better = all(one.p < _SIZE and one.value > 0 for one in skills)
        worse = any(one.p < _SIZE / len(skills) and one.value < 0 for one in skills)
        low, high = hard.ends()
        numbers = {"skill": hard.value, "error": hard.error, "p": hard.p, "origins": float(hard.origins)}
        against = f"'{self.hardest.name}', the best of {len(skills)} naive forecasts" if len(skills) > 1 else (
            f"'{self.hardest.name}'"
        )  # fmt: skip
        text = f"skill {hard.value:.2f} over {hard.origins} origins against {against}"
        if not np.isfinite(hard.error):
            text += f": {FEWEST} origins or more would give it an error."
            numbers = {name: value for name, value in numbers.items() if np.isfinite(value)}
            return Verdict(OURS, Code.LIKE_NAIVE, f"{OURS}: {text}", numbers)
        text += f" (95 % interval {low:.2f} to {high:.2f}, p = {hard.p:.2g})."
        if better:
            return Verdict(OURS, Code.BEATS_NAIVE, f"{OURS} beats whoever has no model: {text}", numbers)
        if worse:
            return Verdict(OURS, Code.BEATEN_BY_NAIVE, f"{OURS} loses to whoever has no model: {text}", numbers)
        return Verdict(OURS, Code.LIKE_NAIVE, f"{OURS} is not told apart from what needs no model: {text}", numbers)

    def honesty(self) -> Verdict:
        """Whether the stated uncertainty is right, by the places of what came.

        Forecasts of h times ahead from neighbouring origins share what came; so those are tested together whose paths
        do not overlap, and the least p of all such sets counts as often as there are sets.
        """
        subject, sets = "the stated uncertainty", self._apart()
        u = np.concatenate([each for each in sets if each.size])
        p = min(1.0, len(sets) * min(uniformity.p_value(each) for each in sets))
        lean, bend = (
            (u.mean() - 0.5) * np.sqrt(12.0 * u.size),
            (((u - 0.5) ** 2).mean() - 1 / 12) * np.sqrt(180.0 * u.size),
        )
        covered = self.ours.inside[..., -1][np.isfinite(self.ours.inside[..., -1])]
        numbers = {"p": p, "mean place": float(u.mean()), "spread of places": float(np.sqrt(12.0) * u.std())}
        text = f"{u.size} values that came, p = {p:.2g} that their places in the forecasts are uniform"
        if covered.size:
            numbers["coverage 95 %"] = float(covered.mean())
            text += f"; 95 % intervals held {100 * covered.mean():.0f} % of them"
        if p >= _SIZE:
            return Verdict(subject, Code.CALIBRATED, f"{subject} is not told from right: {text}.", numbers)
        if abs(lean) > abs(bend):
            side = "low" if lean > 0 else "high"
            return Verdict(subject, Code.LEANS, f"{subject}: forecasts lie too {side}: {text}.", numbers)
        code, how = (Code.FORECAST_NARROW, "narrow") if bend > 0 else (Code.FORECAST_WIDE, "wide")
        return Verdict(subject, code, f"{subject}: forecasts are too {how}: {text}.", numbers)

    def _apart(self) -> list[np.ndarray]:
        """Places of forecasts that do not overlap, sets of all horizons."""
        step = int(np.diff(self.origins).min()) if self.origins.size > 1 else 1
        found = []
        for i, horizon in enumerate(self.horizons):
            stride = -(-int(horizon) // step)
            found += [self.places[first::stride, i] for first in range(min(stride, self.origins.size))]
        return [one[np.isfinite(one)] for one in found if np.isfinite(one).any()]

    def sections(self) -> tuple[Section, ...]:
        text = [
            f"{self.origins.size} origins, horizons {', '.join(map(str, self.horizons))}, {self.rule}: less "
            "is better. Skill is 1 - score / the naive forecast's: 0 is no better, 1 is perfect.",
            "Naive forecasts see the series up to the origin as it is now: where data were revised later, the "
            "forecaster saw less.",
        ]
        if self.left_out:
            text.append(f"{self.left_out} origins are left out: nothing came of them yet, or naive ones had no past.")
        verdicts = (self.verdict(), self.honesty())
        figures = (
            Figure("skill", f"Skill against '{self.hardest.name}' by horizon, with 95 % intervals.", (self._skills(),)),
            Figure("places", "Where what came lay in the forecasts: level bars would be right.", (self._bars(),)),
        )
        return (Section("Forecasts", tuple(text), verdicts, figures, (self._forecasters(), self._by_horizon())),)

    def _forecasters(self) -> Table:
        columns = (
            "forecaster", self.rule, "interval score", "spread", "over-prediction", "under-prediction", "log score",
            "50 % held", "80 % held", "95 % held",
        )  # fmt: skip
        rows = tuple((one.name, *map(cell, one.row())) for one in (self.ours, *self.naive))
        note = (
            "Means over what was scored. Spread, over- and under-prediction sum to the weighted interval score. Log "
            "score: minus the log density of a Gaussian with the samples' mean and variance."
        )
        return Table("Forecasters", columns, rows, note)

    def _by_horizon(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for naive in self.naive:
            for horizon in (None, *map(int, self.horizons)):
                one = self.skill(naive, horizon)
                numbers = (cell(x) for x in (one.value, one.error, one.p))
                rows.append((naive.name, "all" if horizon is None else str(horizon), *numbers, one.origins))
        columns = ("against", "horizon", "skill", "its error", "p", "origins")
        note = "p: of equal scores (Diebold and Mariano's test, made for few and overlapping origins)."
        return Table("Skill", columns, tuple(rows), note)

    def _skills(self) -> IntervalPanel:
        each = [self.skill(self.hardest, int(horizon)) for horizon in self.horizons]
        values = np.array([one.value for one in each])
        ends = np.array([one.ends() if np.isfinite(one.error) else (one.value, one.value) for one in each])
        names = tuple(f"{horizon} ahead" for horizon in self.horizons)
        return IntervalPanel("Skill by horizon", "skill", names, values, ends[:, 0], ends[:, 1], reference=0.0)

    def _bars(self) -> BarPanel:
        found = self.places[np.isfinite(self.places)]
        counts, edges = np.histogram(found, _BARS, (0.0, 1.0))
        note = f"Level would be {found.size / _BARS:.3g} in each."
        return BarPanel(
            "Places of what came", "forecast probability of less", "values", edges, counts, 1.15 * counts.max(), note
        )

    def record(self) -> dict[str, Any]:
        names = ("score", "interval score", "spread", "over", "under", "log", "held 50 %", "held 80 %", "held 95 %")
        return {
            "rule": self.rule,
            "origins": self.origins.tolist(),
            "horizons": self.horizons.tolist(),
            "verdicts": {one.subject: one.record() for one in (self.verdict(), self.honesty())},
            "forecasters": {
                one.name: dict(zip(names, map(cell, one.row()), strict=True)) for one in (self.ours, *self.naive)
            },
            "skill": {
                one.name: {
                    "all": self.skill(one).record(),
                    **{str(h): self.skill(one, int(h)).record() for h in self.horizons},
                }
                for one in self.naive
            },
        }


def score_forecasts(
    forecasts: Forecasts,
    truth: np.ndarray,
    key: Key,
    *,
    period: int | None = None,
    naive: Sequence[NaiveForecast] | None = None,
) -> ForecastScores:
    """Judge a record of forecasts by what came.

    **Arguments:** `forecasts`: `SampleForecasts` (scored by the CRPS) or `QuantileForecasts` (by the weighted interval
    score), of a model here or from anywhere; `truth` (t,): the series, from its first time on, of which origins are
    places; NaN is missing; `period`: times a season, where there are seasons; `naive`: what to compare with, by default
    `LastValue()`, `LastSeason(period)` and `Climatology(period)`.

    **Returns:** a `ForecastScores`. A forecast of what has not come yet counts for nothing.

    **Raises:** `MethodError` where no forecast can be scored.
    """
    truth = np.asarray(truth, np.float64)
    if truth.ndim != 1 or np.isinf(truth).any():
        raise MethodError(f"the truth is one series of numbers, NaN where missing, not of shape {truth.shape}")
    rivals = usual(period) if naive is None else tuple(naive)
    if not rivals:
        raise MethodError("a forecast is judged beside naive ones: leave `naive` out, or name one")
    if len({one.name for one in rivals}) < len(rivals):
        raise MethodError("two naive forecasts say the same: keep one")
    came = _came(forecasts, truth)
    known = np.array([np.isfinite(truth[: origin + 1]).sum() for origin in forecasts.origins])
    least = max(one.least for one in rivals)
    used = (np.isfinite(came) & forecasts.said).any(1) & (known >= least)
    if not used.any():
        raise MethodError(
            f"no forecast can be scored: of {forecasts.origins.size} origins "
            f"{int(np.isfinite(came).any(1).sum())} have a value that came, and {int((known >= least).sum())} the "
            f"{least} past values that naive forecasts take (origins are places in the truth, counted from 0)"
        )
    kept = _rows(forecasts, used)
    came = came[used]
    draw, place = jr.split(key)
    generator = host_generator(draw)
    levels = kept.levels()
    others = tuple(_scored(one.name, _naive(one, kept, truth, generator), kept, came, levels) for one in rivals)
    places = np.where(np.isfinite(came) & kept.said, kept.places(np.nan_to_num(came), host_generator(place)), np.nan)
    ours = _scored(OURS, kept, kept, came, levels)
    return ForecastScores(kept.rule, kept.origins, kept.horizons, ours, others, places, int((~used).sum()))


def _came(forecasts: Forecasts, truth: np.ndarray) -> np.ndarray:
    """What came of each forecast, (o, h); NaN where it has not, or is missing."""
    at = forecasts.origins[:, None] + forecasts.horizons
    return np.where(at < truth.size, truth[np.minimum(at, truth.size - 1)], np.nan)


def _rows(forecasts: Forecasts, used: np.ndarray) -> Forecasts:
    origins, values = forecasts.origins[used], forecasts.values[used]
    if isinstance(forecasts, QuantileForecasts):
        return QuantileForecasts(origins, forecasts.horizons, values, forecasts.probabilities)
    return SampleForecasts(origins, forecasts.horizons, values)


def _naive(one: NaiveForecast, like: Forecasts, truth: np.ndarray, generator: np.random.Generator) -> Forecasts:
    """Its forecasts at the same origins and horizons, as quantiles where those are."""
    samples = np.stack(
        [one.samples(truth[: origin + 1], like.horizons, _SAMPLES, generator) for origin in like.origins]
    )
    drawn = SampleForecasts(like.origins, like.horizons, samples)
    if not isinstance(like, QuantileForecasts):
        return drawn
    return QuantileForecasts(like.origins, like.horizons, drawn.quantiles(like.probabilities), like.probabilities)


def _scored(name: str, one: Forecasts, like: Forecasts, came: np.ndarray, levels: np.ndarray) -> Scored:
    """Scored where the record is."""
    used = np.isfinite(came) & like.said
    y = np.where(used, came, 0.0)

    def held(values: np.ndarray) -> np.ndarray:
        return np.where(used.reshape(used.shape + (1,) * (values.ndim - 2)), values, np.nan)

    log = gaussian_log_score(one.values, y) if isinstance(one, SampleForecasts) else np.full(y.shape, np.nan)
    tails = np.array([[(1 - p) / 2, (1 + p) / 2] for p in _COVERED])
    ends = one.quantiles(tails.ravel()).reshape(*y.shape, len(_COVERED), 2)
    inside = np.where(
        np.isfinite(ends).all(-1), (ends[..., 0] <= y[..., None]) & (y[..., None] <= ends[..., 1]), np.nan
    )
    parts = interval_scores(one.quantiles(levels), levels, y)
    return Scored(name, held(one.score(y)), held(parts), held(log), held(inside))
