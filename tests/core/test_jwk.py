"""A key verifies its own algorithms and nothing else; a set skips what it cannot use, and refuses what is ambiguous."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from types import MappingProxyType
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from jwtgate.core.compact import decode_base64url, parse, verify
from jwtgate.core.errors import AmbiguousKey, BadSignature, HeaderRejected, UnknownKey
from jwtgate.core.jwk import (
    ASYMMETRIC,
    JWKS_KEYS,
    SYMMETRIC,
    KeySet,
    SharedSecret,
    UnusableKey,
    VerificationKey,
    read_jwk,
    read_jwks,
    read_keys,
    read_proof_key,
    thumbprint,
)
from jwtgate.core.signatures import jwk_of
from jwtgate.testing import Holder
from tests.making import (
    ABSENT,
    KIND_OF,
    KINDS,
    SECRET,
    Issuing,
    SigningKey,
    base64url,
    changed,
    octets_of,
    sign,
    signing_key,
)

ISSUING = Issuing()
URL = ISSUING.url
RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
MESSAGE = b"header.payload"
PYJWT = get_default_algorithms()

RSA = signing_key("RSA")
RSA_NUMBERS = RSA.private.public_key().public_numbers()
N = RSA_NUMBERS.n


def bound(algorithm: str) -> VerificationKey:
    return read_jwk(ISSUING.key(algorithm).jwk()).for_algorithm(algorithm)


def holds(key: VerificationKey, signature: bytes, message: bytes = MESSAGE) -> bool:
    try:
        key.check(message, signature)
    except BadSignature:
        return False
    return True


def holds_with_pyjwt(algorithm: str, signature: bytes, message: bytes = MESSAGE) -> bool:
    of = PYJWT["EdDSA" if algorithm == "Ed25519" else algorithm]
    key = SECRET if algorithm == "HS256" else ISSUING.key(algorithm).private.public_key()
    return of.verify(message, key, signature)


def key_of(*jwks: object, algorithms: Any = ("RS256",), **settings: Any) -> KeySet:
    return read_jwks({"keys": list(jwks)}, algorithms, **settings)


# --- algorithms ----------------------------------------------------------------------------------------------------


def test_every_algorithm_is_tested_here() -> None:
    assert set(KIND_OF) == ASYMMETRIC
    assert sorted(SYMMETRIC) == ["HS256"]


def flipped(signature: bytes) -> list[bytes]:
    """The signature with one bit of it changed, in several places."""
    places = {0, 1, len(signature) // 2, len(signature) // 2 - 1, len(signature) - 1}
    return [signature[:p] + bytes([signature[p] ^ 1]) + signature[p + 1 :] for p in sorted(places)]


def spoilt(signature: bytes) -> list[bytes]:
    return [
        *flipped(signature),
        b"",
        b"\x00",
        bytes(len(signature)),
        b"\xff" * len(signature),
        signature[:-1],
        signature[1:],
        signature + b"\x00",
        b"\x00" + signature,
        signature * 2,
        signature[::-1],
    ]


@pytest.mark.parametrize("algorithm", sorted(ASYMMETRIC))
def test_a_good_signature_is_taken_and_a_spoilt_one_is_not_as_pyjwt_does(algorithm: str) -> None:
    key = bound(algorithm)
    signature = ISSUING.key(algorithm).sign(algorithm, MESSAGE)
    cases = [(signature, MESSAGE), *((wrong, MESSAGE) for wrong in spoilt(signature))]
    cases += [(signature, MESSAGE + b"x"), (signature, b""), (signature, MESSAGE[:-1] + b"D")]
    ours = [holds(key, signature, message) for signature, message in cases]
    assert ours == [True] + [False] * (len(cases) - 1)
    # But for one of another length: of RSA's, PyJWT takes one whose leading zeros are gone.
    alike = [(mine, case) for mine, case in zip(ours, cases, strict=True) if len(case[0]) == len(signature)]
    assert [mine for mine, _ in alike] == [holds_with_pyjwt(algorithm, *case) for _, case in alike]


@pytest.mark.parametrize("algorithm", [name for name in sorted(ASYMMETRIC) if KIND_OF[name] == "RSA"])
def test_a_signature_whose_leading_zero_is_gone_is_none(algorithm: str) -> None:
    """RFC 8017 sections 8.1.2 and 8.2.2, step 1: else a token would have a second spelling."""
    messages = (MESSAGE + str(number).encode() for number in itertools.count())
    signed = ((ISSUING.key(algorithm).sign(algorithm, message), message) for message in messages)
    signature, message = next(found for found in signed if found[0][0] == 0)  # one in 256
    assert holds(bound(algorithm), signature, message)
    assert not holds(bound(algorithm), signature[1:], message)


@pytest.mark.parametrize("algorithm", sorted(ASYMMETRIC))
def test_what_our_key_takes_was_signed_by_this_key_and_for_this_algorithm(algorithm: str) -> None:
    key = bound(algorithm)
    for other in sorted(ASYMMETRIC):
        same = algorithm == other or {algorithm, other} == {"EdDSA", "Ed25519"}
        assert holds(key, ISSUING.key(other).sign(other, MESSAGE)) is same
    assert not holds(key, signing_key(KIND_OF[algorithm], 2).sign(algorithm, MESSAGE))


@pytest.mark.parametrize("algorithm", sorted(ASYMMETRIC))
def test_a_whole_token_is_verified(algorithm: str) -> None:
    token = parse(ISSUING.token(algorithm=algorithm), 16_384)
    assert verify(token, bound(algorithm)).claims == ISSUING.claims()
    other = signing_key(KIND_OF[algorithm], 2)
    with pytest.raises(BadSignature) as refused:
        verify(token, read_jwk(other.jwk()).for_algorithm(algorithm))
    assert (refused.value.kid, refused.value.algorithm) == (other.kid, algorithm)


def test_a_signature_does_not_fit_another_payload() -> None:
    """A16."""
    one, other = ISSUING.token(), ISSUING.token(sub="root")
    mixed = f"{other.rpartition('.')[0]}.{one.rpartition('.')[2]}"
    with pytest.raises(BadSignature):
        verify(parse(mixed, 16_384), bound("RS256"))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_ecdsa_in_der_is_refused(algorithm: str) -> None:
    """A10: RFC 7518 section 3.4."""
    private = ISSUING.key(algorithm).private
    digest = {"ES256": hashes.SHA256, "ES384": hashes.SHA384, "ES512": hashes.SHA512}[algorithm]()
    assert not holds(bound(algorithm), private.sign(MESSAGE, ec.ECDSA(digest)))


def test_the_second_form_of_an_ecdsa_signature_is_taken() -> None:
    """A12: (r, n - s) is as good, so that a signature identifies nothing."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = decode_dss_signature(ISSUING.key("ES256").private.sign(MESSAGE, ec.ECDSA(hashes.SHA256())))
    for twin in (s, order - s):
        assert holds(bound("ES256"), r.to_bytes(32) + twin.to_bytes(32))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_each_half_of_an_ecdsa_signature_has_its_length(algorithm: str) -> None:
    signature = ISSUING.key(algorithm).sign(algorithm, MESSAGE)
    half = len(signature) // 2
    r, s = signature[:half], signature[half:]
    for wrong in (r + b"\x00" + s, b"\x00" + r + s, b"\x00" + r + b"\x00" + s):
        assert not holds(bound(algorithm), wrong)
        assert not holds_with_pyjwt(algorithm, wrong)


