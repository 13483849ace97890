"""A tenant's settings in a reader's words."""

from __future__ import annotations

from typing import Final

from jwtgate.tenant import Api, ProofOfPossession

PROFILES: Final = {"auth0": "Auth0 profile", "rfc9068": "RFC 9068 profile"}
MECHANISMS: Final = {"dpop": "DPoP", "mtls": "mutual TLS"}


def settings_of(api: Api) -> str:
    """What decides how its tokens look."""
    rbac = "on" if api.rbac else "off"
    place = "permissions" if api.permissions_in_token else "scope"
    said = [api.signing_algorithm, PROFILES[api.profile], f"RBAC {rbac}", f"names in {place}"]
    if api.proof_of_possession is not None:
        said.append(_possession(api.proof_of_possession))
    if api.token_encryption is not None:
        said.append(f"encrypted with {api.token_encryption.algorithm}")
    return ", ".join(said)


def _possession(policy: ProofOfPossession) -> str:
    of = " of public applications" if policy.required_for == "public_clients" else ""
    return f"{MECHANISMS[policy.mechanism]} {f'required{of}' if policy.required else 'allowed'}"
