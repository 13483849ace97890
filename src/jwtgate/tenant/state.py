"""A tenant's state in a SQLite file: what is registered, its keys and its refresh tokens survive the process."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from .apis import Api
from .applications import Application, ClientGrant
from .encryption import TokenEncryption
from .errors import Rule, TenantError
from .people import Organization, Role, User
from .possession import ProofOfPossession
from .registry import Change, Record, RefreshToken, Table
from .signing import KeyRole, SigningKey

T = TypeVar("T")

APPLICATION_ID = 0x6A777467  # "jwtg", by which SQLite knows whose file it is
FILE_MODE = 0o600  # it holds private keys, secrets and passwords

# Each step leads from one version of the schema to the next; an empty file has version 0. A step that has been
# released never changes: what has to change is a further step.
MIGRATIONS: Sequence[Sequence[str]] = (
    (
        # `position` keeps the order in which things came.
        """CREATE TABLE record (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL, key TEXT NOT NULL, content TEXT NOT NULL,
            UNIQUE (kind, key)
        )""",
        """CREATE TABLE signing_key (
            role TEXT PRIMARY KEY,
            kid TEXT NOT NULL, private_key TEXT NOT NULL, certificate TEXT NOT NULL
        )""",
    ),
    # An API has its proof of possession and its encryption key, an application whether it must show a key, a refresh
    # token whose it is: members that a record may have, and that an earlier version could not read.
    (),
)
SCHEMA = len(MIGRATIONS)

# SQLite's result codes (without their extension), and what they mean to whoever named the file.
FAULTS: Mapping[int, Rule] = {
    sqlite3.SQLITE_BUSY: Rule.STATE_BUSY,
    sqlite3.SQLITE_NOTADB: Rule.STATE_FOREIGN,
    sqlite3.SQLITE_CORRUPT: Rule.STATE_DAMAGED,
    sqlite3.SQLITE_ERROR: Rule.STATE_DAMAGED,  # such as a table that is not there
    sqlite3.SQLITE_MISUSE: Rule.STATE_CLOSED,
}


class StateFile:
    """Keeps a tenant: `with StateFile("tenant.db") as state: tenant = Tenant(keeper=state)`.

    A file that is not there is made, and every one is made readable by its owner alone: private keys, secrets,
    passwords and refresh tokens stand in it as they are. Until it is closed, or the process ends, nobody else can open
    it. A change is on the disk before it is seen. May be used by several threads. Authorization codes and logins under
    way are not in it.

    Raises TenantError for a file that cannot be had, is in use, was made by something else or by a later version,
    or is damaged; a file that is refused stays as it was.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lock = threading.RLock()
        self._make()
        with self._faults():
            self._connection = sqlite3.connect(
                self._path.absolute().as_uri() + "?mode=rw",
                uri=True,
                timeout=0,
                isolation_level=None,  # transactions begin where we say
                check_same_thread=False,
            )
        try:
            self._open()
            self._close_to_others()
        except BaseException:
            self._connection.close()
            raise

    def load(self) -> Sequence[Change]:
        """All that was kept, in the order in which it came. Raises TenantError for a record that nobody can read."""
        with self._lock, self._faults():
            rows = self._connection.execute("SELECT kind, key, content FROM record ORDER BY position").fetchall()
        with self._reading():
            return [Change(kind, key, RECORDS[kind](json.loads(content))) for kind, key, content in rows]

    def keep(self, changes: Sequence[Change]) -> None:
        """All of them or, with a TenantError, none."""
        with self.together(), self._faults():
            for change in changes:
                self._keep(change)

    def load_keys(self) -> Mapping[KeyRole, SigningKey]:
        """The signing keys. Raises TenantError for one that nobody can read."""
        with self._lock, self._faults():
            rows = self._connection.execute("SELECT role, kid, private_key, certificate FROM signing_key").fetchall()
        with self._reading():
            return {role: _signing_key(*columns) for role, *columns in rows}

    def keep_keys(self, keys: Mapping[KeyRole, SigningKey]) -> None:
        """These keys and no others or, with a TenantError, those from before."""
        with self.together(), self._faults():
            self._connection.execute("DELETE FROM signing_key")
            self._connection.executemany(
                "INSERT INTO signing_key VALUES (?, ?, ?, ?)", [(role, *_columns(key)) for role, key in keys.items()]
            )

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is kept within is kept at the end, all of it; with an exception, none. Can be nested."""
        with self._lock:
            if self._connection_is_busy():
                yield
                return
            with self._transaction("BEGIN IMMEDIATE"):
                yield

    def close(self) -> None:
        """Others may open the file now. May be called twice."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make(self) -> None:
        # Only a file that is not there: to open and close one would let go of the lock that another state has on it.
        try:
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))
        except OSError as fault:
            raise TenantError(Rule.STATE_FILE, str(self._path)) from fault

    def _open(self) -> None:
        with self._faults():
            # The lock that is taken now stays until the file is closed.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE").close()
        with self._transaction("BEGIN EXCLUSIVE"), self._faults():
            version = self._version()
            for step in MIGRATIONS[version:]:
                for statement in step:
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {SCHEMA}")

    def _close_to_others(self) -> None:
        # Only now: a file that is refused stays as it was. By its path, for the same reason as in `_make`.
        try:
            if stat.S_IMODE(self._path.stat().st_mode) != FILE_MODE:
                self._path.chmod(FILE_MODE)
        except OSError as fault:
            raise TenantError(Rule.STATE_FILE, str(self._path)) from fault

    def _version(self) -> int:
        owner, version, things = (
            self._connection.execute(question).fetchone()[0]
            for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
        )
        is_new = (owner, version, things) == (0, 0, 0)
        if not is_new and owner != APPLICATION_ID:
            raise TenantError(Rule.STATE_FOREIGN, str(self._path))
        if version > SCHEMA:
            raise TenantError(Rule.STATE_NEWER, version, SCHEMA)
        return int(version)

    def _connection_is_busy(self) -> bool:
        with self._faults():
            return self._connection.in_transaction

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._faults():
            self._connection.execute(begin)
        try:
            yield
            with self._faults():
                self._connection.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself where, for example, the disk was full.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _keep(self, change: Change) -> None:
        if change.record is None:
            self._connection.execute("DELETE FROM record WHERE kind = ? AND key = ?", (change.table, change.key))
            return
        self._connection.execute(
            "INSERT INTO record (kind, key, content) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET content = excluded.content",
            (change.table, change.key, json.dumps(_plain(change.record))),
        )

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What SQLite says becomes one of our rules."""
        try:
            yield
        except sqlite3.Error as fault:
            # A closed connection has no code of its own.
            code = getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
            raise TenantError(FAULTS.get(code, Rule.STATE_FILE), str(self._path)) from fault

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What cannot be read is not told: it may be a secret."""
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError, UnsupportedAlgorithm, TenantError) as fault:
            raise TenantError(Rule.STATE_DAMAGED, str(self._path)) from fault


