"""What is measured with: an issuer's keys, tokens that nobody has seen before, and the bare work behind each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from jwtgate import ApiSettings, Issuer
from jwtgate.core.compact import decode_base64url
from tests.making import KIND_OF, SECRET, base64url, public_members, segment, sign, signing_key

DOMAIN: Final = "tenant.example"
ISSUER: Final = f"https://{DOMAIN}/"
API: Final = "https://api.example/"
URL: Final = "https://api.example/messages"
LIFE: Final = 86_400  # seconds: no token expires while it is measured with
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA", "HS256")

Json = dict[str, Any]


# --- keys and settings ----------------------------------------------------------------------------------------------


def jwks(algorithm: str) -> Json:
    """A set of two keys, as while one is about to replace the other."""
    return {"keys": [signing_key(KIND_OF[algorithm], number).jwk(alg=algorithm) for number in (1, 2)]}


def settings(algorithm: str = "RS256", issuer: Issuer | None = None, **changes: Any) -> ApiSettings:
    """All checks and limits on, as they are by default. issuer: as made here unless given."""
    if algorithm == "HS256":
        issuer, changes = Issuer(ISSUER), {"signing_secret": SECRET, **changes}
    own = issuer or Issuer(ISSUER, jwks=jwks(algorithm))
    return ApiSettings(identifier=API, issuers=[own], signing_algorithms=[algorithm], **changes)


FORGETFUL: Final[Json] = {"token_memory_bytes": 0}  # no token is remembered


# --- tokens ---------------------------------------------------------------------------------------------------------


def claims(jti: object, **changes: Any) -> Json:
    """Those of a user's token as Auth0 makes it, which is 1 KiB when it is signed by RS256."""
    now = int(time.time())
    return {
        "iss": ISSUER,
        "sub": f"auth0|{jti:024x}" if isinstance(jti, int) else "auth0|65f0c1d2e3a4b5c6d7e8f901",
        "aud": [API, f"{ISSUER}userinfo"],
        "iat": now,
        "exp": now + LIFE,
        "scope": "openid profile email read:messages write:messages",
        "azp": "9YtLqVbJ3sRkWzXcHn2mPd8uFgAe5TiO",
        "permissions": ["read:messages", "write:messages", "read:contacts"],
        "org_id": "org_8Zk2mQ7rT4vW",
        "https://api.example/plan": "business",
        "jti": f"id-{jti:020}" if isinstance(jti, int) else jti,
        **changes,
    }


def token(algorithm: str, jti: object = 0, *, number: int = 1, header: Json | None = None, **changes: Any) -> str:
    """A good one, unless a claim, or the header beside the signature, is changed."""
    key = None if algorithm == "HS256" else signing_key(KIND_OF[algorithm], number)
    head = {"alg": algorithm, "typ": "JWT", **({} if key is None else {"kid": key.kid})}
    signing_input = f"{segment({**head, **(header or {})})}.{segment(_compact(claims(jti, **changes)))}"
    signature = sign(algorithm, SECRET if key is None else key.private, signing_input.encode())
    return f"{signing_input}.{base64url(signature)}"


def _compact(members: Json) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


_COUNT: Final[Iterator[int]] = iter(range(1, 10**12))


def tokens(algorithm: str, count: int, **changes: Any) -> list[str]:
    """Each has a `sub` and a `jti` that none before it had."""
    return [token(algorithm, next(_COUNT), **changes) for _ in range(count)]


def with_header(good: str, **changes: Any) -> str:
    """The same token with another header, over which nobody has signed."""
    head, _, rest = good.partition(".")
    return f"{segment({**json.loads(decode_base64url(head)), **changes})}.{rest}"


def forged(good: str) -> str:
    """One octet of the signature is another: the number stays below the modulus, so that all of the work is done."""
    signing_input, _, signature = good.rpartition(".")
    octets = bytearray(decode_base64url(signature))
    octets[len(octets) // 2] ^= 1
    return f"{signing_input}.{base64url(bytes(octets))}"


# --- the bare work --------------------------------------------------------------------------------------------------

Bare = tuple[Callable[[tuple[bytes, bytes]], object], Callable[[str], tuple[bytes, bytes]]]


def reference(algorithm: str) -> Bare:
    """The same key's `verify` through cryptography, and what it takes: all that can be prepared is prepared."""
    if algorithm == "HS256":
        return _hmac, split
    public = signing_key(KIND_OF[algorithm], 1).private.public_key()
    sha256 = hashes.SHA256()
    if algorithm == "EdDSA":
        return (lambda item: public.verify(*item)), split
    if algorithm == "ES256":
        scheme = ec.ECDSA(sha256)
        return (lambda item: public.verify(*item, scheme)), _split_ecdsa
    pad = padding.PKCS1v15() if algorithm == "RS256" else padding.PSS(padding.MGF1(sha256), sha256.digest_size)
    return (lambda item: public.verify(*item, pad, sha256)), split


def _hmac(item: tuple[bytes, bytes]) -> None:
    mac = hmac.HMAC(SECRET, hashes.SHA256())
    mac.update(item[1])
    mac.verify(item[0])


def split(text: str) -> tuple[bytes, bytes]:
    signing_input, _, signature = text.rpartition(".")
    return decode_base64url(signature), signing_input.encode()


def _split_ecdsa(text: str) -> tuple[bytes, bytes]:
    signature, signing_input = split(text)
    return encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:])), signing_input


# --- DPoP -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Client:
    """The sender of bound tokens. private: of P-256; jkt: the thumbprint of its public half (RFC 7638)."""

    private: Any
    jwk: Json
    jkt: str

    @property
    def point(self) -> bytes:
        """The public key as it is loaded fastest: X9.62, not compressed."""
        return b"\4" + decode_base64url(self.jwk["x"]) + decode_base64url(self.jwk["y"])

    def proof(self, access_token: str, jti: int) -> str:
        """For a GET of `URL`, from now on."""
        payload = {
            "jti": f"proof-{jti:020}",
            "htm": "GET",
            "htu": URL,
            "iat": int(time.time()),
            "ath": base64url(_sha256(access_token.encode())),
        }
        head = segment(_compact({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk}))
        signing_input = f"{head}.{segment(_compact(payload))}"
        return f"{signing_input}.{base64url(sign('ES256', self.private, signing_input.encode()))}"


def client() -> Client:
    """Another one each time."""
    from jwtgate.core.jwk import thumbprint

    private = ec.generate_private_key(ec.SECP256R1())
    jwk = public_members(private)
    return Client(private, jwk, thumbprint(jwk))


def _sha256(octets: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(octets)
    return digest.finalize()
