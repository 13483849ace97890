"""A tenant from a setup: all that can be said, what is wrong and where, and what a second setup changes."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jwtgate.tenant import (
    Place,
    ProofOfPossession,
    Rule,
    SetupError,
    StateFile,
    Tenant,
    TenantError,
    TokenEncryption,
)
from jwtgate.tenant.setup import ABOUT, SECTIONS

IDENTIFIER = "https://api.example.com/"
SECRET = "a secret of at least sixteen characters"

PEM = (
    rsa.generate_private_key(65_537, 2_048)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
PEM_LINES = textwrap.indent(PEM, " " * 10).rstrip("\n")

FULL = f"""\
issuer: https://tenant.example.test
organization_names: true
apis:
  - identifier: {IDENTIFIER}
    name: Messages
    profile: rfc9068
    signing_algorithm: PS256
    token_lifetime: 3600
    web_token_lifetime: 600
    rbac: true
    permissions_in_token: true
    permissions:
      read:messages: Read messages
      write:messages:
    skip_consent: true
    offline_access: true
    user_access: require_client_grant
    client_access: require_client_grant
    proof_of_possession:
      mechanism: dpop
      required: true
      required_for: public_clients
    token_encryption:
      format: compact-nested-jwe
      encryption_key:
        alg: RSA-OAEP-256
        kid: key-1
        name: Ours
        pem: |
{PEM_LINES}
  - identifier: https://hs256.example.com/
    signing_algorithm: HS256
    signing_secret: {SECRET}
    permissions: [read:all, write:all]
