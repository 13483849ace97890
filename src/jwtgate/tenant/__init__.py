"""A local tenant: register APIs, authorise applications, and get the tokens that a real one would issue.

    tenant = Tenant()
    api = tenant.register_api("https://api.example.com/", permissions={"read:messages": "Read messages"})
    application = tenant.create_application("Reports")
    tenant.authorize(application, api, permissions=["read:messages"])
    token = tenant.client_credentials(application, api).access_token

For development and tests: keys and secrets are made at the start and kept in memory. `Tenant.transport` puts
it behind an httpx client without a socket, `Tenant.serve` on loopback; both need the extra `tenant`.
"""

from .apis import Api
from .applications import Application, ClientGrant
from .errors import BeyondLoopbackWarning, Rule, TenantError
from .refusals import TokenRefused
from .signing import SigningKey, SigningKeys
from .tenant import Tenant
from .token_request import TokenResponse

__all__ = [
    "Api",
    "Application",
    "BeyondLoopbackWarning",
    "ClientGrant",
    "Rule",
    "SigningKey",
    "SigningKeys",
    "Tenant",
    "TenantError",
    "TokenRefused",
    "TokenResponse",
]
