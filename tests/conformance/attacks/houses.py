"""Apps where DPoP is spoken, for real servers in processes of their own."""

from __future__ import annotations

import json
import os
from typing import Any

from jwtgate import ApiSettings
from tests.conformance.attacks.proofs import SPOKEN
from tests.doors import JWKS, fastapi_requires, flask_requires, settings_for


def settings() -> ApiSettings:
    """Of the keys that the environment variable tells."""
    return settings_for(json.loads(os.environ[JWKS]), **SPOKEN)


def over_asgi() -> Any:
    return fastapi_requires(settings())


def over_wsgi() -> Any:
    return flask_requires(settings())
