"""Whether a posterior is right at these data, and not only on average over the prior's: a local two-sample test.

Julia Linhart, Alexandre Gramfort and Pedro Rodrigues (2023), Advances in Neural Information Processing Systems 36,
arXiv:2306.03580. Data sets whose truth is known give pairs of parameters and data, and what a posterior said of the
same data gives others. A classifier learns to tell them apart, and is read off at the data that matter: for the draws q
of a posterior there, its odds estimate p / q, the true posterior over what is said to be. If q is right it finds
nothing but chance; what chance finds, classifiers tell that learned with a draw of each data set in its truth's place.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._errors import MethodError
from .._results import Band, BandPanel, Code, Figure, Points, Result, Section, Table, Verdict
from .._types import Key
from ..core.noise import host_generator
from ..problem.problem import Problem
from ..surrogates import networks, training
from ..surrogates.basis import Basis
from ..surrogates.conditional import Line, Squashed
from ..surrogates.networks import Weights
from ..surrogates.reach import reach
from ..surrogates.runs import Runs
from .checks import Calibration, unit_of
from .estimates import Estimate
from .regions import Scale

_SIZE = 0.05
_AMONG = 3
"""Draws of a data set that a classifier sees with its truth."""
_LOOKED = 1_000
"""Draws at the data of interest."""
_BINS = 8
_FEWEST, _FEWEST_NULLS = 100, 20
_WIDTH, _STEPS, _BATCH = 24, 400, 64


@dataclass(frozen=True)
class LocalCalibration(Result):
    """What the draws of a posterior at some data lack, by a classifier (first) and by R others that learned of chance.

    `statistics` (1 + R,): the mean square of the classifier's probability of the truth, less one half; `shifts`,
    `widths` (1 + R, d): by how many of its standard deviations, and by what factor, its odds would move and widen the
    posterior; `middles` (bins, d), `odds` (1 + R, bins, d): their mean logarithm where draws of a parameter lie;
    `within`: whether the data lie where data sets do.
    """

    labels: tuple[str, ...]
    datasets: int
    statistics: np.ndarray
    shifts: np.ndarray
    widths: np.ndarray
    middles: np.ndarray
    odds: np.ndarray
    within: Verdict

    @property
    def p(self) -> float:
        """The chance of so large a statistic, were the posterior right."""
        return float((self.statistics >= self.statistics[0]).mean())

    def verdict(self) -> Verdict:
        """Calibrated here, not the posterior, or not judged."""
        numbers = {"p": self.p, "statistic": float(self.statistics[0])}
        subject, told = "the posterior at these data", f"p = {self.p:.2g}, {self.datasets} data sets"
        if self.within.code is Code.OUT_OF_REACH:
            why = "the data lie where no data set does, and a classifier asked there invents"
            return Verdict(subject, Code.UNJUDGED, f"Not judged: {why}.", numbers)
        if self.p > _SIZE:
            found = f"its draws cannot be told from parameters that make such data ({told})"
            return Verdict(subject, Code.CALIBRATED, f"Nothing found: {found}.", numbers)
        parts = [part for i in range(len(self.labels)) for part in self._lacks(i)]
        how = f": {'; '.join(parts)}" if parts else ", in no way that one parameter alone shows"
        return Verdict(subject, Code.NOT_POSTERIOR, f"Wrong at these data ({told}){how}.", numbers)

    def _lacks(self, i: int) -> list[str]:
        """What is said of one parameter, where chance seldom finds as much."""
        label, shift, width = self.labels[i], self.shifts[:, i], np.log(self.widths[:, i])
        parts = []
        if _rare(shift):
            parts.append(
                f"{label} should lie {abs(shift[0]):.2g} of its spread {'higher' if shift[0] > 0 else 'lower'}"
            )
        if _rare(width):
            much = np.exp(abs(width[0]))
            parts.append(f"{label} should be {much:.2g} times as {'wide, or more' if width[0] > 0 else 'narrow'}")
        return parts

    def sections(self) -> tuple[Section, ...]:
        figure = Figure(
            "local calibration",
            "The classifier's odds of the truth against the posterior's draws at these data, by where these lie: "
            "above 0 there is too little of the posterior, below 0 too much. Bands hold what classifiers find that "
            "learned of chance, each bin alone in 95 of 100.",
            tuple(self._panel(i) for i in range(len(self.labels))),
        )
        rows = tuple(
            (label, float(self.shifts[0, i]), _share(self.shifts[:, i]), float(self.widths[0, i]), _share(width))
            for i, (label, width) in enumerate(zip(self.labels, np.log(self.widths).T, strict=True))
        )
        columns = ("parameter", "shift (spreads)", "p of shift", "width (times)", "p of width")
        table = Table("What the odds would do to the posterior", columns, rows, "A first look: the odds are learned.")
        return (Section("At these data", (), (self.verdict(), self.within), (figure,), (table,)),)

    def _panel(self, i: int) -> BandPanel:
        low, high = np.quantile(self.odds[1:, :, i], [0.025, 0.975], axis=0)
        x = self.middles[:, i]
        band = Band("chance", x, 0.0 * x, {0.95: (low, high)}, "nothing")
        return BandPanel(self.labels[i], self.labels[i], "log odds", (band,), (Points("found", x, self.odds[0, :, i]),))

    def record(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict().record(),
            "within": self.within.record(),
            "datasets": self.datasets,
            "shift": dict(zip(self.labels, self.shifts[0].tolist(), strict=True)),
            "width": dict(zip(self.labels, self.widths[0].tolist(), strict=True)),
        }


def local_calibration(
    problem: Problem, estimate: Estimate, checked: Calibration, key: Key, *, nulls: int = 100
) -> LocalCalibration:
    """Whether an estimate's draws at a problem's data are the posterior's there.

    **Arguments:** `checked`: what `simulation_based_calibration` or `amortised_calibration` found for the method:
    nothing is fitted or simulated anew; it takes a few hundred data sets to find what is wrong at some of them only;
    `nulls`: classifiers that learn of chance.

    **Raises:** `MethodError` for fewer than 100 data sets or 20 nulls, or for an estimate of other data.
    """
    trials = checked.trials
    n = len(trials.truths)
    if n < _FEWEST or nulls < _FEWEST_NULLS:
        raise MethodError(f"{n} data sets and {nulls} nulls show nothing here: take {_FEWEST} and {_FEWEST_NULLS}")
    draw, learn = jr.split(key)
    scale, fitted = Scale.of(problem.space), problem.target.fitted
    real = np.concatenate([trials.truths[:, None], trials.draws[:, :_AMONG]], axis=1)
    unit = unit_of(problem, real)
    rows = scale.rows(unit.reshape(-1, unit.shape[2])).reshape(unit.shape)
    here = unit_of(problem, estimate.draws(problem, draw, _LOOKED)[None])[0]
    seen = _Seen.of(rows, trials.moments[:, fitted])
    weights = _learned(*seen.of_sets(rows, trials.moments[:, fitted]), nulls, learn)
    said = _said(weights, seen.at(scale.rows(here), problem.target.values[fitted]))
    flat = np.asarray(problem.space.flat(problem.space.from_unit(here)), np.float64)
    runs = Runs(problem.space, unit[:, 0], trials.moments, np.ones(n, bool), problem.target.labels, {})
    return _read(problem.space.labels, n, flat, scale.rows(here), said, reach(runs, problem.target).verdict())


@dataclass(frozen=True)
class _Seen:
    """What a classifier sees: parameters as residuals of a regression on the data, and the data by a few shapes.

    It is learned from truths and draws alike, so that no classifier can tell by it which are which.
    """

    squashed: Squashed
    basis: Basis
    line: Line

    @staticmethod
    def of(rows: np.ndarray, moments: np.ndarray) -> "_Seen":
        """From parameters (N, 1 + m, d) and moments (N, k)."""
        squashed = Squashed.of(moments)
        basis = Basis.of(squashed(moments))
        given = np.repeat(basis.weights(squashed(moments)), rows.shape[1], axis=0)
        line = Line.of(rows.reshape(-1, rows.shape[2]), given, np.ones(len(given)))
        return _Seen(squashed, basis, line)

    def of_sets(self, rows: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (N, 1 + m, d) and shapes (N, r)."""
        near = self.basis.weights(self.squashed(moments))
        left = self.line.off(rows.reshape(-1, rows.shape[2]), np.repeat(near, rows.shape[1], axis=0))
        return left.reshape(rows.shape), near

    def at(self, rows: np.ndarray, data: np.ndarray) -> np.ndarray:
        """What it sees of parameters (n, d) at data (k,), (n, d + r)."""
        left, near = self.of_sets(rows[:, None], np.repeat(data[None], len(rows), axis=0))
        return np.concatenate([left[:, 0], near], axis=1)


