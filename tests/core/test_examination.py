"""The verifier's checks, reporting: what it says is what the verifier does, and why is named as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtgate import (
    AccessToken,
    ApiSettings,
    AuthError,
    Cause,
    Examination,
    Issuer,
    ProofOfPossession,
    Request,
    Requirement,
    SettingsError,
    Unavailable,
    authenticated,
    claim,
    permission,
    scope,
)
from jwtgate.core.advice import Circumstances, cause_of
from jwtgate.core.binding import Senders
from jwtgate.core.effects import FetchFailed, Flow, Now
from jwtgate.core.errors import ProofReplayed
from jwtgate.core.examination import examine, examine_request
from jwtgate.core.flow import authenticate, authenticate_token
from jwtgate.core.keys import keys_of
from jwtgate.core.revocations import Revocation, Revocations
from jwtgate.core.rules import BINDING
from jwtgate.testing import Holder
from tests.making import ABSENT, API, ISSUER, MOMENT, NOW, SECRET, Issuing, compact, drive, segment, signing_key
from tests.sealing import pem, private_key, seal

ISSUING = Issuing()
STRANGER = Issuing(url="https://stranger.test/", number=2)
FORGER = Issuing(number=2)  # says that it is ISSUER
KEY = ISSUING.key()
DOCUMENTS = ISSUING.documents(KEY.jwk())
UNKNOWN = f"{ISSUER}.well-known/unknown"


def api(*, given: bool = True, **changes: Any) -> ApiSettings:
    """given: the issuer's keys are in the settings; else they are fetched."""
    jwks = ISSUING.jwks(KEY.jwk()) if given else None
    return ApiSettings(**{"identifier": API, "issuers": [Issuer(ISSUER, jwks=jwks)], **changes})


PLAIN = api()
FETCHING = api(given=False)
RBAC = api(permissions_in_token=True)
RFC9068 = api(profile="rfc9068")
SYMMETRIC = ApiSettings(identifier=API, issuers=[Issuer(ISSUER)], signing_algorithms=["HS256"], signing_secret=SECRET)
LIFETIME = api(token_lifetime=600)
SEVERAL = api(issuers=[Issuer(ISSUER, jwks=ISSUING.jwks(KEY.jwk())), Issuer("https://two.test/")])

Sent = str | None
Wanted = Requirement | str | None


def of(
    token: Any,
    settings: ApiSettings = PLAIN,
    requirement: Wanted = None,
    documents: Mapping[str, bytes | FetchFailed] | None = DOCUMENTS,
    **options: Any,
) -> Examination:
    return drive(examine(token, settings, keys_of(settings), requirement, **options), MOMENT, documents)


def headers(*values: Any) -> Request:
    return Request("GET", "https://api.test/", [("Authorization", value) for value in values])


def of_request(request: Request, settings: ApiSettings = PLAIN, requirement: Wanted = None) -> Examination:
    return drive(examine_request(request, settings, keys_of(settings), requirement), MOMENT, DOCUMENTS)


def outcome(flow: Flow[AccessToken], requirement: Wanted) -> AuthError | None:
    """As the verifier and then the route would have it; None where the caller gets in."""
    try:
        token = drive(flow, MOMENT, DOCUMENTS)
        token.require(*([] if requirement is None else [requirement]))
    except AuthError as error:
        return error
    return None


def failed(examination: Examination) -> list[str]:
    return [finding.name for finding in examination.findings if finding.status == "failed"]


def statuses(examination: Examination) -> dict[str, str]:
    return {finding.name: finding.status for finding in examination.findings}


def unsigned(**claims: Any) -> str:
    return f"{segment({'alg': 'none', 'typ': 'JWT'})}.{segment(ISSUING.claims(**claims))}."


GOOD = ISSUING.token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
JWE = f"{segment({'alg': 'RSA-OAEP-256', 'enc': 'A256GCM'})}.a.b.c.d"
OPAQUE_JWE = f"{segment({'alg': 'dir', 'enc': 'A256GCM', 'iss': ISSUER})}..b.c.d"
PEM_SIGNED = compact(ISSUING.header(alg="HS256"), ISSUING.claims(), SECRET, "HS256")


# --- every cause, once --------------------------------------------------------------------------------------