applications:
  - name: Backend
    client_id: backend
    client_secret: "1234567890"
    token_endpoint_auth: client_secret_basic
  - name: Website
    kind: regular_web
    grant_types: [authorization_code, refresh_token]
    callbacks: [https://web.example.com/callback]
    organization_usage: allow
    rotate_refresh_tokens: true
    require_proof_of_possession: true
roles:
  - name: Reader
    description: May read
    role_id: rol_reader
    permissions:
      {IDENTIFIER}: [read:messages]
      https://hs256.example.com/: all
users:
  - email: ada@example.com
    name: Ada
    password: correct horse
    user_id: auth0|ada
    roles: [Reader]
    permissions:
      {IDENTIFIER}: [write:messages]
  - email: bob@example.com
organizations:
  - name: acme
    display_name: Acme
    organization_id: org_acme
    members:
      - user: ada@example.com
        roles: [Reader]
      - bob@example.com
grants:
  - application: Website
    api: {IDENTIFIER}
    subject_type: user
    permissions: all
  - application: backend
    api: {IDENTIFIER}
    permissions: [read:messages]
    organization_usage: allow
    organizations: [acme]
  - application: Backend
    api: https://hs256.example.com/
    organization_usage: require
    organizations: any
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "tenant.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def wrong(setup: Any, **options: Any) -> SetupError:
    with pytest.raises(SetupError) as refused:
        Tenant.from_mapping(setup, **options)
    return refused.value


# What can be said


def test_every_setting_arrives(write: Callable[[str], Path]) -> None:
    tenant = Tenant.from_file(write(FULL))
    _, api, secret_api = tenant.apis
    assert tenant.issuer == "https://tenant.example.test/"
    assert (api.name, api.profile, api.signing_algorithm) == ("Messages", "rfc9068", "PS256")
    assert (api.token_lifetime, api.web_token_lifetime) == (3600, 600)
    assert (api.rbac, api.permissions_in_token, api.skip_consent, api.offline_access) == (True, True, True, True)
    assert dict(api.permissions) == {"read:messages": "Read messages", "write:messages": ""}
    assert api.user_access == "require_client_grant"
    assert api.proof_of_possession == ProofOfPossession(mechanism="dpop", required=True, required_for="public_clients")
    assert api.token_encryption == TokenEncryption(algorithm="RSA-OAEP-256", pem=PEM, kid="key-1", name="Ours")
    assert (secret_api.signing_secret, list(secret_api.permissions)) == (SECRET, ["read:all", "write:all"])

    backend, website = (each for each in tenant.applications if each.name in {"Backend", "Website"})
    assert (backend.client_id, backend.client_secret) == ("backend", "1234567890")
    assert backend.token_endpoint_auth == "client_secret_basic"
    assert (website.kind, website.callbacks) == ("regular_web", ("https://web.example.com/callback",))
    assert website.grant_types == ("authorization_code", "refresh_token")
    assert (website.organization_usage, website.rotate_refresh_tokens) == ("allow", True)
    assert website.require_proof_of_possession

    (reader,), (ada, bob), (acme,) = tenant.roles, tenant.users, tenant.organizations
    assert (reader.id, reader.description) == ("rol_reader", "May read")
    assert (ada.user_id, ada.name, ada.password, ada.roles) == ("auth0|ada", "Ada", "correct horse", ("rol_reader",))
    assert tenant.permissions_of(ada, api) == ("read:messages", "write:messages")
    assert tenant.permissions_of(ada, secret_api) == ("read:all", "write:all")
    assert (acme.id, acme.display_name) == ("org_acme", "Acme")
    assert dict(acme.members) == {"auth0|ada": ("rol_reader",), bob.user_id: ()}

    given = [grant for grant in tenant.grants if grant.client_id in {"backend", website.client_id}]
    assert [(each.audience, each.subject_type, each.permissions) for each in given] == [
        (IDENTIFIER, "user", ("read:messages", "write:messages")),
        (IDENTIFIER, "client", ("read:messages",)),
        ("https://hs256.example.com/", "client", ()),
    ]
    assert [(each.organization_usage, each.organizations) for each in given] == [
        ("deny", frozenset()),
        ("allow", {"org_acme"}),
        ("require", None),
    ]


def test_organizations_can_be_asked_for_by_name(write: Callable[[str], Path]) -> None:
    tenant = Tenant.from_file(write(FULL))
    backend = next(each for each in tenant.applications if each.name == "Backend")
    assert tenant.claims(backend, IDENTIFIER, organization="acme")["org_name"] == "acme"


def test_python_says_the_same_as_yaml() -> None:
    tenant = Tenant.from_mapping(
        {
            "apis": ({"identifier": IDENTIFIER, "permissions": ("read:messages",)},),
            "applications": [{"name": "Backend"}],
            "grants": [{"application": "Backend", "api": IDENTIFIER, "permissions": "all"}],
        }
    )
    backend = tenant.applications[-1]
    assert tenant.client_credentials(backend, IDENTIFIER).scope == "read:messages"


@pytest.mark.parametrize("off", [None, False])
def test_null_and_false_switch_a_setting_off(off: Any) -> None:
    settings = {"proof_of_possession": off, "token_encryption": off}
    api = Tenant.from_mapping({"apis": [{"identifier": IDENTIFIER, **settings}]}).apis[-1]
    assert (api.proof_of_possession, api.token_encryption) == (None, None)


def test_the_clock_and_another_issuer_can_be_given(write: Callable[[str], Path]) -> None:
    tenant = Tenant.from_file(write(FULL), issuer="https://other.example.test", clock=lambda: 1_800_000_000.5)
    claims = tenant.claims(next(each for each in tenant.applications if each.name == "Backend"), IDENTIFIER)
    assert (claims["iss"], claims["iat"]) == ("https://other.example.test/", 1_800_000_000)


@pytest.mark.parametrize("setup", [{}, {"apis": None, "users": []}])
def test_what_says_nothing_sets_up_nothing(setup: dict[str, Any]) -> None:
    assert [api.is_system for api in Tenant.from_mapping(setup).apis] == [True]


@pytest.mark.parametrize(
    ("section", "make", "otherwise"),
    [
        ("apis", Tenant.register_api, set()),
        ("applications", Tenant.create_application, set()),
        ("users", Tenant.create_user, {"roles", "permissions"}),
        ("roles", Tenant.create_role, {"permissions"}),
        ("organizations", Tenant.create_organization, {"members"}),
        ("grants", Tenant.authorize, set()),
    ],
)
def test_every_setting_of_python_can_be_said(section: str, make: Callable[..., object], otherwise: set[str]) -> None:
    assert set(SECTIONS[section].knows) == set(inspect.signature(make).parameters) - {"self"} | otherwise


def test_every_rule_is_about_a_key_that_can_be_said() -> None:
    keys = {key for kind in SECTIONS.values() for key in kind.knows} | {"issuer"}
    assert set(ABOUT.values()) <= keys


def test_the_sample_is_a_setup_that_warns_of_nothing() -> None:
    tenant = Tenant.from_file(str(files("jwtgate.tenant").joinpath("sample.yaml")))
    backend = next(each for each in tenant.applications if each.name == "Backend")
    (ada,) = tenant.users
    assert tenant.client_credentials(backend, IDENTIFIER).scope == "read:messages write:messages"
    assert tenant.permissions_of(ada, IDENTIFIER) == ("read:messages",)


# What is wrong, and where

API = {"identifier": IDENTIFIER, "permissions": ["read:messages"]}
APPLICATION = {"name": "Backend"}
GRANT = {"application": "Backend", "api": IDENTIFIER}
USER = {"email": "ada@example.com"}


@pytest.mark.parametrize(
    ("change", "rule", "steps", "value"),
    [
        # keys
        ({"api": []}, Rule.SETUP_KEY, ("api",), "api"),
        ({"apis": [{**API, "scopes": []}]}, Rule.SETUP_KEY, ("apis", 0, "scopes"), "scopes"),
        ({"apis": [{"name": "x"}]}, Rule.SETUP_KEY_MISSING, ("apis", 0), None),
        ({"grants": [{"api": IDENTIFIER}]}, Rule.SETUP_KEY_MISSING, ("grants", 0), None),
        ({1: []}, Rule.SETUP_TYPE, (), 1),
        # kinds of values
        ({"apis": {}}, Rule.SETUP_TYPE, ("apis",), None),
        ({"apis": "x"}, Rule.SETUP_TYPE, ("apis",), "x"),
        ({"apis": ["x"]}, Rule.SETUP_TYPE, ("apis", 0), "x"),
        ({"apis": [{"identifier": 7}]}, Rule.SETUP_TYPE, ("apis", 0, "identifier"), 7),
        ({"apis": [{**API, "name": None}]}, Rule.SETUP_TYPE, ("apis", 0, "name"), "nothing"),
        ({"apis": [{**API, "rbac": "yes"}]}, Rule.SETUP_TYPE, ("apis", 0, "rbac"), "yes"),
        ({"apis": [{**API, "token_lifetime": True}]}, Rule.SETUP_TYPE, ("apis", 0, "token_lifetime"), True),
        ({"apis": [{**API, "token_lifetime": "1 h"}]}, Rule.SETUP_TYPE, ("apis", 0, "token_lifetime"), "1 h"),
        ({"apis": [{**API, "permissions": [1]}]}, Rule.SETUP_TYPE, ("apis", 0, "permissions", 0), 1),
        ({"apis": [{**API, "permissions": {"a": 1}}]}, Rule.SETUP_TYPE, ("apis", 0, "permissions", "a"), 1),
        ({"apis": [{**API, "permissions": "a"}]}, Rule.SETUP_TYPE, ("apis", 0, "permissions"), "a"),
        ({"apis": [{**API, "signing_secret": 123}]}, Rule.SETUP_TYPE, ("apis", 0, "signing_secret"), None),
        ({"users": [{**USER, "password": 123}]}, Rule.SETUP_TYPE, ("users", 0, "password"), None),
        ({"applications": [{**APPLICATION, "callbacks": "x"}]}, Rule.SETUP_TYPE, ("applications", 0, "callbacks"), "x"),
        (
            {"apis": [{**API, "proof_of_possession": "dpop"}]},
            Rule.SETUP_TYPE,
            ("apis", 0, "proof_of_possession"),
            "dpop",
        ),
        (
            {"apis": [{**API, "proof_of_possession": {"mechanism": "dpop", "required": "yes"}}]},
            Rule.SETUP_TYPE,
            ("apis", 0, "proof_of_possession", "required"),
            "yes",
        ),
        (
            {"apis": [{**API, "proof_of_possession": {"mechanism": "dpop"}}]},
            Rule.SETUP_KEY_MISSING,
            ("apis", 0, "proof_of_possession"),
            None,
        ),
        (
            {"apis": [{**API, "token_encryption": {"encryption_key": {"alg": "RSA-OAEP-256", "key": "x"}}}]},
            Rule.SETUP_KEY,
            ("apis", 0, "token_encryption", "encryption_key", "key"),
            "key",
        ),
        (
            {"apis": [{**API, "token_encryption": {"encryption_key": {"alg": "RSA-OAEP-256", "pem": 7}}}]},
            Rule.SETUP_TYPE,
            ("apis", 0, "token_encryption", "encryption_key", "pem"),
            None,
        ),
        (
            {"apis": [{**API, "token_encryption": {"encryption_key": None}}]},
            Rule.SETUP_TYPE,
            ("apis", 0, "token_encryption", "encryption_key"),
            "nothing",
        ),
        ({"grants": [{**GRANT, "permissions": "some"}]}, Rule.SETUP_TYPE, ("grants", 0, "permissions"), "some"),
        ({"issuer": 1}, Rule.SETUP_TYPE, ("issuer",), 1),
        # rules of the tenant
        ({"issuer": "tenant"}, Rule.ISSUER, ("issuer",), "tenant"),
        ({"apis": [{**API, "name": "a<b"}]}, Rule.NAME_CHARACTERS, ("apis", 0, "name"), "a<b"),
        ({"apis": [API, {**API, "identifier": ""}]}, Rule.IDENTIFIER_LENGTH, ("apis", 1, "identifier"), ""),
        ({"apis": [{**API, "token_lifetime": 0}]}, Rule.TOKEN_LIFETIME, ("apis", 0, "token_lifetime"), 0),
        (
            {"apis": [{**API, "permissions_in_token": True}]},
            Rule.PERMISSIONS_NEED_RBAC,
            ("apis", 0, "permissions_in_token"),
            None,
        ),
        (
            {"apis": [{**API, "permissions": ["a", "openid"]}]},
            Rule.PERMISSION_RESERVED,
            ("apis", 0, "permissions", 1),
            "openid",
        ),
        (
            {"apis": [{**API, "permissions": {"openid": "x"}}]},
            Rule.PERMISSION_RESERVED,
            ("apis", 0, "permissions", "openid"),
            "openid",
        ),
        (
            {"apis": [{**API, "permissions": ["a", "b", "a"]}]},
            Rule.PERMISSION_TWICE,
            ("apis", 0, "permissions", 2),
            "a",
        ),
        (
            {"apis": [{**API, "signing_algorithm": "none"}]},
            Rule.SIGNING_ALGORITHM,
            ("apis", 0, "signing_algorithm"),
            "none",
        ),
        (
            {"apis": [{**API, "proof_of_possession": {"mechanism": "magic", "required": True}}]},
            Rule.POSSESSION_MECHANISM,
            ("apis", 0, "proof_of_possession"),
            "magic",
        ),
        (
            {"apis": [{**API, "token_encryption": {"encryption_key": {"alg": "RSA-OAEP-256", "pem": "x"}}}]},
            Rule.ENCRYPTION_KEY,
            ("apis", 0, "token_encryption"),
            None,
        ),
        (
            {"applications": [{**APPLICATION, "kind": "robot"}]},
            Rule.APPLICATION_KIND,
            ("applications", 0, "kind"),
            "robot",
        ),
        (
            {"applications": [{**APPLICATION, "callbacks": ["a", "x"]}]},
            Rule.CALLBACK,
            ("applications", 0, "callbacks", 0),
            "a",
        ),
        ({"users": [{"email": "ada"}]}, Rule.EMAIL, ("users", 0, "email"), "ada"),
        ({"users": [{**USER, "email": "a@\ud800"}]}, Rule.TEXT, ("users", 0), "a@\ud800"),
        (
            {"roles": [{"name": "a", "role_id": "r"}, {"name": "b", "role_id": "r"}]},
            Rule.ROLE_TAKEN,
            ("roles", 1, "role_id"),
            "b",
        ),
        ({"organizations": [{"name": "Acme Inc"}]}, Rule.ORGANIZATION_NAME, ("organizations", 0, "name"), "Acme Inc"),
        ({"grants": [{**GRANT, "permissions": ["x"]}]}, Rule.PERMISSION_UNKNOWN, ("grants", 0, "permissions", 0), "x"),
        ({"grants": [{**GRANT, "subject_type": "x"}]}, Rule.SUBJECT_TYPE, ("grants", 0, "subject_type"), "x"),
        (
            {"users": [{**USER, "permissions": {IDENTIFIER: ["read:messages", "x"]}}]},
            Rule.PERMISSION_UNKNOWN,
            ("users", 0, "permissions", IDENTIFIER, 1),
            "x",
        ),
        # names of what is not there
        ({"grants": [{**GRANT, "api": "x"}]}, Rule.SETUP_NAME_UNKNOWN, ("grants", 0, "api"), "x"),
        ({"grants": [{**GRANT, "application": "x"}]}, Rule.SETUP_NAME_UNKNOWN, ("grants", 0, "application"), "x"),
        (
            {"grants": [{**GRANT, "organizations": ["x"]}]},
            Rule.SETUP_NAME_UNKNOWN,
            ("grants", 0, "organizations", 0),
            "x",
        ),
        ({"users": [{**USER, "roles": ["x"]}]}, Rule.SETUP_NAME_UNKNOWN, ("users", 0, "roles", 0), "x"),
        (
            {"users": [{**USER, "permissions": {"x": []}}]},
            Rule.SETUP_NAME_UNKNOWN,
            ("users", 0, "permissions", "x"),
            "x",
        ),
        (
            {"organizations": [{"name": "a", "members": ["x"]}]},
            Rule.SETUP_NAME_UNKNOWN,
            ("organizations", 0, "members", 0),
            "x",
        ),
        (
            {"organizations": [{"name": "a", "members": [{"user": "x"}]}]},
            Rule.SETUP_NAME_UNKNOWN,
            ("organizations", 0, "members", 0, "user"),
            "x",
        ),
        # what is there twice
        ({"apis": [API, API]}, Rule.SETUP_TWICE, ("apis", 1), None),
        ({"applications": [APPLICATION, APPLICATION]}, Rule.SETUP_TWICE, ("applications", 1), None),
        ({"grants": [GRANT, GRANT]}, Rule.SETUP_TWICE, ("grants", 1), None),
        ({"users": [USER, {"email": "ADA@example.com"}]}, Rule.SETUP_TWICE, ("users", 1), None),
        (
            {
                "users": [USER],
                "organizations": [{"name": "a", "members": ["ada@example.com", {"user": "Ada@example.com"}]}],
            },
            Rule.SETUP_TWICE,
            ("organizations", 0, "members", 1),
            None,
        ),
        (
            {"applications": [{**APPLICATION, "client_id": "a"}, {**APPLICATION, "client_id": "b"}]},
            Rule.SETUP_NAME_SHARED,
            ("grants", 0, "application"),
            "Backend",
        ),
    ],
)
def test_a_mistake_is_named_with_the_way_to_it(
    change: dict[Any, Any], rule: Rule, steps: tuple[str | int, ...], value: object
) -> None:
    good = {"apis": [API], "applications": [APPLICATION], "grants": [GRANT]}
    Tenant.from_mapping(good)
    error = wrong({**good, **change})
    assert (error.rule, error.place, error.value) == (rule, Place(steps=steps), value)


def test_what_is_no_mapping_is_no_setup() -> None:
    assert wrong(["apis"]).rule is Rule.SETUP_TYPE


def test_in_a_file_line_and_column_are_named(write: Callable[[str], Path]) -> None:
    path = write(FULL.replace("roles: [Reader]", "roles: [Reader, Writer]", 1))
    with pytest.raises(TenantError) as refused:
        Tenant.from_file(path)
    text = path.read_text(encoding="utf-8")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "Writer" in each)
    assert refused.value.place == Place(source=str(path), line=line, column=21, steps=("users", 0, "roles", 1))


