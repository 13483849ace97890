"""The tenant over HTTP: its documents, /authorize, the token endpoint and /userinfo, as one WSGI application."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from jwtgate.core.errors import CertificateRejected
from jwtgate.core.mtls import forwarded_thumbprint, thumbprint

from . import metadata
from .authorization import Redirect, Showing
from .binding import Shown
from .hosts import base_url, is_loopback
from .pages import error_page, login_page
from .refusals import TokenRefused, malformed, too_large, unreadable_certificate, wrong_access_token
from .registry import USERINFO
from .token_request import TokenRequest, TokenResponse, read_form, read_token_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BODY = 65_536  # bytes of a request's body that are read
REQUESTS = 10_000  # requests that are remembered
SHOWN = 100  # characters of foreign text in a log line

# RFC 6749 section 5.1: no cache may keep an answer that holds a token.
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}

# Fetch standard, CORS protocol: scripts of any origin may read these answers. No cookie counts there, so there is
# nothing that a page could borrow from whoever looks at it. `*` does not cover Authorization. RFC 9449 section 8: a
# script sees a nonce where the header is exposed.
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "DPoP-Nonce, WWW-Authenticate"}
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Headers": "Authorization, *",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Max-Age": "3600",
}

# What ties a login to the browser in which it began, so that no other site can finish it there.
BROWSER_COOKIE = "jwtgate_tenant_browser"

# Where a connection's own certificate stands in the environment (DER), and the header in which a proxy on this machine
# names it (RFC 9440).
CERTIFICATE = "jwtgate.tenant.certificate"
CERTIFICATE_HEADER = "Client-Cert"

logger: logging.Logger = logging.getLogger("jwtgate.tenant")


class Issuing(Protocol):
    """What the endpoints need of a tenant."""

    @property
    def issuer(self) -> str: ...

    def jwks(self) -> dict[str, Any]: ...

    def token(self, request: TokenRequest) -> TokenResponse:
        """Raises TokenRefused."""
        ...

    def begin_login(self, pairs: Iterable[tuple[str, str]], browser: str) -> Showing | Redirect:
        """Raises TokenRefused."""
        ...

    def finish_login(self, pairs: Iterable[tuple[str, str]], browser: str) -> Redirect:
        """Raises TokenRefused."""
        ...

    def userinfo(self, token: str, *, scheme: str, shown: Shown) -> Mapping[str, Any]:
        """Raises TokenRefused."""
        ...


class Endpoints:
    """A WSGI application that answers for one tenant; each has a log of its own requests."""

    def __init__(self, tenant: Issuing) -> None:
        self._tenant = tenant
        self._lock = threading.Lock()
        self._requests: deque[tuple[str, str]] = deque(maxlen=REQUESTS)

    @property
    def issuer(self) -> str:
        return self._tenant.issuer

    @property
    def requests(self) -> list[tuple[str, str]]:
        """(method, path) of each request that came to this application, oldest first; the last 10,000."""
        with self._lock:
            return list(self._requests)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        # One more than is allowed: of a body whose length is not announced, werkzeug silently drops the rest.
        request.max_content_length = BODY + 1
        with self._lock:
            self._requests.append((request.method, request.path))
        response, reason = self._answer(request)
        logger.info("%s -> %d%s", _shown(f"{request.method} {request.path}"), response.status_code, reason)
        return response(environ, start_response)

    def _answer(self, request: Request) -> tuple[Response, str]:
        """The response, and what the log says beside its status."""
        if _base(self._tenant, request) is None:
            reason = f" its Host is neither that of {self.issuer} nor of loopback"
            return _named_fault(421, "Misdirected Request"), reason
        try:
            # A constant name, and not the Host header, which has been looked at.
            endpoint, _ = ROUTES.bind("tenant").match(request.path, request.method)
        except HTTPException as fault:
            return _fault(fault), ""
        try:
            return VIEWS[endpoint](self._tenant, request), ""
        except TokenRefused as refused:
            refuse = _refused_page if endpoint in PAGES else _refusal
            reason = f" {refused.error}: {refused.reason or _shown(refused.description)}"
            return refuse(self._tenant, refused, request), reason


def _discovery(tenant: Issuing, _: Request) -> Response:
    return _document(metadata.discovery(tenant.issuer), headers=CORS)


def _jwks(tenant: Issuing, _: Request) -> Response:
    return _document(tenant.jwks(), headers=CORS)


def _preflight(_: Issuing, __: Request) -> Response:
    return Response(status=204, headers=PREFLIGHT)


def _token(tenant: Issuing, request: Request) -> Response:
    # Request.authorization would forgive what the standard does not.
    authorization = request.headers.get("Authorization")
    asked = read_token_request(request.mimetype, _body(request), authorization, _shown_by(request, tenant))
    answer = tenant.token(asked)
    nonce = {} if answer.dpop_nonce is None else {"DPoP-Nonce": answer.dpop_nonce}
    return _document(answer.body, headers={**NO_STORE, **CORS, **nonce})


def _userinfo(tenant: Issuing, request: Request) -> Response:
    named, _, token = request.headers.get("Authorization", "").partition(" ")
    scheme = SCHEMES.get(named.lower())
    if scheme is None or not token:
        raise wrong_access_token("the request has none")
    told = tenant.userinfo(token.strip(" "), scheme=scheme, shown=_shown_by(request, tenant))
    return _document(told, headers={**NO_STORE, **CORS})


def _base(tenant: Issuing, request: Request) -> str | None:
    """Where the client has reached the tenant; None where it meant somebody else."""
    environ = request.environ
    return base_url(environ.get("HTTP_HOST", ""), issuer=tenant.issuer, port=environ["SERVER_PORT"])


def _shown_by(request: Request, tenant: Issuing) -> Shown:
    """Raises TokenRefused."""
    return Shown(
        proofs=tuple(request.headers.getlist("DPoP")),
        method=request.method,
        url=f"{_base(tenant, request)}{request.path.removeprefix('/')}",
        x5t=_certificate(request),
    )


def _certificate(request: Request) -> str | None:
    """The thumbprint of the client's certificate: that of the connection, or the one that a proxy on loopback names."""
    connection = request.environ.get(CERTIFICATE)
    try:
        if connection is not None:
            return thumbprint(connection)
        named = request.headers.getlist(CERTIFICATE_HEADER)
        # From elsewhere anybody could say it.
        return forwarded_thumbprint(CERTIFICATE_HEADER, named) if is_loopback(request.remote_addr or "") else None
    except CertificateRejected as fault:
        raise unreadable_certificate(str(fault)) from fault


