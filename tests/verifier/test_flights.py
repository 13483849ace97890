"""A load for which somebody else has had the answer already is not flown again."""

from __future__ import annotations

from jwtgate import ApiSettings, Issuer
from jwtgate.core.effects import LoadKeys
from jwtgate.core.keys import keys_of
from jwtgate.verifier.flights import Flights
from tests.making import API, ISSUER, MOMENT, Issuing, drive


def test_who_asks_after_the_answer_has_come_boards_nothing() -> None:
    keys = keys_of(ApiSettings(identifier=API, issuers=[Issuer(ISSUER)]))[ISSUER]
    asked = LoadKeys(keys, keys.state.settled)
    drive(keys.load(keys.begin(), MOMENT), documents=Issuing().documents())
    assert Flights().board(asked, MOMENT) == (None, False)


def test_while_a_load_is_under_way_nobody_else_needs_to_ask() -> None:
    keys, flights = keys_of(ApiSettings(identifier=API, issuers=[Issuer(ISSUER)]))[ISSUER], Flights()
    assert keys.quiet_until <= MOMENT.monotonic
    flight, mine = flights.board(LoadKeys(keys, keys.state.settled), MOMENT)
    assert mine
    assert keys.quiet_until > MOMENT.monotonic
    assert flights.board(LoadKeys(keys, keys.state.settled), MOMENT) == (flight, False)
