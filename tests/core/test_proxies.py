"""A trusted proxy says what its client asked for, and by which certificate; nobody else does, whatever they send."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtgate.core.errors import AuthError, CertificateRejected, InvalidForwarding, SettingsError
from jwtgate.core.proxies import MAX_FORWARDED, ProxyRules, certificate_of, target_of
from jwtgate.core.request import Request
from tests.making import base64url

SERVER = "http://127.0.0.1:8000"
PROXY, OTHER_PROXY, CLIENT = "10.0.0.1", "10.0.0.2", "192.0.2.60"
TRUSTED = ("10.0.0.0/8", "2001:db8:1::/48", "198.51.100.7")
FORWARDED = ProxyRules(trusted=TRUSTED, headers=("Forwarded",))
X_FORWARDED = ProxyRules(trusted=TRUSTED, headers=("X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix"))
HOST = ("host", "backend.internal")
PUBLIC = "https://api.test"


def request(*lines: tuple[str, str], client: str | None = PROXY, url: str = f"{SERVER}/messages?page=1") -> Request:
    return Request("GET", url, lines, client=client)


def forwarded(*values: str, rules: ProxyRules = FORWARDED, client: str | None = PROXY) -> str:
    """The URL's beginning, as a proxy's `Forwarded` makes it."""
    lines = [HOST, *(("Forwarded", value) for value in values)]
    return target_of(request(*lines, client=client), rules).removesuffix("/messages?page=1")


def x_forwarded(*, rules: ProxyRules = X_FORWARDED, client: str | None = PROXY, **parts: str | Sequence[str]) -> str:
    lines = [
        (f"X-Forwarded-{part.title()}", value)
        for part, values in parts.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return target_of(request(HOST, *lines, client=client), rules).removesuffix("/messages?page=1")


def refusal(ask: Callable[..., object], *arguments: Any, **named: Any) -> InvalidForwarding:
    with pytest.raises(InvalidForwarding) as refused:
        ask(*arguments, **named)
    assert len(str(refused.value)) < 300
    return refused.value


# --- the public URL of the settings


@pytest.mark.parametrize(
    ("public_url", "url", "target"),
    [
        ("https://api.test", f"{SERVER}/messages", "https://api.test/messages"),
        ("https://api.test/", f"{SERVER}/messages", "https://api.test/messages"),
        ("https://api.test/v1", f"{SERVER}/messages?page=1", "https://api.test/v1/messages?page=1"),
        ("https://api.test/v1/", f"{SERVER}/messages", "https://api.test/v1/messages"),
        ("https://api.test:8443/v1", SERVER, "https://api.test:8443/v1/"),
        ("https://api.test", f"{SERVER}?page=1", "https://api.test/?page=1"),
        ("https://api.test", f"{SERVER}/a%2Fb/../c//d", "https://api.test/a%2Fb/../c//d"),
        ("https://[2001:db8::1]", f"{SERVER}/", "https://[2001:db8::1]/"),
        ("http://localhost:3010", f"{SERVER}/messages", "http://localhost:3010/messages"),
        ("http://api.internal:3010", f"{SERVER}/messages", "http://api.internal:3010/messages"),
        ("https://api.test", "/messages", "https://api.test/messages"),
        ("https://api.test", "", "https://api.test/"),
        ("https://api.test", "@evil.test/x", "https://api.test/@evil.test/x"),
        ("https://api.test", "http://evil.test@127.0.0.1:8000//x", "https://api.test//x"),
        ("https://api.test", "ws://127.0.0.1:8000/chat", "https://api.test/chat"),
    ],
)
def test_the_public_url_settles_all_but_the_path(public_url: str, url: str, target: str) -> None:
    assert target_of(request(url=url), ProxyRules(public_url)) == target


def test_beside_the_public_url_no_header_counts() -> None:
    rules = ProxyRules(PUBLIC, TRUSTED, headers=("Forwarded",))
    evil = [("Forwarded", "host=evil.test;proto=http"), ("X-Forwarded-Host", "evil.test"), ("Host", "evil.test")]
    assert target_of(request(*evil), rules) == f"{PUBLIC}/messages?page=1"
    assert target_of(request(("Forwarded", '"')), rules) == f"{PUBLIC}/messages?page=1"


@pytest.mark.parametrize(
    "public_url",
    ["", "api.test", "/v1", "ftp://api.test", "https://", "https://a@api.test", "https://api.test/?a", "https://a/#", "https://a:b/",
     "https://ä.test", 1, b"https://api.test"],
)  # fmt: skip
def test_a_public_url_that_could_never_be_one_is_refused(public_url: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        ProxyRules(public_url)
    assert refused.value.setting == "public_url"


# --- nobody in between


@pytest.mark.parametrize(
    "client", [CLIENT, None, "", "testclient", "10.0.0", "10.0.0.1 ", "10.0.0.1:80", "::1", "11.0.0.0"]
)
@pytest.mark.parametrize("rules", [FORWARDED, X_FORWARDED, ProxyRules()])
def test_from_an_untrusted_peer_the_url_is_the_one_that_the_server_was_reached_by(
    rules: ProxyRules, client: str | None
) -> None:
    headers = [
        ("Forwarded", f"for={PROXY};host=evil.test;proto=https"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Host", "evil.test/?"),
        ("Host", "user@evil.test"),
    ]
    assert target_of(request(*headers, client=client), rules) == f"{SERVER}/messages?page=1"


@pytest.mark.parametrize("header", ["forwarded", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"])
def test_malformed_words_of_a_stranger_are_not_even_read(header: str) -> None:
    for rules in (FORWARDED, X_FORWARDED):
        assert target_of(request((header, '"'), client=CLIENT), rules) == f"{SERVER}/messages?page=1"


def test_a_header_that_is_not_named_is_not_read() -> None:
    both = [HOST, ("X-Forwarded-Host", '"'), ("X-Forwarded-Proto", '"'), ("Forwarded", '"')]
    proto = ProxyRules(trusted=TRUSTED, headers=("X-Forwarded-Proto",))
    assert target_of(request(*both[:3]), FORWARDED) == f"{SERVER}/messages?page=1"
    assert target_of(request(both[3]), X_FORWARDED) == f"{SERVER}/messages?page=1"
    assert target_of(request(both[0], both[1], ("X-Forwarded-Proto", "https")), proto) == (
        "https://backend.internal/messages?page=1"
    )
    assert target_of(request(*both), ProxyRules(trusted=TRUSTED)) == f"{SERVER}/messages?page=1"


@pytest.mark.parametrize("rules", [FORWARDED, X_FORWARDED])
def test_a_trusted_proxy_that_says_nothing_changes_nothing(rules: ProxyRules) -> None:
    assert target_of(request(("Host", "evil.test")), rules) == f"{SERVER}/messages?page=1"
    assert target_of(request(("Host", "evil/?"), url="ws://127.0.0.1:8000/chat"), rules) == f"{SERVER}/chat"
    assert target_of(request(url="WSS://127.0.0.1:8000/chat"), rules) == "https://127.0.0.1:8000/chat"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://api.test/", "https://api.test/"),
        ("http://api.test:80/a?b#c", "http://api.test:80/a?b#c"),
        ("https://user@API.test/A/../b", "https://user@API.test/A/../b"),
        ("https:///a", "https:///a"),
        ("https://api.test", "https://api.test/"),
        ("https://api.test?a=/", "https://api.test/?a=/"),
        ("https://api.test#/", "https://api.test/#/"),
        ("HTTPS://api.test/a", "https://api.test/a"),
        ("wss://api.test/a", "https://api.test/a"),
        ("ftp://api.test/a", "ftp://api.test/a"),
        (" https://api.test/a", "http:/// https://api.test/a"),
        ("/a?https://api.test/", "http:///a?https://api.test/"),
        ("", "http:///"),
    ],
)
@pytest.mark.parametrize("rules", [ProxyRules(), ProxyRules(trusted=("203.0.113.9",)), ProxyRules(trusted=("unix",))])
def test_where_nobody_is_in_between_every_url_is_taken_as_it_is_understood(
    rules: ProxyRules, url: str, target: str
) -> None:
    assert target_of(request(client=CLIENT, url=url), rules) == target


# --- who is trusted


@pytest.mark.parametrize(
    ("trusted", "client"),
    [
        ("10.0.0.0/8", "10.255.0.9"),
        ("198.51.100.7", "198.51.100.7"),
        ("128.0.0.0/1", "192.0.2.1"),
        ("2001:db8::/32", "2001:db8::1"),
        ("2001:db8::1", "2001:DB8:0:0::1"),
        ("fe80::/10", "fe80::1%eth0"),
        ("10.0.0.0/8", "::ffff:10.1.2.3"),  # a socket for both families
        ("10.0.0.0/8", "::ffff:a01:203"),
        ("::ffff:10.0.0.0/104", "10.1.2.3"),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3"),
        ("::ffff:128.0.0.0/97", "192.0.2.1"),
        ("::1", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("unix", None),
        ("unix", ""),
    ],
)
def test_a_peer_is_trusted_by_its_address(trusted: str, client: str | None) -> None:
    assert ProxyRules(trusted=["192.0.2.99", trusted]).trusts(client)
    assert not ProxyRules(trusted=["192.0.2.99"]).trusts(client)


@pytest.mark.parametrize(
    ("trusted", "client"),
    [
        ("10.0.0.0/8", "11.0.0.0"),
        ("10.0.0.0/8", None),
        ("10.0.0.0/8", ""),
        ("10.0.0.0/8", "::a00:1"),
        ("8000::/1", "10.0.0.1"),
        ("8000::/1", "::ffff:10.0.0.1"),
        ("0.0.0.0/1", "::1"),
        ("0.0.0.0/1", "2001:db8::1"),
        ("0.0.0.0/1", "unix"),
        ("0.0.0.0/1", "localhost"),
        ("0.0.0.0/1", "010.0.0.1"),
        ("unix", "unix"),
        ("unix", "127.0.0.1"),
        ("unix", "/run/app.sock"),
    ],
)
def test_any_other_peer_is_not(trusted: str, client: str | None) -> None:
    assert not ProxyRules(trusted=[trusted]).trusts(client)


@pytest.mark.parametrize(
    "trusted",
    ["10.0.0.1/8", "*", "", "localhost", "10.0.0", "10.0.0.0/33", "Unix", " 10.0.0.1", "::1/129", "http://10.0.0.1"],
)
def test_a_trusted_proxy_that_is_no_network_is_refused(trusted: str) -> None:
    with pytest.raises(SettingsError) as refused:
        ProxyRules(trusted=["10.0.0.1", trusted])
    assert (refused.value.setting, refused.value.actual) == ("trusted_proxies", trusted)
    assert isinstance(refused.value.rule, str)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("trusted_proxies", {"trusted": "10.0.0.1"}),
        ("trusted_proxies", {"trusted": [1]}),
        ("proxy_headers", {"trusted": TRUSTED, "headers": "Forwarded"}),
        ("proxy_headers", {"trusted": TRUSTED, "headers": ["X-Forwarded-For"]}),
        ("proxy_headers", {"trusted": TRUSTED, "headers": ["X-Real-IP"]}),
        ("proxy_headers", {"trusted": TRUSTED, "headers": ["Forwarded", "X-Forwarded-Proto"]}),
        ("proxy_headers", {"trusted": TRUSTED, "headers": ["Forwarded", "Forwarded"]}),
        ("proxy_headers", {"headers": ["Forwarded"]}),
        ("proxy_headers", {"headers": ["X-Forwarded-Proto"]}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": ""}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": "X Client"}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": "X_Client_Cert"}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": "X-Client-Cert:"}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": "X-Client-Çert"}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": "X" * 65}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": "Authorization"}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": "dpop"}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": "Host"}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": "Forwarded"}),
        ("certificate_header", {"trusted": TRUSTED, "certificate_header": 1}),
        ("certificate_header", {"trusted": (), "certificate_header": "Client-Cert"}),
    ],
)
def test_settings_that_could_never_be_right_are_refused(setting: str, named: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as refused:
        ProxyRules(**named)
    assert refused.value.setting == setting


def test_what_the_rules_are_made_of_can_be_read() -> None:
    rules = ProxyRules("https://api.test/vX/", TRUSTED)
    assert (rules.public_url, rules.base, rules.trusted) == ("https://api.test/vX/", "https://api.test/vX", TRUSTED)
    assert [made.as_reached for made in (ProxyRules(), rules, FORWARDED)] == [True, False, False]


def test_a_header_that_is_none_of_theirs_is_named_as_it_was() -> None:
    with pytest.raises(SettingsError) as refused:
        ProxyRules(trusted=TRUSTED, headers=["forwarded", "X-Real-IP"])
    assert refused.value.actual == ("Forwarded", "X-Real-IP")


def test_names_of_headers_have_no_case() -> None:
    rules = ProxyRules(trusted=TRUSTED, headers=["x-forwarded-PROTO", "x-forwarded-host"])
    assert rules.headers == ("X-Forwarded-Proto", "X-Forwarded-Host")
    assert x_forwarded(rules=rules, proto="https", host="api.test") == PUBLIC


# --- RFC 7239


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("for=192.0.2.60;proto=https;host=api.test", PUBLIC),
        ("For=192.0.2.60; Proto=HTTPS ;HOST=api.test", PUBLIC),
        ('for="192.0.2.60:47011";proto="https";host="api.test"', PUBLIC),
        ('for="[2001:db8:cafe::17]:4711";proto=https;host="api.test:8443"', f"{PUBLIC}:8443"),
        ('for="[2001:db8:cafe::17]";proto=https;host="[2001:db8::1]:8443"', "https://[2001:db8::1]:8443"),
        ('for=unknown;proto=https;host="[2001:db8::1]"', "https://[2001:db8::1]"),
        ('for="unknown:47011";proto=https;host=api.test', PUBLIC),
        ("for=_gazonk;proto=https;host=api.test", PUBLIC),
        ('for="_SEVKISEK:_port-1";proto=https;host=api.test', PUBLIC),
        ("proto=https;host=api.test;by=203.0.113.43", PUBLIC),
        ('by="[2001:db8::1]:_x";proto=https;host=api.test', PUBLIC),
        (r'host="api\.te\st";proto="\h\t\t\p\s"', PUBLIC),
        ('host=api.test;proto=https;secret="a,b;c=d \\" \xe9"', PUBLIC),
        (";host=api.test;;proto=https;", PUBLIC),
        (",,host=api.test;proto=https, ,", PUBLIC),
        ("host=api.test;proto=wss", PUBLIC),
        ("host=api.test;proto=ws", "http://api.test"),
        ("host=api.test", "http://api.test"),
        ("proto=https", "https://backend.internal"),
        ("for=192.0.2.60", SERVER),
        ("", SERVER),
        (" , ", SERVER),
    ],
)
def test_what_a_trusted_proxy_says_is_taken(value: str, target: str) -> None:
    assert forwarded(value) == target


@pytest.mark.parametrize(
    ("values", "target"),
    [
        # The client's own, and then the proxy's: only the last one is a proxy's word.
        (["for=10.0.0.3;host=evil.test;proto=http", f"for={CLIENT};host=api.test;proto=https"], PUBLIC),
        (["host=evil.test;proto=http", "host=api.test;proto=https"], PUBLIC),
        (["host=evil.test;proto=http", "for=unknown;host=api.test;proto=https"], PUBLIC),
        (["host=evil.test;proto=http", "for=_10.0.0.2;host=api.test;proto=https"], PUBLIC),
        (["host=evil.test;proto=http, for=10.0.0.2", f"for={CLIENT};host=api.test;proto=https"], PUBLIC),
        # Through two proxies: the outer one was asked by the client.
        ([f"for={CLIENT};host=api.test;proto=https", f"for={OTHER_PROXY};host=inner.test;proto=http"], PUBLIC),
        ([f"for={CLIENT};host=api.test;proto=https, for={OTHER_PROXY};host=inner.test;proto=http"], PUBLIC),
        ([f"for={CLIENT};host=api.test;proto=https", 'for="[2001:db8:1::5]:99"'], PUBLIC),
        ([f"for={CLIENT};host=api.test;proto=https", 'for="[::ffff:10.0.0.2]"'], PUBLIC),
        ([f"for={CLIENT};host=api.test;proto=https", "for=198.51.100.7"], PUBLIC),
        # What the outer one does not say, it has passed on as it was.
        ([f"for={CLIENT};proto=https", f"for={OTHER_PROXY};host=api.test;proto=http"], PUBLIC),
        ([f"for={CLIENT}", f"for={OTHER_PROXY};host=api.test;proto=https"], PUBLIC),
        # Through two proxies, and the client has a word of its own before them.
        (
            ["for=10.0.0.9;host=evil.test;proto=http", f"for={CLIENT};host=api.test;proto=https", f"for={OTHER_PROXY}"],
            PUBLIC,
        ),
        # All of them proxies: the first was asked by nobody else.
        ([f"for={OTHER_PROXY};host=api.test;proto=https", "for=10.0.0.3"], PUBLIC),
    ],
)
def test_elements_count_as_far_as_the_proxies_that_added_them_are_trusted(values: list[str], target: str) -> None:
    assert forwarded(*values) == target
    assert forwarded(", ".join(values)) == target
    assert forwarded(",".join(values)) == target  # as WSGI servers join lines


@pytest.mark.parametrize(
    "value",
    [
        "for",
        "for=",
        "=a",
        "for =192.0.2.60",
        "for= 192.0.2.60",
        "for=192.0.2.60 proto=https",
        'for="192.0.2.60',
        'for="',
        'for=192.0.2.60"',
        'for="a"b',
        'for="192.0.2.60\\"',
        'host="a\x00b"',
        'host="a\nb"',
        "for=2001:db8::1",
        "for=[2001:db8::1]",
        'for="2001:db8::1"',
        'for="[2001:db8::1"',
        'for="[2001:db8::g]"',
        'for="[192.0.2.60]"',
        'for="[fe80::1%eth0]"',
        'for="[2001:db8::1]:123456"',
        "for=192.0.2.256",
        "for=192.0.2",
        "for=0192.0.2.1",
        "for=client",
        "for=_",
        'for=""',
        'for="_a b"',
        "by=proxy",
        "host=api.test;host=api.test",
        "for=unknown;For=unknown",
        "host=api.test/path",
        'host="api.test/path"',
        'host="user@api.test"',
        'host="api.test?a"',
        'host="api.test#a"',
        'host="api.test:"',
        'host="api.test:0x50"',
        'host="api.test:65536"',
        'host="api.test, evil.test"',
        'host="[::1"',
        'host="[1.2.3.4]"',
        'host="[1:2]"',
        'host="[::1]x"',
        'host="\xe4.test"',
        "host=%61pi.test",
        'host=""',
        f"host={'a' * 256}",
        "proto=",
        'proto=""',
        'proto="https:"',
        "proto=1https",
        'proto="https, http"',
        "x" * 200,
        "é=1",
        "\udcff=1",
        ";" * 100 + "=",
        "a=b;" * 30 + '"',
    ],
)
def test_what_is_malformed_is_refused_and_not_guessed(value: str) -> None:
    assert refusal(forwarded, value).field == "Forwarded"
    # Also where it is the client's own, before the proxy's: perhaps both would be read otherwise.
    assert refusal(forwarded, f"{value}, for=unknown;host=api.test;proto=https").field == "Forwarded"


def test_a_strangers_malformed_element_spoils_the_field() -> None:
    # Where one element ends cannot be told then: a quote that the client opens may swallow the proxy's.
    assert refusal(forwarded, 'for="', f'for={CLIENT};host="api.test:1";proto=https').field == "Forwarded"
    refusal(forwarded, 'for="', 'for=192.0.2.60;host=";host=evil.test;x=";proto=https')
    refusal(forwarded, "for=x", "host=api.test;proto=https")
    refusal(forwarded, 'host="evil.test/";proto=https', "host=api.test;proto=https")


def test_an_odd_protocol_is_refused_where_it_counts() -> None:
    for proto in ("ftp", "htt", "httpss"):
        assert refusal(forwarded, f"proto={proto};host=api.test").field == "Forwarded"
    assert forwarded("proto=gopher", "for=unknown;host=api.test;proto=https") == PUBLIC
    assert refusal(forwarded, "proto=gopher", f"for={OTHER_PROXY};host=api.test;proto=https").field == "Forwarded"


def test_a_field_is_read_up_to_a_length() -> None:
    longest = f"host=api.test;proto=https;x={'a' * MAX_FORWARDED}"[:MAX_FORWARDED]
    assert forwarded(longest) == PUBLIC
    for values in ([longest + "a"], [longest, ""], [longest[:3_000], longest[:3_000]], ["," * 1_000_000]):
        assert refusal(forwarded, *values).field == "Forwarded"


@settings(max_examples=300)
@given(value=st.text(max_size=80) | st.text('for=hostproto"\\,;=[]:._1a \t', max_size=40))
def test_any_forwarded_has_an_answer(value: str) -> None:
    try:
        target = forwarded(value)
    except AuthError as refused:
        target = type(refused).__name__
    assert target.startswith(("http://", "https://", InvalidForwarding.__name__))


# --- X-Forwarded-*


@pytest.mark.parametrize(
    ("parts", "target"),
    [
        ({"proto": "https", "host": "api.test"}, PUBLIC),
        ({"proto": "HTTPS", "host": "api.test:8443"}, f"{PUBLIC}:8443"),
        ({"proto": "https", "host": "[2001:db8::1]:8443"}, "https://[2001:db8::1]:8443"),
        ({"proto": "https", "host": "API.test."}, "https://API.test."),
        ({"proto": "https", "host": "api.test", "prefix": "/v1"}, f"{PUBLIC}/v1"),
        ({"proto": "https", "host": "api.test", "prefix": "/v1/"}, f"{PUBLIC}/v1"),
        ({"proto": "https", "host": "api.test", "prefix": "/a/b.c/~d"}, f"{PUBLIC}/a/b.c/~d"),
        ({"proto": "https", "host": "api.test", "prefix": "/"}, PUBLIC),
        ({"proto": "https", "host": "api.test", "prefix": ""}, PUBLIC),
        ({"proto": "wss", "host": "api.test"}, PUBLIC),
        ({"proto": ["https", "https"], "host": "api.test , api.test"}, PUBLIC),
        ({"proto": "https"}, "https://backend.internal"),
        ({"host": "api.test"}, "http://api.test"),
        ({"prefix": "/v1"}, "http://backend.internal/v1"),
        ({"proto": "", "host": "", "prefix": ""}, SERVER),
        ({"proto": "https", "host": "api.test:65535"}, f"{PUBLIC}:65535"),
        ({"proto": "https", "host": "Xapi.testX, Xapi.testX"}, "https://Xapi.testX"),
        ({"proto": "https", "host": "api.test", "prefix": "/vX"}, f"{PUBLIC}/vX"),
    ],
)
def test_the_older_headers_say_it_one_by_one(parts: dict[str, Any], target: str) -> None:
    assert x_forwarded(**parts) == target


@pytest.mark.parametrize(
    ("field", "parts"),
    [
        ("X-Forwarded-Proto", {"proto": "https, http"}),
        ("X-Forwarded-Proto", {"proto": ["https", "http"]}),
        ("X-Forwarded-Proto", {"proto": "https,"}),
        ("X-Forwarded-Proto", {"proto": "https:"}),
        ("X-Forwarded-Proto", {"proto": "ftp"}),
        ("X-Forwarded-Proto", {"proto": "on"}),
        ("X-Forwarded-Proto", {"proto": "\u212a"}),
        ("X-Forwarded-Proto", {"proto": "https\x0b"}),
        ("X-Forwarded-Proto", {"proto": "https," * 2_000}),
        ("X-Forwarded-Host", {"host": "api.test, evil.test"}),
        ("X-Forwarded-Host", {"host": ["api.test", "evil.test"]}),
        ("X-Forwarded-Host", {"host": ["api.test", "API.test"]}),
        ("X-Forwarded-Host", {"host": "api.test/evil?x="}),  # R24
        ("X-Forwarded-Host", {"host": "api.test#"}),
        ("X-Forwarded-Host", {"host": "user@api.test"}),
        ("X-Forwarded-Host", {"host": "api.test:99999"}),
        ("X-Forwarded-Host", {"host": "api.test:65536"}),
        ("X-Forwarded-Host", {"host": "api.test:"}),
        ("X-Forwarded-Host", {"host": "https://api.test"}),
        ("X-Forwarded-Host", {"host": "api .test"}),
        ("X-Forwarded-Host", {"host": "api\\.test"}),
        ("X-Forwarded-Host", {"host": "::1"}),
        ("X-Forwarded-Prefix", {"prefix": "v1"}),
        ("X-Forwarded-Prefix", {"prefix": "//evil.test"}),
        ("X-Forwarded-Prefix", {"prefix": "/v1//"}),
        ("X-Forwarded-Prefix", {"prefix": "/v1/../admin"}),
        ("X-Forwarded-Prefix", {"prefix": "/.."}),
        ("X-Forwarded-Prefix", {"prefix": "/./v1"}),
        ("X-Forwarded-Prefix", {"prefix": "/v1?x="}),
        ("X-Forwarded-Prefix", {"prefix": "/v1#"}),
        ("X-Forwarded-Prefix", {"prefix": "/v%31"}),
        ("X-Forwarded-Prefix", {"prefix": "/v1\\"}),
        ("X-Forwarded-Prefix", {"prefix": "/v1, /v2"}),
        ("X-Forwarded-Prefix", {"prefix": "https://evil.test/"}),
    ],
)
def test_malformed_and_conflicting_values_are_refused(field: str, parts: dict[str, Any]) -> None:
    assert refusal(x_forwarded, **{"proto": "https", "host": "api.test", **parts}).field == field


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["api.test/evil?x="],
        ["api.test#"],
        ["user@api.test"],
        ["api.test", "api.test"],
        ["a,b"],
        ["a" * 9_000],
    ],
)
def test_a_proxy_that_names_no_host_leaves_the_one_of_the_request_which_must_be_one(hosts: list[str]) -> None:
    lines = [("X-Forwarded-Proto", "https"), *(("Host", host) for host in hosts)]
    assert refusal(target_of, request(*lines), X_FORWARDED).field == "Host"


@settings(max_examples=200)
@given(
    part=st.sampled_from(["proto", "host", "prefix"]), value=st.text(max_size=40) | st.text("/.a:[]@1,", max_size=20)
)
def test_any_value_has_an_answer(part: str, value: str) -> None:
    try:
        target = x_forwarded(**{"proto": "https", "host": "api.test", part: value})
    except AuthError as refused:
        target = type(refused).__name__
    assert target.startswith(("http://", "https://", InvalidForwarding.__name__))


# --- the certificate


def certificate(mark: bytes) -> bytes:
    return b"\x30\x82\x02\x5c\x30\x82\x02\x58" + mark * 600


ALICE, MALLORY = certificate(b"a"), certificate(b"m")
HEADER = "X-SSL-Client-Cert"
MTLS = ProxyRules(trusted=TRUSTED, certificate_header=HEADER)


def print_of(der: bytes) -> str:
    return base64url(hashlib.sha256(der).digest())


def in_header(der: bytes, header: str = HEADER) -> tuple[str, str]:
    return header, quote(ssl.DER_cert_to_PEM_cert(der))


def seen(*lines: tuple[str, str], connection: bytes | None = None, client: str | None, rules: ProxyRules = MTLS) -> Any:
    return certificate_of(Request("GET", SERVER, lines, connection, client), rules)


def test_the_connections_own_certificate_counts() -> None:
    for rules in (ProxyRules(), FORWARDED, MTLS):
        for client in (CLIENT, None, "testclient"):
            assert seen(connection=ALICE, client=client, rules=rules) == print_of(ALICE)
            assert seen(client=client, rules=rules) is None
    assert seen(connection=ALICE, client=PROXY, rules=FORWARDED) == print_of(ALICE)


def test_from_a_trusted_proxy_the_header_counts_and_never_the_proxys_own_certificate() -> None:
    assert seen(in_header(ALICE), client=PROXY) == print_of(ALICE)
    assert seen(in_header(ALICE, HEADER.upper()), client=f"::ffff:{PROXY}") == print_of(ALICE)
    assert seen(in_header(ALICE), connection=MALLORY, client=PROXY) == print_of(ALICE)
    assert seen(connection=MALLORY, client=PROXY) is None
    assert seen((HEADER, ""), connection=MALLORY, client=PROXY) is None


@pytest.mark.parametrize("client", [CLIENT, None, "", "testclient", "11.0.0.1"])
def test_a_clients_own_copy_of_the_header_never_counts(client: str | None) -> None:
    assert seen(in_header(ALICE), client=client) is None
    assert seen(in_header(ALICE), connection=MALLORY, client=client) == print_of(MALLORY)
    assert seen((HEADER, "garbage"), client=client) is None


def test_only_the_one_configured_header_is_read() -> None:
    others = [
        in_header(MALLORY, "Client-Cert"),
        in_header(MALLORY, "X-Client-Cert"),
        in_header(MALLORY, "X_SSL_Client_Cert"),
        in_header(MALLORY, "X-Forwarded-Tls-Client-Cert"),
        ("X-Forwarded-Client-Cert", f"Hash={hashlib.sha256(MALLORY).hexdigest()}"),
    ]
    assert seen(*others, in_header(ALICE), client=PROXY) == print_of(ALICE)
    assert seen(*others, client=PROXY) is None
    assert seen(*others, in_header(ALICE), client=PROXY, rules=FORWARDED) is None


def test_each_form_is_read_by_its_name() -> None:
    xfcc = ProxyRules(trusted=["unix"], certificate_header="X-Forwarded-Client-Cert")
    line = ("x-forwarded-client-cert", f"Hash={hashlib.sha256(ALICE).hexdigest()}")
    assert seen(line, client=None, rules=xfcc) == print_of(ALICE)
    assert seen(line, client=PROXY, rules=xfcc) is None


@pytest.mark.parametrize("lines", [[(HEADER, "garbage")], [in_header(ALICE), in_header(ALICE)], [in_header(b"\x30")]])
def test_a_proxys_header_that_names_no_certificate_or_two_is_refused(lines: list[tuple[str, str]]) -> None:
    with pytest.raises(CertificateRejected):
        seen(*lines, client=PROXY)


@pytest.mark.parametrize("der", [b"", b"garbage", bytes(1_000_000)])
def test_a_connections_certificate_that_is_none_is_refused(der: bytes) -> None:
    with pytest.raises(CertificateRejected):
        seen(connection=der, client=CLIENT)
