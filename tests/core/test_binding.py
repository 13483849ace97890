"""Whose token is it? Every scheme with every binding, under every setting."""

from __future__ import annotations

import base64
import dataclasses
import itertools
from typing import Any

import pytest

from jwtgate import (
    AccessToken,
    ApiSettings,
    AuthError,
    InsufficientScope,
    Issuer,
    NonceRequired,
    ProofOfPossession,
    Request,
    SettingsError,
    StoreUnavailable,
    authenticated,
)
from jwtgate.core.binding import CLOCKS, PROOFS_PER_KEY, Senders
from jwtgate.core.effects import Memory, RememberProof
from jwtgate.core.errors import BindingRejected, InvalidProof, ProofReplayed, TooManyProofs
from jwtgate.core.examination import examine_request
from jwtgate.core.flow import authenticate, authenticate_token
from jwtgate.core.keys import keys_of
from jwtgate.core.possession import ANYBODY, MECHANISMS, NONE, read_possession
from jwtgate.core.request import Credentials
from jwtgate.core.revocations import Revocation, Revocations
from jwtgate.stores import MemoryStore
from jwtgate.testing import Holder
from tests.making import API, ISSUER, MOMENT, NOW, SECRET, Issuing, drive
from tests.sealing import private_jwk, seal

ISSUING = Issuing()
URL = "https://api.test/messages"
HOLDER, OTHER = Holder(clock=lambda: NOW), Holder(clock=lambda: NOW)

PLAIN_TOKEN = ISSUING.token()
KEY_TOKEN = ISSUING.token(cnf={"jkt": HOLDER.jkt})
CERTIFICATE_TOKEN = ISSUING.token(cnf={"x5t#S256": HOLDER.x5t})
BOTH_TOKEN = ISSUING.token(cnf={"jkt": HOLDER.jkt, "x5t#S256": HOLDER.x5t})
TOKENS = {"none": PLAIN_TOKEN, "jkt": KEY_TOKEN, "x5t": CERTIFICATE_TOKEN, "both": BOTH_TOKEN}


def api(*mechanisms: Any, required: bool = False, **changes: Any) -> ApiSettings:
    possession = ProofOfPossession(mechanisms, required) if mechanisms else None
    issuer = Issuer(ISSUER, jwks=ISSUING.jwks(ISSUING.key().jwk()))
    return ApiSettings(identifier=API, issuers=[issuer], proof_of_possession=possession, **changes)


def request(
    token: str, *proofs: str, scheme: str = "DPoP", certificate: bytes | None = None, method: str = "GET", **more: Any
) -> Request:
    lines = [("Authorization", f"{scheme} {token}"), *(("DPoP", proof) for proof in proofs)]
    return Request(method, URL, lines, certificate, **more)


def ask(sent: Request, settings: ApiSettings, **more: Any) -> AccessToken:
    senders = more.pop("senders", None)
    return drive(authenticate(sent, settings, keys_of(settings), senders), MOMENT, **more)


def answer(sent: Request, settings: ApiSettings, **more: Any) -> str:
    """What comes of it: "200", or the name of the error and the scheme that it stands on."""
    try:
        ask(sent, settings, **more)
    except AuthError as error:
        blamed = [value.split(" ")[0] for _, value in error.headers if "error=" in value]
        return " ".join([type(error).__name__, *blamed])
    return "200"


# --- the matrix ------------------------------------------------------------------------------------------------------

