"""When an issuer is asked for its keys, and which of them serve meanwhile: driven by numbers for a clock."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

from jwtgate import ApiSettings, AuthError, Issuer, KeysUnavailable, SettingsError
from jwtgate.core.compact import parse
from jwtgate.core.discovery import METADATA_BYTES
from jwtgate.core.effects import Document, Effect, FetchFailed, LoadKeys, Moment, Now, ReadFile, Settle
from jwtgate.core.errors import AmbiguousKey, HeaderRejected, UnknownKey, UntrustedIssuer
from jwtgate.core.flow import authenticate_token
from jwtgate.core.jwk import KeySet, SharedSecret
from jwtgate.core.key_state import (
    BACK_OFF,
    COOL_DOWN,
    GRACE,
    HARD_AGE,
    LATE,
    METADATA_AGE,
    NEVER,
    SOFT_AGE,
    Attempt,
    KeyState,
)
from jwtgate.core.keys import JWKS_BYTES, IssuerKeys, keys_of
from jwtgate.core.snapshot import Kept
from tests.making import ABSENT, API, ISSUER, NOW, SECRET, Issuing, drive, signing_key

ISSUING = Issuing()
START = 5_000.0  # on the monotonic clock
OLD, NEW, OTHER = (signing_key("RSA", number) for number in (1, 2, 3))
REFUSED = FetchFailed("the request failed: ConnectError")


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": [key if isinstance(key, dict) else key.jwk() for key in keys]}).encode()


class World:
    """One API, one issuer's documents, and a clock that a test turns by hand."""

    def __init__(self, **issuer: Any) -> None:
        self.settings = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, **issuer)])
        self.keys = keys_of(self.settings)
        self.at = 0.0  # seconds since the start
        self.fetched: list[str] = []
        self.documents: dict[str, bytes | FetchFailed] = {}
        self.publish(OLD)
        self.metadata()

    def publish(self, *keys: Any) -> None:
        self.serve(jwks(*keys))

    def serve(self, document: bytes | FetchFailed) -> None:
        self.documents[ISSUING.jwks_uri] = document

    def metadata(self, **changes: Any) -> None:
        self.documents[ISSUING.discovery_url] = json.dumps(ISSUING.metadata(**changes)).encode()

    def fail(self) -> None:
        self.serve(REFUSED)

    @property
    def loads(self) -> int:
        """How often the key set was asked for."""
        return self.fetched.count(ISSUING.jwks_uri)

    @property
    def state(self) -> KeyState:
        return self.keys[ISSUER].state

    def send(self, kid: Any = OLD.kid, key: Any = OLD, **header: Any) -> str:
        """What becomes of a token with this kid now: "ok", or the error's name."""
        token = Issuing(number=int(key.kid[-1])).token(header={"kid": kid, **header})
        moment = Moment(NOW, START + self.at)
        try:
            drive(authenticate_token(token, self.settings, self.keys), moment, self.documents, self.fetched)
        except AuthError as error:
            self.error = error
            return type(error).__name__
        return "ok"


# ------------------------------------------------------------------------------------------------------ the first load


def test_the_first_token_asks_for_the_metadata_and_the_keys_and_the_next_for_nothing() -> None:
    world = World()
    assert [world.send() for _ in range(5)] == ["ok"] * 5
    assert world.fetched == [ISSUING.discovery_url, ISSUING.jwks_uri]


def test_a_known_address_of_the_keys_needs_no_metadata() -> None:
    world = World(jwks_uri="https://keys.test/jwks?v=1")
    world.documents = {"https://keys.test/jwks?v=1": jwks(OLD)}
    assert world.send() == "ok"
    assert world.fetched == ["https://keys.test/jwks?v=1"]


def test_the_metadata_may_be_elsewhere() -> None:
    world = World(metadata_url="https://issuer.test/.well-known/oauth-authorization-server")
    world.documents["https://issuer.test/.well-known/oauth-authorization-server"] = json.dumps(
        ISSUING.metadata()
    ).encode()
    assert world.send() == "ok"
    assert ISSUING.discovery_url not in world.fetched


def test_given_keys_and_a_shared_secret_are_never_asked_for() -> None:
    given = World(jwks={"keys": [OLD.jwk()]})
    assert given.send() == "ok"
    assert given.send("other", NEW) == "UnknownKey"
    assert isinstance(given.keys[ISSUER].given, KeySet)

    settings = ApiSettings(
        identifier=API, issuers=[Issuer(ISSUER)], signing_algorithms=["HS256"], signing_secret=SECRET
    )
    keys = keys_of(settings)
    asked: list[str] = []
    assert drive(authenticate_token(ISSUING.token(algorithm="HS256"), settings, keys), fetched=asked).subject
    assert isinstance(keys[ISSUER].given, SharedSecret)
    assert given.fetched == asked == []