# ------------------------------------------------------------------------------------------- records as JSON and back


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {member.name: _plain(getattr(value, member.name)) for member in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, tuple | frozenset):
        return sorted(value) if isinstance(value, frozenset) else list(value)
    return value


def _application(members: dict[str, Any]) -> Application:
    return Application(**_with_tuples(members, "grant_types", "callbacks"))


def _api(members: dict[str, Any]) -> Api:
    return Api(
        **{
            **members,
            "permissions": MappingProxyType(members["permissions"]),
            "test_application": _application(members["test_application"]),
            "proof_of_possession": _optional(ProofOfPossession, members.get("proof_of_possession")),
            "token_encryption": _optional(TokenEncryption, members.get("token_encryption")),
        }
    )


def _grant(members: dict[str, Any]) -> ClientGrant:
    organizations = members["organizations"]
    return ClientGrant(
        **{
            **_with_tuples(members, "permissions"),
            "organizations": None if organizations is None else frozenset(organizations),
        }
    )


def _user(members: dict[str, Any]) -> User:
    return User(**{**_with_tuples(members, "roles"), "permissions": _tuples(members["permissions"])})


def _role(members: dict[str, Any]) -> Role:
    return Role(**{**members, "permissions": _tuples(members["permissions"])})


def _organization(members: dict[str, Any]) -> Organization:
    return Organization(**{**members, "members": _tuples(members["members"])})


def _refresh_token(members: dict[str, Any]) -> RefreshToken:
    return RefreshToken(**_with_tuples(members, "scopes"))


def _optional(make: Callable[..., T], members: dict[str, Any] | None) -> T | None:
    return None if members is None else make(**members)


def _with_tuples(members: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**members, **{name: tuple(members[name]) for name in names}}


def _tuples(lists: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values) for name, values in lists.items()}


RECORDS: Mapping[Table, Callable[[dict[str, Any]], Record]] = {
    "api": _api,
    "application": _application,
    "grant": _grant,
    "user": _user,
    "role": _role,
    "organization": _organization,
    "refresh_token": _refresh_token,
}


# ------------------------------------------------------------------------------------------------ keys as PEM and back


def _columns(key: SigningKey) -> tuple[str, str, str]:
    private = key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key.kid, private.decode(), key.certificate.public_bytes(Encoding.PEM).decode()


def _signing_key(kid: str, private_key: str, certificate: str) -> SigningKey:
    loaded = load_pem_private_key(private_key.encode(), password=None)
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise TypeError("a signing key is RSA")
    return SigningKey(kid, loaded, x509.load_pem_x509_certificate(certificate.encode()))
