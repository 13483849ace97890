"""Group J: an issuer's server that fails, lies or drowns whoever asks it; and keys that nobody should use."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from jwtgate import ApiSettings, Issuer, SettingsError
from jwtgate.core.key_state import BACK_OFF, COOL_DOWN, SOFT_AGE
from jwtgate.core.keys import JWKS_BYTES
from jwtgate.verifier import TOTAL_SECONDS
from tests.conformance.attacks import weak
from tests.conformance.attacks.answers import AMBIGUOUS, HEADER, SIGNATURE, UNKNOWN_KEY, V, Wanted, unavailable
from tests.conformance.attacks.cases import Attack, Scenarios, mistakes
from tests.conformance.attacks.forging import by_another
from tests.conformance.attacks.stage import MovingClock, Stage, told
from tests.fault_server import MODES, FaultServer
from tests.loopback import DISCOVERY, JWKS, Answer, Tasks, Threads, drips, raw, resets, sends
from tests.making import ABSENT, API, SECRET, Issuing, SigningKey, base64url, octets_of, signing_key

SCENES: Final = Scenarios()
INTRUDER: Final = signing_key("RSA", 7)  # the bad documents hold its key too: it must never come into use


def about(name: str, text: str, letters: str, play: Callable[[Stage], None]) -> None:
    """A scenario that is made, and has no function of its own."""
    play.__name__ = text.replace(" ", "_")
    SCENES.scenario(name, letters)(play)


# --- the server is not there --------------------------------------------------------------------------------


@SCENES.scenario("J01", "V")
def nobody_listens(stage: Stage) -> None:
    issuing = Issuing(url="http://127.0.0.1:1/")
    verifier = stage.verifier(issuers=[Issuer(issuing.url)])
    assert stage.ask(verifier, issuing.token()) == V.answer
    assert stage.ask(verifier, issuing.token()) == V.answer
    assert verifier.counters().loads == 1  # the second question is answered without another


@SCENES.scenario("J01", "V")
def the_name_has_no_address(stage: Stage) -> None:
    issuing = Issuing(url="https://no-such-host.invalid/")
    assert stage.ask(stage.verifier(issuers=[Issuer(issuing.url)]), issuing.token()) == V.answer


def _answered(server: FaultServer, answer: Answer) -> list[tuple[object, float]]:
    """What comes of a first request to a server that answers so, by each driver at the same time; and its seconds."""
    server.answers[JWKS] = answer

    def ask(drive: Any) -> tuple[object, float]:
        verifier, began = drive.make(server.settings(), clock=MovingClock()), time.monotonic()
        try:
            found: object = drive.verify(verifier, server.issuing.token())
        except Exception as error:  # noqa: BLE001  # whatever it is, it is compared with what must come
            found = told(error) if hasattr(error, "refusal") else error
        return found, time.monotonic() - began

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(ask, (Threads, Tasks)))


SLOW: Final[Mapping[str, Answer]] = {
    "an endpoint that says nothing": lambda handler: handler.server.origin_stopping.wait() and None,  # type: ignore[attr-defined]
    "an answer that drips": drips(b"HTTP/1.1 200 OK\r\n\r\n", 0.25, TOTAL_SECONDS + 2, b""),
    "headers that drip": drips(b"HTTP/1.1 200 OK\r\nX-Slow:", 0.25, TOTAL_SECONDS + 2, b"\r\n\r\n"),
}


@SCENES.scenario("J01", "V", drives=(Threads,))
def it_times_out_however_it_is_slow(stage: Stage) -> None:
    servers = [FaultServer() for _ in SLOW]
    try:
        with ThreadPoolExecutor(len(servers)) as pool:
            outcomes = [one for found in pool.map(_answered, servers, SLOW.values()) for one in found]
    finally:
        for server in servers:
            server.close()
    assert [answer for answer, _ in outcomes] == [V.answer] * 2 * len(SLOW)
    assert max(seconds for _, seconds in outcomes) < TOTAL_SECONDS + 2


@SCENES.scenario("J03", "V T")
def an_unknown_kid_while_it_is_down(stage: Stage) -> None:
    verifier = stage.verifier()
    assert stage.lets_in(verifier, stage.issuing.token())
    good = stage.origin.answers[JWKS]
    stage.origin.answers[JWKS] = sends(b"", 500)
    unknown = stage.issuing.token(header={"kid": "nobody-has-it"})
    assert [stage.ask(verifier, unknown) for _ in range(5)] == [V.answer] * 5
    assert stage.fetches == 2
    stage.origin.answers[JWKS] = good
    stage.clock.at += COOL_DOWN
    assert stage.ask(verifier, unknown) == UNKNOWN_KEY.answer
    assert stage.fetches == 3


# --- the document is refused as a whole ---------------------------------------------------------------------

Bad = Callable[[FaultServer, str], Answer]  # of the server, and of the document's path


def refused(name: str, text: str, bad: Bad, *documents: str) -> None:
    """Answered so, a document is refused: without keys nobody is let in (V), and keys that are there serve on (G)."""

    def play(stage: Stage) -> None:
        for path in documents or (JWKS,):
            _refused(Stage(stage.drive, stage.origin, stage.mode), path, bad)

    about(name, text, "G V", play)


def _refused(stage: Stage, path: str, bad: Bad) -> None:
    origin, good = stage.origin, stage.origin.answers[path]
    # What is bad about it is its form: what it says would be good for the intruder.
    origin.published = [stage.issuing.key(), INTRUDER]
    answer = bad(origin, path)
    verifier, own, evil = stage.verifier(), stage.issuing.token(), by_another(INTRUDER, stage.issuing, kid=INTRUDER.kid)

    origin.answers[path] = answer
    assert [stage.ask(verifier, token) for token in (own, evil)] == [V.answer, V.answer]
    origin.answers[path] = good
    stage.clock.at += BACK_OFF[0]
    assert stage.lets_in(verifier, own)
    origin.answers[path] = answer
    stage.clock.at += SOFT_AGE
    assert stage.lets_in(verifier, own)  # it is this one that has the refresh begun
    assert stage.lets_in(verifier, own)
    if path == JWKS:
        # Its kid is worth another look, and that fails too: the next one may be a little later.
        assert stage.ask(verifier, evil) in (V.answer, unavailable(2).answer)
    assert origin.asked["/elsewhere"] == 0


def mode(name: str) -> Bad:
    """A misbehaviour that the server knows by name."""
    return lambda server, path: MODES[name](server, path, 1)


def status(number: int, **headers: str) -> Bad:
    return lambda server, path: sends(server.good(path), number, headers)


def body(change: Callable[[bytes], bytes], **headers: str) -> Bad:
    """The good document, changed."""
    return lambda server, path: sends(
        change(server.good(path)), 200, {n.replace("_", "-"): v for n, v in headers.items()}
    )


def sent(octets: bytes | Callable[[bytes], bytes]) -> Bad:
    """These octets on the line, made of the good document where they are made."""
    return lambda server, path: raw(octets if isinstance(octets, bytes) else octets(server.good(path)))


HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SPACES: Final = b" " * (JWKS_BYTES + 1)
GIGABYTE: Final = 10**9


def pours(head: bytes, chunk: bytes) -> Bad:
    """As much as anybody takes, up to 1 GB."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        for _ in range(GIGABYTE // len(chunk)):
            handler.wfile.write(chunk)  # it fails as soon as nobody reads any more

    return lambda server, path: answer