def test_a_strangers_token_asks_for_nothing() -> None:
    world = World()
    with pytest.raises(UntrustedIssuer):
        drive(
            authenticate_token(ISSUING.token(iss="https://other.test/"), world.settings, world.keys),
            documents=world.documents,
            fetched=world.fetched,
        )
    assert world.send(alg="ES256") == "HeaderRejected"
    assert world.send(jku="https://evil.test/", x5u="https://evil.test/", kid=OLD.kid) == "ok"
    assert not [url for url in world.fetched if "evil" in url]


def test_the_settings_algorithm_is_looked_at_before_any_fetch() -> None:
    world = World()
    assert world.send(alg="PS256") == "HeaderRejected"
    assert isinstance(world.error, HeaderRejected)
    assert (world.error.parameter, world.error.actual) == ("alg", "PS256")
    assert world.fetched == []


def test_the_documents_are_asked_for_with_a_limit() -> None:
    world = World()
    limits = []

    def step(effect: Effect) -> Any:
        if isinstance(effect, Now):
            return Moment(NOW, START)
        if isinstance(effect, Settle):
            return None
        limits.append((effect.url, effect.limit))  # type: ignore[union-attr]
        return Document(world.documents[effect.url])  # type: ignore[union-attr,arg-type]

    flow = world.keys[ISSUER].load(1, Moment(NOW, START))
    effect: Effect | None = next(flow)
    while effect is not None:
        try:
            effect = flow.send(step(effect))
        except StopIteration:
            effect = None
    assert limits == [(ISSUING.discovery_url, METADATA_BYTES), (ISSUING.jwks_uri, JWKS_BYTES)]
    assert METADATA_BYTES == JWKS_BYTES == 512 * 1024


# ------------------------------------------------------------------------------------------------------------- the ages


@pytest.mark.parametrize(("age", "loads"), [(0, 1), (SOFT_AGE - 1, 1), (SOFT_AGE, 2), (SOFT_AGE + 1, 2)])
def test_keys_are_asked_for_again_at_the_soft_age(age: float, loads: int) -> None:
    world = World()
    world.send()
    world.at = age
    assert [world.send(), world.send()] == ["ok", "ok"]
    assert world.loads == loads
    assert world.state.loaded_at == START + (age if loads == 2 else 0)


def test_a_known_key_does_not_wait_for_a_refresh() -> None:
    world = World()
    world.send()
    asked = parse(ISSUING.token(), 16_384)
    flow = world.keys[ISSUER].find(asked)
    assert next(flow) == Now()
    effect = flow.send(Moment(NOW, START + SOFT_AGE))
    assert effect == LoadKeys(world.keys[ISSUER], settled=1)
    # The driver does not perform it: somebody else does.
    with pytest.raises(StopIteration) as end:
        flow.send(None)
    assert end.value.value.kid == OLD.kid


@pytest.mark.parametrize(
    ("known", "kid", "cause"), [(False, OLD.kid, None), (False, "none-such", None), (True, "none-such", "none-such")]
)
def test_who_cannot_go_on_without_keys_says_so(known: bool, kid: str, cause: str | None) -> None:
    world = World()
    if known:
        world.send()
    flow = world.keys[ISSUER].find(parse(ISSUING.token(header={"kid": kid}), 16_384))
    next(flow)
    effect = flow.send(Moment(NOW, START))
    assert effect == LoadKeys(world.keys[ISSUER], int(known), kid=cause, urgent=True)


def test_keys_that_nobody_has_brought_in_time_are_unavailable() -> None:
    world = World()
    flow = world.keys[ISSUER].find(parse(ISSUING.token(), 16_384))
    next(flow)
    flow.send(Moment(NOW, START))
    with pytest.raises(KeysUnavailable) as error:
        flow.send(None)  # the wait ended, and the load did not
    assert error.value.issuer == ISSUER
    assert error.value.reason != KeysUnavailable(ISSUER, "").reason


@pytest.mark.parametrize(
    ("age", "answer"),
    [(SOFT_AGE, "ok"), (HARD_AGE - 1, "ok"), (HARD_AGE, "KeysUnavailable"), (2 * HARD_AGE, "KeysUnavailable")],
)
def test_the_last_good_keys_serve_up_to_the_hard_age(age: float, answer: str) -> None:
    world = World()
    world.send()
    world.fail()
    world.at = age
    assert world.send() == answer
    assert world.loads == 2


def test_keys_beyond_the_hard_age_serve_again_once_they_are_confirmed() -> None:
    world = World()
    world.send()
    world.at = 3 * HARD_AGE
    assert world.send() == "ok"
    assert world.loads == 2


def test_each_failed_refresh_does_not_make_the_keys_younger() -> None:
    world = World()
    world.send()
    world.fail()
    for hour in range(1, 24):
        world.at = hour * 3_600
        assert world.send() == "ok"
    world.at = HARD_AGE
    assert world.send() == "KeysUnavailable"
    assert world.state.loaded_at == START


# --------------------------------------------------------------------------------------------------------- the back-off


