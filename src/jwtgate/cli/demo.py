"""`jwtgate demo`: play the cases against a tenant and a sample API, tell what came of it, and perhaps stay."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

import httpx
from rich.console import Console

from jwtgate.core.errors import AuthError
from jwtgate.tenant import Api

from . import show
from .cases import CASES, Case, Headers
from .report import Answer, Report, Row, Sample, Try
from .stage import Stage, stage
from .staying import log_on_stderr, stay
from .words import settings_of


def run(console: Console, *, cases: Sequence[Case] = CASES, as_json: bool = False, serve: bool = False) -> int:
    """Play, print, and return the exit status: 0 if every answer is the expected one, else 1.

    serve: keep tenant and sample API until SIGINT or SIGTERM; their log then goes to stderr.
    """
    tell = show.as_json if as_json else show.as_text
    with stage() as here:
        report = play(here, cases, with_tries=serve)
        if serve:
            with log_on_stderr():
                stay(lambda: tell(console, report))
        else:
            tell(console, report)
    return 0 if report.as_expected else 1


def play(here: Stage, cases: Sequence[Case], *, with_tries: bool = False) -> Report:
    """Send every request, one after the other."""
    rows, tries = [], [_token_try(here)]
    for case in cases:
        method, _, path = case.request.partition(" ")
        headers = case.headers(here, method, here.api_url + path)
        rows.append(Row(case.sends, case.request, case.expected, _send(here, method, path, headers)))
        if case.worth_trying:
            tries.append(_try(here, case, headers))
    return Report(
        tenant=here.tenant.issuer,
        api=here.api_url,
        samples=tuple(_sample(name, api) for name, api in here.apis.items()),
        rows=tuple(rows),
        tries=tuple(tries) if with_tries else (),
    )


def _send(here: Stage, method: str, path: str, headers: Headers) -> Answer:
    response = here.http.request(method, here.api_url + path, headers=headers)
    refusal = here.refusals.take()
    return Answer(
        status=response.status_code,
        challenge=response.headers.get("WWW-Authenticate"),
        refusal=None if refusal is None else refusal.event,
        why=_why(here, response, refusal),
    )


def _why(here: Stage, response: httpx.Response, refusal: AuthError | None) -> str:
    """As the API's own log puts it; for who was let in, who it is."""
    if refusal is not None:
        return str(refusal)
    if response.is_success:
        return _caller(here, response.json())
    return response.reason_phrase


def _caller(here: Stage, said: dict[str, Any]) -> str:
    """What the sample API said of its caller, with the application's name in place of its client id."""
    if "caller" not in said:
        return "open to everybody"
    names = {application.client_id: application.name for application in here.applications}
    kind = "machine" if said["machine"] else "user of"
    return f"{kind} {names[said['caller']]!r} may {', '.join(said['may'])}"


def _sample(name: str, api: Api) -> Sample:
    return Sample(path=f"/{name}/messages", identifier=api.identifier, settings=settings_of(api))


# ------------------------------------------------------------------------------------------------------ what to try


def _token_try(here: Stage) -> Try:
    url, body = here.token_request("auth0", here.reader)
    curl = ["curl", "-i", url, "-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return Try("a token for a machine that may only read, from the tenant", 200, shlex.join(curl))


def _try(here: Stage, case: Case, headers: Headers) -> Try:
    method, _, path = case.request.partition(" ")
    words = [word for name, value in headers for word in ("-H", f"{name}: {value}")]
    curl = ["curl", "-i", *([] if method == "GET" else ["-X", method]), here.api_url + path, *words]
    return Try(case.sends, case.expected.status, shlex.join(curl))
