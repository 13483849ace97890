"""An API without any framework, behind the ASGI middleware: all is private but for what is named public.

Start it with your tenant's domain and your API's identifier:

    export AUTH0_DOMAIN=tenant.eu.auth0.com AUTH0_AUDIENCE=https://api.example.com/
    uvicorn examples.asgi_middleware_api:app

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

from jwtgate import ApiSettings
from jwtgate.asgi import JwtGateMiddleware, Receive, Scope, Send

MESSAGES = {
    "/api/public": "Hello from a public endpoint! You don't need to be authenticated to see this.",
    "/api/private": "Hello from a private endpoint! You need to be authenticated to see this.",
    "/api/private-scoped": (
        "Hello from a private endpoint! You need to be authenticated and have a scope of read:messages to see this."
    ),
}


async def api(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(f"this API has no {scope['type']}")
    message = MESSAGES.get(scope["path"])
    token = scope["jwtgate.token"]
    document = {"message": message, **({"caller": token.subject} if token else {})}
    body = json.dumps(document if message else {"message": "Not found"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200 if message else 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = JwtGateMiddleware(
    api,
    ApiSettings.from_env(),
    public=["/api/public"],
    requires={"/api/private-scoped": "read:messages"},
)