def test_the_back_off_doubles_up_to_its_end() -> None:
    world = World()
    world.fail()
    first, most = BACK_OFF
    world.send()
    for pause in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        loads = world.loads
        assert isinstance(world.error, KeysUnavailable)
        world.at += pause - 0.25
        assert world.send() == "KeysUnavailable"
        assert world.error.retry_after == pytest.approx(0.25)
        assert world.loads == loads
        world.at += 0.25
        assert world.send() == "KeysUnavailable"
        assert (world.error.retry_after, world.loads) == (min(most, 2 * pause * first), loads + 1)


def test_the_back_off_has_no_overflow() -> None:
    state = KeyState(failures=10**6).after(Attempt(ticket=1, began=START, ended=START), seed=0.0)
    assert (state.failures, state.waits(START)) == (10**6 + 1, BACK_OFF[1])
    assert state.waits(START + 10**9) == 0.0
    assert KeyState().waits(START) == 0.0


def test_failed_refreshes_back_off_too_and_the_keys_serve() -> None:
    world = World()
    world.send()
    world.fail()
    world.at = SOFT_AGE
    assert [world.send() for _ in range(9)] == ["ok"] * 9
    assert world.loads == 2
    world.at += BACK_OFF[0]
    assert [world.send() for _ in range(9)] == ["ok"] * 9
    assert world.loads == 3


def test_a_recovery_ends_the_back_off() -> None:
    world = World()
    world.fail()
    for _ in range(8):
        world.send()
        world.at += 60
    world.publish(OLD)
    assert world.send() == "ok"
    assert (world.state.failures, world.state.failure, world.state.waits(START + world.at)) == (0, "", 0.0)
    world.fail()
    world.at += SOFT_AGE
    world.send()
    assert world.state.waits(START + world.at) == BACK_OFF[0]


# --------------------------------------------------------------------------------------------------------- unknown kids


def test_fifty_unknown_kids_cost_one_fetch() -> None:
    world = World()
    world.send()
    assert {world.send(f"no-{n}") for n in range(50)} == {"UnknownKey"}
    assert world.loads == 2
    assert (world.error.kid, world.error.issuer) == ("no-49", ISSUER)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("later", "loads"), [(0, 2), (COOL_DOWN - 0.1, 2), (COOL_DOWN, 3), (10 * COOL_DOWN, 3)])
def test_the_cool_down_ends_after_its_seconds(later: float, loads: int) -> None:
    world = World()
    world.send()
    world.send("no-1")
    world.at = later
    assert world.send("no-2") == "UnknownKey"
    assert world.loads == loads


def test_the_first_load_starts_no_cool_down() -> None:
    world = World()
    assert world.send("no-1") == "UnknownKey"  # the first load was not caused by its kid
    assert (world.loads, world.state.missed_at) == (1, NEVER)
    world.publish(OLD, NEW)
    assert world.send(NEW.kid, NEW) == "ok"
    assert world.loads == 2


def test_a_background_refresh_starts_no_cool_down() -> None:
    world = World()
    world.send()
    world.at = SOFT_AGE
    world.send()
    world.publish(OLD, NEW)
    assert world.send(NEW.kid, NEW) == "ok"
    assert world.loads == 3


def test_a_background_refresh_does_not_end_a_cool_down() -> None:
    world = World()
    world.send()
    world.at = SOFT_AGE - 1
    world.send("no-1")
    assert world.loads == 2
    world.at = SOFT_AGE - 1 + COOL_DOWN - 1
    assert world.send("no-2") == "UnknownKey"
    assert world.loads == 2


def test_an_unknown_kid_whose_fetch_failed_starts_the_cool_down_too() -> None:
    world = World()
    world.send()
    world.fail()
    assert world.send("no-1") == "KeysUnavailable"
    assert world.loads == 2
    for later in (0.0, 5.0, COOL_DOWN - 0.1):
        world.at = later
        assert world.send("no-2") == "KeysUnavailable"
    assert world.loads == 2
    world.at = COOL_DOWN
    assert world.send("no-3") == "KeysUnavailable"
    assert world.loads == 3


def test_an_unknown_kid_is_the_clients_fault_only_when_we_could_look() -> None:
    world = World()
    world.send()
    world.fail()
    assert world.send("no-1") == "KeysUnavailable"
    assert world.error.status == 503
    world.publish(OLD)
    world.at = COOL_DOWN
    assert world.send("no-1") == "UnknownKey"
    assert world.error.status == 401


def test_a_failed_background_refresh_makes_an_unknown_kid_undecidable() -> None:
    world = World()
    world.send()
    world.send("no-1")
    world.fail()
    world.at = SOFT_AGE
    assert world.send() == "ok"
    assert world.send("no-2") == "KeysUnavailable"


