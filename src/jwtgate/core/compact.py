"""Strict base64url and JSON; a compact JWS before and after its signature has been checked."""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import EncryptedToken, HeaderRejected, InvalidToken, MalformedToken, OpaqueToken, TokenTooLarge, shown

if TYPE_CHECKING:
    from .jwk import VerificationKey

b64decode: Any
try:  # the extra `speed`
    from pybase64 import b64decode
except ImportError:
    b64decode = None

orjson: Any
try:
    import orjson
except ImportError:
    orjson = None

Object = dict[str, Any]

HEADER_DEPTH, HEADER_MEMBERS = 4, 64
CLAIMS_DEPTH, CLAIMS_MEMBERS = 32, 1_000
KID_BYTES = 256  # a kid is looked up, remembered and logged: RFC 7515 gives it no limit

# ----------------------------------------------------------------------------------------------------- base64url

# To the alphabet that `binascii` reads; what is of that one alone, padding included, becomes what no alphabet has.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/\0\0\0")
# RFC 4648 section 3.5: the bits that a last character carries in vain must be zero, or two texts mean the same bytes.
_LAST = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
_PADDING = {0: "", 2: "==", 3: "="}
_NOT_CANONICAL = "not canonical base64url"
_FOREIGN = "a character outside the base64url alphabet"


def by_binascii(text: str) -> bytes:
    """The bytes of a canonical base64url text without padding (RFC 7515 section 2). Raises ValueError."""
    rest = len(text) & 3
    if rest and (rest == 1 or text[-1] not in _LAST[rest]):
        raise ValueError(_NOT_CANONICAL)
    padded: str | bytes = text + _PADDING[rest]
    try:
        # JSON in ASCII has next to nothing that becomes one of these two, and a search is quicker than a translation.
        if "-" in text or "_" in text:
            padded = text.encode("ascii").translate(_TO_BASE64) + _PADDING[rest].encode("ascii")
        elif "+" in text or "/" in text or "=" in text:
            raise ValueError(_FOREIGN)
        return binascii.a2b_base64(padded, strict_mode=True)
    except ValueError:  # of several kinds: binascii.Error, UnicodeEncodeError
        raise ValueError(_FOREIGN) from None


def by_pybase64(text: str) -> bytes:
    """The same, four times as fast."""
    rest = len(text) & 3
    if rest and (rest == 1 or text[-1] not in _LAST[rest]):
        raise ValueError(_NOT_CANONICAL)
    if "+" in text or "/" in text or "=" in text:  # it would take them for what they are in base64
        raise ValueError(_FOREIGN)
    try:
        return b64decode(text + _PADDING[rest], b"-_", True)  # type: ignore[no-any-return]
    except ValueError:
        raise ValueError(_FOREIGN) from None


_TO_BASE64URL = bytes.maketrans(b"+/", b"-_")


def encode_base64url(octets: bytes) -> str:
    """In base64url without padding (RFC 7515 section 2)."""
    return binascii.b2a_base64(octets, newline=False).translate(_TO_BASE64URL, b"=").decode("ascii")


decode_base64url: Callable[[str], bytes] = by_binascii if b64decode is None else by_pybase64


# ----------------------------------------------------------------------------------------------------------- JSON


def _object(pairs: list[tuple[str, Any]]) -> Object:
    # RFC 7515 section 4: member names must be unique; lenient parsers disagree on which one of two counts.
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name occurs twice in one object")
    return members


def no_constant(name: str) -> Any:
    # RFC 8259 section 6: NaN and Infinity are not JSON. Every comparison with NaN is false: it would never expire.
    raise ValueError(f"{name} is no JSON number")


def finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is out of range")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=no_constant, parse_float=finite)
# Strings, as many as stand in a row, or one mark of the structure, or the end. It matches at every quote, closed or
# not, and at the end: else a text of nothing but `\"`, or without a mark, would be searched once for each character.
_MARKS = re.compile(r'[^"\[\]{},]*+((?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?[^"\[\]{},]*+)++|[\[\]{},]|\Z)')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(octets: bytes, depth: int, members: int) -> Any:
    """The value of a strict JSON text (RFC 8259): UTF-8, no repeated member names, finite numbers, no lone surrogates.

    depth: how deep arrays and objects may nest; members: how many members and array items all of them may hold.
    Raises ValueError.
    """
    # Checked before parsing: a deep text must not meet the interpreter's recursion limit, nor a long one its memory.
    # No octet of a longer character is one of these. And a short text has no room for so many members.
    if octets.count(b"[") + octets.count(b"{") <= depth and (len(octets) < members or octets.count(b",") < members):
        value = plain_object(octets)
        if value is not None:
            return value
        text = octets.decode("utf-8")  # UnicodeDecodeError is a ValueError
    else:
        text = octets.decode("utf-8")
        _check_size(text, depth, members)
    value = _decoder.decode(text)
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # UnicodeEncodeError is a ValueError
    return value


