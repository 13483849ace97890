"""Where the tenant's documents are, and what the tenant announces about itself."""

from __future__ import annotations

import re
from typing import Any, get_args

from .applications import TokenEndpointAuth
from .errors import Rule, TenantError
from .exchange import GRANTS

# Below the issuer, which ends with a slash.
DISCOVERY = ".well-known/openid-configuration"
DISCOVERY_ALIAS = ".well-known/oauth-authorization-server"
JWKS = ".well-known/jwks.json"
TOKEN = "oauth/token"

ISSUER = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?/?")


def discovery(issuer: str) -> dict[str, Any]:
    """The discovery document (RFC 8414 section 2), in Auth0's order; it names only what this tenant does."""
    return {
        "issuer": issuer,
        "token_endpoint": issuer + TOKEN,
        "jwks_uri": issuer + JWKS,
        "token_endpoint_auth_methods_supported": sorted(get_args(TokenEndpointAuth)),
        "grant_types_supported": sorted(GRANTS),
    }


def canonical_issuer(url: str) -> str:
    """This issuer with its trailing slash. Raises TenantError for what cannot be one."""
    if not ISSUER.fullmatch(url):
        raise TenantError(Rule.ISSUER, url)
    return url.removesuffix("/") + "/"
