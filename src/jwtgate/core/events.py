"""What happens to keys and the store, as typed values: each is one line of the log, and one call of `on_event`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .effects import Trouble


@dataclass(frozen=True, slots=True)
class KeysLoaded:
    """A good set came, and is in use.

    added, withdrawn: kids that the set before did not have, or had; skipped: for each key that cannot be used, its
    place in the document and why; generation: how many sets there have been; seconds: from question to answer.
    """

    issuer: str
    kids: tuple[str, ...]
    added: tuple[str, ...]
    withdrawn: tuple[str, ...]
    skipped: tuple[str, ...]
    generation: int
    seconds: float
    name: ClassVar[Literal["keys.loaded"]] = "keys.loaded"


@dataclass(frozen=True, slots=True)
class KeysKept:
    """No good set came: the last good one serves on.

    trouble: which of the few kinds; reason: in words; failures: in a row; age: seconds since the set in use came;
    retry_in: seconds.
    """

    issuer: str
    trouble: Trouble
    reason: str
    failures: int
    age: float
    retry_in: float
    name: ClassVar[Literal["keys.kept"]] = "keys.kept"


@dataclass(frozen=True, slots=True)
class KeysMissing:
    """No good set came, and there is none that may serve: this issuer's tokens are answered with 503."""

    issuer: str
    trouble: Trouble
    reason: str
    failures: int
    retry_in: float
    name: ClassVar[Literal["keys.missing"]] = "keys.missing"


@dataclass(frozen=True, slots=True)
class KeysRestored:
    """A set came out of a snapshot. age: seconds since the issuer published it."""

    issuer: str
    kids: tuple[str, ...]
    age: float
    name: ClassVar[Literal["keys.restored"]] = "keys.restored"


@dataclass(frozen=True, slots=True)
class PlainHttp:
    """The settings take an address without TLS: whoever is on the way can put in keys of their own."""

    issuer: str
    url: str
    name: ClassVar[Literal["issuer.plain_http"]] = "issuer.plain_http"


@dataclass(frozen=True, slots=True)
class SnapshotTrouble:
    """The snapshot could not be read or written; verifying goes on without. action: which of the two."""

    action: Literal["read", "write"]
    reason: str
    name: ClassVar[Literal["snapshot.trouble"]] = "snapshot.trouble"


@dataclass(frozen=True, slots=True)
class RevocationsUnread:
    """The store does not say what other processes have revoked. Told once, until it does again. reason: in words."""

    reason: str
    name: ClassVar[Literal["revocations.unread"]] = "revocations.unread"


@dataclass(frozen=True, slots=True)
class RevocationsRead:
    """The store says again what other processes have revoked. seconds: that it did not."""

    seconds: float
    name: ClassVar[Literal["revocations.read"]] = "revocations.read"


KeyEvent = (
    KeysLoaded
    | KeysKept
    | KeysMissing
    | KeysRestored
    | PlainHttp
    | SnapshotTrouble
    | RevocationsUnread
    | RevocationsRead
)
