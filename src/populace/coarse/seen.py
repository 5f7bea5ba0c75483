"""Which parameters of a model the equation of its mean can see, and which it cannot.

The same choice of terms is learned at several values of a parameter. Where its coefficients do not move beyond their
errors (Cochran's Q, chi-square with (values - 1) x coefficients degrees of freedom), the equation says nothing of that
parameter, and no series of the mean can calibrate it. Herding (Kirman 1993) is the known case: its strength moves the
fluctuations of the mean, and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from scipy import stats

from .._errors import MethodError, UnknownParameterError, did_you_mean
from .._results import Band, BandPanel, Code, Figure, Result, Section, Table, Verdict
from .._types import Key
from ..core.ensemble import ensemble
from ..core.model import Model, bind, parameters
from ..core.noise import host_generator
from .candidates import Candidates, candidates
from .series import MeanSeries

_LEVEL = 0.01


@dataclass(frozen=True)
class Sight:
    """What became of the equation as one parameter moved.

    `values` (v,); `coefficients`, `errors` (v, k); `statistic`, `freedom`, `p`: of the coefficients being the same for
    all values; `moved` (k,): the p-value of each alone; `spread` (v,): the standard deviation between runs, over all
    times; `spread_p`: of that being the same for all values.
    """

    values: np.ndarray
    coefficients: np.ndarray
    errors: np.ndarray
    statistic: float
    freedom: int
    p: float
    moved: np.ndarray
    spread: np.ndarray
    spread_p: float


@dataclass(frozen=True)
class Seen(Result):
    """`terms` (k,): the terms of the equation, simplest of those that fit everywhere; `of`: parameter to `Sight`."""

    terms: tuple[str, ...]
    variables: tuple[str, ...]
    of: dict[str, Sight]

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Of each parameter: seen by the equation, or not."""
        return {name: self._verdict(name, sight) for name, sight in self.of.items()}

    def _verdict(self, name: str, sight: Sight) -> Verdict:
        mean = f"the mean of {', '.join(self.variables)}"
        low, high = sight.values.min(), sight.values.max()
        numbers = {"statistic": sight.statistic, "p": sight.p, "spread_p": sight.spread_p}
        test = f"chi-square {sight.statistic:.3g} with {sight.freedom} degrees of freedom"
        if sight.p < _LEVEL:
            which = [t for t, p in zip(self.terms, sight.moved, strict=True) if p < _LEVEL / len(self.terms)]
            moved = f"it moves the coefficient of {', '.join(which)}" if which else "it moves coefficients together"
            sentence = f"{name} is seen by {mean}: from {low:g} to {high:g} {moved} ({test})."
            return Verdict(name, Code.IDENTIFIED, sentence, numbers)
        order = np.argsort(sight.values)
        first, last = sight.spread[order[[0, -1]]]
        effect = (
            f"its effect is in the fluctuations, which go from {first:.3g} to {last:.3g} between runs"
            if sight.spread_p < _LEVEL
            else "nor do fluctuations between runs react"
        )
        sentence = (
            f"{name} is not seen by {mean}: the same equation came back for every value from {low:g} to {high:g} "
            f"({test}); {effect}."
        )
        return Verdict(name, Code.NOT_IDENTIFIED, sentence, numbers)

    def __str__(self) -> str:
        return "\n".join(verdict.sentence for verdict in self.verdicts.values())

    def sections(self) -> tuple[Section, ...]:
        rows = []
        for name, sight in self.of.items():
            for i, value in enumerate(sight.values):
                numbers = [f"{c:.4g} ({e:.1g})" for c, e in zip(sight.coefficients[i], sight.errors[i], strict=True)]
                rows.append((name, float(value), *numbers, float(sight.spread[i])))
        columns = ("parameter", "value", *self.terms, "spread between runs")
        note = "Coefficients with standard errors in brackets; the spread is a standard deviation over all times."
        table = Table("The equation at each value", columns, tuple(rows), note)
        panels = tuple(self._panel(name, sight) for name, sight in self.of.items())
        figure = Figure("seen", "Each coefficient over its own mean, as one parameter moves; 95 % intervals.", panels)
        text = (f"The equation: {' + '.join(f'c {term}' for term in self.terms)}, coefficients learned at each value.",)
        return (Section("What the equation sees", text, tuple(self.verdicts.values()), (figure,), (table,)),)

    def _panel(self, name: str, sight: Sight) -> BandPanel:
        order = np.argsort(sight.values)
        bands = []
        for j, term in enumerate(self.terms):
            size = sight.coefficients[:, j].mean()
            middle, error = sight.coefficients[order, j] / size, sight.errors[order, j] / abs(size)
            ends = (middle - 1.96 * error, middle + 1.96 * error)
            bands.append(Band(term, sight.values[order], middle, {0.95: ends}, "estimate"))
        return BandPanel(f"As {name} moves", name, "coefficient over its mean", tuple(bands))

    def record(self) -> dict[str, Any]:
        return {
            "terms": list(self.terms),
            "verdicts": {name: verdict.record() for name, verdict in self.verdicts.items()},
            "coefficients": {
                name: {"values": s.values.tolist(), "is": s.coefficients.tolist(), "errors": s.errors.tolist()}
                for name, s in self.of.items()
            },
        }