def test_an_issuer_beside_the_setup_is_not_the_setups_fault() -> None:
    with pytest.raises(TenantError) as refused:
        Tenant.from_mapping({"issuer": "https://tenant.example.test"}, issuer="tenant")
    assert not isinstance(refused.value, SetupError)


def test_no_secret_is_in_an_error() -> None:
    for change in (
        {"apis": [{**API, "token_encryption": {"encryption_key": {"alg": "RSA-OAEP-256", "pem": "short"}}}]},
        {"apis": [{**API, "signing_algorithm": "HS256", "signing_secret": "short"}]},
        {"apis": [{**API, "signing_algorithm": "HS256", "signing_secret": 987654321}]},
        {"applications": [{**APPLICATION, "client_secret": 987654321}]},
        {"users": [{**USER, "password": ["987654321"]}]},
    ):
        error = wrong(change)
        assert "short" not in str(error)
        assert "987654321" not in str(error)


# Over what a state has kept


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[dict[str, Any] | Path], Tenant]:
    """A tenant from this setup, with the state of the one before; what it is afterwards is looked at in memory."""
    path = tmp_path / "tenant.db"

    def make(setup: dict[str, Any] | Path) -> Tenant:
        with StateFile(path) as state:
            if isinstance(setup, Path):
                return Tenant.from_file(setup, keeper=state)
            return Tenant.from_mapping(setup, keeper=state)

    return make


