"""What a single setting must be: each is checked where it is made, and one that could never be right fails there."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from .errors import SettingsError, listed
from .jwk import ASYMMETRIC, SYMMETRIC

Profile = Literal["auth0", "rfc9068"]
PROFILES: Final = ("auth0", "rfc9068")
ALGORITHMS: Final = ASYMMETRIC | SYMMETRIC

LATEST: Final = 253_402_300_799  # the last second of the year 9999: later is no date that anything else understands
MAX_LEEWAY = 300  # seconds; more would make expiry a suggestion
SECRET_BYTES = 32  # RFC 7518 section 3.2: a key as long as the hash output or longer
SHORT_SECRET_BYTES = 16  # what Auth0 takes as the signing secret of an HS256 API
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

# What RFC 6749 section 3.3 allows in a scope, and so what may stand in a challenge's `scope="…"`.
SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def put(settings: object, name: str, value: object) -> None:
    """Once, while a frozen value is being made: what was given, in its one canonical type."""
    object.__setattr__(settings, name, value)


def sequence(name: str, values: Any, of: type) -> tuple[Any, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise SettingsError(name, f"must be a list of {of.__name__}", values)
    items = tuple(values)
    for item in items:
        if not isinstance(item, of):
            raise SettingsError(name, f"must be a list of {of.__name__}", item)
    return items


def each(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def identifier_of(value: str | Sequence[str]) -> str | tuple[str, ...]:
    if value is None:  # most often a variable of the environment that is not set
        raise SettingsError("identifier", "must be the API's identifier, exactly as it is registered", value)
    given = value if isinstance(value, str) else sequence("identifier", value, str)
    if not given or not all(given):
        raise SettingsError("identifier", "must be the API's identifier, exactly as it is registered", value)
    return given


def algorithms_of(values: Sequence[str]) -> tuple[str, ...]:
    # RFC 8725 section 3.2: "none" is in no list of ours.
    return chosen("signing_algorithms", values, ALGORITHMS)


def chosen(name: str, values: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """At least one of those that are known. Raises SettingsError."""
    given = sequence(name, values, str)
    if not given:
        raise SettingsError(name, "name at least one")
    for value in given:
        if value not in known:
            raise SettingsError(name, f"must be of {', '.join(sorted(known))}", value)
    return given


def types_of(values: Sequence[str | None]) -> tuple[str | None, ...]:
    named = sequence("accept_typ", values, object)
    for value in named:
        if value is not None and not (isinstance(value, str) and value):
            raise SettingsError("accept_typ", "must be a list of media types, or None for no typ", value)
    return tuple(value and value.lower().removeprefix("application/") for value in named)


def permissions_of(values: Mapping[str, str] | Iterable[str]) -> Mapping[str, str]:
    named = values if isinstance(values, Mapping) else dict.fromkeys(sequence("permissions", values, str), "")
    for name, meaning in named.items():
        if not isinstance(name, str) or not name or not isinstance(meaning, str):
            raise SettingsError("permissions", "must map names to descriptions", {name: meaning})
    return MappingProxyType(dict(named))


def document_of(jwks: Mapping[str, Any] | str | bytes) -> bytes:
    """A JWK Set as bytes: a caller who changes their mapping later changes nothing here."""
    if isinstance(jwks, bytes):
        return jwks
    try:
        return (jwks if isinstance(jwks, str) else json.dumps(jwks)).encode("utf-8")
    except (TypeError, ValueError):
        raise SettingsError("jwks", f"must be a JWK Set, got {type(jwks).__name__}") from None


def secret_octets(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise SettingsError("signing_secret", "must be text that UTF-8 can hold") from None


def check_flags(settings: object, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(settings, name), bool):
            raise SettingsError(name, "must be True or False", getattr(settings, name))


def check_profile(profile: object) -> None:
    if profile is not None and not (isinstance(profile, str) and profile in PROFILES):
        raise SettingsError("profile", f"must be None or one of {listed(PROFILES)}", profile)


def check_leeway(leeway: object) -> None:
    if leeway is None:
        return
    number = isinstance(leeway, int | float) and not isinstance(leeway, bool)
    if not (number and 0 <= leeway <= MAX_LEEWAY):  # type: ignore[operator]  # NaN fails it too
        raise SettingsError("leeway", f"must be 0 to {MAX_LEEWAY} seconds", leeway)


def whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


_LOOKS_PUBLIC = re.compile(rb"-----BEGIN |\bssh-(rsa|ed25519|dss) |\becdsa-sha2-|\"(kty|keys)\"")


def check_secret(secret: object, short_secret: bool) -> None:
    """The API's signing secret. Raises SettingsError."""
    also = "" if short_secret else f"; short_secret=True admits {SHORT_SECRET_BYTES}"
    size = check_key("signing_secret", secret, SHORT_SECRET_BYTES if short_secret else SECRET_BYTES, also)
    if size < SECRET_BYTES:
        warnings.warn(f"signing_secret has {size} bytes; RFC 7518 section 3.2 asks for {SECRET_BYTES}", stacklevel=5)


def check_key(name: str, secret: object, least: int = SECRET_BYTES, also: str = "") -> int:
    """A secret of the API's own; its length in bytes. Raises SettingsError, which does not show it."""
    if not isinstance(secret, bytes):
        raise SettingsError(name, f"must be bytes, got {type(secret).__name__}")
    # RFC 8725 section 2.1: a public key is known to everybody, so it must never serve as a secret.
    if _LOOKS_PUBLIC.search(secret):
        raise SettingsError(name, "looks like a PEM, SSH key or JWK: it must be the API's own secret")
    if len(secret) < least:
        raise SettingsError(name, f"must have at least {least} bytes, got {len(secret)}{also}")
    if len(set(secret)) == 1:
        raise SettingsError(name, "must not be one byte over and over")
    return len(secret)


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
    if "://" not in url:
        raise SettingsError(name, "must be a URL with its scheme, as in https://api.example.com", url)
    if not host or "@" in parts.netloc or "#" in url or ("?" in url and not query):
        raise SettingsError(name, "must have a host, and no user, fragment" + ("" if query else " or query"), url)
    if parts.scheme == "http" and (allow_http or host in LOOPBACK):
        return
    if parts.scheme != "https":
        raise SettingsError(name, "must be https (http only on loopback, or with allow_http)", url)


def issuer_url(domain: object) -> str:
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
