"""A pytest plugin: an issuer for the tests of an API, in the same process and without a network.

In the topmost conftest.py:

    pytest_plugins = ["jwtgate.testing"]

    @pytest.fixture
    def jwtgate_settings():
        return settings  # those of the API under test

Then tokens for this API are made by `jwtgate_token(permissions=["read:messages"])`, and `jwtgate_broken_token` runs a
test once with each token that the API must refuse. Where tokens are bound to their sender, `jwtgate_holder` is one.

It is not registered with pytest by itself: jwtgate is installed wherever an API runs, and belongs into the test runs of
those who ask for it. (PYTEST_DONT_REWRITE: it has no assertions, and may be imported before pytest loads it.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest

from jwtgate.core.settings import ApiSettings, Issuer

from .broken import BROKEN
from .broken_proofs import BROKEN_PROOFS, Headers
from .holder import Holder
from .stand_in import StandIn, standing_in

if TYPE_CHECKING:
    from jwtgate.tenant import Tenant

__all__ = [
    "BROKEN",
    "BROKEN_PROOFS",
    "Holder",
    "StandIn",
    "bearer",
    "jwtgate_broken_proof",
    "jwtgate_broken_token",
    "jwtgate_holder",
    "jwtgate_issuer",
    "jwtgate_settings",
    "jwtgate_tenant",
    "jwtgate_token",
    "standing_in",
]

IDENTIFIER = "https://api.example/"


@pytest.fixture(scope="session")
def jwtgate_tenant() -> Tenant:
    """A local tenant, the same one for the whole run: making its keys takes a moment."""
    # Here and not above: the plugin is imported by every run of tests, whether they need a tenant or not.
    from jwtgate.tenant import Tenant  # noqa: PLC0415

    return Tenant()


@pytest.fixture
def jwtgate_settings(jwtgate_tenant: Tenant) -> ApiSettings:
    """What the API under test accepts, and so what tokens are made for: override it with your own API's settings.

    As it is, a sample to build an app from: its keys are given, and plain names are looked for in `permissions`.
    """
    issuer = Issuer.auth0(jwtgate_tenant.domain, jwks=jwtgate_tenant.jwks())
    return ApiSettings(identifier=IDENTIFIER, issuers=[issuer], permissions_in_token=True)


@pytest.fixture
def jwtgate_issuer(jwtgate_settings: ApiSettings, jwtgate_tenant: Tenant) -> Iterator[StandIn]:
    """Stands in for the issuers of `jwtgate_settings` until the test ends."""
    with standing_in(jwtgate_settings, jwtgate_tenant) as issuer:
        yield issuer


@pytest.fixture
def jwtgate_token(jwtgate_issuer: StandIn) -> Callable[..., str]:
    """Makes a good token: `StandIn.token` of `jwtgate_issuer`."""
    return jwtgate_issuer.token


@pytest.fixture(params=BROKEN)
def jwtgate_broken_token(request: pytest.FixtureRequest, jwtgate_issuer: StandIn) -> str:
    """A token that must be refused with 401; a test that uses it runs once for each entry of `BROKEN`."""
    return jwtgate_issuer.broken(request.param)


@pytest.fixture
def jwtgate_holder() -> Holder:
    """Somebody with a key and a certificate of their own: `jwtgate_token(holder=jwtgate_holder)` is bound to them."""
    return Holder()


@pytest.fixture(params=BROKEN_PROOFS)
def jwtgate_broken_proof(request: pytest.FixtureRequest, jwtgate_holder: Holder) -> Callable[[str, str, str], Headers]:
    """Makes, of method, URL and a token of `jwtgate_holder`, the headers of a request that must be refused with 401.

    A test that uses it runs once for each entry of `BROKEN_PROOFS`.
    """
    return partial(jwtgate_holder.broken, request.param)


def bearer(token: str) -> dict[str, str]:
    """The headers of a request that carries this token (RFC 6750 section 2.1)."""
    return {"Authorization": f"Bearer {token}"}
