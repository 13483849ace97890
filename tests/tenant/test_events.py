"""The log of tokens issued and refused: one line each, with the codes of a real tenant's log."""

from __future__ import annotations

import logging

import pytest

from jwtgate.tenant import Event, Tenant, TokenRefused

IDENTIFIER = "https://api.example.com/"


class World:
    def __init__(self):
        self.tenant = tenant = Tenant()
        self.api = tenant.register_api(IDENTIFIER, permissions=["read:a"], rbac=True, offline_access=True)
        self.shop = tenant.create_application(
            "Shop",
            kind="regular_web",
            grant_types=["authorization_code", "client_credentials", "password", "refresh_token"],
            organization_usage="allow",
        )
        tenant.authorize(self.shop, self.api, ["read:a"], organization_usage="allow", organizations=None)
        self.ann = tenant.assign_permissions(tenant.create_user("ann@example.com"), self.api, ["read:a"])
        self.acme = tenant.create_organization("acme")
        tenant.add_member(self.acme, self.ann)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def events(caplog):
    caplog.set_level(logging.INFO, logger="jwtgate.tenant.events")
    return lambda: [record for record in caplog.records if record.name == "jwtgate.tenant.events"]


def test_a_token_for_a_machine(world, events):
    world.tenant.client_credentials(world.shop, world.api, organization=world.acme)
    (record,) = events()
    assert record.event == Event(
        type="seccft",
        client_id=world.shop.client_id,
        client_name="Shop",
        audience=IDENTIFIER,
        scope="read:a",
        organization_id=world.acme.id,
    )
    assert record.levelno == logging.INFO
    assert record.getMessage() == (
        f"seccft 'Shop' audience 'https://api.example.com/' scope 'read:a' organization '{world.acme.id}'"
    )


def test_tokens_for_users(world, events):
    first = world.tenant.password(world.shop, world.api, world.ann, "read:a offline_access")
    world.tenant.refresh(world.shop, first.refresh_token)
    assert [(record.event.type, record.event.user_id) for record in events()] == [
        ("sepft", world.ann.user_id),
        ("sertft", world.ann.user_id),
    ]


def test_a_token_without_an_audience(world, events):
    world.tenant.password(world.shop, None, world.ann)
    assert [record.event.audience for record in events()] == [""]


REFUSED = {
    "feccft": lambda w: w.tenant.client_credentials(w.shop, "https://nowhere.test/", "write:a"),
    "feacft": lambda w: w.tenant.token(request(w.shop, grant_type="authorization_code", code="x")),
    "fepft": lambda w: w.tenant.password(w.shop, "https://nowhere.test/", w.ann),
    "fertft": lambda w: w.tenant.refresh(w.shop, "v1.x"),
    "f": lambda w: w.tenant.token(request(w.shop, grant_type="implicit")),
}


def request(application, **parameters):
    from jwtgate.tenant.token_request import Credentials, TokenRequest

    credentials = Credentials(
        method="client_secret_post", client_id=application.client_id, client_secret=application.client_secret
    )
    return TokenRequest(parameters=parameters, credentials=credentials)


@pytest.mark.parametrize(("code", "ask"), REFUSED.items(), ids=REFUSED)
def test_a_refusal_has_the_code_of_its_grant_and_says_why(world, events, code, ask):
    with pytest.raises(TokenRefused) as refused:
        ask(world)
    (record,) = events()
    assert (record.event.type, record.event.client_name) == (code, "Shop")
    fault = refused.value
    assert record.event.description == f"{fault.status} {fault.error}: {fault.description}"
    assert record.event.reason == fault.reason


def test_the_line_of_a_refusal(world, events):
    with pytest.raises(TokenRefused):
        world.tenant.client_credentials(world.shop, "https://nowhere.test/", "write:a", organization="acme")
    (record,) = events()
    assert record.getMessage() == (
        "feccft 'Shop' audience 'https://nowhere.test/' scope 'write:a' organization 'acme'"
        ": '403 access_denied: Service not enabled within domain: https://nowhere.test/'"
        " (no API with exactly this identifier is registered)"
    )


def test_who_is_unknown_is_named_by_the_id_that_was_sent(world, events):
    stranger = Tenant().create_application("Stranger", client_id="stranger")
    with pytest.raises(TokenRefused):
        world.tenant.client_credentials(stranger, world.api)
    (record,) = events()
    assert (record.event.client_id, record.event.client_name) == ("stranger", "")
    assert record.getMessage().startswith("feccft 'stranger' ")


def test_a_request_that_names_nobody(world, events):
    from jwtgate.tenant.token_request import TokenRequest

    with pytest.raises(TokenRefused):
        world.tenant.token(TokenRequest(parameters={}, credentials=None))
    (record,) = events()
    assert record.getMessage() == "f '': '400 invalid_request: Missing required parameter: grant_type'"


def test_a_line_is_one_line_whatever_was_sent(world, events):
    with pytest.raises(TokenRefused):
        world.tenant.client_credentials(world.shop, "\n2026 all is well \x1b[2K", "é" * 5000)
    line = events()[0].getMessage()
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 2000


def test_no_secret_is_in_the_log(world, caplog):
    caplog.set_level(logging.DEBUG)
    response = world.tenant.password(world.shop, world.api, world.ann, "openid read:a offline_access")
    again = world.tenant.refresh(world.shop, response.refresh_token)
    for secret in (
        world.shop.client_secret,
        world.ann.password,
        response.access_token,
        response.refresh_token,
        response.id_token,
        again.access_token,
    ):
        assert secret not in caplog.text
