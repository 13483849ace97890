"""Commands that stay until they are told to stop, and log meanwhile."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

STOP: Final = (signal.SIGINT, signal.SIGTERM)


def stay(announce: Callable[[], None]) -> None:
    """Announce that we are here, and return when told to stop."""
    # Also where the shell has switched SIGINT off, as it does for a command in the background of a script.
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOP}
    try:
        announce()
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        return
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def log_on_stderr(shape: str = "%(name)s: %(message)s") -> Iterator[None]:
    """What the gates and the tenant say of each request, as an application's own logging would show it.

    shape: of a line, in logging's own language; its time is that of the clock on the wall.
    """
    log = logging.getLogger("jwtgate")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(shape, datefmt="%H:%M:%S"))
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
