"""A model described: what hangs on what is what stands in its code, and what nobody said is not said."""

import json
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest
from jaxtyping import Array, Float

import populace as pop
from populace._results import Section, Table
from populace.core.model import parameters
from populace.core.sites import sites
from populace.reporting.odd_trace import Causes, traced
from populace.reporting.odd_words import NOT_STATED
from populace.reporting.odd_worlds import world_sentence, worlds
from populace.zoo.registry import MODELS
from populace.zoo.sir import SIR

N = 6


class Sellers(eqx.Module):
    """Who sells. Prices are per kilogram."""

    price: Float[Array, " sellers"]
    sold: Float[Array, " sellers"]


def undercut(view: dict[str, Array], draw: pop.Draw) -> Array:
    """A little below what was asked. Not less than nothing."""
    return view["price"] * draw.uniform("cut", 0.9, 1.0, size=N)


class Market(pop.Model):
    """Sellers who undercut each other. A step is a week.

    More is not known of them.
    """

    town: pop.Topology
    demand: Array = pop.parameter(default=3.0, unit="kg/week", domain=pop.positive, doc="at a price of 1")
    fashion: Array = pop.parameter(default=0.0)
    sellers: int = eqx.field(static=True, default=N)

    def init(self, draw: pop.Draw) -> Sellers:
        """Prices are drawn, nothing is sold yet."""
        return Sellers(draw.uniform("price", 1.0, 2.0, size=N), jnp.zeros(N))

    def step(self, draw: pop.Draw, sellers: Sellers) -> Sellers:
        def turn(inner: pop.Draw, i: Array, sold: Array) -> Array:
            return sold + inner.poisson("sold", self.demand / sellers.price, where=sellers.price > 0)

        sold = draw.loop("day", 7, turn, jnp.zeros(N))
        view = {"price": self.town.sum(sellers.price), "sold": sold}
        return Sellers(draw.decide("undercut", view, undercut), sold + self.fashion * draw.time)

    def observe(self, sellers: Sellers) -> dict[str, Array]:
        return {"price": sellers.price.mean(), "value": sellers.price * sellers.sold}


MODEL = Market(pop.WellMixed(N))


@pytest.fixture(scope="module")
def described() -> dict[str, Section]:
    return {part.title: part for part in pop.describe(MODEL).sections()}


def table(section: Section, title: str) -> Table:
    return {each.title: each for each in section.tables}[title]


def rows(section: Section, title: str) -> dict[Any, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in table(section, title).rows}


def test_what_hangs_on_what_is_what_stands_in_the_code():
    found = traced(MODEL)
    causes = {asked.listed.path: asked.causes for asked in found.step}
    assert list(causes) == ["day/sold", "undercut", "undercut/cut"]
    assert causes["day/sold"] == Causes(parameters=("demand",), state=("price",))
    assert causes["undercut"] == Causes(state=("price",), sites=("day/sold",))
    assert causes["undercut/cut"] == Causes()
    assert found.change["price"] == Causes(sites=("undercut",))
    assert found.change["sold"] == Causes(parameters=("fashion",), sites=("day/sold",), time=True)
    assert found.start == {"price": Causes(sites=("price",)), "sold": Causes()}
    assert found.seen == {"price": Causes(state=("price",)), "value": Causes(state=("price", "sold"))}
    assert found.step[0].listed.repeats == 7
    assert found.step[0].masked and not found.step[1].masked


def test_the_seven_elements_say_what_is_known(described: dict[str, Section]):
    assert list(described)[3] == "Design concepts"
    purpose, entities, process, _, start, inputs, submodels = described.values()
    assert purpose.text[0] == "Market. Sellers who undercut each other. A step is a week."
    assert purpose.text[1].endswith(NOT_STATED)
    assert entities.text[1] == "What a step is: A step is a week."
    assert rows(entities, "Entities")["the state"] == ("Sellers", "6", "Who sells.")
    assert rows(entities, "Entities")["town"][0] == "WellMixed"
    assert rows(entities, "State variables")["sold"] == ("6", "sellers", "float32")
    assert rows(entities, "Settings") == {"sellers": (N,)}
    first = table(process, "A step, site by site").rows[0]
    assert first[:5] == (1, "day/sold", "chance: a count", "6, 7 times", "those of a mask")
    assert first[5:] == ("demand", "price", "")
    assert start.text == ("Prices are drawn, nothing is sold yet.", "By chance at time 0: price.")
    assert "enters sold:" in inputs.text[0]
    assert submodels.text == ("More is not known of them.",)
    said = rows(submodels, "Submodels")
    assert said["undercut"][1] == "A little below what was asked. Not less than nothing."
    assert said["step"][1] == "No docstring."
    assert rows(submodels, "Parameters")["demand"] == (3.0, "kg/week", "(0, inf)", "at a price of 1")
    assert rows(submodels, "Parameters")["fashion"][-1] == "not stated"


