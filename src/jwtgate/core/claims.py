"""One function for each claim, with one reason to say no."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .errors import BindingRejected, ClaimRejected, TokenExpired, UntrustedIssuer, WrongAudience, WrongTokenKind
from .settings import Policy
from .values import LATEST, SCOPE_TOKEN

Claims = Mapping[str, Any]


def _text(claims: Claims, name: str, *, required: bool = False) -> str | None:
    if name not in claims and not required:
        return None
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise ClaimRejected(name, "a string that is not empty", value)
    return value


def _seconds(claims: Claims, name: str) -> float:
    """A NumericDate (RFC 7519 section 2). bool is an int in Python, and `true` is no date."""
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LATEST:
        raise ClaimRejected(name, f"a number of seconds, 0 to {LATEST}", value)
    return value


# -------------------------------------------------------------------------------------------------------- what it is

# What only tokens of another kind have: no audience makes an access token of them (RFC 8725 section 3.12).
_ID_TOKEN = "an ID token: its audience is the application"
_FOREIGN = {
    "nonce": _ID_TOKEN,  # OpenID Connect Core 1.0 section 2
    "at_hash": _ID_TOKEN,
    "c_hash": _ID_TOKEN,
    "s_hash": _ID_TOKEN,
    "events": "a security event or logout token",  # RFC 8417 section 2.2
}


def kind(claims: Claims, policy: Policy, now: float) -> None:
    """It must not be an ID token, a logout token or a security event."""
    for name, what in _FOREIGN.items():
        if name in claims:
            raise WrongTokenKind(what, name)


# -------------------------------------------------------------------------------------------------------------- when


def expiry(claims: Claims, policy: Policy, now: float) -> None:
    """RFC 7519 section 4.1.4: the current time must be before `exp`. Required here (RFC 9068 section 2.2)."""
    expires = _seconds(claims, "exp")
    if now >= expires + policy.leeway:
        raise TokenExpired(expires, now, policy.leeway)


def not_before(claims: Claims, policy: Policy, now: float) -> None:
    """RFC 7519 section 4.1.5: the current time must be after or equal to `nbf`."""
    if "nbf" in claims and now + policy.leeway < (start := _seconds(claims, "nbf")):
        raise ClaimRejected("nbf", f"at most {now + policy.leeway:.0f}", start, "not valid yet: is a clock wrong?")


def issued_at(claims: Claims, policy: Policy, now: float) -> None:
    """`iat` must not be ahead. Required here (RFC 9068 section 2.2; Auth0 always sets it)."""
    issued = _seconds(claims, "iat")
    if now + policy.leeway < issued:
        raise ClaimRejected("iat", f"at most {now + policy.leeway:.0f}", issued, "ahead of time: is a clock wrong?")


def lifetime(claims: Claims, policy: Policy, now: float) -> None:
    """A token must not claim a longer life than this API's tokens have."""
    if policy.token_lifetime is not None:
        life = _seconds(claims, "exp") - _seconds(claims, "iat")
        if life > policy.token_lifetime:
            raise ClaimRejected("exp", f"at most {policy.token_lifetime} s after iat (token_lifetime)", life)


# ------------------------------------------------------------------------------------------------ by whom, and for whom


Nearness = Literal["slash", "case"]
Mistake = Literal["slash", "case", "userinfo", "id_token"]
_HINTS: dict[Mistake | None, str] = {
    "slash": "they differ only by the trailing slash, and that counts",
    "case": "they differ only by upper and lower case, and that counts",
    "userinfo": "a token for /userinfo alone: the client asked for a token without this API's audience",
    "id_token": "this looks like an ID token: its audience is the application",
    None: "",
}


def nearness(wanted: str, found: object) -> Nearness | None:
    """What people overlook, where two identifiers differ by nothing else. It never makes them equal."""
    if not isinstance(found, str) or found == wanted:
        return None
    if found.rstrip("/") == wanted.rstrip("/"):
        return "slash"
    return "case" if found.casefold().rstrip("/") == wanted.casefold().rstrip("/") else None


