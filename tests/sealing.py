"""Encrypted tokens for tests: everything is well made, save what a test itself spoils."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Final, TypeVar, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from jwtgate.core.decryption_keys import DecryptionKey
from jwtgate.core.effects import Decrypt, FetchFailed, Flow
from jwtgate.core.jwe import Encrypted, read_jwe
from tests.making import base64url, changed, octets_of, segment

T = TypeVar("T")

HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "RSA-OAEP": hashes.SHA1(),
    "RSA-OAEP-256": hashes.SHA256(),
    "RSA-OAEP-384": hashes.SHA384(),
    "RSA-OAEP-512": hashes.SHA512(),
}
SIZES: Final = {"A128GCM": 16, "A192GCM": 24, "A256GCM": 32}
ALGORITHMS: Final = ("RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512")
ENCRYPTIONS: Final = ("A256GCM",)
LIMIT: Final = 16_384


def private_key(number: int = 1, bits: int = 2_048) -> rsa.RSAPrivateKey:
    """A key that is made once in a run: the same number and size are the same key."""
    return _made(number, bits)


@functools.cache
def _made(number: int, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, bits)


def pem(key: Any = None, password: bytes | None = None, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    """Of a private key, in PEM."""
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return (key or private_key()).private_bytes(Encoding.PEM, form, encryption).decode("ascii")


def private_jwk(key: rsa.RSAPrivateKey | None = None, **changes: Any) -> dict[str, Any]:
    """Of a private key, its JWK for encryption."""
    numbers = (key or private_key()).private_numbers()
    public = numbers.public_numbers
    members = {"n": public.n, "e": public.e, "d": numbers.d, "p": numbers.p, "q": numbers.q}
    members |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    jwk = {"kty": "RSA", "use": "enc"} | {name: octets_of(value) for name, value in members.items()}
    return changed(jwk, changes)


def oaep(algorithm: str = "RSA-OAEP-256", label: bytes | None = None) -> padding.OAEP:
    digest = HASHES[algorithm]
    return padding.OAEP(padding.MGF1(digest), digest, label)


def seal(
    content: str | bytes,
    *,
    key: rsa.RSAPrivateKey | None = None,
    content_key: bytes | None = None,
    label: bytes | None = None,
    nonce: bytes = b"twelve bytes",
    encrypted_key: bytes | None = None,
    **header: Any,
) -> str:
    """A compact JWE.

    key: its public half encrypts; encrypted_key: in place of the right one; nonce: the initialization vector; header:
    what changes in it.
    """
    members = changed({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT"}, header)
    algorithm, encryption = str(members.get("alg")), str(members.get("enc"))
    if content_key is None:
        content_key = bytes(range(SIZES.get(encryption, 32)))
    if encrypted_key is None:
        scheme = oaep(algorithm if algorithm in HASHES else "RSA-OAEP-256", label)
        encrypted_key = (key or private_key()).public_key().encrypt(content_key, scheme)
    head = segment(members)
    octets = content.encode() if isinstance(content, str) else content
    # A content key or nonce of a size that AES-GCM does not take is told apart before, or by its size alone.
    cipher = AESGCM(content_key if len(content_key) in SIZES.values() else bytes(32))
    sealed = cipher.encrypt(nonce if len(nonce) >= 8 else bytes(12), octets, head.encode())
    parts = (encrypted_key, nonce, sealed[:-16], sealed[-16:])
    return ".".join((head, *map(base64url, parts)))


def read(token: str, *keys: DecryptionKey, **settings: Any) -> Encrypted:
    """`read_jwe` with the settings that an API has unless it changes them."""
    given = {"algorithms": ALGORITHMS, "encryptions": ENCRYPTIONS, "limit": LIMIT} | settings
    return read_jwe(token, keys or (_key(),), **given)


@functools.cache
def _key() -> DecryptionKey:
    return DecryptionKey(pem())


def ask(flow: Flow[T], asked: list[str] | None = None) -> T:
    """What comes out of a flow that asks for nothing but decryptions. asked: grows by the algorithm of each."""
    step: Any = flow.send
    answer: Any = None
    try:
        while True:
            effect = step(answer)
            assert isinstance(effect, Decrypt)
            if asked is not None:
                asked.append(effect.algorithm)
            try:
                step, answer = flow.send, _asked(effect)
            except FetchFailed as failure:
                step, answer = flow.throw, failure
    except StopIteration as end:
        return cast(T, end.value)


def _asked(effect: Decrypt) -> Any:
    try:
        found = effect.decrypt(effect.encrypted_key, effect.algorithm)
    except ValueError:
        return None
    except Exception as error:
        raise FetchFailed(f"the decryption failed: {type(error).__name__}") from error
    assert not inspect.isawaitable(found)
    return found