def _learned(left: np.ndarray, near: np.ndarray, nulls: int, key: Key) -> Weights:
    """Weights with 1 + `nulls` classifiers leading: the first learns the truths, (N, 0) of `left`, others any of them.

    A row of a classifier is a data set with the one taken for its truth in front, so that all have their rows in one
    table: (N (1 + m), 1 + m, d + r). None leaves rows out to stop by: where the posterior is wrong at other data, the
    first would learn on when others have stopped, and say more of chance than they do here.
    """
    n, among, _ = left.shape
    split, start = jr.split(key)
    rng = host_generator(split)
    both = np.concatenate([left, np.repeat(near[:, None], among, axis=1)], axis=2)
    table = training.padded(
        np.stack([np.roll(both, -i, axis=1) for i in range(among)], axis=1).reshape(n * among, among, -1)
    )
    first = np.concatenate([np.zeros((1, n), int), rng.integers(among, size=(nulls, n))])
    mine, count = jnp.asarray(first + among * np.arange(n)), jnp.full(1 + nulls, n)
    rows = training.Rows(mine, count, mine, count)
    found, _ = training.trained(
        training.Plan(_STEPS, min(_BATCH, n), 3e-3),
        networks.First((both.shape[2], _WIDTH, _WIDTH, 1), last=0.0),
        _entropy,
        _entropy,
        table,
        rows,
        jnp.full(1 + nulls, 1e-2, jnp.float32),
        jr.split(start, 1 + nulls),
    )
    return found


