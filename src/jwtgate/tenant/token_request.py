"""What a client sent to the token endpoint: a form or JSON, its secret in the body or in HTTP Basic."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_plus

from .applications import TokenEndpointAuth
from .binding import NOTHING, Shown
from .refusals import TokenRefused, malformed, wrong_credentials

FIELDS = 100  # parameters in a form


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How a client says who it is: with a secret, or with its id alone (`none`)."""

    method: TokenEndpointAuth
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """parameters: those of the body that have a value. credentials: None when none came.

    shown: what it shows of who sent it.
    """

    parameters: Mapping[str, str] = field(repr=False)
    credentials: Credentials | None
    shown: Shown = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResponse:
    """A token, and what is said beside it.

    refresh_token, id_token: None where there is none. scope: None when none was granted. expires_in: seconds.
    token_type: "DPoP" for a token that is bound to a key or, as with Auth0, to a certificate; else "Bearer".
    dpop_nonce: for the sender's next proof; it stands beside the body.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    scope: str | None
    expires_in: int
    token_type: str = "Bearer"
    dpop_nonce: str | None = None

    @property
    def body(self) -> dict[str, str | int]:
        """The members of the answer, in Auth0's order; what there is none of is absent."""
        members = {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "id_token": self.id_token,
            "scope": self.scope,
            "expires_in": self.expires_in,
            "token_type": self.token_type,
        }
        return {name: value for name, value in members.items() if value is not None}


def read_token_request(media_type: str, body: bytes, authorization: str | None, shown: Shown) -> TokenRequest:
    """media_type: without parameters, lower case. authorization: the header's value, if there was one.

    Raises TokenRefused.
    """
    parse = PARSERS.get(media_type)
    if parse is None:
        raise malformed(f"The body must be of type {' or '.join(PARSERS)}")
    parameters = once_each(parse(body))
    return TokenRequest(parameters=parameters, credentials=_credentials(parameters, authorization), shown=shown)


def read_form(content: bytes) -> list[tuple[str, str]]:
    """The parameters of a form, or of a query. Raises TokenRefused."""
    try:
        return parse_qsl(content.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except ValueError as fault:  # not UTF-8, before or after percent-decoding, or too many fields
        raise malformed("The request is not a form in UTF-8") from fault


def _json(body: bytes) -> list[tuple[str, str]]:
    try:
        # Objects come out as pairs, so that a member which is there twice can be seen.
        pairs = json.loads(body.decode(), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as fault:
        raise malformed("The body is not JSON in UTF-8") from fault
    if not isinstance(pairs, _Pairs):
        raise malformed("The body is not a JSON object")
    for name, value in pairs:
        if not isinstance(value, str) or not _is_utf8(name + value):
            raise malformed("Each parameter must be a string")
    return pairs


class _Pairs(list[tuple[str, str]]):
    """The members of a JSON object in their order."""


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


PARSERS: Mapping[str, Callable[[bytes], list[tuple[str, str]]]] = {
    "application/x-www-form-urlencoded": read_form,
    "application/json": _json,
}


def once_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parameters that have a value. Raises TokenRefused for one that is there twice."""
    parameters: dict[str, str] = {}
    for name, value in pairs:
        # RFC 6749 sections 3.1 and 3.2: a parameter is there once at most, and without a value it counts as omitted.
        if name in parameters:
            raise malformed("A parameter is there more than once")
        parameters[name] = value
    return {name: value for name, value in parameters.items() if value}


def _credentials(parameters: Mapping[str, str], authorization: str | None) -> Credentials | None:
    ways = (authorization is not None, "client_secret" in parameters, "client_assertion" in parameters)
    # RFC 6749 section 2.3: no more than one way of authentication in a request.
    if sum(ways) > 1:
        raise malformed("A client must authenticate in one way only")
    client_id = parameters.get("client_id")
    if authorization is not None:
        credentials = _basic(authorization)
        if client_id not in (None, credentials.client_id):
            raise malformed("The Authorization header and the body name two different clients")
        return credentials
    # An assertion proves nothing to who does not read it, and must not pass for no proof at all.
    if client_id is None or "client_assertion" in parameters:
        return None
    if "client_secret" not in parameters:
        return Credentials(method="none", client_id=client_id, client_secret="")
    return Credentials(method="client_secret_post", client_id=client_id, client_secret=parameters["client_secret"])


def _basic(authorization: str) -> Credentials:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise _not_basic()
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True).decode()
    except ValueError as fault:
        raise _not_basic() from fault
    client_id, colon, client_secret = decoded.partition(":")
    if not colon:
        raise _not_basic()
    # RFC 6749 section 2.3.1: both are form-encoded before they are joined and encoded again.
    return Credentials(
        method="client_secret_basic",
        client_id=unquote_plus(client_id),
        client_secret=unquote_plus(client_secret),
    )


def _not_basic() -> TokenRefused:
    return wrong_credentials("the Authorization header is not HTTP Basic")
