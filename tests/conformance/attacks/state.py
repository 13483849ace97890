"""Group X: many at once, over time, across processes; what is said in the log; settings that could never be right."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from jwtgate import ApiSettings, AsyncVerifier, AuthError, Issuer, Request, Verifier
from jwtgate.core.key_state import BACK_OFF, SOFT_AGE
from tests.conformance.attacks.answers import EXPIRED, REVOKED, SIGNATURE, UNKNOWN_KEY, V
from tests.conformance.attacks.cases import Attack, Scenarios, mistakes
from tests.conformance.attacks.forging import each_in_other_case
from tests.conformance.attacks.stage import Outcome, Stage, all_refused, repeated, told
from tests.loopback import DISCOVERY, JWKS, PATIENCE, Gate, Tasks, Threads, sends, settled
from tests.making import API, NOW, SECRET

SCENES: Final = Scenarios()
SUBJECT: Final = "app-1@clients"


# --- many at once -------------------------------------------------------------------------------------------


def _held(stage: Stage) -> Gate:
    """The keys come when the gate is opened."""
    gate = Gate()
    stage.origin.answers[JWKS] = gate.holds(stage.origin.answers[JWKS])
    return gate


def _thronged(verifier: Verifier, token: str, gate: Gate) -> list[Outcome | str]:
    """What fifty threads are told which all came before the keys did."""
    start = threading.Barrier(51)

    def ask() -> Outcome | str:
        start.wait(PATIENCE)
        try:
            return verifier.verify(token).subject
        except AuthError as error:
            return told(error)

    with ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(ask) for _ in range(50)]
        start.wait(PATIENCE)
        if not gate.reached.wait(PATIENCE):
            raise AssertionError("nobody came to the gate")
        gate.open()
        return [one.result(PATIENCE) for one in asked]


@SCENES.scenario("X01", "OK", drives=(Threads,))
def fifty_threads_on_a_cold_verifier(stage: Stage) -> None:
    gate = _held(stage)
    assert _thronged(stage.verifier(), stage.issuing.token(), gate) == [SUBJECT] * 50
    assert stage.origin.asked == {DISCOVERY: 1, JWKS: 1}


@SCENES.scenario("X01", "OK", drives=(Tasks,))
def a_thousand_coroutines_on_a_cold_verifier(stage: Stage) -> None:
    verifier, token = stage.verifier(), stage.issuing.token()

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(verifier.verify(token) for _ in range(1_000)))

    assert {one.subject for one in asyncio.run(settled(all_at_once()))} == {SUBJECT}
    assert stage.origin.asked == {DISCOVERY: 1, JWKS: 1}


@SCENES.scenario("X01+", "T", drives=(Tasks,))
def a_thousand_unknown_kids_at_once(stage: Stage) -> None:
    verifier = stage.verifier()
    assert stage.lets_in(verifier, stage.issuing.token())
    tokens = [stage.issuing.token(header={"kid": f"no-{number}"}) for number in range(100)] * 10

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(verifier.verify(token) for token in tokens), return_exceptions=True)

    outcomes = asyncio.run(settled(all_at_once()))
    assert [error for error in outcomes if told(error) != UNKNOWN_KEY.answer] == []
    assert stage.fetches == 2


@SCENES.scenario("X03", "V OK", drives=(Threads,))
def a_load_that_fails_for_fifty_threads(stage: Stage) -> None:
    good = stage.origin.answers[JWKS]
    stage.origin.answers[JWKS] = sends(b"", 500)
    gate = _held(stage)
    verifier, token = stage.verifier(), stage.issuing.token()
    assert _thronged(verifier, token, gate) == [V.answer] * 50
    stage.origin.answers[JWKS] = good
    assert stage.ask(verifier, token) == V.answer
    stage.clock.at += BACK_OFF[0]
    assert stage.lets_in(verifier, token)
    assert stage.fetches == 2


@SCENES.scenario("X03", "V OK", drives=(Tasks,))
def a_load_that_fails_for_a_thousand_coroutines(stage: Stage) -> None:
    good = stage.origin.answers[JWKS]
    stage.origin.answers[JWKS] = sends(b"", 500)
    verifier, token = stage.verifier(), stage.issuing.token()

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(verifier.verify(token) for _ in range(1_000)), return_exceptions=True)

    outcomes = asyncio.run(settled(all_at_once()))
    assert [error for error in outcomes if told(error) != V.answer] == []
    stage.origin.answers[JWKS] = good
    stage.clock.at += BACK_OFF[0]
    assert stage.lets_in(verifier, token)
    assert stage.fetches == 2


@SCENES.scenario("X03+", "OK", drives=(Tasks,))
def whoever_waits_is_cancelled_and_the_others_are_served(stage: Stage) -> None:
    verifier, token = stage.verifier(), stage.issuing.token()

    async def some_leave() -> list[Any]:
        tasks = [asyncio.create_task(verifier.verify(token)) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = asyncio.run(settled(some_leave()))
    assert {type(left) for left in outcomes[::2]} == {asyncio.CancelledError}
    assert {one.subject for one in outcomes[1::2]} == {SUBJECT}
    assert stage.fetches == 1


# --- processes and event loops ------------------------------------------------------------------------------

# As gunicorn does it: the verifier is made and warmed up, and then come the workers.
FORKS: Final = """
import os, sys, time
from jwtgate import ApiSettings, AuthError, Issuer, Verifier

