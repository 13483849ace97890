"""An API without any framework, behind the WSGI middleware: all is private but for what is named public.

Start it with your tenant's domain and your API's identifier:

    export AUTH0_DOMAIN=tenant.eu.auth0.com AUTH0_AUDIENCE=https://api.example.com/
    gunicorn --bind 127.0.0.1:8000 examples.wsgi_middleware_api:app

Then ask it, the last two with a token for that API:

    curl -i http://127.0.0.1:8000/api/public
    # 200, for anybody
    curl -i http://127.0.0.1:8000/api/private
    # 401, WWW-Authenticate: Bearer realm="api"
    curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/private
    # 200, and who is calling
    curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/private-scoped
    # 200 with the permission read:messages; 403 without, WWW-Authenticate: Bearer …, scope="read:messages"
"""

import json
from wsgiref.types import StartResponse, WSGIEnvironment

from jwtgate import ApiSettings
from jwtgate.wsgi import JwtGateMiddleware

MESSAGES = {
    "/api/public": "Hello from a public endpoint! You don't need to be authenticated to see this.",
    "/api/private": "Hello from a private endpoint! You need to be authenticated to see this.",
    "/api/private-scoped": (
        "Hello from a private endpoint! You need to be authenticated and have a scope of read:messages to see this."
    ),
}


def api(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    message = MESSAGES.get(environ["PATH_INFO"])
    token = environ["jwtgate.token"]
    document = {"message": message, **({"caller": token.subject} if token else {})}
    body = json.dumps(document if message else {"message": "Not found"}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK" if message else "404 Not Found", headers)
    return [body]


app = JwtGateMiddleware(
    api,
    ApiSettings.from_env(),
    public=["/api/public"],
    requires={"/api/private-scoped": "read:messages"},
)
