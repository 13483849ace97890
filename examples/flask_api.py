"""An API in Flask with a public, a private and a private-scoped route.

Start it with your tenant's domain and your API's identifier:

    export AUTH0_DOMAIN=tenant.eu.auth0.com AUTH0_AUDIENCE=https://api.example.com/
    flask --app examples/flask_api.py run
    gunicorn --bind 127.0.0.1:5000 examples.flask_api:app   # the same, as in production

Then ask it, the last two with a token for that API:

    curl -i http://127.0.0.1:5000/api/public
    # 200, for anybody
    curl -i http://127.0.0.1:5000/api/private
    # 401, WWW-Authenticate: Bearer realm="api"
    curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:5000/api/private
    # 200, and who is calling
    curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:5000/api/private-scoped
    # 200 with the permission read:messages; 403 without, WWW-Authenticate: Bearer …, scope="read:messages"
"""

from flask import Flask

from jwtgate import ApiSettings
from jwtgate.flask import Gate

app = Flask(__name__)
gate = Gate(ApiSettings.from_env(), app)


@app.get("/api/public")
def public() -> dict[str, str]:
    return {"message": "Hello from a public endpoint! You don't need to be authenticated to see this."}


@app.get("/api/private")
@gate.requires()
def private() -> dict[str, str]:
    message = "Hello from a private endpoint! You need to be authenticated to see this."
    return {"message": message, "caller": gate.token.subject}


@app.get("/api/private-scoped")
@gate.requires("read:messages")
def private_scoped() -> dict[str, str]:
    message = (
        "Hello from a private endpoint! You need to be authenticated and have a scope of read:messages to see this."
    )
    return {"message": message, "caller": gate.token.subject}
