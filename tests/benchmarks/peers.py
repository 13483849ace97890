"""The other libraries, each at its best, at the same work: issuer, audience, expiry, key by kid from a cached set."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

from tests.benchmarks.material import API, DOMAIN, ISSUER, Json
from tests.making import SECRET

# A token that is none of theirs they refuse by raising.
Verify = Callable[[str], Any]
DOCUMENTS: Final = f"{ISSUER}.well-known/openid-configuration"
JWKS_URI: Final = f"{ISSUER}.well-known/jwks.json"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another library. package: its name on PyPI; make: from an algorithm and a set of keys to what verifies;
    algorithms: those it can; awaits: it is for async code; rust: its parsing and its signatures are not Python's.
    """

    package: str
    make: Callable[[str, Json], Verify]
    algorithms: frozenset[str]
    awaits: bool = False
    rust: bool = False

    @property
    def version(self) -> str | None:
        """None where it is not installed."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None


def pyjwt(algorithm: str, jwks: Json) -> Verify:
    import jwt

    if algorithm == "HS256":
        return lambda token: jwt.decode(token, SECRET, algorithms=["HS256"], audience=API, issuer=ISSUER)
    client = jwt.PyJWKClient(JWKS_URI, cache_keys=True, lifespan=86_400)
    cache: Any = client.jwk_set_cache
    cache.put(jwks)

    def verify(token: str) -> Any:
        key = client.get_signing_key_from_jwt(token)
        return jwt.decode(token, key, algorithms=[algorithm], audience=API, issuer=ISSUER)

    return verify


def oxyjwt(algorithm: str, jwks: Json) -> Verify:
    import oxyjwt as library

    if algorithm == "HS256":
        return lambda token: library.decode(token, SECRET, algorithms=["HS256"], audience=API, issuer=ISSUER)
    client = library.PyJWKClient(JWKS_URI, cache_keys=True, lifespan=86_400)
    fetched: Any = client
    fetched._fetch_raw = lambda: json.dumps(jwks).encode()

    def verify(token: str) -> Any:
        key = client.get_signing_key_from_jwt(token).key
        return library.decode(token, key, algorithms=[algorithm], audience=API, issuer=ISSUER)

    return verify


def joserfc(algorithm: str, jwks: Json) -> Verify:
    from joserfc import jwk, jwt

    published: Any = jwks
    keys: Any = jwk.OctKey.import_key(SECRET) if algorithm == "HS256" else jwk.KeySet.import_key_set(published)
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": API},
        exp={"essential": True},
    )

    def verify(token: str) -> Any:
        found = jwt.decode(token, keys, algorithms=[algorithm])
        registry.validate(found.claims)
        return found

    return verify


def authlib(algorithm: str, jwks: Json) -> Verify:
    with warnings.catch_warnings():
        importlib.import_module("authlib.deprecate")  # it turns its warnings on

        warnings.simplefilter("ignore")  # it points to joserfc, its successor
        from authlib.jose import JsonWebKey, JsonWebToken, OctKey

    decoder = JsonWebToken([algorithm])
    keys: Any = OctKey.import_key(SECRET) if algorithm == "HS256" else JsonWebKey.import_key_set(jwks)
    options = {
        "iss": {"essential": True, "value": ISSUER},
        "aud": {"essential": True, "value": API},
        "exp": {"essential": True},
    }

    def verify(token: str) -> Any:
        found = decoder.decode(token, keys, claims_options=options)
        found.validate()
        return found

    return verify


def python_jose(algorithm: str, jwks: Json) -> Verify:
    from jose import jwk, jwt

    keys = {each["kid"]: jwk.construct(each, algorithm) for each in jwks.get("keys", ())}
    secret = jwk.construct(SECRET, algorithm) if algorithm == "HS256" else None

    def verify(token: str) -> Any:
        key = secret or keys[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(token, key, algorithms=[algorithm], audience=API, issuer=ISSUER)

    return verify


def auth0_client(jwks: Json) -> Any:
    from auth0_api_python import ApiClient, ApiClientOptions

    documents: Mapping[str, Json] = {DOCUMENTS: {"issuer": ISSUER, "jwks_uri": JWKS_URI}, JWKS_URI: jwks}

    async def fetch(url: str) -> Json:
        return documents[url]

    return ApiClient(ApiClientOptions(domain=DOMAIN, audience=API, custom_fetch=fetch, cache_ttl_seconds=86_400))


def auth0_api(algorithm: str, jwks: Json) -> Verify:
    verify: Verify = auth0_client(jwks).verify_access_token
    return verify


def fastmcp(algorithm: str, jwks: Json) -> Verify:
    import httpx2

    logging.getLogger("fastmcp").setLevel(logging.CRITICAL)  # else each refusal is painted on the terminal
    from fastmcp.server.auth.providers.jwt import JWTVerifier

    given: Json = {"public_key": SECRET.decode()}
    if algorithm != "HS256":
        transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=jwks))
        given = {"jwks_uri": JWKS_URI, "http_client": httpx2.AsyncClient(transport=transport)}
    verifier = JWTVerifier(issuer=ISSUER, audience=API, algorithm=algorithm, **given)

    async def verify(token: str) -> Any:
        found = await verifier.verify_token(token)
        if found is None:
            raise ValueError("refused")
        return found

    return verify


# --- encrypted tokens -----------------------------------------------------------------------------------------------


def joserfc_nested(jwks: Json, private: Json) -> Verify:
    from joserfc import jwe, jwk

    key, verify = jwk.RSAKey.import_key(private), joserfc("RS256", jwks)

    def opened(token: str) -> Any:
        found = jwe.decrypt_compact(token, key, algorithms=["RSA-OAEP-256", "A256GCM"])
        return verify((found.plaintext or b"").decode())

    return opened


def authlib_nested(jwks: Json, private: Json) -> Verify:
    verify = authlib("RS256", jwks)
    from authlib.jose import JsonWebEncryption, RSAKey

    decryption, key = JsonWebEncryption(["RSA-OAEP-256", "A256GCM"]), RSAKey.import_key(private)

    def opened(token: str) -> Any:
        return verify(decryption.deserialize_compact(token, key)["payload"].decode())

    return opened


NESTED: Final[Mapping[str, Callable[[Json, Json], Verify]]] = {"joserfc": joserfc_nested, "Authlib": authlib_nested}

ASYMMETRIC: Final = frozenset({"RS256", "PS256", "ES256", "EdDSA"})
EVERY: Final = ASYMMETRIC | {"HS256"}
PEERS: Final = (
    Peer("PyJWT", pyjwt, EVERY),
    Peer("joserfc", joserfc, EVERY),
    Peer("Authlib", authlib, EVERY),
    Peer("python-jose", python_jose, frozenset({"RS256", "ES256", "HS256"})),
    Peer("auth0-api-python", auth0_api, frozenset({"RS256"}), awaits=True),
    Peer("fastmcp", fastmcp, EVERY, awaits=True),
    Peer("oxyjwt", oxyjwt, EVERY, rust=True),
)


def installed() -> tuple[Peer, ...]:
    return tuple(peer for peer in PEERS if peer.version is not None)
