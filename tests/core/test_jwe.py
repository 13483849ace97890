"""An encrypted token is opened by the right key, or refused without a word about why."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtgate import AccessToken, ApiSettings, Issuer
from jwtgate.core.compact import HEADER_DEPTH, KID_BYTES, decode_base64url, parse
from jwtgate.core.decryption_keys import ALGORITHMS as ALL_ALGORITHMS
from jwtgate.core.decryption_keys import ENCRYPTIONS as ALL_ENCRYPTIONS
from jwtgate.core.decryption_keys import KEY_BYTES, DecryptionKey, read_decryption_keys
from jwtgate.core.effects import Moment
from jwtgate.core.errors import (
    BadSignature,
    ClaimRejected,
    HeaderRejected,
    InvalidToken,
    MalformedToken,
    OpaqueToken,
    SettingsError,
    TokenExpired,
    TokenTooLarge,
    Unavailable,
    UndecryptableToken,
    UnknownKey,
    WrongAudience,
    WrongTokenKind,
)
from jwtgate.core.flow import authenticate_token
from jwtgate.core.jwe import HEADS, SealedHead, check_replicated, decrypt
from jwtgate.core.jwk import thumbprint
from jwtgate.core.keys import Keyring, keys_of
from jwtgate.core.known import known_to
from jwtgate.core.recent import Recent
from tests.making import (
    ABSENT,
    API,
    ISSUER,
    MOMENT,
    NOW,
    Issuing,
    base64url,
    compact,
    drive,
    octets_of,
    segment,
    signing_key,
)
from tests.sealing import HASHES, LIMIT, SIZES, ask, oaep, pem, private_jwk, private_key, read, seal

INNER = Issuing().token()
KEY = DecryptionKey(pem())
OTHER = DecryptionKey(pem(private_key(2)))
EVERYTHING: dict[str, Any] = {"algorithms": ALL_ALGORITHMS, "encryptions": tuple(ALL_ENCRYPTIONS)}


def opened(token: str, *keys: DecryptionKey, **settings: Any) -> str:
    return ask(decrypt(read(token, *keys, **settings)))


def spoiled(token: str, place: int, value: str) -> str:
    segments = token.split(".")
    segments[place] = value
    return ".".join(segments)


def with_header(**changes: Any) -> str:
    return seal(INNER, **changes)


def in_kms(number: int = 1) -> Callable[[bytes, str], bytes]:
    """A private key that is kept elsewhere."""

    def decrypt(encrypted_key: bytes, algorithm: str) -> bytes:
        return private_key(number).decrypt(encrypted_key, oaep(algorithm))

    return decrypt


def operations(token: str, *keys: DecryptionKey) -> tuple[Counter[str], str]:
    """Which operations of `cryptography` opening the token takes, and what comes of it."""
    counted: Counter[str] = Counter()

    def count(frame: object, event: str, called: Any) -> None:
        if event == "c_call":
            counted[f"{type(getattr(called, '__self__', None)).__name__}.{called.__name__}"] += 1

    encrypted = read(token, *keys)
    sys.setprofile(count)
    try:
        outcome = ask(decrypt(encrypted))
    except InvalidToken as refusal:
        outcome = repr(refusal)
    finally:
        sys.setprofile(None)
    names = ("RSAPrivateKey.decrypt", "NoneType.generate_key", "AESGCM.decrypt")
    return Counter({name: counted[name] for name in names}), outcome


# --- what is opened ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encryption", SIZES)
@pytest.mark.parametrize("algorithm", HASHES)
def test_every_algorithm_opens_what_was_sealed_with_it(algorithm: str, encryption: str) -> None:
    assert opened(seal(INNER, alg=algorithm, enc=encryption), **EVERYTHING) == INNER


def test_these_algorithms_are_all() -> None:
    assert set(ALL_ALGORITHMS) == set(HASHES)
    assert ALL_ENCRYPTIONS == SIZES


@pytest.mark.parametrize("bits", [2_048, 3_072, 4_096])
def test_keys_of_several_sizes_open_tokens(bits: int) -> None:
    key = private_key(bits, bits)
    assert opened(seal(INNER, key=key, alg="RSA-OAEP-512"), DecryptionKey(pem(key))) == INNER


@pytest.mark.parametrize("content_type", [ABSENT, "JWT", "jwt", "application/jwt", "Application/JWT"])
def test_the_content_type_may_be_left_out_and_has_no_case(content_type: object) -> None:
    assert opened(with_header(cty=content_type)) == INNER


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"kid": "any", "x5t": "AAAA"}, {"jku": "https://evil.test/"}])
def test_other_parameters_are_not_looked_at(header: dict[str, str]) -> None:
    assert opened(with_header(**header)) == INNER


def test_a_kid_chooses_its_key_among_many() -> None:
    keys = [DecryptionKey(pem(private_key(n)), kid=f"k{n}") for n in (1, 2, 3)]
    token = seal(INNER, key=private_key(3), kid="k3")
    assert read(token, *keys).keys == (keys[2],)
    assert opened(token, *keys) == INNER


def test_without_a_kid_two_keys_are_tried_and_no_more() -> None:
    keys = [DecryptionKey(pem(private_key(n)), kid=f"k{n}") for n in (1, 2, 3)]
    assert opened(seal(INNER, key=private_key(2)), *keys) == INNER
    with pytest.raises(UndecryptableToken):
        opened(seal(INNER, key=private_key(3)), *keys)


def test_a_key_without_a_name_serves_a_kid_that_no_key_has() -> None:
    named = DecryptionKey(pem(private_key(2)), kid="named")
    assert opened(seal(INNER, kid="as registered"), named, KEY) == INNER


def test_a_named_key_is_not_tried_for_another_name() -> None:
    with pytest.raises(HeaderRejected) as refused:
        read(with_header(kid="k2"), DecryptionKey(pem(), kid="k1"))
    assert (refused.value.parameter, refused.value.actual) == ("kid", "k2")


def test_a_key_opens_only_tokens_of_its_own_algorithm() -> None:
    key = DecryptionKey(private_jwk(alg="RSA-OAEP-512"))
    assert opened(with_header(alg="RSA-OAEP-512"), key) == INNER
    with pytest.raises(HeaderRejected) as refused:
        read(with_header(alg="RSA-OAEP-256"), key)
    assert (refused.value.parameter, refused.value.expected) == ("alg", "RSA-OAEP-512")


def test_what_is_read_shows_its_header_and_no_token() -> None:
    encrypted = read(with_header(kid="k1"))
    assert (encrypted.algorithm, encrypted.encryption, encrypted.kid) == ("RSA-OAEP-256", "A256GCM", "k1")
    assert repr(encrypted) == "<Encrypted alg='RSA-OAEP-256' kid='k1'>"


# --- what is refused before it is opened ---------------------------------------------------------------------------


def test_a_token_that_is_no_text_is_refused() -> None:
    with pytest.raises(MalformedToken):
        read(b"a.b.c.d.e")  # type: ignore[arg-type]


def test_a_long_token_is_refused_unread() -> None:
    with pytest.raises(TokenTooLarge) as refused:
        read("." * 101, limit=100)
    assert (refused.value.size, refused.value.limit) == (101, 100)


def test_a_token_of_just_the_limit_is_read() -> None:
    token = seal(INNER)
    assert opened(token, limit=len(token)) == INNER
    with pytest.raises(TokenTooLarge):
        read(token, limit=len(token) - 1)


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.b.c.d", "a.b.c.d.e.f", "." * 10_000, INNER])
def test_a_jwe_has_five_segments(token: str) -> None:
    with pytest.raises(MalformedToken) as refused:
        read(token)
    assert refused.value.part == "token"


def test_auth0s_opaque_token_is_told_by_its_header() -> None:
    header = segment({"alg": "dir", "enc": "A256GCM", "iss": "https://tenant.auth0.com/"})
    with pytest.raises(OpaqueToken):
        read(f"{header}..{base64url(bytes(12))}.{base64url(b'opaque')}.{base64url(bytes(16))}")


@pytest.mark.parametrize(
    ("place", "part"),
    [(0, "header"), (1, "encrypted key"), (2, "initialization vector"), (3, "ciphertext"), (4, "authentication tag")],
)
@pytest.mark.parametrize("value", ["*", "AB", "AA=", "é", "A", " AAA", "AAA\n"])
def test_every_segment_is_strict_base64url(place: int, part: str, value: str) -> None:
    with pytest.raises(MalformedToken) as refused:
        read(spoiled(seal(INNER), place, value))
    assert refused.value.part == part


@pytest.mark.parametrize("header", [
    b"", b"{", b"[]", b'"x"', b"null", b"\xff", b'{"alg":"RSA-OAEP-256","alg":"RSA-OAEP-256","enc":"A256GCM"}',
    b'{"alg":"RSA-OAEP-256","enc":"A256GCM","x":NaN}', b'{"alg":"RSA-OAEP-256","enc":"A256GCM","x":1e999}',
    '{"alg":"RSA-OAEP-256","enc":"A256GCM"}'.encode("utf-16"), b'{"alg":"RSA-OAEP-256","enc":"A256GCM"} x',
    b'{"alg":"RSA-OAEP-256","enc":"A256GCM","x":"\\ud800"}',
    b'{"alg":"RSA-OAEP-256","enc":"A256GCM","x":' + b"[" * HEADER_DEPTH + b"]" * HEADER_DEPTH + b"}",
    json.dumps({"alg": "RSA-OAEP-256", "enc": "A256GCM", **{f"x{n}": n for n in range(70)}}).encode(),
])  # fmt: skip
def test_the_header_is_a_strict_json_object(header: bytes) -> None:
    with pytest.raises(MalformedToken) as refused:
        read(spoiled(seal(INNER), 0, base64url(header)))
    assert refused.value.part == "header"


REFUSED_HEADERS: list[tuple[dict[str, Any], str]] = [
    ({"alg": ABSENT}, "alg"),
    ({"alg": None}, "alg"),
    ({"alg": ["RSA-OAEP-256"]}, "alg"),
    ({"alg": {"RSA-OAEP-256": 1}}, "alg"),
    ({"alg": "none"}, "alg"),
    ({"alg": "RS256"}, "alg"),
    ({"alg": "rsa-oaep-256"}, "alg"),
    ({"alg": "RSA-OAEP"}, "alg"),  # SHA-1: only by setting
    ({"alg": "RSA1_5"}, "alg"),
    ({"alg": "dir"}, "alg"),
    ({"alg": "A256KW"}, "alg"),
    ({"alg": "A256GCMKW", "iv": "AAAA", "tag": "AAAA"}, "alg"),
    ({"alg": "PBES2-HS256+A128KW", "p2s": "AAAAAAAAAAA", "p2c": 2**31}, "alg"),
    ({"alg": "ECDH-ES", "epk": {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}}, "alg"),
    ({"alg": "ECDH-ES+A128KW", "epk": {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}}, "alg"),
    ({"enc": ABSENT}, "enc"),
    ({"enc": None}, "enc"),
    ({"enc": ["A256GCM"]}, "enc"),
    ({"enc": "A128GCM"}, "enc"),  # only by setting
    ({"enc": "A128CBC-HS256"}, "enc"),
    ({"enc": "A256CBC-HS512"}, "enc"),
    ({"enc": "XC20P"}, "enc"),
    ({"enc": "RSA-OAEP-256", "alg": "A256GCM"}, "alg"),  # swapped, as in a sample of Auth0's
    ({"zip": "DEF"}, "zip"),
    ({"zip": None}, "zip"),
    ({"p2c": 2**31}, "p2c"),
    ({"p2s": "AAAA"}, "p2s"),
    ({"epk": {}}, "epk"),
    ({"apu": "AAAA"}, "apu"),
    ({"apv": "AAAA"}, "apv"),
    ({"iv": "AAAA"}, "iv"),
    ({"tag": "AAAA"}, "tag"),
    ({"crit": ["exp"], "exp": 1}, "crit"),
    ({"crit": []}, "crit"),
    ({"b64": True}, "b64"),
    ({"kid": 1}, "kid"),
    ({"kid": None}, "kid"),
    ({"kid": "k" * (KID_BYTES + 1)}, "kid"),
    ({"kid": "é" * (KID_BYTES // 2 + 1)}, "kid"),
    ({"typ": ["JWT"]}, "typ"),
    ({"cty": "JSON"}, "cty"),
    ({"cty": ""}, "cty"),
    ({"cty": "JWT;x"}, "cty"),
    ({"cty": None}, "cty"),
    ({"cty": ["JWT"]}, "cty"),
    ({"cty": "JSON", "tag": "AAAA", "zip": "DEF", "b64": True, "crit": []}, "crit"),
    ({"cty": "JSON", "tag": "AAAA", "zip": "DEF", "b64": True}, "b64"),
    ({"cty": "JSON", "tag": "AAAA", "zip": "DEF"}, "zip"),
    ({"zip": "DEF", "kid": 1}, "kid"),
]


@pytest.mark.parametrize(("changes", "parameter"), REFUSED_HEADERS, ids=lambda value: str(value)[:60])
def test_one_wrong_parameter_is_named_and_no_key_is_asked(changes: dict[str, Any], parameter: str) -> None:
    asked: list[str] = []
    with pytest.raises(HeaderRejected) as refused:
        ask(decrypt(read(with_header(**changes), DecryptionKey(in_kms()))), asked)
    assert (refused.value.parameter, asked) == (parameter, [])


@pytest.mark.parametrize("padded", [True, False])
def test_rsa1_5_is_refused_alike_with_a_right_and_a_wrong_padding(padded: bool) -> None:
    right = private_key().public_key().encrypt(bytes(32), padding.PKCS1v15())
    encrypted_key = right if padded else bytes(256)
    with pytest.raises(HeaderRejected) as refused:
        read(seal(INNER, encrypted_key=encrypted_key, alg="RSA1_5"))
    assert (refused.value.parameter, refused.value.actual) == ("alg", "RSA1_5")


def test_the_algorithms_of_the_setting_are_the_only_ones() -> None:
    for algorithm in ALL_ALGORITHMS:
        for taken in ALL_ALGORITHMS:
            if algorithm == taken:
                assert opened(with_header(alg=algorithm), algorithms=(taken,)) == INNER
            else:
                with pytest.raises(HeaderRejected):
                    read(with_header(alg=algorithm), algorithms=(taken,))


@pytest.mark.parametrize("size", [0, 1, 8, 11, 13, 16, 96])
def test_an_initialization_vector_has_twelve_octets(size: int) -> None:
    with pytest.raises(MalformedToken) as refused:
        read(seal(INNER, nonce=bytes(size)))
    assert refused.value.part == "initialization vector"


@pytest.mark.parametrize("size", [0, 1, 4, 8, 12, 15, 17, 32])
def test_an_authentication_tag_has_sixteen_octets(size: int) -> None:
    with pytest.raises(MalformedToken) as refused:
        read(spoiled(seal(INNER), 4, base64url(bytes(size))))
    assert refused.value.part == "authentication tag"


@pytest.mark.parametrize("dots", [0, 4])
def test_the_json_serialization_is_not_read(dots: int) -> None:
    parts = seal(INNER).split(".")
    recipients = [{"encrypted_key": parts[1]}] * 2
    members = {"protected": parts[0], "recipients": recipients, "iv": parts[2], "ciphertext": parts[3], "tag": parts[4]}
    with pytest.raises(MalformedToken):
        read(json.dumps({**members, "unprotected": {"x": "." * dots}}))


# --- one answer for every failure ----------------------------------------------------------------------------------


def flipped(place: int, at: int = 0) -> str:
    token = seal(INNER)
    octets = bytearray(decode_base64url(token.split(".")[place]))
    octets[at] ^= 1
    return spoiled(token, place, base64url(bytes(octets)))


MODULUS = private_key().private_numbers().public_numbers.n

UNDECRYPTABLE = {
    "the encrypted key's first octet": flipped(1),
    "the encrypted key's last octet": flipped(1, -1),
    "another key's": seal(INNER, key=private_key(2)),
    "an empty encrypted key": seal(INNER, encrypted_key=b""),
    "an encrypted key of one octet": seal(INNER, encrypted_key=b"\1"),
    "an encrypted key too short by one": seal(INNER, encrypted_key=bytes(255)),
    "an encrypted key too long by one": seal(INNER, encrypted_key=bytes(257)),
    "an encrypted key as long as another's": seal(INNER, key=private_key(4_096, 4_096)),
    "an encrypted key of zero": seal(INNER, encrypted_key=bytes(256)),
    "an encrypted key of one": seal(INNER, encrypted_key=(1).to_bytes(256)),
    "an encrypted key as large as the modulus": seal(INNER, encrypted_key=MODULUS.to_bytes(256)),
    "an encrypted key larger than the modulus": seal(INNER, encrypted_key=b"\xff" * 256),
    "a label": seal(INNER, label=b"label"),
    "another hash": spoiled(with_header(alg="RSA-OAEP-512"), 0, segment({"alg": "RSA-OAEP-256", "enc": "A256GCM"})),
    "PKCS#1 v1.5 within OAEP's place": seal(
        INNER, encrypted_key=private_key().public_key().encrypt(bytes(32), padding.PKCS1v15())
    ),
    "an empty content key": seal(INNER, content_key=b""),
    "a content key too short": seal(INNER, content_key=bytes(16)),
    "a content key too long": seal(INNER, content_key=bytes(64)),
    "another initialization vector": flipped(2),
    "another ciphertext": flipped(3),
    "a shorter ciphertext": spoiled(seal(INNER), 3, base64url(b"short")),
    "no ciphertext": spoiled(seal(INNER), 3, ""),
    "another tag": flipped(4),
    "another tag's end": flipped(4, -1),
    "another header": spoiled(seal(INNER), 0, segment({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "jwt"})),
    "the same header, written otherwise": spoiled(
        seal(INNER), 0, segment('{"alg":"RSA-OAEP-256","enc":"A256GCM","cty":"JWT"}')
    ),
}


@pytest.mark.parametrize("token", UNDECRYPTABLE.values(), ids=UNDECRYPTABLE)
def test_every_failure_is_the_same_refusal_after_the_same_operations(token: str) -> None:
    good, inner = operations(seal(INNER), KEY)
    assert inner == INNER
    assert good == {"RSAPrivateKey.decrypt": 1, "NoneType.generate_key": 1, "AESGCM.decrypt": 1}
    assert operations(token, KEY) == (good, repr(UndecryptableToken()))


def test_two_keys_are_two_private_operations_whatever_fails() -> None:
    for token in (seal(INNER, key=private_key(3)), seal(INNER, encrypted_key=b"")):
        done, _ = operations(token, KEY, OTHER)
        assert done == {"RSAPrivateKey.decrypt": 2, "NoneType.generate_key": 2, "AESGCM.decrypt": 2}


class Watched:
    """A private key that remembers what it was to decrypt."""

    def __init__(self, key: Any) -> None:
        self.key = key
        self.seen: list[bytes] = []

    def decrypt(self, encrypted_key: bytes, scheme: Any) -> Any:
        self.seen.append(encrypted_key)
        return self.key.decrypt(encrypted_key, scheme)


@pytest.mark.parametrize("token", UNDECRYPTABLE.values(), ids=UNDECRYPTABLE)
def test_no_private_operation_is_cut_short(token: str) -> None:
    """With another length, or a number from the modulus up, `cryptography` would end it at once."""
    key = DecryptionKey(pem())
    watched = Watched(private_key())
    object.__setattr__(key, "_private", watched)
    with pytest.raises(UndecryptableToken):
        opened(token, key)
    (seen,) = watched.seen
    assert (len(seen), int.from_bytes(seen) < MODULUS) == (256, True)


def test_what_the_stand_in_for_an_unsound_key_decrypts_to_is_not_used() -> None:
    key = DecryptionKey(pem())
    right = private_key().public_key().encrypt(bytes(range(32)), oaep())
    object.__setattr__(key, "_stand_in", right)
    with pytest.raises(UndecryptableToken):
        opened(seal(INNER, encrypted_key=b"", content_key=bytes(range(32))), key)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=600))
def test_no_encrypted_key_brings_anything_else(encrypted_key: bytes) -> None:
    with pytest.raises(UndecryptableToken):
        opened(seal(INNER, encrypted_key=encrypted_key))


GOOD = seal(INNER).split(".")


@settings(max_examples=200, deadline=None)
@given(st.tuples(*(st.one_of(st.text(max_size=40), st.just(part)) for part in GOOD)).map(list))
def test_nothing_but_a_refusal_escapes(segments: list[str]) -> None:
    token = ".".join(segments)
    try:
        assert opened(token) == INNER
    except InvalidToken:
        assert segments != GOOD


# --- what is inside ------------------------------------------------------------------------------------------------


CLAIMS = json.dumps(Issuing().claims(sub="admin"))


@pytest.mark.parametrize("content", [
    b"", b"{}", CLAIMS.replace(".", "").encode(), seal(INNER).encode(), b"a.b", b"a.b.c.d", b"." * 9_000,
    "é.b.c".encode(), b"\xff.\xff.\xff",
])  # fmt: skip
def test_what_is_inside_must_be_a_signed_token(content: bytes) -> None:
    with pytest.raises(MalformedToken) as refused:
        opened(seal(content))
    assert refused.value.part == "content"


def test_an_encrypted_token_inside_is_called_by_its_name() -> None:
    reasons = set()
    for content in (seal(INNER), "no token"):
        with pytest.raises(MalformedToken) as refused:
            opened(seal(content))
        reasons.add(refused.value.reason)
    assert len(reasons) == 2


@pytest.mark.parametrize(("content", "refusal"), [
    ("..", MalformedToken),
    ('{"sub":"a.b.c"}', MalformedToken),
    (f"{segment({'alg': 'none'})}.{segment(CLAIMS)}.", HeaderRejected),
    (f"{segment({'alg': 'RS256', 'cty': 'JWT'})}.{segment(CLAIMS)}.AAAA", HeaderRejected),
    (f"{segment({'alg': 'RS256', 'enc': 'A256GCM'})}.{segment(CLAIMS)}.AAAA", HeaderRejected),
])  # fmt: skip
def test_what_is_inside_is_read_as_any_other_token(content: str, refusal: type[InvalidToken]) -> None:
    with pytest.raises(refusal):
        parse(opened(seal(content)), LIMIT)


def test_claims_that_the_header_replicates_must_be_the_same_inside() -> None:
    claims = Issuing().claims()
    replicated = {name: claims[name] for name in ("iss", "sub", "aud", "exp")}
    encrypted = read(with_header(**replicated))
    assert encrypted.replicated == replicated
    check_replicated(encrypted, claims)


@pytest.mark.parametrize(("header", "claims", "named"), [
    ({"iss": "https://evil.test/"}, {"iss": "https://issuer.test/"}, "iss"),
    ({"sub": "admin"}, {"sub": "user"}, "sub"),
    ({"sub": "admin"}, {}, "sub"),
    ({"sub": None}, {}, "sub"),
    ({"aud": "https://api.test/"}, {"aud": ["https://api.test/"]}, "aud"),
    ({"aud": ["a", "b"]}, {"aud": ["b", "a"]}, "aud"),
    ({"exp": 2}, {"exp": 1}, "exp"),
    ({"org_id": "org_2"}, {"org_id": "org_1"}, "org_id"),
])  # fmt: skip
def test_a_claim_that_the_header_shows_otherwise_is_named(
    header: dict[str, Any], claims: dict[str, Any], named: str
) -> None:
    with pytest.raises(ClaimRejected) as refused:
        check_replicated(read(with_header(**header)), claims)
    assert refused.value.claim == named


@pytest.mark.parametrize("header", [{"kid": "k"}, {"kid": "k", "trace": "1"}])
def test_parameters_that_are_no_claims_are_not_compared(header: dict[str, Any]) -> None:
    check_replicated(read(with_header(**header)), {"kid": "other", "cty": "other", "alg": "none"})


# --- the whole of it -----------------------------------------------------------------------------------------------

API_SETTINGS = ApiSettings(
    identifier=API, issuers=[Issuer(ISSUER, jwks=Issuing().jwks())], decryption_keys=private_jwk(kid="k1")
)


def verified(token: str) -> AccessToken:
    return drive(authenticate_token(token, API_SETTINGS, keys_of(API_SETTINGS)))


def test_an_encrypted_token_is_verified_as_the_signed_one_inside() -> None:
    signed = verified(INNER)
    encrypted = verified(with_header(kid="k1", iss=ISSUER))
    assert encrypted.claims == signed.claims


ATTACKERS = signing_key("RSA", 9)

CAUGHT_INSIDE: dict[str, tuple[str, type[InvalidToken]]] = {
    "signed by a stranger under our kid": (
        compact(Issuing().header(), Issuing().claims(sub="admin"), ATTACKERS), BadSignature
    ),
    "signed by a stranger under another kid": (
        compact(Issuing().header(kid="evil"), Issuing().claims(sub="admin"), ATTACKERS), UnknownKey
    ),
    "not signed": (f"{segment({'alg': 'none', 'typ': 'JWT'})}.{segment(Issuing().claims())}.", HeaderRejected),
    "for another API": (Issuing().token(aud="https://other.test/"), WrongAudience),
    "expired": (Issuing().token(exp=1_700_000_000), TokenExpired),
    "an ID token": (Issuing().token(nonce="n"), WrongTokenKind),
    "an encrypted token": (seal(INNER), MalformedToken),
    "claims": (json.dumps(Issuing().claims()), MalformedToken),
}  # fmt: skip


@pytest.mark.parametrize(("content", "refusal"), CAUGHT_INSIDE.values(), ids=CAUGHT_INSIDE)
def test_to_be_encrypted_for_us_proves_nothing(content: str, refusal: type[InvalidToken]) -> None:
    with pytest.raises(refusal):
        verified(seal(content))


def test_a_claim_in_the_header_is_compared_once_the_signature_holds() -> None:
    with pytest.raises(ClaimRejected) as refused:
        verified(with_header(sub="admin"))
    assert refused.value.claim == "sub"
    with pytest.raises(BadSignature):
        verified(seal(CAUGHT_INSIDE["signed by a stranger under our kid"][0], sub="admin"))


# --- a header that was good before ---------------------------------------------------------------------------------


def encrypting(**changes: Any) -> ApiSettings:
    issuers = [Issuer(ISSUER, jwks=Issuing().jwks())]
    return ApiSettings(**{"identifier": API, "issuers": issuers, "decryption_keys": KEY, **changes})


def outcome(token: str, keys: Keyring) -> str:
    try:
        return drive(authenticate_token(token, keys.settings, keys)).raw
    except InvalidToken as refusal:
        return repr(refusal)


def head_of(token: str) -> str:
    return token.partition(".")[0]


def test_the_header_of_a_good_token_is_kept_and_no_strangers() -> None:
    keys = keys_of(encrypting())
    strangers = [
        seal("x", kid="a"),
        seal(Issuing().token(exp=1), kid="b"),
        seal(Issuing(url="https://other.test/").token(), kid="c"),
        seal(INNER, key=private_key(2), kid="d"),
        seal(INNER, sub="admin"),
        with_header(zip="DEF"),
        with_header(enc="A128GCM"),
    ]
    assert INNER not in [outcome(token, keys) for token in strangers]
    assert len(known_to(keys).sealed) == 0
    good = seal(INNER)
    assert outcome(good, keys) == good
    assert len(known_to(keys).sealed) == 1
    assert known_to(keys).sealed.get(head_of(good)) == ({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT"}, (KEY,))


SPOILED = [
    seal(INNER),
    seal(Issuing().token(sub="another")),
    seal(Issuing().token(exp=1)),
    seal(INNER, key=private_key(2)),
    spoiled(seal(INNER), 1, ""),
    spoiled(seal(INNER), 1, "*"),
    spoiled(seal(INNER), 2, "AAAA"),
    spoiled(seal(INNER), 3, ""),
    spoiled(seal(INNER), 4, "A" * 22),
    f"{seal(INNER)}.x",
    seal("x"),
]


@pytest.mark.parametrize("token", SPOILED, ids=range(len(SPOILED)))
def test_under_a_known_header_the_rest_of_a_token_is_looked_at_as_ever(token: str) -> None:
    knowing = keys_of(encrypting())
    outcome(seal(Issuing().token(sub="before")), knowing)
    assert known_to(knowing).sealed.get(head_of(seal(INNER)))
    assert outcome(token, knowing) == outcome(token, keys_of(encrypting()))


def test_a_claim_in_a_known_header_is_compared_with_every_token() -> None:
    keys, sub = keys_of(encrypting()), Issuing().claims()["sub"]
    good = with_header(sub=sub)
    assert outcome(good, keys) == good
    assert known_to(keys).sealed.get(head_of(good))
    with pytest.raises(ClaimRejected):
        drive(authenticate_token(seal(Issuing().token(sub="another"), sub=sub), keys.settings, keys))


def test_a_header_is_known_to_the_keys_that_it_was_good_with() -> None:
    wide, narrow = (keys_of(encrypting(encryption_algorithms=[f"RSA-OAEP-{size}"])) for size in (256, 512))
    good = seal(INNER)
    assert outcome(good, wide) == good
    assert outcome(good, narrow) != good
    assert len(known_to(narrow).sealed) == 0


def test_a_known_header_is_not_read_again() -> None:
    token, known = seal(INNER), Recent[SealedHead](HEADS)
    known.keep(head_of(token), ({"alg": "RSA-OAEP-512", "enc": "A256GCM"}, (OTHER,)))
    found = read(token, known=known)
    assert (found.algorithm, found.keys) == ("RSA-OAEP-512", (OTHER,))
    keys = keys_of(encrypting())
    known_to(keys).sealed.keep(head_of(token), ({"alg": "RSA-OAEP-256", "enc": "A256GCM"}, (OTHER,)))
    assert outcome(token, keys) != outcome(token, keys_of(encrypting())) == token


def test_no_more_headers_are_kept_than_there_is_room_for() -> None:
    keys = keys_of(encrypting())
    for number in range(HEADS + 1):
        outcome(with_header(kid=f"{number}"), keys)
    sealed = known_to(keys).sealed
    kept = [number for number in range(HEADS + 1) if sealed.get(head_of(with_header(kid=f"{number}")))]
    assert kept == list(range(HEADS // 2, HEADS + 1))


# --- a key that is kept elsewhere ----------------------------------------------------------------------------------


def test_the_time_is_that_at_which_the_token_was_opened() -> None:
    """Whoever keeps the key may take a while."""
    late = Moment(NOW + 10_000, MOMENT.monotonic + 10_000)
    checked = NOW + 10_000
    for key in (KEY, DecryptionKey(in_kms())):
        to = encrypting(decryption_keys=key)
        sealed = seal(Issuing().token(exp=int(NOW) + 86_400))
        assert drive(authenticate_token(sealed, to, keys_of(to), moment=MOMENT), late).checked_at >= checked
        to = encrypting(decryption_keys=key)
        keys = keys_of(to)
        drive(authenticate_token(seal(INNER), to, keys))  # from now on its head is known
        again = drive(authenticate_token(sealed, to, keys, moment=MOMENT), late)
        assert again.checked_at == checked


def test_a_callable_is_asked_with_the_encrypted_key_and_the_algorithm() -> None:
    asked: list[str] = []
    key = DecryptionKey(in_kms(), kid="kms")
    assert ask(decrypt(read(with_header(kid="kms", alg="RSA-OAEP-384"), key)), asked) == INNER
    assert asked == ["RSA-OAEP-384"]


def test_a_callable_and_a_key_at_hand_stand_side_by_side() -> None:
    for keys in ((DecryptionKey(in_kms(2)), KEY), (KEY, DecryptionKey(in_kms(2)))):
        assert opened(seal(INNER), *keys) == INNER
        assert opened(seal(INNER, key=private_key(2)), *keys) == INNER


@pytest.mark.parametrize("keeper", [in_kms(), lambda encrypted_key, algorithm: None], ids=["ValueError", "None"])
def test_a_callable_that_does_not_know_the_key_is_one_more_undecryptable_token(keeper: Any) -> None:
    with pytest.raises(UndecryptableToken):
        opened(seal(INNER, key=private_key(2)), DecryptionKey(keeper))


@pytest.mark.parametrize("size", [0, 1, 255, 1_025])
def test_a_callable_is_not_asked_about_what_no_key_could_have_made(size: int) -> None:
    asked: list[str] = []
    with pytest.raises(UndecryptableToken):
        ask(decrypt(read(seal(INNER, encrypted_key=bytes(size)), DecryptionKey(in_kms()))), asked)
    assert asked == []


@pytest.mark.parametrize("size", [256, 1_024])
def test_a_callable_is_asked_about_what_the_shortest_and_the_longest_key_can_have_made(size: int) -> None:
    asked: list[str] = []
    with pytest.raises(UndecryptableToken):
        ask(decrypt(read(seal(INNER, encrypted_key=bytes(size)), DecryptionKey(lambda *_: None))), asked)
    assert asked == ["RSA-OAEP-256"]


@pytest.mark.parametrize("size", [0, 16, 33])
def test_a_content_key_of_the_wrong_length_is_one_more_undecryptable_token(size: int) -> None:
    with pytest.raises(UndecryptableToken):
        opened(seal(INNER), DecryptionKey(lambda encrypted_key, algorithm: bytes(size)))


def test_a_callable_that_cannot_be_reached_makes_the_request_undecidable() -> None:
    def unreachable(encrypted_key: bytes, algorithm: str) -> bytes:
        raise ConnectionError("secret.internal:8200")

    with pytest.raises(Unavailable) as refused:
        opened(seal(INNER), DecryptionKey(unreachable))
    assert (refused.value.status, "secret.internal" in str(refused.value)) == (503, False)


@pytest.mark.parametrize("answer", ["text", 1, bytearray(32)])
def test_a_callable_that_gives_something_else_makes_the_request_undecidable(answer: Any) -> None:
    with pytest.raises(Unavailable):
        opened(seal(INNER), DecryptionKey(lambda encrypted_key, algorithm: answer))


# --- keys from everywhere ------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[], Any]] = {
    "PKCS#8": lambda: pem(),
    "PKCS#8 in bytes": lambda: pem().encode(),
    "PKCS#1": lambda: pem(form=PrivateFormat.TraditionalOpenSSL),
    "text before and after": lambda: f"Bag Attributes\n{pem()}\n\n",
    "a JWK": lambda: private_jwk(),
    "a JWK with alg alone": lambda: private_jwk(use=ABSENT, alg="RSA-OAEP-256"),
    "a JWK with key_ops": lambda: private_jwk(alg="RSA-OAEP-256", key_ops=["decrypt"]),
    "a JWK in text": lambda: json.dumps(private_jwk()),
    "a JWK in bytes": lambda: b" \n" + json.dumps(private_jwk()).encode(),
    "a JWK without primes": lambda: private_jwk(**dict.fromkeys(("p", "q", "dp", "dq", "qi"), ABSENT)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_key_may_come_in_every_usual_form(form: str) -> None:
    assert opened(seal(INNER), DecryptionKey(FORMS[form]())) == INNER


@pytest.mark.parametrize("form", FORMS)
def test_a_file_may_hold_any_of_them(tmp_path: Path, form: str) -> None:
    value = FORMS[form]()
    text = json.dumps(value) if isinstance(value, dict) else value
    file = tmp_path / "key"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert opened(seal(INNER), DecryptionKey(file)) == INNER


@pytest.mark.parametrize("password", ["correct horse", b"correct horse"])
def test_an_encrypted_pem_opens_with_its_password(password: str | bytes) -> None:
    assert opened(seal(INNER), DecryptionKey(pem(password=b"correct horse"), password=password)) == INNER


def test_there_may_be_any_number_of_keys_that_have_names() -> None:
    named = [DecryptionKey(pem(), kid=f"k{number}") for number in range(9)]
    assert read_decryption_keys([*named, pem(), pem()])[:9] == tuple(named)
    with pytest.raises(SettingsError) as refused:
        read_decryption_keys([pem()] * 3)
    assert refused.value.actual == 3


def test_a_key_of_one_algorithm_is_taken_where_that_is() -> None:
    key = private_jwk(alg="RSA-OAEP-512")
    assert read_decryption_keys(key, ["RSA-OAEP-256", "RSA-OAEP-512"])[0].algorithm == "RSA-OAEP-512"
    with pytest.raises(SettingsError):
        read_decryption_keys(key, ["RSA-OAEP-256"])


def test_a_jwk_brings_its_kid_and_its_algorithm() -> None:
    key = DecryptionKey(private_jwk(kid="k1", alg="RSA-OAEP-256"))
    assert (key.kid, key.algorithm) == ("k1", "RSA-OAEP-256")
    assert DecryptionKey(private_jwk(kid="k1"), kid="k1").kid == "k1"


EC_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_PEM = private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

USELESS: dict[str, tuple[Any, dict[str, Any]]] = {
    "nothing": ("", {}),
    "a path as text": ("/etc/jwe.pem", {}),
    "a number": (1, {}),
    "None": (None, {}),
    "a public key": (PUBLIC_PEM, {}),
    "an EC key": (pem(EC_KEY), {}),
    "an EdDSA key": (pem(ed25519.Ed25519PrivateKey.generate()), {}),
    "a broken PEM": (pem().replace("\nM", "\nA", 1), {}),
    "an empty PEM": ("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", {}),
    "lone surrogates": ("-----BEGIN PRIVATE KEY-----\n\ud800", {}),
    "a PEM that needs a password": (pem(password=b"secret"), {}),
    "a PEM with the wrong password": (pem(password=b"secret"), {"password": "wrong"}),
    "a password too many": (pem(), {"password": "secret"}),
    "a password for a JWK": (private_jwk(), {"password": "secret"}),
    "a password for a callable": (in_kms(), {"password": "secret"}),
    "a short key": (pem(private_key(1_024, 1_024)), {}),
    "a JWK of a short key": (private_jwk(private_key(1_024, 1_024)), {}),
    "a JWK without alg and use": (private_jwk(use=ABSENT), {}),
    "a JWK with key_ops alone": (private_jwk(use=ABSENT, key_ops=["decrypt"]), {}),
    "a JWK to sign with": (private_jwk(use="sig"), {}),
    "a JWK to sign with, and alg": (private_jwk(use="sig", alg="RSA-OAEP-256"), {}),
    "a JWK of a signature algorithm": (private_jwk(alg="RS256"), {}),
    "a JWK for RSA1_5": (private_jwk(alg="RSA1_5"), {}),
    "a JWK with a list as alg": (private_jwk(alg=["RSA-OAEP-256"]), {}),
    "a JWK with other key_ops": (private_jwk(key_ops=["sign"]), {}),
    "a JWK with key_ops as text": (private_jwk(key_ops="decrypt"), {}),
    "a JWK with key_ops of objects": (private_jwk(key_ops=["sign", "verify"]), {}),
    "a public JWK": (private_jwk(**dict.fromkeys(("d", "p", "q", "dp", "dq", "qi"), ABSENT)), {}),
    "a JWK of a secret": ({"kty": "oct", "use": "enc", "k": "AAAA"}, {}),
    "a JWK of an EC key": ({"kty": "EC", "use": "enc", "crv": "P-256", "d": "AQ"}, {}),
    "a JWK without kty": ({"use": "enc"}, {}),
    "a JWK without n": (private_jwk(n=ABSENT), {}),
    "a JWK with padding": (private_jwk(e="AQAB=="), {}),
    "a JWK with a number": (private_jwk(d=5), {}),
    "a JWK with None": (private_jwk(d=None), {}),
    "a JWK with a list": (private_jwk(d=["AQ"]), {}),
    "a JWK with one prime": (private_jwk(q=ABSENT), {}),
    "a JWK with a third prime": (private_jwk(oth=[]), {}),
    "a JWK with a third prime as text": (private_jwk(oth="AQ"), {}),
    "a JWK that contradicts itself": (private_jwk(d=octets_of(65_539)), {}),
    "a JWK of zeros": (private_jwk(**dict.fromkeys(("n", "e", "d", "p", "q", "dp", "dq", "qi"), "AA")), {}),
    "a JWK with d alone, and wrong": (
        private_jwk(d=octets_of(65_539), **dict.fromkeys(("p", "q", "dp", "dq", "qi"), ABSENT)), {}
    ),
    "broken JSON": ("{", {}),
    "JSON with a member twice": ('{"kty":"RSA","kty":"RSA"}', {}),
    "another kid than the JWK's": (private_jwk(kid="k1"), {"kid": "k2"}),
    "a kid that is no text": (pem(), {"kid": 1}),
    "an empty kid": (pem(), {"kid": ""}),
    "a long kid": (pem(), {"kid": "k" * (KID_BYTES + 1)}),
    "a JWK whose kid is no text": (private_jwk(kid=1), {}),
    "a kid of a callable that is no text": (in_kms(), {"kid": 1}),
}  # fmt: skip


@pytest.mark.parametrize(("key", "options"), USELESS.values(), ids=USELESS)
def test_a_key_that_could_never_open_a_token_is_a_fault_of_the_settings(key: Any, options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as refused:
        DecryptionKey(key, **options)
    assert refused.value.setting == "decryption_keys"


@pytest.mark.parametrize(("key", "options"), USELESS.values(), ids=USELESS)
def test_no_message_shows_a_key_or_a_password(key: Any, options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as refused:
        DecryptionKey(key, **options)
    text = str(refused.value)
    private = octets_of(private_key().private_numbers().d)
    assert private[:20] not in text
    assert "MII" not in text
    assert "secret" not in text


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pem", tmp_path):
        with pytest.raises(SettingsError) as refused:
            DecryptionKey(path)
        assert refused.value.actual == str(path)


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "large.pem"
    file.write_text(pem() + "x" * KEY_BYTES)
    with pytest.raises(SettingsError):
        DecryptionKey(file)


def test_a_file_may_have_just_as_many_bytes_as_are_read(tmp_path: Path) -> None:
    file = tmp_path / "padded.pem"
    file.write_text(pem().ljust(KEY_BYTES, "\n"))
    assert DecryptionKey(file) == KEY
    file.write_text(pem().ljust(KEY_BYTES + 1, "\n"))
    with pytest.raises(SettingsError):
        DecryptionKey(file)


def test_a_jwk_in_text_is_no_deeper_and_no_larger_than_a_jwk() -> None:
    def text(depth: int = 1, members: int = 0) -> str:
        strange = "[" * (depth - 1) + "]" * (depth - 1) or "0"
        return json.dumps({**private_jwk(), **{f"x{n}": 0 for n in range(members)}})[:-1] + f', "deep": {strange}}}'

    free = 64 - len(private_jwk()) - 1
    assert [DecryptionKey(jwk) for jwk in (text(depth=4), text(members=free))] == [KEY, KEY]
    for jwk in (text(depth=5), text(members=free + 1)):
        with pytest.raises(SettingsError):
            DecryptionKey(jwk)


def test_a_password_for_a_jwk_in_text_is_refused_too() -> None:
    with pytest.raises(SettingsError):
        DecryptionKey(json.dumps(private_jwk()), password="secret")


def test_a_jwk_with_some_of_its_primes_is_told_which_belong_together() -> None:
    with pytest.raises(SettingsError) as refused:
        DecryptionKey(private_jwk(q=ABSENT))
    assert "p, q, dp, dq, qi" in refused.value.rule


@pytest.mark.parametrize("kid", ["k", "k" * KID_BYTES, "é" * (KID_BYTES // 2)])
def test_a_kid_may_have_one_byte_and_as_many_as_a_token_can_name(kid: str) -> None:
    key = DecryptionKey(pem(), kid=kid)
    assert read(with_header(kid=kid), key).keys == (key,)


def test_a_key_shows_its_thumbprint_and_nothing_that_is_secret() -> None:
    key = DecryptionKey(private_jwk(kid="k1"))
    assert key.thumbprint == thumbprint(private_jwk())
    numbers = private_key().private_numbers()
    for secret in (numbers.d, numbers.p, numbers.q):
        assert str(secret) not in repr(key)
        assert octets_of(secret) not in repr(key)
    assert repr(key) == f"DecryptionKey(kid='k1', algorithm=None, thumbprint={key.thumbprint!r}, ask=None)"


def test_a_key_is_a_value() -> None:
    same = DecryptionKey(private_jwk())
    assert same == KEY
    assert hash(same) == hash(KEY)
    assert len({KEY, same, OTHER, DecryptionKey(pem(), kid="k1")}) == 3
    assert DecryptionKey(ask) == DecryptionKey(ask)
    with pytest.raises(AttributeError):
        KEY.kid = "k2"  # type: ignore[misc]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda key: pickle.loads(pickle.dumps(key))])
def test_a_key_outlives_being_copied_and_pickled(copied: Callable[[Any], Any]) -> None:
    for key in (KEY, DecryptionKey(private_jwk(kid="k1", alg="RSA-OAEP-256")), DecryptionKey(ask, kid="kms")):
        assert copied(key) == key
    assert opened(seal(INNER), copied(KEY)) == INNER


# --- the setting ---------------------------------------------------------------------------------------------------


def test_a_setting_may_name_one_key_or_several_in_any_form(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pem())
    for one in (KEY, pem(), pem().encode(), private_jwk(), file):
        assert read_decryption_keys(one) == (KEY,)
    assert read_decryption_keys([pem(), OTHER]) == (KEY, OTHER)
    assert read_decryption_keys(ask) == (DecryptionKey(ask),)
    assert read_decryption_keys(key for key in (KEY,)) == (KEY,)
    assert read_decryption_keys(()) == ()


NEW, OLD = (DecryptionKey(pem(private_key(n)), kid="k1") for n in (1, 2))


@pytest.mark.parametrize(("given", "algorithms"), [
    (1, ALL_ALGORITHMS),
    (None, ALL_ALGORITHMS),
    ([1], ALL_ALGORITHMS),
    ([NEW, OLD], ALL_ALGORITHMS),
    ([pem(private_key(n)) for n in (1, 2, 3)], ALL_ALGORITHMS),
    ([private_jwk(alg="RSA-OAEP")], ("RSA-OAEP-256",)),
], ids=["number", "None", "numbers", "one kid twice", "three without a kid", "another algorithm"])  # fmt: skip
def test_keys_that_cannot_stand_together_are_a_fault_of_the_settings(given: Any, algorithms: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        read_decryption_keys(given, algorithms)
    assert refused.value.setting == "decryption_keys"
