"""A server of one's own, for a command that was given none."""

import importlib.util
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plumb_cli.access import Access, read_access
from plumb_server.private_folder import private_folder

_OF_OTHERS = ("PLUMB_TOKEN_FILE", "PLUMB_TLS_CERT", "PLUMB_TLS_KEY", "PLUMB_TLS_CLIENT_CA")
"""Variables of a server that others shall reach, as this one's command alone does."""


class ServerDidNotStart(Exception):
    """The server ended before it listened, or is not installed; the message says why."""


@contextmanager
def server_at(address: str | None) -> Iterator[Access]:
    """Gives access to a server, or starts one for as long as this lasts.

    One that is started has a token of its own, so that nobody else on the machine uses it.

    Args:
        address: HOST:PORT of a server that runs; None to start one.

    Raises:
        ServerDidNotStart: See there.
        InvalidInput: See `read_access`.
    """
    if address is not None:
        yield read_access(address)
        return
    _check_installed()
    token = secrets.token_hex(32)
    with private_folder() as (folder, lock):
        environment = {
            "PLUMB_JOURNAL": f"sqlite:///{folder}/journal.sqlite",
            "PLUMB_LOG_LEVEL": "ERROR",
            **{name: value for name, value in os.environ.items() if name not in _OF_OTHERS},
            "PLUMB_LISTEN": "127.0.0.1:0",
            "PLUMB_TOKEN": token,
        }
        log_path = folder / "log"
        with log_path.open("wb") as log, _started(environment, log.fileno(), lock) as server:
            yield Access(_wait_until_it_listens(server, log_path), token)


def _check_installed() -> None:
    """Checks that the server's libraries are there, which are an extra."""
    for library in ("aiodocker", "pydantic_settings", "sqlalchemy"):
        if importlib.util.find_spec(library) is None:
            raise ServerDidNotStart(
                f"no server can be started here: {library} is missing; pip install "
                "'./plumb[server]', or name a server that runs with --server HOST:PORT"
            )


@contextmanager
def _started(
    environment: dict[str, str], log: int, folder_lock: int
) -> Iterator["subprocess.Popen[str]"]:
    # In a group of its own: Ctrl-C at the terminal is for the command, which ends the server.
    server = subprocess.Popen(
        [sys.executable, "-m", "plumb_server", "--until-eof"],
        env=environment,
        stdin=subprocess.PIPE,  # it ends with us, also where we are killed
        stdout=subprocess.PIPE,
        stderr=log,
        pass_fds=[folder_lock],  # where we are killed it still needs the folder, for a moment
        text=True,
        start_new_session=True,
    )
    try:
        with server:
            try:
                yield server
            finally:
                server.terminate()
    finally:
        server.wait()


def _wait_until_it_listens(server: "subprocess.Popen[str]", log: Path) -> str:
    assert server.stdout is not None  # noqa: S101 - it is a pipe
    line = server.stdout.readline()
    if not line:
        raise ServerDidNotStart(log.read_text(errors="replace").strip() or "it said nothing")
    return line.split()[-1]
