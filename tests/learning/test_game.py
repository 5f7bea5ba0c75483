"""What is watched of a game, and what is refused before it is played."""

import dataclasses

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array
from tests.learning.games import Till, duopoly, fish_war, levers, till

import populace as pop
from populace.learning.game import watched
from populace.learning.rollout import rollout, score
from populace.zoo.fishery import Fishery

TOO_MUCH = {"harvest": pop.FixedPolicy(0.6)}


def test_returns_are_discounted_sums_of_what_a_run_pays():
    game = fish_war(2)
    keys = jr.split(jr.key(0), 3)
    found = score(watched(game), {"harvest": pop.FixedPolicy(0.3)}, keys)
    for r, key in enumerate(keys):
        plugs = game.with_policies({"harvest": pop.FixedPolicy(0.3)})
        run = pop.simulate(game.model, key, game.steps, plugs=plugs)
        caught = np.asarray(run.observations["caught"]) / 2
        expected = (0.96 ** np.arange(game.steps) * np.log(caught)).sum()
        assert found.returns("harvest")[0, r] == pytest.approx(expected, rel=1e-5)
        assert found.welfare()[0, r] == pytest.approx(2 * np.log(caught).mean(), rel=1e-5)


def test_steps_show_what_was_done_and_whom_it_made_of_the_state():
    made = watched(fish_war(2))
    seen = rollout(made, TOO_MUCH, jr.key(1), 5, ())
    assert np.allclose(seen.notes["harvest"]["value"], 0.6)
    assert seen.seen["reward:harvest"].shape == (5, 2)


def test_limits_are_counted_and_ledgers_measured():
    assert score(watched(fish_war(2)), TOO_MUCH, jr.split(jr.key(2), 2)).bound("ration").tolist() == [[1.0, 1.0]]
    assert score(watched(fish_war(2)), {}, jr.split(jr.key(2), 2)).bound("ration").max() == 0.0

    def total(purse: object) -> Array:
        return purse.coins.sum() + purse.bank  # type: ignore[attr-defined]

    sound = score(watched(till(Till(), conserved={"coins": total})), {}, jr.split(jr.key(3), 2))
    leaking = score(watched(till(Till(leak=0.5), conserved={"coins": total})), {}, jr.split(jr.key(3), 2))
    assert sound.residual("coins").max() < 1e-6
    assert leaking.residual("coins").max() == pytest.approx(0.5 * 3 * 0.4 / 1005, rel=0.01)


def test_sets_of_policies_meet_the_same_numbers():
    made, keys = watched(fish_war(2)), jr.split(jr.key(4), 4)
    both = score(made, {"harvest": pop.FixedPolicy(jnp.array([0.3, 0.3]))}, keys, sets=2).returns("harvest")
    assert (both[0] == both[1]).all()


def test_only_who_learns_is_decided_for():
    game = levers(who=jnp.array([1.0, 0, 0, 0, 0, 0]))
    run = pop.simulate(game.model, jr.key(0), 1, plugs=game.with_policies({"pull": pop.FixedPolicy(jnp.int32(2))}))
    assert run.final.state.tolist() == [2, 0, 0, 0, 0, 0]


def test_types_have_policies_of_their_own():
    game = levers(types=jnp.arange(6) % 3)
    policies = {"pull": pop.FixedPolicy(jnp.arange(3, dtype=jnp.int32))}
    assert score(watched(game), policies, jr.split(jr.key(0), 2)).returns("pull").tolist() == [[[1.0] * 6] * 2]


def learner(**changes: object) -> pop.Learner:
    settings = {"reward": lambda step: step.after.catch, "actions": pop.Continuous(0, 1), "discount": 0.9, **changes}
    return pop.Learner(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: pop.Game(Fishery(), 1, {"harvest": learner()}), pop.MethodError, "two steps"),
        (lambda: pop.Game(Fishery(), 8, {}), pop.MethodError, "one learner"),
        (lambda: learner(discount=1.5), pop.MethodError, "between 0 and 1"),
        (
            lambda: watched(pop.Game(Fishery(), 8, {"harvets": learner()})),
            pop.UnknownSiteError,
            "did you mean 'harvest'",
        ),
        (lambda: watched(pop.Game(Fishery(), 8, {"growth": learner()})), pop.MethodError, "decide"),
        (
            lambda: watched(pop.Game(Fishery(), 8, {"harvest": learner(actions=pop.Discrete(3))})),
            pop.MethodError,
            "the rule decides float32",
        ),
        (
            lambda: watched(pop.Game(Fishery(), 8, {"harvest": learner(reward=lambda step: step.after.stock)})),
            pop.MethodError,
            "reward has shape",
        ),
        (lambda: watched(pop.Game(Fishery(), 8, {"harvest": learner(who=jnp.ones(3))})), pop.MethodError, "`who`"),
        (
            lambda: watched(pop.Game(Fishery(), 8, {"harvest": learner()}, welfare=lambda step: step.after.catch)),
            pop.MethodError,
            "welfare",
        ),
        (lambda: duopoly().with_policies({"price": pop.FixedPolicy(1.0)}), pop.UnknownSiteError, "nobody learns"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_runs(make: object, error: type[Exception], says: str):
    with pytest.raises(error, match=says):
        make()  # type: ignore[operator]


def test_a_window_is_long_enough_for_what_counts():
    """.9^29 is the first power below a twentieth; never more than four times as long, and a game that ends is whole."""
    learner = dataclasses.replace(fish_war(2, steps=10).learners["harvest"], discount=0.9)
    game = pop.Game(fish_war(2).model, 10, {"harvest": learner})
    assert game.to_the_end().steps == 29
    assert dataclasses.replace(game, steps=5).to_the_end().steps == 20
    assert dataclasses.replace(game, steps=60).to_the_end().steps == 60
    assert dataclasses.replace(game, finite=True).to_the_end().steps == 10
    undiscounted = dataclasses.replace(learner, discount=1.0)
    assert dataclasses.replace(game, learners={"harvest": undiscounted}).to_the_end().steps == 10
