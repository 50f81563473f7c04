"""What is asked of Docker for a sandbox, line by line."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest

from plumb_backends.real.guest import GUEST
from plumb_backends.real.hardening import (
    GUEST_CAPABILITIES,
    MARK,
    SHELL_CAPABILITIES,
    Limits,
    SandboxSpec,
    capability_mask,
    container_config,
    shell_command,
)
from plumb_backends.real.sql.servers import own_limits, server_limits

LIMITS = Limits(
    memory_bytes=64_000_000, processes=32, cpus=0.5, disk_bytes=9_000, open_files=100, lifetime=60
)
SPEC = SandboxSpec(
    image="image:1", session_id="s-1", hostname="web", env={"A": "b=c"}, home="/srv", limits=LIMITS
)
CONFIG = container_config(SPEC, "owner-1", limit_disk=True, guest_volume="guest-1")
HOST = CONFIG["HostConfig"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NetworkMode", "none"),
        ("SecurityOpt", ["no-new-privileges"]),
        ("CapDrop", ["ALL"]),
        ("IpcMode", "private"),
        ("AutoRemove", True),
        ("Memory", 64_000_000),
        ("MemorySwap", 64_000_000),
        ("NanoCpus", 500_000_000),
        ("CpuShares", 256),
        ("PidsLimit", 32),
        ("OomScoreAdj", 500),
        ("LogConfig", {"Type": "none"}),
        ("StorageOpt", {"size": "9000"}),
        ("ExtraHosts", ["web:127.0.1.1"]),
    ],
)
def test_the_host_is_asked_for(line: str, value: object) -> None:
    assert HOST[line] == value


def test_a_server_that_many_share_outweighs_dozens_of_busy_sandboxes() -> None:
    spec = dataclasses.replace(SPEC, limits=server_limits())
    host = container_config(spec, "owner-1", limit_disk=True)["HostConfig"]
    assert host["CpuShares"] >= 16 * HOST["CpuShares"]


def test_a_server_of_one_s_own_outweighs_nobody_much() -> None:
    spec = dataclasses.replace(SPEC, limits=own_limits())
    host = container_config(spec, "owner-1", limit_disk=True)["HostConfig"]
    assert HOST["CpuShares"] < host["CpuShares"] <= 2 * HOST["CpuShares"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("Image", "image:1"),
        ("Hostname", "web"),
        ("Env", ["A=b=c"]),
        ("WorkingDir", "/srv"),
        ("User", "0:0"),
        ("Entrypoint", []),
    ],
)
def test_the_container_is_asked_for(line: str, value: object) -> None:
    assert CONFIG[line] == value


@pytest.mark.parametrize(("name", "soft", "hard"), [("nofile", 100, 100), ("core", 0, 0)])
def test_processes_are_limited(name: str, soft: int, hard: int) -> None:
    assert {"Name": name, "Soft": soft, "Hard": hard} in HOST["Ulimits"]


@pytest.mark.parametrize(
    "line",
    [
        "Binds",
        "PortBindings",
        "PublishAllPorts",
        "Privileged",
        "Devices",
        "PidMode",
        "VolumesFrom",
        "UsernsMode",
        "Runtime",
    ],
)
def test_nothing_is_mounted_published_or_privileged(line: str) -> None:
    assert line not in HOST
    assert "ExposedPorts" not in CONFIG


@pytest.mark.parametrize(
    "capability",
    [
        "SYS_ADMIN",
        "NET_RAW",
        "NET_ADMIN",
        "MKNOD",
        "SETFCAP",
        "SYS_MODULE",
        "DAC_READ_SEARCH",
        "SYS_RESOURCE",
        "SYS_TIME",
    ],
)
def test_no_dangerous_capability_comes_back(capability: str) -> None:
    assert capability not in HOST["CapAdd"]


def test_nothing_is_mounted_but_plumb_s_own_program_and_that_for_reading() -> None:
    (mount,) = HOST["Mounts"]
    assert (mount["Type"], mount["Source"], mount["ReadOnly"]) == ("volume", "guest-1", True)


def test_what_a_shell_may_is_asked_for_and_what_plumb_s_own_program_takes_away_again() -> None:
    assert HOST["CapAdd"] == [*SHELL_CAPABILITIES, *GUEST_CAPABILITIES]
    _, command, user, mask, disk, *argv = shell_command(SPEC, ["bash", "-i"])
    assert (command, user, int(disk), argv) == ("terminal", SPEC.user, 9_000, ["bash", "-i"])
    assert int(mask) == capability_mask(SHELL_CAPABILITIES) == 0x200404FB
    assert int(mask) & (MARK | capability_mask(GUEST_CAPABILITIES)) == 0


def test_plumb_s_own_program_is_root_whoever_the_session_s_user_is() -> None:
    spec = dataclasses.replace(SPEC, user="app")
    assert container_config(spec, "owner", limit_disk=False)["User"] == "0:0"
    server = dataclasses.replace(SPEC, user="app", command=("serve",))
    assert container_config(server, "owner", limit_disk=False)["User"] == "app"


def test_no_health_check_of_the_image_runs() -> None:
    assert CONFIG["Healthcheck"] == {"Test": ["NONE"]}


def test_it_is_labelled_with_its_owner_session_and_end() -> None:
    labels: dict[str, Any] = container_config(SPEC, "owner-1", limit_disk=True)["Labels"]
    wall, _, monotonic = labels.pop("dev.plumb.expires").partition("/")
    assert abs(int(wall) - time.time() - 60) < 60
    assert abs(int(monotonic) - time.monotonic() - 60) < 60
    assert labels == {
        "dev.plumb.sandbox": "1",
        "dev.plumb.owner": "owner-1",
        "dev.plumb.session": "s-1",
    }


def test_it_ends_by_itself_after_its_lifetime() -> None:
    assert CONFIG["Cmd"] == [GUEST, "init", "60", "9000", str(LIMITS.files)]


def test_the_disk_is_not_limited_where_the_engine_cannot() -> None:
    assert "StorageOpt" not in container_config(SPEC, "o", limit_disk=False)["HostConfig"]


def test_another_runtime_and_network_can_be_asked_for() -> None:
    spec = SandboxSpec(
        image="i", session_id="s", hostname="h", env={}, network="lab", runtime="runsc"
    )
    host = container_config(spec, "o", limit_disk=True)["HostConfig"]
    assert (host["NetworkMode"], host["Runtime"]) == ("lab", "runsc")


def test_a_server_s_port_is_published_on_loopback_only() -> None:
    config = container_config(
        SandboxSpec(image="i", session_id="s", hostname="h", env={}, published_port=3306),
        "owner",
        limit_disk=False,
    )
    assert config["ExposedPorts"] == {"3306/tcp": {}}
    assert config["HostConfig"]["PortBindings"] == {"3306/tcp": [{"HostIp": "127.0.0.1"}]}


def test_a_server_brings_its_own_command_user_and_capabilities() -> None:
    config = container_config(
        SandboxSpec(
            image="i",
            session_id="s",
            hostname="h",
            env={},
            command=("serve",),
            user="27:27",
            capabilities=(),
            memory_disks={"/data": 1000},
        ),
        "owner",
        limit_disk=False,
    )
    assert config["Cmd"] == ["serve"]
    assert config["User"] == "27:27"
    assert config["HostConfig"]["CapAdd"] == []
    assert "Mounts" not in config["HostConfig"]
    assert "size=1000" in config["HostConfig"]["Tmpfs"]["/data"]
    assert "noexec" in config["HostConfig"]["Tmpfs"]["/data"]
