"""Why a check failed, in one sentence for somebody who is new to tokens, and what to change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from . import claims as check
from .access import AccessToken
from .claims import Claims
from .errors import (
    AmbiguousKey,
    AuthError,
    BadSignature,
    BindingRejected,
    CertificateRejected,
    ClaimRejected,
    EncryptedToken,
    HeaderRejected,
    InsufficientAuthentication,
    InsufficientScope,
    InvalidForwarding,
    InvalidProof,
    InvalidRequest,
    KeysUnavailable,
    MalformedToken,
    MissingCredentials,
    NonceRequired,
    OpaqueToken,
    ProofBesideBearer,
    ProofReplayed,
    RevokedToken,
    TokenExpired,
    TokenTooLarge,
    Unavailable,
    UndecryptableToken,
    UnknownKey,
    UntrustedIssuer,
    WrongAudience,
    WrongTokenKind,
    listed,
    shown,
)
from .jwk import ASYMMETRIC, SYMMETRIC
from .profiles import TYPES
from .rules import ALGORITHM, KEY, RULES, TYP, Rule, time_of
from .settings import Policy
from .values import LATEST


class Cause(StrEnum):
    """Why a token is refused: stable names of low cardinality, for tests, logs and metrics."""

    # What was sent
    NO_CREDENTIALS = "no_credentials"
    TWO_TOKENS = "two_tokens"
    CREDENTIALS = "credentials"
    NOTHING = "nothing"
    WRAPPED = "wrapped"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    OPAQUE = "opaque"
    REFRESH_TOKEN = "refresh_token"
    ENCRYPTED = "encrypted"
    UNDECRYPTABLE = "undecryptable"
    PROOF_BESIDE_BEARER = "proof_beside_bearer"
    FORWARDING = "forwarding"
    HEADER = "header"
    # By whom, and how signed
    UNSIGNED = "unsigned"
    ISSUER = "issuer"
    ISSUER_SLASH = "issuer_slash"
    ISSUER_CASE = "issuer_case"
    SYMMETRIC_ALGORITHM = "symmetric_algorithm"
    ASYMMETRIC_ALGORITHM = "asymmetric_algorithm"
    ALGORITHM = "algorithm"
    KEY_ALGORITHM = "key_algorithm"
    UNKNOWN_KEY = "unknown_key"
    NO_KID = "no_kid"
    AMBIGUOUS_KEY = "ambiguous_key"
    KEYS_UNAVAILABLE = "keys_unavailable"
    UNAVAILABLE = "unavailable"
    SIGNATURE = "signature"
    SECRET = "secret"
    # What it is
    OTHER_PROFILE = "other_profile"
    TYP = "typ"
    ID_TOKEN = "id_token"
    LOGOUT_TOKEN = "logout_token"
    # When
    EXPIRED = "expired"
    CLOCK = "clock"
    MILLISECONDS = "milliseconds"
    LIFETIME = "lifetime"
    # For whom
    AUDIENCE = "audience"
    AUDIENCE_SLASH = "audience_slash"
    AUDIENCE_CASE = "audience_case"
    AUDIENCE_NOT_ASKED = "audience_not_asked"
    # What else it says
    CLAIM = "claim"
    CLAIM_MISSING = "claim_missing"
    BOUND = "bound"
    REVOKED = "revoked"
    # Whose it is
    NOT_BOUND = "not_bound"
    BOUND_AS_BEARER = "bound_as_bearer"
    OTHER_KEY = "other_key"
    CERTIFICATE = "certificate"
    PROOF_MISSING = "proof_missing"
    PROOF = "proof"
    PROOF_URL = "proof_url"
    PROOF_CLOCK = "proof_clock"
    PROOF_NONCE = "proof_nonce"
    PROOF_USED = "proof_used"
    # What it allows
    NO_PERMISSIONS_CLAIM = "no_permissions_claim"
    PERMISSIONS_NOT_READ = "permissions_not_read"
    PERMISSION_MISSING = "permission_missing"
    ROLE_MISSING = "role_missing"
    SCOPE_MISSING = "scope_missing"
    REQUIREMENT = "requirement"
    AUTHENTICATION = "authentication"
    OTHER = "other"


_ASK_WITH_AUDIENCE = (
    "Have the client send audience= with this API's identifier when it asks for the token. With the wrong audience, or"
    " none, the issuer makes a token that is not for this API."
)
_SAME_TEXT = "Make both the same to the last character: what the client asks for, and what this API's settings say."
_FORGERY = "Never make this API take such a token: anybody could have written it. Get a new one from the issuer."
_RELOAD = (
    "Compare the issuer's address in this API's settings with where the token was made. If the issuer has just got a"
    " new key, its published keys must hold it."
)

# cause → why, in one sentence, and what to change. `{…}` is of the error, or of the finding.
ADVICE: Final[Mapping[Cause, tuple[str, str]]] = {
    Cause.NO_CREDENTIALS: (
        "The request carries no access token.",
        'Send it in a header: "Authorization: Bearer", a space, and the token.',
    ),
    Cause.TWO_TOKENS: (
        "The request carries two tokens, and the API cannot know which of them counts.",
        "Send one Authorization header with one token: look for a proxy or a client library that adds another.",
    ),
    Cause.CREDENTIALS: (
        "The Authorization header is not written as it must be: {reason}.",
        'Write it so: "Authorization: Bearer", a space, and the token, with nothing around it.',
    ),
    Cause.NOTHING: (
        "There is no token: what was sent is empty.",
        "Look at the variable that should hold the token: the request for it may have failed.",
    ),
    Cause.WRAPPED: (
        "There is something around the token: quotes, spaces, a scheme, or the whole answer that it came in.",
        "Send nothing but the value of access_token.",
    ),
    Cause.MALFORMED: (
        "This is no complete token: {detail}.",
        "Copy it again, whole: three parts of letters, digits, - and _, with two dots between them.",
    ),
    Cause.TOO_LARGE: (
        "The token is longer than this API reads: {detail}.",
        "Put fewer custom claims into it, or raise max_token_bytes in this API's settings.",
    ),
    Cause.OPAQUE: (
        "This is an opaque token, which only its issuer can read: the client did not ask for a token for this API.",
        _ASK_WITH_AUDIENCE,
    ),
    Cause.REFRESH_TOKEN: (
        "This is a refresh token: it gets new tokens from the issuer, and no API takes it.",
        "Send the access_token of the same answer; the refresh token stays with the client.",
    ),
    Cause.ENCRYPTED: (
        "This token is encrypted ({algorithm}), and this API has no key to decrypt it.",
        "Give this API's settings the private key (decryption_keys), or switch encryption (JWE) off at the issuer.",
    ),
    Cause.UNDECRYPTABLE: (
        "This token is encrypted, and none of this API's keys opens it.",
        "Compare the key that is registered at the issuer with decryption_keys; after a change, keep the old one too.",
    ),
    Cause.PROOF_BESIDE_BEARER: (
        "The request carries a DPoP proof, and its token comes under the Bearer scheme.",
        'Send "Authorization: DPoP", a space, and the token; or leave the DPoP header out.',
    ),
    Cause.FORWARDING: (
        "A proxy describes the request in a way that cannot be understood: {detail}.",
        "Look at what the proxy sends: each header once, written by the proxy alone and never passed on from a client.",
    ),
    Cause.HEADER: (
        "The token's header holds what this API does not take: {detail}.",
        "Take a token from the issuer as it is. A header like this does not come from one by itself.",
    ),
    Cause.UNSIGNED: (
        "The token is not signed, so anybody could have written it.",
        _FORGERY,
    ),
    Cause.ISSUER: (
        "The token was made by {found}, and this API trusts {expected} alone.",
        (
            "Ask that issuer for the token, or name the token's issuer in this API's settings (domain,"
            " issuers). A custom domain and the tenant's own are two issuers."
        ),
    ),
    Cause.ISSUER_SLASH: (
        "The token's issuer is {found} and this API trusts {expected}: they differ only by the slash at the end.",
        "Write the issuer in this API's settings as the token has it, to the last character.",
    ),
    Cause.ISSUER_CASE: (
        "The token's issuer is {found} and this API trusts {expected}: they differ only by capital letters.",
        "Write the issuer in this API's settings as the token has it, to the last character.",
    ),
    Cause.SYMMETRIC_ALGORITHM: (
        (
            "The token is signed with a shared secret ({found}), and this API takes signatures by a key pair"
            " ({expected})."
        ),
        (
            "If this API is registered with HS256, say so in its settings (signing_algorithms, signing_secret)."
            " If it is not, the token may be forged with the public key: get a new one from the issuer."
        ),
    ),
    Cause.ASYMMETRIC_ALGORITHM: (
        (
            "The token is signed by a key pair ({found}), and this API takes signatures with a shared secret"
            " ({expected})."
        ),
        "Set signing_algorithms to the Signing Algorithm on the API's page at the issuer, and drop signing_secret.",
    ),
    Cause.ALGORITHM: (
        "The token is signed with {found}, and this API takes {expected} alone.",
        (
            "Set signing_algorithms to the Signing Algorithm on the API's page at the issuer. If they are the"
            " same, the token was made before that was changed, or for another API."
        ),
    ),
    Cause.KEY_ALGORITHM: (
        "The token is signed with {actual}, and the issuer publishes its key for {expected}.",
        "Set signing_algorithms to what the issuer's keys are made for.",
    ),
    Cause.UNKNOWN_KEY: (
        "The token names a key ({kid}) that its issuer does not publish.",
        _RELOAD,
    ),
    Cause.NO_KID: (
        "The token does not name its key, and no key of its issuer fits.",
        _RELOAD,
    ),
    Cause.AMBIGUOUS_KEY: (
        "Several keys of the issuer fit the token, and nothing says which of them signed it.",
        "Have the issuer give each of its keys a kid of its own, and write it into the tokens.",
    ),
    Cause.KEYS_UNAVAILABLE: (
        "The issuer's keys could not be had, so nobody can tell whether the token is good: {reason}.",
        "Look whether this machine reaches the issuer: network, proxy, firewall, and the issuer's own state.",
    ),
    Cause.UNAVAILABLE: (
        "This API cannot decide at the moment: {reason}.",
        "Look into the log of the API.",
    ),
    Cause.SIGNATURE: (
        "The signature does not fit: the token was changed after it was signed, or somebody else signed it.",
        "Copy the token again, whole. If it stays so, take it as forged, and get a new one from the issuer.",
    ),
    Cause.SECRET: (
        "The signature was not made with this API's signing secret, or the token was changed after it.",
        "Compare signing_secret with the Signing Secret on the API's page. It is not the secret of an application.",
    ),
    Cause.OTHER_PROFILE: (
        "The token is of the other token profile: its typ is {found}, and this API takes {expected}.",
        "Set profile to the JSON Web Token (JWT) Profile on the API's page at the issuer, or leave it out for both.",
    ),
    Cause.TYP: (
        "The token's header says that it is {found}, and an access token is {expected}.",
        "Send the access_token. If the issuer writes its access tokens so, name that typ in Issuer(accept_typ=…).",
    ),
    Cause.ID_TOKEN: (
        "This is an ID token: it tells an application who logged in, and no API takes it.",
        "Send the access_token of the same answer, not the id_token.",
    ),
    Cause.LOGOUT_TOKEN: (
        "This is a message about a logout or another event, and no access token.",
        "Send the access_token.",
    ),
    Cause.EXPIRED: (
        "The token expired {ago} ago, at {at}.",
        (
            "Get a new token: the client must do so before the old one expires. If this one is new, the clock"
            " of this machine, or the issuer's, is wrong."
        ),
    ),
    Cause.CLOCK: (
        "The token is from the future: by the clock here its {claim} is {ahead} ahead, at {at}.",
        "Set the clock of this machine (NTP) and compare it with the issuer's. leeway forgives a few seconds.",
    ),
    Cause.MILLISECONDS: (
        "The token's {claim} is {actual}: that must be seconds, and looks like milliseconds.",
        "Have whoever makes the token write times in seconds since 1970.",
    ),
    Cause.LIFETIME: (
        "The token lives for {actual} s, longer than this API allows: {expected}.",
        "Shorten the token's lifetime at the issuer, or raise token_lifetime in this API's settings.",
    ),
    Cause.AUDIENCE: (
        "The token is for {found}, and this API is {expected}.",
        _ASK_WITH_AUDIENCE,
    ),
    Cause.AUDIENCE_SLASH: (
        "The token is for {found} and this API is {expected}: they differ only by the slash at the end.",
        _SAME_TEXT,
    ),
    Cause.AUDIENCE_CASE: (
        "The token is for {found} and this API is {expected}: they differ only by capital letters.",
        _SAME_TEXT,
    ),
    Cause.AUDIENCE_NOT_ASKED: (
        "The token is for the issuer's own /userinfo alone: the client did not ask for a token for this API.",
        _ASK_WITH_AUDIENCE,
    ),
    Cause.CLAIM: (
        "The token's {claim} is not what it must be: expected {expected}, got {actual}.",
        "Have whoever makes the token write {claim} so: look at the issuer's settings and at its rules and actions.",
    ),
    Cause.CLAIM_MISSING: (
        "The token has no {claim}, and must have one.",
        "Have the issuer put {claim} into its access tokens. If it never does, it follows another profile.",
    ),
    Cause.BOUND: (
        "The token is bound to a key or a certificate of its client, and this API cannot check that.",
        "Set proof_of_possession to what the issuer binds this API's tokens to, or switch that off at the issuer.",
    ),
    Cause.REVOKED: (
        "The token was good, and this API was told to take it no more.",
        "Get a new token. If it is refused too, its user or application was shut out with intent.",
    ),
    Cause.NOT_BOUND: (
        "The token is bound to no key and no certificate, and this API takes no others.",
        "Have the client send a DPoP proof, or its certificate, when it asks for the token.",
    ),
    Cause.BOUND_AS_BEARER: (
        "The token is bound to a key of its client, and the request does not prove that key.",
        'Send "Authorization: DPoP" and the token, and in a header of its own a DPoP proof for this very request.',
    ),
    Cause.OTHER_KEY: (
        "The token is bound to another key than the one that signed the proof.",
        "Sign proofs with the key that the client used when it asked for this token.",
    ),
    Cause.CERTIFICATE: (
        "The token is bound to a client certificate, and this connection has another one, or none.",
        (
            "Call the API with the certificate that the client used when it asked for the token. Behind a proxy that"
            " ends TLS, see trusted_proxies and certificate_header."
        ),
    ),
    Cause.PROOF_MISSING: (
        "The request must carry one DPoP proof: {detail}.",
        "Send one DPoP header with a proof that was made for this request.",
    ),
    Cause.PROOF: (
        "The DPoP proof is not what it must be: {detail}.",
        "Look at the client's DPoP library: each request needs a proof of its own.",
    ),
    Cause.PROOF_URL: (
        "The DPoP proof is for another address than the one that this API was called by: {detail}.",
        "If clients use another name than the server's own, set public_url, or trusted_proxies and proxy_headers.",
    ),
    Cause.PROOF_CLOCK: (
        "By the clock here, the DPoP proof is too old or from the future: {detail}.",
        "Make a new proof for each request, and set the clocks of the client's machine and of this one (NTP).",
    ),
    Cause.PROOF_NONCE: (
        "The DPoP proof must carry the nonce that this API supplies.",
        "Take it from the DPoP-Nonce header of the answer, and send the request again with a new proof.",
    ),
    Cause.PROOF_USED: (
        "The DPoP proof was used before: each is good for one request.",
        "Make a new proof for each request, also when one is sent again.",
    ),
    Cause.NO_PERMISSIONS_CLAIM: (
        "The token has no permissions at all, and this API looks for {missing} there.",
        (
            "At the issuer, switch on both Enable RBAC and Add Permissions in the Access Token for this API,"
            " and get a new token. If names stand in scope, set permissions_in_token=False."
        ),
    ),
    Cause.PERMISSIONS_NOT_READ: (
        "The token's permissions hold {missing}, but this API looks into scope.",
        "Set permissions_in_token=True: this API has Add Permissions in the Access Token switched on.",
    ),
    Cause.PERMISSION_MISSING: (
        "The token is good, but it does not allow {missing}.",
        (
            "Give the user a role with that permission, or authorise the application for it on the API's page."
            " Then get a new token."
        ),
    ),
    Cause.ROLE_MISSING: (
        "The client asked for {missing}, but RBAC is on and no role of the user grants it.",
        "Give the user a role with that permission, and get a new token.",
    ),
    Cause.SCOPE_MISSING: (
        "The token is good, but its scope does not hold {missing}.",
        (
            "Have the client ask for it in scope, and see that it may: with RBAC by the user's roles, for a"
            " machine by its authorisation on the API's page. Then get a new token."
        ),
    ),
    Cause.REQUIREMENT: (
        "The token is good, but not for this: {detail}.",
        "Get a token of the right user, organization or application.",
    ),
    Cause.AUTHENTICATION: (
        "The user must log in again, or more strongly: {detail}.",
        "Have the client send the user to log in, with the acr_values and max_age of the challenge.",
    ),
    Cause.OTHER: (
        "The token is refused: {detail}.",
        "Look into the log of the API.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known where a check failed, besides its error.

    rule: the check's; sent: what was looked at, as it was sent; found: what the check read in it; claims: as far as
    they can be read; trusted: the issuers that this API names; policy: of the token's issuer, where that is one of
    them; token: where its signature has been checked, for requirements; permissions_in_token: of the settings.
    """

    rule: Rule
    sent: Any
    found: Any
    claims: Claims
    now: float
    trusted: Sequence[str] = ()
    policy: Policy | None = None
    token: AccessToken | None = None
    permissions_in_token: bool = False


