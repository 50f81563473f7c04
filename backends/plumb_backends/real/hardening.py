"""What a sandbox shall be, and what that asks of Docker: the hardening, line by line. Pure.

Nothing of this machine is mounted, and nobody can gain privileges. Unless a spec says otherwise
there is no network and no port; a published port is one on loopback.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from plumb_backends.real import owner

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

_INIT = """printf init >/proc/self/comm; exec 3<> <(:)
while ((SECONDS < $1)); do read -rt $(($1 - SECONDS)) -u 3 & wait $!; done"""
"""The first process: bash, because `wait` reaps whatever is left behind to it, and nothing else
need be in the image. Its child waits on a pipe that nobody writes to, so that no `sleep` shows
among the processes; `kill -9 -1` only gets it a new one. When its time is over, so is the
container."""


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
        user: Who its processes run as, `uid:gid`.
        capabilities: What root keeps.
        published_port: A TCP port that is published on loopback; 0 for none.
        memory_disks: Folders that live in memory, and how many bytes each may take.
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
    user: str = "0:0"
    capabilities: tuple[str, ...] = SHELL_CAPABILITIES
    published_port: int = 0
    memory_disks: Mapping[str, int] = dataclasses.field(default_factory=dict)
    limits: Limits = dataclasses.field(default_factory=Limits)
    network: str = "none"
    runtime: str = ""


def container_config(spec: SandboxSpec, owner_name: str, *, limit_disk: bool) -> dict[str, Any]:
    """What to ask of Docker for a sandbox."""
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
            {"Name": "fsize", "Soft": limits.disk_bytes, "Hard": limits.disk_bytes},
        ],
        "LogConfig": {"Type": "none"},
    }
    if limit_disk:
        host["StorageOpt"] = {"size": str(limits.disk_bytes)}
    if spec.runtime:
        host["Runtime"] = spec.runtime
    if spec.memory_disks:
        host["Tmpfs"] = {
            folder: f"rw,nosuid,nodev,noexec,mode=1777,size={size}"
            for folder, size in spec.memory_disks.items()
        }
    config: dict[str, Any] = {
        "Image": spec.image,
        "Hostname": spec.hostname,
        "Cmd": list(spec.command) or ["bash", "-c", _INIT, "init", str(int(limits.lifetime))],
        "Entrypoint": [],
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "WorkingDir": spec.home,
        "User": spec.user,
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
