"""Importing populace changes nothing: no JAX flag, no variable, no warning filter, no device, no extra."""

import os
import subprocess
import sys

WATCH = """
import logging, os, random, sys, warnings
import equinox, jax, numpy as np, numpyro, rich.style

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
    run(WATCH)


def test_importing_starts_no_device():
    """The number of devices can still be set, which JAX refuses once it has started."""
    run("import jax, populace\njax.config.update('jax_num_cpu_devices', 3)\nassert len(jax.devices()) == 3")


def test_importing_needs_no_extra_and_draws_nothing():
    run(
        "import sys\n"
        "missing = 'networkx tinygp xgboost ray sqlalchemy psycopg pysindy pettingzoo mesa SALib arviz'.split()\n"
        "sys.modules.update(dict.fromkeys(missing))\n"
        "import populace\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )


def test_importing_warns_of_nothing():
    run("import jax, equinox, numpyro, optax, warnings\nwarnings.simplefilter('error')\nimport populace")
