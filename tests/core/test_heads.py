"""The short way decides as the long way does, and in the same words; and what is remembered is forgotten in time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jwtgate import ApiSettings, AuthError, Issuer
from jwtgate.core.binding import Senders
from jwtgate.core.compact import parse
from jwtgate.core.effects import LoadKeys, Moment
from jwtgate.core.flow import authenticate_token
from jwtgate.core.heads import HEADS, Heads, sound_for, usual_for
from jwtgate.core.keys import Keyring, keys_of
from jwtgate.core.known import Known, known_to
from jwtgate.core.profiles import PROFILES
from jwtgate.core.remembered import LONGEST, MOST_OF_ONE, OVERHEAD, Remembered
from jwtgate.core.revocations import Revocation, Revocations
from jwtgate.core.settings import Policy
from jwtgate.core.values import LATEST, Profile
from jwtgate.core.verification import ShortWay
from tests.making import (
    ABSENT,
    API,
    ISSUER,
    MOMENT,
    NOW,
    SECRET,
    Issuing,
    base64url,
    changed,
    drive,
    segment,
)

ISSUING = Issuing()
KEY = ISSUING.key()
JWKS = ISSUING.jwks(KEY.jwk())


def api(**changes: Any) -> ApiSettings:
    """It remembers no token, so that each is looked at."""
    return ApiSettings(
        **{"identifier": API, "issuers": [Issuer(ISSUER, jwks=JWKS)], "token_memory_bytes": 0, **changes}
    )


PLAIN = api()
RFC9068 = api(profile="rfc9068")
LIFETIME = api(token_lifetime=3_660, leeway=0)
DPOP = api(proof_of_possession=("dpop", "mtls"))
SEVERAL = api(identifier=[API, "https://two.test/"])


def outcome(token: Any, to: ApiSettings, keys: Keyring, now: Moment = MOMENT) -> Any:
    try:
        found = drive(authenticate_token(token, to, keys), now)
    except AuthError as error:
        return type(error), str(error), error.status, error.headers, error.body
    return found.claims, found.header, found.raw


def warmed(to: ApiSettings) -> Keyring:
    """Keys with which the head of every good token is known."""
    keys = keys_of(to)
    for token in (ISSUING.token(), ISSUING.rfc9068_token()):
        outcome(token, to, keys)
    return keys


def both_ways(token: Any, to: ApiSettings = PLAIN) -> Any:
    """What comes of it, which is the same by either way."""
    short, long = outcome(token, to, warmed(to)), outcome(token, to, keys_of(to))
    assert short == long
    return long


def is_short(token: str, to: ApiSettings = PLAIN) -> bool:
    heads = known_to(warmed(to)).heads
    return heads.recognise(token, *MOMENT) is not None


# --- as the long way has it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [PLAIN, RFC9068, LIFETIME, SEVERAL], ids=["plain", "rfc9068", "lifetime", "several"])
@pytest.mark.parametrize("token", [ISSUING.token(), ISSUING.rfc9068_token()], ids=["auth0", "rfc9068"])
def test_a_good_token_goes_the_short_way(token: str, to: ApiSettings) -> None:
    if to is not RFC9068 or token == ISSUING.rfc9068_token():
        assert is_short(token, to)
    both_ways(token, to)


# Each claim with values that pass, that are refused, and that are somewhere between.
ODD: Any = [None, "", "x", 0, 1, -1, True, False, 1.5, [], ["x"], [""], [1], {}, {"x": 1}, ABSENT]
VALUES: dict[str, list[Any]] = {
    "exp": [
        NOW + 3_600,
        int(NOW) - 29,
        int(NOW) - 30,
        int(NOW) - 31,
        253_402_300_799,
        253_402_300_800,
        str(int(NOW) + 9),
    ],
    "iat": [NOW, int(NOW) + 30, int(NOW) + 31, int(NOW) - 10**6],
    "nbf": [int(NOW) + 30, int(NOW) + 31, int(NOW) - 5],
    "iss": [ISSUER, ISSUER + "/", [ISSUER], ISSUER.upper()],
    "aud": [[API], [API, "https://t.test/userinfo"], [API, ""], [API, 1], API + "/", ["https://two.test/"], [[API]]],
    "sub": ["auth0|1", "é", "a\nb", "\x7f", ":", "{", "[[[["],
    "azp": ["app-1", "app-2"],
    "client_id": ["app-1", "app-2"],
    "jti": ["a", "b" * 300],
    "scope": ["a b", "a  b", " ", 'a"b', "a\\b", "a\tb", "é", "\x7f", ["a", "b"], ["a b"], ["a\n"]],
    "permissions": [["a", "b"], ["a", 1], ["a", None], "a b", [["a"]]],
    "gty": ["client-credentials", ["refresh_token", "password"], [1]],
    "org_id": ["org_1"],
    "org_name": ["acme"],
    "act": [{"sub": "x"}, {"sub": ""}],
    "cnf": [{"jkt": "x"}, {"jkt": "A" * 43}, {"x5t#S256": "A" * 43}, {"other": 1}, {"kid": "x"}],
    "nonce": ["n"],
    "at_hash": ["h"],
    "c_hash": ["h"],
    "s_hash": ["h"],
    "events": [{}],
    "https://api.test/roles": [["admin"], "admin", {"a": {"b": [1]}}],
}
CASES = [(name, value) for name, values in VALUES.items() for value in [*values, *ODD]]


@pytest.mark.parametrize("to", [PLAIN, RFC9068, LIFETIME, DPOP], ids=["plain", "rfc9068", "lifetime", "dpop"])
def test_one_changed_claim_is_answered_the_same(to: ApiSettings) -> None:
    """One keyring for all of them, as a verifier has one."""
    short = warmed(to)
    for name, value in CASES:
        for token in (ISSUING.token(**{name: value}), ISSUING.rfc9068_token(**{name: value})):
            assert outcome(token, to, short) == outcome(token, to, keys_of(to)), (name, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(VALUES)) | st.text(max_size=5), JSON, max_size=4))
@example({"sub": ":x"})
@example({"x": " y"})
def test_any_claims_are_answered_the_same(changes: dict[str, Any]) -> None:
    both_ways(ISSUING.token(**changes))
    both_ways(ISSUING.rfc9068_token(**changes))


@pytest.mark.parametrize("number", [10**400, -(10**400)])
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_a_number_beyond_all_floats_is_no_date(name: str, number: int) -> None:
    found = both_ways(ISSUING.token(**{name: number}), api(leeway=0.5))
    assert found[0].__name__ == "ClaimRejected"


GOOD = ISSUING.token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
LATIN = b'{"iss":"\xff"}'
FORGED = f"{HEAD}.{BODY}.{base64url(bytes(256))}"


@pytest.mark.parametrize(
    "token",
    [
        FORGED,
        f"{HEAD}.{BODY}.",
        f"{HEAD}.{BODY}",
        f"{HEAD}.{BODY}.{SIGNATURE}.",
        f"{HEAD}.{BODY}.{SIGNATURE}=",
        f"{HEAD}.{BODY}.{SIGNATURE[:-1]}",
        f"{HEAD}.{BODY}=.{SIGNATURE}",
        f"{HEAD}..{SIGNATURE}",
        f"{HEAD}.{segment('[]')}.{SIGNATURE}",
        f"{HEAD}.{segment('[]')}.{SIGNATURE}=",
        f"{HEAD}.{segment('{}')}.{SIGNATURE}=",
        f"{HEAD}.{segment('{')}.{SIGNATURE}=",
        f"{HEAD}.{segment('{')}.",
        f"{HEAD}.{segment('[]')}.",
        f"{HEAD}.{segment('{')}",
        f"{HEAD}.{segment('{')}.{SIGNATURE}.",
        f"{HEAD}.{segment('')}.{SIGNATURE}",
        f"{HEAD}.{segment('{')}.{SIGNATURE}",
        f"{HEAD}.{segment('{}')}.{SIGNATURE}",
        f"{HEAD}.{segment(LATIN)}.{SIGNATURE}",
        f"{HEAD}.{segment({'iss': 'https://b.test/'})}.{SIGNATURE}",
        HEAD,
        HEAD + "." * 1_000,
        GOOD + "a" * 20_000,
        GOOD + "\ud800",
        "",
        None,
        GOOD.encode(),
    ],
)
def test_what_is_no_good_token_is_answered_the_same(token: Any) -> None:
    both_ways(token)


@pytest.mark.parametrize(
    ("token", "refusal"),
    [
        (FORGED, "BadSignature"),
        (f"{HEAD}.{segment('{')}.{SIGNATURE}", "MalformedToken"),
        (f"{HEAD}.{BODY}=.{SIGNATURE}", "MalformedToken"),
        (f"{HEAD}.{BODY}.{SIGNATURE}=", "MalformedToken"),
    ],
)
def test_what_is_wrong_behind_a_known_head_is_found_by_the_short_way_itself(token: str, refusal: str) -> None:
    heads = known_to(warmed(PLAIN)).heads
    with pytest.raises(AuthError) as refused:
        heads.recognise(token, *MOMENT)
    assert type(refused.value).__name__ == refusal


def test_with_a_shared_secret_it_is_the_same() -> None:
    to = api(issuers=[Issuer(ISSUER)], signing_algorithms=["HS256"], signing_secret=SECRET)
    keys = keys_of(to)
    token = ISSUING.token(algorithm="HS256")
    assert outcome(token, to, keys) == outcome(token, to, keys)
    assert known_to(keys).heads.recognise(token, *MOMENT) is not None


# --- what is kept of heads -------------------------------------------------------------------------------------------


def test_a_stranger_fills_nothing() -> None:
    keys = keys_of(PLAIN)
    for token in (FORGED, ISSUING.token(exp=1), ISSUING.token(aud="x"), Issuing(number=2).token()):
        outcome(token, PLAIN, keys)
    assert len(known_to(keys).heads) == 0


def test_one_head_under_two_issuers_is_two() -> None:
    """A custom domain and the canonical one have the same keys."""
    second = Issuing(url="https://second.test/")
    issuers = [Issuer(each.url, jwks=JWKS) for each in (ISSUING, second)]
    to = api(issuers=issuers)
    keys = keys_of(to)
    tokens = [ISSUING.token(), second.token()]
    for token in tokens:
        outcome(token, to, keys)
    assert all(known_to(keys).heads.recognise(token, *MOMENT) for token in tokens)
    third = Issuing(url="https://third.test/").token()
    assert outcome(third, to, keys) == outcome(third, to, keys_of(to))


def test_an_issuer_that_a_resolver_names_is_asked_for_each_time() -> None:
    asked: list[str] = []

    def resolver(issuer: str, request: Any) -> Issuer | None:
        asked.append(issuer)
        return Issuer(ISSUER, jwks=JWKS) if len(asked) < 3 else None

    to = ApiSettings(identifier=API, resolver=resolver)
    keys = keys_of(to)
    found = [outcome(ISSUING.token(), to, keys)[0] for _ in range(4)]
    assert len(asked) == 4
    assert [isinstance(one, type) for one in found] == [False, False, True, True]


# --- keys that change ------------------------------------------------------------------------------------------------


class Loading:
    """An API that loads its keys, with a clock of numbers."""

    def __init__(self, **changes: Any) -> None:
        self.settings = api(issuers=[Issuer(ISSUER)], **changes)
        self.keys = keys_of(self.settings)
        self.documents = ISSUING.documents(KEY.jwk())
        self.fetched: list[str] = []

    def ask(self, token: str, at: float = 0.0) -> str:
        moment = Moment(NOW + at, MOMENT.monotonic + at)
        try:
            drive(authenticate_token(token, self.settings, self.keys), moment, self.documents, self.fetched)
        except AuthError as error:
            return type(error).__name__
        return "ok"


@pytest.mark.parametrize("memory", [0, 1_000_000])
def test_a_withdrawn_key_is_withdrawn_for_known_heads_and_tokens_too(memory: int) -> None:
    world = Loading(token_memory_bytes=memory)
    token = ISSUING.token(exp=int(NOW) + 80_000)
    assert [world.ask(token, at) for at in (0, 1, 2)] == ["ok"] * 3
    world.documents = ISSUING.documents(Issuing(number=2).key().jwk())
    assert world.ask(token, 479) == "ok"
    # From here on the set is due; the driver of these tests loads at once.
    assert world.ask(token, 700) == "UnknownKey"


@pytest.mark.parametrize("memory", [0, 1_000_000])
def test_known_heads_and_tokens_ask_for_nothing_until_it_is_time(memory: int) -> None:
    world = Loading(token_memory_bytes=memory)
    token = ISSUING.token(exp=int(NOW) + 80_000)
    world.ask(token)
    first = len(world.fetched)
    assert [world.ask(token, at) for at in range(1, 400, 50)] == ["ok"] * 8
    assert len(world.fetched) == first
    world.ask(token, 700)
    assert len(world.fetched) > first


def test_keys_too_old_to_serve_serve_no_known_token_either() -> None:
    world = Loading(token_memory_bytes=1_000_000)
    token = ISSUING.token(exp=int(NOW) + 200_000)
    world.ask(token)
    world.documents = {}
    assert world.ask(token, 86_000) == "ok"
    assert world.ask(token, 86_401) == "KeysUnavailable"


def test_a_known_token_serves_for_just_as_long_as_its_keys() -> None:
    world = Loading(token_memory_bytes=1_000_000)
    token = ISSUING.token(exp=int(NOW) + 200_000)
    world.ask(token)
    own, known = world.keys[ISSUER], known_to(world.keys)
    assert known.tokens.get(token, NOW, own.serves_until - 0.001) is not None
    assert known.tokens.get(token, NOW, own.serves_until) is None


# --- remembered tokens -----------------------------------------------------------------------------------------------

REMEMBERING = api(token_memory_bytes=1_000_000)


def seen(token: str, to: ApiSettings = REMEMBERING) -> tuple[Keyring, Known]:
    keys = keys_of(to)
    outcome(token, to, keys)
    return keys, known_to(keys)


@pytest.mark.parametrize(
    ("claims", "good", "bad"),
    [
        ({"exp": int(NOW) + 100}, [0, 129.9], [130, 131]),
        ({"exp": int(NOW) + 100, "nbf": int(NOW) + 30}, [0, 50], [-0.1, 130]),
        ({"iat": int(NOW) + 30}, [0, 1], [-0.1, -1]),
    ],
)
def test_both_bounds_of_time_are_looked_at_each_time(
    claims: dict[str, Any], good: list[float], bad: list[float]
) -> None:
    token = ISSUING.token(**claims)
    _, known = seen(token)
    assert len(known.tokens) == 1
    for at, wanted in [*((at, True) for at in good), *((at, False) for at in bad)]:
        moment = Moment(NOW + at, MOMENT.monotonic)
        assert (known.tokens.get(token, *moment) is not None) is wanted
        # And so would it be verified again.
        again = outcome(token, PLAIN, keys_of(PLAIN), moment)
        assert (not isinstance(again[0], type)) is wanted


def test_it_is_remembered_under_its_full_text() -> None:
    token = ISSUING.token()
    _, known = seen(token)
    assert known.tokens.get(token, *MOMENT) is not None
    for other in (token + "A", token[:-1], token.swapcase(), token.rpartition(".")[0]):
        assert known.tokens.get(other, *MOMENT) is None


def test_only_good_tokens_are_remembered() -> None:
    for token in (FORGED, ISSUING.token(exp=1), ISSUING.token(aud="x"), ""):
        assert len(seen(token)[1].tokens) == 0
    assert len(seen(GOOD, PLAIN)[1].tokens) == 0  # switched off


def test_a_revoked_token_is_refused_however_well_it_is_remembered() -> None:
    token, revoked = ISSUING.rfc9068_token(jti="gone"), Revocations()
    keys, known = seen(token)
    senders = Senders(REMEMBERING, revoked)
    short = ShortWay(REMEMBERING, keys, senders)
    assert short(token, *MOMENT) is not None
    revoked.add(Revocation(ISSUER, jti="gone", expires=NOW + 60))
    for ask in (
        lambda: short(token, *MOMENT),
        lambda: drive(authenticate_token(token, REMEMBERING, keys, senders), MOMENT),
    ):
        with pytest.raises(AuthError) as refused:
            ask()
        assert type(refused.value).__name__ == "RevokedToken"
    assert len(known.tokens) == 1


def test_a_bound_token_is_asked_for_its_proof_each_time() -> None:
    to = api(proof_of_possession="dpop", token_memory_bytes=1_000_000)
    token = ISSUING.token(cnf={"jkt": "A" * 43})
    keys, known = seen(token, to)
    assert len(known.tokens) == 1
    assert ShortWay(to, keys, Senders(to))(token, *MOMENT) is None
    assert outcome(token, to, keys)[0].__name__ == "BindingRejected"


def test_where_binding_is_required_a_token_alone_is_never_enough() -> None:
    to = api(proof_of_possession={"mechanism": "dpop", "required": True}, token_memory_bytes=1_000_000)
    keys, _ = seen(GOOD, to)
    assert ShortWay(to, keys, Senders(to))(GOOD, *MOMENT) is None


def test_who_changes_claims_changes_nobody_elses() -> None:
    keys, _ = seen(ISSUING.token(permissions=["a"]))
    token = ISSUING.token(permissions=["a"])
    first = drive(authenticate_token(token, REMEMBERING, keys), MOMENT)
    first.claims["permissions"].append("admin:all")
    first.header  # noqa: B018 - to look is to copy
    again = drive(authenticate_token(token, REMEMBERING, keys), MOMENT)
    assert again.claims["permissions"] == ["a"]
    assert again.permissions == {"a"}


def filled(limit: int, *tokens: str) -> Remembered:
    keys = keys_of(PLAIN)
    memory = Remembered(limit)
    for token in tokens:
        drive(authenticate_token(token, PLAIN, keys), MOMENT)
        found = known_to(keys).heads.recognise(token, *MOMENT)
        assert found is not None
        memory.keep(token, found, MOMENT.monotonic)
    return memory


def test_it_takes_no_more_room_than_it_has() -> None:
    tokens = [ISSUING.token(sub=f"user-{number}") for number in range(60)]
    each = 3 * len(tokens[-1]) + OVERHEAD
    memory = filled(20 * each, *tokens)
    assert 10 <= len(memory) <= 20
    assert memory.get(tokens[-1], *MOMENT) is not None
    assert memory.get(tokens[0], *MOMENT) is None
    assert len(filled(each, tokens[0])) == 0  # a quarter of a half of it is no room for one


def test_its_room_is_counted_to_the_byte() -> None:
    tokens = [ISSUING.token(sub=f"user-{number}") for number in range(9)]
    each = 3 * len(tokens[0]) + OVERHEAD
    assert {3 * len(token) + OVERHEAD for token in tokens} == {each}
    # Half of the room is a generation, and a quarter of that is for one subject.
    room = 8 * each
    assert [len(filled(limit, tokens[0])) for limit in (room, room - 1)] == [1, 0]
    assert [len(filled(room, *tokens[:number])) for number in (4, 5, 8, 9)] == [4, 5, 8, 5]


def test_a_token_that_is_too_large_for_its_share_pushes_out_nothing() -> None:
    small, large = ISSUING.token(), ISSUING.token(sub="large", padding="x" * 9_000)
    memory = filled(8 * (3 * len(large) + OVERHEAD) - 8, *[small] * 2, *[large] * 9)
    assert len(memory) == 1
    assert memory.get(small, *MOMENT) is not None
    bytes_of_one = filled(100_000, *(ISSUING.token(jti=str(number), padding="x" * 900) for number in range(30)))
    assert len(bytes_of_one) == 100_000 // 8 // (3 * len(ISSUING.token(jti="10", padding="x" * 900)) + OVERHEAD)


def test_what_is_used_stays() -> None:
    used, *others = [ISSUING.token(sub=f"user-{number}") for number in range(60)]
    memory = filled(20 * (3 * len(others[-1]) + OVERHEAD), used)
    for other in others:
        found = known_to(warmed(PLAIN)).heads.recognise(other, *MOMENT)
        assert found is not None
        memory.keep(other, found, MOMENT.monotonic)
        assert memory.get(used, *MOMENT) is not None


def test_one_caller_with_many_tokens_does_not_push_out_the_others() -> None:
    mine = [ISSUING.token(sub="mine", jti=str(number)) for number in range(MOST_OF_ONE + 20)]
    others = [ISSUING.token(sub=f"user-{number}") for number in range(5)]
    memory = filled(16 * MOST_OF_ONE * (3 * len(mine[-1]) + OVERHEAD), *others, *mine)
    assert len(memory) == MOST_OF_ONE + 5
    assert all(memory.get(other, *MOMENT) is not None for other in others)


def test_a_token_of_an_older_generation_that_comes_again_joins_the_younger() -> None:
    tokens = [ISSUING.token(sub=f"user-{number}") for number in range(12)]
    memory = filled(20 * (3 * len(tokens[-1]) + OVERHEAD), *tokens)
    assert tokens[0] in memory._older
    assert memory.get(tokens[0], *MOMENT) is not None
    assert tokens[0] in memory._younger


def test_a_set_that_comes_while_a_token_is_verified_does_not_vouch_for_it() -> None:
    """The key was found in the set before; in the one that is in use now it is not."""
    world = Loading(token_memory_bytes=1_000_000)
    own = world.keys[ISSUER]
    other = ISSUING.documents(Issuing(number=2).key().jwk())
    flow = authenticate_token(ISSUING.token(), world.settings, world.keys)
    effect: Any = next(flow)
    for _ in range(9):
        if isinstance(effect, LoadKeys):
            drive(own.load(own.begin(), MOMENT), MOMENT, world.documents)
        elif own.in_use is not None:
            # Here is the last question of the time: the signature was looked at.
            drive(own.load(own.begin(), MOMENT), MOMENT, other)
        try:
            effect = flow.send(MOMENT)
        except StopIteration:
            break
    world.documents = other
    known = known_to(world.keys)
    assert len(known.tokens) == 0
    assert known.heads.recognise(ISSUING.token(sub="another"), *MOMENT) is None
    assert world.ask(ISSUING.token(sub="another")) == "UnknownKey"


def test_a_token_that_is_kept_again_counts_once() -> None:
    token = ISSUING.token()
    memory = filled(1_000_000, *[token] * (MOST_OF_ONE + 5))
    assert [count for count, _ in memory._callers.values()] == [1]
    assert memory.get(token, *MOMENT) is not None


def test_who_has_new_tokens_all_the_time_is_remembered_again_after_a_while() -> None:
    tokens = [ISSUING.token(jti=str(number), exp=int(NOW) + 80_000) for number in range(MOST_OF_ONE + 2)]
    memory = filled(10_000_000, *tokens)
    assert memory.get(tokens[-1], *MOMENT) is None
    found = known_to(warmed(PLAIN)).heads.recognise(tokens[-1], *MOMENT)
    assert found is not None
    for seconds, kept in ((LONGEST - 1, False), (LONGEST, True)):
        later = Moment(NOW, MOMENT.monotonic + seconds)
        memory.keep(tokens[-1], found, later.monotonic)
        assert (memory.get(tokens[-1], *later) is not None) is kept


# --- claims in one pass -----------------------------------------------------------------------------------------------


def passes(claims: dict[str, Any], policy: Policy, profile: Profile) -> bool:
    """By all checks of the profile, one by one."""
    try:
        for check in PROFILES[profile]:
            check(claims, policy, NOW)
    except AuthError:
        return False
    return True


# What changes in good claims, to which API, → told good in one pass, told good one by one.
IN_ONE_PASS: list[tuple[dict[str, Any], ApiSettings, bool, bool]] = [
    ({}, PLAIN, True, True),
    ({}, LIFETIME, True, True),
    ({"exp": LATEST}, PLAIN, True, True),
    ({"exp": LATEST + 1}, PLAIN, False, False),
    ({"exp": int(NOW) - 29}, PLAIN, True, True),
    ({"exp": int(NOW) - 30}, PLAIN, False, False),
    ({"iat": int(NOW) + 30}, PLAIN, True, True),
    ({"iat": int(NOW) + 31}, PLAIN, False, False),
    ({"iat": 0}, PLAIN, True, True),
    ({"iat": -1}, PLAIN, False, False),
    ({"iat": int(NOW) - 60, "exp": int(NOW) + 3_600}, LIFETIME, True, True),
    ({"iat": int(NOW) - 60, "exp": int(NOW) + 3_601}, LIFETIME, False, False),
    ({"exp": int(NOW)}, LIFETIME, False, False),
    ({"exp": int(NOW) + 0.5}, PLAIN, False, True),  # a fraction is unusual, and good
    ({"exp": True}, PLAIN, False, False),
    ({"iat": True}, PLAIN, False, False),
    ({"exp": ABSENT}, PLAIN, False, False),
    ({"iat": ABSENT}, PLAIN, False, False),
    ({"sub": ABSENT}, PLAIN, False, False),
    ({"sub": ""}, PLAIN, False, False),
    ({"sub": 7}, PLAIN, False, False),
    ({"nbf": int(NOW)}, PLAIN, False, True),  # unusual, and good
    ({"nonce": "x"}, PLAIN, False, False),
    ({"azp": "a", "client_id": "a"}, PLAIN, True, True),
    ({"azp": "a", "client_id": "b"}, PLAIN, False, False),
    ({"azp": 7}, PLAIN, False, False),
    ({"org_id": "org_1", "org_name": "a"}, PLAIN, True, True),
    ({"org_id": ""}, PLAIN, False, False),
    ({"org_name": 7}, PLAIN, False, False),
    ({"gty": ["a"]}, PLAIN, False, True),
    ({"jti": ""}, PLAIN, False, False),
    ({"aud": API}, PLAIN, True, True),
    ({"aud": [API, "b"]}, PLAIN, True, True),
    ({"aud": "https://two.test/"}, SEVERAL, True, True),
    ({"aud": ["b", "https://two.test/"]}, SEVERAL, True, True),
    ({"aud": "b"}, PLAIN, False, False),
    ({"aud": ["b"]}, PLAIN, False, False),
    ({"aud": [API, ""]}, PLAIN, False, False),
    ({"aud": [API, 7]}, PLAIN, False, False),
    ({"aud": ABSENT}, PLAIN, False, False),
    ({"scope": ABSENT}, PLAIN, True, True),
    ({"scope": ""}, PLAIN, True, True),
    ({"scope": "a b"}, PLAIN, True, True),
    ({"scope": "a\\b"}, PLAIN, False, False),
    ({"scope": 'a"b'}, PLAIN, False, False),
    ({"scope": "a\tb"}, PLAIN, False, False),
    ({"scope": "\u00e9"}, PLAIN, False, False),
    ({"scope": 7}, PLAIN, False, False),
    ({"permissions": []}, PLAIN, True, True),
    ({"permissions": ["a", "b"]}, PLAIN, True, True),
    ({"permissions": ["a", 7]}, PLAIN, False, False),
    ({"permissions": "a"}, PLAIN, False, False),
    ({"cnf": {"jkt": "A" * 43}}, DPOP, True, True),
    ({"cnf": {"jkt": "A" * 43}}, PLAIN, False, False),
    ({"cnf": {"jkt": "A"}}, DPOP, False, False),
]


@pytest.mark.parametrize("profile", ["auth0", "rfc9068"])
@pytest.mark.parametrize(("changes", "to", "at_once", "good"), IN_ONE_PASS, ids=range(len(IN_ONE_PASS)))
def test_usual_claims_are_told_good_in_one_pass_and_no_others(
    changes: dict[str, Any], to: ApiSettings, at_once: bool, good: bool, profile: Profile
) -> None:
    claims = changed({**ISSUING.claims(), "client_id": "app-1", "azp": "app-1", "jti": "id-1"}, changes)
    if claims.get("azp") != "app-1" and "client_id" not in changes:
        del claims["client_id"]
    policy = to.policies[ISSUER]
    required = profile != "rfc9068" or "client_id" in claims
    assert passes(claims, policy, profile) is (good and required)
    assert sound_for(policy, profile)(claims, NOW) is (at_once and required)
    own = keys_of(to)[ISSUER]
    assert usual_for(own, profile) is usual_for(own, profile) is own.usual[profile]


@pytest.mark.parametrize("name", ["client_id", "jti"])
def test_what_the_rfc_9068_profile_requires_is_looked_for_there_and_nowhere_else(name: str) -> None:
    claims = {**ISSUING.claims(), "client_id": "app-1", "jti": "id-1"}
    claims["azp"] = "app-1"
    del claims[name]
    policy = PLAIN.policies[ISSUER]
    assert [sound_for(policy, profile)(claims, NOW) for profile in ("auth0", "rfc9068")] == [True, False]
    own = keys_of(PLAIN)[ISSUER]
    assert [usual_for(own, profile)(claims, NOW) for profile in ("auth0", "rfc9068")] == [True, False]


def test_no_more_heads_are_kept_than_there_is_room_for() -> None:
    heads, own = Heads(), keys_of(PLAIN)[ISSUER]
    rest = f"{segment(ISSUING.claims())}.{base64url(bytes(256))}"
    seen = [parse(f"{segment({**ISSUING.header(), 'n': n})}.{rest}", 16_384) for n in range(HEADS + 1)]
    key = own.find_at_once(seen[0], MOMENT.monotonic)
    assert key is not None

    def known() -> set[int]:
        return {n for n, token in enumerate(seen) if heads._recent.get(token.raw.partition(".")[0])}

    for token in seen[:HEADS]:
        heads.learn(token, own, own.in_use, key, "auth0")
    assert known() == set(range(HEADS))
    heads.learn(seen[HEADS], own, own.in_use, key, "auth0")
    assert known() == set(range(HEADS // 2, HEADS + 1))


def test_what_is_recognised_has_the_type_of_its_header() -> None:
    for token, typ in ((ISSUING.token(sub="new"), "JWT"), (ISSUING.rfc9068_token(sub="new"), "at+jwt")):
        found = known_to(warmed(PLAIN)).heads.recognise(token, *MOMENT)
        assert found is not None
        assert found.typ == typ


@pytest.mark.parametrize("rest", ["A", "Q"])
@pytest.mark.parametrize("more", ["", "y", "yy", "yyy"])
def test_a_head_with_an_issuer_in_it_is_no_token(more: str, rest: str) -> None:
    to = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=ISSUING.jwks())])
    good, known = ISSUING.token(header={"iss": ISSUER, "x": more}), keys_of(to)
    assert outcome(good, to, known)[2] == good
    text = good.partition(".")[0] + rest
    assert outcome(text, to, known) == outcome(text, to, keys_of(to))
