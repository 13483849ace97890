"""Keys, tokens and a third driver for tests: everything is well signed, save what a test itself spoils."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from jwtgate.core.effects import (
    Decrypt,
    Document,
    Effect,
    Fetch,
    FetchFailed,
    Flow,
    LoadKeys,
    Moment,
    Now,
    ReadFile,
    RememberProof,
    ResolveIssuer,
    Settle,
)
from jwtgate.core.errors import StoreUnavailable
from jwtgate.stores import MemoryStore, Store

T = TypeVar("T")

NOW: Final = 1_800_000_000.0  # seconds since the epoch
MOMENT: Final = Moment(wall=NOW, monotonic=1_000.0)
ISSUER: Final = "https://issuer.test/"
API: Final = "https://api.test/"
SECRET: Final = b"0123456789abcdef0123456789abcdef"


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()  # as a value: leave this member out


def changed(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The members with some replaced or added; those that are ABSENT are left out."""
    return {name: value for name, value in {**members, **changes}.items() if value is not ABSENT}


# --- bytes --------------------------------------------------------------------------------------------------


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def octets_of(number: int, size: int = 0) -> str:
    """An integer in base64url: its fewest octets, or as many as `size` says."""
    return base64url(number.to_bytes(size or (number.bit_length() + 7) // 8))


def segment(value: object) -> str:
    """A segment of a compact JWS: of bytes, of a text's UTF-8, or of a value's JSON."""
    if isinstance(value, str):
        value = value.encode()
    return base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


# --- keys ---------------------------------------------------------------------------------------------------

_SIGN: Final = get_default_algorithms()
KINDS: Final = ("RSA", "P-256", "P-384", "P-521", "Ed25519")
KIND_OF: Final = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",
}
_CURVES: Final[dict[str, type[Any]]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the name under which it is published. private: of `cryptography`."""

    kid: str
    kind: str
    private: Any = field(repr=False)

    def sign(self, algorithm: str, signing_input: bytes) -> bytes:
        return sign(algorithm, self.private, signing_input)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """Its public JWK, without `alg`."""
        return changed({**public_members(self.private), "use": "sig", "kid": self.kid}, changes)


def signing_key(kind: str = "RSA", number: int = 1) -> SigningKey:
    """A key that is made once in a run: the same kind and number are the same key."""
    return _made(kind, number)


@functools.cache
def _made(kind: str, number: int) -> SigningKey:
    private: Any
    if kind == "RSA":
        private = rsa.generate_private_key(65_537, 2_048)
    elif kind == "Ed25519":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = ec.generate_private_key(_CURVES[kind]())
    return SigningKey(f"{kind}-{number}", kind, private)


def public_members(private: Any) -> dict[str, str]:
    """The members of a public JWK that make the key (RFC 7518 section 6, RFC 8037 section 2)."""
    public = private.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": base64url(public.public_bytes_raw())}
    numbers = public.public_numbers()
    if isinstance(numbers, rsa.RSAPublicNumbers):
        return {"kty": "RSA", "n": octets_of(numbers.n), "e": octets_of(numbers.e)}
    size = (public.curve.key_size + 7) // 8
    curve = {256: "P-256", 384: "P-384", 521: "P-521"}[public.curve.key_size]
    return {"kty": "EC", "crv": curve, "x": octets_of(numbers.x, size), "y": octets_of(numbers.y, size)}


def sign(algorithm: str, private: Any, signing_input: bytes) -> bytes:
    """PyJWT's signature. private: of `cryptography`, or the bytes of a shared secret."""
    return _SIGN["EdDSA" if algorithm == "Ed25519" else algorithm].sign(signing_input, private)


def compact(header: object, payload: object, key: SigningKey | bytes, algorithm: str = "") -> str:
    """A compact JWS of any header and any payload, rightly signed over just these octets.

    header, payload: bytes and text as they stand, anything else as its JSON. key: a shared
    secret's bytes sign HS256. algorithm: of the signature, where it is not the header's `alg`.
    """
    if not algorithm:
        algorithm = header["alg"] if isinstance(header, dict) else "RS256"
    signing_input = f"{segment(header)}.{segment(payload)}"
    private = key if isinstance(key, bytes) else key.private
    return f"{signing_input}.{base64url(sign(algorithm, private, signing_input.encode()))}"


# --- an issuer ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Issuing:
    """An issuer that signs whatever it is told to.

    url: its `iss`; identifier: the API for which it issues; number: which of its keys of each kind signs.
    """

    url: str = ISSUER
    identifier: str = API
    number: int = 1

    @property
    def jwks_uri(self) -> str:
        return f"{self.url}.well-known/jwks.json"

    @property
    def discovery_url(self) -> str:
        return f"{self.url}.well-known/openid-configuration"

    def key(self, algorithm: str = "RS256") -> SigningKey:
        return signing_key(KIND_OF[algorithm], self.number)

    def jwks(self, *keys: dict[str, Any]) -> dict[str, Any]:
        """The JWK Set of these JWKs, or of one key of every kind."""
        return {"keys": [*keys] or [signing_key(kind, self.number).jwk() for kind in KINDS]}

    def metadata(self, **changes: Any) -> dict[str, Any]:
        return changed({"issuer": self.url, "jwks_uri": self.jwks_uri}, changes)

    def documents(self, *keys: dict[str, Any]) -> dict[str, bytes | FetchFailed]:
        """What `drive` finds at its addresses."""
        return {
            self.discovery_url: json.dumps(self.metadata()).encode(),
            self.jwks_uri: json.dumps(self.jwks(*keys)).encode(),
        }

    def header(self, algorithm: str = "RS256", **changes: Any) -> dict[str, Any]:
        kid = ABSENT if algorithm == "HS256" else self.key(algorithm).kid
        return changed({"alg": algorithm, "typ": "JWT", "kid": kid}, changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """A machine's token of the Auth0 profile."""
        claims = {
            "iss": self.url,
            "sub": "app-1@clients",
            "aud": self.identifier,
            "iat": int(NOW) - 60,
            "exp": int(NOW) + 3_600,
            "azp": "app-1",
            "gty": "client-credentials",
            "scope": "read:messages",
        }
        return changed(claims, changes)

    def rfc9068_claims(self, **changes: Any) -> dict[str, Any]:
        claims = self.claims(azp=ABSENT, gty=ABSENT, client_id="app-1", jti="id-1")
        return changed(claims, changes)

    def token(self, *, algorithm: str = "RS256", header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A good token of the Auth0 profile, with some claims changed, and some of its header's parameters.

        The signature is right for `algorithm`, whatever the changed header says.
        """
        return self._signed(algorithm, header or {}, self.claims(**changes))

    def rfc9068_token(
        self, *, algorithm: str = "RS256", header: Mapping[str, Any] | None = None, **changes: Any
    ) -> str:
        """As `token`, of the RFC 9068 profile."""
        return self._signed(algorithm, {"typ": "at+jwt", **(header or {})}, self.rfc9068_claims(**changes))

    def _signed(self, algorithm: str, header: Mapping[str, Any], claims: dict[str, Any]) -> str:
        key = SECRET if algorithm == "HS256" else self.key(algorithm)
        return compact(self.header(algorithm, **header), claims, key, algorithm)


# --- a third driver -----------------------------------------------------------------------------------------


Documents = Mapping[str, bytes | Document | FetchFailed]


def drive(
    flow: Flow[T],
    moment: Moment = MOMENT,
    documents: Documents | None = None,
    fetched: list[str] | None = None,
    store: Store | None = None,
) -> T:
    """What comes out of a flow whose effects are performed from data.

    documents: by address, or a file's path; one that is not there cannot be had. fetched: grows by every address and
    path asked for. store: of seen proofs; a new one unless given.
    """
    step: Any = flow.send
    answer: Any = None
    try:
        while True:
            effect = step(answer)
            try:
                if isinstance(effect, RememberProof):
                    step, answer = flow.send, (store or MemoryStore()).remember(effect, moment.wall)
                else:
                    step, answer = flow.send, _perform(effect, moment, documents or {}, fetched)
            except (FetchFailed, StoreUnavailable) as failure:
                step, answer = flow.throw, failure
    except StopIteration as end:
        return cast(T, end.value)


def _perform(effect: Effect, moment: Moment, documents: Documents, fetched: list[str] | None) -> Any:
    match effect:
        case Now():
            return moment
        case LoadKeys():
            load = effect.keys.load(effect.keys.begin(), moment, effect.kid)
            return drive(load, moment, documents, fetched)
        case Settle():
            return effect.keys.settle(effect.attempt)
        case ResolveIssuer():
            return effect.resolver(effect.stated, effect.request)
        case Decrypt():
            return effect.decrypt(effect.encrypted_key, effect.algorithm)
        case Fetch():
            return _document(effect.url, documents, fetched)
        case ReadFile():
            return _document(effect.path, documents, fetched)


def _document(address: str, documents: Documents, fetched: list[str] | None) -> Document:
    if fetched is not None:
        fetched.append(address)
    found = documents.get(address, FetchFailed("no such document"))
    if isinstance(found, FetchFailed):
        raise found
    return Document(found) if isinstance(found, bytes) else found
