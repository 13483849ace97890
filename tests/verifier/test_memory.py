"""A verifier and its store: which one it is, what becomes of its trouble, what may be revoked, and its end."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import subprocess
import sys
from collections.abc import Awaitable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from jwtgate import (
    AccessToken,
    ApiSettings,
    AuthError,
    Issuer,
    JwtGateError,
    Request,
    SettingsError,
    StoreUnavailable,
)
from jwtgate.core.effects import Memory, RememberProof
from jwtgate.core.errors import ProofReplayed, RevokedToken, TooManyProofs
from jwtgate.core.revocations import Revocation
from jwtgate.core.values import MAX_LEEWAY
from jwtgate.stores import MemoryStore
from jwtgate.stores.sqlite import SqliteStore
from jwtgate.verifier.driver import LONGEST_LIFE
from tests import proving
from tests.loopback import Drive, both
from tests.making import ABSENT, API, ISSUER, NOW, Issuing

ISSUING = Issuing()
OTHER = Issuing(url="https://other.test/")
SETTINGS = proving.settings_for(dpop_nonce_key=None)


def issuer(issuing: Issuing = ISSUING) -> Issuer:
    return Issuer(issuing.url, jwks=ISSUING.jwks(ISSUING.key().jwk()))


def asked() -> Request:
    """With a good proof of its own."""
    return Request("GET", f"{proving.BASE}/", list(proving.headers("/", nonce=None).items()))


def outcome(drive: Drive, verifier: Any, request: Request) -> str:
    found = drive.outcome(verifier, request)
    return "accepted" if isinstance(found, AccessToken) else type(found).__name__


def revoke(verifier: Any, *token: Any, **named: Any) -> None:
    told: Awaitable[None] | None = verifier.revoke(*token, **named)
    if told is not None:
        asyncio.run(_wait(told))


async def _wait(told: Awaitable[None]) -> None:
    await told


class Owned(MemoryStore):
    """A store of a caller's own, which says or raises what a test tells it."""

    def __init__(self, answer: Memory | Exception | None = None) -> None:
        super().__init__()
        self.answer = answer
        self.closed = 0
        self.revoked: list[Revocation] = []

    def remember(self, proof: RememberProof, now: float) -> Memory:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or super().remember(proof, now)

    async def remember_async(self, proof: RememberProof, now: float) -> Memory:
        return self.remember(proof, now)

    def revoke(self, revocation: Revocation, now: float) -> None:
        if isinstance(self.answer, Exception):
            raise self.answer
        self.revoked.append(revocation)

    def close(self) -> None:
        self.closed += 1


# ------------------------------------------------------------------------------------------------------- which store


@both
def test_the_store_is_a_callers_own_or_a_url_or_that_of_the_settings(drive: Drive, tmp_path: Path) -> None:
    files = [tmp_path / "given.sqlite3", tmp_path / "set.sqlite3"]
    settings = proving.settings_for(store=f"sqlite://{files[1]}", dpop_nonce_key=None)
    own = SqliteStore(str(tmp_path / "own.sqlite3"), API)
    for store, used in ((own, tmp_path / "own.sqlite3"), (f"sqlite://{files[0]}", files[0]), (None, files[1])):
        verifier = drive.make(settings, clock=proving.Clock(), store=store)
        assert outcome(drive, verifier, asked()) == "accepted"
        assert used.exists()
        drive.close(verifier)
    assert len(list(tmp_path.glob("*.sqlite3"))) == 3
    own.close()


@both
@pytest.mark.parametrize(
    "store",
    [
        b"memory://",
        7,
        {},
        MemoryStore,
        Path("a.sqlite3"),
        "",
        "memory",
        "file:///a",
        "postgres://u:secret@h/",
        "sqlite:",
    ],
    ids=repr,
)
def test_what_is_no_store_shows_at_the_start(drive: Drive, store: Any) -> None:
    with pytest.raises(SettingsError) as error:
        drive.make(SETTINGS, store=store)
    assert error.value.setting == "store"
    assert "secret" not in str(error.value)


@both
def test_one_store_is_shared_by_the_verifiers_that_are_given_it(drive: Drive) -> None:
    store, request = MemoryStore(), asked()
    first, second, third = (drive.make(SETTINGS, clock=proving.Clock(), store=each) for each in (store, store, None))
    found = [outcome(drive, verifier, request) for verifier in (first, second, third)]
    assert found == ["accepted", "ProofReplayed", "accepted"]


