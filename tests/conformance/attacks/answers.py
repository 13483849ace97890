"""What an attack is answered with, octet by octet: written down here, and never asked of the package."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.doors import Answer

NEVER_STORED: Final = (("cache-control", "no-store"), ("content-type", "application/json"))
RETRY_AFTER: Final = "retry-after"


@dataclass(frozen=True)
class Wanted:
    """An answer, and the letter that says in short what is told to whom.

    N: no error code · Q: invalid_request · T: invalid_token · S: insufficient_scope
    A: insufficient_user_authentication · P: invalid_dpop_proof · U: use_dpop_nonce · V: 503
    CFG: the settings are refused · G: the keys are refused · OK: accepted
    """

    letter: str
    answer: Answer

    def to(self, method: str) -> Answer:
        """What a request of that method gets: a HEAD has no body in answer (RFC 9110 section 9.3.2)."""
        return replace(self.answer, body=b"") if method == "HEAD" else self.answer


def challenge(scheme: str, **parameters: str) -> tuple[str, str]:
    said = ", ".join(f'{name}="{value}"' for name, value in {"realm": "api", **parameters}.items())
    return "www-authenticate", f"{scheme} {said}"


def document(code: str | None, sentence: str) -> bytes:
    if code is None:
        return b"{}"
    return json.dumps({"error": code, "error_description": sentence}, separators=(",", ":")).encode()


def refusal(letter: str, status: int, code: str, sentence: str, **parameters: str) -> Wanted:
    """Where Bearer is the only scheme. parameters: of the challenge, behind the sentence."""
    line = challenge("Bearer", error=code, error_description=sentence, **parameters)
    return Wanted(letter, Answer(status, (*NEVER_STORED, line), document(code, sentence)))


def bad_token(sentence: str) -> Wanted:
    return refusal("T", 401, "invalid_token", sentence)


def accepted(subject: str = "app-1@clients") -> Wanted:
    """What the application answers to whoever was let in."""
    return Wanted("OK", Answer(200, (("content-type", "text/plain; charset=utf-8"),), subject.encode()))


OK: Final = accepted()
PASSED: Final = Wanted("OK", Answer(200, (), b""))  # to whoever answers it, in words of its own
N: Final = Wanted("N", Answer(401, (*NEVER_STORED, challenge("Bearer")), b"{}"))
Q: Final = refusal(
    "Q", 400, "invalid_request", "The request must carry one Authorization header with one access token."
)

# Each sentence that a bad token may have in answer: which of them tells the client's developer where to look.
MALFORMED: Final = bad_token("The access token is malformed.")
OPAQUE: Final = bad_token("The token is not an access token for this API: request one with the audience of this API.")
ENCRYPTED: Final = bad_token("The access token is encrypted, and this API does not take encrypted tokens.")
UNDECRYPTABLE: Final = bad_token("The access token cannot be decrypted.")
HEADER: Final = bad_token("The header of the access token is not acceptable.")
UNKNOWN_KEY: Final = bad_token("The access token was signed with an unknown key.")
AMBIGUOUS: Final = bad_token("The access token does not name its key unambiguously.")
SIGNATURE: Final = bad_token("The signature of the access token is not valid.")
KIND: Final = bad_token("The token is not an access token.")
CLAIM: Final = bad_token("A claim of the access token is not acceptable.")
EXPIRED: Final = bad_token("The access token expired.")
ISSUER: Final = bad_token("The access token was issued by an issuer that this API does not trust.")
AUDIENCE: Final = bad_token("The access token was issued for another API.")
BINDING: Final = bad_token("The request does not prove the key that the access token must be bound to.")
CERTIFICATE: Final = bad_token("The access token is bound to a client certificate that this connection does not have.")
REVOKED: Final = bad_token("The access token was revoked.")
BAD_TOKENS: Final = (
    MALFORMED,
    OPAQUE,
    ENCRYPTED,
    UNDECRYPTABLE,
    HEADER,
    UNKNOWN_KEY,
    AMBIGUOUS,
    SIGNATURE,
    KIND,
    CLAIM,
    EXPIRED,
    ISSUER,
    AUDIENCE,
    BINDING,
    CERTIFICATE,
    REVOKED,
)


def insufficient_scope(names: str = "") -> Wanted:
    """names: what is to be asked for, as it stands in the challenge."""
    asked = {"scope": names} if names else {}
    return refusal("S", 403, "insufficient_scope", "The access token does not allow this request.", **asked)


def insufficient_authentication(**asked: str) -> Wanted:
    """asked: acr_values and max_age, as they stand in the challenge."""
    sentence = "The user must authenticate again, as the challenge says."
    return refusal("A", 401, "insufficient_user_authentication", sentence, **asked)


def unavailable(seconds: int = 1) -> Wanted:
    """seconds: after which the client may come again."""
    sentence = "The request cannot be authenticated at the moment: try again later."
    lines = (*NEVER_STORED, (RETRY_AFTER, str(seconds)))
    return Wanted("V", Answer(503, lines, document("temporarily_unavailable", sentence)))


V: Final = unavailable()

# What the routes of the doors ask for: a scope, and a recent authentication.
A: Final = insufficient_authentication(acr_values="urn:example:mfa", max_age="300")
S: Final = insufficient_scope


# --- where DPoP is spoken -----------------------------------------------------------------------------------

NONCE: Final = "(a nonce)"  # stands for any that has the form of one
BOTH_SCHEMES: Final = ("Bearer", "DPoP")


def sender_refusal(
    letter: str,
    status: int,
    code: str | None = None,
    sentence: str = "",
    *,
    scheme: str = "DPoP",
    spoken: tuple[str, ...] = BOTH_SCHEMES,
    algs: str = "ES256",
    nonce: bool = False,
) -> Wanted:
    """One challenge for each scheme, the error on the one that was used (RFC 9449 section 7.2)."""
    said: dict[str, str] = {} if code is None else {"error": code, "error_description": sentence}
    lines = [*NEVER_STORED]
    for known in spoken:
        offered = {"algs": algs} if known == "DPoP" else {}
        lines.append(challenge(known, **(said if known == scheme else {}), **offered))
    if nonce:
        lines.append(("dpop-nonce", NONCE))
    return Wanted(letter, Answer(status, tuple(lines), document(code, sentence)))


def sentence_of(wanted: Wanted) -> str:
    return str(json.loads(wanted.answer.body)["error_description"])


def under_dpop(wanted: Wanted, scheme: str = "DPoP", **settings: Any) -> Wanted:
    """The same refusal of a token, where both schemes are spoken and this one was used."""
    error = json.loads(wanted.answer.body)["error"]
    return sender_refusal(wanted.letter, wanted.answer.status, error, sentence_of(wanted), scheme=scheme, **settings)


PROOF: Final = "The DPoP proof is missing or not valid."
P: Final = sender_refusal("P", 401, "invalid_dpop_proof", PROOF)
REPLAYED: Final = sender_refusal("P", 401, "invalid_dpop_proof", "The DPoP proof was used before.")
TOO_MANY: Final = sender_refusal(
    "P", 401, "invalid_dpop_proof", "The key was used for too many DPoP proofs in a short time."
)
U: Final = sender_refusal(
    "U", 401, "use_dpop_nonce", "The DPoP proof must carry a nonce that this API supplied.", nonce=True
)
BESIDE_BEARER: Final = sender_refusal(
    "Q", 400, "invalid_request", "A DPoP proof must come with the DPoP authentication scheme.", scheme="Bearer"
)
FORWARDING: Final = "A proxy described the request in a way that cannot be understood."
