"""Stores to test on: a folder, and a PostgreSQL server that is started for the tests of a file."""

import importlib.util
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A PostgreSQL server, started when the first test of a file asks for it."""
    postgres = load(Path(__file__).parents[2] / "benchmarks" / "postgres.py")
    if postgres.available():
        pytest.skip(postgres.available())
    with postgres.server(fsync=False) as running:
        yield running


@pytest.fixture(scope="module")
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
