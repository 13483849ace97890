"""A fork in the middle of everything: nothing that is open or locked comes into the other process."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jwtgate.stores.sqlite import SqliteStore
from tests.loopback import PATIENCE
from tests.making import NOW
from tests.stores.servers import proof

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")

SCRIPT = """
import asyncio, os, sys, warnings
from contextlib import ExitStack
from jwtgate.core.revocations import Revocation
from jwtgate.stores import open_store
from tests.making import NOW
from tests.stores.servers import proof
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: here it is what is looked at

def ask(*names):
    return [store.remember(proof(name), NOW) for name in names]

store, other = open_store(sys.argv[1], identifier="api"), open_store(sys.argv[1], identifier="api")
own = store._own if store.shared else store._proofs
ask("1")
with ExitStack() as held:
    for lock in filter(None, (own._lock, getattr(store, "_lock", None))):
        held.enter_context(lock)        # as other threads may hold them at any time
    child = os.fork()
    if child == 0:
        inherited = getattr(store, "_idle", [])[:]
        answers = ask("1", "2")
        answers.append(asyncio.run(store.remember_async(proof("3"), NOW)))
        store.revoke(Revocation("i", jti="1", expires=NOW), NOW)
        known = len(store.changes("").revocations)
        store.close()
        held.pop_all()                  # they are not this process's to release
        sys.exit(0 if (answers, known, inherited) == (["seen", "new", "new"], 1, []) else 3)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), *ask("1", "2", "3", "4"), len(store.changes("").revocations))
store.close()
"""


def outcome(url: str) -> str:
    command = [sys.executable, "-W", "error", "-c", SCRIPT, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_fork_copies_memory_and_each_goes_on_alone() -> None:
    assert outcome("memory://") == "0 seen new new new 0"


def test_a_fork_shares_the_file_and_nothing_that_is_open(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    assert outcome(f"sqlite://{path}") == "0 seen seen seen new 1"
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_fork_waits_for_those_who_are_inside_of_sqlite_and_they_for_it(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.sqlite3"))
    inside, leave, forked, back = (threading.Event() for _ in range(4))

    def stay() -> None:
        with store._connection():
            inside.set()
            assert leave.wait(PATIENCE)

    def fork() -> None:
        store.forks()
        forked.set()

    def come_back() -> None:
        store.remember(proof("1"), NOW)
        back.set()

    threads = [threading.Thread(target=each) for each in (stay, fork, come_back)]
    threads[0].start()
    assert inside.wait(PATIENCE)
    threads[1].start()
    assert not forked.wait(0.1)
    leave.set()
    assert forked.wait(PATIENCE)
    threads[2].start()
    assert not back.wait(0.1)
    store.stays()
    assert back.wait(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    store.close()


HALF_MADE = """
import os, signal, sys
from jwtgate import SettingsError
from jwtgate.stores import open_store
from tests.making import NOW
from tests.stores.servers import proof

failed = []
for _ in range(20):
    try:
        open_store("redis://h?unknown=1", identifier="api")
    except SettingsError as error:
        failed.append(error)  # in its frames the store that was not made
store = open_store(f"sqlite://{sys.argv[1]}/store.sqlite3", identifier="api")
print(store.remember(proof("1"), NOW), flush=True)
child = os.fork()
if child == 0:
    signal.alarm(20)
    print(store.remember(proof("2"), NOW), flush=True)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), store.remember(proof("2"), NOW))
store.close()
"""


def test_a_store_that_could_not_be_made_is_not_in_the_way_of_the_others(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="needs the Python package redis: pip install 'jwtgate[redis]'")
    command = [sys.executable, "-W", "error", "-c", HALF_MADE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["new", "new", "0", "seen"], "")


def test_a_fork_shares_the_server_and_no_connection(request: pytest.FixtureRequest) -> None:
    assert outcome(request.getfixturevalue("redis_server").url) == "0 seen seen seen new 1"
