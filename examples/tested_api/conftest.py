"""The tokens of these tests are for the API as it is: with its own settings."""

import pytest
from flask.testing import FlaskClient
from messages_api import app, settings

from jwtgate import ApiSettings

pytest_plugins = ["jwtgate.testing"]


@pytest.fixture
def jwtgate_settings() -> ApiSettings:
    return settings


@pytest.fixture
def client() -> FlaskClient:
    return app.test_client()
