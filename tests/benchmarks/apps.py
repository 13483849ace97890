"""The same API in each framework: a route for anybody, another for whoever has a token, and the same answer.

Each is made in a process of its own, whose environment says what its issuer's keys are.
"""

# No `from __future__ import annotations`: FastAPI could not find gates that are local to a function.
import json
import os
from typing import Annotated, Any, Final

from jwtgate import AccessToken, ApiSettings, Issuer
from tests.benchmarks.material import API, DOMAIN, ISSUER, settings

KEYS: Final = "BENCHMARK_KEYS"  # the issuer's JWKS, in the environment
BODY: Final = {"messages": ["one", "two"]}
OCTETS: Final = json.dumps(BODY).encode()


def _settings() -> ApiSettings:
    return settings(issuer=Issuer(ISSUER, jwks=json.loads(os.environ[KEYS])))


def _side_by_side(unguarded: Any, guarded: Any) -> Any:
    """Two apps of one route each: in one, a router would look at the one route before it looks at the other."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (unguarded if scope.get("path") == "/open" else guarded)(scope, receive, send)

    return app


def _open_fastapi() -> Any:
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/open")
    async def unprotected() -> dict[str, list[str]]:
        return BODY

    return app


def fastapi() -> Any:
    from fastapi import FastAPI

    from jwtgate.fastapi import Gate

    app, gate = FastAPI(), Gate(_settings())

    @app.get("/guarded")
    async def protected(token: Annotated[AccessToken, gate.requires()]) -> dict[str, list[str]]:
        return BODY

    return _side_by_side(_open_fastapi(), app)


def auth0() -> Any:
    from fastapi import Depends, FastAPI
    from fastapi_plugin import Auth0FastAPI

    from tests.benchmarks.peers import DOCUMENTS, JWKS_URI

    documents = {DOCUMENTS: {"issuer": ISSUER, "jwks_uri": JWKS_URI}, JWKS_URI: json.loads(os.environ[KEYS])}

    async def fetch(url: str) -> Any:
        return documents[url]

    app, gate = FastAPI(), Auth0FastAPI(domain=DOMAIN, audience=API, custom_fetch=fetch)

    @app.get("/guarded")
    async def protected(claims: Annotated[Any, Depends(gate.require_auth())]) -> dict[str, list[str]]:
        return BODY

    return _side_by_side(_open_fastapi(), app)


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from jwtgate.starlette import Gate

    gate = Gate(_settings())

    async def unprotected(request: Request) -> JSONResponse:
        return JSONResponse(BODY)

    @gate.requires()
    async def protected(request: Request) -> JSONResponse:
        return JSONResponse(BODY)

    unguarded, guarded = (Starlette(routes=[Route(*one)]) for one in (("/open", unprotected), ("/guarded", protected)))
    return _side_by_side(unguarded, guarded)


def asgi() -> Any:
    from jwtgate.asgi import JwtGateMiddleware

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(OCTETS)).encode())]

    async def unprotected(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": OCTETS})

    return _side_by_side(unprotected, JwtGateMiddleware(unprotected, _settings()))


def flask() -> Any:
    from flask import Flask

    from jwtgate.flask import Gate

    app = Flask("benchmark")
    gate = Gate(_settings(), app)

    @app.get("/open")
    def unprotected() -> dict[str, list[str]]:
        return BODY

    @app.get("/guarded")
    @gate.requires()
    def protected() -> dict[str, list[str]]:
        return BODY

    return app