def test_design_concepts_are_read_off_or_said_to_be_not_stated(described: dict[str, Section]):
    said = {name: text[0] for name, text in rows(described["Design concepts"], "Design concepts").items()}
    assert len(said) == 11
    assert said["adaptation"] == "At `undercut` agents decide by the rule `undercut`: A little below what was asked."
    assert said["sensing"] == "At `undercut` agents see price (6), sold (6)."
    assert said["stochasticity"].startswith("3 of 4 sites are chance events (poisson, uniform), 2 of them in a step.")
    assert said["interaction"] == "town: well-mixed population of 6 agents: everybody meets everybody."
    assert said["observation"] == "After each step: price, from price; value (6), from price, sold."
    assert [name for name, text in said.items() if text == NOT_STATED] == [
        "emergence",
        "objectives",
        "prediction",
        "collectives",
    ]


@pytest.mark.parametrize("name", ["kirman", "schelling"])
def test_the_sites_are_all_there_in_order(name: str):
    model = MODELS[name].make()
    asked = [(each.listed.path, each.listed.shape, each.listed.repeats) for each in traced(model).asked()]
    assert asked == [(row.path, row.shape, row.repeats) for row in sites(model).rows]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_the_zoo_is_described(name: str):
    model = MODELS[name].make()
    found = pop.describe(model)
    parts = {part.title: part for part in found.sections()}
    assert len(parts) == 7 and NOT_STATED not in parts["Purpose and patterns"].text[0]
    scheduled = [
        row[1] for part in parts.values() for each in part.tables if "site by site" in each.title for row in each.rows
    ]
    assert sorted(scheduled) == sorted(asked.listed.path for asked in traced(model).asked())
    listed = {row[0] for each in parts["Submodels"].tables if each.title == "Parameters" for row in each.rows}
    assert listed == set(parameters(model))
    assert json.loads(json.dumps(found.record()))["model"] == type(model).__name__


def test_a_problem_adds_priors_plugs_and_data():
    model = SIR(pop.WellMixed(20), jnp.float32(0.1), jnp.float32(0.2))
    closed = pop.Scale("infect", 0.5)
    seen = pop.Target({"infected": jnp.arange(1.0, 5.0)}, [pop.final("infected")], [pop.maximum("infected")])
    problem = pop.Problem(pop.Simulation(model, 4, plugs=(closed,)), pop.Space(beta=dist.LogUniform(0.01, 1.0)), seen)
    parts = {part.title: part for part in pop.describe(problem).sections()}
    assert len(parts) == 9
    assert parts["Purpose and patterns"].text[1].endswith("Held out: maximum(infected).")
    assert parts["Entities, state variables and scales"].text[0] == "Length of a run: 4 steps."
    assert "Scale at infect" in parts["Process overview and scheduling"].text[1]
    prior = rows(parts["What is fitted: parameters and priors"], "Priors")["beta"]
    assert prior[0].startswith("LogUniform(0.01, 1") and prior[3] == "1/day"
    assert prior[1:3] == pytest.approx((0.01, 1.0))
    moments = rows(parts["What it is fitted to"], "Moments of the data")
    assert moments["final(infected)"] == (4.0, None, "fitted")
    assert moments["maximum(infected)"] == (4.0, None, "held out")


def test_a_black_box_is_not_described():
    seen = pop.Target({"x": jnp.arange(3.0)}, [pop.final("x")])
    problem = pop.Problem(lambda parameters, key: {"x": jnp.arange(3.0)}, pop.Space(a=dist.Uniform(0.0, 1.0)), seen)
    with pytest.raises(pop.ModelError, match="kind 'callable' cannot be read"):
        pop.describe(problem)


def test_worlds_are_found_and_said():
    town = pop.Network.from_edges([0, 1], [1, 2], 4)
    layered = pop.Layered({"home": pop.Groups([0, 0, 1, 1]), "work": town})
    assert list(worlds(SIR(layered, jnp.float32(0.1), jnp.float32(0.2)))) == ["contacts"]
    assert world_sentence(town) == "undirected network of 4 agents, mean degree 1 (0 to 2)"
    assert world_sentence(layered).startswith("2 layers over the same agents (home: 4 agents in 2 groups of 2 to 2")
    assert world_sentence(pop.Box((2.0, 3.5), periodic=True)) == "periodic continuous space of 2 x 3.5"
    grid = pop.Grid(2, 3, pop.VonNeumann())
    assert world_sentence(grid) == "bounded grid of 2 x 3 cells, VonNeumann neighbourhood of radius 1"


def test_it_is_written_like_any_result(tmp_path: Any):
    (page,) = pop.write(pop.describe(MODEL), tmp_path / "market.md")
    assert "## Design concepts" in page.read_text() and "| day/sold |" in page.read_text()
