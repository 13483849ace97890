"""The short way: what follows from a token's head is worked out once for each issuer and key, and kept.

Of one key, all tokens begin with the same segment, character by character. Here such a token is taken apart without
looking at its header again. What is written in any unusual way is left to the long way, and whatever is refused here
would be refused there in the same words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from .claims import LATEST, confirmation
from .compact import CLAIMS_DEPTH, CLAIMS_MEMBERS, Signed, Unverified, decode_base64url, finite, no_constant
from .effects import Moment
from .errors import AuthError
from .jwk import VerificationKey
from .keys import IssuerKeys
from .profiles import PROFILES
from .settings import Policy
from .values import Profile

orjson: Any
try:  # the extra `speed`
    import orjson
except ImportError:
    orjson = None

HEADS: Final = 256  # that are kept, in two generations
HEAD_SIZE: Final = 2_048  # characters; a longer one is read each time

Sound = Callable[[Mapping[str, Any], float], bool]

# Without looking for a value's end, which is known here.
_scan: Final[Callable[[str, int], tuple[Any, int]]] = json.JSONDecoder(
    parse_constant=no_constant, parse_float=finite
).scan_once  # type: ignore[attr-defined]


class Verified(NamedTuple):
    """A token that was good in every way. own: the keys of its issuer; set: those among which its own is, as they were;
    None where another set has come since, or where nothing is to be remembered.
    """

    signed: Signed
    own: IssuerKeys
    set: object


class Known:
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
        self.sound: Sound = sound_for(own.policy, profile)

    def serves(self, monotonic: float) -> bool:
        """Is the key still that of the issuer, and nothing to be asked for?"""
        return self.own.in_use is self.set and monotonic < self.own.quiet_until


class Heads:
    """By their text, the heads of tokens that were good, and by issuer what each means.

    Only good tokens bring new ones: a stranger fills nothing. Each step is one operation of a dict, so that threads
    need no lock.
    """

    __slots__ = ("_older", "_younger")

    def __init__(self) -> None:
        self._younger: dict[str, dict[str, Known]] = {}
        self._older: dict[str, dict[str, Known]] = {}

    def learn(self, token: Unverified, own: IssuerKeys, set_: object, key: VerificationKey, profile: Profile) -> None:
        """Of a token that was good in every way. set_: the keys among which its key is."""
        head = token.raw[: token.raw.index(".")]
        if len(head) > HEAD_SIZE:
            return
        known = {**self._younger.get(head, {}), own.issuer.url: Known(token, own, set_, key, profile)}
        if head not in self._younger and len(self._younger) >= HEADS // 2:
            self._older, self._younger = self._younger, {}
        self._younger[head] = known

    def recognise(self, token: str, now: Moment) -> Verified | None:
        """A token whose head is known, verified with all its claims; None where the long way must be gone.

        token: not longer than is taken. Raises an AuthError as the long way would.
        """
        head, _, rest = token.partition(".")
        meanings = self._younger.get(head) or self._older.get(head)
        if meanings is None:
            return None
        payload, _, third = rest.partition(".")
        try:
            claims = quick_object(decode_base64url(payload))
            signature = decode_base64url(third)
        except ValueError:
            return None
        if claims is None or not signature:
            return None
        known = meanings.get(claims["iss"])
        if known is None or not known.serves(now.monotonic):
            return None
        signing_input = token[: -1 - len(third)]
        known.key.check(signing_input.encode("ascii"), signature)
        if not known.sound(claims, now.wall):
            for check in PROFILES[known.profile]:
                check(claims, known.own.policy, now.wall)
        return Verified(Signed(token, known.header, claims, known.typ), known.own, known.set)


def by_orjson(octets: bytes) -> dict[str, Any] | None:
    """An object that is written just as orjson would write it: no member came twice, no number and no letter was odd.

    None for any other. Raises ValueError.
    """
    if (
        b'": ' in octets
        or octets.count(b"{") + octets.count(b"[") > CLAIMS_DEPTH
        or octets.count(b",") >= CLAIMS_MEMBERS // 2
    ):
        return None
    value = orjson.loads(octets)
    plain = type(value) is dict and type(value.get("iss")) is str and orjson.dumps(value) == octets
    return value if plain else None


def by_standard_library(octets: bytes) -> dict[str, Any] | None:
    """A flat JSON object, written so plainly that it is strict at a glance; None for any other. Raises ValueError."""
    text = octets.decode("utf-8")
    # No escapes: what stands between two quotation marks is the string itself. No white space but spaces, and none of
    # them behind a quotation mark: so each member's name is followed by `":` at once. Nothing else is, but a string
    # that begins with a colon. So there are no more members than are counted here; as many as the object has mean that
    # none was written twice. One brace: nothing is nested but arrays, and of their brackets there are few.
    if "\\" in text or '" ' in text or not text.isprintable() or text[:1] != "{":
        return None
    if text.count("{") != 1 or text.count("[") > 16 or text.count(",") >= CLAIMS_MEMBERS // 2:
        return None
    try:
        value, end = _scan(text, 0)
    except StopIteration:  # this is how it says that it found no value
        return None
    if end != len(text) or text.count('":') != len(value) or type(value.get("iss")) is not str:
        return None
    return value  # type: ignore[no-any-return]


def quick_object(octets: bytes) -> dict[str, Any] | None:
    """A JSON object with an `iss` that is a string, if it is strict at a glance; else None.

    Raises ValueError for what is no JSON or not UTF-8.
    """
    found = None if orjson is None else by_orjson(octets)
    return by_standard_library(octets) if found is None else found


# -------------------------------------------------------------------------------------------------- claims in one pass

# What only tokens of another kind have, or few tokens: they are looked at one by one.
_UNUSUAL: Final = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events", "act", "nbf"})
_TEXTS: Final = frozenset({"sub", "azp", "client_id", "jti", "gty", "org_id", "org_name"})


def sound_for(policy: Policy, profile: Profile) -> Sound:
    """All of a profile's checks at once, for claims as they usually are.

    True: every one of them would pass. False says nothing: they are to be asked.
    """
    identifiers, leeway = frozenset(policy.identifiers), policy.leeway
    longest = LATEST if policy.token_lifetime is None else policy.token_lifetime
    required = ("client_id", "jti") if profile == "rfc9068" else ()

    def sound(claims: Mapping[str, Any], now: float) -> bool:
        get = claims.get
        expires, issued = get("exp"), get("iat")
        if type(expires) is not int or type(issued) is not int or not _UNUSUAL.isdisjoint(claims):
            return False
        if not (now < expires + leeway and 0 <= issued <= now + leeway and 0 <= expires <= LATEST):
            return False
        if expires - issued > longest or "sub" not in claims:
            return False
        for name in required:
            if name not in claims:
                return False
        for name in _TEXTS.intersection(claims):
            text = claims[name]
            if type(text) is not str or not text:
                return False
        if "azp" in claims and get("client_id", claims["azp"]) != claims["azp"]:
            return False
        return (
            _is_for(identifiers, get("aud"))
            and _is_scope(get("scope", ""))
            and ("permissions" not in claims or _are_names(claims["permissions"]))
            and ("cnf" not in claims or _is_binding(claims, policy, now))
        )

    return sound


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
    for value in values:  # noqa: SIM110 - `all` of a generator takes three times as long
        if type(value) is not str:
            return False
    return True


def _is_binding(claims: Mapping[str, Any], policy: Policy, now: float) -> bool:
    try:
        confirmation(claims, policy, now)
    except AuthError:
        return False
    return True
