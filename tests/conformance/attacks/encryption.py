"""Group E: encrypted tokens: whatever is inside, anybody may have put it there."""

from __future__ import annotations

import base64
import hmac
import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jwtgate import AuthError, SettingsError
from tests.conformance.attacks.answers import (
    AUDIENCE,
    CLAIM,
    ENCRYPTED,
    EXPIRED,
    HEADER,
    ISSUER,
    KIND,
    MALFORMED,
    OK,
    OPAQUE,
    SIGNATURE,
    UNDECRYPTABLE,
    UNKNOWN_KEY,
    Wanted,
)
from tests.conformance.attacks.cases import (
    Attack,
    Check,
    Forge,
    World,
    everywhere,
    forged,
    mistakes,
    own_jwks,
)
from tests.conformance.attacks.forging import by_another, good, parts
from tests.conformance.attacks.state import with_settings
from tests.doors import ISSUING, settings_for, verifier
from tests.making import ABSENT, base64url, segment, signing_key
from tests.sealing import oaep, pem, private_jwk, private_key, seal

KID: Final = "enc-1"


def _opens(**mode: Any) -> Any:
    return settings_for(own_jwks(), decryption_keys=[private_jwk(kid=KID)], **mode)


def _opens_nameless(**mode: Any) -> Any:
    return settings_for(own_jwks(), decryption_keys=[pem(), pem(private_key(2))], **mode)


OPENS: Final = World("a decryption key", _opens)
NAMELESS: Final = World("two decryption keys without names", _opens_nameless)


def _sealed(name: str, wanted: Wanted, headers: Mapping[str, dict[str, Any]], world: World = OPENS) -> list[Attack]:
    """A good token, sealed under each change of a good header."""
    return forged(name, wanted, {about: lambda new=new: seal(good(), **new) for about, new in headers.items()}, world)


def _inside(name: str, wanted: Wanted, contents: Mapping[str, Forge], world: World = OPENS) -> list[Attack]:
    """Each content, well sealed."""
    return forged(name, wanted, {about: lambda make=make: seal(make()) for about, make in contents.items()}, world)


def _with(part: int, change: Any) -> Forge:
    """A good token, sealed, with one of its five parts changed."""

    def make() -> str:
        segments = seal(good()).split(".")
        segments[part] = change(segments[part]) if callable(change) else change
        return ".".join(segments)

    return make


def _flipped(text: str) -> str:
    """Another first character."""
    return ("A" if text[0] != "A" else "B") + text[1:]


def _under_rsa1_5(*, right: bool) -> str:
    key = private_key().public_key()
    encrypted = key.encrypt(bytes(range(32)), padding.PKCS1v15()) if right else b"\x01" * 256
    return seal(good(), alg="RSA1_5", encrypted_key=encrypted)


def _respelt_header(text: str) -> str:
    """The same header, with a space more."""
    return base64url(_octets(text)[:-1] + b" }")


def _octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _unsigned() -> str:
    return f"{segment({'alg': 'none', 'typ': 'JWT'})}.{parts()[1]}."


def _json_serialised(**changes: Any) -> str:
    head, key, iv, sealed, tag = seal(good()).split(".")
    members = {"protected": head, "encrypted_key": key, "iv": iv, "ciphertext": sealed, "tag": tag}
    return json.dumps({**members, **changes})


SCALAR: Final = ec.derive_private_key(7, ec.SECP256R1()).public_key().public_numbers()
EPK: Final = {"kty": "EC", "crv": "P-256", "x": base64url(SCALAR.x.to_bytes(32)), "y": base64url(SCALAR.y.to_bytes(32))}
OFF_THE_CURVE: Final = {**EPK, "y": EPK["x"]}
FOREIGN: Final[Mapping[str, dict[str, Any]]] = {
    "RSA-OAEP with SHA-1, which is not taken unless asked for": {"alg": "RSA-OAEP"},
    "in lower case": {"alg": "rsa-oaep-256"},
    "AES key wrap": {"alg": "A256KW"},
    "AES-GCM key wrap": {"alg": "A256GCMKW"},
    "a signature's": {"alg": "RS256"},
    "none": {"alg": "none"},
    "missing": {"alg": ABSENT},
    "null": {"alg": None},
    "a number": {"alg": 7},
    "an array": {"alg": ["RSA-OAEP-256"]},
}