def _nearest(wanted: Sequence[str], found: Sequence[object]) -> Nearness | None:
    near = (nearness(one, other) for one in wanted for other in found)
    return next((difference for difference in near if difference is not None), None)


def untrusted_issuer(found: object, trusted: list[str]) -> UntrustedIssuer:
    """The refusal of a token whose `iss` is none of ours, with what people overlook in words."""
    near = _nearest(trusted, [found])
    return UntrustedIssuer("iss", " or ".join(trusted[:4]), found, _HINTS[near])


def issuer(claims: Claims, policy: Policy, now: float) -> None:
    """RFC 7519 section 4.1.1, compared character by character (RFC 9068 section 4)."""
    if claims.get("iss") != policy.issuer:
        raise untrusted_issuer(claims.get("iss"), [policy.issuer])


def audience(claims: Claims, policy: Policy, now: float) -> None:
    """RFC 7519 section 4.1.3: `aud`, a string or an array of strings, must hold this API's identifier, exactly."""
    named = audiences(claims)
    expected = " or ".join(policy.identifiers)
    if named is None:
        raise WrongAudience("aud", expected, claims.get("aud"), "aud must be a string, or an array of strings")
    if set(named).isdisjoint(policy.identifiers):
        raise WrongAudience("aud", expected, claims["aud"], _HINTS[mistaken_audience(claims, policy)])


def audiences(claims: Claims) -> list[str] | None:
    """The values of `aud`; None where it is neither a string nor an array of strings, or empty."""
    found = claims.get("aud")
    if isinstance(found, str):
        return [found] if found else None
    good = isinstance(found, list) and found and all(isinstance(value, str) and value for value in found)
    return found if good else None


def mistaken_audience(claims: Claims, policy: Policy) -> Mistake | None:
    """What was probably done wrong, where `aud` does not hold this API's identifier."""
    named = audiences(claims) or [""]
    if near := _nearest(policy.identifiers, named):
        return near
    if len(named) == 1 and named[0].endswith("/userinfo"):
        return "userinfo"
    if "://" not in named[0] and not {"scope", "permissions", "gty", "jti"} & claims.keys():
        return "id_token"
    return None


def subject(claims: Claims, policy: Policy, now: float) -> None:
    """RFC 7519 section 4.1.2. Required here (RFC 9068 section 2.2)."""
    _text(claims, "sub", required=True)


def client(claims: Claims, policy: Policy, now: float) -> None:
    """`client_id` (RFC 8693 section 4.3) and Auth0's `azp` name the same application, where both are there."""
    named = {_text(claims, "client_id"), _text(claims, "azp")} - {None}
    if len(named) > 1:
        raise ClaimRejected("azp", "the same as client_id", claims["azp"])


def client_id(claims: Claims, policy: Policy, now: float) -> None:
    """RFC 9068 section 2.2: required."""
    _text(claims, "client_id", required=True)


def client_of(claims: Claims) -> str | None:
    """The application that the token was issued to."""
    return claims.get("client_id") or claims.get("azp")


def token_id(claims: Claims, policy: Policy, now: float) -> None:
    """RFC 9068 section 2.2: `jti` is required."""
    _text(claims, "jti", required=True)


def optional_token_id(claims: Claims, policy: Policy, now: float) -> None:
    """RFC 7519 section 4.1.7: a string, where it is there."""
    _text(claims, "jti")


# -------------------------------------------------------------------------------------------------------- allowed what


def _scope_tokens(claims: Claims, names: list[Any]) -> None:
    for name in names:
        if not isinstance(name, str) or (name and SCOPE_TOKEN.fullmatch(name) is None):
            raise ClaimRejected("scope", "scope names as RFC 6749 section 3.3 writes them", claims["scope"])


