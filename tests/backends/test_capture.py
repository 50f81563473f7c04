"""What a capture tells of a sandbox's people and processes, and what it leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from plumb_backends.environment import ProgramResult
from plumb_backends.real import capture

SAID = """\
40
root:x:0:0:root:/root:/bin/bash
.

.
TZ=Etc/UTC
.
1 0 root tail -f /dev/null
7 0 root bash --rcfile /dev/fd/63 -i
12 7 root sleep 1000
13 1 daemon sleep 1000
30 0 root bash -p -c helper-before
38 0 root bash -p -c wrapper
40 38 root bash -c people
41 40 root ps -eo
45 0 root python3 -m http.server
50 0 root bash -p -c another
51 50 root cat go
"""


async def test_plumb_s_own_processes_are_left_out_and_what_they_run_for_others_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def answer(*_: object, **__: object) -> ProgramResult:
        return ProgramResult(
            stdout=SAID.encode(), stderr=b"", exit_code=0, truncated=False, timed_out=False,
            run_duration=0,
        )  # fmt: skip

    monkeypatch.setattr(capture, "run_helper", answer)
    sandbox: Any = object()
    found = await capture.capture_people(sandbox, 7)
    told = [entry.key for entry in found.entries if entry.key.startswith("process ")]
    assert told == [
        "process cat go",
        "process python3 -m http.server",  # that the session's shell became
        "process sleep 1000",
        "process sleep 1000",
    ]
    assert found.pids == {"12", "13", "45", "51"}
