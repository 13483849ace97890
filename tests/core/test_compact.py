"""A compact JWS is taken in one spelling only, within its limits, and nothing but a typed refusal comes of the rest."""

from __future__ import annotations

import base64
import json
import re
import string
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtgate.core.compact import (
    CLAIMS_DEPTH,
    CLAIMS_MEMBERS,
    HEADER_DEPTH,
    HEADER_MEMBERS,
    KID_BYTES,
    by_binascii,
    by_orjson,
    by_pybase64,
    by_standard_library,
    decode_base64url,
    encode_base64url,
    parse,
    parse_json,
    plain_object,
    verify,
)
from jwtgate.core.errors import (
    BadSignature,
    EncryptedToken,
    HeaderRejected,
    InvalidToken,
    JwtGateError,
    MalformedToken,
    OpaqueToken,
    TokenTooLarge,
)
from jwtgate.core.jwk import read_jwk
from tests.making import Issuing, base64url, compact, segment

LIMIT = 16_384
ISSUING = Issuing()
KEY = ISSUING.key()
GOOD = ISSUING.token()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")
BASE64URL = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def refused(token: Any, limit: int = LIMIT) -> InvalidToken:
    with pytest.raises(InvalidToken) as refusal:
        parse(token, limit)
    return refusal.value


def malformed(token: Any, limit: int = LIMIT) -> MalformedToken:
    error = refused(token, limit)
    assert isinstance(error, MalformedToken)
    return error


def part_refused(token: Any) -> str:
    return malformed(token).part


def parameter_refused(header: object) -> str:
    error = refused(compact(header, ISSUING.claims(), KEY, "RS256"))
    assert isinstance(error, HeaderRejected)
    return error.parameter


def with_header(octets: bytes | str) -> str:
    return compact(octets, ISSUING.claims(), KEY)


def with_payload(payload: object) -> str:
    return compact(ISSUING.header(), payload, KEY)


# --- a good one -----------------------------------------------------------------------------------------------


def test_a_good_token_is_taken_apart() -> None:
    token = parse(GOOD, LIMIT)
    assert (token.algorithm, token.kid, token.typ) == ("RS256", KEY.kid, "JWT")
    assert (token.header, token.issuer, token.raw) == (ISSUING.header(), ISSUING.url, GOOD)


def test_neither_shows_more_than_its_header() -> None:
    token = parse(GOOD, LIMIT)
    signed = verify(token, read_jwk(KEY.jwk()).for_algorithm("RS256"))
    assert (repr(token), repr(signed)) == (f"<Unverified alg='RS256' kid={KEY.kid!r}>", "<Signed typ='JWT'>")


@pytest.mark.parametrize(
    ("place", "part", "value"),
    [
        *((place, part, value) for place, part in enumerate(("header", "payload", "signature")) for value in "*A"),
        # no object, no JSON text, no UTF-8
        *((place, part, value) for place, part in enumerate(("header", "payload")) for value in ("W10", "bm8", "gICA")),
    ],
)
def test_a_malformed_token_says_what_is_wrong_in_our_own_words(place: int, part: str, value: str) -> None:
    segments = GOOD.split(".")
    segments[place] = value
    error = malformed(".".join(segments))
    assert re.fullmatch(r"[a-z][\x20-\x7e]+", error.reason)
    assert (error.part, "None" in error.reason) == (part, False)
    assert not any(segment in error.reason for segment in GOOD.split("."))


@pytest.mark.parametrize("text", ["AAAA****", "****", "AAAA\n\n\n\n", "AA====AA", "A+/A", "AAAAéééé", "AB", "A"])
def test_no_decoder_leaves_out_what_is_not_of_its_alphabet(text: str) -> None:
    for decode in (by_binascii, by_pybase64, decode_base64url):
        with pytest.raises(ValueError, match="base64url"):
            decode(text)


def test_an_empty_signature_is_called_empty() -> None:
    assert malformed(GOOD.rpartition(".")[0] + ".").reason == "empty"


def test_claims_are_there_once_the_signature_has_been_checked() -> None:
    signed = verify(parse(GOOD, LIMIT), read_jwk(KEY.jwk()).for_algorithm("RS256"))
    assert (signed.claims, signed.header, signed.typ, signed.raw) == (
        ISSUING.claims(),
        ISSUING.header(),
        "JWT",
        GOOD,
    )


def test_an_unverified_token_has_no_claims_to_show() -> None:
    assert not hasattr(parse(GOOD, LIMIT), "claims")


def test_no_repr_shows_the_token() -> None:
    unverified = parse(GOOD, LIMIT)
    signed = verify(unverified, read_jwk(KEY.jwk()).for_algorithm("RS256"))
    for text in (repr(unverified), repr(signed)):
        assert not any(part in text for part in (HEADER, PAYLOAD, SIGNATURE, "app-1"))


