"""Keys: one, tied to the algorithm it may verify; a set of them, found by kid; and a shared secret, apart."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from .compact import KID_BYTES, decode_base64url, parse_json
from .errors import AmbiguousKey, BadSignature, HeaderRejected, UnknownKey, shown
from .pem import certified, read_pem

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

Check = Callable[[bytes, bytes], bool]  # (signing input, signature) -> is it this key's?


class UnusableKey(ValueError):
    """A JWK that cannot verify anything here. RFC 7517 section 5: such a key is ignored, and the others are kept."""


# ------------------------------------------------------------------------------ the algorithms, and what each needs


def _rsa(
    make_padding: Callable[[hashes.HashAlgorithm], padding.AsymmetricPadding], digest: hashes.HashAlgorithm
) -> Any:
    pad = make_padding(digest)  # built once; RFC 7518 section 3.3, 3.5

    def bind(key: rsa.RSAPublicKey) -> Check:
        size = (key.key_size + 7) // 8

        def check(signing_input: bytes, signature: bytes) -> bool:
            # RFC 8017 sections 8.1.2, 8.2.2: as long as the modulus; else one without its leading zeros would pass too.
            if len(signature) != size:
                return False
            try:
                key.verify(signature, signing_input, pad, digest)
            except InvalidSignature:
                return False
            return True

        return check

    return bind


def _pkcs1(digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    return padding.PKCS1v15()


def _pss(digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    # RFC 7518 section 3.5: MGF1 with the same hash, and a salt as long as its output.
    return padding.PSS(padding.MGF1(digest), digest.digest_size)


def _ecdsa(digest: hashes.HashAlgorithm) -> Any:
    scheme = ec.ECDSA(digest)

    def bind(key: ec.EllipticCurvePublicKey) -> Check:
        size = (key.curve.key_size + 7) // 8

        def check(signing_input: bytes, signature: bytes) -> bool:
            # RFC 7518 section 3.4: R and S, each as long as the curve's field, one behind the other; never DER.
            if len(signature) != 2 * size:
                return False
            r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
            try:
                key.verify(encode_dss_signature(r, s), signing_input, scheme)
            except InvalidSignature:
                return False
            return True

        return check

    return bind


def _ed25519(key: ed25519.Ed25519PublicKey) -> Check:
    def check(signing_input: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, signing_input)  # RFC 8037 section 3.1
        except InvalidSignature:
            return False
        return True

    return check


# (kind of key, from a key to its check). Adding an algorithm is one line here.
_ASYMMETRIC: Final[dict[str, tuple[str, Any]]] = {
    "RS256": ("RSA", _rsa(_pkcs1, hashes.SHA256())),
    "RS384": ("RSA", _rsa(_pkcs1, hashes.SHA384())),
    "RS512": ("RSA", _rsa(_pkcs1, hashes.SHA512())),
    "PS256": ("RSA", _rsa(_pss, hashes.SHA256())),
    "PS384": ("RSA", _rsa(_pss, hashes.SHA384())),
    "PS512": ("RSA", _rsa(_pss, hashes.SHA512())),
    "ES256": ("P-256", _ecdsa(hashes.SHA256())),
    "ES384": ("P-384", _ecdsa(hashes.SHA384())),
    "ES512": ("P-521", _ecdsa(hashes.SHA512())),
    "EdDSA": ("Ed25519", _ed25519),  # RFC 8037; its other curve, Ed448, is not taken
    "Ed25519": ("Ed25519", _ed25519),  # RFC 9864 section 2.2
}
ASYMMETRIC: Final = frozenset(_ASYMMETRIC)
SYMMETRIC: Final = frozenset({"HS256"})


@dataclass(frozen=True, slots=True, eq=False)
class VerificationKey:
    """One key for one algorithm: the only thing that a signature is ever checked with.

    kid: as published; thumbprint: RFC 7638, SHA-256, base64url (None for a shared secret).
    """

    kid: str | None
    algorithm: str
    thumbprint: str | None
    _check: Check = field(repr=False)

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
        return VerificationKey(self.kid, algorithm, self.thumbprint, _ASYMMETRIC[algorithm][1](self._material))


_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")  # RFC 7518 section 6
_PYJWT: Final[dict[str, Any]] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}
_REQUIRED = {"RSA": ("e", "n"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}  # RFC 7638 section 3.2, RFC 8037
_KINDS = {"RSA": ("RSA",), "EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
_COORDINATE = {"P-256": 32, "P-384": 48, "P-521": 66, "Ed25519": 32}  # octets; RFC 7518 section 6.2.1.2


def read_jwk(jwk: object, *, alg_binds: bool = True) -> PublicKey:
    """A public signature key from its JWK (RFC 7517 section 4).

    alg_binds: whether the `alg` member, where there is one, is the only algorithm. False takes any of the same family:
    Auth0 marks the RSA keys RS256 with which it signs the tokens of its PS256 APIs.

    Raises UnusableKey: unknown kind, no signature key, private or symmetric, weak, or not written canonically.
    """
    if not isinstance(jwk, Mapping):
        raise UnusableKey(f"a key must be a JSON object, got {type(jwk).__name__}")
    kid = _member(jwk, "kid")
    if kid is not None and len(kid.encode()) > KID_BYTES:
        raise UnusableKey(f"kid is longer than {KID_BYTES} bytes")
    kty = _member(jwk, "kty")
    if kty is None or kty not in _PYJWT:
        raise UnusableKey(f"kty {shown(kty)} is no public signature key")
    if any(name in jwk for name in _PRIVATE):
        raise UnusableKey("holds a private key")
    if jwk.get("use", "sig") != "sig":
        raise UnusableKey(f"use is {shown(jwk['use'])}, not 'sig'")  # RFC 7517 section 4.2
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list | tuple) or "verify" not in operations:
        raise UnusableKey("key_ops does not hold 'verify'")  # RFC 7517 section 4.3
    kind = "RSA" if kty == "RSA" else _member(jwk, "crv")
    if kind not in _KINDS[kty]:
        raise UnusableKey(f"crv {shown(kind)} is no curve of {kty} that is supported")
    algorithms = frozenset(name for name, (of, _) in _ASYMMETRIC.items() if of == kind)
    material = _load(kty, {name: _member(jwk, name) for name in _REQUIRED[kty]})
    marked = _member(jwk, "alg")
    if marked is not None:
        fits = {marked} & algorithms
        if not fits:
            raise UnusableKey(f"alg {shown(marked)} does not fit a key of kind {kind}")
        # EdDSA and Ed25519 are two names of the same algorithm (RFC 9864).
        algorithms = frozenset(fits) if alg_binds and kind != "Ed25519" else algorithms
    return PublicKey(kid, thumbprint(jwk), algorithms, _essence(jwk), material)


def read_proof_key(jwk: object, algorithm: str) -> VerificationKey:
    """The public key that came in a DPoP proof (RFC 9449 section 4.2), for the algorithm that the proof names.

    Raises UnusableKey, also for a private key, a symmetric one, and one that is not for this algorithm.
    """
    key = read_jwk(jwk)
    if isinstance(key._material, rsa.RSAPublicKey) and key._material.key_size > PROOF_RSA_BITS:
        raise UnusableKey(f"an RSA modulus must have at most {PROOF_RSA_BITS} bits, got {key._material.key_size}")
    if algorithm not in key.algorithms:
        raise UnusableKey(f"is for {' or '.join(sorted(key.algorithms))}, and not for {algorithm}")
    return key.for_algorithm(algorithm)


def _essence(jwk: Mapping[str, Any]) -> Mapping[str, str]:
    """What of a JWK was looked at, and nothing else."""
    names = ("kty", *_REQUIRED[jwk["kty"]], "kid", "alg", "use")
    return {name: jwk[name] for name in names if jwk.get(name) is not None}


def _member(jwk: Mapping[str, Any], name: str) -> str | None:
    value = jwk.get(name)
    if value is not None and not isinstance(value, str):
        raise UnusableKey(f"{name} must be a string, got {type(value).__name__}")
    return value


def _load(kty: str, members: dict[str, str | None]) -> Any:
    for name, value in members.items():
        if value is None:
            raise UnusableKey(f"{name} is missing")
        if name != "crv":
            _check_octets(name, value, members.get("crv"))
    try:
        key = _PYJWT[kty].from_jwk({"kty": kty, **members})
    except (InvalidKeyError, ValueError, TypeError) as error:
        raise UnusableKey(f"not a valid {kty} key") from error
    if isinstance(key, rsa.RSAPublicKey):
        _check_strength(key.public_numbers())
    if isinstance(key, ed25519.Ed25519PublicKey):
        _check_order(key.public_bytes_raw())
    return key


def _check_octets(name: str, value: str, curve: str | None) -> None:
    try:
        octets = decode_base64url(value)
    except ValueError as error:
        raise UnusableKey(f"{name}: {error}") from None
    if curve is not None and len(octets) != _COORDINATE[curve]:
        raise UnusableKey(f"{name} must have {_COORDINATE[curve]} octets on {curve}, got {len(octets)}")
    # RFC 7518 section 2, Base64urlUInt: the minimum number of octets.
    if curve is None and (not octets or octets[0] == 0):
        raise UnusableKey(f"{name} has leading zero octets, or none")


def _check_strength(numbers: rsa.RSAPublicNumbers) -> None:
    least, most = RSA_BITS
    if not least <= numbers.n.bit_length() <= most:
        raise UnusableKey(f"an RSA modulus must have {least} to {most} bits, got {numbers.n.bit_length()}")
    least, most = RSA_EXPONENT
    if not (least <= numbers.e <= most and numbers.e % 2 and numbers.n % 2):
        raise UnusableKey(f"an RSA exponent must be odd, {least} to {most}, and the modulus odd")
    if all(numbers.n % prime in powers for prime, powers in _ROCA.items()):
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
    digest = sha256(json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


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
    jwk = certified(first) if isinstance(first, str) else None
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
