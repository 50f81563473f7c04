"""`plumb doctor`: what works here, and how to mend what does not, on one screen."""

import argparse
import asyncio

import plumb_client
from plumb_bench.labels import visible
from plumb_cli.access import read_access
from plumb_cli.settings import read_settings
from plumb_client import aio
from plumb_server.diagnosis import Finding, State, diagnose
from plumb_server.settings import Settings

_SIGNS = {State.WELL: "ok  ", State.BROKEN: "FAIL", State.MISSING: "-   "}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("--server", default=aio.DEFAULT_ADDRESS, metavar="HOST:PORT")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Looks and prints. Returns 1 if something that is needed does not work."""
    findings = asyncio.run(_look(read_settings(), arguments.server))
    for finding in findings:
        print(visible(f"{_SIGNS[finding.state]} {finding.subject:<12} {finding.summary}"))
        if finding.mend:
            print(visible(f"     {'':<12} -> {finding.mend}"))
    return 1 if any(finding.state is State.BROKEN for finding in findings) else 0


async def _look(settings: Settings, server: str) -> list[Finding]:
    return [*await diagnose(settings), await _server(server)]


async def _server(address: str) -> Finding:
    try:
        async with read_access(address).connect() as plumb, asyncio.timeout(5):
            kinds, sessions = await plumb.kinds(), await plumb.sessions()
    except (plumb_client.Unavailable, TimeoutError):
        return Finding("server", State.MISSING, f"none at {address}", "plumb serve")
    except plumb_client.PlumbError as error:
        return Finding("server", State.BROKEN, f"{address}: {error}")
    names = ", ".join(f"{kind.name}/{backend.name}" for kind in kinds for backend in kind.backends)
    return Finding("server", State.WELL, f"{address}: {names}; {len(sessions)} sessions")