def test_the_same_setup_again_changes_nothing(kept: Any, write: Callable[[str], Path]) -> None:
    path = write(FULL)
    first, second = kept(path), kept(path)
    for kind in ("apis", "applications", "users", "roles", "organizations"):
        assert getattr(second, kind) == getattr(first, kind)
    assert [(each.audience, each.permissions) for each in second.grants] == [
        (each.audience, each.permissions) for each in first.grants
    ]


def test_what_is_said_anew_is_changed_and_the_rest_stays(kept: Any, write: Callable[[str], Path]) -> None:
    first = kept(write(FULL))
    second = kept(
        {
            "apis": [{"identifier": IDENTIFIER, "name": "Mail", "token_lifetime": 60, "proof_of_possession": None}],
            "applications": [{"name": "Website", "callbacks": [], "client_secret": "new"}, {"name": "More"}],
            "roles": [{"name": "Reader", "description": "", "permissions": {IDENTIFIER: ["write:messages"]}}],
            "users": [{"email": "ada@example.com", "name": "Countess", "roles": []}],
            "organizations": [{"name": "acme", "display_name": "ACME", "members": ["bob@example.com"]}],
            "grants": [{"application": "Website", "api": IDENTIFIER, "subject_type": "user"}],
        }
    )
    before, after = first.apis[1], second.apis[1]
    assert (after.id, after.name, after.token_lifetime, after.web_token_lifetime) == (before.id, "Mail", 60, 60)
    assert after.permissions == before.permissions
    assert (after.proof_of_possession, after.token_encryption) == (None, before.token_encryption)

    old, new = ({each.name: each for each in tenant.applications} for tenant in (first, second))
    assert new.keys() - old.keys() == {"More"}
    assert (new["Website"].callbacks, new["Website"].client_secret) == ((), "new")
    assert new["Website"].client_id == old["Website"].client_id
    assert new["Backend"] == old["Backend"]

    ada, bob = second.users
    assert (ada.name, ada.password, ada.roles) == ("Countess", "correct horse", ())
    assert bob == first.users[1]
    assert second.permissions_of(ada, IDENTIFIER) == ("write:messages",)
    (reader,), (acme,) = second.roles, second.organizations
    assert (reader.description, dict(reader.permissions)[after.id]) == ("", ("write:messages",))
    assert (acme.display_name, list(acme.members)) == ("ACME", [bob.user_id])
    assert [each.permissions for each in second.grants if each.client_id == new["Website"].client_id] == [()]


