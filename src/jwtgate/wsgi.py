"""The border post for any WSGI app: closed unless opened, and no framework needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from .admission import NOT_READY, PATH, READY, admit, keep, recall, refuse, tell, verifier_for
from .core.access import Requirement
from .core.errors import AuthError, Refusal
from .core.mtls import certificate_of_pem
from .core.paths import PUBLIC, PathRules, Verdict, is_preflight
from .core.request import Request
from .core.settings import ApiSettings
from .verifier import Outcome, Verifier

Body = Iterable[bytes]

CONTENT = ("CONTENT_TYPE", "CONTENT_LENGTH")  # the two headers whose names PEP 3333 does not prefix
TOKEN = "jwtgate.token"  # where the app finds the AccessToken in its environ
REASONS = {int(status): status.phrase for status in HTTPStatus}
# RFC 9112 section 3.2.2: a request may be for a whole URL, and not for a path alone.
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


class JwtGateMiddleware:
    """Lets a request pass to the app when it carries an access token that this API accepts.

    settings: what this API accepts.
    public: paths that need no token; on them none is looked at, and `environ["jwtgate.token"]` is None.
    requires: by path, what the token must also satisfy; see `PathRules` for how both are compared.
    verifier: a Verifier with the same settings, to share keys with other gates.
    on_refusal: is asked for another answer, a WSGI app; None from it means the standard one.

    The app finds the AccessToken in `environ["jwtgate.token"]`. An AuthError that it raises before the first part of
    its answer is out (`token.require(…)`) is answered here. A CORS preflight passes. Raises SettingsError.
    """

    def __init__(
        self,
        app: WSGIApplication,
        settings: ApiSettings,
        *,
        public: Iterable[str] = (),
        requires: Mapping[str, Requirement | str | Sequence[Requirement | str]] | None = None,
        verifier: Verifier | None = None,
        on_refusal: Callable[[AuthError, WSGIEnvironment], WSGIApplication | None] | None = None,
    ) -> None:
        self._app = app
        self._settings = settings
        self._rules = PathRules(public, requires)
        self._verifier = verifier_for(Verifier, settings, verifier)
        self._on_refusal = on_refusal

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        return answer_errors(self._pass, self._answer, environ, telling(environ, self._settings, start_response))

    def _pass(self, environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        verdict = self._verdict(environ)
        if verdict.public:
            # Not overwritten: another gate, with other settings, may stand before this one.
            environ.setdefault(TOKEN, None)
        else:
            environ[TOKEN] = admit(outcome_of(environ, self._verifier), verdict.requirement)
        return self._app(environ, start_response)

    def _verdict(self, environ: WSGIEnvironment) -> Verdict:
        if environ["REQUEST_METHOD"] == "OPTIONS" and is_preflight(request_of(environ)):
            return PUBLIC
        return self._rules.everywhere or self._judge(environ)

    def _judge(self, environ: WSGIEnvironment) -> Verdict:
        sent, mounted, path = _sent(environ), _text(environ, "SCRIPT_NAME"), _text(environ, "PATH_INFO")
        # A server that takes SCRIPT_NAME away in the middle of a segment leaves "admin", which routers take for
        # "/admin". An empty segment makes it what it is: a path that can be read in more than one way.
        whole = f"{mounted}{path}" if path.startswith("/") or not path else f"{mounted}//{path}"
        return self._rules.decide(whole, None if sent is None else _octets(sent), mounted)

    def _answer(self, error: AuthError, environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        refusal = refuse(error, self._settings)
        other = self._on_refusal(error, environ) if self._on_refusal else None
        if other is None:
            return send_refusal(refusal, environ, start_response)
        return other(environ, start_response)


# -------------------------------------------------------------------------------- what every WSGI post shares


def request_of(environ: WSGIEnvironment) -> Request:
    """What authentication looks at. Every header is in it, as the server hands it over: repeats joined by a comma.

    The URL is the one that the server was reached by: nothing of it comes from the Host header.
    """
    lines = [
        (name.removeprefix("HTTP_").replace("_", "-").title(), value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in CONTENT
    ]
    return Request(environ["REQUEST_METHOD"], _url(environ), lines, _certificate(environ), _peer(environ))


def _certificate(environ: WSGIEnvironment) -> bytes | None:
    """Of the TLS connection itself, as far as the server tells."""
    read = getattr(environ.get("gunicorn.socket"), "getpeercert", None)  # of a TLS connection alone
    if read is not None:
        try:
            return read(True) or None
        except (ValueError, OSError):  # no handshake yet; the connection is gone already
            return None
    # Werkzeug, Apache (SSLOptions +ExportCertData), uWSGI: PEM. No header can set this name: those begin with HTTP_.
    pem = environ.get("SSL_CLIENT_CERT")
    return certificate_of_pem(pem) if pem else None


def _peer(environ: WSGIEnvironment) -> str | None:
    # Werkzeug's ProxyFix puts the client's address in place of the proxy's, and keeps what was there.
    return (environ.get("werkzeug.proxy_fix.orig") or environ).get("REMOTE_ADDR") or None


def _url(environ: WSGIEnvironment) -> str:
    sent, query = _sent(environ), environ.get("QUERY_STRING")
    if sent is None:
        # Latin-1, as PEP 3333 hands octets over.
        path = quote(f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}", safe=PATH, encoding="latin-1")
        sent = f"{path}?{query}" if query else path
    # On a Unix socket gunicorn makes up a name out of the Host header, which anybody can write.
    name = environ["SERVER_NAME"] if environ.get("REMOTE_ADDR", "-") else ""
    server = f"[{name}]:{environ['SERVER_PORT']}" if ":" in name else f"{name}:{environ['SERVER_PORT']}"
    # A target without a slash at its beginning must not pass for a part of the authority.
    slash = "" if sent.startswith("/") else "/"
    return f"{environ['wsgi.url_scheme']}://{server}{slash}{sent}"


def _sent(environ: WSGIEnvironment) -> str | None:
    """What the client asked for, path and query, before anything was decoded; not every server tells."""
    sent: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    whole = None if sent.startswith("/") else _AUTHORITY.match(sent)
    return (sent if whole is None else sent[whole.end() :]) or None


def _text(environ: WSGIEnvironment, name: str) -> str:
    """A path as apps read it: UTF-8, of which PEP 3333 hands over the octets as Latin-1."""
    return _octets(environ.get(name, "")).decode("utf-8", "replace")


def _octets(text: str) -> bytes:
    # What is no Latin-1 comes from no server that keeps PEP 3333. Its backslash then closes the path.
    return text.encode("latin-1", "backslashreplace")


def outcome_of(environ: WSGIEnvironment, verifier: Verifier) -> Outcome:
    """Who is calling, found out once for each request and settings, and kept with the environ."""
    known = recall(environ, verifier.settings)
    if known is not None:
        return known
    # Of nearly every request this one line is all there is to look at. Servers join repeats in it with a comma.
    line = None if "HTTP_DPOP" in environ else environ.get("HTTP_AUTHORIZATION")
    outcome = None if line is None else verifier.glance(line)
    if outcome is None:
        outcome = verifier.outcome(request_of(environ))
    return keep(environ, verifier.settings, outcome)


def readiness(verifier: Verifier) -> WSGIApplication:
    """An app that answers a readiness probe: 200 where all issuers in the settings have keys that serve, else 503."""

    def probe(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        return send_refusal(readiness_of(verifier), environ, start_response)

    return probe


def readiness_of(verifier: Verifier) -> Refusal:
    """What a readiness probe is answered. Where keys are missing it loads them.

    An instance that gets no traffic before it is ready must not wait for traffic to become so.
    """
    return READY if verifier.ready() or verifier.warm_up().ready else NOT_READY


def send_refusal(refusal: Refusal, environ: WSGIEnvironment, start_response: StartResponse) -> Body:
    """Answer the client. An answer to HEAD has no body, as some servers would send one."""
    lines = [*refusal.headers, ("Content-Length", str(len(refusal.body)))]
    start_response(f"{refusal.status} {REASONS.get(refusal.status, 'Refused')}", lines)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [refusal.body]


def telling(environ: WSGIEnvironment, settings: ApiSettings, start_response: StartResponse) -> StartResponse:
    """The same, and the answer to a request with a good proof also carries the nonce for its sender's next one."""
    if settings.dpop_nonce_key is None:
        return start_response

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
        return start_response(status, tell(headers, environ, settings), exc_info)

    return start


