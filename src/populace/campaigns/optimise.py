"""The verb `optimise`: how much, and when, to intervene, under a posterior and chance.

The search sees one set of draws and keys, and its best is the luckiest of many there. So it is compared, on fresh draws
with fresh keys, with the runners-up, with doing nothing and with choices that were fixed beforehand, all on the same
numbers; what is said of gains are these runs. Where a runner-up is better there, it takes the place, and all is
compared once more on fresh runs.
"""

import time
from collections.abc import Mapping

import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.stats import norm

from .._errors import MethodError
from .._types import Key
from ..calibration.fit import Fit
from ..core.executor import Ticker
from ..core.progress import display
from ..identification.expected import spread
from ..problem.space import Space
from .conditional_means import LEAST, conditional_means
from .decision_search import BySurrogate, DecisionSearch, Searched, expected_losses
from .effects import Aim
from .interventions import OfRuns
from .optimal import BEST, NOTHING, OptimalIntervention, matters
from .trying import Measure, Trying

_NEAR = 6
_STRIDES = (0.03, 0.1, 0.3)
"""How far, as shares of the space, the best is compared with its neighbours along each decision."""
_SIZE = 0.05
_SAME = 1e-3


def optimise(
    fit: Fit,
    decisions: Space,
    measure: Measure,
    key: Key,
    *,
    outcome: str,
    of: OfRuns,
    higher_is_better: bool = False,
    price: float | None = None,
    cost_unit: str = "",
    fixed: Mapping[str, Mapping[str, float]] | None = None,
    by: DecisionSearch | None = None,
    draws: int = 100,
    confirming: int | None = None,
    progress: bool | Progress | None = None,
) -> OptimalIntervention:
    """The decision of least expected loss over a fit's posterior.

    **Arguments:**

    - `decisions`: what is decided, each a number between two ends: `Space(dose=dist.Uniform(0.0, 1.0))`.
    - `measure`: from a dict of numbers to what is then done, an `Intervention` (with its cost) or a tuple of plugs.
    - `outcome`, `of`, `higher_is_better`, `price`, `cost_unit`: what counts, as for `counterfactual`. Without a price
      costs do not count.
    - `fixed`: choices to compare with, name to decisions: what is usually done.
    - `by`: how to look, `BySurrogate()` or `ByGradient()`.
    - `draws`: of the posterior that the search tries each decision on; `confirming`: fresh ones, twice as many by
    default.

    **Returns:** an `OptimalIntervention`.

    **Raises:** `MethodError` for decisions without ends or too few draws; as `counterfactual` for what cannot be done.
    """
    begun, d = time.perf_counter(), decisions.size
    fresh = 2 * draws if confirming is None else confirming
    if min(draws, fresh) < LEAST:
        raise MethodError(f"{draws} draws, {fresh} to confirm: give {LEAST} or more of both")
    aim, how = Aim(outcome, higher_is_better, price, cost_unit), BySurrogate() if by is None else by
    search, look, confirm = jr.split(key, 3)
    trying = Trying.on(fit, decisions, measure, of, aim, search, draws)
    choices = {name: trying.units(one) for name, one in (fixed or {}).items()}
    if choices.keys() & {BEST, NOTHING}:
        raise MethodError(f"'{BEST}' and '{NOTHING}' are names of options already: call fixed choices otherwise")
    with display(progress) as shown:
        ticker = Ticker(shown, "decisions", (1 + how.tries(d)) * draws + (_NEAR + 6 * d + 2 + len(choices)) * fresh)
        base = trying.nothing(ticker)
        found = how.search(trying, look, ticker)
        best, rivals = found.best, _rivals(found)
        losses = _compared(trying.again(jr.fold_in(confirm, 0), fresh), best, rivals, choices, ticker)
        better = _better(losses[:, : 1 + len(rivals)], matters(losses[:, 1 + len(rivals)] - losses[:, 0]))
        if better is not None:
            best, rivals = rivals[better], np.concatenate([best[None], np.delete(rivals, better, 0)])
            losses = _compared(trying.again(jr.fold_in(confirm, 1), fresh), best, rivals, choices, ticker)
    points = np.concatenate([best[None], rivals])
    values = trying.values(np.concatenate([points, *(unit[None] for unit in choices.values())]))
    told = [", ".join(f"{n} {x:.3g}" for n, x in zip(decisions.labels, row, strict=True)) for row in values]
    names = (BEST, *(f"{i + 1}: {told[1 + i]}" for i in range(len(rivals))), NOTHING, *choices)
    placed = np.insert(values, len(points), np.nan, axis=0)
    gap, error = _gap(found, base, losses, len(points))
    return OptimalIntervention(
        aim, decisions.labels, values[0], names, placed, losses, np.stack(decisions.bounds()), found,
        _known(trying, found, jr.fold_in(look, 1)), better is not None, gap, error, fresh - len(losses),
        time.perf_counter() - begun,
    )  # fmt: skip


