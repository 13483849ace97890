"""Group K: which of an issuer's keys a token names, and when another look at them is worth a request."""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from jwtgate import ApiSettings, Issuer
from jwtgate.core.key_state import COOL_DOWN, SOFT_AGE
from tests.conformance.attacks.answers import AMBIGUOUS, HEADER, OK, SIGNATURE, UNKNOWN_KEY, V
from tests.conformance.attacks.cases import Attack, Scenarios, World, forged, world_of
from tests.conformance.attacks.forging import by_another, good
from tests.conformance.attacks.stage import Stage
from tests.doors import ISSUING
from tests.loopback import JWKS, sends
from tests.making import ABSENT, API, Issuing, signing_key

RSA, SECOND, THIRD = (signing_key("RSA", number) for number in (1, 2, 3))
EC: Final = signing_key("P-256")


def nameless(algorithm: str = "RS256") -> str:
    return ISSUING.token(algorithm=algorithm, header={"kid": ABSENT})


def _keys(name: str, *jwks: dict[str, Any], algorithms: tuple[str, ...] = ("RS256",)) -> World:
    return world_of(name, lambda: jwks, algorithms)


ONE: Final = _keys("one key", RSA.jwk())
TWO: Final = _keys("two keys", RSA.jwk(), SECOND.jwk())
OF_TWO_KINDS: Final = _keys("keys of two kinds", RSA.jwk(), EC.jwk(), algorithms=("RS256", "ES256"))
ONE_FOR_SIGNATURES: Final = _keys("a key for signatures, another for encryption", RSA.jwk(), SECOND.jwk(use="enc"))
ONE_MARKED: Final = _keys(
    "two keys, marked for different algorithms",
    RSA.jwk(alg="RS256"),
    SECOND.jwk(alg="PS256"),
    algorithms=("RS256", "PS256"),
)
SAME_KID: Final = _keys("two keys of one name", RSA.jwk(kid="same"), SECOND.jwk(kid="same"))
SAME_KID_AND_ANOTHER: Final = _keys(
    "two keys of one name, and a third", RSA.jwk(kid="same"), SECOND.jwk(kid="same"), THIRD.jwk()
)
SAME_KID_OTHER_KIND: Final = _keys(
    "two keys of one name and of two kinds", RSA.jwk(kid="same"), EC.jwk(kid="same"), algorithms=("RS256", "ES256")
)
SAME_KEY_TWICE: Final = _keys("one key twice", RSA.jwk(), RSA.jwk())
SAME_KID_ONE_USABLE: Final = _keys(
    "two keys of one name, one of them for encryption", RSA.jwk(kid="same"), SECOND.jwk(kid="same", use="enc")
)
NAMELESS_KEY: Final = _keys("a key without a name", RSA.jwk(kid=ABSENT))


def _odd(name: str, **changes: Any) -> World:
    """A good key, and a second one that is no key for signatures."""
    return _keys(name, RSA.jwk(), SECOND.jwk(**changes))


def _skipped(name: str, about: str, **changes: Any) -> list[Attack]:
    return forged(name, UNKNOWN_KEY, {about: lambda: by_another(SECOND, kid=SECOND.kid)}, _odd(about, **changes))


def _two_issuers(**mode: Any) -> ApiSettings:
    """A and B, and each has a key that is called "shared", and one of its own."""
    issuers = [
        Issuer(ISSUING.url, jwks={"keys": [RSA.jwk(kid="shared"), EC.jwk()]}, signing_algorithms=("RS256", "ES256")),
        Issuer("https://b.test/", jwks={"keys": [SECOND.jwk(kid="shared"), THIRD.jwk()]}),
    ]
    return ApiSettings(**{"identifier": API, "issuers": issuers, **mode})


TWO_ISSUERS: Final = World("two issuers with a kid in common", _two_issuers)
B: Final = Issuing(url="https://b.test/")


def _kid(kid: Any) -> Any:
    return lambda: ISSUING.token(header={"kid": kid})


LETTERS: Final = "cl\u00e9-\u212b"  # both have another form that means the same text
ACCENTED: Final = _keys("a key with accents in its name", RSA.jwk(kid=unicodedata.normalize("NFC", LETTERS)))