@pytest.mark.parametrize("r", [0, 1, 2**256 - 1])
@pytest.mark.parametrize("s", [0, 1, 2**256 - 1])
def test_ecdsa_out_of_range_is_refused(r: int, s: int) -> None:
    assert not holds(bound("ES256"), r.to_bytes(32) + s.to_bytes(32))


ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point of edwards25519


def test_ed25519_has_one_s() -> None:
    """A13: RFC 8032 section 5.1.7: s must be below the order of the group."""
    signature = ISSUING.key("EdDSA").sign("EdDSA", MESSAGE)
    s = int.from_bytes(signature[32:], "little")
    for more in range(1, 8):
        higher = (s + more * ORDER).to_bytes(33, "little")[:32]
        assert not holds(bound("EdDSA"), signature[:32] + higher)


@pytest.mark.parametrize("r", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18, 2**255 - 1, 2**256 - 1])
def test_ed25519_with_a_foreign_r_is_refused(r: int) -> None:
    signature = ISSUING.key("EdDSA").sign("EdDSA", MESSAGE)
    assert not holds(bound("EdDSA"), r.to_bytes(32, "little") + signature[32:])


@pytest.mark.parametrize(
    ("salt", "mask", "good"),
    [
        (32, hashes.SHA256(), True),
        (0, hashes.SHA256(), False),
        (20, hashes.SHA256(), False),
        (31, hashes.SHA256(), False),
        (33, hashes.SHA256(), False),
        (64, hashes.SHA256(), False),
        (222, hashes.SHA256(), False),
        (32, hashes.SHA1(), False),
        (32, hashes.SHA384(), False),
    ],
)
def test_ps256_has_one_salt_length_and_one_mask(salt: int, mask: hashes.HashAlgorithm, good: bool) -> None:
    """A15: RFC 7518 section 3.5."""
    signature = RSA.private.sign(MESSAGE, padding.PSS(padding.MGF1(mask), salt), hashes.SHA256())
    assert holds(bound("PS256"), signature) is good


def test_rsa_with_another_hash_is_refused() -> None:
    assert not holds(bound("RS256"), RSA.private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA1()))


def test_an_rsa_signature_plus_its_modulus_is_refused() -> None:
    signature = int.from_bytes(RSA.sign("RS256", MESSAGE)) + N
    assert not holds(bound("RS256"), signature.to_bytes(257))
    if signature < 2**2048:
        assert not holds(bound("RS256"), signature.to_bytes(256))


@pytest.mark.parametrize("octets", [b"", b"x", b"\x00" * 10_000])
def test_the_empty_and_the_long_message_can_be_signed(octets: bytes) -> None:
    for algorithm in sorted(ASYMMETRIC):
        assert holds(bound(algorithm), ISSUING.key(algorithm).sign(algorithm, octets), octets)


# --- one key -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_owns_the_algorithms_of_its_kind(kind: str) -> None:
    key = read_jwk(signing_key(kind).jwk())
    assert key.kid == f"{kind}-1"
    assert key.algorithms == {algorithm for algorithm, of in KIND_OF.items() if of == kind}
    assert {key.for_algorithm(algorithm).algorithm for algorithm in key.algorithms} == key.algorithms


@pytest.mark.parametrize("algorithm", sorted(ASYMMETRIC))
def test_the_alg_of_a_jwk_binds(algorithm: str) -> None:
    key = read_jwk(ISSUING.key(algorithm).jwk(alg=algorithm))
    assert key.algorithms == ({"EdDSA", "Ed25519"} if KIND_OF[algorithm] == "Ed25519" else {algorithm})


@pytest.mark.parametrize("algorithm", sorted(RSA_ALGORITHMS))
def test_where_it_does_not_bind_it_still_names_the_family(algorithm: str) -> None:
    assert read_jwk(RSA.jwk(alg=algorithm), alg_binds=False).algorithms == RSA_ALGORITHMS


