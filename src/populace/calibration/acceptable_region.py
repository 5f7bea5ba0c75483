"""The region of acceptable parameters, by active learning: runs are made where a classifier would learn most from them.

"Acceptable" is a level set: all parameters whose runs lie within a tolerance of the data, such as those that a test at
5 % does not tell from them. A fit by its best point says nothing of how large that set is; here it is learned whole, at
a budget of simulator calls. Rounds of runs at chosen candidates (`Acquisition`) follow on a first space-filling design;
at the end fresh runs, in proportion to what the classifier says, check what it says.

Lamperti, Roventini and Sani (2018, Journal of Economic Dynamics and Control 90:366) had the idea for agent-based
models; their scheme is `AcceptingTrees`, `PositivesThenEntropy` and `Pool`, with `batch=14` and `growth=0`.
"""

import equinox as eqx
import jax.random as jr
import numpy as np
from scipy.stats import norm

from .._errors import MethodError
from .._results import Code, Verdict
from .._types import Key
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.distances import Distance, Standardised
from ..problem.problem import Problem, Simulated
from ..surrogates.acceptance import Classifier, FittedClassifier, accepted
from ..surrogates.acquisitions import Acquisition, Candidates, Entropy, Evolving
from ..surrogates.bandit import Bandit, Credit, chosen, names, refuse
from ..surrogates.margin_ensemble import MarginEnsemble
from ..surrogates.optimum_acquisitions import OptimumAcquisition
from ..surrogates.posterior_acquisitions import PosteriorAcquisition
from ..surrogates.reach import at_bounds
from ..surrogates.samplers import Sobol
from ..surrogates.support import Guard
from .accepted import AcceptedRegion, sized, walked
from .tally import Tally
from .tries import Tries

_FEWEST = 20
_CHECK_SHARE = 0.1
_SIZE = 0.01
"""The chance that a right classifier is refuted."""
_DRAWN = 2_000
_EXTRAPOLATES = 0.1


class Seen(eqx.Module):
    """The state: runs at `unit` (n, d) with `ratios` (n,) of distance to tolerance, NaN for a failed one; `left`: calls
    unspent; `reserve`: of these for the check; `checked` (2, m): what was said and what was seen there; `credit`: who
    chose each run. A run yields, if it is acceptable, the probability with which it was expected not to be.
    """

    unit: np.ndarray
    ratios: np.ndarray
    left: np.ndarray
    reserve: np.ndarray
    checked: np.ndarray
    credit: Credit
    tally: Tally


