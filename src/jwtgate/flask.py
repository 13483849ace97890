"""The gate for Flask: a decorator for views, a guard for blueprints and whole apps.

    gate = Gate(settings, app)

    @app.get("/messages")
    @gate.requires("read:messages")
    def messages(): return {"caller": gate.token.subject}

`gate.protect(app, public=["health"])` closes all that is not opened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar, cast
from weakref import WeakSet

from flask import Blueprint, Flask, Request, Response, after_this_request, current_app, has_request_context, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import Headers

from .admission import NoToken, admit, caller, known_caller, refuse, tell, verifier_for
from .core.access import AccessToken, Requirement, demand
from .core.errors import AuthError, SettingsError
from .core.paths import is_preflight
from .core.settings import ApiSettings
from .verifier import Verifier
from .wsgi import outcome_of, readiness_of, request_of

__all__ = ["Gate", "NoToken"]

P = ParamSpec("P")
R = TypeVar("R")
View = TypeVar("View", bound=Callable[..., Any])
OnRefusal = Callable[[AuthError, Request], ResponseReturnValue | None]

_OPENED_BY = "jwtgate_opened_by"  # on a view: the gates whose `public` it bears


class Gate:
    """Stands before the views of Flask apps.

    settings: what this API accepts.
    app: the same as calling `init_app(app)`.
    verifier: verifies the tokens; must have the same settings. None makes one.
    on_refusal: called with the error and the request before a refusal is sent. It may return an answer of its own, as
        a view would; None sends the standard one. A plain function.

    One gate may serve several apps, and one app may have several gates. Raises SettingsError.
    """

    def __init__(
        self,
        settings: ApiSettings,
        app: Flask | None = None,
        *,
        verifier: Verifier | None = None,
        on_refusal: OnRefusal | None = None,
    ) -> None:
        if iscoroutinefunction(on_refusal):
            raise SettingsError("on_refusal", "must be a plain function, got a coroutine function")
        self.verifier: Verifier = verifier_for(Verifier, settings, verifier)
        self.settings = settings
        self.on_refusal = on_refusal
        self._apps: WeakSet[Flask] = WeakSet()
        self._bare: WeakSet[Any] = WeakSet()  # views that bear `requires`, as they were without it
        self._checked: WeakSet[Flask] = WeakSet()  # apps that register none of these
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Answer every AuthError that is raised in this app, wherever that is.

        Within views that bear `requires` the gate answers without it. With several gates on one app, the last one
        answers for all other places, as with any two error handlers in Flask.
        """
        app.register_error_handler(AuthError, self._answer)
        app.before_request(self._check_views)
        self._apps.add(app)

    def requires(
        self, *requirements: Requirement | str, optional: bool = False
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator: the view runs only for a valid token that meets all of these; none means any valid token.

        For views, sync and async, for methods of a `MethodView`, and in a view class's `decorators`. It stands below
        `@app.get(…)`; above it, it would guard nothing, and the app is refused, with the first request at the latest.
        An AuthError that the view raises is answered too.

        optional: let requests without credentials in as well; a bad token is refused all the same.

        Raises SettingsError.
        """
        requirement = demand(requirements)

        def decorate(view: Callable[P, R]) -> Callable[P, R]:
            _check_function("requires", view)
            self._check_order(view)
            with suppress(TypeError):  # a callable object may have no weak references; a function has
                self._bare.add(view)
            if iscoroutinefunction(view):
                return cast(Callable[P, R], self._around_async(view, requirement, optional))
            return self._around(view, requirement, optional)

        return decorate

    def protect(
        self,
        target: Flask | Blueprint,
        *requirements: Requirement | str,
        public: Iterable[str] = (),
        optional: bool = False,
    ) -> None:
        """Close a whole app or blueprint: what is not opened needs a valid token that meets all of these.

        public: endpoints that stay open, as `url_for` takes them: "health", "static", "api.health". The decorator
            `gate.public` opens a view as well.
        optional: as for `requires`.

        In a closed app also paths that lead nowhere are refused, so that nobody learns which ones do. A CORS preflight
        passes where Flask answers it; a view that handles OPTIONS itself stays closed. Requirements of a view are
        asked for in addition. AuthErrors that are raised in the target are answered.

        Raises SettingsError.
        """
        requirement, opened = demand(requirements), _endpoints(public)

        def guard() -> Response | None:
            if self._is_open(opened) or _is_left_to_flask():
                return None
            try:
                self._admit(requirement, optional)
            except AuthError as error:
                return self._answer(error)
            return None

        target.register_error_handler(AuthError, self._answer)
        target.before_request(guard)

    def public(self, view: View) -> View:
        """A decorator: this gate's `protect` lets everybody in to the view, and does not look at the request.

        For a view class, put it into its `decorators`. Raises SettingsError.
        """
        _check_function("public", view)
        setattr(view, _OPENED_BY, (*getattr(view, _OPENED_BY, ()), self))
        return view

    @property
    def token(self) -> AccessToken:
        """Who is calling: the verified token of the current request.

        Raises NoToken where no gate has looked at the request. Where the gate let it in without credentials, raises
        MissingCredentials, and so the request is refused; `optional_token` is for such views.
        """
        if not has_request_context():
            raise NoToken
        return caller(request.environ, self.settings)

    @property
    def optional_token(self) -> AccessToken | None:
        """Who is calling, if that is known: None for a caller without credentials, on a public view and elsewhere."""
        return known_caller(request.environ, self.settings) if has_request_context() else None

    def readiness(self) -> Response:
        """A view for a readiness probe: 200 where all issuers in the settings have keys that serve, else 503.

        `app.add_url_rule("/ready", view_func=gate.readiness)`; in a closed app, open it: `public=["readiness"]`. Where
        keys are missing it loads them.
        """
        answer = readiness_of(self.verifier)
        return Response(answer.body, answer.status, list(answer.headers))

    def _check_order(self, view: object) -> None:
        for app in self._apps:
            _refuse_registered(app, {id(view)})

    def _check_views(self) -> None:
        # A blueprint's views are registered after they were decorated, and an app may be made known last. From the
        # first request on, Flask takes no more of them, so that each app is looked at once.
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        if app not in self._checked:
            _refuse_registered(app, {id(view) for view in self._bare})
            self._checked.add(app)

    def _admit(self, requirement: Requirement | None, optional: bool) -> None:
        self._check_views()
        outcome = outcome_of(request.environ, self.verifier)
        if self.settings.dpop_nonce_key is not None:
            after_this_request(self._tell)
        admit(outcome, requirement, optional=optional)

    def _tell(self, response: Response) -> Response:
        response.headers = Headers(tell(response.headers, request.environ, self.settings))
        return response

    def _answer(self, error: AuthError) -> Response:
        refusal = refuse(error, self.settings)
        own = None if self.on_refusal is None else self.on_refusal(error, request)
        if own is not None:
            return current_app.make_response(own)
        return Response(refusal.body, refusal.status, list(refusal.headers))

    def _around(self, view: Callable[P, R], requirement: Requirement | None, optional: bool) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                self._admit(requirement, optional)
                return view(*args, **kwargs)
            except AuthError as error:
                return cast(R, self._answer(error))  # Flask takes an answer wherever it takes a view's value

        return guarded

    def _around_async(
        self, view: Callable[P, Awaitable[R]], requirement: Requirement | None, optional: bool
    ) -> Callable[P, Awaitable[R]]:
        # Still a coroutine function: Flask and other decorators must see what it is.
        @wraps(view)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                self._admit(requirement, optional)
                return await view(*args, **kwargs)
            except AuthError as error:
                return cast(R, self._answer(error))

        return guarded

    def _is_open(self, endpoints: frozenset[str]) -> bool:
        # By what Flask routes to, never by how the path is spelt. A path that leads nowhere has no endpoint.
        endpoint = request.endpoint
        if endpoint is None:
            return False
        view = current_app.view_functions.get(endpoint)
        return endpoint in endpoints or self in getattr(view, _OPENED_BY, ())


def _is_left_to_flask() -> bool:
    """The question that a browser asks without credentials, if Flask itself answers it.

    Where a view handles OPTIONS, the application's own code would run for a stranger.
    """
    environ = request.environ
    automatic = getattr(request.url_rule, "provide_automatic_options", False)
    return automatic and environ["REQUEST_METHOD"] == "OPTIONS" and is_preflight(request_of(environ))


def _refuse_registered(app: Flask, views: set[int]) -> None:
    # `@gate.requires(…)` above `@app.get(…)` guards a name that Flask never calls: the view itself stays open.
    for endpoint, registered in app.view_functions.items():
        if id(registered) in views:
            raise SettingsError("requires", "must stand below @app.get(…): this view is registered", endpoint)


def _check_function(decorator: str, view: object) -> None:
    if isinstance(view, type):
        raise SettingsError(decorator, f"belongs into the class's decorators = [gate.{decorator}…]", view.__name__)


def _endpoints(names: Iterable[str]) -> frozenset[str]:
    given = (names,) if isinstance(names, str) else tuple(names)
    for name in given:
        # Paths have many spellings, endpoints have one.
        if not isinstance(name, str) or not name or name.startswith("/"):
            raise SettingsError("public", "must name endpoints, as url_for takes them, and not paths", name)
    if isinstance(names, str):
        raise SettingsError("public", "must be a list of endpoints", names)
    return frozenset(given)
