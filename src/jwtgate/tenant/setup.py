"""A tenant from a setup: its APIs, applications, grants, roles, users and organizations, all at once or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import Rule, SetupError, Steps, TenantError
from .setup_file import Written

if TYPE_CHECKING:
    from .apis import Api
    from .applications import Application
    from .people import Organization, Role, User
    from .tenant import Tenant

T = TypeVar("T")
Read = Callable[["Spot"], Any]

EVERY = "all"  # in place of a list of permissions: all that the API defines
ANY = "any"  # in place of a list of organizations: whichever the tenant has


@dataclass(frozen=True, slots=True)
class Spot:
    """A value of a setup, with the way to it."""

    written: Written
    value: Any
    steps: Steps = ()

    def member(self, step: str | int) -> Spot:
        return Spot(self.written, self.value[step], (*self.steps, step))

    def holding(self, value: object) -> Spot:
        """The item or member with this value or key, if there is one."""
        if isinstance(self.value, list | tuple) and value in self.value:
            # The last of them: where something is there twice, that is the one too many.
            return self.member(max(place for place, item in enumerate(self.value) if item == value))
        if isinstance(self.value, Mapping) and isinstance(value, str) and value in self.value:
            return self.member(value)
        return self

    def wrong(self, rule: Rule, value: object = None, limit: object = None) -> SetupError:
        return SetupError(self.written.place(self.steps), rule, value, limit)

    def misfit(self, wanted: str, *, secret: bool = False) -> SetupError:
        """Here belongs something else. Of a list or mapping, and of a secret, the value is not told."""
        tellable = not secret and isinstance(self.value, str | int | None)
        told = ("nothing" if self.value is None else self.value) if tellable else None
        return self.wrong(Rule.SETUP_TYPE, told, wanted)


# ---------------------------------------------------------------------------------------------- what kind of value


def text(spot: Spot) -> str:
    if not isinstance(spot.value, str):
        raise spot.misfit("text")
    return spot.value


def secret(spot: Spot) -> str:
    if not isinstance(spot.value, str):
        raise spot.misfit("text (in quotation marks, where it is all digits)", secret=True)
    return spot.value


def flag(spot: Spot) -> bool:
    if not isinstance(spot.value, bool):
        raise spot.misfit("true or false")
    return spot.value


def number(spot: Spot) -> int:
    # bool is an int in Python, and `true` is no number of seconds.
    if type(spot.value) is not int:
        raise spot.misfit("a whole number")
    return spot.value


def names(spot: Spot) -> list[str]:
    return [text(item) for item in items(spot)]


def names_or(word: str) -> Read:
    """A list of text, or this word alone."""

    def read(spot: Spot) -> list[str] | str:
        if spot.value == word:
            return word
        if not isinstance(spot.value, list | tuple):
            raise spot.misfit(f"a list, or the word {word}")
        return names(spot)

    return read


def described(spot: Spot) -> Mapping[str, str] | list[str]:
    """Permissions: value to description, which may be left out; or values alone."""
    if isinstance(spot.value, list | tuple):
        return names(spot)
    return {name: "" if each.value is None else text(each) for name, each in members(spot).items()}


def by_api(spot: Spot) -> dict[str, list[str] | str]:
    """Permissions of a user or a role: an API's identifier to a list."""
    read = names_or(EVERY)
    return {name: read(each) for name, each in members(spot).items()}


def organization_members(spot: Spot) -> list[Entry]:
    """Each an e-mail address, or an entry with roles beside it."""
    return [
        Entry(each, {"user": each.value}) if isinstance(each.value, str) else entry(each, MEMBER)
        for each in items(spot)
    ]


def items(spot: Spot) -> list[Spot]:
    if not isinstance(spot.value, list | tuple):
        raise spot.misfit("a list")
    return [spot.member(position) for position in range(len(spot.value))]


def members(spot: Spot) -> dict[str, Spot]:
    if not isinstance(spot.value, Mapping):
        raise spot.misfit("a mapping")
    for name in spot.value:
        if not isinstance(name, str):
            raise spot.wrong(Rule.SETUP_TYPE, name, "text as a key")
    return {name: spot.member(name) for name in spot.value}


