"""The part of an HTTP request that authentication looks at."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import InvalidRequest, MissingCredentials, TokenTooLarge, shown


@dataclass(frozen=True, slots=True)
class Request:
    """method: as sent, case included; url: the full URL; headers: (name, value) pairs, in order, repeats kept;
    client_certificate: the DER bytes of the TLS client's certificate, where the connection has one; client: the IP
    address of whoever is at the other end of it, which may be a proxy; None where that is not known.
    """

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    client_certificate: bytes | None = None
    client: str | None = None

    def values(self, name: str) -> list[str]:
        """The values of every header line of that name (lower case), white space at both ends taken away.

        RFC 9110 section 5.5: a field value does not include leading or trailing white space.
        """
        try:
            # `str.lower`, and not `key.lower`: bytes, as ASGI has them, would pass for a request without the header.
            return [_trimmed(value) for key, value in self.headers if str.lower(key) == name]
        except (TypeError, ValueError):
            raise InvalidRequest("headers must be (str, str) pairs") from None

    def __repr__(self) -> str:
        # Neither headers nor a query: either may hold somebody's token.
        url = self.url.partition("?")[0] if isinstance(self.url, str) else self.url
        return f"Request(method={self.method!r}, url={url!r})"


def _trimmed(value: str) -> str:
    if not isinstance(value, str) or len(value) <= LONGEST_LINE:
        return str.strip(value, " \t")
    # Servers have done it already, and none of them lets such a line through: to copy it, or to look through all its
    # spaces, would cost more than to refuse it. Where there are some before it, the scheme is still to be seen.
    spaces = len(value[:1_024]) - len(value[:1_024].lstrip(" \t"))
    return value[spaces : spaces + 2 * LONGEST_LINE] if spaces else value


@dataclass(frozen=True, slots=True)
class Credentials:
    """scheme: as the API spells it ("Bearer"); token: what stands after it, not yet looked into."""

    scheme: str
    token: str

    def __repr__(self) -> str:
        return f"Credentials(scheme={self.scheme!r})"


LONGEST_LINE = 65_536  # characters of a header's value

# RFC 9110 section 11.1: auth-scheme is a token.
_SCHEME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")
# RFC 6750 section 2.1: b64token. `=` is let through anywhere, so that a padded segment is refused as a bad token.
_B64TOKENS = r"[A-Za-z0-9\-._~+/=]+"
_TOKEN = re.compile(rf" +({_B64TOKENS})")
_TOKEN_ALONE = re.compile(_B64TOKENS)
_B64TOKEN = frozenset("-._~+/=" + string.ascii_letters + string.digits)
# A comma, and then what can only be credentials of its own: a scheme, a space, and no parameter's equals sign.
_SECOND = re.compile(r",[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+ +[^= ]")


def read_credentials(request: Request, schemes: Sequence[str], max_token_bytes: int) -> Credentials:
    """The one access token that the request carries in its Authorization header (RFC 6750 section 2.1).

    schemes: those that are spoken here, in the API's spelling; compared without case (RFC 9110 section 11.1).

    Raises MissingCredentials (none, or of another scheme), InvalidRequest (the header breaks its grammar, or there are
    two), TokenTooLarge.
    """
    values = request.values("authorization")
    if not values:
        raise MissingCredentials
    # RFC 9110 section 5.3: this field is no list. WSGI servers join two lines with a comma, so that all are read as if
    # they did: a request has the same answer everywhere.
    value = ",".join(values)
    sent = _SCHEME.match(value[:64])[0]  # type: ignore[index]  # matches the empty string too
    scheme = next((known for known in schemes if known.lower() == sent.lower()), None)
    too_long = len(value) > max_token_bytes + 64
    if scheme is None and (too_long or _SECOND.search(value) is None):
        raise MissingCredentials(f"no credentials of scheme {' or '.join(schemes)}")
    if scheme is None or "," in value:
        raise InvalidRequest("two credentials in one request, exactly one is taken")
    # Before the grammar is looked at: its cost must not grow with what a stranger sends.
    if too_long:
        raise TokenTooLarge(len(value), max_token_bytes)
    match = _TOKEN.fullmatch(value, len(sent))
    if match is None:
        raise InvalidRequest(f"expected {scheme!r}, a space and one token, got {_outline(value)}")
    return Credentials(scheme, match[1])


def read_proven(request: Request, max_token_bytes: int) -> tuple[str, tuple[str, ...]] | None:
    """The token and the values of the `DPoP` lines, of a request as nearly all with a proof are; None says nothing.

    Such a one has one line `Authorization: DPoP …`, where what stands behind the space may yet be no token, and at most
    one `DPoP` line.
    """
    if type(request) is not Request or type(request.method) is not str or type(request.url) is not str:
        return None
    if not isinstance(request.headers, list | tuple):
        return None  # what could be read but once is left to be read as a whole
    try:
        line, proof = _two_lines(request)
    except (TypeError, ValueError):
        return None
    # Of a longer line not even a part is copied.
    if line is None or len(line) > max_token_bytes + 5 or line[:5] != "DPoP ":
        return None
    if proof is None:
        return line[5:], ()
    return (line[5:], (proof.strip(" \t"),)) if len(proof) <= LONGEST_LINE else None


def _two_lines(request: Request) -> tuple[str | None, str | None]:
    """The `Authorization` line and the `DPoP` line, found in one pass.

    Raises ValueError or TypeError where there are two of one, and for what is no text.
    """
    line = proof = None
    for key, value in request.headers:
        name = str.lower(key)
        if name == "authorization":
            if line is not None or type(value) is not str:
                raise ValueError(name)
            line = value
        elif name == "dpop":
            if proof is not None or type(value) is not str:
                raise ValueError(name)
            proof = value
    return line, proof


def is_token(text: str) -> bool:
    """Has it the grammar of a token in the Authorization header?"""
    return _TOKEN_ALONE.fullmatch(text) is not None


def scheme_of(request: Request, schemes: Sequence[str]) -> str | None:
    """Which of these schemes the request uses, whatever else is wrong with it."""
    sent = _SCHEME.match(",".join(request.values("authorization"))[:64])[0].lower()  # type: ignore[index]
    return next((known for known in schemes if known.lower() == sent), None)


def _outline(value: str) -> str:
    # A header that breaks the grammar may still hold somebody's token: say where it breaks, never what it holds.
    faults = sorted(set(value) - _B64TOKEN)
    return f"{len(value)} characters, {shown(''.join(faults))} among them"
