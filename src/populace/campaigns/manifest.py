"""What a result was made with: enough to make it again."""

import platform
from importlib import metadata
from typing import Any

import jax

_PACKAGES = ("populace", "jax", "jaxlib", "equinox", "numpy", "scipy", "numpyro", "optax")


def manifest(*, seed: int, budget: int, problems: dict[str, Any]) -> dict[str, Any]:
    """Versions, seed, random number generator, device and the identity of each problem (hashes of data, model source
    and settings), as JSON values. It holds no time and no path, so that equal work has an equal manifest.
    """
    return {
        "seed": seed,
        "budget": budget,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "machine": {"system": platform.system(), "processor": platform.machine(), "device": jax.default_backend()},
        "random": {
            "generator": str(jax.random.key_impl(jax.random.key(0))),
            "partitionable": bool(jax.config.values["jax_threefry_partitionable"]),
        },
        "problems": problems,
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed as a package"
