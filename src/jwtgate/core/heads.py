"""The short way: what follows from a token's head is worked out once for each issuer and key, and kept.

Of one key, all tokens begin with the same segment, character by character. Here such a token is taken apart without
looking at its header again. What is written in any unusual way is left to the long way, and whatever is refused here
would be refused there in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .claims import confirmation
from .compact import CLAIMS_DEPTH, CLAIMS_MEMBERS, Object, Signed, Unverified, decode_base64url, malformed, parse_json
from .errors import AuthError
from .jwk import VerificationKey
from .keys import IssuerKeys
from .profiles import PROFILES
from .recent import Recent
from .settings import Policy
from .values import LATEST, Profile

HEADS: Final = 256  # that are kept

Sound = Callable[[Mapping[str, Any], float], bool]


class Verified(Signed):
    """A token that was good in every way.

    own: the keys of its issuer; set: those among which its own is, as they were; None where another set has come since,
    or where nothing is to be remembered. begins, ends: when it is good, seconds since the epoch, `leeway` thought of.
    """

    __slots__ = ("begins", "ends", "own", "set")

    def __init__(
        self, raw: str, header: Object, claims: Object, typ: str | None, *, own: IssuerKeys, set_: object
    ) -> None:
        # As in Signed: to call it would take a third of what there is to do here.
        self.raw: str = raw
        self.header: Object = header
        self.claims: Object = claims
        self.typ: str | None = typ
        leeway = own.policy.leeway
        begins: float = max(claims["iat"], claims["nbf"]) if "nbf" in claims else claims["iat"]
        self.own: IssuerKeys = own
        self.set: object = set_
        self.begins: float = begins - leeway
        self.ends: float = claims["exp"] + leeway

    def __reduce__(self) -> tuple[Any, ...]:
        # To another process goes the token, and no keys: they are of this one.
        return Signed, (self.raw, self.header, self.claims, self.typ)


class Meaning:
    """What one head means under one issuer: the key, the profile, and the claims that a token usually has."""

    __slots__ = ("header", "key", "own", "profile", "set", "sound", "typ")

    def __init__(
        self, token: Unverified, own: IssuerKeys, set_: object, key: VerificationKey, profile: Profile
    ) -> None:
        self.own: IssuerKeys = own
        self.set: object = set_
        self.key: VerificationKey = key
        self.profile: Profile = profile
        self.header: dict[str, Any] = token.header
        self.typ: str | None = token.typ
        self.sound: Sound = usual_for(own, profile)


class Heads:
    """The heads of tokens that were good, and by issuer what each means."""

    __slots__ = ("_recent",)

    def __init__(self) -> None:
        self._recent: Recent[dict[str, Meaning]] = Recent(HEADS)

    def __len__(self) -> int:
        return len(self._recent)

    def learn(self, token: Unverified, own: IssuerKeys, set_: object, key: VerificationKey, profile: Profile) -> None:
        """Of a token that was good in every way: a stranger fills nothing. set_: the keys among which its key is."""
        head = token.raw[: token.raw.index(".")]
        known = self._recent.get(head) or {}
        self._recent.keep(head, {**known, own.issuer.url: Meaning(token, own, set_, key, profile)})

    def recognise(self, token: str, wall: float, monotonic: float) -> Verified | None:
        """A token whose head is known, verified with all its claims; None where the long way must be gone.

        token: not longer than is taken. Raises an AuthError as the long way would.
        """
        first = token.find(".")
        head = token[:first]
        meanings = self._recent.get(head)
        if meanings is None or first < 0:
            return None
        last, part = token.rfind("."), "payload"
        try:
            claims = parse_json(decode_base64url(token[first + 1 : last]), CLAIMS_DEPTH, CLAIMS_MEMBERS)
            if type(claims) is not dict:
                return None
            part = "signature"
            signature = decode_base64url(token[last + 1 :])
        except ValueError as error:
            if token.count(".") != 2:
                return None  # it is something else, and the long way says what
            raise malformed(part, error) from None
        issuer = claims.get("iss")
        meaning = meanings.get(issuer) if type(issuer) is str and signature else None
        if meaning is None:
            return None
        own = meaning.own
        # Is the key still that of the issuer, and is there nothing to be asked for?
        if own.in_use is not meaning.set or monotonic >= own.quiet_until:
            return None
        meaning.key.check(token[:last].encode("ascii"), signature)
        if not meaning.sound(claims, wall):
            for check in PROFILES[meaning.profile]:
                check(claims, own.policy, wall)
        return Verified(token, meaning.header, claims, meaning.typ, own=own, set_=meaning.set)


# -------------------------------------------------------------------------------------------------- claims in one pass

# What only tokens of another kind have, or few tokens: they are looked at one by one.
_UNUSUAL: Final = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events", "act", "nbf"})
_TEXTS: Final = ("azp", "client_id", "jti", "gty", "org_id", "org_name")


def usual_for(own: IssuerKeys, profile: Profile) -> Sound:
    """What tells an issuer's usual claims, built once."""
    sound = own.usual.get(profile)
    if sound is None:
        sound = own.usual[profile] = sound_for(own.policy, profile)
    return sound


def sound_for(policy: Policy, profile: Profile) -> Sound:
    """All of a profile's checks at once, for claims as they usually are.

    True: every one of them would pass. False says nothing: they are to be asked.
    """
    identifiers, leeway = frozenset(policy.identifiers), policy.leeway
    longest = LATEST if policy.token_lifetime is None else policy.token_lifetime
    required = ("client_id", "jti") if profile == "rfc9068" else ()

    def sound(claims: Mapping[str, Any], now: float) -> bool:
        get = claims.get
        expires, issued, subject = get("exp"), get("iat"), get("sub")
        if type(expires) is not int or type(issued) is not int or type(subject) is not str or not subject:
            return False
        # The range first: a larger number is no float, and `leeway` may be one.
        if not (0 <= expires <= LATEST and now < expires + leeway and 0 <= issued <= now + leeway):
            return False
        if expires - issued > longest or not _UNUSUAL.isdisjoint(claims):
            return False
        for name in required:
            if name not in claims:
                return False
        return (
            _are_texts(claims)
            and ("azp" not in claims or get("client_id", claims["azp"]) == claims["azp"])
            and _is_for(identifiers, get("aud"))
            and _is_scope(get("scope", ""))
            and ("permissions" not in claims or _are_names(claims["permissions"]))
            and ("cnf" not in claims or _is_binding(claims, policy, now))
        )

    return sound


def _are_texts(claims: Mapping[str, Any]) -> bool:
    for name in _TEXTS:
        if name in claims:
            text = claims[name]
            if type(text) is not str or not text:
                return False
    return True


def _is_for(identifiers: frozenset[str], audience: object) -> bool:
    if type(audience) is str:
        return audience in identifiers
    return (
        isinstance(audience, list)
        and _are_names(audience)
        and "" not in audience
        and not identifiers.isdisjoint(audience)
    )


def _is_scope(scope: object) -> bool:
    # Printable ASCII without quotation mark and backslash: RFC 6749 section 3.3, and the spaces between.
    return type(scope) is str and scope.isascii() and scope.isprintable() and '"' not in scope and "\\" not in scope


def _are_names(values: object) -> bool:
    if type(values) is not list:
        return False
    try:
        "".join(values)  # which takes nothing but strings, and looks at each in C
    except TypeError:
        return False
    return True


def _is_binding(claims: Mapping[str, Any], policy: Policy, now: float) -> bool:
    try:
        confirmation(claims, policy, now)
    except AuthError:
        return False
    return True
