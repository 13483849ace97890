"""An encrypted access token: a compact JWE with a signed token inside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from .compact import HEADER_DEPTH, HEADER_MEMBERS, KID_BYTES, Object, _json_object, _octets
from .decryption_keys import ENCRYPTIONS, KEY_BITS, DecryptionKey
from .effects import Decrypt, FetchFailed, Flow
from .errors import (
    ClaimRejected,
    HeaderRejected,
    MalformedToken,
    OpaqueToken,
    TokenTooLarge,
    Unavailable,
    UndecryptableToken,
    listed,
    shown,
)
from .recent import Recent

if TYPE_CHECKING:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

IV_BYTES, TAG_BYTES = 12, 16  # RFC 7518 section 5.3
TRIED = 2  # keys, of a token that names none
HEADS: Final = 64  # that are kept

SealedHead = tuple[Object, tuple[DecryptionKey, ...]]  # what a header says, and the keys that may open a token with it

# Of other algorithms, or a compression (RFC 7516 section 4.1.3), by which a small token can fill the memory.
_FOREIGN: Final = ("zip", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c")
_EXTENSIONS: Final = ("crit", "b64")
_REFUSED: Final = frozenset((*_EXTENSIONS, *_FOREIGN))
# RFC 7516 section 4.1. Anything else in the header may be a claim that is replicated there.
_PARAMETERS: Final = frozenset(
    ("alg", "enc", "kid", "typ", "cty", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"),
)
_REPLICATED: Final = ("iss", "sub", "aud")  # RFC 7519 section 5.3


class Encrypted:
    """A well-formed compact JWE that nobody has opened yet.

    head: its header as it was sent; kid: as that says.
    keys: those that may open it, in the order in which they are tried.
    replicated: the claims that its header shows, which nobody has verified.
    """

    __slots__ = (
        "_associated",
        "_encrypted_key",
        "_iv",
        "_sealed",
        "_size",
        "algorithm",
        "encryption",
        "head",
        "header",
        "keys",
        "kid",
    )

    def __init__(self, header: Object, segments: Sequence[str], keys: tuple[DecryptionKey, ...]) -> None:
        first, second, third, fourth, fifth = segments
        self.head: str = first
        self.header: Object = header
        self.algorithm: str = header["alg"]
        self.encryption: str = header["enc"]
        self.kid: str | None = header.get("kid")
        self.keys: tuple[DecryptionKey, ...] = keys
        self._size = ENCRYPTIONS[self.encryption]
        self._associated = first.encode("ascii")  # RFC 7516 section 5.2, step 15
        self._encrypted_key = _octets(second, "encrypted key")
        self._iv = _of_size(third, "initialization vector", IV_BYTES)
        self._sealed = _octets(fourth, "ciphertext") + _of_size(fifth, "authentication tag", TAG_BYTES)

    @property
    def replicated(self) -> dict[str, Any]:
        return {name: value for name, value in self.header.items() if name not in _PARAMETERS}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} alg={shown(self.algorithm)} kid={shown(self.kid)}>"


def _of_size(segment: str, part: str, size: int) -> bytes:
    octets = _octets(segment, part)
    if len(octets) != size:
        raise MalformedToken(part, f"must have {size} octets (RFC 7518 section 5.3), got {len(octets)}")
    return octets


# ------------------------------------------------------------------------------------------------ before it is opened


def read_jwe(
    token: str,
    keys: Sequence[DecryptionKey],
    algorithms: Collection[str],
    encryptions: Collection[str],
    limit: int,
    *,
    known: Recent[SealedHead] | None = None,
) -> Encrypted:
    """A compact JWE (RFC 7516 section 7.1), and the keys that may open it.

    algorithms, encryptions: the values of `alg` and `enc` that are taken; limit: the most characters; known: heads that
    were good with all of these before.

    Raises MalformedToken, TokenTooLarge, OpaqueToken, HeaderRejected.
    """
    if not isinstance(token, str):
        raise MalformedToken("token", f"must be str, got {type(token).__name__}")
    if len(token) > limit:
        raise TokenTooLarge(len(token), limit)
    # Counted before it is split: a text of nothing but dots must cost nothing.
    dots = token.count(".")
    if dots != 4:
        raise MalformedToken("token", f"must have 5 segments (RFC 7516 section 7.1), got {dots + 1}")
    segments = token.split(".")
    head = None if known is None else known.get(segments[0])
    if head is not None:
        return Encrypted(head[0], segments, head[1])
    header = _json_object(segments[0], "header", HEADER_DEPTH, HEADER_MEMBERS)
    if not segments[1] and header.get("alg") == "dir":
        raise OpaqueToken("an opaque token: the client asked for a token without an audience")
    _check_header(header, algorithms, encryptions)
    return Encrypted(header, segments, _keys_for(header.get("kid"), header["alg"], keys))


def _check_header(header: Object, algorithms: Collection[str], encryptions: Collection[str]) -> None:
    # First of all: of an algorithm that is not taken, no parameter is looked at.
    for name, allowed in (("alg", algorithms), ("enc", encryptions)):
        value = header.get(name)
        if not isinstance(value, str) or value not in allowed:
            raise HeaderRejected(name, f"{' or '.join(allowed)} (RFC 8725 section 3.1)", value)
    for name in ("kid", "typ"):
        if name in header:
            value = header[name]
            if not isinstance(value, str) or len(value.encode()) > KID_BYTES:
                raise HeaderRejected(name, f"a string of at most {KID_BYTES} bytes", value)
    if not _REFUSED.isdisjoint(header):
        raise _refused(header)
    # RFC 7519 section 5.2 asks for `cty: JWT`. Not every issuer writes it; what is inside is checked all the same.
    content = header.get("cty", "JWT")
    if not isinstance(content, str) or content.lower().removeprefix("application/") != "jwt":
        raise HeaderRejected("cty", "'JWT', or to be absent (RFC 7519 section 5.2)", content)


def _refused(header: Object) -> HeaderRejected:
    """Of a header with parameters that must be absent, the first."""
    # RFC 7516 section 4.1.13: an extension that is not understood must be refused, and none is understood here.
    for name in _EXTENSIONS:
        if name in header:
            return HeaderRejected(name, "to be absent: no extension is understood here", header[name])
    name = next(name for name in _FOREIGN if name in header)
    return HeaderRejected(name, "to be absent: no compression, and no parameters of RSA-OAEP", header[name])


def _keys_for(kid: str | None, algorithm: str, keys: Sequence[DecryptionKey]) -> tuple[DecryptionKey, ...]:
    """By name; else those without one; and of a token that names none, the first."""
    named = [key for key in keys if kid is None or key.kid == kid] or [key for key in keys if key.kid is None]
    if not named:
        raise HeaderRejected("kid", f"one of {listed([key.kid for key in keys][:4]) or 'none'}", kid)
    fitting = tuple([key for key in named if key.fits(algorithm)])
    if not fitting:
        raise HeaderRejected("alg", " or ".join(sorted({key.algorithm or "" for key in named})), algorithm)
    return fitting[:TRIED]


# --------------------------------------------------------------------------------------------------------- opening it


def decrypt(encrypted: Encrypted) -> Flow[str]:
    """The compact JWS inside, still unverified: anybody can encrypt to a public key.

    Raises UndecryptableToken, whatever the reason (RFC 7516 section 11.5); MalformedToken where something else is
    inside; Unavailable where a key that is kept elsewhere cannot be asked.
    """
    plaintext = yield from open_sealed(encrypted)
    return _inner(plaintext)


def open_sealed(encrypted: Encrypted) -> Flow[bytes]:
    """The plaintext (RFC 7516 section 5.2). Raises UndecryptableToken, Unavailable."""
    for key in encrypted.keys:
        if key.ask is None:
            content_key = key.unwrap(encrypted._encrypted_key, encrypted.algorithm)
        else:
            content_key = yield from _asked(key.ask, encrypted)
        plaintext = _opened(content_key, encrypted)
        if plaintext is not None:
            return plaintext
    raise UndecryptableToken


def _asked(ask: Any, encrypted: Encrypted) -> Flow[bytes | None]:
    least, most = KEY_BITS
    if not least <= 8 * len(encrypted._encrypted_key) <= most:
        return None  # no key has this size, and asking may cost money
    try:
        answer = yield Decrypt(ask, encrypted._encrypted_key, encrypted.algorithm)
    except FetchFailed as failure:
        raise Unavailable(f"the decryption key: {failure.reason}") from failure
    if answer is not None and not isinstance(answer, bytes):
        raise Unavailable(f"the decryption key: its callable must return bytes, got {type(answer).__name__}")
    return answer


def _opened(content_key: bytes | None, encrypted: Encrypted) -> bytes | None:
    cipher, wrong_tag = _cipher()
    # RFC 7516 section 11.5: in place of a content encryption key that cannot be had, or has the wrong length, a random
    # one. So the same is done, and the same is said, wherever it fails; and it is drawn where nothing fails, too.
    substitute = cipher.generate_key(8 * encrypted._size)
    if content_key is None or len(content_key) != encrypted._size:
        content_key = substitute
    try:
        return cipher(content_key).decrypt(encrypted._iv, encrypted._sealed, encrypted._associated)
    except wrong_tag:
        return None


@cache
def _cipher() -> tuple[type[AESGCM], type[InvalidTag]]:
    # A key has brought both.
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM, InvalidTag


def _inner(plaintext: bytes) -> str:
    dots = plaintext.count(b".")
    if dots == 4:
        raise MalformedToken("content", "must be a signed token, not once more an encrypted one")
    if dots != 2 or not plaintext.isascii():
        raise MalformedToken("content", "must be a compact JWS: what is encrypted here must be signed")
    return plaintext.decode("ascii")


# -------------------------------------------------------------------------------------- after the signature was checked


def check_replicated(encrypted: Encrypted, claims: Mapping[str, Any]) -> None:
    """RFC 7519 section 5.3: claims that the header replicates must be the same inside. Raises ClaimRejected."""
    if _PARAMETERS.issuperset(encrypted.header):
        return
    for name, value in encrypted.replicated.items():
        if (name in _REPLICATED or name in claims) and (name not in claims or claims[name] != value):
            raise ClaimRejected(name, "the same in the JWE header as inside (RFC 7519 section 5.3)", value)
