"""Which store a setting names."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from ..core.errors import SettingsError
from .memory import MemoryStore
from .store import Store

MEMORY, SQLITE, REDIS = ("memory",), ("sqlite",), ("redis", "rediss", "unix")


def open_store(url: str | None, *, identifier: str | Sequence[str], environ: Mapping[str, str] | None = None) -> Store:
    """The store of a URL: `memory://`, `sqlite:///path`, or `redis://…` (`rediss://…`, `unix://…`).

    None: memory, or, where this is one of several processes by all that shows (`several_processes`), a file of this
    user on this host.
    identifier: of the API; APIs that share a store do not see each other's proofs and revocations.
    environ: `os.environ` unless given.

    Raises SettingsError for what could never work. That a store does not answer now is no such thing.
    """
    if url is None:
        if not several_processes(os.environ if environ is None else environ):
            return MemoryStore()
        from .host import open_host

        return open_host(identifier)
    scheme, mark, rest = url.partition("://")
    if mark and scheme in MEMORY and not rest:
        return MemoryStore()
    if mark and scheme in SQLITE:
        from .sqlite import open_sqlite

        return open_sqlite(url, identifier)
    if mark and scheme in REDIS:
        try:
            from .redis import RedisStore
        except ImportError:
            raise SettingsError("store", "Redis needs the package redis: install jwtgate[redis]") from None
        return RedisStore(url, identifier)
    # Without the URL: it may hold a password.
    raise SettingsError("store", "must be memory://, sqlite:///path or redis://host", scheme if mark else None)


def several_processes(environ: Mapping[str, str]) -> bool:
    """Do several serve this API, by what can be seen from one of them?

    `WEB_CONCURRENCY` is above 1; or this is a process of gunicorn, whose number of workers changes while it runs; or
    one that another Python process started with `multiprocessing`, as uvicorn starts its workers. Where none of this
    holds there may still be several: then the setting must say so.
    """
    announced = environ.get("WEB_CONCURRENCY", "")
    if (announced.isascii() and announced.isdigit() and int(announced) > 1) or "gunicorn.arbiter" in sys.modules:
        return True
    # Not imported here: where it is not, or only by half, nobody has used it.
    parent_process = getattr(sys.modules.get("multiprocessing.process"), "parent_process", None)
    return parent_process is not None and parent_process() is not None