def seen_by_equation(
    model: Model,
    values: Mapping[str, Sequence[float]],
    key: Key,
    *,
    variables: Sequence[str],
    steps: int,
    runs: int = 200,
    interval: float = 1.0,
    start: Mapping[str, float] | None = None,
    degree: int = 2,
    zero: bool = False,
) -> Seen:
    """Learn the equation of the mean at several values of each parameter, one parameter at a time.

    **Arguments:**

    - `values`: scalar parameter to two values or more; the others stay as the model has them.
    - `variables`, `interval`, `start`: as in `MeanSeries.of`; the parameters must not move the start.
    - `steps`, `runs`: of each ensemble. Every value has its own random numbers.
    - `degree`, `zero`: as in `learn_equation`.

    **Raises:** `UnknownParameterError`, `MethodError`.
    """
    known = parameters(model)
    for name, wanted in values.items():
        if name not in known:
            raise UnknownParameterError(f"no parameter '{name}'; {did_you_mean(name, list(known))}")
        if len(set(wanted)) < 2:
            raise MethodError(f"'{name}': what is to be seen needs two values or more")
    settings = [(name, float(value)) for name, wanted in values.items() for value in dict.fromkeys(wanted)]
    shuffled = host_generator(jr.fold_in(key, 0)).permutation(runs)
    series = []
    for i, (name, value) in enumerate(settings):
        made = ensemble(bind(model, {name: value}), jr.fold_in(key, i + 1), steps, runs=runs, progress=False)
        series.append(MeanSeries.of(made, variables, interval=interval, start=start))
    return compared(settings, [candidates(one, shuffled, degree=degree, zero=zero) for one in series], shuffled)


def compared(settings: list[tuple[str, float]], found: list[Candidates], shuffled: np.ndarray) -> Seen:
    """From candidates at each setting to what is seen."""
    common = _common(found)
    found = [
        candidates(one.series, shuffled, degree=int(one.library.degrees.max()), zero=False, masks=common[None])
        for one in found
    ]
    library = found[0].library
    many = len(library.names) > 1
    terms = tuple(
        f"{library.labels[t]} in d{library.names[i]}/dt" if many else library.labels[t] for i, t in np.argwhere(common)
    )
    of = {}
    for name in dict.fromkeys(name for name, _ in settings):
        mine = [(value, one) for (which, value), one in zip(settings, found, strict=True) if which == name]
        of[name] = _sight(np.array([value for value, _ in mine]), [one for _, one in mine])
    return Seen(terms, library.names, of)


def _common(found: list[Candidates]) -> np.ndarray:
    """The choice of terms that ties at most settings; of those the one with the fewest terms, then the best."""
    table: dict[bytes, list] = {}
    for one in found:
        best = one.held_out.mean(1).min()
        for b, mask in enumerate(one.masks):
            row = table.setdefault(mask.tobytes(), [mask, 0, 0.0])
            row[1] += int(one.tied[b])
            row[2] += float(np.log(one.held_out[b].mean() / best))
    return min(table.values(), key=lambda row: (-row[1], row[0].sum(), row[2]))[0]


def _sight(values: np.ndarray, found: list[Candidates]) -> Sight:
    mask = found[0].masks[0].ravel()
    numbers = np.array([one.fitted.numbers[0, : mask.size][mask] for one in found])
    covariances = np.array([one.covariance(0) for one in found])
    statistic, freedom = _apart(numbers, covariances)
    alone = [_apart(numbers[:, j : j + 1], covariances[:, j : j + 1, j : j + 1]) for j in range(numbers.shape[1])]
    spreads = [_spread(one.series) for one in found]
    logs = np.array([[np.log(s)] for s, _ in spreads])
    fluctuations = _apart(logs, np.array([[[e**2]] for _, e in spreads]))
    return Sight(
        values,
        numbers,
        np.sqrt(np.diagonal(covariances, axis1=1, axis2=2)),
        statistic,
        freedom,
        float(stats.chi2.sf(statistic, freedom)),
        np.array([stats.chi2.sf(q, f) for q, f in alone]),
        np.array([s for s, _ in spreads]),
        float(stats.chi2.sf(*fluctuations)),
    )


def _apart(numbers: np.ndarray, covariances: np.ndarray) -> tuple[float, int]:
    """Cochran's Q of numbers (v, k) with covariances (v, k, k), and its degrees of freedom."""
    weights = np.linalg.pinv(covariances, hermitian=True)
    centre = np.linalg.pinv(weights.sum(0), hermitian=True) @ np.einsum("vij,vj->i", weights, numbers)
    off = numbers - centre
    return float(np.einsum("vi,vij,vj->", off, weights, off)), (len(numbers) - 1) * numbers.shape[1]


def _spread(series: MeanSeries) -> tuple[float, float]:
    """The standard deviation between runs over all times, and the error of its logarithm, from the runs."""
    off = ((series.array - series.mean) ** 2).mean((1, 2))
    variance = off.sum() / (len(off) - 1)
    return float(np.sqrt(variance)), float(0.5 * off.std(ddof=1) / np.sqrt(len(off)) / off.mean())
