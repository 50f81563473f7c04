"""The `plumb` command; `python -m plumb_cli` is the same."""

import argparse
import gc
import importlib
import io
import sys
from importlib.metadata import version

from plumb_cli.local_server import ServerDidNotStart
from plumb_cli.visible import say
from plumb_client.errors import PlumbError

_COMMANDS = ("serve", "gateway", "shell", "play", "bench", "ground", "doctor", "gc")
_EXTRAS = {
    "serve": "server",
    "gateway": "gateway,server",
    "doctor": "server",
    "gc": "server",
    "play": "bench",
    "bench": "bench",
    "ground": "bench",
    "shell": "server",
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
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in _COMMANDS:
        _add(name, commands)
    return parser


def _add(name: str, commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds a command; one whose extra is not installed says so when it is used."""
    try:
        importlib.import_module(f"plumb_cli.{name}").add_parser(commands)
    except ModuleNotFoundError as error:
        missing = error.name
        if missing is None or missing.startswith("plumb"):
            raise
        extra = _EXTRAS[name]
        parser = commands.add_parser(name, help=f"needs: pip install './plumb[{extra}]'")
        parser.add_argument("rest", nargs=argparse.REMAINDER)
        parser.set_defaults(run=lambda _: _say_what_is_missing(name, missing, extra))


def _say_what_is_missing(name: str, missing: str, extra: str) -> int:
    sys.stderr.write(f"plumb {name}: {missing} is missing; pip install './plumb[{extra}]'\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
