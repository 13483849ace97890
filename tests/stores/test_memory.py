"""The memory of one process: small, bounded, and exact."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from hashlib import sha256

import pytest

from jwtgate import StoreUnavailable
from jwtgate.core.effects import RememberProof
from jwtgate.core.revocations import Revocation
from jwtgate.core.values import MAX_LEEWAY
from jwtgate.stores import MemoryStore, SeenProofs
from jwtgate.stores.proofs import DIGEST, PACKED, WIDTH
from tests.making import NOW
from tests.stores.servers import proof

BYTES_PER_PROOF = 200
ROW = PACKED // DIGEST


# ----------------------------------------------------------------------------------------------------------------- size

# The table of a dict has just grown at these counts, and is as empty as it will ever be.
AFTER_GROWTH = 10_923, 87_382
OF_EACH = [1, 2, ROW, ROW + 1, 78, 1_000_000]
FEW = [(count, of_each) for count in (1_000, AFTER_GROWTH[0]) for of_each in OF_EACH]


@pytest.mark.parametrize(("count", "of_each"), [*FEW, (AFTER_GROWTH[1], 1), (AFTER_GROWTH[1], ROW + 1)])
def test_a_live_proof_costs_less_than_200_bytes(count: int, of_each: int) -> None:
    def proofs() -> list[RememberProof]:
        digests = (sha256(str(number).encode()).digest() for number in range(count))
        # All within a few seconds, as they come: this is the worst, as a slice for itself has its own tables.
        return [
            RememberProof(f"{number // of_each:043}", digest, NOW + number * 8 / count, 1_000_000)
            for number, digest in enumerate(digests)
        ]

    sent, seen = proofs(), SeenProofs()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for one in sent:
            seen.remember(one, NOW)
        spent = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(seen) == count
    assert 15 < spent / count < BYTES_PER_PROOF


def test_a_flood_of_one_key_costs_its_limit_and_no_more() -> None:
    store = MemoryStore()
    tracemalloc.start()
    try:
        for number in range(20_000):
            store.remember(proof(str(number), limit=1_000), NOW)
        spent = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert spent < 1_000 * BYTES_PER_PROOF


# -------------------------------------------------------------------------------------------------------------- bounds


def test_no_live_proof_is_forgotten_for_a_new_one() -> None:
    store = MemoryStore(most=10)
    for number in range(10):
        assert store.remember(proof("1", f"key-{number}", expires=NOW + 10 * number), NOW) == "new"
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as refused:
            store.remember(proof("1", "one more"), NOW)
    ends = (NOW // WIDTH + 1) * WIDTH  # of the first slice
    assert refused.value.retry_after == max(1.0, ends - NOW)
    assert [store.remember(proof("1", f"key-{number}"), NOW) for number in range(10)] == ["seen"] * 10
    # There is room again as soon as the first have expired.
    assert store.remember(proof("1", "one more", expires=ends + 90), ends) == "new"


def test_what_has_expired_goes_in_slices_and_nothing_else() -> None:
    seen = SeenProofs()
    start = (NOW // WIDTH) * WIDTH
    for number in range(100):
        seen.remember(proof(str(number), expires=start + number), start)
    for at, left in ((WIDTH - 0.1, 100), (WIDTH, 84), (3 * WIDTH + 1, 52), (7 * WIDTH, 0)):
        seen.remember(proof("none", limit=0), start + at)  # it takes nothing, and looks
        assert len(seen) == left
    assert seen.remember(proof("1", expires=start + 200), start + 130) == "new"


@pytest.mark.parametrize("count", [1, ROW, ROW + 1, 500])
def test_each_of_one_keys_proofs_is_known_however_they_are_kept(count: int) -> None:
    seen = SeenProofs()
    sent = [proof(str(number), limit=count) for number in range(count)]
    assert [seen.remember(one, NOW) for one in sent] == ["new"] * count
    assert [seen.remember(one, NOW) for one in sent] == ["seen"] * count
    assert seen.remember(proof("one more", limit=count), NOW) == "full"
    # One that was not taken after all makes room.
    seen.forget(sent[0])
    seen.forget(sent[0])
    assert len(seen) == count - 1
    assert [seen.remember(one, NOW) for one in sent] == ["new"] + ["seen"] * (count - 1)


def test_a_limit_counts_all_that_live_whenever_they_expire() -> None:
    seen = SeenProofs()
    answers = [seen.remember(proof(str(number), expires=NOW + 20 * number, limit=3), NOW) for number in range(5)]
    assert answers == ["new", "new", "new", "full", "full"]


def test_revocations_are_bounded_and_make_room_when_they_expire() -> None:
    store = MemoryStore(most_revocations=2)
    for number in range(2):
        store.revoke(Revocation("iss", jti=str(number), expires=NOW + number), NOW)
    one_more = Revocation("iss", jti="2", expires=NOW + 600)
    with pytest.raises(StoreUnavailable):
        store.revoke(one_more, NOW)
    store.revoke(one_more, NOW + MAX_LEEWAY)
    assert [kept.jti for kept in store.changes("").revocations] == ["1", "2"]


def test_only_what_is_used_is_imported() -> None:
    code = """if True:
        import sys
        before = set(sys.modules)
        from jwtgate.stores import open_store
        open_store("memory://", identifier="a")
        print(*set(sys.modules) - before)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert "jwtgate.stores.memory" in loaded
    assert not {"redis", "sqlite3", "httpx", "jwtgate.stores.sqlite", "jwtgate.stores.redis"} & loaded
