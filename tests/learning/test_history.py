"""Moments of a training against each other. The histories here are made by hand."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.learning.games import duel, duopoly

import populace as pop
from populace.learning.game import watched
from populace.learning.history import moments, over_training

KEY = jr.key(0)


def turning() -> list[dict[str, pop.Policy]]:
    """Rock, paper, scissors, rock, ...; both players alike."""
    return [{"move": pop.FixedPolicy(jnp.full(2, move % 3, jnp.int32))} for move in range(12)]


def rising() -> list[dict[str, pop.Policy]]:
    """Quantities that rise to Cournot's and stay."""
    return [{"quantity": pop.FixedPolicy(min(10.0 + 5.0 * n, 30.0))} for n in range(12)]


def test_play_that_goes_round_is_named():
    found = moments(watched(duel()), turning(), "move", KEY, 8)
    cycles, rest = over_training("move", [found])
    assert cycles.code is pop.Code.CYCLES and len(found.cycle) == 3
    assert rest.code is pop.Code.STILL_CHANGING
    one, two, three = (number % 3 for number in found.cycle)
    assert (one - two) % 3 == 1 and (two - three) % 3 == 1, "each beats the next"
    assert found.flow.cyclic == pytest.approx(1.0, abs=0.15)


def test_play_that_rises_to_an_equilibrium_is_ranked():
    found = moments(watched(duopoly()), rising(), "quantity", KEY, 8)
    cycles, rest = over_training("quantity", [found])
    assert cycles.code is pop.Code.NO_CYCLE and found.cycle == ()
    assert rest.code is pop.Code.CONVERGED and found.moved() == 0.0
    profit = lambda own, rival: (90.0 - own - rival) * own  # noqa: E731
    first, last = 10.0, 30.0
    assert found.returns[0, -1] == pytest.approx(profit(first, last), rel=1e-4)
    assert found.table[-1, 0] == pytest.approx(profit(last, first) - profit(first, last), rel=1e-4)
    assert np.allclose(found.table, -found.table.T)
    at_cournot = found.moments >= 4
    assert found.shares[at_cournot].sum() == pytest.approx(1.0, abs=1e-6)
    assert found.apart[0, -1] == 1.0 and found.apart[-2, -1] == 0.0


def test_the_audit_says_that_play_goes_round():
    history = (turning(),)
    audit = pop.audit_policy(duel(), turning()[0], KEY, runs=8, history=history)
    verdict = audit.verdicts["cycles at move"]
    assert verdict.code is pop.Code.CYCLES and verdict in audit.objections()
    assert "report the average of play" in verdict.code.mend
    assert audit.record()["over_training"]["move"][0] == audit.moments["move"][0].table.tolist()


def test_one_training_of_several_that_turns_is_not_all():
    turns = moments(watched(duel()), turning(), "move", KEY, 8)
    still = moments(watched(duel()), turning()[:1] * 4, "move", KEY, 8)
    assert over_training("move", [turns, still, still])[0].code is pop.Code.NO_CYCLE
    assert over_training("move", [turns, turns, still])[0].code is pop.Code.CYCLES


def test_what_luck_hides_is_not_said():
    """Players who draw two moves of three: how they fare against each other is small beside the luck of eight runs."""
    halves = [jnp.roll(jnp.array([0.5, 0.5, 0.0]), move % 3) for move in range(12)]
    moves = jnp.arange(3, dtype=jnp.int32)
    both = lambda chances: jax.vmap(lambda c: pop.MixedPolicy(c, moves))(jnp.stack([chances] * 2))  # noqa: E731
    found = moments(watched(duel()), [{"move": both(chances)} for chances in halves], "move", KEY, 8)
    verdict = over_training("move", [found])[0]
    assert verdict.code is pop.Code.UNJUDGED and found.open > 0.3 and "more runs" in verdict.sentence