class Clock:
    def wall(self): return {now}
    def monotonic(self): return 1_000.0

url, good, bad = sys.argv[1:]
verifier = Verifier(ApiSettings(identifier="{api}", issuers=[Issuer(url)]), clock=Clock())
verifier.warm_up()
# A thread that ends while its process forks may take a lock of OpenSSL with it.
while os.path.isdir("/proc/self/task") and len(os.listdir("/proc/self/task")) > 1:
    time.sleep(0.001)
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        verifier.verify(good)
        try:
            verifier.verify(bad)
        except AuthError as error:
            sys.exit(0 if error.status == 401 else 3)
        sys.exit(4)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


@SCENES.scenario("X04", "OK", drives=(Threads,))
def workers_are_forked_after_the_warm_up(stage: Stage) -> None:
    token = stage.issuing.token()
    script = FORKS.format(now=NOW, api=API)
    command = [sys.executable, "-c", script, stage.issuing.url, token, token[:-9] + "AAAAAAAAA"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[0, 0, 0, 0]", "")
    assert stage.fetches == 1


@SCENES.scenario("X04", "OK", drives=(Tasks,))
def an_event_loop_is_closed_and_another_one_used(stage: Stage) -> None:
    verifier, token = stage.verifier(), stage.issuing.token()
    for _ in range(3):
        assert stage.lets_in(verifier, token)  # each has a loop of its own
        stage.clock.at += SOFT_AGE
    assert stage.fetches == 3


@SCENES.scenario("X04", "OK", drives=(Tasks,))
def threads_and_loops_are_mixed(stage: Stage) -> None:
    settings, token = stage.settings(), stage.issuing.token()
    threaded, tasked = Verifier(settings, clock=stage.clock), AsyncVerifier(settings, clock=stage.clock)

    async def mixed() -> set[str]:
        first = threaded.verify(token)
        other = await asyncio.to_thread(threaded.verify, token)
        return {first.subject, other.subject, (await tasked.verify(token)).subject}

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(lambda: asyncio.run(settled(mixed()))) for _ in range(8)]
        assert [loop.result(PATIENCE) for loop in loops] == [{SUBJECT}] * 8
    assert stage.fetches == 2


# --- what was good once -------------------------------------------------------------------------------------


@SCENES.scenario("X06", "T")
def a_token_that_was_good_is_refused_once_it_expired(stage: Stage) -> None:
    verifier, token = stage.verifier(), stage.issuing.token(exp=int(NOW) + 60)
    for _ in range(3):
        assert stage.lets_in(verifier, token)
    stage.clock.date += 90
    assert stage.ask(verifier, token) == EXPIRED.answer


