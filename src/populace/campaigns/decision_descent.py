"""The best decision by a gradient through the model, for decisions that enter smoothly, such as a dose.

The decisions' plugs are made inside the run, so that a derivative passes from the loss back to the decision. Whether it
is the derivative of the expected loss is not taken for granted: relaxed draws are biased, and a decision that enters as
a day has none. The estimator is audited first, at the centre of the posterior and several decisions; where it is not
to be believed, differences on common random numbers take its place, and where the loss is a staircase the search
refuses. Each step then takes other draws of the posterior and other keys (Herbert Robbins and Sutton Monro 1951, Annals
of Mathematical Statistics 22, 400-407; averaged at the end, Boris Polyak and Anatoli Juditsky 1992).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float

from .._errors import GradientError, MethodError
from .._results import Code, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.host import split, taken
from ..core.model import Module, parameter
from ..core.noise import host_generator
from ..core.plug import Plug, Proceed
from ..core.site import Site
from ..gradients.audit import ONE_BY_ONE, Effort, GradientAudit, audit_cases
from ..gradients.cases import cases_of
from ..gradients.differences import Differences
from ..gradients.estimator import PerKey
from ..gradients.loss import ExpectedLoss
from ..gradients.pathwise import Pathwise
from ..problem.plugged import before
from ..problem.simulators import Simulation
from ..problem.space import Space
from ..surrogates.samplers import Sobol
from .decision_search import DecisionSearch, Searched, expected_losses
from .effects import Aim
from .interventions import Intervention, OfRuns
from .trying import EDGE, Measure, Trying

_AROUND = 10
_FAR = 8.0
_STEP = 0.2
_USABLE = (Code.BELIEVE, Code.DIRECTION_ONLY)


class _Number(Module):
    value: Float[Array, ""] = parameter()


class _Decided(Plug):
    """The plugs that a decision makes, made anew inside each run."""

    numbers: dict[str, _Number]
    measure: Measure = eqx.field(static=True)
    paths: tuple[str, ...] = eqx.field(static=True)

    def sites(self) -> tuple[str, ...]:
        return self.paths

    def around(self, site: Site, proceed: Proceed) -> Any:
        for plug in reversed(_smooth(self.measure, {name: one.value for name, one in self.numbers.items()}).plugs):
            proceed = partial(plug.around, proceed=proceed)
        return proceed(site)


class _Through(eqx.Module):
    """From decisions on the real line to all parameters of a run: `rest` are those of the model, name to a value."""

    space: Space = eqx.field(static=True)
    rest: dict[str, Array]

    def values(self, at: Mapping[str, Array]) -> dict[str, Array]:
        """The decisions themselves."""
        row = jnp.stack([at[name] for name in self.space.names])
        return {name: value[0] for name, value in self.space.from_real(row[None]).items()}

    def __call__(self, at: dict[str, Array]) -> dict[str, Array]:
        return {**self.rest, **{f"plugs.0.numbers.{name}.value": value for name, value in self.values(at).items()}}


class _Lost(eqx.Module):
    """The loss of one run, less its cost."""

    of: OfRuns = eqx.field(static=True)
    aim: Aim = eqx.field(static=True)

    def __call__(self, observations: dict[str, Array]) -> Array:
        outcome: Any = self.of({name: value[None] for name, value in observations.items()})  # pyright: ignore
        return self.aim.losses(outcome, 0.0 * outcome)[0]  # pyright: ignore[reportReturnType]


class ByGradient(DecisionSearch):
    """Descend along a gradient through the model, from the middle of the space.

    **Arguments:** `estimator`: of the gradient, audited first; `steps` of Adam, at a `rate` on the real scale of the
    space, on `batch` draws of the posterior each; `keys`: runs an estimator in the audit. `measure` and `of` have to be
    written so that JAX can trace them: no `float(...)`, no `round(...)` where a derivative should pass, plugs and a
    cost only.
    """

    estimator: PerKey = Pathwise()
    steps: int = eqx.field(static=True, default=100)
    rate: float = eqx.field(static=True, default=0.1)
    batch: int = eqx.field(static=True, default=32)
    keys: int = eqx.field(static=True, default=128)

    def __check_init__(self) -> None:
        if self.steps < 10 or self.batch < 2 or self.rate <= 0:
            raise MethodError("take steps=10 or more, batch=2 or more, and a rate above 0")

    def tries(self, decisions: int) -> int:
        return _AROUND

    def search(self, trying: Trying, key: Key, ticker: Ticker) -> Searched:
        look, walk, start = jr.split(key, 3)
        simulation, batch = _inside(trying)
        lost = _Lost(trying.of, trying.aim)
        audit = self._audited(simulation, lost, trying, batch, look)
        estimator, verdict = self._chosen(audit)
        path = self._descended(estimator, simulation, lost, trying, batch, walk)
        real = path[-(self.steps // 3) :].mean(0)
        best = np.asarray(trying.space.cdf(trying.space.from_real(real[None])), np.float64)[0]
        around = Sobol().sequence(start, best.size, 0, _AROUND - 1)
        unit = np.clip(np.concatenate([best[None], around]), EDGE, 1.0 - EDGE)
        losses = trying.at(unit, ticker)
        notes = (
            f"{self.steps} steps along {estimator.name}, {self.batch} draws each; {_AROUND} decisions were then tried "
            f"on {trying.draws} draws.",
        )
        return Searched(unit, losses, unit[0], float(expected_losses(losses)[0]), notes, (verdict,))

    def _audited(
        self, simulation: Simulation, lost: _Lost, trying: Trying, batch: Mapping[str, Array], key: Key
    ) -> GradientAudit:
        """At the centre of the posterior, in the middle of the space and half-way to its ends."""
        expected = ExpectedLoss(simulation, lost, _Through(trying.space, {n: v.mean(0) for n, v in batch.items()}))
        points = [{name: jnp.float32(z) for name in trying.space.names} for z in (0.0, -1.0, 1.0)]
        tried = list({one.name: one for one in (self.estimator, Differences())}.values())
        cases = cases_of(expected, key, points, [simulation.steps], self.keys)
        return audit_cases(
            cases, tried, key, Effort(self.keys, _STEP, ONE_BY_ONE, timed=False), Ticker(None, "audit", 0)
        )

    def _chosen(self, audit: GradientAudit) -> tuple[PerKey, Verdict]:
        """The estimator to descend with, and what the audit says of the one that was asked for."""
        asked = audit.verdicts[self.estimator.name]
        verdict = Verdict("the gradient", asked.code, asked.sentence, asked.numbers)
        still = _still([tried.found.samples for one in audit.cases for tried in one.tried.values()])
        if still:
            raise GradientError(
                f"near none of the decisions that were looked at does the loss change with '{still[0]}': it enters by "
                "steps, or not at all; take by=BySurrogate()"
            )
        if audit.recommended is None:
            raise GradientError(f"{asked.sentence} A decision that enters by steps is for by=BySurrogate()")
        if asked.code in _USABLE:
            return self.estimator, verdict
        said = f"{asked.sentence} Differences took its place."
        return Differences(), Verdict("the gradient", asked.code, said, asked.numbers)

    def _descended(
        self,
        estimator: PerKey,
        simulation: Simulation,
        lost: _Lost,
        trying: Trying,
        batch: Mapping[str, Array],
        key: Key,
    ) -> np.ndarray:
        """The path (steps, d) on the real scale."""
        names, adam = trying.space.names, optax.adam(self.rate)
        priced = trying.aim.price is not None

        def cost(at: dict[str, Array]) -> Array:
            values = _Through(trying.space, {}).values(at)
            return jnp.asarray(_smooth(trying.measure, values).cost if priced else 0.0, jnp.float32)

        @jax.jit
        def step(at: dict[str, Array], state: Any, rest: dict[str, Array], keys: Key) -> Any:
            def each(rest: dict[str, Array], key: Key) -> dict[str, Array]:
                return estimator.one(ExpectedLoss(simulation, lost, _Through(trying.space, rest)), at, key)[1]

            slopes = jax.vmap(each)(rest, keys)
            slope = jax.tree.map(lambda a, b: a.mean(0) + b, slopes, jax.grad(cost)(at))
            change, state = adam.update(slope, state)
            moved = jax.tree.map(lambda a, b: jnp.clip(a + b, -_FAR, _FAR), at, change)
            return moved, state

        generator, path = host_generator(key), []
        at = {name: jnp.float32(0.0) for name in names}
        state = adam.init(at)
        for i in range(self.steps):
            rows = generator.integers(0, trying.draws, self.batch)
            at, state = step(at, state, taken(dict(batch), rows), split(jr.fold_in(key, i), self.batch))
            path.append([float(at[name]) for name in names])
        found = np.array(path)
        if not np.isfinite(found).all():
            raise GradientError("the descent ran into a slope that is not finite: take by=BySurrogate()")
        return found


def _inside(trying: Trying) -> tuple[Simulation, dict[str, Array]]:
    """The simulation with the decisions' plugs made inside its runs, and the draws under the names that it then has.

    **Raises:** `GradientError` where no derivative passes from the loss to the decision.
    """
    middle = {name: value[0] for name, value in trying.space.from_unit(np.full((1, trying.space.size), 0.5)).items()}
    paths = tuple(path for plug in _smooth(trying.measure, middle).plugs for path in plug.sites())
    plug = _Decided({name: _Number(value) for name, value in middle.items()}, trying.measure, paths)
    simulator, batch = before(trying.fit.problem.simulator, (plug,), trying.batch)
    if not isinstance(simulator, Simulation):
        raise GradientError(f"no derivative passes through a {type(simulator).__name__}: take by=BySurrogate()")
    return simulator, batch


def _smooth(measure: Callable[[dict[str, Any]], Any], values: dict[str, Any]) -> Intervention:
    """What is done, where a derivative may pass: plugs, and a cost that is a number.

    **Raises:** `GradientError`.
    """
    try:
        done = measure(values)
    except jax.errors.JAXTypeError as error:
        raise GradientError(
            f"`measure` cannot be traced: write it without float(), or take BySurrogate(): {error}"
        ) from error
    made = done if isinstance(done, Intervention) else Intervention(done)
    if made.parameters or made.model is not None or made.simulator is not None or callable(made.cost):
        raise GradientError("by gradient an intervention has plugs and a cost that is a number: take by=BySurrogate()")
    return made


def _still(slopes: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
    """The decisions whose derivative is 0 in every run, of every estimator, at every point."""
    return [name for name in slopes[0] if not any(each[name].any() for each in slopes)]
