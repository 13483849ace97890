"""The border post for Starlette: an authentication backend, and a gate for single endpoints."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ParamSpec, TypeVar, overload

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState

from .admission import NoToken, admit, caller, known_caller, refuse, verifier_for
from .asgi import (
    answer_errors,
    can_answer,
    lifespan,
    outcome_of,
    raw_headers,
    readiness_of,
    send_refusal,
    tell_raw,
    telling,
)
from .core.access import AccessToken, Requirement, demand
from .core.errors import AuthError, InvalidToken, Refusal, SettingsError
from .core.settings import ApiSettings
from .verifier import AsyncVerifier, log_refusal

__all__ = ["Gate", "JwtGateBackend", "NoToken", "RefusedCredentials", "Requires", "TokenUser"]

P = ParamSpec("P")
C = TypeVar("C", bound=HTTPEndpoint | WebSocketEndpoint)
OnRefusal = Callable[[AuthError, HTTPConnection], Response | Awaitable[Response | None] | None]


class Gate:
    """Protects single endpoints of a Starlette app.

    settings: what this API accepts.
    app: an app to install the gate into, as `init_app` does.
    verifier: an AsyncVerifier with the same settings, to share keys with other gates.
    on_refusal: is asked for another answer, with the error and the Request or WebSocket; None from it means the
        standard one. A plain or an async function. It is not asked where a server can only close a WebSocket.

    Raises SettingsError.
    """

    def __init__(
        self,
        settings: ApiSettings,
        app: Starlette | None = None,
        *,
        verifier: AsyncVerifier | None = None,
        on_refusal: OnRefusal | None = None,
    ) -> None:
        self._settings = settings
        self.verifier: AsyncVerifier = verifier_for(AsyncVerifier, settings, verifier)
        self._answers = _Answers(settings, on_refusal)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Starlette) -> None:
        """Answer an AuthError wherever the app raises it, also in endpoints and middleware without `requires`."""
        app.add_middleware(_Guard, answers=self._answers)

    def requires(self, *requirements: Requirement | str, optional: bool = False) -> Requires:
        """A decorator for endpoints: only a request whose token meets all of the requirements gets in.

        requirements: none means any valid token; a plain string is a permission name of this API.
        optional: let requests without credentials in, too. A bad token is refused all the same.

        It takes functions (async or not, for HTTP or WebSockets), methods of endpoint classes, and such classes
        themselves. An AuthError that the endpoint raises is answered as well. Raises SettingsError.
        """
        return Requires(self.verifier, self._answers, demand(requirements), optional)

    def token(self, request: HTTPConnection) -> AccessToken:
        """Who is calling. To ask for it is to insist on it: raises an AuthError where the request came without.

        Raises NoToken where neither `requires` nor a backend or middleware with the same settings has looked.
        """
        return caller(request.scope, self._settings)

    def optional_token(self, request: HTTPConnection) -> AccessToken | None:
        """Who is calling; None for a request without credentials, and where nobody has looked."""
        return known_caller(request.scope, self._settings)

    def lifespan(self, app: Starlette) -> AbstractAsyncContextManager[None]:
        """For `Starlette(lifespan=gate.lifespan)`: keys are loaded before the first request, and the verifier is closed
        after the last. Within a lifespan of your own: `async with gate.lifespan(app): yield`.
        """
        return lifespan(self.verifier)

    async def readiness(self, request: HTTPConnection) -> Response:
        """An endpoint for a readiness probe: 200 where all issuers in the settings have keys that serve, else 503.

        `Route("/ready", gate.readiness)`. Where keys are missing it loads them.
        """
        answer = await readiness_of(self.verifier)
        response = Response(answer.body, answer.status)
        response.raw_headers = raw_headers(answer)
        return response


class Requires:
    """What `Gate.requires` gives: a decorator for endpoints."""

    def __init__(
        self, verifier: AsyncVerifier, answers: _Answers, requirement: Requirement | None, optional: bool
    ) -> None:
        self._verifier = verifier
        self._answers = answers
        self._requirement = requirement
        self._optional = optional

    @overload
    def __call__(self, endpoint: type[C], /) -> type[C]: ...

    @overload
    def __call__(self, endpoint: Callable[P, Any], /) -> Callable[P, Awaitable[Any]]: ...

    def __call__(self, endpoint: Any, /) -> Any:
        if inspect.isroutine(endpoint) or isinstance(endpoint, functools.partial):
            return self._function(endpoint)
        if isinstance(endpoint, type) and issubclass(endpoint, HTTPEndpoint | WebSocketEndpoint):
            return self._class(endpoint)
        raise SettingsError("requires", "decorates a function, an HTTPEndpoint or a WebSocketEndpoint", endpoint)

    async def _admit(self, scope: Scope) -> None:
        admit(await outcome_of(scope, self._verifier), self._requirement, optional=self._optional)

    def _function(self, endpoint: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        # Only the endpoint itself goes to a thread, as it would without us: what stands before it never waits there.
        run = endpoint if inspect.iscoroutinefunction(endpoint) else functools.partial(run_in_threadpool, endpoint)

        @functools.wraps(endpoint)
        async def gated(*args: Any, **kwargs: Any) -> Any:
            connection = _connection(args, kwargs)
            try:
                await self._admit(connection.scope)
                self._answers.tell_websocket(connection)
                return self._answers.tell(await run(*args, **kwargs), connection.scope)
            except AuthError as error:
                if isinstance(connection, WebSocket):
                    return await self._answers.to_websocket(error, connection)
                return self._answers.response(error)

        return gated

    def _class(self, endpoint: type[C]) -> type[C]:
        async def dispatch(self_: Any) -> None:
            async def inside(scope: Scope, receive: Receive, send: Send) -> None:
                await self._admit(scope)
                self_.send = self._answers.telling(scope, send)
                await endpoint.dispatch(self_)

            await answer_errors(inside, self._answers, self_.scope, self_.receive, self_.send)

        named = {name: getattr(endpoint, name) for name in ("__doc__", "__module__", "__qualname__")}
        return type(endpoint.__name__, (endpoint,), {"dispatch": dispatch, **named})


class TokenUser(BaseUser):
    """Who is calling, as `request.user`. token: the AccessToken."""

    def __init__(self, token: AccessToken) -> None:
        self.token = token

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        """The token's `sub`."""
        return self.token.subject

    @property
    def identity(self) -> str:
        """The token's `sub`."""
        return self.token.subject


