"""What the demo plays on: a tenant and a sample API on loopback, applications, and the tokens they can get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from jwtgate.core.errors import AuthError
from jwtgate.core.settings import ApiSettings
from jwtgate.tenant import Api, Application, Tenant

from .sample_api import sample_api, serving

PERMISSIONS: Final = {"read:messages": "Read messages", "write:messages": "Write messages"}

# name, and with it the path → what is set on the Dashboard's page of the API. Adding one is one line.
APIS: Final[Mapping[str, Mapping[str, Any]]] = {
    "auth0": {"identifier": "https://api.example/", "rbac": True, "permissions_in_token": True},
    "no-slash": {"identifier": "https://api.example"},
    "rbac-off": {"identifier": "https://rbac-off.example/"},
    "rfc9068": {"identifier": "https://rfc9068.example/", "profile": "rfc9068"},
    "ps256": {"identifier": "https://ps256.example/", "signing_algorithm": "PS256"},
    "hs256": {"identifier": "https://hs256.example/", "signing_algorithm": "HS256"},
}


class Refusals:
    """What the sample API says of the request that it refused last."""

    def __init__(self) -> None:
        self._last: AuthError | None = None

    def note(self, error: AuthError, _: object) -> None:
        self._last = error

    def take(self) -> AuthError | None:
        """The last one, once."""
        last, self._last = self._last, None
        return last


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """tenant: serves its keys and tokens at its issuer; stranger: another tenant, whom no API trusts.

    api_url: where the sample API answers, without a slash at its end. apis: by name, as they are registered.
    backend: an application with every permission; reader: one that may only read.
    """

    tenant: Tenant
    stranger: Tenant
    apis: Mapping[str, Api]
    backend: Application
    reader: Application
    api_url: str
    http: httpx.Client = field(repr=False)
    refusals: Refusals = field(repr=False)

    @property
    def applications(self) -> tuple[Application, ...]:
        return (self.backend, self.reader, *(api.test_application for api in self.apis.values()))

    def token_request(self, name: str, application: Application) -> tuple[str, dict[str, str]]:
        """Where an application asks for a token of this API, and with which body (RFC 6749 section 4.4.2)."""
        return f"{self.tenant.issuer}oauth/token", {
            "grant_type": "client_credentials",
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "audience": self.apis[name].identifier,
        }

    def token(self, name: str, application: Application | None = None) -> str:
        """A token of this API, over HTTP, as any application gets it; the backend's unless told."""
        url, body = self.token_request(name, application or self.backend)
        answer = self.http.post(url, json=body).raise_for_status().json()
        return str(answer["access_token"])

    def claims(self, name: str) -> dict[str, Any]:
        """What the tenant would sign for the backend, to be changed and signed."""
        return self.tenant.claims(self.backend, self.apis[name])


@contextmanager
def stage() -> Iterator[Stage]:
    """Tenant and sample API answer until the block ends. Keys, secrets and ports are new each time."""
    tenant = Tenant()
    apis = {name: tenant.register_api(**setting, permissions=PERMISSIONS) for name, setting in APIS.items()}
    backend, reader = tenant.create_application("Backend"), tenant.create_application("Reader")
    for api in apis.values():
        tenant.authorize(backend, api, permissions=PERMISSIONS)
        tenant.authorize(reader, api, permissions=["read:messages"])
    refusals = Refusals()
    with (
        tenant.serve(),
        # The environment may name a proxy, which knows nothing of this machine's loopback. And each request stands for
        # itself: a server that has failed closes its connection.
        httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)) as http,
        serving(sample_api(_settings(tenant, apis), refusals.note)) as api_url,
    ):
        yield Stage(
            tenant=tenant,
            stranger=Tenant("https://stranger.example/"),
            apis=apis,
            backend=backend,
            reader=reader,
            api_url=api_url,
            http=http,
            refusals=refusals,
        )


def _settings(tenant: Tenant, apis: Mapping[str, Api]) -> dict[str, ApiSettings]:
    """What each API must be told, from nothing but its page on the Dashboard."""
    return {
        name: ApiSettings.from_resource_server(api.resource_server(), tenant.issuer, signing_secret=api.signing_secret)
        for name, api in apis.items()
    }
