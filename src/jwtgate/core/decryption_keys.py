"""A private key that opens encrypted tokens, or whoever keeps it and opens them for us."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from .compact import KID_BYTES, decode_base64url, parse_json
from .errors import SettingsError, listed, shown
from .jwk import thumbprint
from .values import put

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_BITS = (2_048, 8_192)  # RFC 7518 section 4.3 sets the lower; a decryption's cost sets the upper
KEY_BYTES = 65_536  # of a PEM or JWK document
NAMELESS = 2  # keys without a kid, of which each is tried

# (encrypted key, algorithm) -> content encryption key, or None
Ask = Callable[[bytes, str], "bytes | Awaitable[bytes | None] | None"]
Given = str | bytes | Mapping[str, Any] | os.PathLike[str] | Ask

_SETTING = "decryption_keys"


# RFC 7518 section 4.3. RSA1_5 is not among them, and is not to be (RFC 8725 section 3.2).
ALGORITHMS: Final = ("RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512")
# By `enc`, the octets of the content encryption key (RFC 7518 section 5.3).
ENCRYPTIONS: Final = {"A128GCM": 16, "A192GCM": 24, "A256GCM": 32}


@cache
def _paddings() -> dict[str, padding.OAEP]:
    """By algorithm: MGF1 with the same hash, and no label. Each is built once, with the first key.

    `cryptography` is imported with it, also the part that only a token will need: no request is to wait for that.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.ciphers import aead  # noqa: F401

    # In OAEP nothing hangs on collisions of SHA-1; and it is taken only by setting.
    digests = (hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512())  # noqa: S303
    paddings = [padding.OAEP(padding.MGF1(digest), digest, None) for digest in digests]
    return dict(zip(ALGORITHMS, paddings, strict=True))


@dataclass(frozen=True, slots=True, init=False)
class DecryptionKey:
    """A private RSA key for encrypted tokens.

    key: PEM (PKCS#1 or PKCS#8) or a private JWK, as text, bytes or a mapping; a path of a file with either; or a
        callable that keeps the key elsewhere, in a KMS: it is called with the encrypted key (bytes) and the `alg` of
        the token, and gives the content encryption key (bytes), or None (or raises ValueError) where the key does not
        open it. Whatever else it raises means that nobody can tell now. For an AsyncVerifier it may be a coroutine
        function.
    kid: under which the public key is registered; None where it has no name, or the JWK names it.
    password: of an encrypted PEM.

    Of the key, only the RFC 7638 thumbprint is ever shown. algorithm: the one that a JWK's `alg` names.

    Raises SettingsError for a key that could never open a token.
    """

    kid: str | None
    algorithm: str | None
    thumbprint: str | None
    ask: Ask | None
    _private: Any = field(repr=False, compare=False)
    _modulus: int = field(repr=False, compare=False)
    _size: int = field(repr=False, compare=False)
    _stand_in: bytes = field(repr=False, compare=False)

    def __init__(self, key: Given, *, kid: str | None = None, password: str | bytes | None = None) -> None:
        if callable(key):
            if password is not None:
                raise SettingsError(_SETTING, "a password is for an encrypted PEM")
            self._fill(None, kid, None, key)
            return
        private, named, algorithm = _load(key, password)
        if kid is not None and named is not None and kid != named:
            raise SettingsError(_SETTING, f"kid must be {shown(named)}, as the JWK says", kid)
        self._fill(private, named if kid is None else kid, algorithm, None)

    def _fill(self, private: Any, kid: str | None, algorithm: str | None, ask: Ask | None) -> None:
        if kid is not None and not (isinstance(kid, str) and 0 < len(kid.encode("utf-8", "replace")) <= KID_BYTES):
            raise SettingsError(_SETTING, f"kid must be a text of 1 to {KID_BYTES} bytes", kid)
        import secrets

        _paddings()
        put(self, "kid", kid)
        put(self, "algorithm", algorithm)
        put(self, "ask", ask)
        put(self, "_private", private)
        modulus = _check_strength(private) if private is not None else 2
        size = (modulus.bit_length() + 7) // 8
        put(self, "thumbprint", _thumbprint(private) if private is not None else None)
        put(self, "_modulus", modulus)
        put(self, "_size", size)
        put(self, "_stand_in", secrets.randbelow(modulus).to_bytes(size))

    def fits(self, algorithm: str) -> bool:
        """May this key open tokens of that `alg`?"""
        return self.algorithm is None or self.algorithm == algorithm

    def unwrap(self, encrypted_key: bytes, algorithm: str) -> bytes | None:
        """The content encryption key, or None. Whatever comes, it is one private operation. Not with a callable."""
        # RFC 8017 section 7.1.2 ends at once where the length is wrong or the number too large; that would be seen.
        sound = len(encrypted_key) == self._size and int.from_bytes(encrypted_key) < self._modulus
        try:
            content_key: bytes = self._private.decrypt(
                encrypted_key if sound else self._stand_in, _paddings()[algorithm]
            )
        except ValueError:
            return None
        return content_key if sound else None

    def __reduce__(self) -> tuple[Any, ...]:
        """To be copied and pickled, with the key itself, as all secrets of the settings are."""
        if self._private is None:
            return _again, (self.ask, self.kid, None)
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        pkcs8 = self._private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return _again, (pkcs8, self.kid, self.algorithm)


