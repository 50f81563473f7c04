"""`plumb serve`: serves until it is told to stop, over gRPC and, where it is wanted, over HTTP."""

import argparse
import sys

from plumb_cli import http_beside
from plumb_server.__main__ import main as serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.epilog = "Everything else is set by PLUMB_* variables; see docs/settings.md."
    parser.add_argument("--listen", metavar="HOST:PORT", help="default: 127.0.0.1:50051")
    parser.add_argument(
        "--http",
        metavar="HOST:PORT",
        nargs="?",
        const="127.0.0.1:8080",
        help="serve the HTTP API and the pages, too; without a value on 127.0.0.1:8080",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves."""
    try:
        beside = http_beside.beside(arguments.http)
    except ModuleNotFoundError as error:
        mend = "pip install './plumb[gateway]'"
        sys.stderr.write(f"plumb serve --http: {error.name} is missing; {mend}\n")
        return 2
    return serve(beside, listen=arguments.listen)
