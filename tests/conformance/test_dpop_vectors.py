"""RFC 9449's own proofs hold for the requests that they were printed for, and for no others.

The functions are those that the flow itself calls; the time is that of the proofs. Thumbprints are as three RFCs print.
"""

from __future__ import annotations

import hashlib
import sys
from types import CodeType
from typing import Any

import pytest

from jwtgate import ApiSettings, Issuer, Request, Verifier
from jwtgate.core.compact import parse
from jwtgate.core.dpop import DpopRules, Proof, check_proof
from jwtgate.core.errors import InvalidProof
from jwtgate.core.jwk import read_jwk, read_proof_key, thumbprint
from tests.conformance.vectors import ISSUING, read
from tests.making import API, base64url, compact, public_members, signing_key

PRINTED = read("rfc", "rfc9449.json")
REQUEST = PRINTED["resource_request"]
PROOFS = [vector for vector in PRINTED["vectors"] if vector["kind"] == "dpop_proof"]
THUMBPRINTS = read("rfc", "thumbprints.json")["vectors"]
RULES = DpopRules(frozenset({"ES256"}), 60, 30)


def check(proof: str = REQUEST["proof"], **changes: Any) -> Proof:
    request = {
        "method": REQUEST["method"],
        "url": REQUEST["url"],
        "token": REQUEST["access_token"],
        "now": REQUEST["frozen_now"],
    }
    return check_proof([proof], rules=RULES, **{**request, **changes})


def refused(proof: str = REQUEST["proof"], **changes: Any) -> str:
    with pytest.raises(InvalidProof) as refusal:
        check(proof, **changes)
    return refusal.value.part


class Clock:
    """It always stands at the time of the printed request."""

    def wall(self) -> float:
        return float(REQUEST["frozen_now"])

    def monotonic(self) -> float:
        return 0.0


def verifier() -> Verifier:
    issuer = Issuer(ISSUING.url, jwks=ISSUING.jwks())
    return Verifier(ApiSettings(identifier=API, issuers=[issuer], proof_of_possession="dpop"), clock=Clock())


def bound_token(jkt: str) -> str:
    now = REQUEST["frozen_now"]
    return ISSUING.token(iat=now, exp=now + 60, cnf={"jkt": jkt})


def request(token: str, proof: str) -> Request:
    return Request(REQUEST["method"], REQUEST["url"], [("Authorization", f"DPoP {token}"), ("DPoP", proof)])


def test_these_are_the_functions_that_a_request_meets() -> None:
    holder = signing_key("P-256")
    header, claims = PROOFS[2]["header"], PROOFS[2]["payload"]
    token = bound_token(thumbprint(public_members(holder.private)))
    ath = base64url(hashlib.sha256(token.encode()).digest())
    own = compact({**header, "jwk": public_members(holder.private)}, {**claims, "ath": ath}, holder)
    gate = verifier()
    seen: set[CodeType] = set()
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: seen.add(frame.f_code) if event == "call" else None)
    try:
        gate.verify_request(request(token, own))
    finally:
        sys.setprofile(before)
    assert {function.__code__ for function in (check_proof, read_proof_key, parse)} <= seen


def test_beside_another_token_the_printed_proof_is_refused_for_that_alone() -> None:
    with pytest.raises(InvalidProof) as refusal:
        verifier().verify_request(request(bound_token(REQUEST["jkt"]), REQUEST["proof"]))
    assert refusal.value.part == "ath"


def test_every_printed_proof_is_there() -> None:
    assert [vector["section"][:3] for vector in PROOFS] == ["4.1", "5 (", "7.1"]
    assert REQUEST["proof"] == PROOFS[2]["compact"]


def test_the_proof_of_section_7_1_holds_for_its_request() -> None:
    claims = PROOFS[2]["payload"]
    assert check() == Proof(REQUEST["jkt"], claims["jti"], claims["iat"])
    assert claims["ath"] == REQUEST["ath"]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"method": "POST"}, "htm"),
        ({"url": "https://resource.example.org/other"}, "htu"),
        ({"token": REQUEST["access_token"][:-1]}, "ath"),
        ({"now": REQUEST["frozen_now"] + 91}, "iat"),
        ({"now": REQUEST["frozen_now"] - 31}, "iat"),
    ],
)
def test_it_holds_for_no_other_request(change: dict[str, Any], part: str) -> None:
    assert refused(**change) == part


@pytest.mark.parametrize("vector", PROOFS[:2], ids=lambda vector: vector["section"])
def test_a_proof_for_the_token_endpoint_is_good_but_for_no_token(vector: dict[str, Any]) -> None:
    claims = vector["payload"]
    assert refused(vector["compact"], method=claims["htm"], url=claims["htu"], now=claims["iat"]) == "ath"


@pytest.mark.parametrize("vector", PROOFS, ids=lambda vector: vector["section"])
def test_the_header_and_the_key_are_read_as_printed(vector: dict[str, Any]) -> None:
    assert parse(vector["compact"], 8_192).header == vector["header"]
    assert read_proof_key(vector["header"]["jwk"], "ES256").thumbprint == REQUEST["jkt"]


def test_the_token_of_section_6_1_is_bound_to_that_key() -> None:
    (bound,) = [vector for vector in PRINTED["vectors"] if vector["kind"] == "bound_access_token_jwt"]
    assert bound["payload"]["cnf"] == {"jkt": check().jkt}


@pytest.mark.parametrize("vector", THUMBPRINTS, ids=lambda vector: f"{vector['rfc']}-{vector['section']}")
def test_thumbprints_are_as_printed(vector: dict[str, Any]) -> None:
    key = read_jwk(vector["jwk"])
    algorithm = min(key.algorithms)
    assert thumbprint(vector["jwk"]) == key.thumbprint == vector["sha256"]
    assert read_proof_key(vector["jwk"], algorithm).thumbprint == vector["sha256"]
