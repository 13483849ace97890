"""One tenant for the whole run, with a clock that stands still, reached in three ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import httpx
import jwt
import pytest

from jwtgate.tenant import Api, Tenant

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


@pytest.fixture(scope="session")
def identifiers() -> Iterator[str]:
    """Identifiers of which none comes twice."""
    return (f"https://api-{number}.example.test/" for number in count())


@pytest.fixture
def register(tenant: Tenant, identifiers: Iterator[str]) -> Callable[..., Api]:
    """Register an API with these settings under a new identifier."""
    return lambda **settings: tenant.register_api(next(identifiers), **settings)


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
