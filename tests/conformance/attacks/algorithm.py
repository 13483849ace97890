"""Group A: which algorithm a key may verify, and what is a signature at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jwtgate import ApiSettings, Issuer
from tests.conformance.attacks import weak
from tests.conformance.attacks.answers import HEADER, MALFORMED, OK, SIGNATURE, UNKNOWN_KEY
from tests.conformance.attacks.cases import Attack, Forge, forged, mistakes, world_of
from tests.conformance.attacks.forging import by_another, good, parts, resigned
from tests.doors import ALGORITHMS, ISSUING, SECRET_ISSUING
from tests.making import ABSENT, API, KINDS, SECRET, base64url, compact, segment, signing_key

ASYMMETRIC: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
RSA, EC, ED, P384 = (signing_key(kind) for kind in ("RSA", "P-256", "Ed25519", "P-384"))

RS256_ALONE: Final = world_of("RS256 alone", lambda: [RSA.jwk()])
EVERY_ALGORITHM: Final = world_of(
    "every algorithm and a key of every kind", lambda: [signing_key(kind).jwk() for kind in KINDS], ASYMMETRIC
)
SHARED_AMONG_PUBLIC: Final = world_of(
    "a shared secret among the public keys",
    lambda: [RSA.jwk(), {"kty": "oct", "kid": "shared", "alg": "HS256", "k": base64url(SECRET)}],
)
MARKED: Final = world_of("an RSA key that is marked PS256", lambda: [RSA.jwk(alg="PS256")], ("RS256", "PS256"))
KOBLITZ: Final = world_of(
    "a key on secp256k1 beside one on P-256", lambda: [EC.jwk(), weak.koblitz_jwk()], ("ES256", "ES384")
)


# --- A01: a public key as a shared secret -------------------------------------------------------------------


def _pem(kind: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return RSA.private.public_key().public_bytes(Encoding.PEM, kind)  # type: ignore[no-any-return]


def _public_octets() -> dict[str, Callable[[], bytes]]:
    """The issuer's public key, as whoever configures a library may have written it down."""
    return {
        "PEM": _pem,
        "PEM with CR LF": lambda: _pem().replace(b"\n", b"\r\n"),
        "PEM without the last line's end": lambda: _pem().rstrip(b"\n"),
        "PEM with a space in front": lambda: b" " + _pem(),
        "PEM with a byte order mark": lambda: b"\xef\xbb\xbf" + _pem(),
        "PEM as Python prints octets": lambda: repr(_pem()).encode(),
        "PEM behind a comment": lambda: b"# the key\n" + _pem(),
    }


def _more_public_octets() -> dict[str, Callable[[], bytes]]:
    return {
        "PEM of PKCS#1": lambda: _pem(PublicFormat.PKCS1),
        "PEM in one line": lambda: _pem().replace(b"\n", b""),
        "PEM with escaped line ends": lambda: _pem().replace(b"\n", b"\\n"),
        "DER": lambda: RSA.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "SSH": lambda: RSA.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "the JWK": lambda: json.dumps(RSA.jwk()).encode(),
        "the JWK without white space": lambda: json.dumps(RSA.jwk(), separators=(",", ":")).encode(),
        "the whole key set": lambda: json.dumps({"keys": [RSA.jwk()]}).encode(),
        "n as text": lambda: RSA.jwk()["n"].encode(),
        "n as octets": lambda: base64.urlsafe_b64decode(RSA.jwk()["n"] + "=="),
        "the kid": lambda: RSA.kid.encode(),
    }


def _confused(secret: bytes, *, alg: str = "HS256", digest: str = "sha256", **header: Any) -> str:
    text = f"{segment(ISSUING.header(alg=alg, **header))}.{parts()[1]}"
    return f"{text}.{base64url(hmac.digest(secret, text.encode(), digest))}"


def _confusions(secrets: dict[str, Callable[[], bytes]], **header: Any) -> dict[str, Forge]:
    return {about: lambda secret=secret: _confused(secret(), **header) for about, secret in secrets.items()}


SAME_SECRET: Final = {"signing_algorithms": ("HS256",), "identifier": API, "issuers": [Issuer(ISSUING.url)]}


def _as_secret(octets: Callable[[], bytes]) -> Callable[[], object]:
    return lambda: ApiSettings(**SAME_SECRET, signing_secret=octets())


