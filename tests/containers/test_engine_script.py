"""engine.sh among stub commands: what it asks, what it does, and what it says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "containers" / "engine.sh"
BASH = shutil.which("bash") or "/bin/bash"


class Machine:
    """A PATH of stubs that write down how they were called, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.calls_file = folder / "calls"
        self.calls_file.touch()

    def put(self, name: str, script: str = "", *, noted: bool = True) -> None:
        note = f'echo "{name} $*" >> "{self.calls_file}"\n' if noted else ""
        path = self.programs / name
        path.write_text(f"#!{BASH}\n{note}{script}\n")
        path.chmod(0o755)

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BASH, str(SCRIPT)],
            env={"PATH": str(self.programs), **environment},
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Root's machine without an engine; installing or starting anything would be noted."""
    machine = Machine(tmp_path)
    machine.put("curl", "exit 7", noted=False)
    machine.put("docker", "exit 1", noted=False)
    machine.put("id", "echo 0", noted=False)
    for forbidden in ("apt-get", "systemctl", "setsid", "dockerd"):
        machine.put(forbidden)
    return machine


def assert_refused(done: subprocess.CompletedProcess[str], machine: Machine, *words: str) -> None:
    """One sentence on standard error, and nothing done."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert machine.calls == []


def test_an_engine_that_answers_is_left_alone_in_silence(machine: Machine) -> None:
    machine.put("curl", noted=False)
    done = machine.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.calls == []


@pytest.mark.parametrize(
    ("environment", "question"),
    [
        ({}, "--unix-socket /var/run/docker.sock http://localhost/_ping"),
        ({"DOCKER_HOST": "unix:///x.sock"}, "--unix-socket /x.sock http://localhost/_ping"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:9"}, "http://127.0.0.1:9/_ping"),
    ],
)
def test_the_question_goes_where_docker_host_says(
    machine: Machine, environment: dict[str, str], question: str
) -> None:
    machine.put("curl")
    assert machine.run(**environment).returncode == 0
    assert machine.calls[0].endswith(question)


@pytest.mark.parametrize(
    "environment",
    [
        {"DOCKER_HOST": "ssh://somewhere"},
        {"DOCKER_HOST": "tcp://127.0.0.1:9", "DOCKER_TLS_VERIFY": "1"},
    ],
)
def test_what_curl_cannot_ask_the_docker_command_asks(
    machine: Machine, environment: dict[str, str]
) -> None:
    machine.put("docker")
    assert machine.run(**environment).returncode == 0
    assert machine.calls == ["docker version"]


def test_without_curl_the_docker_command_asks(machine: Machine) -> None:
    (machine.programs / "curl").unlink()
    machine.put("docker")
    assert machine.run().returncode == 0


def test_installing_can_be_forbidden(machine: Machine) -> None:
    done = machine.run(PLUMB_INSTALL_ENGINE="0")
    assert_refused(done, machine, "PLUMB_INSTALL_ENGINE=0", "start it yourself")


def test_somebody_who_is_not_root_is_told_what_to_do(machine: Machine) -> None:
    machine.put("id", "echo 1000", noted=False)
    assert_refused(machine.run(), machine, "as root", "group")


def test_a_machine_without_apt_is_told_to_install_docker(machine: Machine) -> None:
    (machine.programs / "apt-get").unlink()
    assert_refused(machine.run(), machine, "install Docker")


def test_a_foreign_engine_is_never_replaced(machine: Machine) -> None:
    done = machine.run(DOCKER_HOST="tcp://127.0.0.1:9")
    assert_refused(done, machine, "DOCKER_HOST=tcp://127.0.0.1:9", "unset")


@pytest.fixture
def bare_machine(machine: Machine, tmp_path: Path) -> Machine:
    """Root's machine where an engine answers as soon as one was started, and installing works."""
    started = tmp_path / "started"
    machine.put("curl", f'[[ -e "{started}" ]] || exit 7', noted=False)
    for name in ("setsid", "systemctl"):
        machine.put(name, f': > "{started}"')
    for name in ("dockerd", "docker"):
        (machine.programs / name).unlink()
    # As if no engine ran here, whatever the machine that runs this test has.
    machine.put("grep", "exit 1", noted=False)
    for name in ("sleep", "tail"):
        (machine.programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    return machine


def test_root_on_debian_gets_an_engine_installed_and_started(
    bare_machine: Machine, tmp_path: Path
) -> None:
    done = bare_machine.run(PLUMB_ENGINE_LOG=str(tmp_path / "log"))
    assert done.returncode == 0, done.stderr
    update, install, start = bare_machine.calls
    assert update.endswith("update")
    assert "install --no-install-recommends docker.io iptables mmdebstrap" in install
    assert start in ("setsid dockerd", "systemctl start docker")


def test_what_is_there_is_not_installed_again(bare_machine: Machine, tmp_path: Path) -> None:
    for name in ("dockerd", "iptables", "mmdebstrap"):
        bare_machine.put(name)
    bare_machine.run(PLUMB_ENGINE_LOG=str(tmp_path / "log"))
    assert not any("docker.io" in call or "iptables" in call for call in bare_machine.calls)


def test_a_failed_installation_quotes_apt(bare_machine: Machine, tmp_path: Path) -> None:
    bare_machine.put("apt-get", "echo E: no mirror; exit 100")
    done = bare_machine.run(PLUMB_ENGINE_LOG=str(tmp_path / "log"))
    assert done.returncode == 1
    assert "could not install docker.io iptables mmdebstrap" in done.stderr
    assert "E: no mirror" in done.stderr
