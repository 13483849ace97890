"""Keys: one, tied to the algorithm it may verify; a set of them, found by kid; and a shared secret, apart."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal

from .compact import KID_BYTES, decode_base64url, encode_base64url, parse_json
from .errors import AmbiguousKey, BadSignature, HeaderRejected, UnknownKey, shown

if TYPE_CHECKING:
    from .signatures import Bind, Check

RSA_BITS = (2_048, 8_192)  # RFC 7518 section 3.3 sets the lower; a verification's cost sets the upper
PROOF_RSA_BITS = 4_096  # the same for the key of a DPoP proof, which a stranger brings with each request
RSA_EXPONENT = (5, 2**32 - 1)  # a 3,071-bit exponent costs 46 times a normal verification
# CVE-2017-15361 (ROCA): modulo each of these primes, a modulus that can be factored is a power of 65,537. That another
# one is so too happens once in 100 million.
_ROCA: Final = {
    prime: frozenset(pow(65_537, power, prime) for power in range(prime))
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
}
JWKS_KEYS = 100
JWKS_DEPTH, JWKS_MEMBERS = 8, 4_000


class UnusableKey(ValueError):
    """A JWK that cannot verify anything here. RFC 7517 section 5: such a key is ignored, and the others are kept."""


Kind = Literal["RSA", "P-256", "P-384", "P-521", "Ed25519"]
# By algorithm, the kind of its keys; those of HMAC have none. How each verifies is in signatures.py.
KIND_OF: Final[Mapping[str, Kind]] = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",
}
ASYMMETRIC: Final = frozenset(KIND_OF)
SYMMETRIC: Final = frozenset({"HS256"})
# By kind of key, the algorithms that it may verify.
_ALGORITHMS: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset(name for name, of in KIND_OF.items() if of == kind) for kind in sorted(set(KIND_OF.values()))
}


def import_cryptography() -> None:
    """Import now what the first key would import: `cryptography`. That takes longer than hundreds of verifications.

    For whoever will verify something, before a request waits for it. Any number of threads may call it; from the second
    time on it costs nothing.
    """
    from . import pem  # noqa: F401

    _by_cryptography()


@cache
def _by_cryptography() -> tuple[dict[str, Callable[..., Any]], dict[str, Bind]]:
    """What makes keys of octets, by their kind; and what makes checks of keys, by the algorithm."""
    from .signatures import BINDS, LOADS

    return LOADS, BINDS


class VerificationKey:
    """One key for one algorithm: the only thing that a signature is ever checked with.

    kid: as published; thumbprint: RFC 7638, SHA-256, base64url (None for a shared secret).
    """

    __slots__ = ("_check", "algorithm", "kid", "thumbprint")

    # Not a frozen dataclass: one is made for each key of a proof, and that would take three times as long.
    def __init__(self, kid: str | None, algorithm: str, thumbprint: str | None, check: Check) -> None:
        self.kid: Final[str | None] = kid
        self.algorithm: Final[str] = algorithm
        self.thumbprint: Final[str | None] = thumbprint
        self._check = check

    def __repr__(self) -> str:
        return f"VerificationKey(kid={self.kid!r}, algorithm={self.algorithm!r}, thumbprint={self.thumbprint!r})"

    def check(self, signing_input: bytes, signature: bytes) -> None:
        """Raises BadSignature."""
        if not self._check(signing_input, signature):
            raise BadSignature(self.kid, self.algorithm)


# -------------------------------------------------------------------------------------------------------- public keys


@dataclass(frozen=True, slots=True, eq=False)
class PublicKey:
    """A published signature key.

    algorithms: those it may verify, by its kind and by its own `alg` member; jwk: the members that say all this again.
    """

    kid: str | None
    thumbprint: str
    algorithms: frozenset[str]
    jwk: Mapping[str, str] = field(repr=False)
    _material: Any = field(repr=False)

    def for_algorithm(self, algorithm: str) -> VerificationKey:
        _, binds = _by_cryptography()
        return VerificationKey(self.kid, algorithm, self.thumbprint, binds[algorithm](self._material))


_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 section 6
_REQUIRED = {"RSA": ("e", "n"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}  # RFC 7638 section 3.2, RFC 8037
_KINDS = {"RSA": ("RSA",), "EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
# Of each kind, the members that are octets; and how many these are: RFC 7518 section 6.2.1.2. RSA has any number.
_OCTETS: Final = {kind: _REQUIRED[kty][-2:] for kty in ("RSA", "EC") for kind in _KINDS[kty]} | {"Ed25519": ("x",)}
_COORDINATE = {"P-256": 32, "P-384": 48, "P-521": 66, "Ed25519": 32}


def read_jwk(jwk: object, *, alg_binds: bool = True) -> PublicKey:
    """A public signature key from its JWK (RFC 7517 section 4).

    alg_binds: whether the `alg` member, where there is one, is the only algorithm. False takes any of the same family:
    Auth0 marks the RSA keys RS256 with which it signs the tokens of its PS256 APIs.

    Raises UnusableKey: unknown kind, no signature key, private or symmetric, weak, or not written canonically.
    """
    members = _object(jwk)
    kind = _kind_of(members)
    material = _load(members, kind)
    algorithms = _algorithms_of(members, kind, alg_binds=alg_binds)
    return PublicKey(members.get("kid"), _thumbprint(members), algorithms, _essence(members), material)


def read_proof_key(jwk: object, algorithm: str) -> VerificationKey:
    """The public key that came in a DPoP proof (RFC 9449 section 4.2), for the algorithm that the proof names.

    Raises UnusableKey, also for a private key, a symmetric one, and one that is not for this algorithm.
    """
    plain = _plain_key(jwk) if algorithm == "ES256" else None
    if plain is not None:
        return plain
    members = _object(jwk)
    kind = _kind_of(members)
    material = _load(members, kind)
    algorithms = _algorithms_of(members, kind, alg_binds=True)
    if kind == "RSA" and material.key_size > PROOF_RSA_BITS:
        raise UnusableKey(f"an RSA modulus must have at most {PROOF_RSA_BITS} bits, got {material.key_size}")
    if algorithm not in algorithms:
        raise UnusableKey(f"is for {' or '.join(sorted(algorithms))}, and not for {algorithm}")
    _, binds = _by_cryptography()
    return VerificationKey(members.get("kid"), algorithm, _thumbprint(members), binds[algorithm](material))


def _plain_key(jwk: object) -> VerificationKey | None:
    """The key of nearly every proof: on P-256, and with nothing beside the four members that make it.

    So there is nothing else in it to be looked at. None says nothing: the long way tells, and says why not.
    """
    if type(jwk) is not dict or len(jwk) != 4 or jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        return None
    x, y = jwk.get("x"), jwk.get("y")
    if type(x) is not str or type(y) is not str or not len(x) == len(y) == 43:  # 32 octets in base64url
        return None
    loads, binds = _by_cryptography()
    try:
        material = loads["P-256"](decode_base64url(x), decode_base64url(y))
    except ValueError:
        return None
    thumbprint_ = _digest(f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}')
    return VerificationKey(None, "ES256", thumbprint_, binds["ES256"](material))


def _object(jwk: object) -> Mapping[str, Any]:
    if not isinstance(jwk, Mapping):
        raise UnusableKey(f"a key must be a JSON object, got {type(jwk).__name__}")
    return jwk


def _kind_of(jwk: Mapping[str, Any]) -> str:
    """RSA, or the curve, of what says that it is a public signature key."""
    kid = _member(jwk, "kid")
    if kid is not None and len(kid.encode()) > KID_BYTES:
        raise UnusableKey(f"kid is longer than {KID_BYTES} bytes")
    kty = _member(jwk, "kty")
    if kty is None or kty not in _KINDS:
        raise UnusableKey(f"kty {shown(kty)} is no public signature key")
    if not _PRIVATE.isdisjoint(jwk):
        raise UnusableKey("holds a private key")
    if jwk.get("use", "sig") != "sig":
        raise UnusableKey(f"use is {shown(jwk['use'])}, not 'sig'")  # RFC 7517 section 4.2
    operations = jwk.get("key_ops", ("verify",))
    if not isinstance(operations, list | tuple) or "verify" not in operations:
        raise UnusableKey("key_ops does not hold 'verify'")  # RFC 7517 section 4.3
    kind = "RSA" if kty == "RSA" else _member(jwk, "crv")
    if kind is None or kind not in _KINDS[kty]:
        raise UnusableKey(f"crv {shown(kind)} is no curve of {kty} that is supported")
    return kind


def _algorithms_of(jwk: Mapping[str, Any], kind: str, *, alg_binds: bool) -> frozenset[str]:
    """Those of its kind; of them the one that the key is marked for, where that binds."""
    algorithms, marked = _ALGORITHMS[kind], _member(jwk, "alg")
    if marked is None:
        return algorithms
    if marked not in algorithms:
        raise UnusableKey(f"alg {shown(marked)} does not fit a key of kind {kind}")
    # EdDSA and Ed25519 are two names of the same algorithm (RFC 9864).
    return frozenset({marked}) if alg_binds and kind != "Ed25519" else algorithms


def _essence(jwk: Mapping[str, Any]) -> Mapping[str, str]:
    """What of a JWK was looked at, and nothing else."""
    names = ("kty", *_REQUIRED[jwk["kty"]], "kid", "alg", "use")
    return {name: jwk[name] for name in names if jwk.get(name) is not None}


def _member(jwk: Mapping[str, Any], name: str) -> str | None:
    value = jwk.get(name)
    if value is not None and not isinstance(value, str):
        raise UnusableKey(f"{name} must be a string, got {type(value).__name__}")
    return value


def _load(jwk: Mapping[str, Any], kind: str) -> Any:
    names = _OCTETS[kind]
    texts = [_member(jwk, name) for name in names]
    octets = [_octets_of(name, text, kind) for name, text in zip(names, texts, strict=True)]
    loads, _ = _by_cryptography()
    try:
        key = loads[kind](*octets)
    except ValueError as error:
        raise UnusableKey(f"not a valid {jwk['kty']} key") from error
    if kind == "RSA":
        _check_strength(*map(int.from_bytes, octets))
    elif kind == "Ed25519":
        _check_order(*octets)
    return key


def _octets_of(name: str, text: str | None, kind: str) -> bytes:
    if text is None:
        raise UnusableKey(f"{name} is missing")
    try:
        octets = decode_base64url(text)
    except ValueError as error:
        raise UnusableKey(f"{name}: {error}") from None
    size = _COORDINATE.get(kind)
    if size is not None and len(octets) != size:
        raise UnusableKey(f"{name} must have {size} octets on {kind}, got {len(octets)}")
    # RFC 7518 section 2, Base64urlUInt: the minimum number of octets.
    if size is None and (not octets or octets[0] == 0):
        raise UnusableKey(f"{name} has leading zero octets, or none")
    return octets


def _check_strength(exponent: int, modulus: int) -> None:
    least, most = RSA_BITS
    if not least <= modulus.bit_length() <= most:
        raise UnusableKey(f"an RSA modulus must have {least} to {most} bits, got {modulus.bit_length()}")
    least, most = RSA_EXPONENT
    if not (least <= exponent <= most and exponent % 2 and modulus % 2):
        raise UnusableKey(f"an RSA exponent must be odd, {least} to {most}, and the modulus odd")
    if all(modulus % prime in powers for prime, powers in _ROCA.items()):
        raise UnusableKey("an RSA modulus must not come from the generator of CVE-2017-15361")


# RFC 8032 section 5.1: the prime of the field, and the curve's d.
_P: Final = 2**255 - 19
_D: Final = -121_665 * pow(121_666, -1, _P) % _P


def _check_order(point: bytes) -> None:
    """A point of order 1, 2, 4 or 8 is refused: under such a key anybody can sign anything."""
    y = int.from_bytes(point, "little") & (2**255 - 1)  # the highest bit is the sign of x
    if y >= _P:
        raise UnusableKey("x must be below 2**255 - 19")  # RFC 8032 section 5.1.3
    # y is 1 or -1: order 1 or 2. It is 0: order 4. The double of (x, y) has y = 0, for x**2 = -y**2: order 8.
    if y * (y**2 - 1) * (_D * y**4 + 2 * y**2 - 1) % _P == 0:
        raise UnusableKey("x is a point of small order")


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The RFC 7638 thumbprint of a public JWK: SHA-256 over its required members, base64url."""
    members = {name: jwk[name] for name in sorted(("kty", *_REQUIRED[jwk["kty"]]))}
    return _digest(json.dumps(members, separators=(",", ":"), ensure_ascii=False))