# --- signatures ---------------------------------------------------------------------------------------------


def _text(algorithm: str = "RS256", **header: Any) -> str:
    return f"{segment(ISSUING.header(algorithm, **header))}.{parts()[1]}"


def _signed_as(algorithm: str, make: Callable[[bytes], bytes], **header: Any) -> str:
    """A token that says `algorithm`, under the octets that `make` makes of what is to be signed."""
    text = _text(algorithm, **header)
    return f"{text}.{base64url(make(text.encode()))}"


def _rsa(pad: Any, digest: Any) -> Callable[[bytes], bytes]:
    return lambda octets: RSA.private.sign(octets, pad, digest)  # type: ignore[no-any-return]


def _pss(salt: int, mask: Any = None, digest: Any = None) -> Callable[[bytes], bytes]:
    hashed = digest or SHA256()
    return _rsa(padding.PSS(padding.MGF1(mask or hashed), salt), hashed)


def _raw_rsa(octets: bytes) -> bytes:
    """The private operation on these octets, without any padding."""
    numbers = RSA.private.private_numbers()
    n = numbers.public_numbers.n
    return pow(int.from_bytes(octets), numbers.d, n).to_bytes(256)


def _badly_padded(pad: Callable[[int], bytes], info: bool = True) -> Callable[[bytes], bytes]:
    """RFC 8017 section 9.2, with something else for its padding. pad: of so many octets."""

    def make(octets: bytes) -> bytes:
        digest = (weak.DIGEST_INFO if info else b"") + hashlib.sha256(octets).digest()
        return _raw_rsa(pad(256 - len(digest)) + digest)

    return make


def _garbage_behind(octets: bytes) -> bytes:
    """What passes where nobody looks whether the digest is the last thing (CVE-2006-4339)."""
    digest = weak.DIGEST_INFO + hashlib.sha256(octets).digest()
    head = b"\x00\x01" + b"\xff" * 8 + b"\x00" + digest
    return _raw_rsa(head + b"\x00" * (256 - len(head)))


def _plus_modulus(octets: bytes) -> bytes:
    n = RSA.private.private_numbers().public_numbers.n
    return (int.from_bytes(RSA.sign("RS256", octets)) + n).to_bytes(257)


def _der(octets: bytes) -> bytes:
    return EC.private.sign(octets, ec.ECDSA(SHA256()))  # type: ignore[no-any-return]


def _pair(change: Callable[[int, int], tuple[int, int]], size: int = 32) -> Callable[[bytes], bytes]:
    """An ECDSA signature whose two numbers are changed."""

    def make(octets: bytes) -> bytes:
        r, s = change(*utils.decode_dss_signature(_der(octets)))
        return r.to_bytes(size) + s.to_bytes(size)

    return make


ORDER: Final = weak.ORDERS["P-256"]


def _numbers(r: int, s: int) -> Callable[[bytes], bytes]:
    return lambda octets: r.to_bytes(32) + s.to_bytes(32)


def _edited(algorithm: str, change: Callable[[bytes], bytes]) -> Callable[[], str]:
    """A good token of that algorithm whose signature's octets are changed."""
    key = ISSUING.key(algorithm)
    return lambda: _signed_as(algorithm, lambda octets: change(key.sign(algorithm, octets)))


def _with_s(change: Callable[[int], int]) -> Callable[[bytes], bytes]:
    """Ed25519: another S."""
    return lambda signature: signature[:32] + change(int.from_bytes(signature[32:], "little")).to_bytes(32, "little")


def _around(point: bytes) -> Callable[[], str]:
    return lambda: _signed_as("EdDSA", lambda octets: weak.signature_around(ED, octets, point))


def _by_small_order(point: bytes) -> Callable[[], str]:
    header = {"kid": "Ed25519-small"}
    return lambda: _signed_as("EdDSA", lambda octets: weak.small_order_signature(point), **header)


SMALL_ORDERS: Final = {
    about: world_of(f"a key of {about}", lambda point=point: [ED.jwk(), weak.small_order_jwk(point)], ("EdDSA",))
    for about, point in weak.SMALL_ORDER.items()
}


def _mixed(algorithm: str) -> str:
    """Header and payload of one token, the signature of another."""
    head, payload, _ = good(algorithm, sub="admin").split(".")
    return f"{head}.{payload}.{parts(algorithm)[2]}"


