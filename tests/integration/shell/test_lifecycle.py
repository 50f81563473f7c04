"""Grounding, reset, probes, the end, and a sandbox that is lost."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import docker
import pytest
from tests.conftest import IMAGE, containers_labelled

from plumb_backends.environment import Action, Program
from plumb_backends.errors import (
    ImageMissing,
    InitFailed,
    SandboxUnavailable,
    UnknownSuite,
)
from plumb_backends.grounding import Grounding
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.real.hardening import SESSION_LABEL
from plumb_backends.real.shell import RealShellSettings
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.registry import Backends, Spec, open_backends

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _spec(*init: str, tolerate: bool = False, timeout: float = 20, image: str = "") -> Spec:
    return Spec(
        kind="shell",
        backend="real",
        session_id=str(uuid.uuid4()),
        grounding=Grounding(init, tolerate_failures=tolerate, timeout=timeout),
        options=ShellOptions(image=image),
    )


def _containers(spec: Spec) -> list[str]:
    with closing(docker.from_env()) as engine:
        label = f"{SESSION_LABEL}={spec.session_id}"
        found = engine.containers.list(all=True, sparse=True, filters={"label": label})
        return [str(container.id) for container in found]


async def _no_container_of(spec: Spec) -> None:
    """Waits until a session has none."""
    async with asyncio.timeout(60):
        while containers_labelled(SESSION_LABEL, spec.session_id):  # noqa: ASYNC110 - in the engine
            await asyncio.sleep(0.05)


def _remove(spec: Spec) -> None:
    """Removes a session's container behind its back."""
    with closing(docker.from_env()) as engine:
        for identifier in _containers(spec):
            engine.api.remove_container(identifier, force=True)


# Grounding.


async def test_init_scripts_run_in_their_order_before_the_first_action(
    make_shell: MakeShell,
) -> None:
    shell = await make_shell(init=["echo one > log", "echo two >> log", "cd /tmp; echo 3 >> ~/log"])
    assert (await shell.step(Action(b"pwd; cat log"))).text == "/root\none\ntwo\n3\n"


async def test_each_init_script_has_its_own_result(backends: Backends) -> None:
    made = await backends.create(_spec("echo out", "echo err >&2; exit 3", tolerate=True))
    try:
        results = [(ran.exit_code, ran.stdout, ran.stderr) for ran in made.init_results]
        assert results == [(0, b"out\n", b""), (3, b"", b"err\n")]
    finally:
        await made.environment.close()


async def test_a_failing_init_script_names_itself_and_leaves_nothing(backends: Backends) -> None:
    spec = _spec("true", "echo why >&2; exit 4", "touch unreached")
    with pytest.raises(
        InitFailed, match=r"init script 2 \(echo why .*exit status 4.*why"
    ) as failed:
        await backends.create(spec)
    assert failed.value.metadata == {"script": "2", "exit_code": "4", "tail": "why"}
    assert _containers(spec) == []


async def test_an_init_script_that_runs_too_long_says_so(backends: Backends) -> None:
    spec = _spec("sleep 1000", timeout=0.3)
    with pytest.raises(InitFailed, match=r"init script 1 \(sleep 1000\) ran longer than 0.3 s"):
        await backends.create(spec)
    assert _containers(spec) == []


async def test_a_daemon_that_an_init_script_starts_lives_on(make_shell: MakeShell) -> None:
    shell = await make_shell(init=["sleep 1000 & echo $! > pid"])
    assert (await shell.step(Action(b"ps -o comm= -p $(cat pid)"))).text == "sleep\n"


async def test_an_init_script_has_no_terminal_and_no_input(make_shell: MakeShell) -> None:
    shell = await make_shell(init=["cat > read; tty > tty || true"])
    assert (await shell.step(Action(b"cat read tty"))).text == "not a tty\n"


async def test_a_missing_image_is_named_and_leaves_nothing(backends: Backends) -> None:
    spec = _spec(image="nosuchimage:1")
    with pytest.raises(ImageMissing, match="nosuchimage:1"):
        await backends.create(spec)
    assert _containers(spec) == []


