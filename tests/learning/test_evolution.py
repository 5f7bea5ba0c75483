"""Evolution strategies: each for itself finds Cournot's market, all together the cartel's."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.learning.games import duopoly, levers, recall

import populace as pop


def quantities(algorithm: pop.Algorithm, updates: int) -> list[np.ndarray]:
    """What both firms make in the end, one array a training."""
    game = duopoly(discount=0.5)
    learned = pop.learn(game, algorithm, jr.key(0), budget=algorithm.runs * updates, seeds=2, runs=2)
    runs = [pop.simulate(game.model, jr.key(1), 10, plugs=learned.plugs(seed)) for seed in range(2)]
    return [np.asarray(run.final.state.quantity) for run in runs]


def test_each_for_itself_makes_what_cournot_says():
    for found in quantities(pop.EvolutionStrategies(), 160):
        assert found == pytest.approx(30.0, rel=0.1)


def test_all_together_make_what_a_cartel_makes():
    """45 in all: less than the 60 of Cournot's market."""
    for found in quantities(pop.EvolutionStrategies(together=True), 100):
        assert found.sum() == pytest.approx(45.0, rel=0.1)


def test_types_have_weights_of_their_own_and_others_keep_to_the_rule():
    """Kinds 0, 1, 2 are paid by lever 0, 1, 2; the last three agents do not learn, and pull lever 0."""
    who = jnp.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    game = levers(types=jnp.arange(6) % 3, who=who)
    learned = pop.learn(game, pop.EvolutionStrategies(worlds=32), jr.key(0), budget=64 * 60, seeds=1, runs=2)
    assert learned.scores.returns("pull")[0, 0].tolist() == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("settings", [{"worlds": 0}, {"spread": 0.0}, {"rate": 0.0}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float]):
    with pytest.raises(pop.MethodError, match="EvolutionStrategies"):
        pop.EvolutionStrategies(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("memory", "least", "most"), [(0, -5.5, -4.9), (4, -0.5, 0.0)])
def test_who_remembers_says_what_was_shown_once(memory: int, least: float, most: float):
    algorithm = pop.EvolutionStrategies(memory=memory, worlds=16)
    learned = pop.learn(recall(), algorithm, jr.key(0), budget=32 * 120, seeds=1, runs=32)
    assert least < learned.scores.returns("say").mean() < most
