"""Every way in which the token endpoint says no: word for word as Auth0 does, else as the standard does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from jwtgate.core.errors import JwtGateError

from .possession import PROOF_ALGORITHMS

GRANT_TYPES_PAGE = "https://auth0.com/docs/clients/client-grant-types"
CLIENT_GRANTS_PAGE = "https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class TokenRefused(JwtGateError):
    """A token request was refused.

    status: of the HTTP answer. error, description, error_uri: its body; error_uri may be None.
    reason: what the body does not say, for the log and for `str(error)`; no secret is in it.
    headers: what the answer's head says beside the usual.
    """

    def __init__(
        self,
        status: int,
        error: str,
        description: str,
        *,
        error_uri: str | None = None,
        reason: str = "",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        super().__init__(f"{status} {error}: {description}" + (f" ({reason})" if reason else ""))
        self.status = status
        self.error = error
        self.description = description
        self.error_uri = error_uri
        self.reason = reason
        self.headers = headers

    @property
    def body(self) -> dict[str, str]:
        """The members of the answer, in Auth0's order."""
        uri = {} if self.error_uri is None else {"error_uri": self.error_uri}
        return {"error": self.error, "error_description": self.description, **uri}


def malformed(description: str) -> TokenRefused:
    """RFC 6749 section 5.2: a parameter is missing or repeated, or the request is otherwise malformed."""
    return TokenRefused(400, "invalid_request", description)


def too_large(limit: int) -> TokenRefused:
    return TokenRefused(413, "invalid_request", f"The request body is larger than {limit} bytes")


def missing(parameter: str) -> TokenRefused:
    return malformed(f"Missing required parameter: {parameter}")


def unsupported_grant_type(grant_type: str) -> TokenRefused:
    """RFC 6749 section 5.2: nobody can use this grant here."""
    return TokenRefused(400, "unsupported_grant_type", f"Unsupported grant type: {grant_type}")


def wrong_credentials(reason: str) -> TokenRefused:
    # One answer for an unknown client, a wrong secret and one in the wrong place: guessers learn nothing.
    return TokenRefused(401, "access_denied", "Unauthorized", reason=reason)


def grant_type_not_allowed(grant_type: str) -> TokenRefused:
    return TokenRefused(
        403,
        "unauthorized_client",
        f"Grant type '{grant_type}' not allowed for the client.",
        error_uri=GRANT_TYPES_PAGE,
    )


def no_audience() -> TokenRefused:
    return TokenRefused(
        403,
        "access_denied",
        "Non-global clients are not allowed access to APIv1",
        reason="the request has no `audience`",
    )


def unknown_audience(audience: str) -> TokenRefused:
    return TokenRefused(
        403,
        "access_denied",
        f"Service not enabled within domain: {audience}",
        reason="no API with exactly this identifier is registered",
    )


def unknown_service(audience: str) -> TokenRefused:
    """The same as `unknown_audience`, in the words of `/authorize`."""
    return TokenRefused(
        403,
        "access_denied",
        f"Service not found: {audience}",
        reason="no API with exactly this identifier is registered",
    )


def no_client_grant(audience: str) -> TokenRefused:
    return TokenRefused(
        403,
        "access_denied",
        f'Client is not authorized to access "{audience}". You need to create a "client-grant" associated to'
        f" this API. See: {CLIENT_GRANTS_PAGE}",
    )


def scopes_not_granted(scopes: Iterable[str]) -> TokenRefused:
    return TokenRefused(403, "access_denied", f"Client has not been granted scopes: {', '.join(scopes)}")


def no_client_access(client_id: str, audience: str) -> TokenRefused:
    return TokenRefused(
        403,
        "access_denied",
        f'Client "{client_id}" is not authorized to access resource server "{audience}".',
        reason="the API's client_access is deny_all",
    )


def no_user_access(client_id: str, audience: str, reason: str) -> TokenRefused:
    return TokenRefused(
        403,
        "unauthorized_client",
        f'Client "{client_id}" is not authorized to access resource server "{audience}".',
        reason=reason,
    )


# Proof of possession


MEANS: Mapping[str, str] = {"dpop": "A DPoP proof", "mtls": "The client certificate of a confidential client"}


def possession_required(mechanism: str, reason: str) -> TokenRefused:
    return TokenRefused(400, "invalid_request", f"{MEANS[mechanism]} is required for this token", reason=reason)


def api_binds_nothing() -> TokenRefused:
    return TokenRefused(
        400,
        "invalid_request",
        "The client requires proof of possession, and tokens for this API cannot be bound",
        reason="the API's proof_of_possession is off",
    )