def test_a_role_that_is_said_again_is_given_once(kept: Any) -> None:
    setup = {"roles": [{"name": "a"}, {"name": "b"}], "users": [{**USER, "roles": ["a"]}]}
    kept(setup)
    setup["users"] = [{**USER, "roles": ["b", "a"]}]
    tenant = kept(setup)
    assert sorted(tenant.users[0].roles) == sorted(role.id for role in tenant.roles)


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        ({"apis": [{**API, "signing_algorithm": "PS256"}]}, ("apis", 0, "signing_algorithm")),
        (
            {"apis": [{"identifier": "https://hs256.example.com/", "signing_secret": SECRET[::-1]}]},
            ("apis", 0, "signing_secret"),
        ),
        ({"applications": [{**APPLICATION, "kind": "native"}]}, ("applications", 0, "kind")),
        ({"roles": [{"name": "Reader", "role_id": "rol_other"}]}, ("roles", 0, "role_id")),
        ({"users": [{**USER, "user_id": "auth0|other"}]}, ("users", 0, "user_id")),
        (
            {"organizations": [{"name": "acme", "organization_id": "org_other"}]},
            ("organizations", 0, "organization_id"),
        ),
    ],
)
def test_what_never_changes_is_not_changed_by_a_setup(
    kept: Any, change: dict[str, Any], steps: tuple[Any, ...]
) -> None:
    kept(
        {
            "apis": [
                API,
                {"identifier": "https://hs256.example.com/", "signing_algorithm": "HS256", "signing_secret": SECRET},
            ],
            "applications": [APPLICATION],
            "roles": [{"name": "Reader"}],
            "users": [USER],
            "organizations": [{"name": "acme"}],
        }
    )
    with pytest.raises(SetupError) as refused:
        kept(change)
    error = refused.value
    assert (error.rule, error.place, error.limit, error.value) == (
        Rule.SETUP_FIXED,
        Place(steps=steps),
        steps[-1],
        None,
    )


