"""Group S: what a token looks like from outside, before anything in it is read."""

from __future__ import annotations

import base64
import functools
import json
from typing import Final

from tests.conformance.attacks import forging
from tests.conformance.attacks.answers import ENCRYPTED, MALFORMED, OK, OPAQUE, Q
from tests.conformance.attacks.cases import LARGE, Attack, Forge, RequestAttack, Sweep, forged
from tests.conformance.attacks.forging import good, parts, signed
from tests.doors import ISSUING, Sent
from tests.making import segment


def _with_signature(change: str, algorithm: str = "RS256") -> str:
    """A good token; {} in the change stands for its signature."""
    head, payload, signature = parts(algorithm)
    return f"{head}.{payload}.{change.format(signature)}"


def _padded_right(algorithm: str) -> str:
    head, payload, signature = parts(algorithm)
    return f"{head}.{payload}.{signature}{'=' * (-len(signature) % 4)}"


ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _other_spelling(text: str) -> str:
    """The same octets, with another last character: its unused bits are not zero."""
    if len(text) % 4 == 0:
        raise ValueError("no bits are unused")
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) + 1]


def _json_with_spare_bits(text: str) -> str:
    """The segment of a JSON text to which white space is added until its last character has bits to spare."""
    while len(text.encode()) % 3 == 0:
        text += " "
    return segment(text)


def _one_too_many(text: str) -> str:
    """A segment whose length is one more than a multiple of four."""
    return text + "A" * ((1 - len(text)) % 4)


def _header_json() -> str:
    return json.dumps(ISSUING.header())


def _claims_json() -> str:
    return json.dumps(ISSUING.claims())


WHITE: Final = {
    "a space": " ",
    "a tab": "\t",
    "a line feed": "\n",
    "a carriage return": "\r",
    "a vertical tab": "\v",
    "a form feed": "\f",
    "a no-break space": "\xa0",
    "a line separator": "\u2028",
    "a zero-width space": "\u200b",
    "a byte order mark": "\ufeff",
    "a null": "\0",
}


def _white_inside() -> dict[str, Forge]:
    found: dict[str, Forge] = {}
    for about, white in WHITE.items():
        found[f"{about} in front"] = lambda white=white: white + good()
        found[f"{about} behind"] = lambda white=white: good() + white
        found[f"{about} in the header"] = lambda white=white: signed(head=parts()[0][:9] + white + parts()[0][9:])
        found[f"{about} in the payload"] = lambda white=white: signed(payload=parts()[1][:9] + white + parts()[1][9:])
        found[f"{about} in the signature"] = lambda white=white: _with_signature("{}").replace(
            parts()[2], parts()[2][:9] + white + parts()[2][9:]
        )
        found[f"{about} after the first dot"] = lambda white=white: signed(payload=white + parts()[1])
    return found


def _polyglot() -> str:
    """A JSON serialisation one of whose member names reads as header and payload of a compact one (CVE-2022-39227)."""
    head, payload, signature = parts()
    claims = segment(ISSUING.claims(scope="read:messages admin:all"))
    members = {f"  {head}.{claims}.": "", "protected": head, "payload": payload, "signature": signature}
    return json.dumps(members)


def _flattened() -> str:
    head, payload, signature = parts()
    return json.dumps({"protected": head, "payload": payload, "signature": signature})


def _general() -> str:
    head, payload, signature = parts()
    return json.dumps({"payload": payload, "signatures": [{"protected": head, "signature": signature}]})


def _over(size: int) -> Forge:
    return lambda: forging.of_length(size)


class _Text:
    def __str__(self) -> str:
        return good()


