"""What an agent may try, and what comes of it: nothing outside of its own sandbox.

Each attack is a line of bash that says BREACH where it succeeds, and never would do harm by that.
All are played with `runc`, and with `runsc` where it is installed (see `runsc_engine`), whose
sandboxes have a kernel of their own: what only changes that kernel is no breach there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
import pytest_asyncio
from tests.conftest import IMAGE
from tests.runsc_engine import RUNSC, engine_with_runsc

from plumb_backends.environment import Action, Ending, Observation, Program
from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.grounding import Grounding
from plumb_backends.real.engine import GUEST_IMAGE
from plumb_backends.real.hardening import SHELL_CAPABILITIES, Limits
from plumb_backends.real.shell import RealShellSettings
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.registry import Backends, Spec, open_backends

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1024**2
LIMITS = Limits(memory_bytes=128 * MIB, processes=256, disk_bytes=16 * MIB, files=4_000)
"""Little; but runsc's own threads count, too, and with 64 processes it does not start."""

RUNTIMES = ["runc", RUNSC]
PATIENCE = 30.0
"""Seconds that an answer may take, on a machine that has much else to do."""


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> Iterator[RealShellSettings]:
    """The settings of shells with each runtime."""
    if request.param != RUNSC:
        yield RealShellSettings(image=IMAGE, limits=LIMITS)
        return
    with engine_with_runsc(IMAGE, GUEST_IMAGE) as address:
        yield RealShellSettings(engine=address, image=IMAGE, limits=LIMITS, runtime=RUNSC)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def prison(runtime: RealShellSettings) -> AsyncIterator[Backends]:
    """Backends whose sandboxes may use little."""
    async with open_backends([runtime]) as opened:
        yield opened


async def _enter(prison: Backends, stack: AsyncExitStack) -> RealShell:
    spec = Spec(
        kind="shell", backend="real", session_id=str(uuid.uuid4()), grounding=Grounding()
    )  # fmt: skip
    shell = (await prison.create(spec)).environment
    assert isinstance(shell, RealShell)
    stack.push_async_callback(shell.close)
    return shell


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def inmate(prison: Backends) -> AsyncIterator[RealShell]:
    """One for all attacks that leave nothing."""
    async with AsyncExitStack() as stack:
        yield await _enter(prison, stack)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def neighbour(prison: Backends) -> AsyncIterator[RealShell]:
    """Somebody else on the same engine."""
    async with AsyncExitStack() as stack:
        yield await _enter(prison, stack)


@pytest_asyncio.fixture(loop_scope="session")
async def bomber(prison: Backends) -> AsyncIterator[RealShell]:
    """One that does not survive its test."""
    async with AsyncExitStack() as stack:
        yield await _enter(prison, stack)


async def _try(shell: RealShell, attack: str, *, may_reset: bool = True) -> str:
    """What an attack printed; it was really tried, and failed.

    Tried again where the step did not end: runsc of Debian 12 loses the end of one now and then.
    """
    seen = await _step(shell, attack)
    if seen is None or seen.ending is not Ending.EXITED:
        if may_reset:
            await shell.reset()
        seen = await _step(shell, attack)
    assert seen is not None
    assert seen.text.endswith("tried\n"), seen.text
    assert "command not found" not in seen.text
    return seen.text


async def _step(shell: RealShell, attack: str) -> Observation | None:
    try:
        seen = await shell.step(Action(f"{attack}\necho tried".encode(), timeout=PATIENCE))
    except SandboxUnavailable:
        return None
    assert "BREACH" not in seen.text
    return seen


def _has_own_kernel(runtime: RealShellSettings) -> bool:
    return runtime.runtime == RUNSC