class RefusedCredentials(AuthenticationError):
    """What the backend raises for a bad token. error: the AuthError, which knows what the client is told."""

    def __init__(self, error: AuthError) -> None:
        # Starlette's own `on_error` would show this text to the client.
        super().__init__(error.sentence)
        self.error = error


class JwtGateBackend(AuthenticationBackend):
    """Fills `request.user` (a TokenUser) and `request.auth`, on which Starlette's `@requires` decides.

    settings: what this API accepts.
    verifier, on_refusal: as for a Gate.

    Install it with `Starlette(middleware=[backend.middleware()])`. With Starlette's own AuthenticationMiddleware,
    pass `on_error=backend.on_error` too: without it a bad token is answered with a bare 400.

    Without credentials the user is Starlette's UnauthenticatedUser; a bad token is refused. `request.auth.scopes` is
    "authenticated" and the names that a plain string stands for in a requirement: those of the token's `permissions`
    when the settings say `permissions_in_token`, else those of its `scope`. Raises SettingsError.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        verifier: AsyncVerifier | None = None,
        on_refusal: OnRefusal | None = None,
    ) -> None:
        self._settings = settings
        self._verifier = verifier_for(AsyncVerifier, settings, verifier)
        self._answers = _Answers(settings, on_refusal)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Credentials and user; None for a request without credentials. Raises RefusedCredentials."""
        try:
            token = admit(await outcome_of(conn.scope, self._verifier), optional=True)
        except AuthError as error:
            raise RefusedCredentials(error) from error
        if token is None:
            return None
        names = token.permissions if self._settings.permissions_in_token else token.scopes
        return AuthCredentials(["authenticated", *sorted(names or ())]), TokenUser(token)

    def on_error(self, conn: HTTPConnection, error: AuthenticationError) -> Response:
        """The refusal, for Starlette's AuthenticationMiddleware. It closes a WebSocket without sending it."""
        return self._answers.response(_cause(error))

    def middleware(self) -> Middleware:
        """For `Starlette(middleware=[…])`: refusals go to HTTP requests and WebSockets alike."""
        return Middleware(_Authentication, backend=self, answers=self._answers)