@SCENES.scenario("X06", "T")
def a_token_that_was_good_is_refused_once_its_key_is_withdrawn(stage: Stage) -> None:
    verifier, token = stage.verifier(), stage.issuing.token()
    for _ in range(3):
        assert stage.lets_in(verifier, token)
    stage.serve(stage.other.key().jwk())
    stage.clock.at += SOFT_AGE
    stage.ask(verifier, token)  # it is this one that has the refresh begun
    assert stage.ask(verifier, token) == UNKNOWN_KEY.answer
    assert stage.lets_in(verifier, stage.other.token())


@SCENES.scenario("X06", "T")
def a_token_that_was_good_is_refused_once_its_key_is_another_one(stage: Stage) -> None:
    verifier, token, kid = stage.verifier(), stage.issuing.token(), stage.issuing.key().kid
    assert stage.lets_in(verifier, token)
    stage.serve(stage.other.key().jwk(kid=kid))
    stage.clock.at += SOFT_AGE
    stage.ask(verifier, token)
    assert stage.ask(verifier, token) == SIGNATURE.answer


@SCENES.scenario("X06", "T")
def a_token_that_was_good_is_refused_once_it_is_revoked(stage: Stage) -> None:
    verifier, token = stage.verifier(), stage.issuing.rfc9068_token()
    other = stage.issuing.rfc9068_token(jti="id-2", sub="another")
    for _ in range(2):
        assert stage.lets_in(verifier, token)
        assert stage.lets_in(verifier, other)
    stage.done(verifier.revoke(stage.drive.verify(verifier, token)))
    assert stage.ask(verifier, token) == REVOKED.answer
    assert stage.lets_in(verifier, other)
    stage.done(verifier.revoke(issuer=stage.issuing.url, subject="another"))
    assert stage.ask(verifier, other) == REVOKED.answer


@SCENES.scenario("X06", "T")
def what_begins_as_a_good_token_does_is_not_one(stage: Stage) -> None:
    verifier, token = stage.verifier(), stage.issuing.token()
    head, payload, signature = token.split(".")
    for _ in range(3):
        assert stage.lets_in(verifier, token)
    worse = stage.issuing.token(sub="admin").split(".")
    changed = [
        f"{head}.{worse[1]}.{signature}",
        f"{head}.{payload}.{worse[2]}",
        f"{token[:-1]}",
        f"{token}A",
        f"{token}.",
        *each_in_other_case(token),
    ]
    refused = all_refused(stage.drive, verifier, iter(changed))
    assert [text for text, found in refused if not hasattr(found, "status") or found.status != 401] == []


@SCENES.scenario("X06", "T")
def a_token_that_is_good_elsewhere_is_not_good_here(stage: Stage) -> None:
    one, other = stage.verifier(), stage.verifier(identifier="https://other.test/")
    mine, theirs = stage.issuing.token(), stage.issuing.token(aud="https://other.test/")
    for _ in range(2):
        assert stage.lets_in(one, mine)
        assert stage.lets_in(other, theirs)
        assert not stage.lets_in(one, theirs)
        assert not stage.lets_in(other, mine)


@SCENES.scenario("X06+", "OK")
def what_an_application_does_to_a_token_changes_nothing_for_the_next(stage: Stage) -> None:
    verifier, text = stage.verifier(), stage.issuing.token(permissions=["read:messages"], x={"y": [1]})
    token = stage.drive.verify(verifier, text)
    token.claims["permissions"].append("admin:all")
    token.claims["x"]["y"].clear()
    token.header.copy()["alg"] = "none"
    for again in (token, stage.drive.verify(verifier, text)):
        assert again.permissions == {"read:messages"}
        assert again.claims["x"] == {"y": [1]}
        assert again.header["alg"] == "RS256"


# --- what is said -------------------------------------------------------------------------------------------


def _said_of(error: BaseException) -> Iterator[str]:
    yield str(error)
    yield repr(error)
    yield repr(vars(error))
    yield "".join(traceback.format_exception(error))


