"""Langevin dynamics on a generalised posterior: draws that walk down the gradient and are shaken as they should be.

With U = loss - log prior over v (parameters in spreads of their priors) and a preconditioner p a number,

    v' = v - (e p / 2) dU + N(0, e p (1 - e p h / 4) - (e p / 2)^2 s^2)

where h is the curvature, s^2 the known variance of the estimated gradient: what it shakes already is not added once
more, and the second term takes out what a finite step adds where the posterior is Gaussian. On the posterior E[dU^2]
= h (Fisher), so that the mean square of the gradients less their noise says how long a step each number bears.

Max Welling and Yee Whye Teh (2011), ICML; Sungjin Ahn, Anoop Korattikara and Max Welling (2012), ICML (Fisher scoring).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.noise import host_generator
from ..core.rounds import Ask, Done, Method
from ..gradients.estimator import Estimator
from ..problem.problem import Problem
from .estimates import Posterior
from .generalised import GeneralLoss, Keyed, MomentLoss, log_prior
from .gradient_choice import AskAudit, Choice, candidates
from .gradients_asked import Unscaled, native
from .judgement import at_ends, scales
from .mixing import effective_size, split_r_hat
from .tally import Tally

_BURN = 0.4
"""Share of the rounds that find the steps, and are thrown away."""
_FEWEST = 50
_MEMORY = 20
_LEAST = 1.0
"""Least curvature: the prior's own is about 1 in these units."""
_REACH = 8.0
_MIXED = 1.05


class Walk(eqx.Module):
    """Where the chains stand: `at` (s, d); `curvature`, `noise` (d,): running means of squared gradients less their
    variances, and of these; `path` (s, T, d); `chosen`: of the candidates for gradients, -1 until the audit has said;
    `left`: calls unspent.
    """

    at: np.ndarray
    curvature: np.ndarray
    noise: np.ndarray
    path: np.ndarray
    middle: np.ndarray
    spread: np.ndarray
    rounds: np.ndarray
    chosen: np.ndarray
    left: np.ndarray
    tally: Tally


