"""What is accepted here others accept too; nothing near a good token is good; every way in gives the same answer."""

from __future__ import annotations

import functools
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jwtgate import AccessToken, ApiSettings, AuthError, InvalidToken, Issuer, Verifier
from jwtgate.core.compact import decode_base64url, parse
from jwtgate.core.errors import UnknownKey
from jwtgate.core.heads import Heads
from jwtgate.core.jwk import VerificationKey
from tests.conformance import differential
from tests.conformance.differential import (
    MEMBERS,
    PEERS,
    SIGNATURES,
    TEXTS,
    WRITERS,
    Clock,
    Result,
    Ways,
    compare,
    judged,
    run,
)
from tests.conformance.vectors import entered
from tests.doors import ASGI_DOORS, BARE_DOORS, WSGI_DOORS, Answer, Sent, ask_asgi, ask_wsgi, bare, settings_for
from tests.making import ABSENT, NOW, SECRET, Issuing, base64url, compact

ROOT = Path(__file__).parents[2]
TOKENS = 20_000
SEED = 1

# --- against PyJWT and joserfc --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result() -> Result:
    return run(TOKENS, SEED)


def test_whatever_is_accepted_here_the_others_accept_and_read_alike(result: Result) -> None:
    assert result.findings == []
    assert result.tokens == TOKENS


def test_enough_is_accepted_and_refused_to_tell(result: Result) -> None:
    """Each mutation was tried; each harmless one left good tokens, and no other did."""
    assert TOKENS * 0.15 < result.accepted < TOKENS * 0.5
    named = {mutation.__name__ for mutation in (*MEMBERS, *TEXTS)} | {name for name, _ in (*WRITERS, *SIGNATURES)}
    assert set(result.mutations) == named | {"spelling"}
    assert set(result.refused) >= {
        "AmbiguousKey",
        "BadSignature",
        "ClaimRejected",
        "EncryptedToken",
        "HeaderRejected",
        "MalformedToken",
        "OpaqueToken",
        "TokenExpired",
        "TokenTooLarge",
        "UnknownKey",
        "UntrustedIssuer",
        "WrongAudience",
        "WrongTokenKind",
    }
    harmless = {"fitting_claim", "fitting_parameter", "escaped", "indented", "raw_unicode", "reordered", "second_form"}
    assert harmless <= set(result.harmless)
    # Two names in one object, an envelope, a changed bit, another length: no good token has any of these.
    assert not {"repeated", "another_type", "flipped_bit", "lengthened", "shortened", "constant"} & set(result.harmless)


def test_a_disagreement_is_found() -> None:
    """A clock that lives in the past accepts what the others know to be over."""
    old = differential.draft_token(random.Random(SEED), now=1_000_000_000)
    past = Verifier(differential.settings(), clock=Clock(1_000_000_000))
    accepted = past.verify(old)
    found = Result()
    compare(accepted, old, found, "nothing")
    assert [(peer, done, token) for peer, _, done, token in found.findings] == [
        (peer, "nothing", old) for peer in PEERS
    ]


def test_other_claims_are_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    token = differential.draft_token(random.Random(SEED))
    accepted = Verifier(differential.settings()).verify(token)
    found = Result()
    monkeypatch.setitem(PEERS, "PyJWT", lambda token, issuer: {**accepted.claims, "sub": "another"})
    compare(accepted, token, found, "")
    assert [who for who, *_ in found.findings] == ["PyJWT"]


class OtherWays(Ways):
    """Of two minds, and neither is right."""

    def cold(self, token: str) -> AccessToken:
        raise UnknownKey(None, "") if "." in token else RuntimeError(token)


def test_two_minds_are_found() -> None:
    good = differential.draft_token(random.Random(SEED))
    for token in (good, "opaque", "a.b"):
        found = Result()
        judged(OtherWays(Clock(time.time())), token, found, "")
        assert [who for who, *_ in found.findings] == ["jwtgate"]
        assert found.findings[0][1].startswith("is of two minds")
        agreed = Result()
        judged(Ways(Clock(time.time())), token, agreed, "")
        assert agreed.findings == []


class BrokenClock(Clock):
    """It fails once it is broken."""

    def wall(self) -> float:
        if self.at < 0:
            raise RuntimeError("no time")
        return self.at