@pytest.mark.parametrize("header", [{"alg": "RS256"}, {"alg": "RS256", "kid": ""}, {"alg": "", "typ": ""}])
def test_kid_and_typ_may_be_absent_or_empty(header: dict[str, str]) -> None:
    token = parse(compact(header, {}, KEY, "RS256"), LIMIT)
    assert (token.algorithm, token.kid, token.typ) == (header["alg"], header.get("kid"), header.get("typ"))


def test_any_octets_are_a_signature_before_it_is_checked() -> None:
    with pytest.raises(BadSignature):
        verify(parse(f"{HEADER}.{PAYLOAD}.AA", LIMIT), read_jwk(KEY.jwk()).for_algorithm("RS256"))


@pytest.mark.parametrize("issuer", [None, 5, ["https://issuer.test/"], {"a": 1}, True])
def test_the_stated_issuer_is_handed_on_whatever_its_type(issuer: object) -> None:
    assert parse(ISSUING.token(iss=issuer), LIMIT).issuer == issuer


def test_the_signature_covers_the_text_as_sent() -> None:
    """A18: one over the decoded header and payload is another signature."""
    header, payload = ISSUING.header(), ISSUING.claims()
    signature = KEY.sign("RS256", json.dumps(header).encode() + b"." + json.dumps(payload).encode())
    token = parse(f"{segment(header)}.{segment(payload)}.{base64url(signature)}", LIMIT)
    with pytest.raises(BadSignature):
        verify(token, read_jwk(KEY.jwk()).for_algorithm("RS256"))


# --- base64url --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(20))
def test_canonical_base64url_is_decoded(size: int) -> None:
    octets = bytes(range(236, 236 + size)) if size <= 20 else b""
    assert decode_base64url(base64url(octets)) == octets


@pytest.mark.parametrize("length", [2, 3, 6, 7])
def test_of_all_last_characters_only_those_without_spare_bits_are_taken(length: int) -> None:
    """S15: each text stands for octets that no other text stands for (RFC 4648 section 3.5)."""
    start = "_-b0Zz"[: length - 1]
    spare = {2: 16, 3: 4}[length % 4]
    taken = []
    for last in BASE64URL:
        try:
            octets = decode_base64url(start + last)
        except ValueError:
            continue
        assert base64url(octets) == start + last
        taken.append(last)
    assert taken == list(BASE64URL[::spare])


@pytest.mark.parametrize(
    "text",
    [
        "A", "AAAAA",  # S16
        "AA=", "AA==", "AAA=", "A===", "AAAA====", "=",  # S09, S10, S12
        "AA+A", "AA/A",  # the other alphabet
        " AAA", "AAA ", "AA\nAA", "AAAA\n", "AA\tA", "AAA\r", "AA\x00A", "AA\x0bA",  # S13
        "AAAé", "AAA\u0661", "AAA\uff21", "AA\u212a", "AAA\ud800", "\udc41AAA", "AA.A", "AA,A",  # S18
    ],
)  # fmt: skip
def test_no_other_spelling_is_base64url(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        decode_base64url(text)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("spoil", ["{}=", "{}==", " {}", "{}\n", "{}\t", "{}\r", "{}+", "{}\ud800", "{}%"])
def test_each_segment_is_read_strictly(place: int, spoil: str) -> None:
    segments = GOOD.split(".")
    segments[place] = spoil.format(segments[place])
    assert part_refused(".".join(segments)) == ("header", "payload", "signature")[place]


def test_padding_is_refused_though_the_signature_covers_it() -> None:
    """S12."""
    padded = base64.urlsafe_b64encode(b'{"sub":"a"}').decode()
    assert padded.endswith("=")
    signing_input = f"{HEADER}.{padded}"
    signature = base64url(KEY.sign("RS256", signing_input.encode()))
    assert part_refused(f"{signing_input}.{signature}") == "payload"


def test_a_signature_has_one_spelling() -> None:
    """S15: 2,048 bits leave four spare bits in the last character, so 15 other texts mean the same octets."""
    others = [SIGNATURE[:-1] + last for last in BASE64URL if last != SIGNATURE[-1]]
    same = [other for other in others if base64.urlsafe_b64decode(other + "==") == decode_base64url(SIGNATURE)]
    assert len(same) == 15
    for other in same:
        assert part_refused(f"{HEADER}.{PAYLOAD}.{other}") == "signature"


# --- segments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "part"),
    [
        ("", "token"),
        (f"{HEADER}.{PAYLOAD}", "token"),  # S03
        (f"{GOOD}.AAAA", "token"),  # S04
        (f"{GOOD}.", "token"),
        (f".{GOOD}", "token"),
        (f"{GOOD}....", "token"),
        ("..", "header"),  # S07
        (".x.", "header"),
        (f".{PAYLOAD}.{SIGNATURE}", "header"),
        (f"{HEADER}..{SIGNATURE}", "payload"),
        (f"{HEADER}.{PAYLOAD}.", "signature"),
        ("." * 10_000, "token"),  # S06
        ("...." + "." * 100, "token"),
        ("....", "header"),
    ],
)
def test_what_is_not_three_full_segments_is_malformed(token: str, part: str) -> None:
    assert part_refused(token) == part


