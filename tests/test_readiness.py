"""An app's first and last moments, and its readiness: the same behind every border post."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from jwtgate import AsyncVerifier, KeysUnavailable, Verifier, asgi, fastapi, flask, starlette, wsgi
from jwtgate.core.key_state import BACK_OFF, SOFT_AGE
from tests.loopback import DISCOVERY, JWKS, Clock, Origin, sends

Answer = tuple[int, dict[str, str], bytes]
Probe = Callable[[], Answer]
UNKNOWN = {"kid": "another"}
BASE = {"cache-control": "no-store", "content-type": "application/json"}


# --------------------------------------------------------------------------------------------------------- readiness


def answer_of(response: Any, body: bytes) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    assert headers.pop("content-length") == str(len(body))
    return response.status_code, headers, body


def probe_wsgi(app: Any) -> Probe:
    def probe() -> Answer:
        response = Client(app).get("/ready")
        return answer_of(response, response.data)

    return probe


def probe_asgi(app: Any) -> Probe:
    def probe() -> Answer:
        response = TestClient(app).get("/ready")
        return answer_of(response, response.content)

    return probe


def flask_probe(origin: Origin, clock: Clock) -> Probe:
    settings = origin.settings()
    app, gate = Flask("app"), flask.Gate(settings, verifier=Verifier(settings, clock=clock))
    app.add_url_rule("/ready", view_func=gate.readiness)
    gate.protect(app, public=["readiness"])
    return probe_wsgi(app)


def wsgi_probe(origin: Origin, clock: Clock) -> Probe:
    return probe_wsgi(wsgi.readiness(Verifier(origin.settings(), clock=clock)))


def asgi_probe(origin: Origin, clock: Clock) -> Probe:
    probe = asgi.readiness(AsyncVerifier(origin.settings(), clock=clock))
    return probe_asgi(Starlette(routes=[Mount("/", probe)]))


def starlette_probe(origin: Origin, clock: Clock) -> Probe:
    settings = origin.settings()
    gate = starlette.Gate(settings, verifier=AsyncVerifier(settings, clock=clock))
    return probe_asgi(Starlette(routes=[Route("/ready", gate.readiness)]))


def fastapi_probe(origin: Origin, clock: Clock) -> Probe:
    settings = origin.settings()
    gate = fastapi.Gate(settings, verifier=AsyncVerifier(settings, clock=clock))
    app = FastAPI()
    app.add_api_route("/ready", gate.readiness, include_in_schema=False)
    return probe_asgi(app)


PROBES = [flask_probe, wsgi_probe, asgi_probe, starlette_probe, fastapi_probe]


@pytest.mark.parametrize("make", PROBES)
def test_an_instance_without_traffic_becomes_ready_by_being_probed(
    origin: Origin, clock: Clock, make: Callable[[Origin, Clock], Probe]
) -> None:
    probe = make(origin, clock)
    assert [probe(), probe()] == [(200, BASE, b'{"ready":true}')] * 2
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}


@pytest.mark.parametrize("make", PROBES)
def test_without_keys_it_is_not_ready_until_they_come(
    origin: Origin, clock: Clock, make: Callable[[Origin, Clock], Probe]
) -> None:
    good, origin.answers[JWKS] = origin.answers[JWKS], sends(b"", 500)
    probe = make(origin, clock)
    assert [probe(), probe()] == [(503, {**BASE, "retry-after": "1"}, b'{"ready":false}')] * 2
    assert origin.asked[JWKS] == 1  # a probe asks the issuer no more often than a request does
    origin.answers[JWKS] = good
    clock.at += BACK_OFF[0]
    assert probe()[0] == 200


# ---------------------------------------------------------------------------------------------------------- lifespan


async def hello(request: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


def starlette_app(verifier: AsyncVerifier) -> Any:
    return Starlette(lifespan=starlette.Gate(verifier.settings, verifier=verifier).lifespan)


def fastapi_app(verifier: AsyncVerifier) -> Any:
    return FastAPI(lifespan=fastapi.Gate(verifier.settings, verifier=verifier).lifespan)


@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
def test_keys_come_before_the_first_request_and_none_are_fetched_after_the_last(
    origin: Origin, clock: Clock, make: Callable[[AsyncVerifier], Any]
) -> None:
    verifier = AsyncVerifier(origin.settings(), clock=clock)
    app = make(verifier)
    with TestClient(app):
        assert (verifier.ready(), origin.asked) == (True, {DISCOVERY: 1, JWKS: 1})
    with pytest.raises(KeysUnavailable):
        asyncio.run(verifier.verify(origin.issuing.token(header=UNKNOWN)))
    assert asyncio.run(verifier.verify(origin.issuing.token())).subject
    assert origin.asked[JWKS] == 1


@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
def test_an_app_can_be_started_again(origin: Origin, clock: Clock, make: Callable[[AsyncVerifier], Any]) -> None:
    verifier = AsyncVerifier(origin.settings(), clock=clock)
    app = make(verifier)
    for times in (1, 2):
        with TestClient(app):
            assert origin.asked[JWKS] == times
        clock.at += SOFT_AGE


def test_a_verifier_for_threads_can_be_opened_again_too(origin: Origin, clock: Clock) -> None:
    verifier = Verifier(origin.settings(), clock=clock)
    for times in (1, 2):
        with verifier:
            assert (verifier.warm_up().ready, origin.asked[JWKS]) == (True, times)
        clock.at += SOFT_AGE


def test_an_app_starts_although_its_issuer_cannot_be_reached(origin: Origin, clock: Clock) -> None:
    origin.answers.clear()
    verifier = AsyncVerifier(origin.settings(), clock=clock)
    with TestClient(starlette_app(verifier)):
        assert not verifier.ready()


def asked_for(browser: TestClient, token: str) -> int:
    return browser.get("/", headers={"Authorization": f"Bearer {token}"}).status_code


def test_the_middleware_loads_keys_at_the_start_and_closes_what_it_made(origin: Origin) -> None:
    app = asgi.JwtGateMiddleware(Starlette(routes=[Route("/", hello)]), origin.settings())
    with TestClient(app) as browser:
        assert origin.asked == {DISCOVERY: 1, JWKS: 1}
        now = int(time.time())
        assert asked_for(browser, origin.issuing.token(iat=now, exp=now + 60)) == 200
    assert asked_for(TestClient(app), origin.issuing.token(header=UNKNOWN)) == 503
    assert origin.asked[JWKS] == 1


def test_the_middleware_leaves_open_what_it_was_given(origin: Origin, clock: Clock) -> None:
    verifier = AsyncVerifier(origin.settings(), clock=clock)
    app = asgi.JwtGateMiddleware(Starlette(routes=[Route("/", hello)]), verifier.settings, verifier=verifier)
    with TestClient(app):
        assert origin.asked == {DISCOVERY: 1, JWKS: 1}
    assert asked_for(TestClient(app), origin.issuing.token(header=UNKNOWN)) == 401
    assert origin.asked[JWKS] == 2


def test_an_app_that_knows_no_lifespan_is_let_alone(origin: Origin) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError(scope["type"])

    gated = asgi.JwtGateMiddleware(app, origin.settings())
    with pytest.raises(NotImplementedError):
        asyncio.run(gated({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert not origin.asked
