"""`jwtgate token`: get a token as a machine gets one, and show each step so that it can be done by hand."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import typer
from rich.console import Console

from jwtgate.core.compact import parse_json
from jwtgate.core.errors import SettingsError
from jwtgate.core.settings import Issuer
from jwtgate.core.values import LOOPBACK, check_url

from .lines import BAD, GOOD, QUIET, STRONG, line

TIMEOUT = 10.0  # seconds for each answer
LIMIT = 512 * 1024  # bytes of an answer that are read
DEPTH, MEMBERS = 8, 2_000  # of an answer's JSON
SHOWN = 16  # characters of a token that are shown
MESSAGE = 300  # characters of foreign text in a message

REFUSED, NO_ANSWER = 1, 3  # exit statuses
SECRET_VARIABLES: Final = ("CLIENT_SECRET", "AUTH0_CLIENT_SECRET")
SOMEWHERE = "http://path_to_your_api/"

TOKENS = frozenset({"access_token", "id_token", "refresh_token"})  # members of an answer that are secrets
# RFC 6749 appendix A.12, without the space, which no header could carry.
TOKEN = re.compile(r"[\x21-\x7E]+")

# Of a refusal, as `error: error_description`: what to do about it. The first that fits is told.
ADVICE: Final[Mapping[str, str]] = {
    r"access_denied: Unauthorized|invalid_client": (
        "The client id or the secret is wrong; or the application sends its secret in another place: try it with"
        " --basic, or without."
    ),
    r"organization": (
        "Look at --organization: the application must name one, must not name any, or may not name this one."
    ),
    r"Service not enabled within domain|invalid_target": (
        "No API has this identifier. It counts to its last character, a slash at the end included."
    ),
    r"not authorized to access|client-grant": (
        "The API is there, but the application is not authorised for it. In the Dashboard: APIs, the API, Machine to"
        " Machine Applications; in a tenant's setup: grants."
    ),
    r"not been granted scopes|invalid_scope": (
        "The application was not granted all of this scope: grant it, or ask for less."
    ),
    r"unauthorized_client|unsupported_grant_type": (
        "The application may not use client credentials: switch this grant type on in its settings, or take a"
        " machine-to-machine application."
    ),
    r"Non-global clients": "The request names no API: add --audience.",
    r"too_many_requests": (
        "The application has had all the tokens of its quota: wait, and use each token until it expires."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The token that is asked for, and by whom.

    secret_variable: the environment's variable that holds the secret; it stands for it in what is printed.
    basic: the secret goes into HTTP Basic, and not into the body.
    """

    issuer: Issuer
    client_id: str
    client_secret: str = field(repr=False)
    secret_variable: str = SECRET_VARIABLES[0]
    audience: str | None = None
    scope: str | None = None
    organization: str | None = None
    basic: bool = False

    @property
    def parameters(self) -> dict[str, str]:
        """Of the body, without the secret (RFC 6749 section 4.4.2)."""
        asked = {
            "grant_type": "client_credentials",
            "client_id": None if self.basic else self.client_id,
            "audience": self.audience,
            "scope": self.scope,
            "organization": self.organization,
        }
        return {name: value for name, value in asked.items() if value}


class NoAnswer(Exception):
    """There is no answer, or none that could be understood. The message is for the user."""


class Refused(Exception):
    """The issuer said no. advice: what may help."""

    def __init__(self, status: int, answer: Mapping[str, Any]) -> None:
        error, description = (_told(answer.get(name)) for name in ("error", "error_description"))
        super().__init__(f"{status} {error}: {description}" if description else f"{status} {error}")
        said = f"{error}: {description}"
        self.answer = answer
        self.advice: str | None = next((advice for pattern, advice in ADVICE.items() if re.search(pattern, said)), None)