# RFC 7638 section 3.3. By kty: what `thumbprint` writes of members in which there is nothing to escape.
_CANONICAL: Final = {
    "RSA": '{"e":"%(e)s","kty":"RSA","n":"%(n)s"}',
    "EC": '{"crv":"%(crv)s","kty":"EC","x":"%(x)s","y":"%(y)s"}',
    "OKP": '{"crv":"%(crv)s","kty":"OKP","x":"%(x)s"}',
}


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    """The same, of a key that was loaded: its members are base64url, and the name of a curve."""
    return _digest(_CANONICAL[jwk["kty"]] % jwk)


def _digest(canonical: str) -> str:
    return encode_base64url(sha256(canonical.encode()).digest())


# --------------------------------------------------------------------------------------------------------- sets of keys


class KeySet:
    """The usable signature keys of one issuer, at one time, for the algorithms that its tokens may have.

    kids: those that can be used; skipped: for each key that cannot, its place in the document and why.
    published: the JWKs of them all, whatever their algorithm.
    any_kid: no key has a name (they came as PEM), so that a token's kid names nothing and is not looked at.
    """

    def __init__(
        self,
        keys: Sequence[PublicKey],
        algorithms: Collection[str],
        skipped: Sequence[str] = (),
        *,
        any_kid: bool = False,
    ) -> None:
        self.skipped: tuple[str, ...] = tuple(skipped)
        self.published: tuple[Mapping[str, str], ...] = tuple(key.jwk for key in keys)
        self.any_kid = any_kid
        self._found: dict[tuple[str, str], VerificationKey] = {}
        self._nameless: dict[str, dict[str, VerificationKey]] = {algorithm: {} for algorithm in algorithms}
        prints: dict[str, set[str]] = {}
        for key in keys:
            if key.kid is not None:
                prints.setdefault(key.kid, set()).add(key.thumbprint)
            for algorithm in key.algorithms.intersection(algorithms):
                bound = key.for_algorithm(algorithm)
                self._nameless[algorithm][key.thumbprint] = bound
                if key.kid is not None:
                    self._found[key.kid, algorithm] = bound
        self._ambiguous = frozenset(kid for kid, distinct in prints.items() if len(distinct) > 1)
        self.kids: tuple[str, ...] = tuple(kid for kid in prints if kid not in self._ambiguous)
        self._known = frozenset(prints)

    @property
    def usable(self) -> bool:
        """Is there any key for any of the algorithms?"""
        return any(self._nameless.values())

    def has(self, kid: str | None) -> bool:
        """Does the set know that kid? A token without one names nothing that another fetch could bring."""
        return kid is None or kid in self._known or self.any_kid

    def find(self, kid: str | None, algorithm: str, issuer: str) -> VerificationKey:
        """The one key for a token's header.

        Raises UnknownKey, AmbiguousKey, and HeaderRejected where the key may not verify that algorithm.
        """
        if kid is None or self.any_kid:
            return self._only(algorithm, issuer)
        if kid in self._ambiguous:
            raise AmbiguousKey(kid, issuer)
        key = self._found.get((kid, algorithm))
        if key is not None:
            return key
        if kid in self.kids:
            fits = sorted(name for known, name in self._found if known == kid)
            raise HeaderRejected("alg", f"{' or '.join(fits) or 'none'}, as the key {shown(kid)} says", algorithm)
        raise UnknownKey(kid, issuer, self.kids)

    def _only(self, algorithm: str, issuer: str) -> VerificationKey:
        fitting = list(self._nameless[algorithm].values())
        if len(fitting) > 1:
            raise AmbiguousKey(None, issuer)
        if not fitting:
            raise UnknownKey(None, issuer, self.kids)
        return fitting[0]


