"""Every route is asked without a token, with each broken one, without its permission, and with it."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from jwtgate.testing import bearer

ROUTES = [
    ("GET", "/messages", "read:messages"),
    ("POST", "/messages", "write:messages"),
    ("GET", "/organizations/org_1/messages", "read:messages"),
]
each_route = pytest.mark.parametrize(("method", "path", "permission"), ROUTES)


@each_route
def test_a_caller_without_a_token_is_asked_for_one(
    client: FlaskClient, method: str, path: str, permission: str
) -> None:
    assert client.open(path, method=method).status_code == 401


@each_route
def test_a_broken_token_is_refused(
    client: FlaskClient, method: str, path: str, permission: str, jwtgate_broken_token: str
) -> None:
    answer = client.open(path, method=method, headers=bearer(jwtgate_broken_token))
    assert answer.status_code == 401


@each_route
def test_any_other_permission_is_not_enough(
    client: FlaskClient, method: str, path: str, permission: str, jwtgate_token: Callable[..., str]
) -> None:
    others = {name for _, _, name in ROUTES} - {permission}
    token = jwtgate_token(permissions=others, organization="org_1")
    answer = client.open(path, method=method, headers=bearer(token))
    assert (answer.status_code, f'scope="{permission}"' in answer.headers["WWW-Authenticate"]) == (403, True)


@each_route
def test_the_permission_opens_the_route(
    client: FlaskClient, method: str, path: str, permission: str, jwtgate_token: Callable[..., str]
) -> None:
    token = jwtgate_token(permissions=[permission], organization="org_1")
    assert client.open(path, method=method, headers=bearer(token)).status_code in (200, 201)


def test_the_scope_that_was_asked_for_does_not_count(client: FlaskClient, jwtgate_token: Callable[..., str]) -> None:
    token = jwtgate_token(scope="read:messages")
    assert client.get("/messages", headers=bearer(token)).status_code == 403


def test_the_answer_names_the_caller(client: FlaskClient, jwtgate_token: Callable[..., str]) -> None:
    token = jwtgate_token(subject="auth0|ada", permissions=["write:messages"])
    assert client.post("/messages", headers=bearer(token)).json == {"writer": "auth0|ada"}


def test_an_organization_does_not_see_another_ones_messages(
    client: FlaskClient, jwtgate_token: Callable[..., str]
) -> None:
    token = jwtgate_token(permissions=["read:messages"], organization="org_2")
    assert client.get("/organizations/org_1/messages", headers=bearer(token)).status_code == 403
