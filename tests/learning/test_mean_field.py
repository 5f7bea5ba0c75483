"""Many alike agents: fictitious play in the distribution, against a mean-field game that dynamic programming solves."""

from typing import Any

import jax.random as jr
import numpy as np
import pytest
from benchmarks.beach import PLACES, STEPS, Beach, equilibrium, exploitability, flow

import populace as pop


def test_averages_come_near_the_mean_field_equilibrium():
    learner = pop.Learner(lambda step: step.after["paid"], pop.Discrete(3), discount=1.0)
    game = pop.Game(Beach(), STEPS, {"go": learner}, finite=True)
    found = pop.policy_space_response(
        game,
        pop.QLearning((PLACES, STEPS), rate=0.2, fade=0.0),
        jr.key(0),
        budget=400,
        rounds_at_most=8,
        solver=pop.FictitiousSelfPlay(),
        seeds=1,
        runs=32,
    )
    mixture: Any = found.policies[0]["go"]
    tables = np.asarray(mixture.members.table).reshape(-1, PLACES, STEPS, 3)
    flows = np.mean([flow(table.argmax(-1).T) for table in tables], axis=0)
    true = exploitability(flows, flows)

    assert np.abs(flows - equilibrium()).max() < 0.1
    assert true < 0.25 * found.gains[0, 0]
    assert found.gains[-1, 0] == pytest.approx(true, abs=3 * found.errors[-1, 0] + 0.05)