def test_a_known_key_is_served_while_unknown_kids_fail() -> None:
    world = World()
    world.send()
    world.fail()
    for step in range(20):
        world.at = step * 7.0
        assert world.send(f"no-{step}") == "KeysUnavailable"
        assert world.send() == "ok"
    assert world.loads == 1 + 4  # the first, and in 133 s: at 0, 35, 70 and 105 s


def test_a_new_key_is_accepted_with_one_fetch() -> None:
    world = World()
    world.send()
    world.publish(OLD, NEW)
    assert [world.send(NEW.kid, NEW) for _ in range(3)] == ["ok"] * 3
    assert world.loads == 2


def test_who_brings_the_same_new_kid_while_it_is_looked_for_joins_that_load() -> None:
    world = World()
    world.send()
    world.publish(OLD, NEW)
    flows = [world.keys[ISSUER].find(parse(Issuing(number=2).token(), 16_384)) for _ in range(2)]
    effects = []
    for flow in flows:
        next(flow)
        effects.append(flow.send(Moment(NOW, START)))
        if len(effects) == 1:  # the first one's load begins, and its documents do not come yet
            load = world.keys[ISSUER].load(2, Moment(NOW, START), NEW.kid)
            next(load)
    assert effects[0] == effects[1] == LoadKeys(world.keys[ISSUER], 1, kid=NEW.kid, urgent=True)
    load.send(Document(world.documents[ISSUING.jwks_uri]))  # type: ignore[arg-type]
    settle = load.send(Moment(NOW, START + 1))
    assert isinstance(settle, Settle)
    settle.keys.settle(settle.attempt)
    for flow in flows:
        with pytest.raises(StopIteration) as end:
            flow.send(None)
        assert end.value.value.kid == NEW.kid
    assert world.send("no-1") == "UnknownKey"
    assert world.loads == 1  # the cool-down has begun with that load


def test_a_load_that_is_broken_off_starts_the_cool_down_too() -> None:
    world = World()
    world.send()
    load = world.keys[ISSUER].load(2, Moment(NOW, START), "no-1")
    next(load)
    load.close()
    world.keys[ISSUER].settle(Attempt(2, START, START, "no-1"))  # as a driver says of a load that it broke off
    assert world.send("no-1") == "KeysUnavailable"
    assert world.loads == 1


def test_unknown_kids_do_not_keep_stale_keys_from_being_refreshed() -> None:
    world = World()
    world.send()
    world.at = SOFT_AGE
    assert world.send("no-1") == "UnknownKey"
    world.at += 1
    assert world.send("no-2") == "UnknownKey"
    assert world.send() == "ok"
    assert world.loads == 2  # what the first of them caused is fresh enough


def test_a_token_without_a_kid_causes_no_fetch_of_its_own() -> None:
    world = World()
    assert world.send(ABSENT) == "ok"
    world.publish(OLD, NEW)
    assert [world.send(ABSENT), world.send(ABSENT, NEW)] == ["ok", "BadSignature"]
    assert world.loads == 1


@pytest.mark.parametrize("kid", ["rsa-1", "RSA-1 ", "\uff32SA-1", "RSA-\u0661", "ＲＳＡ-１"])
def test_a_kid_is_compared_exactly(kid: str) -> None:
    world = World()
    assert world.send(kid) == "UnknownKey"


# ------------------------------------------------------------------------------------------------ what may replace what


def test_a_withdrawn_key_is_dropped_with_its_set() -> None:
    world = World()
    world.publish(OLD, NEW)
    assert [world.send(), world.send(NEW.kid, NEW)] == ["ok", "ok"]
    world.publish(NEW)
    world.at = SOFT_AGE
    world.send(NEW.kid, NEW)
    assert [world.send(), world.send(NEW.kid, NEW)] == ["UnknownKey", "ok"]
    assert world.state.generation == world.loads == 3  # the last for the sake of the withdrawn kid


BAD_SETS = [
    b"",
    b"<html>",
    b"[]",
    b"null",
    b"{}",
    b'{"keys": {}}',
    b'{"keys": "x"}',
    b'{"keys": []}',
    b'{"keys": [1, null, "x"]}',
    b'{"keys": [], "keys": []}',
    b'{"keys": [' + b"{}," * 100 + b"{}]}",
    b"\xff\xfe",
    jwks(OLD)[:-2],
    jwks(OLD.jwk(use="enc")),
    jwks(OLD.jwk(alg="RS512")),
    jwks(OLD.jwk(key_ops=["sign"])),
    jwks({"kty": "oct", "k": "c2VjcmV0", "kid": "s"}),
    jwks(signing_key("P-256").jwk()),  # no key for RS256
    json.dumps({"keys": [OLD.jwk()], "pad": float("nan")}).encode(),
]


@pytest.mark.parametrize("document", BAD_SETS, ids=lambda document: repr(document[:30]))
def test_a_bad_document_never_replaces_a_good_set(document: bytes) -> None:
    world = World()
    world.send()
    good = world.state.keys
    world.serve(document)
    world.at = SOFT_AGE
    assert world.send() == "ok"
    assert (world.state.keys, world.state.failures, world.loads) == (good, 1, 2)
    assert world.state.failure.isascii()


