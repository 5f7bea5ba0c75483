"""Policies in response to each other, held against equilibria that are known: rows of `learning_known.py`.

Rock, paper, scissors is mixed by thirds; where rock beats scissors by two, by a quarter, a half and a quarter. What
known mixtures could lose to the best move is computed exactly, beside what the responses found. A crowd on a beach is
held against the equilibrium of its mean-field game, which dynamic programming and exact fictitious play find.
"""

import time
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from beach import PLACES, STEPS, Beach, earned, equilibrium, exploitability, flow

import populace as pop
from populace.zoo.rock_paper_scissors import RockPaperScissors

BLIND = pop.QLearning((1, 1), rate=0.3, fade=0.0)
"""All that is seen is one state: it learns which move is best, whatever was played before."""
FAIR = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
BIASED = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-2.0, 1.0, 0.0]])
"""(own move, rival's): what rock, paper and scissors earn."""
THIRDS, QUARTERS = np.full(3, 1 / 3), np.array([0.25, 0.5, 0.25])


MOVER = pop.Learner(lambda step: step.after.paid, pop.Discrete(3), discount=0.0, types=jnp.arange(2))


def duel(table: np.ndarray) -> pop.Game:
    return pop.Game(RockPaperScissors(table), 2, {"move": MOVER})


def shares(found: pop.PolicySpaceResponse) -> np.ndarray:
    """(players, moves): how often each move is made."""
    mixture: Any = found.policies[0]["move"]
    best = np.asarray(mixture.members.table)[:, :, 0].argmax(-1)
    return np.array([[c[b == move].sum() for move in range(3)] for c, b in zip(found.chances, best, strict=True)])


def mixed(table: np.ndarray, answer: np.ndarray, solver: pop.MetaSolver, rounds: int, seeds: int) -> dict[str, Any]:
    """Responses in a game of two, some whole searches: how often paper is played, which is `answer[1]`; `gap`: what the
    best move would earn more than the mixtures, both players together, exactly; `said`: what responses found.
    """
    begun, game, play, gaps, said, errors = time.perf_counter(), duel(table), [], [], [], []
    for key in range(seeds):
        found = pop.policy_space_response(
            game, BLIND, jr.key(key), budget=150, rounds_at_most=rounds, solver=solver, seeds=1, runs=32, progress=False
        )
        one, other = shares(found)
        play.append((one, other))
        gaps.append(float((table @ other).max() - one @ table @ other + (table @ one).max() - other @ table @ one))
        said.append(found.exploitability[0])
        errors.append(found.exploitability[1])
    each = np.array(play)
    return {
        **{"value": float(each[:, :, 1].mean()), "expected": float(answer[1])},
        **{"error": float(each[:, :, 1].mean() / answer[1] - 1.0), "worst": float(np.abs(each / answer - 1.0).max())},
        **{"gap": float(np.mean(gaps)), "worst_gap": max(gaps), "said": float(np.mean(said))},
        **{"said_error": float(np.mean(errors)), "seeds": seeds, "seconds": time.perf_counter() - begun},
    }


# A crowd


def crowd(rounds: int, seeds: int) -> dict[str, Any]:
    """Bathers in response to each other: what one earns, against the equilibrium; how far shares are off, and what a
    bather could gain, by dynamic programming (`gap`) and as responses say (`said`).
    """
    begun, answer = time.perf_counter(), equilibrium()
    learner = pop.Learner(lambda step: step.after["paid"], pop.Discrete(3), discount=1.0)
    game = pop.Game(Beach(), STEPS, {"go": learner}, finite=True)
    tables = pop.QLearning((PLACES, STEPS), rate=0.2, fade=0.0)
    pay, off, gaps, said, errors = [], [], [], [], []
    for key in range(seeds):
        found = pop.policy_space_response(
            game,
            tables,
            jr.key(key),
            budget=400,
            rounds_at_most=rounds,
            solver=pop.FictitiousSelfPlay(),
            seeds=1,
            runs=32,
            progress=False,
        )
        mixture: Any = found.policies[0]["go"]
        members = np.asarray(mixture.members.table).reshape(-1, PLACES, STEPS, 3)
        flows = np.mean([flow(table.argmax(-1).T) for table in members], axis=0)
        pay.append(earned(flows, flows))
        off.append(float(np.abs(flows - answer).max()))
        gaps.append(exploitability(flows, flows))
        said.append(float(found.gains[-1, 0]))
        errors.append(float(found.errors[-1, 0]))
    expected = earned(answer, answer)
    return {
        **{"value": float(np.mean(pay)), "expected": expected, "error": float(np.mean(pay) / expected - 1.0)},
        **{"worst": float(np.abs(np.array(pay) / expected - 1.0).max()), "shares_off": max(off)},
        **{"gap": float(np.mean(gaps)), "worst_gap": max(gaps), "said": float(np.mean(said))},
        **{"said_error": float(np.mean(errors)), "seeds": seeds, "seconds": time.perf_counter() - begun},
    }
