"""However a proxy names the client's certificate, it has one thumbprint; what names none, or two, is refused."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtgate.core.errors import AuthError, CertificateRejected
from jwtgate.core.mtls import (
    CERTIFICATE_HEADERS,
    MAX_CERTIFICATE,
    MAX_HEADER,
    certificate_of_pem,
    forwarded_thumbprint,
    thumbprint,
)
from tests.making import base64url


def sequence(content: bytes) -> bytes:
    """A DER SEQUENCE: what is told of a certificate here is no more than its outside."""
    size = len(content)
    if size < 128:
        return bytes((0x30, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((0x30, 0x80 | len(octets))) + octets + content


def certificate(size: int = 600, mark: bytes = b"a") -> bytes:
    """As many bytes as `size` and a few of outside."""
    return sequence(sequence(mark * size))


ALICE, BOB = certificate(mark=b"a"), certificate(mark=b"b")
SHORT = certificate(140)


def print_of(der: bytes) -> str:
    return base64url(hashlib.sha256(der).digest())


def digest(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def pem(der: bytes) -> str:
    return ssl.DER_cert_to_PEM_cert(der)


def byte_sequence(der: bytes) -> str:
    return f":{base64.b64encode(der).decode()}:"


def nginx(der: bytes) -> str:
    return quote(pem(der), safe="")


def aws(*ders: bytes) -> str:
    return quote("".join(map(pem, ders)), safe="+=/")


def envoy(der: bytes, *, hash_: bool = True, cert: bool = True) -> str:
    """As Envoy writes an element, with all that it can say."""
    return ";".join([
        "By=spiffe://api.test/ns/default/sa/api",
        *([f"Hash={digest(der)}"] if hash_ else []),
        *([f'Cert="{nginx(der)}"'] if cert else []),
        *([f'Chain="{quote(pem(der) + pem(BOB), safe="")}"'] if cert else []),
        r'Subject="CN=Alice \"A\" Test,O=a;b=c\\"',
        "URI=https://clients.test/alice?of=api",
        "DNS=alice.test",
        "DNS=www.alice.test",
    ])  # fmt: skip


FORMS: dict[str, Callable[[bytes], str]] = {
    "Client-Cert": byte_sequence,
    "X-Forwarded-Client-Cert": envoy,
    "X-Amzn-Mtls-Clientcert-Leaf": aws,
    "X-Amzn-Mtls-Clientcert": lambda der: aws(der, BOB, SHORT),
    "X-SSL-Client-Cert": nginx,
}


def refused(header: str, *values: str) -> CertificateRejected:
    with pytest.raises(CertificateRejected) as refusal:
        forwarded_thumbprint(header, values)
    assert len(str(refusal.value)) < 500
    return refusal.value


def outcome(ask: Callable[[], str | None]) -> str | type[AuthError] | None:
    try:
        return ask()
    except AuthError as refusal:
        return type(refusal)


# --- a certificate's own bytes


@pytest.mark.parametrize("size", [128, 131, 252, 253, 256, 257, 600, 4_000, MAX_CERTIFICATE - 8])
def test_the_thumbprint_is_the_base64url_sha_256_of_the_der(size: int) -> None:
    der = certificate(size)
    assert thumbprint(der) == print_of(der)
    assert len(thumbprint(der)) == 43


@pytest.mark.parametrize("size", [131, 132, 257, 258, 260, 261])
def test_a_certificate_may_have_any_size_that_a_sequence_has(size: int) -> None:
    der = sequence(b"\x30" * (size - (3 if size < 260 else 4)))
    assert len(der) == size
    assert thumbprint(der) == print_of(der)


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        b"\x30\x00",
        bytes(300),
        ALICE[:-1],  # cut
        ALICE + b"\0",
        ALICE + BOB,
        b"\x31" + ALICE[1:],
        b"\x30\x80" + ALICE + b"\0\0",  # BER, of no stated length
        b"\x30\x83\x00" + ALICE[2:],  # BER, with more bytes of length than needed
        b"\x30\x82\x00\x90" + bytes((0x30,)) * 0x90,
        b"\x30\x81\x7f" + bytes((0x30,)) * 0x7F,
        b"\x30\x81\xff" + bytes((0x30,)) * 0x100,  # 259 bytes: neither form
        sequence(b"\x02\x01\x01" + bytes(400)),  # no certificate begins with a number
        sequence(b"\x02\x01\x01" + bytes(150)),
        sequence(b"\x30" * 100),
        pem(ALICE).encode(),
        certificate(MAX_CERTIFICATE - 7),
        certificate(1_000_000),  # M09
    ],
    ids=range(19),
)
def test_garbage_has_no_thumbprint(der: bytes) -> None:
    with pytest.raises(CertificateRejected):
        thumbprint(der)


@given(st.binary(max_size=400))
def test_bytes_have_a_thumbprint_or_are_refused(der: bytes) -> None:
    assert outcome(lambda: thumbprint(der)) in (print_of(der), CertificateRejected)


# --- PEM, as servers hand it over


@pytest.mark.parametrize(
    "text", [pem(ALICE), pem(ALICE).replace("\n", "\r\n"), pem(ALICE).rstrip(), pem(ALICE) + pem(BOB)]
)
def test_the_first_certificate_of_a_pem_text_is_read(text: str) -> None:
    assert certificate_of_pem(text) == ALICE


NO_PEM: list[Any] = [
    "",
    "text",
    pem(ALICE).replace("CERTIFICATE", "PUBLIC KEY"),
    pem(ALICE).replace("END CERTIFICATE", "END PUBLIC KEY"),
    pem(ALICE).replace("\n", ""),
    pem(ALICE).replace("\n", " "),
    pem(ALICE).replace("MII", "M!I").replace("MI", "M!"),
    pem(ALICE).replace("=", ""),
    f"x{pem(ALICE)}",
    pem(ALICE)[:-30],
    pem(bytes(MAX_HEADER)),
]


@pytest.mark.parametrize("text", [*NO_PEM, None, 1, b"bytes", [pem(ALICE)]], ids=range(15))
def test_what_is_no_pem_text_gives_bytes_that_are_refused(text: object) -> None:
    der = certificate_of_pem(text)
    assert der == b""
    with pytest.raises(CertificateRejected):
        thumbprint(der)


# --- every form of a header


@pytest.mark.parametrize("header", FORMS)
@pytest.mark.parametrize("der", [ALICE, SHORT, certificate(4_000)], ids=["usual", "short", "long"])
def test_every_form_names_the_same_certificate(header: str, der: bytes) -> None:
    assert forwarded_thumbprint(header, [FORMS[header](der)]) == print_of(der)


@pytest.mark.parametrize("header", FORMS)
def test_the_name_of_the_header_has_no_case(header: str) -> None:
    assert forwarded_thumbprint(header.upper(), [FORMS[header](ALICE)]) == print_of(ALICE)


@pytest.mark.parametrize("header", FORMS)
@pytest.mark.parametrize("values", [[], [""]], ids=["no line", "an empty line"])
def test_a_proxy_may_say_that_there_is_none(header: str, values: list[str]) -> None:
    assert forwarded_thumbprint(header, values) is None


@pytest.mark.parametrize("header", FORMS)
def test_two_values_are_refused_though_they_are_the_same(header: str) -> None:
    value = FORMS[header](ALICE)
    assert refused(header, value, value).actual == "2 values"
    refused(header, value, "")
    refused(header, f"{value},{value}")  # as WSGI servers join them
    refused(header, f"{value}, {value}")
    refused(header, f",{value}")
    refused(header, f"{value},")


@pytest.mark.parametrize("header", FORMS)
@pytest.mark.parametrize(
    "value",
    [
        "x",
        ":",
        "::",
        "é",
        "\udcff",
        "%",
        "%zz",
        "\x00",
        "-----BEGIN CERTIFICATE-----",
        "(null)",  # Apache, where there is none
        digest(ALICE),
        base64.b64encode(ALICE).decode(),
        ";" * 100,
        '"' * 101,
        "\\" * 101,
        "Hash=",
        "Cert=",
        "Hash",
        "=",
        "A" * MAX_HEADER,
        "A=" * 20_000,
        ":" * 1_000_000,
        "%2" * 500_000,
    ],
    ids=range(23),
)
def test_no_form_takes_garbage(header: str, value: str) -> None:
    assert refused(header, value).actual == f"{len(value)} characters"


@pytest.mark.parametrize("header", FORMS)
def test_no_form_takes_a_certificate_that_is_garbage_or_too_large(header: str) -> None:
    for der in (b"", ALICE[:-1], certificate(MAX_CERTIFICATE)):
        refused(header, FORMS[header](der))


@pytest.mark.parametrize("header", FORMS)
@settings(max_examples=50)
@given(value=st.text(max_size=200) | st.text('ABHash=Cert";,\\:%0-\n', max_size=60))
def test_any_text_is_a_certificate_or_is_refused(header: str, value: str) -> None:
    found = outcome(lambda: forwarded_thumbprint(header, [value]))
    assert found in (None, CertificateRejected) or len(str(found)) == 43


@pytest.mark.parametrize("header", FORMS)
def test_a_refusal_does_not_tell_whose_certificate_it_was(header: str) -> None:
    value = FORMS[header](ALICE)
    assert value[20:60] not in str(refused(header, f"{value}, {value}"))


# --- RFC 9440


@pytest.mark.parametrize(
    "value",
    [
        byte_sequence(ALICE).strip(":"),
        byte_sequence(ALICE)[1:],
        f"x{byte_sequence(ALICE)[1:]}",
        f"{byte_sequence(ALICE)[:-1]}x",
        byte_sequence(ALICE)[:-1],
        byte_sequence(ALICE).replace("=", ""),  # padding is required of those who write it: RFC 8941 section 4.1.8
        byte_sequence(ALICE).replace("=", "=="),
        byte_sequence(ALICE).replace("YWFh", "YWFh\n", 1),
        byte_sequence(ALICE).replace("YWFh", "YW h", 1),
        byte_sequence(ALICE).replace("YWFh", "YW-h", 1),
        f" {byte_sequence(ALICE)}",
        f"{byte_sequence(ALICE)};by=proxy",
        f"({byte_sequence(ALICE)})",
        f'"{byte_sequence(ALICE)}"',
        nginx(ALICE),
        ":" + base64.b64encode(pem(ALICE).encode()).decode() + ":",
    ],
    ids=range(16),
)
def test_client_cert_is_one_byte_sequence(value: str) -> None:
    assert "=" in byte_sequence(ALICE)
    refused("Client-Cert", value)


# --- percent-encoded PEM


@pytest.mark.parametrize("header", ["X-Amzn-Mtls-Clientcert-Leaf", "X-SSL-Client-Cert"])
def test_a_header_for_one_certificate_holds_one(header: str) -> None:
    refused(header, aws(ALICE, BOB))
    refused(header, aws(ALICE) + "x")
    refused(header, "x" + aws(ALICE))


def test_of_a_chain_the_first_counts_and_the_others_must_be_certificates() -> None:
    header = "X-Amzn-Mtls-Clientcert"
    assert forwarded_thumbprint(header, [aws(ALICE)]) == print_of(ALICE)
    assert forwarded_thumbprint(header, [aws(BOB, ALICE)]) == print_of(BOB)
    refused(header, aws(ALICE) + "x")
    refused(header, aws(ALICE) + aws(BOB)[:-40])


def test_a_thousand_certificates_are_too_many() -> None:
    refused("X-Amzn-Mtls-Clientcert", aws(*[SHORT] * 1_000))
    refused("X-Forwarded-Client-Cert", ",".join([envoy(SHORT)] * 1_000))


def test_a_text_is_taken_up_to_its_limit() -> None:
    text = pem(ALICE)
    longest = text + "x" * (MAX_HEADER - len(text))
    assert certificate_of_pem(longest) == ALICE
    assert certificate_of_pem(longest + "x") == b""
    pairs = f"Hash={digest(ALICE)};Subject="
    longest = pairs + "x" * (MAX_HEADER - len(pairs))
    assert forwarded_thumbprint("X-Forwarded-Client-Cert", [longest]) == print_of(ALICE)
    refused("X-Forwarded-Client-Cert", longest + "x")


@pytest.mark.parametrize("spelling", [str.upper, str.lower])
def test_percent_encoding_has_no_case(spelling: Callable[[str], str]) -> None:
    value = nginx(ALICE).replace("%0A", spelling("%0A")).replace("%2F", spelling("%2F"))
    assert forwarded_thumbprint("X-SSL-Client-Cert", [value]) == print_of(ALICE)


def test_a_plus_sign_is_no_space() -> None:
    der = sequence(sequence(b"\0" + b"\xfb\xef\xbe" * 200))
    assert "+" * 64 in aws(der)
    for header in ("X-Amzn-Mtls-Clientcert-Leaf", "X-SSL-Client-Cert", "X-Amzn-Mtls-Clientcert"):
        assert forwarded_thumbprint(header, [aws(der)]) == print_of(der)


def test_pem_as_it_is_is_not_what_fits_in_a_header() -> None:
    refused("X-SSL-Client-Cert", pem(ALICE).replace("\n", " "))
    refused("X-SSL-Client-Cert", pem(ALICE).replace("\n", "\t"))


# --- Envoy


@pytest.mark.parametrize(
    "value",
    [
        f"Hash={digest(ALICE)}",
        f"hash={digest(ALICE).upper()}",
        f'HASH="{digest(ALICE)}"',
        f"Cert={nginx(ALICE)}",
        f'Cert="{nginx(ALICE)}"',
        f'Hash={digest(ALICE)};Cert="{nginx(ALICE)}"',
        f'Cert="{nginx(ALICE)}";Hash={digest(ALICE)}',
        envoy(ALICE, hash_=False),
        envoy(ALICE, cert=False),
        f'By=;Hash={digest(ALICE)};Subject="";URI=',
        f'Hash={digest(ALICE)};Subject="a,Hash={digest(BOB)};Cert=b"',
        f'Subject="\\";Hash={digest(BOB)};\\"";Hash={digest(ALICE)}',
    ],
    ids=range(12),
)
def test_an_element_of_envoy_names_the_certificate_by_hash_or_whole(value: str) -> None:
    assert forwarded_thumbprint("X-Forwarded-Client-Cert", [value]) == print_of(ALICE)


@pytest.mark.parametrize(
    "value",
    [
        f'Hash={digest(ALICE)};Cert="{nginx(BOB)}"',  # they disagree
        f'Hash={digest(BOB)};Cert="{nginx(ALICE)}"',
        f"Hash={digest(ALICE)};Hash={digest(ALICE)}",
        f"Hash={digest(ALICE)};URI=x;Hash={digest(BOB)}",  # smuggled in by the URI of a certificate
        f'Hash={digest(ALICE)};Cert="{nginx(ALICE)}";Cert="{nginx(ALICE)}"',
        f"Hash={digest(ALICE)},Hash={digest(BOB)}",  # APPEND_FORWARD: each proxy its own
        f"{envoy(ALICE)},{envoy(BOB)}",
        f"{envoy(ALICE)}, {envoy(ALICE)}",
        "By=spiffe://api.test;URI=spiffe://client.test",
        f"Hash={digest(ALICE)[:-1]}",
        f"Hash={digest(ALICE)}0",
        f"Hash={digest(ALICE)[:-1]}g",
        f"Hash={'٠' * 64}",
        f"Hash={print_of(ALICE)}",
        f"Hash={digest(ALICE)};",
        f";Hash={digest(ALICE)}",
        f"Hash={digest(ALICE)};;URI=x",
        f" Hash={digest(ALICE)}",
        f"Hash ={digest(ALICE)}",
        f'Hash={digest(ALICE)};Subject="a',
        f'Hash={digest(ALICE)};Subject="a"b',
        f'Hash={digest(ALICE)};Subject=a"b"',
        f'Hash={digest(ALICE)};Subject="a\\"',
        f'Hash="{digest(ALICE)}\\"',
        f"Hash={digest(ALICE)};Cert={aws(ALICE, BOB)}",
        f'Chain="{nginx(ALICE)}"',
    ],
    ids=range(26),
)
def test_envoys_word_is_one_element_that_agrees_with_itself(value: str) -> None:
    refused("X-Forwarded-Client-Cert", value)


def test_every_form_that_is_known_is_tried_here() -> None:
    assert {*CERTIFICATE_HEADERS, "x-ssl-client-cert"} == {header.lower() for header in FORMS}