# The host.


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the host, readable for all."""
    path = tmp_path / f"host-{uuid.uuid4().hex}"
    path.write_text("BREACH\n")
    path.chmod(0o644)
    for folder in path.parents[:-1]:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    return path


@pytest.mark.parametrize("below", ["", "/proc/1/root", "/proc/self/root", "/proc/1/cwd/.."])
async def test_no_file_of_the_host_is_there(inmate: RealShell, secret: Path, below: str) -> None:
    said = await _try(inmate, f"cat {below}{secret}")
    assert "No such file" in said or "Permission denied" in said


async def test_no_file_of_the_host_is_found_anywhere(inmate: RealShell, secret: Path) -> None:
    await _try(inmate, f"find / -name '{secret.name}' 2>/dev/null | grep -q . && echo BREACH")


async def test_leaving_a_chroot_leads_no_further_than_the_sandbox(
    inmate: RealShell, secret: Path
) -> None:
    """Root may chroot here, and so leave a chroot; its own root it cannot leave."""
    code = (
        "import os; os.makedirs('/tmp/a', exist_ok=True); f = os.open('/', os.O_RDONLY); "
        "os.chroot('/tmp/a'); os.fchdir(f); [os.chdir('..') for _ in range(99)]; os.chroot('.'); "
        f"print(os.path.exists('/etc/passwd'), os.path.exists('{secret}') and 'BREACH')"
    )
    assert "True False" in await _try(inmate, f'python3 -c "{code}"')


async def test_no_directory_of_the_host_comes_in_with_a_new_process(
    bomber: RealShell, secret: Path
) -> None:
    """As CVE-2024-21626 did: a working directory through a descriptor that was left open."""
    climbs = "../" * 12
    for descriptor in range(3, 13):
        link = f"rm -rf /root && ln -s /proc/self/fd/{descriptor} /root"
        await bomber.execute(Program(argv=["sh", "-c", link], cwd="/"))
        for cwd in (f"/proc/self/fd/{descriptor}", ""):
            argv = ["sh", "-c", f"cat {climbs}{secret} ./{climbs}{secret}; echo tried"]
            with contextlib.suppress(SandboxUnavailable, InvalidInput):  # the engine refuses
                result = await bomber.execute(Program(argv=argv, cwd=cwd))
                assert b"BREACH" not in result.stdout


@pytest.mark.parametrize("place", ["/var/run/docker.sock", "/run/docker.sock",
                                   "/run/containerd/containerd.sock", "/run/plumb"])  # fmt: skip
async def test_the_engine_s_sockets_are_not_there(inmate: RealShell, place: str) -> None:
    code = f"import socket; socket.socket(socket.AF_UNIX).connect('{place}'); print('BREACH')"
    assert "rror" in await _try(inmate, f'python3 -c "{code}" 2>&1 | tail -n 1')


async def test_no_socket_is_there_at_all(inmate: RealShell) -> None:
    await _try(inmate, "find / -type s 2>/dev/null | grep . && echo BREACH")


async def test_no_socket_without_a_file_is_seen(inmate: RealShell) -> None:
    """As CVE-2020-15257 needed: the engine's own are in another network namespace."""
    await _try(inmate, "grep -a -e containerd -e docker /proc/net/unix && echo BREACH")


async def test_no_process_of_the_host_or_of_neighbours_is_seen(
    inmate: RealShell, neighbour: RealShell
) -> None:
    await neighbour.step(Action(b"sleep 1234 &"))
    for name in ("dockerd", "containerd", "pytest", "1234"):
        await _try(inmate, f"grep -alr -e {name} /proc/[0-9]*/cmdline && echo BREACH")
    assert (await neighbour.step(Action(b"pgrep -c sleep; kill %1; wait"))).text.startswith("1\n")


async def test_neighbours_share_no_memory_files_or_names(
    inmate: RealShell, neighbour: RealShell
) -> None:
    await neighbour.step(Action(b"echo BREACH | tee /dev/shm/x /tmp/x /root/x >/etc/x"))
    await _try(inmate, "cat /dev/shm/x /tmp/x /root/x /etc/x; ipcs | grep 0x && echo BREACH")


# The network.


_CONNECT = (
    "import socket, sys; s = socket.socket(socket.{family}, socket.SOCK_STREAM); s.settimeout(3); "
    "s.connect(({host!r}, {port})); print('BREACH')"
)


@pytest.mark.parametrize(
    ("family", "host", "port"),
    [
        pytest.param("AF_INET", "169.254.169.254", 80, id="the metadata address"),
        pytest.param("AF_INET6", "fd00:ec2::254", 80, id="the metadata address, IPv6"),
        pytest.param("AF_INET", "172.17.0.1", 22, id="the engine's bridge"),
        pytest.param("AF_INET", "1.1.1.1", 53, id="the world"),
        pytest.param("AF_INET", "example.com", 80, id="a name"),
    ],
)
async def test_nothing_is_reached(inmate: RealShell, family: str, host: str, port: int) -> None:
    code = _CONNECT.format(family=family, host=host, port=port)
    assert "rror" in await _try(inmate, f'python3 -c "{code}" 2>&1 | tail -n 1')


