"""Keys that outlive a process: exported, in a file of their own, and in one that many processes share."""

from __future__ import annotations

import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jwtgate import ApiSettings, AuthError, Issuer, SettingsError, Verifier
from jwtgate.core.events import KeyEvent, KeysLoaded, KeysRestored, SnapshotTrouble
from jwtgate.core.key_state import COOL_DOWN, HARD_AGE, SOFT_AGE
from jwtgate.core.snapshot import Kept, read_snapshot, write_snapshot
from jwtgate.verifier.snapshots import load, save
from tests.loopback import DISCOVERY, JWKS, Clock, Drive, Origin, both, sends, threads_ended, trouble
from tests.making import API, NOW, Issuing


class Moved(Clock):
    """Another machine: its monotonic clock began at another time. since: seconds since the export."""

    def __init__(self, since: float = 0.0) -> None:
        self.at = 77.0
        self.since = since

    def wall(self) -> float:
        return NOW + self.since


def down(origin: Origin) -> None:
    origin.answers[DISCOVERY] = origin.answers[JWKS] = sends(b"", 503)


# ----------------------------------------------------------------------------------------------------- what is exported


@both
def test_exported_keys_start_a_verifier_whose_issuer_is_down(origin: Origin, clock: Clock, drive: Drive) -> None:
    first = drive.make(origin.settings(), clock=clock)
    drive.warm_up(first)
    snapshot = first.export_keys()
    down(origin)
    events: list[KeyEvent] = []
    second = drive.make(origin.settings(), clock=Moved(60), snapshot=snapshot, on_event=events.append)
    assert events == [KeysRestored(origin.issuing.url, (origin.issuing.key().kid,), 60.0)]
    (status,) = second.status().issuers
    assert (second.ready(), status.restored, status.age) == (True, True, 60.0)
    assert drive.verify(second, origin.issuing.token()).subject
    assert origin.asked[JWKS] == 1


@both
def test_exported_keys_age_on_wherever_they_are_taken(origin: Origin, clock: Clock, drive: Drive) -> None:
    first = drive.make(origin.settings(), clock=clock)
    drive.warm_up(first)
    snapshot = first.export_keys()
    new = Issuing(url=origin.issuing.url, number=2)
    origin.publish(new)
    second = drive.make(origin.settings(), clock=Moved(SOFT_AGE + 300), snapshot=snapshot)
    # They are old enough for the first request to wait: their key has been withdrawn.
    with pytest.raises(AuthError):
        drive.verify(second, origin.issuing.token())
    assert drive.verify(second, new.token()).subject
    assert not second.status().issuers[0].restored
    down(origin)
    third = drive.make(origin.settings(), clock=Moved(HARD_AGE), snapshot=snapshot)
    trouble(drive, third, origin.issuing.token())


@both
def test_exported_keys_may_be_all_that_a_host_without_a_network_has(
    origin: Origin, clock: Clock, drive: Drive, tmp_path: Path
) -> None:
    first = drive.make(origin.settings(), clock=clock)
    drive.warm_up(first)
    exported = first.export_keys()
    asked = dict(origin.asked)
    file = tmp_path / "keys.json"
    file.write_bytes(exported)
    url = origin.issuing.url
    for issuer in (Issuer(url, jwks=exported), Issuer(url, jwks=exported.decode()), Issuer(url, jwks_file=file)):
        verifier = drive.make(origin.settings(issuers=[issuer]), clock=clock)
        assert verifier.ready()
        assert drive.verify(verifier, origin.issuing.token()).subject
    assert origin.asked == asked


def test_keys_of_another_issuer_are_no_keys(origin: Origin) -> None:
    other = write_snapshot({"https://other.test/": Kept(origin.issuing.jwks(), NOW)})
    with pytest.raises(SettingsError):
        Issuer(origin.issuing.url, jwks=other)
    assert not Verifier(origin.settings(), snapshot=other).ready()


# -------------------------------------------------------------------------------------------------- a file of their own


@both
def test_a_file_of_keys_is_followed(origin: Origin, clock: Clock, drive: Drive, tmp_path: Path) -> None:
    file, issuing = tmp_path / "keys.json", origin.issuing
    new = Issuing(url=issuing.url, number=2)
    file.write_bytes(origin.key_set())
    verifier = drive.make(origin.settings(issuers=[Issuer(issuing.url, jwks_file=file)]), clock=clock)
    assert drive.verify(verifier, issuing.token()).subject
    file.write_bytes(origin.key_set(issuing, new))
    assert drive.verify(verifier, new.token()).subject  # for the sake of its kid
    file.write_bytes(origin.key_set(new))
    clock.at += SOFT_AGE
    drive.verify(verifier, new.token())
    threads_ended()
    clock.at += COOL_DOWN
    with pytest.raises(AuthError):
        drive.verify(verifier, issuing.token())
    file.unlink()
    clock.at += SOFT_AGE
    assert drive.verify(verifier, new.token()).subject
    threads_ended()
    assert verifier.status().issuers[0].trouble == "file"
    assert origin.asked == {}


@both
@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"keys": []}', b" " * 600_000], ids=repr)
def test_a_file_that_is_no_good_is_a_fault_of_the_settings(drive: Drive, tmp_path: Path, content: Any) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        drive.make(ApiSettings(identifier=API, issuers=[Issuer("https://issuer.test/", jwks_file=file)]))
    assert (refused.value.setting, refused.value.actual) == ("jwks_file", str(file))