TOKENS: Final[list[Attack]] = [
    *forged(
        "E01",
        HEADER,
        {
            "with right padding": lambda: _under_rsa1_5(right=True),
            "with wrong padding": lambda: _under_rsa1_5(right=False),
        },
        OPENS,
        0.001,
    ),
    *_sealed("E01+", HEADER, FOREIGN),
    *forged(
        "E01+",
        OPAQUE,
        {"direct, as Auth0's opaque tokens are": lambda: seal(good(), alg="dir", encrypted_key=b"")},
        OPENS,
    ),
    *forged("E01+", HEADER, {"direct, with a key all the same": lambda: seal(good(), alg="dir")}, OPENS),
    *forged("E01+", ENCRYPTED, {"where no key is configured": lambda: seal(good())}),
    *forged(
        "E03",
        HEADER,
        {"2 to the 31st": lambda: seal(good(), alg="PBES2-HS256+A128KW", p2s="2WCTcJZ1Rvd_CJuJripQ1w", p2c=2**31)},
        OPENS,
        0.001,
    ),
    *forged(
        "E03+",
        HEADER,
        {
            name: lambda name=name: seal(good(), alg=name, p2s="AAAAAAAAAAAA", p2c=2**31)
            for name in ("PBES2-HS384+A192KW", "PBES2-HS512+A256KW")
        },
        OPENS,
        0.001,
    ),
    *_sealed("E03+", HEADER, {"p2c beside RSA-OAEP": {"p2c": 2**31}, "p2s beside RSA-OAEP": {"p2s": "AAAA"}}),
    *_sealed("E04", HEADER, {"A128CBC-HS256": {"enc": "A128CBC-HS256"}}),
    *_sealed(
        "E04+",
        HEADER,
        {
            **{
                name: {"enc": name}
                for name in ("A256CBC-HS512", "A128GCM", "A192GCM", "a256gcm", "A256GCM ", "C20P", "none", "")
            },
            "missing": {"enc": ABSENT},
            "null": {"enc": None},
            "a number": {"enc": 256},
            "an array": {"enc": ["A256GCM"]},
            "compressed": {"zip": "DEF"},
            "compression of nothing": {"zip": ""},
            "crit": {"crit": ["exp"], "exp": 1},
            "an empty crit": {"crit": []},
            "b64": {"b64": False},
            "apu": {"apu": "QWxpY2U"},
            "tag in the header": {"tag": "AAAA"},
            "a kid that nobody has": {"kid": "other"},
            "a kid that is a number": {"kid": 7},
            "a kid that is a path": {"kid": "../../dev/null"},
            "a kid of 10 KB": {"kid": "k" * 10_000},
        },
    ),
    *_sealed("E04+", OK, {"the kid": {"kid": KID}, "no kid": {}}),
    *_inside("E06", HEADER, {"alg none": _unsigned}),
    *_inside(
        "E06",
        MALFORMED,
        {
            "the claims themselves": lambda: json.dumps(
                {**ISSUING.claims(), "iss": "local", "aud": "local", "sub": "x"}
            ),
            "not a JWT at all": lambda: "hello",
        },
    ),
    *_inside("E06", MALFORMED, {"the claims, with two dots in them": lambda: json.dumps(ISSUING.claims())}),
    *_inside(
        "E06+",
        MALFORMED,
        {
            "nothing": lambda: "",
            "two dots": lambda: "..",
            "two segments": lambda: ".".join(parts()[:2]),
            "no signature": lambda: ".".join(parts()[:2]) + ".",
            "a white space in front": lambda: " " + good(),
            "a new line behind": lambda: good() + "\n",
            "octets that are not ASCII": lambda: b"\xff.\xff.\xff",
            "UTF-16": lambda: good().encode("utf-16"),
            "a byte order mark": lambda: b"\xef\xbb\xbf" + good().encode(),
            "deflated": lambda: zlib.compress(good().encode()),
            "16 KB of dots": lambda: "." * 11_000,
            "the flattened serialisation": lambda: json.dumps({"protected": parts()[0], "payload": parts()[1]}),
        },
    ),
    *_inside("E07", UNKNOWN_KEY, {"with a kid of its own": lambda: by_another(signing_key("RSA", 7), kid="RSA-7")}),
    *_inside("E07", SIGNATURE, {"with the issuer's kid": lambda: by_another(signing_key("RSA", 7))}),
    *_inside(
        "E07+",
        SIGNATURE,
        {
            "with the key in its header": lambda: by_another(signing_key("RSA", 7), jwk=signing_key("RSA", 7).jwk()),
            "changed after it was signed": lambda: ".".join(
                [parts()[0], segment(ISSUING.claims(sub="admin")), parts()[2]]
            ),
        },
    ),
    *_inside("E07+", HEADER, {"signed with the public encryption key as a secret": lambda: _with_public_secret()}),
    *_inside("E07+", EXPIRED, {"expired": lambda: good(exp=1)}),
    *_inside("E07+", AUDIENCE, {"for another API": lambda: good(aud="https://other.test/")}),
    *_inside("E07+", ISSUER, {"of another issuer": lambda: good(iss="https://evil.test/")}),
    *_inside("E07+", KIND, {"an ID token": lambda: good(nonce="n")}),
    *_inside("E07+", OK, {"a good token": good}),
    *_inside(
        "E09", MALFORMED, {"once more encrypted": lambda: seal(good()), "many times": lambda: seal(seal(seal(good())))}
    ),
    *forged(
        "E09", MALFORMED, {"once more encrypted, and nothing said of it": lambda: seal(seal(good()), cty=ABSENT)}, OPENS
    ),
    *_sealed(
        "E09+",
        OK,
        {
            "nothing said of what is inside": {"cty": ABSENT},
            "in lower case": {"cty": "jwt"},
            "in full": {"cty": "application/jwt"},
        },
    ),
    *_sealed(
        "E09+",
        HEADER,
        {
            "JSON said": {"cty": "json"},
            "at+jwt said": {"cty": "at+jwt"},
            "null": {"cty": None},
            "a number": {"cty": 7},
            "empty": {"cty": ""},
        },
    ),
    *_sealed(
        "E10",
        CLAIM,
        {
            "iss": {"iss": "https://evil.test/"},
            "sub": {"sub": "admin"},
            "aud": {"aud": "https://other.test/"},
        },
    ),
    *_sealed(
        "E10+",
        CLAIM,
        {
            "aud in an array": {"aud": [ISSUING.identifier]},
            "iss that is null": {"iss": None},
            "another claim": {"scope": "admin:all"},
            "exp": {"exp": 253_402_300_799},
        },
    ),
    *_sealed("E10+", OK, {"the same": {"iss": ISSUING.url, "sub": "app-1@clients", "aud": ISSUING.identifier}}),
    *forged(
        "E12", MALFORMED, {f"{size} octets": _with(2, base64url(b"x" * size)) for size in (0, 8, 11, 13, 16)}, OPENS
    ),
    *forged(
        "E12+",
        MALFORMED,
        {f"a tag of {size} octets": _with(4, base64url(b"x" * size)) for size in (0, 4, 12, 15, 17)},
        OPENS,
    ),
    *forged(
        "E12+",
        MALFORMED,
        {
            f"{what} {about}": _with(part, change)
            for part, what in ((1, "the key"), (2, "the vector"), (3, "the content"), (4, "the tag"))
            for about, change in {
                "padded": lambda text: text + "==",
                "with white space": lambda text: text[:4] + "\n" + text[4:],
                "in base64": lambda text: text[:-4] + "+/+/",
            }.items()
        },
        OPENS,
    ),
    *forged(
        "E13",
        UNDECRYPTABLE,
        {
            "modified": _with(1, _flipped),
            "empty": _with(1, ""),
            "an octet too short": _with(1, lambda text: base64url(b"\1" * 255)),
            "an octet too long": _with(1, lambda text: base64url(b"\1" * 257)),
            "with a label": lambda: seal(good(), label=b"label"),
        },
        OPENS,
    ),
    *forged(
        "E13+",
        UNDECRYPTABLE,
        {
            "all zeros": _with(1, base64url(bytes(256))),
            "all ones": _with(1, base64url(b"\xff" * 256)),
            "of another key": lambda: seal(good(), key=private_key(9)),
            "of another hash": lambda: seal(good(), alg="RSA-OAEP-512", encrypted_key=_encrypted("RSA-OAEP-256")),
            "16 octets inside": lambda: seal(good(), content_key=bytes(16)),
            "64 octets inside": lambda: seal(good(), content_key=bytes(64)),
            "nothing inside": lambda: seal(good(), content_key=b""),
            "another vector": _with(2, base64url(b"another nonc")),
            "the content changed": _with(3, _flipped),
            "the content cut": _with(3, lambda text: base64url(_octets(text)[:-3])),
            "no content": _with(3, ""),
            "another tag": _with(4, base64url(bytes(16))),
        },
        OPENS,
    ),
    *forged("E13+", UNDECRYPTABLE, {"of neither key": lambda: seal(good(), key=private_key(9))}, NAMELESS),
    *forged("E13+", OK, {"of the second key": lambda: seal(good(), key=private_key(2))}, NAMELESS),
    *forged("E15", UNDECRYPTABLE, {"a space more in the header": _with(0, _respelt_header)}, OPENS),
    *forged(
        "E15+",
        UNDECRYPTABLE,
        {
            "a member more": lambda: ".".join([_head(x=1), *seal(good()).split(".")[1:]]),
            "a kid more": lambda: ".".join([_head(kid=KID), *seal(good()).split(".")[1:]]),
            "another way to write cty": lambda: ".".join([_head(cty="jwt"), *seal(good()).split(".")[1:]]),
        },
        OPENS,
    ),
    *forged(
        "E15+",
        MALFORMED,
        {
            "a member twice": lambda: ".".join(
                [segment('{"alg":"RSA1_5","alg":"RSA-OAEP-256","enc":"A256GCM"}'), *seal(good()).split(".")[1:]]
            ),
            "no object": lambda: ".".join([segment([]), *seal(good()).split(".")[1:]]),
            "UTF-16": lambda: ".".join(
                [segment('{"alg":"RSA-OAEP-256"}'.encode("utf-16")), *seal(good()).split(".")[1:]]
            ),
        },
        OPENS,
    ),
    *_sealed(
        "E16",
        HEADER,
        {f"{alg}, off the curve": {"alg": alg, "epk": OFF_THE_CURVE} for alg in ("ECDH-ES", "ECDH-ES+A256KW")},
    ),
    *_sealed(
        "E16+", HEADER, {"ECDH-ES, on the curve": {"alg": "ECDH-ES", "epk": EPK}, "epk beside RSA-OAEP": {"epk": EPK}}
    ),
    *forged(
        "E19",
        OPAQUE,
        {
            "flattened": _json_serialised,
            "of many recipients": lambda: json.dumps(
                {"protected": seal(good()).split(".")[0], "recipients": [{"encrypted_key": "AAAA"}] * 100}
            ),
        },
        OPENS,
    ),
    *forged(
        "E19+",
        MALFORMED,
        {"six segments": lambda: seal(good()) + ".x", "four segments": lambda: seal(good()).rpartition(".")[0]},
        OPENS,
    ),
    *forged("E19+", MALFORMED, {"larger than is taken": lambda: seal(good(pad="x" * 12_000))}, OPENS, 0.001),
    *forged("E19+", OK, {"a signed token is still taken": good}, OPENS),
    *everywhere("E13+", UNDECRYPTABLE, {"through every door": _with(1, _flipped)}, OPENS),
    *everywhere("E06+", HEADER, {"alg none, through every door": lambda: seal(_unsigned())}, OPENS),
    *everywhere("E07+", OK, {"a good token, through every door": lambda: seal(good())}, OPENS),
]


