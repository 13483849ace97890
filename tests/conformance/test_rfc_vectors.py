"""What RFCs print of signatures, keys, thumbprints and access tokens is read here as they say it must be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jwtgate import ApiSettings, InvalidToken, Issuer, Verifier
from jwtgate.core.compact import decode_base64url, parse, verify
from jwtgate.core.errors import EncryptedToken, HeaderRejected, MalformedToken, TokenExpired, UntrustedIssuer
from jwtgate.core.jwk import UnusableKey, read_jwk, read_keys, thumbprint
from tests.conformance.vectors import (
    LIMIT,
    check_jws,
    folder,
    grafted,
    holds,
    key_for,
    public_part,
    read,
    settings_for,
    verifier_for,
)
from tests.making import base64url, compact, signing_key

RFC = folder("rfc")
WYCHEPROOF = folder("wycheproof")
TESTS = Path(__file__).parents[1]


def settings_of(jwk: Mapping[str, Any], algorithm: str) -> ApiSettings:
    """With this key alone. The RFCs write secrets without `alg`."""
    return settings_for([{**public_part(jwk), "alg": algorithm}])


# --- nothing is left out --------------------------------------------------------------------------------------------


READ_WHOLE = ("cookbook/jws", "cookbook/jwk", "cookbook/jwe", "cookbook/rfc7797")  # folders whose files have one form


def test_every_file_of_vectors_is_named_by_a_test() -> None:
    """By its own name, or where all files of a folder are read, by that of the folder."""
    files = [path for top in (RFC, WYCHEPROOF) for path in sorted(top.rglob("*.json"))]
    lines = [line for file in TESTS.rglob("test_*.py") for line in file.read_text(encoding="utf-8").splitlines()]
    texts = "\n".join(line for line in lines if not line.startswith("READ_WHOLE"))
    unnamed = []
    for path in files:
        name = path.relative_to(RFC.parent).as_posix()
        folders = [where for where in READ_WHOLE if f"rfc/{where}/" in name]
        spelt = [where.replace("/", '" / "') for where in folders]  # as a path is put together
        if not any(word in texts for word in (path.name, *folders, *spelt)):
            unnamed.append(name)
    assert len(files) > 45
    assert unnamed == []


# --- RFC 7515 and RFC 8037 ------------------------------------------------------------------------------------------

PRINTED = [*read("rfc", "rfc7515.json")["vectors"], *read("rfc", "rfc8037.json")["vectors"]]
SIGNED = [vector for vector in PRINTED if vector["result"] == "valid"]
OF_CLAIMS = [vector for vector in SIGNED if vector["section"] in ("A.1", "A.2", "A.3")]


def section(vector: Mapping[str, Any]) -> str:
    return str(vector["section"])


def test_the_sections_are_those_that_were_published() -> None:
    assert [section(vector) for vector in PRINTED] == ["A.1", "A.2", "A.3", "A.4", "A.5", "E", "A.4"]
    assert {vector["alg"] for vector in SIGNED} == {"HS256", "RS256", "ES256", "ES512", "EdDSA"}


@pytest.mark.parametrize("vector", SIGNED, ids=section)
def test_a_printed_signature_holds_and_a_changed_one_does_not(vector: dict[str, Any]) -> None:
    settings = settings_of(vector["jwk"], vector["alg"])
    check_jws(vector["compact"], settings)
    first, second, third = vector["compact"].split(".")
    octets = decode_base64url(third)
    for changed in (bytes([octets[0] ^ 1]) + octets[1:], octets[:-1] + bytes([octets[-1] ^ 1])):
        with pytest.raises(InvalidToken):
            check_jws(f"{first}.{second}.{base64url(changed)}", settings)


@pytest.mark.parametrize("vector", OF_CLAIMS, ids=section)
def test_the_claims_of_a_printed_token_are_read(vector: dict[str, Any]) -> None:
    key = key_for(settings_of(vector["jwk"], vector["alg"]), vector["alg"])
    signed = verify(parse(vector["compact"], LIMIT), key)
    assert signed.claims == {"iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": True}
    assert signed.header == json.loads(vector["protected"])


@pytest.mark.parametrize("vector", OF_CLAIMS, ids=section)
def test_a_printed_token_is_of_nobody_that_is_trusted(vector: dict[str, Any]) -> None:
    verifier = Verifier(settings_of(vector["jwk"], vector["alg"]))
    with pytest.raises(UntrustedIssuer) as refused:
        verifier.verify(vector["compact"])
    assert refused.value.actual == "joe"


@pytest.mark.parametrize("vector", [vector for vector in PRINTED if vector not in SIGNED], ids=section)
def test_unsecured_tokens_and_unknown_extensions_are_refused(vector: dict[str, Any]) -> None:
    """Appendices A.5 and E: the RFC calls the first one valid, RFC 8725 section 3.2 and RFC 9068 section 2.1 do not."""
    token = vector.get("compact", vector.get("jws"))
    verifier = verifier_for([signing_key().jwk()])
    for one in (token, grafted(token)):
        with pytest.raises((HeaderRejected, MalformedToken)):
            verifier.verify(one)
    with pytest.raises(HeaderRejected):
        verifier.verify(grafted(token))


# --- the cookbook: RFC 7520, RFC 7797, RFC 8037 -----------------------------------------------------------------------

SERIALISED = {
    path.relative_to(RFC / "cookbook").as_posix(): json.loads(path.read_text(encoding="utf-8"))
    for where in ("jws", "rfc7797", "curve25519")  # cookbook/jws, cookbook/rfc7797, cookbook/curve25519
    for path in sorted((RFC / "cookbook" / where).glob("*.json"))
    if "jws" in path.as_posix() or where == "rfc7797"
}
COMPACT = {
    "jws/4_1.rsa_v15_signature.json",
    "jws/4_2.rsa-pss_signature.json",
    "jws/4_3.ecdsa_signature.json",
    "jws/4_4.hmac-sha2_integrity_protection.json",
    "curve25519/jws.json",
}
# Its `sig-input` and `sig` are those of the other file of its folder: what it prints of `output` alone is its own.
MISPRINTED = {"rfc7797/hmac-sha2_b64_false.json"}


def test_the_cookbook_is_there() -> None:
    assert len(SERIALISED) == 11
    assert set(SERIALISED) >= COMPACT | MISPRINTED


def keys_in(example: Mapping[str, Any]) -> list[tuple[dict[str, Any], str]]:
    keys, names = example["input"]["key"], example["input"]["alg"]
    return list(zip(keys, names, strict=True)) if isinstance(keys, list) else [(keys, names)]


@pytest.mark.parametrize("name", COMPACT)
def test_a_compact_signature_holds(name: str) -> None:
    example = SERIALISED[name]
    ((jwk, algorithm),) = keys_in(example)
    check_jws(example["output"]["compact"], settings_of(jwk, algorithm))
    with pytest.raises(MalformedToken):  # its payload is no set of claims
        Verifier(settings_of(jwk, algorithm)).verify(example["output"]["compact"])


@pytest.mark.parametrize("name", sorted(SERIALISED.keys() - MISPRINTED))
def test_every_signature_holds_over_what_was_signed(name: str) -> None:
    example = SERIALISED[name]
    steps = example["signing"] if isinstance(example["signing"], list) else [example["signing"]]
    for (jwk, algorithm), step in zip(keys_in(example), steps, strict=True):
        key = key_for(settings_of(jwk, algorithm), algorithm)
        assert holds(key, step["sig-input"].encode(), decode_base64url(step["sig"]))
        assert not holds(key, step["sig-input"].encode() + b".", decode_base64url(step["sig"]))


@pytest.mark.parametrize("name", SERIALISED)
def test_what_is_no_compact_serialisation_of_a_whole_token_is_refused(name: str) -> None:
    """JSON serialisations, content that is detached, and content that is not in base64url (RFC 7797)."""
    output = SERIALISED[name]["output"]
    others = [value for form, value in output.items() if form != "compact" or name not in COMPACT]
    assert others
    for jwk, algorithm in keys_in(SERIALISED[name]):
        settings = settings_of(jwk, algorithm)
        for value in others:
            for token in (value, json.dumps(value), json.dumps(value, separators=(",", ":"))):
                with pytest.raises((InvalidToken, ValueError)):
                    check_jws(token, settings)
                with pytest.raises(InvalidToken):
                    Verifier(settings).verify(token)


def test_what_is_agreed_upon_with_x25519_is_encrypted_and_nobody_here_opens_it() -> None:
    """`ecdh-es.json` of cookbook/curve25519."""
    example = json.loads((RFC / "cookbook" / "curve25519" / "ecdh-es.json").read_text(encoding="utf-8"))
    verifier = verifier_for([signing_key().jwk()])
    with pytest.raises(EncryptedToken):
        verifier.verify(example["output"]["compact"])
    for form in ("json", "json_flat"):
        with pytest.raises(InvalidToken):
            verifier.verify(json.dumps(example["output"][form]))


# cookbook/jwk
JWKS = {path.name: json.loads(path.read_text()) for path in sorted((RFC / "cookbook" / "jwk").glob("*.json"))}


def test_public_keys_are_taken_and_private_and_symmetric_ones_are_not() -> None:
    taken = {name: usable(jwk) for name, jwk in JWKS.items()}
    assert taken == {
        "3_1.ec_public_key.json": True,
        "3_2.ec_private_key.json": False,
        "3_3.rsa_public_key.json": True,
        "3_4.rsa_private_key.json": False,
        "3_5.symmetric_key_mac_computation.json": False,
        "3_6.symmetric_key_encryption.json": False,
    }
    for public, private in (("3_1.ec_public_key", "3_2.ec_private_key"), ("3_3.rsa_public_key", "3_4.rsa_private_key")):
        assert usable(public_part(JWKS[f"{private}.json"]))
        assert thumbprint(JWKS[f"{private}.json"]) == read_jwk(JWKS[f"{public}.json"]).thumbprint


def usable(jwk: Mapping[str, Any]) -> bool:
    try:
        read_jwk(jwk)
    except UnusableKey:
        return False
    return True


# --- thumbprints ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", read("rfc", "thumbprints.json")["vectors"], ids=lambda vector: vector["rfc"])
def test_a_thumbprint_is_as_printed(vector: dict[str, Any]) -> None:
    assert thumbprint(vector["jwk"]) == read_jwk(vector["jwk"]).thumbprint == vector["sha256"]
    (published,) = read_keys(json.dumps(vector["jwk"]).encode(), ["RS256", "ES256", "EdDSA"]).published
    assert thumbprint(published) == vector["sha256"]


# --- RFC 9068 -------------------------------------------------------------------------------------------------------


class At:
    """A clock that stands where it is told to."""

    def __init__(self, wall: float) -> None:
        self.at = wall

    def wall(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return 0.0


EXAMPLE = read("rfc", "rfc9068.json")


def example_verifier(now: float, leeway: float = 0) -> Verifier:
    claims, kid = EXAMPLE["claims"], EXAMPLE["header"]["kid"]
    issuer = Issuer(claims["iss"], jwks={"keys": [signing_key().jwk(kid=kid)]}, profile="rfc9068")
    settings = ApiSettings(identifier=claims["aud"], issuers=[issuer], leeway=leeway)
    return Verifier(settings, clock=At(now))


def test_the_access_token_of_rfc_9068_is_accepted_while_it_lives() -> None:
    """Figure 2. The RFC prints no signature; its `typ` is `at+JWT`, in capitals."""
    claims = EXAMPLE["claims"]
    printed = compact(EXAMPLE["header"], claims, signing_key())
    token = example_verifier(claims["iat"]).verify(printed)
    assert (token.subject, token.client_id, token.issuer) == (claims["sub"], claims["client_id"], claims["iss"])
    assert token.scopes == {"openid", "profile", "reademail"}
    assert token.header["typ"] == "at+JWT"
    assert example_verifier(claims["exp"] - 1).verify(printed).subject == claims["sub"]
    for now, leeway in ((claims["exp"], 0), (claims["exp"] + 30, 30)):
        with pytest.raises(TokenExpired):
            example_verifier(now, leeway).verify(printed)


@pytest.mark.parametrize("claim", ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"])
def test_each_claim_that_rfc_9068_requires_is_required(claim: str) -> None:
    """Section 2.2."""
    claims = {name: value for name, value in EXAMPLE["claims"].items() if name != claim}
    with pytest.raises(InvalidToken):
        example_verifier(EXAMPLE["claims"]["iat"]).verify(compact(EXAMPLE["header"], claims, signing_key()))
