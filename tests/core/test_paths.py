"""Public is what is named; whatever a path may be read as, its requirements hold."""

import functools
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtgate import Request, SettingsError, all_of, any_of, claim, permission, scope
from jwtgate.core.paths import PathRules, Verdict, below, is_preflight

ANY_TOKEN = Verdict()
PUBLIC = Verdict(public=True)
ADMIN = permission("admin:all")


def needs(*requirements: Any) -> Verdict:
    return Verdict(requirement=all_of(*requirements))


# --- public


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("/health", PUBLIC),
        ("/health/", ANY_TOKEN),
        ("/health/live", ANY_TOKEN),
        ("/Health", ANY_TOKEN),
        ("/healthz", ANY_TOKEN),
        ("/static/a.css", PUBLIC),
        ("/static/a/b.css", PUBLIC),
        ("/static/.well-known/b", PUBLIC),
        ("/static/...", PUBLIC),
        ("/static/100%", PUBLIC),
        ("/static/", PUBLIC),
        ("/static", ANY_TOKEN),
        ("/statics/a.css", ANY_TOKEN),
        ("/", ANY_TOKEN),
        ("", ANY_TOKEN),
        ("*", ANY_TOKEN),
        ("static/a.css", ANY_TOKEN),
    ],
)
def test_only_what_is_named_is_public(path: str, verdict: Verdict) -> None:
    assert PathRules(public=["/health", "/static/*"]).decide(path) == verdict


def test_nothing_is_public_unless_it_is_said() -> None:
    assert PathRules().decide("/") == ANY_TOKEN


def test_all_may_be_open_but_for_what_is_required() -> None:
    rules = PathRules(public=["/*"], requires={"/admin/*": ADMIN})
    assert rules.decide("/") == PUBLIC
    assert rules.decide("/admin") == needs(ADMIN)


@pytest.mark.parametrize(
    "path",
    [
        "//static/a",
        "/static//a",
        "/static/../admin",
        "/static/./a",
        "/static/..",
        "/static/.",
        "/static/..;/admin",
        "/static/a;b",
        "/static/..\\admin",
        "/static/a\x00b",
        "/static/a\n",
        "/static/%2e%2e/admin",
        "/static/..%2fadmin",
        "/static/..%2Fadmin",
        "/static/..%5cadmin",
        "/static/..%3b/admin",
        "/static/%252e%252e/admin",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_is_never_public(path: str) -> None:
    assert PathRules(public=["/*", "/static/*"]).decide(path) == ANY_TOKEN


@pytest.mark.parametrize(
    ("raw_path", "verdict"),
    [
        (b"/static/a/b", PUBLIC),
        (b"/static/a%20b", PUBLIC),
        (b"/static/%61/b", PUBLIC),
        (b"/static/100%25", PUBLIC),
        (b"/static/a/b?next=/x/../y", PUBLIC),
        (b"/static/caf\xc3\xa9", PUBLIC),
        (b"/static/a%2fb", ANY_TOKEN),
        (b"/static/a%2Fb", ANY_TOKEN),
        (b"/static/a%5cb", ANY_TOKEN),
        (b"/static/x/../a/b", ANY_TOKEN),
        (b"/static/x/%2e%2e/a/b", ANY_TOKEN),
        (b"/static//a/b", ANY_TOKEN),
        (b"/static/a/b;v=1", ANY_TOKEN),
    ],
)
def test_the_path_as_it_was_sent_counts_too(raw_path: bytes, verdict: Verdict) -> None:
    assert PathRules(public=["/static/*"]).decide("/static/a/b", raw_path) == verdict


# --- requires


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("/admin", needs(ADMIN)),
        ("/admin/", needs(ADMIN)),
        ("/admin/users/1", needs(ADMIN)),
        ("/administration", ANY_TOKEN),
        ("/reports", needs("read:reports")),
        ("/reports/", needs("read:reports")),
        ("/reports/1", ANY_TOKEN),
        ("/", ANY_TOKEN),
    ],
)
def test_a_requirement_covers_its_path_and_with_a_star_all_below(path: str, verdict: Verdict) -> None:
    assert PathRules(requires={"/admin/*": ADMIN, "/reports/": "read:reports"}).decide(path) == verdict


