"""One question to an issuer, asked as a verifier asks it, and all that can be seen of the answer."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import httpx

from jwtgate.core.effects import Fetch, FetchFailed
from jwtgate.verifier.fetching import TOTAL_SECONDS, Body, Cut, failed, options

Cause = Literal["name", "certificate", "refused", "proxy", "deadline", "too_large", "encoding", "request"]

# What went wrong, by the type of an exception or of one behind it; the first that fits is told.
CAUSES: Final[tuple[tuple[type[BaseException], Cause], ...]] = (
    (httpx.ProxyError, "proxy"),
    (ssl.SSLCertVerificationError, "certificate"),
    (socket.gaierror, "name"),
    (ConnectionRefusedError, "refused"),
    (httpx.TimeoutException, "deadline"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """headers: by name in lower case; octets: empty unless the status is 200.

    asked_at: by this machine's clock, seconds since the epoch; seconds: from question to answer, connecting included.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    octets: bytes
    asked_at: float
    seconds: float


class NoAnswer(Exception):
    """No answer, or none that a verifier would take. cause: as one of a few names; reason: in words."""

    def __init__(self, url: str, cause: Cause, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.cause: Cause = cause
        self.reason = reason


def ask(http: httpx.Client, url: str, limit: int) -> Answer:
    """Raises NoAnswer. limit: bytes that are read."""
    asked_at, began = time.time(), time.monotonic()
    cut = Cut()
    try:
        with cut, http.stream("GET", url, extensions={"trace": cut.trace}, **options()) as response:
            octets = _read(response, Fetch(url, limit), began + TOTAL_SECONDS)
    except Exception as error:
        raise _no_answer(url, error, too_late=cut.over) from error
    if cut.over:  # an answer without a length that is cut looks as if it were whole
        raise _too_late(url)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(url, response.status_code, headers, octets, asked_at, time.monotonic() - began)


def _read(response: httpx.Response, fetch: Fetch, deadline: float) -> bytes:
    if response.status_code != 200:
        return b""
    body = Body(response, fetch, deadline)
    for chunk in response.iter_raw() if body.packed else response.iter_bytes():
        body.add(chunk)
    return body.document().octets


def _no_answer(url: str, error: Exception, *, too_late: bool) -> NoAnswer:
    if too_late:
        return _too_late(url)
    failure = failed(error)
    return NoAnswer(url, _cause(error, failure), failure.reason)


def _too_late(url: str) -> NoAnswer:
    return NoAnswer(url, "deadline", f"not complete after {TOTAL_SECONDS:g} s")


def _cause(error: Exception, failure: FetchFailed) -> Cause:
    if failure.trouble in ("deadline", "too_large", "encoding"):
        return failure.trouble
    behind = list(_chain(error))
    return next((cause for kind, cause in CAUSES if any(isinstance(each, kind) for each in behind)), "request")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