# What stands in a cell: "ok"; else the error. By settings, then scheme, whether a good proof and the right certificate
# come along, then the token's binding: none, jkt, x5t, both.
D = ("dpop",)
M = ("mtls",)
DM = ("dpop", "mtls")
T, Q, N, P, C = "BindingRejected", "ProofBesideBearer", "MissingCredentials", "InvalidProof", "CertificateRejected"
MATRIX: dict[tuple[tuple[str, ...], bool], dict[tuple[str, str], tuple[str, str, str, str]]] = {
    ((), False): {
        ("Bearer", ""): ("ok", T, T, T),
        ("Bearer", "proof"): ("ok", T, T, T),  # nobody looks at it
        ("Bearer", "certificate"): ("ok", T, T, T),
        ("DPoP", "proof"): (N, N, N, N),
        ("DPoP", "certificate"): (N, N, N, N),
    },
    (D, False): {
        ("Bearer", ""): ("ok", T, T, T),
        ("Bearer", "proof"): (Q, Q, Q, Q),
        ("Bearer", "certificate"): ("ok", T, T, T),
        ("DPoP", ""): (P, P, T, T),
        ("DPoP", "proof"): (T, "ok", T, T),
        ("DPoP", "proof certificate"): (T, "ok", T, T),
    },
    (D, True): {
        ("Bearer", ""): (N, N, N, N),
        ("Bearer", "proof"): (N, N, N, N),
        ("DPoP", ""): (P, P, T, T),
        ("DPoP", "proof"): (T, "ok", T, T),
    },
    (M, False): {
        ("Bearer", ""): ("ok", T, C, T),
        ("Bearer", "proof"): ("ok", T, C, T),
        ("Bearer", "certificate"): ("ok", T, "ok", T),
        ("DPoP", ""): (T, T, C, T),
        ("DPoP", "certificate"): (T, T, "ok", T),
        ("DPoP", "proof certificate"): (T, T, "ok", T),
    },
    (M, True): {
        ("Bearer", ""): (T, T, C, T),
        ("Bearer", "certificate"): (T, T, "ok", T),
        ("DPoP", "certificate"): (T, T, "ok", T),
    },
    (DM, False): {
        ("Bearer", ""): ("ok", T, C, C),
        ("Bearer", "certificate"): ("ok", T, "ok", T),
        ("Bearer", "proof certificate"): (Q, Q, Q, Q),
        ("DPoP", ""): (P, P, C, P),
        ("DPoP", "proof"): (T, "ok", C, C),
        ("DPoP", "certificate"): (P, P, "ok", P),
        ("DPoP", "proof certificate"): (T, "ok", "ok", "ok"),
    },
    (DM, True): {
        ("Bearer", ""): (T, T, C, C),
        ("Bearer", "certificate"): (T, T, "ok", T),
        ("DPoP", "certificate"): (P, P, "ok", P),
        ("DPoP", "proof certificate"): (T, "ok", "ok", "ok"),
    },
}
CELLS = [
    (mechanisms, required, scheme, brought, bound, expected)
    for (mechanisms, required), rows in MATRIX.items()
    for (scheme, brought), row in rows.items()
    for bound, expected in zip(TOKENS, row, strict=True)
]


@pytest.mark.parametrize(("mechanisms", "required", "scheme", "brought", "bound", "expected"), CELLS)
def test_the_matrix(
    mechanisms: tuple[str, ...], required: bool, scheme: str, brought: str, bound: str, expected: str
) -> None:
    settings, token = api(*mechanisms, required=required), TOKENS[bound]
    proofs = [HOLDER.proof("GET", URL, token)] if "proof" in brought else []
    certificate = HOLDER.certificate if "certificate" in brought else None
    sent = request(token, *proofs, scheme=scheme, certificate=certificate)
    found = answer(sent, settings).split(" ")[0]
    assert found == ("200" if expected == "ok" else expected)


def test_the_matrix_has_every_setting() -> None:
    subsets = [tuple(some) for size in range(3) for some in itertools.combinations(MECHANISMS, size)]
    wanted = {(some, required) for some in subsets for required in (False, True)} - {((), True)}
    assert MATRIX.keys() == wanted


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
def test_another_certificate_than_the_bound_one_is_refused(scheme: str) -> None:
    sent = request(CERTIFICATE_TOKEN, scheme=scheme, certificate=OTHER.certificate)
    assert answer(sent, api("mtls")) == f"CertificateRejected {scheme}"


def test_another_key_than_the_bound_one_is_refused() -> None:
    sent = request(KEY_TOKEN, OTHER.proof("GET", URL, KEY_TOKEN))
    assert answer(sent, api("dpop")) == "BindingRejected DPoP"


def test_a_token_that_is_bound_to_a_key_is_refused_with_the_scheme_that_it_came_by() -> None:
    with pytest.raises(BindingRejected) as refused:
        ask(request(KEY_TOKEN, scheme="Bearer"), api("dpop"))
    assert refused.value.actual == "Bearer"


