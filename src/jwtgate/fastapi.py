"""The gate for FastAPI: dependencies that admit a request or refuse it, and say so in OpenAPI.

    gate = Gate(settings)

    @app.get("/messages")
    async def messages(token: Annotated[AccessToken, gate.requires("read:messages")]): ...

There is nothing to install into the app.
"""

# No `from __future__ import annotations` here: FastAPI reads the annotations of dependencies while it runs.

import functools
import inspect
import itertools
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Final, cast
from urllib.parse import quote

from fastapi import FastAPI, Response, Security, WebSocket
from fastapi.openapi import models
from fastapi.requests import HTTPConnection
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.websockets import WebSocketState

from .admission import admit, refuse, verifier_for
from .asgi import App, Telling, can_answer, lifespan, outcome_of, readiness_of, send_refusal, tell_raw, telling
from .core.access import AccessToken, Requirement, demand
from .core.errors import AuthError, JwtGateError, MissingCredentials
from .core.settings import ApiSettings, Issuer
from .verifier import AsyncVerifier, log_refusal

__all__ = ["Authenticate", "Gate"]

Other = Response | None
OnRefusal = Callable[[AuthError, HTTPConnection], Other | Awaitable[Other]]

_GATE: Final = "jwtgate.fastapi"  # in the scope: the gate that looked at this request last
# Among the scopes that FastAPI hands down: no real one has spaces (RFC 6749 section 3.3).
_OPTIONAL: Final = "credentials are optional"
_REQUIRED: Final = "credentials are required"
_KINDS: Final = (_OPTIONAL, _REQUIRED)
_NAMED: Final = "in OpenAPI alone: "  # before names, in JSON: a requirement decides, which may be any_of


class Gate:
    """Stands before the routes of FastAPI apps.

    settings: what this API accepts.
    app: needed only where AuthErrors are to be answered that a route raises before any gate has seen its request; and,
        with `dpop_nonce_key`, where routes return Responses of their own, which are to carry the nonces too.
    verifier: verifies the tokens; must have the same settings. None makes one.
    on_refusal: called with the error and the request (or WebSocket) before a refusal is sent. It may return a Response
        of its own, None sends the standard one. A plain or an async function; a plain one must not block.

    An app's own exception handler for AuthError goes before. One gate may serve several apps, and one app may have
    several gates. Raises SettingsError.
    """

    def __init__(
        self,
        settings: ApiSettings,
        app: FastAPI | None = None,
        *,
        verifier: AsyncVerifier | None = None,
        on_refusal: OnRefusal | None = None,
    ) -> None:
        self.verifier: AsyncVerifier = verifier_for(AsyncVerifier, settings, verifier)
        self.settings = settings
        self.on_refusal = on_refusal
        self._authenticate: Final = Authenticate(self)
        self._may_be_overridden = False
        if app is not None:
            self._answer_in(app.exception_handlers)
            if settings.dpop_nonce_key is not None:
                app.add_middleware(Telling, settings=settings)

    def requires(self, *requirements: Requirement | str, optional: bool = False) -> Any:
        """A `Security(…)`: the route runs only for a valid token that meets all of these; none means any valid token.

        For `Annotated[AccessToken, gate.requires(…)]`, for `dependencies=[gate.requires(…)]` of a route, a router or
        an app, and as a parameter's default value (which is why its type is Any, as that of FastAPI's own).

        optional: let requests without credentials in as well: `Annotated[AccessToken | None, …]`; a bad token is
            refused all the same.

        Raises SettingsError.
        """
        admitted = _Admitted(self, demand(requirements), optional)
        return Security(admitted, scopes=admitted.scopes)

    @property
    def authenticate(self) -> "Authenticate":
        """The callable beneath every route of this gate: see `Authenticate`."""
        self._may_be_overridden = True  # only who has it in hand can do so
        return self._authenticate

    def lifespan(self, app: FastAPI) -> AbstractAsyncContextManager[None]:
        """For `FastAPI(lifespan=gate.lifespan)`: keys are loaded before the first request, and the verifier is closed
        after the last. Within a lifespan of your own: `async with gate.lifespan(app): yield`.
        """
        return lifespan(self.verifier)

    async def readiness(self) -> Response:
        """An endpoint for a readiness probe: 200 where all issuers in the settings have keys that serve, else 503.

        `app.add_api_route("/ready", gate.readiness, include_in_schema=False)`. Where keys are missing it loads them.
        """
        answer = await readiness_of(self.verifier)
        return Response(answer.body, answer.status, dict(answer.headers))

    def _stand_at(self, connection: HTTPConnection) -> None:
        """From here on, an AuthError in this request is answered by this gate."""
        scope = connection.scope
        scope[_GATE] = self
        # What the app has for its exceptions: the same mapping for every request, looked into when one is raised.
        handlers = scope["starlette.exception_handlers"][0]
        if AuthError not in handlers:
            self._answer_in(handlers)

    def _answer_in(self, handlers: MutableMapping[Any, Any]) -> None:
        # A handler of the app's own goes before, for the base of all our errors too.
        if JwtGateError not in handlers:
            handlers.setdefault(AuthError, self._answer)

    async def _answer(self, connection: HTTPConnection, error: AuthError) -> App | None:
        """An exception handler. The app has only one: it asks the gate that this request stands at."""
        gate: Gate = connection.scope.get(_GATE, self)
        if not isinstance(connection, WebSocket):
            return await gate._refuse(connection, error)
        if connection.application_state is WebSocketState.CONNECTING:
            answer = await gate._refuse(connection, error)
            await answer(connection.scope, connection.receive, connection.send)
            return None
        log_refusal(error)  # no answer can be given any more
        if connection.application_state is connection.client_state is WebSocketState.CONNECTED:
            await connection.close(1008)  # RFC 6455 section 7.4.1: a policy violation
        return None

    async def _refuse(self, connection: HTTPConnection, error: AuthError) -> App:
        refusal = refuse(error, self.settings)
        if self.on_refusal is not None and can_answer(connection.scope):
            other = self.on_refusal(error, connection)
            response = await other if inspect.isawaitable(other) else other
            if response is not None:
                return Telling(response, self.settings)
        return Telling(functools.partial(send_refusal, refusal), self.settings)


