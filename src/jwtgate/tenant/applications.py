"""Applications that ask for tokens in their own name, and what each of them was granted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from .errors import Rule, TenantError

TokenEndpointAuth = Literal["client_secret_post", "client_secret_basic"]
GrantType = Literal["client_credentials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A machine-to-machine application.

    client_id: 32 letters and digits. client_secret: 64 characters.
    token_endpoint_auth: the one place in which the token endpoint takes this application's secret, the body
        of the request or HTTP Basic. A secret in the other place is refused.
    grant_types: the grants that this application may use at the token endpoint.

    Raises TenantError for the first rule that is broken.
    """

    client_id: str
    client_secret: str = field(repr=False)
    name: str
    token_endpoint_auth: TokenEndpointAuth
    grant_types: tuple[GrantType, ...]

    def __post_init__(self) -> None:
        if self.token_endpoint_auth not in get_args(TokenEndpointAuth):
            raise TenantError(Rule.TOKEN_ENDPOINT_AUTH, self.token_endpoint_auth, get_args(TokenEndpointAuth))
        for grant_type in self.grant_types:
            if grant_type not in get_args(GrantType):
                raise TenantError(Rule.GRANT_TYPE, grant_type, get_args(GrantType))

    @property
    def subject(self) -> str:
        """The `sub` of a token that this application gets in its own name."""
        return f"{self.client_id}@clients"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGrant:
    """An application is authorised for an API, with some of its permissions or none.

    id: `cgr_` and 16 letters and digits. audience: the API's identifier.
    permissions: in the order in which they were granted.
    """

    id: str
    client_id: str
    audience: str
    permissions: tuple[str, ...]


def granted_permissions(wanted: Iterable[str], defined: Mapping[str, str]) -> tuple[str, ...]:
    """What a grant holds: each permission once. Raises TenantError for one that the API does not define."""
    if isinstance(wanted, str):
        raise TenantError(Rule.PERMISSION_LIST, wanted)
    permissions = tuple(dict.fromkeys(wanted))
    for permission in permissions:
        if permission not in defined:
            raise TenantError(Rule.PERMISSION_UNKNOWN, permission)
    return permissions
