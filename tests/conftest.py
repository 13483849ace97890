"""What tests over real sockets share."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from tests.loopback import PATIENCE, Clock, Origin


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
