"""Users, the roles they have, and the organizations they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import Rule, TenantError
from .names import check_name, check_text, is_text

EMAIL_LENGTH = 254  # characters, at most
USER_ID_LENGTH = 255  # characters, at most
ORGANIZATION_NAME_LENGTH = 50  # characters, at most
ORGANIZATION_NAME = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{ORGANIZATION_NAME_LENGTH - 1}}}")
ORGANIZATION_ID = re.compile(r"org_[A-Za-z0-9]{1,60}")

Permissions = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who can log in, as they were when they were handed out; `user_id` says who it is.

    user_id: `auth0|` and 24 hexadecimal digits, unless given: the `sub` of their tokens.
    permissions: those given directly, by the API's id. `Tenant.permissions_of` tells what they come to with roles.
    roles: the ids of their roles.

    Raises TenantError for the first rule that is broken.
    """

    user_id: str
    email: str
    name: str
    password: str = field(repr=False)
    permissions: Permissions = field(default_factory=dict, hash=False)
    roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_text(self.user_id)
        if not 1 <= len(self.user_id) <= USER_ID_LENGTH:
            raise TenantError(Rule.USER_ID, self.user_id, USER_ID_LENGTH)
        check_text(self.email)
        if not 3 <= len(self.email) <= EMAIL_LENGTH or "@" not in self.email[1:-1]:
            raise TenantError(Rule.EMAIL, self.email, EMAIL_LENGTH)
        check_name(self.name)
        if not is_text(self.password) or not self.password:
            raise TenantError(Rule.PASSWORD)  # without the value: it is a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A set of permissions under a name, as it was when it was handed out.

    id: `rol_` and 16 letters and digits, unless given. permissions: by the API's id.

    Raises TenantError for the first rule that is broken.
    """

    id: str
    name: str
    description: str = ""
    permissions: Permissions = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name(self.id)
        check_name(self.name)
        check_text(self.description)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """An organization with its members, as it was when it was handed out.

    id: `org_` and 16 letters and digits, unless given: the `org_id` of its tokens. name: their `org_name`.
    members: the ids of its users, each with the ids of the roles they have in this organization alone.

    Raises TenantError for the first rule that is broken.
    """

    id: str
    name: str
    display_name: str
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not is_text(self.id) or not ORGANIZATION_ID.fullmatch(self.id):
            raise TenantError(Rule.ORGANIZATION_ID, self.id)
        if not is_text(self.name) or not ORGANIZATION_NAME.fullmatch(self.name):
            raise TenantError(Rule.ORGANIZATION_NAME, self.name, ORGANIZATION_NAME_LENGTH)
        check_name(self.display_name)


def with_permissions(held: Permissions, api_id: str, permissions: tuple[str, ...]) -> Permissions:
    """These permissions, with another set for one API; an empty one takes it out."""
    others = {held_id: values for held_id, values in held.items() if held_id != api_id}
    return {**others, api_id: permissions} if permissions else others