@pytest.mark.parametrize("document", BAD_SETS, ids=lambda document: repr(document[:30]))
def test_a_bad_document_is_no_set_to_begin_with(document: bytes) -> None:
    world = World()
    world.serve(document)
    assert world.send() == "KeysUnavailable"
    world.publish(OLD)
    world.at = BACK_OFF[0]
    assert world.send() == "ok"


def test_bad_keys_among_good_ones_are_skipped() -> None:
    world = World()
    world.serve(json.dumps({"keys": [7, None, {"kty": "RSA"}, OLD.jwk(), {"kty": "AKP"}, NEW.jwk(use="enc")]}).encode())
    assert world.send() == "ok"
    keys = world.state.keys
    assert keys is not None
    assert (keys.kids, len(keys.skipped)) == ((OLD.kid,), 5)


def test_two_keys_under_one_kid_refuse_that_kid_without_a_fetch() -> None:
    world = World()
    world.publish(OLD, NEW.jwk(kid=OLD.kid), OTHER)
    assert [world.send(), world.send(OLD.kid, NEW), world.send(OTHER.kid, OTHER)] == ["AmbiguousKey"] * 2 + ["ok"]
    assert world.loads == 1
    assert world.send(ABSENT) == "AmbiguousKey"
    assert isinstance(world.error, AmbiguousKey)
    assert world.error.kid is None


# --------------------------------------------------------------------------------------------------------- the metadata

BAD_METADATA: list[Mapping[str, Any]] = [
    {"issuer": "https://other.test/"},
    {"issuer": ISSUER.removesuffix("/")},
    {"issuer": ABSENT},
    {"issuer": None},
    {"issuer": [ISSUER]},
    {"jwks_uri": ABSENT},
    {"jwks_uri": None},
    {"jwks_uri": 7},
    {"jwks_uri": ""},
    {"jwks_uri": ["https://issuer.test/jwks"]},
    {"jwks_uri": "http://issuer.test/jwks"},
    {"jwks_uri": "HTTP://issuer.test/jwks"},
    {"jwks_uri": "//issuer.test/jwks"},
    {"jwks_uri": "/jwks"},
    {"jwks_uri": "file:///etc/passwd"},
    {"jwks_uri": "ftp://issuer.test/jwks"},
    {"jwks_uri": "data:application/json,{}"},
    {"jwks_uri": "https://user@issuer.test/jwks"},
    {"jwks_uri": "https://user:password@issuer.test/jwks"},
    {"jwks_uri": "https://issuer.test/jwks#x"},
    {"jwks_uri": "https:///jwks"},
    {"jwks_uri": "https://issuer.test:port/jwks"},
    {"jwks_uri": "https://issuer.test/jwks\r\nHost: evil"},
    {"jwks_uri": "https://[::1/jwks"},
]


@pytest.mark.parametrize("change", BAD_METADATA, ids=repr)
def test_metadata_of_somebody_else_or_with_a_bad_address_brings_no_keys(change: Mapping[str, Any]) -> None:
    world = World()
    world.metadata(**change)
    assert world.send() == "KeysUnavailable"
    assert world.fetched == [ISSUING.discovery_url]
    assert world.error.status == 503
    assert str(world.error).isascii()
    assert str(world.error).isprintable()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'"x"',
        b"{",
        b"\xff",
        f'{{"issuer": "{ISSUER}", "issuer": "{ISSUER}", "jwks_uri": "{ISSUING.jwks_uri}"}}'.encode(),
        json.dumps(ISSUING.metadata(pad=[0] * 2_000)).encode(),
        json.dumps(ISSUING.metadata()).replace("}", ', "deep": ' + "[" * 9 + "]" * 9 + "}").encode(),
        json.dumps(ISSUING.metadata()).encode("utf-16"),
    ],
    ids=lambda document: repr(document[:30]),
)
def test_metadata_must_be_a_strict_json_object(document: bytes) -> None:
    world = World()
    world.documents[ISSUING.discovery_url] = document
    assert world.send() == "KeysUnavailable"
    assert world.fetched == [ISSUING.discovery_url]


def test_an_address_within_a_container_network_must_be_allowed() -> None:
    inside = "http://keys.internal/jwks"
    for allowed, answer in ((True, "ok"), (False, "KeysUnavailable")):
        world = World(allow_http=allowed)
        world.metadata(jwks_uri=inside)
        world.documents[inside] = jwks(OLD)
        assert world.send() == answer


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/jwks", "http://localhost/jwks?a=b", "http://[::1]:80/jwks"])
def test_loopback_may_be_http(address: str) -> None:
    world = World()
    world.metadata(jwks_uri=address)
    world.documents[address] = jwks(OLD)
    assert world.send() == "ok"


