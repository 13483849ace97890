"""The tenant's log of tokens issued and refused, with the event codes of a real tenant's log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from .exchange import Granted
from .refusals import TokenRefused
from .registry import Registry
from .token_request import TokenRequest

SHOWN = 100  # characters of foreign text in a log line

# Of each grant: the code of a success, and that of a failure.
CODES: Mapping[str, tuple[str, str]] = {
    "authorization_code": ("seacft", "feacft"),
    "client_credentials": ("seccft", "feccft"),
    "password": ("sepft", "fepft"),
    "refresh_token": ("sertft", "fertft"),
}

logger: logging.Logger = logging.getLogger("jwtgate.tenant.events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A token was issued or refused; every record of the logger `jwtgate.tenant.events` has one as `event`.

    type: the code of a real tenant's log, such as `seccft`; "f" for what has none.
    description: of a refusal, as the answer says it; reason: what the answer does not say.
    client_id, client_name: empty where the request names no application of this tenant. No secret is in any of it.
    """

    type: str
    client_id: str
    client_name: str
    audience: str
    scope: str
    user_id: str = ""
    organization_id: str = ""
    description: str = ""
    reason: str = ""

    def __str__(self) -> str:
        """One line of ASCII, whatever the request held."""
        said = {
            "audience": self.audience,
            "scope": self.scope,
            "user": self.user_id,
            "organization": self.organization_id,
        }
        told = "".join(f" {name} {value[:SHOWN]!a}" for name, value in said.items() if value)
        why = f": {self.description[:SHOWN]!a}" if self.description else ""
        more = f" ({self.reason})" if self.reason else ""
        return f"{self.type} {ascii(self.client_name or self.client_id)[:SHOWN]}{told}{why}{more}"


def issued(request: TokenRequest, granted: Granted) -> None:
    """One line for a token that goes out."""
    success, _ = CODES[request.parameters["grant_type"]]
    _log(
        Event(
            type=success,
            client_id=granted.application.client_id,
            client_name=granted.application.name,
            audience="" if granted.api is None else granted.api.identifier,
            scope=" ".join(granted.scopes),
            user_id="" if granted.user is None else granted.user.user_id,
            organization_id="" if granted.organization is None else granted.organization.id,
        )
    )


def refused(registry: Registry, request: TokenRequest, refusal: TokenRefused) -> None:
    """One line for a token that does not go out, with the reason."""
    _, failure = CODES.get(request.parameters.get("grant_type", ""), ("s", "f"))
    named = request.credentials.client_id if request.credentials else ""
    application = registry.application(named)
    _log(
        Event(
            type=failure,
            client_id=named,
            client_name="" if application is None else application.name,
            audience=request.parameters.get("audience", ""),
            scope=request.parameters.get("scope", ""),
            organization_id=request.parameters.get("organization", ""),
            description=f"{refusal.status} {refusal.error}: {refusal.description}",
            reason=refusal.reason,
        )
    )


def _log(event: Event) -> None:
    logger.info("%s", event, extra={"event": event})
