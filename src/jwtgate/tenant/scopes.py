"""What an application may have for one of its users: access policy, organization, RBAC, in that order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from .apis import RESERVED_PERMISSIONS, Api
from .applications import Application, OrganizationUsage
from .people import Organization, User
from .refusals import (
    TokenRefused,
    no_user_access,
    not_a_member,
    organization_not_allowed,
    organization_required,
    unknown_organization,
)
from .registry import USERINFO, Registry

OFFLINE_ACCESS = "offline_access"
OPENID_SCOPES = RESERVED_PERMISSIONS - {OFFLINE_ACCESS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an application wants for one of its users.

    api: None for a token that only /userinfo takes. scopes: in the order of the request, each once.
    """

    application: Application
    api: Api | None
    scopes: tuple[str, ...]
    organization: Organization | None


def read_asked(
    registry: Registry,
    application: Application,
    parameters: Mapping[str, str],
    *,
    by_name: bool,
    unknown: Callable[[str], TokenRefused],
) -> Asked:
    """by_name: organizations may be named. unknown: what is said of an audience that nobody registered.

    Raises TokenRefused.
    """
    api = find_api(registry, parameters.get("audience"), unknown)
    if api is not None:
        _check_user_access(registry, application, api)
    organization = find_organization(
        registry, parameters.get("organization"), application.organization_usage, by_name=by_name
    )
    return Asked(
        application=application,
        api=api,
        scopes=scope_names(parameters.get("scope")),
        organization=organization,
    )


def find_api(registry: Registry, audience: str | None, unknown: Callable[[str], TokenRefused]) -> Api | None:
    """None without an audience, and for that of /userinfo, which every tenant has."""
    if audience is None or audience == registry.issuer + USERINFO:
        return None
    api = registry.api(audience)
    if api is None:
        raise unknown(audience)
    return api


def scope_names(scope: str | None) -> tuple[str, ...]:
    """RFC 6749 section 3.3: names are divided by spaces, and by nothing else. Each once, in their order."""
    return tuple(dict.fromkeys(name for name in (scope or "").split(" ") if name))


def find_organization(
    registry: Registry, named: str | None, usage: OrganizationUsage, *, by_name: bool
) -> Organization | None:
    """The organization that a request names. Raises TokenRefused where there must be none, or one."""
    if named is None:
        if usage == "require":
            raise organization_required()
        return None
    if usage == "deny":
        raise organization_not_allowed()
    found = registry.organization(named)
    if found is None and by_name:
        found = next((each for each in registry.organizations() if each.name == named), None)
    if found is None:
        raise unknown_organization(named)
    return found


def as_now(registry: Registry, asked: Asked) -> Asked:
    """The same wish, looked up again: settings of application and API, and an organization's members, may be others.

    Raises TokenRefused where the application may have nothing for its users any more.
    """
    application = registry.own_application(asked.application.client_id)
    api = None if asked.api is None else registry.own_api(asked.api.id)
    if api is not None:
        _check_user_access(registry, application, api)
    organization = None if asked.organization is None else registry.organization(asked.organization.id)
    return replace(asked, application=application, api=api, organization=organization)


def check_member(asked: Asked, user: User) -> None:
    """Raises TokenRefused for a user who does not belong to the organization that was asked for."""
    if asked.organization is not None and user.user_id not in asked.organization.members:
        raise not_a_member(user.user_id, asked.organization.id)


def offered_scopes(registry: Registry, asked: Asked) -> tuple[str, ...]:
    """Which of the scopes that were asked for some user's token could have; what nobody knows is passed over."""
    api = asked.api
    possible = set(OPENID_SCOPES)
    if api is None or api.offline_access:
        possible.add(OFFLINE_ACCESS)
    if api is not None:
        possible |= _open_permissions(registry, asked.application, api)
    return tuple(name for name in asked.scopes if name in possible)


def granted_scopes(registry: Registry, asked: Asked, user: User) -> tuple[str, ...]:
    """Which of them this user's token has: with RBAC, of the API's permissions, those that the user holds."""
    offered, api = offered_scopes(registry, asked), asked.api
    if api is None or not api.rbac:
        return offered
    held = held_permissions(registry, user, api, asked.organization)
    return tuple(name for name in offered if name in held or name not in api.permissions)


def held_permissions(registry: Registry, user: User, api: Api, organization: Organization | None) -> tuple[str, ...]:
    """What the user may do with the API, directly and through roles; in the order in which it defines them."""
    role_ids = [*user.roles, *(() if organization is None else organization.members.get(user.user_id, ()))]
    given = [user.permissions, *(role.permissions for role in registry.roles() if role.id in role_ids)]
    held = {value for permissions in given for value in permissions.get(api.id, ())}
    return tuple(value for value in api.permissions if value in held)


def _open_permissions(registry: Registry, application: Application, api: Api) -> set[str]:
    """What this application may have of the API for its users, whoever they are."""
    if api.user_access != "require_client_grant":
        return set(api.permissions)
    grant = registry.grant(application.client_id, api.id, "user")
    return set() if grant is None else set(api.permissions) & set(grant.permissions)


def _check_user_access(registry: Registry, application: Application, api: Api) -> None:
    if api.user_access == "allow_all":
        return
    if api.user_access == "deny_all":
        raise no_user_access(application.client_id, api.identifier, "the API's user_access is deny_all")
    if registry.grant(application.client_id, api.id, "user") is None:
        raise no_user_access(application.client_id, api.identifier, "it has no grant with subject_type user")
