"""The test of overidentifying restrictions, with what it is worth: its size on the model itself and its power.

J is the least g' V^-1 g over the combinations of parameters that the moments react to; others stay where they are. Were
the model true, V known and moments Gaussian and nearly linear, it would be chi-squared with k minus the rank of their
derivative as degrees of freedom (Lars Peter Hansen 1982, Econometrica 50, 1029-1054). Whether it is, the model itself
can say: data are made at the fit, many times, and judged as the data are, each with a fit of its own. Their J give the
chance of more (a parametric bootstrap; Peter Hall and Joel Horowitz 1996, Econometrica 64, 891-916, for J), the size of
the test by chi-squared, and, with data made by rivals, its power.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.stats import chi2

from .._errors import MethodError
from .._results import Cell, Code, DensityPanel, Figure, IntervalPanel, Result, Section, Table, Verdict, cell
from .._types import Key
from ..calibration.fit import Fit
from ..calibration.judgement import scales, whitened
from ..calibration.sandwich import LEAST, Linearised, linearised
from ..core.executor import Ticker
from ..core.host import split
from ..core.progress import display
from ..problem.covariance import factor
from ..problem.problem import Problem
from ..problem.simulators import Simulator
from .derivatives import derivatives
from .rank_test import rank_test
from .reached import typical
from .refits import Refits, design, refits

_LEVEL = 0.05
_OFF = 0.02
"""A size that is off its nominal value by more, beyond its error, is said to be."""
_FEWEST = 50
_DIFFERENCE = 0.1
_FIRST, _MANY = 2, 500
"""The first design: so many runs a repetition, and at the least."""
_LOW = 0.5


@dataclass(frozen=True)
class SpecificationTest(Result):
    """J = `statistic` on `freedom` = k - `rank` degrees of freedom; `held`: combinations of parameters that no moment
    reacts to; `asymptotic`, its p by chi-squared; `p`, by simulation. `made`: J of data made by the model at the fit,
    (n,); `rivals`: name to J of data made by each, (m,). `moments` (k,), what each `adds` (k,) to J, and the value that
    the others imply, `implied` (k,), beside the `data` (k,); NaN where a fit without it leaves where runs are.
    `missed`: by how much distances are too large for regression in place of simulation, and its error; `calls`: runs.
    """

    statistic: float
    freedom: int
    rank: int
    held: int
    p: float
    asymptotic: float
    made: np.ndarray
    rivals: dict[str, np.ndarray]
    moments: tuple[str, ...]
    data: np.ndarray
    adds: np.ndarray
    implied: np.ndarray
    missed: tuple[float, float]
    calls: int

    @property
    def critical(self) -> float:
        """What J exceeds in 5 % of the data sets that the model makes."""
        return float(np.quantile(self.made, 1.0 - _LEVEL))

    def size(self, level: float = _LEVEL) -> tuple[float, float]:
        """How often chi-squared rejects the model on data of its own at a nominal level, and the binomial error."""
        return _share(self.made > chi2.isf(level, self.freedom))

    def power(self, name: str) -> tuple[float, float]:
        """How often data of a rival are rejected at 5 %, by the simulated critical value, and the binomial error."""
        return _share(self.rivals[name] > self.critical)

    def verdict(self) -> Verdict:
        """Whether the moments contradict the model, and whether they would show it."""
        numbers = {"J": self.statistic, "freedom": float(self.freedom), "p": self.p, "asymptotic p": self.asymptotic}
        if not self.freedom:
            said = "The moments are as many as the combinations of parameters they react to: nothing is left to test."
            return Verdict("the model", Code.UNJUDGED, said, {})
        n = len(self.made)
        if self.p < _LEVEL:
            worst = int(np.argmax(np.nan_to_num(self.adds)))
            said = (
                f"The model is rejected: J = {self.statistic:.3g}, and of {n} data sets that it made itself "
                f"{100 * self.p:.2g} % lie as far out. Most is due to {self.moments[worst]}: the data say "
                f"{self.data[worst]:.4g}, the other moments imply {self.implied[worst]:.4g}."
            )
            return Verdict("the model", Code.CONTRADICTED, said, numbers)
        said = (
            f"The moments do not contradict the model: J = {self.statistic:.3g}, and of {n} data sets that it made "
            f"itself {100 * self.p:.2g} % lie as far out. {self._worth()}"
        )
        return Verdict("the model", Code.SUPPORTED, said, numbers)

    def _worth(self) -> str:
        """What passing the test is worth."""
        if not self.rivals:
            return "What it would have noticed is not known: name rivals."
        powers = {name: self.power(name)[0] for name in self.rivals}
        words = ", ".join(f"{name} {100 * power:.0f} times" for name, power in powers.items())
        blind = [name for name, power in powers.items() if power < _LOW]
        end = f"; it says little against {', '.join(blind)}" if blind else ""
        return f"Of 100 data sets of a rival it would have rejected: {words}{end}."

    def remarks(self) -> tuple[str, ...]:
        """Sentences on the test itself."""
        if not self.freedom:
            return ()
        size, error = self.size()
        off = abs(size - _LEVEL) > _OFF + 2.0 * error
        how = "is not to be read: take the p by simulation" if off else "may be read"
        said = [
            f"{len(self.moments)} moments react to {self.rank} combinations of parameters ({self.held} held where they "
            f"are): {self.freedom} degrees of freedom. On data of the model itself chi-squared at a nominal 5 % "
            f"rejects {100 * size:.1f} % (error {100 * error:.1f}): its p = {self.asymptotic:.2g} {how}.",
            f"Fresh runs where the fits ended put the distances off by {self.missed[0]:+.2g} (error "
            f"{self.missed[1]:.2g}) on average, for the regression in place of simulation.",
        ]
        return tuple(said)

    def sections(self) -> tuple[Section, ...]:
        verdict = self.verdict()
        if not self.freedom:
            return (Section("Specification test", (), (verdict,)),)
        return (Section("Specification test", self.remarks(), (verdict,), self._figures(), self._tables()),)

    def _figures(self) -> tuple[Figure, ...]:
        samples = {"the model": self.made, **self.rivals}
        most = 3.0 * max(float(np.quantile(self.made, 0.99)), self.statistic)
        shown = {name: one[one < most] for name, one in samples.items() if (one < most).mean() > _LEVEL}
        beyond = [name for name in samples if name not in shown]
        note = f"Beyond the axis: {', '.join(beyond)}." if beyond else ""
        marks = {"the data": self.statistic, "5 % of the model beyond": self.critical}
        panel = DensityPanel("J, by who made the data", "J", shown, marks=marks, note=note)
        zero = np.zeros(len(self.moments))
        rest = IntervalPanel(
            "What each moment adds to J",
            "J less J without it",
            self.moments,
            self.adds,
            np.where(np.isfinite(self.adds), np.minimum(zero, self.adds), np.nan),
            np.where(np.isfinite(self.adds), np.maximum(zero, self.adds), np.nan),
            tuple(bool(x > chi2.isf(_LEVEL, 1)) for x in self.adds),
            reference=float(chi2.isf(_LEVEL, 1)),
            note="Beyond the line a moment does not fit the others (chi-squared, 1 degree of freedom, 5 %).",
        )
        caption = "J of the data among the J of data made by the model and by rivals, each judged as the data are."
        return (
            Figure("specification", caption, (panel,)),
            Figure("specification_moments", "J without a moment is refitted without it.", (rest,)),
        )

    def _tables(self) -> tuple[Table, ...]:
        rows: list[tuple[Cell, ...]] = [
            (name, *(cell(x[i]) for x in (self.data, self.implied, self.adds, chi2.sf(self.adds, 1))))
            for i, name in enumerate(self.moments)
        ]
        columns = ("moment", "data", "implied by the others", "adds to J", "p")
        note = "p: by chi-squared, 1 degree of freedom. Empty where the fit without the moment leaves where runs are."
        tables = [Table("Moments", columns, tuple(rows), note)]
        if self.rivals:
            lines: list[tuple[Cell, ...]] = []
            for name, one in self.rivals.items():
                wide = _share(one > chi2.isf(_LEVEL, self.freedom))
                lines.append((name, len(one), float(np.median(one)), *self.power(name), wide[0]))
            heads = ("rival", "data sets", "median J", "power", "its error", "by chi-squared")
            note = "Power: the share rejected at 5 %, by the critical value that the model's own data give."
            tables.append(Table("Power", heads, tuple(lines), note))
        return tuple(tables)

    def record(self) -> dict[str, Any]:
        size = self.size() if self.freedom else None
        return {
            "J": self.statistic,
            "freedom": self.freedom,
            "rank": self.rank,
            "p": self.p if self.freedom else None,
            "asymptotic p": self.asymptotic if self.freedom else None,
            "size": None if size is None else {"share": size[0], "error": size[1]},
            "critical": self.critical,
            "power": {name: dict(zip(("share", "error"), self.power(name), strict=True)) for name in self.rivals},
            "adds": {name: cell(x) for name, x in zip(self.moments, self.adds, strict=True)},
            "missed": list(self.missed),
            "verdict": self.verdict().record(),
        }


def specification_test(
    problem: Problem,
    fit: Fit | Mapping[str, Any],
    key: Key,
    *,
    repetitions: int = 1_000,
    rivals: Mapping[str, Simulator] | None = None,
    replicates: int = 100,
    waves: int = 3,
    progress: bool | Progress | None = None,
) -> SpecificationTest:
    """Hansen's test of a fitted model, with its size on the model itself and its power against rivals, for any
    simulator: (1 + 4 d) x replicates runs, repetitions x (waves + 4) for the model, and x (waves + 2) for each rival.

    **Arguments:** `fit`: a fit of the problem, or a point, parameter name to value; `repetitions`: data sets made at
    the fit, and by each rival; `rivals`: name to a simulator that needs no parameters (a model with values of its own
    bound) and makes the same series; `replicates`: of the runs that the rank is found from; `waves`: how often runs are
    added where the fits end.

    The target's covariance is kept: where the model's own moments vary otherwise, or are not Gaussian, the simulated p
    knows it and chi-squared does not.

    **Raises:** `MethodError` without a covariance, or with too few repetitions or usable runs.
    """
    k = len(problem.target.labels)
    whitened(problem, np.zeros((1, k)))
    if repetitions < _FEWEST or waves < 1:
        raise MethodError(f"take {_FEWEST} repetitions and a wave at the least")
    space = problem.space
    at = _point(problem, fit)
    centre = np.asarray(space.to_real(at), np.float64)[0]
    spread, d = scales(space)[1], space.size
    keys = jr.split(key, 3 + len(rivals or {}))
    with display(progress) as shown:
        sides = 1 + len(rivals or {})
        total = (1 + 4 * d) * replicates + repetitions * (_FIRST + (waves + 2) * sides)
        ticker = Ticker(shown, "specification test", total)
        found = derivatives(problem, keys[0], centre, spread, np.eye(d), np.full(d, _DIFFERENCE), replicates, ticker)
        near = linearised(found)
        rank = _rank(near, found[:, :, :-1])
        sets = {"": _made(problem, problem.simulator, _repeated(at, repetitions), keys[1], repetitions, ticker)}
        for i, (name, rival) in enumerate((rivals or {}).items()):
            sets[name] = _made(problem, rival, {}, keys[3 + i], repetitions, ticker)
        start = design(problem, near, rank, centre, spread, max(_FIRST * repetitions, _MANY), keys[2], ticker)
        mine = np.concatenate([np.zeros((1, found.shape[1])), sets.pop("")])
        fits = refits(start, mine, jr.fold_in(keys[2], 2), waves, ticker)
        others = {
            name: refits(start, one, jr.fold_in(keys[3 + i], 1), waves, ticker)
            for i, (name, one) in enumerate(sets.items())
        }
    sums = sum(one.calls + len(one.wanted) for one in (fits, *others.values()))
    calls = len(found) * (1 + 4 * d) + len(start.y) + sums
    return _tested(problem, fits, rank, others, calls - 1)


def _tested(problem: Problem, fits: Refits, rank: int, others: dict[str, Refits], calls: int) -> SpecificationTest:
    """The result, of fits of which the first is to the data."""
    target = problem.target
    use = np.flatnonzero(target.fitted)
    labels = tuple(target.labels[i] for i in use)
    assert target.covariance is not None
    lower = factor(target.covariance[np.ix_(use, use)], labels)
    freedom, statistic = max(use.size - rank, 0), float(fits.distances[0])
    made = fits.distances[1:]
    adds, implied = np.zeros(use.size), np.zeros(use.size)
    for i in range(use.size):
        unit = np.linalg.solve(lower, np.eye(use.size)[i])
        less, gap = fits.without(unit)
        adds[i], implied[i] = statistic - less, target.values[use[i]] + lower[i] @ gap
    p = (1.0 + float((made >= statistic).sum())) / (1.0 + len(made))
    asymptotic = float(chi2.sf(statistic, freedom)) if freedom else float("nan")
    return SpecificationTest(
        statistic,
        freedom,
        rank,
        problem.space.size - rank,
        p,
        asymptotic,
        made,
        {name: one.distances for name, one in others.items()},
        labels,
        target.values[use],
        adds,
        implied,
        fits.missed,
        calls,
    )


def _rank(near: Linearised, slopes: np.ndarray) -> int:
    """To how many combinations moments react: by the rank test, but for those known to more than ten prior spreads."""
    tested = rank_test(slopes).rank
    return near.rank if tested is None else min(tested, int((near.squares > LEAST).sum()))


def _point(problem: Problem, fit: Fit | Mapping[str, Any]) -> dict[str, Any]:
    """One parameter set, a batch of one: the draw in the middle of a fit."""
    if isinstance(fit, Fit):
        if problem.space.labels != fit.problem.space.labels or problem.target.labels != fit.problem.target.labels:
            raise MethodError("this fit is of another problem: its parameters or moments differ")
        middle = typical(fit)
        return {name: jnp.asarray(value, jnp.float32)[middle][None] for name, value in fit.draws.items()}
    return {name: jnp.asarray(value, jnp.float32)[None] for name, value in fit.items()}


def _repeated(at: Mapping[str, Any], count: int) -> dict[str, Any]:
    return {name: jnp.repeat(value, count, axis=0) for name, value in at.items()}


def _made(
    problem: Problem, simulator: Simulator, at: dict[str, Any], key: Key, count: int, ticker: Ticker
) -> np.ndarray:
    """Data sets (n, k) that a simulator makes, as gaps to the data in independent units; those of which the fitted
    moments are defined.
    """
    batch = simulator.simulate(at, split(key, count), ticker)
    moments = np.asarray(problem.target.summarise(batch.observations), np.float64)
    sound = ~batch.excluded & np.isfinite(moments[:, problem.target.fitted]).all(1)
    if sound.sum() < _FEWEST:
        raise MethodError(f"only {int(sound.sum())} of {count} data sets can be compared: look at what the model makes")
    return whitened(problem, moments[sound])


def _share(yes: np.ndarray) -> tuple[float, float]:
    """A share and its binomial error."""
    share = float(yes.mean())
    return share, float(np.sqrt(share * (1.0 - share) / yes.size))
