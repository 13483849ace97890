"""A tenant's settings in a reader's words."""

from __future__ import annotations

from typing import Final

from jwtgate.tenant import Api

PROFILES: Final = {"auth0": "Auth0 profile", "rfc9068": "RFC 9068 profile"}


def settings_of(api: Api) -> str:
    """What decides how its tokens look."""
    rbac = "on" if api.rbac else "off"
    place = "permissions" if api.permissions_in_token else "scope"
    return f"{api.signing_algorithm}, {PROFILES[api.profile]}, RBAC {rbac}, names in {place}"
