"""Approximate Bayesian computation by a population that closes in on the data.

The adaptive population Monte Carlo of Lenormand, Jabot and Deffuant (2013, Statistics and Computing 23): each round
proposes from a Gaussian kernel around the particles that are left, keeps the best share of old and new, and lowers
the tolerance to the worst distance kept. No run is simulated and thrown away unseen, a round's size never changes, and
it stops when new proposals hardly ever get in. Importance weights correct for the kernel.

At the end the particles may be moved to where they would be had they hit the data exactly, by a local linear
regression of parameters on moments (Beaumont, Zhang and Balding 2002). That is a shortcut and it has its checks: it is
not tried where the data lie outside the cloud of the particles' runs, for there it would extrapolate; and runs at
moved and at unmoved particles are compared, and the move is kept only if it does not lead away from the data.
"""

import equinox as eqx
import jax.random as jr
import numpy as np
import scipy.linalg
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.host import split
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.covariance import factor
from ..problem.distances import Distance, Standardised
from ..problem.problem import Problem, Simulate, Simulated
from ..problem.space import Space
from .estimates import Posterior, systematic, weighted_covariance
from .tally import Tally

_FAR = 1e300


class Particles(eqx.Module):
    """The state: particles that are kept, and how the search stands.

    `real` (n, d), `log_weight` (n,), `moments` (n, k), `distance` (n,); `tolerance`: the largest distance kept;
    `accepted`: the share of the last proposals that got in; `phase`: 0 closing in, 1 the move is to be checked,
    2 done; `moved` (m, d) and `moved_moments` (m, k): checked particles; `gain`: how much nearer moved runs are, in
    standard errors of the comparison; `left`: calls of the budget not yet spent; `plan`: particles
    and runs of the check.
    """

    real: np.ndarray
    log_weight: np.ndarray
    moments: np.ndarray
    distance: np.ndarray
    tolerance: np.ndarray
    accepted: np.ndarray
    phase: np.ndarray
    moved: np.ndarray
    gain: np.ndarray
    left: np.ndarray
    plan: np.ndarray
    tally: Tally

    @property
    def count(self) -> int:
        """How many particles are kept."""
        return int(self.plan[0])

    @property
    def reserve(self) -> int:
        """Runs put aside for the check of the adjustment."""
        return int(self.plan[1])


