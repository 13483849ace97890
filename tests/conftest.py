"""What tests over real sockets share."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import hypothesis  # noqa: F401 - now: when it is imported it looks for who holds what, which `gc.freeze` hides
import pytest

from tests.loopback import PATIENCE, Clock, Origin


def pytest_collection_finish() -> None:
    """What is there for the whole run is looked through once, and not at each garbage collection: those of the tests
    here, and the interpreter's own, would take a third of all the time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def origin() -> Iterator[Origin]:
    before = set(threading.enumerate())
    origin = Origin()
    try:
        yield origin
    finally:
        origin.close()
    gc.collect()  # an unclosed socket would warn now, and a warning is an error
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
    assert set(threading.enumerate()) <= before


@pytest.fixture
def clock() -> Clock:
    return Clock()
