"""An API in Flask that wants a permission for each of its routes. Its tests are beside it."""

from flask import Flask

from jwtgate import ApiSettings, claim
from jwtgate.flask import Gate

settings = ApiSettings(identifier="https://messages.example/", domain="tenant.eu.auth0.com", permissions_in_token=True)
app = Flask(__name__)
gate = Gate(settings, app)


@app.get("/messages")
@gate.requires("read:messages")
def read() -> dict[str, str]:
    return {"reader": gate.token.subject}


@app.post("/messages")
@gate.requires("write:messages")
def write() -> tuple[dict[str, str], int]:
    return {"writer": gate.token.subject}, 201


@app.get("/organizations/<organization>/messages")
@gate.requires("read:messages")
def read_of(organization: str) -> dict[str, str]:
    gate.token.require(claim("org_id", organization))
    return {"organization": organization}