@pytest.mark.parametrize("path", ["", "/", "/x", "*", "//x"])
def test_a_star_at_the_root_covers_everything(path: str) -> None:
    assert PathRules(requires={"/*": ADMIN}).decide(path) == needs(ADMIN)


def test_a_verdict_is_of_the_path_as_it_came_whatever_was_asked_before() -> None:
    rules = PathRules(public=["/static/*"], requires={"/admin/*": ADMIN})
    asked = [
        (("/static/a/b", b"/static/a/b"), PUBLIC),
        (("/static/a/b", b"/static/a%2fb"), ANY_TOKEN),
        (("/static/a/b", b"/static/a/b?x"), PUBLIC),
        (("/static/a/b",), PUBLIC),
        (("/static/a/b", b"/static/a/b", "/static"), ANY_TOKEN),
        (("/static/admin", b"/static/admin", "/static"), needs(ADMIN)),
    ]
    for _ in range(2):
        assert [rules.decide(*path) for path, _ in asked] == [verdict for _, verdict in asked]


def test_verdicts_on_short_paths_are_remembered_and_not_too_many_of_them() -> None:
    rules = PathRules(requires={"/admin/*": ADMIN})
    short, long, sent = "/admin", "/admin/" + "x" * 256, b"/admin?" + b"x" * 256
    once = rules.decide(short)
    assert once is rules.decide(short)
    assert rules.decide(short, sent) is rules.decide(short, sent)
    assert rules.decide(long) is not rules.decide(long)
    assert rules.decide(long, b"/admin") is not rules.decide(long, b"/admin")
    assert rules.decide("/admin", long.encode()) is not rules.decide("/admin", long.encode())
    for number in range(2_000):
        rules.decide(f"/admin/{number}")
    assert rules.decide(short) is not once
    assert rules.decide(short) == once == needs(ADMIN)


@pytest.mark.parametrize(
    ("rules", "everywhere"),
    [
        (PathRules(), ANY_TOKEN),
        (PathRules([], {}), ANY_TOKEN),
        (PathRules(["/health"]), None),
        (PathRules(["/static/*"]), None),
        (PathRules(requires={"/admin": ADMIN}), None),
    ],
)
def test_where_no_path_has_rules_there_is_one_verdict(rules: PathRules, everywhere: Verdict | None) -> None:
    assert rules.everywhere == everywhere
    if everywhere is not None:
        assert rules.decide("//x;/../admin", b"/%2f") == everywhere


def test_every_letter_of_a_path_counts() -> None:
    rules = PathRules(requires={"/MAX": ADMIN})
    assert rules.decide("/MAX") == rules.decide("/MAX/") == needs(ADMIN)
    assert rules.decide("/MA") == rules.decide("/MAXX") == ANY_TOKEN


def test_where_several_match_all_of_them_hold() -> None:
    first, second, third = scope("a"), any_of("b", claim("org_id", "org_1")), "c"
    rules = PathRules(requires={"/x/*": first, "/x/y": [second, third], "/z": "d"})
    assert rules.decide("/x/y") == needs(first, second, third)


def test_what_is_public_and_required_is_required() -> None:
    rules = PathRules(public=["/admin/login", "/admin/*"], requires={"/admin/*": ADMIN})
    assert rules.decide("/admin/login") == needs(ADMIN)


@pytest.mark.parametrize(
    "path",
    [
        "//admin",
        "/admin//users",
        "/x/../admin/y",
        "/x/./../admin",
        "/./admin",
        "/../admin",
        "/admin/../x",
        "/admin/.",
        "/admin;x/y",
        "/admin;v=1",
        "/x/..;/admin",
        "/admin/..;/x",
        "/admin//../y",
        "/x//../admin/y",
        "/x\\..\\admin",
        "\\admin",
        "/admin\\y",
        "/%2e%2e/admin",
        "/x%2f..%2fadmin",
        "/x%5c..%5cadmin",
        "/admin%3bx",
        "admin",
    ],
)
def test_no_reading_of_a_path_escapes_its_requirement(path: str) -> None:
    assert PathRules(requires={"/admin/*": ADMIN}).decide(path) == needs(ADMIN)


@pytest.mark.parametrize(
    "raw_path",
    [b"/x/../admin", b"/admin/../x", b"//admin", b"/admin%2fx", b"/x%2f..%2fadmin", b"/admin;a", b"/%61dmin;a"],
)
def test_nor_does_the_path_as_it_was_sent(raw_path: bytes) -> None:
    assert PathRules(requires={"/admin/*": ADMIN}).decide("/x", raw_path) == needs(ADMIN)