def bomb(pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda good: pack(good[:-1] + b" " * 50_000_000 + b"}")


def doubled(good: bytes) -> bytes:
    """With a member twice."""
    name = json.dumps(next(iter(json.loads(good)))).encode()
    return b"{" + name + b": 1, " + good[1:]


def _chunk(octets: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(octets), octets)


BOTH_DOCUMENTS: Final = (DISCOVERY, JWKS)

for number in (500, 502, 503, 404):
    refused("J04", f"status {number}", status(number), *BOTH_DOCUMENTS)
refused("J04", "status 429, come back in an hour", status(429, **{"Retry-After": "3600"}), *BOTH_DOCUMENTS)
for number in (201, 202, 203, 206, 300, 400, 401, 403, 410, 418, 451, 504, 599):
    refused("J04+", f"status {number}", status(number))
refused("J04+", "status 204", sent(b"HTTP/1.1 204 No Content\r\n\r\n"))
refused("J04+", "status 304", sent(b"HTTP/1.1 304 Not Modified\r\n\r\n"))

refused("J06", "no key", body(lambda good: b'{"keys": []}'))
refused("J06", "no usable key", body(lambda good: json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}]}).encode()))
for text, document in {
    "nothing": b"",
    "null": b"null",
    "an empty object": b"{}",
    "an array": b"[]",
    "a text": b'"keys"',
    "keys that are null": b'{"keys": null}',
    "keys that are an object": b'{"keys": {}}',
    "keys that are a text": b'{"keys": "RSA-1"}',
    "Keys with a capital": b'{"Keys": []}',
    "an error in place of keys": b'{"error": "server_error"}',
    "HTML": b"<!doctype html><title>Log in</title>",
}.items():
    refused("J06+", text, body(lambda good, document=document: document))