def of_kind(kind: Kind) -> Read:
    """A value with members."""
    return lambda spot: entry(spot, kind).without()


def or_off(read: Read) -> Read:
    """What this reads; null, as in the Management API's JSON, or false switches it off."""
    return lambda spot: False if spot.value is None or spot.value is False else read(spot)


# ------------------------------------------------------------------------------------------------- what may be said


@dataclass(frozen=True, slots=True)
class Kind:
    """What an entry of one section says. needs: the keys that it cannot be without."""

    needs: tuple[str, ...]
    knows: Mapping[str, Read]


POSSESSION = Kind(needs=("mechanism", "required"), knows={"mechanism": text, "required": flag, "required_for": text})
ENCRYPTION_KEY = Kind(needs=("alg", "pem"), knows={"alg": text, "pem": secret, "kid": text, "name": text})
ENCRYPTION = Kind(needs=("encryption_key",), knows={"format": text, "encryption_key": of_kind(ENCRYPTION_KEY)})
API = Kind(
    needs=("identifier",),
    knows={
        "identifier": text,
        "name": text,
        "profile": text,
        "signing_algorithm": text,
        "signing_secret": secret,
        "token_lifetime": number,
        "web_token_lifetime": number,
        "rbac": flag,
        "permissions_in_token": flag,
        "permissions": described,
        "skip_consent": flag,
        "offline_access": flag,
        "user_access": text,
        "client_access": text,
        "proof_of_possession": or_off(of_kind(POSSESSION)),
        "token_encryption": or_off(of_kind(ENCRYPTION)),
    },
)
APPLICATION = Kind(
    needs=("name",),
    knows={
        "name": text,
        "kind": text,
        "client_id": text,
        "client_secret": secret,
        "token_endpoint_auth": text,
        "grant_types": names,
        "callbacks": names,
        "organization_usage": text,
        "rotate_refresh_tokens": flag,
        "require_proof_of_possession": flag,
    },
)
GRANT = Kind(
    needs=("application", "api"),
    knows={
        "application": text,
        "api": text,
        "permissions": names_or(EVERY),
        "subject_type": text,
        "organization_usage": text,
        "organizations": names_or(ANY),
    },
)
ROLE = Kind(needs=("name",), knows={"name": text, "role_id": text, "description": text, "permissions": by_api})
USER = Kind(
    needs=("email",),
    knows={
        "email": text,
        "name": text,
        "password": secret,
        "user_id": text,
        "roles": names,
        "permissions": by_api,
    },
)
MEMBER = Kind(needs=("user",), knows={"user": text, "roles": names})
ORGANIZATION = Kind(
    needs=("name",),
    knows={"name": text, "organization_id": text, "display_name": text, "members": organization_members},
)

# In the order in which they are made: what an entry names is there before it.
SECTIONS: Mapping[str, Kind] = {
    "apis": API,
    "applications": APPLICATION,
    "roles": ROLE,
    "users": USER,
    "organizations": ORGANIZATION,
    "grants": GRANT,
}
TENANT: Mapping[str, Read] = {"issuer": text, "organization_names": flag}