def test_a_million_dots_cost_next_to_nothing() -> None:
    """S06: they are counted, never split."""
    started = time.perf_counter()
    for _ in range(20):
        assert part_refused_within("." * 1_000_000, 2_000_000) == "token"
    assert time.perf_counter() - started < 1


def part_refused_within(token: str, limit: int) -> str:
    return malformed(token, limit).part


@pytest.mark.parametrize("token", [None, 5, b"", GOOD.encode(), b"\xff\xfe", ["a"], bytearray(b"a.b.c"), 1.5])
def test_only_text_is_a_token(token: object) -> None:
    """S19."""
    assert part_refused(token) == "token"


def test_the_limit_is_on_characters_and_includes_its_last() -> None:
    """S22: the first text that is too long is refused before anything in it is looked at."""
    assert parse(GOOD, len(GOOD)).raw == GOOD
    error = refused(GOOD, len(GOOD) - 1)
    assert isinstance(error, TokenTooLarge)
    assert (error.size, error.limit) == (len(GOOD), len(GOOD) - 1)


def test_each_character_left_out_or_doubled_spoils_the_token() -> None:
    """S24."""
    key = read_jwk(KEY.jwk()).for_algorithm("RS256")
    for place in range(len(GOOD)):
        for changed in (GOOD[:place] + GOOD[place + 1 :], GOOD[:place] + GOOD[place] + GOOD[place:]):
            with pytest.raises(InvalidToken):
                verify(parse(changed, LIMIT), key)


def test_a_json_document_around_a_token_is_no_token() -> None:
    """S21: what CVE-2022-39227 took for two different tokens at once."""
    spoilt = segment(ISSUING.claims(sub="root"))
    polyglot = f'{{"  {HEADER}.{spoilt}.":"","protected":"{HEADER}","payload":"{PAYLOAD}","signature":"{SIGNATURE}"}}'
    assert part_refused(polyglot) == "header"
    assert part_refused(json.dumps({"payload": PAYLOAD, "signatures": [{"protected": f"{HEADER}."}]})) == "token"


# --- tokens of other kinds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "abcDEF123-_",
        "v1",
        "\ud800",
        "a b",
        "v1.MZr0eCyPbfl8BNh6Wxa0DFhYbQPC1zU1mT5nM0V4AbCdEf",  # a refresh token
        f"{segment({'alg': 'dir', 'enc': 'A256GCM', 'iss': 'https://issuer.test/'})}..AAAA.AAAA.AAAA",  # P12
    ],
)
def test_an_opaque_token_is_known_for_what_it_is(token: str) -> None:
    error = refused(token)
    assert type(error) is OpaqueToken
    assert "token" in error.kind
    assert token not in str(error) or len(token) < 3


def test_the_kinds_of_opaque_tokens_are_told_apart() -> None:
    kinds = {str(refused(token)) for token in ("opaque", "v1.refresh", f"{segment({'alg': 'dir'})}..AAAA.AAAA.AAAA")}
    assert len(kinds) == 3


@pytest.mark.parametrize("algorithm", ["RSA-OAEP-256", "RSA1_5", "dir", "ECDH-ES", None, 5, ["dir"], {"a": 1}])
def test_an_encrypted_token_is_known_for_what_it_is(algorithm: object) -> None:
    error = refused(f"{segment({'alg': algorithm, 'enc': 'A256GCM'})}.AAAA.AAAA.AAAA.AAAA")
    assert type(error) is EncryptedToken
    assert error.algorithm == algorithm


