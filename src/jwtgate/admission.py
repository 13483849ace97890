"""One request is authenticated once, however many gates it passes: what every border post shares.

The outcome is kept with the request (ASGI scope, WSGI environ), tied to the settings. Every later gate of the same
settings only evaluates its own requirement on it.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, TypeVar

from .core.access import AccessToken, Requirement
from .core.challenge import refusal_of
from .core.errors import AuthError, JwtGateError, MissingCredentials, Refusal, SettingsError
from .core.settings import ApiSettings
from .verifier import AsyncVerifier, Outcome, Verifier, log_refusal

Memory = MutableMapping[str, Any]
V = TypeVar("V", Verifier, AsyncVerifier)

OUTCOMES = "jwtgate.outcomes"
PATH = "/!$&'()*+,;=:@~"  # what a path may hold as it is, beside letters, digits and -._ (RFC 3986 section 3.3)

_PROBED = (("Cache-Control", "no-store"), ("Content-Type", "application/json"))
READY = Refusal(200, _PROBED, b'{"ready":true}')
NOT_READY = Refusal(503, (*_PROBED, ("Retry-After", "1")), b'{"ready":false}')


class NoToken(JwtGateError, RuntimeError):
    """The caller was asked for where no gate has looked at the request: a fault of the application, not of a client."""

    def __init__(self) -> None:
        super().__init__("no gate with these settings has looked at this request: one must stand before this code")


def verifier_for(kind: type[V], settings: ApiSettings, given: V | None) -> V:
    """A gate's verifier: the one that was given, or a new one. Raises SettingsError where the two do not agree."""
    if given is None:
        return kind(settings)
    if not isinstance(given, kind):
        raise SettingsError("verifier", f"must be {kind.__name__}, got {type(given).__name__}")
    if given.settings != settings:
        raise SettingsError("verifier", "must have the same settings as its gate")
    return given


def recall(memory: Memory, settings: ApiSettings) -> Outcome | None:
    """What was found out about this request before, under these settings."""
    for known, outcome in memory.get(OUTCOMES, ()):
        if known is settings or known == settings:
            return outcome  # type: ignore[no-any-return]
    return None


def keep(memory: Memory, settings: ApiSettings, outcome: Outcome) -> Outcome:
    """Remember it with the request, and give it back."""
    memory.setdefault(OUTCOMES, []).append((settings, outcome))
    return outcome


def admit(outcome: Outcome, requirement: Requirement | None = None, *, optional: bool = False) -> AccessToken | None:
    """The token, if it meets the requirement; None where there are no credentials and they are optional.

    Raises AuthError, which is then in the log.
    """
    try:
        if isinstance(outcome, AuthError):
            # Only *no* credentials are optional: a bad token is refused all the same.
            if optional and isinstance(outcome, MissingCredentials):
                return None
            raise outcome
        if requirement is not None:
            outcome.require(requirement)
    except AuthError as error:
        log_refusal(error)
        raise
    return outcome


def caller(memory: Memory, settings: ApiSettings) -> AccessToken:
    """Who is calling, as a gate found out before. To ask is to insist.

    Raises the AuthError where the request had no good token, NoToken where no gate has looked.
    """
    outcome = recall(memory, settings)
    if outcome is None:
        raise NoToken
    if isinstance(outcome, AuthError):
        raise outcome
    return outcome


def known_caller(memory: Memory, settings: ApiSettings) -> AccessToken | None:
    """Who is calling, if that is known: None for a request without a good token, and where no gate has looked."""
    outcome = recall(memory, settings)
    return outcome if isinstance(outcome, AccessToken) else None


def tell(lines: Iterable[tuple[str, str]], memory: Memory, settings: ApiSettings) -> list[tuple[str, str]]:
    """The header lines of an answer, with the nonce for its sender's next proof where the request had a good one.

    So no request is sent twice for want of a nonce. RFC 9449 section 8.2: no cache should give it to a later request;
    where the application says nothing about caches, this does.
    """
    given, token = [*lines], known_caller(memory, settings)
    if token is None or token.dpop_nonce is None:
        return given
    kept = [line for line in given if line[0].lower() != "dpop-nonce"]
    if all(name.lower() != "cache-control" for name, _ in kept):
        kept.append(("Cache-Control", "no-store"))
    return [*kept, ("DPoP-Nonce", token.dpop_nonce)]


def refuse(error: AuthError, settings: ApiSettings) -> Refusal:
    """The answer to the client, also for an error that an application raised itself; it is then in the log."""
    log_refusal(error)
    return refusal_of(error, settings)
