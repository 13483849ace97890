"""What is registered at a tenant: APIs, applications, users, roles, organizations, and who was granted what."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, overload

from . import identifiers
from .apis import (
    WEB_TOKEN_LIFETIME,
    Api,
    ClientAccess,
    Profile,
    SigningAlgorithm,
    UserAccess,
    changed,
    check_lifetime,
    permission_table,
)
from .applications import (
    Application,
    ApplicationKind,
    ClientGrant,
    GrantType,
    OrganizationUsage,
    SubjectType,
    TokenEndpointAuth,
    callback_urls,
    granted_permissions,
    kind_of_application,
)
from .encryption import EncryptionSetting, read_encryption
from .errors import OpenPermissionsWarning, Rule, TenantError
from .management import management_api
from .names import NAME_LENGTH, check_name, check_text
from .people import Organization, Role, User, with_permissions
from .possession import PossessionSetting, read_possession
from .registry import Keeper, Registry
from .scopes import held_permissions

logger: logging.Logger = logging.getLogger("jwtgate.tenant")


class Directory:
    """The half of a tenant that is told who and what there is; every rule of it is kept here.

    issuer: asked for the issuer, after which the Management API is called. keeper: keeps what is registered.
    """

    def __init__(self, issuer: Callable[[], str], keeper: Keeper | None) -> None:
        self._registry = Registry(issuer, keeper)
        if not any(api.is_system for api in self._registry.apis()):
            explorer = _application("API Explorer Application")
            api = management_api(issuer(), explorer)
            self._registry.add_api(api, _grant(explorer, api, ()))

    # What there is, in the order in which it came

    @property
    def apis(self) -> tuple[Api, ...]:
        """All APIs as they are now, the Management API too."""
        return tuple(self._registry.apis())

    @property
    def applications(self) -> tuple[Application, ...]:
        """All applications, those made with the APIs too."""
        return tuple(self._registry.applications())

    @property
    def grants(self) -> tuple[ClientGrant, ...]:
        return tuple(self._registry.grants())

    @property
    def users(self) -> tuple[User, ...]:
        return tuple(self._registry.users())

    @property
    def roles(self) -> tuple[Role, ...]:
        return tuple(self._registry.roles())

    @property
    def organizations(self) -> tuple[Organization, ...]:
        return tuple(self._registry.organizations())

    @property
    def management_api(self) -> Api:
        """The API that every tenant holds: `api/v2/` below the issuer. Its endpoints are not served."""
        return next(api for api in self._registry.apis() if api.is_system)

    # APIs

    def register_api(
        self,
        identifier: str,
        *,
        name: str | None = None,
        profile: Profile = "auth0",
        signing_algorithm: SigningAlgorithm = "RS256",
        signing_secret: str | None = None,
        token_lifetime: int = 86_400,
        web_token_lifetime: int | None = None,
        rbac: bool = False,
        permissions_in_token: bool = False,
        permissions: Mapping[str, str] | Iterable[str] = (),
        skip_consent: bool = False,
        offline_access: bool = False,
        user_access: UserAccess = "allow_all",
        client_access: ClientAccess = "require_client_grant",
        proof_of_possession: PossessionSetting = None,
        token_encryption: EncryptionSetting = None,
    ) -> Api:
        """A new API, with a test application that is authorised for it (and for none of its permissions).

        The settings are those of the Dashboard; see `Api` for units and limits. An HS256 API without a
        `signing_secret` gets a random one. `permissions`: value to description, or values alone.
        `web_token_lifetime`: 86,400 s unless given, or less where the token lifetime is less.
        `proof_of_possession`, `token_encryption`: a `ProofOfPossession` and a `TokenEncryption`, or the Management
        API's JSON objects: `{"mechanism": "dpop", "required": True}`, and `{"encryption_key": {"alg": "RSA-OAEP-256",
        "kid": "key-1", "pem": "-----BEGIN PUBLIC KEY-----…"}}`.

        Raises TenantError for a setting that breaks its rule, and for an identifier that is taken; two
        identifiers that differ by a slash, or by case, are two APIs. An OpenPermissionsWarning says that users of
        a single-page or native application can get whatever they ask for: see `rbac`.
        """
        check_text(identifier)
        if name is not None:
            check_name(name)
        check_lifetime(token_lifetime)
        if signing_secret is None and signing_algorithm == "HS256":
            signing_secret = identifiers.new_secret()
        api = Api(
            id=identifiers.new_api_id(),
            identifier=identifier,
            name=name,
            profile=profile,
            signing_algorithm=signing_algorithm,
            signing_secret=signing_secret,
            token_lifetime=token_lifetime,
            web_token_lifetime=(
                min(WEB_TOKEN_LIFETIME, token_lifetime) if web_token_lifetime is None else web_token_lifetime
            ),
            rbac=rbac,
            permissions_in_token=permissions_in_token,
            permissions=permission_table(permissions),
            skip_consent=skip_consent,
            offline_access=offline_access,
            user_access=user_access,
            client_access=client_access,
            proof_of_possession=read_possession(proof_of_possession),
            token_encryption=read_encryption(token_encryption),
            is_system=False,
            test_application=_application(_test_name(name, identifier)),
        )
        self._registry.add_api(api, _grant(api.test_application, api, ()))
        self._warn_where_open([api], self._registry.applications())
        return api

    def rename(self, api: Api | str, name: str) -> Api:
        """The API under another name: of its general settings, the only one that changes.

        Raises TenantError for a name that breaks its rule, and for the Management API.
        """
        check_name(name)
        return self._registry.alter_api(self._own_api(api).id, lambda old: changed(old, {"name": name}))

    def update_api(
        self,
        api: Api | str,
        *,
        profile: Profile | None = None,
        token_lifetime: int | None = None,
        web_token_lifetime: int | None = None,
        rbac: bool | None = None,
        permissions_in_token: bool | None = None,
        permissions: Mapping[str, str] | Iterable[str] | None = None,
        skip_consent: bool | None = None,
        offline_access: bool | None = None,
        user_access: UserAccess | None = None,
        client_access: ClientAccess | None = None,
        proof_of_possession: PossessionSetting = None,
        token_encryption: EncryptionSetting = None,
    ) -> Api:
        """The API with other access settings; those not given stay. Identifier and algorithm never change.

        permissions: the whole list anew; who held one that is gone has it no longer. A lower `token_lifetime`
        takes a longer `web_token_lifetime` with it, `rbac=False` takes `permissions_in_token`. Tokens that were
        issued stay as they are.
        proof_of_possession, token_encryption: as for `register_api`; False switches it off. Another encryption key
        takes the place of the one before: from then on the API must be able to open tokens with either.

        Raises TenantError for a setting that breaks its rule, and for what the Management API cannot be told.
        Warns as `register_api` does.
        """
        changes = {
            "profile": profile,
            "token_lifetime": token_lifetime,
            "web_token_lifetime": web_token_lifetime,
            "rbac": rbac,
            "permissions_in_token": permissions_in_token,
            "permissions": permissions,
            "skip_consent": skip_consent,
            "offline_access": offline_access,
            "user_access": user_access,
            "client_access": client_access,
            "proof_of_possession": proof_of_possession,
            "token_encryption": token_encryption,
        }
        updated = self._registry.alter_api(self._own_api(api).id, lambda old: changed(old, changes))
        if rbac is False or user_access is not None:
            self._warn_where_open([updated], self._registry.applications())
        return updated

    # Applications

    def create_application(
        self,
        name: str,
        *,
        kind: ApplicationKind = "machine_to_machine",
        token_endpoint_auth: TokenEndpointAuth | None = None,
        grant_types: Iterable[GrantType] | None = None,
        callbacks: Iterable[str] = (),
        organization_usage: OrganizationUsage = "deny",
        rotate_refresh_tokens: bool | None = None,
        require_proof_of_possession: bool = False,
        client_id: str | None = None,
        client_secret: str | None = None,
    ) -> Application:
        """A new application; it is authorised for nothing yet. See `Application` for what each setting means.

        token_endpoint_auth: the body of the request unless given; "none", and nothing else, for single-page and
            native applications.
        grant_types: client_credentials for machine-to-machine; authorization_code and refresh_token for the
            others, and client_credentials for regular web applications too; `password` and `implicit` where they
            are given. An empty list means that the token endpoint refuses it every grant.
        callbacks: where `/authorize` may send a user back to.
        rotate_refresh_tokens: on for single-page and native applications unless given.
        require_proof_of_possession: "Require Token Sender-Constraining": it gets no token that is bound to nobody.
        client_id, client_secret: random unless given.

        Raises TenantError for a setting that breaks its rule. Warns as `register_api` does.
        """
        application = _application(
            name,
            kind=kind,
            token_endpoint_auth=token_endpoint_auth,
            grant_types=grant_types,
            callbacks=callbacks,
            organization_usage=organization_usage,
            rotate_refresh_tokens=rotate_refresh_tokens,
            require_proof_of_possession=require_proof_of_possession,
            client_id=client_id,
            client_secret=client_secret,
        )
        self._registry.add_application(application)
        self._warn_where_open(self._registry.apis(), [application])
        return application

    def update_application(
        self,
        application: Application,
        *,
        name: str | None = None,
        client_secret: str | None = None,
        token_endpoint_auth: TokenEndpointAuth | None = None,
        grant_types: Iterable[GrantType] | None = None,
        callbacks: Iterable[str] | None = None,
        organization_usage: OrganizationUsage | None = None,
        rotate_refresh_tokens: bool | None = None,
        require_proof_of_possession: bool | None = None,
    ) -> Application:
        """The application with other settings; those not given stay. Kind and client id never change.

        Raises TenantError for a setting that breaks its rule.
        """
        changes = _given(
            name=name,
            client_secret=client_secret,
            token_endpoint_auth=token_endpoint_auth,
            grant_types=None if grant_types is None else tuple(grant_types),
            callbacks=None if callbacks is None else callback_urls(callbacks),
            organization_usage=organization_usage,
            rotate_refresh_tokens=rotate_refresh_tokens,
            require_proof_of_possession=require_proof_of_possession,
        )
        return self._registry.alter_application(
            self._own_application(application).client_id, lambda old: replace(old, **changes)
        )

    def authorize(
        self,
        application: Application,
        api: Api | str,
        permissions: Iterable[str] = (),
        *,
        subject_type: SubjectType = "client",
        organization_usage: OrganizationUsage = "deny",
        organizations: Iterable[Organization] | None = (),
    ) -> ClientGrant:
        """The application may have tokens for this API, with these permissions; an older grant is replaced.

        subject_type: "client" for tokens in its own name; "user" for those of its users, where the API's
            `user_access` is "require_client_grant".
        organization_usage: whether its own tokens may, or must, be for an organization.
        organizations: for which ones; None: for any.

        Raises TenantError for a permission that the API does not define, and for what belongs to another tenant.
        """
        api = self._own_api(api)
        named = None if organizations is None else frozenset(self._own_organization(each).id for each in organizations)
        grant = _grant(
            self._own_application(application),
            api,
            permissions,
            subject_type=subject_type,
            organization_usage=organization_usage,
            organizations=named,
        )
        self._registry.put_grant(grant)
        return grant

    def withdraw(self, application: Application, api: Api | str, *, subject_type: SubjectType = "client") -> None:
        """No more tokens for this API; those that were issued live until they expire.

        Raises TenantError when the application was not authorised.
        """
        self._registry.drop_grant(self._own_application(application).client_id, self._own_api(api), subject_type)

    # People

    def create_user(
        self,
        email: str,
        *,
        name: str | None = None,
        password: str | None = None,
        user_id: str | None = None,
    ) -> User:
        """A new user, without permissions and roles.

        name: the e-mail address unless given. password, user_id: random unless given.
        Raises TenantError for a setting that breaks its rule, and for an address or id that is taken.
        """
        user = User(
            user_id=identifiers.new_user_id() if user_id is None else user_id,
            email=email,
            name=email if name is None else name,
            password=identifiers.new_secret() if password is None else password,
        )
        self._registry.add_user(user)
        return user

    def update_user(self, user: User, *, name: str | None = None, password: str | None = None) -> User:
        """The user under another name, with another password; what is not given stays.

        Raises TenantError for a setting that breaks its rule.
        """
        changes = _given(name=name, password=password)
        return self._registry.alter_user(self._own_user(user).user_id, lambda old: replace(old, **changes))

    def create_role(self, name: str, *, description: str = "", role_id: str | None = None) -> Role:
        """A new role, without permissions: see `assign_permissions`.

        Raises TenantError for a setting that breaks its rule, and for a name or id that is taken.
        """
        role = Role(id=identifiers.new_role_id() if role_id is None else role_id, name=name, description=description)
        self._registry.add_role(role)
        return role

    def update_role(self, role: Role, *, description: str | None = None) -> Role:
        """The role with another description. Raises TenantError for one that breaks its rule."""
        changes = _given(description=description)
        return self._registry.alter_role(self._own_role(role).id, lambda old: replace(old, **changes))

    @overload
    def assign_permissions(self, holder: User, api: Api | str, permissions: Iterable[str]) -> User: ...

    @overload
    def assign_permissions(self, holder: Role, api: Api | str, permissions: Iterable[str]) -> Role: ...

    def assign_permissions(self, holder: User | Role, api: Api | str, permissions: Iterable[str]) -> User | Role:
        """What a user directly, or everybody with a role, may do with this API; an older list is replaced.

        It counts where the API's `rbac` is on. Raises TenantError for a permission that the API does not define.
        """
        api = self._own_api(api)
        wanted = granted_permissions(permissions, api.permissions)
        if isinstance(holder, Role):
            return self._registry.alter_role(
                self._own_role(holder).id,
                lambda role: replace(role, permissions=with_permissions(role.permissions, api.id, wanted)),
            )
        return self._registry.alter_user(
            self._own_user(holder).user_id,
            lambda user: replace(user, permissions=with_permissions(user.permissions, api.id, wanted)),
        )

    def assign_role(self, user: User, role: Role) -> User:
        """The user has this role too."""
        role_id = self._own_role(role).id
        return self._registry.alter_user(
            self._own_user(user).user_id, lambda old: replace(old, roles=tuple(dict.fromkeys((*old.roles, role_id))))
        )

    def remove_role(self, user: User, role: Role) -> User:
        """The user has this role no longer. Raises TenantError when they had not."""
        role_id = self._own_role(role).id

        def without(old: User) -> User:
            if role_id not in old.roles:
                raise TenantError(Rule.ROLE_NOT_HELD, role.name)
            return replace(old, roles=tuple(held for held in old.roles if held != role_id))

        return self._registry.alter_user(self._own_user(user).user_id, without)

    def create_organization(
        self, name: str, *, display_name: str | None = None, organization_id: str | None = None
    ) -> Organization:
        """A new organization, without members.

        Raises TenantError for a setting that breaks its rule, and for a name or id that is taken.
        """
        organization = Organization(
            id=identifiers.new_organization_id() if organization_id is None else organization_id,
            name=name,
            display_name=name if display_name is None else display_name,
        )
        self._registry.add_organization(organization)
        return organization

    def update_organization(self, organization: Organization, *, display_name: str | None = None) -> Organization:
        """The organization under another display name. Raises TenantError for one that breaks its rule."""
        changes = _given(display_name=display_name)
        return self._registry.alter_organization(
            self._own_organization(organization).id, lambda old: replace(old, **changes)
        )

    def add_member(self, organization: Organization, user: User, roles: Iterable[Role] = ()) -> Organization:
        """The user belongs to the organization, and has these roles in it alone; an older list is replaced."""
        user_id = self._own_user(user).user_id
        role_ids = tuple(dict.fromkeys(self._own_role(role).id for role in roles))
        return self._registry.alter_organization(
            self._own_organization(organization).id,
            lambda old: replace(old, members={**old.members, user_id: role_ids}),
        )

    def remove_member(self, organization: Organization, user: User) -> Organization:
        """The user belongs to the organization no longer. Raises TenantError when they did not."""
        user_id = self._own_user(user).user_id

        def without(old: Organization) -> Organization:
            if user_id not in old.members:
                raise TenantError(Rule.MEMBER_UNKNOWN, user.email)
            return replace(old, members={held: roles for held, roles in old.members.items() if held != user_id})

        return self._registry.alter_organization(self._own_organization(organization).id, without)

    def permissions_of(self, user: User, api: Api | str, organization: Organization | None = None) -> tuple[str, ...]:
        """What a user may do with this API, directly and through roles (also those in this organization).

        In the order in which the API defines them.
        """
        within = None if organization is None else self._own_organization(organization)
        return held_permissions(self._registry, self._own_user(user), self._own_api(api), within)

    # What is this tenant's own, as it is now

    def _own_api(self, api: Api | str) -> Api:
        identifier = api if isinstance(api, str) else api.identifier
        own = self._registry.api(identifier)
        if isinstance(api, Api):
            own = next((each for each in self._registry.apis() if each.id == api.id), None)
        if own is None:
            raise TenantError(Rule.API_UNKNOWN, identifier)
        return own

    def _own_application(self, application: Application) -> Application:
        own = self._registry.application(application.client_id)
        if own is None:
            raise TenantError(Rule.APPLICATION_UNKNOWN, application.name)
        return own

    def _own_user(self, user: User) -> User:
        own = self._registry.user(user.user_id)
        if own is None:
            raise TenantError(Rule.USER_UNKNOWN, user.email)
        return own

    def _own_role(self, role: Role) -> Role:
        own = self._registry.role(role.id)
        if own is None:
            raise TenantError(Rule.ROLE_UNKNOWN, role.name)
        return own

    def _own_organization(self, organization: Organization) -> Organization:
        own = self._registry.organization(organization.id)
        if own is None:
            raise TenantError(Rule.ORGANIZATION_UNKNOWN, organization.name)
        return own

    def _warn_where_open(self, apis: Iterable[Api], applications: Iterable[Application]) -> None:
        """Once for each API whose permissions any user of a public application can have."""
        public = [application.name for application in applications if application.is_public]
        for api in apis if public else ():
            if api.is_open:
                logger.warning("%s", _openness(api, public))
                warnings.warn(_openness(api, public), OpenPermissionsWarning, stacklevel=3)


def _openness(api: Api, public: Iterable[str]) -> str:
    names = ", ".join(ascii(name) for name in public)
    return (
        f"RBAC is off for {api.identifier!a}: any user of {names} can get a token for any permission of this API,"
        " if only the application asks for it; register it with rbac=True, or with user_access"
        ' "require_client_grant" or "deny_all"'
    )


def _application(
    name: str,
    *,
    kind: ApplicationKind = "machine_to_machine",
    token_endpoint_auth: TokenEndpointAuth | None = None,
    grant_types: Iterable[GrantType] | None = None,
    callbacks: Iterable[str] = (),
    organization_usage: OrganizationUsage = "deny",
    rotate_refresh_tokens: bool | None = None,
    require_proof_of_possession: bool = False,
    client_id: str | None = None,
    client_secret: str | None = None,
) -> Application:
    usual = kind_of_application(kind)
    return Application(
        client_id=identifiers.new_client_id() if client_id is None else client_id,
        client_secret=identifiers.new_secret() if client_secret is None else client_secret,
        name=name,
        kind=kind,
        token_endpoint_auth=usual.auth[0] if token_endpoint_auth is None else token_endpoint_auth,
        grant_types=usual.grant_types if grant_types is None else tuple(grant_types),
        callbacks=callback_urls(callbacks),
        organization_usage=organization_usage,
        rotate_refresh_tokens=usual.rotates if rotate_refresh_tokens is None else rotate_refresh_tokens,
        require_proof_of_possession=require_proof_of_possession,
    )


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _test_name(name: str | None, identifier: str) -> str:
    """An identifier may hold what a name may not."""
    shown = identifier.replace("<", "").replace(">", "") if name is None else name
    suffix = " (Test Application)"
    return shown[: NAME_LENGTH[1] - len(suffix)] + suffix


def _grant(
    application: Application,
    api: Api,
    permissions: Iterable[str],
    *,
    subject_type: SubjectType = "client",
    organization_usage: OrganizationUsage = "deny",
    organizations: frozenset[str] | None = frozenset(),
) -> ClientGrant:
    return ClientGrant(
        id=identifiers.new_grant_id(),
        client_id=application.client_id,
        audience=api.identifier,
        api_id=api.id,
        subject_type=subject_type,
        permissions=granted_permissions(permissions, api.permissions),
        organization_usage=organization_usage,
        organizations=organizations,
    )
