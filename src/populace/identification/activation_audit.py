"""The verb `audit_activation`: does a conclusion hang on the order in which agents act?

The model is run under several activations with nothing else changed, and each conclusion is compared with what the
model's own activation says: it holds where differences are surely small, hangs on the order where one is surely large,
and stays open between the two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import equinox as eqx
import numpy as np
from rich.progress import Progress
from scipy.stats import t as student

from .._errors import ModelError
from .._results import Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from .._types import Key
from ..core.activation import Activated, Activation, RandomAgents, RandomBlocks, RandomSequential, Synchronous
from ..core.ensemble import ensemble
from ..core.plug import Plug
from ..core.progress import display

A = TypeVar("A", bound=Activated)
Conclusion = Callable[[Mapping[str, np.ndarray]], float | bool | np.ndarray]
"""From the observations of one run, name to (times, ...), to a number, or to whether something holds."""

OWN = "as written"
_LEVEL = 0.05
_SHARE = 0.25
"""Of the runs, for yes and no: what counts as small where the margin is 1."""
_FEW = 1_000
"""Agents up to which orders of single agents are tried when nothing is asked for."""


@dataclass(frozen=True)
class ActivationAudit(Result):
    """Conclusions under several activations; the first is the model's own.

    `values`: conclusion to (activations, runs), NaN for runs that failed; `margin`: what counts as small, in standard
    deviations between runs; for yes and no, in quarters of the runs; `yes`: the conclusions that are yes or no.
    """

    activations: tuple[str, ...]
    values: dict[str, np.ndarray]
    margin: float
    yes: frozenset[str] = field(default_factory=frozenset)

    @property
    def holds(self) -> bool:
        """Whether every conclusion is the same under all activations."""
        return all(verdict.code is Code.ANY_ORDER for verdict in self.verdicts())

    def verdicts(self) -> tuple[Verdict, ...]:
        """One a conclusion."""
        return tuple(self._verdict(name) for name in self.values)

    def differences(self, conclusion: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of a conclusion under each other activation less that under the model's own: differences, half-widths of
        their intervals (95 % over all comparisons together), and what counts as small, each (activations - 1,).
        """
        rows = [row[np.isfinite(row)] for row in self.values[conclusion]]
        own = rows[0]
        found = []
        for row in rows[1:]:
            variances = own.var(ddof=1) / own.size, row.var(ddof=1) / row.size
            error = float(np.sqrt(sum(variances)))
            spread = float(np.sqrt(0.5 * (own.var(ddof=1) + row.var(ddof=1))))
            freedom = sum(variances) ** 2 / max(
                variances[0] ** 2 / (own.size - 1) + variances[1] ** 2 / (row.size - 1), 1e-300
            )
            comparisons = len(self.values) * (len(rows) - 1)
            half = float(student.isf(0.5 * _LEVEL / comparisons, max(freedom, 1.0))) * error if error > 0 else 0.0
            if conclusion in self.yes:  # shares of 0 or 1 have no spread of their own: the rule of three
                half = max(half, 3.0 / min(own.size, row.size))
            small = self.margin * (_SHARE if conclusion in self.yes else spread)
            found.append((row.mean() - own.mean(), half, small))
        gap, half, small = np.array(found).T
        return gap, half, small

    def _verdict(self, name: str) -> Verdict:
        gap, half, small = self.differences(name)
        size = np.abs(gap)
        apart = (size - half > 0) & (size > small)
        alike = size + half <= small + 1e-12
        base = float(np.nanmean(self.values[name][0]))
        worst = int(np.argmax(np.where(apart, size, -1.0))) if apart.any() else int(np.argmax(size + half - small))
        other = self.activations[1 + worst]
        numbers = {"own": base, "largest difference": float(gap[worst]), "error": float(half[worst])}
        if apart.any():
            said = f"{base:.3g} as written, {base + gap[worst]:.3g} under {other} (+- {half[worst]:.2g})"
            return Verdict(
                name, Code.ORDER_DECIDES, f"{name}: {said}: the order in which agents act decides it.", numbers
            )
        if alike.all():
            text = f"{name}: {base:.3g} as written, and under {len(gap)} others the same but for {small.max():.2g}."
            return Verdict(name, Code.ANY_ORDER, text, numbers)
        text = (
            f"{name}: {base:.3g} as written; under {other} it differs by {gap[worst]:.2g} +- {half[worst]:.2g}, which "
            f"is neither surely below {small[worst]:.2g} nor surely above."
        )
        return Verdict(name, Code.ORDER_OPEN, text, numbers)

    def sections(self) -> tuple[Section, ...]:
        tables, figures = [], []
        for name, rows in self.values.items():
            gap, half, small = self.differences(name)
            gap, half, small = (np.concatenate([[0.0], part]) for part in (gap, half, small))
            mean, runs = np.nanmean(rows, axis=1), np.isfinite(rows).sum(1)
            columns = ("activation", "runs", "mean", "between runs", "difference", "+-", "counts as small")
            numbers = zip(
                self.activations, runs.tolist(), mean, np.nanstd(rows, axis=1, ddof=1), gap, half, small, strict=True
            )
            tables.append(Table(name, columns, tuple((a, b, *map(float, rest)) for a, b, *rest in numbers)))
            panel = IntervalPanel(
                name,
                "difference from the model as written",
                self.activations[1:],
                gap[1:],
                (gap - half)[1:],
                (gap + half)[1:],
                reference=0.0,
            )
            caption = f"{name}: other activations less the model's own, with 95 % intervals over all comparisons."
            figures.append(Figure(f"activation-{len(figures) + 1}", caption, (panel,)))
        head = (f"The model under {len(self.activations)} activations, nothing else changed.",)
        return (Section("Who acts when", head, self.verdicts(), tuple(figures), tuple(tables)),)

    def record(self) -> dict[str, Any]:
        return {
            "activations": list(self.activations),
            "verdicts": [verdict.record() for verdict in self.verdicts()],
            "means": {name: np.nanmean(rows, axis=1).tolist() for name, rows in self.values.items()},
        }


