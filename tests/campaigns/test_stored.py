"""A simulator on a store gives the numbers of the simulator inside, and makes no run twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

from populace._errors import SimulatorError, StoreError
from populace.calibration.calibrate import calibrate
from populace.calibration.sequential_abc import SequentialABC
from populace.campaigns.campaign import Campaign, run_campaign
from populace.campaigns.plan import Plan
from populace.campaigns.store import Store
from populace.campaigns.stored import Stored
from populace.core.executor import Ticker
from populace.core.model import Model, parameter
from populace.problem.covariance import Given
from populace.problem.moments import level
from populace.problem.observation import Reporting
from populace.problem.problem import Problem
from populace.problem.simulators import Batch, Observed, Simulation, Simulator, Traceable
from populace.problem.simulators import Callable as CallableSimulator
from populace.problem.space import Space
from populace.problem.target import Target
from populace.testing.simulators import check_simulator

SPACE = Space(mean=dist.Uniform(-3.0, 3.0))
calls: list[float] = []
fails: dict[str, int] = {}


@pytest.fixture(autouse=True)
def _none_yet() -> Iterator[None]:
    calls.clear()
    fails.clear()
    yield
    fails.clear()


def normal(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    calls.append(parameters["mean"])
    if len(calls) == fails.get("at"):
        raise KeyboardInterrupt
    if not np.isfinite(parameters["mean"]):
        raise ValueError("no mean")
    random = np.random.default_rng(int(jr.bits(key)))
    return {"x": random.normal(parameters["mean"], 1.0, size=5)}


def asked(runs: int, seed: int = 0) -> tuple[dict[str, Any], Any]:
    return {"mean": jnp.linspace(-1.0, 1.0, runs)}, jr.split(jr.key(seed), runs)


def batch(simulator: Simulator, parameters: Any, keys: Any) -> Any:
    ticker = Ticker(None, "", len(keys))
    out = simulator.simulate(parameters, keys, ticker)
    assert ticker.done == len(keys)
    return out


SIMULATORS = {
    "one by one": CallableSimulator(normal),
    "vectorised": Traceable(lambda p, key: {"x": p["mean"] + jr.normal(key, (5,))}),
    "behind an observer": Observed(CallableSimulator(normal), {}),
}


@pytest.mark.parametrize("kind", SIMULATORS)
def test_it_keeps_every_law_of_a_simulator(folder: Store, kind: str):
    check_simulator(Stored(SIMULATORS[kind], folder), SPACE, jr.key(0))


@pytest.mark.parametrize("kind", SIMULATORS)
def test_it_gives_the_numbers_of_the_simulator_inside(folder: Store, kind: str):
    inside = SIMULATORS[kind]
    stored = Stored(inside, folder)
    parameters, keys = asked(6)
    parameters["mean"] = parameters["mean"].at[2].set(jnp.nan)
    direct = batch(inside, parameters, keys)
    for again in (batch(stored, parameters, keys), batch(stored, parameters, keys)):
        for name, values in direct.observations.items():
            assert values.dtype == again.observations[name].dtype
            np.testing.assert_array_equal(values[~direct.excluded], again.observations[name][~direct.excluded])
        np.testing.assert_array_equal(again.excluded, direct.excluded)
        assert again.reasons == direct.reasons
    assert stored.describe() == inside.describe()


def test_only_what_is_not_stored_is_made(folder: Store):
    stored = Stored(normal, folder)
    parameters, keys = asked(6)
    first = batch(stored, {"mean": parameters["mean"][:4]}, keys[:4])
    assert len(calls) == 4
    whole = batch(stored, parameters, keys)
    assert len(calls) == 6
    np.testing.assert_array_equal(whole.observations["x"][:4], first.observations["x"])
    twice = batch(stored, {"mean": jnp.full(3, 9.0)}, keys[jnp.array([0, 0, 1])])
    assert len(calls) == 8
    np.testing.assert_array_equal(twice.observations["x"][0], twice.observations["x"][1])


def test_campaigns_and_stored_simulators_share_their_runs(folder: Store):
    plan = Plan({"mean": [0.5, 0.25]}, jr.key(0))
    run_campaign(Campaign(normal, plan, folder))
    calls.clear()
    batch(Stored(normal, folder), {"mean": jnp.array([0.5, 0.25])}, plan.keys)
    assert calls == []


def test_a_run_of_another_shape_is_excluded(folder: Store):
    def ragged(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
        return {"x": np.zeros(3 if parameters["mean"] < -0.9 else 2)}

    seen = batch(Stored(ragged, folder), *asked(4))
    assert seen.excluded.tolist() == [True, False, False, False] and seen.observations["x"].shape == (4, 2)
    assert seen.reasons == {"the simulator returned x (3,), not x (2,)": 1}


def test_where_every_run_fails_that_is_an_error_unless_the_shape_is_known(folder: Store):
    stored = Stored(normal, folder)
    nowhere = {"mean": jnp.full(2, jnp.nan)}
    for _ in range(2):
        with pytest.raises(SimulatorError, match="all 2 runs failed; the first: the simulator raised ValueError"):
            batch(stored, nowhere, jr.split(jr.key(0), 2))
    assert len(calls) == 2
    assert folder.forget_excluded() == 2 and folder.check()["runs"] == 0
    blank = Stored(Traceable(lambda p, key: {"x": p["mean"] * jnp.ones(4)}), folder)
    seen = batch(blank, nowhere, jr.split(jr.key(0), 2))
    assert seen.excluded.all() and seen.observations["x"].shape == (2, 4)


def test_each_run_of_a_batch_has_its_own_reason(folder: Store):
    """Of a model: a site outside its domain, a number that is infinite; of observers, on top of those."""

    class Odd(Model):
        p: Any = parameter(default=0.5)

        def init(self, draw: Any) -> Any:
            return draw.bernoulli("b", self.p, size=3) / jnp.where(self.p == 1.0, 0.0, 1.0)

        def step(self, draw: Any, state: Any) -> Any:
            return state

        def observe(self, state: Any) -> Any:
            return {"x": state.sum()}

    stored = Stored(Simulation(Odd(), 1), folder)
    campaign = Campaign(Simulation(Odd(), 1), Plan({"p": [0.5, 2.0, 1.0, 0.25]}, jr.key(0)), folder)
    run_campaign(campaign)
    domain, infinite = "a site was given a number outside its domain", "an observation is NaN or infinite"
    assert campaign.table()["reason"].tolist() == ["", domain, infinite, ""]
    assert dict(campaign.status().reasons) == {domain: 1, infinite: 1}
    seen = batch(stored, {"p": jnp.array([0.5, 2.0, 1.0, 0.25])}, campaign.plan.keys)
    assert seen.why() == ("", domain, infinite, "") and len(folder.database.every("id")) == 4


def test_an_observer_keeps_the_reasons_of_what_is_behind_it():
    def fails(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
        if parameters["mean"] < 0.0:
            raise ValueError("below")
        return {"x": np.ones(2)}

    observed = Observed(CallableSimulator(fails), {"seen": Reporting("x", 0.5)})
    seen = batch(observed, {"mean": jnp.array([1.0, -1.0, 1.0]), "seen.share": jnp.array([0.5, 0.5, 2.0])}, asked(3)[1])
    raised, domain = "the simulator raised ValueError: below", "an observation model was given a number outside"
    assert [why[: len(domain)] for why in seen.why()] == ["", raised[: len(domain)], domain]


def test_a_simulator_that_says_not_whose_a_reason_is_is_told_all():
    assert Batch({}, np.array([True, False]), {"a": 1, "b": 1}).why() == ("a; or b", "")
    assert Batch({}, np.array([True, False]), {}).why() == ("no reason was given", "")


def test_an_observer_s_parameters_count(folder: Store):
    counted = Traceable(lambda p, key: {"x": 100.0 * jnp.ones(3)})
    stored = Stored(Observed(counted, {"seen": Reporting("x", 0.5)}), folder)
    keys = jr.split(jr.key(0), 2)
    shares = [{"seen.share": jnp.full(2, share)} for share in (0.0, 1.0)]
    assert [batch(stored, share, keys).observations["x"].sum() for share in shares] == [0.0, 600.0]
    assert folder.check()["runs"] == 4


def test_a_store_that_cannot_be_used_is_said_before_any_run(tmp_path: Path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StoreError):
        batch(Stored(normal, Store(tmp_path / "runs")), *asked(2))
    assert calls == []


# --- a fit on a store

DATA = np.array([0.3, -0.2, 0.8, 0.1, 0.5])
TARGET = Target({"x": DATA}, moments=[level("x")], covariance=Given(np.eye(5)))


def fit(simulator: Any) -> Any:
    method = SequentialABC(particles=40, adjust=False)
    return calibrate(Problem(simulator, SPACE, TARGET), method, jr.key(1), budget=250, predictive=10)


def test_a_fit_that_is_killed_makes_no_run_twice(folder: Store):
    """The bare fit, the interrupted one and the one that goes on: the same numbers, and as many runs in all."""
    bare = fit(normal)
    needed = len(calls)
    for place in (60, 50):
        calls.clear()
        fails["at"] = place
        with pytest.raises(KeyboardInterrupt):
            fit(Stored(normal, folder))
    fails.clear()
    calls.clear()
    done = fit(Stored(normal, folder))
    assert len(calls) == needed - 59 - 49
    np.testing.assert_array_equal(done.estimate.real, bare.estimate.real)
    np.testing.assert_array_equal(done.moments, bare.moments)
    calls.clear()
    again = fit(Stored(CallableSimulator(normal), folder, together=7))
    assert calls == []
    np.testing.assert_array_equal(again.estimate.real, bare.estimate.real)