# Without looking for a value's end, which is known here.
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]


def by_standard_library(octets: bytes) -> Object | None:
    """A JSON object without an escape, and so without a lone surrogate, and with nothing around it; None for any other.

    octets: of few brackets; a deep text would meet the interpreter's recursion limit. Raises ValueError.
    """
    text = octets.decode("utf-8")
    if "\\" in text or text[:1] != "{":
        return None
    try:
        value, end = _scan(text, 0)
    except StopIteration:  # this is how it says that it found no value
        return None
    return value if end == len(text) else None


def by_orjson(octets: bytes) -> Object | None:
    """An object that is written just as orjson would write it: no member came twice, no number and no letter was odd.

    What is of another writer is left to the standard library. Raises ValueError.
    """
    if b'": ' in octets:
        return by_standard_library(octets)
    try:
        value = orjson.loads(octets)
    except ValueError:  # the standard library says what is wrong, in the same words with this extra and without
        return None
    if type(value) is dict and orjson.dumps(value) == octets:
        return value
    return by_standard_library(octets)


plain_object: Callable[[bytes], Object | None] = by_standard_library if orjson is None else by_orjson


def _check_size(text: str, depth: int, members: int) -> None:
    """It ends where the first limit is passed, however long the text."""
    level = items = 0
    for found in _MARKS.finditer(text):
        mark = found[1][:1] or '"'  # at the end there is none
        if mark in ",[{":
            # What stands behind a comma is one more, and an array or an object holds one at least, or is one.
            items += 1
            if items > members:
                raise ValueError(f"more than {members} members")
        if mark in "[{":
            level += 1
            if level > depth:
                raise ValueError(f"nested deeper than {depth}")
        elif mark in "]}":
            level -= 1
            if level < 0:
                raise ValueError("it closes more than it opens")


# ---------------------------------------------------------------------------------------------------- compact JWS


class Unverified:
    """A well-formed compact JWS whose signature nobody has checked yet: it has no claims to show.

    algorithm, kid, typ: from the header; issuer: what the payload states as `iss`, whatever its type.
    """

    __slots__ = ("_claims", "_signature", "_signing_input", "algorithm", "header", "kid", "raw", "typ")

    def __init__(self, raw: str, header: Object, claims: Object, signature: bytes) -> None:
        self.raw: str = raw
        self.header: Object = header
        self.algorithm: str = header["alg"]
        self.kid: str | None = header.get("kid")
        self.typ: str | None = header.get("typ")
        self._claims = claims
        self._signature = signature
        self._signing_input = raw[: raw.rindex(".")].encode("ascii")

    @property
    def issuer(self) -> object:
        return self._claims.get("iss")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} alg={shown(self.algorithm)} kid={shown(self.kid)}>"


class Signed:
    """A compact JWS whose signature was checked with a key of its issuer."""

    __slots__ = ("claims", "header", "raw", "typ")

    def __init__(self, raw: str, header: Object, claims: Object, typ: str | None) -> None:
        self.raw: str = raw
        self.header: Object = header
        self.claims: Object = claims
        self.typ: str | None = typ

    def __repr__(self) -> str:
        return f"<{type(self).__name__} typ={shown(self.typ)}>"


def verify(token: Unverified, key: VerificationKey) -> Signed:
    """The token, once its signature has been checked. Raises BadSignature."""
    key.check(token._signing_input, token._signature)
    return Signed(token.raw, token.header, token._claims, token.typ)


