"""The tenant, everything together: what is registered, the tokens it issues, and the doors it is served at."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from . import identifiers, metadata, signing
from .apis import Api
from .applications import Application
from .authorization import Authorizations, Redirect, Showing
from .binding import NOTHING, Shown, check_thumbprint, thumbprint_of
from .books import Books
from .codes import Codes
from .directory import Directory
from .errors import Rule, TenantError
from .events import issued, refused
from .exchange import Granted, begin_family, decide, granted_to_user, with_family
from .issuing import TYPES, Claims, access_claims, id_claims, profile_claims
from .opaque import OpaqueTokens
from .people import Organization, User
from .proofs import Proofs
from .refusals import TokenRefused, grant_type_not_allowed, unknown_service, wrong_access_token
from .registry import Keeper
from .scopes import read_asked, scope_names
from .signing import KeyRole, SigningKeys
from .token_request import Credentials, TokenRequest, TokenResponse
from .userinfo import read_access_token

if TYPE_CHECKING:
    from .server import Server
    from .setup_file import Written
    from .transport import TenantTransport

DEFAULT_ISSUER = "https://tenant.jwtgate.test/"


class Tenant(Directory):
    """An issuer for demos, development and tests, that acts as the settings of its APIs say.

    issuer: the name in `iss` and in the discovery document. A tenant that was given none is called by the
        address where it is served, while it is served, and `https://tenant.jwtgate.test/` otherwise.
    clock: the time in seconds since 1970, for `iat` and `exp`.
    organization_names: tokens for an organization have its `org_name` beside its `org_id`, and clients may ask
        for it by its name.
    keeper: keeps what is registered, and the refresh tokens, longer than this process; without one, all of it
        lives in memory.

    Keys and secrets are random for each tenant, and stay what they are where a keeper keeps them. May be used by
    several threads. What is handed out (an `Api`, a `User` …) shows how things stood at that moment, and stands for
    the same thing ever after.
    Raises TenantError for an issuer that cannot be one.
    """

    def __init__(
        self,
        issuer: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
        organization_names: bool = False,
        keeper: Keeper | None = None,
    ) -> None:
        self._issuer = None if issuer is None else metadata.canonical_issuer(issuer)
        self._clock = clock
        self._server: Server | None = None
        self._serving = threading.Lock()
        self._keys = SigningKeys(lambda: self.domain, keeper)
        super().__init__(lambda: self.issuer, keeper)
        self._proofs = Proofs(clock)
        self._books = Books(
            registry=self._registry, codes=Codes(clock), proofs=self._proofs, organization_names=organization_names
        )
        self._authorizations = Authorizations(self._books, partial(self._respond, id_token=False))
        self._opaque = OpaqueTokens()

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        issuer: str | None = None,
        clock: Callable[[], float] = time.time,
        keeper: Keeper | None = None,
    ) -> Self:
        """A tenant that is set up as a YAML file says: see `from_mapping`.

        Raises SetupError, which names file, line and column, for a file that is no such setup.
        """
        # Here and not above: a tenant that Python sets up needs no YAML.
        from .setup_file import read_file  # noqa: PLC0415

        return cls._set_up(read_file(path), issuer, clock, keeper)

    @classmethod
    def from_mapping(
        cls,
        setup: Mapping[str, Any],
        *,
        issuer: str | None = None,
        clock: Callable[[], float] = time.time,
        keeper: Keeper | None = None,
    ) -> Self:
        """A tenant with `apis`, `applications`, `grants`, `roles`, `users`, `organizations`: lists of mappings.

        Their keys are the settings of `register_api`, `create_application` and so on. What a keeper has kept is
        there before, and changed where the setup says something else; in it, all of the setup is kept, or none.
        issuer: goes before the setup's own.

        Raises SetupError, which names the way to the fault, for an entry that breaks a rule.
        """
        from .setup_file import Written  # noqa: PLC0415

        return cls._set_up(Written(setup), issuer, clock, keeper)

    @classmethod
    def _set_up(cls, written: Written, issuer: str | None, clock: Callable[[], float], keeper: Keeper | None) -> Self:
        from . import setup  # noqa: PLC0415

        wanted = setup.read(written)
        said: dict[str, Any] = {**wanted.root.said, **({} if issuer is None else {"issuer": issuer})}
        with nullcontext() if keeper is None else keeper.together():
            # An issuer that was given beside the setup is not the setup's fault.
            with nullcontext() if issuer is not None else wanted.root.blamed():
                tenant = cls(**said, clock=clock, keeper=keeper)
            setup.apply(wanted, tenant)
        return tenant

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

    # Tokens

    def token(self, request: TokenRequest) -> TokenResponse:
        """What the token endpoint answers. Raises TokenRefused."""
        try:
            granted = decide(self._books, request)
        except TokenRefused as fault:
            refused(self._registry, request, fault)
            raise
        issued(request, granted)
        nonce = self._proofs.next_nonce(request.shown, public=granted.application.is_public)
        return replace(self._respond(granted), dpop_nonce=nonce)

    def client_credentials(
        self,
        application: Application,
        api: Api | str,
        scope: str | None = None,
        *,
        organization: Organization | str | None = None,
        jkt: str | None = None,
        certificate: bytes | None = None,
    ) -> TokenResponse:
        """A token for a machine: the request that the application would send, decided as at the endpoint.

        api: or any identifier, also one that is not registered. scope: separated by spaces; like Auth0's, the
        answer holds all that was granted, however few of it were asked for.
        jkt: the thumbprint of the key of which the application would send a DPoP proof (RFC 7638, SHA-256).
        certificate: that of its TLS connection, in DER. Raises TokenRefused.
        """
        parameters = _machine_parameters(api, scope, organization)
        return self.token(self._request(application, parameters, _shown(jkt, certificate)))

    def password(
        self,
        application: Application,
        api: Api | str | None,
        user: User,
        scope: str | None = None,
        *,
        organization: Organization | str | None = None,
        jkt: str | None = None,
        certificate: bytes | None = None,
    ) -> TokenResponse:
        """A token for a user who tells the application their password, decided as at the endpoint.

        jkt, certificate: see `client_credentials`. Raises TokenRefused, also to an application that was not given
        this grant.
        """
        parameters = {
            "grant_type": "password",
            "username": user.email,
            "password": self._own_user(user).password,
            "audience": _identifier(api),
            "scope": scope,
            "organization": _organization(organization),
        }
        return self.token(self._request(application, parameters, _shown(jkt, certificate)))

    def authorization_code(
        self,
        application: Application,
        api: Api | str | None,
        user: User,
        scope: str | None = None,
        *,
        organization: Organization | str | None = None,
        jkt: str | None = None,
        certificate: bytes | None = None,
    ) -> TokenResponse:
        """A token for a user who logs in at `/authorize` and agrees: what comes of it, without a browser.

        api: None for a token that only /userinfo takes. jkt, certificate: see `client_credentials`.
        Raises TokenRefused.
        """
        shown = _shown(jkt, certificate)
        return self._respond(self._logged_in(application, api, user, scope, organization, shown=shown))

    def refresh(
        self,
        application: Application,
        refresh_token: str,
        scope: str | None = None,
        *,
        jkt: str | None = None,
        certificate: bytes | None = None,
    ) -> TokenResponse:
        """A new token for a refresh token, decided as at the endpoint.

        scope: fewer than were asked for at the login. jkt, certificate: see `client_credentials`.
        Raises TokenRefused.
        """
        parameters = {"grant_type": "refresh_token", "refresh_token": refresh_token, "scope": scope}
        return self.token(self._request(application, parameters, _shown(jkt, certificate)))

    def claims(
        self,
        application: Application,
        api: Api | str,
        scope: str | None = None,
        *,
        user: User | None = None,
        organization: Organization | str | None = None,
        jkt: str | None = None,
        certificate: bytes | None = None,
    ) -> Claims:
        """What `client_credentials`, or with a user `authorization_code`, would sign: to be changed and signed.

        Raises TokenRefused.
        """
        shown = _shown(jkt, certificate)
        if user is None:
            request = self._request(application, _machine_parameters(api, scope, organization), shown)
            return self._claims(decide(self._books, request))
        return self._claims(self._logged_in(application, api, user, scope, organization, shown=shown))

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

    def encrypt(self, token: str, api: Api, *, header: Mapping[str, Any] | None = None) -> str:
        """A compact JWE of this token, whatever it is, with the encryption key that the API has now.

        header: members that replace or join alg, enc, kid and cty; None takes one away. They say what they say and
            do not change how it is encrypted.

        Raises TenantError for an API whose tokens are not encrypted.
        """
        encryption = self._own_api(api).token_encryption
        if encryption is None:
            raise TenantError(Rule.ENCRYPTION_OFF, api.identifier)
        return encryption.encrypt(token, header=header)

    # Documents and doors

    def jwks(self) -> dict[str, Any]:
        """The JWK Set: current and next key, and the previous one between rotating and revoking."""
        return self._keys.jwks()

    def discovery(self) -> dict[str, Any]:
        """The discovery document of the issuer as it is now."""
        return metadata.discovery(self.issuer)

    def transport(self, *, client_certificate: bytes | None = None) -> TenantTransport:
        """This tenant without a socket, for httpx.Client and httpx.AsyncClient; each has a log of its own.

        client_certificate: that of every connection through it, in DER, as if it were TLS.
        """
        # Here and not above: a tenant that only signs needs no HTTP library.
        from .endpoints import Endpoints  # noqa: PLC0415
        from .transport import TenantTransport  # noqa: PLC0415

        return TenantTransport(Endpoints(self), client_certificate)

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

    # At /authorize and /userinfo

    def begin_login(self, pairs: Iterable[tuple[str, str]], browser: str) -> Showing | Redirect:
        """What `/authorize` answers. Raises TokenRefused for what is shown to the user."""
        return self._authorizations.begin(pairs, browser)

    def finish_login(self, pairs: Iterable[tuple[str, str]], browser: str) -> Redirect:
        """What the page's form comes to. Raises TokenRefused for what is shown to the user."""
        return self._authorizations.finish(pairs, browser)

    def userinfo(self, token: str, *, scheme: str = "Bearer", shown: Shown = NOTHING) -> Claims:
        """What `/userinfo` answers to an access token that may be used there.

        scheme, shown: under which it was sent, and what shows who sent it. Raises TokenRefused.
        """
        claims = read_access_token(token, opaque=self._opaque, jwks=self.jwks(), issuer=self.issuer, now=self._clock())
        self._proofs.check_binding(token, claims, scheme, shown)
        user = self._registry.user(claims["sub"])
        if user is None:
            raise wrong_access_token("it belongs to nobody here")
        return {"sub": user.user_id, **profile_claims(user, scope_names(claims.get("scope")))}

    def _respond(self, granted: Granted, *, id_token: bool = True) -> TokenResponse:
        api, user = granted.api, granted.user
        claims = self._claims(granted)
        refresh_token = granted.refresh_token
        if granted.family is not None and user is not None:
            refresh_token = begin_family(self._books, granted, user, granted.family)
        return TokenResponse(
            access_token=self._opaque.seal(claims, self.issuer) if api is None else self._sealed(claims, api),
            refresh_token=refresh_token,
            id_token=self._id_token(granted) if id_token else None,
            scope=" ".join(granted.scopes) or None,
            expires_in=granted.lifetime,
            # RFC 9449 section 5; and as with Auth0 also for a token that is bound to a certificate.
            token_type="Bearer" if granted.confirmation is None else "DPoP",
        )

    def _sealed(self, claims: Claims, api: Api) -> str:
        """Signed and, for an API that has an encryption key, encrypted."""
        signed = self.sign(claims, api=api)
        return signed if api.token_encryption is None else api.token_encryption.encrypt(signed)

    def _claims(self, granted: Granted) -> Claims:
        return access_claims(granted, self.issuer, self._clock(), organization_names=self._books.organization_names)

    def _id_token(self, granted: Granted) -> str | None:
        if granted.user is None or "openid" not in granted.scopes:
            return None
        names = self._books.organization_names
        return self.sign(id_claims(granted, granted.user, self.issuer, self._clock(), organization_names=names))

    def _request(self, application: Application, parameters: Mapping[str, str | None], shown: Shown) -> TokenRequest:
        """As the application would send it, with the secret that it has now; one of another tenant has its own."""
        sender = self._registry.application(application.client_id) or application
        credentials = Credentials(
            method=sender.token_endpoint_auth, client_id=sender.client_id, client_secret=sender.client_secret
        )
        return TokenRequest(parameters=_present(parameters), credentials=credentials, shown=shown)

    def _logged_in(
        self,
        application: Application,
        api: Api | str | None,
        user: User,
        scope: str | None,
        organization: Organization | str | None,
        *,
        shown: Shown,
    ) -> Granted:
        own = self._own_application(application)
        if "authorization_code" not in own.grant_types:
            raise grant_type_not_allowed("authorization_code")
        parameters = _present(
            {"audience": _identifier(api), "scope": scope, "organization": _organization(organization)}
        )
        asked = read_asked(
            self._registry,
            own,
            parameters,
            by_name=self._books.organization_names,
            unknown=unknown_service,
        )
        sender = self._proofs.sender_of(shown, public=own.is_public)
        granted = granted_to_user(self._books, asked, self._own_user(user), sender=sender)
        return with_family(granted, identifiers.new_family())


def _shown(jkt: str | None, certificate: bytes | None) -> Shown:
    """What an application would show, in place of a proof and of a connection. Raises TenantError."""
    check_thumbprint(jkt)
    return Shown(jkt=jkt, x5t=None if certificate is None else thumbprint_of(certificate))


def _machine_parameters(
    api: Api | str, scope: str | None, organization: Organization | str | None
) -> dict[str, str | None]:
    return {
        "grant_type": "client_credentials",
        "audience": _identifier(api),
        "scope": scope,
        "organization": _organization(organization),
    }


def _identifier(api: Api | str | None) -> str | None:
    return api.identifier if isinstance(api, Api) else api


def _organization(organization: Organization | str | None) -> str | None:
    return organization.id if isinstance(organization, Organization) else organization


def _present(parameters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}


def _secret(algorithm: str, api: Api | None, given: str | bytes | None) -> bytes:
    secret = api.signing_secret if given is None and api is not None else given
    if secret is None:
        raise TenantError(Rule.SIGNING_SECRET_MISSING, algorithm)
    return secret.encode() if isinstance(secret, str) else secret
