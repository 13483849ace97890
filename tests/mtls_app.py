"""An app, as ASGI and as WSGI, that says to whose certificate and key the caller's token was found to be bound."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from jwtgate import AccessToken, ApiSettings, Issuer
from jwtgate import asgi as asgi_post
from jwtgate import wsgi as wsgi_post
from tests.making import API, ISSUER

# Where its issuer's keys are, and further settings of ApiSettings, as JSON.
KEYS, SETTINGS = "MTLS_APP_KEYS", "MTLS_APP_SETTINGS"

settings = ApiSettings(
    identifier=API,
    issuers=[Issuer(ISSUER, jwks_file=os.environ[KEYS])],
    proof_of_possession=("dpop", "mtls"),
    **json.loads(os.environ[SETTINGS]),
)


def told(token: AccessToken) -> bytes:
    return json.dumps({"certificate": token.certificate_thumbprint, "key": token.jkt}).encode()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": told(scope["jwtgate.token"])})


def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [told(environ["jwtgate.token"])]


asgi = asgi_post.JwtGateMiddleware(answer, settings)
wsgi = wsgi_post.JwtGateMiddleware(respond, settings)
