"""A snapshot of keys on a disk, which any number of processes of one host may share."""

from __future__ import annotations

import os
from contextlib import suppress

from ..core.snapshot import AHEAD, SNAPSHOT_BYTES, Kept, Snapshot, merged, read_snapshot, write_snapshot

Path = str | os.PathLike[str]


def load(source: bytes | Path) -> dict[str, Kept]:
    """The snapshot, empty where there is no such file yet. Raises ValueError, OSError."""
    if isinstance(source, bytes):
        return read_snapshot(source)
    try:
        with open(source, "rb") as file:
            return read_snapshot(file.read(SNAPSHOT_BYTES + 1))
    except FileNotFoundError:
        return {}


def save(path: Path, snapshot: Snapshot, now: float) -> None:
    """Put in what is younger than what is there. A reader sees the file before or after, never between.

    now: seconds since the epoch. Two writers at once may lose one's news, which it brings again with its next load.
    Raises OSError.
    """
    try:
        there = {url: kept for url, kept in load(path).items() if kept.loaded_at <= now + AHEAD}
    except (ValueError, OSError):
        there = {}  # it is no use to anybody as it is
    _replace(path, write_snapshot(merged([there, snapshot])))


def _replace(path: Path, octets: bytes) -> None:
    import tempfile

    # For its owner alone: whoever could change it could forge tokens.
    handle, temporary = tempfile.mkstemp(prefix=".jwtgate-", dir=os.path.dirname(os.fspath(path)) or ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(octets)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        raise
