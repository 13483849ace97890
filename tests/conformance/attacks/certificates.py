"""Group M: mutual TLS: tokens that are bound to a certificate, and who says which one the client has."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from tests.conformance.attacks.answers import BINDING, CERTIFICATE, OK, Answer, Wanted, challenge, under_dpop
from tests.conformance.attacks.cases import Attack, Carried, World, carried, everywhere, mistakes, world
from tests.conformance.attacks.forging import good
from tests.conformance.attacks.proving import (
    as_byte_sequence,
    certificate,
    certificate_bound,
    jkt_of,
    proof,
    sent,
    x5t_of,
)
from tests.conformance.attacks.stage import pem_of
from tests.conformance.attacks.state import with_settings
from tests.doors import ISSUING, WSGI_DOORS

MUTUAL_TLS: Final = world("mutual TLS", proof_of_possession="mtls")
REQUIRED: Final = world("mutual TLS, and nothing else", proof_of_possession={"mechanism": "mtls", "required": True})


def _behind(header: str) -> World:
    return world(
        f"behind a proxy that writes {header}",
        proof_of_possession="mtls",
        trusted_proxies=("127.0.0.1/32",),
        certificate_header=header,
    )


CLIENT_CERT, XFCC, NGINX, CHAIN = (
    _behind(name) for name in ("Client-Cert", "X-Forwarded-Client-Cert", "X-SSL-Client-Cert", "X-Amzn-Mtls-Clientcert")
)
STRANGER: Final = "203.0.113.9"


def _with(token: Callable[[], str] = certificate_bound, **changes: Any) -> Carried:
    """A request with a bound token under Bearer, as RFC 8705 section 3 has it."""
    return sent(token=token(), scheme="Bearer", **changes)


def _confirmed(**members: Any) -> Callable[[], Carried]:
    return lambda: _with(lambda: ISSUING.token(cnf=members), certificate=certificate())


def _told(name: bytes, *values: bytes, **changes: Any) -> Callable[[], Carried]:
    """A request in which somebody says which certificate the client has."""
    return lambda: _with(lines=[(name, value) for value in values], **changes)


def _escaped(der: bytes) -> bytes:
    """As nginx writes `$ssl_client_escaped_cert`."""
    return quote(pem_of(der), safe="").encode()


def _hash(der: bytes) -> bytes:
    return hashlib.sha256(der).hexdigest().encode()


DIGEST: Final = x5t_of(certificate())
SHA1: Final = base64.urlsafe_b64encode(hashlib.sha1(certificate()).digest()).decode().rstrip("=")
MALFORMED_BINDINGS: Final[Mapping[str, Any]] = {
    "in hexadecimal": hashlib.sha256(certificate()).hexdigest(),
    "padded": DIGEST + "=",
    "as long as SHA-1": SHA1,
    "a number": 7,
    "empty": "",
}
MORE_MALFORMED_BINDINGS: Final[Mapping[str, Any]] = {
    "null": None,
    "true": True,
    "an array": [DIGEST],
    "an object": {},
    "with colons": ":".join(hashlib.sha256(certificate()).hexdigest()[n : n + 2] for n in range(0, 64, 2)),
    "in base64": base64.b64encode(b"\xff" * 32).decode().rstrip("="),
    "in another spelling": DIGEST[:-1] + "B",
    "a space behind": DIGEST + " ",
    "the certificate itself": base64.b64encode(certificate()).decode(),
}
# A DER sequence of the right length, with nothing in it that a certificate has.
NO_CERTIFICATE: Final[Mapping[str, bytes]] = {
    "garbage": b"\xde\xad\xbe\xef" * 64,
    "nothing": b"",
    "cut off": certificate()[:-9],
    "with more behind": certificate() + b"\0",
    "a sequence of no certificate": b"\x30\x03\x02\x01\x01",
    "an endless length": b"\x30\x80" + certificate()[4:],
    "a length of its own length": b"\x30\x84\xff\xff\xff\xff" + certificate()[4:],
    "a text": b"certificate",
}

OLD: Final = certificate(3, (2020, 2022))
NEW: Final = certificate(4, (2048, 2049))

REQUESTS: Final[list[Attack]] = [
    *carried("M01", CERTIFICATE, {"no certificate": lambda: _with()}, MUTUAL_TLS),
    *carried("M01+", CERTIFICATE, {"another certificate": lambda: _with(certificate=certificate(2))}, MUTUAL_TLS),
    *carried("M01+", OK, {"the certificate": lambda: _with(certificate=certificate())}, MUTUAL_TLS),
    *carried(
        "M01+",
        OK,
        {
            "a token that is bound to nothing": lambda: _with(good),
            "a certificate that no token names": lambda: _with(good, certificate=certificate()),
        },
        MUTUAL_TLS,
    ),
    *carried("M01+", BINDING, {"bound to a key": _confirmed(jkt=jkt_of())}, MUTUAL_TLS),
    *carried("M01+", BINDING, {"bound to a key too": _confirmed(jkt=jkt_of(), **{"x5t#S256": DIGEST})}, MUTUAL_TLS),
    *carried(
        "M01+",
        OK,
        {"under DPoP, as Auth0 has it": lambda: sent(token=certificate_bound(), certificate=certificate())},
        MUTUAL_TLS,
    ),
    *everywhere("M03", BINDING, {"it is not configured": certificate_bound}),
    *carried(
        "M04",
        BINDING,
        {about: _confirmed(**{"x5t#S256": value}) for about, value in MALFORMED_BINDINGS.items()},
        MUTUAL_TLS,
    ),
    *carried(
        "M04+",
        BINDING,
        {about: _confirmed(**{"x5t#S256": value}) for about, value in MORE_MALFORMED_BINDINGS.items()},
        MUTUAL_TLS,
    ),
    # Nobody registered it, and whoever writes it means a certificate: to ignore it would make a bearer's token of it.
    *carried("M04", BINDING, {"the SHA-1 of it, as x5t": _confirmed(x5t=SHA1)}, MUTUAL_TLS),
    *everywhere("M04+", BINDING, {"as x5t, where it is not configured": lambda: ISSUING.token(cnf={"x5t": SHA1})}),
    *carried(
        "M06",
        CERTIFICATE,
        {
            "three others name the certificate": lambda: _with(
                lines=[
                    (b"X-Forwarded-Client-Cert", b"Hash=" + _hash(certificate())),
                    (b"X-SSL-Client-Cert", _escaped(certificate())),
                    (b"X-Forwarded-Tls-Client-Cert", base64.b64encode(certificate())),
                ]
            ),
            "three others name it, and the one that counts another": lambda: _with(
                lines=[
                    (b"Client-Cert", as_byte_sequence(certificate(2))),
                    (b"X-Forwarded-Client-Cert", b"Hash=" + _hash(certificate())),
                    (b"X-SSL-Client-Cert", _escaped(certificate())),
                ]
            ),
        },
        CLIENT_CERT,
    ),
    *carried(
        "M06+",
        OK,
        {
            "the one that counts names it, and others another": lambda: _with(
                lines=[
                    (b"X-Forwarded-Client-Cert", b"Hash=" + _hash(certificate(2))),
                    (b"Client-Cert", as_byte_sequence(certificate())),
                    (b"X-SSL-Client-Cert", b"garbage"),
                ]
            )
        },
        CLIENT_CERT,
    ),
    *carried(
        "M06+",
        CERTIFICATE,
        {
            "by whom nobody trusts": _told(b"Client-Cert", as_byte_sequence(certificate()), peer=STRANGER),
            "the proxy has the certificate, and its client has none": lambda: _with(certificate=certificate()),
            "the proxy has the certificate, and its client another": _told(
                b"Client-Cert", as_byte_sequence(certificate(2)), certificate=certificate()
            ),
            "an empty one": _told(b"Client-Cert", b""),
        },
        CLIENT_CERT,
    ),
    *carried(
        "M06+",
        CERTIFICATE,
        {"with an underscore": _told(b"Client_Cert", as_byte_sequence(certificate()))},
        CLIENT_CERT,
        not_at=dict.fromkeys(WSGI_DOORS, "to WSGI an underscore is a hyphen: servers drop such names, or are told to"),
    ),
    *carried(
        "M06+",
        OK,
        {"who is no proxy has a connection of its own": lambda: _with(certificate=certificate(), peer=STRANGER)},
        CLIENT_CERT,
    ),
    *carried(
        "M07",
        CERTIFICATE,
        {
            "no colons": _told(b"Client-Cert", base64.b64encode(certificate())),
            "two values": _told(b"Client-Cert", *[as_byte_sequence(certificate())] * 2),
        },
        CLIENT_CERT,
    ),
    *carried(
        "M07+",
        CERTIFICATE,
        {
            "a colon too few": _told(b"Client-Cert", as_byte_sequence(certificate())[:-1]),
            "two values in one line": _told(b"Client-Cert", b", ".join([as_byte_sequence(certificate())] * 2)),
            "two different values": _told(
                b"Client-Cert", as_byte_sequence(certificate()), as_byte_sequence(certificate(2))
            ),
            "a parameter": _told(b"Client-Cert", as_byte_sequence(certificate()) + b";x=1"),
            "base64url": _told(b"Client-Cert", b":" + base64.urlsafe_b64encode(b"\xff\xfe" * 300) + b":"),
            "without its padding": _told(b"Client-Cert", as_byte_sequence(certificate() + b"\0").replace(b"=", b"")),
            "white space inside": _told(b"Client-Cert", as_byte_sequence(certificate()).replace(b"M", b"M ", 1)),
            "in quotes": _told(b"Client-Cert", b'"' + base64.b64encode(certificate()) + b'"'),
            "PEM": _told(b"Client-Cert", _escaped(certificate())),
            "nothing between the colons": _told(b"Client-Cert", b"::"),
            "one colon": _told(b"Client-Cert", b":"),
            "its thumbprint": _told(b"Client-Cert", DIGEST.encode()),
            "the null that nginx may write": _told(b"Client-Cert", b"-"),
            "high octets": _told(b"Client-Cert", b":\xff\xfe:"),
        },
        CLIENT_CERT,
    ),
    *carried(
        "M09",
        CERTIFICATE,
        {
            "1 MB": _told(b"Client-Cert", as_byte_sequence(b"\x30" * 10**6)),
            "1,000 certificates": _told(b"Client-Cert", *[as_byte_sequence(certificate())] * 1_000),
        },
        CLIENT_CERT,
    ),
    *carried(
        "M09",
        CERTIFICATE,
        {f"{about}, by a proxy": _told(b"Client-Cert", as_byte_sequence(der)) for about, der in NO_CERTIFICATE.items()},
        CLIENT_CERT,
    ),
    *carried(
        "M09",
        CERTIFICATE,
        {
            f"{about}, on the connection": lambda der=der: _with(certificate=der)
            for about, der in NO_CERTIFICATE.items()
        },
        MUTUAL_TLS,
    ),
    *carried("M09+", CERTIFICATE, {"1 MB, on the connection": lambda: _with(certificate=b"\x30" * 10**6)}, MUTUAL_TLS),
    *carried(
        "M09+",
        CERTIFICATE,
        {
            "a chain of 1,000": _told(b"X-Amzn-Mtls-Clientcert", _escaped(certificate()) * 1_000),
            "a chain that begins with another": _told(
                b"X-Amzn-Mtls-Clientcert", _escaped(certificate(2)) + _escaped(certificate())
            ),
            "a chain with garbage behind": _told(b"X-Amzn-Mtls-Clientcert", _escaped(certificate()) + b"garbage"),
        },
        CHAIN,
    ),
    *carried(
        "M09+",
        OK,
        {"a chain": _told(b"X-Amzn-Mtls-Clientcert", _escaped(certificate()) + _escaped(certificate(2)))},
        CHAIN,
    ),
    *carried("M09+", OK, {"escaped PEM": _told(b"X-SSL-Client-Cert", _escaped(certificate()))}, NGINX),
    *carried(
        "M09+",
        CERTIFICATE,
        {
            "two in one": _told(b"X-SSL-Client-Cert", _escaped(certificate()) * 2),
            "a private key in PEM": _told(b"X-SSL-Client-Cert", quote("-----BEGIN PRIVATE KEY-----\nAAAA\n").encode()),
            "half a percent sign": _told(b"X-SSL-Client-Cert", _escaped(certificate())[:-2]),
            "PEM in one line": _told(b"X-SSL-Client-Cert", _escaped(certificate()).replace(b"%0A", b"")),
            "DER in base64": _told(b"X-SSL-Client-Cert", base64.b64encode(certificate())),
            "an address": _told(b"X-SSL-Client-Cert", b"https://evil.test/cert.pem"),
        },
        NGINX,
    ),
    *carried(
        "M09+", OK, {"a hash": _told(b"X-Forwarded-Client-Cert", b"By=spiffe://x;Hash=" + _hash(certificate()))}, XFCC
    ),
    *carried(
        "M09+",
        CERTIFICATE,
        {
            "what the client wrote, in front of what the proxy wrote": _told(
                b"X-Forwarded-Client-Cert", b"Hash=" + _hash(certificate()), b"Hash=" + _hash(certificate(2))
            ),
            "the same in one line": _told(
                b"X-Forwarded-Client-Cert", b"Hash=" + _hash(certificate()) + b",Hash=" + _hash(certificate(2))
            ),
            "a hash twice": _told(
                b"X-Forwarded-Client-Cert", b"Hash=" + _hash(certificate()) + b";Hash=" + _hash(certificate())
            ),
            "a hash in a subject": _told(
                b"X-Forwarded-Client-Cert",
                b'Subject="CN=x\\";Hash=' + _hash(certificate()) + b'";Hash=' + _hash(certificate(2)),
            ),
            "a hash and another's certificate": _told(
                b"X-Forwarded-Client-Cert",
                b"Hash=" + _hash(certificate()) + b';Cert="' + _escaped(certificate(2)) + b'"',
            ),
            "a hash of SHA-1": _told(
                b"X-Forwarded-Client-Cert", b"Hash=" + hashlib.sha1(certificate()).hexdigest().encode()
            ),
            "no hash": _told(b"X-Forwarded-Client-Cert", b"By=spiffe://x;URI=spiffe://y"),
            "a quote without its end": _told(b"X-Forwarded-Client-Cert", b'Hash="' + _hash(certificate())),
            "64 KB of pairs": _told(b"X-Forwarded-Client-Cert", b"By=x;" * 14_000 + b"Hash=" + _hash(certificate())),
        },
        XFCC,
    ),
    *carried(
        "M10",
        OK,
        {"it expired in 2022": lambda: _with(lambda: certificate_bound(OLD), certificate=OLD)},
        MUTUAL_TLS,
    ),
    *carried(
        "M10+",
        OK,
        {"it begins in 2048": lambda: _with(lambda: certificate_bound(NEW), certificate=NEW)},
        MUTUAL_TLS,
    ),
    *carried(
        "M12",
        CERTIFICATE,
        {
            "no TLS at all": lambda: _with(peer=STRANGER),
            "no TLS, and a header that says which certificate": _told(
                b"Client-Cert", as_byte_sequence(certificate()), peer=STRANGER
            ),
        },
        CLIENT_CERT,
    ),
    *carried(
        "M13",
        BINDING,
        {"a certificate, and a token that is bound to nothing": lambda: _with(good, certificate=certificate())},
        REQUIRED,
    ),
    *carried("M13+", BINDING, {"no certificate either": lambda: _with(good)}, REQUIRED),
    *carried("M13+", CERTIFICATE, {"bound, and no certificate": lambda: _with()}, REQUIRED),
    *carried("M13+", OK, {"as it must be": lambda: _with(certificate=certificate())}, REQUIRED),
    *carried("M13+", BINDING, {"cnf of nothing": _confirmed()}, REQUIRED),
    *carried("M13+", BINDING, {"cnf of what nobody knows": _confirmed(x="y")}, REQUIRED),
]


def _unoffered(wanted: Wanted) -> Wanted:
    """Under DPoP where no proofs are read: the scheme was used, and so it is named."""
    told = under_dpop(wanted, spoken=("DPoP",)).answer
    lines = [(name, value.partition(", algs=")[0]) for name, value in told.lines]
    lines.insert(2, challenge("Bearer"))
    return Wanted(wanted.letter, Answer(told.status, tuple(lines), told.body))


REQUESTS += [
    *carried(
        "M01+",
        _unoffered(CERTIFICATE),
        {"no certificate, under DPoP": lambda: sent(token=certificate_bound())},
        MUTUAL_TLS,
    ),
    *carried(
        "M13+",
        _unoffered(BINDING),
        {"a proof, where certificates are asked for": lambda: sent(proof(good()), token=good())},
        MUTUAL_TLS,
    ),
]

SETTINGS: Final[list[Attack]] = [
    *mistakes(
        "M06+",
        "certificate_header",
        {
            "believed from everybody": with_settings(proof_of_possession="mtls", certificate_header="Client-Cert"),
            "a space in its name": with_settings(trusted_proxies=("10.0.0.0/8",), certificate_header="Client Cert"),
            "an underscore in its name": with_settings(
                trusted_proxies=("10.0.0.0/8",), certificate_header="Client_Cert"
            ),
            "the one that has the token": with_settings(
                trusted_proxies=("10.0.0.0/8",), certificate_header="Authorization"
            ),
            "nothing": with_settings(trusted_proxies=("10.0.0.0/8",), certificate_header=""),
        },
    ),
]

CASES: Final = [*REQUESTS, *SETTINGS]
