"""Simulated minimum distance: the point whose expected moments are nearest to the data's, with its standard errors.

The estimate is the least g' W g, g the gap of simulated to observed moments, averaged over S runs that keep their
random numbers as parameters move (Daniel McFadden 1989, Econometrica 57, 995-1026; Ariel Pakes and David Pollard 1989,
Econometrica 57, 1027-1057; Darrell Duffie and Kenneth Singleton 1993, Econometrica 61, 929-952). Two steps: W is first
diagonal, and then the inverse of the moments' covariance V, which is known of the data or simulated at the first step's
estimate, and is the best there is (Lars Peter Hansen 1982, Econometrica 50, 1029-1054). Where a simulated run varies as
the data do the estimate's covariance is then (1 + 1/S) (G' V^-1 G)^-1, G the derivative of the expected moments. Where
moments are coefficients of a regression this is indirect inference (Christian Gourieroux, Alain Monfort and Eric
Renault 1993, Journal of Applied Econometrics 8, S85-S118).
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.special import ndtri

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.host import split
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.covariance import factor
from ..problem.problem import Problem, Simulate, Simulated
from ..surrogates.samplers import Sobol
from .calibrate import replicate_covariance, spread
from .descent import FEWEST
from .ensemble_smoother import at, scaled
from .estimates import Point
from .judgement import at_ends, flat_direction, offsets, overidentified, replicates_of, scales
from .restarts import FIRST, WAVES, Restarts, agreement
from .sandwich import Linearised, linearised, sandwich
from .searches import EDGE
from .tally import Tally
from .trust_region import TrustRegion, promised, within

_DESIGN, _WAVING, _COVARIANCE, _REFINING, _JUDGING, _OVER = range(6)
_SEARCH = 0.5
"""The share of the budget that goes into the search, half of it into its first design."""
_COVARYING = (100, 500)
"""Replicates that a covariance is simulated from: a tenth of the budget, within these."""
_ROUNDS = 8
"""Rounds of refinement, at the most; replicates are so many that half of them fit in."""
_STEADY = 20
"""Replicates at the end, and half as many in a refinement, at the least."""
_REACH, _LUCK = 2.0, 3.0
"""The last step may be so many differences long, or so many times as much as luck promises to lessen the loss."""


class Standing(eqx.Module):
    """The state: all runs of the search, at `z` (N, d) on the prior's normal scale with `moments` (N, K), NaN where a
    run does not count; `weight` (K, K): the covariance that gaps are measured by, `steps`: 1 while it is diagonal, then
    2; `restarts`; the `region` of the refinement; `last` (S, k, d + 1), derivatives and gaps at its centre; `seed`:
    of the random numbers that a refinement keeps; calls in all and unspent.
    """

    z: np.ndarray
    moments: np.ndarray
    weight: np.ndarray
    steps: np.ndarray
    phase: np.ndarray
    restarts: Restarts
    region: TrustRegion
    last: np.ndarray
    seed: np.ndarray
    budget: np.ndarray
    left: np.ndarray
    tally: Tally


class SimulatedMinimumDistance(Method[Problem, Standing, Point]):
    """Simulated minimum distance, in two steps.

    Half of the budget searches: a Sobol design of the prior, then waves of runs around each of several restarts, which
    go downhill on local regressions of all runs so far and know nothing of each other. The best is refined by
    Gauss-Newton steps in a trust region, on differences between runs with the same random numbers. Fresh replicates at
    the end, with all that is left of the budget, make the last step, the standard errors (the sandwich, for the weight
    that was used) and Hansen's J on k less the rank of G degrees of freedom. Where the rank fails there is no
    covariance, and the fit says which combination the moments do not react to.

    **Arguments:**

    - `optimal`: take the second step. Without it W stays diagonal, which asks less of a model that is not quite right,
      and its standard errors are those of that weight.
    - `restarts`: how many.
    - `difference`: how far apart runs are for a derivative, in prior spreads.

    A target without a covariance has one simulated at the first step's estimate: what the data would vary by if the
    model were true.
    """

    optimal: bool = eqx.field(static=True, default=True)
    restarts: int = eqx.field(static=True, default=8)
    difference: float = eqx.field(static=True, default=0.1)

    @property
    def needs_covariance(self) -> bool:
        return False

    def start(self, task: Problem, key: Key, budget: int) -> Standing:
        if self.restarts < 1 or not self.difference > 0.0:
            raise MethodError("take one restart or more, and a difference above 0")
        if task.target.covariance is not None:
            use = np.flatnonzero(task.target.fitted)
            factor(task.target.covariance[np.ix_(use, use)], [task.target.labels[i] for i in use])
        d, k, fitted = task.space.size, len(task.target.labels), int(task.target.fitted.sum())
        least = self._least(task)
        if budget < least:
            raise MethodError(
                f"a budget of {budget} calls is too small for {d} parameters and {self.restarts} restarts: give {least}"
            )
        task.space.from_unit(jnp.full((1, d), 0.5))  # refuses priors whose numbers depend on each other
        return Standing(
            np.zeros((0, d)),
            np.zeros((0, k)),
            np.zeros((0, 0)),
            np.array(1),
            np.array(_DESIGN),
            Restarts.none(d),
            TrustRegion.none(fitted, d),
            np.zeros((0, fitted, d + 1)),
            np.asarray(jr.key_data(key)),
            np.array(budget),
            np.array(budget),
            Tally.empty(),
        )

    def _least(self, task: Problem) -> int:
        """The smallest budget: each part gets what it takes."""
        d = task.space.size
        search = max(40 * (d + 1), 4 * WAVES * self.restarts) / _SEARCH
        refine = _STEADY // 2 * (1 + 2 * d) * 3 + _STEADY * (1 + 4 * d)
        return int(np.ceil(max(search, (refine + self._covarying(task, 0)) / (1.0 - _SEARCH))))

    def _covarying(self, task: Problem, budget: int) -> int:
        """Replicates at the first step's estimate, to have the moments' covariance of."""
        if task.target.covariance is not None or not self.optimal:
            return 0
        return int(np.clip(budget // 10, max(_COVARYING[0], 2 * len(task.target.labels)), _COVARYING[1]))

    def _refined(self, task: Problem, state: Standing) -> int:
        """Replicates of a round of refinement."""
        d, rest = task.space.size, (1.0 - _SEARCH) * int(state.budget) - self._covarying(task, int(state.budget))
        return max(_STEADY // 2, int(rest / (_ROUNDS * (1 + 2 * d))))

    def ask(self, task: Problem, state: Standing, key: Key) -> Simulate:
        d, budget, phase = task.space.size, int(state.budget), int(state.phase)
        rng = host_generator(key)
        if phase == _DESIGN:
            unit = Sobol().sequence(key, d, 0, int(_SEARCH * FIRST * budget))
            return _at(task, np.clip(ndtri(np.clip(unit, 1e-6, 1.0 - 1e-6)), -EDGE, EDGE), key)
        if phase == _WAVING:
            return _at(task, state.restarts.around(int(_SEARCH * (1.0 - FIRST) * budget) // WAVES, rng), key)
        if phase == _COVARIANCE:
            best = state.restarts.z[state.restarts.best][None]
            return _at(task, np.repeat(best, self._covarying(task, budget), axis=0), key)
        if phase == _REFINING:
            points = state.region.tried + offsets(d, (self.difference,))
            return self._paired(task, points, jr.wrap_key_data(jnp.asarray(state.seed)), self._refined(task, state))
        points = state.region.centre + offsets(d, (self.difference, self.difference / 2.0))
        return self._paired(task, points, key, int(state.left) // len(points))

    def _paired(self, task: Problem, points: np.ndarray, key: Key, count: int) -> Simulate:
        """`count` runs at each of points (n, d), in prior spreads, with the same random numbers at each."""
        middle, width = scales(task.space)
        real = np.repeat(middle + points * width, count, axis=0)
        keys = split(key, count)[np.tile(np.arange(count), len(points))]
        return Simulate(task.space.from_real(real), keys, none=True)

    def tell(self, task: Problem, state: Standing, ask: Simulate, answer: Simulated) -> Standing:
        left, tally = np.array(int(state.left) - ask.calls()), state.tally.with_(answer)
        state = eqx.tree_at(lambda s: (s.left, s.tally), state, (left, tally))
        phase = int(state.phase)
        if phase in (_DESIGN, _WAVING):
            return self._searched(task, state, ask, answer)
        if phase == _COVARIANCE:
            matrix = replicate_covariance(answer.moments, np.sqrt(np.diag(state.weight)))[0]
            return self._second(task, state, matrix)
        if phase == _REFINING:
            return self._moved(task, state, answer)
        widths = (self.difference, self.difference / 2.0)
        found = replicates_of(weighed(task, state), answer, 1, widths, len(ask.keys) // (1 + 4 * task.space.size))[0]
        if len(found) < FEWEST:
            raise MethodError(f"fewer than {FEWEST} replicates at the end can be used: {tally.sentence()}")
        return eqx.tree_at(lambda s: (s.last, s.phase), state, (found, np.array(_OVER)))

    def _searched(self, task: Problem, state: Standing, ask: Simulate, answer: Simulated) -> Standing:
        """After the design, or a wave."""
        z = np.concatenate([state.z, scaled(task.space, ask.parameters)])
        moments = np.concatenate([state.moments, np.where(answer.excluded[:, None], np.nan, answer.moments)])
        state = eqx.tree_at(lambda s: (s.z, s.moments), state, (z, moments))
        if int(state.phase) == _DESIGN:
            state = eqx.tree_at(lambda s: s.weight, state, _diagonal(task, moments))
            begun = Restarts.begun(weighed(task, state), z, moments, self.restarts)
            return eqx.tree_at(lambda s: (s.restarts, s.phase), state, (begun, np.array(_WAVING)))
        moved = state.restarts.moved(weighed(task, state), z, moments, ask.calls())
        state = eqx.tree_at(lambda s: s.restarts, state, moved)
        if self.optimal and int(moved.waves) == WAVES // 2:
            if task.target.covariance is not None:
                return self._second(task, state, task.target.covariance)
            return eqx.tree_at(lambda s: s.phase, state, np.array(_COVARIANCE))
        return state if int(moved.waves) < WAVES else self._refining(task, state)

    def _second(self, task: Problem, state: Standing, matrix: np.ndarray) -> Standing:
        """The second step's weight, and the restarts where they end by it."""
        state = eqx.tree_at(lambda s: (s.weight, s.steps), state, (np.array(matrix), np.array(2)))
        again = state.restarts.weighed_anew(weighed(task, state), state.z, state.moments)
        return eqx.tree_at(lambda s: (s.restarts, s.phase), state, (again, np.array(_WAVING)))

    def _refining(self, task: Problem, state: Standing) -> Standing:
        middle, width = scales(task.space)
        best = state.restarts.z[state.restarts.best][None]
        real = np.asarray(task.space.to_real(at(task.space, best)), np.float64)
        region = state.region.at((real[0] - middle) / width)
        return eqx.tree_at(lambda s: (s.region, s.phase), state, (region, np.array(_REFINING)))

    def _moved(self, task: Problem, state: Standing, answer: Simulated) -> Standing:
        """After a round of refinement."""
        count, d = self._refined(task, state), task.space.size
        needed = count * (1 + 2 * d) + _STEADY * (1 + 4 * d)
        found = replicates_of(weighed(task, state), answer, 1, (self.difference,), count)[0]
        region = state.region.told(found)
        if not len(region.kept):
            dropped = state.restarts.without_best()
            if not np.isfinite(dropped.losses).any() or int(state.left) < needed:
                raise MethodError(f"no restart was found of which {FEWEST} replicates count: {state.tally.sentence()}")
            return self._refining(task, eqx.tree_at(lambda s: (s.restarts, s.region), state, (dropped, region)))
        over = region.settled or int(region.rounds) >= _ROUNDS or int(state.left) < needed
        return eqx.tree_at(lambda s: (s.region, s.phase), state, (region, np.array(_JUDGING if over else _REFINING)))

    def done(self, task: Problem, state: Standing, left: int) -> Done | None:
        if int(state.phase) < _OVER:
            return None
        near = linearised(state.last)
        step = within(near)
        far = float(np.abs(step).max())
        agree = agreement(task.space, state.restarts, state.region.centre, near)
        if not near.rank:
            said = f"in {len(state.last)} replicates no moment reacts to any combination of parameters beyond its noise"
            return Done(Code.BUDGET_SPENT, said)
        if self._reached(state, near, step):
            said = f"the minimum is {far:.2g} prior spreads from where refinement ended, and {agree.short}"
            return Done(Code.CONVERGED, said)
        return Done(
            Code.BUDGET_SPENT,
            f"by the linear model the minimum lies {far:.2g} prior spreads away, beyond the differences' reach",
        )

    def finish(self, task: Problem, state: Standing, key: Key) -> Point:
        near = linearised(state.last)
        step = within(near)
        short = np.zeros_like(step)
        if not self._reached(state, near, step):
            step, short = short, step
        middle, width = scales(task.space)
        real = middle + width * (state.region.centre + step)
        data = data_covariance(task, state, near)
        covariance = (sandwich(near, float(len(state.last)), data) + np.outer(short, short)) * np.outer(width, width)
        loss, error = near.loss(step)
        ends = [state.region.centre + 1e-2 * np.stack([-one, one]) for one in near.directions.T[near.rank :]]
        notes = [
            f"{self._weight(task, state)} g' W g is {loss:.3g} without the simulation's noise (standard error "
            f"{error:.2g}), over {len(state.last)} replicates (S): variances are 1 + 1/S times those of the moments' "
            "expectations, where runs vary as the data do.",
            agreement(task.space, state.restarts, state.region.centre, near).sentence,
            overidentified(near, data),
            *_errors(task, real, covariance),
            *(flat_direction(task.space, middle + width * one, len(state.last)) for one in ends),
            *at_ends(task.space, real),
        ]
        if short.any():
            notes.append(
                f"The minimum is not reached: by the linear model it lies {np.abs(short).max():.2g} spreads of the "
                "prior away. The square of that distance is added to the covariance; raise the budget."
            )
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        return Point(real, covariance, loss, tuple(notes))

    def _reached(self, state: Standing, near: Linearised, step: np.ndarray) -> bool:
        """Whether the last step (d,) is so short that it can be trusted, or no longer than luck makes it."""
        luck = near.rank * (1.0 / len(state.region.kept) + 1.0 / len(state.last))
        return bool(np.abs(step).max() <= _REACH * self.difference) or promised(near, step) <= _LUCK * luck

    def _weight(self, task: Problem, state: Standing) -> str:
        """Which weight it was, in words."""
        known = task.target.covariance is not None
        if int(state.steps) == 1:
            units = "standard errors" if known else "spreads over the prior"
            return f"One step, with a diagonal weight: gaps in {units}."
        whence = "of the data" if known else f"of {self._covarying(task, int(state.budget))} runs at the first estimate"
        return f"Two steps, the second with the inverse of the moments' covariance ({whence}) for a weight."


