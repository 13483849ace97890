"""Every way in which a request can be refused, as a tree, and what the client is then told.

JwtGateError
├── SettingsError                         the settings could never be right; raised when they are built
└── AuthError                             this request is refused
    ├── MissingCredentials          401   no credentials, or of a scheme that is not spoken here
    ├── InvalidRequest              400   the Authorization header breaks its grammar
    │   ├── ProofBesideBearer             a DPoP proof was sent with a token under the Bearer scheme
    │   └── InvalidForwarding             what a trusted proxy says is malformed or contradictory
    ├── InvalidToken                401   anything wrong with the access token
    │   ├── MalformedToken                it is not a compact JWS with a JSON object in it
    │   │   └── TokenTooLarge
    │   ├── OpaqueToken                   it is not for APIs at all
    │   ├── EncryptedToken                it is a JWE, and nothing here decrypts it
    │   ├── UndecryptableToken            it is a JWE, and none of the keys here opens it
    │   ├── HeaderRejected                one header parameter is not acceptable here
    │   ├── UnknownKey                    the issuer has no such key
    │   ├── AmbiguousKey                  the issuer has several keys that fit
    │   ├── BadSignature
    │   ├── WrongTokenKind                an ID token, a logout token: well signed, but no access token
    │   ├── RevokedToken                  a good token that this API was told to take no more
    │   └── ClaimRejected                 one claim of a well-signed token is not acceptable here
    │       ├── TokenExpired
    │       ├── UntrustedIssuer
    │       ├── WrongAudience
    │       └── BindingRejected           the request does not prove the key or certificate that `cnf` names
    │           └── CertificateRejected
    ├── InvalidProof                401   the DPoP proof is missing or wrong
    │   ├── NonceRequired
    │   ├── ProofReplayed
    │   └── TooManyProofs
    ├── InsufficientScope           403   a good token that does not allow this
    ├── InsufficientAuthentication  401   the user must log in again, or better (RFC 9470)
    └── Unavailable                 503   we cannot tell, through no fault of the client
        ├── KeysUnavailable
        └── StoreUnavailable

Each error has two texts: ``str(error)`` is for the log and names the rule, what was expected and what was found;
``sentence`` is fixed and is all the client sees. Nothing that came from a token or from the network reaches a client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

SHOWN = 100  # characters of foreign text in a log line


def shown(value: object) -> str:
    """Foreign text for a log line: ASCII, quoted, at most 100 characters."""
    text = ascii(value[:SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "~"


def listed(values: Sequence[object]) -> str:
    """Several values for a log line."""
    return ", ".join(shown(value) for value in values)


def _several(names: Sequence[str]) -> tuple[str, ...]:
    # One name is a sequence too, of its letters: an application that raises an error with it means the name.
    return (names,) if isinstance(names, str) else tuple(names)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer for the client: status, header lines in order, and the body's bytes."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class JwtGateError(Exception):
    """The base of all that this package raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls the class with the text alone: a process pool would die of most of these errors.
        return _again, (type(self), self.args), vars(self)


def _again(kind: type[JwtGateError], texts: tuple[object, ...]) -> JwtGateError:
    """A copy of an error, still without its data."""
    return kind.__new__(kind, *texts)


class SettingsError(JwtGateError, ValueError):
    """The settings could never be right.

    setting: the name of the setting; rule: what it must be; actual: what it was (None where it is a secret).
    """

    def __init__(self, setting: str, rule: str, actual: object = None) -> None:
        found = "" if actual is None else f", got {shown(actual)}"
        super().__init__(f"{setting}: {rule}{found}")
        self.setting = setting
        self.rule = rule
        self.actual = actual


class AuthError(JwtGateError):
    """A request is refused.

    status: the HTTP status of the answer.
    code: the error code of RFC 6750 section 3.1 (or of RFC 9449, RFC 9470), None where there must be none.
    sentence: what the client is told; one of a fixed list.
    """

    status: ClassVar[int] = 401
    code: ClassVar[str | None] = None
    sentence: ClassVar[str] = ""

    refusal: Refusal | None = None  # once a verifier has seen it
    logged: bool = False

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The header lines of the answer. Challenges are among them once a verifier has seen the error."""
        return () if self.refusal is None else self.refusal.headers

    @property
    def body(self) -> bytes:
        """The answer's JSON document."""
        return b"{}" if self.refusal is None else self.refusal.body

    @property
    def event(self) -> str:
        """A stable name of low cardinality for logs and metrics."""
        return type(self).__name__


