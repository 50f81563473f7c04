"""The other pages: what is up and what is not, how to call the API, and the way in."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from plumb_gateway.api.comments import comment_on
from plumb_gateway.api.examples import BODIES, PATHS
from plumb_gateway.api.routes import LIVE_PATH, ROUTES, Route
from plumb_gateway.callers import COOKIE, token_of
from plumb_gateway.pages.dependencies import Client, Server
from plumb_gateway.pages.rendering import page

routes = APIRouter(include_in_schema=False)


@routes.get("/")
async def home() -> RedirectResponse:
    """Leads to the sessions."""
    return RedirectResponse("/sessions")


@routes.get("/status")
async def status(plumb: Client, upstream: Server) -> HTMLResponse:
    """What is up, and what is not."""
    return page(
        "status.html",
        findings=await plumb.diagnose(),
        kinds=await plumb.kinds(),
        sessions=await plumb.sessions(),
        is_serving=await upstream.is_serving(),
    )


@routes.get("/api")
async def api(request: Request, plumb: Client) -> HTMLResponse:
    """Every call, with an example to paste."""
    live = [one for one in await plumb.sessions() if one.kind == "shell"]
    return page(
        "api.html",
        routes=ROUTES,
        live_path=LIVE_PATH,
        comment_on=comment_on,
        bodies=BODIES,
        path_of=lambda route: _filled(route, live[-1].name if live else ""),
        base=str(request.base_url).rstrip("/"),
        has_token=bool(token_of(request)),
    )


@routes.get("/login")
async def login() -> HTMLResponse:
    """Asks for the token."""
    return page("login.html")


@routes.post("/login")
async def enter(
    request: Request, upstream: Server, token: Annotated[str, Body(embed=True)]
) -> Response:
    """Keeps a token in a cookie, once the server has taken it."""
    await upstream.plumb(token).kinds()
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    response.set_cookie(
        COOKIE, token, httponly=True, samesite="lax", secure=request.url.scheme == "https"
    )
    return response


@routes.post("/logout")
async def leave() -> Response:
    """Forgets the token."""
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    response.delete_cookie(COOKIE)
    return response


def _filled(route: Route, session: str) -> str:
    """A path as it can be pasted, with a live session where there is one."""
    values = {"session": session.removeprefix("sessions/") or "$SESSION", "report": "$REPORT"}
    return route.path.format_map({**values, **PATHS})