# ------------------------------------------------------------------------------------------------ refusals


class _Answers:
    """What a client is told, as a response and as an ASGI answer."""

    def __init__(self, settings: ApiSettings, on_refusal: OnRefusal | None) -> None:
        self._settings = settings
        self._on_refusal = on_refusal

    def response(self, error: AuthError) -> Response:
        """The standard answer, which asks for another one when it is sent."""
        return _RefusalResponse(refuse(error, self._settings), error, self._on_refusal, self.telling)

    async def __call__(self, error: AuthError, scope: Scope, receive: Receive, send: Send) -> None:
        if can_answer(scope):
            await self.response(error)(scope, receive, send)
        else:
            await send_refusal(refuse(error, self._settings), scope, receive, send)

    def telling(self, scope: Scope, send: Send) -> Send:
        """What sends the answer to a request with a good proof, with the nonce for its sender's next one."""
        return telling(scope, self._settings, send)

    def tell(self, answer: Any, scope: Scope) -> Any:
        """An endpoint's answer, with that nonce."""
        if self._settings.dpop_nonce_key is not None and isinstance(answer, Response):
            # In place: `headers` may have been looked at, and then it is of this very list.
            answer.raw_headers[:] = tell_raw(answer.raw_headers, scope, self._settings)
        return answer

    def tell_websocket(self, connection: HTTPConnection) -> None:
        """The same for the answer to a handshake."""
        if self._settings.dpop_nonce_key is not None and isinstance(connection, WebSocket):
            # Not a WebSocket of our own: others may hold this one, and each keeps a state.
            connection._send = self.telling(connection.scope, connection._send)

    async def to_websocket(self, error: AuthError, websocket: WebSocket) -> None:
        """Before it was accepted, the refusal; then a close (1008). One that is closed already lets the error go."""
        if websocket.application_state is WebSocketState.CONNECTING:
            await self(error, websocket.scope, websocket.receive, websocket.send)
        elif websocket.application_state is WebSocketState.CONNECTED:
            log_refusal(error)
            await websocket.close(code=1008)
        else:
            raise error


class _RefusalResponse(Response):
    def __init__(
        self,
        refusal: Refusal,
        error: AuthError,
        on_refusal: OnRefusal | None,
        telling: Callable[[Scope, Send], Send],
    ) -> None:
        super().__init__(refusal.body, refusal.status)
        # A mapping would merge the challenges of several schemes into one.
        self.raw_headers = raw_headers(refusal)
        self._error = error
        self._on_refusal = on_refusal
        self._telling = telling

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        other = await self._other(scope, receive, send)
        await (super().__call__ if other is None else other)(scope, receive, self._telling(scope, send))

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        if self._on_refusal is None:
            return None
        connection = Request(scope, receive) if scope["type"] == "http" else WebSocket(scope, receive, send)
        other = self._on_refusal(self._error, connection)
        return await other if inspect.isawaitable(other) else other


def _cause(error: AuthenticationError) -> AuthError:
    # A backend that was derived from ours may say no in Starlette's words.
    return error.error if isinstance(error, RefusedCredentials) else InvalidToken(str(error))


def _connection(args: Sequence[Any], kwargs: Mapping[str, Any]) -> HTTPConnection:
    for value in (*args, *kwargs.values()):
        if isinstance(value, HTTPConnection):
            return value
    raise SettingsError("requires", "an endpoint takes the request or the websocket")


class _Guard:
    """Answers every AuthError that reaches it."""

    def __init__(self, app: ASGIApp, answers: _Answers) -> None:
        self._app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer_errors(self._app, self._answers, scope, receive, self._answers.telling(scope, send))


class _Authentication(AuthenticationMiddleware):
    """Starlette's own, but a refusal leaves it as an AuthError: `on_error` cannot answer a WebSocket."""

    def __init__(self, app: ASGIApp, backend: JwtGateBackend, answers: _Answers) -> None:
        super().__init__(app, backend, on_error=self._raise)
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer_errors(super().__call__, self._answers, scope, receive, self._answers.telling(scope, send))

    @staticmethod
    def _raise(conn: HTTPConnection, error: AuthenticationError) -> Response:
        raise _cause(error)
