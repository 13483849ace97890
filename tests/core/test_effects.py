"""What the core asks for, and what it hears where that cannot be had."""

from __future__ import annotations

from jwtgate.core.effects import FetchFailed


def test_a_failure_says_why_and_under_a_name_that_is_fit_for_a_label() -> None:
    plain, told = FetchFailed("it broke off"), FetchFailed("status 404", "status", 404)
    assert (str(plain), plain.reason, plain.trouble, plain.status) == ("it broke off", "it broke off", "request", None)
    assert (str(told), told.reason, told.trouble, told.status) == ("status 404", "status 404", "status", 404)
