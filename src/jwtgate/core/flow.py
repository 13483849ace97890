"""The whole story of one request, every wait written as a `yield`."""

from __future__ import annotations

from .access import AccessToken
from .binding import Senders
from .challenge import parting
from .compact import Signed, Unverified, parse
from .effects import NOW, Flow, Moment
from .errors import AuthError, InvalidRequest
from .heads import Verified
from .jwe import Encrypted, check_replicated, decrypt, read_jwe
from .keys import IssuerKeys, Keyring
from .known import Known, known_to
from .request import Credentials, Request, read_credentials, scheme_of
from .settings import ApiSettings, Policy
from .verification import check_algorithm, own_keys, verify_at_once, vouch


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
        signed, policy, now = yield from check_token(token, keys, senders, request=request, moment=moment)
        claims = signed.claims
        # The way of nearly every request: a bearer's token.
        if credentials.scheme == "Bearer" and "cnf" not in claims and not senders.required:
            return AccessToken(signed, policy, settings, now, raw=token)
        sender = yield from senders.check(claims, credentials, request, now)
        return AccessToken(signed, policy, settings, now, raw=token, sender=sender)
    except AuthError as error:
        raise parting(error, settings, used_scheme(credentials, request, settings)) from None


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
        signed, policy, now = yield from check_token(token, keys, senders, moment=moment)
        senders.check_bare(signed.claims)
        return AccessToken(signed, policy, settings, now, raw=token)
    except AuthError as error:
        raise parting(error, settings) from None


def check_token(
    token: str,
    keys: Keyring,
    senders: Senders,
    *,
    request: Request | None = None,
    moment: Moment | None = None,
) -> Flow[tuple[Signed, Policy, float]]:
    """Decryption, all checks of the token itself, and revocation. With the token come its issuer's policy
    and the time, seconds since the epoch, at which it was good.
    """
    now = (yield NOW) if moment is None else moment
    found = verify_at_once(token, keys, now.wall, now.monotonic)
    if not isinstance(found, Verified):
        found, now = yield from _wait_for(found, token, keys, now, request)
    senders.revocations.check(found.claims)
    return found, found.own.policy, now.wall


def _wait_for(
    begun: Unverified | None, token: str, keys: Keyring, now: Moment, request: Request | None
) -> Flow[tuple[Verified, Moment]]:
    """A token that could not be decided at once, and the time at which it was. begun: how far that came."""
    known = known_to(keys)
    if begun is not None:
        found = yield from go_the_long_way(begun, keys, request)
        now = yield NOW
    else:
        # Remembered, with keys that are due; or encrypted.
        remembered, now = yield from _refresh_beside(token, known, now)
        if remembered is not None:
            return remembered, now
        found, now = yield from _open(token, keys, request)
    known.tokens.keep(token, found, now.monotonic)
    return found, now


def _refresh_beside(token: str, known: Known, now: Moment) -> Flow[tuple[Verified | None, Moment]]:
    """A token that is remembered, once its issuer has been asked for the keys that are due. None: it is no more."""
    found = known.tokens.get(token, now.wall, now.monotonic)
    load = None if found is None else found.own.refresh_beside(now.monotonic)
    if load is not None:
        yield load
        now = yield NOW
        found = known.tokens.get(token, now.wall, now.monotonic)  # another set may have come
    return found, now


def _open(token: str, keys: Keyring, request: Request | None) -> Flow[tuple[Verified, Moment]]:
    """The token within an encrypted one; any other token itself."""
    known = known_to(keys)
    inner, encrypted = yield from unwrap(token, keys)
    now: Moment = yield NOW  # somebody else may have been asked for the key
    found = known.heads.recognise(inner, now.wall, now.monotonic)
    if found is None:
        found = yield from go_the_long_way(parse(inner, keys.settings.max_token_bytes), keys, request)
        now = yield NOW
    if encrypted is not None:
        check_replicated(encrypted, found.claims)
        known.sealed.keep(encrypted.head, (encrypted.header, encrypted.keys))
    return found, now


def go_the_long_way(token: Unverified, keys: Keyring, request: Request | None = None) -> Flow[Verified]:
    """Issuer → key → signature → profile → times → issuer, audience and the other claims."""
    own = yield from issuer_of(token, keys, request)
    check_algorithm(token, own)
    key = yield from own.find(token)
    return vouch(token, own, key, keys, (yield NOW).wall)


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


def unwrap(token: str, keys: Keyring) -> Flow[tuple[str, Encrypted | None]]:
    """The signed token inside of an encrypted one, and the latter; of any other token, that token itself.

    Raises InvalidToken and its kin, Unavailable.
    """
    settings = keys.settings
    limit = settings.max_token_bytes
    # Without a key, or longer than is read, it is told for what it is where its structure is looked at.
    if not settings.decryption_keys or not isinstance(token, str) or len(token) > limit or token.count(".") != 4:
        return token, None
    algorithms, encryptions = settings.encryption_algorithms, settings.content_encryption_algorithms
    known = known_to(keys).sealed
    encrypted = read_jwe(token, settings.keys_for_decryption, algorithms, encryptions, limit, known=known)
    return (yield from decrypt(encrypted)), encrypted


def issuer_of(token: Unverified, keys: Keyring, request: Request | None = None) -> Flow[IssuerKeys]:
    """The keys of the issuer that the token states; only those may verify it. Raises UntrustedIssuer, Unavailable."""
    own = own_keys(token, keys)
    return (yield from keys.resolve(str(token.issuer), request)) if own is None else own
