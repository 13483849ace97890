"""What a refusal costs: the slowest of many hostile inputs, measured against what is promised.

    python -m tests.conformance.cost                 # the table, and an exit status
    python -m tests.conformance.cost --search 60     # and a minute's search for something slower

Promised: a megabyte of junk is refused within 0.1 ms, anything that is refused before its signature is looked at within
1 ms, and no request of up to 16 KiB takes more than 5 ms. Encrypted tokens are apart: each key that is tried costs one
private operation. A time is the least of several runs, as the other ones measure what else the machine did. Refusals
are logged, as they are in production.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

import httpx

from jwtgate import ApiSettings, AuthError, Issuer, Request, Verifier
from tests.making import API, NOW, SECRET, Issuing, base64url, compact, segment, signing_key

V = TypeVar("V")

KIB: Final = 1_024
SIZE: Final = 16 * KIB  # characters of a token, and of a request
MEGABYTE: Final = 1_000_000
JUNK: Final = 0.1e-3  # seconds; a megabyte, or more
UNSIGNED: Final = 1e-3  # seconds; what is refused before its signature is looked at
ANY: Final = 5e-3  # seconds; any input up to SIZE
RUNS: Final = 9

ISSUING: Final = Issuing()
SECRETIVE: Final = Issuing(url="https://secret.test/")
FETCHED: Final = Issuing(url="https://fetched.test/")
TARGET: Final = f"{API}messages"


class Clock:
    """It always stands at NOW."""

    def wall(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@cache
def verifier(*, dpop: bool = False) -> Verifier:
    """Of three issuers: keys given, one secret, and keys that were fetched a moment ago."""
    issuers = [
        Issuer(ISSUING.url, jwks=ISSUING.jwks(), signing_algorithms=["RS256", "PS256", "ES256", "ES512", "EdDSA"]),
        Issuer(SECRETIVE.url, signing_secret=SECRET, signing_algorithms=["HS256"]),
        Issuer(FETCHED.url, jwks_uri=FETCHED.jwks_uri),
    ]
    proof: dict[str, Any] = {"proof_of_possession": "dpop", "dpop_algorithms": PROOFS} if dpop else {}
    answer = httpx.Response(200, json=FETCHED.jwks())
    client = httpx.Client(transport=httpx.MockTransport(lambda request: answer))
    own = Verifier(ApiSettings(identifier=API, issuers=issuers, **proof), http=client, clock=Clock())
    own.warm_up()
    return own


PROOFS: Final = ("ES256", "EdDSA", "RS256")


# --- probes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Work:
    """One input. size: its characters; run: what is measured, and gives the name of what came out."""

    size: int
    run: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Probe:
    """limit: seconds that the work may take."""

    group: str
    name: str
    work: Work
    limit: float


def ask(token: Any) -> Work:
    return Work(len(token), lambda: outcome(lambda: verifier().verify(token)))


def send(*lines: tuple[str, str], dpop: bool = False, url: str = TARGET) -> Work:
    request = Request("GET", url, [("Host", "api.test"), *lines])
    size = sum(len(name) + len(value) + 4 for name, value in lines) + len(url) - len(TARGET)
    return Work(size, lambda: outcome(lambda: verifier(dpop=dpop).verify_request(request)))


def outcome(work: Callable[[], object]) -> str:
    """The name of what came out: an error's event, or "accepted"."""
    try:
        work()
    except AuthError as error:
        return error.event
    return "accepted"


