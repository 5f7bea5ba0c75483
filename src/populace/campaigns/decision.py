"""A choice between options whose losses are uncertain: which is best, how surely, and what is lost by taking each.

Losses are paired: a row holds all options under one draw of the parameters and one key. In a row the best option is
that of the least loss, ties being shared in equal parts. The regret of an option is its loss less the least of the
row. That of the option which is best on average is what somebody who knew each row beforehand, parameters and chance,
would save: the expected value of perfect information (Howard Raiffa and Robert Schlaifer 1961, Applied Statistical
Decision Theory), and so an upper bound of what knowing the parameters is worth.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._results import Cell, Code, Verdict
from ..identification.combinations import listed

_SURE = 2.0
"""Standard errors of the paired difference by which the best must lead."""


def standard_error(values: np.ndarray, groups: np.ndarray, weights: np.ndarray, models: np.ndarray) -> np.ndarray:
    """The standard error (...) of the weighted mean of values (n, ...), about the means of the models that rows are
    of (n,), where rows of one group (n,), the same draw of the parameters, hang together.
    """
    gaps = np.array(values, np.float64)
    shape = (-1,) + (1,) * (gaps.ndim - 1)
    for model in np.unique(models):
        own = models == model
        gaps[own] -= np.average(gaps[own], axis=0, weights=weights[own])
    totals = np.zeros((int(groups.max()) + 1, *gaps.shape[1:]))
    np.add.at(totals, groups, gaps * weights.reshape(shape))
    count = max(len(np.unique(groups)), 2)
    return np.sqrt((totals**2).sum(0) * count / (count - 1))


@dataclass(frozen=True)
class Decision:
    """A choice between `options`.

    `losses` (n, options): what is to be as small as can be; `groups` (n,): rows of the same draw of the parameters;
    `weights` (n,), summing to 1; `models` (n,): the model that a row is of.
    """

    options: tuple[str, ...]
    losses: np.ndarray
    groups: np.ndarray
    weights: np.ndarray
    models: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """The expected losses, (options,)."""
        return self.weights @ self.losses

    @property
    def best(self) -> int:
        """The option of the least expected loss; the first of equals."""
        return int(np.argmin(self.means))

    def lead(self, i: int) -> tuple[float, float]:
        """By how much the best's expected loss is less than another's, and the standard error of that."""
        gaps = self.losses[:, i] - self.losses[:, self.best]
        return float(self.weights @ gaps), float(self._error(gaps))

    def tied(self) -> tuple[int, ...]:
        """The best, and the options that these draws do not tell from it."""
        leads = [self.lead(i) for i in range(len(self.options))]
        return tuple(i for i, (lead, error) in enumerate(leads) if i == self.best or lead <= _SURE * error)

    def probabilities(self) -> tuple[np.ndarray, np.ndarray]:
        """The share of rows in which each option is the best, ties in equal parts, and standard errors (options,)."""
        least = self.losses == self.losses.min(1, keepdims=True)
        share = least / least.sum(1, keepdims=True)
        return self.weights @ share, self._error(share)

    def regrets(self) -> tuple[np.ndarray, np.ndarray]:
        """The expected regret of each option, and the standard errors (options,)."""
        regret = self.losses - self.losses.min(1, keepdims=True)
        return self.weights @ regret, self._error(regret)

    def information(self) -> tuple[float, float]:
        """The expected value of perfect information, and its standard error."""
        regret, error = self.regrets()
        return float(regret[self.best]), float(error[self.best])

    def worst(self) -> np.ndarray:
        """For each option, how much more it loses than the model's own best, on average, in the worst model."""
        found = []
        for model in np.unique(self.models):
            own = self.models == model
            means = np.average(self.losses[own], axis=0, weights=self.weights[own])
            found.append(means - means.min())
        return np.max(found, axis=0)

    def verdict(self, unit: str) -> Verdict:
        """Whether one option is the best; losses are in a `unit`."""
        name, tied = self.options[self.best], [f"'{self.options[i]}'" for i in self.tied() if i != self.best]
        share, error = (float(one[self.best]) for one in self.probabilities())
        value, doubt = self.information()
        numbers = {"probability": share, "error": error, "value of information": value, "its error": doubt}
        often = f"it is the best in {100 * share:.0f} % of runs (error {100 * error:.1f})"
        what = "parameters and chance" if len(np.unique(self.models)) < 2 else "model, parameters and chance"
        known = f"Knowing {what} beforehand would save {shown(value)} {unit} (error {shown(doubt)})."
        if tied:
            text = f"'{name}' is the best on average, but not told from {listed(tied)}; {often}."
            return Verdict("the choice", Code.CHOICE_OPEN, f"{text} {known}", numbers)
        text = f"'{name}' is the best on average; {often}."
        return Verdict("the choice", Code.BEST_CHOICE, f"{text} {known}", numbers)

    def columns(self) -> list[tuple[Cell, ...]]:
        """For a table: of each option, expected loss, probability of being best with its error, regret with its."""
        parts = (self.means, *self.probabilities(), *self.regrets())
        return [tuple(float(part[i]) for part in parts) for i in range(len(self.options))]

    def record(self) -> dict[str, Any]:
        columns = zip(self.options, self.columns(), strict=True)
        names = ("loss", "best", "best_error", "regret", "regret_error")
        value, error = self.information()
        return {
            "best": self.options[self.best],
            "not_told_apart": [self.options[i] for i in self.tied()],
            "options": {name: dict(zip(names, row, strict=True)) for name, row in columns},
            "perfect_information": {"value": value, "error": error},
        }

    def _error(self, values: np.ndarray) -> np.ndarray:
        return standard_error(values, self.groups, self.weights, self.models)


def shown(number: float) -> str:
    """A number in a sentence: whole from 100 on, else three figures."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
