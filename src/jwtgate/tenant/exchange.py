"""Who may have which token: the decision of the token endpoint, grant by grant."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from jwtgate.core.compact import encode_base64url

from .apis import Api
from .applications import Application, ClientGrant
from .binding import NOBODY, Confirmation, Sender, confirmation
from .books import Books
from .identifiers import new_family, new_refresh_token
from .people import Organization, User
from .refusals import (
    grant_type_not_allowed,
    missing,
    no_audience,
    no_client_access,
    no_client_grant,
    organization_not_granted,
    scope_not_granted_before,
    scopes_not_granted,
    unknown_audience,
    unsupported_grant_type,
    wrong_code,
    wrong_code_verifier,
    wrong_credentials,
    wrong_password,
    wrong_redirect_uri,
    wrong_refresh_token,
)
from .registry import RefreshToken
from .scopes import (
    OFFLINE_ACCESS,
    Asked,
    as_now,
    check_member,
    find_organization,
    granted_scopes,
    held_permissions,
    read_asked,
    scope_names,
)
from .token_request import Credentials, TokenRequest

USERINFO_LIFETIME = 86_400  # seconds, of a token that only /userinfo takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A token may be issued: which one, for which API and whom, with what in it.

    api: None for a token that only /userinfo takes. user: None for a machine.
    permissions: those of the claim, in the dialects that have one.
    grant_types: what `gty` says, where it is said. lifetime: seconds. nonce: for the ID token.
    confirmation: its `cnf`; None for one that is bound to nobody. jkt: of whose key a public application's refresh
    tokens are.
    refresh_token: the one that goes out beside it; family: or the line of refresh tokens that begins with it.
    """

    application: Application
    api: Api | None
    scopes: tuple[str, ...]
    permissions: tuple[str, ...]
    grant_types: tuple[str, ...]
    lifetime: int
    organization: Organization | None = None
    user: User | None = None
    nonce: str | None = None
    confirmation: Confirmation | None = None
    jkt: str | None = None
    refresh_token: str | None = field(default=None, repr=False)
    family: str | None = field(default=None, repr=False)


def decide(books: Books, request: TokenRequest) -> Granted:
    """Raises TokenRefused."""
    grant_type = request.parameters.get("grant_type")
    if grant_type is None:
        raise missing("grant_type")
    if grant_type not in GRANTS:
        raise unsupported_grant_type(grant_type)
    application = authenticate(books, request.credentials)
    if grant_type not in application.grant_types:
        raise grant_type_not_allowed(grant_type)
    # Before a code or a refresh token is looked at: to be asked for a nonce must not use it up.
    sender = books.proofs.sender_of(request.shown, public=application.is_public)
    return GRANTS[grant_type](books, application, request.parameters, sender)


def authenticate(books: Books, credentials: Credentials | None) -> Application:
    """The application that these credentials belong to. Raises TokenRefused."""
    if credentials is None:
        raise wrong_credentials("the request has no client id, or an assertion, which is not read here")
    application = books.registry.application(credentials.client_id)
    if application is None:
        raise wrong_credentials("there is no application with this client id")
    if credentials.method == "none":
        if not application.is_public:
            raise wrong_credentials("the request has no client secret")
        return application
    if not hmac.compare_digest(application.client_secret.encode(), credentials.client_secret.encode()):
        raise wrong_credentials("the client secret is wrong")
    # Last, so that only who knows the secret learns from the log where it belongs.
    if credentials.method != application.token_endpoint_auth:
        raise wrong_credentials(
            f"came by {credentials.method}, the application is set to {application.token_endpoint_auth}"
        )
    return application


# In the application's own name