# Which key a broken rule is about.
ABOUT: Mapping[Rule, str] = {
    Rule.ISSUER: "issuer",
    Rule.NAME_LENGTH: "name",
    Rule.NAME_CHARACTERS: "name",
    Rule.IDENTIFIER_LENGTH: "identifier",
    Rule.SYSTEM_API: "identifier",
    Rule.PROFILE: "profile",
    Rule.SIGNING_ALGORITHM: "signing_algorithm",
    Rule.SIGNING_SECRET_LENGTH: "signing_secret",
    Rule.SIGNING_SECRET_UNUSED: "signing_secret",
    Rule.TOKEN_LIFETIME: "token_lifetime",
    Rule.WEB_TOKEN_LIFETIME: "web_token_lifetime",
    Rule.USER_ACCESS: "user_access",
    Rule.CLIENT_ACCESS: "client_access",
    Rule.POSSESSION_MECHANISM: "proof_of_possession",
    Rule.POSSESSION_REQUIRED_FOR: "proof_of_possession",
    Rule.ENCRYPTION_FORMAT: "token_encryption",
    Rule.ENCRYPTION_ALGORITHM: "token_encryption",
    Rule.ENCRYPTION_KEY: "token_encryption",
    Rule.ENCRYPTION_KEY_LENGTH: "token_encryption",
    Rule.ENCRYPTION_KEY_NAME: "token_encryption",
    Rule.ENCRYPTION_KEY_PRIVATE: "token_encryption",
    Rule.PERMISSIONS_NEED_RBAC: "permissions_in_token",
    Rule.PERMISSIONS_COUNT: "permissions",
    Rule.PERMISSION_LENGTH: "permissions",
    Rule.PERMISSION_CHARACTERS: "permissions",
    Rule.PERMISSION_RESERVED: "permissions",
    Rule.PERMISSION_TWICE: "permissions",
    Rule.PERMISSION_UNKNOWN: "permissions",
    Rule.DESCRIPTION_LENGTH: "permissions",
    Rule.APPLICATION_KIND: "kind",
    Rule.CLIENT_ID: "client_id",
    Rule.CLIENT_SECRET: "client_secret",
    Rule.TOKEN_ENDPOINT_AUTH: "token_endpoint_auth",
    Rule.GRANT_TYPE: "grant_types",
    Rule.CALLBACK: "callbacks",
    Rule.ORGANIZATION_USAGE: "organization_usage",
    Rule.SUBJECT_TYPE: "subject_type",
    Rule.EMAIL: "email",
    Rule.PASSWORD: "password",
    Rule.USER_ID: "user_id",
    Rule.USER_ID_TAKEN: "user_id",
    Rule.ROLE_TAKEN: "role_id",
    Rule.ORGANIZATION_NAME: "name",
    Rule.ORGANIZATION_ID: "organization_id",
    Rule.ORGANIZATION_TAKEN: "organization_id",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a section: what it says, of the right kinds, and where."""

    spot: Spot
    said: Mapping[str, Any]

    def at(self, key: str) -> Spot:
        """Where it says this or, when it does not, where it stands itself."""
        return self.spot.member(key) if isinstance(self.spot.value, Mapping) and key in self.said else self.spot

    def without(self, *keys: str) -> dict[str, Any]:
        return {key: value for key, value in self.said.items() if key not in keys}

    def blamed(self) -> AbstractContextManager[None]:
        """A rule that is broken within is broken by this entry, and the error says where."""
        return blaming(
            lambda fault: self.at(ABOUT[fault.rule]).holding(fault.value) if fault.rule in ABOUT else self.spot
        )

    def fixed(self, **kept: object) -> None:
        """Raises SetupError where the entry says another thing than what is kept, and cannot change."""
        for key, value in kept.items():
            if self.said.get(key, value) != value:
                raise self.at(key).wrong(Rule.SETUP_FIXED, limit=key)


@contextmanager
def blaming(culprit: Callable[[TenantError], Spot]) -> Iterator[None]:
    """A rule that is broken within becomes a SetupError with the place of the culprit."""
    try:
        yield
    except SetupError:
        raise
    except TenantError as fault:
        raise culprit(fault).wrong(fault.rule, fault.value, fault.limit) from fault


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a setup says, of the right kinds; names and rules are looked at when it is made into a tenant."""

    root: Entry
    sections: Mapping[str, Sequence[Entry]]


def read(written: Written) -> Setup:
    """Raises SetupError for a key that nobody knows, one that is missing, and a value of another kind."""
    top = members(Spot(written, written.content))
    known = (*TENANT, *SECTIONS)
    for name, spot in top.items():
        if name not in known:
            raise spot.wrong(Rule.SETUP_KEY, name, known)
    return Setup(
        root=Entry(Spot(written, written.content), {key: TENANT[key](top[key]) for key in TENANT if key in top}),
        # A section of which every entry is a comment is null in YAML.
        sections={
            name: [entry(each, kind) for each in items(top[name])]
            for name, kind in SECTIONS.items()
            if name in top and top[name].value is not None
        },
    )


def entry(spot: Spot, kind: Kind) -> Entry:
    said = members(spot)
    for key, each in said.items():
        if key not in kind.knows:
            raise each.wrong(Rule.SETUP_KEY, key, tuple(kind.knows))
    for key in kind.needs:
        if key not in said:
            raise spot.wrong(Rule.SETUP_KEY_MISSING, limit=key)
    return Entry(spot, {key: kind.knows[key](each) for key, each in said.items()})


# --------------------------------------------------------------------------------------------------- making it so


def apply(setup: Setup, tenant: Tenant) -> None:
    """What is said is made so; what is there already, by its identifier, id, name or address, is changed.

    What an entry does not say stays as it is, and what the setup does not name stays too.
    Raises SetupError for what breaks a rule of the tenant's, names what is not there, or comes twice.
    """
    for section, entries in setup.sections.items():
        made: set[str] = set()
        for each in entries:
            with each.blamed():
                key = MAKE[section](tenant, each)
                if key in made:
                    raise each.spot.wrong(Rule.SETUP_TWICE)
                made.add(key)


def _api(tenant: Tenant, entry: Entry) -> str:
    said = entry.without("identifier")
    there = next((api for api in tenant.apis if api.identifier == entry.said["identifier"]), None)
    if there is None:
        return tenant.register_api(entry.said["identifier"], **said).id
    entry.fixed(signing_algorithm=there.signing_algorithm, signing_secret=there.signing_secret)
    if "name" in said:
        tenant.rename(there, said["name"])
    tenant.update_api(there, **entry.without("identifier", "name", "signing_algorithm", "signing_secret"))
    return there.id


def _application(tenant: Tenant, entry: Entry) -> str:
    there = _same_application(tenant, entry)
    if there is None:
        return tenant.create_application(entry.said["name"], **entry.without("name")).client_id
    entry.fixed(kind=there.kind)
    return tenant.update_application(there, **entry.without("kind", "client_id")).client_id


def _same_application(tenant: Tenant, entry: Entry) -> Application | None:
    if "client_id" in entry.said:
        return next((each for each in tenant.applications if each.client_id == entry.said["client_id"]), None)
    return _only([each for each in tenant.applications if each.name == entry.said["name"]], entry.at("name"))


def _role(tenant: Tenant, entry: Entry) -> str:
    said = entry.without("permissions")
    role = next((role for role in tenant.roles if role.name == said["name"]), None)
    if role is None:
        role = tenant.create_role(**said)
    else:
        entry.fixed(role_id=role.id)
        role = tenant.update_role(role, description=said.get("description"))
    _permit(tenant, entry, role)
    return role.id


def _user(tenant: Tenant, entry: Entry) -> str:
    said = entry.without("permissions", "roles")
    user = _user_called(tenant, said["email"])
    if user is None:
        user = tenant.create_user(**said)
    else:
        entry.fixed(user_id=user.user_id)
        user = tenant.update_user(user, name=said.get("name"), password=said.get("password"))
    _permit(tenant, entry, user)
    if "roles" in entry.said:
        _cast(tenant, user, _roles(tenant, entry))
    return user.user_id


def _cast(tenant: Tenant, user: User, roles: Sequence[Role]) -> None:
    """These roles and no others."""
    ids = [role.id for role in roles]
    for role in tenant.roles:
        if role.id in user.roles and role.id not in ids:
            tenant.remove_role(user, role)
    for role in roles:
        tenant.assign_role(user, role)


def _permit(tenant: Tenant, entry: Entry, holder: User | Role) -> None:
    for identifier, wanted in entry.said.get("permissions", {}).items():
        spot = entry.at("permissions").member(identifier)
        api = _find_api(tenant, identifier, spot)
        with blaming(lambda fault, spot=spot: spot.holding(fault.value)):  # type: ignore[misc]
            tenant.assign_permissions(holder, api, api.permissions if wanted == EVERY else wanted)


def _organization(tenant: Tenant, entry: Entry) -> str:
    said = entry.without("members")
    organization = next((each for each in tenant.organizations if each.name == said["name"]), None)
    if organization is None:
        organization = tenant.create_organization(**said)
    else:
        entry.fixed(organization_id=organization.id)
        organization = tenant.update_organization(organization, display_name=said.get("display_name"))
    if "members" in entry.said:
        _gather(tenant, organization, entry.said["members"])
    return organization.id


def _gather(tenant: Tenant, organization: Organization, entries: Sequence[Entry]) -> None:
    """These members and no others."""
    members: dict[str, tuple[User, list[Role]]] = {}
    for each in entries:
        user = _user_called(tenant, each.said["user"])
        if user is None:
            raise each.at("user").wrong(Rule.SETUP_NAME_UNKNOWN, each.said["user"], "a user")
        if user.user_id in members:
            raise each.spot.wrong(Rule.SETUP_TWICE)
        members[user.user_id] = user, _roles(tenant, each)
    for user in tenant.users:
        if user.user_id in organization.members and user.user_id not in members:
            tenant.remove_member(organization, user)
    for user, roles in members.values():
        tenant.add_member(organization, user, roles)


def _grant(tenant: Tenant, entry: Entry) -> str:
    said = entry.said
    api = _find_api(tenant, said["api"], entry.at("api"))
    called = [each for each in tenant.applications if said["application"] in (each.client_id, each.name)]
    application = _only(called, entry.at("application"))
    if application is None:
        raise entry.at("application").wrong(Rule.SETUP_NAME_UNKNOWN, said["application"], "an application")
    settings = entry.without("application", "api")
    if settings.get("permissions") == EVERY:
        settings["permissions"] = api.permissions
    if "organizations" in settings:
        settings["organizations"] = _organizations(tenant, entry)
    grant = tenant.authorize(application, api, **settings)
    return f"{grant.client_id} {grant.api_id} {grant.subject_type}"


MAKE: Mapping[str, Callable[[Tenant, Entry], str]] = {
    "apis": _api,
    "applications": _application,
    "roles": _role,
    "users": _user,
    "organizations": _organization,
    "grants": _grant,
}


# ------------------------------------------------------------------------------------------- who is called like that


def _find_api(tenant: Tenant, identifier: str, spot: Spot) -> Api:
    for api in tenant.apis:
        if api.identifier == identifier:
            return api
    raise spot.wrong(Rule.SETUP_NAME_UNKNOWN, identifier, "an API")


def _user_called(tenant: Tenant, name: str) -> User | None:
    """By e-mail address, in whatever case, or by user id."""
    return next(
        (user for user in tenant.users if name == user.user_id or name.casefold() == user.email.casefold()), None
    )


def _roles(tenant: Tenant, entry: Entry) -> list[Role]:
    by_name = {role.name: role for role in tenant.roles}
    return [_named(by_name, each, "a role") for each in _each(entry, "roles")]


def _organizations(tenant: Tenant, entry: Entry) -> list[Organization] | None:
    if entry.said["organizations"] == ANY:
        return None
    by_name = {organization.name: organization for organization in tenant.organizations}
    return [_named(by_name, each, "an organization") for each in _each(entry, "organizations")]


def _each(entry: Entry, key: str) -> list[Spot]:
    return items(entry.at(key)) if key in entry.said else []


def _named(by_name: Mapping[str, T], spot: Spot, what: str) -> T:
    if spot.value not in by_name:
        raise spot.wrong(Rule.SETUP_NAME_UNKNOWN, spot.value, what)
    return by_name[spot.value]


def _only(found: Sequence[T], spot: Spot) -> T | None:
    if len(found) > 1:
        raise spot.wrong(Rule.SETUP_NAME_SHARED, spot.value, "an application")
    return found[0] if found else None