def read_jwks(document: bytes | Mapping[str, Any], algorithms: Collection[str], *, alg_binds: bool = True) -> KeySet:
    """The usable keys of a JWK Set (RFC 7517 section 5). Raises ValueError where there is none, saying why."""
    return _usable(_entries(_parsed(document)), algorithms, alg_binds=alg_binds)


def read_keys(document: bytes, algorithms: Collection[str], *, alg_binds: bool = True) -> KeySet:
    """The usable keys that somebody wrote down: a JWK Set, one JWK, or PEM (public keys, certificates).

    Raises ValueError where there is none, saying why.
    """
    if b"-----BEGIN " in document and not document.lstrip().startswith((b"{", b"[")):
        from .pem import read_pem

        return _usable(read_pem(document), algorithms, alg_binds=alg_binds, any_kid=True)
    value = _parsed(document)
    entries = [value] if isinstance(value, Mapping) and "kty" in value else _entries(value)
    return _usable(entries, algorithms, alg_binds=alg_binds)


def _parsed(document: bytes | Mapping[str, Any]) -> Any:
    return parse_json(document, depth=JWKS_DEPTH, members=JWKS_MEMBERS) if isinstance(document, bytes) else document


def _entries(value: Any) -> Sequence[Any]:
    entries = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(entries, list | tuple):
        raise ValueError("a JWK Set must be a JSON object with an array 'keys' (RFC 7517 section 5)")
    if len(entries) > JWKS_KEYS:
        raise ValueError(f"a JWK Set may hold {JWKS_KEYS} keys, got {len(entries)}")
    return entries


