"""Importing all of populace changes nothing: no JAX flag, no variable, no warning filter, no device, no extra."""

import os
import subprocess
import sys

EVERYTHING = """
import populace
for name in populace.__all__:
    getattr(populace, name)
"""

WATCH = """
import logging, os, random, sys, warnings
import equinox, jax, matplotlib.figure, numpy as np, numpyro, optax, rich.progress
import scipy.stats, threadpoolctl, typer, xarray

def state():
    return {
        "jax": dict(jax.config.values),
        "environment": dict(os.environ),
        "numpy errors": np.geterr(),
        "numpy printing": np.get_printoptions(),
        "numpy numbers": np.random.get_state()[1].tolist(),
        "random": random.getstate(),
        "warnings": list(warnings.filters),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "recursion": sys.getrecursionlimit(),
        "excepthook": sys.excepthook,
    }

before = state()
import populace
for name in populace.__all__:
    getattr(populace, name)
after = state()
changed = [name for name in before if before[name] != after[name]]
assert not changed, changed
"""


def run(code: str) -> None:
    """Run `code` in a fresh interpreter without the flags of the test session."""
    environment = {k: v for k, v in os.environ.items() if k not in {"XLA_FLAGS", "MPLBACKEND"}}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_sets_nothing_global():
    """Beyond what the packages that it stands on set for themselves."""
    run(WATCH)


def test_importing_starts_no_device_warns_of_nothing_needs_no_extra_and_draws_nothing():
    """The number of devices can still be set, which JAX refuses once it has started."""
    missing = "networkx tinygp xgboost ray sqlalchemy psycopg pysindy pettingzoo gymnasium mesa SALib arviz"
    block = f"import sys\nsys.modules.update(dict.fromkeys({missing.split()}))\n"
    strict = "import jax, equinox, numpyro, optax, warnings\nwarnings.simplefilter('error')\n"
    started = "jax.config.update('jax_num_cpu_devices', 3)\nassert len(jax.devices()) == 3\n"
    run(block + strict + EVERYTHING + "assert 'matplotlib.pyplot' not in sys.modules\n" + started)


def test_the_front_alone_is_light():
    run("import sys, populace\nassert not {'jax', 'numpy', 'matplotlib', 'rich'} & set(sys.modules)")