@SCENES.scenario("X07", "T Q N V")
def no_token_and_no_secret_is_ever_repeated(stage: Stage) -> None:
    good = stage.issuing.token()
    bad = {
        "expired": stage.issuing.token(exp=1),
        "of another issuer": stage.issuing.token(iss="https://evil.test/"),
        "for another API": stage.issuing.token(aud="x"),
        "unsigned": good.rpartition(".")[0] + ".",
        "cut": good[:-9],
        "padded": good + "==",
        "in four": good + ".x",
        "in five": good + ".x.y",
        "with commas": good.replace(".", ","),
        "of a kid": stage.issuing.token(header={"kid": "x"}),
        "too large": stage.issuing.token(pad="x" * 20_000),
        "good": good,
    }
    made = [stage.verifier(), stage.verifier(signing_algorithms=["HS256"], signing_secret=SECRET)]
    said = [text for verifier in made for text in (repr(verifier), repr(verifier.settings), repr(vars(verifier)))]
    for verifier in made:
        for token in bad.values():
            for value in (f"Bearer {token}", f"Bearer {token} x", f"Bearer {token}, Bearer {token}", token):
                request = Request("GET", f"{API}?access_token={token}", [("Authorization", value)])
                said.append(repr(request))
                found = stage.drive.outcome(verifier, request)
                if isinstance(found, AuthError):
                    said += [*_said_of(found), repr(found.headers), repr(found.body)]
                else:
                    said += [repr(found), str(found)]
    text = "\n".join(said)
    segments = ".".join(token.replace(",", ".") for token in bad.values())
    assert repeated(segments, text) == []
    assert SECRET.decode() not in text


@SCENES.scenario("X07+", "OK")
def a_token_that_is_copied_or_pickled_still_does_not_print_itself(stage: Stage) -> None:
    token = stage.drive.verify(stage.verifier(), stage.issuing.token())
    again = [copy.copy(token), copy.deepcopy(token)]
    assert [one for one in (token, *again) if repeated(one.raw, f"{one!r} {one!s} {one}")] == []
    error = next(_pickled(stage))
    assert told(pickle.loads(pickle.dumps(error))) == told(error)


def _pickled(stage: Stage) -> Iterator[AuthError]:
    found = stage.drive.outcome(stage.verifier(), Request("GET", API, [("Authorization", "Bearer a.b.c")]))
    assert isinstance(found, AuthError)
    yield found


# --- settings -----------------------------------------------------------------------------------------------

ISSUERS: Final = [Issuer("https://issuer.test/")]


def with_settings(**changes: Any) -> Callable[[], object]:
    return lambda: ApiSettings(**{"identifier": API, "issuers": ISSUERS, **changes})


def _issuer(**changes: Any) -> Callable[[], object]:
    given = {"url": "https://issuer.test/", **changes}
    return lambda: ApiSettings(identifier=API, issuers=[Issuer(given.pop("url"), **given)])


def _each(setting: str, values: dict[str, Any], name: str = "X09+") -> list[Attack]:
    return mistakes(
        name, setting, {f"{setting}: {about}": with_settings(**{setting: value}) for about, value in values.items()}
    )


def _short() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return with_settings(signing_algorithms=["HS256"], signing_secret=b"0123456789abcde", short_secret=True)()


