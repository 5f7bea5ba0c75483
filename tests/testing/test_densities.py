"""The suite for conditional densities passes what is right and finds what is wrong, each flaw by its law."""

from collections.abc import Callable

import equinox as eqx
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import PRNGKeyArray

import populace as pop
from populace.core.noise import host_generator
from populace.surrogates.conditional import Line, Squashed, check_rows
from populace.testing.densities import check_density


def test_the_house_s_density_is_sound():
    check_density(pop.FlowMatching(members=2, width=16, depth=2, steps=400), jr.key(0))


class Regression(pop.ConditionalDensity):
    """A linear regression with Gaussian residuals, with one flaw by choice."""

    flaw: str = eqx.field(static=True, default="")
    name = "a regression"

    def fit(self, values: np.ndarray, given: np.ndarray, weights: np.ndarray, key: PRNGKeyArray) -> "Fitted":
        if self.flaw != "too few":
            check_rows(self, values)
        squashed = np.arcsinh if self.flaw == "units" else Squashed.of(given)
        if self.flaw == "another every time":
            values = values + 0.01 * np.random.default_rng().standard_normal(values.shape)
        return Fitted(Line.of(values, squashed(given), weights), squashed, self.flaw)


class Fitted(pop.Density):
    def __init__(self, line: Line, squashed: Callable[[np.ndarray], np.ndarray], flaw: str):
        self.line, self.squashed, self.flaw = line, squashed, flaw

    def sample(self, given: np.ndarray, key: PRNGKeyArray, count: int) -> np.ndarray:
        noise = host_generator(key).standard_normal((count, 2))
        if self.flaw == "prior":
            return noise
        wide = noise * (np.array([1.0, 1.15]) if self.flaw == "wide" else 1.0)
        return self.line.on(wide, self.squashed(given))

    def log_prob(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        left = self.line.off(values, self.squashed(given))
        logs = -0.5 * (left**2).sum(1) - np.log(2.0 * np.pi)
        return logs - (0.0 if self.flaw == "sum" else np.log(np.diag(self.line.root)).sum())

    def typical(self, given: np.ndarray, key: PRNGKeyArray, draws: int) -> tuple[np.ndarray, np.ndarray]:
        logs, expected = super().typical(given, key, draws)
        return logs, expected + (0.5 if self.flaw == "typical" else 0.0)


def test_a_regression_is_sound():
    check_density(Regression(), jr.key(0))


@pytest.mark.parametrize(
    ("flaw", "law"),
    [
        ("too few", "49 rows are learned from"),
        ("units", "hangs on the units"),
        ("another every time", "the same key learns something else"),
        ("prior", "does not learn what is seen"),
        ("sum", "it sums to"),
        ("wide", "draws do not follow log_prob"),
        ("typical", "typical expectations are"),
    ],
)
def test_a_flaw_is_found(flaw: str, law: str):
    with pytest.raises(AssertionError, match=law):
        check_density(Regression(flaw), jr.key(0))
