"""What a tenant remembers beyond its process: every change is kept before it is seen, and all of it comes back."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from jwtgate.tenant import Tenant, TokenRefused

IDENTIFIER = "https://api.example.com/"


class Notebook:
    """A keeper that writes into a dict, until it is told that it is full."""

    def __init__(self):
        self.written = {}
        self.keys = {}
        self.full = False

    def load_keys(self):
        return self.keys

    def keep_keys(self, keys):
        self.keys = dict(keys)

    def together(self):
        return nullcontext()

    def load(self):
        return list(self.written.values())

    def keep(self, changes):
        if self.full:
            raise OSError("the notebook is full")
        for change in changes:
            self.written[change.table, change.key] = change
            if change.record is None:
                del self.written[change.table, change.key]


@pytest.fixture
def notebook():
    return Notebook()


def furnished(notebook):
    """A tenant with something of everything, and a refresh token."""
    tenant = Tenant(keeper=notebook)
    api = tenant.register_api(IDENTIFIER, permissions=["read:a"], rbac=True, offline_access=True)
    shop = tenant.create_application("Shop", kind="native", client_id="shop")
    tenant.authorize(shop, api, ["read:a"], subject_type="user")
    role = tenant.create_role("Readers")
    tenant.assign_permissions(role, api, ["read:a"])
    ann = tenant.assign_role(tenant.create_user("ann@example.com"), role)
    tenant.add_member(tenant.create_organization("acme"), ann)
    return tenant, tenant.authorization_code(shop, api, ann, "read:a offline_access").refresh_token


def everything(tenant):
    return (
        tenant.apis,
        tenant.applications,
        tenant.grants,
        tenant.users,
        tenant.roles,
        tenant.organizations,
    )


def test_all_of_it_comes_back(notebook):
    tenant, refresh_token = furnished(notebook)
    again = Tenant(keeper=notebook)
    assert everything(again) == everything(tenant)
    assert again.management_api == tenant.management_api
    response = again.refresh(again.applications[-1], refresh_token)
    assert response.scope == "read:a offline_access"


def test_what_was_changed_or_taken_away_stays_so(notebook):
    tenant, refresh_token = furnished(notebook)
    api, shop = tenant.apis[-1], tenant.applications[-1]
    tenant.update_api(api, token_lifetime=60)
    tenant.withdraw(shop, api, subject_type="user")
    tenant.refresh(shop, refresh_token)
    again = Tenant(keeper=notebook)
    assert everything(again) == everything(tenant)
    with pytest.raises(TokenRefused):
        again.refresh(shop, refresh_token)
    assert [key for table, key in notebook.written if table == "refresh_token"] == []


def test_the_management_api_is_made_once_and_follows_the_issuer(notebook):
    first = Tenant("https://first.example.test/", keeper=notebook).management_api
    second = Tenant("https://second.example.test/", keeper=notebook).management_api
    assert (first.id, second.identifier) == (second.id, "https://second.example.test/api/v2/")


@pytest.mark.parametrize(
    "action",
    [
        lambda tenant: tenant.register_api("https://other.example.com/"),
        lambda tenant: tenant.update_api(IDENTIFIER, token_lifetime=60),
        lambda tenant: tenant.create_application("Another"),
        lambda tenant: tenant.authorize(tenant.applications[-1], IDENTIFIER),
        lambda tenant: tenant.create_user("bob@example.com"),
        lambda tenant: tenant.assign_permissions(tenant.users[0], IDENTIFIER, ["read:a"]),
        lambda tenant: tenant.create_role("Writers"),
        lambda tenant: tenant.create_organization("other"),
        lambda tenant: tenant.remove_member(tenant.organizations[0], tenant.users[0]),
    ],
)
def test_what_could_not_be_kept_did_not_happen(notebook, action):
    tenant, _ = furnished(notebook)
    before = everything(tenant)
    notebook.full = True
    with pytest.raises(OSError, match="full"):
        action(tenant)
    assert everything(tenant) == before
