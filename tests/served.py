"""Servers as subprocesses, as people run them: how they start, end, and what is left of them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import docker

from plumb_backends.real.hardening import LABEL, OWNER_LABEL

IMAGE = "plumb-shell:latest"
_ENDS_WITHIN = 60.0
_COMPLAINTS = ("Traceback", '"exception"', "Task was destroyed", "never retrieved", "never awaited",
               "ResourceWarning", "call failed", "Fatal Python error")  # fmt: skip
"""What no server may ever write into its log."""


def environment(**variables: str) -> dict[str, str]:
    """This process's variables, without what is set for a server, and with some."""
    mine = {name: v for name, v in os.environ.items() if not name.startswith(("PLUMB_", "OPENAI_"))}
    return mine | variables


class Command:
    """One command that serves.

    Args:
        folder: Its working directory, and where its log is; made if it is missing.
        arguments: What Python is told.
        lines: How many lines it prints when it is ready.
        variables: Of its environment.

    Attributes:
        lines: What it printed.
    """

    def __init__(
        self, folder: Path, arguments: Sequence[str], lines: int, variables: Mapping[str, str]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.journal = folder / "journal.sqlite"
        self._log = (folder / "log").open("ab")
        usual = {
            "PLUMB_LISTEN": "127.0.0.1:0",
            "PLUMB_JOURNAL": f"sqlite:///{self.journal}",
            "PLUMB_SHELL_IMAGE": IMAGE,
            "PLUMB_SHELL_MEMORY_BYTES": str(256 * 1024**2),
            "PLUMB_LOG_FORMAT": "json",
            "PYTHONWARNINGS": "always::ResourceWarning",
        }
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment(**usual | dict(variables)),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
        assert self.process.stdout is not None
        self.lines = [self.process.stdout.readline().strip() for _ in range(lines)]
        assert all(self.lines), self.log()

    def log(self) -> str:
        """All that it logged."""
        return (self.folder / "log").read_text(errors="replace")

    def complaints(self) -> list[str]:
        """The lines of its log that tell of a fault of plumb's own."""
        return [line for line in self.log().splitlines() if any(c in line for c in _COMPLAINTS)]

    def containers(self) -> set[str]:
        """The ids of its containers, those left out that are just being removed."""
        return containers_of(f"{socket.gethostname()}/{self.process.pid}/")

    def wait(self) -> int:
        """Waits for its end."""
        return self.process.wait(_ENDS_WITHIN)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.wait()
        self._close()

    def stop(self) -> int:
        """Ends it as a person would, and waits; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise
        finally:
            self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()


class Server(Command):
    """One `python -m plumb_server`."""

    def __init__(self, folder: Path, **variables: str) -> None:
        super().__init__(folder, ["-m", "plumb_server"], 1, variables)
        self.address = self.lines[0].removeprefix("plumb listens on ")


class Site(Command):
    """One `plumb serve --http`, and where it is: `address` for gRPC, `url` for HTTP."""

    def __init__(self, folder: Path, *more: str, **variables: str) -> None:
        serve = ["-m", "plumb_cli", "serve", "--http", "127.0.0.1:0", *more]
        super().__init__(folder, serve, 2, variables)
        self.address = self.lines[0].removeprefix("plumb listens on ")
        self.url = self.lines[1].removeprefix("plumb shows pages on ")


def containers_of(owner_prefix: str) -> set[str]:
    """The ids of plumb's containers whose owner's name begins so."""
    with contextlib.closing(docker.from_env()) as engine:
        found = engine.api.containers(all=True, filters={"label": [LABEL]})
    return {
        container["Id"]
        for container in found
        if str(container["Labels"].get(OWNER_LABEL, "")).startswith(owner_prefix)
        and container["State"] != "removing"
    }


def eventually(holds: Callable[[], object], within: float = 120.0) -> None:
    """Waits for what no event tells: the state of another process, or of the engine."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