def test_an_encrypted_token_without_an_encrypted_key_is_opaque_only_where_its_key_is_the_issuers_own() -> None:
    agreed = {"alg": "ECDH-ES", "enc": "A256GCM", "epk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}
    assert type(refused(f"{segment(agreed)}..AAAA.AAAA.AAAA")) is EncryptedToken
    assert type(refused(f"{segment({'alg': 'dir'})}.AAAA.AAAA.AAAA.AAAA")) is EncryptedToken


@pytest.mark.parametrize("header", [b"", b"[]", b"\xff", b'{"alg":"dir","alg":"dir"}', b"{", b"null"])
def test_five_segments_without_a_header_are_malformed(header: bytes) -> None:
    assert part_refused(f"{segment(header)}..AAAA.AAAA.AAAA") == "header"


def test_two_segments_are_no_refresh_token_unless_they_begin_as_one() -> None:
    assert part_refused("v2.abc") == "token"
    assert part_refused("v1.abc.def") == "header"


# --- JSON -------------------------------------------------------------------------------------------------------

NOT_AN_OBJECT = ["[]", '["alg"]', '"alg"', "5", "1.5", "null", "true", "false", '[{"alg":"RS256"}]']  # H01, C01
NOT_STRICT = [
    "", " ", "{", "}", "{}{}", "{} x", "{},", "{'alg':'RS256'}", '{"alg":"RS256",}', '{"a":1 "b":2}',
    '{alg:"RS256"}', '{"a":/**/1}', '{"a":01}', '{"a":+1}', '{"a":.5}', '{"a":1.}', '{"a":0x1}', '{"a":1_0}',
    '{"a":"\t"}', '{"a":"\n"}', '{"a":"\x00"}', '{"a":"\\x41"}', '{"a":"\\u12"}', '{"a":"\\', '{"a":"',
    '{"a":\xa01}', '{"a":tRue}', '{"a":True}', '{"a":None}', "\x0c{}",
    '{"a":NaN}', '{"a":-NaN}', '{"a":Infinity}', '{"a":-Infinity}', '{"a":1e400}', '{"a":-1e400}',  # H09, C07, C22
    '{"a":[1,[NaN]]}', '{"a":1' + "0" * 400 + ".0}",
    '{"a":' + "9" * 5_000 + "}", '{"a":-' + "9" * 5_000 + "}",  # H10
    '{"alg":"none","alg":"RS256"}', '{"kid":"a","kid":"b"}', '{"exp":1,"exp":9999999999}',  # H06, H07, C06
    '{"a":1,"\\u0061":2}', '{"a":{"b":1,"b":1}}', '{"a":[{"b":1,"b":2}]}', '{"":1,"":2}',
    '{"sub":"\\ud800"}', '{"sub":"\\uDC00"}', '{"sub":"\\udc00\\ud800"}', '{"\\ud800":1}', '{"a":["\\uDBFFx"]}',  # C12
    '{"a":[[["\\ud83d"]]]}',
]  # fmt: skip
NOT_UTF_8 = [
    b'{"sub":"\xe9"}', b"\xff\xfe", b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf4\x90\x80\x80"}',  # H03
    b"\xef\xbb\xbf{}", b'\xef\xbb\xbf{"alg":"RS256"}',  # C04
    *('{"alg":"RS256"}'.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")),  # H04
]  # fmt: skip
SPOILT = [text.encode() for text in NOT_AN_OBJECT + NOT_STRICT] + NOT_UTF_8


@pytest.mark.parametrize("octets", SPOILT, ids=range(len(SPOILT)))
def test_a_header_is_one_strict_json_object(octets: bytes) -> None:
    assert part_refused(with_header(octets)) == "header"


@pytest.mark.parametrize("octets", SPOILT, ids=range(len(SPOILT)))
def test_a_payload_is_one_strict_json_object(octets: bytes) -> None:
    assert part_refused(with_payload(octets)) == "payload"


@pytest.mark.parametrize("octets", SPOILT, ids=range(len(SPOILT)))
def test_a_refusal_does_not_quote_what_was_sent(octets: bytes) -> None:
    secret = b'{"sub":"s3cr3t-0f-s0mebody",' + octets.removeprefix(b"{")
    error = malformed(with_payload(secret))
    assert "s3cr3t" not in str(error)
    assert error.__cause__ is None


def test_all_that_is_no_json_text_is_refused_for_one_reason() -> None:
    """The parsers' own words differ, and are not ours."""
    assert len({malformed(with_payload(octets)).reason for octets in (b"", b"{", b"\xff", b'{"a":"\\ud800"}')}) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' \t\r\n{"a":1}\n', {"a": 1}),
        ('{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),  # a pair is no lone surrogate
        ('{"a":"\\\\ud800"}', {"a": "\\ud800"}),  # six characters, and no escape
        ('{"a":"\U0001f600\u2028é"}', {"a": "\U0001f600\u2028é"}),
        ('{"a":"\\u0000\\r\\n"}', {"a": "\x00\r\n"}),  # C13
        ('{"a":-0.0,"b":1e308,"c":5e-324,"d":1e-400}', {"a": 0.0, "b": 1e308, "c": 5e-324, "d": 0.0}),
        ('{"a":' + "9" * 4_000 + "}", {"a": 10**4_000 - 1}),
        ('{"A":1,"a":2}', {"A": 1, "a": 2}),  # names differ by case
        ('{"é":1,"e\u0301":2}', {"é": 1, "e\u0301": 2}),  # and by their normal form
        ('{"a":{"b":1},"c":{"b":1}}', {"a": {"b": 1}, "c": {"b": 1}}),
    ],
)
def test_strict_json_is_read_as_it_stands(text: str, value: object) -> None:
    assert parse_json(text.encode(), depth=3, members=8) == value