class MissingCredentials(AuthError):
    """The request has no credentials, or none of a scheme that is spoken here.

    RFC 6750 section 3.1: such an answer carries no error code.
    """

    def __init__(self, reason: str = "no Authorization header") -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidRequest(AuthError):
    """The Authorization header breaks its grammar, or there is more than one (RFC 6750 section 3.1)."""

    status: ClassVar[int] = 400
    code: ClassVar[str | None] = "invalid_request"
    sentence: ClassVar[str] = "The request must carry one Authorization header with one access token."

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProofBesideBearer(InvalidRequest):
    """A DPoP proof was sent with a token under the Bearer scheme: which of the two is meant cannot be told."""

    sentence: ClassVar[str] = "A DPoP proof must come with the DPoP authentication scheme."

    def __init__(self) -> None:
        super().__init__("a DPoP proof beside a token under the Bearer scheme")


class InvalidForwarding(InvalidRequest):
    """What a trusted proxy says of the request is malformed, or contradicts itself. field: the header's name."""

    sentence: ClassVar[str] = "A proxy described the request in a way that cannot be understood."

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class InvalidToken(AuthError):
    """Something is wrong with the access token (RFC 6750 section 3.1)."""

    code: ClassVar[str | None] = "invalid_token"
    sentence: ClassVar[str] = "The access token is not valid for this API."


class MalformedToken(InvalidToken):
    """The token is not a compact JWS (RFC 7515 section 7.1) that holds a JSON object. part: where the fault is."""

    sentence: ClassVar[str] = "The access token is malformed."

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason


class TokenTooLarge(MalformedToken):
    """size, limit: characters of the token, and how many this API takes (`max_token_bytes`)."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__("token", f"{size} characters, at most {limit} are taken (max_token_bytes)")
        self.size = size
        self.limit = limit


class OpaqueToken(InvalidToken):
    """The token is no JWT for an API. kind: what it seems to be, for the log."""

    sentence: ClassVar[str] = (
        "The token is not an access token for this API: request one with the audience of this API."
    )

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class EncryptedToken(InvalidToken):
    """The token is encrypted (JWE), and this API has no key to decrypt it. algorithm: its `alg`."""

    sentence: ClassVar[str] = "The access token is encrypted, and this API does not take encrypted tokens."

    def __init__(self, algorithm: object) -> None:
        super().__init__(f"an encrypted token (JWE, alg {shown(algorithm)}): no decryption key is configured")
        self.algorithm = algorithm


class UndecryptableToken(InvalidToken):
    """The token is encrypted (JWE), and no key here opens it.

    RFC 7516 section 11.5: which step failed, nobody is told.
    """

    sentence: ClassVar[str] = "The access token cannot be decrypted."

    def __init__(self) -> None:
        super().__init__("no decryption key opens this token, or it was changed on its way")


class HeaderRejected(InvalidToken):
    """One parameter of the token's header is not acceptable. parameter, expected, actual."""

    sentence: ClassVar[str] = "The header of the access token is not acceptable."

    def __init__(self, parameter: str, expected: str, actual: object) -> None:
        super().__init__(f"header {parameter!r}: expected {expected}, got {shown(actual)}")
        self.parameter = parameter
        self.expected = expected
        self.actual = actual


class UnknownKey(InvalidToken):
    """The issuer publishes no usable key that the token names. kid: as in the token; issuer."""

    sentence: ClassVar[str] = "The access token was signed with an unknown key."

    def __init__(self, kid: str | None, issuer: str, known: Sequence[str] = ()) -> None:
        named = "no kid, and no key of this issuer fits" if kid is None else f"kid {shown(kid)} is not among the keys"
        super().__init__(f"{named} of {shown(issuer)}: {listed(known[:4]) or 'none'}")
        self.kid = kid
        self.issuer = issuer