def _again(key: bytes | Ask, kid: str | None, algorithm: str | None) -> DecryptionKey:
    made = DecryptionKey.__new__(DecryptionKey)
    if isinstance(key, bytes):
        from cryptography.hazmat.primitives.serialization import load_der_private_key

        made._fill(load_der_private_key(key, None), kid, algorithm, None)
    else:
        made._fill(None, kid, algorithm, key)
    return made


def read_decryption_keys(given: object, algorithms: Collection[str] = ALGORITHMS) -> tuple[DecryptionKey, ...]:
    """The keys that a setting names: one or several, each a DecryptionKey or what one is made of.

    algorithms: the values of `alg` that are taken.

    Raises SettingsError: also for two keys of one kid, for more keys without a kid than are tried, and for a key of
    another algorithm.
    """
    alone = isinstance(given, str | bytes | Mapping | os.PathLike | DecryptionKey) or callable(given)
    if not alone and not isinstance(given, Iterable):
        raise SettingsError(_SETTING, "must be a list of DecryptionKey", type(given).__name__)
    values: Iterable[Any] = [given] if alone else given  # type: ignore[assignment]
    keys = tuple(value if isinstance(value, DecryptionKey) else DecryptionKey(value) for value in values)
    kids = [key.kid for key in keys if key.kid is not None]
    twice = sorted({kid for kid in kids if kids.count(kid) > 1})
    if twice:
        raise SettingsError(_SETTING, "a kid must stand for one key", twice[0])
    if len(keys) - len(kids) > NAMELESS:
        raise SettingsError(_SETTING, f"at most {NAMELESS} keys may be without a kid", len(keys) - len(kids))
    for key in keys:
        if not any(key.fits(algorithm) for algorithm in algorithms):
            raise SettingsError(_SETTING, f"alg of a JWK must be one of {listed(tuple(algorithms))}", key.algorithm)
    return keys


# --------------------------------------------------------------------------------------------------- reading a key

Loaded = tuple["rsa.RSAPrivateKey", str | None, str | None]  # the key, its kid, its algorithm


def _load(key: object, password: str | bytes | None) -> Loaded:
    if isinstance(key, Mapping):
        return _from_jwk(key, password)
    if isinstance(key, os.PathLike):
        from pathlib import Path

        octets = _read(Path(key))
    elif isinstance(key, str):
        octets = key.encode("utf-8", "surrogatepass")
    elif isinstance(key, bytes):
        octets = key
    else:
        raise SettingsError(_SETTING, "must be PEM, a JWK, a path or a callable", type(key).__name__)
    if octets.lstrip().startswith(b"{"):
        return _from_jwk(_parsed(octets), password)
    return _from_pem(octets, password), None, None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise SettingsError(_SETTING, f"a file must be readable: {error.strerror}", str(path)) from None
    if len(octets) > KEY_BYTES:
        raise SettingsError(_SETTING, f"a file must have at most {KEY_BYTES} bytes", str(path))
    return octets