# --- limits of JSON ---------------------------------------------------------------------------------------------


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    """An object that holds arrays, `depth` levels in all."""
    return '{"a":' + opening * (depth - 1) + closing * (depth - 1) + "}"


def wide(members: int) -> str:
    return json.dumps({f"m{number}": number for number in range(members)})


def test_the_limits_are_those_that_were_measured() -> None:
    assert (HEADER_DEPTH, HEADER_MEMBERS, CLAIMS_DEPTH, CLAIMS_MEMBERS, KID_BYTES) == (4, 64, 32, 1_000, 256)


@pytest.mark.parametrize(("depth", "make"), [(HEADER_DEPTH, with_header), (CLAIMS_DEPTH, with_payload)])
def test_nesting_ends_at_its_limit(depth: int, make: Any) -> None:
    """C10."""
    inside = nested(depth).replace("{", '{"alg":"RS256",', 1)
    assert parse(make(inside), LIMIT).algorithm == "RS256"
    beyond = nested(depth + 1).replace("{", '{"alg":"RS256",', 1)
    assert part_refused(make(beyond)) in ("header", "payload")


@pytest.mark.parametrize(("members", "make"), [(HEADER_MEMBERS, with_header), (CLAIMS_MEMBERS, with_payload)])
def test_members_end_at_their_limit(members: int, make: Any) -> None:
    inside = wide(members - 1).replace("{", '{"alg":"RS256",', 1)
    assert parse(make(inside), 2 * LIMIT).algorithm == "RS256"
    beyond = wide(members).replace("{", '{"alg":"RS256",', 1)
    assert malformed(make(beyond), 2 * LIMIT).part in ("header", "payload")


@pytest.mark.parametrize(
    "text",
    [
        nested(9),
        '{"a":' * 9 + "1" + "}" * 9,
        '{"a":[' * 5 + "]}" * 5,
        "[" * 9 + "]" * 9,
        "[" * 100_000,
        '{"a":' * 50_000,
        '["' + "[" * 9 + '"' + ",[" * 9,
        '["\\"",' + "[" * 9,
        '["\\\\",' + "[" * 9,
    ],
)
def test_what_is_nested_too_deeply_is_never_parsed(text: str) -> None:
    """C09: no RecursionError, and no time spent."""
    started = time.perf_counter()
    with pytest.raises(ValueError, match="deeper than 8"):
        parse_json(text.encode(), depth=8, members=1_000_000)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("text", ["[" + ",".join("1" * 9) + "]", '{"a":[1,2,3,4],"b":[1,2,3,4],"c":1}', "," * 9])
def test_members_and_items_are_counted_together(text: str) -> None:
    with pytest.raises(ValueError, match="more than 8"):
        parse_json(text.encode(), depth=8, members=8)


@pytest.mark.parametrize(
    "value",
    [
        "[" * 50,
        "{" * 50 + "," * 50,
        "," * 50,
        '"[{,',
        '\\"[[[[[[[[[,,,,,,,,,',
        "\\" * 7 + "[[[[[[[[[,,,,,,,,,",
        "a\n[[[[[[[[[[[,,,,,,,,,,",
        "]]]]]]]]]][[[[[[[[[[[[",
    ],
)
def test_brackets_and_commas_within_strings_do_not_count(value: str) -> None:
    document = {"a": value, value: ["b", value]}
    assert parse_json(json.dumps(document).encode(), depth=2, members=4) == document


@pytest.mark.parametrize("unclosed", ['"' + '\\"' * 400_000, '"\\' * 400_000, '"' + "\\" * 800_001, '"a' * 400_001])
def test_strings_that_never_end_are_searched_once(unclosed: str) -> None:
    """Before its signature is checked, a token must not cost more than its length."""
    started = time.perf_counter()
    with pytest.raises(ValueError, match=r".+"):
        parse_json(("[" * 9 + unclosed).encode(), depth=8, members=1_000_000)
    assert time.perf_counter() - started < 2


def test_a_huge_header_is_refused_by_the_limit_of_the_token() -> None:
    """H12, H33."""
    assert isinstance(refused(with_header(json.dumps({"alg": "RS256", "x": "a" * 200_000}))), TokenTooLarge)
    assert isinstance(refused(with_header(json.dumps({"alg": "RS256", "kid": "a" * 100_000}))), TokenTooLarge)


# --- the header's parameters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "algorithm", [None, 5, True, ["RS256"], {"alg": "RS256"}, 1.5], ids=lambda value: type(value).__name__
)
def test_alg_must_be_a_string(algorithm: object) -> None:
    assert parameter_refused(ISSUING.header() | {"alg": algorithm}) == "alg"