async def test_no_socket_leads_to_the_hypervisor(inmate: RealShell) -> None:
    """AF_VSOCK knows no network namespaces; engines before version 23 let it through."""
    code = "import socket; socket.socket(40, socket.SOCK_STREAM); print('BREACH')"
    assert "not supported" in await _try(inmate, f'python3 -c "{code}" 2>&1 | tail -n 1')


async def test_the_host_s_loopback_is_not_the_sandbox_s(inmate: RealShell) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        with closing(socket.create_connection(("127.0.0.1", port), 3)):  # it is there for us
            code = _CONNECT.format(family="AF_INET", host="127.0.0.1", port=port)
            said = await _try(inmate, f'python3 -c "{code}" 2>&1 | tail -n 1')
    assert "refused" in said


async def test_neighbours_do_not_hear_each_other(inmate: RealShell, neighbour: RealShell) -> None:
    serve = "import socket, time; s = socket.create_server(('', 4321)); print('up', flush=True); "
    begun = f'python3 -c "{serve} time.sleep(60)" > /tmp/up & until grep -q up /tmp/up; do :; done'
    await neighbour.step(Action(begun.encode()))
    code = _CONNECT.format(family="AF_INET", host="127.0.0.1", port=4321)
    assert "refused" in await _try(inmate, f'python3 -c "{code}" 2>&1 | tail -n 1')
    own = await neighbour.step(Action(f'python3 -c "{code}"; kill %1; wait'.encode()))
    assert "BREACH" in own.text  # so it was there


# The kernel.


_READS = "timeout 5 head -c 1 {} 2>/dev/null | od -An -tx1 | grep -q . && echo BREACH"


@pytest.mark.parametrize(
    "path",
    ["/proc/kcore", "/proc/kmsg", "/proc/timer_list", "/proc/sched_debug", "/proc/keys",
     "/proc/latency_stats", "/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/sda",
     "/dev/vda", "/dev/nvme0n1", "/dev/dm-0", "/dev/fuse", "/dev/kvm", "/dev/vsock",
     "/sys/firmware/dmi/tables/DMI", "/sys/kernel/debug/sched_features"],
)  # fmt: skip
async def test_nothing_of_the_kernel_or_its_devices_is_read(inmate: RealShell, path: str) -> None:
    await _try(inmate, _READS.format(path))


async def test_what_can_be_read_is_told(inmate: RealShell) -> None:
    """Or the test above could not fail."""
    seen = await inmate.step(Action(_READS.format("/etc/passwd").encode()))
    assert seen.text == "BREACH\n"


@pytest.mark.parametrize(
    "path",
    ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
     "/proc/sys/vm/drop_caches", "/proc/sys/fs/file-max", "/proc/irq/default_smp_affinity",
     "/proc/bus/input/devices", "/sys/kernel/uevent_helper", "/sys/power/state",
     "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/fs/cgroup/*/release_agent",
     "/sys/fs/cgroup/*/cgroup.procs", "/sys/fs/cgroup/*/memory.limit_in_bytes",
     "/sys/fs/cgroup/memory.max"],
)  # fmt: skip
async def test_nothing_of_the_kernel_is_opened_for_writing(inmate: RealShell, path: str) -> None:
    """Opening is enough to know, and does nothing."""
    await _try(inmate, f"for f in {path}; do [ -e $f ] && (exec 3>>$f) && echo BREACH; done")


async def test_no_addresses_of_the_kernel_are_told(inmate: RealShell) -> None:
    await _try(inmate, "grep -v '^0\\{16\\} ' /proc/kallsyms && echo BREACH")


SYSCALLS = {
    "bpf": "321, 0, buf, 64",
    "perf_event_open": "298, buf, 0, -1, -1, 0",
    "init_module": "175, buf, 10, b''",
    "finit_module": "313, 0, b'', 0",
    "kexec_load": "246, 0, 0, 0, 0",
    "open_by_handle_at": "304, 3, buf, 0",
    "userfaultfd": "323, 0",
    "swapon": "167, b'/x', 0",
    "reboot, its harmless command": "169, 0xfee1dead, 672274793, 0x89ABCDEF, 0",
    "setns": "308, 3, 0",
    "pivot_root": "155, b'/', b'/'",
    "iopl": "172, 3",
    "clock_settime": "227, 0, buf",
    "quotactl": "179, 0, b'', 0, 0",
    "acct": "163, b'/tmp/b'",
    "io_uring_setup": "425, 1, buf",
    "fallocate, of more than the disk": "285, 0, 0, 0, 1 << 42",
    "a system call of x32": "0x40000000 + 39",
    "add_key": "248, b'user', b'x', b'x', 1, -3",
    "keyctl": "250, 0, -3, 0, 0",
}