def audit_activation(
    model: Activated,
    key: Key,
    steps: int,
    *,
    conclusions: Mapping[str, Conclusion] | None = None,
    activations: Mapping[str, Activation] | None = None,
    runs: int = 40,
    margin: float = 1.0,
    plugs: tuple[Plug, ...] = (),
    progress: bool | Progress | None = None,
) -> ActivationAudit:
    """Run a model under several activations, and ask what of its conclusions hangs on them.

    **Arguments:** `conclusions`: name to a function of one run's observations, to a number or to yes and no; by default
    the mean of each observed number over the second half of the run. `activations`: name to what to try beside the
    model's own; by default synchronous, blocks, random sequential and random agents (blocks only beyond 1,000 agents,
    where orders of single agents take long). `runs`: of each; `margin`: which difference is small, in standard
    deviations between runs, and of yes and no in quarters of the runs.

    **Returns:** an `ActivationAudit`.

    **Raises:** `ModelError` for a model that is not `Activated`, and for fewer than 5 runs.
    """
    if not isinstance(model, Activated):
        raise ModelError(
            f"{type(model).__name__} fixes who acts when inside `step`: write it as `Activated`, with "
            "`act(draw, state, who)`"
        )
    if runs < 5 or steps < 2:
        raise ModelError(f"an audit takes 5 runs or more of 2 steps or more, not runs={runs}, steps={steps}")
    others = _usual(model) if activations is None else dict(activations)
    if not others:
        raise ModelError("an audit compares the model's own activation with others: give one or more")
    tried = {OWN: model.activation, **others}
    rows: dict[str, list[np.ndarray]] = {}
    yes: set[str] = set()
    with display(progress) as shown:
        for activation in tried.values():
            made = ensemble(
                _under(model, activation), key, steps, runs=runs, plugs=plugs, progress=shown or False, throw=False
            )
            seen = {name: values[0] for name, values in made.observations.items()}
            for name, (values, is_yes) in _concluded(seen, made.faulty[0], conclusions).items():
                rows.setdefault(name, []).append(values)
                yes |= {name} if is_yes else set()
    values = {name: np.stack(each) for name, each in rows.items()}
    _check(values, tuple(tried))
    return ActivationAudit(tuple(tried), values, margin, frozenset(yes))


def _under(model: A, activation: Activation) -> A:
    return eqx.tree_at(lambda m: m.activation, model, activation, is_leaf=lambda leaf: isinstance(leaf, Activation))


def _usual(model: Activated) -> dict[str, Activation]:
    if model.agents > _FEW:
        found: dict[str, Activation] = {"4 random blocks": RandomBlocks(4), "32 random blocks": RandomBlocks(32)}
    else:
        found = {
            "4 random blocks": RandomBlocks(4),
            "random sequential": RandomSequential(),
            "random agents": RandomAgents(),
        }
    if not isinstance(model.activation, Synchronous):
        found = {"synchronous": Synchronous(), **found}
    return {name: one for name, one in found.items() if not _same(one, model.activation)}


def _same(one: Activation, other: Activation) -> bool:
    return type(one) is type(other) and bool(eqx.tree_equal(one, other))


def _concluded(
    seen: dict[str, np.ndarray], faulty: np.ndarray, conclusions: Mapping[str, Conclusion] | None
) -> dict[str, tuple[np.ndarray, bool]]:
    """Each conclusion's value in each run, NaN where the run failed, and whether it is yes or no."""
    if conclusions is None:
        late = {name: values[:, values.shape[1] // 2 :] for name, values in seen.items() if values.ndim == 2}
        found = {f"mean of {name}": (values.mean(1).astype(float), False) for name, values in late.items()}
    else:
        found = {}
        for name, of in conclusions.items():
            each = [of({series: values[run] for series, values in seen.items()}) for run in range(faulty.size)]
            found[name] = (np.array(each, np.float64), all(np.asarray(one).dtype == bool for one in each))
    return {name: (np.where(faulty, np.nan, values), is_yes) for name, (values, is_yes) in found.items()}


def _check(values: Mapping[str, np.ndarray], activations: tuple[str, ...]) -> None:
    if not values:
        raise ModelError("the model observes no plain number: say what is concluded, conclusions={'...': function}")
    for name, rows in values.items():
        counts = np.isfinite(rows).sum(1)
        if counts.min() < 5:
            which = activations[int(counts.argmin())]
            raise ModelError(f"'{name}' is known in {counts.min()} runs under {which}: the others failed or gave NaN")
