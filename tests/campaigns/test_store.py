"""What is stored comes back to the last bit, whatever is torn, full, gone or done twice at once."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import pytest
import sqlalchemy as sa

from populace._errors import MissingExtraError, StoreError
from populace.campaigns import connections, database
from populace.campaigns import store as rooms
from populace.campaigns.arrays import layout_of
from populace.campaigns.campaign import Campaign
from populace.campaigns.plan import Plan
from populace.campaigns.store import FinishedRun, Store
from populace.problem.simulators import Simulator

from .conftest import load, wait_for

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
POSTGRES = load(BENCHMARKS / "postgres.py")
LARGE = np.random.default_rng(0).integers(0, 256, rooms.FILE_FROM["sqlite"] + 1_000, dtype=np.uint8)
"""Too large for a row of SQLite, as nothing compresses it."""
WAITING = sa.text("SELECT 1 FROM pg_locks WHERE NOT granted")


def name(number: int) -> str:
    return f"{number:064x}"


def finished(number: int, observations: dict[str, Any] | None = None, reason: str | None = None) -> FinishedRun:
    seen = {"x": np.full(3, number, np.float32)} if observations is None else observations
    kept = seen if reason is None else None
    return FinishedRun(name(number), "d" * 64, '{"a": 0.1}', "fry 0 1", reason, layout_of(seen), kept, 0.5, 1e9)


def ids(numbers: Sequence[int]) -> list[str]:
    return [name(number) for number in numbers]


def files(store: Store) -> list[Path]:
    return sorted(path for path in (store.folder / "arrays").rglob("*") if path.is_file())


def test_what_is_stored_comes_back_to_the_last_bit(store: Store):
    seen = {
        "series": np.array([0.1, -0.0, np.nextafter(1.0, 2.0)]),
        "count": np.array(2**62 + 1),
        "map": np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1],
        "none": np.zeros((0, 4), np.int8),
    }
    store.put([finished(1, seen), finished(2, reason="the simulator raised ValueError: no")])
    found = store.get(ids([1, 2, 3]))
    assert set(found) == {name(1), name(2)}
    one, two = found[name(1)], found[name(2)]
    assert list(one.observations) == list(seen)
    for key, value in seen.items():
        assert one.observations[key].dtype == value.dtype and one.observations[key].shape == value.shape
        assert one.observations[key].tobytes() == np.ascontiguousarray(value).tobytes()
    assert (one.status, one.reason, one.seconds, one.finished) == ("done", None, 0.5, 1e9)
    assert (two.status, two.reason, dict(two.observations)) == ("excluded", "the simulator raised ValueError: no", {})
    assert store.look(ids([1]))[name(1)].layout == layout_of(seen)
    assert store.check() == {"runs": 2, "excluded": 1, "torn": 0}


def test_a_second_run_of_an_identity_changes_nothing(store: Store):
    store.put([finished(1)])
    store.put([finished(2), finished(1, {"x": np.zeros(3, np.float32)}), finished(2)])
    assert store.check()["runs"] == 2
    assert store.get(ids([1]))[name(1)].observations["x"].tolist() == [1.0, 1.0, 1.0]


def test_two_programs_may_write_the_same_runs_at_once(another: Callable[[], Store]):
    """Each on connections of its own, the same runs in another order, in many short transactions."""
    stores, failed = [another(), another()], []

    def write(store: Store, numbers: list[int]) -> None:
        try:
            for start in range(0, len(numbers), 5):
                store.put([finished(number) for number in numbers[start : start + 5]])
                store.get(ids(numbers[:20]))
        except Exception as error:
            failed.append(error)

    orders = [list(range(150)), list(range(150))[::-1]]
    threads = [threading.Thread(target=write, args=pair) for pair in zip(stores, orders, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert stores[0].check() == {"runs": 150, "excluded": 0, "torn": 0}


def test_a_transaction_given_up_for_anothers_sake_is_repeated(schema: Callable[[], str], tmp_path: Path):
    """Another program holds the second run and then asks for the first: the server gives up one of the two."""
    store = Store(tmp_path, database=schema())
    rows = [store._row(finished(number)) for number in (1, 2)]
    insert = database.postgresql.insert(database.RUNS)
    with store.database.engine.connect() as other, other.begin():
        other.execute(insert.values(rows[1]))
        thread = threading.Thread(target=store.put, args=([finished(1), finished(2)],))
        thread.start()
        wait_for(lambda: list(other.execute(WAITING)), 1)
        other.execute(insert.values(rows[0]))
    thread.join()
    assert store.check() == {"runs": 2, "excluded": 0, "torn": 0}
    store.close()


# --- files beside the database


def test_large_observations_go_to_a_file_named_by_what_it_holds(folder: Store):
    folder.put([finished(1, {"x": LARGE}), finished(2, {"x": LARGE}), finished(3)])
    assert len(files(folder)) == 1
    found = folder.get(ids([1, 2, 3]))
    np.testing.assert_array_equal(found[name(2)].observations["x"], LARGE)


@pytest.mark.parametrize("harm", ["cut", "changed", "gone"])
def test_a_torn_file_is_found_and_the_run_can_be_made_again(folder: Store, harm: str):
    folder.put([finished(1, {"x": LARGE}), finished(2)])
    (path,) = files(folder)
    whole = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        place = len(whole) // 2
        path.write_bytes(whole[:place] + (b"" if harm == "cut" else bytes([whole[place] ^ 1]) + whole[place + 1 :]))
    assert set(folder.get(ids([1, 2]))) == {name(2)}
    assert folder.get(ids([1])) == {} and folder.look(ids([1])) == {}
    assert [row.text for row in folder.database.notes(ids([1, 2]))] == [rooms.TORN]
    folder.put([finished(1, {"x": LARGE})])
    np.testing.assert_array_equal(folder.get(ids([1]))[name(1)].observations["x"], LARGE)


def test_a_changed_row_is_found_too(store: Store):
    store.put([finished(1), finished(2)])
    wrong = database.RUNS.update().where(database.RUNS.c.id == name(1)).values(observations=b"other bytes")
    with store.database.engine.begin() as connection:
        connection.execute(wrong)
    assert store.check() == {"runs": 2, "excluded": 0, "torn": 1}
    assert set(store.get(ids([1, 2]))) == {name(2)}


# --- claims


def test_no_two_programs_are_given_the_same_run(another: Callable[[], Store]):
    one, two = another(), another()
    one.put([finished(2)])
    with one.claiming() as mine, two.claiming() as theirs:
        assert mine.take(ids(range(10)), 4) == (ids([0, 1, 3, 4]), ids([2]))
        taken, elsewhere = theirs.take(ids(range(10)), 4)
        assert (taken, elsewhere) == (ids([5, 6, 7, 8]), ids([2]))
        assert one.database.claimed(ids(range(10))) == 8
        two.put([finished(5)], theirs.owner)
        assert one.database.claimed(ids(range(10))) == 7
    assert one.database.claimed(ids(range(10))) == 0


def test_claims_lapse_and_those_of_a_dead_program_at_once(store: Store, monkeypatch: pytest.MonkeyPatch):
    nobody = f"{rooms.PLACE}|{2**22 + 12345}|x"
    base = store.database
    assert base.claim(ids([1, 2]), 9, "elsewhere|1|a", 60.0, rooms.gone)[0] == ids([1, 2])
    assert base.claim(ids([3]), 9, nobody, 60.0, rooms.gone)[0] == ids([3])
    with store.claiming() as claims:
        assert claims.take(ids([1, 2, 3]), 9)[0] == ids([3])
        base.renew("elsewhere|1|a", -1.0)
        assert claims.take(ids([1, 2, 3]), 9)[0] == ids([1, 2])
        monkeypatch.setattr(rooms, "LEASE", 0.03)
        base.renew(claims.owner, -1.0)
        assert base.claimed(ids([1, 2, 3])) == 0
    with store.claiming() as claims:
        claims.take(ids([1]), 9)
        time.sleep(0.2)  # six leases: its thread renews it
        assert base.claim(ids([1]), 9, "elsewhere|1|a", 60.0, rooms.gone) == ([], [])


# --- what goes wrong is a sentence, and what was stored is safe


SAID = {
    "rows": r"runs\.db': its disk is full; free some space.*is safe",
    "files": r"arrays/.*the disk is full; free some space.*is safe",
    "postgresql": r"postgresql.*: its disk is full; free some space.*is safe",
}


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that other users get to, as the server's is one."""
    with tempfile.TemporaryDirectory(prefix="populace-") as made:
        os.chmod(made, 0o755)
        yield Path(made)


