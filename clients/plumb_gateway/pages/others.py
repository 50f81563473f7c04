"""The other pages: what is up and what is not, how to call the API, and the way in."""

import math
from http import HTTPStatus
from typing import Annotated

from fastapi import Body, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from plumb_gateway.api.comments import comment_on
from plumb_gateway.api.examples import BODIES, PATHS
from plumb_gateway.api.routes import LIVE_PATH, ROUTES, Route
from plumb_gateway.callers import cookie_name, is_secure, sign_in_of, token_of
from plumb_gateway.pages.dependencies import Admitted, Client, Server, page_routes
from plumb_gateway.pages.rendering import page
from plumb_gateway.sign_ins import SignIns

routes = page_routes()


@routes.get("/")
async def home() -> RedirectResponse:
    """Leads to the sessions."""
    return RedirectResponse("/sessions")


@routes.get("/status")
async def status(request: Request, plumb: Client, upstream: Server) -> HTMLResponse:
    """What is up, and what is not."""
    return await page(
        "status.html",
        findings=await plumb.diagnose(),
        kinds=await plumb.kinds(),
        sessions=await plumb.sessions(),
        is_serving=await upstream.is_serving(),
        has_token=bool(token_of(request)),
    )


@routes.get("/api")
async def api(request: Request, plumb: Admitted) -> HTMLResponse:
    """Every call, with an example to paste."""
    return await page(
        "api.html",
        routes=ROUTES,
        live_path=LIVE_PATH,
        comment_on=comment_on,
        bodies=BODIES,
        path_of=_filled,
        base=str(request.base_url).rstrip("/"),
        has_token=bool(token_of(request)),
    )


@routes.get("/login")
async def login(to: str = "") -> HTMLResponse:
    """Asks for the token; the page's script leads to `to` afterwards."""
    return await page("login.html")


@routes.get("/login/state")
async def state(request: Request) -> dict[str, bool]:
    """Tells whether the browser is signed in; a link from another site comes without its cookie."""
    return {"signed_in": sign_in_of(request) is not None}


@routes.post("/login")
async def enter(
    request: Request, upstream: Server, token: Annotated[str, Body(embed=True)]
) -> Response:
    """Signs a browser in, once the server has taken its token."""
    await upstream.plumb(token).kinds()
    sign_ins: SignIns = request.app.state.sign_ins
    sign_ins.end(request.cookies.get(cookie_name(request), ""))
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    response.set_cookie(
        cookie_name(request),
        sign_ins.begin(token),
        max_age=math.ceil(sign_ins.lasts),
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )
    return response


@routes.post("/logout")
async def leave(request: Request) -> Response:
    """Signs a browser out, and ends its live sockets."""
    name = cookie_name(request)
    sign_ins: SignIns = request.app.state.sign_ins
    sign_ins.end(request.cookies.get(name, ""))
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    response.delete_cookie(name, httponly=True, samesite="strict", secure=is_secure(request))
    return response


def _filled(route: Route) -> str:
    """A path as it can be pasted, where the names are in variables."""
    return route.path.format_map({"session": "$SESSION", "report": "$REPORT", **PATHS})
