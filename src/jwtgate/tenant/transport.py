"""A tenant inside the process: an httpx transport, for clients of both kinds, without a socket."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import httpx
from werkzeug.test import run_wsgi_app

from .endpoints import CERTIFICATE, Endpoints

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class TenantTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """For `httpx.Client(transport=…)` and `httpx.AsyncClient(transport=…)`; both get the same answers.

    It knows the tenant's issuer and no other host: everything else raises httpx.ConnectError, as if there
    were no network. The tenant answers in the caller's thread, at once; only the first answer that needs a key
    takes tens of milliseconds, in which the key is made.

    client_certificate: that of every connection through it, in DER.
    """

    def __init__(self, endpoints: Endpoints, client_certificate: bytes | None = None) -> None:
        self._endpoints = endpoints
        self._client_certificate = client_certificate

    @property
    def requests(self) -> list[tuple[str, str]]:
        """(method, path) of each request that went through this transport, oldest first."""
        return self._endpoints.requests

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request, request.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request, await request.aread())

    def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        issuer = httpx.URL(self._endpoints.issuer)
        if _origin(request.url) != _origin(issuer):
            raise httpx.ConnectError(f"only {issuer} can be reached through this transport", request=request)
        environ = _environ(request, body)
        environ[CERTIFICATE] = self._client_certificate
        content, status, headers = run_wsgi_app(self._endpoints, environ, buffered=True)
        return httpx.Response(
            int(status.split(" ")[0]), headers=list(headers), content=b"".join(content), request=request
        )


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _environ(request: httpx.Request, body: bytes) -> WSGIEnvironment:
    path, _, query = request.url.raw_path.partition(b"?")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": request.url.host,
        "SERVER_PORT": str(request.url.port or {"http": 80, "https": 443}[request.url.scheme]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.url.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.raw:
        _add_header(environ, name.decode("latin-1"), value.decode("latin-1"))
    return environ


def _add_header(environ: WSGIEnvironment, name: str, value: str) -> None:
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    # A header that is there twice reaches an application joined, as from a server.
    environ[key] = f"{environ[key]},{value}" if key in environ else value