def weighed(task: Problem, state: Standing) -> Problem:
    """The problem with gaps measured by the state's weight."""
    return task.with_target(task.target.with_covariance(state.weight, "the inverse of the weight"))


def data_covariance(task: Problem, state: Standing, near: Linearised) -> np.ndarray | None:
    """The covariance (k, k) of the data's moments in the units of the weight; None where it is the identity, as the
    optimal weight makes it. One that is not known is that of a run of the model.
    """
    if int(state.steps) == 2:
        return None
    if task.target.covariance is None:
        return near.noise
    use = np.flatnonzero(task.target.fitted)
    errors = np.sqrt(np.diag(state.weight))[use]
    return task.target.covariance[np.ix_(use, use)] / np.outer(errors, errors)


def _diagonal(task: Problem, moments: np.ndarray) -> np.ndarray:
    """The first step's: variances of the data's moments, or, not known, how far runs of the prior are from them."""
    if task.target.covariance is not None:
        return np.diag(np.diag(task.target.covariance))
    return np.diag(spread(moments, task.target.values, task.target.labels) ** 2)


def _at(task: Problem, z: np.ndarray, key: Key) -> Simulate:
    return Simulate(at(task.space, z), split(jr.fold_in(key, 1), len(z)), none=True)


def _errors(task: Problem, real: np.ndarray, covariance: np.ndarray) -> list[str]:
    """The standard errors in the parameters' own units: half of what one on either side changes."""
    if not np.isfinite(covariance).all():
        return []
    errors = np.sqrt(np.diag(covariance))
    sides = np.stack([real, *(real + sign * np.diag(errors)[i] for i in range(real.size) for sign in (-1.0, 1.0))])
    flat = np.asarray(task.space.flat(task.space.from_real(sides)), np.float64)
    halves = [(flat[2 + 2 * i, i] - flat[1 + 2 * i, i]) / 2.0 for i in range(real.size)]
    told = (
        f"{label} {value:.4g} ({half:.2g})"
        for label, value, half in zip(task.space.labels, flat[0], halves, strict=True)
    )
    return [f"Estimates and standard errors: {', '.join(told)}."]
