"""Who may have which token: the decision of the token endpoint, grant by grant."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .apis import Api
from .applications import Application
from .refusals import (
    grant_type_not_allowed,
    malformed,
    no_audience,
    no_client_grant,
    scopes_not_granted,
    unknown_audience,
    unsupported_grant_type,
    wrong_credentials,
)
from .registry import Registry
from .token_request import Credentials, TokenRequest

# Grants that Auth0 has. An application which was not given one of them is told so; any other is unsupported.
KNOWN_GRANT_TYPES = frozenset(
    {
        "authorization_code",
        "client_credentials",
        "http://auth0.com/oauth/grant-type/mfa-oob",
        "http://auth0.com/oauth/grant-type/mfa-otp",
        "http://auth0.com/oauth/grant-type/mfa-recovery-code",
        "http://auth0.com/oauth/grant-type/password-realm",
        "http://auth0.com/oauth/grant-type/passwordless/otp",
        "password",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A machine may have a token: which one, for which API, with which scopes."""

    application: Application
    api: Api
    scopes: tuple[str, ...]


def decide(registry: Registry, request: TokenRequest) -> Granted:
    """Raises TokenRefused."""
    grant_type = request.parameters.get("grant_type")
    if grant_type is None:
        raise malformed("Missing required parameter: grant_type")
    if grant_type not in KNOWN_GRANT_TYPES:
        raise unsupported_grant_type(grant_type)
    application = authenticate(registry, request.credentials)
    if grant_type not in application.grant_types:
        raise grant_type_not_allowed(grant_type)
    return GRANTS[grant_type](registry, application, request.parameters)


def authenticate(registry: Registry, credentials: Credentials | None) -> Application:
    """The application that these credentials belong to. Raises TokenRefused."""
    if credentials is None:
        raise wrong_credentials("the request has no client id, or no secret")
    application = registry.application(credentials.client_id)
    if application is None:
        raise wrong_credentials("there is no application with this client id")
    if not hmac.compare_digest(application.client_secret.encode(), credentials.client_secret.encode()):
        raise wrong_credentials("the client secret is wrong")
    # Last, so that only who knows the secret learns from the log where it belongs.
    if credentials.method != application.token_endpoint_auth:
        raise wrong_credentials(
            f"came by {credentials.method}, the application is set to {application.token_endpoint_auth}"
        )
    return application


def client_credentials(registry: Registry, application: Application, parameters: Mapping[str, str]) -> Granted:
    """A token in the application's own name. RBAC has no say in it: what counts is the client grant.

    Raises TokenRefused.
    """
    if "organization" in parameters:
        raise malformed("This tenant has no organizations: parameter organization")
    audience = parameters.get("audience")
    if audience is None:
        raise no_audience()
    api = registry.api(audience)
    if api is None:
        raise unknown_audience(audience)
    grant = registry.grant(application.client_id, audience)
    if grant is None:
        raise no_client_grant(audience)
    # RFC 6749 section 3.3: names are divided by spaces, and by nothing else.
    asked = dict.fromkeys(parameters.get("scope", "").split(" "))
    refused = [scope for scope in asked if scope and scope not in grant.permissions]
    if refused:
        raise scopes_not_granted(refused)
    # To ask for fewer changes nothing: Auth0 gives all that was granted.
    return Granted(application=application, api=api, scopes=grant.permissions)


GRANTS: Mapping[str, Callable[[Registry, Application, Mapping[str, str]], Granted]] = {
    "client_credentials": client_credentials,  # RFC 6749 section 4.4
}