class AmbiguousKey(InvalidToken):
    """Several keys of the issuer fit, so none is used. kid: as in the token (None: it named none); issuer."""

    sentence: ClassVar[str] = "The access token does not name its key unambiguously."

    def __init__(self, kid: str | None, issuer: str) -> None:
        what = "the token has no kid" if kid is None else f"kid {shown(kid)} stands for different keys"
        super().__init__(f"{what}, and several keys of {shown(issuer)} fit")
        self.kid = kid
        self.issuer = issuer


class BadSignature(InvalidToken):
    """The signature does not fit the token and the key. kid, algorithm."""

    sentence: ClassVar[str] = "The signature of the access token is not valid."

    def __init__(self, kid: str | None, algorithm: str) -> None:
        super().__init__(f"the {algorithm} signature does not verify with key {shown(kid)}")
        self.kid = kid
        self.algorithm = algorithm


class WrongTokenKind(InvalidToken):
    """A well-signed token that is no access token. kind: what it is; claim: what tells."""

    sentence: ClassVar[str] = "The token is not an access token."

    def __init__(self, kind: str, claim: str) -> None:
        super().__init__(f"{kind} (it has {claim!r})")
        self.kind = kind
        self.claim = claim


class ClaimRejected(InvalidToken):
    """One claim of a well-signed token is not acceptable here. claim, expected, actual; hint: what to change."""

    sentence: ClassVar[str] = "A claim of the access token is not acceptable."

    def __init__(self, claim: str, expected: str, actual: object, hint: str = "") -> None:
        super().__init__(f"claim {claim!r}: expected {expected}, got {shown(actual)}{hint and f' ({hint})'}")
        self.claim = claim
        self.expected = expected
        self.actual = actual
        self.hint = hint


class TokenExpired(ClaimRejected):
    """`exp` is past (RFC 7519 section 4.1.4). now: seconds since the epoch when it was looked at; leeway: seconds."""

    sentence: ClassVar[str] = "The access token expired."

    def __init__(self, actual: float, now: float, leeway: float) -> None:
        super().__init__(
            "exp", f"after {now:.0f}", actual, f"expired {now - actual:.0f} s ago, {leeway:g} s are forgiven"
        )
        self.now = now
        self.leeway = leeway


class UntrustedIssuer(ClaimRejected):
    """`iss` is none of the issuers that this API trusts, compared exactly."""

    sentence: ClassVar[str] = "The access token was issued by an issuer that this API does not trust."


class WrongAudience(ClaimRejected):
    """`aud` does not hold this API's identifier, compared exactly (RFC 7519 section 4.1.3)."""

    sentence: ClassVar[str] = "The access token was issued for another API."


class BindingRejected(ClaimRejected):
    """The token is bound to a key or a certificate, and this request does not prove that its sender has it; or it is
    bound to none, and this API wants it to be (RFC 9449 section 7.1, RFC 8705 section 3).
    """

    sentence: ClassVar[str] = "The request does not prove the key that the access token must be bound to."

    def __init__(self, expected: str, actual: object, hint: str = "") -> None:
        super().__init__("cnf", expected, actual, hint)


class CertificateRejected(BindingRejected):
    """The token is bound to a client certificate that this connection does not have (RFC 8705 section 3)."""

    sentence: ClassVar[str] = "The access token is bound to a client certificate that this connection does not have."


class RevokedToken(InvalidToken):
    """The token is good, and this API was told to take it no more. by: "jti" or "sub", what named it."""

    sentence: ClassVar[str] = "The access token was revoked."

    def __init__(self, by: str, value: str) -> None:
        super().__init__(f"revoked by its {by} {shown(value)}")
        self.by = by
        self.value = value


