"""An API in FastAPI with a public, a private and a private-scoped route.

Start it with your tenant's domain and your API's identifier:

    export AUTH0_DOMAIN=tenant.eu.auth0.com AUTH0_AUDIENCE=https://api.example.com/
    uvicorn examples.fastapi_api:app --port 8000

Then ask it, the last two with a token for that API:

    curl -i http://127.0.0.1:8000/api/public
    # 200, for anybody
    curl -i http://127.0.0.1:8000/api/private
    # 401, WWW-Authenticate: Bearer realm="api"
    curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/private
    # 200, and who is calling
    curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/private-scoped
    # 200 with the permission read:messages; 403 without, WWW-Authenticate: Bearer …, scope="read:messages"

http://127.0.0.1:8000/docs shows what each route requires, and tries it out. For its "Authorize" button, register a
single-page application with the callback http://127.0.0.1:8000/docs/oauth2-redirect, and before you start, name it:

    export DOCS_CLIENT_ID=…
"""

import os
from typing import Annotated

from fastapi import FastAPI

from jwtgate import AccessToken, ApiSettings
from jwtgate.fastapi import Gate

# A page in a browser can keep no secret: it proves with PKCE that it is the one that asked.
app = FastAPI(
    swagger_ui_init_oauth={
        "clientId": os.environ.get("DOCS_CLIENT_ID", ""),
        "usePkceWithAuthorizationCodeGrant": True,
    }
)
gate = Gate(ApiSettings.from_env())


@app.get("/api/public")
async def public() -> dict[str, str]:
    return {"message": "Hello from a public endpoint! You don't need to be authenticated to see this."}


@app.get("/api/private")
async def private(token: Annotated[AccessToken, gate.requires()]) -> dict[str, str]:
    message = "Hello from a private endpoint! You need to be authenticated to see this."
    return {"message": message, "caller": token.subject}


@app.get("/api/private-scoped")
async def private_scoped(token: Annotated[AccessToken, gate.requires("read:messages")]) -> dict[str, str]:
    message = (
        "Hello from a private endpoint! You need to be authenticated and have a scope of read:messages to see this."
    )
    return {"message": message, "caller": token.subject}
