"""Puts the gateway together: the API, the live socket, the pages, and what goes round them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles

from plumb_gateway import metrics
from plumb_gateway.api.calls import endpoint
from plumb_gateway.api.openapi import document
from plumb_gateway.api.routes import LIVE_PATH, ROUTES
from plumb_gateway.bodies import Bodies
from plumb_gateway.callers import MOST_BODY_BYTES, token_of
from plumb_gateway.guard import Guarded, tell_errors
from plumb_gateway.leaving import Leaving
from plumb_gateway.live import serve_live
from plumb_gateway.pages import others, reports, scenarios, sessions
from plumb_gateway.pages.dependencies import provide
from plumb_gateway.settings import GatewaySettings
from plumb_gateway.upstream import Upstream


def make_app(upstream: Upstream, settings: GatewaySettings, hosts: frozenset[str]) -> FastAPI:
    """Makes the application.

    Args:
        upstream: The server behind it.
        settings: What to show, and how.
        hosts: The names under which it answers; empty for any.
    """
    leaving = Leaving(settings.leave_grace)
    app = FastAPI(
        title="plumb",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        max_body_size=MOST_BODY_BYTES,
        redirect_slashes=False,
        lifespan=_life(leaving),
    )
    tell_errors(app)
    _add_api(app, upstream)
    _add_live(app, upstream, leaving)
    _add_probes(app, upstream)
    provide(app, upstream, settings)
    for pages in (others, sessions, reports, scenarios):
        app.include_router(pages.routes)
    app.mount("/static", StaticFiles(packages=[("plumb_gateway", "static")]), name="static")
    app.add_middleware(Bodies, upstream=upstream)
    app.add_middleware(Guarded, hosts=hosts)
    app.add_middleware(metrics.Counted)
    return app


def _life(leaving: Leaving) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with leaving:
            yield

    return life


def _add_api(app: FastAPI, upstream: Upstream) -> None:
    for route in ROUTES:
        app.add_api_route(route.path, endpoint(route, upstream), methods=[route.verb])
    whole = document()

    @app.get("/v1/openapi.json")
    async def openapi() -> JSONResponse:
        return JSONResponse(whole)


def _add_live(app: FastAPI, upstream: Upstream, leaving: Leaving) -> None:
    @app.websocket(LIVE_PATH)
    async def live(socket: WebSocket, session: str, own: bool = False, keep: bool = False) -> None:
        await serve_live(socket, upstream, session, leaving, keep=keep if own else None)


def _add_probes(app: FastAPI, upstream: Upstream) -> None:
    """What machines ask: is it up, does it serve, what did it do."""

    @app.get("/healthz")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz")
    async def readyz() -> PlainTextResponse:
        if await upstream.is_serving():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("the server behind does not serve; see /status\n", 503)

    @app.get("/metrics")
    async def show_metrics(request: Request) -> Response:
        await upstream.plumb(token_of(request)).kinds()  # figures are for whom the server lets in
        body, kind = metrics.render()
        return Response(body, media_type=kind)
