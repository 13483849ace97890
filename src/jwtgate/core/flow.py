"""The whole story of one request, every wait written as a `yield`."""

from __future__ import annotations

from .access import AccessToken
from .challenge import answer
from .claims import untrusted_issuer
from .compact import Unverified, parse, verify
from .effects import NOW, Flow
from .errors import AuthError, HeaderRejected
from .keys import IssuerKeys, Keyring
from .profiles import PROFILES, profile_of
from .request import Request, read_credentials
from .settings import ApiSettings


def authenticate(request: Request, settings: ApiSettings, keys: Keyring) -> Flow[AccessToken]:
    """Who is calling. Raises an AuthError, which knows what the client is told."""
    scheme = None
    try:
        credentials = read_credentials(request, settings.schemes, settings.max_token_bytes)
        scheme = credentials.scheme
        return (yield from check_token(credentials.token, settings, keys, request))
    except AuthError as error:
        raise answer(error, settings, scheme) from None


def authenticate_token(token: str, settings: ApiSettings, keys: Keyring) -> Flow[AccessToken]:
    """Who a bare token speaks for. Raises an AuthError, which knows what the client is told."""
    try:
        return (yield from check_token(token, settings, keys))
    except AuthError as error:
        raise answer(error, settings) from None


def check_token(token: str, settings: ApiSettings, keys: Keyring, request: Request | None = None) -> Flow[AccessToken]:
    """Structure → header → issuer → key → signature → profile → times → issuer, audience and the other claims."""
    unverified = parse(token, settings.max_token_bytes)
    own = yield from issuer_of(unverified, keys, request)  # must be ours, before any network
    check_algorithm(unverified, own)
    key = yield from own.find(unverified)
    signed = verify(unverified, key)
    profile = profile_of(signed.typ, own.policy)
    now = (yield NOW).wall
    for check in PROFILES[profile]:
        check(signed.claims, own.policy, now)
    return AccessToken(signed, settings, now)


def issuer_of(token: Unverified, keys: Keyring, request: Request | None = None) -> Flow[IssuerKeys]:
    """The keys of the issuer that the token states; only those may verify it. Raises UntrustedIssuer, Unavailable."""
    stated = token.issuer
    if not isinstance(stated, str):
        raise untrusted_issuer(stated, list(keys))
    own = keys.get(stated)
    return (yield from keys.resolve(stated, request)) if own is None else own


def check_algorithm(token: Unverified, own: IssuerKeys) -> None:
    """RFC 8725 section 3.1: only the algorithms that the settings name, whatever a key could do."""
    if token.algorithm not in own.policy.algorithms:
        raise HeaderRejected("alg", " or ".join(sorted(own.policy.algorithms)), token.algorithm)
