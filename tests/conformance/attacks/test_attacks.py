"""The corpus: every known attack has its exact answer, through both verifiers, and where it is a request, each door."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from jwtgate import AccessToken, SettingsError, scope
from tests.conformance.attacks import corpus
from tests.conformance.attacks.answers import BAD_TOKENS, PASSED, insufficient_scope
from tests.conformance.attacks.cases import PLAIN, Check, Mistake, RequestAttack, Scenario, Sweep, TokenAttack, own_jwks
from tests.conformance.attacks.proofs import DPOP
from tests.conformance.attacks.request import HUNG_UP
from tests.conformance.attacks.stage import (
    DOORS,
    FIT_FOR_A_HEADER,
    MODES,
    Houses,
    Listener,
    Stage,
    all_refused,
    bearing,
    chosen_modes,
    listening,
    outcome,
    repeated,
    unfit,
    without_chance,
)
from tests.doors import JWKS, Answer, Closed, open_websocket
from tests.fault_server import FaultServer
from tests.loopback import Drive, Tasks, Threads
from tests.serving import started
from tests.test_adapters import SERVERS, ask_socket


@pytest.fixture(scope="module", params=chosen_modes())
def houses(request: pytest.FixtureRequest) -> Houses:
    return Houses(MODES[request.param])


@pytest.fixture
def log() -> Iterator[Listener]:
    yield from listening()


@pytest.fixture(scope="module")
def origin() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


both = pytest.mark.parametrize("drive", [Threads, Tasks], ids=["threads", "tasks"])
NEVER_GRANTED = insufficient_scope("never:granted")


# --- tokens -------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("attack", corpus.of(TokenAttack), ids=str)
def test_a_token_has_its_answer(houses: Houses, log: Listener, drive: Drive, attack: TokenAttack) -> None:
    verifier, token = houses.verifier(drive, attack.world), attack.forge()
    log.heard()
    calls = [lambda: drive.verify(verifier, token)] * 2
    if isinstance(token, str) and FIT_FOR_A_HEADER.fullmatch(token):
        calls.append(lambda: drive.verify_request(verifier, bearing(token)))
    for call in calls:
        found = outcome(call)
        if isinstance(found, AccessToken):
            assert attack.wanted.letter == "OK"
            harmless(found)
        else:
            assert found == attack.wanted.answer
    lines = log.heard()
    assert unfit(lines) == []
    assert repeated(token, "".join(lines)) == []


def harmless(token: AccessToken) -> None:
    """Whatever a good token says of its holder, neither a log line nor an answer is changed by it."""
    assert unfit([repr(token)]) == []
    assert outcome(lambda: token.require(scope("never:granted")) or token) == NEVER_GRANTED.answer


@pytest.mark.parametrize("attack", [attack for attack in corpus.of(TokenAttack) if attack.within], ids=str)
def test_a_refusal_costs_next_to_nothing(houses: Houses, attack: TokenAttack) -> None:
    verifier, token = houses.verifier(Threads, attack.world), attack.forge()
    best = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        outcome(lambda: verifier.verify(token))
        best = min(best, time.perf_counter() - began)
    assert attack.within is not None
    assert best < attack.within


@both
@pytest.mark.parametrize("sweep", corpus.of(Sweep), ids=str)
def test_no_change_of_a_good_token_is_let_in(houses: Houses, drive: Drive, sweep: Sweep) -> None:
    verifier, good = houses.verifier(drive, sweep.world), sweep.good()
    answers = [wanted.answer for wanted in BAD_TOKENS]
    changed = list(sweep.changed(good))
    assert good not in changed
    assert [token for token, found in all_refused(drive, verifier, iter(changed)) if found not in answers] == []
    assert isinstance(outcome(lambda: drive.verify(verifier, good)), AccessToken)


# --- requests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", corpus.of(RequestAttack), ids=str)
def test_a_request_has_its_answer_through_every_door(houses: Houses, attack: RequestAttack) -> None:
    sent = attack.make()
    doors = [door for door in DOORS if door not in attack.not_at]
    if attack.websocket:
        apps = {door: houses.app(door, attack.world) for door in doors}
        answers = {door: open_websocket(app, sent) for door, app in apps.items()}
        assert answers == dict.fromkeys(doors, attack.wanted.answer)
        # RFC 6455 section 7.4.1: a policy violation, where the server cannot answer a handshake.
        closed = {door: open_websocket(app, sent, denial=False) for door, app in apps.items()}
        assert closed == dict.fromkeys(doors, Closed(1008))
    else:
        told = {door: houses.door(door, attack.world)(sent) for door in doors}
        assert {door: answer for door, answer in told.items() if not fits(answer, attack)} == {}


def fits(answer: Answer, attack: RequestAttack) -> bool:
    wanted = attack.wanted.to(attack.make().method)
    return answer.status == wanted.status if attack.wanted is PASSED else answer == wanted


OVER_SOCKETS = [attack for attack in corpus.of(RequestAttack) if attack.world is PLAIN and not attack.websocket]


@pytest.mark.parametrize("attack", OVER_SOCKETS, ids=str)
@pytest.mark.parametrize(("server", "door"), [(server, doors[0]) for server, doors in SERVERS.items()])
def test_a_real_server_changes_no_answer(
    servers: dict[str, tuple[str, int]], server: str, door: str, attack: RequestAttack
) -> None:
    if door in attack.not_at:
        pytest.skip(attack.not_at[door])
    sent = attack.make()
    answer = ask_socket(servers[server], door, sent)
    if not fits(answer, attack):
        # Then it is the server's own, and no gate's.
        assert answer.status in attack.by_server
        assert not answer.values("www-authenticate")


COMMANDS = {
    "fastapi-requires": "uvicorn --factory tests.conformance.attacks.houses:over_asgi --fd {fd} --lifespan off",
    "flask-requires": "gunicorn --bind fd://{fd} --threads 4 'tests.conformance.attacks.houses:over_wsgi()'",
}
FITS_A_HEADER = 8_000  # octets that every server takes in one line


@pytest.fixture(scope="module", params=COMMANDS)
def dpop_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, tuple[str, int]]]:
    """The name of the door behind a server where DPoP is spoken, and its address."""
    told = {JWKS: json.dumps(own_jwks())}
    command, home = COMMANDS[request.param], tmp_path_factory.mktemp(request.param)
    with started(command, home, told, b"GET /public HTTP/1.1") as port:
        yield request.param, ("127.0.0.1", port)


DPOP_OVER_SOCKETS = [attack for attack in corpus.of(RequestAttack) if attack.world is DPOP]


@pytest.mark.parametrize("attack", DPOP_OVER_SOCKETS, ids=str)
def test_a_real_server_changes_no_answer_to_a_proof(
    dpop_server: tuple[str, tuple[str, int]], attack: RequestAttack
) -> None:
    door, address = dpop_server
    sent = attack.make()
    answer = without_chance(ask_socket(address, door, sent))
    if not fits(answer, attack):
        # Then it is the server's own, of a line that is too long for it or that holds what no line may.
        odd = [
            value for _, value in sent.lines if len(value) > FITS_A_HEADER or not value.decode("latin-1").isprintable()
        ]
        assert odd
        assert answer.status in (400, 431, HUNG_UP)
        assert not answer.values("www-authenticate")


# --- what holds for every answer ----------------------------------------------------------------------------


@pytest.mark.parametrize("check", corpus.of(Check), ids=str)
def test_what_holds_for_every_answer(check: Check) -> None:
    check.look()


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mistake", corpus.of(Mistake), ids=str)
def test_a_mistake_in_the_settings_is_found_when_they_are_built(mistake: Mistake) -> None:
    with pytest.raises(SettingsError) as refused:
        mistake.build()
    assert refused.value.setting == mistake.setting
    assert str(refused.value).isascii()


# --- scenarios ----------------------------------------------------------------------------------------------

SCENES = [(drive, scenario) for scenario in corpus.of(Scenario) for drive in scenario.drives]


@pytest.mark.parametrize(("drive", "scenario"), SCENES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_scenario_ends_as_it_must(
    houses: Houses, log: Listener, origin: FaultServer, drive: Drive, scenario: Scenario
) -> None:
    log.heard()
    scenario.play(Stage(drive, origin, houses.mode))
    assert unfit(log.heard()) == []


# --- the list itself ----------------------------------------------------------------------------------------


@pytest.fixture
def listed() -> dict[str, str]:
    found = corpus.listed()
    if found is None:
        pytest.skip(
            "set JWTGATE_VECTORS to the folder of vectors beside which attacks.tsv lies: the list is not kept here"
        )
    return found


def test_every_attack_that_is_listed_has_a_case_or_waits(listed: dict[str, str]) -> None:
    assert sorted(listed.keys() - {attack.id for attack in corpus.CASES}) == sorted(corpus.WAITING)


def test_no_case_has_an_id_that_is_not_listed(listed: dict[str, str]) -> None:
    assert {attack.id for attack in corpus.CASES if attack.id.removesuffix("+") not in listed} == set()


def test_every_case_is_answered_in_the_letters_that_are_listed(listed: dict[str, str]) -> None:
    wrong = [
        f"{attack}: {said}, listed {listed[attack.id]}"
        for attack in corpus.CASES
        if attack.id in listed
        and (said := corpus.letters_of(attack))
        and not said & (corpus.letters(listed[attack.id]) or said)
    ]
    assert wrong == []


def test_no_two_cases_have_one_name() -> None:
    names = [(attack.id, attack.about, type(attack), getattr(attack, "world", None)) for attack in corpus.CASES]
    assert [name for name in names if names.count(name) > 1] == []


def test_a_case_stands_in_the_group_of_its_letter() -> None:
    assert [
        str(attack) for letter, group in corpus.GROUPS.items() for attack in group.CASES if attack.id[0] != letter
    ] == []
