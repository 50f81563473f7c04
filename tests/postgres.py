"""A PostgreSQL of the tests' own, on a socket in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_USER = "plumb"


def binary(name: str) -> str | None:
    """Where one of its programs is; Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


@contextmanager
def postgres() -> Iterator[str]:
    """Starts one, and stops it; yields where its socket is."""
    with tempfile.TemporaryDirectory(prefix="plumb-postgres-") as folder:
        data = Path(folder, "data")
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(folder, "postgres")
        _run("initdb", "-D", data, "-U", _USER, "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        _run("pg_ctl", "-D", data, "-o", options, "-l", Path(folder, "log"), "-w", "start")
        try:
            yield folder
        finally:
            _run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def _run(name: str, *arguments: str | Path) -> None:
    path = binary(name)
    assert path is not None
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run(
        [*as_user, path, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, cwd="/"
    )


def new_database(socket: str) -> str:
    """Creates an empty database, and returns its URL."""
    name = f"journal_{uuid.uuid4().hex}"
    with psycopg.connect(host=socket, user=_USER, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy".encode())
    return f"postgresql+psycopg://{_USER}@/{name}?host={socket}"