def cause_of(error: AuthError, here: Circumstances) -> Cause:
    """Which of the causes it is: by the error's type and data, never by its words."""
    diagnose = next(_DIAGNOSES[kind] for kind in type(error).__mro__ if kind in _DIAGNOSES)
    return diagnose if isinstance(diagnose, Cause) else diagnose(error, here)


def advise(cause: Cause, error: AuthError, here: Circumstances) -> tuple[str, str]:
    """Why, and what to change. Foreign text in it is ASCII, quoted and cut."""
    why, change = ADVICE[cause]
    facts = _facts(error, here)
    return why.format_map(facts), change.format_map(facts)


# What these members of an error hold is written by us; anything else came from a token.
_OURS: Final = ("expected", "reason", "rule")


def _facts(error: AuthError, here: Circumstances) -> dict[str, str]:
    said = {name: str(value) if name in _OURS else _told(value) for name, value in vars(error).items()}
    when = said_time(getattr(error, "actual", None))
    return {
        "found": _told(here.found),
        "detail": str(error),
        "at": time_of(when),
        "ago": duration(here.now - when),
        "ahead": duration(when - here.now),
        **said,
    }


def _told(value: Any) -> str:
    if isinstance(value, list | tuple) and value:
        return listed(value[:4])
    return "nothing" if value is None or value == [] else shown(value)