def client_credentials(
    books: Books, application: Application, parameters: Mapping[str, str], sender: Sender
) -> Granted:
    """A token in the application's own name. RBAC has no say in it: what counts is the client grant.

    Raises TokenRefused.
    """
    audience = parameters.get("audience")
    if audience is None:
        raise no_audience()
    api = books.registry.api(audience)
    if api is None:
        raise unknown_audience(audience)
    # To deny all beats every grant.
    if api.client_access == "deny_all":
        raise no_client_access(application.client_id, audience)
    grant = books.registry.grant(application.client_id, api.id, "client")
    if grant is None:
        raise no_client_grant(audience)
    granted = tuple(name for name in grant.permissions if name in api.permissions)
    refused = [name for name in scope_names(parameters.get("scope")) if name not in granted]
    if refused:
        raise scopes_not_granted(refused)
    organization = _granted_organization(books, grant, parameters.get("organization"))
    return Granted(
        application=application,
        api=api,
        # To ask for fewer changes nothing: Auth0 gives all that was granted.
        scopes=granted,
        permissions=granted,
        grant_types=("client-credentials",),
        lifetime=api.token_lifetime,
        organization=organization,
        confirmation=confirmation(application, api, sender),
    )


def _granted_organization(books: Books, grant: ClientGrant, named: str | None) -> Organization | None:
    found = find_organization(books.registry, named, grant.organization_usage, by_name=books.organization_names)
    if found is not None and grant.organizations is not None and found.id not in grant.organizations:
        raise organization_not_granted(grant.client_id, found.id)
    return found


# For a user


def authorization_code(
    books: Books, application: Application, parameters: Mapping[str, str], sender: Sender
) -> Granted:
    """RFC 6749 section 4.1.3, with PKCE (RFC 7636 section 4.5). Raises TokenRefused."""
    if "code" not in parameters:
        raise missing("code")
    code = books.codes.redeem(parameters["code"])
    if code is None:
        raise wrong_code("nobody was given this code, or more than ten minutes ago")
    if code.spent:
        # RFC 6749 section 4.1.2: who comes second may be the thief, or the one who was robbed.
        books.registry.end_family(code.family)
        raise wrong_code("the code was used before; the refresh tokens that came of it are ended")
    login = code.login
    if login.asked.application.client_id != application.client_id:
        raise wrong_code("the code was given to another application")
    if login.redirect_uri != parameters.get("redirect_uri"):
        raise wrong_redirect_uri()
    _check_code_verifier(login.challenge, parameters.get("code_verifier"))
    # RFC 9449 section 10: the key that /authorize was told of in `dpop_jkt`.
    if login.jkt not in (None, sender.jkt):
        raise wrong_code("the code is for the sender of another key, or the request has no proof")
    user = books.registry.own_user(code.user_id)
    granted = granted_to_user(books, login.asked, user, sender=sender, nonce=login.nonce)
    return with_family(granted, code.family)


def _check_code_verifier(challenge: str | None, verifier: str | None) -> None:
    if challenge is None:
        if verifier is not None:
            # RFC 9700 section 2.1.1: else an attacker could leave the challenge out and nobody would notice.
            raise wrong_code_verifier("the code was asked for without code_challenge")
        return
    if verifier is None:
        raise wrong_code_verifier("the request has no code_verifier")
    digest = hashlib.sha256(verifier.encode()).digest()
    if not hmac.compare_digest(encode_base64url(digest).encode(), challenge.encode()):
        raise wrong_code_verifier("the code_verifier is not the one of the code_challenge")


def password(books: Books, application: Application, parameters: Mapping[str, str], sender: Sender) -> Granted:
    """RFC 6749 section 4.3. Without a `scope`, all that the API has is asked for. Raises TokenRefused."""
    for name in ("username", "password"):
        if name not in parameters:
            raise missing(name)
    user = books.registry.user_by_email(parameters["username"])
    if user is None:
        raise wrong_password("there is no user with this e-mail address")
    if not hmac.compare_digest(user.password.encode(), parameters["password"].encode()):
        raise wrong_password("the password is wrong")
    asked = read_asked(
        books.registry, application, parameters, by_name=books.organization_names, unknown=unknown_audience
    )
    if "scope" not in parameters and asked.api is not None and asked.api.user_access == "allow_all":
        asked = replace(asked, scopes=tuple(asked.api.permissions))
    granted = granted_to_user(books, asked, user, sender=sender, grant_types=("password",))
    return with_family(granted, new_family())


