"""The tenant, everything together: register APIs, authorise applications, issue tokens, be served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import identifiers, metadata, signing
from .apis import Api, Profile, SigningAlgorithm, permission_table
from .applications import (
    Application,
    ClientGrant,
    GrantType,
    TokenEndpointAuth,
    granted_permissions,
)
from .errors import Rule, TenantError
from .exchange import Granted, decide
from .issuing import TYPES, Claims, machine_claims
from .names import check_name
from .registry import Registry
from .signing import KeyRole, SigningKeys
from .token_request import Credentials, TokenRequest, TokenResponse

if TYPE_CHECKING:
    from .server import Server
    from .transport import TenantTransport

DEFAULT_ISSUER = "https://tenant.jwtgate.test/"


class Tenant:
    """An issuer for demos, development and tests, that acts as the settings of its APIs say.

    issuer: the name in `iss` and in the discovery document. A tenant that was given none is called by the
        address where it is served, while it is served, and `https://tenant.jwtgate.test/` otherwise.
    clock: the time in seconds since 1970, for `iat` and `exp`.

    Keys and secrets are random for each tenant and live in memory. May be used by several threads.
    Raises TenantError for an issuer that cannot be one.
    """

    def __init__(self, issuer: str | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._issuer = None if issuer is None else metadata.canonical_issuer(issuer)
        self._clock = clock
        self._registry = Registry()
        self._keys = SigningKeys(lambda: self.domain)
        self._serving = threading.Lock()
        self._server: Server | None = None

    @property
    def issuer(self) -> str:
        """Ends with a slash, always."""
        if self._issuer is not None:
            return self._issuer
        server = self._server
        return DEFAULT_ISSUER if server is None or server.closed else server.url

    @property
    def domain(self) -> str:
        """The issuer's host, with its port if it has one: what settings call `domain`."""
        return self.issuer.removesuffix("/").partition("://")[2]

    @property
    def keys(self) -> SigningKeys:
        """The tenant's own keys: look at them, rotate, revoke."""
        return self._keys

    # APIs and applications

    def register_api(
        self,
        identifier: str,
        *,
        name: str | None = None,
        profile: Profile = "auth0",
        signing_algorithm: SigningAlgorithm = "RS256",
        signing_secret: str | None = None,
        token_lifetime: int = 86_400,
        rbac: bool = False,
        permissions_in_token: bool = False,
        permissions: Mapping[str, str] | Iterable[str] = (),
    ) -> Api:
        """A new API, with a test application that is authorised for it (and for none of its permissions).

        The settings are those of the Dashboard; see `Api` for units and limits. An HS256 API without a
        `signing_secret` gets a random one. `permissions`: value to description, or values alone.

        Raises TenantError for a setting that breaks its rule, and for an identifier that is taken; two
        identifiers that differ by a slash, or by case, are two APIs.
        """
        if signing_secret is None and signing_algorithm == "HS256":
            signing_secret = identifiers.new_secret()
        api = Api(
            id=identifiers.new_api_id(),
            identifier=identifier,
            name=name,
            profile=profile,
            signing_algorithm=signing_algorithm,
            signing_secret=signing_secret,
            token_lifetime=token_lifetime,
            rbac=rbac,
            permissions_in_token=permissions_in_token,
            permissions=permission_table(permissions),
            test_application=_application(f"{name or identifier} (Test Application)"),
        )
        self._registry.add_api(api, _grant(api.test_application, api, ()))
        return api

    def create_application(
        self,
        name: str,
        *,
        token_endpoint_auth: TokenEndpointAuth = "client_secret_post",
        grant_types: Iterable[GrantType] = ("client_credentials",),
    ) -> Application:
        """A new machine-to-machine application; it is authorised for nothing yet.

        token_endpoint_auth: where the token endpoint takes its secret, and only there.
        grant_types: none means that the token endpoint refuses it every grant.

        Raises TenantError for a setting that breaks its rule.
        """
        check_name(name)
        application = _application(name, token_endpoint_auth, grant_types)
        self._registry.add_application(application)
        return application

    def authorize(self, application: Application, api: Api | str, permissions: Iterable[str] = ()) -> ClientGrant:
        """The application may have tokens for this API, with these permissions; an older grant is replaced.

        Raises TenantError for a permission that the API does not define, and for an application or API of
        another tenant.
        """
        api = self._own_api(api)
        grant = _grant(self._own_application(application), api, permissions)
        self._registry.put_grant(grant)
        return grant

    def withdraw(self, application: Application, api: Api | str) -> None:
        """No more tokens for this API; those that were issued live until they expire.

        Raises TenantError when the application was not authorised.
        """
        self._registry.drop_grant(self._own_application(application).client_id, self._own_api(api).identifier)

    # Tokens

    def token(self, request: TokenRequest) -> TokenResponse:
        """What the token endpoint answers. Raises TokenRefused."""
        granted = decide(self._registry, request)
        return TokenResponse(
            access_token=self.sign(self._claims(granted), api=granted.api),
            scope=" ".join(granted.scopes) or None,
            expires_in=granted.api.token_lifetime,
        )

    def client_credentials(self, application: Application, api: Api | str, scope: str | None = None) -> TokenResponse:
        """A token for a machine: the request that the application would send, decided as at the endpoint.

        api: or any identifier, also one that is not registered. scope: separated by spaces; like Auth0's, the
        answer holds all that was granted, however few of it were asked for. Raises TokenRefused.
        """
        return self.token(_request(application, api, scope))

    def claims(self, application: Application, api: Api | str, scope: str | None = None) -> Claims:
        """What `client_credentials` would sign, to be changed and given to `sign`. Raises TokenRefused."""
        return self._claims(decide(self._registry, _request(application, api, scope)))

    def sign(
        self,
        claims: Mapping[str, Any] | bytes,
        *,
        header: Mapping[str, Any] | None = None,
        api: Api | None = None,
        algorithm: str | None = None,
        key: KeyRole = "current",
        secret: str | bytes | None = None,
    ) -> str:
        """A compact JWS that signs whatever it is given: nothing is added to the claims, nothing is checked.

        claims: as JSON, or bytes to be signed as they are.
        header: members that replace or join alg, typ and kid; None takes one away. They say what they say and
            do not change how it is signed.
        api: gives algorithm, `typ` and secret, as for one of its tokens.
        algorithm: RS, PS or HS with 256, 384 or 512; without `api`, RS256 unless given.
        key: which of the tenant's keys. secret: for HMAC, text in UTF-8 or bytes, of any length.

        Raises TenantError for an algorithm or key that is not there, and for HMAC without a secret.
        """
        if algorithm is None:
            algorithm = "RS256" if api is None else api.signing_algorithm
        stated: dict[str, Any] = {"alg": algorithm, "typ": "JWT" if api is None else TYPES[api.profile]}
        if signing.is_symmetric(algorithm):
            signer = signing.hmac_signer(algorithm, _secret(algorithm, api, secret))
        else:
            signing_key = self._keys.key(key)
            stated["kid"] = signing_key.kid
            signer = signing.rsa_signer(algorithm, signing_key)
        stated.update(header or {})
        present = {name: value for name, value in stated.items() if value is not None}
        return signing.compact(present, claims, signer)

    # Documents and doors

    def jwks(self) -> dict[str, Any]:
        """The JWK Set: current and next key, and the previous one between rotating and revoking."""
        return self._keys.jwks()

    def discovery(self) -> dict[str, Any]:
        """The discovery document of the issuer as it is now."""
        return metadata.discovery(self.issuer)

    def transport(self) -> TenantTransport:
        """This tenant without a socket, for httpx.Client and httpx.AsyncClient; each has a log of its own."""
        # Here and not above: a tenant that only signs needs no HTTP library.
        from .endpoints import Endpoints  # noqa: PLC0415
        from .transport import TenantTransport  # noqa: PLC0415

        return TenantTransport(Endpoints(self))

    def serve(self, host: str = "127.0.0.1", port: int = 0, *, allow_beyond_loopback: bool = False) -> Server:
        """This tenant over HTTP, from now until the server is closed: `with tenant.serve() as server`.

        port: 0 takes any free one; `server.url` tells which.
        allow_beyond_loopback: then give the tenant an issuer that the other machines can resolve.
        Raises TenantError for an address that other machines can reach (when allowed, it is a
        BeyondLoopbackWarning), for one that cannot be had, and for a tenant without an issuer of its own that
        is being served already: it would have two names.
        """
        from .endpoints import Endpoints  # noqa: PLC0415
        from .server import Server, check_host  # noqa: PLC0415

        check_host(host, allow_beyond_loopback=allow_beyond_loopback)
        with self._serving:
            if self._issuer is None and self._server is not None and not self._server.closed:
                raise TenantError(Rule.SERVED_ONCE, self._server.url)
            # First the name, then the door: no answer may go out under another issuer.
            self._server = server = Server(Endpoints(self), host, port)
            server.start()
        return server

    def _claims(self, granted: Granted) -> Claims:
        return machine_claims(granted, self.issuer, self._clock())

    def _own_api(self, api: Api | str) -> Api:
        identifier = api if isinstance(api, str) else api.identifier
        own = self._registry.api(identifier)
        if own is None or (isinstance(api, Api) and own is not api):
            raise TenantError(Rule.API_UNKNOWN, identifier)
        return own

    def _own_application(self, application: Application) -> Application:
        if self._registry.application(application.client_id) is not application:
            raise TenantError(Rule.APPLICATION_UNKNOWN, application.name)
        return application


