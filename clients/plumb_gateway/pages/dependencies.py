"""What the pages are given: the server, as their caller may use it, and the settings."""

from http import HTTPStatus
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute

from plumb_client import aio
from plumb_gateway.callers import token_of
from plumb_gateway.problem import Refused
from plumb_gateway.settings import GatewaySettings
from plumb_gateway.sign_ins import SignIns
from plumb_gateway.upstream import Upstream


def provide(app: FastAPI, upstream: Upstream, settings: GatewaySettings) -> None:
    """Keeps what the pages of an application are given."""
    app.state.upstream, app.state.settings = upstream, settings
    app.state.sign_ins = SignIns(settings.sign_in_seconds)


def page_routes() -> APIRouter:
    """Makes a router for pages, which refuses queries that mean nothing to them."""
    return APIRouter(include_in_schema=False, dependencies=[Depends(_refuse_unknown)])


def _refuse_unknown(request: Request) -> None:
    route = request.scope["route"]
    assert isinstance(route, APIRoute)  # noqa: S101 - what the router makes
    known = [field.alias for field in route.dependant.query_params]
    for name in request.query_params:
        if name not in known:
            there_are = f"use {', '.join(known)}" if known else "leave it out"
            raise Refused(
                HTTPStatus.BAD_REQUEST, "INVALID_INPUT",
                f"this page has no parameter {name[:100]!r}; {there_are}",
            )  # fmt: skip


def _upstream(request: Request) -> Upstream:
    upstream: Upstream = request.app.state.upstream
    return upstream


def _settings(request: Request) -> GatewaySettings:
    settings: GatewaySettings = request.app.state.settings
    return settings


def _client(request: Request) -> aio.Plumb:
    return _upstream(request).plumb(token_of(request))


async def _admitted(request: Request) -> aio.Plumb:
    """The client, once the server has let the caller in: what follows is from files of ours."""
    plumb = _client(request)
    await plumb.kinds()
    return plumb


Server: TypeAlias = Annotated[Upstream, Depends(_upstream)]
Shown: TypeAlias = Annotated[GatewaySettings, Depends(_settings)]
Client: TypeAlias = Annotated[aio.Plumb, Depends(_client)]
Admitted: TypeAlias = Annotated[aio.Plumb, Depends(_admitted)]
