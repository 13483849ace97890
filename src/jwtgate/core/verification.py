"""One token, verified as far as nothing has to be waited for: nearly always that is to the end."""

from __future__ import annotations

from .access import AccessToken
from .binding import Senders
from .claims import untrusted_issuer
from .compact import Unverified, parse, verify
from .errors import HeaderRejected
from .heads import Verified, usual_for
from .jwk import VerificationKey
from .keys import IssuerKeys, Keyring
from .known import known_to
from .profiles import PROFILES, profile_of
from .settings import ApiSettings


class ShortWay:
    """The way of nearly every bearer's token. What is decided here, the flow would decide, in the same words."""

    __slots__ = ("_check_revoked", "_closed", "_keys", "_settings")

    def __init__(self, settings: ApiSettings, keys: Keyring, senders: Senders) -> None:
        self._settings: ApiSettings = settings
        self._keys: Keyring = keys
        self._check_revoked = senders.revocations.check
        # Where senders must prove something, a token alone is not enough. And where they may, a bound token must be
        # remembered, or its signature would be verified once more by the flow. What a resolver is to be asked about
        # would be parsed twice.
        twice = bool(settings.possession.mechanisms) and not settings.token_memory_bytes
        self._closed: bool = senders.required or twice or settings.resolver is not None

    def __call__(self, token: str, wall: float, monotonic: float) -> AccessToken | None:
        """Who the token speaks for. None says nothing: the flow tells.

        wall, monotonic: the time, as in a `Moment`. Raises an AuthError, which does not know what the client is told.
        """
        if self._closed:
            return None
        found = verify_at_once(token, self._keys, wall, monotonic)
        if type(found) is not Verified or "cnf" in found.claims:
            return None
        self._check_revoked(found.claims)
        return AccessToken(found, found.own.policy, self._settings, wall, token)


def verify_at_once(token: str, keys: Keyring, wall: float, monotonic: float) -> Verified | Unverified | None:
    """A token with all checks of the token itself but revocation, and remembered; or as far as nothing is waited for.

    Unverified: its issuer, or that issuer's keys, are to be asked for. None: keys are due, beside a token that is
    remembered; or it is encrypted. Raises an AuthError.
    """
    settings, known = keys.settings, keys.known or known_to(keys)
    # Of a longer one the length alone is told: to look for it would cost as much.
    if type(token) is str and len(token) <= settings.max_token_bytes:
        found = known.tokens.get(token, wall, monotonic)
        if found is not None:
            return found if monotonic < found.own.quiet_until else None
        if settings.decryption_keys and token.count(".") == 4:
            return None
        found = known.heads.recognise(token, wall, monotonic)
        if found is not None:
            known.tokens.keep(token, found, monotonic)
            return found
    unverified = parse(token, settings.max_token_bytes)
    own = own_keys(unverified, keys)
    if own is None:
        return unverified
    check_algorithm(unverified, own)
    key = own.find_at_once(unverified, monotonic)
    if key is None:
        return unverified
    found = vouch(unverified, own, key, keys, wall)
    known.tokens.keep(token, found, monotonic)
    return found


def own_keys(token: Unverified, keys: Keyring) -> IssuerKeys | None:
    """The keys of the issuer that the token states; only those may verify it. None: a resolver is to be asked.

    Raises UntrustedIssuer: before any network.
    """
    stated = token.issuer
    if not isinstance(stated, str):
        raise untrusted_issuer(stated, list(keys))
    own = keys.get(stated)
    if own is None and keys.settings.resolver is None:
        raise untrusted_issuer(stated, list(keys))
    return own


def check_algorithm(token: Unverified, own: IssuerKeys) -> None:
    """RFC 8725 section 3.1: only the algorithms that the settings name, whatever a key could do."""
    if token.algorithm not in own.policy.algorithms:
        raise HeaderRejected("alg", " or ".join(sorted(own.policy.algorithms)), token.algorithm)


def vouch(token: Unverified, own: IssuerKeys, key: VerificationKey, keys: Keyring, wall: float) -> Verified:
    """The token, once its signature and all its claims have been checked; its head is then known.

    Raises an AuthError.
    """
    signed = verify(token, key)
    profile = profile_of(signed.typ, own.policy)
    if not usual_for(own, profile)(signed.claims, wall):
        for check in PROFILES[profile]:
            check(signed.claims, own.policy, wall)
    # A resolver is to be asked each time. And a set that came meanwhile may be without this key.
    set_ = own.set_with(key, token) if keys.get(own.issuer.url) is own else None
    if set_ is not None:
        known_to(keys).heads.learn(token, own, set_, key, profile)
    return Verified(signed.raw, signed.header, signed.claims, signed.typ, own=own, set_=set_)