def _authorize(tenant: Issuing, request: Request) -> Response:
    browser = request.cookies.get(BROWSER_COOKIE) or secrets.token_urlsafe(32)
    going = tenant.begin_login(read_form(request.query_string), browser)
    if isinstance(going, Redirect):
        return _redirect(going, status=302)
    content, headers = login_page(going, issuer=tenant.issuer, action="/" + metadata.LOGIN)
    response = _page(content, headers)
    # Not `secure`: the tenant is served over plain HTTP, also when its issuer is https.
    response.set_cookie(BROWSER_COOKIE, browser, httponly=True, samesite="Lax")
    return response


def _login(tenant: Issuing, request: Request) -> Response:
    browser = request.cookies.get(BROWSER_COOKIE, "")
    # RFC 9700 section 4.12: 303, since a 307 would carry the form on to the application.
    return _redirect(tenant.finish_login(read_form(_body(request)), browser), status=303)


def _body(request: Request) -> bytes:
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge as fault:
        raise too_large(BODY) from fault
    except ClientDisconnected as fault:
        raise malformed("The body ends too early") from fault
    if len(body) > BODY:
        raise too_large(BODY)
    return body


ROUTES = Map(
    [
        Rule("/" + metadata.DISCOVERY, endpoint="discovery", methods=["GET"]),
        Rule("/" + metadata.DISCOVERY_ALIAS, endpoint="discovery", methods=["GET"]),
        Rule("/" + metadata.JWKS, endpoint="jwks", methods=["GET"]),
        Rule("/" + metadata.TOKEN, endpoint="token", methods=["POST"]),
        Rule("/" + USERINFO, endpoint="userinfo", methods=["GET", "POST"]),
        Rule("/" + metadata.AUTHORIZE, endpoint="authorize", methods=["GET"]),
        Rule("/" + metadata.LOGIN, endpoint="login", methods=["POST"]),
        *(
            Rule("/" + path, endpoint="preflight", methods=["OPTIONS"])
            for path in (
                metadata.DISCOVERY,
                metadata.DISCOVERY_ALIAS,
                metadata.JWKS,
                metadata.TOKEN,
                USERINFO,
            )
        ),
    ],
    merge_slashes=False,
)
VIEWS: Mapping[str, Callable[[Issuing, Request], Response]] = {
    "discovery": _discovery,
    "jwks": _jwks,
    "token": _token,
    "userinfo": _userinfo,
    "authorize": _authorize,
    "login": _login,
    "preflight": _preflight,
}
SCHEMES: Mapping[str, str] = {"bearer": "Bearer", "dpop": "DPoP"}  # under which /userinfo takes tokens
PAGES = frozenset({"authorize", "login"})  # what people look at; the rest is for programs


def _document(members: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = json.dumps(members, separators=(",", ":"))
    return Response(content, status=status, headers=headers, content_type="application/json")


def _page(content: str, headers: Mapping[str, str], *, status: int = 200) -> Response:
    return Response(content, status=status, headers={**headers, **NO_STORE}, content_type="text/html; charset=utf-8")


def _redirect(going: Redirect, *, status: int) -> Response:
    # As it is: werkzeug's own redirect would write the callback anew. Nothing in it can end the header line.
    return Response(status=status, headers={**NO_STORE, "Location": going.url, "Referrer-Policy": "no-referrer"})


def _refusal(_: Issuing, refused: TokenRefused, request: Request) -> Response:
    response = _document(refused.body, status=refused.status, headers={**NO_STORE, **CORS, **refused.headers})
    if "WWW-Authenticate" not in refused.headers and refused.status == 401 and "Authorization" in request.headers:
        # RFC 6749 section 5.2: who tried HTTP authentication is told which scheme there is.
        response.headers["WWW-Authenticate"] = 'Basic realm="oauth/token"'
    return response


def _refused_page(tenant: Issuing, refused: TokenRefused, _: Request) -> Response:
    content, headers = error_page(refused, issuer=tenant.issuer)
    return _page(content, headers, status=refused.status)


def _fault(fault: HTTPException) -> Response:
    """No such path, or no such method there, in the shape of the Management API's errors; keeps `Allow`."""
    kept = [(name, value) for name, value in fault.get_headers() if name != "Content-Type"]
    response = _named_fault(fault.code or 500, fault.name)
    response.headers.extend(kept)
    return response


def _named_fault(status: int, name: str) -> Response:
    return _document({"statusCode": status, "error": name, "message": name}, status=status)


def _shown(text: str) -> str:
    return ascii(text[:SHOWN])