def test_what_a_token_does_not_allow_is_told_on_the_scheme_that_was_used() -> None:
    settings = api("dpop", "mtls")
    for sent, scheme in (
        (request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN)), "DPoP"),
        (request(CERTIFICATE_TOKEN, certificate=HOLDER.certificate), "DPoP"),
        (request(CERTIFICATE_TOKEN, scheme="Bearer", certificate=HOLDER.certificate), "Bearer"),
        (request(PLAIN_TOKEN, scheme="Bearer"), "Bearer"),
    ):
        with pytest.raises(InsufficientScope) as refused:
            ask(sent, settings).require("admin:all")
        blamed = [value.split(" ")[0] for _, value in refused.value.headers if "error=" in value]
        assert blamed == [scheme]


def test_the_method_and_the_url_of_a_request_break_no_log_line() -> None:
    for method, url in (("GET", "https://api.test/a\nb\r\u2028c"), ("GE\nT", URL)):
        sent = Request(method, url, request(KEY_TOKEN, HOLDER.proof("POST", URL, KEY_TOKEN)).headers)
        with pytest.raises(AuthError) as refused:
            ask(sent, api("dpop"))
        assert str(refused.value).isascii()
        assert str(refused.value).isprintable()


def test_a_request_has_a_method_and_a_url() -> None:
    for sent in (Request("GET", None, []), Request(None, URL, []), Request(b"GET", URL, [])):  # type: ignore[arg-type]
        assert answer(sent, api("dpop")) == "InvalidRequest Bearer"


def test_what_was_proved_is_on_the_token() -> None:
    plain = ask(request(PLAIN_TOKEN, scheme="Bearer"), api("dpop", "mtls"))
    assert (plain.jkt, plain.certificate_thumbprint, plain.dpop_nonce) == (None, None, None)
    by_key = ask(request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN)), api("dpop"))
    assert (by_key.jkt, by_key.certificate_thumbprint, by_key.raw) == (HOLDER.jkt, None, KEY_TOKEN)
    by_both = ask(
        request(BOTH_TOKEN, HOLDER.proof("GET", URL, BOTH_TOKEN), certificate=HOLDER.certificate), api("dpop", "mtls")
    )
    assert (by_both.jkt, by_both.certificate_thumbprint) == (HOLDER.jkt, HOLDER.x5t)
    beside = request(CERTIFICATE_TOKEN, OTHER.proof("GET", URL, CERTIFICATE_TOKEN), certificate=HOLDER.certificate)
    assert ask(beside, api("dpop", "mtls")).jkt is None
    by_certificate = ask(request(CERTIFICATE_TOKEN, certificate=HOLDER.certificate), api("mtls"))
    assert (by_certificate.jkt, by_certificate.certificate_thumbprint) == (None, HOLDER.x5t)


def test_who_proves_no_key_is_given_no_nonce() -> None:
    settings = api("dpop", "mtls", dpop_nonce_key=SECRET)
    token = ask(request(CERTIFICATE_TOKEN, certificate=HOLDER.certificate), settings)
    assert (token.certificate_thumbprint, token.jkt, token.dpop_nonce) == (HOLDER.x5t, None, None)


def test_a_bound_token_that_came_encrypted_can_be_asked_for_more() -> None:
    sealed = seal(ISSUING.token(cnf={"x5t#S256": HOLDER.x5t}, auth_time=int(NOW) - 80))
    settings = api("mtls", decryption_keys=private_jwk())
    token = ask(request(sealed, scheme="Bearer", certificate=HOLDER.certificate), settings)
    assert (token.raw, token.checked_at) == (sealed, NOW)
    assert (token.allows(authenticated(max_age=60)), token.allows(authenticated(max_age=40))) == (True, False)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("Authorization", "DPoP")], "InvalidRequest DPoP"),
        ([("Authorization", "dpop a b")], "InvalidRequest DPoP"),
        ([("Authorization", "DPoP\tabc")], "InvalidRequest DPoP"),
        ([("Authorization", "DPoP " + "a" * 20_000)], "TokenTooLarge DPoP"),
        ([("Authorization", "Bearer a b")], "InvalidRequest Bearer"),
        ([("Authorization", "Bearer a"), ("Authorization", "DPoP b")], "InvalidRequest Bearer"),
        ([("Authorization", "Basic a, Bearer b")], "InvalidRequest Bearer"),
        ([("Authorization", b"DPoP a")], "InvalidRequest Bearer"),
    ],
)
def test_the_error_stands_on_the_scheme_that_was_used_before_there_is_a_token(lines: Any, expected: str) -> None:
    sent = Request("GET", URL, lines)
    assert answer(sent, api("dpop")) == expected
    found = drive(examine_request(sent, api("dpop"), keys_of(api("dpop"))), MOMENT)
    assert found.refusal is not None
    with pytest.raises(AuthError) as refused:
        ask(sent, api("dpop"))
    assert found.refusal.headers == refused.value.headers


