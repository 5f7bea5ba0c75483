"""The voter model: the facts that its docstring lists."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

import populace as pop
from populace.testing.models import check_model
from populace.zoo.voter import Voter

AGENTS, SHARE, RUNS, STEPS = 12, 0.3, 1_000, 130
WAKES = 1 - np.exp(-0.5)
ERRORS = 4.0


def coalescence(agents: int) -> float:
    """c of the docstring: that two agents hear, in one step, what one agent held."""
    return 2 * WAKES * (1 - WAKES) / (agents - 1) + WAKES**2 * (agents - 2) / (agents - 1) ** 2


def steps_to_consensus(agents: int) -> np.ndarray:
    """The exact mean number of steps from n = 0, .., N agents with opinion 1, on the complete graph: who holds 1 keeps
    it, and who holds 0 takes it over, as binomial numbers.
    """
    n = np.arange(agents + 1)
    kept = stats.binom.pmf(n[None], n[:, None], 1 - WAKES * (agents - n[:, None]) / (agents - 1))
    won = stats.binom.pmf(n[None], agents - n[:, None], WAKES * n[:, None] / (agents - 1))
    move = np.array([np.convolve(a, b)[: agents + 1] for a, b in zip(kept, won, strict=True)])[1:-1, 1:-1]
    return np.concatenate([[0.0], np.linalg.solve(np.eye(agents - 1) - move, np.ones(agents - 1)), [0.0]])


@pytest.fixture(scope="module")
def complete() -> dict[str, np.ndarray]:
    """Observations (runs, steps) of agents who all know each other."""
    model = Voter(pop.WellMixed(AGENTS), x=SHARE)
    seen = pop.ensemble(model, jr.key(1), STEPS, runs=RUNS).observations
    return {name: np.asarray(values[0], np.float64) for name, values in seen.items()}


def test_it_keeps_the_laws_of_models():
    check_model(Voter(pop.Grid(3, 4)), jr.key(0))


def test_consensus_comes_with_the_probability_of_the_start(complete):
    end = complete["share"][:, -1]
    assert set(end) == {0.0, 1.0}
    assert abs(end.mean() - SHARE) < ERRORS * np.sqrt(SHARE * (1 - SHARE) / RUNS)


def test_agents_disagree_as_lines_that_have_not_met(complete):
    wanted = 2 * SHARE * (1 - SHARE) * (1 - coalescence(AGENTS)) ** np.arange(1, 61)
    found = complete["active"][:, :60]
    assert (abs(found.mean(0) - wanted) < ERRORS * found.std(0) / np.sqrt(RUNS)).all()


def test_the_time_to_consensus_is_that_of_the_chain_and_grows_as_the_population(complete):
    split = (complete["share"] > 0) & (complete["share"] < 1)
    steps = split.sum(1)
    start = stats.binom.pmf(np.arange(AGENTS + 1), AGENTS, SHARE)
    from_one = steps_to_consensus(AGENTS)
    wanted = start @ from_one - (1 - start[0] - start[-1])  # the start is not observed: the first step is not counted
    assert abs(steps.mean() - wanted) < ERRORS * steps.std() / np.sqrt(RUNS)
    for agents in (100, 200):
        limit = 2 / coalescence(agents) * np.log(2)
        assert steps_to_consensus(agents)[agents // 2] == pytest.approx(limit, rel=0.02)


class Star(pop.Model):
    """A hub that knows six others, who know nobody else; at the start the hub alone holds 1."""

    voter: Voter

    def init(self, draw):
        return (jnp.arange(7) == 0).astype(jnp.float32)

    def step(self, draw, opinion):
        return self.voter.step(draw, opinion)

    def observe(self, opinion):
        return self.voter.observe(opinion)


def test_on_a_star_the_hub_is_half_of_the_vote():
    star = pop.Network.from_edges(np.zeros(6, int), np.arange(1, 7), 7)
    seen = pop.ensemble(Star(Voter(star)), jr.key(2), 100, runs=RUNS, record=pop.Last()).observations
    end = np.asarray(seen["share"][0, :, 0])
    assert set(end) == {0.0, 1.0}
    assert abs(end.mean() - 0.5) < ERRORS * 0.5 / np.sqrt(RUNS)
