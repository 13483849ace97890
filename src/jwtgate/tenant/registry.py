"""What a tenant remembers, in memory and with a keeper beyond: APIs, applications, grants, people, refresh tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from .apis import Api
from .applications import Application, ClientGrant, SubjectType
from .errors import Rule, TenantError
from .people import Organization, Role, User
from .signing import KeyKeeper

# Below the issuer, which ends with a slash: two audiences that every tenant has.
MANAGEMENT_API = "api/v2/"
USERINFO = "userinfo"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """What a refresh token stands for.

    token: as the application holds it. family: shared by all that came of the same login.
    api_id: None for tokens that only /userinfo takes. scopes: those granted at the login.
    grant: what the login was. spent: it was rotated, and must not come again.
    jkt: the thumbprint of the key that a public application must prove with it; None: of none.
    """

    token: str = field(repr=False)
    family: str
    client_id: str
    user_id: str
    api_id: str | None
    organization_id: str | None
    scopes: tuple[str, ...]
    grant: Literal["authorization_code", "password"]
    spent: bool = False
    jkt: str | None = None


Record = Api | Application | ClientGrant | User | Role | Organization | RefreshToken
Table = Literal["api", "application", "grant", "user", "role", "organization", "refresh_token"]


@dataclass(frozen=True, slots=True)
class Change:
    """One record is put in the place of the one with the same key; None takes that one away."""

    table: Table
    key: str
    record: Record | None


class Keeper(KeyKeeper, Protocol):
    """Keeps records and keys longer than the process does."""

    def load(self) -> Sequence[Change]:
        """All that was kept, each record once. An API's test application is part of its record too."""
        ...

    def keep(self, changes: Sequence[Change]) -> None:
        """All of them or, with an exception, none. Called by one thread at a time."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """What is kept within is kept at its end or, with an exception, not at all."""
        ...


class Registry:
    """Everything by key; every change is kept before it is seen. May be used by several threads.

    issuer: asked each time for the issuer, from which the Management API has its identifier.
    """

    def __init__(self, issuer: Callable[[], str], keeper: Keeper | None = None) -> None:
        self._issuer = issuer
        self._keeper = keeper
        self._lock = threading.RLock()
        self._apis: dict[str, Api] = {}
        self._applications: dict[str, Application] = {}
        self._grants: dict[str, ClientGrant] = {}
        self._roles: dict[str, Role] = {}
        self._users: dict[str, User] = {}
        self._organizations: dict[str, Organization] = {}
        self._refresh_tokens: dict[str, RefreshToken] = {}
        self._tables: Mapping[Table, dict[str, Any]] = {
            "application": self._applications,
            "api": self._apis,
            "grant": self._grants,
            "role": self._roles,
            "user": self._users,
            "organization": self._organizations,
            "refresh_token": self._refresh_tokens,
        }
        if keeper is not None:
            self._see(keeper.load())

    @property
    def issuer(self) -> str:
        return self._issuer()

    # APIs

    def add_api(self, api: Api, grant: ClientGrant) -> None:
        """An API, its test application and the grant between the two, all at once or not at all.

        Raises TenantError when the identifier is taken; identifiers that differ by a slash are different.
        """
        with self._lock:
            if self.api(api.identifier) is not None:
                raise TenantError(Rule.IDENTIFIER_TAKEN, api.identifier)
            application = api.test_application
            self._change(
                Change("application", application.client_id, application),
                Change("api", api.id, api),
                Change("grant", _grant_key(grant.client_id, api.id, grant.subject_type), grant),
            )

    def alter_api(self, api_id: str, alter: Callable[[Api], Api]) -> Api:
        with self._lock:
            altered = alter(self._called(self._apis[api_id]))
            self._change(Change("api", api_id, altered))
            return altered

    def api(self, identifier: str) -> Api | None:
        return next((api for api in self.apis() if api.identifier == identifier), None)

    def own_api(self, api_id: str) -> Api:
        """The API with this id, which is one of this tenant's, as it is now."""
        with self._lock:
            return self._called(self._apis[api_id])

    def apis(self) -> list[Api]:
        with self._lock:
            return [self._called(api) for api in self._apis.values()]

    def _called(self, api: Api) -> Api:
        """The Management API is called after the issuer, and that may be an address where the tenant is served."""
        return replace(api, identifier=self._issuer() + MANAGEMENT_API) if api.is_system else api

    # Applications and grants

    def add_application(self, application: Application) -> None:
        """Raises TenantError when the client id is taken."""
        with self._lock:
            if application.client_id in self._applications:
                raise TenantError(Rule.CLIENT_ID_TAKEN, application.client_id)
            self._change(Change("application", application.client_id, application))

    def alter_application(self, client_id: str, alter: Callable[[Application], Application]) -> Application:
        """Where it is the test application of an API, there too."""
        with self._lock:
            altered = alter(self._applications[client_id])
            tests = [api for api in self._apis.values() if api.test_application.client_id == client_id]
            self._change(
                Change("application", client_id, altered),
                *(Change("api", api.id, replace(api, test_application=altered)) for api in tests),
            )
            return altered

    def application(self, client_id: str) -> Application | None:
        with self._lock:
            return self._applications.get(client_id)

    def own_application(self, client_id: str) -> Application:
        """The application with this id, which is one of this tenant's, as it is now."""
        with self._lock:
            return self._applications[client_id]

    def applications(self) -> list[Application]:
        with self._lock:
            return list(self._applications.values())

    def put_grant(self, grant: ClientGrant) -> None:
        """A grant for the same subject type between the same two takes the place of the older one."""
        with self._lock:
            self._change(Change("grant", _grant_key(grant.client_id, grant.api_id, grant.subject_type), grant))

    def grant(self, client_id: str, api_id: str, subject_type: SubjectType) -> ClientGrant | None:
        with self._lock:
            return self._grants.get(_grant_key(client_id, api_id, subject_type))

    def grants(self) -> list[ClientGrant]:
        with self._lock:
            return list(self._grants.values())

    def drop_grant(self, client_id: str, api: Api, subject_type: SubjectType) -> None:
        """Raises TenantError when there is none."""
        with self._lock:
            if self.grant(client_id, api.id, subject_type) is None:
                raise TenantError(Rule.GRANT_UNKNOWN, api.identifier)
            self._change(Change("grant", _grant_key(client_id, api.id, subject_type), None))

    # People

    def add_user(self, user: User) -> None:
        """Raises TenantError when the id or the e-mail address is taken, the latter in whatever case."""
        with self._lock:
            if user.user_id in self._users:
                raise TenantError(Rule.USER_ID_TAKEN, user.user_id)
            if self.user_by_email(user.email) is not None:
                raise TenantError(Rule.EMAIL_TAKEN, user.email)
            self._change(Change("user", user.user_id, user))

    def alter_user(self, user_id: str, alter: Callable[[User], User]) -> User:
        with self._lock:
            altered = alter(self._users[user_id])
            self._change(Change("user", user_id, altered))
            return altered

    def user(self, user_id: str) -> User | None:
        with self._lock:
            return self._users.get(user_id)

    def own_user(self, user_id: str) -> User:
        """The user with this id, who is one of this tenant's, as they are now."""
        with self._lock:
            return self._users[user_id]

    def user_by_email(self, email: str) -> User | None:
        wanted = email.casefold()
        return next((user for user in self.users() if user.email.casefold() == wanted), None)

    def users(self) -> list[User]:
        with self._lock:
            return list(self._users.values())

    def add_role(self, role: Role) -> None:
        """Raises TenantError when the name or the id is taken."""
        with self._lock:
            if any(role.id == other.id or role.name == other.name for other in self.roles()):
                raise TenantError(Rule.ROLE_TAKEN, role.name)
            self._change(Change("role", role.id, role))

    def alter_role(self, role_id: str, alter: Callable[[Role], Role]) -> Role:
        with self._lock:
            altered = alter(self._roles[role_id])
            self._change(Change("role", role_id, altered))
            return altered

    def role(self, role_id: str) -> Role | None:
        with self._lock:
            return self._roles.get(role_id)

    def roles(self) -> list[Role]:
        with self._lock:
            return list(self._roles.values())

    def add_organization(self, organization: Organization) -> None:
        """Raises TenantError when the name or the id is taken."""
        with self._lock:
            if any(organization.id == other.id or organization.name == other.name for other in self.organizations()):
                raise TenantError(Rule.ORGANIZATION_TAKEN, organization.name)
            self._change(Change("organization", organization.id, organization))

    def alter_organization(self, organization_id: str, alter: Callable[[Organization], Organization]) -> Organization:
        with self._lock:
            altered = alter(self._organizations[organization_id])
            self._change(Change("organization", organization_id, altered))
            return altered

    def organization(self, organization_id: str) -> Organization | None:
        with self._lock:
            return self._organizations.get(organization_id)

    def organizations(self) -> list[Organization]:
        with self._lock:
            return list(self._organizations.values())

    # Refresh tokens

    def refresh_token(self, token: str) -> RefreshToken | None:
        with self._lock:
            return self._refresh_tokens.get(token)

    def add_refresh_token(self, token: RefreshToken) -> None:
        with self._lock:
            self._change(Change("refresh_token", token.token, token))

    def rotate_refresh_token(self, old: RefreshToken, new: RefreshToken) -> bool:
        """The old one is spent and the new one is there. False when somebody was faster and had spent it."""
        with self._lock:
            held = self.refresh_token(old.token)
            if held is None or held.spent:
                return False
            self._change(
                Change("refresh_token", old.token, replace(held, spent=True)),
                Change("refresh_token", new.token, new),
            )
            return True

    def end_family(self, family: str) -> None:
        """No refresh token that came of this login serves any more."""
        with self._lock:
            ended = [token for token in self._refresh_tokens.values() if token.family == family]
            self._change(*(Change("refresh_token", token.token, None) for token in ended))

    def _change(self, *changes: Change) -> None:
        if self._keeper is not None:
            self._keeper.keep(changes)
        self._see(changes)

    def _see(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.record is None:
                del self._tables[change.table][change.key]
            else:
                self._tables[change.table][change.key] = change.record


def _grant_key(client_id: str, api_id: str, subject_type: SubjectType) -> str:
    return f"{subject_type} {api_id} {client_id}"