def granted_to_user(
    books: Books,
    asked: Asked,
    user: User,
    *,
    sender: Sender = NOBODY,
    grant_types: tuple[str, ...] = (),
    nonce: str | None = None,
) -> Granted:
    """What this user's token has of what was asked for, as things stand now. Raises TokenRefused."""
    asked = as_now(books.registry, asked)
    check_member(asked, user)
    api = asked.api
    return Granted(
        application=asked.application,
        api=api,
        scopes=granted_scopes(books.registry, asked, user),
        permissions=() if api is None else held_permissions(books.registry, user, api, asked.organization),
        grant_types=grant_types,
        lifetime=USERINFO_LIFETIME if api is None else api.token_lifetime,
        organization=asked.organization,
        user=user,
        nonce=nonce,
        confirmation=confirmation(asked.application, api, sender),
        # RFC 9449 section 5: the refresh tokens of a public application are bound too, also where the access token is
        # not; those of the others are bound by the secret.
        jkt=sender.jkt if asked.application.is_public else None,
    )


# And again


def with_family(granted: Granted, family: str) -> Granted:
    """With the refresh tokens that begin here, if the application asked for them and may use them."""
    may = OFFLINE_ACCESS in granted.scopes and "refresh_token" in granted.application.grant_types
    return replace(granted, family=family) if may else granted


def refresh_token(books: Books, application: Application, parameters: Mapping[str, str], sender: Sender) -> Granted:
    """RFC 6749 section 6. What the user may do is looked up anew each time. Raises TokenRefused."""
    if "refresh_token" not in parameters:
        raise missing("refresh_token")
    held = books.registry.refresh_token(parameters["refresh_token"])
    if held is None:
        raise wrong_refresh_token("nobody was given this refresh token, or it was ended")
    if held.client_id != application.client_id:
        raise wrong_refresh_token("the refresh token was given to another application")
    if held.jkt not in (None, sender.jkt):
        raise wrong_refresh_token("the refresh token is for the sender of another key, or the request has no proof")
    narrower = scope_names(parameters.get("scope"))
    if excess := [name for name in narrower if name not in held.scopes]:
        raise scope_not_granted_before(excess)
    asked = _asked_again(books, application, held, narrower)
    if asked.api is not None and not asked.api.offline_access:
        raise wrong_refresh_token("the API's offline_access is off")
    user = books.registry.own_user(held.user_id)
    granted = granted_to_user(books, asked, user, sender=sender, grant_types=_grant_types(held))
    return _rotated(books, granted, held) if application.rotate_refresh_tokens else granted


def _asked_again(books: Books, application: Application, held: RefreshToken, narrower: tuple[str, ...]) -> Asked:
    return Asked(
        application=application,
        api=None if held.api_id is None else books.registry.own_api(held.api_id),
        scopes=narrower or held.scopes,
        organization=None if held.organization_id is None else books.registry.organization(held.organization_id),
    )


def _grant_types(held: RefreshToken) -> tuple[str, ...]:
    return ("refresh_token", "password") if held.grant == "password" else ("refresh_token",)


def _rotated(books: Books, granted: Granted, held: RefreshToken) -> Granted:
    new = replace(held, token=new_refresh_token(), jkt=granted.jkt)
    if not books.registry.rotate_refresh_token(held, new):
        # RFC 9700 section 4.14.2: nobody can tell which of the two is the thief, so neither goes on.
        books.registry.end_family(held.family)
        raise wrong_refresh_token("the refresh token was used before; all that came of its login are ended")
    return replace(granted, refresh_token=new.token)


def begin_family(books: Books, granted: Granted, user: User, family: str) -> str:
    """The first refresh token of its line, from now on known to the registry."""
    api, organization = granted.api, granted.organization
    first = RefreshToken(
        token=new_refresh_token(),
        family=family,
        client_id=granted.application.client_id,
        user_id=user.user_id,
        api_id=None if api is None else api.id,
        organization_id=None if organization is None else organization.id,
        scopes=granted.scopes,
        grant="password" if granted.grant_types else "authorization_code",
        jkt=granted.jkt,
    )
    books.registry.add_refresh_token(first)
    return first.token


GRANTS: Mapping[str, Callable[[Books, Application, Mapping[str, str], Sender], Granted]] = {
    "authorization_code": authorization_code,
    "client_credentials": client_credentials,
    "password": password,
    "refresh_token": refresh_token,
}