def said_time(value: Any) -> float:
    """A claim's NumericDate; 0 for what is none."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LATEST
    return float(value) if good else 0.0


def duration(seconds: float) -> str:
    """Roughly, as a person says it."""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


# ------------------------------------------------------------------------------------------------------- from an error


def _request(error: Any, here: Circumstances) -> Cause:
    return Cause.TWO_TOKENS if "," in repr(here.sent) else Cause.CREDENTIALS


def _malformed(error: Any, here: Circumstances) -> Cause:
    # Whatever was handed in: bytes are not compared with text, which python -bb forbids.
    if here.sent is None or (isinstance(here.sent, str) and not here.sent):
        return Cause.NOTHING
    if error.part == "signature" and here.sent.endswith("."):
        return Cause.UNSIGNED
    return Cause.WRAPPED if _wrapped(here.sent) else Cause.MALFORMED


def _wrapped(sent: object) -> bool:
    """A scheme before it, quotes around it, JSON, a line break from a terminal: all hold what no token does."""
    return isinstance(sent, str) and re.search(r"[\s\"']", sent) is not None


def _opaque(error: Any, here: Circumstances) -> Cause:
    if _wrapped(here.sent):
        return Cause.WRAPPED
    return Cause.REFRESH_TOKEN if here.sent.startswith("v1.") else Cause.OPAQUE


def _header(error: Any, here: Circumstances) -> Cause:
    if here.rule is TYP:
        typ = error.actual.lower().removeprefix("application/") if isinstance(error.actual, str) else None
        return Cause.OTHER_PROFILE if typ in TYPES else Cause.TYP
    if error.parameter != "alg":
        return Cause.HEADER
    return _algorithm(error.actual, here)


def _algorithm(found: object, here: Circumstances) -> Cause:
    if isinstance(found, str) and found.strip("\0 ").lower() == "none":
        return Cause.UNSIGNED
    if here.rule is KEY:
        return Cause.KEY_ALGORITHM
    if here.policy is None or here.rule is not ALGORITHM:
        return Cause.HEADER
    if found in SYMMETRIC and here.policy.algorithms <= ASYMMETRIC:
        return Cause.SYMMETRIC_ALGORITHM
    asymmetric = found in ASYMMETRIC and here.policy.algorithms <= SYMMETRIC
    return Cause.ASYMMETRIC_ALGORITHM if asymmetric else Cause.ALGORITHM


def _unknown_key(error: Any, here: Circumstances) -> Cause:
    return Cause.NO_KID if error.kid is None else Cause.UNKNOWN_KEY


def _signature(error: Any, here: Circumstances) -> Cause:
    return Cause.SECRET if error.algorithm in SYMMETRIC else Cause.SIGNATURE


def _kind(error: Any, here: Circumstances) -> Cause:
    return Cause.LOGOUT_TOKEN if error.claim == "events" else Cause.ID_TOKEN


def _claim(error: Any, here: Circumstances) -> Cause:
    found, rule = error.actual, here.rule
    if found is None:
        return Cause.CLAIM_MISSING
    if error.claim in ("exp", "iat", "nbf") and isinstance(found, int | float) and found > LATEST:
        return Cause.MILLISECONDS
    if said_time(found) and rule in (RULES[check.not_before], RULES[check.issued_at]):
        return Cause.CLOCK
    if said_time(found) and rule is RULES[check.lifetime]:
        return Cause.LIFETIME
    return Cause.CLAIM


def _issuer(error: Any, here: Circumstances) -> Cause:
    near = {check.nearness(url, error.actual) for url in here.trusted}
    if "slash" in near:
        return Cause.ISSUER_SLASH
    if "case" in near:
        return Cause.ISSUER_CASE
    return Cause.ISSUER if isinstance(error.actual, str) else _claim(error, here)


def _binding(error: Any, here: Circumstances) -> Cause:
    if here.rule is RULES[check.confirmation]:
        return Cause.BOUND
    if error.actual is None:
        return Cause.NOT_BOUND
    return Cause.BOUND_AS_BEARER if error.actual == "Bearer" else Cause.OTHER_KEY


_PROOFS: Final[Mapping[str, Cause]] = {
    "DPoP": Cause.PROOF_MISSING,
    "htu": Cause.PROOF_URL,
    "iat": Cause.PROOF_CLOCK,
}


def _proof(error: Any, here: Circumstances) -> Cause:
    return _PROOFS.get(error.part, Cause.PROOF)


_AUDIENCES: Final[Mapping[check.Mistake | None, Cause]] = {
    "slash": Cause.AUDIENCE_SLASH,
    "case": Cause.AUDIENCE_CASE,
    "userinfo": Cause.AUDIENCE_NOT_ASKED,
    "id_token": Cause.ID_TOKEN,
    None: Cause.AUDIENCE,
}


def _audience(error: Any, here: Circumstances) -> Cause:
    named = check.audiences(here.claims)
    if named is None or here.policy is None:
        return _claim(error, here)
    return _AUDIENCES[check.mistaken_audience(here.claims, here.policy)]


def _scope(error: Any, here: Circumstances) -> Cause:
    token, missing = here.token, set(error.missing)
    if token is None or not missing:
        return Cause.REQUIREMENT
    permissions = token.permissions
    if missing & token.scopes:  # so they were looked for in `permissions`
        return Cause.NO_PERMISSIONS_CLAIM if permissions is None else Cause.ROLE_MISSING
    if not here.permissions_in_token:
        return Cause.PERMISSIONS_NOT_READ if missing & (permissions or set()) else Cause.SCOPE_MISSING
    return Cause.NO_PERMISSIONS_CLAIM if permissions is None else Cause.PERMISSION_MISSING


# An error's own line, or that of the nearest above it in the tree.
_DIAGNOSES: Final[Mapping[type[BaseException], Cause | Callable[[Any, Circumstances], Cause]]] = {
    MissingCredentials: Cause.NO_CREDENTIALS,
    InvalidRequest: _request,
    ProofBesideBearer: Cause.PROOF_BESIDE_BEARER,
    InvalidForwarding: Cause.FORWARDING,
    MalformedToken: _malformed,
    TokenTooLarge: Cause.TOO_LARGE,
    OpaqueToken: _opaque,
    EncryptedToken: Cause.ENCRYPTED,
    UndecryptableToken: Cause.UNDECRYPTABLE,
    HeaderRejected: _header,
    UnknownKey: _unknown_key,
    AmbiguousKey: Cause.AMBIGUOUS_KEY,
    BadSignature: _signature,
    WrongTokenKind: _kind,
    ClaimRejected: _claim,
    TokenExpired: Cause.EXPIRED,
    UntrustedIssuer: _issuer,
    WrongAudience: _audience,
    BindingRejected: _binding,
    CertificateRejected: Cause.CERTIFICATE,
    RevokedToken: Cause.REVOKED,
    InvalidProof: _proof,
    NonceRequired: Cause.PROOF_NONCE,
    ProofReplayed: Cause.PROOF_USED,
    InsufficientScope: _scope,
    InsufficientAuthentication: Cause.AUTHENTICATION,
    Unavailable: Cause.UNAVAILABLE,
    KeysUnavailable: Cause.KEYS_UNAVAILABLE,
    AuthError: Cause.OTHER,
}