@pytest.mark.parametrize("binds", [True, False])
@pytest.mark.parametrize(
    ("kind", "alg"),
    [
        ("RSA", "ES256"), ("RSA", "HS256"), ("RSA", "none"), ("RSA", "RSA-OAEP-256"), ("RSA", "rs256"), ("RSA", ""),
        ("P-256", "ES384"), ("P-384", "ES256"), ("P-521", "ES256"), ("P-256", "RS256"), ("P-256", "ECDH-ES"),
        ("P-256", "ES256K"), ("Ed25519", "ES256"), ("Ed25519", "Ed448"), ("Ed25519", "HS256"),
    ],
)  # fmt: skip
def test_an_alg_that_does_not_fit_makes_the_key_unusable(kind: str, alg: str, binds: bool) -> None:
    """A06, A07."""
    with pytest.raises(UnusableKey):
        read_jwk(signing_key(kind).jwk(alg=alg), alg_binds=binds)


@pytest.mark.parametrize("use", [ABSENT, "sig"])
@pytest.mark.parametrize("operations", [ABSENT, ["verify"], ["sign", "verify"], ("verify",)])
@pytest.mark.parametrize("kid", [ABSENT, "", "k" * 256])
def test_use_key_ops_and_kid_may_be_absent(use: object, operations: object, kid: object) -> None:
    key = read_jwk(RSA.jwk(use=use, key_ops=operations, kid=kid))
    assert key.kid == (None if kid is ABSENT else kid)


UNUSABLE: dict[str, object] = {
    # J21: no JSON object, or not of the right types
    "text": "key",
    "number": 5,
    "null": None,
    "list": [RSA.jwk()],
    "true": True,
    "empty": {},
    "no kty": RSA.jwk(kty=ABSENT),
    "kty null": RSA.jwk(kty=None),
    "kty number": RSA.jwk(kty=1),
    "kty list": RSA.jwk(kty=["RSA"]),
    "kty in lower case": RSA.jwk(kty="rsa"),
    "no n": RSA.jwk(n=ABSENT),
    "no e": RSA.jwk(e=ABSENT),
    "n null": RSA.jwk(n=None),
    "n number": RSA.jwk(n=5),
    "n empty": RSA.jwk(n=""),
    "e empty": RSA.jwk(e=""),
    "e number": RSA.jwk(e=65_537),
    "e list": RSA.jwk(e=["AQAB"]),
    "n padded": RSA.jwk(n=RSA.jwk()["n"] + "=="),
    "n with a line break": RSA.jwk(n=RSA.jwk()["n"] + "\n"),
    "n in the other alphabet": RSA.jwk(n=RSA.jwk()["n"][:-8] + "+/+/+/+/"),
    "n not ASCII": RSA.jwk(n="é" * 342),
    "n with leading zeros": RSA.jwk(n=octets_of(N, 257)),
    "e with leading zeros": RSA.jwk(e="AAEAAQ"),
    "kid number": RSA.jwk(kid=5),
    "kid list": RSA.jwk(kid=["a"]),
    "kid too long": RSA.jwk(kid="k" * 257),
    "kid too long in UTF-8": RSA.jwk(kid="é" * 129),
    "alg number": RSA.jwk(alg=256),
    "alg list": RSA.jwk(alg=["RS256"]),
    # J22
    "unknown kty": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"},
    "kty EC2": RSA.jwk(kty="EC2"),
    "secp256k1": signing_key("P-256").jwk(crv="secp256k1"),
    "no crv": signing_key("P-256").jwk(crv=ABSENT),
    "crv number": signing_key("P-256").jwk(crv=256),
    "crv null": signing_key("Ed25519").jwk(crv=None),
    "X25519": signing_key("Ed25519").jwk(crv="X25519"),
    "Ed448": signing_key("Ed25519").jwk(crv="Ed448"),
    "a true Ed448 key": {
        "kty": "OKP",
        "crv": "Ed448",
        "x": base64url(ed448.Ed448PrivateKey.generate().public_key().public_bytes_raw()),
    },
    "crv of the other kty": signing_key("P-256").jwk(crv="Ed25519"),
    "a curve named as a kind": signing_key("P-256").jwk(crv="RSA", x="AQAB", y="AQAB"),
    "OKP on P-256": signing_key("Ed25519").jwk(crv="P-256"),
    # J24 and private keys
    "oct": {"kty": "oct", "k": base64url(SECRET), "kid": "a", "alg": "HS256"},
    "RSA with k": RSA.jwk(k=base64url(SECRET)),
    "private RSA": RSA.jwk(d="AQAB"),
    "RSA with a factor": RSA.jwk(p="AQAB"),
    "private EC": signing_key("P-256").jwk(d="AQAB"),
    "private, d null": RSA.jwk(d=None),
    "RSA with oth": RSA.jwk(oth=[]),
    # J25
    "RSA of 1,024 bits": RSA.jwk(n=octets_of(2**1024 - 1)),
    "RSA of 512 bits": RSA.jwk(n=octets_of(2**512 - 1)),
    "RSA of 2,047 bits": RSA.jwk(n=octets_of(2**2047 - 1)),
    "RSA of 8,193 bits": RSA.jwk(n=octets_of(2**8193 - 1)),
    "RSA of 400,000 bits": RSA.jwk(n=octets_of(2**400_000 - 1)),
    "even n": RSA.jwk(n=octets_of(N - 1)),
    "e 1": RSA.jwk(e="AQ"),
    "e 2": RSA.jwk(e="Ag"),
    "e 3": RSA.jwk(e="Aw"),
    "even e": RSA.jwk(e=octets_of(65_536)),
    "e above 32 bits": RSA.jwk(e=octets_of(2**32 + 1)),
    "e of 3,071 bits": RSA.jwk(e=octets_of(2**3070 + 1)),
    "e zero": RSA.jwk(e="AA"),
    "n zero": RSA.jwk(n="AA"),
    # J28
    "not on the curve": signing_key("P-256").jwk(y=signing_key("P-256").jwk()["x"]),
    "another y": signing_key("P-256").jwk(y=signing_key("P-256", 2).jwk()["y"]),
    "infinity": signing_key("P-256").jwk(x=octets_of(0, 32), y=octets_of(0, 32)),
    "coordinates beyond the field": signing_key("P-256").jwk(x=octets_of(2**256 - 1), y=octets_of(2**256 - 1)),
    "x too long": signing_key("P-256").jwk(x=base64url(bytes(33))),
    "x too short": signing_key("P-256").jwk(x="AA"),
    "x with a leading zero": signing_key("P-384").jwk(x=base64url(bytes(49))),
    "no y": signing_key("P-256").jwk(y=ABSENT),
    "y null": signing_key("P-521").jwk(y=None),
    "P-384 on P-256": signing_key("P-384").jwk(crv="P-256"),
    "P-256 on P-384": signing_key("P-256").jwk(crv="P-384"),
    "no x": signing_key("Ed25519").jwk(x=ABSENT),
    "Ed25519 of 31 octets": signing_key("Ed25519").jwk(x=base64url(bytes(31))),
    "Ed25519 of 33 octets": signing_key("Ed25519").jwk(x=base64url(bytes(33))),
    "Ed25519 padded": signing_key("Ed25519").jwk(x=signing_key("Ed25519").jwk()["x"] + "="),
    # K09, K10
    "for encryption": RSA.jwk(use="enc"),
    "use in upper case": RSA.jwk(use="SIG"),
    "use null": RSA.jwk(use=None),
    "use list": RSA.jwk(use=["sig"]),
    "only to encrypt": RSA.jwk(key_ops=["encrypt"]),
    "only to sign": RSA.jwk(key_ops=["sign"]),
    "no operations": RSA.jwk(key_ops=[]),
    "operations as text": RSA.jwk(key_ops="verify"),
    "operations null": RSA.jwk(key_ops=None),
    "operations as object": RSA.jwk(key_ops={"verify": True}),
    "nested operations": RSA.jwk(key_ops=[["verify"]]),
}


