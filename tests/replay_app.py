"""An app of either kind: it says which process answers, and takes a caller's own token out of use when told to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from jwtgate import AccessToken, ApiSettings, AsyncVerifier, Issuer, Verifier, asgi
from jwtgate.wsgi import JwtGateMiddleware
from tests.making import API, ISSUER

settings = ApiSettings(
    identifier=API,
    issuers=[Issuer(ISSUER, jwks_file=os.environ["REPLAY_APP_KEYS"])],
    proof_of_possession="dpop",
    **json.loads(os.environ["REPLAY_APP_SETTINGS"]),
)
verifier = Verifier(settings)
async_verifier = AsyncVerifier(settings)


def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    token: AccessToken = environ["jwtgate.token"]
    if environ["PATH_INFO"] == "/revoke":
        verifier.revoke(token)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


app = JwtGateMiddleware(respond, settings, verifier=verifier)


async def respond_async(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    if scope["path"] == "/revoke":
        await async_verifier.revoke(scope["jwtgate.token"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


asgi_app = asgi.JwtGateMiddleware(respond_async, settings, verifier=async_verifier)
