"""Published test vectors, and what this package says of one: read from the folder that $JWTGATE_VECTORS names.

The verdict is that of the very functions that a request meets, in their order (`test_jws_vectors.py` shows that it
meets them): a vector's payload is seldom a JWT's, so that its signature is looked at apart from its claims.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, Final

import pytest

from jwtgate import ApiSettings, InvalidToken, Issuer, SettingsError, Verifier
from jwtgate.core.compact import decode_base64url, parse, verify
from jwtgate.core.jwk import ASYMMETRIC, VerificationKey
from jwtgate.core.keys import IssuerKeys, keys_of
from jwtgate.core.verification import check_algorithm
from tests.making import API, MOMENT, NOW, SECRET, Issuing, base64url, segment

VARIABLE: Final = "JWTGATE_VECTORS"
URL: Final = "https://vectors.test/"
LIMIT: Final = 1_048_576  # characters of a token: no vector is refused for its length
ISSUING: Final = Issuing(url=URL)
EMPTY: Final = segment({})
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth")


def folder(name: str) -> Path:
    """One of the folders of vectors. Skips the module that asks where there are none."""
    root = os.environ.get(VARIABLE, "")
    found = Path(root) / name
    if not root or not found.is_dir():
        pytest.skip(
            f"set {VARIABLE} to a folder that holds {name}/. In wycheproof/ are the files of C2SP/wycheproof, "
            "testvectors_v1; in rfc/ those of ietf-jose/cookbook, and the values that RFCs print",
            allow_module_level=True,
        )
    return found


def read(kind: str, name: str) -> Any:
    return json.loads((folder(kind) / name).read_text(encoding="utf-8"))


def stated_counts(kind: str) -> dict[str, list[int]]:
    """By the first cell of each row of its SOURCE.md, the numbers in the second: how many cases were published."""
    rows = re.findall(r"^\| *([^|]+?) *\| *([^|]*?) *\|", (folder(kind) / "SOURCE.md").read_text(), re.MULTILINE)
    return {name: [int(number) for number in re.findall(r"\d+", cell)] for name, cell in rows}


# --- Wycheproof's files of JSON Web Signatures ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Jws:
    """One published token. keys: the JWKs it is to be verified with; private: those it was made with."""

    file: str
    number: int
    comment: str
    keys: tuple[dict[str, Any], ...]
    private: tuple[dict[str, Any], ...]
    token: Any
    valid: bool

    def __str__(self) -> str:
        return f"{self.number}-{self.comment}"


def jws_vectors(name: str) -> list[Jws]:
    """Every JWS of a Wycheproof file, in its order."""
    groups = read("wycheproof", name)["testGroups"]
    return [
        Jws(name, case["tcId"], case["comment"], *_keys(group), case["jws"], case["result"] == "valid")
        for group in groups
        for case in group["tests"]
        if "jws" in case
    ]


def _keys(group: Mapping[str, Any]) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    private = _each(group["private"])
    return _each(group["public"]) if "public" in group else tuple(map(public_part, private)), private


def _each(jwk: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    return tuple(jwk["keys"]) if "keys" in jwk else (jwk,)


def public_part(jwk: Mapping[str, Any]) -> dict[str, Any]:
    """What an issuer would publish of a key. Of a secret nothing is public, and it stays as it is."""
    return {name: value for name, value in jwk.items() if jwk["kty"] == "oct" or name not in _PRIVATE}


# --- what this package says ---------------------------------------------------------------------------------


class Clock:
    """It always stands at NOW."""

    def wall(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


ZEROS: Final = bytes(32)  # a secret in one group of Wycheproof's, whose point is base64url; no API may have it


def settings_for(keys: Sequence[Mapping[str, Any]]) -> ApiSettings:
    """An API that trusts these JWKs for whatever algorithms they may verify. Raises SettingsError.

    One secret for HS256 is the API's signing secret, as it would be in the Dashboard; in all else the JWKs are a set
    that an issuer published. The vectors' headers have no `typ`.
    """
    if len(keys) == 1 and (keys[0]["kty"], keys[0].get("alg")) == ("oct", "HS256"):
        return secret_settings(decode_base64url(keys[0]["k"]))
    return _settings(Issuer(URL, accept_typ=[None], jwks={"keys": [*keys]}, signing_algorithms=sorted(ASYMMETRIC)))


def secret_settings(secret: bytes) -> ApiSettings:
    """An API with this signing secret. Raises SettingsError, but for ZEROS."""
    given = SECRET if secret == ZEROS else secret
    issuer = Issuer(URL, accept_typ=[None], signing_secret=given, signing_algorithms=["HS256"])
    settings = _settings(issuer)
    object.__setattr__(issuer, "signing_secret", secret)  # past the checks, which ZEROS would not pass
    return settings


def _settings(issuer: Issuer) -> ApiSettings:
    return ApiSettings(identifier=API, issuers=[issuer], max_token_bytes=LIMIT)


def verifier_for(keys: Sequence[Mapping[str, Any]]) -> Verifier:
    """As `settings_for`. Raises SettingsError."""
    return Verifier(settings_for(keys), clock=Clock())


def key_for(settings: ApiSettings, algorithm: str, kid: str | None = None) -> VerificationKey:
    """The key that these settings hold for a token with such a header. Raises InvalidToken."""
    header = {"alg": algorithm} if kid is None else {"alg": algorithm, "kid": kid}
    return _found(f"{segment(header)}.{EMPTY}.AAAA", settings)


def _found(token: str, settings: ApiSettings) -> VerificationKey:
    own: IssuerKeys = keys_of(settings)[URL]
    unverified = parse(token, LIMIT)
    check_algorithm(unverified, own)
    key = own.find_at_once(unverified, MOMENT.monotonic)
    if key is None:
        raise AssertionError("keys that are given are never waited for")
    return key


def check_jws(token: Any, settings: ApiSettings) -> None:
    """Raises InvalidToken, or ValueError for a payload that is not canonical base64url."""
    if not isinstance(token, str) or token.count(".") != 2:
        parse(token, LIMIT)
    first, second, third = token.split(".")
    decode_base64url(second)
    # The header and the signature as they are, over a payload that is a JWT's.
    key = _found(f"{first}.{EMPTY}.{third}", settings)
    key.check(f"{first}.{second}".encode(), decode_base64url(third))
    if _holds_an_object(second):
        verify(parse(token, LIMIT), key)


def _holds_an_object(text: str) -> bool:
    try:
        return isinstance(json.loads(decode_base64url(text)), dict)
    except ValueError:
        return False


def accepts(vector: Jws) -> bool:
    """Do the keys, the header, both encodings and the signature of a vector hold?"""
    try:
        check_jws(vector.token, settings_for(vector.keys))
    except (InvalidToken, SettingsError, ValueError):
        return False
    return True


def holds(key: VerificationKey, message: bytes, signature: bytes) -> bool:
    """Is it a signature over these octets?"""
    try:
        key.check(message, signature)
    except InvalidToken:
        return False
    return True


def grafted(token: Any) -> str:
    """The header and signature of a token around good claims of the issuer that is trusted: it gets past its payload.

    Of what has no three segments, those that there are.
    """
    segments = token.split(".") if isinstance(token, str) else [json.dumps(token)]
    if len(segments) > 1:
        segments[1] = segment(ISSUING.claims())
    return ".".join(segments)


def wrapped(algorithm: str, signature: bytes) -> str:
    """A JWT with good claims and somebody else's signature."""
    return f"{segment({'alg': algorithm})}.{segment(ISSUING.claims())}.{base64url(signature)}"


# --- what is called -----------------------------------------------------------------------------------------


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