class Authenticate(SecurityBase):
    """Who is calling: the one callable beneath every route of its gate.

    `Security(gate.authenticate, scopes=["read:messages"])` is FastAPI's own way of writing a requirement: plain names
    of permissions, which all must hold. Those of dependencies above count too (SecurityScopes).

    `app.dependency_overrides[gate.authenticate] = lambda: token` puts another token in its place; what `requires`
    asks for is still asked of that token.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.model: models.SecurityBase = _scheme(gate.settings)
        self.scheme_name: str = _scheme_name(gate.settings)

    async def __call__(
        self, connection: HTTPConnection, names: SecurityScopes, response: Response
    ) -> AccessToken | None:
        """The token; None only where credentials are optional and missing. Raises AuthError."""
        gate = self._gate
        gate._stand_at(connection)
        outcome = await outcome_of(connection.scope, gate.verifier)
        if gate.settings.dpop_nonce_key is not None:
            self._tell(connection, response)
        requirement, optional = _handed_down(tuple(names.scopes))
        return admit(outcome, requirement, optional=optional)

    def _tell(self, connection: HTTPConnection, response: Response) -> None:
        """The answer to a request with a good proof carries the nonce for its sender's next one.

        response: FastAPI takes the header lines over from it, unless the route returns a Response of its own.
        """
        settings = self._gate.settings
        if isinstance(connection, WebSocket):
            connection._send = telling(connection.scope, settings, connection._send)
        else:
            response.raw_headers[:] = tell_raw(response.raw_headers, connection.scope, settings)


@functools.lru_cache(1_024)
def _handed_down(scopes: tuple[str, ...]) -> tuple[Requirement | None, bool]:
    """What the scopes of a dependency and of those above ask for, and whether credentials are optional.

    They are those of a route: the same with every request. Raises SettingsError.
    """
    wanted = [name for name in scopes if name not in _KINDS and not name.startswith(_NAMED)]
    return demand(wanted), _OPTIONAL in scopes


class _Admitted(SecurityBase):
    """What `requires` has put before a route: who is calling, and then what is asked for.

    Each dependency costs FastAPI as much as a token that is remembered costs us. So this one is `authenticate` too,
    and not a second one above it, unless that could have been overridden: FastAPI itself must then see it beneath.
    """

    def __init__(self, gate: Gate, requirement: Requirement | None, optional: bool) -> None:
        self._gate = gate
        self._authenticate = gate._authenticate
        self._requirement = requirement
        self._optional = optional
        self.model: models.SecurityBase = self._authenticate.model
        self.scheme_name: str = self._authenticate.scheme_name
        names = () if requirement is None else requirement.names
        self.scopes = [_OPTIONAL if optional else _REQUIRED] + [_NAMED + json.dumps(names)] * bool(names)

    @property
    def __signature__(self) -> inspect.Signature:
        """What FastAPI is to solve. It reads this for each route, and where anything is overridden for each request."""
        if not self._gate._may_be_overridden:
            return inspect.signature(self._authenticate)

        def beneath(
            connection: HTTPConnection, token: Annotated[AccessToken | None, Security(self._authenticate)]
        ) -> None: ...

        return inspect.signature(beneath)

    async def __call__(self, connection: HTTPConnection, **solved: Any) -> AccessToken | None:
        """The token; None only where credentials are optional and missing. Raises AuthError."""
        if "token" in solved:
            token: AccessToken | None = solved["token"]
            self._gate._stand_at(connection)  # what was put in place of `authenticate` has not done it
        else:
            token = await self._authenticate(connection, **solved)
        # Only an override gives None where credentials are not optional, and that must not open the route.
        outcome = MissingCredentials("no token was given to the gate") if token is None else token
        return admit(outcome, self._requirement, optional=self._optional)


# ----------------------------------------------------------------------------------------------------------- OpenAPI

# Tells our schemes from others until the document is complete, and what it is to say of them; then it is taken away.
_MARK: Final = "x-jwtgate"
_DPOP: Final = "_DPoP"  # at the end of a scheme's name
_SCHEMA: Final = "AccessRefusal"

# With the headers of each. A mark may name others.
_REFUSALS: Final = {
    "400": ("The Authorization header is malformed, or there are several", ["WWW-Authenticate"]),
    "401": ("No access token, or one that is not valid for this API", ["WWW-Authenticate"]),
    "403": ("The access token does not allow this request", ["WWW-Authenticate"]),
    "503": ("The request cannot be authenticated at the moment", ["Retry-After"]),
}


def _scheme_name(settings: ApiSettings) -> str:
    """By the API, so that two APIs in one document are two schemes; of the characters that a component may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", _identifier(settings))


