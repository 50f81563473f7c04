"""Servers with a token and TLS, as people run them: who gets in, and where secrets do not show."""

from __future__ import annotations

import importlib
import os
import pkgutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc

import plumb.v1
import plumb_client
from plumb_client import Tls

if TYPE_CHECKING:
    from tests.integration.service.conftest import Kit, Server, StartServer

TOKEN = "operator-0123456789abcdef"
FOR_AGENTS = {"Step", "StreamStep", "Converse"}


class Certificates:
    """An authority, what it vouches for, and a stranger, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority, self._stranger = trustme.CA(), trustme.CA()
        self.ca = self._write("ca.pem", [authority.cert_pem])
        self.strangers_ca = self._write("stranger.pem", [self._stranger.cert_pem])
        self.server = self._pair("server", authority.issue_cert("localhost", "127.0.0.1"))
        self.client = self._pair("client", authority.issue_cert("agent@example.org"))
        self.stranger = self._pair("other", self._stranger.issue_cert("agent@example.org"))

    def _write(self, name: str, parts: list[trustme.Blob]) -> str:
        path = self.folder / name
        path.write_bytes(b"".join(part.bytes() for part in parts))
        return str(path)

    def _pair(self, name: str, issued: trustme.LeafCert) -> tuple[str, str]:
        cert = self._write(f"{name}.pem", issued.cert_chain_pems)
        return cert, self._write(f"{name}.key", [issued.private_key_pem])

    def of_server(self) -> dict[str, str]:
        """The variables of a server that speaks TLS."""
        return {"PLUMB_TLS_CERT": self.server[0], "PLUMB_TLS_KEY": self.server[1]}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def guarded(
    kit: type[Kit], certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server off loopback, with token and TLS."""
    server = kit.Server(
        tmp_path_factory.mktemp("server"), PLUMB_LISTEN="0.0.0.0:0", PLUMB_TOKEN=TOKEN,
        PLUMB_LOG_LEVEL="DEBUG", **certificates.of_server(),
    )  # fmt: skip
    yield server
    assert server.stop() == 0
    assert not server.containers()


def local(server: Server) -> str:
    return f"127.0.0.1:{server.address.rpartition(':')[2]}"


def test_with_token_and_tls_a_server_listens_off_loopback_and_works(
    guarded: Server, certificates: Certificates
) -> None:
    tls = Tls(ca=certificates.ca, server_name="localhost")
    address = f"{socket.gethostname()}:{guarded.address.rpartition(':')[2]}"
    with (
        plumb_client.connect(address, token=TOKEN, tls=tls) as plumb,
        plumb.session("shell") as shell,
    ):
        assert shell.step("echo hi").text == "hi\n"
        assert b"".join(shell.stream("echo hi")) == b"hi\r\n"
        assert shell.exec(["echo", "hi"]).stdout == b"hi\n"
        assert plumb.attach(shell.name).step("echo on").step_index == 3


@pytest.mark.parametrize("token", [None, "", "operator-0123456789abcdeg"])
def test_without_its_token_nobody_gets_anything(
    guarded: Server, certificates: Certificates, token: str | None
) -> None:
    tls = Tls(ca=certificates.ca)
    with (
        plumb_client.connect(local(guarded), token=token, tls=tls) as plumb,
        pytest.raises(plumb_client.Unauthenticated, match="token"),
    ):
        plumb.kinds()


def test_health_needs_no_token(guarded: Server, certificates: Certificates) -> None:
    with grpc.secure_channel(local(guarded), Tls(ca=certificates.ca).credentials()) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=60).status == 1


def test_who_speaks_plainly_or_trusts_others_is_not_talked_to(
    guarded: Server, certificates: Certificates
) -> None:
    for tls in (None, Tls(ca=certificates.strangers_ca),
                Tls(ca=certificates.ca, server_name="example.org")):  # fmt: skip
        with (
            plumb_client.connect(local(guarded), token=TOKEN, tls=tls) as plumb,
            pytest.raises(plumb_client.ServerUnavailable, match="both speak TLS, or neither"),
        ):
            plumb.kinds()


