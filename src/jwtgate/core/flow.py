"""The whole story of one request, every wait written as a `yield`."""

from __future__ import annotations

from .access import AccessToken
from .binding import Senders
from .challenge import answer
from .claims import untrusted_issuer
from .compact import Signed, Unverified, parse, verify
from .effects import NOW, Flow
from .errors import AuthError, HeaderRejected
from .jwe import Encrypted, check_replicated, decrypt, read_jwe
from .keys import IssuerKeys, Keyring
from .profiles import PROFILES, profile_of
from .request import Credentials, Request, read_credentials
from .settings import ApiSettings


def authenticate(
    request: Request, settings: ApiSettings, keys: Keyring, senders: Senders | None = None
) -> Flow[AccessToken]:
    """Who is calling. Raises an AuthError, which knows what the client is told."""
    scheme = None
    senders = senders or Senders(settings)
    try:
        credentials = credentials_of(request, settings, senders)
        scheme = credentials.scheme
        signed, now = yield from check_token(credentials.token, settings, keys, senders, request)
        sender = yield from senders.check(signed.claims, credentials, request, now)
        return AccessToken(signed, settings, now, credentials.token, sender)
    except AuthError as error:
        raise answer(error, settings, scheme) from None


def authenticate_token(
    token: str, settings: ApiSettings, keys: Keyring, senders: Senders | None = None
) -> Flow[AccessToken]:
    """Who a bare token speaks for. Raises an AuthError, which knows what the client is told."""
    senders = senders or Senders(settings)
    try:
        signed, now = yield from check_token(token, settings, keys, senders)
        senders.check_bare(signed.claims)
        return AccessToken(signed, settings, now, token)
    except AuthError as error:
        raise answer(error, settings) from None


def check_token(
    token: str, settings: ApiSettings, keys: Keyring, senders: Senders, request: Request | None = None
) -> Flow[tuple[Signed, float]]:
    """Decryption → structure → header → issuer → key → signature → profile → times → issuer, audience and the other
    claims → revocation. With the token comes the time, seconds since the epoch, at which it was good.
    """
    inner, encrypted = yield from unwrap(token, settings)
    unverified = parse(inner, settings.max_token_bytes)
    own = yield from issuer_of(unverified, keys, request)  # must be ours, before any network
    check_algorithm(unverified, own)
    key = yield from own.find(unverified)
    signed = verify(unverified, key)
    profile = profile_of(signed.typ, own.policy)
    now: float = (yield NOW).wall
    for check in PROFILES[profile]:
        check(signed.claims, own.policy, now)
    if encrypted is not None:
        check_replicated(encrypted, signed.claims)
    senders.revocations.check(signed.claims)
    return signed, now


def credentials_of(request: Request, settings: ApiSettings, senders: Senders) -> Credentials:
    """The one token of the request. Raises MissingCredentials, InvalidRequest, ProofBesideBearer, TokenTooLarge."""
    credentials = read_credentials(request, settings.schemes, settings.max_token_bytes)
    senders.check_credentials(credentials, request)
    return credentials


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