def nonce_required(nonce: str) -> TokenRefused:
    """RFC 9449 section 8."""
    return TokenRefused(
        400,
        "use_dpop_nonce",
        "Authorization server requires nonce in DPoP proof",
        headers={"DPoP-Nonce": nonce},
    )


def unreadable_certificate(reason: str) -> TokenRefused:
    return TokenRefused(400, "invalid_request", "The client certificate cannot be read", reason=reason)


def wrong_proof(reason: str) -> TokenRefused:
    """RFC 9449 section 5."""
    return TokenRefused(400, "invalid_dpop_proof", "The DPoP proof is not valid", reason=reason)


# Organizations


def organization_required() -> TokenRefused:
    return malformed("parameter organization is required for this client")


def organization_not_allowed() -> TokenRefused:
    return malformed("parameter organization is not allowed for this client")


def unknown_organization(named: str) -> TokenRefused:
    return malformed(f"parameter organization is unknown: {named}")


def organization_not_granted(client_id: str, organization_id: str) -> TokenRefused:
    return TokenRefused(
        403, "access_denied", f'Client "{client_id}" is not authorized to access organization "{organization_id}".'
    )


def not_a_member(user_id: str, organization_id: str) -> TokenRefused:
    return TokenRefused(403, "access_denied", f"user {user_id} is not part of the {organization_id} organization")


# The grants of users


def wrong_password(reason: str) -> TokenRefused:
    # One answer for an unknown address and a wrong password: guessers learn nothing.
    return TokenRefused(403, "invalid_grant", "Wrong email or password.", reason=reason)


def wrong_code(reason: str) -> TokenRefused:
    return TokenRefused(403, "invalid_grant", "Invalid authorization code", reason=reason)


def wrong_redirect_uri() -> TokenRefused:
    return TokenRefused(
        403,
        "invalid_grant",
        "The redirect URI is wrong.",
        reason="redirect_uri must be the one that /authorize was called with",
    )


def wrong_code_verifier(reason: str) -> TokenRefused:
    """RFC 7636 section 4.6."""
    return TokenRefused(403, "invalid_grant", "Failed to verify code verifier", reason=reason)


def wrong_refresh_token(reason: str) -> TokenRefused:
    return TokenRefused(403, "invalid_grant", "Unknown or invalid refresh token.", reason=reason)


def scope_not_granted_before(scopes: Iterable[str]) -> TokenRefused:
    """RFC 6749 section 6: a refresh must not ask for what the login was not granted."""
    return TokenRefused(400, "invalid_scope", f"Not granted at the login: {' '.join(scopes)}")


# At /authorize


def unknown_client(client_id: str) -> TokenRefused:
    return malformed(f"Unknown client: {client_id}")


def callback_mismatch() -> TokenRefused:
    return TokenRefused(
        403,
        "unauthorized_client",
        "Callback URL mismatch. The provided redirect_uri is not in the list of allowed callback URLs.",
    )


def unsupported_response_type(response_type: str) -> TokenRefused:
    """RFC 6749 section 4.1.2.1."""
    return TokenRefused(400, "unsupported_response_type", f"Unsupported response type: {response_type}")


def login_required() -> TokenRefused:
    """OpenID Connect Core 1.0 section 3.1.2.6."""
    return TokenRefused(400, "login_required", "Login required", reason="prompt=none, and this tenant keeps no session")


def not_agreed() -> TokenRefused:
    return TokenRefused(403, "access_denied", "User did not authorize the request")


def login_over() -> TokenRefused:
    return malformed("This login is over, or began in another browser. Go back to the application and begin again.")


# At /userinfo


def wrong_access_token(reason: str, scheme: str = "Bearer") -> TokenRefused:
    """RFC 6750 section 3.1; RFC 9449 section 7.1 for the scheme DPoP."""
    return TokenRefused(
        401,
        "invalid_token",
        "The access token is not one for /userinfo",
        reason=reason,
        headers={"WWW-Authenticate": _challenge(scheme, "invalid_token")},
    )


def wrong_proof_for_userinfo(reason: str) -> TokenRefused:
    """RFC 9449 section 7.1."""
    return TokenRefused(
        401,
        "invalid_dpop_proof",
        "The DPoP proof is missing or not valid",
        reason=reason,
        headers={"WWW-Authenticate": _challenge("DPoP", "invalid_dpop_proof")},
    )


def _challenge(scheme: str, error: str) -> str:
    algorithms = f', algs="{" ".join(PROOF_ALGORITHMS)}"' if scheme == "DPoP" else ""
    return f'{scheme} error="{error}"{algorithms}'
