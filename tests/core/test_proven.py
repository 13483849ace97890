"""A request with a proof that is decided at once is decided as the flow decides it, and nothing is decided twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jwtgate import (
    AccessToken,
    ApiSettings,
    AuthError,
    InsufficientScope,
    Issuer,
    Request,
    StoreUnavailable,
    authenticated,
)
from jwtgate.core.binding import PROOFS_PER_KEY, Senders
from jwtgate.core.effects import Memory, Moment, RememberProof
from jwtgate.core.flow import authenticate
from jwtgate.core.keys import Keyring, keys_of
from jwtgate.core.nonces import Nonces
from jwtgate.core.proven import ShortWayWithProof
from jwtgate.core.request import LONGEST_LINE, read_proven
from jwtgate.core.revocations import Revocation, Revocations
from jwtgate.stores import MemoryStore
from jwtgate.testing import Holder
from tests.making import API, ISSUER, MOMENT, NOW, Issuing, base64url, drive
from tests.sealing import private_jwk, seal

ISSUING = Issuing()
URL = "https://api.test/messages"
HOLDER, OTHER = Holder(clock=lambda: NOW), Holder(clock=lambda: NOW)
TOKEN = ISSUING.token(cnf={"jkt": HOLDER.jkt})
FREE = ISSUING.token()
CERTIFIED = ISSUING.token(cnf={"x5t#S256": HOLDER.x5t})
BOTH = ISSUING.token(cnf={"jkt": HOLDER.jkt, "x5t#S256": HOLDER.x5t})
HEAD, BODY, SIGNATURE = TOKEN.split(".")
NONCE_KEY = bytes(range(32))
NONCE = Nonces(NONCE_KEY, 300, API).current(NOW)


def api(**changes: Any) -> ApiSettings:
    jwks = ISSUING.jwks(ISSUING.key().jwk())
    issuers = [Issuer(ISSUER, jwks=jwks)]
    return ApiSettings(**{"identifier": API, "issuers": issuers, "proof_of_possession": "dpop", **changes})


PLAIN = api()
SETTINGS = {
    "plain": PLAIN,
    "forgetting": api(token_memory_bytes=0),
    "nonces": api(dpop_nonce_key=NONCE_KEY),
    "required": api(proof_of_possession={"mechanism": "dpop", "required": True}),
    "mtls too": api(proof_of_possession=("dpop", "mtls")),
    "mtls alone": api(proof_of_possession="mtls"),
    "none": api(proof_of_possession=None),
    "proxied": api(trusted_proxies=["192.0.2.1"], proxy_headers=["X-Forwarded-Proto"]),
    "sealed": api(decryption_keys=private_jwk()),
}


def proof(token: str = TOKEN, *, by: Holder = HOLDER, nonce: str | None = NONCE, **changes: Any) -> str:
    return by.proof("GET", URL, token, nonce, **changes)


def request(
    token: str = TOKEN, *proofs: str, line: str | None = None, more: Any = (), url: str = URL, **others: Any
) -> Request:
    """With a good proof unless others are given."""
    lines = [("authorization", line or f"DPoP {token}"), *(("dpop", each) for each in proofs or (proof(token),))]
    return Request("GET", url, [("host", "api.test"), *lines, *more], **others)


def bare(token: str, **others: Any) -> Request:
    """Without a proof."""
    return Request("GET", URL, [("authorization", f"DPoP {token}")], **others)


# Each is made anew, as a proof is good once. Those in the first table are what nearly all requests with a proof are.
USUAL: dict[str, Callable[[], Request]] = {
    "good": request,
    "another spelling": lambda: Request("GET", URL, [("DPoP", f" {proof()}\t"), ("AUTHORIZATION", f"DPoP {TOKEN}")]),
    "with a query": lambda: request(url=f"{URL}?a=b"),
    "without a nonce": lambda: request(TOKEN, proof(nonce=None)),
    "with another nonce": lambda: request(TOKEN, proof(nonce="x")),
    "more in the proof's head": lambda: request(TOKEN, proof(header={"kid": "x"})),
    "of another key": lambda: request(TOKEN, proof(by=OTHER)),
    "of another algorithm": lambda: request(TOKEN, Holder("EdDSA").proof("GET", URL, TOKEN)),
    "for another method": lambda: request(TOKEN, proof(htm="POST")),
    "for another address": lambda: request(TOKEN, proof(htu="https://api.test/other")),
    "for another token": lambda: request(TOKEN, proof(FREE)),
    "of long ago": lambda: request(TOKEN, proof(iat=1)),
    "without a name": lambda: request(TOKEN, proof(jti="")),
    "cut": lambda: request(TOKEN, proof()[:-4]),
    "of two segments": lambda: request(TOKEN, proof().rpartition(".")[0]),
    "of four segments": lambda: request(TOKEN, f"{proof()}.x"),
    "two proofs in one line": lambda: request(TOKEN, f"{proof()},{proof()}"),
    "a text in place of a proof": lambda: request(TOKEN, "x"),
    "no proof": lambda: bare(TOKEN),
    "no proof, and a token for a certificate": lambda: bare(CERTIFIED, client_certificate=HOLDER.certificate),
    "no proof, and a free token": lambda: bare(FREE),
    "an empty proof": lambda: request(TOKEN, " "),
    "a free token": lambda: request(FREE),
    "a token for a certificate": lambda: request(CERTIFIED),
    "a token for both": lambda: request(BOTH, client_certificate=HOLDER.certificate),
    "a token for both, another certificate": lambda: request(BOTH, client_certificate=OTHER.certificate),
    "an expired token": lambda: request(ISSUING.token(exp=1, cnf={"jkt": HOLDER.jkt})),
    "a revoked token": lambda: request(ISSUING.token(jti="gone", cnf={"jkt": HOLDER.jkt})),
    "a forged token": lambda: request(f"{HEAD}.{BODY}.{base64url(bytes(256))}"),
    "an opaque token": lambda: request("opaque"),
    "a token of another issuer": lambda: request(Issuing(url="https://other.test/").token()),
    "through a proxy": lambda: request(more=[("x-forwarded-proto", "https")], client="192.0.2.1"),
    "through a proxy that is not understood": lambda: request(
        more=[("x-forwarded-proto", "gopher")], client="192.0.2.1"
    ),
}
UNUSUAL: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "a method that is no text": lambda: Request(7, URL, request().headers),  # type: ignore[arg-type]
    "an address that is no text": lambda: Request("GET", b"/", request().headers),  # type: ignore[arg-type]
    "headers in octets": lambda: Request("GET", URL, [(b"dpop", b"x")]),  # type: ignore[list-item]
    "headers that are no pairs": lambda: Request("GET", URL, ["dpop"]),  # type: ignore[list-item]
    "headers that are none": lambda: Request("GET", URL, None),  # type: ignore[arg-type]
    "a token that is none": lambda: Request("GET", URL, [("authorization", None)]),  # type: ignore[list-item]
    "a proof that is none": lambda: request(TOKEN, None),  # type: ignore[arg-type]
    "a proof in octets": lambda: request(TOKEN, proof().encode()),  # type: ignore[arg-type]
    "nothing": lambda: Request("GET", URL, []),
    "no token": lambda: Request("GET", URL, [("dpop", proof())]),
    "two proofs": lambda: request(TOKEN, proof(), proof()),
    "two tokens": lambda: request(more=[("Authorization", f"DPoP {TOKEN}")]),
    "two tokens in one line": lambda: request(line=f"DPoP {TOKEN}, DPoP {TOKEN}"),
    "a bearer's": lambda: request(line=f"Bearer {FREE}"),
    "of no scheme": lambda: request(line=TOKEN),
    "another case": lambda: request(line=f"dpop {TOKEN}"),
    "two spaces": lambda: request(line=f"DPoP  {TOKEN}"),
    "a space behind": lambda: request(line=f"DPoP {TOKEN} "),
    "not ASCII": lambda: request(line="DPoP é.é.é"),
    "too long a token": lambda: request("a" * 20_000),
    "too long a proof": lambda: request(TOKEN, "a" * (LONGEST_LINE + 1)),
    "an encrypted token": lambda: request(sealed := seal(TOKEN), proof(sealed)),
}


class Api:
    """One API, asked in either way: both know what they have seen before, and remember the same proofs."""

    def __init__(self, settings: ApiSettings, remember: Callable[[RememberProof], Memory] | None = None) -> None:
        gone = Revocations()
        gone.add(Revocation(ISSUER, jti="gone", expires=NOW + 60))
        self.settings = settings
        self.store = MemoryStore()
        self.keys: Keyring = keys_of(settings)
        self.senders = Senders(settings, gone)
        self.remember = remember or (lambda proof: self.store.remember(proof, NOW))
        self.short = ShortWayWithProof(settings, self.keys, self.senders)

    def at_once(self, sent: Any) -> Any:
        """None where the flow is to be asked."""
        return said(lambda: self.short(sent, *MOMENT, self.remember))

    def by_the_flow(self, sent: Any) -> Any:
        flow = authenticate(sent, self.settings, self.keys, self.senders, MOMENT)
        return said(lambda: drive(flow, MOMENT, store=self.store))


def said(ask: Callable[[], AccessToken | None]) -> Any:
    try:
        found = ask()
    except AuthError as error:
        return type(error), str(error), error.refusal, error.__context__
    return found and (found.claims, found.header, found.raw, found.checked_at, *found._sender)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", [*USUAL, *UNUSUAL])
def test_what_is_decided_at_once_is_what_the_flow_decides(kind: str, name: str) -> None:
    settings, make = SETTINGS[name], USUAL.get(kind) or UNUSUAL[kind]
    short, flow = Api(settings), Api(settings)
    for _ in range(3):  # from the second time on, the token and the key are known
        sent = make()
        whole = flow.by_the_flow(sent)
        found = short.at_once(sent)
        assert found in (None, whole)
        assert found is not None or short.by_the_flow(sent) == whole  # it has used nothing up
        assert flow.by_the_flow(sent) == short.by_the_flow(sent)


@pytest.mark.parametrize("kind", USUAL)
def test_nearly_every_request_with_a_proof_is_decided_at_once(kind: str) -> None:
    assert Api(PLAIN).at_once(USUAL[kind]()) is not None


@pytest.mark.parametrize("kind", UNUSUAL)
def test_what_is_sent_in_another_way_is_the_flows_to_decide(kind: str) -> None:
    assert Api(SETTINGS["sealed"]).at_once(UNUSUAL[kind]()) is None


@pytest.mark.parametrize("name", ["mtls alone", "none"])
def test_where_no_proof_is_asked_for_nothing_is_decided(name: str) -> None:
    assert Api(SETTINGS[name]).at_once(request()) is None


def test_an_issuer_that_a_resolver_may_know_is_its_to_name() -> None:
    assert Api(api(resolver=lambda issuer, request: None)).at_once(request()) is None


def test_keys_that_have_not_come_are_the_flows_to_wait_for() -> None:
    own = Api(api(issuers=[Issuer(ISSUER)]))
    assert own.at_once(request()) is None


def test_a_proof_is_good_once_whichever_way_it_comes() -> None:
    own, once = Api(PLAIN), request()
    assert own.at_once(once)[2] == TOKEN
    assert [own.at_once(once)[0].__name__, own.by_the_flow(once)[0].__name__] == ["ProofReplayed"] * 2
    other = request()
    own.by_the_flow(other)
    assert own.at_once(other)[0].__name__ == "ProofReplayed"


def test_a_proof_that_fails_anything_else_is_not_used_up() -> None:
    once = proof()
    own = Api(PLAIN)
    for wrong in (
        request(TOKEN, once, url="https://api.test/"),
        request(FREE, once),
        request(ISSUING.token(cnf={"jkt": OTHER.jkt}), once),
        request(TOKEN, f"{once}="),
    ):
        assert issubclass(own.at_once(wrong)[0], AuthError)
    assert own.at_once(request(TOKEN, once))[2] == TOKEN


@pytest.mark.parametrize(
    ("answer", "expected"), [("seen", "ProofReplayed"), ("full", "TooManyProofs"), (None, "StoreUnavailable")]
)
def test_what_the_memory_says_is_final(answer: Any, expected: str) -> None:
    asked: list[RememberProof] = []

    def remember(proof: RememberProof) -> Memory:
        asked.append(proof)
        if answer is None:
            raise StoreUnavailable("no answer")
        return answer  # type: ignore[no-any-return]

    kind, _, refusal, _ = Api(PLAIN, remember).at_once(request())
    assert (kind.__name__, refusal.status) == (expected, 503 if answer is None else 401)
    assert [(each.jkt, each.limit) for each in asked] == [(HOLDER.jkt, PROOFS_PER_KEY)]


def test_the_time_is_that_of_the_request() -> None:
    own = Api(PLAIN)
    sent = [request() for _ in range(3)]
    later = Moment(NOW + PLAIN.dpop_window + PLAIN.leeway, MOMENT.monotonic)
    token = own.short(sent[0], *later._replace(wall=later.wall - 1), own.remember)
    assert token is not None
    assert token.checked_at == later.wall - 1
    with pytest.raises(AuthError) as refused:
        own.short(sent[1], *later, own.remember)
    assert refused.value.event == "InvalidProof"


def test_a_token_that_was_proved_at_once_can_be_asked_for_more() -> None:
    sent = request(ISSUING.token(cnf={"jkt": HOLDER.jkt}, auth_time=int(NOW) - 80, scope="a"))
    own = Api(PLAIN)
    found = own.short(sent, *MOMENT, own.remember)
    assert found is not None
    assert found.allows("a", authenticated(max_age=60))
    assert not found.allows(authenticated(max_age=40))
    with pytest.raises(InsufficientScope) as refused:
        found.require("b")
    assert refused.value.refusal is not None


def test_an_encrypted_token_that_is_remembered_is_decided_at_once_and_is_what_was_sent() -> None:
    own, sealed = Api(SETTINGS["sealed"]), seal(TOKEN)
    assert own.by_the_flow(request(sealed, proof(sealed)))[2] == sealed
    assert own.at_once(request(sealed, proof(sealed)))[2] == sealed


def test_a_refusal_is_told_on_the_scheme_of_the_proof() -> None:
    _, _, refusal, context = Api(PLAIN).at_once(request("opaque"))
    assert context is None  # it would hold the token
    challenges = [value for name, value in refusal.headers if name == "WWW-Authenticate"]
    assert [challenge.split(" ")[0] for challenge in challenges if "error=" in challenge] == ["DPoP"]


@pytest.mark.parametrize("excess", [0, 1])
def test_lines_are_read_up_to_their_limits(excess: int) -> None:
    limit = 100
    token, line = "a" * (limit + excess), "b" * (LONGEST_LINE + excess)
    assert (read_proven(request(token, "x"), limit) is None) == bool(excess)
    assert (read_proven(request("a", line), limit) is None) == bool(excess)


@pytest.mark.parametrize(("line", "read"), [("\t b \t", "b"), ("Xb X", "Xb X"), ("\x0b b\xa0", "\x0b b\xa0")])
def test_white_space_around_a_proof_is_not_part_of_it(line: str, read: str) -> None:
    assert read_proven(request("a", line), 100) == ("a", (read,))


def test_header_lines_that_can_be_read_but_once_are_left_to_be_read_as_a_whole() -> None:
    lines = iter([("authorization", "DPoP a"), ("dpop", "b")])
    assert read_proven(Request("GET", URL, lines), 100) is None  # type: ignore[arg-type]
    assert len(list(lines)) == 2