@pytest.mark.parametrize("path", ["", "a\0b", b"keys.json", 7, [""]])
def test_a_file_is_named_by_its_path(path: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        Issuer("https://issuer.test/", jwks_file=path)
    assert refused.value.setting == "jwks_file"


@pytest.mark.parametrize(
    "more", [{"jwks": {"keys": []}}, {"jwks_uri": "https://k.test/"}, {"metadata_url": "https://m.test/"}], ids=repr
)
def test_keys_come_from_one_place(more: Any) -> None:
    with pytest.raises(SettingsError):
        Issuer("https://issuer.test/", jwks_file="keys.json", **more)


def test_a_shared_secret_needs_no_file() -> None:
    issuer = Issuer("https://issuer.test/", jwks_file="keys.json", signing_algorithms=["HS256"])
    with pytest.raises(SettingsError) as refused:
        ApiSettings(identifier=API, issuers=[issuer], signing_secret=b"0123456789abcdef0123456789abcdef")
    assert refused.value.setting == "jwks"


# ---------------------------------------------------------------------------------------- one that many processes share


@both
def test_what_one_process_has_learnt_the_next_one_knows(
    origin: Origin, clock: Clock, drive: Drive, tmp_path: Path
) -> None:
    file = tmp_path / "snapshot.json"
    first = drive.make(origin.settings(), clock=clock, snapshot=file)
    assert not first.ready()
    drive.verify(first, origin.issuing.token())
    threads_ended()
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    down(origin)
    second = drive.make(origin.settings(), clock=clock, snapshot=str(file))
    assert drive.verify(second, origin.issuing.token()).subject
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}
    # A load that brings nothing writes nothing.
    before = file.read_bytes()
    clock.at += SOFT_AGE
    drive.verify(second, origin.issuing.token())
    threads_ended()
    assert file.read_bytes() == before


@both
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_spoilt_snapshot_is_told_and_written_anew(
    origin: Origin, clock: Clock, drive: Drive, tmp_path: Path, content: bytes
) -> None:
    file, events = tmp_path / "snapshot.json", list[KeyEvent]()
    file.write_bytes(content)
    verifier = drive.make(origin.settings(), clock=clock, snapshot=file, on_event=events.append)
    assert [(type(event), getattr(event, "action", None)) for event in events] == [(SnapshotTrouble, "read")]
    assert drive.verify(verifier, origin.issuing.token()).subject
    threads_ended()
    assert read_snapshot(file.read_bytes()).keys() == {origin.issuing.url}


@both
def test_a_snapshot_that_cannot_be_written_harms_nobody(
    origin: Origin, clock: Clock, drive: Drive, tmp_path: Path
) -> None:
    events: list[KeyEvent] = []
    nowhere = tmp_path / "no-such-folder" / "snapshot.json"
    verifier = drive.make(origin.settings(), clock=clock, snapshot=nowhere, on_event=events.append)
    assert drive.verify(verifier, origin.issuing.token()).subject
    threads_ended()
    assert [type(event) for event in events] == [KeysLoaded, SnapshotTrouble]
    a_folder = tmp_path / "folder"
    a_folder.mkdir()
    drive.warm_up(drive.make(origin.settings(), clock=clock, snapshot=a_folder, on_event=events.append))
    threads_ended()
    assert [getattr(event, "action", None) for event in events] == [None, "write", "read", None, "write"]


@pytest.mark.parametrize("snapshot", [7, True, {}, bytearray(b"{}")], ids=repr)
def test_a_snapshot_is_bytes_or_a_path(snapshot: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        Verifier(ApiSettings(identifier=API, domain="tenant.eu.auth0.com"), snapshot=snapshot)
    assert refused.value.setting == "snapshot"


def test_any_number_of_writers_leave_a_whole_file(tmp_path: Path) -> None:
    file, stop, seen = tmp_path / "snapshot.json", threading.Event(), set[int]()
    jwks = Issuing().jwks()

    def write(worker: int) -> None:
        for n in range(25):
            save(file, {f"https://{worker}.test/": Kept(jwks, NOW + n)}, NOW + n)

    def read() -> None:
        while not stop.is_set():
            seen.add(len(load(file)))  # raises where it is not whole

    with ThreadPoolExecutor(9) as pool:
        reading = pool.submit(read)
        for writing in [pool.submit(write, worker) for worker in range(8)]:
            writing.result()
        stop.set()
        reading.result()
    assert os.listdir(tmp_path) == ["snapshot.json"]
    # Two that wrote at once may have lost one's news. With the next load it is there.
    for worker in range(8):
        save(file, {f"https://{worker}.test/": Kept(jwks, NOW + 24)}, NOW + 24)
    assert {kept.loaded_at for kept in load(file).values()} == {NOW + 24}
    assert len(load(file)) == 8


def test_older_news_does_not_replace_younger_and_news_from_the_future_is_not_believed(tmp_path: Path) -> None:
    file, url = tmp_path / "snapshot.json", "https://issuer.test/"
    save(file, {url: Kept({"keys": []}, NOW)}, NOW)
    save(file, {url: Kept({"keys": []}, NOW - 1)}, NOW)
    assert load(file)[url].loaded_at == NOW
    file.write_bytes(write_snapshot({url: Kept({"keys": []}, NOW + 10_000)}))
    save(file, {url: Kept({"keys": []}, NOW + 1)}, NOW)
    assert load(file)[url].loaded_at == NOW + 1


def test_a_snapshot_in_the_folder_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save("snapshot.json", {}, NOW)
    assert json.loads((tmp_path / "snapshot.json").read_bytes())["issuers"] == {}