@pytest.mark.parametrize("jwk", UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_key_is_skipped_and_the_others_are_kept(jwk: object) -> None:
    """RFC 7517 section 5."""
    with pytest.raises(UnusableKey):
        read_jwk(jwk)
    other = signing_key("RSA", 2)
    keys = key_of(jwk, other.jwk(), jwk)
    assert keys.kids == (other.kid,)
    assert [line.partition(":")[0] for line in keys.skipped] == ["keys[0]", "keys[2]"]
    assert keys.find(other.kid, "RS256", URL).kid == other.kid


@pytest.mark.parametrize("value", [ABSENT, "not base64url", ""])
@pytest.mark.parametrize(
    ("kind", "member"), [("RSA", "n"), ("RSA", "e"), ("P-256", "y"), ("P-521", "x"), ("Ed25519", "x")]
)
def test_the_member_that_spoils_a_key_is_named(kind: str, member: str, value: object) -> None:
    with pytest.raises(UnusableKey) as refused:
        read_jwk(signing_key(kind).jwk(**{member: value}))
    assert str(refused.value).split()[0].rstrip(":") == member


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [{"kid": ABSENT, "use": ABSENT}, {"kid": None}, {"alg": "of its kind"}])
def test_a_key_tells_the_members_that_say_it_again_and_no_others(kind: str, more: dict[str, Any]) -> None:
    alg = {"alg": min(name for name, of in KIND_OF.items() if of == kind)} if "alg" in more else {}
    jwk = signing_key(kind).jwk(**more | alg)
    key = read_jwk({**jwk, "x5t": "AAAA", "key_ops": ["verify"]})
    assert key.jwk == {name: value for name, value in jwk.items() if value is not None}
    assert read_jwk(key.jwk).jwk == key.jwk


@pytest.mark.parametrize("bits", [2_048, 3_072, 8_192])
def test_rsa_is_taken_from_2048_to_8192_bits(bits: int) -> None:
    assert read_jwk(RSA.jwk(n=octets_of(2**bits - 1))).algorithms == RSA_ALGORITHMS


@pytest.mark.parametrize("exponent", [5, 17, 65_537, 2**32 - 1])
def test_odd_exponents_below_32_bits_are_taken(exponent: int) -> None:
    assert read_jwk(RSA.jwk(e=octets_of(exponent))).algorithms == RSA_ALGORITHMS