refused("J06+", "the metadata in place of the keys", lambda server, path: sends(server.good(DISCOVERY)))
refused("J06+", "the keys in place of the metadata", lambda server, path: sends(server.good(JWKS)), DISCOVERY)
refused(
    "J06+",
    "101 keys",
    body(lambda good: json.dumps({"keys": json.loads(good)["keys"] + [{"kty": "x"}] * 100}).encode()),
)
refused("J06+", "4,000 members", body(lambda good: b'{"x": [' + b"1," * 4_000 + b"1]," + good[1:]))
refused("J06+", "nested too deep", body(lambda good: b'{"x": ' + b"[" * 9 + b"]" * 9 + b"," + good[1:]))
refused("J06+", "nested 100,000 deep", body(lambda good: b"[" * 100_000))

for text, location in {
    "the same server": "/elsewhere",
    "a file": "file:///etc/passwd",
    "the neighbour's metadata": "http://169.254.169.254/latest/meta-data/",
    "nowhere": "",
}.items():
    refused(
        "J09+",
        f"a redirect to {text}",
        lambda server, path, to=location: sends(b"", 302, {"Location": to}),
        *BOTH_DOCUMENTS,
    )
for number in (301, 303, 307, 308):
    refused(
        "J09+",
        f"a redirect by {number}",
        lambda server, path, n=number: sends(server.good(path), n, {"Location": "/elsewhere"}),
    )

refused("J13", "a member twice", body(doubled), DISCOVERY)
refused("J13", "10 MB", body(lambda good: good[:-1] + b" " * 10**7 + b"}"), DISCOVERY)