class AcceptableRegion(Method[Problem, Seen, AcceptedRegion]):
    """All parameters whose runs lie within a tolerance of the data, learned actively.

    **Arguments:**

    - `tolerance`: the largest distance that is acceptable.
    - `distance`: how far a run is from the data; by default the root mean square gap of the fitted moments in standard
      errors.
    - `classifier`: what learns; `acquisition`: what is run next, of which `candidates`; or a `Bandit` of several.
    - `first`: runs of the Sobol design that it starts from; `batch`: of a round at the least, `growth`: as a share of
      the runs so far.
    - `check`: fresh runs at draws of the region at the end; None for a tenth of the budget, 200 at most.
    """

    tolerance: float = eqx.field(static=True)
    distance: Distance = eqx.field(default_factory=Standardised)
    classifier: Classifier = MarginEnsemble()
    acquisition: Acquisition[np.ndarray] = Entropy()
    candidates: Candidates = Evolving()
    first: int = eqx.field(static=True, default=100)
    batch: int = eqx.field(static=True, default=25)
    growth: float = eqx.field(static=True, default=0.15)
    check: int | None = eqx.field(static=True, default=None)

    @property
    def needs_covariance(self) -> bool:
        return self.distance.needs_covariance

    def start(self, task: Problem, key: Key, budget: int) -> Seen:
        if not self.tolerance > 0.0:
            raise MethodError(f"tolerance={self.tolerance}: what is acceptable lies within a distance above 0")
        if self.first < _FEWEST or self.batch < 1 or self.growth < 0.0:
            raise MethodError(f"take first={_FEWEST} runs or more, a batch of 1 or more and no negative growth")
        refuse(self.acquisition, (OptimumAcquisition, PosteriorAcquisition), "a region")
        reserve = int(np.clip(_CHECK_SHARE * budget, 20, 200)) if self.check is None else self.check
        if 0 < reserve < _FEWEST:
            raise MethodError(f"check={reserve} runs check nothing: make {_FEWEST} or more, or none with check=0")
        needed = self.first + reserve
        if budget < needed:
            raise MethodError(
                f"a budget of {budget} calls is too small for {self.first} first runs and {reserve} of the check: give "
                f"{needed} or more"
            )
        d = task.space.size
        unit, nothing = np.zeros((0, d)), np.zeros((2, 0))
        return Seen(unit, np.zeros(0), np.array(budget), np.array(reserve), nothing, Credit.empty(), Tally.empty())

    def ask(self, task: Problem, state: Seen, key: Key) -> Tries:
        learn, pick, simulate = jr.split(key, 3)
        n, open_calls = state.ratios.size, int(state.left) - int(state.reserve)
        generator, said = host_generator(pick), np.zeros(0)
        if n == 0:
            unit = Sobol().sequence(pick, task.space.size, 0, self.first)
            credit = state.credit.with_runs(np.full(self.first, -1))
        elif open_calls > 0:
            fitted = self.classifier.fit(state.unit, state.ratios, learn)
            points = self.candidates.points(state.unit, state.ratios, generator)
            each = fitted.probabilities(points)
            rows, by = chosen(self.acquisition, each, self._count(n, open_calls), generator, state.credit)
            unit, credit = points[rows], state.credit.with_runs(by, each[:, rows].mean(0))
        else:
            fitted = self.classifier.fit(state.unit, state.ratios, learn)
            drawn = walked(fitted, state.unit, state.ratios, generator, max(_DRAWN, int(state.reserve)))
            unit = drawn[generator.permutation(len(drawn))[: int(state.reserve)]]
            said = fitted.probabilities(unit).mean(0)
            credit = state.credit.with_runs(np.full(len(unit), -1))
        return Tries.at(task, unit, simulate, credit, first=n == 0, said=said)

    def _count(self, n: int, open_calls: int) -> int:
        """Runs of the next round: a rest that is no round of its own is taken along."""
        count = max(self.batch, int(self.growth * n))
        return open_calls if open_calls < 1.5 * count else count

    def tell(self, task: Problem, state: Seen, ask: Tries, answer: Simulated) -> Seen:
        distance = self.distance(answer.moments, task.target)
        ratios = np.where(answer.excluded | ~np.isfinite(distance), np.nan, distance / self.tolerance)
        checking = ask.said.size > 0
        return Seen(
            np.concatenate([state.unit, ask.unit]),
            np.concatenate([state.ratios, ratios]),
            np.array(int(state.left) - ask.calls()),
            np.array(0) if checking else state.reserve,
            np.stack([ask.said, accepted(ratios)]) if checking else state.checked,
            ask.credit.judged(accepted(ratios) * (1.0 - ask.credit.before[ask.credit.open])),
            state.tally.with_(answer),
        )

    def done(self, task: Problem, state: Seen, left: int) -> Done | None:
        if int(state.left) > 0:
            return None
        found = int(accepted(state.ratios).sum())
        return Done(Code.CONVERGED, f"all {state.ratios.size} runs were made, and {found} of them are acceptable")

    def finish(self, task: Problem, state: Seen, key: Key) -> AcceptedRegion:
        learn, look, walk = jr.split(key, 3)
        fitted = self.classifier.fit(state.unit, state.ratios, learn)
        threshold, share, spread = sized(fitted, task.space.size, host_generator(look))
        found = accepted(state.ratios)
        verdicts = []
        if not found.any():
            verdicts.append(_out_of_reach(state))
        else:
            draws = walked(fitted, state.unit, state.ratios, host_generator(walk), _DRAWN)
            verdicts += _support(fitted, state.unit, draws)
            verdicts += [verdict.sentence for verdict in at_bounds(task.space, draws)]
        notes = [
            f"{int(found.sum())} of {found.size} runs lie within {self.tolerance:.4g} of the data. By "
            f"{self.classifier.name} learned from them, {_percent(share)} of the prior is acceptable"
            + (f" (standard deviation over members {_percent(spread)})" if np.isfinite(spread) else "")
            + f"; a point is best called acceptable from a probability of {threshold:.2f} on."
        ]
        if isinstance(self.acquisition, Bandit):
            notes.append(state.credit.sentence(names(self.acquisition), "an acceptable run, by how little expected"))
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        if state.checked.shape[1]:
            notes.append(checked(state.checked).sentence)
        return AcceptedRegion(fitted, state.unit, state.ratios, threshold, share, spread, tuple(notes + verdicts))


def checked(pairs: np.ndarray) -> Verdict:
    """Whether fresh runs at draws of the region were as often acceptable as was said, pairs (2, m): probabilities, and
    1 for an acceptable run, else 0.
    """
    said, seen = pairs
    spread = np.sqrt((said * (1.0 - said)).sum())
    z = float((seen.sum() - said.sum()) / max(spread, 1e-9))
    numbers = {"runs": float(said.size), "acceptable": float(seen.sum()), "expected": float(said.sum()), "z": z}
    text = f"Of {said.size} fresh runs at draws of the region {int(seen.sum())} are acceptable, {said.sum():.0f} were"
    if 2.0 * norm.sf(abs(z)) >= _SIZE:
        return Verdict("the region", Code.CONFIRMED, f"{text} expected: confirmed by simulation.", numbers)
    side = "too large" if z < 0 else "too small"
    text = f"{text} expected ({z:+.1f} standard errors): refuted by simulation, the region was {side}. "
    return Verdict("the region", Code.REFUTED, text + "They were learned from since; raise the budget.", numbers)


def _support(fitted: FittedClassifier, unit: np.ndarray, draws: np.ndarray) -> list[str]:
    """Whether runs were made where the region lies: a sentence."""
    said, there = fitted.probabilities(unit), fitted.probabilities(draws)
    if said.shape[0] == 1:
        return []
    guard = Guard.of(unit, np.ones(unit.shape[1]), said.var(0, ddof=1)[:, None], np.array([said.mean(0).std() + 1e-12]))
    yes = np.ones(len(draws))
    share = float(guard.judge(draws, there.var(0, ddof=1)[:, None], yes, yes > 0).extrapolating.mean())
    if share <= _EXTRAPOLATES:
        return [f"{100 * (1.0 - share):.0f} % of the region's draws lie among the runs (inside the design)."]
    return [
        f"{100 * share:.0f} % of the region's draws lie far from every run, or where members contradict each other "
        f"(extrapolating): {Code.EXTRAPOLATING.mend}."
    ]


def _out_of_reach(state: Seen) -> str:
    known = state.ratios[np.isfinite(state.ratios)]
    nearest = f"the nearest lies {known.min():.3g} tolerances away" if known.size else "none of them counts"
    return (
        f"No run is acceptable: {nearest}. Nothing can be read off the region: raise the tolerance or the budget, "
        "widen the priors, or change a rule."
    )


def _percent(share: float) -> str:
    return f"{100.0 * share:.2g} %"
