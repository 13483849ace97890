"""A SQLite file: what may happen to it, and what must not come of that."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jwtgate import StoreUnavailable
from jwtgate.core.revocations import Revocation
from jwtgate.stores import open_store
from jwtgate.stores.sqlite import BUSY_SECONDS, IDLE, PURGE_EVERY, PURGE_ROWS, Connection, SqliteStore
from tests.making import API, NOW
from tests.stores.servers import proof

ONE = Revocation("https://issuer.test/", jti="token-1", expires=NOW + 600)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "store.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(str(path), API)
    yield store
    store.close()


def unavailable(store: SqliteStore) -> str:
    """All three ways to ask it fail alike, and leave nothing behind. Gives what is said of it."""
    with pytest.raises(StoreUnavailable) as error:
        store.remember(proof("in trouble"), NOW)
    for ask in (lambda: store.revoke(ONE, NOW), lambda: store.changes("")):
        with pytest.raises(StoreUnavailable):
            ask()
    return error.value.reason


def rows(path: Path, statement: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def write(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


# ------------------------------------------------------------------------------------------------------------- trouble


def test_gone_in_the_middle_is_503_and_back_again_it_remembers(store: SqliteStore, path: Path) -> None:
    store.remember(proof(), NOW)
    store.revoke(ONE, NOW)
    mark = store.changes("").mark
    folder = path.parent.rename(path.parent.with_name("away"))
    assert str(path) in unavailable(store)
    folder.rename(path.parent)
    # Neither did trouble use up the proof, nor was anything forgotten.
    assert store.remember(proof("in trouble"), NOW) == "new"
    other = SqliteStore(str(path), API)
    assert [other.remember(proof(), NOW), other.remember(proof("in trouble"), NOW)] == ["seen", "seen"]
    assert other.changes(mark).revocations == ()
    other.close()


def test_locked_by_another_for_too_long_is_503_and_then_it_goes_on(store: SqliteStore, path: Path) -> None:
    store.remember(proof(), NOW)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as error:
        store.remember(proof("2"), NOW)
    assert BUSY_SECONDS * 0.9 <= time.monotonic() - began < BUSY_SECONDS * 3
    assert "locked" in error.value.reason
    other.execute("ROLLBACK")
    other.close()
    assert store.remember(proof("2"), NOW) == "new"


def test_locked_for_a_moment_is_waited_for(store: SqliteStore, path: Path) -> None:
    store.remember(proof(), NOW)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.2, other.execute, ["ROLLBACK"]).start()
    assert store.remember(proof("2"), NOW) == "new"
    other.close()


# Before it was first used, a file is not yet in its mode of writing ahead. Who changes that while another writes is
# told "busy" at once: SQLite itself does not wait.


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_the_first_of_all_waits_for_one_who_writes(store: SqliteStore, path: Path, lock: str) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE others (value)")
    other.execute(f"BEGIN {lock}")
    threading.Timer(0.2, other.execute, ["ROLLBACK"]).start()
    assert store.remember(proof(), NOW) == "new"
    other.close()


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_file_that_stays_locked_cannot_be_opened(store: SqliteStore, path: Path, lock: str) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE others (value)")
    other.execute(f"BEGIN {lock}")
    with pytest.raises(StoreUnavailable) as error:
        store.remember(proof(), NOW)
    assert "locked" in error.value.reason
    other.close()


@pytest.mark.parametrize("content", [b"no database" * 1_000, b"SQLite format 3\0" + bytes(4_080)])
def test_a_file_with_something_else_in_it_is_503(store: SqliteStore, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert str(path) in unavailable(store)
    path.unlink()
    assert store.remember(proof("in trouble"), NOW) == "new"


def test_a_file_that_is_damaged_in_the_middle_is_503_until_it_is_replaced(store: SqliteStore, path: Path) -> None:
    store.remember(proof(), NOW)
    store.close()  # all is in the one file now
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (size - 100))
    assert str(path) in unavailable(store)
    path.unlink()
    assert store.remember(proof("2"), NOW) == "new"


def test_a_folder_in_its_place_is_503(store: SqliteStore, path: Path) -> None:
    path.mkdir()
    assert str(path) in unavailable(store)


def test_a_file_that_was_deleted_is_made_again_and_all_processes_meet_there(store: SqliteStore, path: Path) -> None:
    other = SqliteStore(str(path), API)
    assert [store.remember(proof(), NOW), other.remember(proof(), NOW)] == ["new", "seen"]
    store.revoke(ONE, NOW)
    mark = store.changes("").mark
    path.unlink()
    assert [store.remember(proof("2"), NOW), other.remember(proof("2"), NOW)] == ["new", "seen"]
    # A mark of the old file means nothing in the new one: it is read from the start.
    store.revoke(ONE, NOW)
    assert store.changes(mark).revocations == (ONE,)
    other.close()


FULL = """
import resource, sys
from jwtgate import StoreUnavailable
from jwtgate.stores.sqlite import SqliteStore
from tests.making import NOW
from tests.stores.servers import proof

