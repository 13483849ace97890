"""Applications that ask for tokens, in their own name or for a user, and what each of them was granted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from .errors import Rule, TenantError
from .names import check_name, check_text

ApplicationKind = Literal["machine_to_machine", "regular_web", "single_page", "native"]
TokenEndpointAuth = Literal["none", "client_secret_post", "client_secret_basic"]
GrantType = Literal["authorization_code", "client_credentials", "implicit", "password", "refresh_token"]
OrganizationUsage = Literal["deny", "allow", "require"]
SubjectType = Literal["client", "user"]

CLIENT_ID_LENGTH = 128  # characters, at most
CLIENT_ID = re.compile(rf"[\x21-\x7E]{{1,{CLIENT_ID_LENGTH}}}")
CALLBACK = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\\#<>\"\x00-\x1F\x7F]+")
# What a browser would run, or open on the user's disk, instead of going there.
FORBIDDEN_SCHEMES = frozenset({"about", "blob", "data", "file", "filesystem", "javascript", "vbscript"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOfApplication:
    """What an application of some kind is unless told otherwise.

    auth: the ways in which the token endpoint may know it, the usual one first.
    app_type: the kind's name in the Management API.
    """

    app_type: str
    auth: tuple[TokenEndpointAuth, ...]
    grant_types: tuple[GrantType, ...]
    rotates: bool


KINDS: Mapping[ApplicationKind, KindOfApplication] = {
    "machine_to_machine": KindOfApplication(
        app_type="non_interactive",
        auth=("client_secret_post", "client_secret_basic"),
        grant_types=("client_credentials",),
        rotates=False,
    ),
    "regular_web": KindOfApplication(
        app_type="regular_web",
        auth=("client_secret_post", "client_secret_basic"),
        grant_types=("authorization_code", "client_credentials", "refresh_token"),
        rotates=False,
    ),
    # Whoever holds the application holds all that is in it: no secret proves anything. RFC 9700 section 2.2.2:
    # the refresh tokens of such clients are bound to a sender, or rotated.
    "single_page": KindOfApplication(
        app_type="spa", auth=("none",), grant_types=("authorization_code", "refresh_token"), rotates=True
    ),
    "native": KindOfApplication(
        app_type="native", auth=("none",), grant_types=("authorization_code", "refresh_token"), rotates=True
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application of one of the four kinds.

    client_id: 32 letters and digits, unless given. client_secret: 64 characters, unless given; single-page and
        native applications have one too, as in a real tenant, and nothing ever asks for it.
    token_endpoint_auth: the one place in which the token endpoint takes this application's secret, the body
        of the request or HTTP Basic; a secret in another place is refused. "none": no secret is taken.
    grant_types: the grants that this application may use.
    callbacks: the URLs to which a user may be sent back, character by character.
    organization_usage: whether its users may, or must, log in to an organization.
    rotate_refresh_tokens: each refresh token serves once, and is answered with the next; one that comes again
        ends all that came of the same login.
    require_proof_of_possession: it gets no token that is not bound to a key or a certificate of its own.

    Raises TenantError for the first rule that is broken.
    """

    client_id: str
    client_secret: str = field(repr=False)
    name: str
    kind: ApplicationKind = "machine_to_machine"
    token_endpoint_auth: TokenEndpointAuth
    grant_types: tuple[GrantType, ...]
    callbacks: tuple[str, ...] = ()
    organization_usage: OrganizationUsage = "deny"
    rotate_refresh_tokens: bool = False
    require_proof_of_possession: bool = False

    def __post_init__(self) -> None:
        for check in CHECKS:
            check(self)

    @property
    def subject(self) -> str:
        """The `sub` of a token that this application gets in its own name."""
        return f"{self.client_id}@clients"

    @property
    def is_public(self) -> bool:
        """It runs in the user's hands: it can keep no secret, and every user may change it."""
        return self.token_endpoint_auth == "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGrant:
    """An application is authorised for an API, with some of its permissions or none.

    id: `cgr_` and 16 letters and digits. audience: the API's identifier; api_id: its id.
    subject_type: "client", for tokens in the application's own name, or "user", for those of its users.
    permissions: in the order in which they were granted.
    organization_usage: whether a token in its own name may, or must, be for an organization.
    organizations: the ids of those organizations; None: any of the tenant's.
    """

    id: str
    client_id: str
    audience: str
    api_id: str
    subject_type: SubjectType
    permissions: tuple[str, ...]
    organization_usage: OrganizationUsage = "deny"
    organizations: frozenset[str] | None = frozenset()

    def __post_init__(self) -> None:
        if self.subject_type not in get_args(SubjectType):
            raise TenantError(Rule.SUBJECT_TYPE, self.subject_type, get_args(SubjectType))
        if self.organization_usage not in get_args(OrganizationUsage):
            raise TenantError(Rule.ORGANIZATION_USAGE, self.organization_usage, get_args(OrganizationUsage))


