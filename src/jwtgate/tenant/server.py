"""A tenant on a loopback address, in threads of this process."""

from __future__ import annotations

import logging
import socket
import threading
import warnings
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from werkzeug.serving import WSGIRequestHandler, make_server

from .endpoints import Endpoints
from .errors import BeyondLoopbackWarning, Rule, TenantError
from .hosts import is_loopback

BACKLOG = 1024  # connections that may wait: a cold start of many clients comes all at once
PORTS = range(65_536)
POLL = 0.05  # seconds until a server that is told to stop hears it

logger: logging.Logger = logging.getLogger("jwtgate.tenant")


class Server:
    """A tenant that answers at `url` until it is closed; a context manager.

    url: `http://HOST:PORT/`, with the port that was really taken.
    """

    def __init__(self, endpoints: Endpoints, host: str, port: int) -> None:
        """port: 0 takes any free one. Raises TenantError when the address cannot be had."""
        self._endpoints = endpoints
        with _listening(host, port) as listening:
            # It keeps a duplicate. Left to open its own socket, it would end the process on a taken port.
            self._wsgi = make_server(
                host, port, endpoints, threaded=True, request_handler=QuietHandler, fd=listening.fileno()
            )
        self.url: str = f"http://{_name(host)}:{self._wsgi.port}/"
        self._thread = threading.Thread(
            target=self._wsgi.serve_forever, args=(POLL,), name=f"jwtgate tenant at {self.url}", daemon=True
        )

    @property
    def requests(self) -> list[tuple[str, str]]:
        """The server's log: (method, path) of each request that came in, oldest first; the last 10,000."""
        return self._endpoints.requests

    @property
    def closed(self) -> bool:
        return not self._thread.is_alive()

    def start(self) -> None:
        """Begin to answer; what came in before has waited."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening; returns when the address is free again. May be called twice."""
        if not self.closed:
            self._wsgi.shutdown()
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class QuietHandler(WSGIRequestHandler):
    """Says nothing on stderr; the application has its own line per request, without the query."""

    def run_wsgi(self) -> None:
        """As werkzeug does it, which shows a traceback for a target such as `http://[::1/`, that is no URL."""
        try:
            urlsplit(self.path)
        except ValueError:
            self.send_error(400)
        else:
            super().run_wsgi()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: see above."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """What never became a request, such as a broken request line."""
        logger.info("refused a connection: %s", ascii(message % args))


def check_host(host: str, *, allow_beyond_loopback: bool) -> None:
    """Raises TenantError for an address that other machines can reach; when it is allowed, warns."""
    if is_loopback(host):
        return
    if not allow_beyond_loopback:
        raise TenantError(Rule.LOOPBACK, host)
    warnings.warn(
        f"the tenant is served on {host}: other machines can reach it, and it is made for development only",
        BeyondLoopbackWarning,
        stacklevel=3,
    )


def _listening(host: str, port: int) -> socket.socket:
    if port not in PORTS:
        raise TenantError(Rule.ADDRESS, (host, port))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as fault:
        raise TenantError(Rule.ADDRESS, (host, port)) from fault


def _name(host: str) -> str:
    return f"[{host}]" if ":" in host else host
