"""`/authorize`: which application sends a user here and what for, what the page shows, and where the user goes next."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from .applications import Application
from .binding import THUMBPRINT
from .books import Books
from .codes import Login
from .exchange import Granted, granted_to_user
from .people import User
from .refusals import (
    TokenRefused,
    callback_mismatch,
    grant_type_not_allowed,
    login_over,
    login_required,
    malformed,
    missing,
    not_agreed,
    unknown_client,
    unknown_service,
    unsupported_response_type,
)
from .scopes import OFFLINE_ACCESS, Asked, check_member, offered_scopes, read_asked
from .token_request import TokenResponse, once_each

# Which grant each answer of /authorize belongs to, and in which part of the callback's URL it stands.
RESPONSE_TYPES: Mapping[str, tuple[str, str]] = {
    "code": ("authorization_code", "query"),
    "token": ("implicit", "fragment"),
}
IMPLICIT_USERINFO_LIFETIME = 7200  # seconds

# RFC 7636 section 4.2: the base64url of a SHA-256.
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Redirect:
    """The user goes on to this URL."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """What the page shows.

    name: under which the login goes on. scopes: those that would be agreed to, with their descriptions; empty
    where nobody is asked. chosen: the user who is chosen already.
    """

    name: str = field(repr=False)
    login: Login
    users: tuple[User, ...]
    chosen: str | None
    scopes: Mapping[str, str]


class Authorizations:
    """Logins at one tenant, each from the application's request to the way back.

    issue: makes the tokens of the implicit flow, which go to the callback without a code.
    """

    def __init__(self, books: Books, issue: Callable[[Granted], TokenResponse]) -> None:
        self._books = books
        self._issue = issue

    def begin(self, pairs: Iterable[tuple[str, str]], browser: str) -> Showing | Redirect:
        """A user arrives. pairs: of the query. browser: what this browser alone knows.

        Raises TokenRefused for what the application cannot be told, since nobody knows where it is: RFC 6749
        section 4.1.2.1.
        """
        parameters = once_each(pairs)
        application, redirect_uri = self._application(parameters)
        try:
            login = self._login(application, redirect_uri, parameters)
        except TokenRefused as refused:
            return _back(redirect_uri, parameters.get("response_type"), parameters.get("state"), refused.body)
        users = self._users(login)
        return Showing(
            name=self._books.codes.begin(login, browser),
            login=login,
            users=users,
            chosen=_chosen(users, login.login_hint),
            scopes=self._offered(login) if login.consent else {},
        )

    def finish(self, pairs: Iterable[tuple[str, str]], browser: str) -> Redirect:
        """The user has chosen, and agreed or not. pairs: of the page's form. Raises TokenRefused as `begin` does."""
        form = once_each(pairs)
        user = self._books.registry.user(form.get("user", ""))
        login = self._books.codes.end(form.get("login", ""), browser)
        if login is None:
            raise login_over()
        try:
            if form.get("action") != "accept":
                raise not_agreed()
            if user is None:
                raise missing("user")
            return self._answer(login, user)
        except TokenRefused as refused:
            return _back(login.redirect_uri, login.response_type, login.state, refused.body)

    def _application(self, parameters: Mapping[str, str]) -> tuple[Application, str]:
        for name in ("client_id", "redirect_uri"):
            if name not in parameters:
                raise missing(name)
        application = self._books.registry.application(parameters["client_id"])
        if application is None:
            raise unknown_client(parameters["client_id"])
        # RFC 9700 section 2.1: character by character, or an open redirect hands out codes.
        if parameters["redirect_uri"] not in application.callbacks:
            raise callback_mismatch()
        return application, parameters["redirect_uri"]

    def _login(self, application: Application, redirect_uri: str, parameters: Mapping[str, str]) -> Login:
        response_type = _response_type(application, parameters)
        prompts = parameters.get("prompt", "").split(" ")
        if "none" in prompts:
            raise login_required()
        asked = read_asked(
            self._books.registry,
            application,
            parameters,
            by_name=self._books.organization_names,
            unknown=unknown_service,
        )
        return Login(
            asked=asked,
            redirect_uri=redirect_uri,
            response_type=response_type,
            state=parameters.get("state"),
            nonce=parameters.get("nonce"),
            challenge=_challenge(application, response_type, parameters),
            consent="consent" in prompts or (asked.api is not None and not asked.api.skip_consent),
            login_hint=parameters.get("login_hint"),
            jkt=_dpop_jkt(parameters),
        )

    def _users(self, login: Login) -> tuple[User, ...]:
        organization = login.asked.organization
        users = self._books.registry.users()
        return tuple(user for user in users if organization is None or user.user_id in organization.members)

    def _offered(self, login: Login) -> Mapping[str, str]:
        return _described(login.asked, offered_scopes(self._books.registry, login.asked))

    def _answer(self, login: Login, user: User) -> Redirect:
        if login.response_type == "token":
            granted = granted_to_user(self._books, login.asked, user)
            web = IMPLICIT_USERINFO_LIFETIME if granted.api is None else granted.api.web_token_lifetime
            members = self._issue(replace(granted, lifetime=web)).body
        else:
            check_member(login.asked, user)
            members = {"code": self._books.codes.issue(login, user.user_id)}
        return _back(login.redirect_uri, login.response_type, login.state, members)


