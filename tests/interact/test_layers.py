import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace._errors import ModelError
from populace.core.draw import Draw
from populace.interact.layers import Layered
from populace.interact.mixing import Groups, WellMixed
from populace.interact.network import Network

HOME, STREET = Groups([0, 0, 1, 1]), Network.from_edges([0, 1], [2, 3], 4)


def test_the_sum_is_weighted():
    both = Layered({"home": HOME, "street": STREET}, {"home": 2.0, "street": 0.5})
    values = jnp.array([1.0, 10.0, 100.0, 1000.0])
    np.testing.assert_array_equal(both.sum(values), 2.0 * HOME.sum(values) + 0.5 * STREET.sum(values))
    np.testing.assert_array_equal(Layered({"home": HOME, "street": STREET}).degree(), [2.0, 2.0, 2.0, 2.0])
    assert both.layer("street") is both.layers["street"]


def test_a_gradient_reaches_the_weights():
    @jax.jit
    def pressure(home):
        return Layered({"home": HOME, "street": STREET}, {"home": home, "street": 0.5}).sum(jnp.arange(4.0))[0]

    assert float(jax.grad(pressure)(2.0)) == 1.0


def test_other_weights_compile_nothing():
    traces = []

    @jax.jit
    def use(layers):
        traces.append(1)
        return layers.sum(jnp.ones(4))

    for weight in (1, 2.0, np.float64(3.0), jnp.float32(4.0)):
        use(Layered({"home": HOME, "street": STREET}, {"home": weight, "street": 1.0}))
    assert len(traces) == 1


def test_a_layer_of_weight_0_is_never_met():
    layers = {"home": HOME, "all": WellMixed(4)}
    draws = jax.vmap(lambda k: Layered(layers, {"home": 1.0, "all": 0.0}).neighbour(Draw(k), "meet").index)(
        jr.split(jr.key(0), 300)
    )
    assert (np.asarray(draws) == [1, 0, 3, 2]).all()


WRONG = {
    "one each": lambda: Layered({"home": HOME}, {"work": 1.0}),
    "the same agents": lambda: Layered({"home": HOME, "all": WellMixed(5)}),
    "there is one at least": lambda: Layered({}),
    "has shape": lambda: Layered({"home": HOME}, {"home": jnp.ones(4)}),
    "finite and not negative": lambda: Layered({"home": HOME}, {"home": -1.0}),
    "no layer 'hom': did you mean 'home'": lambda: Layered({"home": HOME}).layer("hom"),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_does_not_fit_is_refused(message: str):
    with pytest.raises(ModelError, match=message):
        WRONG[message]()
