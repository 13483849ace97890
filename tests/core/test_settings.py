"""What could never be right is refused when it is written down, and by its name; the rest is a value."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from jwtgate.core.environment import ENVIRONMENT
from jwtgate.core.errors import SettingsError
from jwtgate.core.keys import keys_of
from jwtgate.core.possession import ProofOfPossession
from jwtgate.core.settings import ApiSettings, Issuer
from jwtgate.core.snapshot import Kept, write_snapshot
from jwtgate.core.values import ALGORITHMS, MAX_LEEWAY, check_url
from tests.making import API, ISSUER, NOW, SECRET, Issuing, signing_key
from tests.sealing import pem, private_jwk, private_key

DOMAIN = "tenant.eu.auth0.com"
TENANT = f"https://{DOMAIN}/"
JWKS = Issuing().jwks()
AT_LEAST = {"AUTH0_DOMAIN": DOMAIN, "AUTH0_AUDIENCE": API}
RSA_JWKS = Issuing().jwks(signing_key().jwk())


def api(**settings: Any) -> ApiSettings:
    """A good API with some settings changed."""
    if not {"domain", "issuers"} & settings.keys():
        settings["domain"] = DOMAIN
    return ApiSettings(**{"identifier": API, **settings})


def hs256(**settings: Any) -> ApiSettings:
    return api(**{"signing_algorithms": ["HS256"], "signing_secret": SECRET, **settings})


def refused(make: Any, *arguments: Any, **settings: Any) -> SettingsError:
    with pytest.raises(SettingsError) as refusal:
        make(*arguments, **settings)
    assert SECRET.decode() not in str(refusal.value)
    return refusal.value


# --- what holds unless it is changed -------------------------------------------------------------------------------


def test_an_identifier_and_a_domain_are_enough() -> None:
    policy = api().policies[TENANT]
    assert (policy.issuer, policy.identifiers, policy.algorithms) == (TENANT, (API,), {"RS256"})
    assert (policy.profile, policy.accept_typ, policy.leeway, policy.token_lifetime) == (None, (), 30, None)


def test_an_issuer_has_its_own_word_before_the_api() -> None:
    own = Issuer(
        ISSUER,
        signing_algorithms=["ES256"],
        profile="rfc9068",
        identifier=["a", "b"],
        leeway=0,
        accept_typ=["application/AT+JWT", "Custom", None],
    )
    policies = api(issuers=[own], domain=DOMAIN, profile="auth0", token_lifetime=60).policies
    assert (policies[ISSUER].algorithms, policies[ISSUER].profile) == ({"ES256"}, "rfc9068")
    assert (policies[ISSUER].identifiers, policies[ISSUER].leeway) == (("a", "b"), 0)
    assert policies[ISSUER].accept_typ == ("at+jwt", "custom", None)
    assert (policies[TENANT].algorithms, policies[TENANT].profile) == ({"RS256"}, "auth0")
    assert (policies[ISSUER].token_lifetime, policies[TENANT].token_lifetime) == (60, 60)


@pytest.mark.parametrize("identifier", ["https://api.test", "https://api.test/", "urn:x", "é ", "A", "a" * 600])
def test_an_identifier_is_kept_to_the_letter(identifier: str) -> None:
    assert api(identifier=identifier).policies[TENANT].identifiers == (identifier,)
    assert api(identifier=[identifier, "b"]).policies[TENANT].identifiers == (identifier, "b")
    own = Issuer(ISSUER, identifier=identifier)
    assert api(issuers=[own]).policies[ISSUER].identifiers == (identifier,)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS - {"HS256"}))
def test_every_public_key_algorithm_can_be_chosen(algorithm: str) -> None:
    assert api(signing_algorithms=(name for name in [algorithm])).policies[TENANT].algorithms == {algorithm}


def test_the_domain_is_the_same_as_the_issuer_made_of_it() -> None:
    assert api(domain=DOMAIN).issuers == (Issuer.auth0(DOMAIN),) == api(issuers=[Issuer.auth0(DOMAIN)]).issuers
    assert not Issuer.auth0(DOMAIN).jwk_alg_binds
    assert Issuer(TENANT).jwk_alg_binds
    assert Issuer.auth0(DOMAIN, leeway=5, jwk_alg_binds=True) == Issuer(TENANT, leeway=5)


def test_several_domains_are_several_issuers_beside_the_others() -> None:
    settings = api(domain=[DOMAIN, "login.example.com"], issuers=(issuer for issuer in [Issuer(ISSUER)]))
    assert [issuer.url for issuer in settings.issuers] == [ISSUER, TENANT, "https://login.example.com/"]


@pytest.mark.parametrize(
    ("issuer", "address"),
    [
        (Issuer("https://a.test/"), "https://a.test/.well-known/openid-configuration"),
        (Issuer("https://a.test"), "https://a.test/.well-known/openid-configuration"),
        (Issuer("https://a.test/realms/x"), "https://a.test/realms/x/.well-known/openid-configuration"),
        (Issuer("https://a.test/", metadata_url="https://b.test/m?x=1"), "https://b.test/m?x=1"),
    ],
)
def test_metadata_is_where_the_issuer_says(issuer: Issuer, address: str) -> None:
    assert issuer.discovery_url == address


def test_one_scheme_is_spoken() -> None:
    assert api().schemes == ("Bearer",)


# --- domains -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "url"),
    [
        ("tenant.eu.auth0.com", TENANT),
        ("tenant.eu.auth0.com/", TENANT),
        ("https://tenant.eu.auth0.com", TENANT),
        ("https://tenant.eu.auth0.com/", TENANT),
        ("HTTPS://Tenant.EU.Auth0.com/", TENANT),
        ("login.example.com", "https://login.example.com/"),
        ("xn--bcher-kva.example", "https://xn--bcher-kva.example/"),
        ("http://localhost:3000", "http://localhost:3000/"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/"),
        ("http://[::1]:8000", "http://[::1]:8000/"),
    ],
)
def test_a_domain_is_understood(domain: str, url: str) -> None:
    assert Issuer.auth0(domain).url == url
    assert api(domain=domain).issuers[0].url == url


BAD_DOMAINS = [
    "",
    "/",
    "https://",
    "://",
    " tenant.eu.auth0.com",
    "tenant.eu.auth0.com ",
    "tenant.eu.auth0.com\n",
    "tenant.eu.auth0.com//",
    "tenant.eu.auth0.com/path",
    "https://tenant.eu.auth0.com/path/",
    "tenant",
    "tenant.eu.auth0.com:443",
    "https://tenant.eu.auth0.com:8443",
    "user@tenant.eu.auth0.com",
    "tenant..com",
    "-a.com",
    "a-.com",
    ".com",
    "a.com.",
    "tenant.eu.auth0.com?x=1",
    "tenant.eu.auth0.com#x",
    "ftp://tenant.eu.auth0.com",
    "https://https://tenant.eu.auth0.com",
    "http://tenant.eu.auth0.com",
    "http://evil.com/localhost",
    "http://localhost.evil.com",
    "http://user@localhost",
    "http://localhost/path",
    "http://localhost?x",
    "127.0.0.1",
    "a." * 127 + "com",
    "a" * 64 + ".com",
    "tenänt.auth0.com",
    "\uff54enant.auth0.com",
    "{yourDomain}",
    "http://",
    "\x00",
]


@pytest.mark.parametrize("domain", BAD_DOMAINS)
def test_what_is_no_domain_is_refused(domain: str) -> None:
    assert refused(Issuer.auth0, domain).setting == "domain"
    assert refused(api, domain=domain).setting == "domain"
    assert refused(api, domain=[DOMAIN, domain]).setting == "domain"


@pytest.mark.parametrize("domain", [5, b"tenant.eu.auth0.com", ["a.test", 5], [None], True, object()])
def test_a_domain_is_text(domain: object) -> None:
    assert refused(api, domain=domain).setting == "domain"
    assert refused(Issuer.auth0, domain).setting == "domain"


# --- addresses -------------------------------------------------------------------------------------------------------

BAD_ADDRESSES = [
    "", " ", "https:", "https://", "https:///path", "https://?", "a.test", "//a.test/", "/path", "mailto:a@a.test",
    "http://a.test/", "http://127.0.0.1.evil.test/", "http://localhost.evil.test/", "http://2130706433/",
    "http://0.0.0.0/", "http://10.0.0.1/",  # J10
    "file:///etc/passwd", "file://a.test/x", "ftp://a.test/", "data:application/json,{}", "javascript:alert(1)",
    "ws://a.test/", "https+http://a.test/", "https://user@a.test/", "https://user:pw@a.test/", "https://@a.test/",
    "http://localhost@evil.test/", "https://a.test/#x", "https://a.test/#", "https://a.test:99999/",
    "https://a.test:x/", "https://[::1/", "https://[x]/", " https://a.test/", "https://a.test/\n", "https://a.test/ x",
    "https://a.test/\t", "https://ä.test/", "https://a.test/é", 'https://a.test/"', "https://a.test\\@b.test/",
    "https://a.test\\b", "https://a.test/\\",
    "https://a.test/\x00", "https://a\u3002test/",
]  # fmt: skip


@pytest.mark.parametrize("address", [*BAD_ADDRESSES, None, 5, b"https://a.test/", ["https://a.test/"]])
def test_an_issuer_is_a_safe_address(address: Any) -> None:
    assert refused(Issuer, address).setting == "issuer"


@pytest.mark.parametrize("address", [*BAD_ADDRESSES, 5, b"https://a.test/"])
@pytest.mark.parametrize("name", ["jwks_uri", "metadata_url"])
def test_an_address_that_is_asked_is_a_safe_one(name: str, address: Any) -> None:
    """J10."""
    assert refused(Issuer, ISSUER, **{name: address}).setting == name


@pytest.mark.parametrize("address", [*BAD_ADDRESSES, 5])
def test_the_address_of_the_metadata_is_a_safe_one(address: Any) -> None:
    assert refused(api, resource_metadata_url=address).setting == "resource_metadata_url"


@pytest.mark.parametrize("address", ["https://a.test/?x=1", "https://a.test?", "https://a.test/?"])
def test_only_an_issuer_has_no_query(address: str) -> None:
    """RFC 8414 section 2."""
    assert refused(Issuer, address).setting == "issuer"
    assert Issuer(ISSUER, jwks_uri=address, metadata_url=address).jwks_uri == address
    assert api(resource_metadata_url=address).resource_metadata_url == address


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:3000", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_http_is_for_loopback(host: str) -> None:
    assert Issuer(f"http://{host}/", jwks_uri=f"http://{host}/keys").url == f"http://{host}/"


def test_http_beyond_loopback_is_asked_for_by_name() -> None:
    inside = "http://idp.internal/"
    issuer = Issuer(inside, jwks_uri=f"{inside}keys", metadata_url=f"{inside}metadata", allow_http=True)
    assert issuer.url == inside
    for address in ("file:///x", "ftp://idp.internal/", "http://user@idp.internal/", "gopher://idp.internal/"):
        assert refused(Issuer, address, allow_http=True).setting == "issuer"
        assert refused(Issuer, inside, jwks_uri=address, allow_http=True).setting == "jwks_uri"


@pytest.mark.parametrize(
    "address", ["https://a.test", "HTTPS://A.test:8443/x/y%20z/", "https://127.0.0.1/", "https://[::1]/"]
)
def test_an_address_is_kept_to_the_letter(address: str) -> None:
    check_url("issuer", address)
    assert Issuer(address).url == address


# --- one setting each ------------------------------------------------------------------------------------------------

NO_BOOLS = ["true", "false", "", 0, 1, None, [], b"1"]
NO_LEEWAYS = [-1, -0.001, MAX_LEEWAY + 1, 3_600, math.nan, math.inf, -math.inf, "30", True, False, [30], 30j]
NO_LISTS = ["RS256", b"RS256", 5, None, True]

REFUSED_API: list[tuple[str, Any]] = [
    *(("identifier", value) for value in ("", None, 5, b"api", [], [""], ["a", ""], ["a", None], [5], {}, [["a"]])),
    *(
        ("issuers", value) for value in (TENANT, [TENANT], b"x", [None], [5], Issuer(TENANT), None, {"a": 1}, True)
    ),  # C43
    *(("signing_algorithms", value) for value in NO_LISTS),
    *(("signing_algorithms", value) for value in ([], ["none"], ["None"], ["RS256", "none"], ["rs256"], [""], [None])),
    *(
        ("signing_algorithms", [value])
        for value in ("HS384", "HS512", "RS1", "ES256K", "RSA-OAEP", "Ed448", "RS256 ", 5)
    ),
    *(("signing_secret", value) for value in (SECRET, b"", "", b"x" * 64, "text", 5)),  # RS256 has no secret
    *(("profile", value) for value in ("", "Auth0", "rfc-9068", "RFC9068", 5, True, ["auth0"], {"auth0"}, b"auth0")),
    *(("leeway", value) for value in NO_LEEWAYS),
    *(("short_secret", value) for value in NO_BOOLS),
    *(("permissions_in_token", value) for value in NO_BOOLS),
    *(
        ("permissions", value)
        for value in ("read", 5, None, [""], [None], [5], {"": "x"}, {"a": None}, {5: "x"}, {"a": 5})
    ),
    *(("token_lifetime", value) for value in (0, -1, 1.5, "60", True, math.inf, 10**11, [60])),
    *(("max_token_bytes", value) for value in (0, -1, 255, 2**20 + 1, 1e4, "16384", None, True, math.nan)),
    *(("realm", value) for value in ("", None, 5, b"api", 'a"b', "a\\b", "é", "a\n", "a\r\nX: y", "\x7f", "\x00")),
]


@pytest.mark.parametrize(("setting", "value"), REFUSED_API)
def test_a_setting_of_an_api_that_could_never_be_right_is_named(setting: str, value: Any) -> None:
    """X09."""
    error = refused(api, **{setting: value, "domain": DOMAIN})
    assert error.setting == setting
    assert error.rule


def test_an_api_has_an_issuer() -> None:
    assert refused(ApiSettings, identifier=API).setting == "issuers"
    assert refused(ApiSettings, identifier=API, issuers=[], domain=[]).setting == "issuers"
    assert refused(ApiSettings, identifier=API, domain="").setting == "domain"


@pytest.mark.parametrize(
    "settings",
    [
        {"issuers": [Issuer(ISSUER), Issuer(ISSUER)]},
        {"issuers": [Issuer(ISSUER), Issuer(ISSUER, leeway=5)]},
        {"issuers": [Issuer(TENANT)], "domain": DOMAIN},
        {"issuers": [Issuer.auth0(DOMAIN, leeway=5)], "domain": DOMAIN},
        {"domain": [DOMAIN, f"https://{DOMAIN}/"]},
    ],
)
def test_an_issuer_is_named_once(settings: dict[str, Any]) -> None:
    assert refused(api, **settings).setting == "issuers"


REFUSED_ISSUER: list[tuple[str, Any]] = [
    *(("allow_http", value) for value in NO_BOOLS),
    *(("jwk_alg_binds", value) for value in NO_BOOLS),
    *(("leeway", value) for value in NO_LEEWAYS),
    *(("signing_algorithms", value) for value in ("RS256", b"x", 5, [], ["none"], [None], ["HS512"])),
    *(("profile", value) for value in ("", "Auth0", 5, True, ["auth0"])),
    *(("identifier", value) for value in ("", [], [""], 5, [None], b"x")),
    *(("accept_typ", value) for value in ("JWT", b"JWT", 5, None, [""], [5], ["a", ""], [b"x"], [["a"]])),
    *(
        ("jwks", value)
        for value in ({}, {"keys": []}, {"keys": None}, [], 5, "", "{", b"", b"\xff", "[]", {"keys": {}})
    ),
    *(("jwks", value) for value in ({"keys": [{1, 2}]}, {"keys": [{"n": math.nan}]}, "\ud800", {"keys": [b"x"]})),
    ("jwks", {"keys": [signing_key().jwk(use="enc")]}),
    ("jwks", {"keys": [signing_key().jwk(d="AQAB")]}),
    ("jwks", {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}),  # X09: HS256 with a JWKS
    ("jwks", json.dumps(JWKS)[:-1]),
    ("jwks", json.dumps(JWKS)[:-1] + ',"keys":[]}'),
]


@pytest.mark.parametrize(("setting", "value"), REFUSED_ISSUER)
def test_a_setting_of_an_issuer_that_could_never_be_right_is_named(setting: str, value: Any) -> None:
    assert refused(Issuer, ISSUER, **{setting: value}).setting == setting


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"leeway": 0}, {"leeway": 0}),
        ({"leeway": MAX_LEEWAY}, {"leeway": MAX_LEEWAY}),
        ({"leeway": 0.5}, {"leeway": 0.5}),
        ({"token_lifetime": 1}, {"token_lifetime": 1}),
        ({"max_token_bytes": 256}, {"max_token_bytes": 256}),
        ({"max_token_bytes": 2**20}, {"max_token_bytes": 2**20}),
        ({"realm": "My API; v=1, 'x'"}, {"realm": "My API; v=1, 'x'"}),
        ({"profile": "rfc9068"}, {"profile": "rfc9068"}),
        ({"permissions": ["b", "a", "b"]}, {"permissions": {"b": "", "a": ""}}),
        ({"permissions": {"a": "Read"}}, {"permissions": {"a": "Read"}}),
        ({"permissions": ()}, {"permissions": {}}),
    ],
)
def test_settings_are_taken_up_to_their_limits(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    made = api(**settings)
    assert {name: getattr(made, name) for name in expected} == expected


def test_an_error_names_the_rule_and_the_fault() -> None:
    error = refused(api, leeway=3_600)
    assert (error.setting, error.actual) == ("leeway", 3_600)
    assert str(MAX_LEEWAY) in error.rule


# --- given keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jwks", [JWKS, json.dumps(JWKS), json.dumps(JWKS).encode()], ids=["mapping", "text", "bytes"])
def test_keys_may_be_given(jwks: Any) -> None:
    issuer = Issuer(ISSUER, jwks=jwks)
    settings = api(issuers=[issuer], signing_algorithms=["ES256"])
    given = keys_of(settings)[ISSUER].given
    assert given is not None
    assert given.find("P-256-1", "ES256", ISSUER).algorithm == "ES256"
    assert hash(issuer) == hash(Issuer(ISSUER, jwks=jwks))


def test_given_keys_do_not_change_with_the_mapping_they_came_in() -> None:
    jwks = copy.deepcopy(RSA_JWKS)
    issuer = Issuer(ISSUER, jwks=jwks)
    jwks["keys"].clear()
    found = issuer.given_keys(["RS256"])
    assert found is not None
    assert found.kids == (signing_key().kid,)


def test_keys_that_are_not_given_are_none() -> None:
    assert Issuer(ISSUER).given_keys(["RS256"]) is None


@pytest.mark.parametrize("address", ["jwks_uri", "metadata_url"])
def test_given_keys_are_not_fetched_too(address: str) -> None:
    assert refused(Issuer, ISSUER, jwks=JWKS, **{address: "https://a.test/"}).setting == "jwks"


def test_given_keys_must_fit_the_algorithms() -> None:
    assert refused(api, issuers=[Issuer(ISSUER, jwks=RSA_JWKS)], signing_algorithms=["ES256"]).setting == "jwks"
    assert refused(Issuer, ISSUER, jwks=RSA_JWKS, signing_algorithms=["ES256"]).setting == "jwks"
    marked = Issuing().jwks(signing_key().jwk(alg="RS256"))
    assert refused(api, issuers=[Issuer(ISSUER, jwks=marked)], signing_algorithms=["PS256"]).setting == "jwks"
    unbound = Issuer(ISSUER, jwks=marked, jwk_alg_binds=False)
    assert api(issuers=[unbound], signing_algorithms=["PS256"]).issuers == (unbound,)


# --- shared secrets ------------------------------------------------------------------------------------------------


def test_a_shared_secret_serves_hs256() -> None:
    keys = keys_of(hs256())
    assert keys[TENANT].given is not None
    assert keys_of(api())[TENANT].given is None


def test_an_issuer_may_have_a_secret_of_its_own() -> None:
    own = Issuer(ISSUER, signing_algorithms=["HS256"], signing_secret=SECRET)
    keys = keys_of(api(issuers=[own], domain=DOMAIN))
    assert (keys[ISSUER].given is None, keys[TENANT].given is None) == (False, True)
    shared = keys_of(api(issuers=[dataclasses.replace(own, signing_secret=None)], domain=DOMAIN, signing_secret=SECRET))
    assert (shared[ISSUER].given is None, shared[TENANT].given is None) == (False, True)


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("signing_algorithms", {"signing_algorithms": ["HS256", "RS256"], "signing_secret": SECRET}),
        ("signing_algorithms", {"signing_algorithms": ["RS256", "HS256"]}),
        ("signing_secret", {"signing_algorithms": ["HS256"]}),
        ("signing_secret", {"issuers": [Issuer(ISSUER, signing_secret=SECRET)]}),
        ("signing_secret", {"issuers": [Issuer(ISSUER, signing_secret=b"")]}),
        ("signing_secret", {"issuers": [Issuer(ISSUER, signing_algorithms=["RS256"], signing_secret=SECRET)]}),
        ("signing_secret", {"issuers": [Issuer(ISSUER, signing_algorithms=["HS256"], signing_secret=b"")],
                            "signing_secret": SECRET}),
        ("signing_secret", {"issuers": [Issuer(ISSUER, signing_algorithms=["RS256"])], "signing_secret": SECRET}),
        ("jwks", {"issuers": [Issuer(ISSUER, jwks=JWKS)], "signing_algorithms": ["HS256"], "signing_secret": SECRET}),
        ("jwks", {"issuers": [Issuer(ISSUER, jwks_uri="https://a.test/")], "signing_algorithms": ["HS256"],
                  "signing_secret": SECRET}),
        ("jwks", {"issuers": [Issuer(ISSUER, metadata_url="https://a.test/")], "signing_algorithms": ["HS256"],
                  "signing_secret": SECRET}),
    ],
)  # fmt: skip
def test_symmetric_and_asymmetric_never_mix(setting: str, settings: dict[str, Any]) -> None:
    assert refused(api, **settings).setting == setting


PUBLIC = signing_key().private.public_key()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SSH = PUBLIC.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
EC_SSH = signing_key("P-256").private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
ED_SSH = signing_key("Ed25519").private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
PRIVATE = signing_key().private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
NO_SECRETS = {
    "PEM": PEM,
    "PEM with CR LF": PEM.replace(b"\n", b"\r\n"),
    "PEM without its last line break": PEM.rstrip(),
    "PEM after a space": b" " + PEM,
    "PEM after a byte order mark": b"\xef\xbb\xbf" + PEM,
    "PEM as repr": repr(PEM).encode(),
    "PEM after a comment": b"# my key\n" + PEM,
    "PEM on one line": PEM.replace(b"\n", b""),
    "PEM escaped": PEM.replace(b"\n", b"\\n"),
    "PKCS 1": PUBLIC.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
    "private PEM": PRIVATE,
    "SSH": SSH,
    "SSH with options": b"no-pty " + SSH,
    "SSH of EC": EC_SSH,
    "SSH of Ed25519": ED_SSH,
    "JWK": json.dumps(signing_key().jwk()).encode(),
    "JWKS": json.dumps(JWKS).encode(),
    "JWK, indented": json.dumps(signing_key().jwk(), indent=2).replace(":", " :").encode(),
}


@pytest.mark.parametrize("secret", NO_SECRETS.values(), ids=NO_SECRETS)
def test_what_everybody_knows_is_no_secret(secret: bytes) -> None:
    """A01."""
    assert refused(hs256, signing_secret=secret).setting == "signing_secret"
    error = refused(ApiSettings.from_resource_server, hs256_api(), DOMAIN, signing_secret=secret.decode())
    assert error.setting == "signing_secret"
    assert secret[:40].decode() not in str(error)


@pytest.mark.parametrize(
    "secret",
    [b"", b"x", b"secret", b"a" * 31, SECRET[:31], "0123456789abcdef0123456789abcdef", 5, bytearray(SECRET), [SECRET],
     bytes(32), b"\xff" * 64, b"a" * 32],
)  # fmt: skip
def test_a_secret_has_at_least_32_bytes_and_not_the_same_ones(secret: Any) -> None:
    """A03: RFC 7518 section 3.2."""
    error = refused(hs256, signing_secret=secret)
    assert (error.setting, error.actual) == ("signing_secret", None)


@pytest.mark.parametrize("secret", [SECRET, b"\x00" + SECRET, b"\n" * 31 + b"a", SECRET * 100])
def test_a_secret_may_hold_any_bytes(secret: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hs256(signing_secret=secret).signing_secret == secret
        assert hs256(signing_secret=secret, short_secret=True).signing_secret == secret


@pytest.mark.parametrize("size", [16, 24, 31])
def test_a_short_secret_is_admitted_by_name_and_with_a_warning(size: int) -> None:
    assert refused(hs256, signing_secret=SECRET[:size]).setting == "signing_secret"
    with pytest.warns(UserWarning, match=f"{size} bytes") as warned:
        made = ApiSettings(
            identifier=API,
            domain=DOMAIN,
            signing_algorithms=["HS256"],
            signing_secret=SECRET[:size],
            short_secret=True,
        )
    assert made.signing_secret == SECRET[:size]
    assert [Path(warning.filename) for warning in warned] == [Path(__file__)]
    assert SECRET[:size].decode() not in str(warned[0].message)


@pytest.mark.parametrize("secret", [b"", SECRET[:15]])
def test_a_secret_below_16_bytes_is_never_admitted(secret: bytes) -> None:
    assert refused(hs256, signing_secret=secret, short_secret=True).setting == "signing_secret"


# --- a value -------------------------------------------------------------------------------------------------------


def everything() -> ApiSettings:
    issuer = Issuer(
        ISSUER,
        jwks=JWKS,
        signing_algorithms=["RS256"],
        profile="auth0",
        identifier=["a"],
        leeway=1,
        accept_typ=["x", None],
    )
    return hs256(issuers=[issuer], domain=DOMAIN, permissions={"a": "A"}, realm="r", profile="auth0", leeway=3)


def test_equal_settings_are_equal_and_have_one_hash() -> None:
    assert everything() == everything()
    assert hash(everything()) == hash(everything())
    assert len({everything(), everything(), api()}) == 2
    assert api(permissions={"a": "A"}) != api(permissions={"a": "B"})
    assert api(signing_algorithms=["RS256"]) == api(signing_algorithms=("RS256",))
    assert api(domain=[DOMAIN]) == api(domain=DOMAIN)
    assert hash(api(domain=[DOMAIN, "b.test"])) == hash(api(domain=(DOMAIN, "b.test")))


@pytest.mark.parametrize(
    "change",
    [{"identifier": API + "x"}, {"realm": "x"}, {"leeway": 31}, {"permissions_in_token": True}, {"profile": "auth0"},
     {"token_lifetime": 5}, {"max_token_bytes": 300}, {"signing_algorithms": ["PS256"]}, {"permissions": ["a"]},
     {"domain": "other.test"}, {"resource_metadata_url": "https://a.test/"}],
)  # fmt: skip
def test_every_setting_tells_two_values_apart(change: dict[str, Any]) -> None:
    assert api(**change) != api()


def test_nothing_in_it_can_be_changed() -> None:
    settings = everything()
    for value, name in ((settings, "leeway"), (settings.issuers[0], "url"), (settings.policies[TENANT], "leeway")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 5)
    with pytest.raises(TypeError):
        settings.permissions["b"] = "B"  # type: ignore[index]


def test_what_was_given_may_change_afterwards() -> None:
    algorithms, identifiers, permissions, issuers = ["RS256"], ["a"], {"p": ""}, [Issuer(ISSUER)]
    domains = ["a.test", "b.test"]
    settings = api(
        signing_algorithms=algorithms,
        identifier=identifiers,
        permissions=permissions,
        issuers=issuers,
        domain=domains,
    )
    before = repr(settings)
    for given in (algorithms, identifiers, permissions, issuers, domains):
        given.clear()
    assert repr(settings) == before
    assert settings.policies[ISSUER].identifiers == ("a",)


def test_one_setting_is_replaced_and_the_others_stay() -> None:
    settings = everything()
    changed = dataclasses.replace(settings, realm="other")
    assert changed.issuers == settings.issuers
    assert dataclasses.replace(changed, realm="r") == settings
    with pytest.raises(SettingsError):
        dataclasses.replace(settings, leeway=-1)


def test_a_domain_that_is_replaced_is_trusted_no_longer() -> None:
    settings = ApiSettings(identifier=API, domain="old.example.com", issuers=[Issuer("https://idp.test/")])
    moved = dataclasses.replace(dataclasses.replace(settings, leeway=0), domain="new.example.com")
    assert [issuer.url for issuer in moved.issuers] == ["https://idp.test/", "https://new.example.com/"]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_settings_can_be_copied_and_sent_to_another_process(duplicate: Callable[[ApiSettings], ApiSettings]) -> None:
    settings = everything()
    same = duplicate(settings)
    assert same == settings
    assert same.policies == settings.policies
    with pytest.raises(TypeError):
        same.permissions["more"] = ""  # type: ignore[index]


def test_no_secret_is_shown() -> None:
    """X07."""
    own = Issuer(ISSUER, signing_algorithms=["HS256"], signing_secret=SECRET, identifier="a")
    given = Issuer("https://other.test/", signing_algorithms=["RS256"], jwks=RSA_JWKS)
    settings = hs256(issuers=[own, given], domain=DOMAIN)
    shown = f"{settings!r}{settings}{own!r}{given!r}{settings.policies!r}{keys_of(settings)!r}{[settings]!r}"
    assert SECRET.decode() not in shown
    assert RSA_JWKS["keys"][0]["n"] not in shown
    assert {DOMAIN in shown, API in shown} == {True}


# --- what senders must prove -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("proof_of_possession", {"proof_of_possession": "tls"}),
        ("dpop_algorithms", {"dpop_algorithms": []}),
        ("dpop_algorithms", {"dpop_algorithms": ["HS256"]}),
        ("dpop_algorithms", {"dpop_algorithms": "ES256"}),
        *(("dpop_window", {"dpop_window": value}) for value in (0, -1, 3_601, 1.5, True, "60", None)),
        *(("dpop_nonce_lifetime", {"dpop_nonce_lifetime": value}) for value in (9, 86_401, 60.0, False)),
        ("dpop_nonce_key", {"dpop_nonce_key": b"x" * 31 + b"y", "proof_of_possession": None}),
        ("dpop_nonce_key", {"dpop_nonce_key": b"abc", "proof_of_possession": "dpop"}),
        ("dpop_nonce_key", {"dpop_nonce_key": "0" * 31 + "1", "proof_of_possession": "dpop"}),
        ("dpop_nonce_key", {"dpop_nonce_key": b"-----BEGIN " + bytes(range(32)), "proof_of_possession": "dpop"}),
        ("dpop_nonce_key", {"dpop_nonce_key": bytes(32), "proof_of_possession": "dpop"}),
        *(("store", {"store": value}) for value in ("", "redis", "memory:", 7, b"memory://")),
        *(
            ("revocation_delay", {"revocation_delay": value})
            for value in (0, 0.09, 3_601, True, "5", float("nan"), None)
        ),
        *(("revocation_outage", {"revocation_outage": value}) for value in ("ignore", "", None, 1)),
        ("public_url", {"public_url": "api.example.com"}),
        ("public_url", {"public_url": "https://api.example.com/?x=1"}),
        ("trusted_proxies", {"trusted_proxies": "10.0.0.0/8", "proxy_headers": ["Forwarded"]}),
        ("trusted_proxies", {"trusted_proxies": ["10.0.0.1/8"], "proxy_headers": ["Forwarded"]}),
        ("proxy_headers", {"trusted_proxies": ["10.0.0.0/8"], "proxy_headers": ["Forwarded", "X-Forwarded-Host"]}),
        ("proxy_headers", {"proxy_headers": ["Forwarded"]}),
        (
            "proxy_headers",
            {"trusted_proxies": ["::1"], "proxy_headers": ["Forwarded"], "public_url": "https://api.example.com"},
        ),
        ("certificate_header", {"certificate_header": "Client-Cert"}),
        ("certificate_header", {"trusted_proxies": ["::1"], "certificate_header": "X_Cert"}),
        (
            "certificate_header",
            {"trusted_proxies": ["::1"], "certificate_header": "X_Cert", "proof_of_possession": "mtls"},
        ),
        ("proxy_headers", {"trusted_proxies": ["::1"], "proxy_headers": "Forwarded"}),
        ("certificate_header", {"trusted_proxies": ["::1"], "certificate_header": "Client-Cert"}),
        ("trusted_proxies", {"trusted_proxies": ["::1"]}),
        ("trusted_proxies", {"trusted_proxies": ["0.0.0.0/0"], "proxy_headers": ["Forwarded"]}),
        ("trusted_proxies", {"trusted_proxies": ["10.0.0.0/8", "::/0"], "proxy_headers": ["Forwarded"]}),
        ("trusted_proxies", {"trusted_proxies": ["::ffff:0.0.0.0/96"], "proxy_headers": ["Forwarded"]}),
        *(("token_memory_bytes", {"token_memory_bytes": value}) for value in (-1, 1.5, True, None, 1 << 37)),
        ("decryption_keys", {"decryption_keys": "no key"}),
        ("decryption_keys", {"decryption_keys": 7}),
        ("encryption_algorithms", {"encryption_algorithms": ["RSA1_5"]}),
        ("encryption_algorithms", {"encryption_algorithms": []}),
        ("content_encryption_algorithms", {"content_encryption_algorithms": ["A128CBC-HS256"]}),
    ],
)
def test_what_could_never_prove_anything_is_refused(setting: str, changes: dict[str, Any]) -> None:
    error = refused(api, **changes)
    assert (error.setting, isinstance(error.rule, str)) == (setting, True)


def test_a_secret_that_no_issuer_signs_with_is_refused() -> None:
    own = Issuer(ISSUER, signing_algorithms=["HS256"], signing_secret=SECRET)
    assert refused(api, issuers=[own], signing_secret=b"another" * 8).setting == "signing_secret"
    assert api(issuers=[own]).secret_of(own) is not None


@pytest.mark.parametrize("environ", [5, [], "text", {1: "x"}, {**AT_LEAST, "AUTH0_DOMAIN": 5}, {**AT_LEAST, "X": None}])
def test_an_environment_maps_names_to_texts(environ: Any) -> None:
    assert refused(ApiSettings.from_env, environ).setting == "environ"


@pytest.mark.parametrize(
    "changes",
    [
        {"jwks_file": "a", "jwks": RSA_JWKS},
        {"jwks_file": "a", "jwks_uri": "https://a.test/jwks"},
        {"jwks_file": "a", "metadata_url": "https://a.test/m"},
        {"jwks_file": ""},
        {"jwks_file": "a\0b"},
        {"jwks_file": b"a"},
        {"jwks_file": 7},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_a_file_of_keys_is_a_path_and_the_only_place_of_keys(changes: dict[str, Any]) -> None:
    assert refused(Issuer, ISSUER, **changes).setting == "jwks_file"


@pytest.mark.parametrize("path", ["keys.json", Path("a/keys.json"), "XXXX"])
def test_a_file_of_keys_is_kept_as_text(path: str | Path) -> None:
    assert Issuer(ISSUER, jwks_file=path).jwks_file == str(path)


def test_given_keys_may_be_a_snapshot_and_are_those_of_this_issuer() -> None:
    kept = {ISSUER: Kept(RSA_JWKS, NOW), "https://b.test/": Kept({"keys": []}, NOW)}
    assert Issuer(ISSUER, jwks=write_snapshot(kept)).given_keys(["RS256"]) is not None
    error = refused(Issuer, "https://c.test/", jwks=write_snapshot(kept))
    assert (error.setting, "'https://c.test/'" in error.rule) == ("jwks", True)


@pytest.mark.parametrize(
    ("setting", "limit", "beyond"),
    [
        ("token_lifetime", 1, 0),
        ("token_lifetime", 10**10, 10**10 + 1),
        ("token_memory_bytes", 0, -1),
        ("dpop_window", 1, 0),
        ("dpop_nonce_lifetime", 10, 9),
        ("revocation_delay", 0.1, 0.099),
        ("revocation_delay", 3_600, 3_601),
    ],
)
def test_a_limit_is_just_what_it_says(setting: str, limit: float, beyond: float) -> None:
    assert getattr(api(**{setting: limit}), setting) == limit
    assert refused(api, **{setting: beyond}).setting == setting


def test_what_contradicts_itself_is_shown() -> None:
    both = refused(api, signing_algorithms=["RS256", "HS256"], signing_secret=SECRET)
    assert (both.setting, both.actual) == ("signing_algorithms", ["HS256", "RS256"])
    alone = refused(api, trusted_proxies=["::1"])
    assert (alone.setting, alone.actual) == ("trusted_proxies", ("::1",))


def test_all_public_key_algorithms_may_be_taken_together() -> None:
    algorithms = ALGORITHMS - {"HS256"}
    assert api(signing_algorithms=sorted(algorithms)).policies[TENANT].algorithms == algorithms


def test_a_key_for_an_algorithm_that_is_not_taken_opens_nothing() -> None:
    key = private_jwk(alg="RSA-OAEP-512")
    assert api(decryption_keys=key).keys_for_decryption[0].algorithm == "RSA-OAEP-512"
    assert refused(api, decryption_keys=key, encryption_algorithms=["RSA-OAEP"]).setting == "decryption_keys"


def test_what_is_wrong_with_the_settings_of_the_environment_is_told_as_of_any_others() -> None:
    error, same = refused(ApiSettings.from_env, AT_LEAST | {"JWTGATE_LEEWAY": "3600"}), refused(api, leeway=3600.0)
    assert (error.setting, error.rule, error.actual) == ("JWTGATE_LEEWAY", same.rule, same.actual)
    assert isinstance(error.rule, str)


def test_how_a_shorter_secret_is_admitted_is_told_where_it_would_be() -> None:
    short, too_short = (
        refused(hs256, signing_secret=SECRET[:16]),
        refused(hs256, signing_secret=b"ab", short_secret=True),
    )
    nonce_key = refused(api, dpop_nonce_key=b"ab", proof_of_possession="dpop")
    assert "short_secret" in short.rule
    assert [error.rule.endswith("got 2") for error in (too_short, nonce_key)] == [True, True]


def test_secrets_are_in_no_repr() -> None:
    settings = api(
        proof_of_possession="dpop",
        dpop_nonce_key=SECRET,
        store="redis://user:hunter2@localhost",
        decryption_keys=pem(),
    )
    assert not any(word in repr(settings) for word in ("hunter2", SECRET.decode(), "PRIVATE"))


@pytest.mark.parametrize(
    ("mechanisms", "required", "schemes", "challenges"),
    [
        ((), False, ("Bearer",), ("Bearer",)),
        (("dpop",), False, ("Bearer", "DPoP"), ("Bearer", "DPoP")),
        (("dpop",), True, ("DPoP",), ("DPoP",)),
        (("mtls",), False, ("Bearer", "DPoP"), ("Bearer",)),
        (("mtls",), True, ("Bearer", "DPoP"), ("Bearer",)),
        (("dpop", "mtls"), True, ("Bearer", "DPoP"), ("Bearer", "DPoP")),
    ],
)
def test_the_schemes_follow_from_what_is_to_be_proved(
    mechanisms: Any, required: bool, schemes: tuple[str, ...], challenges: tuple[str, ...]
) -> None:
    settings = api(proof_of_possession=ProofOfPossession(mechanisms, required))
    assert (settings.schemes, settings.challenges) == (schemes, challenges)


# --- the environment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "same"),
    [
        ({}, api()),
        ({"AUTH0_DOMAIN": f"https://{DOMAIN}/"}, api(domain=f"https://{DOMAIN}/")),
        ({"AUTH0_DOMAIN": f"{DOMAIN}, login.example.com"}, api(domain=[DOMAIN, "login.example.com"])),
        ({"API_IDENTIFIER": API}, api()),
        ({"AUTH0_AUDIENCE": "", "API_IDENTIFIER": "urn:x, y"}, api(identifier="urn:x, y")),
        (
            {"JWTGATE_ISSUERS": f"{ISSUER} https://b.test/,https://c.test/"},
            api(domain=DOMAIN, issuers=[Issuer(ISSUER), Issuer("https://b.test/"), Issuer("https://c.test/")]),
        ),
        ({"JWTGATE_ISSUERS": ISSUER, "AUTH0_DOMAIN": ""}, api(issuers=[Issuer(ISSUER)])),
        ({"JWTGATE_SIGNING_ALGORITHMS": "PS256, ES256"}, api(signing_algorithms=["PS256", "ES256"])),
        (
            {"JWTGATE_SIGNING_ALGORITHMS": "HS256", "JWTGATE_SIGNING_SECRET": "é" * 8 + "abcdefgh" * 3},
            hs256(signing_secret="é".encode() * 8 + b"abcdefgh" * 3),
        ),
        ({"JWTGATE_PROFILE": "auth0"}, api(profile="auth0")),
        ({"JWTGATE_PROFILE": "Auth0"}, api(profile="auth0")),
        ({"JWTGATE_PROFILE": "RFC 9068"}, api(profile="rfc9068")),
        ({"JWTGATE_PERMISSIONS": "read:messages write:messages"}, api(permissions=["read:messages", "write:messages"])),
        ({"JWTGATE_TOKEN_LIFETIME": "86400"}, api(token_lifetime=86_400)),
        ({"JWTGATE_LEEWAY": "0"}, api(leeway=0)),
        ({"JWTGATE_LEEWAY": "1.5"}, api(leeway=1.5)),
        ({"JWTGATE_MAX_TOKEN_BYTES": "4096"}, api(max_token_bytes=4_096)),
        ({"JWTGATE_REALM": "My API"}, api(realm="My API")),
        ({"JWTGATE_RESOURCE_METADATA_URL": "https://a.test/x"}, api(resource_metadata_url="https://a.test/x")),
        *(
            ({"JWTGATE_PERMISSIONS_IN_TOKEN": text}, api(permissions_in_token=True))
            for text in ("true", "1", "YES", "On")
        ),
        *(({"JWTGATE_PERMISSIONS_IN_TOKEN": text}, api()) for text in ("false", "0", "No", "off", "")),
        ({"JWTGATE_SHORT_SECRET": "true"}, api(short_secret=True)),
        ({"JWTGATE_PROOF_OF_POSSESSION": "dpop"}, api(proof_of_possession="dpop")),
        (
            {"JWTGATE_PROOF_OF_POSSESSION": "dpop, mtls required"},
            api(proof_of_possession=ProofOfPossession(("dpop", "mtls"), required=True)),
        ),
        (
            {
                "JWTGATE_PROOF_OF_POSSESSION": "dpop",
                "JWTGATE_DPOP_ALGORITHMS": "ES256 EdDSA",
                "JWTGATE_DPOP_WINDOW": "30",
                "JWTGATE_DPOP_NONCE_KEY": SECRET.decode(),
                "JWTGATE_DPOP_NONCE_LIFETIME": "60",
            },
            api(
                proof_of_possession="dpop",
                dpop_algorithms=["ES256", "EdDSA"],
                dpop_window=30,
                dpop_nonce_key=SECRET,
                dpop_nonce_lifetime=60,
            ),
        ),
        (
            {
                "JWTGATE_STORE": "redis://localhost",
                "JWTGATE_REVOCATION_DELAY": "2.5",
                "JWTGATE_REVOCATION_OUTAGE": "refuse",
            },
            api(store="redis://localhost", revocation_delay=2.5, revocation_outage="refuse"),
        ),
        ({"JWTGATE_PUBLIC_URL": "https://api.example.com/v1"}, api(public_url="https://api.example.com/v1")),
        (
            {
                "JWTGATE_TRUSTED_PROXIES": "10.0.0.0/8 ::1",
                "JWTGATE_PROXY_HEADERS": "X-Forwarded-Proto,X-Forwarded-Host",
                "JWTGATE_CERTIFICATE_HEADER": "Client-Cert",
                "JWTGATE_PROOF_OF_POSSESSION": "mtls",
            },
            api(
                proof_of_possession="mtls",
                trusted_proxies=["10.0.0.0/8", "::1"],
                proxy_headers=["X-Forwarded-Proto", "X-Forwarded-Host"],
                certificate_header="Client-Cert",
            ),
        ),
        (
            {
                "JWTGATE_ENCRYPTION_ALGORITHMS": "RSA-OAEP",
                "JWTGATE_CONTENT_ENCRYPTION_ALGORITHMS": "A128GCM A256GCM",
            },
            api(encryption_algorithms=["RSA-OAEP"], content_encryption_algorithms=["A128GCM", "A256GCM"]),
        ),
    ],
)
def test_settings_come_from_the_environment(variables: dict[str, str], same: ApiSettings) -> None:
    assert ApiSettings.from_env(AT_LEAST | variables) == same


def test_keys_for_decryption_come_from_files(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.pem" for number in (1, 2)]
    for number, file in enumerate(files, 1):
        file.write_text(pem(private_key(number)))
    settings = ApiSettings.from_env(AT_LEAST | {"JWTGATE_DECRYPTION_KEY_FILES": ",".join(map(str, files))})
    assert settings == api(decryption_keys=files)
    assert len(settings.keys_for_decryption) == 2


def test_every_setting_has_a_variable() -> None:
    in_code_alone = {"resolver"}
    named = {field.name for field in dataclasses.fields(ApiSettings)}
    assert {setting for setting, _ in ENVIRONMENT.values()} == named - in_code_alone


def test_the_process_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**dict.fromkeys(ENVIRONMENT, ""), **AT_LEAST}.items():
        monkeypatch.setenv(name, value)
    assert ApiSettings.from_env() == api()


@pytest.mark.parametrize(
    ("variable", "environ"),
    [
        ("AUTH0_DOMAIN", {"AUTH0_AUDIENCE": API}),
        ("AUTH0_AUDIENCE", {"AUTH0_DOMAIN": DOMAIN}),
        ("AUTH0_AUDIENCE", {"AUTH0_DOMAIN": DOMAIN, "AUTH0_AUDIENCE": "", "API_IDENTIFIER": ""}),
        ("AUTH0_AUDIENCE", {}),
        ("API_IDENTIFIER", AT_LEAST | {"API_IDENTIFIER": API.rstrip("/")}),
        ("AUTH0_AUDIENCE", AT_LEAST | {"AUTH0_AUDIENCE": f"{API}\n"}),
        ("API_IDENTIFIER", {"AUTH0_DOMAIN": DOMAIN, "API_IDENTIFIER": f" {API}"}),
        ("AUTH0_DOMAIN", AT_LEAST | {"AUTH0_DOMAIN": "https://a.test/path"}),
        ("AUTH0_DOMAIN", AT_LEAST | {"AUTH0_DOMAIN": f"{DOMAIN} {DOMAIN}x?"}),
        ("JWTGATE_ISSUERS", AT_LEAST | {"JWTGATE_ISSUERS": "http://a.test/"}),
        ("JWTGATE_ISSUERS", AT_LEAST | {"JWTGATE_ISSUERS": f"{ISSUER} {ISSUER}"}),
        ("JWTGATE_ISSUERS", {"AUTH0_AUDIENCE": API, "JWTGATE_ISSUERS": " , "}),
        ("JWTGATE_SIGNING_ALGORITHMS", AT_LEAST | {"JWTGATE_SIGNING_ALGORITHMS": "none"}),
        ("JWTGATE_SIGNING_ALGORITHMS", AT_LEAST | {"JWTGATE_SIGNING_ALGORITHMS": " "}),
        ("JWTGATE_SIGNING_SECRET", AT_LEAST | {"JWTGATE_SIGNING_SECRET": SECRET.decode()}),
        (
            "JWTGATE_SIGNING_SECRET",
            AT_LEAST | {"JWTGATE_SIGNING_SECRET": "short", "JWTGATE_SIGNING_ALGORITHMS": "HS256"},
        ),
        (
            "JWTGATE_SIGNING_SECRET",
            AT_LEAST | {"JWTGATE_SIGNING_SECRET": PEM.decode(), "JWTGATE_SIGNING_ALGORITHMS": "HS256"},
        ),
        ("JWTGATE_SIGNING_SECRET", AT_LEAST | {"JWTGATE_SIGNING_SECRET": SECRET.decode() + "\udcff"}),
        ("signing_secret", AT_LEAST | {"JWTGATE_SIGNING_ALGORITHMS": "HS256"}),
        ("JWTGATE_PROFILE", AT_LEAST | {"JWTGATE_PROFILE": "oidc"}),
        ("JWTGATE_TOKEN_LIFETIME", AT_LEAST | {"JWTGATE_TOKEN_LIFETIME": "1 day"}),
        ("JWTGATE_TOKEN_LIFETIME", AT_LEAST | {"JWTGATE_TOKEN_LIFETIME": "0"}),
        ("JWTGATE_LEEWAY", AT_LEAST | {"JWTGATE_LEEWAY": "3600"}),
        ("JWTGATE_LEEWAY", AT_LEAST | {"JWTGATE_LEEWAY": "nan"}),
        ("JWTGATE_LEEWAY", AT_LEAST | {"JWTGATE_LEEWAY": "thirty"}),
        ("JWTGATE_MAX_TOKEN_BYTES", AT_LEAST | {"JWTGATE_MAX_TOKEN_BYTES": "1"}),
        ("JWTGATE_MAX_TOKEN_BYTES", AT_LEAST | {"JWTGATE_MAX_TOKEN_BYTES": "16k"}),
        ("JWTGATE_PERMISSIONS_IN_TOKEN", AT_LEAST | {"JWTGATE_PERMISSIONS_IN_TOKEN": "maybe"}),
        ("JWTGATE_SHORT_SECRET", AT_LEAST | {"JWTGATE_SHORT_SECRET": "2"}),
        ("JWTGATE_REALM", AT_LEAST | {"JWTGATE_REALM": 'a"b'}),
        ("JWTGATE_RESOURCE_METADATA_URL", AT_LEAST | {"JWTGATE_RESOURCE_METADATA_URL": "/x"}),
        ("JWTGATE_PROOF_OF_POSSESSION", AT_LEAST | {"JWTGATE_PROOF_OF_POSSESSION": "required"}),
        ("JWTGATE_DPOP_WINDOW", AT_LEAST | {"JWTGATE_DPOP_WINDOW": "1 min"}),
        ("JWTGATE_DPOP_NONCE_KEY", AT_LEAST | {"JWTGATE_DPOP_NONCE_KEY": SECRET.decode()}),
        ("JWTGATE_STORE", AT_LEAST | {"JWTGATE_STORE": "localhost"}),
        ("JWTGATE_DECRYPTION_KEY_FILES", AT_LEAST | {"JWTGATE_DECRYPTION_KEY_FILES": "nowhere.pem"}),
        ("JWTGATE_LEWAY", AT_LEAST | {"JWTGATE_LEWAY": "5"}),
        ("JWTGATE_ISSUER", AT_LEAST | {"JWTGATE_ISSUER": ISSUER}),
        ("JWTGATE_PERMISSION_IN_TOKEN", AT_LEAST | {"JWTGATE_PERMISSION_IN_TOKEN": "true"}),
        ("JWTGATE_SIGNING_ALGORITHM", AT_LEAST | {"JWTGATE_SIGNING_ALGORITHM": "PS256"}),
        ("JWTGATE_TOKEN_LIFE_TIME", AT_LEAST | {"JWTGATE_TOKEN_LIFE_TIME": "5"}),
    ],
)
def test_the_variable_at_fault_is_named(variable: str, environ: dict[str, str]) -> None:
    error = refused(ApiSettings.from_env, environ)
    assert error.setting == variable
    assert error.setting in str(error)


def test_what_is_wrong_with_a_variable_is_told_as_of_its_setting() -> None:
    error = refused(ApiSettings.from_env, AT_LEAST | {"JWTGATE_PROOF_OF_POSSESSION": "tls"})
    assert error.rule == refused(ProofOfPossession, ("tls",)).rule


def test_a_text_that_python_cannot_read_is_quoted_in_ascii() -> None:
    error = refused(ApiSettings.from_env, AT_LEAST | {"JWTGATE_LEEWAY": "1\u00e9"})
    assert (error.rule.isascii(), "'1\\xe9'" in error.rule, error.actual) == (True, True, "1\u00e9")


@pytest.mark.parametrize(
    "name",
    ["JWTGATE_PORT", "JWTGATE_SERVICE_HOST", "JWTGATE_SERVICE_PORT", "JWTGATE_PORT_8000_TCP_PROTO", "JWTGATE_VECTORS",
     "AUTH0_CLIENT_ID", "jwtgate_leway", "MY_JWTGATE_LEWAY"],
)  # fmt: skip
def test_variables_of_others_may_be_there(name: str) -> None:
    assert ApiSettings.from_env(AT_LEAST | {name: "tcp://10.0.0.1:8000"}) == api()


# --- the Management API's object -------------------------------------------------------------------------------------


def server(**fields: Any) -> dict[str, Any]:
    """As a tenant answers for an API that was made with its identifier alone."""
    return {
        "id": "69a006b6f39293776f28ab5d",
        "identifier": API,
        "allow_offline_access": False,
        "skip_consent_for_verifiable_first_party_clients": False,
        "subject_type_authorization": {"client": {"policy": "require_client_grant"}, "user": {"policy": "allow_all"}},
        "token_lifetime": 86_400,
        "token_lifetime_for_web": 7_200,
        "signing_alg": "RS256",
        **fields,
    }


def hs256_api(**fields: Any) -> dict[str, Any]:
    return server(signing_alg="HS256", **fields)


def from_server(fields: Any, **settings: Any) -> ApiSettings:
    return ApiSettings.from_resource_server(fields, DOMAIN, **settings)


def test_an_api_of_a_tenant_is_read() -> None:
    assert from_server(server()) == api(profile="auth0", token_lifetime=86_400)


@pytest.mark.parametrize(
    ("dialect", "profile", "permissions_in_token"),
    [
        ({}, "auth0", False),
        ({"token_dialect": None}, "auth0", False),
        ({"token_dialect": "access_token"}, "auth0", False),
        ({"token_dialect": "access_token_authz"}, "auth0", True),
        ({"token_dialect": "rfc9068_profile"}, "rfc9068", False),
        ({"token_dialect": "rfc9068_profile_authz"}, "rfc9068", True),
    ],
)
def test_each_dialect_is_a_profile_and_a_place_for_permissions(
    dialect: dict[str, Any], profile: str, permissions_in_token: bool
) -> None:
    settings = from_server(server(**dialect))
    assert (settings.profile, settings.permissions_in_token) == (profile, permissions_in_token)


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
def test_its_algorithm_is_read(algorithm: str) -> None:
    assert from_server(server(signing_alg=algorithm)).signing_algorithms == (algorithm,)


@pytest.mark.parametrize(
    ("lifetime", "expected"), [(0, None), (1, 1), (86_400, 86_400), (2_592_000, 2_592_000), (None, None)]
)
def test_its_lifetime_is_a_limit(lifetime: int | None, expected: int | None) -> None:
    assert from_server(server(token_lifetime=lifetime)).token_lifetime == expected


def test_what_an_object_does_not_say_has_its_default() -> None:
    assert from_server({"identifier": API}) == api(profile="auth0")


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        (None, {}),
        ([], {}),
        ([{"value": "a", "description": "A"}, {"value": "b"}], {"a": "A", "b": ""}),
        ([{"value": "a", "description": None}], {"a": ""}),
    ],
)
def test_its_scopes_are_the_permissions(scopes: object, expected: dict[str, str]) -> None:
    assert from_server(server(scopes=scopes)).permissions == expected


@pytest.mark.parametrize("domain", [DOMAIN, f"https://{DOMAIN}/", [DOMAIN], [DOMAIN, "login.example.com"]])
def test_its_domain_is_as_for_any_api(domain: Any) -> None:
    settings = ApiSettings.from_resource_server(server(), domain)
    assert settings == api(domain=domain, profile="auth0", token_lifetime=86_400)


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({"signing_secret": SECRET.decode()}, None),
        ({}, SECRET.decode()),
        ({}, SECRET),
        ({"signing_secret": "another secret of the tenant, too"}, SECRET),
        ({"signing_secret": None}, SECRET),
    ],
)
def test_the_secret_of_an_hs256_api_comes_from_the_object_or_beside_it(fields: dict[str, Any], given: Any) -> None:
    settings = from_server(hs256_api(**fields), signing_secret=given)
    assert (settings.signing_secret, settings.signing_algorithms) == (SECRET, ("HS256",))


def test_a_short_secret_of_a_tenant_works_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="16 bytes"):
        assert from_server(hs256_api(), signing_secret="0123456789abcdef").signing_secret == b"0123456789abcdef"


def test_the_secret_of_an_api_that_does_not_use_it_is_left_where_it_is() -> None:
    assert from_server(server(signing_secret=SECRET.decode())).signing_secret is None


def test_an_encrypting_api_needs_its_private_key() -> None:
    """The Management API never has it; to go on without would refuse every token."""
    encrypting = server(token_encryption={"format": "compact-nested-jwe", "encryption_key": {"alg": "RSA-OAEP-256"}})
    assert refused(from_server, encrypting).setting == "token_encryption"
    opening = from_server(encrypting, decryption_keys=pem())
    assert [key.kid for key in opening.keys_for_decryption] == [None]
    assert from_server(server(token_encryption=None)) == from_server(server())


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, ProofOfPossession()),
        ({"mechanism": "dpop", "required": True}, ProofOfPossession(("dpop",), required=True)),
        ({"mechanism": "mtls", "required": False, "required_for": "all_clients"}, ProofOfPossession(("mtls",))),
        ({"mechanism": "dpop", "required": True, "required_for": "public_clients"}, ProofOfPossession(("dpop",))),
    ],
)
def test_sender_constraining_is_followed(given: Any, read: ProofOfPossession) -> None:
    assert from_server(server(proof_of_possession=given)).possession == read


@pytest.mark.parametrize("value", [{"format": "x"}, {}, False, "", {"mechanism": "dpop", "required": "yes"}])
def test_sender_constraining_that_cannot_be_understood_is_not_ignored(value: Any) -> None:
    assert refused(from_server, server(proof_of_possession=value)).setting == "proof_of_possession"


@pytest.mark.parametrize(
    ("setting", "fields"),
    [
        *(("resource_server", value) for value in (None, 5, "text", [server()], b"{}")),
        *(("identifier", server(identifier=value)) for value in ("", None, 5, [API], {"a": 1})),
        ("identifier", {"signing_alg": "RS256"}),
        *(
            ("token_dialect", server(token_dialect=value))
            for value in ("jwt", "ACCESS_TOKEN", 5, ["access_token"], {"a": 1})
        ),
        *(("token_dialect", server(token_dialect=value)) for value in ("", False, 0, [])),
        *(("signing_alg", server(signing_alg=value)) for value in (None, 5, ["RS256"], {"a": 1}, True)),
        *(("signing_algorithms", server(signing_alg=value)) for value in ("none", "HS384", "", "rs256")),
        *(
            ("token_lifetime", server(token_lifetime=value))
            for value in (-1, 2_592_001, 1.5, "86400", True, False, [1])
        ),
        *(
            ("scopes", server(scopes=value))
            for value in ("a", 5, ["a"], [{}], [None], [{"description": "x"}], [{"value": []}])
        ),
        *(("scopes", server(scopes=value)) for value in (0, False, "", {"value": "a"})),
        *(
            ("permissions", server(scopes=[value]))
            for value in ({"value": 5}, {"value": ""}, {"value": "a", "description": 5})
        ),
        *(
            ("signing_secret", hs256_api(signing_secret=value))
            for value in (None, "", "short", 5, ["x"], "\ud800" * 20)
        ),
        ("signing_secret", hs256_api()),
    ],
)
def test_a_field_at_fault_is_named(setting: str, fields: Any) -> None:
    assert refused(from_server, fields).setting == setting


@pytest.mark.parametrize("secret", ["short", b"short", "", 5, "\ud800" * 20, PEM.decode()])
def test_a_secret_beside_the_object_is_checked(secret: Any) -> None:
    assert (
        refused(from_server, hs256_api(signing_secret=SECRET.decode()), signing_secret=secret).setting
        == "signing_secret"
    )


@pytest.mark.parametrize("secret", [SECRET, SECRET.decode(), b"", ""])
def test_a_secret_for_an_api_that_does_not_use_it_is_refused(secret: Any) -> None:
    assert refused(from_server, server(), signing_secret=secret).setting == "signing_secret"