class SequentialABC(Method[Problem, Particles, Posterior]):
    """Adaptive sequential Monte Carlo ABC.

    **Arguments:**

    - `particles`: how many particles are kept; None for a thirtieth of the budget, between 20 a parameter and 1000. A
      first round draws twice as many from the prior; later ones propose as many again.
    - `stop`: end when less than this share of proposals gets in.
    - `distance`: how far a run is from the data; by default the root mean square gap of the fitted
      moments in standard errors.
    - `adjust`: move the particles by local linear regression, if that passes its check.
    - `check`: runs spent on that check, half of them at moved particles.
    """

    particles: int | None = eqx.field(static=True, default=None)
    stop: float = eqx.field(static=True, default=0.03)
    distance: Distance = eqx.field(default_factory=Standardised)
    adjust: bool = eqx.field(static=True, default=True)
    check: int = eqx.field(static=True, default=400)

    @property
    def needs_covariance(self) -> bool:
        return self.adjust or self.distance.needs_covariance

    def start(self, task: Problem, key: Key, budget: int) -> Particles:
        least = 20 * task.space.size
        count = self.particles or int(np.clip(budget // 30, least, 1000))
        reserve = min(self.check, budget // 5) // 2 * 2 if self.adjust else 0
        needed = 3 * count + reserve
        if count < least:
            raise MethodError(f"{count} particles for {task.space.size} parameters: take at least {least}")
        if budget < needed:
            raise MethodError(f"a budget of {budget} calls is too small for {count} particles: give {needed}")
        if self.adjust:
            if self.check < 20:
                raise MethodError(
                    f"check={self.check} runs cannot tell near from far: take 20 or more, or adjust=False"
                )
            _standard(task)
        d, k = task.space.size, len(task.target.labels)
        return Particles(
            np.zeros((0, d)),
            np.zeros(0),
            np.zeros((0, k)),
            np.zeros(0),
            np.array(np.inf),
            np.array(1.0),
            np.array(0),
            np.zeros((0, d)),
            np.array(np.nan),
            np.array(budget),
            np.array([count, reserve]),
            Tally.empty(),
        )

    def ask(self, task: Problem, state: Particles, key: Key) -> Simulate:
        propose, simulate = jr.split(key)
        if int(state.phase) == 1:
            moved = self._moved(task, state)
            half = state.reserve // 2
            chosen = systematic(propose, _normal(state.log_weight), half)
            real = np.concatenate([moved[chosen], state.real[chosen]])
        elif state.real.shape[0] == 0:
            real = np.asarray(task.space.to_real(task.space.sample(propose, 2 * state.count)), np.float64)
        else:
            real = self._propose(state, propose)
        return Simulate(task.space.from_real(real), split(simulate, real.shape[0]))

    def _propose(self, state: Particles, key: Key) -> np.ndarray:
        pick, jitter = jr.split(key)
        weights = _normal(state.log_weight)
        parents = state.real[systematic(pick, weights, state.count)]
        noise = host_generator(jitter).standard_normal(parents.shape)
        return parents + noise @ _kernel(state).T

    def tell(self, task: Problem, state: Particles, ask: Simulate, answer: Simulated) -> Particles:
        distance = self.distance(answer.moments, task.target)
        distance = np.where(answer.excluded | ~np.isfinite(distance), _FAR, distance)
        tally = state.tally.with_(answer)
        if int(state.phase) == 1:
            return self._checked(state, ask, task, distance, tally)
        real = np.asarray(task.space.to_real(ask.parameters), np.float64)
        first = state.real.shape[0] == 0
        log_weight = np.zeros(real.shape[0]) if first else self._weigh(task, state, real)
        usable = np.isfinite(log_weight) & np.isfinite(real).all(1)
        distance = np.where(usable, distance, _FAR)
        rows = [
            np.concatenate([old, new])
            for old, new in zip(
                (state.real, state.log_weight, state.moments, state.distance),
                (real, np.where(usable, log_weight, -_FAR), answer.moments, distance),
                strict=True,
            )
        ]
        kept = np.argsort(rows[3], kind="stable")[: state.count]
        if rows[3][kept[-1]] >= _FAR:
            raise MethodError(
                f"only {int((rows[3] < _FAR).sum())} of {rows[3].size} runs from the prior can be used, and "
                f"{state.count} particles are wanted: {tally.sentence()}"
            )
        accepted = 1.0 if first else float((kept >= state.real.shape[0]).mean())
        left = int(state.left) - distance.size
        closing = accepted > self.stop and left >= state.count + state.reserve
        real, log_weight, moments, best = (row[kept] for row in rows)
        after = Particles(
            real,
            log_weight,
            moments,
            best,
            np.array(rows[3][kept].max()),
            np.array(accepted),
            np.array(0),
            state.moved,
            state.gain,
            np.array(left),
            state.plan,
            tally,
        )
        if closing:
            return after
        check = self.adjust and self._inside(task, after)
        return eqx.tree_at(lambda s: s.phase, after, np.array(1 if check else 2))

    def _weigh(self, task: Problem, state: Particles, real: np.ndarray) -> np.ndarray:
        """Prior over proposal density, in logarithms, with mean 1 over the particles that the round started from.

        Runs within a tolerance, weighted so, follow the same density in every round, times a factor of the round that
        is free: any that does not look at the round's own draws leaves the posterior as it is, and the least variance
        of the pooled sample has that which makes weights alike (Owen and Zhou 2000). With none, the few particles
        left from the prior would outweigh, or vanish beside, all later ones, by the units of the parameters.
        """
        weights = _normal(state.log_weight)
        lower = _kernel(state)
        old = scipy.linalg.solve_triangular(lower, state.real.T, lower=True).T

        def ratio(rows: np.ndarray) -> np.ndarray:
            white = scipy.linalg.solve_triangular(lower, rows.T, lower=True).T
            logs = np.log(np.maximum(weights, 1e-300))
            parts = [cdist(white[start : start + 512], old, "sqeuclidean") for start in range(0, len(white), 512)]
            mixture = np.concatenate([np.asarray(logsumexp(logs - 0.5 * part, axis=1)) for part in parts])
            return _prior_density(task.space, rows) - mixture

        return ratio(real) - logsumexp(ratio(state.real), b=weights)

    def _checked(self, state: Particles, ask: Simulate, task: Problem, distance: np.ndarray, tally: Tally) -> Particles:
        half = distance.size // 2
        pairs = np.minimum(np.stack([distance[:half], distance[half:]]), 10.0 * float(state.tolerance) + 1.0)
        gap = pairs[1] - pairs[0]
        error = gap.std(ddof=1) / np.sqrt(half) + 1e-12
        return eqx.tree_at(
            lambda s: (s.phase, s.moved, s.gain, s.tally),
            state,
            (np.array(2), self._moved(task, state), np.array(gap.mean() / error), tally),
        )

    def _moved(self, task: Problem, state: Particles) -> np.ndarray:
        """Particles moved along the local linear regression of parameters on moments, Epanechnikov weights."""
        gaps = _gaps(task, state)
        kernel = np.maximum(1.0 - (state.distance / (float(state.tolerance) * (1 + 1e-9) + 1e-300)) ** 2, 1e-6)
        root = np.sqrt(_normal(state.log_weight) * kernel)[:, None]
        design = np.concatenate([np.ones((gaps.shape[0], 1)), gaps], axis=1)
        slope = np.linalg.lstsq(root * design, root * state.real, rcond=1e-8)[0][1:]
        return state.real - gaps @ slope

    def _inside(self, task: Problem, state: Particles) -> bool:
        """Whether the data lie among the particles' runs: nearer to their centre than 1 of 20 of them (Mahalanobis)."""
        gaps, weights = _gaps(task, state), _normal(state.log_weight)
        centre = weights @ gaps
        spread = weighted_covariance(gaps, weights)
        spread += (1e-9 * np.trace(spread) + 1e-12) * np.eye(centre.size)  # all particles may hit the data exactly
        lower = np.linalg.cholesky(spread)
        own = (scipy.linalg.solve_triangular(lower, (gaps - centre).T, lower=True) ** 2).sum(0)
        data = (scipy.linalg.solve_triangular(lower, -centre, lower=True) ** 2).sum()
        return bool(weights[own >= data].sum() > 0.05)

    def done(self, task: Problem, state: Particles, left: int) -> Done | None:
        if int(state.phase) < 2:
            return None
        if float(state.accepted) > self.stop:
            return Done(Code.BUDGET_SPENT, _spent(state))
        share = f"{100 * float(state.accepted):.1f} % of the last proposals came nearer"
        return Done(Code.CONVERGED, f"stopped by its own rule: {share}, at distance {float(state.tolerance):.3g}")

    def finish(self, task: Problem, state: Particles, key: Key) -> Posterior:
        moved = bool(np.isfinite(state.gain)) and float(state.gain) > -2.0
        real = state.moved if moved else state.real
        notes = [
            f"{real.shape[0]} particles within {float(state.tolerance):.3g} of the data (distances as the method "
            "measures them)."
        ]
        if self.adjust and not np.isfinite(state.gain):
            notes.append(
                "No regression adjustment was made: the data lie outside the runs that came nearest, so that it would "
                "extrapolate; the intervals are those of the particles as they are."
            )
        elif self.adjust:
            verb = "kept" if moved else "dropped"
            notes.append(
                f"The regression adjustment was {verb}: runs at adjusted particles are nearer to the data by "
                f"{float(state.gain):.1f} standard errors of the comparison."
            )
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        return Posterior(real, _normal(state.log_weight), state.moments, tuple(notes))


def _spent(state: Particles) -> str:
    return (
        f"the budget ran out while {100 * float(state.accepted):.0f} % of proposals still came nearer "
        f"(distance {float(state.tolerance):.3g}): intervals may be too wide"
    )


def _standard(task: Problem) -> np.ndarray:
    """The Cholesky factor of the fitted moments' covariance; refuses a target that has none."""
    use = np.flatnonzero(task.target.fitted)
    if task.target.covariance is None:
        raise MethodError("the regression adjustment measures gaps in standard errors: the target needs a covariance")
    return factor(task.target.covariance[np.ix_(use, use)], [task.target.labels[i] for i in use])


def _gaps(task: Problem, state: Particles) -> np.ndarray:
    """The particles' gaps to the data in independent units, (n, fitted moments)."""
    use = np.flatnonzero(task.target.fitted)
    gaps = (state.moments[:, use] - task.target.values[use]).T
    return scipy.linalg.solve_triangular(_standard(task), gaps, lower=True).T


def _prior_density(space: Space, real: np.ndarray) -> np.ndarray:
    return np.asarray(space.log_prob_real(real), np.float64)


def _normal(log_weight: np.ndarray) -> np.ndarray:
    return np.exp(log_weight - logsumexp(log_weight))


def _kernel(state: Particles) -> np.ndarray:
    """The Cholesky factor of twice the weighted covariance (Beaumont et al. 2009; Filippi et al. 2013)."""
    spread = 2.0 * weighted_covariance(state.real, _normal(state.log_weight))
    scale = np.sqrt(np.maximum(np.diag(spread), 1e-300))
    correlation = spread / np.outer(scale, scale) + 1e-9 * np.eye(scale.size)
    return scale[:, None] * np.linalg.cholesky(correlation)
