"""Published encrypted tokens open, and what is wrong with others is met, in the very functions that a request meets.

What is supported is RSA-OAEP with any of its four hashes, and AES-GCM. All else is refused, however valid it is.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jwtgate import ApiSettings, InvalidToken, Issuer, SettingsError, Verifier
from jwtgate.core import decryption_keys, jwe
from jwtgate.core.compact import decode_base64url
from jwtgate.core.decryption_keys import ALGORITHMS, ENCRYPTIONS, DecryptionKey
from jwtgate.core.errors import HeaderRejected, MalformedToken, OpaqueToken, UndecryptableToken
from jwtgate.core.jwe import Encrypted, decrypt, open_sealed, read_jwe
from tests.conformance.vectors import ISSUING, LIMIT, URL, Clock, folder, read, stated_counts
from tests.making import API, base64url, changed, drive, segment
from tests.sealing import pem, private_jwk, seal

ENCRYPTED = "json_web_encryption_test.json"
OLDER = "json_web_crypto_test.json"
PRIMITIVES = {
    "RSA-OAEP": "rsa_oaep_2048_sha1_mgf1sha1_test.json",
    "RSA-OAEP-256": "rsa_oaep_2048_sha256_mgf1sha256_test.json",
}
OWN = DecryptionKey(pem())


def read_with(token: Any, *keys: DecryptionKey) -> Encrypted:
    return read_jwe(token, keys, ALGORITHMS, tuple(ENCRYPTIONS), LIMIT)


def plaintext(token: Any, *keys: DecryptionKey) -> bytes:
    return drive(open_sealed(read_with(token, *keys)))


@functools.cache
def verifier(*keys: DecryptionKey) -> Verifier:
    """Of an API that takes all that is supported."""
    issuer = Issuer(URL, jwks=ISSUING.jwks())
    settings = ApiSettings(
        identifier=API,
        issuers=[issuer],
        max_token_bytes=LIMIT,
        decryption_keys=keys,
        encryption_algorithms=ALGORITHMS,
        content_encryption_algorithms=tuple(ENCRYPTIONS),
    )
    return Verifier(settings, clock=Clock())


# --- Wycheproof's JSON Web Encryption --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Jwe:
    """One published token. private: the JWK that it is to be opened with."""

    number: int
    comment: str
    private: dict[str, Any]
    token: Any
    valid: bool
    plaintext: bytes

    def __str__(self) -> str:
        return f"{self.number}-{self.comment}"

    @property
    def header(self) -> dict[str, Any]:
        """Of a token that has one; empty else."""
        try:
            return dict(json.loads(decode_base64url(self.token.split(".")[0])))
        except (AttributeError, ValueError):
            return {}

    @property
    def opens(self) -> bool:
        """Is it valid, and of supported algorithms?"""
        return self.valid and self.header.get("alg") in ALGORITHMS and self.header.get("enc") in ENCRYPTIONS

    @property
    def key(self) -> DecryptionKey:
        """The vector's own, where it can be one; else any."""
        return made_of(json.dumps(self.private))


@functools.cache
def made_of(jwk: str) -> DecryptionKey:
    try:
        return DecryptionKey(jwk)
    except SettingsError:
        return OWN


def vectors(name: str) -> list[Jwe]:
    return [
        Jwe(
            case["tcId"],
            case["comment"],
            group["private"],
            case["jwe"],
            case["result"] == "valid",
            bytes.fromhex(case.get("pt", "")),
        )
        for group in read("wycheproof", name)["testGroups"]
        for case in group["tests"]
        if "jwe" in case
    ]


VECTORS, OLDER_VECTORS = vectors(ENCRYPTED), vectors(OLDER)
ALL = [*VECTORS, *OLDER_VECTORS]
OPENING = [vector for vector in ALL if vector.opens]
REFUSED = [vector for vector in ALL if not vector.opens]


def ids(of: list[Jwe]) -> list[str]:
    return [str(vector) for vector in of]