# What is sent, to which API, for which requirement → the cause, the check that fails first, and what was sent.
# Named after the attacks, as far as there is one: S structure, H header, K keys, A algorithm, C claims, P kind.
BARE: dict[str, tuple[Any, ApiSettings, Wanted, Cause, str, str]] = {
    "S01 nothing": ("", PLAIN, None, Cause.NOTHING, "form", "nothing"),
    "S19 None": (None, PLAIN, None, Cause.NOTHING, "form", "nothing"),
    "S19 bytes": (b"a.b.c", PLAIN, None, Cause.MALFORMED, "form", "unreadable"),
    "S03 two segments": (f"{HEAD}.{BODY}", PLAIN, None, Cause.MALFORMED, "form", "unreadable"),
    "S06 dots": ("." * 10_000, PLAIN, None, Cause.MALFORMED, "form", "unreadable"),
    "S07 empty segments": ("..", PLAIN, None, Cause.MALFORMED, "header", "unreadable"),
    "S10 padded": (GOOD + "=", PLAIN, None, Cause.MALFORMED, "signature_form", "jwt"),
    "S13 a line break": (f"{HEAD}.\n{BODY}.{SIGNATURE}", PLAIN, None, Cause.WRAPPED, "payload", "unreadable"),
    "S18 a lone surrogate": ("\ud800.a.b", PLAIN, None, Cause.MALFORMED, "header", "unreadable"),
    "S22 too long": ("a." * 10_000, PLAIN, None, Cause.TOO_LARGE, "form", "unreadable"),
    "a scheme before it": (f"Bearer {GOOD}", PLAIN, None, Cause.WRAPPED, "header", "unreadable"),
    "quotes": (f'"{GOOD}"', PLAIN, None, Cause.WRAPPED, "header", "unreadable"),
    "the whole answer": (json.dumps({"access_token": GOOD}), PLAIN, None, Cause.WRAPPED, "header", "unreadable"),
    "an answer without a token": ('{"error": "x"}', PLAIN, None, Cause.WRAPPED, "form", "unreadable"),
    "P12 opaque": ("Zm9vYmFy", PLAIN, None, Cause.OPAQUE, "form", "opaque"),
    "P12 opaque, as Auth0 writes it": (OPAQUE_JWE, PLAIN, None, Cause.OPAQUE, "form", "opaque"),
    "a refresh token": ("v1.abcdef", PLAIN, None, Cause.REFRESH_TOKEN, "form", "refresh_token"),
    "E encrypted": (JWE, PLAIN, None, Cause.ENCRYPTED, "form", "encrypted_jwt"),
    "five segments": ("a.b.c.d.e", PLAIN, None, Cause.MALFORMED, "form", "unreadable"),
    "H01 header no object": (compact([], {}, KEY), PLAIN, None, Cause.MALFORMED, "header", "unreadable"),
    "H13 no alg": (f"{segment({})}.{BODY}.{SIGNATURE}", PLAIN, None, Cause.HEADER, "header", "jwt"),
    "H15 none": (unsigned(), PLAIN, None, Cause.UNSIGNED, "header", "unsigned_jwt"),
    "H16 nOnE, signed": (
        ISSUING.token(header={"alg": "nOnE"}),
        PLAIN,
        None,
        Cause.UNSIGNED,
        "algorithm",
        "unsigned_jwt",
    ),
    "signature taken away": (f"{HEAD}.{BODY}.", PLAIN, None, Cause.UNSIGNED, "signature_form", "unsigned_jwt"),
    "H19 crit": (ISSUING.token(header={"crit": ["x"]}), PLAIN, None, Cause.HEADER, "header", "jwt"),
    "C01 payload no object": (
        compact(ISSUING.header(), [], KEY),
        PLAIN,
        None,
        Cause.MALFORMED,
        "payload",
        "unreadable",
    ),
    "C39 iss a list": (ISSUING.token(iss=[ISSUER]), PLAIN, None, Cause.CLAIM, "trusted_issuer", "jwt"),
    "no iss": (ISSUING.token(iss=ABSENT), PLAIN, None, Cause.CLAIM_MISSING, "trusted_issuer", "jwt"),
    "C42 iss, slash": (ISSUING.token(iss=ISSUER[:-1]), SEVERAL, None, Cause.ISSUER_SLASH, "trusted_issuer", "jwt"),
    "C42 iss, case": (ISSUING.token(iss=ISSUER.upper()), PLAIN, None, Cause.ISSUER_CASE, "trusted_issuer", "jwt"),
    "another issuer": (STRANGER.token(), SEVERAL, None, Cause.ISSUER, "trusted_issuer", "jwt"),
    "A01 HS256 for RS256": (PEM_SIGNED, PLAIN, None, Cause.SYMMETRIC_ALGORITHM, "algorithm", "jwt"),
    "RS256 for HS256": (GOOD, SYMMETRIC, None, Cause.ASYMMETRIC_ALGORITHM, "algorithm", "jwt"),
    "A04 PS256 for RS256": (ISSUING.token(algorithm="PS256"), PLAIN, None, Cause.ALGORITHM, "algorithm", "jwt"),
    "A07 a key for another": (
        ISSUING.token(algorithm="ES256", header={"kid": KEY.kid}),
        api(signing_algorithms=["RS256", "ES256"]),
        None,
        Cause.KEY_ALGORITHM,
        "key",
        "jwt",
    ),
    "K03 unknown kid": (ISSUING.token(header={"kid": "no"}), FETCHING, None, Cause.UNKNOWN_KEY, "key", "jwt"),
    "no kid, no key": (
        compact({"alg": "ES256", "typ": "JWT"}, ISSUING.claims(), signing_key("P-256")),
        api(signing_algorithms=["RS256", "ES256"]),
        None,
        Cause.NO_KID,
        "key",
        "jwt",
    ),
    "K06 one kid, two keys": (
        GOOD,
        api(issuers=[Issuer(ISSUER, jwks=ISSUING.jwks(KEY.jwk(), FORGER.key().jwk(kid=KEY.kid), FORGER.key().jwk()))]),
        None,
        Cause.AMBIGUOUS_KEY,
        "key",
        "jwt",
    ),
    "A16 another's signature": (
        FORGER.token(header={"kid": KEY.kid}),
        PLAIN,
        None,
        Cause.SIGNATURE,
        "signature",
        "jwt",
    ),
    "A03 another secret": (
        compact(ISSUING.header("HS256"), ISSUING.claims(), b"another secret of thirty-two byte"),
        SYMMETRIC,
        None,
        Cause.SECRET,
        "signature",
        "jwt",
    ),
    "P the other profile": (GOOD, RFC9068, None, Cause.OTHER_PROFILE, "typ", "jwt"),
    "P03 no typ": (ISSUING.token(header={"typ": ABSENT}), PLAIN, None, Cause.TYP, "typ", "jwt"),
    "P04 dpop+jwt": (ISSUING.token(header={"typ": "dpop+jwt"}), PLAIN, None, Cause.TYP, "typ", "jwt"),
    "an ID token": (ISSUING.token(nonce="n"), PLAIN, None, Cause.ID_TOKEN, "kind", "id_token"),
    "P06 events": (ISSUING.token(events={}), PLAIN, None, Cause.LOGOUT_TOKEN, "kind", "logout_token"),
    "C15 no exp": (ISSUING.token(exp=ABSENT), LIFETIME, None, Cause.CLAIM_MISSING, "expiry", "jwt"),
    "C19 exp true": (ISSUING.token(exp=True), LIFETIME, None, Cause.CLAIM, "expiry", "jwt"),
    "C24 milliseconds": (ISSUING.token(exp=int(NOW) * 1000), PLAIN, None, Cause.MILLISECONDS, "expiry", "jwt"),
    "C28 expired": (ISSUING.token(exp=NOW - 31), PLAIN, None, Cause.EXPIRED, "expiry", "jwt"),
    "C30 nbf ahead": (ISSUING.token(nbf=NOW + 90), PLAIN, None, Cause.CLOCK, "not_before", "jwt"),
    "C33 iat ahead": (ISSUING.token(iat=NOW + 90_000), PLAIN, None, Cause.CLOCK, "issued_at", "jwt"),
    "C34 iat text": (ISSUING.token(iat="soon"), PLAIN, None, Cause.CLAIM, "issued_at", "jwt"),
    "too long a life": (ISSUING.token(), LIFETIME, None, Cause.LIFETIME, "lifetime", "jwt"),
    "C45 no aud": (ISSUING.token(aud=ABSENT), PLAIN, None, Cause.CLAIM_MISSING, "audience", "jwt"),
    "C49 aud nested": (ISSUING.token(aud=[[API]]), PLAIN, None, Cause.CLAIM, "audience", "jwt"),
    "C51 aud, slash": (ISSUING.token(aud=API[:-1]), PLAIN, None, Cause.AUDIENCE_SLASH, "audience", "jwt"),
    "C51 aud, case": (ISSUING.token(aud=["x:", API.upper()]), PLAIN, None, Cause.AUDIENCE_CASE, "audience", "jwt"),
    "P09 another API": (ISSUING.token(aud="https://two.test/"), PLAIN, None, Cause.AUDIENCE, "audience", "jwt"),
    "not asked for": (ISSUING.token(aud=f"{ISSUER}userinfo"), PLAIN, None, Cause.AUDIENCE_NOT_ASKED, "audience", "jwt"),
    "C52 an ID token by its aud": (
        ISSUING.token(aud="app-1", scope=ABSENT, gty=ABSENT),
        PLAIN,
        None,
        Cause.ID_TOKEN,
        "audience",
        "id_token",
    ),
    "C54 no sub": (ISSUING.token(sub=ABSENT), PLAIN, None, Cause.CLAIM_MISSING, "subject", "jwt"),
    "C57 two clients": (ISSUING.token(client_id="two"), PLAIN, None, Cause.CLAIM, "client", "jwt"),
    "no jti under RFC 9068": (
        ISSUING.rfc9068_token(jti=ABSENT),
        RFC9068,
        None,
        Cause.CLAIM_MISSING,
        "token_id",
        "jwt",
    ),
    "C60 permissions": (ISSUING.token(permissions="a"), PLAIN, None, Cause.CLAIM, "permissions", "jwt"),
    "C63 bound": (ISSUING.token(cnf={"jkt": "x"}), PLAIN, None, Cause.BOUND, "confirmation", "jwt"),
    "cnf no object": (ISSUING.token(cnf=7), PLAIN, None, Cause.CLAIM, "confirmation", "jwt"),
    "no permissions claim": (GOOD, RBAC, "read:messages", Cause.NO_PERMISSIONS_CLAIM, "requirement", "jwt"),
    "nor in scope": (GOOD, RBAC, "write:messages", Cause.NO_PERMISSIONS_CLAIM, "requirement", "jwt"),
    "no role": (ISSUING.token(permissions=[]), RBAC, "read:messages", Cause.ROLE_MISSING, "requirement", "jwt"),
    "no permission": (
        ISSUING.token(permissions=["a"]),
        RBAC,
        "write:messages",
        Cause.PERMISSION_MISSING,
        "requirement",
        "jwt",
    ),
    "permissions not read": (
        ISSUING.token(permissions=["a"]),
        PLAIN,
        "a",
        Cause.PERMISSIONS_NOT_READ,
        "requirement",
        "jwt",
    ),
    "no scope": (GOOD, PLAIN, "write:messages", Cause.SCOPE_MISSING, "requirement", "jwt"),
    "no permission, asked for by name": (
        ISSUING.token(permissions=[]),
        PLAIN,
        permission("a"),
        Cause.SCOPE_MISSING,
        "requirement",
        "jwt",
    ),
    "another organization": (GOOD, PLAIN, claim("org_id", "org_1"), Cause.REQUIREMENT, "requirement", "jwt"),
    "too weak a login": (GOOD, PLAIN, authenticated(acr="gold"), Cause.AUTHENTICATION, "requirement", "jwt"),
}