def roca(bits: int) -> int:
    """A modulus as the generator of CVE-2017-15361 makes it: modulo many small primes, a power of 65,537."""
    product = 1
    for prime in (p for p in range(2, 168) if all(p % q for q in range(2, p))):
        product *= prime
    return product * (2 ** (bits - 1) // product + 1) + pow(65_537, 12_345, product)


@pytest.mark.parametrize("bits", [2_048, 3_072, 4_096])
def test_a_modulus_that_can_be_factored_is_refused(bits: int) -> None:
    """J27."""
    modulus = roca(bits)
    assert modulus.bit_length() == bits
    with pytest.raises(UnusableKey):
        read_jwk(RSA.jwk(n=octets_of(modulus)))
    assert read_jwk(RSA.jwk(n=octets_of(modulus + 2))).algorithms == RSA_ALGORITHMS


FIELD = 2**255 - 19


def small_orders() -> list[int]:
    """The y of every point of edwards25519 whose order divides 8: any point, times the order of the group."""
    d = -121_665 * pow(121_666, -1, FIELD) % FIELD

    def add(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
        (x1, y1), (x2, y2) = one, other
        product = d * x1 * x2 * y1 * y2
        x = (x1 * y2 + y1 * x2) * pow(1 + product, -1, FIELD)
        y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, FIELD)
        return x % FIELD, y % FIELD

    def times(number: int, point: tuple[int, int]) -> tuple[int, int]:
        total = 0, 1
        while number:
            total = add(total, point) if number & 1 else total
            point, number = add(point, point), number >> 1
        return total

    def points() -> Any:
        for y in range(2, 100):
            square = (y * y - 1) * pow(d * y * y + 1, -1, FIELD) % FIELD
            root = pow(square, (FIELD + 3) // 8, FIELD)
            for x in (root, root * pow(2, (FIELD - 1) // 4, FIELD) % FIELD):
                if x * x % FIELD == square:
                    yield x, y

    return sorted({times(ORDER, point)[1] for point in points()})


@pytest.mark.parametrize("sign_of_x", [0, 2**255])
def test_a_key_under_which_anybody_can_sign_is_refused(sign_of_x: int) -> None:
    """A13: with a public key of small order, signatures can be made without a private one."""
    found = small_orders()
    assert len(found) == 5
    for y in found:
        with pytest.raises(UnusableKey):
            read_jwk(signing_key("Ed25519").jwk(x=base64url((y + sign_of_x).to_bytes(32, "little"))))


@pytest.mark.parametrize("y", range(FIELD, 2**255))
def test_an_ed25519_key_has_one_spelling(y: int) -> None:
    """RFC 8032 section 5.1.3."""
    with pytest.raises(UnusableKey):
        read_jwk(signing_key("Ed25519").jwk(x=base64url(y.to_bytes(32, "little"))))


def test_certificates_beside_a_key_are_not_looked_at() -> None:
    """J33: nothing is fetched, and the key is its n and e."""
    plain = read_jwk(RSA.jwk())
    key = read_jwk(RSA.jwk(x5c=["AAAA"], x5u="http://169.254.169.254/", x5t="AAAA"))
    assert key.thumbprint == plain.thumbprint
    assert holds(key.for_algorithm("RS256"), RSA.sign("RS256", MESSAGE))


def test_no_repr_and_no_key_shows_its_material() -> None:
    key = read_jwk(RSA.jwk())
    assert RSA.jwk()["n"] not in repr(key)
    assert "check" not in repr(key.for_algorithm("RS256"))


# --- the key of a proof ----------------------------------------------------------------------------------------------

PLAIN = {name: value for name, value in signing_key("P-256").jwk().items() if name in {"kty", "crv", "x", "y"}}
X, Y = PLAIN["x"], PLAIN["y"]
POINT = decode_base64url(X) + decode_base64url(Y)


def told(jwk: object, algorithm: str) -> tuple[object, ...]:
    try:
        key = read_proof_key(jwk, algorithm)
    except UnusableKey as reason:
        return "refused", str(reason)
    return key.kid, key.algorithm, key.thumbprint, holds(key, signing_key("P-256").sign("ES256", MESSAGE))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256", "HS256"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"x": Y, "y": X},
        {"y": X},
        {"x": base64url(bytes(32)), "y": base64url(bytes(32))},
        {"x": base64url(b"\xff" * 32)},
        {"x": X + "="},
        {"x": X[:-1]},
        {"x": X + "A"},
        {"x": X[:-1] + "_"},
        {"x": X[:-1] + " "},
        {"x": "+" + X[1:]},
        {"x": "\n" + X[1:]},
        {"x": "é" + X[1:]},
        {"x": ""},
        {"x": None},
        {"x": 5},
        {"x": X.encode()},
        {"y": [Y]},
        {"x": base64url(bytes(31)), "y": base64url(bytes(33))},
        {"x": base64url(POINT[:31]), "y": base64url(POINT[31:])},  # the same point, cut in another place
        {"x": base64url(POINT[:33]), "y": base64url(POINT[33:])},
        {"x": ABSENT},
        {"x": ABSENT, "d": "AQAB"},
        {"x": ABSENT, "z": X},
        {"kty": "OKP"},
        {"kty": "RSA"},
        {"kty": None},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"crv": None},
        {"kid": "k"},
        {"kid": 5},
        {"use": "enc"},
        {"alg": "ES384"},
        {"alg": "ES256", "use": "sig", "key_ops": ["verify"], "kid": "k"},
        {"key_ops": ["sign"]},
        {"d": "AQAB"},
        {"d": None},
    ],
)
def test_the_short_way_of_a_plain_key_comes_to_the_same_end(changes: dict[str, Any], algorithm: str) -> None:
    jwk = changed(PLAIN, changes)
    # Only a dict may go the short way: what is read-only goes the long one.
    assert told(jwk, algorithm) == told(MappingProxyType(jwk), algorithm)


@pytest.mark.parametrize("number", range(1, 9))
def test_a_plain_key_is_the_key_that_it_says(number: int) -> None:
    own = signing_key("P-256", number)
    jwk = {name: own.jwk()[name] for name in ("y", "kty", "x", "crv")}
    key = read_proof_key(jwk, "ES256")
    assert (key.kid, key.algorithm, key.thumbprint) == (None, "ES256", thumbprint(jwk))
    assert holds(key, own.sign("ES256", MESSAGE))
    assert not holds(key, signing_key("P-256", number + 1).sign("ES256", MESSAGE))


def test_the_key_of_a_proof_keeps_the_name_that_it_brings() -> None:
    assert read_proof_key({**PLAIN, "kid": "own"}, "ES256").kid == "own"
    assert read_proof_key(PLAIN, "ES256").kid is None


def test_the_rsa_key_of_a_proof_has_at_most_4096_bits() -> None:
    longest, longer = (RSA.jwk(n=octets_of(2**bits - 1)) for bits in (4_096, 4_097))
    assert read_proof_key(longest, "RS256").thumbprint == thumbprint(longest)
    assert read_jwk(longer).thumbprint == thumbprint(longer)
    with pytest.raises(UnusableKey):
        read_proof_key(longer, "RS256")


# --- thumbprints ----------------------------------------------------------------------------------------------------

RFC_7638 = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi"
    "FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d"
    "0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-cs"
    "FCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
RFC_8037 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC_9449 = {
    "kty": "EC",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    "crv": "P-256",
}


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        (RFC_7638, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),  # section 3.1
        (RFC_8037, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),  # appendix A.3
        (RFC_9449, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),  # section 6.1
    ],
    ids=["RFC 7638", "RFC 8037", "RFC 9449"],
)
def test_thumbprints_are_as_published(jwk: dict[str, str], expected: str) -> None:
    assert thumbprint(jwk) == expected
    assert read_jwk(jwk).thumbprint == expected


