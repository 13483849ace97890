"""Group R: the HTTP request: which of its parts are credentials, and what may stand in its answer."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from jwtgate import AuthError
from tests.conformance.attacks.answers import (
    BAD_TOKENS,
    EXPIRED,
    MALFORMED,
    OK,
    PASSED,
    A,
    N,
    Q,
    S,
    V,
    Wanted,
)
from tests.conformance.attacks.cases import Attack, Check, carried
from tests.conformance.attacks.forging import good
from tests.doors import BARE_DOORS, ORIGIN, ORPHAN, WSGI_DOORS, Sent
from tests.making import ABSENT, NOW

HUNG_UP: Final = 0  # in place of a status: a server that is sent too much need not listen to the end
TOO_MUCH: Final = (400, 431, HUNG_UP)
TOKENS: Final[Mapping[str, Callable[[], str]]] = {
    "good": good,
    "other": functools.partial(good, "ES256"),
    "expired": functools.partial(good, exp=int(NOW) - 31),
    "nobody": functools.partial(good, scope=ABSENT),
    "orphan": ORPHAN.token,
}
JUNK: Final = b"a" * 65_536  # 64 KiB


@functools.cache
def _token(name: str) -> bytes:
    return TOKENS[name]().encode()


def filled(octets: bytes) -> bytes:
    """With each {name} replaced by that token."""
    return re.sub(rb"\{(\w+)\}", lambda found: _token(found[1].decode()), octets)


def _sent(lines: Sequence[tuple[bytes, bytes]], changes: Mapping[str, Any]) -> Sent:
    octets = {name: filled(value) if isinstance(value, bytes) else value for name, value in changes.items()}
    return Sent(lines=[(line, filled(value)) for line, value in lines], **octets)


def lines(*written: tuple[bytes, bytes], **changes: Any) -> Callable[[], Sent]:
    """A request with these header lines."""
    return lambda: _sent(written, changes)


def values(*written: bytes, **changes: Any) -> Callable[[], Sent]:
    """A request with an Authorization line for each value."""
    return lines(*((b"Authorization", value) for value in written), **changes)


FORM: Final = (b"Content-Type", b"application/x-www-form-urlencoded")
PARTS: Final = b'--x\r\nContent-Disposition: form-data; name="access_token"\r\n\r\n{good}\r\n--x--\r\n'
PREFLIGHT: Final = (
    (b"Origin", ORIGIN.encode()),
    (b"Access-Control-Request-Method", b"GET"),
    (b"Access-Control-Request-Headers", b"authorization"),
)
OWN_ANSWERS: Final = dict.fromkeys(
    BARE_DOORS, "authentication alone knows of no preflight: whoever calls it for one asks for a token"
)
NO_SOCKETS: Final = {
    **dict.fromkeys(WSGI_DOORS, "WSGI knows no WebSocket"),
    **dict.fromkeys(
        BARE_DOORS, "authentication alone knows of no WebSocket: its handshake is a request like any other"
    ),
}
NO_SUCH_METHOD: Final = {"starlette-classes": "Starlette's HTTPEndpoint calls no method of that name"}

HOSTS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "a path and a query": (b"api.test/evil?x=",),
    "a fragment": (b"api.test#",),
    "a user": (b"user@api.test",),
    "no line": (),
    "two lines": (b"api.test", b"evil.test"),
}
OTHER_HOSTS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "nothing in it": (b"",),
    "another name": (b"evil.test",),
    "a high octet": (b"\xff",),
    "a bracket": (b"[api.test",),
    "a space": (b"api.test evil.test",),
    "a port that is none": (b"api.test:x",),
    "quotes": (b'api.test"><script>',),
}
METHODS: Final = ("HEAD", "TRACE", "BREW")

REQUESTS: Final[list[Attack]] = [
    *carried("R01", N, {"no header": values()}),
    *carried(
        "R01+", N, {"an empty value": values(b""), "white space": values(b"  \t "), "two empty ones": values(b"", b"")}
    ),
    *carried("R03", OK, {"two spaces": values(b"Bearer  {good}")}),
    *carried(
        "R03+",
        OK,
        {
            "one space": values(b"Bearer {good}"),
            "ten spaces": values(b"Bearer          {good}"),
            "white space around it all": values(b" \t Bearer {good} \t "),
            "the scheme in lower case": values(b"bearer {good}"),
            "the scheme in upper case": values(b"BEARER {good}"),
            "the scheme in mixed case": values(b"bEaReR {good}"),
            "the name in lower case": lines((b"authorization", b"Bearer {good}")),
            "the name in upper case": lines((b"AUTHORIZATION", b"Bearer {good}")),
        },
    ),
    *carried("R04", Q, {"a tab": values(b"Bearer\t{good}"), "a no-break space": values(b"Bearer\xa0{good}")}),
    # RFC 9112 section 5.2: a server refuses a folded line, or takes the fold for spaces.
    *carried("R04", Q, {"a fold": values(b"Bearer\r\n {good}")}, by_server=(200, 400)),
    *carried(
        "R04+",
        Q,
        {
            "a space and a tab": values(b"Bearer \t{good}"),
            "a tab and a space": values(b"Bearer\t {good}"),
            "a space and a no-break space": values(b"Bearer \xa0{good}"),
            "a no-break space at the end": values(b"Bearer {good}\xa0"),
            "a space of another script": values("Bearer\u3000{good}".encode()),
        },
    ),
    *carried(
        "R04+",
        Q,
        {
            about: values(b"Bearer " + octet + b"{good}")
            for about, octet in {
                "a null": b"\0",
                "a vertical tab": b"\v",
                "a form feed": b"\f",
                "a delete": b"\x7f",
            }.items()
        },
        by_server=(400,),
    ),
    *carried(
        "R06",
        Q,
        {
            "two tokens": values(b"Bearer {good} {good}"),
            "two credentials in one line": values(b"Bearer {good}, Bearer {good}"),
        },
    ),
    *carried(
        "R06+",
        Q,
        {
            "two credentials without a space": values(b"Bearer {good},Bearer {good}"),
            "two different tokens": values(b"Bearer {good}, Bearer {other}"),
            "a good and a bad one": values(b"Bearer {expired}, Bearer {good}"),
            "of two schemes": values(b"Bearer {good}, Basic eDp5"),
            "of two schemes, ours last": values(b"Basic eDp5, Bearer {good}"),
            "ours behind a scheme that has parameters": values(b'Digest a="b", c="d", Bearer {good}'),
            "a comma behind": values(b"Bearer {good},"),
            "a comma in front": values(b"Bearer ,{good}"),
            "a semicolon": values(b"Bearer {good};Bearer {good}"),
            "a parameter behind": values(b'Bearer {good}, realm="api"'),
            "words behind": values(b"Bearer {good} or let me in"),
            "in quotes": values(b'Bearer "{good}"'),
            "in single quotes": values(b"Bearer '{good}'"),
            "in brackets": values(b"Bearer <{good}>"),
            "a colon": values(b"Bearer: {good}"),
            "Latin-1": values(b"Bearer caf\xe9"),
            "UTF-8": values("Bearer caf\u00e9".encode()),
            "every high octet": values(b"Bearer " + bytes(range(0x80, 0x100))),
            "percent signs": values(b"Bearer %65%79%4A"),
        },
    ),
    *carried("R06+", MALFORMED, {"a parameter that names the token": values(b"Bearer token={good}")}),
    *carried("R06+", MALFORMED, {"padding": values(b"Bearer {good}==")}),
    *carried("R07", Q, {"the same twice": values(b"Bearer {good}", b"Bearer {good}")}),
    *carried(
        "R07+",
        Q,
        {
            "a good and a bad one": values(b"Bearer {good}", b"Bearer {expired}"),
            "a bad and a good one": values(b"Bearer {expired}", b"Bearer {good}"),
            "names of different case": lines(
                (b"Authorization", b"Bearer {good}"), (b"authorization", b"Bearer {good}")
            ),
            "others between": lines(
                (b"Authorization", b"Bearer {good}"), (b"Accept", b"*/*"), (b"Authorization", b"Bearer {good}")
            ),
            "the second empty": values(b"Bearer {good}", b""),
            "the first empty": values(b"", b"Bearer {good}"),
            "Basic behind": values(b"Bearer {good}", b"Basic eDp5"),
            "Basic in front": values(b"Basic eDp5", b"Bearer {good}"),
            "half a token each": values(b"Bearer {good}", b"{other}"),
            "fifty": values(*[b"Bearer {good}"] * 50),
        },
        by_server=(400, 431),
    ),
    *carried(
        "R09",
        N,
        {
            "Basic": values(b"Basic eDp5"),
            "Negotiate": values(b"Negotiate YII="),
            "a scheme that nobody knows": values(b"Bearerer {good}"),
        },
    ),
    *carried(
        "R09+",
        N,
        {
            "Digest, whose parameters have commas": values(b'Digest username="x", realm="y", nc=1'),
            "DPoP, where it is not spoken": values(b"DPoP {good}"),
            "half the scheme": values(b"Bear {good}"),
            "the scheme with a hyphen": values(b"Bearer- {good}"),
            "letters that look alike": values("\u0412earer {good}".encode()),
            "letters of full width": values("\uff22earer {good}".encode()),
            "a high octet": values(b"\xff {good}"),
            "Token": values(b"Token {good}"),
            "JWT": values(b"JWT {good}"),
            "Basic with the token inside": values(b"Basic {good}"),
        },
    ),
    *carried("R10", N, {"a token without a scheme": values(b"{good}")}),
    *carried("R10", Q, {"a scheme without a token": values(b"Bearer")}),
    *carried(
        "R10+", Q, {"a scheme and a space": values(b"Bearer "), "the scheme twice": values(b"Bearer Bearer {good}")}
    ),
    *carried(
        "R12",
        MALFORMED,
        {"64 KB": values(b"Bearer " + JUNK), "1 MB": values(b"Bearer " + 16 * JUNK)},
        by_server=TOO_MUCH,
    ),
    *carried(
        "R12+",
        N,
        {"64 KB of another scheme": values(b"Basic " + JUNK), "64 KB of no scheme": values(JUNK)},
        by_server=TOO_MUCH,
    ),
    *carried(
        "R12+",
        MALFORMED,
        {
            "64 KB of spaces": values(b"Bearer " + b" " * 65_536 + b"x"),
            "64 KB of dots": values(b"Bearer " + b"." * 65_536),
        },
        by_server=TOO_MUCH,
    ),
    *carried("R12+", Q, {"64 KB of commas": values(b"Bearer " + b"," * 65_536)}, by_server=TOO_MUCH),
    *carried("R13", N, {"access_token": values(query=b"access_token={good}")}),
    *carried(
        "R13+",
        N,
        {
            name.decode(): values(query=name + b"={good}")
            for name in (
                b"token",
                b"jwt",
                b"bearer",
                b"authorization",
                b"id_token",
                b"access_token[]",
                b"Authorization",
            )
        },
    ),
    *carried(
        "R13+", EXPIRED, {"a good one there, a bad one here": values(b"Bearer {expired}", query=b"access_token={good}")}
    ),
    *carried(
        "R15",
        N,
        {
            "a GET": lines(FORM, body=b"access_token={good}"),
            "a form": lines(FORM, body=b"access_token={good}", method="POST"),
            "a part": lines((b"Content-Type", b"multipart/form-data; boundary=x"), body=PARTS, method="POST"),
        },
    ),
    *carried(
        "R15+",
        N,
        {
            "JSON": lines((b"Content-Type", b"application/json"), body=b'{"access_token":"{good}"}', method="POST"),
            "text": lines((b"Content-Type", b"text/plain"), body=b"{good}", method="POST"),
        },
    ),
    *carried("R16", N, {"access_token": lines((b"Cookie", b"access_token={good}; Authorization=Bearer {good}"))}),
    *carried(
        "R16+",
        N,
        {
            name.decode(): lines((b"Cookie", name + b"={good}"))
            for name in (b"token", b"jwt", b"session", b"auth0", b"__Host-token", b"id_token")
        },
    ),
    *carried(
        "R18",
        N,
        {
            "a proxy's copy": lines((b"X-Forwarded-Authorization", b"Bearer {good}")),
            "an underscore at the end": lines((b"authorization_", b"Bearer {good}")),
        },
    ),
    *carried(
        "R18+",
        N,
        {
            name.decode(): lines((name, b"Bearer {good}"))
            for name in (
                b"Proxy-Authorization",
                b"Author_ization",
                b"HTTP_AUTHORIZATION",
                b"Authorization-",
                b"-Authorization",
                b"X-Authorization",
                b"X-Access-Token",
                b"X-Original-Authorization",
                b"X-Amzn-Oidc-Data",
                b"Token",
                b"WWW-Authenticate",
                b"Authentication",
            )
        },
    ),
    *carried(
        "R18+",
        OK,
        {
            "others beside it": lines(
                (b"Proxy-Authorization", b"Basic eDp5"),
                (b"Authorization", b"Bearer {good}"),
                (b"X-Forwarded-Authorization", b"Bearer x"),
                (b"Cookie", b"access_token=x"),
                (b"X-Odd", b"\xff\xfe"),
            )
        },
    ),
    *carried(
        "R19", PASSED, {"a browser's own": lines(*PREFLIGHT, path="/plain", method="OPTIONS")}, not_at=OWN_ANSWERS
    ),
    *carried(
        "R19+",
        N,
        {
            "half of one": lines(PREFLIGHT[1], method="OPTIONS"),
            "OPTIONS alone": values(method="OPTIONS"),
        },
    ),
    *carried("R19+", EXPIRED, {"OPTIONS with a bad token": values(b"Bearer {expired}", method="OPTIONS")}),
    *[
        attack
        for about, written, wanted in (
            ("without a token", (), N),
            ("with an expired one", (b"Bearer {expired}",), EXPIRED),
        )
        for attack in carried("R21", wanted, {about: values(*written)}, not_at=NO_SOCKETS, websocket=True)
    ],
    *[
        attack
        for about, make, wanted in (
            ("with two", values(b"Bearer {good}", b"Bearer {good}"), Q),
            ("with another scheme", values(b"Basic eDp5"), N),
            ("with a token in the query", values(query=b"access_token={good}"), N),
            ("with a token as its protocol", lines((b"Sec-WebSocket-Protocol", b"bearer, {good}")), N),
            ("with a token in a cookie", lines((b"Cookie", b"access_token={good}")), N),
            ("with too little", values(b"Bearer {nobody}", path="/scoped"), S("read:messages")),
            ("with an old login", values(b"Bearer {good}", path="/recent"), A),
            ("with keys that cannot be had", values(b"Bearer {orphan}"), V),
        )
        for attack in carried("R21+", wanted, {about: make}, not_at=NO_SOCKETS, websocket=True)
    ],
    *[
        attack
        for method in METHODS
        for about, written, wanted in (
            ("without a token", (), N),
            ("with an expired one", (b"Bearer {expired}",), EXPIRED),
            ("with two", (b"Bearer {good}", b"Bearer {good}"), Q),
        )
        for attack in carried("R22", wanted, {f"{method} {about}": values(*written, method=method)})
    ],
    *[
        attack
        for method in ("HEAD", "TRACE", "BREW", "POST", "OPTIONS")
        for attack in carried(
            "R22+",
            OK,
            {f"{method} with a good one": values(b"Bearer {good}", method=method)},
            not_at=NO_SUCH_METHOD if method in ("TRACE", "BREW") else {},
        )
    ],
    *carried(
        "R22+",
        N,
        {
            "another method said beside": lines((b"X-HTTP-Method-Override", b"OPTIONS")),
            "a preflight's method said": lines((b"X-HTTP-Method", b"OPTIONS"), method="POST"),
            "POST without a token": values(method="POST"),
        },
    ),
    *carried(
        "R22+", S("read:messages"), {"HEAD with too little": values(b"Bearer {nobody}", path="/scoped", method="HEAD")}
    ),
    *[
        attack
        for name, hosts in (("R24", HOSTS), ("R24+", OTHER_HOSTS))
        for attack in carried(
            name, N, {f"{about}, nobody": values(hosts=host) for about, host in hosts.items()}, by_server=(400, 431)
        )
    ],
    *[
        attack
        for name, hosts in (("R24", HOSTS), ("R24+", OTHER_HOSTS))
        for attack in carried(
            f"{name[:3]}+",
            OK,
            {f"{about}, a good token": values(b"Bearer {good}", hosts=host) for about, host in hosts.items()},
            by_server=(400, 431),
        )
    ],
]

LONG_HOST: Final = (b"a" * 8_000,)  # no label of a name has over 63 letters
OF_FLASK: Final = dict.fromkeys(
    ("flask-requires", "flask-protect", "flask-blueprints"), "Flask itself answers 400, before a view is found"
)
REQUESTS += [
    *carried("R24+", N, {"8,000 letters, nobody": values(hosts=LONG_HOST)}, by_server=(400, 431), not_at=OF_FLASK),
    *carried(
        "R24+",
        OK,
        {"8,000 letters, a good token": values(b"Bearer {good}", hosts=LONG_HOST)},
        by_server=(400, 431),
        not_at=OF_FLASK,
    ),
]

# --- what holds for every answer ----------------------------------------------------------------------------

# RFC 6750 section 3: what may stand in error_description.
DESCRIPTION: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
PARAMETER: Final = re.compile(r'([a-z_]+)="([^"\\]*)"')


def _refusals() -> list[Wanted]:
    """Every refusal that any attack must have: what the answers are compared with, octet by octet."""
    from tests.conformance.attacks import corpus

    wanted = [getattr(attack, "wanted", None) for attack in corpus.CASES]
    return [one for one in wanted if one is not None and one.answer.status != 200]


def the_sentences_hold_only_what_they_may() -> None:
    challenges = {challenge for wanted in _refusals() for challenge in wanted.answer.values("www-authenticate")}
    told = [dict(PARAMETER.findall(challenge)) for challenge in challenges]
    sentences = {parameters.get("error_description", ".") for parameters in told}
    assert [sentence for sentence in sentences if DESCRIPTION.fullmatch(sentence) is None] == []
    assert len(sentences) > len(BAD_TOKENS) // 2


def every_error_has_a_sentence_of_its_own() -> None:
    kinds = [AuthError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    own = [kind for kind in kinds if kind.__module__.startswith("jwtgate.")]
    assert [kind for kind in own if kind.code and DESCRIPTION.fullmatch(kind.sentence) is None] == []
    assert {kind.status for kind in own} == {400, 401, 403, 503}


def no_refusal_is_ever_stored() -> None:
    assert [wanted for wanted in _refusals() if wanted.answer.values("cache-control") != ["no-store"]] == []


CHECKS: Final[list[Attack]] = [
    Check("R25", "the sentences hold only what they may", the_sentences_hold_only_what_they_may),
    Check("R25+", "every error has a sentence of its own", every_error_has_a_sentence_of_its_own),
    Check("R27", "no refusal is ever stored", no_refusal_is_ever_stored),
]

CASES: Final = [*REQUESTS, *CHECKS]