@pytest.mark.parametrize(("sent", "to", "wanted", "cause", "check", "kind"), BARE.values(), ids=BARE)
def test_the_cause_is_named(sent: Any, to: ApiSettings, wanted: Wanted, cause: Cause, check: str, kind: str) -> None:
    found = of(sent, to, wanted)
    assert (found.verdict, found.cause, failed(found)[0], found.sent) == ("refused", cause, check, kind)
    assert found.finding(check).cause is cause


@pytest.mark.parametrize(("sent", "to", "wanted"), [case[:3] for case in BARE.values()], ids=BARE)
def test_its_verdict_is_the_verifiers(sent: Any, to: ApiSettings, wanted: Wanted) -> None:
    compare(of(sent, to, wanted), outcome(authenticate_token(sent, to, keys_of(to)), wanted))


@pytest.mark.parametrize(("sent", "to", "wanted"), [case[:3] for case in BARE.values()], ids=BARE)
def test_it_says_what_to_change_and_never_the_token(sent: Any, to: ApiSettings, wanted: Wanted) -> None:
    found = of(sent, to, wanted)
    assert found.summary.endswith(".")
    assert "{" not in found.summary + found.advice
    assert found.advice
    told = found.to_json() + str(found) + repr(found.refusal)
    assert all(ord(each) < 128 for each in found.to_json())
    for secret in (sent if isinstance(sent, str) else repr(sent)).split("."):
        assert len(secret) < 20 or secret not in told


