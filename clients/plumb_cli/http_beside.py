"""The gateway inside `plumb serve`: guarded as the server is, and reaching it without a detour."""

import functools
import importlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pydantic

from plumb_gateway.settings import GatewaySettings
from plumb_server.__main__ import Beside, explain
from plumb_server.listening import CannotListen, check_may_listen, read_token
from plumb_server.settings import Settings


def read_gateway_settings(listen: str | None) -> GatewaySettings:
    """Reads them, or ends the program with one line for each that is wrong.

    Args:
        listen: From the command line; None for PLUMB_HTTP_LISTEN.
    """
    overrides: dict[str, Any] = {} if listen is None else {"listen": listen}
    try:
        return GatewaySettings(**overrides)
    except pydantic.ValidationError as error:
        sys.stderr.write(explain(error, "PLUMB_HTTP_"))
        sys.exit(2)


def beside(listen: str | None) -> Beside | None:
    """What runs beside the server; None where no HTTP is wanted.

    Raises:
        ModuleNotFoundError: The extra `gateway` is wanted and not installed.
    """
    gateway = read_gateway_settings(listen)
    if not gateway.listen:
        return None
    serving = importlib.import_module("plumb_gateway.serving")  # a second that few servers need
    return functools.partial(_serve_http, serving, gateway)


@asynccontextmanager
async def _serve_http(
    serving: ModuleType, gateway: GatewaySettings, settings: Settings, server: str
) -> AsyncIterator[str]:
    check_may_listen(gateway.listen, settings, read_token(settings))
    tls = None
    if settings.tls_cert:
        tls = serving.ServerTls(
            cert=settings.tls_cert, key=settings.tls_key, client_ca=settings.tls_client_ca
        )
    try:
        async with serving.run_gateway(gateway, server=server, tls=tls) as url:
            yield f"plumb shows pages on {url}"
    except serving.CannotServe as error:
        raise CannotListen(str(error)) from error