def test_a_thumbprint_is_over_utf_8_and_nothing_is_escaped() -> None:
    """RFC 7638: an escape would change the digest."""
    written = '{"crv":"é","kty":"OKP","x":"ü"}'.encode()
    assert thumbprint(json.loads(written)) == base64url(hashlib.sha256(written).digest())


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_was_loaded_has_the_thumbprint_of_its_members(kind: str) -> None:
    for number in range(1, 5):
        jwk = signing_key(kind, number).jwk()
        assert read_jwk(jwk).thumbprint == thumbprint(jwk)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_written_as_a_jwk_as_pyjwt_writes_it(kind: str) -> None:
    for number in range(1, 5):
        public = signing_key(kind, number).private.public_key()
        written = PYJWT[next(name for name, of in KIND_OF.items() if of == kind and name in PYJWT)].to_jwk(
            public, as_dict=True
        )
        assert jwk_of(public) == {name: value for name, value in written.items() if name != "key_ops"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_thumbprint_is_of_the_key_alone(kind: str) -> None:
    key = signing_key(kind)
    shuffled = dict(reversed(key.jwk(kid="other", use=ABSENT, extra=[1], x5c=["AAAA"]).items()))
    assert thumbprint(shuffled) == thumbprint(key.jwk())
    assert thumbprint(signing_key(kind, 2).jwk()) != thumbprint(key.jwk())


# --- sets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_set_is_read_from_bytes_and_from_a_mapping(as_bytes: bool) -> None:
    document = ISSUING.jwks()
    keys = read_jwks(json.dumps(document).encode() if as_bytes else document, sorted(ASYMMETRIC))
    assert keys.kids == tuple(f"{kind}-1" for kind in KINDS)
    assert keys.skipped == ()
    for algorithm, kind in KIND_OF.items():
        found = keys.find(f"{kind}-1", algorithm, URL)
        assert (found.kid, found.algorithm) == (f"{kind}-1", algorithm)
        assert found.thumbprint == thumbprint(signing_key(kind).jwk())


NO_SET: dict[str, bytes | dict[str, Any]] = {
    "no JSON": b"<html>",
    "empty": b"",
    "not UTF-8": b'{"keys":[],"a":"\xff"}',
    "byte order mark": b'\xef\xbb\xbf{"keys":[]}',
    "a list": b"[]",
    "null": b"null",
    "text": b'"keys"',
    "no keys": b"{}",
    "keys null": b'{"keys":null}',
    "keys an object": b'{"keys":{"a":1}}',
    "keys text": b'{"keys":"abc"}',
    "KEYS": b'{"KEYS":[]}',
    "cut off": json.dumps(ISSUING.jwks()).encode()[:-2],
    "no keys in it": {"keys": []},  # J06
    "one key itself": RSA.jwk(),
    "keys in a mapping of a wrong type": {"keys": RSA.jwk()},
    "two sets": b'{"keys":[],"keys":[%s]}' % json.dumps(RSA.jwk()).encode(),  # J30
    "two n in one key": b'{"keys":[%s]}' % json.dumps(RSA.jwk()).replace('"n":', '"n":"AQAB","n":').encode(),
    "too deep": b'{"keys":[%s]}' % json.dumps(RSA.jwk(extra=[[[[[[[1]]]]]]])).encode(),
    "no usable key": {"keys": [RSA.jwk(use="enc"), {"kty": "oct", "k": "AAAA"}, None]},
    "no key for RS256": {"keys": [signing_key("P-256").jwk(), RSA.jwk(alg="PS256")]},
    "too many keys": {"keys": [RSA.jwk(kid=str(number)) for number in range(JWKS_KEYS + 1)]},
    "too many members": b'{"keys":[%s],"a":[%s]}' % (json.dumps(RSA.jwk()).encode(), b",".join([b"1"] * 4_000)),
}


@pytest.mark.parametrize("document", NO_SET.values(), ids=NO_SET)
def test_what_is_no_set_with_a_usable_key_is_refused(document: bytes | dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_jwks(document, ["RS256"])


def test_a_set_may_hold_a_hundred_keys() -> None:
    keys = key_of(*(RSA.jwk(kid=str(number)) for number in range(JWKS_KEYS)))
    assert len(keys.kids) == JWKS_KEYS


def test_a_set_without_a_key_for_the_algorithms_is_not_usable() -> None:
    assert not KeySet([read_jwk(RSA.jwk())], ["ES256"]).usable
    assert KeySet([read_jwk(RSA.jwk())], ["ES256", "PS256"]).usable


def test_a_token_must_name_a_key_of_a_set_unless_it_is_said_that_they_have_no_names() -> None:
    keys = [read_jwk(RSA.jwk())]
    assert not KeySet(keys, ["RS256"]).has("other")
    assert KeySet(keys, ["RS256"], any_kid=True).has("other")


def test_a_set_tells_the_keys_that_can_be_used_whatever_their_algorithm() -> None:
    keys = key_of(RSA.jwk(x5t="AAAA"), RSA.jwk(use="enc"), signing_key("P-256").jwk())
    assert keys.published == (RSA.jwk(), signing_key("P-256").jwk())


def test_an_unknown_kid_is_told_from_a_known_one() -> None:
    keys = key_of(RSA.jwk(), signing_key("RSA", 2).jwk())
    assert [keys.has(kid) for kid in ("RSA-1", "RSA-2", "RSA-3", None)] == [True, True, False, True]
    with pytest.raises(UnknownKey) as refused:
        keys.find("RSA-3", "RS256", URL)
    assert (refused.value.kid, refused.value.issuer) == ("RSA-3", URL)
    # For whoever reads the log: the keys that there are.
    assert all(kid in str(refused.value) for kid in keys.kids)


@pytest.mark.parametrize(
    ("published", "asked"),
    [("k", "K"), ("k", "k "), ("é", "e\u0301"), ("ſ", "s"), ("k", "\uff4b"), ("k", ""), ("1", "01")],
)
def test_a_kid_is_compared_exactly(published: str, asked: str) -> None:
    """K13: RFC 7515 section 5.3."""
    with pytest.raises(UnknownKey):
        key_of(RSA.jwk(kid=published)).find(asked, "RS256", URL)


@pytest.mark.parametrize(
    ("jwk", "algorithm"),
    [
        (RSA.jwk(alg="RS256"), "PS256"),
        (RSA.jwk(alg="RS256"), "ES256"),
        (RSA.jwk(), "ES256"),
        (signing_key("P-384").jwk(), "ES256"),  # A07
        (signing_key("P-256").jwk(), "ES384"),
        (signing_key("P-256").jwk(), "RS256"),
        (signing_key("Ed25519").jwk(), "ES256"),
    ],
)
def test_a_key_is_not_used_for_an_algorithm_that_it_does_not_own(jwk: dict[str, Any], algorithm: str) -> None:
    """A07: the header alone never chooses."""
    keys = key_of(jwk, RSA.jwk(kid="other"), algorithms=sorted(ASYMMETRIC))
    with pytest.raises(HeaderRejected) as refused:
        keys.find(jwk["kid"], algorithm, URL)
    assert (refused.value.parameter, refused.value.actual) == ("alg", algorithm)
    own = sorted(read_jwk(jwk).algorithms)
    assert re.findall(r"[A-Z]\w*\d\w*|EdDSA", refused.value.expected.partition(",")[0]) == own


def test_a_key_of_no_allowed_algorithm_is_known_but_of_no_use() -> None:
    keys = key_of(RSA.jwk(), signing_key("P-256").jwk())
    with pytest.raises(HeaderRejected) as refused:
        keys.find("P-256-1", "RS256", URL)
    assert refused.value.parameter == "alg"


def test_the_settings_choose_where_a_jwk_does_not_bind() -> None:
    """Auth0 marks its keys RS256 and signs PS256 with them."""
    keys = key_of(RSA.jwk(alg="RS256"), algorithms=["PS256"], alg_binds=False)
    keys.find("RSA-1", "PS256", URL).check(MESSAGE, RSA.sign("PS256", MESSAGE))
    with pytest.raises(ValueError, match="PS256"):
        key_of(RSA.jwk(alg="RS256"), algorithms=["PS256"])


# --- the same kid twice, and none ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RSA.jwk(kid="k"), signing_key("RSA", 2).jwk(kid="k")),
        (RSA.jwk(kid="k", alg="RS256"), signing_key("RSA", 2).jwk(kid="k", alg="PS256")),
        (RSA.jwk(kid="k"), signing_key("P-256").jwk(kid="k")),
        (signing_key("Ed25519").jwk(kid="k"), RSA.jwk(kid="k")),
    ],
)
def test_a_kid_of_two_keys_is_refused_and_stays_known(one: dict[str, Any], other: dict[str, Any]) -> None:
    """K06, J31. Known: or every use of it would cause another fetch."""
    third = signing_key("RSA", 3)
    for order in ([one, other, third.jwk()], [third.jwk(), other, one]):
        keys = key_of(*order, algorithms=sorted(ASYMMETRIC))
        for algorithm in ("RS256", "PS256", "ES256"):
            with pytest.raises(AmbiguousKey) as refused:
                keys.find("k", algorithm, URL)
            assert (refused.value.kid, refused.value.issuer) == ("k", URL)
        assert keys.has("k")
        assert keys.kids == (third.kid,)
        assert keys.find(third.kid, "RS256", URL).kid == third.kid