@pytest.mark.parametrize("sent", [None, "GET", {"method": "GET"}, b"", 7])
def test_what_is_no_request_is_an_invalid_one(sent: Any) -> None:
    assert answer(sent, api("dpop")) == "InvalidRequest Bearer"
    assert drive(examine_request(sent, api(), keys_of(api())), MOMENT).verdict == "refused"


def test_a_refusal_keeps_no_frames_in_which_the_token_stands() -> None:
    with pytest.raises(AuthError) as refused:
        ask(request(KEY_TOKEN, scheme="Bearer"), api("dpop"))
    frames, trace = [], refused.value.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert frames[-1] == "authenticate"
    assert refused.value.__context__ is None


# --- a token without its request --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["jkt", "x5t", "both"])
def test_of_a_bound_token_alone_nobody_can_say_who_sent_it(bound: str) -> None:
    settings = api("dpop", "mtls")
    with pytest.raises(AuthError) as refused:
        drive(authenticate_token(TOKENS[bound], settings, keys_of(settings)), MOMENT)
    assert type(refused.value).__name__ == "BindingRejected"


def test_a_token_alone_is_good_where_bindings_are_not_required_and_it_has_none() -> None:
    settings = api("dpop")
    assert drive(authenticate_token(PLAIN_TOKEN, settings, keys_of(settings)), MOMENT).jkt is None
    settings = api("dpop", required=True)
    with pytest.raises(AuthError) as refused:
        drive(authenticate_token(PLAIN_TOKEN, settings, keys_of(settings)), MOMENT)
    assert type(refused.value).__name__ == "BindingRejected"


# --- once, and last ---------------------------------------------------------------------------------------------------


def test_a_proof_is_good_once() -> None:
    settings, store = api("dpop"), MemoryStore()
    sent = request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN))
    answers = [answer(sent, settings, store=store) for _ in range(3)]
    assert answers == ["200", "ProofReplayed DPoP", "ProofReplayed DPoP"]


def test_the_jti_of_another_key_is_another() -> None:
    settings, store = api("dpop"), MemoryStore()
    others = ISSUING.token(cnf={"jkt": OTHER.jkt})
    first = request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN, jti="same"))
    second = request(others, OTHER.proof("GET", URL, others, jti="same"))
    assert [answer(sent, settings, store=store) for sent in (first, second)] == ["200", "200"]


def test_a_proof_that_fails_anything_else_is_not_used_up() -> None:
    settings, store = api("dpop", "mtls"), MemoryStore()
    proof = HOLDER.proof("GET", URL, BOTH_TOKEN)
    for wrong in (
        request(BOTH_TOKEN, proof),
        request(BOTH_TOKEN, proof, certificate=OTHER.certificate),
        request(BOTH_TOKEN, proof, certificate=HOLDER.certificate, method="POST"),
        request(BOTH_TOKEN, proof, proof, certificate=HOLDER.certificate),
    ):
        assert answer(wrong, settings, store=store) != "200"
    assert answer(request(BOTH_TOKEN, proof, certificate=HOLDER.certificate), settings, store=store) == "200"


def remembered(settings: ApiSettings, sent: Request, reply: Memory | StoreUnavailable) -> tuple[RememberProof, str]:
    """What is asked of a store, and what comes of its answer."""
    flow = authenticate(sent, settings, keys_of(settings))
    effect: Any = next(flow)
    while not isinstance(effect, RememberProof):
        effect = flow.send(MOMENT)
    try:
        flow.throw(reply) if isinstance(reply, StoreUnavailable) else flow.send(reply)
    except StopIteration:
        return effect, "200"
    except AuthError as error:
        return effect, f"{type(error).__name__} {error.status}"
    raise AssertionError("it must end with that answer")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("new", "200"),
        ("seen", "ProofReplayed 401"),
        ("full", "TooManyProofs 401"),
        (StoreUnavailable("no answer"), "StoreUnavailable 503"),
    ],
)
def test_what_the_store_says_is_final(reply: Any, expected: str) -> None:
    sent = request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN, iat=int(NOW) - 10))
    asked, found = remembered(api("dpop", dpop_window=100, leeway=7), sent, reply)
    assert found == expected
    # Until nobody accepts it any more: RFC 9449 section 11.1.
    assert (asked.jkt, asked.expires, asked.limit) == (HOLDER.jkt, NOW - 10 + 100 + 7 + CLOCKS, PROOFS_PER_KEY)
    assert len(asked.digest) == 32


