"""`plumb serve`: serves until it is told to stop."""

import argparse

from plumb_server.__main__ import main as serve


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "serve",
        help="serve environments over gRPC",
        epilog="Everything else is set by PLUMB_* variables; see docs/settings.md.",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="default: 127.0.0.1:50051")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves."""
    return serve(listen=arguments.listen)
