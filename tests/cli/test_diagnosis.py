"""What `jwtgate doctor` makes of answers: one good case, then a table with one change each."""

from __future__ import annotations

import dataclasses
import json
from email.utils import formatdate
from functools import partial
from typing import Any

import pytest

from jwtgate import ApiSettings, Issuer
from jwtgate.cli import diagnosis
from jwtgate.cli.diagnosis import Finding
from jwtgate.cli.probe import Answer, NoAnswer
from jwtgate.core.jwk import read_jwks
from tests.making import Issuing, signing_key

AT = 1_800_000_000.0  # a whole second
HERE = "https://idp.example/"
URL = "https://idp.example/keys"


def answer(status: int = 200, octets: bytes = b"", seconds: float = 0.5, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(URL, status, named, octets, AT, seconds)


def found(findings: Any) -> list[tuple[str, str]]:
    return [(finding.check, finding.verdict) for finding in findings]


# Its metadata


@pytest.mark.parametrize(
    ("octets", "verdict"),
    [(b'{"issuer": "x"}', "good"), (b"<html>", "fault"), (b"[]", "fault"), (b'{"a": 1, "a": 2}', "fault")],
)
def test_metadata_is_a_json_object(octets: bytes, verdict: str) -> None:
    metadata, finding = diagnosis.read_metadata(answer(octets=octets))
    assert (finding.check, finding.verdict) == ("metadata", verdict)
    assert (metadata == {"issuer": "x"}) == (verdict == "good")


def test_an_issuer_that_calls_itself_as_the_settings_do_is_right() -> None:
    assert diagnosis.issuer_spelling(Issuer(HERE), {"issuer": HERE}).verdict == "good"


@pytest.mark.parametrize("stated", ["https://idp.example", "https://IDP.example/", "http://idp.example/", "https://b/"])
def test_any_other_spelling_is_a_fault_and_the_right_one_is_told(stated: str) -> None:
    finding = diagnosis.issuer_spelling(Issuer(HERE), {"issuer": stated})
    assert (finding.verdict, finding.data) == ("fault", {"configured": HERE, "stated": stated})
    assert repr(stated) in finding.advice


@pytest.mark.parametrize("metadata", [{}, {"issuer": None}, {"issuer": 1}])
def test_metadata_without_an_issuer_is_a_fault(metadata: dict[str, Any]) -> None:
    assert diagnosis.issuer_spelling(Issuer(HERE), metadata).verdict == "fault"


def test_who_named_a_domain_is_told_of_domains() -> None:
    (issuer,) = ApiSettings(identifier="a", domain="idp.example").issuers
    named = diagnosis.issuer_spelling(issuer, {"issuer": "https://other.example/"})
    assert named.advice != diagnosis.issuer_spelling(Issuer(HERE), {"issuer": "https://other.example/"}).advice


def test_each_kind_of_difference_has_its_own_words() -> None:
    others = ["https://idp.example", "https://IDP.example/", "http://idp.example/", "https://else.example/"]
    assert len({diagnosis.difference(other, HERE) for other in others}) == len(others)


@pytest.mark.parametrize(
    ("url", "expected", "findings"),
    [
        (URL, URL, []),
        ("https://cdn.example/keys", "https://cdn.example/keys", [("jwks_uri", "note")]),
        ("http://idp.example/keys", None, [("jwks_uri", "fault")]),
        (None, None, [("jwks_uri", "fault")]),
        ("https://u@idp.example/keys", None, [("jwks_uri", "fault")]),
    ],
)
def test_the_address_of_the_keys_is_one_that_a_verifier_asks(url: Any, expected: Any, findings: Any) -> None:
    address, said = diagnosis.keys_address(Issuer(HERE), {"jwks_uri": url})
    assert (address, found(said)) == (expected, findings)


def test_plain_http_is_taken_where_the_settings_say_so() -> None:
    plain = "http://idp/keys"
    assert diagnosis.keys_address(Issuer("http://idp/", allow_http=True), {"jwks_uri": plain}) == (plain, [])


# Its keys


def examined(algorithms: list[str], *jwks: Any) -> list[Finding]:
    document = json.dumps({"keys": jwks}).encode()
    return list(diagnosis.keys(algorithms, partial(read_jwks, document)))


RSA = Issuing(url=HERE).key().jwk()
ONCE = {name: value for name, value in RSA.items() if name != "alg"}
OTHER = {**signing_key(number=2).jwk(), "kid": RSA["kid"]}


def test_keys_that_fit_are_named() -> None:
    (finding,) = examined(["RS256"], RSA)
    assert (finding.verdict, finding.data) == ("good", {"kids": [RSA["kid"]]})


def test_keys_without_names_fit_too() -> None:
    (finding,) = examined(["RS256"], {name: value for name, value in RSA.items() if name != "kid"})
    assert (finding.verdict, finding.data) == ("good", {"kids": []})


def test_where_no_key_fits_it_says_which_algorithms_do() -> None:
    (finding,) = examined(["ES256"], {**RSA, "alg": "RS256"})
    assert (finding.verdict, finding.data) == ("fault", {"kids": [], "fitting_algorithms": ["RS256"]})


def test_a_set_without_any_key_fits_nothing() -> None:
    (finding,) = examined(["RS256"])
    assert (finding.verdict, finding.data) == ("fault", {"kids": [], "fitting_algorithms": []})


def test_an_algorithm_that_no_key_is_for_is_a_warning() -> None:
    assert found(examined(["ES256", "RS256"], RSA)) == [("keys", "good"), ("algorithms", "warning")]


def test_a_key_that_cannot_be_used_is_noted() -> None:
    assert found(examined(["RS256"], RSA, {"kty": "oct", "k": "AAAA"})) == [("keys", "good"), ("keys", "note")]


def test_two_keys_of_one_name_are_a_fault() -> None:
    last = examined(["RS256"], RSA, OTHER)[-1]
    assert (last.verdict, last.data) == ("fault", {"ambiguous": RSA["kid"]})


# Around the answers


@pytest.mark.parametrize(
    ("late", "age", "verdict", "ahead"),
    [
        (0, None, "good", -0.2),
        (4, None, "good", 3.8),
        (20, None, "warning", 19.8),
        (-20, None, "warning", -20.2),
        (60, None, "fault", 59.8),
        (-60, None, "fault", -60.2),
        (60, "60", "good", -0.2),
    ],
)
def test_clocks_may_differ_a_little(late: float, age: str | None, verdict: str, ahead: float) -> None:
    headers = {"date": formatdate(AT - late, usegmt=True), **({"age": age} if age else {})}
    finding = diagnosis.clock(answer(seconds=0.5, **headers), 30)
    assert (finding.verdict, finding.data) == (verdict, {"ahead": pytest.approx(ahead, abs=0.11), "leeway": 30})


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
def test_an_issuer_that_does_not_tell_the_time_is_a_note(headers: dict[str, str]) -> None:
    assert diagnosis.clock(answer(**headers), 30).verdict == "note"


@pytest.mark.parametrize(("seconds", "verdict"), [(0.9, "good"), (1.0, "warning")])
def test_the_slowest_document_counts(seconds: float, verdict: str) -> None:
    finding = diagnosis.latency([answer(seconds=0.1), answer(seconds=seconds)])
    assert (finding.verdict, finding.data) == (verdict, {"seconds": seconds})


@pytest.mark.parametrize(
    ("headers", "fresh_for", "findings"),
    [
        ({}, 600, [("cache", "good")]),
        ({"cache_control": "max-age=86400"}, 600, [("cache", "good")]),
        ({"cache_control": "max-age=15"}, 300, [("cache", "note")]),
        ({"cache_control": "no-cache"}, 300, [("cache", "note")]),
        ({"age": "301"}, 600, [("cache", "good"), ("cache", "warning")]),
        ({"age": "never"}, 600, [("cache", "good")]),
    ],
)
def test_what_the_issuer_says_of_freshness(headers: dict[str, str], fresh_for: float, findings: Any) -> None:
    said = list(diagnosis.caching(answer(**headers)))
    assert (said[0].data["fresh_for"], found(said)) == (fresh_for, findings)


def test_what_stands_between_is_noted_as_far_as_it_tells() -> None:
    assert found(diagnosis.on_the_way([answer(), answer(via="1.1 a", x_cache="HIT")])) == [("proxy", "note")]
    assert list(diagnosis.on_the_way([answer()])) == []


@pytest.mark.parametrize(
    ("issuer", "findings"),
    [
        (Issuer(HERE), []),
        (Issuer("http://127.0.0.1:8400/"), []),
        (Issuer("http://idp/", allow_http=True), [("transport", "warning")]),
        (Issuer(HERE, metadata_url="http://idp/m", allow_http=True), [("transport", "warning")]),
    ],
)
def test_an_address_without_tls_is_a_warning(issuer: Issuer, findings: Any) -> None:
    assert found(diagnosis.transport(issuer)) == findings


@pytest.mark.parametrize(
    ("url", "proxy", "environ", "findings"),
    [
        (HERE, None, {}, []),
        (HERE, "http://proxy:3128", {}, [("proxy", "note")]),
        ("http://127.0.0.1:8400/", "http://proxy:3128", {}, [("proxy", "warning")]),
        (HERE, None, {"SSL_CERT_FILE": "/ca.pem"}, [("tls", "note")]),
        ("http://127.0.0.1:8400/", None, {"SSL_CERT_FILE": "/ca.pem"}, []),
    ],
)
def test_the_environment_is_looked_at(url: str, proxy: str | None, environ: dict[str, str], findings: Any) -> None:
    assert found(diagnosis.surroundings(url, proxy, environ)) == findings


@pytest.mark.parametrize("url", [HERE, "http://127.0.0.1:8400/"])
@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://me:hunter2@proxy:3128/", "http://proxy:3128/"),
        ("me:hunter2@proxy:3128", "proxy:3128"),
        ("me:hunter2://x@proxy:3128", "proxy:3128"),
    ],
)
def test_a_proxys_password_is_not_shown(url: str, proxy: str, shown: str) -> None:
    (finding,) = diagnosis.surroundings(url, proxy, {})
    assert finding.data == {"proxy": shown}
    assert "hunter2" not in repr(dataclasses.astuple(finding))


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (301, {"location": "https://b/"}),
        (302, {}),
        (403, {}),
        (404, {}),
        (429, {}),
        (429, {"retry_after": "7"}),
        (503, {}),
    ],
)
def test_each_status_but_200_is_a_fault_with_advice(status: int, headers: dict[str, str]) -> None:
    finding = diagnosis.misanswered("jwks", answer(status, **headers))
    assert (finding.verdict, finding.data) == ("fault", {"url": URL, "status": status, "seconds": 0.5})
    assert all(ascii(value) in finding.advice for value in headers.values())
    assert finding.advice


def test_each_kind_of_silence_has_its_own_advice() -> None:
    findings = [diagnosis.unanswered("jwks", NoAnswer(URL, cause, "no")) for cause in diagnosis.ADVICE]
    assert [finding.data["cause"] for finding in findings] == list(diagnosis.ADVICE)
    assert len({finding.advice for finding in findings}) == len(findings)
