"""Each check has its line in a report."""

from __future__ import annotations

import re

import pytest

from jwtgate import ApiSettings, Issuer
from jwtgate.core.profiles import PROFILES
from jwtgate.core.rules import CREDENTIALS, REQUIREMENT, RULES, STEPS, time_of
from jwtgate.core.settings import Policy
from jwtgate.core.values import Profile
from tests.making import API, ISSUER, NOW, Issuing

JWKS = Issuing().jwks()
SECTION = re.compile(r"RFC \d{4} section \d+(\.\d+)*|Auth0 \w+|setting \w+")


def policy_of(**changes: object) -> Policy:
    issuer = Issuer(ISSUER, jwks=JWKS, accept_typ=[None, "jwt", "own+jwt"])
    return ApiSettings(**{"identifier": API, "issuers": [issuer], **changes}).policies[ISSUER]  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_check_of_a_profile_has_a_line_of_its_own_name(profile: Profile) -> None:
    names = [rule.name for rule in (CREDENTIALS, *STEPS, *(RULES[check] for check in PROFILES[profile]), REQUIREMENT)]
    assert len(names) == len(set(names))


def test_no_line_is_of_a_check_that_nobody_runs() -> None:
    assert RULES.keys() == {check for checks in PROFILES.values() for check in checks}


@pytest.mark.parametrize("rule", [CREDENTIALS, *STEPS, *RULES.values(), REQUIREMENT], ids=lambda rule: rule.name)
def test_a_line_says_where_its_rule_is_written_and_what_would_pass(rule: object) -> None:
    assert SECTION.fullmatch(rule.section)  # type: ignore[attr-defined]
    assert rule.expects(policy_of(), NOW)  # type: ignore[attr-defined]


def expected(name: str, **changes: object) -> str | None:
    rules = {rule.name: rule for rule in (*STEPS, *RULES.values())}
    return rules[name].expects(policy_of(**changes), NOW)


def test_what_would_pass_follows_the_settings() -> None:
    assert expected("algorithm", signing_algorithms=["RS256", "PS256"]) == "PS256 or RS256"
    assert expected("audience", identifier=["https://one.test/", "https://two.test/"]) == (
        "https://one.test/ or https://two.test/"
    )
    assert expected("typ") == "at+jwt or jwt or none or own+jwt"
    assert expected("typ", profile="rfc9068") == "at+jwt or none or jwt or own+jwt"
    assert expected("lifetime", token_lifetime=600) != expected("lifetime")
    assert time_of(NOW - 7) in str(expected("expiry", leeway=7))
    assert time_of(NOW + 7) in str(expected("issued_at", leeway=7))


def test_a_time_is_told_in_utc_whatever_it_is() -> None:
    assert time_of(0) == "1970-01-01T00:00:00Z"
    assert time_of(-1) == "1970-01-01T00:00:00Z"
    assert time_of(1e300) == "9999-12-31T23:59:59Z"
