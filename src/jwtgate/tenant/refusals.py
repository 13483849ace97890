"""Every way in which the token endpoint says no: word for word as Auth0 does, else as the standard does."""

from __future__ import annotations

from collections.abc import Iterable

from jwtgate.core.errors import JwtGateError

GRANT_TYPES_PAGE = "https://auth0.com/docs/clients/client-grant-types"
CLIENT_GRANTS_PAGE = "https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants"


class TokenRefused(JwtGateError):
    """A token request was refused.

    status: of the HTTP answer. error, description, error_uri: its body; error_uri may be None.
    reason: what the body does not say, for the log and for `str(error)`; no secret is in it.
    """

    def __init__(
        self, status: int, error: str, description: str, *, error_uri: str | None = None, reason: str = ""
    ) -> None:
        super().__init__(f"{status} {error}: {description}" + (f" ({reason})" if reason else ""))
        self.status = status
        self.error = error
        self.description = description
        self.error_uri = error_uri
        self.reason = reason

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


def no_client_grant(audience: str) -> TokenRefused:
    return TokenRefused(
        403,
        "access_denied",
        f'Client is not authorized to access "{audience}". You need to create a "client-grant" associated to'
        f" this API. See: {CLIENT_GRANTS_PAGE}",
    )


def scopes_not_granted(scopes: Iterable[str]) -> TokenRefused:
    return TokenRefused(403, "access_denied", f"Client has not been granted scopes: {', '.join(scopes)}")
