"""A registered API, and the rules that its settings keep."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from .applications import Application
from .errors import Rule, TenantError
from .names import check_name, check_text, is_text

Profile = Literal["auth0", "rfc9068"]
SigningAlgorithm = Literal["RS256", "RS512", "PS256", "HS256"]

IDENTIFIER_LENGTH = (1, 600)  # characters
PERMISSION_LENGTH = (1, 280)  # characters
DESCRIPTION_LENGTH = 500  # characters
PERMISSIONS = 1000  # per API
SIGNING_SECRET_LENGTH = 16  # characters, at least
TOKEN_LIFETIME = (1, 2_592_000)  # seconds: up to 30 days
WEB_TOKEN_LIFETIME = 7200  # seconds: what a real API answers when nobody has set it

# RFC 6749 section 3.3: the characters of one scope name.
PERMISSION = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")

RESERVED_PERMISSIONS = frozenset(
    "address created_at email email_verified family_name given_name identities name nickname offline_access"
    " openid phone picture profile".split()
)

DIALECTS: Mapping[tuple[Profile, bool], str] = {
    ("auth0", False): "access_token",
    ("auth0", True): "access_token_authz",
    ("rfc9068", False): "rfc9068_profile",
    ("rfc9068", True): "rfc9068_profile_authz",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """An API with the settings of its Dashboard page; none of them changes afterwards.

    id: 24 hexadecimal digits, made by the tenant.
    identifier: the `audience` of a token request and the `aud` of its tokens; exact, trailing slash included.
    signing_secret: text of at least 16 characters for HS256, else None; its UTF-8 bytes sign.
    token_lifetime: seconds, 1 to 2,592,000. A real tenant takes 0 as well; a token that has expired when it
        is issued serves nobody, so here it is a mistake. (`Tenant.sign` makes expired tokens.)
    permissions: value to description; an empty description is none.
    test_application: made with the API and authorised for it, for none of its permissions.

    Raises TenantError for the first rule that is broken.
    """

    id: str
    identifier: str
    name: str | None
    profile: Profile
    signing_algorithm: SigningAlgorithm
    signing_secret: str | None = field(repr=False)
    token_lifetime: int
    rbac: bool
    permissions_in_token: bool
    permissions: Mapping[str, str] = field(hash=False)
    test_application: Application

    def __post_init__(self) -> None:
        for check in CHECKS:
            check(self)

    @property
    def dialect(self) -> str:
        """One of the four token dialects: profile, and whether permissions are in the token."""
        return DIALECTS[self.profile, self.permissions_in_token]

    def resource_server(self) -> dict[str, Any]:
        """This API as the Management API's JSON object; as there, settings that were never set are absent.

        The signing secret is not in it: see `signing_secret`.
        """
        named = {} if self.name is None else {"name": self.name}
        return {
            "id": self.id,
            **named,
            "identifier": self.identifier,
            "allow_offline_access": False,
            "skip_consent_for_verifiable_first_party_clients": False,
            "subject_type_authorization": {
                "client": {"policy": "require_client_grant"},
                "user": {"policy": "allow_all"},
            },
            "token_lifetime": self.token_lifetime,
            "token_lifetime_for_web": min(WEB_TOKEN_LIFETIME, self.token_lifetime),
            "signing_alg": self.signing_algorithm,
            **self._scopes(),
            **self._access_control(),
        }

    def _scopes(self) -> dict[str, Any]:
        scopes = [
            {"value": value, "description": description} if description else {"value": value}
            for value, description in self.permissions.items()
        ]
        return {"scopes": scopes} if scopes else {}

    def _access_control(self) -> dict[str, Any]:
        rbac = {"enforce_policies": True} if self.rbac else {}
        dialect = {} if self.dialect == "access_token" else {"token_dialect": self.dialect}
        return {**rbac, **dialect}


def permission_table(permissions: Mapping[str, str] | Iterable[str]) -> Mapping[str, str]:
    """Permissions with their descriptions, read-only, from a mapping or from names alone.

    Raises TenantError for one string (its letters are not meant) and for a name that is there twice.
    """
    if isinstance(permissions, str):
        raise TenantError(Rule.PERMISSION_LIST, permissions)
    if isinstance(permissions, Mapping):
        return MappingProxyType(dict(permissions))
    table: dict[str, str] = {}
    for value in permissions:
        if value in table:
            raise TenantError(Rule.PERMISSION_TWICE, value)
        table[value] = ""
    return MappingProxyType(table)


def _identifier(api: Api) -> None:
    check_text(api.identifier)
    low, high = IDENTIFIER_LENGTH
    if not low <= len(api.identifier) <= high:
        raise TenantError(Rule.IDENTIFIER_LENGTH, api.identifier, IDENTIFIER_LENGTH)


def _name(api: Api) -> None:
    # The Dashboard insists on a name; the Management API does not.
    if api.name is not None:
        check_name(api.name)


def _profile(api: Api) -> None:
    if api.profile not in get_args(Profile):
        raise TenantError(Rule.PROFILE, api.profile, get_args(Profile))


def _signing_algorithm(api: Api) -> None:
    if api.signing_algorithm not in get_args(SigningAlgorithm):
        raise TenantError(Rule.SIGNING_ALGORITHM, api.signing_algorithm, get_args(SigningAlgorithm))


def _signing_secret(api: Api) -> None:
    if api.signing_secret is None:
        return
    if api.signing_algorithm != "HS256":
        raise TenantError(Rule.SIGNING_SECRET_UNUSED, api.signing_algorithm)
    if not is_text(api.signing_secret):
        raise TenantError(Rule.TEXT)  # without the value: it is a secret
    if len(api.signing_secret) < SIGNING_SECRET_LENGTH:
        raise TenantError(Rule.SIGNING_SECRET_LENGTH, len(api.signing_secret), SIGNING_SECRET_LENGTH)


def _token_lifetime(api: Api) -> None:
    low, high = TOKEN_LIFETIME
    # bool is an int in Python, and True is no number of seconds.
    if type(api.token_lifetime) is not int or not low <= api.token_lifetime <= high:
        raise TenantError(Rule.TOKEN_LIFETIME, api.token_lifetime, TOKEN_LIFETIME)


def _permissions_in_token(api: Api) -> None:
    if api.permissions_in_token and not api.rbac:
        raise TenantError(Rule.PERMISSIONS_NEED_RBAC)


def _permissions(api: Api) -> None:
    if len(api.permissions) > PERMISSIONS:
        raise TenantError(Rule.PERMISSIONS_COUNT, len(api.permissions), PERMISSIONS)
    for value, description in api.permissions.items():
        _permission(value)
        check_text(description)
        if len(description) > DESCRIPTION_LENGTH:
            raise TenantError(Rule.DESCRIPTION_LENGTH, description, DESCRIPTION_LENGTH)


def _permission(value: str) -> None:
    check_text(value)
    low, high = PERMISSION_LENGTH
    if not low <= len(value) <= high:
        raise TenantError(Rule.PERMISSION_LENGTH, value, PERMISSION_LENGTH)
    if not PERMISSION.fullmatch(value):
        raise TenantError(Rule.PERMISSION_CHARACTERS, value)
    if value in RESERVED_PERMISSIONS:
        raise TenantError(Rule.PERMISSION_RESERVED, value)


CHECKS: tuple[Callable[[Api], None], ...] = (
    _identifier,
    _name,
    _profile,
    _signing_algorithm,
    _signing_secret,
    _token_lifetime,
    _permissions_in_token,
    _permissions,
)
