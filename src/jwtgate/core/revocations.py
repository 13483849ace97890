"""Tokens that are taken no more although they are good: what is known of them, as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .compact import parse_json
from .errors import RevokedToken, SettingsError
from .values import LATEST, MAX_LEEWAY

MOST: Final = 100_000  # revocations that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One token, or all that a subject had before some time.

    issuer: the exact `iss` of the tokens.
    jti: the one token's own name (RFC 7519 section 4.1.7); or, and never both:
    subject, not_before: the tokens of this `sub` that were issued (`iat`) before then, seconds since the epoch.
    expires: seconds since the epoch; the last of these tokens expires by itself. `leeway` is thought of here.

    Raises SettingsError.
    """

    issuer: str = field(kw_only=False)
    jti: str | None = None
    subject: str | None = None
    not_before: float | None = None
    expires: float

    def __post_init__(self) -> None:
        names = [self.issuer, *(name for name in (self.jti, self.subject) if name is not None)]
        if not all(isinstance(name, str) and name and _is_unicode(name) for name in names):
            raise SettingsError("revocation", "issuer, jti and subject must be text that is not empty")
        if (self.jti is None) == (self.subject is None) or (self.subject is None) != (self.not_before is None):
            raise SettingsError("revocation", "must name a jti, or a subject with a not_before time")
        for name in ("not_before", "expires"):
            value = getattr(self, name)
            if not _is_time(value) and not (name == "not_before" and value is None):
                raise SettingsError("revocation", f"{name} must be seconds since the epoch, 0 to {LATEST}", value)

    @property
    def kept_until(self) -> float:
        """Seconds since the epoch: from then on none of these tokens is taken, whatever the API's `leeway`."""
        return self.expires + MAX_LEEWAY


def _is_unicode(text: str) -> bool:
    # A lone surrogate is in no token, and in no store.
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_time(value: object) -> bool:
    # bool is an int in Python, but no date; NaN is in no range.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LATEST


class Revocations:
    """All that is known of. `check` may be called at any time, by any thread; the others by one at a time.

    limit: how many are kept. any: whether there are some; where there are none, `check` need not be called.
    """

    __slots__ = ("_limit", "_subjects", "_tokens", "any")

    def __init__(self, limit: int = MOST) -> None:
        self._limit = limit
        self.any: bool = False
        self._tokens: dict[tuple[str, object], float] = {}  # by issuer and jti, until when it is kept
        self._subjects: dict[tuple[str, object], tuple[float, float]] = {}  # not before when; until when it is kept

    def __len__(self) -> int:
        return len(self._tokens) + len(self._subjects)

    def add(self, revocation: Revocation) -> bool:
        """False: there is no room for it. Of two for one subject the later time counts."""
        table = self._tokens if revocation.subject is None else self._subjects
        key = (revocation.issuer, revocation.subject or revocation.jti)
        if key not in table and len(self) >= self._limit:
            return False
        self.any = True
        until = revocation.kept_until
        if revocation.not_before is None:
            self._tokens[key] = max(until, self._tokens.get(key, until))
        else:
            before, kept = self._subjects.get(key, (revocation.not_before, until))
            self._subjects[key] = (max(revocation.not_before, before), max(until, kept))
        return True

    def check(self, claims: Mapping[str, Any]) -> None:
        """Is this token, whose other checks are done, one of them? Raises RevokedToken."""
        if self._tokens:
            jti = claims.get("jti")
            if isinstance(jti, str) and (claims["iss"], jti) in self._tokens:
                raise RevokedToken("jti", jti)
        if self._subjects:
            subject = claims.get("sub")
            found = self._subjects.get((claims["iss"], subject)) if isinstance(subject, str) else None
            issued = claims.get("iat")
            # A token that does not say when it was issued may be one of those.
            if found is not None and not (isinstance(issued, int | float) and issued >= found[0]):
                raise RevokedToken("sub", str(subject))

    def prune(self, now: float) -> None:
        """Forget those whose tokens have all expired. now: seconds since the epoch."""
        for key in [key for key, until in self._tokens.items() if until <= now]:
            del self._tokens[key]
        for key in [key for key, (_, until) in self._subjects.items() if until <= now]:
            del self._subjects[key]
        self.any = len(self) > 0


# ------------------------------------------------------------------------------------------------ as a store keeps them


def write_revocation(revocation: Revocation) -> str:
    """A JSON object, in ASCII."""
    members = {
        "issuer": revocation.issuer,
        "jti": revocation.jti,
        "subject": revocation.subject,
        "not_before": revocation.not_before,
        "expires": revocation.expires,
    }
    return json.dumps({name: value for name, value in members.items() if value is not None})


def read_revocation(document: bytes) -> Revocation:
    """What `write_revocation` wrote. Raises ValueError."""
    members = parse_json(document, depth=1, members=8)
    if not isinstance(members, dict) or not members.keys() <= {"issuer", "jti", "subject", "not_before", "expires"}:
        raise ValueError("a revocation must be a JSON object with issuer, jti or subject and not_before, and expires")
    return Revocation(members.pop("issuer", ""), expires=members.pop("expires", -1.0), **members)