REQUESTS: dict[str, tuple[Request, Cause, str]] = {
    "R01 no header": (headers(), Cause.NO_CREDENTIALS, "nothing"),
    "R09 Basic": (headers("Basic abc"), Cause.NO_CREDENTIALS, "nothing"),
    "R07 two headers": (headers(f"Bearer {GOOD}", "Bearer b"), Cause.TWO_TOKENS, "unreadable"),
    "R10 the scheme alone": (headers("Bearer"), Cause.CREDENTIALS, "unreadable"),
    "R12 too long": (headers("Bearer " + "a" * 20_000), Cause.TOO_LARGE, "unreadable"),
    "bytes for text": (headers(b"Bearer a"), Cause.CREDENTIALS, "unreadable"),
}


@pytest.mark.parametrize(("request_", "cause", "kind"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_without_one_token_is_explained(request_: Request, cause: Cause, kind: str) -> None:
    found = of_request(request_)
    assert (found.verdict, found.cause, failed(found), found.sent) == ("refused", cause, ["credentials"], kind)
    compare(found, outcome(authenticate(request_, PLAIN, keys_of(PLAIN)), None))


def test_keys_that_cannot_be_had_leave_it_undecided() -> None:
    found = of(GOOD, FETCHING, documents={})
    assert (found.verdict, found.cause, failed(found)) == ("undecided", Cause.KEYS_UNAVAILABLE, ["key"])
    assert found.refusal is not None
    assert found.refusal.status == 503


# --- bound and encrypted tokens ------------------------------------------------------------------------------

URL = "https://api.test/messages"
HOLDER, OTHER = Holder(clock=lambda: NOW), Holder(clock=lambda: NOW)
KEY_TOKEN = ISSUING.token(cnf={"jkt": HOLDER.jkt})
CERTIFICATE_TOKEN = ISSUING.token(cnf={"x5t#S256": HOLDER.x5t})
DPOP = api(proof_of_possession=("dpop", "mtls"))
REQUIRED = api(proof_of_possession=ProofOfPossession(("dpop", "mtls"), required=True))
NONCES = api(proof_of_possession="dpop", dpop_nonce_key=SECRET)
BEHIND = api(proof_of_possession="dpop", trusted_proxies=["10.0.0.0/8"], proxy_headers=["Forwarded"])
REVOKED = Revocations()
REVOKED.add(Revocation(ISSUER, jti="gone", expires=NOW + 60))


def sent_by(token: str, *proofs: str, scheme: str = "DPoP", **more: Any) -> Request:
    lines = [("Authorization", f"{scheme} {token}"), *(("DPoP", proof) for proof in proofs)]
    return Request("GET", URL, [*lines, *more.pop("lines", [])], **more)


def proof(holder: Holder = HOLDER, **changes: Any) -> str:
    return holder.proof("GET", changes.pop("url", URL), KEY_TOKEN, **changes)


FORWARDED = [("Forwarded", "host=")]
# What is sent, to which API → the cause, and the check that fails first.
SENDERS: dict[str, tuple[Request, ApiSettings, Cause, str]] = {
    "no proof": (sent_by(KEY_TOKEN), DPOP, Cause.PROOF_MISSING, "binding"),
    "two proofs": (sent_by(KEY_TOKEN, proof(), proof()), DPOP, Cause.PROOF_MISSING, "binding"),
    "no JWT": (sent_by(KEY_TOKEN, "undefined"), DPOP, Cause.PROOF, "binding"),
    "another URL": (sent_by(KEY_TOKEN, proof(url="https://b.test/")), DPOP, Cause.PROOF_URL, "binding"),
    "too old": (sent_by(KEY_TOKEN, proof(iat=1)), DPOP, Cause.PROOF_CLOCK, "binding"),
    "no nonce": (sent_by(KEY_TOKEN, proof()), NONCES, Cause.PROOF_NONCE, "binding"),
    "another key": (sent_by(KEY_TOKEN, proof(OTHER)), DPOP, Cause.OTHER_KEY, "binding"),
    "as Bearer": (sent_by(KEY_TOKEN, scheme="Bearer"), DPOP, Cause.BOUND_AS_BEARER, "binding"),
    "a proof beside Bearer": (
        sent_by(GOOD, proof(), scheme="Bearer"),
        DPOP,
        Cause.PROOF_BESIDE_BEARER,
        "credentials",
    ),
    "not bound": (sent_by(GOOD, scheme="Bearer"), REQUIRED, Cause.NOT_BOUND, "binding"),
    "no certificate": (sent_by(CERTIFICATE_TOKEN), DPOP, Cause.CERTIFICATE, "binding"),
    "a proxy without a word": (
        sent_by(KEY_TOKEN, proof(), lines=FORWARDED, client="10.0.0.1"),
        BEHIND,
        Cause.FORWARDING,
        "binding",
    ),
    "another binding": (
        sent_by(ISSUING.token(cnf={"kid": "x"}), scheme="Bearer"),
        DPOP,
        Cause.BOUND,
        "confirmation",
    ),
}


@pytest.mark.parametrize(("request_", "settings", "cause", "check"), SENDERS.values(), ids=SENDERS)
def test_a_request_that_does_not_prove_whose_it_is_is_explained(
    request_: Request, settings: ApiSettings, cause: Cause, check: str
) -> None:
    found = drive(examine_request(request_, settings, keys_of(settings)), MOMENT)
    assert (found.verdict, found.cause, failed(found)) == ("refused", cause, [check])
    compare(found, outcome(authenticate(request_, settings, keys_of(settings)), None))


def watched(flow: Flow[Examination], asked: list[Any]) -> Flow[Examination]:
    """The same flow. asked: grows by all that it asks for."""
    reply = None
    try:
        while True:
            asked.append(flow.send(reply))
            reply = yield asked[-1]
    except StopIteration as end:
        return cast(Examination, end.value)


def test_a_good_proof_is_explained_and_not_used_up() -> None:
    sent = sent_by(KEY_TOKEN, proof())
    asked: list[Any] = []
    found = drive(watched(examine_request(sent, DPOP, keys_of(DPOP)), asked), MOMENT)
    assert (found.verdict, statuses(found)["binding"]) == ("accepted", "passed")
    assert set(asked) == {Now()}


def test_a_proof_that_was_used_is_told_by_the_store_alone() -> None:
    here = Circumstances(rule=BINDING, sent=KEY_TOKEN, found=None, claims={}, now=NOW)
    assert cause_of(ProofReplayed("jti"), here) is Cause.PROOF_USED


def test_a_revoked_token_is_explained() -> None:
    senders, token = Senders(PLAIN, REVOKED), ISSUING.rfc9068_token(jti="gone")
    found = drive(examine(token, PLAIN, keys_of(PLAIN), None, senders), MOMENT)
    assert (found.verdict, found.cause, failed(found)) == ("refused", Cause.REVOKED, ["revocation"])
    compare(found, outcome(authenticate_token(token, PLAIN, keys_of(PLAIN), senders), None))


def test_a_token_that_is_bound_needs_its_request_to_be_explained() -> None:
    found = of(KEY_TOKEN, DPOP)
    assert (found.verdict, failed(found)) == ("refused", ["binding"])
    compare(found, outcome(authenticate_token(KEY_TOKEN, DPOP, keys_of(DPOP)), None))


OPENING = api(decryption_keys=pem())


def sealed_with(number: int, inner: str = GOOD, **header: Any) -> str:
    return seal(inner, key=private_key(number), **header)


def test_an_encrypted_token_is_explained_by_what_is_inside() -> None:
    found = of(sealed_with(1), OPENING)
    assert (found.verdict, found.sent, failed(found)) == ("accepted", "jwt", [])
    assert found.finding("decryption").status == "passed"
    assert found.finding("replication").status == "passed"
    assert found.finding("audience").found == API


@pytest.mark.parametrize(
    ("token", "cause", "check"),
    [
        (sealed_with(2), Cause.UNDECRYPTABLE, "decryption"),
        (sealed_with(1, "a.b.c.d.e"), Cause.MALFORMED, "decryption"),
        (sealed_with(1, zip="DEF"), Cause.HEADER, "decryption"),
        (sealed_with(1, STRANGER.token()), Cause.ISSUER, "trusted_issuer"),
        (sealed_with(1, iss="https://b.test/"), Cause.CLAIM, "replication"),
    ],
    ids=["another key", "not signed inside", "compressed", "a stranger's inside", "another issuer outside"],
)
def test_an_encrypted_token_that_is_refused_is_explained(token: str, cause: Cause, check: str) -> None:
    found = of(token, OPENING)
    assert (found.verdict, found.cause, failed(found)[0]) == ("refused", cause, check)
    compare(found, outcome(authenticate_token(token, OPENING, keys_of(OPENING)), None))


def test_without_the_network_a_key_that_is_kept_elsewhere_is_not_asked() -> None:
    def ask(encrypted_key: bytes, algorithm: str) -> bytes:
        raise AssertionError("nobody may ask")

    settings = api(decryption_keys=ask)
    found = of(sealed_with(1), settings, offline=True)
    assert (found.verdict, found.finding("decryption").status) == ("undecided", "not_reached")


NEVER_HERE = {Cause.OTHER, Cause.PROOF_USED}  # of errors that no check raises; and that a store alone knows of


def test_no_cause_is_forgotten() -> None:
    causes = {case[3] for case in BARE.values()} | {case[1] for case in REQUESTS.values()}
    causes |= {case[2] for case in SENDERS.values()} | {Cause.REVOKED, Cause.UNDECRYPTABLE}
    assert causes | {Cause.KEYS_UNAVAILABLE, Cause.UNAVAILABLE} | NEVER_HERE == set(Cause)


# --- as the verifier has it ---------------------------------------------------------------------------------


def compare(found: Examination, error: AuthError | None) -> None:
    """An error is the same with all that it says and tells the client."""
    if error is None:
        assert (found.verdict, found.refusal, found.cause, failed(found)) == ("accepted", None, None, [])
        return
    refusal = found.refusal
    assert refusal is not None
    assert found.verdict == ("undecided" if isinstance(error, Unavailable) else "refused")
    assert (type(refusal), str(refusal)) == (type(error), str(error))
    assert (refusal.status, refusal.headers, refusal.body) == (error.status, error.headers, error.body)


GOOD_TOKENS = {
    "Auth0": (GOOD, PLAIN),
    "fetched keys": (GOOD, FETCHING),
    "RFC 9068": (ISSUING.rfc9068_token(), RFC9068),
    "HS256": (ISSUING.token(algorithm="HS256"), SYMMETRIC),
    "aud an array": (ISSUING.token(aud=["x", API]), SEVERAL),
    "no kid": (ISSUING.token(header={"kid": ABSENT}), PLAIN),
}


@pytest.mark.parametrize(("token", "to"), GOOD_TOKENS.values(), ids=GOOD_TOKENS)
def test_a_good_token_passes_every_check(token: str, to: ApiSettings) -> None:
    for found in (of(token, to, scope("read:messages")), of_request(headers(f"bearer  {token}"), to, "read:messages")):
        compare(found, None)
        assert set(statuses(found).values()) == {"passed"}
        assert (found.verified, found.sent, found.advice) == (True, "jwt", "")


NUMBERS = [0, -1, NOW, NOW + 90, NOW - 90, 1e300]
VALUES = st.sampled_from(
    [*NUMBERS, ABSENT, None, True, "", "x", ISSUER, API, API[:-1], [], [API], ["x"], {}, {"jkt": "x"}]
)
CLAIMS = "iss sub aud exp iat nbf azp client_id jti scope permissions gty org_id act cnf nonce events".split()
HEADERS = "alg kid typ crit cty b64 enc x5c".split()
WORDS = "RS256 HS256 PS256 none no JWT at+jwt logout+jwt".split()
HEADER_VALUES = st.sampled_from([*WORDS, ABSENT, None, 1, "", KEY.kid, ["x"], "z" * 300])
APIS = st.sampled_from([PLAIN, FETCHING, RBAC, RFC9068, SYMMETRIC, LIFETIME, SEVERAL])
NEEDS = [scope("read:messages"), permission("a"), claim("sub", "x"), authenticated(max_age=5)]
WANTED = st.sampled_from([None, "read:messages", *NEEDS])


@settings(max_examples=300, deadline=None)
@given(
    claims=st.dictionaries(st.sampled_from(CLAIMS), VALUES, max_size=3),
    header=st.dictionaries(st.sampled_from(HEADERS), HEADER_VALUES, max_size=2),
    to=APIS,
    wanted=WANTED,
)
def test_any_token_meets_the_same_fate(
    claims: dict[str, Any], header: dict[str, Any], to: ApiSettings, wanted: Wanted
) -> None:
    token = ISSUING.token(header=header, **claims)
    found = of(token, to, wanted)
    compare(found, outcome(authenticate_token(token, to, keys_of(to)), wanted))
    assert json.loads(found.to_json())["verdict"] == found.verdict


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(GOOD)), cut=st.integers(0, 3), put=st.text(max_size=3), to=APIS)
def test_any_text_meets_the_same_fate(place: int, cut: int, put: str, to: ApiSettings) -> None:
    text = GOOD[:place] + put + GOOD[place + cut :]
    compare(of(text, to), outcome(authenticate_token(text, to, keys_of(to)), None))
    request = headers(f"Bearer {text}")
    compare(of_request(request, to), outcome(authenticate(request, to, keys_of(to)), None))