@pytest.mark.parametrize(("age", "answer"), [(METADATA_AGE - 1, "UnknownKey"), (METADATA_AGE, "ok")])
def test_a_load_reads_old_metadata_again_and_follows_keys_that_have_moved(age: float, answer: str) -> None:
    world = World()
    world.send()
    world.metadata(jwks_uri="https://issuer.test/moved")
    world.documents["https://issuer.test/moved"] = jwks(NEW)
    world.at = age
    assert world.send(NEW.kid, NEW) == answer
    assert (world.loads, world.fetched.count(ISSUING.discovery_url)) == ((1, 2) if answer == "ok" else (2, 1))


def test_a_load_after_one_that_failed_reads_the_metadata_again_however_young() -> None:
    world = World()
    world.send()
    world.fail()
    assert world.send("no-1") == "KeysUnavailable"
    world.metadata(jwks_uri="https://issuer.test/moved")
    world.documents["https://issuer.test/moved"] = jwks(NEW)
    world.at = COOL_DOWN
    assert world.send(NEW.kid, NEW) == "ok"


def test_keys_are_refreshed_where_they_were_while_the_metadata_cannot_be_had() -> None:
    world = World()
    world.send()
    world.documents[ISSUING.discovery_url] = REFUSED
    world.publish(OLD, NEW)
    world.at = SOFT_AGE
    assert [world.send(), world.send(NEW.kid, NEW)] == ["ok", "ok"]
    assert (world.state.failures, world.state.generation) == (0, 2)


def test_an_address_from_metadata_of_yesterday_is_not_trusted() -> None:
    world = World()
    world.send()
    world.documents[ISSUING.discovery_url] = REFUSED
    world.at = HARD_AGE - 1
    assert world.send() == "ok"
    world.at = HARD_AGE
    world.fetched.clear()
    world.send("no-1")
    assert world.fetched == [ISSUING.discovery_url]


# --------------------------------------------------------------------------------------- nobody asked for a long time


def asked_for(world: World, kid: str = OLD.kid) -> Effect | None:
    """What a request for a key asks the driver for, beside the time."""
    flow = world.keys[ISSUER].find(parse(ISSUING.token(header={"kid": kid}), 16_384))
    next(flow)
    try:
        return flow.send(Moment(NOW, START + world.at))
    except StopIteration:
        return None


@pytest.mark.parametrize(
    ("age", "grace"), [(SOFT_AGE, 0.0), (SOFT_AGE + LATE - 1, 0.0), (SOFT_AGE + LATE, GRACE), (HARD_AGE - 1, GRACE)]
)
def test_a_request_waits_a_little_for_keys_that_nobody_has_asked_for(age: float, grace: float) -> None:
    world = World()
    world.send()
    world.at = age
    assert asked_for(world) == LoadKeys(world.keys[ISSUER], settled=1, grace=grace)


def test_no_request_waits_while_refreshes_fail() -> None:
    world = World()
    world.send()
    world.fail()
    world.at = SOFT_AGE + LATE
    for _ in range(60):
        assert world.send() == "ok"
        world.at += BACK_OFF[1]
        assert asked_for(world) == LoadKeys(world.keys[ISSUER], settled=world.state.settled, grace=0.0)
    world.at += LATE  # and nobody has tried since
    assert asked_for(world) == LoadKeys(world.keys[ISSUER], settled=world.state.settled, grace=GRACE)


@pytest.mark.parametrize(
    ("cache_control", "age"),
    [("max-age=15", 300), ("no-cache", 300), ("max-age=400, public", 400), ("max-age=86400", 600), ("", 600)],
)
def test_an_issuer_may_shorten_the_soft_age_to_five_minutes(cache_control: str, age: float) -> None:
    world = World()
    world.documents[ISSUING.jwks_uri] = Document(jwks(OLD), cache_control)
    world.send()
    world.at = age - 1
    assert asked_for(world) is None
    world.at = age
    assert asked_for(world) == LoadKeys(world.keys[ISSUER], settled=1)


# ---------------------------------------------------------------------------------------------- kids looked for in vain


def test_a_kid_that_was_looked_for_in_vain_causes_fewer_and_fewer_loads() -> None:
    world = World()
    world.send()
    looked = []
    for second in range(0, 1_800, 5):
        world.at = second
        loads = world.loads
        assert world.send("no-1") == "UnknownKey"
        if world.loads > loads:
            looked.append(second)
        world.send()
    # 30 s, 60 s, 120 s … after the one before. The refresh at 600 s after that of 450 s brings nothing new.
    assert [later - sooner for sooner, later in itertools.pairwise(looked)] == [30, 60, 120, 240, 480, 600]


def test_a_kid_that_is_known_to_be_missing_does_not_keep_a_new_one_waiting() -> None:
    world = World()
    world.send()
    world.send("no-1")
    world.at = COOL_DOWN
    world.send("no-1")
    world.at = 2 * COOL_DOWN
    assert world.send("no-1") == "UnknownKey"  # it rests, and starts no cool-down
    world.publish(OLD, NEW)
    assert world.send(NEW.kid, NEW) == "ok"
    assert world.loads == 4