def _application(
    name: str,
    token_endpoint_auth: TokenEndpointAuth = "client_secret_post",
    grant_types: Iterable[GrantType] = ("client_credentials",),
) -> Application:
    return Application(
        client_id=identifiers.new_client_id(),
        client_secret=identifiers.new_secret(),
        name=name,
        token_endpoint_auth=token_endpoint_auth,
        grant_types=tuple(grant_types),
    )


def _grant(application: Application, api: Api, permissions: Iterable[str]) -> ClientGrant:
    return ClientGrant(
        id=identifiers.new_grant_id(),
        client_id=application.client_id,
        audience=api.identifier,
        permissions=granted_permissions(permissions, api.permissions),
    )


def _request(application: Application, api: Api | str, scope: str | None) -> TokenRequest:
    parameters = {
        "grant_type": "client_credentials",
        "audience": api if isinstance(api, str) else api.identifier,
        "scope": scope or "",
    }
    credentials = Credentials(
        method=application.token_endpoint_auth,
        client_id=application.client_id,
        client_secret=application.client_secret,
    )
    present = {name: value for name, value in parameters.items() if value}
    return TokenRequest(parameters=present, credentials=credentials)


def _secret(algorithm: str, api: Api | None, given: str | bytes | None) -> bytes:
    secret = api.signing_secret if given is None and api is not None else given
    if secret is None:
        raise TenantError(Rule.SIGNING_SECRET_MISSING, algorithm)
    return secret.encode() if isinstance(secret, str) else secret
