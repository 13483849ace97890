"""One address has one normal spelling, and two addresses never have the same."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtgate.core.uri import normalised, same_target

PLAIN = "https://api.test/v1/messages"

SAME = {
    "https://api.test/": [
        "https://api.test",
        "HTTPS://API.TEST",
        "https://api.test:443",
        "https://api.test:443/",
        "https://api.test:/",
        "https://api.test:00443/",
        "https://api.test?query",
        "https://api.test#fragment",
        "https://api.test/?a=/../b#c?d",
        "https://api.test/.",
        "https://api.test/..",
        "https://api.test/a/..",
        "https://api.test//..",
        "https://api.test/%2e/%2E%2e/",
        "https://%61pi.test/",
        "https://api%2etest",
    ],
    "http://api.test/": ["http://api.test:80", "HTTP://api.test:080/"],
    "https://api.test:80/": ["https://API.test:0080"],
    "http://api.test:443/": ["http://api.test:443"],
    "http://api.test:65535/": ["http://api.test:65535"],
    "http://api.test:0/": ["http://api.test:0"],
    "https://api.test/~me": ["https://api.test/%7Eme", "https://api.test/%7eme", "https://api.test/%7e%6D%65"],
    "https://api.test/a%2Fb": ["https://api.test/a%2fb", "https://api.test/%61%2f%62"],
    "https://api.test/a/b/": ["https://api.test/a/b/.", "https://api.test/a/b/c/..", "https://api.test/./a/x/../b/"],
    "https://api.test//a//b": ["https://api.test//a/.//b", "https://api.test//a//x/../b"],
    "https://api.test/a/...": ["https://api.test/a/%2e.."],
    "https://api.test/a%25b": ["https://api.test/%61%25b"],
    "https://api.test/%252e%252e/a": ["https://api.test/%252e%252e/%61"],
    "https://api.test/a;b=1,2@c:d!$&'()*+": ["https://API.test/a;b=1,2@c:d!$&'()*+"],
    "https://api.test/a%7Cb%5Bc%5D%20%5E%5C": [
        r"https://api.test/a|b[c] ^" + "\\",
        "https://api.test/a%7cb%5bc%5d%20%5e%5c",
    ],
    "https://api.test/%E2%82%AC": ["https://api.test/%e2%82%ac"],
    "http://[::1]:8000/a": ["http://[0:0:0:0:0:0:0:1]:8000/a", "HTTP://[0000::0001]:08000/a"],
    "https://[2001:db8::a]/": ["https://[2001:0DB8:0:0:0:0:0:A]:443", "https://[2001:DB8::000a]/"],
    "http://127.0.0.1:8000/": ["http://127.0.0.1:8000"],
    "https://xn--bcher-kva.example/": [
        "https://bücher.example",
        "https://BÜCHER.example/",
        "https://b%C3%BCcher.example/",
        "https://XN--BCHER-KVA.EXAMPLE/",
        "https://bücher。example/",
    ],
    "https://xn--strae-oqa.example/": ["https://straße.example/"],
    "https://my_service.test/": ["https://MY_SERVICE.test/"],
    "https://api.test./": ["https://API.test.:443/"],
}

NO_ADDRESS = [
    "",
    "/",
    "/v1",
    "//api.test/v1",
    "api.test/v1",
    "https:",
    "https:/api.test",
    "https://",
    "https:///v1",
    "https://?a",
    "https://:443/",
    " https://api.test/",
    "httpſ://api.test/",
    "ftp://api.test/",
    "ws://api.test/",
    "wss://api.test/",
    "httpss://api.test/",
    "urn:ietf:rfc:9449",
    "data:text/plain,https://api.test/",
    "https://me@api.test/",
    "https://me:secret@api.test/",
    "https://@api.test/",
    "https://api.test%40other.test/",
    "https://api.test:65536/",
    "https://api.test:999999/",
    "https://api.test:000443/",
    "https://api.test:+80/",
    "https://api.test:8o/",
    "https://api.test:80:80/",
    "https://api.test:\u0664\u0664\u0663/",
    "https://api.test\\@other.test/",
    "https://api test/",
    "https://api.test\t/",
    "https://api.test%00/",
    "https://api%2Ftest/",
    "https://api%test/",
    "https://%ff.test/",
    "https://%2561pi.test/",
    "https://[::1/",
    "https://::1/",
    "https://[::1]x/",
    "https://[]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[v1.fe80::a]/",
    "https://[1.2.3.4]/",
    "https://[::g]/",
    "https://api.test/%",
    "https://api.test/%2",
    "https://api.test/%zz",
    "https://api.test/%é0",
    "https://api.test/a\nb",
    "https://api.test/\x00",
    "https://api.test/\x7f",
    "https://api.test/é",
    "https://api.test/\ud800",
    "https://\ud800.test/",
    "https://" + "a" * 256 + "/",
    "https://" + "ü" * 250 + ".test/",
    "https://xn--\u00fc.test/",
    "https://a..ü/",
]


@pytest.mark.parametrize("normal", SAME)
def test_a_normal_spelling_is_its_own(normal: str) -> None:
    assert normalised(normal) == normal


@pytest.mark.parametrize(("normal", "other"), [(normal, other) for normal, others in SAME.items() for other in others])
def test_other_spellings_are_of_the_same_address(normal: str, other: str) -> None:
    assert normalised(other) == normal
    assert same_target(normal, other)
    assert same_target(other, normal)
    assert same_target(other, other)


def test_different_addresses_stay_different() -> None:
    spellings = [[normal, *others] for normal, others in SAME.items()]
    for number, spelt in enumerate(spellings):
        for others in spellings[number + 1 :]:
            assert not any(same_target(one, other) for one in spelt for other in others)


@pytest.mark.parametrize(
    "other",
    [
        "http://api.test/v1/messages",
        "https://api.test/v1/messages/",
        "https://api.test/v1//messages",
        "https://api.test/v1/Messages",
        "https://api.test/v1%2Fmessages",
        "https://api.test/v1/messages;a",
        "https://api.test/v1/messages%3Fa",
        "https://api.test/v1/messages%23a",
        "https://api.test/v1\\messages",
        "https://api.test/v2/messages",
        "https://api.test./v1/messages",
        "https://api.test:8443/v1/messages",
        "https://www.api.test/v1/messages",
        "https://api.test.evil.test/v1/messages",
        "https://аpi.test/v1/messages",  # a Cyrillic letter
    ],
)
def test_what_only_looks_alike_is_another_address(other: str) -> None:
    assert not same_target(other, PLAIN)
    assert not same_target(PLAIN, other)


@pytest.mark.parametrize("text", NO_ADDRESS, ids=ascii)
def test_what_is_no_address_has_no_spelling_and_is_the_same_as_nothing(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # any is as good as another
        normalised(text)
    assert not same_target(text, PLAIN)
    assert not same_target(PLAIN, text)
    assert not same_target(text, text)


# --- whatever stands in it -------------------------------------------------------------------------------------------

SEGMENT = st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@|[]\"", max_size=6) | st.sampled_from(
    [".", "..", "", "%2e", "%2E%2e", "%2F", "%25", "%7e", "%C3%A9", "..."]
)
HOSTS = st.sampled_from(
    ["api.test", "API.test", "a.b.c", "127.0.0.1", "[::1]", "[2001:DB8::1]", "bücher.example", "xn--bcher-kva.example"]
)
PORTS = st.sampled_from(["", ":", ":80", ":443", ":0443", ":8000", ":65535"])
PATHS = st.lists(SEGMENT, max_size=6).map(lambda segments: "".join(f"/{segment}" for segment in segments))
REST = st.sampled_from(["", "?", "?a=b", "?a=/../", "#", "#a", "?a#b"])
ADDRESSES = st.builds("{}://{}{}{}{}".format, st.sampled_from(["http", "https", "HTTPS"]), HOSTS, PORTS, PATHS, REST)


@given(ADDRESSES)
def test_normalising_twice_changes_nothing(address: str) -> None:
    once = normalised(address)
    assert normalised(once) == once
    assert once.isascii()
    assert not set(once) & set("?# ")


@given(ADDRESSES)
def test_dot_segments_and_encoded_letters_do_not_remain(address: str) -> None:
    path = normalised(address).split("/", 3)[3]
    assert not {".", ".."} & set(path.split("/"))
    assert "%2e" not in path.lower()


@given(ADDRESSES, ADDRESSES)
def test_the_same_is_what_has_one_spelling(one: str, other: str) -> None:
    assert same_target(one, other) == (normalised(one) == normalised(other)) == same_target(other, one)


@given(PATHS, st.data())
def test_encoding_any_letter_that_needs_none_changes_nothing(path: str, data: st.DataObject) -> None:
    address = f"https://api.test{path}"
    places = [n for n, letter in enumerate(path) if letter.isalnum() and "%" not in path[max(0, n - 2) : n]]
    if places:
        place = data.draw(st.sampled_from(places))
        encoded = f"{path[:place]}%{ord(path[place]):02x}{path[place + 1 :]}"
        assert same_target(address, f"https://api.test{encoded}")


@given(st.text() | st.text().map("https://".__add__) | st.text().map("https://api.test/".__add__))
def test_any_text_is_normalised_or_refused(text: str) -> None:
    try:
        once = normalised(text)
    except ValueError:
        assert not same_target(text, text)
    else:
        assert normalised(once) == once


@given(st.text(min_size=1, max_size=60))
def test_any_host_is_normalised_or_refused(host: str) -> None:
    try:
        once = normalised(f"https://{host}/")
    except ValueError:
        return
    assert normalised(once) == once
    assert once.isascii()


LONG = 200_000


@pytest.mark.parametrize(
    "text",
    [
        "https://api.test" + "/." * LONG,
        "https://api.test" + "/.." * LONG,
        "https://api.test" + "/" * LONG,
        "https://api.test/" + "a" * LONG + "\x00",
        "https://api.test/" + "%41" * LONG,
        "https://api.test/" + "%" * LONG,
        "https://" + "a." * LONG,
        "https://" + "[" * LONG,
        "https://" + "é" * LONG,
        "https://api.test:" + "9" * LONG,
    ],
    ids=lambda text: text[:24],
)
def test_a_long_text_costs_no_more_than_its_length(text: str) -> None:
    began = time.perf_counter()
    same_target(text, PLAIN)
    assert time.perf_counter() - began < 2


def test_a_name_has_its_longest() -> None:
    longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 63])
    assert len(longest) == 255
    assert normalised(f"https://{longest}/|") == f"https://{longest}/%7C"
    with pytest.raises(ValueError, match="name of more"):
        normalised(f"https://{longest}d/|")


def test_a_label_and_a_path_have_their_longest() -> None:
    for good, bad in (("a" * 63, "a" * 64), ("é" * 20, "é" * 64), ("a." + "b" * 63, "a." + "b" * 64)):
        assert normalised(f"https://{good}.test/|").endswith("/%7C")
        with pytest.raises(ValueError, match="label"):
            normalised(f"https://{bad}.test/|")
    assert len(normalised("https://api.test/" + "%20" * 2_730 + "|")) > 8_192
    with pytest.raises(ValueError, match="path"):
        normalised("https://api.test/" + "%20" * 2_731)
