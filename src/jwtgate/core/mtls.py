"""The client's certificate (RFC 8705): its thumbprint, from its bytes or from the header in which a proxy names it."""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from .compact import encode_base64url
from .errors import CertificateRejected

MAX_CERTIFICATE = 16_384  # bytes in DER; real ones have 1,000 to 4,000
MAX_HEADER = 65_536  # characters of a header's value: a chain of certificates, percent-encoded

# Takes a header's value and gives the `x5t#S256` of the client's certificate. Raises ValueError, saying why not.
Reader = Callable[[str], str]


def thumbprint(der: bytes) -> str:
    """The `x5t#S256` of a certificate: the base64url SHA-256 of its DER (RFC 8705 section 3.1).

    Whether it is valid, and for whom, is not looked at: that belongs to those who ended the TLS connection. Raises
    CertificateRejected for what is no certificate from its outside, and for more than 16,384 bytes.
    """
    try:
        return _thumbprint(der)
    except ValueError as fault:
        raise CertificateRejected("a client certificate in DER", f"{len(der)} bytes", str(fault)) from None


def certificate_of_pem(pem: object) -> bytes:
    """The DER of the first certificate in a PEM text (RFC 7468), for border posts.

    What is no such text gives no bytes at all, and `thumbprint` refuses those where a certificate is needed.
    """
    try:
        return _first_certificate(pem)[0] if isinstance(pem, str) and len(pem) <= MAX_HEADER else b""
    except ValueError:
        return b""


def forwarded_thumbprint(header: str, values: Sequence[str]) -> str | None:
    """The `x5t#S256` of the certificate that a proxy names in a header; None where it names none.

    header: its name; one that is not among CERTIFICATE_HEADERS holds PEM, percent-encoded, as nginx writes
    `$ssl_client_escaped_cert`. values: of every such line of the request. An empty value is how proxies say that the
    client sent no certificate. Raises CertificateRejected for two values, and for one that breaks its grammar.
    """
    if not values or list(values) == [""]:
        return None
    try:
        if len(values) > 1:
            raise ValueError("which of them the proxy wrote cannot be told")
        if len(values[0]) > MAX_HEADER:
            raise ValueError(f"at most {MAX_HEADER} characters are taken")
        return CERTIFICATE_HEADERS.get(header.lower(), _escaped_certificate)(values[0])
    except ValueError as fault:
        # The value itself is not shown: it names a person, and is long.
        found = f"{len(values)} values" if len(values) > 1 else f"{len(values[0])} characters"
        raise CertificateRejected(f"one client certificate in {header}", found, str(fault)) from None


# ------------------------------------------------------------------------------------------------- a certificate


def _thumbprint(der: bytes) -> str:
    if len(der) > MAX_CERTIFICATE:
        raise ValueError(f"at most {MAX_CERTIFICATE} bytes are taken")
    if not _looks_whole(der):
        raise ValueError("it is no certificate in DER, or not all of one")
    return encode_base64url(hashlib.sha256(der).digest())


def _looks_whole(der: bytes) -> bool:
    """Whether it is one DER sequence, to its last byte, that begins with another: as every certificate is, and no
    truncated one. Nothing else in it can change what a thumbprint means.
    """
    size = len(der)
    if 131 <= size <= 258:  # a content of 128 to 255 bytes has its length in one byte
        return der.startswith(bytes((0x30, 0x81, size - 3, 0x30)))
    if size < 260:
        return False
    return der.startswith(b"\x30\x82" + (size - 4).to_bytes(2, "big") + b"\x30")


_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?+")


def _decoded(base64: str) -> bytes:
    # RFC 4648 section 4: with its padding; Python's decoder lets more pass, and other things in each version.
    if _BASE64.fullmatch(base64) is None:
        raise ValueError("its base64 is not whole")
    return binascii.a2b_base64(base64)


_PEM: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\r?\n((?:[A-Za-z0-9+/=]++\r?\n)++)-----END CERTIFICATE-----(?:\r?\n|\Z)"
)


def _first_certificate(pem: str) -> tuple[bytes, str]:
    """Its DER, and what stands behind it."""
    block = _PEM.match(pem)
    if block is None:
        raise ValueError("it is no PEM text of a certificate")
    return _decoded(block[1].replace("\n", "").replace("\r", "")), pem[block.end() :]


# -------------------------------------------------------------------------------------------- what proxies write


def _byte_sequence(value: str) -> str:
    # RFC 9440 section 2.2: one byte sequence (RFC 8941 section 3.3.5), and not a list of them.
    if len(value) < 2 or not value.startswith(":") or not value.endswith(":"):
        raise ValueError("a byte sequence stands between two colons")
    return _thumbprint(_decoded(value[1:-1]))


def _escaped_certificate(value: str) -> str:
    # `+` stands for itself: base64 has it, and AWS leaves it as it is.
    der, rest = _first_certificate(unquote(value))
    if rest:
        raise ValueError("something stands behind the certificate")
    return _thumbprint(der)


def _escaped_chain(value: str) -> str:
    der, rest = _first_certificate(unquote(value))
    while rest:
        _, rest = _first_certificate(rest)
    return _thumbprint(der)


# Envoy quotes what it must, but leaves a URI as the certificate has it.
_PAIR: Final = re.compile(r'([A-Za-z]++)=(?:"((?:[^"\\]++|\\.)*+)"|([^",;]*+))(;(?=.)|\Z)')
_HEX_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")


def _xfcc(value: str) -> str:
    """Envoy's X-Forwarded-Client-Cert: pairs of one element, of which `Hash` and `Cert` tell the certificate."""
    told: dict[str, list[str]] = {"hash": [], "cert": []}
    position = 0
    while position < len(value):
        pair = _PAIR.match(value, position)
        if pair is None:
            # Each proxy on the way may append an element of its own (APPEND_FORWARD), of which the first is the
            # client's own word where no proxy takes it away. Envoy at the edge sends one alone (SANITIZE_SET).
            raise ValueError("it must be one element of pairs")
        told.get(pair[1].lower(), []).append(pair[2] or pair[3] or "")
        position = pair.end()
    found = [_of_hash(text) for text in told["hash"]] + [_escaped_certificate(text) for text in told["cert"]]
    # Twice the same member is never Envoy's own doing: a certificate's name may have smuggled it in.
    if not found or len(told["hash"]) > 1 or len(told["cert"]) > 1 or found[0] != found[-1]:
        raise ValueError("it must have one Hash, or one Cert, or both of the same certificate")
    return found[0]


def _of_hash(text: str) -> str:
    if _HEX_SHA256.fullmatch(text) is None:
        raise ValueError("Hash must be a SHA-256 digest in hexadecimal")
    return encode_base64url(bytes.fromhex(text))


# By header, in lower case: how the proxies that send it name the client's certificate.
CERTIFICATE_HEADERS: Final[Mapping[str, Reader]] = {
    "client-cert": _byte_sequence,  # RFC 9440
    "x-forwarded-client-cert": _xfcc,  # Envoy
    "x-amzn-mtls-clientcert-leaf": _escaped_certificate,  # AWS Application Load Balancer, verifying
    "x-amzn-mtls-clientcert": _escaped_chain,  # the same, passing through: the chain, the client's own first
}
