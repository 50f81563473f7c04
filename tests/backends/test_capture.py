"""What a capture tells of a sandbox's people and processes, and what hostile files come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from plumb_backends.real import capture
from plumb_backends.real.guest import Frames

PASSWD = b"root:x:0:0:root:/root:/bin/bash\nann:x:1500:1500::/home/ann:/bin/sh\n"


def sized(*texts: bytes) -> list[bytes]:
    """Each as plumb's program says it: after its size, and not at all where it is empty."""
    return [part for text in texts for part in (str(len(text)).encode(), text) if part]


async def people(
    monkeypatch: pytest.MonkeyPatch,
    *processes: tuple[str, bytes],
    passwd: bytes = PASSWD,
    group: bytes = b"",
    environ: bytes = b"TZ=Etc/UTC\0",
) -> capture.People:
    frames = sized(passwd, group, environ)
    for head, command in processes:
        frames += [head.encode(), *sized(command)]

    async def answer(*_: object, **__: object) -> Frames:
        return Frames(frames)

    monkeypatch.setattr(capture, "ask", answer)
    sandbox: Any = object()
    return await capture.capture_people(sandbox)


def keys(found: capture.People, kind: str) -> Sequence[str]:
    return [entry.key for entry in found.entries if entry.key.startswith(f"{kind} ")]


async def test_processes_are_told_by_their_commands_and_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = await people(
        monkeypatch,
        ("12 7 0", b"sleep\x001000\0"),
        ("13 1 1500", b"sleep\x001000\0"),
        ("14 1 77", b""),  # a thread of the kernel
        ("15 1 4000", b"two\nlines\0\xff"),
    )
    assert keys(found, "process") == [
        "process sleep 1000",
        "process sleep 1000",
        "process two lines \\xff",
    ]
    assert [entry.fields["user"] for entry in found.entries if "process" in entry.key] == [
        "root", "ann", "4000"
    ]  # fmt: skip
    assert found.pids == {"12", "13", "15"}


@pytest.mark.parametrize(
    "passwd",
    [
        pytest.param(b"evil:x:" + b"9" * 5000 + b":0:::/bin/sh\n", id="a uid of 5,000 digits"),
        pytest.param(b"evil:x:4294967296:0::/:/bin/sh\n", id="a uid that is none"),
        pytest.param("evil:x:\N{SUPERSCRIPT TWO}:0::/:/bin/sh\n".encode(), id="another digit"),
        pytest.param(b"evil:x:-1500:0::/:/bin/sh\n", id="a negative uid"),
        pytest.param(b"evil" * 100_000, id="one long line"),
        pytest.param(b":x:1500:1500::/:/bin/sh\n", id="no name"),
        pytest.param(b"\xff\x00:x:::::\n\n::::::\n", id="no text"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_an_account_that_is_none_is_left_out(
    monkeypatch: pytest.MonkeyPatch, passwd: bytes
) -> None:
    found = await people(monkeypatch, passwd=passwd + b"\n" + PASSWD, group=passwd)
    assert keys(found, "user") == ["user ann", "user root"]
    assert not keys(found, "group")


async def test_variables_are_told_as_the_shell_began_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = await people(monkeypatch, environ=b"A=1\0B=x\ny\0no variable\0C=\xff=\0")
    values = {
        entry.key: entry.fields["value"] for entry in found.entries if entry.fields.get("value")
    }
    assert values == {"variable A": "1", "variable B": "x y", "variable C": "\\xff="}
