"""All that the core may ask of the outside world: a document, an issuer's keys, and the time.

The core yields one of these values; a driver performs it and sends the answer back in, or throws `FetchFailed`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .keys import IssuerKeys

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moment:
    """wall: seconds since the epoch, for claims; monotonic: seconds that never step back, for the age of keys."""

    wall: float
    monotonic: float


@dataclass(frozen=True, slots=True)
class Now:
    """What time is it? Answered with a `Moment`."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """A JSON document, please. Answered with its bytes, at most `limit` of them after decoding."""

    url: str
    limit: int


@dataclass(frozen=True, slots=True)
class LoadKeys:
    """Run `keys.load(…)`, or wait for the run that is under way: one for any number of askers. No answer.

    attempts: how many loads of these keys had ended when the question arose. Where more have ended since, another
    asker has had the answer already, and nothing is fetched. because_of_kid: an unknown kid is the only cause.
    urgent: the asker cannot go on without; else a run that is under way need not be waited for.
    """

    keys: IssuerKeys
    attempts: int
    because_of_kid: bool
    urgent: bool


Effect = Now | Fetch | LoadKeys
Flow = Generator[Effect, Any, T]


class FetchFailed(Exception):
    """A document could not be had: a driver throws it into the flow, and it never leaves the package.

    reason: our own words, of low cardinality, fit for a log line.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


NOW = Now()
