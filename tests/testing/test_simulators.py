"""The suite for simulators passes what is right and finds what is wrong, each flaw by its law."""

import re
import time

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.testing.simulators import check_simulator
from populace.zoo.school_epidemic import SchoolEpidemic

SPACE = pop.Space(mean=dist.Uniform(1.0, 3.0))


def plain(parameters, key):
    rng = np.random.default_rng(int(jr.bits(key)))
    return {"x": rng.poisson(parameters["mean"], 5)}


def breaking(parameters, key):
    """Sound: what it cannot compute raises or is NaN, and is excluded."""
    if parameters["mean"] > 2.7:
        raise ValueError("too much")
    return {"x": np.full(3, np.sqrt(parameters["mean"] - 1.2))}


def traced(parameters, key):
    return {"x": parameters["mean"] + jr.normal(key, (4,))}


def school():
    return pop.Simulation(SchoolEpidemic(1.7, 0.45, boys=30, steps_per_day=2), steps=6)


def reported():
    return pop.Observed(school(), {"seen": pop.Reporting("in_bed", 0.5)})


SOUND = {
    "callable": (pop.Callable(plain), SPACE),
    "breaking": (pop.Callable(breaking), SPACE),
    "traceable": (pop.Traceable(traced), SPACE),
    "model": (school(), pop.Space(beta=dist.Uniform(1.0, 3.0))),
    "observed": (reported(), pop.Space({"beta": dist.Uniform(1.0, 3.0), "seen.share": dist.Uniform(0.2, 0.9)})),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_passes(name: str):
    check_simulator(*SOUND[name], jr.key(0))


class Wrapped(pop.Simulator):
    """Sound, by a simulator inside; flaws override one method."""

    inner: pop.Simulator = eqx.field(default_factory=lambda: pop.Callable(breaking))

    def parameters(self):
        return self.inner.parameters()

    def simulate(self, parameters, keys, ticker):
        return self.inner.simulate(parameters, keys, ticker)

    def describe(self):
        return self.inner.describe()


class Silent(Wrapped):
    def simulate(self, parameters, keys, ticker):
        from populace.core.executor import Ticker

        return super().simulate(parameters, keys, Ticker(None, "", 0))


class Fewer(Wrapped):
    def simulate(self, parameters, keys, ticker):
        batch = super().simulate(parameters, keys, ticker)
        return pop.Batch(
            {name: values[1:] for name, values in batch.observations.items()}, batch.excluded, batch.reasons
        )


class OnDevice(Wrapped):
    def simulate(self, parameters, keys, ticker):
        batch = super().simulate(parameters, keys, ticker)
        return pop.Batch({k: jnp.asarray(v) for k, v in batch.observations.items()}, batch.excluded, batch.reasons)


class Uncounted(Wrapped):
    def simulate(self, parameters, keys, ticker):
        batch = super().simulate(parameters, keys, ticker)
        return pop.Batch(batch.observations, batch.excluded, {})


class Lenient(Wrapped):
    def simulate(self, parameters, keys, ticker):
        batch = super().simulate(parameters, keys, ticker)
        return pop.Batch(batch.observations, np.zeros_like(batch.excluded), {})


class Restless(Wrapped):
    def simulate(self, parameters, keys, ticker):
        batch = super().simulate(parameters, keys, ticker)
        jitter = np.random.default_rng().random()
        return pop.Batch({k: v + jitter for k, v in batch.observations.items()}, batch.excluded, batch.reasons)


class Positional(Wrapped):
    def simulate(self, parameters, keys, ticker):
        batch = super().simulate(parameters, keys, ticker)
        rows = np.arange(len(batch.excluded))[:, None]
        return pop.Batch({k: v + rows for k, v in batch.observations.items()}, batch.excluded, batch.reasons)


class Fragile(Wrapped):
    def simulate(self, parameters, keys, ticker):
        if np.isnan(np.asarray(parameters["mean"])).any():
            raise ZeroDivisionError("no such mean")
        return super().simulate(parameters, keys, ticker)


class Contagious(Wrapped):
    """One run's parameters change the others."""

    def simulate(self, parameters, keys, ticker):
        batch = super().simulate(parameters, keys, ticker)
        shared = np.nan_to_num(np.asarray(parameters["mean"])).min()
        return pop.Batch({k: v + shared for k, v in batch.observations.items()}, batch.excluded, batch.reasons)


class Useless(Wrapped):
    def simulate(self, parameters, keys, ticker):
        batch = super().simulate(parameters, keys, ticker)
        runs = len(batch.excluded)
        return pop.Batch(batch.observations, np.ones(runs, bool), {"it never works": runs})


class Unspeakable(Wrapped):
    def describe(self):
        return {"arrays": jnp.ones(3)}


class Dated(Wrapped):
    def describe(self):
        return {"when": time.perf_counter_ns()}


class Addressed(Wrapped):
    def describe(self):
        return {"inner": repr(plain)}


class Misnamed(Wrapped):
    def parameters(self):
        return {"mean": pop.Parameter("rate", jnp.float32(1), "", pop.real, "")}


class Foreign(Wrapped):
    def parameters(self):
        return {"rate": pop.Parameter("rate", jnp.float32(1), "", pop.real, "")}


FLAWS = {
    Silent: "6 runs advance the ticker by 0",
    Fewer: "has (5,) runs on its leading axis, not 6",
    OnDevice: "not a numpy array of numbers",
    Uncounted: "the reasons count 0: each excluded run has one",
    Lenient: "is NaN or infinite in a run that is not excluded",
    Restless: "the same parameters and keys give other numbers",
    Positional: "in another order the runs have other numbers",
    Fragile: "one run that cannot be made ends the batch (ZeroDivisionError: no such mean)",
    Contagious: "a run whose parameters are NaN changes the other runs",
    Useless: "no run can be used, take another space: {'it never works': 6}",
    Unspeakable: "describe holds what JSON cannot",
    Dated: "describe says something else each time",
    Addressed: "describe holds an address",
    Misnamed: "parameters['mean'] is not the Parameter of that name",
    Foreign: "the space does not fit its parameters: the simulator has no parameter 'mean'",
}


def test_the_plain_wrapper_is_sound():
    check_simulator(Wrapped(), SPACE, jr.key(0))


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
def test_a_flaw_is_found(flaw: type[Wrapped]):
    with pytest.raises(AssertionError, match=f"{flaw.__name__}: .*{re.escape(FLAWS[flaw])}"):
        check_simulator(flaw(), SPACE, jr.key(0))
