"""What a tenant remembers: its APIs, applications and grants; here, in memory."""

from __future__ import annotations

import threading

from .apis import Api
from .applications import Application, ClientGrant
from .errors import Rule, TenantError


class Registry:
    """APIs by identifier, applications by client id, grants by both. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._apis: dict[str, Api] = {}
        self._applications: dict[str, Application] = {}
        self._grants: dict[tuple[str, str], ClientGrant] = {}

    def add_api(self, api: Api, grant: ClientGrant) -> None:
        """An API, its test application and the grant between the two, all at once or not at all.

        Raises TenantError when the identifier is taken; identifiers that differ by a slash are different.
        """
        with self._lock:
            if api.identifier in self._apis:
                raise TenantError(Rule.IDENTIFIER_TAKEN, api.identifier)
            self._apis[api.identifier] = api
            self._applications[api.test_application.client_id] = api.test_application
            self._grants[grant.client_id, grant.audience] = grant

    def api(self, identifier: str) -> Api | None:
        with self._lock:
            return self._apis.get(identifier)

    def add_application(self, application: Application) -> None:
        with self._lock:
            self._applications[application.client_id] = application

    def application(self, client_id: str) -> Application | None:
        with self._lock:
            return self._applications.get(client_id)

    def put_grant(self, grant: ClientGrant) -> None:
        """A grant between the same two takes the place of the older one."""
        with self._lock:
            self._grants[grant.client_id, grant.audience] = grant

    def grant(self, client_id: str, audience: str) -> ClientGrant | None:
        with self._lock:
            return self._grants.get((client_id, audience))

    def drop_grant(self, client_id: str, audience: str) -> None:
        """Raises TenantError when there is none."""
        with self._lock:
            if self._grants.pop((client_id, audience), None) is None:
                raise TenantError(Rule.GRANT_UNKNOWN, audience)