# --- the checks that come after -----------------------------------------------------------------------------


def test_after_the_first_failure_the_other_claims_are_looked_at_too() -> None:
    token = ISSUING.token(exp=NOW - 3_600, aud="https://two.test/", sub=7)
    found = of(token)
    assert (found.cause, failed(found)) == (Cause.EXPIRED, ["expiry", "audience", "subject"])
    assert "not_reached" not in statuses(found).values()


def test_claims_are_looked_at_when_the_signature_is_wrong_and_nobody_calls_them_verified() -> None:
    found = of(FORGER.token(header={"kid": KEY.kid}, exp=NOW - 3_600))
    assert (found.cause, found.verified, failed(found)) == (Cause.SIGNATURE, False, ["signature", "expiry"])


def test_an_algorithm_that_is_not_allowed_never_meets_a_key() -> None:
    fetched: list[str] = []
    flow = examine(PEM_SIGNED, FETCHING, keys_of(FETCHING))
    found = statuses(drive(flow, MOMENT, DOCUMENTS, fetched))
    assert (found["key"], found["signature"], fetched) == ("not_reached", "not_reached", [])


def test_a_strange_issuer_is_asked_nothing_and_its_claims_are_shown_unexamined() -> None:
    fetched: list[str] = []
    found = drive(examine(STRANGER.token(), FETCHING, keys_of(FETCHING)), MOMENT, DOCUMENTS, fetched)
    assert (failed(found), fetched, found.verified) == (["trusted_issuer"], [], False)
    assert {found.finding(name).status for name in ("key", "signature", "typ", "expiry", "audience")} == {"not_reached"}
    assert found.finding("audience").found == API


