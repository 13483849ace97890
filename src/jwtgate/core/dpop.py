"""A DPoP proof, checked as RFC 9449 section 4.3 says and in its order: all but who must have made it, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

from .compact import (
    CLAIMS_DEPTH,
    CLAIMS_MEMBERS,
    HEADER_DEPTH,
    HEADER_MEMBERS,
    Object,
    decode_base64url,
    encode_base64url,
    parse,
    parse_json,
)
from .errors import BadSignature, HeaderRejected, InvalidProof, InvalidToken, MalformedToken, NonceRequired, shown
from .jwk import UnusableKey, VerificationKey, read_proof_key
from .nonces import Nonces
from .recent import Recent
from .uri import same_target
from .values import LATEST

PROOF_SIZE: Final = 8_192  # characters
LONGEST_HASH: Final = 128  # characters: SHA-512 in hexadecimal
NAME_BYTES: Final = 256  # of jti and htm: RFC 9449 section 11.1 warns of "unnecessarily large" ones

HEADS: Final = 1_024  # keys of clients that are kept ready

_ONE_LINE: Final = "exactly one header line"
_ONE_JWT: Final = "one signed JWT in its compact form"


class Proof(NamedTuple):
    """A proof that holds for its request.

    jkt: the RFC 7638 thumbprint of the key that made it; jti: its own name, at most 256 bytes of UTF-8; issued_at:
    seconds since the epoch.
    """

    jkt: str
    jti: str
    issued_at: float


@dataclass(frozen=True, slots=True, eq=False)
class DpopRules:
    """What proofs must be like here; built once.

    algorithms: those that proofs may be signed with; window: seconds that a proof may be old; leeway: seconds of clock
    difference forgiven beside, into the past and into the future; nonces: None where proofs need none.
    keys: of proofs that held, by their heads. What a head says depends on nothing but its text, the algorithms apart.
    """

    algorithms: frozenset[str]
    window: float
    leeway: float
    nonces: Nonces | None = None
    keys: Recent[VerificationKey] = field(default_factory=lambda: Recent(HEADS), init=False, repr=False)


def check_proof(
    values: Sequence[str], *, method: str, url: str, token: str | None, now: float, rules: DpopRules
) -> Proof:
    """The proof that came with a request, once all is checked that these two and the token can tell.

    values: of every `DPoP` header line; method, url: of the request, as its client sees it; token: as it was sent, None
    at a token endpoint, where there is none yet (RFC 9449 section 5); now: seconds since the epoch. Whether the token
    is bound to this key, and whether the proof was seen before, is not looked at.

    Raises InvalidProof; NonceRequired, where the proof has no nonce of ours and nothing before that is wrong.
    """
    # The numbers are those of RFC 9449 section 4.3. (7) comes early: a key is looked at before it is used.
    proof = _only(values)  # 1
    head, _, body = proof.partition(".")
    payload, _, last = body.partition(".")
    key = rules.keys.get(head)
    if key is None:
        header, claims, signature = _read_plain(head, payload, last) or _read(proof)  # 2
        jti, issued = _check_form(claims)  # 3
        key = _read_key(header, rules.algorithms)  # 4, 5, 7
    else:
        claims, signature = _read_body(payload, last) or _read(proof)[1:]  # 2
        jti, issued = _check_form(claims)  # 3
    try:
        key.check(proof[: len(head) + 1 + len(payload)].encode("ascii"), signature)  # 6
    except BadSignature:
        raise InvalidProof("signature", f"an {key.algorithm} signature of the key in jwk") from None
    if claims["htm"] != method:  # 8. RFC 9110 section 9.1: methods are case-sensitive
        raise InvalidProof("htm", shown(method), claims["htm"])
    if not same_target(claims["htu"], url):  # 9
        raise InvalidProof("htu", shown(url.partition("?")[0]), claims["htu"])
    nonces = rules.nonces
    # 10. RFC 9449 section 11.3: where nonces are given out, none is no excuse.
    if nonces is not None and not nonces.accepts(claims.get("nonce"), now):
        raise NonceRequired(nonces.current(now), claims.get("nonce"))
    _check_time(issued, now, rules)  # 11
    if token is not None:  # 12
        _check_token(claims.get("ath"), token)
    rules.keys.keep(head, key)
    return Proof(str(key.thumbprint), jti, issued)


def _only(values: Sequence[str]) -> str:
    if len(values) != 1:
        raise InvalidProof("DPoP", _ONE_LINE, len(values))
    proof = values[0]
    # WSGI servers join two header lines with a comma, which is in no JWT.
    if "," in proof:
        raise InvalidProof("DPoP", _ONE_LINE, proof.count(",") + 1)
    if len(proof) > PROOF_SIZE:
        raise InvalidProof("proof", f"at most {PROOF_SIZE} characters", len(proof))
    return proof


# ------------------------------------------------------------------------------------------- a head that is not known


Parts = tuple[Object, Object, bytes]  # header, claims, signature


def _read_plain(head: str, payload: str, last: str) -> Parts | None:
    """As `_read`, of the three segments of a proof whose header has what it must have and nothing beside.

    In such a one there is nothing else to be looked at. None says nothing: the long way tells what is wrong, if it is.
    """
    try:
        header = parse_json(decode_base64url(head), HEADER_DEPTH, HEADER_MEMBERS)
    except ValueError:
        return None
    if type(header) is not dict or len(header) != 3 or "jwk" not in header or header.get("typ") != "dpop+jwt":
        return None
    body = _read_body(payload, last)
    return None if body is None or type(header.get("alg")) is not str else (header, *body)


def _read(proof: str) -> Parts:
    """By the same strict rules as a token."""
    try:
        whole = parse(proof, PROOF_SIZE)
    except HeaderRejected as error:
        raise InvalidProof(error.parameter, error.expected, error.actual) from None
    except MalformedToken as error:
        raise InvalidProof("proof", _ONE_JWT, f"{error.part}: {error.reason}") from None
    except InvalidToken as error:  # a JWE, or no JWT at all
        raise InvalidProof("proof", _ONE_JWT, str(error)) from None
    return whole.header, whole._claims, whole._signature


def _read_key(header: Object, algorithms: frozenset[str]) -> VerificationKey:
    """The key that a proof brings with it, for the algorithm that it names."""
    typ = header.get("typ")
    # RFC 7515 section 4.1.9: a media type, compared without case, and `application/` may be left out.
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") != "dpop+jwt":
        raise InvalidProof("typ", "dpop+jwt", typ)
    algorithm = header["alg"]
    if algorithm not in algorithms:
        raise InvalidProof("alg", " or ".join(sorted(algorithms)), algorithm)
    try:
        return read_proof_key(header.get("jwk"), algorithm)
    except UnusableKey as reason:
        raise InvalidProof("jwk", f"a public key for {algorithm}", str(reason)) from None


# ---------------------------------------------------------------------------------------------------------- the payload


def _read_body(payload: str, last: str) -> tuple[Object, bytes] | None:
    """Claims and signature. None says nothing: the long way tells what is wrong."""
    try:
        claims = parse_json(decode_base64url(payload), CLAIMS_DEPTH, CLAIMS_MEMBERS)
        signature = decode_base64url(last)
    except ValueError:
        return None
    return (claims, signature) if type(claims) is dict and signature else None


def _check_form(claims: Mapping[str, Any]) -> tuple[str, float]:
    """RFC 9449 section 4.2: what every proof has, each of its type. Gives `jti` and `iat`."""
    get = claims.get
    jti, method, target, issued = get("jti"), get("htm"), get("htu"), get("iat")
    if type(jti) is not str or not jti:
        raise _no_text("jti", jti)
    if len(jti.encode()) > NAME_BYTES:
        raise _too_long("jti", jti)
    if type(method) is not str or not method:
        raise _no_text("htm", method)
    if len(method.encode()) > NAME_BYTES:
        raise _too_long("htm", method)
    if type(target) is not str or not target:
        raise _no_text("htu", target)
    # Whole seconds. RFC 7519 section 2 lets a NumericDate have a fraction; a proof is made by software that was written
    # for it, and one that does not round is as likely to send milliseconds. bool is an int in Python, but no date.
    if type(issued) is not int or not 0 <= issued <= LATEST:
        raise InvalidProof("iat", f"a whole number of seconds, 0 to {LATEST}", issued)
    return jti, issued


def _no_text(name: str, value: object) -> InvalidProof:
    return InvalidProof(name, "a string that is not empty", value)


def _too_long(name: str, value: str) -> InvalidProof:
    return InvalidProof(name, f"at most {NAME_BYTES} bytes", value)


# ------------------------------------------------------------------------------------------------- what it was made for


def _check_time(issued: float, now: float, rules: DpopRules) -> None:
    # RFC 9449 section 11.1: for a limited time after it was made, and from a reasonably near future.
    # Up to that very moment it is remembered, and so not taken twice.
    if now >= issued + rules.window + rules.leeway or issued > now + rules.leeway:
        oldest, newest = now - rules.window - rules.leeway, now + rules.leeway
        raise InvalidProof("iat", f"after {oldest:.0f}, at most {newest:.0f}", issued)


def _check_token(ath: object, token: str) -> None:
    # RFC 9449 section 4.2: base64url, without padding, of the SHA-256 of the token's ASCII.
    digest = sha256(token.encode()).digest()
    if ath != encode_base64url(digest):
        # A client may have sent the token itself in place of its hash: that must not stand in a log.
        is_hash = ath is None or (isinstance(ath, str) and len(ath) <= LONGEST_HASH)
        actual = ath if is_hash else f"{type(ath).__name__} that is no hash"
        raise InvalidProof("ath", "the hash of the access token that was sent", actual)