def test_what_is_not_ours_is_found() -> None:
    found, clock = Result(), BrokenClock(NOW)
    ways = Ways(clock)
    clock.at = -1
    assert judged(ways, "a.b.c", found, "") is None
    assert [(who, reason) for who, reason, *_ in found.findings] == [("jwtgate", "raised RuntimeError: no time")]


def test_tokens_of_a_known_head_go_the_short_way() -> None:
    """So that the comparison is one of two ways, and what is near a good token is looked at in the short one."""
    ways = Ways(Clock(NOW))
    first, second = (differential.draft_token(random.Random(SEED), int(NOW) - more) for more in (0, 1))
    assert first.split(".")[0] == second.split(".")[0]
    assert parse.__code__ in entered(lambda: ways.warm.verify(first))
    short = entered(lambda: ways.warm.verify(second))
    assert parse.__code__ not in short
    assert {Heads.recognise.__code__, VerificationKey.check.__code__, decode_base64url.__code__} <= short
    assert VerificationKey.check.__code__ not in entered(lambda: ways.warm.verify(second))  # it is remembered
    assert parse.__code__ in entered(lambda: ways.cold(second))


def test_a_seed_makes_the_same_mutations_again() -> None:
    assert run(200, 5).mutations == run(200, 5).mutations != run(200, 6).mutations


def test_the_command_prints_its_seed_and_splits_the_work() -> None:
    command = [sys.executable, "-m", "tests.conformance.differential", "--tokens", "400", "--seed", "7"]
    alone, together = (
        subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout
        for more in ([], ["--processes", "2"])
    )
    for said in (alone, together):
        assert "seed 7: 400 tokens" in said
        assert "FINDING" not in said
    mutations = [next(line for line in said.splitlines() if line.startswith("mutations")) for said in (alone, together)]
    assert mutations[0] == mutations[1]


# As if neither of the two libraries that make it faster were there.
PLAIN = """
import sys
sys.modules.update(orjson=None, pybase64=None)
from tests.conformance.differential import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_standard_library_alone_agrees_too() -> None:
    command = [sys.executable, "-c", PLAIN, "--tokens", "5000", "--seed", "11"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "5000 tokens" in done.stdout


# --- every neighbour of a good token --------------------------------------------------------------------------------

ISSUING = Issuing()
NEAR = ("RS256", "PS256", "ES256", "EdDSA", "HS256")
INSERTED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0é"


@functools.cache
def good(algorithm: str) -> str:
    """As short as a token may be, and with every kind of character in it."""
    changes = dict.fromkeys(("azp", "gty", "scope"), ABSENT)
    claims = ISSUING.claims(**changes)
    return compact({"alg": algorithm, "typ": "JWT"}, claims, SECRET if algorithm == "HS256" else ISSUING.key(algorithm))


@functools.cache
def verifier(algorithm: str) -> Verifier:
    if algorithm == "HS256":
        issuer = Issuer(ISSUING.url, signing_secret=SECRET, signing_algorithms=["HS256"])
    else:
        keys = ISSUING.jwks(ISSUING.key(algorithm).jwk())
        issuer = Issuer(ISSUING.url, jwks=keys, signing_algorithms=[algorithm])
    return Verifier(ApiSettings(identifier=ISSUING.identifier, issuers=[issuer]), clock=Clock(NOW))


def flipped(token: str) -> Iterator[str]:
    """With one bit of one octet the other way."""
    for place, letter in enumerate(token):
        for bit in range(8):
            yield token[:place] + chr(ord(letter) ^ 1 << bit) + token[place + 1 :]


def inserted(token: str) -> Iterator[str]:
    for place in range(len(token) + 1):
        for letter in INSERTED:
            yield token[:place] + letter + token[place:]


def deleted(token: str) -> Iterator[str]:
    for place in range(len(token)):
        yield token[:place] + token[place + 1 :]


def swapped(token: str) -> Iterator[str]:
    """With two neighbours in each other's place, where they differ; and as many pairs from afar."""
    rng = random.Random(SEED)
    pairs = [(place, place + 1) for place in range(len(token) - 1)]
    pairs += [(min(pair), max(pair)) for pair in (rng.sample(range(len(token)), 2) for _ in token)]
    for one, other in pairs:
        if token[one] != token[other]:
            letters = list(token)
            letters[one], letters[other] = letters[other], letters[one]
            yield "".join(letters)


