"""Interventions at sites of a model that stands behind observers and in a store."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from tests.campaigns.drawn_fits import fitted

import populace as pop
from populace.problem.plugged import plugs_of, with_plugs

pytest.importorskip("sqlalchemy")
N = 20


class Walkers(pop.Model):
    """Each steps to the right with probability `p`."""

    p: jax.Array = pop.parameter(default=0.5, domain=pop.unit)
    size: int = eqx.field(static=True, default=N)

    def init(self, draw):
        return jnp.zeros(self.size)

    def step(self, draw, place):
        return place + draw.bernoulli("go", self.p, size=self.size)

    def observe(self, place):
        return {"far": place.sum()}


def far(observations):
    return observations["far"][:, -1]


def stay(mechanism):
    return type(mechanism)(0.0 * mechanism.p)


def leap(mechanism):
    return type(mechanism)(0.0 * mechanism.p + 1.0)


ASKED = {
    "stay": (pop.Replace("go", stay),),
    "leap": (pop.Replace("go", leap),),
    "those in front rest": (pop.Override("go", 0.0, pop.Window(who=lambda place: place >= 1.0)),),
    "twice as many": pop.Intervention(model=lambda model: Walkers(model.p, 2 * model.size)),
    "unseen": pop.Intervention(parameters={"reporting.share": 0.0}),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    store = pop.Store(tmp_path_factory.mktemp("runs") / "store")
    inner = pop.Stored(pop.Simulation(Walkers(), 3), store)
    seen = pop.Observed(inner, {"reporting": pop.Reporting("far", jnp.float32(0.5))})
    space = pop.Space({"p": dist.Uniform(0.2, 0.8), "reporting.share": dist.Uniform(0.99, 1.0)})
    fit = fitted(seen, space, {"far": np.array([5.0, 10.0, 15.0])}, [pop.final("far")], 32)
    return fit, pop.counterfactual(fit, ASKED, jr.key(0), outcome="steps", of=far, draws=32, progress=False)


def test_a_model_behind_observers_in_a_store_is_reached(found):
    outcomes = found[1].outcomes
    assert (outcomes["stay"] == 0).all() and (outcomes["leap"] > 50).all() and (outcomes["unseen"] == 0).all()
    assert outcomes["twice as many"].mean() == pytest.approx(2.0 * found[1].baseline.mean(), rel=0.2)
    assert ((outcomes["those in front rest"] <= N) & (outcomes["those in front rest"] > 0)).all()


def test_plugs_are_part_of_what_stored_runs_are_known_by(found, monkeypatch):
    """Asked again all runs are there; another rule at the site is another simulator."""
    fit, first = found
    monkeypatch.setattr(pop.Simulation, "simulate", never)
    again = pop.counterfactual(fit, ASKED, jr.key(0), outcome="steps", of=far, draws=32, progress=False)
    for name, values in first.outcomes.items():
        np.testing.assert_array_equal(values, again.outcomes[name])
    with pytest.raises(AssertionError, match="made anew"):
        pop.counterfactual(fit, {"mild": MILD}, jr.key(0), outcome="steps", of=far, draws=32, progress=False)


def never(*_):
    raise AssertionError("made anew")


MILD = (pop.Scale("go", 0.9),)


def test_plugs_go_through_all_that_stands_around(found):
    plug = pop.Override("go", 1.0)
    assert plugs_of(with_plugs(found[0].problem.simulator, (plug,))) == (plug,)