def test_client_certificates_are_demanded_and_checked(
    start_server: StartServer, certificates: Certificates
) -> None:
    server = start_server(
        PLUMB_LISTEN="0.0.0.0:0", PLUMB_TLS_CLIENT_CA=certificates.ca, **certificates.of_server()
    )
    cert, key = certificates.client
    with plumb_client.connect(
        local(server), tls=Tls(ca=certificates.ca, cert=cert, key=key)
    ) as plumb:
        assert plumb.kinds()
    cert, key = certificates.stranger
    for tls in (Tls(ca=certificates.ca), Tls(ca=certificates.ca, cert=cert, key=key)):
        with (
            plumb_client.connect(local(server), tls=tls) as plumb,
            pytest.raises(plumb_client.ServerUnavailable),
        ):
            plumb.kinds()


# Agents.


def test_an_agent_takes_the_steps_of_its_session_and_nothing_else(
    guarded: Server, certificates: Certificates
) -> None:
    tls = Tls(ca=certificates.ca)
    with (
        plumb_client.connect(local(guarded), token=TOKEN, tls=tls) as plumb,
        plumb.session("shell") as shell,
        plumb.session("shell") as other,
        plumb_client.connect(local(guarded), token=shell.agent_token, tls=tls) as agents,
    ):
        shell.step("x=1")
        with agents.agent_session(shell.name) as agent:
            assert agent.step("echo $x").text == "1\n"
            assert b"".join(agent.stream("echo $x")) == b"1\r\n"
        assert shell.info().last_step_index == 3
        for what in (
            lambda: agents.kinds(),
            lambda: agents.sessions(),
            lambda: agents.session("shell"),
            lambda: agents.attach(shell.name),
            lambda: agents.reports(),
            lambda: agents.agent_session(other.name).step("true"),
        ):
            with pytest.raises(plumb_client.PermissionDenied):
                what()
        assert other.info().last_step_index == 0


def test_an_agent_of_a_pair_sees_neither_verdict_nor_the_other_side_nor_that_there_is_one(
    guarded: Server, certificates: Certificates
) -> None:
    tls = Tls(ca=certificates.ca)
    with (
        plumb_client.connect(local(guarded), token=TOKEN, tls=tls) as plumb,
        plumb.session("shell", "paired", simulator={"model": "baseline:always_empty"}) as pair,
        plumb_client.connect(local(guarded), token=pair.agent_token, tls=tls) as agents,
    ):
        seen = agents.agent_session(pair.name).step("echo hi")
        assert (seen.text, seen.verdict, seen.counterpart) == ("hi\n", None, None)
        assert (seen.provenance.backend, seen.provenance.model) == ("", "")
        (step,) = plumb.journaled_steps(pair.name).steps  # the same step, as the operator sees it
        assert step.observation is not None
        assert step.observation.verdict is not None
        assert step.observation.verdict.verdict == "EMPTY"


def test_the_server_as_it_is_put_together_refuses_an_agent_whatever_is_no_step(
    guarded: Server, certificates: Certificates
) -> None:
    tls = Tls(ca=certificates.ca)
    tried = 0
    with (
        plumb_client.connect(local(guarded), token=TOKEN, tls=tls) as plumb,
        plumb.session("shell") as shell,
        grpc.secure_channel(local(guarded), tls.credentials()) as channel,
    ):
        for method in _methods():
            if method.name not in FOR_AGENTS:
                assert _code(channel, method, shell.agent_token) is (
                    grpc.StatusCode.PERMISSION_DENIED
                ), method.full_name
                tried += 1
        assert shell.step("echo here").text == "here\n"
    assert tried >= 13


