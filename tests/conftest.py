"""What holds for every test.

Two devices are made of the processor before JAX starts, so that code for several devices runs on any machine, and
pictures are drawn without a display. What is compiled is kept for the session only, in a folder that all its processes
share: a test must not pass because an older program is still in a cache.
"""

import atexit
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Most of a test's time goes to compiling, and code that runs for milliseconds repays little of it: half the time is
# saved by less of it. XLA dies of a flag that it does not know, and flags come and go with its versions: so they are
# tried in a process of their own, once a session; its workers and their children inherit them.
_DEVICES = "--xla_force_host_platform_device_count=2"
_HASTE = (
    "--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1 --xla_llvm_disable_expensive_passes=true"
)


def _flags() -> str:
    asked = os.environ.get("XLA_FLAGS", "")
    hasty = f"{asked} {_DEVICES} {_HASTE}".strip()
    tried = [sys.executable, "-c", "import jax; jax.devices()"]
    known = subprocess.run(tried, env={**os.environ, "XLA_FLAGS": hasty}, capture_output=True, check=False)
    return hasty if known.returncode == 0 else f"{asked} {_DEVICES}".strip()


os.environ["JAX_PLATFORMS"] = "cpu"
if "PYTEST_XDIST_WORKER" not in os.environ:  # examples, pages and killed studies compile what others have compiled
    _compiled = tempfile.mkdtemp(prefix="populace-compiled-")
    atexit.register(shutil.rmtree, _compiled, ignore_errors=True)
    os.environ["XLA_FLAGS"] = _flags()
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "true"
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _compiled
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.05"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
os.environ["MPLBACKEND"] = "Agg"
gc.set_threshold(100_000, 50, 50)  # compiling makes objects by the million, and hardly a cycle: a tenth of the time
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process a core runs already: more threads only wait for each other


_MAPPED = 30_000
"""Pieces of memory that a process may have mapped when a file of tests begins. Each program that XLA has compiled and
still holds takes a few; Linux grants 65,530, and the compiler dies, without a word, of one too many.
"""


@pytest.fixture(autouse=True, scope="module")
def _forgotten() -> None:
    """Let go of the programs of earlier files once there are many: the largest file adds some twelve thousand."""
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_text().splitlines()) > _MAPPED:
        import jax  # only now: it reads the environment that this file sets

        jax.clear_caches()
        gc.collect()


_ASKED_BY_NAME = 1_000
"""Fewer tests than this may be a part of a file, asked for by name."""

_FIRST = ("tests/test_docs.py", "tests/test_examples.py", "tests/studies", "tests/learning", "tests/calibration")
"""Where the files are that take longest: begun first, so that no process waits for another in the end."""


def _listed() -> list[str]:
    lines = (Path(__file__).parent / "long.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long (`long.txt`), and refuse a name there that a file of tests no longer has."""
    listed = set(_listed())
    folders = tuple(name for name in listed if name.endswith("/"))
    names = {item.nodeid for item in items}
    for item in items:
        if item.nodeid in listed or item.nodeid.startswith(folders):
            item.add_marker(pytest.mark.long)
    whole = {name.partition("::")[0] for name in names} if len(names) > _ASKED_BY_NAME else set()
    stale = {name for name in listed - names if name.partition("::")[0] in whole}
    if stale:
        raise pytest.UsageError(f"tests/long.txt names tests that are not there: {sorted(stale)}")
    items.sort(key=lambda item: not item.nodeid.startswith(_FIRST))


_PAGE = "tests/test_docs.py::test_the_code_of_a_page_runs"
_COMPUTING = (
    *(f"{_PAGE}[{page}]" for page in ("counterfactual", "decisions", "epidemic-policies", "learned-summaries")),
    *(f"{_PAGE}[{page}]" for page in ("posteriors", "regions")),
    "tests/test_examples.py",
    *(f"tests/studies/test_{study}.py" for study in ("brock_hommes", "influenza", "islands")),
    *(f"tests/calibration/test_{part}.py" for part in ("acceptable_region", "credible", "gradient_descent")),
    "tests/calibration/test_neural_",
    *(
        f"tests/zoo/test_{model}.py"
        for model in ("birth_death_migration", "islands", "lux_marchesi", "school_epidemic")
    ),
    "tests/zoo/test_sir.py",
)
"""Tests that compute longer than they compile: the compiler takes more care of their programs."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have the programs of most tests, and of processes that they start, compiled as they are written: a third of all
    the time is saved.
    """
    import jax  # only now: it reads the environment that this file sets

    careless = not item.nodeid.startswith(_COMPUTING)
    jax.config.update("jax_disable_most_optimizations", careless)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(careless).lower()


def recorded(reporter: pytest.TerminalReporter, name: str) -> Iterator[str]:
    """What tests left under `name` with `record_property`."""
    for outcome in ("passed", "failed"):
        for report in reporter.stats.get(outcome, []):
            yield from (str(value) for key, value in getattr(report, "user_properties", ()) if key == name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how large the house has grown."""
    lines = list(recorded(terminalreporter, "house"))
    if lines:
        terminalreporter.section("house")
        for line in lines:
            terminalreporter.write_line(line)
