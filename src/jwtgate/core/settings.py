"""What this API accepts, in the Dashboard's words; a setting that could never be right fails here, at start-up."""

from __future__ import annotations

import difflib
import json
import os
import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

from .effects import Resolver
from .errors import SettingsError, listed, shown
from .jwk import ASYMMETRIC, SYMMETRIC, KeySet, SharedSecret, read_keys
from .snapshot import own_part

Profile = Literal["auth0", "rfc9068"]
PROFILES: Final = ("auth0", "rfc9068")
ALGORITHMS: Final = ASYMMETRIC | SYMMETRIC

MAX_LEEWAY = 300  # seconds; more would make expiry a suggestion
SECRET_BYTES = 32  # RFC 7518 section 3.2: a key as long as the hash output or longer
SHORT_SECRET_BYTES = 16  # what Auth0 takes as the signing secret of an HS256 API
MAX_TOKEN_BYTES = (256, 1_048_576)
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

# What RFC 6749 section 3.3 allows in a scope, and so what may stand in a challenge's `scope="…"`.
SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
# RFC 9110 section 5.6.4: what a quoted string may hold without an escape.
_QUOTABLE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


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
        _check_flags(self, "allow_http")
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
            _set(self, "signing_algorithms", _algorithms(self.signing_algorithms))
        if self.identifier is not None:
            _set(self, "identifier", _identifier(self.identifier))
        _set(self, "accept_typ", _accept_typ(self.accept_typ))
        _check_flags(self, "jwk_alg_binds")
        _check_profile(self.profile)
        _check_leeway(self.leeway)
        if self.jwks is not None:
            _set(self, "jwks", _document(self.jwks))
            self.given_keys(self.signing_algorithms or sorted(ASYMMETRIC))

    @classmethod
    def auth0(cls, domain: str, **settings: Any) -> Self:
        """The issuer of an Auth0 tenant, from its domain: `tenant.eu.auth0.com`, or a custom domain.

        `https://` before it and a slash behind it are understood. The settings are those of `Issuer`.
        """
        return cls(_issuer_of(domain), **{"jwk_alg_binds": False, **settings})

    @property
    def discovery_url(self) -> str:
        """Where the issuer's metadata is (OpenID Connect Discovery 1.0 section 4)."""
        return self.metadata_url or self.url.removesuffix("/") + "/.well-known/openid-configuration"

    def _check_file(self) -> None:
        if self.jwks is not None or self.jwks_uri or self.metadata_url:
            raise SettingsError("jwks_file", "keys come from one place: leave out jwks, jwks_uri and metadata_url")
        try:
            _set(self, "jwks_file", os.fspath(self.jwks_file or ""))
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

    def __post_init__(self) -> None:
        _set(self, "identifier", _identifier(self.identifier))
        _set(self, "signing_algorithms", _algorithms(self.signing_algorithms))
        _set(self, "issuers", self._all_issuers())
        _check_profile(self.profile)
        _check_leeway(self.leeway)
        _set(self, "permissions", _permissions(self.permissions))
        _check_flags(self, "short_secret", "permissions_in_token")
        if self.token_lifetime is not None and not _whole(self.token_lifetime, 1, 10**10):
            raise SettingsError("token_lifetime", "must be a whole number of seconds above 0", self.token_lifetime)
        least, most = MAX_TOKEN_BYTES
        if not _whole(self.max_token_bytes, least, most):
            raise SettingsError("max_token_bytes", f"must be {least} to {most}", self.max_token_bytes)
        if not isinstance(self.realm, str) or _QUOTABLE.fullmatch(self.realm) is None:
            raise SettingsError("realm", "must be ASCII text without quotes and backslashes", self.realm)
        if self.resource_metadata_url is not None:
            check_url("resource_metadata_url", self.resource_metadata_url, query=True)
        for issuer in self.issuers:
            self.check_issuer(issuer)
        symmetric = any(policy.algorithms <= SYMMETRIC for policy in self.policies.values())
        if self.signing_secret is not None and not symmetric and self.resolver is None:
            raise SettingsError("signing_secret", "is for HS256 alone, and no issuer here signs with it")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Settings from environment variables: `AUTH0_DOMAIN`, `AUTH0_AUDIENCE` or `API_IDENTIFIER`, `JWTGATE_*`.

        environ: `os.environ` unless given. An empty variable counts as not set. docs/reference/settings.md lists all.
        Raises SettingsError, which names the variable.
        """
        given = os.environ if environ is None else environ
        settings = _read_environment(given)
        try:
            issuers = [Issuer(url) for url in settings.pop("issuers", ())]
            return cls(issuers=issuers, **settings)
        except SettingsError as error:
            raise SettingsError(_variable_for(error.setting, given), error.rule, error.actual) from None

    @classmethod
    def from_resource_server(
        cls,
        resource_server: Mapping[str, Any],
        domain: str | Sequence[str],
        *,
        signing_secret: bytes | str | None = None,
    ) -> Self:
        """Settings from the Management API's JSON object of this API (`GET /api/v2/resource-servers/{id}`).

        domain: as for ApiSettings. signing_secret: of an HS256 API, where the object does not hold it; text is
        encoded as UTF-8.

        Raises SettingsError: for a field of the wrong type, and by name for what is not supported.
        """
        return cls(domain=domain, **_read_resource_server(resource_server, signing_secret))

    def __getstate__(self) -> dict[str, Any]:
        """To be copied and pickled."""
        state = {item.name: getattr(self, item.name) for item in fields(self)}
        return state | {"permissions": dict(state["permissions"])}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            _set(self, name, value)
        _set(self, "permissions", MappingProxyType(state["permissions"]))

    @property
    def schemes(self) -> tuple[str, ...]:
        """The authentication schemes that are spoken here."""
        return ("Bearer",)

    @cached_property
    def policies(self) -> dict[str, Policy]:
        """By issuer, what its tokens must satisfy here."""
        return {issuer.url: self.policy_of(issuer) for issuer in self.issuers}

    def policy_of(self, issuer: Issuer) -> Policy:
        """What the tokens of this issuer, in the settings or not, must satisfy here."""
        given = issuer.identifier or self.identifier
        return Policy(
            issuer=issuer.url,
            identifiers=_each(given),
            algorithms=frozenset(issuer.signing_algorithms or self.signing_algorithms),
            profile=issuer.profile or self.profile,
            accept_typ=tuple(issuer.accept_typ),
            leeway=self.leeway if issuer.leeway is None else issuer.leeway,
            token_lifetime=self.token_lifetime,
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
        issuers = [issuer for issuer in _sequence("issuers", self.issuers, Issuer) if not issuer.of_domain]
        if self.domain is not None:
            domains = _sequence("domain", (self.domain,) if isinstance(self.domain, str) else self.domain, str)
            _set(self, "domain", domains[0] if len(domains) == 1 else domains)
            for domain in domains:
                issuer = Issuer.auth0(domain)
                _set(issuer, "of_domain", True)
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
        _check_secret(secret, self.short_secret)
        if issuer.jwks is not None or issuer.jwks_file or issuer.jwks_uri or issuer.metadata_url:
            raise SettingsError(
                "jwks", "with HS256 nothing is fetched: leave out jwks and jwks_file, jwks_uri and metadata_url"
            )


# ----------------------------------------------------------------------------------------------------- single settings


def _set(settings: object, name: str, value: object) -> None:
    """Once, while a frozen value is being made: what was given, in its one canonical type."""
    object.__setattr__(settings, name, value)


def _sequence(name: str, values: Any, of: type) -> tuple[Any, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise SettingsError(name, f"must be a list of {of.__name__}", values)
    items = tuple(values)
    for item in items:
        if not isinstance(item, of):
            raise SettingsError(name, f"must be a list of {of.__name__}", item)
    return items


def _each(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _identifier(value: str | Sequence[str]) -> str | tuple[str, ...]:
    given = value if isinstance(value, str) else _sequence("identifier", value, str)
    if not given or not all(given):
        raise SettingsError("identifier", "must be the API's identifier, exactly as it is registered", value)
    return given


def _algorithms(values: Sequence[str]) -> tuple[str, ...]:
    algorithms = _sequence("signing_algorithms", values, str)
    if not algorithms:
        raise SettingsError("signing_algorithms", "name at least one")
    for algorithm in algorithms:
        # RFC 8725 section 3.2: "none" is in no list of ours.
        if algorithm not in ALGORITHMS:
            raise SettingsError("signing_algorithms", f"must be of {', '.join(sorted(ALGORITHMS))}", algorithm)
    return algorithms


def _accept_typ(values: Sequence[str | None]) -> tuple[str | None, ...]:
    named = _sequence("accept_typ", values, object)
    for value in named:
        if value is not None and not (isinstance(value, str) and value):
            raise SettingsError("accept_typ", "must be a list of media types, or None for no typ", value)
    return tuple(value and value.lower().removeprefix("application/") for value in named)


def _permissions(values: Mapping[str, str] | Iterable[str]) -> Mapping[str, str]:
    named = values if isinstance(values, Mapping) else dict.fromkeys(_sequence("permissions", values, str), "")
    for name, meaning in named.items():
        if not isinstance(name, str) or not name or not isinstance(meaning, str):
            raise SettingsError("permissions", "must map names to descriptions", {name: meaning})
    return MappingProxyType(dict(named))


def _document(jwks: Mapping[str, Any] | str | bytes) -> bytes:
    """A JWK Set as bytes: a caller who changes their mapping later changes nothing here."""
    if isinstance(jwks, bytes):
        return jwks
    try:
        return (jwks if isinstance(jwks, str) else json.dumps(jwks)).encode("utf-8")
    except (TypeError, ValueError):
        raise SettingsError("jwks", f"must be a JWK Set, got {type(jwks).__name__}") from None


def _secret_octets(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise SettingsError("signing_secret", "must be text that UTF-8 can hold") from None


def _check_flags(settings: object, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(settings, name), bool):
            raise SettingsError(name, "must be True or False", getattr(settings, name))


def _check_profile(profile: object) -> None:
    if profile is not None and profile not in PROFILES:
        raise SettingsError("profile", f"must be None or one of {listed(PROFILES)}", profile)


def _check_leeway(leeway: object) -> None:
    if leeway is None:
        return
    number = isinstance(leeway, int | float) and not isinstance(leeway, bool)
    if not (number and 0 <= leeway <= MAX_LEEWAY):  # type: ignore[operator]  # NaN fails it too
        raise SettingsError("leeway", f"must be 0 to {MAX_LEEWAY} seconds", leeway)


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


_LOOKS_PUBLIC = re.compile(rb"-----BEGIN |\bssh-(rsa|ed25519|dss) |\becdsa-sha2-|\"(kty|keys)\"")


def _check_secret(secret: object, short_secret: bool) -> None:
    if not isinstance(secret, bytes):
        raise SettingsError("signing_secret", f"must be bytes, got {type(secret).__name__}")
    # RFC 8725 section 2.1: a public key is known to everybody, so it must never serve as a secret.
    if _LOOKS_PUBLIC.search(secret):
        raise SettingsError("signing_secret", "looks like a PEM, SSH key or JWK: it must be the API's own secret")
    least = SHORT_SECRET_BYTES if short_secret else SECRET_BYTES
    if len(secret) < least:
        also = "" if short_secret else f"; short_secret=True admits {SHORT_SECRET_BYTES}"
        raise SettingsError("signing_secret", f"must have at least {least} bytes, got {len(secret)}{also}")
    if len(secret) < SECRET_BYTES:
        warnings.warn(
            f"signing_secret has {len(secret)} bytes; RFC 7518 section 3.2 asks for {SECRET_BYTES}", stacklevel=5
        )
    if len(set(secret)) == 1:
        raise SettingsError("signing_secret", "must not be one byte over and over")


def check_url(name: str, url: object, *, allow_http: bool = False, query: bool = False) -> None:
    """An address that may be asked, or told to a client: https, or http on loopback. Raises SettingsError.

    RFC 8414 section 2: an issuer has neither query nor fragment. A user part may disguise the host.
    """
    if not isinstance(url, str) or re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", url) is None:
        raise SettingsError(name, "must be a URL in ASCII", url)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(name, "must be a URL", url) from None
    if not host or "@" in parts.netloc or "#" in url or ("?" in url and not query):
        raise SettingsError(name, "must have a host, and no user, fragment" + ("" if query else " or query"), url)
    if parts.scheme == "http" and (allow_http or host in LOOPBACK):
        return
    if parts.scheme != "https":
        raise SettingsError(name, "must be https (http only on loopback, or with allow_http)", url)


def _issuer_of(domain: object) -> str:
    """`iss` of an Auth0 tenant: https, its domain, a slash."""
    if not isinstance(domain, str):
        raise SettingsError("domain", "must be a domain such as tenant.eu.auth0.com", domain)
    scheme, _, rest = domain.rpartition("://")
    host = rest.removesuffix("/").lower()
    if scheme.lower() in ("", "https") and _HOST.fullmatch(host):
        return f"https://{host}/"
    # A local tenant: the address as it stands.
    if scheme == "http":
        check_url("domain", f"http://{host}/")
        if "/" not in host:
            return f"http://{host}/"
    raise SettingsError("domain", "must be a domain such as tenant.eu.auth0.com, without a path", domain)


# ------------------------------------------------------------------------------------------------------ the environment


def _flag(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in known:
        raise ValueError("must be true or false")
    return known[text.lower()]


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _profile(text: str) -> str:
    # The Dashboard writes "Auth0" and "RFC 9068".
    return text.lower().replace(" ", "")


# variable → (the setting, how its text is read). Adding one is one line here and one in docs/reference/settings.md.
ENVIRONMENT: Final[dict[str, tuple[str, Any]]] = {
    "AUTH0_DOMAIN": ("domain", _words),
    "AUTH0_AUDIENCE": ("identifier", str),
    "API_IDENTIFIER": ("identifier", str),
    "JWTGATE_ISSUERS": ("issuers", _words),
    "JWTGATE_SIGNING_ALGORITHMS": ("signing_algorithms", _words),
    "JWTGATE_SIGNING_SECRET": ("signing_secret", _secret_octets),
    "JWTGATE_SHORT_SECRET": ("short_secret", _flag),
    "JWTGATE_PROFILE": ("profile", _profile),
    "JWTGATE_PERMISSIONS_IN_TOKEN": ("permissions_in_token", _flag),
    "JWTGATE_PERMISSIONS": ("permissions", _words),
    "JWTGATE_TOKEN_LIFETIME": ("token_lifetime", int),
    "JWTGATE_LEEWAY": ("leeway", float),
    "JWTGATE_MAX_TOKEN_BYTES": ("max_token_bytes", int),
    "JWTGATE_REALM": ("realm", str),
    "JWTGATE_RESOURCE_METADATA_URL": ("resource_metadata_url", str),
}


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    _check_spelling(environ)
    found: dict[str, Any] = {}
    for variable, (setting, read) in ENVIRONMENT.items():
        text = environ.get(variable, "")
        if not text:
            continue
        try:
            value = read(text)
        except SettingsError as error:
            raise SettingsError(variable, error.rule) from None
        except ValueError as error:
            raise SettingsError(variable, f"cannot be read: {error}", text) from None
        if found.get(setting, value) != value:
            raise SettingsError(variable, f"differs from another variable for {setting!r}", text)
        found[setting] = value
    if "identifier" not in found:
        raise SettingsError("AUTH0_AUDIENCE", "set it (or API_IDENTIFIER) to the API's identifier")
    if not {"domain", "issuers"} & found.keys():
        raise SettingsError("AUTH0_DOMAIN", "set it to the tenant's domain (or JWTGATE_ISSUERS to issuer URLs)")
    return found


def _variable_for(setting: str, environ: Mapping[str, str]) -> str:
    """Where a setting came from: its variable, or the setting itself where none is set."""
    wanted = "issuers" if setting == "issuer" else setting
    return next((name for name, (of, _) in ENVIRONMENT.items() if of == wanted and environ.get(name)), setting)


def _check_spelling(environ: Mapping[str, str]) -> None:
    """A misspelt setting must not be ignored; variables of others (Kubernetes makes JWTGATE_… ones) may be there."""
    for variable in environ:
        if variable.startswith("JWTGATE_") and variable not in ENVIRONMENT:
            meant = difflib.get_close_matches(variable, ENVIRONMENT, n=1, cutoff=0.85)
            if meant:
                raise SettingsError(variable, f"is not a setting; {meant[0]} is")


# ------------------------------------------------------------------------------------ the Management API's JSON object

_DIALECTS: Final[dict[str, tuple[Profile, bool]]] = {
    "access_token": ("auth0", False),
    "access_token_authz": ("auth0", True),
    "rfc9068_profile": ("rfc9068", False),
    "rfc9068_profile_authz": ("rfc9068", True),
}


def _read_resource_server(server: Mapping[str, Any], signing_secret: bytes | str | None) -> dict[str, Any]:
    if not isinstance(server, Mapping):
        raise SettingsError("resource_server", f"must be a JSON object, got {type(server).__name__}")
    for name in ("token_encryption", "proof_of_possession"):
        if server.get(name) is not None:
            raise SettingsError(name, "is not supported yet, and must not be ignored: switch it off for this API")
    if not isinstance(server.get("identifier"), str):
        raise SettingsError("identifier", "must be the API's identifier, a string", server.get("identifier"))
    profile, permissions_in_token = _dialect(server.get("token_dialect"))
    algorithm = server.get("signing_alg", "RS256")
    if not isinstance(algorithm, str):
        raise SettingsError("signing_alg", "must be the name of an algorithm", algorithm)
    lifetime = server.get("token_lifetime")
    # 0 is possible in a tenant: its tokens are born expired, and `exp` refuses them.
    if lifetime is not None and not _whole(lifetime, 0, 2_592_000):
        raise SettingsError("token_lifetime", "must be 0 to 2592000 seconds", lifetime)
    settings: dict[str, Any] = {
        "identifier": server["identifier"],
        "signing_algorithms": (algorithm,),
        "profile": profile,
        "permissions_in_token": permissions_in_token,
        "permissions": _scopes(server.get("scopes")),
        "token_lifetime": lifetime or None,
    }
    if algorithm in SYMMETRIC:
        secret = server.get("signing_secret") if signing_secret is None else signing_secret
        settings["signing_secret"] = _secret_octets(secret) if isinstance(secret, str) else secret
        # Auth0 takes signing secrets from 16 characters up, so that an API which has one works.
        settings["short_secret"] = True
    elif signing_secret is not None:
        raise SettingsError("signing_secret", f"is for HS256 alone, and this API signs with {shown(algorithm)}")
    return settings


def _dialect(name: object) -> tuple[Profile, bool]:
    # A key that was never set stays away, and the API behaves as with this dialect.
    known = "access_token" if name is None else name
    if not isinstance(known, str) or known not in _DIALECTS:
        raise SettingsError("token_dialect", f"must be one of {listed(tuple(_DIALECTS))}", name)
    return _DIALECTS[known]


def _scopes(entries: Any) -> dict[str, str]:
    if entries is None:
        return {}
    try:
        return {entry["value"]: entry.get("description") or "" for entry in _sequence("scopes", entries, Mapping)}
    except (TypeError, KeyError):
        raise SettingsError("scopes", "must be a list of objects with a 'value'", entries) from None