def test_a_key_that_is_published_twice_is_one_key() -> None:
    keys = key_of(RSA.jwk(), RSA.jwk(x5t="AAAA"))
    assert keys.kids == (RSA.kid,)
    assert keys.find(RSA.kid, "RS256", URL).kid == RSA.kid
    assert keys.find(None, "RS256", URL).kid == RSA.kid


def test_a_key_that_is_published_once_for_each_algorithm_verifies_both() -> None:
    keys = key_of(RSA.jwk(alg="RS256"), RSA.jwk(alg="PS256"), algorithms=["RS256", "PS256"])
    for algorithm in ("RS256", "PS256"):
        assert holds(keys.find(RSA.kid, algorithm, URL), RSA.sign(algorithm, MESSAGE))


@pytest.mark.parametrize(
    "other", [{"use": "enc"}, {"key_ops": ["sign"]}, {"n": "AQAB"}, {"kty": "oct"}, {"alg": "ES256"}]
)
def test_an_unusable_key_of_the_same_kid_does_not_disturb(other: dict[str, Any]) -> None:
    """Decided so: RFC 7517 section 5 ignores it."""
    keys = key_of(signing_key("RSA", 2).jwk(kid=RSA.kid, **other), RSA.jwk())
    assert holds(keys.find(RSA.kid, "RS256", URL), RSA.sign("RS256", MESSAGE))


def test_without_kid_the_one_key_that_fits_is_taken() -> None:
    """K01: it fits by kind and by `alg`."""
    keys = key_of(
        RSA.jwk(alg="RS256"),
        signing_key("RSA", 2).jwk(alg="PS256"),
        signing_key("P-256").jwk(),
        algorithms=["RS256", "PS256"],
    )
    assert keys.find(None, "RS256", URL).kid == "RSA-1"
    assert keys.find(None, "PS256", URL).kid == "RSA-2"


