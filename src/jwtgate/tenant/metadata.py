"""Where the tenant's documents are, and what the tenant announces about itself."""

from __future__ import annotations

import re
from typing import Any, get_args

from .applications import TokenEndpointAuth
from .authorization import RESPONSE_TYPES
from .errors import Rule, TenantError
from .exchange import GRANTS
from .possession import PROOF_ALGORITHMS
from .registry import USERINFO

# Below the issuer, which ends with a slash.
DISCOVERY = ".well-known/openid-configuration"
DISCOVERY_ALIAS = ".well-known/oauth-authorization-server"
JWKS = ".well-known/jwks.json"
TOKEN = "oauth/token"
AUTHORIZE = "authorize"
LOGIN = "u/login"

# Of a user and their login, in ID tokens and at /userinfo.
CLAIMS = ("aud", "email", "email_verified", "exp", "iat", "iss", "name", "nickname", "sub")

ISSUER = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?/?")


def discovery(issuer: str) -> dict[str, Any]:
    """The discovery document (RFC 8414 section 2), in Auth0's order; it names only what this tenant does."""
    return {
        "issuer": issuer,
        "authorization_endpoint": issuer + AUTHORIZE,
        "token_endpoint": issuer + TOKEN,
        "userinfo_endpoint": issuer + USERINFO,
        "jwks_uri": issuer + JWKS,
        "scopes_supported": ["openid", "profile", "offline_access", "email"],
        "response_types_supported": list(RESPONSE_TYPES),
        "code_challenge_methods_supported": ["S256"],
        "response_modes_supported": [mode for _, mode in RESPONSE_TYPES.values()],
        "subject_types_supported": ["public"],
        "token_endpoint_auth_methods_supported": sorted(get_args(TokenEndpointAuth)),
        "claims_supported": sorted(CLAIMS),
        "request_uri_parameter_supported": False,
        "request_parameter_supported": False,
        "id_token_signing_alg_values_supported": ["RS256"],
        "grant_types_supported": sorted([*GRANTS, "implicit"]),
        # RFC 9449 section 5.1, and RFC 8705.
        "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
        "tls_client_certificate_bound_access_tokens": True,
    }


def canonical_issuer(url: str) -> str:
    """This issuer with its trailing slash. Raises TenantError for what cannot be one."""
    if not ISSUER.fullmatch(url):
        raise TenantError(Rule.ISSUER, url)
    return url.removesuffix("/") + "/"
