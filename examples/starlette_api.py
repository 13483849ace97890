"""An API in Starlette with a public, a private and a private-scoped route, and a WebSocket.

Start it with your tenant's domain and your API's identifier:

    export AUTH0_DOMAIN=tenant.eu.auth0.com AUTH0_AUDIENCE=https://api.example.com/
    uvicorn examples.starlette_api:app

Then ask it, the last two with a token for that API:

    curl -i http://127.0.0.1:8000/api/public
    # 200, for anybody
    curl -i http://127.0.0.1:8000/api/private
    # 401, WWW-Authenticate: Bearer realm="api"
    curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/private
    # 200, and who is calling
    curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/private-scoped
    # 200 with the permission read:messages; 403 without, WWW-Authenticate: Bearer …, scope="read:messages"

The WebSocket at /api/messages needs that permission too; its handshake is refused with the same answers.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from jwtgate import ApiSettings
from jwtgate.starlette import Gate

gate = Gate(ApiSettings.from_env())


async def public(request: Request) -> JSONResponse:
    return JSONResponse({"message": "Hello from a public endpoint! You don't need to be authenticated to see this."})


@gate.requires()
async def private(request: Request) -> JSONResponse:
    message = "Hello from a private endpoint! You need to be authenticated to see this."
    return JSONResponse({"message": message, "caller": gate.token(request).subject})


@gate.requires("read:messages")
async def private_scoped(request: Request) -> JSONResponse:
    message = (
        "Hello from a private endpoint! You need to be authenticated and have a scope of read:messages to see this."
    )
    return JSONResponse({"message": message, "caller": gate.token(request).subject})


@gate.requires("read:messages")
async def messages(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({"message": "Hello from a private WebSocket!", "caller": gate.token(websocket).subject})
    await websocket.close()


app = Starlette(
    routes=[
        Route("/api/public", public),
        Route("/api/private", private),
        Route("/api/private-scoped", private_scoped),
        WebSocketRoute("/api/messages", messages),
    ]
)
