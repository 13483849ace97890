"""The adapter contract for bound tokens: a proof is good once, and its sender is told the next nonce, at every door."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from jwtgate import ApiSettings
from tests.doors import (
    ASGI_DOORS,
    DENIAL,
    ISSUING,
    METHODS,
    WSGI_DOORS,
    Answer,
    Sent,
    asgi_scope,
    ask_asgi,
    ask_wsgi,
    run,
    settings_for,
)
from tests.proving import ASKING, BEARER, HOLDER, NAMELESS, NONCE, TOLD, WITHOUT_NONCES, bearer, headers, sent

DOORS: Final[Mapping[str, Callable[[ApiSettings], Any]]] = {**WSGI_DOORS, **ASGI_DOORS}
JWKS: Final = ISSUING.jwks()
# Their routes return Responses of their own, and their gates do not know the app: test_fastapi.py has the others.
OWN_RESPONSES: Final = ("fastapi-requires", "fastapi-security", "fastapi-routers")
every_door = pytest.mark.parametrize("door", DOORS)


def built(door: str, **changes: Any) -> Callable[[Sent], Answer]:
    app = DOORS[door](settings_for(JWKS, **changes))
    return lambda sent: (ask_wsgi if door in WSGI_DOORS else ask_asgi)(app, sent)


def added(answer: Answer) -> list[tuple[str, str]]:
    """Of its header lines, those that a gate adds to an app's answer."""
    return [line for line in answer.lines if line[0] in ("cache-control", "dpop-nonce")]


# --- HTTP


@every_door
def test_a_client_is_told_a_nonce_with_the_challenge_and_then_with_each_answer(door: str) -> None:
    ask = built(door, **ASKING)
    first = ask(sent(nonce=None))
    assert (first.status, first.values("dpop-nonce")) == (401, [NONCE])
    assert b'"use_dpop_nonce"' in first.body
    for _ in range(2):
        good = ask(sent(nonce=first.values("dpop-nonce")[0]))
        assert (good.status, good.body) == (200, b"app-1@clients")
        assert added(good) == ([] if door in OWN_RESPONSES else TOLD)


@every_door
def test_a_proof_is_good_once(door: str) -> None:
    ask, once = built(door, **ASKING), sent()
    assert [ask(once).status for _ in range(3)] == [200, 401, 401]
    refused = ask(once)
    assert refused.values("dpop-nonce") == []
    assert b'"invalid_dpop_proof"' in refused.body


@every_door
@pytest.mark.parametrize("path", ["/scoped", "/asked"])
def test_whoever_has_a_good_proof_and_may_not_do_this_is_told_the_nonce_too(door: str, path: str) -> None:
    refused = built(door, **ASKING)(sent(path, NAMELESS))
    assert (refused.status, added(refused)) == (403, TOLD)


@every_door
@pytest.mark.parametrize("path", ["/private", "/scoped", "/asked"])
def test_nobody_else_is_told_a_nonce(door: str, path: str) -> None:
    ask = built(door, **ASKING)
    nameless = ISSUING.token(scope="none")
    answers = [
        ask(bearer(path)),
        ask(bearer(path, nameless)),
        ask(bearer(path, "x")),
        ask(Sent(path)),
        ask(Sent("/public")),
    ]
    assert answers[0].status == 200
    assert [answer.values("dpop-nonce") for answer in answers] == [[]] * 5
    assert added(answers[0]) == added(answers[4]) == []


@pytest.mark.parametrize("door", [door for door in DOORS if door != "starlette-backend"])  # that looks everywhere
def test_on_a_public_path_no_proof_is_looked_at(door: str) -> None:
    ask, once = built(door, **ASKING), sent("/public")
    assert [(answer.status, added(answer)) for answer in (ask(once), ask(once))] == [(200, [])] * 2


@every_door
def test_where_nonces_are_off_nothing_is_added(door: str) -> None:
    ask = built(door, **WITHOUT_NONCES)
    assert ask(sent(nonce=None)) == ask(bearer())
    assert ask(sent("/scoped", NAMELESS, None)).values("dpop-nonce") == []


@every_door
@pytest.mark.parametrize("method", METHODS)
def test_the_proof_is_for_its_method_alone(door: str, method: str) -> None:
    ask = built(door, **ASKING)
    assert ask(sent(method=method)).status != 401
    assert ask(Sent("/private", sent(method="PUT").lines, method)).status == 401