def run(console: Console, wanted: Wanted, *, raw: bool = False, full: bool = False, api_url: str = SOMEWHERE) -> int:
    """Ask, print, and return the exit status: 0 with a token, 1 when it was refused, 3 without an answer.

    raw: only the token is printed, and what goes wrong goes to stderr. full: the token is not shortened.
    api_url: where the API answers, for the call that is printed.
    """
    try:
        with _client(wanted.issuer) as http:
            endpoint = find_endpoint(http, wanted.issuer)
            if not raw:
                _show_request(console, endpoint, wanted)
            answer = ask(http, endpoint, wanted)
    except NoAnswer as nothing:
        sys.stderr.write(f"jwtgate: {nothing}\n")
        return NO_ANSWER
    except Refused as refused:
        if raw:
            sys.stderr.write(f"jwtgate: {refused}\n" + (f"{refused.advice}\n" if refused.advice else ""))
        else:
            _show_refusal(console, refused)
        return REFUSED
    if raw:
        line(console, answer["access_token"])
    else:
        _show_answer(console, answer, full=full)
        _show_call(console, wanted, answer, api_url, full=full)
    return 0


def issuer_of(url: str | None, domain: str | None, *, allow_http: bool = False) -> Issuer:
    """The issuer that was named; its URL goes before a domain. Raises SettingsError."""
    if url:
        return Issuer(url, allow_http=allow_http)
    if domain:
        return Issuer.auth0(domain, allow_http=allow_http)
    raise SettingsError("issuer", "must be given: --issuer, --domain or AUTH0_DOMAIN")


def find_secret(*, from_stdin: bool) -> tuple[str, str]:
    """The secret, and the variable that stands for it. Never from the command line: every user can read that.

    Raises SettingsError where there is none and nobody who could be asked.
    """
    usual = SECRET_VARIABLES[0]
    if from_stdin:
        secret = sys.stdin.readline().rstrip("\r\n")
        if secret:
            return secret, usual
        raise SettingsError("client secret", "must stand on the first line of standard input")
    for name in SECRET_VARIABLES:
        if os.environ.get(name):
            return os.environ[name], name
    if sys.stdin.isatty():
        return str(typer.prompt("Client secret", hide_input=True, err=True)), usual
    raise SettingsError("client secret", f"must be in {' or '.join(SECRET_VARIABLES)}, or come with --secret-stdin")


# ------------------------------------------------------------------------------------------------------ the questions


def _client(issuer: Issuer) -> httpx.Client:
    # A proxy that the environment names knows nothing of this machine's loopback.
    return httpx.Client(timeout=TIMEOUT, trust_env=urlsplit(issuer.url).hostname not in LOOPBACK)


def find_endpoint(http: httpx.Client, issuer: Issuer) -> str:
    """Where the issuer gives tokens, by its own metadata. Raises NoAnswer."""
    url = issuer.discovery_url
    status, body = _exchange(http, "GET", url)
    if status != 200:
        raise NoAnswer(f"{url} answered {status}: is this the issuer?")
    metadata = _object(url, status, body)
    said = metadata.get("issuer")
    # With or without the slash: whoever typed it meant this one. Somebody else's metadata gets no secret.
    if not isinstance(said, str) or said.removesuffix("/") != issuer.url.removesuffix("/"):
        raise NoAnswer(f"{url} is the metadata of the issuer {_told(said)}, not of {issuer.url}")
    endpoint = metadata.get("token_endpoint")
    try:
        check_url("token_endpoint", endpoint, allow_http=issuer.allow_http, query=True)
    except SettingsError as fault:
        raise NoAnswer(f"{url}: {fault}") from fault
    return str(endpoint)


def ask(http: httpx.Client, endpoint: str, wanted: Wanted) -> dict[str, Any]:
    """What the issuer answers, with an access token in it. Raises Refused and NoAnswer."""
    if wanted.basic:
        # RFC 6749 section 2.3.1: both are form-encoded first.
        pair = (_form_encoded(wanted.client_id), _form_encoded(wanted.client_secret))
        status, body = _exchange(http, "POST", endpoint, data=wanted.parameters, auth=httpx.BasicAuth(*pair))
    else:
        form = {**wanted.parameters, "client_secret": wanted.client_secret}
        status, body = _exchange(http, "POST", endpoint, data=form)
    answer = _object(endpoint, status, body)
    if "error" in answer:
        raise Refused(status, answer)
    token = answer.get("access_token")
    if status != 200 or not isinstance(token, str) or not TOKEN.fullmatch(token):
        raise NoAnswer(f"{endpoint} answered {status}, with neither a token nor an error in it")
    return answer


