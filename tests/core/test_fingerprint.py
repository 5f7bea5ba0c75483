"""A fingerprint is another when a number is another, wherever it hides, and the same in every process."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from populace.core.fingerprint import fingerprint


class Box(eqx.Module):
    value: Any
    name: str = eqx.field(static=True, default="box")


def adder(amount: float) -> Callable[[float], float]:
    def add(x: float) -> float:
        return x + amount

    return add


def nested(amount: float) -> Callable[[float], float]:
    inner = adder(amount)
    return lambda x: inner(x)


def recursive(amount: int) -> Callable[[int], int]:
    def down(x: int) -> int:
        return amount if x == 0 else down(x - 1)

    return down


def defaulted(amount: float) -> Callable[..., float]:
    def add(x: float, *, by: float = amount) -> float:
        return x + by

    return add


def decorated(amount: float) -> Callable[[float], float]:
    @functools.wraps(adder)
    def add(x: float) -> float:
        return x * amount

    return add


MAKERS: dict[str, Callable[[float], Any]] = {
    "number": lambda x: x,
    "text": lambda x: str(x),
    "array": lambda x: np.array([0.0, x]),
    "jax array": lambda x: jnp.array([0.0, x]),
    "key": lambda x: jr.key(int(100 * x)),
    "mapping": lambda x: {"b": 1.0, "a": x},
    "set": lambda x: {"a", "b", "c", x},
    "tuple": lambda x: (1, (2, x)),
    "module": lambda x: Box(x),
    "module of an array": lambda x: Box(np.array(x)),
    "static field": lambda x: Box(1.0, name=str(x)),
    "class": lambda x: (Box, x),
    "closure": adder,
    "closure of a closure": nested,
    "default": defaulted,
    "decorated": decorated,
    "recursive": lambda x: recursive(int(100 * x)),
    "jitted": lambda x: jax.jit(adder(x)),
    "partial": lambda x: functools.partial(adder, x),
    "method": lambda x: Box(x).__eq__,
    "adam": lambda x: optax.adam(x),
    "schedule": lambda x: optax.chain(optax.clip(1.0), optax.sgd(optax.exponential_decay(0.1, 10, x))),
}


@pytest.mark.parametrize("name", MAKERS)
def test_it_tells_numbers_apart_and_nothing_else(name: str):
    make = MAKERS[name]
    assert fingerprint(make(0.1)) == fingerprint(make(0.1))
    assert fingerprint(make(0.1)) != fingerprint(make(0.2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2, np.float32), np.zeros(2, np.float64)),
        (1, 1.0),
        (1, True),
        ("1", 1),
        ((1, 2), [1, 2]),
        ((1, (2, 3)), ((1, 2), 3)),
        ({"a": 1}, {"b": 1}),
        (jnp.sin, jnp.cos),
        (adder(1.0), defaulted(1.0)),
        (None, 0),
    ],
)
def test_it_tells_kinds_apart(one: Any, other: Any):
    assert fingerprint(one) != fingerprint(other)


SCRIPT = """
import optax
from populace.core.fingerprint import fingerprint
print(fingerprint(({"a", "b", "c"}, {"x": 1, "y": 2}, optax.adam(0.1, b1=0.5), object())))
"""


def test_it_is_the_same_in_every_process():
    """Sets of text are in another order in each, and objects at other addresses."""
    said = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1] and len(said[0].strip()) == 64