def _over_decoded(join: bytes) -> Callable[[bytes], bytes]:
    return lambda octets: RSA.sign("RS256", join.join([json.dumps(ISSUING.header()).encode(), _claims()]))


def _claims() -> bytes:
    return json.dumps(ISSUING.claims()).encode()


def _swapped_algorithms() -> dict[str, Forge]:
    """Every algorithm said with the signature of each other one by the same key."""
    of_rsa = [name for name in ASYMMETRIC if name[:2] in ("RS", "PS")]
    return {
        f"{said} said, {made} made": lambda said=said, made=made: _signed_as(
            said, lambda octets: RSA.sign(made, octets)
        )
        for said in of_rsa
        for made in of_rsa
        if said != made
    }


def _foreign_kids() -> dict[str, Forge]:
    """Every algorithm with the kid of a key of every other kind, signed by whoever can."""
    return {
        f"{algorithm} with the kid of a key of {kind}": lambda algorithm=algorithm, kind=kind: ISSUING.token(
            algorithm=algorithm, header={"kid": signing_key(kind).kid}
        )
        for algorithm in ALGORITHMS
        for kind in KINDS
        if kind != ISSUING.key(algorithm).kind and kind in ("RSA", "P-256", "Ed25519")
    }


def _with_secret(issuing: Any, secret: bytes) -> Callable[[], str]:
    return lambda: compact(issuing.header("HS256"), issuing.claims(), secret, "HS256")


