"""Verifier and AsyncVerifier: the only rooms that wait, lock and know the time."""

from .clock import Clock, SystemClock
from .driver import Outcome
from .drivers import AsyncVerifier, Verifier
from .fetching import CONNECT_SECONDS, TOTAL_SECONDS
from .flights import LONGEST_FLIGHT
from .watching import log_refusal

__all__ = [
    "CONNECT_SECONDS",
    "LONGEST_FLIGHT",
    "TOTAL_SECONDS",
    "AsyncVerifier",
    "Clock",
    "Outcome",
    "SystemClock",
    "Verifier",
    "log_refusal",
]
