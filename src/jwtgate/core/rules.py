"""What each check reads, what it expects, and where that is written: the lines of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from . import claims as check
from .profiles import TYPES, Check
from .settings import Policy
from .values import LATEST

Expectation = str | Callable[[Policy, float], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One check, described.

    name: stable, of low cardinality; section: where the rule is written; expected: in words, or what says it for a
    policy and a time; reads: the members of `part` that the check looks at.
    """

    name: str
    section: str
    expected: Expectation
    reads: tuple[str, ...] = ()
    part: Literal["header", "payload"] = "payload"

    def expects(self, policy: Policy | None, now: float) -> str | None:
        """What would pass. None where that depends on an issuer which is not known."""
        if isinstance(self.expected, str):
            return self.expected
        return None if policy is None else self.expected(policy, now)

    def found(self, parts: Mapping[str, Mapping[str, Any]]) -> Any:
        """What the token has there: one value, or an object of those that are there; None where there is none."""
        said = parts.get(self.part, {})
        if len(self.reads) == 1:
            return said.get(self.reads[0])
        return {name: said[name] for name in self.reads if name in said} or None


def time_of(seconds: float) -> str:
    """Seconds since the epoch as a person reads them, in UTC."""
    return f"{datetime.fromtimestamp(min(max(seconds, 0), LATEST), UTC):%Y-%m-%dT%H:%M:%SZ}"


def _latest(policy: Policy, now: float) -> str:
    return f"at most {time_of(now + policy.leeway)}: now, and {policy.leeway:g} s of leeway"


def _lifetime(policy: Policy, now: float) -> str:
    limit = policy.token_lifetime
    return "any: token_lifetime is not set" if limit is None else f"exp at most {limit} s after iat"


def _types(policy: Policy, now: float) -> str:
    named = {name: of for name, of in TYPES.items() if policy.profile in (None, of)}
    return " or ".join(str(name or "none") for name in dict.fromkeys([*named, *policy.accept_typ]))


# ------------------------------------------------------------------------------------------ before the claims, in order

CREDENTIALS: Final = Rule(
    "credentials", "RFC 6750 section 2.1", "one Authorization header: Bearer, a space, and one token"
)
DECRYPTION: Final = Rule("decryption", "RFC 7516 section 5.2", "none, or a JWE that a key of this API opens")
FORM: Final = Rule("form", "RFC 7515 section 7.1", "three segments with dots between them")
HEADER: Final = Rule("header", "RFC 7515 section 4", "a JSON object in base64url, without extensions", part="header")
PAYLOAD: Final = Rule("payload", "RFC 7519 section 7.2", "a JSON object in base64url")
SIGNATURE_FORM: Final = Rule("signature_form", "RFC 7515 section 5.2", "base64url, and not empty")
TRUSTED_ISSUER: Final = Rule("trusted_issuer", "RFC 9068 section 4", lambda policy, now: policy.issuer, ("iss",))
ALGORITHM: Final = Rule(
    "algorithm",
    "RFC 8725 section 3.1",
    lambda policy, now: " or ".join(sorted(policy.algorithms)),
    ("alg",),
    part="header",
)
KEY: Final = Rule(
    "key", "RFC 7515 section 4.1.4", "one key of this issuer, for this algorithm", ("kid",), part="header"
)
SIGNATURE: Final = Rule("signature", "RFC 7515 section 5.2", "the signature of that key over this header and payload")
TYP: Final = Rule("typ", "RFC 8725 section 3.11", _types, ("typ",), part="header")

STRUCTURE: Final = (FORM, HEADER, PAYLOAD, SIGNATURE_FORM)
STEPS: Final = (*STRUCTURE, TRUSTED_ISSUER, ALGORITHM, KEY, SIGNATURE, TYP)

# ------------------------------------------------------------------------------------------------- after the claims

REPLICATION: Final = Rule("replication", "RFC 7519 section 5.3", "in the JWE's header, no claim that differs")
REVOCATION: Final = Rule("revocation", "setting store", "not revoked", ("iss", "jti", "sub", "iat"))
BINDING: Final = Rule(
    "binding", "RFC 9449 section 7.1, RFC 8705 section 3", "proof of all that the token is bound to", ("cnf",)
)

REQUIREMENT: Final = Rule("requirement", "RFC 6750 section 3.1", "what the route requires", ("scope", "permissions"))

# --------------------------------------------------------------------------------------------------------- the claims

# Each check of a profile has its line here.
RULES: Final[Mapping[Check, Rule]] = {
    check.kind: Rule(
        "kind",
        "RFC 8725 section 3.12",
        "nothing that only ID tokens, logout tokens and security events have",
        ("nonce", "at_hash", "c_hash", "s_hash", "events"),
    ),
    check.expiry: Rule(
        "expiry",
        "RFC 7519 section 4.1.4",
        lambda policy, now: f"after {time_of(now - policy.leeway)}: now, less {policy.leeway:g} s of leeway",
        ("exp",),
    ),
    check.not_before: Rule(
        "not_before", "RFC 7519 section 4.1.5", lambda policy, now: f"none, or {_latest(policy, now)}", ("nbf",)
    ),
    check.issued_at: Rule("issued_at", "RFC 7519 section 4.1.6", _latest, ("iat",)),
    check.lifetime: Rule("lifetime", "setting token_lifetime", _lifetime, ("iat", "exp")),
    check.issuer: Rule("issuer", "RFC 7519 section 4.1.1", lambda policy, now: policy.issuer, ("iss",)),
    check.audience: Rule(
        "audience", "RFC 7519 section 4.1.3", lambda policy, now: " or ".join(policy.identifiers), ("aud",)
    ),
    check.subject: Rule("subject", "RFC 9068 section 2.2", "a string that is not empty", ("sub",)),
    check.client: Rule(
        "client", "RFC 8693 section 4.3", "client_id and azp name one application", ("client_id", "azp")
    ),
    check.client_id: Rule("client_id", "RFC 9068 section 2.2", "a string that is not empty", ("client_id",)),
    check.token_id: Rule("token_id", "RFC 9068 section 2.2", "a string that is not empty", ("jti",)),
    check.optional_token_id: Rule("token_id", "RFC 7519 section 4.1.7", "a string, or none", ("jti",)),
    check.scope: Rule("scope", "RFC 8693 section 4.2", "names with spaces between them, or none", ("scope",)),
    check.scope_or_list: Rule(
        "scope", "RFC 8693 section 4.2", "names with spaces between them, an array of names, or none", ("scope",)
    ),
    check.permissions: Rule("permissions", "Auth0 RBAC", "an array of strings, or none", ("permissions",)),
    check.grant_type: Rule("grant_type", "Auth0 profile", "a string, an array of strings, or none", ("gty",)),
    check.organization: Rule(
        "organization", "Auth0 Organizations", "strings that are not empty, or none", ("org_id", "org_name")
    ),
    check.actor: Rule("actor", "RFC 8693 section 4.1", "a JSON object, or none", ("act",)),
    check.confirmation: Rule(
        "confirmation",
        "RFC 7800 section 3.1",
        lambda policy, now: f"{check.bindings(policy)}, or none" if policy.confirmations else check.bindings(policy),
        ("cnf",),
    ),
}
