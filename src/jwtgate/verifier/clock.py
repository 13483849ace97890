"""What time it is, unless somebody says otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """wall: seconds since the epoch; monotonic: seconds that never step back."""

    def wall(self) -> float: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The time of this machine."""

    wall: Callable[[], float] = staticmethod(time.time)
    monotonic: Callable[[], float] = staticmethod(time.monotonic)