def _methods() -> Iterator[Any]:
    for module in pkgutil.iter_modules(plumb.v1.__path__):
        if module.name.endswith("_pb2"):
            file = importlib.import_module(f"plumb.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                yield from service.methods


def _code(channel: grpc.Channel, method: Any, token: str) -> grpc.StatusCode:
    """What a call with an empty message comes to."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    make: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    metadata = [("authorization", f"Bearer {token}")]
    message = GetMessageClass(method.input_type)().SerializeToString()
    try:
        call = make(path)(message, metadata=metadata, timeout=60)
        list(call) if method.server_streaming else call
    except grpc.RpcError as error:
        refused: Any = error
        code: grpc.StatusCode = refused.code()
        return code
    return grpc.StatusCode.OK


# Commands.


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    others = {n: v for n, v in os.environ.items() if not n.startswith(("PLUMB_", "OPENAI_"))}
    return subprocess.run(
        [sys.executable, "-m", "plumb_cli", *arguments],
        input="echo hello from $HOSTNAME\n",
        capture_output=True,
        text=True,
        timeout=120,
        env=others | variables,
        check=False,
    )


def test_commands_take_token_and_tls_from_the_environment(
    guarded: Server, certificates: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    scenario = tmp_path / "one.jsonl"
    scenario.write_text(
        '{"id": "s", "environment": "shell", "task": "t", "init": [], "actions": ["echo hi"],'
        ' "tags": []}\n'
    )
    at = ("--server", local(guarded))
    variables = {"PLUMB_TOKEN": TOKEN, "PLUMB_TLS_CA": certificates.ca}
    by_file = {"PLUMB_TOKEN_FILE": str(tmp_path / "token"), "PLUMB_TLS_CA": certificates.ca}
    done = run("shell", *at, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert "hello from sandbox" in done.stdout
    doctor = run("doctor", *at, **by_file)
    assert f"ok   server       {local(guarded)}: " in doctor.stdout
    played = run("play", str(scenario), *at, **by_file)
    assert (played.returncode, "1/1" in played.stdout) == (0, True), played.stderr
    bench = run("bench", str(scenario), "--simulator", "baseline:always_empty", "--out",
                str(tmp_path / "out"), *at, **variables)  # fmt: skip
    assert bench.returncode == 0, bench.stderr


def test_commands_without_the_token_say_so_and_do_nothing(
    guarded: Server, certificates: Certificates
) -> None:
    done = run("shell", "--server", local(guarded), PLUMB_TLS_CA=certificates.ca)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("plumb: the call carries no token")
    doctor = run("doctor", "--server", local(guarded), PLUMB_TLS_CA=certificates.ca)
    assert f"FAIL server       {local(guarded)}: the call carries no token" in doctor.stdout


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"PLUMB_TOKEN": TOKEN, "PLUMB_TOKEN_FILE": "/x"}, "are both set"),
        ({"PLUMB_TOKEN_FILE": "/nowhere/token"}, "which holds no token: No such file"),
        ({"PLUMB_TLS_CLIENT_CERT": "/x"}, "PLUMB_TLS_CA is not"),
        ({"PLUMB_TLS_CA": "/nowhere/ca"}, "ca is /nowhere/ca, which cannot be read"),
        ({"PLUMB_TLS_CA": "system", "PLUMB_TLS_CLIENT_KEY": "/x"}, "give both or neither"),
        ({"PLUMB_TOKEN": "a secret with spaces"}, "printable ASCII without spaces"),
    ],
)
def test_commands_say_in_one_line_what_does_not_go_together(
    variables: dict[str, str], says: str
) -> None:
    done = run("shell", "--server", "127.0.0.1:1", **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert TOKEN not in done.stderr
    assert "a secret" not in done.stderr


# Secrets.


def test_no_secret_is_in_logs_command_lines_sandboxes_or_the_journal(
    start_server: StartServer,
) -> None:
    server = start_server(PLUMB_TOKEN=TOKEN, PLUMB_LOG_LEVEL="DEBUG")
    with (
        plumb_client.connect(server.address, token=TOKEN) as plumb,
        plumb.session("shell") as shell,
        plumb_client.connect(server.address, token=shell.agent_token) as agents,
        plumb_client.connect(server.address, token="wrong-0123456789") as strangers,
    ):
        shell.step("echo hi")
        with pytest.raises(plumb_client.PermissionDenied):
            agents.kinds()
        with pytest.raises(plumb_client.Unauthenticated):
            strangers.kinds()
        environments = shell.step("cat /proc/*/environ | tr '\\0' '\\n'; env").text
        command_lines = b"".join(map(_command_line, Path("/proc").glob("[0-9]*")))
        proof = shell.agent_token.rpartition(".")[2]
    assert server.stop() == 0
    journal = b"".join(path.read_bytes() for path in server.folder.glob("journal.sqlite*"))
    log = server.log()
    assert "call refused" in log
    assert "PATH=" in environments
    assert b"plumb_server" in command_lines
    assert b"echo hi" in journal
    for secret in (TOKEN, proof, "wrong-0123456789"):
        assert secret not in environments
        assert secret.encode() not in command_lines
        assert secret.encode() not in journal
        assert secret not in log


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""
