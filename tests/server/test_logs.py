"""Logs: one line an event, and never a reason for a call to fail."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

LOGS = textwrap.dedent(
    """
    import resource, structlog
    from plumb_server.logs import configure_logs

    configure_logs("json")
    log = structlog.get_logger()
    log.info("before", number=1)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))  # as a disk that is full
    for _ in range(1000):
        log.info("lost" * 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    log.info("after", number=2)
    """
)


def test_a_log_that_cannot_be_written_is_lost_and_goes_on_when_it_can(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run([sys.executable, "-c", LOGS], stderr=log, timeout=60, check=False)
    assert done.returncode == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert json.loads(lines[0])["event"] == "before"
    assert json.loads(lines[-1])["event"] == "after"
    assert len(lines) < 1000


FAULT = textwrap.dedent(
    """
    import sys, structlog
    from plumb_server.logs import configure_logs

    configure_logs(sys.argv[1])

    def connect():
        password = "open" + "sesame"
        raise RuntimeError("it failed")

    try:
        connect()
    except RuntimeError:
        structlog.get_logger().exception("a fault")
    """
)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_names_the_fault_and_holds_no_variable(log_format: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", FAULT, log_format], capture_output=True, timeout=60, check=True
    ).stderr.decode()
    assert "it failed" in said
    assert "connect" in said
    assert "opensesame" not in said


HOSTILE = textwrap.dedent(
    """
    import sys, structlog
    from plumb_server.logs import configure_logs

    configure_logs(sys.argv[1])
    text = "a\\x1b[2Jb\\nevent=forged\\r\\u202e\\x9b31m\\u2028\\0"
    try:
        raise RuntimeError(text)
    except RuntimeError:
        structlog.get_logger().exception(text, path=text)
    """
)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_what_others_have_chosen_neither_moves_a_terminal_nor_makes_a_line(
    log_format: str,
) -> None:
    said = subprocess.run(
        [sys.executable, "-c", HOSTILE, log_format], capture_output=True, timeout=60, check=True
    ).stderr.decode()
    assert all(line.isprintable() for line in said.split("\n"))
    assert not any(line.startswith("event=forged") for line in said.split("\n"))
    assert "\\x1b[2J" in said or "\\u001b[2J" in said
