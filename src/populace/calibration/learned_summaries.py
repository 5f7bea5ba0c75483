"""Moments that are learned: what the whole of the observed series says of each parameter, as a posterior mean.

Paul Fearnhead and Dennis Prangle (2012), Journal of the Royal Statistical Society B 74:419: with squared error as the
loss, the best summaries of data are the posterior means of the parameters. A network learns them from runs at
parameters from the prior (Bai Jiang, Tung-Yu Wu, Charles Zheng and Wing Wong 2017, Statistica Sinica 27:1595). They
stand as the fitted moments of a problem, those of yours are held out to judge it by: every method, check and report
works as before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float
from rich.progress import Progress

from .._errors import MethodError
from .._results import Code, Figure, Result, ScatterPanel, Section, Table, Verdict
from .._types import Key, Observations
from ..core.executor import Ticker
from ..core.noise import host_generator
from ..core.progress import display
from ..problem.moment import Moment
from ..problem.moments import level
from ..problem.problem import Problem
from ..problem.series import Series
from ..problem.space import Space
from ..problem.target import Target
from ..surrogates import training
from ..surrogates.conditional import LEAST, Squashed
from ..surrogates.encoders import Encoder, FirstMeans, Means
from ..surrogates.reach import reach
from ..surrogates.runs import Runs
from .regions import Scale

_LEAST = 2 * LEAST
_SAYS = 0.05
"""The least share of a parameter's variance that a summary of it explains."""
_AT_ONCE = 128


class Learned(Moment):
    """What networks expect of parameters, where series are seen: a number a parameter, on the scale of its prior, which
    has mean 0 and variance 1 (see `Scale`). Members' weights are on the leading axis.
    """

    encoder: Encoder = eqx.field(static=True)
    of: tuple[str, ...] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    squashed: tuple[Squashed, ...]
    members: Means

    @property
    def name(self) -> str:
        return "learned"

    @property
    def regular(self) -> bool:
        return False

    def series(self) -> tuple[str, ...]:
        return self.of

    def __call__(self, observations: Observations) -> Float[Array, " k"]:
        parts = [one.traced(observations[name]) for one, name in zip(self.squashed, self.of, strict=True)]
        arranged = self.encoder.arranged(parts)
        return jax.vmap(lambda member: member(arranged))(self.members).mean(0)

    def labels(self, observations: Any, times: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"learned({name})" for name in self.names)


@dataclass(frozen=True)
class LearnedSummaries(Result):
    """Summaries that were learned, and the problem that is fitted by them.

    `problem`: with the summaries as its fitted moments, those of the problem that was given held out; `calls`: of the
    simulator, spent on learning; `truths`, `said` (n, d): parameters of runs, and what a network that left a run out
    says of them, on the scale of the prior; `encoder`: in words; `reasons`: why runs were left out, counted; `reached`:
    whether the data lie where the runs do, in the summaries and in your own moments.
    """

    problem: Problem
    calls: int
    truths: np.ndarray
    said: np.ndarray
    encoder: str
    reasons: dict[str, int]
    reached: tuple[Verdict, ...]

    @property
    def r_squared(self) -> np.ndarray:
        """The share of each parameter's variance over the prior that its summary explains, on runs left out, (d,)."""
        left = ((self.truths - self.said) ** 2).mean(0)
        return np.asarray(1.0 - left / self.truths.var(0))

    def verdicts(self) -> tuple[Verdict, ...]:
        """One a parameter, and one or two of the data."""
        labels = self.problem.space.labels
        return (*(self._of(label, float(r)) for label, r in zip(labels, self.r_squared, strict=True)), *self.reached)

    def _of(self, label: str, r: float) -> Verdict:
        numbers = {"R2": r, "runs": float(len(self.truths))}
        if r < _SAYS:
            why = f"{label}: no summary of it was learned (R2 {max(r, 0.0):.2f} on runs left out)"
            return Verdict(label, Code.NOT_LEARNED, f"{why}.", numbers)
        why = f"{label}: its summary explains {100 * r:.0f} % of its variance over the prior, on runs left out"
        return Verdict(label, Code.LEARNED, f"{why}.", numbers)

    def sections(self) -> tuple[Section, ...]:
        text = [
            f"Summaries by {self.encoder}, learned from {len(self.truths)} runs at parameters from the prior, which "
            f"are {self.calls} calls beside those of a fit."
        ]
        if self.reasons:
            text.append(f"Left out: {'; '.join(f'{count} x {why}' for why, count in self.reasons.items())}.")
        rows = tuple(zip(self.problem.space.labels, map(float, self.r_squared), strict=True))
        table = Table("Runs left out", ("parameter", "R2"), rows)
        panels = tuple(
            ScatterPanel(label, "true value (prior scale)", "summary", truth, said)
            for label, truth, said in zip(self.problem.space.labels, self.truths.T, self.said.T, strict=True)
        )
        caption = "What a network that left a run out says of its parameters, over the prior's scale (variance 1)."
        figure = Figure("learned summaries", caption, panels)
        return (Section("Learned summaries", tuple(text), self.verdicts(), (figure,), (table,)),)

    def record(self) -> dict[str, Any]:
        return {
            "encoder": self.encoder,
            "calls": self.calls,
            "runs": len(self.truths),
            "R2": dict(zip(self.problem.space.labels, self.r_squared.tolist(), strict=True)),
            "verdicts": [verdict.record() for verdict in self.verdicts()],
        }


