"""One Authorization header with one token in it is read; every other one is refused by its grammar, unread."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtgate.core.errors import AuthError, InvalidRequest, MissingCredentials, TokenTooLarge
from jwtgate.core.request import LONGEST_LINE, Credentials, Request, is_token, read_credentials, scheme_of
from tests.making import Issuing

LIMIT = 16_384
URL = "https://api.test/messages"
TOKEN = Issuing().token()
ABOUT_THE_SCHEME = 64  # characters that a header may have beyond the token's limit


def request(*headers: Any, method: str = "GET", url: str = URL) -> Request:
    return Request(method, url, headers)


def authorization(*values: str) -> Request:
    return request(("host", "api.test"), *(("authorization", value) for value in values), ("accept", "*/*"))


def read(given: Request, schemes: tuple[str, ...] = ("Bearer",)) -> Credentials:
    return read_credentials(given, schemes, LIMIT)


def refusal(given: Request) -> type[AuthError]:
    with pytest.raises(AuthError) as refused:
        read(given)
    assert TOKEN not in str(refused.value)
    return type(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {TOKEN}",
        f"bearer {TOKEN}",
        f"BEARER {TOKEN}",
        f"bEaReR {TOKEN}",
        f"Bearer  {TOKEN}",  # R03
        f"Bearer{' ' * 50}{TOKEN}",
        f" Bearer {TOKEN} ",  # RFC 9110 section 5.5: not part of the value
        f"\t Bearer {TOKEN}\t",
    ],
)
def test_one_token_is_read(value: str) -> None:
    assert read(authorization(value)) == Credentials("Bearer", TOKEN)


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION", "aUTHORIZATION"])
def test_the_header_is_found_whatever_its_case(name: str) -> None:
    assert read(request((name, f"Bearer {TOKEN}"))).token == TOKEN


@pytest.mark.parametrize("token", ["x", "a.b.c", "AZaz09-._~+/=", "====", "a=b", ".", "~", "a" * LIMIT])
def test_the_token_is_not_looked_into(token: str) -> None:
    """What is wrong with a token makes it an invalid token, not an invalid request (RFC 6750 section 3.1)."""
    assert read(authorization(f"Bearer {token}")).token == token


@pytest.mark.parametrize("method", ["GET", "HEAD", "TRACE", "OPTIONS", "PRI", "get", "", "X-ANY"])
@pytest.mark.parametrize("url", [URL, "https://api.test/evil?x=/messages", "https://user@api.test#", "", "//", "*"])
def test_neither_method_nor_address_changes_anything(method: str, url: str) -> None:
    """R22, R24."""
    assert read(request(("authorization", f"Bearer {TOKEN}"), method=method, url=url)).token == TOKEN
    assert refusal(request(method=method, url=url)) is MissingCredentials


@pytest.mark.parametrize(
    "headers",
    [
        [],  # R01
        [("cookie", f"access_token={TOKEN}; authorization=Bearer {TOKEN}")],  # R16
        [("proxy-authorization", f"Bearer {TOKEN}")],
        [("x-forwarded-authorization", f"Bearer {TOKEN}")],  # R18
        [("authorization_", f"Bearer {TOKEN}"), ("_authorization", f"Bearer {TOKEN}")],
        [("http_authorization", f"Bearer {TOKEN}"), ("authorization ", f"Bearer {TOKEN}")],
        [("authorizati\u00f6n", f"Bearer {TOKEN}"), ("autHor\u0131zation", f"Bearer {TOKEN}")],
        [("authorization", "")],
        [("authorization", "   \t")],
        [("authorization", TOKEN)],  # R10
        [("authorization", "opaque")],
        [("authorization", "Basic dXNlcjpwYXNz")],  # R09
        [("authorization", "Negotiate")],
        [("authorization", "DPoP abc")],
        [("authorization", 'Digest username="a", realm="b", uri="/", response="c"')],
        [("authorization", 'Digest username="a", realm ="b", uri = "/"')],
        [("authorization", f"Bearers {TOKEN}")],
        [("authorization", f"Bearer{TOKEN}")],
        [("authorization", f"X-Bearer {TOKEN}")],
        [("authorization", f"\u00a0Bearer {TOKEN}")],
        [("authorization", f"\nBearer {TOKEN}")],
        [("authorization", f"\uff22earer {TOKEN}")],
        [("authorization", f'"Bearer" {TOKEN}')],
        [("authorization", "Basic " + "x" * 1_000_000)],  # R12
    ],
    ids=range(24),
)
def test_no_credentials_that_are_spoken_here(headers: list[tuple[str, str]]) -> None:
    assert refusal(request(*headers)) is MissingCredentials


def test_a_token_in_the_address_is_not_looked_for() -> None:
    """R13: RFC 6750 section 2.3 is not spoken."""
    assert refusal(request(url=f"{URL}?access_token={TOKEN}")) is MissingCredentials


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",  # R10
        "bearer",
        "Bearer ",  # S01
        "Bearer    \t",
        f"Bearer\t{TOKEN}",  # R04
        f"Bearer \t{TOKEN}",
        f"Bearer\u00a0{TOKEN}",
        f"Bearer\n {TOKEN}",
        f"Bearer\r\n {TOKEN}",
        f"Bearer\x0b{TOKEN}",
        f"Bearer\x00{TOKEN}",
        f"Bearer\u3000{TOKEN}",
        f"Bearer:{TOKEN}",
        f"Bearer,{TOKEN}",
        f"Bearer;{TOKEN}",
        f'Bearer "{TOKEN}"',
        f"Bearer ,{TOKEN}",
        f"Bearer {TOKEN},",
        f"Bearer {TOKEN} {TOKEN}",  # R06
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        f"Bearer {TOKEN},Bearer {TOKEN}",
        f"Bearer {TOKEN}, Basic abc",
        f"Bearer {TOKEN}, realm=a",
        f"Bearer Bearer {TOKEN}",
        f"Bearer {TOKEN}\n",
        f"Bearer {TOKEN}\x00",
        f"Bearer {TOKEN}é",
        f"Bearer {TOKEN}\u0661",
        f"Bearer {TOKEN}\ud800",
        f"Bearer {TOKEN}%20",
        f"Bearer {TOKEN}#",
        f"Bearer <{TOKEN}>",
        f"Bearer {TOKEN}\\",
        f"Bearer token={TOKEN}; a",
        f"Basic abc, Bearer {TOKEN}",
        f"Negotiate,Bearer {TOKEN}",
        f'Digest a="b", Bearer {TOKEN}',
    ],
)
def test_a_header_that_breaks_its_grammar_is_an_invalid_request(value: str) -> None:
    assert refusal(authorization(value)) is InvalidRequest


@pytest.mark.parametrize(
    "values",
    [
        (f"Bearer {TOKEN}", f"Bearer {TOKEN}"),  # R07
        (f"Bearer {TOKEN}", "Basic abc"),
        ("Basic abc", f"Bearer {TOKEN}"),
        ("Basic abc", f"bearer {TOKEN}"),
        (f"Bearer {TOKEN}", ""),
        ("", f"Bearer {TOKEN}"),
        (f"Bearer {TOKEN}", f"DPoP {TOKEN}"),
        ("Basic abc", "Basic def", f"Bearer {TOKEN}"),
    ],
)
def test_two_headers_are_an_invalid_request_however_a_server_joins_them(values: tuple[str, ...]) -> None:
    """R07: some servers hand over both lines, others one line with a comma."""
    assert refusal(authorization(*values)) is InvalidRequest
    assert refusal(authorization(",".join(values))) is InvalidRequest
    assert refusal(authorization(", ".join(values))) is InvalidRequest


def test_two_headers_stay_two_beyond_the_limit() -> None:
    assert refusal(authorization("Bearer " + "a" * LIMIT, "Bearer " + "b" * LIMIT)) is InvalidRequest


def test_two_headers_whose_names_differ_in_case_are_two() -> None:
    headers = [("authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    assert refusal(request(*headers)) is InvalidRequest


def test_a_header_beyond_the_limit_is_refused_by_its_length() -> None:
    """R12: before its grammar is looked at."""
    longest = LIMIT + ABOUT_THE_SCHEME
    assert read(authorization("Bearer " + "a" * (longest - 7))).scheme == "Bearer"
    for value in ("Bearer " + "a" * (longest - 6), "Bearer" + " " * longest + "a", "Bearer " + "\x00" * longest):
        with pytest.raises(TokenTooLarge) as refused:
            read(authorization(value))
        assert (refused.value.size, refused.value.limit) == (len(value), LIMIT)


@pytest.mark.parametrize(
    "value",
    ["Bearer " + " a" * 500_000, "Basic " + ",a " * 300_000, "Basic " + "," * 1_000_000, "a" * 1_000_000,
     "Basic ,a" + " " * 1_000_000, "Basic " + ",a" * 500_000],
    ids=lambda value: value[:12],
)  # fmt: skip
def test_a_header_of_a_megabyte_costs_next_to_nothing(value: str) -> None:
    started = time.perf_counter()
    for _ in range(10):
        refusal(authorization(value))
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "headers",
    [
        None,
        5,
        [None],
        [5],
        ["authorization"],
        [("authorization",)],
        [("authorization", "Bearer", "x")],
        [(None, "Bearer x")],
        [("authorization", None)],
        [("authorization", b"Bearer x")],
        [(b"authorization", b"Bearer x")],
        [("authorization", 5)],
    ],
)
def test_headers_of_another_shape_are_refused_and_not_read_as_none(headers: Any) -> None:
    assert refusal(Request("GET", URL, headers)) is InvalidRequest


def test_the_scheme_is_named_as_the_api_spells_it() -> None:
    for sent in ("dpop", "DPOP", "DPoP"):
        assert read(authorization(f"{sent} {TOKEN}"), ("Bearer", "DPoP")) == Credentials("DPoP", TOKEN)
    assert read(authorization(f"BEARER {TOKEN}"), ("Bearer", "DPoP")).scheme == "Bearer"
    with pytest.raises(MissingCredentials):
        read(authorization(f"Bearer {TOKEN}"), ("DPoP",))


def test_all_lines_of_a_name_are_found_in_their_order() -> None:
    given = request(("Via", " a\t"), ("host", "x"), ("VIA", "b"), ("via", ""))
    assert given.values("via") == ["a", "b", ""]
    assert given.values("none") == []


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (" \t a\t ", "a"),
        (" Xa X\t", "Xa X"),
        ("\x0b a\xa0", "\x0b a\xa0"),  # white space elsewhere, and none in HTTP
        (" " + "a" * (LONGEST_LINE - 2) + " ", "a" * (LONGEST_LINE - 2)),
        (" " + "a" * LONGEST_LINE + " ", "a" * LONGEST_LINE + " "),  # of a longer line, the end is not looked at
        (" \tX" + "a" * LONGEST_LINE, "X" + "a" * LONGEST_LINE),
        ("\x0b" + "a" * LONGEST_LINE, "\x0b" + "a" * LONGEST_LINE),
        (" " * 1_024 + "a" * LONGEST_LINE, "a" * LONGEST_LINE),
        (" " * 1_025 + "a" * LONGEST_LINE, " " + "a" * LONGEST_LINE),
        (" " + "a" * 9 * LONGEST_LINE, "a" * 2 * LONGEST_LINE),  # long enough to be refused for that
        ("a" * 9 * LONGEST_LINE, "a" * 9 * LONGEST_LINE),  # nothing is to be taken away: it is not copied
    ],
    ids=range(11),
)
def test_white_space_around_a_value_is_none_of_it_unless_the_line_is_too_long(value: str, kept: str) -> None:
    assert request(("x", value)).values("x") == [kept]


@pytest.mark.parametrize("text", ["", " ", "a b", "a,b", f" {TOKEN}", f"{TOKEN}\n", f"Bearer {TOKEN}", "\u00e9"])
def test_what_could_not_stand_in_the_header_is_no_token(text: str) -> None:
    assert not is_token(text)
    assert is_token(TOKEN)
    assert is_token("AZaz09-._~+/=")


@pytest.mark.parametrize(
    ("values", "scheme"),
    [
        ([], None),
        ([""], None),
        ([f"Bearer {TOKEN}"], "Bearer"),
        (["dpop"], "DPoP"),
        (["DPOP \x00 and whatever else is wrong with it"], "DPoP"),
        ([f"DPoP {TOKEN}", f"Bearer {TOKEN}"], "DPoP"),
        (["Basic abc", f"Bearer {TOKEN}"], None),
        (["Bearer", "Bearer"], "Bearer"),
        (["Bearers x"], None),
    ],
)
def test_the_scheme_is_known_whatever_else_is_wrong(values: list[str], scheme: str | None) -> None:
    assert scheme_of(authorization(*values), ("Bearer", "DPoP")) == scheme


def test_no_repr_shows_what_may_be_a_secret() -> None:
    given = request(
        ("authorization", f"Bearer {TOKEN}"), ("cookie", "session=s3cr3t"), url=f"{URL}?access_token={TOKEN}"
    )
    for text in (repr(given), repr(read(given)), f"{given}", repr([given])):
        assert not any(secret in text for secret in (TOKEN, TOKEN[:20], "s3cr3t"))
    assert repr(request(url=f"{URL}?a=b?c")) == f"Request(method='GET', url={URL!r})"
    assert (URL in repr(given), "'GET'" in repr(given), "Bearer" in repr(read(given))) == (True, True, True)


@pytest.mark.parametrize(
    "value", [f"Bearer {TOKEN} x", f"Bearer {TOKEN}, Bearer {TOKEN}", f"Basic abc, Bearer {TOKEN}"]
)
def test_a_refusal_says_where_the_header_breaks_and_never_what_it_holds(value: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(authorization(value))
    assert not any(part in str(refused.value) for part in TOKEN.split("."))
    assert str(refused.value).isascii()
    assert str(refused.value).isprintable()


pieces = st.sampled_from(
    ["Bearer", "bearer", "Basic", "DPoP", " ", "  ", "\t", ",", "=", ".", "\n", "\xa0", "a", TOKEN, '"', "\x00"]
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values=st.lists(st.lists(pieces, max_size=6).map("".join) | st.text(st.characters(categories=None)), max_size=3))
def test_every_header_is_read_or_refused_alike_in_one_line_and_in_several(values: list[str]) -> None:
    def outcome(given: Request) -> Credentials | tuple[type[AuthError], bool, bool]:
        try:
            return read(given)
        except AuthError as refused:
            said = str(refused)
            return type(refused), said.isascii(), said.isprintable()

    joined = ",".join(value.strip(" \t") for value in values)
    found = outcome(authorization(*values))
    assert found == outcome(authorization(*[joined] * bool(values)))
    assert isinstance(found, Credentials) or found[1:] == (True, True)


def test_a_request_that_was_made_wrongly_can_still_be_shown() -> None:
    assert repr(Request("GET", None, [])) == "Request(method='GET', url=None)"  # type: ignore[arg-type]


def test_a_scheme_is_seen_before_a_line_that_is_too_long_to_be_trimmed() -> None:
    for spaces in (0, 1, 500):
        with pytest.raises(TokenTooLarge):
            read_credentials(
                Request("GET", "https://a.test/", [("Authorization", " " * spaces + "Bearer " + "a" * 99_999)]),
                ("Bearer",),
                16_384,
            )
