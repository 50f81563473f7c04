"""`plumb shell KIND`: an interactive session in this terminal."""

import argparse
import contextlib
import importlib
import sys
from pathlib import Path

import plumb_client
from plumb_cli.local_server import server_at
from plumb_client.values import Ending, Observation

_RULE = "\u2500" * 3


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser("shell", help="an interactive session in this terminal")
    parser.add_argument("kind", nargs="?", default="shell", metavar="KIND")
    parser.add_argument("--backend", default="real", help="default: real")
    parser.add_argument("--model", metavar="NAME", help="who plays, with --backend simulated or "
                        "paired: a model of the endpoint, or baseline:NAME")  # fmt: skip
    parser.add_argument("--strategy", default="", metavar="S", help="default: grounded")
    parser.add_argument("--reason", action="store_true", help="let the model think first")
    parser.add_argument("--critic", action="store_true", help="have each reply criticised")
    parser.add_argument("--observe", default="", choices=("real", "simulated"),
                        help="whose observations come first, with --backend paired")  # fmt: skip
    parser.add_argument("--task", default="", help="what the model is told that you are doing")
    parser.add_argument("--server", metavar="HOST:PORT", help="default: one of its own")
    parser.add_argument("--init", type=Path, action="append", default=[], metavar="FILE",
                        help="an init script; may be given again")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="of each action")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reads actions until the end of input; Ctrl-C interrupts the running one."""
    _use_line_editing()
    with (
        server_at(arguments.server) as server,
        plumb_client.connect(server.address, token=server.token, tls=server.tls) as plumb,
        plumb.session(arguments.kind, arguments.backend, **_options(arguments)) as session,
    ):
        prompt = f"{arguments.kind}> "
        while (action := _read(prompt)) is not None:
            try:
                seen = _perform(session, action, arguments.timeout)
            except (
                plumb_client.InvalidInput,
                plumb_client.ModelFailed,
                plumb_client.NotRecorded,
            ) as error:
                sys.stderr.write(f"plumb: {error}\n")
                continue
            _show_verdict(seen)
            prompt = f"{seen.user}@{seen.host}:{seen.cwd}# " if seen.cwd else prompt
    return 0


def _options(arguments: argparse.Namespace) -> plumb_client.SessionOptions:
    options: plumb_client.SessionOptions = {
        "init": [path.read_bytes() for path in arguments.init],
        "observe": arguments.observe,
        "task": arguments.task,
    }
    if arguments.backend in ("simulated", "paired") or arguments.model:
        options["simulator"] = {
            "model": arguments.model or "",
            "strategy": arguments.strategy,
            "reason": arguments.reason,
            "critic": arguments.critic,
        }
    return options


def _show_verdict(seen: Observation) -> None:
    """Shows the other side of a pair, and where the two part."""
    if seen.verdict is None:
        return
    agrees = seen.verdict.verdict.startswith("AGREES")
    other = seen.counterpart
    if other is not None and not agrees:
        print(f"{_RULE} {other.provenance.backend} {_RULE}")
        print(other.text.rstrip("\n"))
    print(f"{_RULE} {seen.verdict.verdict} {_RULE}")
    for line in () if agrees else seen.verdict.evidence:
        print(f"  {line}")


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
    stream = session.stream(action, timeout=timeout)
    try:
        for piece in stream:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        seen = stream.observation
    except KeyboardInterrupt:
        stream.close()  # interrupts it, and waits for its end
        seen = stream.observation
        print()
    if seen.ending is not Ending.EXITED:
        print(f"[{seen.ending.name}{', the shell was restarted' if seen.restarted else ''}]")
    return seen