def test_a_key_that_was_published_late_is_found() -> None:
    world = World()
    world.send()
    assert world.send(NEW.kid, NEW) == "UnknownKey"
    world.publish(OLD, NEW)
    world.at = COOL_DOWN
    assert world.send(NEW.kid, NEW) == "ok"
    assert world.state.missing == {}


def test_a_flood_of_random_kids_costs_two_loads_a_minute_and_hides_no_rotation() -> None:
    world = World()
    world.send()
    for n in range(1_000):
        world.at = n * 0.06
        assert world.send(f"random-{n}") == "UnknownKey"
        if n % 50 == 0:
            assert world.send() == "ok"
        if n == 700:
            world.publish(NEW)
    assert world.loads == 1 + 2
    for second in range(60, 91):
        world.at = second
        world.send(f"random-{second}")
        if world.send(NEW.kid, NEW) == "ok":
            break
    assert world.at <= 0.06 * 700 + COOL_DOWN


# ---------------------------------------------------------------------------------------------------- several issuers


def test_a_key_of_one_issuer_never_verifies_for_another() -> None:
    first, second = Issuing(), Issuing(url="https://second.test/", number=2)
    same_kid = second.key().jwk(kid=OLD.kid)
    settings = ApiSettings(identifier=API, issuers=[Issuer(first.url), Issuer(second.url)])
    keys = keys_of(settings)
    documents = {**first.documents(OLD.jwk()), **second.documents(same_kid)}

    def ask(issuing: Issuing, **changes: Any) -> str:
        token = issuing.token(header={"kid": OLD.kid}, **changes)
        return drive(authenticate_token(token, settings, keys), documents=documents).issuer

    assert [ask(first), ask(second)] == [first.url, second.url]
    for forged in ((first, second.url), (second, first.url)):
        with pytest.raises(AuthError) as refused:
            ask(forged[0], iss=forged[1])
        assert type(refused.value).__name__ == "BadSignature"


def test_one_issuer_that_is_down_does_not_close_the_other() -> None:
    first, second = Issuing(), Issuing(url="https://second.test/")
    settings = ApiSettings(identifier=API, issuers=[Issuer(first.url), Issuer(second.url)])
    keys = keys_of(settings)
    documents = first.documents(OLD.jwk())
    assert drive(authenticate_token(first.token(), settings, keys), documents=documents).issuer == first.url
    with pytest.raises(KeysUnavailable) as error:
        drive(authenticate_token(second.token(), settings, keys), documents=documents)
    assert error.value.issuer == second.url
    assert isinstance(keys[first.url], IssuerKeys)


def test_the_marking_of_a_key_binds_except_for_an_auth0_issuer() -> None:
    marked = OLD.jwk(alg="RS256")
    for issuer, accepted in ((Issuer(ISSUER), False), (Issuer.auth0("issuer.test"), True)):
        settings = ApiSettings(identifier=API, issuers=[issuer], signing_algorithms=["PS256", "RS256"])
        keys = keys_of(settings)
        ask = authenticate_token(ISSUING.token(algorithm="PS256"), settings, keys)
        if accepted:
            assert drive(ask, documents=ISSUING.documents(marked)).subject
        else:
            with pytest.raises(HeaderRejected) as refused:
                drive(ask, documents=ISSUING.documents(marked))
            assert refused.value.parameter == "alg"


def test_settings_refuse_an_address_of_keys_that_metadata_could_not_give_either() -> None:
    for change in BAD_METADATA:
        url = change.get("jwks_uri", ABSENT)
        if url not in (ABSENT, None):
            with pytest.raises(SettingsError):
                Issuer(ISSUER, jwks_uri=url)


def test_an_unknown_key_names_some_that_are_known() -> None:
    world = World()
    assert world.send("no-1", NEW) == "UnknownKey"
    assert isinstance(world.error, UnknownKey)
    assert (world.error.kid, world.error.issuer) == ("no-1", ISSUER)


# ----------------------------------------------------------------------- for those who remember what was verified


def test_given_keys_serve_for_ever_and_others_as_long_as_their_state_says() -> None:
    given, world = World(jwks={"keys": [OLD.jwk()]}).keys[ISSUER], World()
    assert (given.in_use is given.given, given.serves_until, given.quiet_until) == (True, math.inf, math.inf)
    fetched = world.keys[ISSUER]
    assert (fetched.in_use, fetched.serves_until, fetched.quiet_until) == (None, NEVER, NEVER)
    assert world.send() == "ok"
    assert fetched.in_use is fetched.state.keys is not None
    assert (fetched.serves_until, fetched.quiet_until) == (START + HARD_AGE, START + SOFT_AGE)
    fetched.expect(START + 10)
    assert fetched.quiet_until == START + SOFT_AGE
    fetched.expect(START + 2 * HARD_AGE)
    assert fetched.quiet_until == START + HARD_AGE