def _compared(
    trying: Trying, best: np.ndarray, rivals: np.ndarray, choices: Mapping[str, np.ndarray], ticker: Ticker
) -> np.ndarray:
    """Losses (n, k) of the best, its rivals, doing nothing and fixed choices, of draws whose runs can all be used.

    **Raises:** `MethodError` where these are few.
    """
    rows = [*trying.at(np.concatenate([best[None], rivals]), ticker), trying.nothing(ticker)]
    rows += [trying.at(unit[None], ticker)[0] for unit in choices.values()]
    losses = np.stack(rows, axis=1)
    used = losses[np.asarray(np.isfinite(losses).all(1))]
    if len(used) < LEAST // 2:
        raise MethodError(f"{len(used)} of {len(losses)} fresh draws have runs that can all be used: too few")
    return used


def _rivals(found: Searched) -> np.ndarray:
    """Runners-up (m, d): those that the search's own draws do not tell from its best, far apart from each other, and
    the next best where these are few; and neighbours of the best along each decision.
    """
    means = expected_losses(found.losses)
    apart = np.abs(found.unit - found.best).max(1) > _SAME
    order = [i for i in np.argsort(means, kind="stable") if apart[i] and np.isfinite(means[i])]
    gaps = found.losses - found.losses[int(np.nanargmin(means))]
    error = np.nanstd(gaps, axis=1, ddof=1) / np.sqrt(np.isfinite(gaps).sum(1))
    near = [i for i in order if np.nanmean(gaps[i]) <= 2.0 * error[i]]
    chosen = near if len(near) >= 3 else order[:3]
    steps = np.kron(np.eye(found.best.size), np.array([*_STRIDES, *(-s for s in _STRIDES)])[:, None])
    beside = found.best + steps
    inside = beside[((beside > 0.0) & (beside < 1.0)).all(1)]
    return np.concatenate([spread(np.concatenate([found.best[None], found.unit[chosen]]), _NEAR + 1)[1:], inside])


def _better(losses: np.ndarray, least: float) -> int | None:
    """The runner-up that is better than the best by more than `least`, if one is: by chance in 5 of 100 cases, all of
    them together.
    """
    gains = losses[:, :1] - losses[:, 1:]
    error = np.maximum(gains.std(0, ddof=1) / np.sqrt(len(gains)), 1e-300)
    lead = (gains.mean(0) - least) / error
    return int(lead.argmax()) if lead.max() > norm.isf(_SIZE / gains.shape[1]) else None


def _gap(found: Searched, base: np.ndarray, losses: np.ndarray, nothing: int) -> tuple[float, float]:
    """Fresh gain over doing nothing less the search's, and its standard error: both sets of draws have their luck."""
    gain = losses[:, nothing] - losses[:, 0]
    searched = base - found.losses[int(np.nanargmin(expected_losses(found.losses)))]
    searched, sound = searched[np.isfinite(searched)], np.isfinite(base)
    said = float(base[sound].mean()) - found.said
    error = np.sqrt(gain.var(ddof=1) / gain.size + searched.var(ddof=1) / searched.size)
    return float(gain.mean()) - said, float(error)


def _known(trying: Trying, found: Searched, key: Key) -> np.ndarray:
    """Quantiles (3, d) over the posterior of the decision, of those tried, that would be best were parameters known: of
    the least loss that is expected of each draw by a regression that has not learned from it.
    """
    alive = np.isfinite(expected_losses(found.losses))
    losses = found.losses[alive]
    used = np.isfinite(losses).all(0)
    if used.sum() < LEAST:
        return np.full((3, trying.space.size), np.nan)
    said = conditional_means((losses[1:] - losses[0])[:, used].T, trying.real[used], key)
    gains = np.concatenate([np.zeros((len(said.held_out), 1)), said.held_out], axis=1)
    chosen = trying.values(found.unit[alive])[gains.argmin(1)]
    return np.quantile(chosen, [0.025, 0.5, 0.975], axis=0)