@pytest.mark.parametrize("kind", SAID)
def test_a_full_disk_is_said_and_nothing_is_lost(kind: str, open_to_all: Path):
    """A real disk of a few megabytes (in memory), filled by what is stored; then there is room again."""
    server = kind == "postgresql"
    alone, size = (["unshare", "-m"], "44m") if server else (["unshare", "-rm"], "3m")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk of their own")
    if server and (POSTGRES.available() or os.geteuid() != 0):
        pytest.skip("no server can be started on a disk of its own here")
    mount = f"mount -t tmpfs -o size={size},mode=777 tmpfs {open_to_all}"
    script = [sys.executable, str(Path(__file__).with_name("full_disk.py")), str(open_to_all), kind]
    seen = subprocess.run(
        [*alone, "sh", "-c", f'{mount} && exec "$@"', "sh", *script],
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert seen.returncode == 0, seen.stderr
    told = json.loads(seen.stdout)
    assert re.search(SAID[kind], told["said"])
    assert told["kept"] > 3 and told["then"] == {"runs": told["kept"], "excluded": 0, "torn": 0}
    assert told["end"] == {"runs": told["kept"] + 3, "excluded": 0, "torn": 0}


def test_a_store_of_a_newer_populace_is_refused(store: Store, another: Callable[[], Store]):
    with store.database.engine.begin() as connection:
        connection.execute(database.ABOUT.update().values(value="2"))
    with pytest.raises(StoreError, match=r"newer populace.*its schema is 2, this one knows 1.*upgrade"):
        another().check()


@pytest.mark.parametrize("harm", ["a file where the folder should be", "no database", "no folder"])
def test_a_place_that_cannot_be_used_is_said(tmp_path: Path, harm: str):
    place = tmp_path / "runs"
    if harm == "no database":
        place.mkdir()
        (place / "runs.db").write_bytes(b"some text that is long enough to be no database " * 40)
    elif harm == "no folder":
        (tmp_path / "runs" / "runs.db").mkdir(parents=True)
    else:
        place.write_text("a file")
    said = {"a file where": "choose another", "no database": "no SQLite database", "no folder": "cannot be opened"}
    with pytest.raises(StoreError, match=next(text for start, text in said.items() if harm.startswith(start))):
        Store(place).check()


@pytest.mark.parametrize("address", ["mysql://a@b/c", "nonsense", "postgresql+nodriver://a@b/c"])
def test_an_address_that_is_none_is_said(tmp_path: Path, address: str):
    with pytest.raises(StoreError, match=r"postgresql\+psycopg://"):
        Store(tmp_path, database=address).check()


def test_a_server_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    address = f"postgresql://me:secret@/none?host={tmp_path}"
    with pytest.raises(StoreError, match="has not answered") as told:
        Store(tmp_path, database=address).check()
    assert "secret" not in str(told.value)


def test_without_sqlalchemy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for one in ("connections", "database"):
        monkeypatch.delitem(sys.modules, f"populace.campaigns.{one}")
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtraError, match=r"populace\[database\]"):
        Store(tmp_path)


