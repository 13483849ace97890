"""A WSGI app for gunicorn: it says which process answers, and takes a caller's own token out of use when told to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from jwtgate import AccessToken, ApiSettings, Issuer, Verifier
from jwtgate.wsgi import JwtGateMiddleware
from tests.making import API, ISSUER

settings = ApiSettings(
    identifier=API,
    issuers=[Issuer(ISSUER, jwks_file=os.environ["REPLAY_APP_KEYS"])],
    proof_of_possession="dpop",
    **json.loads(os.environ["REPLAY_APP_SETTINGS"]),
)
verifier = Verifier(settings)


def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    token: AccessToken = environ["jwtgate.token"]
    if environ["PATH_INFO"] == "/revoke":
        verifier.revoke(token)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


app = JwtGateMiddleware(respond, settings, verifier=verifier)
