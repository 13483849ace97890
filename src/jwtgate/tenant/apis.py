"""A registered API, and the rules that its settings keep."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from .applications import Application
from .encryption import TokenEncryption, read_encryption
from .errors import Rule, TenantError
from .names import check_name, check_text, is_text
from .possession import ProofOfPossession, read_possession

Profile = Literal["auth0", "rfc9068"]
SigningAlgorithm = Literal["RS256", "RS512", "PS256", "HS256"]
UserAccess = Literal["allow_all", "require_client_grant", "deny_all"]
ClientAccess = Literal["require_client_grant", "deny_all"]

IDENTIFIER_LENGTH = (1, 600)  # characters
PERMISSION_LENGTH = (1, 280)  # characters
DESCRIPTION_LENGTH = 500  # characters
PERMISSIONS = 1000  # per API
SIGNING_SECRET_LENGTH = 16  # characters, at least
TOKEN_LIFETIME = (1, 2_592_000)  # seconds: up to 30 days
WEB_TOKEN_LIFETIME = 86_400  # seconds, of the implicit flow's tokens unless set; never above the token lifetime

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
    """An API with the settings of its Dashboard page, as they were when it was handed out.

    `Tenant.rename` and `Tenant.update_api` hand out another; any of them stands for the same API. Identifier and
    signing algorithm never change.

    id: 24 hexadecimal digits, made by the tenant.
    identifier: the `audience` of a token request and the `aud` of its tokens; exact, trailing slash included.
    signing_secret: text of at least 16 characters for HS256, else None; its UTF-8 bytes sign.
    token_lifetime: seconds, 1 to 2,592,000. A real tenant takes 0 as well; a token that has expired when it
        is issued serves nobody, so here it is a mistake. (`Tenant.sign` makes expired tokens.)
    web_token_lifetime: seconds, for tokens of the implicit flow; at most token_lifetime.
    permissions: value to description; an empty description is none.
    skip_consent: users are not asked to agree. A real tenant asks them all the same when the application's
        callback is on localhost; here, where every callback may be, the setting acts.
    offline_access: applications may ask for refresh tokens.
    user_access: which applications may have tokens for their users: all of them, those with a grant for users,
        or none. client_access: which may have tokens in their own name.
    is_system: the Management API that every tenant holds.
    test_application: made with the API and authorised for it, for none of its permissions.
    proof_of_possession: whether its tokens are bound to who asked for them; None: they are not.
    token_encryption: with which key its tokens are encrypted; None: they are only signed.

    Raises TenantError for the first rule that is broken.
    """

    id: str
    identifier: str
    name: str | None
    profile: Profile
    signing_algorithm: SigningAlgorithm
    signing_secret: str | None = field(repr=False)
    token_lifetime: int
    web_token_lifetime: int
    rbac: bool
    permissions_in_token: bool
    permissions: Mapping[str, str] = field(hash=False)
    skip_consent: bool
    offline_access: bool
    user_access: UserAccess
    client_access: ClientAccess
    is_system: bool
    test_application: Application
    proof_of_possession: ProofOfPossession | None = None
    token_encryption: TokenEncryption | None = None

    def __post_init__(self) -> None:
        for check in CHECKS:
            check(self)

    @property
    def dialect(self) -> str:
        """One of the four token dialects: profile, and whether permissions are in the token."""
        return DIALECTS[self.profile, self.permissions_in_token]

    @property
    def is_open(self) -> bool:
        """Whether any user can have a token with any of its permissions, if only their application asks for it."""
        return self.user_access == "allow_all" and not self.rbac

    def resource_server(self) -> dict[str, Any]:
        """This API as the Management API's JSON object; as there, settings that were never set are absent.

        The signing secret is not in it: see `signing_secret`. Of an encryption key there is its thumbprint.
        """
        named = {} if self.name is None else {"name": self.name}
        return {
            "id": self.id,
            **named,
            "identifier": self.identifier,
            **({"is_system": True} if self.is_system else {}),
            "allow_offline_access": self.offline_access,
            "skip_consent_for_verifiable_first_party_clients": self.skip_consent,
            "subject_type_authorization": {
                "client": {"policy": self.client_access},
                "user": {"policy": self.user_access},
            },
            "token_lifetime": self.token_lifetime,
            "token_lifetime_for_web": self.web_token_lifetime,
            "signing_alg": self.signing_algorithm,
            **self._scopes(),
            **self._access_control(),
            **self._protection(),
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

    def _protection(self) -> dict[str, Any]:
        settings = {"token_encryption": self.token_encryption, "proof_of_possession": self.proof_of_possession}
        return {name: setting.resource_server() for name, setting in settings.items() if setting is not None}


# What a system API can be told (a real tenant takes these and no more).
SYSTEM_SETTINGS = frozenset({"token_lifetime", "web_token_lifetime", "skip_consent", "proof_of_possession"})


def changed(api: Api, changes: Mapping[str, Any]) -> Api:
    """This API with other settings; those that are None stay as they were, and False switches one off.

    What a change rules out goes with it: a lower token lifetime lowers that of the implicit flow, and without
    RBAC there are no permissions in the token. Raises TenantError for a setting that breaks its rule.
    """
    settings = {name: value for name, value in changes.items() if value is not None}
    if api.is_system and (refused := settings.keys() - SYSTEM_SETTINGS):
        raise TenantError(Rule.SYSTEM_API, min(refused))
    if "permissions" in settings:
        settings["permissions"] = permission_table(settings["permissions"])
    if "proof_of_possession" in settings:
        settings["proof_of_possession"] = read_possession(settings["proof_of_possession"])
    if "token_encryption" in settings:
        settings["token_encryption"] = read_encryption(settings["token_encryption"])
    if settings.get("rbac") is False:
        settings.setdefault("permissions_in_token", False)
    if "token_lifetime" in settings:
        check_lifetime(settings["token_lifetime"])
        settings.setdefault("web_token_lifetime", min(api.web_token_lifetime, settings["token_lifetime"]))
    return replace(api, **settings)


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
    check_lifetime(api.token_lifetime)


def check_lifetime(seconds: object) -> None:
    """Raises TenantError for what cannot be the lifetime of a token."""
    if not _is_within(seconds, TOKEN_LIFETIME):
        raise TenantError(Rule.TOKEN_LIFETIME, seconds, TOKEN_LIFETIME)


def _web_token_lifetime(api: Api) -> None:
    limit = (TOKEN_LIFETIME[0], api.token_lifetime)
    if not _is_within(api.web_token_lifetime, limit):
        raise TenantError(Rule.WEB_TOKEN_LIFETIME, api.web_token_lifetime, limit)


def _is_within(seconds: object, limit: tuple[int, int]) -> bool:
    # bool is an int in Python, and True is no number of seconds.
    return type(seconds) is int and limit[0] <= seconds <= limit[1]


def _access(api: Api) -> None:
    if api.user_access not in get_args(UserAccess):
        raise TenantError(Rule.USER_ACCESS, api.user_access, get_args(UserAccess))
    if api.client_access not in get_args(ClientAccess):
        raise TenantError(Rule.CLIENT_ACCESS, api.client_access, get_args(ClientAccess))


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
    _web_token_lifetime,
    _access,
    _permissions_in_token,
    _permissions,
)
