"""The likelihood of what was recorded of a hidden run: the bootstrap particle filter.

Neil Gordon, David Salmond and Adrian Smith (1993, IEE Proceedings F 140:107): runs of the model go on from time to
time, each weighs as much as the density of what was recorded given what happened in it, and runs that explain it are
copied where others end. The mean weights multiply to an unbiased estimate of the likelihood (Pierre Del Moral 2004,
Feynman-Kac Formulae), which makes weights of the exact posterior (Christophe Andrieu and Gareth Roberts 2009, Annals of
Statistics 37:697).
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int

from .._errors import MethodError, TargetError
from .._types import Key
from ..core import executor
from ..core.ensemble import OneRun
from ..core.executor import Ticker
from ..core.host import placed, split
from ..core.model import bind
from ..core.record import EveryStep
from ..core.simulate import NEVER, advance, first_fault, initial
from ..problem.observation import Recorded
from ..problem.problem import Problem
from ..problem.simulators import Observed, Simulation
from .run_likelihood import RunLikelihood, Weighed


class ParticleFilter(RunLikelihood):
    """The exact likelihood, but for chance, of series that are recorded of a model with noise of a known law.

    The simulator is `Observed(Simulation(...), observers)` with one `Recorded` observer (`Reporting`, `OverDispersion`,
    `MeasurementError` or your own) for each series that the target's moments read. The fit is to all their times; the
    moments only say afterwards what of them it matches. Times that the data miss weigh nothing.

    **Arguments:** `particles`: runs that go on side by side. The noise of the log-likelihood falls as one over them and
    grows with the length of the series; near 1 is best.
    """

    particles: int = eqx.field(static=True, default=100)

    def runs(self) -> int:
        return self.particles

    def check(self, task: Problem) -> None:
        if self.particles < 2:
            raise MethodError("a particle filter takes two particles or more")
        _filtering(task, self.particles)

    def assumes(self) -> str:
        return "the model and its law of recording for true, and nothing else"

    def weigh(self, task: Problem, real: np.ndarray, key: Key, ticker: Ticker) -> Weighed:
        shared = _filtering(task, self.particles)
        values = {name: placed(value) for name, value in task.space.from_real(real).items()}
        rows = (split(key, len(real)), values)
        size = executor.chunk_size(_filtered, shared, rows)
        parts = []
        for part in executor.chunks(_filtered, shared, rows, size=size):
            parts.append(part)
            ticker.advance(part[0].size * self.particles)
        levels, faulty = executor.stack_rows(parts)
        good = np.isfinite(levels) & ~faulty
        reasons = {"a site was given a number outside its domain": int(faulty.sum()) * self.particles}
        excluded = np.repeat(faulty, self.particles)
        nothing = np.full(len(real), np.nan)
        return Weighed(np.where(good, levels, -np.inf), nothing, excluded, reasons if faulty.any() else {})


class _Filtering(eqx.Module):
    """What every point shares: the model between two times, the observers, and the record: series name to (times, ...)
    with which times are there (times,).
    """

    one: OneRun
    observers: dict[str, Recorded]
    record: dict[str, Array]
    there: dict[str, Array]
    particles: int = eqx.field(static=True)


def _filtering(task: Problem, particles: int) -> _Filtering:
    """**Raises:** `MethodError` for a simulator without a density, `TargetError` for series of another length."""
    seen = task.simulator
    if not isinstance(seen, Observed) or not isinstance(seen.simulator, Simulation):
        raise MethodError(
            "a particle filter takes a model whose record has noise of a known law: "
            'Observed(Simulation(model, ...), {"reports": Reporting("infected", 0.5)})'
        )
    inner = seen.simulator
    if not isinstance(inner.record, EveryStep):
        raise MethodError("a particle filter takes a simulation that is recorded by `EveryStep`")
    observers = {name: model for name, model in seen.observers.items() if isinstance(model, Recorded)}
    other = [type(model).__name__ for name, model in seen.observers.items() if name not in observers]
    named = [model.series for model in observers.values()]
    if other or len(set(named)) < len(named):
        raise MethodError(
            f"{other[0] if other else 'a series with two observers'} has no density of each time by itself: a particle "
            "filter takes one of `Reporting`, `OverDispersion`, `MeasurementError` a series"
        )
    _check_read(task, set(named))
    record, there = _record(task, named, inner.steps // inner.record.every)
    return _Filtering(
        OneRun(inner.model, inner.plugs, inner.record, inner.record.every), observers, record, there, particles
    )


def _check_read(task: Problem, named: set[str]) -> None:
    task.target.check_series("a particle filter")
    missing = [name for name in task.target.series if name not in named]
    if missing:
        raise MethodError(f"'{missing[0]}' has no observer with a density: say how it is recorded, or leave it out")


def _record(task: Problem, named: list[str], times: int) -> tuple[dict[str, Array], dict[str, Array]]:
    record, there = {}, {}
    for name in named:
        if name not in task.target.data:
            raise TargetError(f"the data have no series '{name}', which an observer records")
        series = task.target.data[name]
        at = slice(times - 1, None) if series.at_end else slice(None)
        if not series.at_end and series.length != times:
            raise TargetError(f"'{name}' has {series.length} times, and the simulation records {times}")
        values, known = np.zeros((times, *series.values.shape[1:]), np.float32), np.zeros(times, bool)
        values[at], known[at] = series.values, series.present
        record[name], there[name] = jnp.asarray(values), jnp.asarray(known)
    return record, there


def _filtered(shared: _Filtering, one: tuple[Key, dict[str, Array]]) -> tuple[Array, Array]:
    """One filter inside a trace: the log-likelihood, and whether a site got a number outside its domain."""
    key, values = one
    run, observers = _bound(shared, values)
    keys = jax.vmap(lambda i: jr.fold_in(key, i))(jnp.arange(shared.particles))
    here, early = jax.vmap(lambda k: initial(run.model, k, run.plugs))(keys)
    wrong = jnp.stack([flag.any() for flag in early.values()]).any() if early else jnp.array(False)
    even = jnp.full(shared.particles, -jnp.log(shared.particles))

    def on(k: Key, snapshot: Any) -> tuple[Any, dict[str, Array], Array]:
        after, carry, rows, _, late = advance(run.model, k, snapshot, run.plugs, None, run.record, run.steps)
        kept = run.record.finish(carry, [run.record.collect(carry, rows, 1, run.steps)])
        return after, {name: kept[name][0] for name in shared.record}, first_fault({}, late) != NEVER

    def between(state: Any, time: tuple[Array, dict[str, Array], dict[str, Array]]) -> tuple[Any, None]:
        here, weights, level, wrong = state
        number, record, there = time
        poor = jnp.exp(2.0 * weights).sum() * shared.particles > 2.0  # they are worth less than half as many
        chosen = _copied(jnp.exp(weights), jr.uniform(jr.fold_in(key, 2**30 + number)))
        here = jax.tree.map(lambda leaf: jnp.where(_like(poor, leaf), leaf[chosen], leaf), here)
        weights = jnp.where(poor, even, weights)
        here, seen, late = jax.vmap(on)(keys, here)
        gain = jnp.stack([_gain(model, seen, record, there) for model in observers.values()]).sum(0)
        gain = weights + jnp.where(jnp.isnan(gain), -jnp.inf, gain)
        total = jax.scipy.special.logsumexp(gain)
        weights = jnp.where(jnp.isfinite(total), gain - total, even)
        return (here, weights, level + total, wrong | late.any()), None

    numbers = jnp.arange(next(iter(shared.there.values())).shape[0])
    (_, _, level, wrong), _ = jax.lax.scan(
        between, (here, even, jnp.float32(0), wrong), (numbers, shared.record, shared.there)
    )
    return level, wrong


def _like(poor: Array, leaf: Array) -> Array:
    return jnp.broadcast_to(poor, (1,) * max(leaf.ndim, 1))


def _bound(shared: _Filtering, values: Mapping[str, Array]) -> tuple[OneRun, dict[str, Recorded]]:
    own = {f"{name}." for name in shared.observers}
    inner = {k: v for k, v in values.items() if not any(k.startswith(start) for start in own)}
    observers = {
        name: bind(model, {k.removeprefix(f"{name}."): v for k, v in values.items() if k.startswith(f"{name}.")})
        for name, model in shared.observers.items()
    }
    return shared.one.bind(inner), observers


def _gain(
    model: Recorded, seen: dict[str, Array], record: dict[str, Array], there: dict[str, Array]
) -> Float[Array, " p"]:
    """What one series adds to the log-weights of the particles, 0 at a time that it misses."""
    each = model.log_density(jnp.asarray(seen[model.series], jnp.float32), record[model.series])
    return jnp.where(there[model.series], each.reshape(each.shape[0], -1).sum(1), 0.0)


def _copied(weights: Float[Array, " p"], luck: Float[Array, ""]) -> Int[Array, " p"]:
    """Systematic resampling: which particle each goes on from."""
    edges = jnp.cumsum(weights)
    places = (jnp.arange(weights.size) + luck) / weights.size * edges[-1]
    return jnp.minimum(jnp.searchsorted(edges, places, side="right"), weights.size - 1)
