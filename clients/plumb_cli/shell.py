"""`plumb shell KIND`: an interactive session in this terminal."""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import plumb_client
from plumb_bench.labels import visible
from plumb_cli.local_server import server_at
from plumb_cli.statements import StatementReader
from plumb_cli.terminal_output import TerminalOutput, harmless
from plumb_cli.visible import say
from plumb_client.values import Ending, Observation

_RULE = "\u2500" * 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("kind", nargs="?", default="shell", metavar="KIND")
    parser.add_argument("--backend", default="real", help="default: real")
    parser.add_argument("--model", metavar="NAME", help="who plays, with --backend simulated or "
                        "paired: a model of the endpoint, or baseline:NAME")  # fmt: skip
    parser.add_argument("--strategy", default="", metavar="S", help="default: grounded")
    parser.add_argument("--reason", action="store_true", help="let the model think first")
    parser.add_argument("--critic", action="store_true", help="have each reply criticised")
    parser.add_argument("--observe", default="", choices=("real", "simulated"),
                        help="whose observations come first, with --backend paired")  # fmt: skip
    parser.add_argument("--replicas", type=int, default=0, metavar="N",
                        help="real runs that the verdict rests on, this one included, with "
                        "--backend paired: 3 tell what is volatile; default: 1")  # fmt: skip
    parser.add_argument("--task", default="", help="what the model is told that you are doing")
    parser.add_argument("--server", metavar="HOST:PORT", help="default: one of its own")
    parser.add_argument("--init", type=Path, action="append", default=[], metavar="FILE",
                        help="an init script; may be given again")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="of each action")
    parser.add_argument("--fit", action=argparse.BooleanOptionalAction, default=None,
                        help="run `stty cols N rows N` in a real shell whenever this terminal has "
                        "another size; default: where this is a terminal")  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reads actions until the end of input; Ctrl-C interrupts the running one."""
    _use_line_editing()
    with (
        server_at(arguments.server) as server,
        plumb_client.connect(server.address, token=server.token, tls=server.tls) as plumb,
        plumb.session(arguments.kind, arguments.backend, **_options(arguments)) as session,
    ):
        prompt = Prompt(arguments.kind)
        fits = Fitting(session) if _is_to_fit(arguments) else None
        for action in prompt.actions():
            try:
                if fits:
                    fits.fit()
                seen = _perform(session, action, arguments.timeout)
            except (
                plumb_client.InvalidInput,
                plumb_client.ModelFailed,
                plumb_client.NotRecorded,
            ) as error:
                say(f"plumb: {error}", sys.stderr)
                continue
            _show_verdict(seen)
            prompt.follow(seen)
    return 0


def _options(arguments: argparse.Namespace) -> plumb_client.SessionOptions:
    options: plumb_client.SessionOptions = {
        "init": [path.read_bytes() for path in arguments.init],
        "observe": arguments.observe,
        "task": arguments.task,
        "replicas": arguments.replicas,
    }
    if arguments.backend in ("simulated", "paired") or arguments.model:
        options["simulator"] = {
            "model": arguments.model or "",
            "strategy": arguments.strategy,
            "reason": arguments.reason,
            "critic": arguments.critic,
        }
    return options


def _is_to_fit(arguments: argparse.Namespace) -> bool:
    can = arguments.kind == "shell" and arguments.backend == "real"
    return can and (sys.stdout.isatty() if arguments.fit is None else arguments.fit)


class Fitting:
    """Keeps the size of a session's terminal at that of this one.

    Args:
        session: A real shell.
    """

    def __init__(self, session: plumb_client.Session) -> None:
        self._session = session
        self._told: os.terminal_size | None = None

    def fit(self) -> None:
        """Tells the size, if the session has another one."""
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return  # this is no terminal
        if size != self._told and min(size) > 0:
            self._session.step(f"stty cols {size.columns} rows {size.lines}")
            self._told = size


class Prompt:
    """Reads actions: a shell's line by line, statements up to their delimiter.

    Args:
        kind: Of the environment.
    """

    def __init__(self, kind: str) -> None:
        self._text = f"{visible(kind)}> "
        self._statements = StatementReader() if kind == "mysql" else None

    def follow(self, seen: Observation) -> None:
        """Shows from now on where the session is; its names may hold anything."""
        if seen.cwd:
            self._text = visible(f"{seen.user}@{seen.host}:{seen.cwd}# ")

    def actions(self) -> Iterator[str]:
        """Gives actions until the end of input."""
        while (line := self._read()) is not None:
            action = self._statements.take(line) if self._statements else line
            if action is not None:
                yield action
        rest = self._statements.rest() if self._statements else None
        if rest is not None:
            yield rest

    def _read(self) -> str | None:
        while True:
            try:
                return input(self._statements.prompt if self._statements else self._text)
            except EOFError:
                print()
                return None
            except KeyboardInterrupt:
                print()
                if self._statements:
                    self._statements.cancel()


def _show_verdict(seen: Observation) -> None:
    """Shows the other side of a pair, and where the two part."""
    if seen.verdict is None:
        return
    agrees = seen.verdict.verdict.startswith("AGREES")
    other = seen.counterpart
    if other is not None and not agrees:
        say(f"{_RULE} {other.provenance.backend} {_RULE}")
        print(harmless(other.text.rstrip("\n")))
    say(f"{_RULE} {seen.verdict.verdict} {_RULE}")
    for line in () if agrees else seen.verdict.evidence:
        print(f"  {visible(line)}")


def _use_line_editing() -> None:
    with contextlib.suppress(ImportError):  # not on Windows
        importlib.import_module("readline")  # input() uses it then


def _perform(session: plumb_client.Session, action: str, timeout: float) -> Observation:
    output = TerminalOutput()
    stream = session.stream(action, timeout=timeout)
    try:
        for piece in stream:
            _write(output.take(piece))
        _write(output.take(b"", is_last=True))
        seen = stream.observation
    except KeyboardInterrupt:
        stream.close()  # interrupts it, and waits for its end
        seen = stream.observation
        print()
    if seen.ending is not Ending.EXITED:
        print(f"[{seen.ending.name}{', the shell was restarted' if seen.restarted else ''}]")
    return seen


def _write(text: str) -> None:
    sys.stdout.buffer.write(text.encode(errors="replace"))
    sys.stdout.buffer.flush()