SETTINGS: Final[list[Attack]] = [
    *mistakes("X09", "identifier", {"an empty audience": with_settings(identifier="")}),
    *mistakes("X09", "signing_algorithms", {"none": with_settings(signing_algorithms=["none"])}),
    *mistakes(
        "X09",
        "jwks",
        {
            "HS256 with public keys": lambda: ApiSettings(
                identifier=API,
                issuers=[Issuer("https://issuer.test/", jwks_uri="https://issuer.test/jwks")],
                signing_algorithms=["HS256"],
                signing_secret=SECRET,
            )
        },
    ),
    *mistakes("X09", "issuer", {"an issuer over http": _issuer(url="http://issuer.test/")}),
    *mistakes("X09", "leeway", {"an hour of leeway": with_settings(leeway=3_600)}),
    *_each(
        "identifier",
        {
            "none": None,
            "no list": [],
            "an empty one in a list": [API, ""],
            "a number": 7,
            "octets": b"https://api.test/",
        },
    ),
    *_each(
        "signing_algorithms",
        {
            "an empty list": [],
            "none beside others": ["RS256", "none"],
            "in lower case": ["rs256"],
            "what nobody knows": ["XS256"],
            "a number": [256],
            "secrets and public keys": ["RS256", "HS256"],
            "HS384": ["HS384"],
            "a space behind": ["RS256 "],
            "encryption": ["RSA-OAEP-256"],
        },
    ),
    *_each(
        "leeway",
        {"negative": -1, "no number": float("nan"), "infinite": float("inf"), "a text": "30", "301": 301, "true": True},
    ),
    *_each("profile", {"what nobody knows": "oidc", "in capitals": "RFC9068", "a number": 9068}),
    *_each("token_lifetime", {"zero": 0, "negative": -1, "a fraction": 0.5, "a text": "60", "true": True}),
    *_each("max_token_bytes", {"zero": 0, "10": 10, "10 MB": 10**7, "a text": "16384", "true": True}),
    *_each(
        "realm",
        {
            "a quote": 'x", error="none',
            "a backslash": "x\\",
            "a new line": "x\r\nSet-Cookie: y",
            "letters that are not ASCII": "caf\u00e9",
            "nothing in it": "",
            "a number": 7,
        },
    ),
    *_each(
        "resource_metadata_url",
        {
            "http": "http://api.test/x",
            "a quote": 'https://api.test/"',
            "a new line": "https://api.test/\r\nX: y",
            "a path": "/x",
        },
    ),
    *_each("permissions_in_token", {"a text": "false", "a number": 1, "none": None}),
    *_each("resolver", {"a text": "https://issuer.test/", "a number": 7}),
    *mistakes(
        "X09+",
        "domain",
        {
            "a path in the domain": lambda: ApiSettings(identifier=API, domain="tenant.auth0.com/x"),
            "an address as domain": lambda: ApiSettings(identifier=API, domain="10.0.0.1"),
            "a user in the domain": lambda: ApiSettings(identifier=API, domain="x@tenant.auth0.com"),
            "http and a domain": lambda: ApiSettings(identifier=API, domain="http://tenant.auth0.com"),
            "a new line in the domain": lambda: ApiSettings(identifier=API, domain="tenant.auth0.com\n"),
            "an empty domain": lambda: ApiSettings(identifier=API, domain=""),
            "a domain of letters that are not ASCII": lambda: ApiSettings(
                identifier=API, domain="ten\u0430nt.auth0.com"
            ),
        },
    ),
    *mistakes(
        "X09+",
        "issuer",
        {
            "no address": _issuer(url="issuer.test"),
            "an empty one": _issuer(url=""),
            "a query": _issuer(url="https://issuer.test/?x"),
            "a fragment": _issuer(url="https://issuer.test/#"),
            "a user": _issuer(url="https://user@issuer.test/"),
            "a file": _issuer(url="file:///issuer"),
            "a space": _issuer(url="https://issuer.test/ "),
            "a pattern of hosts": _issuer(url="https://*.issuer.test /"),
            "an issuer of letters that are not ASCII": _issuer(url="https://\u0456ssuer.test/"),
            "a number": _issuer(url=7),
        },
    ),
    *mistakes(
        "X09+",
        "jwks",
        {
            "no key in the set": _issuer(jwks={"keys": []}),
            "a set that is a text": _issuer(jwks="RSA-1"),
            "a set with a member twice": _issuer(jwks='{"keys": [], "keys": []}'),
            "a private key in PEM": _issuer(jwks="-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
            "keys that are given and fetched": _issuer(jwks={"keys": []}, jwks_uri="https://issuer.test/jwks"),
        },
    ),
    *mistakes("X09+", "signing_secret", {"15 octets, where short ones are admitted": _short}),
    *mistakes(
        "X09+",
        "signing_secret",
        {"a secret where nobody signs with it": with_settings(signing_secret=SECRET)},
    ),
    *mistakes(
        "X09+",
        "JWTGATE_LEWAY",
        {
            "a variable that is misspelt": lambda: ApiSettings.from_env(
                {"AUTH0_DOMAIN": "tenant.auth0.com", "AUTH0_AUDIENCE": API, "JWTGATE_LEWAY": "0"}
            )
        },
    ),
    *mistakes(
        "X09+",
        "AUTH0_AUDIENCE",
        {"no audience in the environment": lambda: ApiSettings.from_env({"AUTH0_DOMAIN": "tenant.auth0.com"})},
    ),
]

CASES: Final = [*SCENES, *SETTINGS]
