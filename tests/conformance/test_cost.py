"""What hostile input may cost, with slack for machines that do other things too: `python -m tests.conformance.cost`."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Sequence

import pytest

from jwtgate import ApiSettings, InvalidToken
from jwtgate.core.compact import CLAIMS_DEPTH, CLAIMS_MEMBERS, HEADER_DEPTH, HEADER_MEMBERS, KID_BYTES, parse
from jwtgate.core.dpop import NAME_BYTES, PROOF_SIZE
from jwtgate.core.jwk import JWKS_KEYS, PROOF_RSA_BITS, RSA_BITS, RSA_EXPONENT
from jwtgate.core.keys import JWKS_BYTES
from jwtgate.core.values import LATEST, MAX_LEEWAY
from jwtgate.verifier.fetching import CONNECT_SECONDS, TOTAL_SECONDS
from tests.conformance.cost import (
    JSON,
    JUNK,
    MEGABYTE,
    SIZE,
    Cost,
    Probe,
    Work,
    least,
    logged,
    main,
    measure,
    measure_all,
    search,
    table,
)
from tests.making import segment

# Times what is promised: other processes of the same run take the machine's time, and its caches. A run that counts
# coverage stops at each line besides.
SLACK = 4 if sys.gettrace() is None else 16


@pytest.fixture(scope="module")
def costs() -> list[Cost]:
    # What a whole run of tests has left on the heap is not to be walked while something is measured.
    gc.collect()
    gc.freeze()
    try:
        return measure_all(runs=5)
    finally:
        gc.unfreeze()


def of(costs: Sequence[Cost], group: str) -> list[Cost]:
    return [cost for cost in costs if cost.probe.group == group]


def test_nothing_costs_more_than_is_promised(costs: list[Cost]) -> None:
    assert [(cost.probe.group, cost.probe.name, cost.seconds) for cost in costs if cost.kept > SLACK] == []


def test_each_input_has_the_size_that_its_group_says(costs: list[Cost]) -> None:
    junk = of(costs, "1 MB of junk")
    assert all(cost.probe.work.size >= MEGABYTE / 4 for cost in junk)  # a wide letter is one character of four octets
    assert sum(cost.probe.work.size >= MEGABYTE - 10 for cost in junk) > len(junk) / 2
    others = [cost for cost in costs if cost not in junk]
    assert [cost.probe.name for cost in others if cost.probe.work.size > SIZE] == []
    assert sum(cost.probe.work.size > SIZE - 1_500 for cost in others) > 250


def test_each_input_is_refused_where_its_group_says(costs: list[Cost]) -> None:
    for group in ("1 MB of junk", "before the signature", "header lines"):
        answers = {cost.answer for cost in of(costs, group)}
        assert not {"accepted", "BadSignature", "ClaimRejected", "WrongAudience"} & answers
    assert {"MalformedToken", "HeaderRejected", "UntrustedIssuer", "UnknownKey", "OpaqueToken", "EncryptedToken"} <= {
        cost.answer for cost in of(costs, "before the signature")
    }
    assert {"accepted", "BadSignature", "WrongAudience"} <= {cost.answer for cost in of(costs, "16 KiB")}
    # A query is no part of what a proof is for: such a one holds, once.
    assert {cost.answer for cost in of(costs, "16 KiB, a proof")} <= {"InvalidProof", "ProofReplayed", "accepted"}


def test_the_limits_are_those_that_the_numbers_call_for() -> None:
    settings = ApiSettings(identifier="https://api.test/", domain="tenant.eu.auth0.com")
    assert (settings.max_token_bytes, PROOF_SIZE) == (16_384, 8_192)  # characters
    assert (HEADER_DEPTH, HEADER_MEMBERS, CLAIMS_DEPTH, CLAIMS_MEMBERS) == (4, 64, 32, 1_000)
    assert (KID_BYTES, NAME_BYTES) == (256, 256)
    assert (RSA_BITS, PROOF_RSA_BITS, RSA_EXPONENT) == ((2_048, 8_192), 4_096, (5, 2**32 - 1))
    assert (JWKS_BYTES, JWKS_KEYS, CONNECT_SECONDS, TOTAL_SECONDS) == (524_288, 100, 3, 5)
    assert (settings.leeway, MAX_LEEWAY, LATEST) == (30, 300, 253_402_300_799)


SHORT, LONG = 10_000, 40_000  # octets


@pytest.mark.parametrize("form", ["{}.AA.AA", "e30.{}.AA", "{}.AA.AA.AA.AA"], ids=["header", "payload", "five"])
def test_no_cost_grows_faster_than_the_input(form: str) -> None:
    """Where an API takes long tokens: four times the text costs about four times as much, and no sixteen times."""
    if form.startswith("e30"):
        form = form.replace("e30", segment({"alg": "RS256"}), 1)
    for name, write in JSON.items():
        short, long = (least(reading(form.format(segment(write(size)))), runs=3) for size in (SHORT, LONG))
        assert long < 9 * short + 0.5e-3, name


def reading(token: str) -> Work:
    def read() -> str:
        with contextlib.suppress(InvalidToken):
            parse(token, 1_000_000)
        return ""

    return Work(len(token), read)


def test_what_is_too_slow_is_seen() -> None:
    slow = measure(Probe("slow", "a million", Work(0, lambda: str(sum(range(1_000_000)))), JUNK), runs=2)
    assert slow.kept > 1
    assert "TOO SLOW" in table([slow])
    assert "TOO SLOW" not in table([measure(Probe("fast", "nothing", Work(0, str), 1.0), runs=2)])


def test_a_search_finds_more_of_what_is_slow() -> None:
    tried, found = logged(lambda: search(0.5, seed=1))
    assert tried > 20
    assert 1 <= len(found) <= 40
    assert {cost.probe.group for cost in found} == {"searched"}


def test_the_command_fails_where_anything_is_too_slow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], costs: list[Cost]
) -> None:
    from tests.conformance import cost as command

    monkeypatch.setattr(command, "measure_all", lambda: costs)
    assert main(["--slack", "1000"]) == 0
    assert main(["--slack", "0"]) == 1
    assert f"{len(costs)} inputs, {len(costs)} too slow" in capsys.readouterr().out
