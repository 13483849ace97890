"""A tenant in a file: what survives, who may open it, and which files are refused."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from jwtgate.tenant import Change, Rule, StateFile, Tenant, TenantError, TokenRefused
from jwtgate.tenant.state import APPLICATION_ID, SCHEMA

IDENTIFIER = "https://api.example.com/"
JKT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"  # of some key: RFC 7638 section 3.1

PEM = (
    rsa.generate_private_key(65_537, 2_048)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tenant #1.db"


def fill(tenant: Tenant) -> None:
    """One of everything, with every setting that is not the usual one."""
    api = tenant.register_api(
        IDENTIFIER,
        name="Messages",
        rbac=True,
        permissions_in_token=True,
        permissions={"read:messages": "Read messages", "write:messages": ""},
        offline_access=True,
        user_access="require_client_grant",
        proof_of_possession={"mechanism": "dpop", "required": True, "required_for": "public_clients"},
        token_encryption={"encryption_key": {"alg": "RSA-OAEP-384", "pem": PEM, "kid": "key-1", "name": "Ours"}},
    )
    tenant.register_api("https://hs256.example.com/", signing_algorithm="HS256", profile="rfc9068")
    web = tenant.create_application(
        "Web\u00e9",
        kind="regular_web",
        token_endpoint_auth="client_secret_basic",
        grant_types=["authorization_code", "refresh_token", "password"],
        callbacks=["https://web.example.com/callback"],
        organization_usage="allow",
        rotate_refresh_tokens=True,
        require_proof_of_possession=True,
    )
    machine = tenant.create_application("Machine")
    ada, bob = tenant.create_user("ada@example.com", name="Ada"), tenant.create_user("bob@example.com")
    reader = tenant.create_role("Reader", description="May read")
    tenant.assign_permissions(reader, api, ["read:messages"])
    tenant.assign_permissions(ada, api, ["write:messages"])
    tenant.assign_role(ada, reader)
    acme, other = tenant.create_organization("acme", display_name="Acme"), tenant.create_organization("other")
    tenant.add_member(acme, ada, [reader])
    tenant.add_member(acme, bob)
    tenant.authorize(web, api, ["read:messages", "write:messages"], subject_type="user")
    tenant.authorize(machine, api, ["read:messages"], organization_usage="allow", organizations=[acme, other])
    tenant.authorize(machine, "https://hs256.example.com/", organizations=None)


def contents(tenant: Tenant) -> dict[str, Any]:
    kinds = ("apis", "applications", "grants", "users", "roles", "organizations")
    return {"jwks": tenant.jwks(), **{kind: getattr(tenant, kind) for kind in kinds}}


def test_everything_survives_in_its_order(path: Path) -> None:
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        fill(tenant)
        before = contents(tenant)
    with StateFile(path) as state:
        assert contents(Tenant(keeper=state)) == before


def test_what_changed_last_is_what_survives(path: Path) -> None:
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        fill(tenant)
        tenant.update_api(IDENTIFIER, token_lifetime=60)
        machine = next(each for each in tenant.applications if each.name == "Machine")
        tenant.withdraw(machine, IDENTIFIER)
        before = contents(tenant)
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        assert contents(tenant) == before
        assert [api.token_lifetime for api in tenant.apis if api.identifier == IDENTIFIER] == [60]


def test_tokens_outlive_the_process_that_signed_them(path: Path) -> None:
    with StateFile(path) as state:
        tenant = Tenant("https://tenant.example.test/", keeper=state)
        api = tenant.register_api(IDENTIFIER)
        token = tenant.client_credentials(api.test_application, api).access_token
        tenant.keys.rotate()
        previous = tenant.keys.previous
    with StateFile(path) as state:
        tenant = Tenant("https://tenant.example.test/", keeper=state)
        keys = {key["kid"]: jwt.PyJWK(key) for key in tenant.jwks()["keys"]}
        assert previous is not None
        assert jwt.get_unverified_header(token)["kid"] == previous.kid
        assert jwt.decode(token, keys[previous.kid], algorithms=["RS256"], audience=IDENTIFIER)
        tenant.keys.revoke()
    with StateFile(path) as state:
        kids = [key["kid"] for key in Tenant(keeper=state).jwks()["keys"]]
        assert previous.kid not in kids
        assert len(kids) == 2


def test_refresh_tokens_survive_and_a_spent_one_stays_spent(path: Path) -> None:
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        fill(tenant)
        (web,) = [each for each in tenant.applications if each.kind == "regular_web"]
        first = tenant.authorization_code(web, IDENTIFIER, tenant.users[0], "read:messages offline_access", jkt=JKT)
        second = tenant.refresh(web, first.refresh_token, jkt=JKT)
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        third = tenant.refresh(web, second.refresh_token, jkt=JKT)
        assert third.scope == second.scope
        with pytest.raises(TokenRefused) as refused:
            tenant.refresh(web, first.refresh_token, jkt=JKT)
        assert refused.value.error == "invalid_grant"


def test_a_refresh_token_is_for_the_same_key_after_a_restart(path: Path) -> None:
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        api = tenant.register_api(IDENTIFIER, rbac=True, offline_access=True)
        spa, ada = tenant.create_application("Spa", kind="native"), tenant.create_user("ada@example.com")
        first = tenant.authorization_code(spa, api, ada, "offline_access", jkt=JKT)
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        with pytest.raises(TokenRefused):
            tenant.refresh(spa, first.refresh_token)
        assert tenant.refresh(spa, first.refresh_token, jkt=JKT).access_token


def test_a_state_from_before_tokens_could_be_bound_is_read(path: Path) -> None:
    """Its records have none of those members, and its schema is the first."""
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        api = tenant.register_api(IDENTIFIER, rbac=True, offline_access=True)
        spa, ada = tenant.create_application("Spa", kind="native"), tenant.create_user("ada@example.com")
        first = tenant.authorization_code(spa, api, ada, "offline_access")
        before = contents(tenant)
    with closing(sqlite3.connect(path)) as connection:
        for position, text in connection.execute("SELECT position, content FROM record").fetchall():
            old = without(json.loads(text), *NEW_MEMBERS)
            connection.execute("UPDATE record SET content = ? WHERE position = ?", (json.dumps(old), position))
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        assert contents(tenant) == before
        assert tenant.refresh(spa, first.refresh_token).access_token


NEW_MEMBERS = ("proof_of_possession", "token_encryption", "require_proof_of_possession", "jkt")


def without(value: Any, *names: str) -> Any:
    if isinstance(value, dict):
        return {name: without(member, *names) for name, member in value.items() if name not in names}
    return value


def test_the_management_api_is_made_once(path: Path) -> None:
    for _ in range(2):
        with StateFile(path) as state:
            tenant = Tenant(keeper=state)
            assert len(tenant.apis) == len(tenant.applications) == 1


# Who may open it


def test_only_its_owner_can_read_it(path: Path) -> None:
    with StateFile(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640, 0o700])
def test_a_file_that_others_could_read_is_closed_to_them(path: Path, mode: int) -> None:
    kept(path)
    path.chmod(mode)
    with StateFile(path) as state:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(Tenant(keeper=state).apis) == 3


def test_an_empty_file_of_anybody_is_closed_to_the_others_before_a_secret_is_in_it(path: Path) -> None:
    path.touch(0o666)
    with StateFile(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_refused_keeps_its_mode(path: Path) -> None:
    database(path, "CREATE TABLE theirs (x)")
    path.chmod(0o644)
    with pytest.raises(TenantError):
        StateFile(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_file_that_cannot_be_closed_to_others_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(path)
    path.chmod(0o644)

    def not_permitted(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        # Whoever runs the tests owns their files; it is the operating system that is stood in for.
        patch.setattr(os, "chmod", not_permitted)
        with pytest.raises(TenantError) as refused:
            StateFile(path)
        assert refused.value.rule is Rule.STATE_FILE
    StateFile(path).close()


def test_it_serves_one_at_a_time(path: Path) -> None:
    with StateFile(path) as first:
        Tenant(keeper=first)
        for _ in range(2):  # to be refused once must not open it
            with pytest.raises(TenantError) as refused:
                StateFile(path)
            assert (refused.value.rule, refused.value.value) == (Rule.STATE_BUSY, str(path))
    StateFile(path).close()


def test_another_process_is_refused_as_well_until_this_one_is_gone(path: Path) -> None:
    code = (
        "import sys; from jwtgate.tenant import StateFile; StateFile(sys.argv[1]); print('open', flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(TenantError) as refused:
            StateFile(path)
        assert refused.value.rule is Rule.STATE_BUSY
        other.kill()
    StateFile(path).close()


def test_after_it_is_closed_nothing_is_kept_and_nothing_is_changed(path: Path) -> None:
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
    state.close()
    with pytest.raises(TenantError) as refused:
        tenant.register_api(IDENTIFIER)
    assert refused.value.rule is Rule.STATE_CLOSED
    assert [api.is_system for api in tenant.apis] == [True]


# All or nothing


def register_twice(tenant: Tenant, state: StateFile) -> None:
    with state.together():
        tenant.keys.rotate()
        tenant.register_api(IDENTIFIER)
        tenant.register_api(IDENTIFIER)


def register_many(tenant: Tenant) -> None:
    for number in range(1000):
        tenant.register_api(f"{IDENTIFIER}{number}")


def test_what_is_kept_together_is_kept_whole_or_not_at_all(path: Path) -> None:
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        with pytest.raises(TenantError):
            register_twice(tenant, state)
        with state.together():
            tenant.create_role("Reader")
    with StateFile(path) as state:
        kept = Tenant(keeper=state)
        assert ([role.name for role in kept.roles], len(kept.apis)) == (["Reader"], 1)
        assert state.load_keys() == {}


def test_a_change_that_cannot_be_kept_is_not_seen(path: Path) -> None:
    """The file may grow by nothing, as on a full disk."""
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        state._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(TenantError) as refused:
            register_many(tenant)
        assert refused.value.rule is Rule.STATE_FILE
        seen = len(tenant.apis)
        state._connection.execute("PRAGMA max_page_count = 100000")
        tenant.register_api(IDENTIFIER)
    with StateFile(path) as state:
        assert len(Tenant(keeper=state).apis) == seen + 1


# Files that are refused


def database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def kept(path: Path) -> None:
    """A state with one of everything."""
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        fill(tenant)
        tenant.jwks()


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda path: path.write_text("apis: []\n" * 200), Rule.STATE_FOREIGN),
        (lambda path: database(path, "CREATE TABLE theirs (x)"), Rule.STATE_FOREIGN),
        (lambda path: database(path, "PRAGMA application_id = 1"), Rule.STATE_FOREIGN),
        (lambda path: path.mkdir(), Rule.STATE_FILE),
        (
            lambda path: database(
                path, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {SCHEMA + 1}"
            ),
            Rule.STATE_NEWER,
        ),
    ],
)
def test_what_no_tenant_of_this_version_made_is_refused_and_left_alone(
    path: Path, make: Callable[[Path], object], rule: Rule
) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(TenantError) as refused:
        StateFile(path)
    assert refused.value.rule is rule
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(TenantError) as refused:
        StateFile(tmp_path / "nowhere" / "tenant.db")
    assert refused.value.rule is Rule.STATE_FILE


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    with StateFile(path) as state:
        assert state.load() == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE record SET content = '{' WHERE kind = 'user'",
        "UPDATE record SET content = '[]' WHERE kind = 'api'",
        "UPDATE record SET content = '{}' WHERE kind = 'grant'",
        "UPDATE record SET content = '7' WHERE kind = 'role'",
        "UPDATE record SET kind = 'nothing' WHERE kind = 'role'",
        "UPDATE record SET content = replace(content, 'Reader', 'Re<der') WHERE kind = 'role'",
        "UPDATE record SET content = replace(content, '}', ', \"more\": 1}') WHERE kind = 'application'",
        "UPDATE signing_key SET private_key = 'x'",
        "UPDATE signing_key SET certificate = 'x'",
        "DROP TABLE record",
    ],
)
def test_a_damaged_file_is_refused_without_telling_what_is_in_it(path: Path, damage: str) -> None:
    kept(path)
    database(path, damage)
    with StateFile(path) as state, pytest.raises(TenantError) as refused:
        Tenant(keeper=state)
    assert (refused.value.rule, refused.value.value) == (Rule.STATE_DAMAGED, str(path))


def test_a_key_of_another_kind_is_damage(path: Path) -> None:
    kept(path)
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    database(path, f"UPDATE signing_key SET private_key = '{key.decode()}'")
    with StateFile(path) as state, pytest.raises(TenantError) as refused:
        Tenant(keeper=state)
    assert refused.value.rule is Rule.STATE_DAMAGED


def test_torn_pages_are_damage(path: Path) -> None:
    kept(path)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    with pytest.raises(TenantError) as refused, StateFile(path) as state:
        Tenant(keeper=state)
    assert refused.value.rule is Rule.STATE_DAMAGED


def test_a_record_that_is_taken_away_is_gone(path: Path) -> None:
    with StateFile(path) as state:
        tenant = Tenant(keeper=state)
        role = tenant.create_role("Reader")
        state.keep([Change("role", role.id, replace(role, description="x"))])
        state.keep([Change("role", role.id, None)])
        assert "role" not in {change.table for change in state.load()}


def test_a_tenant_that_is_served_keeps_what_it_hands_out(path: Path) -> None:
    with StateFile(path) as state:
        tenant = Tenant("https://tenant.example.test/", keeper=state)
        with tenant.serve() as server:
            served = httpx.get(server.url + ".well-known/jwks.json", trust_env=False).json()
    with StateFile(path) as state:
        assert Tenant(keeper=state).jwks() == served


@pytest.fixture(autouse=True)
def no_connection_is_left_open() -> Iterator[None]:
    """A connection that nobody closed would warn when it is collected, and warnings are errors."""
    import gc

    yield
    gc.collect()