def fill(piece: str, size: int, before: str = "", behind: str = "") -> str:
    """As many pieces as fit into so many octets of UTF-8."""
    each = len(piece.encode("utf-8", "surrogatepass"))
    return before + piece * ((size - len(before) - len(behind)) // each) + behind


OCTETS: Final = (SIZE - 800) * 3 // 4  # that a segment may hold beside the two others of a good token
RS256: Final = '{"alg":"RS256","kid":"none of theirs",'
ONES: Final = b"\x01" * 512

# Texts that cost a lenient parser dearly: by name, a JSON text of at most so many characters.
JSON: Final[dict[str, Callable[[int], str]]] = {
    "nested arrays": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "arrays that never close": lambda size: "[" * size,
    "nested objects": lambda size: fill('{"a":', size),
    "nested at the limit, many times": lambda size: fill("[" * 30 + "]" * 30 + ",", size, '{"a":[', "1]}"),
    "brackets in a text": lambda size: fill("[{", size, '{"a":"', '"}'),
    "texts of brackets": lambda size: fill('"[{",', size, '{"a":[', '""]}'),
    "a thousand members": lambda size: json.dumps({f"{number:x}": 0 for number in range(1_000)}),
    "members to the end": lambda size: "{" + ",".join(f'"{number:x}":0' for number in range(size // 9)) + "}",
    "the same member over and over": lambda size: fill('"a":1,', size, "{", '"a":1}'),
    "commas": lambda size: fill(",", size, "[1", "]"),
    "commas in texts": lambda size: fill(",", size, '{"a":"', '"}'),
    "a thousand commas, and escapes": lambda size: fill('"\\u0041",', min(size, 9_000), '{"a":[', '""]}'),
    "escaped letters": lambda size: fill("\\u0041", size, '{"a":"', '"}'),
    "escaped quotes": lambda size: fill('\\"', size, '{"a":"', '"}'),
    "nothing but escaped quotes": lambda size: fill('\\"', size),
    "escaped quotes and brackets": lambda size: fill('\\"[', size),
    "backslashes": lambda size: fill("\\", size),
    "quotes": lambda size: fill('"', size),
    "lone surrogates": lambda size: fill("\\ud800", size, '{"a":"', '"}'),
    "surrogate pairs": lambda size: fill("\\ud83d\\ude00", size, '{"a":"', '"}'),
    "one surrogate pair, and a thousand members": lambda size: json.dumps(
        {f"m{number}": "\U0001f600" for number in range(min(600, size // 24))}
    ),
    "a long number": lambda size: fill("9", size, '{"a":', "}"),
    "long numbers": lambda size: fill("9" * 4_299 + ",", size, '{"a":[', "1]}"),
    "many numbers of forty digits": lambda size: fill("9" * 40 + ",", size, '{"a":[', "1]}"),
    "a long fraction": lambda size: fill("9", size, '{"a":0.', "}"),
    "long fractions": lambda size: fill("0." + "9" * 780 + "e-9,", size, '{"a":[', "1]}"),
    "fractions near nothing": lambda size: fill("4.9e-324,", size, '{"a":[', "1]}"),
    "a long exponent": lambda size: fill("0", size, '{"a":1e', "1}"),
    "minus signs": lambda size: fill("-", size),
    "white space": lambda size: fill(" ", size, '{"a":', "1}"),
    "letters": lambda size: fill("a", size),
    "letters of four octets": lambda size: fill("\U0001f600", size, '{"a":"', '"}'),
    "a name of a great many letters": lambda size: fill("k", size, '{"', '":1}'),
    "empty arrays": lambda size: fill("[]", size),
    "empty objects": lambda size: fill("{}", size),
    "closing brackets": lambda size: fill("]}", size),
    "a thousand arrays, then closing brackets": lambda size: fill("]}", size, "[]" * 990),
    "a thousand commas, then arrays": lambda size: fill("[]", size, "1," * 990),
    "empty texts": lambda size: fill('""', size, "[" * 5),
    "a wide letter, a thousand arrays, empty texts": lambda size: fill('""', size, "\U0001f600" + "[]" * 726),
    "nulls": lambda size: fill("null,", size, "[", "null]"),
}

# A few marks of structure, or many, and then a long run of something else: for searches that begin again and again.
STARTS: Final = {
    "arrays": "[]" * 990,
    "objects": "{}" * 30,
    "commas": "1," * 990,
    "texts": '""' * 30,
    "a text": '[[[[["',
}
RUNS_OF: Final = {
    "letters": "A",
    "digits": "9",
    "spaces": " ",
    "colons": ":",
    "quotes": '"',
    "backslashes": "\\",
    "escaped quotes": '\\"',
    "escapes": "\\u0041",
    "wide letters": "\u00e9",
}
JSON.update(
    {
        f"{start}, then {run}": lambda size, before=before, piece=piece: fill(piece, size, before)  # type: ignore[misc]
        for start, before in STARTS.items()
        for run, piece in RUNS_OF.items()
    }
)

# Claims that are signed, so that every check sees them: an issuer may be careless, or its users may choose them.
CLAIMS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "a thousand audiences": lambda: {"aud": [f"https://{number}.test/" for number in range(550)]},
    "audiences of one letter": lambda: {"aud": ["a"] * 980},
    "a long audience": lambda: {"aud": "A" * 11_000},
    "audiences that are nearly right": lambda: {"aud": [API.upper()[:-1] + "/" * 5] * 450},
    "a scope of thousands of names": lambda: {"scope": "a " * 5_500, "aud": "x"},
    "a scope of spaces": lambda: {"scope": " " * 11_000, "aud": "x"},
    "a scope as a list": lambda: {"scope": ["a"] * 980, "aud": "x"},
    "a long scope with one fault": lambda: {"scope": "a" * 11_000 + '"'},
    "a thousand permissions": lambda: {"permissions": [f"p{number}" for number in range(980)]},
    "permissions with one fault": lambda: {"permissions": [*["p"] * 979, 1]},
    "actors within actors": lambda: {"act": nested_actors(30)},
    "a long subject": lambda: {"sub": "s" * 11_000, "exp": 1},
    "a long date": lambda: {"exp": 10**4_000},
    "a long wrong type": lambda: {"exp": "9" * 11_000},
    "an object for a claim": lambda: {"sub": {f"m{number}": [number] for number in range(480)}},
    "a binding of many members": lambda: {"cnf": {f"m{number}": number for number in range(900)}},
    "a wrong kind": lambda: {"nonce": "n" * 11_000},
}


def nested_actors(depth: int) -> dict[str, Any]:
    return {"sub": "a", "act": nested_actors(depth - 1)} if depth else {"sub": "a"}


def tokens() -> Iterator[tuple[str, str]]:
    """Of up to SIZE characters, refused before the signature is looked at: by name."""
    header, payload, signature = ISSUING.token(header={"kid": "none of theirs"}).split(".")
    for name, make in JSON.items():
        yield f"payload: {name}", f"{header}.{segment(make(OCTETS))}.{signature}"
        yield f"header: {name}", f"{segment(make(OCTETS))}.{payload}.{signature}"
        members = make(OCTETS).strip()
        # Behind a good `alg`, so that the whole header is read.
        yield f"header with alg: {name}", f"{segment(RS256 + members[1:])}.{payload}.{signature}"
        yield f"five segments: {name}", f"{segment(make(OCTETS))}.AA.AA.AA.AA"
    for name, junk in characters():
        yield f"token: {name}", junk
        for place, part in enumerate(("header", "payload", "signature")):
            segments = [header, payload, signature]
            segments[place] = junk[900 - SIZE :]
            yield f"{part}: {name}", ".".join(segments)
    for name, changes in HEADERS.items():
        yield f"header: {name}", compact({**ISSUING.header(), **changes}, ISSUING.claims(), ISSUING.key(), "RS256")
    for name, value in ISSUERS.items():
        yield f"issuer: {name}", ISSUING.token(iss=value)
    for url, algorithm in ((FETCHED.url, "RS256"), (ISSUING.url, "RS256"), (SECRETIVE.url, "ES256")):
        yield f"unknown kid at {url}", Issuing(url=url).token(algorithm=algorithm, header={"kid": "x" * 256})


def characters(size: int = SIZE) -> Iterator[tuple[str, str]]:
    """Texts of one character, or of few."""
    pieces = {
        "A": "A",
        "dots": ".",
        "equals signs": "=",
        "spaces": " ",
        "new lines": "\n",
        "nothing printable": "\0",
        "another alphabet": "é",
        "wide letters": "\uff21",
        "four octets": "\U0001f600",
        "lone surrogates": "\ud800",
        "slashes": "/+",
        "A and dots": "A.",
    }
    for name, piece in pieces.items():
        yield name, fill(piece, size)
    yield "A, then a line end", "A" * (size - 1) + "\n"
    yield "A, then another alphabet", "A" * (size - 1) + "é"
    yield "four dots far apart", ".".join(["A" * (size // 5 - 1)] * 5)
    yield "a refresh token", "v1." + "A" * (size - 3)


HEADERS: Final[dict[str, dict[str, Any]]] = {
    "a long kid": {"kid": "k" * 11_000},
    "a kid of four octets": {"kid": "\U0001f600" * 63},
    "a long typ": {"typ": "t" * 11_000},
    "a long alg": {"alg": "R" * 11_000},
    "a long crit": {"crit": ["a"] * 50},
    "a long cty": {"cty": "application/" * 900, "kid": "none of theirs"},
    "certificates": {"x5c": ["M" * 11_000], "alg": "none"},
}
ISSUERS: Final[dict[str, Any]] = {
    "long": "https://issuer.test/" * 580,
    "of slashes": "/" * 11_000,
    "a list": ["https://issuer.test/"] * 400,
    "nearly right": ISSUING.url.upper() + "/" * 11_000,
    "nothing": None,
    "of another alphabet": "é" * 1_900,
}


def signed() -> Iterator[tuple[str, str]]:
    """Of up to SIZE characters, rightly signed; and signatures that are not right."""
    for name, make in CLAIMS.items():
        yield f"claims: {name}", ISSUING.token(**make())
        yield f"RFC 9068 claims: {name}", ISSUING.rfc9068_token(**make())
    for name, write in JSON.items():
        yield f"signed payload: {name}", compact(ISSUING.header(), write(OCTETS), ISSUING.key())
    for algorithm in ("RS256", "PS256", "ES256", "ES512", "EdDSA"):
        token = ISSUING.token(algorithm=algorithm, filler="f" * 10_000)
        yield f"signature: {algorithm}, right", token
        yield f"signature: {algorithm}, of zeros", token.rpartition(".")[0] + "." + base64url(bytes(64))
        yield f"signature: {algorithm}, too long", token.rpartition(".")[0] + "." + base64url(bytes(1_500))
        yield (
            f"signature: {algorithm}, of another",
            Issuing(number=2).token(algorithm=algorithm, header={"kid": ISSUING.key(algorithm).kid}),
        )
    yield "secret: wrong", SECRETIVE.token(algorithm="HS256", filler="f" * 10_000)[:-4] + "AAAA"


def lines() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Header lines of up to SIZE characters: by name."""
    good = ISSUING.token()
    for name, junk in characters(SIZE - 30):
        yield f"Authorization: {name}", [("Authorization", junk)]
        yield f"Bearer: {name}", [("Authorization", f"Bearer {junk}")]
        yield f"Basic: {name}", [("Authorization", f"Basic {junk}")]
    pieces = {
        "commas": ",",
        "commas and spaces": ", ",
        "second credentials": ", Bearer a",
        "schemes": ",a ",
        "parameters": ',a="b"',
        "a scheme that never ends": "a",
        "quotes": '"',
        "tabs": "\t",
    }
    for name, piece in pieces.items():
        for scheme in ("Bearer", "Basic", "Digest", ""):
            yield f"{scheme or 'no scheme'}: {name}", [("Authorization", fill(piece, SIZE - 20, f"{scheme} "))]
    yield (
        "a comma, a long scheme, spaces, an equals sign",
        [("Authorization", "Basic a," + "b" * 8_000 + " " * 8_000 + "=")],
    )
    yield "hundreds of Authorization lines", [("Authorization", "Bearer a")] * 650
    yield "hundreds of empty Authorization lines", [("Authorization", "")] * 950
    yield "a thousand lines, and a good one", [*[("X", "a")] * 2_000, ("Authorization", f"Bearer {good}")]
    yield "lines of long names, and a good one", [("X" * 4_000, "a")] * 3 + [("Authorization", f"Bearer {good}")]
    yield "one good line", [("Authorization", f"Bearer {good}")]


def megabytes() -> Iterator[tuple[str, Work]]:
    """A megabyte or more: by name, what is measured."""
    header, payload, signature = ISSUING.token().split(".")
    for name, junk in characters(MEGABYTE):
        yield f"token: {name}", ask(junk)
        yield f"Authorization: {name}", send(("Authorization", junk))
        yield f"Bearer: {name}", send(("Authorization", f"Bearer {junk}"))
        yield f"Basic: {name}", send(("Authorization", f"Basic {junk}"))
        yield f"another header: {name}", send(("X-Other", junk), ("Authorization", "Bearer a"))
        yield f"DPoP: {name}", send(("Authorization", "DPoP a"), ("DPoP", junk), dpop=True)
    for name in ("commas", "second credentials"):
        piece = {"commas": ",", "second credentials": ", Bearer a"}[name]
        yield f"Basic: {name}", send(("Authorization", fill(piece, MEGABYTE, "Basic ")))
        yield f"Bearer: {name}", send(("Authorization", fill(piece, MEGABYTE, "Bearer ")))
    yield "header: A", ask(f"{'A' * MEGABYTE}.{payload}.{signature}")
    yield "payload: A", ask(f"{header}.{'A' * MEGABYTE}.{signature}")
    yield "signature: A", ask(f"{header}.{payload}.{'A' * MEGABYTE}")
    yield "bytes", ask(b"A" * MEGABYTE)
    yield "URL", send(("Authorization", "Bearer a"), url=TARGET + "/" * MEGABYTE)


def proofs() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A good bound token, and a DPoP line that costs as much as it can."""
    own = signing_key("P-256", 2)
    thumb = thumbprint_of(own)
    token = ISSUING.token(cnf={"jkt": thumb})
    good = {"jti": "a", "htm": "GET", "htu": TARGET, "iat": int(NOW), "ath": digest(token)}
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public(own)}

    def line(proof: str) -> list[tuple[str, str]]:
        return [("Authorization", f"DPoP {token}"), ("DPoP", proof)]

    first, second, third = compact(header, good, own).split(".")
    for name, make in JSON.items():
        yield f"payload: {name}", line(f"{first}.{segment(make(5_000))}.{third}")
        yield f"header: {name}", line(f"{segment(make(5_000)[:5_000])}.{second}.{third}")
    for name, junk in characters(8_000):
        yield f"proof: {name}", line(junk)
    for name, htu in TARGETS.items():
        yield f"htu: {name}", line(compact(header, {**good, "htu": htu}, own))
    for name, changes in PROOF_CLAIMS.items():
        yield f"claims: {name}", line(compact(header, {**good, **changes}, own))
    big = rsa_members(4_096)
    for name, jwk in {
        "RSA of 4,096 bits": big,
        "RSA, the greatest exponent": {**big, "e": base64url(b"\xff\xff\xff\xff")},
        "RSA of 32,768 bits": rsa_members(32_768),
        "a point at infinity": {"kty": "EC", "crv": "P-256", "x": base64url(bytes(32)), "y": base64url(bytes(32))},
        "a thousand members": {**public(own), **{f"m{number}": number for number in range(50)}},
    }.items():
        algorithm = "RS256" if jwk["kty"] == "RSA" else "ES256"
        head = segment({"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk})
        yield f"key: {name}", line(f"{head}.{second}.{base64url(ONES)}")
    yield "lines: two hundred", [("Authorization", f"DPoP {token}"), *[("DPoP", "a.b.c")] * 200]


TARGETS: Final[dict[str, str]] = {
    "slashes": TARGET + "/" * 5_000,
    "dots": TARGET + "/.." * 1_600,
    "up and down": TARGET + "/a/.." * 1_000,
    "percent signs": TARGET + "%" * 5_000,
    "percent-encoded": TARGET + "%41" * 1_600,
    "a long host": "https://" + "a" * 5_000,
    "a long host of labels": "https://" + "a." * 120,
    "a host of another alphabet": "https://" + "é" * 200 + ".test/",
    "a host of many labels of another alphabet": "https://" + "é." * 100 + "test/",
    "a host of Arabic and Hebrew": "https://" + "\u0627\u05d0" * 60,
    "an IPv6 host": "https://[" + ":" * 5_000 + "]/",
    "a long IPv6 host": "https://[" + "1:" * 2_500 + "]/",
    "a percent-encoded host": "https://" + "%C3%A9" * 800,
    "a long port": "https://api.test:" + "9" * 5_000,
    "a user part": "https://" + "u" * 5_000 + "@api.test/",
    "a query": TARGET + "?" + "q" * 5_000,
    "question marks": TARGET + "?" * 5_000,
}
PROOF_CLAIMS: Final[dict[str, dict[str, Any]]] = {
    "a long jti": {"jti": "j" * 5_000},
    "a long htm": {"htm": "G" * 5_000},
    "a long nonce": {"nonce": "n" * 5_000},
    "a long ath": {"ath": "a" * 5_000},
    "a long date": {"iat": 10**4_000},
}


def public(key: Any) -> dict[str, Any]:
    return {name: value for name, value in key.jwk().items() if name not in ("kid", "use")}


def thumbprint_of(key: Any) -> str:
    from jwtgate.core.jwk import thumbprint

    return thumbprint(public(key))


def digest(token: str) -> str:
    from hashlib import sha256

    return base64url(sha256(token.encode()).digest())


def rsa_members(bits: int) -> dict[str, str]:
    """Of a modulus that is one, as far as anybody can see who only verifies."""
    rng = random.Random(bits)
    return {"kty": "RSA", "n": base64url((rng.getrandbits(bits) | 1 << bits - 1 | 1).to_bytes(bits // 8)), "e": "AQAB"}


def probes() -> list[Probe]:
    """All of them."""
    found = [Probe("1 MB of junk", name, work, JUNK) for name, work in megabytes()]
    found += [Probe("before the signature", name, ask(token), UNSIGNED) for name, token in tokens()]
    found += [Probe("header lines", name, send(*sent), UNSIGNED) for name, sent in lines() if "good" not in name]
    found += [Probe("16 KiB", name, send(*sent), ANY) for name, sent in lines() if "good" in name]
    found += [Probe("16 KiB", name, ask(token), ANY) for name, token in signed()]
    found += [Probe("16 KiB, a proof", name, send(*sent, dpop=True), ANY) for name, sent in proofs()]
    return found


# --- measuring ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cost:
    """seconds: the least of several runs; answer: what came out."""

    probe: Probe
    seconds: float
    answer: str

    @property
    def kept(self) -> float:
        """How much of what is allowed it took."""
        return self.seconds / self.probe.limit


def measure(probe: Probe, runs: int = RUNS) -> Cost:
    answer = probe.work.run()  # the first one fills caches
    seconds = least(probe.work, 3)
    # No machine is so busy three times: what is far too slow need not be measured well.
    return Cost(probe, seconds if seconds > 20 * probe.limit else min(seconds, least(probe.work, runs)), answer)


def least(work: Work, runs: int) -> float:
    best = float("inf")
    for _ in range(runs):
        # Of this thread alone: what others take of the machine meanwhile is no cost of the input.
        began = time.thread_time()
        work.run()
        best = min(best, time.thread_time() - began)
    return best


class Line(logging.Handler):
    """A log that formats each line, and keeps none."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


def logged(work: Callable[[], V]) -> V:
    """Work while refusals are logged, as in production."""
    log, handler = logging.getLogger("jwtgate"), Line()
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        return work()
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]


def measure_all(runs: int = RUNS) -> list[Cost]:
    """Every probe; those that seem too slow again and again, as a machine has other things to do."""
    return logged(lambda: [again(measure(probe, runs), 5 * runs) for probe in probes()])


def again(cost: Cost, runs: int) -> Cost:
    return measure(cost.probe, runs) if 0.5 < cost.kept < 20 else cost


# --- searching ------------------------------------------------------------------------------------------------------

PIECES: Final = (
    "[", "]", "{", "}", '"', "\\", ",", ":", " ", "\n", "0", "9", "1e9", "-", ".", "a", "\\u0041", "\\ud800", '\\"',
    '""', "{}", "[]", '{"a":', '"a":1,', "null", "é", "\U0001f600", "NaN", "1,", '"x",', "0.1,", "]}", '"aud":["',
    '"iss":"',
    '"alg":"RS256",', '"kid":"', '"exp":', "Bearer ", "=", "/", "%2e", "\t", "A", "..", "https://",
    "99999999999999999999",
)  # fmt: skip
# A text, piece by piece, and where it stands.
Recipe = tuple[str, tuple[tuple[int, int], ...]]  # where; (a piece, how often), one behind the other


PLACES: Final = (
    "payload", "signed payload", "header", "alg header", "token", "Authorization", "Bearer", "five", "proof", "htu"
)  # fmt: skip


def written(recipe: Recipe, size: int) -> str:
    return "".join(PIECES[piece] * count for piece, count in recipe[1])[:size]


def work_of(recipe: Recipe) -> Work:
    """A whole request, or a token, of at most SIZE characters."""
    place = recipe[0]
    header, payload, signature = parts()
    if place in ("payload", "signed payload"):
        first = f"{header}.{segment(cut(written(recipe, OCTETS), OCTETS))}"
        if place == "payload":
            return ask(f"{first}.{signature}")
        return ask(f"{first}.{base64url(ISSUING.key().sign('RS256', first.encode()))}")
    if place == "header":
        return ask(f"{segment(cut(written(recipe, OCTETS), OCTETS))}.{payload}.{signature}")
    if place == "alg header":
        text = RS256 + written(recipe, OCTETS)
        return ask(f"{segment(cut(text, OCTETS))}.{payload}.{signature}")
    if place == "five":
        return ask(f"{segment(cut(written(recipe, OCTETS), OCTETS))}.AA.AA.AA.AA")
    if place == "token":
        return ask(written(recipe, SIZE))
    if place in ("proof", "htu"):
        return proof_of(place, written(recipe, 5_000))
    scheme = "Bearer " if place == "Bearer" else ""
    return send(("Authorization", scheme + written(recipe, SIZE - 20)))


def cut(text: str, size: int) -> bytes:
    return text.encode("utf-8", "replace")[:size]


@cache
def parts() -> tuple[str, str, str]:
    header, payload, signature = ISSUING.token().split(".")
    return header, payload, signature


@cache
def bound() -> tuple[str, Any]:
    own = signing_key("P-256", 2)
    return ISSUING.token(cnf={"jkt": thumbprint_of(own)}), own


def proof_of(place: str, text: str) -> Work:
    token, own = bound()
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public(own)}
    claims = {"jti": "a", "htm": "GET", "htu": text, "iat": int(NOW), "ath": digest(token)}
    payload: Any = json.dumps(claims) if place == "htu" else cut(text, 5_000)
    return send(("Authorization", f"DPoP {token}"), ("DPoP", compact(header, payload, own)), dpop=True)


def limit_of(recipe: Recipe) -> float:
    return ANY if recipe[0] in ("signed payload", "proof", "htu") else UNSIGNED


def random_recipe(rng: random.Random) -> Recipe:
    steps = tuple((rng.randrange(len(PIECES)), rng.choice([1, 1, 2, 30, 100, 990, 4_000, 16_000])) for _ in range(4))
    return rng.choice(PLACES), steps


def varied(rng: random.Random, recipe: Recipe) -> Recipe:
    place, steps = recipe
    kept = list(steps)
    where = rng.randrange(len(kept))
    change = rng.randrange(4)
    piece, count = kept[where]
    if change == 0:
        kept[where] = (rng.randrange(len(PIECES)), count)
    elif change == 1:
        kept[where] = (piece, min(SIZE, max(1, int(count * rng.choice([0.5, 0.9, 1.1, 2, 10])))))
    elif change == 2 and len(kept) > 1:
        del kept[where]
    else:
        kept.insert(where, (rng.randrange(len(PIECES)), rng.choice([1, 2, 30, 990])))
    return (place if rng.random() < 0.8 else rng.choice(PLACES)), tuple(kept[:12])


def search(seconds: float, seed: int) -> tuple[int, list[Cost]]:
    """How many inputs were tried, and the slowest of them: each slow one is varied, as a breeder would."""
    rng = random.Random(seed)
    best: list[tuple[float, Recipe]] = []
    tried, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        recipe = random_recipe(rng) if rng.random() < 0.3 or len(best) < 20 else varied(rng, rng.choice(best)[1])
        work = work_of(recipe)
        taken = least(work, 2) / limit_of(recipe)
        tried += 1
        if len(best) < 40 or taken > best[-1][0]:
            taken = least(work, 5) / limit_of(recipe)
            best = sorted([*best, (taken, recipe)], key=lambda one: -one[0])[:40]
    found = [Probe("searched", name_of(recipe), work_of(recipe), limit_of(recipe)) for _, recipe in best]
    return tried, [measure(probe, 20) for probe in found]


def name_of(recipe: Recipe) -> str:
    return f"{recipe[0]}: " + " ".join(f"{PIECES[piece]!r}*{count}" for piece, count in recipe[1])


# --- the command ----------------------------------------------------------------------------------------------------


def table(costs: Sequence[Cost], most: int = 8) -> str:
    """Of each group the slowest, in order."""
    rows = []
    for group in dict.fromkeys(cost.probe.group for cost in costs):
        own = sorted((cost for cost in costs if cost.probe.group == group), key=lambda cost: -cost.seconds)
        limits = {cost.probe.limit for cost in own}
        rows.append(f"{group}: {len(own)} inputs, at most {' or '.join(f'{limit * 1e3:g} ms' for limit in limits)}")
        for cost in own[:most]:
            mark = "TOO SLOW" if cost.kept > 1 else ""
            rows.append(f"    {cost.seconds * 1e3:8.3f} ms  {cost.answer:22} {cost.probe.name[:90]}  {mark}".rstrip())
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. 1 where anything takes longer than it may."""
    parser = argparse.ArgumentParser(description="What hostile input costs.")
    parser.add_argument("--search", type=float, default=0, metavar="SECONDS", help="look for something slower")
    parser.add_argument("--seed", type=int, default=1, help="of the search")
    parser.add_argument("--slack", type=float, default=1, help="times what is allowed, on a busy machine")
    given = parser.parse_args(arguments)
    costs = measure_all()
    if given.search:
        tried, found = logged(lambda: search(given.search, given.seed))
        print(f"searched: {tried} inputs, seed {given.seed}")
        costs += found
    print(table(costs))
    over = [cost for cost in costs if cost.kept > given.slack]
    slowest = max(cost.seconds for cost in costs)
    print(f"{len(costs)} inputs, {len(over)} too slow; the slowest refusal: {slowest * 1e3:.3f} ms")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