store, number = SqliteStore(sys.argv[1]), 0
store.remember(proof("first"), NOW)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    while number < 100_000:
        store.remember(proof(str(number), limit=10**6), NOW)
        number += 1
except StoreUnavailable as error:
    print(error.reason)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.remember(proof(str(number)), NOW), store.remember(proof("0"), NOW))
"""


def test_a_full_disk_is_503_and_with_room_it_goes_on(path: Path) -> None:
    # What limits a process's files to a size looks to it like a disk without room.
    command = [sys.executable, "-W", "error", "-c", FULL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    trouble, after = done.stdout.splitlines()
    assert str(path) in trouble
    assert after == "new seen"


def in_a_child(work: Any) -> int:
    """The exit status of a fork that does this."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: here it is what is looked at
        child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_file_that_may_not_be_written_is_503(store: SqliteStore, path: Path) -> None:
    store.remember(proof(), NOW)
    store.close()
    path.chmod(0o444)
    for folder in (path.parent, *path.parents[1:4]):
        folder.chmod(0o555 if folder == path.parent else 0o755)

    def as_nobody() -> int:
        if os.geteuid() == 0:
            os.setuid(65_534)
        try:
            store.remember(proof("2"), NOW)
        except StoreUnavailable as error:
            return 0 if str(path) in error.reason else 3
        return 4

    assert in_a_child(as_nobody) == 0
    path.parent.chmod(0o700)
    path.chmod(0o600)
    assert store.remember(proof("2"), NOW) == "new"


# ------------------------------------------------------------------------------------------------------ what it keeps


def test_a_new_file_is_for_its_owner_alone_with_all_that_belongs_to_it(store: SqliteStore, path: Path) -> None:
    before = os.umask(0)
    try:
        store.remember(proof(), NOW)
    finally:
        os.umask(before)
    found = {each.name: oct(each.stat().st_mode & 0o777) for each in path.parent.iterdir()}
    assert found == dict.fromkeys([path.name, f"{path.name}-wal", f"{path.name}-shm"], "0o600")


