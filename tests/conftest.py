"""What holds for every test.

Two devices are made of the processor before JAX starts, so that code for several devices runs on any machine, and
pictures are drawn without a display. Nothing compiled is kept between sessions: a test must not pass because an
older program is still in a cache.
"""

import os
from collections.abc import Iterator

import pytest

# Most of a test's time goes to compiling, and code that runs for milliseconds repays little of it: a third less time.
_FLAGS = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}".strip()
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
os.environ["MPLBACKEND"] = "Agg"
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process a core runs already: more threads only wait for each other


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