def test_a_proof_that_is_not_remembered_is_refused_by_its_data() -> None:
    sent, settings = request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN, jti="same")), api("dpop")
    for reply, kind, data in (
        ("seen", ProofReplayed, {"part": "jti", "actual": "same"}),
        ("full", TooManyProofs, {"part": "jwk", "actual": HOLDER.jkt, "limit": PROOFS_PER_KEY}),
    ):
        flow = authenticate(sent, settings, keys_of(settings))
        effect: Any = next(flow)
        while not isinstance(effect, RememberProof):
            effect = flow.send(MOMENT)
        with pytest.raises(kind) as refused:
            flow.send(reply)
        assert {name: getattr(refused.value, name) for name in data} == data


@pytest.mark.parametrize("settings", [api("dpop"), api("mtls"), api("dpop", "mtls")], ids=["dpop", "mtls", "both"])
def test_a_token_that_is_bound_to_nobody_may_come_as_a_bearers(settings: ApiSettings) -> None:
    sent = request(PLAIN_TOKEN, scheme="Bearer")
    assert drive(Senders(settings).check({}, Credentials("Bearer", PLAIN_TOKEN), sent, NOW), MOMENT) == ANYBODY
    with pytest.raises(AuthError):
        drive(Senders(settings).check({}, Credentials("DPoP", PLAIN_TOKEN), sent, NOW), MOMENT)


def test_a_proof_for_another_token_is_refused() -> None:
    with pytest.raises(InvalidProof) as refused:
        ask(request(KEY_TOKEN, HOLDER.proof("GET", URL, BOTH_TOKEN)), api("dpop"))
    assert refused.value.part == "ath"


# --- nonces ----------------------------------------------------------------------------------------------------------


def test_a_certificate_of_a_trusted_proxys_header_counts() -> None:
    settings = api("mtls", trusted_proxies=["10.0.0.1"], certificate_header="Client-Cert")
    line = ("Client-Cert", f":{base64.b64encode(HOLDER.certificate).decode()}:")
    sent = request(CERTIFICATE_TOKEN, client="10.0.0.1")
    sent = dataclasses.replace(sent, headers=[*sent.headers, line])
    assert answer(sent, settings) == "200"
    assert answer(dataclasses.replace(sent, client="10.0.0.2"), settings) == "CertificateRejected DPoP"


def test_with_a_nonce_key_the_client_is_given_a_nonce_and_then_let_in() -> None:
    settings = api("dpop", dpop_nonce_key=SECRET)
    with pytest.raises(NonceRequired) as refused:
        ask(request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN)), settings)
    told = dict(refused.value.headers)
    assert told["DPoP-Nonce"] == refused.value.nonce
    token = ask(request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN, refused.value.nonce)), settings)
    assert token.dpop_nonce == refused.value.nonce


def test_a_nonce_of_another_api_with_the_same_key_is_not_taken() -> None:
    several = api("dpop", dpop_nonce_key=SECRET)
    others = ApiSettings(
        identifier=[API, "https://other.test/"], domain="a.test", proof_of_possession="dpop", dpop_nonce_key=SECRET
    )
    nonce = Senders(others).nonces
    assert nonce is not None
    with pytest.raises(NonceRequired):
        ask(request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN, nonce.current(NOW))), several)


def test_a_nonce_is_of_one_identifier_or_of_several_in_any_order() -> None:
    def nonce(identifier: Any) -> str:
        nonces = Senders(dataclasses.replace(api("dpop", dpop_nonce_key=SECRET), identifier=identifier)).nonces
        assert nonces is not None
        return nonces.current(NOW)

    assert nonce("ab") == nonce("ab") == nonce(["ab"])
    assert nonce(["a", "b"]) == nonce(("a", "b")) == nonce(["b", "a"])
    assert len({nonce(given) for given in ("ab", ["a", "b"], "a")}) == 3


# --- the public URL --------------------------------------------------------------------------------------------------


