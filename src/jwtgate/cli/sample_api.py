"""The sample API of the demo: the same routes once for each way in which an API can be registered."""

# No `from __future__ import annotations`: FastAPI could not resolve `gate`, which is local to a function.

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import APIRouter, FastAPI

from jwtgate.core.access import AccessToken
from jwtgate.core.errors import AuthError
from jwtgate.core.settings import ApiSettings
from jwtgate.fastapi import Gate
from jwtgate.verifier import AsyncVerifier

OnRefusal = Callable[[AuthError, object], None]

LAST_SECONDS = 2  # that a connection may live on when the server is told to stop


def sample_api(apis: Mapping[str, ApiSettings], on_refusal: OnRefusal) -> FastAPI:
    """`/public` for everybody, and `/NAME/messages` behind a gate for each of the APIs.

    apis: name to settings. on_refusal: is told of every refusal before it is answered.
    """
    # The environment may name a proxy, which knows nothing of this machine's loopback.
    http = httpx.AsyncClient(trust_env=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with http:
            yield

    api = FastAPI(title="jwtgate demo", lifespan=lifespan)

    @api.get("/public")
    async def public() -> dict[str, str]:
        return {"hello": "everybody"}

    for name, settings in apis.items():
        gate = Gate(settings, verifier=AsyncVerifier(settings, http=http), on_refusal=on_refusal)
        api.include_router(_messages(gate), prefix=f"/{name}")
    return api


def _messages(gate: Gate) -> APIRouter:
    router = APIRouter()

    @router.get("/messages")
    async def read(token: Annotated[AccessToken, gate.requires("read:messages")]) -> dict[str, Any]:
        return _caller(token)

    @router.post("/messages")
    async def write(token: Annotated[AccessToken, gate.requires("write:messages")]) -> dict[str, Any]:
        return _caller(token)

    return router


def _caller(token: AccessToken) -> dict[str, Any]:
    names = token.scopes if token.permissions is None else token.permissions
    return {"caller": token.client_id, "machine": token.is_machine, "may": sorted(names)}


@contextmanager
def serving(api: FastAPI) -> Iterator[str]:
    """The API behind uvicorn in a thread, on a free port of loopback, until the block ends; yields its URL."""
    # It listens before the server runs, so whoever connects early waits and is not refused.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(
                api,
                log_level="warning",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # it would put another address in the place of the proxy's
                loop="asyncio",
                http="h11",
                ws="none",
                timeout_graceful_shutdown=LAST_SECONDS,
            )
        )
        thread = threading.Thread(target=server.run, args=([listening],), name="jwtgate sample API", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
