"""A store for the processes of one host: a SQLite file."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..core.effects import Memory, RememberProof
from ..core.errors import SettingsError, StoreUnavailable
from ..core.revocations import Revocation, read_revocation, write_revocation
from .forking import Forking
from .proofs import MOST_PROOFS, SeenProofs
from .store import PAGE, Changes, Store, namespace_of

T = TypeVar("T")

BUSY_SECONDS: Final = 2.0  # that one process waits for the others
IDLE: Final = 32  # connections that are kept open: as many as asyncio has threads at most
PURGE_EVERY: Final = 32  # new proofs; then
PURGE_ROWS: Final = 128  # expired ones are deleted at most: more than have come meanwhile, and soon done

# Names of our own, so that a file with other tables in it is not harmed. `id` tells a file from the next at its place.
_TABLES: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS jwtgate_proofs (digest BLOB PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jwtgate_proofs_by_expiry ON jwtgate_proofs (expires);
CREATE TABLE IF NOT EXISTS jwtgate_revocations (
    mark INTEGER PRIMARY KEY AUTOINCREMENT, api BLOB NOT NULL, document TEXT NOT NULL, kept_until REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS jwtgate_revocations_by_expiry ON jwtgate_revocations (kept_until);
CREATE TABLE IF NOT EXISTS jwtgate_store (id TEXT NOT NULL);
INSERT INTO jwtgate_store SELECT lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT * FROM jwtgate_store);
COMMIT;
"""
# One statement, and so at once for all: a row is changed for the first alone, and for the first after it expired.
_REMEMBER: Final = """
INSERT INTO jwtgate_proofs (digest, expires) VALUES (:digest, :expires)
ON CONFLICT (digest) DO UPDATE SET expires = excluded.expires WHERE expires <= :now
"""
_PURGE: Final = """
DELETE FROM jwtgate_proofs WHERE digest IN (SELECT digest FROM jwtgate_proofs WHERE expires <= ? LIMIT ?)
"""


class SqliteStore(Store, Forking):
    """Remembers in a file, for all processes of this host that name the same one.

    path: absolute; a new file can be read by its owner alone. identifier: of the API; APIs that share a file do not see
    each other's proofs and revocations. most: how many proofs of its own one process counts.
    """

    def __init__(self, path: str, identifier: str | Sequence[str] = "", most: int = MOST_PROOFS) -> None:
        self._idle: list[Connection] = []
        self._begin()
        self.path = path
        self._namespace = namespace_of(identifier)
        # What this process has seen itself: it counts a key's proofs, and replays of its own ask nobody.
        self._own = SeenProofs(most)
        self._news = 0
        super().__init__()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SqliteStore({self.path!r})"

    def remember(self, proof: RememberProof, now: float) -> Memory:
        answer = self._own.remember(proof, now)
        if answer != "new":
            return answer
        try:
            return self._asked(lambda connection: self._insert(connection, proof, now))
        except StoreUnavailable:
            self._own.forget(proof)
            raise

    def revoke(self, revocation: Revocation, now: float) -> None:
        self._asked(lambda connection: self._revoke(connection, revocation, now))

    def changes(self, since: str) -> Changes:
        return self._asked(lambda connection: self._changes(connection, since))

    def close(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _insert(self, connection: Connection, proof: RememberProof, now: float) -> Memory:
        values = {"digest": self._namespace + proof.digest[:16], "expires": proof.expires, "now": now}
        is_new = connection.execute(_REMEMBER, values).rowcount == 1
        self._news += is_new  # threads may lose a count: a purge then comes a little later
        if is_new and self._news % PURGE_EVERY == 0:
            connection.execute(_PURGE, (now, PURGE_ROWS))
        return "new" if is_new else "seen"

    def _revoke(self, connection: Connection, revocation: Revocation, now: float) -> None:
        # Unlike a proof it must outlive a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "INSERT INTO jwtgate_revocations (api, document, kept_until) VALUES (?, ?, ?)",
            (self._namespace, write_revocation(revocation), revocation.kept_until),
        )
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("DELETE FROM jwtgate_revocations WHERE kept_until <= ?", (now,))

    def _changes(self, connection: Connection, since: str) -> Changes:
        name, _, number = since.partition(":")
        # Marks of another file at this place say nothing of this one.
        after = int(number) if name == connection.name else 0
        rows = connection.execute(
            "SELECT mark, CAST(document AS BLOB) FROM jwtgate_revocations"
            " WHERE api = ? AND mark > ? ORDER BY mark LIMIT ?",
            (self._namespace, after, PAGE),
        ).fetchall()
        found = []
        for _, document in rows:
            with suppress(ValueError):
                found.append(read_revocation(document))
        return Changes(f"{connection.name}:{rows[-1][0] if rows else after}", tuple(found), len(rows) - len(found))

    # Connections: one for each thread that asks, and for no longer than it does

    def _asked(self, ask: Callable[[Connection], T]) -> T:
        """The answer of the file. Raises StoreUnavailable."""
        try:
            with self._connection() as connection:
                return ask(connection)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the file {self.path}: {_reason(error)}") from None
        except OSError as error:
            raise StoreUnavailable(f"the file {self.path}: {error.strerror or type(error).__name__}") from None

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._gate:
            self._gate.wait_for(lambda: not self._forks)
            self._busy += 1
        try:
            idle = self._idle
            connection = self._take(idle)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            # One that was closed meanwhile has another list.
            if idle is self._idle and len(idle) < IDLE:
                idle.append(connection)
            else:
                connection.close()
        finally:
            with self._gate:
                self._busy -= 1
                self._gate.notify_all()

    def _take(self, idle: list[Connection]) -> Connection:
        place = _place(self.path)
        while True:
            try:
                connection = idle.pop()
            except IndexError:
                return self._opened()
            # What is written to a file that was moved, deleted or replaced, nobody else sees.
            if connection.place == place:
                return connection
            connection.close()

    def _opened(self) -> Connection:
        return Connection(self.path)

    def forks(self) -> None:
        # SQLite's locks belong to a process: an open connection must not come into another. Nor may a thread be inside
        # of SQLite: in the child, what it has locked would stay so.
        with self._gate:
            self._forks = True
            self._gate.wait_for(lambda: not self._busy, BUSY_SECONDS)
        self.close()

    def stays(self) -> None:
        with self._gate:
            self._forks = False
            self._gate.notify_all()

    def forked(self) -> None:
        self._begin()
        self._own.reset()

    def _begin(self) -> None:
        self._gate = threading.Condition()
        self._forks = False
        self._busy = 0  # threads that ask the file


