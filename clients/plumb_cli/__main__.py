"""The `plumb` command; `python -m plumb_cli` is the same."""

import argparse
import gc
import importlib
import io
import sys
from importlib.metadata import version
from typing import Any, NamedTuple

from plumb_cli.local_server import ServerDidNotStart
from plumb_cli.visible import say
from plumb_client.errors import PlumbError


class _Command(NamedTuple):
    summary: str
    extra: str  # what it needs beside the client


_COMMANDS = {
    "serve": _Command("serve environments over gRPC, and pages over HTTP", "server"),
    "gateway": _Command("serve pages and JSON over HTTP for a server elsewhere", "gateway,server"),
    "shell": _Command("an interactive session in this terminal", "server"),
    "play": _Command("play scenarios and print a table", "bench"),
    "bench": _Command("measure how faithful simulators are", "bench"),
    "ground": _Command("let a model write init scripts, and run them", "bench"),
    "doctor": _Command("what works here, and how to mend what does not", "server"),
    "gc": _Command("remove sandboxes that have outlived their owner", "server"),
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command. Returns the exit status."""
    arguments = _parser().parse_args(argv)
    if argv is None:  # a process of its own: what is imported stays, and is not walked over again
        gc.freeze()
        _tolerate_any_text()
    try:
        return int(arguments.run(arguments))
    except (PlumbError, ServerDidNotStart) as error:
        say(f"plumb: {error}", sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _tolerate_any_text() -> None:
    """Lets output hold what the terminal's encoding lacks: names come from anywhere."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="plumb", description="One environment interface over gRPC: real, simulated, or both."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('plumb')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_CommandParser)
    for name, command in _COMMANDS.items():
        commands.add_parser(name, help=command.summary).command = name
    return parser


class _CommandParser(argparse.ArgumentParser):
    """Learns what its command takes when that is used: the others' libraries cost seconds."""

    command = ""

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        if self.command:
            _fill(self, self.command)
        return super().parse_known_args(*args, **options)


def _fill(parser: argparse.ArgumentParser, name: str) -> None:
    """Adds what a command takes; one whose extra is not installed says so instead."""
    try:
        importlib.import_module(f"plumb_cli.{name}").add_arguments(parser)
    except ModuleNotFoundError as error:
        missing = error.name
        if missing is None or missing.startswith("plumb"):
            raise
        parser.add_argument("rest", nargs=argparse.REMAINDER)
        parser.set_defaults(run=lambda _: _say_what_is_missing(name, missing))


def _say_what_is_missing(name: str, missing: str) -> int:
    extra = _COMMANDS[name].extra
    sys.stderr.write(f"plumb {name}: {missing} is missing; pip install './plumb[{extra}]'\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
