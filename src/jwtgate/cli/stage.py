"""What the demo plays on: a tenant and a sample API on loopback, applications, and the tokens they can get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from jwtgate.core.errors import AuthError
from jwtgate.core.settings import ApiSettings
from jwtgate.tenant import Api, Application, Tenant, TokenEncryption

from .sample_api import sample_api, serving
from .sender import Sender

PERMISSIONS: Final = {"read:messages": "Read messages", "write:messages": "Write messages"}

# name, and with it the path → what is set on the Dashboard's page of the API. Adding one is one line.
APIS: Final[Mapping[str, Mapping[str, Any]]] = {
    "auth0": {"identifier": "https://api.example/", "rbac": True, "permissions_in_token": True},
    "no-slash": {"identifier": "https://api.example"},
    "rbac-off": {"identifier": "https://rbac-off.example/"},
    "rfc9068": {"identifier": "https://rfc9068.example/", "profile": "rfc9068"},
    "ps256": {"identifier": "https://ps256.example/", "signing_algorithm": "PS256"},
    "hs256": {"identifier": "https://hs256.example/", "signing_algorithm": "HS256"},
    "dpop": {
        "identifier": "https://dpop.example/",
        "proof_of_possession": {"mechanism": "dpop", "required": False},
    },
    "mtls": {
        "identifier": "https://mtls.example/",
        "proof_of_possession": {"mechanism": "mtls", "required": True},
    },
    "encrypted": {"identifier": "https://encrypted.example/"},
}

# What only the API itself knows: how it is reached, and with which key its tokens are opened.
OWN: Final[Mapping[str, Mapping[str, Any]]] = {
    # The sender of the demo's requests plays the proxy, too, that has ended the TLS connection.
    "mtls": {"trusted_proxies": ["127.0.0.1"], "certificate_header": "Client-Cert"},
}


class EncryptionKey:
    """A key pair of an API: the tenant gets the public half."""

    def __init__(self, kid: str) -> None:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.pem: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.registered: TokenEncryption = TokenEncryption(algorithm="RSA-OAEP-256", pem=public.decode(), kid=kid)


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
    sender: who sends their requests; thief: who has their tokens, and neither their key nor their certificate.
    """

    tenant: Tenant
    stranger: Tenant
    apis: Mapping[str, Api]
    backend: Application
    reader: Application
    sender: Sender
    thief: Sender
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
        answer = self.http.post(url, json=body, headers=self._shown(name, url)).raise_for_status().json()
        return str(answer["access_token"])

    def _shown(self, name: str, url: str) -> dict[str, str]:
        """What the tenant binds a token of this API to (RFC 9449 section 5, RFC 8705 section 3)."""
        policy = self.apis[name].proof_of_possession
        if policy is None:
            return {}
        if policy.mechanism == "dpop":
            return {"DPoP": self.sender.proof("POST", url)}
        return {"Client-Cert": self.sender.client_cert}

    def claims(self, name: str) -> dict[str, Any]:
        """What the tenant would sign for the backend, to be changed and signed."""
        return self.tenant.claims(self.backend, self.apis[name])


@contextmanager
def stage() -> Iterator[Stage]:
    """Tenant and sample API answer until the block ends. Keys, secrets and ports are new each time."""
    tenant = Tenant()
    key = EncryptionKey("key-1")
    apis = {name: tenant.register_api(**setting, permissions=PERMISSIONS) for name, setting in APIS.items()}
    apis["encrypted"] = tenant.update_api(apis["encrypted"], token_encryption=key.registered)
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
        serving(sample_api(_settings(tenant, apis, key.pem), refusals.note)) as api_url,
    ):
        yield Stage(
            tenant=tenant,
            stranger=Tenant("https://stranger.example/"),
            apis=apis,
            backend=backend,
            reader=reader,
            sender=Sender(),
            thief=Sender(),
            api_url=api_url,
            http=http,
            refusals=refusals,
        )


def _settings(tenant: Tenant, apis: Mapping[str, Api], pem: bytes) -> dict[str, ApiSettings]:
    """What each API must be told: its page on the Dashboard, and what only the API itself knows."""
    return {
        name: replace(
            ApiSettings.from_resource_server(
                api.resource_server(),
                tenant.issuer,
                signing_secret=api.signing_secret,
                decryption_keys=pem if api.token_encryption else (),
            ),
            # One process: the environment may announce several, which then share a file.
            store="memory://",
            **OWN.get(name, {}),
        )
        for name, api in apis.items()
    }