refused("J15", "1 GB by its length", lambda server, path: sends(server.good(path), length=GIGABYTE), *BOTH_DOCUMENTS)
refused("J15", "1 GB with its length", pours(HEAD + b"Content-Length: %d\r\n\r\n" % GIGABYTE, bytes(10**6)))
refused("J15", "1 GB without a length", pours(HEAD + b"\r\n", b" " * 10**6))
refused("J15", "1 GB in chunks", pours(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", _chunk(b" " * 10**6)))
refused("J15+", "one octet too much", body(lambda good: good + b" " * (JWKS_BYTES + 1 - len(good))), *BOTH_DOCUMENTS)
refused(
    "J15+",
    "one octet too much in chunks of one",
    sent(lambda good: HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(good + SPACES) + b"0\r\n\r\n"),
)
refused("J15+", "a negative length", sent(lambda good: HEAD + b"Content-Length: -1\r\n\r\n" + good))
refused(
    "J15+",
    "two lengths",
    sent(lambda good: HEAD + b"Content-Length: 5\r\nContent-Length: %d\r\n\r\n" % len(good) + good),
)

refused("J16", "a gzip bomb", body(bomb(gzip.compress), Content_Encoding="gzip"))
refused("J16", "a deflate bomb", body(bomb(zlib.compress), Content_Encoding="deflate"))
refused("J16", "what says that it is brotli", body(lambda good: good, Content_Encoding="br"), *BOTH_DOCUMENTS)
for text, encoding, change in (
    ("gzip that is none", "gzip", bytes),
    ("gzip that is cut off", "gzip", lambda good: gzip.compress(good)[:-9]),
    ("gzip and more", "gzip", lambda good: gzip.compress(good) + b"x"),
    ("gzip twice, in two members", "gzip", lambda good: gzip.compress(good) * 2),
    ("gzip of gzip", "gzip", lambda good: gzip.compress(gzip.compress(good))),
    ("two encodings", "gzip, gzip", lambda good: gzip.compress(gzip.compress(good))),
    ("zstd", "zstd", bytes),
    ("compress", "compress", bytes),
    ("an encoding that nobody knows", "x", bytes),
):
    refused("J16+", text, body(change, Content_Encoding=encoding))

refused("J18", "headers without an end", pours(HEAD, b"X: " + b"y" * 65_536 + b"\r\n"))
refused(
    "J18",
    "10,000 headers",
    sent(lambda good: HEAD + b"".join(b"X-Header-%d: a value\r\n" % n for n in range(10_000)) + b"\r\n" + good),
)
refused("J18", "no HTTP at all", sent(b"\x16\x03\x01\x02\x00\r\n\r\n"))
for text, octets in {
    "nothing": b"",
    "a line's end": b"\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
    "a status that is none": b"HTTP/1.1 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP of a version to come": b"HTTP/9.9 200 OK\r\n\r\n{}",
    "a null in a header": HEAD + b"X: \x00\r\n\r\n",
    "a header without a colon": HEAD + b"nonsense\r\n\r\n",
    "headers that are cut off": HEAD,
    "only 1xx answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 500,
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    "a header of 1 MB": HEAD + b"X: " + b"y" * 10**6 + b"\r\n\r\n",
}.items():
    refused("J18+", text, sent(octets))
refused(
    "J18+",
    "a chunk's length that is none",
    sent(lambda good: HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + good),
)
refused(
    "J18+",
    "an encoding of the way that nobody knows",
    sent(lambda good: HEAD + b"Transfer-Encoding: x\r\n\r\n" + good[:9]),
)

refused(
    "J19",
    "cut in the middle",
    lambda server, path: sends(server.good(path)[:-9], length=len(server.good(path))),
    *BOTH_DOCUMENTS,
)
refused("J19+", "cut in a chunk", sent(lambda good: HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(good)[:-30]))
refused(
    "J19+", "cut between chunks", sent(lambda good: HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(good[:-9]))
)
refused("J19+", "cut by a reset", lambda server, path: resets, *BOTH_DOCUMENTS)
refused("J19+", "half a JSON text", body(lambda good: good[:-9]))

for coding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp500"):
    refused("J30+", f"in {coding}", body(lambda good, coding=coding: good.decode().encode(coding)))
for text, change in {
    "something behind": lambda good: good + b"x",
    "two documents": lambda good: good * 2,
    "NaN": lambda good: b'{"x": NaN, ' + good[1:],
    "a comma too many": lambda good: good[:-1] + b",}",
    "a letter of Latin-1": lambda good: b'{"x": "\xe9", ' + good[1:],
    "5,000 digits": lambda good: b'{"x": ' + b"9" * 5_000 + b", " + good[1:],
    "half a surrogate pair": lambda good: b'{"x": "\\ud800", ' + good[1:],
    "two arrays of keys": lambda good: b'{"keys": [], ' + good[1:],
}.items():
    refused("J30+", text, body(change))


@SCENES.scenario("J30", "G V")
def a_member_of_a_key_twice(stage: Stage) -> None:
    def twice(good: bytes) -> bytes:
        return good.replace(b'"n":', b'"n": "AQAB", "n":', 1)

    _refused(stage, JWKS, body(twice))


@SCENES.scenario("J09", "G V")
def a_redirect_from_https_to_http(stage: Stage) -> None:
    asked: list[str] = []
    issuing = Issuing(url="https://issuer.test/")

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if request.url.scheme == "http":
            return httpx.Response(200, json=issuing.jwks())
        return httpx.Response(302, headers={"Location": "http://issuer.test/jwks"})

    transport = httpx.MockTransport(serve)
    client = httpx.Client if stage.drive is Threads else httpx.AsyncClient
    verifier = stage.verifier(
        http=client(transport=transport, follow_redirects=True),
        issuers=[Issuer(issuing.url, jwks_uri="https://issuer.test/jwks")],
    )
    assert stage.ask(verifier, issuing.token()) == V.answer
    assert asked == ["https://issuer.test/jwks"]


# --- the metadata -------------------------------------------------------------------------------------------


def metadata(name: str, text: str, **changes: Any) -> None:
    """Metadata that cannot be believed: nobody is let in, and what it points to is not asked."""

    def play(stage: Stage) -> None:
        document = stage.issuing.metadata(**changes)
        stage.origin.answers[DISCOVERY] = sends(json.dumps(document).encode())
        assert stage.ask(stage.verifier(), stage.issuing.token()) == V.answer
        assert set(stage.origin.asked) == {DISCOVERY}

    about(name, text, "V", play)


metadata("J12", "of another issuer", issuer="https://evil.test/")
for text, issuer in {
    "of no issuer": ABSENT,
    "of nobody": None,
    "of an array of issuers": ["http://127.0.0.1/"],
    "of the same host without its slash": "http://127.0.0.1",
    "of an issuer that is a number": 7,
}.items():
    metadata("J12+", text, issuer=issuer)
for text, address in {
    "no address of keys": ABSENT,
    "an address that is null": None,
    "an address that is an array": ["http://127.0.0.1/"],
    "keys over http": "http://issuer.test/jwks",
    "keys in a file": "file:///etc/passwd",
    "keys by ftp": "ftp://issuer.test/jwks",
    "keys in the address": "data:application/json,{}",
    "keys of a script": "javascript:1",
    "a user in the address": "https://user:pass@issuer.test/jwks",
    "a fragment in the address": "https://issuer.test/jwks#x",
    "an address without a host": "https:///jwks",
    "a relative address": "/jwks",
    "an address without a scheme": "//issuer.test/jwks",
    "an address with a space": "https://issuer.test/ jwks",
    "an address with a new line": "https://issuer.test/\r\nHost: evil.test",
    "an address that is not ASCII": "https://\u0456ssuer.test/jwks",
    "a backslash in the address": "https:\\\\issuer.test\\jwks",
    "a port that is none": "https://issuer.test:x/jwks",
    "the neighbour's metadata": "http://169.254.169.254/latest",
}.items():
    metadata("J10+", f"metadata with {text}", jwks_uri=address)


def _with(**address: Any) -> Callable[[], object]:
    return lambda: ApiSettings(identifier=API, issuers=[Issuer("https://issuer.test/", **address)])


ADDRESSES: Final = {
    "http": "http://issuer.test/jwks",
    "a file": "file:///etc/passwd",
    "ftp": "ftp://issuer.test/jwks",
    "data": "data:application/json,{}",
    "a user": "https://user@issuer.test/jwks",
    "a fragment": "https://issuer.test/jwks#x",
}
MORE_ADDRESSES: Final = {
    "a user and a password": "https://user:pass@issuer.test/jwks",
    "no host": "https:///jwks",
    "nothing": "",
    "a path": "/jwks",
    "no scheme": "issuer.test/jwks",
    "a space": "https://issuer.test/ jwks",
    "a new line": "https://issuer.test/jwks\n",
    "letters that look alike": "https://\u0456ssuer.test/",
    "octets": b"https://issuer.test/jwks",
    "a number": 7,
    "a port that is none": "https://issuer.test:x/",
    "a port too high": "https://issuer.test:99999/",
    "http to an address within": "http://10.0.0.1/jwks",
    "http to a name that begins as loopback does": "http://127.0.0.1.evil.test/",
    "http to a name that ends as loopback does": "http://evil.localhost.test/",
}
SETTINGS: Final[list[Attack]] = [
    *mistakes("J10", "jwks_uri", {text: _with(jwks_uri=address) for text, address in ADDRESSES.items()}),
    *mistakes("J10+", "jwks_uri", {text: _with(jwks_uri=address) for text, address in MORE_ADDRESSES.items()}),
    *mistakes("J10+", "metadata_url", {text: _with(metadata_url=address) for text, address in ADDRESSES.items()}),
]


# --- what does not matter -----------------------------------------------------------------------------------


def taken(name: str, text: str, answer: Bad) -> None:
    """An answer that is good, whatever is odd about it."""

    def play(stage: Stage) -> None:
        stage.origin.answers[JWKS] = answer(stage.origin, JWKS)
        verifier = stage.verifier()
        assert stage.lets_in(verifier, stage.issuing.token())
        assert stage.lets_in(verifier, stage.issuing.token())
        assert stage.fetches == 1
        assert not any("cookie" in headers for headers in stage.origin.headers)

    about(name, text, "OK", play)


for text in ("text/plain", "text/html", "application/octet-stream", "application/jwk-set+json; charset=x", ""):
    taken("J07", f"content type {text or 'empty'}", body(bytes, Content_Type=text))
taken("J07+", "no content type", sent(lambda good: b"HTTP/1.1 200 OK\r\n\r\n" + good))
taken("J36", "a cookie", body(bytes, Set_Cookie="session=1; Path=/"))
taken("J36", "strict transport security", body(bytes, Strict_Transport_Security="max-age=1"))
taken("J36", "a huge ETag", body(bytes, ETag='"' + "x" * 9_000 + '"'))
taken("J36", "a line's end within a header", sent(lambda good: HEAD + b"X: a\r\nSet-Cookie: b=c\r\n\r\n" + good))
for text, headers in {
    "a location": {"Location": "/elsewhere"},
    "a link": {"Link": "</elsewhere>; rel=alternate"},
    "another language": {"Content_Language": "x"},
    "a refresh": {"Refresh": "0; url=/elsewhere"},
    "when to come back": {"Retry_After": "3600"},
    "a name for a file": {"Content_Disposition": "attachment; filename=../../x"},
    "trouble with the keys of the connection": {"Public_Key_Pins": "x"},
    "a challenge": {"WWW_Authenticate": "Basic"},
}.items():
    taken("J36+", text, body(bytes, **headers))
taken("J16+", "gzip that was not asked for", body(gzip.compress, Content_Encoding="gzip"))
taken("J16+", "identity", body(bytes, Content_Encoding="identity"))
taken("J15+", "just as much as is taken", body(lambda good: good + b" " * (JWKS_BYTES - len(good))))

# By the header's value, the seconds after which the set is asked for again: never under 5 minutes, never over 10.
CACHED: Final = {
    "max-age=0": 300,
    "no-store": 300,
    "max-age=315360000": 600,
    "max-age=-1": 300,
}
CACHED_TOO: Final = {
    "no-cache": 300,
    "max-age=60": 300,
    "max-age=400": 400,
    "max-age=86400": 600,
    "max-age=1e9": 300,
    "max-age=": 300,
    "max-age=99999999999999999999": 300,
    'max-age="400"': 400,
    "MAX-AGE=400": 400,
    "private, max-age=400, must-revalidate": 400,
    "s-maxage=1": 600,
    "immutable": 600,
    "x" * 9_000: 600,
    "max-age=400, max-age=0": 400,
}


def cached(name: str, value: str, seconds: int) -> None:
    def play(stage: Stage) -> None:
        stage.origin.answers[JWKS] = sends(stage.origin.good(JWKS), 200, {"Cache-Control": value})
        verifier, token = stage.verifier(), stage.issuing.token()
        assert stage.lets_in(verifier, token)
        stage.clock.at += seconds * 0.8 - 1  # a refresh may come by a fifth earlier: processes do not go together
        assert stage.lets_in(verifier, token)
        assert stage.fetches == 1
        stage.clock.at += seconds * 0.2 + 1
        assert stage.lets_in(verifier, token)
        assert stage.fetches == 2

    about(name, f"kept for {seconds} s where it says {value[:40]!a}", "OK", play)


for value, seconds in CACHED.items():
    cached("J34", value, seconds)
for value, seconds in CACHED_TOO.items():
    cached("J34+", value, seconds)


# --- one key is refused, and the others serve ---------------------------------------------------------------

Jwk = Mapping[str, Any]


def skipped(
    name: str,
    text: str,
    jwk: Callable[[], Any],
    sign: Callable[[Stage], str] | None = None,
    wanted: Wanted = UNKNOWN_KEY,
) -> None:
    """A key among good ones that is not used (G): a token it has signed is refused (T), and a good one is not.

    sign: makes the token; without it, one that only names the key.
    """

    def play(stage: Stage) -> None:
        key, bad = stage.issuing.key().jwk(), jwk()
        stage.serve(key, bad)
        verifier = stage.verifier()
        assert stage.lets_in(verifier, stage.issuing.token())
        assert stage.ask(verifier, _named(stage, bad) if sign is None else sign(stage)) == wanted.answer
        assert len(verifier.status().issuers[0].skipped) == 1
        assert verifier.status().issuers[0].kids == (key["kid"],)
        # Who writes it into the settings is told.
        with pytest.raises(SettingsError) as refused_there:
            Issuer("https://issuer.test/", jwks={"keys": [bad]})
        assert refused_there.value.setting == "jwks"

    about(name, text, "G T", play)


def _named(stage: Stage, jwk: Any) -> str:
    kid = jwk.get("kid") if isinstance(jwk, dict) else None
    return stage.issuing.token(header={"kid": kid if isinstance(kid, str) and len(kid) < 99 else "bad"})


def _raw(key: Callable[[], weak.RawRsa]) -> tuple[Callable[[], Jwk], Callable[[Stage], str]]:
    """Its JWK, and a token that it has rightly signed."""
    return (
        lambda: key().jwk(),
        lambda stage: weak.signed_by(key(), stage.issuing.header(), stage.issuing.claims()),
    )


def _changed(key: SigningKey, **changes: Any) -> Callable[[], Jwk]:
    return lambda: key.jwk(**{"kid": "bad", **changes})


RSA, EC, ED = (signing_key(kind, 3) for kind in ("RSA", "P-256", "Ed25519"))

for text, member in {"a text": "RSA-1", "a number": 7, "null": None}.items():
    skipped("J21", text, lambda member=member: member)
skipped("J21", "n is missing", _changed(RSA, n=ABSENT))
for text, member in {
    "true": True,
    "an array": [],
    "an empty object": {},
    "an array of a key": [{"kty": "RSA"}],
}.items():
    skipped("J21+", text, lambda member=member: member)
for text, changes in {
    "e is missing": {"e": ABSENT},
    "n is null": {"n": None},
    "n is a number": {"n": 7},
    "n is an array": {"n": ["AQAB"]},
    "n is empty": {"n": ""},
    "e is empty": {"e": ""},
    "n is padded": {"n": RSA.jwk()["n"] + "=="},
    "n in base64": {"n": RSA.jwk()["n"][:-4] + "+/+/"},
    "n with white space": {"n": RSA.jwk()["n"] + "\n"},
    "n with a leading zero": {"n": octets_of(RSA.private.private_numbers().public_numbers.n, 257)},
    "e with a leading zero": {"e": "AAEAAQ"},
    "e is zero": {"e": "AA"},
    "kty is missing": {"kty": ABSENT},
    "kty is null": {"kty": None},
    "kty is a number": {"kty": 1},
    "kty in lower case": {"kty": "rsa"},
    "kid is a number": {"kid": 7},
    "kid is an object": {"kid": {}},
    "kid is too long": {"kid": "k" * 257},
    "the private key too": {"d": octets_of(RSA.private.private_numbers().d)},
    "a prime too": {"p": octets_of(RSA.private.private_numbers().p)},
    "a secret too": {"k": base64url(SECRET)},
    "a private member that is null": {"d": None},
}.items():
    skipped("J21+", text, _changed(RSA, **changes))
for text, changes in {
    "x is missing": {"x": ABSENT},
    "y is missing": {"y": ABSENT},
    "y is null": {"y": None},
    "crv is missing": {"crv": ABSENT},
    "crv is of another kind": {"crv": "Ed25519"},
    "crv is of another curve": {"crv": "P-384"},
    "the private key of a curve too": {"d": base64url(bytes(32))},
}.items():
    skipped("J21+", text, _changed(EC, **changes))
skipped("J22", "a kind that nobody knows", lambda: {"kty": "XYZ", "kid": "bad", "use": "sig"})
skipped("J22", "a curve that nobody knows", _changed(EC, crv="P-999"))
skipped("J22", "a key of the next generation", lambda: {"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA", "kid": "bad"})
skipped("J22+", "secp256k1", weak.koblitz_jwk)
for text, curve, size in (("Ed448", "Ed448", 57), ("X25519", "X25519", 32), ("X448", "X448", 56)):
    skipped("J22+", text, lambda c=curve, s=size: {"kty": "OKP", "crv": c, "x": base64url(bytes(s)), "kid": "bad"})
skipped(
    "J24",
    "a shared secret",
    lambda: {"kty": "oct", "kid": "bad", "alg": "HS256", "k": base64url(SECRET)},
    lambda stage: by_another(SECRET, stage.issuing, "HS256", kid="bad"),  # type: ignore[arg-type]
    HEADER,
)
skipped(
    "J24", "a shared secret, for RS256", lambda: {"kty": "oct", "kid": "bad", "alg": "RS256", "k": base64url(SECRET)}
)
skipped("J24+", "an empty secret", lambda: {"kty": "oct", "kid": "bad", "k": ""})
skipped("J25", "1,024 bits", *_raw(lambda: weak.rsa_of(1_024)))
skipped("J25", "512 bits", *_raw(lambda: weak.rsa_of(512)))
skipped("J25", "e is 1", *_raw(weak.exponent_one))
skipped("J25", "e is 3", *_raw(weak.exponent_three))
skipped("J25", "e is even", *_raw(weak.even_exponent))
skipped("J25", "n is even", *_raw(weak.even_modulus))
skipped("J25+", "2,046 bits", *_raw(lambda: weak.rsa_of(2_046)))
skipped("J25+", "768 bits", *_raw(lambda: weak.rsa_of(768)))
skipped("J25+", "16,384 bits", *_raw(weak.largest))
skipped("J25+", "e of 33 bits", *_raw(lambda: weak.exponent("RSA-e-33", 2**32 + 15)))
skipped("J25+", "e of 2,047 bits", *_raw(lambda: weak.exponent("RSA-e-huge", 2**2_046 + 981)))
skipped("J25+", "e is 2", _changed(RSA, e="Ag"))
skipped("J25+", "n is one", _changed(RSA, n="AQ"))
skipped("J27", "the generator of CVE-2017-15361", *_raw(weak.roca))


def _point(**numbers: int) -> Callable[[], Jwk]:
    """The key on P-256 with other coordinates, each in 32 octets."""
    return lambda: EC.jwk(kid="bad", **{name: octets_of(number, 32) for name, number in numbers.items()})


own = EC.private.public_key().public_numbers()
skipped("J28", "not on the curve", _point(y=own.y ^ 1))
skipped("J28", "the point at infinity", _point(x=0, y=0))
skipped("J28", "x of 33 octets", _changed(EC, x=octets_of(own.x, 33)))
skipped("J28", "leading zeros", _changed(EC, x=octets_of(own.x, 40), y=octets_of(own.y, 40)))
skipped("J28+", "x of 31 octets", _changed(EC, x=base64url(own.x.to_bytes(32)[1:])))
skipped("J28+", "x is the prime of the field", _point(x=weak.P256))
skipped("J28+", "x and the prime of the field", _point(x=(own.x + weak.P256) % 2**256))
skipped("J28+", "x and y as high as can be", _point(x=2**256 - 1, y=2**256 - 1))
skipped("J28+", "x and y swapped", _point(x=own.y, y=own.x))
skipped("J28+", "x is empty", _changed(EC, x=""))
skipped("J28+", "an Edwards key of 31 octets", _changed(ED, x=base64url(bytes(range(31)))))
skipped("J28+", "an Edwards key of 33 octets", _changed(ED, x=base64url(bytes(range(33)))))
for text, point in weak.SMALL_ORDER.items():
    skipped("J28+", f"an Edwards key of {text}", _changed(ED, x=base64url(point)))


@SCENES.scenario("J31", "T")
def two_keys_of_one_name(stage: Stage) -> None:
    stage.serve(stage.issuing.key().jwk(), INTRUDER.jwk(kid=stage.issuing.key().kid))
    verifier = stage.verifier()
    assert stage.ask(verifier, stage.issuing.token()) == AMBIGUOUS.answer
    assert stage.ask(verifier, by_another(INTRUDER, stage.issuing)) == AMBIGUOUS.answer


# --- certificates beside a key ------------------------------------------------------------------------------


def certificate_of(key: SigningKey) -> str:
    """As `x5c` has it: DER in base64 (RFC 7517 section 4.7)."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer.test")])
    since = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = x509.CertificateBuilder(name, name, key.private.public_key(), 7, since, since + dt.timedelta(9_999))
    return base64.b64encode(made.sign(key.private, SHA256()).public_bytes(Encoding.DER)).decode()


@SCENES.scenario("J33", "G T")
def a_certificate_of_another_key(stage: Stage) -> None:
    odd = SigningKey("bad", "RSA", RSA.private)
    stage.serve(stage.issuing.key().jwk(), odd.jwk(x5c=[certificate_of(INTRUDER)]))
    verifier = stage.verifier()
    assert stage.lets_in(verifier, stage.issuing.token())
    # Whose key that is, nobody can tell: neither may serve.
    for key in (odd, INTRUDER):
        assert stage.ask(verifier, by_another(key, stage.issuing, kid="bad")) == UNKNOWN_KEY.answer


@SCENES.scenario("J33", "G T")
def an_address_of_certificates(stage: Stage) -> None:
    address = f"{stage.issuing.url}elsewhere"
    stage.origin.answers["/elsewhere"] = sends(certificate_of(INTRUDER).encode())
    stage.serve(stage.issuing.key().jwk(x5u=address), {"kty": "RSA", "kid": "bad", "x5u": address})
    verifier = stage.verifier()
    assert stage.lets_in(verifier, stage.issuing.token())
    assert stage.ask(verifier, by_another(INTRUDER, stage.issuing)) == SIGNATURE.answer
    assert stage.ask(verifier, by_another(INTRUDER, stage.issuing, kid="bad")) == UNKNOWN_KEY.answer
    assert stage.origin.asked["/elsewhere"] == 0


@SCENES.scenario("J33+", "OK T")
def a_certificate_of_the_key_itself(stage: Stage) -> None:
    key = stage.issuing.key()
    stage.serve(key.jwk(x5c=[certificate_of(key)], x5t="AAAA"))
    verifier = stage.verifier()
    assert stage.lets_in(verifier, stage.issuing.token())
    assert stage.ask(verifier, by_another(INTRUDER, stage.issuing)) == SIGNATURE.answer


CASES: Final = [*SCENES, *SETTINGS]
