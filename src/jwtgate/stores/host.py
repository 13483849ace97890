"""A store for the processes of one host of which nobody has said where it is: a file of this user's own."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence

from ..core.errors import SettingsError, StoreUnavailable
from .sqlite import Connection, SqliteStore
from .store import namespace_of


class HostStore(SqliteStore):
    """A file in `private_folder`, which is looked at before the file is opened."""

    def _opened(self) -> Connection:
        # Whoever cleans up among temporary files may have taken the folder away, and anybody made another.
        try:
            private_folder()
        except SettingsError as error:
            raise StoreUnavailable(f"the file {self.path}: {error}") from None
        return super()._opened()


def open_host(identifier: str | Sequence[str]) -> HostStore:
    """The store of an API, by its identifier. Raises SettingsError where there can be no such folder."""
    return HostStore(os.path.join(private_folder(), f"{namespace_of(identifier).hex()}.sqlite3"), identifier)


def private_folder() -> str:
    """A folder for temporary files that nobody but this user can look into, made if need be. Raises SettingsError."""
    user = getattr(os, "geteuid", int)()  # Windows has none, and a folder for each user
    try:
        folder = os.path.join(tempfile.gettempdir(), f"jwtgate-{user}")
    except OSError as error:  # nothing can be written anywhere
        raise SettingsError("store", f"several workers need a store: {error.strerror}") from None
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        found = os.lstat(folder)
    except OSError as error:
        raise SettingsError("store", f"several workers need a store: {error.strerror}", folder) from None
    # Anybody may make a folder of that name where all may write, or put a link there.
    opened = os.name == "posix" and found.st_mode & 0o077
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or opened:
        raise SettingsError("store", "the folder of this user's stores must be a folder, and its owner's alone", folder)
    return folder