def learned_summaries(
    problem: Problem,
    encoder: Encoder,
    key: Key,
    *,
    budget: int,
    of: Sequence[str] | None = None,
    members: int = 3,
    steps: int | None = None,
    progress: bool | Progress | None = None,
) -> LearnedSummaries:
    """Learn a summary a parameter from runs over the prior, and make it the problem's moments.

    **Arguments:** `encoder`: what reads the series (`Recurrent`, `Convolutional`, `Spatial`, `DeepSet`); `budget`:
    simulator calls, taken from what there is: give `calibrate` the rest; `of`: which series of the data (those that the
    target's moments read, if None); `members`: networks, each leaving its share of the runs out; `steps`: of Adam
    (1,000 for a thousand runs and as its root for more, if None).

    **Raises:** `MethodError` for too few runs, or series that the encoder cannot read; `TargetError`; `SimulatorError`.
    """
    if budget < _LEAST or members < 2:
        raise MethodError(f"budget={budget}, members={members}: take {_LEAST} runs and 2 members at the least")
    sample, simulate, learn = jr.split(key, 3)
    names = tuple(problem.target.series if of is None else of)
    raw = _target(problem.target, [level(name) for name in names])
    parameters = problem.space.sample(sample, budget)
    with display(progress) as shown:
        ticker = Ticker(shown, "runs to learn summaries from", budget)
        seen = problem.with_target(raw).simulate(parameters, jr.split(simulate, budget), ticker, keep=True)
    good = ~seen.excluded
    if good.sum() < _LEAST:
        raise MethodError(f"{int(good.sum())} of {budget} runs can be learned from: give {_LEAST} that can")
    unit = np.asarray(problem.space.cdf(parameters), np.float64)[good]
    truths = Scale.of(problem.space).rows(unit)
    series = _apart(raw, names, seen.moments[good])
    moment, said = _learned(encoder, names, problem.space.labels, series, truths, members, steps, learn)
    given = problem.target
    target = _target(given, [moment], (*given.moments, *given.held_out))
    observed = {name: array[good] for name, array in seen.observations.items()}
    targets = {"the data, by their summaries": target, "the data, by your moments": given}
    return LearnedSummaries(
        problem=problem.with_target(target),
        calls=budget,
        truths=truths,
        said=said,
        encoder=encoder.name,
        reasons=seen.reasons,
        reached=_reached(problem.space, unit, observed, targets),
    )


def _target(given: Target, moments: Sequence[Moment], held_out: Sequence[Moment] = ()) -> Target:
    """The same data with other moments."""
    data = {name: _as_given(one) for name, one in given.data.items()}
    times = {name: one.times for name, one in given.data.items()}
    return Target(data, moments, held_out, times=times, time_unit=given.time_unit)