@pytest.mark.parametrize("name", SYSCALLS)
async def test_a_system_call_that_is_the_host_s_business_is_refused(
    inmate: RealShell, name: str
) -> None:
    code = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True); "
        "buf = ctypes.create_string_buffer(256); "
        f"print('BREACH' if libc.syscall({SYSCALLS[name]}) >= 0 else 'refused')"
    )
    assert "refused" in await _try(inmate, f'python3 -c "{code}"')


# Privileges.


CAPABILITIES = re.findall(
    r"\w+",
    """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
    """,
)
"""The kernel's, in its order."""


async def test_its_privileges_are_those_of_its_list_and_no_more(
    inmate: RealShell, runtime: RealShellSettings
) -> None:
    status = (await inmate.step(Action(b"cat /proc/self/status"))).text
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    allowed = sum(1 << CAPABILITIES.index(name) for name in SHELL_CAPABILITIES)
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd"):
        assert int(lines[field], 16) & ~allowed == 0, field
    if not _has_own_kernel(runtime):  # which does not tell the next two, nor need them
        assert lines["NoNewPrivs"].strip() == "1"
        assert lines["Seccomp"].strip() == "2"


async def test_a_setuid_program_gives_nobody_anything(inmate: RealShell) -> None:
    said = await _try(inmate, "cp /bin/bash /tmp/b; chmod 4755 /tmp/b; "
                              'su -s /bin/sh nobody -c "/tmp/b -p -c id" '
                              "| tee /dev/stderr | grep -q '=0(' && echo BREACH")  # fmt: skip
    assert "nobody" in said


INSIDE = ("in a kernel of its own, this is the sandbox's own business",)


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        pytest.param("unshare --mount true", "not permitted", id="a mount namespace"),
        pytest.param("unshare --user --map-root-user true", "not permitted", id="a user namespace"),
        pytest.param("unshare --net true", "not permitted", id="a network namespace"),
        pytest.param("mount -t tmpfs none /mnt", "denied", id="mount a tmpfs"),
        pytest.param("mount -t proc none /mnt", "denied", id="mount proc"),
        pytest.param("mount -t cgroup -o memory none /mnt", "denied", id="mount cgroups"),
        pytest.param("mount --bind /etc /mnt", "denied", id="bind a folder"),
        pytest.param("mount -o remount,rw /sys", "denied", id="remount /sys"),
        pytest.param("umount /proc/kcore", "denied|not permitted|must be super", id="unmask"),
        pytest.param("mknod /tmp/disk b 254 0", "not permitted", id="make a disk"),
        pytest.param("mknod /tmp/mem c 1 1", "not permitted", id="make the memory"),
        pytest.param("hostname other", "not permitted|must be root", id="rename the host"),
        pytest.param("date -s 2001-01-01", "not permitted", id="set the clock"),
        pytest.param("echo -999 > /proc/self/oom_score_adj", "denied", id="be killed last"),
        pytest.param("ulimit -n 100000", "not permitted", id="raise its own limits"),
    ],
)
async def test_what_only_the_host_s_root_may_do_is_refused(
    inmate: RealShell, runtime: RealShellSettings, attack: str, says: str
) -> None:
    if _has_own_kernel(runtime):
        pytest.skip(*INSIDE)
    said = await _try(inmate, f"{attack} && echo BREACH")
    assert any(part in said for part in says.split("|")), said


@pytest.mark.parametrize("node", ["b 254 0", "b 8 0", "c 1 1", "c 1 2", "c 10 229"])
async def test_a_device_that_was_made_is_no_way_out(inmate: RealShell, node: str) -> None:
    await _try(inmate, f"rm -f /tmp/node; mknod /tmp/node {node}; "
                       "head -c 1 /tmp/node | od -An -tx1 | grep -q . && echo BREACH")  # fmt: skip


@pytest.mark.parametrize("kind", ["AF_PACKET", "AF_INET"])
async def test_no_raw_socket_is_to_be_had(inmate: RealShell, kind: str) -> None:
    code = f"import socket; socket.socket(socket.{kind}, socket.SOCK_RAW, 1); print('BREACH')"
    assert "PermissionError" in await _try(inmate, f'python3 -c "{code}" 2>&1 | tail -n 1')