@pytest.mark.parametrize("claims", [{"exp": NOW - 3_600}, {"aud": "https://two.test/"}, {"nonce": "n"}])
def test_a_requirement_is_evaluated_for_a_token_of_yesterday(claims: dict[str, Any]) -> None:
    token = ISSUING.token(**claims)
    assert of(token, PLAIN, "write:messages").finding("requirement").status == "failed"
    assert of(token, PLAIN, "read:messages").finding("requirement").status == "passed"


@pytest.mark.parametrize("claims", [{"scope": 7}, {"sub": ""}, {"permissions": "a"}])
def test_a_requirement_is_not_reached_where_what_it_reads_is_not_in_order(claims: dict[str, Any]) -> None:
    assert of(ISSUING.token(**claims), PLAIN, "read:messages").finding("requirement").status == "not_reached"


def test_a_requirement_is_not_reached_without_a_signature() -> None:
    forged = FORGER.token(header={"kid": KEY.kid})
    assert of(forged, PLAIN, "read:messages").finding("requirement").status == "not_reached"


def test_without_a_requirement_there_is_no_finding_of_one() -> None:
    with pytest.raises(KeyError):
        of(GOOD).finding("requirement")


def test_a_requirement_that_could_never_be_met_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(SettingsError):
        of(GOOD, PLAIN, "two words")


def test_each_profile_has_its_own_checks() -> None:
    assert "client_id" in statuses(of(ISSUING.rfc9068_token()))
    assert "client_id" not in statuses(of(GOOD))
    assert "client_id" in statuses(of("", RFC9068))
    assert "client_id" in statuses(of(STRANGER.rfc9068_token()))


def test_a_profile_that_is_not_taken_is_examined_by_its_own_rules() -> None:
    found = of(ISSUING.rfc9068_token(jti=ABSENT), api(profile="auth0"))
    assert failed(found) == ["typ", "token_id"]
    assert found.cause is Cause.OTHER_PROFILE