def _parsed(octets: bytes) -> Mapping[str, Any]:
    try:
        value: Mapping[str, Any] = parse_json(octets, depth=4, members=64)
    except ValueError:
        raise SettingsError(_SETTING, "a JWK must be a JSON object") from None
    return value


def _from_pem(octets: bytes, password: str | bytes | None) -> rsa.RSAPrivateKey:
    if b"PRIVATE KEY-----" not in octets:
        if b"-----BEGIN " in octets:
            raise SettingsError(_SETTING, "must hold a private key, got a public key or a certificate")
        raise SettingsError(
            _SETTING, "must hold a private key, got neither PEM nor a JWK; for a file, give a pathlib.Path"
        )
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    secret = password.encode() if isinstance(password, str) else password
    try:
        key = load_pem_private_key(octets, secret)
    except TypeError:  # a password is missing, or there is one too many
        needs = "needs its password" if secret is None else "is not encrypted, and must come without a password"
        raise SettingsError(_SETTING, f"this PEM {needs}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(_SETTING, "this PEM cannot be read, or not with this password") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SettingsError(_SETTING, "must be an RSA key", type(key).__name__)
    return key


# RFC 7518 section 6.3.2: with one of them, all. `oth` would be a third prime, and is looked at to be refused.
_PRIMES = ("p", "q", "dp", "dq", "qi")
_MEMBERS = ("n", "e", "d", *_PRIMES, "oth")


def _from_jwk(jwk: Mapping[str, Any], password: object) -> Loaded:
    if password is not None:
        raise SettingsError(_SETTING, "a password is for an encrypted PEM")
    if jwk.get("kty") != "RSA":
        raise SettingsError(_SETTING, "a JWK must be an RSA key", jwk.get("kty"))
    if "d" not in jwk:
        raise SettingsError(_SETTING, "a JWK must hold the private key; this one holds the public key alone")
    _check_purpose(jwk)
    from jwt.algorithms import RSAAlgorithm
    from jwt.exceptions import InvalidKeyError

    members: dict[str, Any] = {name: jwk[name] for name in _MEMBERS if name in jwk}
    try:
        for name, value in members.items():
            if not isinstance(value, str):
                raise SettingsError(_SETTING, f"{name} of a JWK must be a text")
            decode_base64url(value)
        key = RSAAlgorithm.from_jwk({"kty": "RSA", **members})
    except (InvalidKeyError, ValueError, TypeError):
        rule = f"a JWK must be a valid RSA key of two primes, with all of {', '.join(_PRIMES)} or none"
        raise SettingsError(_SETTING, rule) from None
    return cast("rsa.RSAPrivateKey", key), jwk.get("kid"), jwk.get("alg")


def _check_purpose(jwk: Mapping[str, Any]) -> None:
    """A key that signs must not decrypt: what a stranger gets out of the one use may break the other."""
    use, algorithm = jwk.get("use"), jwk.get("alg")
    if use not in ("enc", None):
        raise SettingsError(_SETTING, "use of a JWK must be 'enc'", use)  # RFC 7517 section 4.2
    if algorithm is not None and algorithm not in ALGORITHMS:
        raise SettingsError(_SETTING, f"alg of a JWK must be one of {listed(ALGORITHMS)}", algorithm)
    if use is None and algorithm is None:
        raise SettingsError(_SETTING, "a JWK must say that it is for encryption, by its use or its alg")
    operations = jwk.get("key_ops", ["unwrapKey"])
    if not isinstance(operations, list | tuple) or not {"decrypt", "unwrapKey"}.intersection(operations):
        raise SettingsError(_SETTING, "key_ops of a JWK must hold 'unwrapKey' or 'decrypt'")  # RFC 7517 section 4.3


def _check_strength(key: rsa.RSAPrivateKey) -> int:
    least, most = KEY_BITS
    if not least <= key.key_size <= most:
        raise SettingsError(_SETTING, f"an RSA key must have {least} to {most} bits", key.key_size)
    return key.public_key().public_numbers().n


def _thumbprint(key: rsa.RSAPrivateKey) -> str:
    from .signatures import jwk_of

    return thumbprint(jwk_of(key.public_key()))