TOKENS: Final[list[Attack]] = [
    *forged("K01", OK, {"one key": nameless}, ONE),
    *forged("K01", AMBIGUOUS, {"two keys": nameless}, TWO),
    *forged("K01+", OK, {"one key that fits the algorithm": nameless}, OF_TWO_KINDS),
    *forged("K01+", OK, {"one key that fits the other one": lambda: nameless("ES256")}, OF_TWO_KINDS),
    *forged("K01+", OK, {"one key for signatures": nameless}, ONE_FOR_SIGNATURES),
    *forged("K01+", OK, {"one key that is marked for it": nameless}, ONE_MARKED),
    *forged("K01+", OK, {"one key, published twice": nameless}, SAME_KEY_TWICE),
    *forged("K01+", OK, {"one key, and no name either": nameless}, NAMELESS_KEY),
    *forged("K01+", UNKNOWN_KEY, {"a name that no key has": good}, NAMELESS_KEY),
    *forged("K01+", AMBIGUOUS, {"two keys of one name": nameless}, SAME_KID),
    *forged("K01+", SIGNATURE, {"one key, and another has signed": lambda: by_another(SECOND, kid=ABSENT)}, ONE),
    *forged("K01+", HEADER, {"null is not missing": _kid(None)}, ONE),
    *forged("K01+", UNKNOWN_KEY, {"an empty one is not missing": _kid("")}, ONE),
    *forged(
        "K06",
        AMBIGUOUS,
        {
            "signed by the first": lambda: by_another(RSA, kid="same"),
            "signed by the second": lambda: by_another(SECOND, kid="same"),
        },
        SAME_KID,
    ),
    *forged("K06+", OK, {"the third serves on": lambda: by_another(THIRD, kid=THIRD.kid)}, SAME_KID_AND_ANOTHER),
    *forged(
        "K06+",
        AMBIGUOUS,
        {
            "of two kinds, signed by the first": lambda: by_another(RSA, kid="same"),
            "of two kinds, signed by the second": lambda: by_another(EC, algorithm="ES256", kid="same"),
        },
        SAME_KID_OTHER_KIND,
    ),
    *forged("K06+", OK, {"the same key twice": good}, SAME_KEY_TWICE),
    *forged("K06+", OK, {"one for encryption": lambda: by_another(RSA, kid="same")}, SAME_KID_ONE_USABLE),
    *forged(
        "K06+",
        SIGNATURE,
        {"signed by that for encryption": lambda: by_another(SECOND, kid="same")},
        SAME_KID_ONE_USABLE,
    ),
    *forged(
        "K07",
        SIGNATURE,
        {
            "A said, B signed": lambda: by_another(SECOND, kid="shared"),
            "B said, A signed": lambda: by_another(RSA, B, kid="shared"),
        },
        TWO_ISSUERS,
    ),
    *forged(
        "K07+",
        OK,
        {
            "A said, A signed": lambda: by_another(RSA, kid="shared"),
            "B said, B signed": lambda: by_another(SECOND, B, kid="shared"),
        },
        TWO_ISSUERS,
    ),
    *forged(
        "K07+",
        UNKNOWN_KEY,
        {
            "a kid that only B has": lambda: by_another(THIRD, kid=THIRD.kid),
            "a kid that only A has": lambda: by_another(RSA, B, kid=EC.kid),
        },
        TWO_ISSUERS,
    ),
    *forged(
        "K07+", HEADER, {"an algorithm that only A has": lambda: by_another(EC, B, "ES256", kid=EC.kid)}, TWO_ISSUERS
    ),
    *_skipped("K09", "use is enc", use="enc"),
    *_skipped("K09+", "use is SIG", use="SIG"),
    *_skipped("K09+", "use is an array", use=["sig"]),
    *_skipped("K09+", "use is empty", use=""),
    *_skipped("K09+", "use is null", use=None),
    *_skipped("K10", "key_ops without verify", key_ops=["sign"]),
    *_skipped("K10+", "key_ops is empty", key_ops=[]),
    *_skipped("K10+", "key_ops for encryption", key_ops=["encrypt", "wrapKey"]),
    *_skipped("K10+", "key_ops is a text", key_ops="verify"),
    *_skipped("K10+", "key_ops in capitals", key_ops=["VERIFY"]),
    *_skipped("K10+", "key_ops is an object", key_ops={"verify": True}),
    *_skipped("K10+", "key_ops is null", key_ops=None),
    *_skipped("K10+", "verify, but for encryption", use="enc", key_ops=["verify"]),
    *_skipped("K10+", "marked with an algorithm of other keys", alg="ES256"),
    *_skipped("K10+", "marked for encryption", alg="RSA-OAEP-256"),
    *_skipped("K10+", "marked with what nobody knows", alg="XS256"),
    *_skipped("K10+", "marked HS256", alg="HS256"),
    *_skipped("K10+", "marked none", alg="none"),
    *_skipped("K10+", "marked with an array", alg=["RS256"]),
    *forged("K10+", OK, {"verify among others": good}, _keys("k", RSA.jwk(key_ops=["sign", "verify"]))),
    *forged(
        "K13",
        UNKNOWN_KEY,
        {
            "decomposed": _kid(unicodedata.normalize("NFD", LETTERS)),
            "in the other case": _kid(LETTERS.swapcase()),
            "folded": _kid(LETTERS.casefold()),
        },
        ACCENTED,
    ),
    *forged("K13+", OK, {"the same": _kid(unicodedata.normalize("NFC", LETTERS))}, ACCENTED),
    *forged(
        "K13+",
        UNKNOWN_KEY,
        {
            "in lower case": _kid("rsa-1"),
            "a space behind": _kid("RSA-1 "),
            "a space in front": _kid(" RSA-1"),
            "a null behind": _kid("RSA-1\0"),
            "its beginning": _kid("RSA-"),
            "more than it": _kid("RSA-1,RSA-2"),
            "a hyphen of another kind": _kid("RSA\u20101"),
            "a digit of another script": _kid("RSA-\uff11"),
            "a soft hyphen inside": _kid("RSA\u00ad-1"),
        },
        TWO,
    ),
]