def accepted_among(tokens: Iterator[str], own: Verifier) -> tuple[int, list[str]]:
    count, accepted = 0, []
    for token in tokens:
        count += 1
        try:
            own.verify(token)
        except InvalidToken:
            continue
        accepted.append(token)
    return count, accepted


@pytest.mark.parametrize("neighbours", [flipped, inserted, deleted, swapped])
@pytest.mark.parametrize("algorithm", NEAR)
def test_no_neighbour_of_a_good_token_is_good(algorithm: str, neighbours: Callable[[str], Iterator[str]]) -> None:
    token = good(algorithm)
    assert verifier(algorithm).verify(token).subject == ISSUING.claims()["sub"]
    count, accepted = accepted_among(neighbours(token), verifier(algorithm))
    assert count >= len(token) - 1
    assert accepted == []


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


def test_of_an_ecdsa_signature_there_is_one_other_form() -> None:
    """(r, n - s) is as good as (r, s), so that no signature identifies a token; nothing else made of the two is."""
    signing_input, _, third = good("ES256").rpartition(".")
    octets = decode_base64url(third)
    r, s = int.from_bytes(octets[:32]), int.from_bytes(octets[32:])

    def token(*halves: int) -> Iterator[str]:
        yield f"{signing_input}.{base64url(b''.join(half.to_bytes(32) for half in halves))}"

    assert accepted_among(token(r, ORDER - s), verifier("ES256"))[1]
    for halves in ((ORDER - r, s), (ORDER - r, ORDER - s), (s, r), (r + ORDER if r + ORDER < 2**256 else 0, s)):
        assert accepted_among(token(*halves), verifier("ES256")) == (1, [])


# --- every way in ---------------------------------------------------------------------------------------------------

SAMPLE = 60


@functools.cache
def settings() -> ApiSettings:
    return settings_for(ISSUING.jwks())


@functools.cache
def sample() -> tuple[str, ...]:
    """Tokens of another seed, as far as a header line can hold them."""
    rng = random.Random(SEED + 1)
    tokens = (differential.mutated(rng, int(NOW))[0] for _ in range(10 * SAMPLE))
    fit = [token for token in tokens if token.isascii() and token.isprintable() and len(token) < 4_000]
    return tuple(fit[:SAMPLE])


def asked(token: str) -> Sent:
    return Sent(lines=[(b"Authorization", f"Bearer {token}".encode())])


@functools.cache
def wanted() -> tuple[Answer, ...]:
    """What the verifier says, with no framework around it."""
    ask = bare(settings())
    return tuple(ask(asked(token)) for token in sample())


@pytest.mark.parametrize("door", [*BARE_DOORS, *WSGI_DOORS, *ASGI_DOORS])
def test_every_way_in_gives_the_same_answer(door: str) -> None:
    assert [ways_in(door)(asked(token)) for token in sample()] == list(wanted())


def ways_in(door: str) -> Callable[[Sent], Answer]:
    if door in BARE_DOORS:
        return BARE_DOORS[door](settings())
    if door in WSGI_DOORS:
        return functools.partial(ask_wsgi, WSGI_DOORS[door](settings()))
    return functools.partial(ask_asgi, ASGI_DOORS[door](settings()))


def test_the_sample_holds_answers_of_several_kinds() -> None:
    statuses = [answer.status for answer in wanted()]
    assert len(statuses) == SAMPLE
    assert {200, 401} <= set(statuses)
    assert 0.1 < statuses.count(200) / SAMPLE < 0.6
    assert len({answer.body for answer in wanted()}) > 5


def test_a_token_has_one_answer_as_text_and_in_a_request() -> None:
    """But for what no Authorization header may hold: as a text it is just no token."""
    own = Verifier(settings(), clock=Clock(NOW))
    alike = [401 if answer.status == 400 else answer.status for answer in wanted()]
    assert [status_of(own.verify, token) for token in sample()] == alike


def status_of(verify: Callable[[str], Any], token: str) -> int:
    try:
        verify(token)
    except AuthError as error:
        return error.status
    return 200