class Connection(sqlite3.Connection):
    """An open file with our tables in it. place: which file it is; name: a random one that it was given when new."""

    place: tuple[int, int]
    name: str

    def __init__(self, path: str) -> None:
        _create(path)
        place = _place(path)
        deadline = time.monotonic() + BUSY_SECONDS
        # `isolation_level=None`: each statement is a transaction of its own.
        super().__init__(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(deadline)
            if place is None or _place(path) != place:
                raise FileNotFoundError(errno.ENOENT, "moved, deleted or replaced while it was opened")
            self.place = place
        except BaseException:
            self.close()
            raise

    def _prepare(self, deadline: float) -> None:
        # While others change the mode too, SQLite says "busy" at once.
        while True:
            try:
                self.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
        self.execute("PRAGMA synchronous = NORMAL")
        if self.execute("SELECT * FROM sqlite_master WHERE name = 'jwtgate_store'").fetchone() is None:
            self.executescript(_TABLES)
        (self.name,) = self.execute("SELECT id FROM jwtgate_store").fetchone()


def _create(path: str) -> None:
    """An empty file for its owner alone, where there is none.

    It is complete when it comes to its place: to open and close a file that SQLite has open would drop SQLite's locks.
    """
    if os.path.exists(path):
        return
    handle, temporary = tempfile.mkstemp(prefix=".jwtgate-", dir=os.path.dirname(path))
    os.close(handle)
    try:
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


def _place(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what distinguishes one kind of "busy" from the other


def _reason(error: sqlite3.Error) -> str:
    if _code(error) == sqlite3.SQLITE_BUSY:
        return f"locked by others for {BUSY_SECONDS:g} s"
    return getattr(error, "sqlite_errorname", type(error).__name__)


def open_sqlite(url: str, identifier: str | Sequence[str]) -> SqliteStore:
    """The store of `sqlite:///path`. Raises SettingsError."""
    parts = urlsplit(url)
    path = os.path.normpath(url2pathname("/" + parts.path.lstrip("/")))  # others write an absolute path with four
    if parts.netloc or parts.query or parts.fragment or not os.path.isabs(path) or "\0" in path:
        raise SettingsError("store", "a SQLite file is named as sqlite:///path, absolute, and nothing else", url)
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path)):
        raise SettingsError("store", "the SQLite file must have a name in a folder that exists", url)
    return SqliteStore(path, identifier)