def test_a_store_can_be_sent_to_another_process(folder: Store):
    folder.put([finished(1)])
    again = pickle.loads(pickle.dumps(folder))
    assert set(again.get(ids([1]))) == {name(1)}
    again.close()


class Fixed(Simulator):
    """Of nothing but its description, so that the identity of its runs hangs on no source text."""

    def parameters(self) -> dict[str, Any]:
        return {}

    def simulate(self, parameters: Any, keys: Any, ticker: Any) -> Any:
        raise AssertionError("all its runs are stored")

    def describe(self) -> dict[str, Any]:
        return {"kind": "fixed"}


def test_a_store_of_the_first_version_is_read(tmp_path: Path):
    """Three runs, as version 0.1 wrote them: one in a row, one in a file, one that failed. They are found by the
    identity that they had.
    """
    shutil.copytree(Path(__file__).parent / "first_store", tmp_path / "runs")
    store = Store(tmp_path / "runs")
    asked = Campaign(Fixed(), Plan({"a": [1.0, 2.0, 3.0]}, jr.key(7)), store).asked()
    small, large, failed = (store.get(asked.ids)[one] for one in asked.ids)
    assert small.observations["x"].dtype == np.float32 and small.observations["x"].tolist() == [0.5, 0.25]
    np.testing.assert_array_equal(large.observations["x"], np.arange(3.0))
    assert len(files(store)) == 1
    assert (failed.status, failed.reason) == ("excluded", "an observation is NaN or infinite")
    assert store.check() == {"runs": 3, "excluded": 1, "torn": 0}
    store.close()
