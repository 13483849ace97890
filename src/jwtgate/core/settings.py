"""What this API accepts, in the Dashboard's words; a setting that could never be right fails here, at start-up."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, cast, get_args

from .decryption_keys import ALGORITHMS as KEY_ALGORITHMS
from .decryption_keys import ENCRYPTIONS, DecryptionKey, Given, read_decryption_keys
from .effects import Resolver
from .environment import read_environment, variable_for
from .errors import AuthError, Refusal, SettingsError
from .jwk import ASYMMETRIC, SYMMETRIC, KeySet, SharedSecret, read_keys
from .possession import Mechanism, ProofOfPossession, read_possession
from .proxies import ProxyRules
from .resource_server import read_resource_server
from .snapshot import own_part
from .values import (
    Profile,
    algorithms_of,
    check_flags,
    check_key,
    check_leeway,
    check_profile,
    check_secret,
    check_url,
    chosen,
    document_of,
    each,
    identifier_of,
    issuer_url,
    permissions_of,
    put,
    sequence,
    types_of,
    whole,
)

MAX_TOKEN_BYTES = (256, 1_048_576)
MAX_MEMORY = 1 << 36  # bytes
MAX_WINDOW = 3_600  # seconds; every proof is remembered for so long
Outage = Literal["serve", "refuse"]
DecryptionKeys = DecryptionKey | Given | Sequence[DecryptionKey | Given]
# RFC 9110 section 5.6.4: what a quoted string may hold without an escape.
_QUOTABLE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the tokens of one issuer must satisfy here: the API's settings and the issuer's own, put together."""

    issuer: str
    identifiers: tuple[str, ...]
    algorithms: frozenset[str]
    profile: Profile | None
    accept_typ: tuple[str | None, ...]
    leeway: float
    token_lifetime: int | None
    confirmations: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """An authorization server whose tokens this API accepts.

    url: its exact `iss` value; no slash is added or taken away.
    jwks_uri: where its keys are; found through its metadata when not given.
    jwks: its keys themselves: a JWK Set, one JWK, PEM, or what `export_keys` gave; then nothing is fetched. Keys in PEM
        have no names, and the kid of a token is then not looked at.
    jwks_file: a file with any of these; it is read again as it ages, and for the sake of an unknown kid.
    metadata_url: where its metadata is, when not at `url` + `/.well-known/openid-configuration`.
    signing_algorithms, profile, identifier, leeway, signing_secret: for this issuer alone; None takes the API's.
    accept_typ: `typ` values taken besides `at+jwt` and `JWT` (compared without case); None stands for no `typ` at all.
    allow_http: take `http` addresses beyond loopback, for an issuer inside a container network.
    jwk_alg_binds: whether a key's own `alg` member, where it has one, is the only algorithm that it may verify. False
        leaves the choice to `signing_algorithms`, within the key's family: Auth0 marks the RSA keys RS256 with which it
        signs the tokens of PS256 APIs too. `Issuer.auth0` sets it; no host name does.

    Raises SettingsError.
    """

    url: str = field(kw_only=False)
    jwks_uri: str | None = None
    jwks: Mapping[str, Any] | str | bytes | None = field(default=None, repr=False)
    jwks_file: str | os.PathLike[str] | None = None
    metadata_url: str | None = None
    signing_algorithms: Sequence[str] | None = None
    signing_secret: bytes | None = field(default=None, repr=False)
    profile: Profile | None = None
    identifier: str | Sequence[str] | None = None
    leeway: float | None = None
    accept_typ: Sequence[str | None] = ()
    allow_http: bool = False
    jwk_alg_binds: bool = True
    of_domain: ClassVar[bool] = False  # whether the settings made it of their `domain`

    def __post_init__(self) -> None:
        check_flags(self, "allow_http")
        check_url("issuer", self.url, allow_http=self.allow_http)
        for name in ("jwks_uri", "metadata_url"):
            value = getattr(self, name)
            if value is not None:
                check_url(name, value, allow_http=self.allow_http, query=True)
        if self.jwks is not None and (self.jwks_uri or self.metadata_url):
            raise SettingsError("jwks", "keys that are given are not fetched: leave out jwks_uri and metadata_url")
        if self.jwks_file is not None:
            self._check_file()
        if self.signing_algorithms is not None:
            put(self, "signing_algorithms", algorithms_of(self.signing_algorithms))
        if self.identifier is not None:
            put(self, "identifier", identifier_of(self.identifier))
        put(self, "accept_typ", types_of(self.accept_typ))
        check_flags(self, "jwk_alg_binds")
        check_profile(self.profile)
        check_leeway(self.leeway)
        if self.jwks is not None:
            put(self, "jwks", document_of(self.jwks))
            self.given_keys(self.signing_algorithms or sorted(ASYMMETRIC))

    @classmethod
    def auth0(cls, domain: str, **settings: Any) -> Self:
        """The issuer of an Auth0 tenant, from its domain: `tenant.eu.auth0.com`, or a custom domain.

        `https://` before it and a slash behind it are understood. The settings are those of `Issuer`.
        """
        return cls(issuer_url(domain), **{"jwk_alg_binds": False, **settings})

    @property
    def discovery_url(self) -> str:
        """Where the issuer's metadata is (OpenID Connect Discovery 1.0 section 4)."""
        return self.metadata_url or self.url.removesuffix("/") + "/.well-known/openid-configuration"

    def _check_file(self) -> None:
        if self.jwks is not None or self.jwks_uri or self.metadata_url:
            raise SettingsError("jwks_file", "keys come from one place: leave out jwks, jwks_uri and metadata_url")
        try:
            put(self, "jwks_file", os.fspath(self.jwks_file or ""))
        except TypeError:
            raise SettingsError("jwks_file", "must be a path", self.jwks_file) from None
        if not isinstance(self.jwks_file, str) or not self.jwks_file or "\0" in self.jwks_file:
            raise SettingsError("jwks_file", "must be a path", self.jwks_file)

    def read_keys(self, document: bytes, algorithms: Collection[str]) -> KeySet:
        """The usable keys in a document that was written for this issuer. Raises ValueError, saying why."""
        return read_keys(own_part(document, self.url), algorithms, alg_binds=self.jwk_alg_binds)

    def given_keys(self, algorithms: Collection[str]) -> KeySet | None:
        """The keys that the settings themselves hold. Raises SettingsError where none can be used."""
        if not isinstance(self.jwks, bytes):
            return None
        try:
            return self.read_keys(self.jwks, algorithms)
        except ValueError as error:
            raise SettingsError("jwks", str(error)) from None


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """What this API accepts.

    identifier: this API's identifier, one of the token's `aud` values, compared exactly: case and trailing slash
        count. Several only by an explicit list.
    domain: an Auth0 tenant's domain, or several (a custom and the canonical one). The same as
        `issuers=[Issuer.auth0(domain)]`.
    issuers: any authorization servers.
    resolver: names further issuers, request by request: called with the `iss` that a token states, which nobody has
        verified, and the request (None where a bare token is verified); gives an `Issuer`, or None for one that is not
        trusted. For an AsyncVerifier it may be a coroutine function.
    signing_algorithms: the API's "Signing Algorithm"; RS256 unless set.
    signing_secret: for HS256 alone: the API's own secret, at least 32 bytes.
    short_secret: admit a secret of 16 to 31 bytes, which RFC 7518 section 3.2 forbids and Auth0 takes.
    profile: the API's "JSON Web Token (JWT) Profile"; None takes either, each by its own rules.
    permissions_in_token: "Add Permissions in the Access Token": a plain name is then looked for in `permissions`,
        else in `scope`.
    permissions: the API's permissions and what each means; for documentation such as OpenAPI.
    token_lifetime: seconds; a token that claims a longer life is refused. None: no limit beyond `exp`.
    leeway: seconds of clock difference forgiven on `exp`, `nbf`, `iat` and `auth_time`; at most 300.
    max_token_bytes: longer tokens are refused unread.
    realm: as it stands in challenges (RFC 9110 section 11.5).
    resource_metadata_url: of this API's RFC 9728 document; it then stands in every 401 and 403.

    proof_of_possession: "dpop" (RFC 9449), "mtls" (RFC 8705) or both: the bindings of tokens that are checked here. A
        token that is bound in another way is refused. `ProofOfPossession("dpop", required=True)`, or the Management
        API's object, refuses tokens that are bound in no way.
    dpop_algorithms: those of proofs; ES256 unless set.
    dpop_window: seconds that a proof may be old, and `leeway` beside.
    dpop_nonce_key: at least 32 bytes; proofs must then carry a nonce that a process with this key supplied.
    dpop_nonce_lifetime: seconds that such a nonce is good for, at least.
    store: where seen proofs and revoked tokens are remembered: "memory://", "sqlite:///path" or "redis://…". None is
        memory; where this is one of several processes by all that shows, a file of this host.
    revocation_delay: seconds until a revocation counts in the other processes.
    revocation_outage: where the store cannot be read for longer than that: "serve" tokens that are not known as
        revoked, or "refuse" all with 503.
    public_url: the address under which clients know this API: scheme, host, port, and a path before the app's own.
    trusted_proxies: networks such as "10.0.0.0/8"; of a request from there, and of no other, these are read:
    proxy_headers: what tells the public URL: "Forwarded", or some of "X-Forwarded-Proto", "X-Forwarded-Host" and
        "X-Forwarded-Prefix".
    certificate_header: what holds the client's certificate: "Client-Cert" (RFC 9440), "X-Forwarded-Client-Cert"
        (Envoy), "X-Amzn-Mtls-Clientcert-Leaf", "X-Amzn-Mtls-Clientcert", or any other with URL-encoded PEM in it
        (nginx: `$ssl_client_escaped_cert`).

    decryption_keys: the private keys that open encrypted tokens (JWE, RFC 7516): each a `DecryptionKey`, PEM, a JWK, a
        path of a file with either, or a callable that keeps the key elsewhere. Signed tokens are then still taken.
    encryption_algorithms: `alg` of such tokens; of "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512" and "RSA-OAEP".
    content_encryption_algorithms: their `enc`; of "A256GCM", "A192GCM" and "A128GCM".

    token_memory_bytes: about how much memory verified tokens may take, so that one which comes again is not verified
        again; 0 remembers none.

    Raises SettingsError for what could never be right.
    """

    identifier: str | Sequence[str]
    domain: str | Sequence[str] | None = None
    issuers: Sequence[Issuer] = ()
    resolver: Resolver | None = None
    signing_algorithms: Sequence[str] = ("RS256",)
    signing_secret: bytes | None = field(default=None, repr=False)
    short_secret: bool = False
    profile: Profile | None = None
    permissions_in_token: bool = False
    permissions: Mapping[str, str] | Iterable[str] = field(default=(), hash=False)
    token_lifetime: int | None = None
    leeway: float = 30
    max_token_bytes: int = 16_384
    realm: str = "api"
    resource_metadata_url: str | None = None
    proof_of_possession: ProofOfPossession | Mechanism | Sequence[Mechanism] | Mapping[str, Any] | None = None
    dpop_algorithms: Sequence[str] = ("ES256",)
    dpop_window: int = 60
    dpop_nonce_key: bytes | None = field(default=None, repr=False)
    dpop_nonce_lifetime: int = 300
    store: str | None = field(default=None, repr=False)  # it may hold a password
    revocation_delay: float = 5
    revocation_outage: Outage = "serve"
    public_url: str | None = None
    trusted_proxies: Sequence[str] = ()
    proxy_headers: Sequence[str] = ()
    certificate_header: str | None = None
    decryption_keys: DecryptionKeys = field(default=(), repr=False)
    encryption_algorithms: Sequence[str] = ("RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512")
    content_encryption_algorithms: Sequence[str] = ("A256GCM",)
    token_memory_bytes: int = 16_777_216

    def __post_init__(self) -> None:
        put(self, "identifier", identifier_of(self.identifier))
        put(self, "signing_algorithms", algorithms_of(self.signing_algorithms))
        put(self, "issuers", self._all_issuers())
        check_profile(self.profile)
        check_leeway(self.leeway)
        put(self, "permissions", permissions_of(self.permissions))
        check_flags(self, "short_secret", "permissions_in_token")
        if self.token_lifetime is not None and not whole(self.token_lifetime, 1, 10**10):
            raise SettingsError("token_lifetime", "must be a whole number of seconds above 0", self.token_lifetime)
        least, most = MAX_TOKEN_BYTES
        if not whole(self.max_token_bytes, least, most):
            raise SettingsError("max_token_bytes", f"must be {least} to {most}", self.max_token_bytes)
        if not isinstance(self.realm, str) or _QUOTABLE.fullmatch(self.realm) is None:
            raise SettingsError("realm", "must be ASCII text without quotes and backslashes", self.realm)
        if self.resource_metadata_url is not None:
            check_url("resource_metadata_url", self.resource_metadata_url, query=True)
        if not whole(self.token_memory_bytes, 0, MAX_MEMORY):
            raise SettingsError("token_memory_bytes", f"must be 0 to {MAX_MEMORY}", self.token_memory_bytes)
        self._check_senders()
        self._check_proxies()
        self._check_encryption()
        for issuer in self.issuers:
            self.check_issuer(issuer)
        symmetric = [issuer for issuer in self.issuers if self.policies[issuer.url].algorithms <= SYMMETRIC]
        if self.signing_secret is not None and self.resolver is None:
            if not symmetric:
                raise SettingsError("signing_secret", "is for HS256 alone, and no issuer here signs with it")
            if all(issuer.signing_secret is not None for issuer in symmetric):
                raise SettingsError("signing_secret", "is nobody's: every HS256 issuer here has its own")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Settings from environment variables: `AUTH0_DOMAIN`, `AUTH0_AUDIENCE` or `API_IDENTIFIER`, `JWTGATE_*`.

        environ: `os.environ` unless given. An empty variable counts as not set. docs/reference/settings.md lists all.
        Raises SettingsError, which names the variable.
        """
        given = os.environ if environ is None else environ
        settings = read_environment(given)
        try:
            issuers = [Issuer(url) for url in settings.pop("issuers", ())]
            return cls(issuers=issuers, **settings)
        except SettingsError as error:
            raise SettingsError(variable_for(error.setting, given), error.rule, error.actual) from None

    @classmethod
    def from_resource_server(
        cls,
        resource_server: Mapping[str, Any],
        domain: str | Sequence[str],
        *,
        signing_secret: bytes | str | None = None,
        decryption_keys: DecryptionKeys = (),
    ) -> Self:
        """Settings from the Management API's JSON object of this API (`GET /api/v2/resource-servers/{id}`).

        domain: as for ApiSettings. signing_secret: of an HS256 API, where the object does not hold it; text is
        encoded as UTF-8. decryption_keys: the private keys of an API whose tokens are encrypted, which Auth0 never has.

        Raises SettingsError: for a field of the wrong type, and by name for what is not supported.
        """
        settings = read_resource_server(resource_server, signing_secret, encrypted=bool(decryption_keys))
        return cls(domain=domain, decryption_keys=decryption_keys, **settings)

    def __getstate__(self) -> dict[str, Any]:
        """To be copied and pickled."""
        state = {item.name: getattr(self, item.name) for item in fields(self)}
        return state | {"permissions": dict(state["permissions"])}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            put(self, name, value)
        put(self, "permissions", MappingProxyType(state["permissions"]))

    @property
    def possession(self) -> ProofOfPossession:
        """`proof_of_possession`, whichever way it was written."""
        return cast(ProofOfPossession, self.proof_of_possession)

    @property
    def keys_for_decryption(self) -> tuple[DecryptionKey, ...]:
        """`decryption_keys`, whichever way they were written."""
        return cast("tuple[DecryptionKey, ...]", self.decryption_keys)

    @cached_property
    def refusals(self) -> dict[tuple[type[AuthError], str | None], Refusal]:
        """Answers that were worked out before, by the error and the scheme that was used: few, and always the same."""
        return {}

    @cached_property
    def schemes(self) -> tuple[str, ...]:
        """The authentication schemes that are spoken here.

        A token that is bound to a certificate may come under both: RFC 8705 section 3 has Bearer, Auth0 says DPoP.
        """
        possession = self.possession
        if not possession.mechanisms:
            return ("Bearer",)
        return ("DPoP",) if possession == ProofOfPossession(("dpop",), required=True) else ("Bearer", "DPoP")

    @cached_property
    def challenges(self) -> tuple[str, ...]:
        """Those of the schemes that a client is told of. Without DPoP, that scheme is understood, not offered."""
        return self.schemes if "dpop" in self.possession.mechanisms else ("Bearer",)

    @cached_property
    def policies(self) -> dict[str, Policy]:
        """By issuer, what its tokens must satisfy here."""
        return {issuer.url: self.policy_of(issuer) for issuer in self.issuers}

    def policy_of(self, issuer: Issuer) -> Policy:
        """What the tokens of this issuer, in the settings or not, must satisfy here."""
        given = issuer.identifier or self.identifier
        return Policy(
            issuer=issuer.url,
            identifiers=each(given),
            algorithms=frozenset(issuer.signing_algorithms or self.signing_algorithms),
            profile=issuer.profile or self.profile,
            accept_typ=tuple(issuer.accept_typ),
            leeway=self.leeway if issuer.leeway is None else issuer.leeway,
            token_lifetime=self.token_lifetime,
            confirmations=self.possession.confirmations,
        )

    def secret_of(self, issuer: Issuer) -> SharedSecret | None:
        """The shared secret of an HS256 issuer; None where its keys are public."""
        secret = self._secret(issuer)
        uses_secret = self.policy_of(issuer).algorithms <= SYMMETRIC
        return SharedSecret(secret) if uses_secret and secret is not None else None

    def _secret(self, issuer: Issuer) -> bytes | None:
        return self.signing_secret if issuer.signing_secret is None else issuer.signing_secret

    def _all_issuers(self) -> tuple[Issuer, ...]:
        # Without those that an earlier domain made: `dataclasses.replace` hands them in beside the domain of today.
        issuers = [issuer for issuer in sequence("issuers", self.issuers, Issuer) if not issuer.of_domain]
        if self.domain is not None:
            domains = sequence("domain", (self.domain,) if isinstance(self.domain, str) else self.domain, str)
            put(self, "domain", domains[0] if len(domains) == 1 else domains)
            for domain in domains:
                issuer = Issuer.auth0(domain)
                put(issuer, "of_domain", True)
                issuers.append(issuer)
        if self.resolver is not None and not callable(self.resolver):
            raise SettingsError("resolver", "must be callable", self.resolver)
        if not issuers and self.resolver is None:
            raise SettingsError("issuers", "name at least one issuer, or a domain")
        urls = [issuer.url for issuer in issuers]
        twice = [url for url in urls if urls.count(url) > 1]
        if twice:
            raise SettingsError("issuers", "an issuer may be named once", twice[0])
        return tuple(issuers)

    def _check_senders(self) -> None:
        put(self, "proof_of_possession", read_possession(self.proof_of_possession))
        put(self, "dpop_algorithms", chosen("dpop_algorithms", self.dpop_algorithms, ASYMMETRIC))
        for name, least, most in (("dpop_window", 1, MAX_WINDOW), ("dpop_nonce_lifetime", 10, 86_400)):
            if not whole(getattr(self, name), least, most):
                raise SettingsError(name, f"must be {least} to {most} seconds", getattr(self, name))
        if self.dpop_nonce_key is not None:
            check_key("dpop_nonce_key", self.dpop_nonce_key)
            if "dpop" not in self.possession.mechanisms:
                raise SettingsError("dpop_nonce_key", "needs proof_of_possession with 'dpop'")
        if self.store is not None and (not isinstance(self.store, str) or "://" not in self.store):
            raise SettingsError("store", "must be a URL such as memory://, sqlite:///path or redis://host")
        delay: Any = self.revocation_delay
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0.1 <= delay <= 3_600:
            raise SettingsError("revocation_delay", "must be 0.1 to 3600 seconds", delay)
        chosen("revocation_outage", (self.revocation_outage,), get_args(Outage))

    def _check_proxies(self) -> None:
        put(self, "trusted_proxies", sequence("trusted_proxies", self.trusted_proxies, str))
        put(self, "proxy_headers", sequence("proxy_headers", self.proxy_headers, str))
        if self.public_url is not None and self.proxy_headers:
            raise SettingsError("proxy_headers", "the public URL comes from one place: leave out public_url")
        ProxyRules(self.public_url, self.trusted_proxies, self.proxy_headers, self.certificate_header)
        if self.certificate_header is not None and "mtls" not in self.possession.mechanisms:
            raise SettingsError("certificate_header", "needs proof_of_possession with 'mtls'", self.certificate_header)
        if self.trusted_proxies and not self.proxy_headers and self.certificate_header is None:
            rule = "are believed in proxy_headers and certificate_header, and none is named"
            raise SettingsError("trusted_proxies", rule, self.trusted_proxies)

    def _check_encryption(self) -> None:
        put(self, "encryption_algorithms", chosen("encryption_algorithms", self.encryption_algorithms, KEY_ALGORITHMS))
        given = self.content_encryption_algorithms
        put(self, "content_encryption_algorithms", chosen("content_encryption_algorithms", given, ENCRYPTIONS))
        put(self, "decryption_keys", read_decryption_keys(self.decryption_keys, self.encryption_algorithms))

    def check_issuer(self, issuer: Issuer) -> None:
        """Symmetric and asymmetric never mix, and each has just what it needs. Raises SettingsError."""
        algorithms = self.policy_of(issuer).algorithms
        secret = self._secret(issuer)
        if algorithms & SYMMETRIC and algorithms & ASYMMETRIC:
            raise SettingsError(
                "signing_algorithms",
                "HS256 and public-key algorithms cannot both hold for one issuer: make two issuers of it, or choose",
                sorted(algorithms),
            )
        if algorithms <= ASYMMETRIC:
            if issuer.signing_secret is not None:
                raise SettingsError("signing_secret", "is for HS256 alone", None)
            issuer.given_keys(algorithms)
            return
        if secret is None:
            raise SettingsError("signing_secret", "HS256 needs the API's signing secret")
        check_secret(secret, self.short_secret)
        if issuer.jwks is not None or issuer.jwks_file or issuer.jwks_uri or issuer.metadata_url:
            raise SettingsError(
                "jwks", "with HS256 nothing is fetched: leave out jwks and jwks_file, jwks_uri and metadata_url"
            )
