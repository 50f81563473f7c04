"""`plumb shell KIND`: an interactive session in this terminal."""

import argparse
import contextlib
import importlib
import sys
from pathlib import Path

import plumb_client
from plumb_cli.local_server import server_at
from plumb_client.values import Ending, Observation


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser("shell", help="an interactive session in this terminal")
    parser.add_argument("kind", nargs="?", default="shell", metavar="KIND")
    parser.add_argument("--backend", default="real", help="default: real")
    parser.add_argument("--server", metavar="HOST:PORT", help="default: one of its own")
    parser.add_argument("--init", type=Path, action="append", default=[], metavar="FILE",
                        help="an init script; may be given again")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="of each action")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reads actions until the end of input; Ctrl-C interrupts the running one."""
    _use_line_editing()
    init = [path.read_bytes() for path in arguments.init]
    with (
        server_at(arguments.server) as address,
        plumb_client.connect(address) as plumb,
        plumb.session(arguments.kind, arguments.backend, init=init) as session,
    ):
        prompt = f"{arguments.kind}> "
        while (action := _read(prompt)) is not None:
            try:
                seen = _perform(session, action, arguments.timeout)
            except plumb_client.InvalidInput as error:
                sys.stderr.write(f"plumb: {error}\n")
                continue
            prompt = f"{seen.user}@{seen.host}:{seen.cwd}# " if seen.cwd else prompt
    return 0


def _use_line_editing() -> None:
    with contextlib.suppress(ImportError):  # not on Windows
        importlib.import_module("readline")  # input() uses it then


def _read(prompt: str) -> str | None:
    while True:
        try:
            return input(prompt)
        except EOFError:
            print()
            return None
        except KeyboardInterrupt:
            print()


def _perform(session: plumb_client.Session, action: str, timeout: float) -> Observation:
    try:
        stream = session.stream(action, timeout=timeout)
        for piece in stream:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        seen = stream.observation
    except KeyboardInterrupt:
        session.interrupt()
        seen = session.step(action, timeout=timeout)  # the same step: its answer, not another run
        print()
    if seen.ending is not Ending.EXITED:
        print(f"[{seen.ending.name}{', the shell was restarted' if seen.restarted else ''}]")
    return seen