# --- with a server ------------------------------------------------------------------------------------------

SCENES: Final = Scenarios()


def _warm(stage: Stage) -> Any:
    verifier = stage.verifier()
    assert stage.lets_in(verifier, stage.issuing.token())
    assert stage.fetches == 1
    return verifier


@SCENES.scenario("K03", "T")
def an_unknown_kid_costs_one_look(stage: Stage) -> None:
    verifier = _warm(stage)
    unknown = stage.issuing.token(header={"kid": "nobody-has-it"})
    assert stage.ask(verifier, unknown) == UNKNOWN_KEY.answer
    assert stage.fetches == 2
    stage.clock.at += COOL_DOWN
    assert stage.ask(verifier, stage.issuing.token(header={"kid": "nor-this"})) == UNKNOWN_KEY.answer
    assert stage.fetches == 3


@SCENES.scenario("K04", "T")
def within_the_cool_down_nothing_is_fetched(stage: Stage) -> None:
    verifier = _warm(stage)
    for number in range(50):
        token = stage.issuing.token(header={"kid": f"no-{number}"})
        assert stage.ask(verifier, token) == UNKNOWN_KEY.answer
    stage.clock.at += COOL_DOWN - 1
    assert stage.ask(verifier, stage.issuing.token(header={"kid": "late"})) == UNKNOWN_KEY.answer
    assert stage.fetches == 2
    assert stage.lets_in(verifier, stage.issuing.token())


@SCENES.scenario("K04+", "T")
def a_kid_that_was_looked_for_in_vain_is_looked_for_ever_more_rarely(stage: Stage) -> None:
    verifier = _warm(stage)
    unknown = stage.issuing.token(header={"kid": "nobody-has-it"})
    for _ in range(10):
        assert stage.ask(verifier, unknown) == UNKNOWN_KEY.answer
        stage.clock.at += COOL_DOWN
    assert stage.fetches < 6


@SCENES.scenario("K04+", "T")
def what_is_refused_before_its_key_is_looked_for_costs_no_look(stage: Stage) -> None:
    verifier = _warm(stage)
    for change in ({"alg": "none"}, {"alg": "HS256"}, {"crit": ["x"]}, {"kid": "k" * 257}):
        assert stage.ask(verifier, stage.issuing.token(header={"kid": "new", **change})) == HEADER.answer
    assert stage.fetches == 1


@SCENES.scenario("K04+", "T V")
def a_look_that_fails_is_our_fault_and_costs_the_cool_down_too(stage: Stage) -> None:
    verifier = _warm(stage)
    stage.origin.answers[JWKS] = sends(b"", 500)
    for number in range(9):
        assert stage.ask(verifier, stage.issuing.token(header={"kid": f"no-{number}"})) == V.answer
    assert stage.fetches == 2
    assert stage.lets_in(verifier, stage.issuing.token())


@SCENES.scenario("K06+", "T")
def a_second_key_under_a_known_name_takes_both_away(stage: Stage) -> None:
    verifier = _warm(stage)
    intruder = signing_key("RSA", 7)
    stage.serve(stage.issuing.key().jwk(), intruder.jwk(kid=stage.issuing.key().kid), THIRD.jwk())
    stage.clock.at += SOFT_AGE
    stage.ask(verifier, stage.issuing.token())
    assert stage.ask(verifier, stage.issuing.token()) == AMBIGUOUS.answer
    assert stage.ask(verifier, by_another(intruder, stage.issuing)) == AMBIGUOUS.answer
    assert stage.lets_in(verifier, by_another(THIRD, stage.issuing, kid=THIRD.kid))


@SCENES.scenario("K12", "OK")
def a_new_key_signs_before_it_was_fetched(stage: Stage) -> None:
    verifier = _warm(stage)
    stage.serve(stage.issuing.key().jwk(), stage.other.key().jwk())
    assert stage.lets_in(verifier, stage.other.token())
    assert stage.lets_in(verifier, stage.issuing.token())
    assert stage.fetches == 2


@SCENES.scenario("K12+", "T")
def a_withdrawn_key_goes_with_its_set(stage: Stage) -> None:
    verifier = _warm(stage)
    stage.serve(stage.other.key().jwk())
    assert stage.lets_in(verifier, stage.other.token())
    assert stage.ask(verifier, stage.issuing.token()) == UNKNOWN_KEY.answer
    assert stage.fetches == 2


CASES: Final = [*TOKENS, *SCENES]