def parse(token: str, limit: int) -> Unverified:
    """A compact JWS (RFC 7515 section 7.1) whose payload is a JSON object (RFC 7519 section 7.2).

    limit: the most characters that are taken.

    Raises MalformedToken, TokenTooLarge, OpaqueToken, EncryptedToken, HeaderRejected.
    """
    if not isinstance(token, str):
        raise MalformedToken("token", f"must be str, got {type(token).__name__}")
    if len(token) > limit:
        raise TokenTooLarge(len(token), limit)
    # Counted before it is split: a text of nothing but dots must cost nothing.
    dots = token.count(".")
    if dots != 2:
        raise _not_a_jws(token, dots)
    first, second, third = token.split(".")
    header = _json_object(first, "header", HEADER_DEPTH, HEADER_MEMBERS)
    _check_header(header)
    claims = _json_object(second, "payload", CLAIMS_DEPTH, CLAIMS_MEMBERS)
    if not third:
        raise _unsigned(header)
    return Unverified(token, header, claims, _octets(third, "signature"))


def _unsigned(header: Object) -> InvalidToken:
    if header["alg"].lower() == "none":
        return HeaderRejected("alg", "an algorithm that signs (RFC 8725 section 3.2)", header["alg"])
    return MalformedToken("signature", "empty")


def _octets(segment: str, part: str) -> bytes:
    try:
        return decode_base64url(segment)
    except ValueError as error:
        raise malformed(part, error) from None


def _json_object(segment: str, part: str, depth: int, members: int) -> Object:
    try:
        value = parse_json(decode_base64url(segment), depth=depth, members=members)
    except ValueError as error:
        raise malformed(part, error) from None
    if not isinstance(value, dict):
        raise MalformedToken(part, f"must be a JSON object, got {type(value).__name__}")
    return value


def malformed(part: str, error: ValueError) -> MalformedToken:
    """What is said of a part of a token that could not be read."""
    # Our own sentences say why; the parser's would quote the token.
    return MalformedToken(part, error.args[0] if type(error) is ValueError else "not a JSON text in UTF-8")


# Parameters of RFC 7516 and RFC 7518 that only a JWE has: in a JWS somebody is trying something.
_JWE_ONLY = ("enc", "zip", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c")
_LOOKED_INTO = frozenset(("crit", "b64", "cty", *_JWE_ONLY))


def _check_header(header: Object) -> None:
    """What holds for every issuer; whether the algorithm is allowed, its issuer's policy says."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise HeaderRejected("alg", "a string (RFC 7515 section 4.1.1)", algorithm)
    for name, limit in (("kid", KID_BYTES), ("typ", KID_BYTES)):
        value = header.get(name, "")
        if not isinstance(value, str) or len(value.encode()) > limit:
            raise HeaderRejected(name, f"a string of at most {limit} bytes", value)
    if not _LOOKED_INTO.isdisjoint(header):
        _check_extensions(header)


def _check_extensions(header: Object) -> None:
    # RFC 7515 section 4.1.11: an extension that is not understood must be refused, and none is understood here.
    # RFC 7797 section 7: `b64` is not for JWTs.
    for name in ("crit", "b64"):
        if name in header:
            raise HeaderRejected(name, "to be absent: no extension is understood here", header[name])
    for name in _JWE_ONLY:
        if name in header:
            raise HeaderRejected(name, "to be absent: it belongs to encrypted tokens", header[name])
    # RFC 7519 section 5.2: `cty: JWT` says that the payload is another JWT. An access token is signed once.
    content = header.get("cty", "")
    if not isinstance(content, str) or content.lower().removeprefix("application/") == "jwt":
        raise HeaderRejected("cty", "a media type, and no JWT within the JWT", content)


def _not_a_jws(token: str, dots: int) -> MalformedToken | OpaqueToken | EncryptedToken:
    """What was sent in place of a token of three segments, told from its outside."""
    if dots == 4:
        first, second = token.split(".", 2)[:2]
        header = _json_object(first, "header", HEADER_DEPTH, HEADER_MEMBERS)
        if not second and header.get("alg") == "dir":
            return OpaqueToken("an opaque token: the client asked for a token without an audience")
        return EncryptedToken(header.get("alg"))
    if dots == 0 and token:
        return OpaqueToken(
            "an opaque token, or no JWT at all: perhaps the client asked for a token without an audience"
        )
    if dots == 1 and token.startswith("v1."):
        return OpaqueToken("a refresh token: it is for the authorization server, never for an API")
    return MalformedToken("token", f"must have 3 segments (RFC 7515 section 7.1), got {dots + 1}")