@pytest.mark.parametrize("header", [{}, {"ALG": "RS256"}, {"Alg": "RS256", "typ": "JWT"}])
def test_alg_must_be_there_in_this_spelling(header: dict[str, str]) -> None:
    """H13, H18."""
    assert parameter_refused(header) == "alg"


@pytest.mark.parametrize("name", ["none", "NONE", "nOnE", "none ", "none\x00", "", "../../x", "RS256 ", "rs256"])
def test_alg_is_handed_on_as_it_stands(name: str) -> None:
    """H16: whether it is allowed is for the policy to say, which compares it exactly."""
    assert parse(compact({"alg": name}, {}, KEY, "RS256"), LIMIT).algorithm == name


@pytest.mark.parametrize("name", ["none", "None", "NONE"])
def test_none_with_an_empty_signature_is_refused_for_what_it_is(name: str) -> None:
    """H15."""
    error = refused(f"{segment({'alg': name, 'typ': 'JWT'})}.{PAYLOAD}.")
    assert isinstance(error, HeaderRejected)
    assert (error.parameter, error.actual) == ("alg", name)


def test_an_empty_signature_is_refused_for_any_other_algorithm() -> None:
    assert part_refused(f"{segment({'alg': 'RS256', 'typ': 'JWT'})}.{PAYLOAD}.") == "signature"


@pytest.mark.parametrize("name", ["kid", "typ"])
@pytest.mark.parametrize("value", [None, 5, 0, True, False, [], ["a"], {}, 1.5, "a" * 257, "é" * 129])
def test_kid_and_typ_must_be_short_strings(name: str, value: object) -> None:
    assert parameter_refused(ISSUING.header() | {name: value}) == name


@pytest.mark.parametrize("kid", ["a" * KID_BYTES, "é" * (KID_BYTES // 2), "../../dev/null", "' OR 1=1 --", "\x00\r\n"])
def test_a_kid_may_be_any_short_text(kid: str) -> None:
    """H34: it is looked up among the keys and nowhere else."""
    token = parse(compact({"alg": "RS256", "kid": kid}, {}, KEY), LIMIT)
    assert token.kid == kid
    assert repr(token).isascii()
    assert repr(token).isprintable()


@pytest.mark.parametrize(
    "value", [["exp"], ["x"], ["b64"], ["alg"], [], "exp", {}, {"exp": 1}, None, 5, [5], ["exp", "exp"], False]
)
def test_crit_is_refused_whatever_it_says(value: object) -> None:
    """H19, H21, H22, H24: no extension is understood here (RFC 7515 section 4.1.11)."""
    assert parameter_refused(ISSUING.header(crit=value)) == "crit"


@pytest.mark.parametrize("value", [False, True, "false", 0, None])
def test_b64_is_refused_whatever_it_says(value: object) -> None:
    """H25, H27: RFC 7797 section 7."""
    assert parameter_refused(ISSUING.header(b64=value)) == "b64"
    assert parameter_refused(ISSUING.header(b64=value, crit=["b64"])) == "crit"


@pytest.mark.parametrize("name", ["zip", "enc", "epk", "p2c", "p2s", "apu", "apv", "iv", "tag"])
@pytest.mark.parametrize("value", ["DEF", None, 2**31])
def test_parameters_of_encrypted_tokens_are_refused(name: str, value: object) -> None:
    """H28."""
    assert parameter_refused(ISSUING.header(**{name: value})) == name


@pytest.mark.parametrize(
    "content", ["JWT", "jwt", "application/jwt", "application/JWT", "APPLICATION/jwt", 5, None, ["JWT"], {"a": 1}]
)
def test_a_jwt_within_the_jwt_is_refused(content: object) -> None:
    """H36: RFC 7519 section 5.2; RFC 7515 section 4.1.10: `cty` is a string."""
    assert parameter_refused(ISSUING.header(cty=content)) == "cty"


@pytest.mark.parametrize("content", ["JSON", "application/json", "", "json; a=jwt"])
def test_other_content_types_say_nothing(content: str) -> None:
    assert parse(ISSUING.token(header={"cty": content}), LIMIT).header["cty"] == content


def test_a_token_within_a_token_is_refused() -> None:
    """H36: the payload is no JSON object."""
    assert part_refused(with_payload(GOOD)) == "payload"


@pytest.mark.parametrize(
    "parameters",
    [
        {"jku": "http://169.254.169.254/keys"},
        {"x5u": "file:///etc/passwd"},
        {"x5c": ["MIIB"]},
        {"jwk": KEY.jwk()},
        {"x5t": "AAAA"},
        {"unknown": {"a": [1]}},
    ],
    ids=lambda value: next(iter(value)),
)
def test_keys_that_a_token_brings_along_are_not_looked_at(parameters: dict[str, Any]) -> None:
    """H30, H31: RFC 8725 section 3.10."""
    token = parse(ISSUING.token(header=parameters), LIMIT)
    assert (token.algorithm, token.kid) == ("RS256", KEY.kid)


# --- nothing else ever comes out -----------------------------------------------------------------------------------

anything = st.text(st.characters(), max_size=60)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | anything
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4), max_leaves=12
)
parameters = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "cty", "zip", "enc", "iss", "exp", "jwk"])
objects = st.dictionaries(parameters | anything, values | st.sampled_from(["RS256", "none", "JWT", "dir"]), max_size=6)
documents = (objects | values).map(lambda value: json.dumps(value).encode())
spoilt = st.builds(
    lambda octets, cut, more: octets[:cut] + more + octets[cut:], documents, st.integers(0, 40), st.binary(max_size=3)
)
segments = (documents | spoilt | st.binary(max_size=40)).map(base64url) | anything
near_tokens = st.lists(segments, min_size=1, max_size=6).map(".".join)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(token=st.text(st.characters(categories=None)) | st.binary().map(lambda octets: octets.decode("latin-1")))
def test_no_text_brings_out_anything_but_a_refusal(token: str) -> None:
    with pytest.raises(InvalidToken):
        parse(token, LIMIT)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(token=near_tokens)
