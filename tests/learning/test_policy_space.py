"""Populations of policies respond to each other until none gains: known equilibria, and what goes round without."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.learning.games import levers

import populace as pop
from populace.core import checkpoint
from populace.learning.deviations import Play, fixed_deviation
from populace.learning.game import watched
from populace.learning.population import gained_in, seats_of
from populace.zoo.rock_paper_scissors import RockPaperScissors

BLIND = pop.QLearning((1, 1), rate=0.3, fade=0.0)
"""All that is seen is one state: it learns which move is best, whatever was played before."""

PAID = pop.Learner(lambda step: step.after.paid, pop.Discrete(5), discount=0.0, types=jnp.arange(2))
GAME = pop.Game(RockPaperScissors(np.zeros((5, 5))), 2, {"move": PAID})


def moves(table: list[list[float]]) -> np.ndarray:
    """A table of three moves among five, two of which lose to all."""
    wide = np.full((5, 5), 0.0)
    wide[:3, :3] = table
    wide[3:, :3], wide[:3, 3:] = -3.0, 3.0
    return wide


def respond(
    table: np.ndarray, folder: Path | None = None, solver: pop.MetaSolver | None = None
) -> pop.PolicySpaceResponse:
    """All tables go through one compiled program."""
    game = dataclasses.replace(GAME, model=RockPaperScissors(table))
    return pop.policy_space_response(
        game, BLIND, jr.key(0), budget=150, rounds_at_most=6, seeds=1, runs=16, folder=folder, solver=solver
    )


def played(found: pop.PolicySpaceResponse) -> np.ndarray:
    """(players, moves): how often each move is made."""
    mixture: Any = found.policies[0]["move"]
    best = np.asarray(mixture.members.table)[:, :, 0].argmax(-1)
    return np.array([[c[b == move].sum() for move in range(5)] for c, b in zip(found.chances, best, strict=True)])


@pytest.fixture(scope="module")
def rock() -> pop.PolicySpaceResponse:
    return respond(moves([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]))


def test_rock_paper_scissors_is_mixed_by_thirds(rock: pop.PolicySpaceResponse):
    assert played(rock) == pytest.approx(np.tile([1 / 3, 1 / 3, 1 / 3, 0, 0], (2, 1)), abs=0.01)
    assert rock.done.code is pop.Code.CONVERGED
    gain, error = rock.exploitability
    assert abs(gain) < 0.02 and error < 0.01
    assert {v.code for v in rock.verdicts.values()} == {pop.Code.NO_DEVIATION_PAYS}
    assert rock.gains[0] == pytest.approx(1.0), "at first the answer to rock wins every time"


def test_naive_self_play_goes_round_for_ever():
    found = respond(moves([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]), solver=pop.SelfPlay())
    assert found.gains == pytest.approx(1.0), "the answer to the last move always wins"
    mixture: Any = found.policies[0]["move"]
    made = np.asarray(mixture.members.table)[:, :, 0].argmax(-1)
    assert made.tolist() == [[0, 1, 2, 0, 1, 2]] * 2
    assert found.done.code is pop.Code.BUDGET_SPENT
    assert {v.code for v in found.verdicts.values()} == {pop.Code.DEVIATION_PAYS}


def test_a_biased_game_is_mixed_as_its_equilibrium_is():
    """Rock beats scissors by two: a quarter, a half, a quarter make every move earn nothing."""
    found = respond(moves([[0, -1, 2], [1, 0, -1], [-2, 1, 0]]))
    assert played(found) == pytest.approx(np.tile([0.25, 0.5, 0.25, 0, 0], (2, 1)), abs=0.01)
    assert abs(found.exploitability[0]) < 0.03


def test_two_firms_end_where_cournot_says():
    """Of 20, 22.5 (the cartel), 25, 30 (Nash) and 45 (the price takers) only 30 is its own best reply."""
    made = np.array([20.0, 22.5, 25.0, 30.0, 45.0])
    profit = (90.0 - made[:, None] - made) * made[:, None] / 100.0
    found = respond(profit)
    assert played(found)[:, 3] == pytest.approx(1.0, abs=1e-3)
    assert found.done.code is pop.Code.CONVERGED
    assert found.payoffs.max() <= profit.max() + 1e-4


def test_nobody_gains_by_leaving_the_mixture(rock: pop.PolicySpaceResponse):
    """As an audit asks of any policy, in runs of its own: no fixed move earns more."""
    play = Play(watched(rock.game), rock.policies, jr.split(jr.key(3), 256))
    assert not fixed_deviation(play, "move", 0, 5).pays(1.0)


def test_a_mixture_draws_one_policy_and_keeps_to_it():
    mixture = pop.PolicyMixture(jnp.array([0.2, 0.0, 0.8]), pop.FixedPolicy(jnp.array([5, 6, 7])))

    def twice(key: Any) -> tuple[Any, Any]:
        first = mixture.act(jnp.float32(0.0), mixture.memory(), key)
        return first.action, mixture.act(jnp.float32(0.0), first.memory, jr.fold_in(key, 1)).action

    first, again = jax.jit(jax.vmap(twice))(jr.split(jr.key(0), 1000))
    assert (first == again).all()
    assert np.bincount(np.asarray(first), minlength=8)[5:] / 1000 == pytest.approx([0.2, 0, 0.8], abs=4 * 0.0127)


def test_an_interrupted_one_ends_with_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rock: pop.PolicySpaceResponse
):
    save = checkpoint.Checkpoint.save

    def stop(self: checkpoint.Checkpoint, state: object, number: int, calls: int) -> None:
        save(self, state, number, calls)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "save", stop)
    table = moves([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    with pytest.raises(KeyboardInterrupt):
        respond(table, folder=tmp_path)
    monkeypatch.setattr(checkpoint.Checkpoint, "save", save)
    parts = respond(table, folder=tmp_path)
    assert (parts.gains == rock.gains).all() and (parts.chances == rock.chances).all()


def test_it_reads_as_a_page_and_a_record(rock: pop.PolicySpaceResponse):
    (section,) = rock.sections()
    assert len(section.tables[0].rows) == len(rock.gains) and len(section.tables[1].rows) == rock.chances.shape[1]
    assert rock.record()["players"] == ["move/0", "move/1"]


def table_of(rng: np.random.Generator, seats: int, policies: int) -> pop.MetaGame:
    return pop.MetaGame(rng.normal(size=(seats, *(policies for _ in range(seats)))), np.arange(seats))


def test_what_a_policy_earns_among_mixtures_is_the_sum_over_all_games():
    rng = np.random.default_rng(0)
    game, mixtures = table_of(rng, 3, 2), rng.dirichlet(np.ones(2), size=3)
    worth = game.worth(mixtures)
    assert worth[1] == pytest.approx(np.einsum("abc,a,c->b", game.table[1], mixtures[0], mixtures[2]))
    alike = pop.MetaGame(np.stack([game.table[0], game.table[0].T, game.table[0]]), np.array([0, 0, 0]))
    assert alike.worth(mixtures[:1]).shape == (1, 2)


def test_regrets_solve_games_of_two_that_sum_to_nothing():
    """Against every row and column: neither side gains by leaving."""
    table = np.random.default_rng(1).normal(size=(6, 6))
    game = pop.MetaGame(np.stack([table, -table]), np.arange(2))
    assert game.gaps(pop.RegretMatching(4000).mixtures(2, 6, game)).max() < 0.005 * np.ptp(table)
    assert game.gaps(pop.FictitiousSelfPlay().mixtures(2, 6, None)).max() > 0.1


def test_a_gain_is_what_the_last_policy_earns_more():
    """Of two who share one population: (pay of the new one) - (pay of the mixture), run by run."""
    seats = seats_of(watched(levers(who=jnp.array([1.0, 1.0, 0, 0, 0, 0]))))
    assert [p.name for p in seats.all] == ["pull/0"] and seats.players.tolist() == [0, 0]
    table = np.random.default_rng(0).normal(size=(2, 4, 3, 3))
    mix = np.array([0.3, 0.7])
    pay = 0.5 * (table[0] + table[1].transpose(0, 2, 1))
    expected = pay[:, 2, :2] @ mix - np.einsum("rab,a,b->r", pay[:, :2, :2], mix, mix)
    assert gained_in(seats, table, mix[None])[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rounds_at_most": 1}, "two rounds"),
        ({"budget": 0}, "takes 1 runs"),
        ({"rounds_at_most": 3000}, "FictitiousSelfPlay"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, int], says: str):
    with pytest.raises(pop.MethodError, match=says):
        pop.policy_space_response(GAME, BLIND, jr.key(0), **({"budget": 10} | settings))  # type: ignore[arg-type]
    with pytest.raises(pop.MethodError, match="one or more"):
        pop.RegretMatching(0)
