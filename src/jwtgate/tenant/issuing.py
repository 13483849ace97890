"""What stands in an access token and in an ID token, in each profile and dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .apis import Api, Profile
from .exchange import Granted
from .identifiers import new_jti
from .people import User
from .registry import USERINFO

Claims = dict[str, Any]

TYPES: Mapping[Profile, str] = {"auth0": "JWT", "rfc9068": "at+jwt"}
ID_TOKEN_LIFETIME = 36_000  # seconds


def access_claims(granted: Granted, issuer: str, now: float, *, organization_names: bool) -> Claims:
    """The claims of an access token. now: seconds since 1970; claims have whole ones.

    `scope` is absent, not empty, when none was granted. organization_names: `org_name` stands beside `org_id`.
    """
    issued_at = int(now)
    api = granted.api
    names_permissions = api is not None and api.permissions_in_token
    return {
        "iss": issuer,
        "sub": granted.application.subject if granted.user is None else granted.user.user_id,
        "aud": _audience(granted, issuer),
        "iat": issued_at,
        "exp": issued_at + granted.lifetime,
        **PROFILES["auth0" if api is None else api.profile](
            granted, _organization(granted, organization_names=organization_names)
        ),
        **({"permissions": list(granted.permissions)} if names_permissions else {}),
        **({} if granted.confirmation is None else {"cnf": dict(granted.confirmation)}),
    }


def id_claims(granted: Granted, user: User, issuer: str, now: float, *, organization_names: bool) -> Claims:
    """The claims of an ID token (OpenID Connect Core 1.0 section 2), for an access token with scope `openid`."""
    issued_at = int(now)
    return {
        **profile_claims(user, granted.scopes),
        "iss": issuer,
        "aud": granted.application.client_id,
        "sub": user.user_id,
        "iat": issued_at,
        "exp": issued_at + ID_TOKEN_LIFETIME,
        **({} if granted.nonce is None else {"nonce": granted.nonce}),
        **_organization(granted, organization_names=organization_names),
    }


def profile_claims(user: User, scopes: tuple[str, ...]) -> Claims:
    """What is told of a user, by scope (OpenID Connect Core 1.0 section 5.4). A tenant's own users are verified."""
    return {
        **({"nickname": user.email.partition("@")[0], "name": user.name} if "profile" in scopes else {}),
        **({"email": user.email, "email_verified": True} if "email" in scopes else {}),
    }


def _audience(granted: Granted, issuer: str) -> str | list[str]:
    userinfo = issuer + USERINFO
    if granted.api is None:
        return userinfo
    # Only users have it: an API cannot define it, so a machine is never granted it.
    if "openid" in granted.scopes and _is_for_several(granted.api):
        return [granted.api.identifier, userinfo]
    return granted.api.identifier


def _is_for_several(api: Api) -> bool:
    # A shared secret proves a token to whoever else holds it: HS256 tokens have one audience.
    return api.signing_algorithm != "HS256"


def _auth0(granted: Granted, organization: Claims) -> Claims:
    return {
        "azp": granted.application.client_id,
        **_scope(granted),
        **organization,
        **_grant_type(granted),
    }


def _rfc9068(granted: Granted, organization: Claims) -> Claims:
    # RFC 9068 section 2.2: jti and client_id are required.
    return {
        **_scope(granted),
        **organization,
        "jti": new_jti(),
        "client_id": granted.application.client_id,
    }


def _scope(granted: Granted) -> Claims:
    return {"scope": " ".join(granted.scopes)} if granted.scopes else {}


def _organization(granted: Granted, *, organization_names: bool) -> Claims:
    if granted.organization is None:
        return {}
    name = {"org_name": granted.organization.name} if organization_names else {}
    return {"org_id": granted.organization.id, **name}


def _grant_type(granted: Granted) -> Claims:
    """Nothing for a login at `/authorize`; an array where a refresh token came of another grant."""
    if not granted.grant_types:
        return {}
    return {"gty": granted.grant_types[0] if len(granted.grant_types) == 1 else list(granted.grant_types)}


PROFILES: Mapping[Profile, Callable[[Granted, Claims], Claims]] = {
    "auth0": _auth0,
    "rfc9068": _rfc9068,
}
