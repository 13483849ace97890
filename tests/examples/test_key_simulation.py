"""The simulated day keeps what the page about keys says of it, and the picture there is the one that it draws."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from examples.key_simulation import (
    BIN,
    DAY,
    FLOOD,
    MINUTE,
    OUTAGE,
    ROTATION,
    SEEDS,
    STEP,
    WITHDRAWAL,
    Day,
    draw,
    simulate,
)

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "explanation" / "keys.svg"


@pytest.fixture(scope="module")
def day() -> Day:
    return simulate()


def per_minute(day: Day, hours: range) -> list[int]:
    counted = Counter(int(at) // MINUTE for at, _ in day.fetches if hours.start <= at < hours.stop)
    return list(counted.values())


def test_no_valid_request_is_refused_all_day(day: Day) -> None:
    assert (day.valid, day.refused) == (len(SEEDS) * DAY // STEP, 0)


def test_the_new_key_is_taken_by_each_process_with_the_first_token_under_it(day: Day) -> None:
    assert day.new_at == [ROTATION] * len(SEEDS)


def test_the_withdrawn_key_is_taken_by_no_process_for_longer_than_ten_minutes(day: Day) -> None:
    assert len(day.old_at) == len(SEEDS)
    assert max(day.old_at.values()) - WITHDRAWAL < 10 * MINUTE


def test_a_quiet_hour_costs_each_process_one_fetch_in_ten_minutes_or_a_little_more(day: Day) -> None:
    quiet = [at for at, _ in day.fetches if MINUTE * 60 <= at < ROTATION]
    assert len(quiet) <= len(SEEDS) * (ROTATION - MINUTE * 60) / (0.8 * BIN) + len(SEEDS)


@pytest.mark.parametrize("hours", [FLOOD, range(OUTAGE.start + BIN, OUTAGE.stop)], ids=["flood", "outage"])
def test_a_bad_hour_costs_each_process_two_fetches_a_minute_at_most(day: Day, hours: range) -> None:
    counted = per_minute(day, hours)
    assert counted
    assert max(counted) <= 2 * len(SEEDS)


def test_every_token_of_the_flood_is_the_clients_fault(day: Day) -> None:
    assert day.random == {"UnknownKey": len(FLOOD) * 8}


def test_a_set_ages_only_while_the_issuer_is_away(day: Day) -> None:
    rises = {at for (_, before), (at, age) in pairwise(day.ages) if age > before and age > 11 * MINUTE}
    assert rises
    assert min(rises) >= OUTAGE.start
    assert max(rises) <= OUTAGE.stop


def test_the_picture_on_the_page_is_what_the_program_draws(day: Day) -> None:
    assert draw(day) == PICTURE.read_text(encoding="utf-8")
