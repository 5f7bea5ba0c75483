"""Models of Mesa as they stand: repeated by their seed, observed as they collect, in this process and in others."""

import importlib
import random

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from mesa.examples import BoltzmannWealth, Schelling, VirusOnNetwork
from tests.campaigns.mesa_cases import Handed, Jar, Newer, Seedless

import populace as pop
from populace.campaigns import processes
from populace.core.executor import Ticker
from populace.core.host import split
from populace.testing.simulators import check_simulator

JAR = pop.MesaModel(Jar, 6, ["grains", "common"], convert={"grains": round})


def simulated(simulator, runs=1, **parameters):
    given = {name: np.asarray(values, np.float32) for name, values in parameters.items()}
    return simulator.simulate(given, split(jr.key(0), runs), Ticker(None, "", runs))


def test_the_laws_hold():
    """Also for what is drawn from Python's and numpy's common generators."""
    check_simulator(JAR, pop.Space(rate=dist.Uniform(1.0, 3.0)), jr.key(0))


def test_runs_are_the_models_own():
    batch = simulated(JAR, 3, rate=[1.0, 2.0, 3.0], grains=[1.4, 0.0, 5.0])
    for i, key in enumerate(jr.split(jr.key(0), 3)):
        model = Jar(i + 1.0, [1, 0, 5][i], seed=int(jr.bits(key)))
        for _ in range(6):
            model.step()
        np.testing.assert_array_equal(batch.observations["grains"][i], model.datacollector.model_vars["grains"])


def test_a_model_that_stops_keeps_its_last_values():
    grains = simulated(JAR, 2, rate=[60.0, 1.0]).observations["grains"]
    assert (grains[0, 1:3] > [0, 99]).all() and len(set(grains[0, 2:])) == 1 and grains.shape == (2, 7)


def test_the_common_generators_are_as_they_were():
    random.seed(3), np.random.seed(3)
    simulated(JAR, 1, rate=[1.0])
    here = random.random(), np.random.random()
    random.seed(3), np.random.seed(3)
    assert here == (random.random(), np.random.random())


def test_a_seed_is_passed_as_the_constructor_calls_it():
    """A constructor that hands the rest on gets it as the class wants it that takes it."""
    newer = pop.MesaModel(Newer, 4, lambda model: {"total": model.total})
    assert len(set(simulated(newer, 3, rate=np.ones(3)).observations["total"])) == 3
    assert set(newer.parameters()) == {"rate"}
    handed = pop.MesaModel(Handed, 6, ["grains"])
    assert handed.parameters() == {}
    grains = [simulated(simulator, 2, rate=[1.0, 2.0]).observations["grains"] for simulator in (handed, JAR)]
    np.testing.assert_array_equal(*grains)


EXAMPLES = {
    "wealth": (pop.MesaModel(BoltzmannWealth, 5, ["Gini"], fixed={"n": 20}), 6),
    "segregation": (pop.MesaModel(Schelling, 4, ["happy"], fixed={"width": 8, "height": 8}), 5),
    "virus": (pop.MesaModel(VirusOnNetwork, 4, ["Infected"], fixed={"num_nodes": 20}), 5),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_mesas_own_examples_run_unchanged_and_repeat_themselves(name):
    """One of them draws its network from Python's common generator."""
    simulator, length = EXAMPLES[name]
    one, other = (simulated(simulator, 2) for _ in range(2))
    (values,), (again,) = one.observations.values(), other.observations.values()
    assert values.shape == (2, length) and not one.excluded.any()
    np.testing.assert_array_equal(values, again)


def test_workers_give_the_same_numbers():
    rate = np.linspace(1.0, 3.0, 5)
    try:
        there = simulated(pop.InProcesses(JAR, 1), 5, rate=rate)
    finally:
        processes.close_workers()
    here = simulated(JAR, 5, rate=rate)
    for name, values in here.observations.items():
        np.testing.assert_array_equal(values, there.observations[name])
    assert pop.InProcesses(JAR).describe() == JAR.describe()
    assert set(pop.InProcesses(JAR).parameters()) == set(JAR.parameters()) == {"rate", "grains"}


def test_another_line_beside_the_model_makes_it_another_simulator(tmp_path, monkeypatch):
    """Agents stand in a file of their own, as in Mesa's examples."""
    monkeypatch.syspath_prepend(str(tmp_path))
    lines = ["from crowd_agents import Person", "class Crowd:", "    def __init__(self, seed=None): pass"]
    (tmp_path / "crowd_model.py").write_text("\n".join([*lines, "    def step(self): pass", ""]))
    told = []
    for line in ("stays = True", "stays = False"):
        (tmp_path / "crowd_agents.py").write_text(f"class Person:\n    {line}\n")
        crowd = importlib.import_module("crowd_model").Crowd
        told.append(pop.MesaModel(crowd, 3, ["x"]).describe())
    assert told[0]["source"] != told[1]["source"]
    assert pop.MesaModel(crowd, 4, ["x"]).describe()["source"] == told[1]["source"]


WRONG = {
    "seedless": (lambda: pop.MesaModel(Seedless, 3, ["x"]), "takes neither 'seed' nor 'rng'"),
    "no class": (lambda: pop.MesaModel(Jar(), 3, ["grains"]), "a model of Mesa is given as its class"),
    "no names": (lambda: pop.MesaModel(Jar, 3, "grains"), "observe is a list of names"),
    "fixed": (lambda: pop.MesaModel(Jar, 3, ["grains"], fixed={"rat": 1.0}), "Jar takes no 'rat'; did you mean 'rate'"),
    "reporter": (lambda: simulated(pop.MesaModel(Jar, 3, ["grain"]), rate=[1.0]), "no reporter 'grain'; did you mean"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_an_error(name):
    wrong, message = WRONG[name]
    with pytest.raises((pop.SimulatorError, pop.UnknownParameterError), match=message):
        wrong()
