"""A WSGI app for gunicorn, made before the fork: it says which process answers, and what that has fetched."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from jwtgate import ApiSettings, Issuer, Verifier
from jwtgate.wsgi import JwtGateMiddleware
from tests.making import API

settings = ApiSettings(identifier=API, issuers=[Issuer(os.environ["OUTAGE_ISSUER"])])
verifier = Verifier(settings)
if os.environ.get("OUTAGE_WARM"):
    verifier.warm_up()


def told(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = json.dumps({"pid": os.getpid(), "fetches": verifier.counters().fetches}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


app = JwtGateMiddleware(told, settings, public=["/health"], verifier=verifier)
