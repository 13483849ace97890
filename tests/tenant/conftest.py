"""One tenant for the whole run, with a clock that stands still, reached in three ways."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from html.parser import HTMLParser
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from jwtgate.tenant import Api, OpenPermissionsWarning, Organization, Tenant, User

ISSUER = "https://tenant.example.test/"
NOW = 1_800_000_000.75  # seconds; the fraction must not reach a claim

Call = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def now() -> int:
    return int(NOW)


@pytest.fixture(scope="session")
def tenant() -> Tenant:
    return Tenant(ISSUER, clock=lambda: NOW)


@pytest.fixture(scope="session")
def loopback(tenant: Tenant) -> Iterator[Call]:
    with tenant.serve() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client.request


def in_process(tenant: Tenant) -> Call:
    def call(method: str, path: str, **request: Any) -> httpx.Response:
        with httpx.Client(transport=tenant.transport(), base_url=tenant.issuer) as client:
            return client.request(method, path, **request)

    return call


def in_process_async(tenant: Tenant) -> Call:
    async def parts(content: list[bytes]) -> AsyncIterator[bytes]:
        for part in content:
            yield part

    async def send(method: str, path: str, **request: Any) -> httpx.Response:
        if isinstance(request.get("content"), list):
            request["content"] = parts(request["content"])
        async with httpx.AsyncClient(transport=tenant.transport(), base_url=tenant.issuer) as client:
            return await client.request(method, path, **request)

    return lambda *args, **request: asyncio.run(send(*args, **request))


@pytest.fixture(params=["in process", "in process, async", "over loopback"])
def call(request: pytest.FixtureRequest, tenant: Tenant) -> Call:
    """One HTTP request to the tenant: method, path, and what httpx takes; `content` as a list is streamed."""
    if request.param == "in process":
        return in_process(tenant)
    if request.param == "in process, async":
        return in_process_async(tenant)
    return request.getfixturevalue("loopback")


class Form(HTMLParser):
    """The one form of a page: where it goes, what it hides, what can be chosen and what is."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}
        self.users: list[str] = []
        self.chosen: list[str] = []
        self.buttons: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.add(tag)
        if tag == "form":
            self.action = named["action"] or ""
        if tag == "button":
            self.buttons.append(named["value"] or "")
        if tag == "input" and named["type"] == "hidden":
            self.hidden[named["name"] or ""] = named["value"] or ""
        if tag == "input" and named["type"] == "radio":
            self.users.append(named["value"] or "")
            self.chosen += [named["value"] or ""] if "checked" in named else []

    def handle_data(self, data: str) -> None:
        self.text += data


class Browser:
    """Somebody with a browser, which keeps cookies and stops at redirects."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def visit(self, **query: str) -> httpx.Response:
        return self.client.get("authorize", params=query)

    def submit(self, page: httpx.Response, **fields: str) -> httpx.Response:
        form = Form(page.text)
        return self.client.post(form.action, data={**form.hidden, **fields})

    def log_in(self, user_id: str, **query: str) -> dict[str, str]:
        """What comes back to the application after this user has agreed."""
        answer = self.submit(self.visit(**query), user=user_id, action="accept")
        assert answer.status_code == 303
        return came_back(answer, query["redirect_uri"])


def came_back(answer: httpx.Response, callback: str) -> dict[str, str]:
    """The members of a redirect to this callback, each there once."""
    location = answer.headers["Location"]
    assert location.startswith(callback)
    parts = urlsplit(location)
    members = parse_qs(parts.fragment or parts.query, strict_parsing=True, keep_blank_values=True)
    assert all(len(values) == 1 for values in members.values())
    return {name: value for name, (value,) in members.items()}


@pytest.fixture(params=["in process", "over loopback"])
def browser(request: pytest.FixtureRequest, tenant: Tenant) -> Iterator[Browser]:
    if request.param == "in process":
        with httpx.Client(transport=tenant.transport(), base_url=tenant.issuer) as client:
            yield Browser(client)
    else:
        with tenant.serve() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
            yield Browser(client)


@pytest.fixture(scope="session")
def emails() -> Iterator[str]:
    """E-mail addresses of which none comes twice."""
    return (f"user-{number}@example.test" for number in count())


@pytest.fixture(scope="session")
def identifiers() -> Iterator[str]:
    """Identifiers of which none comes twice."""
    return (f"https://api-{number}.example.test/" for number in count())


@pytest.fixture
def register(tenant: Tenant, identifiers: Iterator[str]) -> Callable[..., Api]:
    """Register an API with these settings under a new identifier.

    All tests share the tenant, with applications of every kind, which an API without RBAC warns of.
    """

    def registered(**settings: Any) -> Api:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OpenPermissionsWarning)
            return tenant.register_api(next(identifiers), **settings)

    return registered


@pytest.fixture
def somebody(tenant: Tenant, emails: Iterator[str]) -> Callable[..., User]:
    """A new user with these settings."""
    return lambda **settings: tenant.create_user(next(emails), **settings)


@pytest.fixture(scope="session")
def company_names() -> Iterator[str]:
    """Names for organizations of which none comes twice."""
    return (f"company-{number}" for number in count())


@pytest.fixture
def company(tenant: Tenant, company_names: Iterator[str]) -> Callable[..., Organization]:
    """A new organization with these settings."""
    return lambda **settings: tenant.create_organization(next(company_names), **settings)


@pytest.fixture(scope="session")
def judge(tenant: Tenant) -> Callable[[str, Api], dict[str, Any]]:
    """PyJWT's verdict: the claims of a token of this API, if signature, issuer and audience are right."""

    def claims(token: str, api: Api) -> dict[str, Any]:
        if api.signing_secret is None:
            kid = jwt.get_unverified_header(token)["kid"]
            (found,) = [key for key in tenant.jwks()["keys"] if key["kid"] == kid]
            key = jwt.PyJWK(found, algorithm=api.signing_algorithm)
        else:
            key = api.signing_secret
        return jwt.decode(
            token,
            key,
            algorithms=[api.signing_algorithm],
            audience=api.identifier,
            issuer=tenant.issuer,
            # The tenant's clock is not PyJWT's.
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )

    return claims
