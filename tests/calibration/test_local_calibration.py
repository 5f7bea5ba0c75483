"""A posterior that is wrong at some data only is found wrong there, and right elsewhere."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import ndtri

import populace as pop
from populace.calibration.checks import Calibration
from populace.calibration.local_calibration import LocalCalibration
from populace.core.noise import host_generator


def _seen(parameters: Mapping[str, np.ndarray], u: np.ndarray) -> dict[str, np.ndarray]:
    return {"m": (parameters["a"] + 0.5 * ndtri(u[:, 0]))[:, None]}


class Said(pop.Estimate):
    """The exact posterior of a ~ N(0, 2^2) seen with error 0.5, but where the data are positive: there its spread is
    `narrow` times the right one and its mean `shift` spreads off.
    """

    narrow: float = eqx.field(static=True, default=1.0)
    shift: float = eqx.field(static=True, default=0.0)

    def draws(self, problem: pop.Problem, key: Any, count: int) -> np.ndarray:
        data, gain = float(problem.target.values[0]), 4.0 / 4.25
        wide, off = (self.narrow, self.shift) if data > 0 else (1.0, 0.0)
        noise = host_generator(key).standard_normal((count, 1))
        return gain * data + 0.5 * np.sqrt(gain) * (wide * noise + off)

    def centre(self, problem: pop.Problem) -> np.ndarray:
        return self.draws(problem, jr.key(0), 100).mean(0)

    def notes(self) -> tuple[str, ...]:
        return ()


@pytest.fixture(scope="module")
def seen(numpy_simulator: Any) -> pop.Problem:
    target = pop.Target({"m": np.array([1.0])}, [pop.level("m")])
    return pop.Problem(numpy_simulator(_seen, 1), pop.Space(a=dist.Normal(0.0, 2.0)), target)


def at(problem: pop.Problem, value: float) -> pop.Problem:
    return problem.with_target(problem.target.with_values(np.array([value])))


@pytest.fixture(scope="module")
def checked(seen: pop.Problem) -> Callable[..., Calibration]:
    """What is found of an estimate over all data, once for each."""

    @functools.cache
    def found(narrow: float, shift: float, datasets: int = 400) -> Calibration:
        estimate = Said(narrow, shift)
        return pop.amortised_calibration(seen, estimate, jr.key(1), datasets=datasets, draws=10, progress=False)

    return found


@pytest.fixture(scope="module")
def judged(seen: pop.Problem, checked: Any) -> Callable[..., LocalCalibration]:
    """What is found at some data."""

    @functools.cache
    def found(value: float, narrow: float = 1.0, shift: float = 0.0) -> LocalCalibration:
        estimate, before = Said(narrow, shift), checked(narrow, shift)
        return pop.local_calibration(at(seen, value), estimate, before, jr.key(2), nulls=39)

    return found


@pytest.mark.parametrize(("narrow", "shift", "said"), [(0.4, 0.0, "a should be 1"), (1.0, 1.5, "a should lie 1")])
def test_what_is_wrong_at_some_data_is_said_there(judged: Any, narrow: float, shift: float, said: str):
    found = judged(2.0, narrow, shift)
    assert found.verdict().code is pop.Code.NOT_POSTERIOR and found.p < 0.03
    assert said in found.verdict().sentence


def test_and_not_elsewhere(judged: Any):
    found = judged(-2.0, 0.4, 0.0)
    assert found.verdict().code is pop.Code.CALIBRATED and found.p > 0.05


def test_the_exact_posterior_is_told_from_nothing(judged: Any):
    assert judged(-1.0).p > 0.05 and "Nothing found" in judged(-1.0).verdict().sentence


def test_data_that_no_data_set_comes_near_are_not_judged(judged: Any):
    found = judged(-1.0)
    assert found.within.code is pop.Code.WITHIN_REACH
    far = dataclasses.replace(found, within=pop.Verdict("the data", pop.Code.OUT_OF_REACH, "far"))
    assert far.verdict().code is pop.Code.UNJUDGED and "invents" in far.verdict().sentence


def test_it_reads(judged: Any):
    found = judged(2.0, 0.4, 0.0)
    (section,) = found.sections()
    (panel,) = section.figures[0].panels
    x, y = panel.points[0].x, panel.points[0].y
    assert panel.title == "a" and x.shape == (8,) and abs(x.mean() - 2.0 * 4.0 / 4.25) < 0.1
    assert y[0] > y[4] < y[-1]  # its tails lack draws
    assert section.tables[0].rows[0][0] == "a"
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert record["verdict"]["class"] == "not the posterior" and record["width"]["a"] > 1.2


def test_few_data_sets_are_refused(seen: pop.Problem, checked: Any):
    with pytest.raises(pop.MethodError, match="20 data sets and 39 nulls show nothing here: take 100 and 20"):
        pop.local_calibration(seen, Said(), checked(1.0, 0.0, 20), jr.key(0), nulls=39)