class InvalidProof(AuthError):
    """The DPoP proof is missing or wrong (RFC 9449 section 7.1).

    part: what is at fault: "DPoP" (the header line), "proof" (its form), or the name of a member; expected, actual.
    """

    code: ClassVar[str | None] = "invalid_dpop_proof"
    sentence: ClassVar[str] = "The DPoP proof is missing or not valid."

    def __init__(self, part: str, expected: str, actual: object = None) -> None:
        found = "" if actual is None else f", got {shown(actual)}"
        super().__init__(f"DPoP proof, {part}: expected {expected}{found}")
        self.part = part
        self.expected = expected
        self.actual = actual


class NonceRequired(InvalidProof):
    """The DPoP proof must carry the nonce that this answer supplies (RFC 9449 section 9). nonce: that value."""

    code: ClassVar[str | None] = "use_dpop_nonce"
    sentence: ClassVar[str] = "The DPoP proof must carry a nonce that this API supplied."

    def __init__(self, nonce: str, actual: object = None) -> None:
        super().__init__("nonce", "one that this API supplied", actual)
        self.nonce = nonce


class ProofReplayed(InvalidProof):
    """The very proof was seen before (RFC 9449 section 11.1)."""

    sentence: ClassVar[str] = "The DPoP proof was used before."

    def __init__(self, jti: str) -> None:
        super().__init__("jti", "one that was not used before", jti)


class TooManyProofs(InvalidProof):
    """One key has sent more proofs than are remembered of one key. limit: how many."""

    sentence: ClassVar[str] = "The key was used for too many DPoP proofs in a short time."

    def __init__(self, jkt: str, limit: int) -> None:
        super().__init__("jwk", f"at most {limit} proofs of one key within the accepted time", jkt)
        self.limit = limit


class InsufficientScope(AuthError):
    """A good token that does not allow this (RFC 6750 section 3.1).

    names: the scopes and permissions to ask for, in order of mention; missing: those of them that the token lacks;
    unmet: what else is required and not so, for the log; hint: what to change.
    """

    status: ClassVar[int] = 403
    code: ClassVar[str | None] = "insufficient_scope"
    sentence: ClassVar[str] = "The access token does not allow this request."

    def __init__(
        self, names: Sequence[str] = (), missing: Sequence[str] = (), unmet: Sequence[str] = (), hint: str = ""
    ) -> None:
        self.names: tuple[str, ...] = _several(names)
        self.missing: tuple[str, ...] = _several(missing)
        self.unmet: tuple[str, ...] = _several(unmet)
        lacks = [f"missing {listed(self.missing)}"] if missing else []
        super().__init__("; ".join([*lacks, *self.unmet]) + (hint and f" ({hint})"))
        self.hint = hint


class InsufficientAuthentication(AuthError):
    """The user must authenticate again, or more strongly (RFC 9470 section 3).

    acr_values: the authentication context classes that would do; max_age: seconds since the last login; unmet: what
    was found, for the log.
    """

    code: ClassVar[str | None] = "insufficient_user_authentication"
    sentence: ClassVar[str] = "The user must authenticate again, as the challenge says."

    def __init__(self, acr_values: Sequence[str] = (), max_age: int | None = None, unmet: Sequence[str] = ()) -> None:
        self.acr_values: tuple[str, ...] = _several(acr_values)
        self.max_age = max_age
        self.unmet: tuple[str, ...] = _several(unmet)
        super().__init__("; ".join(self.unmet))


class Unavailable(AuthError):
    """The question cannot be decided now, through no fault of the client. retry_after: seconds, at least 1."""

    status: ClassVar[int] = 503
    code: ClassVar[str | None] = "temporarily_unavailable"
    sentence: ClassVar[str] = "The request cannot be authenticated at the moment: try again later."

    def __init__(self, reason: str, retry_after: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class KeysUnavailable(Unavailable):
    """No usable key of the issuer could be had. issuer; reason: what the last attempt met."""

    def __init__(self, issuer: str, reason: str, retry_after: float = 1.0) -> None:
        super().__init__(f"no usable keys of {shown(issuer)}: {reason}", retry_after)
        self.issuer = issuer


class StoreUnavailable(Unavailable):
    """The store of seen proofs or revoked tokens does not answer, or holds no more. reason: in our own words."""

    def __init__(self, reason: str, retry_after: float = 1.0) -> None:
        super().__init__(f"the store: {reason}", retry_after)
