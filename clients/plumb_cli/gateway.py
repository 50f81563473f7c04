"""`plumb gateway`: the HTTP API and the pages, for a server that runs elsewhere."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping

from plumb_cli.access import read_access
from plumb_cli.http_beside import read_gateway_settings
from plumb_cli.visible import say
from plumb_client import Unauthenticated, Unavailable, aio
from plumb_gateway.serving import CannotServe, ServerTls, run_gateway
from plumb_gateway.settings import GatewaySettings
from plumb_server.logs import configure_logs
from plumb_server.settings import is_loopback

_DEFAULT_LISTEN = "127.0.0.1:8080"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.epilog = (
        "How to reach the server is in PLUMB_TLS_CA and so on, as for every command; HTTPS "
        "is served with PLUMB_TLS_CERT and PLUMB_TLS_KEY. See docs/http.md."
    )
    parser.add_argument("--server", default=aio.DEFAULT_ADDRESS, metavar="HOST:PORT")
    parser.add_argument("--http", metavar="HOST:PORT", help=f"default: {_DEFAULT_LISTEN}")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is told to stop."""
    settings = read_gateway_settings(arguments.http)
    if not settings.listen:
        settings = settings.model_copy(update={"listen": _DEFAULT_LISTEN})
    configure_logs(os.environ.get("PLUMB_LOG_FORMAT", "console"))
    try:
        asyncio.run(_serve(settings, arguments.server, os.environ))
    except CannotServe as error:
        say(f"plumb: {error}", sys.stderr)
        return 2
    return 0


async def _serve(settings: GatewaySettings, server: str, variables: Mapping[str, str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tls, upstream_tls = _tls(variables), read_access(server, variables).tls
    if not is_loopback(settings.listen):
        await _check_guarded(settings.listen, aio.connect(server, tls=upstream_tls), tls, variables)
    async with run_gateway(settings, server=server, server_tls=upstream_tls, tls=tls) as url:
        print(f"plumb shows pages on {url}", flush=True)
        await stop.wait()


def _tls(variables: Mapping[str, str]) -> ServerTls | None:
    cert, key = variables.get("PLUMB_TLS_CERT", ""), variables.get("PLUMB_TLS_KEY", "")
    client_ca = variables.get("PLUMB_TLS_CLIENT_CA", "")
    if bool(cert) != bool(key) or (client_ca and not cert):
        raise CannotServe("HTTPS needs both PLUMB_TLS_CERT and PLUMB_TLS_KEY; set the other one")
    return ServerTls(cert=cert, key=key, client_ca=client_ca) if cert else None


async def _check_guarded(
    listen: str, plumb: aio.Plumb, tls: ServerTls | None, variables: Mapping[str, str]
) -> None:
    """Checks that off loopback nobody is let in who shows nothing, and nothing is overheard.

    Raises:
        CannotServe: It does, or there is no TLS.
    """
    if variables.get("PLUMB_INSECURE_LISTEN", "").lower() in ("1", "true"):
        return
    if tls is None:
        raise CannotServe(
            f"{listen} is not on loopback: set PLUMB_TLS_CERT and PLUMB_TLS_KEY, or listen on "
            "127.0.0.1, or set PLUMB_INSECURE_LISTEN=1 if the network is yours alone"
        )
    if tls.client_ca:
        return
    async with plumb:
        try:
            await plumb.kinds()
        except Unauthenticated:
            return
        except Unavailable as error:
            raise CannotServe(f"whether the server wants a token is not known: {error}") from error
    raise CannotServe(
        f"{listen} is not on loopback, and the server lets everybody in: start it with PLUMB_TOKEN"
    )
