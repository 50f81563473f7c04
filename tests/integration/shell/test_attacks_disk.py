"""What an agent may try to fill the machine's disk unseen; and what only looks like that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from plumb_backends.environment import Action, Ending
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.hardening import Limits
from plumb_backends.real.shell import RealShellSettings
from plumb_backends.registry import Backends, open_backends

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1024**2
LIMITS = Limits(memory_bytes=256 * MIB, processes=64, disk_bytes=16 * MIB, files=2000)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small() -> AsyncIterator[Backends]:
    """Backends whose sandboxes may have little on their disks."""
    async with open_backends([RealShellSettings(limits=LIMITS)]) as opened:
        yield opened


DEEP = "import os\nfor _ in range(20): os.mkdir('a' * 250); os.chdir('a' * 250)\n"

BYTES = {
    "in a deep folder": DEEP + "for n in range(8): open(str(n), 'wb').write(bytes(8 << 20))",
    "in files without a name": """
kept = []
for n in range(8):
    kept.append(open('f', 'wb')); kept[-1].write(bytes(8 << 20)); kept[-1].flush(); os.unlink('f')
""",
    "in files that never had a name": """
kept = []
for n in range(8):
    try: kept.append(open(os.open('/root', os.O_TMPFILE | os.O_RDWR), 'wb'))
    except OSError: kept.append(open('f', 'wb')); os.unlink('f')
    kept[-1].write(bytes(8 << 20)); kept[-1].flush()
""",
    "in files that wait in a socket": """
import socket, array
pairs = []
for n in range(8):
    pairs.append(socket.socketpair())
    with open('f', 'wb') as f:
        f.write(bytes(8 << 20)); f.flush()
        socket.send_fds(pairs[-1][0], [b'x'], [f.fileno()])
    os.unlink('f')
""",
    "in sockets that wait in sockets": """
import socket
outer, inner = socket.socketpair(), []
for n in range(8):
    inner += socket.socketpair()
    with open('f', 'wb') as f:
        f.write(bytes(8 << 20)); f.flush()
        socket.send_fds(inner[-1], [b'x'], [f.fileno()])
    os.unlink('f')
socket.send_fds(outer[0], [b'x'], [one.fileno() for one in inner])
for one in inner: one.close()
""",
    "in memory that is mapped": """
import mmap
kept = []
for n in range(8):
    with open('f', 'w+b') as f:
        f.write(bytes(8 << 20)); f.flush()
        kept.append(mmap.mmap(f.fileno(), 0))
    os.unlink('f')
os.closerange(3, 200)
""",
    "in a thread's own descriptors": """
import threading, ctypes
def fill():
    ctypes.CDLL(None).unshare(0x400)  # CLONE_FILES
    for n in range(8):
        h = os.open('f', os.O_CREAT | os.O_WRONLY); os.unlink('f')
        os.write(h, bytes(8 << 20))
    import time; time.sleep(600)
threading.Thread(target=fill).start()
""",
    "behind a thread that has ended": """
import threading, ctypes, time
def fill():
    time.sleep(0.2)
    for n in range(8):
        h = os.open('f', os.O_CREAT | os.O_WRONLY); os.unlink('f')
        os.write(h, bytes(8 << 20))
    time.sleep(600)
threading.Thread(target=fill).start()
ctypes.CDLL(None).syscall(60, 0)  # exit, of this thread alone
""",
    "in what the engine mounts": """
for path in ('/etc/hosts', '/etc/hostname', '/etc/resolv.conf'):
    with open(path, 'ab') as f:
        f.write(bytes(16 << 20))
""",
    "in the names of files": """
for n in range(80_000):
    if n % 40_000 == 0: open(f'/root/f{n}', 'w').close()
    os.link(f'/root/f{n // 40_000 * 40_000}', f'/root/{n:0250}')
""",
}


@pytest.mark.parametrize("where", BYTES)
async def test_bytes_are_counted(small: Backends, make_shell: MakeShell, where: str) -> None:
    shell = await make_shell(backends=small)
    code = "import os\nos.chdir('/root')\n" + BYTES[where] + "\nimport time; time.sleep(600)"
    await shell.step(Action(f"cat >/tmp/fill.py <<'END'\n{code}\nEND".encode()))
    with pytest.raises(SandboxUnavailable, match=r"more than the .*PLUMB_SHELL_DISK_BYTES"):
        await shell.step(Action(b"python3 /tmp/fill.py", timeout=240))


FILES = {
    "in a deep folder": DEEP + "for n in range(9000): os.close(os.open(str(n), os.O_CREAT))",
    "in many folders": "for n in range(3000): os.mkdir(f'/srv/{n}')",
    "links and pipes": "for n in range(1500): os.symlink('x', f'l{n}'); os.mkfifo(f'p{n}')",
}


@pytest.mark.parametrize("where", FILES)
async def test_files_are_counted(small: Backends, make_shell: MakeShell, where: str) -> None:
    shell = await make_shell(backends=small)
    code = "import os\nos.chdir('/root')\n" + FILES[where] + "\nimport time; time.sleep(600)"
    await shell.step(Action(f"cat >/tmp/fill.py <<'END'\n{code}\nEND".encode()))
    with pytest.raises(SandboxUnavailable, match=r"more than the 2000 files .*PLUMB_SHELL_FILES"):
        await shell.step(Action(b"python3 /tmp/fill.py", timeout=240))


async def test_what_cannot_be_measured_is_over_the_limit(
    small: Backends, make_shell: MakeShell
) -> None:
    """Behind the first message in a socket nobody sees what others carry."""
    shell = await make_shell(backends=small)
    code = (
        "import socket, time; a, b = socket.socketpair(); "
        "[socket.send_fds(a, [b'x'], [0]) for _ in range(2)]\nwhile True: pass"
    )
    with pytest.raises(SandboxUnavailable, match="cannot be measured"):
        await shell.step(Action(f'python3 -c "{code}"'.encode(), timeout=240))


NO_DISK = {
    "a sparse file that is larger than the disk": "truncate -s 3G f; ls -s f; rm f",
    "one file with many names": "head -c 10M /dev/zero >f; for i in {1..50}; do ln f f$i; done",
    "what was written and removed": "for i in {1..9}; do head -c 10M /dev/zero >f; rm f; done",
    "shared memory": "head -c 40M /dev/zero >/dev/shm/f",
    "folders that move while they are looked at": (
        "mkdir -p a/b c; for i in {1..300}; do mv a/b c/; mv c/b a/; done"
    ),
}


@pytest.mark.parametrize("what", NO_DISK)
async def test_what_takes_no_room_ends_nothing(
    small: Backends, make_shell: MakeShell, what: str
) -> None:
    shell = await make_shell(backends=small)
    # Three seconds of work, in which it is looked at.
    busy = "end=$((SECONDS + 3)); while ((SECONDS < end)); do :; done"
    seen = await shell.step(Action(f"{NO_DISK[what]}; {busy}; echo here".encode(), timeout=60))
    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 0)
    assert seen.text.endswith("here\n")


async def test_no_file_is_allocated_larger_than_the_disk(
    small: Backends, make_shell: MakeShell
) -> None:
    shell = await make_shell(backends=small)
    seen = await shell.step(Action(b"fallocate -l 3G f; fallocate -l 8M g && ls -s g"))
    assert "No space left on device" in seen.text
    assert seen.text.endswith("8192 g\n")
