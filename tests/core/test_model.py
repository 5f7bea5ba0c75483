"""Models and their parameters: cast, checked, named, bound, and never a reason to compile again."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array, Float

from populace._errors import DomainError, ParameterError, UnknownParameterError
from populace.core.domain import Domain, interval, nonnegative, positive, real, unit
from populace.core.draw import Draw
from populace.core.model import (
    Model,
    Module,
    bind,
    describe_parameter,
    parameter,
    parameters,
    settled,
    size_of,
)
from populace.core.simulate import simulate

TRACES = {"step": 0}


class Household(Module):
    beta: Float[Array, ""] = parameter(default=0.2, unit="1/day", domain=positive, doc="hazard at home")


class Town(Model):
    edges: Float[Array, " edges"]
    beta: Float[Array, ""] = parameter(unit="1/day", domain=positive)
    household: Household = eqx.field(default_factory=Household)
    layers: tuple[Household, ...] = ()
    rooms: dict[str, Household] = eqx.field(default_factory=dict)
    ages: Float[Array, " ages"] = parameter(default=[0.1, 0.2, 0.3], domain=unit)

    def init(self, draw: Draw) -> Array:
        return jnp.zeros(4)

    def step(self, draw: Draw, state: Array) -> Array:
        TRACES["step"] += 1
        return state + draw.normal("x", self.beta, self.household.beta, size=4) * self.edges.sum()

    def observe(self, state: Array) -> dict[str, Array]:
        return {"x": state.sum()}


def town(**others: Any) -> Town:
    return Town(jnp.ones(3), **{"beta": 0.5, **others})


def strong(value: Any) -> bool:
    return isinstance(value, jax.Array) and value.dtype == jnp.float32 and not value.weak_type


@pytest.mark.parametrize(
    "given",
    [1, 0.08, True, np.float64(0.1), np.int32(3), np.array(0.5), jnp.asarray(0.1), jnp.int32(2)],
)
def test_a_parameter_is_a_strong_float32_array(given: Any):
    assert strong(town(beta=given).beta)
    assert strong(bind(town(), {"beta": given}).beta)
    assert all(strong(p.value) for p in parameters(town()).values())


@pytest.mark.parametrize("given", ["0.1", b"1", 1j, [1, "a"], [[1.0], [1.0, 2.0]]])
def test_what_is_no_number_is_refused(given: Any):
    with pytest.raises(ParameterError, match="holds numbers"):
        town(beta=given)


def test_the_domain_is_checked():
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(DomainError, match=r"Town.beta = .* outside its domain \(0, inf\)"):
            town(beta=wrong)
        with pytest.raises(DomainError, match="beta"):
            bind(town(), {"beta": wrong})
    with pytest.raises(DomainError, match="ages"):
        town(ages=[0.1, 1.2])
    with pytest.raises(DomainError, match=r"Household.beta"):
        Household(-1.0)
    with pytest.raises(DomainError, match=r"household.beta"):
        bind(town(), {"household.beta": -1.0})


def test_inside_a_compiled_function_the_domain_cannot_be_seen():
    assert float(jax.jit(lambda b: bind(town(), {"beta": b}).beta)(-1.0)) == -1.0
    grads = jax.grad(lambda b: 3.0 * bind(town(), {"beta": b}).beta)(0.5)
    assert float(grads) == 3.0


def test_parameters_are_named_in_order_and_nothing_else_is():
    """Edge weights are arrays of the model, and no parameters."""
    model = town(layers=(Household(0.3), Household(0.4)), rooms={"school": Household(0.6)})
    found = parameters(model)
    assert list(found) == ["beta", "household.beta", "layers.0.beta", "layers.1.beta", "rooms.school.beta", "ages"]
    assert [round(float(p.value.sum()), 3) for p in found.values()] == [0.5, 0.2, 0.3, 0.4, 0.6, 0.6]
    assert found["household.beta"].unit == "1/day" and found["household.beta"].doc == "hazard at home"
    assert found["household.beta"].domain is positive
    assert size_of(found) == 8


def test_bind_reaches_every_name():
    model = town(layers=(Household(0.3), Household(0.4)), rooms={"school": Household(0.6)})
    for name, known in parameters(model).items():
        changed = bind(model, {name: 0.5 * known.value})
        for other, value in parameters(changed).items():
            expected = (0.5 if other == name else 1.0) * np.asarray(parameters(model)[other].value)
            np.testing.assert_allclose(value.value, expected, rtol=1e-6)
    both = bind(model, {"beta": 1.0, "layers.1.beta": 2.0})
    assert float(both.beta) == 1.0 and float(both.layers[1].beta) == 2.0
    assert bind(model, {}) is model
    assert float(model.beta) == 0.5


def test_bind_says_what_is_wrong():
    with pytest.raises(UnknownParameterError, match=r"no parameter 'household.bta'; did you mean 'household.beta'"):
        bind(town(), {"household.bta": 1.0})
    with pytest.raises(UnknownParameterError, match="edges"):
        bind(town(), {"edges": jnp.zeros(3)})
    with pytest.raises(ParameterError, match=r"'ages' has shape \(3,\), the value given has \(2,\)"):
        bind(town(), {"ages": [0.1, 0.2]})
    with pytest.raises(ParameterError, match="'beta'"):
        bind(town(), {"beta": [0.1]})


def test_new_values_never_compile_again():
    """Parameter values of every sort, by constructor, `bind` and `tree_at`: one trace of the step."""
    simulate(town(beta=0.1), jr.key(0), 3)
    before = TRACES["step"]
    simulate(town(beta=0.2), jr.key(1), 3)
    simulate(town(beta=1), jr.key(1), 3)
    simulate(town(beta=jnp.asarray(0.3)), jr.key(1), 3)
    simulate(bind(town(), {"beta": np.float64(0.4), "household.beta": 1}), jr.key(1), 3)
    simulate(eqx.tree_at(lambda m: m.beta, town(), 0.6), jr.key(1), 3)
    simulate(eqx.tree_at(lambda m: (m.beta, m.household.beta), town(), (1, jnp.asarray(0.7))), jr.key(1), 3)
    assert TRACES["step"] == before


def test_tree_at_is_put_right_at_the_verb():
    """`tree_at` skips converter and check: the verb casts, and checks the domain."""
    loose = eqx.tree_at(lambda m: m.beta, town(), 0.25)
    assert not strong(loose.beta) and strong(settled(loose).beta)
    one, other = simulate(loose, jr.key(0), 3), simulate(town(beta=0.25), jr.key(0), 3)
    np.testing.assert_array_equal(one.observations["x"], other.observations["x"])
    with pytest.raises(DomainError, match="beta"):
        simulate(eqx.tree_at(lambda m: m.beta, town(), -0.25), jr.key(0), 3)
    kept = town()
    assert settled(kept) is kept


def test_defaults_belong_to_no_one():
    one, other = town(), town()
    assert one.ages is not other.ages or isinstance(one.ages, jax.Array)  # arrays are immutable either way
    assert not isinstance(one.ages, np.ndarray)


def test_an_unbuilt_model_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Model()


@pytest.mark.parametrize(
    ("domain", "inside", "outside", "text"),
    [
        (real, [0, -1e30], [np.nan, np.inf, -np.inf], "(-inf, inf)"),
        (positive, [1e-30, 5], [0, -1, np.nan, np.inf], "(0, inf)"),
        (nonnegative, [0, 5], [-1e-9, np.nan], "[0, inf)"),
        (unit, [0, 1, 0.5], [-1e-6, 1.001, np.nan], "[0, 1]"),
        (interval(-1, 2), [-1, 2], [-1.1, 2.1], "[-1, 2]"),
        (Domain(0, 1, low_open=True, high_open=True), [0.5], [0, 1], "(0, 1)"),
    ],
)
def test_domains(domain: Domain, inside: list[float], outside: list[float], text: str):
    assert all(domain.contains(x) for x in inside)
    assert not any(domain.contains(x) for x in outside)
    assert domain.contains(np.array(inside)) and not domain.contains(np.array([*inside, outside[0]]))
    assert str(domain) == text


def test_a_parameter_in_words():
    shown = describe_parameter(parameters(town())["household.beta"])
    assert shown == "household.beta = 0.2 1/day in (0, inf): hazard at home"
    assert describe_parameter(parameters(town())["ages"]) == "ages = array(3,) in [0, 1]"