def _identifier(settings: ApiSettings) -> str:
    given = settings.identifier
    return given if isinstance(given, str) else given[0]


def _scheme(settings: ApiSettings) -> models.SecurityBase:
    """How a client gets a token for this API, as far as the settings know."""
    nonce = () if settings.dpop_nonce_key is None else ("DPoP-Nonce",)
    mark = {"schemes": list(settings.challenges), "401": ["WWW-Authenticate", *nonce]}
    about: dict[str, Any] = {"description": _description(settings), _MARK: mark}
    domains = (settings.domain,) if isinstance(settings.domain, str) else settings.domain
    if domains:
        return models.OAuth2(flows=_flows(settings, Issuer.auth0(domains[0]).url), **about)
    issuer = next(iter(settings.issuers), None)  # none where a resolver names them all
    if issuer and settings.secret_of(issuer) is None and not (issuer.jwks or issuer.jwks_file or issuer.jwks_uri):
        return models.OpenIdConnect(openIdConnectUrl=issuer.discovery_url, **about)
    return models.HTTPBearer(bearerFormat="JWT", **about)


def _flows(settings: ApiSettings, issuer: str) -> models.OAuthFlows:
    audience = quote(_identifier(settings), safe="")
    scopes = dict(_permissions(settings))
    return models.OAuthFlows(
        clientCredentials=models.OAuthFlowClientCredentials(tokenUrl=f"{issuer}oauth/token", scopes=scopes),
        authorizationCode=models.OAuthFlowAuthorizationCode(
            authorizationUrl=f"{issuer}authorize?audience={audience}", tokenUrl=f"{issuer}oauth/token", scopes=scopes
        ),
    )


def _permissions(settings: ApiSettings) -> Mapping[str, str]:
    return cast(Mapping[str, str], settings.permissions)  # settings make a mapping of whatever was given