CASES: Final[list[Attack]] = [
    *forged("A01", HEADER, _confusions(_public_octets())),
    *forged("A01+", HEADER, _confusions(_more_public_octets())),
    *forged("A01+", HEADER, {f"without a kid: {k}": v for k, v in _confusions(_public_octets(), kid=ABSENT).items()}),
    *forged("A01", HEADER, _confusions(_public_octets()), RS256_ALONE),
    *forged(
        "A01+",
        HEADER,
        {
            "PEM, and HS384": lambda: _confused(_pem(), alg="HS384", digest="sha384"),
            "PEM, and HS512": lambda: _confused(_pem(), alg="HS512", digest="sha512"),
            "PEM of the elliptic key": lambda: _confused(
                EC.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), kid=EC.kid
            ),
            "the octets of the Edwards key": lambda: _confused(ED.private.public_key().public_bytes_raw(), kid=ED.kid),
        },
    ),
    *forged("A01+", SIGNATURE, {"RS256 said, HMAC made": lambda: _confused(_pem(), alg="RS256")}),
    *mistakes(
        "A01+",
        "signing_secret",
        {
            f"as the secret: {about}": _as_secret(octets)
            for about, octets in {**_public_octets(), **_more_public_octets()}.items()
            if about not in ("DER", "n as text", "n as octets", "the kid")
        },
    ),
    *forged(
        "A03",
        SIGNATURE,
        {
            "an empty one": _with_secret(SECRET_ISSUING, b""),
            "a word": _with_secret(SECRET_ISSUING, b"secret"),
            "nulls": _with_secret(SECRET_ISSUING, bytes(32)),
        },
    ),
    *forged(
        "A03+",
        SIGNATURE,
        {
            "one octet less": _with_secret(SECRET_ISSUING, SECRET[:-1]),
            "a null behind it, which HMAC does not see in a short key": _with_secret(
                SECRET_ISSUING, SECRET[:-1] + b"\0"
            ),
            "its base64": _with_secret(SECRET_ISSUING, base64.b64encode(SECRET)),
            "its hexadecimal": _with_secret(SECRET_ISSUING, SECRET.hex().encode()),
            "in upper case": _with_secret(SECRET_ISSUING, SECRET.upper()),
            "a line's end behind it": _with_secret(SECRET_ISSUING, SECRET + b"\n"),
        },
    ),
    *forged("A03+", OK, {"the secret itself": _with_secret(SECRET_ISSUING, SECRET)}),
    *mistakes(
        "A03+",
        "signing_secret",
        {
            about: _as_secret(lambda secret=secret: secret)
            for about, secret in {
                "an empty one": b"",
                "a word": b"secret",
                "nulls": bytes(32),
                "one octet over and over": b"x" * 64,
                "31 octets": b"0123456789abcdef0123456789abcde",
                "none": None,
                "text": "0123456789abcdef0123456789abcdef",
            }.items()
        },
    ),
    *forged(
        "A04",
        HEADER,
        {
            name: lambda name=name: _signed_as(name, lambda octets: RSA.sign(name, octets))
            for name in ("RS384", "PS256")
        },
        RS256_ALONE,
    ),
    *forged(
        "A04+",
        HEADER,
        {
            **{
                name: lambda name=name: _signed_as(name, lambda octets: RSA.sign(name, octets))
                for name in ("RS512", "PS384", "PS512")
            },
            "ES256, by a key of its own": lambda: by_another(EC, algorithm="ES256"),
            "EdDSA, by a key of its own": lambda: by_another(ED, algorithm="EdDSA"),
        },
        RS256_ALONE,
    ),
    *forged("A06", HEADER, _foreign_kids()),
    *forged(
        "A06+",
        HEADER,
        {"a key's own mark": lambda: _signed_as("RS256", lambda octets: RSA.sign("RS256", octets))},
        MARKED,
    ),
    *forged("A06+", OK, {"what the mark says": lambda: good("PS256")}, MARKED),
    *forged("A06+", SIGNATURE, _swapped_algorithms(), EVERY_ALGORITHM),
    *forged(
        "A07",
        HEADER,
        {
            "ES256 with a key on P-384": lambda: _signed_as(
                "ES256", lambda octets: weak.raw_signature(P384, octets, SHA256(), 48), kid=P384.kid
            ),
            "ES384 with a key on P-256": lambda: _signed_as(
                "ES384", lambda octets: weak.raw_signature(EC, octets, SHA384()), kid=EC.kid
            ),
        },
        EVERY_ALGORITHM,
    ),
    *forged(
        "A07",
        UNKNOWN_KEY,
        {
            "ES256 with a key on secp256k1": lambda: _signed_as(
                "ES256", lambda octets: weak.raw_signature(weak.koblitz(), octets), kid=weak.koblitz().kid
            ),
        },
        KOBLITZ,
    ),
    *forged(
        "A07+",
        HEADER,
        {
            "ES256K, which is not taken": lambda: _signed_as(
                "ES256", lambda octets: weak.raw_signature(weak.koblitz(), octets), alg="ES256K", kid="secp256k1-1"
            )
        },
        KOBLITZ,
    ),
    *forged(
        "A07+",
        SIGNATURE,
        {
            "ES256 with another hash": lambda: _signed_as("ES256", lambda o: weak.raw_signature(EC, o, SHA512())),
            "ES384 with another hash": lambda: _signed_as("ES384", lambda o: weak.raw_signature(P384, o, SHA256(), 48)),
            "ES256 as long as that of P-384": lambda: _signed_as(
                "ES256", lambda octets: weak.raw_signature(P384, octets, SHA256(), 48)
            ),
        },
        EVERY_ALGORITHM,
    ),
    *forged(
        "A09",
        HEADER,
        {
            "with the kid of the secret": lambda: _confused(SECRET, kid="shared"),
            "with the kid of the public key": lambda: _confused(SECRET),
            "without a kid": lambda: _confused(SECRET, kid=ABSENT),
        },
        SHARED_AMONG_PUBLIC,
    ),
    *forged(
        "A09+",
        UNKNOWN_KEY,
        {"RS256 said, with the kid of the secret": lambda: _confused(SECRET, alg="RS256", kid="shared")},
        SHARED_AMONG_PUBLIC,
    ),
    *forged(
        "A09+",
        HEADER,
        {
            "another issuer's secret": lambda: compact(ISSUING.header("HS256"), ISSUING.claims(), SECRET, "HS256"),
            "RS256 where a secret is shared": lambda: compact(ISSUING.header(), SECRET_ISSUING.claims(), RSA, "RS256"),
        },
    ),
    *forged("A10", SIGNATURE, {"DER": lambda: _signed_as("ES256", _der)}),
    *forged(
        "A10+",
        SIGNATURE,
        {
            "S before R": lambda: _signed_as("ES256", _pair(lambda r, s: (s, r))),
            "all zeros (CVE-2022-21449)": lambda: _signed_as("ES256", _numbers(0, 0)),
            "R is zero": lambda: _signed_as("ES256", _pair(lambda r, s: (0, s))),
            "S is zero": lambda: _signed_as("ES256", _pair(lambda r, s: (r, 0))),
            "R is the order": lambda: _signed_as("ES256", _pair(lambda r, s: (ORDER, s))),
            "S is the order": lambda: _signed_as("ES256", _pair(lambda r, s: (r, ORDER))),
            "both are one": lambda: _signed_as("ES256", _numbers(1, 1)),
            "both are the order less one": lambda: _signed_as("ES256", _numbers(ORDER - 1, ORDER - 1)),
            "both as high as can be": lambda: _signed_as("ES256", _numbers(2**256 - 1, 2**256 - 1)),
            "R is the prime of the field": lambda: _signed_as("ES256", _pair(lambda r, s: (weak.P256, s))),
            "33 octets each": lambda: _signed_as("ES256", _pair(lambda r, s: (r, s), 33)),
            "a null in front": _edited("ES256", lambda octets: b"\0" + octets),
            "a null behind": _edited("ES256", lambda octets: octets + b"\0"),
            "one octet less": _edited("ES256", lambda octets: octets[:-1]),
            "R alone": _edited("ES256", lambda octets: octets[:32]),
            "of the payload alone": lambda: _signed_as(
                "ES256", lambda octets: weak.raw_signature(EC, octets.split(b".")[1])
            ),
        },
    ),
    *forged("A12", OK, {"R, and the order less S": lambda: _signed_as("ES256", _pair(lambda r, s: (r, ORDER - s)))}),
    *forged(
        "A13",
        SIGNATURE,
        {
            "S and once the order": _edited("EdDSA", _with_s(lambda s: s + weak.ED25519_ORDER)),
            "S and seven times the order": _edited("EdDSA", _with_s(lambda s: s + 7 * weak.ED25519_ORDER)),
            "S with its highest bit set": _edited("EdDSA", _with_s(lambda s: s | 1 << 255)),
            "R is the neutral element, in another spelling": _around((weak.ED25519_PRIME + 1).to_bytes(32, "little")),
            "R is the neutral element, with a sign": _around(weak.SMALL_ORDER["order 1, with a sign"]),
        },
    ),
    *[
        attack
        for about, point in weak.SMALL_ORDER.items()
        for attack in forged("A13", UNKNOWN_KEY, {f"a key of {about}": _by_small_order(point)}, SMALL_ORDERS[about])
    ],
    *forged(
        "A13+",
        SIGNATURE,
        {
            "all zeros": _edited("EdDSA", lambda octets: bytes(64)),
            "R of order 2": _around(weak.SMALL_ORDER["order 2"]),
            "R of order 8": _around(weak.SMALL_ORDER["order 8"]),
            "R is no point": _edited("EdDSA", lambda octets: (2).to_bytes(32, "little") + octets[32:]),
            "63 octets": _edited("EdDSA", lambda octets: octets[:-1]),
            "65 octets": _edited("EdDSA", lambda octets: octets + b"\0"),
            "no octets but one": _edited("EdDSA", lambda octets: b"\0"),
            "S before R": _edited("EdDSA", lambda octets: octets[32:] + octets[:32]),
            "of the hash of the text": lambda: _signed_as(
                "EdDSA", lambda octets: ED.sign("EdDSA", hashlib.sha512(octets).digest())
            ),
        },
    ),
    *forged(
        "A15",
        SIGNATURE,
        {
            **{f"a salt of {size} octets": lambda size=size: _signed_as("PS256", _pss(size)) for size in (0, 20, 222)},
            "SHA-1 in the mask": lambda: _signed_as("PS256", _pss(32, SHA1())),
            "SHA-512 in the mask": lambda: _signed_as("PS256", _pss(32, SHA512())),
        },
    ),
    *forged(
        "A15+",
        SIGNATURE,
        {
            **{f"a salt of {size} octets": lambda size=size: _signed_as("PS256", _pss(size)) for size in (31, 33, 64)},
            "SHA-1 throughout": lambda: _signed_as("PS256", _pss(20, SHA1(), SHA1())),
            "SHA-512 throughout": lambda: _signed_as("PS256", _pss(64, SHA512(), SHA512())),
            "SHA-1 of the text": lambda: _signed_as("PS256", _pss(32, SHA256(), SHA1())),
        },
    ),
    *forged("A16", SIGNATURE, {f"of another token, {name}": lambda name=name: _mixed(name) for name in ALGORITHMS}),
    *forged(
        "A16+",
        SIGNATURE,
        {
            "of another key of the issuer": lambda: by_another(signing_key("RSA", 3)),
            "of another key, PS256": lambda: by_another(signing_key("RSA", 3), algorithm="PS256"),
            "of another key, ES256": lambda: by_another(signing_key("P-256", 3), algorithm="ES256"),
            "of another key, EdDSA": lambda: by_another(signing_key("Ed25519", 3), algorithm="EdDSA"),
            "all zeros": lambda: resigned(good(), bytes(256)),
            "one": lambda: resigned(good(), (1).to_bytes(256)),
            "all ones": lambda: resigned(good(), b"\xff" * 256),
            "one octet": lambda: resigned(good(), b"\0"),
            "one octet less": _edited("RS256", lambda octets: octets[:-1]),
            "a null in front": _edited("RS256", lambda octets: b"\0" + octets),
            "a null behind": _edited("RS256", lambda octets: octets + b"\0"),
            "twice": _edited("RS256", lambda octets: octets * 2),
            "in octets from the end": _edited("RS256", lambda octets: octets[::-1]),
            "in base64 once more": _edited("RS256", base64.b64encode),
            "and the modulus": lambda: _signed_as("RS256", _plus_modulus),
            "the modulus itself": lambda: resigned(good(), base64.urlsafe_b64decode(RSA.jwk()["n"] + "==")),
            "the text itself": lambda: _signed_as("RS256", lambda octets: octets[:256]),
        },
    ),
    *forged(
        "A16+",
        SIGNATURE,
        {
            "without a digest's name": lambda: _signed_as(
                "RS256", _badly_padded(lambda n: b"\x00\x01" + b"\xff" * (n - 3) + b"\x00", info=False)
            ),
            "padded for encryption": lambda: _signed_as(
                "RS256", _badly_padded(lambda n: b"\x00\x02" + b"\xaa" * (n - 3) + b"\x00")
            ),
            "padded with nulls": lambda: _signed_as("RS256", _badly_padded(bytes)),
            "padded with anything": lambda: _signed_as(
                "RS256", _badly_padded(lambda n: b"\x00\x01" + b"\xfe" * (n - 3) + b"\x00")
            ),
            "padded too little, with garbage behind (CVE-2006-4339)": lambda: _signed_as("RS256", _garbage_behind),
            "SHA-1": lambda: _signed_as("RS256", _rsa(padding.PKCS1v15(), SHA1())),
            "SHA-512": lambda: _signed_as("RS256", _rsa(padding.PKCS1v15(), SHA512())),
            "the bare digest": lambda: _signed_as("RS256", lambda octets: _raw_rsa(hashlib.sha256(octets).digest())),
        },
    ),
    *forged(
        "A18",
        SIGNATURE,
        {
            "with a dot between": lambda: _signed_as("RS256", _over_decoded(b".")),
            "without a dot": lambda: _signed_as("RS256", _over_decoded(b"")),
        },
    ),
    *forged(
        "A18+",
        SIGNATURE,
        {
            "the payload alone": lambda: _signed_as("RS256", lambda o: RSA.sign("RS256", o.split(b".")[1])),
            "the header alone": lambda: _signed_as("RS256", lambda o: RSA.sign("RS256", o.split(b".")[0])),
            "the payload decoded": lambda: _signed_as(
                "RS256", lambda o: RSA.sign("RS256", o.split(b".")[0] + b"." + _claims())
            ),
            "the dot behind too": lambda: _signed_as("RS256", lambda o: RSA.sign("RS256", o + b".")),
            "nothing": lambda: _signed_as("RS256", lambda o: RSA.sign("RS256", b"")),
            "its hash": lambda: _signed_as("RS256", lambda o: RSA.sign("RS256", hashlib.sha256(o).digest())),
        },
    ),
    *forged(
        "A19",
        HEADER,
        {
            "of RS256": lambda: _signed_as("RS256", lambda octets: RSA.sign("RS256", octets), alg="none"),
            "of HS256": lambda: _confused(SECRET, alg="none"),
        },
    ),
    *forged(
        "A19+", MALFORMED, {f"{name} said, and no signature": lambda n=name: f"{_text(n)}." for name in ALGORITHMS}
    ),
    *forged(
        "A19+",
        MALFORMED,
        {"HS256 said, and no signature": lambda: _with_secret(SECRET_ISSUING, SECRET)().rpartition(".")[0] + "."},
    ),
]