def _usable(entries: Sequence[Any], algorithms: Collection[str], *, alg_binds: bool, any_kid: bool = False) -> KeySet:
    keys, skipped = [], []
    for place, entry in enumerate(entries):
        try:
            key = read_jwk(entry, alg_binds=alg_binds)
            _check_certificate(entry.get("x5c"), key)
            keys.append(key)
        except UnusableKey as reason:
            skipped.append(f"keys[{place}]: {reason}")
    found = KeySet(keys, algorithms, skipped, any_kid=any_kid)
    if not found.usable:
        raise ValueError(f"no key for {', '.join(sorted(algorithms))} among {len(entries)}: {'; '.join(skipped[:4])}")
    return found


def _check_certificate(chain: object, key: PublicKey) -> None:
    """RFC 7517 section 4.7: the first certificate must be of this very key. Nothing else of it is looked at."""
    first = chain[0] if isinstance(chain, list | tuple) and chain else None
    if not isinstance(first, str):
        return
    from .pem import certified

    jwk = certified(first)
    if jwk is not None and thumbprint(jwk) != key.thumbprint:
        raise UnusableKey("x5c is the certificate of another key")


# ------------------------------------------------------------------------------------------------------ a shared secret


class SharedSecret:
    """The secret that an HS256 API shares with its authorization server: a type of its own, never found in a JWKS."""

    def __init__(self, secret: bytes) -> None:
        def check(signing_input: bytes, signature: bytes) -> bool:
            return hmac.compare_digest(hmac.digest(secret, signing_input, "sha256"), signature)

        self._key = VerificationKey(None, "HS256", None, check)

    def find(self, kid: str | None, algorithm: str, issuer: str) -> VerificationKey:
        """The secret's key. A `kid` names nothing here: there is one secret."""
        return self._key