def test_a_file_of_others_keeps_its_tables(store: SqliteStore, path: Path) -> None:
    write(path, "CREATE TABLE proofs (value)")
    assert store.remember(proof(), NOW) == "new"
    names = {name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names - {"sqlite_sequence"} == {"proofs", "jwtgate_proofs", "jwtgate_revocations", "jwtgate_store"}


def test_what_has_expired_is_deleted_now_and_then_a_little_at_a_time(store: SqliteStore, path: Path) -> None:
    old = PURGE_EVERY * 10
    for number in range(old):
        store.remember(proof(str(number)), NOW)
    count = "SELECT count(*) FROM jwtgate_proofs"
    left = []
    for number in range(PURGE_EVERY * 4):
        store.remember(proof(f"late {number}", expires=NOW + 1_000), NOW + 100)
        left.append(rows(path, count)[0][0] - number - 1)
    assert [left[PURGE_EVERY * step - 1] for step in (1, 2, 3, 4)] == [old - PURGE_ROWS, old - 2 * PURGE_ROWS, 0, 0]
    assert left[PURGE_EVERY - 2] == old
    assert PURGE_ROWS > PURGE_EVERY  # or it would grow for ever


def test_neither_a_proof_nor_its_key_can_be_read_from_the_file(store: SqliteStore, path: Path) -> None:
    store.remember(proof("telling-jti", "telling-key"), NOW)
    store.close()
    assert b"telling" not in path.read_bytes()


@pytest.mark.parametrize(
    "document", ["", "{}", "[]", '{"issuer": "a", "jti": "b", "expires": 1, "also": 1}', "\xff", b"\xff"]
)
def test_a_revocation_that_nobody_can_read_is_counted_and_not_in_the_way(
    store: SqliteStore, path: Path, document: object
) -> None:
    store.revoke(ONE, NOW)
    statement = (
        "INSERT INTO jwtgate_revocations (api, document, kept_until) SELECT api, ?, kept_until FROM jwtgate_revocations"
    )
    write(path, statement, document)
    other = Revocation("https://issuer.test/", jti="token-2", expires=NOW + 600)
    store.revoke(other, NOW)
    found = store.changes("")
    assert (found.revocations, found.unreadable) == ((ONE, other), 1)
    assert store.changes(found.mark).unreadable == 0


# ------------------------------------------------------------------------------------------------- threads and forks


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs a system that lists a process's open files")
def test_many_threads_leave_few_files_open_and_closing_none(store: SqliteStore) -> None:
    before = open_files()
    start = threading.Barrier(IDLE + 8)

    def ask(number: int) -> str:
        start.wait()
        return store.remember(proof(str(number)), NOW)

    with ThreadPoolExecutor(IDLE + 8) as pool:
        assert list(pool.map(ask, range(IDLE + 8))) == ["new"] * (IDLE + 8)
    assert len(store._idle) <= IDLE
    store.close()
    assert open_files() == before
    # One that nobody closed closes itself.
    left = SqliteStore(store.path, API)
    left.remember(proof("2"), NOW)
    del left
    assert open_files() == before


def test_what_is_closed_while_it_is_used_does_not_stay_open(store: SqliteStore) -> None:
    with store._connection() as connection:
        store.close()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert store._idle == []


def test_no_more_connections_are_kept_than_are_worth_it(store: SqliteStore) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        for _ in range(IDLE + 2):
            stack.enter_context(store._connection())
    assert len(store._idle) == IDLE


@pytest.mark.parametrize("again", [False, True])
def test_a_file_that_is_moved_while_it_is_opened_is_not_used(store: SqliteStore, path: Path, again: bool) -> None:
    class Moved(Connection):
        def _prepare(self, deadline: float) -> None:
            super()._prepare(deadline)
            path.rename(path.with_name("moved"))
            if again:
                path.touch()

    with pytest.raises(FileNotFoundError):
        Moved(str(path))
    assert store.remember(proof(), NOW) == "new"
    assert rows(path, "SELECT count(*) FROM jwtgate_proofs") == [(1,)]


def test_a_store_that_is_shared_says_where_it_is(store: SqliteStore, path: Path) -> None:
    assert str(path) in repr(store)
    assert store.shared


def test_a_copy_elsewhere_is_another_store(store: SqliteStore, path: Path) -> None:
    store.remember(proof(), NOW)
    store.close()
    shutil.copy(path, path.with_name("copy"))
    copy = open_store(f"sqlite://{path}", identifier=API)
    assert copy.remember(proof(), NOW) == "seen"
    copy.close()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
