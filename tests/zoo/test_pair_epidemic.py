"""An infection within partnerships: the facts that its docstring lists."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.zoo.pair_epidemic import PairEpidemic

DT = 0.25
ERRORS = 4.0


def at_rest(beta: float, gamma: float, rho: float, sigma: float) -> tuple[float, float]:
    """Shares infected and coupled after long, in a population without end: singles S, I and agents in couples SS, SI,
    II, each step as the model takes it, all on what was before.
    """
    heals, catches, finds, parts = (-np.expm1(-rate * DT) for rate in (gamma, beta, rho, sigma))
    turn = np.array([[1.0, 0.0], [heals, 1 - heals]])  # from S, I to S, I, alone or with a partner who has it not
    with_ill = np.array([[1 - catches, catches], [heals, 1 - heals]])
    both = [np.outer((turn, with_ill)[b][a], (turn, with_ill)[a][b]).ravel() for a in (0, 1) for b in (0, 1)]
    alone, couples = np.array([0.5, 0.5]), np.zeros((2, 2))  # couples[a, b]: agents a whose partner is b
    for _ in range(12_000):
        after = (couples.ravel() @ np.stack(both)).reshape(2, 2)
        singles = alone @ turn
        seek = finds * singles
        alone = singles - seek + parts * after.sum(axis=1)
        couples = (1 - parts) * after + np.outer(seek, seek) / max(seek.sum(), 1e-300)
    return alone[1] + couples[1].sum(), couples.sum()


SETS = {
    "usual": (0.5, 0.05, 0.2, 0.1),
    "below the threshold": (0.08, 0.05, 0.2, 0.1),
    "partners too rare": (5.0, 0.2, 0.15, 0.1),
    "partners change fast": (0.5, 0.05, 1.0, 0.5),
}


@pytest.fixture(scope="module")
def seen() -> dict[str, np.ndarray]:
    """Observations (sets, runs) at the end of 150 units of time."""
    keys = jr.split(jr.key(0), 4)
    models = [PairEpidemic(*rates, jnp.float32(0.3), agents=500, dt=DT) for rates in np.float32(list(SETS.values()))]
    runs = [[pop.simulate(model, key, 600).observations for key in keys] for model in models]
    return {
        name: np.array([[float(run[name][-1]) for run in each] for each in runs]) for name in ("infected", "coupled")
    }


@pytest.mark.parametrize("name", SETS)
def test_shares_are_those_of_the_equations(seen, name: str):
    place = list(SETS).index(name)
    infected, coupled = at_rest(*SETS[name])
    for found, wanted, share in ((seen["infected"], infected, 0.5), (seen["coupled"], coupled, 0.5)):
        error = np.sqrt(found[place].var() / 3 + share**2 / 2_000)  # of four runs, with the spread of draws behind it
        assert abs(found[place].mean() - wanted) < ERRORS * error


def test_the_threshold_is_in_closed_form(seen):
    """Endemic above it and not below, and nowhere if singles find partners no faster than the ill recover."""
    for place, (beta, gamma, rho, sigma) in enumerate(SETS.values()):
        least = gamma * (rho + sigma + gamma) * (sigma + 2 * gamma) / (sigma * (rho - gamma))
        endemic = rho > gamma and beta > least
        found = seen["infected"][place].mean()
        assert found > 0.2 if endemic else found < 0.02
    rates = (0.1, 0.3, 0.2)
    least = 0.1 * (0.3 + 0.2 + 0.1) * (0.2 + 0.2) / (0.2 * (0.3 - 0.1))
    below, above = (at_rest(share * least, *rates)[0] for share in (0.97, 1.03))
    assert below < 1e-3 and above > 5e-3


def test_pairs_slow_it_below_mass_action(seen):
    """At the same time in company: 1 - gamma / (beta c) by mass action, less in pairs, the more so the longer they
    last."""
    usual, fast = (seen["infected"][place].mean() for place in (0, 3))
    mixed = 1 - 0.05 / (0.5 * 2 / 3)
    assert usual + 0.15 < fast < mixed - 0.05
