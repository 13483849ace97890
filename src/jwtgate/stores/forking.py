"""What a store does when its process forks."""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from contextlib import suppress


class Forking(ABC):
    """Is told of every fork, from the end of its own making on: one that failed could not do what it is told."""

    def __init__(self) -> None:
        _TOLD.add(self)

    @abstractmethod
    def forks(self) -> None:
        """In the parent, before: close what must not be open in two processes."""

    @abstractmethod
    def forked(self) -> None:
        """In the child: the locks and connections that there are belong to the parent."""

    def stays(self) -> None:  # noqa: B027 - not everybody holds something up
        """In the parent, after: what was held up may go on."""


_TOLD: weakref.WeakSet[Forking] = weakref.WeakSet()


def _before() -> None:
    for each in list(_TOLD):
        each.forks()


def _after() -> None:
    for each in list(_TOLD):
        each.forked()


def _go_on() -> None:
    for each in list(_TOLD):
        each.stays()


with suppress(AttributeError):  # where there is no fork, there is nothing to do about it
    os.register_at_fork(before=_before, after_in_child=_after, after_in_parent=_go_on)
