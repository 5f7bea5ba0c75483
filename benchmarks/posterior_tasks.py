"""Tasks of the public benchmark of Lueckmann and others (2021, arXiv:2101.04653), written in JAX.

Observations and 10,000 draws of each reference posterior are read from the package sbibm (MIT licence), as a wheel:
`pip download sbibm --no-deps`. Nothing of it is run. Parameters are named theta; `columns` turns draws of our
parameters into theirs (they are the same but for the linear model of spikes, whose prior is correlated there).
"""

import bz2
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

import populace as pop


@dataclass(frozen=True)
class Task:
    """A simulator of one vector `x`, its prior, and `columns`: draws of our parameters (n, d) as theirs."""

    name: str
    simulate: Callable[[dict[str, Array], Array], dict[str, Array]]
    prior: Any
    size: int
    columns: Callable[[np.ndarray], np.ndarray]

    def problem(self, data: np.ndarray) -> pop.Problem:
        """Fitted to an observation, value by value."""
        target = pop.Target({"x": data}, [pop.level("x")]).with_covariance(np.eye(data.size), "not used")
        return pop.Problem(pop.Traceable(self.simulate), pop.Space(theta=self.prior), target)


class Files:
    """What a wheel of sbibm holds."""

    def __init__(self, wheel: Path):
        self._zip = zipfile.ZipFile(wheel)

    def observation(self, task: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        """An observation, and draws (10,000, d) of its reference posterior."""
        folder = f"sbibm/tasks/{task}/files/num_observation_{number}/"
        draws = bz2.decompress(self._zip.read(folder + "reference_posterior_samples.csv.bz2"))
        table = np.loadtxt(io.BytesIO(draws), delimiter=",", skiprows=1)
        seen = np.loadtxt(io.BytesIO(self._zip.read(folder + "observation.csv")), delimiter=",", skiprows=1)
        return np.atleast_1d(seen), table

    def floats(self, path: str, count: int) -> np.ndarray:
        """The numbers at the end of a saved tensor."""
        return np.frombuffer(self._zip.read(path)[-4 * count :], "<f4")


def _same(draws: np.ndarray) -> np.ndarray:
    return draws


def two_moons() -> Task:
    def simulate(at: dict[str, Array], key: Array) -> dict[str, Array]:
        turn, stretch = jr.split(key)
        a, r = jr.uniform(turn, (), minval=-jnp.pi / 2, maxval=jnp.pi / 2), 0.1 + 0.01 * jr.normal(stretch)
        one, other = at["theta"]
        shift = jnp.stack([-jnp.abs(one + other), other - one]) / jnp.sqrt(2.0)
        return {"x": jnp.stack([r * jnp.cos(a) + 0.25, r * jnp.sin(a)]) + shift}

    return Task("two_moons", simulate, dist.Uniform(-1.0, 1.0).expand([2]), 2, _same)


def gaussian_mixture() -> Task:
    def simulate(at: dict[str, Array], key: Array) -> dict[str, Array]:
        which, noise = jr.split(key)
        scale = jnp.where(jr.bernoulli(which), 1.0, 0.1)
        return {"x": at["theta"] + scale * jr.normal(noise, (2,))}

    return Task("gaussian_mixture", simulate, dist.Uniform(-10.0, 10.0).expand([2]), 2, _same)


def gaussian_linear() -> Task:
    def simulate(at: dict[str, Array], key: Array) -> dict[str, Array]:
        return {"x": at["theta"] + jnp.sqrt(0.1) * jr.normal(key, (10,))}

    return Task("gaussian_linear", simulate, dist.Normal(0.0, np.sqrt(0.1)).expand([10]), 10, _same)


def bernoulli_glm(files: Files) -> Task:
    """Spikes of a neuron under a known stimulus: their number, and the stimulus that went before them on average. The
    prior is Gaussian with a smooth filter; our parameters are its independent parts.
    """
    design = files.floats("sbibm/tasks/bernoulli_glm/files/design_matrix.pt", 1_000).reshape(100, 10)
    m = 9
    d = np.eye(m) - np.diag(np.ones(m - 1), -1)
    f = d @ d + np.diag(np.sqrt(np.arange(m) / m))
    precision = np.zeros((m + 1, m + 1))
    precision[0, 0], precision[1:, 1:] = 0.5, f.T @ f
    root = np.linalg.cholesky(np.linalg.inv(precision))
    mixing = jnp.asarray(design @ root, jnp.float32)
    seen = jnp.asarray(design.T, jnp.float32)

    def simulate(at: dict[str, Array], key: Array) -> dict[str, Array]:
        spikes = jr.bernoulli(key, jax.nn.sigmoid(mixing @ at["theta"])).astype(jnp.float32)
        return {"x": seen @ spikes}

    return Task("bernoulli_glm", simulate, dist.Normal(0.0, 1.0).expand([10]), 10, lambda draws: draws @ root.T)


def sir() -> Task:
    """A million people, 160 days; a thousand of them tested on every seventeenth day."""

    def simulate(at: dict[str, Array], key: Array) -> dict[str, Array]:
        beta, gamma = at["theta"]

        def slope(state: Array) -> Array:
            s, i = state
            return jnp.stack([-beta * s * i, beta * s * i - gamma * i])

        def step(state: Array, _: None) -> tuple[Array, Array]:
            h = 0.2
            a = slope(state)
            b = slope(state + h / 2 * a)
            c = slope(state + h / 2 * b)
            e = slope(state + h * c)
            return state + h / 6 * (a + 2 * b + 2 * c + e), state[1]

        first = jnp.array([1.0 - 1e-6, 1e-6])
        _, infected = jax.lax.scan(step, first, None, length=154 * 5)
        tested = jnp.clip(infected[:: 17 * 5], 0.0, 1.0)
        return {"x": jr.binomial(key, 1_000, tested)}

    prior = dist.LogNormal(jnp.log(jnp.array([0.4, 0.125])), jnp.array([0.5, 0.2]))
    return Task("sir", simulate, prior, 2, _same)


def tasks(files: Files) -> list[Task]:
    return [two_moons(), gaussian_mixture(), gaussian_linear(), bernoulli_glm(files), sir()]