def test_a_proof_names_the_public_url() -> None:
    settings = api("dpop", public_url="https://public.test/v1")
    good = HOLDER.proof("GET", "https://public.test/v1/messages", KEY_TOKEN)
    assert answer(request(KEY_TOKEN, good), settings) == "200"
    assert answer(request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN)), settings) == "InvalidProof DPoP"


def test_a_trusted_proxy_tells_the_url_and_nobody_else() -> None:
    settings = api("dpop", trusted_proxies=["10.0.0.0/8"], proxy_headers=["X-Forwarded-Host"])
    proof = HOLDER.proof("GET", "https://public.test/messages", KEY_TOKEN)
    lines = [("Authorization", f"DPoP {KEY_TOKEN}"), ("DPoP", proof), ("X-Forwarded-Host", "public.test")]
    assert answer(Request("GET", URL, lines, None, "10.1.2.3"), settings) == "200"
    assert answer(Request("GET", URL, lines, None, "192.0.2.1"), settings) == "InvalidProof DPoP"
    two = [*lines, ("X-Forwarded-Host", "other.test")]
    assert answer(Request("GET", URL, two, None, "10.1.2.3"), settings) == "InvalidForwarding DPoP"


# --- revoked ---------------------------------------------------------------------------------------------------------


def test_a_revoked_token_is_refused_however_well_it_is_proved() -> None:
    settings = api("dpop")
    token = ISSUING.rfc9068_token(cnf={"jkt": HOLDER.jkt}, jti="gone")
    known = Revocations()
    known.add(Revocation(ISSUER, jti="gone", expires=NOW + 60))
    senders = Senders(settings, known)
    sent = request(token, HOLDER.proof("GET", URL, token))
    assert answer(sent, settings, senders=senders) == "RevokedToken DPoP"
    assert answer(sent, settings) == "200"


# --- explained -------------------------------------------------------------------------------------------------------


def test_to_explain_a_request_does_not_use_its_proof_up() -> None:
    settings, store = api("dpop"), MemoryStore()
    sent = request(KEY_TOKEN, HOLDER.proof("GET", URL, KEY_TOKEN))
    for _ in range(2):
        found = drive(examine_request(sent, settings, keys_of(settings)), MOMENT, store=store)
        assert found.verdict == "accepted"
        assert found.finding("binding").status == "passed"
    assert answer(sent, settings, store=store) == "200"


# --- the setting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, NONE),
        ("dpop", ProofOfPossession(("dpop",))),
        (("dpop", "mtls"), ProofOfPossession(("dpop", "mtls"))),
        (["mtls"], ProofOfPossession(("mtls",))),
        (ProofOfPossession("mtls", required=True), ProofOfPossession(("mtls",), True)),  # type: ignore[arg-type]
        ({"mechanism": "dpop", "required": True}, ProofOfPossession(("dpop",), True)),
        (
            {"mechanism": "mtls", "required": True, "required_for": "all_clients"},
            ProofOfPossession(("mtls",), True),
        ),
        ({"mechanism": "dpop", "required": True, "required_for": "public_clients"}, ProofOfPossession(("dpop",))),
        ({"mechanism": "dpop"}, ProofOfPossession(("dpop",))),
    ],
)
def test_it_is_written_in_several_ways(given: Any, read: ProofOfPossession) -> None:
    assert read_possession(given) == read
    assert api().possession == NONE
    assert ApiSettings(identifier=API, domain="a.test", proof_of_possession=given).possession == read


@pytest.mark.parametrize(
    "given",
    [
        "none",
        "",
        "DPoP",
        ["dpop", "dpop"],
        ["dpop", "other"],
        [["dpop"]],
        7,
        True,
        b"dpop",
        {"mechanism": "none"},
        {},
        {"mechanism": None, "required": False},
        {"mechanism": "dpop", "required": "true"},
        {"mechanism": "dpop", "required_for": "nobody"},
        {"mechanism": "dpop", "require": True},
    ],
)
def test_what_it_cannot_be_is_refused(given: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        read_possession(given)
    assert refused.value.setting == "proof_of_possession"


def test_what_it_does_not_hold_is_named() -> None:
    with pytest.raises(SettingsError) as refused:
        read_possession({"mechanism": "dpop", "require": True})
    assert refused.value.actual == "require"


def test_to_require_nothing_in_particular_is_no_setting() -> None:
    for mechanisms, required in ((), True), (("dpop",), "yes"):
        with pytest.raises(SettingsError):
            ProofOfPossession(mechanisms, required)  # type: ignore[arg-type]