def answer_errors(
    app: WSGIApplication,
    answer: Callable[[AuthError, WSGIEnvironment, StartResponse], Body],
    environ: WSGIEnvironment,
    start_response: StartResponse,
) -> Body:
    """Run the app; an AuthError is given to `answer` as long as nothing of the app's own answer is out.

    Much of an app may run only while its answer is read, so errors are looked for there too.
    """
    head = _Head(start_response)
    try:
        body = app(environ, head.hold)
    except AuthError as error:
        if head.sent:
            raise
        return answer(error, environ, start_response)
    if _is_complete(body, environ):
        head.send()
        return body
    return _Watched(body, head, lambda error: answer(error, environ, start_response))


def _is_complete(body: Body, environ: WSGIEnvironment) -> bool:
    """Whether no code of the app runs any more when the body is read. Then the server may have it as it is.

    Of a file, servers have their own way to send it, if they are given the very wrapper that they offered.
    """
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(body, list | tuple) or (isinstance(wrapper, type) and isinstance(body, wrapper))


# ---------------------------------------------------------------------------------- answers that have not begun


class _Head:
    """Status and headers of an app's answer, held back until the first part of its body follows.

    PEP 3333 lets them be replaced before that, with exc_info; but not every server then forgets the old headers.
    """

    _write: Callable[[bytes], object]

    def __init__(self, start_response: StartResponse) -> None:
        self._start = start_response
        self._held: tuple[Any, ...] | None = None
        self.sent = False

    def hold(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
        """The app's start_response."""
        if self.sent or (self._held is not None and exc_info is None):
            # Too late, or a second time: the server knows what to say to that.
            self.send()
            return self._start(status, headers, exc_info)
        self._held = (status, headers, exc_info)
        return self._send_part

    def send(self) -> None:
        if self._held is not None:
            self._write = self._start(*self._held)
            self._held, self.sent = None, True

    def _send_part(self, part: bytes) -> None:
        self.send()
        self._write(part)


class _Watched:
    """The body of an app's answer; an AuthError in place of its first part is answered."""

    def __init__(self, body: Body, head: _Head, answer: Callable[[AuthError], Body]) -> None:
        self._head = head
        self._answer = answer
        self._open = ExitStack()
        self._parts = self._read(self._closing(body))

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        """The server's last call, whether it has read all or nothing: what the app has open is closed."""
        self._open.close()

    def _read(self, body: Body) -> Iterator[bytes]:
        try:
            for part in body:
                self._head.send()
                yield part
        except AuthError as error:
            if self._head.sent:
                raise
            yield from self._closing(self._answer(error))
        else:
            self._head.send()

    def _closing(self, body: Body) -> Body:
        close = getattr(body, "close", None)
        if close is not None:
            self._open.callback(close)
        return body
