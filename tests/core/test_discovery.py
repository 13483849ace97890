"""Where an issuer's metadata is looked for, in which order, and when it is not looked for any further."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jwtgate import Issuer
from jwtgate.core.discovery import discover, metadata_urls
from jwtgate.core.effects import FetchFailed
from jwtgate.core.key_state import HARD_AGE, METADATA_AGE, Metadata
from tests.making import drive

NOW = 5_000.0
OIDC, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
KEYS = "https://idp.test/keys"


def described(issuer: str, **changes: Any) -> bytes:
    return json.dumps({"issuer": issuer, "jwks_uri": KEYS, **changes}).encode()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://idp.test", [f"https://idp.test{OIDC}", f"https://idp.test{OAUTH}"]),
        ("https://idp.test/", [f"https://idp.test{OIDC}", f"https://idp.test{OAUTH}"]),
        ("https://idp.test/realms/x", [f"https://idp.test/realms/x{OIDC}", f"https://idp.test{OAUTH}/realms/x"]),
        ("https://idp.test:8443/a/", [f"https://idp.test:8443/a{OIDC}", f"https://idp.test:8443{OAUTH}/a"]),
        ("http://[::1]:80/a", [f"http://[::1]:80/a{OIDC}", f"http://[::1]:80{OAUTH}/a"]),
    ],
)
def test_an_issuer_with_a_path_has_two_well_known_addresses(url: str, expected: list[str]) -> None:
    assert list(metadata_urls(Issuer(url))) == expected


def test_an_address_in_the_settings_is_the_only_one() -> None:
    issuer = Issuer("https://idp.test/a", metadata_url="https://other.test/metadata?v=1")
    assert metadata_urls(issuer) == ("https://other.test/metadata?v=1",)


ISSUER = Issuer("https://idp.test/realms/x")
FIRST, SECOND = metadata_urls(ISSUER)


def found(documents: dict[str, Any], known: Metadata | None = None, *, again: bool = False) -> tuple[str, list[str]]:
    """The address of the metadata or the trouble, and what was asked for."""
    fetched: list[str] = []
    try:
        metadata = drive(discover(ISSUER, known, NOW, again=again), documents=documents, fetched=fetched)
    except FetchFailed as failure:
        return failure.trouble, fetched
    assert metadata.jwks_uri
    return metadata.url, fetched


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410])
def test_where_the_first_address_has_no_such_page_the_second_is_asked(status: int) -> None:
    documents = {FIRST: FetchFailed("x", "status", status), SECOND: described(ISSUER.url)}
    assert found(documents) == (SECOND, [FIRST, SECOND])


@pytest.mark.parametrize("documents", [{FIRST: described(ISSUER.url)}, {FIRST: FetchFailed("x", "status", 404)}])
def test_metadata_ages_from_now_whichever_address_has_it(documents: dict[str, Any]) -> None:
    metadata = drive(discover(ISSUER, None, NOW, again=False), documents={SECOND: described(ISSUER.url), **documents})
    assert (metadata.jwks_uri, metadata.read_at) == (KEYS, NOW)


@pytest.mark.parametrize(
    "answer",
    [
        FetchFailed("x", "status", 429),
        FetchFailed("x", "status", 500),
        FetchFailed("x", "status", 503),
        FetchFailed("x", "status", 302),
        FetchFailed("x", "deadline"),
        FetchFailed("x", "request"),
        FetchFailed("x", "too_large"),
    ],
    ids=lambda failure: f"{failure.trouble}-{failure.status}",
)
def test_an_address_that_does_not_answer_may_have_the_page(answer: FetchFailed) -> None:
    documents = {FIRST: answer, SECOND: described(ISSUER.url)}
    assert found(documents) == (answer.trouble, [FIRST])


@pytest.mark.parametrize("document", [b"<html>", b"[]", described("https://idp.test/realms/y")])
def test_metadata_of_somebody_else_is_not_made_good_by_another_address(document: bytes) -> None:
    assert found({FIRST: document, SECOND: described(ISSUER.url)}) == ("metadata", [FIRST])


def test_neither_address_is_what_the_second_says() -> None:
    gone = {FIRST: FetchFailed("x", "status", 404), SECOND: FetchFailed("y", "deadline")}
    assert found(gone) == ("deadline", [FIRST, SECOND])


@pytest.mark.parametrize(
    ("age", "again", "asks"), [(METADATA_AGE - 1, False, False), (METADATA_AGE, False, True), (0.0, True, True)]
)
def test_young_metadata_is_not_asked_for_unless_it_must_be(age: float, again: bool, asks: bool) -> None:
    known = Metadata(FIRST, KEYS, NOW - age)
    assert found({FIRST: described(ISSUER.url)}, known, again=again) == (FIRST, [FIRST] if asks else [])


def test_the_address_that_answered_before_is_asked_first() -> None:
    known = Metadata(SECOND, KEYS, NOW - METADATA_AGE)
    assert found({SECOND: described(ISSUER.url)}, known) == (SECOND, [SECOND])


@pytest.mark.parametrize(("age", "outcome"), [(HARD_AGE - 1, FIRST), (HARD_AGE, "request")])
def test_what_is_known_serves_for_a_day(age: float, outcome: str) -> None:
    assert found({}, Metadata(FIRST, KEYS, NOW - age))[0] == outcome
