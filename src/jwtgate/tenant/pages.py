"""The pages a user sees: whom to log in as, what to agree to, and what went wrong."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .authorization import Showing
from .refusals import TokenRefused

_PAGES = Environment(
    loader=PackageLoader("jwtgate.tenant", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def login_page(showing: Showing, *, issuer: str, action: str) -> tuple[str, Mapping[str, str]]:
    """The page and its headers. action: where its form goes."""
    asked = showing.login.asked
    return _page(
        "login.html",
        issuer=issuer,
        action=action,
        application=asked.application,
        api=asked.api,
        organization=asked.organization,
        name=showing.name,
        users=showing.users,
        chosen=showing.chosen,
        scopes=showing.scopes,
    )


def error_page(refused: TokenRefused, *, issuer: str) -> tuple[str, Mapping[str, str]]:
    """The page and its headers, for what the application cannot be told."""
    return _page("error.html", issuer=issuer, error=refused.error, description=refused.description)


def _page(template: str, **shown: Any) -> tuple[str, Mapping[str, str]]:
    nonce = secrets.token_urlsafe(16)
    css = _PAGES.get_template("page.css").render()
    return _PAGES.get_template(template).render(**shown, nonce=nonce, css=css), {
        # Nothing but these words: no script, no frame around them, nothing from elsewhere. form-action stays open:
        # browsers apply it to where the form's answer leads, and that is the application.
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
