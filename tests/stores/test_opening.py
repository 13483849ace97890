"""Which store a setting names, and what could never be one."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from jwtgate import SettingsError, StoreUnavailable
from jwtgate.stores import MemoryStore, open_store
from jwtgate.stores.sqlite import SqliteStore
from tests.making import API, NOW
from tests.stores.servers import proof

redis_installed = pytest.importorskip("redis", reason="needs the Python package redis: pip install 'jwtgate[redis]'")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test alone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def refused(url: str) -> SettingsError:
    with pytest.raises(SettingsError) as error:
        open_store(url, identifier=API)
    assert error.value.setting == "store"
    return error.value


@pytest.mark.parametrize("announced", [{}, *({"WEB_CONCURRENCY": text} for text in ("", "1", "0", "two", "-3", "²"))])
def test_one_worker_remembers_in_its_own_memory(announced: dict[str, str]) -> None:
    assert isinstance(open_store(None, identifier=API, environ=announced), MemoryStore)
    assert isinstance(open_store("memory://", identifier=API, environ={"WEB_CONCURRENCY": "4"}), MemoryStore)


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://:pw@h:1/2?socket_timeout=0.2", "redis://h?timeout=300", "rediss://h", "unix:///run/r.sock"],
)
def test_redis_is_known_by_its_scheme_and_not_asked(url: str) -> None:
    assert type(open_store(url, identifier=API)).__name__ == "RedisStore"


def test_sqlite_is_known_by_its_scheme(tmp_path: Path) -> None:
    store = open_store(f"sqlite://{tmp_path}/with%20space.db", identifier=API)
    assert isinstance(store, SqliteStore)
    assert store.path == f"{tmp_path}/with space.db"
    assert list(tmp_path.iterdir()) == []  # nothing is made before it is used


def test_four_slashes_as_others_write_it_are_the_same_path(tmp_path: Path) -> None:
    store: Any = open_store(f"sqlite:///{tmp_path}/store.db", identifier=API)
    assert store.path == f"{tmp_path}/store.db"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "memory:",
        "memory://x",
        "MEMORY://",
        "postgres://host",
        "sqlite",
        "sqlite://",
        "sqlite:///",
        "sqlite:store.db",
        "sqlite://store.db",
        "sqlite://host/{folder}/store.db",
        "sqlite://{folder}",
        "sqlite://{folder}/none/store.db",
        "sqlite://{folder}/store.db?mode=ro",
        "sqlite://{folder}/a%00b",
        "sqlite:///:memory:/x",
        "redis:",
        "redis://",
        "redis:///0",
        "redis://h:port",
        "redis://h:99999",
        "redis://[::1",
        "redis://h?db=one",
        "redis://h?unknown=1",
        "redis://h?decode_responses=True",
        "redis://h?ssl_cert_reqs=none",
        "redis://h?max_connections=0",
        "redis://h?max_connections=+00",
        "redis://h?max_connections=-0&max_connections=1",
        "redis://h?timeout=-1",
        "redis://h?timeout=nan",
        "redis://h?socket_timeout=0",
        "redis://h?socket_timeout=inf",
        "redis://h?socket_timeout=300.5",
        "unix:///run/r.sock?socket_connect_timeout=-1",
        "rediss://h?ssl_cert_reqs=perhaps",
        "unix://",
    ],
)
def test_what_could_never_work_is_refused_at_start_up(url: str, tmp_path: Path) -> None:
    refused(url.format(folder=tmp_path))


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:secret@h:port",
        "redis://:secret@",
        "other://u:secret@h",
        "redis://h?password=secret&unknown=1",
        "secret",
    ],
)
def test_a_password_is_in_no_error(url: str) -> None:
    error = refused(url)
    assert "secret" not in f"{error} {error!r} {error.actual} {error.__cause__}"


# ---------------------------------------------------------------------------------- several workers, and nothing is set


def default(identifier: Any = API) -> SqliteStore:
    store = open_store(None, identifier=identifier, environ={"WEB_CONCURRENCY": "4"})
    assert isinstance(store, SqliteStore)
    return store


def test_several_workers_share_a_file_of_this_user_and_this_api(temporary: Path) -> None:
    one, other = default(), default()
    assert (one.remember(proof(), NOW), other.remember(proof(), NOW)) == ("new", "seen")
    assert one.path == other.path == default([API]).path != default("https://other.test/").path
    folder = Path(one.path).parent
    assert folder.parent == temporary
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert oct(Path(one.path).stat().st_mode & 0o777) == "0o600"
    one.close()
    other.close()


def test_a_folder_that_was_cleaned_away_is_made_again(temporary: Path) -> None:
    one, other = default(), default()
    assert one.remember(proof(), NOW) == "new"
    shutil.rmtree(Path(one.path).parent)
    assert [store.remember(proof("2"), NOW) for store in (one, other)] == ["new", "seen"]
    assert oct(Path(one.path).parent.stat().st_mode & 0o777) == "0o700"
    one.close()
    other.close()


def test_a_folder_that_others_may_have_made_meanwhile_is_not_used(temporary: Path) -> None:
    store = default()
    assert store.remember(proof(), NOW) == "new"
    folder = Path(store.path).parent
    shutil.rmtree(folder)
    spoil_by_mode(folder)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.remember(proof("2"), NOW)
    assert list(folder.iterdir()) == []
    folder.chmod(0o700)
    assert store.remember(proof("2"), NOW) == "new"  # nor was it used up
    store.close()


def test_where_nothing_can_be_written_the_setting_is_refused(temporary: Path) -> None:
    resource: Any = pytest.importorskip("resource", reason="needs a system with limits for a process")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # What limits a process's files to nothing looks to it like folders without room.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(SettingsError) as error:
            default()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.setting == "store"
    assert list(temporary.iterdir()) == []


def test_a_process_of_gunicorn_is_one_of_several(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gunicorn.arbiter", ModuleType("gunicorn.arbiter"))
    assert isinstance(open_store(None, identifier=API, environ={}), SqliteStore)
    assert isinstance(open_store("memory://", identifier=API, environ={}), MemoryStore)


def kind_of_default(said: Any) -> None:
    said.put(type(open_store(None, identifier=API, environ={})).__name__)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_that_another_one_started_is_one_of_several(temporary: Path, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    said = context.SimpleQueue()
    process = context.Process(target=kind_of_default, args=(said,))
    process.start()
    process.join(60)
    assert said.get() == "HostStore"


def test_where_nobody_uses_multiprocessing_nobody_imports_it() -> None:
    command = (
        "import sys; from jwtgate.stores import open_store; store = open_store(None, identifier='urn:a', environ={});"
        "print(type(store).__name__, 'multiprocessing' in sys.modules)"
    )
    # Where coverage is counted in children too, it imports much there.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    told = subprocess.check_output([sys.executable, "-c", command], env=environ, text=True)
    assert told == "MemoryStore False\n"


def test_the_environment_of_the_process_is_asked(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    assert isinstance(open_store(None, identifier=API), SqliteStore)


def spoil_by_link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(0o700)
    folder.symlink_to(folder.parent / "elsewhere")


def spoil_by_mode(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o770)


@pytest.mark.parametrize("spoil", [spoil_by_link, spoil_by_mode, Path.touch], ids=lambda spoil: spoil.__name__)
def test_a_folder_that_others_may_have_made_is_refused(temporary: Path, spoil: Any) -> None:
    spoil(temporary / f"jwtgate-{os.geteuid()}")
    with pytest.raises(SettingsError) as error:
        default()
    assert error.value.setting == "store"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_refused(temporary: Path) -> None:
    folder = temporary / f"jwtgate-{os.geteuid()}"
    folder.mkdir(0o700)
    os.chown(folder, 65_534, 65_534)
    with pytest.raises(SettingsError):
        default()


# ------------------------------------------------------------------------------------------------- without the library


def test_without_the_library_redis_is_refused_and_the_rest_works() -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from jwtgate import SettingsError\n"
        "from jwtgate.stores import open_store\n"
        "open_store('memory://', identifier='a')\n"
        "try: open_store('redis://:secret@h', identifier='a')\n"
        "except SettingsError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "jwtgate[redis]" in done.stdout
    assert "secret" not in done.stdout
