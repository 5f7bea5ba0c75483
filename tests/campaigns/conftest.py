"""Stores to test on: a folder, and a PostgreSQL server that is started for all tests."""

import importlib.util
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from populace.campaigns.limits import resident
from populace.campaigns.store import Store


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A program that was started in the background ignores interrupts, and so do those that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


KINDS = ("sqlite", "postgresql")
_NUMBERS = itertools.count()


def load(path: Path) -> Any:
    """A module of a file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """A PostgreSQL server, started when the first test asks for it."""
    postgres = load(Path(__file__).parents[2] / "benchmarks" / "postgres.py")
    if postgres.available():
        pytest.skip(postgres.available())
    with postgres.server(fsync=False) as running:
        yield running


@pytest.fixture(scope="session")
def schema(server: Any) -> Callable[[], str]:
    """Makes empty schemas on the server, and says their addresses."""
    import sqlalchemy as sa

    def make() -> str:
        name = f"s{next(_NUMBERS)}"
        engine = sa.create_engine(server.url)
        with engine.begin() as connection:
            connection.execute(sa.text(f"CREATE SCHEMA {name}"))
        engine.dispose()
        return f"{server.url}&options=-csearch_path%3D{name}"

    return make


def wait_for(found: Callable[[], list[Any]], count: int, seconds: float = 60.0) -> list[Any]:
    """What is found, once there is so much of it."""
    until = time.monotonic() + seconds
    while len(result := found()) < count:
        assert time.monotonic() < until, result
        time.sleep(0.02)
    return result


def left_by(marks: Path) -> set[int]:
    """Waits for two workers with an endless run; the groups of processes that they lead, which are alive."""
    files = wait_for(lambda: [file for file in marks.iterdir() if file.read_text()], 2)
    groups = {int(file.name) for file in files}
    children = [int(file.read_text().split()[1]) for file in files]
    assert set(resident(groups)) == groups and all(os.getpgid(child) in groups for child in children)
    return groups


def gone(groups: set[int]) -> None:
    """Waits until nothing is left of these groups of processes."""
    wait_for(lambda: [group for group in groups if group not in resident(groups)], len(groups), seconds=20.0)


@pytest.fixture(params=KINDS)
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes stores on one and the same empty place: each call is another program's."""
    url = request.getfixturevalue("schema")() if request.param == "postgresql" else None
    made: list[Store] = []

    def make() -> Store:
        made.append(Store(tmp_path / "runs", database=url))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(another: Callable[[], Store]) -> Store:
    """An empty store of each kind."""
    return another()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Store]:
    """An empty store in a folder."""
    store = Store(tmp_path / "runs")
    yield store
    store.close()
