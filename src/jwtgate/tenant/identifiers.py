"""The ids and secrets that a tenant makes up, in the shapes that a real one gives them."""

from __future__ import annotations

import secrets
import string

BASE62 = string.ascii_letters + string.digits
URL_SAFE = BASE62 + "-_"


def new_api_id() -> str:
    """24 hexadecimal digits."""
    return secrets.token_hex(12)


def new_client_id() -> str:
    """32 letters and digits."""
    return _random(BASE62, 32)


def new_secret() -> str:
    """64 URL-safe characters: a client secret, or the signing secret of an HS256 API."""
    return _random(URL_SAFE, 64)


def new_grant_id() -> str:
    """`cgr_` and 16 letters and digits."""
    return "cgr_" + _random(BASE62, 16)


def new_user_id() -> str:
    """`auth0|` and 24 hexadecimal digits."""
    return "auth0|" + secrets.token_hex(12)


def new_role_id() -> str:
    """`rol_` and 16 letters and digits."""
    return "rol_" + _random(BASE62, 16)


def new_organization_id() -> str:
    """`org_` and 16 letters and digits."""
    return "org_" + _random(BASE62, 16)


def new_code() -> str:
    """48 URL-safe characters: an authorization code, or the name of an authorization that is under way."""
    return _random(URL_SAFE, 48)


def new_family() -> str:
    """22 letters and digits: the name of all refresh tokens that come of one login."""
    return _random(BASE62, 22)


def new_refresh_token() -> str:
    """`v1.` and 64 URL-safe characters."""
    return "v1." + _random(URL_SAFE, 64)


def new_kid() -> str:
    """21 URL-safe characters."""
    return _random(URL_SAFE, 21)


def new_jti() -> str:
    """22 letters and digits."""
    return _random(BASE62, 22)


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