@both
def test_several_workers_need_a_file_only_where_there_are_proofs(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for possession in (None, "mtls"):
        settings = ApiSettings(identifier=API, issuers=[issuer()], proof_of_possession=possession)
        verifier = drive.make(settings, clock=proving.Clock())
        assert drive.verify(verifier, ISSUING.token()).subject
        drive.close(verifier)
    assert list(tmp_path.iterdir()) == []
    verifier = drive.make(SETTINGS, clock=proving.Clock())
    assert outcome(drive, verifier, asked()) == "accepted"
    drive.close(verifier)
    assert [path.suffix for path in tmp_path.glob("*/*.sqlite3")] == [".sqlite3"]


# ----------------------------------------------------------------------------------------------------- what it answers


@both
@pytest.mark.parametrize(
    ("answer", "event"),
    [("new", "accepted"), ("seen", ProofReplayed.__name__), ("full", TooManyProofs.__name__)],
)
def test_the_store_decides_whether_a_proof_is_new(drive: Drive, answer: Memory, event: str) -> None:
    verifier = drive.make(SETTINGS, clock=proving.Clock(), store=Owned(answer))
    assert outcome(drive, verifier, asked()) == event


@both
def test_a_store_that_does_not_answer_is_503_and_says_when_to_come_again(
    drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    down = StoreUnavailable("down for a while", retry_after=6.2)
    verifier = drive.make(SETTINGS, clock=proving.Clock(), store=Owned(down))
    with pytest.raises(StoreUnavailable) as error:
        drive.verify_request(verifier, asked())
    assert (error.value.status, dict(error.value.headers)["Retry-After"]) == (503, "7")
    assert b"down" not in error.value.body
    assert "WWW-Authenticate" not in dict(error.value.headers)
    assert [record.levelno for record in caplog.records if record.levelno > logging.INFO] == []
    # What is not bound asks it nothing.
    assert drive.verify(verifier, ISSUING.token()).subject


@both
@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("secret"),
        OSError(28, "secret"),
        TimeoutError("secret"),
        ValueError("secret"),
        SettingsError("secret", "secret"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_store_that_breaks_its_promise_is_503_too_and_in_the_log(
    drive: Drive, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = drive.make(SETTINGS, clock=proving.Clock(), store=Owned(fault))
    with pytest.raises(StoreUnavailable) as error:
        drive.verify_request(verifier, asked())
    assert (error.value.status, "secret" in str(error.value)) == (503, False)
    assert type(fault).__name__ in str(error.value)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (vars(record)["event"], record.exc_info is not None) == ("store.failed", True)


@both
def test_a_proof_that_was_not_remembered_is_good_once_the_store_answers(drive: Drive) -> None:
    store, request = Owned(StoreUnavailable("down")), asked()
    verifier = drive.make(SETTINGS, clock=proving.Clock(), store=store)
    assert outcome(drive, verifier, request) == "StoreUnavailable"
    store.answer = None
    assert [outcome(drive, verifier, request) for _ in range(2)] == ["accepted", "ProofReplayed"]


# ------------------------------------------------------------------------------------------------------ what is revoked


AWARE = datetime.fromtimestamp(NOW - 10, UTC)
FORMS: dict[str, tuple[dict[str, Any], Revocation]] = {
    "one token": ({"jti": "1"}, Revocation(ISSUER, jti="1", expires=NOW + LONGEST_LIFE)),
    "one token, until": ({"jti": "1", "expires": NOW + 60}, Revocation(ISSUER, jti="1", expires=NOW + 60)),
    "a subject": (
        {"subject": "u"},
        Revocation(ISSUER, subject="u", not_before=NOW, expires=NOW + LONGEST_LIFE),
    ),
    "a subject, before": (
        {"subject": "u", "not_before": int(NOW) - 10, "issuer": ISSUER},
        Revocation(ISSUER, subject="u", not_before=NOW - 10, expires=NOW + LONGEST_LIFE),
    ),
    "dates": (
        {"subject": "u", "not_before": AWARE, "expires": AWARE + timedelta(minutes=1)},
        Revocation(ISSUER, subject="u", not_before=NOW - 10, expires=NOW + 50),
    ),
    "dates elsewhere": (
        {"subject": "u", "not_before": AWARE.astimezone(timezone(timedelta(hours=5.5)))},
        Revocation(ISSUER, subject="u", not_before=NOW - 10, expires=NOW + LONGEST_LIFE),
    ),
}


@both
@pytest.mark.parametrize(("named", "expected"), FORMS.values(), ids=FORMS)
def test_what_is_not_said_is_worked_out(drive: Drive, named: dict[str, Any], expected: Revocation) -> None:
    store = Owned()
    revoke(drive.make(ApiSettings(identifier=API, issuers=[issuer()]), clock=proving.Clock(), store=store), **named)
    assert store.revoked == [expected]


@both
def test_no_revocation_is_kept_longer_than_tokens_live(drive: Drive) -> None:
    store = Owned()
    settings = ApiSettings(identifier=API, issuers=[issuer()], token_lifetime=600)
    revoke(drive.make(settings, clock=proving.Clock(), store=store), jti="1")
    assert store.revoked[0].kept_until == NOW + 600 + MAX_LEEWAY


@both
def test_a_token_is_revoked_by_its_name_until_it_expires(drive: Drive) -> None:
    store = Owned()
    verifier = drive.make(
        ApiSettings(identifier=API, issuers=[issuer(), issuer(OTHER)]), clock=proving.Clock(), store=store
    )
    first, second = (OTHER.rfc9068_token(jti=jti) for jti in "12")
    token = drive.verify(verifier, first)
    revoke(verifier, token)
    assert store.revoked == [Revocation(OTHER.url, jti="1", expires=token.expires_at.timestamp())]
    for _ in range(2):
        with pytest.raises(RevokedToken) as error:
            drive.verify(verifier, first)
        assert (error.value.status, error.value.by, error.value.value) == (401, "jti", "1")
    assert drive.verify(verifier, second).subject


@both
def test_all_that_a_subject_had_is_revoked_and_not_what_it_gets(drive: Drive) -> None:
    verifier = drive.make(ApiSettings(identifier=API, issuers=[issuer(), issuer(OTHER)]), clock=proving.Clock())
    old, new = (ISSUING.token(sub="u", iat=int(NOW) + late) for late in (-1, 0))
    other, elsewhere = ISSUING.token(sub="v", iat=int(NOW) - 1), OTHER.token(sub="u", iat=int(NOW) - 1)
    revoke(verifier, issuer=ISSUER, subject="u")
    with pytest.raises(RevokedToken) as error:
        drive.verify(verifier, old)
    assert (error.value.by, error.value.value) == ("sub", "u")
    assert [drive.verify(verifier, token).subject for token in (new, other, elsewhere)] == ["u", "v", "u"]


WRONG: dict[str, dict[str, Any]] = {
    "nothing": {},
    "an issuer alone": {"issuer": ISSUER},
    "a time alone": {"not_before": NOW},
    "both": {"jti": "1", "subject": "u"},
    "a token by its age": {"jti": "1", "not_before": NOW},
    "no text": {"jti": 1},
    "empty text": {"jti": ""},
    "no subject": {"subject": ""},
    "half a character": {"subject": "\ud800"},
    "another issuer": {"issuer": "https://nobody.test/", "jti": "1"},
    "an issuer in other letters": {"issuer": ISSUER.rstrip("/"), "jti": "1"},
    "an issuer that is no text": {"issuer": 7, "jti": "1"},
    "a date that is not aware": {"jti": "1", "expires": datetime(2030, 1, 1)},  # noqa: DTZ001
    "no date": {"subject": "u", "not_before": date(2030, 1, 1)},
    "a date in text": {"jti": "1", "expires": "2030-01-01T00:00:00Z"},
    "the end of time": {"jti": "1", "expires": datetime.max.replace(tzinfo=UTC)},
    "NaN": {"jti": "1", "expires": float("nan")},
    "infinity": {"jti": "1", "expires": float("inf")},
    "before all time": {"jti": "1", "expires": -1},
    "a bool": {"jti": "1", "expires": True},
}


@both
@pytest.mark.parametrize("named", WRONG.values(), ids=WRONG)
def test_a_mistake_revokes_nothing_and_is_told(drive: Drive, named: dict[str, Any]) -> None:
    store = Owned()
    verifier = drive.make(ApiSettings(identifier=API, issuers=[issuer()]), clock=proving.Clock(), store=store)
    with pytest.raises(SettingsError) as error:
        revoke(verifier, **named)
    assert (error.value.setting, store.revoked) == ("revocation", [])


@both
@pytest.mark.parametrize(
    "token", [ISSUING.token(jti="1"), b"eyJ", 7, {"jti": "1"}], ids=["text", "bytes", "int", "claims"]
)
def test_a_token_that_was_not_verified_is_not_revoked(drive: Drive, token: Any) -> None:
    verifier = drive.make(ApiSettings(identifier=API, issuers=[issuer()]), clock=proving.Clock())
    with pytest.raises(SettingsError) as error:
        revoke(verifier, token)
    assert error.value.setting == "revocation"
    assert ISSUING.token(jti="1")[:20] not in str(error.value)


@both
def test_a_token_says_everything_itself_or_cannot_be_revoked(drive: Drive) -> None:
    verifier = drive.make(ApiSettings(identifier=API, issuers=[issuer()]), clock=proving.Clock())
    nameless, named = (drive.verify(verifier, ISSUING.token(jti=jti)) for jti in (ABSENT, "1"))
    stranger = drive.verify(
        drive.make(ApiSettings(identifier=API, issuers=[issuer(OTHER)]), clock=proving.Clock()), OTHER.token(jti="1")
    )
    for token, more in ((nameless, {}), (named, {"jti": "2"}), (named, {"expires": NOW}), (stranger, {})):
        with pytest.raises(SettingsError):
            revoke(verifier, token, **more)
    revoke(verifier, named)


@both
def test_among_several_issuers_one_must_be_named(drive: Drive) -> None:
    settings = [
        ApiSettings(identifier=API, issuers=[issuer(), issuer(OTHER)]),
        ApiSettings(identifier=API, resolver=lambda stated, request: issuer(OTHER)),
    ]
    for each in settings:
        verifier = drive.make(each, clock=proving.Clock())
        with pytest.raises(SettingsError):
            revoke(verifier, jti="1")
        revoke(verifier, issuer=OTHER.url, jti="1")
        with pytest.raises(RevokedToken):
            drive.verify(verifier, OTHER.token(jti="1"))


@both
def test_what_the_store_does_not_take_counts_in_this_process_and_is_told(drive: Drive) -> None:
    verifier = drive.make(SETTINGS, clock=proving.Clock(), store=Owned(StoreUnavailable("down")))
    with pytest.raises(StoreUnavailable):
        revoke(verifier, jti="1")
    with pytest.raises(RevokedToken):
        drive.verify(verifier, ISSUING.token(jti="1"))


# -------------------------------------------------------------------------------------------------------------- the end


@both
def test_a_store_of_a_callers_own_stays_open_and_one_of_ours_is_closed(drive: Drive, tmp_path: Path) -> None:
    own = Owned()
    drive.close(drive.make(SETTINGS, store=own))
    assert own.closed == 0
    verifier = drive.make(SETTINGS, clock=proving.Clock(), store=f"sqlite://{tmp_path}/store.sqlite3")
    assert outcome(drive, verifier, asked()) == "accepted"
    assert (tmp_path / "store.sqlite3-wal").exists()
    drive.close(verifier)
    # SQLite takes its log away when the last connection to the file is closed.
    assert not (tmp_path / "store.sqlite3-wal").exists()


@both
def test_a_verifier_that_is_opened_again_remembers_what_it_did(drive: Drive, tmp_path: Path) -> None:
    verifier = drive.make(SETTINGS, clock=proving.Clock(), store=f"sqlite://{tmp_path}/store.sqlite3")
    once = asked()

    def lives() -> list[str]:
        if hasattr(verifier, "__enter__"):
            with verifier:
                return [outcome(drive, verifier, request) for request in (once, asked())]

        async def main() -> list[str]:
            async with verifier:
                found = [await verifier.outcome(request) for request in (once, asked())]
            return ["accepted" if isinstance(one, AccessToken) else type(one).__name__ for one in found]

        return asyncio.run(main())

    assert lives() == ["accepted", "accepted"]
    revoke(verifier, jti="1")  # while it is closed
    for _ in range(2):
        assert lives() == ["ProofReplayed", "accepted"]
    with pytest.raises(RevokedToken):
        drive.verify(verifier, ISSUING.token(jti="1"))
    drive.close(verifier)


FORKS = """
import asyncio, json, os, pickle, sys, time, warnings
from jwtgate import AccessToken, ApiSettings, AsyncVerifier, Issuer, Verifier
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: here it is what is looked at
kind, settings, first, second, third, revoked = pickle.loads(sys.stdin.buffer.read())

class Clock:
    def wall(self): return {now}
    def monotonic(self): return time.monotonic()

verifier = (Verifier if kind == "threads" else AsyncVerifier)(settings, clock=Clock())

def run(found):
    async def wait():
        return await found
    return found if kind == "threads" else asyncio.run(wait())

def outcome(request):
    found = run(verifier.outcome(request))
    return "accepted" if isinstance(found, AccessToken) else type(found).__name__

said = [outcome(first)]
while verifier._revoking._read_at < 0:  # the store is read for the first time
    time.sleep(0.01)
child = os.fork()
if child == 0:
    # What the parent's store has seen, it has seen here too; and the parent sees what is done here.
    mine = [outcome(first), outcome(second)]
    run(verifier.revoke(jti="1"))
    sys.exit(0 if mine == ["ProofReplayed", "accepted"] else 3)
_, status = os.waitpid(child, 0)
said += [os.waitstatus_to_exitcode(status), outcome(second), outcome(third)]
deadline = time.monotonic() + 20
while run(verifier.outcome(revoked)).__class__ is AccessToken and time.monotonic() < deadline:
    time.sleep(0.05)
said.append(outcome(revoked))
run(verifier.close())
print(json.dumps(said))
"""


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_a_fork_shares_what_is_remembered_in_a_file(kind: str, tmp_path: Path) -> None:
    settings = proving.settings_for(dpop_nonce_key=None, store=f"sqlite://{tmp_path}/s.sqlite3", revocation_delay=2)
    bearer = Request("GET", API, [("Authorization", f"Bearer {ISSUING.token(jti='1')}")])
    told = pickle.dumps((kind, settings, asked(), asked(), asked(), bearer))
    command = [sys.executable, "-c", FORKS.format(now=NOW)]
    done = subprocess.run(command, input=told, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.strip() == b'["accepted", 0, "ProofReplayed", "accepted", "RevokedToken"]'


# -------------------------------------------------------------------------------------------------------------- copies


def whole(error: JwtGateError) -> dict[str, Any]:
    return {"text": str(error), **vars(error)}


NONCED = proving.settings_for()
REFUSED: dict[str, tuple[ApiSettings, list[tuple[str, str]]]] = {
    "NonceRequired": (NONCED, list(proving.headers("/", nonce="old").items())),
    "InvalidProof": (NONCED, [*proving.headers("/other").items()]),
    "BindingRejected": (NONCED, [("Authorization", f"Bearer {proving.TOKEN}")]),
    "ProofBesideBearer": (NONCED, [("Authorization", f"Bearer {proving.BEARER}"), ("DPoP", "x")]),
    "CertificateRejected": (
        proving.settings_for(proof_of_possession="mtls", dpop_nonce_key=None),
        [("Authorization", f"Bearer {ISSUING.token(cnf={'x5t#S256': proving.HOLDER.x5t})}")],
    ),
}


def refusals() -> dict[str, AuthError]:
    found = {
        name: proving.verifier(settings).outcome(Request("GET", f"{proving.BASE}/", lines))
        for name, (settings, lines) in REFUSED.items()
    }
    for name, answer in {
        "ProofReplayed": "seen",
        "TooManyProofs": "full",
        "StoreUnavailable": StoreUnavailable("d"),
    }.items():
        found[name] = proving.verifier(SETTINGS, Owned(answer)).outcome(asked())  # type: ignore[arg-type]
    revoking = proving.verifier(SETTINGS)
    revoking.revoke(subject="app-1@clients")
    found["RevokedToken"] = revoking.outcome(asked())
    return {name: error for name, error in found.items() if isinstance(error, AuthError)}


@pytest.mark.parametrize("name", [*REFUSED, "ProofReplayed", "TooManyProofs", "StoreUnavailable", "RevokedToken"])
def test_a_refusal_outlives_a_process_with_all_that_it_knows(name: str) -> None:

    error = refusals()[name]
    assert type(error).__name__ == name
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert whole(again) == whole(error)
        assert (again.status, again.headers, again.body) == (error.status, error.headers, error.body)


@pytest.mark.parametrize(
    "token", [proving.TOKEN, ISSUING.token(cnf={"jkt": proving.HOLDER.jkt, "x5t#S256": proving.HOLDER.x5t})]
)
def test_a_token_outlives_a_process_with_what_its_sender_has_proved(token: str) -> None:

    settings = proving.settings_for(proof_of_possession=("dpop", "mtls"), permissions_in_token=True)
    lines = list(proving.headers("/", token).items())
    found = proving.verifier(settings).outcome(Request("GET", f"{proving.BASE}/", lines, proving.HOLDER.certificate))
    assert isinstance(found, AccessToken)
    assert (found.jkt, found.dpop_nonce) == (proving.HOLDER.jkt, proving.NONCE)
    for again in (pickle.loads(pickle.dumps(found)), copy.copy(found), copy.deepcopy(found)):
        assert (again.jkt, again.certificate_thumbprint, again.dpop_nonce) == (
            found.jkt,
            found.certificate_thumbprint,
            found.dpop_nonce,
        )
        assert (again.raw, again.claims, again.header, again.checked_at) == (
            found.raw,
            found.claims,
            found.header,
            found.checked_at,
        )
        assert again.allows("read:messages") == found.allows("read:messages") is False
