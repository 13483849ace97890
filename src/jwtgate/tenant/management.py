"""The Management API: the one API that a tenant holds from its beginning."""

from __future__ import annotations

from . import identifiers
from .apis import Api, permission_table
from .applications import Application
from .registry import MANAGEMENT_API

# What this tenant has, each with what can be done to it; a real one has some forty kinds of things more.
KEPT = {
    "client_grants": "Client Grants",
    "clients": "Clients",
    "organizations": "Organizations",
    "resource_servers": "Resource Servers",
    "roles": "Roles",
    "signing_keys": "Signing Keys",
    "users": "Users",
}
ACTIONS = {"read": "Read", "create": "Create", "update": "Update", "delete": "Delete"}


def management_api(issuer: str, explorer: Application) -> Api:
    """The Management API of a new tenant, with the settings of a real one.

    Only its identifier and its permissions are there: tokens for it can be had, its endpoints are not served.
    """
    return Api(
        id=identifiers.new_api_id(),
        identifier=issuer + MANAGEMENT_API,
        name="Auth0 Management API",
        profile="auth0",
        signing_algorithm="RS256",
        signing_secret=None,
        token_lifetime=86_400,
        web_token_lifetime=7200,
        rbac=False,
        permissions_in_token=False,
        permissions=permission_table(
            {f"{action}:{what}": f"{does} {name}" for what, name in KEPT.items() for action, does in ACTIONS.items()}
        ),
        skip_consent=False,
        offline_access=False,
        # Nobody's users manage the tenant because their application asked for it.
        user_access="require_client_grant",
        client_access="require_client_grant",
        is_system=True,
        test_application=explorer,
    )