def _as_given(series: Series) -> Any:
    if series.at_end:
        return series.values[0] if series.values.ndim == 1 else series.values
    absent = np.broadcast_to(~series.present.reshape((-1,) + (1,) * (series.values.ndim - 1)), series.values.shape)
    return np.ma.masked_array(series.values, absent)


def _apart(raw: Target, names: tuple[str, ...], rows: np.ndarray) -> list[np.ndarray]:
    """Rows (n, all) of the values of all series as these, (n, times, ...) each, without times that the data miss."""
    found = []
    for name in names:
        one = raw.data[name]
        columns = raw.columns(f"level({name})")
        found.append(rows[:, columns].reshape(len(rows), -1, *one.values.shape[1:]))
    return found


def _learned(
    encoder: Encoder,
    names: tuple[str, ...],
    labels: tuple[str, ...],
    series: list[np.ndarray],
    truths: np.ndarray,
    members: int,
    steps: int | None,
    key: Key,
) -> tuple[Learned, np.ndarray]:
    """The moment, and what each member says of the runs (n, d) that it left out."""
    n, d = truths.shape
    scales = tuple(_scale(one) for one in series)
    scaled = [jnp.asarray(scale(one), jnp.float32) for scale, one in zip(scales, series, strict=True)]
    arranged = np.asarray(jax.vmap(lambda *parts: encoder.arranged(parts))(*scaled))
    data = (training.padded(arranged), training.padded(truths))
    split, start = jr.split(key)
    rows = training.folds(n, members, host_generator(split), data[0].shape[0])
    weights, _ = training.trained(
        training.Plan(steps or training.steps_for(n, 1_000), min(64, n), 3e-3),
        FirstMeans(encoder, arranged.shape[1:], d),
        _square,
        _square,
        data,
        rows,
        jnp.full(members, 0.1, jnp.float32),
        jr.split(start, members),
    )
    each = np.asarray(_each(weights, data[0]), np.float64)[:, :n]
    said = np.empty((n, d))
    for i in range(members):
        out = np.asarray(rows.hold[i, : int(rows.hold_count[i])])
        said[out] = each[i, out]
    return Learned(encoder, names, labels, scales, weights), said


def _scale(one: np.ndarray) -> Squashed:
    """Of series (n, times, ...): a scale for each number of a time; one for all of a field, whose places are alike."""
    flat = one.reshape(-1, one.shape[2]) if one.ndim == 3 else one.reshape(-1, 1)
    found = Squashed.of(flat)
    if one.ndim == 3:
        return found
    return Squashed(found.middle[0], found.spread[0])


def _square(weights: Means, rows: tuple[Array, Array], key: Key) -> Array:
    arranged, truths = rows
    return ((jax.vmap(weights)(arranged) - truths) ** 2).mean(1)


@eqx.filter_jit
def _each(weights: Means, arranged: Array) -> Array:
    """What every member says of every run, (members, n, d)."""
    return jax.lax.map(
        lambda one: jax.vmap(lambda member: member(one))(weights), arranged, batch_size=_AT_ONCE
    ).swapaxes(0, 1)


def _reached(
    space: Space, unit: np.ndarray, seen: Mapping[str, np.ndarray], targets: Mapping[str, Target]
) -> tuple[Verdict, ...]:
    """Whether the data lie where runs do: in the summaries, and, as a summary may call familiar what is strange, in the
    moments that were to be fitted before; not asked where too few runs have these.
    """
    found = []
    for subject, target in targets.items():
        moments = np.where(target.fitted, target.summarise(seen), 0.0)
        sound = np.asarray(np.isfinite(moments).all(1))
        if sound.sum() >= LEAST:
            runs = Runs(space, unit, moments, sound, target.labels, {})
            verdict = reach(runs, target).verdict()
            found.append(Verdict(subject, verdict.code, f"{subject}: {verdict.sentence}", verdict.numbers))
    return tuple(found)