def test_a_path_that_a_second_decoding_would_change_is_odd() -> None:
    rules = PathRules(public=["/*"], requires={"/admin/*": ADMIN})
    assert rules.decide("/%61dmin", b"/%2561dmin") == needs(ADMIN)
    assert rules.decide("/%61dmin", b"/rewritten") == needs(ADMIN)
    assert rules.decide("/%62", b"/%2562") == ANY_TOKEN


def test_a_very_long_odd_path_must_meet_everything() -> None:
    rules = PathRules(public=["/*"], requires={"/a": "a", "/b": "b"})
    assert rules.decide("/x" * 2_047 + "//") == ANY_TOKEN
    assert rules.decide("/x" * 2_047 + "//x") == needs("a", "b")
    assert rules.decide("/x", b"/x" * 2_047 + b"//x") == needs("a", "b")
    assert rules.decide("/x" * 3_000) == PUBLIC


def test_an_odd_path_must_meet_what_each_of_its_readings_requires() -> None:
    rules = PathRules(requires={"/a/*": "a", "/b": "b", "/c": "c"})
    assert rules.decide("/a/../b") == needs("a", "b")


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("/files/a%2fb", ANY_TOKEN),
        ("//files/admin", ANY_TOKEN),
        ("/files/./admin", ANY_TOKEN),
        ("/files/a\\admin", ANY_TOKEN),
        ("/files/../x", ANY_TOKEN),
        ("/administration;v=1", ANY_TOKEN),
    ],
)
def test_an_odd_path_needs_no_more_than_it_could_mean(path: str, verdict: Verdict) -> None:
    assert PathRules(requires={"/admin/*": ADMIN, "/files/a/c": ADMIN}).decide(path) == verdict


CLEANINGS: Sequence[Callable[[str], str]] = [
    posixpath.normpath,
    lambda path: urljoin("http://host/", path.lstrip("/")).removeprefix("http://host"),
    lambda path: re.sub("//+", "/", path),
    lambda path: re.sub(";[^/]*", "", path),
    lambda path: path.replace("\\", "/"),
    lambda path: path.partition("\0")[0],
    unquote,
]
SEGMENTS = [
    *["admin", "all", "x", "..", ".", "", ";", "..;", "admin;x=1", "x\\admin", "..\\admin", "admin\0x"],
    *["%2f", "%2e%2e", "x%2fadmin", "x%5c..", "admin%3bx", "%61dmin", "x;%2fadmin"],
]


@settings(max_examples=1_000)
@given(st.lists(st.sampled_from(SEGMENTS), max_size=6), st.lists(st.sampled_from(CLEANINGS), max_size=4))
def test_nobody_who_cleans_a_path_gets_around_its_requirement(
    segments: Sequence[str], cleanings: Sequence[Callable[[str], str]]
) -> None:
    sent = "/" + "/".join(segments)
    rules = PathRules(public=["/*"], requires={"/admin/*": ADMIN, "/x/all": scope("all")})
    path = unquote(sent)
    read = functools.reduce(lambda cleaned, clean: clean(cleaned), cleanings, path)
    wanted = (read + "/").startswith("/admin/"), read.rstrip("/") == "/x/all"
    verdict = rules.decide(path, sent.encode())
    named = verdict.requirement.names if verdict.requirement is not None else ()
    assert wanted[0] <= ("admin:all" in named)
    assert wanted[1] <= ("all" in named)
    assert not verdict.public or read.rstrip("/") == path.rstrip("/")


# --- the root path


@pytest.mark.parametrize(
    ("path", "root_path", "routed"),
    [
        ("/admin", "", "/admin"),
        ("/api/admin", "/api", "/admin"),
        ("/api/", "/api", "/"),
        ("/api", "/api", ""),
        ("/apis/admin", "/api", "/apis/admin"),
        ("/admin", "/api", "/admin"),
        ("//api/admin", "/api", "//api/admin"),
    ],
)
def test_an_app_routes_on_what_is_below_its_root(path: str, root_path: str, routed: str) -> None:
    assert below(path, root_path) == routed