@every_door
def test_the_proof_is_for_its_path_alone_whatever_the_query(door: str) -> None:
    ask = built(door, **ASKING)
    asked = sent("/private")
    assert ask(Sent("/private", asked.lines, query=b"page=2&x=%ff")).status == 200
    assert ask(Sent("/scoped", sent("/private").lines)).status == 401


@every_door
def test_without_a_public_url_the_proof_names_the_address_of_the_server(door: str) -> None:
    ask = built(door, **{**ASKING, "public_url": None})
    for hosts in ((b"127.0.0.1:8000",), (b"api.test",)):
        lines = HOLDER.headers("GET", "http://127.0.0.1:8000/private", sent_token(), NONCE).items()
        good = Sent("/private", [(name.encode(), value.encode()) for name, value in lines], hosts=hosts)
        assert ask(good).status == 200
        # The Host line, which anybody can write, is not believed.
        assert ask(Sent("/private", sent().lines, hosts=hosts)).status == 401


def sent_token() -> str:
    return headers()["Authorization"].removeprefix("DPoP ")


@every_door
def test_two_proofs_are_none(door: str) -> None:
    one, two = sent().lines, sent().lines
    refused = built(door, **ASKING)(Sent("/private", [*one, two[1]]))
    assert (refused.status, refused.values("dpop-nonce")) == (401, [])


@every_door
def test_a_proof_beside_a_bearer_token_is_a_malformed_request(door: str) -> None:
    ask = built(door, **ASKING)
    mixed = Sent("/private", [*bearer().lines, sent(token=BEARER).lines[1]])
    assert ask(mixed).status == 400


@every_door
def test_where_the_store_does_not_answer_nothing_is_taken(door: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        ask = built(door, **ASKING, store=f"redis://127.0.0.1:{nobody.getsockname()[1]}/0")
        refused = ask(sent())
        assert (refused.status, refused.values("www-authenticate"), refused.values("dpop-nonce")) == (503, [], [])
        assert [int(value) >= 1 for value in refused.values("retry-after")] == [True]
        assert b'"temporarily_unavailable"' in refused.body
        # Only proofs need it.
        assert ask(bearer()).status == 200


# --- WebSockets


def handshake(door: str, asked: Sent, **changes: Any) -> list[Any]:
    """All that the server is given."""
    app = ASGI_DOORS[door](settings_for(JWKS, **changes))
    scope = asgi_scope(asked, type="websocket", scheme="ws", extensions={DENIAL: {}})
    del scope["method"]
    incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1005}]
    messages: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        messages.append(message)

    run(app(scope, receive, send))
    return messages


every_socket = pytest.mark.parametrize("door", ASGI_DOORS)
RAW_TOLD: Final = [(name.encode(), value.encode()) for name, value in TOLD]


@every_socket
@pytest.mark.parametrize("path", ["/private", "/late"])
def test_a_websocket_is_opened_with_the_nonce(door: str, path: str) -> None:
    opened, *others = handshake(door, sent(path), **ASKING)
    assert (opened["type"], opened["headers"]) == ("websocket.accept", RAW_TOLD)
    assert [message["type"] for message in others] == ["websocket.send", "websocket.close"]
    assert not any("headers" in message for message in others)


@every_socket
def test_a_handshake_is_refused_with_the_nonce(door: str) -> None:
    for asked, status in ((sent(nonce=None), 401), (sent("/scoped", NAMELESS), 403)):
        start, _ = handshake(door, asked, **ASKING)
        assert (start["type"], start["status"]) == (f"{DENIAL}.start", status)
        assert [value for name, value in start["headers"] if name == b"dpop-nonce"] == [NONCE.encode()]


@every_socket
def test_where_nonces_are_off_a_websocket_is_opened_as_ever(door: str) -> None:
    one, two = handshake(door, sent(nonce=None), **WITHOUT_NONCES), handshake(door, bearer(), **WITHOUT_NONCES)
    assert one == two
    assert not one[0].get("headers")


@every_socket
def test_without_a_public_url_the_proof_of_a_handshake_names_an_http_url(door: str) -> None:
    def asked(base: str) -> Sent:
        lines = HOLDER.headers("GET", f"{base}/private", sent_token(), NONCE).items()
        return Sent("/private", [(name.encode(), value.encode()) for name, value in lines])

    changes = {**ASKING, "public_url": None}
    assert handshake(door, asked("http://127.0.0.1:8000"), **changes)[0]["type"] == "websocket.accept"
    assert handshake(door, asked("https://127.0.0.1:8000"), **changes)[0]["status"] == 401