class Langevin(Method[Problem, Walk, Posterior]):
    """A posterior by several chains of preconditioned stochastic-gradient Langevin dynamics.

    It needs gradients without bias, or with little: a biased one has another stationary law. The first 40 % of the
    rounds find the steps, which then stay as they are.

    **Arguments:** `loss`: as for `Variational`; `estimator`: of the loss's gradient, None to have candidates audited on
    this problem first; `chains`, started at draws from the prior; `replicates`: runs at each a round; `step`: e, in
    posterior variances (the error of a posterior that is no Gaussian grows with it); `audited`: as for `Variational`.
    """

    loss: GeneralLoss = MomentLoss()
    estimator: Estimator | None = None
    chains: int = eqx.field(static=True, default=16)
    replicates: int = eqx.field(static=True, default=4)
    step: float = eqx.field(static=True, default=0.3)
    audited: int = eqx.field(static=True, default=64)

    @property
    def needs_covariance(self) -> bool:
        return self.loss.needs_covariance

    def start(self, task: Problem, key: Key, budget: int) -> Walk:
        native(task)
        self.loss.check(task)
        if self.chains < 2 or self.replicates < 2 or not 0.0 < self.step <= 1.0:
            raise MethodError("take two chains or more, two replicates or more, and a step above 0 and up to 1")
        d = task.space.size
        middle, spread = scales(task.space)
        first = 0 if self.estimator else self._audit(task, middle, spread, key).calls()
        each = max(
            self._work(one, jnp.zeros((self.chains, d)), key, task, middle, spread).calls() for one in self._any(d)
        )
        if budget < first + _FEWEST * each:
            raise MethodError(
                f"a budget of {budget} calls is too small for {_FEWEST} rounds of {each} calls and an audit of {first}:"
                f" give {first + _FEWEST * each} or more"
            )
        real = np.asarray(task.space.to_real(task.space.sample(key, self.chains)), np.float64)
        at = np.clip((real - middle) / spread, -_REACH, _REACH)
        rounds = np.array((budget - first) // each)
        path = np.zeros((self.chains, 0, d))
        chosen = np.array(0 if self.estimator else -1)
        return Walk(
            *(at, np.full(d, 1.0), np.zeros(d), path, middle, spread, rounds, chosen, np.array(budget), Tally.empty())
        )

    def _any(self, d: int) -> tuple[Estimator, ...]:
        return (self.estimator,) if self.estimator else candidates(d)

    def _audit(self, task: Problem, middle: np.ndarray, spread: np.ndarray, key: Key) -> AskAudit:
        return AskAudit(jnp.zeros((1, middle.size)), key, _through(task, middle, spread), self.audited)

    def _work(self, one: Estimator, v: Array, key: Key, task: Problem, middle: np.ndarray, spread: np.ndarray) -> Ask:
        return self.loss.gradients(v, key, _through(task, middle, spread), one, self.replicates)

    def ask(self, task: Problem, state: Walk, key: Key) -> Ask:
        if int(state.chosen) < 0:
            return self._audit(task, state.middle, state.spread, key)
        v = jnp.asarray(state.at, jnp.float32)
        return Keyed(
            self._work(self._any(v.shape[1])[int(state.chosen)], v, key, task, state.middle, state.spread), key
        )

    def tell(self, task: Problem, state: Walk, ask: Any, answer: Any) -> Walk:
        state = eqx.tree_at(lambda s: s.left, state, np.array(int(state.left) - ask.calls()))
        if isinstance(answer, Choice):
            return eqx.tree_at(lambda s: s.chosen, state, np.array(answer.index))
        through = _through(task, state.middle, state.spread)
        pull = np.asarray(_prior_slope(through, jnp.asarray(state.at, jnp.float32)), np.float64)
        rate = self.loss.rate()
        slope, variance = rate * answer.gradients - pull, rate**2 * answer.variances
        sound = (answer.counted >= 2) & np.isfinite(slope).all(1)
        if not sound.any():
            raise MethodError(f"no chain could be simulated: {state.tally.with_(answer.seen).sentence()}")
        now = self._told(state, slope[sound], variance[sound])
        moved = now.at + self._moves(now, np.where(sound[:, None], slope, 0.0), variance, ask.key)
        at = np.where(sound[:, None], np.clip(moved, -_REACH, _REACH), now.at)
        path = np.concatenate([now.path, at[:, None]], axis=1)
        return eqx.tree_at(lambda s: (s.at, s.path, s.tally), now, (at, path, state.tally.with_(answer.seen)))

    def _told(self, state: Walk, slope: np.ndarray, variance: np.ndarray) -> Walk:
        """The state with what a round says of curvature and noise, until burn-in is over."""
        done = state.path.shape[1]
        if done >= self._burn(state):
            return state
        part = 1.0 / min(done + 1, _MEMORY)
        curvature = state.curvature + part * ((slope**2 - variance).mean(0) - state.curvature)
        noise = state.noise + part * (variance.mean(0) - state.noise)
        return eqx.tree_at(lambda s: (s.curvature, s.noise), state, (curvature, noise))

    def _burn(self, state: Walk) -> int:
        return int(_BURN * int(state.rounds))

    def _moves(self, state: Walk, slope: np.ndarray, variance: np.ndarray, key: Key) -> np.ndarray:
        h = np.maximum(state.curvature, _LEAST)
        pace = self.step / np.maximum(h, self.step * state.noise)  # e p, so short that noise is never too much already
        wanted = pace * (1.0 - pace * h / 4.0) - (pace / 2.0) ** 2 * variance
        shake = host_generator(key).standard_normal(slope.shape) * np.sqrt(np.maximum(wanted, 0.0))
        return -0.5 * pace * slope + shake

    def done(self, task: Problem, state: Walk, left: int) -> Done | None:
        if state.path.shape[1] < int(state.rounds):
            return None
        worst = float(split_r_hat(self._kept(state)).max())
        if worst <= _MIXED:
            return Done(Code.CONVERGED, f"all rounds were walked and the chains agree (split R-hat {worst:.3f})")
        return Done(Code.BUDGET_SPENT, f"the budget ran out before the chains agreed (split R-hat {worst:.3f})")

    def _kept(self, state: Walk) -> np.ndarray:
        return state.path[:, self._burn(state) :]

    def finish(self, task: Problem, state: Walk, key: Key) -> Posterior:
        kept = self._kept(state)
        real = state.middle + kept.reshape(-1, kept.shape[2]) * state.spread
        source = self._any(kept.shape[2])[int(state.chosen)]
        how = "as asked" if self.estimator else "which an audit on this problem chose"
        r_hat, size = split_r_hat(kept), effective_size(kept)
        worst = int(np.argmax(r_hat))
        notes = [
            f"{self.chains} chains on gradients by {source.name}, {how}; {kept.shape[1]} rounds after burn-in are "
            f"worth {size.min():.0f} independent draws at the least."
        ]
        if not source.unbiased:
            notes.append("These gradients are biased: the chains' law is off by as much as they are.")
        if r_hat[worst] > _MIXED:
            notes.append(
                f"The chains do not agree on {task.space.labels[worst]} (split R-hat {r_hat[worst]:.2f}): give more "
                "budget, or look for several modes; do not read the posterior."
            )
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        notes += at_ends(task.space, np.median(real, axis=0))
        weights = np.full(len(real), 1.0 / len(real))
        return Posterior(real, weights, np.full((len(real), len(task.target.labels)), np.nan), tuple(notes))


def _through(task: Problem, middle: np.ndarray, spread: np.ndarray) -> Unscaled:
    return Unscaled(jnp.asarray(middle, jnp.float32), jnp.asarray(spread, jnp.float32), task.space)


@eqx.filter_jit
def _prior_slope(through: Unscaled, v: Array) -> Array:
    """The gradient of the prior's log-density over v, (s, d)."""
    return jax.grad(lambda v: log_prior(through, v).sum())(v)