def test_the_root_path_agrees_with_starlette() -> None:
    from starlette._utils import get_route_path

    for path in ("/api", "/api/", "/api/x", "/apix", "/x", "/", "", "/api//x"):
        for root_path in ("", "/api", "/"):
            assert below(path, root_path) == get_route_path({"path": path, "root_path": root_path})


def test_rules_are_compared_below_the_root() -> None:
    rules = PathRules(public=["/health"], requires={"/admin/*": ADMIN})
    assert rules.decide("/api/health", b"/api/health", "/api") == PUBLIC
    assert rules.decide("/api/admin", b"/api/admin", "/api") == needs(ADMIN)
    assert rules.decide("/api/x", b"/api/x%2f..%2fadmin", "/api") == needs(ADMIN)
    assert rules.decide("/health", b"/health", "/api") == PUBLIC


def test_what_was_sent_is_read_below_the_root_too() -> None:
    rules = PathRules(requires={"/admin": ADMIN})
    assert rules.decide("/api/x", b"/api//admin", "/api") == needs(ADMIN)
    assert rules.decide("/api/x", b"/api//x", "/api") == ANY_TOKEN


def test_where_the_app_is_mounted_a_request_for_its_root_is_not_public() -> None:
    assert PathRules(public=["/", "/*"]).decide("/api", None, "/api") == ANY_TOKEN


# --- settings that could never be right


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "health",
        "*",
        "/a*",
        "/*/a",
        "/a/*/*",
        "/a/**",
        "//a",
        "/a/../b",
        "/a;b",
        "/a\\b",
        "/a%2fb",
        "/caf%C3%A9",
        "/users/{id}",
        "/users/<id>",
        "/a?b=c",
        "/a#b",
        "/a\n",
        None,
        b"/a",
    ],
)
def test_a_pattern_that_can_never_match_is_refused(pattern: Any) -> None:
    for setting, rules in {"public": {"public": [pattern]}, "requires": {"requires": {pattern: "a"}}}.items():
        with pytest.raises(SettingsError) as refused:
            PathRules(**rules)
        assert (refused.value.setting, refused.value.actual) == (setting, pattern)


@pytest.mark.parametrize("public", ["/health", b"/health", None, 1])
def test_public_is_a_list(public: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        PathRules(public=public)
    assert refused.value.setting == "public"


@pytest.mark.parametrize("requires", [["/admin"], {"/admin": None}, {"/admin": 1}])
def test_requires_maps_paths_to_requirements(requires: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        PathRules(requires=requires)
    assert refused.value.setting == "requires"


@pytest.mark.parametrize("wanted", [(), [], ["two words"], [1], ""])
def test_a_bad_requirement_is_refused(wanted: Any) -> None:
    with pytest.raises(SettingsError):
        PathRules(requires={"/admin": wanted})


# --- CORS preflight

ORIGIN, ASKED = ("Origin", "https://app.example"), ("Access-Control-Request-Method", "GET")


def preflight(*headers: tuple[str, str], method: str = "OPTIONS") -> bool:
    return is_preflight(Request(method, "https://api.example/", headers))


def test_a_real_preflight_is_known() -> None:
    assert preflight(ORIGIN, ASKED)
    assert preflight(ASKED, ("X-Other", "1"), ORIGIN)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", [ORIGIN, ASKED]),
        ("options", [ORIGIN, ASKED]),
        ("OPTIONS", []),
        ("OPTIONS", [ORIGIN]),
        ("OPTIONS", [ASKED]),
        ("OPTIONS", [ORIGIN, ORIGIN, ASKED]),
        ("OPTIONS", [ORIGIN, ASKED, ASKED]),
        ("OPTIONS", [ORIGIN, ASKED, ("Authorization", "Bearer x")]),
        # Two lines of one name, as WSGI servers join them.
        ("OPTIONS", [("Origin", "https://app.example,https://app.example"), ASKED]),
        ("OPTIONS", [ORIGIN, ("Access-Control-Request-Method", "GET,GET")]),
    ],
)
def test_anything_else_is_not(method: str, headers: Sequence[tuple[str, str]]) -> None:
    assert not preflight(*headers, method=method)


def test_rules_take_any_mapping() -> None:
    wanted: Mapping[str, str] = {"/admin": "admin:all"}
    assert PathRules(requires=wanted).decide("/admin") == needs("admin:all")
