"""From an error to status, headers and body: what the client is told, and how."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TypeVar

from . import errors
from .errors import (
    AuthError,
    InsufficientAuthentication,
    InsufficientScope,
    NonceRequired,
    Refusal,
    Unavailable,
)
from .settings import ApiSettings
from .values import SCOPE_TOKEN

E = TypeVar("E", bound=AuthError)


def answer(error: E, settings: ApiSettings, scheme: str | None = None) -> E:
    """The same error, which now knows what the client is told.

    scheme: the one that the request used; its challenge carries the error (RFC 9449 section 7.2).
    """
    refusal_of(error, settings, scheme)
    return error


def parting(error: E, settings: ApiSettings, scheme: str | None = None) -> E:
    """As `answer`, and without what led to it: those frames hold the token, and an outcome is kept with its request."""
    error.__context__ = None
    refusal_of(error, settings, scheme)
    return error.with_traceback(None)


def refusal_of(error: AuthError, settings: ApiSettings, scheme: str | None = None) -> Refusal:
    """What the client is told: as it was first worked out, or worked out now."""
    refusal = error.refusal
    if refusal is None:
        refusal = settings.refusals.get((type(error), scheme))
        if refusal is None or not error.__dict__.keys().isdisjoint(_SAID):
            refusal = Refusal(error.status, tuple(_headers(error, settings, scheme)), _body(error))
            if _is_always_the_same(error):
                settings.refusals[type(error), scheme] = refusal
        error.refusal = refusal
    return refusal


# What of an error's data the client is told.
_TELLING = (InsufficientScope, InsufficientAuthentication, NonceRequired, Unavailable)
_SAID = frozenset(("status", "code", "sentence"))  # of a kind of error; an application may give them to one alone


def _is_always_the_same(error: AuthError) -> bool:
    # An application's own kinds of error may say something else each time.
    ours = type(error).__module__ == errors.__name__ and not isinstance(error, _TELLING)
    return ours and error.__dict__.keys().isdisjoint(_SAID)


def _headers(error: AuthError, settings: ApiSettings, scheme: str | None) -> list[tuple[str, str]]:
    headers = [("Cache-Control", "no-store"), ("Content-Type", "application/json")]
    if isinstance(error, Unavailable):
        return [*headers, ("Retry-After", str(max(1, math.ceil(error.retry_after))))]
    offered = settings.challenges
    used = scheme or offered[0]
    for known in offered if used in offered else (*offered, used):
        parameters = _parameters(error, settings, blamed=known == used)
        # RFC 9449 section 7.1: the algorithms that a proof may have.
        if known == "DPoP" and known in offered:
            parameters.append(("algs", " ".join(settings.dpop_algorithms)))
        challenge = ", ".join(f'{name}="{value}"' for name, value in parameters)
        headers.append(("WWW-Authenticate", f"{known} {challenge}"))
    if isinstance(error, NonceRequired):
        headers.append(("DPoP-Nonce", error.nonce))
    return headers


def _parameters(error: AuthError, settings: ApiSettings, *, blamed: bool) -> list[tuple[str, str]]:
    """The parameters of one challenge. Nothing here comes from a request: settings, code and fixed sentences only."""
    parameters = [("realm", settings.realm)]
    if blamed and error.code is not None:
        parameters += [("error", error.code), ("error_description", error.sentence)]
        if isinstance(error, InsufficientScope):
            parameters += _names("scope", error.names)  # RFC 6750 section 3
        if isinstance(error, InsufficientAuthentication):
            parameters += _step_up(error)
    if settings.resource_metadata_url is not None and error.status in (401, 403):
        parameters.append(("resource_metadata", settings.resource_metadata_url))  # RFC 9728 section 5.1
    return parameters


def _step_up(error: InsufficientAuthentication) -> list[tuple[str, str]]:
    """RFC 9470 section 3."""
    wanted = _names("acr_values", error.acr_values)
    return wanted if error.max_age is None else [*wanted, ("max_age", str(error.max_age))]


def _names(parameter: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """No name, no parameter. An application may raise an error with a stranger's text in it: that is not repeated."""
    plain = [name for name in names if SCOPE_TOKEN.fullmatch(name)]
    return [(parameter, " ".join(plain))] if plain else []


def _body(error: AuthError) -> bytes:
    if error.code is None:
        return b"{}"
    document = {"error": error.code, "error_description": error.sentence}
    return json.dumps(document, separators=(",", ":")).encode("ascii")