def test_no_near_token_brings_out_anything_but_a_refusal(token: str) -> None:
    said = ""
    try:
        said = repr(parse(token, 2_000))
    except JwtGateError as refused:
        said = str(refused)
    assert said.isascii()
    assert said.isprintable()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(header=objects, payload=objects, signature=st.binary(min_size=1, max_size=8))
def test_what_is_taken_is_what_was_written(header: dict[str, Any], payload: dict[str, Any], signature: bytes) -> None:
    token = f"{segment({'alg': 'RS256'} | header)}.{segment(payload)}.{base64url(signature)}"
    try:
        parsed = parse(token, LIMIT)
    except JwtGateError:
        return
    assert parsed.header == {"alg": "RS256"} | header
    assert parsed.issuer == payload.get("iss")
    assert ".".join([segment(parsed.header), segment(payload), base64url(signature)]) == parsed.raw


@settings(max_examples=200, deadline=None, derandomize=True)
@given(octets=st.binary(max_size=60))
def test_base64url_goes_there_and_back(octets: bytes) -> None:
    assert decode_base64url(base64url(octets)) == octets


@settings(max_examples=200, deadline=None, derandomize=True)
@given(octets=documents | spoilt)
def test_strict_json_agrees_with_the_lenient_parser_where_it_takes_a_text(octets: bytes) -> None:
    try:
        value = parse_json(octets, depth=8, members=50)
    except ValueError:
        return
    assert repr(value) == repr(json.loads(octets.decode("utf-8")))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "deeper"),
        ('{"a":' * 50_000, "deeper"),
        ("[" * 33 + '""' * 8_000, "deeper"),
        ("[" + "[]," * 2_000, "members"),
        ("[" + "1," * 2_000, "members"),
        ("[]" * 33 + "]" * 9_000, "closes"),
    ],
)
def test_a_limit_that_is_passed_ends_the_looking(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text.encode(), depth=32, members=1_000)


@pytest.mark.parametrize("size", range(70))
def test_both_decoders_read_the_same(size: int) -> None:
    pytest.importorskip("pybase64", reason="needs the extra `speed`")
    octets = bytes(range(7, 7 + size))
    bare = base64.urlsafe_b64encode(octets).decode().rstrip("=")
    assert by_binascii(bare) == by_pybase64(bare) == octets
    for odd in "+/= \n\0é\ud800":
        for spoilt in (odd + bare[1:], bare[:-1] + odd):
            said = []
            for decode in (by_binascii, by_pybase64):
                with pytest.raises(ValueError, match="base64url") as refused:
                    decode(spoilt if bare else odd)
                said.append(str(refused.value))
            assert said[0] == said[1]


@pytest.mark.parametrize("pair", [a + b for a in "A-_" for b in BASE64URL], ids=repr)
def test_every_character_is_read_beside_every_kind_of_other(pair: str) -> None:
    octets = base64.urlsafe_b64decode(pair + pair)
    assert by_binascii(pair + pair) == decode_base64url(pair + pair) == octets
    assert encode_base64url(octets) == pair + pair


@pytest.mark.parametrize("size", range(70))
def test_what_is_written_in_base64url_is_one_line_without_padding(size: int) -> None:
    octets = bytes(range(255, 255 - size, -1))
    assert encode_base64url(octets) == base64url(octets)


