"""The rules a tenant insists on, and the error that names the one which was broken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jwtgate.core.errors import JwtGateError

SHOWN = 100  # characters of a value in a message

Steps = tuple[str | int, ...]  # the way to a value in a setup: keys, and positions in lists from 0


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
    WEB_TOKEN_LIFETIME = "an implicit flow's token lifetime is {limit[0]} to {limit[1]} s, the API's token lifetime"
    USER_ACCESS = "an access policy for users is one of {limit}"
    CLIENT_ACCESS = "an access policy for clients is one of {limit}"
    SYSTEM_API = "of the Management API only the token lifetime, the consent and proof of possession can change"
    POSSESSION_MECHANISM = "a mechanism of proof of possession is one of {limit}"
    POSSESSION_REQUIRED = "whether proof of possession is required is true or false"
    POSSESSION_REQUIRED_FOR = "with this mechanism, proof of possession is required for one of {limit}"
    ENCRYPTION_FORMAT = "the format of encrypted tokens is one of {limit}"
    ENCRYPTION_ALGORITHM = "an encryption algorithm is one of {limit}"
    ENCRYPTION_KEY_NAME = "the name and the kid of an encryption key have {limit[0]} to {limit[1]} characters"
    ENCRYPTION_KEY_LENGTH = "an encryption key is PEM of {limit[0]} to {limit[1]} characters"
    ENCRYPTION_KEY = "an encryption key is a public key or a certificate, RSA, {limit[0]} to {limit[1]} bits"
    ENCRYPTION_KEY_PRIVATE = "an encryption key is public: its private half stays with the API alone"
    ENCRYPTION_OFF = "tokens are encrypted for an API that has an encryption key"
    MEMBERS = "this setting is a mapping with members among {limit}"
    MEMBER_MISSING = "this setting has the member {limit}"
    CERTIFICATE = "a client certificate is one in DER"
    THUMBPRINT = "a thumbprint is the base64url of a SHA-256, {limit} characters"
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
    APPLICATION_KIND = "an application is one of {limit}"
    CLIENT_ID = "a client id is 1 to {limit} printable ASCII characters without space"
    CLIENT_ID_TAKEN = "a client id belongs to one application"
    CLIENT_SECRET = "a client secret is not empty"
    CALLBACK = "a callback is an absolute URL without fragment, space and scripting scheme"
    CALLBACK_LIST = "callbacks are several URLs, not one string"
    ORGANIZATION_USAGE = "the use of organizations is one of {limit}"
    SUBJECT_TYPE = "a grant is for one of {limit}"
    EMAIL = "an e-mail address is text with an @ in it, at most {limit} characters"
    EMAIL_TAKEN = "an e-mail address belongs to one user"
    PASSWORD = "a password is not empty"
    USER_ID = "a user id is 1 to {limit} characters"
    USER_ID_TAKEN = "a user id belongs to one user"
    ROLE_TAKEN = "the name and the id of a role belong to one role"
    ORGANIZATION_NAME = "an organization's name is 1 to {limit} of a-z, 0-9, - and _, and begins with a letter or digit"
    ORGANIZATION_ID = "an organization's id is org_ with letters and digits after it"
    ORGANIZATION_TAKEN = "the name and the id of an organization belong to one organization"
    API_UNKNOWN = "an API is registered with this tenant"
    APPLICATION_UNKNOWN = "an application is registered with this tenant"
    USER_UNKNOWN = "a user belongs to this tenant"
    ROLE_UNKNOWN = "a role belongs to this tenant"
    ORGANIZATION_UNKNOWN = "an organization belongs to this tenant"
    MEMBER_UNKNOWN = "who leaves an organization was a member of it"
    ROLE_NOT_HELD = "a role that is taken from a user was theirs"
    GRANT_UNKNOWN = "an application is authorised before it is withdrawn"
    KEY_UNKNOWN = "a signing key is one of {limit}"
    KEY_MISSING = "there is a previous key only between rotating and revoking"
    LOOPBACK = "a tenant is served on loopback unless allow_beyond_loopback is set"
    ADDRESS = "the address to serve on is free and belongs to this machine"
    SERVED_ONCE = "a tenant without an issuer of its own is served at one address at a time"
    SETUP_FILE = "a setup is a file that can be read: {limit}"
    SETUP_SYNTAX = "a setup is YAML in UTF-8: {limit}"
    SETUP_TYPE = "here belongs {limit}"
    SETUP_KEY = "a key here is one of {limit}"
    SETUP_KEY_TWICE = "a key is there once"
    SETUP_KEY_MISSING = "{limit} must be given here"
    SETUP_TWICE = "an entry is there once"
    SETUP_NAME_UNKNOWN = "{limit} is named that is there"
    SETUP_NAME_SHARED = "{limit} is named in a way that fits only one"
    SETUP_FIXED = "what is there already keeps its {limit}"
    STATE_FILE = "a state is a file that can be read and written"
    STATE_BUSY = "a state file serves one tenant at a time"
    STATE_FOREIGN = "a state file was made by a tenant"
    STATE_NEWER = "a state file has a schema of at most {limit}"
    STATE_DAMAGED = "a state file is whole"
    STATE_CLOSED = "a state file is open as long as its tenant is used"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a setup something stands. source: the file, empty for a mapping; line, column: from 1, 0 if unknown."""

    source: str = ""
    line: int = 0
    column: int = 0
    steps: Steps = ()

    def __str__(self) -> str:
        position = f":{self.line}:{self.column}" if self.line else ""
        way = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps).removeprefix(".")
        return ": ".join(part for part in (f"{self.source}{position}", way) if part) or "setup"


class SetupError(TenantError):
    """A setup is wrong: which rule it breaks, and where.

    place: where it stands; `str(error)` begins with it, as compilers do it: file, line, column, way to the value.
    """

    def __init__(self, place: Place, rule: Rule, value: object = None, limit: object = None) -> None:
        super().__init__(rule, value, limit)
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {super().__str__()}"


class BeyondLoopbackWarning(UserWarning):
    """A tenant answers other machines; its keys and secrets are for development only."""


class OpenPermissionsWarning(UserWarning):
    """Every user of some applications can have a token with any permission of an API that they ask for."""


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "~"