def _description(settings: ApiSettings) -> str:
    lines = [f"An access token with the audience `{_identifier(settings)}`."]
    lines += [f"- `{name}`: {meaning}".removesuffix(": ") for name, meaning in _permissions(settings).items()]
    return "\n".join(lines)


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    """Every route behind a gate lists the refusals; names that only routes mention join their scheme's scopes."""
    components = document.get("components", {})
    schemes = components.get("securitySchemes", {})
    ours = {name: scheme.pop(_MARK) for name, scheme in schemes.items() if _MARK in scheme}
    for name, mark in ours.items():
        if "flows" in schemes[name]:
            # In pages that offer one flow after the other: authorizationCode, which sends the audience, before
            # clientCredentials, to which Swagger UI cannot add it.
            schemes[name]["flows"] = dict(sorted(schemes[name]["flows"].items()))
        if "DPoP" in mark["schemes"]:
            schemes[f"{name}{_DPOP}"] = _dpop_scheme(name)
    for operation in _operations(document):
        optional = _lets_in_without(operation.get("security", ()))
        for security in operation.get("security", ()):
            for name in [name for name in security if name in ours]:
                security[name] = _names_in(security[name])
                _declare(schemes[name], security[name])
                _list_refusals(operation["responses"], ours[name])
                components.setdefault("schemas", {}).setdefault(_SCHEMA, _refusal_schema())
        if "security" in operation:
            operation["security"] = [way for security in operation["security"] for way in _ways(security, ours)]
        if optional:
            operation["security"].append({})
    return document


def _lets_in_without(ways: Sequence[Mapping[str, Sequence[str]]]) -> bool:
    """Is every gate before this route one at which credentials are optional, and is nothing else asked for?"""
    asked = [scopes for way in ways for scopes in way.values()]
    return bool(asked) and all(_OPTIONAL in scopes and _REQUIRED not in scopes for scopes in asked)


def _names_in(scopes: list[str]) -> list[str]:
    """The names that a route asks for, once, in order."""
    names = [json.loads(text.removeprefix(_NAMED)) if text.startswith(_NAMED) else [text] for text in scopes]
    return [name for name in dict.fromkeys(itertools.chain(*names)) if name not in _KINDS]


def _dpop_scheme(name: str) -> dict[str, str]:
    """RFC 9449 section 7.1: an authentication scheme of HTTP, as Bearer is one."""
    about = f"A token of `{name}` that is bound to a key of the client, with a proof of that key in the header `DPoP`."
    return {"type": "http", "scheme": "DPoP", "description": about}


def _ways(security: dict[str, Any], ours: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """How a token may be sent: as bearer tokens are, with a proof of its key, or in either way."""
    spoken = {name: ours[name]["schemes"] if name in ours else ["Bearer"] for name in security}
    if all("Bearer" in schemes for schemes in spoken.values()):
        yield security
    if any("DPoP" in schemes for schemes in spoken.values()):
        yield {name + _DPOP if "DPoP" in spoken[name] else name: scopes for name, scopes in security.items()}


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from item.values()


def _declare(scheme: Mapping[str, Any], names: list[str]) -> None:
    for flow in scheme.get("flows", {}).values():
        for name in names:
            flow["scopes"].setdefault(name, "")


def _list_refusals(responses: dict[str, Any], mark: Mapping[str, Any]) -> None:
    """What the app itself says about a status stays."""
    schema = {"$ref": f"#/components/schemas/{_SCHEMA}"}
    for status, (description, headers) in _REFUSALS.items():
        responses.setdefault(
            status,
            {
                "description": description,
                "headers": {header: {"schema": {"type": "string"}} for header in mark.get(status, headers)},
                "content": {"application/json": {"schema": schema}},
            },
        )


def _refusal_schema() -> dict[str, Any]:
    return {
        "title": _SCHEMA,
        "type": "object",
        "description": "Empty where the request had no credentials.",
        "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
    }


def _completing(openapi: Callable[[FastAPI], dict[str, Any]]) -> Callable[[FastAPI], dict[str, Any]]:
    @functools.wraps(openapi)
    def complete(self: FastAPI) -> dict[str, Any]:
        return _complete(openapi(self))

    return complete


# FastAPI lets a dependency add a security scheme to its routes, but no answers, and a gate does not know the apps whose
# routes it will stand before. A document without our marks passes through as it is.
FastAPI.openapi = _completing(FastAPI.openapi)  # type: ignore[method-assign,assignment]
