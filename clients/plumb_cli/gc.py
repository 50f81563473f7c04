"""`plumb gc`: removes what has outlived its owner."""

import argparse
import asyncio
import sys

from plumb_backends.errors import PlumbError
from plumb_backends.real.engine import open_engine
from plumb_backends.real.sql.account import sweep_accounts
from plumb_backends.real.sql.servers import Servers
from plumb_cli.settings import read_settings
from plumb_cli.visible import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("--all", action="store_true", help="those of living servers, too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Removes, and says how many."""
    try:
        removed = asyncio.run(_collect(everything=arguments.all))
    except PlumbError as error:
        say(f"plumb gc: {error}", sys.stderr)
        return 1
    print("removed " + " and ".join(removed))
    return 0


async def _collect(*, everything: bool) -> list[str]:
    settings = read_settings()
    async with open_engine(address=settings.engine) as engine:
        count = await engine.sweep(everything=everything)
        removed = [f"{count} {'sandbox' if count == 1 else 'sandboxes'}"]
        if settings.mysql_url:
            servers = Servers(engine, settings.real_mysql().servers)
            try:
                count = await sweep_accounts(await servers.shared())
            finally:
                await servers.close()
            removed.append(f"{count} MySQL {'account' if count == 1 else 'accounts'}")
        return removed