def _exchange(http: httpx.Client, method: str, url: str, **request: Any) -> tuple[int, bytes]:
    """Status and body. Redirects are not followed: a secret goes where it was sent, or nowhere."""
    try:
        with http.stream(method, url, headers={"Accept": "application/json"}, **request) as response:
            body = bytearray()
            for part in response.iter_bytes():
                body += part
                if len(body) > LIMIT:
                    raise NoAnswer(f"{url} answered more than {LIMIT} bytes")
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as fault:
        raise NoAnswer(f"no answer from {url}: {_told(str(fault) or type(fault).__name__)}") from fault
    return response.status_code, bytes(body)


def _object(url: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        answer = parse_json(body, depth=DEPTH, members=MEMBERS)
    except ValueError as fault:
        raise NoAnswer(f"{url} answered {status}, with something else than JSON") from fault
    if not isinstance(answer, dict):
        raise NoAnswer(f"{url} answered {status}, with JSON that is no object")
    return answer


def _form_encoded(text: str) -> str:
    return str(httpx.QueryParams({"": text})).removeprefix("=")


# ------------------------------------------------------------------------------------------------- what is printed


def request_as_curl(endpoint: str, wanted: Wanted) -> str:
    """The request as a line for a shell; a variable stands for the secret."""
    words = ["curl", "-X", "POST", endpoint]
    for name, value in wanted.parameters.items():
        words += ["--data-urlencode", f"{name}={value}"]
    variable = f'"${wanted.secret_variable}"'
    if wanted.basic:
        return f"{shlex.join(words)} -u {shlex.quote(wanted.client_id + ':')}{variable}"
    return f"{shlex.join(words)} --data-urlencode client_secret={variable}"


def command(wanted: Wanted) -> str:
    """This command again, for a shell that wants nothing but the token."""
    options = {
        "--issuer": wanted.issuer.url,
        "--audience": wanted.audience,
        "--client-id": wanted.client_id,
        "--scope": wanted.scope,
        "--organization": wanted.organization,
    }
    words = [word for name, value in options.items() if value for word in (name, value)]
    flags = {"--basic": wanted.basic, "--allow-http": wanted.issuer.allow_http}
    return shlex.join(["jwtgate", "token", *words, *(flag for flag, is_set in flags.items() if is_set), "--raw"])


def _show_request(console: Console, endpoint: str, wanted: Wanted) -> None:
    line(console, "The request", STRONG)
    line(console)
    line(console, request_as_curl(endpoint, wanted))
    line(console)


def _show_refusal(console: Console, refused: Refused) -> None:
    line(console, f"Refused: {refused}", BAD)
    if refused.advice:
        line(console, refused.advice)


def _show_answer(console: Console, answer: Mapping[str, Any], *, full: bool) -> None:
    line(console, "The answer", GOOD)
    line(console)
    shown = {name: _short(value) if name in TOKENS and not full else value for name, value in answer.items()}
    line(console, json.dumps(shown, indent=2))
    if remark := _remark(answer["access_token"]):
        line(console)
        line(console, remark, BAD)
    line(console)


def _show_call(console: Console, wanted: Wanted, answer: Mapping[str, Any], api_url: str, *, full: bool) -> None:
    line(console, "The call to the API", STRONG)
    line(console)
    if full:
        line(console, shlex.join(["curl", api_url, "-H", f"Authorization: Bearer {answer['access_token']}"]))
        return
    line(console, f"TOKEN=$({command(wanted)})")
    line(console, f'curl {shlex.quote(api_url)} -H "Authorization: Bearer $TOKEN"')
    line(console)
    line(
        console, f"The first line takes the secret from {wanted.secret_variable}. --full shows the token itself.", QUIET
    )


def _short(token: object) -> str:
    """Enough to see what kind of token it is, and too little to use it."""
    text = str(token)
    return f"{text[:SHOWN]}... ({len(text)} characters)"


def _remark(token: str) -> str | None:
    segments = token.split(".")
    if len(segments) == 3:
        return None
    if len(segments) == 5 and segments[1]:
        return "This token is encrypted: only the API that holds the key can read it."
    return "This token is opaque: no API can verify it. It is what comes when the request names no --audience."


def _told(value: object) -> str:
    """Foreign text: no control character reaches the terminal."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:MESSAGE])
