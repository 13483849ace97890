"""Signatures and public keys, by way of `cryptography`, whose import takes most of a start: only what needs a key does.

All that verifications share is built here, once: paddings, hashes, curves. `jwk.import_cryptography` does so in time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .compact import encode_base64url

Check = Callable[[bytes, bytes], bool]  # (signing input, signature) -> is it this key's?
Bind = Callable[[Any], Check]  # from a public key to its check

# ------------------------------------------------------------------------------ the algorithms, and what each needs


def _rsa(pad: padding.AsymmetricPadding, digest: hashes.HashAlgorithm) -> Bind:
    def bind(key: rsa.RSAPublicKey) -> Check:
        size = (key.key_size + 7) // 8
        verify = key.verify

        def check(signing_input: bytes, signature: bytes) -> bool:
            # RFC 8017 sections 8.1.2, 8.2.2: as long as the modulus; else one without its leading zeros would pass too.
            if len(signature) != size:
                return False
            try:
                verify(signature, signing_input, pad, digest)
            except InvalidSignature:
                return False
            return True

        return check

    return bind


def _pkcs1(digest: hashes.HashAlgorithm) -> Bind:
    return _rsa(padding.PKCS1v15(), digest)  # RFC 7518 section 3.3


def _pss(digest: hashes.HashAlgorithm) -> Bind:
    # RFC 7518 section 3.5: MGF1 with the same hash, and a salt as long as its output.
    return _rsa(padding.PSS(padding.MGF1(digest), digest.digest_size), digest)


def _ecdsa(digest: hashes.HashAlgorithm) -> Bind:
    scheme = ec.ECDSA(digest)

    def bind(key: ec.EllipticCurvePublicKey) -> Check:
        size = (key.curve.key_size + 7) // 8
        verify = key.verify

        def check(signing_input: bytes, signature: bytes) -> bool:
            # RFC 7518 section 3.4: R and S, each as long as the curve's field, one behind the other; never DER.
            if len(signature) != 2 * size:
                return False
            r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
            try:
                verify(encode_dss_signature(r, s), signing_input, scheme)
            except InvalidSignature:
                return False
            return True

        return check

    return bind


def _ed25519(key: ed25519.Ed25519PublicKey) -> Check:
    verify = key.verify

    def check(signing_input: bytes, signature: bytes) -> bool:
        try:
            verify(signature, signing_input)  # RFC 8037 section 3.1
        except InvalidSignature:
            return False
        return True

    return check


BINDS: Final[dict[str, Bind]] = {
    "RS256": _pkcs1(hashes.SHA256()),
    "RS384": _pkcs1(hashes.SHA384()),
    "RS512": _pkcs1(hashes.SHA512()),
    "PS256": _pss(hashes.SHA256()),
    "PS384": _pss(hashes.SHA384()),
    "PS512": _pss(hashes.SHA512()),
    "ES256": _ecdsa(hashes.SHA256()),
    "ES384": _ecdsa(hashes.SHA384()),
    "ES512": _ecdsa(hashes.SHA512()),
    "EdDSA": _ed25519,  # RFC 8037; its other curve, Ed448, is not taken
    "Ed25519": _ed25519,  # RFC 9864 section 2.2
}


# --------------------------------------------------------------------------------- from the octets of a JWK, and back


def _modulus_and_exponent(exponent: bytes, modulus: bytes) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(int.from_bytes(exponent), int.from_bytes(modulus)).public_key()


def _point(curve: ec.EllipticCurve, x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    # The octet 4 says that both coordinates follow. That the point lies on the curve is checked there.
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + x + y)


# By the kind of key: makes one of its octets, in the order of their names. Each raises ValueError for what is no key.
LOADS: Final[dict[str, Callable[..., Any]]] = {
    "RSA": _modulus_and_exponent,
    "P-256": partial(_point, ec.SECP256R1()),
    "P-384": partial(_point, ec.SECP384R1()),
    "P-521": partial(_point, ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PublicKey.from_public_bytes,
}

# By cryptography's name of a curve, that of JWKs; the last one is there only to be refused by its name.
_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "secp256k1"}


def jwk_of(key: object) -> dict[str, str]:
    """The members of a public key's JWK that make the key. Raises ValueError for one that verifies nothing here."""
    match key:
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            return {"kty": "RSA", "e": _number(numbers.e), "n": _number(numbers.n)}
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
            x, y = point[: len(point) // 2], point[len(point) // 2 :]
            return {"kty": "EC", "crv": _CURVES[key.curve.name], "x": encode_base64url(x), "y": encode_base64url(y)}
        case ed25519.Ed25519PublicKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(key.public_bytes_raw())}
        case _:
            raise ValueError(f"a PEM block holds a key that verifies nothing here: {type(key).__name__}")


def _number(number: int) -> str:
    # RFC 7518 section 2, Base64urlUInt: the minimum number of octets.
    return encode_base64url(number.to_bytes((number.bit_length() + 7) // 8))
