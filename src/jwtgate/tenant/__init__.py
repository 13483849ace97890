"""A local tenant: register APIs, authorise applications, and get the tokens that a real one would issue.

    tenant = Tenant()
    api = tenant.register_api("https://api.example.com/", permissions={"read:messages": "Read messages"})
    application = tenant.create_application("Reports")
    tenant.authorize(application, api, permissions=["read:messages"])
    token = tenant.client_credentials(application, api).access_token

For development and tests: keys and secrets are made at the start and kept in memory, or in a `StateFile`.
`Tenant.from_file` sets one up from YAML. `Tenant.transport` puts it behind an httpx client without a socket,
`Tenant.serve` on loopback. These three need the extra `tenant`.
"""

from .apis import Api
from .applications import Application, ClientGrant
from .encryption import TokenEncryption
from .errors import BeyondLoopbackWarning, OpenPermissionsWarning, Place, Rule, SetupError, TenantError
from .events import Event
from .people import Organization, Role, User
from .possession import ProofOfPossession
from .refusals import TokenRefused
from .registry import Change, Keeper, RefreshToken
from .signing import SigningKey, SigningKeys
from .state import StateFile
from .tenant import Tenant
from .token_request import TokenResponse

__all__ = [
    "Api",
    "Application",
    "BeyondLoopbackWarning",
    "Change",
    "ClientGrant",
    "Event",
    "Keeper",
    "OpenPermissionsWarning",
    "Organization",
    "Place",
    "ProofOfPossession",
    "RefreshToken",
    "Role",
    "Rule",
    "SetupError",
    "SigningKey",
    "SigningKeys",
    "StateFile",
    "Tenant",
    "TenantError",
    "TokenEncryption",
    "TokenRefused",
    "TokenResponse",
    "User",
]
