"""The whole story of one request, every wait written as a `yield`."""

from __future__ import annotations

from typing import NamedTuple

from .access import AccessToken
from .binding import Senders
from .challenge import answer
from .claims import untrusted_issuer
from .compact import Signed, Unverified, parse, verify
from .effects import NOW, Flow, Moment
from .errors import AuthError, HeaderRejected, InvalidRequest
from .heads import Heads, Verified
from .jwe import Encrypted, check_replicated, decrypt, read_jwe
from .keys import IssuerKeys, Keyring
from .profiles import PROFILES, profile_of
from .remembered import Remembered
from .request import Credentials, Request, read_credentials, scheme_of
from .settings import ApiSettings, Policy


def authenticate(
    request: Request,
    settings: ApiSettings,
    keys: Keyring,
    senders: Senders | None = None,
    moment: Moment | None = None,
) -> Flow[AccessToken]:
    """Who is calling. Raises an AuthError, which knows what the client is told. moment: the time, if it is known."""
    credentials = None
    senders = senders or Senders(settings)
    try:
        credentials = credentials_of(request, settings, senders)
        token = credentials.token
        signed, policy, now = yield from check_token(token, settings, keys, senders, request=request, moment=moment)
        claims = signed.claims
        # The way of nearly every request: a bearer's token.
        if credentials.scheme == "Bearer" and "cnf" not in claims and not senders.required:
            return AccessToken(signed, policy, settings, now, raw=token)
        sender = yield from senders.check(claims, credentials, request, now)
        return AccessToken(signed, policy, settings, now, raw=token, sender=sender)
    except AuthError as error:
        # Without the frames below: they hold the token, and an outcome is kept with its request.
        raise answer(error, settings, used_scheme(credentials, request, settings)).with_traceback(None) from None


def authenticate_token(
    token: str,
    settings: ApiSettings,
    keys: Keyring,
    senders: Senders | None = None,
    moment: Moment | None = None,
) -> Flow[AccessToken]:
    """Who a bare token speaks for. Raises an AuthError, which knows what the client is told."""
    senders = senders or Senders(settings)
    try:
        signed, policy, now = yield from check_token(token, settings, keys, senders, moment=moment)
        senders.check_bare(signed.claims)
        return AccessToken(signed, policy, settings, now, raw=token)
    except AuthError as error:
        raise answer(error, settings).with_traceback(None) from None


def remembered_token(
    token: object, settings: ApiSettings, keys: Keyring, senders: Senders, now: Moment
) -> AccessToken | None:
    """Who a bare token speaks for, where it is remembered and nothing speaks against it. Else the flow tells more."""
    # A long text would cost its length to look for.
    if keys.known is None or type(token) is not str or len(token) > settings.max_token_bytes or senders.required:
        return None
    entry = keys.known.tokens.get(token, now)
    if entry is None or "cnf" in entry.signed.claims or now.monotonic >= entry.own.quiet_until:
        return None
    try:
        senders.revocations.check(entry.signed.claims)
    except AuthError:
        return None
    return AccessToken(entry.signed, entry.own.policy, settings, now.wall, raw=token)


def check_token(
    token: str,
    settings: ApiSettings,
    keys: Keyring,
    senders: Senders,
    *,
    request: Request | None = None,
    moment: Moment | None = None,
) -> Flow[tuple[Signed, Policy, float]]:
    """Decryption, all checks of the token itself, and revocation. With the token come its issuer's policy
    and the time, seconds since the epoch, at which it was good.

    One that was verified before is remembered, and of one whose head is known not all is looked at again.
    """
    now = (yield NOW) if moment is None else moment
    known = known_to(keys)
    is_text = type(token) is str and len(token) <= settings.max_token_bytes
    if is_text:
        entry = known.tokens.get(token, now)
        load = None if entry is None else entry.own.refresh_beside(now.monotonic)
        if load is not None:
            yield load
            now = yield NOW
            entry = known.tokens.get(token, now)  # another set may have come
        if entry is not None:
            senders.revocations.check(entry.signed.claims)
            return entry.signed, entry.own.policy, now.wall
    inner, encrypted = (yield from unwrap(token, settings)) if settings.decryption_keys else (token, None)
    if encrypted is not None:
        now = yield NOW  # somebody else may have been asked for the key
    found = known.heads.recognise(inner, now) if is_text else None
    if found is None:
        found = yield from go_the_long_way(inner, settings, keys, known, request)
        now = yield NOW  # keys may have been waited for
    signed, own, _ = found
    if encrypted is not None:
        check_replicated(encrypted, signed.claims)
    senders.revocations.check(signed.claims)
    known.tokens.keep(token, found, now)
    return signed, own.policy, now.wall


def go_the_long_way(
    token: str, settings: ApiSettings, keys: Keyring, known: Known, request: Request | None = None
) -> Flow[Verified]:
    """Structure → header → issuer → key → signature → profile → times → issuer, audience and the other claims."""
    unverified = parse(token, settings.max_token_bytes)
    own = yield from issuer_of(unverified, keys, request)  # must be ours, before any network
    check_algorithm(unverified, own)
    key = yield from own.find(unverified)
    signed = verify(unverified, key)
    profile = profile_of(signed.typ, own.policy)
    now: float = (yield NOW).wall
    for check in PROFILES[profile]:
        check(signed.claims, own.policy, now)
    # A resolver is to be asked each time. And a set that came meanwhile may be without this key.
    set_ = own.set_with(key, unverified) if keys.get(own.issuer.url) is own else None
    if set_ is not None:
        known.heads.learn(unverified, own, set_, key, profile)
    return Verified(signed, own, set_)


class Known(NamedTuple):
    """What is known from tokens before, with the keys of one verifier."""

    heads: Heads
    tokens: Remembered


def known_to(keys: Keyring) -> Known:
    """It lives as long as the keys that it was verified with."""
    if keys.known is None:
        keys.known = Known(Heads(), Remembered(keys.settings.token_memory_bytes))
    return keys.known


def credentials_of(request: Request, settings: ApiSettings, senders: Senders) -> Credentials:
    """The one token of the request. Raises MissingCredentials, InvalidRequest, ProofBesideBearer, TokenTooLarge."""
    if not isinstance(request, Request):
        raise InvalidRequest(f"must be a Request, got {type(request).__name__}")
    if not isinstance(request.method, str) or not isinstance(request.url, str):
        raise InvalidRequest("method and url of a Request must be str")
    credentials = read_credentials(request, settings.schemes, settings.max_token_bytes)
    senders.check_credentials(credentials, request)
    return credentials


def used_scheme(credentials: Credentials | None, request: Request, settings: ApiSettings) -> str | None:
    """The scheme whose challenge carries the error (RFC 9449 section 7.2), also where there were no credentials."""
    if credentials is not None:
        return credentials.scheme
    try:
        return scheme_of(request, settings.schemes) if isinstance(request, Request) else None
    except AuthError:
        return None


def unwrap(token: str, settings: ApiSettings) -> Flow[tuple[str, Encrypted | None]]:
    """The signed token inside of an encrypted one, and the latter; of any other token, that token itself.

    Raises InvalidToken and its kin, Unavailable.
    """
    limit = settings.max_token_bytes
    # Without a key, or longer than is read, it is told for what it is where its structure is looked at.
    if not settings.decryption_keys or not isinstance(token, str) or len(token) > limit or token.count(".") != 4:
        return token, None
    algorithms, encryptions = settings.encryption_algorithms, settings.content_encryption_algorithms
    encrypted = read_jwe(token, settings.keys_for_decryption, algorithms, encryptions, limit)
    return (yield from decrypt(encrypted)), encrypted


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