def test_without_kid_a_nameless_key_is_taken() -> None:
    keys = key_of(RSA.jwk(kid=ABSENT))
    assert keys.kids == ()
    assert holds(keys.find(None, "RS256", URL), RSA.sign("RS256", MESSAGE))
    with pytest.raises(UnknownKey):
        keys.find(RSA.kid, "RS256", URL)


def test_without_kid_two_keys_that_fit_are_one_too_many() -> None:
    keys = key_of(RSA.jwk(), signing_key("RSA", 2).jwk(kid=ABSENT))
    with pytest.raises(AmbiguousKey) as refused:
        keys.find(None, "RS256", URL)
    assert (refused.value.kid, refused.value.issuer) == (None, URL)


def test_without_kid_two_keys_of_one_kid_are_one_too_many() -> None:
    with pytest.raises(AmbiguousKey):
        key_of(RSA.jwk(kid="k"), signing_key("RSA", 2).jwk(kid="k")).find(None, "RS256", URL)


def test_without_kid_and_without_a_fitting_key_there_is_none() -> None:
    with pytest.raises(UnknownKey) as refused:
        key_of(RSA.jwk(), algorithms=["RS256", "ES256"]).find(None, "ES256", URL)
    assert (refused.value.kid, refused.value.issuer) == (None, URL)
    assert RSA.kid in str(refused.value)  # for whoever reads the log: the keys that there are


# --- keys that somebody wrote down ------------------------------------------------------------------------------------


def pem(key: SigningKey) -> bytes:
    return key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[no-any-return]


def test_what_somebody_wrote_down_is_a_set_one_key_or_pem() -> None:
    jwk = RSA.jwk()
    as_set, alone = (read_keys(json.dumps(written).encode(), ["RS256"]) for written in ({"keys": [jwk]}, jwk))
    assert as_set.published == alone.published == (jwk,)
    assert [keys.has("other") for keys in (as_set, alone)] == [False, False]
    block = read_keys(b"# the issuer's key\n" + pem(RSA), ["RS256"])
    assert block.published == ({name: jwk[name] for name in ("kty", "n", "e")},)


def test_whatever_a_token_calls_the_key_of_a_pem_it_is_that_one() -> None:
    keys = read_keys(pem(RSA), ["RS256"])
    assert (keys.kids, keys.any_kid, keys.has("any")) == ((), True, True)
    for kid in ("any", None):
        assert holds(keys.find(kid, "RS256", URL), RSA.sign("RS256", MESSAGE))
    assert not read_keys(json.dumps(RSA.jwk(kid=ABSENT)).encode(), ["RS256"]).any_kid


def test_the_alg_of_a_key_that_was_written_down_binds_unless_the_settings_say_otherwise() -> None:
    jwk = RSA.jwk(alg="RS256")
    for written in (json.dumps(jwk).encode(), json.dumps({"keys": [jwk]}).encode()):
        with pytest.raises(ValueError, match="PS256"):
            read_keys(written, ["PS256"])
        with pytest.raises(ValueError, match="PS256"):
            read_keys(written, ["PS256"], alg_binds=True)
        assert read_keys(written, ["PS256"], alg_binds=False).usable


# --- a shared secret -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kid", [None, "any", ""])
def test_a_shared_secret_verifies_hs256_as_pyjwt_does(kid: str | None) -> None:
    key = SharedSecret(SECRET).find(kid, "HS256", URL)
    signature = sign("HS256", SECRET, MESSAGE)
    cases = [signature, *spoilt(signature)]
    ours = [holds(key, case) for case in cases]
    assert ours == [True] + [False] * (len(cases) - 1)
    assert ours == [holds_with_pyjwt("HS256", case) for case in cases]
    assert (key.algorithm, key.kid, key.thumbprint) == ("HS256", None, None)


@pytest.mark.parametrize("other", [b"", b"secret", bytes(32), SECRET + b"a", SECRET[:-1], SECRET.upper()])
def test_another_secret_does_not_verify(other: bytes) -> None:
    """A03."""
    assert not holds(SharedSecret(SECRET).find(None, "HS256", URL), sign("HS256", other, MESSAGE))


def test_a_shared_secret_shows_itself_nowhere() -> None:
    shared = SharedSecret(SECRET)
    for text in (repr(shared), repr(shared.find(None, "HS256", URL)), repr(vars(shared))):
        assert SECRET.decode() not in text


def test_a_public_key_is_no_secret_and_a_secret_no_public_key() -> None:
    """A01, A09: the two are of different types; no algorithm of one is an algorithm of the other."""
    assert not ASYMMETRIC & SYMMETRIC
    with pytest.raises(ValueError, match="HS256"):
        key_of(RSA.jwk(), {"kty": "oct", "k": base64url(SECRET), "alg": "HS256"}, algorithms=["HS256"])


# --- certificates beside a key ---------------------------------------------------------------------------------------


def test_a_certificate_of_another_key_spoils_the_key_that_it_stands_beside() -> None:
    """RFC 7517 section 4.7. What cannot be read, and what stands further along the chain, says nothing of the key."""
    own, other = (Holder("RS256") for _ in range(2))
    certificate, foreign = (base64.b64encode(holder.certificate).decode() for holder in (own, other))
    for chain in (
        [certificate],
        [certificate, foreign],
        ["AAAA"],
        ["no base64"],
        [7],
        [],
        "text",
        None,
        [foreign[:40]],
    ):
        assert read_keys(json.dumps({"keys": [{**own.jwk, "x5c": chain}]}).encode(), ["RS256"]).usable
    both = [{**own.jwk, "kid": "spoilt", "x5c": [foreign]}, {**other.jwk, "kid": "good", "x5c": [foreign]}]
    found = read_keys(json.dumps({"keys": both}).encode(), ["RS256"])
    assert (found.kids, len(found.skipped)) == (("good",), 1)
