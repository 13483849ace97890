"""The rules a tenant insists on, and the error that names the one which was broken."""

from __future__ import annotations

from enum import StrEnum

from jwtgate.core.errors import JwtGateError

SHOWN = 100  # characters of a value in a message


class Rule(StrEnum):
    """What must be true of a tenant's settings; `{limit}` is filled in from the error's `limit`."""

    ISSUER = "an issuer is http or https and a host, with neither path, query, fragment nor user"
    NAME_LENGTH = "a name has {limit[0]} to {limit[1]} characters"
    NAME_CHARACTERS = "a name has none of the characters {limit}"
    IDENTIFIER_LENGTH = "an identifier has {limit[0]} to {limit[1]} characters"
    IDENTIFIER_TAKEN = "an identifier is registered once"
    PROFILE = "a profile is one of {limit}"
    SIGNING_ALGORITHM = "a signing algorithm is one of {limit}"
    SIGNING_SECRET_LENGTH = "a signing secret has at least {limit} characters"
    SIGNING_SECRET_UNUSED = "a signing secret belongs to an HS256 API"
    SIGNING_SECRET_MISSING = "an HMAC algorithm needs a secret"
    TOKEN_LIFETIME = "a token lifetime is a whole number of seconds, {limit[0]} to {limit[1]}"
    PERMISSIONS_NEED_RBAC = "permissions in the token need RBAC"
    PERMISSIONS_COUNT = "an API has at most {limit} permissions"
    PERMISSION_LENGTH = "a permission has {limit[0]} to {limit[1]} characters"
    PERMISSION_CHARACTERS = "a permission is printable ASCII without space, quotation mark and backslash"
    PERMISSION_RESERVED = "a permission has none of the reserved names"
    PERMISSION_TWICE = "a permission is defined once"
    PERMISSION_UNKNOWN = "a grant holds permissions that its API defines"
    PERMISSION_LIST = "permissions are several names, not one string"
    DESCRIPTION_LENGTH = "a description has at most {limit} characters"
    TEXT = "names, descriptions and secrets are Unicode text"
    TOKEN_ENDPOINT_AUTH = "a client authentication is one of {limit}"
    GRANT_TYPE = "an application's grant types are among {limit}"
    API_UNKNOWN = "an API is registered with this tenant"
    APPLICATION_UNKNOWN = "an application is registered with this tenant"
    GRANT_UNKNOWN = "an application is authorised before it is withdrawn"
    KEY_UNKNOWN = "a signing key is one of {limit}"
    KEY_MISSING = "there is a previous key only between rotating and revoking"
    LOOPBACK = "a tenant is served on loopback unless allow_beyond_loopback is set"
    ADDRESS = "the address to serve on is free and belongs to this machine"
    SERVED_ONCE = "a tenant without an issuer of its own is served at one address at a time"


class TenantError(JwtGateError):
    """A tenant was asked for something that breaks one of its rules.

    rule: which one. value: what was given (never a secret; of those, the length).
    limit: what the rule allows, if that is a number, a range or a list.
    """

    def __init__(self, rule: Rule, value: object = None, limit: object = None) -> None:
        found = "" if value is None else f", got {_shown(value)}"
        super().__init__(rule.value.format(limit=limit) + found)
        self.rule = rule
        self.value = value
        self.limit = limit


class BeyondLoopbackWarning(UserWarning):
    """A tenant answers other machines; its keys and secrets are for development only."""


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "~"
