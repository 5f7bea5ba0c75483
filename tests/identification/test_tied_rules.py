"""Rules of a grammar: what there is, what each does, and the family that the data cannot tell apart."""

import json

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array, Float
from tests.identification.rival_cases import CHEAP

import populace as pop
from populace.core.distributions import Bernoulli
from populace.identification.grammar import TIMES

SEEN = {"x": jnp.array([1.0, -2.0]), "y": jnp.array([3.0, 5.0])}
SEES = {"x": lambda view: view["x"], "y": lambda view: view["y"]}


def test_every_rule_once():
    """Of up to two leaves: x, y, c, and 4 joins of x and y, x - y and y - x, 2 squares, and 6 with a number."""
    rules = pop.Grammar(SEES).rules()
    assert len(rules) == 3 + 4 + 2 + 2 + 2 * 6
    for text in ("x", "c0", "x + y", "x - y", "y - x", "x * x", "max(x, y)", "c0 * x"):
        assert text in rules
    assert not {"x - x", "max(x, x)", "y + x", "c0 + c1"} & set(rules)
    assert "x - (x - y)" not in pop.Grammar(SEES, leaves=3).rules()  # it is y


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x", lambda x, y, c: x),
        ("x - y", lambda x, y, c: x - y),
        ("c0 * x", lambda x, y, c: c[0] * x),
        ("max(x, y)", lambda x, y, c: np.maximum(x, y)),
        ("(c0 * x) - y", lambda x, y, c: c[0] * x - y),
    ],
)
def test_a_rule_does_what_it_says(text, wanted):
    joins = pop.Join("-", jnp.subtract, False), TIMES, pop.Join("max", jnp.maximum, True)
    one = pop.Grammar(SEES, leaves=3, joins=joins).rules()[text]
    numbers = np.array([0.5, 0.25], np.float32)[: one.numbers.shape[0]]
    one = eqx.tree_at(lambda rule: rule.numbers, one, jnp.asarray(numbers))
    np.testing.assert_allclose(one(SEEN), wanted(*(np.asarray(v) for v in SEEN.values()), numbers))


def test_a_rule_at_a_site_of_chance():
    """It reads the mechanism, and makes another."""
    half = pop.Grammar(
        {"p": lambda mechanism: mechanism.p}, act=lambda value, mechanism: Bernoulli(jnp.clip(value, 0.0, 1.0))
    )
    made = half.rules()["p * p"](Bernoulli(jnp.array([0.5, 0.1])))
    np.testing.assert_allclose(made.p, [0.25, 0.01], rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"sees": {}}, {"sees": {"c": lambda v: v}}, {"sees": SEES, "leaves": 0}])
def test_no_grammar(wrong):
    with pytest.raises(pop.MethodError, match="sees something"):
        pop.Grammar(**wrong)


class Fading(pop.Model):
    """Agents keep eight tenths of what they have; what they see of it they see twice."""

    luck: Float[Array, ""] = pop.parameter(default=0.1, domain=pop.positive)

    def init(self, draw):
        return draw.normal("start", 2.0, 0.3, size=20)

    def step(self, draw, x):
        kept = draw.decide("keep", {"own": x, "twin": x}, lambda view, _: 0.8 * view["own"])
        return draw.normal("luck", kept, self.luck)

    def observe(self, x):
        return {"mean": x.mean()}


GRAMMAR = pop.Grammar(
    {"own": lambda view: view["own"], "twin": lambda view: view["twin"]}, dist.Uniform(0.0, 1.0), (TIMES,)
)


def fading() -> pop.Problem:
    data = pop.simulate(Fading(), jr.key(1), 4).observations
    target = pop.Target(dict(data), [pop.level("mean")])
    return pop.Problem(pop.Simulation(Fading(), 4), pop.Space(luck=dist.LogUniform(0.05, 0.2)), target)


def test_the_family_holds_every_rule_of_the_same_law():
    """Shares of `own` and of its twin cannot be told apart, and both hold the rule that was planted."""
    found = pop.tied_rules(fading(), "keep", GRAMMAR, jr.key(0), budget=2207, finalists=3, method=CHEAP, predictive=106)
    assert len(found.tried) == len(GRAMMAR.rules()) == 8
    assert {"c0 * own", "c0 * twin", "the rule as written"} <= set(found.family)
    assert found.verdict().code is pop.Code.NOT_TOLD_APART
    for rule in ("c0 * own", "c0 * twin"):
        assert abs(found.numbers[rule][0] - 0.8) < 0.05 and "0." in found.text(rule)
    for lost in ("own", "own * own"):
        assert lost not in found.family
    json.dumps(found.record(), allow_nan=False)
    assert len(found.sections()[0].tables) == 2


def test_too_small_a_budget_is_refused_before_work():
    with pytest.raises(pop.MethodError, match="gives each of 8 rules 5 runs to begin with: give 400 or more"):
        pop.tied_rules(fading(), "keep", GRAMMAR, jr.key(0), budget=100, finalists=4)
