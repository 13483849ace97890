"""Tokens that every API must refuse, by name: each a good token with one thing wrong."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from jwtgate.core.jwk import KIND_OF

from .signing import opened, segment, signed

if TYPE_CHECKING:
    from .stand_in import StandIn

HOUR = 3600  # seconds; no leeway forgives as much

# In order of preference; the last is admitted by no API.
ALGORITHMS: Final = "RS512 RS256 PS512 PS256 RS384 PS384 ES256 ES384 ES512 EdDSA HS512".split()

# ------------------------------------------------------------------------------------------------------- its times


def expired(issuer: StandIn) -> str:
    """It was good until an hour ago."""
    now = issuer.now()
    return issuer.token(claims={"iat": now - 2 * HOUR, "exp": now - HOUR})


def not_yet_valid(issuer: StandIn) -> str:
    """`nbf` is half an hour ahead."""
    return issuer.token(claims={"nbf": issuer.now() + HOUR // 2})


def issued_in_the_future(issuer: StandIn) -> str:
    """`iat` is an hour ahead, and `exp` after that."""
    return issuer.token(issued_at=issuer.now() + HOUR)


# ------------------------------------------------------------------------------------------- by whom, and for whom


def wrong_audience(issuer: StandIn) -> str:
    """For another API of the same issuer."""
    return issuer.token(claims={"aud": "https://another-api.example/"})


def slash_audience(issuer: StandIn) -> str:
    """For an API whose identifier differs by a slash at its end alone."""
    own = issuer.identifiers
    bare = own[0].rstrip("/")
    # An API may have several identifiers, so the nearest may be its own too.
    near = (bare + "/" * count for count in itertools.count())
    return issuer.token(claims={"aud": next(name for name in near if name not in own)})


def wrong_issuer(issuer: StandIn) -> str:
    """Of an issuer that the API does not name."""
    return issuer.token(claims={"iss": "https://another-issuer.example/"})


# --------------------------------------------------------------------------------------------------- its signature


def altered(issuer: StandIn) -> str:
    """Another user was put in after it had been signed."""
    token = issuer.token()
    header, claims = opened(token)
    return f"{segment(header)}.{segment({**claims, 'sub': 'auth0|another'})}.{_signature(token)}"


def forged(issuer: StandIn) -> str:
    """Signed with a strange key, under the name of one that the issuer publishes."""
    header, claims = opened(issuer.token())
    return signed(header, claims, issuer.strange_key(header["alg"]))


def unknown_key(issuer: StandIn) -> str:
    """Signed with a key that the issuer does not publish, under that key's own name."""
    header, claims = opened(issuer.token())
    key = issuer.strange_key(header["alg"])
    return signed({**header, "kid": key.kid}, claims, key)


def own_key_in_header(issuer: StandIn) -> str:
    """Its header brings along the public key that verifies it (RFC 7515 section 4.1.3)."""
    header, claims = opened(issuer.token())
    algorithm = header["alg"] if header["alg"] in KIND_OF else "RS256"
    key = issuer.strange_key(algorithm)
    return signed({**header, "alg": algorithm, "kid": key.kid, "jwk": key.jwk(algorithm)}, claims, key)


def hs256_with_public_key(issuer: StandIn) -> str:
    """HMAC takes any bytes as its secret, and everybody knows those of a public key (RFC 8725 section 2.1)."""
    header, claims = opened(issuer.token())
    key = issuer.published_key(header["alg"] if header["alg"] in KIND_OF else "RS256")
    return signed({**header, "alg": "HS256", "kid": key.kid}, claims, replace(key, private=key.public_pem()))


def other_algorithm(issuer: StandIn) -> str:
    """Signed with a good key, by an algorithm that the API does not admit."""
    header, claims = opened(issuer.token())
    algorithm = next(name for name in ALGORITHMS if name not in issuer.algorithms)
    key = issuer.published_key(algorithm)
    return signed({**header, "alg": algorithm, "kid": key.kid}, claims, key)


def unsigned(issuer: StandIn) -> str:
    """Its signature was taken away."""
    token = issuer.token()
    return token.removesuffix(_signature(token))


def alg_none(issuer: StandIn) -> str:
    """It says that it is not signed, and it is not (RFC 7519 section 6)."""
    header, claims = opened(issuer.token())
    return f"{segment({**header, 'alg': 'none'})}.{segment(claims)}."


def alg_none_signed(issuer: StandIn) -> str:
    """It says that it is not signed, and has a signature."""
    return alg_none(issuer) + _signature(issuer.token())


def critical_extension(issuer: StandIn) -> str:
    """Its header insists on an extension that nobody knows (RFC 7515 section 4.1.11)."""
    return issuer.token(header={"crit": ["urn:example:unknown"], "urn:example:unknown": True})


def _signature(token: str) -> str:
    return token.rpartition(".")[2]


# ------------------------------------------------------------------------------------------------------- what it is


def id_token(issuer: StandIn) -> str:
    """What an application gets to learn who logged in (OpenID Connect Core 1.0 section 2)."""
    client_id = "TheApplicationThatAsked"
    claims = {"aud": client_id, "nonce": secrets.token_urlsafe(16), "scope": None, "permissions": None}
    return issuer.token(client_id=client_id, claims=claims)


def logout_token(issuer: StandIn) -> str:
    """What an application gets to learn who logged out (OpenID Connect Back-Channel Logout 1.0 section 2.4)."""
    return issuer.token(claims={"events": {"http://schemas.openid.net/event/backchannel-logout": {}}})


def bound(issuer: StandIn) -> str:
    """Bound to a key, and sent without the proof that its sender has that key (RFC 9449 section 7.1)."""
    return issuer.token(claims={"cnf": {"jkt": secrets.token_urlsafe(32)}})


def encrypted(issuer: StandIn) -> str:
    """A JWE for somebody else's key (RFC 7516 section 7.1)."""
    header = segment({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT"})
    sizes = (256, 12, 600, 16)  # octets: the encrypted key, the initialisation vector, the text and its tag
    return ".".join([header, *(secrets.token_urlsafe(size) for size in sizes)])


def opaque(issuer: StandIn) -> str:
    """What a client gets that asked for no audience."""
    return secrets.token_urlsafe(24)


def undefined(issuer: StandIn) -> str:
    """What a client sends that lost its token."""
    return "undefined"


def without(claim: str, issuer: StandIn) -> str:
    """A claim is missing that every access token must have."""
    return issuer.token(claims={claim: None})


# name → how it is made. Adding one is one line here, and one in docs/how-to/test-your-api.md.
BROKEN: Final[Mapping[str, Callable[[StandIn], str]]] = {
    "expired": expired,
    "not_yet_valid": not_yet_valid,
    "issued_in_the_future": issued_in_the_future,
    "wrong_audience": wrong_audience,
    "slash_audience": slash_audience,
    "wrong_issuer": wrong_issuer,
    "altered": altered,
    "forged": forged,
    "unknown_key": unknown_key,
    "own_key_in_header": own_key_in_header,
    "hs256_with_public_key": hs256_with_public_key,
    "other_algorithm": other_algorithm,
    "unsigned": unsigned,
    "alg_none": alg_none,
    "alg_none_signed": alg_none_signed,
    "critical_extension": critical_extension,
    "id_token": id_token,
    "logout_token": logout_token,
    "bound": bound,
    "encrypted": encrypted,
    "opaque": opaque,
    "undefined": undefined,
    "without_iss": partial(without, "iss"),
    "without_sub": partial(without, "sub"),
    "without_aud": partial(without, "aud"),
    "without_iat": partial(without, "iat"),
    "without_exp": partial(without, "exp"),
}
