"""What a result was made with: enough to make it again, and to say why it came out otherwise.

A manifest holds no time and no path, so that equal work has an equal manifest.
"""

import functools
import json
import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from ..core.fingerprint import fingerprint
from ..problem.problem import Problem
from .sources import Sources, digest

FORMAT = 1
"""Of a study's folder and its manifest. 0 had neither a number, nor sources, data files and settings."""

_PACKAGES = ("populace", "jax", "jaxlib", "equinox", "numpy", "scipy", "numpyro", "optax", "flowjax", "blackjax")


def environment(packages: Iterable[str] = ()) -> dict[str, Any]:
    """Versions (of `packages` too, where they are installed), hardware and random numbers, as JSON values.

    Hardware is what may round otherwise: the processor, the kind and number of devices, what XLA was told. How much
    memory is free may change a last bit too where there is very little; it is not held.
    """
    also = {name: found for name in packages if name not in _PACKAGES and (found := _version(name)) is not None}
    known = {name: _version(name) or "not installed as a package" for name in _PACKAGES}
    device = jax.devices()[0]
    return {
        "versions": {"python": platform.python_version(), **known, **also},
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "model": _processor(),
            "device": jax.default_backend(),
            "kind": device.device_kind,
            "devices": jax.device_count(),
            "xla_flags": " ".join(flag for flag in os.environ.get("XLA_FLAGS", "").split() if "/" not in flag),
        },
        "random": {
            "generator": str(jax.random.key_impl(jax.random.key(0))),
            "partitionable": bool(jax.config.values["jax_threefry_partitionable"]),
            "double precision": bool(jax.config.values["jax_enable_x64"]),
        },
    }


def manifest(
    *,
    seed: int,
    budget: int,
    sources: Sources,
    data: Iterable[Path] = (),
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What decides the numbers of a study before it is run, as JSON values.

    **Arguments:** `sources`: the code that it may run; `data`: files, which count by their bytes under their names;
    `settings`: name to any object, which counts by its fingerprint.
    """
    return {
        "format": FORMAT,
        "seed": seed,
        "budget": budget,
        **environment(sources.packages),
        "data": {path.name: digest(path.read_bytes()) for path in data},
        "settings": {name: fingerprint(value)[:16] for name, value in sorted((settings or {}).items())},
        "sources": {"files": sources.files, "parts": sources.parts},
    }


def brief(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with one hash for all its sources, as there is room for at the foot of a page."""
    if "sources" not in manifest:
        return dict(manifest)
    held = manifest["sources"]
    text = json.dumps(held, sort_keys=True).encode()
    return {**manifest, "sources": {"files": len(held["files"]), "sha256": digest(text)}}


def of_results(results: Iterable[Any]) -> dict[str, Any]:
    """The environment, and what results know of how they were made: their problems, methods and simulator calls."""
    made = [told for result in results if (told := _told(result))]
    return {**environment(), **({"made": made} if made else {})}


def _told(result: Any) -> dict[str, Any]:
    """What a result, or the fit that it holds, knows of itself."""
    for thing in (result, getattr(result, "fit", None)):
        problem, method, calls = (getattr(thing, name, None) for name in ("problem", "by", "calls"))
        if isinstance(problem, Problem):
            by = {"method": type(method).__name__, "settings": fingerprint(method)[:16]} if method is not None else {}
            spent = {"calls": calls} if isinstance(calls, int) else {}
            return {"result": type(result).__name__, **by, **spent, "problem": problem.identity()}
    return {}


@functools.cache
def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def _processor() -> str:
    """The processor by its name, where the system tells it."""
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