def test_of_a_setup_that_is_wrong_nothing_is_kept(kept: Any) -> None:
    with pytest.raises(SetupError):
        kept({"apis": [API], "users": [{"email": "nobody"}]})
    assert [api.is_system for api in kept({}).apis] == [True]


# Changing what is there


def test_applications_and_people_can_be_changed() -> None:
    tenant = Tenant()
    application, user = tenant.create_application("Backend"), tenant.create_user("ada@example.com", name="Ada")
    role, organization = tenant.create_role("Reader"), tenant.create_organization("acme")
    changed = tenant.update_application(
        application,
        name="Batch",
        client_secret="other",
        token_endpoint_auth="client_secret_basic",
        grant_types=[],
        callbacks=["https://a.example/"],
        organization_usage="allow",
        rotate_refresh_tokens=True,
    )
    assert (changed.client_id, changed.name, changed.client_secret) == (application.client_id, "Batch", "other")
    assert (changed.token_endpoint_auth, changed.grant_types) == ("client_secret_basic", ())
    assert (changed.callbacks, changed.organization_usage) == (("https://a.example/",), "allow")
    assert changed.rotate_refresh_tokens
    assert tenant.update_application(application) == changed == tenant.applications[-1]
    assert tenant.update_user(user, password="new") == tenant.users[0]
    assert (tenant.users[0].name, tenant.users[0].password) == ("Ada", "new")
    assert tenant.update_role(role, description="May read").description == "May read"
    assert tenant.update_organization(organization, display_name="Acme").display_name == "Acme"


def test_a_test_application_changes_in_its_api_too() -> None:
    tenant = Tenant()
    api = tenant.register_api(IDENTIFIER)
    tenant.update_application(api.test_application, client_secret="other")
    application = tenant.apis[1].test_application
    assert application.client_secret == "other"
    assert tenant.client_credentials(application, IDENTIFIER).access_token
