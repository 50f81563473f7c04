"""Programs in a sandbox of their own: they work, they hold nothing, and they harm nobody."""

from __future__ import annotations

import pytest
from tests.conftest import MakeShell, containers_labelled

from plumb_backends.environment import Program, ProgramResult
from plumb_backends.errors import ImageMissing
from plumb_backends.real.hardening import SESSION_LABEL
from plumb_backends.real.shell import RealShellSettings
from plumb_backends.registry import Backends, open_backends

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def python(backends: Backends, code: str, *, timeout: float = 5.0) -> ProgramResult:
    program = Program(["python3", "-I", "-"], stdin=code.encode(), timeout=timeout)
    return await backends.run_apart(program)


@pytest.mark.parametrize(
    ("code", "prints"),
    [
        (
            "import hashlib; print(hashlib.sha256(b'hello\\n').hexdigest())",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ),
        ("import datetime as d; print(d.date(2024, 2, 28) + d.timedelta(2))", "2024-03-01"),
        ("print(*sorted(['b', 'B', 'a', '10', '9']))", "10 9 B a b"),
        ("print(sum(range(10**6)), 2**200)", f"499999500000 {2**200}"),
    ],
)
async def test_it_works_out_what_a_model_would_guess(
    backends: Backends, code: str, prints: str
) -> None:
    found = await python(backends, code)
    assert (found.stdout.decode().strip(), found.stderr, found.exit_code) == (prints, b"", 0)


async def test_nothing_of_a_session_is_there_and_nothing_is_kept(
    backends: Backends, make_shell: MakeShell
) -> None:
    await make_shell(init=["echo secret > /srv/n"])
    looks = """
import os, pathlib, socket
print(os.getuid(), pathlib.Path("/srv/n").exists(), pathlib.Path("/tmp/left").exists())
pathlib.Path("/tmp/left").touch()
for name in ("/root/x", "/etc/x", "/dev/.plumb/x"):
    try: open(name, "w")
    except OSError as error: print(type(error).__name__)
try: socket.create_connection(("1.1.1.1", 53), 1)
except OSError as error: print("no network")
print(sorted(name for name in os.environ if "KEY" in name or "PLUMB" in name))
"""
    first, second = [(await python(backends, looks)).stdout.decode() for _ in range(2)]
    assert first == second
    uid, *rest = first.splitlines()
    assert uid.split()[1:] == ["False", "False"]
    assert uid.split()[0] != "0"
    assert rest[-2:] == ["no network", "[]"]
    assert all(line in ("OSError", "PermissionError") for line in rest[:-2])


@pytest.mark.parametrize(
    "code",
    [
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "x = bytearray(10**9)",
        "open('/tmp/big', 'wb').write(b'x' * 10**8)",
        "import os\nfor n in range(10**5): open(f'/tmp/{n}', 'w').write('x')",
        "import os, signal\nos.kill(-1, signal.SIGKILL)",
        "import os, signal\nos.kill(1, signal.SIGKILL)\nos.kill(os.getppid(), signal.SIGKILL)",
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass",
        "while True: print('x' * 4096)",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        "print(open('/proc/1/environ').read())",
    ],
    ids=["forks", "memory", "disk", "files", "kills-all", "kills-first", "deaf", "prints",
         "recursion", "reads"],
)  # fmt: skip
async def test_hostile_code_is_a_result_and_harms_nobody(
    backends: Backends, make_shell: MakeShell, code: str
) -> None:
    found = await python(backends, code, timeout=2.0)
    assert found.exit_code or found.timed_out or not found.stdout
    assert (await python(backends, "print('well')")).stdout == b"well\n"
    assert not containers_labelled(SESSION_LABEL, "apart")


async def test_an_image_that_is_not_there_is_an_error() -> None:
    async with open_backends([RealShellSettings(image="plumb-nowhere:none")]) as without:
        with pytest.raises(ImageMissing):
            await python(without, "print(1)")
