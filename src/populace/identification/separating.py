"""The verb `separating`: what to measure, how often, and under which intervention, to tell rivals apart.

An experiment is worth what it says of which rival is true: its expected information gain I(model; result), with rivals
equally likely and each at its posterior (Dennis Lindley 1956, Annals of Mathematical Statistics 27:986). A classifier
of simulated results bounds it from below, I >= H + E log q(model | result), on results that it has not seen (David
Barber and Felix Agakov 2003; Adam Foster and others 2019, arXiv:1903.05480), so that no likelihood is needed. What is
learned by repeats of an experiment is their mean and spread, at the same parameters.

An experiment separates the rivals when the log-odds that it is expected to give for the true one, against the strongest
of the others, exceed those of 10 : 1 whichever is true, beyond two standard errors; where many experiments are tried,
beyond as many as keep the chance that one of all passes by luck (Carlo Bonferroni 1936). An experiment is a new run of
the world, also where it is seen as the data were: what the data in hand say of a moment, `compare` says when the moment
is among those fitted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from .._errors import MethodError, SimulatorError
from .._results import Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from .._types import Key, Parameters
from ..calibration.fit import Fit
from ..core.executor import Ticker
from ..core.host import split
from ..core.plug import Plug
from ..core.progress import display
from ..problem.moment import Moment
from ..problem.plugged import before
from ..problem.simulators import Simulator
from .compare import Comparison
from .logistic import logistic
from .weighing import STRONG

Intervention: TypeAlias = tuple[Plug, ...] | Callable[[Simulator], Simulator]
"""Plugs around the sites of every rival, or what makes another simulator of each: longer, larger, seen otherwise."""

AS_OBSERVED = "as observed"
_LEAST = 50
"""Results of each rival that a classifier takes."""
_SHOWN = 20


@dataclass(frozen=True)
class Experiment:
    """A moment, seen `repeats` times under an intervention, and what it is expected to say.

    `information` in bits and its standard error `error`; `odds`: the expected log-odds for the true rival, of the rival
    for which they are least, and their standard error `odds_error`; `decisive`: how often they exceed 10 : 1, of the
    rival of which they do so least; `cost`; `lost`: the share of results in which the moment was not defined; `sure`:
    standard errors that are asked for.
    """

    moment: str
    intervention: str
    repeats: int
    information: float
    error: float
    odds: float
    odds_error: float
    decisive: float
    cost: float
    lost: float
    sure: float

    @property
    def separates(self) -> bool:
        """Whether the rivals may be expected to be told apart."""
        return self.odds - self.sure * self.odds_error > STRONG

    def text(self) -> str:
        """In words."""
        where = "" if self.intervention == AS_OBSERVED else f" under '{self.intervention}'"
        return f"{self.moment} of {self.repeats if self.repeats > 1 else 'a'} new run{'s' * (self.repeats > 1)}{where}"


@dataclass(frozen=True)
class Separation(Result):
    """Experiments by what they say per cost; `rivals`: between whom they are to decide."""

    rivals: tuple[str, ...]
    experiments: tuple[Experiment, ...]

    @property
    def cheapest(self) -> Experiment | None:
        """The cheapest experiment that separates; of equally cheap ones that with the larger odds."""
        good = [one for one in self.experiments if one.separates]
        return min(good, key=lambda one: (one.cost, -one.odds)) if good else None

    def verdict(self) -> Verdict:
        """What separates them, or that nothing offered does."""
        names, one = " and ".join(self.rivals), self.cheapest
        if one is None:
            best = max(self.experiments, key=lambda e: e.odds)
            text = (
                f"Nothing that was offered separates {names}: the most telling is {best.text()}, with expected odds of "
                f"{np.exp(best.odds):.2g} : 1 for the true one."
            )
            return Verdict(names, Code.NOTHING_SEPARATES, text, _numbers(best))
        text = (
            f"{one.text()} separates {names}: it is expected to give the true one odds of {_shown(one.odds)} : 1 or "
            f"more ({one.information:.2g} of {np.log2(len(self.rivals)):.2g} bits), in {100 * one.decisive:.0f} % of "
            f"such data beyond 10 : 1, at a cost of {one.cost:g}."
        )
        return Verdict(names, Code.SEPARATES, text, _numbers(one))

    def sections(self) -> tuple[Section, ...]:
        rows = tuple(
            (e.moment, e.intervention, e.repeats, e.information, e.error, e.odds / float(np.log(10.0)), e.decisive,
             e.cost, e.information / e.cost, "yes" if e.separates else "no", e.lost)
            for e in self.experiments
        )  # fmt: skip
        columns = (
            "moment", "intervention", "repeats", "bits", "error", "log10 odds for the true one",
            "beyond 10 : 1", "cost", "bits per cost", "separates", "not defined",
        )  # fmt: skip
        note = (
            "Bits: expected information on which rival is true, a lower bound. Odds: expected, whichever is true. "
            "Beyond 10 : 1: how often, whichever is true. Separates: expected odds beyond 10 : 1 by "
            f"{max(e.sure for e in self.experiments):.2g} standard errors, since {len(self.experiments)} were tried."
        )
        shown = self.experiments[:_SHOWN]
        bits, errors = (np.array([getattr(e, name) for e in shown]) for name in ("information", "error"))
        panel = IntervalPanel(
            "Expected information", "bits", tuple(e.text() for e in shown), bits, bits - 2 * errors, bits + 2 * errors,
            tuple(e.separates for e in shown), 0.0, "Bars are two standard errors; emphasised rows separate.",
        )  # fmt: skip
        figure = Figure("information", "What each experiment is expected to say of which rival is true.", (panel,))
        table = Table("Experiments", columns, rows, note)
        return (Section("What would tell them apart", (), (self.verdict(),), (figure,), (table,)),)

    def record(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict().record(),
            "experiments": [
                {
                    "moment": e.moment,
                    "intervention": e.intervention,
                    "repeats": e.repeats,
                    "cost": e.cost,
                    **_numbers(e),
                }
                for e in self.experiments
            ],
        }


def separating(
    found: Comparison,
    key: Key,
    *,
    moments: Sequence[Moment],
    interventions: Mapping[str, Intervention] | None = None,
    repeats: Sequence[int] = (1,),
    costs: Mapping[str, float] | None = None,
    draws: int = 400,
    progress: bool | Progress | None = None,
) -> Separation:
    """Search for the cheapest experiment that separates rivals which the data do not tell apart.

    **Arguments:** `found`: of whose tied rivals; where one is left, of all. `moments`: what may be measured, each by
    itself, of any series that all of them observe; `interventions`: under which, besides as the data were observed:
    name to plugs, or to a function from each rival's simulator to another, such as that of a larger population;
    `repeats`: how many independent runs of the same parameters are seen; `costs`: of a moment or intervention by its
    name, 1 for a moment and 0 for an intervention that is not listed; an experiment costs their sum times the
    repeats. `draws`: parameters of each rival's posterior, with as many runs each as the most repeats.

    **Raises:** `MethodError` for no moments, or too few results in which one is defined; `SimulatorError` for a series
    that a rival does not observe; `UnknownSiteError` for plugs at no site.
    """
    names = found.tied() if len(found.tied()) > 1 else tuple(found.fits)
    if not moments or min(repeats, default=0) < 1 or draws < 2 * _LEAST:
        raise MethodError(f"give moments to choose from, repeats of 1 or more, and {2 * _LEAST} draws or more")
    fits, most = {name: found.fits[name] for name in names}, max(repeats)
    settings: dict[str, Intervention] = {AS_OBSERVED: (), **(interventions or {})}
    results, counts = [], sorted(set(repeats))
    tried = len(settings) * len(moments) * len(counts)
    with display(progress) as shown:
        ticker = Ticker(shown, "experiments", draws * most * len(fits) * len(settings))
        for i, (name, setting) in enumerate(settings.items()):
            here = jr.fold_in(key, i)
            seen = {
                rival: _simulated(fit, setting, jr.fold_in(here, j), draws, most, ticker)
                for j, (rival, fit) in enumerate(fits.items())
            }
            for moment in moments:
                values = [_values(moment, rival, one) for rival, one in seen.items()]
                for n in counts:
                    rows = [_repeated(one.reshape(draws, most, -1)[:, :n]) for one in values]
                    cost = n * ((costs or {}).get(moment.name, 1.0) + (costs or {}).get(name, 0.0))
                    results.append(_judged(moment.name, name, n, rows, cost, tried, jr.fold_in(here, 1000 + n)))
    results.sort(key=lambda e: -e.information / e.cost)
    return Separation(names, tuple(results))


def _simulated(
    fit: Fit, setting: Intervention, key: Key, draws: int, most: int, ticker: Ticker
) -> dict[str, np.ndarray]:
    """Observations of `most` runs, one behind the other, at each of `draws` posterior draws; NaN where one failed."""
    pick, run = jr.split(key)
    real = np.repeat(fit.estimate.draws(fit.problem, pick, draws), most, axis=0)
    batch: Parameters = fit.problem.space.from_real(real)
    simulator = fit.problem.simulator
    if callable(setting):
        simulator = setting(simulator)
    elif setting:
        simulator, batch = before(simulator, setting, batch)
    out = simulator.simulate(batch, split(run, len(real)), ticker)
    failed = np.asarray(out.excluded)
    return {
        name: np.where(failed.reshape((-1,) + (1,) * (np.ndim(v) - 1)), np.nan, np.asarray(v, np.float32))
        for name, v in out.observations.items()
    }


def _values(moment: Moment, rival: str, seen: Mapping[str, np.ndarray]) -> np.ndarray:
    """A moment of each run, (runs, k)."""
    absent = [name for name in moment.series() if name not in seen]
    if absent:
        raise SimulatorError(f"'{rival}' observes no '{absent[0]}', which {moment.name} reads")
    batch = {name: jnp.asarray(seen[name]) for name in moment.series()}
    return np.asarray(_vectorised(moment)(batch), np.float64).reshape(len(next(iter(batch.values()))), -1)


def _vectorised(moment: Moment) -> Callable[[Parameters], jax.Array]:
    return jax.jit(jax.vmap(lambda one: jnp.ravel(moment(one))))


def _repeated(values: np.ndarray) -> np.ndarray:
    """Repeats (draws, n, k) as what is learned of them: the value, the mean, or, from three on, mean and logarithm of
    the spread.
    """
    if values.shape[1] < 3:
        return values.mean(1)
    spread = values.std(1, ddof=1)
    floor = 1e-3 * np.nanmax(np.abs(spread), axis=0) + 1e-30
    return np.concatenate([values.mean(1), np.log(np.maximum(spread, floor))], axis=1)


def _judged(moment: str, setting: str, n: int, rows: list[np.ndarray], cost: float, tried: int, key: Key) -> Experiment:
    """What a classifier of results, on ranks of all rivals together, says of those that it has not seen."""
    good = [part[np.isfinite(part).all(1)] for part in rows]
    lost = 1.0 - sum(map(len, good)) / sum(map(len, rows))
    if min(map(len, good)) < _LEAST:
        raise MethodError(
            f"{moment} is defined in {min(map(len, good))} results of a rival under '{setting}': a classifier takes "
            f"{_LEAST}; give more draws, or another moment"
        )
    classes = np.repeat(np.arange(len(good)), [len(part) for part in good])
    both = np.concatenate(good)
    scores = ndtri((rankdata(both, axis=0) - 0.5) / len(both))
    said = logistic(scores, classes, key).left_out
    own = said[np.arange(len(both)), classes]
    others = said.copy()
    others[np.arange(len(both)), classes] = -np.inf
    odds, bits = own - others.max(1), (np.log(len(good)) + own) / np.log(2.0)
    each = [(float(odds[classes == c].mean()), _error(odds[classes == c])) for c in range(len(good))]
    gain = [(float(bits[classes == c].mean()), _error(bits[classes == c])) for c in range(len(good))]
    least, least_error = min(each)
    information = max(float(np.mean([g for g, _ in gain])), 0.0)
    error = float(np.sqrt(sum(e**2 for _, e in gain)) / len(gain))
    decisive = min(float((odds[classes == c] > STRONG).mean()) for c in range(len(good)))
    sure = float(-ndtri(ndtr(-2.0) / tried))
    return Experiment(moment, setting, n, information, error, least, least_error, decisive, cost, lost, sure)


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _numbers(one: Experiment) -> dict[str, float]:
    return {
        "bits": one.information, "error": one.error, "log odds": one.odds, "log odds error": one.odds_error,
        "decisive": one.decisive,
    }  # fmt: skip


def _shown(odds: float) -> str:
    return f"{np.exp(odds):.2g}" if odds < np.log(1e4) else f"10^{odds / np.log(10.0):.0f}"
