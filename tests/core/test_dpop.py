"""A DPoP proof holds for one request and one token; of everything else the part at fault is named."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtgate.core.compact import decode_base64url
from jwtgate.core.dpop import (
    NAME_BYTES,
    PROOF_SIZE,
    DpopRules,
    Proof,
    _read_body,
    _read_plain,
    check_proof,
)
from jwtgate.core.errors import InvalidProof, NonceRequired
from jwtgate.core.jwk import (
    ASYMMETRIC,
    PROOF_RSA_BITS,
    UnusableKey,
    VerificationKey,
    _plain_key,
    read_jwk,
    read_proof_key,
    thumbprint,
)
from jwtgate.core.nonces import Nonces
from jwtgate.core.recent import Recent
from tests.making import (
    ABSENT,
    KIND_OF,
    NOW,
    SECRET,
    SigningKey,
    base64url,
    changed,
    compact,
    octets_of,
    public_members,
    segment,
    sign,
    signing_key,
)

URL = "https://api.test/v1/messages"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
ATH = base64url(hashlib.sha256(TOKEN.encode()).digest())
WINDOW, LEEWAY = 60, 30
KEY = signing_key("P-256")
JWK = public_members(KEY.private)
JKT = thumbprint(JWK)
NONCES = Nonces(SECRET, 300, "https://api.test/")


def rules(*algorithms: str, nonces: Nonces | None = None) -> DpopRules:
    return DpopRules(frozenset(algorithms or ("ES256",)), WINDOW, LEEWAY, nonces)


def header(**changes: Any) -> dict[str, Any]:
    return changed({"typ": "dpop+jwt", "alg": "ES256", "jwk": JWK}, changes)


def claims(**changes: Any) -> dict[str, Any]:
    good = {"jti": "e1j3V_bKic8-LAEB", "htm": "GET", "htu": URL, "iat": int(NOW), "ath": ATH}
    return changed(good, changes)


def proof(*, of: dict[str, Any] | None = None, key: SigningKey = KEY, algorithm: str = "ES256", **changes: Any) -> str:
    """A good proof with some claims changed, and some parameters of its header (`of`), signed rightly."""
    return compact(header(**(of or {})), claims(**changes), key, algorithm)


def made_by(algorithm: str, number: int = 1, **changes: Any) -> str:
    """A good proof by another kind of key."""
    key = signing_key(KIND_OF[algorithm], number)
    return proof(of={"alg": algorithm, "jwk": public_members(key.private)}, key=key, algorithm=algorithm, **changes)


def check(*values: str, of: DpopRules | None = None, **request: Any) -> Proof:
    sent = {"method": "GET", "url": URL, "token": TOKEN, "now": NOW, **request}
    return check_proof(values, rules=of or rules(), **sent)


def refused(*values: str, of: DpopRules | None = None, **request: Any) -> InvalidProof:
    with pytest.raises(InvalidProof) as refusal:
        check(*values, of=of, **request)
    return refusal.value


def part(*values: str, of: DpopRules | None = None, **request: Any) -> str:
    """The part of a proof that is refused, whether its key is known or not."""
    fresh = of or rules()
    first = refused(*values, of=fresh, **request)
    check(proof(nonce=NONCES.current(NOW)), of=fresh)
    again = refused(*values, of=fresh, **request)
    assert (again.part, type(again)) == (first.part, type(first))
    return first.part


# --- what holds ------------------------------------------------------------------------------------------------------


def test_a_good_proof_tells_whose_it_is_and_when_it_was_made() -> None:
    assert check(proof()) == Proof(JKT, "e1j3V_bKic8-LAEB", NOW)


def test_a_proof_is_checked_in_the_same_way_when_its_key_is_known() -> None:
    known = rules()
    assert [check(proof(jti=name), of=known).jti for name in "abc"] == ["a", "b", "c"]
    assert len(known.keys) == 1


def test_a_proof_with_nothing_beside_is_read_at_a_glance() -> None:
    head, payload, signature = proof().split(".")
    assert _read_plain(head, payload, signature) == (header(), claims(), decode_base64url(signature))
    for odd in (
        {"kid": "k"},
        {"typ": "JWT"},
        {"typ": ABSENT},
        {"typ": ABSENT, "kid": "k"},
        {"jwk": ABSENT, "kid": "k"},
        {"alg": ABSENT, "kid": "k"},
        {"alg": 7},
    ):
        assert _read_plain(segment(header(**odd)), payload, signature) is None
    assert [_read_plain(odd, payload, signature) for odd in ("", segment([]))] == [None, None]
    for body in (("", signature), (segment([]), signature), (payload, ""), (payload, "="), (payload, f"{signature}.x")):
        assert _read_body(*body) is None
        assert _read_plain(head, *body) is None


HEAD, BODY, SIGNATURE = proof().split(".")


@pytest.mark.parametrize(
    "broken",
    [
        HEAD,
        f"{HEAD}.{BODY}",
        f"{HEAD}.{BODY}.",
        f"{HEAD}.{BODY}.{SIGNATURE}=",
        f"{HEAD}.{BODY}.{SIGNATURE}.x",
        f"{HEAD}.{BODY}=.{SIGNATURE}",
        f"{HEAD}..{SIGNATURE}",
        f"{HEAD}.{segment([])}.{SIGNATURE}",
        f"{HEAD}.{segment({})}.{SIGNATURE}",
        f"{HEAD}.{BODY}.{base64url(bytes(64))}",
    ],
)
def test_what_is_wrong_with_a_proof_is_told_in_the_same_words_when_its_key_is_known(broken: str) -> None:
    known, words = rules(), []
    check(proof(), of=known)
    assert known.keys.get(HEAD) is not None
    for of in (rules(), known):
        with pytest.raises(InvalidProof) as refused:
            check(broken, of=of)
        words.append(str(refused.value))
    assert words[0] == words[1]


def test_the_key_of_a_proof_that_held_is_kept_under_its_head() -> None:
    known, sent = rules(), proof()
    check(sent, of=known)
    kept = known.keys.get(sent.partition(".")[0])
    assert kept is not None
    assert (kept.thumbprint, kept.algorithm) == (JKT, "ES256")


def test_a_head_that_is_known_is_not_read_again() -> None:
    known = rules()
    check(proof(), of=known)
    key = known.keys.get(HEAD)
    assert key is not None
    known.keys.keep("nothing-that-could-be-read", key)
    signing_input = f"nothing-that-could-be-read.{BODY}"
    sent = f"{signing_input}.{base64url(sign('ES256', KEY.private, signing_input.encode()))}"
    assert check(sent, of=known).jkt == JKT
    assert part(sent) == "proof"


@pytest.mark.parametrize(
    ("values", "request_", "told"),
    [
        ((), {}, ("DPoP", None, 0)),
        ((proof(), proof()), {}, ("DPoP", None, 2)),
        ((f"{proof()},{proof()}, ",), {}, ("DPoP", None, 3)),
        ((proof(htm="POST"),), {}, ("htm", "'GET'", "POST")),
        ((proof(htu="https://b.test/"),), {"url": f"{URL}?a=b?c"}, ("htu", repr(URL), "https://b.test/")),
        ((proof(of={"typ": "JWT"}),), {}, ("typ", "dpop+jwt", "JWT")),
        ((proof(of={"crit": ["x"]}),), {}, ("crit", None, ["x"])),
        ((made_by("ES384"),), {}, ("alg", "ES256", "ES384")),
        ((f"{proof()}=",), {}, ("proof", None, "signature")),
        (("a.b.c",), {}, ("proof", None, "header")),
        (("undefined",), {}, ("proof", None, "an opaque token")),
        ((proof(of={"jwk": {"kty": "oct"}}),), {}, ("jwk", None, "oct")),
        ((proof(iat=True),), {}, ("iat", None, True)),
        ((proof(iat=1),), {}, ("iat", None, 1)),
        ((proof(iat=1),), {}, ("iat", f"after {NOW - WINDOW - LEEWAY:.0f}, at most {NOW + LEEWAY:.0f}", 1)),
        ((proof(jti=""),), {}, ("jti", None, "")),
        ((proof(jti=7),), {}, ("jti", None, 7)),
        ((proof(jti="j" * 300),), {}, ("jti", None, "j" * 300)),
        ((proof(htm=7),), {}, ("htm", None, 7)),
        ((proof(htu=7),), {}, ("htu", None, 7)),
        ((proof(htm="G" * 300),), {}, ("htm", None, "G" * 300)),
        ((proof(ath="x"),), {}, ("ath", None, "x")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) and len(value) == 3 else "",
)
def test_a_refusal_tells_what_was_expected_and_what_was_found(
    values: tuple[str, ...], request_: dict[str, Any], told: tuple[str, str | None, Any]
) -> None:
    error, (part, expected, actual) = refused(*values, **request_), told
    assert error.part == part
    assert isinstance(error.expected, str)
    assert expected in (error.expected, None)
    # What another function said of it is told in words.
    in_words = part in ("proof", "jwk")
    assert error.actual == actual or (in_words and actual in error.actual)


@pytest.mark.parametrize(
    "change",
    [{"kid": "k"}, {"kty": ABSENT, "kid": "k"}, {"kty": "ec"}, {"crv": "P-384"}, {"crv": ABSENT, "kid": "k"},
     {"x": ABSENT, "kid": "k"}, {"y": ABSENT, "kid": "k"}, {"x": 7}, {"y": 7}, {"x": JWK["x"] + "A"}],
    ids=range(10),
)  # fmt: skip
def test_a_key_with_just_what_it_needs_is_read_at_once_and_any_other_is_looked_into(change: dict[str, Any]) -> None:
    assert _plain_key(JWK) is not None
    assert read_proof_key(JWK, "ES256").thumbprint == JKT
    assert _plain_key(changed(JWK, change)) is None


def test_a_nonce_that_is_not_ours_is_told() -> None:
    error = refused(proof(nonce="x"), of=rules(nonces=NONCES))
    assert (error.part, error.actual) == ("nonce", "x")


@pytest.mark.parametrize("algorithm", sorted(ASYMMETRIC))
def test_each_algorithm_holds_where_it_is_allowed_and_nowhere_else(algorithm: str) -> None:
    jwk = public_members(signing_key(KIND_OF[algorithm]).private)
    assert check(made_by(algorithm), of=rules(algorithm)).jkt == thumbprint(jwk)
    for other in sorted(ASYMMETRIC - {algorithm}):
        assert part_of_alg(made_by(algorithm), other) == "alg"


def part_of_alg(value: str, allowed: str) -> str:
    return refused(value, of=rules(allowed)).part


@pytest.mark.parametrize("typ", ["dpop+jwt", "DPoP+JWT", "application/dpop+jwt", "Application/DPOP+jwt"])
def test_the_type_is_a_media_type(typ: str) -> None:
    assert check(proof(of={"typ": typ})).jkt == JKT


@pytest.mark.parametrize(
    "extra",
    [
        {"kid": "mine"},
        {"alg": "ES256"},
        {"use": "sig"},
        {"key_ops": ["verify"], "ext": True},
        {"x5c": ["MIIB"], "x5t#S256": "abc"},
        {"kid": "mine", "x5c": ["MIIB"], "alg": "ES256"},
        {"n": "A" * 2_000},
    ],
)
def test_other_members_of_the_key_do_not_change_its_thumbprint(extra: dict[str, Any]) -> None:
    assert check(proof(of={"jwk": {**JWK, **extra}})).jkt == JKT


def test_a_proof_may_carry_more_than_is_asked_for() -> None:
    more = proof(of={"kid": "mine", "nbf": 1}, aud="x", exp=1, nested={"a": [1]}, nonce="not ours")
    assert check(more).jkt == JKT


@pytest.mark.parametrize("iat", [NOW, NOW + 0.25, NOW - 0.75, 1.8e9])
def test_a_date_has_no_fraction(iat: float) -> None:
    assert part(proof(iat=iat)) == "iat"


# --- 1: one header line ----------------------------------------------------------------------------------------------


def test_there_must_be_exactly_one_header_line() -> None:
    for values in [(), (proof(), proof()), (f"{proof()}, {proof()}",), (f"{proof()},",), ("",) * 2]:
        assert part(*values) == "DPoP"
    assert refused(f"{proof()},{proof()}").actual == 2


# --- 2: a well-formed JWT --------------------------------------------------------------------------------------------

HEAD, BODY, SIGNATURE = proof().split(".")


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "opaque",
        HEAD,
        f"{HEAD}.",
        f"{HEAD}..{SIGNATURE}",
        f"{HEAD}.{BODY}={'.' + SIGNATURE}",
        f"{HEAD}=.{BODY}.{SIGNATURE}",
        f"{HEAD}.{BODY}.{SIGNATURE}=",
        f"{HEAD}.{BODY}.{SIGNATURE}.",
        f"{HEAD}.{BODY}.{SIGNATURE}.{SIGNATURE}.{SIGNATURE}",
        f"{segment({'alg': 'dir', 'enc': 'A256GCM'})}..{SIGNATURE}.{SIGNATURE}.{SIGNATURE}",
        f"{segment({'alg': 'RSA-OAEP-256', 'enc': 'A256GCM'})}.{BODY}.{BODY}.{BODY}.{BODY}",
        f"{segment('[]')}.{BODY}.{SIGNATURE}",
        f"{HEAD}.{BODY}.é",
        "proof\x00",
    ],
    ids=len,
)
def test_what_is_no_jwt_is_refused(value: str) -> None:
    assert part(value) == "proof"


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "[]",
        "null",
        '"text"',
        "{",
        '{"iat": NaN}',
        '{"iat": 1e400}',
        '{"jti": "a", "jti": "b"}',
        '{"iat": ' + "9" * 5_000 + "}",
        '{"a": ' + "[" * 40 + "]" * 40 + "}",
        '{"jti": "\\ud800"}',
        b'{"jti": "\xff"}',
    ],
)
def test_a_payload_that_is_no_strict_json_object_is_refused(payload: str | bytes) -> None:
    assert part(compact(header(), payload, KEY)) == "proof"


def test_a_proof_has_a_greatest_size() -> None:
    room = (PROOF_SIZE - len(proof(pad=""))) * 3 // 4
    padded = [proof(pad="a" * size) for size in range(room - 4, room + 5)]
    assert check(max((value for value in padded if len(value) <= PROOF_SIZE), key=len)).jkt == JKT
    assert part(min((value for value in padded if len(value) > PROOF_SIZE), key=len)) == "proof"
    assert part("a" * 1_000_000) == "proof"


@pytest.mark.parametrize("parameter", ["crit", "b64", "zip", "enc"])
def test_extensions_are_refused(parameter: str) -> None:
    assert part(proof(of={parameter: ["exp"]})) == parameter


# --- 3: the claims that every proof has ------------------------------------------------------------------------------

NO_TEXT: tuple[Any, ...] = (ABSENT, None, "", 1, 1.5, True, [], ["a"], {})


@pytest.mark.parametrize("name", ["jti", "htm", "htu"])
@pytest.mark.parametrize("value", NO_TEXT, ids=repr)
def test_a_text_that_must_be_there_is_missing_or_none(name: str, value: Any) -> None:
    assert part(proof(**{name: value})) == name


@pytest.mark.parametrize("size", [NAME_BYTES, NAME_BYTES + 1])
@pytest.mark.parametrize("letter", ["a", "é"])
def test_names_have_a_greatest_size_in_bytes(size: int, letter: str) -> None:
    name = letter * (size // len(letter.encode()))
    name += "a" * (size - len(name.encode()))
    if size <= NAME_BYTES:
        assert check(proof(jti=name)).jti == name
        assert check(proof(htm=name), method=name).jkt == JKT
    else:
        assert part(proof(jti=name)) == "jti"
        assert part(proof(htm=name), method=name) == "htm"


NO_DATES: tuple[Any, ...] = (
    ABSENT,
    None,
    True,
    False,
    str(int(NOW)),
    "",
    [],
    {},
    -1,
    -0.5,
    253_402_300_800,
    10**40,
    int(NOW) * 1_000,
)


@pytest.mark.parametrize("value", NO_DATES, ids=repr)
def test_a_date_is_a_number_of_seconds(value: object) -> None:
    assert part(proof(iat=value)) == "iat"


@pytest.mark.parametrize("value", NO_DATES, ids=repr)
def test_what_is_no_date_is_none_however_much_time_is_forgiven(value: object) -> None:
    patient = DpopRules(frozenset({"ES256"}), 10**50, 10**50)
    assert check(proof(iat=0), of=patient).issued_at == 0
    assert check(proof(iat=253_402_300_799), of=patient).jkt == JKT
    assert part(proof(iat=value), of=patient) == "iat"


# --- 4, 5: what it is, and how it is signed --------------------------------------------------------------------------


@pytest.mark.parametrize("typ", [ABSENT, "", "JWT", "at+jwt", "dpop", "dpop+jwt ", "x/dpop+jwt", "application/jwt"])
def test_a_jwt_that_was_made_for_something_else_is_refused(typ: object) -> None:
    assert part(proof(of={"typ": typ})) == "typ"


@pytest.mark.parametrize("typ", [None, 1, ["dpop+jwt"]])
def test_a_type_is_a_text(typ: object) -> None:
    assert part(proof(of={"typ": typ})) == "typ"


@pytest.mark.parametrize("alg", [ABSENT, None, 1, "none", "None", "HS256", "RS256", "es256", "ES384", "ES256K", ""])
def test_an_algorithm_that_is_not_allowed_is_refused(alg: object) -> None:
    assert part(proof(of={"alg": alg})) == "alg"


def test_nothing_unsigned_is_taken_whatever_the_rules_say() -> None:
    careless = rules("none", "HS256", "ES256")
    unsigned = f"{segment(header(alg='none'))}.{BODY}."
    assert part(unsigned, of=careless) == "alg"
    octet = header(alg="HS256", jwk={"kty": "oct", "k": base64url(SECRET)})
    assert part(compact(octet, claims(), SECRET, "HS256"), of=careless) == "jwk"
    public = header(alg="HS256")
    assert part(compact(public, claims(), json.dumps(JWK).encode(), "HS256"), of=careless) == "jwk"


# --- 6, 7: the key ---------------------------------------------------------------------------------------------------

PRIVATE = octets_of(KEY.private.private_numbers().private_value, 32)
X, Y = JWK["x"], JWK["y"]


@pytest.mark.parametrize(
    "jwk",
    [
        ABSENT,
        None,
        "",
        json.dumps(JWK),
        [JWK],
        {},
        {**JWK, "d": PRIVATE},
        {**JWK, "d": ""},
        {"kty": "oct", "k": base64url(SECRET)},
        {**JWK, "kty": "oct", "k": base64url(SECRET)},
        {**JWK, "kty": "ec"},
        {**JWK, "kty": "AKP"},
        {**JWK, "crv": "P-384"},
        {**JWK, "crv": "secp256k1"},
        {**JWK, "alg": "ES384"},
        {**JWK, "alg": "RS256"},
        {**JWK, "alg": 1},
        {**JWK, "use": "enc"},
        {**JWK, "key_ops": ["sign"]},
        {**JWK, "kid": 1},
        {**JWK, "kid": "k" * 257},
        {**JWK, "y": X},
        {**JWK, "x": Y, "y": X},
        {**JWK, "x": base64url(bytes(32)), "y": base64url(bytes(32))},
        {**JWK, "x": X + "="},
        {**JWK, "x": X[:-4]},
        {**JWK, "x": "AAAA" + X},
        {**JWK, "y": ABSENT},
        {**JWK, "y": None},
        {**JWK, "y": 7},
        public_members(signing_key("P-384").private),
        public_members(signing_key("RSA").private),
        public_members(signing_key("Ed25519").private),
    ],
)
def test_a_key_that_cannot_be_that_of_the_proof_is_refused(jwk: object) -> None:
    value = changed(jwk, {}) if isinstance(jwk, dict) else jwk
    assert part(proof(of={"jwk": value, "kid": KEY.kid})) == "jwk"


def test_the_signature_must_be_that_of_the_key_in_the_proof() -> None:
    stranger = signing_key("P-256", 2)
    assert part(proof(key=stranger)) == "signature"
    assert part(proof(of={"jwk": public_members(stranger.private)})) == "signature"


@pytest.mark.parametrize("algorithm", sorted(ASYMMETRIC))
def test_a_changed_proof_is_refused(algorithm: str) -> None:
    good = made_by(algorithm)
    known = rules(algorithm)
    check(good, of=known)
    head, _, signature = good.split(".")
    for spoilt in [
        f"{head}.{segment(claims(jti='other'))}.{signature}",
        f"{head}.{segment(claims())}.{segment(b'')}",
        f"{head}.{segment(claims())}",
        f"{head}.{segment(claims())}.{made_by(algorithm, 2).rpartition('.')[2]}",
        f"{head}.{segment(claims())}.AAAA",
    ]:
        for of in (known, rules(algorithm)):
            assert refused(spoilt, of=of).part in {"signature", "proof"}


def rsa_jwk(bits: int, exponent: int = 65_537) -> dict[str, str]:
    key = rsa.generate_private_key(exponent, bits) if bits <= 4_096 else None
    n = key.public_key().public_numbers().n if key else (1 << (bits - 1)) | 0x10001
    return {"kty": "RSA", "n": octets_of(n), "e": octets_of(exponent)}


def test_a_key_of_a_stranger_must_not_be_costly() -> None:
    assert PROOF_RSA_BITS == 4_096
    assert read_proof_key(rsa_jwk(4_096), "RS256").thumbprint
    for jwk in [rsa_jwk(1_024), rsa_jwk(4_097), rsa_jwk(8_192), rsa_jwk(16_384)]:
        with pytest.raises(UnusableKey):
            read_proof_key(jwk, "RS256")
    read_jwk(rsa_jwk(8_192))  # an issuer's key may be longer
    good = public_members(signing_key("RSA").private)
    for exponent in [1, 2, 65_536, 2**32 + 1, 2**3_070 + 1]:
        with pytest.raises(UnusableKey):
            read_proof_key({**good, "e": octets_of(exponent)}, "RS256")


def test_a_proof_with_a_costly_key_is_refused_before_anything_is_computed() -> None:
    for jwk in [rsa_jwk(4_097), rsa_jwk(16_384), {**rsa_jwk(2_048), "e": octets_of(2**3_070 + 1)}]:
        value = f"{segment(header(alg='RS256', jwk=jwk))}.{BODY}.{SIGNATURE}"
        assert refused(value, of=rules("RS256")).part == "jwk"


def test_a_key_is_for_its_own_algorithm() -> None:
    marked = {**public_members(signing_key("RSA").private), "alg": "RS256"}
    assert read_proof_key(marked, "RS256").algorithm == "RS256"
    with pytest.raises(UnusableKey):
        read_proof_key(marked, "PS256")
    with pytest.raises(UnusableKey):
        read_proof_key(JWK, "HS256")


# --- 8, 9: the request -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("htm", "method"),
    [("POST", "GET"), ("get", "GET"), ("Get", "GET"), ("GET ", "GET"), ("GET", "get"), ("HEAD", "GET"), ("*", "GET")],
)
def test_the_method_is_exactly_that_of_the_request(htm: str, method: str) -> None:
    assert part(proof(htm=htm), method=method) == "htm"
    assert check(proof(htm=htm), method=htm).jkt == JKT


@pytest.mark.parametrize(
    "htu",
    [
        "https://api.test/v1/messages?a=1",
        "https://api.test/v1/messages#part",
        "HTTPS://API.TEST/v1/messages",
        "https://api.test:443/v1/messages",
        "https://api.test/%761/./x/../messages",
    ],
)
def test_the_address_may_be_spelt_in_another_way(htu: str) -> None:
    assert check(proof(htu=htu), url=f"{URL}?page=2").jkt == JKT


@pytest.mark.parametrize(
    "htu",
    [
        "https://api.test/v1/messages/",
        "https://api.test/v1/Messages",
        "https://api.test/v1%2Fmessages",
        "http://api.test/v1/messages",
        "https://api.test:444/v1/messages",
        "https://other.test/v1/messages",
        "https://me@api.test/v1/messages",
        "/v1/messages",
        "api.test/v1/messages",
        "wss://api.test/v1/messages",
        "urn:api",
        "https://",
        "https://api.test/%",
    ],
)
def test_another_address_is_refused(htu: str) -> None:
    assert part(proof(htu=htu)) == "htu"


def test_an_address_that_is_none_is_refused_even_where_the_request_has_it() -> None:
    assert part_of_htu("/v1/messages") == part_of_htu("https://me@api.test/") == part_of_htu("ws://api.test/") == "htu"


def part_of_htu(address: str) -> str:
    return refused(proof(htu=address), url=address).part


def test_a_refusal_does_not_show_the_query() -> None:
    error = refused(proof(htu="https://other.test/"), url=f"{URL}?access_token=secret")
    assert (error.expected, "secret" in str(error)) == (repr(URL), False)


# --- 10: the nonce ---------------------------------------------------------------------------------------------------


def test_a_nonce_of_ours_holds() -> None:
    asking = rules(nonces=NONCES)
    assert check(proof(nonce=NONCES.current(NOW)), of=asking).jkt == JKT
    assert check(proof(nonce=NONCES.current(NOW - 300)), of=asking).jkt == JKT


@pytest.mark.parametrize(
    "nonce",
    [
        ABSENT,
        None,
        "",
        "of somebody else",
        1,
        ["a"],
        {},
        NONCES.current(NOW - 600),
        Nonces(SECRET[::-1], 300, "https://api.test/").current(NOW),
        Nonces(SECRET, 300, "https://other.test/").current(NOW),
        NONCES.current(NOW) + "=",
        "\u00e9" * 22,
    ],
)
def test_where_nonces_are_given_out_another_or_none_is_answered_with_one(nonce: object) -> None:
    asking = rules(nonces=NONCES)
    error = refused(proof(nonce=nonce), of=asking)
    assert isinstance(error, NonceRequired)
    assert error.nonce == NONCES.current(NOW)
    assert part(proof(nonce=nonce), of=asking) == "nonce"
    assert check(proof(nonce=error.nonce), of=asking).jkt == JKT


@pytest.mark.parametrize("nonce", [ABSENT, None, "any", 1, NONCES.current(NOW)])
def test_where_none_are_given_out_a_nonce_means_nothing(nonce: object) -> None:
    assert check(proof(nonce=nonce)).jkt == JKT


def test_a_nonce_is_asked_for_only_where_the_proof_is_otherwise_in_order() -> None:
    asking = rules(nonces=NONCES)
    assert type(refused(proof(htm="POST"), of=asking)) is InvalidProof
    assert type(refused(proof(key=signing_key("P-256", 2)), of=asking)) is InvalidProof
    assert type(refused(proof(iat=1), of=asking)) is NonceRequired


# --- 11: the time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "holds"),
    [
        (0, True),
        (WINDOW, True),
        (WINDOW + LEEWAY - 1, True),
        (WINDOW + LEEWAY - 0.001, True),
        (WINDOW + LEEWAY, False),
        (WINDOW + LEEWAY + 1, False),
        (-LEEWAY, True),
        (-LEEWAY - 0.001, False),
        (-LEEWAY - 1, False),
        (86_400, False),
    ],
)
def test_a_proof_is_good_for_a_limited_time(age: float, holds: bool) -> None:
    if holds:
        assert check(proof(), now=NOW + age).jkt == JKT
    else:
        assert part_at(NOW + age) == "iat"


def part_at(now: float) -> str:
    return refused(proof(), now=now).part


# --- 12: the token ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ath",
    [
        ABSENT,
        None,
        "",
        1,
        [ATH],
        ATH + "=",
        ATH[:-1],
        ATH.lower(),
        hashlib.sha256(TOKEN.encode()).hexdigest(),
        base64url(hashlib.sha256(b"another").digest()),
        base64url(hashlib.sha256(f"{TOKEN}=".encode()).digest()),
        base64url(hashlib.sha512(TOKEN.encode()).digest()),
        base64url(hashlib.sha1(TOKEN.encode()).digest()),
    ],
    ids=repr,
)
def test_the_proof_is_for_the_token_that_was_sent(ath: object) -> None:
    assert part(proof(ath=ath)) == "ath"


LONG_TOKEN = f"{TOKEN}." + "Az09-_" * 40


@pytest.mark.parametrize("ath", [LONG_TOKEN, [LONG_TOKEN], {"a": LONG_TOKEN}])
def test_a_token_in_place_of_its_hash_is_not_told(ath: object) -> None:
    error = refused(proof(ath=ath), token=LONG_TOKEN)
    assert LONG_TOKEN[:12] not in f"{error}{error.actual}"
    hashed = hashlib.sha512(TOKEN.encode()).hexdigest()
    assert refused(proof(ath=hashed)).actual == hashed


@pytest.mark.parametrize(
    ("token", "ath"),
    [
        (f"{TOKEN}3", "OeAKGvGxW-j3rjj-31MqOGBC2eE0KfaK-vLBjuGq06o"),
        (f"{TOKEN}6", "4zA_YHpqthiKmD0SxzrLXMai4ODS2CjcW8iaH7uVIUI"),
        (f"{TOKEN}7", "Qr_lm4rDKl-P-GB5V7Ck7m7TJPzyIKHKF_m16tGeG70"),
    ],
)
def test_the_hash_of_a_token_is_in_base64url(token: str, ath: str) -> None:
    assert check(proof(ath=ath), token=token).jkt == JKT
    assert part(proof(ath=ath.replace("-", "+").replace("_", "/")), token=token) == "ath"


@pytest.mark.parametrize("ath", [ABSENT, ATH, "any", 1])
def test_where_there_is_no_token_yet_the_proof_names_none(ath: object) -> None:
    assert check(proof(ath=ath), token=None).jkt == JKT


# --- keys that are kept ready ----------------------------------------------------------------------------------------


def test_only_the_keys_of_proofs_that_hold_are_kept() -> None:
    kept = rules(nonces=NONCES)
    good = NONCES.current(NOW)
    for value in [proof(), proof(ath="x", nonce=good), proof(key=signing_key("P-256", 2), nonce=good)]:
        refused(value, of=kept)
    assert len(kept.keys) == 0
    check(proof(nonce=good), of=kept)
    assert len(kept.keys) == 1


def test_a_key_is_kept_for_the_rules_it_was_allowed_by() -> None:
    check(proof(), of=rules())
    assert refused(proof(), of=rules("ES384")).part == "alg"


def test_threads_may_share_the_rules() -> None:
    shared = DpopRules(frozenset({"ES256"}), WINDOW, LEEWAY)
    object.__setattr__(shared, "keys", Recent[VerificationKey](2))
    values = [made_by("ES256", number) for number in range(1, 5)]
    expected = [check(value).jkt for value in values]
    found: list[Sequence[str]] = []

    def run() -> None:
        found.append([check(value, of=shared).jkt for _ in range(25) for value in values])

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected * 25] * 8


# --- whatever a stranger sends ---------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
HELD = rules()


def verdict(value: str) -> str:
    """Whose proof it is, or which part of it is refused."""
    try:
        return check(value, of=HELD).jkt
    except InvalidProof as error:
        return error.part


@given(st.text(max_size=200))
def test_any_text_is_answered_with_a_refusal(text: str) -> None:
    assert refused(text, of=HELD).part in {"proof", "DPoP"}


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["typ", "alg", "jwk", "kid", "crit", "x"]), JSON))
def test_any_header_is_answered_with_a_proof_or_a_refusal(of: dict[str, Any]) -> None:
    assert verdict(proof(of=of)) in {JKT, *of, "proof"}


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce", "x"]), JSON))
def test_any_claims_are_answered_with_a_proof_or_a_refusal(changes: dict[str, Any]) -> None:
    assert verdict(proof(**changes)) in {JKT, *changes, "proof"}


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "key_ops", "kid"]), JSON))
def test_any_key_is_answered_with_a_proof_or_a_refusal(changes: dict[str, Any]) -> None:
    assert verdict(proof(of={"jwk": {**JWK, **changes}})) in {JKT, "jwk", "proof"}