@pytest.mark.parametrize("place", range(3), ids=["header", "payload", "signature"])
@pytest.mark.parametrize("odd", ["a+bc", "A", "AB", "é"])
def test_why_a_part_cannot_be_read_is_told_as_its_reader_says_it(place: int, odd: str) -> None:
    with pytest.raises(ValueError, match="base64url") as said:
        decode_base64url(odd)
    parts = [*GOOD.split(".")]
    parts[place] = odd
    error = malformed(".".join(parts))
    assert (error.part, error.reason) == (("header", "payload", "signature")[place], str(said.value))


# --- strict at a glance ----------------------------------------------------------------------------------------------

PLAIN_TEXTS = [
    '{"iss":"a"}',
    '{"cnf":{"jkt":"x"},"a":[{"b":[]},{"c":{"d":"{"}}]}',
    '{"iss":"a","b":["x","y"],"c":1.5,"d":null}',
    '{"iss":"https://é.test/","b":"a:b"}',
]


@pytest.mark.parametrize("text", [*PLAIN_TEXTS, '{"iss": "a", "b": 1}'])
@pytest.mark.parametrize("read", [by_standard_library, plain_object])
def test_a_plain_object_is_read_at_a_glance(text: str, read: Any) -> None:
    assert read(text.encode()) == json.loads(text)


@pytest.mark.parametrize("text", PLAIN_TEXTS)
def test_orjson_reads_what_it_would_write(text: str) -> None:
    pytest.importorskip("orjson", reason="needs the extra `speed`")
    assert by_orjson(text.encode()) == json.loads(text)
    for other in (text.replace(":", ": ", 1), text + " ", text.replace("a", "\\u0061", 1)):
        assert by_orjson(other.encode()) == by_standard_library(other.encode())


@pytest.mark.parametrize("text", ["[]", '["iss"]', '"iss"', "7", "null"])
def test_what_is_no_object_is_none_for_either_reader(text: str) -> None:
    pytest.importorskip("orjson", reason="needs the extra `speed`")
    assert by_orjson(text.encode()) is by_standard_library(text.encode()) is None


# Whoever reads these in one way alone, somebody else reads them in another.
AMBIGUOUS = [
    '{"iss":"a","iss":"b"}',
    '{"iss":"a","b":1,"b":1}',
    '{"iss":"a","b":1,"b" :1}',
    '{"iss":"a","b":":","b":1}',
    '{"iss":"a","b":"\\u003a","b":1}',
    '{"iss":"a","b":{"c":1,"c":1}}',
    '{"iss":"a","b":{"c":1},"b":{"d":1}}',
    '{"iss":"a","b":[{"c":{"d":1,"d":2}}]}',
    '{"iss":"a","b":NaN}',
    '{"iss":"a","b":1e400}',
    '{"iss":"a","b":-Infinity}',
    '{"iss":"a","b":"\\ud800"}',
    '{"iss":"a"}{',
    '{"iss":"a",}',
    "{",
    "",
]
# Good or bad, it is looked at in the long way.
UNUSUAL = [
    '{"iss":"a","b":01}',
    '{"iss":"a","b":1.0e3}',
    '{"iss":"a","b":100000000000000000000000}',
    '{"iss":"a",\n"b":1}',
    '{"iss":"a"} ',
    ' {"iss":"a"}',
    '{"iss":1}',
    '{"iss":["a"]}',
    "{}",
    '["iss"]',
    '"iss"',
    "1",
]
NOT_PLAIN = ['{"iss":"a","b":"\\n"}', '{"iss":"a"} ', ' {"iss":"a"}', '["a"]', '"a"', "1", ""]


def glance(read: Any, text: str) -> Any:
    try:
        return read(text.encode())
    except ValueError:
        return None


def strictly(text: str) -> Any:
    try:
        return parse_json(text.encode(), depth=32, members=1_000)
    except ValueError:
        return ValueError


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_whatever_could_be_read_in_two_ways_is_nothing_at_a_glance(text: str) -> None:
    assert glance(plain_object, text) is None
    assert glance(by_standard_library, text) is None
    assert strictly(text) is ValueError


@pytest.mark.parametrize("text", UNUSUAL)
def test_what_is_unusual_goes_the_long_way_or_means_the_same(text: str) -> None:
    for read in (plain_object, by_standard_library):
        found = glance(read, text)
        assert found is None or found == strictly(text)


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_at_a_glance_only_an_object_without_escapes_is_read(text: str) -> None:
    assert glance(by_standard_library, text) is None


PIECES = st.sampled_from(
    [*'{}[]:," \\\té1', '"iss"', '"a"', '"b"', "\\u003a", "null", "NaN", '":"', '":'],
)


@settings(max_examples=1_500, deadline=None)
@given(st.lists(PIECES, max_size=14))
def test_what_is_read_at_a_glance_is_strict(pieces: list[str]) -> None:
    text = '{"iss":"a"' + "".join(pieces) + "}"
    for read in (plain_object, by_standard_library):
        found = glance(read, text)
        assert found is None or found == strictly(text)
