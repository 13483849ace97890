"""What an access token must be for /userinfo: one of this tenant's, for a user, with that audience, not expired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from .opaque import OpaqueTokens
from .refusals import wrong_access_token
from .registry import USERINFO

ALGORITHMS = ["PS256", "RS256", "RS512"]


def read_access_token(
    token: str, *, opaque: OpaqueTokens, jwks: Mapping[str, Any], issuer: str, now: float
) -> Mapping[str, Any]:
    """Its claims. Raises TokenRefused."""
    claims = opaque.open(token)
    if claims is None:
        claims = _verified(token, jwks, issuer)
    # `Tenant.sign` signs whatever it is given: dates that are none, too.
    if not isinstance(claims["exp"], int | float) or now >= claims["exp"]:
        raise wrong_access_token("it has expired")
    if not isinstance(claims.get("scope", ""), str):
        raise wrong_access_token("its scope is no string")
    return claims


def _verified(token: str, jwks: Mapping[str, Any], issuer: str) -> dict[str, Any]:
    try:
        header = jwt.get_unverified_header(token)
        # PyJWT makes a key of any algorithm it is told, before it looks at those that are allowed.
        known = jwks["keys"] if header.get("alg") in ALGORITHMS else []
        key = next(key for key in known if key["kid"] == header.get("kid"))
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(key, algorithm=header["alg"]),
            algorithms=ALGORITHMS,
            audience=issuer + USERINFO,
            issuer=issuer,
            # By the tenant's clock, which is not PyJWT's.
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "require": ["exp", "sub"]},
        )
    except (jwt.PyJWTError, StopIteration) as fault:
        raise wrong_access_token("it is not this tenant's, or was issued without scope openid") from fault
    return claims
