"""The tenant over HTTP: discovery, JWKS and the token endpoint, as one WSGI application."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from . import metadata
from .refusals import TokenRefused, malformed, too_large
from .token_request import TokenRequest, TokenResponse, read_token_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BODY = 65_536  # bytes of a request's body that are read
REQUESTS = 10_000  # requests that are remembered
SHOWN = 100  # characters of foreign text in a log line

# RFC 6749 section 5.1: no cache may keep an answer that holds a token.
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}

logger = logging.getLogger("jwtgate.tenant")


class Issuing(Protocol):
    """What the endpoints need of a tenant."""

    @property
    def issuer(self) -> str: ...

    def jwks(self) -> dict[str, Any]: ...

    def token(self, request: TokenRequest) -> TokenResponse:
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
        try:
            # A constant name, and not the Host header: which host was meant makes no difference here.
            endpoint, _ = ROUTES.bind("tenant").match(request.path, request.method)
            return VIEWS[endpoint](self._tenant, request), ""
        except TokenRefused as refused:
            return _refusal(refused, request), f" {refused.error}: {refused.reason or _shown(refused.description)}"
        except HTTPException as fault:
            return _fault(fault), ""


def _discovery(tenant: Issuing, _: Request) -> Response:
    return _document(metadata.discovery(tenant.issuer))


def _jwks(tenant: Issuing, _: Request) -> Response:
    return _document(tenant.jwks())


def _token(tenant: Issuing, request: Request) -> Response:
    # Request.authorization would forgive what the standard does not.
    asked = read_token_request(request.mimetype, _body(request), request.headers.get("Authorization"))
    return _document(tenant.token(asked).body, headers=NO_STORE)


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
    ],
    merge_slashes=False,
)
VIEWS: Mapping[str, Callable[[Issuing, Request], Response]] = {
    "discovery": _discovery,
    "jwks": _jwks,
    "token": _token,
}


def _document(members: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = json.dumps(members, separators=(",", ":"))
    return Response(content, status=status, headers=headers, content_type="application/json")


def _refusal(refused: TokenRefused, request: Request) -> Response:
    response = _document(refused.body, status=refused.status, headers=NO_STORE)
    if refused.status == 401 and "Authorization" in request.headers:
        # RFC 6749 section 5.2: who tried HTTP authentication is told which scheme there is.
        response.headers["WWW-Authenticate"] = 'Basic realm="oauth/token"'
    return response


def _fault(fault: HTTPException) -> Response:
    """No such path, or no such method there, in the shape of the Management API's errors; keeps `Allow`."""
    response = Response(status=fault.code, headers=fault.get_headers())
    named = {"statusCode": fault.code, "error": fault.name, "message": fault.name}
    response.data = json.dumps(named, separators=(",", ":"))
    response.content_type = "application/json"
    return response


def _shown(text: str) -> str:
    return ascii(text[:SHOWN])