def _entropy(weights: Weights, rows: Array, key: Key) -> Array:
    """Of a row's first, taken for its truth, against the others, both sides weighing alike."""
    says = networks.perceptron(weights, rows)[..., 0]
    return jax.nn.softplus(-says[:, 0]) + jax.nn.softplus(says[:, 1:]).mean(1)


@jax.jit
def _each(weights: Weights, rows: Array) -> Array:
    return jax.vmap(networks.perceptron, in_axes=(0, None))(weights, rows)[..., 0]


def _said(weights: Weights, rows: np.ndarray) -> np.ndarray:
    """Log-odds (1 + R, n) of the truth."""
    return np.asarray(_each(weights, training.padded(rows)), np.float64)[:, : len(rows)]


def _read(
    labels: tuple[str, ...], datasets: int, flat: np.ndarray, v: np.ndarray, said: np.ndarray, within: Verdict
) -> LocalCalibration:
    """From draws in their own units (n, d) and on the scale `v`, and log-odds (1 + R, n)."""
    weights = np.exp(said - said.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    spread = np.maximum(v.std(0), 1e-12)
    mean = weights @ v
    square = np.maximum(weights @ v**2 - mean**2, 1e-12)
    order = np.argsort(v, axis=0)
    bins = np.array_split(np.arange(len(v)), _BINS)
    middles = np.stack([np.take_along_axis(flat, order, 0)[part].mean(0) for part in bins])
    odds = np.stack([said[:, order[part]].mean(1) for part in bins], axis=1)
    return LocalCalibration(
        labels=labels,
        datasets=datasets,
        statistics=((1.0 / (1.0 + np.exp(-said)) - 0.5) ** 2).mean(1),
        shifts=(mean - v.mean(0)) / spread,
        widths=np.sqrt(square) / spread,
        middles=middles,
        odds=odds,
        within=within,
    )


def _share(found: np.ndarray) -> float:
    """The chance (both sides) of a number as far from those of chance as the first of (1 + R,)."""
    below, above = (found <= found[0]).mean(), (found >= found[0]).mean()
    return float(min(1.0, 2.0 * min(below, above)))


def _rare(found: np.ndarray) -> bool:
    return _share(found) <= _SIZE
