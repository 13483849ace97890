"""Settings from the Management API's JSON object of an API, so that the code follows the Dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .errors import SettingsError, listed, shown
from .jwk import SYMMETRIC
from .values import Profile, secret_octets, sequence, whole

_DIALECTS: Final[dict[str, tuple[Profile, bool]]] = {
    "access_token": ("auth0", False),
    "access_token_authz": ("auth0", True),
    "rfc9068_profile": ("rfc9068", False),
    "rfc9068_profile_authz": ("rfc9068", True),
}


def read_resource_server(
    server: Mapping[str, Any], signing_secret: bytes | str | None, *, encrypted: bool
) -> dict[str, Any]:
    """The settings that the object holds. encrypted: whether there are keys to open encrypted tokens with.

    Raises SettingsError.
    """
    if not isinstance(server, Mapping):
        raise SettingsError("resource_server", f"must be a JSON object, got {type(server).__name__}")
    if server.get("token_encryption") is not None and not encrypted:
        raise SettingsError("token_encryption", "is on for this API: its private key must be given as decryption_keys")
    if not isinstance(server.get("identifier"), str):
        raise SettingsError("identifier", "must be the API's identifier, a string", server.get("identifier"))
    profile, permissions_in_token = _dialect(server.get("token_dialect"))
    algorithm = server.get("signing_alg", "RS256")
    if not isinstance(algorithm, str):
        raise SettingsError("signing_alg", "must be the name of an algorithm", algorithm)
    lifetime = server.get("token_lifetime")
    # 0 is possible in a tenant: its tokens are born expired, and `exp` refuses them.
    if lifetime is not None and not whole(lifetime, 0, 2_592_000):
        raise SettingsError("token_lifetime", "must be 0 to 2592000 seconds", lifetime)
    settings: dict[str, Any] = {
        "identifier": server["identifier"],
        "signing_algorithms": (algorithm,),
        "profile": profile,
        "permissions_in_token": permissions_in_token,
        "permissions": _scopes(server.get("scopes")),
        "token_lifetime": lifetime or None,
        "proof_of_possession": server.get("proof_of_possession"),
    }
    if algorithm in SYMMETRIC:
        secret = server.get("signing_secret") if signing_secret is None else signing_secret
        settings["signing_secret"] = secret_octets(secret) if isinstance(secret, str) else secret
        # Auth0 takes signing secrets from 16 characters up, so that an API which has one works.
        settings["short_secret"] = True
    elif signing_secret is not None:
        raise SettingsError("signing_secret", f"is for HS256 alone, and this API signs with {shown(algorithm)}")
    return settings


def _dialect(name: object) -> tuple[Profile, bool]:
    # A key that was never set stays away, and the API behaves as with this dialect.
    known = "access_token" if name is None else name
    if not isinstance(known, str) or known not in _DIALECTS:
        raise SettingsError("token_dialect", f"must be one of {listed(tuple(_DIALECTS))}", name)
    return _DIALECTS[known]


def _scopes(entries: Any) -> dict[str, str]:
    if entries is None:
        return {}
    try:
        return {entry["value"]: entry.get("description") or "" for entry in sequence("scopes", entries, Mapping)}
    except (TypeError, KeyError):
        raise SettingsError("scopes", "must be a list of objects with a 'value'", entries) from None
