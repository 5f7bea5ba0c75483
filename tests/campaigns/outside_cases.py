"""Functions that are run elsewhere. Workers import this file: it must not import JAX."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

KILLED, CRASHED, HUNG, STUCK, LARGE, RAISED, NAN, SHAPE, LEFT = range(1, 10)


def counts(parameters, seed):
    """Poisson counts: what all that is sound returns."""
    return {"x": np.random.default_rng(seed).poisson(parameters["mean"], 5)}


def breaking(parameters, seed):
    """Sound, but where the mean is above 2.7."""
    if parameters["mean"] > 2.7:
        raise ValueError("too much")
    return counts(parameters, seed)


def troubled(parameters, seed):
    """Each way for a run to go wrong, by its number; 0 is sound."""
    trouble = int(parameters["trouble"])
    print(f"run of trouble {trouble}")
    if trouble == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    elif trouble == CRASHED:
        ctypes.string_at(0)
    elif trouble == HUNG:
        time.sleep(100)
    elif trouble == STUCK:
        ctypes.PyDLL(None).sleep(100)  # holds the interpreter's lock
    elif trouble == LARGE:
        kept = []
        while len(kept) < 100:
            kept.append(np.ones(10**7, np.uint8))
        time.sleep(100)
    elif trouble == RAISED:
        raise ValueError("too much")
    elif trouble == NAN:
        return {"x": np.full(5, np.nan)}
    elif trouble == SHAPE:
        return {"x": np.ones(3)}
    elif trouble == LEFT:
        sys.exit(3)
    return counts({"mean": 3.0}, seed)


def once(parameters, seed):
    """Killed the first time, and sound the second."""
    mark = Path(os.environ["POPULACE_TEST_MARKS"]) / str(seed)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return counts(parameters, seed)


def where(parameters, seed):
    """Which process makes the run, and whether JAX is loaded there."""
    return {"process": os.getpid(), "jax": "jax" in sys.modules, "main": "pytest" in sys.modules}


def endless(parameters, seed):
    """Starts a process of its own, says who both are, and does not end."""
    child = subprocess.Popen(["sleep", "100"])
    note = Path(os.environ["POPULACE_TEST_MARKS"]) / f"{os.getpid()}"
    note.write_text(f"{os.getpid()} {child.pid}")
    time.sleep(100)
    return {}


def waits(parameters, seed):
    """Lasts until it is let go where a is above 1; NaN where it is 3."""
    while parameters["a"] > 1.0 and not Path(os.environ["POPULACE_TEST_MARKS"], "go").exists():
        time.sleep(0.01)
    return {"x": np.array([np.nan if parameters["a"] == 3.0 else seed % 1000])}