async def test_a_creation_that_is_cancelled_leaves_nothing(backends: Backends) -> None:
    specs = [_spec("sleep 1000", timeout=200) for _ in range(4)]
    creations = [asyncio.create_task(backends.create(spec)) for spec in specs]
    until = asyncio.get_running_loop().time() + 100
    while not all([await asyncio.to_thread(_containers, spec) for spec in specs]):
        assert asyncio.get_running_loop().time() < until
    for creation in creations:
        creation.cancel()
    results = await asyncio.gather(*creations, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    for spec in specs:  # one that was asked for, and not answered yet, is removed behind our back
        await _no_container_of(spec)


@pytest.mark.parametrize("after", [0, 0.002, 0.004, 0.008, 0.016, 0.05])
async def test_what_the_engine_still_makes_when_the_backend_closes_is_gone_when_it_is_closed(
    after: float,
) -> None:
    spec = _spec()
    async with open_backends([RealShellSettings(image=IMAGE)]) as backends:
        creation = asyncio.create_task(backends.create(spec))
        await asyncio.sleep(after)
        creation.cancel()
        await asyncio.wait({creation})
    assert not containers_labelled(SESSION_LABEL, spec.session_id)
    await asyncio.sleep(0.1)  # no event tells that a container does not appear
    assert not containers_labelled(SESSION_LABEL, spec.session_id)


# Reset.


async def test_reset_gives_a_fresh_sandbox_in_the_grounded_state(make_shell: MakeShell) -> None:
    shell = await make_shell(init=["echo grounded > file"])
    await shell.step(Action(b"rm file; touch other; cd /tmp; x=1; sleep 1000 &"))
    await shell.reset()
    assert (await shell.step(Action(b"pwd; ls; cat file; echo [$x]; jobs"))).text == (
        "/root\nfile\ngrounded\n[]\n"
    )
    assert (await shell.execute(Program(["pgrep", "sleep"]))).exit_code == 1


@pytest.mark.parametrize("after", [0, 0.0005, 0.001, 0.002, 0.004, 0.05, 0.2])
async def test_a_reset_whose_caller_goes_away_leaves_no_container_behind(
    backends: Backends, after: float
) -> None:
    spec = _spec()
    shell = (await backends.create(spec)).environment
    reset = asyncio.create_task(shell.reset())
    await asyncio.sleep(after)
    reset.cancel()
    await asyncio.wait({reset})
    await shell.close()
    await _no_container_of(spec)


async def test_reset_leaves_one_container(backends: Backends) -> None:
    spec = _spec()
    shell = (await backends.create(spec)).environment
    before = _containers(spec)
    await shell.reset()
    after = _containers(spec)
    assert len(before) == len(after) == 1
    assert before != after
    await shell.close()


# Probes.


async def test_the_cwd_probe_says_where_the_shell_is(shell: RealShell) -> None:
    await shell.step(Action(b"cd /usr/lib"))
    assert (await shell.probe("cwd")).facts == {"cwd": "/usr/lib"}


async def test_the_files_probe_says_what_differs_from_the_image(shell: RealShell) -> None:
    await shell.step(Action(b"echo x > /srv/new; echo x >> /etc/passwd; rm /etc/shells"))
    facts = (await shell.probe("files")).facts
    assert facts["/srv/new"].startswith("type file, mode 644, owner root:root, size 2, sha256 ")
    assert facts["/etc/passwd"].startswith("type file, mode 644, owner root:root, size ")
    assert facts["/etc/shells"] == "type deleted"


async def test_a_probe_changes_nothing(shell: RealShell) -> None:
    await shell.step(Action(b"(exit 42)"))
    first, second = await shell.probe("files"), await shell.probe("files")
    assert first == second
    assert (await shell.step(Action(b"echo $?; history"))).text.split() == [
        *("42", "1", "(exit", "42)", "2", "echo", "$?;", "history"),
    ]


async def test_an_unknown_probe_suite_is_refused_with_those_there_are(shell: RealShell) -> None:
    with pytest.raises(UnknownSuite, match="'nope'; use one of: cwd, environment, files"):
        await shell.probe("nope")


# The end.


async def test_closing_removes_the_container_and_may_be_done_twice(backends: Backends) -> None:
    spec = _spec()
    shell = (await backends.create(spec)).environment
    assert len(_containers(spec)) == 1
    await shell.close()
    assert _containers(spec) == []
    await shell.close()
    with pytest.raises(SandboxUnavailable, match="reset the session"):
        await shell.step(Action(b"echo hi"))


async def test_a_sandbox_removed_between_two_actions_is_an_error(backends: Backends) -> None:
    spec = _spec()
    shell = (await backends.create(spec)).environment
    assert isinstance(shell, RealShell)
    _remove(spec)
    with pytest.raises(SandboxUnavailable, match="reset the session"):
        await shell.step(Action(b"echo hi"))
    with pytest.raises(SandboxUnavailable):
        await shell.execute(Program(["true"]))
    with pytest.raises(SandboxUnavailable):
        await shell.probe("cwd")
    await shell.close()


async def test_a_sandbox_removed_during_an_action_is_an_error(backends: Backends) -> None:
    spec = _spec()
    shell = (await backends.create(spec)).environment
    begun = asyncio.Event()
    step = asyncio.create_task(
        shell.step(
            Action(b"echo begun; sleep 1000"),
            on_output=lambda data: begun.set() if b"begun" in data else None,
        )
    )
    await begun.wait()
    await asyncio.to_thread(_remove, spec)
    with pytest.raises(SandboxUnavailable, match="gone"):
        await step
    await shell.close()


async def test_a_sandbox_removed_while_a_program_runs_is_an_error(backends: Backends) -> None:
    spec = _spec()
    shell = (await backends.create(spec)).environment
    assert isinstance(shell, RealShell)
    await shell.step(Action(b"mkfifo begun"))
    program = asyncio.create_task(shell.execute(Program(["sh", "-c", "echo > begun; sleep 1000"])))
    await shell.step(Action(b"read x < begun"))
    await asyncio.to_thread(_remove, spec)
    with pytest.raises(SandboxUnavailable):
        await program
    await shell.close()


async def test_a_lost_session_can_be_reset(backends: Backends) -> None:
    spec = _spec("echo grounded > file")
    shell = (await backends.create(spec)).environment
    _remove(spec)
    with pytest.raises(SandboxUnavailable):
        await shell.step(Action(b"echo hi"))
    await shell.reset()
    assert (await shell.step(Action(b"cat file"))).text == "grounded\n"
    await shell.close()


async def test_sessions_share_nothing(make_shell: MakeShell) -> None:
    one, other = await asyncio.gather(make_shell(), make_shell())
    await one.step(Action(b"echo mine > /srv/file; cd /tmp; sleep 1000 &"))
    assert (await other.step(Action(b"ls /srv; pwd; pgrep sleep"))).text == "/root\n"