def test_every_published_vector_is_there() -> None:
    stated = stated_counts("wycheproof")
    assert [len(VECTORS), len(read("wycheproof", ENCRYPTED)["testGroups"])] == stated[ENCRYPTED] == [139, 31]
    assert len(OLDER_VECTORS) == 34
    assert len({vector.number for vector in VECTORS}) == len(VECTORS)


def test_these_are_all_that_are_of_supported_algorithms() -> None:
    assert [vector.number for vector in OPENING] == [82, 83, 84, 88, 89, 90, 121, 129]


@pytest.mark.parametrize("vector", OPENING, ids=ids(OPENING))
def test_a_valid_vector_opens(vector: Jwe) -> None:
    assert vector.plaintext
    assert plaintext(vector.token, vector.key) == vector.plaintext


@pytest.mark.parametrize("vector", OPENING, ids=ids(OPENING))
def test_a_valid_vector_opens_among_other_keys(vector: Jwe) -> None:
    assert plaintext(vector.token, OWN, vector.key) == vector.plaintext


@pytest.mark.parametrize("vector", OPENING, ids=ids(OPENING))
def test_a_valid_vector_opens_with_no_other_key_and_after_no_change(vector: Jwe) -> None:
    with pytest.raises(UndecryptableToken):
        plaintext(vector.token, OWN)
    segments = vector.token.split(".")
    for place in range(1, 5):
        octets = bytearray(decode_base64url(segments[place]))
        octets[len(octets) // 2] ^= 4
        spoiled = [*segments[:place], base64url(bytes(octets)), *segments[place + 1 :]]
        with pytest.raises(UndecryptableToken):
            plaintext(".".join(spoiled), vector.key)
    header = segment(json.dumps(vector.header, indent=1))  # the same, written otherwise
    with pytest.raises(UndecryptableToken):
        plaintext(".".join([header, *segments[1:]]), vector.key)


@pytest.mark.parametrize("vector", REFUSED, ids=ids(REFUSED))
def test_every_other_vector_is_refused_in_our_own_words(vector: Jwe) -> None:
    with pytest.raises(InvalidToken) as refused:
        plaintext(vector.token, vector.key)
    if vector.header.get("alg") == "dir":  # as the tokens that Auth0 issues for no API
        assert isinstance(refused.value, OpaqueToken)
    elif vector.valid:
        assert isinstance(refused.value, HeaderRejected)
        assert refused.value.parameter == ("enc" if vector.header["alg"] in ALGORITHMS else "alg")


@pytest.mark.parametrize("vector", ALL, ids=ids(ALL))
def test_a_whole_verification_refuses_the_token(vector: Jwe) -> None:
    """Valid ones too: what is encrypted in them is not signed. That is then the only reason."""
    with pytest.raises(InvalidToken) as refused:
        verifier(vector.key).verify(vector.token)
    assert (isinstance(refused.value, MalformedToken) and refused.value.part == "content") is vector.opens


@pytest.mark.parametrize("vector", OPENING, ids=ids(OPENING))
def test_a_signed_token_under_the_header_of_a_valid_vector_is_accepted(vector: Jwe) -> None:
    """So that the test above refuses what it refuses for its own fault."""
    head, encrypted_key = vector.token.split(".")[:2]
    content_key = vector.key.unwrap(decode_base64url(encrypted_key), vector.header["alg"])
    assert content_key is not None
    sealed = AESGCM(content_key).encrypt(bytes(12), ISSUING.token().encode(), head.encode())
    parts = (bytes(12), sealed[:-16], sealed[-16:])
    token = verifier(vector.key).verify(".".join([head, encrypted_key, *map(base64url, parts)]))
    assert token.issuer == URL


def test_only_keys_that_say_oaep_become_decryption_keys() -> None:
    algorithms = {vector.private["alg"] for vector in ALL if vector.key is not OWN}
    assert algorithms == {"RSA-OAEP", "RSA-OAEP-256"}
    # A key for RSA1_5 opens nothing, not even if it is said to be for encryption in general.
    rsa1_5 = next(vector for vector in VECTORS if vector.private["alg"] == "RSA1_5" and vector.valid)
    with pytest.raises(HeaderRejected):
        plaintext(rsa1_5.token, DecryptionKey({**rsa1_5.private, "alg": "RSA-OAEP"}))


# --- Wycheproof's RSA-OAEP -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Oaep:
    """A ciphertext: what it decrypts to, and whether it may be decrypted with no label."""

    algorithm: str
    number: int
    comment: str
    private: dict[str, Any]
    ciphertext: bytes
    message: bytes
    opens: bool

    def __str__(self) -> str:
        return f"{self.algorithm}-{self.number}-{self.comment}"


def primitives(algorithm: str) -> list[Oaep]:
    return [
        Oaep(
            algorithm,
            case["tcId"],
            case["comment"],
            group["privateKeyJwk"],
            bytes.fromhex(case["ct"]),
            bytes.fromhex(case["msg"]),
            # RFC 7518 section 4.3 has no label: what was made with one must not open.
            case["result"] == "valid" and not case["label"],
        )
        for group in read("wycheproof", PRIMITIVES[algorithm])["testGroups"]
        for case in group["tests"]
    ]


OAEP = [vector for algorithm in PRIMITIVES for vector in primitives(algorithm)]
BY_LENGTH = {size: name for name, size in ENCRYPTIONS.items()}


@pytest.mark.parametrize("vector", OAEP, ids=map(str, OAEP))
def test_an_encrypted_key_has_the_published_verdict(vector: Oaep) -> None:
    key = made_of(json.dumps(vector.private))
    assert key.unwrap(vector.ciphertext, vector.algorithm) == (vector.message if vector.opens else None)


@pytest.mark.parametrize("vector", OAEP, ids=map(str, OAEP))
def test_in_a_token_only_a_key_of_the_right_length_opens(vector: Oaep) -> None:
    content_key = vector.message if len(vector.message) in BY_LENGTH else bytes(32)
    token = seal(
        "a.b.c",
        encrypted_key=vector.ciphertext,
        content_key=content_key,
        alg=vector.algorithm,
        enc=BY_LENGTH[len(content_key)],
    )
    if vector.opens and content_key == vector.message:
        assert plaintext(token, made_of(json.dumps(vector.private))) == b"a.b.c"
    else:
        with pytest.raises(UndecryptableToken):
            plaintext(token, made_of(json.dumps(vector.private)))


def test_some_of_them_do_open_a_token() -> None:
    opening = [vector for vector in OAEP if vector.opens and len(vector.message) in BY_LENGTH]
    assert {vector.algorithm for vector in opening} == set(PRIMITIVES)
    assert any(not vector.opens and vector.message for vector in OAEP)


# --- RFC 7516 and RFC 7520 -------------------------------------------------------------------------------------------

PRINTED = {vector["section"]: vector for vector in read("rfc", "rfc7516.json")["vectors"]}
COOKBOOK = {
    path.name.split(".")[0]: json.loads(path.read_text())
    for path in sorted((folder("rfc") / "cookbook" / "jwe").glob("*.json"))
}
NESTED = read("rfc", "cookbook/6.nesting_signatures_and_encryption.json")


def test_rfc_7516_a_1_opens_where_sha_1_is_switched_on() -> None:
    printed = PRINTED["A.1"]
    key = DecryptionKey({**printed["jwk"], "use": "enc"})
    assert plaintext(printed["compact"], key) == printed["plaintext"].encode()
    with pytest.raises(HeaderRejected) as refused:
        read_jwe(printed["compact"], [key], ("RSA-OAEP-256",), ("A256GCM",), LIMIT)
    assert (refused.value.parameter, refused.value.actual) == ("alg", "RSA-OAEP")


@pytest.mark.parametrize(("section", "algorithm"), [("A.2", "RSA1_5"), ("A.3", "A128KW")])
def test_the_other_tokens_of_rfc_7516_are_refused(section: str, algorithm: str) -> None:
    printed = PRINTED[section]
    keys = [DecryptionKey({**printed["jwk"], "use": "enc"})] if printed["jwk"]["kty"] == "RSA" else [OWN]
    for verify in (lambda: plaintext(printed["compact"], *keys), lambda: verifier(*keys).verify(printed["compact"])):
        with pytest.raises(HeaderRejected) as refused:
            verify()
        assert (refused.value.parameter, refused.value.actual) == ("alg", algorithm)


def test_rfc_7520_5_2_opens() -> None:
    printed = COOKBOOK["5_2"]
    key = DecryptionKey(printed["input"]["key"])
    assert key.kid == printed["encrypting_content"]["protected"]["kid"]
    assert plaintext(printed["output"]["compact"], key) == printed["input"]["plaintext"].encode()
    assert plaintext(printed["output"]["compact"], OWN, key) == printed["input"]["plaintext"].encode()


OTHERS = {name: vector for name, vector in COOKBOOK.items() if name != "5_2"}


def test_the_whole_cookbook_is_there() -> None:
    assert list(OTHERS) == [f"5_{n}" for n in (1, 10, 11, 12, 13, 3, 4, 5, 6, 7, 8, 9)]


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_tokens_of_rfc_7520_are_refused_in_every_serialisation(name: str) -> None:
    for form, value in OTHERS[name]["output"].items():
        texts = [value] if form == "compact" else [json.dumps(value), json.dumps(value, separators=(",", ":"))]
        for token in texts:
            with pytest.raises(InvalidToken):
                plaintext(token, OWN)
            with pytest.raises(InvalidToken):
                verifier(OWN).verify(token)


def test_the_json_serialisations_of_a_token_that_opens_are_refused() -> None:
    key = DecryptionKey(COOKBOOK["5_2"]["input"]["key"])
    for form in ("json", "json_flat"):
        token = json.dumps(COOKBOOK["5_2"]["output"][form])
        with pytest.raises(MalformedToken):
            plaintext(token, key)
        with pytest.raises(InvalidToken):
            verifier(key).verify(token)


def test_the_nested_token_of_rfc_7520_6_holds_the_signed_one() -> None:
    outer, signed = NESTED["encrypt"], NESTED["sign"]["output"]["compact"]
    encrypted = read_with(outer["output"]["compact"], DecryptionKey(outer["input"]["key"]))
    assert drive(decrypt(encrypted)) == signed == outer["input"]["plaintext"]


# --- the functions ---------------------------------------------------------------------------------------------------


def entered(work: Callable[[], Any]) -> set[CodeType]:
    """The code of every Python function that is entered while the work is done."""
    seen: set[CodeType] = set()
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: seen.add(frame.f_code) if event == "call" else None)
    try:
        work()
    finally:
        sys.setprofile(before)
    return seen


ASKED: list[Callable[..., Any]] = [
    jwe.read_jwe,
    jwe.open_sealed,
    jwe.decrypt,
    decryption_keys.DecryptionKey.unwrap,
]


def test_a_verification_meets_the_functions_that_the_vectors_meet() -> None:
    gate = verifier(OWN)
    token = seal(ISSUING.token())
    assert {function.__code__ for function in ASKED} <= entered(lambda: gate.verify(token))
    assert jwe.read_jwe.__code__ not in entered(lambda: gate.verify(ISSUING.token()))


def test_the_settings_make_the_keys_as_the_vectors_do() -> None:
    private = changed(private_jwk(), {"kid": "k1"})
    (key,) = ApiSettings(identifier=API, domain="t.eu.auth0.com", decryption_keys=[private]).keys_for_decryption
    assert key == DecryptionKey(private)