@pytest.mark.parametrize("typ", ["at+jwt", "application/AT+JWT"])
def test_the_rules_are_those_of_the_type_also_where_the_token_cannot_be_read(typ: str) -> None:
    found = of(ISSUING.rfc9068_token(header={"typ": typ}) + "=")
    assert (failed(found), statuses(found)["client_id"]) == (["signature_form"], "not_reached")


def test_what_is_no_request_is_examined_all_the_same() -> None:
    found = of_request("GET / HTTP/1.1")  # type: ignore[arg-type]
    assert (found.verdict, failed(found)) == ("refused", ["credentials"])
    assert found.finding("credentials").found == "0 Authorization headers"


def test_of_a_request_without_a_token_nothing_is_found_in_it() -> None:
    found = of_request(headers())
    assert (failed(found), found.finding("form").found) == (["credentials"], "0 segments, 0 characters")


def test_what_was_not_reached_tells_what_comes_first() -> None:
    found = of(FORGER.token(), PLAIN, "read:messages")
    finding = found.finding("requirement")
    assert (failed(found), finding.status) == (["key"], "not_reached")
    assert "'key'" in finding.reason


def test_as_much_is_read_as_can_be() -> None:
    longest = api(max_token_bytes=len(GOOD))
    assert of(GOOD, longest).finding("payload").found == list(ISSUING.claims())
    assert of(JWE).finding("header").found == {"alg": "RSA-OAEP-256", "enc": "A256GCM"}
    assert of(f"*.{BODY}.{SIGNATURE}").finding("payload").found == list(ISSUING.claims())
    assert of(b"a.b.c").finding("form").found == "bytes"
    with pytest.raises(KeyError) as missing:
        of(GOOD).finding("nothing")
    assert missing.value.args == ("nothing",)


def test_a_token_that_is_too_long_is_not_read_for_a_report_either() -> None:
    found = of(ISSUING.token(padding="x" * 20_000))
    assert (found.cause, found.sent) == (Cause.TOO_LARGE, "unreadable")
    assert (found.finding("header").found, found.finding("payload").found) == (None, None)


# --- offline ------------------------------------------------------------------------------------------------


def test_offline_nothing_is_fetched_and_a_good_token_is_undecided() -> None:
    fetched: list[str] = []
    flow = examine(GOOD, FETCHING, keys_of(FETCHING), "read:messages", offline=True)
    found = drive(flow, MOMENT, DOCUMENTS, fetched)
    assert (found.verdict, found.cause, found.refusal, found.verified, fetched) == ("undecided", None, None, False, [])
    missed = [name for name, status in statuses(found).items() if status != "passed"]
    assert missed == ["key", "signature", "requirement"]
    assert found.advice


def test_offline_a_claim_that_is_wrong_is_wrong_whoever_signed_it() -> None:
    found = of(ISSUING.token(exp=NOW - 3_600), FETCHING, offline=True)
    assert (found.verdict, found.cause, found.verified) == ("refused", Cause.EXPIRED, False)


def test_offline_keys_that_are_there_already_are_used() -> None:
    keys = keys_of(FETCHING)
    drive(authenticate_token(GOOD, FETCHING, keys), MOMENT, DOCUMENTS)
    fetched: list[str] = []
    found = drive(examine(GOOD, FETCHING, keys, offline=True), MOMENT, DOCUMENTS, fetched)
    assert (found.verdict, found.verified, fetched) == ("accepted", True, [])


def test_offline_keys_that_have_aged_are_used_and_not_refreshed() -> None:
    keys = keys_of(FETCHING)
    drive(authenticate_token(GOOD, FETCHING, keys), MOMENT, DOCUMENTS)
    later = type(MOMENT)(MOMENT.wall, MOMENT.monotonic + 2_000)
    fetched: list[str] = []
    found = drive(examine(GOOD, FETCHING, keys, offline=True), later, DOCUMENTS, fetched)
    assert (found.verdict, fetched) == ("accepted", [])


def test_offline_an_unknown_kid_is_undecided_since_nobody_looked() -> None:
    keys = keys_of(FETCHING)
    drive(authenticate_token(GOOD, FETCHING, keys), MOMENT, DOCUMENTS)
    token = ISSUING.token(header={"kid": "new"})
    assert drive(examine(token, FETCHING, keys, offline=True), MOMENT, DOCUMENTS).verdict == "undecided"


def test_offline_a_file_of_keys_is_read() -> None:
    settings = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks_file="keys.json")])
    fetched: list[str] = []
    files = {"keys.json": json.dumps(ISSUING.jwks(KEY.jwk())).encode()}
    found = drive(examine(GOOD, settings, keys_of(settings), offline=True), MOMENT, files, fetched)
    assert (found.verdict, fetched) == ("accepted", ["keys.json"])


def test_offline_given_keys_decide() -> None:
    assert of(GOOD, PLAIN, offline=True).verdict == "accepted"
    assert of(ISSUING.token(algorithm="HS256"), SYMMETRIC, offline=True).verdict == "accepted"


def test_offline_a_request_fetches_nothing_either() -> None:
    fetched: list[str] = []
    flow = examine_request(headers(f"Bearer {GOOD}"), FETCHING, keys_of(FETCHING), offline=True)
    assert (drive(flow, MOMENT, DOCUMENTS, fetched).verdict, fetched) == ("undecided", [])


# --- what a requirement reads of a request and of the moment -----------------------------------------------


def test_a_request_is_examined_for_its_requirement_too() -> None:
    found = of_request(headers(f"Bearer {GOOD}"), PLAIN, "read:nothing")
    assert (found.verdict, found.cause, failed(found)) == ("refused", Cause.SCOPE_MISSING, ["requirement"])


