"""Logins under way, and the authorization codes that come of them: a few minutes, and one use each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cachetools import TTLCache

from .identifiers import new_code, new_family
from .scopes import Asked

LIFETIME = 600  # seconds; RFC 6749 section 4.1.2 recommends ten minutes at most
REMEMBERED = 10_000  # logins, and codes, at one time


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What an application sent a user to `/authorize` for.

    challenge: PKCE, S256. consent: the user is asked whether they agree. jkt: whose key the code is for, if anybody's.
    """

    asked: Asked
    redirect_uri: str
    response_type: str
    state: str | None
    nonce: str | None
    challenge: str | None
    consent: bool
    login_hint: str | None
    jkt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A user has logged in. family: of the refresh tokens that come of it. spent: it was redeemed before."""

    login: Login
    user_id: str
    family: str = field(repr=False)
    spent: bool = False


class Codes:
    """May be used by several threads. clock: in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._logins: TTLCache[str, tuple[Login, str]] = TTLCache(REMEMBERED, LIFETIME, timer=clock)
        self._codes: TTLCache[str, Code] = TTLCache(REMEMBERED, LIFETIME, timer=clock)

    def begin(self, login: Login, browser: str) -> str:
        """The name under which this login goes on, in the same browser."""
        name = new_code()
        with self._lock:
            self._logins[name] = (login, browser)
        return name

    def end(self, name: str, browser: str) -> Login | None:
        """The login of this name, once; None for one that is over, or is another browser's."""
        with self._lock:
            login, owner = self._logins.get(name, (None, None))
            if login is None or owner != browser:
                return None
            del self._logins[name]
            return login

    def issue(self, login: Login, user_id: str) -> str:
        """An authorization code for what this user agreed to."""
        code = new_code()
        with self._lock:
            self._codes[code] = Code(login=login, user_id=user_id, family=new_family())
        return code

    def redeem(self, code: str) -> Code | None:
        """What the code stands for; from the second time on, marked as spent. None for one that is unknown."""
        with self._lock:
            found = self._codes.get(code)
            if found is not None and not found.spent:
                self._codes[code] = replace(found, spent=True)
            return found