def kind_of_application(kind: ApplicationKind) -> KindOfApplication:
    """Raises TenantError for a kind that there is not."""
    found = KINDS.get(kind)
    if found is None:
        raise TenantError(Rule.APPLICATION_KIND, kind, tuple(KINDS))
    return found


def granted_permissions(wanted: Iterable[str], defined: Mapping[str, str]) -> tuple[str, ...]:
    """What a grant holds: each permission once. Raises TenantError for one that the API does not define."""
    if isinstance(wanted, str):
        raise TenantError(Rule.PERMISSION_LIST, wanted)
    permissions = tuple(dict.fromkeys(wanted))
    for permission in permissions:
        if permission not in defined:
            raise TenantError(Rule.PERMISSION_UNKNOWN, permission)
    return permissions


def callback_urls(urls: Iterable[str]) -> tuple[str, ...]:
    """Raises TenantError for one string: its letters are not meant."""
    if isinstance(urls, str):
        raise TenantError(Rule.CALLBACK_LIST, urls)
    return tuple(dict.fromkeys(urls))


def _identity(application: Application) -> None:
    check_name(application.name)
    check_text(application.client_id)
    if not CLIENT_ID.fullmatch(application.client_id):
        raise TenantError(Rule.CLIENT_ID, application.client_id, CLIENT_ID_LENGTH)
    if not isinstance(application.client_secret, str) or not application.client_secret:
        raise TenantError(Rule.CLIENT_SECRET)


def _token_endpoint_auth(application: Application) -> None:
    possible = kind_of_application(application.kind).auth
    if application.token_endpoint_auth not in possible:
        raise TenantError(Rule.TOKEN_ENDPOINT_AUTH, application.token_endpoint_auth, possible)


def _grant_types(application: Application) -> None:
    # RFC 6749 section 4.4: client credentials are for confidential clients alone.
    possible = [kind for kind in get_args(GrantType) if kind != "client_credentials" or not application.is_public]
    for grant_type in application.grant_types:
        if grant_type not in possible:
            raise TenantError(Rule.GRANT_TYPE, grant_type, tuple(possible))


def _callbacks(application: Application) -> None:
    for url in application.callbacks:
        check_text(url)
        # RFC 6749 section 3.1.2: an absolute URI without fragment.
        if not CALLBACK.fullmatch(url) or not _goes_somewhere(url):
            raise TenantError(Rule.CALLBACK, url)


def _goes_somewhere(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # such as an IPv6 address without its other bracket
        return False
    return parts.scheme not in FORBIDDEN_SCHEMES and (parts.scheme not in ("http", "https") or bool(parts.hostname))


def _organization_usage(application: Application) -> None:
    if application.organization_usage not in get_args(OrganizationUsage):
        raise TenantError(Rule.ORGANIZATION_USAGE, application.organization_usage, get_args(OrganizationUsage))


CHECKS: tuple[Callable[[Application], None], ...] = (
    _identity,
    _token_endpoint_auth,
    _grant_types,
    _callbacks,
    _organization_usage,
)