TOKENS: Final[list[Attack]] = [
    *forged("S01+", MALFORMED, {"nothing at all": lambda: ""}),
    *forged(
        "S01+",
        OPAQUE,
        {
            "a space": lambda: " ",
            "white space of every kind": lambda: " \t\r\n",
            "the scheme alone": lambda: "Bearer",
            "the word null": lambda: "null",
            "the word undefined": lambda: "undefined",
            "one segment": lambda: parts()[0],
            "only a signature": lambda: parts()[2],
            "the octets' own notation": lambda: "b'eyJ'",
        },
    ),
    *forged(
        "S03",
        MALFORMED,
        {
            "header and payload": lambda: ".".join(parts()[:2]),
            "payload and signature": lambda: ".".join(parts()[1:]),
            "header and signature": lambda: ".".join(parts()[::2]),
            "one dot and nothing else": lambda: ".",
        },
    ),
    *forged("S03+", OPAQUE, {"a refresh token": lambda: "v1.MRqW0nTH3ZqGQpBUQ7Ixb8cWpYDkSXlzd1hEN3N0"}),
    *forged(
        "S04",
        MALFORMED,
        {
            "one more segment": lambda: good() + ".x",
            "one more dot behind": lambda: good() + ".",
            "one more dot in front": lambda: "." + good(),
            "a dot twice": lambda: good().replace(".", "..", 1),
            "its own signature twice": lambda: f"{good()}.{parts()[2]}",
        },
    ),
    *forged(
        "S04+",
        MALFORMED,
        {
            "six segments": lambda: ".".join([*parts(), *parts()]),
            "five segments, the first no base64url": lambda: "!.a.a.a.a",
            "five segments, the first no object": lambda: f"{segment([])}.a.a.a.a",
            "five empty segments": lambda: "....",
        },
    ),
    *forged("S04+", ENCRYPTED, {"five segments": lambda: f"{parts()[0]}.a.a.a.a"}),
    *forged("S06", MALFORMED, {"10,000 dots": lambda: "." * 10_000}, within=0.001),
    *forged("S06", MALFORMED, {"1,000,000 dots": lambda: "." * 1_000_000}, within=0.001),
    *forged("S06", MALFORMED, {"1,000,000 dots where large ones are taken": lambda: "." * 1_000_000}, LARGE, 0.005),
    *forged(
        "S06+",
        MALFORMED,
        {
            "a dot after each character": lambda: "a." * 8_000,
            "a good token, and then 9,000 dots": lambda: good() + "." * 9_000,
        },
        within=0.001,
    ),
    *forged(
        "S07",
        MALFORMED,
        {
            "two dots": lambda: "..",
            "something between two dots": lambda: ".x.",
            "an empty header": lambda: signed(head=""),
            "an empty payload": lambda: signed(payload=""),
        },
    ),
    *forged(
        "S07+",
        MALFORMED,
        {
            "an empty signature": lambda: ".".join(parts()[:2]) + ".",
            "an empty header and signature": lambda: f".{parts()[1]}.",
            "a header alone": lambda: f"{parts()[0]}..",
            "a detached payload": lambda: f"{parts()[0]}..{parts()[2]}",
        },
    ),
    *forged("S09", MALFORMED, {algorithm: lambda a=algorithm: _padded_right(a) for algorithm in ("RS256", "ES256")}),
    *forged(
        "S10",
        MALFORMED,
        {
            "one": lambda: _with_signature("{}="),
            "three": lambda: _with_signature("{}==="),
            "four": lambda: _with_signature("{}===="),
            "in front": lambda: _with_signature("=={}"),
            "nothing else": lambda: _with_signature("=="),
            "written as in an address": lambda: _with_signature("{}%3D%3D"),
        },
    ),
    *forged(
        "S12",
        MALFORMED,
        {f"{count} of them": lambda c=count: signed(payload=parts()[1] + "=" * c) for count in (1, 2, 3, 4)},
    ),
    *forged("S12+", MALFORMED, {"the header": lambda: signed(head=parts()[0] + "==")}),
    *forged("S13", MALFORMED, _white_inside()),
    *forged(
        "S13+",
        MALFORMED,
        {
            "base64's own characters": lambda: _with_signature(
                base64.b64encode(bytes([0xFB, 0xEF, 0xFF] * 84) + b"1234").decode().rstrip("=")
            ),
            "a plus sign in the payload": lambda: signed(payload="+" + parts()[1][1:]),
            "a percent sign": lambda: signed(payload=parts()[1].replace(parts()[1][9], "%41", 1)),
            "letters with accents": lambda: signed(payload="\u00e9" + parts()[1][1:]),
            "letters of full width": lambda: signed(payload="\uff45" + parts()[1][1:]),
            "letters that look alike": lambda: signed(head="\u0435" + parts()[0][1:]),
            "digits of another script": lambda: signed(payload=parts()[1] + "\u0660" * 4),
            "in quotes": lambda: f'"{good()}"',
            "in angle brackets": lambda: f"<{good()}>",
            "the scheme before it": lambda: f"Bearer {good()}",
            "a comma behind it": lambda: good() + ",",
            "line breaks every 76 characters": lambda: "\n".join(good()[n : n + 76] for n in range(0, 999, 76)),
        },
    ),
    *forged(
        "S13+",
        OPAQUE,
        {
            "dots of another script": lambda: good().replace(".", "\u3002"),
            "dots of full width": lambda: good().replace(".", "\uff0e"),
            "dots as in an address": lambda: good().replace(".", "%2E"),
            "the whole in base64url again": lambda: segment(good()),
        },
    ),
    *forged(
        "S15",
        MALFORMED,
        {
            f"the signature of {algorithm}": lambda a=algorithm: ".".join([*parts(a)[:2], _other_spelling(parts(a)[2])])
            for algorithm in ("RS256", "ES256", "EdDSA")
        },
    ),
    *forged(
        "S15+",
        MALFORMED,
        {
            "the header": lambda: signed(head=_other_spelling(_json_with_spare_bits(_header_json()))),
            "the payload": lambda: signed(payload=_other_spelling(_json_with_spare_bits(_claims_json()))),
        },
    ),
    *forged(
        "S16",
        MALFORMED,
        {
            "the signature": lambda: ".".join([*parts()[:2], _one_too_many(parts()[2])]),
            "the header": lambda: signed(head=_one_too_many(parts()[0])),
            "the payload": lambda: signed(payload=_one_too_many(parts()[1])),
            "each a single character": lambda: "a.a.a",
        },
    ),
    *forged(
        "S18",
        MALFORMED,
        {
            "in front": lambda: "\ud800" + good(),
            "behind": lambda: good() + "\udfff",
            "in the header": lambda: signed(head=parts()[0] + "\ud800"),
            "in the payload": lambda: signed(payload=parts()[1] + "\udc00"),
            "in each of three": lambda: "\ud800.\ud800.\ud800",
            "in each of five": lambda: ".".join(["\ud800"] * 5),
        },
    ),
    *forged("S18", OPAQUE, {"alone": lambda: "\ud800", "a pair that is none": lambda: "\udc00\ud800"}),
    *forged(
        "S19",
        MALFORMED,
        {
            "None": lambda: None,
            "a whole number": lambda: 7,
            "octets that are not UTF-8": lambda: b"\xff\xfe\xfd",
        },
    ),
    *forged(
        "S19+",
        MALFORMED,
        {
            "True": lambda: True,
            "a fraction": lambda: 0.5,
            "no number": lambda: float("nan"),
            "the octets of a good token": lambda: good().encode(),
            "a mutable array of them": lambda: bytearray(good().encode()),
            "a view of them": lambda: memoryview(good().encode()),
            "a list of its segments": lambda: list(parts()),
            "a tuple": lambda: (good(),),
            "an object": lambda: {"access_token": good()},
            "what only prints as a token": _Text,
            "a function": lambda: good,
        },
    ),
    *forged("S21", MALFORMED, {"a member name that reads as compact": _polyglot}),
    *forged("S21+", MALFORMED, {"the claims alone, with two dots in them": _claims_json}),
    *forged(
        "S21+",
        OPAQUE,
        {
            "the flattened serialisation": _flattened,
            "the general serialisation": _general,
            "the claims in base64url": lambda: segment(ISSUING.claims()),
        },
    ),
    *forged("S22", MALFORMED, {"one character over 16 KiB": _over(16_385)}, within=0.001),
    *forged("S22", MALFORMED, {"1 MB of one letter": lambda: "a" * 10**6, "1 MB of nulls": lambda: "\0" * 10**6}),
    *forged("S22+", OK, {"just 16 KiB": _over(16_384)}),
    *forged("S22+", OK, {"more, where it is taken": _over(100_000)}, LARGE),
    *forged("S22+", MALFORMED, {"one over what is taken there": _over(1_048_577)}, LARGE, 0.001),
    *forged(
        "S22+",
        MALFORMED,
        {
            "a payload of 1 MB": lambda: good(pad="x" * 10**6),
            "a signature of 1 MB": lambda: _with_signature("{}" + "A" * 10**6),
            "10 MB": lambda: "a.b.c" * 2_000_000,
        },
        within=0.001,
    ),
]

SWEEPS: Final[list[Attack]] = [
    Sweep(name, f"{about}, {algorithm}", functools.partial(good, algorithm), changed)
    for algorithm in ("ES256", "RS256")
    for name, about, changed in (
        ("S24", "each character left out", forging.each_deleted),
        ("S24", "each character doubled", forging.each_doubled),
        ("S24+", "each two neighbours swapped", forging.each_swapped),
        ("S24+", "each letter in the other case", forging.each_in_other_case),
        ("S24+", "every beginning", forging.each_beginning),
        ("S24+", "every end", forging.each_end),
        ("S24+", "the segments in other orders", forging.segments_rearranged),
    )
] + [Sweep("S24+", "something between any two", functools.partial(good, "ES256"), forging.each_with_something_between)]


def _value(value: bytes) -> Sent:
    return Sent(lines=[(b"Authorization", value)])


REQUESTS: Final[list[Attack]] = [
    RequestAttack("S01", about, functools.partial(_value, value), Q)
    for about, value in {
        "nothing behind the scheme": b"Bearer",
        "a space behind the scheme": b"Bearer ",
        "many spaces behind the scheme": b"Bearer" + b" " * 40,
    }.items()
]

CASES: Final = [*TOKENS, *SWEEPS, *REQUESTS]
