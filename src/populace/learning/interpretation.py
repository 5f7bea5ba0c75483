"""The verb `interpret`: learned policies beside the rule, at the states to which the policies lead."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Band, BandPanel, Figure, Result, Section, Table
from .._types import Key
from .game import Game, Policies, watched
from .visited import Visited, outputs, span, visits

_QUINTILES, _DECILES = 5, 10
_BAND = (0.05, 0.5, 0.95)
_MOST_PANELS = 6
_MOSTLY = 0.9
"""An elasticity is of positive numbers: it is told where at least this share of points has them."""
_CONSTANT = 1e-5
"""Actions that vary by less than this part of their size do not vary."""

Quantiles: TypeAlias = tuple[float, float, float] | None


@dataclass(frozen=True)
class Elasticity:
    """How an action goes with one component of the view: 5 %, 50 % and 95 % quantiles over visited points.

    `measure`: "elasticity", d log a / d log x, of positive numbers; "semi-elasticity", d log a / dx, where x is not
    positive at nine points of ten; "slope", da / dx, where an action is not. `share`: of points that it is of.
    """

    action: str
    component: str
    measure: str
    learned: Quantiles
    rule: Quantiles
    share: float


def elasticities(visited: Visited) -> tuple[Elasticity, ...]:
    """Of every action on a scale with respect to every real component that varies."""
    found = []
    for k, out in enumerate(visited.outputs):
        for d, name in enumerate(visited.names):
            x, actions = visited.x[:, d], (visited.learned[:, k], visited.rule[:, k])
            if out.options or not visited.real[d] or np.ptp(x) == 0:
                continue
            positive = (actions[0] > 0) & (actions[1] > 0)
            measure, where = "slope", np.ones(x.size, bool)
            if (positive & (x > 0)).mean() >= _MOSTLY:
                measure, where = "elasticity", positive & (x > 0)
            elif positive.mean() >= _MOSTLY:
                measure, where = "semi-elasticity", positive
            ours, theirs = (
                _quantiles(slope[where, k, d] * _factor(measure, x[where], action[where]))
                for slope, action in zip((visited.dlearned, visited.drule), actions, strict=True)
            )
            found.append(Elasticity(out.name, name, measure, ours, theirs, float(where.mean())))
    return tuple(found)


def _factor(measure: str, x: np.ndarray, action: np.ndarray) -> np.ndarray | float:
    return 1.0 if measure == "slope" else 1.0 / action if measure == "semi-elasticity" else x / action


def _quantiles(values: np.ndarray) -> Quantiles:
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, middle, high = np.quantile(values, _BAND)
    return float(low), float(middle), float(high)


@dataclass(frozen=True)
class Apart:
    """How far policy and rule are apart in one action, and where most: the `sentence` says it.

    `distance`: root mean square in standard deviations of the rule's actions, or of its mean size where the rule always
    does the same (`unit`); of options the share of points at which they choose differently. `component`: the one whose
    quintile `low` to `high` has the largest distance `there`; empty where nothing that is seen varies.
    """

    action: str
    distance: float
    unit: str
    component: str
    low: float
    high: float
    there: float
    sentence: str


def apart(visited: Visited, k: int) -> Apart:
    """Of one action."""
    out, learned, rule = visited.outputs[k], visited.learned[:, k], visited.rule[:, k]
    if out.options:
        unit, loss, root = "of the visited points", (learned != rule).astype(float), lambda mean: mean
    else:
        size, unit = _unit(rule)
        loss, root = ((learned - rule) / size) ** 2, np.sqrt
    distance = float(root(loss.mean()))
    found = [
        (float(root(loss[where].mean())), name, float(visited.x[where, d].min()), float(visited.x[where, d].max()))
        for d, name in enumerate(visited.names)
        if np.ptp(visited.x[:, d]) > 0
        for where in bins(visited.x[:, d], _QUINTILES)
    ]
    there, component, low, high = max(found, key=lambda one: one[0], default=(distance, "", 0.0, 0.0))
    said = (lambda value: f"{100 * value:.3g} %") if out.options else (lambda value: f"{value:.3g}")
    how = "choose differently at" if out.options else "differ by"
    sentence = f"{out.name}: policy and rule {how} {said(distance)} {unit}"
    if component and distance > 0:
        sentence += f", most where {component} is {span(low, high)} ({said(there)})"
    return Apart(out.name, distance, unit, component, low, high, there, f"{sentence}.")


def _unit(rule: np.ndarray) -> tuple[float, str]:
    sd, size = float(rule.std()), float(np.abs(rule).mean())
    if sd > _CONSTANT * size:
        return sd, "standard deviations of the rule's actions (root mean square)"
    if size > 0:
        return size, "times the rule's action, which is always the same (root mean square)"
    return 1.0, "(root mean square; the rule's action is always 0)"


def bins(x: np.ndarray, most: int) -> list[np.ndarray]:
    """Masks (n,) of as many points each as values allow, in rising order; a bin a value where there are few."""
    values = np.unique(x)
    if values.size <= most:
        return [x == value for value in values]
    edges = np.unique(np.quantile(x, np.linspace(0, 1, most + 1)[1:-1]))
    index = np.searchsorted(edges, x, side="right")
    return [index == b for b in np.unique(index)]


def most_influential(visited: Visited, values: np.ndarray) -> int:
    """The component whose deciles explain most of the variance of `values` (n,)."""

    def explained(x: np.ndarray) -> float:
        return sum(where.sum() * float(values[where].mean() - values.mean()) ** 2 for where in bins(x, _DECILES))

    return int(np.argmax([explained(visited.x[:, d]) for d in range(len(visited.names))]))


@dataclass(frozen=True)
class Interpretation(Result):
    """Policies beside the rule, on the views that the policies meet.

    `visited`: site to the points; `elasticities` and `apart`: site to what was found there.
    """

    visited: dict[str, Visited]
    elasticities: dict[str, tuple[Elasticity, ...]]
    apart: dict[str, tuple[Apart, ...]]
    sets: int
    runs: int

    def sections(self) -> tuple[Section, ...]:
        return tuple(self._section(path, visited) for path, visited in self.visited.items())

    def record(self) -> dict[str, Any]:
        return {
            "sets": self.sets,
            "runs": self.runs,
            "elasticities": {p: [dataclasses.asdict(one) for one in found] for p, found in self.elasticities.items()},
            "apart": {path: [dataclasses.asdict(one) for one in found] for path, found in self.apart.items()},
        }

    def _section(self, path: str, visited: Visited) -> Section:
        count, each = visited.x.shape[0], f"{self.runs} fresh runs" + (" of each training" if self.sets > 1 else "")
        seen = ", ".join(visited.range(d) for d in range(min(len(visited.names), _MOST_PANELS)))
        more = len(visited.names) - _MOST_PANELS
        text = (
            f"{count} decisions at '{path}' in {each}. Nothing is said of what was not visited: seen was {seen}"
            + (f", and {more} more." if more > 0 else "."),
            *(one.sentence for one in self.apart[path]),
        )
        tables = [table for table in (self._elasticities(path), _shares(path, visited)) if table.rows]
        return Section(f"Policy and rule at {path}", text, (), (_figure(path, visited),), tuple(tables))

    def _elasticities(self, path: str) -> Table:
        quantiles = (f"{who}, {q}" for who in ("policy", "rule") for q in ("5 %", "median", "95 %"))
        columns, none = ("action", "component", "measure", *quantiles, "share"), (None, None, None)
        rows = tuple(
            (one.action, one.component, one.measure, *(one.learned or none), *(one.rule or none), one.share)
            for one in self.elasticities[path]
        )
        note = (
            "Elasticity: d log action / d log component; semi-elasticity: d log action / d component; slope: d action "
            "/ d component. Quantiles over the share of visited points where it is defined."
        )
        return Table(f"How actions go with what is seen at {path}", columns, rows, note)


def interpret(
    game: Game, policies: Policies | Sequence[Policies], key: Key, *, runs: int = 16, points: int = 20_000
) -> Interpretation:
    """Set what policies do beside what the rule would do on the same views, in fresh runs of the policies.

    Reported are how actions go with each number that is seen (elasticities, of options their shares), how far policy
    and rule are apart and where most, and a picture of both against the number that matters most to the policy. What
    is not visited is not spoken of. A network that explores takes the middle of its law; what any other policy draws is
    read draw by draw.

    **Arguments:**

    - `policies`: one set, site to policy, or one a training (`LearnedPolicies.policies`); trainings are pooled.
    - `runs`: fresh runs of each set.
    - `points`: decisions that are kept of a site, about, drawn evenly from all runs.

    **Returns:** an `Interpretation`.

    **Raises:** `MethodError`, `UnknownSiteError` before any run; `FaultError` when a run meets one, by a policy or by
    the rule where the policy leads.
    """
    sets = (policies,) if isinstance(policies, Mapping) else tuple(policies)
    check(game, sets, runs, points)
    visited = visits(watched(game), sets, jr.split(key, runs), points, slopes=True)
    return Interpretation(
        visited=visited,
        elasticities={path: elasticities(seen) for path, seen in visited.items()},
        apart={path: tuple(apart(seen, k) for k in range(len(seen.outputs))) for path, seen in visited.items()},
        sets=len(sets),
        runs=runs,
    )


def check(game: Game, sets: Sequence[Policies], runs: int, points: int) -> None:
    """Whether there is something to read, and enough of it."""
    if not sets or not sets[0]:
        raise MethodError("there is no policy to read: give one set, site to policy, or one a training")
    if any(jax.tree.structure(one) != jax.tree.structure(sets[0]) for one in sets):
        raise MethodError("sets of policies that are read together have one structure: the same sites, the same sizes")
    if runs < 2 or points < 100:
        raise MethodError(f"runs={runs}, points={points}: two runs and 100 points are the least")
    game.with_policies(sets[0])
    for path in sets[0]:
        outputs(path, game.learners[path].actions)


def _shares(path: str, visited: Visited) -> Table:
    """How often each option is taken in each quintile of each component."""
    rows = [
        (out.name, name, float(x[where].min()), float(x[where].max()), option, *shares)
        for k, out in enumerate(visited.outputs)
        for name, x in zip(visited.names, visited.x.T, strict=True)
        for where in bins(x, _QUINTILES)
        for option in range(out.options)
        for shares in [tuple(float((a[where, k] == option).mean()) for a in (visited.learned, visited.rule))]
    ]
    columns = ("action", "component", "from", "to", "option", "policy", "rule")
    note = "The share of decisions for an option, by quintiles of what is seen."
    return Table(f"What is chosen at {path}", columns, tuple(rows), note)


def _figure(path: str, visited: Visited) -> Figure:
    panels = [panel for k in range(len(visited.outputs)) for panel in _panels(visited, k)][:_MOST_PANELS]
    caption = "Decisions in bins of the component that matters most to the policy; only what was visited."
    return Figure(f"policy-and-rule-{path.replace('/', '-')}", caption, tuple(panels))


def _panels(visited: Visited, k: int) -> list[BandPanel]:
    """Of a number on a scale one; of options one each."""
    out, both = visited.outputs[k], (visited.learned[:, k], visited.rule[:, k])
    if not out.options:
        return [_panel(visited, out.name, out.name, both, share=False)]
    taken = [tuple((actions == option).astype(float) for actions in both) for option in range(out.options)]
    return [_panel(visited, f"{out.name} = {o}", "share of decisions", two, share=True) for o, two in enumerate(taken)]


def _panel(visited: Visited, title: str, y_label: str, both: Sequence[np.ndarray], *, share: bool) -> BandPanel:
    d = most_influential(visited, both[0])
    x = visited.x[:, d]
    masks = bins(x, _DECILES)
    at = np.array([np.median(x[where]) for where in masks])
    bands = []
    for label, values in zip(("policy", "rule"), both, strict=True):
        low, middle, high = np.array([np.quantile(values[where], _BAND) for where in masks]).T
        means = np.array([values[where].mean() for where in masks])
        band = Band(label, at, means, {}, line="mean") if share else Band(label, at, middle, {0.9: (low, high)})
        bands.append(band)
    return BandPanel(title, visited.names[d], y_label, tuple(bands), note=f"Visited: {visited.range(d)}.")