def test_a_key_is_found_at_once_where_nothing_is_to_be_asked_for() -> None:
    world = World()
    own, token = world.keys[ISSUER], parse(ISSUING.token(header={"kid": OLD.kid}), 16_384)
    assert own.find_at_once(token, START) is None
    assert world.send() == "ok"
    key = own.find_at_once(token, START)
    assert key is not None
    assert own.find_at_once(parse(ISSUING.token(header={"kid": "other"}), 16_384), START + COOL_DOWN) is None
    assert own.find_at_once(token, START + SOFT_AGE) is None
    assert own.set_with(key, token) is own.state.keys is not None
    assert own.set_with(key, parse(ISSUING.token(header={"kid": "other"}), 16_384)) is None
    world.publish(NEW)
    world.at = SOFT_AGE
    assert world.send(NEW.kid, NEW) == "ok"
    assert own.set_with(key, token) is None


def test_another_key_of_the_same_name_is_not_the_one_that_verified() -> None:
    world = World()
    own, token = world.keys[ISSUER], parse(ISSUING.token(header={"kid": OLD.kid}), 16_384)
    assert world.send() == "ok"
    key = own.find_at_once(token, START)
    assert key is not None
    world.publish({**NEW.jwk(), "kid": OLD.kid})
    drive(own.load(own.begin(), Moment(NOW, START)), Moment(NOW, START), world.documents)
    assert own.set_with(key, token) is None
    assert World().keys[ISSUER].set_with(key, token) is None


def test_what_is_due_is_asked_for_although_no_token_asks_and_once() -> None:
    world, given = World(), World(jwks={"keys": [OLD.jwk()]}).keys[ISSUER]
    own = world.keys[ISSUER]
    assert own.refresh(START) == LoadKeys(own, 0)
    assert given.refresh(START) is None
    assert world.send() == "ok"
    assert [own.refresh(START), own.refresh_beside(START)] == [None, None]
    due = START + SOFT_AGE
    assert own.refresh(due) == own.refresh_beside(due) == LoadKeys(own, 1)
    own.expect(due + 5)  # it is under way
    assert [own.refresh_beside(due + 4), own.refresh_beside(due + 5)] == [None, LoadKeys(own, 1)]


def test_a_file_is_read_up_to_the_size_of_a_key_set() -> None:
    own = World(jwks_file="keys.json").keys[ISSUER]
    assert next(own.load(own.begin(), Moment(NOW, START))) == ReadFile("keys.json", JWKS_BYTES)


def test_what_somebody_wrote_may_be_one_key_and_what_an_issuer_publishes_is_a_set() -> None:
    written, published = World(jwks_file="key.json"), World()
    one = json.dumps(OLD.jwk()).encode()
    written.documents["key.json"] = one
    published.serve(one)
    assert (written.send(), published.send()) == ("ok", "KeysUnavailable")


def test_a_set_is_kept_with_the_time_when_it_came() -> None:
    world = World()
    own = world.keys[ISSUER]
    assert own.keep(Moment(NOW, START)) is None
    assert world.send() == "ok"
    kept = own.keep(Moment(NOW + 10, START + 10))
    assert kept == Kept({"keys": [OLD.jwk()]}, NOW)


@pytest.mark.parametrize("binds", [True, False])
def test_a_key_of_a_snapshot_is_bound_to_its_algorithm_where_the_issuers_keys_are(binds: bool) -> None:
    own = World(jwk_alg_binds=binds, signing_algorithms=["PS256"]).keys[ISSUER]
    kept = Kept({"keys": [{**OLD.jwk(), "alg": "RS256"}]}, NOW)
    assert own.restore(kept, Moment(NOW, START)) is not binds


def test_what_went_wrong_is_kept_by_its_kind() -> None:
    world = World()
    world.serve(FetchFailed("status 500", "status", 500))
    assert world.send() == "KeysUnavailable"
    assert (world.state.trouble, world.state.failure) == ("status", "status 500")


def test_an_unknown_key_is_told_with_its_issuer_also_where_keys_are_given() -> None:
    for world in (World(), World(jwks={"keys": [OLD.jwk()]})):
        assert world.send("other", NEW) == "UnknownKey"
        assert isinstance(world.error, UnknownKey)
        assert (world.error.kid, world.error.issuer) == ("other", ISSUER)


def test_the_seed_of_the_jitter_reaches_every_issuer() -> None:
    settings = ApiSettings(identifier=API, issuers=[Issuer(ISSUER), Issuer("https://b.test/")])
    keys = keys_of(settings, 0.25)
    assert [keys.seed, *(own.seed for own in keys.each())] == [0.25] * 3
    keys.reseed(0.5)
    assert [keys.seed, *(own.seed for own in keys.each())] == [0.5] * 3
    assert keys_of(settings).seed == 0.0