def scope(claims: Claims, policy: Policy, now: float) -> None:
    """RFC 8693 section 4.2: one string of names with spaces between them."""
    if "scope" in claims:
        value = claims["scope"]
        if not isinstance(value, str):
            raise ClaimRejected("scope", "one string of names with spaces between them", value)
        _scope_tokens(claims, value.split(" "))


def scope_or_list(claims: Claims, policy: Policy, now: float) -> None:
    """As `scope`, or an array of names: some issuers write it so."""
    value = claims.get("scope")
    if isinstance(value, list):
        if not all(isinstance(name, str) and name for name in value):
            raise ClaimRejected("scope", "an array of names", value)
        _scope_tokens(claims, value)
    else:
        scope(claims, policy, now)


def scopes_of(claims: Claims) -> frozenset[str]:
    """The names in a `scope` claim that has been checked."""
    value = claims.get("scope", "")
    return frozenset(value.split(" ") if isinstance(value, str) else value) - {""}


def permissions(claims: Claims, policy: Policy, now: float) -> None:
    """Auth0's RBAC: an array of strings, where it is there."""
    if "permissions" in claims:
        value = claims["permissions"]
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ClaimRejected("permissions", "an array of strings", value)


# ---------------------------------------------------------------------------------------------------- what else it says


def grant_type(claims: Claims, policy: Policy, now: float) -> None:
    """Auth0's `gty`: a string, or an array of strings for tokens from a refresh token."""
    if "gty" in claims:
        value = claims["gty"]
        names = value if isinstance(value, list) else [value]
        if not names or not all(isinstance(name, str) for name in names):
            raise ClaimRejected("gty", "a string or an array of strings", value)


def organization(claims: Claims, policy: Policy, now: float) -> None:
    """Auth0's `org_id` and `org_name`: strings, where they are there."""
    _text(claims, "org_id")
    _text(claims, "org_name")


def actor(claims: Claims, policy: Policy, now: float) -> None:
    """RFC 8693 section 4.1: `act` is a JSON object, and so is each `act` inside it."""
    holder: Claims = claims
    while "act" in holder:
        act = holder["act"]
        if not isinstance(act, dict):
            raise ClaimRejected("act", "a JSON object", act)
        name = act.get("sub", "-")
        if not isinstance(name, str) or not name:
            raise ClaimRejected("act", "a sub that is a string and not empty, where there is one", name)
        holder = act


# RFC 7800 sections 3.2 to 3.5, RFC 9449 section 6.1, RFC 8705 section 3.1.
# And what looks like one: whoever writes a certificate's SHA-1 there means to bind the token.
_CONFIRMATIONS = ("jwk", "jwe", "kid", "jku", "jkt", "x5t#S256", "x5t")
# RFC 9449 section 6.1, RFC 8705 section 3.1: SHA-256 in base64url without padding. Of 32 octets, the last character has
# two bits that must be zero.
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def confirmation(claims: Claims, policy: Policy, now: float) -> None:
    """A token that is bound in a way which cannot be checked here is refused: to ignore it would make it a bearer's.

    RFC 7800 section 3.1: members that are not understood are ignored.
    """
    if "cnf" in claims:
        cnf = claims["cnf"]
        if not isinstance(cnf, dict):
            raise ClaimRejected("cnf", "a JSON object", cnf)
        for name in _CONFIRMATIONS:
            if name in cnf:
                if name not in policy.confirmations:
                    raise BindingRejected(bindings(policy), name, "see proof_of_possession")
                if not isinstance(cnf[name], str) or _THUMBPRINT.fullmatch(cnf[name]) is None:
                    raise BindingRejected(f"{name} to be a SHA-256 thumbprint in base64url", cnf[name])


def bindings(policy: Policy) -> str:
    """The members of `cnf` that can be checked here, in words."""
    return " or ".join(sorted(policy.confirmations)) or "no binding: this API takes bearer tokens alone"
