"""What a sandbox shall be, and what that asks of Docker: the hardening, line by line. Pure.

Nothing of this machine is mounted, and nobody can gain privileges. Unless a spec says otherwise
there is no network and no port; a published port is one on loopback.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plumb_backends.real import owner
from plumb_backends.real.guest import GUEST

LABEL = "dev.plumb.sandbox"
OWNER_LABEL = "dev.plumb.owner"
SESSION_LABEL = "dev.plumb.session"
EXPIRY_LABEL = "dev.plumb.expires"
ORIGIN_LABEL = "dev.plumb.origin"
"""Of an image: where its base comes from, for people."""

SHELL_CAPABILITIES = ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL",
                 "NET_BIND_SERVICE", "SETGID", "SETUID", "SYS_CHROOT")  # fmt: skip
"""What a root shell needs to install, own, and run things as other users; Docker's default less
raw sockets, device nodes and the passing on of capabilities."""

ROOT = "0:0"
GUEST_FOLDER = GUEST.rpartition("/")[0]
_CAPABILITIES = re.findall(
    r"\w+",
    """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM
    """,
)
"""The kernel's, in its order."""

_MARKING = "WAKE_ALARM"

GUEST_CAPABILITIES = ("SETPCAP", "SYS_PTRACE", _MARKING)
"""What only plumb's own program in a sandbox has: to take away from what it starts, to look at what
others run, and the mark. It starts everything else, without these."""

ENDINGS = {
    91: "its files have more than the {0.disk_bytes} bytes that are allowed "
    "(PLUMB_SHELL_DISK_BYTES)",
    92: "it made more than the {0.files} files that are allowed (PLUMB_SHELL_FILES)",
    93: "what it has on its disk cannot be measured",
}
"""Why the first process ended a sandbox, by its exit status (see `guest.h`); of its limits."""


def capability_mask(names: Iterable[str]) -> int:
    """Capabilities as the kernel writes them: a bit each."""
    return sum(1 << _CAPABILITIES.index(name) for name in names)


MARK = capability_mask([_MARKING])
"""Programs that run for an operator have this one more than the agent's own processes, which so
cannot trace them, or open their streams in /proc. It lets nobody do anything."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one sandbox may use.

    Attributes:
        memory_bytes: RAM, without swap.
        processes: Processes and threads.
        cpus: Cores, fractions allowed.
        cpu_weight: Its share of the processor where all is taken, beside those of others.
        disk_bytes: What may be written to its file system.
        files: Files and folders that may be made or changed there, empty ones, too.
        open_files: Open files of one process.
        lifetime: Seconds after which the sandbox ends by itself.
    """

    memory_bytes: int = 1024**3
    processes: int = 256
    cpus: float = 2.0
    cpu_weight: int = 256
    disk_bytes: int = 2 * 1024**3
    files: int = 2**18
    open_files: int = 4096
    lifetime: float = 24 * 3600


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """What a sandbox shall be.

    Attributes:
        image: Tag or digest; must be on the engine, with bash.
        session_id: For its label.
        hostname: Inside.
        env: Variables of every process in it.
        command: What its first process runs; empty for one that only waits.
        home: The working directory of every process in it.
        user: Who its processes run as: a name or a number, or either with `:group`.
        capabilities: What root keeps.
        published_port: A TCP port that is published on loopback; 0 for none.
        memory_disks: Folders that live in memory, and how many bytes each may take.
        has_fixed_root: Whether nothing else of its file system can be written.
        limits: What it may use.
        network: The engine's network; `none` by default.
        runtime: The engine's OCI runtime; empty for its default.
    """

    image: str
    session_id: str
    hostname: str
    env: Mapping[str, str]
    command: tuple[str, ...] = ()
    home: str = "/root"
    user: str = ROOT
    capabilities: tuple[str, ...] = SHELL_CAPABILITIES
    published_port: int = 0
    memory_disks: Mapping[str, int] = dataclasses.field(default_factory=dict)
    has_fixed_root: bool = False
    limits: Limits = dataclasses.field(default_factory=Limits)
    network: str = "none"
    runtime: str = ""

    @property
    def has_guest(self) -> bool:
        """Whether plumb's own program is in it: where others run what they want."""
        return not self.command


def container_config(
    spec: SandboxSpec, owner_name: str, *, limit_disk: bool, guest_volume: str = ""
) -> dict[str, Any]:
    """What to ask of Docker for a sandbox.

    Args:
        spec: What it shall be.
        owner_name: For its label.
        limit_disk: Whether the engine itself shall limit its disk.
        guest_volume: The volume with plumb's own program, for a sandbox that has it.
    """
    limits = spec.limits
    host: dict[str, Any] = {
        "AutoRemove": True,
        "NetworkMode": spec.network,
        "ExtraHosts": [f"{spec.hostname}:127.0.1.1"],  # or sudo complains about its own host
        "IpcMode": "private",
        "SecurityOpt": ["no-new-privileges"],
        "CapDrop": ["ALL"],
        "CapAdd": list(spec.capabilities),
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,  # the same number: no swap
        "NanoCpus": int(limits.cpus * 1e9),
        "CpuShares": limits.cpu_weight,
        "PidsLimit": limits.processes,
        "OomScoreAdj": 500,  # where the whole machine runs out, sandboxes go first
        "Ulimits": [
            {"Name": "nofile", "Soft": min(1024, limits.open_files), "Hard": limits.open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "LogConfig": {"Type": "none"},
    }
    if spec.has_guest:
        host["CapAdd"] += GUEST_CAPABILITIES
        host["Mounts"] = [
            {
                "Type": "volume",
                "Source": guest_volume,
                "Target": GUEST_FOLDER,
                "ReadOnly": True,
                "VolumeOptions": {"NoCopy": True},
            }
        ]
    if limit_disk:
        host["StorageOpt"] = {"size": str(limits.disk_bytes)}
    if spec.runtime:
        host["Runtime"] = spec.runtime
    if spec.has_fixed_root:
        host["ReadonlyRootfs"] = True
    if spec.memory_disks:
        host["Tmpfs"] = {
            folder: f"rw,nosuid,nodev,noexec,mode=1777,size={size}"
            for folder, size in spec.memory_disks.items()
        }
    config: dict[str, Any] = {
        "Image": spec.image,
        "Hostname": spec.hostname,
        "Cmd": list(spec.command) or _first_process(limits),
        "Entrypoint": [],
        "Healthcheck": {"Test": ["NONE"]},  # it would run with what only plumb's own may have
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "WorkingDir": spec.home,
        # Where plumb's own program is, it starts all else, and becomes the session's user then.
        "User": ROOT if spec.has_guest else spec.user,
        "Labels": {
            LABEL: "1",
            OWNER_LABEL: owner_name,
            SESSION_LABEL: spec.session_id,
            EXPIRY_LABEL: owner.expiry(limits.lifetime),
        },
        "HostConfig": host,
    }
    if spec.published_port:
        port = f"{spec.published_port}/tcp"
        config["ExposedPorts"] = {port: {}}
        host["PortBindings"] = {port: [{"HostIp": "127.0.0.1"}]}  # the engine chooses the number
    return config


def shell_command(spec: SandboxSpec, argv: Sequence[str]) -> list[str]:
    """What becomes a program of the sandbox's own user, and may no more than that."""
    mask = capability_mask(spec.capabilities)
    return [GUEST, "terminal", spec.user, str(mask), str(spec.limits.disk_bytes), *argv]


def _first_process(limits: Limits) -> list[str]:
    numbers = (int(limits.lifetime), limits.disk_bytes, limits.files)
    return [GUEST, "init", *map(str, numbers)]