async def test_no_capability_is_passed_on_through_a_file(inmate: RealShell) -> None:
    code = (
        "import os; open('/tmp/f', 'w').close(); "
        "os.setxattr('/tmp/f', 'security.capability', b'\\1\\0\\0\\2' + b'\\xff' * 16); "
        "print('BREACH')"
    )
    assert "rror" in await _try(inmate, f'python3 -c "{code}" 2>&1 | tail -n 1')


async def test_its_namespaces_are_its_own(inmate: RealShell, runtime: RealShellSettings) -> None:
    if _has_own_kernel(runtime):
        pytest.skip("a kernel of its own tells nothing of namespaces")
    for name in ("pid", "mnt", "net", "ipc", "uts"):
        own = (await inmate.step(Action(f"readlink /proc/self/ns/{name}".encode()))).text.strip()
        assert own.startswith(f"{name}:[")
        assert own != str(Path(f"/proc/self/ns/{name}").readlink())


async def test_the_first_process_that_is_traced_and_killed_is_the_sandbox_s_own(
    bomber: RealShell, neighbour: RealShell
) -> None:
    """Both may be allowed; the worst that comes of it is the end of that sandbox."""
    code = "import ctypes; print(ctypes.CDLL(None).ptrace(16, 1, 0, 0))"
    with contextlib.suppress(SandboxUnavailable):
        await bomber.step(Action(f'python3 -c "{code}"; kill -9 1'.encode()))
    await bomber.reset()
    for shell in (bomber, neighbour):
        assert (await shell.step(Action(b"echo whole"))).text == "whole\n"


# Too much of everything. The bomber suffers; its neighbours and this process do not.


def _python(code: str) -> str:
    return f'python3 -c "{code}"'


_MAKE_FILES = """import os, itertools
for number in {}: os.close(os.open('/root/f%d' % number, os.O_CREAT))"""

BOMBS = {
    "a fork bomb": "f() { f | f & }; f; wait",
    "a memory bomb": "for i in 1 2 3 4; do tail /dev/zero & done; wait",
    "memory through a file": "head -c 500M /dev/zero > /dev/shm/big; cat /dev/shm/big > /dev/null",
    "a disk bomb": "for i in {1..99}; do head -c 8M /dev/zero > /root/$i || break; sleep 0.1; done",
    "an inode bomb": _python(_MAKE_FILES.format("itertools.count()")),
    "10^6 open files": _python("""import os, time
for _ in range(50): os.fork()
for _ in range(20000): os.dup(0)""") + "; wait",
    "pipes full of bytes": _python("""import os, time
for _ in range(500):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.write(writing, b'x' * 65536)
time.sleep(3)"""),
    "threads": _python("""import threading, time
for _ in range(9999): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()"""),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_bomb_hurts_nobody_but_whoever_lit_it(
    prison: Backends, bomber: RealShell, neighbour: RealShell, bomb: str
) -> None:
    async with asyncio.TaskGroup() as tasks:
        burning = tasks.create_task(_burn(bomber, BOMBS[bomb]))
        answers = 0
        while not burning.done() or not answers:
            said = await _try(neighbour, "echo here > /tmp/x; cat /tmp/x", may_reset=False)
            assert said == "here\ntried\n"
            async with asyncio.timeout(PATIENCE):
                await prison.check()
            answers += 1
            await asyncio.wait({burning}, timeout=0.5)
    await bomber.reset()
    assert await _try(bomber, "echo whole") == "whole\ntried\n"


async def _burn(bomber: RealShell, bomb: str) -> None:
    with contextlib.suppress(SandboxUnavailable):
        await bomber.step(Action(bomb.encode(), timeout=8))


async def test_more_files_than_are_allowed_end_the_sandbox_and_it_is_said_why(
    bomber: RealShell,
) -> None:
    bomb = _python(_MAKE_FILES.format("range(8000)"))
    with pytest.raises(SandboxUnavailable, match=r"more than the 4000 files .*PLUMB_SHELL_FILES"):
        await bomber.step(Action(f"{bomb}; sleep 600".encode(), timeout=240))


async def test_no_process_has_more_open_files_than_it_may(inmate: RealShell) -> None:
    code = "import os; [os.dup(0) for _ in range(10**6)]"
    said = await _try(inmate, f'ulimit -n 4096; python3 -c "{code}" 2>&1 | tail -n 1')
    assert "Too many open files" in said
