"""`plumb gc`: removes what has outlived its owner."""

import argparse
import asyncio
import sys

from plumb_backends.errors import PlumbError
from plumb_backends.real.engine import open_engine
from plumb_cli.settings import read_settings


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser("gc", help="remove sandboxes that have outlived their owner")
    parser.add_argument("--all", action="store_true", help="those of living servers, too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Removes, and says how many."""
    try:
        count = asyncio.run(_collect(everything=arguments.all))
    except PlumbError as error:
        sys.stderr.write(f"plumb gc: {error}\n")
        return 1
    print(f"removed {count} {'sandbox' if count == 1 else 'sandboxes'}")
    return 0


async def _collect(*, everything: bool) -> int:
    async with open_engine(address=read_settings().engine) as engine:
        return await engine.sweep(everything=everything)
