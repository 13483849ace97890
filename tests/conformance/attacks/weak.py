"""Keys that nobody should have, each with right signatures of its own: the key is the point, and not the signature."""

from __future__ import annotations

import functools
import hashlib
import math
import random
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.making import SigningKey, base64url, changed, octets_of, segment, signing_key

# RFC 8017 section 9.2, note 1: what stands before a SHA-256 digest.
DIGEST_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True, slots=True)
class RawRsa:
    """An RSA key of any numbers: those that no library would make, or sign with."""

    kid: str
    n: int
    e: int
    d: int = field(repr=False)

    def sign(self, algorithm: str, signing_input: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2.1)."""
        size = (self.n.bit_length() + 7) // 8
        digest = DIGEST_INFO + hashlib.sha256(signing_input).digest()
        padded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
        return pow(int.from_bytes(padded), self.d, self.n).to_bytes(size)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        members = {"kty": "RSA", "n": octets_of(self.n), "e": octets_of(self.e), "use": "sig", "kid": self.kid}
        return changed(members, changes)


def signed_by(key: RawRsa | SigningKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A token whose signature this key has made, for the header's own algorithm."""
    text = f"{segment({**header, 'kid': key.kid})}.{segment(claims)}"
    return f"{text}.{base64url(key.sign(header['alg'], text.encode()))}"


# --- RSA ----------------------------------------------------------------------------------------------------


def _is_prime(number: int) -> bool:
    """Miller and Rabin's test with fixed bases: good enough for keys that nobody may use."""
    if any(number % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23)):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def _key(kid: str, e: int, p: int, q: int) -> RawRsa:
    return RawRsa(kid, p * q, e, pow(e, -1, (p - 1) * (q - 1)))


def _primes(number: int = 8) -> tuple[int, int]:
    """Those of a good key of 2,048 bits."""
    private = signing_key("RSA", number).private.private_numbers()
    return private.p, private.q


@functools.cache
def rsa_of(bits: int, e: int = 65_537) -> RawRsa:
    """A key of so many bits. Always the same one."""
    chance = random.Random(bits)

    def prime() -> int:
        while True:
            # The two highest bits: the product must have all of its own.
            number = chance.getrandbits(bits // 2) | 3 << bits // 2 - 2 | 1
            if (number - 1) % e and _is_prime(number):
                return number

    return _key(f"RSA-of-{bits}", e, prime(), prime())


@functools.cache
def exponent_three() -> RawRsa:
    private = rsa.generate_private_key(3, 2_048).private_numbers()
    return RawRsa("RSA-e-3", private.public_numbers.n, 3, private.d)


def exponent_one() -> RawRsa:
    """Whose signatures are what they sign."""
    p, q = _primes()
    return RawRsa("RSA-e-1", p * q, 1, 1)


def exponent(kid: str, least: int) -> RawRsa:
    """The first good one from there on."""
    p, q = _primes()
    e = least
    while math.gcd(e, (p - 1) * (q - 1)) != 1:
        e += 2
    return _key(kid, e, p, q)


def even_exponent() -> RawRsa:
    """It has no right signature: half of all numbers are no square."""
    p, q = _primes()
    return RawRsa("RSA-e-even", p * q, 65_538, 1)


def even_modulus() -> RawRsa:
    p, q = _primes()
    return RawRsa("RSA-n-even", 2 * p * q, 65_537, pow(65_537, -1, (p - 1) * (q - 1)))


def largest() -> RawRsa:
    """16,384 bits. Of eight keys' primes; a signature would take seconds, and would not be looked at."""
    n = 1
    for number in range(8):
        p, q = _primes(8 + number % 2)
        n *= p * q
    return RawRsa("RSA-of-16384", n, 65_537, 1)


@functools.cache
def roca() -> RawRsa:
    """As the generator of CVE-2017-15361 makes them: a prime is k·M + (65537^a mod M), M a product of small primes."""
    chance = random.Random(15_361)
    product = 1
    for prime in [2, 3, 5, 7, *(n for n in range(11, 702, 2) if all(n % d for d in range(3, n, 2)))]:
        product *= prime

    def made() -> int:
        while True:
            k = chance.getrandbits(1_024 - product.bit_length()) | 1 << 1_023 - product.bit_length()
            number = k * product + pow(65_537, chance.getrandbits(254), product)
            if number.bit_length() == 1_024 and number % 65_537 != 1 and _is_prime(number):
                return number

    while True:
        p, q = made(), made()
        if (p * q).bit_length() == 2_048:
            return _key("RSA-roca", 65_537, p, q)


# --- curves -------------------------------------------------------------------------------------------------

# FIPS 186-5's and SEC 2's numbers. The order of the base point, and for P-256 the prime of the field and b.
ORDERS: Final = {
    "P-256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "P-384": int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16),
}
P256: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1


def raw_signature(key: SigningKey, signing_input: bytes, digest: Any = None, size: int = 32) -> bytes:
    """R and S (RFC 7518 section 3.4), with any hash."""
    der = key.private.sign(signing_input, ec.ECDSA(digest or SHA256()))
    return b"".join(number.to_bytes(size) for number in decode_dss_signature(der))


@functools.cache
def koblitz() -> SigningKey:
    """A key on secp256k1 (RFC 8812), which is no curve of these settings."""
    return SigningKey("secp256k1-1", "secp256k1", ec.generate_private_key(ec.SECP256K1()))


def koblitz_jwk(crv: str = "secp256k1") -> dict[str, Any]:
    numbers = koblitz().private.public_key().public_numbers()
    members = {"kty": "EC", "crv": crv, "x": octets_of(numbers.x, 32), "y": octets_of(numbers.y, 32)}
    return {**members, "use": "sig", "kid": koblitz().kid}


# --- Ed25519 ------------------------------------------------------------------------------------------------

ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493  # RFC 8032 section 5.1: L
ED25519_PRIME: Final = 2**255 - 19


def scalar_of(key: SigningKey) -> int:
    """The secret scalar (RFC 8032 section 5.1.5)."""
    digest = bytearray(hashlib.sha512(key.private.private_bytes_raw()).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 63 | 64
    return int.from_bytes(digest, "little")


def signature_around(key: SigningKey, signing_input: bytes, point: bytes) -> bytes:
    """With this R, whose discrete logarithm is 0: S is what the verification equation asks for (section 5.1.7)."""
    public = key.private.public_key().public_bytes_raw()
    k = int.from_bytes(hashlib.sha512(point + public + signing_input).digest(), "little")
    return point + (k * scalar_of(key) % ED25519_ORDER).to_bytes(32, "little")


# Points of small order, as RFC 8032 encodes them, and the encodings that it forbids: y is p or more.
SMALL_ORDER: Final = {
    "order 1": (1).to_bytes(32, "little"),
    "order 2": (ED25519_PRIME - 1).to_bytes(32, "little"),
    "order 4": bytes(32),
    "order 4, the other sign": bytes(31) + b"\x80",
    "order 8": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "order 8, the other sign": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    "order 8, another": bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    "order 8, another, the other sign": bytes.fromhex(
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"
    ),
    "order 1, written in another way": (ED25519_PRIME + 1).to_bytes(32, "little"),
    "order 4, written in another way": ED25519_PRIME.to_bytes(32, "little"),
    "order 1, with a sign": bytes([1]) + bytes(30) + b"\x80",
}


def small_order_jwk(point: bytes) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(point), "use": "sig", "kid": "Ed25519-small"}


def small_order_signature(point: bytes) -> bytes:
    """Right under a key of order 1, whatever was signed: R is the neutral element, S is zero."""
    return SMALL_ORDER["order 1"] + bytes(32)