def _response_type(application: Application, parameters: Mapping[str, str]) -> str:
    """Raises TokenRefused for what this tenant, or this application, does not do."""
    for name in ("request", "request_uri"):
        if name in parameters:
            # OpenID Connect Core 1.0 section 3.1.2.6.
            raise TokenRefused(400, f"{name}_not_supported", f"Parameter {name} is not supported")
    response_type = parameters.get("response_type")
    if response_type is None:
        raise missing("response_type")
    if response_type not in RESPONSE_TYPES:
        raise unsupported_response_type(response_type)
    grant_type, mode = RESPONSE_TYPES[response_type]
    if grant_type not in application.grant_types:
        raise grant_type_not_allowed(grant_type)
    if parameters.get("response_mode", mode) != mode:
        raise malformed(f"response_mode must be {mode} for response_type {response_type}")
    return response_type


def _challenge(application: Application, response_type: str, parameters: Mapping[str, str]) -> str | None:
    challenge = parameters.get("code_challenge")
    if challenge is None:
        # RFC 9700 section 2.1.1: public clients must use PKCE.
        if application.is_public and response_type == "code":
            raise missing("code_challenge")
        return None
    # RFC 7636 section 4.3: left out it means `plain`, which a real tenant takes; it keeps nothing secret.
    if parameters.get("code_challenge_method") != "S256":
        raise malformed("code_challenge_method must be S256")
    if not CHALLENGE.fullmatch(challenge):
        raise malformed("code_challenge must be the base64url of a SHA-256, 43 characters")
    return challenge


def _dpop_jkt(parameters: Mapping[str, str]) -> str | None:
    """RFC 9449 section 10. Raises TokenRefused for what can be no thumbprint."""
    jkt = parameters.get("dpop_jkt")
    if jkt is not None and not THUMBPRINT.fullmatch(jkt):
        raise malformed("dpop_jkt must be the base64url of a SHA-256, 43 characters")
    return jkt


def _described(asked: Asked, scopes: Iterable[str]) -> Mapping[str, str]:
    """What the user is asked to agree to, in words where there are any."""
    defined = {} if asked.api is None else asked.api.permissions
    words = {OFFLINE_ACCESS: "Access while you are away", **defined}
    return {name: words.get(name, "") for name in scopes}


def _chosen(users: Iterable[User], hint: str | None) -> str | None:
    return next((user.user_id for user in users if hint in (None, user.email, user.user_id)), None)


def _back(
    redirect_uri: str, response_type: str | None, state: str | None, members: Mapping[str, str | int]
) -> Redirect:
    """To the callback, with these members and the request's `state`."""
    encoded = urlencode({**members, **({} if state is None else {"state": state})})
    _, mode = RESPONSE_TYPES.get(response_type or "", RESPONSE_TYPES["code"])
    if mode == "fragment":
        return Redirect(f"{redirect_uri}#{encoded}")
    # RFC 6749 section 3.1.2: a query that the callback has already is kept.
    return Redirect(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{encoded}")