@pytest.mark.parametrize(("ago", "verdict"), [(60, "accepted"), (90, "accepted"), (91, "refused")])
def test_how_long_ago_the_login_was_counts_from_now_and_with_the_leeway(ago: int, verdict: str) -> None:
    assert of(ISSUING.token(auth_time=NOW - ago), PLAIN, authenticated(max_age=60)).verdict == verdict


# --- an issuer that a resolver names ------------------------------------------------------------------------


def resolving(answer: Issuer | str | None) -> ApiSettings:
    return ApiSettings(identifier=API, resolver=lambda stated, request: answer)  # type: ignore[arg-type, return-value]


def test_an_issuer_that_the_resolver_names_is_examined_like_any_other() -> None:
    to = resolving(Issuer(ISSUER, jwks=ISSUING.jwks(KEY.jwk())))
    assert (of(GOOD, to).verdict, of_request(headers(f"Bearer {GOOD}"), to).verdict) == ("accepted", "accepted")
    assert of(ISSUING.token(aud=API[:-1]), to).finding("audience").expected == API


def test_the_resolver_sees_the_request() -> None:
    seen: list[object] = []

    def resolve(stated: str, request: Request | None) -> Issuer:
        seen.append(request)
        return Issuer(stated, jwks=ISSUING.jwks(KEY.jwk()))

    request = headers(f"Bearer {GOOD}")
    assert of_request(request, ApiSettings(identifier=API, resolver=resolve)).verdict == "accepted"
    assert seen == [request]


def test_an_issuer_that_the_resolver_does_not_name_is_refused() -> None:
    found = of(GOOD, resolving(None))
    assert (found.verdict, found.cause, found.finding("trusted_issuer").status) == ("refused", Cause.ISSUER, "failed")
    assert found.finding("trusted_issuer").expected


def test_a_resolver_that_fails_leaves_it_undecided() -> None:
    found = of(GOOD, resolving("no issuer"))
    assert (found.verdict, found.cause) == ("undecided", Cause.UNAVAILABLE)


# --- what it carries ----------------------------------------------------------------------------------------


def test_a_finding_says_what_was_expected_what_was_found_and_where_that_is_written() -> None:
    finding = of(ISSUING.token(aud=API[:-1])).finding("audience")
    assert (finding.status, finding.expected, finding.found) == ("failed", API, API[:-1])
    assert finding.section == "RFC 7519 section 4.1.3"
    assert finding.reason == str(of(ISSUING.token(aud=API[:-1])).refusal)
    assert repr(API[:-1]) in finding.why


@pytest.mark.parametrize("token", [GOOD, FORGER.token(), "a.b.c"], ids=["passed", "failed", "not reached"])
def test_what_a_check_expects_and_where_that_is_written_hangs_on_no_outcome(token: str) -> None:
    found = of(token, PLAIN, scope("read:messages", "write:messages"))
    audience, wanted = found.finding("audience"), found.finding("requirement")
    assert (audience.section, audience.expected) == ("RFC 7519 section 4.1.3", API)
    assert wanted.expected == "read:messages, write:messages"
    assert all(finding.section for finding in found.findings)
    reasons = {finding.status: bool(finding.reason) for finding in found.findings}
    assert reasons == {status: status != "passed" for status in reasons}


def test_credentials_and_decryption_are_looked_at_first() -> None:
    sealing = api(decryption_keys=pem())
    found = of_request(headers(f"Bearer {sealed_with(1)}"), sealing)
    assert list(statuses(found))[:3] == ["credentials", "decryption", "form"]


@pytest.mark.parametrize("value", ["DPoP a b", "Bearer a b", "dpop", "Basic abc, DPoP abc"])
def test_a_malformed_header_is_answered_under_the_scheme_that_it_used(value: str) -> None:
    request, keys = headers(value), keys_of(DPOP)
    flow = authenticate(request, DPOP, keys, Senders(DPOP))
    compare(of_request(request, DPOP), outcome(flow, None))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("form", f"3 segments, {len(GOOD)} characters"),
        ("header", ISSUING.header()),
        ("payload", list(ISSUING.claims())),
        ("signature_form", f"{len(SIGNATURE)} characters"),
        ("trusted_issuer", ISSUER),
        ("key", KEY.kid),
        ("signature", None),
        ("expiry", int(NOW) + 3_600),
        ("client", {"azp": "app-1"}),
        ("organization", None),
    ],
)
def test_what_was_found(name: str, found: Any) -> None:
    assert of(GOOD).finding(name).found == found


def test_what_an_unknown_issuer_would_have_to_satisfy_is_not_made_up() -> None:
    assert of(STRANGER.token(), SEVERAL).finding("algorithm").expected is None
    assert of(STRANGER.token(), PLAIN).finding("algorithm").expected == "RS256"


def test_the_document_holds_all_of_it() -> None:
    found = of(ISSUING.token(aud=API[:-1]), PLAIN, "read:messages")
    document = json.loads(found.to_json())
    assert document == found.to_dict()
    told = ("verdict", "sent", "cause", "summary", "advice", "verified")
    assert {name: document[name] for name in told} == {name: getattr(found, name) for name in told}
    assert document.keys() == {*told, "refusal", "findings"}
    assert document["refusal"] == {"error": "WrongAudience", "status": 401}
    assert [entry["name"] for entry in document["findings"]] == list(statuses(found))
    assert of(GOOD).to_dict()["refusal"] is None


def test_the_error_it_carries_keeps_no_frame_and_so_no_token() -> None:
    refusal = of("a.b.c").refusal
    assert refusal is not None
    assert (refusal.__traceback__, refusal.__context__, refusal.__cause__) == (None, None, None)


def test_foreign_text_is_told_in_ascii_and_cut() -> None:
    found = of(ISSUING.token(aud="https://\x1b[31m\u202e\x9b" + "é" * 300))
    assert found.summary.isascii()
    assert found.summary.isprintable()
    assert len(found.summary) < 300