def _encrypted(algorithm: str) -> bytes:
    return private_key().public_key().encrypt(bytes(range(32)), oaep(algorithm))


def _head(**changes: Any) -> str:
    return segment({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT", **changes})


def _with_public_secret() -> str:
    public = private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{segment(ISSUING.header('HS256'))}.{parts()[1]}"
    return f"{text}.{base64url(hmac.digest(public, text.encode(), 'sha256'))}"


def _key(key: Any) -> Any:
    return with_settings(decryption_keys=[key() if callable(key) else key])


def _settings(**changes: Any) -> Any:
    return lambda: with_settings(decryption_keys=[pem()], **changes)()


SETTINGS: Final[list[Attack]] = [
    *mistakes(
        "E18",
        "decryption_keys",
        {
            "neither alg nor use": lambda: _key(private_jwk(use=ABSENT))(),
            "for signatures": lambda: _key(private_jwk(use="sig"))(),
        },
    ),
    *mistakes(
        "E18+",
        "decryption_keys",
        {
            "for signatures, and an alg of encryption": lambda: _key(private_jwk(use="sig", alg="RSA-OAEP-256"))(),
            "alg of signatures": lambda: _key(private_jwk(alg="RS256"))(),
            "alg RSA1_5": lambda: _key(private_jwk(alg="RSA1_5"))(),
            "key_ops of signatures": lambda: _key(private_jwk(key_ops=["verify"]))(),
            "the public half alone": lambda: _key(private_jwk(d=ABSENT))(),
            "1,024 bits": lambda: _key(pem(private_key(1, 1_024)))(),
            "an elliptic key": lambda: _key(pem(signing_key("P-256").private))(),
            "a shared secret": lambda: _key({"kty": "oct", "k": "AAAA", "use": "enc"})(),
            "a password that is missing": lambda: _key(pem(password=b"secret"))(),
            "a public key in PEM": lambda: _key(
                private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            )(),
            "no PEM at all": lambda: _key("secret")(),
            "a number": lambda: _key(7)(),
            "two keys of one name": lambda: with_settings(
                decryption_keys=[private_jwk(kid="k"), private_jwk(private_key(2), kid="k")]
            )(),
        },
    ),
    *mistakes(
        "E18+",
        "encryption_algorithms",
        {
            "RSA1_5": _settings(encryption_algorithms=["RSA1_5"]),
            "direct": _settings(encryption_algorithms=["dir"]),
            "none": _settings(encryption_algorithms=[]),
        },
    ),
    *mistakes(
        "E18+",
        "content_encryption_algorithms",
        {
            "CBC in the content": _settings(content_encryption_algorithms=["A128CBC-HS256"]),
            "none for the content": _settings(content_encryption_algorithms=[]),
        },
    ),
]


def nothing_but_our_own_comes_of_any_vector() -> None:
    """Wycheproof's, each with its own private key where that is one for these settings, and with ours where not."""
    from tests.conformance.vectors import read

    ours, groups = verifier(_opens()), read("wycheproof", "json_web_encryption_test.json")["testGroups"]
    count = 0
    for group in groups:
        try:
            own = verifier(settings_for(own_jwks(), decryption_keys=[group["private"]]))
        except SettingsError:
            own = ours
        for vector in group["tests"]:
            count += 1
            try:
                own.verify(vector["jwe"])
            except AuthError as error:
                if error.status != 401:
                    raise
            else:
                raise AssertionError("nothing in these vectors is an access token")
    assert count > 100


CHECKS: Final[list[Attack]] = [
    Check("E21", "nothing but our own exceptions comes of any vector", nothing_but_our_own_comes_of_any_vector)
]

CASES: Final = [*TOKENS, *SETTINGS, *CHECKS]
